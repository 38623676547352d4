//! The configuration files of a lab: what slapos's own files would say.

use super::{
    block::{Block, MASTER_PORT},
    layout::{Description, Layout, renew},
};
use crate::{env::Env, vocabulary::ComputerId};
use std::fmt::Write;

/// How long a service of a lab may take to end before it is killed: whoever takes a lab down waits for it.
const SERVICE_STOP_SECONDS: u32 = 10;

/// Writes all configuration files, those that differ only.
pub(super) fn write(env: &Env, layout: &Layout, description: &Description) -> Result<(), String> {
    let master = master(layout, description);
    renew(env, &layout.master_configuration(), master.as_bytes(), 0o600)?;
    let client = client(description);
    renew(env, &layout.client_configuration(), client.as_bytes(), 0o600)?;
    for (index, computer) in (0..).zip(description.computers()) {
        let definition = definition(description.block, index, description.partitions);
        let definition_path = layout.node(&computer).join("definition.cfg");
        renew(env, &definition_path, definition.as_bytes(), 0o600)?;
        let node = node(layout, description, &computer);
        renew(env, &layout.node_configuration(&computer), node.as_bytes(), 0o600)?;
    }
    Ok(())
}

fn master(layout: &Layout, description: &Description) -> String {
    format!(
        "# The master's settings. Written anew by every `slap lab up`.\n\
         [slapos]\n\
         computer_id = COMP-1\n\
         [slapproxy]\n\
         host = {host}\n\
         port = {MASTER_PORT}\n\
         database_uri = {database}\n",
        host = description.block.master(),
        database = layout.master().join("proxy.db").display(),
    )
}

fn client(description: &Description) -> String {
    format!(
        "# For `slap` and `slapos` as a user of this lab. Written anew by every `slap lab up`.\n\
         [slapos]\n\
         master_url = {url}\n\
         master_rest_url = {url}/hateoas\n\
         [slapconsole]\n",
        url = description.master_url(),
    )
}

fn node(layout: &Layout, description: &Description, computer: &ComputerId) -> String {
    let node = layout.node(computer);
    format!(
        "# The settings of a node. Written anew by every `slap lab up`.\n\
         [slapos]\n\
         computer_id = {computer}\n\
         master_url = {url}\n\
         software_root = {software}\n\
         instance_root = {instance}\n\
         root_check = false\n\
         forbid_supervisord_automatic_launch = true\n\
         [slapformat]\n\
         computer_xml = {node}/slapos.xml\n\
         partition_amount = {partitions}\n\
         partition_base_name = slappart\n\
         input_definition_file = {node}/definition.cfg\n\
         interface_name = lo\n\
         alter_user = false\n\
         alter_network = false\n\
         create_tap = false\n\
         [slap]\n\
         supervisor_directory = {supervisor}\n\
         stop_seconds = {SERVICE_STOP_SECONDS}\n",
        url = description.master_url(),
        software = layout.software_root(computer).display(),
        instance = layout.instance_root(computer).display(),
        node = node.display(),
        partitions = description.partitions,
        supervisor = layout.supervisor(computer).display(),
    )
}

/// `index` counts nodes from 0.
fn definition(block: Block, index: u32, partitions: u32) -> String {
    let first = index * partitions;
    let mut text = format!("[computer]\naddress = {}/255.0.0.0\n", block.partition(first));
    for number in 0..partitions {
        let address = block.partition(first + number);
        let _ = write!(
            text,
            "[partition_{number}]\npathname = slappart{number}\nnetwork_interface = lo\naddress = {address}/255.255.255.255\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn no_two_partitions_share_an_address() {
        let block = Block::candidates(Path::new("/lab")).next().unwrap();
        let addresses: Vec<String> = (0..3)
            .flat_map(|index| {
                let text = definition(block, index, 4);
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.into_iter().filter(|line| line.ends_with("/255.255.255.255"))
            })
            .collect();
        let unique: std::collections::BTreeSet<&String> = addresses.iter().collect();
        assert_eq!((addresses.len(), unique.len()), (12, 12));
    }
}
