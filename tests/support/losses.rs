//! Batches of losses beyond the softmax family run through plans with buffers laid out in every way.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Given, Got, Manner, Up, pass_of};
use crate::inputs::Draws;
use longtail::gpu::{Kernels, Mode, Plan, PlanRequest, Storage};
use longtail::{Batch, Element, Loss, Targets, Upstream};

/// A loss with a batch.
#[derive(Debug, Clone)]
pub struct Problem {
    pub loss: Loss<'static>,
    pub rows: usize,
    pub classes: usize,
    pub logits: Vec<f32>,
    pub labels: Vec<i32>,
    /// Second labels and the first ones' shares, for two labels a row.
    pub mixed: Option<(Vec<i32>, Vec<f32>)>,
    /// `[N, M]`, and M.
    pub teacher: Option<(Vec<f32>, usize)>,
    /// What the teacher's logits are; absent: what the logits are.
    pub teacher_element: Option<Element>,
    pub row_weights: Option<Vec<f32>>,
    pub upstream: Vec<f32>,
    /// What the gradient is added to.
    pub old: Option<Vec<f32>>,
}

impl Problem {
    /// Normal logits, labels among `labels` classes.
    pub fn new(
        loss: impl Into<Loss<'static>>,
        rows: usize,
        classes: usize,
        labels: usize,
        seed: u32,
    ) -> Self {
        let mut draws = Draws::new(seed);
        let logits = (0..rows * classes).map(|_| 2.0 * draws.normal()).collect();
        let labels = (0..rows).map(|_| draws.below(labels) as i32).collect();
        let upstream = (0..rows).map(|_| draws.unit() + 0.5).collect();
        Self {
            loss: loss.into(),
            rows,
            classes,
            logits,
            labels,
            mixed: None,
            teacher: None,
            teacher_element: None,
            row_weights: None,
            upstream,
            old: None,
        }
    }

    /// With a teacher of `columns` columns.
    pub fn with_teacher(mut self, columns: usize, seed: u32) -> Self {
        let mut draws = Draws::new(seed ^ 0x55aa);
        self.teacher = Some(((0..self.rows * columns).map(|_| 3.0 * draws.normal()).collect(), columns));
        self
    }

    /// With weights of rows.
    pub fn with_row_weights(mut self) -> Self {
        let mut draws = Draws::new(77);
        self.row_weights = Some((0..self.rows).map(|_| 0.25 + draws.unit()).collect());
        self
    }

    /// With a gradient to add to.
    pub fn with_old(mut self) -> Self {
        let mut draws = Draws::new(99);
        self.old = Some((0..self.rows * self.classes).map(|_| draws.normal()).collect());
        self
    }

    /// Logits and teacher as a buffer of `logits` holds them, the old gradient as one of `gradient`.
    pub fn rounded(mut self, logits: Element, gradient: Element) -> Self {
        let teacher = self.teacher_element.unwrap_or(logits);
        self.teacher =
            self.teacher.map(|(values, columns)| (teacher.decode(&teacher.encode(&values)), columns));
        self.logits = logits.decode(&logits.encode(&self.logits));
        self.old = self.old.map(|old| gradient.decode(&gradient.encode(&old)));
        self
    }

    pub fn targets(&self) -> Targets<'_> {
        match &self.mixed {
            None => Targets::Hard(&self.labels),
            Some((second, lambda)) => Targets::Mixed { first: &self.labels, second, lambda },
        }
    }

    /// The batch with `logits` in the precision of the one who computes.
    pub fn batch<'a, T>(&'a self, logits: &'a [T]) -> Batch<'a, T> {
        let mut batch = Batch::new(logits, self.classes, self.targets());
        batch.row_weights = self.row_weights.as_deref();
        batch
    }

    pub fn wide(&self) -> Vec<f64> {
        self.logits.iter().map(|&value| f64::from(value)).collect()
    }

    pub fn wide_teacher(&self) -> Vec<f64> {
        self.teacher.iter().flat_map(|(values, _)| values).map(|&value| f64::from(value)).collect()
    }

    pub fn reference_upstream(&self, up: Up) -> Upstream<'_> {
        match up {
            Up::One => Upstream::One,
            Up::Scalar(value) => Upstream::Scalar(value),
            Up::PerRow => Upstream::PerRow(&self.upstream),
        }
    }

    pub fn request(&self, manner: Manner) -> PlanRequest {
        let mut request = PlanRequest::new(self.rows, self.classes)
            .with_targets(self.targets().kind())
            .with_mode(manner.mode)
            .with_storage(manner.storage)
            .with_elements(manner.elements.0, manner.gradient())
            .with_strides(self.classes + manner.gaps.0, self.classes + manner.gaps.1);
        if manner.block > 0 {
            request = request.with_row_blocks(manner.blocks(self.rows));
        }
        request.row_weights = self.row_weights.is_some();
        request.argmax = manner.argmax;
        request.choice = manner.choice;
        request.added_gradient = self.old.is_some();
        request.teacher = self.teacher_element;
        request
    }

    /// Plans and runs.
    pub fn run(&self, kernels: &Kernels, manner: Manner) -> longtail::Result<(Plan, Got)> {
        let plan = kernels.plan(&self.loss, &self.request(manner))?;
        let got = self.pass(kernels, &plan, manner)?;
        Ok((plan, got))
    }

    /// Runs through a plan. Panics if a byte is written that should not be.
    pub fn pass(&self, kernels: &Kernels, plan: &Plan, manner: Manner) -> longtail::Result<Got> {
        let mut batch = self.batch(&self.logits);
        batch.teacher = self.teacher.as_ref().map(|(values, _)| &values[..]);
        let old = self.old.as_deref();
        pass_of(
            kernels,
            plan,
            &Given { old, teacher: self.teacher_element, ..Given::new(batch, &self.upstream) },
            manner,
        )
    }
}

/// What a number of an element type loses: half a unit of its last place, or of its smallest.
pub fn rounding(element: Element, value: f64) -> f64 {
    match element {
        Element::F32 => 2f64.powi(-24) * value.abs() + 1e-40,
        Element::F16 => 2f64.powi(-11) * value.abs() + 2f64.powi(-25),
        _ => 2f64.powi(-8) * value.abs() + 1e-40,
    }
}

/// The largest error in units of what is allowed; anything that is no number where it should be one is infinite.
pub fn worst(found: &[f32], expected: &[f64], allowed: impl Fn(usize) -> f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let ratio = |(index, (&found, &expected)): (usize, (&f32, &f64))| {
        let found = f64::from(found);
        if found == expected || (found.is_nan() && expected.is_nan()) {
            return 0.0;
        }
        let ratio = (found - expected).abs() / allowed(index);
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    };
    found.iter().zip(expected).enumerate().map(ratio).fold(0.0, f64::max)
}

/// Storage, passes, elements, gaps, blocks and upstreams in turn.
pub fn manners() -> Vec<Manner> {
    let elements = [Element::F32, Element::F16, Element::Bf16];
    let mut list = Vec::new();
    for (turn, (logits, gradient)) in
        elements.into_iter().flat_map(|logits| elements.map(|gradient| (logits, gradient))).enumerate()
    {
        for (turn, storage) in
            [(turn, Storage::Separate), (turn + 1, Storage::Shared), (turn + 2, Storage::InPlace)]
        {
            let mode = [Mode::LossAndGrad, Mode::ForwardBackward][turn % 2];
            let upstream = [Up::One, Up::Scalar(-2.5), Up::PerRow][turn % 3];
            list.push(Manner {
                mode,
                storage,
                gaps: [(0, 0), (3, 1), (1, 0), (0, 2)][turn % 4],
                upstream: if mode == Mode::LossAndGrad { Up::One } else { upstream },
                argmax: turn % 3 != 1,
                elements: (logits, if storage == Storage::InPlace { logits } else { gradient }),
                block: [0, 0, 3][turn % 3],
                ..Manner::default()
            });
        }
    }
    list
}
