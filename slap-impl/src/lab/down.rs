//! `slap lab down`: no process of the lab is left, whatever state it was in.
//!
//! First the orderly way: agents, then the nodes' supervisors with their services, then master and keeper. Then whatever still
//! carries the lab's mark in its environment is asked to end, and killed if it does not. Only a directory that a lab's own
//! description names is taken for a lab's: of another one nothing is removed.

use super::{
    keeper,
    layout::{Description, ENTRIES, Layout, MARK, Unusable},
    locate,
    progress::Progress,
};
use crate::{
    env::{Either, Env, Exit, Identity, Signal, join_all, race},
    node::{
        services::WATCH_SUFFIX,
        supervisor::{ServiceState, SupervisorClient},
    },
};
use std::{collections::BTreeSet, io, time::Duration};

/// How long the orderly way may take.
const ORDERLY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a service may take to end before it is said that it is waited for.
const LAST_PERIOD: Duration = Duration::from_secs(1);
/// How long what is left may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long what was killed may take to be gone.
const KILL_TIME_MAX: Duration = Duration::from_secs(10);

/// Takes a lab down; with `purge` its directory goes too.
pub(super) async fn take_down(env: &Env, layout: &Layout, purge: bool, quiet: bool) -> Exit {
    let interrupted = env.processes().termination();
    let mut progress = Progress::new(env, quiet);
    match race(interrupted, end(env, layout, purge, &mut progress)).await {
        Either::Second(Ok(())) => Exit::DONE,
        Either::Second(Err((exit, message))) => super::fail(env, exit, &message),
        Either::First(()) => {
            env.tell("interrupted: what was asked to end may still be at it");
            let directory = layout.root.display();
            env.tell(format_args!(
                "hint: `slap lab down --dir {directory}` goes on, `slap lab up --dir {directory}` starts it again"
            ));
            Exit(130)
        }
    }
}

/// What is found in the directory.
enum Place {
    /// A lab.
    Lab(Box<Description>),
    /// An `up` was killed before it made anything.
    HalfMade,
    /// No lab's description, but processes that were started for a lab here; what is wrong with it.
    Unknown(String),
}

async fn end(env: &Env, layout: &Layout, purge: bool, progress: &mut Progress) -> Result<(), (Exit, String)> {
    let failed = |message: String| (Exit::FAILED, message);
    locate::check_owner(env, &layout.root).map_err(|message| (Exit::USAGE, message))?;
    let is_gone = is_missing(env, layout);
    if is_gone {
        let (own, foreign) = marked(env, layout);
        if own.is_empty() {
            tell_foreign(env, &foreign);
            env.tell(format_args!("{} does not exist: nothing to do", layout.root.display()));
            locate::forget(env, &layout.root);
            return Ok(());
        }
        progress.note(format_args!("{} is gone, and its processes are not", layout.root.display()));
        // It comes back for its lock: nobody shall make a lab while processes are ended by its mark. Where it cannot be made,
        // nobody can make a lab either.
        let _ = env.files().create_directory(&layout.root, 0o700);
    } else {
        // Before a lock is made in a directory that is none of ours.
        place(env, layout)?;
    }
    let mut found = Found::default();
    found.look(env, layout);
    let lock = match super::take_lock(env, layout) {
        Ok(Some(lock)) => Some(lock),
        Ok(None) => return Err(failed(super::busy(layout))),
        Err(_) if is_gone => None,
        Err(message) => return Err(failed(message)),
    };
    // Only now nobody else writes it.
    let place = if is_gone { Place::HalfMade } else { place(env, layout)? };
    if let Place::Lab(description) = &place {
        super::up::resume(env, layout, description);
        let orderly = orderly(env, layout, description);
        let orderly = env.timeout(ORDERLY_TIME_MAX, orderly);
        if let Either::First(Err(_)) = race(orderly, tell_who_lasts(env, layout, description, progress)).await
        {
            progress.note("the orderly way took too long");
        }
        progress.done("Stopped the lab's programs and services");
    }
    let left = end_found(env, layout, &mut found).await;
    if !left.is_empty() {
        let pids: Vec<String> = left.iter().map(|identity| identity.pid.to_string()).collect();
        return Err(failed(format!("these processes cannot be ended: {}", pids.join(", "))));
    }
    progress.done("No process is left");
    tell_foreign(env, &marked(env, layout).1);
    if let (true, Place::Unknown(problem)) = (purge, &place) {
        let directory = layout.root.display();
        return Err(failed(format!(
            "{problem}\nhint: nothing in {directory} was removed; look at it, and remove by hand what you do not need"
        )));
    }
    if lock.is_some() && (purge || is_gone) {
        remove(env, layout, &place, progress).map_err(failed)?;
    }
    if purge || is_gone {
        locate::forget(env, &layout.root);
    }
    Ok(())
}

fn is_missing(env: &Env, layout: &Layout) -> bool {
    let found = env.files().symlink_metadata(&layout.root);
    found.is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// The processes of this user that carry the lab's mark, and those of others with their users' numbers: anybody may write anything
/// into an environment, and a directory that is gone may have been another user's. Only root sees those.
pub(super) fn marked(env: &Env, layout: &Layout) -> (Vec<Identity>, Vec<(Identity, u32)>) {
    let (mut own, mut foreign) = (Vec::new(), Vec::new());
    for identity in env.processes().marked(MARK, &layout.root.to_string_lossy()) {
        match env.processes().user(identity) {
            Some(user) if user == env.context().user => own.push(identity),
            Some(user) => foreign.push((identity, user)),
            // It ended just now.
            None => {}
        }
    }
    (own, foreign)
}

fn tell_foreign(env: &Env, foreign: &[(Identity, u32)]) {
    if foreign.is_empty() {
        return;
    }
    let all: Vec<String> =
        foreign.iter().map(|(identity, user)| format!("{} of user number {user}", identity.pid)).collect();
    env.tell(format_args!(
        "processes of other users name this directory, and were left alone: {}",
        all.join(", ")
    ));
}

/// Processes of the lab, also those that no mark tells any more.
#[derive(Default)]
struct Found(BTreeSet<Identity>);

impl Found {
    /// Adds what carries the mark, and what all of that started; gives what still runs.
    fn look(&mut self, env: &Env, layout: &Layout) -> Vec<Identity> {
        self.0.extend(marked(env, layout).0);
        self.0.retain(|identity| env.processes().find(*identity).is_some());
        let roots: Vec<Identity> = self.0.iter().copied().collect();
        self.0.extend(env.processes().descendants(&roots));
        self.0.iter().copied().collect()
    }
}

/// What the directory is; an error if it is nothing of a lab.
fn place(env: &Env, layout: &Layout) -> Result<Place, (Exit, String)> {
    let Unusable { exit, message: problem } = match layout.read(env) {
        Ok(Some(description)) => return Ok(Place::Lab(Box::new(description))),
        Ok(None) => {
            let names = env.files().list(&layout.root).unwrap_or_default();
            if locate::is_half_made(&names) {
                return Ok(Place::HalfMade);
            }
            Unusable { exit: Exit::USAGE, message: format!("{} is no lab", layout.root.display()) }
        }
        Err(unusable) => unusable,
    };
    if !marked(env, layout).0.is_empty() {
        return Ok(Place::Unknown(problem));
    }
    if problem.contains("\nhint: ") {
        return Err((exit, format!("{problem}\nnothing was removed")));
    }
    Err((exit, format!("{problem}\nhint: nothing is removed from it; name a lab's directory with --dir")))
}

/// Removes what the lab made. What somebody else put into its directory stays, and is named.
fn remove(env: &Env, layout: &Layout, place: &Place, progress: &mut Progress) -> Result<(), String> {
    let files = env.files();
    let failed = |path: &std::path::Path, error: io::Error| format!("{}: {error}", path.display());
    if let Place::Lab(description) = place {
        // Whoever goes on from a half removed lab must make all of it anew. On a full disk this may fail, and need not stop us.
        let _ = layout.write(env, &Description { populated: 0, ..(**description).clone() });
    }
    let names = files.list(&layout.root).map_err(|error| failed(&layout.root, error))?;
    for name in names.iter().filter(|name| locate::is_temporary(name)).map(String::as_str).chain(ENTRIES) {
        let path = layout.root.join(name);
        files.remove_any(&path).map_err(|error| failed(&path, error))?;
    }
    let left = files.list(&layout.root).map_err(|error| failed(&layout.root, error))?;
    if !left.is_empty() {
        let directory = layout.root.display();
        progress.done(format_args!("Removed the lab in {directory}"));
        env.tell(format_args!("{directory} stays, with what the lab did not make: {}", left.join(", ")));
        return Ok(());
    }
    match files.remove_directory(&layout.root) {
        Ok(()) => progress.done(format_args!("Removed {}", layout.root.display())),
        // A file system's own root, or a directory in one that may not be written: it is empty at least.
        Err(error) => {
            progress.done(format_args!("Removed the lab in {}", layout.root.display()));
            env.tell(format_args!("{} itself stays, and is empty: {error}", layout.root.display()));
        }
    }
    Ok(())
}

/// Stops everything through those who keep it, as far as they answer.
async fn orderly(env: &Env, layout: &Layout, description: &Description) {
    let keeper = keeper::client(env, layout);
    // Agents first, so that nobody starts what is stopped. A keeper that is gone leaves it to the marks.
    let _ = keeper.stop("agents").await;
    let stops = description.computers().into_iter().map(|computer| {
        let client = SupervisorClient::new(env.clone(), &layout.supervisor(&computer));
        let stop: crate::env::LocalFuture<'_, ()> = Box::pin(async move {
            let _ = client.shutdown(true).await;
        });
        stop
    });
    // The keeper must not start again what ends now.
    let _ = keeper.stop("master").await;
    join_all(stops.collect()).await;
    let _ = keeper.shutdown(true).await;
}

/// Says for whom it waits, each once, as soon as that takes longer than it should. It never ends.
async fn tell_who_lasts(env: &Env, layout: &Layout, description: &Description, progress: &Progress) {
    let of_nodes = description.computers().into_iter().map(|computer| {
        let client = SupervisorClient::new(env.clone(), &layout.supervisor(&computer));
        (Some(computer), client)
    });
    let clients: Vec<_> = std::iter::once((None, keeper::client(env, layout))).chain(of_nodes).collect();
    let mut told = BTreeSet::new();
    loop {
        env.sleep(LAST_PERIOD).await;
        for (computer, client) in &clients {
            let services = client.noted().into_iter();
            for service in services.filter(|service| service.state == ServiceState::Stopping) {
                let name = service.name.strip_suffix(WATCH_SUFFIX).unwrap_or(&service.name);
                let what = match computer {
                    Some(computer) => format!("{computer}/{}/{name}", service.group),
                    None => name.to_owned(),
                };
                let process = service.identity.map_or(0, |identity| identity.pid);
                if told.insert((what.clone(), process)) {
                    progress.note(format_args!("waiting for {what} (process {process}) to end"));
                }
            }
        }
    }
}

/// Ends what carries the lab's mark and what was found before, and gives what could not be ended.
async fn end_found(env: &Env, layout: &Layout, found: &mut Found) -> Vec<Identity> {
    for (signal, patience) in [(Signal::Terminate, GRACE), (Signal::Kill, KILL_TIME_MAX)] {
        let deadline = env.clock().elapsed() + patience;
        while env.clock().elapsed() < deadline {
            let identities = found.look(env, layout);
            if identities.is_empty() {
                return identities;
            }
            for identity in identities {
                // Who stands still cannot end: let it go on. Who is gone meanwhile is no error.
                let _ = env.processes().signal(identity, signal);
                let _ = env.processes().signal(identity, Signal::Continue);
            }
            env.sleep(Duration::from_millis(20)).await;
        }
    }
    found.look(env, layout)
}
