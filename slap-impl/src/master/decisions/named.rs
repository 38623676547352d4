//! What concerns the instance of a guid. It is found in the same transaction: its place may be another one's a moment later.

use super::{Answer, Decision, Desk, InstanceAction, InstanceReport, Refusal};
use crate::{
    store::{self, Instance, Place},
    vocabulary::{InstanceGuid, InstanceName},
};
use rusqlite::Connection;

impl Desk<'_> {
    pub(super) fn on_instance(&mut self, guid: &InstanceGuid, action: &InstanceAction) -> Decision {
        let instance = find_named(self.connection, guid)??;
        if let (InstanceAction::Report { report }, Place::Shared { .. }) = (action, &instance.place)
            && matches!(report, InstanceReport::Started | InstanceReport::Stopped | InstanceReport::Destroyed)
        {
            // slapproxy takes it and does nothing; a shared instance goes with the requests for it.
            return Ok(Answer::Text("Ignored".to_owned()));
        }
        let (holder, reference) = match &instance.place {
            Place::Partition(..) => (instance.clone(), None),
            Place::Shared { reference, host } => {
                let host = host.ok_or_else(|| without_host(&instance))?;
                (self.linked(host)?, Some(reference))
            }
        };
        let Some((computer, partition)) = holder.partition() else {
            return Err(rusqlite::Error::QueryReturnedNoRows.into());
        };
        match action {
            InstanceAction::Report { report } => match reference {
                Some(reference) => self.report_shared(computer, partition, reference, report),
                None => self.report_instance(computer, partition, report, None),
            },
            InstanceAction::Publish { document } => self.publish(computer, partition, reference, document),
            InstanceAction::Rename { title } => self.rename(computer, partition, reference, title),
        }
    }
}

/// The instance of a guid.
pub fn find_named(
    connection: &Connection,
    guid: &InstanceGuid,
) -> rusqlite::Result<Result<Instance, Refusal>> {
    let mut found: Option<Instance> = None;
    for InstanceName { title, root, shared } in guid.meanings() {
        let root = match &root {
            None => None,
            Some(root) => match store::instance_titled(connection, None, root)? {
                Some(root) => Some(root.number),
                None => continue,
            },
        };
        let Some(instance) = store::instance_titled(connection, root, &title)? else { continue };
        if instance.is_shared() != shared {
            continue;
        }
        if found.replace(instance).is_some() {
            let message = format!("{:?} may mean several instances", guid.as_str());
            return Ok(Err(
                Refusal::new(409, message).hint("rename one of them, or name its computer and partition")
            ));
        }
    }
    let kind = if guid.as_str().ends_with('1') { "shared" } else { "software" };
    Ok(found.ok_or_else(|| Refusal::new(404, format!("No {kind} instance {guid} found."))))
}

fn without_host(instance: &Instance) -> Refusal {
    Refusal::new(409, format!("the shared instance {:?} has no host now", instance.title.as_str()))
        .hint("the next request for it looks for one")
}
