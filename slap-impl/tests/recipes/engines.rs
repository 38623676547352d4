//! The same steps for both engines, each in a directory of its own.

use crate::{
    case::{Action, Case},
    observe::{Finding, Kind, View, compare},
    python::{Job, Python},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// The name of an engine's directory: of the same length for both, as what is folded at a column holds paths.
const DIRECTORIES: [&str; 2] = ["slap", "zope"];

/// What both engines made of a case.
pub(crate) struct Played {
    pub(crate) findings: Vec<Finding>,
    /// Our standard error and the other's error for each run, to be shown when something is wrong.
    pub(crate) told: Vec<(String, String)>,
    /// How many runs both did.
    pub(crate) successes: usize,
}

/// Runs `slap buildout` in a directory; what it said on standard error when it failed.
pub(crate) fn slap(directory: &Path, parts: &[String]) -> Option<String> {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("slap"));
    command.args(["buildout", "-U", "-N", "-q", "-c", "buildout.cfg"]);
    if !parts.is_empty() {
        command.arg("install").args(parts);
    }
    let done = command.current_dir(directory).env("HOME", directory.parent().unwrap()).output().unwrap();
    (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

/// Plays a case. `after` is called when an engine ran, with its number (0 is slap), and may note what else differs.
pub(crate) fn play(
    case: &Case,
    python: &mut Python,
    after: &mut dyn FnMut(usize, &mut Vec<Finding>),
) -> Played {
    let scratch = tempfile::TempDir::with_prefix("recipes-").unwrap();
    let root = scratch.path().canonicalize().unwrap();
    let directories = DIRECTORIES.map(|name| root.join(name));
    for directory in &directories {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o750)).unwrap();
    }
    let mut played = Played { findings: Vec::new(), told: Vec::new(), successes: 0 };
    for action in &case.actions {
        match action {
            Action::Write { path, mode, text } => {
                for directory in &directories {
                    write(&directory.join(path), text, *mode);
                }
            }
            Action::Remove { path } => {
                for directory in &directories {
                    fs::remove_file(directory.join(path)).unwrap();
                }
            }
            Action::Run { parts } => {
                let step = played.told.len() + 1;
                let ours = slap(&directories[0], parts);
                after(0, &mut played.findings);
                let job = Job { directory: &directories[1], file: "buildout.cfg", parts, fork: case.fork };
                let theirs = python.run(&job);
                after(1, &mut played.findings);
                if ours.is_some() != theirs.is_some() {
                    let told = |told: &Option<String>| told.clone().unwrap_or_else(|| "done".to_owned());
                    played.findings.push(Finding::new(Kind::Outcome, "", told(&ours), told(&theirs)));
                } else if ours.is_none() {
                    played.successes += 1;
                }
                let views = directories.each_ref().map(|directory| View::of(directory));
                played.findings.extend(compare(&views[0], &views[1]));
                for finding in played.findings.iter_mut().filter(|finding| finding.step == 0) {
                    finding.step = step;
                }
                played.told.push((ours.unwrap_or_default(), theirs.unwrap_or_default()));
            }
        }
    }
    // That one failed is said first: it tells what else differs.
    played.findings.sort_by_key(|finding| (finding.step, finding.kind));
    played
}

fn write(path: &Path, text: &str, mode: u32) {
    let parent = path.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
