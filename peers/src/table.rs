//! The results of several files, side by side.

use longtail::Element;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The columns of a file of results, also those that torch_peer.py writes.
pub const HEADER: &str = "library,version,method,element,rows,classes,mode,wall_us,processor_us,device_us,\
    extra_bytes,gradient_error";

/// A line of a file.
struct Cell {
    library: String,
    problem: String,
    /// Microseconds by three clocks.
    wall: f64,
    processor: f64,
    device: Option<f64>,
    wrong: bool,
}

impl Cell {
    fn parse(line: &str) -> Option<Self> {
        let mut cells: Vec<&str> = line.split(',').collect();
        if cells.len() == 11 {
            // A record from before there was a column for the device's clock.
            cells.insert(9, "");
        }
        let [library, version, method, element, rows, classes, _, wall, processor, device, _, error] =
            cells[..]
        else {
            return None;
        };
        let (suffix, rounding) = match Element::from_name(element)? {
            Element::F32 => (String::new(), 0.0),
            Element::F16 => (format!(" {element}"), 2f64.powi(-11)),
            _ => (format!(" {element}"), 2f64.powi(-8)),
        };
        let device = if device.is_empty() { None } else { Some(device.parse().ok()?) };
        // A NaN fails the comparison.
        let right = error.parse::<f64>().is_ok_and(|error| error <= 1e-4 + rounding);
        Some(Self {
            library: format!("{library} {version}"),
            problem: format!("{method} {rows} x {classes}{suffix}"),
            wall: wall.parse().ok()?,
            processor: processor.parse().ok()?,
            device,
            wrong: !right,
        })
    }
}

/// A line for each problem and library: time, and how many times longtail's it is. The time is the device's where both
/// have it, else the processors'; beside a device's it is the wall's, since the processors are not what works there.
pub fn of(files: &[PathBuf]) -> Result<String, Box<dyn std::error::Error>> {
    let (mut libraries, mut problems, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        for line in std::fs::read_to_string(file)?.lines() {
            if line.starts_with('#') || line.starts_with("library,") {
                continue;
            }
            let cell = Cell::parse(line).ok_or_else(|| format!("{}: {line}", file.display()))?;
            if !libraries.contains(&cell.library) {
                libraries.push(cell.library.clone());
            }
            if !problems.contains(&cell.problem) {
                problems.push(cell.problem.clone());
            }
            cells.push(cell);
        }
    }
    let is_own = |cell: &&Cell| cell.library.starts_with("longtail ");
    let on_gpu = cells.iter().filter(is_own).any(|cell| cell.device.is_some());
    let clock = if on_gpu { "device" } else { "processor" };
    let mut text =
        format!("{clock} microseconds of loss and gradient, (times longtail's), [wall microseconds]\n");
    for problem in &problems {
        writeln!(text, "\n{problem}")?;
        let own = cells.iter().filter(is_own).find(|cell| cell.problem == *problem);
        for library in &libraries {
            let found = cells.iter().find(|cell| cell.library == *library && cell.problem == *problem);
            let Some(cell) = found else { continue };
            let (time, base, note) = match (own.and_then(|own| own.device), cell.device) {
                (Some(own), Some(device)) => (device, own, ""),
                (Some(_), None) => (cell.wall, own.map_or(f64::NAN, |own| own.wall), "  by the wall's clock"),
                (None, _) => (cell.processor, own.map_or(f64::NAN, |own| own.processor), ""),
            };
            let wrong = if cell.wrong { "  WRONG RESULT" } else { "" };
            let (wall, ratio) = (cell.wall, time / base);
            // A GPU's passes are shorter.
            let digits = usize::from(on_gpu);
            writeln!(
                text,
                "  {library:<28} {time:>12.digits$} ({ratio:>6.2}) [{wall:>10.digits$}]{note}{wrong}"
            )?;
        }
    }
    Ok(text)
}
