//! Users who ask for one of the two historical frontends: the master answers what they would publish, and keeps nothing of it
//! (docs/slap-protocol.md, 3).

use super::{
    asker::{Answered, Asker, no_answer},
    client,
};
use crate::swarm::told::Told;
use serde_json::json;
use slap_impl::{client::InstanceRequest, wire::objects::Requested};
use std::collections::BTreeMap;

const WEB: &str =
    "http://git.erp5.org/gitweb/slapos.git/blob_plain/HEAD:/software/apache-frontend/software.cfg";
const SCREEN: &str =
    "http://git.erp5.org/gitweb/slapos.git/blob_plain/refs/tags/slapos-0.92:/software/kvm/software.cfg";
/// Its title.
const TITLE: &str = "frontend";

/// What is asked for, and what is told.
struct Frontend {
    release: &'static str,
    software_type: &'static str,
    parameters: BTreeMap<String, String>,
    connection: BTreeMap<String, String>,
}

fn frontend(is_screen: bool) -> Frontend {
    let texts = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    if is_screen {
        return Frontend {
            release: SCREEN,
            software_type: "frontend",
            parameters: texts(&[("host", "fd00::7"), ("port", "5900")]),
            connection: texts(&[
                ("domainname", "[fd00::7]"),
                ("path", "/"),
                ("port", "5900"),
                ("url", "https://[fd00::7]:5900/"),
            ]),
        };
    }
    let url = "http://10.0.0.7:8080/page";
    Frontend {
        release: WEB,
        software_type: "default",
        parameters: texts(&[("url", url)]),
        connection: texts(&[("domain", "10.0.0.7:8080"), ("secure_access", url)]),
    }
}

impl Asker<'_> {
    /// Asks for a frontend by either wire.
    pub(super) async fn stand_in(&self, is_screen: bool, is_rpc: bool) -> Answered {
        let wanted = frontend(is_screen);
        let found = if is_rpc {
            let document = json!({
                "title": TITLE,
                "software_release_uri": wanted.release,
                "software_type": wanted.software_type,
                "parameters": wanted.parameters,
                "shared": true,
            });
            let found = self.rpc("slapos.post.v0.software_instance", document).await?;
            let is_nowhere = found["computer_guid"] == "";
            serde_json::from_value(found["connection_parameters"].clone()).ok().filter(|_| is_nowhere)
        } else {
            let wish = InstanceRequest {
                software_release: wanted.release.parse().expect("it is a URL"),
                software_type: wanted.software_type.to_owned(),
                title: TITLE.parse().expect("it is a title"),
                parameters: wanted.parameters,
                filter: BTreeMap::new(),
                state: None,
                shared: true,
            };
            let client = client(self.cloud, self.env);
            match client.request_or_stand_in(None, &wish).await.map_err(no_answer)? {
                Requested::Instance(_) => None,
                Requested::StandIn(found) => found
                    .connection
                    .iter()
                    .map(|(key, value)| Some((key.clone(), value.as_text()?.to_owned())))
                    .collect(),
            }
        };
        let expected: Option<BTreeMap<String, String>> = Some(wanted.connection);
        Ok(self.is_said("a frontend", found, &expected, Told::AsDocumented))
    }
}
