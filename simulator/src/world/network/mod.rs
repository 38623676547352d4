//! The network of a world: streams in memory, within a machine and between machines.
//!
//! * this file: the machines' addresses, listeners, and how a connection is made
//! * `link.rs`: each direction between two machines, and what can go wrong with it: the public [`Link`]
//! * `cache.rs`: what answers requests on their way
//! * `connection.rs`: the two sides of a connection; `flow.rs`: the bytes of one direction; `stream.rs`: a side in its process's hands
//!
//! Each machine has the loopback addresses for itself, and an IPv4 and an IPv6 address that the others reach; its name stands for the
//! first. Bytes of a connection arrive in order, after a time that is drawn from the stream of that direction. A timer runs only while
//! somebody waits for bytes that are on their way, or for an answer that may never come.

mod cache;
mod connection;
mod flow;
mod link;
mod stream;

pub use link::{Link, Mishap};

use super::{clock::pause, random::Random, trace::Trace};
use connection::Connection;
use link::LinkState;
use slap_impl::env::{Address, BoxListener, BoxStream, Identity, Listener, LocalFuture, Network};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use stream::MemoryStream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc::{self, error::TrySendError},
};

/// Connections that wait to be accepted: what the real listener asks for, and Linux's limit (`net.core.somaxconn`).
const BACKLOG: usize = 4096;
/// How long a try to connect waits for its answer before the next: Linux's `tcp_syn_retries` of 6 gives up after 127 s.
const CONNECT_TRIES_SECONDS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];
/// How long a machine looks for another on its network that is not there (three tries of ARP, one a second).
const UNREACHABLE_AFTER: Duration = Duration::from_secs(3);

type Waiting = (MemoryStream, Option<SocketAddr>);

/// The network between all machines of a world.
pub(crate) struct Lan {
    random: Random,
    trace: Trace,
    interfaces: RefCell<Vec<Rc<Interface>>>,
    links: RefCell<BTreeMap<(usize, usize), Rc<LinkState>>>,
}

/// A machine's part of the network.
pub(crate) struct Interface {
    index: usize,
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) address6: Ipv6Addr,
    /// Those that were given to it beside these two.
    more: RefCell<BTreeSet<IpAddr>>,
    random: Random,
    /// How often the machine lost its power or was started anew. What was connected before is not known after.
    boot: Cell<u32>,
    is_up: Cell<bool>,
    next_port: Cell<u16>,
    listeners: RefCell<BTreeMap<Address, Entry>>,
}

struct Entry {
    owner: Identity,
    serial: u64,
    sender: mpsc::Sender<Waiting>,
}

/// The network as one process sees it.
pub(crate) struct ProcessNetwork {
    pub(crate) lan: Rc<Lan>,
    pub(crate) interface: Rc<Interface>,
    pub(crate) owner: Identity,
    pub(crate) serial: Cell<u64>,
}

struct MemoryListener {
    interface: Rc<Interface>,
    address: Address,
    owner: Identity,
    serial: u64,
    receiver: mpsc::Receiver<Waiting>,
}

impl Lan {
    pub(crate) fn new(random: Random, trace: Trace) -> Lan {
        Lan { random, trace, interfaces: RefCell::default(), links: RefCell::default() }
    }

    /// Adds a machine whose addresses end in `number`.
    pub(crate) fn add(&self, name: &str, number: u16, random: Random) -> Rc<Interface> {
        let mut interfaces = self.interfaces.borrow_mut();
        let [high, low] = number.to_be_bytes();
        let interface = Rc::new(Interface {
            index: interfaces.len(),
            name: name.to_owned(),
            address: Ipv4Addr::new(10, 0, high, low),
            address6: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number),
            more: RefCell::default(),
            random,
            boot: Cell::new(1),
            is_up: Cell::new(true),
            next_port: Cell::new(32_768),
            listeners: RefCell::default(),
        });
        interfaces.push(interface.clone());
        interface
    }

    /// What the first sends to the second.
    pub(crate) fn link(&self, from: &Rc<Interface>, to: &Rc<Interface>) -> Link {
        let mut links = self.links.borrow_mut();
        let link = links.entry((from.index, to.index)).or_insert_with(|| {
            let random = self.random.child(&format!("{} > {}", from.name, to.name));
            Rc::new(LinkState::new(from.clone(), to.clone(), self.trace.clone(), random))
        });
        Link { state: link.clone() }
    }

    /// Gives a machine another address; whether it was free.
    pub(crate) fn add_address(&self, to: &Interface, address: IpAddr) -> bool {
        let is_free = !self.interfaces.borrow().iter().any(|interface| interface.has(address));
        is_free && to.more.borrow_mut().insert(address)
    }

    /// What passes between a machine and all others, both ways.
    pub(crate) fn links_of(&self, interface: &Rc<Interface>) -> Vec<Link> {
        let interfaces = self.interfaces.borrow().clone();
        let others = interfaces.iter().filter(|other| !Rc::ptr_eq(other, interface));
        others.flat_map(|other| [self.link(interface, other), self.link(other, interface)]).collect()
    }

    /// The machine vanishes from the network: nobody is told.
    pub(crate) fn power_off(&self, interface: &Rc<Interface>) {
        interface.is_up.set(false);
        interface.boot.set(interface.boot.get() + 1);
        interface.listeners.borrow_mut().clear();
        self.each_known_link(interface, LinkState::stall);
    }

    /// It is there again, and knows nothing of its connections.
    pub(crate) fn power_on(&self, interface: &Rc<Interface>) {
        interface.is_up.set(true);
        self.each_known_link(interface, LinkState::resume);
    }

    /// Links that were never used have nothing to stall.
    fn each_known_link(&self, interface: &Rc<Interface>, act: impl Fn(&LinkState)) {
        let links: Vec<Rc<LinkState>> = self.links.borrow().values().cloned().collect();
        for link in links {
            if Rc::ptr_eq(&link.from, interface) || Rc::ptr_eq(&link.to, interface) {
                act(&link);
            }
        }
    }

    fn links(&self, from: &Rc<Interface>, to: &Rc<Interface>) -> [Rc<LinkState>; 2] {
        [self.link(from, to).state, self.link(to, from).state]
    }

    /// The address that a name stands for.
    fn resolve(&self, address: &Address) -> io::Result<Address> {
        let Address::Name(name, port) = address else { return Ok(address.clone()) };
        let interfaces = self.interfaces.borrow();
        let named = interfaces.iter().find(|interface| interface.name == *name);
        let found: Option<IpAddr> = match (name.as_str(), named) {
            ("localhost", _) => Some([127, 0, 0, 1].into()),
            (_, Some(interface)) => Some(interface.address.into()),
            (other, None) => other.parse().ok(),
        };
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no address for {name}"));
        Ok(Address::Tcp(SocketAddr::new(found.ok_or_else(missing)?, *port)))
    }

    /// The machine that has an address, as another one sees it.
    fn owner_of(&self, from: &Rc<Interface>, address: &Address) -> Option<Rc<Interface>> {
        match address {
            Address::Tcp(tcp) if !from.has(tcp.ip()) => {
                let interfaces = self.interfaces.borrow();
                interfaces.iter().find(|interface| interface.is_found_at(tcp.ip())).cloned()
            }
            _ => Some(from.clone()),
        }
    }
}

impl Interface {
    pub(crate) fn boot(&self) -> u32 {
        self.boot.get()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.is_up.get()
    }

    /// Closes what a process listened on, as its end does.
    pub(crate) fn close_all(&self, owner: Identity) {
        self.listeners.borrow_mut().retain(|_, entry| entry.owner != owner);
    }

    /// Whether the machine can listen there.
    fn has(&self, address: IpAddr) -> bool {
        address.is_loopback() || address.is_unspecified() || self.is_found_at(address)
    }

    /// Whether others find it there.
    fn is_found_at(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) if address == self.address => true,
            IpAddr::V6(address) if address == self.address6 => true,
            other => self.more.borrow().contains(&other),
        }
    }

    fn ephemeral_port(&self) -> u16 {
        let port = self.next_port.get();
        self.next_port.set(if port == 60_999 { 32_768 } else { port + 1 });
        port
    }

    fn taken(&self, address: &Address) -> bool {
        let listeners = self.listeners.borrow();
        match address {
            Address::Tcp(wanted) => listeners.keys().any(|other| match other {
                Address::Tcp(other) => {
                    other.port() == wanted.port()
                        && other.is_ipv4() == wanted.is_ipv4()
                        && (other.ip() == wanted.ip()
                            || other.ip().is_unspecified()
                            || wanted.ip().is_unspecified())
                }
                _ => false,
            }),
            other => listeners.contains_key(other),
        }
    }

    fn find(&self, address: &Address) -> Option<mpsc::Sender<Waiting>> {
        let listeners = self.listeners.borrow();
        if let Some(entry) = listeners.get(address) {
            return Some(entry.sender.clone());
        }
        let Address::Tcp(wanted) = address else { return None };
        let any: IpAddr = if wanted.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
        listeners.get(&Address::Tcp(SocketAddr::new(any, wanted.port()))).map(|entry| entry.sender.clone())
    }

    /// From where the other machine, or this one, sees a connection come.
    fn source(&self, to: &Interface, address: &Address) -> Option<SocketAddr> {
        let Address::Tcp(tcp) = address else { return None };
        let from: IpAddr = match tcp.ip() {
            _ if self.index != to.index && tcp.is_ipv4() => self.address.into(),
            _ if self.index != to.index => self.address6.into(),
            own if own.is_loopback() && own.is_ipv4() => [127, 0, 0, 1].into(),
            own => own,
        };
        Some(SocketAddr::new(from, self.ephemeral_port()))
    }
}

impl Network for ProcessNetwork {
    fn listen(&self, address: &Address) -> io::Result<BoxListener> {
        let mut address = self.lan.resolve(address)?;
        match &mut address {
            Address::Tcp(tcp) => {
                if !self.interface.has(tcp.ip()) {
                    return Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
                }
                if tcp.port() == 0 {
                    tcp.set_port(self.interface.ephemeral_port());
                }
            }
            Address::Unix(path) => {
                if path.as_os_str().len() > 107 {
                    let message = format!("{}: a socket's path is at most 107 bytes", path.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                }
            }
            Address::Name(..) => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
        if self.interface.taken(&address) {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let serial = self.serial.get();
        self.serial.set(serial + 1);
        let entry = Entry { owner: self.owner, serial, sender };
        self.interface.listeners.borrow_mut().insert(address.clone(), entry);
        let (interface, owner) = (self.interface.clone(), self.owner);
        Ok(Box::new(MemoryListener { interface, address, owner, serial, receiver }))
    }

    fn connect(&self, address: &Address) -> LocalFuture<'static, io::Result<BoxStream>> {
        let (lan, from, address) = (self.lan.clone(), self.interface.clone(), self.lan.resolve(address));
        Box::pin(async move {
            let address = address?;
            let Some(to) = lan.owner_of(&from, &address) else {
                pause(UNREACHABLE_AFTER).await;
                return Err(io::Error::from(io::ErrorKind::HostUnreachable));
            };
            if Rc::ptr_eq(&from, &to) {
                pause(from.random.duration(Duration::from_micros(30), Duration::from_micros(300))).await;
            }
            let links = lan.links(&from, &to);
            let stream = connect(&links, &address, false).await?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

/// Makes a connection, as TCP does: what is not answered is asked for again, until it is given up.
async fn connect(links: &[Rc<LinkState>; 2], address: &Address, is_replay: bool) -> io::Result<MemoryStream> {
    let [out, back] = links;
    for seconds in CONNECT_TRIES_SECONDS {
        let mut patience = Duration::from_secs(seconds);
        if out.is_open() && back.is_open() {
            let there = out.draw();
            travel(there).await;
            if out.refuses() {
                travel(back.draw()).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            match offer(links, address, is_replay) {
                Ok(Some(stream)) => {
                    travel(back.draw()).await;
                    return Ok(stream);
                }
                Err(error) => {
                    travel(back.draw()).await;
                    return Err(error);
                }
                Ok(None) => patience = patience.saturating_sub(there),
            }
        }
        pause(patience).await;
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Puts a connection before who listens there. None when there is no room, so that nobody answers.
fn offer(links: &[Rc<LinkState>; 2], address: &Address, is_replay: bool) -> io::Result<Option<MemoryStream>> {
    let [out, _] = links;
    if !out.is_open() {
        return Ok(None);
    }
    let sender = out.to.find(address).ok_or(io::ErrorKind::ConnectionRefused)?;
    match sender.try_reserve() {
        Ok(place) => {
            let (near, far) = Connection::open(address.clone(), links.clone(), is_replay);
            place.send((far, out.from.source(&out.to, address)));
            Ok(Some(near))
        }
        Err(TrySendError::Full(())) if matches!(address, Address::Unix(_)) => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(TrySendError::Full(())) => Ok(None),
        Err(TrySendError::Closed(())) => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

/// Passes the time that something is on its way: no timer for what takes none.
async fn travel(latency: Duration) {
    if !latency.is_zero() {
        pause(latency).await;
    }
}

/// Delivers a request over a connection of its own, and drops the answer.
fn replay(address: Address, links: [Rc<LinkState>; 2], request: Vec<u8>, after: Duration) {
    let work = async move {
        travel(after).await;
        // Nobody hears of it when it fails.
        let Ok(mut stream) = connect(&links, &address, true).await else { return };
        if stream.write_all(&request).await.is_ok() {
            let _ = stream.read_u8().await;
        }
    };
    #[allow(clippy::disallowed_methods, reason = "it belongs to no process: it is the network that does it")]
    tokio::task::spawn_local(work);
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> LocalFuture<'_, io::Result<(BoxStream, Option<SocketAddr>)>> {
        Box::pin(async move {
            match self.receiver.recv().await {
                Some((stream, peer)) => Ok((Box::new(stream.accept()) as BoxStream, peer)),
                // The process was ended; its tasks are about to be dropped.
                None => std::future::pending().await,
            }
        })
    }

    fn address(&self) -> Address {
        self.address.clone()
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut listeners = self.interface.listeners.borrow_mut();
        let mine = listeners
            .get(&self.address)
            .is_some_and(|entry| entry.owner == self.owner && entry.serial == self.serial);
        if mine {
            listeners.remove(&self.address);
        }
    }
}
