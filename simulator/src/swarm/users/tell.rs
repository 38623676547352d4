//! What users tell that nodes might: by JSON-RPC mostly, where nobody is told apart.

use super::{
    COMPLAINT,
    asker::{Asker, done, name, no_answer, no_certificate, text},
    client, computer, guid, parameters, title,
};
use crate::swarm::{
    cloud::{INTERFACE, partition_address},
    history::{Answer, Outcome},
    script::Tell,
    told::Told,
};
use serde_json::{Value as Json, json};

/// Does what the script says.
pub(super) async fn tell(asker: &Asker<'_>, tell: Tell) -> Outcome {
    match asker.tell(tell).await {
        Ok(()) => Outcome::Answer(Answer::Done),
        Err(outcome) => outcome,
    }
}

impl Asker<'_> {
    async fn tell(&self, tell: Tell) -> Result<(), Outcome> {
        let reference = |node| computer(node).to_string();
        let (method, document, expected) = match tell {
            Tell::BangComputer { node, rpc: false } => {
                let client = client(self.cloud, self.env);
                return client.bang_computer(&computer(node), COMPLAINT).await.map_err(no_answer);
            }
            Tell::Usage { node, rpc: false } => {
                let fields = [("computer_id", reference(node)), ("use_string", "<usage/>".to_owned())];
                let found = self.post("/useComputer", &fields).await?;
                self.is_said("a report of usage", text(&found), &"Ignored".to_owned(), Told::AsDocumented);
                return Ok(());
            }
            Tell::BangComputer { node, .. } => (
                "put.v0.compute_node_bang",
                json!({ "computer_guid": reference(node), "message": COMPLAINT }),
                done("Ignored"),
            ),
            Tell::Bang { title: number } => (
                "put.v0.software_instance_bang",
                json!({ "instance_guid": guid(&title(number)), "message": COMPLAINT }),
                done("Bang handled"),
            ),
            Tell::Publish { title: number, note } => (
                "put.v0.software_instance_connection_parameter",
                json!({
                    "instance_guid": guid(&title(number)),
                    "connection_parameter_dict": parameters(note),
                }),
                done("Updated"),
            ),
            Tell::Format { node } => ("put.v0.compute_node_format", self.formatted(node), done("Formatted")),
            Tell::Available { node, release } => (
                "put.v0.software_installation_reported_state",
                json!({
                    "computer_guid": reference(node),
                    "software_release_uri": self.cloud.release_url(release),
                    "reported_state": "available",
                }),
                done("Ignored"),
            ),
            Tell::Usage { node, .. } => (
                "post.v0.compute_node_usage",
                json!({ "computer_guid": reference(node), "tioxml": "<usage/>" }),
                done("Ignored"),
            ),
            Tell::Certificate { node, is_revoked: false } => {
                let document = json!({ "computer_guid": reference(node) });
                ("post.v0.compute_node_certificate", document, no_certificate())
            }
            Tell::Certificate { node, .. } => {
                let document = json!({ "computer_guid": reference(node) });
                ("remove.v0.compute_node_certificate", document, done("Ignored"))
            }
        };
        let found = self.rpc(&format!("slapos.{method}"), document).await?;
        self.is_said(method, found, &expected, Told::AsDocumented);
        Ok(())
    }

    /// A node's partitions, as its own definition has them.
    fn formatted(&self, node: u32) -> Json {
        let partition = |number: u32| {
            json!({
                "partition_id": name(number),
                "ip_list": [{
                    "ip-address": partition_address(number).to_string(),
                    "netmask": "255.255.255.255",
                    "network-interface": INTERFACE,
                }],
            })
        };
        let partitions: Vec<Json> = (0..self.cloud.knobs.all_partitions()).map(partition).collect();
        json!({ "computer_guid": computer(node), "compute_partition_list": partitions })
    }
}
