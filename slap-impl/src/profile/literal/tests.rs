//! The expected texts come from Python 3.11.

use super::*;
use proptest::prelude::*;

fn check(input: &str, expected: &str) {
    let value = parse(input).unwrap_or_else(|error| panic!("{input}: {error}"));
    assert_eq!(value.repr(), expected, "{input}");
}

#[test]
fn what_python_writes_is_read_and_written_the_same() {
    for (input, expected) in [
        (r####"None"####, r####"None"####),
        (r####"True"####, r####"True"####),
        (r####"False"####, r####"False"####),
        (r####"0"####, r####"0"####),
        (r####"-7"####, r####"-7"####),
        (r####"1000000000000000000000000000000"####, r####"1000000000000000000000000000000"####),
        (r####"1.0"####, r####"1.0"####),
        (r####"0.1"####, r####"0.1"####),
        (r####"1e+16"####, r####"1e+16"####),
        (r####"1000000000000000.0"####, r####"1000000000000000.0"####),
        (r####"1.2345678901234568e+17"####, r####"1.2345678901234568e+17"####),
        (r####"0.0001"####, r####"0.0001"####),
        (r####"1e-05"####, r####"1e-05"####),
        (r####"-2.5e-10"####, r####"-2.5e-10"####),
        (r####"1e+22"####, r####"1e+22"####),
        (r####"1e+100"####, r####"1e+100"####),
        (r####"''"####, r####"''"####),
        (r####"'a'"####, r####"'a'"####),
        (r####""it's""####, r####""it's""####),
        (r####"'say "x"'"####, r####"'say "x"'"####),
        (r####"'both \' and "'"####, r####"'both \' and "'"####),
        (r####"'tab\t nl\n cr\r bs\\'"####, r####"'tab\t nl\n cr\r bs\\'"####),
        (r####"'\x00\x7f\x80\xa0\xad\xe9'"####, r####"'\x00\x7f\x80\xa0\xadé'"####),
        (
            r####"'\u200b\u0301x\u3000\U0001f600\ue000\U000e0001\u2028'"####,
            r####"'\u200b́x\u3000😀\ue000\U000e0001\u2028'"####,
        ),
        (r####"b'ab\x00\xff\'"\n'"####, r####"b'ab\x00\xff\'"\n'"####),
        (r####"[]"####, r####"[]"####),
        (r####"[1, [2, (3,)]]"####, r####"[1, [2, (3,)]]"####),
        (r####"()"####, r####"()"####),
        (r####"(1,)"####, r####"(1,)"####),
        (r####"(1, 2)"####, r####"(1, 2)"####),
        (r####"{}"####, r####"{}"####),
        (r####"{'b': 1, 'a': [None]}"####, r####"{'b': 1, 'a': [None]}"####),
        (r####"{1: 'x', 'a': 2, (1, 'b'): 3}"####, r####"{1: 'x', 'a': 2, (1, 'b'): 3}"####),
        (r####"set()"####, r####"set()"####),
        (r####"{1}"####, r####"{1}"####),
        (r####"{'only'}"####, r####"{'only'}"####),
        (r####"frozenset()"####, r####"frozenset()"####),
        (r####"frozenset({'z'})"####, r####"frozenset({'z'})"####),
        (r####"'a${b};c$'"####, r####"'a${b};c$'"####),
    ] {
        check(input, expected);
        check(expected, expected);
    }
}

#[test]
fn every_spelling_of_a_literal_is_read() {
    for (input, expected) in [
        (" u'a' r'\\n' \"b\" ", r"'a\\nb'"),
        ("'''a\n'b'\n'''", r#""a\n'b'\n""#),
        ("'a\\\nb'", "'ab'"),
        (r"'\101\x41\u0041\U00000041\q\a'", r"'AAAA\\q\x07'"),
        (r"rb'\x' b'\x41\400'", r"b'\\xA\x00'"),
        ("0x1F", "31"),
        ("-0b11", "-3"),
        ("0o17", "15"),
        ("1_000", "1000"),
        ("- 1", "-1"),
        (".5", "0.5"),
        ("5.", "5.0"),
        ("1E3", "1000.0"),
        ("1e400", "inf"),
        ("(((1)))", "1"),
        ("(1,)", "(1,)"),
        ("[1, 2,]", "[1, 2]"),
        ("{'a': 1, 'a': 2,}", "{'a': 2}"),
        ("{1, True, 1.0}", "{1}"),
        ("set()", "set()"),
        ("set(['b', 'a'])", "{'a', 'b'}"),
        ("frozenset({2, 1})", "frozenset({1, 2})"),
        ("dict(a=1, b='x')", "{'a': 1, 'b': 'x'}"),
        ("dict([('a', 1), ['b', 2]])", "{'a': 1, 'b': 2}"),
        ("dict({'a': 1})", "{'a': 1}"),
        ("list((1, 2))", "[1, 2]"),
        ("tuple([1])", "(1,)"),
        ("str('x')", "'x'"),
        ("str()", "''"),
    ] {
        check(input, expected);
    }
}

#[test]
fn anything_else_is_refused_with_its_reason_and_place() {
    for (input, expected) in [
        ("", "nothing where a value was expected at character 1"),
        ("foo", "\"foo\" is not supported"),
        ("__import__('os')", "\"__import__\" is not supported"),
        ("bytearray()", "\"bytearray\" is not supported"),
        ("[1", "expected ']', found the end at character 3"),
        ("'a", "a string without an end"),
        ("'a\n'", "a line break in a string"),
        ("1 2", "unexpected '2' after the value at character 3"),
        ("1 + 2", "unexpected '+' after the value"),
        ("012", "\"012\" is no number"),
        ("1__0", "\"1__0\" is no number"),
        ("{[1]: 2}", "a list cannot be a key"),
        ("{[1]}", "a list cannot be a key or an item of a set"),
        ("'a' b'b'", "a string and a byte string"),
        ("f'x'", "prefix \"f\" is not supported"),
        (r"'\N{DOT}'", "\\N{...} is not supported"),
        (r"'\ud800'", "U+D800 is no character"),
        (r"'\xg0'", "expected 2 hexadecimal digits"),
        ("1j", "\"1j\" is no number"),
        ("999999999999999999999999999999999999999999", "beyond the integers of 128 bits"),
    ] {
        let error = parse(input).unwrap_err().to_string();
        assert!(error.contains(expected), "{input}: {error}");
    }
    let deep = "[".repeat(1000);
    assert!(parse(&deep).unwrap_err().message.contains("nested deeper"));
}

#[test]
fn the_typed_form_of_an_option_is_sorted_and_safe() {
    for (input, expected) in [
        ("{'b': 1, 'a': {'d': 1, 'c': 2}}", "!py!{'a': {'c': 2, 'd': 1}, 'b': 1}"),
        ("'${a:b};$'", r"!py!'\x24{a:b}\x3b\x24'"),
        ("[('x', None)]", "!py![('x', None)]"),
    ] {
        let value = parse(input).unwrap();
        assert_eq!(value.dump(), expected);
        assert_eq!(load(expected).unwrap(), Some(value));
    }
    assert_eq!(load("plain").unwrap(), None);
    assert!(load("!py!x").is_err());
    assert_eq!(Literal::text("plain").to_option(), "plain");
    assert_eq!(load(&Literal::text("!py!1").to_option()).unwrap(), Some(Literal::text("!py!1")));
}

#[test]
fn equality_is_pythons() {
    for (left, right, expected) in [
        ("1", "True", true),
        ("1", "1.0", true),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", true),
        ("{1, 2}", "{2, 1}", true),
        ("(1,)", "[1]", false),
        ("'1'", "1", false),
        ("None", "False", false),
    ] {
        assert_eq!(parse(left).unwrap() == parse(right).unwrap(), expected, "{left} {right}");
    }
}

fn literals() -> impl Strategy<Value = Literal> {
    let leaf = prop_oneof![
        Just(Literal::None),
        any::<bool>().prop_map(Literal::Bool),
        any::<i128>().prop_map(Literal::Int),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Literal::Float),
        any::<String>().prop_map(Literal::Text),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Literal::Bytes),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Literal::List),
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Literal::Tuple),
            proptest::collection::btree_set(any::<String>(), 0..4)
                .prop_map(|set| Literal::Set(set.into_iter().map(Literal::Text).collect())),
            proptest::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| Literal::Dict(
                map.into_iter().map(|(key, value)| (Literal::Text(key), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in literals()) {
        prop_assert_eq!(&parse(&value.repr()).unwrap(), &value);
        let dumped = value.dump();
        prop_assert!(!dumped.contains(['$', ';']));
        prop_assert_eq!(load(&dumped).unwrap().unwrap(), value);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }
}
