//! What writes marshalled documents.

use super::{Class, Dictionary, MODULE, Value, is_xml, number, python_float};
use std::fmt::Write as _;

/// How an id begins, up to its number.
const ID: &str = " id=\"i";

/// Bytes that the answer to a request takes, more or less.
const USUAL: usize = 2 << 10;

/// The document of `value`, byte for byte what `slapos.util.dumps` writes: no declaration, ids counted from i2,
/// dictionaries sorted, everything that is not ASCII as a numeric reference.
pub fn encode(value: &Value) -> String {
    let mut writer = Writer::new();
    writer.value(value);
    writer.finish()
}

/// Writes a document.
#[derive(Debug)]
pub struct Writer {
    out: String,
    last_id: usize,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer::new()
    }
}

impl Writer {
    /// At the beginning of a document.
    pub fn new() -> Writer {
        let mut out = String::with_capacity(USUAL);
        out.push_str("<marshal>");
        Writer { out, last_id: 1 }
    }

    /// The document.
    pub fn finish(mut self) -> String {
        self.out.push_str("</marshal>");
        self.out
    }

    /// How many bytes are written.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// The last id that was given.
    pub fn last_id(&self) -> usize {
        self.last_id
    }

    /// Makes room for so many more bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// Writes again what a writer wrote when `before` was its last id, and `ids` ids were given in it; they are given anew.
    pub fn copy(&mut self, written: &str, before: usize, ids: usize) {
        if before == self.last_id {
            self.out.push_str(written);
        } else {
            let mut rest = written;
            // Text holds no `<`: it is escaped. So what stands behind one is an element, and an id its first attribute.
            while let Some(open) = rest.find('<') {
                let element = &rest[open + 1..];
                let name = element.bytes().take_while(u8::is_ascii_lowercase).count();
                let head = open + 1 + name;
                self.out.push_str(&rest[..head]);
                rest = &rest[head..];
                if let Some(number) = rest.strip_prefix(ID) {
                    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
                    let old: usize = number[..digits].parse().unwrap_or(before);
                    // Writing to a String cannot fail.
                    let _ = write!(self.out, "{ID}{}", self.last_id + (old - before));
                    rest = &number[digits..];
                }
            }
            self.out.push_str(rest);
        }
        self.last_id += ids;
    }

    /// Begins an object: with its class and its constructor's arguments; its attributes must follow as a dictionary.
    pub fn begin_object(&mut self, class: Class, arguments: &[Value]) {
        self.start("object");
        self.push(&[" module=\"", MODULE, "\" class=\"", class.as_str(), "\"><tuple"]);
        self.items("tuple", arguments);
    }

    /// Begins a list or a dictionary that is not empty.
    pub fn begin(&mut self, element: &str) {
        self.start(element);
        self.out.push('>');
    }

    /// Ends what was begun: `object`, `list` or `dictionary`.
    pub fn end(&mut self, element: &str) {
        self.push(&["</", element, ">"]);
    }

    /// Writes a value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::None => self.out.push_str("<none/>"),
            Value::Bool(value) => self.leaf("bool", if *value { "1" } else { "0" }),
            Value::Int(value) => self.leaf(number::integer_element(*value), &value.to_string()),
            Value::Float(value) => self.leaf("float", &python_float(*value)),
            Value::Text(text) => self.text(text),
            Value::List(items) => {
                self.start("list");
                self.items("list", items);
            }
            Value::Tuple(items) => {
                self.out.push_str("<tuple");
                self.items("tuple", items);
            }
            Value::Dictionary(items) => self.dictionary(items),
            Value::Object(object) => {
                self.begin_object(object.class, &object.arguments);
                self.dictionary(&object.attributes);
                self.end("object");
            }
        }
    }

    /// Each request's answer is written so: no piece is allocated by itself.
    fn push(&mut self, pieces: &[&str]) {
        pieces.iter().for_each(|piece| self.out.push_str(piece));
    }

    /// The beginning of an element with the next id.
    fn start(&mut self, element: &str) {
        self.last_id += 1;
        // Writing to a String cannot fail.
        let _ = write!(self.out, "<{element}{ID}{}\"", self.last_id);
    }

    fn leaf(&mut self, element: &str, content: &str) {
        self.push(&["<", element, ">", content, "</", element, ">"]);
    }

    /// What stands in an element whose beginning is written, and its end.
    fn items(&mut self, element: &str, items: &[Value]) {
        if items.is_empty() {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        for item in items {
            self.value(item);
        }
        self.end(element);
    }

    fn dictionary(&mut self, items: &Dictionary) {
        self.start("dictionary");
        if items.is_empty() {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        for (key, value) in items {
            self.text(key);
            self.value(value);
        }
        self.out.push_str("</dictionary>");
    }

    /// Writes text.
    pub fn text(&mut self, text: &str) {
        self.out.push_str("<string>");
        let is_plain =
            |byte: u8| matches!(byte, b'\t' | b'\n' | b' '..=b'\x7f') && !matches!(byte, b'<' | b'>' | b'&');
        if text.bytes().all(is_plain) {
            self.out.push_str(text);
            self.out.push_str("</string>");
            return;
        }
        for character in text.chars() {
            match character {
                '<' => self.out.push_str("&amp;lt;"),
                '>' => self.out.push_str("&amp;gt;"),
                '&' => self.out.push_str("&amp;amp;"),
                '\t' | '\n' | ' '..='\x7f' => self.out.push(character),
                // Writing to a String cannot fail.
                other => {
                    let _ =
                        write!(self.out, "&#{};", u32::from(if is_xml(other) { other } else { '\u{fffd}' }));
                }
            }
        }
        self.out.push_str("</string>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::None),
            any::<bool>().prop_map(Value::Bool),
            "[ -~]{0,8}|<list id=\"i7\">|é&#7;".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Tuple),
                prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(Value::Dictionary),
            ]
        })
    }

    proptest! {
        /// Pieces that were written elsewhere make the same document as if all were written here.
        #[test]
        fn copies_are_renumbered(items in prop::collection::vec(values(), 1..5), others in prop::collection::vec(values(), 0..3)) {
            let mut elsewhere = Writer::new();
            others.iter().for_each(|value| elsewhere.value(value));
            let mut here = Writer::new();
            here.begin("list");
            for item in &items {
                let (start, before) = (elsewhere.position(), elsewhere.last_id());
                elsewhere.value(item);
                here.copy(&elsewhere.out[start..], before, elsewhere.last_id() - before);
            }
            here.end("list");
            prop_assert_eq!(here.finish(), encode(&Value::List(items)));
        }
    }
}
