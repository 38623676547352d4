//! What is written of a formatted computer: the document for the master, `.slapos-resource`, a definition file.

use super::plan::{ComputerPlan, PartitionPlan};
use crate::{
    node::site::Site,
    wire::{
        configuration::{FormattedComputer, FormattedPartition},
        marshal::{Dictionary, Value},
    },
};
use serde::Serialize;
use serde_json::{Map, ser::PrettyFormatter};
use std::{fmt::Write, net::Ipv6Addr};

/// The computer as it is told to the master and kept in slapos.xml.
pub(super) fn formatted(site: &Site, plan: &ComputerPlan) -> FormattedComputer {
    let settings = &site.settings;
    let text = |text: &std::path::Path| Value::text(text.to_string_lossy());
    let details = [
        ("instance_root", text(&settings.instance_root)),
        ("software_root", text(&settings.software_root)),
        (
            "instance_storage_home",
            Value::optional(Some(&settings.instance_storage_home).filter(|home| !home.is_empty())),
        ),
        ("interface", Value::None),
        ("ipv6_interface", Value::optional(settings.format.ipv6_interface.as_deref())),
        (
            "partition_has_ipv6_range",
            Value::Bool(plan.partitions.iter().any(|item| item.ipv6_range.is_some())),
        ),
        ("public_ipv4_address", Value::None),
        ("slapos_version", Value::text(env!("CARGO_PKG_VERSION"))),
        ("software_user", Value::text(&plan.software_user)),
    ];
    FormattedComputer {
        computer_id: settings.computer_id.clone(),
        address: plan.address.as_ref().map(|item| item.address.clone()),
        netmask: plan.address.as_ref().map(|item| item.netmask.clone()),
        partitions: plan
            .partitions
            .iter()
            .map(|partition| formatted_partition(site, partition, &plan.software_user))
            .collect(),
        details: details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

fn formatted_partition(site: &Site, partition: &PartitionPlan, software_user: &str) -> FormattedPartition {
    let Value::Dictionary(mut details) = resource(site, partition, software_user) else {
        unreachable!("resource gives a dictionary")
    };
    details.retain(|key, _| key != "reference" && key != "address_list");
    FormattedPartition {
        partition_id: partition.id.clone(),
        addresses: partition.addresses.clone(),
        interface: Some(partition.interface.clone()),
        details,
    }
}

/// Content of `.slapos-resource`. A partition's user belongs to the group of the releases' user, who is named so (slapos/format.py,
/// `Computer.format`).
pub(super) fn resource(site: &Site, partition: &PartitionPlan, software_user: &str) -> Value {
    let path = site.partition(&partition.id);
    let path = path.to_string_lossy();
    let user = Value::dictionary([
        ("name", Value::text(&partition.user)),
        ("path", Value::text(path.clone())),
        ("shell", Value::text("/bin/sh")),
        ("additional_group_list", Value::List(vec![Value::text(software_user)])),
    ]);
    let addresses = partition.addresses.iter().map(|item| {
        Value::dictionary([("addr", Value::text(&item.address)), ("netmask", Value::text(&item.netmask))])
    });
    let range = match partition.ipv6_range {
        None => Dictionary::new(),
        Some((address, length)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            let items = [
                ("addr", Value::text(address.to_string())),
                ("prefixlen", Value::Int(i128::from(length))),
                ("netmask", Value::text(Ipv6Addr::from(mask).to_string())),
                ("network", Value::text(format!("{address}/{length}"))),
            ];
            items.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
        }
    };
    let empty = [
        "ipv4_addr",
        "ipv4_gateway",
        "ipv4_netmask",
        "ipv4_network",
        "ipv6_addr",
        "ipv6_gateway",
        "ipv6_netmask",
        "ipv6_network",
    ];
    let tap = [("name", Value::text(&partition.interface))]
        .into_iter()
        .chain(empty.into_iter().map(|key| (key, Value::text(""))));
    let mut items = vec![
        ("reference", Value::text(partition.id.as_str())),
        ("path", Value::text(path)),
        ("user", user),
        ("address_list", Value::List(addresses.collect())),
        ("ipv6_range", Value::Dictionary(range)),
        ("tap", Value::dictionary(tap)),
        ("tun", Value::None),
        ("external_storage_list", Value::List(Vec::new())),
    ];
    if !partition.capabilities.is_empty() {
        let capabilities = partition.capabilities.iter().map(Value::text).collect();
        items.push(("capability_list", Value::List(capabilities)));
    }
    Value::dictionary(items)
}

/// Writes a value as JSON with sorted keys, indented by `indent` blanks, as Python's json does.
pub(super) fn json(value: &Value, indent: usize) -> String {
    let blanks = vec![b' '; indent];
    let mut bytes = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(&blanks));
    plain(value).serialize(&mut serializer).expect("a Vec takes everything, and all keys are texts");
    String::from_utf8(bytes).expect("JSON is text")
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::None | Value::Object(_) => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => i64::try_from(*value).unwrap_or_default().into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) | Value::Tuple(items) => items.iter().map(plain).collect(),
        Value::Dictionary(items) => {
            let items: Map<String, serde_json::Value> =
                items.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
            items.into()
        }
    }
}

/// A definition file that gives the same plan.
pub(super) fn definition(plan: &ComputerPlan) -> String {
    let mut text = "[computer]\n".to_owned();
    let mut add =
        |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String takes everything");
    if let Some(item) = &plan.address {
        add(format_args!("address = {}/{}", item.address, item.netmask));
    }
    add(format_args!("software_user = {}", plan.software_user));
    for (number, partition) in plan.partitions.iter().enumerate() {
        add(format_args!("\n[partition_{number}]\naddress = {}", partition.addresses_text()));
        if let Some((address, length)) = partition.ipv6_range {
            add(format_args!("ipv6_range = {address}/{length}"));
        }
        add(format_args!("user = {}", partition.user));
        add(format_args!("network_interface = {}", partition.interface));
        add(format_args!("pathname = {}", partition.id));
        if !partition.capabilities.is_empty() {
            add(format_args!("capability_list =\n  {}", partition.capabilities.join("\n  ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_that_of_python() {
        let value = Value::dictionary([
            ("b", Value::List(vec![Value::Int(1), Value::None])),
            ("a", Value::dictionary([("c", Value::text("é\"")), ("d", Value::Bool(true))])),
            ("e", Value::List(Vec::new())),
        ]);
        let expected = "{\n  \"a\": {\n    \"c\": \"é\\\"\",\n    \"d\": true\n  },\n  \"b\": [\n    1,\n    null\n  ],\n  \"e\": []\n}";
        assert_eq!(json(&value, 2), expected);
    }
}
