//! Arguments of a request: a query or a form-encoded body, read strictly.

use super::decisions::Refusal;
use crate::{
    wire::marshal::{self, Value},
    wire::{http::server::Request, instance_xml::Parameters},
};
use percent_encoding::percent_decode_str;
use std::{collections::BTreeMap, fmt::Display, str::FromStr};

const ARGUMENTS_MAX: usize = 256;

/// The arguments of one request; of a name that stands twice, the first counts (as in slapproxy).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    endpoint: String,
    arguments: BTreeMap<String, String>,
}

impl Form {
    /// The query of a GET, or the body of a POST.
    pub(super) fn read(request: &Request, endpoint: &str) -> Result<Form, Refusal> {
        let encoded = if request.method == "POST" {
            let media_type = request.header("content-type").unwrap_or("application/x-www-form-urlencoded");
            let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            if media_type != "application/x-www-form-urlencoded" && !request.body.is_empty() {
                return Err(Refusal::new(
                    415,
                    format!(
                        "{endpoint} does not take {media_type}: expected application/x-www-form-urlencoded"
                    ),
                ));
            }
            std::str::from_utf8(&request.body)
                .map_err(|_| Refusal::new(400, format!("{endpoint}: the body is not UTF-8")))?
        } else {
            &request.query
        };
        Form::parse(encoded, endpoint)
    }

    fn parse(encoded: &str, endpoint: &str) -> Result<Form, Refusal> {
        let mut arguments = BTreeMap::new();
        for (before, pair) in encoded.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if before >= ARGUMENTS_MAX {
                return Err(Refusal::new(400, format!("{endpoint}: over {ARGUMENTS_MAX} arguments")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape(name, endpoint)?, unescape(value, endpoint)?);
            arguments.entry(name).or_insert(value);
        }
        Ok(Form { endpoint: endpoint.to_owned(), arguments })
    }

    /// An argument that may be missing.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).map(String::as_str)
    }

    /// An argument that must be there; it may be empty.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.optional(name).ok_or_else(|| {
            Refusal::new(400, format!("{} needs the argument {name}, which is missing", self.endpoint))
        })
    }

    /// An argument that must be there and be an id or a state.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Refusal> {
        self.required(name)?.parse().map_err(|error| self.bad(name, &error))
    }

    /// The meaning of a marshalled argument; none when it is missing.
    pub(super) fn marshalled(&self, name: &str) -> Result<Value, Refusal> {
        match self.optional(name) {
            None | Some("") => Ok(Value::None),
            Some(document) => {
                marshal::decode_argument(document.as_bytes()).map_err(|error| self.bad(name, &error))
            }
        }
    }

    /// A marshalled dictionary of text; numbers and booleans are taken as Python's `str()` writes them.
    pub(super) fn parameters(&self, name: &str) -> Result<Parameters, Refusal> {
        let nested = "nested values go as JSON into the parameter `_`";
        self.texts(name, Value::to_plain_text, "text, a number or a boolean", nested)
    }

    /// A marshalled dictionary of values, each as Python's `str()` writes it (slapos/util.py, `dict2xml`): what recipes publish.
    pub(super) fn published(&self, name: &str) -> Result<Parameters, Refusal> {
        let hint = "Python would write where it stood in memory";
        self.texts(name, Value::to_python_text, "text, a number, a list or a dictionary", hint)
    }

    fn texts(
        &self,
        name: &str,
        text_of: fn(&Value) -> Option<String>,
        expected: &str,
        hint: &str,
    ) -> Result<Parameters, Refusal> {
        let value = self.marshalled(name)?;
        let items = match &value {
            Value::None => return Ok(Parameters::new()),
            Value::Dictionary(items) => items,
            other => return Err(self.bad(name, &format!("it is {}: expected a dictionary", other.kind()))),
        };
        items
            .iter()
            .map(|(key, value)| match (value, text_of(value)) {
                (Value::None, _) => Ok((key.clone(), None)),
                (_, Some(text)) => Ok((key.clone(), Some(text))),
                (other, None) => {
                    let shown: String = key.chars().take(80).collect();
                    let reason = format!("{shown:?} is {}: expected {expected}", other.kind());
                    Err(self.bad(name, &reason).hint(hint))
                }
            })
            .collect()
    }

    pub(super) fn bad(&self, name: &str, reason: &dyn Display) -> Refusal {
        Refusal::new(400, format!("{}: {name}: {reason}", self.endpoint))
    }
}

fn unescape(text: &str, endpoint: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    for (number, piece) in text.split('+').enumerate() {
        if number > 0 {
            bytes.push(b' ');
        }
        bytes.extend(percent_decode_str(piece));
    }
    String::from_utf8(bytes).map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Refusal::new(400, format!("{endpoint}: {shown:?} does not stand for UTF-8 text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_strictly() {
        let form = Form::parse("a=1+2&a=3&b=%C3%A9%26&c&=x", "test").unwrap();
        assert_eq!(form.optional("a"), Some("1 2"));
        assert_eq!(form.required("b").unwrap(), "é&");
        assert_eq!(form.required("c").unwrap(), "");
        assert_eq!(form.required("d").unwrap_err().message, "test needs the argument d, which is missing");
        let form = Form::parse("a=%2B+%2b%zz%4+%", "test").unwrap();
        assert_eq!(form.optional("a"), Some("+ +%zz%4 %"));
        assert!(Form::parse("a=%FF", "test").unwrap_err().message.contains("UTF-8"));
        assert_eq!(Form::parse(&"a&".repeat(256), "test").unwrap().optional("a"), Some(""));
        assert_eq!(Form::parse(&"a&".repeat(257), "test").unwrap_err().status, 400);
        let many: String = (0..257).map(|number| format!("a{number}&")).collect();
        assert_eq!(Form::parse(&many, "test").unwrap_err().status, 400);
    }

    #[test]
    fn parameters_are_text() {
        let check = |document: &str, expected: Result<&str, &str>| {
            let mut form = Form { endpoint: "test".into(), ..Form::default() };
            form.arguments.insert("xml".into(), document.into());
            let found = form.parameters("xml").map(|parameters| format!("{parameters:?}"));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.message.contains(expected), "{found}"),
                (found, expected) => panic!("{document}: {found:?} instead of {expected:?}"),
            }
        };
        let dictionary =
            |inner: &str| format!("<marshal><dictionary id=\"i2\">{inner}</dictionary></marshal>");
        check("", Ok("{}"));
        check(&dictionary("<string>a</string><int>1</int>"), Ok("{\"a\": Some(\"1\")}"));
        check(&dictionary("<string>a</string><bool>1</bool>"), Ok("{\"a\": Some(\"True\")}"));
        check(&dictionary("<string>a</string><list id=\"i3\"/>"), Err("\"a\" is a list"));
        check("<marshal><string>a</string></marshal>", Err("it is text: expected a dictionary"));
        check("<!DOCTYPE a><marshal/>", Err("test: xml:"));
    }

    #[test]
    fn what_is_published_is_what_python_writes() {
        // Each text is that of slapos.util.dict2xml for the value.
        let check = |value: Value, expected: Option<&str>| {
            let mut form = Form { endpoint: "test".into(), ..Form::default() };
            let document = marshal::encode(&Value::dictionary([("a", value)]));
            form.arguments.insert("xml".into(), document);
            match (form.published("xml"), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found["a"].as_deref(), Some(expected)),
                (Err(found), None) => assert!(found.message.contains("\"a\" is"), "{found}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        };
        let text = |text: &str| Value::text(text);
        check(text("it's"), Some("it's"));
        check(Value::List(Vec::new()), Some("[]"));
        check(
            Value::List(vec![Value::Int(1), text("a'\n\u{e9}\u{7f}"), Value::None, Value::Bool(true)]),
            Some("[1, \"a'\\n\u{e9}\\x7f\", None, True]"),
        );
        check(Value::Tuple(vec![Value::Float(2.0)]), Some("(2.0,)"));
        check(Value::Tuple(vec![Value::Float(1e16), Value::Tuple(Vec::new())]), Some("(1e+16, ())"));
        let inner = Value::dictionary([("k", Value::List(vec![text("v")])), ("b", Value::Int(-1))]);
        check(inner, Some("{'b': -1, 'k': ['v']}"));
        check(Value::dictionary::<String>([]), Some("{}"));
        let object = crate::wire::marshal::Object {
            class: crate::wire::marshal::Class::Computer,
            arguments: vec![text("c")],
            attributes: BTreeMap::new(),
        };
        check(Value::List(vec![Value::Object(Box::new(object))]), None);
    }
}
