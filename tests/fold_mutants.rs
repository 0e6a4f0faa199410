//! Small wrong edits of the kernels that compute their logits, each of which the comparisons have to notice: a comparison
//! that cannot fail proves nothing.

#[path = "support/forward_case.rs"]
mod forward_case;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/head_case.rs"]
mod head_case;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;
#[path = "support/mutants.rs"]
mod mutants;

use std::panic::AssertUnwindSafe;

use forward_case::ForwardCase;
use gpu::{kernels_with, kernels_without_features};
use longtail::gpu::Kernels;
use longtail::gpu::head::HeadRequest;
use longtail::head::{ClassScale, Head, RowNorm, Similarity, TargetMargin};
use longtail::{SoftmaxLoss, TargetKind};
use mutants::Tally;

/// What a mutant is run on.
#[derive(Clone, Copy)]
enum Subject {
    /// A linear head and cross-entropy.
    Plain,
    /// Every term of a head.
    Everything,
    /// Normalised rows in two parts.
    Parts,
    /// A loss that looks twice.
    Seesaw,
    /// Targets of every class.
    Soft,
    /// Windows of classes.
    Ranges,
}

impl Subject {
    fn case(self) -> (ForwardCase, SoftmaxLoss, TargetKind) {
        let classes = if matches!(self, Subject::Ranges) { 300 } else { 70 };
        let counts = ForwardCase::counts(classes);
        let (head, loss, kind) = match self {
            Subject::Plain => (Head::linear(), SoftmaxLoss::cross_entropy(), TargetKind::Hard),
            Subject::Everything => {
                let mut head = Head::cosface(0.25, 6.0).with_bias();
                head.features = RowNorm { power: 0.6, eps: 1e-12, offset: 0.5 };
                head.class_scale = ClassScale::Logits;
                head.similarity = Similarity::NegativeSquaredDistance;
                head.margin = TargetMargin::Cosine { margin: 0.25 };
                head.centred = true;
                (head, SoftmaxLoss::balanced(&counts), TargetKind::Hard)
            }
            Subject::Parts => (Head::causal(2, 6.0, 0.25), SoftmaxLoss::cross_entropy(), TargetKind::Hard),
            Subject::Seesaw | Subject::Ranges => {
                (Head::cosine(6.0), SoftmaxLoss::seesaw(&counts), TargetKind::Hard)
            }
            Subject::Soft => (Head::cosine(4.0), SoftmaxLoss::cross_entropy(), TargetKind::Soft),
        };
        (ForwardCase::new(head, HeadRequest::new(37, classes, 8), 3), loss, kind)
    }

    /// The text of the kernels that run, and whether what they give is right.
    fn conforms(self, kernels: &Kernels) -> (String, bool) {
        let (case, loss, kind) = self.case();
        let spec = case.spec(&loss);
        let Ok(plan) = kernels.head_loss(&spec, &case.request(kind, 2)) else {
            return (String::new(), false);
        };
        let mut text: String = plan.loss().kernels().iter().map(|(program, _)| program.wgsl()).collect();
        text.extend(plan.head_keys().iter().map(|key| key.wgsl()));
        let run = std::panic::catch_unwind(AssertUnwindSafe(|| case.run(kernels, &plan, &spec, kind)));
        let right =
            matches!(run, Ok(found) if found.status.is_none() && case.ratio(&spec, kind, &found).0 <= 1.0);
        (text, right)
    }
}

fn mutants() -> Vec<(Subject, &'static str, &'static str)> {
    use Subject::{Everything, Parts, Plain, Ranges, Seesaw, Soft};
    vec![
        (Plain, "products[at + 2u * ROOTS] = rows[2];", "products[at + 2u * ROOTS] = rows[1];"),
        (Plain, "(m % GROUP_M) / 4u", "(m % GROUP_M) / 8u"),
        (Plain, "thread / ROOTS); column < GROUP_N", "0u); column < GROUP_N"),
        (Plain, "tile * GROUP_N), thread", "begin * GROUP_N), thread"),
        (Plain, "block * ROOTS + thread % ROOTS", "block * ROOTS"),
        (
            Plain,
            "threshold, scan);\n    add_classes",
            "threshold, scan);\n    add_class(mass, a);\n    add_classes",
        ),
        (Plain, "min(slot * window.piece_blocks, all)", "0u"),
        (Plain, "k < params.k; k += 4u) {\n    sums", "k < params.k; k += 8u) {\n    sums"),
        (Plain, "factors.y, products[at + ROOTS]", "factors.y, products[at]"),
        (Soft, "is_inside(j);", "j + 1u < window.classes;"),
        (Soft, "entry.tau = select(F(0.0), entry.tau, inside);", "entry.tau = F(0.0);"),
        (Seesaw, "late_b(j).x", "1.0"),
        (Seesaw, "product * (lengths.factor * factor)", "product * factor"),
        (Seesaw, "half >= ROOTS", "half >= 2u * ROOTS"),
        (Parts, "b_scales[at + min(column / params.b_part, params.b_parts - 1u)]", "b_scales[at]"),
        (Everything, "2.0 * similarity - lengths.square", "2.0 * similarity"),
        (Everything, "- of_class(CLASS_SQUARE, j)", ""),
        (Everything, "logits *= of_class(CLASS_SCALE, j);", ""),
        (Everything, "logits += of_class(CLASS_BIAS, j);", "logits += of_class(CLASS_SCALE, j);"),
        (Everything, "with_margins(similarity), label", "similarity, label"),
        (Everything, "params.scale * similarity", "similarity"),
        (Everything, "square += a_scales[part] * factor * factor;", "square += a_scales[part] * factor;"),
        (Everything, "class_numbers[CLASS_FACTORS * params.classes + part]", "class_numbers[part]"),
        (Ranges, "(window.flags & FLAG_FIRST_OF_ROWS) == 0u", "false"),
        (Ranges, "(window.flags & FLAG_FIRST_OF_ROWS) == 0u", "true"),
        (Ranges, "return merge(old, mass);", "return mass;"),
        (Ranges, "old.raw = float_of_bits", "old.raw = 0.0 * float_of_bits"),
        (Ranges, "found.best > best);", "found.best < best);"),
    ]
}

#[test]
fn every_mutant_is_noticed() {
    // Without subgroups: two threads share a row, and kernels compile fast.
    let plain = kernels_without_features();
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    let mut tally = Tally::default();
    // What a mutant does to the comparison may be a panic; its text is of no interest.
    std::panic::set_hook(Box::new(|_| {}));
    for (subject, from, to) in mutants() {
        let kernels = if matches!(subject, Subject::Ranges) { &small } else { &plain };
        tally.check_right("a forward pass", kernels, (from, to), |kernels| subject.conforms(kernels));
    }
    drop(std::panic::take_hook());
    tally.close();
}
