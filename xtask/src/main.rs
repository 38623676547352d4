//! A thin door: builds the owning package's program and passes the arguments on. No logic lives here.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it has no door of its own, and prints")]

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Instant,
};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  cluster VERB [ARGS]   build slap (release) and run `slap lab VERB`: up, status, wait, logs, kill, pause, resume, down
  sim [ARGS]            build the simulator (release) and run it: run, replay, shrink, debug; --help tells more
  model replay FILE     build the simulator (release) and step through a list of events on the model and on the real master
  model explore [ARGS]  build the simulator (release) and explore the model's worlds; --help tells more
  conformance [--keep]  build slap (release) and compare it with the real SlapOS, step by step
  bench [ARGS]          build and run the benchmarks
  canaries [NAME...]    plant each bug of simulator/canaries in a copy of the sources, and see whether its rule catches it
  coverage              build a simulator with counters, run fifty seeds, and compare what they reach with simulator/COVERAGE.md
  ci [--nightly]        what CI does: format, lints, tests, documentation; with --nightly what takes longer, too
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cluster", rest @ ..] => program("slap-impl", "slap", &[&["lab"], rest].concat()),
        ["sim", rest @ ..] => program("simulator", "simulator", rest),
        ["model", "replay", rest @ ..] => program("simulator", "simulator", &[&["replay"], rest].concat()),
        ["model", "explore", rest @ ..] => program("simulator", "simulator", &[&["explore"], rest].concat()),
        ["canaries", rest @ ..] => program("simulator", "simulator", &[&["canaries"], rest].concat()),
        ["coverage", rest @ ..] => program("simulator", "simulator", &[&["coverage"], rest].concat()),
        ["conformance", rest @ ..] => program("golden", "golden", &[&["conformance"], rest].concat()),
        ["bench", rest @ ..] => code(bench(rest)),
        ["ci"] => ci(false),
        ["ci", "--nightly"] => ci(true),
        ["--help" | "-h" | "help"] | ["model" | "ci", "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        [] => usage("no command"),
        [other, ..] => usage(&format!("unknown command {other:?}")),
    }
}

/// Builds a program with the release profile and becomes it.
fn program(package: &str, name: &str, arguments: &[&str]) -> ExitCode {
    let build = run(cargo().args(["build", "--release", "--quiet", "--package", package, "--bin", name]));
    if build != 0 {
        return code(build);
    }
    let path = target_directory().join("release").join(name);
    let error = std::os::unix::process::CommandExt::exec(Command::new(&path).args(arguments));
    eprintln!("error: {}: {error}", path.display());
    ExitCode::FAILURE
}

/// Builds `slap` with the release profile and measures it.
fn bench(arguments: &[&str]) -> u8 {
    let build = run(cargo().args(["build", "--release", "--package", "slap-impl", "--bin", "slap"]));
    if build != 0 {
        return build;
    }
    let slap = target_directory().join("release/slap");
    run(cargo().args(["bench", "--package", "benches", "--"]).args(arguments).env("SLAP", slap))
}

/// The test of what all others of the simulator stand on.
const DETERMINISM: &str = "the_same_seed_is_the_same_run_in_two_processes";

/// The clouds of each CI.
const SWARMS: [&str; 7] = ["run", "--seeds", "200", "--jobs", "2", "--failures", "target/sim/failures"];

/// What CI has no time for: disks that fail and forget, everything at once, a month, and a thousand nodes.
const LONG_SWARMS: [&str; 5] = [
    "--seeds 3000 --ledger target/sim/ledger.jsonl",
    "--profile crash --seeds 300 --all-faults",
    "--seeds 300 --all-faults",
    "--profile calm --seeds 2 --days 30",
    "--profile scale",
];

/// What CI does. Each step is printed with its time; the first that fails ends it.
fn ci(nightly: bool) -> ExitCode {
    let start = Instant::now();
    let cargo_steps = |steps: &[(&str, &[&str])]| {
        steps.iter().all(|(name, arguments)| step(name, cargo().args(*arguments)))
    };
    let done = cargo_steps(&[
        ("format", &["fmt", "--all", "--", "--check"]),
        ("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
        // First of all tests: what a seed shows can be seen again.
        ("determinism", &["test", "--workspace", "--locked", "--test", "determinism", DETERMINISM]),
        // All others: that one was just done.
        ("tests", &["test", "--workspace", "--locked", "--", "--skip", DETERMINISM]),
    ]) && step("exploration", tested("simulator").args(["explore", "--failures", "target"]))
        && step("swarms", tested("simulator").args(SWARMS))
        && step(
            "histories",
            tested("simulator").args(["histories", "--operations", "100000", "--kills", "200"]),
        )
        && step("conformance", tested("golden").arg("conformance"))
        && step(
            "documentation",
            cargo()
                .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        );
    if !done {
        return ExitCode::FAILURE;
    }
    if nightly {
        let mut exit = run(tested("simulator").args(["explore", "--larger", "--failures", "target"]));
        if exit == 0 {
            exit = bench(&[]);
        }
        if exit != 0 {
            return code(exit);
        }
        let histories = ["histories", "--operations", "100000", "--kills", "200", "--rounds", "1000"];
        let build = ["run", "--release", "--quiet", "--package", "simulator", "--bin", "simulator", "--"];
        let sweep = ["test", "--package", "simulator", "--locked", "--test", "sweep", "--", "--ignored"];
        if !step("sweep", cargo().args(sweep)) {
            return ExitCode::FAILURE;
        }
        let swarms = LONG_SWARMS
            .map(|words| [&["run", "--jobs", "2"], &words.split(' ').collect::<Vec<_>>()[..]].concat());
        let others = [&histories[..], &["canaries"], &["coverage", "--optional"]];
        for arguments in swarms.iter().map(Vec::as_slice).chain(others) {
            if !step("simulator", cargo().args(build).args(arguments)) {
                return ExitCode::FAILURE;
            }
        }
    }
    eprintln!("ci: all done in {:.1} s", start.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

/// Does a step of CI, and prints what it is and how long it took; false when it failed.
fn step(name: &str, command: &mut Command) -> bool {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    eprintln!("ci: {name}: {} {}", command.get_program().to_string_lossy(), words.join(" "));
    let start = Instant::now();
    // Snapshots of tests are compared, and none is written.
    let exit = run(command.env("INSTA_UPDATE", "no"));
    let verdict = if exit == 0 { "done" } else { "FAILED" };
    eprintln!("ci: {name}: {verdict} in {:.1} s", start.elapsed().as_secs_f64());
    exit == 0
}

/// A program as the tests have built it: what is counted by the million is optimized there, too, and cargo would build it once more by
/// itself, because other packages want other features of the same dependencies.
fn tested(program: &str) -> Command {
    let mut command = Command::new(target_directory().join("debug").join(program));
    command.current_dir(root());
    command
}

fn usage(problem: &str) -> ExitCode {
    eprint!("error: {problem}\n\n{USAGE}");
    ExitCode::from(2)
}

fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command and gives its exit code.
fn run(command: &mut Command) -> u8 {
    match command.status() {
        Ok(status) => status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: {:?}: {error}", command.get_program());
            1
        }
    }
}

fn code(exit: u8) -> ExitCode {
    ExitCode::from(exit)
}

fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}
