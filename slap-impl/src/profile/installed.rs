//! The installed file (`.installed.cfg`): which parts stand, with the options and paths that they were installed with.
//!
//! * [`Installed::parse`] and [`Installed::print`]: zc.buildout's format, so that either program reads the other's file
//! * [`read`] and [`save`]: bounded, durable, written only when something changed
//! * [`normal`]: options as they come back from the file, to compare with those that did
//!
//! White space at the ends of lines is written as `%(__buildout_space__)s` and the like (zc.buildout 3.0.1,
//! buildout.py, `_save_option`); unlike there, so is a carriage return inside a line, which reads back rightly. Tabs next to line ends are lost there; comparing normal forms hides that.
//!
//! A file that cannot be read is an error, not an empty file: taking it for empty would forget which paths
//! belong to which part, for ever.

use super::{
    recipe::{OptionMap, Place, RecipeError},
    syntax::{self, Operation},
};
use crate::env::Env;
use std::{collections::BTreeMap, io, path::Path};

/// The option that lists a part's paths, one a line.
pub const PATHS_OPTION: &str = "__buildout_installed__";
/// The option that holds a part's signature.
pub const SIGNATURE_OPTION: &str = "__buildout_signature__";
/// The file may be so long.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// White space, and how it is written.
const SPACES: [(&str, char); 5] = [
    ("%(__buildout_space__)s", ' '),
    ("%(__buildout_space_n__)s", '\n'),
    ("%(__buildout_space_r__)s", '\r'),
    ("%(__buildout_space_f__)s", '\x0c'),
    ("%(__buildout_space_v__)s", '\x0b'),
];

/// What stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Eggs that zc.buildout developed here; this program never does, but keeps the note.
    pub develop_eggs: String,
    /// Parts in the order of their installation.
    pub parts: Vec<String>,
    /// Each part's options, with paths and signature.
    pub options: BTreeMap<String, OptionMap>,
}

impl Installed {
    /// Reads the text of an installed file. `file` is what errors call it.
    ///
    /// # Errors
    /// When a line is not understood, or a part that is listed has no section.
    pub fn parse(text: &str, file: &str) -> Result<Installed, RecipeError> {
        let hint = format!(
            "the file is damaged; once {file} is moved away, all parts are installed anew, and what only it \
             remembers is left where it is"
        );
        let document = syntax::parse(text, file).map_err(|error| error.hint(&*hint))?;
        let mut installed = Installed::default();
        for (name, section) in &document.sections {
            let sets = section.options.iter().filter(|((_, operation), _)| *operation == Operation::Set);
            let options: OptionMap =
                sets.map(|((option, _), value)| (option.to_string(), decode(&value.text))).collect();
            if &**name == "buildout" {
                let get = |option: &str| options.get(option).cloned().unwrap_or_default();
                installed.develop_eggs = get("installed_develop_eggs");
                installed.parts = get("parts").split_whitespace().map(str::to_owned).collect();
            } else {
                installed.options.insert(name.to_string(), options);
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for part in &installed.parts {
            let complete =
                installed.options.get(part).is_some_and(|options| options.contains_key(PATHS_OPTION));
            if !complete || !seen.insert(part) {
                let what = if complete { "is listed twice" } else { "is listed, but its paths are not" };
                return Err(RecipeError::new(format!("the installed part {part:?} {what}"))
                    .at(Place { file: file.into(), line: 0 })
                    .section("buildout")
                    .hint(hint));
            }
        }
        installed.options.retain(|name, _| seen.contains(name));
        Ok(installed)
    }

    /// The text of the installed file.
    pub fn print(&self) -> String {
        let mut text = String::from("[buildout]\n");
        print_option(&mut text, "installed_develop_eggs", &self.develop_eggs);
        print_option(&mut text, "parts", &self.parts.join(" "));
        for part in &self.parts {
            text.push_str(&format!("\n[{part}]\n"));
            print_options(&mut text, self.options.get(part).into_iter().flatten());
        }
        text
    }

    /// The paths of a part.
    pub fn paths(&self, part: &str) -> Vec<String> {
        let paths = self.options.get(part).and_then(|options| options.get(PATHS_OPTION));
        paths
            .into_iter()
            .flat_map(|paths| paths.split('\n'))
            .filter(|path| !path.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Forgets a part.
    pub fn forget(&mut self, part: &str) {
        self.parts.retain(|other| other != part);
        self.options.remove(part);
    }

    /// Remembers a part as the last one: what was installed or updated last is uninstalled first.
    pub fn remember(&mut self, part: &str, options: OptionMap) {
        self.parts.retain(|other| other != part);
        self.parts.push(part.to_owned());
        self.options.insert(part.to_owned(), options);
    }
}

/// Options as they come back from an installed file.
pub fn normal(options: &OptionMap) -> OptionMap {
    // What has no white space but spaces inside comes back as it is.
    let is_plain = |value: &str| {
        value.trim_matches(|c: char| c.is_whitespace() || c.is_control()) == value
            && !value.contains(|c: char| c.is_control())
            && !value.contains("%(")
    };
    if options.iter().all(|(option, value)| is_name(option) && is_plain(value)) {
        return options.clone();
    }
    let mut text = String::from("[part]\n");
    print_options(&mut text, options.iter());
    let section = syntax::parse(&text, "").ok().and_then(|mut document| document.sections.remove("part"));
    let options = section.into_iter().flat_map(|section| section.options);
    options.map(|((option, _), value)| (option.to_string(), decode(&value.text))).collect()
}

/// Reads an installed file; one that does not exist remembers nothing.
///
/// # Errors
/// When it cannot be read, is too long, or damaged.
pub fn read(env: &Env, path: &Path) -> Result<Installed, RecipeError> {
    let file = path.display().to_string();
    match env.files().metadata(path) {
        Ok(metadata) if metadata.kind != crate::env::FileKind::File => {
            return Err(RecipeError::new(format!("the installed file {file} is no file"))
                .hint("move away what stands there"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Installed::default()),
        _ => {}
    }
    let text = env.files().read_text(path, FILE_BYTES_MAX).map_err(|error| {
        RecipeError::new(format!("the installed file {file} cannot be read: {error}"))
            .hint("once it is moved away, all parts are installed anew")
    })?;
    Installed::parse(&text, &file)
}

/// Writes an installed file, durably, if it would say something else than it does. Without parts there is none.
///
/// # Errors
/// When it cannot be written.
pub fn save(env: &Env, path: &Path, installed: &Installed, mode: u32) -> Result<(), RecipeError> {
    let files = env.files();
    let failed = |error: io::Error| {
        let what = format!("the installed file {} cannot be written", path.display());
        RecipeError::write(files, path, what, &error).hint("is its directory writable?")
    };
    if installed.parts.is_empty() && installed.develop_eggs.is_empty() {
        return match files.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
    }
    let text = installed.print();
    let same = files.read(path, FILE_BYTES_MAX).is_ok_and(|content| content == text.as_bytes());
    if same { Ok(()) } else { files.replace(path, text.as_bytes(), mode).map_err(failed) }
}

fn print_options<'a>(text: &mut String, options: impl Iterator<Item = (&'a String, &'a String)>) {
    for (option, value) in options.filter(|(option, _)| is_name(option)) {
        print_option(text, option, value);
    }
}

fn print_option(text: &mut String, option: &str, value: &str) {
    text.push_str(&format!("{option} = {}\n", encode(value)));
}

/// Whether the format can hold an option of that name.
fn is_name(option: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "{}[]=:".contains(c);
    !option.is_empty()
        && !option.contains(bad)
        && !option.starts_with(['#', ';'])
        && !option.ends_with(['+', '-'])
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

fn quote(blanks: &str) -> String {
    let escape = |c: char| SPACES.iter().find(|(_, space)| *space == c).map(|(escape, _)| *escape);
    blanks.chars().map(|c| escape(c).map_or_else(|| c.to_string(), str::to_owned)).collect()
}

fn encode(value: &str) -> String {
    let mut result = String::with_capacity(value.len());
    let mut rest = value;
    let begin = rest.find(|c| !is_blank(c)).unwrap_or(rest.len());
    if !rest[begin..].starts_with('\n') {
        result.push_str(&quote(&rest[..begin]));
        rest = &rest[begin..];
    }
    // Each line end, with the blanks before it and all white space after it, is one line end and a tab.
    while let Some(end) = rest.find('\n') {
        let line = rest[..end].trim_end_matches(is_blank);
        let after = &rest[end + 1..];
        let next = after.find(|c| !is_blank(c) && c != '\n').unwrap_or(after.len());
        result.push_str(&format!("{line}{}\n\t{}", quote(&rest[line.len()..end]), quote(&after[..next])));
        rest = &after[next..];
    }
    let line = rest.trim_end_matches(is_blank);
    result.push_str(line);
    result.push_str(&quote(&rest[line.len()..]));
    // A carriage return inside a line would end it when the file is read.
    let mut result = result.replace('\r', SPACES[2].0);
    if let Some(rest) = result.strip_prefix("\n\t") {
        result = format!("{}{rest}", SPACES[1].0);
    }
    match result.strip_suffix("\n\t") {
        Some(rest) => format!("{rest}{}", SPACES[1].0),
        None => result,
    }
}

fn decode(value: &str) -> String {
    if !value.contains("%(") {
        return value.to_owned();
    }
    SPACES.iter().fold(value.to_owned(), |value, (escape, space)| value.replace(escape, &space.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(pairs: &[(&str, &str)]) -> OptionMap {
        pairs.iter().map(|(option, value)| ((*option).to_owned(), (*value).to_owned())).collect()
    }

    /// What zc.buildout 3.0.1 writes for these values.
    #[test]
    fn values_as_buildout_writes_them() {
        for (value, expected) in [
            ("a", "a"),
            ("", ""),
            ("a\nb", "a\n\tb"),
            (" a ", "%(__buildout_space__)sa%(__buildout_space__)s"),
            ("a\n  b", "a\n\t%(__buildout_space__)s%(__buildout_space__)sb"),
            ("a \n\nb", "a%(__buildout_space__)s\n\t%(__buildout_space_n__)sb"),
            ("[\r]", "[%(__buildout_space_r__)s]"),
            ("\na", "%(__buildout_space_n__)sa"),
            ("a\n", "a%(__buildout_space_n__)s"),
            ("\r\x0b\x0c", "%(__buildout_space_r__)s%(__buildout_space_v__)s%(__buildout_space_f__)s"),
        ] {
            assert_eq!(encode(value), expected, "{value:?}");
            assert_eq!(normal(&options(&[("x", value)])), options(&[("x", value)]));
        }
    }

    #[test]
    fn the_whole_file() {
        let mut installed = Installed::default();
        installed.remember(
            "b",
            options(&[(PATHS_OPTION, "/d/x\n/d/y"), ("recipe", "r"), (SIGNATURE_OPTION, "s")]),
        );
        installed.remember("a", options(&[(PATHS_OPTION, ""), ("recipe", "r")]));
        let text = "[buildout]\ninstalled_develop_eggs = \nparts = b a\n\n[b]\n__buildout_installed__ = \
                    /d/x\n\t/d/y\n__buildout_signature__ = s\nrecipe = r\n\n[a]\n__buildout_installed__ = \nrecipe = r\n";
        assert_eq!(installed.print(), text);
        assert_eq!(Installed::parse(text, "f").expect("it parses"), installed);
        assert_eq!(installed.paths("b"), ["/d/x", "/d/y"]);
        // zc.buildout appends a section with what changed.
        let appended = format!("{text}\n[buildout]\nparts = b\n");
        assert_eq!(Installed::parse(&appended, "f").expect("it parses").parts, ["b"]);
    }

    #[test]
    fn damaged_files_are_errors() {
        for text in [
            "garbage",
            "[buildout]\nparts = a\n",
            "\0\0\0",
            "[buildout]\nparts = a a\n[a]\n__buildout_installed__ =\n",
        ] {
            let error = Installed::parse(text, "/p/.installed.cfg").expect_err(text);
            assert!(error.place.is_some() && error.hint.is_some(), "{error}");
        }
        assert_eq!(Installed::parse("", "f").expect("nothing is installed"), Installed::default());
    }

    proptest! {
        #[test]
        fn what_is_saved_comes_back(
            values in proptest::collection::btree_map("[a-z_][a-z_.:=-]{0,4}", "[ a\\n\\r\\t\u{b}\u{c}\u{a0}#;=%\\[\\]${}(]{0,12}", 0..4)
        ) {
            let once = normal(&values);
            let mut installed = Installed::default();
            let mut saved = values;
            saved.insert(PATHS_OPTION.to_owned(), String::new());
            installed.remember("p", saved);
            let mut again = Installed::parse(&installed.print(), "f").expect("it parses").options.remove("p").expect("p");
            again.remove(PATHS_OPTION);
            prop_assert_eq!(again, once);
        }

        #[test]
        fn reading_never_panics(text in ".*") {
            let _ = Installed::parse(&text, "f");
        }
    }
}
