//! JSON as Python's `json.dumps(value, indent=2)` writes it: what users' scripts read from slapos.

use crate::wire::marshal::python_float;
use serde_json::Value as Json;
use std::fmt::Write as _;

/// The text, indented by two blanks, with everything that is not ASCII as `\uXXXX`; no line feed at the end.
pub(super) fn dumps(value: &Json) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

fn write(out: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => out.push_str(&python_float(float)),
            _ => out.push_str(&number.to_string()),
        },
        Json::String(text) => quote(out, text),
        Json::Array(items) => {
            let items = items.iter().map(|item| (None, item));
            block(out, ['[', ']'], items, depth);
        }
        Json::Object(items) => {
            let items = items.iter().map(|(key, item)| (Some(key.as_str()), item));
            block(out, ['{', '}'], items, depth);
        }
    }
}

fn block<'a>(
    out: &mut String,
    brackets: [char; 2],
    items: impl Iterator<Item = (Option<&'a str>, &'a Json)>,
    depth: usize,
) {
    out.push(brackets[0]);
    let mut separator = "";
    for (key, item) in items {
        out.push_str(separator);
        separator = ",";
        indent(out, depth + 1);
        if let Some(key) = key {
            quote(out, key);
            out.push_str(": ");
        }
        write(out, item, depth + 1);
    }
    if !separator.is_empty() {
        indent(out, depth);
    }
    out.push(brackets[1]);
}

fn indent(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Written by CPython 3.11.
    #[test]
    fn as_python_writes_it() {
        for (value, expected) in [
            (json!({}), "{}"),
            (json!([]), "[]"),
            (
                json!({"a": [1, 2.5, {}], "é😀\u{7f}\n\"": null}),
                "{\n  \"a\": [\n    1,\n    2.5,\n    {}\n  ],\n  \"\\u00e9\\ud83d\\ude00\\u007f\\n\\\"\": null\n}",
            ),
            (json!([1e16, 1.0, true, "/"]), "[\n  1e+16,\n  1.0,\n  true,\n  \"/\"\n]"),
        ] {
            assert_eq!(dumps(&value), expected);
        }
    }
}
