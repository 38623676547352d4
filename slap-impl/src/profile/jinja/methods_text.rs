//! Methods of Python's `str`.

use super::{
    expression::Arguments,
    fault::{Fault, Outcome, type_error, value_error},
    format,
    interpreter::Interpreter,
    methods, operate,
    value::{TEXT_BYTES_MAX, Value},
};
use std::rc::Rc;

/// What works.
pub(super) const SUPPORTED: &[&str] = &[
    "capitalize",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isdigit",
    "isidentifier",
    "islower",
    "isspace",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
    "__mod__",
    "__getitem__",
    "__contains__",
    "__len__",
];

/// What Python has besides.
pub(super) const REFUSED: &[&str] = &[
    "casefold",
    "format_map",
    "isascii",
    "isdecimal",
    "isnumeric",
    "isprintable",
    "istitle",
    "maketrans",
    "rindex",
    "translate",
];

/// Calls a method of a text.
pub(super) fn call(
    this: &mut Interpreter<'_>,
    text: &Rc<str>,
    name: &str,
    arguments: Arguments,
) -> Outcome<Value> {
    match name {
        "format" => return operate::text(format::braces(text, &arguments.positional, &arguments.keywords)?),
        "__mod__" => return operate::text(format::percent(text, &methods::one(arguments, name)?)?),
        "encode" => {
            let [encoding, errors] = arguments.bind(name, ["encoding", "errors"], 0)?;
            if errors.is_some() {
                return Err(Fault::unsupported("encode() with errors"));
            }
            return methods::encode(text, &encoding.map_or(Ok("utf-8".into()), |value| value.to_text())?);
        }
        "join" => return join(this, text, &methods::one(arguments, name)?),
        "split" | "rsplit" => return split(text, name, arguments),
        "splitlines" => {
            let [keep] = arguments.bind(name, ["keepends"], 0)?;
            let keep = keep.map_or(Ok(false), |keep| keep.is_true())?;
            return Ok(Value::list(lines(text, keep).map(Value::text).collect()));
        }
        "startswith" | "endswith" => return affix(text, name, arguments),
        "strip" | "lstrip" | "rstrip" => return strip(text, name, arguments),
        "replace" => {
            let [old, new, count] = arguments.bind(name, ["old", "new", "count"], 2)?;
            let (old, new) = (string(old)?, string(new)?);
            return replace(text, &old, &new, count.and_then(|count| count.integer()).unwrap_or(-1));
        }
        "find" | "rfind" | "index" | "count" => return search(text, name, arguments),
        "partition" | "rpartition" => return partition(text, name, arguments),
        "removeprefix" | "removesuffix" => {
            let part = string(Some(methods::one(arguments, name)?))?;
            let rest =
                if name == "removeprefix" { text.strip_prefix(&*part) } else { text.strip_suffix(&*part) };
            return Ok(rest.map_or_else(|| Value::Text(text.clone()), Value::text));
        }
        "center" | "ljust" | "rjust" | "zfill" => return justify(text, name, arguments),
        "expandtabs" => return expand_tabs(text, arguments),
        _ => {}
    }
    let [] = arguments.bind(name, [], 0)?;
    Ok(match name {
        "lower" => Value::text(text.to_lowercase()),
        "upper" => Value::text(text.to_uppercase()),
        "capitalize" => Value::text(capitalize(text)),
        "title" => Value::text(title(text)),
        "swapcase" => Value::text(
            text.chars()
                .map(|c| {
                    if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() }
                })
                .collect::<String>(),
        ),
        "isalnum" => every(text, char::is_alphanumeric),
        "isalpha" => every(text, char::is_alphabetic),
        "isdigit" => every(text, |c| c.is_ascii_digit()),
        "isspace" => every(text, char::is_whitespace),
        "islower" => cased(text, char::is_lowercase, char::is_uppercase),
        "isupper" => cased(text, char::is_uppercase, char::is_lowercase),
        "isidentifier" => Value::Bool(
            text.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        _ => return Err(Fault::unsupported(format!("str.{name}"))),
    })
}

fn string(value: Option<Value>) -> Outcome<Rc<str>> {
    match value {
        Some(Value::Text(text)) => Ok(text),
        Some(other) => {
            other.defined()?;
            Err(type_error(format!("must be str, not {}", other.type_name())))
        }
        None => Err(type_error("must be str")),
    }
}

fn every(text: &str, holds: fn(char) -> bool) -> Value {
    Value::Bool(!text.is_empty() && text.chars().all(holds))
}

fn cased(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> Value {
    Value::Bool(text.chars().any(wanted) && !text.chars().any(other))
}

/// First letter in upper case, the rest in lower case.
pub(super) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().collect::<String>() + &characters.as_str().to_lowercase(),
        None => String::new(),
    }
}

fn title(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

fn join(this: &mut Interpreter<'_>, separator: &str, items: &Value) -> Outcome<Value> {
    let mut out = String::new();
    for (index, item) in this.collect(items)?.into_iter().enumerate() {
        item.defined()?;
        let Value::Text(part) = &item else {
            return Err(type_error(format!(
                "sequence item {index}: expected str instance, {} found",
                item.type_name()
            )));
        };
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(part);
        if out.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    operate::text(out)
}

fn split(text: &str, name: &str, arguments: Arguments) -> Outcome<Value> {
    let [separator, limit] = arguments.bind(name, ["sep", "maxsplit"], 0)?;
    let limit = limit.map_or(Some(-1), |limit| limit.integer());
    let limit = limit.ok_or_else(|| type_error("maxsplit must be an integer"))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX - 1);
    let reverse = name == "rsplit";
    let parts: Vec<String> = match separator {
        None | Some(Value::None) => words(text, limit, reverse),
        separator => {
            let separator = string(separator)?;
            if separator.is_empty() {
                return Err(value_error("empty separator"));
            }
            let mut parts: Vec<String> = if reverse {
                text.rsplitn(limit + 1, &*separator).map(str::to_owned).collect()
            } else {
                text.splitn(limit + 1, &*separator).map(str::to_owned).collect()
            };
            if reverse {
                parts.reverse();
            }
            parts
        }
    };
    Ok(Value::list(parts.into_iter().map(Value::text).collect()))
}

/// Words between white space; after `limit` of them the rest is one word.
fn words(text: &str, limit: usize, reverse: bool) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = if reverse { text.trim_end() } else { text.trim_start() };
    while !rest.is_empty() {
        let cut = if reverse { rest.rfind(char::is_whitespace) } else { rest.find(char::is_whitespace) };
        match cut {
            Some(at) if parts.len() < limit => {
                let (left, right) = rest.split_at(at);
                if reverse {
                    parts.push(right.trim_start().to_owned());
                    rest = left.trim_end();
                } else {
                    parts.push(left.to_owned());
                    rest = right.trim_start();
                }
            }
            _ => {
                parts.push(rest.to_owned());
                break;
            }
        }
    }
    if reverse {
        parts.reverse();
    }
    parts
}

/// Lines as Python's `splitlines` sees them.
pub(super) fn lines(text: &str, keep: bool) -> impl Iterator<Item = String> + '_ {
    let is_end = |c: char| {
        matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(at) = rest.find(is_end) else {
            return Some(std::mem::take(&mut rest).to_owned());
        };
        let end = rest[at..].chars().next().map_or(0, char::len_utf8);
        let end = if rest[at..].starts_with("\r\n") { 2 } else { end };
        let line = &rest[..if keep { at + end } else { at }];
        rest = &rest[at + end..];
        Some(line.to_owned())
    })
}

fn affix(text: &str, name: &str, arguments: Arguments) -> Outcome<Value> {
    if arguments.positional.len() > 1 {
        return Err(Fault::unsupported(format!("{name}() with a range")));
    }
    let parts = match methods::one(arguments, name)? {
        Value::Tuple(parts) => parts.to_vec(),
        part => vec![part],
    };
    for part in parts {
        let part = string(Some(part))?;
        if if name == "startswith" { text.starts_with(&*part) } else { text.ends_with(&*part) } {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn strip(text: &str, name: &str, arguments: Arguments) -> Outcome<Value> {
    let [characters] = arguments.bind(name, ["chars"], 0)?;
    let set = match characters {
        None | Some(Value::None) => None,
        characters => Some(string(characters)?),
    };
    let matches = |c: char| match &set {
        Some(set) => set.contains(c),
        // The separators of files to units are white space in Python, not in Unicode.
        None => c.is_whitespace() || ('\x1c'..='\x1f').contains(&c),
    };
    let text = if name == "rstrip" { text } else { text.trim_start_matches(matches) };
    let text = if name == "lstrip" { text } else { text.trim_end_matches(matches) };
    Ok(Value::text(text))
}

/// Python's `replace`; a negative count is all.
pub(super) fn replace(text: &str, old: &str, new: &str, count: i128) -> Outcome<Value> {
    let found = text.matches(old).count();
    let times = usize::try_from(count).map_or(found, |count| count.min(found));
    if text.len().saturating_add(times.saturating_mul(new.len())) > TEXT_BYTES_MAX {
        return Err(Fault::new(format!("a text is longer than {TEXT_BYTES_MAX} bytes")));
    }
    operate::text(text.replacen(old, new, times))
}

fn search(text: &str, name: &str, arguments: Arguments) -> Outcome<Value> {
    let [part, start, end] = arguments.bind(name, ["sub", "start", "end"], 1)?;
    if start.is_some() || end.is_some() {
        return Err(Fault::unsupported(format!("{name}() with a range")));
    }
    let part = string(part)?;
    if name == "count" {
        return Ok(Value::Int(i128::try_from(text.matches(&*part).count()).unwrap_or(i128::MAX)));
    }
    let at = if name == "rfind" { text.rfind(&*part) } else { text.find(&*part) };
    match at {
        Some(at) => Ok(Value::Int(i128::try_from(text[..at].chars().count()).unwrap_or(i128::MAX))),
        None if name == "index" => Err(value_error("substring not found")),
        None => Ok(Value::Int(-1)),
    }
}

fn partition(text: &str, name: &str, arguments: Arguments) -> Outcome<Value> {
    let separator = string(Some(methods::one(arguments, name)?))?;
    if separator.is_empty() {
        return Err(value_error("empty separator"));
    }
    let reverse = name == "rpartition";
    let found = if reverse { text.rsplit_once(&*separator) } else { text.split_once(&*separator) };
    let parts = match found {
        Some((before, after)) => [before, &*separator, after],
        None if reverse => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::tuple(parts.into_iter().map(Value::text).collect()))
}

fn justify(text: &str, name: &str, arguments: Arguments) -> Outcome<Value> {
    let [width, fill] = arguments.bind(name, ["width", "fillchar"], 1)?;
    let width = width.and_then(|width| width.integer()).ok_or_else(|| type_error("a width is an integer"))?;
    let width = usize::try_from(width).unwrap_or(0);
    if width > TEXT_BYTES_MAX {
        return Err(Fault::new(format!("a text is longer than {TEXT_BYTES_MAX} bytes")));
    }
    let fill = fill.map_or(Ok(" ".into()), |fill| string(Some(fill)))?;
    if fill.chars().count() != 1 {
        return Err(type_error("The fill character must be exactly one character long"));
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = |count: usize| fill.repeat(count);
    operate::text(match name {
        "ljust" => format!("{text}{}", fill(missing)),
        "rjust" => format!("{}{text}", fill(missing)),
        "zfill" => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        _ => {
            // Python puts the odd blank to the left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", fill(left), fill(missing - left))
        }
    })
}

fn expand_tabs(text: &str, arguments: Arguments) -> Outcome<Value> {
    let [size] = arguments.bind("expandtabs", ["tabsize"], 0)?;
    let size = size.map_or(Some(8), |size| size.integer()).and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size <= 64).ok_or_else(|| Fault::unsupported("this size of tabs"))?;
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size == 0 => {}
            '\t' => {
                let blanks = size - column % size;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            other => {
                out.push(other);
                column += 1;
            }
        }
    }
    operate::text(out)
}
