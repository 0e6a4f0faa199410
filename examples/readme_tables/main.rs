//! Checks the README's method table and speed tables against the crate's and its kept measurements, or rewrites
//! them.
//!
//! `cargo run --example readme_tables -- --check` or `-- --write`

mod table;

use std::process::ExitCode;

const USAGE: &str = "Usage: readme_tables [--check | --write]

Compares README.md's tables with the method table of the crate and with the newest records under benches/record (the
default), or rewrites them. Uses no adapter.";

fn main() -> Result<ExitCode, std::io::Error> {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let found = std::fs::read_to_string(path)?;
    let Some(wanted) = table::with_tables(&found) else {
        eprintln!("README.md lacks a table's markers");
        return Ok(ExitCode::FAILURE);
    };
    match std::env::args().nth(1).as_deref() {
        Some("--write") => {
            std::fs::write(path, &wanted)?;
            println!("README.md {}", if found == wanted { "was right" } else { "rewritten" });
            Ok(ExitCode::SUCCESS)
        }
        None | Some("--check") if found == wanted => {
            println!("README.md is right");
            Ok(ExitCode::SUCCESS)
        }
        None | Some("--check") => {
            eprintln!("README.md differs from the crate: run with --write");
            Ok(ExitCode::FAILURE)
        }
        Some(_) => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}
