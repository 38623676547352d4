//! What nodes do and tell, step by step: after each list of events, exactly these reports are on their way.

use slap_model::{
    Event, Reply, State,
    event::{Filter, Mail, ReleaseReport, Report, Request, Wanted, Word},
    names::{Address, Computer, Parameters, Partition, Place, Reference, Release, Title},
    rules::Transition,
};

const NODE: Computer = Computer(0);
const PLACE: Place = Place { computer: NODE, partition: Partition(0) };
const RELEASE: Release = Release(0);

fn request(state: Wanted) -> Event {
    Event::Request(Request {
        by: None,
        title: Title(0),
        shared: false,
        release: RELEASE,
        kind: None,
        parameters: Parameters(0),
        filter: Filter::Anywhere,
        state: Some(state),
    })
}

fn supply(wanted: bool) -> Event {
    Event::Supply { computer: NODE, release: RELEASE, wanted }
}

const LOOK: Event = Event::Look(NODE);
const BUILD: Event = Event::Build { computer: NODE, release: RELEASE, succeeds: true };
const PROCESS: Event = Event::Process(PLACE);
const CHECK: Event = Event::Check(PLACE);

fn told(report: ReleaseReport) -> Event {
    Event::Deliver(Mail::Release { computer: NODE, release: RELEASE, report })
}

/// A cloud in which an instance is started, and everybody knows.
fn running() -> State {
    let mut state = State::new([NODE]);
    state.step(&Event::Format { computer: NODE, partitions: [(Partition(0), Address(0))].into() });
    for event in [supply(true), request(Wanted::Started), LOOK, BUILD, PROCESS, CHECK] {
        state.step(&event);
    }
    for mail in state.mail.clone() {
        state.step(&Event::Deliver(mail));
    }
    assert_eq!(state.settled(), Ok(()));
    state
}

/// Who reports what then: words on the instance, and reports on the release.
fn check(what: &str, events: &[Event], words: &[Word], releases: &[ReleaseReport]) -> State {
    let mut state = running();
    for event in events {
        state.step(event);
    }
    let word = |mail: &Mail| if let Mail::Instance(Report { word, .. }) = mail { Some(*word) } else { None };
    let report = |mail: &Mail| if let Mail::Release { report, .. } = mail { Some(*report) } else { None };
    assert_eq!(state.mail.iter().filter_map(word).collect::<Vec<_>>(), words, "{what}");
    assert_eq!(state.mail.iter().filter_map(report).collect::<Vec<_>>(), releases, "{what}");
    state
}

#[test]
fn what_happens_to_an_instance_is_told() {
    check("nothing happens", &[LOOK, BUILD, PROCESS, CHECK], &[], &[]);
    check("its services exit", &[Event::ServiceExits(PLACE), PROCESS, CHECK], &[Word::Bang], &[]);
    check("its node is rebooted", &[Event::Reboot(NODE), LOOK, PROCESS, CHECK], &[Word::Bang], &[]);
    check(
        "its agent is killed, and forgets what it told",
        &[Event::KillAgent(NODE), LOOK, PROCESS, CHECK],
        &[Word::Started],
        &[],
    );
    let fails = Event::PromiseTurns { place: PLACE, passes: false };
    check("a promise fails", &[fails, PROCESS, CHECK], &[Word::Error], &[]);
    let stop = [request(Wanted::Stopped), LOOK, PROCESS, CHECK];
    let state = check("it is stopped", &stop, &[Word::Stopped], &[]);
    let deployed = state.nodes[&NODE].deployed[&PLACE.partition];
    assert_eq!((deployed.started, deployed.services), (false, 0));
    let start = [&stop[..3], &[request(Wanted::Started), LOOK, PROCESS, CHECK]].concat();
    let state = check("it is started again", &start, &[Word::Started], &[]);
    let deployed = state.nodes[&NODE].deployed[&PLACE.partition];
    assert_eq!((deployed.started, deployed.services), (true, 1));
    let state = check("it goes", &[request(Wanted::Destroyed), LOOK, PROCESS], &[Word::Destroyed], &[]);
    assert!(state.nodes[&NODE].deployed.is_empty());
}

#[test]
fn what_happens_to_a_release_is_told_until_the_master_knows() {
    use ReleaseReport::{Available, Destroyed};
    let remove = [supply(false), LOOK, BUILD];
    check("it is removed", &remove, &[], &[Destroyed]);
    let again = [&remove[..], &[supply(true), told(Destroyed), supply(false), LOOK, BUILD]].concat();
    check("it was wanted when its removal was told, and is not any more", &again, &[], &[Destroyed]);
    let late = [&remove[..], &[told(Destroyed), supply(true), LOOK, BUILD]].concat();
    check("it comes back", &late, &[], &[Available]);

    let killed = [Event::KillAgent(NODE), LOOK, BUILD];
    check("the agent was killed", &killed, &[], &[Available]);
    let overtaken =
        [&killed[..], &remove, &[told(Destroyed), told(Available), supply(true), LOOK, BUILD]].concat();
    check("that it was built came after that it is gone: nobody knows of it", &overtaken, &[], &[Available]);
}

#[test]
fn names_can_be_read_in_a_failure() {
    assert_eq!(format!("{PLACE:?} {PLACE} {NODE:?}"), "c0/p0 c0/p0 c0");
    let reference = |root| Reference { root, title: Title(2) }.to_string();
    assert_eq!([reference(Some(Title(1))), reference(None)], ["t1_t2", "_t2"]);
}

#[test]
fn a_bang_that_comes_late_is_heard_and_what_was_said_since_stays() {
    let mut state = running();
    let rank = |state: &State| state.slot(PLACE).map(|slot| slot.rank).expect("it is listed");
    let word = |state: &State| state.slot(PLACE).and_then(|slot| slot.status).map(|status| status.word);
    let first = rank(&state);
    let bang = |about| Event::Report(Report { place: PLACE, word: Word::Bang, about: Some(about) });
    let mut check = |event: Event, grows: bool, expected: Word| {
        let before = state.clone();
        let reply = state.step(&event);
        assert_eq!(reply, Reply::Done, "{event:?}");
        assert_eq!(rank(&state) > rank(&before), grows, "{event:?}");
        assert_eq!(word(&state), Some(expected), "{event:?}");
        let step = Transition { before: &before, event: &event, reply: &reply, after: &state };
        assert_eq!(step.violations(), []);
        rank(&state)
    };
    let second = check(bang(first), true, Word::Bang);
    let started = Event::Report(Report { place: PLACE, word: Word::Started, about: Some(second) });
    check(started, false, Word::Started);
    check(bang(first), true, Word::Started);
    check(bang(second), true, Word::Bang);
}
