//! What recipes share: reading and fetching, writing files as Python recipes do, shell words, typed options.

use crate::{
    env::{Env, FileKind, LocalFuture},
    profile::{
        literal::{self, Literal},
        recipe::{Options, Recipe, RecipeError},
        source::md5_hex,
    },
    vocabulary::{ComputerId, PartitionId},
    wire::http::client::{self, Request},
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// What constructing a recipe gives.
pub(super) type Constructed<'a> = LocalFuture<'a, Result<Box<dyn Recipe>, RecipeError>>;

/// What installing or updating a part gives.
pub(super) type Done<'a> = LocalFuture<'a, Result<Vec<PathBuf>, RecipeError>>;

/// The longest file that a recipe reads or writes as a whole.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// Words that slapos.recipe.librecipe takes for true.
const TRUE_WORDS: [&str; 4] = ["y", "yes", "1", "true"];

/// Whether an option is true as slapos.recipe.librecipe reads it.
pub(super) fn is_true_word(text: &str) -> bool {
    TRUE_WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// An option that is `true` or `false` and nothing else, as slapos.recipe.template and slapos.recipe.build read it.
pub(super) fn strict_truth(options: &dyn Options, option: &str, default: bool) -> Result<bool, RecipeError> {
    match options.get(option).as_deref() {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => {
            Err(options.error(Some(option), format!("{option} = {other:?}: expected true or false")))
        }
    }
}

/// An option that is not empty.
pub(super) fn given(options: &dyn Options, option: &str) -> Option<String> {
    options.get(option).filter(|value| !value.is_empty())
}

/// Refuses options that change what is made and are not supported yet.
pub(super) fn refuse(options: &dyn Options, names: &[&str], reason: &str) -> Result<(), RecipeError> {
    match names.iter().find(|name| given(options, name).is_some()) {
        Some(name) => {
            Err(options.error(Some(name), format!("the option {name:?} is not supported yet: {reason}")))
        }
        None => Ok(()),
    }
}

/// The mode of an option such as `0644`, if it is there and not empty.
pub(super) fn mode(options: &dyn Options, option: &str) -> Result<Option<u32>, RecipeError> {
    let Some(text) = given(options, option) else { return Ok(None) };
    let digits = text.strip_prefix("0o").unwrap_or(&text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
        _ => {
            Err(options
                .error(Some(option), format!("{option} = {text:?}: expected octal digits such as 0640")))
        }
    }
}

/// An option's typed value, if it is typed.
pub(super) fn typed(options: &dyn Options, option: &str, text: &str) -> Result<Option<Literal>, RecipeError> {
    literal::load(text).map_err(|error| options.error(Some(option), format!("option {option:?}: {error}")))
}

/// A failure of the operating system at a path.
pub(super) fn failed(options: &dyn Options, what: &str, path: &Path, error: &io::Error) -> RecipeError {
    let what = format!("{} cannot be {what}", path.display());
    RecipeError::write(options.env().files(), path, what, error)
        .at(options.place(None))
        .section(options.section())
}

/// Whether a text begins with a URL's scheme.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once(':')?;
    let is_name =
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (is_name && (rest.starts_with("//") || scheme == "file")).then_some(scheme)
}

/// The content behind a path, a `file:` or an `http:` URL; its MD5 sum is checked if one is given.
pub(super) async fn fetch(
    options: &dyn Options,
    option: &str,
    url: &str,
    md5sum: Option<&str>,
    offline: bool,
) -> Result<Vec<u8>, RecipeError> {
    let error = |message: String| options.error(Some(option), message);
    let content = match scheme(url) {
        None | Some("file") => {
            let path = url.strip_prefix("file://").or_else(|| url.strip_prefix("file:")).unwrap_or(url);
            let path = options.absolute(path);
            let read = options.env().files().read(&path, FILE_BYTES_MAX);
            read.map_err(|found| error(format!("{} cannot be read: {found}", path.display())))?
        }
        Some("http") => {
            if offline {
                return Err(error(format!("{url} cannot be downloaded in offline mode"))
                    .hint("set `offline = false` in this section or in [buildout]"));
            }
            let url = url.parse().map_err(|found| error(format!("{found}")))?;
            let request = Request {
                body_bytes_max: FILE_BYTES_MAX,
                deadline: Duration::from_secs(600),
                ..Request::get(url)
            };
            let asked = request.url.to_string();
            let response = client::send(options.env(), request).await;
            let response = response.map_err(|found| error(found.to_string()))?;
            if !response.is_success() {
                return Err(error(format!("{asked} answered with status {}", response.status)));
            }
            response.body
        }
        Some(other) => {
            return Err(error(format!("{url:?}: the scheme {other} is not supported yet"))
                .hint("use an http:// URL or a path"));
        }
    };
    let found = md5_hex(&content);
    match md5sum {
        Some(expected) if expected != found => {
            Err(error(format!("MD5 checksum mismatch for {url}: expected {expected}, found {found}")))
        }
        _ => Ok(content),
    }
}

/// Makes a file with this content and mode. One that has the content already is not written again, only its mode is set; any
/// other is taken away first, so that neither its mode nor what it may link to stays (slapos.recipe.librecipe,
/// `createFile`).
pub(super) fn put(options: &dyn Options, path: &Path, content: &[u8], mode: u32) -> Result<(), RecipeError> {
    let files = options.env().files();
    let same = match files.symlink_metadata(path) {
        Ok(metadata) => {
            metadata.kind == FileKind::File
                && metadata.length == content.len() as u64
                && files.read(path, FILE_BYTES_MAX).is_ok_and(|found| found == content)
        }
        Err(_) => false,
    };
    if same {
        return files.set_mode(path, mode).map_err(|error| failed(options, "made accessible", path, &error));
    }
    match files.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(options, "replaced", path, &error));
        }
        _ => {}
    }
    files.write(path, content, mode).map_err(|error| failed(options, "written", path, &error))
}

/// Makes the directory that a file stands in, if it is missing.
pub(super) fn make_parent(options: &dyn Options, path: &Path) -> Result<(), RecipeError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let made = options.env().files().create_directory(parent, 0o777 & !options.umask());
    made.map_err(|error| failed(options, "made", parent, &error))
}

/// Whether a path is something that can be executed.
pub(super) fn is_executable(env: &Env, path: &Path) -> bool {
    env.files().metadata(path).is_ok_and(|metadata| metadata.mode & 0o111 != 0)
}

/// A word as a POSIX shell reads it back, quoted as Python's `shlex.quote` quotes.
pub(super) fn shell_quote(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

/// Words of a command line as Python's `shlex.split` reads them.
///
/// # Errors
/// A sentence when a quotation or an escape has no end.
pub(super) fn shell_split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("No closing quotation".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some(c @ ('"' | '\\')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("No closing quotation".to_owned()),
                        },
                        Some(c) => word.push(c),
                        None => return Err("No closing quotation".to_owned()),
                    }
                }
            }
            '\\' => match rest.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("No escaped character".to_owned()),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The master and the partition, from `[slap-connection]`.
pub(super) struct Connection {
    pub(super) client: crate::client::SlapClient,
    pub(super) computer: ComputerId,
    pub(super) partition: PartitionId,
}

/// The typed names of a connection.
pub(super) fn connection(
    options: &dyn Options,
    url: &str,
    computer: &str,
    partition: &str,
) -> Result<Connection, RecipeError> {
    let error = |found: &dyn std::fmt::Display| options.error(None, found.to_string());
    Ok(Connection {
        client: crate::client::SlapClient::new(options.env().clone(), url).map_err(|found| error(&found))?,
        computer: computer.parse().map_err(|found| error(&found))?,
        partition: partition.parse().map_err(|found| error(&found))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_are_split_as_python_does() {
        let check = |line: &str, expected: Result<&[&str], &str>| {
            let expected = expected
                .map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>())
                .map_err(str::to_owned);
            assert_eq!(shell_split(line), expected, "{line}");
        };
        check("a 'b c' \"d e\" f\\ g", Ok(&["a", "b c", "d e", "f g"]));
        check("  a\n\tb  ", Ok(&["a", "b"]));
        check("a'b'\"c\"", Ok(&["abc"]));
        check("'' \"\"", Ok(&["", ""]));
        check(r#""a\"b\\c\d$x""#, Ok(&[r#"a"b\c\d$x"#]));
        check("a # b", Ok(&["a", "#", "b"]));
        check("'a", Err("No closing quotation"));
        check("a\\", Err("No escaped character"));
    }

    #[test]
    fn shell_words_are_quoted_as_python_does() {
        for (word, expected) in [
            ("", "''"),
            ("a/b.c-d_e@%+=:,", "a/b.c-d_e@%+=:,"),
            ("a b", "'a b'"),
            ("it's", r#"'it'"'"'s'"#),
            ("é", "'é'"),
            ("$x", "'$x'"),
        ] {
            assert_eq!(shell_quote(word), expected);
        }
    }
}
