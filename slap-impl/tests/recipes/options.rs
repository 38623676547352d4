//! Each option of `[buildout]`: the table of docs/buildout.md says what becomes of it, and each row is tried with its example.

use crate::{
    case::Case,
    differences::Table,
    engines::{play, slap},
    profiles::judge,
    python::Python,
};
use std::fs;

/// A row of the table.
struct Row {
    option: String,
    /// `served`, `without effect` or `refused`.
    here: String,
    /// A value that is not the default; empty where there is none to try.
    example: String,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../../../docs/buildout.md");
    let (_, table) = text.split_once("| option of [buildout] |").expect("the table is there");
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<String> =
                line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
            Row { option: cells[1].clone(), here: cells[2].clone(), example: cells[3].clone() }
        })
        .collect()
}

fn profile(row: &Row) -> String {
    let print = if ["executable", "extends"].contains(&&*row.option) { "" } else { &*row.option };
    let print = if print.is_empty() { String::new() } else { format!("${{buildout:{print}}}") };
    format!(
        "[buildout]\nparts = a\n{} = {}\n[a]\nrecipe = slapos.recipe.template\noutput = out\ninline = x{print}\n[other]\n",
        row.option, row.example
    )
}

#[test]
fn every_option_that_buildout_has_stands_in_the_table() {
    let Some(mut python) = Python::start() else { return };
    let rows = rows();
    for option in python.options() {
        assert!(rows.iter().any(|row| row.option == option), "docs/buildout.md does not tell of {option:?}");
    }
}

#[test]
fn what_is_refused_is_refused_with_its_place() {
    let refused: Vec<Row> = rows().into_iter().filter(|row| row.here == "refused").collect();
    assert!(refused.len() >= 8);
    for row in refused {
        let scratch = tempfile::TempDir::with_prefix("recipes-").unwrap();
        fs::write(scratch.path().join("buildout.cfg"), profile(&row)).unwrap();
        let error = slap(scratch.path(), &[]).unwrap_or_else(|| panic!("{} is not refused", row.option));
        assert!(error.contains(&row.option) && error.contains("not supported"), "{error}");
        assert!(error.contains("buildout.cfg:3, section [buildout]"), "{error}");
        assert!(!scratch.path().join("out").exists());
    }
}

#[test]
fn what_is_taken_makes_what_buildout_makes() {
    let Some(mut python) = Python::start() else { return };
    let mut table = Table::of("options");
    let mut problems = String::new();
    for row in rows().iter().filter(|row| row.here != "refused" && !row.example.is_empty()) {
        let files = [("buildout.cfg", profile(row)), ("base.cfg", "[buildout]\n".to_owned())];
        let case = Case::generated(&row.option, false, 2, &files);
        let played = play(&case, &mut python, &mut |_, _| {});
        assert_eq!(played.successes, 2, "{}: {:?}", row.option, played.told);
        problems.push_str(&judge(&case, &played, &mut table));
    }
    assert!(problems.is_empty(), "\n{problems}");
    table.assert_all_seen();
}
