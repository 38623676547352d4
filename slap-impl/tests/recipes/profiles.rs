//! Every case of `cases/`.

use crate::{
    case::Case,
    differences::Table,
    engines::{Played, play, slap},
    observe::{Finding, Kind},
    python::Python,
};
use std::{collections::BTreeMap, fs, path::Path};

/// The cases, by name.
pub(crate) fn cases(folder: &str) -> BTreeMap<String, Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes").join(folder);
    let read = fs::read_dir(&directory).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = Case::parse(&name, &fs::read_to_string(&path).unwrap());
        (name, case)
    });
    let only = std::env::var("SLAP_CASE").ok();
    read.filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)).collect()
}

/// What is not expected of a case, as a text; empty when all is well.
pub(crate) fn judge(case: &Case, played: &Played, table: &mut Table) -> String {
    table.begin_case();
    let unexpected: Vec<String> = played
        .findings
        .iter()
        .filter(|finding| !table.expects(&case.name, finding))
        .map(ToString::to_string)
        .collect();
    let unplaced = |finding: &&Finding| {
        finding.kind == Kind::Outcome
            && finding.ours != "done"
            && !(finding.ours.contains("\n  at ") && finding.ours.contains(", section ["))
    };
    if let Some(finding) = played.findings.iter().find(unplaced) {
        return format!("== {}\na refusal without file, section and line: {finding}\n", case.name);
    }
    if unexpected.is_empty() {
        return String::new();
    }
    // Where one engine failed, all that follows is told by that.
    let outcome = unexpected.iter().position(|finding| finding.contains(": Outcome"));
    let unexpected = &unexpected[..outcome.map_or(unexpected.len(), |first| first + 1)];
    let told: Vec<String> = played
        .told
        .iter()
        .filter(|(ours, theirs)| ours.is_empty() != theirs.is_empty())
        .map(|(ours, theirs)| format!("  slap said: {}\n  python said: {theirs}", ours.trim()))
        .collect();
    format!("== {}\n{}\n{}\n", case.name, unexpected.join("\n"), told.join("\n"))
}

#[test]
fn both_engines_do_the_same_with_every_case() {
    let Some(mut python) = Python::start() else { return };
    let (mut table, mut problems, mut successes) = (Table::of("cases"), String::new(), 0);
    for case in cases("cases").values() {
        let played = play(case, &mut python, &mut |_, _| {});
        // Only what is about mistakes may fail in both.
        let is_mistake = case.name.contains("mistakes") || case.name.ends_with("-truth");
        if played.successes == 0 && !is_mistake && !table.is_parted(&case.name) {
            problems.push_str(&format!("== {}\nboth failed: {:#?}\n", case.name, played.told));
        }
        successes += played.successes;
        problems.push_str(&judge(case, &played, &mut table));
    }
    assert!(problems.is_empty(), "\n{problems}");
    assert!(successes > 0, "no profile was run by both");
    table.assert_all_seen();
}

#[test]
fn hashes_of_passwords_are_what_passlib_verifies() {
    let Some(mut python) = Python::start() else { return };
    let schemes = ["sha256-crypt", "sha512-crypt", "bcrypt", "ldap-salted-sha1"];
    let profile = |schemes: &[&str]| {
        let lines: Vec<String> = schemes.iter().map(|scheme| format!("  ${{p:passwd-{scheme}}}\n")).collect();
        format!(
            "[buildout]\nparts = out\n[p]\nrecipe = slapos.cookbook:generate.password\nstorage-path = p.json\n\
             [out]\nrecipe = slapos.recipe.template\noutput = out\ninline =\n{}",
            lines.concat()
        )
    };
    let scratch = tempfile::TempDir::with_prefix("recipes-").unwrap();
    let read = |name: &str| fs::read_to_string(scratch.path().join(name)).unwrap();
    fs::write(scratch.path().join("buildout.cfg"), profile(&schemes[..1])).unwrap();
    assert_eq!(slap(scratch.path(), &[]), None);
    let first = read("out");
    // Asked for later, they are made and kept, and the first is not made anew.
    fs::write(scratch.path().join("buildout.cfg"), profile(&schemes)).unwrap();
    assert_eq!(slap(scratch.path(), &[]), None);
    let out = read("out");
    assert_eq!(out.lines().next(), Some(&*first));
    assert_eq!(slap(scratch.path(), &[]), None);
    assert_eq!(read("out"), out);
    let stored: serde_json::Value = serde_json::from_str(&read("p.json")).unwrap();
    let password = stored[""].as_str().unwrap();
    for (scheme, hash) in schemes.iter().zip(out.lines()) {
        assert_eq!(stored[format!("passwd-{scheme}")], hash);
        assert_eq!(python.verify(scheme, password, hash), None, "{scheme} {hash}");
        assert!(python.verify(scheme, "another", hash).is_some());
    }
    assert!(!read(".installed.cfg").contains(password));
    // Any other is refused where it is asked for.
    fs::write(scratch.path().join("buildout.cfg"), profile(&["md5-crypt"])).unwrap();
    let error = slap(scratch.path(), &[]).unwrap();
    assert!(error.contains("\"md5-crypt\" is not supported; these are: bcrypt,"), "{error}");
    assert!(error.contains("buildout.cfg:9, section [out]"), "{error}");
}
