//! `slap events`: what the master committed: who asked for what, and what was answered, in commit order.

use super::connection::{ClientArguments, fail};
use crate::{
    client::{ClientError, Events, SlapClient},
    env::{Env, Exit},
};
use clap::{Parser, ValueEnum};
use serde_json::Value as Json;
use std::time::Duration;

/// How long the master holds an answer.
const WAIT: Duration = Duration::from_secs(60);
/// How often a master that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Show what the master committed: who asked for what, and what was answered
///
/// Each event has a number, its place in the commit order. To go on later, name the last one that was seen: --since NUMBER. The
/// master keeps the newest 100,000 events, and 64 MiB of them.
#[derive(Debug, Parser)]
#[command(name = "slap events")]
struct Arguments {
    /// Go on when there is nothing more: wait for what comes; also over restarts of the master
    #[arg(long, short)]
    follow: bool,
    /// Only events after the one of that number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    since: u64,
    /// How to show them
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    client: ClientArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line for people
    Text,
    /// A line of JSON each
    Jsonl,
}

/// Runs `slap events`.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let arguments = match crate::arguments::parse::<Arguments>(&env, "slap events", arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let client = match arguments.client.connect(&env) {
        Ok(client) => client,
        Err(exit) => return exit,
    };
    match show(&env, &client, &arguments).await {
        Ok(()) => Exit::DONE,
        Err(error) => fail(&env, &error),
    }
}

async fn show(env: &Env, client: &SlapClient, arguments: &Arguments) -> Result<(), String> {
    let mut since = i64::try_from(arguments.since).unwrap_or(i64::MAX);
    let mut database: Option<String> = None;
    let mut is_away = false;
    loop {
        let wait = arguments.follow.then_some(WAIT);
        let events = match client.events(since, wait).await {
            Ok(events) => events,
            // Whoever follows wants to see what happens after a restart, too; but not a master that is somebody else.
            Err(error) if arguments.follow && database.is_some() && is_passing(&error) => {
                if !std::mem::replace(&mut is_away, true) {
                    env.tell(format_args!("{error}; waiting for it"));
                }
                env.sleep(PAUSE).await;
                continue;
            }
            Err(ClientError::NotFound(_)) => {
                return Err("the master keeps no journal: only slap's own has one".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        is_away = false;
        if database.get_or_insert_with(|| events.database.clone()) != &events.database {
            return Err(format!(
                "the master has another database now; the last event seen of the former one has the number {since}"
            ));
        }
        check(env, &events, since)?;
        for event in &events.events {
            env.print(match arguments.output {
                Output::Jsonl => event.to_string(),
                Output::Text => line(event),
            });
            since = event["sequence"].as_i64().unwrap_or(since);
        }
        if env.has_lost_output() || (!arguments.follow && since >= events.newest) {
            return Ok(());
        }
        // It does not wait, or has no room for one more who does: it is asked now and then.
        if events.events.is_empty() && !events.waits {
            env.sleep(PAUSE).await;
        }
    }
}

/// Whether a master that is started again would answer.
fn is_passing(error: &ClientError) -> bool {
    error.is_offline() || matches!(error, ClientError::Refused { status: 503, .. })
}

/// What was asked for may be gone, or not be there yet.
fn check(env: &Env, events: &Events, since: i64) -> Result<(), String> {
    if since > events.newest {
        return Err(format!(
            "there is no event {since} yet: the last one has the number {} (hint: is it another master?)",
            events.newest
        ));
    }
    if since + 1 < events.oldest {
        let last = events.oldest - 1;
        env.tell(format_args!("warning: the events {} to {last} are not kept any more", since + 1));
    }
    Ok(())
}

fn line(event: &Json) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let answer = match (&event["answer"]["text"], &event["answer"]["computer"]) {
        (Json::String(text), _) if text == "OK" || text == "done" => String::new(),
        (Json::String(text), _) => format!(" -> {text}"),
        (_, Json::String(computer)) => {
            format!(" -> {computer}/{}", event["answer"]["partition"].as_str().unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("{:>6} {} {}: {}{answer}", event["sequence"].to_string(), text("time"), text("who"), text("what"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines() {
        let check = |answer: Json, expected: &str| {
            let event =
                json!({ "sequence": 7, "time": "T", "who": "user", "what": "supply r", "answer": answer });
            assert_eq!(line(&event), expected);
        };
        check(json!({ "text": "OK" }), "     7 T user: supply r");
        check(json!({ "text": "no" }), "     7 T user: supply r -> no");
        check(json!({ "computer": "C", "partition": "p" }), "     7 T user: supply r -> C/p");
        check(json!({ "computer": null, "instance": 3 }), "     7 T user: supply r");
    }
}
