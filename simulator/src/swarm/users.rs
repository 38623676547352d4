//! What users do: each has a process of its own on the users' machine, and does not wait for what it asked before.
//!
//! * here: what they want and follow; `rpc.rs`: the same by JSON-RPC
//! * `look.rs`, `stand_in.rs`, `tell.rs`: what else they ask and tell, with `asker.rs`; `typed.rs`: at a terminal
//! * `strangers.rs`: who sends what is wrong

pub(super) mod asker;
mod look;
mod rpc;
pub(super) mod second;
mod stand_in;
pub(super) mod strangers;
mod tell;
pub(super) mod trees;
pub(super) mod typed;

use super::{
    cloud::Cloud,
    history::{Answer, History, Outcome},
    script::{Event, Place, Release, State},
};
use asker::Asker;
use slap_impl::{
    client::{ClientError, InstanceRequest, Poll, SlapClient},
    env::Env,
    vocabulary::{ComputerId, RequestedState, SoftwareUrl, SupplyState},
};
use std::{collections::BTreeMap, rc::Rc, time::Duration};

/// How long a user waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// What a user says of a partition in which something is wrong.
pub(super) const COMPLAINT: &str = "a user thinks so";

/// Lets a user do what the script says.
pub(super) fn operate(cloud: &Rc<Cloud>, history: &Rc<History>, event: &Event) {
    let Some(user) = event.user() else { return };
    if !cloud.machine(Place::Users).is_on() {
        return;
    }
    let env = cloud.user(user);
    // What is typed is judged as what it means.
    let meaning = match event {
        Event::Type { typed, .. } => typed.meaning(user),
        other => other.clone(),
    };
    let number = history.began(cloud, env.clock().elapsed(), user, &meaning);
    let (cloud, history, event) = (cloud.clone(), history.clone(), event.clone());
    env.clone().spawn(async move {
        let outcome = ask(&cloud, &env, &history, &event).await;
        cloud.world.trace().event(format_args!("user {user}"), format_args!("{number}: {outcome}"));
        history.ended(&cloud, number, env.clock().elapsed(), outcome);
    });
}

/// The same for who waits for the answer: whether it was a yes.
pub(super) async fn do_now(cloud: &Rc<Cloud>, env: &Env, history: &History, event: &Event) -> bool {
    let user = event.user().unwrap_or_default();
    let number = history.began(cloud, env.clock().elapsed(), user, event);
    let outcome = ask(cloud, env, history, event).await;
    let is_done = outcome.is_answer();
    history.ended(cloud, number, env.clock().elapsed(), outcome);
    is_done
}

/// A client of the master in somebody's hands.
pub(super) fn client(cloud: &Cloud, env: &Env) -> SlapClient {
    SlapClient::new(env.clone(), &cloud.master_url()).expect("the URL is good").with_deadline(PATIENCE)
}

/// The title of that number.
pub(super) fn title(number: u32) -> String {
    format!("instance-{number}")
}

/// The reference of a node's computer.
pub(super) fn computer(number: u32) -> ComputerId {
    format!("COMP-{number}").parse().expect("it is a reference")
}

/// The guid by which JSON-RPC knows the root of a title.
pub(super) fn guid(title: &str) -> String {
    format!("{title}______0")
}

/// The parameters that come with a note.
pub(super) fn parameters(note: u32) -> BTreeMap<String, String> {
    BTreeMap::from([("note".to_owned(), note.to_string())])
}

/// Where an instance shall be.
pub(super) fn filter(node: Option<u32>) -> BTreeMap<String, String> {
    node.iter().map(|node| ("computer_guid".to_owned(), computer(*node).to_string())).collect()
}

/// What is wanted, as the wire says it.
pub(super) fn requested(state: State) -> RequestedState {
    match state {
        State::Started => RequestedState::Started,
        State::Stopped => RequestedState::Stopped,
        State::Destroyed => RequestedState::Destroyed,
    }
}

/// A request for an instance of that title, which is not shared.
pub(super) fn wish(
    cloud: &Cloud,
    number: u32,
    release: Release,
    (node, note, state): (Option<u32>, u32, State),
) -> InstanceRequest {
    InstanceRequest {
        software_release: cloud.release_url(release).parse().expect("it is a URL"),
        software_type: "default".to_owned(),
        title: title(number).parse().expect("it is a title"),
        parameters: parameters(note),
        filter: filter(node),
        state: Some(requested(state)),
        shared: false,
    }
}

/// What is wanted of a release, as the wire says it.
pub(super) fn supplied(is_removed: bool) -> SupplyState {
    if is_removed { SupplyState::Destroyed } else { SupplyState::Available }
}

/// Reads the page of the instance of a title.
async fn read_instance(client: &SlapClient, title: &str) -> Result<Answer, ClientError> {
    match client.service_information(title).await {
        Ok(found) => Ok(Answer::Instance(Some(Box::new(found)))),
        Err(ClientError::NotFound(_)) => Ok(Answer::Instance(None)),
        Err(error) => Err(error),
    }
}

async fn ask(cloud: &Cloud, env: &Env, history: &History, event: &Event) -> Outcome {
    let asker = Asker { cloud, env, history, user: event.user().unwrap_or_default() };
    match *event {
        Event::Look { look, .. } => return look::look(&asker, look).await,
        Event::Tell { tell, .. } => return tell::tell(&asker, tell).await,
        Event::Type { user, typed } => return typed::enter(cloud, history, user, typed).await,
        _ => {}
    }
    // In XML only who knows an instance's partition can rename it.
    let is_rpc = event.user().is_some_and(|user| (1..=cloud.knobs.rpc_users).contains(&user));
    if let Event::Tree { act, .. } = event {
        return trees::ask(cloud, env, act, is_rpc).await;
    }
    if (is_rpc || matches!(event, Event::Rename { .. }))
        && let Some(outcome) = rpc::ask(cloud, env, event).await
    {
        return outcome;
    }
    let client = client(cloud, env);
    let result = match event {
        Event::Supply { node, release, removed, .. } => {
            let url: SoftwareUrl = cloud.release_url(*release).parse().expect("it is a URL");
            client.supply(&url, &computer(*node), supplied(*removed)).await.map(|()| Answer::Done)
        }
        Event::Request { title: number, release, node, note, state, .. } => {
            let wish = wish(cloud, *number, *release, (*node, *note, *state));
            client.request(&wish).await.map(|given| Answer::Given(Box::new(given)))
        }
        Event::Bang { node, partition, .. } => {
            let partition = format!("slappart{partition}").parse().expect("it is a reference");
            client.bang(&computer(*node), &partition, COMPLAINT).await.map(|()| Answer::Done)
        }
        Event::ReadInstance { title: number, .. } => read_instance(&client, &title(*number)).await,
        Event::ReadList { .. } => client.services().await.map(Answer::List),
        Event::ReadComputer { user, node, again } => {
            let known = if *again { history.tag(*user, *node) } else { None };
            let tag = known.as_ref().map(|(tag, _)| tag.as_str());
            let read = client.full_computer_information(&computer(*node), tag, None).await;
            match (read, known) {
                (Ok(Poll::Changed { computer, etag, .. }), _) => {
                    Ok(Answer::Computer { tag: etag, computer: Box::new(computer) })
                }
                (Ok(Poll::Unchanged { .. }), Some((_, since))) => Ok(Answer::Unchanged { since }),
                (Ok(Poll::Unchanged { .. }), None) => {
                    Err(ClientError::Protocol("nothing was known that could be unchanged".to_owned()))
                }
                (Err(error), _) => Err(error),
            }
        }
        _ => unreachable!("only users' events have a user, and renames are JSON-RPC's"),
    };
    Outcome::of(result)
}
