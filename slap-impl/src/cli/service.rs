//! `slap service list` and `slap service info NAME` (slapos/cli/list.py and info.py).

use super::{
    connection::{ClientArguments, fail, is_absent},
    python_json, room,
    schema::{Serialisation, serialisation},
};
use crate::{
    client::SlapClient,
    env::{Env, Exit},
    wire::{
        hateoas::Service,
        instance_xml,
        status::{AccessStatus, StatusKind},
    },
};
use clap::{Parser, Subcommand};
use serde_json::{Map, Value as Json, json};

/// List services (instances that users requested), or show one
#[derive(Debug, Parser)]
#[command(name = "slap service")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the titles of all services, and their software releases, as JSON
    List {
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Print what is known of a service, as JSON
    Info {
        /// The service's title
        reference: String,
        /// With the last reports as they are
        #[arg(long)]
        news: bool,
        #[command(flatten)]
        client: ClientArguments,
    },
}

/// Runs `slap service`.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let verb = match crate::arguments::parse::<Arguments>(&env, "slap service", arguments) {
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
        Verb::Info { reference, news, .. } => info(&env, &client, &reference, news).await,
    }
}

async fn list(env: &Env, client: &SlapClient) -> Exit {
    match client.services().await {
        Ok(mut rows) => {
            rows.sort_by(|one, other| one.title.cmp(&other.title));
            let items = rows.into_iter().map(|row| (row.title, json!(row.url_string)));
            env.print(python_json::dumps(&Json::Object(Map::from_iter(items))));
            Exit::DONE
        }
        Err(error) => fail(env, &error),
    }
}

async fn info(env: &Env, client: &SlapClient, reference: &str, with_news: bool) -> Exit {
    let service = match client.service_information(reference).await {
        Ok(service) => service,
        Err(error) if is_absent(&error) => {
            env.tell(format_args!("Instance {reference} does not exist."));
            env.tell("hint: `slap service list` shows those that there are; `slap request` makes one");
            if let Some(shortage) = room::shortage(client).await {
                env.tell(shortage);
            }
            return Exit::USAGE;
        }
        Err(error) => return fail(env, &error),
    };
    let written = match service.software_release.parse() {
        Ok(release) => serialisation(env, &release, service.software_type.as_deref()).await,
        Err(error) => Err(format!("{error}")),
    };
    match document(&service, written.unwrap_or(Serialisation::JsonInXml), with_news) {
        Ok(document) => {
            env.print(python_json::dumps(&document));
            tell_errors(env, reference, &service);
            Exit::DONE
        }
        Err(reason) => fail(env, &format!("{reference}: {reason}")),
    }
}

/// Says what is wrong with an instance; the document has the light only, as slapos prints it.
fn tell_errors(env: &Env, reference: &str, service: &Service) {
    let statuses = service.news.iter().flatten().map(AccessStatus::from_json);
    let errors: Vec<AccessStatus> =
        statuses.filter(|status| status.kind() == StatusKind::Error && !status.no_data).collect();
    for status in &errors {
        let age = if status.up_to_date { "" } else { "before the last change, " };
        env.tell(format_args!("{reference}: {age}{}", status.described()));
    }
    if !errors.is_empty() {
        env.tell("hint: the node tries again by itself; `slap lab logs` has the whole logs of a lab");
    }
}

/// What is printed.
fn document(service: &Service, serialisation: Serialisation, with_news: bool) -> Result<Json, String> {
    let parameters = |xml: &Option<String>| {
        instance_xml::decode(xml.as_deref().unwrap_or_default()).map_err(|error| error.to_string())
    };
    let mut own = parameters(&service.parameters_xml)?;
    let own = match own.remove("_") {
        Some(packed) if own.is_empty() => json!({"_": unpacked(packed)}),
        Some(packed) => {
            own.insert("_".to_owned(), packed);
            json!(own)
        }
        None => json!(own),
    };
    let mut connection = parameters(&service.connection_xml)?;
    let connection = match connection.remove("_") {
        Some(packed) if serialisation == Serialisation::JsonInXml => unpacked(packed),
        Some(packed) => {
            connection.insert("_".to_owned(), packed);
            json!(connection)
        }
        None => json!(connection),
    };
    let mut items = Map::new();
    items.insert("software-url".to_owned(), json!(service.software_release));
    items.insert("software-type".to_owned(), json!(service.software_type));
    items.insert("shared".to_owned(), json!(service.shared));
    items.insert("requested-state".to_owned(), json!(service.requested_state));
    items.insert("instance-parameters".to_owned(), own);
    items.insert("connection-parameters".to_owned(), connection);
    items.insert("status".to_owned(), json!(light(service.news.as_deref())));
    if let (true, Some(news)) = (with_news, &service.news) {
        items.insert("news".to_owned(), json!(news));
    }
    Ok(Json::Object(items))
}

/// What JSON in a parameter means; what is no JSON stays text.
fn unpacked(text: Option<String>) -> Json {
    let Some(text) = text else { return Json::Null };
    serde_json::from_str(&text).unwrap_or(Json::String(text))
}

/// One light for all reports: green, red, both (orange), none; or that the master has none.
fn light(news: Option<&[Json]>) -> &'static str {
    let Some(news) = news else { return "unsupported" };
    let has =
        |kind| news.iter().any(|item| StatusKind::of(item["text"].as_str().unwrap_or_default()) == kind);
    match (has(StatusKind::Access), has(StatusKind::Error)) {
        (false, false) => "none",
        (true, false) => "green",
        (false, true) => "red",
        (true, true) => "orange",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(parameters: &str, connection: &str) -> Service {
        let xml = |text: &str| {
            Some(format!("<instance><parameter id=\"{}</parameter></instance>", text.replacen('=', "\">", 1)))
        };
        Service {
            reference: "a".to_owned(),
            requested_state: "started".to_owned(),
            software_release: "http://a/".to_owned(),
            software_type: Some("default".to_owned()),
            shared: false,
            parameters_xml: xml(parameters),
            connection_xml: xml(connection),
            news: None,
        }
    }

    /// The first was printed by `slapos service info` of slapos.core 1.24.1.
    #[test]
    fn what_is_printed() {
        let printed = document(&service("c=d é", "_={\"n\": [1]}"), Serialisation::JsonInXml, true).unwrap();
        assert_eq!(
            python_json::dumps(&printed),
            "{\n  \"software-url\": \"http://a/\",\n  \"software-type\": \"default\",\n  \"shared\": false,\n  \
             \"requested-state\": \"started\",\n  \"instance-parameters\": {\n    \"c\": \"d \\u00e9\"\n  },\n  \
             \"connection-parameters\": {\n    \"n\": [\n      1\n    ]\n  },\n  \"status\": \"unsupported\"\n}"
        );
        let printed = document(&service("_={\"n\": 1}", "_={}"), Serialisation::Xml, false).unwrap();
        assert_eq!(printed["instance-parameters"], json!({"_": {"n": 1}}));
        assert_eq!(printed["connection-parameters"], json!({"_": "{}"}));
        let printed = document(&service("_=x", "a=b"), Serialisation::JsonInXml, false).unwrap();
        assert_eq!(printed["instance-parameters"], json!({"_": "x"}));
    }

    #[test]
    fn lights() {
        for (texts, expected) in [
            (&[][..], "none"),
            (&["#access ok"], "green"),
            (&["#error no"], "red"),
            (&["#error no", "#access ok", "else"], "orange"),
            (&["else"], "none"),
        ] {
            let news: Vec<Json> = texts.iter().map(|text| json!({"text": text})).collect();
            assert_eq!(light(Some(&news)), expected, "{texts:?}");
        }
    }
}
