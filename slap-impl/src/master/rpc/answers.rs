//! Methods that only read: rows as JSON documents.

use super::Arguments;
use crate::{
    master::{
        Master,
        decisions::{Command, Refusal, find_named, unknown_computer},
        hateoas::base_url,
        readable, render,
        wishes::Granted,
    },
    store::{self, Instance, Partition, Subject},
    vocabulary::{ComputerId, InstanceGuid, InstanceName, InstanceTitle, PartitionId, RequestedState},
    wire::{http::server::Request, objects::Requested},
};
use rusqlite::Connection;
use serde_json::{Value as Json, json};

/// An instance with all that is told of it.
struct Found {
    instance: Instance,
    root: Option<InstanceTitle>,
    /// Its partition, or its host's.
    partition: Option<Partition>,
    /// The text of the last report about it.
    message: String,
}

impl Master {
    /// Answers a method of `get` or `allDocs`.
    pub(super) fn rpc_answer(
        &self,
        method: &str,
        document: &Json,
        request: &Request,
    ) -> Result<Json, Refusal> {
        let arguments = Arguments(document);
        match method {
            "slapos.allDocs.WIP.compute_node_list" => self.list(|connection| {
                let computers = store::computers(connection)?;
                Ok(Ok(computers.iter().map(|it| json!({ "computer_guid": it.reference })).collect()))
            }),
            "slapos.allDocs.v0.compute_node_instance_list" => {
                let computer = self.registered(&arguments)?;
                self.list(|connection| instances_of(connection, &computer))
            }
            "slapos.allDocs.v0.compute_node_software_installation_list" => {
                let computer = self.registered(&arguments)?;
                self.list(|connection| {
                    let supplies = store::supplies(connection, &computer)?;
                    let shown = |supply: &store::Supply| {
                        json!({ "software_release_uri": supply.url, "state": supply.state.to_string() })
                    };
                    Ok(Ok(supplies.iter().map(shown).collect()))
                })
            }
            "slapos.allDocs.v0.instance_node_instance_list" => {
                let guid = arguments.guid()?;
                self.list(|connection| shared_on(connection, &guid))
            }
            "slapos.allDocs.v0.instance_tree_list" => self.list(|connection| {
                let (shared, own): (Vec<Instance>, _) =
                    store::roots(connection)?.into_iter().partition(Instance::is_shared);
                Ok(Ok(own.iter().chain(&shared).map(|it| json!({ "title": it.title })).collect()))
            }),
            "slapos.get.v0.compute_node_status" => {
                let computer: ComputerId = arguments.known("computer_guid")?;
                let status = self.read(|connection| self.computer_status(connection, &computer))??;
                Ok(status.to_json())
            }
            "slapos.get.v0.compute_partition" => {
                let computer: ComputerId = arguments.known("computer_guid")?;
                let partition: PartitionId = arguments.known("compute_partition_id")?;
                self.one(|connection| in_partition(connection, &computer, &partition))
            }
            "slapos.get.v0.hateoas_url" => {
                Ok(json!({ "hateoas_url": format!("{}/hateoas/", base_url(self, request)) }))
            }
            "slapos.get.v0.instance_tree" => {
                let title: InstanceTitle = arguments.known("title")?;
                self.one(|connection| {
                    Ok(store::instance_titled(connection, None, &title)?
                        .ok_or_else(|| Refusal::new(404, format!("No instance tree {title} found."))))
                })
            }
            "slapos.get.v0.software_instance" => {
                let guid = arguments.guid()?;
                self.one(|connection| find_named(connection, &guid))
            }
            "slapos.get.v0.software_instance_certificate" => {
                let guid = arguments.guid()?;
                self.read(|connection| find_named(connection, &guid))??;
                Ok(json!({ "certificate": "", "key": "" }))
            }
            other => Err(Refusal::new(501, format!("{other} is not served here"))),
        }
    }

    /// The answer to a request: with slapproxy that of a shared instance has its host's addresses and no timestamp, which what is
    /// read later has the other way round.
    ///
    /// # Errors
    /// 503 when what is stored of it cannot be read.
    pub(super) fn posted(&self, wish: &Command, granted: &Granted) -> Result<Json, Refusal> {
        readable(posted(wish, granted))
    }

    fn list(
        &self,
        query: impl FnMut(&Connection) -> rusqlite::Result<Result<Vec<Json>, Refusal>>,
    ) -> Result<Json, Refusal> {
        Ok(json!({ "result_list": self.read(query)?? }))
    }

    /// The document of the instance that `query` finds.
    fn one(
        &self,
        mut query: impl FnMut(&Connection) -> rusqlite::Result<Result<Instance, Refusal>>,
    ) -> Result<Json, Refusal> {
        let found = self.read(|connection| match query(connection)? {
            Ok(instance) => Ok(Ok(found(connection, instance)?.document()?)),
            Err(refusal) => Ok(Err(refusal)),
        })??;
        Ok(found)
    }

    /// The computer that is asked about, which is heard of by that.
    fn registered(&self, arguments: &Arguments<'_>) -> Result<ComputerId, Refusal> {
        let name = arguments.text("computer_guid");
        let unknown = || Refusal::new(404, format!("{name} is not registered."));
        let computer: ComputerId = name.parse().map_err(|_| unknown())?;
        self.read(|connection| store::computer(connection, &computer))?.ok_or_else(unknown)?;
        self.contact(&computer);
        Ok(computer)
    }
}

fn posted(wish: &Command, granted: &Granted) -> rusqlite::Result<Json> {
    let given = match granted {
        Granted::Given(given, _) => given,
        Granted::StandIn(found) => {
            return elsewhere(wish, ("", &found.partition), json!(found.connection));
        }
        Granted::Forwarded(found) => {
            return elsewhere(wish, found.requested.place(), connection(&found.requested));
        }
    };
    let found = Found {
        instance: given.instance.clone(),
        root: None,
        partition: given.partition.clone(),
        message: String::new(),
    };
    let mut shown = found.document()?;
    if given.instance.is_shared() {
        shown["processing_timestamp"] = json!(0);
        shown["ip_list"] = addresses(given.partition.as_ref());
    }
    Ok(shown)
}

fn instances_of(
    connection: &Connection,
    computer: &ComputerId,
) -> rusqlite::Result<Result<Vec<Json>, Refusal>> {
    let partitions = store::partitions(connection, computer)?;
    let shown = |partition: &Partition| {
        let instance = partition.instance.as_ref()?;
        let root = partition.root_title.clone().filter(|_| instance.root.is_some());
        Some(json!({
            "title": instance.title,
            "instance_guid": guid(instance, root),
            "state": instance.state.to_string(),
            "compute_partition_id": partition.reference,
            "software_release_uri": instance.release,
        }))
    };
    Ok(Ok(partitions.iter().filter_map(shown).collect()))
}

/// The shared instances that an instance hosts, in whatever state; slapproxy knows no state of them.
fn shared_on(connection: &Connection, name: &InstanceGuid) -> rusqlite::Result<Result<Vec<Json>, Refusal>> {
    let host = match find_named(connection, name)? {
        Ok(host) => host,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some((_, partition)) = host.partition() else {
        return Ok(Err(Refusal::new(404, format!("No software instance {name} found."))));
    };
    let mut list = Vec::new();
    for shared in store::hosted(connection, host.number)? {
        let root = root_title(connection, &shared)?;
        list.push(json!({
            "title": shared.title,
            "instance_guid": guid(&shared, root),
            "software_type": shared.software_type,
            "state": shared.state.to_string(),
            "parameters": render::parameters(&shared.parameters)?,
            "compute_partition_id": partition,
        }));
    }
    Ok(Ok(list))
}

fn in_partition(
    connection: &Connection,
    computer: &ComputerId,
    partition: &PartitionId,
) -> rusqlite::Result<Result<Instance, Refusal>> {
    if store::computer(connection, computer)?.is_none() {
        return Ok(Err(unknown_computer(connection, computer)?));
    }
    let instance = store::partition(connection, computer, partition)?.and_then(|it| it.instance);
    Ok(instance.ok_or_else(|| Refusal::new(404, format!("No instance on partition {partition} found."))))
}

fn found(connection: &Connection, instance: Instance) -> rusqlite::Result<Found> {
    let holder = match instance.host() {
        Some(host) => store::instance(connection, host)?,
        None => Some(instance.clone()),
    };
    let place = holder.as_ref().and_then(Instance::partition);
    let partition = match place {
        Some((computer, partition)) => store::partition(connection, computer, partition)?,
        None => None,
    };
    let status = match (&instance.place, place) {
        (store::Place::Shared { reference, .. }, _) => {
            store::access_status(connection, Subject::Shared(reference))?
        }
        (_, Some((computer, partition))) => {
            store::access_status(connection, Subject::Partition(computer, partition))?
        }
        _ => None,
    };
    let message = status.map(|status| status.text).unwrap_or_default();
    Ok(Found { root: root_title(connection, &instance)?, instance, partition, message })
}

fn root_title(connection: &Connection, instance: &Instance) -> rusqlite::Result<Option<InstanceTitle>> {
    match instance.root {
        Some(root) => Ok(store::instance(connection, root)?.map(|root| root.title)),
        None => Ok(None),
    }
}

fn guid(instance: &Instance, root: Option<InstanceTitle>) -> InstanceGuid {
    InstanceGuid::new(&InstanceName { title: instance.title.clone(), root, shared: instance.is_shared() })
}

/// What is told of a wish that no partition of this master serves: what was asked for, where it is, and what is published.
fn elsewhere(
    wish: &Command,
    (computer, partition): (&str, &str),
    connection: Json,
) -> rusqlite::Result<Json> {
    let Command::Request { title, release, software_type, parameters, state, shared, .. } = wish else {
        return Ok(Json::Null);
    };
    let name = InstanceName { title: title.clone(), root: None, shared: *shared };
    Ok(json!({
        "title": title,
        "instance_guid": InstanceGuid::new(&name),
        "software_release_uri": release,
        "software_type": software_type,
        "state": state.unwrap_or(RequestedState::Started).to_string(),
        "connection_parameters": connection,
        "parameters": render::parameters(parameters)?,
        "shared": shared,
        "root_instance_title": title,
        "ip_list": [],
        "full_ip_list": [],
        "sla_parameters": {},
        "computer_guid": computer,
        "compute_partition_id": partition,
        "processing_timestamp": 0,
        "access_status_message": "",
    }))
}

/// What another master says to be published; of what it stands in for that is text, as it is of all.
fn connection(requested: &Requested) -> Json {
    match requested {
        Requested::Instance(found) => json!(found.connection),
        Requested::StandIn(found) => {
            found.connection.iter().map(|(key, value)| (key.clone(), json!(value.as_text()))).collect()
        }
    }
}

fn addresses(partition: Option<&Partition>) -> Json {
    let addresses = partition.into_iter().flat_map(|partition| &partition.addresses);
    addresses.map(|address| json!([address.interface, address.address])).collect()
}

impl Found {
    /// The document; where it is to be placed is not kept, so `sla_parameters` is empty, as with slapproxy.
    fn document(&self) -> rusqlite::Result<Json> {
        let (instance, partition) = (&self.instance, self.partition.as_ref());
        let served_by = partition.and_then(|it| it.instance.as_ref()).unwrap_or(instance);
        let own = partition.filter(|_| !instance.is_shared());
        Ok(json!({
            "title": instance.title,
            "instance_guid": guid(instance, self.root.clone()),
            "software_release_uri": served_by.release,
            "software_type": served_by.software_type,
            "state": instance.state.to_string(),
            "connection_parameters": render::parameters(&instance.connection)?,
            "parameters": render::parameters(&instance.parameters)?,
            "shared": instance.is_shared(),
            "root_instance_title": self.root.as_ref().unwrap_or(&instance.title),
            "ip_list": addresses(own),
            "full_ip_list": [],
            "sla_parameters": {},
            "computer_guid": partition.map(|it| it.computer.as_str()).unwrap_or_default(),
            "compute_partition_id": partition.map(|it| it.reference.as_str()).unwrap_or_default(),
            "processing_timestamp": partition.map_or(0, |it| it.timestamp.div_euclid(1_000_000)),
            "access_status_message": self.message,
        }))
    }
}
