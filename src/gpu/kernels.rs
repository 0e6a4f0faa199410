//! The pipeline cache over the caller's device.

use super::choice::AdapterClass;
use super::halves;
use super::program::Program;
use super::shader::Access;
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The longest binding this crate makes, whatever the device claims: some drivers accept more and compute wrongly.
pub(crate) const MAX_BINDING: u64 = (1 << 31) - 4;

/// Workgroups that keep a large GPU busy.
const BUSY_GPU: u32 = 256;

/// This crate's kernels on a device: each compiled once, shared by all plans.
///
/// It holds clones of the device's and the queue's handles, makes nothing until a plan asks for it, and submits
/// nothing. `Send + Sync`; cloning is cheap and shares the cache.
#[derive(Debug, Clone)]
pub struct Kernels {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    cache: Arc<Mutex<HashMap<Program, Arc<Pipeline>>>>,
    pub(crate) adapter: AdapterClass,
    /// The edge of the cooperative matrices that products may use.
    pub(crate) cooperative: Option<u32>,
    edits: Arc<[(String, String)]>,
    /// Whether the driver's own conversion to f16 is the kernels', once that has been asked.
    halves: Arc<OnceLock<bool>>,
}

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    /// Records a dispatch of `grid` workgroups with these bindings.
    pub(crate) fn dispatch(
        &self,
        device: &wgpu::Device,
        label: Option<&str>,
        entries: &[wgpu::BindGroupEntry<'_>],
        grid: (u32, u32),
        pass: &mut wgpu::ComputePass<'_>,
    ) {
        let descriptor = wgpu::BindGroupDescriptor { label, layout: &self.layout, entries };
        let group = device.create_bind_group(&descriptor);
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(grid.0, grid.1, 1);
    }
}

/// The edge of matrices of f16 with sums in f32 that products use, where the adapter has them: 16. Kernels know 8, too,
/// which only a driver that runs on the processor has been seen to have.
fn cooperative_edge(properties: &[wgpu::CooperativeMatrixProperties]) -> Option<u32> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let fits = |of: &wgpu::CooperativeMatrixProperties| {
        [of.m_size, of.n_size, of.k_size] == [16; 3] && (of.ab_type, of.cr_type) == (F16, F32)
    };
    properties.iter().any(fits).then_some(16)
}

impl Kernels {
    /// Kernels for a device and its queue.
    ///
    /// # Errors
    /// [`Error::Limit`] when the device has fewer than 8 storage buffers per stage (WebGPU's default limits have
    /// them).
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        let limits = device.limits();
        let needed = 8;
        if limits.max_storage_buffers_per_shader_stage < needed {
            return Err(Error::Limit {
                what: "storage buffers in one kernel".into(),
                needed: u64::from(needed),
                allowed: u64::from(limits.max_storage_buffers_per_shader_stage),
                cure: "request the device with max_storage_buffers_per_shader_stage of 8 or more",
            });
        }
        let max_workgroup =
            limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let software = device.adapter_info().device_type == wgpu::DeviceType::Cpu;
        let adapter = AdapterClass {
            software,
            max_workgroup,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            f16: device.features().contains(wgpu::Features::SHADER_F16),
            // Some more than there are processors, since they do not end together.
            busy: if software { 4 * processors() } else { BUSY_GPU },
        };
        Ok(Self {
            device: device.clone(),
            queue: queue.clone(),
            cache: Arc::default(),
            adapter,
            cooperative: None,
            edits: Arc::default(),
            halves: Arc::default(),
        })
    }

    /// Lets products of f16 matrices use cooperative matrices (tensor cores), with sums in f32: `properties` is what
    /// [`wgpu::Adapter::cooperative_matrix_properties`] says of the device's adapter. The default is without, since wgpu
    /// cannot ask a device.
    ///
    /// Has no effect where the device lacks the features `EXPERIMENTAL_COOPERATIVE_MATRIX`, `SHADER_F16` or `SUBGROUP`, or
    /// where no configuration is square, 16 wide, of f16 with sums in f32: products go the ordinary way there.
    #[must_use]
    pub fn with_cooperative_matrices(mut self, properties: &[wgpu::CooperativeMatrixProperties]) -> Self {
        let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP;
        let able = self.device.features().contains(needed);
        self.cooperative = cooperative_edge(properties).filter(|_| able);
        self
    }

    /// The same device with every kernel's text edited, `(from, to)` after each other, and a cache of its own: how
    /// the tests make sure that they would notice a wrong kernel.
    #[doc(hidden)]
    #[must_use]
    pub fn edited(&self, edits: &[(&str, &str)]) -> Self {
        let edits = edits.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        Self { cache: Arc::default(), edits, ..self.clone() }
    }

    /// The same device with the layouts that a GPU gets, and a cache of its own: how the tests run on a processor what is
    /// chosen for GPUs.
    #[doc(hidden)]
    #[must_use]
    pub fn laid_out_as_on_a_gpu(&self) -> Self {
        let adapter = AdapterClass { software: false, busy: BUSY_GPU, ..self.adapter };
        Self { cache: Arc::default(), adapter, ..self.clone() }
    }

    /// The device these kernels are for.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The queue these kernels are for.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// The longest binding that a plan may make, in bytes.
    pub(crate) fn max_binding(&self) -> u64 {
        self.device.limits().max_storage_buffer_binding_size.min(MAX_BINDING)
    }

    /// The kernel of a key, compiled now if it is not there yet.
    ///
    /// # Errors
    /// [`Error::Limit`] for workgroups the device cannot run, [`Error::MissingFeature`], [`Error::Shader`],
    /// [`Error::OutOfMemory`], [`Error::Device`].
    pub(crate) fn pipeline(&self, key: impl Into<Program>) -> Result<Arc<Pipeline>> {
        let program = key.into();
        if let Some(known) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&program) {
            return Ok(Arc::clone(known));
        }
        self.check(&program)?;
        let pipeline = Arc::new(self.compile(&program)?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(cache.entry(program).or_insert(pipeline)))
    }

    /// wgpu does not check the size of a workgroup against every limit; the kernels rely on it.
    fn check(&self, program: &Program) -> Result<()> {
        let checks = [
            ("threads in one workgroup", program.workgroup(), self.adapter.max_workgroup),
            ("bytes of workgroup memory", program.workgroup_bytes(), self.adapter.max_workgroup_bytes),
        ];
        for (what, needed, allowed) in checks {
            if needed > allowed {
                return Err(Error::Limit {
                    what: what.into(),
                    needed: u64::from(needed),
                    allowed: u64::from(allowed),
                    cure: "choose a smaller workgroup, or request the device with higher limits",
                });
            }
        }
        let missing = program.features() - self.device.features();
        match missing.iter_names().next() {
            Some((feature, _)) => Err(Error::MissingFeature { feature, needed_by: program.label() }),
            None => Ok(()),
        }
    }

    fn compile(&self, program: &Program) -> Result<Pipeline> {
        let label = program.label();
        let label = label.as_str();
        let mut text = self.edits.iter().fold(program.wgsl(), |text, (from, to)| text.replace(from, to));
        // On a processor the conversion costs nothing beside the loads.
        if !self.adapter.software && halves::rounds(&text) && self.driver_rounds() {
            text = halves::by_driver(&text);
        }
        log::debug!("compiling {label}");
        let module = self.scoped(label, || {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(label),
                source: wgpu::ShaderSource::Wgsl(text.as_str().into()),
            };
            Ok(create_module(&self.device, descriptor))
        });
        let module = module.map_err(|error| shader_error(error, program))?;
        self.scoped(label, || {
            let entries: Vec<_> = program
                .bindings()
                .iter()
                .map(|binding| wgpu::BindGroupLayoutEntry {
                    binding: binding.number,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer {
                        ty: match binding.access {
                            Access::Uniform => wgpu::BufferBindingType::Uniform,
                            Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                            Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                        },
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                    count: None,
                })
                .collect();
            let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(label),
                entries: &entries,
            });
            let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(label),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every slot is written before it is read, and clearing costs time on every launch.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            });
            Ok(Pipeline { pipeline, layout })
        })
    }

    /// Whether the driver's own conversion to f16 gives for every number what the kernels' own does.
    fn driver_rounds(&self) -> bool {
        *self.halves.get_or_init(|| {
            let differences = self.scoped("rounding", || halves::differences(&self.device, &self.queue));
            log::debug!("numbers that the driver rounds to another f16 than the kernels: {differences:?}");
            differences == Ok(0)
        })
    }

    /// Runs `make` with wgpu's errors caught instead of panicking.
    pub(crate) fn scoped<T>(&self, what: &str, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let mut caught = None;
        for scope in [validation, memory, internal] {
            // The future is ready at once on native backends.
            caught = caught.or(pollster::block_on(scope.pop()));
        }
        match caught {
            None => made,
            Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::OutOfMemory { what: what.into() }),
            Some(error) => Err(device_error(what, &error.to_string())),
        }
    }
}

/// Threads that run at once on this machine, where a software adapter's workgroups run.
fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// Names the file of a shader that did not compile.
fn shader_error(error: Error, program: &Program) -> Error {
    let Error::Device { message, .. } = error else { return error };
    // naga's message has "wgsl:LINE:COLUMN".
    let line = message
        .split_once("wgsl:")
        .and_then(|(_, rest)| rest.split(':').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let (file, line) = program.locate(line);
    Error::Shader { file, line, message }
}

/// A device's complaint; a lost device is told apart by wgpu's wording, which is all there is.
fn device_error(what: &str, message: &str) -> Error {
    let lost = ["device is lost", "Device is lost", "device with", "Parent device is lost", "is invalid"];
    match lost.iter().any(|wording| message.contains(wording)) && message.contains("lost") {
        true => Error::DeviceLost { reason: message.into() },
        false => Error::Device { what: what.into(), message: message.into() },
    }
}

/// Makes a module without the loop counters that wgpu adds by default: they keep drivers from unrolling.
#[expect(unsafe_code, reason = "wgpu marks the choice of runtime checks unsafe")]
fn create_module(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    let checks =
        wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
    // SAFETY: every loop of the kernels counts up to a bound that is known before it starts.
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::CooperativeScalarType::{F16, F32, U32};

    /// The configuration that products use, in the list that an adapter gives.
    #[test]
    fn cooperative_matrices_are_found() {
        let of = |m_size, n_size, k_size, ab_type, cr_type| wgpu::CooperativeMatrixProperties {
            m_size,
            n_size,
            k_size,
            ab_type,
            cr_type,
            saturating_accumulation: false,
        };
        let small = of(8, 8, 8, F16, F32);
        let others = [of(16, 8, 16, F16, F32), of(16, 16, 16, F16, F16), of(16, 16, 16, U32, U32)];
        assert_eq!(cooperative_edge(&[]), None);
        assert_eq!(cooperative_edge(&others), None);
        assert_eq!(cooperative_edge(&[small, of(16, 16, 16, F16, F32)]), Some(16));
        assert_eq!(cooperative_edge(&[others[0], small]), None);
    }
}
