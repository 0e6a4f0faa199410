//! Trains a classifier head on long-tailed data with the losses of the field, and shows what each of them does
//! to the classes with many, medium and few training rows. `--help` tells the options.
//!
//! The features are fixed; only the head learns, by gradient descent with momentum, the same for every loss.
//! LDAM has a cosine head, as in its authors' code, and a learning rate that suits it. With `--head` every loss has the
//! same head, whose products are the crate's as well.

mod args;
mod corpus;
mod data;
mod device;
mod head;
mod losses;
mod plot;
mod train;
mod wine;
mod words;

use std::process::ExitCode;
use std::time::Instant;

use longtail::gpu::Context;

use args::Args;
use data::Task;

/// Anything that ends the program, with a message for people.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        print!("{}", args::HELP);
        return Ok(());
    };
    let context = Context::new()?;
    let adapter = context.adapter_info();
    println!("adapter: {} ({}, {})", adapter.name, adapter.backend, adapter.driver_info);
    if args.wine {
        compare(&context, wine::load(args.seed)?, &args)?;
    }
    if args.words {
        compare(&context, words::load(args.text.as_deref(), args.classes, args.seed)?, &args)?;
    }
    Ok(())
}

/// Trains with every loss, prints the table and draws the plot.
fn compare(context: &Context, mut task: Task, args: &Args) -> Result<(), Failure> {
    let epoch = task.train.labels.len().div_ceil(task.schedule.batch);
    let steps = args.steps.or(args.epochs.map(|epochs| epochs * epoch));
    task.schedule.steps = steps.unwrap_or(task.schedule.steps);
    println!("\n{}: {}", task.name, task.about);

    let started = Instant::now();
    let mut rows = vec![];
    for name in &args.losses {
        let recipe = losses::recipe(name, &task.counts, args.seed)?;
        let report = train::train(context, &task, &recipe, args.head, args.seed)?;
        rows.push((recipe.title, report));
    }
    let percent = |value: Option<f64>| value.map_or("-".into(), |value| format!("{:.1}", 100.0 * value));
    println!("\n{:<28}{:>8}{:>8}{:>8}{:>8}", "class-mean accuracy, %", "Many", "Medium", "Few", "All");
    for (title, report) in &rows {
        let [many, medium, few, all] = report.row().map(|(_, value)| percent(value));
        println!("{title:<28}{many:>8}{medium:>8}{few:>8}{all:>8}");
    }
    std::fs::create_dir_all(&args.out).map_err(|error| format!("{}: {error}", args.out.display()))?;
    let path = args.out.join(format!("{}.svg", task.name));
    plot::draw(&path, &task.about, &task.counts, &rows)?;
    println!("{:.0} s; plot: {}", started.elapsed().as_secs_f64(), path.display());
    Ok(())
}
