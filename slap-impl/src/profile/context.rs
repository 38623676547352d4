//! What a recipe sees of an evaluation: [`Options`] of one section.

use super::{
    engine,
    evaluate::Evaluation,
    recipe::{Derive, Nested, OptionMap, Options, Place, RecipeError},
};
use crate::env::{Env, LocalFuture};
use std::{path::Path, rc::Rc};

/// A section as its recipe sees it.
pub struct Context<'e> {
    evaluation: &'e Evaluation,
    section: String,
}

impl Evaluation {
    /// A section as its recipe sees it.
    pub fn context(&self, section: &str) -> Context<'_> {
        Context { evaluation: self, section: section.to_owned() }
    }
}

/// The escape that lets a text hold `${`: it stays in stored values until they are read.
pub fn unescape(stored: &str) -> String {
    stored.replace("$${", "${")
}

fn unescape_all(stored: OptionMap) -> OptionMap {
    stored.into_iter().map(|(option, value)| (option, unescape(&value))).collect()
}

impl Context<'_> {
    fn mark_all_used(&self, section: &str) {
        if let Some(section) = self.evaluation.state.borrow_mut().sections.get_mut(section) {
            section.used.extend(section.raw.options.keys().map(|(option, _)| Rc::clone(option)));
        }
    }

    fn remove_in(&self, section: &str, option: &str) -> Option<String> {
        let mut state = self.evaluation.state.borrow_mut();
        let section = state.sections.get_mut(section)?;
        let key = (Rc::from(option), super::syntax::Operation::Set);
        let raw = section.raw.options.remove(&key).map(|value| value.text);
        section.values.remove(option).or(raw).map(|value| unescape(&value))
    }
}

impl Options for Context<'_> {
    fn env(&self) -> &Env {
        &self.evaluation.env
    }

    fn directory(&self) -> &Path {
        &self.evaluation.directory
    }

    fn section(&self) -> &str {
        &self.section
    }

    fn umask(&self) -> u32 {
        self.evaluation.umask
    }

    fn get(&self, option: &str) -> Option<String> {
        let mut state = self.evaluation.state.borrow_mut();
        let section = state.sections.get_mut(&*self.section)?;
        section.used.insert(option.into());
        let raw = || section.raw.get(option).map(|value| &value.text);
        section.values.get(option).or_else(raw).map(|value| unescape(value))
    }

    fn all(&self) -> OptionMap {
        self.mark_all_used(&self.section);
        unescape_all(self.evaluation.stored(&self.section, true))
    }

    fn set(&self, option: &str, value: &str) {
        if let Some(section) = self.evaluation.state.borrow_mut().sections.get_mut(&*self.section) {
            section.used.insert(option.into());
            section.values.insert(option.into(), value.into());
        }
    }

    fn remove(&self, option: &str) -> Option<String> {
        self.remove_in(&self.section, option)
    }

    fn hide(&self, option: &str) {
        if let Some(section) = self.evaluation.state.borrow_mut().sections.get_mut(&*self.section) {
            section.hidden.insert(option.to_owned());
        }
    }

    fn derive(&self, rule: Derive) {
        if let Some(section) = self.evaluation.state.borrow_mut().sections.get_mut(&*self.section) {
            section.derive = Some(rule);
        }
    }

    fn other_option<'a>(
        &'a self,
        section: &'a str,
        option: &'a str,
    ) -> LocalFuture<'a, Result<Option<String>, RecipeError>> {
        Box::pin(async move {
            self.evaluation.section(section, Some(&self.section)).await?;
            let found = self.evaluation.option(section, option).await?;
            Ok(found.map(|value| unescape(&value)))
        })
    }

    fn other<'a>(&'a self, section: &'a str) -> LocalFuture<'a, Result<OptionMap, RecipeError>> {
        Box::pin(async move {
            self.evaluation.section(section, Some(&self.section)).await?;
            self.mark_all_used(section);
            let mut options = self.evaluation.stored(section, true);
            let done =
                self.evaluation.state.borrow().sections.get(section).is_some_and(|section| section.done);
            if !done {
                // It is being evaluated around this one: what can be known already is.
                let names: Vec<String> = options.keys().cloned().collect();
                for option in names {
                    match self.evaluation.option(section, &option).await {
                        Ok(Some(value)) => options.insert(option, value.to_string()),
                        Ok(None) | Err(_) => options.remove(&option),
                    };
                }
            }
            Ok(unescape_all(options))
        })
    }

    fn has_section(&self, section: &str) -> bool {
        let state = self.evaluation.state.borrow();
        state.raw.contains_key(section) || state.sections.contains_key(section)
    }

    fn preset(&self, section: &str, option: &str, value: &str) -> Result<(), RecipeError> {
        let place = self.place(None);
        let mut state = self.evaluation.state.borrow_mut();
        let failed = |message: String| RecipeError::new(message).at(place.clone()).section(&self.section);
        if state.sections.contains_key(section) {
            return Err(failed(format!("{section} section was already initialized"))
                .hint(format!("nothing may refer to [{section}] before [{}] does", self.section)));
        }
        if !state.raw.contains_key(section) {
            let error = failed(format!("there is no section {section:?}"));
            return Err(match crate::vocabulary::nearest(section, state.raw.keys().map(|name| &**name)) {
                Some(near) => error.hint(format!("did you mean {near:?}?")),
                None => error,
            });
        }
        let presets = state.presets.entry(section.to_owned()).or_default();
        presets.insert(option.to_owned(), value.to_owned());
        Ok(())
    }

    fn remove_other(&self, section: &str, option: &str) -> Option<String> {
        self.remove_in(section, option)
    }

    fn substitute<'a>(&'a self, text: &'a str) -> LocalFuture<'a, Result<String, RecipeError>> {
        Box::pin(
            async move { self.evaluation.substitute_in(&self.section, text, &mut Vec::new(), true).await },
        )
    }

    fn previous(&self) -> Option<OptionMap> {
        self.evaluation.previous.get(&self.section).cloned().map(unescape_all)
    }

    fn place(&self, option: Option<&str>) -> Place {
        self.evaluation.place(&self.section, option)
    }

    fn run_nested<'a>(&'a self, nested: Nested) -> LocalFuture<'a, Result<(), RecipeError>> {
        Box::pin(engine::run_nested(self.evaluation, nested))
    }
}
