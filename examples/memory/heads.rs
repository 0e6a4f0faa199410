//! Memory of a classifier head with its loss in one step: logits exist for a chunk of rows at a time.

use longtail::gpu::head::{HeadGradients, HeadLossRequest, HeadLossViews, HeadViews};
use longtail::gpu::{Context, Outputs, TargetViews, View};
use longtail::head::{ClassScale, HeadLoss};
use longtail::{ClassCounts, method, wgpu};
use std::time::Instant;

use crate::{Args, Failure, allocated, taken};

/// One step of a head; prints its pieces.
pub fn print(context: &Context, args: &Args, name: &str) -> Result<(), Failure> {
    let kernels = context.kernels();
    let (device, queue) = (kernels.device(), kernels.queue());
    let method = method::find_head(name).ok_or_else(|| format!("there is no head {name}"))?;
    let head = (method.build)();
    let (rows, classes, dim) = (args.rows, args.classes, args.dim);
    let before = allocated(device);
    let of_loss = method::find(&args.method).ok_or_else(|| format!("there is no method {}", args.method))?;
    let counts: Vec<u64> = (1..=classes as u64).map(|rank| 1 + 10_000_000 / rank).collect();
    let spec = HeadLoss::new(head.clone(), (of_loss.build)(&ClassCounts::new(counts)?)?);
    let scratch_bytes = 4 * args.chunk as u64 * classes as u64;
    let request = HeadLossRequest::new(rows, classes, dim).with_scratch_bytes(scratch_bytes);
    let plan = kernels.head_loss(&spec, &request)?;

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
    let targets: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
    let labels = buffer(4 * rows as u64);
    queue.write_buffer(&labels, 0, bytemuck::cast_slice(&targets));
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
    let gradients = HeadGradients {
        features: Some(View::whole(&to_features)),
        weights: Some(View::whole(&to_weights)),
        bias: to_bias.as_ref().map(View::whole),
        class_scale: to_class_scale.as_ref().map(View::whole),
        scale: None,
    };
    let targets = TargetViews::Hard(View::whole(&labels));
    let views = HeadLossViews::new(views, targets, View::whole(&scratch));
    let start = Instant::now();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.encode_loss_and_grad(&mut encoder, &views, &gradients, &Outputs::default())?;
    queue.submit([encoder.finish()]);
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let took = start.elapsed().as_secs_f64();
    plan.loss().status()?;
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
                Some(&labels),
            ]),
        ),
        ("scratch", scratch.size()),
        ("plan of the head", plan.head().bytes()),
        ("plan of the loss", plan.loss().bytes()),
    ];
    for (name, bytes) in pieces {
        println!("{name:<22}{bytes:>15}");
    }
    println!("{:<22}{:>15}", "in all", pieces.iter().map(|(_, bytes)| bytes).sum::<u64>());
    println!("{:<22}{peak:>15}", "device peak");
    println!("{:<22}{:>15}", "logits would have", 4 * rows as u64 * classes as u64);
    println!(
        "bytes; {} chunks with {} ranges of classes; {took:.1} s",
        plan.chunks().1,
        plan.head().class_ranges().len()
    );
    Ok(())
}
