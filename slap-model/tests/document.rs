//! RULES.md and the code say the same.

use slap_model::{Decision, Departure, Rule, Unsettled};
use std::{collections::BTreeSet, fmt::Write};

const DOCUMENT: &str = include_str!("../RULES.md");
/// The invariants of the real master: number and sentence.
const INVARIANTS: &[(&str, &str)] = &include!("document/invariants.rs");
const SOURCES: [(&str, &str); 5] = [
    ("elsewhere", include_str!("../src/rules/elsewhere.rs")),
    ("state", include_str!("../src/rules/state.rs")),
    ("request", include_str!("../src/rules/request.rs")),
    ("report", include_str!("../src/rules/report.rs")),
    ("told", include_str!("../src/rules/told.rs")),
];

fn section(name: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- {name} -->\n")).expect("the section has its mark");
    rest.split_once("<!-- end -->").expect("the section has its end").0
}

/// What the document should have of the rules that are, or are not, of modelled nodes alone.
fn rules(of_modelled_nodes: bool) -> String {
    let mut expected = String::new();
    for rule in Rule::ALL.iter().filter(|rule| rule.is_of_modelled_nodes() == of_modelled_nodes) {
        let (name, sentence, by, source) =
            (rule.name(), rule.sentence().trim(), rule.checked_by(), rule.source());
        let numbers: Vec<&str> = rule.invariants().collect();
        let numbers = match numbers.as_slice() {
            [] => String::new(),
            [one] => format!(" Invariant {one}."),
            _ => format!(" Invariants {}.", numbers.join(", ")),
        };
        writeln!(
            expected,
            "* **{name}**: {sentence}\n  Source: {source}.{numbers} Checked by `rules::{by}`."
        )
        .expect("a text grows");
    }
    expected
}

#[test]
fn every_rule_stands_in_the_document() {
    for (name, of_modelled_nodes) in [("rules", false), ("rules of the modelled node", true)] {
        let expected = rules(of_modelled_nodes);
        assert_eq!(section(name), expected, "RULES.md should have:\n{expected}");
    }
    let of_nodes = Rule::ALL.iter().filter(|rule| rule.is_of_modelled_nodes()).count();
    let others = Rule::ALL.len() - of_nodes;
    assert!(others >= 28, "{others}");
    let counts = format!("{others} rules that the real master can break today, and {of_nodes} ");
    assert!(DOCUMENT.contains(&counts), "RULES.md should say: {counts}");
}

#[test]
fn every_decision_stands_in_the_document() {
    let decisions: Vec<_> = Decision::ALL.iter().map(|it| (it.name(), it.sentence())).collect();
    let departures: Vec<_> = Departure::ALL.iter().map(|it| (it.name(), it.sentence())).collect();
    for (section_name, all) in [("decisions", decisions), ("departures", departures)] {
        let mut expected = String::new();
        for (name, sentence) in all {
            writeln!(expected, "* **{name}**: {sentence}").unwrap();
        }
        assert_eq!(section(section_name), expected, "RULES.md should have:\n{expected}");
    }
}

/// A source in this project, or a decision, exists; the others are named so that they can be looked up: with a test or a function.
#[test]
fn every_source_can_be_looked_up() {
    let decisions: BTreeSet<String> = Decision::ALL
        .iter()
        .map(|it| format!("decision {}", it.name()))
        .chain(Departure::ALL.iter().map(|it| format!("departure {}", it.name())))
        .collect();
    let architecture = include_str!("../../ARCHITECTURE.md");
    for rule in Rule::ALL {
        for source in rule.source().split("; ") {
            let is_named = match source.split_once(": ") {
                None => decisions.contains(source),
                Some(("ARCHITECTURE.md", what)) => architecture.contains(what),
                Some((file, tests)) if file.starts_with("test") => {
                    let mut tests = tests.split(", ");
                    // Inside braces stand the ends of names.
                    tests.all(|test| {
                        test.starts_with("test_") || !test.contains('{') && rule.source().contains('{')
                    })
                }
                Some((file, what)) => {
                    file.starts_with("slapos/") && file.ends_with(".py") && !what.is_empty()
                }
            };
            assert!(is_named, "{}: {source:?} cannot be looked up", rule.name());
        }
    }
}

#[test]
fn names_are_unique_and_checks_exist() {
    let mut names = BTreeSet::new();
    for rule in Rule::ALL {
        assert!(names.insert(rule.name()), "{} stands twice", rule.name());
        let (module, function) = rule.checked_by().split_once("::").unwrap();
        let (_, source) = SOURCES.iter().find(|(name, _)| *name == module).unwrap();
        let start =
            source.find(&format!("fn {function}(")).unwrap_or_else(|| panic!("no {}", rule.checked_by()));
        let body = &source[start..];
        let end = body.find("\n}\n").unwrap();
        assert!(body[..end].contains(&format!("Rule::{rule:?}")), "{} is not checked by it", rule.name());
        // Only the model has nodes: what looks at them is broken by nothing real.
        let looks_at_nodes = body[..end].contains(".nodes");
        assert_eq!(rule.is_of_modelled_nodes(), looks_at_nodes, "{}", rule.name());
    }
}

/// The rules, decisions and departures that stand for an invariant, and `settled`.
fn standing_for(number: &str) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    names.extend(Rule::ALL.iter().filter(|it| it.invariants().any(|is| is == number)).map(|it| it.name()));
    names
        .extend(Decision::ALL.iter().filter(|it| it.invariants().any(|is| is == number)).map(|it| it.name()));
    names.extend(
        Departure::ALL.iter().filter(|it| it.invariants().any(|is| is == number)).map(|it| it.name()),
    );
    names.extend(Unsettled::INVARIANTS.contains(&number).then_some("settled"));
    names
}

/// What is wrong with a row of the table: it names just those that stand for its invariant, and may explain that after `: `; or
/// it says that none does, in one of two ways.
fn misplaced(row: &str, (number, sentence): (&str, &str)) -> Option<String> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [at, what, place] = cells.as_slice() else { return Some(format!("{row:?} has not three cells")) };
    if (*at, *what) != (number, sentence) {
        return Some(format!("{row:?} should be about {number}, {sentence:?}"));
    }
    let expected = standing_for(number);
    let is_waiting =
        place.strip_prefix("waits for the deferred master: ").is_some_and(|why| !why.trim().is_empty());
    let found: BTreeSet<&str> = if is_waiting || *place == "left out: payment" {
        BTreeSet::new()
    } else {
        place.split_once(": ").map_or(*place, |(names, _)| names).split(", ").collect()
    };
    (found != expected).then(|| format!("{number}: the document names {found:?}, the code {expected:?}"))
}

/// Each invariant of the real master has its place.
#[test]
fn every_invariant_has_its_place() {
    let numbers =
        (1..=74).map(|number| number.to_string()).chain((1..=13).map(|number| format!("P{number}")));
    assert!(INVARIANTS.iter().map(|(number, _)| (*number).to_owned()).eq(numbers));
    let (_, table) = DOCUMENT.split_once("| | invariant | here |\n|---|---|---|\n").unwrap();
    assert_eq!(table.lines().count(), INVARIANTS.len());
    let wrong: Vec<String> =
        table.lines().zip(INVARIANTS).filter_map(|(row, invariant)| misplaced(row, *invariant)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let known: BTreeSet<&str> = INVARIANTS.iter().map(|(number, _)| *number).collect();
    let named = Rule::ALL.iter().flat_map(|it| it.invariants());
    let named = named.chain(Decision::ALL.iter().flat_map(|it| it.invariants()));
    for number in named.chain(Departure::ALL.iter().flat_map(|it| it.invariants())) {
        assert!(known.contains(number), "there is no invariant {number:?}");
    }
}

#[test]
fn a_row_that_names_another_place_is_wrong() {
    let row = |number: &str| *INVARIANTS.iter().find(|(at, _)| *at == number).unwrap();
    let (archived, child, format) = (row("24"), row("38"), row("57"));
    for (invariant, sentence, place) in [
        (format, format.1, "unsettled bananas"),
        (format, format.1, "settled"),
        (archived, "Bananas", "destroyed-tree, leaves-go-first"),
        (archived, archived.1, "no-cycle"),
        (child, child.1, "one-tenant"),
        (child, child.1, "connection-wakes-requester"),
        (child, child.1, "left out: payment"),
        (child, child.1, "waits for the deferred master: connections"),
        (row("28"), row("28").1, "left out: payments"),
        (row("58"), row("58").1, "waits for the deferred master: "),
    ] {
        let text = format!("| {} | {sentence} | {place} |", invariant.0);
        assert!(misplaced(&text, invariant).is_some(), "{text}");
    }
}
