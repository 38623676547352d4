//! What slapproxy answers itself where a shared instance of its historical frontends is asked for, so that the promises of those
//! who ask pass without a frontend (slapos/proxy/db.py, `requestInstanceFromDB`). Nothing is kept of it.

use super::Refusal;
use crate::{vocabulary::SoftwareUrl, wire::instance_xml::Parameters};
use std::collections::BTreeMap;

/// Who asks for a frontend of a URL is told that URL.
const WEB: &str =
    "http://git.erp5.org/gitweb/slapos.git/blob_plain/HEAD:/software/apache-frontend/software.cfg";
/// Who asks for a frontend of a virtual machine's screen is told where the machine itself shows it.
const SCREEN: &str =
    "http://git.erp5.org/gitweb/slapos.git/blob_plain/refs/tags/slapos-0.92:/software/kvm/software.cfg";

/// The answer in place of a shared instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// What stands where a partition's name would.
    pub partition: String,
    /// What the instance would publish.
    pub connection: BTreeMap<String, String>,
}

/// The stand-in for a shared instance of this release and type with these parameters, if it is one of the historical frontends
/// and says what for. `by_https` is whether the master was asked over https.
///
/// # Errors
/// 501 where slapproxy would lead over its `http_proxy`, so that who came over https is not led to plain http.
pub fn stand_in(
    release: &SoftwareUrl,
    software_type: &str,
    parameters: &Parameters,
    by_https: bool,
) -> Result<Option<StandIn>, Refusal> {
    let said = |name: &str| parameters.get(name).and_then(Option::as_deref).filter(|text| !text.is_empty());
    match (release.as_str(), software_type) {
        (WEB, "" | "default" | "RootSoftwareInstance") => {
            let Some(url) = said("url") else { return Ok(None) };
            if by_https && !url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
                let shown: String = url.chars().take(200).collect();
                return Err(Refusal::new(
                    501,
                    format!("{shown} cannot be told to who came over https: http_proxy is not served here"),
                )
                .hint("give the frontend a url with https, or ask the master over http"));
            }
            Ok(Some(StandIn {
                partition: format!("Fake frontend for {url}"),
                connection: texts([("domain", authority(url)), ("secure_access", url)]),
            }))
        }
        (SCREEN, "frontend") => {
            let (Some(host), Some(port)) = (said("host"), said("port")) else { return Ok(None) };
            let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
            let host = if is_bare_ipv6 { format!("[{host}]") } else { host.to_owned() };
            let url = format!("https://{host}:{port}/");
            Ok(Some(StandIn {
                partition: format!("Fake KVM VNC frontend for {url}"),
                connection: texts([("domainname", &host), ("path", "/"), ("port", port), ("url", &url)]),
            }))
        }
        _ => Ok(None),
    }
}

/// Host and port of a URL, as they stand in it (Python's `urlparse(url).netloc`).
fn authority(url: &str) -> &str {
    let rest = match url.split_once("//") {
        Some((before, rest)) if before.is_empty() || before.ends_with(':') => rest,
        _ => return "",
    };
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pairs` are the parameters, and those of the expected connection.
    fn check(
        (release, software_type, by_https): (&str, &str, bool),
        pairs: &[(&str, &str)],
        expected: &[(&str, &str)],
    ) {
        let parameters: Parameters =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        let found = stand_in(&release.parse().unwrap(), software_type, &parameters, by_https).unwrap();
        let connection = found.map(|found| found.connection).unwrap_or_default();
        let connection: Vec<(&str, &str)> =
            connection.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(connection, expected, "{release} {software_type} {pairs:?}");
    }

    #[test]
    fn the_frontends_of_slapproxy() {
        let url = "https://[::1]:123/my/path?my=query#anchor";
        let told = [("domain", "[::1]:123"), ("secure_access", url)];
        for software_type in ["", "default", "RootSoftwareInstance"] {
            check((WEB, software_type, false), &[("url", url)], &told);
        }
        check((WEB, "", true), &[("url", url)], &told);
        check((WEB, "", false), &[("url", "a/b")], &[("domain", ""), ("secure_access", "a/b")]);
        check((WEB, "", false), &[("url", "")], &[]);
        check((WEB, "", false), &[], &[]);
        check((WEB, "custom", false), &[("url", url)], &[]);
        check(("/r", "", false), &[("url", url)], &[]);
        let told = [("domainname", "[::1]"), ("path", "/"), ("port", "123"), ("url", "https://[::1]:123/")];
        check((SCREEN, "frontend", true), &[("host", "::1"), ("port", "123")], &told);
        check((SCREEN, "frontend", false), &[("host", "[::1]"), ("port", "123")], &told);
        let told = [("domainname", "a"), ("path", "/"), ("port", "1"), ("url", "https://a:1/")];
        check((SCREEN, "frontend", false), &[("host", "a"), ("port", "1")], &told);
        check((SCREEN, "frontend", false), &[("host", "a")], &[]);
        check((SCREEN, "default", false), &[("host", "a"), ("port", "1")], &[]);
    }

    #[test]
    fn nobody_is_led_from_https_to_http() {
        let parameters = Parameters::from([("url".to_owned(), Some("http://a/".to_owned()))]);
        let release = WEB.parse().unwrap();
        assert_eq!(stand_in(&release, "", &parameters, true).unwrap_err().status, 501);
        assert!(stand_in(&release, "", &parameters, false).unwrap().is_some());
    }
}
