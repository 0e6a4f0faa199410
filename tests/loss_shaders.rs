//! The text of every kernel of distillation, LADE and sums of losses without an adapter: it is valid WGSL that needs no
//! capability, it translates to every target, and what the host believes about it is so.

use std::collections::HashSet;
use std::mem::size_of;

use longtail::gpu::distillation::{DistillationDriver, DistillationKey, DistillationNumbers};
use longtail::gpu::lade::{LadeDriver, LadeKey, LadeNumbers};
use longtail::gpu::objectness::{ObjectnessDriver, ObjectnessKey};
use longtail::gpu::range::{RangeDriver, RangeKey, RangeNumbers};
use longtail::gpu::shader::{Cell, InnerTerms};
use longtail::gpu::{Kernels, Program, Storage};
use longtail::{DistillationLoss, Element, LadeLoss, ObjectnessLoss, RangeLoss, TargetKind};
use module::{check_block, check_kernel, declared_bytes, fields};

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/losses.rs"]
mod losses;
#[path = "support/module.rs"]
mod module;

const BOTH: [bool; 2] = [false, true];
const STORAGES: [Storage; 3] = [Storage::Separate, Storage::Shared, Storage::InPlace];
const TEACHERS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];
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

/// How a kernel reaches its matrices.
#[derive(Clone, Copy)]
struct Written {
    storage: Storage,
    logits: Cell,
    gradient: Cell,
    straddle: bool,
    adds: bool,
}

/// The terms of bases that go along: all of them on plain matrices, none and the richest on others.
fn bases(plain: bool) -> Vec<Option<InnerTerms>> {
    let all = (0..8).map(|bits| InnerTerms {
        class_scale: bits & 1 != 0,
        bias: bits & 2 != 0,
        dense: bits & 4 != 0,
        class_weights: bits & 4 != 0,
        ..InnerTerms::default()
    });
    let some = all.enumerate().filter(|(bits, _)| plain || *bits == 7).map(|(_, terms)| Some(terms));
    let none = InnerTerms::default();
    let seesaw = InnerTerms { mitigation: true, compensation: true, floor: true, ..none };
    let rare = [
        InnerTerms { gate: true, ..none },
        InnerTerms { gate_given: true, ..none },
        seesaw,
        InnerTerms { bias: true, dense: true, class_weights: true, ..seesaw },
        InnerTerms { floor: false, ..seesaw },
        InnerTerms { mitigation: false, ..seesaw },
    ];
    let rare = rare.into_iter().filter(|_| plain).map(Some);
    std::iter::once(None).chain(some).chain(rare).collect()
}

impl Written {
    /// Matrices beside which kernels are made that add to what is there: it matters what the gradient is.
    fn adds_here(&self) -> bool {
        self.storage == Storage::Separate && self.logits == Cell::F32
    }

    /// Matrices that kernels of all terms are made for; others have the richest ones.
    fn plain(&self, teacher: Element) -> bool {
        let f32s = (self.logits, self.gradient, teacher) == (Cell::F32, Cell::F32, Element::F32);
        f32s && self.storage == Storage::Separate
    }
}

/// Distillation's kernels for matrices.
fn distillation(manner: Written) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for (experts, teacher) in BOTH.into_iter().flat_map(|experts| TEACHERS.map(|teacher| (experts, teacher)))
    {
        let plain = manner.plain(teacher);
        for base in bases(plain && !manner.adds) {
            for lanes in [1, 4] {
                let key = gradient_of(manner, teacher, experts, base, lanes);
                programs.extend(with_pairs_and_targets(key));
            }
        }
    }
    if matches!(manner.gradient, Cell::F32 | Cell::PackedBf16) {
        programs.extend(of_fields(manner.gradient));
    }
    programs
}

fn gradient_of(
    manner: Written,
    teacher: Element,
    experts: bool,
    base: Option<InnerTerms>,
    lanes: u32,
) -> DistillationKey {
    let Written { storage, logits, gradient, straddle, adds } = manner;
    DistillationKey {
        driver: DistillationDriver::Gradient,
        targets: TargetKind::Hard,
        storage,
        logits,
        gradient,
        teacher,
        straddle,
        teacher_pairs: false,
        lanes,
        workgroup: 64,
        experts,
        base,
        argmax: false,
        adds,
        of_sums: false,
    }
}

/// The gradient's kernel and the rows' with pairs of the teacher's, and targets where they matter.
fn with_pairs_and_targets(key: DistillationKey) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    let rows = DistillationKey {
        driver: DistillationDriver::Rows,
        storage: Storage::Separate,
        gradient: if key.gradient.packed() { Cell::PackedBf16 } else { Cell::F32 },
        straddle: false,
        adds: false,
        ..key
    };
    // Which targets a base has: seesaw wants one label, gates go with no targets of every class.
    let kinds: &[TargetKind] = match key.base {
        Some(terms) if terms.mitigation || terms.compensation => &KINDS[..1],
        Some(terms) if terms.gate || terms.gate_given || !terms.dense => &KINDS[..2],
        _ => &KINDS,
    };
    let of_gradient = if key.base.is_some() { kinds } else { &KINDS[..1] };
    let may_pair = !key.experts && key.teacher != Element::F32;
    for teacher_pairs in BOTH.into_iter().filter(|pairs| !pairs || may_pair) {
        if !teacher_pairs || key.logits.packed() || key.gradient.packed() {
            let key = DistillationKey { teacher_pairs, ..key };
            let with = |&targets: &TargetKind| {
                Program::from(distillation_with_sizes(DistillationKey { targets, ..key }))
            };
            programs.extend(of_gradient.iter().map(with));
        }
        if !teacher_pairs || key.logits.packed() {
            for argmax in BOTH {
                let rows = DistillationKey { teacher_pairs, argmax, ..rows };
                let with = |&targets: &TargetKind| {
                    Program::from(distillation_with_sizes(DistillationKey { targets, ..rows }))
                };
                programs.extend(kinds.iter().map(with));
            }
        }
    }
    programs
}

/// Distillation's kernels over the rows' fields.
fn of_fields(gradient: Cell) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    let fields = DistillationKey {
        driver: DistillationDriver::Kept,
        targets: TargetKind::Hard,
        storage: Storage::Separate,
        logits: Cell::F32,
        gradient,
        teacher: Element::F32,
        straddle: false,
        teacher_pairs: false,
        lanes: 1,
        workgroup: 128,
        experts: false,
        base: None,
        argmax: false,
        adds: false,
        of_sums: false,
    };
    for targets in KINDS {
        for driver in [
            DistillationDriver::KeptSums,
            DistillationDriver::Kept,
            DistillationDriver::LossSums,
            DistillationDriver::Finish,
        ] {
            programs.push(DistillationKey { driver, targets, ..fields }.into());
        }
    }
    let sums = DistillationKey { gradient: Cell::F32, of_sums: true, ..fields };
    for driver in [DistillationDriver::Kept, DistillationDriver::Finish] {
        programs.push(DistillationKey { driver, ..sums }.into());
    }
    programs
}

/// Every kernel, in one size of workgroup.
fn all() -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    for (storage, logits, gradient, straddle) in written() {
        for adds in BOTH.into_iter().filter(|adds| !adds || storage != Storage::InPlace) {
            let manner = Written { storage, logits, gradient, straddle, adds };
            programs.extend(distillation(manner));
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
                lanes: 1,
                workgroup: 64,
                adds,
                of_parts: false,
            };
            programs.extend([1, 4].map(|lanes| Program::from(LadeKey { lanes, ..key })));
            let reading = LadeKey { storage: Storage::Separate, straddle: false, adds: false, ..key };
            programs.push(LadeKey { driver: LadeDriver::Rows, ..reading }.into());
            let reading = LadeKey { gradient: Cell::F32, ..reading };
            // A processor's threads, and a GPU's.
            for workgroup in [8, 128] {
                let columns = LadeKey { driver: LadeDriver::Columns, workgroup, ..reading };
                programs.extend([false, true].map(|of_parts| Program::from(LadeKey { of_parts, ..columns })));
            }
            let fields = LadeKey { logits: Cell::F32, workgroup: 128, ..reading };
            for driver in [LadeDriver::OpenRows, LadeDriver::Close] {
                programs.push(LadeKey { driver, ..fields }.into());
            }
        }
    }
    let objectness = |driver| Program::from(ObjectnessKey { driver, workgroup: 128 });
    programs
        .extend([ObjectnessDriver::Relabel, ObjectnessDriver::Rows, ObjectnessDriver::Total].map(objectness));
    let mut seen = HashSet::new();
    programs.retain(|program| seen.insert(*program));
    programs
}

#[test]
fn every_kernel() {
    let programs = all();
    assert!(programs.len() > 300, "{}", programs.len());
    let labels: HashSet<String> = programs.iter().map(Program::label).collect();
    assert_eq!(labels.len(), programs.len(), "labels tell kernels apart");
    for program in &programs {
        let (module, info) = check_kernel(program);
        assert_eq!(program.workgroup_bytes(), declared_bytes(&module, &info), "{}", program.label());
    }
}

/// Where matrices are not plain, what has nothing to do with them is one way only: a base is the richest, then with four
/// rows a thread, too.
fn distillation_with_sizes(mut key: DistillationKey) -> DistillationKey {
    key.workgroup = 64;
    let DistillationKey { storage, logits, gradient, straddle, adds, .. } = key;
    let manner = Written { storage, logits, gradient, straddle, adds };
    if manner.plain(key.teacher) && !adds {
        return key;
    }
    key.adds = adds && manner.adds_here();
    match key.base {
        None => key.lanes = 1,
        Some(_) => {
            key.base = bases(false).pop().flatten();
            key.argmax = key.driver == DistillationDriver::Rows;
            if key.driver == DistillationDriver::Gradient {
                key.targets = TargetKind::Hard;
            }
            if key.teacher == Element::F16 {
                key.teacher = Element::Bf16;
            }
        }
    }
    key
}

/// A key with the sizes that [`all`] has.
fn canonical(program: Program) -> Program {
    match program {
        Program::Distillation(key)
            if matches!(key.driver, DistillationDriver::Rows | DistillationDriver::Gradient) =>
        {
            distillation_with_sizes(key).into()
        }
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

#[test]
fn layouts_of_numbers() {
    let programs = all();
    let find = |label: &str| *programs.iter().find(|program| program.label().starts_with(label)).unwrap();
    let check = |label: &str, host: &[(&str, usize)], size: usize, floats: &[&str]| {
        check_block("Numbers", host, size, floats, &[find(label)]);
    };
    check(
        "longtail.distillation",
        &fields![
            DistillationNumbers,
            student_scale,
            teacher_scale,
            student_unit,
            teacher_unit,
            student_exponent,
            teacher_exponent,
            factor,
            slope,
            experts,
            teacher_columns,
            base_factor,
            inverse,
            by_kept,
            table,
        ],
        size_of::<DistillationNumbers>(),
        &[
            "student_scale",
            "teacher_scale",
            "student_unit",
            "teacher_unit",
            "student_exponent",
            "teacher_exponent",
            "factor",
            "slope",
            "base_factor",
            "inverse",
        ],
    );
    let host = fields![LadeNumbers, lambda, weight, first_column, parts];
    check("longtail.lade", &host, size_of::<LadeNumbers>(), &["lambda", "weight"]);
    let host =
        fields![RangeNumbers, pairs, margin, intra_weight, inter_weight, ignore_index, has_ignore_index,];
    let floats = ["margin", "intra_weight", "inter_weight"];
    check("longtail.range", &host, size_of::<RangeNumbers>(), &floats);
}
