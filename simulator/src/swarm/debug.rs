//! A run, step by step: it stands still before each step of the script, and its state can be looked at.

use super::{Plan, cloud::Cloud, command::unbroken, report, run_observed, script::Step};
use slap_impl::env::{Env, Exit};
use std::{
    cell::RefCell,
    io::{BufRead, Write},
    rc::Rc,
};

const HELP: &str = "\
step [N]      goes on for N steps of the script (1)
run [SECONDS] goes on until that time of the turmoil, or to the end
stop RULE     goes on until something breaks that rule (any: *)
show WORD     the last lines of the trace in which WORD stands, such as slappart0 or node-1
difference    the processes that came and went since the last stop
list [N]      the next N steps (10)
quit          ends here";

/// Where a run goes on to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Until {
    Step(usize),
    Time(u64),
    Alarm(String),
    End,
}

/// What stands between two stops.
struct Session {
    plan: Plan,
    until: Until,
    processes: Vec<String>,
    has_quit: bool,
}

/// Runs a plan under a person's hands. Commands come from standard input, so a file of them can be given.
pub(super) fn debug(env: &Env, plan: &Plan) -> Result<Exit, String> {
    env.tell(report::banner(plan, "at hand"));
    env.tell("standing before the first step; `help` tells what can be done");
    let outcome = unbroken(|| {
        let session = RefCell::new(Session {
            plan: plan.clone(),
            until: Until::Step(0),
            processes: Vec::new(),
            has_quit: false,
        });
        run_observed(
            plan,
            Box::new(move |cloud, number, step| stand(&mut session.borrow_mut(), cloud, number, step)),
        )
    })?;
    env.print(report::describe(plan, &outcome, "the same commands").trim_end());
    Ok(if outcome.finding.is_none() { Exit::DONE } else { Exit::FAILED })
}

/// Before a step: whether to stand still, and what to do then.
fn stand(session: &mut Session, cloud: &Rc<Cloud>, number: usize, step: Option<&Step>) {
    let alarms = cloud.world.trace().alarms();
    let is_there = match &session.until {
        Until::Step(wanted) => number >= *wanted,
        Until::Time(wanted) => step.is_none_or(|step| step.at >= *wanted),
        Until::Alarm(rule) => alarms.iter().any(|alarm| rule == "*" || alarm.rule == rule),
        Until::End => false,
    };
    if session.has_quit || !(is_there || step.is_none()) {
        return;
    }
    let what = step.map_or("the turmoil is over".to_owned(), |step| {
        format!(
            "before step {number} at {} ms: {}",
            step.at,
            serde_json::to_string(&step.event).unwrap_or_default()
        )
    });
    say(&what);
    for alarm in &alarms {
        say(&format!("{:.3} s {}: {}: {}", alarm.at.as_secs_f64(), alarm.rule, alarm.object, alarm.what));
    }
    let mut lines = std::io::stdin().lock().lines();
    loop {
        let _ = write!(std::io::stderr(), "> ");
        let Some(Ok(line)) = lines.next() else {
            session.has_quit = true;
            return;
        };
        if obey(session, cloud, number, &line) {
            session.processes = processes(cloud);
            return;
        }
    }
}

/// Whether the run goes on.
fn obey(session: &mut Session, cloud: &Rc<Cloud>, number: usize, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let count = |word: &str| word.parse::<usize>().ok();
    match words.as_slice() {
        ["step"] => session.until = Until::Step(number + 1),
        ["step", steps] if count(steps).is_some() => {
            session.until = Until::Step(number + count(steps).unwrap_or(1).max(1));
        }
        ["run"] => session.until = Until::End,
        ["run", seconds] if count(seconds).is_some() => {
            session.until = Until::Time(count(seconds).unwrap_or_default() as u64 * 1000);
        }
        ["stop", rule] => session.until = Until::Alarm((*rule).to_owned()),
        ["quit"] => {
            session.has_quit = true;
            return true;
        }
        ["show", word] => {
            let lines = cloud.world.trace().lines();
            let found: Vec<&String> = lines.iter().filter(|line| line.contains(word)).collect();
            found[found.len().saturating_sub(30)..].iter().for_each(|line| say(line));
            return false;
        }
        ["difference"] => {
            let now = processes(cloud);
            now.iter()
                .filter(|line| !session.processes.contains(line))
                .for_each(|line| say(&format!("+ {line}")));
            session
                .processes
                .iter()
                .filter(|line| !now.contains(line))
                .for_each(|line| say(&format!("- {line}")));
            return false;
        }
        ["list", ..] => {
            let steps = words.get(1).and_then(|word| count(word)).unwrap_or(10);
            for (index, step) in session.plan.script.iter().enumerate().skip(number).take(steps) {
                say(&format!(
                    "{index} at {} ms: {}",
                    step.at,
                    serde_json::to_string(&step.event).unwrap_or_default()
                ));
            }
            return false;
        }
        [] => return false,
        ["help"] => {
            say(HELP);
            return false;
        }
        _ => {
            say(&format!("{line:?} is not understood: help tells what is"));
            return false;
        }
    }
    true
}

fn processes(cloud: &Cloud) -> Vec<String> {
    let of_machine = |place| {
        let machine = cloud.machine(place);
        let name = machine.name().to_owned();
        machine.processes().into_iter().map(move |(identity, what)| format!("{name} {} {what}", identity.pid))
    };
    cloud.places().flat_map(of_machine).collect()
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
