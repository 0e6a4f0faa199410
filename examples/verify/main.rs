//! Checks this crate against golden files: losses and gradients made by the authors' own code.
//!
//! `cargo run --example verify -- tests/golden`

mod cases;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cases::Golden;
use cases::file::Trouble;
use cases::run::{Engine, Errors, Mode};

const HELP: &str = "\
Checks longtail against golden files: losses and gradients made by the authors' own code.

usage: verify [OPTIONS] PATH...

PATH is a .safetensors file, or a folder whose .safetensors files are all taken. The loss, its parameters and
its reduction come from each file's metadata.

options:
  --reference         compute in f64 on the CPU instead of on the GPU
  --mode MODE         loss-and-grad (default) or forward-backward: how the GPU is asked for the gradient
  --table             print a Markdown table by method, for the reference and, unless --reference is
                      given, for the GPU
  --help              this text

One line per file: PASS, FAIL or UNSUPPORTED, the file, the largest relative error of the loss, the largest
error of the gradient relative to its largest entry. Allowed are 2e-5 on the GPU (1e-4 with class weights by
effective number) and 2e-6 for the reference.
The exit code is 0 if every file passed, 1 if not, 2 for wrong usage.";

struct Arguments {
    paths: Vec<PathBuf>,
    reference: bool,
    table: bool,
    mode: Mode,
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut found = Arguments { paths: Vec::new(), reference: false, table: false, mode: Mode::LossAndGrad };
    let mut words = std::env::args_os().skip(1);
    let mut options = true;
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        let (option, joined) = match text.split_once('=') {
            Some((option, value)) if options => (option, Some(value.to_owned())),
            _ => (text, None),
        };
        match option {
            "--help" | "-h" if options => return Ok(None),
            "--" if options => options = false,
            "--reference" if options => found.reference = true,
            "--table" if options => found.table = true,
            "--mode" if options => {
                let value = joined.or_else(|| words.next().and_then(|value| value.into_string().ok()));
                found.mode = match value.as_deref() {
                    Some("loss-and-grad") => Mode::LossAndGrad,
                    Some("forward-backward") => Mode::ForwardBackward,
                    _ => return Err("--mode is loss-and-grad or forward-backward".into()),
                };
            }
            _ if options && text.starts_with("--") => return Err(format!("there is no option {text}")),
            _ => found.paths.push(PathBuf::from(word)),
        }
    }
    match found.paths.is_empty() {
        true => Err("no file or folder was named".into()),
        false => Ok(Some(found)),
    }
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("{reason}; --help tells more");
            return ExitCode::from(2);
        }
    };
    let files: Vec<PathBuf> = arguments.paths.iter().flat_map(|path| files_of(path)).collect();
    let mut engines = Vec::new();
    if arguments.reference || arguments.table {
        engines.push(Engine::Reference);
    }
    if !arguments.reference {
        match longtail::gpu::Context::new() {
            Ok(context) => {
                let info = context.adapter_info();
                println!(
                    "Adapter: {} ({:?}, {} {})\n",
                    info.name, info.backend, info.driver, info.driver_info
                );
                engines.push(Engine::Adapter(Box::new(context), arguments.mode));
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let all_passed = match arguments.table {
        true => print_table(&files, &engines),
        false => print_lines(&files, &engines),
    };
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A file is itself, a folder its golden files by name.
fn files_of(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_owned()] };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    files.sort();
    files
}

fn print_lines(files: &[PathBuf], engines: &[Engine]) -> bool {
    let (mut passed, mut failed, mut unsupported) = (0, 0, 0);
    for path in files {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let case = match Golden::open(path) {
            Ok(case) => case,
            Err(Trouble::Unsupported(reason)) => {
                unsupported += 1;
                println!("UNSUPPORTED  {name}  {reason}");
                continue;
            }
            Err(Trouble::Malformed(reason)) => {
                failed += 1;
                println!("FAIL         {name}  {reason}");
                continue;
            }
        };
        for engine in engines {
            match engine.check_any(&case) {
                Ok(errors) if errors.passed() => {
                    passed += 1;
                    println!("PASS         {name}  {:.2e}  {:.2e}", errors.loss, errors.gradient);
                }
                Ok(Errors { loss, gradient, allowed }) => {
                    failed += 1;
                    println!("FAIL         {name}  {loss:.2e}  {gradient:.2e}  (allowed: {allowed:.0e})");
                }
                Err(Trouble::Unsupported(reason)) => {
                    unsupported += 1;
                    println!("UNSUPPORTED  {name}  {reason}");
                }
                Err(Trouble::Malformed(reason)) => {
                    failed += 1;
                    println!("FAIL         {name}  {reason}");
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed, {unsupported} unsupported");
    passed > 0 && failed == 0 && unsupported == 0
}

/// The largest errors of one method by one author, for each engine.
#[derive(Default)]
struct Line {
    cases: usize,
    /// `None` for an engine that does not compute it.
    errors: Vec<Option<(f64, f64)>>,
}

fn print_table(files: &[PathBuf], engines: &[Engine]) -> bool {
    let mut lines: BTreeMap<(String, String), Line> = BTreeMap::new();
    let mut all_passed = true;
    for path in files {
        let case = match Golden::open(path) {
            Ok(case) => case,
            Err(Trouble::Unsupported(_)) => continue,
            Err(Trouble::Malformed(reason)) => {
                eprintln!("{}: {reason}", path.display());
                all_passed = false;
                continue;
            }
        };
        let line = lines.entry((case.method().to_owned(), case.source().to_owned())).or_default();
        line.cases += 1;
        line.errors.resize(engines.len(), None);
        for (engine, worst) in engines.iter().zip(&mut line.errors) {
            match engine.check_any(&case) {
                Ok(errors) => {
                    all_passed &= errors.passed();
                    let (loss, gradient) = worst.unwrap_or_default();
                    *worst = Some((errors.loss.max(loss), errors.gradient.max(gradient)));
                }
                Err(Trouble::Unsupported(_)) => {}
                Err(Trouble::Malformed(reason)) => {
                    eprintln!("{}: {reason}", path.display());
                    all_passed = false;
                    *worst = Some((f64::INFINITY, f64::INFINITY));
                }
            }
        }
    }
    let mut head = String::from("| method | authors' code | cases |");
    let mut rule = String::from("|---|---|---:|");
    for engine in engines {
        let name = if matches!(engine, Engine::Reference) { "reference" } else { "adapter" };
        head += &format!(" {name}: loss | {name}: gradient |");
        rule += "---:|---:|";
    }
    println!("{head}\n{rule}");
    for ((method, source), line) in &lines {
        let cells = |errors: &Option<(f64, f64)>| match errors {
            Some((loss, gradient)) => format!(" {loss:.1e} | {gradient:.1e} |"),
            None => " | |".into(),
        };
        let errors: String = line.errors.iter().map(cells).collect();
        println!("| {method} | {} | {} |{errors}", source.replace('|', "\\|"), line.cases);
    }
    all_passed && !lines.is_empty()
}
