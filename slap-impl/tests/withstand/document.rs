//! docs/defences.md names files, functions, tests and benches that are there, and every test of this suite.

use std::{collections::BTreeSet, fs, path::Path};

const DOCUMENT: &str = include_str!("../../../docs/defences.md");

/// The columns of a row.
struct Row {
    promise: String,
    defences: Vec<String>,
    tests: Vec<String>,
    removed: String,
    figure: Vec<String>,
}

fn rows() -> Vec<Row> {
    let lines = DOCUMENT.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [promise, defences, tests, removed, figure] = cells[..] else {
            panic!("a row has {} columns: {line}", cells.len())
        };
        Row {
            promise: promise.to_owned(),
            defences: named(defences),
            tests: named(tests),
            removed: removed.to_owned(),
            figure: named(figure),
        }
    };
    lines.map(row).collect()
}

/// What stands in backticks.
fn named(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The file and the item of `FILE::ITEM`, with what the file holds. In slap-impl the file is told from there on.
fn find<'a>(name: &'a str, promise: &str) -> (&'a str, String) {
    let (file, item) = name.split_once("::").unwrap_or((name, ""));
    let places = [root().join(file), root().join("slap-impl").join(file)];
    let content = places.iter().find_map(|path| fs::read_to_string(path).ok());
    (item, content.unwrap_or_else(|| panic!("{promise}: there is no file {file}")))
}

/// Whether a source defines a function, type, constant or field of that name.
fn defines(source: &str, item: &str) -> bool {
    let words: Vec<&str> =
        source.split(|character: char| !character.is_alphanumeric() && character != '_').collect();
    let kinds = ["fn", "const", "static", "struct", "enum", "trait", "pub"];
    words.windows(2).any(|pair| pair[1] == item && kinds.contains(&pair[0]))
}

/// The names of the tests of a source, also of those that proptest makes.
fn tests_of(source: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        is_test |= line == "#[test]";
        if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
            names.insert(rest.split('(').next().unwrap_or_default());
            is_test = false;
        }
    }
    names
}

#[test]
fn what_the_table_names_is_there() {
    let scenarios = find("benches/benches/wire/scenarios.rs", "the benches").1;
    let rows = rows();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in &rows {
        let promise = &row.promise;
        assert!(
            !row.defences.is_empty() && !row.tests.is_empty() && !row.removed.is_empty(),
            "{promise}: not all is said"
        );
        for name in &row.defences {
            let (item, source) = find(name, promise);
            assert!(item.is_empty() || defines(&source, item), "{promise}: there is no {name}");
        }
        for name in &row.tests {
            let (item, source) = find(name, promise);
            // Files of planted bugs, and commands, have no function.
            let is_there =
                if item.is_empty() { !name.ends_with(".rs") } else { tests_of(&source).contains(item) };
            assert!(is_there, "{promise}: there is no test {name}");
        }
        for name in &row.figure {
            assert!(scenarios.contains(&format!("(\"{name}\",")), "{promise}: there is no bench {name}");
        }
    }
}

#[test]
fn every_test_of_this_suite_is_in_the_table() {
    let mut count = 0;
    for file in ["disk", "end", "strangers"] {
        let file = format!("tests/withstand/{file}.rs");
        let source = find(&file, "this suite").1;
        for test in tests_of(&source) {
            let name = format!("`{file}::{test}`");
            assert!(DOCUMENT.contains(&name), "docs/defences.md has no row with {name}");
            count += 1;
        }
    }
    assert!(count > 10, "{count} tests");
}
