//! What users ask of shared instances and of children: by XML and the pages what these have, and all else by JSON-RPC.

use super::{COMPLAINT, client, guid, read_instance, rpc, title, wish};
use crate::swarm::{
    cloud::Cloud,
    history::{Answer, Outcome},
    release::trees::requested as title_of,
    script::{Act, Release, State},
};
use serde_json::{Value as Json, json};
use slap_impl::{client::InstanceRequest, env::Env};

/// The guid by which JSON-RPC knows the shared instance of a title that a user asked for.
pub(in crate::swarm) fn shared_guid(title: &str) -> String {
    format!("{title}______1")
}

/// The guid of what the instance of a title requested while it was of that release.
pub(in crate::swarm) fn requested_guid(root: &str, release: Release) -> String {
    let kind = match release {
        Release::A => 0,
        Release::B => 1,
    };
    format!("{}___{root}___{kind}", title_of(release))
}

/// Does what the script says.
pub(super) async fn ask(cloud: &Cloud, env: &Env, act: &Act, is_rpc: bool) -> Outcome {
    match act {
        Act::Request { title: number, release, node, note, state } if !is_rpc => {
            let wish = shared_wish(cloud, *number, *release, (*node, *note, *state));
            let given = client(cloud, env).request(&wish).await;
            Outcome::of(given.map(|given| Answer::Given(Box::new(given))))
        }
        Act::Read { title: number } if !is_rpc => {
            Outcome::of(read_instance(&client(cloud, env), &title(*number)).await)
        }
        _ => {
            let (method, document) = question(cloud, act);
            match rpc::call(cloud, env, method, &document).await {
                Ok(answer) => told(act, answer),
                // What is not there cannot be read.
                Err(Outcome::Refused { status: 403, .. }) if act.is_read() => Outcome::Answer(Answer::NoSuch),
                Err(outcome) => outcome,
            }
        }
    }
}

fn shared_wish(
    cloud: &Cloud,
    number: u32,
    release: Release,
    wanted: (Option<u32>, u32, State),
) -> InstanceRequest {
    InstanceRequest { shared: true, ..wish(cloud, number, release, wanted) }
}

fn question(cloud: &Cloud, act: &Act) -> (&'static str, Json) {
    let of_guid = |guid: String| json!({ "instance_guid": guid });
    match act {
        Act::Request { title: number, release, node, note, state } => {
            rpc::wish_of(&shared_wish(cloud, *number, *release, (*node, *note, *state)))
        }
        Act::Rename { title: from, to } => (
            "slapos.put.v0.software_instance_title",
            json!({ "instance_guid": shared_guid(&title(*from)), "title": title(*to) }),
        ),
        Act::Report { title: number, bang } => {
            let guid = shared_guid(&title(*number));
            let method = if *bang {
                "slapos.put.v0.software_instance_bang"
            } else {
                "slapos.put.v0.software_instance_error"
            };
            (method, json!({ "instance_guid": guid, "message": COMPLAINT }))
        }
        Act::Read { title: number } => {
            ("slapos.get.v0.software_instance", of_guid(shared_guid(&title(*number))))
        }
        Act::ReadHosted { title: number } => {
            ("slapos.allDocs.v0.instance_node_instance_list", of_guid(guid(&title(*number))))
        }
        Act::ReadRequested { title: number, release } => {
            ("slapos.get.v0.software_instance", of_guid(requested_guid(&title(*number), *release)))
        }
    }
}

fn told(act: &Act, mut answer: Json) -> Outcome {
    Outcome::Answer(match act {
        Act::Request { .. } | Act::Read { .. } | Act::ReadRequested { .. } => {
            Answer::Document(Box::new(answer))
        }
        Act::ReadHosted { .. } => match answer["result_list"].take() {
            Json::Array(rows) => Answer::Hosted(rows),
            _ => Answer::Hosted(Vec::new()),
        },
        Act::Rename { .. } | Act::Report { .. } => Answer::Done,
    })
}
