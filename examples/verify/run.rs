//! Running a case on the adapter or by the reference, and measuring how far it is from the authors' values.

use longtail::gpu::Context;
use longtail::{Targets, Upstream, reference};

use super::file::{Trouble, malformed};
use super::{Case, Golden, Loss};

/// How the gradient is asked of the adapter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Loss and gradient in one call.
    LossAndGrad,
    /// A forward pass that keeps row statistics, then a backward pass, as autograd engines do it.
    ForwardBackward,
}

/// Who computes.
pub enum Engine {
    /// f64 on the CPU.
    Reference,
    /// The GPU.
    Adapter(Box<Context>, Mode),
}

/// What was computed, widened.
struct Found {
    loss: f64,
    row_loss: Vec<f64>,
    gradient: Vec<f64>,
    scale_gradient: Option<Vec<f64>>,
}

impl Found {
    fn new(loss: f64, row_loss: Vec<f64>, gradient: Vec<f64>) -> Self {
        Self { loss, row_loss, gradient, scale_gradient: None }
    }
}

/// The distances of one case.
#[derive(Clone, Copy)]
pub struct Errors {
    /// The larger one of the scalar loss's relative error and the row losses' error relative to the largest.
    pub loss: f64,
    /// The largest error of the gradient, and of what else is compared, relative to the largest entry.
    pub gradient: f64,
    /// What both may be.
    pub allowed: f64,
}

impl Errors {
    pub fn passed(&self) -> bool {
        self.loss <= self.allowed && self.gradient <= self.allowed
    }
}

impl Engine {
    /// The largest error that counts as equal: relative to the loss, and to the largest entry of the gradient.
    fn allowed(&self, case: &Case) -> f64 {
        match self {
            // The stored inputs and outputs are f32.
            Engine::Reference => 2e-6,
            Engine::Adapter(..) if case.rounded_weights => 1e-4,
            Engine::Adapter(..) => 2e-5,
        }
    }

    fn compute(&self, case: &Case) -> Result<Found, Trouble> {
        match self {
            Engine::Reference => Ok(by_reference(case)?),
            Engine::Adapter(context, mode) => {
                let loss = on_device(&case.loss);
                let mut batch = case.inputs.batch(&case.inputs.logits);
                if let Loss::Distillation(_) = &case.loss {
                    batch = batch.with_teacher(&case.inputs.teacher);
                }
                let found = match mode {
                    Mode::LossAndGrad => context.loss_and_grad(&loss, &batch)?,
                    Mode::ForwardBackward => context.forward_backward(&loss, &batch, Upstream::One)?,
                };
                Ok(Found {
                    loss: f64::from(found.loss),
                    row_loss: wide(&found.row_loss),
                    gradient: wide(&found.gradient),
                    scale_gradient: found.class_scale_gradient.as_deref().map(wide),
                })
            }
        }
    }

    /// Computes what a file has and compares.
    pub fn check_any(&self, golden: &Golden) -> Result<Errors, Trouble> {
        match (self, golden) {
            (_, Golden::Loss(case)) => self.check(case),
            (Engine::Reference, Golden::Head(case)) => case.check(),
            (Engine::Adapter(context, _), Golden::Head(case)) => case.check_on(context),
        }
    }

    /// Computes a case and compares. What cannot be compared is said in words.
    pub fn check(&self, case: &Case) -> Result<Errors, Trouble> {
        let found = self.compute(case)?;
        let expected = &case.expected;
        let mut loss = distance("loss", &[found.loss], &[expected.loss])?;
        if let Some(expected) = &expected.row_loss {
            loss = loss.max(distance("loss_per_sample", &found.row_loss, expected)?);
        }
        let mut gradient = distance("grad_logits", &found.gradient, &expected.gradient)?;
        if let Some(expected) = &expected.scale_gradient {
            let Some(found) = &found.scale_gradient else { return malformed("no gradient of the scales") };
            gradient = gradient.max(distance("grad_scales", found, expected)?);
        }
        // What the host computes is the same for every engine.
        if let Engine::Reference = self {
            for extra in &case.extras {
                gradient = gradient.max(distance(extra.name, &extra.found, &extra.expected)?);
            }
        }
        Ok(Errors { loss, gradient, allowed: self.allowed(case) })
    }
}

/// The loss as the adapter takes it, where its family has kernels.
fn on_device(loss: &Loss) -> longtail::Loss<'_> {
    match loss {
        Loss::Softmax(spec) => spec.into(),
        Loss::Sigmoid(spec) => spec.into(),
        Loss::Grouped(spec) => spec.into(),
        Loss::Distillation(spec) => spec.into(),
        Loss::Lade(spec) => spec.into(),
        Loss::Objectness(spec) => spec.into(),
        Loss::Range(spec) => spec.into(),
    }
}

fn by_reference(case: &Case) -> longtail::Result<Found> {
    let logits = case.inputs.wide();
    let batch = case.inputs.batch(&logits);
    Ok(match &case.loss {
        Loss::Softmax(spec) => {
            let found = reference::softmax(spec, &batch, Upstream::One)?;
            Found {
                loss: found.loss,
                row_loss: found.row_loss,
                gradient: found.gradient,
                scale_gradient: Some(found.class_scale_gradient),
            }
        }
        Loss::Sigmoid(spec) => {
            let found = reference::sigmoid(spec, &batch, Upstream::One)?;
            Found::new(found.loss, found.row_loss, found.gradient)
        }
        Loss::Grouped(spec) => {
            let found = reference::grouped(spec, &batch, Upstream::One)?;
            Found::new(found.loss, found.row_loss, found.gradient)
        }
        Loss::Lade(spec) => {
            let found = reference::lade(spec, &batch, Upstream::One)?;
            Found::new(found.loss, Vec::new(), found.gradient)
        }
        Loss::Range(spec) => {
            let labels = if let Targets::Hard(labels) = batch.targets { labels } else { &[] };
            let found = reference::range(spec, &logits, batch.classes, labels, Upstream::One)?;
            Found::new(found.loss, Vec::new(), found.gradient)
        }
        Loss::Distillation(spec) => {
            let teacher = wide(&case.inputs.teacher);
            let found = reference::distillation(spec, &batch, &teacher, Upstream::One)?;
            Found::new(found.loss, found.row_loss, found.gradient)
        }
        Loss::Objectness(spec) => {
            let found = reference::objectness(spec, &batch, Upstream::One)?;
            Found::new(found.loss, Vec::new(), found.gradient)
        }
    })
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// The largest difference, relative to the largest expected value; infinite where one side is not a number.
pub fn distance(what: &str, found: &[f64], expected: &[f64]) -> Result<f64, Trouble> {
    if found.len() != expected.len() {
        return malformed(format!(
            "{what}: {} values were computed, the file has {}",
            found.len(),
            expected.len()
        ));
    }
    let finite = expected.iter().filter(|value| value.is_finite());
    // Where everything expected is 0, what underflows f32 is 0 as well.
    let largest = finite.fold(1e-30, |largest: f64, value| largest.max(value.abs()));
    let mut worst = 0f64;
    for (found, expected) in found.iter().zip(expected) {
        let difference = (found - expected).abs();
        if found == expected || (found.is_nan() && expected.is_nan()) {
            continue;
        }
        let relative = difference / largest;
        worst = worst.max(if relative.is_nan() { f64::INFINITY } else { relative });
    }
    Ok(worst)
}
