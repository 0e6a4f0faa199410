//! Small wrong edits of the grouped kernels' text: each must make a compact conformance run fail.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/grouped.rs"]
mod grouped;
#[path = "support/grouped_tolerance.rs"]
mod grouped_tolerance;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/mutants.rs"]
mod mutants;
#[path = "support/tolerance.rs"]
mod tolerance;

use std::panic::AssertUnwindSafe;

use gpu::{Manner, Up, context, kernels_with};
use grouped::{Data, run, subjects};
use grouped_tolerance::Expected;
use longtail::gpu::{Kernels, Mode, Storage};
use longtail::{Element, GroupedLoss};
use mutants::Tally;

/// One wrong edit, and the subject and manner that must notice it.
struct Mutant {
    subject: &'static str,
    manner: Manner,
    from: &'static str,
    to: &'static str,
    /// With bindings of 2,048 bytes, which cut the rows into windows.
    windows: bool,
}

const PLAIN: Manner = Manner {
    mode: Mode::LossAndGrad,
    storage: Storage::Separate,
    choice: None,
    gaps: (0, 0),
    upstream: Up::One,
    argmax: true,
    class_scale: false,
    elements: (Element::F32, Element::F32),
    block: 0,
};
const IN_PLACE: Manner = Manner { storage: Storage::InPlace, ..PLAIN };
const BACKWARD: Manner = Manner { mode: Mode::ForwardBackward, upstream: Up::PerRow, ..PLAIN };
const HALF: Manner = Manner { elements: (Element::F16, Element::F16), ..PLAIN };
const STRIDED: Manner = Manner { gaps: (3, 5), ..PLAIN };

fn mutant(subject: &'static str, manner: Manner, from: &'static str, to: &'static str) -> Mutant {
    Mutant { subject, manner, from, to, windows: false }
}

fn in_windows(mutant: Mutant) -> Mutant {
    Mutant { windows: true, ..mutant }
}

const FEW: &str = "balanced groups, few others";
const GIVEN: &str = "balanced groups, given weights";
const OWN: &str = "balanced groups, own means alone";
const KEPT: &str = "balanced groups, mean over kept";

fn mutants() -> Vec<Mutant> {
    vec![
        // Labels and weights.
        mutant(FEW, PLAIN, "label == spec.ignore_index", "label == spec.ignore_index + 1"),
        mutant(FEW, PLAIN, "weight = row_weights[given];", "weight = 1.0;"),
        mutant(KEPT, PLAIN, "weight * spec.weight * share * count", "weight * share * count"),
        mutant(
            KEPT,
            PLAIN,
            "row_loss += weighted(spec.weight, count * cross.loss);",
            "row_loss += cross.loss;",
        ),
        // Targets.
        mutant(
            FEW,
            PLAIN,
            "return Target(slot, segment_start(slot), false);",
            "return Target(NONE, NONE, false);",
        ),
        mutant(
            "balanced groups, others as labels",
            PLAIN,
            "!(has_others(segment) && column == segment_start(segment))",
            "true",
        ),
        mutant("hierarchical", PLAIN, "== slot) {", "== slot + 1u) {"),
        mutant("tree, own means", PLAIN, "if (here.segment == group) {", "if (here.segment != NONE) {"),
        // The draw.
        mutant(
            FEW,
            PLAIN,
            "tables[spec.quotas + tally[at + TALLY_OWN]], others)",
            "tables[spec.quotas], others)",
        ),
        mutant(FEW, PLAIN, "rank = select(0u, drawn - 1u, wanted);", "rank = select(0u, drawn, wanted);"),
        mutant(FEW, PLAIN, "rank -= before;", ""),
        mutant(FEW, PLAIN, "let above = 0xffffff00u << shift;", "let above = 0u;"),
        mutant(FEW, PLAIN, "found_key |= placed;", "found_key = placed;"),
        mutant(FEW, PLAIN, "let drawn = key < last ||", "let drawn = key <= last + 0x8000000u ||"),
        mutant(FEW, PLAIN, "number <= tally[at + TALLY_LAST_ROW]", "number < tally[at + TALLY_LAST_ROW]"),
        mutant(FEW, PLAIN, "return here.segment == segment && !here.own;", "return here.segment == segment;"),
        mutant(FEW, PLAIN, "x += y; y = rotated(y, 24u) ^ x;", ""),
        mutant(FEW, PLAIN, "return select(words.x, words.y, (row & 1u) == 1u);", "return words.x;"),
        mutant(FEW, PLAIN, "seed_high, low, high", "seed_low, low, high"),
        // Denominators.
        mutant(OWN, PLAIN, "var rows = f32(own + others);", "var rows = f32(own);"),
        mutant(GIVEN, PLAIN, "rows = bitcast<f32>(tally[at + TALLY_SUM]);", ""),
        mutant(
            KEPT,
            PLAIN,
            "batch_inverse = inverse(kept);",
            "batch_inverse = 1.0 / f32(window.batch_rows);",
        ),
        mutant(
            "balanced groups, pairs",
            PLAIN,
            "vec2<u32>(1u, tables[spec.label_pairs + u32(label)])",
            "vec2<u32>(1u, 2u)",
        ),
        mutant(
            "hierarchical, fixed",
            PLAIN,
            "var batch_inverse = spec.fixed_inverse;",
            "var batch_inverse = 1.0;",
        ),
        mutant(
            "tree, weights",
            PLAIN,
            "TALLY_TREE_INVERSE] = bitcast<u32>(inverse(kept))",
            "TALLY_TREE_INVERSE] = 0u",
        ),
        // Given weights.
        mutant(GIVEN, PLAIN, "load_dense(row.dense + here.segment)", "load_dense(row.dense)"),
        mutant(GIVEN, PLAIN, "row * window.dense_stride + segment", "row * window.classes + segment"),
        // A segment's softmax.
        mutant("one group", PLAIN, "return select(unmasked(z), NEG_MAX, j == goal);", "return unmasked(z);"),
        mutant("hierarchical, wide", PLAIN, "(*mass).sum * exp((*mass).max - top)", "(*mass).sum"),
        mutant("one group", PLAIN, "total.sum * exp(total.max - top)", "total.sum"),
        mutant("one group", PLAIN, "(*mass).sum * below + 1.0", "(*mass).sum + 1.0"),
        mutant("one group", PLAIN, "-coefficient * cross.rest", "-coefficient"),
        mutant("one group", PLAIN, "+ log1p_unit(small)", ""),
        mutant(KEPT, PLAIN, "exp(-min(row_own, 200.0))", "exp(-min(row_loss, 200.0))"),
        mutant(FEW, PLAIN, "if (is_column_of(u32(row.label), here.column)) {", "{"),
        mutant("one group", PLAIN, "&& j < (*scan).index", "&& j > (*scan).index"),
        mutant("hierarchical", PLAIN, "scan_columns(row, thread, rest, begin, &scan);", ""),
        mutant("hierarchical", PLAIN, "thread, rest, window.classes, &scan)", "thread, rest, 0u, &scan)"),
        mutant("hierarchical", PLAIN, "run_from(row, (*run).slot + 1u)", "run_from(row, (*run).slot + 2u)"),
        mutant("hierarchical", PLAIN, "g = select(g, own, here);", "g = own;"),
        // A tree: its gates and scores.
        mutant("tree", PLAIN, ">> 8u) >= spec.drop_threshold", ">> 8u) < spec.drop_threshold"),
        mutant(
            "tree, given gates",
            PLAIN,
            "load_dense(row.dense + segment) != 0.0",
            "load_dense(row.dense + segment) == 0.0",
        ),
        mutant("tree", PLAIN, "bits != CLOSED && node > 0u &&", "bits != CLOSED &&"),
        mutant(
            "tree",
            PLAIN,
            "set_score(step.below, select(CLOSED, bitcast<u32>(score), open));",
            "set_score(step.below, select(bitcast<u32>(z), bitcast<u32>(score), open));",
        ),
        mutant("tree", PLAIN, "return select(score + z,", "return select(z,"),
        mutant("tree", PLAIN, "if (node == on_path) {", "if (node == on_path + 1u) {"),
        mutant("tree", PLAIN, "add_to(mass, min(held, spec.ceiling));", ""),
        mutant(
            "tree, low ceiling",
            PLAIN,
            "select(NEG_MAX, min(held, spec.ceiling), leaf",
            "select(NEG_MAX, held, leaf",
        ),
        mutant(
            "tree, low ceiling",
            PLAIN,
            "cross_entropy(min(standing, spec.ceiling), others)",
            "cross_entropy(standing, others)",
        ),
        mutant("tree", PLAIN, "leaf && j != step.goal));", "leaf));"),
        mutant("tree", PLAIN, "step.here && j != step.goal", "step.here"),
        mutant("tree", PLAIN, "path_mass[path.parity] = *own;", "path_mass[1u - path.parity] = *own;"),
        mutant("tree, wide", PLAIN, "let total = merged(thread, own);", "let total = own;"),
        mutant("tree, weights", PLAIN, "weight * spec.tree_weight * inverse", "weight * inverse"),
        // Chunks, and nodes with many columns.
        mutant("tree", PLAIN, "chunk.below += select(0u, 1u, inner);", ""),
        mutant("tree, another order", PLAIN, "segment = tables[spec.node_segments + node];", ""),
        mutant(
            "tree, wide",
            PLAIN,
            "wide.first + WG * (step & 0xfffffffeu)",
            "wide.first + 2u * WG * (step & 0xfffffffeu)",
        ),
        mutant("tree, wide", PLAIN, "begin + 1u + 2u * WG - 1u) / (2u * WG)", "begin) / (2u * WG)"),
        mutant("tree, many nodes", PLAIN, "below = tables[spec.column_nodes + j];", ""),
        // Its gradient.
        mutant("tree, low ceiling", PLAIN, "select(slope, 0.0, held > spec.ceiling)", "slope"),
        mutant("tree", PLAIN, "-leaves.rest, stands", "-1.0, stands"),
        mutant("tree", PLAIN, "own, of_below == CLOSED)", "0.0, of_below == CLOSED)"),
        mutant("tree", PLAIN, "z), j == ascent.goal);", "z), false);"),
        mutant("tree", PLAIN, "0.0, bits == CLOSED);", "0.0, false);"),
        mutant("tree, many nodes", PLAIN, "sum = select(sum, 0.0, begins);", ""),
        mutant("tree, wide", PLAIN, "tree_slopes[thread] += tree_slopes[thread + half];", ""),
        mutant("tree", PLAIN, "select(0.0, g, ascent.counts)", "g + 1e-3"),
        mutant("tree", HALF, "write_waiting(row, waiting.first, waiting.of_first);", ""),
        mutant("tree", HALF, "write_waiting(row, waiting.last, waiting.of_last);", ""),
        mutant("tree", HALF, "(old & 0xffffu) | (bits << 16u)", "bits << 16u"),
        mutant("tree", HALF, "(old & 0xffff0000u) | bits", "bits"),
        mutant("tree", HALF, "if ((row.gradient & 1u) == 1u) {", "if (false) {"),
        mutant("tree", IN_PLACE, "ascend(thread, label);", ""),
        mutant("tree", BACKWARD, "ascent.factor * select", "select"),
        // Rows, words, upstream.
        mutant("hierarchical", STRIDED, "row.rows * window.logits_stride", "row.rows * window.classes"),
        mutant(
            "hierarchical",
            BACKWARD,
            "select(factor * segment_part(j, held, z), factor,",
            "select(segment_part(j, held, z), factor,",
        ),
        mutant(
            "hierarchical, wide",
            PLAIN,
            "(select(run.begin, run.end, inside) + row.shift)",
            "(select(run.begin, window.classes, inside) + row.shift)",
        ),
        mutant("hierarchical", HALF, "if (wanted == 1u) {", "if (wanted == 2u) {"),
        mutant(
            "hierarchical, wide",
            HALF,
            "select(NO_BLOCK, blocks.whole_end",
            "select(NO_BLOCK, blocks.begin",
        ),
        // Windows.
        in_windows(mutant(FEW, PLAIN, "labels[given]", "labels[row]")),
        in_windows(mutant(FEW, PLAIN, "draw_word(row.rows + window.first_row", "draw_word(row.rows")),
        in_windows(mutant(FEW, PLAIN, "tally[at] = before.x +", "tally[at] =")),
        in_windows(mutant(
            GIVEN,
            PLAIN,
            "bitcast<u32>(sum_before + tree_sums[0])",
            "bitcast<u32>(tree_sums[0])",
        )),
        in_windows(mutant(
            "tree",
            PLAIN,
            "draw_word(row.rows + window.first_row, segment) >>",
            "draw_word(row.rows, segment) >>",
        )),
    ]
}

fn subject(name: &str) -> GroupedLoss {
    let found = subjects().into_iter().find(|subject| subject.name == name);
    found.unwrap_or_else(|| panic!("no subject {name}")).spec
}

/// The worst ratio to a tolerance over a few small batches; the text of all kernels that ran. A panic (a byte written
/// that no pass may write) and a status count as noticed.
fn conforms(kernels: &Kernels, mutant: &Mutant) -> (f64, String) {
    let spec = subject(mutant.subject);
    let mut worst = 0.0f64;
    let mut text = String::new();
    for (seed, rows) in [(2, 24), (3, 61)] {
        let mut data = Data::new(&spec, rows, seed, mutant.manner.elements.0);
        // Two logits that are the largest.
        data.logits[9] = 30.0;
        data.logits[1] = 30.0;
        data.widen();
        let want = Expected::new(&spec, &data, mutant.manner.upstream).unwrap();
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| run(kernels, &spec, &data, mutant.manner)));
        let Ok(result) = result else { return (f64::INFINITY, text) };
        let (plan, got) = result.unwrap_or_else(|error| panic!("{}: {error}", mutant.from));
        for (key, _) in plan.kernels() {
            text.push_str(&key.wgsl());
        }
        assert!(!mutant.windows || plan.windows().0 > 1 || rows < 61, "{}: one window", mutant.subject);
        worst = worst.max(want.compare(&got, mutant.manner.gradient()).ratio);
        if got.status.is_some() {
            worst = f64::INFINITY;
        }
    }
    (worst, text)
}

#[test]
fn every_mutant_is_noticed() {
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 2048);
    let mut tally = Tally::default();
    for mutant in mutants() {
        let kernels = if mutant.windows { &small } else { context().kernels() };
        let edit = (mutant.from, mutant.to);
        tally.check(mutant.subject, kernels, edit, |kernels| conforms(kernels, &mutant));
    }
    tally.close();
}
