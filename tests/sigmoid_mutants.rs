//! Small wrong edits of the sigmoid family's shaders: each must make a compact conformance run fail.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/sigmoid_cases.rs"]
mod sigmoid_cases;
#[path = "support/sigmoid_keys.rs"]
mod sigmoid_keys;
#[path = "support/sigmoid_tally.rs"]
mod sigmoid_tally;
#[path = "support/sigmoid_tolerance.rs"]
mod sigmoid_tolerance;
#[path = "support/tolerance.rs"]
mod tolerance;

use TargetKind::{Hard, MultiHot};
use gpu::{Manner, Up, context, kernels_with};
use inputs::Data;
use longtail::gpu::{Kernels, Mode, RowChoice, Storage};
use longtail::sigmoid::Link;
use longtail::{Element, Reduction, TargetKind};
use sigmoid_cases::{data, named};
use sigmoid_tally::{compare, run};
use std::panic::AssertUnwindSafe;

/// One wrong edit, and the loss, the targets and the manner that must notice it.
struct Mutant {
    from: &'static str,
    to: &'static str,
    subject: &'static str,
    kind: TargetKind,
    manner: Manner,
    /// With bindings so small that 37 classes are cut into windows of rows, and 300 into windows of classes.
    device: Device,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Whole,
    Rows,
    Classes,
}

const PLAIN: Manner = Manner {
    mode: Mode::LossAndGrad,
    storage: Storage::Separate,
    choice: Some(RowChoice::stream(1, 8)),
    gaps: (0, 0),
    upstream: Up::One,
    argmax: true,
    class_scale: false,
    elements: (Element::F32, Element::F32),
    block: 0,
};
// A thread has several blocks of a row.
const NARROW: Manner = Manner { choice: Some(RowChoice::stream(1, 2)), ..PLAIN };
// Five pieces: the last is not among four.
const SPLIT: Manner = Manner { choice: Some(RowChoice::stream(1, 2).with_split(5)), ..PLAIN };
const BACKWARD: Manner = Manner { mode: Mode::ForwardBackward, upstream: Up::PerRow, ..PLAIN };
const FOUR: Manner = Manner { choice: Some(RowChoice::stream(4, 8)), ..PLAIN };
const FOUR_HALF: Manner = Manner { elements: (Element::F16, Element::F16), ..FOUR };
// A workgroup's second sixteen rows are three, and nine with pairs of columns in a word.
const DOWN: Manner = Manner { choice: Some(RowChoice::stream(32, 4)), ..PLAIN };
const DOWN_HALF: Manner = Manner { elements: (Element::F16, Element::F16), ..DOWN };
const DOWN_SPLIT: Manner = Manner { choice: Some(RowChoice::stream(16, 2).with_split(3)), ..PLAIN };
const HALF: Manner = Manner { elements: (Element::F16, Element::F16), ..PLAIN };

fn mutant(
    subject: &'static str,
    kind: TargetKind,
    manner: Manner,
    from: &'static str,
    to: &'static str,
) -> Mutant {
    Mutant { from, to, subject, kind, manner, device: Device::Whole }
}

fn on(device: Device, mutant: Mutant) -> Mutant {
    Mutant { device, ..mutant }
}

fn mutants() -> Vec<Mutant> {
    vec![
        // Elements.
        mutant("bias and scale", Hard, PLAIN, "var v = z * spec.scale;", "var v = z;"),
        mutant("bias not on background", Hard, PLAIN, "row.background & B(!BIAS", "row.background & B(BIAS"),
        mutant("own margins", MultiHot, PLAIN, "v - margin, t > F(0.0)", "v - margin, t == F(1.0)"),
        mutant("negative scale", Hard, PLAIN, "slope * side * spec.scale", "slope * spec.scale"),
        mutant("positive weight", MultiHot, PLAIN, "column.positive_weight * t * q", "t * q"),
        mutant("focal 3 and negative scale", MultiHot, PLAIN, "* (1.0 - 2.0 * t) * cost", "* cost"),
        mutant("focal 2", MultiHot, PLAIN, "change = base * (s * q)", "change = s * q"),
        mutant("focal 2", Hard, PLAIN, "var modulator = base * base;", "var modulator = base;"),
        mutant("focal 1/2", Hard, PLAIN, "max(gamma * log_x,", "max(0.999 * gamma * log_x,"),
        mutant("focal 1/2", MultiHot, PLAIN, "exp(gamma * log(", "exp(0.999 * gamma * log("),
        mutant("bce", MultiHot, PLAIN, "select(-t, negative, up) * u", "select(t, negative, up) * u"),
        mutant("bce", Hard, PLAIN, "max(select(u, -u, label)", "max(select(u, u, label)"),
        mutant("focal detached", Hard, PLAIN, "spec.focal_change * change", "spec.focal_gamma * change"),
        // Weights.
        mutant("class weights", Hard, PLAIN, "row.weight * column.weight * row.rho", "row.weight * row.rho"),
        mutant("everything", MultiHot, PLAIN, "sided(t, 1.0, spec.inverse_negative_scale)", "1.0"),
        mutant(
            "gradient balance",
            MultiHot,
            PLAIN,
            "sided(t, column.positive, column.negative)",
            "sided(t, column.negative, column.positive)",
        ),
        mutant(
            "gates by element",
            MultiHot,
            PLAIN,
            "select(t, F(1.0), counts(row",
            "select(F(0.0), F(1.0), counts(row",
        ),
        mutant("drawn rows", Hard, PLAIN, "v >= F(spec.score_threshold)", "v < F(spec.score_threshold)"),
        mutant("rebalanced", MultiHot, PLAIN, "slope * row.spread", "slope / row.spread"),
        mutant("gradient balance", Hard, PLAIN, "U(max(row.label, I(0)))", "U(0u)"),
        mutant("bias and scale", Hard, PLAIN, "class_table[i >> 2u][i & 3u]", "class_table[i >> 2u][0u]"),
        // Rows.
        mutant("mean count", MultiHot, PLAIN, "lane < min(4u, window.rows - first)", "lane < 1u"),
        mutant(
            "mean count",
            MultiHot,
            PLAIN,
            "dense[base.y + j], dense[base.z + j]",
            "dense[base.z + j], dense[base.y + j]",
        ),
        mutant("smallest count among absent ones", MultiHot, PLAIN, "(1.0 - t) * spec.absent", "spec.absent"),
        mutant(
            "smallest count among absent ones",
            MultiHot,
            PLAIN,
            "min(tree_least[thread], tree_least[other])",
            "tree_least[thread]",
        ),
        mutant("mean count", MultiHot, PLAIN, "tree_rho[thread] += tree_rho[other];", ""),
        mutant("rebalanced", MultiHot, PLAIN, "tree_share[thread] += tree_share[other];", ""),
        mutant(
            "summed margins at scale 30",
            MultiHot,
            PLAIN,
            "tree_margin[thread] += tree_margin[other];",
            "",
        ),
        mutant(
            "mean count",
            MultiHot,
            PLAIN,
            "read_row(FIELD_RHO, row) / positives",
            "read_row(FIELD_RHO, row)",
        ),
        mutant(
            "mean weights over the row's largest",
            MultiHot,
            PLAIN,
            "if (spec.weight_norm == NORM_ROW) {",
            "if (false) {",
        ),
        mutant(
            "mean weights over the batch's largest",
            Hard,
            PLAIN,
            "mine.y = max(mine.y,",
            "mine.y = min(mine.y,",
        ),
        mutant(
            "gradient balance with a background column",
            Hard,
            PLAIN,
            "label >= 0 && !in_column",
            "label >= 0",
        ),
        mutant(
            "gradient balance with a background column",
            Hard,
            PLAIN,
            "(!in_column || i32(j",
            "(true || i32(j",
        ),
        // Draws.
        mutant("gates by element", Hard, FOUR, "(rows & U(2u)) == U(2u)", "(rows & U(2u)) == U(4u)"),
        mutant("gates by element", Hard, FOUR_HALF, "if (!any(later)) {", "if (true) {"),
        mutant("gates by element", Hard, FOUR, "let fours = rows >> U(2u);", "let fours = rows;"),
        mutant(
            "drawn rows",
            Hard,
            PLAIN,
            "below + here < quota;\n    below += select(0u, here, open);\n    bin",
            "below + here < quota / 2u;\n    below += select(0u, here, open);\n    bin",
        ),
        mutant("drawn rows", Hard, PLAIN, "own < lasts[group].x || own", "own > lasts[group].x || own"),
        mutant("drawn rows", Hard, PLAIN, "part += select(0u, 1u, open);", ""),
        mutant("drawn rows", Hard, PLAIN, "(1u << shift) - 1u, below", "0u, below"),
        mutant("drawn rows", Hard, PLAIN, "last.below + last.equal > quota", "last.below > quota"),
        mutant("drawn rows", Hard, PLAIN, "store_drawn(row, ends);", ""),
        mutant("drawn rows", Hard, PLAIN, "  draw_rows(thread);", ""),
        mutant("drawn rows", Hard, PLAIN, "  total_rows(thread);", ""),
        // What is made along with the rows' fields.
        mutant("gradient balance", Hard, PLAIN, "refresh_class(row);", ""),
        mutant("mean count", MultiHot, PLAIN, "settle_row(first + lane);", ""),
        // Sums over rows, written or made again.
        mutant("gradient balance", Hard, PLAIN, "1.0 / inverse, inverse != 0.0", "1.0, inverse != 0.0"),
        mutant("gradient balance", MultiHot, BACKWARD, "item += WG / COLUMNS", "item += WG"),
        mutant("gradient balance", Hard, PLAIN, "gradient < vec4<f32>(0.0)", "gradient > vec4<f32>(0.0)"),
        // Down the columns.
        mutant("gradient balance", Hard, DOWN, "select(gradient_parts[at], 0.0, first)", "0.0"),
        mutant("gradient balance", Hard, DOWN, "select(gradient_parts[place], 0.0, first)", "0.0"),
        mutant("gradient balance", Hard, DOWN, "select(F(0.0), row.weight, row.live)", "row.weight"),
        mutant("gradient balance", Hard, DOWN, "any_lane(share.positive != F(0.0))", "false"),
        mutant(
            "gradient balance",
            MultiHot,
            DOWN,
            "one.t * size, (1.0 - one.t) * size",
            "one.t * size, size",
        ),
        mutant("gradient balance", Hard, DOWN, "let more = at + window.classes;", "let more = at;"),
        mutant("gradient balance", Hard, DOWN_SPLIT, "j + 2u * n * window.classes", "j"),
        mutant("gradient balance", Hard, DOWN, "own_loss[at] += own_loss[other];", ""),
        mutant("gradient balance", Hard, DOWN, "own_best[at] = scan.best;", ""),
        mutant("gradient balance", Hard, DOWN, "half * ROW_GROUPS; at += WG", "half; at += WG"),
        mutant(
            "gradient balance",
            Hard,
            DOWN_SPLIT,
            "min(start + window.piece_blocks * WG",
            "min(start + WG",
        ),
        mutant("gradient balance", Hard, DOWN_SPLIT, "accumulate_columns(local.x, group - 1u);", ""),
        mutant("gradient balance", Hard, DOWN_SPLIT, "    close_batch(local.x);\n  } else", "  } else"),
        mutant("gradient balance", Hard, DOWN_SPLIT, "let start = piece *", "let start = 0u *"),
        mutant("gradient balance", Hard, DOWN_HALF, "walker % step + number * step", "number"),
        mutant("gradient balance", Hard, DOWN_HALF, "begin = max(start, shift)", "begin = start"),
        mutant("gradient balance", Hard, DOWN_HALF, "leave(walker, edge_column_of(side), share, true);", ""),
        mutant(
            "gradient balance",
            Hard,
            DOWN_HALF,
            "both_shares(share, edge_share[side * EDGE_GROUPS + number])",
            "share",
        ),
        mutant("gradient balance", Hard, DOWN_HALF, "loss += edge_loss[number];", ""),
        mutant("gradient balance", Hard, DOWN_HALF, "scan_of(edge_best[number], edge_index[number])", "scan"),
        mutant("gradient balance", Hard, DOWN_HALF, "SAVED_EDGES + side, row.rows", "SAVED_EDGES, row.rows"),
        // The link.
        mutant("softmax link", Hard, PLAIN, "2.0 * max(rest, F(0.5))", "max(rest, F(0.5))"),
        mutant("softmax link", Hard, PLAIN, "one.p * (one.d - slope.total)", "one.p * one.d"),
        mutant("softmax link", Hard, PLAIN, "held[4u * block + 2u] = u.c;", "held[4u * block + 2u] = u.b;"),
        mutant("softmax link", Hard, PLAIN, "kept_group = group;", "kept_group = 0u;"),
        mutant("softmax link", Hard, PLAIN, "const LIMIT: f32 = 0.125;", "const LIMIT: f32 = 0.5;"),
        mutant("softmax link", Hard, PLAIN, "(likely > F(LIMIT)) |", "B(false) |"),
        mutant("softmax link", Hard, PLAIN, "two * two, two * two * raised)", "two * two, F(0.0))"),
        mutant("softmax link", Hard, PLAIN, "0.333623143", "0.3"),
        mutant("softmax link", Hard, PLAIN, "1.001800618", "0.9"),
        mutant("softmax link with terms", Hard, PLAIN, "w * (two * raised)", "w * two"),
        mutant("softmax link with terms", Hard, PLAIN, "select(a.w, b.w, swap)", "a.w"),
        mutant("softmax link with terms", Hard, PLAIN, "var w = mine.positives.w;", "var w = mine.top.w;"),
        mutant(
            "softmax link",
            Hard,
            PLAIN,
            "link(F(0.0), top_w, mine.top.u",
            "link(F(0.0), top_w, mine.second",
        ),
        mutant("softmax link", Hard, PLAIN, "(place == U(thread))", "(place != U(thread))"),
        mutant("softmax link", Hard, PLAIN, "exp((*mine).began - (*mine).second)", "F(1.0)"),
        mutant("softmax link", Hard, PLAIN, "sums.three * (squared * by)", "sums.three * by"),
        mutant("softmax link", Hard, PLAIN, "return with_class(mass, mine.positives.u);", "return mass;"),
        mutant("softmax link", Hard, PLAIN, "mass.others * moved + 1.0", "mass.others * moved"),
        // Of multi-hot targets.
        mutant("softmax link", MultiHot, PLAIN, "(likely > F(LIMIT)) |", "B(false) |"),
        mutant("softmax link", MultiHot, PLAIN, "share_of_u(mine.likely, share)", "F(0.0)"),
        mutant("softmax link", MultiHot, PLAIN, "top_w = w * mine.top.w;", ""),
        mutant("softmax link", MultiHot, PLAIN, "others = mine.before.mass;", ""),
        mutant(
            "softmax link",
            MultiHot,
            PLAIN,
            "return Class(u, 1.0 - t, t);",
            "return Class(u, F(1.0), t);",
        ),
        mutant("softmax link with terms", MultiHot, PLAIN, "Class(u, w * (1.0 - t)", "Class(u, w"),
        mutant("softmax link with factors", MultiHot, PLAIN, "(MULTI_HOT && HAS_SIDES)", "false"),
        mutant("softmax link with terms", MultiHot, PLAIN, "(1.0 - t), w * t)", "(1.0 - t), t)"),
        mutant("softmax link", MultiHot, PLAIN, "sums.distance + sums.weight * by", "sums.distance"),
        mutant(
            "softmax link",
            MultiHot,
            NARROW,
            "moved((*mine).positives.linear, below(top, (*mine).top.u))",
            "(*mine).positives.linear",
        ),
        mutant(
            "softmax link",
            MultiHot,
            PLAIN,
            "moved((*mine).positives.before, below(top, (*mine).positives.began))",
            "(*mine).positives.before",
        ),
        mutant("softmax link", MultiHot, PLAIN, "+ d.positive * below(top, d.u)", ""),
        mutant(
            "softmax link",
            MultiHot,
            PLAIN,
            "below(share.max, mine.top.u) + share.log_sum",
            "share.log_sum",
        ),
        mutant("softmax link", MultiHot, PLAIN, "mine.top.u) + share.log_sum", "mine.top.u)"),
        mutant("softmax link", MultiHot, PLAIN, "-w * sums.weight, again", "F(0.0), again"),
        mutant("softmax link", MultiHot, PLAIN, "(certain | (least", "((least"),
        mutant("softmax link", MultiHot, PLAIN, "| (least < F(SMALLEST_VARIANCE))", ""),
        mutant("softmax link", MultiHot, PLAIN, "min(positive_u(c), positive_u(d))", "positive_u(c)"),
        // Pieces, edges, upstream.
        mutant("bce", Hard, SPLIT, "return Piece(a.loss + b.loss,", "return Piece(b.loss,"),
        mutant("bce", Hard, SPLIT, "(window.first_slot + piece)", "(window.first_slot)"),
        mutant("bce", Hard, SPLIT, "b.best > a.best || a.index", "a.index"),
        mutant("bce", Hard, SPLIT, "saved[SAVED_LOSS * window.rows + row] = out;", ""),
        mutant("bce", Hard, BACKWARD, "upstream[min(row + window.row_shift,", "upstream[min(0u,"),
        mutant("bce", Hard, HALF, "if (row.shift == 1u) {", "if (row.shift == 2u) {"),
        mutant("bce", Hard, HALF, "merged_scan(scan, edges)", "scan"),
        // Windows.
        on(
            Device::Rows,
            mutant("drawn rows", Hard, PLAIN, "draw_of(row + window.first_row", "draw_of(row + 1u"),
        ),
        on(
            Device::Rows,
            mutant("given weights", Hard, PLAIN, "total.x += bitcast<f32>(scalars[SCALAR_TOTAL]);", ""),
        ),
        on(Device::Classes, mutant("bce", Hard, PLAIN, "label - I(i32(window.first_class))", "label")),
        on(
            Device::Classes,
            mutant(
                "smallest count among absent ones",
                MultiHot,
                PLAIN,
                "min(before(FIELD_FACTOR, row, POS_MAX), tree_least[0][lane])",
                "tree_least[0][lane]",
            ),
        ),
        on(Device::Classes, mutant("bce", Hard, PLAIN, "out.index + U(window.first_class)", "out.index")),
    ]
}

/// Rows for the softmax link, of which a thread has every eighth class: nine classes of 1/9, five of them one thread's; three
/// of about 1/3, two of them one thread's; classes that rise; a thread whose last class is its second. With multi-hot targets
/// of the first three and of the next rows: all of the first's, an unlikely one of the second's, shares of the third's; a certain
/// positive, and one that is all but impossible beside classes that are none.
fn linked(data: &mut Data, columns: usize) {
    data.labels[11..15].fill(3);
    if let Some(weights) = &mut data.row_weights {
        weights[11..15].fill(1.0);
    }
    let of: [fn(usize) -> f32; 4] = [
        |class| if class % 8 == 0 || class % 8 == 3 && class < 32 { 5.0 } else { -5.0 },
        |class| if [1, 9, 10].contains(&class) { 3.0 } else { -3.0 },
        |class| 0.1 * class as f32,
        |class| if class % 8 > 0 { -1.1 } else { [0.5, 0.0, 0.0, 0.0, 0.4][class / 8 % 5] },
    ];
    for (row, of) in data.logits.chunks_exact_mut(columns).skip(11).zip(of) {
        row.iter_mut().enumerate().for_each(|(class, z)| *z = of(class));
    }
    if data.kind == MultiHot {
        let hots: [fn(usize) -> bool; 5] =
            [|_| true, |class| class == 3, |class| class % 2 == 0, |class| class == 20, |class| class == 7];
        let rows = [11, 12, 13, 15, 16];
        for (row, hot) in rows.into_iter().zip(hots) {
            let targets = data.soft[row * columns..].iter_mut().take(columns);
            targets.enumerate().for_each(|(class, t)| *t = if hot(class) { 1.0 } else { 0.0 });
        }
        data.soft[13 * columns..14 * columns].iter_mut().for_each(|t| *t *= 0.75);
        data.logits[15 * columns + 20] = 45.0;
        data.logits[16 * columns + 7] = -45.0;
        if let Some(weights) = &mut data.row_weights {
            weights[15..17].fill(1.0);
        }
    }
}

/// The worst ratio to a tolerance over two small batches; the text of all kernels that ran. A panic (a byte written that
/// no pass may write) counts as noticed.
fn conforms(kernels: &Kernels, mutant: &Mutant) -> (f64, String) {
    let (mut worst, mut text) = (0.0f64, String::new());
    let columns = if mutant.device == Device::Classes { 300 } else { 37 };
    for (seed, reduction) in [(1, Reduction::Positives), (4, Reduction::MeanKept)] {
        let spec = named(mutant.subject).spec(columns).with_reduction(reduction);
        let mut data = data(&spec, 19, columns, mutant.kind, seed);
        // Two logits that are the largest, one of them the row's first.
        (data.logits[columns * 9], data.logits[columns * 9 + 13]) = (40.0, 40.0);
        data.logits[columns * 10 + columns - 1] = 45.0;
        if spec.link == Link::Softmax {
            linked(&mut data, columns);
        }
        let data = data.rounded_to(mutant.manner.elements.0);
        let quiet = std::panic::catch_unwind(AssertUnwindSafe(|| run(kernels, &spec, &data, mutant.manner)));
        let Ok(result) = quiet else { return (f64::INFINITY, text) };
        let (plan, got) = result.unwrap_or_else(|error| panic!("{}: {error}", mutant.from));
        for (key, _) in plan.kernels() {
            text.push_str(&key.wgsl());
        }
        let sums = plan.gradient_sums().map(|sums| sums.read().unwrap());
        worst = worst.max(compare(&spec, &data, &got, sums.as_ref(), mutant.manner).ratio);
    }
    (worst, text)
}

#[test]
fn every_mutant_is_noticed() {
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 1024);
    let mut missed = String::new();
    let mut cases = 0;
    for mutant in mutants() {
        let name = format!("{}: `{}` -> `{}`", mutant.subject, mutant.from, mutant.to);
        let kernels = if mutant.device == Device::Whole { context().kernels() } else { &small };
        let (right, text) = conforms(kernels, &mutant);
        assert!(right <= 1.0, "{name}: the unedited kernels fail by {right}");
        if !text.contains(mutant.from) {
            missed.push_str(&format!("{name}: not in the kernels that ran\n"));
            continue;
        }
        let (wrong, _) = conforms(&kernels.edited(&[(mutant.from, mutant.to)]), &mutant);
        cases += 1;
        if wrong <= 1.0 {
            missed.push_str(&format!("{name}: not noticed, {wrong:.2} of the tolerance\n"));
        }
    }
    println!("{cases} mutants on the GPU");
    assert!(cases > 0, "no GPU case ran");
    assert!(missed.is_empty(), "{missed}");
}
