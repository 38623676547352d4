//! Compiled against a mutated model: walks through its worlds, and prints the rules that break.
//! Each walk ends at the first step that breaks something.

use slap_model::{
    Choices,
    rules::Transition,
    worlds::{World, everything, everything_elsewhere, everything_with_nodes, titles_elsewhere, worlds},
};
use std::{collections::{BTreeMap, BTreeSet}, panic};

/// A small generator of numbers (splitmix64).
struct Numbers(u64);

impl Choices for Numbers {
    fn choose(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % count as u64) as usize
    }

    fn choose_weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.choose(weights.iter().sum::<u32>() as usize) as u32;
        weights
            .iter()
            .position(|weight| {
                let is_it = left < *weight;
                left = left.saturating_sub(*weight);
                is_it
            })
            .unwrap_or_default()
    }
}

fn walk(world: &World, seed: u64) -> Vec<&'static str> {
    let mut numbers = Numbers(seed);
    let mut state = world.start.clone();
    for _ in 0..150 {
        let Some(event) = world.bounds.generate(&state, &mut numbers) else { continue };
        let before = state.clone();
        let reply = state.step(&event);
        let transition = Transition { before: &before, event: &event, reply: &reply, after: &state };
        let broken: BTreeSet<_> =
            [state.violations(), transition.violations()].concat().iter().map(|it| it.rule.name()).collect();
        if !broken.is_empty() {
            return broken.into_iter().collect();
        }
    }
    Vec::new()
}

fn main() {
    let worlds = [worlds(), vec![everything(), everything_with_nodes(), everything_elsewhere(), titles_elsewhere()]].concat();
    let mut broken: BTreeMap<String, u32> = BTreeMap::new();
    panic::set_hook(Box::new(|_| {}));
    for seed in 0..40 {
        for world in &worlds {
            let rules = panic::catch_unwind(|| walk(world, seed)).unwrap_or(vec!["panic"]);
            if !rules.is_empty() {
                *broken.entry(rules.join("+")).or_default() += 1;
            }
        }
    }
    for (rules, times) in broken {
        println!("{rules} {times}");
    }
}
