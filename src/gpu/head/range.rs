//! The classes in ranges, each a small head of its own whose every array can be bound.

use std::ops::Range;

use super::key::HeadKernel;
use super::params::HeadParams;
use super::plan::{Parts, count, state};
use super::request::HeadRequest;
use super::step::Step;
use super::window::Window;
use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::{MatrixSpec, RowFactors, RowNorms, RowNormsRequest};
use crate::gpu::view::View;
use crate::head::{ClassScale, Head};
use crate::{Error, Result};

/// Ranges begin at multiples of this: there arrays over the classes may be bound on every device.
const STEP: usize = 64;

/// The most classes of a range, and four times the most rows of a chunk: products go through them by fours, other loops one
/// by one, and no loop may have more than 32,768 iterations.
pub(super) const MOST: usize = 131_072;

/// The classes of a range, at most.
///
/// # Errors
/// [`Error::Limit`] where not even a few classes fit a binding.
pub(super) fn most_classes(kernels: &Kernels, head: &Head, request: &HeadRequest) -> Result<usize> {
    let HeadRequest { classes, dim, weights, .. } = *request;
    let stride = if weights.stride == 0 { dim } else { weights.stride } as u64;
    let gradient = if request.weight_gradient { 4 * dim as u64 } else { 0 };
    // Bytes of a class: weights, their gradient, what is kept.
    let bytes =
        stride.saturating_mul(weights.elem.bytes()).max(gradient).max(12 * head.parts as u64 + 4).max(16);
    // What a binding may have before its first class, and what rounding adds.
    let allowed = kernels.max_binding().saturating_sub(1024);
    let fit = usize::try_from(allowed / bytes).unwrap_or(usize::MAX).min(MOST);
    let whole = if fit < classes { fit / STEP * STEP } else { classes };
    if whole == 0 {
        return Err(Error::Limit {
            what: format!("bytes in the binding of {STEP} classes"),
            needed: bytes.saturating_mul(STEP as u64).saturating_add(1024),
            allowed: kernels.max_binding(),
            cure: "request the device with a higher max_storage_buffer_binding_size",
        });
    }
    Ok(whole)
}

/// The classes of each range, in order: as few ranges as there can be, all of about one length.
pub(super) fn ranges(kernels: &Kernels, head: &Head, request: &HeadRequest) -> Result<Vec<Range<usize>>> {
    let classes = request.classes;
    let whole = most_classes(kernels, head, request)?;
    let even = classes.div_ceil(classes.div_ceil(whole));
    let even = if even < classes { even.next_multiple_of(STEP) } else { classes };
    Ok((0..classes).step_by(even).map(|start| start..(start + even).min(classes)).collect())
}

/// Where what is kept for the classes begins, in elements of its buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Places {
    factors: usize,
    scaled: usize,
    offsets: usize,
    end: usize,
}

/// What is recorded once for a range: before the first chunk and after the last.
#[derive(Debug)]
pub(super) struct ClassRange {
    pub(super) classes: Range<usize>,
    pub(super) weights: Window,
    pub(super) gradient: Window,
    pub(super) params: HeadParams,
    places: Places,
    pub(super) state: Option<wgpu::Buffer>,
    pub(super) columns: Option<wgpu::Buffer>,
    pub(super) norms: Option<RowNorms>,
    pub(super) scaled_factors: Option<Step>,
    pub(super) offsets: Option<Step>,
    pub(super) close_weights: Option<Step>,
    pub(super) close_classes: Option<Step>,
}

impl ClassRange {
    pub(super) fn new(parts: &Parts<'_>, classes: Range<usize>) -> Result<Self> {
        let Parts { kernels, head, request, needs, .. } = *parts;
        let (dim, len) = (request.dim, classes.len());
        let weights = Window::new(kernels, "the weights", &request.weights, classes.clone(), dim)?;
        let no_gradient = MatrixSpec::default();
        let gradient = Window::new(kernels, "the weights' gradient", &no_gradient, classes.clone(), dim);
        let gradient = if request.weight_gradient { gradient? } else { weights };

        // Each region can be bound by itself: 256 bytes is the strictest alignment that a device may ask for.
        let region = |wanted: bool, parts: usize| match wanted {
            true => len.saturating_mul(parts).next_multiple_of(64),
            false => 0,
        };
        let scaled = head.class_scale != ClassScale::None && request.logits;
        let factors = region(needs.weight_norms, head.parts);
        let of_scales = factors.saturating_mul(2);
        let offsets = of_scales.saturating_add(region(scaled, head.parts));
        let end = offsets.saturating_add(region(needs.class_offsets, 1));
        let places = Places { factors, scaled: of_scales, offsets, end };
        let sums = needs.columns || needs.column_sums || needs.close_weights;
        let sums = if sums { len.saturating_mul(4) } else { 0 };
        let params = HeadParams {
            classes: count(len),
            first_class: count(request.first_class.saturating_add(classes.start)),
            class_factors: count(places.factors),
            class_scaled: count(places.scaled),
            class_offsets: count(places.offsets),
            ..parts.params
        };

        let norms = needs.weight_norms.then(|| {
            let mut norms = RowNormsRequest::new(len, dim, head.weights);
            (norms.x, norms.factors) = (weights.spec, RowFactors { parts: head.parts, origin: 0 });
            RowNorms::new(parts.uniforms, &norms)
        });
        let scaled_factors = scaled.then(|| {
            let threads = parts.threads(4 * len);
            let key = parts.key(HeadKernel::ScaledFactors, threads);
            parts.step(key, params, len.saturating_mul(head.parts).div_ceil(threads as usize))
        });
        let offsets = needs.class_offsets.then(|| {
            let threads = parts.threads(4 * len);
            let key = parts.key(HeadKernel::ClassOffsets, threads);
            parts.step(key, params, len.div_ceil(threads as usize))
        });
        let close_weights = needs.close_weights.then(|| {
            let mut key = parts.key(HeadKernel::CloseWeights, parts.threads(dim / head.parts));
            key.a = parts.words(&weights.spec, true);
            key.c = parts.words(&gradient.spec, true);
            let place = weights.spec.place("the weights", (len, dim))?;
            let params = HeadParams {
                m: count(len),
                n: count(dim),
                a_stride: place.stride,
                a_origin: place.origin,
                c_origin: count(gradient.spec.origin),
                ..params.with_norm(head.weights)
            };
            parts.close(key, params, len)
        });
        let close_classes = needs.close_classes.then(|| {
            let key = parts.key(HeadKernel::CloseClasses, parts.threads(4 * len));
            // The gradient by the scale adds up over the ranges.
            let params = HeadParams { accumulate: u32::from(classes.start > 0), ..params };
            parts.step(key, params, 1)
        });
        Ok(Self {
            weights,
            gradient,
            params,
            places,
            state: state(kernels, "what a head keeps of the classes", places.end)?,
            columns: state(kernels, "a head's sums over rows", sums)?,
            norms: norms.transpose()?,
            scaled_factors: scaled_factors.transpose()?,
            offsets: offsets.transpose()?,
            close_weights: close_weights.transpose()?,
            close_classes: close_classes.transpose()?,
            classes,
        })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        let steps = [&self.scaled_factors, &self.offsets, &self.close_weights, &self.close_classes];
        steps.into_iter().flatten()
    }

    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        let Self { scaled_factors, offsets, close_weights, close_classes, .. } = self;
        [scaled_factors, offsets, close_weights, close_classes].into_iter().flatten()
    }

    /// Bytes of what is kept of the classes.
    pub(super) fn bytes(&self) -> u64 {
        [&self.state, &self.columns].into_iter().flatten().map(wgpu::Buffer::size).sum()
    }

    fn region(&self, from: usize, to: usize) -> Option<View<'_>> {
        self.state.as_ref().map(|buffer| View::new(buffer, 4 * from as u64, 4 * (to - from) as u64))
    }

    pub(super) fn sums(&self) -> Option<View<'_>> {
        self.region(0, self.places.factors)
    }

    pub(super) fn factors(&self) -> Option<View<'_>> {
        self.region(self.places.factors, self.places.scaled)
    }

    /// The factors of the weights in the features' gradient.
    pub(super) fn scaled(&self, head: &Head) -> Option<View<'_>> {
        match head.class_scale {
            ClassScale::None => self.factors().filter(|_| head.weights.power != 0.0),
            _ => self.region(self.places.scaled, self.places.offsets),
        }
    }

    /// What the product adds to the classes' logits.
    pub(super) fn offsets(&self) -> Option<View<'_>> {
        self.region(self.places.offsets, self.places.end).filter(|_| self.offsets.is_some())
    }

    /// What the product leaves of sums over rows.
    pub(super) fn column_sums(&self) -> Option<View<'_>> {
        let bytes = 4 * self.classes.len() as u64;
        self.columns.as_ref().map(|buffer| View::new(buffer, 0, bytes))
    }
}
