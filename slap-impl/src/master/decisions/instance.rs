//! What a node says of the instance in a partition.
//!
//! The texts of the statuses are the real master's (slapos.core's master, SlapTool and `SlapOSCacheMixin`).

use super::{
    Answer, Decision, Desk, InstanceReport, LOG_BYTES_MAX, Refusal, enumerate, last_line_of,
    require_instance, tail, tree::MESSAGE_CHARACTERS,
};
use crate::{
    store::{self, Instance, Partition, Subject},
    vocabulary::{ComputerId, PartitionId, RequestedState, SharedReference},
};

/// Characters of a log that stand in a status text.
const SUMMARY_CHARACTERS: usize = 80;
/// How the answer begins that keeps a root until its children are gone; clients of slapproxy look for nothing else than `OK`.
const NOT_YET: &str = "Not destroying yet";

impl Desk<'_> {
    pub(super) fn report_instance(
        &mut self,
        computer: &ComputerId,
        reference: &PartitionId,
        report: &InstanceReport,
        about: Option<i64>,
    ) -> Decision {
        let is_gone = store::partition(self.connection, computer, reference)?.is_none();
        if is_gone && *report == InstanceReport::Destroyed {
            // A partition that the last format no longer had goes with its instance: this is a repetition.
            self.require_computer(computer)?;
            return Ok(Answer::Text("OK".to_owned()));
        }
        let partition = self.require_partition(computer, reference)?;
        let Some(instance) = &partition.instance else {
            let text = match report {
                InstanceReport::Destroyed => "OK",
                _ => "Ignored: the partition is free",
            };
            return Ok(Answer::Text(text.to_owned()));
        };
        // A report about an earlier state, from before the instance was asked to change, comes late: it is kept as such.
        let about = about.unwrap_or(partition.timestamp).min(partition.timestamp);
        let (text, state, log) = match report {
            InstanceReport::Destroyed => return self.free(&partition, instance, about),
            InstanceReport::Started => ("#access Instance correctly started".to_owned(), "started", ""),
            InstanceReport::Stopped => ("#access Instance correctly stopped".to_owned(), "stopped", ""),
            InstanceReport::Error { log } => (error_text(log), "", tail(log, LOG_BYTES_MAX)),
            InstanceReport::Bang { message } => {
                self.bang_tree(instance.tree())?;
                (bang_text(message), "", "")
            }
        };
        let subject = Subject::Partition(computer, reference);
        let newer = store::access_status(self.connection, subject)?.is_some_and(|last| last.about > about);
        match report {
            // It was heard, but what was said since then stays.
            InstanceReport::Bang { .. } if newer => return Ok(Answer::Text("OK".to_owned())),
            _ if newer => return Ok(Answer::Text("Ignored: a newer state was reported already".to_owned())),
            _ => {}
        }
        store::set_access_status(self.connection, subject, &text, state, log, about, self.now)?;
        Ok(Answer::Text("OK".to_owned()))
    }

    fn free(&mut self, partition: &Partition, instance: &Instance, about: i64) -> Decision {
        let (computer, reference) = (&partition.computer, &partition.reference);
        if instance.state != RequestedState::Destroyed {
            // slapproxy frees it all the same, and so loses an instance that was asked for again meanwhile.
            return Err(Refusal::new(
                409,
                format!(
                    "the partition {reference} of {computer} is not free: its instance {:?} is requested {}",
                    instance.title.as_str(),
                    instance.state
                ),
            )
            .hint("the node puts the instance back into place at its next pass")
            .into());
        }
        if about < partition.timestamp {
            // What was emptied then may have been another instance, or this one before it came back for a while.
            return Ok(Answer::Text("Ignored: the report is about an earlier state".to_owned()));
        }
        if instance.root.is_none() && store::has_children(self.connection, instance.number)? {
            return self.not_yet(instance);
        }
        store::delete_instance(self.connection, instance)?;
        store::clear_access_status(self.connection, Subject::Partition(computer, reference))?;
        if !partition.listed {
            store::delete_partition(self.connection, computer, reference)?;
        }
        self.touch_partition(computer, reference);
        if let Some(root) = instance.root
            && !store::has_children(self.connection, root)?
        {
            let root = self.linked(root)?;
            if root.state == RequestedState::Destroyed {
                // It may have been reported destroyed already, and was told to wait for this one.
                self.renew_instance(&root);
            }
        }
        Ok(Answer::Text("OK".to_owned()))
    }

    /// A tree goes from its leaves up, as with slapproxy (slapos/proxy/db.py, `freePartitionFromDB`).
    fn not_yet(&self, root: &Instance) -> Decision {
        let children = store::descendants(self.connection, root.number, false)?;
        let names: Vec<&str> = children.iter().map(|child| child.title.as_str()).collect();
        Ok(Answer::Text(format!("{NOT_YET}, because it has child partitions: {}", enumerate(&names))))
    }

    /// What a host says of a shared instance. Its status is about no timestamp: it may change its host.
    pub(super) fn report_shared(
        &mut self,
        computer: &ComputerId,
        partition: &PartitionId,
        reference: &SharedReference,
        report: &InstanceReport,
    ) -> Decision {
        let found = self.require_partition(computer, partition)?;
        let shared = self.require_hosted(require_instance(&found)?, (computer, partition), reference)?;
        let (text, log) = match report {
            InstanceReport::Error { log } => (error_text(log), tail(log, LOG_BYTES_MAX)),
            InstanceReport::Bang { message } => {
                self.bang_tree(shared.tree())?;
                let host = require_instance(&found)?;
                if host.state != RequestedState::Destroyed {
                    self.renew_instance(host);
                }
                (bang_text(message), "")
            }
            InstanceReport::Started | InstanceReport::Stopped | InstanceReport::Destroyed => {
                let message =
                    format!("{:?} is a shared instance: expected an error or a bang", reference.as_str());
                return Err(Refusal::new(400, message)
                    .hint("it starts, stops and goes with the requests for it")
                    .into());
            }
        };
        store::set_access_status(self.connection, Subject::Shared(reference), &text, "", log, 0, self.now)?;
        Ok(Answer::Text("OK".to_owned()))
    }
}

fn error_text(log: &str) -> String {
    format!("#error while instanciating: {}", last_line_of(log, SUMMARY_CHARACTERS))
}

fn bang_text(message: &str) -> String {
    format!("#error bang called: {}", last_line_of(message, MESSAGE_CHARACTERS))
}
