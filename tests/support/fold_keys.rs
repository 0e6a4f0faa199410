//! The kernels that compute their logits: every set of the loss's terms behind one head, every set of a head's terms, every
//! tile and every element behind the richest loss.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::keys;
use longtail::TargetKind;
use longtail::gpu::head::{FoldKey, HeadTerms, MarginKind};
use longtail::gpu::matmul::{Tile, Words};
use longtail::gpu::shader::{Driver, InnerTerms, KernelKey, Look};
use longtail::head::{Beyond, ClassScale};

const BOTH: [bool; 2] = [false, true];
const KINDS: [TargetKind; 3] = [TargetKind::Hard, TargetKind::Mixed, TargetKind::Soft];
const WORDS: [Words; 6] = [Words::F32, Words::F32x4, Words::F16, Words::F16x4, Words::Bf16, Words::Bf16x4];

pub fn tiles() -> [Tile; 7] {
    [
        Tile::broadcast(),
        Tile::direct(8, 2, 4),
        Tile::direct(4, 2, 4),
        Tile::direct(4, 1, 1),
        Tile::staged(8, 8, 4, 8),
        Tile::staged(4, 8, 8, 8),
        Tile::staged(4, 4, 8, 8),
    ]
}

/// A kernel of a loss over a tile; labels have no tile of their own.
fn over(loss: KernelKey, tile: Tile) -> FoldKey {
    let folds = loss.driver == Driver::Partial;
    FoldKey {
        loss: match folds {
            true => KernelKey { lanes: 4, workgroup: tile.workgroup(), ..loss },
            false => KernelKey { lanes: 1, workgroup: 64, ..loss },
        },
        terms: HeadTerms::default(),
        a: Words::F32x4,
        b: Words::F32x4,
        factors: [true; 2],
        parts: false,
        tile: if folds { tile } else { Tile::direct(4, 1, 1) },
    }
}

/// The kernels of a set of the loss's terms.
fn of_loss(targets: TargetKind, terms: InnerTerms, tile: Tile) -> Vec<FoldKey> {
    let loss = |driver| KernelKey { terms, ..KernelKey::new(driver, targets, 1) };
    let mut looks = vec![Look::Final];
    looks.extend((terms.compensation && terms.floor).then_some(Look::Raw));
    // The largest logit is found beside all else, not by itself.
    let argmax = terms.bias == terms.class_scale;
    let mut keys: Vec<FoldKey> = looks
        .into_iter()
        .map(|look| over(KernelKey { look, argmax, ..loss(Driver::Partial) }, tile))
        .collect();
    keys.extend((targets != TargetKind::Soft).then(|| over(loss(Driver::LabelLogits), tile)));
    keys
}

fn head_terms() -> Vec<HeadTerms> {
    let mut margins = vec![MarginKind::None, MarginKind::Cosine];
    for beyond in [Beyond::Linear, Beyond::Easy, Beyond::Nothing] {
        margins.extend(BOTH.map(|straight_through| MarginKind::Angle { beyond, straight_through }));
    }
    let mut all = Vec::new();
    for margin in margins {
        for class_scale in [ClassScale::None, ClassScale::Weights, ClassScale::Logits] {
            for bits in 0..4 {
                let mut terms = HeadTerms::default();
                (terms.margin, terms.class_scale) = (margin, class_scale);
                (terms.bias, terms.distance) = (bits & 1 == 1, bits & 2 == 2);
                all.push(terms);
            }
        }
    }
    all
}

pub fn all() -> Vec<FoldKey> {
    let mut keys = Vec::new();
    for targets in KINDS {
        for terms in keys::terms(targets) {
            keys.extend(of_loss(targets, terms, Tile::direct(4, 2, 4)));
        }
    }
    let rich = InnerTerms {
        mitigation: true,
        compensation: true,
        floor: true,
        dense: true,
        ..InnerTerms::default()
    };
    let rich = |tile| of_loss(TargetKind::Hard, rich, tile);
    for terms in head_terms() {
        for factors in [[false, false], [true, false], [false, true], [true, true]] {
            // A distance has factors.
            if !terms.distance || factors == [true, true] {
                let keys_of =
                    rich(Tile::direct(4, 1, 1)).into_iter().filter(|key| key.loss.look == Look::Final);
                keys.extend(keys_of.map(|key| FoldKey { terms, factors, ..key }));
            }
        }
    }
    for tile in tiles() {
        for parts in BOTH {
            keys.extend(rich(tile).into_iter().map(|key| FoldKey { parts, ..key }));
        }
    }
    for a in WORDS {
        for b in WORDS {
            keys.extend(rich(Tile::broadcast()).into_iter().map(|key| FoldKey { a, b, ..key }));
        }
    }
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(*key));
    keys
}
