//! `cargo xtask conformance`: slap beside the real SlapOS, step by step.
//!
//! Each part plays the same script twice, once with the real SlapOS alone and once with slap in one of the roles, and compares exit
//! codes, texts, answers on the wire, files and modes: (a) our master with the real command line, node and engine; (b) our node
//! with the real slapproxy; (n) our master with the command line of a newer SlapOS. Besides, (c) has one lab with both kinds of node
//! under our master, and (m) round trips of marshalled documents.
//!
//! * `world.rs`: a master and a node in a directory; `steps.rs`: the script
//! * `seen.rs`: what a step showed, and how two of these differ; `deviations.rs`: what is meant to differ
//! * `lab.rs`: (c); `marshal.rs`: (m); `table.rs`: the rows

mod deviations;
mod lab;
mod marshal;
mod seen;
mod steps;
mod table;
mod world;

use crate::python;
use seen::Seen;
use slap_impl::env::{Command, Either, Env, Exit, FileKind, LocalFuture, Output, Signal, join_all, race};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use steps::STEPS;
use table::{Row, Verdict};
use world::{Side, Tools, World};

const USAGE: &str = "\
usage: golden conformance [--keep] [--parts LETTERS]

Plays the same steps with the real SlapOS and with slap, and prints what is the same. It needs python3 (or what SLAP_TEST_PYTHON
names), and the network once.

  --keep            leave the directory of the run, for a look at its files
  --parts LETTERS   only these parts: a our master, b our node, c both nodes in one lab, m marshalled documents, n a newer client
";
/// A run that does not end within this has failed: five times what one needs on two slow cores.
const LIMIT: Duration = Duration::from_mins(20);
/// All parts.
const PARTS: &str = "abcmn";
/// A newer release of slapos.core, whose command line is compared, too.
const NEWER: &str = "1.26.1";
/// Set in the environment of the run that root starts as somebody else.
const UNPRIVILEGED: &str = "SLAP_CONFORMANCE_UNPRIVILEGED";
/// Number and name of the user who is nobody.
const NOBODY: (&str, &str) = ("65534", "nobody");

/// Runs the comparison: 0 when all rows are the same.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let options = match options(&arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            env.print(USAGE.trim_end());
            return Exit::DONE;
        }
        Err(problem) => {
            env.tell(format_args!("error: {problem}\n\n{USAGE}"));
            return Exit::USAGE;
        }
    };
    if env.context().user == 0 && env.context().variable(UNPRIVILEGED).is_none() {
        return as_nobody(&env, &arguments).await;
    }
    match compare(&env, &options).await {
        Ok(exit) => exit,
        Err(reason) => did_not_run(&env, &reason),
    }
}

/// What was asked for.
struct Options {
    keep: bool,
    parts: String,
}

/// Reads the arguments; none when help is wanted.
fn options(arguments: &[String]) -> Result<Option<Options>, String> {
    let mut options = Options { keep: false, parts: PARTS.to_owned() };
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--help" | "-h" => return Ok(None),
            "--keep" => options.keep = true,
            "--parts" => {
                let parts = words.next().unwrap_or_default();
                if parts.is_empty() || parts.contains(|part| !PARTS.contains(part)) {
                    return Err(format!("--parts {parts:?}: expected letters of {PARTS:?}"));
                }
                options.parts = parts.to_owned();
            }
            other => return Err(format!("{other:?} is not understood")),
        }
    }
    Ok(Some(options))
}

/// What cannot run is loud, and where `CI` is set a failure.
fn did_not_run(env: &Env, reason: &str) -> Exit {
    if python::is_ci() {
        env.tell(format_args!("error: the comparison with SlapOS cannot run, and CI must run it: {reason}"));
        return Exit::FAILED;
    }
    env.tell(format_args!("\n*** DID NOT RUN: the comparison with SlapOS. {reason}\n"));
    Exit::DONE
}

/// The real slapgrid refuses to work for root's partitions, so for root all is done again in a user namespace as somebody else: there
/// root's files are that user's, and nothing has to be handed over.
async fn as_nobody(env: &Env, arguments: &[String]) -> Exit {
    let mut probe = unshare(env, &["true"]);
    probe.output = Output::Capture(1000);
    let probed = match env.processes().spawn(&probe) {
        Ok(mut spawned) => spawned.child.wait().await,
        Err(error) => Err(error),
    };
    match probed {
        Ok(ended) if ended.succeeded() => {}
        Ok(ended) => {
            let told = String::from_utf8_lossy(&ended.output).trim().to_owned();
            return did_not_run(
                env,
                &format!("root needs user namespaces, or somebody else runs it: {told}"),
            );
        }
        Err(error) => return did_not_run(env, &format!("root needs unshare(1): {error}")),
    }
    let program = env.context().executable.display().to_string();
    let mut command = unshare(env, &[&program, "conformance"]).arguments(arguments.iter().cloned());
    command.output = Output::Inherit;
    command.session = false;
    let mut spawned = match env.processes().spawn(&command) {
        Ok(spawned) => spawned,
        Err(error) => return did_not_run(env, &format!("{program}: {error}")),
    };
    let identity = spawned.identity;
    let ended = match race(spawned.child.wait(), env.processes().termination()).await {
        Either::First(ended) => ended,
        Either::Second(()) => {
            // It ends what it started, and then itself.
            let _ = env.processes().signal(identity, Signal::Terminate);
            spawned.child.wait().await
        }
    };
    match ended.map(|ended| ended.code) {
        Ok(Some(code)) => Exit(u8::try_from(code).unwrap_or(1)),
        Ok(None) | Err(_) => Exit::FAILED,
    }
}

/// A command in a user namespace, in which root is nobody.
fn unshare(env: &Env, words: &[&str]) -> Command {
    let map = [format!("--map-user={}", NOBODY.0), format!("--map-group={}", NOBODY.0)];
    let command = Command::new("unshare").arguments(["--user"]).arguments(map).arguments(["--"]);
    let mut command = command.arguments(words.iter().copied());
    command.variables.clone_from(&env.context().variables);
    command.variables.insert(UNPRIVILEGED.to_owned(), "1".to_owned());
    command.directory.clone_from(&env.context().directory);
    command.umask = 0o022;
    command
}

/// Makes what is needed, plays all parts, and takes away what it made. The error is that there is no Python to compare with.
async fn compare(env: &Env, options: &Options) -> Result<Exit, String> {
    let environments = environments(env)?;
    let python = python::environment(&environments, python::CORE)?;
    let random: String = env.random_bytes(4).iter().map(|byte| format!("{byte:02x}")).collect();
    let temporary = env.context().variable("TMPDIR").unwrap_or("/tmp").to_owned();
    let scratch = Path::new(&temporary).join(format!("slap-conformance-{random}"));
    let adopted =
        env.processes().adopt_orphans().map_err(|error| format!("orphans cannot be adopted: {error}"));
    let tools = match adopted.and_then(|()| prepare(env, &scratch, python)) {
        Ok(tools) => tools,
        Err(error) => {
            env.tell(format_args!("error: {error}"));
            let _ = env.files().remove_tree(&scratch);
            return Ok(Exit::FAILED);
        }
    };
    let playing = env.timeout(LIMIT, play_all(&tools, &options.parts, &environments));
    let rows = match race(playing, env.processes().termination()).await {
        Either::First(Ok(rows)) => Some(rows),
        Either::First(Err(_)) => {
            env.tell(format_args!("error: no end within {} s", LIMIT.as_secs()));
            None
        }
        Either::Second(()) => None,
    };
    world::end_all(env, &scratch).await;
    let exit = rows.map_or(Exit::FAILED, |rows| print(env, &rows));
    if options.keep {
        env.tell(format_args!("the files of this run are in {}", scratch.display()));
    } else {
        env.files().remove_tree(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    }
    Ok(exit)
}

/// Where environments are kept: beside what is built.
fn environments(env: &Env) -> Result<PathBuf, String> {
    let program = &env.context().executable;
    let target = program.parent().and_then(Path::parent);
    Ok(target.ok_or_else(|| format!("{} is in no target directory", program.display()))?.join("tmp"))
}

/// Makes the run's directory, with a copy of the program under its own name and of the releases.
fn prepare(env: &Env, scratch: &Path, python: PathBuf) -> Result<Tools, String> {
    let slap = scratch.join("bin/slap");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = || {
        env.files().create_directory(scratch, 0o755)?;
        for name in ["bin", "releases"] {
            env.files().create_directory(&scratch.join(name), 0o755)?;
        }
        env.files().copy(&env.context().executable, &slap)?;
        env.files().set_mode(&slap, 0o755)?;
        copy_tree(env, &here.join("profiles/helloworld"), &scratch.join("releases/helloworld"))?;
        copy_tree(env, &here.join("conformance/tree"), &scratch.join("releases/tree"))
    };
    made().map_err(|error| format!("{}: {error}", scratch.display()))?;
    let user = if env.context().variable(UNPRIVILEGED).is_some() {
        NOBODY.1.to_owned()
    } else {
        env.context().variable("USER").ok_or("the variable USER is not set")?.to_owned()
    };
    let network = world::free_network(env)?;
    Ok(Tools { env: env.clone(), scratch: scratch.to_owned(), python, slap, network, user })
}

fn copy_tree(env: &Env, from: &Path, to: &Path) -> std::io::Result<()> {
    env.files().create_directory(to, 0o755)?;
    for name in env.files().list(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if env.files().symlink_metadata(&from)?.kind == FileKind::Directory {
            copy_tree(env, &from, &to)?;
        } else {
            env.files().copy(&from, &to)?;
            env.files().set_mode(&to, 0o644)?;
        }
    }
    Ok(())
}

/// What a world showed, step by step; the error ends it.
type Played = (Vec<Option<Seen>>, Option<String>);

async fn play_all(tools: &Tools, parts: &str, environments: &Path) -> Vec<Row> {
    let mut shown = BTreeSet::new();
    let mut rows = masters_and_nodes(tools, parts, &mut shown).await;
    if parts.contains('m') {
        rows.extend(marshal::rows(tools).await);
    }
    if parts.contains('n') {
        rows.extend(newer(tools, environments, &mut shown).await);
    }
    for deviation in deviations::DEVIATIONS.iter().filter(|deviation| !shown.contains(deviation.name)) {
        if parts == PARTS {
            rows.push(Row::failed("", deviation.name, "no row shows this deviation any more"));
        }
    }
    rows
}

/// Parts (a) and (b), which share the world of the real SlapOS alone, and (c).
async fn masters_and_nodes(tools: &Tools, parts: &str, shown: &mut BTreeSet<&'static str>) -> Vec<Row> {
    let worlds = [
        ("real", 1, (Side::Real, Side::Real), "ab"),
        ("ours", 2, (Side::Ours, Side::Real), "a"),
        ("node", 3, (Side::Real, Side::Ours), "b"),
    ];
    let mut rows = Vec::new();
    if parts.contains(['a', 'b']) {
        let [real, ours, node] = play_worlds(tools, worlds).await;
        rows.extend(self::rows("a", &real, &ours, shown));
        rows.extend(self::rows("b", &real, &node, shown));
    }
    if parts.contains('c') {
        rows.extend(lab::rows(tools, shown).await);
    }
    rows
}

/// Part (n).
async fn newer(tools: &Tools, environments: &Path, shown: &mut BTreeSet<&'static str>) -> Vec<Row> {
    let python = match python::environment(environments, NEWER) {
        Ok(python) => python,
        Err(why) => return vec![Row::did_not_run("n", &format!("the client of {NEWER}"), &why)],
    };
    let tools = Tools { python, ..tools.clone() };
    let worlds = [("r126", 4, (Side::Real, Side::Real), "n"), ("o126", 5, (Side::Ours, Side::Real), "n")];
    let [real, ours] = play_worlds(&tools, worlds).await;
    rows("n", &real, &ours, shown)
}

/// A world: its name, its number, whose master and node, and the part of the script that is played in it.
type Plan = (&'static str, u8, (Side, Side), &'static str);

/// Plays worlds beside each other.
async fn play_worlds<const N: usize>(tools: &Tools, worlds: [Plan; N]) -> [Played; N] {
    let playing = worlds.map(|(name, number, sides, parts)| -> LocalFuture<'_, Played> {
        Box::pin(play_world(tools, name, number, sides, parts))
    });
    let mut played = join_all(playing.into()).await.into_iter();
    std::array::from_fn(|_| played.next().expect("one for each world"))
}

async fn play_world(tools: &Tools, name: &str, number: u8, sides: (Side, Side), parts: &str) -> Played {
    let mut played = Vec::new();
    let begun = async {
        let world = World::make(tools, name, number, sides)?;
        world.start_master().await.map(|()| world)
    };
    let world = match begun.await {
        Ok(world) => world,
        Err(error) => return (played, Some(error)),
    };
    for step in &STEPS {
        if !parts.chars().any(|part| step.parts.contains(part)) {
            played.push(None);
            continue;
        }
        let begin = tools.env.clock().elapsed();
        match steps::play(&world, step).await {
            Ok(seen) => {
                // For whoever keeps the run's directory.
                let path = world.root.with_added_extension(format!("{:02}", played.len()));
                if let Err(error) = tools.env.files().write(&path, format!("{seen:#?}").as_bytes(), 0o644) {
                    return (played, Some(format!("{}: {error}", path.display())));
                }
                played.push(Some(seen));
            }
            Err(error) => return (played, Some(error)),
        }
        let seconds = (tools.env.clock().elapsed() - begin).as_secs_f64();
        tools.env.tell(format_args!("{name}: {} ({seconds:.1} s)", step.name));
    }
    (played, None)
}

fn rows(part: &'static str, real: &Played, ours: &Played, shown: &mut BTreeSet<&'static str>) -> Vec<Row> {
    let mut rows = Vec::new();
    let errors = [&real.1, &ours.1];
    for (number, step) in STEPS.iter().enumerate() {
        if !step.parts.contains(part) {
            continue;
        }
        let seen = |played: &Played| played.0.get(number).cloned().flatten();
        match (seen(real), seen(ours)) {
            (Some(mut real), Some(mut ours)) => {
                // What a node tells of its work are its own words; and when it had to be run again, for a service that did not
                // listen yet, its last run had less to do.
                if part == "b" && step.is_node() || real.runs != ours.runs {
                    real.texts.remove("standard error");
                    ours.texts.remove("standard error");
                }
                shown.extend(deviations::forgive(part, step.name, &mut real, &mut ours));
                rows.push(Row::compare(part, step.name, &real, &ours));
            }
            _ => {
                let why: Vec<&str> = errors.iter().filter_map(|error| error.as_deref()).collect();
                rows.push(Row::failed(part, step.name, &why.join("; ")));
            }
        }
    }
    rows
}

/// Prints the table, and below it what differs.
fn print(env: &Env, rows: &[Row]) -> Exit {
    env.print(table::head());
    for row in rows {
        env.print(row);
    }
    for row in rows {
        match &row.verdict {
            Verdict::Same => {}
            Verdict::Differs(found) => {
                env.print(format_args!("\n{} {}: differs", row.part, row.name));
                for difference in found {
                    env.print(format_args!("  {difference}"));
                }
            }
            Verdict::Nothing => env.print(format_args!("\n{} {}: compared nothing", row.part, row.name)),
            Verdict::DidNotRun(why) => env.tell(format_args!("\n*** DID NOT RUN: {}. {why}", row.name)),
        }
    }
    let is_ci = python::is_ci();
    let failed = rows.iter().filter(|row| !row.passes(is_ci)).count();
    env.print(format_args!("\nrows: {}, not the same: {failed}", rows.len()));
    if failed == 0 { Exit::DONE } else { Exit::FAILED }
}
