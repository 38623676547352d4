//! Differences that are meant: each has a name, which stands with its reason in docs/conformance.md. What one covers is taken out of
//! both sides before they are compared; one that no row shows any more is an error.

use super::seen::Seen;
use std::collections::BTreeSet;

/// A difference that is meant.
pub(super) struct Deviation {
    pub(super) name: &'static str,
    /// The parts of the comparison in which it may show.
    parts: &'static str,
    /// The steps in which it may show: those whose name contains this.
    step: &'static str,
    rules: &'static [Rule],
}

/// What it covers. In a pattern, `*` is any text.
enum Rule {
    /// Lines that fit, of texts that are called so.
    Lines(&'static str, &'static str),
    /// A text that is called so.
    Text(&'static str),
    /// Fields of these names, with all that they hold, of an answer in JSON.
    Fields(&'static str, &'static [&'static str]),
    /// What stands on the disk there.
    Path(&'static str),
    /// What is in the files there: that they are there, and their modes, are compared.
    Content(&'static str),
    /// The modes there.
    Mode(&'static str),
    /// Comments and empty lines in the files there.
    Comments(&'static str),
}

use Rule::{Comments, Content, Fields, Lines, Mode, Path, Text};

const fn deviation(
    name: &'static str,
    parts: &'static str,
    step: &'static str,
    rules: &'static [Rule],
) -> Deviation {
    Deviation { name, parts, step, rules }
}

const SEARCH: &str = "hateoas/?mode=search*";

/// All of them.
pub(super) const DEVIATIONS: [Deviation; 18] = [
    deviation(
        "related-instances",
        "a",
        "instance",
        &[
            Lines("standard error", "*updateComputerPartitionRelatedInstanceList*"),
            Lines("standard error", "Cannot send requested instance list to master*"),
        ],
    ),
    deviation(
        "search-rows",
        "an",
        "",
        &[Fields(
            SEARCH,
            &[
                "computer_reference",
                "connection_xml",
                "partition_reference",
                "requested_by",
                "requester_id",
                "requested_state",
                "slap_state",
                "slave_instance_list",
                "software_release",
                "software_type",
                "timestamp",
                "xml",
                "asked_by",
                "hosted_by",
            ],
        )],
    ),
    deviation("search-forgotten-host", "a", "tree: last report", &[Text(SEARCH)]),
    deviation("news", "an", "", &[Fields("hateoas/partitions/*", &["my_news"])]),
    deviation("status", "an", "service info", &[Lines("standard output", "  \"status\": *")]),
    deviation(
        "shared-state",
        "a",
        "shared: service info",
        &[Lines("standard output", "  \"requested-state\": *")],
    ),
    deviation(
        "shared-destroyed-answer",
        "a",
        "shared: destroy",
        &[Lines("standard error", "State is :*"), Lines("standard error", "* INFO {*}")],
    ),
    deviation("shared-first-answer", "a", "shared instance", &[Lines("standard error", "* INFO {*}")]),
    deviation(
        "tree-order",
        "a",
        "tree: ",
        &[
            Lines("standard error", "*Processing Computer Partition *"),
            Lines("standard error", "* INFO   *"),
            Lines("standard error", "*Destroying Computer Partition *"),
            Lines("standard error", "*Checking * promises...*"),
        ],
    ),
    deviation(
        "node-notes",
        "bc",
        "",
        &[
            Path("inst/.slap"),
            Path("inst/.slap/*"),
            Path("soft/.slap"),
            Path("soft/.slap/*"),
            Path("soft/*/.software.log"),
            Path("inst/*/.slapos-request-transaction-*"),
            Content("inst/*/.slapgrid/promise/cache/*"),
        ],
    ),
    deviation(
        "supervisor",
        "bc",
        "",
        &[Path("inst/etc"), Path("inst/etc/*"), Path("inst/sv.sock"), Path("inst/var"), Path("inst/var/*")],
    ),
    deviation(
        "engine-notes",
        "bc",
        "",
        &[Path("*/.slap-buildout.lock"), Content("*/.installed*.cfg"), Comments("inst/*/buildout.cfg")],
    ),
    deviation(
        "python",
        "bc",
        "",
        &[
            Path("soft/*/bin/*"),
            Path("soft/*/develop-eggs/*"),
            Path("soft/*/eggs"),
            Path("inst/*/etc/plugin/__*"),
            Content("inst/*/etc/plugin/*.py"),
            Content("inst/*/etc/service/*"),
        ],
    ),
    deviation("release-modes", "bc", "", &[Mode("soft/*")]),
    deviation("private-logs", "bc", "", &[Mode("inst/*.log"), Mode("inst/*/.slapgrid/log/*")]),
    deviation("fork-signatures", "b", ": instance", &[Content("inst/*/srv/www/index.html")]),
    deviation("resource-stays", "bc", "free", &[Path("inst/*/.slapos-resource")]),
    deviation("retention", "bc", "", &[Path("inst/*/.slapos-retention-lock-delay")]),
];

/// Takes what is meant out of both sides, and gives the names of those that were seen.
pub(super) fn forgive(part: &str, step: &str, real: &mut Seen, ours: &mut Seen) -> BTreeSet<&'static str> {
    let mut shown = BTreeSet::new();
    let fits = |item: &&Deviation| item.parts.contains(part) && step.contains(item.step);
    for deviation in DEVIATIONS.iter().filter(fits) {
        for rule in deviation.rules {
            if rule.take_out(real) != rule.take_out(ours) {
                shown.insert(deviation.name);
            }
        }
    }
    shown
}

impl Rule {
    /// Takes out what it covers, and gives it.
    fn take_out(&self, seen: &mut Seen) -> Vec<String> {
        let mut taken = Vec::new();
        match self {
            Lines(name, pattern) => {
                for (_, text) in seen.texts.iter_mut().filter(|(label, _)| fits(name, label)) {
                    remove_lines(text, &mut taken, |line| fits(pattern, line));
                }
            }
            Text(name) => seen.texts.retain(|label, text| {
                let kept = !fits(name, label);
                if !kept {
                    taken.push(std::mem::take(text));
                }
                kept
            }),
            Fields(name, fields) => {
                for (_, text) in seen.texts.iter_mut().filter(|(label, _)| fits(name, label)) {
                    remove_fields(text, fields, &mut taken);
                }
            }
            Path(pattern) => seen.entries.retain(|path, entry| {
                let kept = !fits(pattern, path);
                if !kept {
                    taken.push(format!("{path}: {entry:?}"));
                }
                kept
            }),
            Content(pattern) => {
                for (_, entry) in seen.entries.iter_mut().filter(|(path, _)| fits(pattern, path)) {
                    taken.push(std::mem::take(&mut entry.content));
                }
            }
            Mode(pattern) => {
                for (_, entry) in seen.entries.iter_mut().filter(|(path, _)| fits(pattern, path)) {
                    taken.push(std::mem::take(&mut entry.mode).to_string());
                }
            }
            Comments(pattern) => {
                for (_, entry) in seen.entries.iter_mut().filter(|(path, _)| fits(pattern, path)) {
                    let is_comment = |line: &str| line.trim().is_empty() || line.starts_with('#');
                    remove_lines(&mut entry.content, &mut taken, is_comment);
                }
            }
        }
        taken
    }
}

fn remove_lines(text: &mut String, taken: &mut Vec<String>, is_taken: impl Fn(&str) -> bool) {
    let (out, kept): (Vec<&str>, Vec<&str>) =
        text.split_inclusive('\n').partition(|line| is_taken(line.trim_end_matches('\n')));
    taken.extend(out.into_iter().map(str::to_owned));
    *text = kept.concat();
}

/// Removes fields of an answer: a status on the first line, and indented JSON below it.
fn remove_fields(text: &mut String, fields: &[&str], taken: &mut Vec<String>) {
    let Some((status, body)) = text.split_once('\n') else { return };
    let Ok(mut json) = serde_json::from_str::<serde_json::Value>(body) else { return };
    let mut values = vec![&mut json];
    while let Some(value) = values.pop() {
        match value {
            serde_json::Value::Object(object) => {
                for field in fields {
                    taken.extend(object.shift_remove(*field).map(|value| format!("{field}: {value}")));
                }
                values.extend(object.values_mut());
            }
            serde_json::Value::Array(items) => values.extend(items),
            _ => {}
        }
    }
    *text = format!("{status}\n{json:#}\n");
}

/// Whether a text fits a pattern, in which `*` is any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check =
            |pattern: &str, text: &str, expected: bool| assert_eq!(fits(pattern, text), expected, "{text}");
        check("inst/*/etc", "inst/slappart0/etc", true);
        check("inst/*/etc", "inst/slappart0/etc/run", false);
        check("*.log", "a/b.log", true);
        check("*.log", "a/b.logs", false);
        check("status", "status", true);
        check("", "x", false);
    }

    #[test]
    fn only_what_is_meant_is_taken_out() {
        let seen = |status: &str, other: &str| {
            let mut seen = Seen::default();
            let text = format!("{{\n  \"status\": \"{status}\"\n  \"other\": \"{other}\"\n}}");
            seen.texts.insert("standard output".to_owned(), text);
            seen
        };
        let check = |mut real: Seen, mut ours: Seen, shown: &[&str], equal: bool| {
            let found = forgive("a", "service info", &mut real, &mut ours);
            assert_eq!(found.into_iter().collect::<Vec<_>>(), shown);
            assert_eq!(real == ours, equal);
        };
        check(seen("unsupported", "x"), seen("green", "x"), &["status"], true);
        check(seen("unsupported", "x"), seen("green", "y"), &["status"], false);
        check(seen("green", "x"), seen("green", "x"), &[], true);
    }

    #[test]
    fn fields_go_with_all_that_they_hold() {
        let mut text = "200\n{\"a\": [{\"news\": {\"b\": 1}, \"c\": 2}]}".to_owned();
        let mut taken = Vec::new();
        remove_fields(&mut text, &["news"], &mut taken);
        assert_eq!(taken, ["news: {\"b\":1}"]);
        assert_eq!(text.split_whitespace().collect::<String>(), "200{\"a\":[{\"c\":2}]}");
    }

    #[test]
    fn each_stands_in_the_documentation_once() {
        let document = include_str!("../../../docs/conformance.md");
        let mut names = BTreeSet::new();
        for deviation in &DEVIATIONS {
            assert!(names.insert(deviation.name), "{} stands twice", deviation.name);
            let row = format!("| {} |", deviation.name);
            assert_eq!(document.matches(&row).count(), 1, "{} in docs/conformance.md", deviation.name);
        }
    }
}
