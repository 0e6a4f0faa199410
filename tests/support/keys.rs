//! The finite set of kernels: every key that a plan can ask for, with one or two sizes of workgroup.
//!
//! Terms and element types do not meet in the shaders: terms know f32 numbers only, and elements are read and written
//! in files of their own. So the set is every set of terms in f32, and every pair of element types with the richest
//! sets of terms. A key belongs to it if both of its halves do.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::TargetKind;
use longtail::gpu::Storage;
use longtail::gpu::shader::{Cell, Driver, InnerTerms, KernelKey, Look};
use std::collections::HashSet;

const BOTH: [bool; 2] = [false, true];
const STORAGES: [Storage; 3] = [Storage::Separate, Storage::Shared, Storage::InPlace];
const KINDS: [TargetKind; 3] = [TargetKind::Hard, TargetKind::Mixed, TargetKind::Soft];

/// Which sets of terms have class weights: about half of those that may, as all that these change is a load.
fn has_weights(terms: &InnerTerms) -> bool {
    terms.dense && terms.class_scale == terms.bias
}

/// Every set of inner terms, but for class weights, that a checked spec can have for a kind of targets.
pub fn terms(kind: TargetKind) -> Vec<InnerTerms> {
    let mut all = Vec::new();
    for bits in 0..1u32 << 8 {
        let bit = |index: u32| bits >> index & 1 == 1;
        let terms = InnerTerms {
            class_scale: bit(0),
            bias: bit(1),
            mitigation: bit(2),
            compensation: bit(3),
            floor: bit(4),
            gate: bit(5),
            gate_given: bit(6),
            dense: bit(7),
            class_weights: false,
        };
        let terms = InnerTerms { class_weights: has_weights(&terms), ..terms };
        let seesaw = terms.mitigation || terms.compensation;
        let gates = terms.gate || terms.gate_given;
        let contradicts = terms.floor && !terms.compensation
            || terms.gate && terms.gate_given
            || gates && terms.dense
            || seesaw && kind != TargetKind::Hard
            || kind == TargetKind::Soft && !terms.dense;
        if !contradicts {
            all.push(terms);
        }
    }
    all
}

/// Every key: of all terms, then of all element types.
pub fn all() -> Vec<KernelKey> {
    let mut keys = Vec::new();
    for targets in KINDS {
        for terms in terms(targets) {
            keys.extend(of_terms(targets, terms));
        }
    }
    keys.extend(of_elements());
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

/// The kernels of a set of terms, in f32.
fn of_terms(targets: TargetKind, terms: InnerTerms) -> Vec<KernelKey> {
    let key = |driver| KernelKey { terms, ..KernelKey::new(driver, targets, 64) };
    let mut keys = Vec::new();
    for lanes in [1, 4] {
        for (driver, chip) in [(Driver::RowStream, 0), (Driver::RowChip, 8)] {
            for argmax in BOTH {
                let row = KernelKey { chip, argmax, lanes, ..key(driver) };
                keys.extend(STORAGES.map(|storage| KernelKey { storage, writes: true, ..row }));
                keys.extend(STORAGES.map(|storage| KernelKey { storage, coefficients: true, ..row }));
            }
        }
        keys.extend(STORAGES.map(|storage| KernelKey { storage, lanes, ..key(Driver::Backward) }));
        // Beside a regulariser over columns, which has labels.
        let beside = KernelKey { lanes, regularised: true, ..key(Driver::Backward) };
        keys.extend((targets == TargetKind::Hard).then_some(beside));
        if targets == TargetKind::Hard && lanes == 4 && !terms.floor && !terms.dense {
            let together = KernelKey { lanes, coefficients: true, ..key(Driver::RowsAndColumns) };
            keys.extend(BOTH.map(|argmax| KernelKey { argmax, ..together }));
        }
        for (argmax, sharded) in [(false, false), (true, false), (false, true), (true, true)] {
            let partial = KernelKey { lanes, argmax, sharded, ..key(Driver::Partial) };
            keys.extend(looks(terms).map(|look| KernelKey { look, ..partial }));
        }
    }
    keys.extend(STORAGES.map(|storage| KernelKey { storage, ..key(Driver::ClassScaleGradient) }));
    if targets != TargetKind::Soft {
        keys.push(key(Driver::LabelLogits));
    }
    // A workgroup for each row: gates are no longer looked at.
    let key = |driver| KernelKey { terms: InnerTerms { gate_given: false, ..terms }, ..key(driver) };
    for argmax in BOTH {
        for sharded in BOTH {
            keys.push(KernelKey { argmax, sharded, ..key(Driver::CloseSlots) });
            if terms.compensation {
                let look = if terms.floor { Look::Raw } else { Look::Final };
                keys.push(KernelKey { argmax, sharded, look, ..key(Driver::Threshold) });
            }
        }
        keys.extend(looks(terms).map(|look| KernelKey { argmax, look, ..key(Driver::Gather) }));
    }
    keys.extend(small(targets, terms));
    keys
}

fn looks(terms: InnerTerms) -> impl Iterator<Item = Look> {
    [Some(Look::Final), (terms.compensation && terms.floor).then_some(Look::Raw)].into_iter().flatten()
}

/// The kernels over fields of rows and classes, whose text depends on fewer terms.
fn small(targets: TargetKind, terms: InnerTerms) -> Vec<KernelKey> {
    let key = |driver| KernelKey::new(driver, targets, 128);
    let placed = |driver| KernelKey {
        terms: InnerTerms {
            mitigation: terms.mitigation,
            class_scale: terms.class_scale,
            bias: terms.bias,
            dense: terms.dense,
            class_weights: terms.class_weights,
            ..InnerTerms::default()
        },
        ..key(driver)
    };
    let mut keys = vec![placed(Driver::Prepare), key(Driver::ShareSums), key(Driver::LossSums)];
    for of_sums in BOTH {
        keys.push(KernelKey { of_sums, ..key(Driver::Denominator) });
        keys.push(KernelKey { of_sums, ..key(Driver::Finish) });
    }
    if terms.mitigation || terms.compensation {
        keys.push(key(Driver::CountLabels));
    }
    if terms.mitigation {
        keys.push(placed(Driver::RefreshCounts));
    }
    if targets != TargetKind::Soft {
        let terms = InnerTerms {
            compensation: terms.compensation,
            floor: terms.floor,
            dense: terms.dense,
            ..InnerTerms::default()
        };
        keys.extend(BOTH.map(|argmax| KernelKey { terms, argmax, sharded: true, ..key(Driver::Adopt) }));
    }
    keys
}

/// The pairs of element types that a plan may have: one of logits, one of the gradient.
pub fn cells() -> Vec<(Cell, Cell)> {
    let pairs = Cell::ALL.into_iter().flat_map(|logits| Cell::ALL.map(|gradient| (logits, gradient)));
    // A plan reads and writes f16 in one way.
    let mixed =
        |pair| matches!(pair, (Cell::NativeF16, Cell::PackedF16) | (Cell::PackedF16, Cell::NativeF16));
    pairs.filter(|&pair| !mixed(pair)).collect()
}

/// The kernels of every pair of element types, each with the richest sets of terms.
fn of_elements() -> Vec<KernelKey> {
    let rich = InnerTerms {
        class_scale: true,
        bias: true,
        mitigation: true,
        compensation: true,
        floor: true,
        ..InnerTerms::default()
    };
    let gates = InnerTerms { gate: true, bias: true, ..InnerTerms::default() };
    let dense = InnerTerms { dense: true, class_weights: true, ..InnerTerms::default() };
    let sets = [
        (TargetKind::Hard, InnerTerms::default()),
        (TargetKind::Hard, rich),
        (TargetKind::Mixed, gates),
        (TargetKind::Soft, dense),
    ];
    let mut keys = Vec::new();
    for (targets, terms) in sets {
        for key in of_terms(targets, terms) {
            for (logits, gradient) in cells() {
                keys.extend(with_cells(key, logits, gradient));
            }
        }
        for (logits, gradient) in cells() {
            let stitch = KernelKey { gradient, ..KernelKey::new(Driver::Stitch, TargetKind::Hard, 128) };
            if gradient.packed() {
                keys.push(stitch);
                if logits == gradient {
                    keys.push(KernelKey { logits, storage: Storage::InPlace, ..stitch });
                }
            }
        }
    }
    keys
}

/// A key with other element types, where it has them.
fn with_cells(key: KernelKey, logits: Cell, gradient: Cell) -> Vec<KernelKey> {
    // Only the fields' places depend on them.
    let of_saved = matches!(key.driver, Driver::LossSums | Driver::Finish | Driver::Adopt);
    if !key.driver.over_rows() {
        return if of_saved { vec![KernelKey { gradient, ..key }] } else { Vec::new() };
    }
    if key.storage == Storage::InPlace && logits != gradient {
        return Vec::new();
    }
    let logits = if key.driver.over_logits() { logits } else { Cell::F32 };
    let plain = KernelKey { logits, gradient, ..key };
    let writes = key.writes || key.driver == Driver::Backward;
    let straddles = writes && logits.packed() && gradient.packed() && key.storage != Storage::InPlace;
    match straddles {
        true => vec![plain, KernelKey { straddle: true, ..plain }],
        false => vec![plain],
    }
}

/// Whether a plan's key has both of its halves in the set.
pub struct Known {
    keys: HashSet<KernelKey>,
    of_elements: HashSet<KernelKey>,
}

impl Known {
    pub fn new() -> Self {
        let keys: HashSet<_> = all().into_iter().collect();
        Self { of_elements: keys.iter().map(without_terms).collect(), keys }
    }

    pub fn has(&self, key: &KernelKey) -> bool {
        let key = canonical(key);
        let in_f32 = KernelKey { logits: Cell::F32, gradient: Cell::F32, straddle: false, ..key };
        self.of_elements.contains(&without_terms(&key))
            && (key.driver == Driver::Stitch || self.keys.contains(&in_f32))
    }
}

fn without_terms(key: &KernelKey) -> KernelKey {
    KernelKey { terms: InnerTerms::default(), targets: TargetKind::Hard, look: Look::Final, ..*key }
}

/// The key with the sizes that [`all`] has, for looking it up.
fn canonical(key: &KernelKey) -> KernelKey {
    KernelKey {
        workgroup: if key.driver.over_rows() { 64 } else { 128 },
        chip: if key.driver == Driver::RowChip { 8 } else { 0 },
        terms: InnerTerms { class_weights: has_weights(&key.terms), ..key.terms },
        ..*key
    }
}
