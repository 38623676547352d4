//! `${section:option}` in a text.

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Copied as it is; `$$` is in here, and so is what follows it.
    Text(&'a str),
    /// A section (empty for the own one) and an option.
    Reference(&'a str, &'a str),
    /// A sentence that says what is wrong with a reference.
    Bad(String),
}

/// Cuts a text at its references. `$$` hides the dollar that follows: `$${a:b}` is no reference. `${` without `}` is text.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut position) = (0, 0);
    while let Some(found) = text[position..].find('$') {
        let dollar = position + found;
        position = dollar + 1;
        if text[position..].starts_with('$') {
            position += 1;
            continue;
        }
        if !text[position..].starts_with('{') {
            continue;
        }
        // `$$` also ends the search for the brace, as buildout cuts there first.
        let rest = &text[position + 1..];
        let rest = &rest[..rest.find("$$").unwrap_or(rest.len())];
        let Some(length) = rest.find('}') else { continue };
        pieces.push(Piece::Text(&text[begin..dollar]));
        pieces.push(reference(&rest[..length]));
        position += length + 2;
        begin = position;
    }
    pieces.push(Piece::Text(&text[begin..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

fn reference(inner: &str) -> Piece<'_> {
    let bad = |what: &str| Piece::Bad(format!("The substitution, ${{{inner}}}, {what}."));
    let simple = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-._ ".contains(c));
    match inner.split(':').collect::<Vec<_>>()[..] {
        [section, option] if !simple(section) || !simple(option) || option.is_empty() => {
            let which = if simple(section) { "option" } else { "section" };
            bad(&format!("has an {which} name with invalid characters").replace("an section", "a section"))
        }
        [section, option] => Piece::Reference(section, option),
        [_] => bad("doesn't contain a colon"),
        _ => bad("has too many colons"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Piece::{Reference, Text};
    use proptest::prelude::*;

    #[test]
    fn references() {
        for (text, expected) in [
            ("", vec![]),
            ("plain $ {a:b} $x", vec![Text("plain $ {a:b} $x")]),
            ("${a:b}", vec![Reference("a", "b")]),
            ("x${:b}y", vec![Text("x"), Reference("", "b"), Text("y")]),
            ("${a b:c-d}${e.f:_g}", vec![Reference("a b", "c-d"), Reference("e.f", "_g")]),
            ("$${a:b}", vec![Text("$${a:b}")]),
            ("$$${a:b}", vec![Text("$$"), Reference("a", "b")]),
            ("$$$${a:b}", vec![Text("$$$${a:b}")]),
            ("${a:b", vec![Text("${a:b")]),
            ("${a$$:b} ${c:d}", vec![Text("${a$$:b} "), Reference("c", "d")]),
            ("$$pid $", vec![Text("$$pid $")]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn bad_references() {
        for (text, part) in [
            ("${a}", "doesn't contain a colon"),
            ("${a:b:c}", "too many colons"),
            ("${a!:b}", "a section name"),
            ("${a:}", "an option name"),
            ("${a:b/c}", "an option name"),
            ("${}", "doesn't contain a colon"),
        ] {
            assert!(matches!(&pieces(text)[..], [Piece::Bad(message)] if message.contains(part)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_is_never_lost(text in "[$\\{\\}a-b:é]{0,30}") {
            let whole: String = pieces(&text).iter().map(|piece| match piece {
                Text(text) => (*text).to_owned(),
                Reference(section, option) => format!("${{{section}:{option}}}"),
                Piece::Bad(_) => String::new(),
            }).collect();
            let bad = pieces(&text).iter().any(|piece| matches!(piece, Piece::Bad(_)));
            prop_assert!(bad || whole == text);
        }
    }
}
