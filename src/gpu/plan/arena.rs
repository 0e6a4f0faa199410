//! The buffers of a plan: arrays over rows and classes in regions, each of which can be bound as a whole.

use crate::gpu::kernels::Kernels;
use crate::{Error, Result};

/// Regions start at multiples of this: the strictest alignment that WebGPU allows a device to ask for.
const REGION_STEP: u64 = 256;

/// Regions in as few buffers as the device's largest buffer allows.
#[derive(Debug)]
pub(crate) struct Arena {
    buffers: Vec<wgpu::Buffer>,
    /// Per region that is not empty: the buffer, the offset, the size.
    regions: Vec<Option<(usize, u64, u64)>>,
}

impl Arena {
    /// A region for each of `sizes` (bytes, multiples of 4; 0 gives an empty region).
    ///
    /// # Errors
    /// [`Error::Limit`] for a region larger than a buffer, [`Error::OutOfMemory`], [`Error::Device`].
    pub(crate) fn new(kernels: &Kernels, label: &str, sizes: &[u64]) -> Result<Self> {
        let allowed = kernels.device.limits().max_buffer_size;
        let (mut totals, mut regions): (Vec<u64>, Vec<_>) = (Vec::new(), Vec::with_capacity(sizes.len()));
        for &size in sizes {
            if size > allowed {
                return Err(Error::Limit {
                    what: format!("{label} (bytes in one buffer)"),
                    needed: size,
                    allowed,
                    cure: "request the device with a higher max_buffer_size",
                });
            }
            if size == 0 {
                regions.push(None);
                continue;
            }
            let start = totals.last().map_or(0, |total: &u64| total.next_multiple_of(REGION_STEP));
            let offset = match totals.last_mut().filter(|_| start + size <= allowed) {
                Some(total) => {
                    *total = start + size;
                    start
                }
                None => {
                    totals.push(size);
                    0
                }
            };
            regions.push(Some((totals.len() - 1, offset, size)));
        }
        let buffers = kernels
            .scoped(label, || Ok(totals.iter().map(|&size| storage(kernels, label, size)).collect()))?;
        Ok(Self { buffers, regions })
    }

    /// A region as it is bound; `None` for an empty one.
    pub(crate) fn binding(&self, region: usize) -> Option<wgpu::BufferBinding<'_>> {
        let (index, offset, size) = (*self.regions.get(region)?)?;
        let size = wgpu::BufferSize::new(size)?;
        Some(wgpu::BufferBinding { buffer: self.buffers.get(index)?, offset, size: Some(size) })
    }

    /// A region's buffer and offset, for copies.
    pub(crate) fn place(&self, region: usize) -> Option<(&wgpu::Buffer, u64)> {
        let (index, offset, _) = (*self.regions.get(region)?)?;
        Some((self.buffers.get(index)?, offset))
    }

    /// Bytes of each buffer.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.buffers.iter().map(wgpu::Buffer::size)
    }
}

/// A buffer for kernels and copies. To be called in a scope.
pub(crate) fn storage(kernels: &Kernels, label: &str, size: u64) -> wgpu::Buffer {
    kernels.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}
