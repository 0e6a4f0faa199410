//! Plans: a spec for a shape on a device, checked and compiled once.

pub(crate) mod extent;
pub(crate) mod memory;
pub(crate) mod steps;

use super::choice::{RowChoice, RowRequest, choose};
use super::counts::DeviceCounts;
use super::kernels::Kernels;
use super::params::{ClassColumns, LabelColumn, Params, flags, inner_terms};
use super::readback;
use super::request::{Mode, PlanRequest};
use super::shader::{Driver, InnerTerms, KernelKey, Layout};
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};
use extent::{Cut, Extent, Inputs, Window, narrow};
use memory::{Kept, Memory, SCALAR_STATUS, SCALAR_STEP, SUM_ITEMS, class_arena, counts_for, sums_of};
use std::ops::Range;
use steps::{Manner, ROW_WORKGROUP, RowSteps, SMALL_WORKGROUP, Steps};

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
    pub(crate) cut: Cut,
    pub(crate) columns: ClassColumns,
    pub(crate) layout: Layout,
    pub(crate) influence: bool,
    pub(crate) label_denominator: bool,
    pub(crate) count_batch: bool,
    pub(crate) steps: Steps,
    pub(crate) memory: Memory,
    pub(crate) counts: Option<DeviceCounts>,
}

impl Kernels {
    /// Plans `spec` for `request`: checks everything, compiles, allocates.
    ///
    /// # Errors
    /// What [`SoftmaxLoss::check`] reports; [`Error::Limit`] for shapes and workgroups beyond the device's limits;
    /// [`Error::Parameter`] for strides below K, row blocks that do not make N and shards that are none;
    /// [`Error::Length`] for shared counts of another K; [`Error::MissingFeature`] for native f16 on a device
    /// without it; [`Error::OutOfMemory`], [`Error::Shader`], [`Error::Device`].
    pub fn plan(&self, spec: &SoftmaxLoss, request: &PlanRequest) -> Result<Plan> {
        spec.check(request.classes, request.targets)?;
        let extent = Extent::new(request)?;
        let terms = inner_terms(spec, request.targets);
        let rows = RowRequest {
            terms,
            targets: request.targets,
            storage: request.storage,
            logits: request.logits,
            gradient: request.gradient,
            straddle: extent.straddles(),
            argmax: request.argmax,
        };
        let width = narrow(extent.width());
        let choice = match request.choice {
            Some(choice) => choice,
            None => choose(self.adapter, &rows, narrow(extent.rows), width.max(1)),
        };
        let key = rows.key(Driver::Partial, choice);
        check_choice(choice, width, &rows.row_key(choice, true, true))?;
        let counts = counts_for(self, spec, &extent, request.counts.as_ref())?;
        let columns = ClassColumns::new(spec, &terms);
        let inputs = Inputs {
            dense: request.targets == crate::TargetKind::Soft || terms.gate_given,
            counts: counts.is_some(),
            rows_in_a_loop: request.class_scale_gradient,
        };
        let cut = extent.cut(self, &key, &columns, choice, inputs)?;
        let split = cut.split || request.shard.is_some();
        let many_rows = cut.ranges.rows.len() > 1 || extent.rows > SUM_ITEMS;
        let manner = Manner { split, counted: counts.is_some(), many_rows };
        let steps = Steps::new(self, &rows, choice, request, &extent, manner)?;
        let kept = Kept {
            targets: request.targets,
            coefficients: steps.backward.is_some() || split,
            slots: split.then_some(cut.slots),
            many_rows,
        };
        let memory = Memory::new(self, &cut, &key, &columns, kept)?;
        let mut plan = Plan {
            kernels: self.clone(),
            request: request.clone(),
            choice,
            terms,
            extent,
            cut,
            columns,
            layout: Layout::new(&key),
            influence: false,
            label_denominator: false,
            count_batch: false,
            steps,
            memory,
            counts,
        };
        plan.check_grids()?;
        plan.update(spec)?;
        plan.set_step(spec.gate.as_ref().map_or(0, |gate| gate.step))?;
        Ok(plan)
    }
}

fn check_choice(choice: RowChoice, classes: u32, key: &KernelKey) -> Result<()> {
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
    let columns = u64::from(classes) + u64::from(key.width() - 1);
    let held = u64::from(choice.chip.next_multiple_of(4)) * u64::from(choice.workgroup);
    if choice.chip > 0 && held < columns {
        return bad("columns on chip", choice.chip, "0, or enough for a row: columns x threads at least K");
    }
    Ok(())
}

impl Plan {
    /// The window's part of the numbers, and the spec's.
    fn params(&self, spec: &SoftmaxLoss) -> Vec<Params> {
        let of_spec = Params::of_spec(spec, self.extent.rows);
        let shard = self.request.shard.as_ref();
        let word = |value: usize| narrow(value as u64);
        let first = narrow(self.extent.classes.start);
        let odd_rows = [self.extent.logits, self.extent.gradient]
            .iter()
            .any(|matrix| matrix.bytes == 2 && matrix.stride % 2 == 1);
        let plan = Params {
            total_classes: narrow(self.extent.total_classes),
            batch_rows: narrow(self.extent.rows),
            logits_stride: narrow(self.extent.logits.stride),
            gradient_stride: narrow(self.extent.gradient.stride),
            dense_stride: narrow(self.extent.dense.stride),
            // Four rows of a workgroup start on the same half of a word.
            row_step: if odd_rows { 2 } else { 1 },
            slots: self.cut.slots,
            shard: shard.map_or(0, |shard| word(shard.index)),
            shards: shard.map_or(1, |shard| word(shard.shards)),
            own_first_class: first,
            own_classes: narrow(self.extent.width()),
            sums: narrow(self.cut.ranges.rows.iter().map(|rows| sums_of(u64::from(rows.rows))).sum()),
            weight_column: self.columns.place(LabelColumn::Weight),
            margin_column: self.columns.place(LabelColumn::Margin),
            smoothing_column: self.columns.place(LabelColumn::Smoothing),
            flags: of_spec.flags | if self.request.row_weights { flags::ROW_WEIGHTS } else { 0 },
            pieces: 1,
            ..of_spec
        };
        let mut sums = 0;
        let mut params: Vec<Params> = Vec::with_capacity(self.cut.windows.len());
        for (index, window) in self.cut.windows.iter().enumerate() {
            let first_of_rows = window.class_range == 0;
            let mut bits = plan.flags;
            for (set, bit) in [
                (index == 0, flags::FIRST_WINDOW),
                (first_of_rows, flags::FIRST_OF_ROWS),
                (window.row_range == 0, flags::FIRST_OF_CLASSES),
            ] {
                bits |= if set { bit } else { 0 };
            }
            params.push(Params {
                rows: window.rows,
                classes: window.width(),
                first_class: first + window.classes.start,
                batch_row: narrow(window.first_row),
                first_row: self.request.first_row.wrapping_add(narrow(window.first_row)),
                row_shift: narrow(window.first_row % ROW_ALIGNMENT),
                logits_origin: narrow(window.logits.origin),
                gradient_origin: narrow(window.gradient.origin),
                dense_origin: narrow(window.dense.origin),
                pieces: window.pieces,
                piece_blocks: window.piece_blocks,
                first_slot: window.first_slot,
                first_sum: sums,
                flags: bits,
                ..plan
            });
            if window.class_range + 1 == self.cut.ranges.classes.len() {
                sums += narrow(sums_of(u64::from(window.rows)));
            }
        }
        params
    }

    /// The classes of each range, among all K.
    fn class_ranges(&self) -> Vec<Range<usize>> {
        let first = usize::try_from(self.extent.classes.start).unwrap_or(usize::MAX);
        let ranges = self.cut.ranges.classes.iter();
        ranges.map(|range| first + range.start as usize..first + range.end as usize).collect()
    }

    /// Replaces the numbers of the spec: weights, margins, biases, schedules. Nothing is compiled; passes submitted
    /// from now on use the new numbers. Cumulative counts and the gates' step go on. A spec that is the first to have
    /// class weights, margins or class smoothing makes the class table longer: passes recorded before that keep the old
    /// numbers. On a lost device it may succeed: wgpu says nothing about such writes, the next pass does.
    ///
    /// # Errors
    /// What [`SoftmaxLoss::check`] reports, [`Error::Unexpected`] when the spec has other terms in its inner
    /// loops than the plan was made for, and [`Error::OutOfMemory`] for a longer class table.
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
        let columns = self.columns.clone().with(&ClassColumns::new(spec, &self.terms));
        if columns != self.columns {
            self.memory.classes = class_arena(&self.kernels, &self.cut, &columns)?;
            self.columns = columns;
        }
        let params = self.params(spec);
        self.memory.write_params(&self.kernels, &params)?;
        self.memory.write_classes(&self.kernels, spec, &self.columns, &self.class_ranges())?;
        self.influence = spec.influence.is_some();
        self.label_denominator = params.first().is_some_and(|params| params.reduction != 0);
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

    /// Bytes that the plan holds on the device, shared counts included: O(N + K), and exact.
    pub fn bytes(&self) -> u64 {
        self.buffers().into_iter().map(|(_, bytes)| bytes).sum()
    }

    /// Name and bytes of each buffer that the plan holds: what [`bytes`](Self::bytes) adds up.
    pub fn buffers(&self) -> Vec<(&'static str, u64)> {
        let counts = self.counts.as_ref().map(|counts| (DeviceCounts::LABEL, counts.bytes()));
        self.memory.buffers().into_iter().chain(counts).collect()
    }

    /// How rows are laid over threads.
    pub fn choice(&self) -> RowChoice {
        self.choice
    }

    /// In how many windows the batch is worked on: ranges of rows, and ranges of classes. 1 and 1 where every
    /// binding fits the device.
    pub fn windows(&self) -> (usize, usize) {
        (self.cut.ranges.rows.len(), self.cut.ranges.classes.len())
    }

    /// The keys of the plan's kernels with their grids in its first window, in the order in which they run: the
    /// dispatch plan.
    pub fn kernels(&self) -> Vec<(KernelKey, (u32, u32))> {
        let steps = &self.steps;
        let grid = |key: &KernelKey| self.cut.windows.first().map_or((1, 1), |window| self.grid(key, window));
        let all = steps.all().into_iter().filter(|step| match step.key.driver {
            Driver::CountLabels => self.count_batch,
            Driver::ShareSums | Driver::Denominator => self.label_denominator,
            _ => true,
        });
        all.map(|step| (step.key, grid(&step.key))).collect()
    }

    /// The plan in words: shape, choice, windows, kernels, bytes.
    pub fn describe(&self) -> String {
        let RowChoice { lanes, workgroup, chip, split, native_f16 } = self.choice;
        let shared = matches!(self.steps.rows, RowSteps::Split(_));
        let manner = match (shared, chip) {
            (true, _) => format!("shared by {} workgroups each", self.cut.slots.max(split)),
            (false, 0) => "streamed".to_owned(),
            (false, chip) => format!("held on chip, {chip} columns per thread"),
        };
        let mut text = format!(
            "{} rows x {} classes, {} logits: rows {manner}, {lanes} per workgroup of {workgroup} threads; {} bytes on the device",
            self.extent.rows,
            self.extent.width(),
            self.request.logits,
            self.bytes()
        );
        if let Some(shard) = &self.request.shard {
            let (index, shards, classes) = (shard.index, shard.shards, self.request.classes);
            text.push_str(&format!("\n  shard {index} of {shards}, of {classes} classes"));
        }
        if native_f16 {
            text.push_str("\n  f16 as the device's own");
        }
        if self.cut.windows.len() > 1 {
            let (rows, classes) = self.windows();
            text.push_str(&format!(
                "\n  {rows} ranges of rows, {classes} ranges of classes; grids of the first:"
            ));
        }
        for (key, (x, y)) in self.kernels() {
            text.push_str(&format!("\n  {} on {x} x {y} workgroups", key.label()));
        }
        text
    }

    /// Workgroups of a kernel in a window.
    fn groups(&self, key: &KernelKey, window: &Window) -> u64 {
        let rows = u64::from(window.rows);
        let lanes = u64::from(key.lanes);
        let steps = |items: u64, group: u32| items.div_ceil(u64::from(group)).max(1);
        let row_groups = match (lanes, self.row_step()) {
            (1, _) => rows,
            // Every other row of eight.
            (lanes, step) => step * rows.div_ceil(lanes * step),
        };
        match key.driver {
            Driver::Prepare | Driver::CountLabels | Driver::Adopt | Driver::Stitch => {
                steps(rows, SMALL_WORKGROUP)
            }
            Driver::RefreshCounts => steps(u64::from(window.width()), SMALL_WORKGROUP),
            Driver::ShareSums | Driver::LossSums => sums_of(rows),
            Driver::Denominator | Driver::Finish => 1,
            Driver::RowStream | Driver::RowChip => row_groups,
            Driver::LabelLogits => steps(rows, ROW_WORKGROUP),
            Driver::Partial | Driver::Backward => row_groups * u64::from(window.pieces),
            Driver::Threshold | Driver::CloseSlots | Driver::Gather => rows,
            Driver::ClassScaleGradient => steps(u64::from(window.width()), ROW_WORKGROUP),
        }
    }

    fn row_step(&self) -> u64 {
        let odd = |matrix: &super::windows::Matrix| matrix.bytes == 2 && matrix.stride % 2 == 1;
        if odd(&self.extent.logits) || odd(&self.extent.gradient) { 2 } else { 1 }
    }

    /// Workgroups in two dimensions, since one holds only so many; `check_grids` has seen that they fit.
    pub(crate) fn grid(&self, key: &KernelKey, window: &Window) -> (u32, u32) {
        let groups = self.groups(key, window);
        let most = self.most_groups();
        let y = groups.div_ceil(most).max(1);
        (narrow(groups.div_ceil(y)), narrow(y))
    }

    fn most_groups(&self) -> u64 {
        u64::from(self.kernels.device.limits().max_compute_workgroups_per_dimension.max(1))
    }

    fn check_grids(&self) -> Result<()> {
        let most = self.most_groups();
        for window in &self.cut.windows {
            for step in self.steps.all() {
                let needed = self.groups(&step.key, window);
                if needed > most * most {
                    return Err(Error::Limit {
                        what: "workgroups in one dispatch".into(),
                        needed,
                        allowed: most * most,
                        cure: "request the device with a higher max_compute_workgroups_per_dimension",
                    });
                }
            }
        }
        Ok(())
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
        let first = u64::from(self.request.first_row);
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

    /// Whether loss and gradient come from one kernel.
    pub(crate) fn is_fused(&self) -> bool {
        self.request.mode == Mode::LossAndGrad && self.steps.backward.is_none()
    }
}

/// A range of rows starts this many rows or less after an aligned one: 256 bytes of 4-byte numbers.
pub(crate) const ROW_ALIGNMENT: u64 = 64;
