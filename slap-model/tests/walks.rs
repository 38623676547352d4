//! Random walks through the worlds: no rule is broken, and every reply and every decision occurs.

use slap_model::{
    Choices, Decision, Event, State,
    rules::Transition,
    worlds::{World, everything, everything_with_nodes, worlds},
};
use std::collections::BTreeSet;

/// A small generator of numbers (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Choices for Numbers {
    fn choose(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn choose_weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = (self.next() % u64::from(weights.iter().sum::<u32>())) as u32;
        for (at, weight) in weights.iter().enumerate() {
            if left < *weight {
                return at;
            }
            left -= weight;
        }
        unreachable!("the rest is smaller than the sum")
    }
}

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
    }
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
