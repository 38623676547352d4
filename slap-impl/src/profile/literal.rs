//! Python literals: the typed values of Nexedi's Buildout fork.
//!
//! An option may hold a Python value, written as `!py!` and the value's text. [`parse`] reads such text
//! (no evaluation: literals and the calls `set`, `frozenset`, `dict`, `list`, `tuple` and `str` only),
//! [`Literal::repr`] writes what Python's `repr` writes, [`Literal::dump`] the `!py!` form, [`load`] reads it.
//! Integers beyond 128 bits, `bytearray` and `complex` are refused by name.

mod reader;
mod writer;

pub use reader::parse;
pub(crate) use writer::safe_order;

pub use crate::vocabulary::{float_repr, text_repr};

use std::{cmp::Ordering, fmt};

/// What a typed option's text begins with.
pub const PREFIX: &str = "!py!";

/// A Python value that has a literal.
#[derive(Clone, Debug)]
pub enum Literal {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Literal>),
    /// A tuple.
    Tuple(Vec<Literal>),
    /// A dictionary in order of insertion; its keys differ from each other.
    Dict(Vec<(Literal, Literal)>),
    /// A set; its items differ from each other.
    Set(Vec<Literal>),
    /// A frozen set; its items differ from each other.
    FrozenSet(Vec<Literal>),
}

/// A text that is no literal that this module reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteralError {
    /// What was wrong.
    pub message: String,
    /// Where, in bytes from the start.
    pub offset: usize,
}

impl fmt::Display for LiteralError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not a Python literal: {} at character {}", self.message, self.offset + 1)
    }
}

impl std::error::Error for LiteralError {}

/// The value of an option's text, if the text is typed (`!py!` and a literal).
///
/// # Errors
/// When it begins with `!py!` and goes on with something that is no literal.
pub fn load(text: &str) -> Result<Option<Literal>, LiteralError> {
    text.strip_prefix(PREFIX).map(parse).transpose()
}

impl Literal {
    /// A string.
    pub fn text(text: impl Into<String>) -> Literal {
        Literal::Text(text.into())
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Literal::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A dictionary's value under a string key.
    pub fn get(&self, key: &str) -> Option<&Literal> {
        match self {
            Literal::Dict(entries) => {
                entries.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Python's `repr`: dictionaries in order of insertion, sets sorted (Python's order of a set is none).
    pub fn repr(&self) -> String {
        let mut out = String::new();
        writer::write(self, false, &mut out);
        out
    }

    /// Python's `repr` with dictionaries sorted by key, as `pprint` writes it.
    pub fn sorted_repr(&self) -> String {
        let mut out = String::new();
        writer::write(self, true, &mut out);
        out
    }

    /// Python's `str`: a string as it is, anything else as `repr` writes it.
    pub fn to_text(&self) -> String {
        match self {
            Literal::Text(text) => text.clone(),
            other => other.repr(),
        }
    }

    /// The text of a typed option: `!py!`, then `repr` with dictionaries sorted by key and with
    /// `$` and `;` written as `\x24` and `\x3b`, so that nothing is substituted or taken for a comment.
    pub fn dump(&self) -> String {
        let mut out = PREFIX.to_owned();
        writer::write(self, true, &mut out);
        out.replace('$', "\\x24").replace(';', "\\x3b")
    }

    /// The text of an option that holds this value: a string as it is, anything else as [`Literal::dump`] writes it.
    pub fn to_option(&self) -> String {
        match self {
            Literal::Text(text) if !text.starts_with("!py") => text.clone(),
            other => other.dump(),
        }
    }

    /// Python's order of two values, if it has one (numbers, strings, byte strings, lists and tuples among themselves).
    pub fn order(&self, other: &Literal) -> Option<Ordering> {
        match (self, other) {
            (Literal::Text(left), Literal::Text(right)) => Some(left.cmp(right)),
            (Literal::Bytes(left), Literal::Bytes(right)) => Some(left.cmp(right)),
            (Literal::List(left), Literal::List(right)) | (Literal::Tuple(left), Literal::Tuple(right)) => {
                for (left, right) in left.iter().zip(right) {
                    if left != right {
                        return left.order(right);
                    }
                }
                Some(left.len().cmp(&right.len()))
            }
            _ => match (self.integer(), other.integer()) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => self.number()?.partial_cmp(&other.number()?),
            },
        }
    }

    /// The name of Python's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Literal::None => "NoneType",
            Literal::Bool(_) => "bool",
            Literal::Int(_) => "int",
            Literal::Float(_) => "float",
            Literal::Text(_) => "str",
            Literal::Bytes(_) => "bytes",
            Literal::List(_) => "list",
            Literal::Tuple(_) => "tuple",
            Literal::Dict(_) => "dict",
            Literal::Set(_) => "set",
            Literal::FrozenSet(_) => "frozenset",
        }
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Literal::Bool(value) => Some(i128::from(*value)),
            Literal::Int(value) => Some(*value),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Literal::Float(value) => Some(*value),
            other => other.integer().map(|value| value as f64),
        }
    }

    fn hashable(&self) -> bool {
        match self {
            Literal::List(_) | Literal::Dict(_) | Literal::Set(_) => false,
            Literal::Tuple(items) => items.iter().all(Literal::hashable),
            _ => true,
        }
    }
}

/// Equality as Python has it: `1 == 1.0 == True`, dictionaries and sets whatever their order.
impl PartialEq for Literal {
    fn eq(&self, other: &Literal) -> bool {
        use Literal::*;
        match (self, other) {
            (None, None) => true,
            (Text(left), Text(right)) => left == right,
            (Bytes(left), Bytes(right)) => left == right,
            (List(left), List(right)) | (Tuple(left), Tuple(right)) => left == right,
            (Dict(left), Dict(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(key, value)| right.iter().any(|(name, found)| key == name && value == found))
            }
            (Set(left) | FrozenSet(left), Set(right) | FrozenSet(right)) => {
                left.len() == right.len() && left.iter().all(|item| right.contains(item))
            }
            _ => match (self.integer(), other.integer()) {
                (Some(left), Some(right)) => left == right,
                _ => self.number().is_some_and(|left| other.number() == Some(left)),
            },
        }
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Literal {
        Literal::Text(text.to_owned())
    }
}

impl From<String> for Literal {
    fn from(text: String) -> Literal {
        Literal::Text(text)
    }
}

/// JSON as Python's `json.loads` types it; an integer beyond 128 bits becomes a float, as `serde_json` hands it on.
impl From<&serde_json::Value> for Literal {
    fn from(value: &serde_json::Value) -> Literal {
        match value {
            serde_json::Value::Null => Literal::None,
            serde_json::Value::Bool(value) => Literal::Bool(*value),
            serde_json::Value::Number(number) => number
                .as_i128()
                .map(Literal::Int)
                .unwrap_or_else(|| Literal::Float(number.as_f64().unwrap_or(f64::INFINITY))),
            serde_json::Value::String(text) => Literal::Text(text.clone()),
            serde_json::Value::Array(items) => Literal::List(items.iter().map(Literal::from).collect()),
            serde_json::Value::Object(entries) => Literal::Dict(
                entries.iter().map(|(key, value)| (Literal::text(key), Literal::from(value))).collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
