//! An action as a request of the wire, and its answer as an outcome, with the product's own codecs.

use super::history::{Action, Answer, Given, Outcome, Seen, Value, View, Wish};
use slap_impl::{
    vocabulary::RequestedState,
    wire::{
        configuration::{FormattedAddress, FormattedComputer, FormattedPartition},
        http::client::{Request, Response, Url},
        instance_xml::Parameters,
        marshal::{self, Dictionary, decode, encode},
        objects,
    },
};
use slap_model::{
    event::Wanted,
    names::{Computer, Partition, Place, Release},
};
use std::{collections::BTreeMap, fmt::Display, rc::Rc, str::FromStr};

/// How names stand on the wire: with a prefix, so that many small clouds fit into one master.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Before computers and titles; no `_` in it.
    pub(super) prefix: String,
}

impl Names {
    fn text(&self, name: impl Display) -> String {
        format!("{}{name}", self.prefix)
    }

    fn find<T: FromStr<Err = String>>(&self, text: &str) -> Result<T, String> {
        text.strip_prefix(&self.prefix).ok_or_else(|| format!("{text:?} is another's"))?.parse()
    }

    fn place(&self, computer: &str, partition: &str) -> Result<Place, String> {
        Ok(Place { computer: self.find(computer)?, partition: partition.parse()? })
    }

    fn of_place(&self, Place { computer, partition }: Place) -> Vec<(&'static str, String)> {
        vec![("computer_id", self.text(computer)), ("computer_partition_id", partition.to_string())]
    }
}

/// The request that asks for an action.
pub(super) fn request(url: &Url, names: &Names, action: &Action) -> Result<Request, String> {
    let (endpoint, fields) = match action {
        Action::Request(wish) => ("requestComputerPartition", wish_fields(names, wish)),
        Action::Destroyed { place, about } | Action::Started { place, about } => {
            let mut fields = names.of_place(*place);
            fields.extend(about.map(|about| ("timestamp", timestamp_text(about))));
            let endpoint = match action {
                Action::Destroyed { .. } => "destroyedComputerPartition",
                _ => "startedComputerPartition",
            };
            (endpoint, fields)
        }
        Action::Format { computer, partitions } => {
            let document = encode(&formatted(names, *computer, partitions).to_value());
            ("loadComputerConfigurationFromXML", vec![("xml", document)])
        }
        Action::Rename { place, title } => (
            "softwareInstanceRename",
            [names.of_place(*place), vec![("new_name", names.text(title))]].concat(),
        ),
        Action::Publish { place, connection } => {
            let document = encode(&dictionary("y", &connection.to_string()));
            let fields = [names.of_place(*place), vec![("connection_xml", document)]].concat();
            ("setComputerPartitionConnectionXml", fields)
        }
        Action::Read { computer, tag } => {
            let mut request =
                get(url, &format!("getFullComputerInformation?computer_id={}", names.text(computer)))?;
            request.headers.extend(tag.iter().map(|tag| ("if-none-match".to_owned(), tag.clone())));
            return Ok(request);
        }
        Action::ReadPartition { place } => {
            let (computer, partition) = (names.text(place.computer), place.partition);
            return get(
                url,
                &format!(
                    "registerComputerPartition?computer_reference={computer}&computer_partition_reference={partition}"
                ),
            );
        }
    };
    let at = url.join(endpoint).map_err(|error| error.to_string())?;
    Ok(Request::post_form(at, fields.iter().map(|(name, value)| (*name, value.as_str()))))
}

/// The outcome that an answer to an action is.
///
/// # Errors
/// When it is no answer of a master.
pub(super) fn outcome(names: &Names, action: &Action, response: &Response) -> Result<Outcome, String> {
    let text = String::from_utf8_lossy(&response.body).trim().to_owned();
    if !matches!(response.status, 200 | 304) {
        return Ok(Outcome::Refused { status: response.status, message: text });
    }
    let answer = match action {
        _ if response.status == 304 => Answer::Unchanged,
        Action::Request(wish) => Answer::Given(given(names, wish, &document(response)?)?),
        Action::Read { .. } => {
            let tag = response.header("etag").ok_or("a full information without ETag")?.to_owned();
            Answer::View(Rc::new(view(names, tag, &document(response)?)?))
        }
        Action::ReadPartition { .. } => {
            let found = objects::ComputerPartition::from_value(&document(response)?);
            Answer::Partition(seen(names, &found.map_err(|error| error.to_string())?)?)
        }
        _ => told(names, &text)?,
    };
    Ok(Outcome::Answer(answer))
}

fn get(url: &Url, reference: &str) -> Result<Request, String> {
    Ok(Request::get(url.join(reference).map_err(|error| error.to_string())?))
}

fn dictionary(key: &str, value: &str) -> marshal::Value {
    marshal::Value::dictionary([(key, marshal::Value::text(value))])
}

fn wish_fields(names: &Names, wish: &Wish) -> Vec<(&'static str, String)> {
    let filter = match wish.computer {
        Some(computer) => dictionary("computer_guid", &names.text(computer)),
        None => marshal::Value::Dictionary(Dictionary::new()),
    };
    let state = wish.state.map(|state| requested(state).as_str());
    let mut fields = vec![
        ("software_release", format!("https://releases.example/{}", wish.release)),
        ("software_type", if wish.shared { "None" } else { "default" }.to_owned()),
        ("partition_reference", names.text(wish.title)),
        ("partition_parameter_xml", encode(&dictionary("x", &wish.parameters.to_string()))),
        ("filter_xml", encode(&filter)),
        ("state", encode(&marshal::Value::optional(state))),
        ("shared_xml", encode(&marshal::Value::Bool(wish.shared))),
    ];
    fields.extend(wish.by.into_iter().flat_map(|place| names.of_place(place)));
    fields
}

fn formatted<'a>(
    names: &Names,
    computer: Computer,
    partitions: impl IntoIterator<Item = &'a Partition>,
) -> FormattedComputer {
    let partition = |partition: &Partition| FormattedPartition {
        partition_id: partition.to_string().parse().expect("a letter and a number"),
        addresses: vec![FormattedAddress {
            address: format!("10.0.{}.{}", computer.0, partition.0),
            netmask: "255.255.255.255".to_owned(),
        }],
        interface: None,
        details: Dictionary::new(),
    };
    FormattedComputer {
        computer_id: names.text(computer).parse().expect("letters, numbers and dashes"),
        address: None,
        netmask: None,
        partitions: partitions.into_iter().map(partition).collect(),
        details: Dictionary::new(),
    }
}

fn document(response: &Response) -> Result<marshal::Value, String> {
    decode(&response.body).map_err(|error| error.to_string())
}

fn given(names: &Names, wish: &Wish, value: &marshal::Value) -> Result<Given, String> {
    let found = objects::SoftwareInstance::from_value(value).map_err(|error| error.to_string())?;
    let place = match found.computer_id.as_str() {
        "" => None,
        computer => Some(names.place(computer, &found.partition_id)?),
    };
    let seen = Seen {
        title: wish.title,
        root: None,
        state: wanted(found.requested_state.ok_or("an answer without requested state")?),
        release: release(&found.software_release_url)?,
        parameters: number(&found.parameters, "x")?,
        connection: number(&found.connection, "y")?,
        timestamp: found.timestamp.as_deref().map(timestamp).transpose()?,
        shared: BTreeMap::new(),
    };
    Ok(Given { place, seen })
}

fn view(names: &Names, tag: String, value: &marshal::Value) -> Result<View, String> {
    let computer = objects::Computer::from_value(value).map_err(|error| error.to_string())?;
    let mut partitions = BTreeMap::new();
    for partition in &computer.partitions {
        let name = partition.partition_id.as_str().parse()?;
        if partitions.insert(name, seen(names, partition)?).is_some() {
            return Err(format!("{name} stands twice in {}", computer.computer_id));
        }
    }
    Ok(View { tag, partitions })
}

fn seen(names: &Names, partition: &objects::ComputerPartition) -> Result<Option<Seen>, String> {
    let Some(instance) = &partition.instance else { return Ok(None) };
    let mut shared = BTreeMap::new();
    for entry in &instance.shared_instances {
        let (root, title) =
            entry.reference.split_once('_').ok_or_else(|| format!("a reference {:?}", entry.reference))?;
        let root = if root.is_empty() { None } else { Some(names.find(root)?) };
        let own = entry.parameters.get("x").and_then(marshal::Value::as_text).unwrap_or_default();
        let value = own.parse().map_err(|_| format!("{own:?} instead of parameters"))?;
        shared.insert((root, names.find(title)?), value);
    }
    Ok(Some(Seen {
        title: names.find(&instance.title)?,
        root: Some(names.find(&instance.root_title)?),
        state: wanted(partition.requested_state),
        release: release(instance.software_release.url.as_str())?,
        parameters: number(&instance.parameters, "x")?,
        connection: number(&instance.connection, "y")?,
        timestamp: instance.timestamp.as_deref().map(timestamp).transpose()?,
        shared,
    }))
}

/// The meaning of a text that a report, a format, ... is answered with.
fn told(names: &Names, text: &str) -> Result<Answer, String> {
    const KEPT: &str =
        "done, but these partitions stay until their instances are destroyed, and are not given away again: ";
    const NOT_YET: &str = "Not destroying yet, because it has child partitions: ";
    if matches!(text, "OK" | "done") {
        return Ok(Answer::Done);
    }
    if let Some(list) = text.strip_prefix(KEPT) {
        let kept = list.split(", ").map(|item| item.split(" (").next().unwrap_or(item).parse());
        return Ok(Answer::Kept(kept.collect::<Result<_, _>>()?));
    }
    if let Some(list) = text.strip_prefix(NOT_YET) {
        return Ok(Answer::NotYet(
            list.split(", ").map(|title| names.find(title)).collect::<Result<_, _>>()?,
        ));
    }
    if text.starts_with("Ignored: ") {
        return Ok(Answer::Ignored(text.to_owned()));
    }
    Err(format!("an unknown text: {text}"))
}

fn requested(state: Wanted) -> RequestedState {
    match state {
        Wanted::Started => RequestedState::Started,
        Wanted::Stopped => RequestedState::Stopped,
        Wanted::Destroyed => RequestedState::Destroyed,
    }
}

fn wanted(state: RequestedState) -> Wanted {
    match state {
        RequestedState::Started => Wanted::Started,
        RequestedState::Stopped => Wanted::Stopped,
        RequestedState::Destroyed => Wanted::Destroyed,
    }
}

fn release(url: &str) -> Result<Release, String> {
    url.rsplit('/').next().unwrap_or(url).parse()
}

/// The only parameter, or 0 without any.
fn number(parameters: &Parameters, key: &str) -> Result<Value, String> {
    if parameters.is_empty() {
        return Ok(0);
    }
    let value = parameters.get(key).and_then(Option::as_deref).and_then(|text| text.parse().ok());
    value.filter(|_| parameters.len() == 1).ok_or_else(|| format!("{parameters:?} were never given"))
}

/// Microseconds: what `slap-impl` writes, to be compared.
fn timestamp(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    let has_six = text.split_once('.').is_some_and(|(_, fraction)| fraction.len() == 6);
    digits.parse().ok().filter(|_| has_six).ok_or_else(|| format!("a timestamp {text:?}"))
}

fn timestamp_text(timestamp: u64) -> String {
    format!("{}.{:06}", timestamp / 1_000_000, timestamp % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slap_model::names::Title;

    #[test]
    fn names_and_times_come_back() {
        let names = Names { prefix: "n7-".to_owned() };
        assert_eq!(names.place(&names.text("c1"), "p2"), Ok("c1/p2".to_owned().try_into().unwrap()));
        assert!(names.place("c1", "p2").is_err());
        assert_eq!(timestamp(&timestamp_text(1_700_000_000_000_012)), Ok(1_700_000_000_000_012));
        assert!(timestamp("1700000000.1").is_err());
    }

    #[test]
    fn texts_are_understood() {
        let names = Names { prefix: "n7-".to_owned() };
        let check = |text: &str, expected: Answer| assert_eq!(told(&names, text), Ok(expected), "{text}");
        check("OK", Answer::Done);
        let stay = "done, but these partitions stay until their instances are destroyed, and are not given away again: ";
        let kept = [Partition(0), Partition(3)].into();
        check(&format!("{stay}p0 (instance \"n7-t1\"), p3 (instance \"n7-t2\")"), Answer::Kept(kept));
        let not_yet = "Not destroying yet, because it has child partitions: n7-t1, n7-t4";
        check(not_yet, Answer::NotYet([Title(1), Title(4)].into()));
        check("Ignored: x", Answer::Ignored("Ignored: x".to_owned()));
        assert!(told(&names, "Nonsense").is_err());
    }
}
