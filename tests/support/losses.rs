//! Batches of losses beyond the softmax family run through plans with buffers laid out in every way.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Arena, GUARD, Got, Manner, Up, bits, blocks, dense, floats, ints, matrix_view};
use crate::inputs::Draws;
use longtail::gpu::{Inputs, Kernels, Mode, Outputs, Plan, PlanRequest, Storage, TargetViews, View};
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

    /// Logits as a buffer of `logits` holds them, the old gradient as one of `gradient`.
    pub fn rounded(mut self, logits: Element, gradient: Element) -> Self {
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
        let rows = self.rows;
        let mut arena = Arena::new(manner.storage != Storage::Separate);
        let matrix = |arena: &mut Arena, element, values: &[f32], gap| -> Vec<usize> {
            blocks(element, values, &manner, rows, gap).iter().map(|block| arena.add(block)).collect()
        };
        let logits = matrix(&mut arena, manner.elements.0, &self.logits, manner.gaps.0);
        let labels = arena.add(&ints(&self.labels));
        let mixed =
            self.mixed.as_ref().map(|(second, lambda)| (arena.add(&ints(second)), arena.add(&bits(lambda))));
        let teacher = self.teacher.as_ref().map(|(values, _)| matrix(&mut arena, Element::F32, values, 0));
        let row_weights = self.row_weights.as_ref().map(|values| arena.add(&bits(values)));
        let upstream = match manner.upstream {
            Up::One => None,
            Up::Scalar(value) => Some(arena.add(&[value.to_bits()])),
            Up::PerRow => Some(arena.add(&bits(&self.upstream))),
        };
        let in_place = manner.storage == Storage::InPlace;
        let gap = if in_place { manner.gaps.0 } else { manner.gaps.1 };
        let empty = vec![f32::from_bits(GUARD); rows * self.classes];
        let before = self.old.as_ref().unwrap_or(&empty);
        let gradient = match in_place {
            true => logits.clone(),
            false => matrix(&mut arena, manner.gradient(), before, gap),
        };
        let loss = arena.add(&[GUARD]);
        let fields: Vec<usize> = (0..4).map(|_| arena.add(&vec![GUARD; rows])).collect();
        arena.upload(kernels);

        let views =
            |ranges: &[usize]| -> Vec<View<'_>> { ranges.iter().map(|&range| arena.view(range)).collect() };
        let (logit_views, gradient_views) = (views(&logits), views(&gradient));
        let teacher_views = teacher.as_deref().map(views);
        let targets = match mixed {
            None => TargetViews::Hard(arena.view(labels)),
            Some((second, lambda)) => TargetViews::Mixed {
                first: arena.view(labels),
                second: arena.view(second),
                lambda: arena.view(lambda),
            },
        };
        let mut inputs = Inputs::new(matrix_view(&logit_views), targets);
        inputs.row_weights = row_weights.map(|range| arena.view(range));
        inputs.teacher = teacher_views.as_deref().map(matrix_view);
        let outputs = Outputs {
            loss: Some(arena.view(loss)),
            row_loss: Some(arena.view(fields[0])),
            log_sum_exp: Some(arena.view(fields[1])),
            target_probability: Some(arena.view(fields[2])),
            argmax: manner.argmax.then(|| arena.view(fields[3])),
        };
        let gradient_view = (!in_place).then(|| matrix_view(&gradient_views));
        let mut encoder = kernels.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        match manner.mode {
            Mode::ForwardBackward => {
                plan.encode_forward(&mut encoder, &inputs, &outputs)?;
                let upstream = upstream.map(|range| arena.view(range));
                plan.encode_backward(&mut encoder, &inputs, upstream, gradient_view, None)?;
            }
            _ => plan.encode_loss_and_grad(&mut encoder, &inputs, gradient_view, None, &outputs)?,
        }
        kernels.queue().submit([encoder.finish()]);
        let mut written = fields.clone();
        written.push(loss);
        written.extend(gradient.iter().copied());
        let parts = arena.read(kernels, &written);
        let heights = manner.blocks(rows);
        let gradients = gradient
            .iter()
            .zip(heights)
            .flat_map(|(&range, height)| dense(manner.gradient(), &parts[range], height, self.classes, gap));
        Ok(Got {
            loss: f32::from_bits(parts[loss][0]),
            row_loss: floats(&parts[fields[0]]),
            log_sum_exp: floats(&parts[fields[1]]),
            probability: floats(&parts[fields[2]]),
            argmax: if manner.argmax { parts[fields[3]].clone() } else { Vec::new() },
            gradient: gradients.collect(),
            class_scale: None,
            status: plan.status().err(),
        })
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
