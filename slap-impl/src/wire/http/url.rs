//! The address of an HTTP resource: parsed once at the edge, so that what follows need not check.

use crate::env::Address;
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// A parsed `http://` URL. Its fragment is dropped: it is never sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no URL that this program can fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// A scheme other than http, such as https.
    UnsupportedScheme {
        /// The URL as it was given.
        url: String,
        /// Its scheme, in lower case.
        scheme: String,
    },
    /// Not a URL.
    Malformed {
        /// The text as it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlError::UnsupportedScheme { url, scheme } => write!(
                formatter,
                "{url:?} has the scheme {scheme}, which is not supported yet: expected http://HOST:PORT/ \
                 (hint: put a proxy that speaks {scheme} in front, on loopback)"
            ),
            UrlError::Malformed { url, reason } => {
                let shown: String = url.chars().take(200).collect();
                write!(formatter, "{shown:?} is not a URL: {reason} (expected http://HOST:PORT/PATH)")
            }
        }
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 when the text named none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, beginning with `/`.
    pub fn path_and_query(&self) -> &str {
        &self.path
    }

    /// `host`, `host:port` or `[address]:port`, as the Host header wants it (RFC 9110, 7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// Where to connect.
    pub fn address(&self) -> Address {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => Address::Tcp(SocketAddr::new(ip, self.port)),
            Err(_) => Address::Name(self.host.clone(), self.port),
        }
    }

    /// What `reference` means when it stands in a document of this URL (RFC 3986, 5.2): an absolute URL, `//host/path`,
    /// `/path`, `?query` or a relative path.
    ///
    /// # Errors
    /// As for parsing; a reference with another scheme is [`UrlError::UnsupportedScheme`].
    pub fn join(&self, reference: &str) -> Result<Url, UrlError> {
        let reference = reference.trim();
        if has_scheme(reference) {
            return reference.parse();
        }
        if reference.starts_with("//") {
            return format!("http:{reference}").parse();
        }
        let own_path = self.path.split('?').next().unwrap_or("/");
        let joined = if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.starts_with('?') {
            format!("{own_path}{reference}")
        } else if reference.is_empty() || reference.starts_with('#') {
            self.path.clone()
        } else {
            let folder = own_path.rfind('/').map_or("/", |end| &own_path[..=end]);
            format!("{folder}{reference}")
        };
        Ok(Url { path: clean_path(&joined), ..self.clone() })
    }

    /// This URL with another path and query.
    #[must_use]
    pub fn with_path(&self, path_and_query: &str) -> Url {
        Url { path: clean_path(path_and_query), ..self.clone() }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        let bad = |reason| UrlError::Malformed { url: text.to_owned(), reason };
        if text.len() > 8192 {
            return Err(bad("it is longer than 8192 bytes"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        if !scheme.eq_ignore_ascii_case("http") {
            let scheme = scheme.to_ascii_lowercase();
            return Err(match has_scheme(text) {
                true => UrlError::UnsupportedScheme { url: text.to_owned(), scheme },
                false => bad("its scheme is not a word"),
            });
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("a user name or password in it is not supported"));
        }
        let (host, port) = split_authority(authority).map_err(bad)?;
        Ok(Url { host, port, path: clean_path(path) })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}{}", self.authority(), self.path)
    }
}

fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// Upstream adds the brackets that an IPv6 address lacks (slapos/util.py, `_addIpv6Brackets`); so do we where it is
/// not ambiguous: without brackets, the part after the last colon is the port if the rest is an address too.
fn split_authority(authority: &str) -> Result<(String, u16), &'static str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the bracket of its IPv6 address is not closed")?;
        host.parse::<Ipv6Addr>().map_err(|_| "what stands in its brackets is not an IPv6 address")?;
        let port = match port.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if port.is_empty() => 80,
            None => return Err("after its bracket comes no port"),
        };
        return Ok((host.to_owned(), port));
    }
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Ok((authority.to_owned(), 80));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (authority, 80),
    };
    let is_name = host.chars().all(|c| c.is_alphanumeric() || "-._~".contains(c));
    if host.is_empty() {
        return Err("it has no host");
    }
    if !is_name && host.parse::<Ipv6Addr>().is_err() {
        return Err("its host holds a character that no host name has");
    }
    Ok((host.to_ascii_lowercase(), port))
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Ok(80);
    }
    match text.parse::<u16>() {
        Ok(port) if port > 0 && text.chars().all(|c| c.is_ascii_digit()) => Ok(port),
        _ => Err("its port is not a number from 1 to 65535"),
    }
}

/// Drops the fragment, resolves dot segments, and writes what may not stand in a request line in percent form.
fn clean_path(text: &str) -> String {
    let text = text.split('#').next().unwrap_or("");
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        ends_open = false;
        match segment {
            "." => ends_open = true,
            ".." => {
                segments.pop();
                ends_open = true;
            }
            other => segments.push(other),
        }
    }
    let mut clean = String::from("/");
    encode_into(&mut clean, &segments.join("/"));
    if ends_open && !clean.ends_with('/') {
        clean.push('/');
    }
    if let Some(query) = query {
        clean.push('?');
        encode_into(&mut clean, query);
    }
    clean
}

fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        for (text, expected) in [
            ("http://a", "http://a/"),
            ("HTTP://A:5000", "http://a:5000/"),
            ("http://127.0.0.1:80/x?y=z#w", "http://127.0.0.1/x?y=z"),
            ("http://[::1]:5000/", "http://[::1]:5000/"),
            ("http://fd46::1", "http://[fd46::1]/"),
            ("http://a?b=c d", "http://a/?b=c%20d"),
            ("http://a/é{x}", "http://a/%C3%A9%7Bx%7D"),
            ("http://a/b/../c/./", "http://a/c/"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused_is_named() {
        for (text, expected) in [
            ("https://a/", "scheme https, which is not supported"),
            ("/a/b", "no scheme"),
            ("http:///x", "no host"),
            ("http://a:0/", "port"),
            ("http://a:99999/", "port"),
            ("http://u:p@a/", "password"),
            ("http://[::1/", "bracket"),
            ("http://[a]/", "IPv6"),
            ("http://a b/", "character"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn references() {
        let base: Url = "http://a:1/b/c?d".parse().unwrap();
        for (reference, expected) in [
            ("/x", "http://a:1/x"),
            ("x", "http://a:1/b/x"),
            ("../x", "http://a:1/x"),
            ("..", "http://a:1/"),
            ("?q", "http://a:1/b/c?q"),
            ("//z/x", "http://z/x"),
            ("http://z:2/", "http://z:2/"),
            ("", "http://a:1/b/c?d"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected, "{reference}");
        }
        assert!(matches!(base.join("ftp://z/"), Err(UrlError::UnsupportedScheme { .. })));
    }
}
