//! RULES.md and the code say the same.

use slap_model::{Decision, Rule};
use std::{collections::BTreeSet, fmt::Write};

const DOCUMENT: &str = include_str!("../RULES.md");

fn section(name: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- {name} -->\n")).expect("the section has its mark");
    rest.split_once("<!-- end -->").expect("the section has its end").0
}

#[test]
fn every_rule_stands_in_the_document() {
    let mut expected = String::new();
    for rule in Rule::ALL {
        let (name, sentence, by, source) =
            (rule.name(), rule.sentence().trim(), rule.checked_by(), rule.source());
        writeln!(expected, "* **{name}**: {sentence}\n  Source: {source}. Checked by `rules::{by}`.")
            .unwrap();
    }
    assert_eq!(section("rules"), expected, "RULES.md should have:\n{expected}");
    assert!(Rule::ALL.len() >= 28);
}

#[test]
fn every_decision_stands_in_the_document() {
    let mut expected = String::new();
    for decision in Decision::ALL {
        writeln!(expected, "* **{}**: {}", decision.name(), decision.sentence().trim()).unwrap();
    }
    assert_eq!(section("decisions"), expected, "RULES.md should have:\n{expected}");
}

#[test]
fn names_are_unique_and_checks_exist() {
    let sources = [
        ("state", include_str!("../src/rules/state.rs")),
        ("request", include_str!("../src/rules/request.rs")),
        ("report", include_str!("../src/rules/report.rs")),
    ];
    let mut names = BTreeSet::new();
    for rule in Rule::ALL {
        assert!(names.insert(rule.name()), "{} stands twice", rule.name());
        let (module, function) = rule.checked_by().split_once("::").unwrap();
        let (_, source) = sources.iter().find(|(name, _)| *name == module).unwrap();
        let start =
            source.find(&format!("fn {function}(")).unwrap_or_else(|| panic!("no {}", rule.checked_by()));
        let body = &source[start..];
        let end = body.find("\n}\n").unwrap();
        assert!(body[..end].contains(&format!("Rule::{rule:?}")), "{} is not checked by it", rule.name());
    }
}

/// Each invariant of the real master is a rule, or says why not.
#[test]
fn every_invariant_has_its_place() {
    let names: BTreeSet<&str> =
        Rule::ALL.iter().map(|it| it.name()).chain(Decision::ALL.iter().map(|it| it.name())).collect();
    let (_, table) = DOCUMENT.split_once("| | invariant | here |\n|---|---|---|\n").unwrap();
    let expected =
        (1..=74).map(|number| number.to_string()).chain((1..=13).map(|number| format!("P{number}")));
    let rows: Vec<Vec<&str>> =
        table.lines().map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0].to_owned()).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    for row in rows {
        let here = row[2];
        let is_rule = names.iter().any(|name| here.contains(name)) || here.contains("settled");
        let is_not = here.contains("waits for the deferred master") || here.starts_with("left out: payment");
        assert!(is_rule || is_not, "{row:?} is neither a rule, nor waiting, nor left out");
    }
}
