//! Running a case on the adapter or by the reference, and measuring how far it is from the authors' values.

use longtail::gpu::Context;
use longtail::{Upstream, reference};

use super::{Case, Golden};

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

/// The distances of one case.
#[derive(Clone, Copy)]
pub struct Errors {
    /// The larger one of the scalar loss's relative error and the row losses' error relative to the largest.
    pub loss: f64,
    /// The largest error of the gradient (and of the class scales' gradient) relative to the largest entry.
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

    fn compute(&self, case: &Case) -> longtail::Result<Found> {
        match self {
            Engine::Reference => {
                let logits: Vec<f64> = wide(&case.inputs.logits);
                let found = reference::softmax(&case.spec, &case.inputs.batch(&logits), Upstream::One)?;
                Ok(Found {
                    loss: found.loss,
                    row_loss: found.row_loss,
                    gradient: found.gradient,
                    scale_gradient: Some(found.class_scale_gradient),
                })
            }
            Engine::Adapter(context, mode) => {
                let batch = case.inputs.batch(&case.inputs.logits);
                let found = match mode {
                    Mode::LossAndGrad => context.loss_and_grad(&case.spec, &batch)?,
                    Mode::ForwardBackward => context.forward_backward(&case.spec, &batch, Upstream::One)?,
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

    /// Whether this engine computes such files: heads are the reference's alone.
    pub fn takes(&self, golden: &Golden) -> bool {
        matches!((self, golden), (Engine::Reference, _) | (_, Golden::Loss(_)))
    }

    /// Checks a file, a head by the reference whatever the engine is.
    pub fn check_any(&self, golden: &Golden) -> Result<Errors, String> {
        match golden {
            Golden::Loss(case) => self.check(case),
            Golden::Head(case) => case.check(),
        }
    }

    /// Computes a case and compares. What cannot be compared is said in words.
    pub fn check(&self, case: &Case) -> Result<Errors, String> {
        let found = self.compute(case).map_err(|error| error.to_string())?;
        let expected = &case.expected;
        let mut loss = distance("loss", &[found.loss], &[expected.loss])?;
        if let Some(expected) = &expected.row_loss {
            loss = loss.max(distance("loss_per_sample", &found.row_loss, expected)?);
        }
        let mut gradient = distance("grad_logits", &found.gradient, &expected.gradient)?;
        if let Some(expected) = &expected.scale_gradient {
            let Some(found) = &found.scale_gradient else { return Err("no gradient of the scales".into()) };
            gradient = gradient.max(distance("grad_scales", found, expected)?);
        }
        Ok(Errors { loss, gradient, allowed: self.allowed(case) })
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// The largest difference, relative to the largest expected value; infinite where one side is not a number.
pub fn distance(what: &str, found: &[f64], expected: &[f64]) -> Result<f64, String> {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} values were computed, the file has {}", found.len(), expected.len()));
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
