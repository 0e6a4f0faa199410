//! The caller's views against what the plan was made for.

use super::Plan;
use super::computed::Operands;
use super::windows::Matrix;
use crate::batch::TargetKind;
use crate::gpu::shader::Storage;
use crate::gpu::view::{Inputs, MatrixView, Outputs, TargetViews, View};
use crate::{Error, Result};
use wgpu::BufferUsages;

/// The views of one pass over the logits, resolved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bound<'a> {
    pub labels: Option<View<'a>>,
    pub second_labels: Option<View<'a>>,
    pub lambda: Option<View<'a>>,
    pub row_weights: Option<View<'a>>,
    pub feature_norms: Option<View<'a>>,
    pub logits: Option<MatrixView<'a>>,
    pub dense: Option<MatrixView<'a>>,
    pub teacher: Option<MatrixView<'a>>,
    pub gates: Option<MatrixView<'a>>,
    pub gradient: Option<MatrixView<'a>>,
    pub class_scale: Option<View<'a>>,
    pub upstream: Option<View<'a>>,
    pub statistics: Option<View<'a>>,
    /// What kernels bind that compute their logits.
    pub operands: Option<&'a dyn Operands>,
}

/// What a plan is for whose kernels compute their logits.
const COMPUTED: &str = "for logits that its head computes";

impl<'a> Bound<'a> {
    /// Name and view of everything that passes only read.
    fn read(&self) -> [(&'static str, Option<MatrixView<'a>>); 11] {
        let one = |view: Option<View<'a>>| view.map(MatrixView::Whole);
        [
            ("logits", self.logits),
            ("dense targets", self.dense),
            ("gates", self.gates),
            ("teacher logits", self.teacher),
            ("the upstream gradient", one(self.upstream)),
            ("labels", one(self.labels)),
            ("second labels", one(self.second_labels)),
            ("lambda", one(self.lambda)),
            ("row weights", one(self.row_weights)),
            ("feature norms", one(self.feature_norms)),
            ("the statistics", one(self.statistics)),
        ]
    }
}

impl Plan {
    fn check_matrix(&self, what: &'static str, view: &MatrixView<'_>, matrix: Matrix) -> Result<()> {
        self.check_blocks(what, view, matrix, self.core.extent.width(), &self.core.extent.blocks)
    }

    /// Dense targets and gates lie in the logits' blocks, unless those are of a scratch buffer.
    fn check_dense(&self, what: &'static str, view: &MatrixView<'_>) -> Result<()> {
        let extent = &self.core.extent;
        let whole = [extent.rows];
        let blocks = if extent.scratch { &whole[..] } else { &extent.blocks[..] };
        let columns = extent.dense_columns.unwrap_or(extent.width());
        self.check_blocks(what, view, extent.dense, columns, blocks)
    }

    fn check_blocks(
        &self,
        what: &'static str,
        view: &MatrixView<'_>,
        matrix: Matrix,
        columns: u64,
        blocks: &[u64],
    ) -> Result<()> {
        let views = view.views();
        if views.len() != blocks.len() {
            return Err(Error::Length { what, expected: blocks.len() as u64, found: views.len() as u64 });
        }
        for (view, rows) in views.iter().zip(blocks) {
            let bytes = matrix.size(*rows, columns).unwrap_or(u64::MAX);
            view.check(what, bytes, self.core.alignment(), BufferUsages::STORAGE)?;
        }
        Ok(())
    }

    pub(crate) fn check_inputs<'a>(&self, inputs: &Inputs<'a>) -> Result<Bound<'a>> {
        let alignment = self.core.alignment();
        let per_row = self.core.per_row();
        let check = |what, view: View<'a>| {
            view.check(what, per_row, alignment, BufferUsages::STORAGE).map(|()| Some(view))
        };
        let wanted = |what, needed_by, given: bool, wanted: bool, planned| match (given, wanted) {
            (false, true) => Err(Error::Missing { what, needed_by }),
            (true, false) => Err(Error::Unexpected { what, planned }),
            _ => Ok(()),
        };
        let optional = |what, needed_by, view: Option<View<'a>>, want: bool, planned| {
            wanted(what, needed_by, view.is_some(), want, planned)?;
            view.map_or(Ok(None), |view| check(what, view))
        };
        match (self.core.extent.computed, inputs.logits) {
            (None, logits) => self.check_matrix("logits", &logits, self.core.extent.logits)?,
            (Some(_), MatrixView::Blocks([])) => {}
            (Some(_), _) => return Err(Error::Unexpected { what: "logits", planned: COMPUTED }),
        }
        let (gates, wants) = (inputs.gates, self.passes.wants());
        let needed_by = wants.gates.unwrap_or_default();
        wanted("gates", needed_by, gates.is_some(), wants.gates.is_some(), "without given gates")?;
        if let Some(gates) = &gates {
            self.check_dense("gates", gates)?;
        }
        let teacher = inputs.teacher;
        let (needed_by, columns) = wants.teacher.unwrap_or_default();
        let planned = "for a loss without a teacher";
        wanted("teacher logits", needed_by, teacher.is_some(), wants.teacher.is_some(), planned)?;
        if let Some(teacher) = &teacher {
            let bytes = self.core.request.teacher_element().bytes();
            let matrix = Matrix { stride: columns, bytes };
            let blocks = &self.core.extent.blocks;
            self.check_blocks("teacher logits", teacher, matrix, columns, blocks)?;
        }
        let mut bound = Bound {
            logits: Some(inputs.logits),
            teacher,
            row_weights: optional(
                "row weights",
                "the plan",
                inputs.row_weights,
                self.core.request.row_weights,
                "without row weights",
            )?,
            feature_norms: optional(
                "feature norms",
                wants.feature_norms.unwrap_or_default(),
                inputs.feature_norms,
                wants.feature_norms.is_some(),
                "without influence balancing",
            )?,
            gates,
            ..Bound::default()
        };
        match (inputs.targets, self.core.request.targets) {
            (TargetViews::Hard(labels), TargetKind::Hard) => bound.labels = check("labels", labels)?,
            (TargetViews::Mixed { first, second, lambda }, TargetKind::Mixed) => {
                bound.labels = check("first labels", first)?;
                bound.second_labels = check("second labels", second)?;
                bound.lambda = check("lambda", lambda)?;
            }
            (TargetViews::Soft(targets), TargetKind::Soft) => {
                self.check_dense("soft targets", &targets)?;
                bound.dense = Some(targets);
            }
            (TargetViews::MultiHot(targets), TargetKind::MultiHot) => {
                self.check_dense("multi-hot targets", &targets)?;
                bound.dense = Some(targets);
            }
            _ => {
                return Err(Error::Unexpected {
                    what: "another kind of targets",
                    planned: "for its own kind",
                });
            }
        }
        Ok(bound)
    }

    pub(crate) fn check_upstream<'a>(&self, bound: &mut Bound<'a>, upstream: Option<View<'a>>) -> Result<()> {
        if let Some(view) = upstream {
            if self.passes.wants().whole_batch && view.size != 4 {
                return Err(Error::Unexpected {
                    what: "an upstream gradient per row",
                    planned: "for a loss of the whole batch",
                });
            }
            let bytes = if view.size == 4 { 4 } else { self.core.per_row() };
            view.check("the upstream gradient", bytes, self.core.alignment(), BufferUsages::STORAGE)?;
            bound.upstream = Some(view);
        }
        Ok(())
    }

    pub(crate) fn check_outputs(&self, outputs: &Outputs<'_>) -> Result<()> {
        for (what, view, bytes) in outputs.list(self.core.per_row()) {
            if let Some(view) = view {
                view.check(what, bytes, 4, BufferUsages::COPY_DST)?;
            }
        }
        if self.passes.wants().no_statistics {
            let planned = "for a loss that has no such numbers";
            for (what, view) in [
                ("a view for log-sum-exp", outputs.log_sum_exp),
                ("a view for target probabilities", outputs.target_probability),
            ] {
                if view.is_some() {
                    return Err(Error::Unexpected { what, planned });
                }
            }
        }
        match (outputs.argmax, self.core.request.argmax) {
            (Some(_), false) => Err(Error::Unexpected { what: "argmax", planned: "without argmax" }),
            _ => Ok(()),
        }
    }

    /// Whether logits come from a matrix of the caller's.
    pub(crate) fn expect_logits(&self) -> Result<()> {
        match self.core.extent.computed {
            None => Ok(()),
            Some(_) => Err(Error::Unexpected { what: "a pass of its own", planned: COMPUTED }),
        }
    }

    /// A scratch buffer for logits, against everything that the pass reads besides.
    pub(crate) fn check_scratch(&self, bound: &Bound<'_>, scratch: View<'_>) -> Result<()> {
        let scratch = MatrixView::Whole(scratch);
        let cure = "give the scratch buffer bytes of its own";
        for (second, read) in bound.read().into_iter().skip(1) {
            let Some(read) = read else { continue };
            if scratch.overlaps(&read) {
                return Err(Error::Overlap { first: "the scratch buffer", second, cure });
            }
            if self.core.request.storage == Storage::Separate && scratch.shares_buffer(&read) {
                return Err(Error::Overlap { first: "the scratch buffer", second, cure });
            }
        }
        Ok(())
    }

    /// Where the gradient goes, and whether the plan's storage allows it.
    pub(crate) fn check_gradient<'a>(
        &self,
        bound: &mut Bound<'a>,
        gradient: Option<MatrixView<'a>>,
    ) -> Result<()> {
        if self.core.request.storage == Storage::InPlace {
            return match (gradient, bound.logits) {
                (None, Some(logits)) => self.check_written("the gradient", &logits, bound),
                (None, None) => Ok(()),
                (Some(_), _) => Err(Error::Unexpected { what: "a gradient view", planned: "in place" }),
            };
        }
        let Some(view) = gradient else {
            return Err(Error::Missing { what: "the gradient", needed_by: "a plan that is not in place" });
        };
        self.check_matrix("the gradient", &view, self.core.extent.gradient)?;
        self.check_written("the gradient", &view, bound)?;
        bound.gradient = Some(view);
        Ok(())
    }

    pub(crate) fn check_class_scale<'a>(&self, bound: &mut Bound<'a>, view: Option<View<'a>>) -> Result<()> {
        match (view, self.core.request.class_scale_gradient) {
            (Some(view), true) => {
                let bytes = 4 * self.core.extent.width();
                view.check(
                    "the class scales' gradient",
                    bytes,
                    self.core.alignment(),
                    BufferUsages::STORAGE,
                )?;
                self.check_written("the class scales' gradient", &MatrixView::Whole(view), bound)?;
                bound.class_scale = Some(view);
                Ok(())
            }
            (None, true) => Err(Error::Missing { what: "the class scales' gradient", needed_by: "the plan" }),
            (Some(_), false) => Err(Error::Unexpected {
                what: "a view for the class scales' gradient",
                planned: "without that gradient",
            }),
            (None, false) => Ok(()),
        }
    }

    /// A matrix that kernels over the logits write, against every other view of the pass.
    fn check_written(&self, what: &'static str, view: &MatrixView<'_>, bound: &Bound<'_>) -> Result<()> {
        let in_place = self.core.request.storage == Storage::InPlace;
        let own = |name: &str, other: &MatrixView<'_>| in_place && name == "logits" && other == view;
        // What the same kernel reads cannot even share the buffer, unless the plan is made for that.
        for (other, read) in bound.read().into_iter().take(4) {
            let Some(read) = read.filter(|read| !own(other, read)) else { continue };
            if !view.overlaps(&read)
                && view.shares_buffer(&read)
                && self.core.request.storage == Storage::Separate
            {
                let cure = "views in one buffer need a plan with `Storage::Shared`";
                return Err(Error::Overlap { first: what, second: other, cure });
            }
        }
        let cure = "give them bytes of their own, or plan in place (`Storage::InPlace`)";
        if view.overlaps_itself() {
            return Err(Error::Overlap { first: what, second: "another of its row blocks", cure });
        }
        for (other, read) in bound.read().into_iter().chain([("the gradient", bound.gradient)]) {
            if read.is_some_and(|read| !own(other, &read) && view.overlaps(&read)) {
                return Err(Error::Overlap { first: what, second: other, cure });
            }
        }
        Ok(())
    }
}

impl<'a> Outputs<'a> {
    /// Name, view and bytes of each, in the order in which they are kept.
    pub(crate) fn list(&self, per_row: u64) -> [(&'static str, Option<View<'a>>, u64); 5] {
        [
            ("the loss", self.loss, 4),
            ("row losses", self.row_loss, per_row),
            ("log-sum-exp", self.log_sum_exp, per_row),
            ("target probabilities", self.target_probability, per_row),
            ("argmax", self.argmax, per_row),
        ]
    }
}

/// Outputs share no bytes with each other, the gradients or what is read.
pub(crate) fn check_apart(bound: &Bound<'_>, outputs: &Outputs<'_>) -> Result<()> {
    let cure = "give each output bytes of its own";
    let list = outputs.list(0);
    let written = [
        ("the gradient", bound.gradient),
        ("the class scales' gradient", bound.class_scale.map(MatrixView::Whole)),
    ];
    for (index, (first, view, _)) in list.iter().enumerate() {
        let Some(view) = view.map(MatrixView::Whole) else { continue };
        let rest = list.iter().skip(index + 1);
        let rest = rest.map(|&(name, view, _)| (name, view.map(MatrixView::Whole)));
        for (second, other) in rest.chain(bound.read()).chain(written) {
            if other.is_some_and(|other| view.overlaps(&other)) {
                return Err(Error::Overlap { first, second, cure });
            }
        }
    }
    Ok(())
}
