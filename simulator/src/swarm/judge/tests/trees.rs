//! What is planted into a database with a tree and a shared instance is found.

use super::*;

/// A root with a child, a shared instance that the root hosts, one of the root's own, and what is published and reported of them.
const COMMANDS: [&str; 9] = [
    r#"{"command":"format","computer":"COMP-1","address":"","netmask":"","partitions":[
        {"reference":"slappart0","addresses":[]},{"reference":"slappart1","addresses":[]},{"reference":"slappart2","addresses":[]}]}"#,
    r#"{"command":"request","title":"one","release":"http://a/software.cfg","software_type":"default",
        "parameters":"<instance/>","filter":{},"state":"started"}"#,
    r#"{"command":"request","title":"child","release":"http://a/software.cfg","software_type":"child","parameters":"<instance/>",
        "filter":{},"state":"started","requester":{"computer":"COMP-1","partition":"slappart0"}}"#,
    r#"{"command":"request","title":"guest","release":"http://a/software.cfg","software_type":"default",
        "parameters":"<instance/>","filter":{},"state":"started","shared":true}"#,
    r#"{"command":"request","title":"own","release":"http://a/software.cfg","software_type":"child","parameters":"<instance/>",
        "filter":{},"state":"started","requester":{"computer":"COMP-1","partition":"slappart0"},"shared":true}"#,
    r#"{"command":"publish","computer":"COMP-1","partition":"slappart1",
        "document":"<?xml version='1.0' encoding='utf-8'?><instance><parameter id=\"note\">1</parameter></instance>"}"#,
    r#"{"command":"publish","computer":"COMP-1","partition":"slappart1","slave_reference":"one_own",
        "document":"<?xml version='1.0' encoding='utf-8'?><instance><parameter id=\"note\">2</parameter></instance>"}"#,
    r#"{"command":"on-instance","guid":"guest______1","action":{"action":"report","report":"error","log":"it broke"}}"#,
    r#"{"command":"on-instance","guid":"guest______1","action":{"action":"rename","title":"visitor"}}"#,
];

#[test]
fn what_is_planted_into_a_tree_is_found() {
    let check = |change: &str, expected: Option<&str>| {
        assert_eq!(rule_after(&COMMANDS, true, change, JOURNAL_ENTRIES_MAX).as_deref(), expected, "{change}");
    };
    let found = Some("journal-is-the-model");
    check("", None);
    check("UPDATE instance SET host = NULL WHERE title = 'visitor'", found);
    check("UPDATE instance SET title = 'guest' WHERE title = 'visitor'", found);
    check("UPDATE instance SET reference = '_visitor' WHERE title = 'visitor'", found);
    check("UPDATE instance SET connection = '' WHERE title = 'own'", found);
    check("UPDATE instance SET connection = '' WHERE title = 'child'", found);
    let child = "(SELECT number FROM instance WHERE title = 'child')";
    check(&format!("UPDATE instance SET requester = {child} WHERE title = 'own'"), found);
    check("UPDATE instance SET state = 'stopped' WHERE title = 'own'", found);
    check("DELETE FROM access_status WHERE kind = 'shared'", found);
    // The root was woken when its child published.
    check("UPDATE partition SET timestamp = 2 WHERE reference = 'slappart0'", found);
}
