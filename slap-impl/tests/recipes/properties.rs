//! Generated profiles: both engines do the same with any of them. What both refuse is the same, too; at least some
//! of each property must be done by both, so that none holds for nothing.

use crate::{
    case::Case, differences::Table, engines::play, observe::Finding, profiles::judge, python::Python,
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use std::cell::{Cell, RefCell};

/// Words of the language and of the formats that recipes write, so that generated texts meet them.
const WORDS: [&str; 40] = [
    "a",
    "b",
    "1",
    " ",
    "  ",
    "\n  ",
    "\n\n  ",
    "\t",
    "$",
    "$$",
    "${",
    "}",
    "${x:y}",
    "${x:z}",
    "${:own}",
    "${x:none}",
    "$${x:y}",
    "=",
    ":",
    "+",
    "-",
    "#",
    ";",
    "[",
    "]",
    "%(a)s",
    "%",
    "'",
    "\"",
    "\\",
    "é",
    "\u{20ac}",
    "/",
    ".",
    "<",
    "!py",
    "{{",
    "{%",
    "true",
    "0644",
];

fn text(pieces: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&WORDS[..]), pieces).prop_map(|words| words.concat())
}

/// Pieces that no engine reads as a reference or as Jinja.
pub(crate) fn harmless(pieces: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let words: Vec<&str> =
        WORDS.iter().copied().filter(|word| !word.contains(['$', '{', '}', '!'])).collect();
    proptest::collection::vec(proptest::sample::select(words), pieces).prop_map(|words| words.concat())
}

/// Holds a property for `cases` generated inputs, the same ones each time; `SLAP_TEST_FACTOR` makes them more.
fn check<T: std::fmt::Debug>(
    suite: &'static str,
    cases: u32,
    strategy: impl Strategy<Value = T>,
    fork: bool,
    files: impl Fn(&T) -> Vec<(&'static str, String)>,
) {
    let Some(mut python) = Python::start() else { return };
    // What is about the language is the same in an update.
    let runs = if ["values", "lines", "jinja2"].contains(&suite) { 1 } else { 2 };
    let case = |input: &T| Case::generated(suite, fork, runs, &files(input));
    hold(suite, cases, strategy, case, &mut python, &mut |_, _| {});
}

/// As [`check`], with what else is to be compared when an engine ran.
pub(crate) fn hold<T: std::fmt::Debug>(
    suite: &'static str,
    cases: u32,
    strategy: impl Strategy<Value = T>,
    case: impl Fn(&T) -> Case,
    python: &mut Python,
    after: &mut dyn FnMut(usize, &mut Vec<Finding>),
) {
    let (python, after) = (RefCell::new(python), RefCell::new(after));
    let (table, successes) = (RefCell::new(Table::of(suite)), Cell::new(0));
    let factor = std::env::var("SLAP_TEST_FACTOR").ok().and_then(|factor| factor.parse().ok());
    let cases = cases * factor.unwrap_or(1_u32);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&strategy, |input| {
        let case = case(&input);
        let played = play(&case, &mut python.borrow_mut(), &mut **after.borrow_mut());
        successes.set(successes.get() + u32::from(played.successes > 0));
        let problem = judge(&case, &played, &mut table.borrow_mut());
        if problem.is_empty() {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!("{problem}\n{:#?}", case.actions)))
        }
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(successes.get() * 10 >= cases, "both did only {} of {cases}", successes.get());
    table.into_inner().assert_all_seen();
}

const X: &str = "[x]\ny = value of y\nz =\n  two\n  lines\n";

/// Profiles of the language: three options of any text, one added to and taken from.
#[test]
fn values_of_any_text() {
    let strategy = (text(0..8), text(0..6), text(0..4), text(0..4));
    check("values", 80, strategy, false, |(own, other, added, removed)| {
        let profile = format!(
            "[buildout]\nextends = base.cfg\nparts = a\n[a]\nother += {added}\nfirst -= {removed}\nown = {own}\n{X}"
        );
        let base = format!(
            "[buildout]\nparts =\n[a]\nrecipe = slapos.recipe.template\ninline = x\noutput = out\n\
             other = {other}\nfirst = {own}\n"
        );
        vec![("buildout.cfg", profile), ("base.cfg", base)]
    });
}

/// Profiles that are nearly one: lines of any kind.
#[test]
fn lines_of_any_kind() {
    const LINES: [&str; 24] = [
        "[a]",
        "[b]",
        "[a:python3]",
        "[b : python2]",
        "[ a ]",
        "[a] # c",
        "[a",
        "recipe = slapos.recipe.template",
        "inline = x",
        "output = out",
        "<= b",
        "<= a",
        "k = v",
        "k += w",
        "k -= v",
        "  more",
        "",
        "   ",
        "# c",
        "; c",
        " # c",
        "k",
        "= v",
        "k.1-x y = ${a:output}",
    ];
    let line = || proptest::sample::select(&LINES[..]);
    // Few files begin with anything but a header.
    let front = proptest::option::weighted(0.2, proptest::collection::vec(line(), 1..4));
    let strategy = (front, proptest::collection::vec(line(), 0..10));
    check("lines", 100, strategy, false, |(front, lines)| {
        let profile = format!(
            "{}[buildout]\nextends = base.cfg\nparts = a\n[a]\nrecipe = slapos.recipe.template\ninline = i\noutput = o\n{}\n",
            front.iter().flatten().map(|line| format!("{line}\n")).collect::<String>(),
            lines.join("\n")
        );
        vec![("buildout.cfg", profile), ("base.cfg", "[a]\nk = base\n[b]\nk = other\n".to_owned())]
    });
}

#[test]
fn wrappers() {
    let strategy = (text(1..10), harmless(0..6), proptest::option::of("[A-Z]{3,4}"));
    check("wrappers", 50, strategy, true, |(line, value, signal)| {
        let signal = signal.as_ref().map_or(String::new(), |signal| format!("sig-ign = {signal}\n"));
        let profile = format!(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:wrapper\nwrapper-path = ${{buildout:directory}}/w\n\
             command-line = /bin/echo {line}\nenvironment =\n  A={value}\n  B = 1\n{signal}{X}"
        );
        vec![("buildout.cfg", profile)]
    });
}

#[test]
fn directories() {
    let names = proptest::collection::vec("[a-c]{1,2}(/[a-c]){0,2}", 0..4);
    check("directories", 30, (names, "0?[0-7]{3}"), false, |(names, mode)| {
        let options = names.iter().enumerate();
        let options: Vec<String> = options.map(|(number, name)| format!("d{number} = {name}\n")).collect();
        let profile = format!(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:mkdirectory\nmode = 7{}\n{}",
            &mode[mode.len() - 2..],
            options.concat()
        );
        vec![("buildout.cfg", profile)]
    });
}

#[test]
fn templates() {
    let strategy = (text(0..12), text(0..6), proptest::option::of("0?[0-7]{3}"));
    check("templates", 50, strategy, true, |(template, inline, mode)| {
        let mode = mode.as_ref().map_or(String::new(), |mode| format!("mode = {mode}\n"));
        let profile = format!(
            "[buildout]\nparts = a b\n[a]\nrecipe = slapos.recipe.template\nurl = t.in\noutput = a\n{mode}own = 1\n\
             [b]\nrecipe = slapos.recipe.template\ninline = x{inline}\noutput = b\n{X}"
        );
        vec![("buildout.cfg", profile), ("t.in", template.clone())]
    });
}

/// Expressions of what profiles write in Jinja, put together at random.
fn expression() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(
        &[
            "1", "0", "-2", "2.5", "'a'", "'b c'", "''", "t", "n", "l", "d", "none", "true", "'é'", "[]",
            "{}", "(1, 2)", "t[1:]", "l[::-1]", "u",
        ][..],
    )
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (
                two,
                proptest::sample::select(
                    &["+", "-", "*", "/", "//", "%", "~", "==", "<", "and", "or", "in"][..]
                )
            )
                .prop_map(|((left, right), operator)| format!("({left} {operator} {right})")),
            (
                inner.clone(),
                proptest::sample::select(
                    &[
                        "length",
                        "upper",
                        "lower",
                        "title",
                        "join(',')",
                        "first",
                        "last",
                        "list",
                        "string",
                        "int",
                        "sort",
                        "reverse",
                        "default('x')",
                        "tojson",
                        "trim",
                        "replace('a', 'b')",
                        "unique",
                        "dictsort",
                        "capitalize",
                        "items | list",
                        "abs",
                        "truncate(3)",
                        "pprint",
                        "format(1)",
                    ][..]
                )
            )
                .prop_map(|(value, filter)| format!("({value} | {filter})")),
            (
                inner.clone(),
                proptest::sample::select(
                    &[
                        "defined", "none", "string", "number", "mapping", "iterable", "odd", "sequence",
                        "callable", "boolean",
                    ][..]
                )
            )
                .prop_map(|(value, test)| format!("({value} is {test})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(yes, condition, no)| format!("({yes} if {condition} else {no})")),
            proptest::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| format!("{{{key}: {value}}}")),
            (
                inner.clone(),
                proptest::sample::select(
                    &["[0]", "[-1]", "['k']", ".k", "[u]", ".split()", ".items()", ".strip()"][..]
                )
            )
                .prop_map(|(value, access)| format!("({value}){access}")),
            (
                proptest::sample::select(
                    &[
                        "str",
                        "len",
                        "sorted",
                        "list",
                        "bool",
                        "int",
                        "dict",
                        "sum",
                        "tuple",
                        "repr",
                        "repr",
                        "callable",
                        "'%r' % ",
                        "'<%s>' % ",
                        "'{0!r}'.format",
                        "dumps",
                    ][..]
                ),
                inner
            )
                .prop_map(|(function, value)| format!("{function}({value})")),
        ]
    })
}

#[test]
fn jinja2_templates() {
    check("jinja2", 120, (expression(), harmless(0..4)), false, |(expression, around)| {
        let profile = "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.template:jinja2\nurl = t.in\noutput = a\n\
            context =\n  raw t some text\n  json n 7\n  json l [3, \"b\", null]\n  json d {\"k\": \"v\", \"a\": [1]}\n";
        let template = format!("{around}{{% set x = {expression} %}}{{{{ x }}}}{around}\n");
        vec![("buildout.cfg", profile.to_owned()), ("t.in", template)]
    });
}

/// Python's literals, as typed options hold them.
pub(crate) fn literal() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("None".to_owned()),
        Just("True".to_owned()),
        (-10_000_i64..10_000).prop_map(|number| number.to_string()),
        (-100..100, 0..100).prop_map(|(whole, rest)| format!("{whole}.{rest:02}")),
        "[a-z '\"\\\\é,]{0,40}"
            .prop_map(|text| { format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")) }),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(inner.clone(), 2..4)
                .prop_map(|items| format!("({})", items.join(", "))),
            proptest::collection::vec(("[a-z-]{1,12}", inner), 0..4).prop_map(|items| {
                let items: Vec<String> =
                    items.iter().map(|(key, value)| format!("'{key}': {value}")).collect();
                format!("{{{}}}", items.join(", "))
            }),
        ]
    })
}

#[test]
fn plugins() {
    check("plugins", 60, (literal(), harmless(0..8), literal()), true, |(typed, text, other)| {
        let profile = format!(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:promise.plugin\neggs =\nmodule = m\noutput = a.py\n\
             config-typed = !py!{typed}\nconfig-text = x{text}\nconfig-long-name-of-a-parameter = ${{b:value}}\n\
             [b]\nvalue = !py!{other}\n"
        );
        vec![("buildout.cfg", profile)]
    });
}
