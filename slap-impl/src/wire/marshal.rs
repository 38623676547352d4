//! The documents of Python's xml_marshaller 1.0.3, as slapos.core writes and reads them (slapos/util.py, `dumps` and
//! `loads`).
//!
//! [`Value`] is what such a document means; [`encode`] writes the same bytes as Python; [`decode`] reads, and
//! refuses what Python would expand or import: DOCTYPE, entities, other classes. `reader.rs` holds the reader, `writer.rs` what
//! writes: also a document in pieces, some of which were written before.
//!
//! Two quirks: text is escaped twice, once by the marshaller and once as XML, while a reader takes once or twice
//! escaped text; and a list, dictionary or object may come again as a `<reference>`, which is read as a copy.

mod number;
mod reader;
mod writer;

pub(super) use reader::resolve;
pub use reader::{ARGUMENT_VALUES_MAX, DOCUMENT_BYTES_MAX, MarshalError, decode, decode_argument};
pub use writer::{Writer, encode};

pub use crate::vocabulary::float_repr as python_float;

use crate::vocabulary::text_repr;
use std::collections::BTreeMap;

/// How deep elements may be nested.
pub const DEPTH_MAX: usize = 64;

/// The classes that slapos.core lets through (slapos/util.py, `_ALLOWED_CLASS_SET`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A computer with its software releases and partitions.
    Computer,
    /// A partition and what shall be in it.
    ComputerPartition,
    /// A software release on a computer.
    SoftwareRelease,
    /// The answer to a request.
    SoftwareInstance,
}

impl Class {
    /// The name in Python.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Computer => "Computer",
            Class::ComputerPartition => "ComputerPartition",
            Class::SoftwareRelease => "SoftwareRelease",
            Class::SoftwareInstance => "SoftwareInstance",
        }
    }

    fn find(module: &str, name: &str) -> Option<Class> {
        [Class::Computer, Class::ComputerPartition, Class::SoftwareRelease, Class::SoftwareInstance]
            .into_iter()
            .find(|class| module == MODULE && class.as_str() == name)
    }
}

const MODULE: &str = "slapos.slap.slap";

/// Attributes and dictionaries: keys are text, in the order that Python sorts them.
pub type Dictionary = BTreeMap<String, Value>;

/// What a document means.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An integer; longer ones than these are refused.
    Int(i128),
    /// A number with a point.
    Float(f64),
    /// Text. Characters that XML cannot hold (such as NUL) are written as U+FFFD.
    Text(String),
    /// `[...]`
    List(Vec<Value>),
    /// `(...)`
    Tuple(Vec<Value>),
    /// `{...}`
    Dictionary(Dictionary),
    /// An object of slapos.slap.slap. They are few and large: the others need not be as large.
    Object(Box<Object>),
}

// A computer with a thousand partitions has tens of thousands of values.
const _: () = assert!(size_of::<Value>() <= 32);

/// An object: what its constructor is called with, and what is set on it then.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its class.
    pub class: Class,
    /// The constructor's arguments.
    pub arguments: Vec<Value>,
    /// Its attributes.
    pub attributes: Dictionary,
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// Text or none.
    pub fn optional(text: Option<impl Into<String>>) -> Value {
        text.map_or(Value::None, Value::text)
    }

    /// A dictionary.
    pub fn dictionary<K: Into<String>>(items: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Dictionary(items.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list or tuple, if it is one.
    pub fn as_items(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The dictionary, if it is one.
    pub fn as_dictionary(&self) -> Option<&Dictionary> {
        match self {
            Value::Dictionary(items) => Some(items),
            _ => None,
        }
    }

    /// What Python holds for true: not none, zero or empty.
    pub fn is_true(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) | Value::Tuple(items) => !items.is_empty(),
            Value::Dictionary(items) => !items.is_empty(),
            Value::Object(_) => true,
        }
    }

    /// What Python's `str()` gives for text, numbers, booleans and none; nothing for the rest.
    pub fn to_plain_text(&self) -> Option<String> {
        match self {
            Value::None => Some("None".to_owned()),
            Value::Bool(true) => Some("True".to_owned()),
            Value::Bool(false) => Some("False".to_owned()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(python_float(*value)),
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// What Python's `str()` gives; nothing for an object, where that is an accident. Dictionaries are in the order in which
    /// the marshaller writes them, by key.
    pub fn to_python_text(&self) -> Option<String> {
        let mut out = String::new();
        match self {
            Value::Text(text) => out.push_str(text),
            other => other.write_repr(&mut out)?,
        }
        Some(out)
    }

    /// Python's `repr`. Not deeper than a document.
    fn write_repr(&self, out: &mut String) -> Option<()> {
        match self {
            Value::Text(text) => out.push_str(&text_repr(text)),
            Value::List(items) => write_items(items, "[", "]", out)?,
            Value::Tuple(items) => write_items(items, "(", if items.len() == 1 { ",)" } else { ")" }, out)?,
            Value::Dictionary(items) => {
                out.push('{');
                for (index, (key, value)) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    out.push_str(&text_repr(key));
                    out.push_str(": ");
                    value.write_repr(out)?;
                }
                out.push('}');
            }
            plain => out.push_str(&plain.to_plain_text()?),
        }
        Some(())
    }

    /// "text", "a list": for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "none",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Dictionary(_) => "a dictionary",
            Value::Object(object) => object.class.as_str(),
        }
    }
}

fn write_items(items: &[Value], open: &str, close: &str, out: &mut String) -> Option<()> {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        item.write_repr(out)?;
    }
    out.push_str(close);
    Some(())
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::text(text)
    }
}

/// Whether XML 1.0 can hold that character (XML 1.0, 2.2).
pub fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
