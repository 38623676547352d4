//! `slap remove URL COMPUTER` (slapos/cli/remove.py).

use super::{
    connection::{ClientArguments, on_disk},
    supply::set,
};
use crate::{
    env::{Env, Exit},
    vocabulary::{ComputerId, SoftwareUrl, SupplyState},
};
use clap::Parser;

/// Ask for a software release to be removed from a computer
#[derive(Debug, Parser)]
#[command(name = "slap remove")]
struct Arguments {
    /// URL or path of the software release's profile, as it was supplied
    software_url: SoftwareUrl,
    /// The computer's reference, such as COMP-1
    node: ComputerId,
    #[command(flatten)]
    client: ClientArguments,
}

/// Runs `slap remove`. A product's name is not looked up, as with slapos: its best release may be another by now.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let arguments = match crate::arguments::parse::<Arguments>(&env, "slap remove", arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let client = match arguments.client.connect(&env) {
        Ok(client) => client,
        Err(exit) => return exit,
    };
    let url = on_disk(&env, &arguments.software_url);
    env.tell(format_args!("Requesting deletion of {url} Software Release..."));
    let exit = set(&env, &client, &url, &arguments.node, SupplyState::Destroyed).await;
    if exit == Exit::DONE {
        env.tell(format_args!("Done. {} removes it when it next asks the master.", arguments.node));
    }
    exit
}
