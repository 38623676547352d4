//! An instance is asked for.
//!
//! Known by its title, within the tree of who asks, an instance keeps its partition, whatever is asked of it later. A new one
//! is given the first free partition of the computer that `computer_guid` names; without one, of the first computer that has
//! any: the default computer (where slapproxy always looks), then the others in the natural order of their references.

use super::{
    Answer, Decision, Desk, Given, Refusal, Requester, SHOWN, enumerate_first,
    tree::Asker,
    writable::{check_release, check_title},
};
use crate::{
    store::{self, Instance, Partition, Place, Subject, Wanted},
    vocabulary::{ComputerId, InstanceTitle, PartitionId, RequestedState, SoftwareUrl},
};
use std::collections::BTreeMap;

/// What is asked for.
pub(super) struct Wish<'a> {
    pub(super) title: &'a InstanceTitle,
    pub(super) release: &'a SoftwareUrl,
    /// Empty only for a shared instance.
    pub(super) software_type: &'a str,
    pub(super) parameters: &'a str,
    pub(super) filter: &'a BTreeMap<String, String>,
    pub(super) state: Option<RequestedState>,
    pub(super) shared: bool,
}

impl Desk<'_> {
    pub(super) fn request(&mut self, wish: &Wish<'_>, requester: Option<&Requester>) -> Decision {
        let asker = self.asker(requester)?;
        self.refuse_root_title(&asker, wish)?;
        let instance = match store::instance_titled(self.connection, asker.root_number(), wish.title)? {
            Some(before) => {
                if before.is_shared() != wish.shared {
                    return Err(other_kind(wish).into());
                }
                self.refuse_cycle(&asker, &before)?;
                if before.release != *wish.release {
                    check_release(wish.release)?;
                }
                if wish.shared {
                    self.update_shared(before, wish, &asker)?
                } else {
                    self.update(before, wish, &asker)?
                }
            }
            None => {
                check_title(wish.title)?;
                check_release(wish.release)?;
                let state = asker.effective_state(wish.state, None);
                if state == RequestedState::Destroyed {
                    // Otherwise a partition would be taken only to be emptied, as slapproxy does.
                    return Err(nothing_to_destroy(wish).into());
                }
                if wish.shared {
                    self.create_shared(wish, &asker, state)?
                } else {
                    self.allocate(wish, &asker, state)?
                }
            }
        };
        Ok(Answer::Given(Box::new(Given { instance, partition: None })))
    }

    fn update(&mut self, mut instance: Instance, wish: &Wish<'_>, asker: &Asker) -> Decision<Instance> {
        let wanted = wish.wanted(asker, asker.effective_state(wish.state, Some(instance.state)));
        let is_same = wanted.is_of(&instance);
        let is_other_state = wanted.state != instance.state;
        if !is_same || wanted.requester != instance.requester {
            store::update_instance(self.connection, &mut instance, wanted)?;
        }
        if !is_same {
            self.renew_instance(&instance);
        }
        if instance.root.is_none() && is_other_state {
            self.propagate(instance.number, instance.state)?;
        }
        Ok(instance)
    }

    fn allocate(&mut self, wish: &Wish<'_>, asker: &Asker, state: RequestedState) -> Decision<Instance> {
        let only = named_computer(wish)?;
        let Some((computer, partition)) = self.free_partition(only.as_ref())? else {
            // One that has a free partition is there.
            if let Some(computer) = &only {
                self.require_computer(computer)?;
            }
            return Err(self.nothing_free(wish, only)?.into());
        };
        self.begin_change()?;
        store::clear_access_status(self.connection, Subject::Partition(&computer, &partition))?;
        let place = Place::Partition(computer.clone(), partition.clone());
        let wanted = wish.wanted(asker, state);
        let instance =
            store::insert_instance(self.connection, wish.title, asker.root_number(), place, wanted)?;
        let touch = self.touch_partition(&computer, &partition);
        (touch.is_renewed, touch.is_taken) = (true, true);
        touch.bytes = store::own_bytes(&instance, asker.root().map(|root| &root.title));
        Ok(instance)
    }

    /// The first free partition, of one computer or of all.
    fn free_partition(&self, only: Option<&ComputerId>) -> Decision<Option<(ComputerId, PartitionId)>> {
        if let Some(computer) = only.or(self.default_computer)
            && let Some(partition) = store::free_partition(self.connection, computer)?
        {
            return Ok(Some((computer.clone(), partition)));
        }
        Ok(if only.is_some() { None } else { store::first_free_partition(self.connection)? })
    }

    /// The partition of an instance, or of its host.
    pub(super) fn partition_of(&self, instance: &Instance) -> Decision<Option<Partition>> {
        let host = instance.host().map(|host| self.linked(host)).transpose()?;
        Ok(store::partition_of(self.connection, host.as_ref().unwrap_or(instance))?)
    }

    /// The only computer to look at, if the filter names one, which must be known.
    pub(super) fn only_computer(&self, wish: &Wish<'_>) -> Decision<Option<ComputerId>> {
        let named = named_computer(wish)?;
        if let Some(computer) = &named {
            self.require_computer(computer)?;
        }
        Ok(named)
    }

    /// The computers that were looked at, in order: the first of them, and how many they are.
    pub(super) fn looked_at(&self, only: Option<ComputerId>) -> rusqlite::Result<(Vec<ComputerId>, usize)> {
        if let Some(computer) = only {
            return Ok((vec![computer], 1));
        }
        let mut first: Vec<ComputerId> = match self.default_computer {
            Some(computer) if store::computer(self.connection, computer)?.is_some() => vec![computer.clone()],
            _ => Vec::new(),
        };
        let others = store::first_computers(self.connection, SHOWN)?;
        first.extend(others.into_iter().filter(|computer| Some(computer) != self.default_computer));
        first.truncate(SHOWN);
        Ok((first, store::count_computers(self.connection)?))
    }

    fn nothing_free(&self, wish: &Wish<'_>, only: Option<ComputerId>) -> rusqlite::Result<Refusal> {
        let (computers, count) = self.looked_at(only)?;
        let mut looked_at = Vec::new();
        for computer in &computers {
            looked_at.push(match store::occupancy(self.connection, computer)? {
                (0, _) => format!("{computer} (no partitions)"),
                (all, busy) => format!("{computer} ({busy} of {all} partitions busy)"),
            });
        }
        let names: Vec<&str> = looked_at.iter().map(String::as_str).collect();
        let message = format!(
            "no free partition for {:?}; computers looked at: {}",
            wish.title.as_str(),
            enumerate_first(&names, count)
        );
        let hint = if computers.is_empty() {
            "no node has registered yet: `slap node format` does it"
        } else {
            "destroy an instance that is not needed any more, or add a node, or give one more partitions and format it \
             (a lab gets more nodes by `slap lab up --nodes N`)"
        };
        Ok(Refusal::new(404, message).hint(hint))
    }
}

impl<'a> Wish<'a> {
    pub(super) fn wanted(&self, asker: &Asker, state: RequestedState) -> Wanted<'a> {
        Wanted {
            requester: asker.number(),
            release: self.release,
            software_type: self.software_type,
            parameters: self.parameters,
            state,
        }
    }
}

/// The computer that the filter names, if it does.
fn named_computer(wish: &Wish<'_>) -> Result<Option<ComputerId>, Refusal> {
    for (key, value) in wish.filter {
        let shown: String = value.chars().take(80).collect();
        let key_shown: String = key.chars().take(200).collect();
        match key.as_str() {
            "computer_guid" => {}
            "instance_guid" if wish.shared => {}
            // Masters that pass a request on tell it (slapos/proxy/db.py, `forwardRequestToExternalMaster`).
            "source_instance_id" => {}
            // The real master takes these for parameters of the instance (its SoftwareInstance allocation).
            "retention_delay" | "fw_restricted_access" | "fw_rejected_sources" | "fw_authorized_sources" => {}
            _ => {
                let expected = if wish.shared { "computer_guid or instance_guid" } else { "computer_guid" };
                return Err(Refusal::new(
                    400,
                    format!(
                        "{key_shown}={shown} is not understood as a place for an instance: expected {expected}"
                    ),
                )
                .hint("leave it out, or name the computer with computer_guid=COMPUTER"));
            }
        }
    }
    let Some(guid) = wish.filter.get("computer_guid") else { return Ok(None) };
    let computer: ComputerId = guid.parse().map_err(|error: crate::vocabulary::BadId| {
        Refusal::new(404, error.to_string()).hint("see `slap computer list`")
    })?;
    Ok(Some(computer))
}

fn other_kind(wish: &Wish<'_>) -> Refusal {
    let (is, wanted) = if wish.shared { ("not shared", "shared") } else { ("shared", "not shared") };
    Refusal::new(409, format!("{:?} is {is}: it cannot become {wanted}", wish.title.as_str()))
        .hint("give the new one another title, or destroy this one first")
}

fn nothing_to_destroy(wish: &Wish<'_>) -> Refusal {
    Refusal::new(404, format!("there is no instance {:?} to destroy", wish.title.as_str()))
        .hint("it is gone already, or has another title: see `slap service list`")
}
