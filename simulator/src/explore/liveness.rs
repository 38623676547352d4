//! Once users and faults stop, the cloud settles: in whatever order it does its own steps, it comes to an end, and there everything is as it
//! is wanted.
//!
//! The steps that change a state form a graph over the states that were explored. It must have no cycle, and every state without
//! such a step must be settled. Then every fair order settles, and the longest path is the number of steps that it takes at most.

use slap_model::Unsettled;
use std::fmt;

/// What the cloud does by itself.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// States, by their digests, in the order in which they were left; with where their steps begin, and who waits there.
    states: Vec<Left>,
    /// The digests of the states that steps lead to.
    to: Vec<u64>,
}

#[derive(Debug)]
struct Left {
    digest: u64,
    first: usize,
    unsettled: Option<Unsettled>,
}

/// How the cloud settles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settling {
    /// States from which that was followed: all.
    pub states: usize,
    /// Steps that change something.
    pub steps: usize,
    /// The most steps that it takes.
    pub longest: usize,
}

/// Why the cloud does not settle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stuck {
    /// The digests of states on the way, from one that was explored: the last has no step, or is the first again.
    pub(super) way: Vec<u64>,
    /// What is wrong at its end.
    pub reason: Reason,
}

/// What is wrong with an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Nothing happens any more, and somebody waits.
    Waits(Unsettled),
    /// Steps lead back.
    Endless,
    /// It takes more steps than the world says.
    TooLong {
        /// So many.
        longest: usize,
        /// At most so many.
        bound: usize,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Waits(unsettled) => write!(formatter, "nothing happens any more, but {unsettled}"),
            Reason::Endless => formatter.write_str("what the cloud does by itself leads back, for ever"),
            Reason::TooLong { longest, bound } => {
                write!(formatter, "to settle takes {longest} steps, expected {bound} at most")
            }
        }
    }
}

impl Steps {
    /// A state is left; the steps that follow are its own.
    pub(super) fn from(&mut self, digest: u64, settled: Result<(), Unsettled>) {
        self.states.push(Left { digest, first: self.to.len(), unsettled: settled.err() });
    }

    /// A step to a state from the one that was left last.
    pub(super) fn to(&mut self, from: u64, to: u64) {
        debug_assert_eq!(
            self.states.last().map(|left| left.digest),
            Some(from),
            "one thread leaves one state"
        );
        self.to.push(to);
    }

    /// Follows all steps to their ends.
    ///
    /// # Errors
    /// When they do not end, or end while somebody waits, or are more than `bound`.
    pub(super) fn settling(self, bound: usize) -> Result<Settling, Stuck> {
        let graph = Graph::new(self);
        let heights = graph.heights()?;
        for (at, left) in graph.states.iter().enumerate() {
            if let (0, Some(unsettled)) = (heights[at], &left.unsettled) {
                return Err(Stuck { way: vec![left.digest], reason: Reason::Waits(unsettled.clone()) });
            }
        }
        let longest = heights.iter().copied().max().unwrap_or(0);
        if longest as usize > bound {
            let way = graph.longest_way(&heights);
            return Err(Stuck { way, reason: Reason::TooLong { longest: longest as usize, bound } });
        }
        Ok(Settling { states: graph.states.len(), steps: graph.to.len(), longest: longest as usize })
    }
}

/// The steps, by the places of states instead of their digests.
struct Graph {
    states: Vec<Left>,
    to: Vec<u32>,
}

/// Not seen yet; on the path that is being followed. Smaller numbers are the longest way to an end.
const UNSEEN: u32 = u32::MAX;
const OPEN: u32 = u32::MAX - 1;

impl Graph {
    fn new(steps: Steps) -> Graph {
        let mut places: Vec<(u64, u32)> = steps.states.iter().map(|left| left.digest).zip(0..).collect();
        places.sort_unstable();
        let place = |digest: &u64| {
            let at = places.partition_point(|(other, _)| other < digest);
            places.get(at).filter(|(other, _)| other == digest).map(|(_, place)| *place)
        };
        // All were left: nobody asks when there were too many.
        let mut states = steps.states;
        let mut to = Vec::with_capacity(steps.to.len());
        for at in 0..states.len() {
            let end = states.get(at + 1).map_or(steps.to.len(), |next| next.first);
            let known = steps.to[states[at].first..end].iter().filter_map(place);
            states[at].first = to.len();
            to.extend(known);
        }
        Graph { states, to }
    }

    fn next(&self, at: u32) -> &[u32] {
        let at = at as usize;
        let end = self.states.get(at + 1).map_or(self.to.len(), |next| next.first);
        &self.to[self.states[at].first..end]
    }

    /// For each state the length of the longest way to an end.
    fn heights(&self) -> Result<Vec<u32>, Stuck> {
        let mut heights = vec![UNSEEN; self.states.len()];
        let mut path: Vec<(u32, usize)> = Vec::new();
        for start in 0..self.states.len() as u32 {
            if heights[start as usize] == UNSEEN {
                heights[start as usize] = OPEN;
                path.push((start, 0));
            }
            while let Some((at, done)) = path.last_mut() {
                let Some(next) = self.next(*at).get(*done).copied() else {
                    let height = self.next(*at).iter().map(|next| heights[*next as usize] + 1).max();
                    heights[*at as usize] = height.unwrap_or(0);
                    path.pop();
                    continue;
                };
                *done += 1;
                match heights[next as usize] {
                    OPEN => return Err(self.cycle(&path, next)),
                    UNSEEN => {
                        heights[next as usize] = OPEN;
                        path.push((next, 0));
                    }
                    _ => {}
                }
            }
        }
        Ok(heights)
    }

    fn cycle(&self, path: &[(u32, usize)], back_to: u32) -> Stuck {
        let on_cycle = path.iter().map(|(at, _)| *at).skip_while(|at| *at != back_to).chain([back_to]);
        let way = on_cycle.map(|at| self.states[at as usize].digest).collect();
        Stuck { way, reason: Reason::Endless }
    }

    fn longest_way(&self, heights: &[u32]) -> Vec<u64> {
        let height = |at: &u32| heights[*at as usize];
        // Of several the first: nobody has a shorter path to it.
        let start = (0..self.states.len() as u32).rev().max_by_key(height);
        let next = |at: &u32| self.next(*at).iter().copied().max_by_key(height);
        std::iter::successors(start, next).map(|at| self.states[at as usize].digest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States with their steps; a state with `true` is settled.
    fn check(states: &[(u64, bool, &[u64])], bound: usize, expected: Result<usize, (Vec<u64>, &str)>) {
        let mut steps = Steps::default();
        for (digest, is_settled, to) in states {
            let unsettled = Unsettled { object: format!("s{digest}"), waits_for: "more".to_owned() };
            steps.from(*digest, if *is_settled { Ok(()) } else { Err(unsettled) });
            to.iter().for_each(|to| steps.to(*digest, *to));
        }
        let found = steps.settling(bound).map(|it| it.longest).map_err(|it| (it.way, it.reason.to_string()));
        assert_eq!(found, expected.map_err(|(way, reason)| (way, reason.to_owned())));
    }

    #[test]
    fn every_way_ends_settled_or_is_told() {
        check(&[(7, true, &[])], 0, Ok(0));
        check(&[(7, false, &[5, 9]), (5, true, &[]), (9, false, &[5])], 2, Ok(2));
        let waits = "nothing happens any more, but s9 waits for more";
        check(&[(7, false, &[5, 9]), (5, true, &[]), (9, false, &[])], 2, Err((vec![9], waits)));
        let endless = "what the cloud does by itself leads back, for ever";
        check(&[(7, false, &[5]), (5, true, &[6]), (6, true, &[5])], 9, Err((vec![5, 6, 5], endless)));
        check(&[(7, true, &[7])], 9, Err((vec![7, 7], endless)));
        let long = "to settle takes 2 steps, expected 1 at most";
        check(&[(7, false, &[5, 9]), (5, true, &[]), (9, false, &[5])], 1, Err((vec![7, 9, 5], long)));
    }
}
