//! Writing: Python's `repr`.

use super::Literal;
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

/// Python's `repr` of a string: quotes as it chooses them, what cannot be printed escaped.
pub fn text_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            _ if printable(c) => out.push(c),
            _ => {
                let code = c as u32;
                out.push_str(&match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
        }
    }
    out.push(quote);
    out
}

/// Python's `str.isprintable` beyond ASCII. The standard library knows the same categories in its `escape_debug`, which
/// escapes combining characters too, but only where no character stands before them.
fn printable(c: char) -> bool {
    if c.is_control() {
        return false;
    }
    let text: String = ['a', c].iter().collect();
    text.escape_debug().count() == 2
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

/// Python's `repr` of a float: the fewest digits that read back the same; an exponent below 1e-4 and from 1e16 on.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the format writes a number");
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
