//! Checks of a kernel's text without an adapter, for the kernels of every family: it is valid WGSL that needs no
//! capability, it translates to every target, and what the host believes about it (bindings, workgroup memory, uniform
//! blocks) is so.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::gpu::Program;
use longtail::gpu::shader::Access;
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

pub fn needs_f16(key: &Program) -> bool {
    key.features().contains(longtail::wgpu::Features::SHADER_F16)
}

/// Parses and validates.
pub fn parse(key: &Program) -> (Module, ModuleInfo) {
    let text = key.wgsl();
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{}: {}", key.label(), error.emit_to_string(&text)));
    let mut capabilities = Capabilities::empty();
    if needs_f16(key) {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    if key.features().contains(longtail::wgpu::Features::SUBGROUP) {
        capabilities |= Capabilities::SUBGROUP;
    }
    // Every backend but old OpenGL packs halves.
    if text.contains("pack2x16float") {
        capabilities |= Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    }
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", key.label(), error.emit_to_string(&text)));
    (module, info)
}

/// Everything below that one kernel alone can be asked; its module.
pub fn check_kernel(key: &Program) -> (Module, ModuleInfo) {
    let (module, info) = check_module(key);
    check_targets(key, &module, &info);
    check_text(key);
    (module, info)
}

fn check_module(key: &Program) -> (Module, ModuleInfo) {
    let (module, info) = parse(key);
    let label = key.label();
    let [entry] = module.entry_points.as_slice() else { panic!("{label}: one entry point") };
    assert_eq!(entry.name, "main", "{label}");
    assert_eq!(entry.stage, ShaderStage::Compute, "{label}");
    assert_eq!(entry.workgroup_size, [key.workgroup(), 1, 1], "{label}");
    check_bindings(key, &module);
    check_workgroup(key, &module, &info);
    (module, info)
}

/// The host's list of bindings is the shader's: numbers, names, access.
fn check_bindings(key: &Program, module: &Module) {
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
    let listed: Vec<_> = key
        .bindings()
        .iter()
        .map(|binding| (binding.number, binding.name.to_owned(), binding.access))
        .collect();
    assert_eq!(found, listed, "{}", key.label());
    let storage = found.iter().filter(|(.., access)| *access != Access::Uniform).count();
    assert!(storage <= 8, "{}: {storage} storage buffers", key.label());
}

/// Bytes of workgroup memory that a kernel declares and uses.
pub fn declared_bytes(module: &Module, info: &ModuleInfo) -> u32 {
    let used = info.get_entry_point(0);
    let variables = module.global_variables.iter();
    variables
        .filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !used[*handle].is_empty())
        .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
        .sum()
}

/// The host's number of workgroup bytes bounds what is declared and used, closely.
fn check_workgroup(key: &Program, module: &Module, info: &ModuleInfo) {
    let declared = declared_bytes(module, info);
    let claimed = key.workgroup_bytes();
    // The arrays that a kernel has no use for have one element, which is never touched.
    let slack = 128;
    assert!(
        declared <= claimed && claimed <= declared + slack,
        "{}: {claimed} bytes claimed, {declared} declared",
        key.label()
    );
    assert!(key.workgroup() > 64 || claimed <= 16 * 1024, "{}: {claimed} bytes", key.label());
}

/// SPIR-V 1.3, MSL 2.4, HLSL 5.1 and 6.0, GLSL 430 and ES 310.
fn check_targets(key: &Program, module: &Module, info: &ModuleInfo) {
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
        let text = write_glsl(module, info, version, "main");
        if needs_f16(key) {
            // GLSL has no 16-bit numbers of its own.
            assert!(text.is_err(), "{label} in {version:?}");
            continue;
        }
        assert!(text.unwrap_or_else(|error| panic!("{label}: {error}")).contains("local_size_x"));
    }
}

/// As GLSL, which some versions cannot do.
pub fn write_glsl(
    module: &Module,
    info: &ModuleInfo,
    version: glsl::Version,
    entry: &str,
) -> Result<String, glsl::Error> {
    let options = glsl::Options { version, ..Default::default() };
    let pipeline = glsl::PipelineOptions {
        shader_stage: ShaderStage::Compute,
        entry_point: entry.into(),
        multiview: None,
    };
    let mut text = String::new();
    let policies = naga::proc::BoundsCheckPolicies::default();
    glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)?.write()?;
    Ok(text)
}

/// What other compilers of WGSL refuse, or read otherwise, though naga takes it.
fn check_text(key: &Program) {
    let text = key.wgsl();
    let refused = [
        "requires ",
        // Constant expressions that are not finite.
        "bitcast<f32>(0x",
        "/ 0.0",
        "1e39",
        // Tests that drivers fold away.
        "x != x",
        "v != v",
        // Results that depend on the order of threads.
        "atomic<f32>",
    ];
    for refused in refused {
        assert!(!text.contains(refused), "{} has `{refused}`", key.label());
    }
    // Both know `enable f16`; Tint needs others that naga does not know.
    let enabled = usize::from(needs_f16(key));
    assert_eq!(text.matches("enable ").count(), enabled, "{}", key.label());
    assert!(!text.contains('\t') && text.is_ascii(), "{}", key.label());
}

/// A uniform block is the host's: names, offsets, size, and which fields are floats.
pub fn check_block(name: &str, host: &[(&str, usize)], size: usize, floats: &[&str], keys: &[Program]) {
    // Every field of the host's block is listed: they are all of 4 bytes, without padding.
    assert_eq!(4 * host.len(), size, "{name}");
    let mut found = 0;
    for key in keys {
        let (module, _) = parse(key);
        let block = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name));
        let Some((_, ty)) = block else { continue };
        found += 1;
        let TypeInner::Struct { members, span } = &ty.inner else { panic!("{name} is no struct") };
        let shader: Vec<_> =
            members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset as usize)).collect();
        assert_eq!(shader, host, "{}", key.label());
        assert_eq!(*span as usize, size, "{}", key.label());
        for ((field, _), member) in host.iter().zip(members) {
            let TypeInner::Scalar(scalar) = &module.types[member.ty].inner else { panic!("{field}") };
            assert_eq!(scalar.kind == naga::ScalarKind::Float, floats.contains(field), "{field}");
        }
    }
    assert!(found > 0, "{name} is in no kernel");
}

/// Name and offset of each field of a block.
macro_rules! fields {
    ($block:ident, $($name:ident),* $(,)?) => { [$((stringify!($name), std::mem::offset_of!($block, $name))),*] };
}
pub(crate) use fields;
