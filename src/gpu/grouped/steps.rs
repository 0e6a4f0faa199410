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
    /// Losses, in a fused plan gradients too.
    pub rows: Step,
    pub gradient: Option<Step>,
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
    /// Threads of what sums over rows.
    pub sums: u32,
}

/// What decides the kernels beside the rows' layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub many_rows: bool,
    pub segments: u32,
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
            GroupedDriver::LossSums | GroupedDriver::Finish => {
                GroupedKey { workgroup: self.sums, ..of_saved(bare) }
            }
            GroupedDriver::Statistics => {
                self.of_tree(GroupedKey { argmax: self.request.argmax, ..of_rows(terms) })
            }
            GroupedDriver::Gradient | GroupedDriver::Rows => {
                let fused = driver == GroupedDriver::Rows;
                let of_gradient = GroupedTerms { tree: terms.tree, given: terms.given && terms.tree, ..bare };
                let key = GroupedKey {
                    storage: self.request.storage,
                    argmax: fused && self.request.argmax,
                    upstream: !fused,
                    ..of_rows(if fused { terms } else { of_gradient })
                };
                let follows = key.matrices().pairs_follow_gradient() && !terms.tree;
                self.of_tree(GroupedKey { straddle: self.straddle && logits.packed() && follows, ..key })
            }
        }
    }

    fn of_tree(&self, key: GroupedKey) -> GroupedKey {
        GroupedKey { nodes: if self.terms.tree { self.rows.nodes } else { 0 }, ..key }
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
        let fused = keys.request.mode == Mode::LossAndGrad;
        let rows = if fused { GroupedDriver::Rows } else { GroupedDriver::Statistics };
        let gradient = keys.key(GroupedDriver::Gradient);
        let in_place = keys.request.storage == Storage::InPlace;
        let stitch = KernelKey {
            storage: if in_place { Storage::InPlace } else { Storage::Separate },
            logits: if in_place { gradient.gradient } else { Cell::F32 },
            gradient: gradient.gradient,
            ..KernelKey::new(Driver::Stitch, TargetKind::Hard, SMALL_WORKGROUP)
        };
        let finish = GroupedKey { of_sums: manner.many_rows, ..keys.key(GroupedDriver::Finish) };
        Ok(Self {
            prepare: step(GroupedDriver::Prepare, Launch::RowThreads)?,
            tally: step(GroupedDriver::Tally, Launch::Groups(segments + 1))?,
            draw: step(GroupedDriver::Draw, Launch::Groups(segments + 1))?,
            rows: step(rows, Launch::Rows)?,
            gradient: (!fused).then(|| Step::new(kernels, gradient, Launch::Rows)).transpose()?,
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
        let begin = [Some(&self.prepare), Some(&self.tally), Some(&self.draw)];
        let rows = [Some(&self.rows), self.gradient.as_ref(), self.stitch.as_ref()];
        let end = [self.loss_sums.as_ref(), Some(&self.finish)];
        begin.into_iter().chain(rows).chain(end).flatten().collect()
    }
}
