//! The finite set of the grouped family's kernels: what `tests/grouped_shaders.rs` checks, and no plan goes beyond.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::gpu::Storage;
use longtail::gpu::grouped::{GroupedDriver, GroupedKey, GroupedTerms};
use longtail::gpu::shader::Cell;

const BOTH: [bool; 2] = [false, true];

fn terms() -> Vec<GroupedTerms> {
    let mut all = Vec::new();
    for bits in 0..32u32 {
        let bit = |place: u32| bits >> place & 1 == 1;
        let terms =
            GroupedTerms { others: bit(0), drawn: bit(1), given: bit(2), per_group: bit(3), tree: bit(4) };
        // Others of a tree, and rows that are both drawn and given, are refused.
        let none =
            terms.tree && (terms.others || terms.drawn) || terms.drawn && (terms.given || !terms.others);
        if !none {
            all.push(terms);
        }
    }
    all
}

/// A key with the sizes taken out, which only enter through the header.
pub fn plain(key: GroupedKey) -> GroupedKey {
    GroupedKey { workgroup: 8, nodes: if key.nodes > 0 { 64 } else { 0 }, ..key }
}

pub fn all() -> Vec<GroupedKey> {
    let mut keys = Vec::new();
    let bare = GroupedTerms::default();
    let new = |driver, terms| GroupedKey::new(driver, terms, 8);
    keys.push(new(GroupedDriver::Prepare, bare));
    for terms in terms() {
        // A tree's gates are no weights of rows.
        let counted = GroupedTerms { tree: false, given: terms.given && !terms.tree, ..terms };
        keys.push(new(GroupedDriver::Tally, counted));
        keys.push(new(GroupedDriver::Draw, counted));
    }
    for gradient in Cell::ALL {
        for (driver, of_sums) in
            [(GroupedDriver::LossSums, false), (GroupedDriver::Finish, false), (GroupedDriver::Finish, true)]
        {
            keys.push(GroupedKey { gradient, of_sums, ..new(driver, bare) });
        }
        for logits in Cell::ALL {
            let mixed = [Cell::NativeF16, Cell::PackedF16];
            if logits != gradient && mixed.contains(&logits) && mixed.contains(&gradient) {
                continue;
            }
            for terms in terms() {
                let rooms: &[u32] = if terms.tree { &[0, 64] } else { &[0] };
                for &nodes in rooms {
                    for argmax in BOTH {
                        let statistics = new(GroupedDriver::Statistics, terms);
                        keys.push(GroupedKey { logits, gradient, argmax, nodes, ..statistics });
                    }
                    for storage in [Storage::Separate, Storage::Shared, Storage::InPlace] {
                        if storage == Storage::InPlace && logits != gradient {
                            continue;
                        }
                        let key = |driver, terms| GroupedKey {
                            logits,
                            gradient,
                            storage,
                            nodes,
                            upstream: driver == GroupedDriver::Gradient,
                            ..new(driver, terms)
                        };
                        let of_gradient =
                            GroupedTerms { tree: terms.tree, given: terms.given && terms.tree, ..bare };
                        let both =
                            BOTH.map(|argmax| GroupedKey { argmax, ..key(GroupedDriver::Rows, terms) });
                        for key in both.into_iter().chain([key(GroupedDriver::Gradient, of_gradient)]) {
                            keys.push(key);
                            let packed = logits.packed() && gradient.packed();
                            if packed && !terms.tree && storage != Storage::InPlace {
                                keys.push(GroupedKey { straddle: true, ..key });
                            }
                        }
                    }
                }
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}
