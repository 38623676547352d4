//! Random walks through the worlds: no rule is broken, and every reply and every decision occurs.

mod numbers;

use numbers::Numbers;
use slap_model::{
    Decision, Event, Reply, State,
    rules::Transition,
    worlds::{
        World, everything, everything_elsewhere, everything_with_nodes, larger, titles_elsewhere, worlds,
    },
};
use std::collections::BTreeSet;

#[derive(Default)]
struct Seen {
    events: BTreeSet<&'static str>,
    replies: BTreeSet<&'static str>,
    decisions: BTreeSet<Decision>,
}

fn walk(world: &World, seed: u64, length: usize, seen: &mut Seen) {
    let mut numbers = Numbers(seed);
    let mut state = world.start.clone();
    let mut events: Vec<Event> = Vec::new();
    while events.len() < length {
        let Some(event) = world.bounds.generate(&state, &mut numbers) else { continue };
        let before = state.clone();
        let step = state.step_explained(&event);
        events.push(event.clone());
        let is_same = before.computers == state.computers && before.instances == state.instances;
        assert!(event.reaches_master() || is_same && step.reply == Reply::Local, "{event:?}");
        let is_seen = step.reply != Reply::Local || matches!(event, Event::ClockBack(_));
        assert!(!event.reaches_master() || is_seen, "{event:?}");
        let transition = Transition { before: &before, event: &event, reply: &step.reply, after: &state };
        let violations = [state.violations(), transition.violations()].concat();
        assert!(
            violations.is_empty(),
            "{} {seed}: {violations:#?}\n{before:#?}\n{events:#?}\n{:?}",
            world.name,
            step.reply
        );
        seen.events.insert(event.kind());
        seen.replies.insert(step.reply.kind());
        seen.decisions.extend(step.decisions);
    }
}

#[test]
fn no_rule_is_broken_by_random_walks() {
    for world in worlds() {
        let mut seen = Seen::default();
        (0..100).for_each(|seed| walk(&world, seed, 60, &mut seen));
    }
}

#[test]
fn everything_occurs_and_nothing_breaks() {
    let mut seen = Seen::default();
    for seed in 0..400 {
        walk(&everything(), seed, 120, &mut seen);
        walk(&everything_with_nodes(), seed, 120, &mut seen);
        walk(&everything_elsewhere(), seed, 120, &mut seen);
        walk(&titles_elsewhere(), seed, 120, &mut seen);
    }
    for kind in ["given elsewhere", "stand-in"] {
        assert!(seen.replies.contains(kind), "{kind} never occurred");
    }
    assert!(seen.events.contains("rebase"));
    let missing: Vec<_> = Decision::ALL.iter().filter(|it| !seen.decisions.contains(it)).collect();
    assert!(missing.is_empty(), "decisions that were never used: {missing:?}");
    println!("{:?}\n{:?}", seen.events, seen.replies);
}

#[test]
fn states_that_behave_alike_have_one_canonical_form() {
    let world = everything_with_nodes();
    for seed in 0..50 {
        let mut numbers = Numbers(seed);
        let mut state: State = world.start.clone();
        for _ in 0..80 {
            let canonical = state.clone().canonical();
            assert_eq!(canonical.clone().canonical(), canonical, "twice is once");
            let Some(event) = world.bounds.generate(&canonical, &mut numbers) else { continue };
            let mut other = canonical.clone();
            let reply = other.step(&event);
            assert_eq!(canonical.settled().is_ok(), state.settled().is_ok());
            assert_eq!(other.violations(), [], "{event:?} {reply:?}");
            state = other;
        }
    }
}

/// Whether an event names a timestamp, which differs between a state and its canonical form.
fn names_a_timestamp(event: &Event) -> bool {
    matches!(event, Event::Report(_) | Event::Deliver(_) | Event::LoseAnswer(_) | Event::Drop(_))
}

#[test]
fn what_happens_to_a_state_happens_to_its_canonical_form() {
    let mut compared = 0;
    for (world, seed) in worlds().iter().chain(&[everything_with_nodes()]).zip(0..).cycle().take(200) {
        let mut numbers = Numbers(seed + compared);
        let mut state: State = world.start.clone();
        for _ in 0..80 {
            let Some(event) = world.bounds.generate(&state, &mut numbers) else { continue };
            let mut canonical = state.clone().canonical();
            let reply = state.step(&event);
            if !names_a_timestamp(&event) {
                assert_eq!(canonical.step(&event).kind(), reply.kind(), "{event:?}");
                // How far a clock was set back is forgotten; it changes no order of timestamps.
                let forms = [canonical, state.clone()].map(|it| State { now: 0, ..it.canonical() });
                assert_eq!(forms[0], forms[1], "{event:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn a_report_that_is_not_on_its_way_does_nothing() {
    let world = everything_with_nodes();
    let mut arrived = 0;
    for seed in 0..20 {
        let mut numbers = Numbers(seed);
        let mut state: State = world.start.clone();
        for _ in 0..120 {
            let Some(event) = world.bounds.generate(&state, &mut numbers) else { continue };
            state.step(&event);
            if !matches!(event, Event::Deliver(_)) {
                continue;
            }
            let before = state.clone();
            let reply = state.step(&event);
            assert_eq!((&reply, &state), (&Reply::Local, &before), "{event:?}");
            let transition = Transition { before: &before, event: &event, reply: &reply, after: &state };
            assert!(transition.violations().is_empty(), "{event:?}");
            arrived += 1;
        }
    }
    assert!(arrived > 20, "{arrived}");
}

/// The events that may happen in the states of a short walk, all counted. Each stands there once, and what is generated is one of them.
fn enabled(world: &World, length: usize) -> usize {
    let mut numbers = Numbers(7);
    let mut state = world.start.clone();
    let mut count = 0;
    for _ in 0..length {
        let mut events = Vec::new();
        state.enabled(&world.bounds, &mut events);
        count += events.len();
        let different: BTreeSet<&Event> = events.iter().collect();
        assert_eq!(different.len(), events.len(), "{}", world.name);
        assert!(!different.contains(&Event::ClockBack(0)), "{}: that is no event", world.name);
        let Some(event) = world.bounds.generate(&state, &mut numbers) else { continue };
        assert!(different.contains(&event), "{}: {event:?}", world.name);
        state.step(&event);
    }
    count
}

#[test]
fn what_may_happen_in_a_world_is_what_it_was() {
    let found = |worlds: Vec<World>, length| -> Vec<_> {
        worlds.iter().map(|world| (world.name, world.depth, enabled(world, length))).collect()
    };
    // A world that is made larger or smaller on purpose has another number: nothing else may change it.
    assert_eq!(
        found(worlds(), 60),
        [
            ("allocation", None, 3360),
            ("tree", None, 4946),
            ("shared", None, 22812),
            ("rename and bang", None, 5416),
            ("stale view", None, 535),
            ("node crash", None, 525),
            ("tree on a node", None, 1009),
            ("hosts on a node", None, 1500),
            ("elsewhere", None, 4860),
            ("moved releases", None, 1320),
        ]
    );
    assert_eq!(
        found(larger(), 60),
        [
            ("larger allocation", Some(6), 5940),
            ("larger tree", Some(5), 6000),
            ("larger shared", Some(4), 36874),
            ("larger rename and bang", Some(6), 9275),
            ("larger stale view", Some(14), 775),
            ("larger node crash", Some(16), 885),
            ("trees on a node", Some(6), 4184)
        ]
    );
    assert_eq!(
        found(vec![everything(), everything_with_nodes()], 10),
        [("everything", None, 1970940), ("everything with nodes", None, 245200)]
    );
}
