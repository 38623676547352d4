//! What broke, and the events that lead there.
//!
//! The file has one event a line, as JSON; lines that begin with `#` are comments. It begins with a master that knows nothing, so that
//! it can be replayed by itself.

use super::{
    Options,
    liveness::{Reason, Stuck},
    world::{Point, RULES, Walk},
};
use slap_model::{Event, Violation, worlds::World};
use stateright::{Checker, Model, Path};
use std::fmt::Write;

/// A failure.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The name of the world.
    pub world: &'static str,
    /// What broke.
    pub problem: Problem,
    /// All events from a master that knows nothing: the shortest path. When the cloud does not settle, its own steps follow.
    pub events: Vec<Event>,
}

/// What broke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The last event, or the state that it led to, breaks rules.
    Broken(Vec<Violation>),
    /// The cloud does not settle; its own steps are the last so many.
    Stuck {
        /// Why.
        reason: Reason,
        /// How many of the events the cloud did by itself.
        steps: usize,
    },
}

impl Failure {
    /// A path to a state, or by a step, that breaks a rule.
    pub(super) fn of_rules(world: &World, path: Path<Point, Event>) -> Failure {
        let last = path.last_state();
        let violations = if last.broken.is_empty() { last.state.violations() } else { last.broken.clone() };
        let events = world.opening.iter().cloned().chain(path.into_actions()).collect();
        Failure { world: world.name, problem: Problem::Broken(violations), events }
    }

    /// The shortest path to where the cloud does not settle, and what it does from there.
    pub(super) fn of_liveness(world: &World, options: &Options, stuck: &Stuck) -> Failure {
        let mut events = world.opening.clone();
        let first = stuck.way.first().copied().unwrap_or_default();
        let walk = Walk::seeking(world.clone(), options, first).checker().spawn_bfs().join();
        let path = walk.discoveries().remove(RULES).expect("it was reached before");
        let mut point = path.last_state().clone();
        events.extend(path.into_actions());
        let walk = Walk::new(world.clone(), options);
        for digest in stuck.way.iter().skip(1) {
            let steps = walk.next_steps(&point);
            let found = steps.into_iter().find(|(event, next)| event.is_system() && next.digest == *digest);
            let (event, next) = found.expect("it was done before");
            events.push(event);
            point = next;
        }
        let steps = stuck.way.len().saturating_sub(1);
        Failure { world: world.name, problem: Problem::Stuck { reason: stuck.reason.clone(), steps }, events }
    }

    /// What broke, a line for each.
    pub fn lines(&self) -> Vec<String> {
        match &self.problem {
            Problem::Broken(violations) => violations.iter().map(ToString::to_string).collect(),
            Problem::Stuck { reason, steps } => {
                vec![format!("{reason}; the last {steps} of these events the cloud does by itself")]
            }
        }
    }

    /// The name of its file: the same for the same failure.
    pub fn file_name(&self) -> String {
        let what = match &self.problem {
            Problem::Broken(violations) => {
                violations.first().map_or("rule", |violation| violation.rule.name())
            }
            Problem::Stuck { .. } => "settles",
        };
        format!("explore-{}-{what}.jsonl", self.world.replace(' ', "-"))
    }

    /// The file.
    pub fn file(&self) -> String {
        let mut text = format!("# World: {}, {} events.\n", self.world, self.events.len());
        for line in self.lines() {
            let _ = writeln!(text, "# {line}");
        }
        text.push_str("# Replay it with `cargo xtask model replay FILE`.\n");
        for event in &self.events {
            text.push_str(&serde_json::to_string(event).expect("keys are text and numbers are finite"));
            text.push('\n');
        }
        text
    }
}
