//! One table of all methods and shapes: `cargo bench --bench summary [-- --write] [FILTER]`.
//!
//! Methods of a shape take turns in rounds, and the median round counts, so that other work on the machine meets
//! all alike. `--write` keeps the table as `benches/record/ADAPTER/DATE.csv`.

mod support;

use longtail::{gpu::Context, method};
use std::fmt::Write as _;
use support::{Data, Problem, SHAPES, Setup, software};

const ROUNDS: usize = 9;
const HELP: &str = "Usage: cargo bench --bench summary [-- [--write] [FILTER]]

Times loss and gradient of every method whose name contains FILTER, and cross-entropy, on each shape.
  --write   keep the results as benches/record/ADAPTER/DATE.csv
";

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let write = arguments.iter().any(|argument| argument == "--write");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-')).cloned().unwrap_or_default();
    let context = Context::new()?;
    let software = software(&context);
    let info = context.adapter_info();
    let clock = if software { "processor" } else { "device" };
    println!(
        "adapter: {} ({}); times by the {clock}'s clock, medians of {ROUNDS}",
        info.name, info.driver_info
    );
    let mut csv = String::from(
        "method,element,rows,classes,mode,lanes,workgroup,chip,microseconds,gb_per_s,of_copy,ratio_to_cross_entropy,extra_bytes\n",
    );
    for (rows, classes) in SHAPES {
        let data = Data::new(rows, classes);
        let mut problems = Vec::new();
        for method in method::SOFTMAX {
            if method.name == "cross_entropy" || method.name.contains(&filter) {
                problems.push((method.name, Problem::new(&context, method, &data, Setup::default())?));
            }
        }
        // Passes of about 20 ms together.
        let first =
            &problems.iter().find(|(name, _)| *name == "cross_entropy").ok_or("cross_entropy is gone")?.1;
        let once = first.run(4).steady(software).as_secs_f64() / 4.0;
        let passes = ((0.02 / once.max(1e-7)) as u64).clamp(1, 2000);
        let mut times = vec![Vec::new(); problems.len()];
        let mut copies = Vec::new();
        for _ in 0..ROUNDS {
            copies.push(first.copy(passes).steady(software).as_secs_f64() / passes as f64);
            for ((_, problem), times) in problems.iter().zip(&mut times) {
                times.push(problem.run(passes).steady(software).as_secs_f64() / passes as f64);
            }
        }
        let copy = median(copies);
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        let plain = problems
            .iter()
            .zip(&medians)
            .find(|((name, _), _)| *name == "cross_entropy")
            .map_or(f64::NAN, |(_, time)| *time);
        println!("\n{rows} x {classes}: a copy takes {:.1} us", copy * 1e6);
        println!(
            "{:<30} {:>10} {:>8} {:>8} {:>8} {:>12}",
            "method", "us", "GB/s", "of copy", "of CE", "extra bytes"
        );
        for ((name, problem), time) in problems.iter().zip(&medians) {
            let rate = problem.minimal_bytes() as f64 / time / 1e9;
            let (of_copy, ratio, extra) = (copy / time, time / plain, problem.plan.bytes());
            let micros = time * 1e6;
            println!("{name:<30} {micros:>10.1} {rate:>8.2} {of_copy:>8.3} {ratio:>8.2} {extra:>12}");
            let choice = problem.plan.choice();
            let (lanes, workgroup, chip) = (choice.lanes, choice.workgroup, choice.chip);
            writeln!(
                csv,
                "{name},f32,{rows},{classes},loss_and_grad,{lanes},{workgroup},{chip},{micros:.2},{rate:.3},{of_copy:.4},{ratio:.3},{extra}"
            )?;
        }
    }
    if write {
        let adapter: String = info
            .name
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
            .collect();
        let folder =
            std::path::Path::new("benches/record").join(adapter.trim_matches('-').replace("--", "-"));
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.csv", today()?));
        let head = format!(
            "# cargo bench --bench summary -- --write {filter}\n# {} {}; {clock} time\n",
            info.name, info.driver_info
        );
        std::fs::write(&path, head + &csv)?;
        println!("\nwritten to {}", path.display());
    }
    Ok(())
}

/// Today, as the system's `date` says it.
fn today() -> Result<String, Box<dyn std::error::Error>> {
    let output = std::process::Command::new("date").args(["-u", "+%F"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
