//! Text to learn from: the sources that cargo has unpacked to build this very project, or any other folder.

use std::fmt;
use std::path::{Path, PathBuf};

/// Crates that building this project unpacks on every platform, so that results repeat.
const CRATES: [&str; 12] = [
    "aho-corasick",
    "hashbrown",
    "indexmap",
    "memchr",
    "naga",
    "ndarray",
    "plotters",
    "proptest",
    "regex-automata",
    "wgpu",
    "wgpu-core",
    "wgpu-types",
];
/// Longer files are tables.
const LARGEST_FILE: u64 = 400_000;

/// Why there is nothing to learn from.
#[derive(Debug)]
pub struct NoText(String);

impl fmt::Display for NoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: give a folder of text files with --text DIR", self.0)
    }
}

impl std::error::Error for NoText {}

/// The text of every file, in an order that does not depend on the file system.
pub fn read(folder: Option<&Path>) -> Result<Vec<String>, NoText> {
    let paths = match folder {
        Some(folder) => files_under(folder, |_| true),
        None => unpacked_crates()?
            .iter()
            .flat_map(|folder| files_under(folder, |path| path.extension().is_some_and(|end| end == "rs")))
            .collect(),
    };
    let small = |path: &PathBuf| path.metadata().is_ok_and(|data| data.len() <= LARGEST_FILE);
    Ok(paths.into_iter().filter(small).filter_map(|path| std::fs::read_to_string(path).ok()).collect())
}

/// The folders of [`CRATES`] at the versions of this project's lock file.
fn unpacked_crates() -> Result<Vec<PathBuf>, NoText> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock)
        .map_err(|error| NoText(format!("{} cannot be read ({error})", lock.display())))?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .ok_or_else(|| NoText("neither CARGO_HOME nor a home folder is set".into()))?;
    let sources = home.join("registry").join("src");
    let registries: Vec<PathBuf> = entries(&sources);
    let mut folders: Vec<PathBuf> = packages(&lock)
        .filter(|(name, _)| CRATES.contains(name))
        .filter_map(|(name, version)| {
            let folders = registries.iter().map(|registry| registry.join(format!("{name}-{version}")));
            folders.into_iter().find(|folder| folder.is_dir())
        })
        .collect();
    folders.sort();
    match folders.is_empty() {
        true => Err(NoText(format!("no crate of this project is unpacked in {}", sources.display()))),
        false => Ok(folders),
    }
}

/// Name and version of every package of a lock file.
fn packages(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    let value = |line: &'_ str, key: &str| -> Option<(usize, usize)> {
        let start = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        Some((line.len() - start.len(), line.len() - 1))
    };
    lock.lines().zip(lock.lines().skip(1)).filter_map(move |(first, second)| {
        let (name, version) = (value(first, "name")?, value(second, "version")?);
        Some((&first[name.0..name.1], &second[version.0..version.1]))
    })
}

/// The entries of a folder, sorted; none of a folder that cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn files_under(folder: &Path, wanted: fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = vec![];
    for path in entries(folder) {
        if path.is_dir() {
            files.extend(files_under(&path, wanted));
        } else if wanted(&path) {
            files.push(path);
        }
    }
    files
}

/// Identifiers and numbers, and every other visible character by itself. Line comments are left out.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).flat_map(|line| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let mut rest = line;
        std::iter::from_fn(move || {
            rest = rest.trim_start();
            let first = rest.chars().next()?;
            let end = match word(first) {
                true => rest.find(|c| !word(c)).unwrap_or(rest.len()),
                false => first.len_utf8(),
            };
            let (token, after) = rest.split_at(end);
            rest = after;
            Some(token)
        })
    })
}
