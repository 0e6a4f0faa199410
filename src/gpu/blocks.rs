//! Matrices of a session, each in as many buffers as it needs.

use super::kernels::Kernels;
use super::plan::{Matrix, storage};
use super::request::PlanRequest;
use super::view::View;
use crate::element::Element;
use crate::{Error, Result};

/// A contiguous matrix in a buffer for each block of rows.
#[derive(Debug)]
pub(super) struct Blocks {
    element: Element,
    /// Elements and buffer of each block.
    parts: Vec<(usize, wgpu::Buffer)>,
}

impl Blocks {
    pub(super) fn new(
        kernels: &Kernels,
        label: &str,
        element: Element,
        classes: u64,
        blocks: &[usize],
    ) -> Self {
        let matrix = Matrix { stride: classes, bytes: element.bytes() };
        let part = |&rows: &usize| {
            let size = matrix.size(rows as u64, classes).unwrap_or(u64::MAX).max(4);
            let elements = rows.saturating_mul(usize::try_from(classes).unwrap_or(usize::MAX));
            (elements, storage(kernels, label, size))
        };
        Self { element, parts: blocks.iter().map(part).collect() }
    }

    pub(super) fn views(&self) -> Vec<View<'_>> {
        let bytes = |elements: usize| (self.element.bytes() * elements as u64).next_multiple_of(4);
        self.parts.iter().map(|(elements, buffer)| View::new(buffer, 0, bytes(*elements))).collect()
    }

    /// Encodes and uploads `values`, block by block.
    ///
    /// # Errors
    /// Those of [`upload`].
    pub(super) fn write(&self, kernels: &Kernels, values: &[f32]) -> Result<()> {
        let mut rest = values;
        for (elements, buffer) in &self.parts {
            let (part, after) = rest.split_at_checked(*elements).unwrap_or((rest, &[]));
            rest = after;
            let mut bytes = self.element.encode(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            if !bytes.is_empty() {
                upload(kernels, buffer, &bytes)?;
            }
        }
        Ok(())
    }

    /// Bytes of each block, decoded one after the other.
    pub(super) fn decode<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> Vec<f32> {
        let mut values = Vec::new();
        for ((elements, _), bytes) in self.parts.iter().zip(parts) {
            let part = self.element.decode(bytes);
            values.extend_from_slice(part.get(..*elements).unwrap_or(&part));
        }
        values
    }
}

/// Writes to a buffer.
///
/// # Errors
/// [`Error::Device`], [`Error::DeviceLost`].
pub(super) fn upload(kernels: &Kernels, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
    kernels.scoped("uploading a batch", || {
        kernels.queue.write_buffer(buffer, 0, bytes);
        Ok(())
    })
}

/// Rows of each block, so that every matrix's block fits a buffer.
///
/// # Errors
/// [`Error::Limit`] for rows longer than a buffer.
pub(super) fn blocks_for(kernels: &Kernels, request: &PlanRequest, dense: bool) -> Result<Vec<usize>> {
    let allowed = kernels.device.limits().max_buffer_size / 4 * 4;
    let bytes = if dense { 4 } else { request.logits.bytes() };
    let row = bytes.saturating_mul(request.classes as u64).max(1);
    let most = usize::try_from(allowed / row).unwrap_or(usize::MAX);
    if most == 0 {
        return Err(Error::Limit {
            what: "one row of logits (bytes in one buffer)".into(),
            needed: row,
            allowed,
            cure: "request the device with a higher max_buffer_size",
        });
    }
    let whole = request.rows / most;
    let rest = request.rows % most;
    let mut blocks = vec![most; whole];
    if rest > 0 || blocks.is_empty() {
        blocks.push(rest);
    }
    Ok(blocks)
}
