//! A training engine that owns its wgpu device, buffers, kernels, encoder and submissions. This crate only records
//! its passes into the engine's encoder.
//!
//! The engine trains a table of logits `[N, K]` by gradient descent with LDAM: two steps in one encoder, the gradient
//! in place; then deferred re-weighting is switched on by an update of numbers, and two more steps follow on the same
//! compiled kernels. The same four steps in f64 on the CPU give the numbers to compare with.
//!
//! `cargo run --example embed_engine`

use longtail::gpu::{Inputs, Kernels, Outputs, Plan, PlanRequest, Program, Storage, TargetViews, View};
use longtail::{Batch, Profile, SoftmaxLoss, Targets, Upstream, reference};
use wgpu::BufferUsages as Usage;
use wgpu::util::{BufferInitDescriptor, DeviceExt};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const ROWS: usize = 64;
const CLASSES: usize = 100;
const RATE: f64 = 0.25;
const STEPS: usize = 2;

/// The engine's own kernel: gradient descent.
const DESCENT: &str = "
@group(0) @binding(0) var<storage, read_write> table: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@compute @workgroup_size(64)
fn descend(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&table)) { table[id.x] -= RATE * gradient[id.x]; }
}";

/// What an engine has before it meets this crate.
struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    descent: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    /// The parameters.
    table: wgpu::Buffer,
    /// The logits of a step: a copy of the table, which the gradient overwrites.
    work: wgpu::Buffer,
    labels: wgpu::Buffer,
    losses: wgpu::Buffer,
}

impl Engine {
    async fn new(table: &[f32], labels: &[i32]) -> Fallible<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
        let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
        println!("the engine's device: {}", adapter.get_info().name);
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let buffer = |label, contents: &[u8]| {
            device.create_buffer_init(&BufferInitDescriptor { label: Some(label), contents, usage })
        };
        let logits = bytemuck::cast_slice(table);
        let (table, work) = (buffer("table", logits), buffer("work", logits));
        let labels = buffer("labels", bytemuck::cast_slice(labels));
        let losses = buffer("losses", &[0; 4 * STEPS]);
        let source = wgpu::ShaderSource::Wgsl(format!("const RATE: f32 = {RATE:?};{DESCENT}").into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let descent = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("descent"),
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &descent.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: table.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: work.as_entire_binding() },
            ],
        });
        Ok(Self { device, queue, descent, bindings, table, work, labels, losses })
    }

    /// Two steps in one encoder and one submission, both the engine's. Gives the losses.
    fn train(&self, plan: &Plan) -> Fallible<Vec<f32>> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for step in 0..STEPS as u64 {
            // The engine's forward pass.
            encoder.copy_buffer_to_buffer(&self.table, 0, &self.work, 0, self.table.size());
            // The loss, and its gradient over the logits.
            let targets = TargetViews::Hard(View::whole(&self.labels));
            let inputs = Inputs::new(View::whole(&self.work), targets);
            let loss = Some(View::new(&self.losses, 4 * step, 4));
            let outputs = Outputs { loss, ..Outputs::default() };
            plan.encode_loss_and_grad(&mut encoder, &inputs, None, None, &outputs)?;
            // The engine's backward pass and optimiser.
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.descent);
            pass.set_bind_group(0, &self.bindings, &[]);
            pass.dispatch_workgroups((ROWS * CLASSES).div_ceil(64) as u32, 1, 1);
        }
        self.queue.submit([encoder.finish()]);
        self.read(&self.losses)
    }

    fn read(&self, source: &wgpu::Buffer) -> Fallible<Vec<f32>> {
        let usage = Usage::MAP_READ | Usage::COPY_DST;
        let descriptor =
            wgpu::BufferDescriptor { label: None, size: source.size(), usage, mapped_at_creation: false };
        let staging = self.device.create_buffer(&descriptor);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(source, 0, &staging, 0, source.size());
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| ());
        self.device.poll(wgpu::PollType::wait_indefinitely())?;
        let bytes = staging.get_mapped_range(..)?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }
}

/// The same two steps in f64. Gives the losses.
fn train_in_f64(table: &mut [f64], labels: &[i32], spec: &SoftmaxLoss) -> longtail::Result<Vec<f64>> {
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let batch = Batch::new(table, CLASSES, Targets::Hard(labels));
        let output = reference::softmax(spec, &batch, Upstream::One)?;
        for (logit, slope) in table.iter_mut().zip(output.gradient) {
            *logit -= RATE * slope;
        }
        losses.push(output.loss);
    }
    Ok(losses)
}

/// Prints losses beside the f64 ones and gives the largest relative difference.
fn compare(title: &str, losses: &[f32], expected: &[f64]) -> f64 {
    let difference = |(loss, expected): (&f32, &f64)| (f64::from(*loss) - expected).abs() / expected;
    println!("{title}: losses {losses:.5?}, in f64 {expected:.5?}");
    losses.iter().zip(expected).map(difference).fold(0.0, f64::max)
}

fn main() -> Fallible<()> {
    let counts = Profile::Exponential.counts(CLASSES, 500, 100.0)?;
    let labels: Vec<i32> = (0..ROWS as i32).map(|row| row * 37 % CLASSES as i32).collect();
    let table: Vec<f32> = (0..ROWS * CLASSES).map(|at| (at * 7919 % 1013) as f32 / 1013.0 - 0.5).collect();
    let mut table_in_f64: Vec<f64> = table.iter().copied().map(f64::from).collect();
    let engine = pollster::block_on(Engine::new(&table, &labels))?;

    // All that can fail, all that is compiled and all that is allocated is here.
    let ldam = SoftmaxLoss::ldam(&counts, 0.5, 30.0)?;
    let request = PlanRequest::new(ROWS, CLASSES).with_storage(Storage::InPlace);
    let mut plan = Kernels::new(&engine.device, &engine.queue)?.plan(&ldam, &request)?;
    println!("{}", plan.describe());
    let keys = |plan: &Plan| plan.kernels().into_iter().map(|(key, _)| key).collect::<Vec<Program>>();
    let compiled = keys(&plan);

    let losses = engine.train(&plan)?;
    let mut worst = compare("LDAM", &losses, &train_in_f64(&mut table_in_f64, &labels, &ldam)?);

    let reweighted = ldam.with_deferred_reweighting(&counts, 0.9999)?;
    plan.update(&reweighted)?;
    println!("the same {} kernels after the update: {}", compiled.len(), keys(&plan) == compiled);

    let losses = engine.train(&plan)?;
    let expected = train_in_f64(&mut table_in_f64, &labels, &reweighted)?;
    worst = worst.max(compare("LDAM with deferred re-weighting", &losses, &expected));
    let moved = engine.read(&engine.table)?;
    let differences =
        moved.iter().zip(&table_in_f64).map(|(logit, expected)| (f64::from(*logit) - expected).abs());
    let table_difference = differences.fold(0.0, f64::max);
    println!("largest difference: {worst:.1e} of a loss, {table_difference:.1e} in a logit after 4 steps");

    plan.status()?;
    if keys(&plan) != compiled || worst > 1e-5 || table_difference > 1e-4 {
        return Err("the engine and the f64 reference disagree".into());
    }
    Ok(())
}
