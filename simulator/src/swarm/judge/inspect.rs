//! What a person who looks on at a run is shown: an object by the model and by the master, and in what the two differ.

use super::{
    DATABASE, Judge,
    names::{Lines, lines_of_rows},
    versions::Line,
};
use crate::{
    differential::rows::Rows,
    swarm::{cloud::Cloud, script::Place},
};
use rusqlite::Connection;
use std::{collections::BTreeSet, fmt::Debug, path::Path};

/// So many versions of an object are shown, the last ones.
const VERSIONS_SHOWN: usize = 10;
/// Characters of a version that are shown.
const CHARACTERS_SHOWN: usize = 300;

/// The objects of which either side keeps something else: name, the model's line, the master's.
pub(super) fn differences(expected: &Lines, found: &Lines) -> Vec<(String, String, String)> {
    let objects: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let different = objects.into_iter().filter(|object| expected.get(*object) != found.get(*object));
    different.map(|object| (object.clone(), side(expected, object), side(found, object))).collect()
}

fn side(lines: &Lines, object: &str) -> String {
    lines.get(object).cloned().unwrap_or_else(|| "is not there".to_owned())
}

impl Judge {
    /// In what the master's database differs from the model now.
    pub(in crate::swarm) fn difference(&self, cloud: &Cloud) -> Vec<String> {
        let found = match self.found(cloud) {
            Ok(found) => found,
            Err(why) => return vec![why],
        };
        let different = differences(&self.book.borrow().replay.lines(), &found);
        let lines = different
            .into_iter()
            .map(|(object, model, master)| format!("{object}\n  model:  {model}\n  master: {master}"));
        let lines: Vec<String> = lines.collect();
        if lines.is_empty() { vec!["the master holds what the model says".to_owned()] } else { lines }
    }

    /// What the model and the master hold of the object of that name, or of all whose names have it in them; its versions, by the entry after
    /// which they were so; and the last entries that touched it.
    pub(in crate::swarm) fn object(&self, cloud: &Cloud, name: &str) -> Vec<String> {
        let book = self.book.borrow();
        let model = book.replay.lines();
        let found = self.found(cloud);
        let mut shown = Vec::new();
        let empty = Lines::new();
        let master = found.as_ref().unwrap_or(&empty);
        let keys: BTreeSet<&String> = model.keys().chain(master.keys()).collect();
        // Who names one of them means that one.
        let is_exact = keys.iter().any(|key| *key == name);
        let is_meant = |key: &str| if is_exact { key == name } else { key.contains(name) };
        for key in keys.into_iter().filter(|key| is_meant(key)) {
            shown.push(key.clone());
            shown.push(format!("  model:  {}", side(&model, key)));
            shown.push(format!(
                "  master: {}",
                found.as_ref().map_or_else(String::clone, |_| side(master, key))
            ));
        }
        let versions = &book.replay.versions;
        for (title, line) in versions.instances.iter().filter(|(title, _)| is_meant(title)) {
            tell_versions(&mut shown, title, line);
        }
        for (place, line) in versions.partitions.iter().filter(|(place, _)| is_meant(place)) {
            tell_versions(&mut shown, &format!("the tenant of {place}"), line);
        }
        for ((computer, url), line) in &versions.supplies {
            let key = format!("{url} on {computer}");
            if is_meant(&key) {
                tell_versions(&mut shown, &key, line);
            }
        }
        for (computer, line) in versions.computers.iter().filter(|(computer, _)| *computer == name) {
            tell_versions(&mut shown, &format!("what {computer} shall do"), line);
        }
        for (_, entries) in book.last.iter().filter(|(object, _)| is_meant(object)) {
            shown.extend(entries.iter().map(|entry| cut(entry)));
        }
        shown
    }

    /// What the master's database holds, or why that cannot be said.
    fn found(&self, cloud: &Cloud) -> Result<Lines, String> {
        let mut rows = None;
        let mut query = |database: &Connection| {
            rows = Some(Rows::of(database)?);
            Ok(())
        };
        match cloud.machine(Place::Master).look(Path::new(DATABASE), &mut query) {
            Ok(true) => rows.map(|rows| lines_of_rows(&rows)).ok_or_else(|| "was not read".to_owned()),
            Ok(false) => Err("nobody has the master's database open".to_owned()),
            Err(error) => Err(format!("the master's database cannot be read: {}", error.message)),
        }
    }
}

fn tell_versions<T: Debug>(shown: &mut Vec<String>, name: &str, line: &Line<T>) {
    shown.push(format!("{name}: {} versions", line.len()));
    for (entry, version) in &line[line.len().saturating_sub(VERSIONS_SHOWN)..] {
        let what = version.as_ref().map_or_else(|| "not there".to_owned(), |version| format!("{version:?}"));
        shown.push(cut(&format!("  after entry {entry}: {what}")));
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
