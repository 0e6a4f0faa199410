//! A head prepared for a shape: what is allocated and compiled once.

use super::chunk::Chunk;
use super::key::{HeadKernel, HeadKey, HeadTerms};
use super::params::{HeadParams, narrow};
use super::request::{HeadRequest, Needs, terms};
use super::step::{STEP_BYTES, Step};
use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::{Matmul, MatmulParams, MatrixSpec, RowFactors, RowNorms, RowNormsRequest, Words};
use crate::gpu::plan::storage;
use crate::gpu::view::View;
use crate::head::{ClassScale, Head, RowNorm, Similarity, TargetMargin};
use crate::{Error, Result};

/// Bytes that a product or a pass over rows has on the device.
pub(super) const PRODUCT_BYTES: u64 = size_of::<MatmulParams>() as u64 + 16;

/// Where what is kept for rows and classes begins, in elements of its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Places {
    pub(super) row_factors: usize,
    pub(super) row_slopes: usize,
    pub(super) row_rests: usize,
    pub(super) row_end: usize,
    pub(super) class_factors: usize,
    pub(super) class_scaled: usize,
    pub(super) class_end: usize,
}

impl Places {
    fn new(head: &Head, request: &HeadRequest, needs: &Needs) -> Self {
        // Each region can be bound by itself: 256 bytes is the strictest alignment that a device may ask for.
        let region = |wanted: bool, count: usize| if wanted { count.next_multiple_of(64) } else { 0 };
        let of_rows = region(needs.feature_norms, request.rows.max(1).saturating_mul(head.parts));
        let slopes = region(head.margin != TargetMargin::None, request.rows.max(1));
        let of_classes = region(needs.weight_norms, request.classes.saturating_mul(head.parts));
        let scaled = if head.class_scale == ClassScale::None { 0 } else { of_classes };
        let row_slopes = of_rows.saturating_mul(2);
        let class_scaled = of_classes.saturating_mul(2);
        Self {
            row_factors: of_rows,
            row_slopes,
            row_rests: row_slopes.saturating_add(slopes),
            row_end: row_slopes.saturating_add(slopes.saturating_mul(2)),
            class_factors: of_classes,
            class_scaled,
            class_end: class_scaled.saturating_add(scaled),
        }
    }
}

/// What the chunks of a plan are made from.
pub(super) struct Parts<'a> {
    pub(super) kernels: &'a Kernels,
    pub(super) head: &'a Head,
    pub(super) request: &'a HeadRequest,
    pub(super) needs: Needs,
    pub(super) terms: HeadTerms,
    pub(super) params: HeadParams,
}

impl Parts<'_> {
    /// A kernel over rows of `spec` `[rows, dim]`, part by part where `by_part` says so.
    pub(super) fn words(&self, spec: &MatrixSpec, by_part: bool) -> Words {
        let dim = self.request.dim;
        let part = if by_part { dim / self.head.parts.max(1) } else { 1 };
        match part.is_multiple_of(4) {
            true => spec.words((self.request.rows, dim)),
            // A part that does not begin on a four is read element by element.
            false => MatrixSpec { stride: 1, ..*spec }.words((0, 1)),
        }
    }

    /// Threads for a workgroup that shares `elements`: on a processor as wide as its vectors.
    pub(super) fn threads(&self, elements: usize) -> u32 {
        threads(self.kernels, elements)
    }

    pub(super) fn key(&self, kernel: HeadKernel, workgroup: u32) -> HeadKey {
        HeadKey { shared: self.request.shared, ..HeadKey::new(kernel, self.terms, workgroup) }
    }

    pub(super) fn step(&self, key: HeadKey, params: HeadParams, groups: usize) -> Result<Step> {
        Step::new(self.kernels, key, params, groups as u64)
    }

    /// Whether the products of a norm's rows have factors.
    pub(super) fn factors(&self, norm: RowNorm, origin: usize) -> Option<RowFactors> {
        (norm.power != 0.0).then_some(RowFactors { parts: self.head.parts, origin })
    }
}

pub(super) fn threads(kernels: &Kernels, elements: usize) -> u32 {
    let wanted = match kernels.adapter.software {
        true => 8,
        false => u32::try_from(elements.div_ceil(4)).map_or(256, |count| count.clamp(32, 256)),
    };
    let wanted = wanted.next_power_of_two();
    let most = kernels.adapter.max_workgroup.min(kernels.adapter.max_workgroup_bytes / 16).max(1);
    wanted.min(1 << most.ilog2())
}

/// Threads that share the rows of a column: on GPUs several, since there are more threads than columns; everywhere as many
/// as leave no thread of a workgroup without a column.
pub(super) fn lanes(kernels: &Kernels, workgroup: u32, columns: usize) -> u32 {
    let wanted = if kernels.adapter.software { 1 } else { 8 };
    let narrow = workgroup / count(columns.max(1)).min(workgroup).next_power_of_two();
    narrow.max(wanted).clamp(1, workgroup)
}

/// A number as the kernels count.
pub(super) fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A head on the device, ready to be recorded any number of times.
///
/// ```text
/// begin                              norms of the weights
/// for each chunk:  forward           logits of the chunk's rows -> scratch
///                  ...               a loss, in place: the gradient by logits -> scratch
///                  backward          features' gradient of these rows, weights' gradient added up
/// finish                             weights through their normalisation, biases, scales
/// ```
/// All of it goes into one compute pass: nothing is submitted and nothing waited for. Chunks come in ascending order,
/// from 0; all forward passes may come before the first backward pass if the logits' gradient is then in the scratch buffer
/// again. The same bits come out on every run.
#[derive(Debug)]
pub struct HeadPlan {
    pub(super) kernels: Kernels,
    pub(super) head: Head,
    pub(super) request: HeadRequest,
    pub(super) needs: Needs,
    pub(super) places: Places,
    pub(super) row_state: Option<wgpu::Buffer>,
    pub(super) class_state: Option<wgpu::Buffer>,
    pub(super) columns: Option<wgpu::Buffer>,
    pub(super) moved: Option<wgpu::Buffer>,
    pub(super) weight_norms: Option<RowNorms>,
    pub(super) scaled_factors: Option<Step>,
    pub(super) chunks: Vec<Chunk>,
    pub(super) close_weights: Option<Step>,
    pub(super) close_classes: Option<Step>,
}

impl Kernels {
    /// Checks, compiles and allocates a head: see [`HeadPlan`].
    ///
    /// # Errors
    /// Those of [`Head::check`] and of [`matmul`](Self::matmul); [`Error::Parameter`] for chunks of no row,
    /// [`Error::Combination`] for a scale's gradient without the weights'.
    pub fn head(&self, head: &Head, request: &HeadRequest) -> Result<HeadPlan> {
        let request = request.for_head(head)?;
        let needs = Needs::new(head, &request);
        let places = Places::new(head, &request, &needs);
        let HeadRequest { rows, classes, dim, .. } = request;
        request.features.place("the features", (rows, dim))?;
        request.weights.place("the weights", (classes, dim))?;
        let params = HeadParams {
            k: count(dim),
            a_part: count(dim / head.parts),
            a_parts: count(head.parts),
            c_stride: count(dim),
            classes: count(classes),
            row_factors: count(places.row_factors),
            row_slopes: count(places.row_slopes),
            row_rests: count(places.row_rests),
            class_factors: count(places.class_factors),
            class_scaled: count(places.class_scaled),
            ignored: request.ignore_index.unwrap_or_default(),
            has_ignored: u32::from(request.ignore_index.is_some()),
            alpha: 1.0,
            ..HeadParams::default()
        }
        .with_head(head);
        let terms = terms(head, &needs, &request);
        let parts = Parts { kernels: self, head, request: &request, needs, terms, params };

        let state = |what: &str, elements: usize| state(self, what, elements);
        let row_state = state("what a head keeps of the rows", places.row_end)?;
        let class_state = state("what a head keeps of the classes", places.class_end)?;
        let sums = if needs.columns || needs.close_weights { classes.saturating_mul(5) } else { 0 };
        let columns = state("a head's sums over rows", sums)?;
        let moved = if head.centred { request.chunk.saturating_mul(dim) } else { 0 };
        let moved = state("a chunk's centred features", moved)?;

        let mut norms = RowNormsRequest::new(classes, dim, head.weights);
        (norms.x, norms.factors) = (request.weights, RowFactors { parts: head.parts, origin: 0 });
        let weight_norms = needs.weight_norms.then(|| self.row_norms(&norms)).transpose()?;
        let scaled_factors = (head.class_scale != ClassScale::None).then(|| {
            let threads = parts.threads(4 * classes);
            let key = parts.key(HeadKernel::ScaledFactors, threads);
            let groups = classes.saturating_mul(head.parts).div_ceil(threads as usize);
            parts.step(key, params, groups)
        });
        let close_weights = needs.close_weights.then(|| {
            let mut key = parts.key(HeadKernel::CloseWeights, parts.threads(dim / head.parts));
            key.a = parts.words(&request.weights, true);
            key.c = parts.words(&MatrixSpec::default(), true);
            let place = request.weights.place("the weights", (classes, dim))?;
            let params = HeadParams {
                m: count(classes),
                n: count(dim),
                a_stride: place.stride,
                a_origin: place.origin,
                ..params.with_norm(head.weights)
            };
            parts.step(key, params, classes)
        });
        let close_classes = needs.close_classes.then(|| {
            let key = parts.key(HeadKernel::CloseClasses, parts.threads(4 * classes));
            parts.step(key, params, 1)
        });
        let ranges = request.chunks();
        let chunks = ranges.into_iter().map(|range| Chunk::new(&parts, range)).collect::<Result<_>>()?;
        Ok(HeadPlan {
            kernels: self.clone(),
            head: head.clone(),
            needs,
            places,
            row_state,
            class_state,
            columns,
            moved,
            weight_norms,
            scaled_factors: scaled_factors.transpose()?,
            chunks,
            close_weights: close_weights.transpose()?,
            close_classes: close_classes.transpose()?,
            request,
        })
    }
}

/// A buffer of f32 that a plan keeps; none for no element.
pub(super) fn state(kernels: &Kernels, what: &str, elements: usize) -> Result<Option<wgpu::Buffer>> {
    if elements == 0 {
        return Ok(None);
    }
    let needed = (elements as u64).saturating_mul(4);
    let allowed = kernels.max_binding().min(kernels.device.limits().max_buffer_size);
    if needed > allowed {
        let cure = "use fewer rows at a time";
        return Err(Error::Limit { what: format!("{what} (bytes)"), needed, allowed, cure });
    }
    kernels.scoped(what, || Ok(Some(storage(kernels, "longtail head", needed))))
}

impl HeadPlan {
    /// The rows of each chunk, in order; one empty chunk for no rows.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + '_ {
        self.chunks.iter().map(|chunk| chunk.rows.clone())
    }

    /// Bytes of the scratch buffer: f32 logits `[chunk, K]`.
    pub fn scratch_bytes(&self) -> u64 {
        4 * self.request.chunk as u64 * self.request.classes as u64
    }

    /// Bytes that the plan has on the device, without the kernels: parameters of each step, for each row at most
    /// `2 parts + 2` numbers, for each class at most `3 parts + 5`, and a chunk's features where they are centred.
    pub fn bytes(&self) -> u64 {
        let states = [&self.row_state, &self.class_state, &self.columns, &self.moved];
        let steps = [&self.scaled_factors, &self.close_weights, &self.close_classes];
        states.into_iter().flatten().map(wgpu::Buffer::size).sum::<u64>()
            + STEP_BYTES * steps.into_iter().flatten().count() as u64
            + PRODUCT_BYTES * u64::from(self.weight_norms.is_some())
            + self.chunks.iter().map(Chunk::bytes).sum::<u64>()
    }

    /// The head as it was planned.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The request, without what this head has no use for.
    pub fn request(&self) -> &HeadRequest {
        &self.request
    }

    /// The keys of this crate's own kernels in the plan; products and norms come on top.
    pub fn keys(&self) -> Vec<HeadKey> {
        let steps = [&self.scaled_factors, &self.close_weights, &self.close_classes];
        let own = steps.into_iter().flatten();
        own.chain(self.chunks.iter().flat_map(Chunk::steps)).map(Step::key).collect()
    }

    /// Sets the head's scale and the size of its margin, for passes submitted from now on: schedules, and a scale that is
    /// learned. Compiles and allocates nothing.
    ///
    /// # Errors
    /// Those of [`Head::check`]; [`Error::Unexpected`] for a head that differs in anything else; [`Error::Device`].
    pub fn update(&mut self, head: &Head) -> Result<()> {
        let needs = Needs::new(head, &self.request);
        let (new, old) = (terms(head, &needs, &self.request), terms(&self.head, &self.needs, &self.request));
        let same = new == old
            && needs == self.needs
            && (head.features, head.weights, head.parts)
                == (self.head.features, self.head.weights, self.head.parts);
        if !same {
            return Err(Error::Unexpected {
                what: "a head of another structure",
                planned: "for one whose scale and margin alone change",
            });
        }
        head.check(self.request.classes, self.request.dim)?;
        self.head = head.clone();
        let steps = [&mut self.scaled_factors, &mut self.close_weights, &mut self.close_classes]
            .into_iter()
            .flatten();
        for step in steps.chain(self.chunks.iter_mut().flat_map(Chunk::steps_mut)) {
            step.update(|params| params.with_head(head))?;
        }
        for chunk in &mut self.chunks {
            chunk.update(head, needs.logits)?;
        }
        Ok(())
    }

    pub(super) fn region<'a>(buffer: Option<&'a wgpu::Buffer>, from: usize, to: usize) -> Option<View<'a>> {
        buffer.map(|buffer| View::new(buffer, 4 * from as u64, 4 * (to - from) as u64))
    }

    pub(super) fn row_sums(&self) -> Option<View<'_>> {
        Self::region(self.row_state.as_ref(), 0, self.places.row_factors)
    }

    pub(super) fn row_factors(&self) -> Option<View<'_>> {
        Self::region(self.row_state.as_ref(), self.places.row_factors, self.places.row_slopes)
    }

    pub(super) fn class_sums(&self) -> Option<View<'_>> {
        Self::region(self.class_state.as_ref(), 0, self.places.class_factors)
    }

    pub(super) fn class_factors(&self) -> Option<View<'_>> {
        Self::region(self.class_state.as_ref(), self.places.class_factors, self.places.class_scaled)
    }

    /// The factors of the weights in the features' gradient.
    pub(super) fn scaled_class_factors(&self) -> Option<View<'_>> {
        match self.head.class_scale {
            ClassScale::None => self.class_factors().filter(|_| self.head.weights.power != 0.0),
            _ => Self::region(self.class_state.as_ref(), self.places.class_scaled, self.places.class_end),
        }
    }
}

/// What multiplies the products.
pub(super) fn forward_alpha(head: &Head, has_logits: bool) -> f32 {
    if has_logits { 1.0 } else { narrow(head.scale) }
}

/// What multiplies the features' gradient.
pub(super) fn backward_alpha(head: &Head) -> f32 {
    let twice = if head.similarity == Similarity::NegativeSquaredDistance { 2.0 } else { 1.0 };
    narrow(head.scale * twice)
}

/// Sets a product's factor.
pub(super) fn set_alpha(product: &mut Matmul, alpha: f32) -> Result<()> {
    product.update(alpha, false)
}
