//! Round trips of marshalled documents between our codec and Python's xml_marshaller, in both directions.
//!
//! Ours first: values drawn here are encoded; what Python loads and dumps again must be the same bytes. Python's first: values drawn
//! there, all four classes and references among them, are dumped; what we decode and encode again must mean the same to Python, and
//! be the same bytes where nothing stands in it twice.

use super::{
    seen::Seen,
    table::Row,
    world::{Tools, marked},
};
use serde_json::{Value as Json, json};
use slap_impl::{
    env::Output,
    wire::marshal::{Class, Dictionary, Object, Value, decode, encode},
};
use std::{fmt::Write as _, path::Path, time::Duration};

const DRIVER: &str = include_str!("../../python/marshal.py");
/// Values in each direction.
const VALUES: u64 = 1500;
/// How long Python may take for all of them.
const LIMIT: Duration = Duration::from_mins(3);

/// Both rows.
pub(super) async fn rows(tools: &Tools) -> Vec<Row> {
    let names = ["marshal: slap, Python, slap", "marshal: Python, slap"];
    match all(tools).await {
        Ok(rows) => rows,
        Err(reason) => names.map(|name| Row::failed("m", name, &reason)).into(),
    }
}

async fn all(tools: &Tools) -> Result<Vec<Row>, String> {
    let mut chance = Chance(7);
    let values: Vec<Value> = (0..VALUES).map(|number| any_value(&mut chance, number)).collect();
    let jobs = values.iter().map(|value| json!({"load": encode(value)})).collect();
    let answers = ask(tools, "first", jobs).await?;
    let (mut real, mut ours) = (seen(), seen());
    for (number, (value, answer)) in values.iter().zip(&answers).enumerate() {
        let document = answer["document"].as_str().map_or_else(|| answer.to_string(), str::to_owned);
        // What we read of it must be the value, too.
        let read = decode(document.as_bytes())
            .map_or_else(|error| error.to_string(), |read| verdict(&read == value));
        note(&mut real, number, "the value", &document);
        note(&mut ours, number, &read, &encode(value));
    }
    let first = Row::compare("m", "marshal: slap, Python, slap", &real, &ours);
    let drawn = ask(tools, "drawn", (0..VALUES).map(|seed| json!({"draw": seed})).collect()).await?;
    let mut documents = Vec::new();
    for answer in &drawn {
        let document =
            answer["document"].as_str().ok_or_else(|| format!("Python drew no value: {answer}"))?;
        let value = decode(document.as_bytes()).map_err(|error| format!("{error}: {document}"))?;
        documents.push((document, encode(&value)));
    }
    if !documents.iter().any(|(document, _)| document.contains("<reference ")) {
        return Err("nothing stood in any value twice".to_owned());
    }
    let jobs = documents.iter().map(|(_, again)| json!({"load": again})).collect();
    let answers = ask(tools, "again", jobs).await?;
    let (mut real, mut ours) = (seen(), seen());
    for (number, ((document, again), (drawn, answer))) in
        documents.iter().zip(drawn.iter().zip(&answers)).enumerate()
    {
        let has_references = document.contains("<reference ");
        let shown = |document: &str| if has_references { String::new() } else { document.to_owned() };
        note(&mut real, number, &drawn["meaning"].to_string(), &shown(document));
        note(&mut ours, number, &answer["meaning"].to_string(), &shown(again));
    }
    Ok(vec![first, Row::compare("m", "marshal: Python, slap", &real, &ours)])
}

fn verdict(is_same: bool) -> String {
    if is_same { "the value" } else { "another value" }.to_owned()
}

fn seen() -> Seen {
    Seen { outcome: VALUES.to_string(), ..Seen::default() }
}

fn note(seen: &mut Seen, number: usize, meaning: &str, document: &str) {
    let mut text = String::new();
    writeln!(text, "{meaning}\n{document}").expect("a String takes everything");
    seen.texts.insert(format!("value {number:04}"), text);
}

/// Gives jobs to Python, and takes an answer for each.
async fn ask(tools: &Tools, name: &str, jobs: Vec<Json>) -> Result<Vec<Json>, String> {
    let files = tools.env.files();
    let path = |end: &str| tools.scratch.join(format!("marshal-{name}.{end}"));
    let text: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let written = files.write(&path("jobs"), text.as_bytes(), 0o644);
    written
        .and_then(|()| files.write(&path("py"), DRIVER.as_bytes(), 0o644))
        .map_err(|error| error.to_string())?;
    let shown = |path: &Path| path.display().to_string();
    let words = [shown(&tools.python), shown(&path("py")), shown(&path("jobs")), shown(&path("answers"))];
    let mut command = marked(tools, "/bin/sh");
    command = command.arguments(["-c", "exec \"$0\" \"$1\" < \"$2\" > \"$3\""]).arguments(words);
    command.output = Output::Capture(4096);
    let mut spawned = tools.env.processes().spawn(&command).map_err(|error| error.to_string())?;
    let ended = tools.env.timeout(LIMIT, spawned.child.wait()).await;
    let ended = ended.map_err(|_| format!("Python needed more than {} s", LIMIT.as_secs()))?;
    let ended = ended.map_err(|error| error.to_string())?;
    if !ended.succeeded() {
        return Err(format!("Python {}: {}", ended.describe(), String::from_utf8_lossy(&ended.output)));
    }
    let answers = files.read_text(&path("answers"), 1 << 28).map_err(|error| error.to_string())?;
    let answers: Result<Vec<Json>, _> = answers.lines().map(serde_json::from_str).collect();
    let answers = answers.map_err(|error| error.to_string())?;
    if answers.len() != jobs.len() {
        return Err(format!("Python gave {} answers to {} jobs", answers.len(), jobs.len()));
    }
    Ok(answers)
}

/// The same numbers in each run (Knuth's linear congruential generator: its upper bits are good enough to draw values with).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A value; every second one is an object, of each class in turn.
fn any_value(chance: &mut Chance, number: u64) -> Value {
    if number.is_multiple_of(2) {
        return any_object(chance, number / 2, 4);
    }
    any(chance, 5)
}

fn any_text(chance: &mut Chance) -> String {
    const CHARACTERS: [char; 24] = [
        'a', 'b', 'z', '0', '9', ' ', '<', '>', '&', '\'', '"', ';', '#', '\n', '\t', '\r', '-', '%', 'é',
        '漢', '😀', '\u{a0}', '\u{2028}', '\u{fffd}',
    ];
    (0..chance.below(12)).map(|_| CHARACTERS[usize::try_from(chance.below(24)).unwrap_or(0)]).collect()
}

fn any_dictionary(chance: &mut Chance, depth: u64) -> Dictionary {
    (0..chance.below(4)).map(|_| (any_text(chance), any(chance, depth))).collect()
}

fn any_items(chance: &mut Chance, depth: u64) -> Vec<Value> {
    (0..chance.below(4)).map(|_| any(chance, depth)).collect()
}

fn any(chance: &mut Chance, depth: u64) -> Value {
    const FLOATS: [f64; 8] = [0.0, -0.0, 0.1, 1e16, 1e-7, -1.5e300, 5e-324, 123_456.75];
    let below = depth.saturating_sub(1);
    match chance.below(if depth == 0 { 5 } else { 10 }) {
        0 => Value::None,
        1 => Value::Bool(chance.below(2) == 1),
        2 => {
            let wide = i128::from(chance.below(1 << 31)) << chance.below(90);
            Value::Int(if chance.below(2) == 1 { -wide } else { wide })
        }
        3 => Value::Float(FLOATS[usize::try_from(chance.below(8)).unwrap_or(0)]),
        4 => Value::Text(any_text(chance)),
        5 | 6 => Value::List(any_items(chance, below)),
        7 => Value::Tuple(any_items(chance, below)),
        8 => Value::Dictionary(any_dictionary(chance, below)),
        _ => {
            let number = chance.below(4);
            any_object(chance, number, below)
        }
    }
}

/// An object with the constructor's arguments that Python's classes have, and with more attributes.
fn any_object(chance: &mut Chance, number: u64, depth: u64) -> Value {
    let mut attributes: Dictionary = any_items(chance, depth)
        .into_iter()
        .enumerate()
        .map(|(at, value)| (format!("a{at}"), value))
        .collect();
    let mut texts = [Value::Text(any_text(chance)), Value::Text(any_text(chance))];
    let mut keep = |name: &str, value: &Value| drop(attributes.insert(name.to_owned(), value.clone()));
    let (class, arguments) = match number % 4 {
        0 => {
            keep("_computer_id", &texts[0]);
            (Class::Computer, texts[..1].to_vec())
        }
        1 => {
            keep("_computer_id", &texts[0]);
            keep("_partition_id", &texts[1]);
            keep("_request_dict", &Value::None);
            let [computer, partition] = texts;
            (Class::ComputerPartition, vec![computer, partition, Value::None])
        }
        2 => {
            texts.reverse();
            keep("_software_release", &texts[0]);
            keep("_computer_guid", &texts[1]);
            keep("_software_instance_list", &Value::List(Vec::new()));
            (Class::SoftwareRelease, texts.to_vec())
        }
        _ => {
            // CPython 3.11 writes one without attributes so that Python itself cannot read it.
            keep("slap_computer_id", &texts[0]);
            (Class::SoftwareInstance, Vec::new())
        }
    };
    Value::Object(Box::new(Object { class, arguments, attributes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_all_kinds_and_read_back() {
        let mut chance = Chance(1);
        let documents: Vec<String> = (0..200)
            .map(|number| {
                let value = any_value(&mut chance, number);
                let document = encode(&value);
                assert_eq!(decode(document.as_bytes()).unwrap(), value);
                document
            })
            .collect();
        let all = documents.concat();
        for element in
            ["<none/>", "<bool>", "<int>-", "<float>", "<string>", "<list ", "<tuple>", "<dictionary "]
        {
            assert!(all.contains(element), "{element}");
        }
        for class in ["Computer", "ComputerPartition", "SoftwareRelease", "SoftwareInstance"] {
            assert!(all.contains(&format!("class=\"{class}\"")), "{class}");
        }
    }
}
