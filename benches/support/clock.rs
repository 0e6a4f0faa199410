//! What passes take, by three clocks.

use longtail::gpu::{Context, Kernels};
use longtail::wgpu;
use std::time::{Duration, Instant};

/// What a number of passes took, in all.
#[derive(Clone, Copy, Default)]
pub struct Took {
    pub wall: Duration,
    /// Time on all processors, this process's threads together (the software adapter's among them).
    pub processor: Duration,
    /// By the device's clock, where it has one.
    pub device: Option<Duration>,
}

/// What `work` takes by the wall's and the processors' clocks.
pub fn clocked(work: impl FnOnce()) -> Took {
    let (processor, wall) = (processor_time(), Instant::now());
    work();
    Took { wall: wall.elapsed(), processor: processor_time().saturating_sub(processor), device: None }
}

/// Works for a while: a GPU idles at a fraction of its clock, and takes some hundred milliseconds to raise it.
pub fn warm(software: bool, mut work: impl FnMut()) {
    let start = Instant::now();
    while !software && start.elapsed() < Duration::from_millis(400) {
        work();
    }
}

/// Submits what `record` records and waits for it, by three clocks.
pub fn timed(context: &Context, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Took {
    timed_by(context.kernels(), record)
}

/// The same of a device without a context.
pub fn timed_by(kernels: &Kernels, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Took {
    let (device, queue) = (kernels.device(), kernels.queue());
    let clock = device.features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS).then(|| {
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 16,
                usage,
                mapped_at_creation: false,
            })
        };
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let resolve = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        (queries, resolve, buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST))
    });
    let (processor, wall) = (processor_time(), Instant::now());
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    if let Some((queries, _, _)) = &clock {
        encoder.write_timestamp(queries, 0);
    }
    record(&mut encoder);
    if let Some((queries, resolve, staging)) = &clock {
        encoder.write_timestamp(queries, 1);
        encoder.resolve_query_set(queries, 0..2, resolve, 0);
        encoder.copy_buffer_to_buffer(resolve, 0, staging, 0, 16);
    }
    queue.submit([encoder.finish()]);
    if let Some((_, _, staging)) = &clock {
        staging.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("mapping"));
    }
    device.poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    let (wall, processor) = (wall.elapsed(), processor_time().saturating_sub(processor));
    let device = clock.map(|(_, _, staging)| {
        let view = staging.get_mapped_range(..).expect("the mapped range");
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        let nanoseconds = ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(queue.get_timestamp_period());
        Duration::from_nanos(nanoseconds as u64)
    });
    Took { wall, processor, device }
}

/// Time that this process's threads have been on a processor, where the system tells (Linux), else 0.
pub fn processor_time() -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

impl Took {
    /// The device's time where it has a clock and is no processor itself, else the processors' time, else the
    /// wall's: what is least disturbed by other work.
    pub fn steady(&self, software: bool) -> Duration {
        match (software, self.device) {
            (false, Some(device)) => device,
            (true, _) if !self.processor.is_zero() => self.processor,
            _ => self.wall,
        }
    }
}

/// Whether the adapter is a driver that runs on the processor.
pub fn software(context: &Context) -> bool {
    context.adapter_info().device_type == wgpu::DeviceType::Cpu
}
