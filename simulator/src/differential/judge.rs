//! The real master under the model's rules: after each event what its database holds, and what it answered, must break none.
//! Nothing is compared with what the model would have done; so what is found has the name of a rule.

use super::{choices, real::Real};
use crate::world::World;
use serde::Serialize;
use slap_impl::env::{Env, Exit};
use slap_model::{
    Event, Reply, State, Violation,
    rules::Transition,
    worlds::{self, World as Small},
};
use std::panic::catch_unwind;

/// The judge's own rule: what the master answers and keeps can be read, and its names are those that were given.
pub const READABLE: &str = "readable";

/// What the judge found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The names of the broken rules, or [`READABLE`].
    pub rules: Vec<String>,
    /// What they say.
    pub what: Vec<String>,
    /// After how many events of all lists.
    pub events: u64,
    /// The list that showed it, up to that event.
    pub list: Vec<Event>,
}

/// Changes what a master answered and keeps, before it is judged: as a bug would.
pub type Tamper = fn(&Event, &mut Reply, &mut State);

/// Judges a list in a world of its own: the rules that it broke first, and after how many events.
pub fn judge(events: &[Event]) -> Option<Verdict> {
    judge_tampered(events, |_, _, _| {})
}

/// As [`judge`], with what was tampered with.
pub fn judge_tampered(events: &[Event], tamper: Tamper) -> Option<Verdict> {
    let events = events.to_vec();
    World::run(1, async move |world| {
        let real = Real::open(&world).await;
        let mut model = choices::empty();
        let mut before = model.clone();
        for (count, event) in (1..).zip(&events) {
            let found = step(&real, &mut model, &mut before, event, tamper).await;
            if let Some((rules, what)) = found {
                return Some(Verdict { rules, what, events: count, list: events[..count as usize].to_vec() });
            }
        }
        None
    })
}

async fn step(
    real: &Real,
    model: &mut State,
    before: &mut State,
    event: &Event,
    tamper: Tamper,
) -> Option<(Vec<String>, Vec<String>)> {
    let reply = real.step(model, event).await;
    // The model goes along only for its clock.
    model.step(event);
    if !event.reaches_master() {
        return None;
    }
    let (mut reply, mut after) = match (reply, real.state()) {
        (Ok(reply), Ok(after)) => (reply, State { now: model.now, ..after }),
        (reply, state) => {
            let errors = [reply.err(), state.err()].into_iter().flatten();
            return Some((vec![READABLE.to_owned()], errors.collect()));
        }
    };
    tamper(event, &mut reply, &mut after);
    let transition = Transition { before, event, reply: &reply, after: &after };
    let violations: Vec<Violation> = [after.violations(), transition.violations()].concat();
    *before = after;
    if violations.is_empty() {
        return None;
    }
    let mut rules: Vec<String> =
        violations.iter().map(|violation| violation.rule.name().to_owned()).collect();
    rules.sort();
    rules.dedup();
    Some((rules, violations.iter().map(ToString::to_string).collect()))
}

/// Judges lists of these many events, of one seed after the other.
pub fn judge_seeds(world: &Small, seeds: std::ops::Range<u64>, length: usize) -> Option<Verdict> {
    let mut events = 0;
    for seed in seeds {
        let list = choices::seeded(world, seed, length);
        if let Some(verdict) = judge(&list) {
            return Some(Verdict { events: events + verdict.events, ..verdict });
        }
        events += list.len() as u64;
    }
    None
}

/// `simulator judge [LISTS]`: prints the verdict as JSON; exit code 1 tells of one.
pub async fn command(env: &Env, lists: u64) -> Exit {
    match catch_unwind(|| judge_seeds(&worlds::everything(), 0..lists, 120)) {
        Ok(None) => {
            env.print("null");
            Exit::DONE
        }
        Ok(Some(verdict)) => {
            env.print(serde_json::to_string(&verdict).unwrap_or_default());
            Exit::FAILED
        }
        Err(_) => Exit::FAILED,
    }
}
