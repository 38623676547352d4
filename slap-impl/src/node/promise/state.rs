//! Result and cache files of promises (slapos.core: grid/promise/__init__.py and generic.py), in
//! `<partition>/.slapgrid/promise/{result,cache,log}`.

use crate::{
    env::{FileKind, Files, Metadata},
    node::safe,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// Files longer than this are not ours.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A log's bound.
pub(super) const LOG_BYTES_MAX: u64 = 256 << 10;

/// How much of a log is looked at to count failures.
const HISTORY_BYTES_MAX: u64 = 96 << 10;

/// A message's bound, in characters: its end is kept.
const MESSAGE_LENGTH_MAX: usize = 5000;

/// Content of `result/<title>.status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultFile {
    /// The promise's file name without `.py`.
    pub title: String,
    /// The promise's file name.
    pub name: String,
    /// The promise's file.
    pub path: String,
    /// Seconds.
    #[serde(rename = "execution-time")]
    pub execution_time: f64,
    /// What came out.
    pub result: ResultItem,
}

/// What came out of a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultItem {
    /// "Test Result" or "Anomaly Result".
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the promise is broken.
    pub failed: bool,
    /// UTC, such as 2026-01-31T12:00:00+0000.
    pub date: String,
    /// What the promise says; at most its last 5000 characters.
    #[serde(deserialize_with = "text_or_null")]
    pub message: String,
}

fn text_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

/// Content of `cache/<title>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheFile {
    pub(super) is_tested: bool,
    pub(super) is_anomaly_detected: bool,
    /// Minutes.
    pub(super) periodicity: f64,
    /// Seconds since 1970.
    pub(super) next_run_after: f64,
    pub(super) timestamp: f64,
    pub(super) module_file: String,
    pub(super) module_file_mtime: f64,
}

/// The directories of a partition's promises.
pub(super) struct State<'a> {
    files: &'a dyn Files,
    result: PathBuf,
    cache: PathBuf,
    log: PathBuf,
}

impl<'a> State<'a> {
    /// Makes the directories where they are missing, following no link. The partition's own is made by format alone, which knows its mode
    /// and its owner.
    pub(super) fn open(files: &'a dyn Files, partition: &Path) -> io::Result<State<'a>> {
        if !files.is_directory(partition) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the partition's directory is gone"));
        }
        safe::directory(files, partition, &[".slapgrid", "promise"], 0o755)?;
        let directory = |name| safe::directory(files, partition, &[".slapgrid", "promise", name], 0o700);
        Ok(State { files, result: directory("result")?, cache: directory("cache")?, log: directory("log")? })
    }

    /// The last result, if there is a readable one.
    pub(super) fn result(&self, title: &str) -> Option<ResultFile> {
        let path = self.result.join(format!("{title}.status.json"));
        serde_json::from_slice(&safe::read(self.files, &path, FILE_BYTES_MAX)?).ok()
    }

    /// Writes a result.
    pub(super) fn write_result(&self, result: &ResultFile) -> io::Result<()> {
        let path = self.result.join(format!("{}.status.json", result.title));
        safe::put(self.files, &path, &serde_json::to_vec(result).map_err(io::Error::other)?, 0o644)
    }

    /// The cache of a promise that still is the same file as then.
    pub(super) fn cache(&self, title: &str, module_file: &Path, metadata: &Metadata) -> Option<CacheFile> {
        let bytes = safe::read(self.files, &self.cache.join(title), FILE_BYTES_MAX)?;
        let cache: CacheFile = serde_json::from_slice(&bytes).ok()?;
        let same = cache.module_file == module_file.to_string_lossy()
            && cache.module_file_mtime == metadata.modified_seconds as f64;
        same.then_some(cache)
    }

    /// Writes a cache.
    pub(super) fn write_cache(&self, title: &str, cache: &CacheFile) -> io::Result<()> {
        safe::put(
            self.files,
            &self.cache.join(title),
            &serde_json::to_vec(cache).map_err(io::Error::other)?,
            0o644,
        )
    }

    /// Adds a line to a promise's log.
    pub(super) fn log(&self, title: &str, line: &str) -> io::Result<()> {
        safe::append_bounded(self.files, &self.log_path(title), line, LOG_BYTES_MAX, 0o644)
    }

    /// The end of a promise's log.
    pub(super) fn history(&self, title: &str) -> String {
        let path = self.log_path(title);
        let is_file =
            self.files.symlink_metadata(&path).is_ok_and(|metadata| metadata.kind == FileKind::File);
        if !is_file {
            return String::new();
        }
        let bytes = self.files.read_tail(&path, HISTORY_BYTES_MAX).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_path(&self, title: &str) -> PathBuf {
        self.log.join(format!("{title}.log"))
    }

    /// Removes what promises left that are no more.
    pub(super) fn keep_only(&self, titles: &BTreeSet<String>) {
        for (directory, suffix) in [(&self.result, ".status.json"), (&self.cache, ""), (&self.log, ".log")] {
            for name in self.files.list(directory).unwrap_or_default() {
                if !name.strip_suffix(suffix).is_some_and(|title| titles.contains(title)) {
                    self.files.remove_any(&directory.join(name)).ok();
                }
            }
        }
    }
}

/// The results of a partition's promises as they stand in its files, by title.
pub fn read_results(files: &dyn Files, partition: &Path) -> Vec<ResultFile> {
    let directory = partition.join(".slapgrid/promise/result");
    let names = files.list(&directory).unwrap_or_default();
    let results = names.iter().filter(|name| name.ends_with(".status.json"));
    results
        .filter_map(|name| {
            serde_json::from_slice(&safe::read(files, &directory.join(name), FILE_BYTES_MAX)?).ok()
        })
        .collect()
}

/// The end of a message that is too long: its last whole lines, where upstream begins in the midst of one.
pub(super) fn bounded(message: &str) -> String {
    let length = message.chars().count();
    if length <= MESSAGE_LENGTH_MAX {
        return message.to_owned();
    }
    let end: String = message.chars().skip(length - MESSAGE_LENGTH_MAX).collect();
    let whole = end.split_once('\n').filter(|(_, whole)| !whole.trim().is_empty());
    whole.map_or_else(|| format!("...{end}"), |(_, whole)| format!("...\n{whole}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_written_as_upstream_writes_it() {
        let result = ResultFile {
            title: "up".to_owned(),
            name: "up.py".to_owned(),
            path: "/p/etc/plugin/up.py".to_owned(),
            execution_time: 0.05,
            result: ResultItem {
                kind: "Test Result".to_owned(),
                failed: false,
                date: "2026-01-31T12:00:00+0000".to_owned(),
                message: "ok".to_owned(),
            },
        };
        let expected = concat!(
            r#"{"title":"up","name":"up.py","path":"/p/etc/plugin/up.py","execution-time":0.05,"#,
            r#""result":{"type":"Test Result","failed":false,"date":"2026-01-31T12:00:00+0000","message":"ok"}}"#
        );
        assert_eq!(serde_json::to_string(&result).unwrap(), expected);
        let null = expected.replace(r#""ok""#, "null");
        assert_eq!(serde_json::from_str::<ResultFile>(&null).unwrap().result.message, "");
    }

    #[test]
    fn the_end_of_a_long_message_is_kept() {
        let long = format!("{}end", "é".repeat(6000));
        let kept = bounded(&long);
        assert!(kept.starts_with("...é") && kept.ends_with("end"));
        assert_eq!(kept.chars().count(), 5003);
        let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        let kept = bounded(&lines);
        assert!(kept.starts_with("...\nline ") && kept.ends_with("line 999\n"), "{kept}");
    }
}
