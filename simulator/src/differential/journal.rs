//! What an entry of the journal must hold: the command as it was asked, and the answer as it was given.

use super::{
    answer,
    books::Done,
    difference::{Part, compare, json},
    names::{
        self, Name, OTHER_MASTER, addresses, find_connection, find_parameters, kind_text, microseconds,
        reference_text,
    },
    question::{self, MESSAGE},
    rows::{Entry, Rows},
    rpc,
};
use serde_json::{Value, json};
use slap_impl::wire::instance_xml;
use slap_model::{
    Event, Reply, State,
    event::{Filter, Formatted, ReleaseReport, Report, Request, Wanted, Word},
    names::{Computer, Place, Reference, Title},
    reply::Given,
};
use std::collections::BTreeMap;

/// Adds in what an entry differs from what was asked and answered.
pub(super) fn check(done: &Done<'_>, rows: &Rows, entry: &Entry, parts: &mut Vec<Part>) {
    let found = serde_json::from_str(&entry.command).unwrap_or_else(|_| Value::from(entry.command.as_str()));
    compare("books.journal.command", &expected(done), &readable(found), parts);
    let found = serde_json::from_str(&entry.answer).unwrap_or_else(|_| Value::from(entry.answer.as_str()));
    match done.reply {
        Reply::Given(given) => {
            compare("books.journal.answer", &place_of(done, given), &without_instance(&found), parts);
            let is_its = is_of_instance(done, rows, &found["instance"]);
            compare("books.journal.instance", &json!(true), &json!(is_its), parts);
        }
        reply => {
            // What is remembered of another master's answer is an answer of its own.
            let reply = if matches!(reply, Reply::GivenElsewhere(_)) { &Reply::Done } else { reply };
            let text = found["text"].as_str().map(|text| match text {
                // A bang of a computer is answered so.
                "" => Ok(Reply::Done),
                text => answer::told(text),
            });
            let told = text.map_or_else(
                || found.to_string(),
                |told| told.map_or_else(|error| error, |it| json(&it).to_string()),
            );
            compare("books.journal.answer", &json(reply).to_string().into(), &told.into(), parts);
        }
    }
}

fn place_of(done: &Done<'_>, given: &Given) -> Value {
    let slot = given.place.and_then(|place| done.after.slot(place));
    json!({
        "computer": given.place.map(|place| place.computer.text()),
        "partition": given.place.map(|place| place.partition.text()),
        "timestamp": slot.map(|slot| if slot.rank == 0 { 0 } else { microseconds(slot.rank) }),
    })
}

fn without_instance(answer: &Value) -> Value {
    let mut answer = answer.clone();
    answer.as_object_mut().map(|members| members.remove("instance"));
    answer
}

/// Whether a number is that of the instance that was asked for.
fn is_of_instance(done: &Done<'_>, rows: &Rows, number: &Value) -> bool {
    let Event::Request(request) = done.event else { return false };
    let found = rows.instances.iter().find(|row| Some(row.number) == number.as_i64());
    match found {
        Some(row) => row.title == request.title.text() && row.shared == request.shared,
        // A shared instance goes at once.
        None => request.shared && request.state == Some(Wanted::Destroyed) && number.is_i64(),
    }
}

/// The command with its documents as what they say.
fn readable(mut command: Value) -> Value {
    fn read(command: &mut Value, name: &str, find: fn(&instance_xml::Parameters) -> Result<Value, String>) {
        let Some(member) = command.get_mut(name) else { return };
        let text = member.as_str().unwrap_or_default();
        let found = instance_xml::decode(text).map_err(|error| error.to_string()).and_then(|it| find(&it));
        *member = found.unwrap_or_else(Value::from);
    }
    read(&mut command, "parameters", |it| find_parameters(it).map(|it| json(&it)));
    read(&mut command, "document", |it| find_connection(it).map(|it| json(&it)));
    if let Some(action) = command.get_mut("action") {
        read(action, "document", |it| find_connection(it).map(|it| json(&it)));
    }
    command
}

fn expected(done: &Done<'_>) -> Value {
    let (state, is_call) = (done.before, done.is_call);
    match done.event {
        Event::Request(wish) if matches!(done.reply, Reply::GivenElsewhere(_)) => {
            let partition = wish.by.map(|place| place.partition);
            json!({
                "command": "forwarded",
                "master": OTHER_MASTER,
                "title": Title::elsewhere(partition, wish.title).text(),
                "requester": requester(wish),
                "gone": wish.state == Some(Wanted::Destroyed),
            })
        }
        Event::Rebase(root) => {
            let supplied = state.computers.values().flat_map(|registered| registered.supplies.keys());
            let all = supplied.chain(state.instances.values().map(|instance| &instance.release));
            let moved = all.map(|release| (release, release.moved(state.root, *root)));
            let moved: BTreeMap<String, String> =
                moved.filter(|(from, to)| *from != to).map(|(from, to)| (from.text(), to.text())).collect();
            json!({
                "command": "rebase",
                "root": root.map_or_else(|| "/".to_owned(), Name::text),
                "moved": moved,
            })
        }
        Event::Request(wish) => request(wish),
        Event::Supply { computer, release, wanted } => json!({
            "command": "supply",
            "computer": computer.text(),
            "url": release.text(),
            "state": if *wanted { "available" } else { "destroyed" },
        }),
        Event::Format { computer, partitions } => format(*computer, partitions, is_call),
        Event::ReportRelease { computer, release, report } => {
            let report = match report {
                ReleaseReport::Building => json!({ "report": "building" }),
                ReleaseReport::Available => json!({ "report": "available" }),
                ReleaseReport::Error => json!({ "report": "error", "log": MESSAGE }),
                ReleaseReport::Destroyed => json!({ "report": "destroyed" }),
            };
            json!({ "command": "report-release", "computer": computer.text(), "url": release.text(), "report": report })
        }
        Event::BangComputer(computer) => {
            json!({ "command": "bang-computer", "computer": computer.text(), "message": MESSAGE })
        }
        Event::Publish { place, shared, connection } if is_call => {
            let action = json!({ "action": "publish", "document": connection });
            on_instance(state, *place, *shared, action)
        }
        Event::Publish { place, shared, connection } => {
            about(*place, *shared, "publish", json!({ "document": connection }))
        }
        Event::Rename { place, shared, title } if is_call => {
            on_instance(state, *place, *shared, json!({ "action": "rename", "title": title.text() }))
        }
        Event::Rename { place, shared, title } => {
            about(*place, *shared, "rename", json!({ "title": title.text() }))
        }
        Event::Bang { place, shared } => report(state, *place, *shared, Word::Bang, None, is_call),
        Event::ReportSharedError { place, shared } => {
            report(state, *place, Some(*shared), Word::Error, None, is_call)
        }
        Event::Report(Report { place, word, about }) => report(state, *place, None, *word, *about, is_call),
        other => json!({ "no command": other.kind() }),
    }
}

fn requester(wish: &Request) -> Option<Value> {
    wish.by.map(|place| json!({ "computer": place.computer.text(), "partition": place.partition.text() }))
}

fn request(wish: &Request) -> Value {
    // That it meant another master is no part of what is decided on here.
    let filter = if wish.filter == Filter::Elsewhere { Filter::Anywhere } else { wish.filter };
    json!({
        "command": "request",
        "title": wish.title.text(),
        "release": wish.release.text(),
        "software_type": kind_text(wish.kind),
        "parameters": wish.parameters,
        "filter": question::filter(filter),
        "state": wish.state.map(|state| match state {
            Wanted::Started => "started",
            Wanted::Stopped => "stopped",
            Wanted::Destroyed => "destroyed",
        }),
        "requester": requester(wish),
        "shared": wish.shared,
    })
}

fn format(computer: Computer, partitions: &Formatted, is_call: bool) -> Value {
    let (address, netmask) = if is_call { ("", "") } else { question::COMPUTER_ADDRESS };
    let partitions = partitions.iter().map(|(partition, address)| {
        let own = addresses(*partition, *address).into_iter();
        let own: Vec<_> =
            own.map(|(address, netmask)| (names::interface(*partition), address, netmask)).collect();
        json!({ "reference": partition.text(), "addresses": own })
    });
    json!({
        "command": "format",
        "computer": computer.text(),
        "address": address,
        "netmask": netmask,
        "partitions": partitions.collect::<Vec<_>>(),
    })
}

fn report(
    state: &State,
    place: Place,
    shared: Option<Reference>,
    word: Word,
    rank: Option<u32>,
    is_call: bool,
) -> Value {
    let mut report = match word {
        Word::Started => json!({ "report": "started" }),
        Word::Stopped => json!({ "report": "stopped" }),
        Word::Destroyed => json!({ "report": "destroyed" }),
        Word::Error => json!({ "report": "error", "log": MESSAGE }),
        Word::Bang => json!({ "report": "bang", "message": MESSAGE }),
    };
    if is_call {
        report["action"] = json!("report");
        return on_instance(state, place, shared, report);
    }
    about(place, shared, "report-instance", json!({ "report": report, "about": rank.map(microseconds) }))
}

/// A command that names a partition.
fn about(place: Place, shared: Option<Reference>, command: &str, mut more: Value) -> Value {
    more["command"] = json!(command);
    more["computer"] = json!(place.computer.text());
    more["partition"] = json!(place.partition.text());
    more["slave_reference"] = json!(shared.map(reference_text));
    more
}

/// A command that names an instance by its guid.
fn on_instance(state: &State, place: Place, shared: Option<Reference>, action: Value) -> Value {
    json!({ "command": "on-instance", "guid": rpc::named(state, place, shared), "action": action })
}
