//! Parts of a matrix that are bound by themselves: no binding has to hold the whole matrix.

use std::ops::Range;

use crate::gpu::kernels::Kernels;
use crate::gpu::matmul::MatrixSpec;
use crate::gpu::view::View;
use crate::{Error, Result};

/// Bindings begin at multiples of this many bytes: the strictest alignment that WebGPU allows a device to ask for.
const ALIGN: u64 = 256;

/// Some rows of a matrix: where their binding lies in the view of the whole matrix, and where they lie in the binding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) spec: MatrixSpec,
    offset: u64,
    size: u64,
}

impl Window {
    /// `rows` of a matrix of so many columns.
    pub(super) fn new(
        kernels: &Kernels,
        what: &'static str,
        whole: &MatrixSpec,
        rows: Range<usize>,
        columns: usize,
    ) -> Result<Self> {
        let stride = if whole.stride == 0 { columns } else { whole.stride };
        let bytes = whole.elem.bytes();
        let first = (rows.start as u64).saturating_mul(stride as u64).saturating_add(whole.origin as u64);
        let offset = first.saturating_mul(bytes) / ALIGN * ALIGN;
        let origin = usize::try_from(first - offset / bytes).unwrap_or(usize::MAX);
        let spec = MatrixSpec { origin, ..*whole };
        let shape = (rows.len(), columns);
        spec.place(what, shape)?;
        let (needed, allowed) = (spec.bytes(shape), kernels.max_binding());
        if needed > allowed {
            return Err(Error::Limit {
                what: format!("bytes in the binding of {what}"),
                needed,
                allowed,
                cure: "use fewer rows in a chunk",
            });
        }
        Ok(Self { spec, offset, size: needed })
    }

    /// The window of the whole matrix's view, which has been checked.
    pub(super) fn of<'a>(&self, whole: View<'a>) -> View<'a> {
        View::new(whole.buffer, whole.offset.saturating_add(self.offset), self.size)
    }
}

/// Some of the numbers of an array of 32-bit numbers, from a multiple of 64 on.
pub(super) fn numbers<'a>(whole: View<'a>, range: &Range<usize>) -> View<'a> {
    View::new(whole.buffer, whole.offset.saturating_add(4 * range.start as u64), 4 * range.len() as u64)
}
