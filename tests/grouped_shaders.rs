//! Every text of the grouped family's kernels without an adapter: it is valid WGSL that needs no capability beyond what
//! its key says, it translates to every target, and what the host believes about it (uniform block, bindings, workgroup
//! memory) is so.

#[path = "support/grouped_keys.rs"]
mod grouped_keys;

use std::collections::HashMap;
use std::mem::{offset_of, size_of};

use longtail::gpu::Storage;
use longtail::gpu::grouped::{GroupedDriver, GroupedKey, GroupedNumbers};
use longtail::gpu::shader::Access;
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

fn needs_f16(key: &GroupedKey) -> bool {
    key.features().contains(longtail::wgpu::Features::SHADER_F16)
}

fn parse(key: &GroupedKey) -> (Module, ModuleInfo) {
    let text = key.wgsl();
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{}: {}", key.label(), error.emit_to_string(&text)));
    let mut capabilities = Capabilities::empty();
    if needs_f16(key) {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    if text.contains("pack2x16float") {
        capabilities |= Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    }
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", key.label(), error.emit_to_string(&text)));
    (module, info)
}

/// The host's list of bindings is the shader's: numbers, names, access.
fn check_bindings(key: &GroupedKey, module: &Module) {
    let mut found = Vec::new();
    for (_, global) in module.global_variables.iter() {
        let Some(binding) = &global.binding else { continue };
        assert_eq!(binding.group, 0);
        let access = match global.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD => Access::Read,
            AddressSpace::Storage { .. } => Access::ReadWrite,
            other => panic!("{}: binding in {other:?}", key.label()),
        };
        found.push((binding.binding, global.name.clone().unwrap(), access));
    }
    found.sort_by_key(|(number, ..)| *number);
    let mut listed: Vec<_> = key
        .bindings()
        .iter()
        .map(|binding| (binding.number, binding.name.to_owned(), binding.access))
        .collect();
    listed.sort_by_key(|(number, ..)| *number);
    assert_eq!(found, listed, "{}", key.label());
    let storage = found.iter().filter(|(.., access)| *access != Access::Uniform).count();
    assert!(storage <= 8, "{}: {storage} storage buffers", key.label());
}

fn check_module(key: &GroupedKey) -> (Module, ModuleInfo) {
    let (module, info) = parse(key);
    let label = key.label();
    let [entry] = module.entry_points.as_slice() else { panic!("{label}: one entry point") };
    assert_eq!((entry.name.as_str(), entry.stage), ("main", ShaderStage::Compute), "{label}");
    assert_eq!(entry.workgroup_size, [key.workgroup, 1, 1], "{label}");
    check_bindings(key, &module);
    let used = info.get_entry_point(0);
    let declared: u32 = module
        .global_variables
        .iter()
        .filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !used[*handle].is_empty())
        .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
        .sum();
    let claimed = key.workgroup_bytes();
    assert!(
        declared <= claimed && claimed <= declared + 64,
        "{label}: {claimed} claimed, {declared} declared"
    );
    (module, info)
}

/// SPIR-V 1.3, MSL 2.4, HLSL 5.1 and 6.0, GLSL 430 and ES 310.
fn check_targets(key: &GroupedKey, module: &Module, info: &ModuleInfo) {
    let label = key.label();
    let entry = || "main".to_owned();
    let options =
        spv::Options { lang_version: (1, 3), flags: spv::WriterFlags::empty(), ..Default::default() };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline));
    assert!(words.unwrap_or_else(|error| panic!("{label}: {error}")).len() > 5);
    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let pipeline =
        msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry())), ..Default::default() };
    let text = msl::write_string(module, info, &options, &pipeline);
    assert!(text.unwrap_or_else(|error| panic!("{label}: {error}")).0.contains("kernel void"));
    for shader_model in [hlsl::ShaderModel::V5_1, hlsl::ShaderModel::V6_0] {
        let options = hlsl::Options { shader_model, fake_missing_bindings: true, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry())) };
        let mut text = String::new();
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
        written.unwrap_or_else(|error| panic!("{label}: {error}"));
        assert!(text.contains("numthreads"));
    }
    for version in [glsl::Version::Desktop(430), glsl::Version::new_gles(310)] {
        let options = glsl::Options { version, ..Default::default() };
        let pipeline = glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: entry(),
            multiview: None,
        };
        let mut text = String::new();
        let policies = naga::proc::BoundsCheckPolicies::default();
        let written = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)
            .and_then(|mut writer| writer.write());
        // GLSL has no 16-bit numbers of its own.
        match needs_f16(key) {
            true => assert!(written.is_err(), "{label} in {version:?}"),
            false => assert!(written.is_ok() && text.contains("local_size_x"), "{label} in {version:?}"),
        }
    }
}

/// What other compilers of WGSL refuse, or read otherwise, though naga takes it.
fn check_text(key: &GroupedKey) {
    let text = key.wgsl();
    for refused in ["requires ", "bitcast<f32>(0x", "/ 0.0", "1e39", "x != x", "atomic<f32>"] {
        assert!(!text.contains(refused), "{} has `{refused}`", key.label());
    }
    assert_eq!(text.matches("enable ").count(), usize::from(needs_f16(key)), "{}", key.label());
    assert!(!text.contains('\t') && text.is_ascii(), "{}", key.label());
}

fn every_part(part: usize) {
    let keys = grouped_keys::all();
    assert!(keys.len() > 300, "{}", keys.len());
    for key in keys.iter().skip(part).step_by(2) {
        let (module, info) = check_module(key);
        check_targets(key, &module, &info);
        check_text(key);
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

/// Sizes of workgroups and columns that are held only enter through the header.
#[test]
fn other_sizes() {
    for driver in GroupedDriver::ALL {
        let keys = grouped_keys::all();
        let mut key = *keys.iter().rfind(|key| key.driver == driver && !needs_f16(key)).unwrap();
        for (workgroup, held) in [(1, 64), (4, 8), (128, 12), (256, 4)] {
            key.workgroup = workgroup;
            key.held = if key.storage == Storage::InPlace { held } else { 0 };
            let (module, info) = check_module(&key);
            check_targets(&key, &module, &info);
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

macro_rules! fields {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), offset_of!(GroupedNumbers, $name))),*] };
}

/// The uniform block is the host's: names, offsets, size, and which fields are floats.
#[test]
fn numbers_layout() {
    let host = fields![
        segments,
        labels,
        slots,
        gate_words,
        wide_columns,
        starts,
        segment_flags,
        segment_slots,
        above,
        first_labels,
        column_segments,
        label_starts,
        label_columns,
        label_pairs,
        quotas,
        leaves,
        runs,
        column_wide,
        wide,
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
    assert_eq!(4 * host.len(), size_of::<GroupedNumbers>());
    let floats = ["fixed_inverse", "weight", "tree_weight", "ceiling"];
    let mut found = 0;
    for key in grouped_keys::all().iter().step_by(7) {
        let (module, _) = parse(key);
        let block = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Spec"));
        let Some((_, ty)) = block else { continue };
        found += 1;
        let TypeInner::Struct { members, span } = &ty.inner else { panic!("Spec is no struct") };
        let shader: Vec<_> =
            members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset as usize)).collect();
        assert_eq!(shader, host, "{}", key.label());
        assert_eq!(*span as usize, size_of::<GroupedNumbers>(), "{}", key.label());
        for ((field, _), member) in host.iter().zip(members) {
            let TypeInner::Scalar(scalar) = &module.types[member.ty].inner else { panic!("{field}") };
            assert_eq!(scalar.kind == naga::ScalarKind::Float, floats.contains(field), "{field}");
        }
    }
    assert!(found > 0);
}
