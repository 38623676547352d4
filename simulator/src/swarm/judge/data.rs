//! The data of instances: what a service of one kept is there as long as it has its partition, and nobody else ever has it.
//!
//! A service tells whether it found its data or had to make it (`world/foreign.rs`). An instance makes its data once, when its service first
//! starts; it may once more when its destruction was wanted meanwhile, or its node lost its partitions for a reason that is not slap's.

use super::replay::{Broken, Turn};
use crate::{
    swarm::{cloud::Cloud, script::Place, users::computer},
    world::foreign::Begun,
};
use std::collections::{BTreeMap, BTreeSet};

/// The rule that is broken when an instance that had data has none.
pub(super) const KEPT: &str = "data-is-kept";
/// The rule that is broken when an instance has another one's.
pub(super) const OWN: &str = "data-is-its-own";

/// What is known of each partition.
#[derive(Default)]
pub(super) struct Data(BTreeMap<(String, String), Held>);

#[derive(Default)]
struct Held {
    /// How often data may be made anew.
    may_be_made: u32,
    /// That of the instance which has the partition now, once it was made.
    own: Option<String>,
    /// Those of instances that had it before.
    old: BTreeSet<String>,
}

impl Data {
    /// Judges the services that began since the last look on a master's nodes. `turns`: what became of their partitions meanwhile.
    pub(super) fn look(
        &mut self,
        cloud: &Cloud,
        of_master: impl Iterator<Item = u32>,
        turns: Vec<Turn>,
    ) -> Result<(), Broken> {
        let twins = cloud.twins();
        let mut nodes: BTreeMap<String, (u32, Vec<Begun>)> = BTreeMap::new();
        for node in of_master {
            let begun = cloud.machine(Place::Node(node)).take_begun();
            let losses = cloud.losses.borrow_mut().remove(&node).unwrap_or_default();
            // Where another machine has its identity what one destroys may be what the other has.
            if !twins.contains_key(&node) {
                nodes.insert(computer(node).to_string(), (losses, begun));
            }
        }
        self.judge(turns, &nodes, !cloud.is_touched.get())
    }

    /// Within the time between two looks nobody knows what came first, so all is allowed that was at any time of it.
    fn judge(
        &mut self,
        turns: Vec<Turn>,
        nodes: &BTreeMap<String, (u32, Vec<Begun>)>,
        is_own_judged: bool,
    ) -> Result<(), Broken> {
        let mut given = BTreeSet::new();
        for turn in turns {
            match turn {
                Turn::Given(computer, partition) => {
                    let held = self.0.entry((computer.clone(), partition.clone())).or_default();
                    held.may_be_made += 1;
                    held.old.extend(held.own.take());
                    given.insert((computer, partition));
                }
                Turn::Gone(computer, partition) => {
                    self.0.entry((computer, partition)).or_default().may_be_made += 1;
                }
            }
        }
        for ((computer, _), held) in &mut self.0 {
            held.may_be_made += nodes.get(computer).map_or(0, |(losses, _)| *losses);
        }
        for (computer, (_, begun)) in nodes {
            for Begun { place, data, is_new } in begun {
                let key = (computer.clone(), place.clone());
                let held = self.0.entry(key.clone()).or_default();
                let broken =
                    |rule: &str, what: String| Err((rule.to_owned(), format!("{computer}/{place}"), what));
                if *is_new {
                    if held.may_be_made == 0 {
                        return broken(KEPT, "its service has found none of the data that it had".to_owned());
                    }
                    held.may_be_made -= 1;
                    held.own = Some(data.clone());
                } else if is_own_judged && !given.contains(&key) && held.old.contains(data) {
                    return broken(OWN, format!("its service has found {data}, of an instance that is gone"));
                }
            }
        }
        // What was not made by one that has gone is not for the next one.
        for key in given {
            if let Some(held) = self.0.get_mut(&key) {
                held.may_be_made = held.may_be_made.min(1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPUTER: &str = "COMP-1";
    const PLACE: &str = "slappart0";

    /// What is found of looks, each of words: `given`, `gone`, `lost`, `new DATA`, `has DATA`.
    fn rule(looks: &[&[&str]]) -> Option<String> {
        let mut data = Data::default();
        looks.iter().find_map(|look| {
            let (mut turns, mut losses, mut begun) = (Vec::new(), 0, Vec::new());
            for word in *look {
                let place = || (COMPUTER.to_owned(), PLACE.to_owned());
                match word.split_once(' ') {
                    Some((kind, data)) => begun.push(Begun {
                        place: PLACE.to_owned(),
                        data: data.to_owned(),
                        is_new: kind == "new",
                    }),
                    None if *word == "given" => turns.push(Turn::Given(place().0, place().1)),
                    None if *word == "gone" => turns.push(Turn::Gone(place().0, place().1)),
                    None => losses += 1,
                }
            }
            let nodes = BTreeMap::from([(COMPUTER.to_owned(), (losses, begun))]);
            data.judge(turns, &nodes, true).err().map(|(rule, ..)| rule)
        })
    }

    #[test]
    fn data_is_kept_and_its_own() {
        let (kept, own) = (Some(KEPT.to_owned()), Some(OWN.to_owned()));
        for (looks, expected) in [
            (&[&["given"][..], &["new a", "has a"], &["has a"]][..], None),
            (&[&["given", "new a"], &["new b"]], kept.clone()),
            (&[&["new a"]], kept.clone()),
            (&[&["given", "new a"], &["gone", "new b"], &["new c"]], kept.clone()),
            (&[&["given", "new a"], &["lost"], &["new b", "has b"]], None),
            (&[&["given", "new a"], &["given"], &["new b"], &["has b"]], None),
            (&[&["given", "new a"], &["given"], &["has a"]], own.clone()),
            // Nobody knows which of both it was.
            (&[&["given", "new a"], &["given", "has a"], &["new b"]], None),
            (&[&["given"], &["given", "new a", "new b"], &["has b"]], None),
            (&[&["given"], &["given"], &["new a"], &["new b"]], kept.clone()),
            (&[&["given", "new a"], &["given", "new b"], &["new c"]], kept),
            // It was made, and its maker was killed before it could say so.
            (&[&["given"], &["has a"], &["given"], &["new b"]], None),
        ] {
            assert_eq!(rule(looks), expected, "{looks:?}");
        }
    }
}
