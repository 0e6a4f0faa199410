//! The device's copy bandwidth, by its own copy and by a kernel: some drivers' copies are slower than any kernel.

use super::clock::{Took, timed};
use longtail::gpu::Context;
use longtail::wgpu;

/// Copies one buffer over another of its size.
pub struct Copy {
    context: Context,
    from: wgpu::Buffer,
    to: wgpu::Buffer,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: (u32, u32),
}

impl Copy {
    /// Prepares both ways.
    pub fn new(context: &Context, from: &wgpu::Buffer, to: &wgpu::Buffer) -> Self {
        let device = context.kernels().device();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("copy"),
            source: wgpu::ShaderSource::Wgsl(include_str!("copy.wgsl").into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("copy"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[bound(0, from), bound(1, to)],
        });
        let groups = from.size().div_ceil(4096);
        let y = groups.div_ceil(32_768).max(1);
        let grid = (groups.div_ceil(y) as u32, y as u32);
        Self { context: context.clone(), from: from.clone(), to: to.clone(), pipeline, group, grid }
    }

    /// `passes` copies, by whichever way takes less.
    pub fn run(&self, passes: u64, software: bool) -> Took {
        let by_driver = timed(&self.context, |encoder| {
            for _ in 0..passes {
                encoder.copy_buffer_to_buffer(&self.from, 0, &self.to, 0, self.from.size());
            }
        });
        // What a software adapter copies by itself it copies by the processor's own instructions.
        if software {
            return by_driver;
        }
        let by_kernel = timed(&self.context, |encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for _ in 0..passes {
                pass.set_pipeline(&self.pipeline);
                pass.set_bind_group(0, &self.group, &[]);
                pass.dispatch_workgroups(self.grid.0, self.grid.1, 1);
            }
        });
        if by_kernel.steady(software) < by_driver.steady(software) { by_kernel } else { by_driver }
    }
}

fn bound(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }
}
