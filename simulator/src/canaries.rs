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
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Lists of events that the judge runs at most.
const LISTS: &str = "400";

/// Histories: a large one with kills.
const HISTORIES: [&str; 8] =
    ["histories", "--json", "--operations", "4000", "--kills", "4", "--rounds", "40"];

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
                "{}: expected a line about it, `rule: NAME`, `tier: differential|histories`",
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
        _ => return None,
    };
    let name = path.file_stem()?.to_str()?.to_owned();
    Some(Canary { name, about, rule, tier, path: path.to_owned() })
}

/// How a tier ended.
struct Seen {
    rules: Vec<String>,
    events: Option<u64>,
}

/// Runs the command; exit code 1 when a canary was not caught by its rule.
pub fn command(env: &Env, names: &[String]) -> Exit {
    match run(env, names) {
        Ok(true) => Exit::DONE,
        Ok(false) => Exit::FAILED,
        Err(error) => {
            env.tell(format_args!("error: {error}"));
            Exit::FAILED
        }
    }
}

fn run(env: &Env, names: &[String]) -> Result<bool, String> {
    let canaries = all()?;
    if let Some(unknown) = names.iter().find(|name| canaries.iter().all(|canary| canary.name != **name)) {
        let known: Vec<&str> = canaries.iter().map(|canary| canary.name.as_str()).collect();
        return Err(format!("there is no canary {unknown:?}; there are: {}", known.join(", ")));
    }
    let chosen = canaries.iter().filter(|canary| names.is_empty() || names.contains(&canary.name));
    let copy = Copy::make()?;
    for tier in [Tier::Differential, Tier::Histories] {
        let is_needed = canaries
            .iter()
            .any(|canary| canary.tier == tier && (names.is_empty() || names.contains(&canary.name)));
        if is_needed && !copy.look(tier)?.rules.is_empty() {
            return Err(format!("without any canary the tier {tier:?} fails: repair that first"));
        }
    }
    env.print(format_args!("{:<28} {:<14} {:<28} events", "canary", "tier", "caught by"));
    let mut all_caught = true;
    for canary in chosen {
        copy.restore()?;
        copy.apply(canary)?;
        let seen = copy.look(canary.tier)?;
        let is_caught = seen.rules.contains(&canary.rule);
        all_caught &= is_caught;
        let by = match (is_caught, seen.rules.is_empty()) {
            (true, _) => canary.rule.clone(),
            (false, true) => "NOT CAUGHT".to_owned(),
            (false, false) => format!("NOT by {}, but by {}", canary.rule, seen.rules.join(", ")),
        };
        let events = seen.events.map_or("-".to_owned(), |events| events.to_string());
        env.print(format_args!("{:<28} {:<14} {by:<28} {events}", canary.name, format!("{:?}", canary.tier)));
    }
    copy.restore()?;
    Ok(all_caught)
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
        for name in String::from_utf8_lossy(&list.stdout).split('\0').filter(|name| !name.is_empty()) {
            let Ok(wanted) = fs::read(workspace().join(name)) else { continue };
            let path = self.sources.join(name);
            if fs::read(&path).is_ok_and(|is| is == wanted) {
                continue;
            }
            let folder = path.parent().unwrap_or(&self.sources);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, wanted))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
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

    fn look(&self, tier: Tier) -> Result<Seen, String> {
        succeed(self.cargo(&["build", "--quiet", "--package", "simulator"]))?;
        let program = self.target.join("debug/simulator");
        let output = match tier {
            Tier::Differential => Command::new(program).args(["judge", LISTS]).output(),
            Tier::Histories => Command::new(program).args(HISTORIES).output(),
        };
        let output = output.map_err(|error| error.to_string())?;
        let verdict: Json = serde_json::from_slice(&output.stdout).map_err(|error| {
            format!("the tier {tier:?} gave no verdict: {error}: {}", String::from_utf8_lossy(&output.stderr))
        })?;
        let rules = verdict["rules"].as_array().into_iter().flatten();
        Ok(Seen {
            rules: rules.filter_map(Json::as_str).map(str::to_owned).collect(),
            events: verdict["events"].as_u64(),
        })
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.sources).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

fn succeed(mut command: impl std::borrow::BorrowMut<Command>) -> Result<Output, String> {
    let command = command.borrow_mut();
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
