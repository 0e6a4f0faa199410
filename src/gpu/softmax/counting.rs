//! Seesaw's cumulative class counts, and the kernels that keep them.

use super::steps::{placed, step};
use crate::gpu::counts::DeviceCounts;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Extent, Recorder, Step, Window};
use crate::gpu::shader::{Driver, InnerTerms};
use crate::gpu::view::View;
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result, TargetKind};

/// The counts of a plan with seesaw: shared ones, or its own from the spec.
#[derive(Debug)]
pub(crate) struct Counting {
    counts: DeviceCounts,
    /// Adds the labels of a batch.
    count_labels: Step,
    count_batch: bool,
    /// Writes the counts' powers to the class table.
    refresh: Option<Step>,
}

impl Counting {
    /// `None` for a spec without seesaw.
    ///
    /// # Errors
    /// [`Error::Length`] for shared counts of another K, those of [`DeviceCounts::new`] and of [`Kernels::pipeline`].
    pub(crate) fn new(
        kernels: &Kernels,
        spec: &SoftmaxLoss,
        terms: InnerTerms,
        targets: TargetKind,
        extent: &Extent,
        shared: Option<&DeviceCounts>,
    ) -> Result<Option<Self>> {
        let Some(counts) = counts_for(kernels, spec, extent, shared)? else { return Ok(None) };
        let step = |driver, terms| step(kernels, placed(driver, terms, targets));
        let refresh = || step(Driver::RefreshCounts, terms);
        Ok(Some(Self {
            counts,
            count_labels: step(Driver::CountLabels, InnerTerms::default())?,
            count_batch: false,
            refresh: terms.mitigation.then(refresh).transpose()?,
        }))
    }

    /// The kernels that run, in their order.
    pub(crate) fn steps(&self) -> Vec<&Step> {
        let labels = self.count_batch.then_some(&self.count_labels);
        labels.into_iter().chain(&self.refresh).collect()
    }

    pub(crate) fn update(&mut self, spec: &SoftmaxLoss) {
        self.count_batch = spec.seesaw.as_ref().is_some_and(|seesaw| seesaw.count_batch);
    }

    /// Before rows are prepared.
    pub(crate) fn record(&self, recorder: &mut Recorder<'_>) {
        if self.count_batch {
            recorder.over_windows(&self.count_labels);
        }
        if let Some(step) = &self.refresh {
            recorder.over_classes(step);
        }
    }

    /// The window's counts.
    pub(crate) fn binding(&self, window: &Window) -> Option<wgpu::BufferBinding<'_>> {
        window.classes_of(View::whole(&self.counts.buffer), 8)
    }

    pub(crate) fn counts(&self) -> &DeviceCounts {
        &self.counts
    }

    pub(crate) fn buffer(&self) -> (&'static str, u64) {
        (DeviceCounts::LABEL, self.counts.bytes())
    }
}

fn counts_for(
    kernels: &Kernels,
    spec: &SoftmaxLoss,
    extent: &Extent,
    shared: Option<&DeviceCounts>,
) -> Result<Option<DeviceCounts>> {
    let Some(seesaw) = &spec.seesaw else { return Ok(None) };
    let width = extent.width();
    match shared {
        Some(shared) if shared.classes() as u64 != width => Err(Error::Length {
            what: "shared class counts",
            expected: width,
            found: shared.classes() as u64,
        }),
        Some(shared) => Ok(Some(shared.clone())),
        None => {
            let start = usize::try_from(extent.classes.start).unwrap_or(usize::MAX);
            let end = usize::try_from(extent.classes.end).unwrap_or(usize::MAX);
            let counts = seesaw.counts.get(start..end).unwrap_or(&[]);
            // A shard without classes counts nothing, and has a place for it.
            DeviceCounts::new(kernels, if counts.is_empty() { &[0] } else { counts }).map(Some)
        }
    }
}
