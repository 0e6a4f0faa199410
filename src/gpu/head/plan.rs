//! A head prepared for a shape: what is allocated and compiled once.

use std::sync::Arc;

use super::chunk::Chunk;
use super::key::{HeadKernel, HeadKey, HeadTerms};
use super::params::{HeadParams, narrow};
use super::range::{ClassRange, ranges};
use super::request::{HeadRequest, Needs, terms};
use super::step::Step;
use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::{MatrixSpec, RowFactors, Words, dimension, rows_own};
use crate::gpu::plan::storage;
use crate::gpu::uniforms::Uniforms;
use crate::gpu::view::View;
use crate::head::{ClassScale, Head, RowNorm, Similarity, TargetMargin};
use crate::{Error, Result};

/// Where what is kept for the rows begins, in elements of its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Places {
    pub(super) factors: usize,
    pub(super) slopes: usize,
    pub(super) rests: usize,
    pub(super) offsets: usize,
    pub(super) sums: usize,
    pub(super) end: usize,
}

impl Places {
    fn new(head: &Head, request: &HeadRequest, needs: &Needs) -> Self {
        // Each region can be bound by itself: 256 bytes is the strictest alignment that a device may ask for.
        let region = |wanted: bool, count: usize| if wanted { count.next_multiple_of(64) } else { 0 };
        let rows = request.rows.max(1);
        let factors = region(needs.feature_norms, rows.saturating_mul(head.parts));
        let of_margin = region(head.margin != TargetMargin::None, rows);
        let slopes = factors.saturating_mul(2);
        let rests = slopes.saturating_add(of_margin);
        let offsets = rests.saturating_add(of_margin);
        let sums = offsets.saturating_add(region(needs.row_offsets, rows));
        let end = sums.saturating_add(region(needs.row_sums, rows));
        Self { factors, slopes, rests, offsets, sums, end }
    }
}

/// What the chunks of a plan are made from.
pub(super) struct Parts<'a> {
    pub(super) kernels: &'a Kernels,
    pub(super) uniforms: &'a Arc<Uniforms>,
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

    /// A kernel that closes so many rows.
    pub(super) fn close(&self, mut key: HeadKey, params: HeadParams, rows: usize) -> Result<Step> {
        let own = rows_own(self.kernels.adapter, self.request.dim);
        key.lanes = if own { 1 } else { key.workgroup };
        self.step(key, params, rows.div_ceil((key.workgroup / key.lanes) as usize))
    }

    pub(super) fn step(&self, key: HeadKey, params: HeadParams, groups: usize) -> Result<Step> {
        Step::new(self.uniforms, key, params, groups as u64)
    }

    /// What multiplies the weights in products: what normalises them, and their classes' scales.
    pub(super) fn scaled_factors(&self) -> Option<RowFactors> {
        match self.head.class_scale {
            ClassScale::None => self.factors(self.head.weights, 0),
            _ => Some(RowFactors { parts: self.head.parts, origin: 0 }),
        }
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
///
/// Features, weights, their gradients and what is kept of the classes may be larger than the device's bindings: a chunk
/// binds its own rows, and goes through the classes in ranges ([`class_ranges`](Self::class_ranges)), each with its part
/// of the scratch buffer.
#[derive(Debug)]
pub struct HeadPlan {
    pub(super) kernels: Kernels,
    pub(super) head: Head,
    pub(super) request: HeadRequest,
    pub(super) needs: Needs,
    pub(super) places: Places,
    pub(super) uniforms: Arc<Uniforms>,
    pub(super) row_state: Option<wgpu::Buffer>,
    pub(super) moved: Option<wgpu::Buffer>,
    pub(super) ranges: Vec<ClassRange>,
    pub(super) chunks: Vec<Chunk>,
}

impl Kernels {
    /// Checks, compiles and allocates a head: see [`HeadPlan`].
    ///
    /// # Errors
    /// Those of [`Head::check`] and of [`matmul`](Self::matmul); [`Error::Parameter`] for chunks of no row,
    /// [`Error::Combination`] for a scale's gradient without the weights', [`Error::Limit`] where a chunk's rows of
    /// features or of the scratch buffer do not fit a binding.
    pub fn head(&self, head: &Head, request: &HeadRequest) -> Result<HeadPlan> {
        self.head_over(head, request, None)
    }

    /// The same over given ranges of classes.
    pub(super) fn head_over(
        &self,
        head: &Head,
        request: &HeadRequest,
        given: Option<Vec<std::ops::Range<usize>>>,
    ) -> Result<HeadPlan> {
        let request = request.for_head(head)?;
        let needs = Needs::new(head, &request);
        let places = Places::new(head, &request, &needs);
        let HeadRequest { rows, classes, dim, .. } = request;
        dimension("the rows", rows)?;
        dimension("the feature dimension", dim)?;
        dimension("the head's classes", request.first_class.saturating_add(classes))?;
        let params = HeadParams {
            k: count(dim),
            a_part: count(dim / head.parts),
            a_parts: count(head.parts),
            c_stride: count(dim),
            row_factors: count(places.factors),
            row_slopes: count(places.slopes),
            row_rests: count(places.rests),
            row_offsets: count(places.offsets),
            row_sums: count(places.sums),
            ignored: request.ignore_index.unwrap_or_default(),
            has_ignored: u32::from(request.ignore_index.is_some()),
            alpha: 1.0,
            ..HeadParams::default()
        }
        .with_head(head);
        let terms = terms(head, &needs, &request);
        let uniforms = Uniforms::new(self)?;
        let parts =
            Parts { kernels: self, uniforms: &uniforms, head, request: &request, needs, terms, params };

        let row_state = state(self, "what a head keeps of the rows", places.end)?;
        let moved = if head.centred { request.chunk.saturating_mul(dim) } else { 0 };
        let moved = state(self, "a chunk's centred features", moved)?;
        let ranges = given.map_or_else(|| ranges(self, head, &request), Ok)?.into_iter();
        let ranges = ranges.map(|classes| ClassRange::new(&parts, classes)).collect::<Result<Vec<_>>>()?;
        let chunks = request.chunks().into_iter();
        let chunks = chunks.map(|rows| Chunk::new(&parts, &ranges, rows)).collect::<Result<_>>()?;
        uniforms.upload()?;
        Ok(HeadPlan {
            kernels: self.clone(),
            head: head.clone(),
            needs,
            places,
            uniforms,
            row_state,
            moved,
            ranges,
            chunks,
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
        if !self.request.logits {
            return 0;
        }
        4 * self.request.chunk as u64 * self.request.classes as u64
    }

    /// The classes of each range, in order: as many as fit the device's bindings, and at most 131,072. A range begins at a
    /// multiple of 64.
    pub fn class_ranges(&self) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + '_ {
        self.ranges.iter().map(|range| range.classes.clone())
    }

    /// Bytes that the plan has on the device, without the kernels: 256 for the parameters of each step (some for each
    /// chunk with each range of classes), for each row at most `2 parts + 4` numbers, for each class at most
    /// `3 parts + 5`, and a chunk's features where they are centred.
    pub fn bytes(&self) -> u64 {
        [&self.row_state, &self.moved].into_iter().flatten().map(wgpu::Buffer::size).sum::<u64>()
            + self.uniforms.bytes()
            + self.ranges.iter().map(ClassRange::bytes).sum::<u64>()
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
        let own = self.ranges.iter().flat_map(ClassRange::steps);
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
        let of_ranges = self.ranges.iter_mut().flat_map(ClassRange::steps_mut);
        for step in of_ranges.chain(self.chunks.iter_mut().flat_map(Chunk::steps_mut)) {
            step.update(|params| params.with_head(head));
        }
        for tile in self.chunks.iter_mut().flat_map(|chunk| &mut chunk.tiles) {
            tile.update(head, &needs);
        }
        self.uniforms.upload()
    }

    fn region(&self, from: usize, to: usize) -> Option<View<'_>> {
        self.row_state.as_ref().map(|buffer| View::new(buffer, 4 * from as u64, 4 * (to - from) as u64))
    }

    pub(super) fn row_squares(&self) -> Option<View<'_>> {
        self.region(0, self.places.factors)
    }

    pub(super) fn row_factors(&self) -> Option<View<'_>> {
        self.region(self.places.factors, self.places.slopes)
    }

    pub(super) fn row_offsets(&self) -> Option<View<'_>> {
        self.region(self.places.offsets, self.places.sums).filter(|_| self.needs.row_offsets)
    }

    pub(super) fn row_sums(&self) -> Option<View<'_>> {
        self.region(self.places.sums, self.places.end).filter(|_| self.needs.row_sums)
    }
}

/// What multiplies the products.
pub(super) fn forward_alpha(head: &Head, needs: &Needs) -> f32 {
    if needs.logits { 1.0 } else { backward_alpha(head) }
}

/// What multiplies the features' gradient.
pub(super) fn backward_alpha(head: &Head) -> f32 {
    let twice = if head.similarity == Similarity::NegativeSquaredDistance { 2.0 } else { 1.0 };
    narrow(head.scale * twice)
}

/// What multiplies the weights' gradient, as far as nothing comes after the product.
pub(super) fn weights_alpha(head: &Head, needs: &Needs) -> f32 {
    if needs.close_weights { 1.0 } else { narrow(head.scale) }
}
