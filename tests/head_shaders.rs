//! Every head kernel's text without an adapter: valid WGSL that needs no capability beyond f16 packed in words, that
//! translates to every target, and about which the host believes what is so.

#[path = "support/fold_keys.rs"]
mod fold_keys;
#[path = "support/keys.rs"]
mod keys;

use std::collections::HashMap;
use std::mem::{offset_of, size_of};

use longtail::gpu::head::{FoldKey, HeadKernel, HeadKey, HeadParams, HeadTerms, MarginKind};
use longtail::gpu::matmul::Words;
use longtail::gpu::shader::Access;
use longtail::head::{Beyond, ClassScale};
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

const WORDS: [Words; 6] = [Words::F32, Words::F32x4, Words::F16, Words::F16x4, Words::Bf16, Words::Bf16x4];
const BOTH: [bool; 2] = [false, true];

fn margins() -> Vec<MarginKind> {
    let mut margins = vec![MarginKind::None, MarginKind::Cosine];
    for beyond in [Beyond::Linear, Beyond::Easy, Beyond::Nothing] {
        margins.extend(BOTH.map(|straight_through| MarginKind::Angle { beyond, straight_through }));
    }
    margins
}

fn all() -> Vec<HeadKey> {
    let mut keys = Vec::new();
    let mut push = |key: HeadKey| {
        if !keys.contains(&key) {
            keys.push(key);
        }
    };
    for kernel in HeadKernel::ALL {
        for margin in margins() {
            for class_scale in [ClassScale::None, ClassScale::Weights, ClassScale::Logits] {
                for flags in 0..32 {
                    let flag = |bit: u32| flags >> bit & 1 == 1;
                    let mut terms = HeadTerms::default();
                    (terms.margin, terms.class_scale) = (margin, class_scale);
                    (terms.bias, terms.distance, terms.centred) = (flag(0), flag(1), flag(2));
                    (terms.effect, terms.adjustment) = (flag(3), flag(4));
                    (terms.normalised, terms.columns) = (flag(3), flag(4));
                    terms.outputs = [flag(2), flag(3), flag(4)];
                    push(HeadKey::new(kernel, terms, 64));
                    push(HeadKey { lanes: 8, shared: true, ..HeadKey::new(kernel, terms, 256) });
                }
            }
        }
        for a in WORDS {
            for c in [Words::F32, Words::F32x4] {
                let key = HeadKey { a, c, ..HeadKey::new(kernel, HeadTerms::default(), 8) };
                let text = key.wgsl();
                // What a kernel does not read is no variant of it.
                if (a == Words::F32 || text.contains("WordA")) && (c == Words::F32 || text.contains("WordC"))
                {
                    push(key);
                }
            }
        }
    }
    keys
}

fn parse(key: &HeadKey) -> (Module, ModuleInfo) {
    let text = key.wgsl();
    let fail = |error: String| -> ! { panic!("{}: {error}\n{text}", key.label()) };
    let module =
        naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| fail(error.emit_to_string(&text)));
    let halves = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let info = Validator::new(ValidationFlags::all(), halves)
        .validate(&module)
        .unwrap_or_else(|error| fail(error.emit_to_string(&text)));
    (module, info)
}

fn check(key: &HeadKey) {
    let (module, info) = parse(key);
    let label = key.label();
    let [entry] = module.entry_points.as_slice() else { panic!("{label}: one entry point") };
    assert_eq!((entry.name.as_str(), entry.workgroup_size), ("main", [key.workgroup, 1, 1]), "{label}");
    let mut found = Vec::new();
    let used = info.get_entry_point(0);
    let mut memory = 0;
    for (handle, global) in module.global_variables.iter() {
        if global.space == AddressSpace::WorkGroup && !used[handle].is_empty() {
            memory += module.types[global.ty].inner.size(module.to_ctx());
        }
        let Some(binding) = &global.binding else { continue };
        let access = match global.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD => Access::Read,
            _ => Access::ReadWrite,
        };
        found.push((binding.binding, global.name.clone().unwrap(), access));
    }
    found.sort_by_key(|(number, ..)| *number);
    let listed = key.bindings();
    let listed: Vec<_> = listed.iter().map(|b| (b.number, b.name.to_owned(), b.access)).collect();
    assert_eq!(found, listed, "{label}");
    // The uniform block is not a storage buffer.
    assert!(found.len() <= 9, "{label}");
    assert_eq!(memory, key.workgroup_bytes(), "{label}");
    let text = key.wgsl();
    for refused in ["requires ", "enable ", "bitcast<f32>(0x", "/ 0.0", "x != x", "subgroup", "atomic<", "\t"]
    {
        assert!(!text.contains(refused), "{label} has `{refused}`");
    }
    assert!(text.is_ascii(), "{label}");

    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    let options =
        spv::Options { lang_version: (1, 3), flags: spv::WriterFlags::empty(), ..Default::default() };
    assert!(spv::write_vec(&module, &info, &options, Some(&pipeline)).unwrap().len() > 5);
    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let entry = || Some((ShaderStage::Compute, "main".to_owned()));
    let pipeline = msl::PipelineOptions { entry_point: entry(), ..Default::default() };
    assert!(msl::write_string(&module, &info, &options, &pipeline).unwrap().0.contains("kernel void"));
    for shader_model in [hlsl::ShaderModel::V5_1, hlsl::ShaderModel::V6_0] {
        let options = hlsl::Options { shader_model, fake_missing_bindings: true, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: entry() };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).unwrap();
    }
    for version in [glsl::Version::Desktop(430), glsl::Version::new_gles(310)] {
        let options = glsl::Options { version, ..Default::default() };
        let pipeline = glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: "main".into(),
            multiview: None,
        };
        let mut text = String::new();
        let policies = naga::proc::BoundsCheckPolicies::default();
        let writer = glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, policies);
        writer.unwrap().write().unwrap();
    }
}

#[test]
fn every_kernel() {
    let keys = all();
    assert!(keys.len() > 250, "{}", keys.len());
    keys.iter().for_each(check);
}

#[test]
fn texts_and_labels() {
    let keys = all();
    let mut labels = HashMap::new();
    for key in &keys {
        if let Some(other) = labels.insert(key.label(), *key) {
            panic!("{} stands for {key:?} and {other:?}", key.label());
        }
    }
    let folds = fold_keys::all();
    let texts: String = keys.iter().map(HeadKey::wgsl).chain(folds.iter().map(FoldKey::wgsl)).collect();
    for entry in std::fs::read_dir(format!("{}/shaders/head", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(texts.contains(&format!("// ---- head/{name}\n")), "{name} is in no kernel");
    }
}

/// The host's parameter block is the shader's: names, offsets, size, types.
#[test]
fn params_layout() {
    macro_rules! fields {
        ($($name:ident),* $(,)?) => { [$((stringify!($name), offset_of!(HeadParams, $name))),*] };
    }
    let host = fields![
        m,
        n,
        k,
        a_stride,
        a_origin,
        a_part,
        a_parts,
        c_stride,
        c_origin,
        tiles,
        accumulate,
        classes,
        first_row,
        first_class,
        row_factors,
        row_slopes,
        row_rests,
        class_factors,
        class_scaled,
        class_offsets,
        row_offsets,
        row_sums,
        logits_stride,
        ignored,
        has_ignored,
        top,
        alpha,
        power,
        eps,
        offset,
        scale,
        margin,
        margin_cos,
        margin_sin,
        margin_limit,
        margin_drop,
        sine_floor,
        effect,
        momentum,
    ];
    assert_eq!(4 * host.len(), size_of::<HeadParams>());
    let (module, _) = parse(&HeadKey::new(HeadKernel::Logits, HeadTerms::default(), 8));
    let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params"));
    let TypeInner::Struct { members, span } = &params.unwrap().1.inner else { panic!("no struct") };
    let shader: Vec<_> =
        members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset as usize)).collect();
    assert_eq!(shader, host);
    assert_eq!(*span as usize, size_of::<HeadParams>());
    for member in members {
        let TypeInner::Scalar(scalar) = module.types[member.ty].inner else { panic!("no scalar") };
        let name = member.name.as_deref().unwrap();
        let kind = match host.iter().position(|(host, _)| *host == name).unwrap() {
            26.. => naga::ScalarKind::Float,
            23 => naga::ScalarKind::Sint,
            _ => naga::ScalarKind::Uint,
        };
        assert_eq!(scalar.kind, kind, "{name}");
    }
}
