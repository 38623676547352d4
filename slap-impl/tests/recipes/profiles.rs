//! Every case of `cases/`.

use crate::{
    case::Case,
    differences::Table,
    engines::{Played, play},
    python::Python,
};
use std::{collections::BTreeMap, fs, path::Path};

/// The cases, by name.
pub(crate) fn cases(folder: &str) -> BTreeMap<String, Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes").join(folder);
    let read = fs::read_dir(&directory).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = Case::parse(&name, &fs::read_to_string(&path).unwrap());
        (name, case)
    });
    let only = std::env::var("SLAP_CASE").ok();
    read.filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)).collect()
}

/// What is not expected of a case, as a text; empty when all is well.
pub(crate) fn judge(case: &Case, played: &Played, table: &mut Table) -> String {
    table.begin_case();
    let unexpected: Vec<String> = played
        .findings
        .iter()
        .filter(|finding| !table.expects(&case.name, finding))
        .map(ToString::to_string)
        .collect();
    if unexpected.is_empty() {
        return String::new();
    }
    // Where one engine failed, all that follows is told by that.
    let outcome = unexpected.iter().position(|finding| finding.contains(": Outcome"));
    let unexpected = &unexpected[..outcome.map_or(unexpected.len(), |first| first + 1)];
    let told: Vec<String> = played
        .told
        .iter()
        .filter(|(ours, theirs)| ours.is_empty() != theirs.is_empty())
        .map(|(ours, theirs)| format!("  slap said: {}\n  python said: {theirs}", ours.trim()))
        .collect();
    format!("== {}\n{}\n{}\n", case.name, unexpected.join("\n"), told.join("\n"))
}

#[test]
fn both_engines_do_the_same_with_every_case() {
    let Some(mut python) = Python::start() else { return };
    let (mut table, mut problems, mut successes) = (Table::of("cases"), String::new(), 0);
    for case in cases("cases").values() {
        let played = play(case, &mut python, &mut |_, _| {});
        successes += played.successes;
        problems.push_str(&judge(case, &played, &mut table));
    }
    assert!(problems.is_empty(), "\n{problems}");
    assert!(successes > 0, "no profile was run by both");
    table.assert_all_seen();
}
