//! Whatever is asked, in whatever order.

use super::*;
use crate::{store::Instance, vocabulary::SoftwareUrl};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn commands() -> impl Strategy<Value = Command> {
    let computer = prop::sample::select(vec!["COMP-1", "COMP-2"]);
    let partition = prop::sample::select(vec!["slappart0", "slappart1", "slappart2"]);
    let title = prop::sample::select(vec!["a", "b", "c", "d", "e", "f"]);
    let state = prop::sample::select(vec![
        None,
        Some(RequestedState::Started),
        Some(RequestedState::Stopped),
        Some(RequestedState::Destroyed),
    ]);
    let place = prop::sample::select(vec![None, Some("COMP-1"), Some("COMP-2"), Some("COMP-9")]);
    let instance_report = prop::sample::select(vec![
        InstanceReport::Started,
        InstanceReport::Stopped,
        InstanceReport::Error { log: "e".into() },
        InstanceReport::Bang { message: "b".into() },
        InstanceReport::Destroyed,
        InstanceReport::Destroyed,
    ]);
    let release_report = prop::sample::select(vec![
        ReleaseReport::Building,
        ReleaseReport::Available,
        ReleaseReport::Error { log: "e".into() },
        ReleaseReport::Destroyed,
    ]);
    let supply_state = prop::sample::select(vec![SupplyState::Available, SupplyState::Destroyed]);
    // Of no reference there are as many as of all others: most instances are not shared.
    let reference = prop::sample::select(vec![None, None, None, Some("_a"), Some("a_b"), Some("b_c")])
        .prop_map(|reference| reference.map(|text| text.parse::<SharedReference>().unwrap()));
    let requester = (prop::bool::weighted(0.6), computer.clone(), partition.clone()).prop_map(
        |(is_partition, computer, partition)| {
            let place =
                Requester { computer: computer.parse().unwrap(), partition: partition.parse().unwrap() };
            is_partition.then_some(place)
        },
    );
    prop_oneof![
        10 => (title.clone(), state, place, requester, prop::bool::weighted(0.3), "<[ab]/>").prop_map(
            |(title, state, place, by, is_shared, document)| {
                let filter: Vec<(&str, &str)> =
                    place.into_iter().map(|place| ("computer_guid", place)).collect();
                let mut command = request(title, state, &filter);
                if let Command::Request { requester, shared, parameters, .. } = &mut command {
                    (*requester, *shared, *parameters) = (by, is_shared, document);
                }
                command
            }
        ),
        2 => (computer.clone(), prop::collection::btree_set(0..3usize, 0..4)).prop_map(|(computer, set)| {
            format(computer, &set.into_iter().map(|i| format!("slappart{i}")).collect::<Vec<_>>())
        }),
        5 => (computer.clone(), partition.clone(), instance_report, reference.clone()).prop_map(
            |(computer, partition, sent, reference)| {
                let mut command = report(computer, partition, sent);
                if let Command::ReportInstance { slave_reference, .. } = &mut command {
                    *slave_reference = reference;
                }
                command
            }
        ),
        1 => (computer.clone(), supply_state).prop_map(|(computer, state)| supply(computer, state)),
        1 => (computer.clone(), release_report).prop_map(|(computer, sent)| report_release(computer, sent)),
        2 => (computer.clone(), partition.clone(), reference.clone(), "<[ab]/>").prop_map(
            |(computer, partition, slave_reference, document)| Command::Publish {
                computer: computer.parse().unwrap(),
                partition: partition.parse().unwrap(),
                slave_reference,
                document,
            }
        ),
        1 => (computer.clone(), partition, reference, title).prop_map(
            |(computer, partition, slave_reference, title)| Command::Rename {
                computer: computer.parse().unwrap(),
                partition: partition.parse().unwrap(),
                slave_reference,
                title: title.parse().unwrap(),
            }
        ),
        3 => on_instance(),
        1 => away(),
        1 => computer.prop_map(|computer| {
            Command::BangComputer { computer: computer.parse().unwrap(), message: "b".into() }
        }),
    ]
}

/// What goes to another master, and releases that go to another place.
fn away() -> impl Strategy<Value = Command> {
    let release = |path: &str| path.parse::<SoftwareUrl>().unwrap();
    let moved = |from: &str, to: &str| Command::Rebase {
        root: to.to_owned(),
        moved: [(release(&format!("{from}software.cfg")), release(&format!("{to}software.cfg")))].into(),
    };
    let forwarded = |computer: Option<&str>, gone| Command::Forwarded {
        master: "http://a/".to_owned(),
        title: "slappart0_a".parse().unwrap(),
        requester: computer.map(|computer| Requester {
            computer: computer.parse().unwrap(),
            partition: "slappart0".parse().unwrap(),
        }),
        gone,
    };
    prop::sample::select(vec![
        moved("/", "/new/"),
        moved("/new/", "/"),
        forwarded(Some("COMP-1"), false),
        forwarded(Some("COMP-2"), false),
        forwarded(Some("COMP-1"), true),
        forwarded(None, false),
    ])
}

/// The same about instances that are named by their guids.
fn on_instance() -> impl Strategy<Value = Command> {
    let guids = ["a______0", "b______0", "c___a___0", "d___b___0", "a______1", "b___a___1", "nobody______0"];
    let actions = vec![
        InstanceAction::Report { report: InstanceReport::Started },
        InstanceAction::Report { report: InstanceReport::Error { log: "e".into() } },
        InstanceAction::Report { report: InstanceReport::Bang { message: "b".into() } },
        InstanceAction::Report { report: InstanceReport::Destroyed },
        InstanceAction::Publish { document: "<b/>".into() },
        InstanceAction::Rename { title: "a".parse().unwrap() },
        InstanceAction::Rename { title: "e".parse().unwrap() },
    ];
    (prop::sample::select(guids.to_vec()), prop::sample::select(actions))
        .prop_map(|(guid, action)| Command::OnInstance { guid: guid.parse().unwrap(), action })
}

/// Whether a command asks for another effect each time it is repeated.
fn is_an_event(command: &Command) -> bool {
    matches!(
        command,
        Command::BangComputer { .. }
            | Command::ReportInstance { report: InstanceReport::Bang { .. }, .. }
            | Command::Rename { .. }
            | Command::OnInstance {
                action: InstanceAction::Report { report: InstanceReport::Bang { .. } }
                    | InstanceAction::Rename { .. },
                ..
            }
    )
}

/// Whether what a command is about may be gone when it is repeated.
fn may_end_it(command: &Command) -> bool {
    matches!(
        command,
        Command::Request { state: Some(RequestedState::Destroyed), .. }
            | Command::OnInstance {
                action: InstanceAction::Report { report: InstanceReport::Destroyed },
                ..
            }
    )
}

/// All of a computer's full information.
type Shown = (Vec<store::Supply>, Vec<Partition>, Vec<(String, String, String)>);

fn shown(world: &World, computer: &str) -> Shown {
    let computer = computer.parse().unwrap();
    let supplies = store::supplies(&world.connection, &computer).unwrap();
    let listed = store::listed_shared(&world.connection, &computer, None).unwrap();
    let entries = listed.into_iter().flat_map(|(partition, list)| {
        list.into_iter().map(move |it| {
            (partition.to_string(), reference_of(&it).to_string(), it.parameters + &it.software_type)
        })
    });
    let entries = entries.collect();
    (supplies, store::partitions(&world.connection, &computer).unwrap(), entries)
}

fn reference_of(instance: &Instance) -> &SharedReference {
    match &instance.place {
        Place::Shared { reference, .. } => reference,
        Place::Partition(..) => panic!("{instance:?} is not shared"),
    }
}

/// What must hold of the instances at any time.
fn check_trees(instances: &[Instance]) {
    let by_number: BTreeMap<i64, &Instance> = instances.iter().map(|it| (it.number, it)).collect();
    for it in instances {
        let titles = instances.iter().filter(|other| (other.root, &other.title) == (it.root, &it.title));
        assert_eq!(titles.count(), 1, "{it:?}");
        if let Some(host) = it.host() {
            assert!(!by_number[&host].is_shared(), "{it:?}");
        }
        let Some(root) = it.root else {
            assert_eq!(it.requester, None);
            continue;
        };
        let root = by_number[&root];
        assert!(root.root.is_none() && !root.is_shared() && root.title != it.title, "{it:?} {root:?}");
        match root.state {
            RequestedState::Destroyed => assert_eq!(it.state, RequestedState::Destroyed, "{it:?}"),
            RequestedState::Stopped => assert_ne!(it.state, RequestedState::Started, "{it:?}"),
            RequestedState::Started => {}
        }
        // Whoever requested it was requested, and so on up to the root.
        let mut link = by_number[&it.requester.unwrap()];
        for _ in instances {
            assert!(link.tree() == root.number && !link.is_shared(), "{it:?} {link:?}");
            link = link.requester.map_or(link, |next| by_number[&next]);
        }
        assert_eq!(link.number, root.number, "{it:?} hangs in a circle");
    }
}

fn timestamps(world: &World) -> BTreeMap<(String, String), i64> {
    ["COMP-1", "COMP-2"]
        .iter()
        .flat_map(|computer| shown(world, computer).1)
        .map(|partition| {
            ((partition.computer.to_string(), partition.reference.to_string()), partition.timestamp)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked(commands in prop::collection::vec((commands(), 0..2_000_000i64), 1..60)) {
        let mut world = World::new();
        let (mut numbers, mut last) = (BTreeSet::new(), 0);
        for (command, now) in &commands {
            world.now = *now;
            let before: Vec<_> = ["COMP-1", "COMP-2"].iter().map(|name| shown(&world, name)).collect();
            let old_timestamps = timestamps(&world);
            let first = world.decide(command);
            let after: Vec<_> = ["COMP-1", "COMP-2"].iter().map(|name| shown(&world, name)).collect();

            // What a computer shows changes exactly with its revision.
            for (place, name) in ["COMP-1", "COMP-2"].iter().enumerate() {
                let touched = first.touched.iter().any(|computer| computer.as_str() == *name);
                prop_assert!(touched || before[place] == after[place], "{command:?} changed {name} in silence");
            }
            if first.answer.is_err() {
                prop_assert_eq!(&before, &after);
            }
            for name in ["COMP-1", "COMP-2"] {
                super::room::check_bytes(&world, name);
            }
            // Never two instances in a partition; trees hang together.
            let instances: Vec<Instance> = store::instances(&world.connection).unwrap();
            check_trees(&instances);
            let own = instances.iter().filter_map(Instance::partition);
            prop_assert_eq!(own.clone().collect::<BTreeSet<_>>().len(), own.count());
            let shared = || instances.iter().filter(|it| it.is_shared()).map(|it| reference_of(it).as_str());
            prop_assert_eq!(shared().collect::<BTreeSet<_>>().len(), shared().count());
            for row in store::access_statuses(&world.connection, None).unwrap() {
                prop_assert!(row.kind != "shared" || shared().any(|reference| reference == row.name), "{row:?}");
            }
            // A number is never used again.
            let newest = instances.iter().map(|it| it.number).max().unwrap_or(0);
            for it in &instances {
                prop_assert!(numbers.contains(&it.number) || it.number > last, "{it:?}");
            }
            numbers = instances.iter().map(|it| it.number).collect();
            last = last.max(newest);
            // An instance never moves, and only its node's report after a wish makes it go.
            for (_, partitions, _) in &before {
                for partition in partitions {
                    let Some(old) = &partition.instance else { continue };
                    let stays = instances.iter().any(|new| new.number == old.number && new.place == old.place);
                    prop_assert!(stays || old.state == RequestedState::Destroyed, "{command:?} lost {old:?}");
                }
            }
            // Timestamps never go back.
            for (place, timestamp) in timestamps(&world) {
                prop_assert!(old_timestamps.get(&place).is_none_or(|old| *old <= timestamp));
            }
            // Whose list changed is processed again; a freed host is gone.
            for (old, new) in before.iter().zip(&after) {
                for partition in &new.1 {
                    let list = |shown: &Shown| -> Vec<_> {
                        shown.2.iter().filter(|entry| entry.0 == partition.reference.as_str()).cloned().collect()
                    };
                    let place = (partition.computer.to_string(), partition.reference.to_string());
                    let grew = old_timestamps.get(&place) != Some(&partition.timestamp);
                    prop_assert!(grew || partition.instance.is_none() || list(old) == list(new), "{command:?}");
                }
            }
            // A repetition is answered alike and shows nothing new.
            if !is_an_event(command) && first.answer.is_ok() {
                let again = world.decide(command);
                if !may_end_it(command) {
                    prop_assert!(again.answer.is_ok(), "{command:?}: {:?}", again.answer);
                }
                prop_assert_eq!(again.touched.len(), 0, "{:?}", command);
                let now: Vec<_> = ["COMP-1", "COMP-2"].iter().map(|name| shown(&world, name)).collect();
                prop_assert_eq!(&now, &after);
            }
        }
    }
}
