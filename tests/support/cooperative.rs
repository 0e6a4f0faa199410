//! An adapter's cooperative matrices (tensor cores), on a device of their own: they are an experiment of wgpu's, which
//! no `Context` asks for.

use longtail::gpu::Kernels;
use wgpu::CooperativeScalarType::{F16, F32};

/// A device that can multiply by cooperative matrices.
pub struct Cooperative {
    /// Its kernels, which may use them.
    pub kernels: Kernels,
    /// The edges of its square matrices of f16 with sums in f32, of those that the kernels know.
    pub edges: Vec<u32>,
    /// Threads in a subgroup.
    pub subgroup: u32,
}

/// A device of the adapter that has this info, with all that its adapter allows; `None` where that has no cooperative
/// matrices of f16 with sums in f32, or subgroups of several sizes.
pub fn cooperative(info: &wgpu::AdapterInfo) -> Result<Option<Cooperative>, Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: info.backend.into(),
        flags: wgpu::InstanceFlags::empty().with_env(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(info.backend.into()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info() == *info);
    let adapter = adapter.ok_or_else(|| format!("{} is not among the adapters any more", info.name))?;
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        | wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP;
    let properties = adapter.cooperative_matrix_properties();
    let listed = |edge: &u32| {
        properties.iter().any(|of| {
            [of.m_size, of.n_size, of.k_size] == [*edge; 3] && (of.ab_type, of.cr_type) == (F16, F32)
        })
    };
    let edges: Vec<u32> = [16].into_iter().filter(listed).collect();
    let one_size = info.subgroup_min_size == info.subgroup_max_size;
    if edges.is_empty() || !one_size || !adapter.features().contains(needed) {
        return Ok(None);
    }
    let clock = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("cooperative"),
        required_features: adapter.features() & (needed | clock),
        required_limits: adapter.limits(),
        experimental_features: experiments(),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    let kernels = Kernels::new(&device, &queue)?.with_cooperative_matrices(&properties);
    Ok(Some(Cooperative { kernels, edges, subgroup: info.subgroup_max_size }))
}

#[expect(unsafe_code, reason = "wgpu marks its experiments unsafe")]
fn experiments() -> wgpu::ExperimentalFeatures {
    // SAFETY: wgpu asks its callers to know that its experiments may misbehave; tests and measurements are to find out.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
