//! The same batch on one device that has all classes.

use crate::Failure;
use crate::batch::Problem;
use longtail::gpu::{Context, Mode, PlanRequest, Session};
use longtail::{Batch, TargetKind, Targets};

/// Loss and gradient of all classes.
pub fn loss_and_grad(context: &Context, problem: &Problem) -> Result<(f32, Vec<f32>), Failure> {
    let all = 0..problem.classes;
    let (logits, soft) = (problem.logits(&all), problem.soft(&all));
    let targets = match problem.kind {
        TargetKind::Mixed => {
            Targets::Mixed { first: &problem.labels, second: &problem.second, lambda: &problem.lambda }
        }
        TargetKind::Soft => Targets::Soft(&soft),
        _ => Targets::Hard(&problem.labels),
    };
    let request = PlanRequest::new(problem.rows, problem.classes)
        .with_targets(problem.kind)
        .with_mode(Mode::LossAndGrad)
        .with_elements(problem.element, problem.element);
    let mut session = Session::of(context.kernels(), &problem.spec, &request)?;
    let output = session.loss_and_grad(&Batch::new(&logits, problem.classes, targets))?;
    Ok((output.loss, output.gradient))
}
