//! Compute passes by the clock: processor time on software adapters, wall time elsewhere.
#![allow(dead_code, reason = "each bench uses a part")]

use std::time::Duration;

use longtail::gpu::Context;

/// Time that this process's threads have been on a processor, where the system tells (Linux), else 0.
fn processor_time() -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Submits what `record` records, `times` over in one compute pass, and waits.
pub fn timed(context: &Context, times: u64, record: impl Fn(&mut wgpu::ComputePass<'_>)) -> Duration {
    timed_encoder(context, |encoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        (0..times).for_each(|_| record(&mut pass));
    })
}

/// Submits what `record` records, and waits.
pub fn timed_encoder(context: &Context, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Duration {
    let (device, queue) = (context.kernels().device(), context.kernels().queue());
    let software = context.adapter_info().device_type == wgpu::DeviceType::Cpu;
    let (processor, wall) = (processor_time(), std::time::Instant::now());
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    record(&mut encoder);
    queue.submit([encoder.finish()]);
    device.poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    let processor = processor_time().saturating_sub(processor);
    if software && !processor.is_zero() { processor } else { wall.elapsed() }
}

/// Elements that are about 1.
pub fn buffer(context: &Context, elements: usize, bytes: u64) -> wgpu::Buffer {
    let kernels = context.kernels();
    let buffer = kernels.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: (elements as u64 * bytes).next_multiple_of(4).max(16),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    // 1.0 in f32 and in pairs of f16; close to it in bf16.
    let word = if bytes == 4 { 1f32.to_bits() } else { 0x3c00_3c00 };
    let words = vec![word; buffer.size() as usize / 4];
    kernels.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
    buffer
}
