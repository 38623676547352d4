//! Each part of each rule sees: steps of the model are tampered with after they were done, each in one way that a rule forbids, and each
//! time that rule must say so. What the rules must not say is held by tests/walks.rs: there they judge steps as they are.
//!
//! * `state`: rules of what holds at any time
//! * `request`: what requests may not do
//! * `report`: what reports, bangs, renames, formats and supplies may not do
//! * `timestamps`: what is processed again needlessly, or not though it should be
//! * `elsewhere`: what other masters, stand-ins and moves may not do
//! * `node`: what nodes may not be told, and may not do

#[path = "../numbers/mod.rs"]
mod numbers;

mod elsewhere;
mod node;
mod report;
mod request;
mod state;
mod timestamps;

use numbers::Numbers;
use slap_model::{
    Event, Reply, Rule, State, Violation,
    names::{Number, Place},
    rules::Transition,
    state::{Instance, Slot},
    worlds::{everything, everything_elsewhere, everything_with_nodes},
};
use std::collections::{BTreeMap, BTreeSet};

/// A step that was done.
#[derive(Clone, Debug)]
struct Case {
    before: State,
    event: Event,
    reply: Reply,
    after: State,
}

/// The rule that must see it, what is done to a step, and how; nothing when that step is no occasion.
type Tampering = (Rule, &'static str, fn(&Case) -> Option<Case>);

/// Occasions of a tampering that are looked at.
const OCCASIONS: usize = 40;

impl Case {
    /// The same, but for this.
    fn but(&self, change: impl FnOnce(&mut Case)) -> Option<Case> {
        let mut case = self.clone();
        change(&mut case);
        Some(case)
    }

    /// Whether a rule is broken. A state that breaks one is not asked what would come next.
    fn breaks(&self, rule: Rule) -> bool {
        let Case { before, event, reply, after } = self;
        let transition = Transition { before, event, reply, after };
        let is_it = |violation: &Violation| violation.rule == rule;
        after.violations().iter().any(is_it) || transition.violations().iter().any(is_it)
    }

    /// An instance with a partition, for which this holds.
    fn own(&self, is_it: impl Fn(Number, &Instance) -> bool) -> Option<(Number, Place)> {
        let mut found = self.after.instances.iter().filter(|(number, it)| is_it(**number, it));
        found.find_map(|(number, it)| Some((*number, it.place?)))
    }

    /// A shared instance, for which this holds, with its host.
    fn shared(&self, is_it: impl Fn(Number, &Instance) -> bool) -> Option<(Number, Option<Number>)> {
        let mut found = self.after.instances.iter().filter(|(number, it)| is_it(**number, it));
        found.find_map(|(number, it)| Some((*number, it.shared?.host)))
    }

    fn instance(&mut self, number: Number) -> &mut Instance {
        self.after.instances.get_mut(&number).expect("it was found there")
    }

    fn remove(&mut self, number: Number) {
        self.after.instances.remove(&number);
    }

    fn slot(&mut self, place: Place) -> &mut Slot {
        let computer = self.after.computers.get_mut(&place.computer).expect("it was found there");
        computer.partitions.get_mut(&place.partition).expect("it was found there")
    }
}

fn tamperings() -> Vec<Tampering> {
    [
        state::TAMPERINGS,
        request::TAMPERINGS,
        report::TAMPERINGS,
        timestamps::TAMPERINGS,
        node::TAMPERINGS,
        elsewhere::TAMPERINGS,
    ]
    .concat()
}

#[test]
fn whatever_a_rule_forbids_is_seen() {
    let tamperings = tamperings();
    let mut occasions = vec![0; tamperings.len()];
    let mut unseen = BTreeMap::new();
    let worlds = [everything(), everything_with_nodes(), everything_elsewhere()];
    for seed in 0..300 {
        let world = &worlds[seed % 3];
        let mut numbers = Numbers(seed as u64);
        let mut after = world.start.clone();
        for _ in 0..120 {
            let Some(event) = world.bounds.generate(&after, &mut numbers) else { continue };
            let before = after.clone();
            let reply = after.step(&event);
            let case = Case { before, event, reply, after: after.clone() };
            for ((rule, what, tamper), count) in tamperings.iter().zip(&mut occasions) {
                if *count == OCCASIONS {
                    continue;
                }
                let Some(tampered) = tamper(&case) else { continue };
                *count += 1;
                if !tampered.breaks(*rule) {
                    unseen.entry(*what).or_insert_with(|| format!("{}\n{case:?}\n{tampered:?}", rule.name()));
                }
            }
        }
    }
    assert!(unseen.is_empty(), "{} are not seen: {unseen:#?}", unseen.len());
    let never = tamperings.iter().zip(&occasions).filter(|(_, count)| **count == 0);
    let never: Vec<_> = never.map(|((rule, what, _), _)| (rule.name(), what)).collect();
    assert!(never.is_empty(), "no occasion for {never:#?}");
}

#[test]
fn each_rule_is_tampered_with() {
    let tampered: BTreeSet<Rule> = tamperings().iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(tampered, Rule::ALL.iter().copied().collect());
}
