//! A head's batch, run on the adapter chunk by chunk with guards around every buffer, and compared with the f64 reference
//! within a bound that follows from the sizes of the terms.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Arena, GUARD, bits, floats};
use crate::inputs::Draws;
use crate::matrix::{Matrix, U, rounded};
use longtail::gpu::head::{HeadGradients, HeadPlan, HeadRequest, HeadViews};
use longtail::gpu::{Kernels, View};
use longtail::head::{
    Beyond, ClassScale, Head, HeadBatch, HeadInput, HeadLoss, MarginGradient, RowNorm, SINE_FLOOR,
    Similarity, TargetMargin,
};
use longtail::{Reduction, SoftmaxLoss, Targets, Upstream, reference};

/// What a batch consists of.
pub struct HeadCase {
    pub head: Head,
    pub request: HeadRequest,
    pub features: Matrix,
    pub weights: Matrix,
    pub bias: Vec<f64>,
    pub class_scale: Vec<f64>,
    pub centre: Vec<f64>,
    pub labels: Vec<i32>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub logits: Vec<f32>,
    pub features: Vec<f32>,
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub class_scale: Vec<f32>,
    pub scale: Vec<f32>,
}

/// A head with the numbers that the kernels get.
pub fn single(mut head: Head) -> Head {
    let round = |value: &mut f64| *value = f64::from(*value as f32);
    for norm in [&mut head.features, &mut head.weights] {
        round(&mut norm.power);
        round(&mut norm.eps);
        round(&mut norm.offset);
    }
    round(&mut head.scale);
    head
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

impl HeadCase {
    /// Random numbers, long rows and short ones; row 1 of the features and row 1 of the weights are 0 where there are more
    /// than two.
    pub fn new(head: Head, request: HeadRequest, seed: u32) -> Self {
        let head = single(head);
        let mut draws = Draws::new(seed ^ 0x4ead);
        let mut rows = |spec, rows: usize, dim: usize| {
            let mut values = Matrix::random(spec, rows, dim, &mut draws).values;
            if rows > 2 {
                values[dim..2 * dim].fill(0.0);
            }
            Matrix::new(spec, rows, dim, values)
        };
        let (n, k, d) = (request.rows, request.classes, request.dim);
        let mut features = rows(request.features, n, d);
        let weights = rows(request.weights, k, d);
        if matches!(head.margin, TargetMargin::Angle { .. }) && n > 2 && d >= 8 {
            // Row 2 lies nearly opposite of its label's weights, where an angular margin ends.
            let label = 15 % k;
            let opposite = weights.values[label * d..(label + 1) * d].iter().map(|w| -2.0 * w);
            let mut values = features.values.clone();
            values[2 * d..3 * d].iter_mut().zip(opposite).for_each(|(x, w)| {
                *x = rounded(request.features.elem, w + 0.125 * *x);
            });
            features = Matrix::new(request.features, n, d, values);
        }
        let mut vector = |count: usize| (0..count).map(|_| f64::from(draws.normal())).collect::<Vec<f64>>();
        let (bias, class_scale) = (vector(k), vector(k));
        let centre = vector(d).iter().map(|value| 0.125 * value).collect::<Vec<f64>>();
        let labels = (0..n).map(|row| if row % 5 == 3 { -100 } else { ((row * 7 + 1) % k) as i32 }).collect();
        let centre = wide(&narrow(&centre));
        Self { head, request, features, weights, bias, class_scale, centre, labels }
    }

    pub fn input(&self) -> HeadInput<'_, f64> {
        let (k, d) = (self.request.classes, self.request.dim);
        let mut input = HeadInput::new(&self.features.values, &self.weights.values, d, k);
        input.bias = self.head.bias.then_some(&self.bias);
        input.class_scale = (self.head.class_scale != ClassScale::None).then_some(&self.class_scale);
        input.centre = self.head.centred.then_some(&self.centre);
        input
    }

    /// The labels as a shard gets them: counted among all classes; rows without one have some of other shards.
    fn given_labels(&self) -> Vec<u32> {
        let (first, classes) = (self.request.first_class as i32, self.request.classes as i32);
        let given = self.labels.iter().enumerate().map(|(row, &label)| match label {
            -100 if first > 0 && row % 10 == 3 => first - 1,
            -100 if first > 0 && row % 20 == 8 => first + classes,
            -100 => label,
            label => first + label,
        });
        given.map(|label| label as u32).collect()
    }

    /// The reference under a loss whose gradient the backward passes are given.
    pub fn expected(&self) -> reference::HeadOutput {
        let loss = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Sum).with_ignore_index(Some(-100));
        let spec = HeadLoss::new(self.head.clone(), loss);
        let batch = HeadBatch::new(self.input(), Targets::Hard(&self.labels));
        reference::head(&spec, &batch, Upstream::Scalar(0.75)).expect("a legal batch")
    }

    /// Runs all chunks in one pass each way; between the two the host puts the logits' gradient into the scratch buffers.
    pub fn run(&self, kernels: &Kernels, slopes: &[f64]) -> longtail::Result<(HeadPlan, Found)> {
        let plan = kernels.head(&self.head, &self.request)?;
        let request = *plan.request();
        let (n, k, d) = (request.rows, request.classes, request.dim);
        let mut arena = Arena::new(request.shared);
        let features = arena.add(&self.features.words());
        let weights = arena.add(&self.weights.words());
        let bias = arena.add(&bits(&narrow(&self.bias)));
        let class_scale = arena.add(&bits(&narrow(&self.class_scale)));
        let centre = arena.add(&bits(&narrow(&self.centre)));
        let labels = arena.add(&self.given_labels());
        let empty = |arena: &mut Arena, count: usize| arena.add(&vec![GUARD; count]);
        let outputs = [n * d, k * d, k, k, 1].map(|count| empty(&mut arena, count));
        let scratches: Vec<usize> = plan.chunks().map(|rows| empty(&mut arena, rows.len() * k)).collect();
        arena.upload(kernels);
        let given = |range: usize, wanted: bool| wanted.then(|| arena.view(range));
        let views = HeadViews {
            features: arena.view(features),
            weights: arena.view(weights),
            bias: given(bias, self.head.bias),
            class_scale: given(class_scale, self.head.class_scale != ClassScale::None),
            centre: given(centre, self.head.centred),
            labels: given(labels, self.head.margin != TargetMargin::None),
        };
        let encoder = || kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut forward = encoder();
        {
            let mut pass = forward.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            plan.begin(&mut pass, &views)?;
            for (chunk, &scratch) in scratches.iter().enumerate() {
                plan.forward(&mut pass, chunk, &views, arena.view(scratch))?;
            }
        }
        kernels.queue().submit([forward.finish()]);
        let back = arena.read(kernels, &scratches);
        let logits = scratches.iter().flat_map(|&range| floats(&back[range])).collect();
        let mut found = Found { logits, ..Found::default() };
        if !request.backward {
            return Ok((plan, found));
        }
        for (rows, &scratch) in plan.chunks().zip(&scratches) {
            let View { buffer, offset, .. } = arena.view(scratch);
            let slopes = narrow(&slopes[rows.start * k..rows.end * k]);
            kernels.queue().write_buffer(buffer, offset, bytemuck::cast_slice(&slopes));
        }
        let gradients = HeadGradients {
            features: given(outputs[0], request.feature_gradient),
            weights: given(outputs[1], request.weight_gradient),
            bias: given(outputs[2], request.bias_gradient),
            class_scale: given(outputs[3], request.class_scale_gradient),
            scale: given(outputs[4], request.scale_gradient),
        };
        let mut backward = encoder();
        {
            let mut pass = backward.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (chunk, &scratch) in scratches.iter().enumerate() {
                plan.backward(&mut pass, chunk, &views, &gradients, arena.view(scratch))?;
            }
            plan.finish(&mut pass, &views, &gradients)?;
        }
        kernels.queue().submit([backward.finish()]);
        let mut written = scratches.clone();
        written.extend(outputs);
        let back = arena.read(kernels, &written);
        let read = |range: usize, wanted: bool| if wanted { floats(&back[range]) } else { Vec::new() };
        found.features = read(outputs[0], request.feature_gradient);
        found.weights = read(outputs[1], request.weight_gradient);
        found.bias = read(outputs[2], request.bias_gradient);
        found.class_scale = read(outputs[3], request.class_scale_gradient);
        found.scale = read(outputs[4], request.scale_gradient);
        Ok((plan, found))
    }

    /// The largest error over the bound that the analysis allows; not a number where something is not.
    pub fn ratio(&self, plan: &HeadPlan, found: &Found) -> f64 {
        let expected = self.expected();
        let bounds = Bounds::new(self, &expected.loss.gradient);
        let request = plan.request();
        let mut worst = 0f64;
        let mut compare = |name: &str, found: &[f32], expected: &[f64], allowed: &[f64]| {
            assert_eq!(found.len(), expected.len(), "{name}");
            for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
                let error = (f64::from(*found) - expected).abs();
                let ratio = error / (1.01 * allowed[position] + 1e-37);
                worst = if ratio.is_nan() { f64::INFINITY } else { worst.max(ratio) };
            }
        };
        compare("logits", &found.logits, &expected.logits, &bounds.logits);
        if request.feature_gradient {
            compare("features", &found.features, &expected.feature_gradient, &bounds.features);
        }
        if request.weight_gradient {
            compare("weights", &found.weights, &expected.weight_gradient, &bounds.weights);
        }
        if request.bias_gradient {
            compare("bias", &found.bias, &expected.bias_gradient.unwrap(), &bounds.bias);
        }
        if request.class_scale_gradient {
            let expected = expected.class_scale_gradient.unwrap();
            compare("class scale", &found.class_scale, &expected, &bounds.class_scale);
        }
        if request.scale_gradient {
            compare("scale", &found.scale, &[expected.scale_gradient], &[bounds.scale]);
        }
        worst
    }

    /// For each logit, how far a kernel's may be from the reference's.
    pub fn logit_bounds(&self) -> Vec<f64> {
        Bounds::new(self, &vec![0.0; self.request.rows * self.request.classes]).logits
    }

    /// Runs and compares.
    #[track_caller]
    pub fn check(&self, kernels: &Kernels) -> HeadPlan {
        let slopes = self.expected().loss.gradient;
        let (plan, found) =
            self.run(kernels, &slopes).unwrap_or_else(|error| panic!("{:?}: {error}", self.request));
        let ratio = self.ratio(&plan, &found);
        assert!(ratio <= 1.0, "{ratio} of the bound: {:?}\n{:?}", self.head, self.request);
        plan
    }
}

/// Bounds of the errors, element by element. Each number that a kernel gives is a sum of products of normalised rows,
/// gradients and scales. With all terms made positive the same sum is its size; a sum of n terms has an error of at most
/// n U times its size, and what is summed brings its own. To these come a few roundings and the power's error, as in
/// `matrix_rows.rs`. The margin's slope is steep where the angle is small: its error is what the cosine's error makes of it.
struct Bounds {
    logits: Vec<f64>,
    features: Vec<f64>,
    weights: Vec<f64>,
    bias: Vec<f64>,
    class_scale: Vec<f64>,
    scale: f64,
}

/// A part of a row that is normalised by `factor`; see `RowNorm` for `along`.
fn normal(norm: RowNorm, part: &[f64]) -> (f64, f64) {
    let length = part.iter().map(|x| x * x).sum::<f64>().sqrt();
    let divisor = length.max(norm.eps) + norm.offset;
    let along = length >= norm.eps && length > 0.0 && norm.power > 0.0;
    (divisor.powf(-norm.power), if along { norm.power / (length * divisor) } else { 0.0 })
}

/// The size of what becomes of a gradient's size through a normalisation.
fn through(norm: RowNorm, width: usize, row: &[f64], size: &[f64]) -> Vec<f64> {
    let parts = row.chunks(width).zip(size.chunks(width));
    let part = |(x, size): (&[f64], &[f64])| {
        let (factor, along) = normal(norm, x);
        let product: f64 = x.iter().zip(size).map(|(x, size)| x.abs() * size).sum();
        let each = x.iter().zip(size).map(|(x, size)| factor * (size + along * product * x.abs()));
        each.collect::<Vec<f64>>()
    };
    parts.flat_map(part).collect()
}

/// The margin's value and slope.
fn margin(head: &Head, similarity: f64) -> (f64, f64) {
    match head.margin {
        TargetMargin::Cosine { margin } => (similarity - margin, 1.0),
        TargetMargin::Angle { margin, beyond, gradient } => {
            let cosine = similarity.clamp(-1.0, 1.0);
            let outside = match beyond {
                Beyond::Linear => cosine <= (std::f64::consts::PI - margin).cos(),
                Beyond::Easy => cosine <= 0.0,
                _ => false,
            };
            if outside {
                let drop = if beyond == Beyond::Linear { margin * margin.sin() } else { 0.0 };
                return (cosine - drop, 1.0);
            }
            let sine = (1.0 - cosine * cosine).sqrt();
            let slope = margin.cos() + margin.sin() * cosine / sine.max(SINE_FLOOR);
            let straight = gradient == MarginGradient::StraightThrough;
            (cosine * margin.cos() - sine * margin.sin(), if straight { 1.0 } else { slope })
        }
        _ => (similarity, 1.0),
    }
}

/// The largest change of value and slope within `error` of a similarity.
fn margin_error(head: &Head, similarity: f64, error: f64) -> (f64, f64) {
    let (value, slope) = margin(head, similarity);
    // The slope is monotonic on each side, steepest towards 1.
    let near = [-1.0, -0.5, 0.5, 1.0].map(|by| margin(head, similarity + by * error));
    near.iter().fold((0f64, 0f64), |(a, b), (v, s)| (a.max((v - value).abs()), b.max((s - slope).abs())))
}

impl Bounds {
    fn new(case: &HeadCase, slopes: &[f64]) -> Self {
        let (head, k, d) = (&case.head, case.request.classes, case.request.dim);
        let n = case.request.rows;
        let width = (d / head.parts).max(1);
        let distance = head.similarity == Similarity::NegativeSquaredDistance;
        let positive = |values: &[f64]| values.iter().map(|value| value.abs()).collect::<Vec<f64>>();
        let rows = |norm: RowNorm, rows: &[f64]| -> Vec<f64> {
            rows.chunks(width)
                .flat_map(|part| {
                    let factor = normal(norm, part).0;
                    part.iter().map(move |x| (x * factor).abs()).collect::<Vec<f64>>()
                })
                .collect()
        };
        let moved = |row: &[f64], sign: f64| -> Vec<f64> {
            let centre = case.centre.iter().map(|c| if head.centred { sign * c } else { 0.0 });
            row.iter().zip(centre).map(|(x, c)| x + c).collect()
        };
        let x: Vec<f64> = case.features.values.chunks(d).flat_map(|row| moved(row, -1.0)).collect();
        let (a, b) = (rows(head.features, &x), rows(head.weights, &case.weights.values));
        let squares = |rows: &[f64]| -> Vec<f64> {
            rows.chunks(d).map(|row| row.iter().map(|x| x * x).sum()).collect()
        };
        let (aa, bb) = (squares(&a), squares(&b));
        let f: Vec<f64> = match head.class_scale {
            ClassScale::None => vec![1.0; k],
            _ => positive(&case.class_scale),
        };
        let bias = if head.bias { positive(&case.bias) } else { vec![0.0; k] };
        let of_logits = head.class_scale == ClassScale::Logits;
        let few = |norm: RowNorm| if [0.0, 1.0].contains(&norm.power) { 16.0 } else { 64.0 };
        let few = few(head.features) + few(head.weights) + if head.centred { 8.0 } else { 0.0 };
        let relative = (2.0 * d as f64 + few) * U;
        let twice = if distance { 2.0 } else { 1.0 };

        let mut bare = head.clone().with_scale(1.0);
        (bare.bias, bare.class_scale) = (false, ClassScale::None);
        let plain =
            reference::logits(&bare, &HeadInput { bias: None, class_scale: None, ..case.input() }).unwrap();
        let mut logits = Vec::new();
        // Sizes of the gradient by similarities, errors of it by the margin's, and the two of the rests.
        let (mut inner, mut inner_error, mut rest, mut rest_error) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, a_row) in a.chunks(d).enumerate() {
            for (class, b_row) in b.chunks(d).enumerate() {
                let at = row * k + class;
                let product: f64 = a_row.iter().zip(b_row).map(|(a, b)| a * b).sum();
                let size = twice * product + if distance { aa[row] + bb[class] } else { 0.0 };
                let error = relative * size;
                let is_label = case.labels[row] == class as i32 && head.margin != TargetMargin::None;
                let (value, slope, by_value, by_slope) = match is_label {
                    true => {
                        let (value, slope) = margin(head, plain[at]);
                        let (by_value, by_slope) = margin_error(head, plain[at], error + 4.0 * U);
                        (value, slope, by_value + 8.0 * U, by_slope + 8.0 * U * slope.abs())
                    }
                    false => (plain[at], 1.0, error, 0.0),
                };
                let whole = f[class] * head.scale * value.abs()
                    + bias[class] * if of_logits { f[class] } else { 1.0 };
                logits.push(f[class] * head.scale * by_value + 8.0 * U * whole);
                let g = slopes[at].abs();
                inner.push(g * slope.abs());
                inner_error.push(g * by_slope);
                let left = if is_label { g * (value.abs() + slope.abs() * plain[at].abs()) } else { 0.0 };
                rest.push(left);
                rest_error.push(if is_label {
                    g * (by_value + by_slope * plain[at].abs() + slope.abs() * error)
                } else {
                    0.0
                });
            }
        }
        let outer = positive(slopes);
        let chain = |inner: &[f64], rest: &[f64], outer: &[f64]| {
            let column = |values: &[f64]| -> Vec<f64> {
                (0..k).map(|class| (0..n).map(|row| values[row * k + class]).sum()).collect()
            };
            let (sums, outer, rest) = (column(inner), column(outer), column(rest));
            let mut to_weights = vec![0.0; k * d];
            let mut to_features = vec![0.0; n * d];
            let mut along = rest;
            for row in 0..n {
                for class in 0..k {
                    let g = inner[row * k + class];
                    for i in 0..d {
                        to_weights[class * d + i] += g * a[row * d + i] * twice;
                        to_features[row * d + i] += g * f[class] * head.scale * b[class * d + i] * twice;
                        along[class] += twice * g * a[row * d + i] * b[class * d + i];
                        if distance {
                            to_features[row * d + i] += 2.0 * g * f[class] * head.scale * a[row * d + i];
                        }
                    }
                    if distance {
                        along[class] += g * (aa[row] + bb[class]);
                    }
                }
            }
            for class in 0..k {
                for i in 0..d {
                    let own = if distance { 2.0 * sums[class] * b[class * d + i] } else { 0.0 };
                    let value = &mut to_weights[class * d + i];
                    *value = f[class] * head.scale * (*value + own);
                }
            }
            let by_row = |norm, rows: &[f64], sizes: &[f64]| -> Vec<f64> {
                let pairs = rows.chunks(d).zip(sizes.chunks(d));
                pairs.flat_map(|(row, size)| through(norm, width, row, size)).collect()
            };
            let bias_sizes: Vec<f64> =
                (0..k).map(|class| outer[class] * if of_logits { f[class] } else { 1.0 }).collect();
            let scales: Vec<f64> = (0..k)
                .map(|class| {
                    head.scale * along[class] + if of_logits { bias[class] * outer[class] } else { 0.0 }
                })
                .collect();
            Bounds {
                logits: Vec::new(),
                features: by_row(head.features, &x, &to_features),
                weights: by_row(head.weights, &case.weights.values, &to_weights),
                bias: bias_sizes,
                class_scale: scales,
                scale: (0..k).map(|class| f[class] * along[class]).sum(),
            }
        };
        let sizes = chain(&inner, &rest, &outer);
        let errors = chain(&inner_error, &rest_error, &vec![0.0; n * k]);
        let terms = ((n + k + 2 * d) as f64 + 64.0) * U + 3.0 * relative;
        let both = |sizes: &[f64], errors: &[f64]| -> Vec<f64> {
            sizes.iter().zip(errors).map(|(size, error)| terms * size + error).collect()
        };
        Bounds {
            logits,
            features: both(&sizes.features, &errors.features),
            weights: both(&sizes.weights, &errors.weights),
            bias: both(&sizes.bias, &errors.bias),
            class_scale: both(&sizes.class_scale, &errors.class_scale),
            scale: terms * sizes.scale + errors.scale,
        }
    }
}
