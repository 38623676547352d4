//! `slap supervisor --directory DIR`: the loop around the core, and its socket.
//!
//! One loop owns the core. Connections send it what is asked; ends of processes come as events; status is handed out through
//! a watch, so that who waits for a change costs nothing.

use super::{
    client::SOCKET,
    core::{Core, Gone, PLEASE_END, SUPERVISOR_VARIABLE},
    place::{Found, LOOK_PERIOD, Place, taken},
    record::Goal,
    state::{self, Groups, Loaded},
    types::{LINE_BYTES_MAX, Reply, Request, ServiceStatus},
};
use crate::env::{Address, BoxListener, BoxStream, Either, Env, Exit, Signal, race, room};
use std::{
    cell::Cell,
    collections::BTreeSet,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    sync::{Notify, mpsc, oneshot, watch},
};

const USAGE: &str = "\
Keep services running for whoever declares them, by the socket in a directory

Nodes and labs start it by themselves. Ended by a signal, it leaves its services running, and the next one takes them over.

Usage: slap supervisor --directory DIR

Options:
      --directory DIR  Where its socket, its state and its lock are; made if it is missing
  -h, --help           Print help";
const CONNECTIONS_MAX: usize = 256;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what services left behind may take to end before it is killed, and then to be gone.
const STRAY_TIME_MAX: Duration = Duration::from_secs(5);

/// Number of the last change, and all services.
type Published = (u64, Rc<Vec<ServiceStatus>>);

enum Event {
    Asked(Request, oneshot::Sender<Reply>),
    Gone(Gone),
}

/// Somebody waits until a group is where it was asked to be.
struct Pending {
    group: String,
    /// What was asked; another kind of request for the group takes its place.
    kind: &'static str,
    reply: oneshot::Sender<Reply>,
}

struct Supervisor {
    env: Env,
    place: Place,
    core: Core,
    /// Told when it is time to look whether the socket is in its place.
    socket: Rc<Notify>,
    pending: Vec<Pending>,
    /// Who waits for the end of this supervisor; `None` while it shall not end.
    ending: Option<Ending>,
    published: watch::Sender<Published>,
}

/// This supervisor shall end.
#[derive(Default)]
struct Ending {
    after_services: bool,
    replies: Vec<oneshot::Sender<Reply>>,
}

/// Runs until it is asked to end.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    if matches!(arguments.as_slice(), [word] if matches!(word.as_str(), "--help" | "-h")) {
        env.print(USAGE);
        return Exit::DONE;
    }
    let directory = match parse(&env, &arguments) {
        Ok(directory) => directory,
        Err(message) => {
            env.tell(format_args!("slap supervisor: {message}"));
            return Exit::USAGE;
        }
    };
    match supervise(&env, &directory).await {
        Ok(()) => Exit::DONE,
        Err(message) => {
            env.tell(format_args!("slap supervisor: {message}"));
            Exit::FAILED
        }
    }
}

fn parse(env: &Env, arguments: &[String]) -> Result<PathBuf, String> {
    match arguments {
        [option, directory] if option == "--directory" && !directory.is_empty() => {
            Ok(env.context().absolute(directory))
        }
        _ => Err(format!(
            "expected `--directory DIR`, and got {:?}\nhint: `slap supervisor --help` says more",
            arguments.join(" ")
        )),
    }
}

async fn supervise(env: &Env, directory: &Path) -> Result<(), String> {
    let termination = env.processes().termination();
    let place = Place::take(env, directory).await?;
    if let Err(error) = env.processes().adopt_orphans() {
        env.log(format_args!(
            "what services leave behind in sessions of their own may not be found: {error}"
        ));
    }
    let (gone_sender, gone) = mpsc::unbounded_channel();
    let (groups, boot) = load(env, directory).await?;
    let mut core = Core::new(env.clone(), directory, groups, gone_sender);
    core.adopt(boot.as_deref() == Some(env.processes().boot().as_str()));
    let path = directory.join(SOCKET);
    let listener = env
        .network()
        .listen(&Address::Unix(path.clone()))
        .map_err(|error| room::explain(env.files(), &path, &error))?;
    // Another life's numbers differ from this one's, so that whoever waits for a change sees the replacement.
    let number = u64::try_from(env.clock().now().as_microsecond()).unwrap_or(1);
    let (published, status) = watch::channel((number, Rc::new(core.status())));
    let (asked_sender, asked) = mpsc::channel(CONNECTIONS_MAX);
    let replies = Rc::new(Cell::new(0));
    let socket = Rc::<Notify>::default();
    let door = Door { env: env.clone(), asked: asked_sender, status, replies: replies.clone() };
    env.spawn(door.accept(listener, socket.clone()));
    env.log(format_args!("supervises {}", directory.display()));
    let pending = Vec::new();
    let supervisor = Supervisor { env: env.clone(), place, core, socket, pending, ending: None, published };
    match race(supervisor.serve(asked, gone), termination).await {
        Either::First(Found::Taken) => return Err(taken(directory)),
        Either::First(_) => {
            // What was answered last shall be read.
            let written = async {
                while replies.get() > 0 {
                    env.sleep(Duration::from_millis(1)).await;
                }
            };
            let _ = env.timeout(Duration::from_secs(1), written).await;
            env.log("ends: it was asked to");
        }
        Either::Second(()) => env.log("ends by signal; services go on"),
    }
    Ok(())
}

/// The state, and the boot it was written in. Where there is none that can be read, what an earlier life left running is
/// ended: it would be started a second time otherwise.
async fn load(env: &Env, directory: &Path) -> Result<(Groups, Option<String>), String> {
    let path = directory.join(super::state::STATE);
    match state::load(env, &path).map_err(|error| format!("{}: {error}", path.display()))? {
        Loaded::Read(boot, groups) => return Ok((groups, Some(boot))),
        Loaded::Foreign(message) => {
            return Err(format!("{}: {message}; a newer slap wrote it, use that one", path.display()));
        }
        Loaded::Missing => {}
        Loaded::Damaged(message) => {
            let aside = directory.join("supervisor.json.damaged");
            env.log(format_args!(
                "{} is damaged ({message}): put aside as {}",
                path.display(),
                aside.display()
            ));
            env.files().rename(&path, &aside).map_err(|error| format!("{}: {error}", aside.display()))?;
        }
    }
    let value = directory.display().to_string();
    loop {
        let left = env.processes().marked(SUPERVISOR_VARIABLE, &value);
        if left.is_empty() {
            return Ok((Groups::new(), None));
        }
        env.log(format_args!(
            "{} processes of an earlier life are not in the state: they are ended",
            left.len()
        ));
        for identity in left {
            let process = env.processes().find(identity);
            env.processes()
                .signal(identity, Signal::Kill)
                .map_err(|error| format!("process {}: {error}", identity.pid))?;
            if let Some(mut process) = process {
                process.wait().await;
            }
        }
    }
}

impl Supervisor {
    /// Ends when it was asked to, or when its place has another supervisor.
    async fn serve(
        mut self,
        mut asked: mpsc::Receiver<Event>,
        mut gone: mpsc::UnboundedReceiver<Gone>,
    ) -> Found {
        loop {
            self.core.step();
            self.publish();
            self.answer();
            if self.is_over() {
                self.end().await;
                return Found::Whole;
            }
            let look_at = self.env.clock().elapsed() + LOOK_PERIOD;
            let until = self.core.deadline().map_or(look_at, |deadline| deadline.min(look_at));
            let event = race(next_event(&mut asked, &mut gone), until_time(&self.env, until)).await;
            // Before anything is done or written: the place may be another's by now.
            if self.look() == Found::Taken {
                return Found::Taken;
            }
            if let Either::First(event) = event {
                self.take(event);
                // Whatever else has happened meanwhile is done together, with one write.
                while let Ok(event) = gone.try_recv() {
                    self.take(Event::Gone(event));
                }
                while let Ok(event) = asked.try_recv() {
                    self.take(event);
                }
            }
        }
    }

    /// Makes again what was removed of the place: the directory with its lock, the state, the socket.
    fn look(&mut self) -> Found {
        let found = self.place.look();
        let is_taken = found == Found::Taken || found == Found::Renewed && self.core.is_succeeded();
        if is_taken {
            return Found::Taken;
        }
        if found == Found::Broken {
            // It is looked at again; the rest cannot be made without it.
            return found;
        }
        self.core.look();
        self.socket.notify_one();
        found
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Gone(gone) => self.core.note_gone(gone),
            Event::Asked(request, reply) => self.ask(request, reply),
        }
    }

    fn ask(&mut self, request: Request, reply: oneshot::Sender<Reply>) {
        if !matches!(request, Request::Shutdown { .. }) {
            self.forget_abandoned_end();
            if self.ending.is_some() {
                let _ = reply.send(Reply::Refused { message: "this supervisor is about to end".to_owned() });
                return;
            }
        }
        let (kind, group, result) = match request {
            Request::Apply { group, services } => ("apply", group.clone(), self.core.apply(&group, services)),
            Request::Stop { group } => ("stop", group.clone(), self.core.set_goal(&group, Goal::Stop)),
            Request::Remove { group } => ("remove", group.clone(), self.core.set_goal(&group, Goal::Forget)),
            Request::Shutdown { stop_services } => return self.shut_down(stop_services, reply),
            // Connections answer these by themselves.
            Request::Status | Request::NextChange { .. } => return,
        };
        if let Err(message) = result {
            let _ = reply.send(Reply::Refused { message });
            return;
        }
        let (superseded, kept): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| pending.group == group && pending.kind != kind);
        self.pending = kept;
        for pending in superseded {
            let message = format!("`{}` of {group}: a later `{kind}` took its place", pending.kind);
            let _ = pending.reply.send(Reply::Refused { message });
        }
        self.pending.push(Pending { group, kind, reply });
    }

    fn shut_down(&mut self, stop_services: bool, reply: oneshot::Sender<Reply>) {
        if stop_services {
            for group in self.core.groups() {
                if let Err(message) = self.core.set_goal(&group, Goal::Stop) {
                    let _ = reply.send(Reply::Refused { message });
                    return;
                }
            }
        }
        let ending = self.ending.get_or_insert_default();
        ending.after_services |= stop_services;
        ending.replies.push(reply);
    }

    /// Answers those whose group is where it was asked to be.
    fn answer(&mut self) {
        let (waiting, reached): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| self.core.is_moving(&pending.group));
        self.pending = waiting;
        for pending in reached {
            let _ = pending.reply.send(Reply::Done);
        }
    }

    /// Whoever wanted its end after its services was itself ended meanwhile: services stop, and it stays for who comes next.
    fn forget_abandoned_end(&mut self) {
        let is_abandoned = |ending: &mut Ending| {
            ending.after_services && ending.replies.iter().all(oneshot::Sender::is_closed)
        };
        if self.ending.take_if(is_abandoned).is_some() {
            self.env.log("stays: nobody waits for its end any more");
        }
    }

    fn is_over(&mut self) -> bool {
        self.forget_abandoned_end();
        let Some(ending) = &self.ending else { return false };
        // Without `stop_services` nothing is waited for: a stop under way is gone on with by the next life.
        if ending.after_services && self.core.groups().iter().any(|group| self.core.is_stopping(group)) {
            return false;
        }
        true
    }

    async fn end(self) {
        let ending = self.ending.unwrap_or_default();
        if ending.after_services {
            end_strays(&self.env).await;
        }
        for reply in ending.replies {
            let _ = reply.send(Reply::Done);
        }
    }

    fn publish(&self) {
        let services = self.core.status();
        self.published.send_if_modified(|(number, published)| {
            let changed = **published != services;
            if changed {
                *number += 1;
                *published = Rc::new(services);
            }
            changed
        });
    }
}

/// Ends what services left behind with neither session nor mark: it is a child of this process by now, and no service of it runs.
async fn end_strays(env: &Env) {
    let processes = env.processes();
    let kill_at = env.clock().elapsed() + STRAY_TIME_MAX;
    let give_up_at = kill_at + STRAY_TIME_MAX;
    let mut asked = BTreeSet::new();
    loop {
        let strays = processes.descendants(&[env.context().identity]);
        let now = env.clock().elapsed();
        if strays.is_empty() {
            return;
        }
        if now >= give_up_at {
            env.log(format_args!("{} processes that services left cannot be ended", strays.len()));
            return;
        }
        for stray in strays {
            // Who is gone meanwhile is no error, and who may not be signalled is told of at the end.
            if now >= kill_at {
                let _ = processes.signal(stray, Signal::Kill);
            } else if asked.insert(stray) {
                env.log(format_args!("process {} is left by a service, and asked to end", stray.pid));
                for signal in PLEASE_END {
                    let _ = processes.signal(stray, signal);
                }
            }
        }
        env.sleep(Duration::from_millis(5)).await;
    }
}

async fn next_event(asked: &mut mpsc::Receiver<Event>, gone: &mut mpsc::UnboundedReceiver<Gone>) -> Event {
    let gone = async {
        match gone.recv().await {
            Some(gone) => Event::Gone(gone),
            None => std::future::pending().await,
        }
    };
    let asked = async {
        match asked.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    };
    match race(gone, asked).await {
        Either::First(event) | Either::Second(event) => event,
    }
}

async fn until_time(env: &Env, time: Duration) {
    env.sleep(time.saturating_sub(env.clock().elapsed())).await;
}

/// Where requests come in.
struct Door {
    env: Env,
    asked: mpsc::Sender<Event>,
    status: watch::Receiver<Published>,
    replies: Rc<Cell<usize>>,
}

impl Door {
    /// Answers whoever connects. When it is told to look and the socket's name is gone, it listens anew.
    async fn accept(self, mut listener: BoxListener, look: Rc<Notify>) {
        let open = Rc::new(Cell::new(0));
        loop {
            match race(listener.accept(), look.notified()).await {
                Either::Second(()) => self.renew(&mut listener),
                // One too many is closed at once, and its client told so by that.
                Either::First(Ok((stream, _))) if open.get() < CONNECTIONS_MAX => {
                    open.set(open.get() + 1);
                    let (open, replies) = (open.clone(), self.replies.clone());
                    let (inner, asked, status) = (self.env.clone(), self.asked.clone(), self.status.clone());
                    self.env.spawn(async move {
                        connection(&inner, stream, &asked, status, &replies).await;
                        open.set(open.get() - 1);
                    });
                }
                Either::First(Ok(_)) => {
                    self.env.log(format_args!("refused a connection: {CONNECTIONS_MAX} are open"));
                }
                Either::First(Err(error)) => {
                    self.env.log(format_args!("cannot accept a connection: {error}"));
                    self.env.sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn renew(&self, listener: &mut BoxListener) {
        if listener.is_in_place() {
            return;
        }
        match self.env.network().listen(&listener.address()) {
            Ok(renewed) => {
                self.env.log(format_args!("{} was removed: it is made again", renewed.address()));
                *listener = renewed;
            }
            Err(error) => self.env.log(format_args!("the socket cannot be made again: {error}")),
        }
    }
}

/// One request, one reply.
async fn connection(
    env: &Env,
    stream: BoxStream,
    asked: &mpsc::Sender<Event>,
    status: watch::Receiver<Published>,
    replies: &Cell<usize>,
) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let reading = async { (&mut stream).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).await };
    if !matches!(env.timeout(REQUEST_TIMEOUT, reading).await, Ok(Ok(_))) || line.is_empty() {
        return;
    }
    let request = if line.ends_with(b"\n") {
        serde_json::from_slice(&line).map_err(|error| format!("the request cannot be understood: {error}"))
    } else {
        Err(format!("the request is cut, or has over {LINE_BYTES_MAX} bytes"))
    };
    drop(line);
    replies.set(replies.get() + 1);
    // Whoever waits and goes away is not waited for: after its request a client sends nothing.
    let mut byte = [0];
    if let Either::First(reply) = race(reply_to(request, asked, status), stream.read(&mut byte)).await {
        let mut line = serde_json::to_vec(&reply).unwrap_or_default();
        line.push(b'\n');
        let writing = async {
            stream.write_all(&line).await?;
            stream.flush().await
        };
        let _ = env.timeout(REPLY_TIMEOUT, writing).await;
    }
    replies.set(replies.get() - 1);
}

async fn reply_to(
    request: Result<Request, String>,
    asked: &mpsc::Sender<Event>,
    mut status: watch::Receiver<Published>,
) -> Reply {
    let ending = || Reply::Refused { message: "this supervisor is about to end".to_owned() };
    let after = match request {
        Err(message) => return Reply::Refused { message },
        Ok(Request::Status) => None,
        Ok(Request::NextChange { after }) => Some(after),
        Ok(request) => {
            let (sender, reply) = oneshot::channel();
            if asked.send(Event::Asked(request, sender)).await.is_err() {
                return ending();
            }
            return reply.await.unwrap_or_else(|_| ending());
        }
    };
    match status.wait_for(|(number, _)| Some(*number) != after).await.map(|published| published.clone()) {
        Ok((number, services)) => Reply::Services { number, services: services.to_vec() },
        Err(_) => ending(),
    }
}
