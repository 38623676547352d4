//! Python's values as templates see them: lists, dictionaries and sets are shared and mutable.

use super::{
    expression::Arguments,
    fault::{Fault, Outcome, type_error},
    interpreter::{LoopState, MacroObject},
    iterate::Iter,
};
use crate::profile::literal::{self, Literal};
use indexmap::IndexMap;
use std::{cell::RefCell, cmp::Ordering, collections::BTreeMap, rc::Rc};

/// The deepest nesting of values that is written, compared or converted.
const DEPTH_MAX: usize = 60;

/// The longest text that a template may make: 16 MiB.
pub(super) const TEXT_BYTES_MAX: usize = 16 << 20;

/// A value.
#[derive(Clone)]
pub(super) enum Value {
    /// Nothing of that name; any use of it is an error with this message.
    Undefined(Rc<str>),
    /// Nothing, from `x if y` without else: Jinja2 writes it as an empty text even where all else is strict.
    Absent,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Rc<str>),
    /// Text that is safe in HTML (`markupsafe.Markup`); what it does differently from a text is refused.
    Markup(Rc<str>),
    Bytes(Rc<[u8]>),
    List(Rc<RefCell<Vec<Value>>>),
    Tuple(Rc<[Value]>),
    Dict(Rc<RefCell<Dict>>),
    Set(Rc<SetObject>),
    View(View, Rc<RefCell<Dict>>),
    /// start, stop, step.
    Range(i128, i128, i128),
    Iterator(Rc<RefCell<Iter>>),
    Type(Type),
    Function(Function),
    Method(Rc<(Value, Rc<str>)>),
    /// A function and arguments that it is always given.
    Partial(Rc<(Value, Arguments)>),
    Macro(Rc<MacroObject>),
    /// An imported template.
    Module(Rc<BTreeMap<String, Value>>),
    /// A Python module, by its full name.
    Library(&'static str),
    Loop(Rc<RefCell<LoopState>>),
    Namespace(Rc<RefCell<IndexMap<Rc<str>, Value>>>),
    /// A hash of `hashlib`: algorithm, and what was hashed.
    Digest(&'static str, Rc<RefCell<Vec<u8>>>),
}

/// A dictionary: for each key the key as it was given, and the value.
pub(super) type Dict = IndexMap<Key, (Value, Value)>;

/// A set, frozen or not. Iteration is in order of insertion; Python's own order of a set is none.
pub(super) struct SetObject {
    pub(super) frozen: bool,
    pub(super) items: RefCell<IndexMap<Key, Value>>,
}

/// What a view of a dictionary shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Keys,
    Values,
    Items,
}

/// A hashable value, such that equal values are equal keys (`1`, `1.0` and `True` are one).
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    None,
    Int(i128),
    Float(u64),
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    Tuple(Vec<Key>),
    /// A function or type, by name.
    Named(&'static str),
}

/// Python's types, as `isinstance` and calls know them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Bool,
    Int,
    Float,
    Text,
    Bytes,
    List,
    Tuple,
    Dict,
    Set,
    FrozenSet,
    Range,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Float => "float",
            Type::Text => "str",
            Type::Bytes => "bytes",
            Type::List => "list",
            Type::Tuple => "tuple",
            Type::Dict => "dict",
            Type::Set => "set",
            Type::FrozenSet => "frozenset",
            Type::Range => "range",
        }
    }
}

/// A function of Python, Jinja or a Python module, by its name.
#[derive(Clone, Copy)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) call: super::builtins::Call,
}

impl Value {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Value {
        Value::Text(text.into())
    }

    pub(super) fn list(items: Vec<Value>) -> Value {
        Value::List(Rc::new(RefCell::new(items)))
    }

    pub(super) fn tuple(items: Vec<Value>) -> Value {
        Value::Tuple(items.into())
    }

    pub(super) fn dict(entries: Dict) -> Value {
        Value::Dict(Rc::new(RefCell::new(entries)))
    }

    pub(super) fn iterator(items: Vec<Value>) -> Value {
        Value::Iterator(Rc::new(RefCell::new(Iter::Items(items.into()))))
    }

    /// A set of these items.
    pub(super) fn set(frozen: bool, items: impl IntoIterator<Item = Value>) -> Outcome<Value> {
        let mut map = IndexMap::new();
        for item in items {
            map.entry(item.key()?).or_insert(item);
        }
        Ok(Value::Set(Rc::new(SetObject { frozen, items: RefCell::new(map) })))
    }

    /// The name of Python's type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "StrictUndefined",
            Value::Absent => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::Markup(_) => "Markup",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::Set(set) if set.frozen => "frozenset",
            Value::Set(_) => "set",
            Value::View(View::Keys, _) => "dict_keys",
            Value::View(View::Values, _) => "dict_values",
            Value::View(View::Items, _) => "dict_items",
            Value::Range(..) => "range",
            Value::Iterator(_) => "generator",
            Value::Type(_) => "type",
            Value::Function(_) | Value::Partial(_) => "function",
            Value::Method(_) => "builtin_function_or_method",
            Value::Macro(_) => "Macro",
            Value::Module(_) => "TemplateModule",
            Value::Library(_) => "module",
            Value::Loop(_) => "LoopContext",
            Value::Namespace(_) => "Namespace",
            Value::Digest(..) => "hash",
        }
    }

    /// The type, for `isinstance` and `type` comparisons.
    pub(super) fn type_of(&self) -> Option<Type> {
        Some(match self {
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Float(_) => Type::Float,
            Value::Text(_) | Value::Markup(_) => Type::Text,
            Value::Bytes(_) => Type::Bytes,
            Value::List(_) => Type::List,
            Value::Tuple(_) => Type::Tuple,
            Value::Dict(_) => Type::Dict,
            Value::Set(set) if set.frozen => Type::FrozenSet,
            Value::Set(_) => Type::Set,
            Value::Range(..) => Type::Range,
            _ => return None,
        })
    }

    /// An error if this is undefined.
    pub(super) fn defined(&self) -> Outcome<()> {
        match self {
            Value::Undefined(message) => Err(Fault::new(message.to_string())),
            _ => Ok(()),
        }
    }

    /// Whether this or an item of this tuple is undefined.
    pub(super) fn holds_undefined(&self) -> bool {
        match self {
            Value::Undefined(_) => true,
            Value::Tuple(items) => items.iter().any(Value::holds_undefined),
            _ => false,
        }
    }

    /// Python's truth.
    pub(super) fn is_true(&self) -> Outcome<bool> {
        self.defined()?;
        Ok(match self {
            Value::None | Value::Absent => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(_)
            | Value::Markup(_)
            | Value::Bytes(_)
            | Value::List(_)
            | Value::Tuple(_)
            | Value::Dict(_)
            | Value::Set(_)
            | Value::View(..)
            | Value::Range(..) => self.length()? > 0,
            _ => true,
        })
    }

    /// Python's `len`.
    pub(super) fn length(&self) -> Outcome<usize> {
        self.defined()?;
        Ok(match self {
            Value::Absent => 0,
            Value::Text(text) | Value::Markup(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.borrow().len(),
            Value::Tuple(items) => items.len(),
            Value::Dict(dict) | Value::View(_, dict) => dict.borrow().len(),
            Value::Set(set) => set.items.borrow().len(),
            Value::Range(start, stop, step) => super::iterate::range_length(*start, *stop, *step),
            other => return Err(type_error(format!("object of type '{}' has no len()", other.type_name()))),
        })
    }

    /// The key that this value is in a dictionary or a set.
    pub(super) fn key(&self) -> Outcome<Key> {
        self.defined()?;
        Ok(match self {
            Value::None => Key::None,
            Value::Bool(value) => Key::Int(i128::from(*value)),
            Value::Int(value) => Key::Int(*value),
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e38 => Key::Int(*value as i128),
            Value::Float(value) => Key::Float(value.to_bits()),
            Value::Text(text) | Value::Markup(text) => Key::Text(text.clone()),
            Value::Bytes(bytes) => Key::Bytes(bytes.clone()),
            Value::Tuple(items) => Key::Tuple(items.iter().map(Value::key).collect::<Outcome<_>>()?),
            Value::Type(kind) => Key::Named(kind.name()),
            Value::Function(function) => Key::Named(function.name),
            Value::List(_) | Value::Dict(_) | Value::View(..) => {
                return Err(type_error(format!("unhashable type: '{}'", self.type_name())));
            }
            Value::Set(set) if !set.frozen => return Err(type_error("unhashable type: 'set'")),
            other => {
                return Err(Fault::unsupported(format!("a {} as a key or in a set", other.type_name())));
            }
        })
    }

    /// Python's `str`.
    pub(super) fn to_text(&self) -> Outcome<Rc<str>> {
        match self {
            Value::Text(text) | Value::Markup(text) => Ok(text.clone()),
            Value::Absent => Ok("".into()),
            other => {
                self.defined()?;
                let mut out = String::new();
                write_repr(other, &mut out, 0)?;
                Ok(out.into())
            }
        }
    }

    /// Python's `repr`. The one use of an undefined value that is no error: it is written as `Undefined`.
    pub(super) fn repr(&self) -> Outcome<String> {
        let mut out = String::new();
        write_repr(self, &mut out, 0)?;
        Ok(out)
    }

    /// The integer that this value is: of an int or a bool.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Value::Bool(value) => Some(i128::from(*value)),
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The number that this value is, as a float.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            other => other.integer().map(|value| value as f64),
        }
    }

    /// Python's `==`.
    pub(super) fn equals(&self, other: &Value) -> Outcome<bool> {
        equal(self, other, 0)
    }

    /// Python's `<` and its kin.
    pub(super) fn compare(&self, other: &Value, operator: &str) -> Outcome<Ordering> {
        order(self, other, operator, 0)
    }

    /// A Python literal as a value.
    pub(super) fn from_literal(literal: &Literal) -> Outcome<Value> {
        Ok(match literal {
            Literal::None => Value::None,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Int(value) => Value::Int(*value),
            Literal::Float(value) => Value::Float(*value),
            Literal::Text(text) => Value::text(text.as_str()),
            Literal::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
            Literal::List(items) => Value::list(from_literals(items)?),
            Literal::Tuple(items) => Value::tuple(from_literals(items)?),
            Literal::Set(items) => Value::set(false, from_literals(items)?)?,
            Literal::FrozenSet(items) => Value::set(true, from_literals(items)?)?,
            Literal::Dict(entries) => {
                let mut dict = Dict::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = Value::from_literal(key)?;
                    dict.insert(key.key()?, (key, Value::from_literal(value)?));
                }
                Value::dict(dict)
            }
        })
    }

    /// The value as a Python literal.
    ///
    /// # Errors
    /// For what has no literal, such as a function.
    pub(super) fn to_literal(&self) -> Outcome<Literal> {
        to_literal(self, 0)
    }
}

fn from_literals(items: &[Literal]) -> Outcome<Vec<Value>> {
    items.iter().map(Value::from_literal).collect()
}

fn deeper(depth: usize) -> Outcome<usize> {
    if depth >= DEPTH_MAX {
        return Err(Fault::new(format!("values are nested deeper than {DEPTH_MAX}, or contain themselves")));
    }
    Ok(depth + 1)
}

fn to_literal(value: &Value, depth: usize) -> Outcome<Literal> {
    let depth = deeper(depth)?;
    if let Value::Undefined(message) = value {
        return Err(Fault::unsupported(format!("an undefined value where a literal is needed ({message})")));
    }
    let all = |items: &[Value]| items.iter().map(|item| to_literal(item, depth)).collect::<Outcome<Vec<_>>>();
    Ok(match value {
        Value::None => Literal::None,
        Value::Bool(value) => Literal::Bool(*value),
        Value::Int(value) => Literal::Int(*value),
        Value::Float(value) => Literal::Float(*value),
        Value::Text(text) => Literal::text(text.to_string()),
        Value::Bytes(bytes) => Literal::Bytes(bytes.to_vec()),
        Value::List(list) => Literal::List(all(&list.borrow())?),
        Value::Tuple(items) => Literal::Tuple(all(items)?),
        Value::Set(set) => {
            let items: Vec<Value> = set.items.borrow().values().cloned().collect();
            if set.frozen { Literal::FrozenSet(all(&items)?) } else { Literal::Set(all(&items)?) }
        }
        Value::Dict(dict) => {
            let mut entries = Vec::new();
            for (key, value) in dict.borrow().values() {
                entries.push((to_literal(key, depth)?, to_literal(value, depth)?));
            }
            Literal::Dict(entries)
        }
        other => {
            return Err(Fault::unsupported(format!("a {} where a literal is needed", other.type_name())));
        }
    })
}

fn write_repr(value: &Value, out: &mut String, depth: usize) -> Outcome<()> {
    let depth = deeper(depth)?;
    if out.len() > TEXT_BYTES_MAX {
        return Err(Fault::new(format!("a text is longer than {TEXT_BYTES_MAX} bytes")));
    }
    match value {
        Value::Undefined(_) | Value::Absent => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&literal::float_repr(*value)),
        Value::Text(text) => out.push_str(&literal::text_repr(text)),
        Value::Markup(text) => {
            out.push_str(&format!("Markup({})", literal::text_repr(text)));
        }
        Value::Bytes(bytes) => out.push_str(&Literal::Bytes(bytes.to_vec()).repr()),
        Value::List(list) => write_items(&list.borrow(), "[", "]", out, depth)?,
        Value::Tuple(items) => {
            write_items(items, "(", if items.len() == 1 { ",)" } else { ")" }, out, depth)?
        }
        Value::Dict(dict) => {
            out.push('{');
            for (index, (key, value)) in dict.borrow().values().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(key, out, depth)?;
                out.push_str(": ");
                write_repr(value, out, depth)?;
            }
            out.push('}');
        }
        // Sorted: so that two runs write the same.
        Value::Set(_) => out.push_str(&to_literal(value, depth)?.repr()),
        Value::View(view, dict) => {
            let items = super::iterate::view(*view, &dict.borrow());
            out.push_str(value.type_name());
            write_items(&items, "([", "])", out, depth)?;
        }
        Value::Range(start, stop, 1) => out.push_str(&format!("range({start}, {stop})")),
        Value::Range(start, stop, step) => out.push_str(&format!("range({start}, {stop}, {step})")),
        Value::Type(kind) => out.push_str(&format!("<class '{}'>", kind.name())),
        other => {
            // Python writes an address there, which no profile can want.
            return Err(Fault::unsupported(format!("a {} written as text", other.type_name())));
        }
    }
    Ok(())
}

fn write_items(items: &[Value], open: &str, close: &str, out: &mut String, depth: usize) -> Outcome<()> {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(item, out, depth)?;
    }
    out.push_str(close);
    Ok(())
}

fn equal(left: &Value, right: &Value, depth: usize) -> Outcome<bool> {
    let depth = deeper(depth)?;
    left.defined()?;
    right.defined()?;
    let all = |left: &[Value], right: &[Value]| -> Outcome<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for (left, right) in left.iter().zip(right) {
            if !equal(left, right, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(match (left, right) {
        (Value::None, Value::None) | (Value::Absent, Value::Absent) => true,
        (Value::Text(left) | Value::Markup(left), Value::Text(right) | Value::Markup(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::List(left), Value::List(right)) => {
            Rc::ptr_eq(left, right) || all(&left.borrow(), &right.borrow())?
        }
        (Value::Tuple(left), Value::Tuple(right)) => all(left, right)?,
        (Value::Dict(left), Value::Dict(right)) => {
            if Rc::ptr_eq(left, right) {
                return Ok(true);
            }
            let (left, right) = (left.borrow(), right.borrow());
            if left.len() != right.len() {
                return Ok(false);
            }
            for (key, (_, value)) in left.iter() {
                match right.get(key) {
                    Some((_, other)) if equal(value, other, depth)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Set(left), Value::Set(right)) => {
            let (left, right) = (left.items.borrow(), right.items.borrow());
            left.len() == right.len() && left.keys().all(|key| right.contains_key(key))
        }
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Range(..), Value::Range(..)) | (Value::View(..), Value::View(..)) => {
            return Err(Fault::unsupported(format!("comparing two of {}", left.type_name())));
        }
        _ => match (left.integer(), right.integer()) {
            (Some(left), Some(right)) => left == right,
            _ => left.number().is_some_and(|left| right.number() == Some(left)),
        },
    })
}

fn order(left: &Value, right: &Value, operator: &str, depth: usize) -> Outcome<Ordering> {
    let depth = deeper(depth)?;
    left.defined()?;
    right.defined()?;
    let all = |left: &[Value], right: &[Value]| -> Outcome<Ordering> {
        for (left, right) in left.iter().zip(right) {
            if !equal(left, right, depth)? {
                return order(left, right, operator, depth);
            }
        }
        Ok(left.len().cmp(&right.len()))
    };
    match (left, right) {
        (Value::Text(left) | Value::Markup(left), Value::Text(right) | Value::Markup(right)) => {
            Ok(left.cmp(right))
        }
        (Value::Bytes(left), Value::Bytes(right)) => Ok(left.cmp(right)),
        (Value::List(left), Value::List(right)) => all(&left.borrow(), &right.borrow()),
        (Value::Tuple(left), Value::Tuple(right)) => all(left, right),
        (Value::Set(_), Value::Set(_)) => Err(Fault::unsupported(format!("{operator} between sets"))),
        _ => {
            if let (Some(left), Some(right)) = (left.integer(), right.integer()) {
                return Ok(left.cmp(&right));
            }
            if let (Some(left), Some(right)) = (left.number(), right.number()) {
                return left.partial_cmp(&right).ok_or_else(|| Fault::unsupported("comparing with nan"));
            }
            Err(type_error(format!(
                "'{operator}' not supported between instances of '{}' and '{}'",
                left.type_name(),
                right.type_name()
            )))
        }
    }
}
