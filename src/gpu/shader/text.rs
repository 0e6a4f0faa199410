//! A kernel's text from its switches, numbers and files, for the families whose header is little more than that.

use super::files::File;
use super::matrices::Matrices;
use super::{Cell, Storage};
use std::fmt::Write as _;

/// The header, then each file behind a line with its name.
pub(crate) fn text(
    matrices: Option<&Matrices>,
    numbers: &[(&str, u64)],
    switches: &[(&str, bool)],
    files: &[File],
) -> String {
    let mut text = String::from("// ---- generated header\n");
    if let Some(matrices) = matrices {
        matrices.write_types(&mut text);
    }
    let of_matrices = matrices.map(Matrices::switches).into_iter().flatten();
    let switches: Vec<_> = switches.iter().copied().chain(of_matrices).collect();
    write_constants(&mut text, numbers, &switches);
    for (name, file) in files {
        let _ = write!(text, "\n// ---- {name}\n{file}");
    }
    text
}

/// The constants of a header, some in a line.
pub(crate) fn write_constants(text: &mut String, numbers: &[(&str, u64)], switches: &[(&str, bool)]) {
    for line in numbers.chunks(5) {
        for (name, value) in line {
            let _ = write!(text, "const {name}: u32 = {value}u; ");
        }
        text.push('\n');
    }
    for line in switches.chunks(4) {
        for (name, value) in line {
            let _ = write!(text, "const {name}: bool = {value}; ");
        }
        text.push('\n');
    }
}

/// A short readable name for a kernel, the label of its pipeline: `start`, how it reads logits and writes the gradient,
/// what of `parts` is present, where the gradient lies.
pub(crate) fn name(
    start: String,
    (logits, gradient, straddle): (Cell, Cell, bool),
    parts: &[(bool, &str)],
    storage: Storage,
) -> String {
    let mut name = start;
    let mut push = |present: bool, words: &[&str]| {
        if present {
            name.push('.');
            words.iter().for_each(|word| name.push_str(word));
        }
    };
    push(logits != Cell::F32, &["logits_", logits.name()]);
    push(gradient != Cell::F32, &["gradient_", gradient.name()]);
    push(straddle, &["straddle"]);
    parts.iter().for_each(|(present, part)| push(*present, &[part]));
    push(storage == Storage::Shared, &["shared"]);
    push(storage == Storage::InPlace, &["in_place"]);
    name
}
