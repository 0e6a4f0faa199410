//! Cross-entropy and seesaw, loss and gradient: longtail beside Burn's composition of tensor operations.

#[path = "../../benches/support/mod.rs"]
mod support;

mod burn_losses;
mod contender;
mod table;

use burn::tensor::Device;
use burn_losses::{Loss, Step};
use contender::{Contender, Subject};
use longtail::gpu::Context;
use longtail::method::{self, Method};
use longtail::{Element, reference::Output};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use support::{Data, Problem, Setup, largest_error, software};

type Failure = Box<dyn std::error::Error>;

/// N x K for a driver that runs on the processor: LVIS, iNaturalist 2018, two vocabularies.
const ON_PROCESSOR: [(usize, usize); 4] = [(256, 1203), (256, 8142), (64, 32_768), (32, 128_256)];
/// The same classes with as many rows as fill a GPU.
const ON_GPU: [(usize, usize); 4] = [(16_384, 1203), (4096, 8142), (2048, 32_768), (512, 128_256)];
const LOSSES: [(&str, Loss); 2] = [("cross_entropy", Loss::CrossEntropy), ("seesaw", Loss::Seesaw)];
const ROUNDS: usize = 9;
const HELP: &str = "Usage: longtail-peers [--csv FILE] [--data FOLDER] [--shape NxK] [--rounds N] [--no-burn]
       longtail-peers --table FILE...
       longtail-peers --folder

Times loss and gradient of cross-entropy and of seesaw by longtail and by Burn (wgpu backend, fusion, autotune,
autodiff) on the same Vulkan adapter, which it prints. Before it is timed, each gradient is compared with longtail's f64
reference, and the largest difference is printed. Every pass is queued without waiting for the one before. In
every round each library has each shape once, and the least round counts. On a GPU the shapes are larger, longtail is
timed by the device's clock too (all passes of a round in one submission, timestamps around them), and its cross-entropy
in bf16 too.
  --csv FILE      keep the results
  --data FOLDER   write logits, labels, counts and reference gradients, for torch_peer.py; on a GPU the references in
                  f32, which is exact enough, 4 GB in all: best in memory (/dev/shm)
  --shape NxK     this shape alone
  --rounds N      rounds, default 9
  --no-burn       longtail alone
  --table FILE... print the results in these files side by side, and time nothing
  --folder        print where this adapter's records are kept
  --help          this text
";

/// What was asked for.
struct Arguments {
    csv: Option<PathBuf>,
    data: Option<PathBuf>,
    shape: Option<(usize, usize)>,
    rounds: usize,
    burn: bool,
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut asked = Arguments { csv: None, data: None, shape: None, rounds: ROUNDS, burn: true };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(());
            }
            "--table" => {
                print!("{}", table::of(&arguments.map(PathBuf::from).collect::<Vec<_>>())?);
                return Ok(());
            }
            "--folder" => {
                let context = Context::new()?;
                println!("{}", support::record::folder(context.adapter_info()).display());
                return Ok(());
            }
            "--no-burn" => asked.burn = false,
            "--csv" => asked.csv = Some(value()?.into()),
            "--data" => asked.data = Some(value()?.into()),
            "--rounds" => asked.rounds = value()?.parse::<usize>()?.max(1),
            "--shape" => {
                let text = value()?;
                let (rows, classes) = text.split_once('x').ok_or("a shape is NxK")?;
                asked.shape = Some((rows.parse()?, classes.parse()?));
            }
            other => return Err(format!("unknown argument {other}\n{HELP}").into()),
        }
    }
    run(&asked)
}

fn run(asked: &Arguments) -> Result<(), Failure> {
    let begin = Instant::now();
    let context = Context::new()?;
    let software = software(&context);
    let info = context.adapter_info();
    let burn = asked.burn.then(burn_losses::device).transpose()?;
    if let Some((_, name)) = &burn
        && *name != info.name
    {
        return Err(format!("Burn runs on {name}, longtail on {}", info.name).into());
    }
    let version = burn.as_ref().map(|_| format!(", Burn {}", burn_losses::version())).unwrap_or_default();
    println!("adapter: {} ({}){version}", info.name, info.driver_info);
    let shapes: &[(usize, usize)] = if software { &ON_PROCESSOR } else { &ON_GPU };
    let mut contenders = Vec::new();
    let mut failed = 0;
    for (rows, classes) in asked.shape.map_or(shapes.to_vec(), |shape| vec![shape]) {
        let data = Data::new(rows, classes);
        let folder = asked.data.as_ref().map(|folder| folder.join(format!("{rows}x{classes}")));
        if let Some(folder) = &folder {
            write_batch(folder, &data)?;
        }
        let problems = problems(software)?;
        for some in problems.chunks(data.at_a_time()) {
            data.prepare(some)?;
            for &(method, element) in some {
                let subject = Subject { method: method.name, element, shape: (rows, classes) };
                let reference = data.reference(method, element)?;
                if let Some(folder) = &folder {
                    write_reference(folder, subject, &reference.gradient, software)?;
                }
                let setup = Setup { element, ..Setup::default() };
                match Problem::new(&context, method, &data, setup) {
                    Ok(problem) => contenders.push(Contender::longtail(subject, problem, software)),
                    // The others' results are worth having all the same.
                    Err(error) => {
                        println!("{} {} {rows}x{classes}: longtail: {error}", method.name, element.name());
                        failed += 1;
                    }
                }
                if let Some((device, _)) = burn.as_ref().filter(|_| element == Element::F32) {
                    contenders.push(burns(device, subject, &data, &reference, software)?);
                }
            }
        }
        eprintln!("{:6.1} s: prepared {rows} x {classes}", begin.elapsed().as_secs_f64());
    }
    for _ in 0..asked.rounds {
        contenders.iter_mut().for_each(Contender::round);
    }
    eprintln!("{:6.1} s: timed", begin.elapsed().as_secs_f64());
    let mut csv = String::from(table::HEADER);
    csv.push('\n');
    for contender in &contenders {
        csv.push_str(&line(contender)?);
    }
    if let Some(path) = &asked.csv {
        std::fs::write(path, csv)?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("longtail failed {failed} times, see above").into()),
    }
}

/// Methods and element types. Only a GPU gains from 16 bits.
fn problems(software: bool) -> Result<Vec<(&'static Method, Element)>, Failure> {
    let mut wanted: Vec<_> = LOSSES.iter().map(|&(name, _)| (name, Element::F32)).collect();
    if !software {
        wanted.push(("cross_entropy", Element::Bf16));
    }
    let found = wanted.into_iter().map(|(name, element)| method::find(name).map(|method| (method, element)));
    Ok(found.collect::<Option<Vec<_>>>().ok_or("a method is gone")?)
}

/// Burn's part, compared with the reference.
fn burns(
    device: &Device,
    subject: Subject,
    data: &Data,
    reference: &Output,
    software: bool,
) -> Result<Contender, Failure> {
    let (name, (rows, classes)) = (subject.method, subject.shape);
    let (_, loss) = *LOSSES.iter().find(|(other, _)| *other == name).ok_or("Burn has no such loss")?;
    let batch = || Step::new(device, loss, &data.logits, &data.labels, data.counts.counts());
    // The first pass tunes kernels; the batch that is checked is a new one, since seesaw counts labels.
    drop(batch().run());
    let mut step = batch();
    let (value, gradient) = step.run();
    let got = gradient.into_data().try_to_vec::<f32>()?;
    let error = largest_error(&reference.gradient, &got);
    let value = f64::from(value.into_scalar::<f32>());
    if !(error <= 1e-4 && (value - reference.loss).abs() <= 1e-4 * reference.loss.abs()) {
        // Recorded, not hidden: the time of a wrong result is no peer's merit.
        let wanted = reference.loss;
        println!(
            "{name} {rows}x{classes}: Burn's loss is {value}, {wanted} wanted; its gradient is off by {error:e}"
        );
    }
    Ok(Contender::burn(subject, step, burn_losses::version(), error, software))
}

/// Prints a result, and returns it as a line of a file.
fn line(contender: &Contender) -> Result<String, std::fmt::Error> {
    let Contender { library, version, subject, extra, error, least, .. } = contender;
    let (Subject { method, element, .. }, (rows, classes)) = (*subject, subject.shape);
    let (wall, processor) = (least.wall * 1e6, least.processor * 1e6);
    let device = least.device.map(|device| device * 1e6);
    let by_device = device.map(|device| format!("device {device:>11.1} us, ")).unwrap_or_default();
    println!(
        "{method:<14} {:<4} {rows:>5} x {classes:<7} {library:<10} wall {wall:>11.1} us, processor {processor:>11.1} us, \
         {by_device}gradient off by {error:.1e} of its largest",
        element.name()
    );
    let device = device.map(|device| format!("{device:.1}")).unwrap_or_default();
    let extra = extra.map(|bytes| bytes.to_string()).unwrap_or_default();
    let mut text = String::new();
    writeln!(
        text,
        "{library},{version},{method},{},{rows},{classes},loss_and_grad,{wall:.1},{processor:.1},{device},{extra},\
         {error:.2e}",
        element.name()
    )?;
    Ok(text)
}

/// Little-endian numbers, for other programs to read.
fn write_batch(folder: &Path, data: &Data) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let counts: Vec<f32> = data.counts.counts().iter().map(|&count| count as f32).collect();
    std::fs::write(folder.join("logits.f32"), bytemuck::cast_slice(&data.logits))?;
    std::fs::write(folder.join("labels.i32"), bytemuck::cast_slice(&data.labels))?;
    std::fs::write(folder.join("counts.f32"), bytemuck::cast_slice(&counts))?;
    Ok(())
}

/// The gradient of the logits as they are, `METHOD.f64`, or of the rounded ones, `METHOD-ELEMENT.f64`. A GPU's shapes
/// make gigabytes of it, so there it is `.f32`: off by 6e-8 of a number, where 1e-4 of the largest is looked for.
fn write_reference(folder: &Path, subject: Subject, gradient: &[f64], software: bool) -> Result<(), Failure> {
    let name = match subject.element {
        Element::F32 => subject.method.to_owned(),
        element => format!("{}-{}", subject.method, element.name()),
    };
    if software {
        std::fs::write(folder.join(format!("{name}.f64")), bytemuck::cast_slice(gradient))?;
    } else {
        let rounded: Vec<f32> = gradient.iter().map(|&slope| slope as f32).collect();
        std::fs::write(folder.join(format!("{name}.f32")), bytemuck::cast_slice(&rounded))?;
    }
    Ok(())
}
