//! What the documents mean: computers, partitions, software releases and the answers to requests, as slapos.slap reads
//! and writes them (slapos/slap/slap.py; slapos/proxy/slap_tool.py, `partitiondict2partition`).
//!
//! Each type has `to_value` and `from_value`. Attributes that slapos.core does not read are ignored; ids and states are
//! checked here, so a partition's id is safe as the name of a directory.

mod elsewhere;

pub use elsewhere::{Forwarded, Requested, StandIn};

use super::{
    fields::{Fields, dictionary, parameters},
    instance_xml::Parameters,
    marshal::{Class, Dictionary, MarshalError, Object, Value, Writer},
};
use crate::vocabulary::{ComputerId, PartitionId, RequestedState, SoftwareUrl, SupplyState};

/// A computer: what shall be built on it, and its partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Computer {
    /// Its reference.
    pub computer_id: ComputerId,
    /// What shall be built or removed there.
    pub software_releases: Vec<SoftwareRelease>,
    /// All its partitions, the free ones too.
    pub partitions: Vec<ComputerPartition>,
}

/// A software release on a computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftwareRelease {
    /// Where its profile stands.
    pub url: SoftwareUrl,
    /// On which computer.
    pub computer_id: ComputerId,
    /// What is wanted; absent where the release only names what a partition runs.
    pub requested_state: Option<SupplyState>,
}

/// A partition, and what shall be in it.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputerPartition {
    /// Its computer.
    pub computer_id: ComputerId,
    /// Its reference there; also the name of its directory.
    pub partition_id: PartitionId,
    /// A name of the instance that no other has.
    pub instance_guid: Option<String>,
    /// What is wanted; a free partition is `Destroyed`.
    pub requested_state: RequestedState,
    /// Whether there is anything to do; a free partition has nothing.
    pub need_modification: bool,
    /// The last report, where the master sends it.
    pub access_status: Option<String>,
    /// What shall be in it; none when it is free.
    pub instance: Option<Instance>,
}

/// What shall be in a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// What it is an instance of.
    pub software_release: SoftwareRelease,
    /// Which of the release's types.
    pub software_type: String,
    /// The name that its requester gave it.
    pub title: String,
    /// The title of the root of its tree.
    pub root_title: String,
    /// The parameters that its requester gave.
    pub parameters: Parameters,
    /// Pairs of an interface's name and an address.
    pub addresses: Vec<(String, String)>,
    /// Tuples of interface, address, gateway, netmask and network; empty with slapproxy.
    pub full_addresses: Vec<Vec<String>>,
    /// The shared instances that it hosts.
    pub shared_instances: Vec<SharedInstance>,
    /// A text that changes whenever it must be processed again: seconds since 1970.
    pub timestamp: Option<String>,
    /// What it published.
    pub connection: Parameters,
}

/// A shared ("slave") instance, as its host sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedInstance {
    /// The name that its requester gave it.
    pub title: String,
    /// The name under which its host publishes for it.
    pub reference: String,
    /// Which of the release's types.
    pub software_type: Option<String>,
    /// Its parameters, and what else the master says of it.
    pub parameters: Dictionary,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SoftwareInstance {
    /// The computer that it was given.
    pub computer_id: String,
    /// The partition that it was given, or that hosts it.
    pub partition_id: String,
    /// What it is an instance of.
    pub software_release_url: String,
    /// Which of the release's types.
    pub software_type: Option<String>,
    /// Pairs of an interface's name and an address.
    pub addresses: Vec<(String, String)>,
    /// Its parameters.
    pub parameters: Parameters,
    /// When it last changed, in seconds since 1970; not for shared ones.
    pub timestamp: Option<String>,
    /// What it published.
    pub connection: Parameters,
    /// What is wanted; slapproxy does not say it of a shared one.
    pub requested_state: Option<RequestedState>,
    /// What only an instance with a partition of its own has; none for a shared one.
    pub own: Option<OwnPartition>,
}

/// What only an instance with a partition of its own has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPartition {
    /// A name that no other has.
    pub instance_guid: String,
    /// What it published, as it is stored.
    pub connection_xml: Option<String>,
}

/// Keys of a parameter dictionary that the master sets, over a user's own of that name.
pub const RESERVED_PARAMETERS: [&str; 10] = [
    "full_address_list",
    "instance_title",
    "ip_list",
    "root_instance_title",
    "slap_computer_id",
    "slap_computer_partition_id",
    "slap_software_release_url",
    "slap_software_type",
    "slave_instance_list",
    "timestamp",
];

impl Computer {
    /// The document of a computer that has partitions, each of which `partition` writes in its turn.
    pub fn write(
        computer_id: &ComputerId,
        software_releases: &[SoftwareRelease],
        bytes: usize,
        mut partitions: impl FnMut(&mut Writer),
    ) -> String {
        let mut writer = Writer::new();
        writer.reserve(bytes);
        writer.begin_object(Class::Computer, &[text(computer_id)]);
        writer.begin("dictionary");
        writer.text("_computer_id");
        writer.value(&text(computer_id));
        writer.text("_computer_partition_list");
        writer.begin("list");
        partitions(&mut writer);
        writer.end("list");
        writer.text("_software_release_list");
        writer.value(&Value::List(software_releases.iter().map(SoftwareRelease::to_value).collect()));
        writer.end("dictionary");
        writer.end("object");
        writer.finish()
    }

    /// As it is written.
    pub fn to_value(&self) -> Value {
        let releases = self.software_releases.iter().map(SoftwareRelease::to_value).collect();
        let partitions = self.partitions.iter().map(ComputerPartition::to_value).collect();
        object(
            Class::Computer,
            vec![text(&self.computer_id)],
            [
                ("_computer_id", text(&self.computer_id)),
                ("_computer_partition_list", Value::List(partitions)),
                ("_software_release_list", Value::List(releases)),
            ],
        )
    }

    /// Reads it.
    ///
    /// # Errors
    /// When an attribute is missing or not of its kind.
    pub fn from_value(value: &Value) -> Result<Computer, MarshalError> {
        let object = expect(value, &[Class::Computer])?;
        let fields = Fields::new("a Computer", &object.attributes);
        let computer_id = match fields.get("_computer_id") {
            Some(_) => fields.parsed("_computer_id")?,
            None => argument(object, 0, "a Computer's id")?,
        };
        Ok(Computer {
            computer_id,
            software_releases: fields
                .items("_software_release_list")?
                .iter()
                .map(SoftwareRelease::from_value)
                .collect::<Result<_, _>>()?,
            partitions: fields
                .items("_computer_partition_list")?
                .iter()
                .map(ComputerPartition::from_value)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl SoftwareRelease {
    /// As it is written.
    pub fn to_value(&self) -> Value {
        let mut value = object(
            Class::SoftwareRelease,
            vec![text(&self.url), text(&self.computer_id)],
            [
                ("_computer_guid", text(&self.computer_id)),
                ("_software_instance_list", Value::List(Vec::new())),
                ("_software_release", text(&self.url)),
            ],
        );
        if let (Value::Object(object), Some(state)) = (&mut value, self.requested_state) {
            object.attributes.insert("_requested_state".to_owned(), text(&state));
        }
        value
    }

    /// Reads it.
    ///
    /// # Errors
    /// When an attribute is missing or not of its kind.
    pub fn from_value(value: &Value) -> Result<SoftwareRelease, MarshalError> {
        let object = expect(value, &[Class::SoftwareRelease])?;
        let fields = Fields::new("a SoftwareRelease", &object.attributes);
        Ok(SoftwareRelease {
            url: match fields.get("_software_release") {
                Some(_) => fields.parsed("_software_release")?,
                None => argument(object, 0, "a SoftwareRelease's URL")?,
            },
            computer_id: match fields.get("_computer_guid") {
                Some(_) => fields.parsed("_computer_guid")?,
                None => argument(object, 1, "a SoftwareRelease's computer")?,
            },
            requested_state: match fields.get("_requested_state") {
                Some(_) => Some(fields.parsed("_requested_state")?),
                None => None,
            },
        })
    }
}

impl ComputerPartition {
    /// As it is written.
    pub fn to_value(&self) -> Value {
        let release = self.instance.as_ref().map_or(Value::None, |it| it.software_release.to_value());
        let mut value = object(
            Class::ComputerPartition,
            vec![text(&self.computer_id), text(&self.partition_id), Value::None],
            [
                ("_computer_id", text(&self.computer_id)),
                ("_instance_guid", Value::optional(self.instance_guid.as_deref())),
                ("_need_modification", Value::Int(i128::from(self.need_modification))),
                ("_partition_id", text(&self.partition_id)),
                ("_request_dict", Value::None),
                ("_requested_state", text(&self.requested_state)),
                ("_software_release_document", release),
            ],
        );
        if let Value::Object(object) = &mut value {
            if let Some(instance) = &self.instance {
                let parameters = self.parameter_dictionary(instance);
                let connection = dictionary(&instance.connection);
                object.attributes.insert("_parameter_dict".to_owned(), Value::Dictionary(parameters));
                object.attributes.insert("_connection_dict".to_owned(), Value::Dictionary(connection));
            }
            if let Some(status) = &self.access_status {
                object.attributes.insert("_access_status".to_owned(), Value::text(status));
            }
        }
        value
    }

    /// What the partition's instance profile is given: the user's parameters and those of the master, which win.
    pub fn parameter_dictionary(&self, instance: &Instance) -> Dictionary {
        let mut all = dictionary(&instance.parameters);
        let full = instance.full_addresses.iter().map(|items| tuple(items)).collect();
        let shared = instance.shared_instances.iter().map(SharedInstance::to_value).collect();
        for (key, value) in [
            ("ip_list", addresses(&instance.addresses)),
            ("full_address_list", Value::List(full)),
            ("slap_software_type", Value::text(&instance.software_type)),
            ("instance_title", Value::text(&instance.title)),
            ("root_instance_title", Value::text(&instance.root_title)),
            ("slap_computer_id", text(&self.computer_id)),
            ("slap_computer_partition_id", text(&self.partition_id)),
            ("slap_software_release_url", text(&instance.software_release.url)),
            ("slave_instance_list", Value::List(shared)),
        ] {
            all.insert(key.to_owned(), value);
        }
        if let Some(timestamp) = &instance.timestamp {
            all.insert("timestamp".to_owned(), Value::text(timestamp));
        }
        all
    }

    /// Reads it.
    ///
    /// # Errors
    /// When an attribute is missing or not of its kind.
    pub fn from_value(value: &Value) -> Result<ComputerPartition, MarshalError> {
        let object = expect(value, &[Class::ComputerPartition])?;
        let fields = Fields::new("a ComputerPartition", &object.attributes);
        Ok(ComputerPartition {
            computer_id: match fields.get("_computer_id") {
                Some(_) => fields.parsed("_computer_id")?,
                None => argument(object, 0, "a ComputerPartition's computer")?,
            },
            partition_id: match fields.get("_partition_id") {
                Some(_) => fields.parsed("_partition_id")?,
                None => argument(object, 1, "a ComputerPartition's id")?,
            },
            instance_guid: fields.optional_text("_instance_guid")?,
            requested_state: match fields.get("_requested_state") {
                Some(_) => fields.parsed("_requested_state")?,
                None => RequestedState::Destroyed,
            },
            need_modification: fields.get("_need_modification").is_some_and(Value::is_true),
            access_status: fields.optional_text("_access_status")?,
            instance: match fields.get("_software_release_document") {
                Some(release) => Some(Instance::from_fields(SoftwareRelease::from_value(release)?, &fields)?),
                None => None,
            },
        })
    }
}

impl Instance {
    fn from_fields(software_release: SoftwareRelease, outer: &Fields<'_>) -> Result<Instance, MarshalError> {
        let empty = Dictionary::new();
        let all = outer.dictionary("_parameter_dict")?.unwrap_or(&empty);
        let fields = Fields::new("a partition's parameters", all);
        let mut own = all.clone();
        own.retain(|key, _| !RESERVED_PARAMETERS.contains(&key.as_str()));
        let title = fields.optional_text("instance_title")?.unwrap_or_default();
        Ok(Instance {
            software_type: fields.optional_text("slap_software_type")?.unwrap_or_default(),
            root_title: fields.optional_text("root_instance_title")?.unwrap_or_else(|| title.clone()),
            title,
            addresses: read_addresses(&fields, "ip_list")?,
            full_addresses: fields
                .items("full_address_list")?
                .iter()
                .map(|item| texts(item, "full_address_list"))
                .collect::<Result<_, _>>()?,
            shared_instances: fields
                .items("slave_instance_list")?
                .iter()
                .map(SharedInstance::from_value)
                .collect::<Result<_, _>>()?,
            timestamp: fields.optional_text("timestamp")?,
            connection: outer.parameters("_connection_dict")?,
            parameters: parameters(&own)?,
            software_release,
        })
    }
}

impl SharedInstance {
    /// As it is written: a dictionary with the parameters beside the names.
    pub fn to_value(&self) -> Value {
        let mut items = self.parameters.clone();
        items.insert("slave_title".to_owned(), Value::text(&self.title));
        items.insert("slave_reference".to_owned(), Value::text(&self.reference));
        items.insert("slap_software_type".to_owned(), Value::optional(self.software_type.as_deref()));
        Value::Dictionary(items)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no dictionary, or has no reference.
    pub fn from_value(value: &Value) -> Result<SharedInstance, MarshalError> {
        let items = value.as_dictionary().ok_or_else(|| {
            MarshalError::new(format!("a shared instance is {}: expected a dictionary", value.kind()))
        })?;
        let fields = Fields::new("a shared instance", items);
        let reference = fields.text("slave_reference")?;
        let mut own = items.clone();
        own.retain(|key, _| {
            !["slave_title", "slave_reference", "slap_software_type"].contains(&key.as_str())
        });
        Ok(SharedInstance {
            title: fields.optional_text("slave_title")?.unwrap_or_else(|| reference.clone()),
            software_type: fields.optional_text("slap_software_type")?,
            reference,
            parameters: own,
        })
    }
}

impl SoftwareInstance {
    /// As slapproxy writes it (slapos/proxy/db.py, `requestNotSlave` and `requestSlave`).
    pub fn to_value(&self) -> Value {
        let mut all = dictionary(&self.parameters);
        if let Some(timestamp) = &self.timestamp {
            all.insert("timestamp".to_owned(), Value::text(timestamp));
        }
        let mut value = object(
            Class::SoftwareInstance,
            Vec::new(),
            [
                ("_connection_dict", Value::Dictionary(dictionary(&self.connection))),
                ("_parameter_dict", Value::Dictionary(all)),
                ("ip_list", addresses(&self.addresses)),
                ("slap_computer_id", Value::text(&self.computer_id)),
                ("slap_computer_partition_id", Value::text(&self.partition_id)),
                ("slap_server_url", Value::text("slap_server_url")),
                ("slap_software_release_url", Value::text(&self.software_release_url)),
                ("slap_software_type", Value::optional(self.software_type.as_deref())),
            ],
        );
        if let Value::Object(object) = &mut value {
            let mut add = |key: &str, value: Value| drop(object.attributes.insert(key.to_owned(), value));
            if let Some(state) = &self.requested_state {
                add("_requested_state", text(state));
            }
            if let Some(own) = &self.own {
                add("_instance_guid", Value::text(&own.instance_guid));
                add("connection_xml", Value::optional(own.connection_xml.as_deref()));
            }
        }
        value
    }

    /// Reads it. slapproxy answers with a ComputerPartition where it stands in for a frontend, so that is read, too.
    ///
    /// # Errors
    /// When an attribute is missing or not of its kind.
    pub fn from_value(value: &Value) -> Result<SoftwareInstance, MarshalError> {
        let object = expect(value, &[Class::SoftwareInstance, Class::ComputerPartition])?;
        let fields = Fields::new("a SoftwareInstance", &object.attributes);
        let mut parameters = fields.parameters("_parameter_dict").or_else(|_| reduced(&fields))?;
        let timestamp = parameters.remove("timestamp").flatten();
        let own = match fields.optional_text("_instance_guid")? {
            Some(instance_guid) => {
                Some(OwnPartition { instance_guid, connection_xml: fields.optional_text("connection_xml")? })
            }
            None => None,
        };
        let requested_state = match fields.get("_requested_state") {
            Some(_) => Some(fields.parsed("_requested_state")?),
            None => None,
        };
        Ok(SoftwareInstance {
            computer_id: fields.text("slap_computer_id")?,
            partition_id: fields.text("slap_computer_partition_id")?,
            software_release_url: fields.optional_text("slap_software_release_url")?.unwrap_or_default(),
            software_type: fields.optional_text("slap_software_type")?,
            addresses: read_addresses(&fields, "ip_list")?,
            parameters,
            timestamp,
            connection: fields.parameters("_connection_dict")?,
            requested_state,
            own,
        })
    }
}

/// The real master puts lists beside the user's parameters; they are not the user's.
fn reduced(fields: &Fields<'_>) -> Result<Parameters, MarshalError> {
    let mut all = fields.dictionary("_parameter_dict")?.cloned().unwrap_or_default();
    all.retain(|key, _| key == "timestamp" || !RESERVED_PARAMETERS.contains(&key.as_str()));
    parameters(&all)
}

fn object<const N: usize>(class: Class, arguments: Vec<Value>, attributes: [(&str, Value); N]) -> Value {
    let attributes = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Value::Object(Box::new(Object { class, arguments, attributes }))
}

fn text(value: &dyn std::fmt::Display) -> Value {
    Value::Text(value.to_string())
}

fn tuple(items: &[String]) -> Value {
    Value::Tuple(items.iter().map(Value::text).collect())
}

fn addresses(pairs: &[(String, String)]) -> Value {
    Value::List(pairs.iter().map(|(name, address)| tuple(&[name.clone(), address.clone()])).collect())
}

fn read_addresses(fields: &Fields<'_>, name: &str) -> Result<Vec<(String, String)>, MarshalError> {
    let mut pairs = Vec::new();
    for item in fields.items(name)? {
        match texts(item, name)?.as_slice() {
            [interface, address, ..] => pairs.push((interface.clone(), address.clone())),
            _ => {
                return Err(MarshalError::new(format!(
                    "an entry of {name} is no pair of interface and address"
                )));
            }
        }
    }
    Ok(pairs)
}

fn texts(item: &Value, name: &str) -> Result<Vec<String>, MarshalError> {
    let bad =
        || MarshalError::new(format!("an entry of {name} is {}: expected a tuple of text", item.kind()));
    item.as_items()
        .ok_or_else(bad)?
        .iter()
        .map(|item| match item {
            Value::None => Ok(String::new()),
            other => other.to_plain_text().ok_or_else(bad),
        })
        .collect()
}

fn expect<'a>(value: &'a Value, classes: &[Class]) -> Result<&'a Object, MarshalError> {
    match value {
        Value::Object(object) if classes.contains(&object.class) => Ok(object),
        other => Err(MarshalError::new(format!(
            "it holds {}: expected a {}",
            other.kind(),
            classes.first().map_or("", |class| class.as_str())
        ))),
    }
}

fn argument<T: std::str::FromStr<Err: std::fmt::Display>>(
    object: &Object,
    index: usize,
    what: &str,
) -> Result<T, MarshalError> {
    let text = object.arguments.get(index).and_then(Value::as_text);
    text.ok_or_else(|| MarshalError::new(format!("{what} is missing")))?
        .parse()
        .map_err(|error| MarshalError::new(format!("{what}: {error}")))
}

#[cfg(test)]
mod tests;
