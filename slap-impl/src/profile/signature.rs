//! What makes a part be installed anew beside its own options: its recipe's revision, and the options of the sections
//! that it refers to.
//!
//! The text stands in the installed file as `__buildout_signature__`. As in the fork of zc.buildout that SlapOS uses
//! (buildout.py, `_compute_part_signatures`), a section that is a part itself carries its own signature with it, so a
//! change travels along the references between parts.

use super::{evaluate::Evaluation, source::md5_hex};
use std::collections::BTreeMap;

/// Counts up when recipes install something else from the same options: then all parts are installed anew.
const RECIPES_REVISION: u32 = 1;

/// The signatures of the parts, computed in their order.
pub fn signatures(evaluation: &Evaluation, parts: &[String]) -> BTreeMap<String, String> {
    let mut signatures: BTreeMap<String, String> = BTreeMap::new();
    let mut digests: BTreeMap<String, String> = BTreeMap::new();
    for part in parts {
        let mut words = vec![format!("slap-recipes-{RECIPES_REVISION}")];
        for section in evaluation.depends(part) {
            let digest = digests
                .entry(section.clone())
                .or_insert_with(|| digest(evaluation, &section, signatures.get(&section)));
            words.push(format!("{section}:{digest}"));
        }
        signatures.insert(part.clone(), words.join(" "));
        // Whoever asked for the section before it had a signature got another digest.
        digests.remove(part);
    }
    signatures
}

fn digest(evaluation: &Evaluation, section: &str, signature: Option<&String>) -> String {
    let mut text = String::new();
    for (option, value) in evaluation.stored(section, true) {
        text.push_str(&format!("{option}\0{}\0{value}\0", value.len()));
    }
    text.extend(signature.map(String::as_str));
    md5_hex(text.as_bytes())
}
