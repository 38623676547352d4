//! `slap request NAME URL ...` (slapos/cli/request.py): wants an instance, and says what became of the wish.
//!
//! What was asked for and what came is told on standard error, as slapos does. If the instance does not run yet, what is
//! pending is told, too: the release that nobody supplied, is being built or failed, or the instance's own report.

pub(super) use super::connection::ClientArguments;
use super::{
    connection::{fail, pairs, release},
    parameters_file, python_json,
    schema::{Serialisation, serialisation},
};
use crate::{
    client::{ClientError, InstanceRequest, Poll, SlapClient},
    env::{Env, Exit},
    vocabulary::{ComputerId, InstanceTitle, RequestedState, SoftwareUrl, SupplyState},
    wire::{
        objects::SoftwareInstance,
        status::{AccessStatus, StatusKind},
    },
};
use clap::Parser;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// Request an instance, or change what was requested
#[derive(Debug, Parser)]
#[command(name = "slap request")]
struct Arguments {
    /// The instance's title
    reference: InstanceTitle,
    /// URL or path of the software release's profile, or product.NAME
    software_url: SoftwareUrl,
    /// Where it shall be, such as computer_guid=COMP-1
    #[arg(long, num_args = 1.., value_name = "KEY=VALUE")]
    node: Vec<String>,
    /// Software type
    #[arg(long = "type", value_name = "TYPE")]
    software_type: Option<String>,
    /// started, stopped or destroyed
    #[arg(long)]
    state: Option<RequestedState>,
    /// Request a shared ("slave") instance
    #[arg(long)]
    slave: bool,
    /// Write the parameters of --parameters-file so, whatever the software release says
    #[arg(long, value_enum)]
    force_serialisation: Option<Serialisation>,
    /// Parameters of the instance
    #[arg(long, num_args = 1.., value_name = "KEY=VALUE", conflicts_with = "parameters_file")]
    parameters: Vec<String>,
    /// Parameters of the instance in a file: JSON, or XML if its name ends with .xml
    #[arg(long, value_name = "FILE")]
    parameters_file: Option<String>,
    #[command(flatten)]
    client: ClientArguments,
}

/// Runs `slap request`.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let arguments = match crate::arguments::parse::<Arguments>(&env, "slap request", arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    match request(&env, &arguments).await {
        Ok(()) => Exit::DONE,
        Err(exit) => exit,
    }
}

/// Refuses what XML cannot hold (XML 1.0, production 2, Char): it would arrive as something else.
fn check_parameters(parameters: &BTreeMap<String, String>) -> Result<(), String> {
    let is_char = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    for (name, value) in parameters {
        if let Some(bad) = name.chars().chain(value.chars()).find(|c| !is_char(*c)) {
            return Err(format!(
                "parameter {name:?} has the character {bad:?}, which XML cannot hold\nhint: pass it encoded, for example as base64"
            ));
        }
    }
    Ok(())
}

async fn request(env: &Env, arguments: &Arguments) -> Result<(), Exit> {
    let file = read_parameters_file(env, arguments)?;
    let filter = pairs("--node", &arguments.node).map_err(|error| fail(env, &error))?;
    let given = pairs("--parameters", &arguments.parameters).map_err(|error| fail(env, &error))?;
    let client = arguments.client.connect(env)?;
    let url = release(env, &client, &arguments.software_url).await?;
    let written = serialisation(env, &url, arguments.software_type.as_deref()).await;
    let parameters = match (file, &arguments.parameters_file) {
        (Some(text), Some(path)) => {
            let wanted = arguments.force_serialisation.map_or(written.clone(), Ok);
            from_file(env, path, &text, wanted).map_err(|error| fail(env, &error))?
        }
        _ => given,
    };
    check_parameters(&parameters).map_err(|error| fail(env, &error))?;
    let title = &arguments.reference;
    env.tell(format_args!("Requesting {title} as an instance of {url}..."));
    let wish = InstanceRequest {
        software_release: url,
        software_type: arguments.software_type.clone().unwrap_or_else(|| "default".to_owned()),
        title: title.clone(),
        parameters,
        filter,
        state: arguments.state,
        shared: arguments.slave,
    };
    match client.request(&wish).await {
        Ok(instance) => {
            tell_instance(env, &wish, &instance, written.unwrap_or(Serialisation::JsonInXml));
            for line in pending(&client, &wish, &instance).await {
                env.tell(line);
            }
            Ok(())
        }
        Err(error) => Err(tell_refusal(env, &wish, &error)),
    }
}

fn read_parameters_file(env: &Env, arguments: &Arguments) -> Result<Option<String>, Exit> {
    let Some(name) = &arguments.parameters_file else { return Ok(None) };
    let path = env.context().absolute(name);
    match env.files().read_text(&path, parameters_file::PARAMETERS_BYTES_MAX) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            env.tell(format_args!("error: --parameters-file {name}: {error}"));
            Err(Exit::USAGE)
        }
    }
}

fn from_file(
    env: &Env,
    name: &str,
    text: &str,
    serialisation: Result<Serialisation, String>,
) -> Result<BTreeMap<String, String>, String> {
    let path = env.context().absolute(name);
    if parameters_file::is_xml(&path) {
        return parameters_file::from_xml(text).map_err(|error| format!("{name}: {error}"));
    }
    let serialisation = serialisation.map_err(|error| {
        format!("how {name} shall be written is not known: {error} (hint: say it by --force-serialisation)")
    })?;
    parameters_file::from_json(&path, text, serialisation).map_err(|error| format!("{name}: {error}"))
}

fn tell_instance(
    env: &Env,
    wish: &InstanceRequest,
    instance: &SoftwareInstance,
    serialisation: Serialisation,
) {
    let state = instance.requested_state.or(wish.state).unwrap_or(RequestedState::Started);
    env.tell(format_args!("Instance requested.\nState is : {state}."));
    env.tell("Connection parameters of instance are:");
    let mut connection = json!(instance.connection);
    if serialisation == Serialisation::JsonInXml {
        let packed = instance.connection.get("_").and_then(|text| text.as_deref());
        if let Some(Ok(unpacked)) = packed.map(serde_json::from_str::<Json>) {
            connection = unpacked;
        }
    }
    env.tell(python_json::dumps(&connection));
    env.tell("You can rerun the command to get up-to-date information.");
}

/// What a refusal means, and what to do about it.
fn tell_refusal(env: &Env, wish: &InstanceRequest, error: &ClientError) -> Exit {
    let title = &wish.title;
    match error {
        ClientError::NotReady(_) => {
            env.tell("Instance requested. Master is provisioning it.");
            env.tell(format_args!(
                "Please rerun in a couple of minutes to get connection information, or wait for a partition: \
                 `slap wait {} --for allocated`",
                quoted(title.as_str())
            ));
            Exit::USAGE
        }
        ClientError::NotFound(message) => {
            let what = if wish.shared { "host" } else { "partition" };
            env.tell(format_args!("error: no {what} was given to {title}: {message}"));
            // Our master knows better what to do.
            if !message.contains("hint:") {
                let place = wish.filter.get("computer_guid").map_or("the default computer", String::as_str);
                env.tell(format_args!(
                    "hint: the partitions of {place} may all be in use, or {place} is not formatted: request an instance \
                     that is not needed with --state destroyed, raise partition_amount and run `slap node format`, or ask \
                     for another computer by --node computer_guid=..."
                ));
            }
            Exit::FAILED
        }
        other => fail(env, other),
    }
}

/// What has to happen before the instance is as it was wished, as far as the master knows. Masters that do not answer
/// such questions to a user are not asked twice: then there is nothing to tell.
async fn pending(client: &SlapClient, wish: &InstanceRequest, instance: &SoftwareInstance) -> Vec<String> {
    let quick = client.clone().with_deadline(Duration::from_secs(5));
    let (Ok(computer), Ok(partition)) =
        (instance.computer_id.parse::<ComputerId>(), instance.partition_id.parse())
    else {
        return Vec::new();
    };
    if wish.state == Some(RequestedState::Destroyed) {
        return Vec::new();
    }
    if wish.shared {
        // It is its host that has work to do.
        let is_pending = instance.connection.is_empty();
        return if is_pending { vec![wait_hint(wish)] } else { Vec::new() };
    }
    let url = &wish.software_release;
    let mut lines = Vec::new();
    let Ok(Poll::Changed { computer: full, .. }) =
        quick.full_computer_information(&computer, None, None).await
    else {
        return lines;
    };
    let supplied = full.software_releases.iter().find(|release| release.url == *url);
    match supplied.map(|release| release.requested_state) {
        None => {
            lines.push(format!("warning: {url} was not supplied to {computer}, so nothing builds it"));
            lines.push(format!("hint: slap supply {} {computer}", quoted(url.as_str())));
            return lines;
        }
        Some(Some(SupplyState::Destroyed)) => {
            lines.push(format!("warning: {url} is being removed from {computer}"));
            lines.push(format!("hint: slap supply {} {computer}", quoted(url.as_str())));
            return lines;
        }
        Some(_) => {}
    }
    let built = quick.release_status(&computer, url).await;
    if let Some(reason) = built.ok().as_ref().and_then(release_reason) {
        lines.push(format!("Pending: {url} on {computer} {reason}"));
        lines.push(wait_hint(wish));
        return lines;
    }
    match quick.partition_status(&computer, &partition).await {
        Ok(status) if status.kind() == StatusKind::Access && status.up_to_date => {}
        // slapproxy knows no status at all: published parameters are the only sign.
        Ok(status) if status.kind() == StatusKind::Other && !instance.connection.is_empty() => {}
        Ok(status) if status.kind() != StatusKind::Other => {
            let text = match status.no_data {
                true => "its node did not report yet".to_owned(),
                // What was reported is about an earlier wish.
                false if !status.up_to_date => "its node is processing it".to_owned(),
                false => status.described(),
            };
            lines.push(format!("Pending: {} in {partition} of {computer}: {text}", wish.title));
            lines.push(wait_hint(wish));
        }
        Ok(_) | Err(_) => lines.push(wait_hint(wish)),
    }
    lines
}

fn release_reason(status: &AccessStatus) -> Option<String> {
    match status.kind() {
        StatusKind::Access => None,
        StatusKind::Building => Some("is being built".to_owned()),
        _ if status.no_data => Some("is not built yet".to_owned()),
        StatusKind::Error => Some(format!("failed: {}", status.described())),
        StatusKind::Other => None,
    }
}

fn wait_hint(wish: &InstanceRequest) -> String {
    let goal = match wish.state {
        Some(RequestedState::Stopped) => "stopped",
        _ => "started",
    };
    format!("Wait for it: slap wait {} --for {goal}", quoted(wish.title.as_str()))
}

/// A text as a word for a shell.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "-_./:=%+@,".contains(c));
    if is_plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_slapos() {
        let check = |line: &str| {
            let words = std::iter::once("slap request").chain(line.split_whitespace());
            Arguments::try_parse_from(words).map_err(|error| error.to_string())
        };
        let arguments =
            check("a http://b/ --node c=d e=f --parameters g=h --type t --state stopped --slave").unwrap();
        assert_eq!(arguments.node, ["c=d", "e=f"]);
        assert_eq!(arguments.parameters, ["g=h"]);
        assert_eq!((arguments.state, arguments.slave), (Some(RequestedState::Stopped), true));
        assert!(check("a b --parameters-file f --force-serialisation json-in-xml --cfg c").is_ok());
        for (line, expected) in [
            ("a", "SOFTWARE_URL"),
            ("a b --state running", "started, stopped or destroyed"),
            ("a b --parameters c=d --parameters-file e", "cannot be used with"),
            ("a b --force-serialisation yaml", "json-in-xml"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn words_for_a_shell() {
        for (text, expected) in [("a-b", "a-b"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn what_a_release_waits_for() {
        let status = |text: &str| AccessStatus { text: text.to_owned(), ..AccessStatus::default() };
        assert_eq!(release_reason(&status("#access ok")), None);
        assert_eq!(release_reason(&status("#building it")).unwrap(), "is being built");
        assert_eq!(release_reason(&status("#error no\nlog")).unwrap(), "failed: #error no\nlog");
        let unknown = AccessStatus::unknown("x", "Software Installation");
        assert_eq!(release_reason(&unknown).unwrap(), "is not built yet");
    }
}
