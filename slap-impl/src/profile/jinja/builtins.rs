//! Python's builtins that slapos.recipe.template:jinja2 puts into every context, and Jinja's own globals.

use super::{
    expression::Arguments,
    fault::{Fault, Outcome, type_error, value_error},
    format,
    interpreter::{Interpreter, Scope},
    iterate::Iter,
    operate,
    value::{Dict, Function, Type, Value},
};
use crate::profile::literal::{self, Literal};
use indexmap::IndexMap;
use minijinja::machinery::ast::BinOpKind;
use std::{cell::RefCell, rc::Rc};

/// How a function is called.
pub(super) type Call = for<'a, 't> fn(&'a mut Interpreter<'t>, Arguments) -> Outcome<Value>;

const FUNCTIONS: &[Function] = &[
    Function { name: "abs", call: absolute },
    Function { name: "all", call: all },
    Function { name: "any", call: any },
    Function { name: "assert", call: assert },
    Function { name: "bin", call: |i, a| radix(i, a, "bin", "#b") },
    Function { name: "callable", call: callable },
    Function { name: "chr", call: character },
    Function { name: "divmod", call: divide_modulo },
    Function { name: "dumps", call: dumps },
    Function { name: "enumerate", call: enumerate },
    Function { name: "filter", call: filter },
    Function { name: "format", call: formatted },
    Function { name: "hex", call: |i, a| radix(i, a, "hex", "#x") },
    Function { name: "isinstance", call: is_instance },
    Function { name: "iter", call: iterator },
    Function { name: "len", call: length },
    Function { name: "map", call: map },
    Function { name: "max", call: |i, a| extreme(i, a, "max") },
    Function { name: "min", call: |i, a| extreme(i, a, "min") },
    Function { name: "next", call: next },
    Function { name: "oct", call: |i, a| radix(i, a, "oct", "#o") },
    Function { name: "ord", call: ordinal },
    Function { name: "pow", call: power },
    Function { name: "repr", call: representation },
    Function { name: "reversed", call: reversed },
    Function { name: "round", call: round },
    Function { name: "sorted", call: sorted },
    Function { name: "sum", call: sum },
    Function { name: "zip", call: zip },
    Function { name: "complex", call: |_, _| Err(Fault::unsupported("complex()")) },
];

/// Fills the scopes that every template sees: Jinja's globals, and the recipe's default context.
pub(super) fn install(globals: &Scope, context: &Scope) {
    globals.set("range", Value::Type(Type::Range));
    globals.set("dict", Value::Type(Type::Dict));
    globals.set("namespace", Value::Function(Function { name: "namespace", call: namespace }));
    for (name, call) in [
        ("lipsum", (|_, _| Err(Fault::unsupported("lipsum()"))) as Call),
        ("cycler", |_, _| Err(Fault::unsupported("cycler()"))),
        ("joiner", |_, _| Err(Fault::unsupported("joiner()"))),
    ] {
        globals.set(name, Value::Function(Function { name, call }));
    }
    for function in FUNCTIONS {
        context.set(function.name, Value::Function(*function));
    }
    for kind in [
        Type::Bool,
        Type::Int,
        Type::Float,
        Type::Text,
        Type::Bytes,
        Type::List,
        Type::Tuple,
        Type::Dict,
        Type::Set,
        Type::FrozenSet,
        Type::Range,
    ] {
        context.set(kind.name(), Value::Type(kind));
    }
    context.set("six", Value::Library("six"));
}

/// Puts an entry into a dictionary; a key that is there keeps its place and its first form.
pub(super) fn insert(dict: &mut Dict, key: Value, value: Value) -> Outcome<()> {
    match dict.entry(key.key()?) {
        indexmap::map::Entry::Occupied(mut entry) => entry.get_mut().1 = value,
        indexmap::map::Entry::Vacant(entry) => {
            entry.insert((key, value));
        }
    }
    Ok(())
}

/// Adds a mapping's or pairs' entries, then keywords, as `dict()` and `dict.update()` do.
pub(super) fn merge(
    this: &mut Interpreter<'_>,
    dict: &mut Dict,
    source: Option<Value>,
    keywords: Vec<(Rc<str>, Value)>,
) -> Outcome<()> {
    match source {
        None => {}
        Some(Value::Dict(other)) => {
            for (key, value) in other.borrow().values() {
                insert(dict, key.clone(), value.clone())?;
            }
        }
        Some(other) => {
            for pair in this.collect(&other)? {
                let pair = this.collect(&pair)?;
                let [key, value] = <[Value; 2]>::try_from(pair).map_err(|pair| {
                    value_error(format!(
                        "dictionary update sequence element has length {}; 2 is required",
                        pair.len()
                    ))
                })?;
                insert(dict, key, value)?;
            }
        }
    }
    for (key, value) in keywords {
        insert(dict, Value::Text(key), value)?;
    }
    Ok(())
}

/// Calls a type: `str(x)`, `dict(a=1)` and their kin.
pub(super) fn construct(this: &mut Interpreter<'_>, kind: Type, mut arguments: Arguments) -> Outcome<Value> {
    if kind == Type::Dict {
        if arguments.positional.len() > 1 {
            return Err(type_error("dict expected at most 1 argument"));
        }
        let mut dict = Dict::new();
        merge(this, &mut dict, arguments.positional.pop(), arguments.keywords)?;
        return Ok(Value::dict(dict));
    }
    if kind == Type::Range {
        return range(arguments);
    }
    let [value, extra] =
        arguments.bind(kind.name(), ["object", if kind == Type::Int { "base" } else { "encoding" }], 0)?;
    if let Some(value) = &value {
        value.defined()?;
    }
    if extra.is_some() && !matches!(kind, Type::Int | Type::Bytes | Type::Text) {
        return Err(type_error(format!("{} expected at most 1 argument, got 2", kind.name())));
    }
    let items = |this: &mut Interpreter<'_>, value: &Option<Value>| match value {
        Some(value) => this.collect(value),
        None => Ok(Vec::new()),
    };
    Ok(match kind {
        Type::Bool => Value::Bool(value.map_or(Ok(false), |value| value.is_true())?),
        Type::Int => integer(value, extra)?,
        Type::Float => float(value)?,
        Type::Text => match (value, extra) {
            (None, None) => Value::text(""),
            (Some(value), None) => Value::Text(value.to_text()?),
            _ => return Err(Fault::unsupported("str() with an encoding")),
        },
        Type::Bytes => match (value, extra) {
            (None, None) => Value::Bytes([].into()),
            (Some(Value::Bytes(bytes)), None) => Value::Bytes(bytes),
            (Some(Value::Text(text)), Some(encoding)) => super::methods::encode(&text, &encoding.to_text()?)?,
            _ => return Err(Fault::unsupported("bytes() of this")),
        },
        Type::List => Value::list(items(this, &value)?),
        Type::Tuple => Value::tuple(items(this, &value)?),
        Type::Set | Type::FrozenSet => Value::set(kind == Type::FrozenSet, items(this, &value)?)?,
        Type::Dict | Type::Range => return Err(Fault::new("handled above")),
    })
}

fn integer(value: Option<Value>, base: Option<Value>) -> Outcome<Value> {
    let Some(value) = value else { return Ok(Value::Int(0)) };
    let base = match base {
        None => 10,
        Some(base) => {
            let base = base.integer().and_then(|base| u32::try_from(base).ok());
            base.filter(|base| (2..=36).contains(base))
                .ok_or_else(|| Fault::unsupported("int() with this base"))?
        }
    };
    match &value {
        Value::Text(text) => parse_integer(text, base).map(Value::Int).ok_or_else(|| {
            value_error(format!("invalid literal for int() with base {base}: {}", literal::text_repr(text)))
        }),
        Value::Float(number) if number.is_finite() => Ok(Value::Int(number.trunc() as i128)),
        Value::Float(_) => Err(Fault::new("OverflowError: cannot convert float infinity to integer")),
        other => other.integer().map(Value::Int).ok_or_else(|| {
            type_error(format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                other.type_name()
            ))
        }),
    }
}

/// The integer that Python's `int` reads from a text.
pub(super) fn parse_integer(text: &str, base: u32) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let digits = match base {
        16 => lower.strip_prefix("0x").unwrap_or(&lower),
        8 => lower.strip_prefix("0o").unwrap_or(&lower),
        2 => lower.strip_prefix("0b").unwrap_or(&lower),
        _ => &lower,
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric())
        || digits.contains("__")
        || digits.ends_with('_')
    {
        return None;
    }
    let digits = digits.replace('_', "");
    i128::from_str_radix(&if negative { format!("-{digits}") } else { digits }, base).ok()
}

fn float(value: Option<Value>) -> Outcome<Value> {
    let Some(value) = value else { return Ok(Value::Float(0.0)) };
    match &value {
        Value::Text(text) => parse_float(text).map(Value::Float).ok_or_else(|| {
            value_error(format!("could not convert string to float: {}", literal::text_repr(text)))
        }),
        other => other.number().map(Value::Float).ok_or_else(|| {
            type_error(format!(
                "float() argument must be a string or a real number, not '{}'",
                other.type_name()
            ))
        }),
    }
}

/// The float that Python's `float` reads from a text.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn range(arguments: Arguments) -> Outcome<Value> {
    let numbers = arguments.positional.iter().map(|value| {
        value.integer().ok_or_else(|| {
            type_error(format!("'{}' object cannot be interpreted as an integer", value.type_name()))
        })
    });
    let numbers = numbers.collect::<Outcome<Vec<i128>>>()?;
    Ok(match numbers[..] {
        [stop] => Value::Range(0, stop, 1),
        [start, stop] => Value::Range(start, stop, 1),
        [_, _, 0] => return Err(value_error("range() arg 3 must not be zero")),
        [start, stop, step] => Value::Range(start, stop, step),
        _ => return Err(type_error("range expected 1 to 3 arguments")),
    })
}

fn one(arguments: Arguments, function: &str) -> Outcome<Value> {
    let [value] = arguments.bind(function, ["object"], 1)?;
    let value = value.unwrap_or(Value::None);
    value.defined()?;
    Ok(value)
}

fn absolute(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let value = one(arguments, "abs")?;
    match (&value, value.integer()) {
        (Value::Float(number), _) => Ok(Value::Float(number.abs())),
        (_, Some(number)) => operate::integer(number.checked_abs()),
        _ => Err(type_error(format!("bad operand type for abs(): '{}'", value.type_name()))),
    }
}

fn all(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    for item in this.collect(&one(arguments, "all")?)? {
        if !item.is_true()? {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn any(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    for item in this.collect(&one(arguments, "any")?)? {
        if item.is_true()? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn assert(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let mut given = arguments.positional.into_iter();
    let condition = given.next().ok_or_else(|| type_error("_assert() missing argument 'x'"))?;
    if condition.is_true()? {
        return Ok(Value::text(""));
    }
    let words: Vec<String> =
        given.map(|value| value.to_text().map(|text| text.to_string())).collect::<Outcome<_>>()?;
    Err(Fault::new(format!("AssertionError: {}", words.join(", "))))
}

fn radix(_: &mut Interpreter<'_>, arguments: Arguments, name: &str, specification: &str) -> Outcome<Value> {
    let value = one(arguments, name)?;
    match value.integer() {
        Some(number) => Ok(Value::text(format::specified(&Value::Int(number), specification)?)),
        None => {
            Err(type_error(format!("'{}' object cannot be interpreted as an integer", value.type_name())))
        }
    }
}

fn callable(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [value] = arguments.bind("callable", ["object"], 1)?;
    Ok(Value::Bool(is_callable(&value.unwrap_or(Value::None))))
}

pub(super) fn is_callable(value: &Value) -> bool {
    matches!(
        value,
        Value::Type(_)
            | Value::Function(_)
            | Value::Method(_)
            | Value::Partial(_)
            | Value::Macro(_)
            | Value::Loop(_)
            // A call is one of the uses that it answers with an error.
            | Value::Undefined(_)
            | Value::Absent
    )
}

fn character(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let code = one(arguments, "chr")?.integer().and_then(|code| u32::try_from(code).ok());
    let c = code.and_then(char::from_u32).ok_or_else(|| value_error("chr() arg not in range(0x110000)"))?;
    Ok(Value::text(c.to_string()))
}

fn ordinal(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let value = one(arguments, "ord")?;
    if let Value::Text(text) = &value {
        let mut characters = text.chars();
        if let (Some(c), None) = (characters.next(), characters.next()) {
            return Ok(Value::Int(i128::from(u32::from(c))));
        }
    }
    Err(type_error("ord() expected a character"))
}

fn divide_modulo(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [left, right] = arguments.bind("divmod", ["x", "y"], 2)?;
    let (left, right) = (left.unwrap_or(Value::None), right.unwrap_or(Value::None));
    Ok(Value::tuple(vec![
        operate::binary(BinOpKind::FloorDiv, &left, &right)?,
        operate::binary(BinOpKind::Rem, &left, &right)?,
    ]))
}

fn power(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [base, exponent] = arguments.bind("pow", ["base", "exp"], 2)?;
    operate::binary(BinOpKind::Pow, &base.unwrap_or(Value::None), &exponent.unwrap_or(Value::None))
}

/// The fork's `dumps`: the value as the text of a typed option. A string stays typed too.
fn dumps(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [value] = arguments.bind("dumps", ["object"], 1)?;
    let literal: Literal = value.unwrap_or(Value::None).to_literal()?;
    operate::text(literal.dump())
}

fn enumerate(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [items, start] = arguments.bind("enumerate", ["iterable", "start"], 1)?;
    let items = this.collect(&items.unwrap_or(Value::None))?;
    let start = start.map_or(Some(0), |start| start.integer());
    let start = start.ok_or_else(|| type_error("enumerate() needs an integer to start with"))?;
    let numbered = (start..).zip(items).map(|(number, item)| Value::tuple(vec![Value::Int(number), item]));
    Ok(Value::iterator(numbered.collect()))
}

fn filter(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [function, items] = arguments.bind("filter", ["function", "iterable"], 2)?;
    let function = function.unwrap_or(Value::None);
    let mut kept = Vec::new();
    for item in this.collect(&items.unwrap_or(Value::None))? {
        let keep = match &function {
            Value::None => item.is_true()?,
            function => this.call(function, Arguments::of(vec![item.clone()]))?.is_true()?,
        };
        if keep {
            kept.push(item);
        }
    }
    Ok(Value::iterator(kept))
}

fn formatted(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [value, specification] = arguments.bind("format", ["value", "format_spec"], 1)?;
    let specification = specification.map_or(Ok("".into()), |text| text.to_text())?;
    operate::text(format::specified(&value.unwrap_or(Value::None), &specification)?)
}

fn is_instance(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [value, kinds] = arguments.bind("isinstance", ["obj", "class_or_tuple"], 2)?;
    let value = value.unwrap_or(Value::None);
    let matches = |kind: &Value| match kind {
        Value::Type(Type::Int) => Ok(value.integer().is_some()),
        Value::Type(kind) => Ok(value.type_of() == Some(*kind)),
        _ => Err(type_error("isinstance() arg 2 must be a type, a tuple of types, or a union")),
    };
    let kinds = kinds.unwrap_or(Value::None);
    Ok(Value::Bool(match &kinds {
        Value::Tuple(kinds) => {
            for kind in kinds.iter() {
                if matches(kind)? {
                    return Ok(Value::Bool(true));
                }
            }
            false
        }
        kind => matches(kind)?,
    }))
}

fn iterator(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let source = one(arguments, "iter")?.iterate()?;
    Ok(Value::Iterator(Rc::new(RefCell::new(source))))
}

fn next(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [source, default] = arguments.bind("next", ["iterator", "default"], 1)?;
    let source = source.unwrap_or(Value::None);
    let Value::Iterator(iterator) = &source else {
        source.defined()?;
        return Err(type_error(format!("'{}' object is not an iterator", source.type_name())));
    };
    source.iterate()?;
    let item = iterator.borrow_mut().next();
    item.or(default).ok_or_else(|| Fault::new("StopIteration"))
}

fn length(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let length = one(arguments, "len")?.length()?;
    operate::integer(i128::try_from(length).ok())
}

fn map(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let mut given = arguments.positional.into_iter();
    let function = given.next().ok_or_else(|| type_error("map() must have at least two arguments."))?;
    let mut results = Vec::new();
    for items in together(this, given.collect())? {
        results.push(this.call(&function, Arguments::of(items))?);
    }
    Ok(Value::iterator(results))
}

fn zip(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    Ok(Value::iterator(together(this, arguments.positional)?.into_iter().map(Value::tuple).collect()))
}

/// One item of each, until one has no more.
fn together(this: &mut Interpreter<'_>, sources: Vec<Value>) -> Outcome<Vec<Vec<Value>>> {
    let mut sources = sources.iter().map(Value::iterate).collect::<Outcome<Vec<Iter>>>()?;
    let mut rows = Vec::new();
    if sources.is_empty() {
        return Ok(rows);
    }
    loop {
        let mut row = Vec::with_capacity(sources.len());
        for source in &mut sources {
            this.charge(1)?;
            match source.next() {
                Some(item) => row.push(item),
                None => return Ok(rows),
            }
        }
        rows.push(row);
    }
}

fn extreme(this: &mut Interpreter<'_>, mut arguments: Arguments, name: &'static str) -> Outcome<Value> {
    let several = arguments.positional.len() > 1;
    let items = if several { std::mem::take(&mut arguments.positional) } else { Vec::new() };
    let [source, key, default] = if several {
        let [key] =
            Arguments { positional: Vec::new(), keywords: arguments.keywords }.bind(name, ["key"], 0)?;
        [None, key, None]
    } else {
        let mut keywords = arguments.keywords;
        keywords.extend(arguments.positional.pop().map(|value| ("iterable".into(), value)));
        Arguments { positional: Vec::new(), keywords }.bind(name, ["iterable", "key", "default"], 1)?
    };
    let items = match source {
        Some(source) => this.collect(&source)?,
        None => items,
    };
    let mut best: Option<(Value, Value)> = None;
    for item in items {
        let weight = match &key {
            Some(key) if !matches!(key, Value::None) => this.call(key, Arguments::of(vec![item.clone()]))?,
            _ => item.clone(),
        };
        let better = match &best {
            None => true,
            Some((_, other)) if name == "max" => weight.compare(other, ">")?.is_gt(),
            Some((_, other)) => weight.compare(other, "<")?.is_lt(),
        };
        if better {
            best = Some((item, weight));
        }
    }
    best.map(|(item, _)| item)
        .or(default)
        .ok_or_else(|| value_error(format!("{name}() iterable argument is empty")))
}

fn representation(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [value] = arguments.bind("repr", ["object"], 1)?;
    operate::text(value.unwrap_or(Value::None).repr()?)
}

fn reversed(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let value = one(arguments, "reversed")?;
    if matches!(value, Value::Set(_) | Value::Iterator(_)) {
        return Err(type_error(format!("'{}' object is not reversible", value.type_name())));
    }
    let mut items = this.collect(&value)?;
    items.reverse();
    Ok(Value::iterator(items))
}

fn round(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [value, digits] = arguments.bind("round", ["number", "ndigits"], 1)?;
    let value = value.unwrap_or(Value::None);
    value.defined()?;
    let digits = match digits {
        None | Some(Value::None) => None,
        Some(digits) => {
            Some(digits.integer().ok_or_else(|| type_error("round() needs an integer number of digits"))?)
        }
    };
    match (&value, digits) {
        (Value::Float(number), None) => Ok(Value::Int(number.round_ties_even() as i128)),
        (Value::Float(number), Some(digits @ 0..=300)) => {
            // Correctly rounded from the exact decimal value, as Python does.
            let text = format!("{number:.0$}", usize::try_from(digits).unwrap_or(0));
            Ok(Value::Float(text.parse().unwrap_or(*number)))
        }
        (Value::Float(_), Some(_)) => Err(Fault::unsupported("round() to this many digits")),
        (other, digits) => match (other.integer(), digits) {
            (Some(number), None | Some(0..)) => Ok(Value::Int(number)),
            (Some(_), Some(_)) => Err(Fault::unsupported("round() of an int to tens")),
            (None, _) => {
                Err(type_error(format!("type {} doesn't define __round__ method", other.type_name())))
            }
        },
    }
}

fn sorted(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let mut arguments = arguments;
    if arguments.positional.len() > 1 {
        return Err(type_error("sorted expected 1 argument"));
    }
    let items = arguments.positional.pop().ok_or_else(|| type_error("sorted expected 1 argument, got 0"))?;
    let items = this.collect(&items)?;
    let [key, reverse] = arguments.bind("sort", ["key", "reverse"], 0)?;
    Ok(Value::list(sort(this, items, key, reverse)?))
}

/// Python's stable sort.
pub(super) fn sort(
    this: &mut Interpreter<'_>,
    items: Vec<Value>,
    key: Option<Value>,
    reverse: Option<Value>,
) -> Outcome<Vec<Value>> {
    let reverse = reverse.map_or(Ok(false), |reverse| reverse.is_true())?;
    let mut weighted = Vec::with_capacity(items.len());
    for item in items {
        let weight = match &key {
            None | Some(Value::None) => item.clone(),
            Some(key) => this.call(key, Arguments::of(vec![item.clone()]))?,
        };
        weighted.push((weight, item));
    }
    sort_weighted(weighted, reverse)
}

/// Sorts by the first of each pair.
pub(super) fn sort_weighted(mut weighted: Vec<(Value, Value)>, reverse: bool) -> Outcome<Vec<Value>> {
    let mut failure = None;
    weighted.sort_by(|left, right| {
        if failure.is_some() {
            return std::cmp::Ordering::Equal;
        }
        let ordering = left.0.compare(&right.0, "<").unwrap_or_else(|fault| {
            failure = Some(fault);
            std::cmp::Ordering::Equal
        });
        if reverse { ordering.reverse() } else { ordering }
    });
    match failure {
        Some(fault) => Err(fault),
        None => Ok(weighted.into_iter().map(|(_, item)| item).collect()),
    }
}

fn sum(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [items, start] = arguments.bind("sum", ["iterable", "start"], 1)?;
    let mut total = start.unwrap_or(Value::Int(0));
    if matches!(total, Value::Text(_)) {
        return Err(type_error("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    for item in this.collect(&items.unwrap_or(Value::None))? {
        total = operate::binary(BinOpKind::Add, &total, &item)?;
    }
    Ok(total)
}

fn namespace(_: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let mut names = IndexMap::new();
    for value in arguments.positional {
        let Value::Dict(dict) = value else { return Err(Fault::unsupported("namespace() of this")) };
        for (key, value) in dict.borrow().values() {
            names.insert(key.to_text()?, value.clone());
        }
    }
    names.extend(arguments.keywords);
    Ok(Value::Namespace(Rc::new(RefCell::new(names))))
}

/// A method of `str` without its object: `str.lower`.
pub(super) fn unbound(name: &str) -> Value {
    let call: Call = |this, mut arguments| {
        if arguments.positional.len() < 2 {
            return Err(type_error("unbound method str needs an argument"));
        }
        let name = arguments.positional.remove(0).to_text()?;
        let object = arguments.positional.remove(0);
        if !matches!(object, Value::Text(_)) {
            return Err(type_error(format!(
                "str.{name} does not apply to a '{}' object",
                object.type_name()
            )));
        }
        super::methods::call(this, &object, &name, arguments)
    };
    let function = Value::Function(Function { name: "str", call });
    Value::Partial(Rc::new((function, Arguments::of(vec![Value::text(name)]))))
}

/// `dict.fromkeys(keys, value)`.
pub(super) fn from_keys(this: &mut Interpreter<'_>, arguments: Arguments) -> Outcome<Value> {
    let [keys, value] = arguments.bind("fromkeys", ["iterable", "value"], 1)?;
    let value = value.unwrap_or(Value::None);
    let mut dict = Dict::new();
    for key in this.collect(&keys.unwrap_or(Value::None))? {
        insert(&mut dict, key, value.clone())?;
    }
    Ok(Value::dict(dict))
}
