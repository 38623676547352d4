//! `slap lab up`: from nothing to green, and from whatever is left to green again.
//!
//! Every step looks at what is there and does what is missing, so `up` may be typed again at any time: after a kill, after a
//! reboot, after it failed half-way, and over an older program.

use super::{
    block::{Block, MASTER_PORT, PARTITIONS_MAX},
    configuration,
    content::Content,
    health, keeper,
    layout::{Description, Layout, MARK, write_if_changed},
    locate, logs,
    progress::Progress,
};
use crate::{
    client::SlapClient,
    env::{Address, Either, Env, Exit, LocalFuture, Signal, join_all, race},
    node::{safe, supervisor},
    vocabulary::{ComputerId, hex},
};
use clap::Args;
use sha2::{Digest, Sha256};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes of a program that is copied.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;
/// How long the master may take to answer.
const MASTER_TIME_MAX: Duration = Duration::from_secs(20);
/// How long the keeper may take to start and replace programs: each may take some seconds to end.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// First requests that are sent beside each other: the master commits them together.
const REQUESTS_AT_ONCE: usize = 32;
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
    /// Supply and request nothing
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
    let work = up(env, &layout, &arguments, &mut progress);
    let exit = match race(&mut termination, work).await {
        Either::First(()) => {
            env.tell("interrupted: what was started runs on");
            hint_down(env, &layout);
            return Exit(130);
        }
        Either::Second(Ok(exit)) => exit,
        Either::Second(Err(failure)) => {
            super::fail(env, failure.exit, &failure.message);
            if env.files().exists(&layout.description()) {
                hint_down(env, &layout);
            }
            return failure.exit;
        }
    };
    if !arguments.foreground {
        return exit;
    }
    env.tell("staying in the foreground; interrupt to take the lab down");
    termination.await;
    super::down::take_down(env, &layout, false, arguments.quiet).await
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
    progress: &mut Progress,
) -> Result<Exit, Failure> {
    let described = layout.read(env)?;
    let (nodes, _) = size(arguments, described.as_ref())?;
    layout.check_name(nodes).map_err(usage)?;
    if described.is_none() {
        locate::check_free(env, &layout.root).map_err(usage)?;
    }
    let made = !env.files().exists(&layout.root);
    if let Err(message) = make(env, &layout.root) {
        remove_half_made(env, layout, made);
        return Err(message.into());
    }
    let Some(_lock) = super::take_lock(env, layout)? else {
        return Err(super::busy(layout).into());
    };
    if let Err(message) = prepare_directory(env, layout) {
        remove_half_made(env, layout, made);
        return Err(message.into());
    }
    // Only now nobody else writes it.
    let described = layout.read(env)?;
    let (nodes, partitions) = size(arguments, described.as_ref())?;
    let prepared = prepare(env, layout, described, nodes, partitions);
    let (mut description, digest) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            remove_half_made(env, layout, made);
            return Err(message.into());
        }
    };
    locate::remember(env, &layout.root);
    progress.done(format_args!("Prepared {}", layout.root.display()));
    resume(env, layout, &description);
    let started = start(env, layout, &mut description, &digest, progress);
    env.timeout(START_TIME_MAX, started).await.unwrap_or_else(|_| {
        Err(format!("the keeper does not do its work\n{}", logs::last_lines(env, &layout.log("keeper"), 5)))
    })?;
    let client =
        SlapClient::new(env.clone(), &description.master_url()).map_err(|error| error.to_string())?;
    wait_for_master(env, layout, &client, &description).await?;
    progress.done(format_args!("Started the master at {}", description.master_url()));
    let deadline = env.clock().elapsed() + arguments.timeout;
    let formatted =
        health::wait(env, layout, &description, health::Goal::Formatted, deadline, progress).await;
    if formatted != Exit::DONE {
        return Ok(formatted);
    }
    progress.done(format_args!("Formatted {nodes} nodes with {partitions} partitions each"));
    if !arguments.empty && !description.populated {
        populate(env, layout, &client, &mut description, progress).await?;
    }
    let green = wait_for_green(env, layout, &description, deadline, progress).await?;
    if green == Exit::DONE {
        progress.done("All promises are green");
        super::status::print_summary(env, layout, &description, progress.total_seconds()).await;
    }
    Ok(green)
}

/// Waits until the lab is green in everybody's eyes. Reports and promise results may be older than what died meanwhile, so
/// the nodes' supervisors are asked too: each must answer, and no watched service may be down.
async fn wait_for_green(
    env: &Env,
    layout: &Layout,
    description: &Description,
    deadline: Duration,
    progress: &mut Progress,
) -> Result<Exit, Failure> {
    loop {
        let green = health::wait(env, layout, description, health::Goal::Green, deadline, progress).await;
        if green != Exit::DONE {
            return Ok(green);
        }
        let Some(problem) = keeper::problem(env, layout, description).await else { return Ok(Exit::DONE) };
        if env.clock().elapsed() >= deadline {
            return Err(Failure { exit: Exit::TIMED_OUT, message: format!("the time was up: {problem}") });
        }
        env.sleep(Duration::from_millis(10)).await;
    }
}

/// Lets everything go on that was made to stand still.
pub(super) fn resume(env: &Env, layout: &Layout, description: &Description) {
    let keeper = description.keeper.filter(|_| keeper::process(env, description).is_some());
    let kept = keeper::client(env, layout).recorded().into_iter().filter_map(|service| service.identity);
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

/// Makes a directory of the lab.
fn make(env: &Env, directory: &Path) -> Result<(), String> {
    env.files().create_directory(directory, 0o700).map_err(|error| cannot_write(directory, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!(
        "{}: {error}\nhint: a lab needs a directory that you may write to, on a disk that is not full; choose another --dir",
        path.display()
    )
}

fn prepare_directory(env: &Env, layout: &Layout) -> Result<(), String> {
    for name in ["bin", "log", "run", "master", "nodes"] {
        make(env, &layout.root.join(name))?;
    }
    for each_has_its_own in ["run", "nodes"] {
        env.files().spread(&layout.root.join(each_has_its_own));
    }
    env.files().set_mode(&layout.root, 0o700).map_err(|error| cannot_write(&layout.root, &error))
}

/// Takes away what a refused `up` made, if it made the directory at all.
fn remove_half_made(env: &Env, layout: &Layout, made: bool) {
    let empty_lab = !env.files().exists(&layout.description());
    if made && empty_lab && env.files().exists(&layout.root) {
        // What cannot be removed on a broken disk was named in the error already.
        let _ = env.files().remove_tree(&layout.root);
    }
}

/// Copies the program, chooses the addresses, writes the configuration. Gives the program's digest too.
fn prepare(
    env: &Env,
    layout: &Layout,
    described: Option<Description>,
    nodes: u32,
    partitions: u32,
) -> Result<(Description, String), String> {
    let digest = copy_program(env, layout)?;
    let mut description = match described {
        Some(mut described) => {
            described.nodes = nodes;
            described
        }
        None => {
            let block = Block::candidates(&layout.root).next().expect("there is a block at least");
            Description::new(nodes, partitions, block)
        }
    };
    if keeper::process(env, &description).is_none() && env.processes().marked(MARK, &mark(layout)).is_empty()
    {
        description.block = free_block(env, layout, description.block)?;
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

/// Puts the program that runs now into the lab, if it is another one. Gives its digest.
fn copy_program(env: &Env, layout: &Layout) -> Result<String, String> {
    let source = &env.context().executable;
    let target = layout.program();
    let read = |path: &Path| env.files().read(path, PROGRAM_BYTES_MAX);
    let content = read(source).map_err(|error| format!("{}: {error}", source.display()))?;
    if *source != target && read(&target).ok().as_deref() != Some(content.as_slice()) {
        // It need not wait for the disk: a copy that a crash tore is found to be another one.
        safe::put(env.files(), &target, &content, 0o700).map_err(|error| cannot_write(&target, &error))?;
    }
    Ok(hex(&Sha256::digest(&content)[..8]))
}

fn mark(layout: &Layout) -> String {
    layout.root.to_string_lossy().into_owned()
}

/// Sees to it that a keeper of this program runs, and that it keeps what it should.
async fn start(
    env: &Env,
    layout: &Layout,
    description: &mut Description,
    digest: &str,
    progress: &mut Progress,
) -> Result<(), String> {
    let recorded = layout.keeper().join("program-digest");
    let current = env.files().read_text(&recorded, 100).is_ok_and(|text| text == digest);
    let running = keeper::process(env, description);
    let answers = running.is_some() && keeper::client(env, layout).status().await.is_ok();
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

async fn wait_for_master(
    env: &Env,
    layout: &Layout,
    client: &SlapClient,
    description: &Description,
) -> Result<(), String> {
    let answers = async {
        while let Err(error) = client.run_id().await {
            if !error.is_offline() {
                return Err(error.to_string());
            }
            env.sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    };
    let problem = match env.timeout(MASTER_TIME_MAX, answers).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(problem)) => problem,
        Err(_) => format!("no answer for {} s", MASTER_TIME_MAX.as_secs()),
    };
    let log = logs::last_lines(env, &layout.log("master"), 5);
    Err(format!("the master at {} is not well: {problem}\n{log}", description.master_url()))
}

/// Supplies the first release to every node and requests an instance of it on each, once in a lab's life.
async fn populate(
    env: &Env,
    layout: &Layout,
    client: &SlapClient,
    description: &mut Description,
    progress: &mut Progress,
) -> Result<(), String> {
    let content = Content::packed().ok_or(
        "this program was built without a release to begin with\nhint: use --empty, then `slap supply` and `slap request`",
    )?;
    let directory = layout.releases().join(content.name());
    for (path, bytes) in content.files() {
        write_if_changed(env, &directory.join(path), bytes, 0o600)?;
    }
    let profile = directory.join(&content.profile);
    let computers: Vec<(u32, ComputerId)> = (1..).zip(description.computers()).collect();
    for together in computers.chunks(REQUESTS_AT_ONCE) {
        let requests = together.iter().map(|(number, computer)| {
            let request: LocalFuture<'_, Result<(), String>> =
                Box::pin(health::supply_and_request(client, &content, &profile, *number, computer));
            request
        });
        join_all(requests.collect()).await.into_iter().collect::<Result<(), String>>()?;
    }
    progress.done(format_args!(
        "Supplied {} to {} nodes and requested an instance on each",
        content.name(),
        description.nodes
    ));
    description.populated = true;
    layout.write(env, description)
}
