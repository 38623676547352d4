//! Who may ask for whom, and what reaches a whole tree.
//!
//! A tree is a root, which a user requested, and all that was requested from within. Titles are flat: any instance of it may
//! ask for any other by its title, and becomes its requester. So links could make a circle, which is refused
//! (testSlapOSCloudInstanceSlapInterfaceWorkflow, `test_request_check_cycle`, `test_request_sameTitle`,
//! `test_request_tree_change_indexed`).

use super::{Answer, Decision, Desk, Refusal, Requester, last_line_of, request::Wish, require_instance};
use crate::{
    store::{self, Instance, Subject},
    vocabulary::{ComputerId, RequestedState},
};

/// Characters of a bang's message that are kept.
pub(super) const MESSAGE_CHARACTERS: usize = 1000;

/// Who asks for an instance.
pub(super) struct Asker {
    /// The requester and the root of its tree, which may be the same; none for a user.
    partition: Option<(Instance, Instance)>,
}

impl Asker {
    /// The number of who asks; none for a user.
    pub(super) fn number(&self) -> Option<i64> {
        self.partition.as_ref().map(|(requester, _)| requester.number)
    }

    /// The root of what is asked for; none when it is a root itself.
    pub(super) fn root(&self) -> Option<&Instance> {
        self.partition.as_ref().map(|(_, root)| root)
    }

    /// The number of that root.
    pub(super) fn root_number(&self) -> Option<i64> {
        self.root().map(|root| root.number)
    }

    /// The state that is wanted; a partition of a stopped tree cannot start anything (testSlapOSSlapTool, `test_request_stopped`).
    pub(super) fn effective_state(
        &self,
        asked: Option<RequestedState>,
        before: Option<RequestedState>,
    ) -> RequestedState {
        let state = asked.or(before).unwrap_or(RequestedState::Started);
        let is_stopped = self.root().is_some_and(|root| root.state == RequestedState::Stopped);
        if is_stopped && state == RequestedState::Started { RequestedState::Stopped } else { state }
    }
}

impl Desk<'_> {
    /// Who asks. slapproxy takes an unknown partition for a user; and lets one ask that shall be destroyed.
    pub(super) fn asker(&self, requester: Option<&Requester>) -> Decision<Asker> {
        let Some(Requester { computer, partition }) = requester else { return Ok(Asker { partition: None }) };
        let found = self.require_partition(computer, partition)?;
        let instance = require_instance(&found)?.clone();
        if instance.state == RequestedState::Destroyed {
            let message = format!(
                "the instance {:?} in {partition} of {computer} shall be destroyed: it cannot request anything",
                instance.title.as_str()
            );
            return Err(Refusal::new(409, message).hint("request it started first").into());
        }
        let root = match instance.root {
            Some(root) => self.linked(root)?,
            None => instance.clone(),
        };
        Ok(Asker { partition: Some((instance, root)) })
    }

    pub(super) fn refuse_root_title(&self, asker: &Asker, wish: &Wish<'_>) -> Decision<()> {
        match asker.root() {
            Some(root) if &root.title == wish.title => Err(Refusal::new(
                409,
                format!("{:?} is the title of the root of the requester's tree", wish.title.as_str()),
            )
            .hint("give the instance another title")
            .into()),
            _ => Ok(()),
        }
    }

    /// An instance may not ask for itself, nor for one that it was asked for by, over however many others.
    pub(super) fn refuse_cycle(&self, asker: &Asker, wanted: &Instance) -> Decision<()> {
        let mut next = asker.number();
        while let Some(number) = next {
            let link = self.linked(number)?;
            if link.number == wanted.number {
                return Err(Refusal::new(
                    409,
                    format!(
                        "{:?} cannot be requested by an instance that itself was requested by it, or by what it requested",
                        wanted.title.as_str()
                    ),
                )
                .hint("requests within a tree must not make a circle")
                .into());
            }
            next = link.requester;
        }
        Ok(())
    }

    /// A root was asked to have another state: its tree follows when it stops or goes. To start, each has to be asked for again.
    pub(super) fn propagate(&mut self, root: i64, state: RequestedState) -> Decision<()> {
        if state == RequestedState::Started {
            return Ok(());
        }
        for child in store::descendants(self.connection, root, false)? {
            let follows = child.state != RequestedState::Destroyed && child.state != state;
            if follows {
                store::set_state(self.connection, child.number, state)?;
                self.renew_instance(&child);
            }
        }
        for shared in store::descendants(self.connection, root, true)? {
            if state == RequestedState::Destroyed {
                self.remove_shared(&shared)?;
            } else if shared.state == RequestedState::Started {
                store::set_state(self.connection, shared.number, state)?;
                self.renew_host(&shared)?;
            }
        }
        Ok(())
    }

    /// All of a tree is processed again, except what is to be destroyed.
    pub(super) fn bang_tree(&mut self, root: i64) -> Decision<()> {
        let mut all = store::descendants(self.connection, root, false)?;
        all.push(self.linked(root)?);
        for instance in all {
            if instance.state != RequestedState::Destroyed {
                self.renew_instance(&instance);
            }
        }
        Ok(())
    }

    /// All instances are processed again, except those that are to be destroyed
    /// (testSlapOSCloudComputeNodeSlapInterfaceWorkflow, `test_reportComputeNodeBang`).
    pub(super) fn bang_computer(&mut self, computer: &ComputerId, message: &str) -> Decision {
        self.require_computer(computer)?;
        for partition in store::partitions(self.connection, computer)? {
            let instance = partition.instance.as_ref();
            if instance.is_some_and(|instance| instance.state != RequestedState::Destroyed) {
                self.renew(computer, &partition.reference);
            }
        }
        let text = format!("#error bang: {}", last_line_of(message, MESSAGE_CHARACTERS));
        store::set_access_status(self.connection, Subject::Computer(computer), &text, "", "", 0, self.now)?;
        Ok(Answer::Text(String::new()))
    }
}
