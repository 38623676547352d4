//! Python's `pprint.pformat` with 80 columns, for the literals that generated Python files hold.
//!
//! The layout follows the documentation of `pprint` and was compared with Python 3.11.

use crate::profile::literal::{Literal, text_repr};

const WIDTH: usize = 80;

/// The text of a value over several lines where one is too long; `step` blanks for each level.
pub(super) fn pretty(literal: &Literal, step: usize) -> String {
    let mut out = String::new();
    Printer { step, out: &mut out }.value(literal, 0, 0, 1);
    out
}

struct Printer<'a> {
    step: usize,
    out: &'a mut String,
}

/// `repr` with dictionaries sorted, as `pprint` writes what fits into a line.
fn line(literal: &Literal) -> String {
    literal.sorted_repr()
}

impl Printer<'_> {
    /// `allowance`: what follows on the last line.
    fn value(&mut self, literal: &Literal, indent: usize, allowance: usize, level: usize) {
        let text = line(literal);
        if text.chars().count() + indent + allowance <= WIDTH {
            self.out.push_str(&text);
            return;
        }
        match literal {
            Literal::Dict(entries) => self.dictionary(entries, indent, allowance, level),
            Literal::List(items) => self.bracketed(items, "[", "]", indent, allowance, level),
            Literal::Tuple(items) => {
                let close = if items.len() == 1 { ",)" } else { ")" };
                self.bracketed(items, "(", close, indent, allowance, level);
            }
            Literal::Set(items) if !items.is_empty() => {
                self.bracketed(&sorted(items), "{", "}", indent, allowance, level);
            }
            Literal::FrozenSet(items) if !items.is_empty() => {
                let indent = indent + "frozenset".len() + 1;
                self.bracketed(&sorted(items), "frozenset({", "})", indent, allowance, level);
            }
            Literal::Text(text) if !text.is_empty() => self.text(text, indent, allowance, level),
            // Long byte strings are left in one line: no option of a profile holds any.
            _ => self.out.push_str(&text),
        }
    }

    fn blanks(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
    }

    fn dictionary(&mut self, entries: &[(Literal, Literal)], indent: usize, allowance: usize, level: usize) {
        self.out.push('{');
        self.blanks(self.step.saturating_sub(1));
        let mut entries: Vec<&(Literal, Literal)> = entries.iter().collect();
        entries.sort_by(|left, right| crate::profile::literal::safe_order(&left.0, &right.0));
        let indent = indent + self.step;
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                self.out.push_str(",\n");
                self.blanks(indent);
            }
            let key = line(key);
            self.out.push_str(&key);
            self.out.push_str(": ");
            let rest = if index + 1 == entries.len() { allowance + 1 } else { 1 };
            self.value(value, indent + key.chars().count() + 2, rest, level + 1);
        }
        self.out.push('}');
    }

    fn bracketed(
        &mut self,
        items: &[Literal],
        open: &str,
        close: &str,
        indent: usize,
        allowance: usize,
        level: usize,
    ) {
        self.out.push_str(open);
        self.blanks(self.step.saturating_sub(1));
        let indent = indent + self.step;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(",\n");
                self.blanks(indent);
            }
            let rest = if index + 1 == items.len() { allowance + close.len() } else { 1 };
            self.value(item, indent, rest, level + 1);
        }
        self.out.push_str(close);
    }

    /// A long text as several, between words and lines.
    fn text(&mut self, text: &str, mut indent: usize, mut allowance: usize, level: usize) {
        if level == 1 {
            indent += 1;
            allowance += 1;
        }
        let width = WIDTH.saturating_sub(indent);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut chunks = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let last_line = index + 1 == lines.len();
            let room = if last_line { width.saturating_sub(allowance) } else { width };
            let whole = text_repr(line);
            if whole.chars().count() <= room {
                chunks.push(whole);
                continue;
            }
            let mut current = String::new();
            let parts = pieces(line);
            for (place, part) in parts.iter().enumerate() {
                let last = last_line && place + 1 == parts.len();
                let room = if last { width.saturating_sub(allowance) } else { width };
                let candidate = format!("{current}{part}");
                if text_repr(&candidate).chars().count() > room {
                    if !current.is_empty() {
                        chunks.push(text_repr(&current));
                    }
                    current = (*part).to_owned();
                } else {
                    current = candidate;
                }
            }
            if !current.is_empty() {
                chunks.push(text_repr(&current));
            }
        }
        if chunks.len() == 1 {
            self.out.push_str(&chunks.concat());
            return;
        }
        if level == 1 {
            self.out.push('(');
        }
        for (index, chunk) in chunks.iter().enumerate() {
            if index > 0 {
                self.out.push('\n');
                self.blanks(indent);
            }
            self.out.push_str(chunk);
        }
        if level == 1 {
            self.out.push(')');
        }
    }
}

fn sorted(items: &[Literal]) -> Vec<Literal> {
    let mut items = items.to_vec();
    items.sort_by(crate::profile::literal::safe_order);
    items
}

/// Words, each with the white space after it.
fn pieces(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let blanks = rest[word..].find(|c: char| !c.is_whitespace()).unwrap_or(rest.len() - word);
        let (piece, tail) = rest.split_at(word + blanks);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::literal::parse;

    /// Pairs of a value and what Python's `pformat(value, indent=2)` makes of it.
    #[test]
    fn layouts_are_pythons() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("pretty.json")).unwrap();
        for case in golden.as_array().unwrap() {
            let (value, expected) = (case[0].as_str().unwrap(), case[1].as_str().unwrap());
            assert_eq!(pretty(&parse(value).unwrap(), 2), expected, "{value}");
        }
    }
}
