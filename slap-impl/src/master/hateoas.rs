//! The JSON documents that users' clients read: root, searches, and the documents that these lead to
//! (slapos/proxy/hateoas.py). What slapproxy lacks and the real master shows is added as `news`: the last reports.

use super::{Master, decisions::Refusal, form::Form};
use crate::{
    store::{self, Place, Subject},
    vocabulary::{ComputerId, InstanceTitle, PartitionId},
    wire::{
        hateoas::{
            ComputerInformation, Query, Row, Service, computer_document, computer_path, root_document,
            search_document, service_document, service_path,
        },
        http::server::{Request, Response},
        status::AccessStatus,
    },
};
use percent_encoding::percent_decode_str;
use rusqlite::Connection;
use serde_json::{Map, Value as Json, json};

/// Answers what stands under `/hateoas`.
pub(super) fn answer(master: &Master, request: &Request) -> Result<Response, Refusal> {
    if request.method != "GET" {
        let refusal = Refusal::new(405, format!("hateoas is asked with GET, not {}", request.method));
        return Ok(super::router::refused(&refusal).header("allow", "GET"));
    }
    let path = request.path.trim_start_matches('/');
    let path = path.strip_prefix("hateoas").unwrap_or(path);
    match path.trim_matches('/').split_once('/') {
        Some(("partitions", title)) => service(master, &unescape(title)?, false),
        Some(("shared", title)) => service(master, &unescape(title)?, true),
        Some(("computers", reference)) => computer(master, &unescape(reference)?),
        None if path.trim_matches('/').is_empty() => by_mode(master, request),
        _ => Err(Refusal::new(404, "hateoas has partitions/TITLE, shared/TITLE and computers/REFERENCE")),
    }
}

fn by_mode(master: &Master, request: &Request) -> Result<Response, Refusal> {
    let form = Form::read(request, "hateoas")?;
    match form.optional("mode") {
        None => Ok(json_response(&root_document(&base_url(master, request)))),
        Some("search") => search(master, form.required("query")?, forwarded_prefix(request)),
        Some("traverse") => {
            let target = form.required("relative_url")?;
            // slapproxy leads anywhere; only our own documents are meant. What a search answered has the prefix already.
            let prefix = forwarded_prefix(request);
            let own =
                target.strip_prefix(prefix).filter(|rest| rest.starts_with("/hateoas/")).unwrap_or(target);
            let ours = own.starts_with("/hateoas/") && own.bytes().all(|byte| byte.is_ascii_graphic());
            if !ours {
                return Err(form.bad(
                    "relative_url",
                    &"expected what a search answered, such as /hateoas/partitions/TITLE",
                ));
            }
            Ok(Response::text(302, "").header("location", format!("{prefix}{own}")))
        }
        Some(other) => {
            let shown: String = other.chars().take(80).collect();
            Err(form.bad("mode", &format!("{shown:?} is none: expected search or traverse")))
        }
    }
}

/// Where documents stand is told as the client has to ask for them, with the prefix of a reverse proxy.
fn search(master: &Master, query: &str, prefix: &str) -> Result<Response, Refusal> {
    let Some(query) = Query::parse(query) else {
        let shown: String = query.chars().take(200).collect();
        return Err(Refusal::new(400, format!("Unhandled query: {shown}")).hint(
            "known are portal_type:\"Instance Tree\" and portal_type:\"Compute Node\", each AND validation_state:validated, \
            for one of them AND title:=\"...\" or AND reference:=\"...\"",
        ));
    };
    let rows = master.read(|connection| match &query {
        Query::Services(title) => {
            let instances = match title.as_deref().map(str::parse::<InstanceTitle>) {
                None => store::roots(connection)?,
                Some(Ok(title)) => store::instance_titled(connection, None, &title)?.into_iter().collect(),
                Some(Err(_)) => Vec::new(),
            };
            let row = |instance: store::Instance| Row {
                title: instance.title.to_string(),
                reference: instance.partition().map(|(_, partition)| partition.to_string()),
                relative_url: format!(
                    "{prefix}{}",
                    service_path(instance.title.as_str(), instance.is_shared())
                ),
                url_string: Some(instance.release.to_string()),
            };
            Ok(instances.into_iter().map(row).collect::<Vec<Row>>())
        }
        Query::Computers(reference) => {
            let computers = match reference.as_deref().map(str::parse::<ComputerId>) {
                None => store::computers(connection)?,
                Some(Ok(reference)) => store::computer(connection, &reference)?.into_iter().collect(),
                Some(Err(_)) => Vec::new(),
            };
            let row = |computer: store::Computer| Row {
                title: computer.reference.to_string(),
                reference: Some(computer.reference.to_string()),
                relative_url: format!("{prefix}{}", computer_path(computer.reference.as_str())),
                url_string: None,
            };
            Ok(computers.into_iter().map(row).collect())
        }
    })?;
    Ok(json_response(&search_document(&rows)))
}

/// A root's document. slapproxy does not know the state of a shared one, and calls it `unused`.
fn service(master: &Master, title: &str, shared: bool) -> Result<Response, Refusal> {
    let unknown = || {
        let kind = if shared { "shared instance" } else { "instance" };
        Refusal::new(404, format!("there is no {kind} {title:?}"))
            .hint("see `slap service list` for those that there are")
    };
    let Ok(wanted) = title.parse::<InstanceTitle>() else { return Err(unknown()) };
    let found = master.read(|connection| {
        let found = store::instance_titled(connection, None, &wanted)?;
        let Some(instance) = found.filter(|instance| instance.is_shared() == shared) else { return Ok(None) };
        let news = news(master, connection, &instance)?;
        Ok(Some((instance, news)))
    })?;
    let (instance, news) = found.ok_or_else(unknown)?;
    Ok(json_response(&service_document(&Service {
        reference: instance.title.to_string(),
        requested_state: instance.state.to_string(),
        software_release: instance.release.to_string(),
        software_type: Some(instance.software_type),
        shared,
        parameters_xml: Some(instance.parameters),
        connection_xml: Some(instance.connection).filter(|document| !document.is_empty()),
        news: Some(news.into_iter().collect()),
    })))
}

/// The last report about an instance. Of a shared one nobody but its host speaks, and only of errors: so it is well when its
/// host was well after the last of them, and saw its list.
fn news(
    master: &Master,
    connection: &Connection,
    instance: &store::Instance,
) -> rusqlite::Result<Option<Json>> {
    let (reference, host) = match &instance.place {
        Place::Partition(computer, partition) => {
            return of_partition(master, connection, computer, partition);
        }
        Place::Shared { reference, host } => (reference, host),
    };
    let host = match host {
        Some(host) => store::instance(connection, *host)?,
        None => None,
    };
    let Some((computer, partition)) = host.as_ref().and_then(store::Instance::partition) else {
        return Ok(Some(master.without_host(reference).to_json()));
    };
    let own = store::access_status(connection, Subject::Shared(reference))?;
    let of_host = store::access_status(connection, Subject::Partition(computer, partition))?;
    match &own {
        Some(own) if of_host.is_none_or(|of_host| of_host.created_at <= own.created_at) => {
            Ok(Some(master.shared_status(computer, reference, own).to_json()))
        }
        _ => of_partition(master, connection, computer, partition),
    }
}

fn of_partition(
    master: &Master,
    connection: &Connection,
    computer: &ComputerId,
    partition: &PartitionId,
) -> rusqlite::Result<Option<Json>> {
    let status = store::access_status(connection, Subject::Partition(computer, partition))?;
    let partition = store::partition(connection, computer, partition)?;
    Ok(partition.map(|partition| master.partition_status(&partition, status.as_ref()).to_json()))
}

/// Bytes of logs in the document of a computer, where a byte may take six: of what is more, no log is shown, for a client reads 64 MiB. Each
/// instance's own page has it.
const LOGS_BYTES_MAX: usize = 8 << 20;

fn computer(master: &Master, reference: &str) -> Result<Response, Refusal> {
    let wanted: ComputerId =
        reference.parse().map_err(|error| Refusal::new(404, format!("no such computer: {error}")))?;
    let news = master.read(|connection| {
        let status = match master.computer_status(connection, &wanted)? {
            Ok(status) => status.to_json(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let reports = store::access_statuses(connection, Some(&wanted))?;
        let report = |kind: &str, name: &str| {
            let place = reports.binary_search_by_key(&(kind, name), |row| (&row.kind, &row.name));
            place.ok().map(|place| &reports[place].status)
        };
        let mut logs = 0;
        let mut shown = |mut status: AccessStatus| {
            logs += status.log.len();
            if logs > LOGS_BYTES_MAX {
                status.log.clear();
            }
            status.to_json()
        };
        let mut partitions = Map::new();
        for partition in store::partitions(connection, &wanted)? {
            if partition.instance.is_some() {
                let name = partition.reference.to_string();
                let status = master.partition_status(&partition, report("partition", &name));
                partitions.insert(name, shown(status));
            }
        }
        let mut releases = Map::new();
        for supply in store::supplies(connection, &wanted)? {
            let status = master.supply_status(&wanted, &supply.url, report("release", supply.url.as_str()));
            releases.insert(supply.url.to_string(), shown(status));
        }
        Ok(Ok(json!({ "computer": status, "partition": partitions, "software": releases })))
    })??;
    let reference = wanted.to_string();
    let information = ComputerInformation { title: reference.clone(), reference, news: Some(news) };
    Ok(json_response(&computer_document(&information)))
}

fn json_response(document: &Json) -> Response {
    Response::new(200, "application/json", document.to_string())
}

fn unescape(text: &str) -> Result<String, Refusal> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Refusal::new(400, "the path does not stand for UTF-8 text")),
    }
}

/// This master's URL as its client knows it, without a slash at its end. A reverse proxy in front says how it was asked in
/// X-Forwarded-Proto and X-Forwarded-Prefix (slapos/proxy/views.py, ProxyFix). A scheme's own port is not said.
pub(super) fn base_url(master: &Master, request: &Request) -> String {
    let (scheme, own_port) = if is_https(request) { ("https", ":443") } else { ("http", ":80") };
    let is_host = |host: &&str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    };
    let own = master.address.borrow();
    let host = request.header("host").filter(is_host).unwrap_or(&own);
    format!("{scheme}://{}{}", host.strip_suffix(own_port).unwrap_or(host), forwarded_prefix(request))
}

/// Whether a reverse proxy in front was asked over https.
pub(super) fn is_https(request: &Request) -> bool {
    last_of(request, "x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

fn forwarded_prefix(request: &Request) -> &str {
    let is_path = |prefix: &&str| {
        prefix.starts_with('/')
            && !prefix.starts_with("//")
            && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.-_~%+!$*,;=:@".contains(&byte))
    };
    let prefix = last_of(request, "x-forwarded-prefix").filter(is_path).unwrap_or_default();
    prefix.trim_end_matches('/')
}

/// What the proxy next to us said: the last value.
fn last_of<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.header(name)?.rsplit(',').next().map(str::trim)
}
