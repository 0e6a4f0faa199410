//! Every text of the kernels that compute their logits, without an adapter: valid WGSL that translates to every target, with
//! at most 8 storage buffers, and about which the host believes what is so.

#[path = "support/fold_keys.rs"]
mod fold_keys;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/module.rs"]
mod module;

use longtail::gpu::Program;
use longtail::gpu::head::{FoldKey, FoldParams};
use module::{check_block, check_kernel, fields};
use std::mem::size_of;

fn every_part(part: usize, parts: usize) {
    let keys = fold_keys::all();
    assert!(keys.len() > 400, "{}", keys.len());
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

#[test]
fn workgroup_memory() {
    for key in fold_keys::all() {
        assert!(key.workgroup_bytes() <= 16 * 1024, "{}: {}", key.label(), key.workgroup_bytes());
    }
}

#[test]
fn params_layout() {
    let host = fields![
        FoldParams,
        m,
        n,
        k,
        a_stride,
        b_stride,
        a_origin,
        b_origin,
        a_scale_origin,
        b_scale_origin,
        a_part,
        b_part,
        a_parts,
        b_parts,
        first_row,
        row_factors,
        scale,
        margin,
        margin_cos,
        margin_sin,
        margin_limit,
        margin_drop,
        sine_floor,
    ];
    let floats = ["scale", "margin", "margin_cos", "margin_sin", "margin_limit", "margin_drop", "sine_floor"];
    let keys: Vec<Program> = fold_keys::all().into_iter().step_by(97).map(Program::from).collect();
    check_block("Params", &host, size_of::<FoldParams>(), &floats, &keys);
}

/// Different keys have different labels, and the same key the same text.
#[test]
fn texts_and_labels() {
    let mut labels = std::collections::HashMap::new();
    for key in fold_keys::all() {
        assert_eq!(key.wgsl(), key.wgsl());
        if let Some(other) = labels.insert(key.label(), key) {
            let same = FoldKey::wgsl(&other) == key.wgsl();
            assert!(same, "{} stands for {key:?} and {other:?}", key.label());
        }
    }
}
