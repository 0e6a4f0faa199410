//! Memory of a loss on logits that are there.

use longtail::gpu::{Context, Inputs, Outputs, PlanRequest, Storage, TargetViews, View};
use longtail::{ClassCounts, Element, method, wgpu};
use std::time::Instant;

use crate::{Args, Failure, allocated, taken};

/// Loss and gradient in every element type, in place and apart.
pub fn print(context: &Context, args: &Args) -> Result<(), Failure> {
    let method = method::find(&args.method).ok_or_else(|| format!("there is no method {}", args.method))?;
    let counts: Vec<u64> = (1..=args.classes as u64).map(|rank| 1 + 10_000_000 / rank).collect();
    let spec = (method.build)(&ClassCounts::new(counts)?)?;
    println!("{}: {} x {}, {}", context.adapter_info().name, args.rows, args.classes, method.title);
    println!(
        "{:<6} {:<9} {:>14} {:>14} {:>14} {:>14} {:>9}",
        "type", "gradient", "logits", "gradient", "plan", "device peak", "ms"
    );
    for element in Element::ALL {
        for storage in [Storage::InPlace, Storage::Separate] {
            step(context, &spec, args, element, storage)?;
        }
    }
    println!("bytes; the plan holds numbers of rows and of classes, never of rows times classes");
    Ok(())
}

/// One step; prints what it held.
fn step(
    context: &Context,
    spec: &longtail::SoftmaxLoss,
    args: &Args,
    element: Element,
    storage: Storage,
) -> Result<(), Failure> {
    let kernels = context.kernels();
    let (device, queue) = (kernels.device(), kernels.queue());
    let before = allocated(device);
    let request =
        PlanRequest::new(args.rows, args.classes).with_storage(storage).with_elements(element, element);
    let plan = kernels.plan(spec, &request)?;
    let bytes = (element.bytes() * (args.rows * args.classes) as u64).next_multiple_of(4);
    let buffer = |size: u64| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("memory"),
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    };
    let (logits, labels, loss) = (buffer(bytes), buffer(4 * args.rows as u64), buffer(4));
    let apart = (storage == Storage::Separate).then(|| buffer(bytes));
    let targets: Vec<i32> = (0..args.rows).map(|row| (row * 7919 % args.classes) as i32).collect();
    queue.write_buffer(&labels, 0, bytemuck::cast_slice(&targets));
    let inputs = Inputs::new(View::whole(&logits), TargetViews::Hard(View::whole(&labels)));
    let outputs = Outputs { loss: Some(View::whole(&loss)), ..Outputs::default() };
    let mut took = 0.0;
    // The first step compiles what the driver has left.
    for _ in 0..2 {
        let start = Instant::now();
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let gradient = apart.as_ref().map(|buffer| View::whole(buffer).into());
        plan.encode_loss_and_grad(&mut encoder, &inputs, gradient, None, &outputs)?;
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely())?;
        took = start.elapsed().as_secs_f64() * 1e3;
    }
    plan.status()?;
    // Everything is still there: what is allocated now is the most that there was.
    let peak = taken(device, before);
    println!(
        "{:<6} {:<9} {bytes:>14} {:>14} {:>14} {peak:>14} {took:>9.1}",
        element.name(),
        if apart.is_some() { "apart" } else { "in place" },
        apart.as_ref().map_or(0, |_| bytes),
        plan.bytes(),
    );
    Ok(())
}
