//! Makes a script shorter that leads to a finding: what is left out must lead to a finding of the same rule.
//!
//! Halves, quarters, and so on are left out of the list until no single step can go (Zeller and Hildebrandt, "Simplifying and Isolating
//! Failure-Inducing Input", 2002); then what is left of the turmoil after the last step.

use super::{Outcome, Plan, run};

/// A shorter plan with a finding of the same rule, and its outcome; the plan itself when it leads to none. Not more than `runs_max` runs
/// are tried; `tell` hears after each that helped how many steps are left.
pub fn shrink(plan: &Plan, runs_max: u32, mut tell: impl FnMut(usize)) -> (Plan, Outcome) {
    let outcome = run(plan);
    let Some(rule) = outcome.finding.as_ref().map(|finding| finding.rule.clone()) else {
        return (plan.clone(), outcome);
    };
    let mut best = (plan.clone(), outcome);
    let mut runs = 0;
    let mut try_it = |candidate: Plan, best: &mut (Plan, Outcome)| {
        if runs >= runs_max {
            return false;
        }
        runs += 1;
        let outcome = run(&candidate);
        let is_same = outcome.finding.as_ref().is_some_and(|finding| finding.rule == rule);
        if is_same {
            tell(candidate.script.len());
            *best = (candidate, outcome);
        }
        is_same
    };
    let mut size = best.0.script.len().div_ceil(2);
    while size > 0 {
        let mut begin = 0;
        let mut was_shorter = false;
        while begin < best.0.script.len() {
            let mut candidate = best.0.clone();
            let end = (begin + size).min(candidate.script.len());
            candidate.script.drain(begin..end);
            if try_it(candidate, &mut best) {
                was_shorter = true;
            } else {
                begin = end;
            }
        }
        if size == 1 && !was_shorter {
            break;
        }
        size = if was_shorter { size.min(best.0.script.len().div_ceil(2)) } else { size / 2 };
    }
    let last = best.0.script.last().map_or(0, |step| step.at / 1000 + 1);
    let mut shorter = best.0.clone();
    shorter.knobs.turmoil_seconds = last.min(shorter.knobs.turmoil_seconds);
    try_it(shorter, &mut best);
    best
}
