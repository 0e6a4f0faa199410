//! The kernels of a plan, in the order in which they run.

use super::key::{GroupedDriver, GroupedKey, GroupedTerms};
use super::layout::RowLayout;
use crate::Result;
use crate::batch::TargetKind;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Extent, Launch, SMALL_WORKGROUP, Step};
use crate::gpu::request::{Mode, PlanRequest};
use crate::gpu::shader::{Cell, Driver, KernelKey, Storage};

/// The kernels of a plan.
#[derive(Debug)]
pub(super) struct Steps {
    pub prepare: Step,
    pub tally: Step,
    pub draw: Step,
    pub gates: Option<Step>,
    pub statistics: Step,
    pub wide_sums: Option<Step>,
    pub gradient: Step,
    pub stitch: Option<Step>,
    pub loss_sums: Option<Step>,
    pub finish: Step,
}

/// What the keys of a plan are made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub request: &'a PlanRequest,
    pub terms: GroupedTerms,
    pub rows: RowLayout,
    pub straddle: bool,
}

/// What decides the kernels beside the rows' layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub many_rows: bool,
    pub segments: u32,
    pub wide_columns: u32,
}

impl Keys<'_> {
    /// A kernel's key, with nothing in it that its text does not depend on.
    pub(super) fn key(&self, driver: GroupedDriver) -> GroupedKey {
        let native = self.rows.choice.native_f16;
        let logits = Cell::new(self.request.logits, native);
        let gradient = match self.request.storage {
            Storage::InPlace => logits,
            _ => Cell::new(self.request.gradient, native),
        };
        let terms = self.terms;
        let small = |terms| GroupedKey::new(driver, terms, SMALL_WORKGROUP);
        // Only the places of fields depend on the rest.
        let of_saved = |terms| GroupedKey { gradient, ..small(terms) };
        let of_rows = |terms| GroupedKey {
            logits,
            gradient,
            ..GroupedKey::new(driver, terms, self.rows.choice.workgroup)
        };
        let bare = GroupedTerms::default();
        match driver {
            GroupedDriver::Prepare => small(bare),
            GroupedDriver::Tally => {
                small(GroupedTerms { tree: false, given: terms.given && !terms.tree, ..terms })
            }
            GroupedDriver::Draw => {
                small(GroupedTerms { tree: false, given: terms.given && !terms.tree, ..terms })
            }
            GroupedDriver::Gates => of_saved(GroupedTerms { given: terms.given, tree: true, ..bare }),
            GroupedDriver::LossSums | GroupedDriver::Finish => of_saved(bare),
            GroupedDriver::Statistics => GroupedKey { argmax: self.request.argmax, ..of_rows(terms) },
            GroupedDriver::WideSums => of_rows(GroupedTerms { tree: true, ..bare }),
            GroupedDriver::Gradient => {
                let key = GroupedKey {
                    storage: self.request.storage,
                    held: self.rows.held,
                    upstream: self.request.mode == Mode::ForwardBackward,
                    ..of_rows(GroupedTerms { tree: terms.tree, ..bare })
                };
                let straddle = self.straddle && logits.packed() && key.matrices().pairs_follow_gradient();
                GroupedKey { straddle, ..key }
            }
        }
    }
}

impl Steps {
    /// Compiles the kernels of a plan.
    ///
    /// # Errors
    /// Those of [`Kernels::pipeline`].
    pub(super) fn new(kernels: &Kernels, keys: &Keys<'_>, extent: &Extent, manner: Manner) -> Result<Self> {
        let segments = if keys.terms.per_segment() { manner.segments } else { 0 };
        let step = |driver, launch| Step::new(kernels, keys.key(driver), launch);
        let optional = |wanted: bool, driver, launch| wanted.then(|| step(driver, launch)).transpose();
        let gradient = keys.key(GroupedDriver::Gradient);
        let in_place = keys.request.storage == Storage::InPlace;
        let stitch = KernelKey {
            storage: if in_place { Storage::InPlace } else { Storage::Separate },
            logits: if in_place { gradient.gradient } else { Cell::F32 },
            gradient: gradient.gradient,
            ..KernelKey::new(Driver::Stitch, TargetKind::Hard, SMALL_WORKGROUP)
        };
        let finish = GroupedKey { of_sums: manner.many_rows, ..keys.key(GroupedDriver::Finish) };
        let wide = manner.wide_columns;
        Ok(Self {
            prepare: step(GroupedDriver::Prepare, Launch::RowThreads)?,
            tally: step(GroupedDriver::Tally, Launch::Groups(segments + 1))?,
            draw: step(GroupedDriver::Draw, Launch::Groups(segments + 1))?,
            gates: optional(keys.terms.tree, GroupedDriver::Gates, Launch::RowThreads)?,
            statistics: step(GroupedDriver::Statistics, Launch::Rows)?,
            wide_sums: optional(wide > 0, GroupedDriver::WideSums, Launch::RowsBy(wide))?,
            gradient: Step::new(kernels, gradient, Launch::Rows)?,
            stitch: extent
                .has_edges(gradient.gradient.packed())
                .then(|| Step::new(kernels, stitch, Launch::RowThreads))
                .transpose()?,
            loss_sums: optional(manner.many_rows, GroupedDriver::LossSums, Launch::Sums)?,
            finish: Step::new(kernels, finish, Launch::Once)?,
        })
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<&Step> {
        let begin = [Some(&self.prepare), Some(&self.tally), Some(&self.draw), self.gates.as_ref()];
        let rows =
            [Some(&self.statistics), self.wide_sums.as_ref(), Some(&self.gradient), self.stitch.as_ref()];
        let end = [self.loss_sums.as_ref(), Some(&self.finish)];
        begin.into_iter().chain(rows).chain(end).flatten().collect()
    }
}
