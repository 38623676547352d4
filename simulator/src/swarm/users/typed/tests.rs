//! What is printed, and what it is taken for.

use super::*;
use crate::swarm::script::{Release, State};

const REQUEST: Typed =
    Typed::Request { title: 3, release: Release::A, node: None, note: 1, state: State::Started };
const SUPPLY: Typed = Typed::Supply { node: 1, release: Release::A, removed: false, by_product: false };
const LIST: Typed = Typed::Services;
const INFO: Typed = Typed::Service { title: 3, news: false };
const WAIT: Typed = Typed::Wait { title: 3, goal: Goal::Green, seconds: 5 };

#[test]
fn an_end_is_taken_for_what_it_is_documented_to_be() {
    let check = |typed, code, output: &str, expected: &str| {
        let found = meaning(typed, 7, code, output);
        let shown = found.as_ref().map_or_else(|_| "undocumented".to_owned(), |outcome| outcome.to_string());
        assert_eq!(shown.split(':').next(), Some(expected), "{typed:?} {code} {output}: {found:?}");
    };
    check(SUPPLY, 0, "Requesting...\nDone. COMP-1 builds it when it next asks the master.\n", "done");
    check(SUPPLY, 0, "Requesting...\n", "undocumented");
    check(SUPPLY, 137, "Requesting...\n", "failed");
    check(SUPPLY, 2, "usage: slap supply\n", "undocumented");
    check(
        SUPPLY,
        1,
        "error: Computer COMP-1 has not been found by SlapOS Master: no\nhint: x\n",
        "refused 404",
    );
    check(SUPPLY, 1, "error: the master is offline: http://a/ did not answer (hint: is it?)\n", "failed");
    check(SUPPLY, 1, "error: the master refuses (503): the database could not be written\n", "refused 503");
    check(SUPPLY, 1, "error: the master does not answer as a master: no\n", "failed");
    check(SUPPLY, 1, "error: something else\n", "undocumented");
    check(SUPPLY, 1, "", "undocumented");
    check(REQUEST, 1, "error: no partition was given to instance-3: none is free\n", "refused 404");
    check(REQUEST, 0, "Connection parameters of instance are:\n{}\nYou can rerun.\n", "requested");
    check(REQUEST, 0, "Instance requested.\n", "undocumented");
    check(LIST, 0, "{\n  \"a\": \"http://a/\"\n}\n", "1 instances");
    check(LIST, 0, "", "undocumented");
    check(INFO, 2, "Instance instance-3 does not exist.\nhint: x\n", "is not there");
    check(INFO, 2, "no\n", "undocumented");
    check(WAIT, 0, "", "came true");
    check(WAIT, 4, "error: instance-3 cannot become green: there is no such instance\n", "cannot be");
    check(WAIT, 3, "error: instance-3 is not green after 5 s\n", "failed");
    check(WAIT, 2, "", "undocumented");
    let follows = Typed::Events { seconds: 5, json: true };
    check(follows, 137, "{\"sequence\": 8}\n", "1 events after 7");
    check(follows, 0, "{\"sequence\": 8}\n", "undocumented");
    check(
        Typed::Events { seconds: 0, json: true },
        0,
        "{\"sequence\": 8}\n{\"sequence\": 9}\n",
        "2 events after 7",
    );
    check(Typed::Events { seconds: 0, json: true }, 0, "{\"sequence\": 8\n", "undocumented");
    check(Typed::Computers, 0, "List of Computers:\nCOMP-1 COMP-1\n", "1 computers");
    check(Typed::Computers, 0, "List of Computers:\nCOMP-1 COMP-2\n", "undocumented");
    check(Typed::Computers, 0, "No existing computer.\n", "0 computers");
    check(
        Typed::Computer { node: 1 },
        0,
        "Computer Reference: COMP-1\nComputer Title    : COMP-1\n",
        "is there",
    );
    check(Typed::Computer { node: 1 }, 0, "Computer Reference: COMP-2\n", "undocumented");
    check(Typed::Computer { node: 1 }, 2, "Computer COMP-1 does not exist.\n", "is not there");
}

#[test]
fn an_instance_is_read_as_it_was_printed() {
    let printed = "{\n  \"software-url\": \"http://a/\",\n  \"software-type\": \"default\",\n  \"shared\": false,\n  \
        \"requested-state\": \"stopped\",\n  \"instance-parameters\": {\n    \"note\": \"2\"\n  },\n  \
        \"connection-parameters\": {},\n  \"status\": \"red\"\n}\ninstance-3: #error no\nhint: x {\n";
    let Ok(Outcome::Answer(Answer::Instance(Some(found)))) = meaning(INFO, 0, 0, printed) else {
        panic!("it is one");
    };
    assert_eq!((found.reference.as_str(), found.requested_state.as_str()), ("instance-3", "stopped"));
    assert_eq!(found.parameters_xml, Some(document(&json!({ "note": "2" }))));
    let with_news = Typed::Service { title: 3, news: true };
    assert!(meaning(with_news, 0, 0, printed).is_err());
    let news = |text: &str| {
        printed.replace("\"red\"\n}", &format!("\"red\",\n\"news\": [{{\"text\": \"{text}\"}}]\n}}"))
    };
    assert!(meaning(with_news, 0, 0, &news("#error no")).is_ok());
    assert!(meaning(with_news, 0, 0, &news("#access ok")).is_err());
    assert!(meaning(INFO, 0, 0, &news("#error no")).is_err());
}

#[test]
fn lines_of_the_journal_are_told_from_others() {
    let text = "warning: the events 1 to 3 are not kept any more\n     8 2026-01-01T00:00:00.000001Z user: supply http://a:80/ available on COMP-1\n";
    let found = events(text, false).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["sequence"], 8);
    assert_eq!(found[0]["what"], "supply http://a:80/ available on COMP-1");
}
