//! Reading attributes out of a dictionary, with errors that name the attribute.

use super::{
    instance_xml::Parameters,
    marshal::{Dictionary, MarshalError, Value},
};
use std::str::FromStr;

/// The attributes of one thing.
pub(super) struct Fields<'a> {
    owner: &'static str,
    items: &'a Dictionary,
}

impl<'a> Fields<'a> {
    pub(super) fn new(owner: &'static str, items: &'a Dictionary) -> Fields<'a> {
        Fields { owner, items }
    }

    /// What stands there, unless it is missing or none.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.items.get(name).filter(|value| **value != Value::None)
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, MarshalError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.to_plain_text() {
                Some(text) => Ok(Some(text)),
                None => Err(self.bad(name, value, "text")),
            },
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<String, MarshalError> {
        self.optional_text(name)?.ok_or_else(|| self.missing(name))
    }

    /// Text that is parsed as an id or a state.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, MarshalError> {
        self.text(name)?.parse().map_err(|error| self.wrong(name, &error))
    }

    pub(super) fn items(&self, name: &str) -> Result<&'a [Value], MarshalError> {
        match self.get(name) {
            None => Ok(&[]),
            Some(value) => value.as_items().ok_or_else(|| self.bad(name, value, "a list")),
        }
    }

    pub(super) fn dictionary(&self, name: &str) -> Result<Option<&'a Dictionary>, MarshalError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_dictionary() {
                Some(items) => Ok(Some(items)),
                None => Err(self.bad(name, value, "a dictionary")),
            },
        }
    }

    pub(super) fn parameters(&self, name: &str) -> Result<Parameters, MarshalError> {
        self.dictionary(name)?.map_or(Ok(Parameters::new()), parameters)
    }

    fn bad(&self, name: &str, value: &Value, expected: &str) -> MarshalError {
        self.wrong(name, &format!("{} instead of {expected}", value.kind()))
    }

    fn missing(&self, name: &str) -> MarshalError {
        MarshalError::new(format!("{} has no {name}", self.owner))
    }

    fn wrong(&self, name: &str, reason: &dyn std::fmt::Display) -> MarshalError {
        MarshalError::new(format!("{name} of {}: {reason}", self.owner))
    }
}

/// Values as text, as `dict2xml` would write them.
pub(super) fn parameters(items: &Dictionary) -> Result<Parameters, MarshalError> {
    items
        .iter()
        .map(|(key, value)| match value {
            Value::None => Ok((key.clone(), None)),
            other => match other.to_plain_text() {
                Some(text) => Ok((key.clone(), Some(text))),
                None => Err(MarshalError::new(format!(
                    "the parameter {key:?} is {}: expected text",
                    other.kind()
                ))),
            },
        })
        .collect()
}

/// Parameters as a dictionary.
pub(super) fn dictionary(parameters: &Parameters) -> Dictionary {
    parameters.iter().map(|(key, value)| (key.clone(), Value::optional(value.as_deref()))).collect()
}
