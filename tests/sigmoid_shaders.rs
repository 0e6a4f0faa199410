//! Every kernel of the sigmoid family without an adapter: valid WGSL that needs no capability, translated to every
//! target, with the bindings, workgroup memory and uniform block that the host believes in.

#[path = "support/module.rs"]
mod module;
#[path = "support/sigmoid_keys.rs"]
mod sigmoid_keys;

use longtail::gpu::{Program, SigmoidDriver, SigmoidKey, SigmoidNumbers};
use module::{check_block, check_kernel, fields, needs_f16, parse, write_glsl};
use naga::back::glsl;
use std::mem::size_of;

fn every_part(part: usize, parts: usize) {
    let keys = sigmoid_keys::all();
    assert!(keys.len() > 1000, "{}", keys.len());
    for key in keys.iter().skip(part).step_by(parts) {
        check_kernel(&Program::from(*key));
    }
    println!("{} kernels in {parts} parts", keys.len());
}

#[test]
fn every_kernel_even() {
    every_part(0, 2);
}

#[test]
fn every_kernel_odd() {
    every_part(1, 2);
}

/// One kernel of each driver, the richest in terms, without f16 of the device's own.
fn samples() -> Vec<Program> {
    let keys = sigmoid_keys::all();
    let found = |driver| {
        let of_driver = |key: &&SigmoidKey| key.driver == driver && !needs_f16(&Program::from(**key));
        Program::from(*keys.iter().rfind(of_driver).expect("every driver has a key"))
    };
    SigmoidDriver::ALL.map(found).to_vec()
}

/// What a target cannot do must fail: compute shaders are not in GLSL ES 3.00 or GLSL 3.30.
#[test]
fn targets_without_compute_refuse() {
    for key in samples() {
        let (module, info) = parse(&key);
        for version in [glsl::Version::new_gles(300), glsl::Version::Desktop(330)] {
            assert!(write_glsl(&module, &info, version, "main").is_err(), "{} in {version:?}", key.label());
        }
    }
}

#[test]
fn numbers_layout() {
    let host = fields![
        SigmoidNumbers,
        reduction,
        fixed_inverse,
        scale,
        negative_scale,
        inverse_negative_scale,
        positive_factor,
        negative_factor,
        focal_gamma,
        focal_change,
        rebalance_alpha,
        rebalance_beta,
        rebalance_gamma,
        rebalance_start,
        extreme_inverse_count,
        largest_weight,
        weight_norm,
        row_weight_rule,
        row_weight_of_none,
        one_minus_beta,
        minus_log_beta,
        absent,
        balance_gamma,
        balance_mu,
        balance_alpha,
        score_threshold,
        gate_source,
        drop_threshold,
        seed_low,
        seed_high,
        background_column,
        background_label,
        ignore_index,
        flags,
    ];
    let floats = [
        "fixed_inverse",
        "scale",
        "negative_scale",
        "inverse_negative_scale",
        "positive_factor",
        "negative_factor",
        "focal_gamma",
        "focal_change",
        "rebalance_alpha",
        "rebalance_beta",
        "rebalance_gamma",
        "rebalance_start",
        "extreme_inverse_count",
        "largest_weight",
        "row_weight_of_none",
        "one_minus_beta",
        "minus_log_beta",
        "absent",
        "balance_gamma",
        "balance_mu",
        "balance_alpha",
        "score_threshold",
    ];
    check_block("Spec", &host, size_of::<SigmoidNumbers>(), &floats, &samples());
}

/// Sizes of workgroups only enter through the header.
#[test]
fn other_sizes() {
    let keys = sigmoid_keys::all();
    for driver in [SigmoidDriver::Rows, SigmoidDriver::SoftmaxLink] {
        let key = *keys.iter().find(|key| key.driver == driver && key.lanes == 4).expect("a key");
        for workgroup in [1, 8, 32, 256] {
            check_kernel(&Program::from(SigmoidKey { workgroup, ..key }));
        }
    }
    for key in keys.iter().filter(|key| key.driver == SigmoidDriver::DownColumns).step_by(40) {
        for (workgroup, walk) in [(1, 8), (8, 8), (8, 1), (16, 4), (64, 1)] {
            let key = SigmoidKey { workgroup, walk, ..*key };
            // A plan takes fewer rows where they do not fit.
            if key.workgroup_bytes() <= 16 * 1024 {
                check_kernel(&Program::from(key));
            }
        }
    }
}

/// Different keys have different labels and, but for what a kernel has no use for, different texts; the same key has
/// the same text. Every file of the family is in some kernel.
#[test]
fn texts_and_labels() {
    let keys = sigmoid_keys::all();
    let mut labels = std::collections::HashMap::new();
    let mut texts = String::new();
    for key in &keys {
        let text = key.wgsl();
        if let Some(other) = labels.insert(key.label(), *key) {
            assert_eq!(other.wgsl(), text, "{} stands for two kernels", key.label());
        }
        let names = text.lines().filter(|line| line.starts_with("// ---- sigmoid/"));
        names.for_each(|name| {
            texts.push_str(name);
            texts.push('\n');
        });
    }
    let folder = format!("{}/shaders/sigmoid", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        assert!(texts.contains(&format!("// ---- sigmoid/{name}\n")), "{name} is in no kernel");
    }
}
