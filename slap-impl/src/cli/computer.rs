//! `slap computer list` and `slap computer info NAME` (slapos/cli/computer_list.py and computer_info.py).

use super::connection::{ClientArguments, fail, is_absent};
use crate::{
    client::SlapClient,
    env::{Env, Exit},
    wire::hateoas::Row,
};
use clap::{Parser, Subcommand};

/// List computers, or show one
#[derive(Debug, Parser)]
#[command(name = "slap computer")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List all computers
    List {
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Show a computer
    Info {
        /// The computer's reference, such as COMP-1
        reference: String,
        #[command(flatten)]
        client: ClientArguments,
    },
}

/// Runs `slap computer`.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let verb = match crate::arguments::parse::<Arguments>(&env, "slap computer", arguments) {
        Ok(arguments) => arguments.verb,
        Err(exit) => return exit,
    };
    let (Verb::List { client } | Verb::Info { client, .. }) = &verb;
    let client = match client.connect(&env) {
        Ok(client) => client,
        Err(exit) => return exit,
    };
    match verb {
        Verb::List { .. } => list(&env, &client).await,
        Verb::Info { reference, .. } => info(&env, &client, &reference).await,
    }
}

async fn list(env: &Env, client: &SlapClient) -> Exit {
    let rows = match client.computers().await {
        Ok(rows) => rows,
        Err(error) => return fail(env, &error),
    };
    if rows.is_empty() {
        env.print("No existing computer.");
        return Exit::DONE;
    }
    env.print("List of Computers:");
    for Row { title, reference, .. } in rows {
        env.print(format_args!("{} {title}", reference.unwrap_or_default()));
    }
    Exit::DONE
}

async fn info(env: &Env, client: &SlapClient, reference: &str) -> Exit {
    match client.computer_information(reference).await {
        Ok(computer) => {
            env.print(format_args!("Computer Reference: {}", computer.reference));
            env.print(format_args!("Computer Title    : {}", computer.title));
            Exit::DONE
        }
        // slapos prints this one to standard output.
        Err(error) if is_absent(&error) => {
            env.print(format_args!("Computer {reference} does not exist."));
            env.tell("hint: `slap computer list` shows those that there are");
            Exit::USAGE
        }
        Err(error) => fail(env, &error),
    }
}
