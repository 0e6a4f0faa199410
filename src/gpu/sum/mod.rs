//! Plans of losses that are a sum of two: a divergence and a base that does not go along with it, or two softmax losses over
//! two runs of columns. Each part is a plan of its own, with windows of
//! the same rows.

mod key;

pub use key::{SumDriver, SumKey};

use super::choice::RowChoice;
use super::counts::DeviceCounts;
use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, Launch, Memory, Needs, Passes, Plan, Recorder, SMALL_WORKGROUP, SUM_ITEMS,
    Step, Wants, Window, storage, uniform,
};
use super::request::PlanRequest;
use super::shader::{Driver, KernelKey, SAVED_OUTPUTS, Storage};
use super::softmax::SoftmaxNumbers;
use super::view::View;
use super::{distillation, walk};
use crate::batch::TargetKind;
use crate::loss::Loss;
use crate::objectness::ObjectnessLoss;
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};

/// The uniform block of a sum, the twin of `Numbers` in `shaders/sum/numbers.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there")]
pub struct SumNumbers {
    pub first: f32,
    pub second: f32,
}

const NUMBERS: &str = "longtail sum";
const LABEL_NUMBERS: &str = "longtail background";
const CLASS_LABELS: &str = "longtail class labels";
const OBJECT_LABELS: &str = "longtail object labels";

/// Two losses of one.
#[derive(Debug)]
pub(crate) struct SumPasses {
    first: Plan,
    second: Plan,
    relabel: Option<Relabel>,
    rows: Step,
    loss_sums: Option<Step>,
    finish: Step,
    total: Step,
    numbers: wgpu::Buffer,
}

/// Labels of the two parts from those of classes and background.
#[derive(Debug)]
struct Relabel {
    step: Step,
    numbers: wgpu::Buffer,
    classes: wgpu::Buffer,
    objects: wgpu::Buffer,
}

/// Which second part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    Divergence,
    Objectness,
}

/// The softmax loss that comes first, and what comes second, of a loss that is a sum of two. A base that goes along in the
/// divergence's passes is no part.
fn parts<'a>(loss: &'a Loss<'_>, targets: TargetKind) -> Option<(&'a SoftmaxLoss, Second)> {
    match loss {
        Loss::Distillation(spec) => {
            let base = spec.base.as_ref().filter(|base| !distillation::goes_along(base, targets));
            base.map(|base| (base, Second::Divergence))
        }
        Loss::Objectness(spec) => Some((&spec.classes, Second::Objectness)),
        _ => None,
    }
}

/// Whether a loss of targets of a kind is a sum of two.
pub(crate) fn is_sum(loss: &Loss<'_>, targets: TargetKind) -> bool {
    parts(loss, targets).is_some()
}

/// Whether a gradient cannot take the place of what it is made from: both parts read all logits.
pub(crate) fn reads_twice(loss: &Loss<'_>, targets: TargetKind) -> bool {
    parts(loss, targets).is_some_and(|(_, second)| second != Second::Objectness)
}

/// Plans a loss that has passed its check and is a sum of two.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    loss: &Loss<'_>,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    let planned = "for a loss that is no sum of two";
    let Some((first, second)) = parts(loss, request.targets) else {
        return Err(Error::Unexpected { what: "a loss of one part", planned: "for a sum of two" });
    };
    walk::check_request(request)?;
    if request.added_gradient {
        return Err(Error::Unexpected { what: "a gradient that is added to", planned });
    }
    if second != Second::Objectness && request.storage == Storage::InPlace {
        return Err(Error::Combination {
            first: "a gradient in place",
            second: "a loss of two parts that read the same logits",
            cure: "give the gradient a buffer of its own, or plan the second part alone and add it \
                   (`PlanRequest::with_added_gradient`)",
        });
    }
    let extent = Extent::new(request)?;
    let both = |request: &PlanRequest| -> Result<(Plan, Plan)> {
        Ok((plan_first(kernels, first, second, request)?, plan_second(kernels, loss, request)?))
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
    let many_rows = cut.ranges.rows.len() > 1 || extent.rows > SUM_ITEMS;
    let step = |driver, launch| {
        // Only rows with two labels make another text.
        let targets = match (driver, request.targets) {
            (SumDriver::Rows, TargetKind::Mixed) => TargetKind::Mixed,
            _ => TargetKind::Hard,
        };
        let key = SumKey { driver, targets, workgroup: SMALL_WORKGROUP };
        Step::new(kernels, key, launch)
    };
    let small = |driver| KernelKey::new(driver, TargetKind::Hard, SMALL_WORKGROUP);
    let finish = KernelKey { of_sums: many_rows, ..small(Driver::Finish) };
    let loss_sums = many_rows.then(|| Step::new(kernels, small(Driver::LossSums), Launch::Sums));
    let relabel = match second {
        Second::Objectness => {
            let labels =
                |label| kernels.scoped("labels", || Ok(storage(kernels, label, (4 * extent.rows).max(4))));
            Some(Relabel {
                step: step(SumDriver::Relabel, Launch::RowThreads)?,
                numbers: uniform(kernels, LABEL_NUMBERS, 16)?,
                classes: labels(CLASS_LABELS)?,
                objects: labels(OBJECT_LABELS)?,
            })
        }
        _ => None,
    };
    let passes = SumPasses {
        first: first_plan,
        second: second_plan,
        relabel,
        rows: step(SumDriver::Rows, Launch::RowThreads)?,
        loss_sums: loss_sums.transpose()?,
        finish: Step::new(kernels, finish, Launch::Once)?,
        total: step(SumDriver::Total, Launch::Once)?,
        numbers: uniform(kernels, NUMBERS, 16)?,
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
    if second == Second::Objectness {
        // Labels of classes, and of background.
        core.extent.labels = request.classes.saturating_sub(1) as u64;
    }
    Ok((core, Box::new(passes)))
}

/// The softmax loss over its columns.
fn plan_first(kernels: &Kernels, first: &SoftmaxLoss, second: Second, request: &PlanRequest) -> Result<Plan> {
    let mut request = request.clone();
    if second == Second::Objectness {
        request.classes = request.classes.saturating_sub(2);
    }
    kernels.plan(first, &request)
}

fn plan_second(kernels: &Kernels, loss: &Loss<'_>, request: &PlanRequest) -> Result<Plan> {
    let mut request = request.clone();
    request.argmax = false;
    request.counts = None;
    match loss {
        Loss::Objectness(spec) => {
            request.first_column = request.classes.saturating_sub(2);
            request.classes = 2;
            request.choice = None;
            kernels.plan(&spec.objectness, &request)
        }
        Loss::Distillation(spec) => {
            request.added_gradient = true;
            kernels.assemble(distillation::plan(kernels, spec, None, &request)?, loss)
        }
        Loss::Softmax(_) | Loss::Sigmoid(_) | Loss::Grouped(_) | Loss::Lade(_) | Loss::Range(_) => {
            Err(Error::Unexpected { what: "a loss of one part", planned: "for a sum of two" })
        }
    }
}

impl SumPasses {
    /// The views of the parts, where they are not those of the whole.
    fn bounds<'a>(&'a self, bound: Bound<'a>) -> (Bound<'a>, Bound<'a>) {
        match &self.relabel {
            None => (bound, bound),
            Some(relabel) => {
                let with = |labels| Bound { labels: Some(View::whole(labels)), ..bound };
                (with(&relabel.classes), with(&relabel.objects))
            }
        }
    }

    fn write_numbers(&self, core: &Core, loss: &Loss<'_>) -> Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
        let first = match loss {
            Loss::Distillation(spec) => spec.base_weight as f32,
            _ => 1.0,
        };
        let queue = &core.kernels.queue;
        core.kernels.scoped("a plan's numbers", || {
            let numbers = SumNumbers { first, second: 1.0 };
            queue.write_buffer(&self.numbers, 0, bytemuck::bytes_of(&numbers));
            if let (Some(relabel), Loss::Objectness(spec)) = (&self.relabel, loss) {
                let numbers = label_numbers(spec, core.request.classes);
                queue.write_buffer(&relabel.numbers, 0, bytemuck::cast_slice(&numbers));
            }
            Ok(())
        })
    }
}

/// The labels of background and of rows that do not count.
fn label_numbers(spec: &ObjectnessLoss, columns: usize) -> [i32; 2] {
    let background = i32::try_from(columns.saturating_sub(2)).unwrap_or(i32::MAX);
    // Checked: there is one.
    [background, spec.classes.ignore_index.unwrap_or(-100)]
}

impl Passes for SumPasses {
    fn steps(&self) -> Vec<&Step> {
        let steps = [
            self.relabel.as_ref().map(|relabel| &relabel.step),
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
        let (first, second) = (self.first.passes.wants(), self.second.passes.wants());
        Wants { teacher: second.teacher, ..first }
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        if let Some(relabel) = &self.relabel {
            recorder.over_rows(&relabel.step);
        }
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
        let Some((first, _)) = parts(loss, core.request.targets) else {
            return Err(Error::Unexpected { what: "a loss of one part", planned: "for a sum of two" });
        };
        match (loss, &self.relabel) {
            (Loss::Objectness(spec), Some(_)) => {
                self.first.update(first)?;
                self.second.update(&spec.objectness)?;
            }
            (Loss::Objectness(_), None) | (_, Some(_)) => {
                return Err(Error::Unexpected {
                    what: "a loss of other parts",
                    planned: "for its own parts",
                });
            }
            _ => {
                let Plan { core, passes } = &mut self.second;
                passes.update(core, loss)?;
                self.first.update(first)?;
            }
        }
        self.write_numbers(core, loss)
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
        match (name, &self.relabel) {
            // Of two kernels, of which only one reads labels.
            ("label_numbers", Some(relabel)) => View::whole(&relabel.numbers).binding(),
            ("class_labels", Some(relabel)) => labels(&relabel.classes),
            ("object_labels", Some(relabel)) => labels(&relabel.objects),
            ("numbers", _) => View::whole(&self.numbers).binding(),
            ("first_rows", _) => first.rows.binding(window.row_range),
            ("first_saved", _) => first.saved.binding(window.row_range),
            ("second_saved", _) => second.saved.binding(window.row_range),
            ("first_scalars", _) => View::whole(&first.scalars).binding(),
            ("second_scalars", _) => View::whole(&second.scalars).binding(),
            _ => None,
        }
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        let mut buffers = vec![(NUMBERS, self.numbers.size())];
        if let Some(relabel) = &self.relabel {
            buffers.extend([
                (LABEL_NUMBERS, relabel.numbers.size()),
                (CLASS_LABELS, relabel.classes.size()),
                (OBJECT_LABELS, relabel.objects.size()),
            ]);
        }
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
