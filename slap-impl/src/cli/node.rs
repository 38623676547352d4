//! `slap node format | software | instance | promise | report | run | status`: with the options that slapos has, as far as
//! they mean something here (slapos.core: slapos/cli/slapgrid.py and slapos/cli/format.py).

use crate::arguments::parse;
use crate::{
    env::{Env, Exit},
    node::{
        NodeError, NodeSettings, PassResult, Site, agent, format, instance, report, settings::Overrides,
        software, supervisor::ServiceStatus,
    },
    vocabulary::ComputerId,
};
use clap::{ArgAction, Args, Parser, Subcommand};
use std::time::Duration;

/// slapgrid's exit code when another one runs already.
const BUSY: Exit = Exit(10);
/// slapos's exit code for a command that must be run as root.
const NOT_ROOT: Exit = Exit(5);

#[derive(Parser)]
#[command(name = "slap node", about = "What a computer does for its master")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make the partitions and tell the master, after a random pause of up to an hour: `--now` begins at once
    #[command(mut_arg("now", |argument| argument.help("Begin at once, without the random pause of up to an hour")))]
    Format(Format),
    /// Build and remove software releases, one pass
    Software(Software),
    /// Process instances, one pass
    Instance(Instance),
    /// Check the promises of all started instances, one pass
    Promise(Promise),
    /// Destroy the instances that shall be destroyed, one pass
    Report(Report),
    /// Run the agent, which does all of these when something changed
    Run(Run),
    /// List what the supervisor runs
    Status(Run),
}

/// What all of them take.
#[derive(Args, Default)]
struct Common {
    /// Configuration file (default: SLAPOS_CONFIGURATION, or /etc/opt/slapos/slapos.cfg)
    #[arg(long)]
    cfg: Option<String>,
    /// The instance root directory
    #[arg(long)]
    instance_root: Option<String>,
    /// The software root directory
    #[arg(long)]
    software_root: Option<String>,
    /// The master's URL
    #[arg(long)]
    master_url: Option<String>,
    /// This computer's id
    #[arg(long)]
    computer_id: Option<ComputerId>,
    /// Begin at once, without the pause of --maximal_delay
    #[arg(long)]
    now: bool,
    /// Sleep up to so many seconds first
    #[arg(long, alias = "maximal_delay", value_name = "SECONDS")]
    maximal_delay: Option<u64>,
    /// Seconds that a promise may take
    #[arg(long, alias = "promise_timeout", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    promise_timeout: Option<u64>,
    /// Seconds that the profile of an instance may take
    #[arg(long, alias = "partition_timeout", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    partition_timeout: Option<u64>,
    /// Seconds after which an unchanged instance is processed again; negative for never
    #[arg(long, alias = "maximum_periodicity", value_name = "SECONDS", allow_negative_numbers = true)]
    maximum_periodicity: Option<i64>,
}

#[derive(Args)]
struct Format {
    #[command(flatten)]
    common: Common,
    /// Where the formatted computer is kept
    #[arg(short = 'x', long = "computer_xml", alias = "computer-xml")]
    computer_xml: Option<String>,
    /// Where it is kept as JSON, too
    #[arg(long = "computer_json", alias = "computer-json")]
    computer_json: Option<String>,
    /// Definition of the computer to be read
    #[arg(short = 'i', long = "input_definition_file", alias = "input-definition-file")]
    input_definition_file: Option<String>,
    /// Definition of the computer to be written
    #[arg(short = 'o', long = "output_definition_file", alias = "output-definition-file")]
    output_definition_file: Option<String>,
    /// Whether users are made: True or False
    #[arg(long = "alter_user", alias = "alter-user", value_parser = python_boolean, action = ArgAction::Set)]
    alter_user: Option<bool>,
    /// Whether addresses and interfaces are made: True or False
    #[arg(long = "alter_network", alias = "alter-network", value_parser = python_boolean, action = ArgAction::Set)]
    alter_network: Option<bool>,
    /// Only say what would be done
    #[arg(short = 'n', long = "dry_run", alias = "dry-run")]
    dry_run: bool,
}

#[derive(Args)]
struct Software {
    #[command(flatten)]
    common: Common,
    /// Build also what is built
    #[arg(long, alias = "all")]
    force: bool,
    /// Only this release (its URL, or the MD5 sum of it), even if it is built
    #[arg(long = "only-sr", aliases = ["only_sr", "only"], value_delimiter = ',', conflicts_with = "force")]
    only_sr: Vec<String>,
    /// Remove directories of releases that are not supplied
    #[arg(long = "garbage-collect", alias = "garbage_collect")]
    garbage_collect: bool,
}

#[derive(Args)]
struct Instance {
    #[command(flatten)]
    common: Common,
    /// Process also what is up to date
    #[arg(long, alias = "all")]
    force: bool,
    /// Stop the services, also of instances that shall be started
    #[arg(long = "force-stop", alias = "force_stop")]
    force_stop: bool,
    /// Only these partitions (separated by commas)
    #[arg(long = "only-cp", aliases = ["only_cp", "only"], value_delimiter = ',')]
    only_cp: Vec<String>,
}

#[derive(Args)]
struct Promise {
    #[command(flatten)]
    common: Common,
    /// Only these partitions (separated by commas)
    #[arg(long = "only-cp", aliases = ["only_cp", "only"], value_delimiter = ',')]
    only_cp: Vec<String>,
}

#[derive(Args)]
struct Report {
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    common: Common,
}

fn python_boolean(text: &str) -> Result<bool, String> {
    match text {
        "True" | "true" => Ok(true),
        "False" | "false" => Ok(false),
        _ => Err("expected True or False".to_owned()),
    }
}

/// Runs `slap node ARGUMENTS`. Exit codes are slapgrid's: 0 done, 1 something failed, 2 a promise failed, 3 done
/// without the master, 10 another one runs; slapformat's: 0 done, 1 failed, 2 done without the master.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let verb = match parse::<Arguments>(&env, "slap node", arguments) {
        Ok(arguments) => arguments.verb,
        Err(exit) => return exit,
    };
    let (Verb::Format(Format { common, .. })
    | Verb::Software(Software { common, .. })
    | Verb::Instance(Instance { common, .. })
    | Verb::Promise(Promise { common, .. })
    | Verb::Report(Report { common, .. })
    | Verb::Run(Run { common })
    | Verb::Status(Run { common })) = &verb;
    let develop = matches!(&verb, Verb::Software(Software { force: true, .. }));
    let mut settings = match NodeSettings::find(&env, common.cfg.as_deref(), common.overrides(&env, develop))
    {
        Ok(settings) => settings,
        Err(error) => {
            env.tell(format_args!("error: {error}"));
            return Exit::FAILED;
        }
    };
    if settings.root_check && env.context().user != 0 {
        env.tell("error: This slapos command must be run as root. (hint: a node without root needs root_check = False in [slapos])");
        return NOT_ROOT;
    }
    if let Verb::Format(format) = &verb {
        format.apply(&env, &mut settings);
    }
    let site = match Site::new(env.clone(), settings) {
        Ok(site) => site,
        Err(error) => {
            env.tell(format_args!("error: master_url: {error}"));
            return Exit::FAILED;
        }
    };
    if let Some(delay) = common.maximal_delay.filter(|delay| *delay > 0 && !common.now) {
        env.sleep(Duration::from_secs(1 + env.random_below(delay))).await;
    }
    run_verb(&site, verb).await
}

async fn run_verb(site: &Site, verb: Verb) -> Exit {
    let result = match verb {
        Verb::Format(Format { common, dry_run, .. }) => {
            return format::command(site, &format::Options { now: common.now, dry_run }).await;
        }
        Verb::Run(_) => return agent::run(site.clone()).await,
        Verb::Status(_) => return status(site).await,
        Verb::Software(Software { force, only_sr, garbage_collect, .. }) => {
            let options = software::Options { force, only: only_sr, collect_garbage: garbage_collect };
            software::pass(site, &options).await
        }
        Verb::Instance(Instance { force, force_stop, only_cp, .. }) => {
            instance::pass(site, &instance::Options { force, force_stop, only: only_cp }).await
        }
        Verb::Promise(Promise { only_cp, .. }) => instance::promise_pass(site, &only_cp).await,
        Verb::Report(_) => report::pass(site).await,
    };
    finish(&site.env, result)
}

fn finish(env: &Env, result: Result<PassResult, NodeError>) -> Exit {
    match result {
        Ok(result) => result.exit(),
        Err(error) => {
            env.tell(format_args!("error: {error}"));
            if matches!(error, NodeError::Busy(_)) { BUSY } else { Exit::FAILED }
        }
    }
}

async fn status(site: &Site) -> Exit {
    match site.supervisor.status().await {
        Ok(statuses) => {
            for status in &statuses {
                site.env.print(status_line(status));
            }
            Exit::DONE
        }
        Err(error) => {
            site.env.tell(format_args!("error: {error}"));
            Exit::FAILED
        }
    }
}

/// A line as supervisorctl's status has it.
fn status_line(status: &ServiceStatus) -> String {
    let name = format!("{}:{}", status.group, status.name);
    let detail = match (&status.error, &status.ended, &status.identity) {
        (Some(error), _, _) => error.clone(),
        (None, Some(ended), _) => ended.describe(),
        (None, None, Some(identity)) => format!("pid {}", identity.pid),
        (None, None, None) => String::new(),
    };
    format!("{name:<40} {:<10} {detail}", status.state.as_str().to_uppercase()).trim_end().to_owned()
}

impl Common {
    fn overrides(&self, env: &Env, develop: bool) -> Overrides {
        let path = |text: &Option<String>| text.as_ref().map(|text| env.context().absolute(text));
        Overrides {
            instance_root: path(&self.instance_root),
            software_root: path(&self.software_root),
            master_url: self.master_url.clone(),
            computer_id: self.computer_id.clone(),
            maximum_periodicity_seconds: self.maximum_periodicity,
            promise_timeout: self.promise_timeout.map(Duration::from_secs),
            partition_timeout: self.partition_timeout.map(Duration::from_secs),
            develop,
        }
    }
}

impl Format {
    /// Lays the command line over the settings.
    fn apply(&self, env: &Env, settings: &mut NodeSettings) {
        let format = &mut settings.format;
        for (given, setting) in [
            (&self.computer_xml, &mut format.computer_xml),
            (&self.computer_json, &mut format.computer_json),
            (&self.input_definition_file, &mut format.input_definition_file),
            (&self.output_definition_file, &mut format.output_definition_file),
        ] {
            if let Some(path) = given {
                *setting = Some(env.context().absolute(path));
            }
        }
        format.alter_user = self.alter_user.unwrap_or(format.alter_user);
        format.alter_network = self.alter_network.unwrap_or(format.alter_network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_says_that_it_pauses() {
        let help =
            |verb: &str| Arguments::try_parse_from(["slap node", verb, "--help"]).err().unwrap().to_string();
        assert!(help("format").contains("without the random pause of up to an hour"), "{}", help("format"));
        assert!(help("software").contains("--maximal_delay"), "{}", help("software"));
    }

    #[test]
    fn slapos_command_lines_are_understood() {
        for line in [
            "format --now --cfg /a -x /x -i /d -o /o --alter_user False --alter_network=False",
            "format -n",
            "software --all",
            "software --only-sr http://a/,b --now",
            "software --only_sr b --garbage-collect",
            "instance --force --promise-timeout 20 --maximal_delay=20",
            "instance --only_cp slappart0,slappart1",
            "instance --force-stop --maximum-periodicity -1",
            "promise --only slappart0",
            "report --maximal_delay=3600",
            "run --cfg /a",
            "status",
        ] {
            let words = std::iter::once("slap node").chain(line.split(' '));
            let parsed = Arguments::try_parse_from(words).map(drop);
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        for line in [
            "",
            "nothing",
            "format --alter_user maybe",
            "software --all --only-sr a",
            "instance --promise-timeout 0",
        ] {
            let words = std::iter::once("slap node").chain(line.split_whitespace());
            assert!(Arguments::try_parse_from(words).is_err(), "{line}");
        }
    }
}
