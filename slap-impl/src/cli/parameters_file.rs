//! `--parameters-file` of `slap request`: JSON, or an `<instance>` document when the name ends with .xml
//! (slapos/cli/request.py, `getParametersFromFile`).

use super::{python_json, schema::Serialisation};
use crate::wire::{instance_xml, marshal::python_float};
use serde_json::Value as Json;
use std::{collections::BTreeMap, path::Path};

/// How long such a file may be, in bytes.
pub(super) const PARAMETERS_BYTES_MAX: u64 = 1024 * 1024;

/// Whether the file says by itself how it is written: XML is taken as it stands.
pub(super) fn is_xml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "xml")
}

/// Reads the content of an .xml file.
///
/// # Errors
/// When it is no such document.
pub(super) fn from_xml(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parameters = instance_xml::decode(text).map_err(|error| error.to_string())?;
    Ok(parameters.into_iter().map(|(key, value)| (key, value.unwrap_or_else(|| "None".to_owned()))).collect())
}

/// Reads the content of another file, to be written so.
///
/// # Errors
/// When it is not JSON, no object, or holds what text cannot say.
pub(super) fn from_json(
    path: &Path,
    text: &str,
    serialisation: Serialisation,
) -> Result<BTreeMap<String, String>, String> {
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let value: Json = serde_json::from_str(text).map_err(|error| match is_yaml {
        true => "YAML that is not JSON is not supported yet (hint: write the parameters as JSON)".to_owned(),
        false => format!("it is not JSON: {error}"),
    })?;
    let Json::Object(items) = &value else {
        return Err("it holds no JSON object (hint: write {\"key\": \"value\"})".to_owned());
    };
    let is_packed = items.len() == 1 && items.contains_key("_");
    if serialisation == Serialisation::JsonInXml && !is_packed {
        return Ok([("_".to_owned(), python_json::dumps(&value))].into());
    }
    items
        .iter()
        .map(|(key, value)| match plain(value) {
            Some(text) => Ok((key.clone(), text)),
            None => Err(format!(
                "{key:?} is a list or an object, which serialisation xml cannot hold \
                 (hint: --force-serialisation json-in-xml, if the release reads that)"
            )),
        })
        .collect()
}

/// What Python's `str()` gives: this is what slapos makes of it in the end.
fn plain(value: &Json) -> Option<String> {
    Some(match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => python_float(float),
            _ => number.to_string(),
        },
        Json::String(text) => text.clone(),
        Json::Array(_) | Json::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(items: &[(&str, &str)]) -> BTreeMap<String, String> {
        items.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn json() {
        let check = |name: &str, text: &str, serialisation| from_json(Path::new(name), text, serialisation);
        let packed = check("p.json", "{\"a\": 1, \"é\": [2.0]}", Serialisation::JsonInXml).unwrap();
        assert_eq!(packed, map(&[("_", "{\n  \"a\": 1,\n  \"\\u00e9\": [\n    2.0\n  ]\n}")]));
        let already = check("p.yaml", "{\"_\": \"{}\"}", Serialisation::JsonInXml).unwrap();
        assert_eq!(already, map(&[("_", "{}")]));
        let plain =
            check("p", "{\"a\": 1, \"b\": true, \"c\": null, \"d\": \"x\"}", Serialisation::Xml).unwrap();
        assert_eq!(plain, map(&[("a", "1"), ("b", "True"), ("c", "None"), ("d", "x")]));
        for (name, text, expected) in [
            ("p.json", "{", "not JSON"),
            ("p.yml", "a: b", "YAML"),
            ("p.json", "[]", "no JSON object"),
            ("p.json", "{\"a\": []}", "\"a\" is a list"),
        ] {
            assert!(check(name, text, Serialisation::Xml).unwrap_err().contains(expected), "{text}");
        }
    }

    #[test]
    fn xml() {
        assert!(is_xml(Path::new("/a/p.xml")) && !is_xml(Path::new("xml")));
        let read =
            from_xml("<instance><parameter id='a'>b</parameter><parameter id='c'/></instance>").unwrap();
        assert_eq!(read, map(&[("a", "b"), ("c", "None")]));
    }
}
