//! The README says what is there: its method table, its versions, the examples and files that it names.

#[path = "../examples/readme_tables/table.rs"]
mod table;

use longtail::method::{self, Family, HEADS, SIGMOID, SOFTMAX};

const README: &str = include_str!("../README.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_method_table_is_the_crates() {
    let wanted = table::with_tables(README).expect("the README has the table's markers");
    let difference = README.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert_eq!(difference, None, "run: cargo run --example readme_tables -- --write");
    assert_eq!(README, wanted, "run: cargo run --example readme_tables -- --write");
}

#[test]
fn the_tables_have_every_method_once() {
    let softmax: Vec<_> = SOFTMAX.iter().map(|method| method.name).collect();
    let sigmoid: Vec<_> = SIGMOID.iter().map(|method| method.name).collect();
    let others =
        method::all().into_iter().filter(|entry| ![Family::Softmax, Family::Sigmoid].contains(&entry.family));
    let others: Vec<_> = others.map(|entry| entry.name).collect();
    let heads: Vec<_> = HEADS.iter().map(|head| head.name).collect();
    let tables = [
        ("method-table", softmax),
        ("sigmoid-method-table", sigmoid),
        ("other-method-table", others),
        ("head-table", heads),
    ];
    for (table, names) in tables {
        assert!(!names.is_empty(), "{table}");
        let begin = README.find(&format!("<!-- {table} -->")).expect("the table begins");
        let end = README.find(&format!("<!-- /{table} -->")).expect("the table ends");
        for name in names {
            assert_eq!(README[begin..end].matches(&format!("`{name}` |")).count(), 1, "{name}");
        }
    }
}

#[test]
fn the_comparison_notices_a_change() {
    let changed = README.replacen("`cross_entropy`", "`cross_entropie`", 1);
    assert_ne!(changed, README);
    assert_eq!(table::with_tables(&changed).as_deref(), Some(README));
    assert_eq!(table::with_tables(&README.replace("<!-- method-table -->", "")), None);
}

#[test]
fn the_minimum_rust_version_is_the_manifests() {
    let wanted = format!("Rust {}", env!("CARGO_PKG_RUST_VERSION"));
    assert!(README.contains(&wanted), "{wanted}");
}

#[test]
fn tables_of_measurements_have_their_markers() {
    for name in ["golden-table", "bench-table", "peers-table"] {
        let begin = README.find(&format!("<!-- {name} -->\n")).unwrap_or_else(|| panic!("{name} begins"));
        let end = README.find(&format!("<!-- /{name} -->\n")).unwrap_or_else(|| panic!("{name} ends"));
        assert!(begin < end, "{name}");
    }
}

/// The words that follow each `before` in the README.
fn words_after(before: &str) -> Vec<&'static str> {
    let word = |rest: &'static str| rest.split(|c: char| c.is_whitespace() || "`)#".contains(c)).next();
    README.split(before).skip(1).filter_map(word).collect()
}

#[test]
fn the_examples_that_it_names_exist() {
    let names = words_after("--example ");
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let file = format!("{ROOT}/examples/{name}.rs");
        let folder = format!("{ROOT}/examples/{name}/main.rs");
        let found = std::fs::exists(&file).unwrap() || std::fs::exists(&folder).unwrap();
        assert!(found, "examples/{name}");
    }
}

#[test]
fn the_files_that_it_links_to_exist() {
    let links: Vec<&str> = words_after("](").into_iter().filter(|link| !link.starts_with("http")).collect();
    assert!(links.len() >= 3, "{links:?}");
    for link in links {
        assert!(std::fs::exists(format!("{ROOT}/{link}")).unwrap(), "{link}");
    }
}
