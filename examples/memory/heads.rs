//! Memory of a classifier head with its loss: logits exist for a chunk of rows at a time.

use longtail::gpu::head::{HeadGradients, HeadPlan, HeadRequest, HeadViews};
use longtail::gpu::{Context, Inputs, Kernels, Outputs, Plan, PlanRequest, Storage, TargetViews, View};
use longtail::head::{ClassScale, TargetMargin};
use longtail::{ClassCounts, Reduction, method, wgpu};
use std::time::Instant;

use crate::{Args, Failure, allocated, taken};

/// Plans of the loss by the rows of a chunk: the last one may have fewer.
struct ChunkLoss {
    plans: Vec<(usize, Plan)>,
}

impl ChunkLoss {
    fn new(kernels: &Kernels, args: &Args, head: &HeadPlan) -> Result<Self, Failure> {
        let method =
            method::find(&args.method).ok_or_else(|| format!("there is no method {}", args.method))?;
        let counts: Vec<u64> = (1..=args.classes as u64).map(|rank| 1 + 10_000_000 / rank).collect();
        // Sums over chunks add up to the batch's.
        let spec = (method.build)(&ClassCounts::new(counts)?)?.with_reduction(Reduction::Sum);
        let mut plans = Vec::new();
        let mut heights: Vec<usize> = head.chunks().map(|rows| rows.len()).collect();
        heights.dedup();
        for height in heights {
            let request = PlanRequest::new(height, args.classes).with_storage(Storage::InPlace);
            plans.push((height, kernels.plan(&spec, &request)?));
        }
        Ok(Self { plans })
    }

    fn bytes(&self) -> u64 {
        self.plans.iter().map(|(_, plan)| plan.bytes()).sum()
    }

    /// Makes the gradient by logits of a chunk's logits, in place.
    fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        (rows, classes): (usize, usize),
        labels: View<'_>,
        scratch: View<'_>,
    ) -> Result<(), Failure> {
        let plan = self.plans.iter().find(|(height, _)| *height == rows);
        let (_, plan) = plan.ok_or("a chunk of another height")?;
        let logits = View::new(scratch.buffer, 0, 4 * (rows * classes) as u64);
        let inputs = Inputs::new(logits, TargetViews::Hard(labels));
        plan.encode_loss_and_grad(encoder, &inputs, None, None, &Outputs::default())?;
        Ok(())
    }
}

/// One step of a head; prints its pieces.
pub fn print(context: &Context, args: &Args, name: &str) -> Result<(), Failure> {
    let kernels = context.kernels();
    let (device, queue) = (kernels.device(), kernels.queue());
    let method = method::find_head(name).ok_or_else(|| format!("there is no head {name}"))?;
    let head = (method.build)();
    let (rows, classes, dim) = (args.rows, args.classes, args.dim);
    let before = allocated(device);
    let plan = kernels.head(&head, &HeadRequest::new(rows, classes, dim).with_chunk(args.chunk))?;
    let loss = ChunkLoss::new(kernels, args, &plan)?;

    let buffer = |size: u64| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("memory"),
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    };
    let matrix = |rows: usize| buffer(4 * (rows * dim) as u64);
    let (features, weights) = (matrix(rows), matrix(classes));
    let (to_features, to_weights) = (matrix(rows), matrix(classes));
    let scratch = buffer(plan.scratch_bytes());
    let of_classes = |wanted: bool| wanted.then(|| buffer(4 * classes as u64));
    let scaled = head.class_scale != ClassScale::None;
    let [bias, class_scale, to_bias, to_class_scale] = [head.bias, scaled, head.bias, scaled].map(of_classes);
    let centre = head.centred.then(|| buffer(4 * dim as u64));
    // Once for the margins, contiguous, and chunk by chunk for the loss, where each chunk can be bound.
    let targets: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
    let labels = (head.margin != TargetMargin::None).then(|| buffer(4 * rows as u64));
    let step = (4 * plan.request().chunk as u64).next_multiple_of(256);
    let chunk_labels = buffer(step * plan.chunks().len() as u64);
    if let Some(labels) = &labels {
        queue.write_buffer(labels, 0, bytemuck::cast_slice(&targets));
    }
    for (chunk, rows) in plan.chunks().enumerate() {
        queue.write_buffer(&chunk_labels, step * chunk as u64, bytemuck::cast_slice(&targets[rows]));
    }
    // Features and weights that are not 0.
    for (buffer, rows) in [(&features, rows), (&weights, classes)] {
        let block: Vec<f32> = (0..1024 * dim).map(|at| (at % 251) as f32 / 251.0 - 0.5).collect();
        for row in (0..rows).step_by(1024) {
            let count = (rows - row).min(1024) * dim;
            queue.write_buffer(buffer, 4 * (row * dim) as u64, bytemuck::cast_slice(&block[..count]));
        }
    }
    queue.submit([]);
    device.poll(wgpu::PollType::wait_indefinitely())?;

    let mut views = HeadViews::new(View::whole(&features), View::whole(&weights));
    views.bias = bias.as_ref().map(View::whole);
    views.class_scale = class_scale.as_ref().map(View::whole);
    views.centre = centre.as_ref().map(View::whole);
    views.labels = labels.as_ref().map(View::whole);
    let gradients = HeadGradients {
        features: Some(View::whole(&to_features)),
        weights: Some(View::whole(&to_weights)),
        bias: to_bias.as_ref().map(View::whole),
        class_scale: to_class_scale.as_ref().map(View::whole),
        scale: None,
    };
    let start = Instant::now();
    let scratch_view = View::whole(&scratch);
    for (chunk, rows) in plan.chunks().enumerate() {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            if chunk == 0 {
                plan.begin(&mut pass, &views)?;
            }
            plan.forward(&mut pass, chunk, &views, scratch_view)?;
        }
        let labels = View::new(&chunk_labels, step * chunk as u64, 4 * rows.len() as u64);
        loss.record(&mut encoder, (rows.len(), classes), labels, scratch_view)?;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            plan.backward(&mut pass, chunk, &views, &gradients, scratch_view)?;
            if chunk + 1 == plan.chunks().len() {
                plan.finish(&mut pass, &views, &gradients)?;
            }
        }
        // One chunk at a time: a software adapter would otherwise hold the machine for long.
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely())?;
    }
    let took = start.elapsed().as_secs_f64();
    for (_, plan) in &loss.plans {
        plan.status()?;
    }
    let peak = taken(device, before);

    println!("{}: {rows} x {classes} x {dim}, {}", context.adapter_info().name, method.title);
    let size = |buffers: &[Option<&wgpu::Buffer>]| -> u64 {
        buffers.iter().flatten().map(|buffer| buffer.size()).sum()
    };
    let pieces = [
        ("features", features.size()),
        ("weights", weights.size()),
        ("gradient by features", to_features.size()),
        ("gradient by weights", to_weights.size()),
        (
            "of rows and classes",
            size(&[
                bias.as_ref(),
                class_scale.as_ref(),
                to_bias.as_ref(),
                to_class_scale.as_ref(),
                centre.as_ref(),
                labels.as_ref(),
                Some(&chunk_labels),
            ]),
        ),
        ("scratch", scratch.size()),
        ("plan of the head", plan.bytes()),
        ("plan of the loss", loss.bytes()),
    ];
    for (name, bytes) in pieces {
        println!("{name:<22}{bytes:>15}");
    }
    println!("{:<22}{:>15}", "in all", pieces.iter().map(|(_, bytes)| bytes).sum::<u64>());
    println!("{:<22}{peak:>15}", "device peak");
    println!("{:<22}{:>15}", "logits would have", 4 * rows as u64 * classes as u64);
    println!(
        "bytes; {} chunks with {} ranges of classes; {took:.1} s",
        plan.chunks().len(),
        plan.class_ranges().len()
    );
    Ok(())
}
