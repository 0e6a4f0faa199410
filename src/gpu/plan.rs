//! Plans: a spec for a shape on a device, checked and compiled once.

use super::choice::{RowChoice, RowRequest, choose};
use super::counts::DeviceCounts;
use super::kernels::{Kernels, Pipeline};
use super::params::{Extent, Params, class_table, inner_terms};
use super::readback;
use super::request::{Mode, PlanRequest};
use super::shader::{Driver, InnerTerms, KernelKey, Storage};
use crate::batch::TargetKind;
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};
use std::sync::Arc;

/// Words in the block of scalars, and their places (the twins of `shaders/params.wgsl`).
const SCALARS: usize = 16;
pub(crate) const SCALAR_LOSS: u64 = 1;
const SCALAR_STEP: u64 = 4;
const SCALAR_STATUS: usize = 6;
/// Fields per row that the prepare kernel writes, for one label.
const FIELDS_PER_LABEL: u64 = 7;
/// Fields per row that row kernels leave: outputs, and with coefficients.
const SAVED_OUTPUTS: u64 = 4;
const SAVED_ALL: u64 = 10;
/// Threads per workgroup of the kernels that are not over logits.
const SMALL_WORKGROUP: u32 = 128;

/// A spec planned for a shape: all that can fail has been checked, every kernel is compiled, every buffer exists.
///
/// Recording (`encode_...`) then makes no decision and allocates nothing. A plan holds O(N + K) bytes on the device
/// ([`bytes`](Self::bytes)); nothing of size N x K. Its passes use its buffers in queue order, so passes recorded
/// one after another are safe; between a forward pass and its backward pass no other pass of the same plan may run.
#[derive(Debug)]
pub struct Plan {
    pub(crate) kernels: Kernels,
    pub(crate) request: PlanRequest,
    pub(crate) choice: RowChoice,
    pub(crate) terms: InnerTerms,
    pub(crate) extent: Extent,
    pub(crate) influence: bool,
    pub(crate) label_denominator: bool,
    pub(crate) count_batch: bool,
    pub(crate) steps: Steps,
    pub(crate) memory: Memory,
    pub(crate) counts: Option<DeviceCounts>,
}

/// A kernel and how it is launched.
#[derive(Debug)]
pub(crate) struct Step {
    pub key: KernelKey,
    pub pipeline: Arc<Pipeline>,
    /// Workgroups in x and y.
    pub grid: (u32, u32),
}

/// The kernels of a plan, in the order in which they run.
#[derive(Debug)]
pub(crate) struct Steps {
    pub count_labels: Option<Step>,
    pub refresh_counts: Option<Step>,
    pub prepare: Step,
    pub denominator: Step,
    pub row: Step,
    pub finish: Step,
    pub class_scale: Option<Step>,
    pub backward: Option<Step>,
}

/// The buffers of a plan.
#[derive(Debug)]
pub(crate) struct Memory {
    pub params: wgpu::Buffer,
    pub scalars: wgpu::Buffer,
    pub rows: wgpu::Buffer,
    pub saved: wgpu::Buffer,
    pub classes: wgpu::Buffer,
    /// The upstream gradient of passes that have none: 1.
    pub one: wgpu::Buffer,
}

impl Kernels {
    /// Plans `spec` for `request`: checks everything, compiles, allocates.
    ///
    /// # Errors
    /// What [`SoftmaxLoss::check`] reports; [`Error::Limit`] for shapes and workgroups beyond the device's limits;
    /// [`Error::Parameter`] for strides below K; [`Error::Length`] for shared counts of another K;
    /// [`Error::OutOfMemory`], [`Error::Shader`], [`Error::Device`].
    pub fn plan(&self, spec: &SoftmaxLoss, request: &PlanRequest) -> Result<Plan> {
        spec.check(request.classes, request.targets)?;
        let extent = self.check_shape(request)?;
        let terms = inner_terms(spec, request.targets);
        let rows =
            RowRequest { terms, targets: request.targets, storage: request.storage, argmax: request.argmax };
        let choice =
            request.choice.unwrap_or_else(|| choose(self.adapter, &rows, extent.rows, extent.classes));
        check_choice(choice, extent.classes)?;
        let counts = self.counts(spec, request)?;
        let count_batch = spec.seesaw.as_ref().is_some_and(|seesaw| seesaw.count_batch);
        let steps = self.steps(&rows, choice, extent, request, counts.is_some())?;
        let memory = self.memory(spec, &terms, extent, request)?;
        let mut plan = Plan {
            kernels: self.clone(),
            request: request.clone(),
            choice,
            terms,
            extent,
            influence: false,
            label_denominator: false,
            count_batch,
            steps,
            memory,
            counts,
        };
        plan.update(spec)?;
        plan.set_step(spec.gate.as_ref().map_or(0, |gate| gate.step))?;
        Ok(plan)
    }

    /// The shape in the kernels' 32 bits.
    fn check_shape(&self, request: &PlanRequest) -> Result<Extent> {
        let (rows, classes) = (request.rows as u64, request.classes as u64);
        let stride = |name: &'static str, stride: usize| match stride >= request.classes {
            true => Ok(stride as u64),
            #[expect(clippy::cast_precision_loss, reason = "only for the message")]
            false => Err(Error::Parameter {
                name,
                value: stride as f64,
                expected: "at least the number of classes",
            }),
        };
        let logits_stride = stride("logits_stride", request.logits_stride)?;
        let in_place = request.storage == Storage::InPlace;
        let gradient_stride =
            if in_place { logits_stride } else { stride("gradient_stride", request.gradient_stride)? };
        let allowed = self.max_binding();
        let check = |what: &str, needed: Option<u64>, cure| match needed {
            Some(needed) if needed <= allowed => Ok(()),
            _ => {
                let needed = needed.unwrap_or(u64::MAX);
                Err(Error::Limit { what: format!("{what} (bytes in one binding)"), needed, allowed, cure })
            }
        };
        let matrix = |stride: u64| match rows {
            0 => Some(0),
            _ => (rows - 1).checked_mul(stride)?.checked_add(classes)?.checked_mul(4),
        };
        check("logits", matrix(logits_stride), "plan for fewer rows and run several plans")?;
        check("the gradient", matrix(gradient_stride), "plan for fewer rows and run several plans")?;
        let fields = 2 * FIELDS_PER_LABEL.max(SAVED_ALL);
        check("row fields", rows.checked_mul(4 * fields), "plan for fewer rows and run several plans")?;
        check("the class table", classes.checked_mul(4 * 7), "the classes have to be split over devices")?;
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Extent {
            rows: narrow(rows),
            classes: narrow(classes),
            first_row: request.first_row,
            logits_stride: narrow(logits_stride),
            gradient_stride: narrow(gradient_stride),
            row_weights: request.row_weights,
        })
    }

    /// The cumulative counts: shared ones, or new ones from the spec.
    fn counts(&self, spec: &SoftmaxLoss, request: &PlanRequest) -> Result<Option<DeviceCounts>> {
        let Some(seesaw) = &spec.seesaw else { return Ok(None) };
        match &request.counts {
            Some(shared) if shared.classes() != request.classes => Err(Error::Length {
                what: "shared class counts",
                expected: request.classes as u64,
                found: shared.classes() as u64,
            }),
            Some(shared) => Ok(Some(shared.clone())),
            None => Ok(Some(DeviceCounts::new(self, &seesaw.counts)?)),
        }
    }

    fn steps(
        &self,
        rows: &RowRequest,
        choice: RowChoice,
        extent: Extent,
        request: &PlanRequest,
        counted: bool,
    ) -> Result<Steps> {
        let step = |key: KernelKey, groups: u32| {
            Ok::<_, Error>(Step { key, pipeline: self.pipeline(&key)?, grid: self.grid(groups)? })
        };
        // Kernels that are not over logits: only what their text depends on.
        let small = |driver| KernelKey {
            terms: InnerTerms { mitigation: rows.terms.mitigation, ..self.column_terms(driver, rows.terms) },
            storage: Storage::Separate,
            argmax: false,
            ..rows.key(driver, RowChoice { lanes: 1, workgroup: SMALL_WORKGROUP, chip: 0 })
        };
        let per_row = extent.rows.div_ceil(SMALL_WORKGROUP);
        let per_class = extent.classes.div_ceil(SMALL_WORKGROUP);
        let row_groups = extent.rows.div_ceil(choice.lanes);
        let fused = request.mode == Mode::LossAndGrad && !request.class_scale_gradient;
        let mut row_key = rows.row_key(choice, fused, !fused);
        if !fused {
            row_key.storage = Storage::Separate;
        }
        let backward = rows.key(Driver::Backward, RowChoice { chip: 0, ..choice });
        let class_scale_choice = RowChoice { lanes: 1, workgroup: SMALL_WORKGROUP.min(64), chip: 0 };
        let class_scale = rows.key(Driver::ClassScaleGradient, class_scale_choice);
        Ok(Steps {
            count_labels: counted.then(|| step(small(Driver::CountLabels), per_row)).transpose()?,
            refresh_counts: (counted && rows.terms.mitigation)
                .then(|| step(small(Driver::RefreshCounts), per_class))
                .transpose()?,
            prepare: step(small(Driver::Prepare), per_row.max(1))?,
            denominator: step(small(Driver::Denominator), 1)?,
            row: step(row_key, row_groups)?,
            finish: step(small(Driver::Finish), 1)?,
            class_scale: request
                .class_scale_gradient
                .then(|| {
                    let key = KernelKey { argmax: false, ..class_scale };
                    step(key, extent.classes.div_ceil(class_scale_choice.workgroup))
                })
                .transpose()?,
            backward: (!fused)
                .then(|| step(KernelKey { argmax: false, ..backward }, row_groups))
                .transpose()?,
        })
    }

    /// The terms that place the columns a small kernel reads.
    fn column_terms(&self, driver: Driver, terms: InnerTerms) -> InnerTerms {
        match driver {
            Driver::Prepare | Driver::RefreshCounts => {
                InnerTerms { class_scale: terms.class_scale, bias: terms.bias, ..InnerTerms::default() }
            }
            _ => InnerTerms::default(),
        }
    }

    /// Workgroups in two dimensions, since one holds only so many.
    fn grid(&self, groups: u32) -> Result<(u32, u32)> {
        let most = self.device.limits().max_compute_workgroups_per_dimension.max(1);
        let y = groups.div_ceil(most);
        if y > most {
            return Err(Error::Limit {
                what: "workgroups".into(),
                needed: u64::from(groups),
                allowed: u64::from(most) * u64::from(most),
                cure: "plan for fewer rows and run several plans",
            });
        }
        Ok((groups.div_ceil(y.max(1)), y.max(1)))
    }

    fn memory(
        &self,
        spec: &SoftmaxLoss,
        terms: &InnerTerms,
        extent: Extent,
        request: &PlanRequest,
    ) -> Result<Memory> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let rows = u64::from(extent.rows).max(1);
        let labels = if request.targets == TargetKind::Mixed { 2 } else { 1 };
        let fused = request.mode == Mode::LossAndGrad && !request.class_scale_gradient;
        let saved = if fused { SAVED_OUTPUTS } else { SAVED_ALL };
        let table = class_table(spec, terms, request.classes);
        self.scoped("a plan's buffers", || {
            let buffer = |label, size, usage| {
                self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(label),
                    size,
                    usage,
                    mapped_at_creation: false,
                })
            };
            let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
            let memory = Memory {
                params: buffer("longtail params", std::mem::size_of::<Params>() as u64, uniform),
                scalars: buffer("longtail scalars", 4 * SCALARS as u64, usage),
                rows: buffer("longtail row fields", 4 * FIELDS_PER_LABEL * labels * rows, usage),
                saved: buffer("longtail saved", 4 * saved * rows, usage),
                classes: buffer("longtail class table", 4 * table.len() as u64, usage),
                one: buffer("longtail one", 4, usage),
            };
            self.queue.write_buffer(&memory.scalars, 0, bytemuck::cast_slice(&[0u32; SCALARS]));
            self.queue.write_buffer(&memory.one, 0, bytemuck::cast_slice(&[1.0f32]));
            Ok(memory)
        })
    }
}

fn check_choice(choice: RowChoice, classes: u32) -> Result<()> {
    let bad = |name, value: u32, expected| Err(Error::Parameter { name, value: f64::from(value), expected });
    if choice.lanes != 1 && choice.lanes != 4 {
        return bad("rows per thread", choice.lanes, "1 or 4");
    }
    if !choice.workgroup.is_power_of_two() {
        return bad("threads in one workgroup", choice.workgroup, "a power of two");
    }
    if choice.chip > 0 && u64::from(choice.chip) * u64::from(choice.workgroup) < u64::from(classes) {
        return bad("columns on chip", choice.chip, "0, or enough for a row: columns x threads at least K");
    }
    Ok(())
}

impl Plan {
    /// Replaces the numbers of the spec: weights (present or not), margins, biases, schedules. Nothing is compiled
    /// or allocated; passes submitted from now on use the new numbers. Cumulative counts and the gates' step go on.
    /// On a lost device it may succeed: wgpu says nothing about such writes, the next pass does.
    ///
    /// # Errors
    /// What [`SoftmaxLoss::check`] reports, and [`Error::Unexpected`] when the spec has other terms in its inner
    /// loops than the plan was made for.
    pub fn update(&mut self, spec: &SoftmaxLoss) -> Result<()> {
        spec.check(self.request.classes, self.request.targets)?;
        if inner_terms(spec, self.request.targets) != self.terms
            || spec.seesaw.is_some() != self.counts.is_some()
        {
            return Err(Error::Unexpected {
                what: "a spec with other terms",
                planned: "for the terms of its first spec (class scale, bias, seesaw, gates, smoothing)",
            });
        }
        let params = Params::new(spec, self.extent);
        let table = class_table(spec, &self.terms, self.request.classes);
        self.kernels.scoped("a plan's numbers", || {
            let queue = &self.kernels.queue;
            queue.write_buffer(&self.memory.params, 0, bytemuck::bytes_of(&params));
            queue.write_buffer(&self.memory.classes, 0, bytemuck::cast_slice(&table));
            Ok(())
        })?;
        self.influence = spec.influence.is_some();
        self.label_denominator = params.reduction != 0;
        self.count_batch = spec.seesaw.as_ref().is_some_and(|seesaw| seesaw.count_batch);
        Ok(())
    }

    /// Sets the step of the gates' generator for the next pass; each pass after it counts one up. A plan starts at
    /// the step of its spec.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn set_step(&self, step: u64) -> Result<()> {
        let words = [(step & 0xffff_ffff) as u32, (step >> 32) as u32];
        self.kernels.scoped("the gates' step", || {
            self.kernels.queue.write_buffer(
                &self.memory.scalars,
                4 * SCALAR_STEP,
                bytemuck::cast_slice(&words),
            );
            Ok(())
        })
    }

    /// The cumulative class counts, for a spec with seesaw.
    pub fn counts(&self) -> Option<&DeviceCounts> {
        self.counts.as_ref()
    }

    /// Bytes that the plan holds on the device, shared counts included: O(N + K).
    pub fn bytes(&self) -> u64 {
        let memory = &self.memory;
        let own =
            [&memory.params, &memory.scalars, &memory.rows, &memory.saved, &memory.classes, &memory.one];
        own.iter().map(|buffer| buffer.size()).sum::<u64>()
            + self.counts.as_ref().map_or(0, DeviceCounts::bytes)
    }

    /// How rows are laid over threads.
    pub fn choice(&self) -> RowChoice {
        self.choice
    }

    /// The keys of the plan's kernels with their grids, in the order in which they run: the dispatch plan.
    pub fn kernels(&self) -> Vec<(KernelKey, (u32, u32))> {
        let steps = &self.steps;
        let optional = |step: &'_ Option<Step>| step.as_ref().map(|step| (step.key, step.grid));
        let always = |step: &Step| Some((step.key, step.grid));
        [
            optional(&steps.count_labels).filter(|_| self.count_batch),
            optional(&steps.refresh_counts),
            always(&steps.prepare),
            always(&steps.denominator).filter(|_| self.label_denominator),
            always(&steps.row),
            always(&steps.finish),
            optional(&steps.class_scale),
            optional(&steps.backward),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The plan in words: shape, choice, kernels, bytes.
    pub fn describe(&self) -> String {
        let RowChoice { lanes, workgroup, chip } = self.choice;
        let manner = match chip {
            0 => "streamed".to_owned(),
            chip => format!("held on chip, {chip} columns per thread"),
        };
        let mut text = format!(
            "{} rows x {} classes: rows {manner}, {lanes} per workgroup of {workgroup} threads; {} bytes on the device",
            self.extent.rows,
            self.extent.classes,
            self.bytes()
        );
        for (key, (x, y)) in self.kernels() {
            text.push_str(&format!("\n  {} on {x} x {y} workgroups", key.label()));
        }
        text
    }

    /// What the last pass that has run found wrong with its data. Reads back 64 bytes and blocks; see
    /// [`status_async`](Self::status_async).
    ///
    /// # Errors
    /// [`Error::Label`] or [`Error::NonFinite`] with the first such row; [`Error::DeviceLost`], [`Error::Device`].
    pub fn status(&self) -> Result<()> {
        pollster::block_on(self.status_async())
    }

    /// [`status`](Self::status) without blocking on the web.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn status_async(&self) -> Result<()> {
        let range = (&self.memory.scalars, 0, self.memory.scalars.size());
        let parts = readback::read(&self.kernels, &[range]).await?;
        self.check_status(&readback::words(parts.first().map_or(&[], Vec::as_slice)))
    }

    /// The status in a copy of the block of scalars.
    pub(crate) fn check_status(&self, scalars: &[u32]) -> Result<()> {
        let word = |offset: usize| scalars.get(SCALAR_STATUS + offset).copied().unwrap_or(0);
        let first = u64::from(self.extent.first_row);
        if word(0) > 0 {
            return Err(Error::Label {
                row: first + u64::from(word(1)),
                label: None,
                classes: self.request.classes,
                rows: u64::from(word(0)),
            });
        }
        if word(2) > 0 {
            let row = first + u64::from(word(3));
            return Err(Error::NonFinite { what: "logits", row, rows: u64::from(word(2)) });
        }
        Ok(())
    }
}
