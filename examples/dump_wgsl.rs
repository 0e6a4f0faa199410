//! Prints how a method runs and the exact WGSL of its kernels: for engines that cannot share a wgpu device, and for
//! reading.
//!
//! `cargo run --example dump_wgsl -- --help`

use longtail::gpu::shader::Access;
use longtail::gpu::{Context, Mode, PlanRequest, Program, SoftmaxNumbers, Storage, WindowNumbers};
use longtail::{Profile, method};
use std::process::ExitCode;

const HELP: &str = "\
dump_wgsl METHOD [options]    print a method's plan and the WGSL of its kernels
dump_wgsl --list              print the methods

METHOD is a name of the method table, for example balanced_softmax.

  --rows N         rows of the batch (256)
  --classes K      classes (1000)
  --mode MODE      loss-and-grad (default) or forward-backward
  --storage WHERE  separate (default), shared or in-place: where the gradient goes
  --argmax         also find the class of the largest logit
  --help           this text

The choice of kernels depends on the adapter: that of WGPU_BACKEND and LONGTAIL_ADAPTER, or the fastest.";

struct Arguments {
    method: &'static method::Method,
    request: PlanRequest,
}

/// `None`: the text that was asked for has been printed.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut found = None;
    let (mut rows, mut classes, mut argmax) = (256, 1000, false);
    let (mut mode, mut storage) = (Mode::LossAndGrad, Storage::Separate);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        let number =
            |text: String| text.parse::<usize>().map_err(|error| format!("{argument} {text}: {error}"));
        match argument.as_str() {
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(None);
            }
            "--list" => {
                for method in method::SOFTMAX {
                    println!("{:28}  {}", method.name, method.title);
                }
                return Ok(None);
            }
            "--argmax" => argmax = true,
            "--rows" => rows = number(value()?)?,
            "--classes" => classes = number(value()?)?,
            "--mode" => {
                mode = match value()?.as_str() {
                    "loss-and-grad" => Mode::LossAndGrad,
                    "forward-backward" => Mode::ForwardBackward,
                    other => return Err(format!("--mode {other}: loss-and-grad or forward-backward")),
                }
            }
            "--storage" => {
                storage = match value()?.as_str() {
                    "separate" => Storage::Separate,
                    "shared" => Storage::Shared,
                    "in-place" => Storage::InPlace,
                    other => return Err(format!("--storage {other}: separate, shared or in-place")),
                }
            }
            name if name.starts_with('-') => return Err(format!("{name} is no option")),
            name => {
                let unknown = || format!("{name} is no method; --list names them");
                found = Some(method::find(name).ok_or_else(unknown)?);
            }
        }
    }
    let method = found.ok_or("which method? --list names them")?;
    let mut request =
        PlanRequest::new(rows, classes).with_targets(method.targets).with_mode(mode).with_storage(storage);
    request.argmax = argmax;
    Ok(Some(Arguments { method, request }))
}

/// One kernel: name, launch, bindings, text.
fn print(key: &Program, (x, y): (u32, u32)) {
    println!("\n// ======== {}", key.label());
    println!("// entry point main, {x} x {y} x 1 workgroups of {} threads", key.workgroup());
    println!("// {} bytes of workgroup memory", key.workgroup_bytes());
    for binding in key.bindings() {
        let access = match binding.access {
            Access::Uniform => "uniform",
            Access::Read => "storage, read",
            Access::ReadWrite => "storage, read_write",
        };
        println!("// group 0, binding {}: {:14} {access}", binding.number, binding.name);
    }
    println!("{}", key.wgsl());
}

fn dump(arguments: &Arguments) -> longtail::Result<()> {
    let Arguments { method, request } = arguments;
    let context = Context::new()?;
    // The text depends on the terms, never on their numbers, so any counts will do.
    let counts = Profile::Exponential.counts(request.classes, 1000, 100.0)?;
    let mut request = request.clone();
    let spec = (method.build)(&counts)?;
    request.class_scale_gradient = spec.class_scale.is_some();
    let plan = context.kernels().plan(&spec, &request)?;
    println!("// {}: {} ({})", method.title, method.formula, method.paper);
    println!("// on {}", context.adapter_info().name);
    for line in plan.describe().lines() {
        println!("// {line}");
    }
    let (window, spec) = (size_of::<WindowNumbers>(), size_of::<SoftmaxNumbers>());
    println!("// uniform blocks: Window of {window} bytes, Spec of {spec}, below");
    for (key, grid) in plan.kernels() {
        print(&key, grid);
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match dump(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
