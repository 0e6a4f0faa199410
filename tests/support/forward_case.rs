//! A head and its loss without a way back, run on the adapter with guards around every buffer and compared with the f64
//! reference.
//!
//! # Error analysis
//! `e = 2^-24`. `a_nj` bounds the error of a logit, as `head_case.rs` works it out from the sums of absolute products. A
//! row's loss moves with its logits by at most its slope times the largest of them: `16 a_n` is allowed for scales, focal's
//! and seesaw's second derivatives, and a slope of at most `2 (1 + |loss|)`. The kernels of the loss have a relative error of
//! their own, `r = e (64 + 8 sqrt(K))`: together `16 a_n 2 (1 + |loss|) + r (1 + |loss|)`, as in `tests/head_loss.rs`. A
//! log-sum-exp moves by `a_n` times the loss's scales, and has the error `r (1 + |lse|)`.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Arena, GUARD, bits, floats};
use crate::head_case::HeadCase;
use crate::inputs::Draws;
use crate::matrix::{Matrix, rounded};
use longtail::gpu::head::{HeadLossPlan, HeadLossRequest, HeadLossViews, HeadRequest, HeadViews};
use longtail::gpu::{Kernels, Outputs, RowChoice, TargetViews, View};
use longtail::head::{ClassScale, Head, HeadBatch, HeadLoss};
use longtail::softmax::GateSource;
use longtail::{ClassCounts, TargetKind, Targets, Upstream, reference, wgpu};

const E: f64 = 1.0 / 16_777_216.0;

/// A batch with targets of every kind.
pub struct ForwardCase {
    pub head: HeadCase,
    pub second: Vec<i32>,
    pub lambda: Vec<f32>,
    pub soft: Vec<f32>,
    pub gates: Vec<f32>,
    pub row_weights: Vec<f32>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    pub loss: f32,
    pub row_loss: Vec<f32>,
    pub log_sum_exp: Vec<f32>,
    pub argmax: Vec<u32>,
    pub status: Option<longtail::Error>,
}

impl ForwardCase {
    pub fn new(head: Head, request: HeadRequest, seed: u32) -> Self {
        let (rows, classes, dim) = (request.rows, request.classes, request.dim);
        let mut case = HeadCase::new(head, request, seed);
        // Logits of about unit variance.
        let elem = request.weights.elem;
        let spread = (dim as f64).sqrt();
        let weights = case.weights.values.iter().map(|w| rounded(elem, w / spread)).collect();
        case.weights = Matrix::new(request.weights, classes, dim, weights);
        let mut draws = Draws::new(seed ^ 0xf02d);
        let second =
            (0..rows).map(|row| if row % 7 == 2 { -100 } else { draws.below(classes) as i32 }).collect();
        let lambda = (0..rows).map(|_| draws.unit()).collect();
        let soft = (0..rows * classes).map(|_| draws.unit() / classes as f32).collect();
        let gates = (0..rows * classes).map(|_| f32::from(draws.below(4) != 0)).collect();
        let row_weights = (0..rows).map(|_| 0.25 + draws.unit()).collect();
        Self { head: case, second, lambda, soft, gates, row_weights }
    }

    pub fn counts(classes: usize) -> ClassCounts {
        ClassCounts::new((0..classes).map(|class| 1 + 900 / (class as u64 + 1)).collect::<Vec<_>>()).unwrap()
    }

    fn targets(&self, kind: TargetKind) -> Targets<'_> {
        match kind {
            TargetKind::Mixed => {
                Targets::Mixed { first: &self.head.labels, second: &self.second, lambda: &self.lambda }
            }
            TargetKind::Soft => Targets::Soft(&self.soft),
            _ => Targets::Hard(&self.head.labels),
        }
    }

    fn norms(&self) -> Vec<f32> {
        let rows = self.head.features.values.chunks_exact(self.head.request.dim);
        rows.map(|row| row.iter().map(|value| value.abs()).sum::<f64>() as f32).collect()
    }

    fn given(spec: &HeadLoss) -> bool {
        spec.loss.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given)
    }

    pub fn spec(&self, loss: &longtail::SoftmaxLoss) -> HeadLoss {
        HeadLoss::new(self.head.head.clone(), loss.clone())
    }

    pub fn request(&self, kind: TargetKind, split: u32) -> HeadLossRequest {
        let HeadRequest { rows, classes, dim, features, weights, .. } = self.head.request;
        let mut request = HeadLossRequest::new(rows, classes, dim)
            .with_targets(kind)
            .with_row_weights()
            .with_argmax()
            .forward_only();
        request.head = request.head.with_places(features, weights);
        request.choice = (split > 0).then(|| RowChoice::stream(1, 1).with_split(split));
        request
    }

    /// Runs the forward pass `times` times in one submission, and gives what the last one left.
    pub fn run(&self, kernels: &Kernels, plan: &HeadLossPlan, spec: &HeadLoss, kind: TargetKind) -> Forward {
        let n = self.head.request.rows;
        let mut arena = Arena::new(false);
        let narrow = |values: &[f64]| bits(&values.iter().map(|value| *value as f32).collect::<Vec<_>>());
        let ints = |values: &[i32]| values.iter().map(|value| *value as u32).collect::<Vec<_>>();
        let features = arena.add(&self.head.features.words());
        let weights = arena.add(&self.head.weights.words());
        let [bias, class_scale, centre] = [&self.head.bias, &self.head.class_scale, &self.head.centre]
            .map(|values| arena.add(&narrow(values)));
        let [labels, second] = [&self.head.labels, &self.second].map(|values| arena.add(&ints(values)));
        let [lambda, soft, gates, row_weights] =
            [&self.lambda, &self.soft, &self.gates, &self.row_weights].map(|values| arena.add(&bits(values)));
        let norms = arena.add(&bits(&self.norms()));
        let outputs = [1, n, n, n].map(|count| arena.add(&vec![GUARD; count]));
        arena.upload(kernels);
        let view = |range: usize| arena.view(range);
        let head = HeadViews {
            features: view(features),
            weights: view(weights),
            bias: spec.head.bias.then(|| view(bias)),
            class_scale: (spec.head.class_scale != ClassScale::None).then(|| view(class_scale)),
            centre: spec.head.centred.then(|| view(centre)),
            labels: None,
        };
        let targets = match kind {
            TargetKind::Mixed => {
                TargetViews::Mixed { first: view(labels), second: view(second), lambda: view(lambda) }
            }
            TargetKind::Soft => TargetViews::Soft(view(soft).into()),
            _ => TargetViews::Hard(view(labels)),
        };
        let mut views = HeadLossViews::forward(head, targets);
        views.row_weights = Some(view(row_weights));
        views.feature_norms = spec.loss.influence.is_some().then(|| view(norms));
        views.gates = Self::given(spec).then(|| view(gates).into());
        let some = |range: usize| Some::<View<'_>>(view(range));
        let written = Outputs {
            loss: some(outputs[0]),
            row_loss: some(outputs[1]),
            log_sum_exp: some(outputs[2]),
            argmax: some(outputs[3]),
            ..Outputs::default()
        };
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        plan.encode_forward(&mut encoder, &views, &written).unwrap();
        kernels.queue().submit([encoder.finish()]);
        let status = plan.loss().status().err();
        let back = arena.read(kernels, &outputs);
        let [loss, row_loss, log_sum_exp] = [0, 1, 2].map(|part: usize| floats(&back[outputs[part]]));
        Forward { loss: loss[0], row_loss, log_sum_exp, argmax: back[outputs[3]].clone(), status }
    }

    pub fn expected(&self, spec: &HeadLoss, kind: TargetKind) -> reference::HeadOutput {
        let norms = self.norms();
        let mut batch =
            HeadBatch::new(self.head.input(), self.targets(kind)).with_row_weights(&self.row_weights);
        batch.gates = Self::given(spec).then_some(self.gates.as_slice());
        batch.feature_norms = spec.loss.influence.is_some().then_some(norms.as_slice());
        reference::head(spec, &batch, Upstream::One).unwrap()
    }

    /// The worst ratio of an error to its bound, and where it is.
    pub fn ratio(&self, spec: &HeadLoss, kind: TargetKind, found: &Forward) -> (f64, String) {
        let HeadRequest { rows, classes, .. } = self.head.request;
        let want = self.expected(spec, kind);
        let bounds = self.head.logit_bounds();
        let largest =
            spec.loss.class_scale.iter().flatten().fold(1.0, |largest: f64, scale| largest.max(scale.abs()));
        let scale = spec.loss.scale * largest;
        let r = E * (64.0 + 8.0 * (classes as f64).sqrt());
        let mut worst = (0.0, String::new());
        let mut note = |what: &str, at: usize, got: f32, want: f64, bound: f64| {
            let ratio = (f64::from(got) - want).abs() / bound.max(1e-30);
            let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
            if ratio > worst.0 {
                worst = (ratio, format!("{what}[{at}] is {got:e}, not {want:e}, bound {bound:e}"));
            }
        };
        let mut all = 0.0;
        for row in 0..rows {
            let a = bounds[row * classes..(row + 1) * classes].iter().fold(0.0, |a: f64, b| a.max(*b));
            let scaled = a * scale.max(1.0);
            let loss = want.loss.row_loss[row];
            let bound = 16.0 * scaled * 2.0 * (1.0 + loss.abs()) + r * (1.0 + loss.abs());
            all += bound;
            note("row_loss", row, found.row_loss[row], loss, bound);
            let lse = want.loss.log_sum_exp[row];
            note("log_sum_exp", row, found.log_sum_exp[row], lse, 16.0 * scaled + r * (1.0 + lse.abs()));
            // The class of the largest logit, unless another one is as near as rounding.
            let logits = &want.logits[row * classes..(row + 1) * classes];
            let best = logits[want.loss.argmax[row] as usize];
            let found = logits.get(found.argmax[row] as usize).copied().unwrap_or(f64::NEG_INFINITY);
            note("argmax", row, 0.0, best - found, 2.0 * a);
        }
        // A mean divides by at least a quarter of a row's weight.
        note("loss", 0, found.loss, want.loss.loss, 4.0 * all + r * (1.0 + want.loss.loss.abs()));
        worst
    }

    /// Plans, runs and compares; the plan, for what a test wants to know of it.
    #[track_caller]
    pub fn check(
        &self,
        kernels: &Kernels,
        name: &str,
        loss: &longtail::SoftmaxLoss,
        kind: TargetKind,
        split: u32,
    ) -> HeadLossPlan {
        let spec = self.spec(loss);
        let plan = kernels
            .head_loss(&spec, &self.request(kind, split))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(plan.scratch_bytes(), 0, "{name}");
        let found = self.run(kernels, &plan, &spec, kind);
        assert!(found.status.is_none(), "{name}: {:?}", found.status);
        let (ratio, what) = self.ratio(&spec, kind, &found);
        assert!(ratio <= 1.0, "{name}, {:?}: {what}: {ratio:.2} times its bound", self.head.request);
        plan
    }
}
