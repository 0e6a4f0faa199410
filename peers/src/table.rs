//! The results of several files, side by side.

use std::fmt::Write as _;
use std::path::PathBuf;

/// The columns of a file of results, also those that torch_peer.py writes.
pub const HEADER: &str =
    "library,version,method,element,rows,classes,mode,wall_us,processor_us,extra_bytes,gradient_error";

/// A line for each problem, two columns for each library: processor time, and how many times longtail's it is.
pub fn of(files: &[PathBuf]) -> Result<String, Box<dyn std::error::Error>> {
    let (mut libraries, mut problems, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        for line in std::fs::read_to_string(file)?.lines() {
            let cell: Vec<&str> = line.split(',').collect();
            if line.starts_with('#') || line == HEADER {
                continue;
            }
            let [library, version, method, _, rows, classes, _, wall, processor, _, error] = cell[..] else {
                return Err(format!("{}: {line}", file.display()).into());
            };
            let library = format!("{library} {version}");
            let problem = format!("{method} {rows} x {classes}");
            let wrong = error.parse::<f64>().map_or(true, |error| error > 1e-4 || error.is_nan());
            let numbers: (f64, f64) = (wall.parse()?, processor.parse()?);
            if !libraries.contains(&library) {
                libraries.push(library.clone());
            }
            if !problems.contains(&problem) {
                problems.push(problem.clone());
            }
            cells.push((library, problem, numbers, wrong));
        }
    }
    let mut text = String::from(
        "processor microseconds of loss and gradient, (times longtail's), [wall microseconds]\n",
    );
    for problem in &problems {
        writeln!(text, "\n{problem}")?;
        let own =
            cells.iter().find(|(library, other, ..)| library.starts_with("longtail ") && other == problem);
        let own = own.map_or(f64::NAN, |(_, _, (_, processor), _)| *processor);
        for library in &libraries {
            let found = cells.iter().find(|(other, at, ..)| other == library && at == problem);
            let Some((_, _, (wall, processor), wrong)) = found else { continue };
            let wrong = if *wrong { "  WRONG RESULT" } else { "" };
            writeln!(
                text,
                "  {library:<28} {processor:>12.0} ({:>6.2}) [{wall:>10.0}]{wrong}",
                processor / own
            )?;
        }
    }
    Ok(text)
}
