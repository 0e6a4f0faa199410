//! The kernels of a plan, in the order in which they run.

use crate::gpu::choice::{RowChoice, RowRequest, SixteenRows};
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Extent, Launch, ROW_WORKGROUP, SMALL_WORKGROUP, Step, sums_workgroup};
use crate::gpu::request::{Mode, PlanRequest};
use crate::gpu::shader::{Cell, Driver, InnerTerms, KernelKey, Look, Storage};
use crate::{Result, TargetKind};

/// A kernel, with what its workgroups lie over.
pub(super) fn step(kernels: &Kernels, key: KernelKey) -> Result<Step> {
    let lanes = key.lanes;
    let launch = match key.driver {
        Driver::Prepare | Driver::CountLabels | Driver::Adopt | Driver::Stitch | Driver::LabelLogits => {
            Launch::RowThreads
        }
        Driver::RefreshCounts | Driver::ClassScaleGradient => Launch::ClassThreads,
        Driver::ShareSums | Driver::LossSums => Launch::Sums,
        Driver::Denominator | Driver::Finish => Launch::Once,
        Driver::RowStream | Driver::RowChip => Launch::RowGroups { lanes },
        // As many as leave parts of columns, which the plan knows.
        Driver::RowsAndColumns => Launch::Groups(1),
        Driver::Partial | Driver::Backward => Launch::Pieces { lanes },
        Driver::Threshold | Driver::CloseSlots | Driver::Gather => Launch::Rows,
    };
    let step = Step::new(kernels, key, launch)?;
    Ok(Step { of_classes: key.driver == Driver::ClassScaleGradient, ..step })
}

/// A kernel over rows' fields or classes that looks at the class table: of the terms, what decides where its columns are.
pub(crate) fn placed(driver: Driver, terms: InnerTerms, targets: TargetKind) -> KernelKey {
    KernelKey {
        terms: InnerTerms {
            class_scale: terms.class_scale,
            bias: terms.bias,
            mitigation: terms.mitigation,
            dense: terms.dense,
            class_weights: terms.class_weights,
            ..InnerTerms::default()
        },
        ..KernelKey::new(driver, targets, SMALL_WORKGROUP)
    }
}

/// The kernels of a plan.
#[derive(Debug)]
pub(super) struct Steps {
    pub prepare: Step,
    pub share_sums: Option<Step>,
    pub denominator: Step,
    pub rows: RowSteps,
    pub loss_sums: Option<Step>,
    pub finish: Step,
    pub class_scale: Option<Step>,
    pub backward: Option<Step>,
    pub stitch: Option<Step>,
}

/// How rows get from logits to their results.
#[derive(Debug)]
pub(super) enum RowSteps {
    /// A workgroup has the whole of its rows.
    Whole(Step),
    /// The same of sixteen rows at a time, beside a regulariser's columns.
    AndColumns(Step),
    /// Rows are shared by workgroups, windows or shards.
    Split(Box<SplitSteps>),
}

/// The kernels of rows that are split.
#[derive(Debug)]
pub(super) struct SplitSteps {
    /// Absent for soft targets.
    pub label_logits: Option<Step>,
    /// Seesaw with a floor: the first look.
    pub raw: Option<Step>,
    /// Seesaw's compensation.
    pub threshold: Option<Step>,
    pub partial: Step,
    pub close: Step,
    pub shard: Option<ShardSteps>,
}

/// The kernels between shards.
#[derive(Debug)]
pub(super) struct ShardSteps {
    /// Two rounds of statistics: seesaw's labels come first.
    pub gather_labels: Option<Step>,
    pub gather: Step,
    /// Absent for soft targets.
    pub adopt: Option<Step>,
}

/// What decides the kernels beside the rows' request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub split: bool,
    pub many_rows: bool,
    /// Whether a regulariser over columns is beside the loss: its gradient is added by the kernel that writes it.
    pub regularised: bool,
    /// Rows and its columns in one pass.
    pub sixteen: Option<SixteenRows>,
}

impl Steps {
    /// Compiles the kernels of a plan.
    ///
    /// # Errors
    /// Those of [`Kernels::pipeline`].
    pub(super) fn new(
        kernels: &Kernels,
        rows: &RowRequest,
        choice: RowChoice,
        request: &PlanRequest,
        extent: &Extent,
        manner: Manner,
    ) -> Result<Self> {
        let step = |key: KernelKey| step(kernels, key);
        let optional = |wanted: bool, key: KernelKey| wanted.then(|| step(key)).transpose();
        // Kernels that are not over rows: only what their text depends on.
        let small = |driver| KernelKey::new(driver, rows.targets, sums_workgroup(kernels));
        let of_saved = |driver| KernelKey { gradient: rows.key(driver, choice).gradient, ..small(driver) };
        let apart = request.class_scale_gradient || choice.apart || manner.split || manner.regularised;
        let fused = request.mode == Mode::LossAndGrad && !apart;
        let row_steps = match (manner.split, manner.sixteen) {
            (false, Some(SixteenRows { workgroup, parts })) => {
                let of_sixteen = RowChoice { lanes: 4, chip: 0, workgroup, ..choice };
                let key = KernelKey {
                    coefficients: true,
                    storage: Storage::Separate,
                    ..rows.key(Driver::RowsAndColumns, of_sixteen)
                };
                RowSteps::AndColumns(Step { launch: Launch::Groups(parts), ..step(key)? })
            }
            (false, None) => RowSteps::Whole(step(rows.row_key(choice, fused, !fused))?),
            (true, _) => RowSteps::Split(Box::new(SplitSteps::new(kernels, rows, choice, request)?)),
        };
        let backward = rows.aligned(KernelKey {
            argmax: false,
            chip: 0,
            regularised: manner.regularised,
            ..rows.key(Driver::Backward, choice)
        });
        let class_scale = KernelKey {
            argmax: false,
            chip: 0,
            lanes: 1,
            workgroup: ROW_WORKGROUP,
            ..rows.key(Driver::ClassScaleGradient, choice)
        };
        let gradient = rows.key(Driver::Stitch, choice).gradient;
        let in_place = request.storage == Storage::InPlace;
        let stitch = KernelKey {
            storage: if in_place { Storage::InPlace } else { Storage::Separate },
            logits: if in_place { gradient } else { Cell::F32 },
            gradient,
            ..KernelKey::new(Driver::Stitch, crate::TargetKind::Hard, SMALL_WORKGROUP)
        };
        Ok(Self {
            prepare: step(placed(Driver::Prepare, rows.terms, rows.targets))?,
            share_sums: optional(manner.many_rows, small(Driver::ShareSums))?,
            denominator: step(KernelKey { of_sums: manner.many_rows, ..small(Driver::Denominator) })?,
            rows: row_steps,
            loss_sums: optional(manner.many_rows, of_saved(Driver::LossSums))?,
            finish: step(KernelKey { of_sums: manner.many_rows, ..of_saved(Driver::Finish) })?,
            class_scale: optional(request.class_scale_gradient, class_scale)?,
            backward: optional(!fused && request.computed.is_none(), backward)?,
            stitch: optional(extent.has_edges(gradient.packed()), stitch)?,
        })
    }

    /// Every kernel, in the order in which a plan runs them.
    pub(super) fn all(&self) -> Vec<&Step> {
        let mut all: Vec<Option<&Step>> =
            vec![Some(&self.prepare), self.share_sums.as_ref(), Some(&self.denominator)];
        match &self.rows {
            RowSteps::Whole(step) | RowSteps::AndColumns(step) => all.push(Some(step)),
            RowSteps::Split(split) => {
                all.extend([split.label_logits.as_ref(), split.raw.as_ref()]);
                if let Some(shard) = &split.shard {
                    all.extend([shard.gather_labels.as_ref(), shard.adopt.as_ref()]);
                }
                all.extend([split.threshold.as_ref(), Some(&split.partial)]);
                all.push(split.shard.as_ref().map(|shard| &shard.gather));
                all.push(Some(&split.close));
            }
        }
        all.extend([
            self.loss_sums.as_ref(),
            Some(&self.finish),
            self.class_scale.as_ref(),
            self.backward.as_ref(),
            self.stitch.as_ref(),
        ]);
        all.into_iter().flatten().collect()
    }
}

impl SplitSteps {
    fn new(kernels: &Kernels, rows: &RowRequest, choice: RowChoice, request: &PlanRequest) -> Result<Self> {
        // Those that look at logits compute them where there is no matrix of them.
        let step = |key: KernelKey| match request.computed.filter(|_| key.driver.over_logits()) {
            None => step(kernels, key),
            Some(computed) => {
                let lanes = computed.key.tile.group_m();
                let launch = match key.driver {
                    Driver::LabelLogits => Launch::RowThreads,
                    _ => Launch::Pieces { lanes },
                };
                Step::new(kernels, computed.key.with_loss(key), launch)
            }
        };
        let optional = |wanted: bool, key: KernelKey| wanted.then(|| step(key)).transpose();
        let sharded = request.shard.is_some();
        let terms = rows.terms;
        let soft = rows.targets == crate::TargetKind::Soft;
        let seesaw = terms.mitigation || terms.compensation;
        let look = |raw: bool| if raw { Look::Raw } else { Look::Final };
        // Storage decides nothing: these kernels do not write the gradient.
        let walk =
            KernelKey { chip: 0, storage: Storage::Separate, sharded, ..rows.key(Driver::Partial, choice) };
        let thread_per_row = KernelKey {
            lanes: 1,
            workgroup: ROW_WORKGROUP,
            sharded: false,
            driver: Driver::LabelLogits,
            argmax: false,
            ..walk
        };
        let group_per_row = |driver| KernelKey {
            driver,
            lanes: 1,
            workgroup: ROW_WORKGROUP,
            logits: Cell::F32,
            terms: InnerTerms { gate_given: false, ..terms },
            ..walk
        };
        let gather = |raw| KernelKey { look: look(raw), sharded: false, ..group_per_row(Driver::Gather) };
        let shard = match sharded {
            false => None,
            true => Some(ShardSteps {
                gather_labels: optional(seesaw, gather(terms.two_step()))?,
                gather: step(gather(false))?,
                adopt: optional(
                    !soft,
                    KernelKey {
                        lanes: 1,
                        workgroup: SMALL_WORKGROUP,
                        terms: InnerTerms {
                            compensation: terms.compensation,
                            floor: terms.floor,
                            dense: terms.dense,
                            ..InnerTerms::default()
                        },
                        logits: Cell::F32,
                        driver: Driver::Adopt,
                        ..walk
                    },
                )?,
            }),
        };
        Ok(Self {
            label_logits: optional(!soft, thread_per_row)?,
            raw: optional(terms.two_step(), KernelKey { look: Look::Raw, ..walk })?,
            threshold: optional(
                terms.compensation,
                KernelKey { look: look(terms.two_step()), ..group_per_row(Driver::Threshold) },
            )?,
            partial: step(walk)?,
            close: step(group_per_row(Driver::CloseSlots))?,
            shard,
        })
    }

    /// Rounds of statistics that shards exchange.
    pub(super) fn rounds(&self) -> usize {
        match &self.shard {
            None => 0,
            Some(shard) if shard.gather_labels.is_some() => 2,
            Some(_) => 1,
        }
    }
}
