//! The model and the real master, event by event: generated lists, and every list that once showed a difference.
//!
//! `SLAP_DIFFERENTIAL_CASES=N` runs N lists instead of 256 (half of them of bytes, half of seeds).
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test reads its environment and writes what it found"
)]

use proptest::{collection::vec, prelude::*, test_runner::Config};
use simulator::differential::{
    choices::{of_bytes, seeded},
    failure::Failure,
    file, replay,
    run::{Coverage, Wires, run},
};
use slap_impl::env::Exit;
use slap_model::{
    Event,
    worlds::{World, everything, everything_elsewhere, everything_from_nothing, everything_with_nodes},
};
use std::{fs, path::PathBuf, process::Command};

/// Events of a list of a seed.
const LENGTH: usize = 120;

fn cases() -> u32 {
    std::env::var("SLAP_DIFFERENTIAL_CASES").map_or(256, |text| text.parse().expect("a number of lists"))
}

fn regressions() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions/model")
}

/// Runs a list; a difference is written as a short list, and ends the test.
fn check(events: &[Event], wires: Wires) -> Coverage {
    let outcome = run(events, wires);
    if outcome.difference.is_some() {
        let failure = Failure::of(events, wires).expect("what differed once differs again");
        let path = regressions().join(&failure.file_name);
        fs::write(&path, failure.file()).expect("it can be written");
        panic!("written to {}\n{}", path.display(), failure.file());
    }
    outcome.coverage
}

fn worlds() -> [World; 4] {
    [everything(), everything_with_nodes(), everything_from_nothing(), everything_elsewhere()]
}

#[test]
fn lists_of_seeds_do_the_same_on_both_sides_until_everything_occurred() {
    let mut coverage = Coverage::default();
    let (least, most) = (u64::from(cases() / 2), u64::from(cases() * 4));
    for seed in 0..most {
        if seed >= least && coverage.missing().is_empty() {
            break;
        }
        let world = &worlds()[[0, 2, 3, 1][seed as usize / 2 % 4]];
        let wires = if seed % 2 == 0 { Wires::Xml } else { Wires::Mixed };
        coverage.add(&check(&seeded(world, seed, LENGTH), wires));
    }
    println!("{} events: {coverage:#?}", coverage.total());
    assert_eq!(coverage.missing(), Vec::<String>::new(), "never occurred in {} events", coverage.total());
}

proptest! {
    // What fails is made short by us, event by event, not by proptest, byte by byte.
    #![proptest_config(Config { cases: cases() / 2, max_shrink_iters: 0, failure_persistence: None, ..Config::default() })]

    #[test]
    fn lists_of_bytes_do_the_same_on_both_sides(bytes in vec(any::<u8>(), 0..800), world in 0_usize..4, is_mixed in any::<bool>()) {
        let wires = if is_mixed { Wires::Mixed } else { Wires::Xml };
        check(&of_bytes(&worlds()[world], &bytes), wires);
    }
}

#[test]
fn what_once_differed_is_the_same_now() {
    let mut names: Vec<PathBuf> =
        fs::read_dir(regressions()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    assert!(!names.is_empty(), "no lists in {}", regressions().display());
    for path in names {
        let events = file::read(&fs::read_to_string(&path).unwrap()).unwrap();
        let (lines, exit) = replay::steps(events);
        assert_eq!(exit, Exit::DONE, "{}\n{}", path.display(), lines.join("\n"));
    }
}

#[test]
fn a_list_can_be_stepped_through() {
    let directory = tempfile::tempdir().unwrap();
    let replay = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        let simulator = env!("CARGO_BIN_EXE_simulator");
        let done = Command::new(simulator).arg("replay").arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        (done.status.code(), text)
    };
    let (code, text) = replay("good", "# a comment\n{\"look\":\"c0\"}\n{\"bang-computer\":\"c1\"}\n");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains(
            "2: {\"bang-computer\":\"c1\"}\n   model:  Refused(UnknownComputer)\n   master: Refused"
        ),
        "{text}"
    );
    assert!(text.ends_with("equal after each of 2 events\n"), "{text}");
    let (code, text) = replay("bad", "{\"lok\":\"c0\"}");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("line 1: unknown variant `lok`"), "{text}");
}
