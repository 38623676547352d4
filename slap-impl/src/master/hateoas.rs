//! The JSON documents that users' clients read: root, searches, and the documents that these lead to
//! (slapos/proxy/hateoas.py). What slapproxy lacks and the real master shows is added as `news`: the last reports.

use super::{Master, decisions::Refusal, form::Form};
use crate::{
    store::{self, Subject},
    vocabulary::{ComputerId, InstanceTitle},
    wire::{
        hateoas::{
            ComputerInformation, Query, Row, Service, computer_document, computer_path, root_document,
            search_document, service_document, service_path,
        },
        http::server::{Request, Response},
    },
};
use percent_encoding::percent_decode_str;
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
        Some(("partitions", title)) => service(master, &unescape(title)?),
        Some(("computers", reference)) => computer(master, &unescape(reference)?),
        Some(("shared", title)) => Err(Refusal::new(
            404,
            format!(
                "there is no shared instance {:?}: this master does not serve them yet",
                unescape(title)?
            ),
        )),
        None if path.trim_matches('/').is_empty() => by_mode(master, request),
        _ => Err(Refusal::new(404, "hateoas has partitions/TITLE and computers/REFERENCE")),
    }
}

fn by_mode(master: &Master, request: &Request) -> Result<Response, Refusal> {
    let form = Form::read(request, "hateoas")?;
    match form.optional("mode") {
        None => Ok(json_response(&root_document(&base_url(master, request)))),
        Some("search") => search(master, form.required("query")?),
        Some("traverse") => {
            let target = form.required("relative_url")?;
            // slapproxy leads anywhere; only our own documents are meant.
            let ours = target.starts_with("/hateoas/") && target.bytes().all(|byte| byte.is_ascii_graphic());
            if !ours {
                return Err(form.bad(
                    "relative_url",
                    &"expected what a search answered, such as /hateoas/partitions/TITLE",
                ));
            }
            let location = format!("{}{target}", forwarded_prefix(request));
            Ok(Response::text(302, "").header("location", location))
        }
        Some(other) => {
            let shown: String = other.chars().take(80).collect();
            Err(form.bad("mode", &format!("{shown:?} is none: expected search or traverse")))
        }
    }
}

fn search(master: &Master, query: &str) -> Result<Response, Refusal> {
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
                None => store::instances(connection)?,
                Some(Ok(title)) => store::instance_titled(connection, &title)?.into_iter().collect(),
                Some(Err(_)) => Vec::new(),
            };
            let row = |instance: store::Instance| Row {
                title: instance.title.to_string(),
                reference: Some(instance.partition.to_string()),
                relative_url: service_path(instance.title.as_str(), false),
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
                relative_url: computer_path(computer.reference.as_str()),
                url_string: None,
            };
            Ok(computers.into_iter().map(row).collect())
        }
    })?;
    Ok(json_response(&search_document(&rows)))
}

fn service(master: &Master, title: &str) -> Result<Response, Refusal> {
    let unknown = || {
        Refusal::new(404, format!("there is no instance {title:?}"))
            .hint("see `slap service list` for those that there are")
    };
    let Ok(wanted) = title.parse::<InstanceTitle>() else { return Err(unknown()) };
    let found = master.read(|connection| {
        let Some(instance) = store::instance_titled(connection, &wanted)? else { return Ok(None) };
        let partition = store::partition(connection, &instance.computer, &instance.partition)?;
        let subject = Subject::Partition(&instance.computer, &instance.partition);
        let status = store::access_status(connection, subject)?;
        let news = partition.map(|partition| master.partition_status(&partition, status.as_ref()).to_json());
        Ok(Some((instance, news)))
    })?;
    let (instance, news) = found.ok_or_else(unknown)?;
    Ok(json_response(&service_document(&Service {
        reference: instance.title.to_string(),
        requested_state: instance.state.to_string(),
        software_release: instance.release.to_string(),
        software_type: Some(instance.software_type),
        shared: false,
        parameters_xml: Some(instance.parameters),
        connection_xml: Some(instance.connection).filter(|document| !document.is_empty()),
        news: Some(news.into_iter().collect()),
    })))
}

fn computer(master: &Master, reference: &str) -> Result<Response, Refusal> {
    let wanted: ComputerId =
        reference.parse().map_err(|error| Refusal::new(404, format!("no such computer: {error}")))?;
    let news = master.read(|connection| {
        let status = match master.computer_status(connection, &wanted)? {
            Ok(status) => status.to_json(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut partitions = Map::new();
        for partition in store::partitions(connection, &wanted)? {
            if partition.instance.is_some() {
                let subject = Subject::Partition(&wanted, &partition.reference);
                let status = store::access_status(connection, subject)?;
                let shown = master.partition_status(&partition, status.as_ref());
                partitions.insert(partition.reference.to_string(), shown.to_json());
            }
        }
        let mut releases = Map::new();
        for supply in store::supplies(connection, &wanted)? {
            let status = store::access_status(connection, Subject::Release(&wanted, &supply.url))?;
            let shown = master.supply_status(&wanted, &supply.url, status.as_ref());
            releases.insert(supply.url.to_string(), shown.to_json());
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
/// X-Forwarded-Proto and X-Forwarded-Prefix (slapos/proxy/views.py, ProxyFix).
pub(super) fn base_url(master: &Master, request: &Request) -> String {
    let scheme = match last_of(request, "x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let is_host = |host: &&str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    };
    let own = master.address.borrow();
    let host = request.header("host").filter(is_host).unwrap_or(&own);
    format!("{scheme}://{host}{}", forwarded_prefix(request))
}

fn forwarded_prefix(request: &Request) -> &str {
    let is_path = |prefix: &&str| {
        prefix.starts_with('/')
            && !prefix.starts_with("//")
            && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.-_~%".contains(&byte))
    };
    let prefix = last_of(request, "x-forwarded-prefix").filter(is_path).unwrap_or_default();
    prefix.trim_end_matches('/')
}

/// What the proxy next to us said: the last value.
fn last_of<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.header(name)?.rsplit(',').next().map(str::trim)
}
