//! Head kernels with a small wrong edit, each of which the comparisons have to notice: a comparison that cannot fail proves
//! nothing.

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

use gpu::context;
use head_case::HeadCase;
use longtail::gpu::Kernels;
use longtail::gpu::head::HeadRequest;
use longtail::head::{ClassScale, Head, RowNorm, Similarity, TargetMargin};
use mutants::Tally;

/// Every term at once.
fn everything() -> Head {
    let mut head = Head::causal(2, 6.0, 0.25).with_bias().with_margin(TargetMargin::Cosine { margin: 0.25 });
    head.features = RowNorm { power: 0.6, eps: 1e-12, offset: 0.5 };
    head.class_scale = ClassScale::Logits;
    head.similarity = Similarity::NegativeSquaredDistance;
    head.centred = true;
    head
}

fn conforms(kernels: &Kernels, (head, scales): &(Head, bool)) -> (String, bool) {
    let classes = if head.scale == 0.5 { 3 } else { 19 };
    let mut request = HeadRequest::new(13, classes, 8).with_ignore_index(-100).with_chunk(6);
    request.scale_gradient = *scales;
    let case = HeadCase::new(head.clone(), request, 5);
    let text = kernels.head(head, &request).map(|plan| plan.keys().iter().map(|key| key.wgsl()).collect());
    let slopes = case.expected().loss.gradient;
    let run = std::panic::catch_unwind(AssertUnwindSafe(|| case.run(kernels, &slopes)));
    let right = matches!(run, Ok(Ok((plan, found))) if case.ratio(&plan, &found) <= 1.0);
    (text.unwrap_or_default(), right)
}

/// A head, whether the gradient by its scale is asked for, and the edit.
type Mutant = ((Head, bool), &'static str, &'static str);

fn mutants() -> Vec<Mutant> {
    let all = || (everything(), true);
    let arc = || (Head::arcface(0.5, 8.0), true);
    let easy = || (Head::arcface_easy(0.5, 8.0), true);
    let through = || (Head::arcface_straight_through(0.5, 8.0), true);
    let weights = || (Head::learnable_weight_scaling().with_bias(), true);
    let cosine_margin = || TargetMargin::Cosine { margin: 0.25 };
    let weights_and_margin = || (weights().0.with_margin(cosine_margin()), true);
    // Fewer classes than threads: some share the rows of one.
    let wide = || (Head::linear().with_bias().with_scale(0.5).with_margin(cosine_margin()), true);
    // Without the scale's gradient the products do what a pass over all logits would.
    let labels = || (Head::arcface(0.5, 8.0), false);
    let distances = || (Head::nearest_class_mean_unit().with_bias().with_scale(3.0), false);
    let scaled_logits = || (Head::learnable_logit_scaling(), false);
    vec![
        (all(), "2.0 * product - row_square(row)", "product - row_square(row)"),
        (all(), "- row_square(row) - class_square(column);", "- row_square(row);"),
        (all(), "- row_square(row) - class_square(column);", "- class_square(column);"),
        (all(), "square += row_state[part] * factor * factor;", "square += row_state[part] * factor;"),
        (all(), "square += class_state[part] * factor * factor;", "square += class_state[part] * factor;"),
        (all(), "(row + 1u) * params.a_parts; part += 1u", "row * params.a_parts + 1u; part += 1u"),
        (
            all(),
            "class_scale_of(column) * (scaled + bias_of(column))",
            "class_scale_of(column) * scaled + bias_of(column)",
        ),
        (
            weights_and_margin(),
            "class_scale_of(column) * scaled + bias_of(column)",
            "class_scale_of(column) * (scaled + bias_of(column))",
        ),
        (all(), "params.scale * similarity;", "similarity;"),
        (all(), "similarity - params.margin, 1.0", "similarity + params.margin, 1.0"),
        (all(), "params.first_class + column) && !ignored", "params.first_class + column + 1u) && !ignored"),
        (all(), "slope.value - slope.derivative * similarity", "slope.value"),
        (arc(), "cosine > params.margin_limit", "cosine > 0.0"),
        (arc(), "cosine - params.margin_drop", "cosine"),
        (arc(), "- sine * params.margin_sin", "+ sine * params.margin_sin"),
        (
            arc(),
            "params.margin_cos + params.margin_sin * cosine",
            "params.margin_cos - params.margin_sin * cosine",
        ),
        (arc(), "logits[at] = inner;", ""),
        (arc(), "slope * label_slope(row)", "slope"),
        (easy(), "applies = cosine > 0.0;", "applies = true;"),
        (through(), "if (!STRAIGHT_THROUGH)", "if (STRAIGHT_THROUGH)"),
        (all(), "let row = params.first_row + index / blocks;", "let row = index / blocks;"),
        (all(), "let row = params.first_row + i;", "let row = i;"),
        (all(), "inner * row_square(row)", "inner"),
        (all(), "slope * label_rest(row)", "0.0"),
        (all(), "columns[at] += sum[field];", "columns[at] = sum[field];"),
        (all(), "field < 3u", "field < 2u"),
        (wide(), "column_sums[thread] += column_sums[thread + half * COLUMNS];", ""),
        (wide(), "i += LANES", "i += 1u"),
        (all(), "factor_of_part(part) * class_scale_of", "class_scale_of"),
        (all(), "class_scale_of(part / params.a_parts)", "class_scale_of(part)"),
        (all(), "load_a(part.row, column).x - centre_of(column)", "load_a(part.row, column).x"),
        (all(), "return centre[column];", "return centre[0];"),
        (all(), "let own = terms.own * factor.scale;", "let own = 0.0;"),
        (all(), "terms.multiplier * product - own * square", "terms.multiplier * product"),
        (all(), "terms.multiplier * load_c(row, column)", "load_c(row, column)"),
        (all(), "factor.scale * slope", "slope"),
        (all(), "total += factor.scale * product;", "total += product;"),
        (all(), "let square = square_of_part(index);", "let square = square_of_part(row * params.a_parts);"),
        (all(), "params.first_row * params.a_parts + index", "index"),
        (all(), "2.0 * params.scale * row_state", "params.scale * row_state"),
        (all(), "let scale = params.scale * class_scale_of(row);", "let scale = params.scale;"),
        (all(), "class_square(row) * columns[row]", "columns[row]"),
        (all(), "- columns[params.classes + row]", ""),
        (all(), "sum += columns[2u * params.classes + row];", ""),
        (all(), "sum += factor * along;", "sum += along;"),
        (all(), "write_bias(column, slope * factor);", "write_bias(column, slope);"),
        (all(), "+ slope * bias_of(column)", ""),
        (weights(), "write_bias(column, slope);", "write_bias(column, slope * factor);"),
        (weights(), "write_class_scale(column, params.scale * along);", "write_class_scale(column, slope);"),
        (weights(), "scale_gradient[0] = value;", "scale_gradient[0] = 0.0;"),
        (labels(), "gradient * label_slope(row)", "gradient"),
        (labels(), "params.scale * target_of", "target_of"),
        (labels(), "logit / params.scale", "logit"),
        (labels(), "let row = params.first_row + index;", "let row = index;"),
        (
            labels(),
            "let at = index * params.logits_stride + column;",
            "let at = index * params.logits_stride;",
        ),
        (labels(), "if (ignored) {", "if (!ignored) {"),
        (labels(), "slope -= along * load_a(row, column);", ""),
        (distances(), "offset -= params.scale * class_square(column);", ""),
        (distances(), "offset -= params.scale * class_square", "offset -= class_square"),
        (distances(), "var offset = bias_of(column);", "var offset = 0.0;"),
        (distances(), "-(params.scale * row_square(row))", "-row_square(row)"),
        (distances(), "let row = params.first_row + index;", "let row = index;"),
        (distances(), "2.0 * scale * columns[row]", "0.0"),
        (scaled_logits(), "offset *= class_scale_of(column);", ""),
    ]
}

#[test]
fn every_mutant_is_noticed() {
    let kernels = context().kernels();
    let mut tally = Tally::default();
    // What a mutant does to the comparison may be a panic; its text is of no interest.
    std::panic::set_hook(Box::new(|_| {}));
    for (head, from, to) in mutants() {
        tally.check_right("a head", kernels, (from, to), |kernels| conforms(kernels, &head));
    }
    drop(std::panic::take_hook());
    tally.close();
}
