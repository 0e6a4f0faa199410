//! The text of every kernel of distillation, LADE and sums of losses without an adapter: it is valid WGSL that needs no
//! capability, it translates to every target, and what the host believes about it is so.

use std::collections::HashSet;
use std::mem::{offset_of, size_of};

use longtail::gpu::distillation::{DistillationDriver, DistillationKey, DistillationNumbers};
use longtail::gpu::lade::{LadeDriver, LadeKey, LadeNumbers};
use longtail::gpu::range::{RangeDriver, RangeKey, RangeNumbers};
use longtail::gpu::shader::{Access, Cell};
use longtail::gpu::sum::{SumDriver, SumKey, SumNumbers};
use longtail::gpu::{Kernels, Program, Storage};
use longtail::{DistillationLoss, Element, LadeLoss, ObjectnessLoss, RangeLoss, TargetKind};
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/losses.rs"]
mod losses;

const BOTH: [bool; 2] = [false, true];
const STORAGES: [Storage; 3] = [Storage::Separate, Storage::Shared, Storage::InPlace];
const KINDS: [TargetKind; 3] = [TargetKind::Hard, TargetKind::Mixed, TargetKind::Soft];

/// Storage and element types that a kernel that writes the gradient may have.
fn written() -> Vec<(Storage, Cell, Cell, bool)> {
    let mut list = Vec::new();
    for storage in STORAGES {
        for logits in Cell::ALL {
            for gradient in Cell::ALL {
                let f16 = [Cell::NativeF16, Cell::PackedF16];
                let mixed = logits != gradient && f16.contains(&logits) && f16.contains(&gradient);
                if mixed || storage == Storage::InPlace && logits != gradient {
                    continue;
                }
                list.push((storage, logits, gradient, false));
                if logits.packed() && gradient.packed() && storage != Storage::InPlace {
                    list.push((storage, logits, gradient, true));
                }
            }
        }
    }
    list
}

/// Every kernel, in one size of workgroup.
fn all() -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for (storage, logits, gradient, straddle) in written() {
        for adds in BOTH.into_iter().filter(|adds| !adds || storage != Storage::InPlace) {
            for experts in BOTH {
                let key = DistillationKey {
                    driver: DistillationDriver::Gradient,
                    targets: TargetKind::Hard,
                    storage,
                    logits,
                    gradient,
                    straddle,
                    workgroup: 64,
                    experts,
                    argmax: false,
                    adds,
                };
                programs.push(key.into());
                let rows = DistillationKey {
                    driver: DistillationDriver::Rows,
                    storage: Storage::Separate,
                    straddle: false,
                    adds: false,
                    ..key
                };
                for argmax in BOTH {
                    programs.extend(
                        KINDS.map(|targets| Program::from(DistillationKey { argmax, targets, ..rows })),
                    );
                }
            }
            if storage != Storage::InPlace {
                let key = RangeKey {
                    driver: RangeDriver::Gradient,
                    storage,
                    logits,
                    gradient,
                    straddle,
                    workgroup: 64,
                    adds,
                };
                programs.push(key.into());
                let key = RangeKey { storage: Storage::Separate, straddle: false, adds: false, ..key };
                programs.push(RangeKey { driver: RangeDriver::Pairs, ..key }.into());
                for driver in [RangeDriver::Group, RangeDriver::Close] {
                    programs.push(RangeKey { driver, workgroup: 128, ..key }.into());
                }
            }
            let key = LadeKey {
                driver: LadeDriver::Gradient,
                storage,
                logits,
                gradient,
                straddle,
                workgroup: 64,
                adds,
            };
            programs.push(key.into());
            let reading = LadeKey { storage: Storage::Separate, straddle: false, adds: false, ..key };
            programs.push(LadeKey { driver: LadeDriver::Rows, ..reading }.into());
            let reading = LadeKey { gradient: Cell::F32, ..reading };
            programs.push(LadeKey { driver: LadeDriver::Columns, workgroup: 128, ..reading }.into());
            let close = LadeKey { driver: LadeDriver::Close, logits: Cell::F32, ..reading };
            programs.push(LadeKey { workgroup: 128, ..close }.into());
        }
    }
    let sum = |driver, targets| SumKey { driver, targets, workgroup: 128 }.into();
    programs.extend(
        [SumDriver::Relabel, SumDriver::Rows, SumDriver::Total].map(|driver| sum(driver, TargetKind::Hard)),
    );
    programs.push(sum(SumDriver::Rows, TargetKind::Mixed));
    let mut seen = HashSet::new();
    programs.retain(|program| seen.insert(*program));
    programs
}

fn needs_f16(program: &Program) -> bool {
    program.features().contains(longtail::wgpu::Features::SHADER_F16)
}

fn parse(program: &Program) -> (Module, ModuleInfo) {
    let text = program.wgsl();
    let label = program.label();
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(&text)));
    let mut capabilities = Capabilities::empty();
    if needs_f16(program) {
        capabilities |= Capabilities::SHADER_FLOAT16;
    }
    // Every backend but old OpenGL packs halves.
    if text.contains("pack2x16float") {
        capabilities |= Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    }
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(&text)));
    (module, info)
}

/// The host's list of bindings is the shader's: numbers, names, access.
fn check_bindings(program: &Program, module: &Module) {
    let mut found = Vec::new();
    for (_, global) in module.global_variables.iter() {
        let Some(binding) = &global.binding else { continue };
        let access = match global.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD => Access::Read,
            AddressSpace::Storage { .. } => Access::ReadWrite,
            other => panic!("{}: binding in {other:?}", program.label()),
        };
        found.push((binding.binding, global.name.clone().unwrap(), access));
    }
    found.sort_by_key(|(number, ..)| *number);
    let listed = program.bindings().into_iter();
    let listed: Vec<_> =
        listed.map(|binding| (binding.number, binding.name.to_owned(), binding.access)).collect();
    assert_eq!(found, listed, "{}", program.label());
    let storage = found.iter().filter(|(.., access)| *access != Access::Uniform).count();
    assert!(storage <= 8, "{}: {storage} storage buffers", program.label());
}

/// The host's number of workgroup bytes is what is declared and used.
fn check_workgroup(program: &Program, module: &Module, info: &ModuleInfo) {
    let used = info.get_entry_point(0);
    let declared: u32 = module
        .global_variables
        .iter()
        .filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !used[*handle].is_empty())
        .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
        .sum();
    assert_eq!(program.workgroup_bytes(), declared, "{}", program.label());
}

/// SPIR-V 1.3, MSL 2.4, HLSL 5.1 and 6.0, GLSL 430.
fn check_targets(program: &Program, module: &Module, info: &ModuleInfo) {
    let label = program.label();
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
    let options = glsl::Options { version: glsl::Version::Desktop(430), ..Default::default() };
    let pipeline =
        glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry(), multiview: None };
    let mut text = String::new();
    let policies = naga::proc::BoundsCheckPolicies::default();
    let written = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies)
        .and_then(|mut writer| writer.write());
    // GLSL has no 16-bit numbers of its own.
    assert_eq!(written.is_ok(), !needs_f16(program), "{label}");
}

#[test]
fn every_kernel() {
    let programs = all();
    assert!(programs.len() > 300, "{}", programs.len());
    let labels: HashSet<String> = programs.iter().map(Program::label).collect();
    assert_eq!(labels.len(), programs.len(), "labels tell kernels apart");
    for program in &programs {
        let (module, info) = parse(program);
        let [entry] = module.entry_points.as_slice() else { panic!("{}", program.label()) };
        assert_eq!(entry.workgroup_size, [program.workgroup(), 1, 1], "{}", program.label());
        check_bindings(program, &module);
        check_workgroup(program, &module, &info);
        check_targets(program, &module, &info);
        assert!(program.wgsl().is_ascii(), "{}", program.label());
    }
}

/// A key with the sizes that [`all`] has.
fn canonical(program: Program) -> Program {
    match program {
        Program::Distillation(key) => DistillationKey { workgroup: 64, ..key }.into(),
        Program::Range(key) if matches!(key.driver, RangeDriver::Pairs | RangeDriver::Gradient) => {
            RangeKey { workgroup: 64, ..key }.into()
        }
        Program::Lade(key) if matches!(key.driver, LadeDriver::Rows | LadeDriver::Gradient) => {
            LadeKey { workgroup: 64, ..key }.into()
        }
        other => other,
    }
}

/// Plans use no kernels but these.
#[test]
fn plans_use_known_kernels() {
    let known: HashSet<Program> = all().into_iter().collect();
    let kernels: &Kernels = gpu::context().kernels();
    let counts = inputs::counts(7);
    let losses = [
        losses::Problem::new(DistillationLoss::hinton(2.0), 5, 7, 7, 1),
        losses::Problem::new(DistillationLoss::dive(&counts, 0.5, 2.0, 1.0).unwrap(), 5, 7, 7, 1),
        losses::Problem::new(LadeLoss::lade(&counts), 5, 7, 7, 1),
        losses::Problem::new(LadeLoss::regulariser(&counts, 0.1), 5, 7, 7, 1),
        losses::Problem::new(ObjectnessLoss::seesaw(&counts), 5, 9, 7, 1),
        losses::Problem::new(RangeLoss::default(), 5, 7, 2, 1),
    ];
    let mut seen = 0;
    for problem in losses {
        for manner in losses::manners() {
            let Ok(plan) = kernels.plan(&problem.loss, &problem.request(manner)) else { continue };
            for (program, _) in plan.kernels() {
                if !matches!(program, Program::Softmax(_)) {
                    assert!(known.contains(&canonical(program)), "{}", program.label());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 100, "{seen}");
    let halves = losses::rounding(Element::F16, 1.0);
    assert!(halves > losses::rounding(Element::F32, 1.0));
}

/// The block's members in the shader lie where the host's fields do.
fn check_block(program: Program, name: &str, host: &[(&str, usize)], size: usize) {
    let (module, _) = parse(&program);
    let (_, block) = module.types.iter().find(|(_, kind)| kind.name.as_deref() == Some(name)).unwrap();
    let TypeInner::Struct { members, span } = &block.inner else { panic!("{name} is no struct") };
    let found: Vec<(&str, usize)> =
        members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset as usize)).collect();
    assert_eq!(found, host);
    assert_eq!(*span as usize, size);
}

macro_rules! fields {
    ($block:ident, $($name:ident),* $(,)?) => { [$((stringify!($name), offset_of!($block, $name))),*] };
}

#[test]
fn layouts_of_numbers() {
    let programs = all();
    let find = |label: &str| *programs.iter().find(|program| program.label().starts_with(label)).unwrap();
    check_block(
        find("longtail.distillation"),
        "Numbers",
        &fields![
            DistillationNumbers,
            inverse_temperature,
            teacher_scale,
            factor,
            slope,
            old_factor,
            experts,
            teacher_columns,
        ],
        size_of::<DistillationNumbers>(),
    );
    let host = fields![LadeNumbers, lambda, weight, old_factor];
    check_block(find("longtail.lade"), "Numbers", &host, size_of::<LadeNumbers>());
    let host = fields![
        RangeNumbers,
        pairs,
        margin,
        intra_weight,
        inter_weight,
        old_factor,
        ignore_index,
        has_ignore_index,
    ];
    check_block(find("longtail.range"), "Numbers", &host, size_of::<RangeNumbers>());
    let host = fields![SumNumbers, first, second];
    check_block(find("longtail.sum.rows"), "Numbers", &host, size_of::<SumNumbers>());
}
