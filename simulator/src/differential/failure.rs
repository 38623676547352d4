//! What to do with a list that shows a difference: make it short, and write it as a file that can be read and replayed.

use super::{
    file,
    run::{Wires, run},
    shrink::{shrink, simplify},
};
use slap_model::Event;

/// A short list that shows what a long one showed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The list.
    pub events: Vec<Event>,
    /// The difference, in words.
    pub text: String,
    /// The name of its file, the same for the same difference.
    pub file_name: String,
}

impl Failure {
    /// Looks for a difference in a list; makes the list short if there is one.
    pub fn of(events: &[Event], wires: Wires) -> Option<Failure> {
        let first = run(events, wires).difference?;
        let until = (first.at + 1).min(events.len());
        let is_same =
            |list: &[Event]| run(list, wires).difference.is_some_and(|found| found.kind == first.kind);
        let mut short = events[..until].to_vec();
        if is_same(&short) {
            short = simplify(&shrink(&short, is_same), is_same);
        }
        let difference = run(&short, wires).difference.unwrap_or(first);
        let file_name: String = difference
            .kind
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
            .collect();
        let file_name = file_name.split('-').filter(|word| !word.is_empty()).take(12).collect::<Vec<_>>();
        Some(Failure {
            events: short,
            text: difference.to_string(),
            file_name: format!("{}.jsonl", file_name.join("-")),
        })
    }

    /// The file.
    pub fn file(&self) -> String {
        file::write(&format!("{}\nReplay it with `cargo xtask model replay FILE`.", self.text), &self.events)
    }
}
