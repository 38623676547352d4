//! What a step showed: its exit code, texts, and a directory's files with their modes; and how two such views differ.
//!
//! What differs from run to run is replaced by a name in brackets first: paths, addresses and ports ([`Names`]), and by their shape
//! dates `[DATE]`, timestamps of a master `[TIME]`, numbers of processes `[PID]` and durations `[SECONDS]`.

use serde_json::Value;
use slap_impl::env::{Env, FileKind};
use std::{collections::BTreeMap, io, path::Path};

/// Bytes of a file that is compared.
const FILE_BYTES_MAX: u64 = 1 << 22;

/// Texts and what stands for them; what was added first is replaced first.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<(String, &'static str)>);

impl Names {
    pub(super) fn add(&mut self, text: impl Into<String>, name: &'static str) {
        self.0.push((text.into(), name));
    }

    /// Adds the names of another world, after these.
    pub(super) fn extend(&mut self, others: &Names) {
        self.0.extend_from_slice(&others.0);
    }

    /// The text with its names.
    pub(super) fn replace(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (found, name) in &self.0 {
            text = text.replace(found, name);
        }
        replace_shapes(&text)
    }

    /// JSON with its names, a line for each value: a number that is a time becomes a text.
    pub(super) fn replace_in_json(&self, json: &mut Value) {
        match json {
            Value::Object(object) => object.values_mut().for_each(|value| self.replace_in_json(value)),
            Value::Array(items) => items.iter_mut().for_each(|value| self.replace_in_json(value)),
            Value::String(text) => *text = self.replace(text),
            Value::Number(number) => {
                let shown = number.to_string();
                let replaced = self.replace(&shown);
                if replaced != shown {
                    *json = Value::String(replaced);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A text with its names. JSON is written anew, because its blanks and line ends are nobody's business.
    pub(super) fn replace_document(&self, text: &str) -> String {
        match serde_json::from_str::<Value>(text) {
            Ok(mut json) if json.is_object() => {
                self.replace_in_json(&mut json);
                replace_shapes(&format!("{json:#}\n"))
            }
            _ => self.replace(text),
        }
    }
}

/// A file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: &'static str,
    pub(super) mode: u32,
    pub(super) content: String,
}

/// What a step showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The exit code, or what there was instead of one.
    pub(super) outcome: String,
    /// How often a node was run until no promise failed; not compared.
    pub(super) runs: usize,
    /// What was written or answered, by what it is.
    pub(super) texts: BTreeMap<String, String>,
    /// What stands on the disk.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) bytes: usize,
    pub(super) files: usize,
    pub(super) modes: usize,
}

impl Seen {
    /// Looks at a directory; its names stand below `prefix`. A directory that is not there is not seen.
    pub(super) fn look(
        &mut self,
        env: &Env,
        directory: &Path,
        prefix: &str,
        names: &Names,
    ) -> io::Result<()> {
        if !env.files().is_directory(directory) {
            return Ok(());
        }
        for name in env.files().list(directory)? {
            let path = directory.join(&name);
            let shown = names.replace(&format!("{prefix}/{name}"));
            let metadata = match env.files().symlink_metadata(&path) {
                // A promise's or an engine's temporary file may be gone by now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let mut entry = Entry { kind: "other", mode: metadata.mode & 0o7777, content: String::new() };
            match metadata.kind {
                FileKind::Directory => {
                    entry.kind = "directory";
                    self.look(env, &path, &shown, names)?;
                }
                FileKind::Symlink => {
                    entry.kind = "link";
                    entry.content = names.replace(&env.files().read_link(&path)?.display().to_string());
                }
                FileKind::File if is_volatile(&name) => {
                    entry.kind = "file";
                    entry.content = "[NOT COMPARED]".to_owned();
                }
                FileKind::File => {
                    let content = env.files().read(&path, FILE_BYTES_MAX)?;
                    entry.kind = "file";
                    entry.content = match String::from_utf8(content) {
                        Ok(text) => names.replace_document(&text),
                        Err(error) => error.as_bytes().escape_ascii().to_string(),
                    };
                }
                FileKind::Device | FileKind::Other => {}
            }
            self.entries.insert(shown, entry);
        }
        Ok(())
    }

    /// How much there is to compare with.
    pub(super) fn amount(&self) -> Amount {
        let texts: usize = self.texts.values().map(String::len).sum();
        let contents: usize = self.entries.values().map(|entry| entry.content.len()).sum();
        Amount {
            bytes: texts + contents,
            files: self.entries.values().filter(|entry| entry.kind == "file").count(),
            modes: self.entries.values().filter(|entry| entry.kind != "link").count(),
        }
    }
}

/// Whether a file's content is about this run alone: logs, process numbers, compiled modules. Its mode is compared.
fn is_volatile(name: &str) -> bool {
    [".log", ".pid", ".pyc"].iter().any(|end| name.ends_with(end))
}

/// All differences, a line or more each.
pub(super) fn differences(real: &Seen, ours: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |what: &str, real: &str, ours: &str| {
        if real != ours {
            found.push(format!("{what}\n{}", changed_lines(real, ours)));
        }
    };
    note("outcome", &real.outcome, &ours.outcome);
    for name in union(&real.texts, &ours.texts) {
        let text = |seen: &Seen| seen.texts.get(name).map_or("absent", String::as_str).to_owned();
        note(name, &text(real), &text(ours));
    }
    for name in union(&real.entries, &ours.entries) {
        match (real.entries.get(name), ours.entries.get(name)) {
            (Some(left), Some(right)) => {
                let head = |entry: &Entry| format!("{} {:04o}", entry.kind, entry.mode);
                note(name, &head(left), &head(right));
                note(name, &left.content, &right.content);
            }
            (left, right) => {
                let kind = |entry: Option<&Entry>| entry.map_or("absent", |entry| entry.kind);
                note(name, kind(left), kind(right));
            }
        }
    }
    found
}

/// The keys of both, each once.
fn union<'a, T>(left: &'a BTreeMap<String, T>, right: &'a BTreeMap<String, T>) -> Vec<&'a String> {
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort();
    names.dedup();
    names
}

/// The lines in which two texts differ: equal ones at the beginning and at the end are left out.
fn changed_lines(real: &str, ours: &str) -> String {
    // With their ends: that the last line has none is a difference, too.
    let lines = |text: &'_ str| -> Vec<String> { text.split_inclusive('\n').map(str::to_owned).collect() };
    let (left, right) = (lines(real), lines(ours));
    let begin = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let rest = left[begin..].iter().rev().zip(right[begin..].iter().rev());
    let end = rest.take_while(|(left, right)| left == right).count();
    let show = |name: &str, lines: &[String]| {
        let shown: Vec<String> =
            lines.iter().take(12).map(|line| line.chars().take(2000).collect()).collect();
        format!("    {name} {:?}", shown.concat())
    };
    let real = show("real:", &left[begin..left.len() - end]);
    format!("{real}\n{}", show("ours:", &right[begin..right.len() - end]))
}

/// Shapes, and what stands for them: `0` is a digit, `9` one or more digits, `@` a letter; anything else stands for itself.
const SHAPES: [(&str, &str); 11] = [
    ("0000-00-00 00:00:00,000", "[DATE]"),
    ("0000-00-00 00:00:00", "[DATE]"),
    ("0000-00-00T00:00:00+0000", "[DATE]"),
    ("@@@ @@@ 00 00:00:00 0000", "[DATE]"),
    ("@@@ @@@  0 00:00:00 0000", "[DATE]"),
    ("0000000000.9", "[TIME]"),
    ("pid 9, uptime 9:00:00", "pid [PID], uptime [SECONDS]"),
    ("\"execution-time\": 9.9", "\"execution-time\": [SECONDS]"),
    ("[9] ", "[PID] "),
    ("/tmp/tmp", "[TEMPORARY]"),
    (" - 0000000000-9 - ", " - [RUN] - "),
];

fn replace_shapes(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some(first) = rest.chars().next() {
        for (shape, name) in SHAPES {
            let after_digit = result.ends_with(|last: char| last.is_ascii_digit());
            if let Some(length) = matches(shape, rest).filter(|_| !after_digit || !shape.starts_with('0')) {
                result.push_str(name);
                rest = &rest[length..];
                continue 'text;
            }
        }
        result.push(first);
        rest = &rest[first.len_utf8()..];
    }
    result
}

/// How many bytes of a text's beginning have the shape.
fn matches(shape: &str, text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    for wanted in shape.bytes() {
        match wanted {
            b'0' => at += if bytes.get(at)?.is_ascii_digit() { 1 } else { return None },
            b'@' => at += if bytes.get(at)?.is_ascii_alphabetic() { 1 } else { return None },
            b'9' => {
                let digits =
                    bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                at += if digits == 0 { return None } else { digits };
            }
            other => at += if *bytes.get(at)? == other { 1 } else { return None },
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        let mut names = Names::default();
        names.add("/tmp/x/real", "[WORLD]");
        names.add("127.0.0.1:5001", "[MASTER]");
        let check = |text: &str, expected: &str| assert_eq!(names.replace(text), expected);
        check("/tmp/x/real/inst http://127.0.0.1:5001/", "[WORLD]/inst http://[MASTER]/");
        check("2026-11-23 00:09:18 slapos[16580] INFO a[1]", "[DATE] slapos[PID] INFO a[1]");
        check("\"2026-11-23T00:09:18+0000\"", "\"[DATE]\"");
        check("1795363320.82 11795363320.821932", "[TIME] 11795363320.821932");
        check("Mon Nov 23 00:29:26 2026\n", "[DATE]\n");
        check("pid 16382, uptime 0:00:17", "pid [PID], uptime [SECONDS]");
        check("\"execution-time\": 1.25, 3", "\"execution-time\": [SECONDS], 3");
        check("port 8123, 0750", "port 8123, 0750");
    }

    #[test]
    fn each_kind_of_difference_is_found() {
        let mut real = Seen { outcome: "0".to_owned(), ..Seen::default() };
        real.texts.insert("stdout".to_owned(), "a\nb\nc".to_owned());
        let file = Entry { kind: "file", mode: 0o640, content: "x".to_owned() };
        real.entries.insert("etc/a".to_owned(), file.clone());
        assert!(differences(&real, &real.clone()).is_empty());
        assert_eq!(real.amount(), Amount { bytes: 6, files: 1, modes: 1 });
        let check = |change: &dyn Fn(&mut Seen), expected: &str| {
            let mut ours = real.clone();
            change(&mut ours);
            assert_eq!(differences(&real, &ours), [expected]);
        };
        check(&|ours| ours.outcome = "1".to_owned(), "outcome\n    real: \"0\"\n    ours: \"1\"");
        check(
            &|ours| drop(ours.texts.insert("stdout".to_owned(), "a\nd\nc".to_owned())),
            "stdout\n    real: \"b\\n\"\n    ours: \"d\\n\"",
        );
        check(
            &|ours| drop(ours.entries.insert("etc/a".to_owned(), Entry { mode: 0o600, ..file.clone() })),
            "etc/a\n    real: \"file 0640\"\n    ours: \"file 0600\"",
        );
        check(&|ours| ours.entries.clear(), "etc/a\n    real: \"file\"\n    ours: \"absent\"");
    }
}
