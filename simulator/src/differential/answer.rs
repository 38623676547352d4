//! A master's answers as the model's replies, read with the client's own codec.

use super::names::{self, Name, OTHER_MASTER, STAND_IN, find_connection, find_parameters, find_rank};
use serde::Serialize;
use slap_impl::{
    vocabulary::{RequestedState, SupplyState},
    wire::{
        instance_xml,
        marshal::{Dictionary, Value, decode},
        objects::{self, SharedInstance, SoftwareInstance},
    },
};
use slap_model::{
    Event, Refusal, Reply,
    event::Wanted,
    names::Partition,
    reply::{Entry, Given, Ignored},
    state::{Seen, View},
};
use std::collections::BTreeSet;

/// What a master answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// The HTTP status.
    pub(super) status: u16,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// The reply that an answer to an event is.
///
/// # Errors
/// When it is none: a status that does not belong to its reason, a text that is not known, a name that nobody gave.
pub(super) fn reply(event: &Event, response: &Response) -> Result<Reply, String> {
    let text = String::from_utf8_lossy(&response.body).into_owned();
    if response.status != 200 {
        return refusal(response.status, &text).map(Reply::Refused);
    }
    match event {
        Event::Deliver(mail) | Event::LoseAnswer(mail) => reply(&mail.event(), response),
        Event::Request(_) => granted(&response.body),
        Event::Look(_) => view(&response.body, true).map(Reply::View),
        Event::BangComputer(_) => match decode(&response.body) {
            Ok(Value::Text(text)) if text.is_empty() => Ok(Reply::Done),
            other => Err(format!("{other:?} instead of an empty text")),
        },
        _ => told(&text),
    }
}

/// Reads the answer to a request: an instance, here or at another master, or a stand-in.
fn granted(body: &[u8]) -> Result<Reply, String> {
    let Ok(Value::Object(object)) = decode(body) else { return given(body, None).map(Reply::Given) };
    let text = |name: &str| match object.attributes.get(name) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    match text("_master_url") {
        "" if text("_partition_id").starts_with(STAND_IN) => {
            let Some(Value::Dictionary(connection)) = object.attributes.get("_connection_dict") else {
                return Err(format!("a stand-in that publishes nothing: {object:?}"));
            };
            let connection =
                texts(connection)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
            names::find_stand_in(text("_partition_id"), &connection.collect()).map(Reply::StandIn)
        }
        "" => given(body, None).map(Reply::Given),
        OTHER_MASTER => given(body, None).map(Reply::GivenElsewhere),
        other => Err(format!("an instance of {other}")),
    }
}

/// What the texts of refusals hold, each with its reason.
const REFUSALS: [(&str, Refusal); 17] = [
    (" is that of an instance of ", Refusal::TitleTaken),
    ("no computer ", Refusal::UnknownComputer),
    (" has no partition ", Refusal::UnknownPartition),
    (" hosts no shared instance ", Refusal::UnknownShared),
    ("there is no instance ", Refusal::NothingToDestroy),
    ("no free partition for ", Refusal::NoRoom),
    (" can host the shared instance ", Refusal::NoHost),
    (" is not understood as a place for an instance", Refusal::BadFilter),
    (" shall be destroyed: it cannot request anything", Refusal::RequesterDestroyed),
    (": it cannot become ", Refusal::OtherSharing),
    (" is the title of the root of the requester's tree", Refusal::RootTitle),
    (" cannot be requested by an instance that itself was requested by it", Refusal::Cycle),
    (" is that of the shared instance ", Refusal::ReferenceTaken),
    (" of the shared instance ", Refusal::OtherRelease),
    (" is the title of another instance already", Refusal::TitleTaken),
    (" is not free: its instance ", Refusal::StillWanted),
    (" is wanted on ", Refusal::StillWanted),
];

/// The reason that a refusal gives.
pub(super) fn refusal(status: u16, text: &str) -> Result<Refusal, String> {
    let reason = text.lines().next().unwrap_or_default();
    let found = if reason.starts_with("the partition ") && reason.ends_with(" is free") {
        Some(Refusal::FreePartition)
    } else {
        REFUSALS.iter().find(|(part, _)| reason.contains(part)).map(|(_, refusal)| *refusal)
    };
    let refusal = found.ok_or_else(|| format!("{status} for an unknown reason: {text}"))?;
    if refusal.status() != status {
        return Err(format!("{status} instead of {} for {refusal:?}: {text}", refusal.status()));
    }
    Ok(refusal)
}

/// The reply that a text of a report is.
pub(super) fn told(text: &str) -> Result<Reply, String> {
    const KEPT: &str =
        "done, but these partitions stay until their instances are destroyed, and are not given away again: ";
    const NOT_YET: &str = "Not destroying yet, because it has child partitions: ";
    if let Some(names) = text.strip_prefix(KEPT) {
        let is_kept = |partition: &Partition| names.contains(&format!("{} (instance ", partition.text()));
        return Ok(Reply::Kept((0..16).map(Partition).filter(is_kept).collect()));
    }
    if let Some(names) = text.strip_prefix(NOT_YET) {
        return Ok(Reply::NotYet(names.split(", ").map(Name::find).collect::<Result<_, _>>()?));
    }
    match text {
        "OK" | "done" => Ok(Reply::Done),
        _ if text.starts_with("Supplied ") => Ok(Reply::Done),
        "Ignored: the partition is free" => Ok(Reply::Ignored(Ignored::Free)),
        "Ignored: a newer state was reported already" | "Ignored: the report is about an earlier state" => {
            Ok(Reply::Ignored(Ignored::Late))
        }
        "Ignored: the release is not supplied to this computer" => Ok(Reply::Ignored(Ignored::NotSupplied)),
        other => Err(format!("an unknown text: {other}")),
    }
}

/// What is wanted, in the model's words.
pub(super) fn wanted(state: RequestedState) -> Wanted {
    match state {
        RequestedState::Started => Wanted::Started,
        RequestedState::Stopped => Wanted::Stopped,
        RequestedState::Destroyed => Wanted::Destroyed,
    }
}

/// Reads the answer to a request. One that does not say which state is wanted is taken for `unsaid`, or is refused. slapproxy, which does not
/// say it, also tells the addresses of the partitions of that name of all computers: they are left out.
pub(super) fn given(body: &[u8], unsaid: Option<Wanted>) -> Result<Given, String> {
    let value = decode(body).map_err(|error| error.to_string())?;
    let found = SoftwareInstance::from_value(&value).map_err(|error| error.to_string())?;
    if found.own.as_ref().is_some_and(|own| {
        let guid = format!("{}-{}", found.computer_id, found.partition_id);
        let document = own.connection_xml.as_deref().unwrap_or_default();
        own.instance_guid != guid || instance_xml::decode(document).as_ref() != Ok(&found.connection)
    }) {
        return Err(format!("its own parts differ from the others: {found:?}"));
    }
    let place = names::place(&found.computer_id, &found.partition_id)?;
    let address = match place {
        Some(_) if unsaid.is_some() => None,
        Some(place) => names::find_told_addresses(place.partition, &found.addresses)?,
        None if unsaid.is_some() || found.addresses.is_empty() => None,
        None => return Err(format!("addresses without a partition: {found:?}")),
    };
    Ok(Given {
        place,
        address,
        release: Name::find(&found.software_release_url)?,
        kind: Name::find(found.software_type.as_deref().unwrap_or_default())?,
        parameters: find_parameters(&found.parameters)?,
        connection: find_connection(&found.connection)?,
        state: found.requested_state.map(wanted).or(unsaid).ok_or("it does not say which state is wanted")?,
        rank: found.timestamp.as_deref().map(find_rank).transpose()?,
    })
}

/// What a node is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    pub(super) view: View,
    /// Its partitions in their order.
    pub(super) order: Vec<Partition>,
}

/// Reads what our master tells a node.
pub(super) fn told_computer(body: &[u8]) -> Result<Told, String> {
    let value = decode(body).map_err(|error| error.to_string())?;
    let computer = objects::Computer::from_value(&value).map_err(|error| error.to_string())?;
    let names = computer.partitions.iter().map(|it| Name::find(it.partition_id.as_str()));
    Ok(Told { order: names.collect::<Result<_, _>>()?, view: view_of(&computer, true)? })
}

/// Reads a computer's full information. slapproxy does not sort shared instances, nor name instances.
pub(super) fn view(body: &[u8], is_ours: bool) -> Result<View, String> {
    let value = decode(body).map_err(|error| error.to_string())?;
    view_of(&objects::Computer::from_value(&value).map_err(|error| error.to_string())?, is_ours)
}

fn view_of(computer: &objects::Computer, is_ours: bool) -> Result<View, String> {
    let mut view = View::default();
    for release in &computer.software_releases {
        let state = release.requested_state.ok_or("a release does not say which state is wanted")?;
        view.supplies.insert(Name::find(release.url.as_str())?, state == SupplyState::Available);
    }
    for found in &computer.partitions {
        view.partitions.insert(Name::find(found.partition_id.as_str())?, seen_in(found, is_ours)?);
    }
    Ok(view)
}

/// What a node sees in a partition; none when it is free.
pub(super) fn seen_in(found: &objects::ComputerPartition, is_ours: bool) -> Result<Option<Seen>, String> {
    let guid = format!("{}-{}", found.computer_id, found.partition_id);
    if is_ours && found.instance_guid != Some(guid) {
        return Err(format!("{} is named {:?}", found.partition_id, found.instance_guid));
    }
    match &found.instance {
        None if found.requested_state == RequestedState::Destroyed && !found.need_modification => Ok(None),
        None => Err(format!("a free partition that is to be processed: {found:?}")),
        Some(instance) => {
            let references = instance.shared_instances.iter().map(|it| it.reference.as_str());
            if is_ours && !references.is_sorted() {
                return Err(format!("shared instances out of order: {:?}", instance.shared_instances));
            }
            seen(found, instance).map(Some)
        }
    }
}

fn seen(partition: &objects::ComputerPartition, instance: &objects::Instance) -> Result<Seen, String> {
    let entries = instance.shared_instances.iter().map(entry);
    let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
    let set: BTreeSet<Entry> = entries.iter().cloned().collect();
    if set.len() != entries.len() {
        return Err(format!("shared instances twice: {entries:?}"));
    }
    let name: Partition = Name::find(partition.partition_id.as_str())?;
    let address = names::find_told_addresses(name, &instance.addresses)?;
    Ok(Seen {
        address: address.ok_or_else(|| format!("a busy partition without addresses: {name}"))?,
        title: Name::find(&instance.title)?,
        root: Name::find(&instance.root_title)?,
        state: wanted(partition.requested_state),
        release: Name::find(instance.software_release.url.as_str())?,
        kind: Name::find(&instance.software_type)?,
        parameters: find_parameters(&instance.parameters)?,
        connection: find_connection(&instance.connection)?,
        shared: set,
        rank: find_rank(instance.timestamp.as_deref().ok_or("a busy partition without timestamp")?)?,
    })
}

/// Reads an entry of a host's list.
pub(super) fn entry(shared: &SharedInstance) -> Result<Entry, String> {
    if shared.title != shared.reference {
        return Err(format!("{shared:?} has another title than reference"));
    }
    let kind = shared.software_type.as_deref().unwrap_or_default();
    Ok(Entry {
        reference: names::reference(&shared.reference)?,
        kind: Name::find(kind)?,
        parameters: find_parameters(&texts(&shared.parameters)?)?,
    })
}

fn texts(dictionary: &Dictionary) -> Result<instance_xml::Parameters, String> {
    let text = |(key, value): (&String, &Value)| match value {
        Value::Text(text) => Ok((key.clone(), Some(text.clone()))),
        other => Err(format!("{key:?} is {}", other.kind())),
    };
    dictionary.iter().map(text).collect()
}
