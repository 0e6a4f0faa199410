//! The terms of a head, each in a function of its own.

use crate::head::{Beyond, ClassScale, Effect, Head, MarginGradient, RowNorm, SINE_FLOOR, TargetMargin};

use super::terms::Slope;

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

/// The parts of a row.
pub(super) fn parts<'a>(head: &Head, row: &'a [f64]) -> impl Iterator<Item = &'a [f64]> {
    row.chunks(row.len().div_ceil(head.parts.max(1)).max(1))
}

/// `x / (max(|x|, eps) + offset)^power`, part by part: unit rows (Gidaris and Komodakis 2018, arXiv 1804.09458),
/// OLTR's squash (Liu et al. 2019, arXiv 1904.05160), tau-normalisation (Kang et al. 2019, arXiv 1910.09217), the
/// causal classifier's weights (Tang et al. 2020, arXiv 2009.12991).
pub(super) fn normalised(head: &Head, norm: RowNorm, row: &[f64]) -> Vec<f64> {
    let part = |part: &[f64]| {
        let divisor = (length(part).max(norm.eps) + norm.offset).powf(norm.power);
        part.iter().map(|value| value / divisor).collect::<Vec<f64>>()
    };
    parts(head, row).flat_map(part).collect()
}

/// The gradient through [`normalised`] at `row`. With `r = |x|` and `s = r + offset`,
/// `x^ = s^-p x` has the differential `s^-p dx - p s^(-p-1) (x . dx / r) x`; below `eps` the divisor does not move.
pub(super) fn through_norm(head: &Head, norm: RowNorm, row: &[f64], slope: &[f64]) -> Vec<f64> {
    let part = |(part, slope): (&[f64], &[f64])| {
        let r = length(part);
        let s = r.max(norm.eps) + norm.offset;
        let along = match r >= norm.eps && r > 0.0 && norm.power > 0.0 {
            true => norm.power * dot(part, slope) / (r * s),
            false => 0.0,
        };
        let divisor = s.powf(norm.power);
        part.iter().zip(slope).map(|(x, slope)| (slope - along * x) / divisor).collect::<Vec<f64>>()
    };
    parts(head, row).zip(parts(head, slope)).flat_map(part).collect()
}

/// The label's similarity with its margin, and the derivative by the similarity: CosFace (Wang et al. 2018, arXiv
/// 1801.09414, eq. 4) and ArcFace (Deng et al. 2018, arXiv 1801.07698, eq. 3, with the authors' code beyond pi).
pub(super) fn with_margin(margin: TargetMargin, cosine: f64) -> Slope {
    let (m, beyond, gradient) = match margin {
        TargetMargin::None => return Slope { value: cosine, derivative: 1.0 },
        TargetMargin::Cosine { margin } => return Slope { value: cosine - margin, derivative: 1.0 },
        TargetMargin::Angle { margin, beyond, gradient } => (margin, beyond, gradient),
    };
    // Rounding takes the product of two unit rows beyond 1.
    let cosine = cosine.clamp(-1.0, 1.0);
    let theta = cosine.acos();
    let applies = match beyond {
        Beyond::Linear => cosine > (std::f64::consts::PI - m).cos(),
        Beyond::Easy => cosine > 0.0,
        Beyond::Nothing => true,
    };
    if !applies {
        let drop = if beyond == Beyond::Linear { m * m.sin() } else { 0.0 };
        return Slope { value: cosine - drop, derivative: 1.0 };
    }
    let derivative = match gradient {
        // d cos(theta + m) / d cos(theta) = sin(theta + m) / sin(theta).
        MarginGradient::Exact => m.cos() + m.sin() * cosine / theta.sin().max(SINE_FLOOR),
        MarginGradient::StraightThrough => 1.0,
    };
    Slope { value: (theta + m).cos(), derivative }
}

/// `f (scale t) + b` or `f (scale t + b)`.
pub(super) fn logit(head: &Head, similarity: f64, class_scale: f64, bias: f64) -> f64 {
    match head.class_scale {
        ClassScale::Logits => class_scale * (head.scale * similarity + bias),
        _ => class_scale * head.scale * similarity + bias,
    }
}

/// Takes the effect out of normalised features, part by part (Tang et al. 2020, arXiv 2009.12991).
pub(super) fn without_effect(head: &Head, effect: &Effect, row: &[f64]) -> Vec<f64> {
    let part = |(x, c): (&[f64], &[f64])| {
        let (x_length, c_length) = (length(x), length(c));
        let factor = match x_length > 0.0 && c_length > 0.0 {
            true => effect.alpha * (dot(x, c) / (x_length * c_length)) / c_length,
            false => 0.0,
        };
        x.iter().zip(c).map(|(x, c)| x - factor * c).collect::<Vec<f64>>()
    };
    parts(head, row).zip(parts(head, &effect.direction)).flat_map(part).collect()
}
