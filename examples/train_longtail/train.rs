//! The training loop: loss and gradient by the crate's kernels, logits on the host or by the crate's heads.

use indicatif::{ProgressBar, ProgressStyle};
use longtail::gpu::{Context, Session};
use longtail::metrics::{Evaluator, Report};
use longtail::{Batch, SoftmaxLoss, TargetKind, Targets};
use ndarray::{Array2, Axis};

use crate::Failure;
use crate::data::{Draws, Split, Task};
use crate::device::DeviceHead;
use crate::head::{Head, Kind};
use crate::losses::Recipe;

const MOMENTUM: f32 = 0.9;
/// Deferred re-weighting starts at this share of the steps: the authors' epoch 160 of 200.
const DEFERRED_FROM: f64 = 0.8;

/// A head with its loss.
enum Model {
    /// Its products on the host.
    Host(Box<(Head, Session)>),
    Device(Box<DeviceHead>),
}

impl Model {
    fn update(&mut self, spec: &SoftmaxLoss) -> Result<(), Failure> {
        match self {
            Self::Host(model) => Ok(model.1.update(spec)?),
            Self::Device(head) => head.update(spec),
        }
    }

    fn set_step(&self, step: u64) -> Result<(), Failure> {
        match self {
            Self::Host(model) => Ok(model.1.set_step(step)?),
            Self::Device(head) => head.set_step(step),
        }
    }

    /// One step of gradient descent; gives the loss before it.
    fn step(&mut self, features: &Array2<f32>, labels: &[i32], rate: f32) -> Result<f32, Failure> {
        match self {
            Self::Host(model) => {
                let (head, session) = model.as_mut();
                let logits = head.logits(features);
                let shape = logits.dim();
                let logits = logits.into_raw_vec_and_offset().0;
                let out = session.loss_and_grad(&Batch::new(&logits, shape.1, Targets::Hard(labels)))?;
                head.step(features, &Array2::from_shape_vec(shape, out.gradient)?, rate, MOMENTUM);
                Ok(out.loss)
            }
            Self::Device(head) => head.step(features, labels, rate, MOMENTUM),
        }
    }

    /// The class of the highest logit of each row.
    fn predict(&self, features: &Array2<f32>) -> Result<Vec<u32>, Failure> {
        match self {
            Self::Host(model) => {
                let logits = model.0.logits(features);
                let best = |row: ndarray::ArrayView1<'_, f32>| {
                    row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |best| best.0 as u32)
                };
                Ok(logits.rows().into_iter().map(best).collect())
            }
            Self::Device(head) => head.predict(features),
        }
    }
}

/// Trains one head with one loss and tests it; the loss's own head unless another one is named.
pub fn train(
    context: &Context,
    task: &Task,
    recipe: &Recipe,
    on_device: Option<Kind>,
    seed: u64,
) -> Result<Report, Failure> {
    let (classes, schedule) = (task.counts.classes(), &task.schedule);
    let rows = schedule.batch.min(task.train.labels.len());
    let kind = on_device.unwrap_or(recipe.head);
    let head = Head::new(kind, classes, task.train.features.ncols(), seed);
    let mut model = match on_device {
        Some(kind) => Model::Device(Box::new(DeviceHead::new(context, recipe, kind, head, rows)?)),
        None => {
            let session = context.session(&recipe.spec, rows, classes, TargetKind::Hard)?;
            Model::Host(Box::new((head, session)))
        }
    };
    let peak = match kind {
        Kind::Linear => schedule.linear_rate,
        Kind::Cosine => schedule.cosine_rate,
    };
    let deferred_from = (schedule.steps as f64 * DEFERRED_FROM) as usize;

    let bar = progress(schedule.steps, recipe.title);
    let (mut draws, mut order) = (Draws::new(seed, 3), vec![]);
    for step in 0..schedule.steps {
        if let Some(spec) = recipe.deferred.as_ref().filter(|_| step == deferred_from) {
            // New numbers for the same kernel: nothing is compiled here.
            model.update(spec)?;
        }
        model.set_step(step as u64)?;

        // From the peak down to zero along half a cosine.
        let progress = step as f32 / schedule.steps as f32;
        let rate = peak * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos());
        let (features, labels) = next_batch(&task.train, rows, &mut order, &mut draws);
        let loss = model.step(&features, &labels, rate)?;
        bar.set_message(format!("loss {loss:.3}"));
        bar.inc(1);
    }
    bar.finish();
    evaluate(&model, task)
}

/// The next rows of a shuffled pass over the data.
fn next_batch(
    split: &Split,
    rows: usize,
    order: &mut Vec<usize>,
    draws: &mut Draws,
) -> (Array2<f32>, Vec<i32>) {
    if order.len() < rows {
        *order = (0..split.labels.len()).collect();
        draws.shuffle(order);
    }
    let chosen = order.split_off(order.len() - rows);
    let labels = chosen.iter().map(|&row| split.labels[row]).collect();
    (split.features.select(Axis(0), &chosen), labels)
}

/// Tests by the highest logit: the losses' biases and margins belong to the training only.
fn evaluate(model: &Model, task: &Task) -> Result<Report, Failure> {
    let mut evaluator = Evaluator::new(&task.counts);
    let chunks = task.test.features.axis_chunks_iter(Axis(0), 1024);
    for (features, labels) in chunks.zip(task.test.labels.chunks(1024)) {
        for (best, &label) in model.predict(&features.to_owned())?.into_iter().zip(labels) {
            evaluator.push(best, label)?;
        }
    }
    Ok(evaluator.report())
}

fn progress(steps: usize, title: &str) -> ProgressBar {
    let template = "{prefix:>26} [{bar:32}] {pos}/{len} {msg} {elapsed}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps as u64).with_style(style.progress_chars("=> ")).with_prefix(title.to_owned())
}
