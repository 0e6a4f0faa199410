//! Whether a driver's own conversion of f32 to f16 can stand for the kernels' own.
//!
//! WGSL leaves open how `pack2x16float` rounds, and drivers differ (AMD's rounds towards 0), so kernels round by integers
//! (`shaders/half.wgsl`): twelve instructions for each element, where a GPU's own conversion is a half. What a driver does is
//! asked once: all 2^32 numbers take some milliseconds on a GPU.

use crate::{Error, Result};

/// The kernels' own rounding, as it stands in their text.
const OWN: &str = include_str!("../../shaders/packed_f16.wgsl");
const DRIVERS: &str = include_str!("../../shaders/rounding/by_driver.wgsl");
/// Numbers of either sign that a workgroup looks at.
const EACH_GROUP: u32 = 256 * 256;

/// Whether a kernel rounds to f16 at all.
pub(super) fn rounds(text: &str) -> bool {
    text.contains(OWN)
}

/// The kernel's text with the driver's rounding in the place of its own.
pub(super) fn by_driver(text: &str) -> String {
    text.replace(OWN, DRIVERS)
}

/// How many numbers the driver rounds to another half than the kernels do.
///
/// # Errors
/// [`Error::Device`] where the device does not answer.
pub(super) fn differences(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<u32> {
    count(device, queue, &comparison(), (1 << 31) / EACH_GROUP)
}

/// The text of the comparison.
fn comparison() -> String {
    [include_str!("../../shaders/half.wgsl"), OWN, include_str!("../../shaders/rounding/compare.wgsl")]
        .concat()
}

/// What so many workgroups of a comparison count.
fn count(device: &wgpu::Device, queue: &wgpu::Queue, text: &str, groups: u32) -> Result<u32> {
    let label = Some("longtail rounding");
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label,
        source: wgpu::ShaderSource::Wgsl(text.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label, size: 4, usage, mapped_at_creation: false })
    };
    // Zero at first, as every buffer is.
    let count = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: count.as_entire_binding() }],
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(groups, 1, 1);
    }
    encoder.copy_buffer_to_buffer(&count, 0, &staging, 0, 4);
    queue.submit([encoder.finish()]);
    let failed = |message: String| Error::Device { what: "rounding".into(), message };
    staging.map_async(wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| failed(error.to_string()))?;
    let view = staging.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
    view.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or_else(|| failed("no answer".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Context;

    /// Every number that is rounded otherwise counts, and none that is not.
    #[test]
    fn what_differs_is_counted() -> Result<()> {
        let context = Context::new()?;
        let (device, queue) = (context.kernels().device(), context.kernels().queue());
        let drivers = "pack2x16float(vec2<f32>(x, y))";
        let of = |other: &str| {
            let text = comparison();
            assert!(text.contains(drivers));
            count(device, queue, &text.replace(drivers, other), 300)
        };
        assert_eq!(of("pack_f16(x, y)")?, 0);
        assert_eq!(of("pack_f16(x, y) ^ 1u")?, 300 * EACH_GROUP);
        assert_eq!(of("pack_f16(x, y) ^ select(0u, 0x10000u, size == 77u)")?, 1);
        Ok(())
    }

    /// Kernels that round to f16 have the text that is replaced, once.
    #[test]
    fn kernels_have_the_text() {
        let kernel = format!("before\n{OWN}after");
        assert!(rounds(&kernel) && !rounds(&by_driver(&kernel)));
        assert!(by_driver(&kernel).contains(DRIVERS));
    }
}
