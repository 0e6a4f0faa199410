//! A head and its loss in one step on the device against the f64 reference: every softmax method, chunks of every size,
//! and the same as the two steps by hand.
//!
//! # Error analysis
//! `e = 2^-24`. A logit is a sum of D products with the norms' factors: its error is at most
//! `a_n = e (8 + 4 sqrt(D)) s max_j |x_n| |w_j|`, `s` being the scales and `|.|` the rows' lengths (1 where they are
//! normalised; four times the size of independent roundings, Higham and Mary 2019). A loss's gradient moves with its
//! logits by at most `B` times that and the row's sum of absolute gradients `S_n = sum_j |G_nj|`: `B = 2` for a softmax,
//! times what the row's loss is steeper than that; 16 is allowed for scales, focal's and seesaw's second derivatives. The
//! kernels of the loss have a relative error of their own, `r = e (64 + 8 sqrt(K))` of `S_n`. So
//! `d_n = (16 a_n + r) S_n` bounds the error of a row of G, and
//! * features: `d_n max_j |f w_jd|`, and the rounding of K products;
//! * weights: `sum_n d_n |x^_nd|`, and the rounding of N products;
//! * both twice through a normalisation, which projects and divides by the norm.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::context;
use inputs::Draws;
use longtail::gpu::head::{HeadGradients, HeadLossRequest, HeadLossViews, HeadOutput, HeadViews};
use longtail::gpu::{Inputs, Kernels, Outputs, TargetViews, View};
use longtail::head::{Head, HeadBatch, HeadInput, HeadLoss, Similarity};
use longtail::method::SOFTMAX;
use longtail::softmax::GateSource;
use longtail::{ClassCounts, Error, Reduction, SoftmaxLoss, TargetKind, Targets, Upstream, reference, wgpu};

const E: f64 = 1.0 / 16_777_216.0;

/// A batch of features.
struct Case {
    rows: usize,
    classes: usize,
    dim: usize,
    features: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    labels: Vec<i32>,
    second: Vec<i32>,
    lambda: Vec<f32>,
    soft: Vec<f32>,
    gates: Vec<f32>,
    row_weights: Vec<f32>,
}

impl Case {
    fn new(rows: usize, classes: usize, dim: usize, seed: u32) -> Self {
        let mut draws = Draws::new(seed);
        let spread = 1.0 / (dim as f32).sqrt();
        let features = (0..rows * dim).map(|_| draws.normal()).collect();
        let weights = (0..classes * dim).map(|_| draws.normal() * spread).collect();
        let bias = (0..classes).map(|_| draws.normal()).collect();
        let mut label = |ignored: bool| match draws.below(6) {
            0 if ignored => -100,
            _ => draws.below(classes) as i32,
        };
        let labels = (0..rows).map(|_| label(true)).collect();
        let second = (0..rows).map(|_| label(true)).collect();
        let lambda = (0..rows).map(|_| draws.unit()).collect();
        let soft = (0..rows * classes).map(|_| draws.unit() / classes as f32).collect();
        let gates = (0..rows * classes).map(|_| f32::from(draws.below(4) != 0)).collect();
        let row_weights = (0..rows).map(|_| 0.25 + draws.unit()).collect();
        Self { rows, classes, dim, features, weights, bias, labels, second, lambda, soft, gates, row_weights }
    }

    fn counts(&self) -> ClassCounts {
        ClassCounts::new((0..self.classes).map(|class| 1 + 900 / (class as u64 + 1)).collect::<Vec<_>>())
            .unwrap()
    }

    fn targets(&self, kind: TargetKind) -> Targets<'_> {
        match kind {
            TargetKind::Mixed => {
                Targets::Mixed { first: &self.labels, second: &self.second, lambda: &self.lambda }
            }
            TargetKind::Soft => Targets::Soft(&self.soft),
            _ => Targets::Hard(&self.labels),
        }
    }

    fn run(&self, spec: &HeadLoss, kind: TargetKind, scratch: u64) -> longtail::Result<HeadOutput> {
        let mut input = HeadInput::new(&self.features, &self.weights, self.dim, self.classes);
        input.bias = spec.head.bias.then_some(self.bias.as_slice());
        let mut batch = HeadBatch::new(input, self.targets(kind)).with_row_weights(&self.row_weights);
        batch.gates = self.given(spec);
        context().head_loss_and_grad(spec, &batch, scratch)
    }

    fn given(&self, spec: &HeadLoss) -> Option<&[f32]> {
        let given = spec.loss.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
        given.then_some(self.gates.as_slice())
    }

    fn expected(&self, spec: &HeadLoss, kind: TargetKind) -> reference::HeadOutput {
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let (features, weights, bias) = (wide(&self.features), wide(&self.weights), wide(&self.bias));
        let mut input = HeadInput::new(&features, &weights, self.dim, self.classes);
        input.bias = spec.head.bias.then_some(bias.as_slice());
        let norms: Vec<f32> = self
            .features
            .chunks_exact(self.dim)
            .map(|row| row.iter().map(|value| f64::from(value.abs())).sum::<f64>() as f32)
            .collect();
        let mut batch = HeadBatch::new(input, self.targets(kind)).with_row_weights(&self.row_weights);
        batch.gates = self.given(spec);
        batch.feature_norms = spec.loss.influence.is_some().then_some(norms.as_slice());
        reference::head(spec, &batch, Upstream::One).unwrap()
    }

    /// The worst ratio of an error to its bound.
    fn worst(&self, spec: &HeadLoss, want: &reference::HeadOutput, got: &HeadOutput) -> (f64, String) {
        let Self { rows, classes, dim, .. } = *self;
        let unit = |normalised: bool, row: &[f32]| {
            let length = row.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
            // The length that the similarity sees, and what the row is divided by.
            if normalised { (1.0, length.max(1e-12)) } else { (length, 1.0) }
        };
        let of_features = spec.head.features.power != 0.0;
        let of_weights = spec.head.weights.power != 0.0;
        let x: Vec<(f64, f64)> = self.features.chunks_exact(dim).map(|row| unit(of_features, row)).collect();
        let w: Vec<(f64, f64)> = self.weights.chunks_exact(dim).map(|row| unit(of_weights, row)).collect();
        let longest = w.iter().map(|w| w.0).fold(0.0, f64::max);
        let scale = spec.head.scale * spec.loss.scale.max(1.0);
        let r = E * (64.0 + 8.0 * (classes as f64).sqrt());
        let d: Vec<f64> = want
            .loss
            .gradient
            .chunks_exact(classes)
            .zip(&x)
            .map(|(row, x)| {
                let sum: f64 = row.iter().map(|g| g.abs()).sum();
                let a = E * (8.0 + 4.0 * (dim as f64).sqrt()) * scale * x.0 * longest;
                (16.0 * a + r) * (sum + 1e-12)
            })
            .collect();
        let mut worst = (0.0, String::new());
        let mut note = |what: &str, at: usize, got: f32, want: f64, bound: f64| {
            let ratio = (f64::from(got) - want).abs() / bound.max(1e-30);
            let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
            if ratio > worst.0 {
                worst = (ratio, format!("{what}[{at}] is {got:e}, not {want:e}, bound {bound:e}"));
            }
        };
        let outer = spec.head.scale;
        for (n, row) in got.feature_gradient.chunks_exact(dim).enumerate() {
            for (c, got) in row.iter().enumerate() {
                let size = |j: usize| f64::from(self.weights[j * dim + c].abs()) / w[j].1;
                let largest = (0..classes).map(size).fold(0.0, f64::max);
                let g = &want.loss.gradient[n * classes..(n + 1) * classes];
                let sum: f64 = g.iter().enumerate().map(|(j, g)| g.abs() * size(j)).sum();
                // A projection mixes the columns of a row.
                let mixed = if of_features { 1.0 + (dim as f64).sqrt() } else { 1.0 };
                let rounding = E * (8.0 + 4.0 * (classes as f64).sqrt()) * sum;
                let bound = outer * mixed * (d[n] * largest + rounding) / x[n].1;
                note("features", n * dim + c, *got, want.feature_gradient[n * dim + c], bound);
            }
        }
        for (j, row) in got.weight_gradient.chunks_exact(dim).enumerate() {
            for (c, got) in row.iter().enumerate() {
                let size = |n: usize| f64::from(self.features[n * dim + c].abs()) / x[n].1;
                let moved: f64 = (0..rows).map(|n| d[n] * size(n)).sum();
                let sum: f64 = (0..rows).map(|n| want.loss.gradient[n * classes + j].abs() * size(n)).sum();
                let mixed = if of_weights { 1.0 + (dim as f64).sqrt() } else { 1.0 };
                let rounding = E * (8.0 + 4.0 * (rows as f64).sqrt()) * sum;
                let bound = outer * mixed * (moved + rounding) / w[j].1;
                note("weights", j * dim + c, *got, want.weight_gradient[j * dim + c], bound);
            }
        }
        if let (Some(got), Some(want)) = (&got.bias_gradient, &want.bias_gradient) {
            for (j, (got, want)) in got.iter().zip(want).enumerate() {
                note("bias", j, *got, *want, d.iter().sum::<f64>() + E * 64.0 * want.abs());
            }
        }
        for (n, (got, want)) in got.row_loss.iter().zip(&want.loss.row_loss).enumerate() {
            let a = E * (8.0 + 4.0 * (dim as f64).sqrt()) * scale * x[n].0 * longest;
            // A row's loss moves with its logits as its gradient says, which is at most its slope.
            let slope = 2.0 * (1.0 + want.abs());
            note("row_loss", n, *got, *want, 16.0 * a * slope + r * (1.0 + want.abs()));
        }
        worst
    }
}

fn check(name: &str, case: &Case, spec: &HeadLoss, kind: TargetKind, scratch: u64) -> f64 {
    let got = case.run(spec, kind, scratch).unwrap_or_else(|error| panic!("{name}: {error}"));
    let want = case.expected(spec, kind);
    let (ratio, what) = case.worst(spec, &want, &got);
    assert!(ratio <= 1.0, "{name}, {scratch} bytes of scratch: {what}: {ratio:.2} times its bound");
    let error = (f64::from(got.loss) - want.loss.loss).abs();
    assert!(error <= 1e-5 * (1.0 + want.loss.loss.abs()), "{name}: {} {}", got.loss, want.loss.loss);
    assert_eq!(got.counts, want.loss.counts, "{name}");
    ratio
}

/// Every softmax method behind a cosine and a linear head, three rows at a time.
#[test]
fn every_method() {
    println!("{}", context().adapter_info().name);
    let case = Case::new(10, 13, 6, 1);
    let mut cases = 0;
    for method in SOFTMAX {
        let loss = (method.build)(&case.counts()).unwrap();
        for head in [Head::cosine(4.0), Head::linear().with_bias()] {
            let spec = HeadLoss::new(head, loss.clone());
            check(method.name, &case, &spec, method.targets, 3 * 4 * 13);
            cases += 1;
        }
    }
    println!("{cases} cases on the GPU");
    assert!(cases >= 80);
}

/// Chunks of one row up to all of them, feature dimensions around the tiles, heads of every similarity.
#[test]
fn chunks_and_dimensions() {
    let mut cases = 0;
    for dim in [1, 3, 64, 257] {
        let case = Case::new(19, 37, dim, 7 + dim as u32);
        let counts = case.counts();
        for head in [Head::linear(), Head::cosine(2.0), Head::nearest_class_mean()] {
            if dim == 1 && head.similarity == Similarity::NegativeSquaredDistance {
                continue;
            }
            let spec = HeadLoss::new(head, SoftmaxLoss::balanced(&counts));
            if spec.head.similarity == Similarity::NegativeSquaredDistance {
                // Its errors are relative to the norms: the device tests of heads have their bound.
                case.run(&spec, TargetKind::Hard, 5 * 4 * 37).unwrap();
                continue;
            }
            for rows in [1, 2, 8, 11, 16, 18, 19, 100] {
                check("balanced", &case, &spec, TargetKind::Hard, rows * 4 * 37);
                cases += 1;
            }
        }
    }
    println!("{cases} cases on the GPU");
    assert!(cases >= 60);
}

#[test]
fn fifty_thousand_classes() {
    let case = Case::new(5, 50_000, 16, 3);
    let spec = HeadLoss::new(Head::cosine(16.0), SoftmaxLoss::seesaw(&case.counts()));
    let ratio = check("seesaw", &case, &spec, TargetKind::Hard, 2 * 4 * 50_000);
    println!("1 case on the GPU, {ratio:.2} of its bound");
}

/// What one step gives is what the product and the loss give one after another, bit for bit, whatever the chunks: the
/// rows' numbers in the draws of the gates and the counts of the whole batch are those of the batch.
#[test]
fn the_same_as_two_steps() {
    let case = Case::new(16, 40, 8, 11);
    for loss in [
        SoftmaxLoss::seesaw(&case.counts()),
        SoftmaxLoss::equalization(&case.counts(), 0.05, 0.9, 3, GateSource::Element).unwrap(),
    ] {
        let spec = HeadLoss::new(Head::cosine(8.0), loss.with_reduction(Reduction::Sum));
        let whole = case.run(&spec, TargetKind::Hard, 1 << 20).unwrap();
        let parts = case.run(&spec, TargetKind::Hard, 8 * 4 * 40).unwrap();
        assert_eq!(whole.row_loss, parts.row_loss);
        assert_eq!(whole.argmax, parts.argmax);
        assert_eq!(whole.feature_gradient, parts.feature_gradient);
        assert_eq!(whole.counts, parts.counts);
        // And on a second run.
        assert_eq!(parts, case.run(&spec, TargetKind::Hard, 8 * 4 * 40).unwrap());
    }
}

fn storage(kernels: &Kernels, bytes: &[u8], size: u64) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor {
        label: None,
        size: size.max(bytes.len() as u64),
        usage,
        mapped_at_creation: false,
    };
    let buffer = kernels.device().create_buffer(&descriptor);
    kernels.queue().write_buffer(&buffer, 0, bytes);
    buffer
}

/// A plan without a way back gives the same loss, and what it does not have is refused.
#[test]
fn forward_only() {
    let case = Case::new(9, 21, 4, 5);
    let kernels = context().kernels();
    let loss = SoftmaxLoss::ldam(&case.counts(), 0.5, 10.0).unwrap();
    let spec = HeadLoss::new(Head::cosine(1.0), loss);
    let request = HeadLossRequest::new(9, 21, 4).with_scratch_bytes(2 * 4 * 21);
    let plan = kernels.head_loss(&spec, &request.clone().forward_only()).unwrap();
    assert_eq!(plan.chunks(), (9, 1));
    assert_eq!(plan.scratch_bytes(), 0);
    let features = storage(kernels, bytemuck::cast_slice(&case.features), 0);
    let weights = storage(kernels, bytemuck::cast_slice(&case.weights), 0);
    let labels = storage(kernels, bytemuck::cast_slice(&case.labels), 0);
    let out = storage(kernels, &[], 256);
    let views = HeadLossViews::forward(
        HeadViews::new(View::whole(&features), View::whole(&weights)),
        TargetViews::Hard(View::whole(&labels)),
    );
    let outputs = Outputs { loss: Some(View::new(&out, 0, 4)), ..Outputs::default() };
    let mut encoder = kernels.device().create_command_encoder(&Default::default());
    plan.encode_forward(&mut encoder, &views, &outputs).unwrap();
    let refused = plan.encode_loss_and_grad(&mut encoder, &views, &HeadGradients::default(), &outputs);
    assert!(matches!(refused, Err(Error::Unexpected { .. })), "{refused:?}");
    kernels.queue().submit([encoder.finish()]);
    let found = gpu::floats(&gpu::read_all(kernels, &[&out])[0])[0];
    let mut unweighted = Case::new(9, 21, 4, 5);
    unweighted.row_weights = vec![1.0; 9];
    let want = unweighted.expected(&spec, TargetKind::Hard).loss.loss;
    assert!((f64::from(found) - want).abs() <= 1e-5 * want, "{found} {want}");

    // Views that are too short, missing, given in vain, or in each other's way.
    let mut encoder = kernels.device().create_command_encoder(&Default::default());
    let scratch = storage(kernels, &[], 168);
    let vain = HeadLossViews { scratch: Some(View::whole(&scratch)), ..views };
    let refused = plan.encode_forward(&mut encoder, &vain, &outputs);
    assert!(matches!(refused, Err(Error::Unexpected { what: "a scratch buffer", .. })), "{refused:?}");
    let back = kernels.head_loss(&spec, &request).unwrap();
    assert_eq!((back.chunks(), back.scratch_bytes()), ((2, 5), 168));
    let mut refused = |scratch: Option<View<'_>>| {
        let views = HeadLossViews { scratch, ..views };
        back.encode_loss_and_grad(&mut encoder, &views, &HeadGradients::default(), &outputs)
    };
    let short = refused(Some(View::new(&scratch, 0, 4)));
    assert!(matches!(short, Err(Error::Length { expected: 168, found: 4, .. })), "{short:?}");
    assert!(refused(Some(View::new(&labels, 0, 168))).is_err());
    let missing = refused(None);
    assert!(matches!(missing, Err(Error::Missing { what: "the scratch buffer", .. })), "{missing:?}");
    // The loss's own plan has no logits to work on.
    let inputs = Inputs::new(View::whole(&scratch), TargetViews::Hard(View::whole(&labels)));
    let refused = plan.loss().encode_forward(&mut encoder, &inputs, &outputs);
    assert!(matches!(refused, Err(Error::Unexpected { .. })), "{refused:?}");
    let twice = HeadLossViews { head: views.head.with_labels(View::whole(&labels)), ..views };
    let refused = plan.encode_forward(&mut encoder, &twice, &outputs);
    assert!(matches!(refused, Err(Error::Unexpected { .. })), "{refused:?}");
    let soft = HeadLossViews { targets: TargetViews::Soft(View::whole(&scratch).into()), ..views };
    assert!(plan.encode_forward(&mut encoder, &soft, &outputs).is_err());
}

#[test]
fn what_cannot_be_planned() {
    let kernels = context().kernels();
    let spec = HeadLoss::new(Head::cosine(1.0), SoftmaxLoss::cross_entropy());
    let small = HeadLossRequest::new(4, 100, 8).with_scratch_bytes(399);
    match kernels.head_loss(&spec, &small) {
        Err(Error::Limit { needed, allowed, .. }) => assert_eq!((needed, allowed), (400, 399)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        kernels.head_loss(&spec, &HeadLossRequest::new(4, 100, 0)),
        Err(Error::Parameter { .. })
    ));
    assert!(matches!(kernels.head_loss(&spec, &HeadLossRequest::new(4, 0, 8)), Err(Error::Parameter { .. })));
    let margin = HeadLoss::new(Head::arcface(0.5, 8.0), SoftmaxLoss::cross_entropy());
    let soft = HeadLossRequest::new(4, 100, 8).with_targets(TargetKind::Soft);
    assert!(matches!(kernels.head_loss(&margin, &soft), Err(Error::Combination { .. })));
    // No rows: a loss of 0 and gradients of 0.
    let none = Case::new(0, 5, 3, 1);
    let found = none.run(&spec, TargetKind::Hard, 1 << 10).unwrap();
    assert_eq!((found.loss, found.weight_gradient), (0.0, vec![0.0; 15]));
}

/// Bad data is reported by row, and a row of zeros has a finite gradient.
#[test]
fn bad_rows_and_zero_rows() {
    let spec = HeadLoss::new(Head::cosine(4.0), SoftmaxLoss::cross_entropy());
    let mut case = Case::new(6, 7, 5, 2);
    case.labels = vec![0, 1, 2, 3, 4, 5];
    case.features[10..15].fill(0.0);
    check("a row of zeros", &case, &spec, TargetKind::Hard, 2 * 4 * 7);
    let kernels = context().kernels();
    let request = HeadLossRequest::new(6, 7, 5).with_scratch_bytes(2 * 4 * 7);
    let mut plan = kernels.head_loss(&spec, &request).unwrap();
    case.labels[3] = 7;
    let buffers = [
        bytemuck::cast_slice(&case.features),
        bytemuck::cast_slice(&case.weights),
        bytemuck::cast_slice(&case.labels),
    ]
    .map(|bytes| storage(kernels, bytes, 0));
    let [features, weights, labels] = &buffers;
    let scratch = storage(kernels, &[], plan.scratch_bytes());
    let (to_features, to_weights) = (storage(kernels, &[], 120), storage(kernels, &[], 140));
    let views = HeadLossViews::new(
        HeadViews::new(View::whole(features), View::whole(weights)),
        TargetViews::Hard(View::whole(labels)),
        View::whole(&scratch),
    );
    let gradients = HeadGradients {
        features: Some(View::whole(&to_features)),
        weights: Some(View::whole(&to_weights)),
        ..HeadGradients::default()
    };
    let step = |plan: &longtail::gpu::head::HeadLossPlan| {
        let mut encoder = kernels.device().create_command_encoder(&Default::default());
        plan.encode_loss_and_grad(&mut encoder, &views, &gradients, &Outputs::default()).unwrap();
        kernels.queue().submit([encoder.finish()]);
        gpu::floats(&gpu::read_all(kernels, &[&to_features])[0])
    };
    step(&plan);
    match plan.loss().status() {
        Err(Error::Label { row, rows, .. }) => assert_eq!((row, rows), (3, 1)),
        other => panic!("{other:?}"),
    }
    // An update of numbers: twice the scale of the loss.
    kernels.queue().write_buffer(labels, 0, bytemuck::cast_slice(&[0, 1, 2, 3, 4, 5]));
    let before = step(&plan);
    assert!(plan.loss().status().is_ok());
    let doubled = HeadLoss::new(Head::cosine(8.0), SoftmaxLoss::cross_entropy());
    plan.update(&doubled).unwrap();
    let after = step(&plan);
    assert_ne!(before, after);
    plan.update(&spec).unwrap();
    assert_eq!(before, step(&plan));
    let other = HeadLoss::new(Head::linear(), SoftmaxLoss::cross_entropy());
    assert!(plan.update(&other).is_err());
    assert!(plan.bytes() > 0 && plan.describe().contains("3 chunks of up to 2 rows"), "{}", plan.describe());
}
