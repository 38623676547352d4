//! Methods of Python's values: which there are, and those of collections, numbers and hashes.

use super::{
    builtins,
    expression::Arguments,
    fault::{Fault, Outcome, type_error, value_error},
    interpreter::Interpreter,
    methods_text,
    value::{Dict, Key, SetObject, Value, View},
};
use std::{cell::RefCell, rc::Rc};

/// Methods that work, and the rest of what Python has, which is refused by name.
fn names(object: &Value) -> (&'static [&'static str], &'static [&'static str]) {
    match object {
        Value::Text(_) => (methods_text::SUPPORTED, methods_text::REFUSED),
        Value::Markup(_) => (&[], methods_text::SUPPORTED),
        Value::List(_) => (
            &[
                "append",
                "clear",
                "copy",
                "count",
                "extend",
                "index",
                "insert",
                "pop",
                "remove",
                "reverse",
                "sort",
                "__setitem__",
                "__getitem__",
                "__delitem__",
                "__contains__",
                "__len__",
            ],
            &[],
        ),
        Value::Tuple(_) => (&["count", "index", "__getitem__", "__contains__", "__len__"], &[]),
        Value::Dict(_) => (
            &[
                "clear",
                "copy",
                "fromkeys",
                "get",
                "items",
                "keys",
                "pop",
                "popitem",
                "setdefault",
                "update",
                "values",
                "__setitem__",
                "__getitem__",
                "__delitem__",
                "__contains__",
                "__len__",
            ],
            &[],
        ),
        Value::Set(_) => (
            &[
                "add",
                "clear",
                "copy",
                "difference",
                "difference_update",
                "discard",
                "intersection",
                "isdisjoint",
                "issubset",
                "issuperset",
                "pop",
                "remove",
                "symmetric_difference",
                "union",
                "update",
                "intersection_update",
                "__contains__",
                "__len__",
            ],
            &["symmetric_difference_update"],
        ),
        Value::Bytes(_) => (
            &["decode", "hex"],
            &[
                "split",
                "strip",
                "replace",
                "join",
                "startswith",
                "endswith",
                "find",
                "index",
                "count",
                "lower",
                "upper",
                "lstrip",
                "rstrip",
                "splitlines",
                "partition",
                "title",
                "translate",
                "zfill",
            ],
        ),
        Value::Digest(..) => {
            (&["hexdigest", "digest", "update", "copy"], &["name", "digest_size", "block_size"])
        }
        Value::Int(_) | Value::Bool(_) => (
            &["bit_length"],
            &[
                "bit_count",
                "conjugate",
                "denominator",
                "from_bytes",
                "imag",
                "numerator",
                "real",
                "to_bytes",
                "as_integer_ratio",
            ],
        ),
        Value::Float(_) => {
            (&["is_integer"], &["as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "real"])
        }
        Value::Range(..) => (&[], &["count", "index", "start", "step", "stop"]),
        Value::View(..) => (&[], &["isdisjoint", "mapping"]),
        Value::Iterator(_) => (&[], &["send", "close", "throw"]),
        _ => (&[], &[]),
    }
}

/// Whether an object has a method.
///
/// # Errors
/// When Python's object has it and this one does not.
pub(super) fn known(object: &Value, name: &str) -> Outcome<bool> {
    let (supported, refused) = names(object);
    if supported.contains(&name) {
        if matches!(object, Value::Set(set) if set.frozen) && is_change(name) {
            return Ok(false);
        }
        return Ok(true);
    }
    if refused.contains(&name) || (name.starts_with("__") && name.ends_with("__")) {
        return Err(Fault::unsupported(format!("{}.{name}", object.type_name())));
    }
    Ok(false)
}

fn is_change(name: &str) -> bool {
    matches!(name, "add" | "clear" | "discard" | "pop" | "remove") || name.ends_with("update")
}

/// Calls a method.
pub(super) fn call(
    this: &mut Interpreter<'_>,
    object: &Value,
    name: &str,
    arguments: Arguments,
) -> Outcome<Value> {
    match (object, name) {
        (Value::Loop(state), _) => return this.loop_method(&state.clone(), name, arguments.positional),
        (_, "__getitem__") => {
            let index = one(arguments, name)?;
            return object.item(&index)?.ok_or_else(|| {
                Fault::new(format!("KeyError or IndexError: {}", index.repr().unwrap_or_default()))
            });
        }
        (_, "__contains__") => return object.contains(&one(arguments, name)?).map(Value::Bool),
        (_, "__len__") => return Ok(Value::Int(i128::try_from(object.length()?).unwrap_or(i128::MAX))),
        _ => {}
    }
    match object {
        Value::Text(text) => methods_text::call(this, text, name, arguments),
        Value::List(list) => list_method(this, list, name, arguments),
        Value::Tuple(items) => sequence_method(items, name, arguments),
        Value::Dict(dict) => dict_method(this, dict, name, arguments),
        Value::Set(set) => set_method(this, set, name, arguments),
        Value::Bytes(bytes) => bytes_method(bytes, name, arguments),
        Value::Digest(algorithm, content) => {
            super::library::digest_method(algorithm, content, name, arguments)
        }
        Value::Int(_) | Value::Bool(_) if name == "bit_length" => {
            let bits = 128 - object.integer().unwrap_or(0).unsigned_abs().leading_zeros();
            Ok(Value::Int(bits.into()))
        }
        Value::Float(number) if name == "is_integer" => Ok(Value::Bool(number.fract() == 0.0)),
        other => Err(Fault::unsupported(format!("{}.{name}", other.type_name()))),
    }
}

pub(super) fn one(arguments: Arguments, name: &str) -> Outcome<Value> {
    let [value] = arguments.bind(name, ["object"], 1)?;
    Ok(value.unwrap_or(Value::None))
}

/// Where in `length` items a position is that may count from the end.
fn position(value: &Value, length: usize, clamp: bool) -> Outcome<Option<usize>> {
    let index = value.integer().ok_or_else(|| {
        type_error(format!("'{}' object cannot be interpreted as an integer", value.type_name()))
    })?;
    let length = i128::try_from(length).unwrap_or(i128::MAX);
    let index = if index < 0 { index.saturating_add(length) } else { index };
    let index = if clamp { index.clamp(0, length) } else { index };
    Ok(usize::try_from(index).ok().filter(|_| clamp || index < length))
}

fn find(items: &[Value], wanted: &Value) -> Outcome<Option<usize>> {
    for (place, item) in items.iter().enumerate() {
        if item.equals(wanted)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn sequence_method(items: &[Value], name: &str, arguments: Arguments) -> Outcome<Value> {
    if arguments.positional.len() > 1 {
        return Err(Fault::unsupported(format!("{name}() with a range")));
    }
    let wanted = one(arguments, name)?;
    if name == "index" {
        let place = find(items, &wanted)?;
        let place = place
            .ok_or_else(|| value_error(format!("{} is not in list", wanted.repr().unwrap_or_default())))?;
        return Ok(Value::Int(i128::try_from(place).unwrap_or(i128::MAX)));
    }
    let mut count = 0;
    for item in items {
        count += i128::from(item.equals(&wanted)?);
    }
    Ok(Value::Int(count))
}

fn list_method(
    this: &mut Interpreter<'_>,
    list: &Rc<RefCell<Vec<Value>>>,
    name: &str,
    arguments: Arguments,
) -> Outcome<Value> {
    let out_of_range = || Fault::new(format!("IndexError: list.{name} index out of range"));
    match name {
        "append" => {
            let item = one(arguments, name)?;
            list.borrow_mut().push(item);
        }
        "extend" => {
            let items = this.collect(&one(arguments, name)?)?;
            list.borrow_mut().extend(items);
        }
        "insert" => {
            let [place, item] = arguments.bind(name, ["index", "object"], 2)?;
            let mut list = list.borrow_mut();
            let place = position(&place.unwrap_or(Value::None), list.len(), true)?.unwrap_or(0);
            list.insert(place, item.unwrap_or(Value::None));
        }
        "pop" => {
            let [place] = arguments.bind(name, ["index"], 0)?;
            let mut list = list.borrow_mut();
            if list.is_empty() {
                return Err(Fault::new("IndexError: pop from empty list"));
            }
            let place = position(&place.unwrap_or(Value::Int(-1)), list.len(), false)?;
            return Ok(list.remove(place.ok_or_else(out_of_range)?));
        }
        "remove" => {
            let wanted = one(arguments, name)?;
            let place = find(&list.borrow(), &wanted)?;
            list.borrow_mut().remove(place.ok_or_else(|| value_error("list.remove(x): x not in list"))?);
        }
        "clear" => list.borrow_mut().clear(),
        "copy" => return Ok(Value::list(list.borrow().clone())),
        "reverse" => list.borrow_mut().reverse(),
        "sort" => {
            if !arguments.positional.is_empty() {
                return Err(type_error("sort() takes no positional arguments"));
            }
            let [key, reverse] = arguments.bind(name, ["key", "reverse"], 0)?;
            let items = list.borrow().clone();
            let items = builtins::sort(this, items, key, reverse)?;
            *list.borrow_mut() = items;
        }
        "__setitem__" => {
            let [place, item] = arguments.bind(name, ["index", "object"], 2)?;
            let mut list = list.borrow_mut();
            let place = position(&place.unwrap_or(Value::None), list.len(), false)?;
            let slot = place.and_then(|place| list.get_mut(place)).ok_or_else(out_of_range)?;
            *slot = item.unwrap_or(Value::None);
        }
        "__delitem__" => {
            let place = one(arguments, name)?;
            let mut list = list.borrow_mut();
            let place = position(&place, list.len(), false)?.ok_or_else(out_of_range)?;
            list.remove(place);
        }
        _ => {
            let items = list.borrow().clone();
            return sequence_method(&items, name, arguments);
        }
    }
    Ok(Value::None)
}

fn dict_method(
    this: &mut Interpreter<'_>,
    dict: &Rc<RefCell<Dict>>,
    name: &str,
    arguments: Arguments,
) -> Outcome<Value> {
    let look = |key: &Key| dict.borrow().get(key).map(|(_, value)| value.clone());
    let missing = |key: &Value| Fault::new(format!("KeyError: {}", key.repr().unwrap_or_default()));
    match name {
        "keys" | "values" | "items" => {
            let [] = arguments.bind(name, [], 0)?;
            let view = match name {
                "keys" => View::Keys,
                "values" => View::Values,
                _ => View::Items,
            };
            return Ok(Value::View(view, dict.clone()));
        }
        "get" => {
            let [key, default] = arguments.bind(name, ["key", "default"], 1)?;
            let key = key.unwrap_or(Value::None).key()?;
            return Ok(look(&key).or(default).unwrap_or(Value::None));
        }
        "setdefault" => {
            let [key, default] = arguments.bind(name, ["key", "default"], 1)?;
            let key = key.unwrap_or(Value::None);
            if let Some(value) = look(&key.key()?) {
                return Ok(value);
            }
            let value = default.unwrap_or(Value::None);
            builtins::insert(&mut dict.borrow_mut(), key, value.clone())?;
            return Ok(value);
        }
        "pop" => {
            let [key, default] = arguments.bind(name, ["key", "default"], 1)?;
            let key = key.unwrap_or(Value::None);
            let found = dict.borrow_mut().shift_remove(&key.key()?).map(|(_, value)| value);
            return found.or(default).ok_or_else(|| missing(&key));
        }
        "popitem" => {
            let found = dict.borrow_mut().pop();
            return found
                .map(|(_, (key, value))| Value::tuple(vec![key, value]))
                .ok_or_else(|| Fault::new("KeyError: 'popitem(): dictionary is empty'"));
        }
        "update" => {
            let mut positional = arguments.positional;
            if positional.len() > 1 {
                return Err(type_error("update expected at most 1 argument"));
            }
            // A copy, because what is merged may be made of the dictionary itself.
            let mut merged = dict.borrow().clone();
            builtins::merge(this, &mut merged, positional.pop(), arguments.keywords)?;
            *dict.borrow_mut() = merged;
        }
        "clear" => dict.borrow_mut().clear(),
        "copy" => return Ok(Value::dict(dict.borrow().clone())),
        "fromkeys" => return builtins::from_keys(this, arguments),
        "__setitem__" => {
            let [key, value] = arguments.bind(name, ["key", "value"], 2)?;
            let (key, value) = (key.unwrap_or(Value::None), value.unwrap_or(Value::None));
            builtins::insert(&mut dict.borrow_mut(), key, value)?;
        }
        "__delitem__" => {
            let key = one(arguments, name)?;
            let found = dict.borrow_mut().shift_remove(&key.key()?);
            found.ok_or_else(|| missing(&key))?;
        }
        _ => return Err(Fault::unsupported(format!("dict.{name}"))),
    }
    Ok(Value::None)
}

fn set_method(
    this: &mut Interpreter<'_>,
    set: &Rc<SetObject>,
    name: &str,
    arguments: Arguments,
) -> Outcome<Value> {
    let mine = || set.items.borrow().values().cloned().collect::<Vec<_>>();
    match name {
        "add" => {
            let item = one(arguments, name)?;
            set.items.borrow_mut().entry(item.key()?).or_insert(item);
        }
        "discard" | "remove" => {
            let item = one(arguments, name)?;
            let found = set.items.borrow_mut().shift_remove(&item.key()?);
            if name == "remove" && found.is_none() {
                return Err(Fault::new(format!("KeyError: {}", item.repr().unwrap_or_default())));
            }
        }
        "pop" => return Err(Fault::unsupported("set.pop, whose result is arbitrary,")),
        "clear" => set.items.borrow_mut().clear(),
        "copy" => return Value::set(set.frozen, mine()),
        "update" | "union" => {
            let mut items = mine();
            for other in arguments.positional {
                items.extend(this.collect(&other)?);
            }
            return replace(set, name == "update", items);
        }
        _ => {
            let mut result = mine();
            for other in arguments.positional {
                let items = this.collect(&other)?;
                let other = Value::set(true, items.clone())?;
                match name {
                    "difference" | "difference_update" => result = keep(result, &other, false)?,
                    "intersection" | "intersection_update" => result = keep(result, &other, true)?,
                    "symmetric_difference" => {
                        let mine = Value::set(true, result.clone())?;
                        let more = keep(items, &mine, false)?;
                        result = keep(result, &other, false)?;
                        result.extend(more);
                    }
                    "issubset" => {
                        return Ok(Value::Bool(keep(result, &other, false)?.is_empty()));
                    }
                    "issuperset" => {
                        let mine = Value::set(true, result)?;
                        return Ok(Value::Bool(keep(items, &mine, false)?.is_empty()));
                    }
                    "isdisjoint" => return Ok(Value::Bool(keep(result, &other, true)?.is_empty())),
                    _ => return Err(Fault::unsupported(format!("set.{name}"))),
                }
            }
            return replace(set, name.ends_with("update"), result);
        }
    }
    Ok(Value::None)
}

fn keep(items: Vec<Value>, other: &Value, wanted: bool) -> Outcome<Vec<Value>> {
    let mut kept = Vec::new();
    for item in items {
        if other.contains(&item)? == wanted {
            kept.push(item);
        }
    }
    Ok(kept)
}

fn replace(set: &SetObject, in_place: bool, items: Vec<Value>) -> Outcome<Value> {
    let result = Value::set(set.frozen, items)?;
    if let (true, Value::Set(made)) = (in_place, &result) {
        *set.items.borrow_mut() = made.items.borrow().clone();
        return Ok(Value::None);
    }
    Ok(result)
}

fn bytes_method(bytes: &[u8], name: &str, arguments: Arguments) -> Outcome<Value> {
    if name == "hex" {
        return Ok(Value::text(super::library::hexadecimal(bytes)));
    }
    let [encoding, errors] = arguments.bind(name, ["encoding", "errors"], 0)?;
    if errors.is_some() {
        return Err(Fault::unsupported("decode() with errors"));
    }
    let encoding = encoding.map_or(Ok("utf-8".into()), |encoding| encoding.to_text())?;
    match &*encoding.to_ascii_lowercase().replace('_', "-") {
        "utf-8" | "utf8" | "ascii" | "us-ascii" => {}
        other => return Err(Fault::unsupported(format!("the encoding {other}"))),
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| Fault::new(format!("UnicodeDecodeError: {error}")))?;
    if encoding.contains("ascii") && !text.is_ascii() {
        return Err(Fault::new("UnicodeDecodeError: 'ascii' codec can't decode these bytes"));
    }
    Ok(Value::text(text))
}

/// `text.encode(encoding)`.
pub(super) fn encode(text: &str, encoding: &str) -> Outcome<Value> {
    match &*encoding.to_ascii_lowercase().replace('_', "-") {
        "utf-8" | "utf8" => {}
        "ascii" | "us-ascii" if text.is_ascii() => {}
        "ascii" | "us-ascii" => {
            return Err(Fault::new(format!("UnicodeEncodeError: 'ascii' codec can't encode {text:?}")));
        }
        other => return Err(Fault::unsupported(format!("the encoding {other}"))),
    }
    Ok(Value::Bytes(text.as_bytes().into()))
}
