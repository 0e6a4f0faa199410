//! The README's tables: methods from the method table of the crate, speed from the kept measurements.

use longtail::method::{DISTILLATION, GROUPED, HEADS, LADE, Method, OBJECTNESS, RANGE, SIGMOID, SOFTMAX};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- method-table -->\n";
const END: &str = "<!-- /method-table -->\n";
const SIGMOID_BEGIN: &str = "<!-- sigmoid-method-table -->\n";
const SIGMOID_END: &str = "<!-- /sigmoid-method-table -->\n";
const OTHERS_BEGIN: &str = "<!-- other-method-table -->\n";
const OTHERS_END: &str = "<!-- /other-method-table -->\n";
const HEADS_BEGIN: &str = "<!-- head-table -->\n";
const HEADS_END: &str = "<!-- /head-table -->\n";
const BENCH_BEGIN: &str = "<!-- bench-table -->\n";
const BENCH_END: &str = "<!-- /bench-table -->\n";
const PEERS_BEGIN: &str = "<!-- peers-table -->\n";
const PEERS_END: &str = "<!-- /peers-table -->\n";

/// A row for each method of a family, with its head.
fn method_table<Spec>(methods: &[Method<Spec>]) -> String {
    let mut text = String::from("| Method | A row's loss | Terms | Source |\n|---|---|---|---|\n");
    method_rows(&mut text, methods);
    text
}

/// The methods of the small families in one table.
fn other_methods() -> String {
    let mut text = method_table(GROUPED);
    method_rows(&mut text, DISTILLATION);
    method_rows(&mut text, LADE);
    method_rows(&mut text, OBJECTNESS);
    method_rows(&mut text, RANGE);
    text
}

fn head_table() -> String {
    let mut text = String::from("| Head | A logit | Terms | Source |\n|---|---|---|---|\n");
    for head in HEADS {
        let (formula, paper) = (cell(head.formula), linked(&cell(head.paper)));
        let _ =
            writeln!(text, "| {}<br>`{}` | `{formula}` | {} | {paper} |", head.title, head.name, head.terms);
    }
    text
}

fn method_rows<Spec>(text: &mut String, methods: &[Method<Spec>]) {
    for Method { name, title, formula, paper, terms, .. } in methods {
        let (formula, paper) = (cell(formula), linked(&cell(paper)));
        let _ = writeln!(text, "| {title}<br>`{name}` | `{formula}` | {terms} | {paper} |");
    }
}

/// `readme` with its tables replaced; `None` where markers are missing.
pub(crate) fn with_tables(readme: &str) -> Option<String> {
    let readme = replaced(readme, BEGIN, END, &method_table(SOFTMAX))?;
    let readme = replaced(&readme, SIGMOID_BEGIN, SIGMOID_END, &method_table(SIGMOID))?;
    let readme = replaced(&readme, OTHERS_BEGIN, OTHERS_END, &other_methods())?;
    let readme = replaced(&readme, HEADS_BEGIN, HEADS_END, &head_table())?;
    let readme = replaced(&readme, BENCH_BEGIN, BENCH_END, &records(".csv", bench_table))?;
    replaced(&readme, PEERS_BEGIN, PEERS_END, &records("-peers.csv", peers_table))
}

fn replaced(readme: &str, begin: &str, end: &str, table: &str) -> Option<String> {
    let (before, rest) = readme.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

/// For each adapter its newest measurements: of longtail alone (`DATE.csv`), and beside others (`DATE-peers.csv`).
fn records(ending: &str, table: fn(&Record) -> Option<String>) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/record");
    let mut adapters: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    adapters.sort_by_key(std::fs::DirEntry::file_name);
    let mut text = String::new();
    for adapter in adapters {
        let files = std::fs::read_dir(adapter.path()).into_iter().flatten().flatten();
        let names = files.filter_map(|file| file.file_name().into_string().ok());
        // The date is 10 letters; other records have more after it.
        let newest = names.filter(|name| name.ends_with(ending) && name.len() == 10 + ending.len()).max();
        let Some(newest) = newest else { continue };
        let Ok(csv) = std::fs::read_to_string(adapter.path().join(&newest)) else { continue };
        let record = Record::parse(&csv, newest.trim_end_matches(ending));
        text.push_str(&table(&record).unwrap_or_default());
    }
    text
}

/// A file of measurements: comments that say how it was made, the columns' names, lines.
struct Record {
    date: String,
    comments: Vec<String>,
    names: Vec<String>,
    lines: Vec<Vec<String>>,
}

impl Record {
    fn parse(csv: &str, date: &str) -> Self {
        let comments = csv.lines().filter_map(|line| line.strip_prefix("# "));
        let cells = |line: &str| line.split(',').map(str::to_owned).collect();
        let mut lines = csv.lines().filter(|line| !line.starts_with('#')).map(cells);
        Self {
            date: date.to_owned(),
            comments: comments.map(|line| line.trim().to_owned()).collect(),
            names: lines.next().unwrap_or_default(),
            lines: lines.collect(),
        }
    }

    /// The numbers or words of a column, by line.
    fn column(&self, name: &str) -> Option<Vec<&str>> {
        let index = self.names.iter().position(|other| other == name)?;
        Some(self.lines.iter().map(|line| line.get(index).map_or("", String::as_str)).collect())
    }

    /// The shape of each line.
    fn shapes(&self) -> Option<Vec<String>> {
        let (rows, classes) = (self.column("rows")?, self.column("classes")?);
        Some(rows.iter().zip(classes).map(|(rows, classes)| format!("{rows} x {classes}")).collect())
    }
}

/// The lines as a table: what `row` and `column` name, `cell` in it; lines without a row are left out.
fn pivot(
    title: &str,
    rows: &[Option<String>],
    columns: &[String],
    cells: impl Fn(usize) -> String,
) -> String {
    fn once<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
        let mut seen = Vec::new();
        all.for_each(|one| {
            if !seen.contains(&one) {
                seen.push(one);
            }
        });
        seen
    }
    let kept =
        || rows.iter().zip(columns).enumerate().filter_map(|(i, (row, c))| Some((i, row.as_ref()?, c)));
    let (heads, tops) = (once(kept().map(|(_, row, _)| row)), once(kept().map(|(_, _, column)| column)));
    let mut text = format!("| {title} |");
    tops.iter().for_each(|top| text.push_str(&format!(" {top} |")));
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(tops.len()));
    for head in heads {
        let _ = write!(text, "| {head} |");
        for top in &tops {
            let found = kept().find(|(_, row, column)| *row == head && column == top);
            let _ = write!(text, " {} |", found.map_or_else(String::new, |(index, _, _)| cells(index)));
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// A row for each method, a column for each shape; then the other element types, passes and baselines.
fn bench_table(record: &Record) -> Option<String> {
    let (methods, elements, modes) =
        (record.column("method")?, record.column("element")?, record.column("mode")?);
    let (times, ratios, copies, unfused) = (
        record.column("microseconds")?,
        record.column("ratio_to_cross_entropy")?,
        record.column("of_copy")?,
        record.column("ratio_to_unfused")?,
    );
    let shapes = record.shapes()?;
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    let cell = |line: usize| format!("{:.0} ({:.2})", number(times[line]), number(ratios[line]));
    let usual = |line: usize| elements[line] == "f32" && modes[line] == "loss_and_grad";
    let rows = |wanted: &dyn Fn(usize) -> Option<String>| (0..methods.len()).map(wanted).collect::<Vec<_>>();
    let mut text =
        format!("{} ({}; `{}`):\n\n", record.comments.get(1)?, record.date, record.comments.first()?);
    let plain = rows(&|line| usual(line).then(|| format!("`{}`", methods[line])));
    text.push_str(&pivot("Microseconds (times cross-entropy)", &plain, &shapes, cell));
    let others = rows(&|line| {
        (!usual(line))
            .then(|| format!("`{}` {}, {}", methods[line], elements[line], modes[line].replace('_', " ")))
    });
    text.push_str(&pivot("Microseconds (times f32 cross-entropy)", &others, &shapes, cell));
    let fused =
        rows(&|line| (usual(line) && !unfused[line].is_empty()).then(|| format!("`{}`", methods[line])));
    let cell = |line: usize| format!("{:.2} ({:.3})", number(unfused[line]), number(copies[line]));
    text.push_str(&pivot("Times faster than unfused (share of copy bandwidth)", &fused, &shapes, cell));
    Some(text)
}

/// A row for each loss, element type and shape, a column for each library; by the device's clock where the record has it.
fn peers_table(record: &Record) -> Option<String> {
    let (libraries, versions) = (record.column("library")?, record.column("version")?);
    let (methods, elements) = (record.column("method")?, record.column("element")?);
    let (processor, errors) = (record.column("processor_us")?, record.column("gradient_error")?);
    let device = record.column("device_us").filter(|times| times.iter().any(|time| !time.is_empty()));
    let (clock, times) = match device {
        Some(times) => ("Device", times),
        None => ("Processor", processor),
    };
    let shapes = record.shapes()?;
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    let row = |line: usize| match elements[line] {
        "f32" => format!("`{}` {}", methods[line], shapes[line]),
        element => format!("`{}` {element} {}", methods[line], shapes[line]),
    };
    let rows: Vec<_> = (0..methods.len()).map(|line| Some(row(line))).collect();
    let columns: Vec<_> =
        libraries.iter().zip(versions).map(|(library, version)| format!("{library} {version}")).collect();
    let cell = |line: usize| {
        let own = (0..rows.len()).find(|&other| libraries[other] == "longtail" && rows[other] == rows[line]);
        let ratio = own.map_or(f64::NAN, |own| number(times[line]) / number(times[own]));
        // Half a unit of the last place of 16 bits, of the largest entry, and what sums lose.
        let allowed = match elements[line] {
            "f32" => 1e-4,
            "f16" => 1e-3,
            _ => 5e-3,
        };
        let wrong = if number(errors[line]) <= allowed { "" } else { ", wrong result" };
        format!("{:.0} ({ratio:.2}{wrong})", number(times[line]))
    };
    let (command, devices) = record.comments.split_first()?;
    let mut text = format!("{} ({}; `{command}`):\n\n", devices.join("; "), record.date);
    text.push_str(&pivot(&format!("{clock} microseconds (times longtail's)"), &rows, &columns, cell));
    Some(text)
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
