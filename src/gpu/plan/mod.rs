//! Plans: a loss for a shape on a device, checked and compiled once.
//!
//! A plan is a [`Core`], which is the same for every family of losses (the shape cut into windows, and memory), and the
//! family's [`Passes`]: its kernels, and the order in which a pass runs them.

mod arena;
mod computed;
mod core;
mod encode;
mod extent;
mod memory;
mod numbers;
mod passes;
mod recorder;
mod step;
mod views;
mod windows;

pub(crate) use self::core::Core;
pub(crate) use arena::storage;
pub(crate) use computed::{Computed, Operands};
pub(crate) use extent::{Cut, Extent, LONGEST_LOOP, Needs, Window, narrow};
pub(crate) use memory::{Kept, Memory, class_arena, many_rows, uniform};
pub use numbers::WindowNumbers;
pub(crate) use passes::{Passes, Wants};
pub(crate) use recorder::Recorder;
pub(crate) use step::{Launch, ROW_WORKGROUP, SMALL_WORKGROUP, Step, sums_workgroup};
pub(crate) use views::{Bound, check_apart};
pub(crate) use windows::Matrix;

use super::choice::RowChoice;
use super::counts::DeviceCounts;
use super::kernels::Kernels;
use super::program::Program;
use super::readback;
use super::request::PlanRequest;
use super::sigmoid::{self, DeviceGradientSums};
use super::{distillation, grouped, lade, objectness, range, softmax};
use crate::loss::Loss;
use crate::{Error, Result};
use memory::SCALAR_STEP;

/// A loss planned for a shape: all that can fail has been checked, every kernel is compiled, every buffer exists.
///
/// Recording (`encode_...`) then makes no decision and allocates nothing. A plan holds O(N + K) bytes on the device
/// ([`bytes`](Self::bytes)); nothing of size N x K. Its passes use its buffers in queue order, so passes recorded
/// one after another are safe; between a forward pass and its backward pass no other pass of the same plan may run.
#[derive(Debug)]
pub struct Plan {
    pub(crate) core: Core,
    pub(crate) passes: Box<dyn Passes>,
}

impl Kernels {
    /// Plans `loss` for `request`: checks everything, compiles, allocates.
    ///
    /// Submits nothing, but for the first kernel on a GPU that rounds to f16: whether the driver's own conversion rounds as
    /// the kernels do is asked once, by a submission of its own that is waited for (some milliseconds).
    ///
    /// # Errors
    /// What the loss's own check reports; [`Error::Limit`] for shapes and workgroups beyond the device's limits;
    /// [`Error::Parameter`] for strides below K, row blocks that do not make N and shards that are none;
    /// [`Error::Length`] for shared counts of another K; [`Error::MissingFeature`] for native f16 on a device
    /// without it; [`Error::OutOfMemory`], [`Error::Shader`], [`Error::Device`].
    pub fn plan<'a>(&self, loss: impl Into<Loss<'a>>, request: &PlanRequest) -> Result<Plan> {
        let loss = loss.into();
        loss.check(request.classes, request.targets)?;
        let made = match &loss {
            Loss::Softmax(spec) => softmax::plan(self, spec, request)?,
            Loss::Sigmoid(spec) => sigmoid::plan(self, spec, request)?,
            Loss::Grouped(spec) => grouped::plan(self, spec, request)?,
            Loss::Distillation(spec) => distillation::plan(self, spec, request)?,
            Loss::Lade(spec) => lade::plan(self, spec, request)?,
            Loss::Objectness(spec) => objectness::plan(self, spec, request)?,
            Loss::Range(spec) => range::plan(self, spec, request)?,
        };
        self.assemble(made, &loss)
    }

    /// A plan from its core and its passes, with the numbers of its loss.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub(crate) fn assemble(&self, made: (Core, Box<dyn Passes>), loss: &Loss<'_>) -> Result<Plan> {
        let (core, passes) = made;
        for step in passes.steps() {
            step.check(&core)?;
        }
        let mut plan = Plan { core, passes };
        plan.passes.update(&mut plan.core, loss)?;
        plan.set_step(loss.step())?;
        Ok(plan)
    }
}

impl Plan {
    /// Replaces the numbers of the loss: weights, margins, biases, schedules. Nothing is compiled, but where the focal
    /// gamma of a sigmoid loss becomes or ceases to be 2, and where a softmax loss of soft targets or label smoothing is
    /// first to have class weights; passes submitted from now on use the new numbers (where something was compiled:
    /// passes recorded from now on). Cumulative counts, accumulated gradients and the step go on. A
    /// spec that is first to have class weights, margins or class smoothing makes the class table longer: passes recorded
    /// before that keep the old numbers. On a lost device it may succeed: wgpu says nothing about such writes, the next
    /// pass does.
    ///
    /// # Errors
    /// What the loss's own check reports, [`Error::Unexpected`] when the loss is of another family or has other terms
    /// in its inner loops than the plan was made for, and [`Error::OutOfMemory`] for a longer class table.
    pub fn update<'a>(&mut self, loss: impl Into<Loss<'a>>) -> Result<()> {
        let loss = loss.into();
        loss.check(self.core.request.classes, self.core.request.targets)?;
        self.passes.update(&mut self.core, &loss)
    }

    /// Sets the step of the gates' generator for the next pass; each pass after it counts one up. A plan starts at
    /// the step of its loss.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn set_step(&self, step: u64) -> Result<()> {
        for part in self.passes.parts() {
            part.set_step(step)?;
        }
        let words = [(step & 0xffff_ffff) as u32, (step >> 32) as u32];
        self.core.kernels.scoped("the gates' step", || {
            self.core.kernels.queue.write_buffer(
                &self.core.memory.scalars,
                4 * SCALAR_STEP,
                bytemuck::cast_slice(&words),
            );
            Ok(())
        })
    }

    /// The cumulative class counts, for a loss with seesaw.
    pub fn counts(&self) -> Option<&DeviceCounts> {
        self.passes.counts()
    }

    /// The accumulated gradients, for a loss with gradient balance.
    pub fn gradient_sums(&self) -> Option<&DeviceGradientSums> {
        self.passes.gradient_sums()
    }

    /// Bytes that the plan holds on the device, shared counts included: O(N + K), and exact.
    pub fn bytes(&self) -> u64 {
        self.buffers().into_iter().map(|(_, bytes)| bytes).sum()
    }

    /// Name and bytes of each buffer that the plan holds: what [`bytes`](Self::bytes) adds up.
    pub fn buffers(&self) -> Vec<(&'static str, u64)> {
        self.core.memory.buffers().into_iter().chain(self.passes.buffers()).collect()
    }

    /// How rows are laid over threads.
    pub fn choice(&self) -> RowChoice {
        self.core.choice
    }

    /// In how many windows the batch is worked on: ranges of rows, and ranges of classes. 1 and 1 where every
    /// binding fits the device.
    pub fn windows(&self) -> (usize, usize) {
        (self.core.cut.ranges.rows.len(), self.core.cut.ranges.classes.len())
    }

    /// The plan's kernels with their grids in its first window, in the order in which they run: the dispatch plan.
    pub fn kernels(&self) -> Vec<(Program, (u32, u32))> {
        let grid = |step: &Step| {
            self.core.cut.windows.first().map_or((1, 1), |window| step.grid(&self.core, window))
        };
        let own = self.passes.steps().into_iter().map(|step| (step.program, grid(step)));
        self.passes.parts().into_iter().flat_map(Plan::kernels).chain(own).collect()
    }

    /// The plan in words: shape, choice, windows, kernels, bytes.
    pub fn describe(&self) -> String {
        let Core { request, choice, extent, cut, .. } = &self.core;
        let mut text = format!(
            "{} rows x {} classes, {} logits: {}; {} bytes on the device",
            extent.rows,
            extent.width(),
            request.logits,
            self.passes.manner(&self.core),
            self.bytes()
        );
        if let Some(shard) = &request.shard {
            let (index, shards, classes) = (shard.index, shard.shards, request.classes);
            text.push_str(&format!("\n  shard {index} of {shards}, of {classes} classes"));
        }
        if choice.native_f16 {
            text.push_str("\n  f16 as the device's own");
        }
        if cut.windows.len() > 1 {
            let (rows, classes) = self.windows();
            text.push_str(&format!(
                "\n  {rows} ranges of rows, {classes} ranges of classes; grids of the first:"
            ));
        }
        for (program, (x, y)) in self.kernels() {
            text.push_str(&format!("\n  {} on {x} x {y} workgroups", program.label()));
        }
        text
    }

    /// What the last pass that has run found wrong with its data. Reads back 128 bytes and blocks; see
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
        let scalars = &self.core.memory.scalars;
        let parts = readback::read(&self.core.kernels, &[(scalars, 0, scalars.size())]).await?;
        self.core.check_status(&readback::words(parts.first().map_or(&[], Vec::as_slice)))
    }
}

/// Whether a choice has a meaning for rows of `classes` columns, of which a thread takes `width` in one step.
///
/// # Errors
/// [`Error::Parameter`].
pub(crate) fn check_choice(choice: RowChoice, classes: u32, width: u32) -> Result<()> {
    let bad = |name, value: u32, expected| Err(Error::Parameter { name, value: f64::from(value), expected });
    if choice.lanes != 1 && choice.lanes != 4 {
        return bad("rows per thread", choice.lanes, "1 or 4");
    }
    if !choice.workgroup.is_power_of_two() {
        return bad("threads in one workgroup", choice.workgroup, "a power of two");
    }
    if choice.split == 0 {
        return bad("workgroups that share a row", choice.split, "at least 1");
    }
    // With two elements in a word, a row may start in the middle of one.
    let columns = u64::from(classes) + u64::from(width - 1);
    let held = u64::from(choice.chip.next_multiple_of(4)) * u64::from(choice.workgroup);
    if choice.chip > 0 && held < columns {
        return bad("columns on chip", choice.chip, "0, or enough for a row: columns x threads at least K");
    }
    Ok(())
}
