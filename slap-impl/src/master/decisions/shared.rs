//! A shared instance is asked for: another instance, its host, serves it, and sees it in its list.
//!
//! Its host is the first instance of the same release, in the order in which partitions are looked at, and stays so. slapproxy
//! keeps shared instances in a list of the host (slapos/proxy/db.py, `requestSlave`): whoever asks with another release there is
//! given another host in silence, and the state is not looked at. Here a stopped one is not in the list.

use super::{Decision, Desk, Refusal, enumerate_first, request::Wish, tree::Asker};
use crate::{
    store::{self, Instance, Place, Subject},
    vocabulary::{ComputerId, PartitionId, RequestedState, SharedReference, SoftwareUrl},
};

/// Shared instances of one host at most.
pub const HOSTED_MAX: u32 = 10_000;

/// Bytes of a guid at most: two names of 128, and the dash.
const GUID_BYTES_MAX: usize = 257;

impl Desk<'_> {
    pub(super) fn create_shared(
        &mut self,
        wish: &Wish<'_>,
        asker: &Asker,
        state: RequestedState,
    ) -> Decision<Instance> {
        let reference = reference_of(wish, asker)?;
        if let Some(other) = store::shared_instance(self.connection, &reference)? {
            return Err(Refusal::new(
                409,
                format!(
                    "the reference {:?} is that of the shared instance {:?}",
                    reference.as_str(),
                    other.title.as_str()
                ),
            )
            .hint("a reference is made of the root's title and the instance's: give it another title")
            .into());
        }
        let host = self.find_host(wish)?;
        self.begin_change()?;
        let place = Place::Shared { reference, host: Some(host.number) };
        let mut wanted = wish.wanted(asker, state);
        wanted.software_type = type_of(wish, &host.software_type);
        let shared = store::insert_instance(self.connection, wish.title, asker.root_number(), place, wanted)?;
        if shared.is_listed() {
            self.renew_host(&shared)?;
        }
        Ok(shared)
    }

    pub(super) fn update_shared(
        &mut self,
        mut before: Instance,
        wish: &Wish<'_>,
        asker: &Asker,
    ) -> Decision<Instance> {
        let state = asker.effective_state(wish.state, Some(before.state));
        if state == RequestedState::Destroyed {
            self.remove_shared(&before)?;
            before.state = state;
            return Ok(before);
        }
        self.refuse_other_service(&before, wish)?;
        let mut wanted = wish.wanted(asker, state);
        let found = if before.host().is_none() { Some(self.find_host(wish)?) } else { None };
        if let Some(host) = &found {
            store::set_host(self.connection, before.number, host.number)?;
        }
        // Where it is served, its type stays; a new host is one of the type that is asked for now.
        let host_type = found.as_ref().map_or(&before.software_type, |host| &host.software_type).clone();
        wanted.software_type = type_of(wish, &host_type);
        let mut after = before.clone();
        if let (Some(host), Place::Shared { host: place, .. }) = (&found, &mut after.place) {
            *place = Some(host.number);
        }
        if !wanted.is_of(&before) || wanted.requester != before.requester {
            store::update_instance(self.connection, &mut after, wanted)?;
        }
        let entry = |instance: &Instance| instance.is_listed().then(|| instance.parameters.clone());
        if entry(&before) != entry(&after) {
            self.renew_host(&after)?;
        }
        Ok(after)
    }

    /// Forgets a shared instance. There is nothing to wait for: its host sees that it is gone.
    pub(super) fn remove_shared(&mut self, shared: &Instance) -> Decision<()> {
        if shared.is_listed() {
            self.renew_host(shared)?;
        }
        if let Place::Shared { reference, .. } = &shared.place {
            store::clear_access_status(self.connection, Subject::Shared(reference))?;
        }
        Ok(store::delete_instance(self.connection, shared)?)
    }

    /// The host's list changed: its node has to process it again.
    pub(super) fn renew_host(&mut self, shared: &Instance) -> Decision<()> {
        if let Some(host) = shared.host() {
            let host = self.linked(host)?;
            self.renew_instance(&host);
        }
        Ok(())
    }

    /// The shared instance of that reference, which the instance in a partition must host.
    pub(super) fn require_hosted(
        &self,
        host: &Instance,
        (computer, partition): (&ComputerId, &PartitionId),
        reference: &SharedReference,
    ) -> Decision<Instance> {
        let found = store::shared_instance(self.connection, reference)?;
        found.filter(|shared| shared.host() == Some(host.number)).ok_or_else(|| {
            let message =
                format!("{partition} of {computer} hosts no shared instance {:?}", reference.as_str());
            Refusal::new(404, message).hint("it was destroyed, or is in the list of another host").into()
        })
    }

    /// A shared instance keeps what serves it, as long as that is there.
    fn refuse_other_service(&self, before: &Instance, wish: &Wish<'_>) -> Decision<()> {
        let refuse = |what: &str, is: &str, wanted: &str| {
            let title = before.title.as_str();
            Refusal::new(409, format!("the {what} of the shared instance {title:?} is {is}, not {wanted}"))
                .hint("destroy it first, or ask for one with another title")
        };
        let Some(host) = before.host() else { return Ok(()) };
        let host = self.linked(host)?;
        if &host.release != wish.release {
            return Err(refuse("release", host.release.as_str(), wish.release.as_str()).into());
        }
        if type_of(wish, &before.software_type) != before.software_type {
            return Err(refuse("type", &before.software_type, wish.software_type).into());
        }
        Ok(())
    }

    /// The first instance that can host it; of any type where none is asked for.
    fn find_host(&self, wish: &Wish<'_>) -> Decision<Instance> {
        let software_type = Some(wish.software_type).filter(|text| !text.is_empty());
        let only = self.only_computer(wish)?;
        let found = match wish.filter.get("instance_guid") {
            Some(guid) => self.named_host(guid, only.as_ref(), wish.release, software_type)?,
            None => match &only {
                Some(computer) => {
                    store::host_for(self.connection, computer, None, wish.release, software_type)?
                }
                None => {
                    store::first_host(self.connection, self.default_computer, wish.release, software_type)?
                }
            },
        };
        let Some(host) = found else { return Err(self.no_host(wish, only)?.into()) };
        let host = self.linked(host)?;
        if store::count_hosted(self.connection, host.number)? >= HOSTED_MAX {
            let message = format!("{:?} hosts {HOSTED_MAX} shared instances already", host.title.as_str());
            return Err(Refusal::new(403, message).hint("destroy those that are not needed").into());
        }
        Ok(host)
    }

    /// The instance that a guid names, if it can be the host. Names have dashes, too: there may be several ways to read a guid, and
    /// the first in the order of the computers counts. A partition's name alone is one of the computer that is named or the default
    /// one (slapos/proxy/db.py, `requestSlave`).
    fn named_host(
        &self,
        guid: &str,
        only: Option<&ComputerId>,
        release: &SoftwareUrl,
        software_type: Option<&str>,
    ) -> Decision<Option<i64>> {
        let mut places = Vec::new();
        if guid.len() > GUID_BYTES_MAX {
            return Ok(None);
        }
        for (dash, _) in guid.match_indices('-') {
            let (Ok(computer), Ok(partition)) = (guid[..dash].parse(), guid[dash + 1..].parse()) else {
                continue;
            };
            if only.is_none_or(|only| *only == computer) {
                places.push((computer, partition));
            }
        }
        if let Some(computer) = only.or(self.default_computer)
            && let Ok(partition) = guid.parse()
        {
            places.push((computer.clone(), partition));
        }
        places.sort_by_cached_key(|(computer, _)| {
            (Some(computer) != self.default_computer, store::sort_key(computer.as_str()))
        });
        for (computer, partition) in &places {
            let only = Some(partition);
            let found = store::host_for(self.connection, computer, only, release, software_type)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn no_host(&self, wish: &Wish<'_>, only: Option<ComputerId>) -> rusqlite::Result<Refusal> {
        let (computers, count) = self.looked_at(only)?;
        let names: Vec<&str> = computers.iter().map(ComputerId::as_str).collect();
        let of_type = Some(wish.software_type).filter(|text| !text.is_empty());
        let of_type = of_type.map(|text| format!(" and type {text:?}")).unwrap_or_default();
        let message = format!(
            "no instance of {}{of_type} can host the shared instance {:?}; computers looked at: {}",
            wish.release,
            wish.title.as_str(),
            enumerate_first(&names, count)
        );
        Ok(Refusal::new(404, message)
            .hint("request an instance of the release without shared first: it becomes the host"))
    }
}

/// The type that is asked for, or else this one.
fn type_of<'a>(wish: &Wish<'a>, otherwise: &'a str) -> &'a str {
    if wish.software_type.is_empty() { otherwise } else { wish.software_type }
}

fn reference_of(wish: &Wish<'_>, asker: &Asker) -> Result<SharedReference, Refusal> {
    let root = asker.root().map(|root| root.title.as_str()).unwrap_or_default();
    let reference = format!("{root}_{}", wish.title.as_str());
    reference.parse().map_err(|error: crate::vocabulary::BadId| Refusal::new(400, error.to_string()))
}
