//! Streams over TCP and over Unix sockets.

use slap_impl::env::{Address, Env};
use std::{io::ErrorKind, net::SocketAddr, path::Path};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) async fn all(env: &Env, scratch: &Path) {
    let tcp = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let unix = Address::Unix(scratch.join("socket"));
    for address in [&tcp, &unix] {
        echo(env, address).await;
        taken_and_free_again(env, address).await;
    }
    let mode = |path: &Path| env.files().symlink_metadata(path).map(|metadata| metadata.mode);
    let listener = env.network().listen(&unix).unwrap();
    if let Ok(mode) = mode(&scratch.join("socket")) {
        assert_eq!(mode & 0o777, 0o600, "a socket is its owner's");
    }
    drop(listener);
    refusals(env, scratch).await;
}

async fn echo(env: &Env, address: &Address) {
    let mut listener = env.network().listen(address).unwrap();
    let at = listener.address();
    let client = env.network().connect(&at);
    env.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes.reverse();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut stream = client.await.unwrap();
    // More than a socket's buffer, so that the writer waits for the reader.
    let sent: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    received.reverse();
    assert_eq!(received, sent);
}

async fn taken_and_free_again(env: &Env, address: &Address) {
    let listener = env.network().listen(address).unwrap();
    let at = listener.address();
    let second = env.network().listen(&at).err().map(|error| error.kind());
    assert_eq!(second, Some(ErrorKind::AddrInUse), "{at}");
    drop(listener);
    assert!(env.network().connect(&at).await.is_err(), "{at}: nobody listens any more");
    drop(env.network().listen(&at).unwrap_or_else(|error| panic!("{at} is free again: {error}")));
}

async fn refusals(env: &Env, scratch: &Path) {
    let kind = |address: Address| env.network().listen(&address).err().map(|error| error.kind());
    let long = scratch.join("x".repeat(120));
    assert_eq!(kind(Address::Unix(long)), Some(ErrorKind::InvalidInput), "a path too long for a socket");
    let foreign = Address::Tcp(SocketAddr::from(([192, 0, 2, 1], 80)));
    assert_eq!(kind(foreign), Some(ErrorKind::AddrNotAvailable));
    let missing = env.network().connect(&Address::Unix(scratch.join("no socket"))).await;
    assert!(matches!(
        missing.err().map(|error| error.kind()),
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused)
    ));
}
