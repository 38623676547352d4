//! `slap lab up`: from nothing to green, and from whatever is left to green again.
//!
//! Every step looks at what is there and does what is missing, so `up` may be typed again at any time: after a kill, after a
//! reboot, after it failed half-way, and over an older program.

use super::{
    block::{Block, MASTER_PORT, PARTITIONS_MAX},
    configuration, down,
    health::{self, Outcome},
    keeper,
    layout::{ACCESS_HINT, Description, Layout, Unusable, cannot_use, write_if_changed},
    locate, logs, populate,
    progress::{Progress, counted},
    view::disk,
};
use crate::{
    client::SlapClient,
    env::{Address, Either, Env, Exit, Lock, Signal, race},
    node::{
        safe,
        supervisor::{self, SupervisorClient},
    },
    vocabulary::hex,
};
use clap::Args;
use sha2::{Digest, Sha256};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes of a program that is copied.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;
/// How long the master may take to answer.
const MASTER_TIME_MAX: Duration = Duration::from_secs(20);
/// How long the keeper may take to start and replace programs: each may take some seconds to end.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a keeper may take to make its socket again when somebody removed it: it looks each 10 s.
const SOCKET_TIME_MAX: Duration = Duration::from_secs(15);
/// How often in vain the master is asked before its keeper is.
const MASTER_LOOK_TRIES: u32 = 50;
/// Free space without which no lab is begun, beside the program: its databases and logs, and what each node writes until it is
/// green.
const LAB_BYTES_MIN: u64 = 2 << 20;
const NODE_BYTES_MIN: u64 = 512 << 10;
/// Nodes that a lab has at most.
const NODES_MAX: u32 = 1000;

/// Starts a lab, or what is missing of it.
#[derive(Args, Debug)]
pub(super) struct UpArguments {
    /// Number of nodes; an existing lab may get more [default: 3]
    #[arg(long)]
    nodes: Option<u32>,
    /// Number of partitions of each node [default: 4]
    #[arg(long)]
    partitions: Option<u32>,
    /// Directory of the lab; without it a fresh temporary one is made
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Supply and request nothing; a lab that was made so stays so: `slap supply` and `slap request` fill it
    #[arg(long)]
    empty: bool,
    /// Stay until interrupted, then take the lab down
    #[arg(long)]
    foreground: bool,
    /// Longest wait for green, in seconds, or with a unit: 500ms, 30s, 5m
    #[arg(long, default_value = "5m", value_parser = crate::arguments::parse_duration)]
    timeout: Duration,
    /// Print no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Why `up` ended early: what to say, and how to exit.
struct Failure {
    exit: Exit,
    message: String,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure { exit: Exit::FAILED, message }
    }
}

impl From<Unusable> for Failure {
    fn from(Unusable { exit, message }: Unusable) -> Failure {
        Failure { exit, message }
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure { exit: Exit::USAGE, message: message.into() }
}

/// Runs the command.
pub(super) async fn run(env: &Env, arguments: UpArguments) -> Exit {
    let mut termination = env.processes().termination();
    let mut progress = Progress::new(env, arguments.quiet);
    let root = match locate::named(env, arguments.dir.as_deref()) {
        Some(root) => Ok(root),
        None => locate::fresh(env),
    };
    let layout = match root {
        Ok(root) => Layout::new(root),
        Err(message) => return super::fail(env, Exit::FAILED, &message),
    };
    let mut made = Made::default();
    let work = up(env, &layout, &arguments, &mut made, &mut progress);
    let (exit, is_made) = match race(&mut termination, work).await {
        Either::First(()) if arguments.foreground => {
            env.tell("interrupted: the lab is taken down");
            super::down::take_down(env, &layout, false, arguments.quiet).await;
            return Exit(130);
        }
        Either::First(()) => {
            env.tell("interrupted: what was started runs on");
            hint_down(env, &layout);
            return Exit(130);
        }
        Either::Second(Ok(outcome)) => (outcome.exit(), outcome != Outcome::DiskFull),
        Either::Second(Err(failure)) => {
            super::fail(env, failure.exit, &failure.message);
            if failure.exit != Exit::USAGE
                && let Some(disk) = disk(env, &layout)
            {
                env.tell(format_args!("the disk is {disk}"));
            }
            if failure.exit == Exit::TIMED_OUT {
                hint_down(env, &layout);
            }
            (failure.exit, false)
        }
    };
    if !is_made && matches!(exit, Exit::FAILED | Exit::USAGE) {
        made.undo(env, &layout).await;
        if made.is_old {
            hint_down(env, &layout);
        }
        return exit;
    }
    if !arguments.foreground {
        return exit;
    }
    env.tell("staying in the foreground; interrupt to take the lab down");
    termination.await;
    super::down::take_down(env, &layout, false, arguments.quiet).await
}

/// What an `up` made that may have to be taken away again: it failed, and nothing half-made shall be left.
#[derive(Default)]
struct Made {
    /// Directories that were not there before, the innermost first.
    directories: Vec<PathBuf>,
    /// There was a lab already: it stays whatever happens.
    is_old: bool,
    /// There was none, and this `up` may have begun to make one.
    is_new: bool,
}

impl Made {
    async fn undo(&self, env: &Env, layout: &Layout) {
        if self.is_new {
            super::down::take_down(env, layout, true, true).await;
            if self.directories.is_empty() {
                // It was there, and empty.
                let _ = env.files().create_directory(&layout.root, 0o700);
            }
        }
        for directory in &self.directories {
            // Only what is empty goes: somebody else may use it by now.
            let _ = env.files().remove_directory(directory);
        }
    }
}

/// The directories of a path that do not exist, the innermost first.
fn missing_directories(env: &Env, path: &Path) -> Vec<PathBuf> {
    let is_missing = |path: &&Path| env.files().symlink_metadata(path).is_err();
    path.ancestors().take_while(is_missing).map(Path::to_owned).collect()
}

fn hint_down(env: &Env, layout: &Layout) {
    let directory = layout.root.display();
    env.tell(format_args!(
        "hint: `slap lab status --dir {directory}` shows it, `slap lab down --dir {directory}` ends it"
    ));
}

async fn up(
    env: &Env,
    layout: &Layout,
    arguments: &UpArguments,
    made: &mut Made,
    progress: &mut Progress,
) -> Result<Outcome, Failure> {
    let deadline = env.clock().elapsed() + arguments.timeout;
    // Before anything is looked for: the system has no answer about a path that is too long for it.
    layout.check_name(1).map_err(usage)?;
    let _lock = take_directory(env, layout, arguments, made)?;
    // Only now nobody else writes it.
    let described = layout.read(env)?;
    let (nodes, partitions) = size(arguments, described.as_ref())?;
    check_empty(arguments, described.as_ref())?;
    let (own, foreign) = down::marked(env, layout);
    let are_there = !(own.is_empty() && foreign.is_empty());
    if described.is_none() && are_there {
        // It would find the names of the files that they still use.
        let _ = env.files().remove_file(&layout.lock());
        let directory = layout.root.display();
        let hint = match foreign.first() {
            Some((_, user)) => {
                format!("some belong to user number {user}, who alone ends them; choose another --dir")
            }
            None => format!("`slap lab down --dir {directory}` ends them"),
        };
        return Err(format!("processes of a lab that was in {directory} still run\nhint: {hint}").into());
    }
    (made.is_old, made.is_new) = (described.is_some(), described.is_none());
    let described = described.map(|described| Description {
        nodes,
        empty: described.empty || arguments.empty,
        ..described
    });
    let new = Wanted { nodes, partitions, empty: arguments.empty };
    let (mut description, digest) = prepare(env, layout, described, new, are_there, progress)?;
    locate::remember(env, &layout.root);
    progress.done(format_args!("Prepared {}", layout.root.display()));
    resume(env, layout, &description);
    let started = start(env, layout, &mut description, &digest, progress);
    let patience = START_TIME_MAX.min(deadline.saturating_sub(env.clock().elapsed()));
    match env.timeout(patience, started).await {
        Ok(started) => started?,
        Err(_) => {
            let log = logs::last_lines(env, &layout.log("keeper"), 5);
            let message = format!("the keeper did not do its work in {:.1} s\n{log}", patience.as_secs_f64());
            return Err(out_of_time(env, deadline, message));
        }
    }
    let client =
        SlapClient::new(env.clone(), &description.master_url()).map_err(|error| error.to_string())?;
    wait_for_master(env, layout, &client, &description, deadline).await?;
    progress.done(format_args!("Started the master at {}", description.master_url()));
    let aim = |goal| health::Aim { goal, deadline, is_up: true };
    let formatted = health::wait(env, layout, &description, aim(health::Goal::Formatted), progress).await;
    if formatted != Outcome::Reached {
        return Ok(formatted);
    }
    let (all, each) = (counted(nodes as usize, "node"), counted(partitions as usize, "partition"));
    progress.done(format_args!("Formatted {all} with {each} each"));
    if description.empty {
        populate::offer(env, layout)?;
    } else if description.populated < nodes {
        populate::populate(env, layout, &client, &mut description, progress).await?;
    }
    let green = health::wait(env, layout, &description, aim(health::Goal::Green), progress).await;
    if green == Outcome::Reached {
        progress.done("All promises are green");
        super::status::print_summary(env, layout, &description, progress.total_seconds()).await;
    }
    Ok(green)
}

/// Checks that the directory may be a lab's, makes it and takes its lock.
fn take_directory(
    env: &Env,
    layout: &Layout,
    arguments: &UpArguments,
    made: &mut Made,
) -> Result<Box<dyn Lock>, Failure> {
    locate::check_owner(env, &layout.root).map_err(usage)?;
    let described = layout.read(env)?;
    let (nodes, _) = size(arguments, described.as_ref())?;
    check_empty(arguments, described.as_ref())?;
    layout.check_name(nodes).map_err(usage)?;
    if described.is_none() {
        locate::check_free(env, &layout.root).map_err(usage)?;
    }
    made.directories = missing_directories(env, &layout.root);
    make(env, &layout.root)?;
    super::take_lock(env, layout)?.ok_or_else(|| super::busy(layout).into())
}

/// Why a step did not end: the user's time was up, or longer than it may take.
fn out_of_time(env: &Env, deadline: Duration, message: String) -> Failure {
    let is_up = env.clock().elapsed() >= deadline;
    Failure { exit: if is_up { Exit::TIMED_OUT } else { Exit::FAILED }, message }
}

/// Lets everything go on that was made to stand still.
pub(super) fn resume(env: &Env, layout: &Layout, description: &Description) {
    let keeper = description.keeper.filter(|_| keeper::process(env, description).is_some());
    let supervisors = description.computers().into_iter().map(|computer| layout.supervisor(&computer));
    let kept = std::iter::once(layout.keeper()).chain(supervisors).flat_map(|directory| {
        let services = SupervisorClient::new(env.clone(), &directory).recorded();
        services.into_iter().filter_map(|service| service.identity)
    });
    for identity in keeper.into_iter().chain(kept) {
        // Who is gone meanwhile is no error.
        let _ = env.processes().signal_group(identity, Signal::Continue);
    }
}

/// The number of nodes and of partitions of each.
fn size(arguments: &UpArguments, described: Option<&Description>) -> Result<(u32, u32), Failure> {
    let before = described.map_or((3, 4), |described| (described.nodes, described.partitions));
    let nodes = arguments.nodes.unwrap_or(before.0);
    let partitions = arguments.partitions.unwrap_or(before.1);
    if !(1..=NODES_MAX).contains(&nodes) {
        return Err(usage(format!("--nodes {nodes}: expected 1 to {NODES_MAX}")));
    }
    if partitions == 0 || nodes.saturating_mul(partitions) > PARTITIONS_MAX {
        return Err(usage(format!(
            "--partitions {partitions}: expected at least 1, and at most {PARTITIONS_MAX} in all {nodes} nodes together\n\
             hint: a lab's block of addresses has no more"
        )));
    }
    if described.is_some() && (nodes < before.0 || partitions != before.1) {
        return Err(usage(format!(
            "this lab has {} nodes with {} partitions each, and can only get more nodes\n\
             hint: leave out --nodes and --partitions, or make another lab with another --dir",
            before.0, before.1
        )));
    }
    Ok((nodes, partitions))
}

/// Refuses to make a lab empty that is not.
fn check_empty(arguments: &UpArguments, described: Option<&Description>) -> Result<(), Failure> {
    match described {
        Some(described) if arguments.empty && described.populated > 0 => Err(usage(format!(
            "--empty: this lab is not empty: {} of its nodes got a release and an instance when it was made\n\
             hint: leave out --empty; `slap request` with --state destroyed and `slap remove` empty a lab, and another --dir \
             makes another one",
            described.populated
        ))),
        _ => Ok(()),
    }
}

/// Makes a directory of the lab.
fn make(env: &Env, directory: &Path) -> Result<(), String> {
    env.files().create_directory(directory, 0o700).map_err(|error| cannot_use(env, directory, &error))
}

fn prepare_directory(env: &Env, layout: &Layout) -> Result<(), String> {
    for name in ["bin", "log", "run", "master", "nodes"] {
        make(env, &layout.root.join(name))?;
    }
    for each_has_its_own in ["run", "nodes"] {
        env.files().spread(&layout.root.join(each_has_its_own));
    }
    env.files().set_mode(&layout.root, 0o700).map_err(|error| cannot_use(env, &layout.root, &error))
}

/// What a new lab shall be.
#[derive(Clone, Copy)]
struct Wanted {
    nodes: u32,
    partitions: u32,
    empty: bool,
}

/// Describes the lab, copies the program, chooses the addresses, writes the configuration. Gives the program's digest
/// too. `are_there` says that processes of the lab run.
fn prepare(
    env: &Env,
    layout: &Layout,
    described: Option<Description>,
    new: Wanted,
    are_there: bool,
    progress: &Progress,
) -> Result<(Description, String), String> {
    let is_old = described.is_some();
    let of_nodes = if is_old { 0 } else { NODE_BYTES_MIN * u64::from(new.nodes) };
    let spare = LAB_BYTES_MIN + of_nodes;
    let mut description = match described {
        Some(described) => described,
        None => {
            let block = Block::candidates(&layout.root).next().expect("there is a block at least");
            let description = Description {
                empty: new.empty,
                ..Description::new(&layout.root, new.nodes, new.partitions, block)
            };
            // First of all: whatever else is made then stands in a directory that says whose it is.
            layout.write(env, &description)?;
            description
        }
    };
    prepare_directory(env, layout)?;
    let digest = copy_program(env, layout, spare)?;
    if keeper::process(env, &description).is_none() && !are_there {
        let block = free_block(env, layout, description.block)?;
        let before = std::mem::replace(&mut description.block, block);
        if before != block && is_old {
            let (old, new) = (before.master(), block.master());
            progress.warn(format_args!(
                "{old}:{MASTER_PORT} is taken: the master moves to {new}:{MASTER_PORT}, and all partitions to addresses beside it"
            ));
        }
        let directories: Vec<PathBuf> =
            description.computers().iter().map(|computer| layout.supervisor(computer)).collect();
        supervisor::begin_empty(env, &directories)?;
    }
    configuration::write(env, layout, &description)?;
    layout.write(env, &description)?;
    Ok((description, digest))
}

/// The lab's last block if its master's address is free, else the first free one.
fn free_block(env: &Env, layout: &Layout, last: Block) -> Result<Block, String> {
    let mut problem = String::new();
    for block in std::iter::once(last).chain(Block::candidates(&layout.root)).take(256) {
        let address = Address::Tcp((block.master(), MASTER_PORT).into());
        match env.network().listen(&address) {
            Ok(listener) => {
                drop(listener);
                return Ok(block);
            }
            Err(error) => problem = format!("{address}: {error}"),
        }
    }
    Err(format!(
        "no block of loopback addresses is free: {problem}\nhint: `slap lab down` ends labs that are not used any more"
    ))
}

/// Puts the program that runs now into the lab, if it is another one, when there is room for it and `spare` bytes. Gives its
/// digest.
fn copy_program(env: &Env, layout: &Layout, spare: u64) -> Result<String, String> {
    let source = &env.context().executable;
    let target = layout.program();
    let read = |path: &Path| env.files().read(path, PROGRAM_BYTES_MAX);
    let content = read(source).map_err(|error| format!("{}: {error}", source.display()))?;
    if *source != target && read(&target).ok().as_deref() != Some(content.as_slice()) {
        let needed = content.len() as u64 + spare;
        if let Ok(free) = env.files().free_bytes(&layout.root)
            && free < needed
        {
            return Err(format!(
                "{}: the disk is full: {} KiB are free, and the lab needs {} KiB\n{ACCESS_HINT}",
                layout.root.display(),
                free / 1024,
                needed.div_ceil(1024)
            ));
        }
        // It need not wait for the disk: a copy that a crash tore is found to be another one.
        safe::put(env.files(), &target, &content, 0o700).map_err(|error| cannot_use(env, &target, &error))?;
    }
    Ok(hex(&Sha256::digest(&content)[..8]))
}

/// Sees to it that a keeper of this program runs, and that it keeps what it should.
async fn start(
    env: &Env,
    layout: &Layout,
    description: &mut Description,
    digest: &str,
    progress: &mut Progress,
) -> Result<(), String> {
    // Not in the keeper's own directory: when that was removed, the keeper that runs is still the right one.
    let recorded = layout.keeper_digest();
    let current = env.files().read_text(&recorded, 100).is_ok_and(|text| text == digest);
    let running = keeper::process(env, description);
    let answers = match &running {
        Some(_) if current => keeper_answers(env, layout, progress).await,
        Some(_) => keeper::client(env, layout).status().await.is_ok(),
        None => false,
    };
    if !(answers && current) {
        if let (Some(mut process), Some(identity)) = (running, description.keeper) {
            // What it keeps runs on, and the next keeper takes it over.
            if keeper::client(env, layout).shutdown(false).await.is_err() {
                env.processes().signal(identity, Signal::Kill).map_err(|error| error.to_string())?;
            }
            process.wait().await;
        }
        keeper::end_unknown(env, layout).await?;
        description.keeper = Some(keeper::start(env, layout).await?);
        description.boot = env.processes().boot();
        layout.write(env, description)?;
        write_if_changed(env, &recorded, digest.as_bytes(), 0o600)?;
        progress.done("Started the keeper");
    }
    keeper::declare(env, layout, description, digest)
        .await
        .map_err(|error| format!("{error}\n{}", logs::last_lines(env, &layout.log("keeper"), 5)))
}

/// Whether the keeper answers. One whose socket was removed makes it again soon. It is waited for, because another keeper would not
/// know what this one is the parent of.
async fn keeper_answers(env: &Env, layout: &Layout, progress: &Progress) -> bool {
    let client = keeper::client(env, layout);
    if client.status().await.is_ok() {
        return true;
    }
    let socket = layout.keeper().join(supervisor::SOCKET);
    if env.files().exists(&socket) {
        return false;
    }
    progress.note(format_args!("waiting for the keeper: {} was removed", socket.display()));
    let is_back = async {
        while client.status().await.is_err() {
            env.sleep(Duration::from_millis(20)).await;
        }
    };
    env.timeout(SOCKET_TIME_MAX, is_back).await.is_ok()
}

async fn wait_for_master(
    env: &Env,
    layout: &Layout,
    client: &SlapClient,
    description: &Description,
    deadline: Duration,
) -> Result<(), Failure> {
    let last_problem = RefCell::new(String::new());
    let answers = async {
        let mut restarts = None;
        for tries in 1_u32.. {
            match client.run_id().await {
                Ok(_) => break,
                Err(error) if !error.is_offline() => return Err(error.to_string()),
                Err(error) => *last_problem.borrow_mut() = error.to_string(),
            }
            if tries % MASTER_LOOK_TRIES == 0
                && let Some(problem) = keeper::master_problem(env, layout, description, &mut restarts).await
            {
                return Err(problem);
            }
            env.sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    };
    let patience = MASTER_TIME_MAX.min(deadline.saturating_sub(env.clock().elapsed()));
    let describe = |problem: String| {
        let log = logs::last_lines(env, &layout.log("master"), 5);
        format!("the master at {} is not well: {problem}\n{log}", description.master_url())
    };
    match env.timeout(patience, answers).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) => Err(describe(problem).into()),
        Err(_) => {
            let (seconds, last) = (patience.as_secs_f64(), last_problem.borrow());
            let problem = if last.is_empty() { String::new() } else { format!(": {last}") };
            let problem = format!("no answer for {seconds:.1} s{problem}");
            Err(out_of_time(env, deadline, describe(problem)))
        }
    }
}
