//! The caller's buffers of a head, and their checks.

use crate::gpu::kernels::Kernels;
use crate::gpu::view::View;
use crate::{Error, Result};
use wgpu::BufferUsages;

/// What a head reads. Each view holds at least what the request's shape needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadViews<'a> {
    /// Features `[N, D]`, as the request says.
    pub features: View<'a>,
    /// Weights `[K, D]`, as the request says.
    pub weights: View<'a>,
    /// Biases `[K]`, f32, for heads that have them.
    pub bias: Option<View<'a>>,
    /// Learned scales `[K]`, f32, for heads that have them.
    pub class_scale: Option<View<'a>>,
    /// The centre `[D]`, f32, for heads that centre.
    pub centre: Option<View<'a>>,
    /// Labels `[N]`, i32, for heads with a margin.
    pub labels: Option<View<'a>>,
}

impl<'a> HeadViews<'a> {
    /// Features and weights, nothing else.
    pub fn new(features: View<'a>, weights: View<'a>) -> Self {
        Self { features, weights, bias: None, class_scale: None, centre: None, labels: None }
    }

    /// Adds the biases.
    #[must_use]
    pub fn with_bias(mut self, bias: View<'a>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Adds the classes' learned scales.
    #[must_use]
    pub fn with_class_scale(mut self, class_scale: View<'a>) -> Self {
        self.class_scale = Some(class_scale);
        self
    }

    /// Adds what is subtracted from every row of features.
    #[must_use]
    pub fn with_centre(mut self, centre: View<'a>) -> Self {
        self.centre = Some(centre);
        self
    }

    /// Adds the labels.
    #[must_use]
    pub fn with_labels(mut self, labels: View<'a>) -> Self {
        self.labels = Some(labels);
        self
    }
}

/// What a backward pass writes: exactly what the request asks for, all f32 and contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HeadGradients<'a> {
    /// `[N, D]`: by features.
    pub features: Option<View<'a>>,
    /// `[K, D]`: by weights.
    pub weights: Option<View<'a>>,
    /// `[K]`: by biases.
    pub bias: Option<View<'a>>,
    /// `[K]`: by learned scales.
    pub class_scale: Option<View<'a>>,
    /// One number: by the head's scale.
    pub scale: Option<View<'a>>,
}

/// A view that a pass uses.
pub(super) struct Used<'a> {
    pub(super) what: &'static str,
    pub(super) view: View<'a>,
    pub(super) bytes: u64,
    pub(super) written: bool,
    /// Whether it is bound as a whole, and not in parts that are known to fit.
    pub(super) whole: bool,
}

impl<'a> Used<'a> {
    /// A view that is bound as it is.
    pub(super) fn whole(what: &'static str, view: View<'a>, bytes: u64, written: bool) -> Self {
        Self { what, view, bytes, written, whole: true }
    }

    /// A view of which parts are bound.
    pub(super) fn in_parts(what: &'static str, view: View<'a>, bytes: u64, written: bool) -> Self {
        Self { what, view, bytes, written, whole: false }
    }
}

/// Matches what is given with what is wanted.
pub(super) fn optional<'a>(
    used: &mut Vec<Used<'a>>,
    what: &'static str,
    view: Option<View<'a>>,
    wanted: bool,
    bytes: u64,
    written: bool,
) -> Result<()> {
    match (view, wanted) {
        (Some(view), true) => used.push(Used::whole(what, view, bytes, written)),
        (None, true) => return Err(Error::Missing { what, needed_by: "the head as it was planned" }),
        (Some(_), false) => return Err(Error::Unexpected { what, planned: "without it" }),
        (None, false) => {}
    }
    Ok(())
}

/// Checks every view by itself, and those that are written against all others.
pub(super) fn check(kernels: &Kernels, shared: bool, used: &[Used<'_>]) -> Result<()> {
    let alignment = u64::from(kernels.device.limits().min_storage_buffer_offset_alignment).max(4);
    let allowed = kernels.max_binding();
    for &Used { what, view, bytes, whole, .. } in used {
        if view.size < bytes {
            return Err(Error::Length { what, expected: bytes, found: view.size });
        }
        if whole && view.size > allowed {
            return Err(Error::Limit {
                what: format!("bytes in the binding of {what}"),
                needed: view.size,
                allowed,
                cure: "bind fewer rows at a time",
            });
        }
        view.check(what, view.size, alignment, BufferUsages::STORAGE)?;
    }
    for (index, written) in used.iter().enumerate().filter(|(_, used)| used.written) {
        for (_, other) in used.iter().enumerate().filter(|(other, _)| *other != index) {
            let (first, second) = (written.what, other.what);
            if written.view.overlaps(&other.view) {
                return Err(Error::Overlap { first, second, cure: "give them bytes of their own" });
            }
            if written.view.buffer == other.view.buffer && !other.written && !shared {
                let cure = "views in one buffer need a request that is shared";
                return Err(Error::Overlap { first, second, cure });
            }
        }
    }
    Ok(())
}
