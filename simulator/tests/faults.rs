//! Single faults of swarms: each does in the world what its event says, and the cloud comes through it.

use simulator::swarm::{self, Outcome, file};

/// A cloud of so many nodes with one partition each, whose agents wait, with these steps. It must come through them.
fn come_through(profile: &str, nodes: u32, steps: &[&str]) -> Outcome {
    let knobs = format!(
        r#""profile":"{profile}","nodes":{nodes},"partitions":1,"users":1,"agents_wait":true,"turmoil_seconds":1800,"user_seconds":60,"fault_seconds":0,"faults":[],"skew_seconds":0"#
    );
    let text = format!("{{\"seed\":3,\"knobs\":{{{knobs}}}}}\n{}\n", steps.join("\n"));
    let plan = file::read(&text).unwrap_or_else(|problem| panic!("{problem}: {text}"));
    let outcome = swarm::run(&plan);
    assert_eq!(outcome.finding, None, "{text}");
    outcome
}

/// When each line of the trace with these words was written, in seconds of the world's time.
fn times(outcome: &Outcome, words: &str) -> Vec<f64> {
    outcome.trace.iter().filter(|line| line.contains(words)).map(|line| time(line)).collect()
}

/// When a line of the trace was written.
fn time(line: &str) -> f64 {
    let first = line.trim_start().split(' ').next().unwrap_or_default();
    first.parse().unwrap_or_else(|_| panic!("no time: {line}"))
}

const SUPPLY: &str = r#"{"at":5,"event":{"event":"supply","user":1,"node":1,"release":"a","removed":false}}"#;
const REQUEST: &str = r#"{"at":10,"event":{"event":"request","user":1,"title":0,"release":"a","node":null,"note":0,"state":"started"}}"#;

#[test]
fn a_service_whose_port_is_taken_is_started_again_until_it_is_free() {
    let take = r#"{"at":300000,"event":{"event":"take-port","node":1,"partition":0,"milliseconds":240000}}"#;
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, take]);
    let [taken] = times(&outcome, "somebody else has port")[..] else { panic!("{:#?}", outcome.trace) };
    let refused = times(&outcome, "port 8000 is in use");
    assert!(refused.len() > 2, "{refused:?}");
    assert!(refused.iter().all(|at| (taken..taken + 240.0).contains(at)), "{taken}: {refused:?}");
}

#[test]
fn what_a_full_quota_kept_from_being_installed_is_installed_when_there_is_room() {
    // Of the node, so that the release cannot be built; of the partition, so that its instance cannot be set up.
    let node =
        r#"{"at":1,"event":{"event":"quota","node":1,"partition":null,"room":0,"milliseconds":600000}}"#;
    let partition =
        r#"{"at":100000,"event":{"event":"quota","node":1,"partition":0,"room":1,"milliseconds":600000}}"#;
    let request = REQUEST.replace("\"at\":10", "\"at\":110000");
    for (profile, steps) in [("swarm", [node, SUPPLY, REQUEST]), ("crash", [SUPPLY, partition, &request])] {
        let outcome = come_through(profile, 1, &steps);
        let [full] = times(&outcome, "blocks more in")[..] else { panic!("{:#?}", outcome.trace) };
        let [free] = times(&outcome, "has room again")[..] else { panic!("{:#?}", outcome.trace) };
        assert!((free - full - 600.0).abs() < 0.1, "{full} {free}");
        let refused = times(&outcome, "quota of the disk is used up");
        assert!(refused.len() > 1, "{refused:?}");
        assert!(refused.iter().all(|at| (full..free + 1.0).contains(at)), "{full} {free}: {refused:?}");
        let starts = times(&outcome, "etc/service/worker-a");
        assert!(starts.iter().all(|at| *at > free) && !starts.is_empty(), "{free}: {starts:?}");
    }
}

#[test]
fn a_node_that_sees_an_old_view_again_harms_nothing() {
    let destroy = REQUEST.replace("started", "destroyed").replace("\"at\":10", "\"at\":400000");
    let old = |at: u64| {
        format!(
            r#"{{"at":{at},"event":{{"event":"old-view","node":1,"age":300000,"times":4,"milliseconds":20000}}}}"#
        )
    };
    // What is kept says that the instance runs, and it is destroyed when the node is told so again.
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, &old(200_000), &destroy]);
    let [kept] = times(&outcome, "keeps an answer")[..] else { panic!("{:#?}", outcome.trace) };
    let [gone] = times(&outcome, "Destroyed slappart0")[..] else { panic!("{:#?}", outcome.trace) };
    let given = times(&outcome, "gives an old answer");
    assert!(kept < gone && given.len() == 4 && given.iter().all(|at| *at > gone), "{kept} {gone} {given:?}");
    // It does try, and there is no instance for which it could.
    let tried = times(&outcome, "slappart0: processing (started");
    assert!(tried.iter().any(|at| *at > gone), "{tried:?}");
    let starts = times(&outcome, "etc/service/worker-a");
    assert!(starts.iter().all(|at| *at < gone) && !starts.is_empty(), "{starts:?}");
}

#[test]
fn what_has_been_given_a_partition_is_not_destroyed_for_an_old_wish() {
    let destroy = REQUEST.replace("started", "destroyed").replace("\"at\":10", "\"at\":400000");
    let next = REQUEST.replace("\"title\":0", "\"title\":1").replace("\"at\":10", "\"at\":500000");
    // What is kept is the next answer after the wish to destroy; it comes back when there is another instance.
    let old =
        r#"{"at":400001,"event":{"event":"old-view","node":1,"age":300000,"times":2,"milliseconds":20000}}"#;
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, &destroy, old, &next]);
    let given = times(&outcome, "gives an old answer");
    let refused = times(&outcome, "nothing is destroyed, because that is not wanted any more");
    assert!(!given.is_empty() && refused.len() == given.len(), "{given:?} {refused:?}");
    let [gone] = times(&outcome, "Destroyed slappart0")[..] else { panic!("{:#?}", outcome.trace) };
    let starts = times(&outcome, "etc/service/worker-a");
    let [again] = starts.iter().filter(|at| **at > gone).collect::<Vec<_>>()[..] else {
        panic!("{starts:?}")
    };
    assert!(gone < *again && *again < given[0], "{gone} {again} {given:?}");
}

#[test]
fn a_node_that_misses_its_view_some_times_catches_up() {
    let skip = r#"{"at":200000,"event":{"event":"skip-view","node":1,"times":6}}"#;
    let other =
        REQUEST.replace("\"release\":\"a\"", "\"release\":\"b\"").replace("\"at\":10", "\"at\":205000");
    let supply = SUPPLY.replace("\"release\":\"a\"", "\"release\":\"b\"");
    let outcome = come_through("swarm", 1, &[SUPPLY, &supply, REQUEST, skip, &other]);
    let lost = times(&outcome, "loses a request for /getFullComputerInformation");
    assert_eq!(lost.len(), 6, "{lost:?}");
    let starts = times(&outcome, "etc/service/worker-b");
    assert!(starts[0] > lost[0], "{lost:?} {starts:?}");
}

#[test]
fn a_cloned_node_loses_nothing_and_settles_when_its_twin_is_gone() {
    let clone = r#"{"at":300000,"event":{"event":"clone","node":1,"milliseconds":600000}}"#;
    let again = REQUEST.replace("\"at\":10", "\"at\":400000").replace("\"note\":0", "\"note\":1");
    let destroy = REQUEST.replace("started", "destroyed").replace("\"at\":10", "\"at\":600000");
    let next = REQUEST.replace("\"title\":0", "\"title\":1").replace("\"at\":10", "\"at\":700000");
    for (profile, steps) in [
        ("swarm", vec![SUPPLY, REQUEST, clone, &again]),
        ("crash", vec![SUPPLY, REQUEST, clone, &again]),
        ("swarm", vec![SUPPLY, REQUEST, clone, &again, &destroy, &next]),
    ] {
        let outcome = come_through(profile, 1, &steps);
        let [copied] = times(&outcome, "has a copy of the disk of node-1")[..] else {
            panic!("{:#?}", outcome.trace)
        };
        // Both set up what was asked for meanwhile, and then there is one again.
        let (mut twin, mut node) = (Vec::new(), Vec::new());
        for line in outcome.trace.iter().filter(|line| line.contains("slappart0: processing (started")) {
            if line.contains("node-1-twin/") { &mut twin } else { &mut node }.push(time(line));
        }
        let is_meanwhile = |at: &f64| (copied..copied + 600.0).contains(at);
        assert!(twin.iter().all(is_meanwhile) && !twin.is_empty(), "{copied}: {twin:?}");
        assert!(node.iter().any(is_meanwhile), "{copied}: {node:?}");
        let ended = times(&outcome, "node-1-twin    loses power");
        assert!((ended[ended.len() - 1] - copied - 600.0).abs() < 0.1, "{copied}: {ended:?}");
    }
}

/// What a service does from so many milliseconds on.
fn behave(at: u32, line: &str) -> String {
    format!(
        r#"{{"at":{at},"event":{{"event":"behave","node":1,"partition":0,"role":"service","line":"{line}","milliseconds":900000}}}}"#
    )
}

#[test]
fn a_service_that_ignores_that_it_shall_end_is_killed() {
    // It began as a good one, and hears what it is now when it is asked.
    let stop = REQUEST.replace("started", "stopped").replace("\"at\":10", "\"at\":310000");
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, &behave(300_000, "term 0 0 ignore"), &stop]);
    let [asked] = times(&outcome, "\"state\":\"stopped\"")[..] else { panic!("{:#?}", outcome.trace) };
    let killed = times(&outcome, "killed by signal 9");
    assert!(killed.iter().any(|at| (asked + 60.0..asked + 65.0).contains(at)), "{asked}: {killed:?}");
}

#[test]
fn what_a_service_left_behind_ends_with_it() {
    let stop = REQUEST.replace("started", "stopped").replace("\"at\":10", "\"at\":310000");
    let outcome = come_through("swarm", 1, &[SUPPLY, &behave(6, "start 5000 0 leave"), REQUEST, &stop]);
    let left: Vec<&String> =
        outcome.trace.iter().filter(|line| line.contains("/bin/foreign stray slappart0")).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_makes_itself_a_daemon_is_ended_before_it_starts_again() {
    let stop = REQUEST.replace("started", "stopped").replace("\"at\":10", "\"at\":310000");
    let outcome =
        come_through("swarm", 1, &[SUPPLY, &behave(6, "start 5000 0 leave exit 0"), REQUEST, &stop]);
    let left = times(&outcome, "/bin/foreign stray slappart0");
    assert!(left.len() > 1, "it is started again: {left:?}");
}

#[test]
fn a_supervisor_whose_directory_is_removed_makes_it_again() {
    let remove = r#"{"at":300000,"event":{"event":"remove","node":1,"part":"supervisor"}}"#;
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, remove]);
    let [removed] = times(&outcome, "\"event\":\"remove\"")[..] else { panic!("{:#?}", outcome.trace) };
    // Nothing is started in its place.
    let starts = times(&outcome, "slap supervisor --directory");
    assert!(!starts.is_empty() && starts.iter().all(|at| *at < removed), "{removed}: {starts:?}");
}

#[test]
fn a_plugin_that_cannot_run_is_told_until_it_is_gone() {
    let stray = r#"{"at":300000,"event":{"event":"stray-plugin","node":1,"partition":0,"text":"import os\n","milliseconds":600000}}"#;
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, stray]);
    let told = times(&outcome, "of the plugin is not understood");
    let [put] = times(&outcome, "stray-plugin")[..] else { panic!("{:#?}", outcome.trace) };
    // Its failure was seen at the promises' next turn, and not after it was removed and what failed was looked at again.
    assert!(told.first().is_some_and(|at| (put..put + 300.0).contains(at)), "{put}: {told:?}");
    assert!(told.last().is_some_and(|at| *at < put + 700.0), "{put}: {told:?}");
}

#[test]
fn a_promise_that_flaps_is_told_as_it_is() {
    // Bad times from 400 to 800 and from 1200 to 1600 s: each is told after three failures in a row, and when it is over.
    let flap = r#"{"at":100000,"event":{"event":"behave","node":1,"partition":0,"role":"check","line":"check 0 0 flap 400","milliseconds":2400000}}"#;
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, flap]);
    let entries = &outcome.judged.entries;
    assert_eq!((entries.get("instance in error"), entries.get("instance started")), (Some(&2), Some(&3)));
    let failed = times(&outcome, "it does not work");
    assert!(failed.len() > 4 && failed.iter().all(|at| at % 800.0 >= 400.0), "{failed:?}");
}

#[test]
fn a_release_that_is_spoilt_at_its_server_is_built_when_it_is_in_order() {
    let removed = SUPPLY.replace("false", "true");
    let supply = SUPPLY.replace("\"at\":5", "\"at\":200001");
    let spoil = |at: u64, how: &str, milliseconds: u64| {
        format!(
            r#"{{"at":{at},"event":{{"event":"spoil","release":"a","how":"{how}","milliseconds":{milliseconds}}}}}"#
        )
    };
    for how in ["gone", "empty", "cut", "wrong"] {
        // One that ends earlier does not end the other.
        let (long, short) = (spoil(200_000, how, 300_000), spoil(210_000, how, 20_000));
        let outcome = come_through("swarm", 1, &[&removed, &long, &supply, &short]);
        let first = times(&outcome, "\"event\":\"spoil\"")[0];
        let after = |words: &str| -> Vec<f64> {
            let url = format!("{words} http://10.0.0.2:8000/a/");
            times(&outcome, &url).into_iter().filter(|at| *at > first).collect()
        };
        let (begun, built) = (after("Building"), after("Built"));
        assert!(begun.iter().filter(|at| **at < first + 300.0).count() > 1, "{how}: {first} {begun:?}");
        assert!(built.len() == 1 && built[0] >= first + 300.0, "{how}: {first} {built:?}");
    }
    // What is not in order until the end is put in order then.
    let outcome = come_through("swarm", 1, &[&removed, &spoil(200_000, "cut", 3_600_000), &supply]);
    let [healed] = times(&outcome, "everything is healed")[..] else { panic!("{:#?}", outcome.trace) };
    let built = times(&outcome, "Built http://10.0.0.2:8000/a/");
    assert!(built.last().is_some_and(|at| *at > healed), "{healed} {built:?}");
}

#[test]
fn what_stands_still_goes_on_later() {
    let pause = |what: &str, milliseconds: u64| {
        format!(
            r#"{{"at":200000,"event":{{"event":"pause","program":{what},"milliseconds":{milliseconds}}}}}"#
        )
    };
    for what in ["\"master\"", r#"{"agent":1}"#, r#"{"supervisor":1}"#] {
        // Somebody asks when it stands still, but not so long that he gives up.
        for (milliseconds, asked, is_healed) in [(120_000, 300_000, false), (3_600_000, 1_780_000, true)] {
            let request = REQUEST.replace("\"at\":10", &format!("\"at\":{asked}"));
            let outcome = come_through("swarm", 1, &[SUPPLY, &pause(what, milliseconds), &request]);
            let begun = times(&outcome, "\"event\":\"pause\"")[0];
            let healed = times(&outcome, "everything is healed")[0];
            let ended = if is_healed { healed } else { begun + 120.0 };
            let starts = times(&outcome, "etc/service/worker-a");
            assert!(starts.first().is_some_and(|at| *at >= ended), "{what}: {begun} {ended} {starts:?}");
        }
    }
}

#[test]
fn a_service_that_stands_still_is_the_same_when_it_goes_on() {
    let hang = r#"{"at":200000,"event":{"event":"hang","node":1,"partition":0,"milliseconds":300000}}"#;
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, hang]);
    let healed = times(&outcome, "everything is healed")[0];
    let (stopped, went_on) = (times(&outcome, " Stop"), times(&outcome, " Continue"));
    let is_then = |at: &f64| (at - stopped[0] - 300.0).abs() < 0.1;
    assert!(stopped.len() == 1 && went_on.iter().any(is_then), "{stopped:?} {went_on:?}");
    let starts = times(&outcome, "etc/service/worker-a");
    assert_eq!(starts.iter().filter(|at| **at < healed).count(), 1, "it was not started again");
    // One that shall stop hears of it: it is asked to, and let go on.
    let stop = REQUEST.replace("started", "stopped").replace("\"at\":10", "\"at\":210000");
    let outcome = come_through("swarm", 1, &[SUPPLY, REQUEST, hang, &stop]);
    let stopped = times(&outcome, " Stop")[0];
    let ended = times(&outcome, "slappart0: stopped");
    assert!(ended.iter().any(|at| (stopped + 10.0..stopped + 20.0).contains(at)), "{stopped} {ended:?}");
}
