//! check_url_available: an HTTP server answers as expected (slapos.toolbox 0.170).

use super::{
    check::{Config, Sense},
    python,
};
use crate::{
    env::Env,
    wire::http::client::{self, HttpError, Request, Url},
};
use std::time::Duration;

/// A longer page is not read to its end.
const BODY_BYTES_MAX: u64 = 16 << 20;
/// How many redirects are followed, if any are (as Python's requests does).
const REDIRECTS_MAX: usize = 30;

/// What is asked, and what shall be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UrlCheck {
    url: String,
    expected: Result<Expected, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    /// `None`: any.
    status: Option<u16>,
    redirects_max: usize,
    deadline: Duration,
    /// Value of the Authorization header.
    authorization: Option<String>,
    wants_certificates: bool,
}

impl UrlCheck {
    /// Reads all parameters; a wrong one is told at each run, as upstream does.
    pub(super) fn from_config(config: &Config<'_>, promise_deadline: Duration) -> UrlCheck {
        let url = config.text("url").unwrap_or_default().to_owned();
        UrlCheck { url, expected: Expected::from_config(config, promise_deadline) }
    }

    pub(super) async fn sense(&self, env: &Env) -> Sense {
        let expected = match &self.expected {
            Ok(expected) => expected,
            Err(message) => return Sense::bad(format!("ERROR: {message}")),
        };
        let shown = python::repr(&self.url);
        let url: Url = match self.url.parse() {
            Ok(url) => url,
            Err(error) => return Sense::bad(format!("ERROR: {error}")),
        };
        let mut request = Request::get(url);
        request.deadline = expected.deadline;
        request.body_bytes_max = BODY_BYTES_MAX;
        request.redirects_max = expected.redirects_max;
        request
            .headers
            .extend(expected.authorization.iter().map(|value| ("authorization".to_owned(), value.clone())));
        match client::send(env, request).await {
            Ok(response) => expected.judge(&shown, response.status),
            Err(HttpError::Unreachable { .. }) => {
                Sense::bad(format!("ERROR connection not possible while accessing {shown}"))
            }
            Err(error @ HttpError::UnsupportedScheme { .. }) if expected.wants_certificates => {
                Sense::bad(format!("ERROR SSL error while accessing {shown}: {error}"))
            }
            Err(error) => Sense::bad(format!("ERROR: {error}")),
        }
    }
}

impl Expected {
    fn from_config(config: &Config<'_>, promise_deadline: Duration) -> Result<Expected, String> {
        let seconds = promise_deadline.as_secs().saturating_sub(1).clamp(1, 5);
        let status = config.number("http-code", 200)?;
        let any = config.number::<i64>("ignore-code", 0)? == 1;
        let follows = config.number::<i64>("allow-redirects", 1)? != 0;
        let verify = config.number::<i64>("verify", 0)? != 0;
        let authorization = match (config.text("username"), config.text("password")) {
            (Some(name), Some(password)) => {
                Some(format!("Basic {}", base64(format!("{name}:{password}").as_bytes())))
            }
            _ => None,
        };
        let files = ["ca-cert-file", "cert-file", "key-file"];
        Ok(Expected {
            status: (!any).then_some(status),
            redirects_max: if follows { REDIRECTS_MAX } else { 0 },
            deadline: Duration::from_secs(config.number("timeout", seconds)?),
            authorization,
            wants_certificates: verify || files.iter().any(|name| config.text(name).is_some()),
        })
    }

    fn judge(&self, url: &str, status: u16) -> Sense {
        let kind = if self.authorization.is_some() { "authenticated" } else { "non-authenticated" };
        match self.status {
            None => Sense::good(format!("{kind} request to {url} succeeded (return code ignored)")),
            Some(expected) if expected == status => {
                Sense::good(format!("{kind} request to {url} succeeded (returned expected code {expected})"))
            }
            Some(expected) => {
                Sense::bad(format!("{kind} request to {url} failed (returned {status}, expected {expected})"))
            }
        }
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn expected(config: &[(&str, &str)]) -> Result<Expected, String> {
        let config: BTreeMap<String, String> =
            config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Expected::from_config(&Config(&config), Duration::from_secs(20))
    }

    #[test]
    fn answers_are_judged_as_upstream_does() {
        let judged = |config: &[(&str, &str)], status| expected(config).unwrap().judge("'http://a/'", status);
        for (config, status, failed, message) in [
            (
                &[][..],
                200,
                false,
                "non-authenticated request to 'http://a/' succeeded (returned expected code 200)",
            ),
            (&[], 404, true, "non-authenticated request to 'http://a/' failed (returned 404, expected 200)"),
            (
                &[("http-code", "404")],
                404,
                false,
                "non-authenticated request to 'http://a/' succeeded (returned expected code 404)",
            ),
            (
                &[("ignore-code", "1")],
                500,
                false,
                "non-authenticated request to 'http://a/' succeeded (return code ignored)",
            ),
            (
                &[("username", "u"), ("password", "p")],
                200,
                false,
                "authenticated request to 'http://a/' succeeded (returned expected code 200)",
            ),
        ] {
            assert_eq!(judged(config, status), Sense { failed, message: message.to_owned() });
        }
    }

    #[test]
    fn times_are_a_bit_shorter_than_the_promise_may_take() {
        assert_eq!(expected(&[]).unwrap().deadline, Duration::from_secs(5));
        assert_eq!(expected(&[("timeout", "9")]).unwrap().deadline, Duration::from_secs(9));
        assert_eq!(expected(&[("allow-redirects", "0")]).unwrap().redirects_max, 0);
        assert!(expected(&[("http-code", "ok")]).is_err());
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
