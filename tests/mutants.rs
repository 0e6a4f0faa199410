//! Small wrong edits of the shaders' text: each must make a compact conformance run fail. A comparison that cannot
//! fail proves nothing.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/mutants.rs"]
mod mutants;
#[path = "support/tolerance.rs"]
mod tolerance;

use cases::{Subject, subjects};
use gpu::{Manner, Up, context, kernels_with, run};
use inputs::{Data, Flavour, Mix, counts};
use longtail::gpu::{Kernels, Mode, RowChoice, Storage};
use longtail::{Element, Reduction, Upstream, reference};
use mutants::Tally;
use std::panic::AssertUnwindSafe;

/// One wrong edit, and the subject and manner that must notice it.
struct Mutant {
    from: &'static str,
    to: &'static str,
    subject: &'static str,
    manner: Manner,
    device: Device,
}

/// Where a mutant runs: on the adapter as it is, there with rows of several blocks of a wide workgroup, or with bindings of
/// 512 bytes, which cut 37 classes into windows of some rows and 150 classes into windows of one row and 64 classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Whole,
    Long,
    Rows,
    Classes,
}

impl Device {
    fn classes(self) -> usize {
        match self {
            Device::Whole | Device::Rows => 37,
            Device::Long => 300,
            Device::Classes => 150,
        }
    }
}

const STREAM: Manner = Manner {
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
const LANES: Manner = Manner { choice: Some(RowChoice::stream(4, 8)), ..STREAM };
const CHIP: Manner = Manner { choice: Some(RowChoice::on_chip(1, 8, 8)), ..STREAM };
// Wide enough that blocks without a label do not ask for it.
const WIDE: Manner = Manner { choice: Some(RowChoice::stream(1, 32)), ..STREAM };
const WIDE_CHIP: Manner = Manner { choice: Some(RowChoice::on_chip(1, 32, 12)), ..STREAM };
const BACKWARD: Manner = Manner { mode: Mode::ForwardBackward, upstream: Up::PerRow, ..STREAM };
const SCALES: Manner =
    Manner { mode: Mode::ForwardBackward, upstream: Up::Scalar(2.0), class_scale: true, ..STREAM };
const STRIDED: Manner = Manner { gaps: (3, 5), ..STREAM };
const HALF: Manner = Manner { elements: (Element::F16, Element::F16), ..STREAM };
// Whole blocks in rows that start in the middle of a word.
const NARROW_HALF: Manner = Manner { choice: Some(RowChoice::stream(1, 2)), ..HALF };
const BRAIN: Manner = Manner { elements: (Element::Bf16, Element::Bf16), ..STREAM };
const HALF_LANES: Manner = Manner { elements: (Element::F16, Element::F16), ..LANES };
const STRADDLING: Manner = Manner { gaps: (0, 1), ..HALF };
const SPLIT: Manner = Manner { choice: Some(RowChoice::stream(1, 4).with_split(2)), ..STREAM };

fn mutant(subject: &'static str, manner: Manner, from: &'static str, to: &'static str) -> Mutant {
    Mutant { from, to, subject, manner, device: Device::Whole }
}

fn on(device: Device, mutant: Mutant) -> Mutant {
    Mutant { device, ..mutant }
}

fn mutants() -> Vec<Mutant> {
    vec![
        // The scale.
        mutant("ldam", STREAM, "exp2(spec.exponent_scale * x)", "exp(x)"),
        mutant("temperature + z-loss", CHIP, "exp2(spec.exponent_scale * x)", "exp(x)"),
        mutant("ldam", STREAM, "clamp(spec.scale * u,", "clamp(u,"),
        mutant("ldam", STREAM, "out.reference = in_units(out.reference);", ""),
        mutant("soft + smoothing + weights", STREAM, "-spec.scale * below", "-below"),
        mutant(
            "soft + smoothing + weights",
            STREAM,
            "spec.scale * (top - (*mass).max)",
            "(top - (*mass).max)",
        ),
        mutant("ldam", STREAM, "factor * spec.scale", "factor"),
        mutant("temperature + z-loss", CHIP, "factor * spec.scale", "factor"),
        mutant("class_dependent_temperature", STREAM, "u *= class_scale;", "u *= 0.999 * class_scale;"),
        mutant("class_dependent_temperature", CHIP, "scale * out.first, at.first", "out.first, at.first"),
        // Labels in blocks of many columns.
        on(Device::Long, mutant("cross_entropy", WIDE, "(ahead.first < reach)", "(ahead.first < I(32))")),
        on(
            Device::Long,
            mutant("cross_entropy", WIDE_CHIP, "(ahead.first < reach)", "(ahead.first < I(32))"),
        ),
        on(
            Device::Long,
            mutant(
                "balanced_softmax",
                WIDE,
                "visit(row, ja, z.a, no_label()",
                "visit(row, jb, z.a, no_label()",
            ),
        ),
        on(
            Device::Long,
            mutant(
                "balanced_softmax",
                WIDE,
                "jc, z.c, no_label(), threshold);\n      g.d",
                "jb, z.c, no_label(), threshold);\n      g.d",
            ),
        ),
        on(
            Device::Long,
            mutant("label_smoothing", WIDE_CHIP, "sticks_out || has_label_near(ahead)", "sticks_out"),
        ),
        on(Device::Long, mutant("seesaw", WIDE_CHIP, "sticks_out || has_label_near(ahead)", "sticks_out")),
        // The nearest half.
        mutant("cross_entropy", HALF, "power + 0x06800000u", "power + 0x07000000u"),
        mutant("cross_entropy", HALF, "0x38800000u, 0x47800000u", "0x39800000u, 0x47800000u"),
        // Bias, margin, weights.
        mutant("balanced_softmax", STREAM, "u += bias;", "u -= bias;"),
        mutant("ldam", STREAM, "v - load_row(FIELD_MARGIN", "v + load_row(FIELD_MARGIN"),
        mutant(
            "ldam_drw",
            STREAM,
            "class_value(spec.weight_column, column",
            "class_value(spec.margin_column, column",
        ),
        mutant("cross_entropy", STREAM, "weight = row_weights[given];", "weight = 1.0;"),
        // Focal and influence.
        mutant("focal", STREAM, "modulator * (1.0 + spec.focal_gamma", "modulator * (1.0 - spec.focal_gamma"),
        mutant(
            "focal_detached",
            STREAM,
            "const FOCAL_DETACHED: u32 = 2u;",
            "const FOCAL_DETACHED: u32 = 8u;",
        ),
        mutant(
            "focal_weighted",
            STREAM,
            "const FOCAL_WEIGHT_INSIDE: u32 = 4u;",
            "const FOCAL_WEIGHT_INSIDE: u32 = 8u;",
        ),
        mutant(
            "influence_balanced",
            STREAM,
            "slope -= select(out.loss * change",
            "slope += select(out.loss * change",
        ),
        // Smoothing, soft targets, z-loss.
        mutant("label_smoothing", STREAM, "g -= out.dense * dense_target(row.dense, j, weight);", ""),
        mutant("label_smoothing", STREAM, "out.own -= out.dense * weight;", ""),
        mutant("soft + smoothing + weights", STREAM, "(1.0 - spec.label_smoothing) * t", "t"),
        mutant("temperature + z-loss", STREAM, "2.0 * spec.z_loss * share", "spec.z_loss * share"),
        // Two labels.
        mutant("mixup", STREAM, "weight * (1.0 - lambda)", "weight * lambda"),
        mutant(
            "mixup",
            STREAM,
            "own_second + cross_second, out.first, same",
            "own_second + cross_second, own_second, same",
        ),
        mutant("mixup", STREAM, "g = select(g, out.second, at.second);", ""),
        // Seesaw.
        mutant("seesaw", STREAM, "+ spec.seesaw_log_eps", ""),
        mutant("seesaw", STREAM, "power * inverse_power", "power"),
        mutant("seesaw_paper", STREAM, "spec.seesaw_q * max", "spec.seesaw_p * max"),
        mutant(
            "seesaw",
            STREAM,
            "atomicAdd(&counts[2u * u32(column)], 1u)",
            "atomicAdd(&counts[2u * u32(column)], 0u)",
        ),
        mutant("seesaw", CHIP, "+ spec.seesaw_log_eps", ""),
        // Gates.
        mutant("equalization", STREAM, "draws < U(spec.drop_threshold)", "draws >= U(spec.drop_threshold)"),
        mutant(
            "equalization_given",
            STREAM,
            "load_dense_lanes(dense_base, j) == F(0.0)",
            "load_dense_lanes(dense_base, j) != F(0.0)",
        ),
        // Ignored rows and denominators.
        mutant("cross_entropy", STREAM, "label == spec.ignore_index", "label == spec.ignore_index + 1"),
        mutant("cross_entropy", STREAM, "select(0.0, 1.0 / total, total > 0.0)", "1.0 / f32(window.rows)"),
        mutant(
            "class_balanced",
            STREAM,
            "return part(0u, row);\n}",
            "return select(0.0, 1.0, part(0u, row) > 0.0);\n}",
        ),
        // Blocks, lanes, merging.
        mutant("cross_entropy", CHIP, "return j < window.classes;", "return j + 1u < window.classes;"),
        mutant("cross_entropy", STREAM, "return j < window.classes;", "return j + 1u < window.classes;"),
        mutant("cross_entropy", STREAM, "block * BLOCK + k * WG", "block * BLOCK + k * WG / 2u"),
        mutant("cross_entropy", STREAM, "blocks.whole_end < blocks.end", "false"),
        mutant("seesaw", STREAM, "top = max(top, tail_top);", ""),
        mutant("cross_entropy", STREAM, "kept_group = group;", "kept_group = 0u;"),
        mutant("seesaw", CHIP, "kept_group = group;", "kept_group = 0u;"),
        mutant("cross_entropy", LANES, "U(window.rows - 1u)", "U(0u)"),
        mutant("cross_entropy", LANES, "load_logit(base.w + j)", "load_logit(base.z + j)"),
        mutant("cross_entropy", STREAM, "left.sum + right.sum", "left.sum"),
        mutant("cross_entropy", STREAM, "at.first = ahead.first == I(i32(offset));", ""),
        mutant("cross_entropy", STREAM, "let better = z > (*scan).best;", "let better = z >= (*scan).best;"),
        mutant("cross_entropy", STRIDED, "row.rows * window.logits_stride", "row.rows * window.classes"),
        mutant(
            "cross_entropy",
            STRIDED,
            "row.rows * window.gradient_stride",
            "row.rows * window.logits_stride",
        ),
        // Backward passes.
        mutant("cross_entropy", BACKWARD, "upstream[min(row + window.row_shift,", "upstream[min(0u,"),
        mutant("seesaw", BACKWARD, "float_of_bits(load_saved(SAVED_THRESHOLD, row.rows))", "F(0.0)"),
        mutant("learnable_scaling", SCALES, "select(g * z,", "select(g * z * 0.999,"),
        // Two elements in a word.
        mutant("cross_entropy", HALF, "select(pair.x, pair.y, (i & 1u) == 1u)", "pair.x"),
        mutant("cross_entropy", HALF, "low | (edge(0u, row) << 16u)", "low"),
        mutant("cross_entropy", HALF, "low = edge(1u, row - 1u);", "low = edge(1u, row);"),
        mutant("cross_entropy", HALF, "if (row.shift == 1u) {", "if (row.shift == 2u) {"),
        mutant("cross_entropy", HALF, "(k & 1u) - row.shift", "(k & 1u)"),
        mutant(
            "cross_entropy",
            HALF,
            "load_logit_words(words, place + WG)",
            "load_logit_words(words, place)",
        ),
        mutant("cross_entropy", HALF, "words, place + WG, g.c", "words, place + WG, g.a"),
        mutant("cross_entropy", NARROW_HALF, "(base - shift) >> U(1u)", "(base + shift) >> U(1u)"),
        mutant("cross_entropy", HALF_LANES, "let step = window.row_step;", "let step = 1u;"),
        mutant("cross_entropy", STRADDLING, "if (LOGITS_STRADDLE) {", "if (false) {"),
        mutant("cross_entropy", BRAIN, "bitcast<f32>(word & 0xffff0000u)", "bitcast<f32>(word << 16u)"),
        mutant("cross_entropy", BRAIN, "bits + 0x7fffu + ((bits >> 16u) & 1u)", "bits"),
        // Rows that are split.
        mutant(
            "cross_entropy",
            SPLIT,
            "slot < slot_count(); slot += WG) {\n    var other",
            "slot + 1u < slot_count(); slot += WG) {\n    var other",
        ),
        mutant(
            "cross_entropy",
            SPLIT,
            "let slot = window.first_slot + piece;",
            "let slot = window.first_slot;",
        ),
        mutant("cross_entropy", SPLIT, "let piece = index % window.pieces;", "let piece = 0u;"),
        mutant("seesaw", SPLIT, "log_mass(in_logs(all.max), all.raw) + spec.seesaw_log_eps", "NEG_MAX"),
        mutant("seesaw", SPLIT, "return any_lane(float_of_bits", "return !any_lane(float_of_bits"),
        mutant("mixup", SPLIT, "out.seen_second = labels.second;", ""),
        // Windows.
        on(Device::Rows, mutant("cross_entropy", STREAM, "labels[given]", "labels[row]")),
        on(Device::Rows, mutant("cross_entropy", STREAM, "(window.first_sum + group) * SUM", "group * SUM")),
        on(Device::Rows, mutant("equalization", STREAM, "select(rows + window.first_row,", "select(rows,")),
        on(Device::Rows, mutant("seesaw", BACKWARD, "window.gradient_origin + row.rows", "row.rows")),
        on(Device::Classes, mutant("equalization", STREAM, "select(j + window.first_class,", "select(j,")),
        on(Device::Classes, mutant("ldam", STREAM, "label - I(i32(window.first_class))", "label")),
        on(Device::Classes, mutant("ldam", STREAM, "first_window || column_of(label) >= 0", "first_window")),
        on(Device::Classes, mutant("cross_entropy", STREAM, "+ U(window.first_class);", ";")),
        on(Device::Classes, mutant("learnable_scaling", SCALES, "sum = read_gradient_word(j);", "")),
    ]
}

fn subject(name: &str) -> Subject {
    *subjects().iter().find(|subject| subject.name == name).unwrap_or_else(|| panic!("no subject {name}"))
}

/// The worst ratio to a tolerance over a few small batches; the text of all kernels that ran. A panic (a byte written
/// that no pass may write) counts as noticed.
fn conforms(kernels: &Kernels, mutant: &Mutant) -> (f64, String) {
    const FLAVOURS: &[Flavour] =
        &[Flavour::Unit, Flavour::Constant, Flavour::Trained, Flavour::Unit, Flavour::Sure, Flavour::Spread];
    let subject = subject(mutant.subject);
    let mut worst = 0.0f64;
    let mut text = String::new();
    let mut reductions = vec![Reduction::WeightedMean];
    if mutant.subject != "cross_entropy" {
        reductions.push(Reduction::Sum);
    }
    let classes = mutant.device.classes();
    for (seed, reduction) in reductions.into_iter().enumerate() {
        let mix = Mix { seed: 1 + seed as u32, flavours: FLAVOURS, ignore: Some(-100), row_weights: true };
        let mut data = Data::new(11, classes, subject.kind, mix);
        // Two rows whose labels are the same, and two logits that are the largest.
        data.second[4] = data.labels[4];
        data.logits[classes * 9 + 5] = 40.0;
        data.logits[classes * 9 + 13] = 40.0;
        let data = data.rounded_to(mutant.manner.elements.0);
        let spec = subject.spec(&counts(classes)).with_reduction(reduction);
        let upstream = match mutant.manner.upstream {
            Up::One => Upstream::One,
            Up::Scalar(value) => Upstream::Scalar(value),
            Up::PerRow => Upstream::PerRow(&data.upstream),
        };
        let want = reference::softmax(&spec, &data.wide(&spec), upstream).unwrap();
        let quiet = std::panic::catch_unwind(AssertUnwindSafe(|| run(kernels, &spec, &data, mutant.manner)));
        let Ok(result) = quiet else { return (f64::INFINITY, text) };
        let (plan, got) = result.unwrap_or_else(|error| panic!("{}: {error}", mutant.from));
        for (key, _) in plan.kernels() {
            text.push_str(&key.wgsl());
        }
        if let (Some(device), Some(counts)) = (plan.counts(), &want.counts) {
            if device.read().unwrap() != *counts {
                return (f64::INFINITY, text);
            }
        }
        let (upstream, element) = (mutant.manner.upstream, mutant.manner.gradient());
        worst = worst.max(tolerance::compare(&spec, &data, &want, &got, upstream, element).ratio);
    }
    (worst, text)
}

#[test]
fn every_mutant_is_noticed() {
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 512);
    let mut tally = Tally::default();
    for mutant in mutants() {
        let kernels = match mutant.device {
            Device::Whole | Device::Long => context().kernels(),
            Device::Rows | Device::Classes => &small,
        };
        let edit = (mutant.from, mutant.to);
        tally.check(mutant.subject, kernels, edit, |kernels| conforms(kernels, &mutant));
    }
    tally.close();
}
