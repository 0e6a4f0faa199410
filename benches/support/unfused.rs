//! What is fused elsewhere, unfused: the baseline of plain WGSL kernels in `unfused.wgsl`.

use super::clock::{Took, timed};
use super::{Data, largest_error, read, upload};
use longtail::gpu::Context;
use longtail::{method, wgpu};

/// The widths of workgroup that are tried; the fastest is the baseline.
pub fn widths(software: bool) -> &'static [u32] {
    if software { &[8, 64, 256] } else { &[128, 256] }
}

/// How a kernel is dispatched.
#[derive(Clone, Copy)]
enum Grid {
    /// A workgroup for each row.
    Rows,
    /// A thread for each row.
    RowThreads,
    /// A thread for each class.
    Classes,
    /// A thread for each logit.
    Logits,
    /// One workgroup.
    One,
}

/// Kernel, whether it reads the adjusted logits, grid.
type Step = (&'static str, bool, Grid);

fn cross_entropy(adjusted: bool) -> [Step; 6] {
    [
        ("row_max", adjusted, Grid::Rows),
        ("exp_sum", adjusted, Grid::Rows),
        ("softmax", adjusted, Grid::Logits),
        ("row_loss", adjusted, Grid::RowThreads),
        ("mean_loss", adjusted, Grid::One),
        ("slope", adjusted, Grid::Logits),
    ]
}

/// The dispatches of a method; `None` for those that have no unfused baseline.
fn steps(method: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    match method {
        "cross_entropy" => steps.extend(cross_entropy(false)),
        "balanced_softmax" => {
            steps.push(("add_log_count", false, Grid::Logits));
            steps.extend(cross_entropy(true));
        }
        "seesaw" => {
            steps.push(("count", false, Grid::RowThreads));
            steps.push(("log_count", false, Grid::Classes));
            steps.extend(&cross_entropy(false)[..3]);
            steps.push(("add_seesaw", false, Grid::Logits));
            steps.extend(cross_entropy(true));
        }
        _ => return None,
    }
    Some(steps)
}

/// An unfused pipeline with its buffers.
pub struct Unfused {
    context: Context,
    steps: Vec<(wgpu::ComputePipeline, wgpu::BindGroup, (u32, u32))>,
    gradient: wgpu::Buffer,
    bytes: u64,
    width: u32,
    error: f64,
}

impl Unfused {
    /// The pipeline of a method, run once and compared with the reference; `None` for methods without one.
    pub fn new(
        context: &Context,
        method: &str,
        data: &Data,
        width: u32,
    ) -> Result<Option<Self>, Box<dyn std::error::Error>> {
        let Some(steps) = steps(method) else { return Ok(None) };
        let device = context.kernels().device();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("unfused"),
            source: wgpu::ShaderSource::Wgsl(include_str!("unfused.wgsl").into()),
        });
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let entries: Vec<_> = (0..11)
            .map(|binding| match binding {
                0 => entry(binding, wgpu::BufferBindingType::Uniform),
                _ => entry(binding, wgpu::BufferBindingType::Storage { read_only: binding < 3 }),
            })
            .collect();
        let layout = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let (rows, classes) = (data.rows, data.classes);
        let matrix = || upload(context, bytemuck::cast_slice(&vec![0f32; rows * classes]));
        let vector = |length: usize| upload(context, bytemuck::cast_slice(&vec![0f32; length]));
        let counts: Vec<u32> = data.counts.counts().iter().map(|&count| count as u32).collect();
        let logs: Vec<f32> = counts.iter().map(|&count| (f64::from(count)).ln() as f32).collect();
        let adjusts = steps.iter().any(|(_, adjusted, _)| *adjusted);
        let adjusted = if adjusts { matrix() } else { vector(1) };
        let unused = vector(1);
        let shape = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let numbers = [rows as u32, classes as u32, 0, 0];
        context.kernels().queue().write_buffer(&shape, 0, bytemuck::cast_slice(&numbers));
        let mut buffers = [
            shape,
            upload(context, bytemuck::cast_slice(&data.logits)),
            upload(context, bytemuck::cast_slice(&data.labels)),
            vector(rows),
            vector(rows),
            matrix(),
            matrix(),
            vector(rows + 1),
            adjusted.clone(),
            upload(context, bytemuck::cast_slice(&counts)),
            upload(context, bytemuck::cast_slice(&logs)),
        ];
        let gradient = buffers[6].clone();
        // All but logits, labels and gradient.
        let bytes = [3, 4, 5, 7, 8, 9, 10].iter().map(|&index: &usize| buffers[index].size()).sum();
        let group = |buffers: &[wgpu::Buffer]| {
            let entries: Vec<_> = buffers
                .iter()
                .zip(0u32..)
                .map(|(buffer, binding)| wgpu::BindGroupEntry {
                    binding,
                    resource: buffer.as_entire_binding(),
                })
                .collect();
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries: &entries,
            })
        };
        let plain = group(&buffers);
        buffers[1] = adjusted;
        buffers[8] = unused;
        let second = adjusts.then(|| group(&buffers));
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let (r, k) = (rows as u32, classes as u32);
        let steps = steps
            .into_iter()
            .map(|(name, adjusted, grid)| {
                let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(name),
                    layout: Some(&pipeline_layout),
                    module: &module,
                    entry_point: Some(name),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &[("WIDTH", f64::from(width))],
                        ..Default::default()
                    },
                    cache: None,
                });
                let grid = match grid {
                    Grid::Rows => (r, 1),
                    Grid::RowThreads => (r.div_ceil(width), 1),
                    Grid::Classes => (k.div_ceil(width), 1),
                    Grid::Logits => (k.div_ceil(width), r),
                    Grid::One => (1, 1),
                };
                let group = second.as_ref().filter(|_| adjusted).unwrap_or(&plain).clone();
                (pipeline, group, grid)
            })
            .collect();
        let mut unfused = Self { context: context.clone(), steps, gradient, bytes, width, error: f64::NAN };
        unfused.run(1);
        let got: Vec<f32> = bytemuck::pod_collect_to_vec(&read(context, &unfused.gradient));
        let method = method::find(method).ok_or("the method is gone")?;
        let want = data.reference(method, longtail::Element::F32)?;
        unfused.error = largest_error(&want.gradient, &got);
        // A NaN fails the comparison.
        match unfused.error <= 1e-4 {
            true => Ok(Some(unfused)),
            false => Err(format!("unfused {}: gradient is off by {:e}", method.name, unfused.error).into()),
        }
    }

    /// Threads in a workgroup.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The largest difference from the reference's gradient, of its largest entry.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// Buffers besides logits, labels and gradient.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records `passes` passes, submits them together and waits.
    pub fn run(&self, passes: u64) -> Took {
        timed(&self.context, |encoder| {
            for _ in 0..passes {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for (pipeline, group, (x, y)) in &self.steps {
                    pass.set_pipeline(pipeline);
                    pass.set_bind_group(0, group, &[]);
                    pass.dispatch_workgroups(*x, *y, 1);
                }
            }
        })
    }
}
