//! Prints how a method runs and the exact WGSL of its kernels: for engines that cannot share a wgpu device, and for
//! reading.
//!
//! `cargo run --example dump_wgsl -- --help`

use longtail::gpu::shader::Access;
use longtail::gpu::{Context, Mode, PlanRequest, Program, Storage, WindowNumbers};
use longtail::method::{self, Entry, Family, Method};
use longtail::{ClassCounts, Element, Loss, Profile};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::process::ExitCode;

const HELP: &str = "\
dump_wgsl METHOD [options]    print a method's plan and the WGSL of its kernels
dump_wgsl --list              print the methods

METHOD is a name of the method tables, for example balanced_softmax, equalization_v2 or dive.

  --rows N         rows of the batch (256)
  --classes K      classes (1000); range loss: the length of a feature
  --mode MODE      loss-and-grad (default) or forward-backward
  --storage WHERE  separate (default), shared or in-place: where the gradient goes
  --element TYPE   f32 (default), f16 or bf16: what logits and gradient are
  --layout WHOSE   adapter (default), or gpu: the layouts that a large GPU gets, whatever the adapter is
  --argmax         also find the class of the largest logit
  --help           this text

The choice of kernels depends on the adapter: that of WGPU_BACKEND and LONGTAIL_ADAPTER, or the fastest.";

struct Arguments {
    method: Entry,
    request: PlanRequest,
    as_on_a_gpu: bool,
}

/// `None`: the text that was asked for has been printed.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut found = None;
    let (mut rows, mut classes, mut argmax) = (256, 1000, false);
    let (mut mode, mut storage) = (Mode::LossAndGrad, Storage::Separate);
    let (mut element, mut as_on_a_gpu) = (Element::F32, false);
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
                for method in method::all() {
                    println!("{:32}  {}", method.name, method.title);
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
            "--element" => {
                let name = value()?;
                element =
                    Element::from_name(&name).ok_or_else(|| format!("--element {name}: f32, f16 or bf16"))?;
            }
            "--layout" => {
                as_on_a_gpu = match value()?.as_str() {
                    "adapter" => false,
                    "gpu" => true,
                    other => return Err(format!("--layout {other}: adapter or gpu")),
                }
            }
            name if name.starts_with('-') => return Err(format!("{name} is no option")),
            name => {
                let unknown = || format!("{name} is no method; --list names them");
                found =
                    Some(method::all().into_iter().find(|method| method.name == name).ok_or_else(unknown)?);
            }
        }
    }
    let method = found.ok_or("which method? --list names them")?;
    let mut request =
        PlanRequest::new(rows, classes).with_targets(method.targets).with_mode(mode).with_storage(storage);
    request.argmax = argmax;
    (request.logits, request.gradient) = (element, element);
    Ok(Some(Arguments { method, request, as_on_a_gpu }))
}

/// One kernel: name, launch, bindings, text.
fn describe(text: &mut String, key: &Program, (x, y): (u32, u32)) -> fmt::Result {
    writeln!(text, "\n// ======== {}", key.label())?;
    writeln!(text, "// entry point main, {x} x {y} x 1 workgroups of {} threads", key.workgroup())?;
    writeln!(text, "// {} bytes of workgroup memory", key.workgroup_bytes())?;
    for binding in key.bindings() {
        let access = match binding.access {
            Access::Uniform => "uniform",
            Access::Read => "storage, read",
            Access::ReadWrite => "storage, read_write",
        };
        writeln!(text, "// group 0, binding {}: {:14} {access}", binding.number, binding.name)?;
    }
    writeln!(text, "{}", key.wgsl())
}

/// The spec of a method in its family's table.
fn built<L>(methods: &[Method<L>], method: &Entry, counts: &ClassCounts) -> longtail::Result<L> {
    let found = methods.iter().find(|entry| entry.name == method.name).expect("an entry of this table");
    (found.build)(counts)
}

/// A method's loss, and the request with as many columns as it takes.
fn loss_of(method: &Entry, mut request: PlanRequest) -> longtail::Result<(Loss<'static>, PlanRequest)> {
    // The text depends on the terms, never on their numbers, so any counts will do.
    let counts = Profile::Exponential.counts(request.classes, 1000, 100.0)?;
    let mut columns = request.classes;
    let loss = match method.family {
        Family::Softmax => {
            let spec = built(method::SOFTMAX, method, &counts)?;
            request.class_scale_gradient = spec.class_scale.is_some();
            spec.into()
        }
        Family::Sigmoid => {
            let spec = built(method::SIGMOID, method, &counts)?;
            // Those with a background column have one more than there are classes.
            let background = spec.check(request.classes, method.targets).is_err();
            columns += usize::from(background);
            spec.into()
        }
        Family::Grouped => {
            let spec = built(method::GROUPED, method, &counts)?;
            columns = spec.columns();
            spec.into()
        }
        Family::Objectness => {
            let spec = built(method::OBJECTNESS, method, &counts)?;
            columns = spec.columns(columns);
            spec.into()
        }
        Family::Lade => built(method::LADE, method, &counts)?.into(),
        Family::Distillation => built(method::DISTILLATION, method, &counts)?.into(),
        Family::Range => built(method::RANGE, method, &counts)?.into(),
        other => unreachable!("a family without a table: {other:?}"),
    };
    (request.classes, request.logits_stride, request.gradient_stride) = (columns, columns, columns);
    Ok((loss, request))
}

fn dump(arguments: &Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let Arguments { method, request, as_on_a_gpu } = arguments;
    let context = Context::new()?;
    let (loss, request) = loss_of(method, request.clone())?;
    let kernels = match as_on_a_gpu {
        false => context.kernels().clone(),
        true => context.kernels().laid_out_as_on_a_gpu(),
    };
    let plan = kernels.plan(loss, &request)?;
    let mut text = String::new();
    writeln!(text, "// {}: {} ({})", method.title, method.formula, method.paper)?;
    writeln!(text, "// on {}", context.adapter_info().name)?;
    for line in plan.describe().lines() {
        writeln!(text, "// {line}")?;
    }
    writeln!(
        text,
        "// the uniform block Window has {} bytes; it and the others are below",
        size_of::<WindowNumbers>()
    )?;
    for (key, grid) in plan.kernels() {
        describe(&mut text, &key, grid)?;
    }
    Ok(text)
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
        Ok(text) => {
            // Whoever reads it may have seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
