//! LADE's plans: a regulariser over the columns of the batch, alone or beside its cross-entropy.

mod beside;
mod columns;
mod key;

pub use columns::LadeNumbers;
pub use key::{LadeDriver, LadeKey};

use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, Launch, Memory, Needs, Passes, Recorder, SMALL_WORKGROUP, Step, Wants, Window,
    many_rows,
};
use super::request::PlanRequest;
use super::shader::InnerTerms;
use super::softmax::{SoftmaxNumbers, plain_numbers};
use super::walk::{self, Around, Walk, saved_extra};
use crate::batch::TargetKind;
use crate::lade::LadeLoss;
use crate::loss::Loss;
use crate::{Error, Reduction, Result};
use columns::{CLASS_COLUMNS, Columns, table};

/// A plan's passes: the regulariser alone.
#[derive(Debug)]
pub(crate) struct LadePasses {
    around: Around,
    rows: Rows,
    columns: Columns,
    gradient: Step,
}

/// What gives the rows' results.
#[derive(Debug)]
enum Rows {
    /// Labels are all that it takes.
    Opened(Step),
    /// Rows are read for the largest logit.
    Read(Step),
}

impl Rows {
    fn step(&self) -> &Step {
        match self {
            Self::Opened(step) | Self::Read(step) => step,
        }
    }
}

/// Plans a loss that has passed its check.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &LadeLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    walk::check_request(request)?;
    if request.row_weights {
        let planned = "for a loss of the whole batch, which has no use for them";
        return Err(Error::Unexpected { what: "row weights", planned });
    }
    match &spec.cross_entropy {
        Some(cross_entropy) => {
            let (core, passes) = beside::plan(kernels, cross_entropy, request)?;
            Ok((core, Box::new(passes)))
        }
        None => {
            let (core, passes) = plan_alone(kernels, request)?;
            Ok((core, Box::new(passes)))
        }
    }
}

fn plan_alone(kernels: &Kernels, request: &PlanRequest) -> Result<(Core, LadePasses)> {
    let extent = Extent::new(request)?;
    let choice =
        walk::choose(kernels.adapter, request, &extent, Walk { columns: extent.width(), lanes: Some(4) })?;
    let (logits, gradient) = walk::cells(request, choice);
    let saved_fields = saved_extra(gradient) + 1;
    let needs = Needs {
        class_bytes: 4 * CLASS_COLUMNS,
        row_fields: 14,
        saved_fields,
        rows_in_a_loop: true,
        most_rows: request.most_rows,
        ..Needs::default()
    };
    let cut = extent.cut(kernels, choice, &needs)?;
    let many_rows = many_rows(&cut, extent.rows);
    let reading = |driver, workgroup| LadeKey::reading(driver, logits, gradient, workgroup);
    let of_gradient = LadeKey {
        driver: LadeDriver::Gradient,
        storage: request.storage,
        logits,
        gradient,
        straddle: extent.straddles() && logits.packed() && gradient.packed(),
        lanes: choice.lanes,
        workgroup: choice.workgroup,
        adds: request.added_gradient,
        of_parts: false,
    };
    let step = |driver, workgroup, launch| Step::new(kernels, reading(driver, workgroup), launch);
    let passes = LadePasses {
        around: Around::new(
            kernels,
            (TargetKind::Hard, InnerTerms::default()),
            request,
            &extent,
            choice,
            many_rows,
        )?,
        rows: match request.argmax {
            true => Rows::Read(step(LadeDriver::Rows, choice.workgroup, Launch::Rows)?),
            false => Rows::Opened(step(LadeDriver::OpenRows, SMALL_WORKGROUP, Launch::RowThreads)?),
        },
        columns: Columns::new(kernels, logits, None)?,
        gradient: Step::new(kernels, of_gradient, Launch::Pieces { lanes: choice.lanes })?,
    };
    let kept = Kept {
        row_fields: 7,
        saved_fields,
        class_columns: CLASS_COLUMNS,
        spec: std::mem::size_of::<SoftmaxNumbers>() as u64,
        many_rows,
    };
    let memory = Memory::new(kernels, &cut, kept)?;
    let core = Core::new(kernels, request, choice, extent, cut, memory)?;
    Ok((core, passes))
}

impl Passes for LadePasses {
    fn steps(&self) -> Vec<&Step> {
        let mut steps = self.around.before();
        steps.push(self.rows.step());
        steps.extend(self.columns.steps());
        steps.extend(self.around.after());
        steps.push(&self.gradient);
        steps.extend(self.around.last());
        steps
    }

    fn wants(&self) -> Wants {
        Wants { whole_batch: true, ..Wants::default() }
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        self.around.start(recorder, false);
        match &self.rows {
            Rows::Opened(step) => recorder.over_rows(step),
            Rows::Read(step) => recorder.over_windows(step),
        }
        self.columns.gather(recorder);
        self.around.finish(recorder);
        self.columns.close(recorder);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        // A row's edges are those of its last window: each is stitched before the next.
        recorder.over_elements_in_turn(std::iter::once(&self.gradient).chain(self.around.last()));
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let Loss::Lade(spec) = loss else {
            return Err(Error::Unexpected { what: "a loss of another family", planned: "for LADE" });
        };
        if spec.cross_entropy.is_some() {
            let what = "a spec with a cross-entropy";
            return Err(Error::Unexpected { what, planned: "for the regulariser alone" });
        }
        // The rows' losses are 0, and what counts the columns find out themselves.
        let rows = plain_numbers(Reduction::Sum, spec.ignore_index, core.extent.rows, false);
        core.memory.write_spec(&core.kernels, bytemuck::bytes_of(&rows))?;
        core.memory.write_classes(&core.kernels, &core.class_ranges(), |range| table(spec, range))?;
        self.columns.write(core, spec, 0)
    }

    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        _bound: &'a Bound<'a>,
        name: &str,
        _window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        self.columns.resource(name)
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        self.columns.buffers()
    }

    fn manner(&self, _core: &Core) -> String {
        "columns in runs of four per thread, rows streamed for the gradient".into()
    }
}
