//! A directory as text: names, modes and contents, with what differs from run to run replaced.

use slap_impl::env::{Env, FileKind};
use std::{fmt::Write, path::Path};

/// Names that are not part of what a profile makes: the node's and the engine's own notes, and logs.
const PASSED_OVER: [&str; 7] = [
    ".slap-buildout.lock",
    ".slapgrid",
    ".slapos-resource",
    ".timestamp",
    ".completed",
    ".software.log",
    "extends-cache",
];
/// Bytes of a file that is shown.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Texts and what stands for them.
#[derive(Default)]
pub(crate) struct Names {
    names: Vec<(String, &'static str)>,
}

impl Names {
    /// From now on `name` stands for `path`; what was added first is replaced first.
    pub(crate) fn add(&mut self, path: &Path, name: &'static str) {
        self.names.push((path.display().to_string(), name));
    }

    /// The text with its names; checksums and times of the master are replaced too.
    pub(crate) fn replace(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, name) in &self.names {
            text = text.replace(path, name);
        }
        let lines = text.split('\n').map(|line| match line.split_once(" = ") {
            Some((option @ ("user-name" | "user-shell"), _)) => format!("{option} = [USER]"),
            _ => line.to_owned(),
        });
        replace_words(&lines.collect::<Vec<String>>().join("\n"))
    }
}

/// Replaces words of 32 hexadecimal digits, and timestamps.
fn replace_words(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || c == '.' {
            word.push(c);
            continue;
        }
        let hexadecimal = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let time = word.len() == 17
            && word.as_bytes()[10] == b'.'
            && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        result.push_str(match (hexadecimal, time) {
            (true, _) => "[MD5]",
            (_, true) => "[TIME]",
            _ => &word,
        });
        word.clear();
        if c != '\0' {
            result.push(c);
        }
    }
    result
}

/// Writes down a directory.
pub(crate) fn write(env: &Env, directory: &Path, names: &Names, text: &mut String) -> Result<(), String> {
    write_below(env, directory, "", names, text).map_err(|error| format!("{}: {error}", directory.display()))
}

fn write_below(
    env: &Env,
    directory: &Path,
    prefix: &str,
    names: &Names,
    text: &mut String,
) -> std::io::Result<()> {
    for name in env.files().list(directory)? {
        if PASSED_OVER.contains(&name.as_str()) || name.ends_with(".log") {
            continue;
        }
        let path = directory.join(&name);
        let metadata = env.files().symlink_metadata(&path)?;
        let shown = format!("{prefix}{name}");
        let line = match metadata.kind {
            FileKind::Directory => format!("{:04o} {shown}/\n", metadata.mode & 0o7777),
            FileKind::Symlink => {
                let target = env.files().read_link(&path)?;
                format!("link {shown} -> {}\n", names.replace(&target.display().to_string()))
            }
            FileKind::File => {
                let content = env.files().read(&path, FILE_BYTES_MAX)?;
                let content = names.replace(&String::from_utf8_lossy(&content));
                let mut block = format!("{:04o} {shown}\n", metadata.mode & 0o7777);
                for line in content.lines() {
                    writeln!(block, "    | {line}").expect("a String takes everything");
                }
                block
            }
            FileKind::Device | FileKind::Other => {
                format!("{:04o} {shown} (neither file nor directory)\n", metadata.mode & 0o7777)
            }
        };
        text.push_str(&line);
        if metadata.kind == FileKind::Directory {
            write_below(env, &path, &format!("{shown}/"), names, text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        let mut names = Names::default();
        names.add(Path::new("/tmp/x/lab/part"), "[PARTITION]");
        names.add(Path::new("/tmp/x/lab"), "[LAB]");
        let check = |text: &str, expected: &str| assert_eq!(names.replace(text), expected);
        check("/tmp/x/lab/part/etc", "[PARTITION]/etc");
        check("/tmp/x/lab/bin", "[LAB]/bin");
        check("a 0123456789abcdef0123456789abcdef b", "a [MD5] b");
        check("t=1795363320.821932", "t=[TIME]");
        check("1.5 and 17", "1.5 and 17");
        check("a = 1\nuser-name = ada\n", "a = 1\nuser-name = [USER]\n");
    }
}
