//! Whether a request could be served at all. A master that finds no free partition refuses, and keeps nothing of the request: who
//! looks for the instance later is told at least that there is no room for it.

use crate::client::{Poll, SlapClient};
use std::time::Duration;

/// How long each question may take.
const LOOK_TIME_MAX: Duration = Duration::from_secs(5);
/// Computers that are looked at.
const COMPUTERS_MAX: usize = 200;
/// Computers that are named.
const NAMED_MAX: usize = 5;

/// What is known of a master's partitions when none of them is free; `None` when there is one, or the master does not say.
pub(super) async fn shortage(client: &SlapClient) -> Option<String> {
    let client = client.clone().with_deadline(LOOK_TIME_MAX);
    let mut full = Vec::new();
    let rows = client.computers().await.ok()?;
    if rows.len() > COMPUTERS_MAX {
        return None;
    }
    for row in rows {
        let computer = row.reference?.parse().ok()?;
        let Ok(Poll::Changed { computer: found, .. }) =
            client.full_computer_information(&computer, None, None).await
        else {
            return None;
        };
        if found.partitions.iter().any(|partition| partition.instance.is_none()) {
            return None;
        }
        full.push(format!("{computer} has {}, all in use", found.partitions.len()));
    }
    describe(&full)
}

fn describe(full: &[String]) -> Option<String> {
    let named = full.get(..NAMED_MAX.min(full.len())).filter(|named| !named.is_empty())?;
    let more =
        if full.len() > NAMED_MAX { format!(" and {} more", full.len() - NAMED_MAX) } else { String::new() };
    Some(format!(
        "no partition is free now ({}{more}): a request of it is refused\n\
         hint: destroy an instance that is not needed any more, or add a node (a lab gets more nodes by `slap lab up --nodes N`)",
        named.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_computers_are_named_and_counted() {
        let full = |count: usize| (1..=count).map(|number| format!("C-{number}")).collect::<Vec<_>>();
        assert_eq!(describe(&full(0)), None);
        for (count, expected) in [(1, "(C-1)"), (2, "(C-1; C-2)"), (7, "C-5 and 2 more)")] {
            let text = describe(&full(count)).unwrap();
            assert!(text.contains(expected), "{text}");
        }
    }
}
