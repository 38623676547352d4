//! JSON as Python's `json` reads and writes it.

use super::{
    fault::{Fault, Outcome, type_error},
    value::{Dict, TEXT_BYTES_MAX, Value},
};
use crate::profile::literal::float_repr;

/// The deepest nesting that is written.
const DEPTH_MAX: usize = 60;

/// How `json.dumps` writes.
pub(super) struct Style {
    pub(super) sort_keys: bool,
    pub(super) ascii: bool,
    pub(super) indent: Option<String>,
    pub(super) item_separator: String,
    pub(super) key_separator: String,
}

impl Style {
    /// Python's style, with or without an indent.
    pub(super) fn new(indent: Option<Value>) -> Outcome<Style> {
        let indent = match indent {
            None | Some(Value::None) => None,
            Some(Value::Text(indent)) => Some(indent.to_string()),
            Some(width) => {
                let width = width.integer().map(|width| usize::try_from(width.clamp(0, 100)).unwrap_or(0));
                Some(" ".repeat(width.ok_or_else(|| type_error("indent is an integer or a string"))?))
            }
        };
        let item_separator = if indent.is_some() { "," } else { ", " }.to_owned();
        Ok(Style { sort_keys: false, ascii: true, indent, item_separator, key_separator: ": ".to_owned() })
    }
}

/// `json.dumps`.
pub(super) fn dumps(value: &Value, style: &Style) -> Outcome<String> {
    let mut out = String::new();
    write(value, style, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, style: &Style, depth: usize, out: &mut String) -> Outcome<()> {
    value.defined()?;
    if depth > DEPTH_MAX || out.len() > TEXT_BYTES_MAX {
        return Err(Fault::new("ValueError: JSON that is too deep, too long, or contains itself"));
    }
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&number(*value)),
        Value::Text(text) | Value::Markup(text) => write_text(text, style.ascii, out),
        Value::List(list) => write_all(&list.borrow(), style, depth, out)?,
        Value::Tuple(items) => write_all(items, style, depth, out)?,
        Value::Dict(dict) => {
            let mut entries: Vec<(Value, Value)> = dict.borrow().values().cloned().collect();
            if style.sort_keys {
                let weighted = entries
                    .into_iter()
                    .map(|(key, value)| (key.clone(), Value::tuple(vec![key, value])))
                    .collect();
                entries = Vec::new();
                for pair in super::builtins::sort_weighted(weighted, false)? {
                    if let Value::Tuple(pair) = pair {
                        entries.push((pair[0].clone(), pair[1].clone()));
                    }
                }
            }
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(index, style, depth + 1, out);
                write_text(&key_text(key)?, style.ascii, out);
                out.push_str(&style.key_separator);
                write(value, style, depth + 1, out)?;
            }
            close(entries.len(), style, depth, '}', out);
        }
        other => {
            return Err(type_error(format!("Object of type {} is not JSON serializable", other.type_name())));
        }
    }
    Ok(())
}

fn write_all(items: &[Value], style: &Style, depth: usize, out: &mut String) -> Outcome<()> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        separate(index, style, depth + 1, out);
        write(item, style, depth + 1, out)?;
    }
    close(items.len(), style, depth, ']', out);
    Ok(())
}

fn separate(index: usize, style: &Style, depth: usize, out: &mut String) {
    if index > 0 {
        out.push_str(&style.item_separator);
    }
    if let Some(indent) = &style.indent {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
}

fn close(length: usize, style: &Style, depth: usize, bracket: char, out: &mut String) {
    if let (Some(indent), true) = (&style.indent, length > 0) {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
    out.push(bracket);
}

fn key_text(key: &Value) -> Outcome<String> {
    Ok(match key {
        Value::Text(text) | Value::Markup(text) => text.to_string(),
        Value::None => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => number(*value),
        other => {
            return Err(type_error(format!(
                "keys must be str, int, float, bool or None, not {}",
                other.type_name()
            )));
        }
    })
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        float_repr(value)
    }
}

fn write_text(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0c' => out.push_str("\\f"),
            '\x08' => out.push_str("\\b"),
            ' '..='~' => out.push(c),
            _ if c < ' ' || ascii => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// `json.loads`.
pub(super) fn loads(text: &str) -> Outcome<Value> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| Fault::new(format!("JSONDecodeError: {error}")))?;
    convert(&value)
}

fn convert(value: &serde_json::Value) -> Outcome<Value> {
    Ok(match value {
        serde_json::Value::Null => Value::None,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i128() {
            Some(number) => Value::Int(number),
            None => {
                let number = number.as_f64().unwrap_or(f64::INFINITY);
                if number.fract() == 0.0 && number.abs() >= 9.2e18 {
                    return Err(Fault::unsupported("a JSON number beyond 64 bits"));
                }
                Value::Float(number)
            }
        },
        serde_json::Value::String(text) => Value::text(text.as_str()),
        serde_json::Value::Array(items) => Value::list(items.iter().map(convert).collect::<Outcome<_>>()?),
        serde_json::Value::Object(entries) => {
            let mut dict = Dict::with_capacity(entries.len());
            for (key, value) in entries {
                let key = Value::text(key.as_str());
                dict.insert(key.key()?, (key, convert(value)?));
            }
            Value::dict(dict)
        }
    })
}
