//! What users type: `slap` as a process on their machine, with its settings in the user's home. Its exit code and what it prints are taken as
//! the answer that they stand for; anything that is not documented is a finding.

use super::{computer, parameters, requested, title};
use crate::{
    swarm::{
        cloud::{Cloud, product},
        history::{Answer, History, Outcome},
        script::{Goal, Place, Typed},
        told::{Page, Told, document},
    },
    world::{SLAP, pause},
};
use serde_json::{Value as Json, json};
use slap_impl::{
    env::{Command, Ended, Env, Output},
    wire::hateoas::{Row, Service},
};
use std::{collections::BTreeMap, time::Duration};

/// The rule that a command breaks which does not end, or does not print, as it is documented.
pub(in crate::swarm) const RULE: &str = "command-ends-as-documented";
/// What a program ends with that is killed, or asked to end: 128 and the signal.
const KILLED: [i32; 2] = [128 + 9, 128 + 15];
/// Bytes of what is printed that are kept.
const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// A wait may take so much longer: each answer of a last look has 5 s, and then those that tell whether there is room.
const LOOK_TIME: Duration = Duration::from_secs(60);

/// Types a command and reads what comes of it.
pub(super) async fn enter(cloud: &Cloud, history: &History, user: u32, typed: Typed) -> Outcome {
    let machine = cloud.machine(Place::Users);
    let home = BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]);
    let env = machine.user("/root", home);
    let since = history.cursor(user);
    let words = words(cloud, typed, since);
    let began = env.clock().elapsed();
    let ended = run(cloud, &env, &words, typed).await;
    let took = env.clock().elapsed().saturating_sub(began);
    machine.kill(env.context().identity);
    let Some(ended) = ended else { return Outcome::Unknown("it could not be started".to_owned()) };
    let code = ended.code.unwrap_or(128 + ended.signal.unwrap_or(0));
    let output = String::from_utf8_lossy(&ended.output).into_owned();
    let line = words.join(" ");
    cloud.world.trace().event(format_args!("user {user}"), format_args!("slap {line} ended with {code}"));
    let read = match typed {
        Typed::Wait { seconds, .. } if code == 3 && took < Duration::from_secs(seconds) => {
            Err(format!("it gave up after {} s", took.as_secs_f64()))
        }
        Typed::Wait { seconds, .. } if took > Duration::from_secs(seconds) + LOOK_TIME => {
            Err(format!("it ended after {} s only", took.as_secs_f64()))
        }
        _ => meaning(typed, since, code, &output),
    };
    match read {
        Ok(outcome) => outcome,
        Err(why) => {
            let what = format!("slap {line} ended with {code}: {why}: {output}");
            cloud.world.trace().alarm(RULE, format_args!("user {user}"), &what);
            Outcome::Unknown(what)
        }
    }
}

/// How it is typed.
fn words(cloud: &Cloud, typed: Typed, since: i64) -> Vec<String> {
    let url = |release| cloud.release_url(release);
    let name = |number| computer(number).to_string();
    match typed {
        Typed::Supply { node, release, removed: false, by_product: true } => {
            vec!["supply".to_owned(), format!("product.{}", product(release)), name(node)]
        }
        Typed::Supply { node, release, removed, .. } => {
            let verb = if removed { "remove" } else { "supply" };
            vec![verb.to_owned(), url(release), name(node)]
        }
        Typed::Request { title: number, release, node, note, state } => {
            let mut words = vec!["request".to_owned(), title(number), url(release)];
            words.extend(["--state".to_owned(), requested(state).to_string(), "--parameters".to_owned()]);
            words.extend(parameters(note).into_iter().map(|(key, value)| format!("{key}={value}")));
            if let Some(node) = node {
                words.extend(["--node".to_owned(), format!("computer_guid={}", name(node))]);
            }
            words
        }
        Typed::Services => ["service", "list"].map(str::to_owned).into(),
        Typed::Service { title: number, news } => {
            let mut words = vec!["service".to_owned(), "info".to_owned(), title(number)];
            words.extend(news.then(|| "--news".to_owned()));
            words
        }
        Typed::Computers => ["computer", "list"].map(str::to_owned).into(),
        Typed::Computer { node } => vec!["computer".to_owned(), "info".to_owned(), name(node)],
        Typed::Events { seconds, json } => {
            let mut words = vec!["events".to_owned(), "--since".to_owned(), since.to_string()];
            words.extend(json.then(|| "--output=jsonl".to_owned()));
            words.extend((seconds > 0).then(|| "--follow".to_owned()));
            words
        }
        Typed::Wait { title: number, goal, seconds } => {
            let goal = match goal {
                Goal::Allocated => "allocated",
                Goal::Started => "started",
                Goal::Stopped => "stopped",
                Goal::Destroyed => "destroyed",
                Goal::Green => "green",
            };
            let words = ["wait", &title(number), "--for", goal, "--timeout", &format!("{seconds}s")];
            words.map(str::to_owned).into()
        }
    }
}

/// Runs it to its end, or until the user has seen enough.
async fn run(cloud: &Cloud, env: &Env, words: &[String], typed: Typed) -> Option<Ended> {
    let command = Command {
        variables: env.context().variables.clone(),
        directory: env.context().directory.clone(),
        output: Output::Capture(OUTPUT_BYTES_MAX),
        ..Command::new(SLAP).arguments(words)
    };
    let mut spawned = env.processes().spawn(&command).ok()?;
    if let Typed::Events { seconds: seconds @ 1.., .. } = typed {
        let (machine, identity) = (cloud.machine(Place::Users).clone(), spawned.identity);
        crate::world::spawn(async move {
            pause(Duration::from_secs(seconds)).await;
            machine.kill(identity);
        });
    }
    spawned.child.wait().await.ok()
}

/// The answer that an exit code and an output stand for.
///
/// # Errors
/// When they are none that is documented (README.md; docs/slap-protocol.md).
fn meaning(typed: Typed, since: i64, code: i32, output: &str) -> Result<Outcome, String> {
    let answer = |answer| Ok(Outcome::Answer(answer));
    let told = |told| Ok(Outcome::Answer(Answer::Told(told)));
    let is_absent = output.contains(" does not exist.");
    match (typed, code) {
        (Typed::Events { seconds, json }, 0 | 137) if (code == 0) != (seconds > 0) => {
            let events = events(output, json)?;
            told(Told::Events(Box::new(Page { since, ends: None, events, is_cut: code != 0 })))
        }
        (_, code) if KILLED.contains(&code) => Ok(Outcome::Unknown(format!("it ended with {code}"))),
        (_, 1) => refusal(output),
        (Typed::Supply { .. }, 0) if output.contains("Done. ") => answer(Answer::Done),
        (Typed::Request { .. }, 0) => {
            let (_, rest) = output
                .split_once("Connection parameters of instance are:\n")
                .ok_or("it tells no connection parameters")?;
            told(Told::Published(document(&first_document(rest)?)))
        }
        (Typed::Request { .. }, 2) if output.contains("Master is provisioning it") => {
            Ok(Outcome::Refused { status: 408, message: output.to_owned() })
        }
        (Typed::Services, 0) => {
            let found = first_document(output)?;
            let rows = found.as_object().ok_or("it prints no object")?.iter().map(|(title, url)| Row {
                title: title.clone(),
                url_string: url.as_str().map(str::to_owned),
                ..Row::default()
            });
            answer(Answer::List(rows.collect()))
        }
        (Typed::Service { .. }, 2) if is_absent => answer(Answer::Instance(None)),
        (Typed::Service { title: number, news }, 0) => {
            let found = first_document(output)?;
            answer(Answer::Instance(Some(Box::new(service(&title(number), &found, news)?))))
        }
        (Typed::Computers, 0) => told(Told::Computers(computers(output)?.into_iter().collect())),
        (Typed::Computer { .. }, 2) if is_absent => told(Told::Nothing),
        (Typed::Computer { node }, 0) => {
            let name = computer(node);
            let lines = [format!("Computer Reference: {name}"), format!("Computer Title    : {name}")];
            match lines.iter().find(|line| !output.lines().any(|printed| printed == **line)) {
                None => told(Told::Something),
                Some(line) => Err(format!("it does not print {line:?}")),
            }
        }
        (Typed::Wait { .. }, 0) => told(Told::Waited { is_so: true }),
        (Typed::Wait { .. }, 4) => told(Told::Waited { is_so: false }),
        (Typed::Wait { .. }, 3) => Ok(Outcome::Unknown("it gave up".to_owned())),
        _ => Err("that is not documented".to_owned()),
    }
}

/// What an error says of the master.
fn refusal(output: &str) -> Result<Outcome, String> {
    let refused = |status| Ok(Outcome::Refused { status, message: output.to_owned() });
    let error = output.lines().find_map(|line| line.strip_prefix("error: ")).ok_or("it tells no error")?;
    if error.starts_with("the master is offline: ") || error.contains("does not answer as a master: ") {
        return Ok(Outcome::Unknown(error.to_owned()));
    }
    if let Some(rest) = error.strip_prefix("the master refuses (") {
        let status = rest.split(')').next().and_then(|status| status.parse().ok());
        return refused(status.ok_or("it tells no status")?);
    }
    let is_absent = error.starts_with("not found: ")
        || error.contains("has not been found by SlapOS Master")
        || error.starts_with("no partition was given to ");
    match error.starts_with("not ready yet: ") {
        true => refused(408),
        false if is_absent => refused(404),
        false => Err(format!("the error {error:?} is not documented")),
    }
}

/// The first document of JSON that is printed.
fn first_document(output: &str) -> Result<Json, String> {
    let begin = output.find('{').ok_or("it prints no JSON")?;
    let mut documents = serde_json::Deserializer::from_str(&output[begin..]).into_iter();
    documents.next().ok_or("it prints no JSON")?.map_err(|error| format!("it prints no JSON: {error}"))
}

/// An instance's document, as it was before it was printed.
fn service(title: &str, found: &Json, news: bool) -> Result<Service, String> {
    let text = |key: &str| found[key].as_str().map(str::to_owned).ok_or(format!("it prints no {key}"));
    let printed = found["news"].as_array().cloned();
    if printed.is_some() != news {
        return Err("it prints news unasked, or none".to_owned());
    }
    let light = text("status")?;
    let expected: Vec<&str> = match &printed {
        Some(news) => news
            .iter()
            .map(|item| match item["text"].as_str() {
                Some(text) if text.starts_with("#access") => "green",
                Some(text) if text.starts_with("#error") => "red",
                _ => "none",
            })
            .collect(),
        None => vec!["green", "red", "none"],
    };
    if !expected.contains(&light.as_str()) {
        return Err(format!("its light is {light}"));
    }
    Ok(Service {
        reference: title.to_owned(),
        requested_state: text("requested-state")?,
        software_release: text("software-url")?,
        software_type: Some(text("software-type")?),
        shared: found["shared"].as_bool().unwrap_or(true),
        parameters_xml: Some(document(&found["instance-parameters"])),
        connection_xml: Some(document(&found["connection-parameters"])),
        news: printed,
    })
}

fn computers(output: &str) -> Result<Vec<String>, String> {
    if output.lines().any(|line| line == "No existing computer.") {
        return Ok(Vec::new());
    }
    let (_, rows) = output.split_once("List of Computers:\n").ok_or("it prints no list")?;
    let name = |row: &str| match row.split_once(' ') {
        Some((reference, title)) if reference == title => Ok(reference.to_owned()),
        _ => Err(format!("it prints {row:?}")),
    };
    rows.lines().map(name).collect()
}

/// The entries that were printed. The last line may be cut.
fn events(output: &str, is_json: bool) -> Result<Vec<Json>, String> {
    let mut events = Vec::new();
    for line in output.lines() {
        if is_json && line.starts_with('{') {
            events.push(serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?);
        } else if !is_json && let Some(event) = event(line) {
            events.push(event);
        }
    }
    Ok(events)
}

/// A line for people: number, time, who, and what; none if it is another one.
fn event(line: &str) -> Option<Json> {
    let mut words = line.trim_start().splitn(3, ' ');
    let (sequence, time, rest) = (words.next()?.parse::<i64>().ok()?, words.next()?, words.next()?);
    let (who, what) = rest.split_once(": ")?;
    Some(json!({ "sequence": sequence, "time": time, "who": who, "what": what }))
}

#[cfg(test)]
mod tests;
