//! Every kernel's text without an adapter: it is valid WGSL that needs no capability, it translates to every
//! target, and what the host believes about it (parameter layout, bindings, workgroup memory) is so.

#[path = "support/keys.rs"]
mod keys;
#[path = "support/module.rs"]
mod module;

use longtail::gpu::shader::{Driver, KernelKey};
use longtail::gpu::{Program, SoftmaxNumbers, WindowNumbers};
use module::{check_block, check_kernel, fields, needs_f16, parse, write_glsl};
use naga::back::glsl;
use std::mem::size_of;

/// One kernel of each driver, the richest in terms.
fn samples() -> Vec<KernelKey> {
    let keys = keys::all();
    // Without f16 of the device's own, which some targets do not have.
    let found =
        |driver| *keys.iter().rfind(|key| key.driver == driver && !needs_f16(&Program::from(**key))).unwrap();
    Driver::ALL.map(found).to_vec()
}

fn programs(keys: &[KernelKey]) -> Vec<Program> {
    keys.iter().map(|key| Program::from(*key)).collect()
}

fn every_part(part: usize, parts: usize) {
    let keys = keys::all();
    assert!(keys.len() > 1000, "{}", keys.len());
    for key in keys.iter().skip(part).step_by(parts) {
        check_kernel(&Program::from(*key));
    }
}

#[test]
fn every_kernel_even() {
    every_part(0, 2);
}

#[test]
fn every_kernel_odd() {
    every_part(1, 2);
}

/// What a target cannot do must fail: compute shaders are not in GLSL ES 3.00 or GLSL 3.30.
#[test]
fn targets_without_compute_refuse() {
    for key in samples() {
        let (module, info) = parse(&key.into());
        for version in [glsl::Version::new_gles(300), glsl::Version::Desktop(330)] {
            assert!(write_glsl(&module, &info, version, "main").is_err(), "{} in {version:?}", key.label());
        }
    }
}

#[test]
fn windows_layout() {
    let host = fields![
        WindowNumbers,
        rows,
        classes,
        total_classes,
        first_class,
        batch_rows,
        batch_row,
        first_row,
        row_shift,
        logits_origin,
        logits_stride,
        gradient_origin,
        gradient_stride,
        dense_origin,
        dense_stride,
        teacher_origin,
        teacher_stride,
        row_step,
        pieces,
        piece_blocks,
        first_slot,
        slots,
        shard,
        shards,
        own_first_class,
        own_classes,
        first_sum,
        sums,
        flags,
        infinity,
        nan,
    ];
    let keys = samples();
    assert!(keys.iter().all(|key| key.wgsl().contains("struct Window {")));
    check_block("Window", &host, size_of::<WindowNumbers>(), &[], &programs(&keys));
}

#[test]
fn softmax_numbers_layout() {
    let host = fields![
        SoftmaxNumbers,
        weight_column,
        margin_column,
        smoothing_column,
        regulariser_column,
        reduction,
        scale,
        inverse_scale,
        exponent_scale,
        label_smoothing,
        z_loss,
        fixed_inverse,
        focal_gamma,
        focal_flags,
        influence_alpha,
        influence_eps,
        influence_flags,
        seesaw_p,
        seesaw_q,
        seesaw_log_eps,
        gate_source,
        drop_threshold,
        seed_low,
        seed_high,
        ignore_index,
        flags,
    ];
    let floats = [
        "scale",
        "inverse_scale",
        "exponent_scale",
        "label_smoothing",
        "z_loss",
        "fixed_inverse",
        "focal_gamma",
        "influence_alpha",
        "influence_eps",
        "seesaw_p",
        "seesaw_q",
        "seesaw_log_eps",
    ];
    check_block("Spec", &host, size_of::<SoftmaxNumbers>(), &floats, &programs(&samples()));
}

/// Sizes of workgroups and columns on chip only enter through the header.
#[test]
fn other_sizes() {
    for mut key in
        samples().into_iter().filter(|key| matches!(key.driver, Driver::RowStream | Driver::RowChip))
    {
        for (workgroup, chip) in [(1, 1), (8, 16), (32, 2), (256, 32)] {
            key.workgroup = workgroup;
            key.chip = if key.driver == Driver::RowChip { chip } else { 0 };
            check_kernel(&key.into());
        }
    }
}

/// Different keys have different labels and, but for what a kernel has no use for, different texts; the same key
/// has the same text.
#[test]
fn texts_and_labels() {
    let keys = keys::all();
    let mut labels = std::collections::HashMap::new();
    for key in &keys {
        assert_eq!(key.wgsl(), key.wgsl());
        if let Some(other) = labels.insert(key.label(), *key) {
            assert_eq!(other.wgsl(), key.wgsl(), "{} stands for two kernels", key.label());
        }
    }
    // Every file is in some kernel.
    let texts: String = samples().iter().chain(&keys).map(KernelKey::wgsl).collect();
    let folder = format!("{}/shaders", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // The matrix kernels have a folder and a test of their own.
        if entry.file_type().unwrap().is_dir() {
            continue;
        }
        let name = entry.file_name().into_string().unwrap();
        assert!(texts.contains(&format!("// ---- {name}\n")), "{name} is in no kernel");
    }
}
