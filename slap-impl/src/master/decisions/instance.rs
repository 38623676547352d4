//! What a node says of the instance in a partition.
//!
//! The texts of the statuses are the real master's (slapos.core's master, SlapTool and `SlapOSCacheMixin`).

use super::{Answer, Decision, Desk, InstanceReport, LOG_BYTES_MAX, Refusal, last_line_of, tail};
use crate::{
    store::{self, Instance, Partition, Subject},
    vocabulary::{ComputerId, InstanceTitle, PartitionId, RequestedState},
};

/// Characters of a log that stand in a status text.
const SUMMARY_CHARACTERS: usize = 80;
/// Characters of a bang's message that are kept.
const MESSAGE_CHARACTERS: usize = 1000;

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
            InstanceReport::Destroyed => return self.free(&partition, instance),
            InstanceReport::Started => ("#access Instance correctly started".to_owned(), "started", ""),
            InstanceReport::Stopped => ("#access Instance correctly stopped".to_owned(), "stopped", ""),
            InstanceReport::Error { log } => {
                let summary = last_line_of(log, SUMMARY_CHARACTERS);
                (format!("#error while instanciating: {summary}"), "", tail(log, LOG_BYTES_MAX))
            }
            InstanceReport::Bang { message } => {
                self.renew(computer, reference, partition.timestamp)?;
                (format!("#error bang called: {}", last_line_of(message, MESSAGE_CHARACTERS)), "", "")
            }
        };
        let subject = Subject::Partition(computer, reference);
        let newer = store::access_status(self.connection, subject)?.is_some_and(|last| last.about > about);
        if newer {
            return Ok(Answer::Text("Ignored: a newer state was reported already".to_owned()));
        }
        store::set_access_status(self.connection, subject, &text, state, log, about, self.now)?;
        Ok(Answer::Text("OK".to_owned()))
    }

    fn free(&mut self, partition: &Partition, instance: &Instance) -> Decision {
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
        store::delete_instance(self.connection, computer, reference)?;
        store::clear_access_status(self.connection, Subject::Partition(computer, reference))?;
        if !partition.listed {
            store::delete_partition(self.connection, computer, reference)?;
        }
        self.touch(computer);
        Ok(Answer::Text("OK".to_owned()))
    }

    pub(super) fn publish(
        &mut self,
        computer: &ComputerId,
        reference: &PartitionId,
        document: &str,
    ) -> Decision {
        let partition = self.require_partition(computer, reference)?;
        let instance = require_instance(&partition)?;
        if instance.connection != document {
            store::set_connection(self.connection, computer, reference, document)?;
            self.touch(computer);
        }
        Ok(Answer::Text("done".to_owned()))
    }

    pub(super) fn rename(
        &mut self,
        computer: &ComputerId,
        reference: &PartitionId,
        title: &InstanceTitle,
    ) -> Decision {
        let partition = self.require_partition(computer, reference)?;
        let instance = require_instance(&partition)?;
        if &instance.title != title {
            if let Some(other) = store::instance_titled(self.connection, title)? {
                return Err(Refusal::new(
                    409,
                    format!(
                        "{:?} is the title of the instance in {} of {} already",
                        title.as_str(),
                        other.partition,
                        other.computer
                    ),
                )
                .into());
            }
            store::set_title(self.connection, computer, reference, title)?;
            self.touch(computer);
        }
        Ok(Answer::Text("done".to_owned()))
    }

    /// All instances are processed again, except those that are to be destroyed
    /// (testSlapOSCloudComputeNodeSlapInterfaceWorkflow, `test_reportComputeNodeBang`).
    pub(super) fn bang_computer(&mut self, computer: &ComputerId, message: &str) -> Decision {
        self.require_computer(computer)?;
        for partition in store::partitions(self.connection, computer)? {
            let instance = partition.instance.as_ref();
            if instance.is_some_and(|instance| instance.state != RequestedState::Destroyed) {
                self.renew(computer, &partition.reference, partition.timestamp)?;
            }
        }
        let text = format!("#error bang: {}", last_line_of(message, MESSAGE_CHARACTERS));
        store::set_access_status(self.connection, Subject::Computer(computer), &text, "", "", 0, self.now)?;
        Ok(Answer::Text(String::new()))
    }
}

fn require_instance(partition: &Partition) -> Result<&Instance, Refusal> {
    partition.instance.as_ref().ok_or_else(|| {
        Refusal::new(404, format!("the partition {} of {} is free", partition.reference, partition.computer))
            .hint("its instance was destroyed")
    })
}
