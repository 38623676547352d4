//! Methods that change something: from a document to a command. What slapproxy answers without doing it (reported states, errors,
//! bangs of computers) is done here, and answered with its words.

use super::{Arguments, success};
use crate::{
    master::{
        Master,
        decisions::{
            Answer, Command, FormattedPartition, InstanceAction, InstanceReport, Refusal, ReleaseReport,
        },
    },
    vocabulary::{ComputerId, PartitionId, SupplyState, float_repr},
    wire::{
        http::server::Request,
        instance_xml::{self, Parameters},
        marshal::is_xml,
    },
};
use serde_json::{Map, Value as Json, json, value::RawValue};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

impl Master {
    /// Answers a method of `post`, `put` or `remove`.
    pub(super) async fn rpc_change(
        self: &Rc<Self>,
        method: &str,
        document: &Json,
        asked: &Request,
    ) -> Result<Json, Refusal> {
        let arguments = Arguments(document);
        let (command, title) = match method {
            "slapos.post.v0.software_instance" => {
                let command = request(&arguments, asked)?;
                let wish = command.clone();
                return self.posted(&wish, &self.wish(command, asked).await?);
            }
            "slapos.post.v0.software_installation" => supply(&arguments)?,
            "slapos.put.v0.compute_node_format" => (format(&arguments)?, "Formatted".to_owned()),
            "slapos.put.v0.compute_node_bang" => {
                let message = arguments.text("message").to_owned();
                (Command::BangComputer { computer: arguments.known("computer_guid")?, message }, ignored())
            }
            "slapos.put.v0.software_installation_reported_state"
            | "slapos.put.v0.software_installation_error" => report_release(&arguments)?,
            "slapos.put.v0.software_instance_reported_state"
            | "slapos.put.v0.software_instance_error"
            | "slapos.put.v0.software_instance_bang"
            | "slapos.put.v0.software_instance_title"
            | "slapos.put.v0.software_instance_connection_parameter" => {
                on_instance(method, &arguments, asked)?
            }
            other => return self.acknowledged(other, &arguments),
        };
        self.mark_contact(&command);
        match self.submit(command).await? {
            // A root that still has children, or a report that came late: nothing was destroyed.
            Answer::Text(text) if title == "Destroyed" && text != "OK" => Err(Refusal::new(403, text)),
            _ => Ok(success(title)),
        }
    }

    /// What is taken and changes nothing, as with slapproxy: there are no certificates, and no accounts of usage.
    fn acknowledged(&self, method: &str, arguments: &Arguments<'_>) -> Result<Json, Refusal> {
        arguments.parsed::<ComputerId>("computer_guid")?;
        match method {
            "slapos.post.v0.compute_node_certificate" => Ok(json!({ "certificate": "", "key": "" })),
            "slapos.post.v0.compute_node_usage" | "slapos.remove.v0.compute_node_certificate" => {
                Ok(success(ignored()))
            }
            other => Err(Refusal::new(501, format!("{other} is not served here"))),
        }
    }
}

fn ignored() -> String {
    "Ignored".to_owned()
}

fn request(arguments: &Arguments<'_>, asked: &Request) -> Result<Command, Refusal> {
    let software_type = arguments.text("software_type");
    super::super::actions::check_type(software_type)
        .map_err(|reason| Refusal::new(400, format!("software_type: {reason}")))?;
    let filter = texts("sla_parameters", arguments, asked)?;
    Ok(Command::Request {
        title: arguments.parsed("title")?,
        release: arguments.parsed("software_release_uri")?,
        software_type: software_type.to_owned(),
        parameters: instance_xml::encode(&texts("parameters", arguments, asked)?),
        filter: filter.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect(),
        state: Some(match arguments.text("state") {
            "" => crate::vocabulary::RequestedState::Started,
            _ => arguments.parsed("state")?,
        }),
        requester: None,
        shared: arguments.0["shared"].as_bool().unwrap_or(false),
    })
}

/// Values as Python's `str()` writes them, which is how slapproxy stores them (slapos/util.py, `dict2xml`).
fn texts(name: &str, arguments: &Arguments<'_>, asked: &Request) -> Result<Parameters, Refusal> {
    let empty = Map::new();
    let members = arguments.0[name].as_object().unwrap_or(&empty);
    let raw =
        if members.values().any(Json::is_f64) { raw_members(name, &asked.body)? } else { BTreeMap::new() };
    let text = |key: &String, value: &Json| {
        check_writable(name, key, key)?;
        let text = match value {
            Json::Null => return Ok((key.clone(), None)),
            Json::Bool(true) => "True".to_owned(),
            Json::Bool(false) => "False".to_owned(),
            Json::Number(number) => match raw.get(key) {
                Some(raw) => number_text(raw.get()),
                None => number.to_string(),
            },
            Json::String(text) => {
                check_writable(name, key, text)?;
                text.clone()
            }
            Json::Array(_) | Json::Object(_) => {
                let shown: String = key.chars().take(200).collect();
                let message = format!("{name}: {shown:?} is nested: expected text, a number or a boolean");
                return Err(
                    Refusal::new(400, message).hint("nested values go as JSON into the parameter `_`")
                );
            }
        };
        Ok((key.clone(), Some(text)))
    };
    members.iter().map(|(key, value)| text(key, value)).collect::<Result<BTreeMap<_, _>, _>>()
}

/// Refuses what no document of XML can hold: it would be kept as something else.
fn check_writable(name: &str, key: &str, text: &str) -> Result<(), Refusal> {
    let Some(bad) = text.chars().find(|character| !is_xml(*character)) else { return Ok(()) };
    let shown: String = key.chars().take(200).collect();
    let message =
        format!("{name}: {shown:?} holds U+{:04X}, which no document of XML can hold", u32::from(bad));
    Err(Refusal::new(400, message).hint("leave it out, or encode the value, for instance as base64"))
}

/// The members of that object as they were sent: what is no integer of 64 bits was read as the nearest float, or as one near to that.
fn raw_members(name: &str, body: &[u8]) -> Result<BTreeMap<String, Box<RawValue>>, Refusal> {
    let read = |text: &[u8]| serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(text);
    let found =
        read(body).and_then(|all| all.get(name).map_or(Ok(BTreeMap::new()), |it| read(it.get().as_bytes())));
    found.map_err(|error| Refusal::new(400, format!("{name}: {error}")))
}

/// A number as Python reads and writes it: an integer of whatever length to the letter, any other as the nearest float.
fn number_text(raw: &str) -> String {
    match raw {
        "-0" => "0".to_owned(),
        raw if raw.contains(['.', 'e', 'E']) => float_repr(raw.parse().unwrap_or_default()),
        integer => integer.to_owned(),
    }
}

fn supply(arguments: &Arguments<'_>) -> Result<(Command, String), Refusal> {
    let state = match arguments.text("state") {
        "" => SupplyState::Available,
        _ => arguments.parsed("state")?,
    };
    let url = arguments.text("software_release_uri");
    let command = Command::Supply {
        computer: arguments.known("computer_guid")?,
        url: arguments.parsed("software_release_uri")?,
        state,
    };
    Ok((command, format!("Supplied {url} to be {state}")))
}

fn format(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let mut seen = BTreeSet::new();
    let mut partitions = Vec::new();
    for partition in arguments.0["compute_partition_list"].as_array().into_iter().flatten() {
        let reference: PartitionId = Arguments(partition).parsed("partition_id")?;
        if !seen.insert(reference.clone()) {
            let message = format!("the partition {reference} stands twice in compute_partition_list");
            return Err(Refusal::new(400, message));
        }
        for (name, text) in partition["ip_list"].as_array().into_iter().flatten().flat_map(members) {
            check_writable("ip_list", name, text)?;
        }
        let addresses = partition["ip_list"].as_array().into_iter().flatten().map(|address| {
            let texts = Arguments(address);
            let interface = Some(texts.text("network-interface")).filter(|name| !name.is_empty());
            (
                interface.unwrap_or(reference.as_str()).to_owned(),
                texts.text("ip-address").to_owned(),
                texts.text("netmask").to_owned(),
            )
        });
        partitions.push(FormattedPartition { addresses: addresses.collect(), reference: reference.clone() });
    }
    Ok(Command::Format {
        computer: arguments.parsed("computer_guid")?,
        address: String::new(),
        netmask: String::new(),
        partitions,
    })
}

/// The texts of an object.
fn members(object: &Json) -> impl Iterator<Item = (&str, &str)> {
    let members = object.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

fn report_release(arguments: &Arguments<'_>) -> Result<(Command, String), Refusal> {
    let (report, title) = match arguments.text("reported_state") {
        "building" => (ReleaseReport::Building, "Ignored"),
        "available" => (ReleaseReport::Available, "Ignored"),
        "destroyed" => (ReleaseReport::Destroyed, "Destroyed"),
        _ => (ReleaseReport::Error { log: arguments.text("message").to_owned() }, "Ignored"),
    };
    let computer = arguments.known("computer_guid")?;
    let url = arguments.parsed("software_release_uri")?;
    Ok((Command::ReportRelease { computer, url, report }, title.to_owned()))
}

fn on_instance(
    method: &str,
    arguments: &Arguments<'_>,
    asked: &Request,
) -> Result<(Command, String), Refusal> {
    let guid = arguments.guid()?;
    let message = arguments.text("message").to_owned();
    let report = |report| InstanceAction::Report { report };
    let (action, title) = match method.rsplit('_').next() {
        Some("title") => (InstanceAction::Rename { title: arguments.parsed("title")? }, "Renamed"),
        Some("parameter") => {
            let published = texts("connection_parameter_dict", arguments, asked)?;
            (InstanceAction::Publish { document: instance_xml::encode(&published) }, "Updated")
        }
        Some("bang") => (report(InstanceReport::Bang { message }), "Bang handled"),
        Some("error") => (report(InstanceReport::Error { log: message }), "Ignored"),
        _ => match arguments.text("reported_state") {
            "started" => (report(InstanceReport::Started), "Ignored"),
            "stopped" => (report(InstanceReport::Stopped), "Ignored"),
            _ if guid.as_str().ends_with('1') => (report(InstanceReport::Destroyed), "Ignored"),
            _ => (report(InstanceReport::Destroyed), "Destroyed"),
        },
    };
    Ok((Command::OnInstance { guid, action }, title.to_owned()))
}
