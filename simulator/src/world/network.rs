//! Streams in memory. The machine has the loopback addresses and no others.

use super::{pause, random::Random};
use slap_impl::env::{Address, BoxListener, BoxStream, Identity, Listener, LocalFuture, Network};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::sync::mpsc;

/// Bytes that a stream holds before its writer waits, as a socket's buffer does.
const STREAM_BYTES: usize = 64 * 1024;
/// Connections that wait to be accepted, as listen(2)'s backlog.
const BACKLOG: usize = 128;

/// All listeners of a world.
pub(crate) struct MemoryNetwork {
    random: Random,
    next_port: Cell<u16>,
    listeners: RefCell<BTreeMap<Address, Entry>>,
}

struct Entry {
    owner: Identity,
    serial: u64,
    sender: mpsc::Sender<(BoxStream, Option<SocketAddr>)>,
}

/// The network as one process sees it.
pub(crate) struct ProcessNetwork {
    pub(crate) network: Rc<MemoryNetwork>,
    pub(crate) owner: Identity,
    pub(crate) serial: Cell<u64>,
}

struct MemoryListener {
    network: Rc<MemoryNetwork>,
    address: Address,
    owner: Identity,
    serial: u64,
    receiver: mpsc::Receiver<(BoxStream, Option<SocketAddr>)>,
}

impl MemoryNetwork {
    pub(crate) fn new(random: Random) -> MemoryNetwork {
        MemoryNetwork { random, next_port: Cell::new(32_768), listeners: RefCell::default() }
    }

    /// Closes what a process listened on, as its end does.
    pub(crate) fn close_all(&self, owner: Identity) {
        self.listeners.borrow_mut().retain(|_, entry| entry.owner != owner);
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

    fn find(&self, address: &Address) -> Option<mpsc::Sender<(BoxStream, Option<SocketAddr>)>> {
        let listeners = self.listeners.borrow();
        if let Some(entry) = listeners.get(address) {
            return Some(entry.sender.clone());
        }
        let Address::Tcp(wanted) = address else { return None };
        let any: IpAddr = if wanted.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
        listeners.get(&Address::Tcp(SocketAddr::new(any, wanted.port()))).map(|entry| entry.sender.clone())
    }
}

impl Network for ProcessNetwork {
    fn listen(&self, address: &Address) -> io::Result<BoxListener> {
        let mut address = address.clone();
        match &mut address {
            Address::Tcp(tcp) => {
                if !(tcp.ip().is_loopback() || tcp.ip().is_unspecified()) {
                    return Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
                }
                if tcp.port() == 0 {
                    tcp.set_port(self.network.ephemeral_port());
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
        if self.network.taken(&address) {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let serial = self.serial.get();
        self.serial.set(serial + 1);
        let entry = Entry { owner: self.owner, serial, sender };
        self.network.listeners.borrow_mut().insert(address.clone(), entry);
        Ok(Box::new(MemoryListener {
            network: self.network.clone(),
            address,
            owner: self.owner,
            serial,
            receiver,
        }))
    }

    fn connect(&self, address: &Address) -> LocalFuture<'static, io::Result<BoxStream>> {
        let network = self.network.clone();
        let address = match address {
            Address::Name(name, port) if name == "localhost" => {
                Address::Tcp(SocketAddr::new([127, 0, 0, 1].into(), *port))
            }
            other => other.clone(),
        };
        Box::pin(async move {
            pause(network.random.duration(Duration::from_micros(30), Duration::from_micros(300))).await;
            if let Address::Name(name, _) = &address {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("no address for {name}")));
            }
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let sender = network.find(&address).ok_or_else(refused)?;
            let (near, far) = tokio::io::duplex(STREAM_BYTES);
            let peer = match &address {
                Address::Tcp(tcp) => {
                    let from: IpAddr = if tcp.is_ipv4() { [127, 0, 0, 1].into() } else { tcp.ip() };
                    Some(SocketAddr::new(from, network.ephemeral_port()))
                }
                _ => None,
            };
            sender.try_send((Box::new(far), peer)).map_err(|_| refused())?;
            Ok(Box::new(near) as BoxStream)
        })
    }
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> LocalFuture<'_, io::Result<(BoxStream, Option<SocketAddr>)>> {
        Box::pin(async move {
            match self.receiver.recv().await {
                Some(connection) => Ok(connection),
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
        let mut listeners = self.network.listeners.borrow_mut();
        let mine = listeners
            .get(&self.address)
            .is_some_and(|entry| entry.owner == self.owner && entry.serial == self.serial);
        if mine {
            listeners.remove(&self.address);
        }
    }
}
