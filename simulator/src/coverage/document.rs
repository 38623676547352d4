//! `simulator/COVERAGE.md`: a section for each reason, which it tells in words, and below it the functions that are unreached because of it,
//! each an item: "* `master::form::Form::parse`".

use std::collections::BTreeMap;

/// Reads the functions that stand in the document, each with the heading of its section.
///
/// # Errors
/// A section that gives no reason, a function outside of all, or one that is there twice.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut listed = BTreeMap::new();
    let mut heading = None;
    let mut has_reason = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            (heading, has_reason) = (Some(title.to_owned()), false);
        } else if let Some(rest) = line.strip_prefix("* `") {
            let name = rest.split('`').next().unwrap_or_default().to_owned();
            let section = heading.clone().ok_or_else(|| format!("{name} stands in no section"))?;
            if !has_reason {
                return Err(format!("section {section:?} lists functions and gives no reason"));
            }
            if listed.insert(name.clone(), section).is_some() {
                return Err(format!("{name} is there twice"));
            }
        } else if !line.trim().is_empty() {
            has_reason = true;
        }
    }
    Ok(listed)
}

/// In what the document and what was seen differ, a line each.
pub(super) fn compare(listed: &BTreeMap<String, String>, functions: &BTreeMap<String, bool>) -> Vec<String> {
    let unlisted = functions.iter().filter(|(name, is_reached)| !**is_reached && !listed.contains_key(*name));
    let mut differences: Vec<String> =
        unlisted.map(|(name, _)| format!("unreached, and without a reason: {name}")).collect();
    for (name, section) in listed {
        match functions.get(name) {
            Some(false) => (),
            Some(true) => differences.push(format!("reached, and listed below {section:?}: {name}")),
            None => differences.push(format!("no function any more, and listed below {section:?}: {name}")),
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# Coverage

Words.

## Not asked for in swarms

Nobody asks for that.

* `master::form::Form::parse`
* `<master::form::Form as core::fmt::Debug>::fmt`: words

## Faults

* no function
";

    #[test]
    fn functions_stand_below_their_reason() {
        let listed = read(DOCUMENT).expect("it is a document");
        let names: Vec<(&str, &str)> =
            listed.iter().map(|(name, section)| (name.as_str(), section.as_str())).collect();
        assert_eq!(
            names,
            [
                ("<master::form::Form as core::fmt::Debug>::fmt", "Not asked for in swarms"),
                ("master::form::Form::parse", "Not asked for in swarms"),
            ]
        );
        for (text, expected) in [
            ("* `f`", "f stands in no section"),
            ("## A\n\n* `f`", "section \"A\" lists functions and gives no reason"),
            ("## A\nbecause\n* `f`\n## B\n* `g`", "section \"B\" lists functions and gives no reason"),
            ("## A\nbecause\n* `f`\n* `f`", "f is there twice"),
        ] {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn the_document_of_the_project_gives_a_reason_for_each_function() {
        let listed = read(include_str!("../../COVERAGE.md")).expect("it is a document");
        assert_eq!(listed.get("client::protocol").map(String::as_str), Some("Other programs"));
        assert!(!listed.values().any(|section| section.starts_with("Faults")), "{listed:?}");
    }

    #[test]
    fn each_difference_is_told() {
        let listed = ["same", "reached", "gone"].map(|name| (name.to_owned(), "A".to_owned())).into();
        let functions = [("same", false), ("reached", true), ("new", false), ("other", true)]
            .map(|(name, is)| (name.to_owned(), is));
        assert_eq!(
            compare(&listed, &functions.into()),
            [
                "unreached, and without a reason: new",
                "no function any more, and listed below \"A\": gone",
                "reached, and listed below \"A\": reached",
            ]
        );
        assert_eq!(compare(&BTreeMap::new(), &BTreeMap::new()), Vec::<String>::new());
    }
}
