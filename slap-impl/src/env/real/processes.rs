//! Real processes.
//!
//! Almost every process starts as `slap exec` (`programs/exec.rs`), because a session, a umask, a hold and a death with the
//! parent are set by the process itself: `unsafe` is forbidden, so nothing of ours runs between fork and exec. The shim becomes the program by
//! exec, so number and start time stay; when it is that program already (`slap` itself), it just goes on.
//!
//! What the contract tests check, here and in the world in memory: a held process does nothing before it is released, and nothing at
//! all when its starter drops it; its identity is that of the program; `find` finds neither what has ended nor a number used again;
//! the end comes with code or signal; a capture keeps the last bytes and does not wait for grandchildren; a
//! missing program is `NotFound`; signalling what is gone is no error; an environment is given whole.

use super::{capture::Capture, files, orphans, pipe, proc};
use crate::env::{
    Child, Command, Either, Ended, Identity, LocalFuture, Output, Pipe, Process, Processes, Signal, Spawned,
    Start, race,
};
use rustix::process::{Pid, PidfdFlags, kill_process_group, pidfd_open, pidfd_send_signal};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{self, Stdio},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
};

/// Real processes.
pub(super) struct RealProcesses {
    /// The program whose `exec` is the shim.
    pub(super) executable: PathBuf,
}

struct RealChild {
    end: watch::Receiver<Option<Ended>>,
}

struct FoundProcess {
    /// Becomes readable when the process ends.
    handle: AsyncFd<OwnedFd>,
}

impl Processes for RealProcesses {
    fn spawn(&self, command: &Command) -> io::Result<Spawned> {
        check(command)?;
        let mut started = self.prepare(command);
        let ends_group = command.ends_group && command.session;
        let mut variables = command.variables.clone();
        let mark = if ends_group { Some(orphans::mark(&mut variables)?) } else { None };
        started.env_clear().envs(&variables).current_dir(&command.directory);
        let held = command.start == Start::Held;
        started.stdin(if held { Stdio::piped() } else { null()? });
        let Redirected { capture, output } = redirect(&mut started, &command.output)?;
        let mut child =
            orphans::spawn(&mut started).map_err(|error| named(Path::new(started.get_program()), &error))?;
        drop(started);
        let pid = child.id();
        // Nobody but this process can reap the child, so its number cannot be another's yet.
        let start_time = proc::stat(pid).map(|stat| stat.start_time);
        let hold = child
            .stdin
            .take()
            .map(|mut input| Box::new(move || input.write_all(b"\n")) as Box<dyn FnOnce() -> io::Result<()>>);
        let watched = start_time
            .ok_or_else(|| io::Error::other("/proc does not show a process just started: is it mounted?"))
            .and_then(|start_time| Ok((start_time, handle(pid)?)));
        let (start_time, handle) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                let _ = child.kill();
                orphans::reap(&mut child);
                return Err(error);
            }
        };
        let (sender, end) = watch::channel(None);
        tokio::task::spawn_local(reap(child, handle, capture, mark, sender));
        Ok(Spawned {
            identity: Identity { pid, start_time },
            child: Box::new(RealChild { end }),
            hold,
            output,
        })
    }

    fn find(&self, identity: Identity) -> Option<Box<dyn Process>> {
        let handle = handle(identity.pid).ok()?;
        // Asked after the handle was taken: so the handle is that process's.
        proc::runs(identity).then(|| Box::new(FoundProcess { handle }) as Box<dyn Process>)
    }

    fn user(&self, identity: Identity) -> Option<u32> {
        let user = proc::real_user(identity.pid);
        user.filter(|_| proc::runs(identity))
    }

    fn descendants(&self, roots: &[Identity]) -> Vec<Identity> {
        orphans::descendants(roots).into_iter().filter(|identity| identity.pid != process::id()).collect()
    }

    fn adopt_orphans(&self) -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut ends = signal(SignalKind::child())?;
        orphans::adopt()?;
        tokio::task::spawn_local(async move {
            while ends.recv().await.is_some() {
                orphans::reap_adopted();
            }
        });
        Ok(())
    }

    fn is_stopped(&self, identity: Identity) -> bool {
        let stat = proc::stat(identity.pid).filter(|stat| stat.start_time == identity.start_time);
        stat.is_some_and(|stat| matches!(stat.state, 'T' | 't'))
    }

    fn signal(&self, identity: Identity, signal: Signal) -> io::Result<()> {
        let Some(pid) = number(identity.pid) else { return Ok(()) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) if proc::runs(identity) => gone_is_fine(pidfd_send_signal(handle, convert(signal))),
            Ok(_) => Ok(()),
            Err(error) => gone_is_fine(Err(error)),
        }
    }

    fn signal_group(&self, identity: Identity, signal: Signal) -> io::Result<()> {
        // A leader that has ended and was not reaped yet keeps its number from being used again.
        let holds = proc::stat(identity.pid).is_some_and(|stat| stat.start_time == identity.start_time);
        let Some(pid) = number(identity.pid).filter(|_| holds) else { return Ok(()) };
        match kill_process_group(pid, convert(signal)) {
            // The shim has not begun its session yet, so it is alone.
            Err(rustix::io::Errno::SRCH) => self.signal(identity, signal),
            other => gone_is_fine(other),
        }
    }

    fn session(&self, leader: Identity) -> Vec<Identity> {
        if proc::stat(leader.pid).is_some_and(|stat| stat.start_time != leader.start_time) {
            return Vec::new();
        }
        let is_in = |_, stat: proc::Stat| stat.session == leader.pid && stat.start_time >= leader.start_time;
        select(proc::own_processes(), is_in)
    }

    fn marked_with(&self, variable: &str, wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Identity> {
        // Nearly no process has the mark, so that is asked first; and again for the very process that is given.
        let marked = proc::own_processes().into_iter().filter(|pid| proc::is_marked(*pid, variable, wanted));
        select(marked.collect(), |pid, _| proc::is_marked(pid, variable, wanted))
    }

    fn boot(&self) -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    }

    fn termination(&self) -> LocalFuture<'static, ()> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        let hangup = signal(SignalKind::hangup());
        Box::pin(async move {
            match (terminate, interrupt, hangup) {
                (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) => {
                    race(terminate.recv(), race(interrupt.recv(), hangup.recv())).await;
                }
                // Without a handler the signals end this process by themselves.
                _ => std::future::pending().await,
            }
        })
    }
}

impl Child for RealChild {
    fn wait(&mut self) -> LocalFuture<'_, io::Result<Ended>> {
        Box::pin(async {
            let end = self.end.wait_for(Option::is_some).await;
            match end.map(|end| end.clone()) {
                Ok(Some(end)) => Ok(end),
                _ => Err(io::Error::other("its end was not seen: this process is ending too")),
            }
        })
    }
}

impl Process for FoundProcess {
    fn wait(&mut self) -> LocalFuture<'_, ()> {
        Box::pin(async {
            let _ = self.handle.readable().await;
        })
    }
}

impl RealProcesses {
    /// The program itself, or the shim that becomes it.
    fn prepare(&self, command: &Command) -> process::Command {
        let plain = command.start == Start::AtOnce
            && !command.session
            && !command.dies_with_parent
            && command.umask == own_umask();
        if plain {
            let mut plain = process::Command::new(&command.program);
            plain.args(&command.arguments);
            return plain;
        }
        let mut shim = process::Command::new(&self.executable);
        shim.arg("exec").arg(format!("--umask={:03o}", command.umask & 0o777));
        if command.start == Start::Held {
            shim.arg("--hold");
        }
        if command.session {
            shim.arg("--session");
        }
        if command.dies_with_parent {
            shim.arg(format!("--die-with-parent={}", process::id()));
        }
        shim.arg("--").arg(&command.program).args(&command.arguments);
        shim
    }
}

/// Reaps the child, whoever waits for it, and tells how it ended.
async fn reap(
    mut child: process::Child,
    handle: AsyncFd<OwnedFd>,
    mut capture: Option<Capture>,
    mark: Option<String>,
    sender: watch::Sender<Option<Ended>>,
) {
    let ended = async {
        let _ = handle.readable().await;
    };
    match &mut capture {
        Some(capture) => {
            let mut ended = std::pin::pin!(ended);
            let read = race(ended.as_mut(), capture.read_to_end()).await;
            if let Either::Second(_) = read {
                ended.await;
            }
        }
        None => ended.await,
    }
    if mark.is_some()
        && let Some(pid) = number(child.id())
    {
        // Not reaped yet, it keeps its number, which is its group's, from being used again.
        let _ = kill_process_group(pid, convert(Signal::Kill));
    }
    // It has ended, so this does not wait.
    let status = orphans::reap(&mut child);
    if let Some(mark) = mark {
        orphans::end(&mark).await;
    }
    sender.send_replace(Some(Ended {
        code: status.and_then(|status| status.code()),
        signal: status.and_then(|status| status.signal()),
        output: capture.map(Capture::finish).unwrap_or_default(),
    }));
}

/// The reading ends of a process's output.
#[derive(Default)]
struct Redirected {
    capture: Option<Capture>,
    output: Option<Box<dyn Pipe>>,
}

fn redirect(started: &mut process::Command, output: &Output) -> io::Result<Redirected> {
    match output {
        Output::Null => {
            started.stdout(null()?).stderr(null()?);
        }
        Output::Inherit => {}
        Output::Append(path) => {
            let log = files::open_log(path).map_err(|error| named(path, &error))?;
            started.stdout(log.try_clone()?).stderr(log);
        }
        Output::Capture(bytes_max) => {
            let (capture, output, error) = Capture::new(*bytes_max)?;
            started.stdout(output).stderr(error);
            return Ok(Redirected { capture: Some(capture), output: None });
        }
        Output::Pipe(path) => {
            let pipe = pipe::open_named(path).map_err(|error| named(path, &error))?;
            started.stdout(pipe.try_clone()?).stderr(pipe);
        }
        Output::Stream => {
            let (reader, writer) = io::pipe()?;
            started.stdout(writer.try_clone()?).stderr(writer);
            return Ok(Redirected { capture: None, output: Some(pipe::read_stream(reader)?) });
        }
    }
    Ok(Redirected::default())
}

/// What is read and written where nothing is. It is opened here so that an error names it.
fn null() -> io::Result<Stdio> {
    let path = Path::new("/dev/null");
    let opened = fs::OpenOptions::new().read(true).write(true).open(path);
    opened.map(Stdio::from).map_err(|error| named(path, &error))
}

/// Finds out what would fail after the fork, where it could only be told by an exit code.
fn check(command: &Command) -> io::Result<()> {
    if !fs::metadata(&command.directory).map_err(|error| named(&command.directory, &error))?.is_dir() {
        let message = format!("{} is not a directory", command.directory.display());
        return Err(io::Error::new(ErrorKind::NotADirectory, message));
    }
    match command.start {
        Start::AtOnce => find_program(command),
        Start::Held => Ok(()),
    }
}

fn find_program(command: &Command) -> io::Result<()> {
    let program = &command.program;
    let candidates: Vec<PathBuf> = if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        vec![command.directory.join(program)]
    } else {
        let path = command.variables.get("PATH").map_or("/bin:/usr/bin", String::as_str);
        std::env::split_paths(path).map(|directory| command.directory.join(directory).join(program)).collect()
    };
    let mut found = false;
    for candidate in candidates {
        if let Ok(metadata) = fs::metadata(&candidate) {
            found = true;
            if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
                return Ok(());
            }
        }
    }
    let (kind, message) = if found {
        (ErrorKind::PermissionDenied, "is not executable")
    } else {
        (ErrorKind::NotFound, "no such program")
    };
    Err(io::Error::new(kind, format!("{}: {message}", program.display())))
}

/// The processes of these numbers that are wanted and still run, without this one.
fn select(pids: Vec<u32>, wanted: impl Fn(u32, proc::Stat) -> bool) -> Vec<Identity> {
    let own = process::id();
    pids.into_iter()
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let stat = proc::stat(pid)?;
            let identity = Identity { pid, start_time: stat.start_time };
            // Asked again afterwards: the number may have become another's in between.
            (stat.runs() && wanted(pid, stat) && proc::runs(identity)).then_some(identity)
        })
        .collect()
}

pub(super) fn handle(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = number(pid).ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    let handle = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    #[allow(
        deprecated,
        reason = "its successor is `unsafe`, because a descriptor may lie; an OwnedFd does not"
    )]
    AsyncFd::with_interest(handle, Interest::READABLE)
}

fn number(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn convert(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Continue => rustix::process::Signal::CONT,
    }
}

fn gone_is_fine(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => Ok(other?),
    }
}

/// This process's umask. The system call that gives it also sets it, for all threads; /proc only gives it.
fn own_umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    value.and_then(|value| u32::from_str_radix(value.trim(), 8).ok()).unwrap_or(u32::MAX)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
