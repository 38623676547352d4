//! Answers to requests that no partition of this master serves: slapproxy writes them as a ComputerPartition
//! (slapos/proxy/db.py, `requestInstanceFromDB`, `forwardRequestToExternalMaster`).

use super::{SoftwareInstance, expect, object};
use crate::wire::{
    fields::Fields,
    marshal::{Class, Dictionary, MarshalError, Value},
};

/// The answer in place of an instance that there is not; its connection is all that it has.
#[derive(Clone, Debug, PartialEq)]
pub struct StandIn {
    /// What stands where a partition's name would.
    pub partition_id: String,
    /// What the instance would publish.
    pub connection: Dictionary,
}

/// What a master answers to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Requested {
    /// An instance.
    Instance(Box<SoftwareInstance>),
    /// None: the master stands in for it, or another one that it asked.
    StandIn(StandIn),
}

/// The answer of another master.
#[derive(Clone, Debug, PartialEq)]
pub struct Forwarded {
    /// Which master, as the settings name it.
    pub master_url: String,
    /// The release that was asked for.
    pub software_release: String,
    /// Whether it is a shared instance.
    pub shared: bool,
    /// What the other master said.
    pub requested: Requested,
}

impl Requested {
    /// Reads it. A stand-in is a ComputerPartition that is nowhere and has no release.
    ///
    /// # Errors
    /// When an attribute is missing or not of its kind.
    pub fn from_value(value: &Value) -> Result<Requested, MarshalError> {
        let object = expect(value, &[Class::SoftwareInstance, Class::ComputerPartition])?;
        let fields = Fields::new("a ComputerPartition", &object.attributes);
        let is_nowhere = fields.text("slap_computer_id")?.is_empty()
            && fields.text("slap_computer_partition_id")?.is_empty();
        if object.class == Class::SoftwareInstance
            || !is_nowhere
            || fields.get("slap_software_release_url").is_some()
        {
            return Ok(Requested::Instance(Box::new(SoftwareInstance::from_value(value)?)));
        }
        let connection = fields.parameters("_connection_dict")?.into_iter();
        Ok(Requested::StandIn(StandIn {
            partition_id: fields.optional_text("_partition_id")?.unwrap_or_default(),
            connection: connection.map(|(key, value)| (key, Value::optional(value.as_deref()))).collect(),
        }))
    }

    /// The computer and the partition that it was given, or what stands in their places.
    pub fn place(&self) -> (&str, &str) {
        match self {
            Requested::Instance(found) => (&found.computer_id, &found.partition_id),
            Requested::StandIn(found) => ("", &found.partition_id),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Requested::Instance(found) => found.to_value(),
            Requested::StandIn(found) => found.to_value(),
        }
    }
}

impl StandIn {
    /// As it is written.
    pub fn to_value(&self) -> Value {
        let partition = Value::text(&self.partition_id);
        object(
            Class::ComputerPartition,
            vec![Value::text(""), partition.clone(), Value::None],
            [
                ("_computer_id", Value::text("")),
                ("_connection_dict", Value::Dictionary(self.connection.clone())),
                ("_parameter_dict", Value::Dictionary(Dictionary::new())),
                ("_partition_id", partition),
                ("_request_dict", Value::None),
                ("slap_computer_id", Value::text("")),
                ("slap_computer_partition_id", Value::text("")),
            ],
        )
    }
}

impl Forwarded {
    /// As it is written: all that the other master said, and where it comes from.
    pub fn to_value(&self) -> Value {
        let (computer, partition) = self.requested.place();
        let (computer, partition) = (Value::text(computer), Value::text(partition));
        let mut value = object(
            Class::ComputerPartition,
            vec![computer.clone(), partition.clone(), Value::None],
            [
                ("_computer_id", computer),
                ("_connection_helper", Value::None),
                ("_hateoas_navigator", Value::None),
                ("_master_url", Value::text(&self.master_url)),
                ("_partition_id", partition),
                ("_request_dict", Value::None),
                ("_software_release_document", Value::text(&self.software_release)),
            ],
        );
        if let (Value::Object(all), Value::Object(said)) = (&mut value, self.requested.to_value()) {
            all.attributes.extend(said.attributes);
            if self.shared {
                all.attributes.insert("_synced".to_owned(), Value::Bool(true));
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::marshal::encode;

    fn dictionary(pairs: &[(&str, &str)]) -> Dictionary {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::text(*value))).collect()
    }

    /// What slapos.core 1.24.1 wrote where it was asked for such a frontend.
    #[test]
    fn a_stand_in_as_slapproxy_writes_it() {
        let connection = dictionary(&[
            ("domainname", "[::1]"),
            ("path", "/"),
            ("port", "123"),
            ("url", "https://[::1]:123/"),
        ]);
        let partition_id = "Fake KVM VNC frontend for https://[::1]:123/".to_owned();
        let expected = "<marshal><object id=\"i2\" module=\"slapos.slap.slap\" class=\"ComputerPartition\"><tuple>\
            <string></string><string>Fake KVM VNC frontend for https://[::1]:123/</string><none/></tuple>\
            <dictionary id=\"i3\"><string>_computer_id</string><string></string><string>_connection_dict</string>\
            <dictionary id=\"i4\"><string>domainname</string><string>[::1]</string><string>path</string>\
            <string>/</string><string>port</string><string>123</string><string>url</string>\
            <string>https://[::1]:123/</string></dictionary><string>_parameter_dict</string><dictionary id=\"i5\"/>\
            <string>_partition_id</string><string>Fake KVM VNC frontend for https://[::1]:123/</string>\
            <string>_request_dict</string><none/><string>slap_computer_id</string><string></string>\
            <string>slap_computer_partition_id</string><string></string></dictionary></object></marshal>";
        assert_eq!(encode(&StandIn { partition_id, connection }.to_value()), expected);
    }

    /// What slapos.core 1.24.1 wrote where another slapproxy had answered it.
    #[test]
    fn another_masters_answer_as_slapproxy_writes_it() {
        let instance = SoftwareInstance {
            computer_id: "EXT".to_owned(),
            partition_id: "slappart1".to_owned(),
            software_release_url: "/fwd".to_owned(),
            software_type: Some("default".to_owned()),
            addresses: vec![("tap1".to_owned(), "1.2.3.1".to_owned())],
            parameters: [("k".to_owned(), Some("v".to_owned()))].into_iter().collect(),
            ..SoftwareInstance::default()
        };
        let forwarded = Forwarded {
            master_url: "http://127.0.0.1:5983".to_owned(),
            software_release: "/fwd".to_owned(),
            shared: true,
            requested: Requested::Instance(Box::new(instance.clone())),
        };
        let expected = "<marshal><object id=\"i2\" module=\"slapos.slap.slap\" class=\"ComputerPartition\"><tuple>\
            <string>EXT</string><string>slappart1</string><none/></tuple><dictionary id=\"i3\">\
            <string>_computer_id</string><string>EXT</string><string>_connection_dict</string>\
            <dictionary id=\"i4\"/><string>_connection_helper</string><none/><string>_hateoas_navigator</string>\
            <none/><string>_master_url</string><string>http://127.0.0.1:5983</string>\
            <string>_parameter_dict</string><dictionary id=\"i5\"><string>k</string><string>v</string></dictionary>\
            <string>_partition_id</string><string>slappart1</string><string>_request_dict</string><none/>\
            <string>_software_release_document</string><string>/fwd</string><string>_synced</string><bool>1</bool>\
            <string>ip_list</string><list id=\"i6\"><tuple><string>tap1</string><string>1.2.3.1</string></tuple>\
            </list><string>slap_computer_id</string><string>EXT</string><string>slap_computer_partition_id</string>\
            <string>slappart1</string><string>slap_server_url</string><string>slap_server_url</string>\
            <string>slap_software_release_url</string><string>/fwd</string><string>slap_software_type</string>\
            <string>default</string></dictionary></object></marshal>";
        assert_eq!(encode(&forwarded.to_value()), expected);
        assert_eq!(SoftwareInstance::from_value(&forwarded.to_value()), Ok(instance));
        assert_eq!(Requested::from_value(&forwarded.to_value()), Ok(forwarded.requested));
    }

    /// What slapos.core 1.24.1 wrote where another slapproxy stood in for a frontend.
    #[test]
    fn another_masters_stand_in_as_slapproxy_writes_it() {
        let stand_in = StandIn {
            partition_id: "Fake frontend for http://x/".to_owned(),
            connection: dictionary(&[("domain", "x"), ("secure_access", "http://x/")]),
        };
        let requested = Requested::StandIn(stand_in.clone());
        assert_eq!(Requested::from_value(&stand_in.to_value()), Ok(requested.clone()));
        let forwarded = Forwarded {
            master_url: "http://127.0.0.1:15911".to_owned(),
            software_release: "/fwd".to_owned(),
            shared: true,
            requested,
        };
        let expected = "<marshal><object id=\"i2\" module=\"slapos.slap.slap\" class=\"ComputerPartition\"><tuple>\
            <string></string><string>Fake frontend for http://x/</string><none/></tuple><dictionary id=\"i3\">\
            <string>_computer_id</string><string></string><string>_connection_dict</string>\
            <dictionary id=\"i4\"><string>domain</string><string>x</string><string>secure_access</string>\
            <string>http://x/</string></dictionary><string>_connection_helper</string><none/>\
            <string>_hateoas_navigator</string><none/><string>_master_url</string>\
            <string>http://127.0.0.1:15911</string><string>_parameter_dict</string><dictionary id=\"i5\"/>\
            <string>_partition_id</string><string>Fake frontend for http://x/</string>\
            <string>_request_dict</string><none/><string>_software_release_document</string>\
            <string>/fwd</string><string>_synced</string><bool>1</bool><string>slap_computer_id</string>\
            <string></string><string>slap_computer_partition_id</string><string></string></dictionary></object>\
            </marshal>";
        assert_eq!(encode(&forwarded.to_value()), expected);
        // One that was passed on twice is still one.
        assert_eq!(Requested::from_value(&forwarded.to_value()), Ok(forwarded.requested));
    }

    #[test]
    fn an_instance_that_nothing_serves_yet_is_no_stand_in() {
        let unserved =
            SoftwareInstance { software_release_url: "/r".to_owned(), ..SoftwareInstance::default() };
        for value in [
            unserved.to_value(),
            Forwarded {
                master_url: "http://a/".to_owned(),
                software_release: "/r".to_owned(),
                shared: true,
                requested: Requested::Instance(Box::new(unserved.clone())),
            }
            .to_value(),
        ] {
            let read = Requested::from_value(&value).unwrap();
            assert!(matches!(read, Requested::Instance(read) if *read == unserved));
        }
    }
}
