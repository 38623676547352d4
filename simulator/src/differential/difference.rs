//! In what two sides differ: told to a person, and named so that a shorter list can be seen to show the same.

use super::picture::Picture;
use serde::Serialize;
use serde_json::Value;
use slap_model::{Event, Reply};
use std::{collections::BTreeSet, fmt};

const UNREADABLE: &str = "unreadable: ";

/// A difference between the model and a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// After which event of the list, from 0.
    pub at: usize,
    /// That event.
    pub event: Event,
    /// What differs, without names: equal for lists that show the same.
    pub kind: String,
    /// What differs: where, on the model's side, on the other side.
    pub parts: Vec<Part>,
}

/// A part that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it stands, such as `kept.instances.t0/t1.state`.
    pub place: String,
    /// What the model says.
    pub model: String,
    /// What the other says.
    pub other: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "event {}: {}", self.at + 1, self.kind)?;
        self.parts.iter().try_for_each(|part| {
            writeln!(formatter, "  {}: the model {}, the master {}", part.place, part.model, part.other)
        })
    }
}

impl Difference {
    /// The difference after an event, if there is one. `real` may hold what nothing of the model's is.
    pub(super) fn of(
        at: usize,
        event: &Event,
        model: (&Reply, &Picture),
        real: (&Result<Reply, String>, &Result<Picture, String>),
    ) -> Option<Difference> {
        if real.0.as_ref() == Ok(model.0) && real.1.as_ref() == Ok(model.1) {
            return None;
        }
        let mut parts = Vec::new();
        compare("reply", &json(model.0), &side(real.0), &mut parts);
        compare("kept", &json(model.1), &side(real.1), &mut parts);
        let mut difference = Difference::new(at, event, parts);
        if real.0.as_ref() != Ok(model.0) {
            // Which replies they are belongs to the difference: two refusals may be told for many reasons.
            let real = real.0.as_ref().map_or("unreadable".to_owned(), |reply| reply.kind().to_string());
            difference.kind = format!("{}, {} instead of {}", difference.kind, real, model.0.kind());
        }
        Some(difference)
    }

    /// A difference of these parts, if there are any.
    pub(super) fn of_parts(at: usize, event: &Event, parts: Vec<Part>) -> Option<Difference> {
        if parts.is_empty() { None } else { Some(Difference::new(at, event, parts)) }
    }

    /// A difference of these parts.
    pub fn new(at: usize, event: &Event, parts: Vec<Part>) -> Difference {
        let fields: BTreeSet<String> = parts.iter().map(Part::field).collect();
        let fields: Vec<String> = fields.into_iter().collect();
        let kind = format!("{}: {}", event.kind(), fields.join(", "));
        Difference { at, event: event.clone(), kind, parts }
    }
}

impl Part {
    /// The place without names, and what a refusal or a status says instead.
    fn field(&self) -> String {
        let is_name = |word: &&str| word.chars().any(|letter| letter.is_ascii_digit());
        let words: Vec<&str> =
            self.place.split('.').map(|word| if is_name(&word) { "*" } else { word }).collect();
        words.join(".")
    }
}

/// A value as JSON.
pub fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("keys are text and numbers are finite")
}

/// A side that may be unreadable, as JSON.
pub(super) fn side(value: &Result<impl Serialize, String>) -> Value {
    match value {
        Ok(value) => json(value),
        Err(error) => Value::String(format!("{UNREADABLE}{error}")),
    }
}

/// Adds the parts in which two values differ.
pub fn compare(place: &str, model: &Value, other: &Value, parts: &mut Vec<Part>) {
    if model == other {
        return;
    }
    if let (Value::Object(left), Value::Object(right)) = (model, other) {
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        // A reply of another kind differs as a whole.
        if keys.iter().any(|key| left.contains_key(*key) && right.contains_key(*key)) || place != "reply" {
            for key in keys {
                let at = |side: &serde_json::Map<String, Value>| side.get(key).cloned();
                compare_optional(&format!("{place}.{key}"), at(left), at(right), parts);
            }
            return;
        }
    }
    let is_unreadable = other.as_str().is_some_and(|text| text.starts_with(UNREADABLE));
    let model = if is_unreadable { "has something else".to_owned() } else { model.to_string() };
    parts.push(Part { place: place.to_owned(), model, other: other.to_string() });
}

fn compare_optional(place: &str, model: Option<Value>, other: Option<Value>, parts: &mut Vec<Part>) {
    match (model, other) {
        (Some(model), Some(other)) => compare(place, &model, &other, parts),
        (model, other) => {
            let text = |side: Option<Value>| side.map_or("has none".to_owned(), |value| value.to_string());
            parts.push(Part { place: place.to_owned(), model: text(model), other: text(other) });
        }
    }
}
