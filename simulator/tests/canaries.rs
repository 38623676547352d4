//! The planted bugs still apply, and each names a rule that there is; the judge that must see most of them finds nothing wrong with
//! the master as it is, and is not blind. `cargo xtask canaries` shows that each is caught.
#![expect(clippy::disallowed_types, reason = "git tells whether a patch applies")]

use simulator::{
    canaries::{self, Tier},
    differential::{choices::seeded, judge},
    histories::checks::Promise,
    swarm,
};
use slap_model::{Event, Reply, Rule, State, worlds::everything};
use std::{collections::BTreeSet, process::Command};

#[test]
fn each_canary_applies_and_names_its_rule() {
    let canaries = canaries::all().unwrap();
    let of_clouds = canaries.iter().filter(|canary| matches!(canary.tier, Tier::Swarm | Tier::Crash)).count();
    assert!(canaries.len() - of_clouds >= 12 && of_clouds >= 12, "{} and {of_clouds}", canaries.len());
    let rules: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    for canary in &canaries {
        let is_named = match canary.tier {
            Tier::Differential => rules.contains(canary.rule.as_str()) || canary.rule == judge::READABLE,
            Tier::Swarm | Tier::Crash => swarm::is_rule(&canary.rule),
            Tier::Histories => Promise::OWN.iter().any(|promise| promise.name() == canary.rule),
        };
        assert!(is_named, "{}: there is no rule {:?}", canary.name, canary.rule);
        let output = Command::new("git")
            .args(["apply", "--check"])
            .arg(&canary.path)
            .current_dir(canaries::workspace())
            .output()
            .expect("git is there: this repository was cloned with it");
        assert!(output.status.success(), "{}: {}", canary.name, String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_judge_finds_nothing_wrong_with_the_master() {
    let verdict = judge::judge_seeds(&everything(), 0..50, 120);
    assert_eq!(verdict, None);
}

/// The answer to a request tells of another release.
fn another_release(_: &Event, reply: &mut Reply, _: &mut State) {
    if let Reply::Given(given) = reply {
        given.release.0 ^= 1;
    }
}

/// What is published is lost.
fn nothing_published(event: &Event, _: &mut Reply, after: &mut State) {
    if matches!(event, Event::Publish { .. }) {
        after.instances.values_mut().for_each(|instance| instance.connection.0 = 7);
    }
}

/// A node is told of no shared instance.
fn none_is_listed(_: &Event, reply: &mut Reply, _: &mut State) {
    if let Reply::View(view) = reply {
        view.partitions.values_mut().flatten().for_each(|seen| seen.shared.clear());
    }
}

/// A computer's bang is not kept.
fn no_bang(_: &Event, _: &mut Reply, after: &mut State) {
    after.computers.values_mut().for_each(|computer| computer.banged = false);
}

#[test]
fn the_judge_sees_what_is_tampered_with() {
    let tampers: [(judge::Tamper, Rule); 4] = [
        (another_release, Rule::AnswerIsTrue),
        (nothing_published, Rule::PublishedIsKept),
        (none_is_listed, Rule::ViewListsStarted),
        (no_bang, Rule::BangIsShown),
    ];
    for (tamper, rule) in tampers {
        let found = (0..50).find_map(|seed| judge::judge_tampered(&seeded(&everything(), seed, 120), tamper));
        let verdict = found.unwrap_or_else(|| panic!("{} is not seen", rule.name()));
        assert!(verdict.rules.iter().any(|name| name == rule.name()), "{}: {verdict:?}", rule.name());
        assert!(verdict.events > 1 && !verdict.list.is_empty());
    }
}
