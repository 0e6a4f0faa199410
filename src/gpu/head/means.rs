//! Mean features on the device: of the training so far, and of each class.

use std::sync::Arc;

use super::key::{HeadKernel, HeadKey, HeadTerms};
use super::params::{HeadParams, narrow};
use super::plan::{count, lanes, state, threads};
use super::step::Step;
use super::views::{Used, check, optional};
use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::{MatrixSpec, RowNorms, RowNormsRequest};
use crate::gpu::uniforms::Uniforms;
use crate::gpu::view::View;
use crate::head::RowNorm;
use crate::{Error, Result};

/// A running mean of features: [`RunningMean`](crate::head::RunningMean) on the device.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RunningMeanRequest {
    /// N, at most 32,768. 0 changes nothing.
    pub rows: usize,
    /// D, at least 1.
    pub dim: usize,
    /// Where the features are. Default f32, contiguous.
    pub features: MatrixSpec,
    /// What the mean so far is multiplied by, in `[0, 1]`.
    pub momentum: f64,
}

impl RunningMeanRequest {
    /// Over `[rows, dim]` features, f32 and contiguous.
    pub fn new(rows: usize, dim: usize, momentum: f64) -> Self {
        Self { rows, dim, features: MatrixSpec::default(), momentum }
    }
}

/// A running mean, ready to be recorded any number of times: `mean <- momentum mean + mean over rows of x`.
#[derive(Debug)]
pub struct RunningMean {
    kernels: Kernels,
    request: RunningMeanRequest,
    uniforms: Arc<Uniforms>,
    step: Step,
}

fn at_least_1(name: &'static str, value: usize) -> Result<()> {
    match value {
        0 => Err(Error::Parameter { name, value: 0.0, expected: "at least 1" }),
        _ => Ok(()),
    }
}

/// A thread goes through the rows, or its share of them, one by one; no loop may have more than 32,768 iterations.
fn few_rows(rows: usize, lanes: u32) -> Result<()> {
    let allowed = 32_768 * lanes as usize;
    match rows > allowed {
        true => Err(Error::Limit {
            what: "rows of features at a time".into(),
            needed: rows as u64,
            allowed: allowed as u64,
            cure: "add the features in several batches",
        }),
        false => Ok(()),
    }
}

fn check_momentum(momentum: f64) -> Result<()> {
    match (0.0..=1.0).contains(&momentum) {
        true => Ok(()),
        false => {
            Err(Error::Parameter { name: "the mean's momentum", value: momentum, expected: "in [0, 1]" })
        }
    }
}

/// One element at a time, wherever a row begins.
fn one_by_one(spec: &MatrixSpec) -> crate::gpu::matmul::Words {
    MatrixSpec { stride: 1, ..*spec }.words((0, 1))
}

impl Kernels {
    /// Checks and compiles a running mean.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Length`], [`Error::Limit`]; [`Error::Shader`], [`Error::OutOfMemory`],
    /// [`Error::Device`].
    pub fn running_mean(&self, request: &RunningMeanRequest) -> Result<RunningMean> {
        let RunningMeanRequest { rows, dim, features, momentum } = *request;
        at_least_1("the feature dimension", dim)?;
        check_momentum(momentum)?;
        let place = features.place("the features", (rows, dim))?;
        let workgroup = threads(self, usize::MAX);
        let lanes = lanes(self, workgroup, dim);
        few_rows(rows, lanes)?;
        let mut key = HeadKey::new(HeadKernel::RunningMean, HeadTerms::default(), workgroup);
        (key.a, key.lanes) = (one_by_one(&features), lanes);
        let params = HeadParams {
            m: count(rows),
            k: count(dim),
            a_stride: place.stride,
            a_origin: place.origin,
            momentum: narrow(momentum),
            ..HeadParams::default()
        };
        let groups = if rows == 0 { 0 } else { dim.div_ceil((workgroup / lanes) as usize) };
        let uniforms = Uniforms::new(self)?;
        let step = Step::new(&uniforms, key, params, groups as u64)?;
        uniforms.upload()?;
        Ok(RunningMean { kernels: self.clone(), request: *request, uniforms, step })
    }

    /// Checks, compiles and allocates means of classes.
    ///
    /// # Errors
    /// Those of [`running_mean`](Self::running_mean).
    pub fn class_means(&self, request: &ClassMeansRequest) -> Result<ClassMeans> {
        let ClassMeansRequest { rows, classes, dim, features, norm, .. } = *request;
        at_least_1("the feature dimension", dim)?;
        at_least_1("the number of classes", classes)?;
        few_rows(rows, 1)?;
        norm.check(["the features' power", "the features' eps", "the features' offset"])?;
        let place = features.place("the features", (rows, dim))?;
        MatrixSpec::default().place("the classes' means", (classes, dim))?;
        let half = if norm.power == 0.0 { 0 } else { rows.max(1).next_multiple_of(64) };
        let read = if request.centred { MatrixSpec::default() } else { features };
        let read_place = read.place("the features", (rows, dim))?;
        let params = HeadParams {
            m: count(rows),
            k: count(dim),
            a_part: count(dim),
            a_parts: 1,
            classes: count(classes),
            row_factors: count(half),
            ignored: request.ignore_index.unwrap_or_default(),
            has_ignored: u32::from(request.ignore_index.is_some()),
            ..HeadParams::default()
        };
        let terms =
            HeadTerms { centred: request.centred, normalised: norm.power != 0.0, ..HeadTerms::default() };
        let uniforms = Uniforms::new(self)?;
        let step = |kernel, spec: &MatrixSpec, params, groups: usize, elements| {
            let mut key = HeadKey::new(kernel, terms, threads(self, elements));
            (key.a, key.shared) = (one_by_one(spec), request.shared);
            Step::new(&uniforms, key, params, groups as u64)
        };
        let moved = request.centred.then(|| {
            let params = HeadParams { a_stride: place.stride, a_origin: place.origin, ..params };
            step(HeadKernel::MovedRows, &features, params, rows, 4 * dim)
        });
        let norms = (norm.power != 0.0).then(|| {
            let mut request = RowNormsRequest::new(rows, dim, norm);
            request.x = read;
            RowNorms::new(&uniforms, &request)
        });
        let sums_params = HeadParams { a_stride: read_place.stride, a_origin: read_place.origin, ..params };
        let elements = classes.saturating_mul(dim);
        let means_threads = threads(self, elements);
        let means = HeadKey::new(HeadKernel::ClassMeans, terms, means_threads);
        let means = HeadKey { shared: request.shared, ..means };
        let groups = elements.div_ceil(means_threads as usize) as u64;
        let sums_threads = threads(self, 4 * dim) as usize;
        let sums_groups = if rows == 0 { 0 } else { classes.saturating_mul(dim.div_ceil(sums_threads)) };
        let moved_count = if request.centred { rows.saturating_mul(dim) } else { 0 };
        let plan = ClassMeans {
            kernels: self.clone(),
            request: *request,
            half,
            state: state(self, "the rows' norms", half.saturating_mul(2))?,
            centred: state(self, "the centred features", moved_count)?,
            moved: moved.transpose()?,
            norms: norms.transpose()?,
            sums: step(HeadKernel::ClassSums, &read, sums_params, sums_groups, 4 * dim)?,
            means: Step::new(&uniforms, means, params, groups)?,
            uniforms,
        };
        plan.uniforms.upload()?;
        Ok(plan)
    }
}

impl RunningMean {
    /// Records the pass over `features`; `mean`, `[D]`, f32, starts as zeros of the caller's.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Alignment`], [`Error::Overlap`], [`Error::BufferUsage`] for views;
    /// [`Error::Device`], [`Error::DeviceLost`].
    pub fn encode(&self, pass: &mut wgpu::ComputePass<'_>, features: View<'_>, mean: View<'_>) -> Result<()> {
        let shape = (self.request.rows, self.request.dim);
        let bytes = self.request.features.bytes(shape);
        let used = [
            Used::whole("the features", features, bytes, false),
            Used::whole("the mean", mean, 4 * shape.1 as u64, true),
        ];
        check(&self.kernels, false, &used)?;
        self.step.record(pass, |name| match name {
            "a" => Some(features),
            "mean" => Some(mean),
            _ => None,
        })
    }

    /// Sets the momentum for passes submitted from now on.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Device`].
    pub fn update(&mut self, momentum: f64) -> Result<()> {
        check_momentum(momentum)?;
        self.request.momentum = momentum;
        self.step.update(|params| HeadParams { momentum: narrow(momentum), ..params });
        self.uniforms.upload()
    }

    /// Bytes on the device, without the kernel.
    pub fn bytes(&self) -> u64 {
        self.uniforms.bytes()
    }
}

/// Means of each class's features: [`class_means`](crate::head::class_means) on the device, batch by batch.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ClassMeansRequest {
    /// N of a batch, at most 32,768. 0 changes nothing.
    pub rows: usize,
    /// K, at least 1.
    pub classes: usize,
    /// D, at least 1.
    pub dim: usize,
    /// Where the features are. Default f32, contiguous.
    pub features: MatrixSpec,
    /// How a feature is normalised, in one part, before it is added. Default not.
    pub norm: RowNorm,
    /// Whether a vector `[D]` is subtracted from the features first. Default no.
    pub centred: bool,
    /// The label of rows that are left out. Default none. Labels that are no class are left out as well.
    pub ignore_index: Option<i32>,
    /// Whether what is read may share a buffer with what is written, apart from it. Default no.
    pub shared: bool,
}

impl ClassMeansRequest {
    /// Of plain features `[rows, dim]`, f32 and contiguous.
    pub fn new(rows: usize, classes: usize, dim: usize) -> Self {
        Self {
            rows,
            classes,
            dim,
            features: MatrixSpec::default(),
            norm: RowNorm::none(),
            centred: false,
            ignore_index: None,
            shared: false,
        }
    }
}

/// Means of classes, ready to be recorded any number of times: [`add`](Self::add) for each batch, then
/// [`finish`](Self::finish).
#[derive(Debug)]
pub struct ClassMeans {
    kernels: Kernels,
    request: ClassMeansRequest,
    half: usize,
    state: Option<wgpu::Buffer>,
    centred: Option<wgpu::Buffer>,
    moved: Option<Step>,
    norms: Option<RowNorms>,
    sums: Step,
    means: Step,
    uniforms: Arc<Uniforms>,
}

impl ClassMeans {
    /// Records the sums of a batch's features, added to `sums` `[K, D]`, f32, and `counts` `[K]`, u32, which the caller
    /// has cleared before the first batch. `labels`: `[N]`, i32. Time O(N K + N D).
    ///
    /// # Errors
    /// Those of [`RunningMean::encode`]; [`Error::Missing`], [`Error::Unexpected`] for the centre.
    pub fn add(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        features: View<'_>,
        labels: View<'_>,
        centre: Option<View<'_>>,
        sums: View<'_>,
        counts: View<'_>,
    ) -> Result<()> {
        let ClassMeansRequest { rows, classes, dim, .. } = self.request;
        let bytes = self.request.features.bytes((rows, dim));
        let words = |count: usize| 4 * count as u64;
        let mut used = vec![
            Used::whole("the features", features, bytes, false),
            Used::whole("labels", labels, words(rows), false),
            Used::whole("the classes' sums", sums, words(classes * dim), true),
            Used::whole("the classes' counts", counts, words(classes), true),
        ];
        optional(&mut used, "the centre", centre, self.request.centred, words(dim), false)?;
        check(&self.kernels, self.request.shared, &used)?;
        let mut read = features;
        if let (Some(step), Some(moved)) = (&self.moved, &self.centred) {
            step.record(pass, |name| match name {
                "a" => Some(features),
                "moved" => Some(View::whole(moved)),
                "centre" => centre,
                _ => None,
            })?;
            read = View::whole(moved);
        }
        if let (Some(norms), Some(state)) = (&self.norms, &self.state) {
            let half = 4 * self.half as u64;
            norms.encode(pass, read, View::new(state, 0, half), View::new(state, half, half))?;
        }
        self.sums.record(pass, |name| match name {
            "a" => Some(read),
            "labels" => Some(labels),
            "row_state" => self.state.as_ref().map(View::whole),
            "sums" => Some(sums),
            "counts" => Some(counts),
            _ => None,
        })
    }

    /// Records the means `[K, D]`, f32, of what has been added: the weights of a nearest-class-mean head. A class without
    /// a feature gets 0; `counts` tells.
    ///
    /// # Errors
    /// Those of [`RunningMean::encode`].
    pub fn finish(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        sums: View<'_>,
        counts: View<'_>,
        means: View<'_>,
    ) -> Result<()> {
        let ClassMeansRequest { classes, dim, .. } = self.request;
        let bytes = 4 * classes as u64 * dim as u64;
        let used = [
            Used::whole("the classes' sums", sums, bytes, false),
            Used::whole("the classes' counts", counts, 4 * classes as u64, false),
            Used::whole("the classes' means", means, bytes, true),
        ];
        check(&self.kernels, self.request.shared, &used)?;
        self.means.record(pass, |name| match name {
            "sums" => Some(sums),
            "counts" => Some(counts),
            "means" => Some(means),
            _ => None,
        })
    }

    /// Bytes on the device, without the kernels.
    pub fn bytes(&self) -> u64 {
        let states = [&self.state, &self.centred];
        states.into_iter().flatten().map(wgpu::Buffer::size).sum::<u64>() + self.uniforms.bytes()
    }
}
