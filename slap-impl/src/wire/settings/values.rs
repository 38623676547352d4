//! Values of settings by their kind; each error names file, line, section, key, value, expectation and hint.

use crate::{
    env::Env,
    wire::config_parser::{ConfigError, ConfigFile},
};
use std::{ops::RangeInclusive, path::PathBuf, str::FromStr};

/// Reads the settings of one section.
pub(super) struct Reader<'a> {
    pub(super) env: &'a Env,
    pub(super) file: &'a ConfigFile,
    pub(super) section: &'a str,
}

impl Reader<'_> {
    /// The text of a key; none when it is missing or empty.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(self.file.get(self.section, key)?.filter(|value| !value.trim().is_empty()))
    }

    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let value = text.parse();
        value.map(Some).map_err(|error: T::Err| self.bad(key, &text, &error.to_string(), ""))
    }

    /// `true` or `false`, in any case (slapos/util.py, `string_to_boolean`).
    pub(super) fn boolean(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        match self.text(key)? {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(self.bad(key, &text, "expected true or false", "")),
        }
    }

    pub(super) fn number(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = format!("expected a whole number from {} to {}", range.start(), range.end());
                Err(self.bad(key, &text, &expected, "write it without a unit"))
            }
        }
    }

    /// A path; `~/` is HOME, and a relative one is relative to the working directory, as with slapos.
    pub(super) fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        match self.text(key)? {
            None => Ok(None),
            Some(text) => self.absolute(key, &text).map(Some),
        }
    }

    /// Paths, one on each line.
    pub(super) fn paths(&self, key: &str) -> Result<Vec<PathBuf>, ConfigError> {
        self.lines(key)?.iter().map(|line| self.absolute(key, line)).collect()
    }

    /// The lines of a value that are not blank, without the blanks around them.
    pub(super) fn lines(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let text = self.text(key)?.unwrap_or_default();
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn absolute(&self, key: &str, text: &str) -> Result<PathBuf, ConfigError> {
        if text.contains('\n') || text.contains('\0') || text.len() > 4095 {
            return Err(self.bad(
                key,
                text,
                "expected one path of at most 4095 bytes",
                "write it on one line",
            ));
        }
        Ok(self.env.context().absolute(text))
    }

    /// Lines of `name url`, as software_product_list holds them (slapos/proxy/__init__.py).
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<(String, String)>, ConfigError> {
        self.lines(key)?
            .iter()
            .map(|line| match line.split_once(' ') {
                Some((name, url)) if !url.trim().contains(' ') => {
                    Ok((name.to_owned(), url.trim().to_owned()))
                }
                _ => Err(self.bad(key, line, "expected a name, a blank and a URL", "")),
            })
            .collect()
    }

    pub(super) fn bad(&self, key: &str, value: &str, expected: &str, hint: &str) -> ConfigError {
        let shown: String = value.chars().take(120).collect();
        let section = self.section;
        self.file.error(section, key, format!("[{section}] {key} = {shown:?}: {expected}"), hint)
    }
}
