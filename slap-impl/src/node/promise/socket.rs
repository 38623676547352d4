//! check_socket_listening: somebody listens on a TCP or Unix socket (slapos.toolbox 0.170).

use super::{
    check::{Config, Sense},
    python,
};
use crate::env::{Address, Env};
use std::net::{IpAddr, SocketAddr};

/// What a wrong set of parameters is answered with.
const USAGE: &str = "Address must be specified in 1 of the following 3 forms: (host, port), path or abstract";

/// Where somebody shall listen, or why that is not clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket(Result<Address, String>);

impl Socket {
    /// Reads `host` and `port`, `pathname`, or `abstract`.
    pub(super) fn from_config(config: &Config<'_>) -> Socket {
        let unix = (config.text("pathname"), config.text("abstract"));
        Socket(match (config.text("host"), config.text("port"), unix) {
            (Some(host), Some(port), (None, None)) => tcp(host, port),
            (None, _, (Some(path), None)) => Ok(Address::Unix(path.into())),
            (None, _, (None, Some(name))) => Ok(Address::Unix(format!("\0{name}").into())),
            _ => Err(USAGE.to_owned()),
        })
    }

    pub(super) async fn sense(&self, env: &Env) -> Sense {
        let address = match &self.0 {
            Ok(address) => address,
            Err(message) => return Sense::bad(message),
        };
        match env.network().connect(address).await {
            Ok(_) => Sense::good(format!("socket connection OK {}", shown(address))),
            Err(error) => Sense::bad(python::error(&error)),
        }
    }
}

fn tcp(host: &str, port: &str) -> Result<Address, String> {
    let port = port
        .trim()
        .parse()
        .map_err(|_| format!("the parameter `port` is {}: expected 0 to 65535", python::repr(port)))?;
    Ok(match host.parse::<IpAddr>() {
        Ok(host) => Address::Tcp(SocketAddr::new(host, port)),
        Err(_) => Address::Name(host.to_owned(), port),
    })
}

/// The address as Python's socket module has it.
fn shown(address: &Address) -> String {
    match address {
        Address::Tcp(SocketAddr::V4(address)) => format!("('{}', {})", address.ip(), address.port()),
        Address::Tcp(SocketAddr::V6(address)) => {
            format!("('{}', {}, 0, {})", address.ip(), address.port(), address.scope_id())
        }
        Address::Name(host, port) => format!("({}, {port})", python::repr(host)),
        Address::Unix(path) => python::repr(&path.to_string_lossy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn exactly_one_form_of_address_is_accepted() {
        for (config, expected) in [
            (&[("host", "127.0.0.1"), ("port", "80")][..], "('127.0.0.1', 80)"),
            (&[("host", "::1"), ("port", " 80 ")], "('::1', 80, 0, 0)"),
            (&[("host", "localhost"), ("port", "80")], "('localhost', 80)"),
            (&[("pathname", "/p/it's")], "\"/p/it's\""),
            (&[("abstract", "name")], "'\\x00name'"),
            (&[("host", "::1")], USAGE),
            (&[("host", "::1"), ("port", "80"), ("pathname", "/p")], USAGE),
            (&[("pathname", "/p"), ("abstract", "a")], USAGE),
            (&[("host", ""), ("pathname", "")], USAGE),
            (&[("host", "::1"), ("port", "http")], "the parameter `port` is 'http': expected 0 to 65535"),
        ] {
            let config: BTreeMap<String, String> =
                config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let found = match Socket::from_config(&Config(&config)).0 {
                Ok(address) => shown(&address),
                Err(message) => message,
            };
            assert_eq!(found, expected);
        }
    }
}
