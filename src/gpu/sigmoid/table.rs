//! The class table of software adapters: a uniform block, which they read faster than a storage buffer.

use crate::Result;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::Cut;

/// The label of the table.
pub(super) const CLASS_TABLE: &str = "longtail class block";
/// Bytes of a vector.
const VECTOR: u64 = 16;

/// Vectors of four that hold the table, rounded up so that few kernels serve all shapes; 0 where the table stays in
/// storage: on GPUs, which read a uniform block one thread after another where threads want different places, where
/// classes are cut, and where the block would be too long.
pub(super) fn vectors(kernels: &Kernels, columns: u64, cut: &Cut) -> u32 {
    let classes = cut.ranges.classes.first();
    let width = classes.map_or(0, |classes| u64::from(classes.end - classes.start));
    let vectors = (columns * width).div_ceil(4).next_power_of_two();
    let most = kernels.device.limits().max_uniform_buffer_binding_size / VECTOR;
    let wanted = kernels.adapter.software && columns * width > 0 && cut.ranges.classes.len() == 1;
    if wanted && vectors <= most { u32::try_from(vectors).unwrap_or(0) } else { 0 }
}

/// Room for the table.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Device`](crate::Error::Device).
pub(super) fn block(kernels: &Kernels, vectors: u32) -> Result<wgpu::Buffer> {
    kernels.scoped("a plan's class table", || {
        Ok(kernels.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(CLASS_TABLE),
            size: VECTOR * u64::from(vectors),
            // Kernels that are not over logits read and write it as storage.
            usage: wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        }))
    })
}
