//! Evaluation: which sections are needed, in what order, and what their options are.
//!
//! * [`Evaluation`]: the sections of one run; [`Evaluation::section`] evaluates one, depth first
//! * a section's evaluation: macros, then each option with `${}` in sorted order (which evaluates the
//!   sections that it refers to), then its recipe is constructed and the section becomes a part
//! * references inside a section that is still being evaluated are followed option by option, so sections may refer
//!   to each other as long as no option refers to itself
//! * `context.rs` holds what a recipe sees of this; `reference.rs` finds `${}` in texts
//!
//! The rules are those of zc.buildout 3.0.1 (buildout.py, class `Options`) with the fork's escape `$${`, which stays in
//! stored values and reads as `${`, and the fork's dependencies.

use super::{
    merge::{self, Sections, VALUE_BYTES_MAX},
    recipe::{Derive, NothingToInstall, OptionMap, Place, Recipe, RecipeError},
    reference::{Piece, pieces},
    registry::Registry,
    syntax::{Section, Value},
};
use crate::env::{Env, LocalFuture};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
};

/// Sections and options may wait for each other so deep.
const DEPTH_MAX: usize = 250;
/// All values of a run may be so long together.
const TOTAL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The option that is every section's name.
const NAME_OPTION: &str = "_buildout_section_name_";

/// Who asks for an option: `(section, option)`, outermost first.
type Chain = Vec<(Rc<str>, Rc<str>)>;

/// The sections of a run, as far as they are evaluated.
pub struct Evaluation {
    /// The door.
    pub env: Env,
    /// `${buildout:directory}`.
    pub directory: PathBuf,
    /// Permission bits that files shall not have.
    pub umask: u32,
    /// The recipes that exist.
    pub registry: Registry,
    /// What was installed by the last run.
    pub previous: BTreeMap<String, OptionMap>,
    /// Sections whose options are final already.
    pub injected: BTreeMap<String, OptionMap>,
    /// How many buildouts run around this one.
    pub nested: usize,
    /// Whether progress is not told.
    pub quiet: bool,
    pub(super) state: RefCell<State>,
    depth: Cell<usize>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) raw: Sections,
    pub(super) sections: BTreeMap<Rc<str>, Evaluated>,
    pub(super) presets: BTreeMap<String, OptionMap>,
    parts: Vec<String>,
    recipes: BTreeMap<String, Box<dyn Recipe>>,
    bytes: usize,
}

/// A section whose evaluation has begun.
pub(super) struct Evaluated {
    /// After macros, before substitution.
    pub(super) raw: Section,
    /// Substituted, or set by a recipe; they go before `raw`.
    pub(super) values: BTreeMap<Rc<str>, Rc<str>>,
    /// Options that the installed file does not get.
    pub(super) hidden: BTreeSet<String>,
    /// Options that somebody read.
    pub(super) used: BTreeSet<Rc<str>>,
    /// Sections that were asked for while this one was evaluated.
    depends: BTreeSet<Rc<str>>,
    /// Makes options that nobody set.
    pub(super) derive: Option<Derive>,
    /// The evaluation has ended.
    pub(super) done: bool,
}

/// An option as it is now.
enum Found {
    Value(Option<Rc<str>>),
    Unsubstituted(Value),
}

impl Evaluation {
    /// Nothing evaluated yet.
    pub fn new(env: Env, directory: PathBuf, registry: Registry, raw: Sections) -> Evaluation {
        Evaluation {
            env,
            directory,
            umask: 0o027,
            registry,
            previous: BTreeMap::new(),
            injected: BTreeMap::new(),
            nested: 0,
            quiet: false,
            state: RefCell::new(State { raw, ..State::default() }),
            depth: Cell::new(0),
        }
    }

    /// Evaluates a section, if that did not happen yet. `caller` is the section that asks, and so depends on it.
    ///
    /// # Errors
    /// When it does not exist, or it or a section that it needs cannot be evaluated.
    pub fn section<'a>(
        &'a self,
        name: &'a str,
        caller: Option<&'a str>,
    ) -> LocalFuture<'a, Result<(), RecipeError>> {
        Box::pin(async move {
            if !self.state.borrow().sections.contains_key(name) {
                let _deeper = self.deeper()?;
                let activity = format!("Getting section {name}");
                self.begin(name).map_err(|error| error.during(&*activity))?;
                let evaluated = self.evaluate(name).await;
                evaluated.map_err(|error| {
                    let place = self.section_place(name);
                    error
                        .at(place)
                        .section(name)
                        .during(format!("Initializing section {name}"))
                        .during(activity)
                })?;
                if let Some(section) = self.state.borrow_mut().sections.get_mut(name) {
                    section.done = true;
                }
            }
            let caller = caller.filter(|caller| name != "buildout" && name != *caller);
            let mut state = self.state.borrow_mut();
            if let Some(caller) = caller.and_then(|caller| state.sections.get_mut(caller)) {
                caller.depends.insert(name.into());
            }
            Ok(())
        })
    }

    /// The parts in the order of their installation.
    pub fn parts(&self) -> Vec<String> {
        self.state.borrow().parts.clone()
    }

    /// Takes a part's recipe.
    pub fn take_recipe(&self, part: &str) -> Box<dyn Recipe> {
        self.state.borrow_mut().recipes.remove(part).unwrap_or_else(|| Box::new(NothingToInstall))
    }

    /// All options of an evaluated section as they are stored (`$${` not resolved), with or without the hidden ones.
    pub fn stored(&self, name: &str, with_hidden: bool) -> OptionMap {
        let state = self.state.borrow();
        let Some(section) = state.sections.get(name) else { return OptionMap::new() };
        let keep = |option: &str| with_hidden || !section.hidden.contains(option);
        let raw = section.raw.options.iter().map(|((option, _), value)| (option, &value.text));
        raw.chain(&section.values)
            .filter(|(option, _)| keep(option))
            .map(|(option, value)| (option.to_string(), value.to_string()))
            .collect()
    }

    /// The sections that an evaluated section depends on.
    pub fn depends(&self, name: &str) -> Vec<String> {
        let state = self.state.borrow();
        let depends = state.sections.get(name).map(|section| &section.depends);
        depends.into_iter().flatten().map(|name| name.to_string()).collect()
    }

    /// Options of a section that nobody read.
    pub fn unused(&self, name: &str) -> Vec<String> {
        let state = self.state.borrow();
        let Some(section) = state.sections.get(name) else { return Vec::new() };
        let options = section.raw.options.keys().map(|(option, _)| option);
        options.filter(|option| !section.used.contains(*option)).map(|option| option.to_string()).collect()
    }

    /// An option of an evaluated section as it is stored, substituted if that did not happen yet.
    ///
    /// # Errors
    /// When what it refers to cannot be evaluated.
    pub async fn option(&self, section: &str, option: &str) -> Result<Option<Rc<str>>, RecipeError> {
        self.option_in(section, option, &mut Chain::new()).await
    }

    /// The line of an option, or of its section.
    pub fn place(&self, section: &str, option: Option<&str>) -> Place {
        let state = self.state.borrow();
        let found =
            state.sections.get(section).map(|section| &section.raw).or_else(|| state.raw.get(section));
        let Some(found) = found else { return Place::nowhere("profile") };
        option.and_then(|option| found.get(option)).map_or(&found.place, |value| &value.place).clone()
    }

    fn section_place(&self, name: &str) -> Place {
        self.place(name, None)
    }

    /// Counts one level more, until the result is dropped.
    fn deeper(&self) -> Result<Deeper<'_>, RecipeError> {
        if self.depth.get() >= DEPTH_MAX {
            return Err(RecipeError::new(format!(
                "more than {DEPTH_MAX} sections and options wait for each other in a chain"
            )));
        }
        self.depth.set(self.depth.get() + 1);
        Ok(Deeper(&self.depth))
    }

    /// Enters a section, expanded, among the evaluated ones, so that others find it while it is being evaluated.
    fn begin(&self, name: &str) -> Result<(), RecipeError> {
        let mut state = self.state.borrow_mut();
        let injected = self.injected.get(name);
        let raw = match (merge::expand(&state.raw, name)?, injected) {
            (Some(section), _) => section,
            (None, Some(_)) => Section::new(Place::nowhere("the buildout around this one")),
            (None, None) => {
                let error = RecipeError::new(format!("The referenced section, '{name}', was not defined."));
                return Err(match crate::vocabulary::nearest(name, state.raw.keys().map(|name| &**name)) {
                    Some(near) => error.hint(format!("did you mean [{near}]?")),
                    None => error.hint(format!("add a section [{name}]")),
                });
            }
        };
        let mut section = Evaluated {
            raw,
            values: BTreeMap::new(),
            hidden: BTreeSet::new(),
            used: BTreeSet::new(),
            depends: BTreeSet::new(),
            derive: None,
            done: false,
        };
        let presets = state.presets.remove(name);
        for (option, value) in injected.into_iter().chain(&presets).flatten() {
            section.values.insert((**option).into(), (**value).into());
        }
        state.sections.insert(name.into(), section);
        Ok(())
    }

    async fn evaluate(&self, name: &str) -> Result<(), RecipeError> {
        let pending: Vec<(Rc<str>, Value)> = match self.state.borrow().sections.get(name) {
            Some(section) => {
                let options = section.raw.options.iter().filter(|(_, value)| value.text.contains("${"));
                options.map(|((option, _), value)| (Rc::clone(option), value.clone())).collect()
            }
            None => Vec::new(),
        };
        for (option, value) in pending {
            let mut chain = vec![(Rc::from(name), Rc::clone(&option))];
            let text = self.substituted(name, &option, &value, &mut chain).await?;
            self.store(name, &option, text, true)?;
        }
        let is_injected = self.injected.contains_key(name);
        if name == "buildout" || is_injected {
            return Ok(());
        }
        let recipe = self.option(name, "recipe").await?.unwrap_or_default();
        if recipe.is_empty() {
            return Ok(());
        }
        let place = self.place(name, Some("recipe"));
        let construct = self.registry.find(&recipe).map_err(|error| error.at(place).section(name))?;
        let context = self.context(name);
        let constructed = construct(&context).await?;
        let mut state = self.state.borrow_mut();
        state.recipes.insert(name.to_owned(), constructed);
        state.parts.push(name.to_owned());
        Ok(())
    }

    /// Notes a substituted value. With `keep`, one that is there already stays.
    fn store(&self, section: &str, option: &Rc<str>, text: Rc<str>, keep: bool) -> Result<(), RecipeError> {
        let mut state = self.state.borrow_mut();
        state.bytes += text.len();
        if state.bytes > TOTAL_BYTES_MAX {
            let message = format!("the values of this run are longer than {TOTAL_BYTES_MAX} bytes together");
            return Err(RecipeError::new(message));
        }
        if let Some(section) = state.sections.get_mut(section) {
            if keep {
                section.values.entry(Rc::clone(option)).or_insert(text);
            } else {
                section.values.insert(Rc::clone(option), text);
            }
        }
        Ok(())
    }

    fn find(&self, section: &str, option: &str) -> Found {
        let mut state = self.state.borrow_mut();
        let Some(section) = state.sections.get_mut(section) else { return Found::Value(None) };
        if !section.used.contains(option) {
            section.used.insert(option.into());
        }
        if let Some(value) = section.values.get(option) {
            return Found::Value(Some(Rc::clone(value)));
        }
        match section.raw.get(option) {
            Some(value) if value.text.contains("${") => Found::Unsubstituted(value.clone()),
            value => Found::Value(value.map(|value| Rc::clone(&value.text))),
        }
    }

    async fn option_in(
        &self,
        section: &str,
        option: &str,
        chain: &mut Chain,
    ) -> Result<Option<Rc<str>>, RecipeError> {
        let value = match self.find(section, option) {
            Found::Value(None) => return self.derived(section, option),
            Found::Value(value) => return Ok(value),
            Found::Unsubstituted(value) => value,
        };
        let key: (Rc<str>, Rc<str>) = (section.into(), option.into());
        if chain.contains(&key) {
            let names = chain.iter().chain([&key]).map(|(section, option)| format!("{section}:{option}"));
            let names: Vec<String> = names.collect();
            return Err(RecipeError::new("Circular reference in substitutions.")
                .at(value.place)
                .section(section)
                .hint(names.join(" -> ")));
        }
        let option = Rc::clone(&key.1);
        chain.push(key);
        let text = self.substituted(section, &option, &value, chain).await?;
        chain.pop();
        self.store(section, &option, Rc::clone(&text), false)?;
        Ok(Some(text))
    }

    /// An option that the section's recipe makes because it is asked for.
    fn derived(&self, section: &str, option: &str) -> Result<Option<Rc<str>>, RecipeError> {
        let rule = self.state.borrow().sections.get(section).and_then(|section| section.derive.clone());
        let Some(made) = rule.and_then(|rule| rule(&self.env, option)) else { return Ok(None) };
        let value: Rc<str> = made.map_err(RecipeError::new)?.into();
        self.store(section, &option.into(), Rc::clone(&value), false)?;
        if let Some(section) = self.state.borrow_mut().sections.get_mut(section) {
            section.hidden.insert(option.to_owned());
        }
        Ok(Some(value))
    }

    /// An option's text with its references followed.
    fn substituted<'a>(
        &'a self,
        section: &'a str,
        option: &'a str,
        value: &'a Value,
        chain: &'a mut Chain,
    ) -> LocalFuture<'a, Result<Rc<str>, RecipeError>> {
        Box::pin(async move {
            let _deeper = self.deeper()?;
            let result = self.substitute_in(section, &value.text, chain, false).await;
            result.map(Into::into).map_err(|error| {
                let activity = format!("Getting option {section}:{option}");
                error.at(value.place.clone()).section(section).during(activity)
            })
        })
    }

    /// A text with its references followed, as seen from `section`; with `last`, `$${` in values reads as `${`.
    pub(super) async fn substitute_in(
        &self,
        section: &str,
        text: &str,
        chain: &mut Chain,
        last: bool,
    ) -> Result<String, RecipeError> {
        let mut result = String::with_capacity(text.len());
        for piece in pieces(text) {
            let (other, option) = match piece {
                Piece::Text(text) => {
                    result.push_str(text);
                    continue;
                }
                Piece::Bad(message) => return Err(RecipeError::new(message)),
                Piece::Reference(other, option) => (other, option),
            };
            let other = if other.is_empty() { section } else { other };
            let known = self.state.borrow().sections.contains_key(other);
            if !known || other != section {
                self.section(other, Some(section)).await?;
            }
            match self.option_in(other, option, chain).await? {
                Some(value) if last => result.push_str(&value.replace("$${", "${")),
                Some(value) => result.push_str(&value),
                None if option == NAME_OPTION => result.push_str(section),
                None => return Err(self.missing(other, option)),
            }
            if result.len() > VALUE_BYTES_MAX {
                return Err(RecipeError::new(format!(
                    "with ${{{other}:{option}}}, the value is longer than {VALUE_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(result)
    }

    fn missing(&self, section: &str, option: &str) -> RecipeError {
        let error = RecipeError::new(format!("Referenced option does not exist: {section} {option}"));
        let names = self.stored(section, true);
        match crate::vocabulary::nearest(option, names.keys().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean ${{{section}:{near}}}?")),
            None => error.hint(format!("[{section}] is at {}", self.section_place(section))),
        }
    }
}

/// A level that was counted.
struct Deeper<'a>(&'a Cell<usize>);

impl Drop for Deeper<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
