//! Each rule can break: for each there is a change of one line of `step` (or of what a node sees) that breaks exactly that rule.
//! The mutated model is compiled with a bare rustc, and random walks look for what breaks.
#![expect(clippy::disallowed_types, reason = "a test compiles, and there is no env to ask")]
#![allow(clippy::unwrap_used, reason = "in a test that is as good as an assertion")]
#![expect(clippy::disallowed_methods, reason = "a test compiles, and there is no env to ask")]

use slap_model::Rule;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

/// A rule's name, a file, a line's text in it, and what stands there instead.
type Mutation = (&'static str, &'static str, &'static str, &'static str);

const MUTATIONS: &[Mutation] = &include!("mutations/table.rs");

#[test]
fn each_rule_has_its_mutation() {
    let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    let mutated: BTreeSet<&str> = MUTATIONS.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(mutated, names);
}

#[test]
fn each_mutation_breaks_exactly_its_rule() {
    // While a rule is written: RULE=its-name looks at its mutation only.
    let only = std::env::var("RULE").ok();
    let is_wanted = |(_, mutation): &(usize, &Mutation)| only.as_ref().is_none_or(|only| only == mutation.0);
    let next = Mutex::new(MUTATIONS.iter().enumerate().filter(is_wanted));
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((at, mutation)) = next.lock().unwrap().next() else { return };
                    if let Some(what) = breaks_otherwise(at, mutation) {
                        wrong.lock().unwrap().push(format!("{}: {what}", mutation.0));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} mutations do not break exactly their rule:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What a mutation breaks, if that is not exactly its rule.
fn breaks_otherwise(at: usize, (rule, file, before, after): &Mutation) -> Option<String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations").join(format!("{at}-{rule}"));
    let sources = directory.join("src");
    let _ = fs::remove_dir_all(&directory);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &sources);
    let path = sources.join(file);
    let text = fs::read_to_string(&path).unwrap();
    if text.matches(before).count() != 1 || before.contains('\n') || after.contains('\n') {
        return Some(format!("{file} has not exactly one line with {before:?}"));
    }
    fs::write(&path, text.replace(before, after)).unwrap();
    let library = format!("slap_model={}", directory.join("libslap_model.rlib").display());
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations/driver.rs");
    let compiled =
        compile(&directory, &["--crate-type=rlib", "--crate-name=slap_model"], &sources.join("lib.rs"))
            .and_then(|()| compile(&directory, &["--extern", &library], &driver));
    if let Err(errors) = compiled {
        return Some(errors);
    }
    let output = Command::new(directory.join("driver")).output().unwrap();
    let broken = String::from_utf8(output.stdout).unwrap();
    let mut lines = broken.lines();
    let is_exact =
        lines.next().is_some_and(|line| line.split(' ').next() == Some(rule)) && lines.next().is_none();
    let _ = fs::remove_dir_all(&directory);
    if is_exact { None } else { Some(broken) }
}

fn compile(directory: &Path, options: &[&str], source: &Path) -> Result<(), String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--edition=2024", "-Copt-level=0", "-Cdebuginfo=0", "-Awarnings", "--out-dir"]);
    let output = command.arg(directory).args(options).arg(source).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn copy(from: &Path, to: &PathBuf) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
