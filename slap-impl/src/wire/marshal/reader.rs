//! The reader: quick-xml's events onto a stack of open elements.

use super::{Class, DEPTH_MAX, Dictionary, Object, Value, number};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use std::{collections::BTreeMap, fmt};

/// How long a document may be, and how large what it means when references are copied, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

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
    let mut reader = Reader::from_str(text);
    let mut decoder = Decoder { has_references: may_have_references(text), ..Decoder::default() };
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

/// Whether an element may be a reference. Only then is kept what references could mean, each part of it with all of its parts; "reference" is
/// a key in each computer's description.
fn may_have_references(text: &str) -> bool {
    let is_name = |place: usize| place > 0 && matches!(text.as_bytes()[place - 1], b'<' | b':');
    text.match_indices("reference").any(|(place, _)| is_name(place))
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
    copied: usize,
    has_references: bool,
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
                let text = resolve(&reference)?;
                self.text(&text)
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
        let id = attribute(start, "id")?;
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
                other => return Err(format!("{other:?} is not a boolean: expected 0 or 1")),
            },
            Kind::Integer => Value::Int(
                number::parse_integer(&text)
                    .ok_or_else(|| format!("{text:?} is not an integer of 127 bits"))?,
            ),
            Kind::Float => {
                Value::Float(number::parse_float(&text).ok_or_else(|| format!("{text:?} is not a number"))?)
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
        if let (Some(id), true, Kind::List | Kind::Dictionary | Kind::Object(_)) =
            (id, self.has_references, kind)
        {
            self.remember(id, &value)?;
        }
        if let Some(parent) = self.stack.last_mut() {
            parent.items.push(value);
        }
        Ok(())
    }

    fn remember(&mut self, id: String, value: &Value) -> Result<(), String> {
        self.count(value)?;
        self.known.insert(id, value.clone());
        Ok(())
    }

    fn copy(&mut self, id: &str) -> Result<Value, String> {
        let Some(value) = self.known.get(id).cloned() else {
            return Err(format!("the reference {id:?} is to nothing that was read before"));
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
        self.copied = self.copied.saturating_add(weight(value));
        if self.copied > DOCUMENT_BYTES_MAX {
            return Err(format!("its references mean more than {DOCUMENT_BYTES_MAX} bytes"));
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
        let Some(value) = items.next() else { return Err(format!("the key {key:?} has no value")) };
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

/// The text of `&name;`: one of the five that XML knows, or a character by its number.
pub(in crate::wire) fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let name = reference.xml10_content();
    let text = match name.as_ref() {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        other => return Err(format!("the entity &{}; is not accepted", shown(other))),
    };
    Ok(text.to_owned())
}

fn weight(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Text(text) => text.len(),
        Value::List(items) | Value::Tuple(items) => items.iter().map(weight).sum(),
        Value::Dictionary(items) => items.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        Value::Object(object) => {
            object.arguments.iter().map(weight).sum::<usize>()
                + object.attributes.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>()
        }
        _ => 0,
    };
    inner + std::mem::size_of::<Value>()
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
