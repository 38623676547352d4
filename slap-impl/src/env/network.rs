//! Sockets: byte streams over TCP and over Unix sockets.

use super::LocalFuture;
use std::{fmt, io, net::SocketAddr, path::PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// An internet address and a port; port 0 asks for a free one.
    Tcp(SocketAddr),
    /// A name and a port, resolved at connect.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(formatter, "{address}"),
            Address::Name(host, port) => write!(formatter, "{host}:{port}"),
            Address::Unix(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A stream of either kind.
pub type BoxStream = Box<dyn Stream>;

/// A listener of either kind.
pub type BoxListener = Box<dyn Listener>;

/// A socket that listens; it stops when it is dropped.
pub trait Listener {
    /// The next connection and, for TCP, who made it.
    fn accept(&mut self) -> LocalFuture<'_, io::Result<(BoxStream, Option<SocketAddr>)>>;
    /// Where it listens, with the port that was found.
    fn address(&self) -> Address;
    /// Whether it can still be found by its address: the name of a Unix socket may have been removed.
    fn is_in_place(&self) -> bool {
        true
    }
}

/// Sockets.
pub trait Network {
    /// Listens. A Unix socket is made with mode 0600, and one that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there; `AddrNotAvailable` when the machine has no such address;
    /// `InvalidInput` when a Unix path is over 107 bytes.
    fn listen(&self, address: &Address) -> io::Result<BoxListener>;
    /// Connects.
    ///
    /// # Errors
    /// `ConnectionRefused` or `NotFound` when nobody listens there.
    fn connect(&self, address: &Address) -> LocalFuture<'static, io::Result<BoxStream>>;
}
