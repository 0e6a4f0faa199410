//! Every matrix kernel's text without an adapter: it is valid WGSL that needs no capability beyond what its key says,
//! it translates to every target, and what the host believes about it (parameters, bindings, workgroup memory) is so.

use std::collections::{HashMap, HashSet};
use std::mem::{offset_of, size_of};

use longtail::gpu::matmul::{Layout, MatmulKernel, MatmulKey, MatmulParams, Tile, Words};
use longtail::gpu::shader::Access;
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

const LAYOUTS: [Layout; 3] = [Layout::Nt, Layout::Nn, Layout::Tn];
const READ: [Words; 6] = [Words::F32, Words::F32x4, Words::F16, Words::F16x4, Words::Bf16, Words::Bf16x4];
const BOTH: [bool; 2] = [false, true];

fn tiles() -> [Tile; 7] {
    [
        Tile::broadcast(),
        Tile::direct(4, 2, 4),
        Tile::direct(8, 2, 4),
        Tile::staged(4, 4, 8, 16),
        Tile::staged(8, 8, 8, 16),
        Tile::staged(8, 16, 16, 8),
        Tile::staged(8, 16, 16, 16),
    ]
}

fn written() -> impl Iterator<Item = Words> {
    READ.into_iter().chain([Words::F16Native])
}

fn product(layout: Layout, a: Words, b: Words, c: Words, tile: Tile) -> MatmulKey {
    MatmulKey {
        kernel: MatmulKernel::Product,
        layout,
        a,
        b,
        c,
        a_factors: false,
        b_factors: false,
        a_parts: false,
        b_parts: false,
        row_offsets: false,
        column_offsets: false,
        row_sums: false,
        shared: false,
        tile,
    }
}

fn cooperative() -> Vec<MatmulKey> {
    let mut keys = Vec::new();
    for tile in [Tile::cooperative(16, 32), Tile::cooperative(8, 32), Tile::cooperative(16, 64)] {
        for layout in LAYOUTS {
            for (a, b) in
                [(Words::F16, Words::F16x4), (Words::F16x4, Words::F16x8), (Words::F16x8, Words::F16)]
            {
                for c in written() {
                    let key = product(layout, a, b, c, tile);
                    keys.extend(BOTH.map(|factors| MatmulKey {
                        a_factors: factors,
                        b_factors: factors,
                        ..key
                    }));
                }
            }
        }
    }
    keys
}

/// Every way to read and write each matrix, every tile with every kind of factors.
fn all() -> Vec<MatmulKey> {
    let mut keys = cooperative();
    for layout in LAYOUTS {
        for a in READ {
            for b in READ {
                keys.extend(written().map(|c| product(layout, a, b, c, Tile::direct(8, 2, 4))));
            }
        }
        for tile in tiles() {
            for (a, b, c) in
                [(Words::F32, Words::F32x4, Words::F32x4), (Words::F16x4, Words::Bf16, Words::F16)]
            {
                for bits in 0..32u32 {
                    let bit = |index: u32| bits >> index & 1 == 1;
                    let (a_factors, b_factors) = (bit(0), bit(1));
                    let (a_parts, b_parts) = (a_factors && bit(2), b_factors && bit(3));
                    let key = product(layout, a, b, c, tile);
                    keys.push(MatmulKey { a_factors, b_factors, a_parts, b_parts, shared: bit(4), ..key });
                    let (row_offsets, column_offsets) = (bit(2), bit(3));
                    let factors = MatmulKey { a_factors, b_factors, shared: bit(4), ..key };
                    keys.push(MatmulKey { row_offsets, column_offsets, ..factors });
                    keys.push(MatmulKey {
                        a_factors: false,
                        row_sums: true,
                        b_parts: b_factors && bit(2),
                        ..factors
                    });
                }
            }
        }
    }
    for a in READ {
        let row = |kernel, workgroup| MatmulKey {
            kernel,
            ..product(Layout::Nt, a, Words::F32, Words::F32, Tile::direct(4, 1, workgroup))
        };
        for a_parts in BOTH {
            keys.push(MatmulKey { a_parts, ..row(MatmulKernel::Norms, 8) });
            keys.push(MatmulKey { a_parts, tile: Tile::direct(4, 8, 1), ..row(MatmulKernel::Norms, 8) });
            for c in written() {
                let key = MatmulKey { a_parts, c, ..row(MatmulKernel::ThroughNorm { in_place: true }, 64) };
                keys.extend(BOTH.map(|shared| MatmulKey { shared, ..key }));
                let key = MatmulKey { kernel: MatmulKernel::ThroughNorm { in_place: false }, ..key };
                keys.extend(READ.map(|b| MatmulKey { b, shared: a_parts, ..key }));
            }
        }
    }
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

fn native(key: &MatmulKey) -> bool {
    key.features().contains(wgpu::Features::SHADER_F16)
}

fn is_cooperative(key: &MatmulKey) -> bool {
    key.features().contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
}

fn has_subgroups(key: &MatmulKey) -> bool {
    key.features().contains(wgpu::Features::SUBGROUP)
}

/// The capabilities of the key's features, no others.
fn capabilities(key: &MatmulKey) -> Capabilities {
    let mut capabilities = Capabilities::empty();
    // Unpacking two halves is in WebGPU's core.
    let wide = |words| matches!(words, Words::F32 | Words::F32x4);
    let reads_b = key.bindings().iter().any(|binding| binding.name == "b");
    let writes_c = key.bindings().iter().any(|binding| binding.name == "c");
    let halves = matches!(key.c, Words::F16 | Words::F16x4 | Words::F16Native);
    if !wide(key.a) || reads_b && !wide(key.b) || writes_c && halves {
        capabilities |= Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    }
    if native(key) {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    if is_cooperative(key) {
        capabilities |= Capabilities::COOPERATIVE_MATRIX;
    }
    if has_subgroups(key) {
        capabilities |= Capabilities::SUBGROUP;
    }
    capabilities
}

fn parse(key: &MatmulKey) -> (Module, ModuleInfo) {
    let text = key.wgsl();
    let fail = |error: String| -> ! { panic!("{}: {error}\n{text}", key.label()) };
    let module =
        naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| fail(error.emit_to_string(&text)));
    let validate = |capabilities| {
        Validator::new(ValidationFlags::all(), capabilities).validate(&module).map_err(Box::new)
    };
    let claimed = capabilities(key);
    let info = validate(claimed).unwrap_or_else(|error| fail(error.emit_to_string(&text)));
    // What is claimed is needed.
    for (_, capability) in claimed.iter_names() {
        // naga does not ask for halves where only matrices are made of them. Devices do.
        if is_cooperative(key) && capability == Capabilities::SHADER_FLOAT16 {
            continue;
        }
        assert!(validate(claimed - capability).is_err(), "{} does not need {capability:?}", key.label());
    }
    (module, info)
}

fn check_module(key: &MatmulKey) -> (Module, ModuleInfo) {
    let (module, info) = parse(key);
    let label = key.label();
    let [entry] = module.entry_points.as_slice() else { panic!("{label}: one entry point") };
    assert_eq!((entry.name.as_str(), entry.stage), ("main", ShaderStage::Compute), "{label}");
    assert_eq!(entry.workgroup_size, [key.tile.workgroup(), 1, 1], "{label}");
    let mut found = Vec::new();
    for (_, global) in module.global_variables.iter() {
        let Some(binding) = &global.binding else { continue };
        let access = match global.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD => Access::Read,
            AddressSpace::Storage { .. } => Access::ReadWrite,
            other => panic!("{label}: binding in {other:?}"),
        };
        assert_eq!(binding.group, 0);
        found.push((binding.binding, global.name.clone().unwrap(), access));
    }
    found.sort_by_key(|(number, ..)| *number);
    let listed: Vec<_> = key
        .bindings()
        .iter()
        .map(|binding| (binding.number, binding.name.to_owned(), binding.access))
        .collect();
    assert_eq!(found, listed, "{label}");
    // The uniform block is no storage buffer.
    assert!(found.len() <= 9, "{label}");
    let used = info.get_entry_point(0);
    let declared: u32 = module
        .global_variables
        .iter()
        .filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !used[*handle].is_empty())
        .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
        .sum();
    assert_eq!(key.workgroup_bytes(), declared, "{label}");
    // Adapters with cooperative matrices have more.
    let allowed = if is_cooperative(key) { 48 * 1024 } else { 16 * 1024 };
    assert!(declared <= allowed, "{label}: {declared} bytes of workgroup memory");
    (module, info)
}

/// SPIR-V 1.3, MSL 2.4, HLSL 5.1 and 6.0 (6.2 with f16), GLSL 430 and ES 310. What a target cannot do must fail.
fn check_targets(key: &MatmulKey, module: &Module, info: &ModuleInfo) {
    let label = key.label();
    let (native, cooperative) = (native(key), is_cooperative(key));
    let entry = || "main".to_owned();
    let options = spv::Options {
        lang_version: if cooperative { (1, 6) } else { (1, 3) },
        flags: spv::WriterFlags::empty(),
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline));
    assert!(words.unwrap_or_else(|error| panic!("{label}: {error}")).len() > 5);

    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let pipeline =
        msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry())), ..Default::default() };
    let text = msl::write_string(module, info, &options, &pipeline);
    assert!(text.unwrap_or_else(|error| panic!("{label}: {error}")).0.contains("kernel void"));

    let models = [
        (hlsl::ShaderModel::V5_1, !native),
        (hlsl::ShaderModel::V6_0, !native),
        (hlsl::ShaderModel::V6_2, true),
    ];
    for (shader_model, expected) in models {
        if cooperative {
            // The translator has no words for cooperative matrices there and ends the program.
            continue;
        }
        let options = hlsl::Options { shader_model, fake_missing_bindings: true, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry())) };
        let mut text = String::new();
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
        match written {
            Ok(_) => assert!(text.contains("numthreads")),
            Err(error) => assert!(!expected, "{label} in {shader_model:?}: {error}"),
        }
    }

    for version in [glsl::Version::Desktop(430), glsl::Version::new_gles(310)] {
        if cooperative {
            continue;
        }
        let written = write_glsl(module, info, version);
        assert_eq!(written.is_ok(), !native, "{label} in {version:?}: {written:?}");
    }
}

fn write_glsl(module: &Module, info: &ModuleInfo, version: glsl::Version) -> Result<(), glsl::Error> {
    let options = glsl::Options { version, ..Default::default() };
    let pipeline = glsl::PipelineOptions {
        shader_stage: ShaderStage::Compute,
        entry_point: "main".into(),
        multiview: None,
    };
    let mut text = String::new();
    let policies = naga::proc::BoundsCheckPolicies::default();
    glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)?.write()?;
    assert!(text.contains("local_size_x"));
    Ok(())
}

/// What other compilers of WGSL refuse, or read otherwise, though naga takes it.
fn check_text(key: &MatmulKey) {
    let text = key.wgsl();
    let refused = ["requires ", "bitcast<f32>(0x", "/ 0.0", "1e39", "x != x", "v != v", "atomic<f32>", "\t"];
    for refused in refused {
        assert!(!text.contains(refused), "{} has `{refused}`", key.label());
    }
    assert!(text.is_ascii(), "{}", key.label());
    let enabled: Vec<&str> = text.lines().filter(|line| line.starts_with("enable ")).collect();
    let expected: &[&str] = match (native(key), is_cooperative(key)) {
        (_, true) => &["enable f16;", "enable wgpu_cooperative_matrix;"],
        (true, false) => &["enable f16;"],
        (false, false) => &[],
    };
    assert_eq!(enabled, expected, "{}", key.label());
    // Subgroups have no common spelling.
    assert!(has_subgroups(key) || !text.contains("subgroup"), "{}", key.label());
}

fn every_part(part: usize, parts: usize) {
    let keys = all();
    assert!(keys.len() > 1500, "{}", keys.len());
    for key in keys.iter().skip(part).step_by(parts) {
        let (module, info) = check_module(key);
        check_targets(key, &module, &info);
        check_text(key);
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

/// Without its edge, threads or depth in the text a tile would not be that tile.
#[test]
fn other_sizes() {
    for tile in [
        Tile::direct(4, 1, 1),
        Tile::direct(8, 1, 8),
        Tile::staged(4, 1, 1, 4),
        Tile::staged(8, 2, 8, 32),
        Tile::staged(4, 16, 16, 32),
    ] {
        for layout in LAYOUTS {
            let key = product(layout, Words::F32, Words::F32, Words::F32, tile);
            let (module, info) = check_module(&key);
            check_targets(&key, &module, &info);
        }
    }
}

/// The host's parameter block is the shader's: names, offsets, size, types.
#[test]
fn params_layout() {
    macro_rules! fields {
        ($($name:ident),* $(,)?) => { [$((stringify!($name), offset_of!(MatmulParams, $name))),*] };
    }
    let host = fields![
        m,
        n,
        k,
        a_stride,
        b_stride,
        c_stride,
        a_origin,
        b_origin,
        c_origin,
        a_scale_origin,
        b_scale_origin,
        a_part,
        b_part,
        a_parts,
        b_parts,
        row_offset_origin,
        column_offset_origin,
        row_sum_origin,
        tiles_m,
        tiles,
        accumulate,
        alpha,
        power,
        eps,
        offset,
    ];
    assert_eq!(4 * host.len(), size_of::<MatmulParams>());
    let (module, _) = parse(&product(Layout::Nt, Words::F32, Words::F32, Words::F32, tiles()[0]));
    let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params"));
    let TypeInner::Struct { members, span } = &params.unwrap().1.inner else { panic!("no struct") };
    let shader: Vec<_> =
        members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset as usize)).collect();
    assert_eq!(shader, host);
    assert_eq!(*span as usize, size_of::<MatmulParams>());
    for (member, (name, _)) in members.iter().zip(host) {
        let TypeInner::Scalar(scalar) = module.types[member.ty].inner else { panic!("{name}") };
        let float = ["alpha", "power", "eps", "offset"].contains(&name);
        assert_eq!(scalar.kind == naga::ScalarKind::Float, float, "{name}");
    }
}

/// Different keys have different labels and texts, and every file is in some kernel.
#[test]
fn texts_and_labels() {
    let keys = all();
    let mut labels = HashMap::new();
    for key in &keys {
        assert_eq!(key.wgsl(), key.wgsl());
        if let Some(other) = labels.insert(key.label(), *key) {
            panic!("{} stands for {key:?} and {other:?}", key.label());
        }
    }
    let texts: String = keys.iter().map(MatmulKey::wgsl).collect();
    let folder = format!("{}/shaders/matmul", env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(texts.contains(&format!("// ---- matmul/{name}\n")), "{name} is in no kernel");
        files += 1;
    }
    assert!(files > 30, "{files}");
}
