//! What operators and others do to nodes and masters of swarms, one by one: formats, directories, locks, releases that move, a second master.

use simulator::swarm::{self, Outcome, file};

/// A cloud of one node with so many partitions, with these knobs and steps. It must come through them.
fn come_through(profile: &str, partitions: u32, knobs: &str, steps: &[String]) -> Outcome {
    let knobs = format!(
        r#""profile":"{profile}","nodes":1,"partitions":{partitions},"users":1,"agents_wait":true,"turmoil_seconds":1800,"user_seconds":60,"fault_seconds":0,"faults":[],"skew_seconds":0{knobs}"#
    );
    let text = format!("{{\"seed\":3,\"knobs\":{{{knobs}}}}}\n{}\n", steps.join("\n"));
    let plan = file::read(&text).unwrap_or_else(|problem| panic!("{problem}: {text}"));
    let outcome = swarm::run(&plan);
    assert_eq!(outcome.finding, None, "{text}");
    outcome
}

fn step(at: u64, event: &str) -> String {
    format!("{{\"at\":{at},\"event\":{{{event}}}}}")
}

fn request(at: u64, title: u32, release: &str, state: &str) -> String {
    step(
        at,
        &format!(
            r#""event":"request","user":1,"title":{title},"release":"{release}","node":null,"note":0,"state":"{state}""#
        ),
    )
}

fn reformat(at: u64, change: &str, seconds: u64) -> String {
    let milliseconds = seconds * 1000;
    step(
        at,
        &format!(
            r#""event":"reformat","node":1,"change":{change},"restarts":true,"milliseconds":{milliseconds}"#
        ),
    )
}

fn touch(at: u64, touch: &str, seconds: u64) -> String {
    let milliseconds = seconds * 1000;
    step(at, &format!(r#""event":"touch","node":1,"touch":{touch},"milliseconds":{milliseconds}"#))
}

fn count(outcome: &Outcome, words: &str) -> usize {
    outcome.trace.iter().filter(|line| line.contains(words)).count()
}

#[test]
fn partitions_that_are_left_out_of_a_format_stay_as_long_as_they_are_busy() {
    for knobs in ["", r#","formats":{"network_nodes":1}"#] {
        let steps = [
            request(10, 0, "a", "started"),
            request(11, 1, "a", "started"),
            reformat(200_000, r#"{"partitions":0}"#, 900),
            request(400_000, 1, "a", "destroyed"),
            reformat(1_300_000, r#"{"partitions":3}"#, 300),
            request(1_400_000, 2, "a", "started"),
            request(1_400_001, 3, "a", "started"),
        ];
        let outcome = come_through("swarm", 2, knobs, &steps);
        assert!(outcome.judged.entries.contains_key("format that keeps"), "{:?}", outcome.judged);
        let gone = "Destroyed slappart1";
        assert_eq!(count(&outcome, gone), 1, "{knobs}");
        // The third partition is left out again when its time is over, and keeps its instance.
        assert!(count(&outcome, "processing (started") >= 4, "{knobs}");
        let networks = count(&outcome, "starts process") > 0 && count(&outcome, "worker-a-127.64.") > 0;
        assert_eq!(networks, !knobs.is_empty());
    }
}

#[test]
fn what_no_format_can_be_made_of_is_refused_and_harms_nothing() {
    let typos = ["amount", "note", "network", "section", "address", "name", "syntax"];
    for knobs in ["", r#","formats":{"network_nodes":1}"#] {
        let mut steps = vec![request(10, 0, "a", "started")];
        for (number, typo) in (1..).zip(typos.iter().chain(&["fewer", "garbage"])) {
            steps.push(reformat(150_000 * number, &format!(r#"{{"typo":"{typo}"}}"#), 60));
        }
        let outcome = come_through("swarm", 2, knobs, &steps);
        let refused = count(&outcome, "slap node format --now ended with 1");
        assert_eq!(refused, typos.len() + 2, "{knobs}");
        // Nobody ends the service for it; but whose addresses were noted in what is garbage gets others.
        let starts = if knobs.is_empty() { 1 } else { 2 };
        assert_eq!(count(&outcome, "etc/service/worker-a"), starts, "{knobs}");
    }
}

#[test]
fn a_node_comes_back_when_its_directories_do() {
    for profile in ["swarm", "crash"] {
        for all in ["\"move-away\"", "\"remove-all\"", "\"software-root\"", "{\"partition\":0}", "\"link\""] {
            let steps = [request(10, 0, "a", "started"), touch(300_000, all, 300)];
            let outcome = come_through(profile, 1, "", &steps);
            let expected = match all {
                "\"move-away\"" | "\"remove-all\"" => "nothing is done until it is back",
                "\"software-root\"" | "{\"partition\":0}" => "is gone, with all that was in it",
                _ => "somebody touches it: Link",
            };
            assert!(count(&outcome, expected) > 0, "{profile} {all}");
        }
    }
}

#[test]
fn who_has_a_lock_is_waited_for() {
    for (lock, expected) in [
        ("supervisor-lock", "another supervisor runs in"),
        ("agent-lock", "it has the lock /srv/slapgrid/instance/.slap/agent.lock"),
        ("software-lock", "somebody touches it"),
        ("instance-lock", "somebody touches it"),
        ("format-lock", "somebody touches it"),
    ] {
        let steps = [
            request(10, 0, "a", "started"),
            touch(300_000, &format!("\"{lock}\""), 300),
            request(310_000, 0, "b", "started"),
        ];
        let outcome = come_through("swarm", 1, "", &steps);
        assert!(count(&outcome, expected) > 0, "{lock}");
    }
}

#[test]
fn releases_that_are_paths_follow_their_directory() {
    let there = |at| step(at, r#""event":"move-releases","milliseconds":300000"#);
    let steps = [request(10, 0, "b", "started"), there(300_000), there(900_000)];
    let outcome = come_through("swarm", 1, r#","local":{"move_seconds":600}"#, &steps);
    assert_eq!(outcome.judged.entries.get("rebase"), Some(&5), "{:?}", outcome.judged);
    assert_eq!(count(&outcome, "Built /srv/releases/two/b"), 1);
    // It has its first name again, and is not built again, but the master is told.
    assert_eq!(count(&outcome, "Built /srv/releases/one/b"), 1);
    assert_eq!(count(&outcome, "/srv/releases/one/b/software.cfg is built already"), 2);
}

#[test]
fn a_master_whose_disk_takes_nothing_refuses() {
    let disk = step(
        300_000,
        r#""event":"disk","machine":"master","operation":"write","failure":"full","spared":0,"milliseconds":60000"#,
    );
    let kill = step(320_000, r#""event":"kill","program":"master""#);
    let steps = [request(10, 0, "a", "started"), disk, request(301_000, 0, "b", "started"), kill];
    let outcome = come_through("crash", 1, "", &steps);
    assert!(count(&outcome, "were refused: the database could not be written") > 0);
}

#[test]
fn what_writes_much_has_a_short_log() {
    let behave = step(
        300_000,
        r#""event":"behave","node":1,"partition":0,"role":"service","line":"start 0 0 shout 20","milliseconds":900000"#,
    );
    let kill = step(300_001, r#""event":"kill-service","node":1,"partition":0"#);
    let steps = [request(10, 0, "a", "started"), behave, kill];
    let outcome = come_through("swarm", 1, r#","places":{"shout_seconds":600}"#, &steps);
    assert!(count(&outcome, "019 la la") > 0);
}

#[test]
fn what_is_passed_on_to_a_second_master_is_there() {
    let elsewhere = |at, title: u32, listed: bool, note: u32, state: &str| {
        step(
            at,
            &format!(
                r#""event":"elsewhere","user":1,"title":{title},"listed":{listed},"note":{note},"state":"{state}""#
            ),
        )
    };
    let blocked =
        step(600_000, r#""event":"partition","from":"master","to":"other","both":true,"milliseconds":60000"#);
    let steps = [
        request(10, 0, "a", "started"),
        elsewhere(20, 0, false, 1, "started"),
        elsewhere(30, 1, true, 2, "started"),
        // There is no room for a third one.
        elsewhere(200_000, 2, true, 0, "started"),
        elsewhere(300_000, 0, false, 1, "destroyed"),
        elsewhere(500_000, 2, false, 3, "started"),
        blocked,
        elsewhere(610_000, 1, true, 0, "started"),
    ];
    for rpc in ["", r#","rpc_users":1"#] {
        let outcome =
            come_through("swarm", 2, &format!(r#","second":{{"request_seconds":60}}{rpc}"#), &steps);
        let second = outcome.judged.second.as_ref().unwrap_or_else(|| panic!("{:?}", outcome.judged));
        assert_eq!(second.answers.get("request"), Some(&4), "{second:?}");
        let entries = |judged: &swarm::judge::Judged, kind| judged.entries.get(kind).copied().unwrap_or(0);
        assert_eq!((entries(&outcome.judged, "passed on"), entries(&outcome.judged, "forgotten")), (3, 1));
        let requests = second.entries.iter().filter(|(kind, _)| kind.starts_with("request"));
        assert!(requests.map(|(_, count)| count).sum::<u64>() >= 4, "{second:?}");
        assert_eq!(count(&outcome, "at the second master: refused 4"), 1, "{rpc}");
        assert_eq!(count(&outcome, "at the second master: refused 503"), 1, "{rpc}");
    }
}
