//! slapos.cookbook:wrapper: a script that becomes a command.
//!
//! `#!/bin/sh -e`, `trap '' SIGNAL` for sig-ign, sorted exports, `exec` with quoted words and `"$@"`, folded at 40
//! columns, mode 0700 (slapos/recipe/librecipe/generic.py, `createWrapper`). hash-files and hash-existing-files put
//! the MD5 sum of those files into the script's name, so that a supervisor sees another program when they change.
//! Native: no Python is involved, so the options `_d` and `_e` (egg directories) are not set, and what upstream does in a Python
//! launcher (wait-for-files, pidfile, private-tmpfs, reserve-cpu, redirect-*) is refused by name.

use super::common::{self, Constructed, Done, shell_quote};
use crate::profile::recipe::{Options, Part, Recipe, RecipeError};
use md5::{Digest, Md5};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const LAUNCHER: [&str; 6] =
    ["wait-for-files", "pidfile", "private-tmpfs", "redirect-signal", "redirect-stdout", "redirect-stderr"];

/// Signals as a shell's `trap` and Python's `signal` know them, without SIG.
const SIGNALS: [&str; 29] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "POLL", "PROF",
    "PWR", "QUIT", "SEGV", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2",
    "VTALRM", "WINCH",
];

struct Wrapper {
    hash_files: Vec<String>,
    /// Files of hash-files that no part of this buildout made.
    existing: Vec<String>,
}

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        common::refuse(options, &LAUNCHER, "it needs a launcher that this program does not have")?;
        if options.get("reserve-cpu").is_some_and(|value| common::is_true_word(&value)) {
            common::refuse(options, &["reserve-cpu"], "it needs a launcher that this program does not have")?;
        }
        if let Some(signal) = common::given(options, "sig-ign")
            && !SIGNALS.contains(&signal.as_str())
        {
            return Err(options.error(Some("sig-ign"), format!("invalid signal value: {signal}")));
        }
        let list = |option: &str| -> Vec<String> {
            options.get_or(option, "").split_whitespace().map(str::to_owned).collect()
        };
        let mut hash_files = list("hash-files");
        let existing = hash_files
            .iter()
            .filter(|path| {
                let path = options.absolute(path);
                options.env().files().exists(&path) && !path.starts_with(options.directory())
            })
            .cloned()
            .collect();
        let found = list("hash-existing-files");
        if !found.is_empty() {
            options.set("__hash_files__", &hash(options, "hash-existing-files", &found)?);
            hash_files.extend(found);
        }
        Ok(Box::new(Wrapper { hash_files, existing }) as Box<dyn Recipe>)
    })
}

/// The MD5 sum of files with their lengths (slapos/recipe/librecipe/filehash.py, `generateHashFromFiles`).
fn hash(options: &dyn Options, option: &str, paths: &[String]) -> Result<String, RecipeError> {
    let mut hasher = Md5::new();
    for path in paths {
        let path = options.absolute(path);
        let content = options.env().files().read(&path, common::FILE_BYTES_MAX);
        let content = content.map_err(|error| {
            options.error(Some(option), format!("{} cannot be read: {error}", path.display()))
        })?;
        hasher.update(format!("{}\n", content.len()));
        hasher.update(&content);
    }
    Ok(crate::vocabulary::hex(&hasher.finalize()))
}

/// The script's text.
pub(super) fn script(
    words: &[String],
    variables: &BTreeMap<String, String>,
    ignored_signal: Option<&str>,
) -> String {
    let mut lines = vec!["#!/bin/sh -e".to_owned()];
    lines.extend(ignored_signal.map(|signal| format!("trap '' {signal}")));
    lines.extend(variables.iter().map(|(name, value)| format!("export {name}={}", shell_quote(value))));
    let mut line = "exec".to_owned();
    for word in words.iter().map(|word| shell_quote(word)).chain(["\"$@\"".to_owned()]) {
        if line.chars().count() < 40 {
            line.push(' ');
        } else {
            line.push_str(" \\");
            lines.push(std::mem::take(&mut line));
            line.push('\t');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines.join("\n") + "\n"
}

impl Wrapper {
    fn path(&self, options: &dyn Options) -> Result<PathBuf, RecipeError> {
        let mut path = options.required("wrapper-path")?;
        if !self.hash_files.is_empty() {
            path = format!("{path}-{}", hash(options, "hash-files", &self.hash_files)?);
        }
        Ok(options.absolute(Path::new(&path)))
    }

    fn make(&self, options: &dyn Options) -> Result<Vec<PathBuf>, RecipeError> {
        if !self.existing.is_empty() {
            return Err(options.error(
                Some("hash-files"),
                format!(
                    "hash-files must only list files that are generated by buildout:\n  {}",
                    self.existing.join("\n  ")
                ),
            ));
        }
        let line = options.required("command-line")?;
        let words = common::shell_split(&line).map_err(|error| {
            options.error(Some("command-line"), format!("command-line {line:?}: {error}"))
        })?;
        if words.is_empty() {
            return Err(options.error(Some("command-line"), "command-line is empty"));
        }
        let variables = variables(options)?;
        let signal = common::given(options, "sig-ign");
        let path = self.path(options)?;
        let text = script(&words, &variables, signal.as_deref());
        common::put(options, &path, text.as_bytes(), 0o700)?;
        Ok(vec![path])
    }
}

fn variables(options: &dyn Options) -> Result<BTreeMap<String, String>, RecipeError> {
    let mut variables = BTreeMap::new();
    for line in options.get_or("environment", "").lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').ok_or_else(|| {
            options.error(Some("environment"), format!("environment line {line:?}: expected NAME=VALUE"))
        })?;
        variables.insert(name.trim_end().to_owned(), value.trim_start().to_owned());
    }
    Ok(variables)
}

impl Recipe for Wrapper {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move { self.make(&**part) })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let path = self.path(&**part)?;
            if !part.env().files().is_file(&path) {
                return Err(part.error(
                    Some("wrapper-path"),
                    format!("unstable wrapper path ({:?})", path.display().to_string()),
                ));
            }
            Ok(Vec::new())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_have_upstreams_shape() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let variables =
            BTreeMap::from([("B".to_owned(), "x y".to_owned()), ("A".to_owned(), "1".to_owned())]);
        assert_eq!(
            script(&words(&["/bin/echo", "it's", "b"]), &variables, Some("HUP")),
            "#!/bin/sh -e\ntrap '' HUP\nexport A=1\nexport B='x y'\nexec /bin/echo 'it'\"'\"'s' b \"$@\"\n"
        );
        assert_eq!(
            script(
                &words(&["/a/rather/long/path/to/a/program", "--option", "value", "--more"]),
                &BTreeMap::new(),
                None
            ),
            "#!/bin/sh -e\nexec /a/rather/long/path/to/a/program --option \\\n\tvalue --more \"$@\"\n"
        );
    }
}
