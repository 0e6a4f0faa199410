//! The README's tables: methods from the method table of the crate, speed from the kept measurements.

use longtail::method::{Method, SIGMOID, SOFTMAX};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- method-table -->\n";
const END: &str = "<!-- /method-table -->\n";
const SIGMOID_BEGIN: &str = "<!-- sigmoid-method-table -->\n";
const SIGMOID_END: &str = "<!-- /sigmoid-method-table -->\n";
const BENCH_BEGIN: &str = "<!-- bench-table -->\n";
const BENCH_END: &str = "<!-- /bench-table -->\n";

/// A row for each method of a family.
fn method_table<Spec>(methods: &[Method<Spec>]) -> String {
    let mut text = String::from("| Method | A row's loss | Terms | Source |\n|---|---|---|---|\n");
    for Method { name, title, formula, paper, terms, .. } in methods {
        let (formula, paper) = (cell(formula), linked(&cell(paper)));
        let _ = writeln!(text, "| {title}<br>`{name}` | `{formula}` | {terms} | {paper} |");
    }
    text
}

/// `readme` with its tables replaced; `None` where markers are missing.
pub(crate) fn with_tables(readme: &str) -> Option<String> {
    let readme = replaced(readme, BEGIN, END, &method_table(SOFTMAX))?;
    let readme = replaced(&readme, SIGMOID_BEGIN, SIGMOID_END, &method_table(SIGMOID))?;
    replaced(&readme, BENCH_BEGIN, BENCH_END, &bench_tables())
}

fn replaced(readme: &str, begin: &str, end: &str, table: &str) -> Option<String> {
    let (before, rest) = readme.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

/// For each adapter its newest measurements: a row for each method, a column for each shape.
fn bench_tables() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/record");
    let mut adapters: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    adapters.sort_by_key(std::fs::DirEntry::file_name);
    let mut text = String::new();
    for adapter in adapters {
        // Other benches keep their records beside these, as DATE-NAME.txt.
        let records = std::fs::read_dir(adapter.path()).into_iter().flatten().flatten();
        let tables =
            records.map(|record| record.path()).filter(|path| path.extension() == Some("csv".as_ref()));
        let Some(newest) = tables.max() else { continue };
        let Ok(csv) = std::fs::read_to_string(&newest) else { continue };
        let date = newest.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        text.push_str(&bench_table(&csv, &date));
    }
    text
}

/// The comments of a record say how it was made; the columns are named by its first other line.
fn bench_table(csv: &str, date: &str) -> String {
    let comments: Vec<_> = csv.lines().filter_map(|line| line.strip_prefix("# ")).map(str::trim).collect();
    let mut lines =
        csv.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap_or_default();
    let column = |name: &str| names.iter().position(|other| *other == name);
    let (Some(method), Some(rows), Some(classes), Some(time), Some(ratio)) = (
        column("method"),
        column("rows"),
        column("classes"),
        column("microseconds"),
        column("ratio_to_cross_entropy"),
    ) else {
        return String::new();
    };
    let (mut shapes, mut methods, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let cell = |index: usize| line.get(index).copied().unwrap_or_default();
        let shape = format!("{} x {}", cell(rows), cell(classes));
        let name = cell(method).to_owned();
        if !shapes.contains(&shape) {
            shapes.push(shape.clone());
        }
        if !methods.contains(&name) {
            methods.push(name.clone());
        }
        let time: f64 = cell(time).parse().unwrap_or(f64::NAN);
        let ratio: f64 = cell(ratio).parse().unwrap_or(f64::NAN);
        cells.push((name, shape, format!("{time:.0} ({ratio:.2})")));
    }
    let mut text =
        format!("{} ({date}; `{}`):\n\n", comments.get(1).unwrap_or(&""), comments.first().unwrap_or(&""));
    let _ = writeln!(text, "| Microseconds (times cross-entropy) | {} |", shapes.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(shapes.len()));
    for method in methods {
        let _ = write!(text, "| `{method}` |");
        for shape in &shapes {
            let found = cells.iter().find(|(name, other, _)| *name == method && other == shape);
            let _ = write!(text, " {} |", found.map_or("", |(_, _, cell)| cell));
        }
        text.push('\n');
    }
    text
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// arXiv numbers as links.
fn linked(paper: &str) -> String {
    match paper.split_once("arXiv ") {
        None => paper.to_owned(),
        Some((before, number)) => format!("{before}[arXiv {number}](https://arxiv.org/abs/{number})"),
    }
}
