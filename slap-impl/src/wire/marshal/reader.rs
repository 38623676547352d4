//! The reader: quick-xml's events onto a stack of open elements.

use super::{Class, DEPTH_MAX, Dictionary, Object, Value, number};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// How long a document may be, and how large what it means when references are copied, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many values an argument of a request may hold, with those that references mean: who asks shall not keep a master busy. A
/// form of 1 MiB in which `<` and `>` are escaped has no room for more; a computer of 1000 partitions takes some 25,000.
pub const ARGUMENT_VALUES_MAX: usize = 1 << 15;

/// How much the references of such an argument may mean, in bytes.
const ARGUMENT_COPIED_BYTES_MAX: usize = 4 << 20;

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarshalError {
    message: String,
    offset: Option<u64>,
}

impl MarshalError {
    /// An error of what a document means, rather than of how it is written.
    pub fn new(message: impl Into<String>) -> MarshalError {
        MarshalError { message: message.into(), offset: None }
    }
}

impl fmt::Display for MarshalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bad marshal document")?;
        if let Some(offset) = self.offset {
            write!(formatter, " at byte {offset}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for MarshalError {}

/// Reads a document.
///
/// # Errors
/// When it is not well-formed, is longer than [`DOCUMENT_BYTES_MAX`], is nested deeper than [`DEPTH_MAX`], or holds a DOCTYPE,
/// an entity, an element or a class that slapos.core does not write.
pub fn decode(document: &[u8]) -> Result<Value, MarshalError> {
    decode_within(document, Room { values: usize::MAX, copied_bytes: DOCUMENT_BYTES_MAX })
}

/// Reads what a stranger sends: no more than [`ARGUMENT_VALUES_MAX`] values.
///
/// # Errors
/// As [`decode`], and when there are more.
pub fn decode_argument(document: &[u8]) -> Result<Value, MarshalError> {
    decode_within(document, Room { values: ARGUMENT_VALUES_MAX, copied_bytes: ARGUMENT_COPIED_BYTES_MAX })
}

/// How much a document may mean.
#[derive(Clone, Copy, Default)]
struct Room {
    /// Values, with those that are copied.
    values: usize,
    /// Bytes of what is copied.
    copied_bytes: usize,
}

fn decode_within(document: &[u8], room: Room) -> Result<Value, MarshalError> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(MarshalError::new(format!(
            "it has {} bytes, and {DOCUMENT_BYTES_MAX} are accepted",
            document.len()
        )));
    }
    let text = std::str::from_utf8(document).map_err(|error| MarshalError {
        message: "it is not UTF-8".to_owned(),
        offset: Some(error.valid_up_to() as u64),
    })?;
    if let Some(value) = plain(text) {
        return Ok(value);
    }
    read(text, room)
}

/// A document of one plain value, as slapos.core writes it: what most arguments of a request are. It is read at a tenth of the cost.
fn plain(text: &str) -> Option<Value> {
    let element = text.strip_prefix("<marshal>")?.strip_suffix("</marshal>")?;
    Some(match element {
        "<none/>" => Value::None,
        "<bool>0</bool>" => Value::Bool(false),
        "<bool>1</bool>" => Value::Bool(true),
        "<dictionary id=\"i2\"/>" => Value::Dictionary(Dictionary::new()),
        _ => {
            let text = element.strip_prefix("<string>")?.strip_suffix("</string>")?;
            let is_plain = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'<' | b'>' | b'&');
            Value::Text(text.bytes().all(is_plain).then(|| text.to_owned())?)
        }
    })
}

fn read(text: &str, room: Room) -> Result<Value, MarshalError> {
    let mut reader = Reader::from_str(text);
    let mut decoder = Decoder { referenced: referenced(text), room, ..Decoder::default() };
    loop {
        let offset = reader.buffer_position();
        let step = match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(event) => decoder.event(event),
            Err(error) => Err(error.to_string()),
        };
        step.map_err(|message| MarshalError { message, offset: Some(offset) })?;
    }
    decoder.finish()
}

/// The ids that references name. Only what these mean is kept, for each part of it has all of its parts; "reference" is a key in each
/// computer's description. What stands in a comment may be among them, and what is no reference for the reader is none here.
fn referenced(text: &str) -> BTreeSet<String> {
    let reference = |tag: &str| {
        let is_end = |byte: u8| byte.is_ascii_whitespace() || byte == b'/' || byte == b'>';
        let name = &tag[..tag.bytes().position(is_end).unwrap_or(tag.len())];
        let prefix = name.strip_suffix("reference")?;
        if !prefix.is_empty() && !prefix.ends_with(':') {
            return None;
        }
        let mut quote = None;
        let end = tag.find(|character: char| {
            match (quote, character) {
                (None, '"' | '\'') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                _ => {}
            }
            quote.is_none() && character == '>'
        })?;
        let start = BytesStart::from_content(tag[..end].trim_end_matches('/'), name.len());
        attribute(&start, "id").ok().flatten()
    };
    let mut ids = BTreeSet::new();
    // Most documents have none, and looking at each tag costs as much as a quarter of reading it.
    if !text.contains("reference") {
        return ids;
    }
    for tag in text.split('<') {
        match plain_reference(tag) {
            Some(id) if ids.contains(id) => {}
            Some(id) => ids.extend([id.to_owned()]),
            None => ids.extend(reference(tag)),
        }
    }
    ids
}

/// The id of a reference that is written as slapos.core writes it, without the cost of reading its attributes.
fn plain_reference(tag: &str) -> Option<&str> {
    let (id, _) = tag.strip_prefix("reference id=\"")?.split_once("\"/>")?;
    id.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(id)
}

/// An element that is not closed yet.
struct Open {
    kind: Kind,
    id: Option<String>,
    text: String,
    items: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    None,
    Bool,
    Integer,
    Float,
    Text,
    List,
    Tuple,
    Dictionary,
    Object(Class),
    Reference,
}

#[derive(Default)]
struct Decoder {
    stack: Vec<Open>,
    result: Option<Value>,
    known: BTreeMap<String, Value>,
    referenced: BTreeSet<String>,
    room: Room,
    /// What was read so far, and what was copied of it.
    values: usize,
    copied_bytes: usize,
}

impl Decoder {
    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(start) => self.open(&start),
            Event::Empty(start) => {
                self.open(&start)?;
                self.close()
            }
            Event::End(_) => self.close(),
            Event::Text(text) => self.text(&text.xml10_content()),
            Event::CData(text) => self.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = resolve(&reference)?;
                self.text(character.encode_utf8(&mut [0; 4]))
            }
            Event::DocType(_) => Err("a DOCTYPE is not accepted".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.stack.len() > DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX}"));
        }
        let name = start.local_name();
        let name = name.as_ref();
        let kind = kind_of(name, start)?;
        match (self.stack.last(), kind) {
            (None, Kind::Root) if self.result.is_none() => {}
            (None, Kind::Root) => return Err("a second <marshal>".to_owned()),
            (None, _) => return Err(format!("<{}> stands where <marshal> is expected", shown(name))),
            (Some(_), Kind::Root) => return Err("<marshal> stands inside <marshal>".to_owned()),
            (Some(open), _) if !open.kind.holds_items() => {
                return Err(format!("<{}> stands inside an element that holds text", shown(name)));
            }
            _ => {}
        }
        self.take(usize::from(kind != Kind::Root))?;
        let id = if self.referenced.is_empty() { None } else { attribute(start, "id")? };
        self.stack.push(Open { kind, id, text: String::new(), items: Vec::new() });
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        // Expat refuses them, too. They could be written only as something else, and two keys could become one.
        if let Some(character) = text.chars().find(|character| !super::is_xml(*character)) {
            return Err(format!("the character U+{:04X} is none of XML", u32::from(character)));
        }
        match self.stack.last_mut() {
            Some(open) if open.kind.holds_text() => {
                open.text.push_str(text);
                Ok(())
            }
            _ if text.trim().is_empty() => Ok(()),
            _ => {
                let shown: String = text.chars().take(40).collect();
                Err(format!("the text {shown:?} stands where an element is expected"))
            }
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(open) = self.stack.pop() else { return Err("an end without a start".to_owned()) };
        let Open { kind, id, text, mut items } = open;
        let value = match kind {
            Kind::Root => {
                if items.len() != 1 {
                    return Err(format!("<marshal> holds {} values instead of one", items.len()));
                }
                self.result = items.pop();
                return Ok(());
            }
            Kind::None => Value::None,
            Kind::Bool => match text.trim() {
                "0" => Value::Bool(false),
                "1" => Value::Bool(true),
                other => return Err(format!("{:?} is not a boolean: expected 0 or 1", shown(other))),
            },
            Kind::Integer => Value::Int(
                number::parse_integer(&text)
                    .ok_or_else(|| format!("{:?} is not an integer of 127 bits", shown(&text)))?,
            ),
            Kind::Float => {
                let number = number::parse_float(&text);
                Value::Float(number.ok_or_else(|| format!("{:?} is not a number", shown(&text)))?)
            }
            // The marshaller's own escaping, which a writer may have left out.
            Kind::Text => Value::Text(match text.contains('&') {
                true => text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"),
                false => text,
            }),
            Kind::List => Value::List(items),
            Kind::Tuple => Value::Tuple(items),
            Kind::Dictionary => Value::Dictionary(pairs(items)?),
            Kind::Object(class) => Value::Object(Box::new(object(class, items)?)),
            Kind::Reference => self.copy(id.as_deref().unwrap_or(""))?,
        };
        if let (Some(id), Kind::List | Kind::Dictionary | Kind::Object(_)) = (id, kind)
            && self.referenced.contains(&id)
        {
            self.count(&value)?;
            self.known.insert(id, value.clone());
        }
        if let Some(parent) = self.stack.last_mut() {
            parent.items.push(value);
        }
        Ok(())
    }

    fn copy(&mut self, id: &str) -> Result<Value, String> {
        let Some(value) = self.known.get(id).cloned() else {
            return Err(format!("the reference {:?} is to nothing that was read before", shown(id)));
        };
        self.count(&value)?;
        // A copy of what is deep, in what is deep: written out, nobody could read it again.
        if self.stack.len() + depth(&value) > DEPTH_MAX + 1 {
            return Err(format!("with its references it is nested deeper than {DEPTH_MAX}"));
        }
        Ok(value)
    }

    /// References are copied, so what they mean together is bounded, too.
    fn count(&mut self, value: &Value) -> Result<(), String> {
        let (values, bytes) = weight(value);
        self.copied_bytes = self.copied_bytes.saturating_add(bytes);
        if self.copied_bytes > self.room.copied_bytes {
            return Err(format!("its references mean more than {} bytes", self.room.copied_bytes));
        }
        self.take(values)
    }

    fn take(&mut self, values: usize) -> Result<(), String> {
        self.values = self.values.saturating_add(values);
        if self.values > self.room.values {
            return Err(format!("it holds more than {} values", self.room.values));
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, MarshalError> {
        if !self.stack.is_empty() {
            return Err(MarshalError::new("it ends within an element"));
        }
        self.result.ok_or_else(|| MarshalError::new("it holds no <marshal>"))
    }
}

impl Kind {
    fn holds_items(self) -> bool {
        matches!(self, Kind::Root | Kind::List | Kind::Tuple | Kind::Dictionary | Kind::Object(_))
    }

    fn holds_text(self) -> bool {
        matches!(self, Kind::Bool | Kind::Integer | Kind::Float | Kind::Text)
    }
}

fn kind_of(name: &str, start: &BytesStart<'_>) -> Result<Kind, String> {
    Ok(match name {
        "marshal" => Kind::Root,
        "none" => Kind::None,
        "bool" => Kind::Bool,
        "int" | "long" => Kind::Integer,
        "float" => Kind::Float,
        "string" | "unicode" => Kind::Text,
        "list" => Kind::List,
        "tuple" => Kind::Tuple,
        "dictionary" => Kind::Dictionary,
        "reference" => Kind::Reference,
        "object" => {
            let module = attribute(start, "module")?.unwrap_or_default();
            let class = attribute(start, "class")?.unwrap_or_default();
            match Class::find(&module, &class) {
                Some(class) => Kind::Object(class),
                None => {
                    return Err(format!("the class {} is not accepted", shown(&format!("{module}.{class}"))));
                }
            }
        }
        other => return Err(format!("the element <{}> is not accepted", shown(other))),
    })
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    match start.try_get_attribute(name).map_err(|error| error.to_string())? {
        Some(attribute) => {
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            Ok(Some(value.into_owned()))
        }
        None => Ok(None),
    }
}

fn pairs(items: Vec<Value>) -> Result<Dictionary, String> {
    let mut dictionary = Dictionary::new();
    let mut items = items.into_iter();
    while let Some(key) = items.next() {
        let Value::Text(key) = key else {
            return Err(format!("a dictionary's key is {}: expected text", key.kind()));
        };
        let Some(value) = items.next() else { return Err(format!("the key {:?} has no value", shown(&key))) };
        dictionary.insert(key, value);
    }
    Ok(dictionary)
}

fn object(class: Class, items: Vec<Value>) -> Result<Object, String> {
    let mut items = items.into_iter();
    let (arguments, attributes) = match (items.next(), items.next(), items.next()) {
        (Some(Value::Tuple(arguments)), Some(Value::Dictionary(attributes)), None) => (arguments, attributes),
        // CPython 3.11 writes none for an object without attributes.
        (Some(Value::Tuple(arguments)), Some(Value::None), None) => (arguments, Dictionary::new()),
        _ => return Err(format!("{} is not a tuple and a dictionary", class.as_str())),
    };
    Ok(Object { class, arguments, attributes })
}

/// What `&name;` means: one of the five that XML knows, or a character by its number.
pub(in crate::wire) fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    let name = reference.xml10_content();
    Ok(match name.as_ref() {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        other => return Err(format!("the entity &{}; is not accepted", shown(other))),
    })
}

fn weight(value: &Value) -> (usize, usize) {
    let add = |(values, bytes): (usize, usize), more: (usize, usize)| (values + more.0, bytes + more.1);
    let items = |items: &[Value]| items.iter().map(weight).fold((0, 0), add);
    let members = |members: &Dictionary| {
        members.iter().map(|(key, value)| add((1, key.len()), weight(value))).fold((0, 0), add)
    };
    let inner = match value {
        Value::Text(text) => (0, text.len()),
        Value::List(list) | Value::Tuple(list) => items(list),
        Value::Dictionary(dictionary) => members(dictionary),
        Value::Object(object) => add(items(&object.arguments), members(&object.attributes)),
        _ => (0, 0),
    };
    add(inner, (1, size_of::<Value>()))
}

/// How many elements stand in each other when a value is written.
fn depth(value: &Value) -> usize {
    let deepest = |values: &mut dyn Iterator<Item = &Value>| values.map(depth).max().unwrap_or(0);
    match value {
        Value::List(items) | Value::Tuple(items) => 1 + deepest(&mut items.iter()),
        Value::Dictionary(items) => 1 + deepest(&mut items.values()),
        Value::Object(object) => {
            2 + deepest(&mut object.arguments.iter()).max(deepest(&mut object.attributes.values()))
        }
        _ => 1,
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: Room = Room { values: 8, copied_bytes: 1 << 10 };

    #[test]
    fn what_slapos_sends_most_is_plain() {
        for element in ["none/", "bool>0</bool", "bool>1</bool", "string></string", "string>started</string"]
        {
            assert!(plain(&format!("<marshal><{element}></marshal>")).is_some(), "{element}");
        }
        assert!(plain(&super::super::encode(&Value::Dictionary(Dictionary::new()))).is_some());
    }

    proptest! {
        /// The short way leads where the long one does.
        #[test]
        fn plain_documents_mean_what_they_say(
            element in prop_oneof![
                "<string>[ -~]{0,6}</string>",
                "<string>[a&;<>\t\n\ré]{0,4}</string>",
                "<bool>[0-2]{0,2}</bool>",
                "<(none|dictionary id=\"i[2-3]\"|string)/?>",
                "(<none/>|<string>a</string>){0,2}",
            ],
        ) {
            let document = format!("<marshal>{element}</marshal>");
            if let Some(value) = plain(&document) {
                prop_assert_eq!(read(&document, ROOM), Ok(value));
            }
        }
    }
}
