//! Files in the language of Python 3's configparser, with its defaults, as slapos reads slapos.cfg (slapos/cli/config.py)
//! and definition files (slapos/format.py).
//!
//! Sections `[name]`, options `key = value` or `key: value` with keys in lower case, continuation lines by deeper indentation,
//! whole-line comments with `#` or `;`, a `[DEFAULT]` section. [`ConfigFile::raw`] gives a value as it stands,
//! [`ConfigFile::get`] with `%(key)s` and `%%` replaced. Every error names file and line.

use indexmap::IndexMap;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// How long a file, and a value with all its replacements, may be, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Python's MAX_INTERPOLATION_DEPTH.
const INTERPOLATION_DEPTH_MAX: usize = 10;

/// How many replacements a value may take.
const REPLACEMENTS_MAX: usize = 10_000;

/// What is wrong with a file or with a setting in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// The line in it, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}", self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(formatter, " (hint: {})", self.hint) }
    }
}

impl std::error::Error for ConfigError {}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    sections: IndexMap<String, Section>,
    defaults: Section,
}

#[derive(Clone, Debug, Default)]
struct Section {
    line: usize,
    options: IndexMap<String, ConfigOption>,
}

#[derive(Clone, Debug)]
struct ConfigOption {
    line: usize,
    value: String,
}

impl ConfigFile {
    /// Reads `text`, which stands in the file `path`.
    ///
    /// # Errors
    /// Where Python's parser has one: a line that is none of the above, a section or an option that stands twice.
    pub fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
        let mut parser = Parser {
            file: ConfigFile {
                path: path.to_owned(),
                sections: IndexMap::new(),
                defaults: Section::default(),
            },
            section: None,
            option: None,
            indent: 0,
        };
        for (index, line) in text.lines().enumerate() {
            parser.line(index + 1, line)?;
        }
        parser.end_option();
        Ok(parser.file)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its sections, in their order, without DEFAULT.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// Whether there is a section of that name.
    pub fn has_section(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// The keys that stand in a section itself, in their order.
    pub fn keys(&self, section: &str) -> impl Iterator<Item = &str> {
        self.sections.get(section).into_iter().flat_map(|section| section.options.keys().map(String::as_str))
    }

    /// A value as it stands; that of DEFAULT if the section has none. Lines of a value are joined by line feeds.
    pub fn raw(&self, section: &str, key: &str) -> Option<&str> {
        self.option(section, key).map(|option| option.value.as_str())
    }

    /// A value with `%(key)s` replaced from the same section or DEFAULT, and `%%` by a percent sign.
    ///
    /// # Errors
    /// When a replacement is misspelt, unknown, or does not end.
    pub fn get(&self, section: &str, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(option) = self.option(section, key) else { return Ok(None) };
        let mut expansion = Expansion::default();
        self.interpolate(section, key, &option.value, 1, &mut expansion)?;
        Ok(Some(expansion.text))
    }

    /// The line where an option stands, or its section.
    pub fn line(&self, section: &str, key: &str) -> Option<usize> {
        let option = self.option(section, key).map(|option| option.line);
        option.or_else(|| self.sections.get(section).map(|section| section.line))
    }

    /// An error at an option of this file.
    pub fn error(&self, section: &str, key: &str, message: String, hint: &str) -> ConfigError {
        let line = self.line(section, key);
        ConfigError { path: self.path.clone(), line, message, hint: hint.to_owned() }
    }

    fn option(&self, section: &str, key: &str) -> Option<&ConfigOption> {
        let key = key.to_lowercase();
        let section = self.sections.get(section)?;
        section.options.get(&key).or_else(|| self.defaults.options.get(&key))
    }

    fn interpolate(
        &self,
        section: &str,
        key: &str,
        value: &str,
        depth: usize,
        expansion: &mut Expansion,
    ) -> Result<(), ConfigError> {
        let fail = |message: String, hint: &str| {
            Err(self.error(section, key, format!("[{section}] {key}: {message}"), hint))
        };
        if depth > INTERPOLATION_DEPTH_MAX {
            return fail(
                format!("%({key})s is replaced more than 10 times"),
                "break the circle of references",
            );
        }
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('%') {
            expansion.text.push_str(before);
            expansion.replacements += 1;
            if expansion.text.len() as u64 > CONFIG_BYTES_MAX || expansion.replacements > REPLACEMENTS_MAX {
                return fail(
                    format!(
                        "its value grows over {CONFIG_BYTES_MAX} bytes or {REPLACEMENTS_MAX} replacements"
                    ),
                    "",
                );
            }
            if let Some(after) = after.strip_prefix('%') {
                expansion.text.push('%');
                rest = after;
                continue;
            }
            let name = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
            let Some((name, after)) = name.filter(|(name, _)| !name.is_empty() && !name.contains(')')) else {
                let shown: String = after.chars().take(20).collect();
                return fail(
                    format!("\"%{shown}\" is no replacement: expected %(key)s or %%"),
                    "write a percent sign as %%",
                );
            };
            let Some(option) = self.option(section, name) else {
                return fail(format!("%({name})s names no option"), "write a percent sign as %%");
            };
            self.interpolate(section, name, &option.value, depth + 1, expansion)?;
            rest = after;
        }
        expansion.text.push_str(rest);
        Ok(())
    }
}

/// A value in the making.
#[derive(Default)]
struct Expansion {
    text: String,
    replacements: usize,
}

struct Parser {
    file: ConfigFile,
    /// The section that lines belong to; none before the first, `DEFAULT` for defaults.
    section: Option<String>,
    /// The option that continuation lines belong to, with its lines so far.
    option: Option<(String, usize, Vec<String>)>,
    indent: usize,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), ConfigError> {
        let text = line.trim();
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.is_empty() {
            if let Some((_, _, lines)) = &mut self.option {
                lines.push(String::new());
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|character| character.is_whitespace()).count();
        if let (Some((_, _, lines)), true) = (&mut self.option, indent > self.indent) {
            lines.push(text.to_owned());
            return Ok(());
        }
        self.indent = indent;
        let header = text.strip_prefix('[').and_then(|rest| rest.rfind(']').map(|end| &rest[..end]));
        if let Some(header) = header.filter(|header| !header.is_empty()) {
            return self.start_section(number, header);
        }
        if self.section.is_none() {
            return Err(self.fail(
                number,
                format!("{:?} stands before the first section", shown(text)),
                "begin with a section such as [slapos]",
            ));
        }
        self.start_option(number, text)
    }

    fn start_section(&mut self, number: usize, name: &str) -> Result<(), ConfigError> {
        self.end_option();
        if name != "DEFAULT" {
            if let Some(known) = self.file.sections.get(name) {
                let message = format!("the section [{name}] stands already in line {}", known.line);
                return Err(self.fail(number, message, "put its options together in one section"));
            }
            let section = Section { line: number, options: IndexMap::new() };
            self.file.sections.insert(name.to_owned(), section);
        }
        self.section = Some(name.to_owned());
        Ok(())
    }

    fn start_option(&mut self, number: usize, text: &str) -> Result<(), ConfigError> {
        self.end_option();
        let Some((key, value)) = text.split_once(['=', ':']) else {
            return Err(self.fail(
                number,
                format!("{:?} is neither a section nor `key = value`", shown(text)),
                "indent the further lines of a value",
            ));
        };
        let key = key.trim_end().to_lowercase();
        if key.is_empty() {
            return Err(self.fail(number, format!("{:?} has no key", shown(text)), "write `key = value`"));
        }
        let name = self.section.clone().unwrap_or_default();
        if let Some(known) = self.current().and_then(|section| section.options.get(&key)) {
            let message = format!("{key} stands already in line {} of section [{name}]", known.line);
            return Err(self.fail(number, message, "remove one of them"));
        }
        self.option = Some((key, number, vec![value.trim().to_owned()]));
        Ok(())
    }

    fn end_option(&mut self) {
        let Some((key, line, lines)) = self.option.take() else { return };
        let value = lines.join("\n").trim_end().to_owned();
        if let Some(section) = self.current() {
            section.options.insert(key, ConfigOption { line, value });
        }
    }

    fn current(&mut self) -> Option<&mut Section> {
        match self.section.as_deref() {
            None => None,
            Some("DEFAULT") => Some(&mut self.file.defaults),
            Some(name) => self.file.sections.get_mut(name),
        }
    }

    fn fail(&self, line: usize, message: String, hint: &str) -> ConfigError {
        ConfigError { path: self.file.path.clone(), line: Some(line), message, hint: hint.to_owned() }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
        ConfigFile::parse(Path::new("/etc/slapos.cfg"), text)
    }

    /// What CPython 3.11's ConfigParser gives for section a.
    #[test]
    fn values_are_those_of_python() {
        for (text, expected) in [
            ("[a]\nk=v\n", vec![("k", "v")]),
            ("[a]\nk = v\n  w\n\n  x\ny:z\n", vec![("k", "v\nw\n\nx"), ("y", "z")]),
            ("[a]\n# c\n; d\nk=v ; x\nK2 = # no\n", vec![("k", "v ; x"), ("k2", "# no")]),
            ("[a]\nk=%(b)s\nb=c%%\n", vec![("k", "c%"), ("b", "c%")]),
            ("[DEFAULT]\nd=1\n[a]\nk=%(d)s\n", vec![("k", "1"), ("d", "1")]),
            ("[a]\n  k=v\n  w=x\n   c\n", vec![("k", "v"), ("w", "x\nc")]),
            ("[a]\nk=v\n # comment\n  more\n", vec![("k", "v\nmore")]),
            ("[a] trailing\nk=v\n", vec![("k", "v")]),
            ("[a]\nk=\n  x\n  y\n", vec![("k", "\nx\ny")]),
            ("[a]\nk==v\n", vec![("k", "=v")]),
            ("[a]\nk : =v\n", vec![("k", "=v")]),
            ("[a]\nk= v \n\tw\n[b]\nq=1", vec![("k", "v\nw")]),
            ("[a]\n\n  k = 1\nj = 2\n", vec![("k", "1"), ("j", "2")]),
            ("[a]\nFoo Bar = 1\n", vec![("foo bar", "1")]),
            ("[a]\nk = a\n\n\n  b\n\n\nj=1\n", vec![("k", "a\n\n\nb"), ("j", "1")]),
            ("  [a]\nk=1\n", vec![("k", "1")]),
            ("[a]\nk=1\n  [b]\nj=2\n", vec![("k", "1\n[b]"), ("j", "2")]),
            ("[a]\r\nk=1\r\n  b\r\n", vec![("k", "1\nb")]),
            ("[a]\nk=1\n  \n  b\n", vec![("k", "1\n\nb")]),
        ] {
            let file = parse(text).unwrap();
            for (key, value) in expected {
                assert_eq!(file.get("a", key).unwrap().as_deref(), Some(value), "{text:?} {key}");
            }
        }
        assert!(parse("[a]b]\nk=1\n").unwrap().has_section("a]b"));
    }

    #[test]
    fn what_is_refused_is_named() {
        for (text, expected) in [
            ("[a]\nk\n", "/etc/slapos.cfg:2: \"k\" is neither"),
            ("k=v\n", ":1: \"k=v\" stands before the first section"),
            ("[]\n", ":1: \"[]\" stands before"),
            ("[a\nk=v\n", ":1: \"[a\" stands before"),
            ("[a]\nk=1\nK=2\n", ":3: k stands already in line 2 of section [a]"),
            ("[a]\nk=1\n[a]\n", ":3: the section [a] stands already in line 1"),
            ("[a]\n=v\n", ":2: \"=v\" has no key"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn replacements_that_are_refused_are_named() {
        let bomb = (1..9).fold("[a]\nk0=0123456789\n".to_owned(), |text, level| {
            format!("{text}k{level}={}\n", format!("%(k{})s", level - 1).repeat(10))
        });
        for (text, key, expected) in [
            ("[a]\nk=%\n", "k", ":2: [a] k: \"%\" is no replacement"),
            ("[a]\nk=%(zz)s\n", "k", ":2: [a] k: %(zz)s names no option"),
            ("[a]\nk=%(K)s", "k", "more than 10 times"),
            ("[a]\nk=%(b)s\nb=%(k)s\n", "k", "more than 10 times"),
            ("[a]\nk=%(b)x\nb=1\n", "k", "no replacement"),
            (&bomb, "k8", "grows over"),
        ] {
            let error = parse(text).unwrap().get("a", key).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
