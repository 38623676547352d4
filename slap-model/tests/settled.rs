//! Whoever still waits is named: clouds that have settled are tampered with, each in one way, and `settled` must say who waits for what.

mod numbers;

use numbers::Numbers;
use slap_model::{
    Event, State,
    event::{Mail, ReleaseReport, Report, Wanted, Word},
    names::{Place, Rank},
    state::{Deployed, Registered, Slot, Status},
    worlds::{World, everything_with_nodes},
};
use std::collections::BTreeMap;

/// What is waited for then, what is done to a settled cloud, and how; nothing when that cloud is no occasion.
type Tampering = (&'static str, &'static str, fn(&mut State) -> Option<()>);

const TAMPERINGS: &[Tampering] = &[
    ("its delivery", "a report is on its way", |state| {
        let (place, _) = occupied(state, |_| true)?;
        state.mail.insert(Mail::Instance(Report { place, word: Word::Started, about: None }));
        Some(())
    }),
    ("a look at what is wanted", "a node never looked", |state| {
        state.nodes.values_mut().next()?.view = None;
        Some(())
    }),
    ("a look at what is wanted", "a node saw something else", |state| {
        let (place, _) = occupied(state, |_| true)?;
        slot(state, place).rank += 1;
        Some(())
    }),
    ("its build", "the master was not told of a release", |state| {
        first(state)?.supplies.values_mut().next()?.status = None;
        Some(())
    }),
    ("its build", "the master was told that a release could not be built", |state| {
        first(state)?.supplies.values_mut().next()?.status = Some(ReleaseReport::Error);
        Some(())
    }),
    ("its build", "a release is not built", |state| {
        let release = *first(state)?.supplies.keys().next()?;
        state.nodes.values_mut().next()?.built.remove(&release).map(|_| ())
    }),
    ("its build", "a release could not be built", |state| {
        let release = *first(state)?.supplies.keys().next()?;
        state.nodes.values_mut().next()?.built.insert(release, false).map(|_| ())
    }),
    ("its emptying", "something is in a free partition", |state| {
        let (computer, node) = state.nodes.iter_mut().next()?;
        let registered = state.computers.get(computer)?;
        let is_free = |place: Place| state.instances.values().all(|instance| instance.place != Some(place));
        let mut partitions = registered.partitions.keys().copied();
        let free =
            partitions.find(|partition| is_free(Place { computer: *computer, partition: *partition }))?;
        node.deployed.insert(free, Deployed { rank: 1, started: false, services: 0, passes: true });
        Some(())
    }),
    ("its processing", "an instance was never processed", |state| {
        let (place, _) = occupied(state, |it| it.deployed.is_some() && it.is_built)?;
        state.nodes.get_mut(&place.computer)?.deployed.remove(&place.partition).map(|_| ())
    }),
    ("its processing", "an instance was processed before its last change", |state| {
        let (place, _) = occupied(state, |it| it.deployed.is_some() && it.is_built)?;
        deployed(state, place)?.rank = 0;
        Some(())
    }),
    ("its services", "services are down", |state| {
        let (place, _) = occupied(state, |it| it.deployed.is_some_and(|it| it.started))?;
        deployed(state, place)?.services = 0;
        Some(())
    }),
    ("a report on it", "a promise fails, and nobody knows", |state| {
        let (place, _) = occupied(state, |it| it.deployed.is_some_and(|it| it.started))?;
        let deployed = deployed(state, place)?;
        deployed.passes = !deployed.passes;
        Some(())
    }),
    ("a report on it", "nothing was reported", |state| {
        let (place, _) = occupied(state, |_| true)?;
        slot(state, place).status = None;
        Some(())
    }),
    ("a report on it", "something else was reported", |state| {
        let (place, about) = occupied(state, |_| true)?;
        slot(state, place).status = Some(Status { about, word: Word::Bang });
        Some(())
    }),
    ("a report on it", "what was before the last change was reported", |state| {
        let (place, about) = occupied(state, |it| it.slot.status.is_some())?;
        let word = slot(state, place).status?.word;
        slot(state, place).status = Some(Status { about: about.checked_sub(1)?, word });
        Some(())
    }),
    ("a report on it", "that a release is missing was not reported", |state| {
        let (place, about) = occupied(state, |it| it.deployed.is_none())?;
        slot(state, place).status = Some(Status { about, word: Word::Started });
        Some(())
    }),
    ("its instance to be gone", "an instance was to be destroyed all the time", |state| {
        let (place, _) = occupied(state, |_| true)?;
        let instance = state.instances.values_mut().find(|instance| instance.place == Some(place))?;
        instance.state = Wanted::Destroyed;
        let view = state.view(place.computer);
        state.nodes.get_mut(&place.computer)?.view = Some(view);
        Some(())
    }),
    ("its removal", "a release was to be removed all the time", |state| {
        first(state)?.supplies.values_mut().next()?.wanted = false;
        let computer = *state.nodes.keys().next()?;
        let view = state.view(computer);
        state.nodes.get_mut(&computer)?.view = Some(view);
        Some(())
    }),
];

/// The computer of the first node.
fn first(state: &mut State) -> Option<&mut Registered> {
    state.computers.get_mut(state.nodes.keys().next()?)
}

/// A partition with an instance, and what its node has of its present state.
struct Occupied<'a> {
    slot: &'a Slot,
    deployed: Option<&'a Deployed>,
    is_built: bool,
}

/// The first partition with an instance for which this holds, with its timestamp.
fn occupied(state: &State, is_it: impl Fn(&Occupied<'_>) -> bool) -> Option<(Place, Rank)> {
    let found = state.instances.values().filter_map(|instance| {
        let place = instance.place?;
        let node = state.nodes.get(&place.computer)?;
        let slot = state.slot(place)?;
        let deployed = node.deployed.get(&place.partition).filter(|it| it.rank == slot.rank);
        let is_built = node.built.get(&instance.release) == Some(&true);
        is_it(&Occupied { slot, deployed, is_built }).then_some((place, slot.rank))
    });
    found.min()
}

fn slot(state: &mut State, place: Place) -> &mut Slot {
    let registered = state.computers.get_mut(&place.computer).expect("it was found there");
    registered.partitions.get_mut(&place.partition).expect("it was found there")
}

fn deployed(state: &mut State, place: Place) -> Option<&mut Deployed> {
    state.nodes.get_mut(&place.computer)?.deployed.get_mut(&place.partition)
}

/// Lets users and faults stop, and master and nodes go on, until nobody waits.
fn settle(world: &World, mut state: State) -> State {
    for _ in 0..world.settles_within {
        if state.settled().is_ok() {
            return state;
        }
        for computer in state.nodes.keys().copied().collect::<Vec<_>>() {
            state.step(&Event::Look(computer));
            for release in (0..world.bounds.releases).map(slap_model::names::Release) {
                state.step(&Event::Build { computer, release, succeeds: true });
            }
            let partitions: Vec<_> = state
                .computers
                .get(&computer)
                .into_iter()
                .flat_map(|it| it.partitions.keys())
                .copied()
                .collect();
            for partition in partitions {
                state.step(&Event::Process(Place { computer, partition }));
                state.step(&Event::Check(Place { computer, partition }));
            }
        }
        for mail in state.mail.clone() {
            state.step(&Event::Deliver(mail));
        }
    }
    panic!("{:?}\n{state:#?}", state.settled());
}

#[test]
fn who_waits_is_named() {
    let world = everything_with_nodes();
    let mut occasions: BTreeMap<&str, usize> = TAMPERINGS.iter().map(|(_, what, _)| (*what, 0)).collect();
    for seed in 0..60 {
        let mut numbers = Numbers(seed);
        let mut state = world.start.clone();
        for _ in 0..100 {
            let Some(event) = world.bounds.generate(&state, &mut numbers) else { continue };
            state.step(&event);
        }
        let state = settle(&world, state);
        for (waits_for, what, tamper) in TAMPERINGS {
            let mut tampered = state.clone();
            if tamper(&mut tampered).is_none() {
                continue;
            }
            *occasions.entry(what).or_default() += 1;
            let unsettled = tampered.settled().expect_err(what);
            assert_eq!(unsettled.waits_for, *waits_for, "{what}: {unsettled}\n{tampered:#?}");
            assert!(unsettled.to_string().ends_with(&format!(" waits for {waits_for}")), "{unsettled}");
        }
    }
    occasions.retain(|_, count| *count == 0);
    assert!(occasions.is_empty(), "no occasion for {occasions:?}");
}
