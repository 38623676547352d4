//! What users ask the first master for that the second one has. What they are told is kept as if they had asked there.

use super::{PATIENCE, parameters, requested, rpc, supplied};
use crate::swarm::{
    cloud::Cloud,
    history::{Answer, Outcome},
    script::{Event, Release},
    second,
};
use serde_json::{Value as Json, json};
use slap_impl::{
    client::{InstanceRequest, SlapClient},
    env::Env,
    vocabulary::SoftwareUrl,
};
use std::{collections::BTreeMap, rc::Rc};

/// What titles begin with that are asked for here.
const HERE: &str = "far-";
/// What they begin with at the second master.
const THERE: &str = "user_far-";
/// What they begin with in the history and for the judge.
const JUDGED: &str = "instance-";

/// Something of the second master as it would be if users asked it themselves.
pub(in crate::swarm) fn as_asked(text: &str) -> String {
    text.replace(THERE, JUDGED)
}

/// Lets a user do what the script says.
pub(in crate::swarm) fn operate(cloud: &Rc<Cloud>, event: &Event) {
    let Event::Elsewhere { user, title, listed, note, state } = *event else { return };
    if !cloud.has_second() || !cloud.machine(super::Place::Users).is_on() {
        return;
    }
    let release = if listed { Release::B } else { Release::A };
    let asked = Event::Request { user, title, release, node: None, note, state };
    let env = cloud.user(user);
    let number = cloud.second.history.began(cloud, env.clock().elapsed(), user, &asked);
    let cloud = cloud.clone();
    env.clone().spawn(async move {
        let outcome = if user <= cloud.knobs.rpc_users {
            ask_by_rpc(&cloud, &env, &asked).await
        } else {
            ask(&cloud, &env, &asked).await
        };
        let shown = format_args!("{number} at the second master: {outcome}");
        cloud.world.trace().event(format_args!("user {user}"), shown);
        cloud.second.history.ended(&cloud, number, env.clock().elapsed(), outcome);
    });
}

/// The releases by their letters, and the filter that names the second master where its settings do not.
fn wished(cloud: &Cloud, release: Release) -> (SoftwareUrl, BTreeMap<String, String>) {
    let [any, listed] = cloud.far_releases();
    let (url, filter) = match release {
        Release::A => (any, [("master_url".to_owned(), cloud.other_url())].into()),
        Release::B => (listed, BTreeMap::new()),
    };
    (url.parse().expect("it is a URL"), filter)
}

async fn ask(cloud: &Cloud, env: &Env, event: &Event) -> Outcome {
    let Event::Request { title, release, note, state, .. } = event else {
        unreachable!("only requests are passed on")
    };
    let (software_release, filter) = wished(cloud, *release);
    let wish = InstanceRequest {
        software_release,
        software_type: "default".to_owned(),
        title: format!("{HERE}{title}").parse().expect("it is a title"),
        parameters: parameters(*note),
        filter,
        state: Some(requested(*state)),
        shared: false,
    };
    let given = super::client(cloud, env).request(&wish).await;
    Outcome::of(given.map(|given| Answer::Given(Box::new(given))))
}

async fn ask_by_rpc(cloud: &Cloud, env: &Env, event: &Event) -> Outcome {
    let Event::Request { title, release, note, state, .. } = event else {
        unreachable!("only requests are passed on")
    };
    let (url, filter) = wished(cloud, *release);
    let document = json!({
        "title": format!("{HERE}{title}"),
        "software_release_uri": url,
        "software_type": "default",
        "parameters": parameters(*note),
        "sla_parameters": filter,
        "state": requested(*state).as_str(),
        "shared": false,
    });
    match rpc::call(cloud, env, "slapos.post.v0.software_instance", &document).await {
        Ok(told) => {
            let told = told.to_string().replace(HERE, JUDGED);
            let told: Json = serde_json::from_str(&told).expect("it was JSON");
            Outcome::Answer(Answer::Document(Box::new(told)))
        }
        Err(outcome) => outcome,
    }
}

/// Supplies a release to the second master's node; whether that was taken.
pub(in crate::swarm) async fn supply(cloud: &Cloud, env: &Env, event: &Event) -> bool {
    let Event::Supply { user, node, release, removed } = event else { return false };
    let history = &cloud.second.history;
    let number = history.began(cloud, env.clock().elapsed(), *user, event);
    let (url, _) = wished(cloud, *release);
    let client: SlapClient = second::client(cloud, env).with_deadline(PATIENCE);
    let done = client.supply(&url, &super::computer(*node), supplied(*removed)).await;
    let outcome = Outcome::of(done.map(|()| Answer::Done));
    let is_done = outcome.is_answer();
    history.ended(cloud, number, env.clock().elapsed(), outcome);
    is_done
}
