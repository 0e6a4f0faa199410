//! Compute passes by the clock: processor time on software adapters, the device's time elsewhere.
#![allow(dead_code, reason = "each bench uses a part")]

#[path = "clock.rs"]
pub mod clock;

use std::time::Duration;

use longtail::gpu::Context;

/// Submits what `record` records, `times` over in one compute pass, and waits.
pub fn timed(context: &Context, times: u64, record: impl Fn(&mut wgpu::ComputePass<'_>)) -> Duration {
    timed_encoder(context, |encoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        (0..times).for_each(|_| record(&mut pass));
    })
}

/// Submits what `record` records, and waits.
pub fn timed_encoder(context: &Context, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Duration {
    clock::timed(context, record).steady(clock::software(context))
}

/// Elements of magnitudes from 1 to 2, of either sign: of a product of equal numbers a GPU makes less work.
pub fn buffer(context: &Context, elements: usize, bytes: u64) -> wgpu::Buffer {
    let kernels = context.kernels();
    let buffer = kernels.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: (elements as u64 * bytes).next_multiple_of(4).max(16),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    // Sign and fraction by a hash; exponents of 1 in f32 and in pairs of f16, close to it in bf16.
    let (exponents, free) =
        if bytes == 4 { (1f32.to_bits(), 0x807f_ffff) } else { (0x3c00_3c00, 0x83ff_83ff) };
    let hash = |word: u32| (word ^ word >> 15).wrapping_mul(0x2c1b_3c6d);
    let word = |index: u32| exponents | free & hash(hash(index.wrapping_add(0x9e37_79b9)));
    let words: Vec<u32> = (0..(buffer.size() / 4) as u32).map(word).collect();
    kernels.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
    buffer
}
