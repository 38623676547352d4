//! slapos.cookbook:slapconfiguration: what the master says of this instance, as options.
//!
//! In: server-url (url), computer-id (computer), partition-id (partition), storage-home. Out: slap-software-type,
//! slap-computer-id, slap-computer-partition-id, slap-software-release-url, slave-instance-list, timestamp,
//! instance-title, root-instance-title, root-instance-short-title, instance-guid, instance-state, ipv4, ipv6, ipv4-random,
//! ipv6-random, storage-dict, configuration, `configuration.NAME`, and all of the partition's `.slapos-resource`
//! (slapos/recipe/slapconfiguration.py). Nothing is installed; as upstream does, the links `DATA/DISK` are
//! made when the section is evaluated.
//! Native differences: keys and certificates are not used (https is refused by the client); a parameter's text that begins
//! with `!py` stays a text; a parameter whose name has a line end gets no option.

use super::common::{self, Connection, Constructed};
use crate::{
    profile::{
        literal::Literal,
        recipe::{NothingToInstall, Options, Recipe, RecipeError},
    },
    wire::{marshal::Value, objects::Instance},
};
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// The partition's resource file, which slapformat writes.
const RESOURCE_FILE: &str = ".slapos-resource";

/// The longest resource file.
const RESOURCE_BYTES_MAX: u64 = 1 << 20;

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let either = |new: &str, old: &str| match common::given(options, new) {
            Some(value) => Ok(value),
            None => options.get(old).ok_or_else(|| {
                options
                    .error(None, format!("option {new:?} is missing"))
                    .hint(format!("add `{new} = ${{slap-connection:{new}}}` or say `<= slap-connection`"))
            }),
        };
        let (url, computer, partition) = (
            either("server-url", "url")?,
            either("computer-id", "computer")?,
            either("partition-id", "partition")?,
        );
        let Connection { client, computer, partition } =
            common::connection(options, &url, &computer, &partition)?;
        let found = client.register_partition(&computer, &partition).await.map_err(|error| {
            options.error(None, format!("partition {partition} of {computer} was not told: {error}"))
        })?;
        let Some(instance) = &found.instance else {
            return Err(options.error(None, format!("partition {partition} of {computer} holds no instance")));
        };
        let set = |option: &str, value: Literal| options.set(option, &value.to_option());
        set("slap-computer-id", found.computer_id.as_str().into());
        set("slap-computer-partition-id", found.partition_id.as_str().into());
        set("instance-state", found.requested_state.as_str().into());
        if let Some(guid) = &found.instance_guid {
            set("instance-guid", guid.as_str().into());
        }
        titles(options, instance);
        addresses(options, instance);
        storage(options, partition.as_str())?;
        resources(options)?;
        parameters(options, instance);
        Ok(Box::new(NothingToInstall) as Box<dyn Recipe>)
    })
}

fn titles(options: &dyn Options, instance: &Instance) {
    let set = |option: &str, value: Literal| options.set(option, &value.to_option());
    set("slap-software-type", instance.software_type.as_str().into());
    set("slap-software-release-url", instance.software_release.url.as_str().into());
    let shared = instance.shared_instances.iter().map(|shared| literal(&shared.to_value()));
    set("slave-instance-list", Literal::List(shared.collect()));
    if let Some(timestamp) = &instance.timestamp {
        set("timestamp", timestamp.as_str().into());
    }
    set("instance-title", instance.title.as_str().into());
    set("root-instance-title", instance.root_title.as_str().into());
    // Only ERP5's master knows it.
    set("root-instance-short-title", "UNKNOWN".into());
}

fn addresses(options: &dyn Options, instance: &Instance) {
    let (mut ipv4, mut ipv6) = (BTreeSet::new(), BTreeSet::new());
    for (_, address) in &instance.addresses {
        if address.parse::<Ipv4Addr>().is_ok() {
            ipv4.insert(address.as_str());
        } else if address.parse::<Ipv6Addr>().is_ok() {
            ipv6.insert(address.as_str());
        }
    }
    for (option, found) in [("ipv4", ipv4), ("ipv6", ipv6)] {
        options.set(option, &Literal::Set(found.iter().map(|address| (*address).into()).collect()).dump());
        if let Some(first) = found.first() {
            options.set(&format!("{option}-random"), first);
        }
    }
}

/// Links to the partition's directories on other disks.
fn storage(options: &dyn Options, partition: &str) -> Result<(), RecipeError> {
    let files = options.env().files();
    let mut found = Vec::new();
    let home = common::given(options, "storage-home").map(|home| options.absolute(home));
    if let Some(home) = home.filter(|home| files.is_directory(home)) {
        let disks = files.list(&home).map_err(|error| common::failed(options, "read", &home, &error))?;
        for disk in disks {
            let target = home.join(&disk).join(partition);
            if !files.is_directory(&target) {
                continue;
            }
            let data = options.directory().join("DATA");
            let link = data.join(&disk);
            // As slapos.util's `mkdir_p` makes it.
            let made = files.create_directory(&data, 0o700);
            made.map_err(|error| common::failed(options, "made", &data, &error))?;
            if files.symlink_metadata(&link).is_err() {
                let made = files.symlink(&target, &link);
                made.map_err(|error| common::failed(options, "made", &link, &error))?;
            }
            found.push((Literal::Text(disk), Literal::Text(link.display().to_string())));
        }
    }
    options.set("storage-dict", &Literal::Dict(found).dump());
    Ok(())
}

/// Options from the resource file of this directory or the nearest one above.
fn resources(options: &dyn Options) -> Result<(), RecipeError> {
    let files = options.env().files();
    let places = options.directory().ancestors().filter(|place| *place != Path::new("/"));
    let Some(path) = places.map(|place| place.join(RESOURCE_FILE)).find(|path| files.exists(path)) else {
        return Ok(());
    };
    let text = files
        .read_text(&path, RESOURCE_BYTES_MAX)
        .map_err(|error| common::failed(options, "read", &path, &error))?;
    let resources: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
        .map_err(|error| options.error(None, format!("{} is no JSON object: {error}", path.display())))?;
    let known = options.all();
    let mut flat = Vec::new();
    flatten(&resources, "", &mut flat);
    for (option, value) in flat {
        if !known.contains_key(&option) {
            options.set(&option, &value.to_option());
        }
    }
    Ok(())
}

fn flatten(
    object: &serde_json::Map<String, serde_json::Value>,
    prefix: &str,
    out: &mut Vec<(String, Literal)>,
) {
    for (key, value) in object {
        let name = format!("{prefix}{}", key.replace('_', "-"));
        match value {
            serde_json::Value::Object(inner) => flatten(inner, &format!("{name}-"), out),
            other => out.push((name, Literal::from(other))),
        }
    }
}

fn parameters(options: &dyn Options, instance: &Instance) {
    let value = |text: &Option<String>| text.as_deref().map_or(Literal::None, Literal::from);
    let all = instance.parameters.iter().map(|(name, text)| (Literal::text(name), value(text)));
    options.set("configuration", &Literal::Dict(all.collect()).dump());
    for (name, text) in &instance.parameters {
        // What a profile could not name is only in `configuration`.
        if !name.contains(['=', ':', '\n', '\r']) {
            options.set(&format!("configuration.{name}"), &value(text).to_option());
        }
    }
}

/// A value of the wire as a literal; an object, which no parameter is, as its class's name.
fn literal(value: &Value) -> Literal {
    match value {
        Value::None => Literal::None,
        Value::Bool(value) => Literal::Bool(*value),
        Value::Int(value) => Literal::Int(*value),
        Value::Float(value) => Literal::Float(*value),
        Value::Text(text) => Literal::text(text),
        Value::List(items) => Literal::List(items.iter().map(literal).collect()),
        Value::Tuple(items) => Literal::Tuple(items.iter().map(literal).collect()),
        Value::Dictionary(entries) => {
            Literal::Dict(entries.iter().map(|(key, value)| (Literal::text(key), literal(value))).collect())
        }
        Value::Object(object) => Literal::text(object.class.as_str()),
    }
}
