//! Events as calls of JSON-RPC methods, and their answers as the model's replies.
//!
//! Not every event can be told so: who asks is always a user, a request says which state it wants, a report is about what is there
//! now, and a guid names an instance, not a free partition. And not every reply: what a text would say besides "done" is lost.

use super::{
    answer,
    names::{
        self, Name, STAND_IN, addresses, connection, find_connection, find_parameters, kind_text, parameters,
    },
    question::{self, MESSAGE, RETENTION_DELAY},
};
use serde_json::{Map, Value as Json, json};
use slap_impl::{vocabulary::RequestedState, wire::instance_xml};
use slap_model::{
    Event, Reply, State,
    event::{ReleaseReport, Report, Request, Wanted, Word},
    names::{Address, DEFAULT_KIND, Place, Reference},
    reply::Given,
    state::Instance,
};
use std::collections::BTreeMap;

/// A call of a method.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// The method, without `slapos.`.
    pub(super) method: &'static str,
    /// What it is called with.
    pub(super) document: Json,
}

/// The call that an event is; none for one that cannot be told so.
pub(super) fn of(state: &State, event: &Event) -> Option<Call> {
    let call = |method, document| Some(Call { method, document });
    match event {
        Event::Deliver(mail) | Event::LoseAnswer(mail) => {
            if state.mail.contains(mail) {
                of(state, &mail.event())
            } else {
                None
            }
        }
        Event::Request(wish) => request(wish),
        Event::Supply { computer, release, wanted } => call(
            "post.v0.software_installation",
            json!({
                "computer_guid": computer.text(),
                "software_release_uri": release.text(),
                "state": if *wanted { "available" } else { "destroyed" },
            }),
        ),
        Event::Format { computer, partitions } => {
            let partitions = partitions.iter().map(|(partition, address)| {
                let ips = addresses(*partition, *address).into_iter().map(|(address, netmask)| {
                    let interface = names::interface(*partition);
                    json!({ "ip-address": address, "netmask": netmask, "network-interface": interface })
                });
                json!({ "partition_id": partition.text(), "ip_list": ips.collect::<Vec<_>>() })
            });
            let partitions: Vec<Json> = partitions.collect();
            call(
                "put.v0.compute_node_format",
                json!({ "computer_guid": computer.text(), "compute_partition_list": partitions }),
            )
        }
        Event::Publish { place, shared, connection: published } => {
            let document = json!({ "connection_parameter_dict": connection(*published) });
            on_instance(state, *place, *shared, "put.v0.software_instance_connection_parameter", document)
        }
        Event::Rename { place, shared, title } => {
            let document = json!({ "title": title.text() });
            on_instance(state, *place, *shared, "put.v0.software_instance_title", document)
        }
        Event::Bang { place, shared } => {
            let document = json!({ "message": MESSAGE });
            on_instance(state, *place, *shared, "put.v0.software_instance_bang", document)
        }
        Event::BangComputer(computer) => {
            let document = json!({ "computer_guid": computer.text(), "message": MESSAGE });
            call("put.v0.compute_node_bang", document)
        }
        Event::ReportRelease { computer, release, report } => {
            let mut document =
                json!({ "computer_guid": computer.text(), "software_release_uri": release.text() });
            let reported = match report {
                ReleaseReport::Building => "building",
                ReleaseReport::Available => "available",
                ReleaseReport::Destroyed => "destroyed",
                ReleaseReport::Error => {
                    document["message"] = json!(MESSAGE);
                    return call("put.v0.software_installation_error", document);
                }
            };
            document["reported_state"] = json!(reported);
            call("put.v0.software_installation_reported_state", document)
        }
        Event::Report(report) => report_instance(state, report),
        Event::ReportSharedError { place, shared } => {
            let document = json!({ "message": MESSAGE });
            on_instance(state, *place, Some(*shared), "put.v0.software_instance_error", document)
        }
        _ => None,
    }
}

fn request(wish: &Request) -> Option<Call> {
    let mut filter = json!(question::filter(wish.filter));
    if let Some(delay) = filter.get_mut("retention_delay") {
        *delay = json!(RETENTION_DELAY.parse::<u32>().ok()?);
    }
    if wish.by.is_some() {
        return None;
    }
    let document = json!({
        "title": wish.title.text(),
        "software_release_uri": wish.release.text(),
        "software_type": kind_text(wish.kind),
        "parameters": parameters(wish.parameters),
        "sla_parameters": filter,
        "state": match wish.state? {
            Wanted::Started => "started",
            Wanted::Stopped => "stopped",
            Wanted::Destroyed => "destroyed",
        },
        "shared": wish.shared,
    });
    Some(Call { method: "post.v0.software_instance", document })
}

fn report_instance(state: &State, report: &Report) -> Option<Call> {
    let slot = state.computers.get(&report.place.computer)?.partitions.get(&report.place.partition)?;
    if report.about.is_some_and(|about| about != slot.rank) {
        return None;
    }
    let reported =
        |word: &str| ("put.v0.software_instance_reported_state", json!({ "reported_state": word }));
    let (method, document) = match report.word {
        Word::Started => reported("started"),
        Word::Stopped => reported("stopped"),
        Word::Destroyed => reported("destroyed"),
        Word::Error => ("put.v0.software_instance_error", json!({ "message": MESSAGE })),
        Word::Bang => ("put.v0.software_instance_bang", json!({ "message": MESSAGE })),
    };
    on_instance(state, report.place, None, method, document)
}

/// A call about the instance in a partition, or a shared one that it hosts, if they are there.
fn on_instance(
    state: &State,
    place: Place,
    shared: Option<Reference>,
    method: &'static str,
    mut document: Json,
) -> Option<Call> {
    document["instance_guid"] = json!(named(state, place, shared)?);
    Some(Call { method, document })
}

/// The guid of the instance in a partition, or of a shared one that it hosts, if they are there.
pub(super) fn named(state: &State, place: Place, shared: Option<Reference>) -> Option<String> {
    let (number, holder) =
        state.instances.iter().find(|(_, it)| it.place == Some(place) && it.shared.is_none())?;
    let instance = match shared {
        None => holder,
        Some(reference) => state.instances.values().find(|it| {
            it.shared.is_some_and(|shared| shared.reference == reference && shared.host == Some(*number))
        })?,
    };
    Some(guid(state, instance))
}

/// The guid of an instance.
pub(super) fn guid(state: &State, instance: &Instance) -> String {
    let root = instance.root.and_then(|root| state.instances.get(&root));
    let root = root.map(|root| root.title.text()).unwrap_or_default();
    format!("{}___{root}___{}", instance.title.text(), u8::from(instance.shared.is_some()))
}

/// How much of a reply of the model JSON-RPC shows.
pub(super) fn shown(event: &Event, reply: &Reply) -> Reply {
    match reply {
        // What was asked for, and where it is.
        Reply::GivenElsewhere(given) if let Event::Request(request) = event => Reply::GivenElsewhere(Given {
            address: None,
            release: request.release,
            kind: request.kind.unwrap_or(DEFAULT_KIND),
            parameters: request.parameters,
            state: request.state.unwrap_or(Wanted::Started),
            rank: None,
            ..given.clone()
        }),
        Reply::Kept(_) | Reply::Ignored(_) => Reply::Done,
        Reply::Given(given) => Reply::Given(Given { rank: None, ..given.clone() }),
        other => other.clone(),
    }
}

/// The reply that an answer is.
///
/// # Errors
/// When it is none.
pub(super) fn reply(status: u16, body: &[u8]) -> Result<Reply, String> {
    let document: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let text = |name: &str| document[name].as_str().unwrap_or_default();
    if status != 200 {
        if document["status"] != json!(status) {
            return Err(format!("{status} with {document}"));
        }
        if text("title").starts_with("Not destroying yet") {
            return answer::told(text("title"));
        }
        // What is not there is 404 elsewhere, and 403 here.
        let found = answer::refusal(if status == 403 { 404 } else { status }, text("title"));
        return found.map(Reply::Refused);
    }
    if text("type") == "success" {
        return Ok(Reply::Done);
    }
    if let Some(partition) = document["compute_partition_id"].as_str().filter(|it| it.starts_with(STAND_IN)) {
        let connection = texts(&document["connection_parameters"])?;
        let connection = connection.into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
        return names::find_stand_in(partition, &connection.collect()).map(Reply::StandIn);
    }
    // Whatever is here has addresses.
    let is_elsewhere = !text("computer_guid").is_empty() && document["ip_list"] == json!([]);
    if is_elsewhere {
        return given(&document, "default").map(Reply::GivenElsewhere);
    }
    given(&document, "").map(Reply::Given)
}

/// Reads the document of an instance; `untyped` is what no type stands for.
fn given(document: &Json, untyped: &str) -> Result<Given, String> {
    let text = |name: &str| document[name].as_str().ok_or_else(|| format!("{name} is no text: {document}"));
    let place = names::place(text("computer_guid")?, text("compute_partition_id")?)?;
    let is_shared = document["shared"] == json!(true);
    let guid = format!("{}______{}", text("title")?, u8::from(is_shared));
    if text("instance_guid")? != guid || text("root_instance_title")? != text("title")? {
        return Err(format!("its own parts differ from the others: {document}"));
    }
    let state: RequestedState = text("state")?.parse().map_err(|error| format!("{error}: {document}"))?;
    Ok(Given {
        place,
        address: address(place, &document["ip_list"])?,
        release: Name::find(text("software_release_uri")?)?,
        kind: Name::find(Some(text("software_type")?).filter(|text| !text.is_empty()).unwrap_or(untyped))?,
        parameters: find_parameters(&texts(&document["parameters"])?)?,
        connection: find_connection(&texts(&document["connection_parameters"])?)?,
        state: answer::wanted(state),
        rank: None,
    })
}

fn address(place: Option<Place>, list: &Json) -> Result<Option<Address>, String> {
    let list: Vec<(String, String)> =
        serde_json::from_value(list.clone()).map_err(|error| error.to_string())?;
    match place {
        Some(place) => names::find_told_addresses(place.partition, &list),
        None if list.is_empty() => Ok(None),
        None => Err(format!("{list:?} without a partition")),
    }
}

fn texts(document: &Json) -> Result<instance_xml::Parameters, String> {
    let empty = Map::new();
    let members = document.as_object().unwrap_or(&empty).iter();
    let text = |(key, value): (&String, &Json)| match value {
        Json::String(text) => Ok((key.clone(), Some(text.clone()))),
        other => Err(format!("{key:?} is {other}")),
    };
    members.map(text).collect::<Result<BTreeMap<_, _>, _>>()
}
