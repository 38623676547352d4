//! Sockets of the real network.
//!
//! What the contract tests check, here and in the world in memory: port 0 finds a free port and `address` tells it; a second
//! listener on an address is refused with `AddrInUse`; a Unix socket whose listener is gone is replaced; connecting where nobody
//! listens fails with `ConnectionRefused` or `NotFound`; a Unix path over 107 bytes is `InvalidInput`.

use crate::env::{Address, BoxListener, BoxStream, Listener, LocalFuture, Network};
use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind},
    net::{SocketAddr, ToSocketAddrs},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

/// The longest path of a Unix socket: `sun_path` has 108 bytes with the zero at its end (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// Sockets of the real network.
pub(super) struct RealNetwork;

struct Tcp {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
}

struct Unix {
    listener: tokio::net::UnixListener,
    path: PathBuf,
    /// Device and inode: the file at `path` may be another's by the time this one is dropped.
    file: (u64, u64),
}

impl Network for RealNetwork {
    fn listen(&self, address: &Address) -> io::Result<BoxListener> {
        match address {
            Address::Tcp(address) => listen_tcp(&[*address]),
            Address::Name(host, port) => {
                let addresses: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs()?.collect();
                listen_tcp(&addresses)
            }
            Address::Unix(path) => listen_unix(path),
        }
        .map_err(|error| named(address, &error))
    }

    fn connect(&self, address: &Address) -> LocalFuture<'static, io::Result<BoxStream>> {
        let address = address.clone();
        Box::pin(async move { connect(&address).await.map_err(|error| named(&address, &error)) })
    }
}

impl Listener for Tcp {
    fn accept(&mut self) -> LocalFuture<'_, io::Result<(BoxStream, Option<SocketAddr>)>> {
        Box::pin(async {
            let (stream, peer) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as BoxStream, Some(peer)))
        })
    }

    fn address(&self) -> Address {
        Address::Tcp(self.address)
    }
}

impl Listener for Unix {
    fn accept(&mut self) -> LocalFuture<'_, io::Result<(BoxStream, Option<SocketAddr>)>> {
        Box::pin(async {
            let (stream, _) = self.listener.accept().await?;
            Ok((Box::new(stream) as BoxStream, None))
        })
    }

    fn address(&self) -> Address {
        Address::Unix(self.path.clone())
    }

    fn is_in_place(&self) -> bool {
        inode(&self.path) == Some(self.file)
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        if inode(&self.path) == Some(self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn connect(address: &Address) -> io::Result<BoxStream> {
    let stream = match address {
        Address::Tcp(address) => tokio::net::TcpStream::connect(address).await?,
        Address::Name(host, port) => tokio::net::TcpStream::connect((host.as_str(), *port)).await?,
        Address::Unix(path) => {
            check_length(path)?;
            return Ok(Box::new(tokio::net::UnixStream::connect(path).await?));
        }
    };
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

fn listen_tcp(addresses: &[SocketAddr]) -> io::Result<BoxListener> {
    let listener = std::net::TcpListener::bind(addresses)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Box::new(Tcp { listener: tokio::net::TcpListener::from_std(listener)?, address }))
}

fn listen_unix(path: &Path) -> io::Result<BoxListener> {
    check_length(path)?;
    // The lock makes "nobody listens there, so take its place" one step among all that use this door. It is the
    // directory's, so that no file is left.
    let directory = path.parent().unwrap_or(Path::new("/"));
    let lock = File::open(directory)?;
    lock.lock()?;
    match fs::symlink_metadata(path) {
        Ok(_) if is_stale(path) => {}
        Ok(_) => return Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let private = create_private_directory(directory)?;
    let listener = bind_private(&private, path);
    let _ = fs::remove_file(private.join(PRIVATE_NAME));
    fs::remove_dir(&private)?;
    let listener = listener?;
    let file = inode(path).ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
    Ok(Box::new(Unix { listener, path: path.to_owned(), file }))
}

/// The socket's name before it is in its place.
const PRIVATE_NAME: &str = "socket";

fn create_private_directory(parent: &Path) -> io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let path = parent.join(format!(".slap-{}-{number}.socket", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Binds where nobody else can connect, sets mode 0600, and only then puts the socket in its place. (A umask would do for the
/// mode, and would hit the other threads' files.)
fn bind_private(private: &Path, path: &Path) -> io::Result<tokio::net::UnixListener> {
    // Bound through the descriptor: the private path may be longer than a socket's may.
    let directory = File::open(private)?;
    let short = format!("/proc/self/fd/{}/{PRIVATE_NAME}", directory.as_raw_fd());
    let listener = tokio::net::UnixListener::bind(&short)?;
    fs::set_permissions(&short, Permissions::from_mode(0o600))?;
    fs::rename(&short, path)?;
    Ok(listener)
}

/// Whether a socket stands there that nobody listens on any more.
fn is_stale(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn check_length(path: &Path) -> io::Result<()> {
    let length = path.as_os_str().as_bytes().len();
    if length <= PATH_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the path has {length} bytes and a socket's at most {PATH_BYTES_MAX}: choose a directory with a shorter name"
    );
    Err(io::Error::new(ErrorKind::InvalidInput, message))
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn named(address: &Address, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::real;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn local() -> Address {
        Address::Tcp("127.0.0.1:0".parse().unwrap())
    }

    #[test]
    fn bytes_pass_both_ways() {
        let place = tempfile::tempdir().unwrap();
        for address in
            [local(), Address::Name("127.0.0.1".to_owned(), 0), Address::Unix(place.path().join("s"))]
        {
            real::block_on_env(real::env(), |env| async move {
                let mut listener = env.network().listen(&address).unwrap();
                let mut client = env.network().connect(&listener.address()).await.unwrap();
                let (mut server, _) = listener.accept().await.unwrap();
                client.write_all(b"ping").await.unwrap();
                let mut bytes = [0; 4];
                server.read_exact(&mut bytes).await.unwrap();
                server.write_all(&bytes).await.unwrap();
                client.read_exact(&mut bytes).await.unwrap();
                assert_eq!(&bytes, b"ping");
            });
        }
        assert!(!place.path().join("s").exists());
    }

    #[test]
    fn an_address_in_use_is_refused() {
        let place = tempfile::tempdir().unwrap();
        for address in [local(), Address::Unix(place.path().join("s"))] {
            real::block_on_env(real::env(), |env| async move {
                let first = env.network().listen(&address).unwrap();
                let error = env.network().listen(&first.address()).err().unwrap();
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
                assert!(env.network().connect(&first.address()).await.is_ok());
                let address = first.address();
                drop(first);
                let error = env.network().connect(&address).await.err().unwrap();
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
                    "{error}"
                );
                assert!(env.network().listen(&address).is_ok());
            });
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        real::block_on_env(real::env(), |env| async move {
            let listener = env.network().listen(&Address::Unix(path.clone())).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            drop(listener);
            fs::write(&path, "precious").unwrap();
            let error = env.network().listen(&Address::Unix(path.clone())).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            assert_eq!(fs::read(&path).unwrap(), b"precious");
        });
    }

    #[test]
    fn a_path_too_long_says_so() {
        real::block_on_env(real::env(), |env| async move {
            let address = Address::Unix(PathBuf::from(format!("/tmp/{}", "x".repeat(103))));
            for error in [
                env.network().listen(&address).err().unwrap(),
                env.network().connect(&address).await.err().unwrap(),
            ] {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains("108 bytes"), "{error}");
            }
        });
    }
}
