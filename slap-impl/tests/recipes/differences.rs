//! Where slap is different on purpose. An entry names what differs and why; a difference that no entry names is a failure, and
//! so is an entry that nothing shows any more.

use crate::observe::{Finding, Kind};

/// A deliberate difference.
struct Difference {
    /// Which suite shows it; `*` for what is the same everywhere.
    suite: &'static str,
    /// The case that shows it; all that show it when it ends in `*`.
    case: &'static str,
    kind: Kind,
    /// The end of the finding's subject; `*` in it stands for anything.
    subject: &'static str,
    /// A part of what slap says or makes there; empty for anything.
    ours: &'static str,
    #[expect(dead_code, reason = "it is there to be read")]
    reason: &'static str,
}

const fn difference(
    suite: &'static str,
    case: &'static str,
    kind: Kind,
    subject: &'static str,
    ours: &'static str,
    reason: &'static str,
) -> Difference {
    Difference { suite, case, kind, subject, ours, reason }
}

const TABLE: &[Difference] = &[
    difference(
        "cases",
        "signature",
        Kind::Content,
        "a",
        "2",
        "slap has the fork's signatures, which go along references",
    ),
    difference(
        "cases",
        "refused-wrapper-wait-for-files",
        Kind::Outcome,
        "",
        "the option \"wait-for-files\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-wrapper-pidfile",
        Kind::Outcome,
        "",
        "the option \"pidfile\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-wrapper-private-tmpfs",
        Kind::Outcome,
        "",
        "the option \"private-tmpfs\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-wrapper-reserve-cpu",
        Kind::Outcome,
        "",
        "the option \"reserve-cpu\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-wrapper-redirect-stdout",
        Kind::Outcome,
        "",
        "the option \"redirect-stdout\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-wrapper-redirect-stderr",
        Kind::Outcome,
        "",
        "the option \"redirect-stderr\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-server-abstract",
        Kind::Outcome,
        "",
        "the option \"abstract\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-server-cert-file",
        Kind::Outcome,
        "",
        "the option \"cert-file\" is not supported",
        "refused with its place",
    ),
    difference(
        "cases",
        "refused-server-key-file",
        Kind::Outcome,
        "",
        "the option \"key-file\" is not supported",
        "refused with its place",
    ),
    difference("*", "*", Kind::Path, "eggs", "absent", "no eggs are installed here"),
    difference(
        "*",
        "*",
        Kind::Path,
        "bin",
        "absent",
        "directories are made when the evaluation was without error",
    ),
    difference("*", "*", Kind::Path, "parts", "absent", "as above"),
    difference("*", "wrapper*", Kind::Option, ":_d", "absent", "no eggs: no directory of developed ones"),
    difference("*", "wrapper*", Kind::Option, ":_e", "absent", "no eggs: no directory of them"),
    difference("*", "p*", Kind::Option, "eggs-directory", "absent", "no eggs"),
    difference(
        "cases",
        "download-again",
        Kind::Outcome,
        "",
        "done",
        "zc.buildout links the target to a source on the same disk, and then cannot write it anew",
    ),
    difference(
        "cases",
        "free-port-again",
        Kind::Outcome,
        "",
        "done",
        "zc.buildout 3.0.1 appends a second [buildout] to its installed file, which the recipe cannot read",
    ),
    difference(
        "cases",
        "promise-plugin*",
        Kind::Content,
        "c.py",
        "with open",
        "runs a file in words of our own",
    ),
    difference(
        "cases",
        "simplehttpserver",
        Kind::Content,
        "",
        "http-server",
        "the script becomes a program of slap's, not of Python's",
    ),
    difference("cases", "jinja2-folder", Kind::Outcome, "", "\"rawfolder\"", "no public profile has it"),
    difference("cases", "jinja2-encoding", Kind::Outcome, "", "latin-1", "all texts are UTF-8"),
    difference(
        "cases",
        "language-added",
        Kind::Option,
        ":k",
        "w",
        "zc.buildout 3.0.1 leaves an option `k +` there",
    ),
    difference("cases", "language-added", Kind::Option, ":k +", "absent", "as above"),
    difference(
        "options",
        "extends-cache",
        Kind::Path,
        "cache",
        "absent",
        "made when something is downloaded",
    ),
    difference("options", "abi-tag-eggs", Kind::Path, "eggs/*", "absent", "no eggs"),
    difference("jinja2", "*", Kind::Outcome, "", "not supported", "what is not served is refused by name"),
    difference(
        "plugins",
        "*",
        Kind::Option,
        ":config-*",
        "!py!",
        "a typed value is remembered as it stands in the profile, and not written anew",
    ),
    difference("publish", "*", Kind::Option, ":*", "!py!", "as above"),
    difference(
        "lines",
        "*",
        Kind::Outcome,
        "",
        "cannot be remembered",
        "a path of two lines cannot be told from two",
    ),
    difference(
        "master",
        "switch*",
        Kind::Option,
        ".installed-switch.cfg slap-configuration:*",
        "absent",
        "what the outer buildout hands on is no part of the inner one",
    ),
    difference(
        "master",
        "switch*",
        Kind::Installed,
        ".installed-switch.cfg slap-configuration:*",
        "absent",
        "as above",
    ),
    difference("master", "switch*", Kind::Option, ".installed-switch.cfg buildout:parts", "", "as above"),
    difference(
        "master",
        "switch-override-0",
        Kind::Outcome,
        "",
        "done",
        "the Python recipe hands zc.buildout a list where it sorts tuples, and so fails",
    ),
];

/// Whether a text ends in a pattern.
fn ends_like(text: &str, pattern: &str) -> bool {
    match pattern.rsplit_once('*') {
        None => text.ends_with(pattern),
        Some((before, after)) => text.ends_with(after) && text.contains(before),
    }
}

/// The table, with what was seen of it.
pub(crate) struct Table {
    suite: &'static str,
    seen: Vec<bool>,
    /// The step of the present case from which on the outcome differs.
    parted: Option<usize>,
}

impl Table {
    /// The table for a suite.
    pub(crate) fn of(suite: &'static str) -> Table {
        Table { suite, seen: vec![false; TABLE.len()], parted: None }
    }

    /// Whether a case is one in which only one engine succeeds.
    pub(crate) fn is_parted(&self, case: &str) -> bool {
        TABLE
            .iter()
            .any(|entry| entry.suite == self.suite && entry.case == case && entry.kind == Kind::Outcome)
    }

    /// Another case begins.
    pub(crate) fn begin_case(&mut self) {
        self.parted = None;
    }

    /// Whether an entry names a finding. Where one engine fails on purpose, what they leave differs from then on.
    pub(crate) fn expects(&mut self, case: &str, finding: &Finding) -> bool {
        let mut found = self.parted.is_some_and(|step| step <= finding.step);
        for (entry, seen) in TABLE.iter().zip(&mut self.seen) {
            let named = match entry.case.strip_suffix('*') {
                Some(beginning) => case.starts_with(beginning),
                None => case == entry.case,
            };
            let is_it = (entry.suite == self.suite || entry.suite == "*")
                && named
                && entry.kind == finding.kind
                && ends_like(&finding.subject, entry.subject)
                && finding.ours.contains(entry.ours);
            *seen |= is_it;
            found |= is_it;
            if is_it && finding.kind == Kind::Outcome {
                self.parted = Some(finding.step);
            }
        }
        found
    }

    /// Fails when an entry of the suite named nothing.
    pub(crate) fn assert_all_seen(&self) {
        if std::env::var("SLAP_CASE").is_ok() {
            return;
        }
        // What is the same everywhere is shown by the cases.
        let suite = |entry: &Difference| if entry.suite == "*" { "cases" } else { entry.suite };
        let entries = TABLE.iter().zip(&self.seen).filter(|(entry, _)| suite(entry) == self.suite);
        let unseen: Vec<String> = entries
            .filter(|(_, seen)| !**seen)
            .map(|(entry, _)| format!("{} {:?} {}", entry.case, entry.kind, entry.subject))
            .collect();
        assert!(unseen.is_empty(), "these differences are no more: take them out of the table: {unseen:?}");
    }
}
