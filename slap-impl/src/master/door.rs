//! Under which names a master is asked over its socket.
//!
//! A page of a stranger's site may ask a master that only its user's machine can reach, if its name is made to mean that machine
//! (DNS rebinding): the browser then says the stranger's name in `Host`. So a master answers only under its own names; under any other
//! it answers 421 (RFC 9110, 15.5.20). In the same process it is asked without this.

use super::{Master, decisions::Refusal, router::refused};
use crate::{
    env::{Address, LocalFuture},
    wire::http::server::{Handler, Request, Response},
};
use std::{collections::BTreeSet, net::IpAddr, rc::Rc};

/// A master as its socket's peers meet it.
pub(super) struct Door {
    master: Rc<Master>,
    listens: Listens,
    /// In lower case, without a port and without brackets.
    names: BTreeSet<String>,
}

/// What it listens on.
enum Listens {
    /// On an address of 127.0.0.0/8, or ::1: all loopback names.
    Loopback,
    /// On one address: that.
    At(IpAddr),
    /// On all addresses: all addresses, for it is names that are made to mean others.
    Everywhere,
    /// On a Unix socket, which no browser reaches: what its peers say.
    Unix,
}

impl Door {
    pub(super) fn new(master: Rc<Master>, address: &Address, names: &[String]) -> Door {
        let listens = match address {
            Address::Tcp(address) if address.ip().to_canonical().is_loopback() => Listens::Loopback,
            Address::Tcp(address) if address.ip().is_unspecified() => Listens::Everywhere,
            Address::Tcp(address) => Listens::At(address.ip().to_canonical()),
            Address::Name(..) | Address::Unix(_) => Listens::Unix,
        };
        let names = names.iter().map(|name| bare(name).to_ascii_lowercase()).collect();
        Door { master, listens, names }
    }

    fn accepts(&self, host: &str) -> bool {
        if matches!(self.listens, Listens::Unix) {
            return true;
        }
        let Some(name) = without_port(host) else { return false };
        let name = bare(name).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let address = name.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let is_own = match (&self.listens, address) {
            (Listens::Loopback, Some(address)) => address.is_loopback(),
            (Listens::Loopback | Listens::Everywhere, None) => name == "localhost",
            (Listens::At(own), Some(address)) => address == *own,
            (Listens::At(_), None) => false,
            (Listens::Everywhere, Some(_)) | (Listens::Unix, _) => true,
        };
        is_own || self.names.contains(name)
    }

    fn misdirected(&self, host: &str) -> Response {
        let shown: String = host.chars().take(80).collect();
        let own = match &self.listens {
            Listens::Loopback => "localhost or a loopback address".to_owned(),
            Listens::At(address) => address.to_string(),
            Listens::Everywhere | Listens::Unix => "one of its addresses".to_owned(),
        };
        let refusal = Refusal::new(421, format!("this master is not called {shown:?}: expected {own}"))
            .hint("other names for it go into [slapproxy] server_names");
        refused(&refusal)
    }
}

impl Handler for Door {
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response> {
        // The server demands it of HTTP/1.1. HTTP/1.0, which no browser speaks, may leave it out.
        if let Some(host) = request.header("host").filter(|host| !self.accepts(host)) {
            let response = self.misdirected(host);
            return Box::pin(std::future::ready(response));
        }
        self.master.clone().handle(request)
    }
}

/// The host of a `Host` header (RFC 9112, 3.2; RFC 3986, 3.2.2).
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    (is_port && !name.is_empty()).then_some(name)
}

fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{env::real, master::Configuration};

    #[test]
    fn only_its_own_names_are_answered() {
        const LOOPBACK: [&str; 9] = [
            "localhost",
            "LocalHost:5000",
            "localhost.:5000",
            "127.0.0.1",
            "127.0.0.1:5000",
            "127.84.3.1:1",
            "[::1]",
            "[::1]:5000",
            "127.0.0.1:",
        ];
        const STRANGE: [&str; 13] = [
            "",
            ":5000",
            "evil.example",
            "evil.example:5000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "localhost:5000:5000",
            "localhost:x",
            "[::1",
            "[::1]x",
            "evil.example/localhost",
            "localhost,evil.example",
        ];
        let place = tempfile::tempdir().unwrap();
        real::block_on_env(real::env(), async |env| {
            let configuration =
                Configuration { database: place.path().join("db"), ..Configuration::default() };
            let master = Master::open(&env, configuration).await.unwrap();
            let check = |address: &str, names: &[&str], good: &[&str], bad: &[&str]| {
                let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
                let door = Door::new(master.clone(), &Address::Tcp(address.parse().unwrap()), &names);
                for (hosts, expected) in [(good, true), (bad, false), (&STRANGE, false)] {
                    for host in hosts {
                        assert_eq!(door.accepts(host), expected, "at {address}, called {host:?}");
                    }
                }
            };
            let others = ["192.0.2.1", "[2001:db8::1]:5000", "slap.example"];
            check("127.0.0.1:5000", &["127.0.0.1"], &LOOPBACK, &others);
            check("127.84.3.1:5000", &[], &LOOPBACK, &others);
            check("[::1]:5000", &["::1"], &LOOPBACK, &others);
            check("127.0.0.1:5000", &["Slap.example", "[2001:db8::1]"], &["SLAP.example:80"], &["192.0.2.1"]);
            check("192.0.2.1:5000", &[], &["192.0.2.1", "192.0.2.1:80"], &["192.0.2.2", "slap.example"]);
            check("192.0.2.1:5000", &["slap.example"], &["slap.example"], &LOOPBACK);
            check("[2001:db8::1]:5000", &[], &["[2001:db8:0::1]:5000"], &["localhost", "[::1]"]);
            check("0.0.0.0:5000", &[], &["192.0.2.1", "[2001:db8::1]:5000", "localhost"], &["slap.example"]);
            check("[::]:5000", &["slap.example"], &["slap.example", "127.0.0.1"], &["slap.example.org"]);
        });
    }
}
