//! A plan as a file: one line with seed and knobs, then one line for each step, all of them JSON.

use super::{
    Plan,
    knobs::Knobs,
    script::{Event, Step},
};
use crate::world::foreign;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    seed: u64,
    knobs: Knobs,
}

/// Whether a text is a plan, and no other list of events.
pub fn is_plan(text: &str) -> bool {
    text.lines().next().is_some_and(|line| serde_json::from_str::<Head>(line).is_ok())
}

/// Reads a plan. Lines that are empty or begin with `#` say nothing.
///
/// # Errors
/// The line that is none, and why.
pub fn read(text: &str) -> Result<Plan, String> {
    let lines = text.lines().enumerate();
    let mut lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let bad = |number: usize, error: serde_json::Error| format!("line {}: {error}", number + 1);
    let (number, head) = lines.next().ok_or("it is empty: expected a line with seed and knobs")?;
    let head: Head = serde_json::from_str(head).map_err(|error| bad(number, error))?;
    let script = lines
        .map(|(number, line)| serde_json::from_str::<Step>(line).map_err(|error| bad(number, error)))
        .collect::<Result<Vec<Step>, String>>()?;
    if let Some(pair) = script.windows(2).find(|pair| pair[0].at > pair[1].at) {
        return Err(format!("the step at {} ms stands before one at {} ms", pair[0].at, pair[1].at));
    }
    for step in &script {
        if let Event::Behave { line, .. } = &step.event {
            foreign::check(line).map_err(|problem| format!("the step at {} ms: {problem}", step.at))?;
        }
    }
    Ok(Plan { seed: head.seed, knobs: head.knobs, script })
}

/// Writes a plan.
pub fn write(plan: &Plan) -> String {
    let head = Head { seed: plan.seed, knobs: plan.knobs.clone() };
    let mut text = to_line(&head);
    for step in &plan.script {
        let _ = write!(text, "{}", to_line(step));
    }
    text
}

fn to_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys are text and numbers are finite") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::knobs::Profile;

    #[test]
    fn what_is_written_reads_back() {
        for seed in 0..50 {
            for profile in [Profile::Swarm, Profile::Crash] {
                let plan = Plan::draw(seed, profile);
                let text = write(&plan);
                assert!(is_plan(&text));
                assert_eq!(read(&text), Ok(plan));
            }
        }
    }

    #[test]
    fn what_is_none_is_refused_by_its_line() {
        let good = write(&Plan { script: Vec::new(), ..Plan::draw(1, Profile::Swarm) });
        let step = r#"{"at":5,"event":{"event":"wipe","node":1}}"#;
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("", "it is empty");
        check("{}", "line 1: missing field `seed`");
        check(&format!("{good}\n# a remark\n{{}}"), "line 4: missing field `at`");
        check(&format!("{good}{step}\n{}", step.replace("5", "4")), "the step at 5 ms stands before");
        check(&format!("{good}{}", step.replace("wipe", "vanish")), "unknown variant `vanish`");
        assert!(!is_plan(step));
    }
}
