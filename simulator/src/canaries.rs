//! Does the harness see? Each canary is a small patch to the implementation, with the rule that must catch it.
//!
//! `simulator canaries [NAME...]` applies each to a copy of the sources, builds it, and runs the tier that must see it. Caught
//! means: that tier fails, by that rule. Without a patch it must not fail.
#![expect(
    clippy::disallowed_types,
    reason = "a developer's tool that runs cargo and git on a copy of the sources"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a developer's tool that runs cargo and git on a copy of the sources"
)]

use serde_json::Value as Json;
use slap_impl::env::{Env, Exit};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Lists of events that the judge runs at most.
const LISTS: &str = "400";

/// Histories: a large one with kills.
const HISTORIES: [&str; 8] =
    ["histories", "--json", "--operations", "4000", "--kills", "4", "--rounds", "40"];

/// So many clouds at most, until one fails by the rule that is looked for.
const SWARM: [&str; 8] = ["run", "--seeds", "200", "--jobs", "2", "--no-shrink", "--output", "json"];

/// A tier ends within this, several times what it needs; one that does not has seen nothing.
const LIMIT: Duration = Duration::from_mins(30);

/// A planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Its name: the file's, without `.patch`.
    pub name: String,
    /// What is wrong, in one line.
    pub about: String,
    /// The rule that must catch it.
    pub rule: String,
    /// The tier that must see it.
    pub tier: Tier,
    /// The file.
    pub path: PathBuf,
}

/// Where a canary must be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The real master in this process, under the model's rules ([`crate::differential::judge`]).
    Differential,
    /// Many clients at the real process ([`crate::histories`]).
    Histories,
    /// Whole clouds under faults ([`crate::swarm`]).
    Swarm,
    /// The same, with disks that fail and forget.
    Crash,
}

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All canaries, by name.
///
/// # Errors
/// A file that cannot be read, or whose head is wrong.
pub fn all() -> Result<Vec<Canary>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("canaries");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut canaries = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        canaries.push(parse(&path, &text).ok_or_else(|| {
            format!(
                "{}: expected a line about it, `rule: NAME`, `tier: differential|histories|swarm|crash`",
                path.display()
            )
        })?);
    }
    canaries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(canaries)
}

fn parse(path: &Path, text: &str) -> Option<Canary> {
    let mut lines = text.lines();
    let about = lines.next()?.to_owned();
    let rule = lines.next()?.strip_prefix("rule: ")?.to_owned();
    let tier = match lines.next()?.strip_prefix("tier: ")? {
        "differential" => Tier::Differential,
        "histories" => Tier::Histories,
        "swarm" => Tier::Swarm,
        "crash" => Tier::Crash,
        _ => return None,
    };
    let name = path.file_stem()?.to_str()?.to_owned();
    Some(Canary { name, about, rule, tier, path: path.to_owned() })
}

/// How a tier ended.
struct Seen {
    rules: BTreeSet<String>,
    events: Option<u64>,
}

/// Runs the command; exit code 1 when a canary was not caught by its rule.
///
/// # Errors
/// When a name is no canary's: a mistake of who called.
pub fn command(env: &Env, names: &[String]) -> Result<Exit, String> {
    let failed = |error: String| {
        env.tell(format_args!("error: {error}"));
        Exit::FAILED
    };
    let canaries = match all() {
        Ok(canaries) => canaries,
        Err(error) => return Ok(failed(error)),
    };
    if let Some(unknown) = names.iter().find(|name| canaries.iter().all(|canary| canary.name != **name)) {
        let known: Vec<&str> = canaries.iter().map(|canary| canary.name.as_str()).collect();
        return Err(format!("there is no canary {unknown:?}: expected one of {}", known.join(", ")));
    }
    Ok(match run(env, &canaries, names) {
        Ok(true) => Exit::DONE,
        Ok(false) => Exit::FAILED,
        Err(error) => failed(error),
    })
}

fn run(env: &Env, canaries: &[Canary], names: &[String]) -> Result<bool, String> {
    let chosen = canaries.iter().filter(|canary| names.is_empty() || names.contains(&canary.name));
    let copy = Copy::make()?;
    for tier in [Tier::Differential, Tier::Histories, Tier::Swarm, Tier::Crash] {
        let is_needed = canaries
            .iter()
            .any(|canary| canary.tier == tier && (names.is_empty() || names.contains(&canary.name)));
        if !is_needed {
            continue;
        }
        match copy.look(tier, None)? {
            Some(seen) if seen.rules.is_empty() => {}
            Some(_) => return Err(format!("without any canary the tier {tier:?} fails: repair that first")),
            None => {
                return Err(format!("without any canary the tier {tier:?} does not end within {LIMIT:?}"));
            }
        }
    }
    env.print(format_args!("{:<28} {:<14} {:<28} events", "canary", "tier", "caught by"));
    let mut all_caught = true;
    for canary in chosen {
        copy.restore()?;
        copy.apply(canary)?;
        let seen = copy.look(canary.tier, Some(&canary.rule))?;
        let (is_caught, by) = verdict(canary, seen.as_ref());
        all_caught &= is_caught;
        let events = seen.and_then(|seen| seen.events).map_or("-".to_owned(), |events| events.to_string());
        env.print(format_args!("{:<28} {:<14} {by:<28} {events}", canary.name, format!("{:?}", canary.tier)));
    }
    copy.restore()?;
    Ok(all_caught)
}

/// Whether a canary was caught, and what is said of it.
fn verdict(canary: &Canary, seen: Option<&Seen>) -> (bool, String) {
    match seen {
        None => (false, format!("NOT CAUGHT: no end within {} s", LIMIT.as_secs())),
        Some(seen) if seen.rules.contains(&canary.rule) => (true, canary.rule.clone()),
        Some(seen) if seen.rules.is_empty() => (false, "NOT CAUGHT".to_owned()),
        Some(seen) => {
            let others: Vec<&str> = seen.rules.iter().map(String::as_str).collect();
            (false, format!("NOT by {}, but by {}", canary.rule, others.join(", ")))
        }
    }
}

/// The copy of the sources that is changed and built.
struct Copy {
    sources: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make() -> Result<Copy, String> {
        let folder = workspace().join("target/canaries");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let folder = fs::canonicalize(&folder).map_err(|error| error.to_string())?;
        let copy = Copy { sources: folder.join("sources"), target: folder.join("target") };
        copy.restore()?;
        Ok(copy)
    }

    /// Makes the copy equal to the workspace; what is equal already is not touched, so that little is built again.
    fn restore(&self) -> Result<(), String> {
        let list = succeed(
            Command::new("git")
                .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
                .current_dir(workspace()),
        )?;
        let mut listed = BTreeSet::new();
        for name in String::from_utf8_lossy(&list.stdout).split('\0').filter(|name| !name.is_empty()) {
            let Ok(wanted) = fs::read(workspace().join(name)) else { continue };
            let path = self.sources.join(name);
            listed.insert(path.clone());
            if fs::read(&path).is_ok_and(|is| is == wanted) {
                continue;
            }
            let folder = path.parent().unwrap_or(&self.sources);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, wanted))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        keep_only(&self.sources, &listed).map_err(|error| format!("{}: {error}", self.sources.display()))
    }

    fn apply(&self, canary: &Canary) -> Result<(), String> {
        // It lies inside a work tree, which git must not find.
        let above = self.sources.parent().unwrap_or(&self.sources);
        succeed(
            Command::new("git")
                .arg("apply")
                .arg(&canary.path)
                .current_dir(&self.sources)
                .env("GIT_CEILING_DIRECTORIES", above),
        )
        .map(drop)
    }

    /// Builds the copy and runs a tier; none when that did not end in time. Clouds are run until one breaks `rule`, or any rule.
    fn look(&self, tier: Tier, rule: Option<&str>) -> Result<Option<Seen>, String> {
        succeed(self.cargo(&["build", "--quiet", "--package", "simulator"]))?;
        let program = self.target.join("debug/simulator");
        let mut command = Command::new(program);
        match tier {
            Tier::Differential => command.args(["judge", LISTS]),
            Tier::Histories => command.args(HISTORIES),
            Tier::Swarm => command.args(SWARM).args(["--profile", "swarm"]),
            Tier::Crash => command.args(SWARM).args(["--profile", "crash"]),
        };
        if matches!(tier, Tier::Swarm | Tier::Crash) {
            match rule {
                Some(rule) => command.args(["--stop-at", rule]),
                None => command.arg("--stop"),
            };
        }
        command.current_dir(&self.target);
        let Some(output) = output_within(&mut command, LIMIT)? else { return Ok(None) };
        let verdicts = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Json>();
        let verdicts = verdicts.collect::<Result<Vec<Json>, _>>().map_err(|error| error.to_string());
        let verdicts = verdicts
            .and_then(|found| if found.is_empty() { Err("it said nothing".to_owned()) } else { Ok(found) });
        let verdicts = verdicts.map_err(|error| {
            format!("the tier {tier:?} gave no verdict: {error}: {}", String::from_utf8_lossy(&output.stderr))
        })?;
        let mut seen = Seen { rules: BTreeSet::new(), events: None };
        for verdict in verdicts {
            // One of all lists, or one of each seed.
            let rules = verdict["rules"].as_array().into_iter().flatten().chain(verdict.get("rule"));
            seen.rules.extend(rules.filter_map(Json::as_str).map(str::to_owned));
            seen.events =
                seen.events.into_iter().chain(verdict["events"].as_u64()).reduce(|left, right| left + right);
        }
        Ok(Some(seen))
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.sources).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// Removes what the workspace has no longer: a module that moved would be there twice.
fn keep_only(folder: &Path, listed: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            keep_only(&path, listed)?;
        } else if !listed.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// What a program wrote when it ended; none when it did not end in time, and was killed. The masters that it started die with it.
fn output_within(command: &mut Command, limit: Duration) -> Result<Option<Output>, String> {
    let failed = |error: std::io::Error| error.to_string();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let (done, ended) = mpsc::channel();
    let mut streams: Vec<Box<dyn Read + Send>> = Vec::new();
    streams.extend(child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    streams.extend(child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    for (at, mut stream) in streams.into_iter().enumerate() {
        let done = done.clone();
        thread::spawn(move || {
            let mut written = Vec::new();
            let read = stream.read_to_end(&mut written).map(|_| (at, written));
            // Nobody waits for it any more when the time was over.
            let _ = done.send(read);
        });
    }
    let mut written = [Vec::new(), Vec::new()];
    let begin = Instant::now();
    for _ in 0..written.len() {
        match ended.recv_timeout(limit.saturating_sub(begin.elapsed())) {
            Ok(read) => {
                let (at, bytes) = read.map_err(failed)?;
                written[at] = bytes;
            }
            Err(_) => {
                child.kill().map_err(failed)?;
                child.wait().map_err(failed)?;
                return Ok(None);
            }
        }
    }
    let status = child.wait().map_err(failed)?;
    let [stdout, stderr] = written;
    Ok(Some(Output { status, stdout, stderr }))
}

fn succeed(mut command: impl std::borrow::BorrowMut<Command>) -> Result<Output, String> {
    let command = command.borrow_mut();
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_killed_and_said() {
        let mut endless = Command::new("tail");
        assert!(output_within(endless.args(["-f", "/dev/null"]), Duration::ZERO).unwrap().is_none());
        let mut short = Command::new("echo");
        let output = output_within(short.arg("null"), LIMIT).unwrap().unwrap();
        assert!(output.status.success() && output.stdout == b"null\n" && output.stderr.is_empty());
        assert!(output_within(&mut Command::new("/nonexistent"), LIMIT).is_err());
    }

    #[test]
    fn what_the_workspace_has_no_longer_goes_from_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("a")).unwrap();
        for name in ["a.rs", "a/mod.rs", "a/b.rs"] {
            fs::write(path(name), "").unwrap();
        }
        keep_only(folder.path(), &[path("a/mod.rs"), path("a/b.rs")].into()).unwrap();
        assert!(!path("a.rs").exists() && path("a/mod.rs").exists() && path("a/b.rs").exists());
    }

    #[test]
    fn what_is_not_caught_by_its_rule_is_not_caught() {
        let canary = Canary {
            name: "one".to_owned(),
            about: String::new(),
            rule: "no-cycle".to_owned(),
            tier: Tier::Differential,
            path: PathBuf::new(),
        };
        let seen =
            |rules: &[&str]| Seen { rules: rules.iter().map(|it| (*it).to_owned()).collect(), events: None };
        for (seen, expected) in [
            (None, (false, "NOT CAUGHT: no end within 1800 s")),
            (Some(seen(&[])), (false, "NOT CAUGHT")),
            (Some(seen(&["one-tenant"])), (false, "NOT by no-cycle, but by one-tenant")),
            (Some(seen(&["one-tenant", "no-cycle"])), (true, "no-cycle")),
        ] {
            let (is_caught, told) = verdict(&canary, seen.as_ref());
            assert_eq!((is_caught, told.as_str()), expected);
        }
    }
}
