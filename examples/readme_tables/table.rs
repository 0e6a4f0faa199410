//! The README's method table, made from the method table of the crate.

use longtail::method::{Method, SOFTMAX};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- method-table -->\n";
const END: &str = "<!-- /method-table -->\n";

/// A row for each method.
pub(crate) fn method_table() -> String {
    let mut text = String::from("| Method | A row's loss | Terms | Source |\n|---|---|---|---|\n");
    for Method { name, title, formula, paper, terms, .. } in SOFTMAX {
        let (formula, paper) = (cell(formula), linked(&cell(paper)));
        let _ = writeln!(text, "| {title}<br>`{name}` | `{formula}` | {terms} | {paper} |");
    }
    text
}

/// `readme` with its method table replaced; `None` where the markers are missing.
pub(crate) fn with_method_table(readme: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", method_table()))
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
