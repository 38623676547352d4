//! `<instance><parameter id="key">value</parameter>...</instance>`: parameters and connection parameters, as they are
//! stored and as hateoas serves them (slapos/util.py, `dict2xml` and `xml2dict`).

use super::marshal::{is_xml, resolve};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use std::{collections::BTreeMap, fmt, fmt::Write as _};

/// Parameters: text, or none where the element was empty.
pub type Parameters = BTreeMap<String, Option<String>>;

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceXmlError {
    message: String,
}

impl fmt::Display for InstanceXmlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bad <instance> document: {}", self.message)
    }
}

impl std::error::Error for InstanceXmlError {}

/// The document, byte for byte what `dict2xml` writes; none is written as Python's `None`.
pub fn encode(parameters: &Parameters) -> String {
    let mut out = String::from("<?xml version='1.0' encoding='utf-8'?>\n");
    if parameters.is_empty() {
        out.push_str("<instance/>\n");
        return out;
    }
    out.push_str("<instance>\n");
    for (key, value) in parameters {
        out.push_str("  <parameter id=\"");
        escape(&mut out, key, true);
        out.push_str("\">");
        escape(&mut out, value.as_deref().unwrap_or("None"), false);
        out.push_str("</parameter>\n");
    }
    out.push_str("</instance>\n");
    out
}

fn escape(out: &mut String, text: &str, attribute: bool) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' if attribute => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            // Writing to a String cannot fail.
            '\t' | '\n' if attribute => drop(write!(out, "&#{};", u32::from(character))),
            other if is_xml(other) => out.push(other),
            _ => out.push('\u{fffd}'),
        }
    }
}

/// Reads a document. An empty text is no parameters; the values of a key that stands twice are joined by a blank.
///
/// # Errors
/// When it is not well-formed, or holds a DOCTYPE, an entity of its own, or a parameter without an id.
pub fn decode(document: &str) -> Result<Parameters, InstanceXmlError> {
    if document.is_empty() {
        return Ok(Parameters::new());
    }
    let bad = |message: String| InstanceXmlError { message };
    let mut reader = Reader::from_str(document);
    let mut decoder = Decoder::default();
    loop {
        match reader.read_event().map_err(|error| bad(error.to_string()))? {
            Event::Eof => break,
            Event::Start(start) => decoder.open(&start).map_err(bad)?,
            Event::Empty(start) => {
                decoder.open(&start).map_err(bad)?;
                decoder.close();
            }
            Event::End(_) => decoder.close(),
            Event::Text(text) => decoder.text(&text.xml10_content()),
            Event::CData(text) => decoder.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = resolve(&reference).map_err(bad)?;
                decoder.text(character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(bad("a DOCTYPE is not accepted".to_owned())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if decoder.depth != 0 || !decoder.seen {
        return Err(bad("it ends before its root element does".to_owned()));
    }
    Ok(decoder.parameters)
}

#[derive(Default)]
struct Decoder {
    parameters: Parameters,
    depth: usize,
    seen: bool,
    /// The parameter that is open, and its text so far.
    open: Option<(String, String)>,
    /// Text after an element within a parameter does not count, as in lxml's `text`.
    interrupted: bool,
}

impl Decoder {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.depth == 0 && std::mem::replace(&mut self.seen, true) {
            return Err("it has a second root element".to_owned());
        }
        self.depth += 1;
        if self.depth == 2 && start.name().as_ref() == "parameter" {
            let id = start
                .try_get_attribute("id")
                .map_err(|error| error.to_string())?
                .ok_or("a <parameter> has no id")?
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| error.to_string())?;
            self.open = Some((id.into_owned(), String::new()));
            self.interrupted = false;
        } else if self.depth > 2 {
            self.interrupted = true;
        }
        Ok(())
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth != 1 {
            return;
        }
        let Some((id, text)) = self.open.take() else { return };
        let text = if text.is_empty() { None } else { Some(text) };
        let slot = self.parameters.entry(id).or_default();
        *slot = match (slot.take(), text) {
            (Some(before), Some(text)) => Some(format!("{before} {text}")),
            (before, text) => text.or(before),
        };
    }

    fn text(&mut self, text: &str) {
        if let (Some((_, content)), false) = (&mut self.open, self.interrupted) {
            content.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(items: &[(&str, Option<&str>)]) -> Parameters {
        items.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    }

    /// The golden was written by slapos.core 1.24.1 (`slapos.util.dict2xml`).
    #[test]
    fn bytes_are_those_of_python() {
        let written = encode(&parameters(&[
            ("b", Some("<&>\"'\n\r\t é")),
            ("a\"<&>\n\té", None),
            ("c", Some("")),
            ("d", Some("1")),
        ]));
        let expected = "<?xml version='1.0' encoding='utf-8'?>\n<instance>\n  \
            <parameter id=\"a&quot;&lt;&amp;&gt;&#10;&#9;é\">None</parameter>\n  \
            <parameter id=\"b\">&lt;&amp;&gt;\"'\n&#13;\t é</parameter>\n  <parameter id=\"c\"></parameter>\n  \
            <parameter id=\"d\">1</parameter>\n</instance>\n";
        assert_eq!(written, expected);
        assert_eq!(encode(&Parameters::new()), "<?xml version='1.0' encoding='utf-8'?>\n<instance/>\n");
    }

    #[test]
    fn reading() {
        for (document, expected) in [
            ("", vec![]),
            ("<instance/>", vec![]),
            ("<instance><parameter id='a'/></instance>", vec![("a", None)]),
            (
                "<instance><parameter id='a'>x</parameter> <parameter id='a'>y</parameter></instance>",
                vec![("a", Some("x y"))],
            ),
            (
                "<instance><x><parameter id='a'>x</parameter></x><parameter id='m'>a<b/>c</parameter></instance>",
                vec![("m", Some("a"))],
            ),
            (
                "<instance><parameter id='a&#10;&lt;'><![CDATA[<]]></parameter></instance>",
                vec![("a\n<", Some("<"))],
            ),
        ] {
            assert_eq!(decode(document).unwrap(), parameters(&expected), "{document}");
        }
    }

    #[test]
    fn what_is_refused_is_named() {
        for (document, expected) in [
            ("<!DOCTYPE a><instance/>", "DOCTYPE"),
            ("<instance><parameter id='a'>&x;</parameter></instance>", "&x;"),
            ("<instance><parameter>x</parameter></instance>", "no id"),
            ("<instance>", "ends before"),
            ("text", "ends before"),
            ("<a/><b/>", "second root"),
        ] {
            let error = decode(document).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            parameters in prop::collection::btree_map("[ -~\t\n\ré€]{0,9}", "[ -~\t\n\ré€]{1,9}".prop_map(Some), 0..5)
        ) {
            prop_assert_eq!(decode(&encode(&parameters)).unwrap(), parameters);
        }
    }
}
