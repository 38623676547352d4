//! Users who ask by JSON-RPC, each method as a POST of an object (docs/slap-protocol.md).

use super::{PATIENCE, computer, guid, supplied, title, wish};
use crate::swarm::{
    cloud::Cloud,
    history::{Answer, Outcome, Part},
    script::Event,
};
use serde_json::{Value as Json, json};
use slap_impl::{
    client::InstanceRequest,
    env::Env,
    vocabulary::RequestedState,
    wire::http::client::{self as http, Request, Url},
};

/// Does what the script says, if there is a method for it; the answer tells the same as that of XML, or a part of it.
pub(super) async fn ask(cloud: &Cloud, env: &Env, event: &Event) -> Option<Outcome> {
    let (method, document) = question(cloud, event)?;
    Some(match call(cloud, env, method, &document).await {
        Ok(answer) => told(event, answer),
        // What is not there cannot be read.
        Err(Outcome::Refused { status: 403, .. }) if is_by_title(event) => {
            Outcome::Answer(Answer::Instance(None))
        }
        Err(Outcome::Refused { status: 403, .. }) if matches!(event, Event::ReadInstance { .. }) => {
            Outcome::Answer(Answer::NoSuch)
        }
        Err(outcome) => outcome,
    })
}

fn question(cloud: &Cloud, event: &Event) -> Option<(&'static str, Json)> {
    Some(match event {
        Event::Supply { node, release, removed, .. } => (
            "slapos.post.v0.software_installation",
            json!({
                "computer_guid": computer(*node),
                "software_release_uri": cloud.release_url(*release),
                "state": supplied(*removed).as_str(),
            }),
        ),
        Event::Request { title: number, release, node, note, state, .. } => {
            wish_of(&wish(cloud, *number, *release, (*node, *note, *state)))
        }
        Event::Rename { title: from, to, .. } => (
            "slapos.put.v0.software_instance_title",
            json!({ "instance_guid": guid(&title(*from)), "title": title(*to) }),
        ),
        Event::ReadInstance { title: number, .. } if is_by_title(event) => {
            ("slapos.get.v0.instance_tree", json!({ "title": title(*number) }))
        }
        Event::ReadInstance { title: number, .. } => {
            ("slapos.get.v0.software_instance", json!({ "instance_guid": guid(&title(*number)) }))
        }
        Event::ReadList { .. } => ("slapos.allDocs.v0.instance_tree_list", json!({})),
        Event::ReadComputer { node, again, .. } => {
            let method = match part(*again) {
                Part::Releases => "slapos.allDocs.v0.compute_node_software_installation_list",
                Part::Instances => "slapos.allDocs.v0.compute_node_instance_list",
            };
            (method, json!({ "computer_guid": computer(*node) }))
        }
        _ => return None,
    })
}

/// The method that requests, and its document.
pub(super) fn wish_of(wish: &InstanceRequest) -> (&'static str, Json) {
    let document = json!({
        "title": wish.title,
        "software_release_uri": wish.software_release,
        "software_type": wish.software_type,
        "parameters": wish.parameters,
        "sla_parameters": wish.filter,
        "state": wish.state.map(RequestedState::as_str),
        "shared": wish.shared,
    });
    ("slapos.post.v0.software_instance", document)
}

/// Whether an instance is read by its title, which only a root has, shared or not; or by its name, which says whether it is shared.
fn is_by_title(event: &Event) -> bool {
    matches!(event, Event::ReadInstance { title, .. } if title % 2 == 0)
}

/// What is read of a computer: there is no method for all of it, and none for what changed.
fn part(again: bool) -> Part {
    if again { Part::Releases } else { Part::Instances }
}

fn told(event: &Event, mut answer: Json) -> Outcome {
    let rows = |answer: &mut Json| match answer["result_list"].take() {
        Json::Array(rows) => rows,
        _ => Vec::new(),
    };
    Outcome::Answer(match event {
        Event::Request { .. } | Event::ReadInstance { .. } => Answer::Document(Box::new(answer)),
        Event::ReadList { .. } => Answer::Titles(rows(&mut answer)),
        Event::ReadComputer { again, .. } => Answer::Rows { part: part(*again), rows: rows(&mut answer) },
        _ => Answer::Done,
    })
}

/// Calls a method.
///
/// # Errors
/// What came of it otherwise.
pub(super) async fn call(cloud: &Cloud, env: &Env, method: &str, document: &Json) -> Result<Json, Outcome> {
    let url: Url = format!("{}/{method}", cloud.master_url()).parse().expect("the URL is good");
    let request = Request {
        method: "POST",
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: document.to_string().into_bytes(),
        deadline: PATIENCE,
        ..Request::get(url)
    };
    match http::send(env, request).await {
        Ok(response) if response.is_success() => serde_json::from_slice(&response.body)
            .map_err(|error| Outcome::Unknown(format!("{method}: the answer is no JSON: {error}"))),
        Ok(response) => Err(Outcome::Refused {
            status: response.status,
            message: String::from_utf8_lossy(&response.body).into_owned(),
        }),
        Err(error) => Err(Outcome::Unknown(error.to_string())),
    }
}
