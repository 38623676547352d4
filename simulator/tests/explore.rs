//! The worlds of slap-model, explored: here to a small depth, in CI wholly. And the checker sees: wrong steps give the failure that is
//! expected, with the shortest list of events.
#![allow(clippy::disallowed_types, reason = "a test starts the program that it tests")]

use simulator::explore::{Explored, Options, explore, failure::Problem, liveness::Reason};
use slap_model::{
    Event, Reply, Rule, State,
    event::{Mail, Report, Word},
    names::Place,
    worlds::{World, worlds},
};
use std::process::{Command, Output};

fn one(name: &str) -> World {
    worlds().into_iter().find(|world| world.name == name).expect("it is one of the worlds")
}

fn explore_one(name: &str, depth: Option<usize>, step: fn(&mut State, &Event) -> Reply) -> Explored {
    let options = Options { depth, step, threads: 1, ..Options::default() };
    explore(vec![one(name)], &options).remove(0)
}

#[test]
fn no_rule_is_broken_near_the_start_of_any_world_and_the_cloud_settles_from_there() {
    let options = Options { depth: Some(4), ..Options::default() };
    // A world, a step or a canonical form that is changed on purpose has other numbers: nothing else may change them.
    let mut found = Vec::new();
    for explored in explore(worlds(), &options) {
        found.push((explored.world, explored.states, explored.transitions));
        assert!(explored.failure.is_none(), "{}", explored.failure.expect("it was just seen").file());
        assert!(explored.states > 100, "{explored:?}");
        let has_nodes = explored.has_nodes;
        assert_eq!(explored.settling.map(|it| it.states), has_nodes.then_some(explored.states));
    }
    let expected = [
        ("allocation", 564, 7664),
        ("tree", 6188, 129_475),
        ("shared", 3058, 239_443),
        ("rename and bang", 1531, 28_407),
        ("stale view", 971, 4089),
        ("node crash", 252, 843),
        ("tree on a node", 2651, 10_229),
        ("hosts on a node", 1253, 5307),
        ("elsewhere", 629, 20_229),
        ("moved releases", 669, 7326),
    ];
    assert_eq!(found, expected);
}

#[test]
fn two_explorations_are_alike() {
    let explore = |threads| explore(worlds(), &Options { depth: Some(3), threads, ..Options::default() });
    let told =
        |it: &Explored| (it.world, it.states, it.transitions, it.depth, it.events.clone(), it.settling);
    let (first, second): (Vec<_>, Vec<_>) =
        (explore(1).iter().map(told).collect(), explore(6).iter().map(told).collect());
    assert_eq!(first, second);
}

/// A late report that a partition is empty is taken for one of now.
fn late_reports_free(state: &mut State, event: &Event) -> Reply {
    match event {
        Event::Report(report @ Report { word: Word::Destroyed, .. }) => {
            state.step(&Event::Report(Report { about: None, ..*report }))
        }
        other => state.step(other),
    }
}

/// A release is there, and its instance runs twice.
fn services_run_twice(state: &mut State, event: &Event) -> Reply {
    let reply = state.step(event);
    if let Event::Process(place) = event
        && let Some(deployed) =
            state.nodes.get_mut(&place.computer).and_then(|it| it.deployed.get_mut(&place.partition))
    {
        deployed.services *= 2;
    }
    reply
}

fn check_broken(world: &str, step: fn(&mut State, &Event) -> Reply, rule: Rule, kinds: &[&str]) {
    let failure = explore_one(world, None, step).failure.expect("the step is wrong");
    let Problem::Broken(violations) = &failure.problem else { panic!("{failure:?}") };
    assert!(violations.iter().any(|violation| violation.rule == rule), "{failure:?}");
    let found: Vec<&str> = failure.events.iter().map(Event::kind).collect();
    assert_eq!(found, kinds, "{}", failure.file());

    // The file alone leads there again.
    let text = failure.file();
    assert!(text.contains(rule.name()), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let events: Vec<Event> =
        lines.map(|line| serde_json::from_str(line).expect("a line is an event")).collect();
    assert_eq!(events, failure.events);
}

#[test]
fn a_step_that_breaks_a_rule_is_found_with_the_shortest_list_of_events() {
    let kinds = ["format", "request by a user", "request by a user", "instance destroyed"];
    check_broken("allocation", late_reports_free, Rule::LateFreesNothing, &kinds);
}

#[test]
fn a_state_that_breaks_a_rule_is_found_with_the_shortest_list_of_events() {
    let kinds = ["format", "request by a user", "supply", "look", "build", "process"];
    check_broken("stale view", services_run_twice, Rule::RunsOnce, &kinds);
}

/// A node looks, and does nothing.
fn nothing_is_processed(state: &mut State, event: &Event) -> Reply {
    if matches!(event, Event::Process(_)) { Reply::Local } else { state.step(event) }
}

/// A node forgets at once what it reported.
fn nothing_is_remembered(state: &mut State, event: &Event) -> Reply {
    let reply = state.step(event);
    if let Event::Deliver(Mail::Instance(report)) = event {
        let node = state.nodes.get_mut(&report.place.computer).expect("it sent that");
        node.told.clear();
    }
    reply
}

#[test]
fn a_cloud_that_does_not_settle_is_found_with_who_waits_for_what() {
    let failure = explore_one("stale view", Some(4), nothing_is_processed).failure.expect("nobody works");
    let Problem::Stuck { reason: Reason::Waits(unsettled), steps: 0 } = &failure.problem else {
        panic!("{failure:?}")
    };
    assert_eq!(unsettled.object, "c0/p0", "{}", failure.file());

    let failure =
        explore_one("stale view", Some(3), nothing_is_remembered).failure.expect("it reports for ever");
    let Problem::Stuck { reason: Reason::Endless, steps } = failure.problem else { panic!("{failure:?}") };
    let cycle: Vec<&str> = failure.events[failure.events.len() - steps..].iter().map(Event::kind).collect();
    assert!(cycle.contains(&"deliver"), "{cycle:?}");
}

/// The last child of a root that is to be destroyed goes, and the root's partition keeps its timestamp.
fn nobody_wakes_the_root(state: &mut State, event: &Event) -> Reply {
    let before = state.clone();
    let reply = state.step(event);
    if let Event::Deliver(Mail::Instance(Report { word: Word::Destroyed, .. })) = event {
        for (computer, registered) in &mut state.computers {
            for (partition, slot) in &mut registered.partitions {
                let place = Place { computer: *computer, partition: *partition };
                slot.rank = before.slot(place).expect("reports drop no listed partition").rank;
            }
        }
    }
    reply
}

#[test]
fn a_root_that_nobody_tells_of_its_last_child_is_found() {
    for name in ["tree on a node", "hosts on a node"] {
        let failure = explore_one(name, Some(9), nobody_wakes_the_root).failure.expect("the root waits");
        let Problem::Stuck { reason: Reason::Waits(unsettled), .. } = &failure.problem else {
            panic!("{failure:?}")
        };
        assert_eq!(unsettled.waits_for, "its instance to be gone", "{}", failure.file());
        let kinds: Vec<&str> = failure.events.iter().map(Event::kind).collect();
        assert!(kinds.contains(&"request by a partition"), "{kinds:?}");
    }
}

#[test]
fn too_many_states_are_told_and_nothing_is_said_of_what_was_not_seen() {
    let options = Options { states_max: 1000, ..Options::default() };
    let explored = explore(vec![one("node crash")], &options).remove(0);
    assert!(explored.is_cut && !explored.is_whole && explored.failure.is_none(), "{explored:?}");
    assert_eq!(explored.settling, None);
}

fn run(arguments: &[&str]) -> (i32, Output) {
    let output = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .arg("explore")
        .args(arguments)
        .output()
        .expect("the program was built with this test");
    (output.status.code().expect("it was not killed"), output)
}

#[test]
fn the_program_tells_what_it_explored() {
    let (exit, output) = run(&["--world", "tree", "--depth", "3", "--output", "json"]);
    assert_eq!(exit, 0, "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["worlds"][0]["world"], "tree");
    assert_eq!(told["worlds"][0]["whole"], false);
    assert!(told["events"]["request by a partition"].as_u64() > Some(0), "{told}");
    assert_eq!(told["events"]["reboot"], 0);

    for (arguments, problem) in [
        (&["--world", "nowhere"][..], "--world \"nowhere\": expected one of"),
        (&["--depth", "0"], "--depth \"0\": expected a number from 1 to 1000000"),
        (&["--threads"], "--threads lacks its value"),
        (&["--output", "xml"], "--output \"xml\": expected json"),
        (&["--sideways"], "\"--sideways\" is not understood"),
    ] {
        let (exit, output) = run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(exit, 2, "{told}");
        assert!(told.starts_with(&format!("error: {problem}")), "{told}");
    }
}
