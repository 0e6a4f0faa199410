//! The finite set of kernels: every key that a plan can ask for, with one or two sizes of workgroup.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::TargetKind;
use longtail::gpu::Storage;
use longtail::gpu::shader::{Driver, InnerTerms, KernelKey};

const BOTH: [bool; 2] = [false, true];
const STORAGES: [Storage; 3] = [Storage::Separate, Storage::Shared, Storage::InPlace];

/// Every set of inner terms that a checked spec can have for a kind of targets.
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
            smoothing: bit(7),
        };
        let seesaw = terms.mitigation || terms.compensation;
        let gates = terms.gate || terms.gate_given;
        let contradicts = terms.floor && !terms.compensation
            || terms.gate && terms.gate_given
            || gates && terms.smoothing
            || seesaw && kind != TargetKind::Hard
            || (gates || terms.smoothing) && kind == TargetKind::Soft;
        let legal = !contradicts;
        if legal {
            all.push(terms);
        }
    }
    all
}

/// Every key: the kernels over logits, then the small ones.
pub fn all() -> Vec<KernelKey> {
    let mut keys = Vec::new();
    for targets in [TargetKind::Hard, TargetKind::Mixed, TargetKind::Soft] {
        for terms in terms(targets) {
            let mut key = KernelKey {
                driver: Driver::RowStream,
                terms,
                targets,
                storage: Storage::Separate,
                lanes: 1,
                workgroup: 64,
                chip: 0,
                argmax: false,
                gradient: false,
                coefficients: false,
            };
            for lanes in [1, 4] {
                key.lanes = lanes;
                for (driver, chip) in [(Driver::RowStream, 0), (Driver::RowChip, 8)] {
                    for argmax in BOTH {
                        let row = KernelKey { driver, chip, argmax, ..key };
                        keys.extend(STORAGES.map(|storage| KernelKey { storage, gradient: true, ..row }));
                        keys.push(KernelKey { coefficients: true, ..row });
                    }
                }
                let backward = KernelKey { driver: Driver::Backward, ..key };
                keys.extend(STORAGES.map(|storage| KernelKey { storage, ..backward }));
            }
            let scales = KernelKey { driver: Driver::ClassScaleGradient, lanes: 1, ..key };
            keys.extend(STORAGES.map(|storage| KernelKey { storage, ..scales }));
            keys.extend(small(targets, terms));
        }
    }
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}

/// The kernels over rows and classes, whose text depends on fewer terms.
fn small(targets: TargetKind, terms: InnerTerms) -> Vec<KernelKey> {
    let drivers =
        [Driver::Prepare, Driver::Denominator, Driver::Finish, Driver::CountLabels, Driver::RefreshCounts];
    let mut keys = Vec::new();
    for driver in drivers {
        let columns = matches!(driver, Driver::Prepare | Driver::RefreshCounts);
        let counted = terms.mitigation || terms.compensation;
        if driver == Driver::CountLabels && !counted || driver == Driver::RefreshCounts && !terms.mitigation {
            continue;
        }
        keys.push(KernelKey {
            driver,
            terms: InnerTerms {
                mitigation: terms.mitigation,
                class_scale: columns && terms.class_scale,
                bias: columns && terms.bias,
                ..InnerTerms::default()
            },
            targets,
            storage: Storage::Separate,
            lanes: 1,
            workgroup: 128,
            chip: 0,
            argmax: false,
            gradient: false,
            coefficients: false,
        });
    }
    keys
}

/// The key with the sizes that [`all`] has, for looking it up.
pub fn canonical(key: &KernelKey) -> KernelKey {
    let rows = !matches!(
        key.driver,
        Driver::Prepare | Driver::Denominator | Driver::Finish | Driver::CountLabels | Driver::RefreshCounts
    );
    KernelKey {
        workgroup: if rows { 64 } else { 128 },
        chip: if key.driver == Driver::RowChip { 8 } else { 0 },
        ..*key
    }
}
