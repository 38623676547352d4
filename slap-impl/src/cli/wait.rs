//! `slap wait INSTANCE|lab --for CONDITION --timeout T`.
//!
//! It reads only what any client could: the master's answers. It says in a line what it waits for whenever that changes, and
//! ends as soon as the condition cannot come true any more.

use super::request::ClientArguments;
use crate::{
    client::{ClientError, SlapClient},
    env::{Env, Exit},
    wire::status::{AccessStatus, StatusKind},
};
use clap::{Parser, ValueEnum};
use std::{collections::BTreeSet, pin::pin, time::Duration};

/// Shortest and longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));
/// Shortest and longest time that the master has for each answer to a look, whatever is left of --timeout: one that was made to
/// stand still takes questions and does not answer.
const LOOK_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Wait for an instance, or for the whole lab
///
/// What is missing is said in a line at once, and whenever it changes. It waits also for what failed, for its node tries again and
/// somebody may repair it, until --timeout (exit code 3), and ends with 4 when it cannot come true.
#[derive(Debug, Parser)]
#[command(name = "slap wait")]
struct Arguments {
    /// Title of an instance, or `lab` for the whole lab
    instance: String,
    /// What to wait for; for a lab: green or formatted
    #[arg(long = "for", default_value = "green")]
    condition: String,
    /// Longest wait, such as 30s or 5m
    #[arg(long, default_value = "5m", value_parser = crate::arguments::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    client: ClientArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Condition {
    Allocated,
    Started,
    Stopped,
    Destroyed,
    Green,
}

/// What a look at the instance found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// The condition is true.
    True,
    /// Not yet; why.
    NotYet(String),
    /// It cannot become true; why.
    Never(String),
}

/// What the master says of an instance.
#[derive(Clone, Debug)]
struct Seen {
    requested_state: String,
    status: AccessStatus,
}

/// Runs the command.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let arguments = match crate::arguments::parse::<Arguments>(&env, "slap wait", arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    if arguments.instance == "lab" {
        return crate::lab::wait_for_lab(&env, &arguments.condition, arguments.timeout).await;
    }
    let Ok(condition) = Condition::from_str(&arguments.condition, false) else {
        env.tell(format_args!(
            "error: --for {}: expected allocated, started, stopped, destroyed or green",
            arguments.condition
        ));
        return Exit::USAGE;
    };
    let client = match arguments.client.connect(&env) {
        Ok(client) => client,
        Err(exit) => return exit,
    };
    wait(&env, &client, &arguments.instance, condition, arguments.timeout).await
}

async fn wait(env: &Env, client: &SlapClient, title: &str, condition: Condition, timeout: Duration) -> Exit {
    let deadline = env.clock().elapsed() + timeout;
    let mut pause = PAUSE.0;
    let mut told = BTreeSet::new();
    loop {
        let (mut is_absent, mut is_offline) = (false, false);
        let asked = client.clone().with_deadline(look_time(deadline.saturating_sub(env.clock().elapsed())));
        let look = match look_aloud(env, &asked, title, condition, &mut told).await {
            Ok(seen) => {
                is_absent = seen.is_none();
                judge(condition, seen.as_ref())
            }
            Err(error) => {
                is_offline = error.is_offline();
                Look::NotYet(error.to_string())
            }
        };
        let reason = match look {
            Look::True => return Exit::DONE,
            Look::Never(reason) => {
                env.tell(format_args!("error: {title} cannot become {}: {reason}", word(condition)));
                if is_absent && let Some(shortage) = super::room::shortage(client).await {
                    env.tell(shortage);
                }
                return Exit::IMPOSSIBLE;
            }
            Look::NotYet(reason) => reason,
        };
        let now = env.clock().elapsed();
        if now >= deadline {
            env.tell(format_args!(
                "error: {title} is not {} after {} s: {reason}",
                word(condition),
                timeout.as_secs_f64()
            ));
            // An offline master has its own hint, and would not show that either.
            if !is_offline {
                env.tell(format_args!("hint: `slap service info {title}` shows what is known of it"));
            }
            return Exit::TIMED_OUT;
        }
        // The whole reason comes at the end, if need be; tries in between repeat each other.
        tell_once(env, title, condition, AccessStatus::in_brief(&reason), &mut told);
        env.sleep(pause.min(deadline - now)).await;
        pause = (pause * 3 / 2).min(PAUSE.1);
    }
}

/// How long a look may take when so much is left; in tenths of a second, because it is told.
fn look_time(left: Duration) -> Duration {
    let clamped = left.clamp(LOOK_TIME.0, LOOK_TIME.1).as_millis() as u64;
    Duration::from_millis(clamped.div_ceil(100) * 100)
}

/// Says what is missing, unless that was said before.
fn tell_once(env: &Env, title: &str, condition: Condition, brief: String, told: &mut BTreeSet<String>) {
    if !told.contains(&brief) {
        env.tell(format_args!("waiting for {title} to be {}: {brief}", word(condition)));
        told.insert(brief);
    }
}

/// A look that says so when the master lets it wait.
async fn look_aloud(
    env: &Env,
    client: &SlapClient,
    title: &str,
    condition: Condition,
    told: &mut BTreeSet<String>,
) -> Result<Option<Seen>, ClientError> {
    let mut looking = pin!(look(client, title));
    match env.timeout(LOOK_TIME.0, &mut looking).await {
        Ok(seen) => seen,
        Err(_) => {
            tell_once(env, title, condition, "the master does not answer yet".to_owned(), told);
            looking.await
        }
    }
}

fn word(condition: Condition) -> &'static str {
    match condition {
        Condition::Allocated => "allocated",
        Condition::Started => "started",
        Condition::Stopped => "stopped",
        Condition::Destroyed => "destroyed",
        Condition::Green => "green",
    }
}

/// Asks the master; `None` if there is no such instance.
async fn look(client: &SlapClient, title: &str) -> Result<Option<Seen>, ClientError> {
    let service = match client.service_information(title).await {
        Ok(service) => service,
        Err(ClientError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let news = service.news.unwrap_or_default();
    let status = news.first().map(AccessStatus::from_json).unwrap_or_default();
    Ok(Some(Seen { requested_state: service.requested_state, status }))
}

fn judge(condition: Condition, seen: Option<&Seen>) -> Look {
    let Some(Seen { requested_state, status }) = seen else {
        return match condition {
            Condition::Destroyed => Look::True,
            _ => Look::Never("there is no such instance\nhint: `slap request` makes one".to_owned()),
        };
    };
    let wanted = match condition {
        Condition::Allocated => return Look::True,
        Condition::Destroyed => "destroyed",
        Condition::Stopped => "stopped",
        Condition::Started | Condition::Green => "started",
    };
    if requested_state != wanted {
        return Look::Never(format!("it is requested {requested_state}"));
    }
    if condition == Condition::Destroyed {
        return Look::NotYet("its node did not clean up yet".to_owned());
    }
    match status.kind() {
        _ if status.no_data => Look::NotYet("its node did not report yet".to_owned()),
        // What was reported is about an earlier wish.
        _ if !status.up_to_date => Look::NotYet("its node is processing it".to_owned()),
        StatusKind::Error => Look::NotYet(status.described()),
        StatusKind::Access => Look::True,
        _ => Look::NotYet(status.text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_has_the_time_that_is_left_within_bounds() {
        for (left, expected) in [(0, 1000), (1999, 2000), (2000, 2000), (300_000, 5000)] {
            assert_eq!(look_time(Duration::from_millis(left)), Duration::from_millis(expected), "{left}");
        }
    }

    #[test]
    fn a_wait_knows_what_is_true_missing_and_impossible() {
        let seen = |state: &str, text: &str, up_to_date| {
            let status = AccessStatus { text: text.to_owned(), up_to_date, ..AccessStatus::default() };
            Some(Seen { requested_state: state.to_owned(), status })
        };
        let check = |condition, seen: Option<Seen>, expected: &str| {
            let found = match judge(condition, seen.as_ref()) {
                Look::True => "true",
                Look::NotYet(_) => "not yet",
                Look::Never(_) => "never",
            };
            assert_eq!(found, expected, "{condition:?} {seen:?}");
        };
        let overtaken = seen("started", "#error broken", false);
        assert_eq!(
            judge(Condition::Green, overtaken.as_ref()),
            Look::NotYet("its node is processing it".to_owned())
        );
        use Condition::*;
        check(Green, None, "never");
        check(Destroyed, None, "true");
        check(Allocated, seen("started", "", false), "true");
        check(Green, seen("started", "#access ok", true), "true");
        check(Green, seen("started", "#access ok", false), "not yet");
        check(Started, seen("started", "#error broken", true), "not yet");
        check(Stopped, seen("started", "#access ok", true), "never");
        check(Stopped, seen("stopped", "#access ok", true), "true");
        check(Started, seen("stopped", "#access ok", true), "never");
        check(Destroyed, seen("destroyed", "#access ok", true), "not yet");
    }
}
