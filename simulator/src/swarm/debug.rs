//! A run, step by step: it stands still before each step of the script and when a rule is broken, and its state can be looked at.
//!
//! Nobody can undo what happened in a world; to go back is to run it again from its beginning, which is the same each time.

use super::{
    Moment, Plan,
    about::About,
    cloud::Cloud,
    command::unbroken,
    is_rule,
    judge::Judge,
    report::{self, Finding},
    run_observed,
};
use slap_impl::env::{Env, Exit};
use std::{
    io::{BufRead, Write},
    ops::ControlFlow,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

const HELP: &str = "\
step [N]         goes on for N steps of the script (1)
back [N]         goes back to N steps before this one (1): runs again from the beginning
run [SECONDS]    goes on until that time of the turmoil, or to its end; then until all has settled; then to the end
stop RULE        goes on until something breaks that rule (any: *)
show OBJECT      what the model and the master hold of it, its versions, its processes, and the last lines of the trace
                 about it, such as COMP-1/slappart0, instance-3, COMP-1 or any word
difference       in what the master's database differs from the model
changes          the processes that came and went since the last stop
processes [WORD] the processes that run now
list [N]         the next N steps (10)
quit             ends here";

/// Lines of the trace that `show` ends with.
const LINES_SHOWN: usize = 30;

/// Where a run goes on to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Until {
    Step(usize),
    Time(u64),
    Broken(String),
    End,
}

/// What stands between two stops.
struct Session {
    plan: Plan,
    until: Until,
    /// Where it stands, or stood last.
    number: usize,
    processes: Vec<String>,
    has_quit: bool,
    /// It shall be run again, to stop where `until` says.
    runs_again: bool,
}

/// What a command leads to.
enum Next {
    Ask,
    GoOn,
    Leave,
}

/// Runs a plan under a person's hands. Commands come from standard input, so a file of them can be given.
pub(super) fn debug(env: &Env, plan: &Plan, what: &str) -> Result<Exit, String> {
    env.tell(report::banner(plan, "at hand", what));
    env.tell("standing before the first step; `help` tells what can be done");
    let session = Arc::new(Mutex::new(Session {
        plan: plan.clone(),
        until: Until::Step(0),
        number: 0,
        processes: Vec::new(),
        has_quit: false,
        runs_again: false,
    }));
    loop {
        let outcome = unbroken(|| {
            let session = session.clone();
            let observer = move |cloud: &Rc<Cloud>, judge: &Judge, moment: Moment<'_>| {
                session.lock().unwrap_or_else(PoisonError::into_inner).stand(cloud, judge, moment)
            };
            run_observed(plan, Box::new(observer))
        })?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut session.runs_again) {
            continue;
        }
        if session.has_quit {
            env.print("ended before the end of the run");
            return Ok(Exit::DONE);
        }
        env.print(report::describe(plan, &outcome, "the same commands").trim_end());
        return Ok(if outcome.finding.is_none() { Exit::DONE } else { Exit::FAILED });
    }
}

impl Session {
    /// At a moment of the run: whether to stand still, and what to do then.
    fn stand(&mut self, cloud: &Rc<Cloud>, judge: &Judge, moment: Moment<'_>) -> ControlFlow<()> {
        let is_there = match (&moment, &self.until) {
            (Moment::Step(number, _), Until::Step(wanted)) => number >= wanted,
            (Moment::Step(_, step), Until::Time(wanted)) => step.at >= *wanted,
            (Moment::Step(..), _) => false,
            (Moment::Over | Moment::Settled, until) => !matches!(until, Until::Broken(_)),
            (Moment::Broken(finding), Until::Broken(rule)) => rule == "*" || finding.rule == *rule,
            (Moment::Broken(_), _) => true,
        };
        match moment {
            Moment::Step(number, _) => self.number = number,
            Moment::Over | Moment::Settled => self.number = self.plan.script.len(),
            Moment::Broken(_) => {}
        }
        if !is_there {
            return ControlFlow::Continue(());
        }
        match moment {
            Moment::Step(number, step) => {
                let event = serde_json::to_string(&step.event).unwrap_or_default();
                say(&format!("before step {number} at {} ms: {event}", step.at));
            }
            Moment::Over => say("the turmoil is over"),
            Moment::Settled => say("all was healed, and has settled"),
            Moment::Broken(finding) => tell_finding(finding),
        }
        let next = self.ask(cloud, judge);
        self.processes = processes(cloud);
        next
    }

    fn ask(&mut self, cloud: &Rc<Cloud>, judge: &Judge) -> ControlFlow<()> {
        let mut lines = std::io::stdin().lock().lines();
        loop {
            let _ = write!(std::io::stderr(), "> ");
            let next = match lines.next() {
                Some(Ok(line)) => self.obey(cloud, judge, &line),
                _ => {
                    self.has_quit = true;
                    Next::Leave
                }
            };
            match next {
                Next::Ask => {}
                Next::GoOn => return ControlFlow::Continue(()),
                Next::Leave => return ControlFlow::Break(()),
            }
        }
    }

    fn obey(&mut self, cloud: &Rc<Cloud>, judge: &Judge, line: &str) -> Next {
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = |word: &str| word.parse::<usize>().ok();
        let goes_on = match words.as_slice() {
            ["step"] => Some(Until::Step(self.number + 1)),
            ["step", steps] => count(steps).map(|steps| Until::Step(self.number + steps.max(1))),
            ["run"] => Some(Until::End),
            ["run", seconds] => count(seconds).map(|seconds| Until::Time(seconds as u64 * 1000)),
            ["stop", rule] if *rule == "*" || is_rule(rule) => Some(Until::Broken((*rule).to_owned())),
            _ => None,
        };
        if let Some(until) = goes_on {
            self.until = until;
            return Next::GoOn;
        }
        let back = match words.as_slice() {
            ["back"] => Some(1),
            ["back", steps] => count(steps),
            _ => None,
        };
        if let Some(steps) = back {
            self.until = Until::Step(self.number.saturating_sub(steps));
            self.runs_again = true;
            return Next::Leave;
        }
        if words.as_slice() == ["quit"] {
            self.has_quit = true;
            return Next::Leave;
        }
        self.tell(cloud, judge, line, &words).iter().for_each(|line| say(line));
        Next::Ask
    }

    /// What a command shows that does not go on.
    fn tell(&self, cloud: &Rc<Cloud>, judge: &Judge, line: &str, words: &[&str]) -> Vec<String> {
        match words {
            [] => Vec::new(),
            ["stop", rule] => vec![format!("there is no rule {rule:?} (docs/simulation.md, 4)")],
            ["help"] => vec![HELP.to_owned()],
            ["show", object] => show(cloud, judge, object),
            ["difference"] => judge.difference(cloud),
            ["changes"] => {
                let now = processes(cloud);
                let came = now.iter().filter(|line| !self.processes.contains(line));
                let went = self.processes.iter().filter(|line| !now.contains(line));
                came.map(|line| format!("+ {line}")).chain(went.map(|line| format!("- {line}"))).collect()
            }
            ["processes"] => processes(cloud),
            ["processes", word] => processes_of(cloud, word),
            ["list", ..] => {
                let steps = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(10);
                let next = self.plan.script.iter().enumerate().skip(self.number).take(steps);
                let line = |(index, step): (usize, &super::script::Step)| {
                    let event = serde_json::to_string(&step.event).unwrap_or_default();
                    format!("{index} at {} ms: {event}", step.at)
                };
                next.map(line).collect()
            }
            _ => vec![format!("{line:?} is not understood: help tells what is")],
        }
    }
}

fn tell_finding(finding: &Finding) {
    say(&format!("broken: {finding}"));
    finding.more.iter().for_each(|more| say(&format!("  also: {more}")));
}

/// All that is known of an object.
fn show(cloud: &Cloud, judge: &Judge, object: &str) -> Vec<String> {
    let mut shown = judge.object(cloud, object);
    shown.extend(processes_of(cloud, object).into_iter().map(|line| format!("runs: {line}")));
    let lines = cloud.world.trace().lines();
    let about = About::new(object);
    let found: Vec<&String> = lines.iter().filter(|line| about.is_line(line)).collect();
    shown.extend(found[found.len().saturating_sub(LINES_SHOWN)..].iter().map(|line| (*line).clone()));
    if shown.is_empty() { vec![format!("nothing is known of {object:?}")] } else { shown }
}

fn processes_of(cloud: &Cloud, object: &str) -> Vec<String> {
    let about = About::new(object);
    processes(cloud).into_iter().filter(|line| about.is_line(line)).collect()
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
