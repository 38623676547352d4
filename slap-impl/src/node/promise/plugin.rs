//! Reads a file of etc/plugin as the recipe slapos.cookbook:promise.plugin writes it (slapos: slapos/recipe/
//! promise_plugin.py), without running it: which class of which module, and with which parameters.
//!
//! The file is Python, but only these statements are understood; anything else is an error that names the line:
//!
//! ```text
//! import sys
//! sys.path[0:0] = (...)                     # a literal; where Python would find the module
//! extra_config_dict = {...}                 # a literal; the parameters
//! for module in list(sys.modules): ...      # the recipe's own three lines that forget loaded modules
//! from MODULE import RunPromise             # or: import CLASS as RunPromise
//! ```

use crate::profile::literal::{self, Literal};
use std::{collections::BTreeMap, fmt};

/// A file longer than this is not read.
pub(super) const PLUGIN_BYTES_MAX: u64 = 1 << 20;

/// Parameters that the runner itself gives to a promise; a file must not.
const RESERVED: [&str; 13] = [
    "computer-id",
    "debug",
    "log-folder",
    "master-url",
    "name",
    "partition-cert",
    "partition-folder",
    "partition-id",
    "partition-key",
    "path",
    "promise-timeout",
    "queue",
    "slapgrid-version",
];

/// What a plugin file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plugin {
    /// The Python module, such as `slapos.promise.plugin.check_socket_listening`.
    pub module: String,
    /// The class, nearly always `RunPromise`.
    pub class: String,
    /// Parameters, as text; those that are `None` are left out.
    pub config: BTreeMap<String, String>,
}

/// Why a plugin file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PluginError {
    /// A statement that is not understood.
    Foreign {
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// It runs a Python file instead of a module's class.
    File(String),
    /// A statement that is understood, with a wrong value.
    Value(String),
    /// There is no `from MODULE import RunPromise`.
    NoModule,
}

impl fmt::Display for PluginError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = "expected a file as slapos.cookbook:promise.plugin writes it";
        match self {
            PluginError::Foreign { line, text } => write!(
                formatter,
                "line {line} of the plugin is not understood: {text:?}; {expected}, because slap does not run Python"
            ),
            PluginError::File(path) => write!(
                formatter,
                "the plugin runs the Python file {path}; slap does not run Python: use `module` instead of `file`"
            ),
            PluginError::Value(message) => formatter.write_str(message),
            PluginError::NoModule => {
                write!(formatter, "the plugin has no line `from MODULE import RunPromise`; {expected}")
            }
        }
    }
}

impl std::error::Error for PluginError {}

/// Reads the text of a plugin file.
///
/// # Errors
/// [`PluginError`], whose text is meant for the promise's message.
pub(super) fn parse(text: &str) -> Result<Plugin, PluginError> {
    let mut reader = Reader { text, offset: 0, line: 0 };
    let mut plugin = Plugin::default();
    while let Some(line) = reader.next_line() {
        let statement = line.trim_end();
        if statement.trim_start().is_empty() || statement.starts_with('#') || statement == "import sys" {
            continue;
        }
        if statement.starts_with("sys.path[0:0]") {
            reader.literal(line)?;
        } else if statement.starts_with("extra_config_dict") {
            plugin.config = parameters(reader.literal(line)?)?;
        } else if statement == "for module in list(sys.modules):" {
            reader.expect("if 'slapos' in module or 'pkg_resources' in module:")?;
            reader.expect("del sys.modules[module]")?;
        } else if let Some((module, class)) = import(statement) {
            plugin.module = module.to_owned();
            plugin.class = class.to_owned();
        } else if statement == "def _(path):" || statement.starts_with("with open(") {
            return Err(PluginError::File(executed_file(text)));
        } else {
            return Err(reader.foreign(statement));
        }
    }
    if plugin.module.is_empty() { Err(PluginError::NoModule) } else { Ok(plugin) }
}

/// Walks over a text line by line, or over a literal that takes several lines.
struct Reader<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next_line(&mut self) -> Option<&'a str> {
        let rest = &self.text[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.offset += length;
        self.line += 1;
        Some(rest[..length].trim_end_matches(['\n', '\r']))
    }

    fn foreign(&self, text: &str) -> PluginError {
        PluginError::Foreign { line: self.line, text: text.chars().take(200).collect() }
    }

    fn expect(&mut self, statement: &str) -> Result<(), PluginError> {
        match self.next_line() {
            Some(line) if line.trim() == statement => Ok(()),
            other => Err(self.foreign(other.unwrap_or_default())),
        }
    }

    /// The literal on the right side of the assignment that begins with `line`, the last one read.
    fn literal(&mut self, line: &str) -> Result<Literal, PluginError> {
        let Some((_, right)) = line.split_once('=') else { return Err(self.foreign(line)) };
        let first = self.line;
        let start = right.as_ptr() as usize - self.text.as_ptr() as usize;
        let end = literal_end(&self.text[start..]).map(|length| start + length).ok_or_else(|| {
            PluginError::Value(format!("the literal that begins on line {first} has no end"))
        })?;
        while self.offset < end {
            self.next_line();
        }
        let after = self.text[end..self.offset.max(end)].trim();
        if !(after.is_empty() || after.starts_with('#')) {
            return Err(self.foreign(after));
        }
        literal::parse(self.text[start..end].trim())
            .map_err(|error| PluginError::Value(format!("the literal on line {first} is wrong: {error}")))
    }
}

/// The length of a text up to the bracket that closes its first one, strings skipped.
fn literal_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((offset, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            (None, _) => {}
        }
    }
    None
}

/// Module and class of `from MODULE import RunPromise` or `from MODULE import CLASS as RunPromise`.
fn import(statement: &str) -> Option<(&str, &str)> {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let (module, class) = match words[..] {
        ["from", module, "import", "RunPromise"] => (module, "RunPromise"),
        ["from", module, "import", class, "as", "RunPromise"] => (module, class),
        _ => return None,
    };
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    (module.split('.').all(is_name) && is_name(class)).then_some((module, class))
}

/// The path in `exec(_('...'))`, as it stands there.
fn executed_file(text: &str) -> String {
    let path = text.split_once("exec(_(").and_then(|(_, rest)| rest.split_once("))")).map(|(path, _)| path);
    path.unwrap_or("that it names").chars().take(200).collect()
}

fn parameters(literal: Literal) -> Result<BTreeMap<String, String>, PluginError> {
    let Literal::Dict(pairs) = literal else {
        return Err(PluginError::Value("extra_config_dict is not a dictionary".to_owned()));
    };
    let mut config = BTreeMap::new();
    for (key, value) in pairs {
        let Literal::Text(key) = key else {
            return Err(PluginError::Value("a key of extra_config_dict is not a text".to_owned()));
        };
        if RESERVED.contains(&key.as_str()) {
            let shown = super::python::repr(&key);
            return Err(PluginError::Value(format!("Extra parameter name {shown} cannot be used.")));
        }
        let text = match value {
            Literal::None => continue,
            Literal::Bool(value) => u8::from(value).to_string(),
            Literal::Int(value) => value.to_string(),
            Literal::Float(value) => value.to_string(),
            Literal::Text(text) => text,
            _ => {
                let message = format!("parameter {key:?} is neither a text nor a number");
                return Err(PluginError::Value(message));
            }
        };
        config.insert(key, text);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "# This script is auto generated\nimport sys\nsys.path[0:0] = ( '/eggs/a',\n  '/eggs/(b')\n\n";
    const FORGET: &str = "# why\nfor module in list(sys.modules):\n  if 'slapos' in module or 'pkg_resources' in module:\n    del sys.modules[module]\n\n";
    const IMPORT: &str = "from slapos.promise.plugin.check_socket_listening import RunPromise\n";

    /// Module, class and parameters.
    type Read<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

    fn check(text: &str, expected: Result<Read<'_>, &str>) {
        match (parse(text), expected) {
            (Ok(plugin), Ok((module, class, config))) => {
                assert_eq!((plugin.module.as_str(), plugin.class.as_str()), (module, class));
                let found: Vec<_> =
                    plugin.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                assert_eq!(found, config);
            }
            (Err(error), Err(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
            }
            (found, _) => panic!("{found:?} of {text}"),
        }
    }

    #[test]
    fn a_file_is_read_as_the_recipe_writes_it() {
        let text = format!(
            "{HEAD}extra_config_dict = {{ 'host': '127.0.0.1',\n  'port': '80}}',\n 'n': 2, 'o': None}}\n\n{FORGET}{IMPORT}\n"
        );
        let module = "slapos.promise.plugin.check_socket_listening";
        check(&text, Ok((module, "RunPromise", &[("host", "127.0.0.1"), ("n", "2"), ("port", "80}")])));
        check(&format!("extra_config_dict = {{}}\n{IMPORT}"), Ok((module, "RunPromise", &[])));
        check("from a.b import C as RunPromise", Ok(("a.b", "C", &[])));
    }

    #[test]
    fn anything_else_is_refused_with_its_line() {
        check(
            &format!("{HEAD}import os\n{IMPORT}"),
            Err("line 6 of the plugin is not understood: \"import os\""),
        );
        check(&format!("{IMPORT}class RunPromise(object):\n  pass\n"), Err("line 2"));
        check("import sys\n", Err("no line `from MODULE import RunPromise`"));
        check("extra_config_dict = {'a': 1\n", Err("begins on line 1 has no end"));
        check("extra_config_dict = ('a',)\n", Err("not a dictionary"));
        check("extra_config_dict = {'a': print()}\n", Err("line 1 is wrong"));
        check(
            "extra_config_dict = {}; evil()\n",
            Err("line 1 of the plugin is not understood: \"; evil()\""),
        );
        check("extra_config_dict = {'path': '/x'}\n", Err("Extra parameter name 'path' cannot be used."));
        check("for module in list(sys.modules):\n  evil()\n", Err("line 2"));
        let file = "def _(path):\n  global _\n  del _\n  with open(path) as f:\n    return compile(f.read(), path, 'exec')\nexec(_('/p/check.py'))\n";
        check(file, Err("runs the Python file '/p/check.py'"));
    }
}
