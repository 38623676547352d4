//! What a recipe is, what it can reach, and how it fails.
//!
//! * [`Recipe`]: a part that can be installed and updated; made by a [`Construct`] function
//! * [`Options`]: what a recipe sees of the profile: its own options, other sections, the last run, the door
//! * [`Part`]: the options while a part is installed or updated, and the paths it made so far
//! * [`Nested`]: a buildout inside this one, for recipes that run a rendered profile
//! * [`RecipeError`]: message, place and hint; [`Place`]: a file and a line
//!
//! Values are texts, as in the profile. A typed value is the text `!py!` followed by a Python literal; it
//! is read and written with the functions of `literal`.

use crate::env::{Env, Files, LocalFuture, room};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Options of one section, by name.
pub type OptionMap = BTreeMap<String, String>;

/// Makes an option when it is first asked for: `None` when there is none of that name, or why it cannot be made.
pub type Derive = Rc<dyn Fn(&Env, &str) -> Option<Result<String, String>>>;

/// Makes the recipe of a section, when the section is evaluated: reads and completes its options, may ask the
/// master, but changes no file. All `${}` of the section's own options were substituted before.
pub type Construct = for<'a> fn(&'a dyn Options) -> LocalFuture<'a, Result<Box<dyn Recipe>, RecipeError>>;

/// A part of a profile that can be installed.
pub trait Recipe {
    /// Makes the part from nothing. Returns the paths that belong to the part: they are removed before it is
    /// installed anew and when it is not wanted any more.
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> LocalFuture<'a, Result<Vec<PathBuf>, RecipeError>>;

    /// Called instead of `install` when the part stands and its options are the same as in the last run.
    /// Paths returned here are added to those that belong to the part.
    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> LocalFuture<'a, Result<Vec<PathBuf>, RecipeError>>;
}

/// A recipe that has nothing to install.
pub struct NothingToInstall;

impl Recipe for NothingToInstall {
    fn install<'a>(&'a mut self, _: &'a Part<'a>) -> LocalFuture<'a, Result<Vec<PathBuf>, RecipeError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn update<'a>(&'a mut self, _: &'a Part<'a>) -> LocalFuture<'a, Result<Vec<PathBuf>, RecipeError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A line of a profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path or URL of the profile; "command line" and the like for what comes from no file.
    pub file: Rc<str>,
    /// Line, counted from 1; 0 when there is none.
    pub line: u32,
}

impl Place {
    /// A place that is no line of a file.
    pub fn nowhere(what: &str) -> Place {
        Place { file: what.into(), line: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}", self.file),
            line => write!(formatter, "{}:{line}", self.file),
        }
    }
}

/// What a recipe sees of the profile and of the machine. All texts are final: `${}` is substituted and the escape
/// `$${` reads as `${`.
pub trait Options {
    /// The door.
    fn env(&self) -> &Env;
    /// `${buildout:directory}`, absolute: what the run may change lies in here.
    fn directory(&self) -> &Path;
    /// The section's name.
    fn section(&self) -> &str;
    /// Permission bits that files made by a recipe shall not have: a mode that the profile does not state is
    /// `0o666 & !umask` for files and `0o777 & !umask` for programs and directories.
    fn umask(&self) -> u32;

    /// An option of this section.
    fn get(&self, option: &str) -> Option<String>;
    /// All options of this section, with `recipe`.
    fn all(&self) -> OptionMap;
    /// Sets an option of this section, final as it is: whoever refers to the section later reads it.
    fn set(&self, option: &str, value: &str);
    /// Removes an option of this section.
    fn remove(&self, option: &str) -> Option<String>;
    /// Keeps an option of this section out of the installed file and out of what makes a part be installed
    /// anew: for secrets and for what changes in each run.
    fn hide(&self, option: &str);

    /// Has options made that nobody set, when something outside of this section refers to them. They are hidden.
    fn derive(&self, rule: Derive);

    /// An option of another section, which is evaluated first; this part then depends on it. Such as
    /// [`Options::derive`] makes are found here, and not in [`Options::other`].
    fn other_option<'a>(
        &'a self,
        section: &'a str,
        option: &'a str,
    ) -> LocalFuture<'a, Result<Option<String>, RecipeError>>;
    /// All options of another section, which is evaluated first (and its recipe constructed). This part
    /// then depends on it: it is installed after it, and anew when that section's options change.
    fn other<'a>(&'a self, section: &'a str) -> LocalFuture<'a, Result<OptionMap, RecipeError>>;
    /// Whether the profile has such a section; it is not evaluated.
    fn has_section(&self, section: &str) -> bool;
    /// Sets an option in another section before that one is evaluated.
    ///
    /// # Errors
    /// When it was evaluated already, or there is no such section.
    fn preset(&self, section: &str, option: &str, value: &str) -> Result<(), RecipeError>;
    /// Removes an option in another section after that one was evaluated; no error when it is not there.
    fn remove_other(&self, section: &str, option: &str) -> Option<String>;
    /// Substitutes all `${section:option}` and `${:option}` in a text, for instance a template's. What stands in for a
    /// reference is copied as it is; `$$` is not touched.
    fn substitute<'a>(&'a self, text: &'a str) -> LocalFuture<'a, Result<String, RecipeError>>;

    /// The options that this part had when it was last installed, as the installed file has them; `None` when it is new.
    fn previous(&self) -> Option<OptionMap>;
    /// Where an option (or the section, for `None` and for options set by recipes) was written.
    fn place(&self, option: Option<&str>) -> Place;
    /// Runs a buildout inside this one, with the same directory and door.
    fn run_nested<'a>(&'a self, nested: Nested) -> LocalFuture<'a, Result<(), RecipeError>>;
}

impl dyn Options + '_ {
    /// An option that must be there; it may be empty.
    ///
    /// # Errors
    /// When it is not there.
    pub fn required(&self, option: &str) -> Result<String, RecipeError> {
        self.get(option).ok_or_else(|| {
            self.error(None, format!("option {option:?} is missing"))
                .hint(format!("add `{option} = ...` to [{}]", self.section()))
        })
    }

    /// An option, or `default` when it is not there.
    pub fn get_or(&self, option: &str, default: &str) -> String {
        self.get(option).unwrap_or_else(|| default.to_owned())
    }

    /// An error of this section, placed at an option's line if one is named.
    pub fn error(&self, option: Option<&str>, message: impl Into<String>) -> RecipeError {
        RecipeError::new(message).at(self.place(option)).section(self.section())
    }

    /// `path` made absolute against the buildout directory.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        crate::env::normalize(&self.directory().join(path))
    }
}

/// A part while it is installed or updated. It reads like the options it is made of.
pub struct Part<'a> {
    options: &'a dyn Options,
    created: RefCell<Vec<PathBuf>>,
}

impl<'a> Part<'a> {
    /// A part of these options that has made nothing yet.
    pub fn new(options: &'a dyn Options) -> Part<'a> {
        Part { options, created: RefCell::new(Vec::new()) }
    }

    /// Notes a path that belongs to this part, before it is made: if `install` fails, what was noted is removed.
    /// It needs not be returned again.
    pub fn created(&self, path: impl Into<PathBuf>) {
        self.created.borrow_mut().push(path.into());
    }

    /// Takes the noted paths.
    pub fn take_created(&self) -> Vec<PathBuf> {
        self.created.take()
    }
}

impl<'a> std::ops::Deref for Part<'a> {
    type Target = dyn Options + 'a;

    fn deref(&self) -> &Self::Target {
        self.options
    }
}

/// A buildout inside a buildout, in the same process (slapos.cookbook:switch-softwaretype).
#[derive(Clone, Debug, Default)]
pub struct Nested {
    /// The profile, absolute.
    pub file: PathBuf,
    /// Profiles that the profile extends besides its own, applied after it (the option `override`).
    pub extra: Vec<PathBuf>,
    /// `(section, option, value)` that win over the profile, like those of a command line.
    pub overrides: Vec<(String, String, String)>,
    /// Sections with options that are final already: these win over the profile's options of that section, are not
    /// substituted, and the section's recipe, if any, is not constructed: nothing of it is installed.
    pub injected: BTreeMap<String, OptionMap>,
    /// The file that remembers what was installed, absolute.
    pub installed: PathBuf,
}

/// Why a recipe, or the evaluation of a profile, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeError {
    /// What is wrong: the value, and what was expected.
    pub message: String,
    /// Where in which profile.
    pub place: Option<Place>,
    /// In which section.
    pub section: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What was going on, outermost first, as buildout's "While:" lists it.
    pub during: Vec<String>,
}

impl RecipeError {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> RecipeError {
        RecipeError { message: message.into(), place: None, section: None, hint: None, during: Vec::new() }
    }

    /// An error while something was written at a path: a full disk is called so, with a hint.
    pub fn write(files: &dyn Files, path: &Path, what: impl fmt::Display, error: &io::Error) -> RecipeError {
        let (reason, hint) = room::reason(files, path, error);
        RecipeError { hint: hint.map(str::to_owned), ..RecipeError::new(format!("{what}: {reason}")) }
    }

    /// Sets the place, unless an inner one is known.
    #[must_use]
    pub fn at(mut self, place: Place) -> RecipeError {
        self.place.get_or_insert(place);
        self
    }

    /// Sets the section, unless an inner one is known.
    #[must_use]
    pub fn section(mut self, section: &str) -> RecipeError {
        self.section.get_or_insert_with(|| section.to_owned());
        self
    }

    /// Sets the hint, unless there is one.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> RecipeError {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Says what was going on around it.
    #[must_use]
    pub fn during(mut self, activity: impl Into<String>) -> RecipeError {
        self.during.insert(0, activity.into());
        self
    }
}

impl fmt::Display for RecipeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.during.is_empty() {
            writeln!(formatter, "While:")?;
            for activity in &self.during {
                writeln!(formatter, "  {activity}.")?;
            }
        }
        write!(formatter, "Error: {}", self.message)?;
        if let Some(place) = &self.place {
            write!(formatter, "\n  at {place}")?;
        }
        if let Some(section) = &self.section {
            write!(
                formatter,
                "{}[{section}]",
                if self.place.is_some() { ", section " } else { "\n  in section " }
            )?;
        }
        if let Some(hint) = &self.hint {
            write!(formatter, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RecipeError {}
