//! What a command leaves behind in sessions of its own: no group's signal reaches it.
//!
//! This process is the child subreaper of all that its commands start (prctl(2), `PR_SET_CHILD_SUBREAPER`): what loses its
//! parent becomes a child of this process, not of init. So only its few children are looked at, not all processes of the machine; which
//! command one belongs to is said by a mark in its environment. Children that were not started here are reaped here too.

use super::proc;
use crate::env::{Identity, RUN_VARIABLE};
use rustix::process::{Pid, Signal, WaitOptions, getpid, pidfd_send_signal, set_child_subreaper, waitpid};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    process::{self, Child, Command},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Something that starts processes faster than they are ended is given up after so many rounds.
const ROUNDS_MAX: u32 = 1000;

/// Children that were started here, and are reaped by who waits for them.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Starts a process that is a child of its own.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    // Locked until the number is noted: nobody takes the child for an orphan.
    let mut own = own();
    let child = command.spawn()?;
    own.insert(child.id());
    Ok(child)
}

/// Reaps a child of its own that has ended.
pub(super) fn reap(child: &mut Child) -> Option<process::ExitStatus> {
    let mut own = own();
    let status = child.wait().ok();
    own.remove(&child.id());
    status
}

/// Adds a mark to the variables of a command about to be started, and has its orphans become children of this process. The mark of
/// a command in a command begins with the outer one's.
pub(super) fn mark(variables: &mut BTreeMap<String, String>) -> io::Result<String> {
    adopt()?;
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut mark = crate::vocabulary::hex(&bytes);
    if let Some(outer) = variables.get(RUN_VARIABLE) {
        mark = format!("{outer}/{mark}");
    }
    variables.insert(RUN_VARIABLE.to_owned(), mark.clone());
    Ok(mark)
}

/// What loses its parent becomes a child of this process.
pub(super) fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Takes care of children that were not started here and have ended.
pub(super) fn reap_adopted() {
    orphans();
}

/// Children, and their children, and so on, that run.
pub(super) fn descendants(roots: &[Identity]) -> Vec<Identity> {
    let mut found = BTreeSet::new();
    let mut waiting = roots.to_vec();
    while let Some(parent) = waiting.pop() {
        for pid in children_of(parent.pid) {
            // Nobody is older than who started it, whatever became of the parent's number meanwhile.
            let Some(stat) = proc::stat(pid).filter(|stat| stat.start_time >= parent.start_time) else {
                continue;
            };
            let child = Identity { pid, start_time: stat.start_time };
            if proc::runs(parent) && found.insert(child) {
                waiting.push(child);
            }
        }
    }
    found.into_iter().filter(|identity| proc::runs(*identity) && !roots.contains(identity)).collect()
}

/// Kills what a command left, and waits until it is gone. The command itself has ended.
pub(super) async fn end(mark: &str) {
    let is_mark = |value: &[u8]| {
        value.strip_prefix(mark.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    for _ in 0..ROUNDS_MAX {
        // What one of them had started is a child of this process when that one has ended.
        let left: Vec<Identity> = orphans()
            .into_iter()
            .filter(|orphan| proc::is_marked(orphan.pid, RUN_VARIABLE, &is_mark))
            .collect();
        if left.is_empty() {
            return;
        }
        for orphan in left {
            if let Ok(handle) = super::processes::handle(orphan.pid)
                && proc::runs(orphan)
                && pidfd_send_signal(handle.get_ref(), Signal::KILL).is_ok()
            {
                let _ = handle.readable().await;
            }
        }
    }
}

/// Children that were not started here and still run. Those that have ended are reaped.
fn orphans() -> Vec<Identity> {
    let own = own();
    let mut running = Vec::new();
    for pid in children_of(process::id()).into_iter().filter(|pid| !own.contains(pid)) {
        match proc::stat(pid) {
            Some(stat) if stat.runs() => running.push(Identity { pid, start_time: stat.start_time }),
            Some(_) => {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = waitpid(pid, WaitOptions::NOHANG);
            }
            None => {}
        }
    }
    running
}

/// The numbers of all children of a process.
fn children_of(parent: u32) -> Vec<u32> {
    let list = || {
        let mut children = BTreeSet::new();
        for task in fs::read_dir(format!("/proc/{parent}/task"))? {
            let text = fs::read_to_string(task?.path().join("children"))?;
            children.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        io::Result::Ok(children)
    };
    // A child that ends while the list is made may hide another one (proc(5)): two lists must say the same.
    let mut before = list();
    loop {
        match (before, list()) {
            (Ok(one), Ok(two)) if one == two => return two.into_iter().collect(),
            (_, Ok(two)) => before = Ok(two),
            // It is gone, or this kernel makes no such list.
            (_, Err(_)) if proc::stat(parent).is_none() => return Vec::new(),
            (_, Err(_)) => {
                let is_child = |pid: &u32| proc::stat(*pid).is_some_and(|stat| stat.parent == parent);
                return proc::own_processes().into_iter().filter(is_child).collect();
            }
        }
    }
}

fn own() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}
