//! What a step of a large vocabulary holds on the device, by element type, as the device's own allocator counts it.
//!
//! `cargo run --release --example memory -- --help`

use longtail::gpu::{Context, Inputs, Outputs, PlanRequest, Storage, TargetViews, View};
use longtail::{ClassCounts, Element, method, wgpu};
use std::time::Instant;

const HELP: &str = "\
Prints the device memory of one step (loss and gradient) in f32, f16 and bf16: with the gradient in place and in a
buffer of its own.

Usage: memory [--rows N] [--classes K] [--method NAME]

  --rows N        default 64
  --classes K     default 262144
  --method NAME   of the method table, with hard labels (default seesaw)
";

type Failure = Box<dyn std::error::Error>;

struct Args {
    rows: usize,
    classes: usize,
    method: String,
}

fn arguments() -> Result<Option<Args>, Failure> {
    let mut args = Args { rows: 64, classes: 262_144, method: "seesaw".into() };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        if ["--help", "-h"].contains(&name.as_str()) {
            return Ok(None);
        }
        let value = given.next().ok_or_else(|| format!("{name} needs a value: see --help"))?;
        match name.as_str() {
            "--rows" => args.rows = value.parse()?,
            "--classes" => args.classes = value.parse()?,
            "--method" => args.method = value,
            _ => return Err(format!("there is no option {name}: see --help").into()),
        }
    }
    Ok(Some(args))
}

/// All bytes that buffers and images hold on the device now.
fn allocated(device: &wgpu::Device) -> Option<u64> {
    Some(device.generate_allocator_report()?.total_allocated_bytes)
}

fn main() -> Result<(), Failure> {
    let Some(args) = arguments()? else {
        print!("{HELP}");
        return Ok(());
    };
    let context = Context::new()?;
    let kernels = context.kernels();
    let device = kernels.device();
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
            step(&context, &spec, &args, element, storage)?;
        }
    }
    println!("bytes; the plan holds numbers of rows and of classes, never of rows times classes");
    device.poll(wgpu::PollType::wait_indefinitely())?;
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
    let peak = allocated(device)
        .zip(before)
        .map_or_else(|| "not told".to_owned(), |(now, before)| (now - before).to_string());
    println!(
        "{:<6} {:<9} {bytes:>14} {:>14} {:>14} {peak:>14} {took:>9.1}",
        element.name(),
        if apart.is_some() { "apart" } else { "in place" },
        apart.as_ref().map_or(0, |_| bytes),
        plan.bytes(),
    );
    Ok(())
}
