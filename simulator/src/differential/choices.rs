//! Who answers the generator's questions: the bytes of a fuzzer or of proptest, or random numbers of a seed.

use crate::world::Random;
use slap_model::{Choices, Event, State, names::Computer, worlds::World};

/// Answers with the bytes of a list; once they are used up, with the first of everything.
pub struct Bytes<'a> {
    left: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// Answers with these bytes.
    pub fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes { left: bytes }
    }

    /// Whether all bytes are used up.
    pub fn is_over(&self) -> bool {
        self.left.is_empty()
    }
}

impl Choices for Bytes<'_> {
    fn choose(&mut self, count: usize) -> usize {
        let mut number = 0;
        let mut reach = 1;
        while reach < count {
            let (first, rest) = self.left.split_first().unwrap_or((&0, &[]));
            self.left = rest;
            number = number * 256 + usize::from(*first);
            reach *= 256;
        }
        number % count
    }

    fn choose_weighted(&mut self, weights: &[u32]) -> usize {
        let drawn = self.choose(weights.iter().sum::<u32>() as usize);
        weighted(weights, drawn)
    }
}

/// Answers with the random numbers of a seed.
pub struct Seeded {
    random: Random,
}

impl Seeded {
    /// Answers of that seed.
    pub fn new(seed: u64) -> Seeded {
        Seeded { random: Random::new(seed) }
    }
}

impl Choices for Seeded {
    fn choose(&mut self, count: usize) -> usize {
        (self.random.number() % count as u64) as usize
    }

    fn choose_weighted(&mut self, weights: &[u32]) -> usize {
        let drawn = self.choose(weights.iter().sum::<u32>() as usize);
        weighted(weights, drawn)
    }
}

fn weighted(weights: &[u32], drawn: usize) -> usize {
    let mut left = drawn as u32;
    for (at, weight) in weights.iter().enumerate() {
        if left < *weight {
            return at;
        }
        left -= weight;
    }
    unreachable!("the rest is smaller than the sum")
}

/// The state in which every list begins: a master that knows nothing, and two nodes.
pub fn empty() -> State {
    State::new([Computer(0), Computer(1)])
}

/// The events that make the beginning of a world of [`empty`].
pub fn prelude(world: &World) -> Vec<Event> {
    world.opening.clone()
}

/// A list of events of a world, as the choices want it: until it is so long, or `is_over` says that they are over.
pub fn list<C: Choices>(
    world: &World,
    choices: &mut C,
    length: usize,
    is_over: impl Fn(&C) -> bool,
) -> Vec<Event> {
    let mut events = prelude(world);
    let mut state = empty();
    for event in &events {
        state.step(event);
    }
    // What leads nowhere is drawn again, but not for ever.
    for _ in 0..length * 4 {
        if events.len() >= length || is_over(choices) {
            break;
        }
        if let Some(event) = world.bounds.generate(&state, choices) {
            state.step(&event);
            events.push(event);
        }
    }
    events
}

/// The list of a seed.
pub fn seeded(world: &World, seed: u64, length: usize) -> Vec<Event> {
    list(world, &mut Seeded::new(seed), length, |_| false)
}

/// The list of these bytes.
pub fn of_bytes(world: &World, bytes: &[u8]) -> Vec<Event> {
    list(world, &mut Bytes::new(bytes), bytes.len(), Bytes::is_over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slap_model::worlds::everything;

    #[test]
    fn bytes_answer_until_they_are_used_up() {
        let mut bytes = Bytes::new(&[5, 1, 2, 7]);
        assert_eq!(bytes.choose(1), 0, "no question needs no byte");
        assert_eq!(bytes.choose(4), 1);
        assert_eq!(bytes.choose(1000), 258);
        assert!(!bytes.is_over());
        assert_eq!(bytes.choose_weighted(&[7, 1]), 1);
        assert!(bytes.is_over());
        assert_eq!(bytes.choose(10), 0);
    }

    #[test]
    fn every_list_of_bytes_is_a_list_of_events() {
        let world = everything();
        for bytes in [vec![], vec![0; 64], vec![255; 64], (0..=255).collect()] {
            let events = of_bytes(&world, &bytes);
            assert!(events.len() <= bytes.len().max(1), "{bytes:?}");
            assert_eq!(events, of_bytes(&world, &bytes));
        }
        assert_eq!(seeded(&world, 3, 50).len(), 50);
        assert_ne!(seeded(&world, 3, 50), seeded(&world, 4, 50));
    }
}
