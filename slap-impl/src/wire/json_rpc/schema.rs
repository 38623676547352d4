//! The part of JSON Schema (draft 7) that our description of the methods is written in: `type`, `enum`, `const`, `maxLength`,
//! `required`, `properties`, `additionalProperties`, `items`, and `$ref` to a definition. Another keyword is an error of the
//! description, and a test finds it.

use crate::vocabulary::{float_repr, text_repr};
use serde_json::{Map, Value as Json};

/// Checks a document. Of several mistakes the one nearest to the document's root is told, as Python's jsonschema chooses.
pub(super) fn check(schema: &Json, definitions: &Json, document: &Json) -> Result<(), String> {
    let mut mistakes = Mistakes { definitions, nearest: None };
    mistakes.look(schema, document, 0);
    mistakes.nearest.map_or(Ok(()), |(_, mistake)| Err(mistake))
}

struct Mistakes<'a> {
    definitions: &'a Json,
    nearest: Option<(usize, String)>,
}

impl Mistakes<'_> {
    fn add(&mut self, depth: usize, mistake: impl FnOnce() -> String) {
        if self.nearest.as_ref().is_none_or(|(nearest, _)| depth < *nearest) {
            self.nearest = Some((depth, mistake()));
        }
    }

    /// Documents are no deeper than their parser allows.
    fn look(&mut self, schema: &Json, document: &Json, depth: usize) {
        if let Some(name) = schema["$ref"].as_str() {
            let definitions = self.definitions;
            return self.look(&definitions[name], document, depth);
        }
        if let Some(wanted) = schema["type"].as_str()
            && !is_of_type(document, wanted)
        {
            self.add(depth, || format!("{} is not of type {}", repr(document), text_repr(wanted)));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(document)
        {
            self.add(depth, || format!("{} is not one of {}", repr(document), repr(&schema["enum"])));
        }
        if let Some(wanted) = schema.get("const")
            && wanted != document
        {
            self.add(depth, || format!("{} was expected", repr(wanted)));
        }
        match document {
            Json::String(text) => {
                let length_max = schema["maxLength"].as_u64();
                if length_max.is_some_and(|length_max| text.chars().count() as u64 > length_max) {
                    self.add(depth, || format!("{} is too long", repr(document)));
                }
            }
            Json::Array(items) => {
                for item in items.iter().filter(|_| schema.get("items").is_some()) {
                    self.look(&schema["items"], item, depth + 1);
                }
            }
            Json::Object(members) => self.look_at_members(schema, members, depth),
            _ => {}
        }
    }

    fn look_at_members(&mut self, schema: &Json, members: &Map<String, Json>, depth: usize) {
        let missing = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        for name in missing.filter(|name| !members.contains_key(*name)) {
            self.add(depth, || format!("{} is a required property", text_repr(name)));
        }
        let properties = schema["properties"].as_object();
        let is_known = |name: &str| properties.is_some_and(|properties| properties.contains_key(name));
        let mut others: Vec<&String> = members.keys().filter(|name| !is_known(name)).collect();
        others.sort();
        match &schema["additionalProperties"] {
            Json::Bool(false) if !others.is_empty() => self.add(depth, || {
                let verb = if others.len() == 1 { "was" } else { "were" };
                let mut names = String::new();
                for name in &others {
                    if names.len() > CHARACTERS_MAX {
                        names += ", ...";
                        break;
                    }
                    names += if names.is_empty() { "" } else { ", " };
                    names += &cut(text_repr(name));
                }
                format!("Additional properties are not allowed ({names} {verb} unexpected)")
            }),
            other @ Json::Object(_) => {
                for name in others {
                    self.look(other, &members[name], depth + 1);
                }
            }
            _ => {}
        }
        for (name, schema) in properties.into_iter().flatten() {
            if let Some(member) = members.get(name) {
                self.look(schema, member, depth + 1);
            }
        }
    }
}

fn is_of_type(document: &Json, wanted: &str) -> bool {
    match wanted {
        "object" => document.is_object(),
        "array" => document.is_array(),
        "string" => document.is_string(),
        "boolean" => document.is_boolean(),
        "number" => document.is_number(),
        // 1.0 is an integer (JSON Schema, 6.1.1 of its validation part).
        "integer" => match document {
            Json::Number(number) => {
                number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|it| it.fract() == 0.0)
            }
            _ => false,
        },
        _ => false,
    }
}

/// What a message holds of a stranger's document.
const CHARACTERS_MAX: usize = 1000;

fn cut(text: String) -> String {
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A document as Python shows it, and not more of it than a message should hold.
fn repr(document: &Json) -> String {
    let mut out = String::new();
    write_repr(document, &mut out);
    cut(out)
}

fn write_repr(document: &Json, out: &mut String) {
    // Of what is longer than this in bytes, all that is shown is there.
    if out.len() > 4 * CHARACTERS_MAX {
        return;
    }
    match document {
        Json::Null => out.push_str("None"),
        Json::Bool(true) => out.push_str("True"),
        Json::Bool(false) => out.push_str("False"),
        Json::Number(number) if number.is_f64() => {
            out.push_str(&float_repr(number.as_f64().unwrap_or_default()));
        }
        Json::Number(number) => out.push_str(&number.to_string()),
        Json::String(text) => out.push_str(&text_repr(text)),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_repr(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                out.push_str(&text_repr(name));
                out.push_str(": ");
                write_repr(member, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Keywords that are not understood would check nothing.
    #[test]
    fn our_description_uses_what_is_understood() {
        const UNDERSTOOD: [&str; 9] = [
            "$ref",
            "additionalProperties",
            "const",
            "enum",
            "items",
            "maxLength",
            "properties",
            "required",
            "type",
        ];
        fn look(schema: &Json, definitions: &Json) {
            for (keyword, value) in schema.as_object().expect("a schema is an object") {
                assert!(UNDERSTOOD.contains(&keyword.as_str()), "{keyword}");
                match keyword.as_str() {
                    "$ref" => assert!(definitions[value.as_str().unwrap()].is_object(), "{value}"),
                    "items" => look(value, definitions),
                    "additionalProperties" if value.is_object() => look(value, definitions),
                    "properties" => value.as_object().unwrap().values().for_each(|it| look(it, definitions)),
                    _ => {}
                }
            }
        }
        let definitions = &super::super::SCHEMA["definitions"];
        definitions.as_object().unwrap().values().for_each(|schema| look(schema, definitions));
        for method in super::super::methods() {
            let method = &super::super::SCHEMA["methods"][method];
            look(&method["request"], definitions);
            look(&method["answer"], definitions);
        }
    }

    /// Expected are the words of jsonschema 4.26 for the same schemas and documents.
    #[test]
    fn mistakes_are_told_as_python_tells_them() {
        let check = |schema: Json, document: Json, expected: &str| {
            let found = super::check(&schema, &json!({ "t": { "type": "string" } }), &document);
            assert_eq!(found.err().unwrap_or_default(), expected, "{schema} {document}");
        };
        check(json!({ "type": "integer" }), json!(1.5), "1.5 is not of type 'integer'");
        check(json!({ "type": "integer" }), json!(1.0), "");
        check(json!({ "type": "number" }), json!(true), "True is not of type 'number'");
        check(json!({ "const": "success" }), json!("x"), "'success' was expected");
        check(json!({ "enum": ["a", "b"] }), json!(null), "None is not one of ['a', 'b']");
        check(
            json!({ "$ref": "t" }),
            json!({ "a": [null, true, 1.5, "x'y"] }),
            "{'a': [None, True, 1.5, \"x'y\"]} is not of type 'string'",
        );
        let nested = json!({
            "required": ["c"],
            "properties": { "x": { "type": "string" }, "y": { "properties": { "z": { "type": "string" } } } },
        });
        check(nested.clone(), json!({ "x": 1, "y": { "z": 3 } }), "'c' is a required property");
        check(nested.clone(), json!({ "c": 0, "y": { "z": 3 }, "x": 1 }), "1 is not of type 'string'");
        check(nested, json!({ "c": 0, "y": { "z": 3 } }), "3 is not of type 'string'");
        check(json!({ "items": { "$ref": "t" } }), json!(["a", 2]), "2 is not of type 'string'");
    }
}
