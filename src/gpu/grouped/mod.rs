//! The grouped family's plans, and the kernels that they run.
//!
//! A [`GroupedLoss`] goes through [`Kernels::plan`](super::Kernels::plan), [`Session`](super::Session) and
//! [`Context`](super::Context) like a softmax loss: the request's classes are the logits' columns, W; labels are hard.
//! Outputs are the reduced loss, the rows' losses, the label's probability (the product over its own segments) and the
//! column of the largest logit. A row has no log-sum-exp of its own: that output is NaN.
//!
//! ```
//! use longtail::{Batch, GroupedLoss, Targets, gpu::Context, grouped::Taxonomy};
//! # fn main() -> longtail::Result<()> {
//! // Labels 0 and 1 below node 1, label 2 below the root: columns [node 1, label 2 | label 0, label 1].
//! let tree = Taxonomy::from_parents(&[None, Some(0), Some(1), Some(1), Some(0)])?;
//! let batch = Batch::new(&[0.0; 4], 4, Targets::Hard(&[1]));
//! let out = Context::new()?.loss_and_grad(&GroupedLoss::hierarchical(&tree), &batch)?;
//! assert!((out.loss - 4f32.ln()).abs() < 1e-6); // 1/2 at the root, 1/2 at node 1
//! assert_eq!(out.gradient, [-0.5, 0.5, 0.5, -0.5]);
//! # Ok(()) }
//! ```
//!
//! # What a pass does
//! | kernel | work |
//! |---|---|
//! | prepare | checks labels; the step's key |
//! | tally | rows that count, for each segment and for the batch |
//! | draw | which others count, by radix selection over the generator's keys; the denominators |
//! | rows | the row's loss, from the log-sum-exp of each segment that its label takes part in, and of a tree's kept leaves; then the gradient |
//! | statistics, gradient | the same in two, for a backward pass |
//!
//! # Cost
//! Each logit is read once for the row's statistics and once for the gradient, which is written once; of segments that the
//! label takes no part in, without a tree, only the first. A tree is walked down and up, level by level: a backward pass of its
//! own reads the columns of inner nodes a third time. With S the segments that a label can take part in (a tree's depth; else G),
//! a plan keeps 20 S bytes a row and the tables of segments and labels: nothing of size N x W. A tree's nodes take 4 bytes each
//! of workgroup memory; trees of more nodes than fit it keep them in a buffer for about a million nodes, in windows of as many
//! rows. Short rows (some 100 columns) cost what a row costs in itself: `docs/performance.md`.
//!
//! The draw is exact: the rows are those of [`random::sample_rows`](crate::random::sample_rows) with the segment as the
//! stream, the quota's product is rounded on the host in f64. Rows count from the request's first row.
//!
//! # Limits
//! Rows are whole: one that is longer than a binding is an [`Error::Limit`], as are tables (4 bytes for each column, label,
//! label's column, and with a draw each row) that are. Shards of the classes, shared counts and class
//! scales belong to the softmax family. A choice of the row kernel can set the workgroup and f16 of the device's own.
//! An update may change weights, ratios, ceilings, seeds and reductions, but not which terms there are, own means of groups
//! among them.

mod key;
mod layout;
mod numbers;
mod steps;
mod tables;

pub use key::{GroupedDriver, GroupedKey, GroupedTerms};
pub use numbers::GroupedNumbers;

use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, Memory, Needs, Passes, Recorder, Step, Wants, Window, many_rows, storage,
    sums_workgroup,
};
use super::request::{Mode, PlanRequest};
use super::view::View;
use crate::loss::Loss;
use crate::{Error, GroupedLoss, Result};
use key::SLOT_FIELDS;
use layout::row_layout;
use numbers::terms;
use steps::{Manner, Steps};
use tables::Tables;

/// Fields per row that the prepare kernel writes.
const ROW_FIELDS: u64 = 2;
/// Words of the tally for each segment, and for the batch (`shaders/grouped/fields.wgsl`).
const TALLY_FIELDS: u64 = 8;
/// The most iterations that a loop of a kernel has.
const LONGEST_LOOP: u64 = 8192;
/// Words for the nodes of a window's rows, about, where workgroup memory has no room for those of one.
const SCRATCH: u64 = 1 << 20;

const TABLES: &str = "longtail grouped tables";
const TALLY: &str = "longtail grouped tally";

/// A plan's passes.
#[derive(Debug)]
pub(crate) struct GroupedPasses {
    terms: GroupedTerms,
    tables: Tables,
    steps: Steps,
    tables_buffer: wgpu::Buffer,
    tally: wgpu::Buffer,
    fused: bool,
}

/// Plans a loss that has passed its check.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &GroupedLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    check_request(request)?;
    let terms = terms(spec);
    let tables = Tables::new(spec, request.rows)?;
    let extent = Extent::new(request)?.with_dense(u64::from(tables.segments)).with_labels(spec.labels.len());
    let rows = row_layout(kernels, request, extent.width(), terms, &tables)?;
    // Room for the nodes of a window's rows.
    let scratch = if terms.tree && rows.nodes == 0 { u64::from(tables.segments) } else { 0 };
    check_sizes(kernels, &tables, &terms, &extent, scratch)?;
    let sums = sums_workgroup(kernels);
    let keys = steps::Keys { request, terms, rows, straddle: extent.straddles(), sums };
    let saved_fields =
        keys.key(GroupedDriver::Gradient).fixed_fields() + SLOT_FIELDS * u64::from(tables.slots);
    let room = (kernels.max_binding() / 4).saturating_sub(tally_words(&tables)).min(SCRATCH);
    let most_rows = room.checked_div(scratch).map_or(0, |rows| rows.max(1));
    let needs = Needs {
        dense: terms.given,
        class_bytes: 0,
        row_fields: ROW_FIELDS,
        saved_fields,
        rows_in_a_loop: true,
        most_rows,
        ..Needs::default()
    };
    let cut = extent.cut(kernels, rows.choice, &needs)?;
    if cut.split {
        let row = extent.width() * extent.logits.bytes.max(extent.gradient.bytes);
        return Err(Error::Limit {
            what: "a row of a grouped loss (bytes in one binding)".into(),
            needed: row,
            allowed: kernels.max_binding(),
            cure: "request the device with a higher max_storage_buffer_binding_size",
        });
    }
    let many_rows = many_rows(&cut, extent.rows);
    let manner = Manner { many_rows, segments: tables.segments };
    let steps = Steps::new(kernels, &keys, &extent, manner)?;
    let kept = Kept {
        row_fields: ROW_FIELDS,
        saved_fields,
        class_columns: 0,
        spec: std::mem::size_of::<GroupedNumbers>() as u64,
        many_rows,
    };
    let widest = cut.windows.iter().map(|window| u64::from(window.rows)).max().unwrap_or(0);
    let tally_bytes = 4 * (tally_words(&tables) + scratch * widest);
    let memory = Memory::new(kernels, &cut, kept)?;
    let core = Core::new(kernels, request, rows.choice, extent, cut, memory)?;
    let buffer = |label, size| kernels.scoped(label, || Ok(storage(kernels, label, size)));
    let passes = GroupedPasses {
        terms,
        tables_buffer: buffer(TABLES, 4 * tables.words.len() as u64)?,
        tally: buffer(TALLY, tally_bytes)?,
        tables,
        steps,
        fused: request.mode == Mode::LossAndGrad,
    };
    Ok((core, Box::new(passes)))
}

/// What only losses of other families have.
fn check_request(request: &PlanRequest) -> Result<()> {
    let unexpected = |what| Err(Error::Unexpected { what, planned: "for a grouped loss" });
    if request.shard.is_some() {
        return unexpected("a shard of the classes");
    }
    if request.counts.is_some() {
        return unexpected("shared class counts");
    }
    if request.class_scale_gradient {
        return unexpected("a gradient of class scales");
    }
    Ok(())
}

fn tally_words(tables: &Tables) -> u64 {
    TALLY_FIELDS * (u64::from(tables.segments) + 1)
}

/// What is bound as a whole, and what loops go through.
fn check_sizes(
    kernels: &Kernels,
    tables: &Tables,
    terms: &GroupedTerms,
    extent: &Extent,
    scratch: u64,
) -> Result<()> {
    let labels = if terms.drawn { 4 * extent.rows } else { 0 };
    let tally = 4 * (tally_words(tables) + scratch);
    let bound = [
        (
            "a grouped loss's tables",
            4 * tables.words.len() as u64,
            "use fewer labels or segments, or fewer rows",
        ),
        ("a grouped loss's tally", tally, "use fewer segments"),
        ("the labels that others are drawn among", labels, "use fewer rows"),
    ];
    for (what, needed, cure) in bound {
        let allowed = kernels.max_binding();
        if needed > allowed {
            return Err(Error::Limit {
                what: format!("{what} (bytes in one binding)"),
                needed,
                allowed,
                cure,
            });
        }
    }
    match u64::from(tables.slots) > LONGEST_LOOP {
        false => Ok(()),
        true => Err(Error::Limit {
            what: "segments that one label may take part in".into(),
            needed: u64::from(tables.slots),
            allowed: LONGEST_LOOP,
            cure: "give the segments of a tree their parents, or use fewer segments",
        }),
    }
}

impl Passes for GroupedPasses {
    fn steps(&self) -> Vec<&Step> {
        self.steps.all()
    }

    fn wants(&self) -> Wants {
        Wants { gates: self.terms.given.then_some("the draws' source `Given`"), ..Wants::default() }
    }

    fn prepare(&self, recorder: &mut Recorder<'_>) {
        let steps = &self.steps;
        recorder.over_windows(&steps.prepare);
        recorder.over_windows(&steps.tally);
        recorder.once(&steps.draw);
    }

    fn rows(&self, recorder: &mut Recorder<'_>) {
        let steps = &self.steps;
        recorder.over_windows(&steps.rows);
        if self.fused {
            self.gradient(recorder);
        }
    }

    fn finish(&self, recorder: &mut Recorder<'_>) {
        if let Some(step) = &self.steps.loss_sums {
            recorder.over_rows(step);
        }
        recorder.once(&self.steps.finish);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        if !self.fused {
            self.gradient(recorder);
        }
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let refused = |what| {
            Err(Error::Unexpected { what, planned: "for the segments, labels and terms of its first spec" })
        };
        let Loss::Grouped(spec) = loss else { return refused("a loss of another family") };
        if terms(spec) != self.terms {
            return refused("a spec with other terms");
        }
        let tables = Tables::new(spec, core.request.rows)?;
        if !self.tables.fits(&tables) {
            return refused("a spec with other segments or labels");
        }
        let numbers = GroupedNumbers::new(spec, &tables, core.extent.rows, core.request.row_weights);
        core.memory.write_spec(&core.kernels, bytemuck::bytes_of(&numbers))?;
        core.kernels.scoped(TABLES, || {
            let words = bytemuck::cast_slice(&tables.words);
            core.kernels.queue.write_buffer(&self.tables_buffer, 0, words);
            Ok(())
        })?;
        self.tables = tables;
        Ok(())
    }

    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        bound: &'a Bound<'a>,
        name: &str,
        _window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        match name {
            "tables" => View::whole(&self.tables_buffer).binding(),
            "tally" => View::whole(&self.tally).binding(),
            "all_labels" if self.terms.drawn => bound.labels?.binding(),
            _ => None,
        }
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        vec![(TABLES, self.tables_buffer.size()), (TALLY, self.tally.size())]
    }

    fn manner(&self, core: &Core) -> String {
        let (workgroup, slots) = (core.choice.workgroup, self.tables.slots);
        format!("rows streamed, 1 per workgroup of {workgroup} threads, in at most {slots} segments")
    }
}

impl GroupedPasses {
    fn gradient(&self, recorder: &mut Recorder<'_>) {
        if let Some(step) = &self.steps.gradient {
            recorder.over_elements(step);
        }
        if let Some(step) = &self.steps.stitch {
            recorder.over_elements(step);
        }
    }
}
