//! Every text of the grouped family's kernels without an adapter: it is valid WGSL that needs no capability beyond what
//! its key says, it translates to every target, and what the host believes about it (uniform block, bindings, workgroup
//! memory) is so.

#[path = "support/grouped_keys.rs"]
mod grouped_keys;
#[path = "support/module.rs"]
mod module;

use std::collections::HashMap;
use std::mem::size_of;

use longtail::gpu::Program;
use longtail::gpu::grouped::{GroupedDriver, GroupedKey, GroupedNumbers};
use module::{check_block, check_kernel, declared_bytes, fields, needs_f16};

/// What every kernel is asked, and memory as closely as these kernels keep it.
fn check(key: &GroupedKey) {
    let (module, info) = check_kernel(&(*key).into());
    let (claimed, declared) = (key.workgroup_bytes(), declared_bytes(&module, &info));
    assert!(
        declared <= claimed && claimed <= declared + 64,
        "{}: {claimed} claimed, {declared} declared",
        key.label()
    );
}

fn every_part(part: usize) {
    let keys = grouped_keys::all();
    assert!(keys.len() > 300, "{}", keys.len());
    for key in keys.iter().skip(part).step_by(2) {
        check(key);
    }
}

#[test]
fn every_kernel_even() {
    every_part(0);
}

#[test]
fn every_kernel_odd() {
    every_part(1);
}

/// Sizes of workgroups and trees only enter through the header.
#[test]
fn other_sizes() {
    for driver in GroupedDriver::ALL {
        let keys = grouped_keys::all();
        let mut key =
            *keys.iter().rfind(|key| key.driver == driver && !needs_f16(&Program::from(**key))).unwrap();
        for (workgroup, nodes) in [(1, 64), (4, 128), (128, 192), (256, 1024)] {
            key.workgroup = workgroup;
            key.nodes = if key.nodes > 0 { nodes } else { 0 };
            check(&key);
        }
    }
}

/// Different keys have different labels; every file of the folder is in some kernel.
#[test]
fn texts_and_labels() {
    let keys = grouped_keys::all();
    let mut labels = HashMap::new();
    for key in &keys {
        if let Some(other) = labels.insert(key.label(), *key) {
            assert_eq!(other.wgsl(), key.wgsl(), "{} stands for two kernels", key.label());
        }
    }
    let texts: String = keys.iter().map(GroupedKey::wgsl).collect();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/grouped")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(texts.contains(&format!("// ---- grouped/{name}\n")), "{name} is in no kernel");
    }
}

/// The uniform block is the host's: names, offsets, size, and which fields are floats.
#[test]
fn numbers_layout() {
    let host = fields![
        GroupedNumbers,
        segments,
        labels,
        slots,
        level_count,
        starts,
        segment_flags,
        segment_slots,
        column_segments,
        label_starts,
        label_columns,
        label_pairs,
        quotas,
        levels,
        chunks,
        wide,
        node_segments,
        column_nodes,
        reduction,
        fixed_inverse,
        weight,
        tree_weight,
        ceiling,
        drop_threshold,
        seed_low,
        seed_high,
        ignore_index,
        flags,
    ];
    let floats = ["fixed_inverse", "weight", "tree_weight", "ceiling"];
    let keys: Vec<Program> = grouped_keys::all().into_iter().step_by(7).map(Program::from).collect();
    check_block("Spec", &host, size_of::<GroupedNumbers>(), &floats, &keys);
}
