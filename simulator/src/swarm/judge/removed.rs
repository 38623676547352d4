//! Releases that were removed: what a node reported as gone must not come back when its power is lost.

use super::{Replay, replay::Broken};
use crate::{
    swarm::{
        cloud::{Cloud, completed},
        script::{Place, Release},
        users::computer,
    },
    world::Tier,
};
use std::collections::BTreeSet;

/// The rule that is broken when a release counts as built again after its removal was reported.
pub(super) const RULE: &str = "removed-stays-removed";

/// Releases that are not supplied, because their removal was reported: the number of a node, and the URL.
pub(super) type Gone = BTreeSet<(u32, String)>;

/// The releases that the master takes for gone. Before the turmoil of a run every release is supplied everywhere.
///
/// Left out are clouds where operators moved or removed directories, nodes whose identity another machine has too, and releases that are
/// paths: there a node's disk is not only what the node itself made it.
pub(super) fn gone(cloud: &Cloud, replay: &Replay) -> Gone {
    if cloud.knobs.tier() != Tier::Crash || cloud.is_touched.get() {
        return Gone::new();
    }
    let twins = cloud.twins();
    let nodes = cloud.nodes().filter(|node| !twins.contains_key(node));
    let releases = || [Release::A, Release::B].into_iter().filter(|release| !cloud.is_local(*release));
    nodes
        .flat_map(|node| releases().map(move |release| (node, cloud.release_url(release))))
        .filter(|(node, url)| !replay.is_supplied(computer(*node).as_str(), url))
        .collect()
}

/// Nothing of these came back, as far as machines lost their power since this was last asked.
pub(super) fn check(cloud: &Cloud, gone: &Gone) -> Result<(), Broken> {
    for node in cloud.nodes() {
        for path in cloud.machine(Place::Node(node)).take_came_back() {
            if let Some((_, url)) = gone.iter().find(|(of, url)| *of == node && completed(url) == path) {
                let what = "its removal was reported, and after a loss of power it counts as built";
                return Err((RULE.to_owned(), format!("{url} on COMP-{node}"), what.to_owned()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        swarm::knobs::{Knobs, Profile},
        world::{Random, World},
    };
    use std::collections::BTreeMap;

    const URL: &str = "http://a/software.cfg";

    /// What is found when a release is removed, synced or not, and the power is lost.
    fn found(seed: u64, is_synced: bool, gone: Gone) -> Option<Broken> {
        World::run(seed, async move |world| {
            let cloud = Cloud::new(world, Knobs::draw(1, Profile::Crash), &Random::new(1));
            let machine = cloud.machine(Place::Node(1));
            let env = machine.user("/", BTreeMap::new());
            let path = completed(URL);
            env.files().create_directory(path.parent().unwrap(), 0o755).unwrap();
            env.files().write(&path, b"", 0o644).unwrap();
            machine.sync();
            env.files().remove_file(&path).unwrap();
            if is_synced {
                machine.sync();
            }
            machine.cut_power();
            check(&cloud, &gone).err()
        })
    }

    #[test]
    fn what_was_reported_as_removed_is_missed_when_it_comes_back() {
        let gone: Gone = [(1, URL.to_owned())].into();
        let seeds = 1..=20;
        let caught = seeds.clone().filter_map(|seed| found(seed, false, gone.clone()));
        let rules: BTreeSet<String> = caught.map(|(rule, ..)| rule).collect();
        assert_eq!(rules, BTreeSet::from([RULE.to_owned()]), "some seeds lose what was not synced");
        for seed in seeds {
            assert_eq!(found(seed, true, gone.clone()), None);
            assert_eq!(found(seed, false, Gone::new()), None, "it is supplied again, or not yet reported");
        }
    }
}
