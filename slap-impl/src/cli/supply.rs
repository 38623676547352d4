//! `slap supply URL COMPUTER` (slapos/cli/supply.py).

use super::connection::{ClientArguments, fail, on_disk, release};
use crate::{
    client::{ClientError, SlapClient},
    env::{Env, Exit},
    vocabulary::{ComputerId, SoftwareUrl, SupplyState},
};
use clap::Parser;

/// Ask for a software release on a computer
#[derive(Debug, Parser)]
#[command(name = "slap supply")]
struct Arguments {
    /// URL or path of the software release's profile, or product.NAME
    software_url: SoftwareUrl,
    /// The computer's reference, such as COMP-1
    node: ComputerId,
    #[command(flatten)]
    client: ClientArguments,
}

/// Runs `slap supply`.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let arguments = match crate::arguments::parse::<Arguments>(&env, "slap supply", arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let client = match arguments.client.connect(&env) {
        Ok(client) => client,
        Err(exit) => return exit,
    };
    let software = on_disk(&env, &arguments.software_url);
    env.tell(format_args!("Requesting software installation of {software}..."));
    let url = match release(&env, &client, &software).await {
        Ok(url) => url,
        Err(exit) => return exit,
    };
    let exit = set(&env, &client, &url, &arguments.node, SupplyState::Available).await;
    if exit == Exit::DONE {
        env.tell(format_args!("Done. {} builds it when it next asks the master.", arguments.node));
    }
    exit
}

/// Sets what is wanted of a release on a computer, and tells what went wrong.
pub(super) async fn set(
    env: &Env,
    client: &SlapClient,
    url: &SoftwareUrl,
    computer: &ComputerId,
    state: SupplyState,
) -> Exit {
    match client.supply(url, computer, state).await {
        Ok(()) => Exit::DONE,
        Err(ClientError::NotFound(message)) => {
            env.tell(format_args!(
                "error: Computer {computer} has not been found by SlapOS Master: {message}"
            ));
            if !message.contains("hint:") {
                env.tell("hint: `slap computer list` shows those that are known; `slap node format` makes a node known");
            }
            Exit::FAILED
        }
        Err(error) => fail(env, &error),
    }
}
