//! The regulariser beside its cross-entropy: the softmax family's passes for the rows, one more over the columns, and one
//! gradient of both.

use super::columns::{CLASS_COLUMNS, Columns, Parts, table};
use crate::gpu::counts::DeviceCounts;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Bound, Core, Passes, Recorder, Step, Wants, Window};
use crate::gpu::request::PlanRequest;
use crate::gpu::softmax::{SoftmaxPasses, plan_beside};
use crate::gpu::walk;
use crate::loss::Loss;
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};

/// A plan's passes: a softmax loss's, and the regulariser's over columns.
#[derive(Debug)]
pub(super) struct BesidePasses {
    softmax: SoftmaxPasses,
    columns: Columns,
}

/// Plans a loss that has passed its check, with the cross-entropy that it has.
///
/// # Errors
/// As [`Kernels::plan`].
pub(super) fn plan(
    kernels: &Kernels,
    cross_entropy: &SoftmaxLoss,
    request: &PlanRequest,
) -> Result<(Core, BesidePasses)> {
    let (core, softmax) = plan_beside(kernels, cross_entropy, request, CLASS_COLUMNS)?;
    let (logits, _) = walk::cells(request, core.choice);
    let parts = softmax.and_columns().map(|(_, count)| Parts::new(kernels, &core, count)).transpose()?;
    let columns = Columns::new(kernels, logits, parts)?;
    Ok((core, BesidePasses { softmax, columns }))
}

impl Passes for BesidePasses {
    fn steps(&self) -> Vec<&Step> {
        let mut steps = self.softmax.steps();
        steps.extend(self.columns.steps());
        steps
    }

    fn wants(&self) -> Wants {
        Wants { whole_batch: true, ..self.softmax.wants() }
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        self.softmax.prepare(recorder);
        match self.softmax.and_columns() {
            Some((rows, _)) => self.columns.gather_with(rows, recorder),
            None => {
                self.softmax.rows(recorder);
                self.columns.gather(recorder);
            }
        }
        self.softmax.finish(recorder);
        self.columns.close(recorder);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        self.softmax.backward(recorder);
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let parts = match loss {
            Loss::Lade(spec) => spec.cross_entropy.as_ref().map(|first| (spec, first)),
            _ => None,
        };
        let Some((spec, cross_entropy)) = parts else {
            let what = "a loss without a cross-entropy and LADE's regulariser";
            return Err(Error::Unexpected { what, planned: "for both" });
        };
        self.softmax.take(core, cross_entropy, |range| table(spec, range))?;
        self.columns.write(core, spec, self.softmax.own_columns())
    }

    fn resource<'a>(
        &'a self,
        core: &'a Core,
        bound: &'a Bound<'a>,
        name: &str,
        window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        self.columns.resource(name).or_else(|| self.softmax.resource(core, bound, name, window))
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        let mut buffers = self.softmax.buffers();
        buffers.extend(self.columns.buffers());
        buffers
    }

    fn manner(&self, core: &Core) -> String {
        match self.softmax.and_columns() {
            Some(_) => self.softmax.manner(core),
            None => format!("{}, and once more by columns", self.softmax.manner(core)),
        }
    }

    fn counts(&self) -> Option<&DeviceCounts> {
        self.softmax.counts()
    }
}
