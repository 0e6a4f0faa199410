//! The training loop: logits on the host, loss and gradient by the crate's kernels.

use indicatif::{ProgressBar, ProgressStyle};
use longtail::gpu::Context;
use longtail::metrics::{Evaluator, Report};
use longtail::{Batch, TargetKind, Targets};
use ndarray::{Array2, Axis};

use crate::Failure;
use crate::data::{Draws, Split, Task};
use crate::head::{Head, Kind};
use crate::losses::Recipe;

const MOMENTUM: f32 = 0.9;
/// Deferred re-weighting starts at this share of the steps: the authors' epoch 160 of 200.
const DEFERRED_FROM: f64 = 0.8;

/// Trains one head with one loss and tests it.
pub fn train(context: &Context, task: &Task, recipe: &Recipe, seed: u64) -> Result<Report, Failure> {
    let (classes, schedule) = (task.counts.classes(), &task.schedule);
    let rows = schedule.batch.min(task.train.labels.len());
    let mut head = Head::new(recipe.head, classes, task.train.features.ncols(), seed);
    let mut session = context.session(&recipe.spec, rows, classes, TargetKind::Hard)?;
    let peak = match recipe.head {
        Kind::Linear => schedule.linear_rate,
        Kind::Cosine => schedule.cosine_rate,
    };
    let deferred_from = (schedule.steps as f64 * DEFERRED_FROM) as usize;

    let bar = progress(schedule.steps, recipe.title);
    let (mut draws, mut order) = (Draws::new(seed, 3), vec![]);
    for step in 0..schedule.steps {
        if let Some(spec) = recipe.deferred.as_ref().filter(|_| step == deferred_from) {
            // New numbers for the same kernel: nothing is compiled here.
            session.update(spec)?;
        }
        session.set_step(step as u64)?;

        let (features, labels) = next_batch(&task.train, rows, &mut order, &mut draws);
        let logits = head.logits(&features).into_raw_vec_and_offset().0;
        let out = session.loss_and_grad(&Batch::new(&logits, classes, Targets::Hard(&labels)))?;
        let gradient = Array2::from_shape_vec((rows, classes), out.gradient)?;

        // From the peak down to zero along half a cosine.
        let progress = step as f32 / schedule.steps as f32;
        let rate = peak * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos());
        head.step(&features, &gradient, rate, MOMENTUM);
        bar.set_message(format!("loss {:.3}", out.loss));
        bar.inc(1);
    }
    bar.finish();
    evaluate(&head, task)
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
fn evaluate(head: &Head, task: &Task) -> Result<Report, Failure> {
    let mut evaluator = Evaluator::new(&task.counts);
    let chunks = task.test.features.axis_chunks_iter(Axis(0), 1024);
    for (features, labels) in chunks.zip(task.test.labels.chunks(1024)) {
        let logits = head.logits(&features.to_owned());
        for (row, &label) in logits.rows().into_iter().zip(labels) {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |best| best.0);
            evaluator.push(best as u32, label)?;
        }
    }
    Ok(evaluator.report())
}

fn progress(steps: usize, title: &str) -> ProgressBar {
    let template = "{prefix:>26} [{bar:32}] {pos}/{len} {msg} {elapsed}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps as u64).with_style(style.progress_chars("=> ")).with_prefix(title.to_owned())
}
