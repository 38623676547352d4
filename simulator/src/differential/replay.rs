//! `simulator replay FILE`: steps through a list of events with both sides shown.

use super::{
    file::{self, FILE_BYTES_MAX},
    run::{Both, Wires},
};
use crate::world::World;
use slap_impl::env::{Env, Exit};
use slap_model::Event;
use std::panic::catch_unwind;

/// Runs the command; exit code 1 tells of a difference.
pub async fn command(env: &Env, path: &str) -> Exit {
    let path = env.context().absolute(path);
    let text = match env.files().read(&path, FILE_BYTES_MAX) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            env.tell(format_args!("error: {}: {error}", path.display()));
            return Exit::FAILED;
        }
    };
    let events = match file::read(&text) {
        Ok(events) => events,
        Err(error) => {
            env.tell(format_args!("error: {}: {error}", path.display()));
            return Exit::FAILED;
        }
    };
    let Ok((lines, exit)) = catch_unwind(|| steps(events)) else { return Exit::FAILED };
    for line in lines {
        env.print(line);
    }
    exit
}

/// The lines that are shown, and how the command ends. What is equal by XML is stepped through a second time, with calls of
/// JSON-RPC methods among its events.
pub fn steps(events: Vec<Event>) -> (Vec<String>, Exit) {
    let (lines, exit) = steps_by(events.clone(), Wires::Xml);
    if exit != Exit::DONE {
        return (lines, exit);
    }
    let (mixed, exit) = steps_by(events, Wires::Mixed);
    if exit == Exit::DONE { (lines, exit) } else { (mixed, exit) }
}

fn steps_by(events: Vec<Event>, wires: Wires) -> (Vec<String>, Exit) {
    World::run(1, async move |world| {
        let mut both = Both::open(&world, wires).await;
        let mut lines = Vec::new();
        for (number, event) in (1..).zip(&events) {
            let step = both.step(event).await;
            lines.push(format!("{number}: {}", serde_json::to_string(event).unwrap_or_default()));
            let wire = if step.is_call { ", by JSON-RPC" } else { "" };
            lines.push(format!("   model:  {:?}{wire}", step.model));
            match &step.real {
                Ok(reply) => lines.push(format!("   master: {reply:?}")),
                Err(error) => lines.push(format!("   master: unreadable: {error}")),
            }
            if let Some(difference) = step.difference {
                for part in &difference.parts {
                    lines.push(format!("   DIFFERS {}", part.place));
                    lines.push(format!("     model:  {}", part.model));
                    lines.push(format!("     master: {}", part.other));
                }
                lines.push(format!("DIFFERENT after {number} of {} events", events.len()));
                return (lines, Exit::FAILED);
            }
        }
        lines.push(format!("equal after each of {} events", events.len()));
        (lines, Exit::DONE)
    })
}
