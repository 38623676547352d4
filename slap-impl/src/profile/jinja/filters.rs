//! Jinja's filters.

use super::{
    builtins, checks,
    expression::Arguments,
    fault::{Fault, Outcome, type_error},
    format,
    interpreter::Interpreter,
    iterate::Iter,
    json, library, methods, methods_text, operate,
    value::{Dict, Type, Value, View},
};
use minijinja::machinery::ast::BinOpKind;
use std::{cell::RefCell, rc::Rc};

/// Filters that Jinja2 has and this renderer does not.
const REFUSED: &[&str] = &[
    "filesizeformat",
    "forceescape",
    "groupby",
    "pprint",
    "random",
    "slice",
    "striptags",
    "truncate",
    "urlize",
    "wordwrap",
    "xmlattr",
];

/// `value | name(arguments)`.
pub(super) fn filter(
    this: &mut Interpreter<'_>,
    name: &str,
    value: Value,
    arguments: Arguments,
) -> Outcome<Value> {
    match name {
        "default" | "d" => return default(value, arguments),
        "map" => return Ok(lazy(map(this, value, arguments))),
        "select" | "reject" | "selectattr" | "rejectattr" => {
            return Ok(lazy(select(this, name, value, arguments)));
        }
        "unique" => {
            let bound = arguments.bind(name, ["case_sensitive", "attribute"], 0)?;
            return Ok(lazy(unique(this, value, bound)));
        }
        "batch" => return batch(this, value, arguments),
        "items" => {
            let [] = arguments.bind(name, [], 0)?;
            return Ok(lazy(items(value)));
        }
        _ => {}
    }
    value.defined()?;
    match name {
        "join" => join(this, value, arguments),
        "sort" => sort(this, value, arguments),
        "dictsort" => dictsort(value, arguments),
        "min" | "max" => extreme(this, name, value, arguments),
        "sum" => sum(this, value, arguments),
        "int" | "float" => number(name, value, arguments),
        "round" => round(value, arguments),
        "indent" => indent(value, arguments),
        "replace" => {
            let [old, new, count] = arguments.bind(name, ["old", "new", "count"], 2)?;
            let texts = [value, old.unwrap_or(Value::None), new.unwrap_or(Value::None)];
            let [text, old, new] = texts.map(|text| plain(&text));
            methods_text::replace(&text?, &old?, &new?, count.and_then(|count| count.integer()).unwrap_or(-1))
        }
        "trim" => {
            let text = Value::Text(plain(&value)?);
            methods::call(this, &text, "strip", arguments)
        }
        "center" => {
            let [width] = arguments.bind(name, ["width"], 0)?;
            let text = Value::Text(plain(&value)?);
            methods::call(this, &text, name, Arguments::of(vec![width.unwrap_or(Value::Int(80))]))
        }
        "tojson" => {
            let [indent] = arguments.bind(name, ["indent"], 0)?;
            let text = json::dumps(&value, &json::Style { sort_keys: true, ..json::Style::new(indent)? })?;
            let safe = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
            Ok(Value::Markup(safe.replace('\'', "\\u0027").into()))
        }
        "format" => {
            if !arguments.keywords.is_empty() {
                return Err(Fault::unsupported("the filter `format` with keywords"));
            }
            operate::text(format::percent(&plain(&value)?, &Value::tuple(arguments.positional))?)
        }
        "attr" => {
            let [attribute] = arguments.bind(name, ["name"], 1)?;
            let attribute = attribute.unwrap_or(Value::None).to_text()?;
            match this.attribute(&value, &attribute)? {
                // Unlike a dot, this filter sees no items.
                found @ (Value::Method(_) | Value::Undefined(_)) => Ok(found),
                _ => Err(Fault::unsupported("the filter `attr` on this")),
            }
        }
        _ => simple(this, name, value, arguments),
    }
}

/// Filters without arguments.
fn simple(this: &mut Interpreter<'_>, name: &str, value: Value, arguments: Arguments) -> Outcome<Value> {
    if REFUSED.contains(&name) {
        return Err(Fault::unsupported(format!("the filter `{name}`")));
    }
    if name == "reverse" || name == "list" || name == "first" || name == "last" {
        let [] = arguments.bind(name, [], 0)?;
        return sequence(this, name, value);
    }
    let bare = arguments.positional.is_empty() && arguments.keywords.is_empty();
    let result = match name {
        "abs" if matches!(value, Value::Float(_)) => Value::Float(value.number().unwrap_or(0.0).abs()),
        "abs" => match value.integer() {
            Some(number) => operate::integer(number.checked_abs())?,
            None => return Err(type_error(format!("bad operand type for abs(): '{}'", value.type_name()))),
        },
        "length" | "count" => operate::integer(i128::try_from(value.length()?).ok())?,
        "string" if matches!(value, Value::Markup(_)) => value,
        "string" => Value::Text(value.to_text()?),
        "lower" => Value::text(plain(&value)?.to_lowercase()),
        "upper" => Value::text(plain(&value)?.to_uppercase()),
        "capitalize" => Value::text(methods_text::capitalize(&plain(&value)?)),
        "title" => Value::text(title(&plain(&value)?)),
        "wordcount" => {
            let words = plain(&value)?;
            let words =
                words.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            operate::integer(i128::try_from(words.count()).ok())?
        }
        "escape" | "e" => match &value {
            Value::Markup(_) => value,
            other => Value::Markup(escape(&other.to_text()?).into()),
        },
        "safe" => Value::Markup(value.to_text()?),
        "urlencode" => urlencode(this, value)?,
        _ => return Err(Fault::new(format!("No filter named {name:?}."))),
    };
    if bare { Ok(result) } else { Err(type_error(format!("the filter {name} takes no arguments"))) }
}

/// The text of a value; what Jinja would do differently with Markup is refused.
fn plain(value: &Value) -> Outcome<Rc<str>> {
    match value {
        Value::Markup(_) => Err(Fault::unsupported("this filter on Markup (made by tojson, safe or escape)")),
        other => other.to_text(),
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&#34;").replace('\'', "&#39;")
}

/// Jinja's title: words after blanks and `-([{<`.
fn title(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_whitespace() || "-([{<".contains(c) {
            out.push_str(&methods_text::capitalize(&word));
            word.clear();
            out.push(c);
        } else {
            word.push(c);
        }
    }
    out + &methods_text::capitalize(&word)
}

fn sequence(this: &mut Interpreter<'_>, name: &str, value: Value) -> Outcome<Value> {
    if let (Value::Text(text), "reverse") = (&value, name) {
        return Ok(Value::text(text.chars().rev().collect::<String>()));
    }
    if name == "first" {
        let first = value.iterate()?.next();
        return Ok(first.unwrap_or_else(|| Value::Undefined("No first item, sequence was empty.".into())));
    }
    if name != "list" && matches!(value, Value::Set(_) | Value::Iterator(_)) {
        return Err(Fault::unsupported(format!("the filter `{name}` of a {}", value.type_name())));
    }
    let mut items = this.collect(&value)?;
    Ok(match name {
        "list" => Value::list(items),
        "last" => items.pop().unwrap_or_else(|| Value::Undefined("No last item, sequence was empty.".into())),
        _ => {
            items.reverse();
            Value::iterator(items)
        }
    })
}

fn default(value: Value, arguments: Arguments) -> Outcome<Value> {
    let [other, falsy] = arguments.bind("default", ["default_value", "boolean"], 0)?;
    let falsy = falsy.map_or(Ok(false), |falsy| falsy.is_true())?;
    let missing = matches!(value, Value::Undefined(_) | Value::Absent) || (falsy && !value.is_true()?);
    Ok(if missing { other.unwrap_or_else(|| Value::text("")) } else { value })
}

/// The value at a path such as `a.b.0`.
fn dig(this: &mut Interpreter<'_>, item: &Value, path: &Value) -> Outcome<Value> {
    let Value::Text(path) = path else { return this.item(item, path) };
    let mut value = item.clone();
    for part in path.split('.') {
        let index = match part.parse::<i128>() {
            Ok(number) if part.chars().all(|c| c.is_ascii_digit()) => Value::Int(number),
            _ => Value::text(part),
        };
        // Jinja asks for the item first here.
        value = this.item(&value, &index)?;
    }
    Ok(value)
}

fn map(this: &mut Interpreter<'_>, value: Value, mut arguments: Arguments) -> Outcome<Value> {
    let items = this.collect(&value)?;
    let mut results = Vec::with_capacity(items.len());
    if arguments.positional.is_empty() {
        let [attribute, default] = arguments.bind("map", ["attribute", "default"], 1)?;
        let attribute = attribute.unwrap_or(Value::None);
        for item in items {
            let found = dig(this, &item, &attribute)?;
            results.push(match (&found, &default) {
                (Value::Undefined(_), Some(default)) => default.clone(),
                _ => found,
            });
        }
        return Ok(Value::iterator(results));
    }
    let name = arguments.positional.remove(0).to_text()?;
    for item in items {
        let given = arguments.clone();
        results.push(this.deeper(|this| filter(this, &name, item, given))?);
    }
    Ok(Value::iterator(results))
}

fn select(this: &mut Interpreter<'_>, name: &str, value: Value, mut arguments: Arguments) -> Outcome<Value> {
    let path = if name.ends_with("attr") {
        if arguments.positional.is_empty() {
            return Err(type_error(format!("{name} needs an attribute's name")));
        }
        Some(arguments.positional.remove(0))
    } else {
        None
    };
    let test = match arguments.positional.is_empty() {
        true => None,
        false => Some(arguments.positional.remove(0).to_text()?),
    };
    let wanted = name.starts_with("select");
    let mut kept = Vec::new();
    for item in this.collect(&value)? {
        let tested = match &path {
            Some(path) => dig(this, &item, path)?,
            None => item.clone(),
        };
        let holds = match &test {
            None => tested.is_true()?,
            Some(test) => {
                let given = arguments.clone();
                checks::check(this, test, tested, given)?
            }
        };
        if holds == wanted {
            kept.push(item);
        }
    }
    Ok(Value::iterator(kept))
}

fn join(this: &mut Interpreter<'_>, value: Value, arguments: Arguments) -> Outcome<Value> {
    let [separator, attribute] = arguments.bind("join", ["d", "attribute"], 0)?;
    let separator = separator.map_or(Ok("".into()), |separator| plain(&separator))?;
    let mut out = String::new();
    for (index, item) in this.collect(&value)?.into_iter().enumerate() {
        let item = match &attribute {
            Some(attribute) => dig(this, &item, attribute)?,
            None => item,
        };
        if index > 0 {
            out.push_str(&separator);
        }
        out.push_str(&plain(&item)?);
        if out.len() > super::value::TEXT_BYTES_MAX {
            break;
        }
    }
    operate::text(out)
}

/// What Jinja sorts and compares by: a text without regard to case, unless asked otherwise.
fn fold(value: Value, case_sensitive: bool) -> Value {
    match value {
        Value::Text(text) if !case_sensitive => Value::text(text.to_lowercase()),
        other => other,
    }
}

fn truth(value: Option<Value>) -> Outcome<bool> {
    value.map_or(Ok(false), |value| value.is_true())
}

fn sort(this: &mut Interpreter<'_>, value: Value, arguments: Arguments) -> Outcome<Value> {
    let [reverse, case, attribute] = arguments.bind("sort", ["reverse", "case_sensitive", "attribute"], 0)?;
    let (reverse, case) = (truth(reverse)?, truth(case)?);
    let paths: Vec<Value> = match &attribute {
        None | Some(Value::None) => Vec::new(),
        Some(Value::Text(paths)) => paths.split(',').map(Value::text).collect(),
        Some(other) => vec![other.clone()],
    };
    let mut weighted = Vec::new();
    for item in this.collect(&value)? {
        let mut weights = Vec::new();
        for path in &paths {
            weights.push(fold(dig(this, &item, path)?, case));
        }
        let weight = match paths.is_empty() {
            true => fold(item.clone(), case),
            false => Value::list(weights),
        };
        weighted.push((weight, item));
    }
    Ok(Value::list(builtins::sort_weighted(weighted, reverse)?))
}

fn dictsort(value: Value, arguments: Arguments) -> Outcome<Value> {
    let [case, by, reverse] = arguments.bind("dictsort", ["case_sensitive", "by", "reverse"], 0)?;
    let (case, reverse) = (truth(case)?, truth(reverse)?);
    let by = by.map_or(Ok("key".into()), |by| by.to_text())?;
    let Value::Dict(dict) = &value else {
        return Err(type_error(format!("'{}' object has no attribute 'items'", value.type_name())));
    };
    let mut weighted = Vec::new();
    for (key, value) in dict.borrow().values() {
        let weight = match &*by {
            "key" => key.clone(),
            "value" => value.clone(),
            _ => return Err(Fault::new("You can only sort by either \"key\" or \"value\"")),
        };
        weighted.push((fold(weight, case), Value::tuple(vec![key.clone(), value.clone()])));
    }
    Ok(Value::list(builtins::sort_weighted(weighted, reverse)?))
}

/// What Jinja2 evaluates when an item is asked for. Here it is evaluated at once, and only its failure waits.
fn lazy(result: Outcome<Value>) -> Value {
    result.unwrap_or_else(|fault| Value::Iterator(Rc::new(RefCell::new(Iter::Failed(fault)))))
}

fn items(value: Value) -> Outcome<Value> {
    match &value {
        Value::Undefined(_) | Value::Absent => Ok(Value::iterator(Vec::new())),
        Value::Dict(dict) => Ok(Value::iterator(super::iterate::view(View::Items, &dict.borrow()))),
        _ => Err(type_error("Can only get item pairs from a mapping.")),
    }
}

fn unique(this: &mut Interpreter<'_>, value: Value, [case, attribute]: [Option<Value>; 2]) -> Outcome<Value> {
    let case = truth(case)?;
    let mut seen = Dict::new();
    let mut kept = Vec::new();
    for item in this.collect(&value)? {
        let weight = match &attribute {
            Some(attribute) => dig(this, &item, attribute)?,
            None => item.clone(),
        };
        let key = fold(weight, case);
        if seen.insert(key.key()?, (key, Value::None)).is_none() {
            kept.push(item);
        }
    }
    Ok(Value::iterator(kept))
}

fn extreme(this: &mut Interpreter<'_>, name: &str, value: Value, arguments: Arguments) -> Outcome<Value> {
    let [case, attribute] = arguments.bind(name, ["case_sensitive", "attribute"], 0)?;
    let case = truth(case)?;
    let mut best: Option<(Value, Value)> = None;
    for item in this.collect(&value)? {
        let weight = match &attribute {
            Some(attribute) => dig(this, &item, attribute)?,
            None => item.clone(),
        };
        let weight = fold(weight, case);
        let better = match &best {
            None => true,
            Some((other, _)) if name == "max" => weight.compare(other, ">")?.is_gt(),
            Some((other, _)) => weight.compare(other, "<")?.is_lt(),
        };
        if better {
            best = Some((weight, item));
        }
    }
    Ok(best.map_or_else(|| Value::Undefined("No aggregated item, sequence was empty.".into()), |best| best.1))
}

fn sum(this: &mut Interpreter<'_>, value: Value, arguments: Arguments) -> Outcome<Value> {
    let [attribute, start] = arguments.bind("sum", ["attribute", "start"], 0)?;
    let mut total = start.unwrap_or(Value::Int(0));
    for item in this.collect(&value)? {
        let item = match &attribute {
            Some(attribute) if !matches!(attribute, Value::None) => dig(this, &item, attribute)?,
            _ => item,
        };
        total = operate::binary(BinOpKind::Add, &total, &item)?;
    }
    Ok(total)
}

fn batch(this: &mut Interpreter<'_>, value: Value, arguments: Arguments) -> Outcome<Value> {
    let [count, fill] = arguments.bind("batch", ["linecount", "fill_with"], 1)?;
    let count = count.and_then(|count| count.integer()).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| (1..=10_000).contains(count));
    let count = count.ok_or_else(|| Fault::unsupported("the filter `batch` with this size"))?;
    let items = match this.collect(&value) {
        Ok(items) => items,
        Err(fault) => return Ok(lazy(Err(fault))),
    };
    let rows = items.chunks(count).map(|row| {
        let mut row = row.to_vec();
        if let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None)) {
            row.resize(count, fill.clone());
        }
        Value::list(row)
    });
    Ok(Value::iterator(rows.collect()))
}

fn number(name: &str, value: Value, arguments: Arguments) -> Outcome<Value> {
    let default_number = if name == "int" { Value::Int(0) } else { Value::Float(0.0) };
    let [default, base] = arguments.bind(name, ["default", "base"], 0)?;
    let default = default.unwrap_or(default_number);
    let base = match base {
        None => 10,
        Some(base) => base
            .integer()
            .and_then(|base| u32::try_from(base).ok())
            .filter(|base| (2..=36).contains(base))
            .ok_or_else(|| Fault::unsupported("the filter `int` with this base"))?,
    };
    Ok(match (&value, name) {
        (Value::Text(text), "float") => builtins::parse_float(text).map_or(default, Value::Float),
        (Value::Text(text), _) => match builtins::parse_integer(text, base) {
            Some(number) => Value::Int(number),
            // "3.7" is 3.
            None => match builtins::parse_float(text).filter(|number| number.is_finite()) {
                Some(number) => Value::Int(number.trunc() as i128),
                None => default,
            },
        },
        (other, "float") => other.number().map_or(default, Value::Float),
        (Value::Float(number), _) if number.is_finite() => Value::Int(number.trunc() as i128),
        (other, _) => other.integer().map_or(default, Value::Int),
    })
}

fn round(value: Value, arguments: Arguments) -> Outcome<Value> {
    let [precision, method] = arguments.bind("round", ["precision", "method"], 0)?;
    let precision = precision.map_or(Some(0), |precision| precision.integer());
    let precision =
        precision.and_then(|precision| usize::try_from(precision).ok()).filter(|digits| *digits <= 20);
    let precision = precision.ok_or_else(|| Fault::unsupported("the filter `round` with this precision"))?;
    let method = method.map_or(Ok("common".into()), |method| method.to_text())?;
    let number = value
        .number()
        .ok_or_else(|| type_error(format!("type {} doesn't define __round__ method", value.type_name())))?;
    if value.integer().is_some() && &*method == "common" {
        return Ok(value);
    }
    let scale = 10f64.powi(i32::try_from(precision).unwrap_or(0));
    Ok(Value::Float(match &*method {
        "common" => format!("{number:.precision$}").parse().unwrap_or(number),
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        _ => return Err(Fault::new("method must be common, ceil or floor")),
    }))
}

fn indent(value: Value, arguments: Arguments) -> Outcome<Value> {
    let [width, first, blank] = arguments.bind("indent", ["width", "first", "blank"], 0)?;
    let prefix: Rc<str> = match width {
        None => "    ".into(),
        Some(Value::Text(prefix)) => prefix,
        Some(width) => {
            let width = width.integer().and_then(|width| usize::try_from(width).ok());
            let width = width.filter(|width| *width <= 10_000);
            " ".repeat(width.ok_or_else(|| Fault::unsupported("this width"))?).into()
        }
    };
    let (first, blank) = (truth(first)?, truth(blank)?);
    let markup = matches!(value, Value::Markup(_));
    let text = format!("{}\n", value.to_text()?);
    let mut out = String::new();
    for (index, line) in methods_text::lines(&text, false).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if (index > 0 || first) && (blank || !line.is_empty() || index == 0) {
            out.push_str(&prefix);
        }
        out.push_str(&line);
    }
    if markup {
        return Ok(Value::Markup(out.into()));
    }
    operate::text(out)
}

fn urlencode(this: &mut Interpreter<'_>, value: Value) -> Outcome<Value> {
    let pairs = match &value {
        Value::Dict(dict) => super::iterate::view(View::Items, &dict.borrow()),
        Value::Text(text) => return Ok(Value::text(library::quote(text, "/"))),
        other if other.type_of() == Some(Type::List) || other.type_of() == Some(Type::Tuple) => {
            this.collect(other)?
        }
        other => return Ok(Value::text(library::quote(&plain(other)?, "/"))),
    };
    let mut parts = Vec::new();
    for pair in pairs {
        let pair = this.collect(&pair)?;
        let [key, value] =
            <[Value; 2]>::try_from(pair).map_err(|_| type_error("not a pair to url-encode"))?;
        let encode = |value: &Value| plain(value).map(|text| library::quote(&text, "").replace("%20", "+"));
        parts.push(format!("{}={}", encode(&key)?, encode(&value)?));
    }
    operate::text(parts.join("&"))
}
