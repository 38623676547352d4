//! `slap lab logs`: the logs of a lab's programs and of what runs in its partitions, and their last lines for messages.

use super::layout::{Description, Layout};
use crate::{
    env::{Env, Exit, FileKind},
    node::safe,
};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes that are read of a log's end.
const TAIL_BYTES: u64 = 64 << 10;
/// How often `--follow` looks.
const FOLLOW_PERIOD: Duration = Duration::from_millis(200);

/// A log and the prefix of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// The last lines of a log, each indented, for an error message; says so when there are none.
pub(super) fn last_lines(env: &Env, path: &Path, lines: usize) -> String {
    tail(env, path, lines).map_or_else(|| format!("log: {} is empty", path.display()), |(lines, _)| lines)
}

/// The same with the last line alone; `None` when there are none, or it is no file.
pub(super) fn tail(env: &Env, path: &Path, lines: usize) -> Option<(String, String)> {
    let is_file = env.files().symlink_metadata(path).is_ok_and(|found| found.kind == FileKind::File);
    let text = if is_file { safe::tail_text(env.files(), path, TAIL_BYTES) } else { String::new() };
    let kept: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(lines).collect();
    let last = (*kept.first()?).to_owned();
    let mut message = format!("log: {}", path.display());
    for line in kept.iter().rev() {
        let _ = write!(message, "\n    {line}");
    }
    Some((message, last))
}

/// All logs of a lab, those of its own programs first.
pub(super) fn all(env: &Env, layout: &Layout, description: &Description) -> Vec<Log> {
    let mut logs = Vec::new();
    let directory = layout.root.join("log");
    for name in env.files().list(&directory).unwrap_or_default() {
        if let Some(stem) = name.strip_suffix(".log") {
            logs.push(Log { name: stem.to_owned(), path: directory.join(&name) });
        }
    }
    for computer in description.computers() {
        let software = layout.software_root(&computer);
        for name in env.files().list(&software).unwrap_or_default() {
            add(env, &mut logs, &format!("{computer}/{name}"), &software.join(&name), true);
        }
        let instances = layout.instance_root(&computer);
        for name in env.files().list(&instances).unwrap_or_default() {
            let partition = instances.join(&name);
            add(env, &mut logs, &format!("{computer}/{name}"), &partition, true);
            add(env, &mut logs, &format!("{computer}/{name}"), &partition.join(".slapgrid/log"), false);
            add(env, &mut logs, &format!("{computer}/{name}"), &partition.join("var/log"), false);
            let promises = partition.join(".slapgrid/promise/log");
            add(env, &mut logs, &format!("{computer}/{name}/promise"), &promises, false);
        }
    }
    logs
}

/// Adds the logs in a directory: files named `*.log`, if `hidden` those that begin with a dot.
fn add(env: &Env, logs: &mut Vec<Log>, prefix: &str, directory: &Path, hidden: bool) {
    for name in env.files().list(directory).unwrap_or_default() {
        let path = directory.join(&name);
        // A partition may have put a link there; its target is none of ours.
        let regular =
            env.files().symlink_metadata(&path).is_ok_and(|metadata| metadata.kind == FileKind::File);
        if let Some(stem) = name.strip_suffix(".log")
            && regular
            && name.starts_with('.') == hidden
        {
            logs.push(Log { name: format!("{prefix}/{}", stem.trim_start_matches('.')), path });
        }
    }
}

/// Prints the ends of the logs whose names contain `wanted`, and goes on with `follow`.
pub(super) async fn run(
    env: &Env,
    layout: &Layout,
    description: &Description,
    wanted: Option<&str>,
    lines: usize,
    follow: bool,
) -> Exit {
    let chosen = |logs: Vec<Log>| -> Vec<Log> {
        logs.into_iter().filter(|log| wanted.is_none_or(|wanted| log.name.contains(wanted))).collect()
    };
    let logs = chosen(all(env, layout, description));
    if logs.is_empty() {
        let names: Vec<String> = all(env, layout, description).into_iter().map(|log| log.name).collect();
        env.tell(format_args!("error: no log's name contains {:?}", wanted.unwrap_or_default()));
        env.tell(format_args!("hint: there are {}", names.join(", ")));
        return Exit::FAILED;
    }
    let mut seen: Vec<(Log, u64)> = Vec::new();
    for log in logs {
        let text = safe::tail_text(env.files(), &log.path, TAIL_BYTES);
        let length = env.files().metadata(&log.path).map_or(0, |metadata| metadata.length);
        let all: Vec<&str> = text.lines().collect();
        for line in &all[all.len().saturating_sub(lines)..] {
            env.print(format_args!("{}: {line}", log.name));
        }
        seen.push((log, length));
    }
    if !follow {
        return Exit::DONE;
    }
    let mut termination = env.processes().termination();
    loop {
        let pause = env.sleep(FOLLOW_PERIOD);
        if let crate::env::Either::First(()) = crate::env::race(&mut termination, pause).await {
            return Exit::DONE;
        }
        for log in chosen(all(env, layout, description)) {
            if !seen.iter().any(|(other, _)| *other == log) {
                seen.push((log, 0));
            }
        }
        for (log, position) in &mut seen {
            print_new(env, log, position);
        }
    }
}

/// Prints the whole lines that came after `position`, and moves it. A log that was cut begins anew.
fn print_new(env: &Env, log: &Log, position: &mut u64) {
    let Ok(metadata) = env.files().metadata(&log.path) else { return };
    if metadata.length < *position {
        *position = 0;
    }
    let new = metadata.length - *position;
    if new == 0 {
        return;
    }
    let bytes = env.files().read_tail(&log.path, new.min(TAIL_BYTES)).unwrap_or_default();
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return };
    for line in String::from_utf8_lossy(&bytes[..end]).lines() {
        env.print(format_args!("{}: {line}", log.name));
    }
    *position = metadata.length - (bytes.len() - end - 1) as u64;
}
