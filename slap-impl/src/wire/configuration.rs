//! What a computer tells of itself when it was formatted: the document of loadComputerConfigurationFromXML
//! (slapos/format.py, `Computer.send`; slapos/proxy/slap_tool.py, `loadComputerConfigurationFromXML`).

use super::{
    fields::Fields,
    marshal::{Dictionary, MarshalError, Value},
};
use crate::vocabulary::{ComputerId, PartitionId};
use std::collections::BTreeSet;

/// A formatted computer.
#[derive(Clone, Debug, PartialEq)]
pub struct FormattedComputer {
    /// Its reference.
    pub computer_id: ComputerId,
    /// Its own address.
    pub address: Option<String>,
    /// That address's netmask.
    pub netmask: Option<String>,
    /// Its partitions; those not named here are no more.
    pub partitions: Vec<FormattedPartition>,
    /// What else slapformat tells, such as `software_root`; no master needs it.
    pub details: Dictionary,
}

/// A formatted partition.
#[derive(Clone, Debug, PartialEq)]
pub struct FormattedPartition {
    /// Its reference.
    pub partition_id: PartitionId,
    /// Its addresses.
    pub addresses: Vec<FormattedAddress>,
    /// The name of its network interface.
    pub interface: Option<String>,
    /// What else slapformat tells, such as `path`; no master needs it.
    pub details: Dictionary,
}

/// An address of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormattedAddress {
    /// The address.
    pub address: String,
    /// Its netmask.
    pub netmask: String,
}

impl FormattedPartition {
    /// What an address's interface is called: the interface, or else the partition (slapos/proxy/slap_tool.py).
    pub fn interface_name(&self) -> &str {
        self.interface.as_deref().filter(|name| !name.is_empty()).unwrap_or(self.partition_id.as_str())
    }

    fn to_value(&self) -> Value {
        let addresses = self
            .addresses
            .iter()
            .map(|item| {
                Value::dictionary([
                    ("addr", Value::text(&item.address)),
                    ("netmask", Value::text(&item.netmask)),
                ])
            })
            .collect();
        let mut tap = match self.details.get("tap") {
            Some(Value::Dictionary(tap)) => tap.clone(),
            _ => Dictionary::new(),
        };
        tap.insert("name".to_owned(), Value::optional(self.interface.as_deref()));
        let mut items = self.details.clone();
        items.insert("reference".to_owned(), Value::text(self.partition_id.as_str()));
        items.insert("address_list".to_owned(), Value::List(addresses));
        items.insert("tap".to_owned(), Value::Dictionary(tap));
        Value::Dictionary(items)
    }

    fn from_value(value: &Value) -> Result<FormattedPartition, MarshalError> {
        let items = dictionary(value, "an entry of partition_list")?;
        let fields = Fields::new("an entry of partition_list", items);
        let mut addresses = Vec::new();
        for item in fields.items("address_list")? {
            let fields =
                Fields::new("an entry of address_list", dictionary(item, "an entry of address_list")?);
            addresses
                .push(FormattedAddress { address: fields.text("addr")?, netmask: fields.text("netmask")? });
        }
        let interface = match fields.dictionary("tap")? {
            Some(tap) => Fields::new("tap", tap).optional_text("name")?,
            None => None,
        };
        Ok(FormattedPartition {
            partition_id: fields.parsed("reference")?,
            addresses,
            interface,
            details: rest(items, &["reference", "address_list"]),
        })
    }
}

impl FormattedComputer {
    /// As it is written.
    pub fn to_value(&self) -> Value {
        let mut items = self.details.clone();
        items.insert("reference".to_owned(), Value::text(self.computer_id.as_str()));
        items.insert("address".to_owned(), Value::optional(self.address.as_deref()));
        items.insert("netmask".to_owned(), Value::optional(self.netmask.as_deref()));
        let partitions = self.partitions.iter().map(FormattedPartition::to_value).collect();
        items.insert("partition_list".to_owned(), Value::List(partitions));
        Value::Dictionary(items)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When an entry is missing or not of its kind, or a partition stands twice.
    pub fn from_value(value: &Value) -> Result<FormattedComputer, MarshalError> {
        let items = dictionary(value, "the document")?;
        let fields = Fields::new("the computer", items);
        let mut partitions: Vec<FormattedPartition> = Vec::new();
        let mut seen = BTreeSet::new();
        for item in fields.items("partition_list")? {
            let partition = FormattedPartition::from_value(item)?;
            if !seen.insert(partition.partition_id.clone()) {
                return Err(MarshalError::new(format!(
                    "the partition {} stands twice in partition_list",
                    partition.partition_id
                )));
            }
            partitions.push(partition);
        }
        Ok(FormattedComputer {
            computer_id: fields.parsed("reference")?,
            address: fields.optional_text("address")?,
            netmask: fields.optional_text("netmask")?,
            partitions,
            details: rest(items, &["reference", "address", "netmask", "partition_list"]),
        })
    }
}

fn dictionary<'a>(value: &'a Value, what: &str) -> Result<&'a Dictionary, MarshalError> {
    value
        .as_dictionary()
        .ok_or_else(|| MarshalError::new(format!("{what} is {}: expected a dictionary", value.kind())))
}

fn rest(items: &Dictionary, known: &[&str]) -> Dictionary {
    let mut rest = items.clone();
    rest.retain(|key, _| !known.contains(&key.as_str()));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::marshal::{decode, encode};

    /// Written by slapos.core 1.24.1 (`slapos.util.dumps`).
    const GOLDEN: &str = "<marshal><dictionary id=\"i2\"><string>address</string><string>127.0.0.1</string>\
        <string>netmask</string><string>255.255.255.255</string><string>partition_list</string><list id=\"i3\">\
        <dictionary id=\"i4\"><string>address_list</string><list id=\"i5\"><dictionary id=\"i6\"><string>addr</string>\
        <string>127.0.0.2</string><string>netmask</string><string>255.255.255.255</string></dictionary></list>\
        <string>reference</string><string>slappart0</string><string>tap</string><dictionary id=\"i7\">\
        <string>name</string><string>tap0</string></dictionary></dictionary></list><string>reference</string>\
        <string>COMP-1</string></dictionary></marshal>";

    #[test]
    fn written_and_read_as_python_does() {
        let read = FormattedComputer::from_value(&decode(GOLDEN.as_bytes()).unwrap()).unwrap();
        assert_eq!(encode(&read.to_value()), GOLDEN);
        assert_eq!(read.partitions[0].interface_name(), "tap0");
        assert_eq!(read.partitions[0].addresses[0].address, "127.0.0.2");
    }

    #[test]
    fn without_an_interface_the_partition_lends_its_name() {
        let document = GOLDEN.replace("<string>tap0</string>", "<none/>");
        let read = FormattedComputer::from_value(&decode(document.as_bytes()).unwrap()).unwrap();
        assert_eq!(read.partitions[0].interface_name(), "slappart0");
    }

    #[test]
    fn what_is_refused_is_named() {
        for (from, to, expected) in [
            ("COMP-1", "../x", "reference of the computer"),
            ("slappart0", "a/b", "reference of an entry of partition_list"),
            ("<string>reference</string><string>COMP-1</string>", "", "no reference"),
            ("<string>addr</string>", "<string>adr</string>", "no addr"),
        ] {
            let document = GOLDEN.replace(from, to);
            let error = FormattedComputer::from_value(&decode(document.as_bytes()).unwrap()).unwrap_err();
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
    }
}
