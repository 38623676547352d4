//! slapos.cookbook:request and slapos.cookbook:requestoptional: another instance, asked for in the name of this one.
//!
//! In: server-url, computer-id, partition-id (`<= slap-connection`), software-url, name, software-type, shared, state, `config-NAME`,
//! `sla-NAME`, and `return`: names that the other instance shall publish. Out: `connection-NAME` for each of these, empty while
//! it is not published; requested-state; instance-guid, instance_guid, instance-state and instance-status of one that is not shared. It is
//! asked for when the section is evaluated, so before anything is installed. Installing and updating fail while the master refused it,
//! or something is not published; those of requestoptional only tell so (slapos/recipe/request.py).
//! What was asked for is noted in the file of which the node tells the master (slapos.slap, `_updateTransactionFile`).
//! Native differences: keys and certificates are not used; `product.NAME` as software-url is refused.

use super::common::{self, Connection, Constructed, Done};
use crate::{
    client::{ClientError, InstanceRequest},
    profile::{
        literal::Literal,
        recipe::{Options, Part, Recipe, RecipeError},
    },
    vocabulary::{PartitionId, RequestedState},
    wire::objects::Requested,
};
use std::{collections::BTreeMap, path::PathBuf};

struct Request {
    is_optional: bool,
    /// Why it is of no use yet.
    lack: Option<String>,
}

/// Makes the recipe request.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(ask(options, false))
}

/// Makes the recipe requestoptional.
pub(super) fn construct_optional(options: &dyn Options) -> Constructed<'_> {
    Box::pin(ask(options, true))
}

async fn ask(options: &dyn Options, is_optional: bool) -> Result<Box<dyn Recipe>, RecipeError> {
    let wish = wish(options).await?;
    let [url, computer, partition] =
        ["server-url", "computer-id", "partition-id"].map(|option| options.required(option));
    let Connection { client, computer, partition } =
        common::connection(options, &url?, &computer?, &partition?)?;
    let names = options.get_or("return", "");
    let names: Vec<&str> = names.split_whitespace().collect();
    note(options, &partition, wish.title.as_str());
    let (found, lack) = match client.request_or_stand_in(Some((&computer, &partition)), &wish).await {
        Ok(found) => (Some(found), None),
        Err(error @ (ClientError::NotFound(_) | ClientError::NotReady(_) | ClientError::Refused { .. })) => {
            (None, Some(format!("the request for {:?} failed: {error}", wish.title.as_str())))
        }
        Err(error) => {
            return Err(options.error(None, format!("{:?} was not asked for: {error}", wish.title.as_str())));
        }
    };
    let connection = published(found.as_ref());
    for name in &names {
        options.set(&format!("connection-{name}"), connection.get(*name).map_or("", String::as_str));
    }
    let missing = names.iter().find(|name| !connection.contains_key(**name));
    let state = match &found {
        Some(Requested::Instance(found)) => found.requested_state.map_or("unknown", RequestedState::as_str),
        _ => "unknown",
    };
    if let (Some(Requested::Instance(found)), false) = (&found, wish.shared)
        && let Some(own) = &found.own
    {
        let guid = Literal::Bytes(own.instance_guid.clone().into_bytes());
        for option in ["instance-guid", "instance_guid"] {
            options.set(option, &guid.to_option());
        }
        options.set("instance-state", state);
        options.set("instance-status", &Literal::None.to_option());
    }
    let lack = lack.or_else(|| {
        let name = missing?;
        Some(format!(
            "Connection parameter {name} not found. Status of requested instance is: {state}. If this error persists, check status of \
             this instance."
        ))
    });
    Ok(Box::new(Request { is_optional, lack }))
}

/// What the section says that shall be asked for.
async fn wish(options: &dyn Options) -> Result<InstanceRequest, RecipeError> {
    if let Some(name) = ["config", "sla"].into_iter().find(|name| options.get(name).is_some()) {
        return Err(options
            .error(Some(name), "'config' & 'sla' options are obsolete")
            .hint("say `config-NAME = ...` and `sla-NAME = ...`"));
    }
    let url = options.required("software-url")?;
    if url.starts_with("product.") {
        return Err(options.error(Some("software-url"), format!("{url:?}: products are not supported yet")));
    }
    let bad = |option: &str, error: &dyn std::fmt::Display| options.error(Some(option), error.to_string());
    let (mut parameters, mut filter) = (BTreeMap::new(), BTreeMap::new());
    for (option, text) in options.all() {
        let (name, target) = match (option.strip_prefix("config-"), option.strip_prefix("sla-")) {
            (Some(name), _) => (name, &mut parameters),
            (None, Some(name)) if !text.is_empty() => (name, &mut filter),
            _ => continue,
        };
        // The marshaller sorts dictionaries, before they are written as text.
        let text = match common::typed(options, &option, &text)? {
            Some(literal) => literal.as_text().map_or_else(|| literal.sorted_repr(), str::to_owned),
            None => text,
        };
        target.insert(name.to_owned(), text);
    }
    // Not that of a destroyed one: it may be there only for a while.
    let own = options.other("slap-connection").await?.remove("requested");
    let inherited = own.filter(|state| state == "stopped").unwrap_or_else(|| "started".to_owned());
    let state = options.get("state").unwrap_or(inherited);
    options.set("requested-state", &state);
    Ok(InstanceRequest {
        software_release: url.parse().map_err(|error| bad("software-url", &error))?,
        software_type: options.get_or("software-type", "default"),
        title: options.required("name")?.parse().map_err(|error| bad("name", &error))?,
        parameters,
        filter,
        state: Some(state.parse().map_err(|error| bad("state", &error))?),
        shared: common::is_true_word(&options.get_or("shared", "false")),
    })
}

/// What the instance that was asked for publishes, as texts.
fn published(found: Option<&Requested>) -> BTreeMap<String, String> {
    match found {
        None => BTreeMap::new(),
        Some(Requested::Instance(found)) => {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "None".to_owned());
            found.connection.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }
        Some(Requested::StandIn(found)) => found
            .connection
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_text()?.to_owned())))
            .collect(),
    }
}

/// Notes a request where the node finds it, if a node runs this. A note that cannot be written is left out, as upstream does.
fn note(options: &dyn Options, partition: &PartitionId, name: &str) {
    let Some(root) = options.env().context().variable("SLAPGRID_INSTANCE_ROOT") else { return };
    let path =
        PathBuf::from(root).join(partition.as_str()).join(format!(".slapos-request-transaction-{partition}"));
    let _ = options.env().files().append(&path, format!("{name}\n").as_bytes(), 0o640);
}

impl Recipe for Request {
    fn install<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        Box::pin(async move {
            let options: &dyn Options = &**part;
            match &self.lack {
                Some(lack) if self.is_optional => {
                    options.env().tell(format!("{}: optional request: {lack}", options.section()));
                }
                Some(lack) => return Err(options.error(None, lack.clone())),
                None => {}
            }
            Ok(Vec::new())
        })
    }

    fn update<'a>(&'a mut self, part: &'a Part<'a>) -> Done<'a> {
        self.install(part)
    }
}
