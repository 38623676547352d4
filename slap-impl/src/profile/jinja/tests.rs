//! `golden.json` holds templates and what Jinja2 3.1 makes of them, with the default context of
//! slapos.recipe.template 5.1; a result that begins with `!!` is an error. For each the renderer must give the very same
//! result, or refuse. What it refuses although Jinja2 can do it is listed in [`REFUSED`].

use super::*;

/// Parts of templates that Jinja2 renders and this renderer refuses, with the reason it gives.
const REFUSED: &[(&str, &str)] = &[
    ("{{ [1,2].append }}", "written as text is not supported"),
    ("{{ (typed|tojson) + 'x' }}", "operator + on Markup"),
    ("{{ [1, 2, 3]|random }}", "the filter `random` is not supported"),
    ("{{ 'a'|xmlattr }}", "the filter `xmlattr` is not supported"),
    ("{% block x %}a{% endblock %}", "the tag `block` is not supported"),
    ("{{ self }}", "self is not supported"),
    ("{% autoescape true %}{{ '<' }}{% endautoescape %}", "the tag `autoescape` is not supported"),
    ("{{ 'a'.__class__ }}", "str.__class__ is not supported"),
];

fn template(text: &str, library: &str) -> Template {
    let mut template = Template::new("t.in", text);
    template.imports.insert("lib".into(), Source { file: "lib.in".into(), text: library.into() });
    template.with_do = true;
    template.with_loop_controls = true;
    let typed = "{'b': [1, 2.5, None], 'a': (True, 'x')}";
    template
        .variables
        .push(("typed".into(), Variable::Literal(crate::profile::literal::parse(typed).unwrap())));
    template.variables.push(("name".into(), Variable::Literal(Literal::text("Ada"))));
    for (name, module) in [
        ("json", "json"),
        ("os", "os"),
        ("parse", "urllib.parse"),
        ("urllib", "urllib"),
        ("itertools", "itertools"),
        ("hashlib", "hashlib"),
        ("base64", "base64"),
        ("re", "re"),
        ("functools", "functools"),
        ("operator", "operator"),
        ("moves", "six.moves"),
    ] {
        template.variables.push((name.into(), Variable::Import(module.into())));
    }
    template
}

#[test]
fn templates_become_what_jinja2_makes_of_them() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    let library = golden["lib"].as_str().unwrap();
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let (text, expected) = (case[0].as_str().unwrap(), case[1].as_str().unwrap());
        let result = template(text, library).render();
        let refused = REFUSED.iter().find(|(known, _)| *known == text);
        match (&result, expected.strip_prefix("!!"), refused) {
            (Err(error), _, Some((_, reason))) if error.message.contains(reason) => {}
            (Err(_), Some(_), None) => {}
            (Ok(result), None, None) if result == expected => {}
            _ => wrong.push(format!("{text}\n  expected {expected:?}\n  found    {result:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(text: &str, expected: &str) {
    let mut template = template(text, "");
    template.limits.steps = 20_000;
    let result = template.render();
    let error = result.as_ref().map(String::as_str).map_err(ToString::to_string).unwrap_err();
    assert!(error.starts_with("t.in:") && error.contains(expected), "{text}: {error}");
}

#[test]
fn errors_say_what_and_where() {
    for (text, expected) in [
        ("a\n{{ x }}", "t.in:2: 'x' is undefined"),
        ("a\n\n{{ 'x'|nofilter }}", "t.in:3: No filter named \"nofilter\"."),
        ("\n{% for x in [1] %}\n{{ 1 / 0 }}{% endfor %}", "t.in:3: ZeroDivisionError"),
        ("{% macro m() %}\n{{ y }}{% endmacro %}\n\n{{ m() }}", "t.in:2: 'y' is undefined"),
        ("{{ json.tool }}", "Python's json.tool is not supported by this renderer"),
        ("{{ os.environ }}", "Python's os.environ is not supported by this renderer"),
        ("{{ hashlib.sha3_256 }}", "Python's hashlib.sha3_256 is not supported"),
        ("{{ dumps([missing]) }}", "an undefined value where a literal is needed ('missing' is undefined)"),
        ("{{ 'a'.translate(1) }}", "str.translate is not supported by this renderer"),
        ("{% for x in [] recursive %}{% endfor %}", "a recursive loop is not supported"),
        ("{{ cycler(1) }}", "cycler() is not supported"),
        ("{% extends 'lib' %}", "the tag `extends` is not supported"),
        ("x\n{% trans %}", "t.in:2: cannot be read: unknown statement trans"),
        ("{% import 'zz' as z %}", "TemplateNotFound: zz"),
        ("{{ 170141183460469231731687303715884105727 + 1 }}", "more than 128 bits"),
        ("{{ 'a' is escaped }}", "the test `escaped` is not supported"),
        ("{{ dumps(len) }}", "a function where a literal is needed is not supported"),
    ] {
        check(text, expected);
    }
}

#[test]
fn a_template_cannot_take_more_than_its_limits() {
    for (text, expected) in [
        ("{% for x in range(10**30) %}{% endfor %}", "takes more than 20000 steps"),
        ("{% set c = itertools.count() %}{{ list(c) }}", "takes more than 20000 steps"),
        ("{% set l = [1] %}{% for x in l %}{% do l.append(1) %}{% endfor %}", "takes more than 20000 steps"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests deeper than"),
        ("{% set l = [] %}{% do l.append(l) %}{{ l }}", "contain themselves"),
        ("{{ 'x' * 10**12 }}", "longer than"),
        ("{{ [1] * 10**12 }}", "more than"),
        ("{{ [] * 10**30 }}{{ missing }}", "'missing' is undefined"),
        (
            "{% set ns = namespace(s='xxxxxxxx') %}{% for x in range(30) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "longer than",
        ),
        ("{{ 'a'.center(10**12) }}", "longer than"),
        ("{{ '%999999999d' % 1 }}", "a width or precision over"),
        ("{{ 'aaaa'.replace('', 'b' * 10**7) }}", "longer than"),
    ] {
        check(text, expected);
    }
    let mut big = template("{% for x in range(100) %}{{ 'x' * 1000 }}{% endfor %}", "");
    big.limits.output_bytes = 5000;
    assert!(big.render().unwrap_err().message.contains("the result is longer than 5000 bytes"));
}

#[test]
fn extensions_must_be_on() {
    for (text, tag) in
        [("{% if false %}{% do x %}{% endif %}", "do"), ("{% for x in [] %}{% break %}{% endfor %}", "break")]
    {
        let text = text.replace("do x", "do x()");
        let error = Template::new("t.in", &text).render().unwrap_err();
        assert!(error.message.contains(&format!("unknown tag '{tag}'")), "{error}");
    }
}

#[test]
fn typed_values_go_in_and_out() {
    let mut template =
        Template::new("t.in", "{{ x.b[0] + 1 }} {{ dumps(x) }} {{ dumps('a$;') }} {{ s.t[1] }} {{ j.k }}");
    template.variables = vec![
        ("x".into(), Variable::option("!py!{'b': [1], 'a': (None,)}").unwrap()),
        ("s".into(), Variable::Section(vec![("t".into(), "!py!(1, 2)".into()), ("u".into(), "text".into())])),
        ("j".into(), Variable::Json("{\"k\": 2.50}".into())),
    ];
    assert_eq!(template.render().unwrap(), r"2 !py!{'a': (None,), 'b': [1]} !py!'a\x24\x3b' 2 2.5");
    assert!(Template::is_reserved("dict") && Template::is_reserved("dumps") && !Template::is_reserved("x"));
}
