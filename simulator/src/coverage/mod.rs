//! `simulator coverage`: which lines and functions of master, client, node and store fifty seeds reach.
//!
//! * this file: builds the simulator with counters, runs the seeds, and tells what they reached
//! * `tools.rs`: LLVM's programs, of the compiler's own version
//! * `tracefile.rs`: what they say of each file: lines and functions
//! * `document.rs`: `simulator/COVERAGE.md`, in which each unreached function stands with its reason
//!
//! Counters are written when the process ends, by its main thread: no world is open then, and the seal is on other threads.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a developer's tool that runs cargo"
)]

mod document;
mod tools;
mod tracefile;

use crate::canaries::workspace;
use slap_impl::env::{Env, Exit};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tools::Tools;
use tracefile::Modules;

/// Profile, first seed and how many of them: fifty in all.
const RUNS: [(&str, u64, u64); 3] = [("swarm", 1, 25), ("crash", 1, 21), ("calm", 1, 4)];

/// Of a hundred lines of all four modules so many are reached, at least.
const FLOOR_PERCENT: f64 = 85.0;

/// Runs the command; exit code 1 when `COVERAGE.md` is not what was seen, or too little was reached.
///
/// With `--optional` it does not fail where LLVM's tools are missing, but for CI (`CI=true`): there nobody reads that it did not run.
///
/// # Errors
/// Arguments that it does not have.
pub fn command(env: &Env, arguments: &[String]) -> Result<Exit, String> {
    let is_optional = match arguments {
        [] => false,
        [only] if only == "--optional" => true,
        _ => return Err("coverage: expected nothing or --optional".to_owned()),
    };
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(error) if is_optional && !is_ci(env) => {
            env.tell(format_args!("COVERAGE DID NOT RUN: {error}"));
            return Ok(Exit::DONE);
        }
        Err(error) => {
            env.tell(format_args!("error: {error}"));
            return Ok(Exit::FAILED);
        }
    };
    Ok(match look(env, &tools) {
        Ok(true) => Exit::DONE,
        Ok(false) => Exit::FAILED,
        Err(error) => {
            env.tell(format_args!("error: {error}"));
            Exit::FAILED
        }
    })
}

fn is_ci(env: &Env) -> bool {
    env.context().variable("CI") == Some("true")
}

fn look(env: &Env, tools: &Tools) -> Result<bool, String> {
    let path = workspace().join("simulator/COVERAGE.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let listed = document::read(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let modules = measure(env, tools)?;
    env.print(modules.table(FLOOR_PERCENT));
    let differences = document::compare(&listed, &modules.functions);
    for difference in &differences {
        env.print(difference);
    }
    let reached = modules.functions.values().filter(|is_reached| **is_reached).count();
    env.print(format_args!(
        "{reached} of {} functions are reached; {} unreached stand in simulator/COVERAGE.md; {} differences",
        modules.functions.len(),
        listed.len(),
        differences.len()
    ));
    Ok(differences.is_empty() && modules.percent() >= FLOOR_PERCENT)
}

/// Builds, runs, and reads what was counted.
fn measure(env: &Env, tools: &Tools) -> Result<Modules, String> {
    let folder = workspace().join("target/coverage");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let folder = fs::canonicalize(&folder).map_err(|error| error.to_string())?;
    let counts = folder.join("counts");
    if counts.exists() {
        fs::remove_dir_all(&counts).map_err(|error| format!("{}: {error}", counts.display()))?;
    }
    env.tell("building the simulator with counters");
    let program = build(&folder, &tools.host)?;
    for (profile, seed, seeds) in RUNS {
        env.tell(format_args!("profile {profile}: {seeds} seeds"));
        let (seed, seeds) = (seed.to_string(), seeds.to_string());
        let failures = folder.join("failures");
        let output = Command::new(&program)
            .args(["run", "--profile", profile, "--seed", &seed, "--seeds", &seeds])
            .args(["--jobs", "2", "--no-shrink", "--failures"])
            .arg(&failures)
            .env("LLVM_PROFILE_FILE", counts.join(format!("{profile}.profraw")))
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        match output.status.code() {
            Some(0) => (),
            // What a failed run reached counts as well.
            Some(1) => env.tell(format_args!("a seed failed; what is known of it: {}", failures.display())),
            _ => return Err(format!("profile {profile}: {}", said(&output))),
        }
    }
    let merged = counts.join("all.profdata");
    let files = RUNS.map(|(profile, ..)| counts.join(format!("{profile}.profraw")));
    succeed(Command::new(&tools.profdata).args(["merge", "-o"]).arg(&merged).args(files))?;
    let trace = succeed(
        Command::new(&tools.cov)
            .args(["export", "--format=lcov", "--instr-profile"])
            .arg(&merged)
            .arg(&program)
            .arg(workspace().join("slap-impl/src")),
    )?;
    Modules::read(&String::from_utf8_lossy(&trace.stdout))
}

/// Builds the simulator with counters in all packages, but not in build scripts: these are for the host, and it is named as the target.
fn build(folder: &Path, host: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "simulator",
            "--bin",
            "simulator",
            "--target",
            host,
        ])
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", folder)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Without any optimization the runs take several times as long.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("RUSTFLAGS", "-C instrument-coverage");
    succeed(&mut command)?;
    Ok(folder.join(host).join("debug/simulator"))
}

fn succeed(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() { Ok(output) } else { Err(format!("{command:?}: {}", said(&output))) }
}

fn said(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end())
}
