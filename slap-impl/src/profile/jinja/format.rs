//! Python's string formatting: `%`, `str.format` and `format()`.

use super::{
    fault::{Fault, Outcome, type_error, value_error},
    value::{TEXT_BYTES_MAX, Value},
};
use crate::profile::literal::float_repr;
use std::{iter::Peekable, rc::Rc, str::Chars};

/// The widest field.
const WIDTH_MAX: usize = 100_000;

#[derive(Default)]
struct Layout {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
}

/// `pattern % arguments`.
pub(super) fn percent(pattern: &str, arguments: &Value) -> Outcome<String> {
    let mapping = match arguments {
        Value::Dict(dict) => Some(dict.clone()),
        _ => None,
    };
    // Whatever has items by key or index may go unused, in Python's eyes.
    let is_optional = matches!(
        arguments,
        Value::Dict(_)
            | Value::List(_)
            | Value::Bytes(_)
            | Value::Range(..)
            | Value::Undefined(_)
            | Value::Absent
    );
    let mut given: Vec<Value> = match arguments {
        Value::Tuple(items) => items.to_vec(),
        other => vec![other.clone()],
    };
    given.reverse();
    let mut used_mapping = false;
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut value = None;
        if rest.next_if_eq(&'(').is_some() {
            let name = parenthesised(&mut rest)?;
            arguments.defined()?;
            let dict = mapping.as_ref().ok_or_else(|| type_error("format requires a mapping"))?;
            let found = dict.borrow().get(&Value::text(name.as_str()).key()?).map(|(_, value)| value.clone());
            value = Some(found.ok_or_else(|| Fault::new(format!("KeyError: '{name}'")))?);
            used_mapping = true;
        }
        let mut layout = Layout::default();
        while let Some(flag) = rest.next_if(|c| "#0- +".contains(*c)) {
            match flag {
                '#' => layout.alternate = true,
                '0' => layout.zero = true,
                '-' => layout.align = Some('<'),
                ' ' if layout.sign.is_some() => {}
                sign => layout.sign = Some(sign),
            }
        }
        layout.width = size(&mut rest)?.unwrap_or(0);
        if rest.next_if_eq(&'.').is_some() {
            layout.precision = Some(size(&mut rest)?.unwrap_or(0));
        }
        while rest.next_if(|c| "hlL".contains(*c)).is_some() {}
        let kind = rest.next().ok_or_else(|| value_error("incomplete format"))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        if kind == '*' {
            return Err(Fault::unsupported("a width given as `*`"));
        }
        let value = match value {
            Some(value) => value,
            None => given.pop().ok_or_else(|| type_error("not enough arguments for format string"))?,
        };
        out.push_str(&percent_field(kind, &layout, &value)?);
        if out.len() > TEXT_BYTES_MAX {
            return Err(Fault::new(format!("a text is longer than {TEXT_BYTES_MAX} bytes")));
        }
    }
    if !given.is_empty() && !used_mapping && !is_optional {
        return Err(type_error("not all arguments converted during string formatting"));
    }
    Ok(out)
}

fn parenthesised(rest: &mut Peekable<Chars<'_>>) -> Outcome<String> {
    let (mut name, mut depth) = (String::new(), 1);
    for c in rest.by_ref() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(name);
        }
        name.push(c);
    }
    Err(value_error("incomplete format key"))
}

fn size(rest: &mut Peekable<Chars<'_>>) -> Outcome<Option<usize>> {
    let mut number = None;
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        let value = number.unwrap_or(0usize) * 10 + digit as usize - '0' as usize;
        if value > WIDTH_MAX {
            return Err(Fault::new(format!("a width or precision over {WIDTH_MAX}")));
        }
        number = Some(value);
    }
    Ok(number)
}

fn percent_field(kind: char, layout: &Layout, value: &Value) -> Outcome<String> {
    let number_required = || {
        let what = if "xXo".contains(kind) { "an integer" } else { "a real number" };
        type_error(format!("%{kind} format: {what} is required, not {}", value.type_name()))
    };
    let body = match kind {
        's' => cut(value.to_text()?.to_string(), layout.precision),
        'r' => cut(value.repr()?, layout.precision),
        'a' => return Err(Fault::unsupported("%a")),
        'c' => match value {
            Value::Text(text) if text.chars().count() == 1 => text.to_string(),
            _ => return Err(Fault::unsupported("%c of anything but one character")),
        },
        'd' | 'i' | 'u' => {
            let number = match value {
                Value::Float(value) if value.is_finite() => value.trunc() as i128,
                other => other.integer().ok_or_else(number_required)?,
            };
            return Ok(digits(number, 'd', layout));
        }
        'o' | 'x' | 'X' => {
            return Ok(digits(value.integer().ok_or_else(number_required)?, kind, layout));
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = value
                .number()
                .ok_or_else(|| type_error(format!("must be real number, not {}", value.type_name())))?;
            return Ok(real(number, kind, layout));
        }
        other => {
            return Err(value_error(format!(
                "unsupported format character '{other}' (0x{:x})",
                other as u32
            )));
        }
    };
    let align = layout.align.unwrap_or('>');
    Ok(pad(&body, layout.width, align, ' '))
}

fn cut(text: String, precision: Option<usize>) -> String {
    match precision {
        Some(length) => text.chars().take(length).collect(),
        None => text,
    }
}

fn pad(body: &str, width: usize, align: char, fill: char) -> String {
    let missing = width.saturating_sub(body.chars().count());
    let (before, after) = match align {
        '<' => (0, missing),
        '^' => (missing / 2, missing - missing / 2),
        _ => (missing, 0),
    };
    let fill = |count: usize| fill.to_string().repeat(count);
    format!("{}{body}{}", fill(before), fill(after))
}

/// Puts sign, prefix and digits together, with zeros between sign and digits where asked for.
fn numeric(negative: bool, prefix: &str, body: &str, layout: &Layout) -> String {
    let sign = match (negative, layout.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        _ => "",
    };
    let align = layout.align.unwrap_or(if layout.zero { '=' } else { '>' });
    let fill = layout.fill.unwrap_or(if layout.zero && layout.align.is_none() { '0' } else { ' ' });
    if align == '=' {
        let width = layout.width.saturating_sub(sign.len() + prefix.len());
        return format!("{sign}{prefix}{}", pad(body, width, '>', fill));
    }
    pad(&format!("{sign}{prefix}{body}"), layout.width, align, fill)
}

fn digits(number: i128, kind: char, layout: &Layout) -> String {
    let magnitude = number.unsigned_abs();
    let (prefix, mut body) = match kind {
        'x' => ("0x", format!("{magnitude:x}")),
        'X' => ("0X", format!("{magnitude:X}")),
        'o' => ("0o", format!("{magnitude:o}")),
        'b' => ("0b", format!("{magnitude:b}")),
        _ => ("", magnitude.to_string()),
    };
    if let Some(precision) = layout.precision {
        body = pad(&body, precision, '>', '0');
    }
    numeric(number < 0, if layout.alternate { prefix } else { "" }, &grouped(&body, layout.grouping), layout)
}

fn grouped(body: &str, separator: Option<char>) -> String {
    let Some(separator) = separator else { return body.to_owned() };
    let (whole, fraction) = match body.find(['.', 'e', 'E']) {
        Some(at) => body.split_at(at),
        None => (body, ""),
    };
    let mut out = String::new();
    for (index, c) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(separator);
        }
        out.push(c);
    }
    out + fraction
}

fn real(number: f64, kind: char, layout: &Layout) -> String {
    let magnitude = number.abs();
    let precision = layout.precision.unwrap_or(6);
    let mut body = if !number.is_finite() {
        if number.is_nan() { "nan" } else { "inf" }.to_owned()
    } else {
        match kind.to_ascii_lowercase() {
            'f' => format!("{magnitude:.precision$}"),
            'e' => exponent(magnitude, precision),
            '%' => format!("{:.precision$}%", magnitude * 100.0),
            _ => general(magnitude, precision.max(1), layout.alternate),
        }
    };
    if kind.is_ascii_uppercase() {
        body = body.to_ascii_uppercase();
    }
    let negative = number.is_sign_negative() && !number.is_nan();
    numeric(negative, "", &grouped(&body, layout.grouping), layout)
}

fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').expect("the format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the format writes a number");
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn general(number: f64, precision: usize, keep_zeros: bool) -> String {
    let scientific = exponent(number, precision - 1);
    let power: i32 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let precise = i32::try_from(precision).unwrap_or(i32::MAX);
    let strip = |text: &str| {
        if keep_zeros || !text.contains('.') {
            text.to_owned()
        } else {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    };
    if (-4..precise).contains(&power) {
        let decimals = usize::try_from(precise - 1 - power).unwrap_or(0);
        return strip(&format!("{number:.decimals$}"));
    }
    let (mantissa, power) = scientific.split_once('e').expect("the format writes an exponent");
    format!("{}e{power}", strip(mantissa))
}

/// `format(value, specification)`.
pub(super) fn specified(value: &Value, specification: &str) -> Outcome<String> {
    value.defined()?;
    if specification.is_empty() {
        return Ok(value.to_text()?.to_string());
    }
    let (layout, kind) = specification_of(specification)?;
    match value {
        Value::Text(text) => {
            if !matches!(kind, None | Some('s')) || layout.sign.is_some() || layout.align == Some('=') {
                return Err(value_error(format!("format {specification:?} does not fit a str")));
            }
            let body = cut(text.to_string(), layout.precision);
            let fill = layout.fill.unwrap_or(if layout.zero { '0' } else { ' ' });
            Ok(pad(&body, layout.width, layout.align.unwrap_or('<'), fill))
        }
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => {
            number_specified(value, layout, kind, specification)
        }
        other => {
            Err(type_error(format!("unsupported format string passed to {}.__format__", other.type_name())))
        }
    }
}

fn number_specified(value: &Value, layout: Layout, kind: Option<char>, text: &str) -> Outcome<String> {
    let misfit = || value_error(format!("format {text:?} does not fit a {}", value.type_name()));
    match (kind, value.integer()) {
        (None | Some('d' | 'x' | 'X' | 'o' | 'b'), Some(number)) => {
            if layout.precision.is_some() {
                return Err(value_error("Precision not allowed in integer format specifier"));
            }
            Ok(digits(number, kind.unwrap_or('d'), &layout))
        }
        (None, None) if layout.precision.is_none() => {
            let number = value.number().ok_or_else(misfit)?;
            let body = float_repr(number.abs());
            Ok(numeric(number.is_sign_negative(), "", &grouped(&body, layout.grouping), &layout))
        }
        (Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%'), _) => {
            Ok(real(value.number().ok_or_else(misfit)?, kind.unwrap_or('g'), &layout))
        }
        (None, None) => Err(Fault::unsupported("a precision without a type for a float")),
        _ => Err(misfit()),
    }
}

fn specification_of(text: &str) -> Outcome<(Layout, Option<char>)> {
    let mut layout = Layout::default();
    let mut rest = text.chars().peekable();
    let mut ahead = text.chars().skip(1);
    if ahead.next().is_some_and(|c| "<>=^".contains(c)) {
        layout.fill = rest.next();
        layout.align = rest.next();
    } else {
        layout.align = rest.next_if(|c| "<>=^".contains(*c));
    }
    layout.sign = rest.next_if(|c| "+- ".contains(*c));
    layout.alternate = rest.next_if_eq(&'#').is_some();
    layout.zero = rest.next_if_eq(&'0').is_some();
    layout.width = size(&mut rest)?.unwrap_or(0);
    layout.grouping = rest.next_if(|c| ",_".contains(*c));
    if rest.next_if_eq(&'.').is_some() {
        layout.precision =
            Some(size(&mut rest)?.ok_or_else(|| value_error("Format specifier missing precision"))?);
    }
    let kind = rest.next();
    if rest.next().is_some() || kind.is_some_and(|kind| !"sdxXobeEfFgG%".contains(kind)) {
        return Err(value_error(format!("Invalid format specifier {text:?}")));
    }
    Ok((layout, kind))
}

/// `pattern.format(*positional, **keywords)`.
pub(super) fn braces(pattern: &str, positional: &[Value], keywords: &[(Rc<str>, Value)]) -> Outcome<String> {
    let mut out = String::new();
    let mut next = Some(0);
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' if rest.next_if_eq(&'{').is_some() => out.push('{'),
            '}' if rest.next_if_eq(&'}').is_some() => out.push('}'),
            '}' => return Err(value_error("Single '}' encountered in format string")),
            '{' => {
                let mut field = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some('{') => return Err(Fault::unsupported("a nested field in a format string")),
                        Some(c) => field.push(c),
                        None => return Err(value_error("expected '}' before end of string")),
                    }
                }
                let (name, specification) = field.split_once(':').unwrap_or((&field, ""));
                let (name, conversion) = match name.split_once('!') {
                    Some((name, conversion)) => (name, Some(conversion)),
                    None => (name, None),
                };
                let value = field_value(name, &mut next, positional, keywords)?;
                let value = match conversion {
                    None => value,
                    Some("r") => Value::text(value.repr()?),
                    Some("s") => Value::Text(value.to_text()?),
                    Some(other) => return Err(Fault::unsupported(format!("conversion !{other}"))),
                };
                out.push_str(&specified(&value, specification)?);
            }
            c => out.push(c),
        }
        if out.len() > TEXT_BYTES_MAX {
            return Err(Fault::new(format!("a text is longer than {TEXT_BYTES_MAX} bytes")));
        }
    }
    Ok(out)
}

fn field_value(
    name: &str,
    // The next automatic number; none once fields are numbered by hand.
    next: &mut Option<usize>,
    positional: &[Value],
    keywords: &[(Rc<str>, Value)],
) -> Outcome<Value> {
    if name.contains(['.', '[']) {
        return Err(Fault::unsupported(format!("the field {{{name}}} of a format string")));
    }
    let mixed = || value_error("cannot mix automatic field numbering and manual field specification");
    let place: Option<usize> = if name.is_empty() {
        let place = next.ok_or_else(mixed)?;
        *next = Some(place + 1);
        Some(place)
    } else {
        name.parse().ok()
    };
    if !name.is_empty() && place.is_some() {
        match next {
            Some(1..) => return Err(mixed()),
            _ => *next = None,
        }
    }
    match place {
        Some(place) => positional.get(place).cloned().ok_or_else(|| {
            Fault::new(format!(
                "IndexError: Replacement index {place} out of range for positional args tuple"
            ))
        }),
        None => keywords
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value.clone())
            .ok_or_else(|| Fault::new(format!("KeyError: '{name}'"))),
    }
}
