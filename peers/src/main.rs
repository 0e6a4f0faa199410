//! Cross-entropy and seesaw, loss and gradient: longtail beside Burn's composition of tensor operations.

#[path = "../../benches/support/mod.rs"]
#[expect(unused_imports, reason = "the benches' support: this program uses its part")]
mod support;

mod burn_losses;
mod contender;
mod table;

use burn_losses::{Loss, Step};
use contender::Contender;
use longtail::gpu::Context;
use longtail::{Element, method};
use std::fmt::Write as _;
use std::path::PathBuf;
use support::{Data, Problem, Setup, largest_error};

type Failure = Box<dyn std::error::Error>;

/// N x K: LVIS, iNaturalist 2018, two vocabularies.
const SHAPES: [(usize, usize); 4] = [(256, 1203), (256, 8142), (64, 32_768), (32, 128_256)];
const LOSSES: [(&str, Loss); 2] = [("cross_entropy", Loss::CrossEntropy), ("seesaw", Loss::Seesaw)];
const ROUNDS: usize = 9;
const HELP: &str = "Usage: longtail-peers [--csv FILE] [--data FOLDER] [--shape NxK] [--rounds N]
       longtail-peers --table FILE...
       longtail-peers --folder

Times loss and gradient of cross-entropy and of seesaw by longtail and by Burn (wgpu backend, fusion, autotune,
autodiff) on the same Vulkan adapter, which it prints. Before it is timed, each gradient is compared with longtail's f64
reference, and the largest difference is printed. Every pass is queued without waiting for the one before. In
every round each library has each shape once, and the least round counts.
  --csv FILE      keep the results
  --data FOLDER   write logits, labels, counts and reference gradients, for torch_peer.py
  --shape NxK     this shape alone
  --rounds N      rounds, default 9
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
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut asked = Arguments { csv: None, data: None, shape: None, rounds: ROUNDS };
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
    let context = Context::new()?;
    let (device, burns) = burn_losses::device()?;
    let info = context.adapter_info();
    if burns != info.name {
        return Err(format!("Burn runs on {burns}, longtail on {}", info.name).into());
    }
    println!("adapter: {} ({}), Burn {}", info.name, info.driver_info, burn_losses::version());
    let mut contenders = Vec::new();
    for (rows, classes) in asked.shape.map_or(SHAPES.to_vec(), |shape| vec![shape]) {
        let data = Data::new(rows, classes);
        for (name, loss) in LOSSES {
            let method = method::find(name).ok_or("the method is gone")?;
            let reference = data.reference(method, Element::F32)?;
            if let Some(folder) = &asked.data {
                write_data(&folder.join(format!("{rows}x{classes}")), &data, name, &reference.gradient)?;
            }
            let problem = Problem::new(&context, method, &data, Setup::default())?;
            contenders.push(Contender::longtail(name, (rows, classes), problem));
            let batch = || Step::new(&device, loss, &data.logits, &data.labels, data.counts.counts());
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
            contenders.push(Contender::burn(name, (rows, classes), step, burn_losses::version(), error));
        }
    }
    for _ in 0..asked.rounds {
        contenders.iter_mut().for_each(Contender::round);
    }
    let mut csv = String::from(table::HEADER);
    csv.push('\n');
    for Contender { library, version, method, shape: (rows, classes), extra, error, least, .. } in &contenders
    {
        let (wall, processor) = (least.0 * 1e6, least.1 * 1e6);
        println!(
            "{method:<14} {rows:>4} x {classes:<7} {library:<10} wall {wall:>11.1} us, processor {processor:>11.1} us, \
             gradient off by {error:.1e} of its largest"
        );
        let extra = extra.map(|bytes| bytes.to_string()).unwrap_or_default();
        writeln!(
            csv,
            "{library},{version},{method},f32,{rows},{classes},loss_and_grad,{wall:.1},{processor:.1},{extra},{error:.2e}"
        )?;
    }
    if let Some(path) = &asked.csv {
        std::fs::write(path, csv)?;
    }
    Ok(())
}

/// Little-endian numbers, for other programs to read.
fn write_data(folder: &std::path::Path, data: &Data, name: &str, gradient: &[f64]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let counts: Vec<f32> = data.counts.counts().iter().map(|&count| count as f32).collect();
    std::fs::write(folder.join("logits.f32"), bytemuck::cast_slice(&data.logits))?;
    std::fs::write(folder.join("labels.i32"), bytemuck::cast_slice(&data.labels))?;
    std::fs::write(folder.join("counts.f32"), bytemuck::cast_slice(&counts))?;
    std::fs::write(folder.join(format!("{name}.f64")), bytemuck::cast_slice(gradient))?;
    Ok(())
}
