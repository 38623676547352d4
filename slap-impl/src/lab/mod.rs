//! The lab: a master and nodes as processes in one directory, with a keeper that keeps them.
//!
//! * `up.rs`, `down.rs`, `status.rs`, `logs.rs`, `faults.rs`: the verbs
//! * `layout.rs`: where everything stands; `locate.rs`: which lab is meant; `configuration.rs`: its settings files
//! * `block.rs`: its addresses; `content.rs`, `populate.rs`: the release that it begins with; `keeper.rs`: who keeps its programs
//! * `view.rs`: what a stranger could see of it; `health.rs`: what is missing until it is well, and waiting for that

mod block;
mod configuration;
mod content;
mod down;
mod faults;
mod health;
mod keeper;
mod layout;
mod locate;
mod logs;
mod populate;
mod progress;
mod status;
mod up;
mod view;

use crate::env::{Env, Exit, Lock, Signal};
use clap::{Parser, Subcommand};
use layout::{Description, Layout};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A master and nodes in one directory, without root, containers or anything installed.
#[derive(Debug, Parser)]
#[command(name = "slap lab")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a lab, or what is missing of it, and wait until all promises are green
    ///
    /// It ends with 1 as soon as nothing is missing but what failed with a definite error, such as a recipe that is refused or a
    /// parameter that is wrong, and failed again when its node tried again: the lab runs on, and its nodes go on trying. It waits for
    /// promises that fail, and for whatever else may become well by itself, until --timeout (exit code 3).
    Up(up::UpArguments),
    /// Show nodes, partitions, instances and promises
    Status {
        #[command(flatten)]
        lab: Which,
        /// Form of the result
        #[arg(long, value_enum, default_value = "table")]
        output: status::Form,
    },
    /// Wait until the lab is green, and say what is missing
    ///
    /// What is missing is said in a line at once, and whenever it changes. It waits also for what failed with a definite error, for somebody may repair it, until --timeout (exit code 3). It ends with 4 when
    /// the lab's keeper is dead: then nobody starts again what ends. A lab is green only when `slap lab status` exits with 0.
    Wait {
        #[command(flatten)]
        lab: Which,
        /// What to wait for
        #[arg(long = "for", value_enum, default_value = "green")]
        goal: health::Goal,
        /// Longest wait, such as 30s or 5m
        #[arg(long, default_value = "5m", value_parser = crate::arguments::parse_duration)]
        timeout: Duration,
    },
    /// Print the ends of the lab's logs
    Logs(LogsArguments),
    /// Kill a program of the lab or a service (SIGKILL)
    Kill(Target),
    /// Let a program of the lab or a service stand still (SIGSTOP)
    Pause(Target),
    /// Let what was paused go on (SIGCONT)
    Resume(Target),
    /// End all processes of the lab
    Down {
        #[command(flatten)]
        lab: Which,
        /// Remove the lab's directory too
        #[arg(long)]
        purge: bool,
        /// Print no progress
        #[arg(long, short)]
        quiet: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Directory of the lab; without it SLAP_LAB, else the lab that was made last
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct LogsArguments {
    /// Only logs whose name contains this, such as master, COMP-1 or COMP-1/slappart0
    name: Option<String>,
    #[command(flatten)]
    lab: Which,
    /// Lines of each log
    #[arg(long, short = 'n', default_value_t = 10)]
    lines: usize,
    /// Go on with what is added
    #[arg(long, short)]
    follow: bool,
}

#[derive(Debug, clap::Args)]
struct Target {
    /// master, keeper, agent/COMP-1, supervisor/COMP-1 or COMP-1/slappart0/SERVICE
    target: String,
    #[command(flatten)]
    lab: Which,
}

/// Whose client configuration that file is: a lab's directory.
pub(crate) fn directory_of_configuration(env: &Env, path: &Path) -> Option<PathBuf> {
    let layout = Layout::new(path.parent()?.to_owned());
    let is_lab = layout.client_configuration() == path && env.files().is_file(&layout.description());
    is_lab.then_some(layout.root)
}

/// Runs `slap lab`.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let verb = match crate::arguments::parse::<Arguments>(&env, "slap lab", arguments) {
        Ok(arguments) => arguments.verb,
        Err(exit) => return exit,
    };
    match verb {
        Verb::Up(arguments) => up::run(&env, arguments).await,
        Verb::Status { lab, output } => match open(&env, &lab) {
            Ok((layout, description)) => status::run(&env, &layout, &description, output).await,
            Err(exit) => exit,
        },
        Verb::Wait { lab, goal, timeout } => wait(&env, &lab, goal, timeout).await,
        Verb::Logs(arguments) => show_logs(&env, &arguments).await,
        Verb::Kill(target) => fault(&env, &target, Signal::Kill).await,
        Verb::Pause(target) => fault(&env, &target, Signal::Stop).await,
        Verb::Resume(target) => fault(&env, &target, Signal::Continue).await,
        Verb::Down { lab, purge, quiet } => match locate::chosen(&env, lab.dir.as_deref()) {
            Ok(root) => down::take_down(&env, &Layout::new(root), purge, quiet).await,
            Err(message) => fail(&env, Exit::USAGE, &message),
        },
    }
}

/// Runs `slap logs`: the same as `slap lab logs`.
pub async fn run_logs(env: Env, arguments: Vec<String>) -> Exit {
    #[derive(Debug, Parser)]
    #[command(name = "slap logs", about = "Print the ends of a lab's logs")]
    struct Arguments {
        #[command(flatten)]
        logs: LogsArguments,
    }
    match crate::arguments::parse::<Arguments>(&env, "slap logs", arguments) {
        Ok(arguments) => show_logs(&env, &arguments.logs).await,
        Err(exit) => exit,
    }
}

/// Waits for the whole lab: `slap wait lab`.
pub async fn wait_for_lab(env: &Env, goal: &str, timeout: Duration) -> Exit {
    let Ok(goal) = <health::Goal as clap::ValueEnum>::from_str(goal, false) else {
        let message = format!("--for {goal}: a lab is waited for until it is green or formatted");
        return fail(env, Exit::USAGE, &message);
    };
    wait(env, &Which { dir: None }, goal, timeout).await
}

async fn wait(env: &Env, lab: &Which, goal: health::Goal, timeout: Duration) -> Exit {
    let (layout, description) = match open(env, lab) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let mut progress = progress::Progress::new(env, false);
    let aim = health::Aim { goal, deadline: env.clock().elapsed() + timeout, is_up: false };
    let exit = health::wait(env, &layout, &description, aim, &mut progress).await.exit();
    if exit == Exit::DONE {
        progress.done(format_args!("{} is {}", layout.root.display(), goal.as_str()));
    }
    exit
}

async fn show_logs(env: &Env, arguments: &LogsArguments) -> Exit {
    match open(env, &arguments.lab) {
        Ok((layout, description)) => {
            let name = arguments.name.as_deref();
            logs::run(env, &layout, &description, name, arguments.lines, arguments.follow).await
        }
        Err(exit) => exit,
    }
}

async fn fault(env: &Env, target: &Target, signal: Signal) -> Exit {
    match open(env, &target.lab) {
        Ok((layout, description)) => faults::run(env, &layout, &description, &target.target, signal).await,
        Err(exit) => exit,
    }
}

/// The lab that is meant, which must exist.
fn open(env: &Env, lab: &Which) -> Result<(Layout, Description), Exit> {
    let layout = match locate::chosen(env, lab.dir.as_deref()) {
        Ok(root) => Layout::new(root),
        Err(message) => return Err(fail(env, Exit::USAGE, &message)),
    };
    if let Err(message) = locate::check_owner(env, &layout.root) {
        return Err(fail(env, Exit::USAGE, &message));
    }
    match layout.read(env) {
        Ok(Some(description)) => Ok((layout, description)),
        Ok(None) => {
            let directory = layout.root.display();
            let message = match down::marked(env, &layout).0.len() {
                0 => format!("{directory} is no lab\nhint: `slap lab up` makes one"),
                number => format!(
                    "{directory} is no lab any more, and {number} processes of it still run\n\
                     hint: if its directory was moved, move it back; `slap lab down --dir {directory}` ends them"
                ),
            };
            Err(fail(env, Exit::USAGE, &message))
        }
        Err(unusable) => Err(fail(env, unusable.exit, &unusable.message)),
    }
}

/// Says what went wrong; the message's further lines are hints and logs.
fn fail(env: &Env, exit: Exit, message: &str) -> Exit {
    env.tell(format_args!("error: {message}"));
    exit
}

/// The lock that `up` and `down` hold; `None` if another one holds it.
fn take_lock(env: &Env, layout: &Layout) -> Result<Option<Box<dyn Lock>>, String> {
    env.files().lock(&layout.lock()).map_err(|error| layout::cannot_use(env, &layout.lock(), &error))
}

fn busy(layout: &Layout) -> String {
    format!(
        "another `slap lab up` or `down` is at work on {}\nhint: wait until it is done",
        layout.root.display()
    )
}
