//! What an instance says of itself, or of a shared one that it hosts: connection parameters, and another title.

use super::{Answer, Decision, Desk, Refusal, require_instance, writable::check_title};
use crate::{
    store::{self, Instance},
    vocabulary::{ComputerId, InstanceTitle, PartitionId, RequestedState, SharedReference},
    wire::instance_xml,
};

impl Desk<'_> {
    /// Whoever requested the instance is processed again when something changed
    /// (testSlapOSCloudInstanceSlapInterfaceWorkflow, `test_update_connection_bang_requester`).
    pub(super) fn publish(
        &mut self,
        computer: &ComputerId,
        partition: &PartitionId,
        reference: Option<&SharedReference>,
        document: &str,
    ) -> Decision {
        let instance = self.addressed(computer, partition, reference)?;
        if is_same(&instance.connection, document) {
            return Ok(Answer::Text("done".to_owned()));
        }
        store::set_connection(self.connection, instance.number, document)?;
        if !instance.is_shared() {
            self.touch_partition(computer, partition);
        }
        if let Some(requester) = instance.requester {
            let requester = self.linked(requester)?;
            if requester.state != RequestedState::Destroyed {
                self.renew_instance(&requester);
            }
        }
        Ok(Answer::Text("done".to_owned()))
    }

    /// Links are numbers, so children follow a renamed root; and the reference of a shared instance stays.
    pub(super) fn rename(
        &mut self,
        computer: &ComputerId,
        partition: &PartitionId,
        reference: Option<&SharedReference>,
        title: &InstanceTitle,
    ) -> Decision {
        let instance = self.addressed(computer, partition, reference)?;
        if &instance.title == title {
            return Ok(Answer::Text("done".to_owned()));
        }
        if self.is_taken(&instance, title)? {
            let message = format!("{:?} is the title of another instance already", title.as_str());
            return Err(Refusal::new(409, message)
                .hint("titles are unique within a tree, and among roots")
                .into());
        }
        check_title(title)?;
        store::set_title(self.connection, instance.number, title)?;
        if instance.is_shared() {
            // Its host knows it by its reference.
            return Ok(Answer::Text("done".to_owned()));
        }
        self.touch_partition(computer, partition);
        if instance.root.is_none() {
            for child in store::descendants(self.connection, instance.number, false)? {
                if let Some((computer, partition)) = child.partition() {
                    self.touch_partition(computer, partition);
                }
            }
        }
        Ok(Answer::Text("done".to_owned()))
    }

    fn is_taken(&self, instance: &Instance, title: &InstanceTitle) -> Decision<bool> {
        if store::instance_titled(self.connection, instance.root, title)?.is_some() {
            return Ok(true);
        }
        Ok(match instance.root {
            Some(root) => &self.linked(root)?.title == title,
            None => store::instance_titled(self.connection, Some(instance.number), title)?.is_some(),
        })
    }

    /// The instance in a partition, or the shared one of that reference, which it must host.
    fn addressed(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        reference: Option<&SharedReference>,
    ) -> Decision<Instance> {
        let found = self.require_partition(computer, partition)?;
        let instance = require_instance(&found)?;
        match reference {
            Some(reference) => self.require_hosted(instance, (computer, partition), reference),
            None => Ok(instance.clone()),
        }
    }
}

/// Whether two documents say the same; before anything was published there is none, which says as much as one without parameters.
fn is_same(before: &str, after: &str) -> bool {
    before == after || (before.is_empty() && instance_xml::decode(after).is_ok_and(|it| it.is_empty()))
}
