//! The goldens were written by slapos.core 1.24.1 (`slapos.util.dumps`) on CPython 3.11.

use super::*;
use proptest::prelude::*;

fn text(text: &str) -> Value {
    Value::text(text)
}

#[test]
fn bytes_are_those_of_python() {
    for (value, expected) in [
        (text(""), "<string></string>"),
        (text(" a\n\tb\r "), "<string> a\n\tb&#13; </string>"),
        (text("<&>\"'"), "<string>&amp;lt;&amp;amp;&amp;gt;\"'</string>"),
        (text("&lt;"), "<string>&amp;amp;lt;</string>"),
        (text("é€😀"), "<string>&#233;&#8364;&#128512;</string>"),
        (text("a\x7fb\u{85}c"), "<string>a\x7fb&#133;c</string>"),
        (Value::None, "<none/>"),
        (Value::Bool(true), "<bool>1</bool>"),
        (Value::Bool(false), "<bool>0</bool>"),
        (Value::Int(-5), "<int>-5</int>"),
        (Value::Int(999_999_999_999_999_983_222_783), "<int>999999999999999983222783</int>"),
        (Value::Int(999_999_999_999_999_983_222_784), "<long>999999999999999983222784</long>"),
        (Value::Float(1.0), "<float>1.0</float>"),
        (Value::Float(0.1), "<float>0.1</float>"),
        (Value::Float(1e16), "<float>1e+16</float>"),
        (Value::Float(1e15), "<float>1000000000000000.0</float>"),
        (Value::Float(1e-5), "<float>1e-05</float>"),
        (Value::Float(0.0001), "<float>0.0001</float>"),
        (Value::Float(123_456_789_012_345_680.0), "<float>1.2345678901234568e+17</float>"),
        (Value::Float(1.5e300), "<float>1.5e+300</float>"),
        (Value::Float(5e-324), "<float>5e-324</float>"),
        (Value::Float(f64::INFINITY), "<float>inf</float>"),
        (Value::Float(-0.0), "<float>-0.0</float>"),
        (Value::List(vec![]), "<list id=\"i2\"/>"),
        (Value::Tuple(vec![]), "<tuple/>"),
        (Value::Dictionary(Dictionary::new()), "<dictionary id=\"i2\"/>"),
        (
            Value::List(vec![Value::Int(1), Value::List(vec![Value::Int(2)])]),
            "<list id=\"i2\"><int>1</int><list id=\"i3\"><int>2</int></list></list>",
        ),
        (
            Value::dictionary([
                ("b", Value::Int(1)),
                ("a", Value::List(vec![Value::Tuple(vec![]), Value::Dictionary(Dictionary::new())])),
            ]),
            "<dictionary id=\"i2\"><string>a</string><list id=\"i3\"><tuple/><dictionary id=\"i4\"/></list>\
             <string>b</string><int>1</int></dictionary>",
        ),
    ] {
        let expected = format!("<marshal>{expected}</marshal>");
        assert_eq!(encode(&value), expected);
        assert_eq!(decode(expected.as_bytes()).unwrap(), value);
    }
    assert_eq!(encode(&Value::Float(f64::NAN)), "<marshal><float>nan</float></marshal>");
}

#[test]
fn readers_take_what_other_writers_wrote() {
    for (document, expected) in [
        ("<string>&lt;a</string>", text("<a")),
        ("<string>&amp;lt;a</string>", text("<a")),
        ("<string><![CDATA[&lt;]]>b</string>", text("<b")),
        ("<unicode>a</unicode>", text("a")),
        ("<int> 7 </int>", Value::Int(7)),
        ("<none></none>", Value::None),
        (" <list> <int>1</int>\n</list> ", Value::List(vec![Value::Int(1)])),
        (
            "<list id=\"i2\"><list id=\"i3\"><int>1</int></list><reference id=\"i3\"/></list>",
            Value::List(vec![Value::List(vec![Value::Int(1)]), Value::List(vec![Value::Int(1)])]),
        ),
    ] {
        let document = format!("<?xml version='1.0' encoding='utf-8'?>\n<marshal>{document}</marshal>\n");
        assert_eq!(decode(document.as_bytes()).unwrap(), expected, "{document}");
    }
    let empty = "<marshal><object id=\"i2\" module=\"slapos.slap.slap\" class=\"SoftwareInstance\"><tuple/><none/></object></marshal>";
    assert!(matches!(decode(empty.as_bytes()), Ok(Value::Object(_))));
    let namespaced = "<marshal:marshal xmlns:marshal=\"http://www.erp5.org/namespaces/marshaller\">\
                      <marshal:string>a</marshal:string></marshal:marshal>";
    assert_eq!(decode(namespaced.as_bytes()).unwrap(), text("a"));
}

#[test]
fn references_are_found_however_they_are_written() {
    for reference in [
        "<reference id=\"i3\"/>",
        "<reference id='i3' />",
        "<reference\n a=\"/>\" id = \"i3\"></reference>",
        "<m:reference xmlns:m='x' id='&#105;3'/>",
        "<!-- <reference id='i4'> --><reference id=\"i3\"/>",
    ] {
        let document =
            format!("<marshal><list><list id=\"i3\"><int>1</int></list>{reference}</list></marshal>");
        let one = Value::List(vec![Value::Int(1)]);
        assert_eq!(decode(document.as_bytes()).unwrap(), Value::List(vec![one.clone(), one]), "{document}");
    }
    for bad in [
        "<reference/>",
        "<reference id=\"i3/>",
        "<references id=\"i3\"/>",
        "<reference id=\"i4\"/>",
        "<reference",
    ] {
        let document = format!("<marshal><list><list id=\"i3\"/>{bad}</list></marshal>");
        assert!(decode(document.as_bytes()).is_err(), "{document}");
    }
}

#[test]
fn what_is_refused_is_named() {
    let bomb = {
        let mut levels = String::from("<list id=\"a0\"><string>0123456789</string></list>");
        for level in 1..=40 {
            let before = format!("<reference id=\"a{}\"/>", level - 1);
            levels.push_str(&format!("<list id=\"a{level}\">{before}{before}</list>"));
        }
        format!("<marshal><list>{levels}</list></marshal>")
    };
    let deep_copies = format!(
        "<marshal><list><list id=\"a\">{}{}</list>{}<reference id=\"a\"/>{}</list></marshal>",
        "<list>".repeat(32),
        "</list>".repeat(32),
        "<list>".repeat(32),
        "</list>".repeat(32)
    );
    let deep = format!("<marshal>{}{}</marshal>", "<list>".repeat(65), "</list>".repeat(65));
    for (document, expected) in [
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><marshal><string>&b;</string></marshal>", "DOCTYPE"),
        ("<marshal><string>&b;</string></marshal>", "entity &b;"),
        (
            "<marshal><object module=\"os\" class=\"system\"><tuple/><dictionary/></object></marshal>",
            "os.system",
        ),
        ("<marshal><code>x</code></marshal>", "<code>"),
        ("<marshal><int>x</int></marshal>", "\"x\" is not an integer"),
        ("<marshal><string>a\0b</string></marshal>", "U+0000"),
        ("<marshal><string>a\u{1b}b</string></marshal>", "U+001B"),
        ("<marshal><string>&#1;</string></marshal>", "U+0001"),
        ("<marshal><string>\u{fffe}</string></marshal>", "U+FFFE"),
        ("<marshal><bool>yes</bool></marshal>", "0 or 1"),
        ("<marshal><dictionary><int>1</int><int>1</int></dictionary></marshal>", "key is an integer"),
        ("<marshal><dictionary><string>k</string></dictionary></marshal>", "\"k\" has no value"),
        ("<marshal><reference id=\"i9\"/></marshal>", "\"i9\""),
        ("<marshal><list id=\"i2\"><reference id=\"i2\"/></list></marshal>", "\"i2\""),
        ("<marshal><string>a<int>1</int></string></marshal>", "holds text"),
        ("<marshal>a</marshal>", "\"a\""),
        ("<marshal></marshal>", "0 values"),
        ("<marshal><int>1</int><int>1</int></marshal>", "2 values"),
        ("<marshal><int>1</int>", "within an element"),
        ("<marshal><int>1</marshal>", "int"),
        ("", "no <marshal>"),
        ("<int>1</int>", "<marshal> is expected"),
        ("<marshal><string>&#0;</string></marshal>", ""),
        (&bomb, "references mean more"),
        (&deep, "nested deeper than 64"),
        (&deep_copies, "references it is nested deeper than 64"),
    ] {
        let error = decode(document.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(decode(b"<marshal><string>\xff</string></marshal>").unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn an_argument_holds_so_many_values() {
    let list = |inner: &str| format!("<marshal><list id=\"i2\">{inner}</list></marshal>");
    // The list is a value, too.
    let most = list(&"<none/>".repeat(ARGUMENT_VALUES_MAX - 1));
    assert!(decode_argument(most.as_bytes()).is_ok());
    let more = list(&"<none/>".repeat(ARGUMENT_VALUES_MAX));
    assert!(decode(more.as_bytes()).is_ok(), "an answer may be longer");
    // What is copied counts: three of each, here and there.
    let copies = |count: usize| {
        let reference = "<reference id=\"i3\"/>".repeat(count);
        list(&format!(
            "<list id=\"i3\"><none/><dictionary><string>a</string><none/></dictionary></list>{reference}"
        ))
    };
    let most = copies((ARGUMENT_VALUES_MAX - 11) / 6);
    assert!(decode_argument(most.as_bytes()).is_ok());
    let long = format!("<list id=\"i3\"><string>{}</string></list>", "x".repeat(500_000));
    for (document, expected) in [
        (more, "more than 32768 values"),
        (copies((ARGUMENT_VALUES_MAX - 11) / 6 + 1), "more than 32768 values"),
        (list(&format!("{long}{}", "<reference id=\"i3\"/>".repeat(9))), "mean more than 4194304 bytes"),
    ] {
        let error = decode_argument(document.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(decode(document.as_bytes()).is_ok(), "{expected}");
    }
}

#[test]
fn characters_that_xml_cannot_hold_are_replaced() {
    assert_eq!(encode(&text("a\0b\u{ffff}")), "<marshal><string>a&#65533;b&#65533;</string></marshal>");
}

fn values() -> impl Strategy<Value = Value> {
    let characters = prop_oneof![
        any::<char>().prop_filter("XML can hold it", |character| is_xml(*character)),
        prop::sample::select(vec!['<', '>', '&', ';', '\r', 'l', 't', 'a', 'm', 'p', '#']),
    ];
    let texts = prop::collection::vec(characters, 0..12).prop_map(String::from_iter);
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i128>().prop_map(Value::Int),
        any::<f64>().prop_filter("equal to itself", |value| !value.is_nan()).prop_map(Value::Float),
        texts.clone().prop_map(Value::Text),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        let dictionary = prop::collection::btree_map(texts.clone(), inner, 0..6);
        prop_oneof![
            items.clone().prop_map(Value::List),
            items.clone().prop_map(Value::Tuple),
            dictionary.clone().prop_map(Value::Dictionary),
            (items, dictionary).prop_map(|(arguments, attributes)| Value::Object(Box::new(Object {
                class: Class::Computer,
                arguments,
                attributes
            }))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in values()) {
        let document = encode(&value);
        prop_assert!(document.is_ascii());
        prop_assert_eq!(decode(document.as_bytes()).unwrap(), value);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[<>/&;a-z\"= ]{0,60}") {
        let _ = decode(format!("<marshal>{text}</marshal>").as_bytes());
    }
}

/// What a hand, a cut line or an attacker does to a document.
#[derive(Clone, Debug)]
enum Damage {
    Set(u16, u8),
    Insert(u16, &'static str),
    Remove(u16, u16),
    Repeat(u16, u16),
    Cut(u16),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let pieces = prop::sample::select(vec![
        "<!DOCTYPE a [<!ENTITY b \"c\">]>",
        "&b;",
        "&#0;",
        "&#xd800;",
        "<list id=\"i2\">",
        "</list>",
        "<reference id=\"i2\"/>",
        "<reference id=\"i3\"/>",
        "<object module=\"os\" class=\"system\">",
        "<string>",
        "</string>",
        "<int>9</int>",
        "<![CDATA[",
        "<!--",
        "<?a ?>",
        "nan",
        "\0",
        "\"",
    ]);
    let damage = prop_oneof![
        (any::<u16>(), any::<u8>()).prop_map(|(place, byte)| Damage::Set(place, byte)),
        (any::<u16>(), pieces).prop_map(|(place, piece)| Damage::Insert(place, piece)),
        (any::<u16>(), any::<u16>()).prop_map(|(from, to)| Damage::Remove(from, to)),
        (any::<u16>(), any::<u16>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        any::<u16>().prop_map(Damage::Cut),
    ];
    prop::collection::vec(damage, 1..5)
}

fn damaged(document: &str, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = document.as_bytes().to_vec();
    for damage in damages {
        // Places are shares of what there is now; few bytes are removed or repeated at a time.
        let place = |share: u16| usize::from(share) * bytes.len() / (usize::from(u16::MAX) + 1);
        let range = |from: u16, to: u16| place(from)..(place(from) + usize::from(to) % 200).min(bytes.len());
        match *damage {
            Damage::Set(at, byte) => {
                let at = place(at);
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            Damage::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece.bytes());
            }
            Damage::Remove(from, to) => {
                let range = range(from, to);
                bytes.drain(range);
            }
            Damage::Repeat(from, to) => {
                let range = range(from, to);
                let piece = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, piece);
            }
            Damage::Cut(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
        }
    }
    bytes
}

/// A partition as slapos.core 1.24.1 tells it, with a shared instance, a copy, and every kind of value.
const PARTITION: &str = "<marshal><object id=\"i2\" module=\"slapos.slap.slap\" class=\"ComputerPartition\"><tuple>\
    <string>COMP-1</string><string>slappart0</string></tuple><dictionary id=\"i3\"><string>_connection_dict</string>\
    <dictionary id=\"i4\"><string>url</string><string>http://[::1]/?a=1&amp;amp;b=&#233;</string></dictionary>\
    <string>_need_modification</string><int>1</int><string>_parameter_dict</string><dictionary id=\"i5\">\
    <string>ip_list</string><list id=\"i6\"><tuple><string>tap0</string><string>10.0.0.1</string></tuple></list>\
    <string>full_address_list</string><reference id=\"i6\"/><string>slave_instance_list</string><list id=\"i7\">\
    <dictionary id=\"i8\"><string>slave_title</string><string>s</string><string>weight</string><float>0.5</float>\
    </dictionary></list><string>nothing</string><none/><string>yes</string><bool>1</bool></dictionary>\
    </dictionary></object></marshal>";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// What was damaged is refused, or means something: then it can be written, and what was written means the same.
    #[test]
    fn damaged_documents_are_refused_or_mean_something(value in values(), damages in damages(), ours in any::<bool>()) {
        let document = if ours { encode(&value) } else { PARTITION.to_owned() };
        let document = damaged(&document, &damages);
        if let Ok(value) = decode(&document) {
            let written = encode(&value);
            let again = decode(written.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(encode(&again), written);
        }
    }
}
