//! Plans of a softmax loss over the columns of classes and one over the two of objectness: each part is a plan of its own,
//! with windows of the same rows, over its own run of columns.

mod key;

pub use key::{ObjectnessDriver, ObjectnessKey};

use super::choice::RowChoice;
use super::counts::DeviceCounts;
use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, Launch, Memory, Needs, Passes, Plan, Recorder, SMALL_WORKGROUP, Step, Wants,
    Window, many_rows, storage, sums_workgroup, uniform,
};
use super::request::PlanRequest;
use super::shader::{Driver, KernelKey, SAVED_OUTPUTS};
use super::softmax::SoftmaxNumbers;
use super::view::View;
use super::walk;
use crate::batch::TargetKind;
use crate::loss::Loss;
use crate::objectness::ObjectnessLoss;
use crate::{Error, Result};

const LABEL_NUMBERS: &str = "longtail background";
const CLASS_LABELS: &str = "longtail class labels";
const OBJECT_LABELS: &str = "longtail object labels";

/// The two losses, and what makes one of them.
#[derive(Debug)]
pub(crate) struct ObjectnessPasses {
    first: Plan,
    second: Plan,
    relabel: Relabel,
    rows: Step,
    loss_sums: Option<Step>,
    finish: Step,
    total: Step,
}

/// Labels of the two parts from those of classes and background.
#[derive(Debug)]
struct Relabel {
    step: Step,
    numbers: wgpu::Buffer,
    classes: wgpu::Buffer,
    objects: wgpu::Buffer,
}

/// Plans a loss that has passed its check.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &ObjectnessLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    walk::check_request(request)?;
    if request.added_gradient {
        let planned = "for a loss of two parts";
        return Err(Error::Unexpected { what: "a gradient that is added to", planned });
    }
    let extent = Extent::new(request)?;
    let both = |request: &PlanRequest| -> Result<(Plan, Plan)> {
        Ok((plan_classes(kernels, spec, request)?, plan_objects(kernels, spec, request)?))
    };
    let (mut first_plan, mut second_plan) = both(request)?;
    let choice = RowChoice::stream(1, SMALL_WORKGROUP);
    let needs = Needs { row_fields: 1, saved_fields: SAVED_OUTPUTS, ..Needs::default() };
    let mut cut = extent.cut(kernels, choice, &needs)?;
    let mut request = request.clone();
    let of = |plan: &Plan| plan.core.cut.ranges.most_rows;
    let most = [of(&first_plan), of(&second_plan), cut.ranges.most_rows];
    let least = most.into_iter().min().unwrap_or(0);
    if extent.rows > least {
        // All in windows of the same rows.
        request.most_rows = least;
        (first_plan, second_plan) = both(&request)?;
        cut = extent.cut(kernels, choice, &Needs { most_rows: least, ..needs })?;
    }
    let same = |plan: &Plan| plan.core.cut.ranges.rows == cut.ranges.rows;
    if !same(&first_plan) || !same(&second_plan) {
        return Err(Error::Limit {
            what: "the rows of the parts' windows".into(),
            needed: extent.rows,
            allowed: least,
            cure: "request the device with a higher max_storage_buffer_binding_size",
        });
    }
    let many_rows = many_rows(&cut, extent.rows);
    let step =
        |driver, launch| Step::new(kernels, ObjectnessKey { driver, workgroup: SMALL_WORKGROUP }, launch);
    let small = |driver| KernelKey::new(driver, TargetKind::Hard, sums_workgroup(kernels));
    let finish = KernelKey { of_sums: many_rows, ..small(Driver::Finish) };
    let loss_sums = many_rows.then(|| Step::new(kernels, small(Driver::LossSums), Launch::Sums));
    let labels = |label| kernels.scoped("labels", || Ok(storage(kernels, label, (4 * extent.rows).max(4))));
    let passes = ObjectnessPasses {
        first: first_plan,
        second: second_plan,
        relabel: Relabel {
            step: step(ObjectnessDriver::Relabel, Launch::RowThreads)?,
            numbers: uniform(kernels, LABEL_NUMBERS, 16)?,
            classes: labels(CLASS_LABELS)?,
            objects: labels(OBJECT_LABELS)?,
        },
        rows: step(ObjectnessDriver::Rows, Launch::RowThreads)?,
        loss_sums: loss_sums.transpose()?,
        finish: Step::new(kernels, finish, Launch::Once)?,
        total: step(ObjectnessDriver::Total, Launch::Once)?,
    };
    let kept = Kept {
        row_fields: 1,
        saved_fields: SAVED_OUTPUTS,
        class_columns: 0,
        spec: std::mem::size_of::<SoftmaxNumbers>() as u64,
        many_rows,
    };
    let memory = Memory::new(kernels, &cut, kept)?;
    let mut core = Core::new(kernels, &request, choice, extent, cut, memory)?;
    // Labels of classes, and of background.
    core.extent.labels = request.classes.saturating_sub(1) as u64;
    Ok((core, Box::new(passes)))
}

/// The loss over the columns of classes.
fn plan_classes(kernels: &Kernels, spec: &ObjectnessLoss, request: &PlanRequest) -> Result<Plan> {
    let mut request = request.clone();
    request.classes = request.classes.saturating_sub(2);
    kernels.plan(&spec.classes, &request)
}

/// The loss over the last two columns.
fn plan_objects(kernels: &Kernels, spec: &ObjectnessLoss, request: &PlanRequest) -> Result<Plan> {
    let mut request = request.clone();
    request.argmax = false;
    request.counts = None;
    request.first_column = request.classes.saturating_sub(2);
    request.classes = 2;
    request.choice = None;
    kernels.plan(&spec.objectness, &request)
}

impl ObjectnessPasses {
    /// The views of the parts.
    fn bounds<'a>(&'a self, bound: Bound<'a>) -> (Bound<'a>, Bound<'a>) {
        let with = |labels| Bound { labels: Some(View::whole(labels)), ..bound };
        (with(&self.relabel.classes), with(&self.relabel.objects))
    }
}

/// The labels of background and of rows that do not count.
fn label_numbers(spec: &ObjectnessLoss, columns: usize) -> [i32; 2] {
    let background = i32::try_from(columns.saturating_sub(2)).unwrap_or(i32::MAX);
    // Checked: there is one.
    [background, spec.classes.ignore_index.unwrap_or(-100)]
}

impl Passes for ObjectnessPasses {
    fn steps(&self) -> Vec<&Step> {
        let steps = [
            Some(&self.relabel.step),
            Some(&self.rows),
            self.loss_sums.as_ref(),
            Some(&self.finish),
            Some(&self.total),
        ];
        steps.into_iter().flatten().collect()
    }

    fn parts(&self) -> Vec<&Plan> {
        vec![&self.first, &self.second]
    }

    fn wants(&self) -> Wants {
        self.first.passes.wants()
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        recorder.over_rows(&self.relabel.step);
        let bound = recorder.bound();
        let (first, second) = self.bounds(bound);
        self.first.passes.forward(&mut recorder.within(&self.first, &first));
        self.second.passes.forward(&mut recorder.within(&self.second, &second));
        recorder.over_rows(&self.rows);
        if let Some(step) = &self.loss_sums {
            recorder.over_rows(step);
        }
        recorder.once(&self.finish);
        recorder.once(&self.total);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        let bound = recorder.bound();
        let (first, second) = self.bounds(bound);
        self.first.passes.backward(&mut recorder.within(&self.first, &first));
        self.second.passes.backward(&mut recorder.within(&self.second, &second));
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let Loss::Objectness(spec) = loss else {
            let what = "a loss without objectness";
            return Err(Error::Unexpected { what, planned: "for a loss with it" });
        };
        self.first.update(&spec.classes)?;
        self.second.update(&spec.objectness)?;
        let numbers = label_numbers(spec, core.request.classes);
        core.kernels.scoped("a plan's numbers", || {
            core.kernels.queue.write_buffer(&self.relabel.numbers, 0, bytemuck::cast_slice(&numbers));
            Ok(())
        })
    }

    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        _bound: &'a Bound<'a>,
        name: &str,
        window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        let (first, second) = (&self.first.core.memory, &self.second.core.memory);
        let labels = |labels| Core::rows_of(View::whole(labels), window);
        match name {
            "label_numbers" => View::whole(&self.relabel.numbers).binding(),
            "class_labels" => labels(&self.relabel.classes),
            "object_labels" => labels(&self.relabel.objects),
            "first_rows" => first.rows.binding(window.row_range),
            "first_saved" => first.saved.binding(window.row_range),
            "second_saved" => second.saved.binding(window.row_range),
            "first_scalars" => View::whole(&first.scalars).binding(),
            "second_scalars" => View::whole(&second.scalars).binding(),
            _ => None,
        }
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        let mut buffers = vec![
            (LABEL_NUMBERS, self.relabel.numbers.size()),
            (CLASS_LABELS, self.relabel.classes.size()),
            (OBJECT_LABELS, self.relabel.objects.size()),
        ];
        buffers.extend(self.first.buffers());
        buffers.extend(self.second.buffers());
        buffers
    }

    fn manner(&self, _core: &Core) -> String {
        let (first, second) = (&self.first, &self.second);
        format!("{}; and {}", first.passes.manner(&first.core), second.passes.manner(&second.core))
    }

    fn counts(&self) -> Option<&DeviceCounts> {
        self.first.counts()
    }
}
