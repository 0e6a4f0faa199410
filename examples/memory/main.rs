//! What a step of a large vocabulary holds on the device, as the device's own allocator counts it: of a loss by element
//! type, or of a whole classifier head.
//!
//! `cargo run --release --example memory -- --help`

mod heads;
mod losses;

use longtail::gpu::Context;
use longtail::wgpu;

const HELP: &str = "\
Prints the device memory of one step (loss and gradient) in f32, f16 and bf16: with the gradient in place and in a
buffer of its own. With --head that of a whole head and its loss, from features to the gradients by features and weights.

Usage: memory [--rows N] [--classes K] [--method NAME] [--head NAME [--dim D] [--chunk R]]

  --rows N        default 64; 1024 with --head
  --classes K     default 262144
  --method NAME   of the softmax table, with hard labels (default seesaw; cross_entropy with --head)
  --head NAME     of the table of heads: linear, cosine, ...
  --dim D         length of a feature (default 256)
  --chunk R       rows whose logits are there at a time (default 64)
";

type Failure = Box<dyn std::error::Error>;

struct Args {
    rows: usize,
    classes: usize,
    method: String,
    head: Option<String>,
    dim: usize,
    chunk: usize,
}

fn arguments() -> Result<Option<Args>, Failure> {
    let (mut rows, mut method) = (None, None);
    let mut args = Args { rows: 0, classes: 262_144, method: String::new(), head: None, dim: 256, chunk: 64 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        if ["--help", "-h"].contains(&name.as_str()) {
            return Ok(None);
        }
        let value = given.next().ok_or_else(|| format!("{name} needs a value: see --help"))?;
        match name.as_str() {
            "--rows" => rows = Some(value.parse()?),
            "--classes" => args.classes = value.parse()?,
            "--method" => method = Some(value),
            "--head" => args.head = Some(value),
            "--dim" => args.dim = value.parse()?,
            "--chunk" => args.chunk = value.parse()?,
            _ => return Err(format!("there is no option {name}: see --help").into()),
        }
    }
    let (default_rows, default_method) =
        if args.head.is_some() { (1024, "cross_entropy") } else { (64, "seesaw") };
    args.rows = rows.unwrap_or(default_rows);
    args.method = method.unwrap_or_else(|| default_method.into());
    Ok(Some(args))
}

/// All bytes that buffers and images hold on the device now.
fn allocated(device: &wgpu::Device) -> Option<u64> {
    Some(device.generate_allocator_report()?.total_allocated_bytes)
}

/// What has been allocated since then, while everything is still there: the most that there was.
fn taken(device: &wgpu::Device, before: Option<u64>) -> String {
    allocated(device)
        .zip(before)
        .map_or_else(|| "not told".to_owned(), |(now, before)| (now - before).to_string())
}

fn main() -> Result<(), Failure> {
    let Some(args) = arguments()? else {
        print!("{HELP}");
        return Ok(());
    };
    let context = Context::new()?;
    match &args.head {
        Some(head) => heads::print(&context, &args, head)?,
        None => losses::print(&context, &args)?,
    }
    context.kernels().device().poll(wgpu::PollType::wait_indefinitely())?;
    Ok(())
}
