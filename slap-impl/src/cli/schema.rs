//! A software release's description, `PROFILE.json` beside its profile: here only how parameters are written
//! (slapos/util.py, `SoftwareReleaseSchema`).

use crate::{
    env::Env,
    vocabulary::SoftwareUrl,
    wire::http::client::{Request, Url, send},
};
use clap::ValueEnum;
use serde_json::Value as Json;
use std::{path::Path, time::Duration};

/// How long a description may be, in bytes.
const DESCRIPTION_BYTES_MAX: u64 = 1024 * 1024;

/// How parameters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Serialisation {
    /// Each parameter is a text of its own.
    #[value(name = "xml")]
    Xml,
    /// One parameter, `_`, holds them all as JSON.
    #[value(name = "json-in-xml")]
    JsonInXml,
}

/// How the parameters of a release's type are written.
///
/// # Errors
/// What is missing, in words, when the description cannot be read or does not say.
pub(super) async fn serialisation(
    env: &Env,
    release: &SoftwareUrl,
    software_type: Option<&str>,
) -> Result<Serialisation, String> {
    let place = format!("{release}.json");
    let text = read(env, &place).await.map_err(|reason| format!("{place} cannot be read: {reason}"))?;
    let description: Json =
        serde_json::from_slice(&text).map_err(|error| format!("{place} is not JSON: {error}"))?;
    let software_type = match software_type {
        None | Some("RootSoftwareInstance") => "default",
        Some(other) => other,
    };
    find(&description, software_type).map_err(|reason| format!("{place}: {reason}"))
}

fn find(description: &Json, software_type: &str) -> Result<Serialisation, String> {
    let own = &description["software-type"][software_type]["serialisation"];
    let said = if own.is_null() { &description["serialisation"] } else { own };
    match said.as_str() {
        Some("xml") => Ok(Serialisation::Xml),
        Some("json-in-xml") => Ok(Serialisation::JsonInXml),
        Some(other) => Err(format!("serialisation is {other:?}: expected xml or json-in-xml")),
        None => Err(format!("it does not say the serialisation of software type {software_type:?}")),
    }
}

async fn read(env: &Env, place: &str) -> Result<Vec<u8>, String> {
    if place.starts_with("http://") || place.starts_with("https://") {
        let url: Url = place.parse().map_err(|error| format!("{error}"))?;
        let request = Request {
            body_bytes_max: DESCRIPTION_BYTES_MAX,
            deadline: Duration::from_secs(10),
            ..Request::get(url)
        };
        let response = send(env, request).await.map_err(|error| error.to_string())?;
        return if response.is_success() {
            Ok(response.body)
        } else {
            Err(format!("its server answers {}", response.status))
        };
    }
    let path = place.strip_prefix("file://").unwrap_or(place);
    if !path.starts_with('/') {
        return Err("it is neither a URL nor an absolute path".to_owned());
    }
    env.files().read(Path::new(path), DESCRIPTION_BYTES_MAX).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_may_differ_from_its_release() {
        let description = json!({"serialisation": "xml", "software-type": {
            "default": {}, "other": {"serialisation": "json-in-xml"}, "bad": {"serialisation": "yaml"},
        }});
        assert_eq!(find(&description, "default"), Ok(Serialisation::Xml));
        assert_eq!(find(&description, "unknown"), Ok(Serialisation::Xml));
        assert_eq!(find(&description, "other"), Ok(Serialisation::JsonInXml));
        assert!(find(&description, "bad").unwrap_err().contains("\"yaml\""));
        assert!(find(&json!({}), "default").unwrap_err().contains("default"));
    }
}
