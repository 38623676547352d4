//! Reading: a recursive descent over the text, bounded in size and depth.

use super::{Literal, LiteralError};
use std::iter;

/// The longest text that is read: 16 MiB.
const LENGTH_MAX: usize = 16 << 20;

/// The deepest nesting that is read.
const DEPTH_MAX: usize = 90;

/// Reads a Python literal.
///
/// # Errors
/// [`LiteralError`] for anything else, and beyond the bounds.
pub fn parse(text: &str) -> Result<Literal, LiteralError> {
    let mut reader = Reader { text, offset: 0, depth: 0 };
    if text.len() > LENGTH_MAX {
        return Err(reader.error(format!("longer than {LENGTH_MAX} bytes")));
    }
    let value = reader.value()?;
    reader.blanks();
    match reader.peek() {
        None => Ok(value),
        Some(found) => Err(reader.error(format!("unexpected {found:?} after the value"))),
    }
}

struct Reader<'a> {
    text: &'a str,
    offset: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, message: impl Into<String>) -> LiteralError {
        LiteralError { message: message.into(), offset: self.offset }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']).len();
    }

    fn skip(&mut self, expected: char) -> bool {
        self.blanks();
        let found = self.peek() == Some(expected);
        if found {
            self.offset += expected.len_utf8();
        }
        found
    }

    fn expect(&mut self, expected: char) -> Result<(), LiteralError> {
        if self.skip(expected) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(found) => self.error(format!("expected {expected:?}, found {found:?}")),
            None => self.error(format!("expected {expected:?}, found the end")),
        })
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.offset += length;
        &rest[..length]
    }

    fn value(&mut self) -> Result<Literal, LiteralError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        self.blanks();
        let value = match self.peek() {
            None => Err(self.error("nothing where a value was expected")),
            Some('[') => self.items('[', ']').map(|(items, _)| Literal::List(items)),
            Some('(') => self.parentheses(),
            Some('{') => self.braces(),
            Some('\'' | '"') => self.strings(),
            Some('0'..='9' | '.' | '-' | '+') => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.named(),
            Some(found) => Err(self.error(format!("unexpected {found:?}"))),
        };
        self.depth -= 1;
        value
    }

    /// Items between brackets, and whether a comma stood among or after them.
    fn items(&mut self, open: char, close: char) -> Result<(Vec<Literal>, bool), LiteralError> {
        self.expect(open)?;
        let (mut items, mut comma) = (Vec::new(), false);
        while !self.skip(close) {
            items.push(self.value()?);
            if self.skip(',') {
                comma = true;
            } else {
                self.expect(close)?;
                break;
            }
        }
        Ok((items, comma))
    }

    fn parentheses(&mut self) -> Result<Literal, LiteralError> {
        let (mut items, comma) = self.items('(', ')')?;
        // (x) is x; (x,) and () are tuples.
        match items.pop() {
            Some(only) if items.is_empty() && !comma => Ok(only),
            last => {
                items.extend(last);
                Ok(Literal::Tuple(items))
            }
        }
    }

    fn braces(&mut self) -> Result<Literal, LiteralError> {
        self.expect('{')?;
        if self.skip('}') {
            return Ok(Literal::Dict(Vec::new()));
        }
        let first = self.value()?;
        if !self.skip(':') {
            let mut items = vec![first];
            while !self.skip('}') {
                self.expect(',')?;
                if self.skip('}') {
                    break;
                }
                items.push(self.value()?);
            }
            return Ok(Literal::Set(self.distinct(items)?));
        }
        let mut entries = vec![(first, self.value()?)];
        while !self.skip('}') {
            self.expect(',')?;
            if self.skip('}') {
                break;
            }
            let key = self.value()?;
            self.expect(':')?;
            entries.push((key, self.value()?));
        }
        self.dictionary(entries)
    }

    fn dictionary(&self, entries: Vec<(Literal, Literal)>) -> Result<Literal, LiteralError> {
        // A key that comes again keeps its place and takes the later value.
        let mut places = std::collections::BTreeMap::new();
        let mut result: Vec<(Literal, Literal)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            self.hashable(&key)?;
            match places.get(&identity(&key)) {
                Some(&place) => {
                    let entry: &mut (Literal, Literal) = &mut result[place];
                    entry.1 = value;
                }
                None => {
                    places.insert(identity(&key), result.len());
                    result.push((key, value));
                }
            }
        }
        Ok(Literal::Dict(result))
    }

    fn distinct(&self, items: Vec<Literal>) -> Result<Vec<Literal>, LiteralError> {
        let mut seen = std::collections::BTreeSet::new();
        let mut result = Vec::with_capacity(items.len());
        for item in items {
            self.hashable(&item)?;
            if seen.insert(identity(&item)) {
                result.push(item);
            }
        }
        Ok(result)
    }

    fn hashable(&self, value: &Literal) -> Result<(), LiteralError> {
        if value.hashable() {
            return Ok(());
        }
        Err(self.error(format!("a {} cannot be a key or an item of a set", value.type_name())))
    }

    fn named(&mut self) -> Result<Literal, LiteralError> {
        let start = self.offset;
        let word = self.word();
        if matches!(self.peek(), Some('\'' | '"')) {
            self.offset = start;
            return self.strings();
        }
        match word {
            "None" => return Ok(Literal::None),
            "True" => return Ok(Literal::Bool(true)),
            "False" => return Ok(Literal::Bool(false)),
            "inf" | "nan" => return Err(self.error(format!("{word} is no literal in Python"))),
            _ => {}
        }
        if !["set", "frozenset", "dict", "list", "tuple", "str"].contains(&word) {
            self.offset = start;
            return Err(self.error(format!(
                "{word:?} is not supported (None, True, False, set(), frozenset(), dict(), list(), tuple() and str() are)"
            )));
        }
        self.expect('(')?;
        if self.skip(')') {
            return Ok(match word {
                "set" => Literal::Set(Vec::new()),
                "frozenset" => Literal::FrozenSet(Vec::new()),
                "dict" => Literal::Dict(Vec::new()),
                "list" => Literal::List(Vec::new()),
                "tuple" => Literal::Tuple(Vec::new()),
                _ => Literal::Text(String::new()),
            });
        }
        if word == "dict" && self.at_keyword() {
            return self.keywords();
        }
        let argument = self.value()?;
        self.skip(',');
        self.expect(')')?;
        self.call(word, argument)
    }

    fn at_keyword(&mut self) -> bool {
        self.blanks();
        let rest = self.rest();
        let word = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        word.len() < rest.len() && word.trim_start().starts_with('=')
    }

    fn keywords(&mut self) -> Result<Literal, LiteralError> {
        let mut entries = Vec::new();
        while !self.skip(')') {
            self.blanks();
            let name = self.word();
            if name.is_empty() {
                return Err(self.error("expected a keyword"));
            }
            self.expect('=')?;
            entries.push((Literal::text(name), self.value()?));
            if !self.skip(',') {
                self.expect(')')?;
                break;
            }
        }
        self.dictionary(entries)
    }

    fn call(&mut self, name: &str, argument: Literal) -> Result<Literal, LiteralError> {
        let items = match (name, argument) {
            ("str", Literal::Text(text)) => return Ok(Literal::Text(text)),
            ("dict", Literal::Dict(entries)) => return Ok(Literal::Dict(entries)),
            (
                "set" | "frozenset" | "dict" | "list" | "tuple",
                Literal::List(items)
                | Literal::Tuple(items)
                | Literal::Set(items)
                | Literal::FrozenSet(items),
            ) => items,
            (_, argument) => {
                return Err(self.error(format!("{name}() of a {} is not supported", argument.type_name())));
            }
        };
        Ok(match name {
            "set" => Literal::Set(self.distinct(items)?),
            "frozenset" => Literal::FrozenSet(self.distinct(items)?),
            "list" => Literal::List(items),
            "tuple" => Literal::Tuple(items),
            _ => {
                let mut entries = Vec::with_capacity(items.len());
                for item in items {
                    match item {
                        Literal::Tuple(pair) | Literal::List(pair) if pair.len() == 2 => {
                            let mut pair = pair.into_iter();
                            entries.extend(pair.next().zip(pair.next()));
                        }
                        other => return Err(self.error(format!("dict() of {}: not a pair", other.repr()))),
                    }
                }
                return self.dictionary(entries);
            }
        })
    }

    fn number(&mut self) -> Result<Literal, LiteralError> {
        let start = self.offset;
        let mut negative = false;
        while let Some(sign @ ('-' | '+')) = self.peek() {
            negative ^= sign == '-';
            self.offset += 1;
            self.blanks();
        }
        let rest = self.rest();
        let mut length = 0;
        let mut before = ' ';
        for c in rest.chars() {
            let exponent_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !is_prefixed(rest);
            if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent_sign) {
                break;
            }
            length += c.len_utf8();
            before = c;
        }
        self.offset += length;
        number(&rest[..length], negative).map_err(|message| LiteralError { message, offset: start })
    }

    /// One or more strings side by side, which are one.
    fn strings(&mut self) -> Result<Literal, LiteralError> {
        let mut whole: Option<Literal> = None;
        loop {
            let part = self.string()?;
            whole = Some(match (whole, part) {
                (None, part) => part,
                (Some(Literal::Text(left)), Literal::Text(right)) => Literal::Text(left + &right),
                (Some(Literal::Bytes(left)), Literal::Bytes(right)) => Literal::Bytes([left, right].concat()),
                _ => return Err(self.error("a string and a byte string side by side")),
            });
            self.blanks();
            let start = self.offset;
            let word = self.word();
            let another = word.len() <= 2 && matches!(self.peek(), Some('\'' | '"'));
            self.offset = start;
            if !another {
                return Ok(whole.expect("one string at least was read"));
            }
        }
    }

    fn string(&mut self) -> Result<Literal, LiteralError> {
        let prefix = self.word().to_ascii_lowercase();
        let (raw, bytes) = match prefix.as_str() {
            "" | "u" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "br" | "rb" => (true, true),
            _ => return Err(self.error(format!("a string with prefix {prefix:?} is not supported"))),
        };
        let quote = self.peek().ok_or_else(|| self.error("expected a string"))?;
        let triple: String = iter::repeat_n(quote, 3).collect();
        let closing =
            if self.rest().starts_with(&triple) { triple.as_str() } else { &triple[..quote.len_utf8()] };
        self.offset += closing.len();
        let mut out = Vec::new();
        loop {
            if self.rest().starts_with(closing) {
                self.offset += closing.len();
                break;
            }
            let c = self.peek().ok_or_else(|| self.error("a string without an end"))?;
            self.offset += c.len_utf8();
            match c {
                '\n' if closing.len() == 1 => return Err(self.error("a line break in a string")),
                '\\' if raw => {
                    out.push(b'\\');
                    let next = self.peek().ok_or_else(|| self.error("a string without an end"))?;
                    self.offset += next.len_utf8();
                    push(&mut out, next);
                }
                '\\' => self.escape(bytes, &mut out)?,
                c if bytes && !c.is_ascii() => {
                    return Err(self.error(format!("{c:?} in a byte string")));
                }
                c => push(&mut out, c),
            }
        }
        if bytes {
            return Ok(Literal::Bytes(out));
        }
        String::from_utf8(out).map(Literal::Text).map_err(|_| self.error("a string that is not UTF-8"))
    }

    fn escape(&mut self, bytes: bool, out: &mut Vec<u8>) -> Result<(), LiteralError> {
        let c = self.peek().ok_or_else(|| self.error("a string without an end"))?;
        self.offset += c.len_utf8();
        let code = match c {
            '\n' => return Ok(()),
            '\\' | '\'' | '"' => u32::from(c),
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '0'..='7' => {
                let rest = self.text[self.offset - 1..].bytes();
                let digits = rest.take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let text = &self.text[self.offset - 1..self.offset - 1 + digits];
                self.offset += digits - 1;
                u32::from_str_radix(text, 8).map_err(|_| self.error("a bad octal escape"))?
            }
            'x' => self.hexadecimal(2)?,
            'u' if !bytes => self.hexadecimal(4)?,
            'U' if !bytes => self.hexadecimal(8)?,
            'N' if !bytes => return Err(self.error("\\N{...} is not supported")),
            other => {
                out.push(b'\\');
                push(out, other);
                return Ok(());
            }
        };
        if bytes {
            // An octal escape beyond one byte is cut by Python.
            out.push((code & 0xff) as u8);
            return Ok(());
        }
        let c = char::from_u32(code).ok_or_else(|| self.error(format!("U+{code:04X} is no character")))?;
        push(out, c);
        Ok(())
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<u32, LiteralError> {
        let text = self.rest().get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        let code = code.ok_or_else(|| self.error(format!("expected {digits} hexadecimal digits")))?;
        self.offset += digits;
        Ok(code)
    }
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// A text that two hashable values share if and only if they are the same key.
fn identity(value: &Literal) -> String {
    match value {
        Literal::Bool(value) => i128::from(*value).to_string(),
        Literal::Float(value) if value.fract() == 0.0 && value.abs() < 1e38 => (*value as i128).to_string(),
        Literal::Tuple(items) => format!("({})", items.iter().map(identity).collect::<Vec<_>>().join(",")),
        other => other.repr(),
    }
}

fn is_prefixed(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'0') && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
}

fn number(text: &str, negative: bool) -> Result<Literal, String> {
    let bad = || format!("{text:?} is no number");
    let digits = text.replace('_', "");
    let misplaced = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    if misplaced || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || digits == "." {
        return Err(bad());
    }
    let lower = digits.to_ascii_lowercase();
    let radix = match lower.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    if radix == 10 && lower.contains(['.', 'e']) {
        let value: f64 = lower.parse().map_err(|_| bad())?;
        return Ok(Literal::Float(if negative { -value } else { value }));
    }
    let body = if radix == 10 { lower.as_str() } else { &lower[2..] };
    if radix == 10 && body.len() > 1 && body.starts_with('0') && body.bytes().any(|byte| byte != b'0') {
        return Err(bad());
    }
    let signed = if negative { format!("-{body}") } else { body.to_owned() };
    i128::from_str_radix(&signed, radix).map(Literal::Int).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
            format!("{text} is beyond the integers of 128 bits that are supported")
        }
        _ => bad(),
    })
}
