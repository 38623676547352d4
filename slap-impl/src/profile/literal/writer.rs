//! Writing: Python's `repr`.

use super::{Literal, float_repr, text_repr};
use std::cmp::Ordering;

/// Writes `literal`; `sorted`: dictionaries by key, as Python's `pprint` orders them.
pub(super) fn write(literal: &Literal, sorted: bool, out: &mut String) {
    match literal {
        Literal::None => out.push_str("None"),
        Literal::Bool(true) => out.push_str("True"),
        Literal::Bool(false) => out.push_str("False"),
        Literal::Int(value) => out.push_str(&value.to_string()),
        Literal::Float(value) => out.push_str(&float_repr(*value)),
        Literal::Text(text) => out.push_str(&text_repr(text)),
        Literal::Bytes(bytes) => write_bytes(bytes, out),
        Literal::List(items) => write_items(items, sorted, "[", "]", out),
        Literal::Tuple(items) if items.len() == 1 => write_items(items, sorted, "(", ",)", out),
        Literal::Tuple(items) => write_items(items, sorted, "(", ")", out),
        Literal::Dict(entries) => write_dict(entries, sorted, out),
        Literal::Set(items) if items.is_empty() => out.push_str("set()"),
        Literal::Set(items) => write_items(&in_order(items), sorted, "{", "}", out),
        Literal::FrozenSet(items) if items.is_empty() => out.push_str("frozenset()"),
        Literal::FrozenSet(items) => write_items(&in_order(items), sorted, "frozenset({", "})", out),
    }
}

fn write_items(items: &[Literal], sorted: bool, open: &str, close: &str, out: &mut String) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, sorted, out);
    }
    out.push_str(close);
}

fn write_dict(entries: &[(Literal, Literal)], sorted: bool, out: &mut String) {
    let mut order: Vec<&(Literal, Literal)> = entries.iter().collect();
    if sorted {
        order.sort_by(|left, right| safe_order(&left.0, &right.0));
    }
    out.push('{');
    for (index, (key, value)) in order.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(key, sorted, out);
        out.push_str(": ");
        write(value, sorted, out);
    }
    out.push('}');
}

fn in_order(items: &[Literal]) -> Vec<Literal> {
    let mut items = items.to_vec();
    items.sort_by(safe_order);
    items
}

/// The order of `pprint`: Python's own where it has one, else by the type's name. Types are grouped first, so that
/// the order is total.
pub(crate) fn safe_order(left: &Literal, right: &Literal) -> Ordering {
    fn group(literal: &Literal) -> &'static str {
        match literal {
            Literal::Bool(_) | Literal::Float(_) => "int",
            other => other.type_name(),
        }
    }
    match group(left).cmp(group(right)) {
        Ordering::Equal => left.order(right).unwrap_or_else(|| left.repr().cmp(&right.repr())),
        other => other,
    }
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    out.push('b');
    out.push(char::from(quote));
    for &byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            _ if byte == quote => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(char::from(quote));
}
