//! The planted bugs still apply, and each names a rule that there is. `cargo xtask canaries` shows that each is caught.
#![expect(clippy::disallowed_types, reason = "git tells whether a patch applies")]

use simulator::{
    canaries::{self, Tier},
    differential::judge,
    histories::checks::Promise,
};
use slap_model::Rule;
use std::{collections::BTreeSet, process::Command};

#[test]
fn each_canary_applies_and_names_its_rule() {
    let canaries = canaries::all().unwrap();
    assert!(canaries.len() >= 12, "{}", canaries.len());
    let rules: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    for canary in &canaries {
        let is_named = match canary.tier {
            Tier::Differential => rules.contains(canary.rule.as_str()) || canary.rule == judge::READABLE,
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
