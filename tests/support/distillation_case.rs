//! Distillation with a base: batches, and how far the kernels may be from the f64 reference.
//!
//! Errors: the base's are those of `tolerance.rs`. Of the divergence, `a` and `b` the largest arguments of the student's and
//! the teacher's softmax: `rho(x) = e (24 + 10 x + 4 sqrt(K))` relatively of a probability, as there. An element of the
//! gradient has both, of `s` and of `q`; a row's divergence is a mean of differences of arguments, `a + b` at most, and of
//! two log-sum-exps.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Given, Got, Manner, Up, pass_of, request};
use crate::inputs::{Data, Draws};
use crate::tolerance::{Bounds, E, TINY, stored, worst};
use longtail::gpu::{Kernels, Mode, Plan, PlanRequest};
use longtail::{Batch, DistillationLoss, Element, Reduction, SoftmaxLoss, Upstream, reference};

/// A loss with a batch.
#[derive(Debug, Clone)]
pub struct Case {
    pub spec: DistillationLoss,
    pub data: Data,
    pub teacher: Vec<f32>,
    /// What the teacher's logits are; absent: what the logits are.
    pub element: Option<Element>,
    /// What the gradient is added to.
    pub old: Option<Vec<f32>>,
}

impl Case {
    /// A teacher that masks what the student has masked, and some more.
    pub fn new(spec: DistillationLoss, data: Data) -> Self {
        let mut draws = Draws::new(data.rows as u32 ^ 0xa5a5);
        let classes = data.classes;
        let columns: Vec<usize> = match &spec.experts {
            None => (0..classes).collect(),
            Some(experts) => {
                experts.iter().flat_map(|expert| expert.classes.iter().map(|&class| class as usize)).collect()
            }
        };
        let mut teacher = Vec::with_capacity(data.rows * columns.len());
        for row in data.logits.chunks_exact(classes) {
            for (column, &class) in columns.iter().enumerate() {
                let masked = row[class] == f32::NEG_INFINITY;
                let own = 3.0 * draws.normal();
                teacher.push(if masked || column % 11 == 10 { f32::NEG_INFINITY } else { own });
            }
        }
        Self { spec, data, teacher, element: None, old: None }
    }

    /// With a gradient to add to.
    pub fn with_old(mut self) -> Self {
        let mut draws = Draws::new(99);
        self.old = Some((0..self.data.logits.len()).map(|_| draws.normal()).collect());
        self
    }

    /// Logits, teacher and old gradient as buffers hold them.
    pub fn rounded(mut self, manner: Manner) -> Self {
        let (logits, gradient) = (manner.elements.0, manner.gradient());
        let teacher = self.element.unwrap_or(logits);
        self.data = self.data.rounded_to(logits);
        self.teacher = teacher.decode(&teacher.encode(&self.teacher));
        self.old = self.old.map(|old| gradient.decode(&gradient.encode(&old)));
        self
    }

    pub fn base(&self) -> &SoftmaxLoss {
        self.spec.base.as_ref().expect("these have one")
    }

    pub fn request(&self, manner: Manner) -> PlanRequest {
        let mut request = request(&self.data, manner);
        request.teacher = self.element;
        request.added_gradient = self.old.is_some();
        request
    }

    pub fn plan(&self, kernels: &Kernels, manner: Manner) -> longtail::Result<Plan> {
        kernels.plan(&self.spec, &self.request(manner))
    }

    pub fn pass(&self, kernels: &Kernels, plan: &Plan, manner: Manner) -> longtail::Result<Got> {
        let batch: Batch<'_> = self.data.batch(self.base()).with_teacher(&self.teacher);
        let given = Given::new(batch, &self.data.upstream);
        let given = Given { old: self.old.as_deref(), teacher: self.element, ..given };
        pass_of(kernels, plan, &given, manner)
    }

    pub fn run(&self, kernels: &Kernels, manner: Manner) -> longtail::Result<(Plan, Got)> {
        let plan = self.plan(kernels, manner)?;
        let got = self.pass(kernels, &plan, manner)?;
        Ok((plan, got))
    }

    fn upstream(&self, manner: Manner) -> (Up, Upstream<'_>) {
        match (manner.mode, manner.upstream) {
            (Mode::LossAndGrad, _) | (_, Up::One) => (Up::One, Upstream::One),
            (_, Up::Scalar(value)) => (manner.upstream, Upstream::Scalar(value)),
            (_, Up::PerRow) => (manner.upstream, Upstream::PerRow(&self.data.upstream)),
        }
    }

    /// Whether a row has a label that counts.
    fn kept(&self, row: usize) -> bool {
        let data = &self.data;
        let of = |labels: &[i32]| Some(labels[row]) != self.spec.ignore_index;
        match data.kind {
            longtail::TargetKind::Mixed => of(&data.labels) || of(&data.second),
            longtail::TargetKind::Soft => true,
            _ => of(&data.labels),
        }
    }

    fn inverse(&self) -> f64 {
        let denominator = match self.spec.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Mean => self.data.rows as f64,
            Reduction::Fixed(d) => d,
            _ => (0..self.data.rows).filter(|&row| self.kept(row)).count() as f64,
        };
        if denominator == 0.0 { 0.0 } else { 1.0 / denominator }
    }

    /// What a row's divergence and its gradient may be off by, without weights of rows.
    fn divergence_bounds(&self, row: usize) -> (f64, Vec<f64>) {
        let (spec, classes) = (&self.spec, self.data.classes);
        let columns = spec.teacher_columns(classes);
        let z = &self.data.wide[row * classes..(row + 1) * classes];
        let t: Vec<f64> =
            self.teacher[row * columns..(row + 1) * columns].iter().map(|&t| t.into()).collect();
        let all: Vec<u32> = (0..classes as u32).collect();
        let experts: Vec<(&[u32], f64)> = match &spec.experts {
            None => vec![(&all, 1.0)],
            Some(experts) => experts.iter().map(|expert| (&expert.classes[..], expert.weight)).collect(),
        };
        let squared = if spec.squared { spec.temperature * spec.temperature } else { 1.0 };
        let (mut loss, mut slopes, mut begin) = (0.0, vec![0.0; classes], 0);
        for (of, weight) in experts {
            let a: Vec<f64> = of.iter().map(|&class| z[class as usize] / spec.temperature).collect();
            let b: Vec<f64> = t[begin..begin + of.len()]
                .iter()
                .map(|t| spec.teacher_power * t / spec.temperature)
                .collect();
            begin += of.len();
            let (s, size_a) = probabilities(&a);
            let (q, size_b) = probabilities(&b);
            let rho = |size: f64| E * (24.0 + 10.0 * size + 4.0 * (classes as f64).sqrt());
            let factor = spec.weight * squared * weight;
            loss += factor * ((rho(size_a) + rho(size_b)) * (1.0 + size_a + size_b));
            for ((class, s), q) in of.iter().zip(s).zip(q) {
                slopes[*class as usize] +=
                    factor / spec.temperature * (rho(size_a) * s + rho(size_b) * q + E * (s - q).abs());
            }
        }
        (loss, slopes)
    }

    /// The element that is worst in units of its tolerance, and what it is.
    pub fn worst(&self, manner: Manner, got: &Got) -> (f64, String) {
        let (data, base) = (&self.data, self.base());
        let (up, upstream) = self.upstream(manner);
        let batch = data.wide(base);
        let teacher: Vec<f64> = self.teacher.iter().map(|&t| t.into()).collect();
        let want = reference::distillation(&self.spec, &batch, &teacher, upstream).expect("legal");
        let of_base = reference::softmax(base, &batch, upstream).expect("legal");
        let bounds = Bounds::new(base, data, &of_base, up);
        let weight = self.spec.base_weight;
        let inverse = self.inverse();
        let reduction = E * (8.0 + 2.0 * (data.rows as f64).sqrt());
        let (mut rows, mut gradient) = (Vec::new(), Vec::new());
        let mut loss = weight * bounds.loss;
        for row in 0..data.rows {
            let own = data.row_weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            let factor = match up {
                Up::One => 1.0,
                Up::Scalar(value) => f64::from(value),
                Up::PerRow => f64::from(data.upstream[row]),
            };
            let own = if self.kept(row) { own } else { 0.0 };
            let (of_row, slopes) = self.divergence_bounds(row);
            let bound = weight * bounds.row_loss[row] + own * of_row + E * finite(want.row_loss[row]) + TINY;
            loss += inverse * (own * of_row + reduction * finite(want.row_loss[row])) + TINY;
            rows.push(bound);
            let start = row * data.classes;
            for (class, slope) in slopes.iter().enumerate() {
                let at = start + class;
                let old = self.old.as_ref().map_or(0.0, |old| f64::from(old[at]));
                let sum = want.gradient[at].abs() + 2.0 * weight * of_base.gradient[at].abs() + old.abs();
                let of_divergence = own * factor.abs() * inverse * slope * (1.0 + reduction);
                gradient.push((old, weight * bounds.gradient[at] + of_divergence + E * sum + TINY));
            }
        }
        let pairs = want.gradient.iter().zip(&gradient);
        let pairs = pairs.map(|(want, &(old, bound))| stored(manner.gradient(), want + old, bound));
        let (want_gradient, gradient_bounds): (Vec<f64>, Vec<f64>) = pairs.unzip();
        let lists = [
            worst("loss", &[got.loss], &[want.loss], &[loss + reduction * finite(want.loss)]),
            worst("row_loss", &got.row_loss, &want.row_loss, &rows),
            worst("log_sum_exp", &got.log_sum_exp, &of_base.log_sum_exp, &bounds.log_sum_exp),
            worst("probability", &got.probability, &of_base.target_probability, &bounds.probability),
            worst("gradient", &got.gradient, &want_gradient, &gradient_bounds),
        ];
        if manner.argmax && got.argmax != want.argmax {
            return (f64::INFINITY, format!("argmax {:?} for {:?}", got.argmax, want.argmax));
        }
        if let Some(status) = &got.status {
            return (f64::INFINITY, status.to_string());
        }
        let worst = lists.into_iter().flatten().max_by(|a, b| a.ratio.total_cmp(&b.ratio));
        worst.map_or((0.0, String::new()), |worst| (worst.ratio, format!("{worst:?}")))
    }

    /// Plans, runs and compares.
    pub fn check(&self, kernels: &Kernels, manner: Manner) {
        let case = self.clone().rounded(manner);
        let (plan, got) = case.run(kernels, manner).unwrap_or_else(|error| panic!("{manner:?}: {error}"));
        case.compare(&plan, manner, &got);
    }

    pub fn compare(&self, plan: &Plan, manner: Manner, got: &Got) {
        let (ratio, what) = self.worst(manner, got);
        assert!(ratio <= 1.0, "{what}\n{:?}\n{manner:?}\n{}", self.spec, plan.describe());
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value.abs() } else { 0.0 }
}

/// Probabilities, and the largest argument or log-sum-exp.
fn probabilities(x: &[f64]) -> (Vec<f64>, f64) {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|x| (x - top).exp()).sum();
    let size = x.iter().filter(|x| x.is_finite()).fold((top + sum.ln()).abs(), |size, x| size.max(x.abs()));
    (x.iter().map(|x| (x - top).exp() / sum).collect(), size)
}
