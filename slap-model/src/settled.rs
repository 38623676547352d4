//! What must hold once users and faults stop, and the nodes had time.

use crate::{
    event::{ReleaseReport, Wanted, Word},
    names::Place,
    state::{Deployed, Node, Slot, State},
};
use std::fmt;

/// Who waits, and for what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Unsettled {
    /// A partition, a release on a computer, a report.
    pub object: String,
    /// What is missing.
    pub waits_for: String,
}

impl Unsettled {
    /// The invariants of the real master that are this, by their numbers in RULES.md.
    pub const INVARIANTS: [&str; 3] = ["26", "71", "P7"];
}

impl fmt::Display for Unsettled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} waits for {}", self.object, self.waits_for)
    }
}

impl State {
    /// Whether everything that is wanted is so, on the nodes that are modelled, and the master knows it.
    ///
    /// # Errors
    /// Names one who still waits.
    pub fn settled(&self) -> Result<(), Unsettled> {
        if let Some(mail) = self.mail.first() {
            return Err(waits(format!("{mail:?}"), "its delivery"));
        }
        for (computer, node) in
            self.nodes.iter().filter(|(computer, _)| self.computers.contains_key(computer))
        {
            if node.view.as_ref() != Some(&self.view(*computer)) {
                return Err(waits(computer.to_string(), "a look at what is wanted"));
            }
            let registered = &self.computers[computer];
            for (release, supply) in &registered.supplies {
                let object = || format!("{release} on {computer}");
                if !supply.wanted {
                    return Err(waits(object(), "its removal"));
                }
                if supply.status != Some(ReleaseReport::Available) || node.built.get(release) != Some(&true) {
                    return Err(waits(object(), "its build"));
                }
            }
            for (partition, slot) in &registered.partitions {
                let place = Place { computer: *computer, partition: *partition };
                self.partition_settled(node, place, slot)?;
            }
        }
        Ok(())
    }

    fn partition_settled(&self, node: &Node, place: Place, slot: &Slot) -> Result<(), Unsettled> {
        let deployed = node.deployed.get(&place.partition);
        let Some((_, instance)) = self.tenant(place) else {
            return match deployed {
                Some(_) => Err(waits(place.to_string(), "its emptying")),
                None => Ok(()),
            };
        };
        if instance.state == Wanted::Destroyed {
            return Err(waits(place.to_string(), "its instance to be gone"));
        }
        let word = match deployed.filter(|it| it.rank == slot.rank) {
            // Without its release it cannot be there; that is told.
            None if node.built.get(&instance.release) != Some(&true) => Word::Error,
            None => return Err(waits(place.to_string(), "its processing")),
            Some(Deployed { started: true, services: 0, .. }) => {
                return Err(waits(place.to_string(), "its services"));
            }
            Some(Deployed { started: false, .. }) => Word::Stopped,
            Some(Deployed { passes: false, .. }) => Word::Error,
            Some(_) => Word::Started,
        };
        match slot.status {
            Some(status) if status.about == slot.rank && status.word == word => Ok(()),
            _ => Err(waits(place.to_string(), "a report on it")),
        }
    }
}

fn waits(object: String, what: &str) -> Unsettled {
    Unsettled { object, waits_for: what.to_owned() }
}
