//! An instance is asked for.

use super::{Answer, Desk};
use crate::{
    decisions::Decision,
    event::{Filter, Request, Wanted},
    names::{Computer, DEFAULT_COMPUTER, DEFAULT_KIND, Number, Place, Reference, UNPUBLISHED},
    reply::{Given, Refusal, Reply},
    state::{Instance, Shared, State},
};

/// Who asks, in whose tree.
#[derive(Clone, Copy)]
struct Asker {
    requester: Option<Number>,
    root: Option<Number>,
}

impl Desk<'_> {
    pub(super) fn request(&mut self, request: &Request) -> Answer {
        if request.is_for_stand_in() {
            return Ok(Reply::StandIn(request.parameters));
        }
        let asker = self.asker(request)?;
        if request.is_for_another() && self.state.titled(asker.root, request.title).is_none() {
            return self.pass_on(request, asker.root);
        }
        self.request_here(request)
    }

    /// What is not passed on: it is here already, or comes here.
    pub(super) fn request_here(&mut self, request: &Request) -> Answer {
        let asker = self.asker(request)?;
        if let Some(root) = asker.root
            && self.state.instances[&root].title == request.title
        {
            self.decide(Decision::RootTitleIsReserved);
            return Err(Refusal::RootTitle);
        }
        if let Some(number) = self.state.titled(asker.root, request.title) {
            return self.request_known(request, asker, number);
        }
        if request.state == Some(Wanted::Destroyed) {
            self.decide(Decision::NothingIsMadeToBeDestroyed);
            return Err(Refusal::NothingToDestroy);
        }
        let asked = request.state.unwrap_or(Wanted::Started);
        let state = self.effective_state(asker, asked);
        if state != asked {
            // slapproxy forces it only when the instance is asked for again.
            self.decide(Decision::TreeFollowsRoot);
        }
        if request.shared {
            self.make_shared(request, asker, state)
        } else {
            self.make_own(request, asker, state)
        }
    }

    fn asker(&mut self, request: &Request) -> Result<Asker, Refusal> {
        let Some(place) = request.by else { return Ok(Asker { requester: None, root: None }) };
        let requester = self.require_tenant(place)?;
        if self.state.instances[&requester].state == Wanted::Destroyed {
            self.decide(Decision::DestroyedRequestNothing);
            return Err(Refusal::RequesterDestroyed);
        }
        let root = self.state.root_of(requester);
        Ok(Asker { requester: Some(requester), root: Some(root) })
    }

    /// In a stopped tree nothing is started (testSlapOSSlapTool, `test_request_stopped`).
    fn effective_state(&self, asker: Asker, state: Wanted) -> Wanted {
        let is_stopped = asker.root.is_some_and(|root| self.state.instances[&root].state == Wanted::Stopped);
        if is_stopped && state == Wanted::Started { Wanted::Stopped } else { state }
    }

    fn request_known(&mut self, request: &Request, asker: Asker, number: Number) -> Answer {
        let before = self.state.instances[&number].clone();
        if before.shared.is_some() != request.shared {
            self.decide(Decision::OneNamespace);
            return Err(Refusal::OtherSharing);
        }
        if asker.requester.is_some_and(|requester| self.is_above(number, requester)) {
            self.decide(Decision::NoCycle);
            return Err(Refusal::Cycle);
        }
        let state = self.effective_state(asker, request.state.unwrap_or(before.state));
        if asker.root.is_some_and(|root| self.state.instances[&root].state == Wanted::Stopped)
            && state == Wanted::Destroyed
        {
            // slapproxy forces the root's state over that too.
            self.decide(Decision::TreeFollowsRoot);
        }
        if request.shared {
            return self.request_known_shared(request, asker, number, state);
        }
        let kind = request.kind.unwrap_or(DEFAULT_KIND);
        if request.kind.is_none() {
            self.decide(Decision::NoTypeIsTheDefaultType);
        }
        let is_forced = asker.root.is_some_and(|root| self.state.instances[&root].state != Wanted::Started);
        if request.state.is_none() && state != Wanted::Started && !is_forced {
            self.decide(Decision::AnswerSaysWhatIsWanted);
        }
        let after = Instance {
            requester: asker.requester,
            release: request.release,
            kind,
            parameters: request.parameters,
            state,
            ..before.clone()
        };
        if (Instance { requester: before.requester, ..after.clone() }) != before {
            self.renew(number);
        }
        *self.instance(number) = after;
        if asker.root.is_none() && state != before.state {
            self.propagate(number);
        }
        Ok(self.given(number))
    }

    /// Whether `number` is `below` itself, or on its chain of requesters.
    fn is_above(&self, number: Number, below: Number) -> bool {
        let next = |at: &Number| self.state.instances.get(at).and_then(|instance| instance.requester);
        std::iter::successors(Some(below), next).take(self.state.instances.len()).any(|at| at == number)
    }

    fn make_own(&mut self, request: &Request, asker: Asker, state: Wanted) -> Answer {
        let place = self.free_place(request.filter)?;
        let instance = Instance {
            title: request.title,
            root: asker.root,
            requester: asker.requester,
            release: request.release,
            kind: request.kind.unwrap_or(DEFAULT_KIND),
            parameters: request.parameters,
            connection: UNPUBLISHED,
            state,
            place: Some(place),
            shared: None,
        };
        let number = self.insert(instance);
        let slots = &mut self.registered(place.computer).partitions;
        slots.get_mut(&place.partition).expect("it was found free").status = None;
        self.renew(number);
        Ok(self.given(number))
    }

    /// The first free partition of the computer that is named; else of the default one, then of the others.
    fn free_place(&mut self, filter: Filter) -> Result<Place, Refusal> {
        let computers = self.candidates(filter, false)?;
        // Sorted, so that a cloud of thousands is searched in time.
        let mut taken: Vec<Place> =
            self.state.instances.values().filter_map(|instance| instance.place).collect();
        taken.sort_unstable();
        for computer in computers {
            let Some(registered) = self.state.computers.get(&computer) else { continue };
            for partition in registered.ordered() {
                let (place, slot) = (Place { computer, partition }, &registered.partitions[&partition]);
                if slot.listed && taken.binary_search(&place).is_err() {
                    if computer != DEFAULT_COMPUTER && !names_computer(filter) {
                        self.decide(Decision::AnyComputer);
                    }
                    return Ok(place);
                }
            }
        }
        Err(Refusal::NoRoom)
    }

    fn candidates(&mut self, filter: Filter, shared: bool) -> Result<Vec<Computer>, Refusal> {
        match filter {
            // The default computer has the smallest name, so that it is the first.
            Filter::Anywhere | Filter::Ignored | Filter::Elsewhere => {
                Ok(self.state.computers.keys().copied().collect())
            }
            Filter::Unknown => {
                self.decide(Decision::UnknownFilterIsRefused);
                Err(Refusal::BadFilter)
            }
            Filter::Host(_) | Filter::Hosted { .. } if !shared => {
                self.decide(Decision::UnknownFilterIsRefused);
                Err(Refusal::BadFilter)
            }
            Filter::Hosted { on: None, .. } => Ok(self.state.computers.keys().copied().collect()),
            Filter::Computer(computer)
            | Filter::Host(Place { computer, .. })
            | Filter::Hosted { on: Some(computer), .. } => {
                self.require_computer(computer)?;
                Ok(vec![computer])
            }
        }
    }

    fn make_shared(&mut self, request: &Request, asker: Asker, state: Wanted) -> Answer {
        let root = asker.root.map(|root| self.state.instances[&root].title);
        let reference = Reference { root, title: request.title };
        let has_it =
            |instance: &Instance| instance.shared.is_some_and(|shared| shared.reference == reference);
        if self.state.instances.values().any(has_it) {
            self.decide(Decision::ReferencesAreUnique);
            return Err(Refusal::ReferenceTaken);
        }
        let host = self.find_host(request)?;
        if request.kind.is_none() {
            self.decide(Decision::NoTypeIsTheDefaultType);
        }
        if state == Wanted::Stopped {
            self.decide(Decision::StoppedSharedIsUnlisted);
        }
        let number = self.insert(Instance {
            title: request.title,
            root: asker.root,
            requester: asker.requester,
            release: request.release,
            kind: request.kind.unwrap_or(self.state.instances[&host].kind),
            parameters: request.parameters,
            connection: UNPUBLISHED,
            state,
            place: None,
            shared: Some(Shared { reference, host: Some(host), status: None }),
        });
        if state == Wanted::Started {
            self.renew(host);
        }
        Ok(self.given(number))
    }

    fn find_host(&mut self, request: &Request) -> Result<Number, Refusal> {
        for computer in self.candidates(request.filter, true)? {
            let Some(registered) = self.state.computers.get(&computer) else { continue };
            for partition in registered.ordered() {
                let place = Place { computer, partition };
                let is_named = named_host(request.filter).is_none_or(|named| named == place);
                let Some((number, host)) = self.state.tenant(place).filter(|_| is_named) else { continue };
                let fits =
                    host.release == request.release && request.kind.is_none_or(|kind| kind == host.kind);
                if fits && host.state != Wanted::Destroyed {
                    if computer != DEFAULT_COMPUTER && !names_computer(request.filter) {
                        self.decide(Decision::AnyComputer);
                    }
                    return Ok(number);
                }
                if fits {
                    self.decide(Decision::NoDestroyedHost);
                }
            }
        }
        Err(Refusal::NoHost)
    }

    fn request_known_shared(
        &mut self,
        request: &Request,
        asker: Asker,
        number: Number,
        state: Wanted,
    ) -> Answer {
        let before = self.state.instances[&number].clone();
        let shared = before.shared.expect("the caller looked");
        let root = asker.root.map(|root| self.state.instances[&root].title);
        if shared.reference != (Reference { root, title: request.title }) {
            self.decide(Decision::ReferencesStay);
        }
        if state == Wanted::Destroyed {
            self.decide(Decision::SharedGoesAtOnce);
            if self.searched_host(request) != shared.host {
                self.decide(Decision::SharedKeepsHost);
            }
            self.instance(number).state = state;
            let given = self.given(number);
            self.instance(number).state = before.state;
            self.remove_shared(number);
            return Ok(given);
        }
        if request.kind.is_none() {
            self.decide(Decision::NoTypeIsTheDefaultType);
        }
        let keeps_kind = request.kind.is_none_or(|kind| kind == before.kind);
        let host = match shared.host {
            Some(host) if self.state.instances[&host].release == request.release && keeps_kind => {
                if self.searched_host(request) != Some(host) {
                    self.decide(Decision::SharedKeepsHost);
                }
                host
            }
            Some(_) => {
                self.decide(Decision::SharedKeepsRelease);
                return Err(Refusal::OtherRelease);
            }
            None => {
                self.decide(Decision::SharedOutlivesHost);
                self.find_host(request)?
            }
        };
        let kind = request.kind.unwrap_or(if shared.host.is_some() {
            before.kind
        } else {
            self.state.instances[&host].kind
        });
        let listed = self.state.entries(host);
        *self.instance(number) = Instance {
            requester: asker.requester,
            release: request.release,
            kind,
            parameters: request.parameters,
            state,
            shared: Some(Shared { host: Some(host), ..shared }),
            ..before
        };
        if self.state.entries(host) != listed {
            self.renew(host);
        }
        if state == Wanted::Stopped {
            self.decide(Decision::StoppedSharedIsUnlisted);
        }
        Ok(self.given(number))
    }

    /// The host that slapproxy would find: on the computer that is named, or else on the default one.
    fn searched_host(&self, request: &Request) -> Option<Number> {
        let computer = match request.filter {
            Filter::Anywhere
            | Filter::Ignored
            | Filter::Unknown
            | Filter::Elsewhere
            | Filter::Hosted { on: None, .. } => DEFAULT_COMPUTER,
            Filter::Computer(computer)
            | Filter::Host(Place { computer, .. })
            | Filter::Hosted { on: Some(computer), .. } => computer,
        };
        let partitions = self.state.computers.get(&computer)?.ordered().into_iter();
        let places = partitions.map(|partition| Place { computer, partition });
        places
            .filter(|place| named_host(request.filter).is_none_or(|named| named == *place))
            .filter_map(|place| self.state.tenant(place))
            .find(|(_, host)| {
                host.release == request.release && request.kind.is_none_or(|kind| kind == host.kind)
            })
            .map(|(number, _)| number)
    }

    fn insert(&mut self, instance: Instance) -> Number {
        let instances = &mut self.state.instances;
        let gap = instances.keys().zip(0..).find(|(key, number)| *key != number);
        let number = gap.map_or(instances.len(), |(_, number)| usize::from(number));
        let number = Number::try_from(number).expect("there are fewer than 65536");
        instances.insert(number, instance);
        number
    }

    /// The answer about an instance. Its timestamp is set when the event is done.
    pub(super) fn given(&self, number: Number) -> Reply {
        given(self.state, number)
    }
}

/// The partition that the host shall be in.
fn named_host(filter: Filter) -> Option<Place> {
    match filter {
        Filter::Host(place) | Filter::Hosted { by: place, .. } => Some(place),
        Filter::Anywhere | Filter::Computer(_) | Filter::Ignored | Filter::Unknown | Filter::Elsewhere => {
            None
        }
    }
}

fn names_computer(filter: Filter) -> bool {
    matches!(filter, Filter::Computer(_) | Filter::Host(_) | Filter::Hosted { on: Some(_), .. })
}

fn given(state: &State, number: Number) -> Reply {
    let instance = &state.instances[&number];
    let host = instance.shared.and_then(|shared| shared.host).unwrap_or(number);
    let seat = &state.instances[&host];
    let slot = seat.place.and_then(|place| state.slot(place));
    let rank = slot.map(|slot| slot.rank).filter(|_| instance.shared.is_none());
    Reply::Given(Given {
        place: seat.place,
        address: slot.map(|slot| slot.address),
        release: seat.release,
        kind: seat.kind,
        parameters: instance.parameters,
        connection: instance.connection,
        state: instance.state,
        rank,
    })
}
