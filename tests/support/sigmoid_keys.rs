//! A finite set of the sigmoid family's kernels: every form that a plan can ask for, and sets of terms that meet every
//! pair of them. Terms and element types do not meet in the shaders, so a key belongs to the set if its form does and
//! its terms go together.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::TargetKind;
use longtail::gpu::shader::Cell;
use longtail::gpu::{SigmoidDriver, SigmoidKey, SigmoidTerms, Storage};
use std::collections::HashSet;

const BOTH: [bool; 2] = [false, true];
const STORAGES: [Storage; 3] = [Storage::Separate, Storage::Shared, Storage::InPlace];
pub const KINDS: [TargetKind; 2] = [TargetKind::Hard, TargetKind::MultiHot];

/// Whether a kernel's inner loops look at the class table.
fn has_table(key: &SigmoidKey) -> bool {
    key.driver.over_logits() || key.driver == SigmoidDriver::Prepare && key.targets == TargetKind::MultiHot
}

/// Whether every device binds as many storage buffers: four of the plan, logits, gradient, targets, gates or weights, and
/// the parts of accumulated gradients.
fn bindable(key: &SigmoidKey) -> bool {
    let gates = key.terms.gate_given || key.terms.weights_given || key.terms.suppression && !key.terms.draws;
    let accumulates = key.driver == SigmoidDriver::DownColumns && key.terms.balance;
    let dense = key.targets == TargetKind::MultiHot;
    let apart = key.writes && key.storage != Storage::InPlace;
    5 + [gates, accumulates, dense, apart].iter().filter(|bound| **bound).count() <= 8
}

type Switch = fn(&mut SigmoidTerms);

/// Each term with what it cannot be without.
const SWITCHES: [Switch; 21] = [
    |terms| terms.bias = true,
    |terms| terms.bias_on_background = true,
    |terms| terms.background = true,
    |terms| terms.margin = true,
    |terms| (terms.margin, terms.margin_summed) = (true, true),
    |terms| terms.negative_scale = true,
    |terms| terms.positive_weight = true,
    |terms| terms.class_weights = true,
    |terms| terms.row_weight = true,
    |terms| terms.rebalance = true,
    |terms| terms.norm = true,
    |terms| terms.sides = true,
    |terms| terms.balance = true,
    |terms| terms.gate = true,
    |terms| (terms.gate, terms.gate_draws) = (true, true),
    |terms| terms.gate_given = true,
    |terms| (terms.background, terms.suppression) = (true, true),
    |terms| (terms.background, terms.suppression, terms.draws) = (true, true, true),
    |terms| terms.weights_given = true,
    |terms| terms.focal = true,
    |terms| (terms.focal, terms.focal_square) = (true, true),
];

/// Whether a checked spec can have these terms.
pub fn go_together(terms: &SigmoidTerms, targets: TargetKind, link: bool) -> bool {
    let given = [terms.gate_given, terms.suppression && !terms.draws, terms.weights_given];
    let contradicts = terms.margin_summed && !terms.margin
        || terms.gate && terms.gate_given
        || terms.gate_draws && !terms.gate
        || terms.draws && !terms.suppression
        || terms.focal_square && !terms.focal
        || terms.suppression && (targets != TargetKind::Hard || !terms.background)
        || given.iter().filter(|given| **given).count() > 1
        || terms.norm && terms.class_weights && terms.rebalance;
    let of_sigmoids =
        terms.focal || terms.positive_weight || terms.balance || terms.suppression || terms.negative_scale;
    !(contradicts || link && of_sigmoids)
}

/// No terms, each alone, each pair, and as many as go together.
pub fn term_sets(targets: TargetKind, link: bool) -> Vec<SigmoidTerms> {
    let mut sets = vec![SigmoidTerms::default()];
    for (index, first) in SWITCHES.iter().enumerate() {
        for second in &SWITCHES[index..] {
            let mut terms = SigmoidTerms::default();
            first(&mut terms);
            second(&mut terms);
            sets.push(terms);
        }
    }
    sets.extend(rich_sets(targets, link));
    let mut seen = HashSet::new();
    sets.retain(|terms| go_together(terms, targets, link) && seen.insert(*terms));
    sets
}

/// As many terms as go together, in several orders of preference.
fn rich_sets(targets: TargetKind, link: bool) -> Vec<SigmoidTerms> {
    let collect = |order: &mut dyn Iterator<Item = &Switch>| {
        let mut all = SigmoidTerms::default();
        for switch in order {
            let mut more = all;
            switch(&mut more);
            if go_together(&more, targets, link) {
                all = more;
            }
        }
        all
    };
    vec![
        collect(&mut SWITCHES.iter()),
        collect(&mut SWITCHES.iter().rev()),
        collect(&mut SWITCHES.iter().skip(9).chain(SWITCHES.iter().take(9))),
    ]
}

/// The pairs of element types that a plan may have: one of logits, one of the gradient.
fn cells() -> Vec<(Cell, Cell)> {
    let pairs = Cell::ALL.into_iter().flat_map(|logits| Cell::ALL.map(|gradient| (logits, gradient)));
    // A plan reads and writes f16 in one way.
    let mixed =
        |pair| matches!(pair, (Cell::NativeF16, Cell::PackedF16) | (Cell::PackedF16, Cell::NativeF16));
    pairs.filter(|&pair| !mixed(pair)).collect()
}

/// Every key: all sets of terms in f32, and all forms with the richest sets.
pub fn all() -> Vec<SigmoidKey> {
    let mut keys = Vec::new();
    for targets in KINDS {
        for driver in SigmoidDriver::ALL {
            let link = driver == SigmoidDriver::SoftmaxLink;
            let forms = forms(driver, targets);
            if forms.is_empty() {
                continue;
            }
            let plain: Vec<_> =
                forms.iter().filter(|key| (key.logits, key.gradient) == (Cell::F32, Cell::F32)).collect();
            // Forms go round, so that sets of terms meet different ones.
            for (turn, terms) in term_sets(targets, link).into_iter().enumerate() {
                keys.push(of_terms(*plain[7 * turn % plain.len()], terms, turn));
            }
            for (turn, form) in forms.iter().enumerate() {
                let rich = rich_sets(targets, link);
                keys.push(of_terms(*form, rich[turn % rich.len()], turn / 2));
            }
        }
    }
    let mut seen = HashSet::new();
    keys.retain(|key| bindable(key) && seen.insert(*key));
    keys
}

/// The form with terms; every other time with the class table as a uniform block, two times of three with columns on chip.
fn of_terms(form: SigmoidKey, terms: SigmoidTerms, turn: usize) -> SigmoidKey {
    let class_vectors = if has_table(&form) && turn % 2 == 1 { 512 } else { 0 };
    let held = if form.driver == SigmoidDriver::SoftmaxLink && !turn.is_multiple_of(3) { 8 } else { 0 };
    SigmoidKey { terms, class_vectors, held, ..form }
}

/// Every form of a kernel, without terms.
fn forms(driver: SigmoidDriver, targets: TargetKind) -> Vec<SigmoidKey> {
    let hard = targets == TargetKind::Hard;
    let key = |workgroup| SigmoidKey::new(driver, targets, workgroup);
    match driver {
        SigmoidDriver::Prepare if hard => {
            let keys = BOTH.map(|settles| SigmoidKey { settles, ..key(128) });
            let alone = keys.map(|key| SigmoidKey { alone: true, ..key });
            let refreshing =
                keys.into_iter().flat_map(|key| BOTH.map(|refreshes| SigmoidKey { refreshes, ..key }));
            refreshing.chain(alone).collect()
        }
        SigmoidDriver::Prepare => BOTH.map(|settles| SigmoidKey { settles, ..key(64) }).to_vec(),
        SigmoidDriver::Settle | SigmoidDriver::Totals | SigmoidDriver::Refresh => vec![key(128)],
        SigmoidDriver::Draw if hard => BOTH.map(|marks| SigmoidKey { marks, ..key(128) }).to_vec(),
        SigmoidDriver::Factor if hard => vec![key(128)],
        SigmoidDriver::LossSums | SigmoidDriver::Finish if hard => {
            let gradients = [Cell::F32, Cell::PackedF16];
            let keys = gradients.map(|gradient| SigmoidKey { gradient, ..key(128) });
            let keys = keys.into_iter().flat_map(|key| BOTH.map(|argmax| SigmoidKey { argmax, ..key }));
            let walks = if driver == SigmoidDriver::Finish { 0..2 } else { 0..1 };
            keys.flat_map(|key| walks.clone().map(move |walk| SigmoidKey { walk, ..key })).collect()
        }
        SigmoidDriver::Draw | SigmoidDriver::Factor | SigmoidDriver::LossSums | SigmoidDriver::Finish => {
            Vec::new()
        }
        SigmoidDriver::WrittenSums => vec![key(64), key(256)],
        SigmoidDriver::PartSums if hard => vec![SigmoidKey { walk: 1, ..key(64) }],
        SigmoidDriver::PartSums => Vec::new(),
        SigmoidDriver::ColumnSums => Cell::ALL.map(|logits| SigmoidKey { logits, ..key(64) }).to_vec(),
        SigmoidDriver::Rows | SigmoidDriver::SoftmaxLink => of_rows(key(64)),
        SigmoidDriver::DownColumns => {
            let forms = of_rows(key(64)).into_iter().filter(|key| key.lanes == 4 && key.sums);
            forms.map(|key| SigmoidKey { walk: 1, ..key }).collect()
        }
    }
}

fn of_rows(key: SigmoidKey) -> Vec<SigmoidKey> {
    let splits: &[bool] = if key.driver != SigmoidDriver::SoftmaxLink { &BOTH } else { &[false] };
    let mut forms = Vec::new();
    for (logits, gradient) in cells() {
        for lanes in [1, 4] {
            let key = SigmoidKey { logits, gradient, lanes, ..key };
            for storage in STORAGES {
                if storage == Storage::InPlace && logits != gradient {
                    continue;
                }
                let straddles: &[bool] = match logits.packed() && gradient.packed() {
                    true if storage != Storage::InPlace => &BOTH,
                    _ => &[false],
                };
                for &straddle in straddles {
                    let key = SigmoidKey { storage, straddle, writes: true, ..key };
                    forms.push(SigmoidKey { factor_of_rows: true, ..key });
                    for &split in splits {
                        forms.extend(BOTH.map(|argmax| SigmoidKey { argmax, split, sums: true, ..key }));
                    }
                }
            }
            for &split in splits {
                forms.extend(BOTH.map(|argmax| SigmoidKey { argmax, split, sums: true, ..key }));
            }
        }
    }
    forms
}

/// Whether a plan's key is of the set: its form, and its terms.
pub struct Known(HashSet<SigmoidKey>);

impl Known {
    pub fn new() -> Self {
        let forms = KINDS.into_iter().flat_map(|targets| {
            SigmoidDriver::ALL.into_iter().flat_map(move |driver| forms(driver, targets))
        });
        Self(forms.collect())
    }

    pub fn has(&self, key: &SigmoidKey) -> bool {
        let rows = matches!(
            key.driver,
            SigmoidDriver::Rows | SigmoidDriver::DownColumns | SigmoidDriver::SoftmaxLink
        );
        let sums = matches!(
            key.driver,
            SigmoidDriver::ColumnSums | SigmoidDriver::WrittenSums | SigmoidDriver::PartSums
        );
        let scans = key.driver == SigmoidDriver::Prepare && key.targets == TargetKind::MultiHot;
        let workgroup = match key.driver {
            _ if rows || sums || scans => 64,
            SigmoidDriver::Totals | SigmoidDriver::Draw | SigmoidDriver::LossSums | SigmoidDriver::Finish => {
                128
            }
            SigmoidDriver::Prepare if key.alone => 128,
            _ => key.workgroup,
        };
        let link = key.driver == SigmoidDriver::SoftmaxLink;
        // Any kernel that looks at the table may have it as a uniform block.
        let terms = SigmoidTerms::default();
        let form = SigmoidKey { terms, workgroup, class_vectors: 0, held: 0, walk: key.walk.min(1), ..*key };
        self.0.contains(&form)
            && bindable(key)
            && (key.class_vectors == 0 || has_table(key))
            && (key.held == 0 || link)
            // Other kernels have a part of their plan's terms.
            && (!key.driver.over_logits() || go_together(&key.terms, key.targets, link))
    }
}
