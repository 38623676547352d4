//! Streams over TCP and over Unix sockets.

use slap_impl::env::{Address, BoxListener, BoxStream, Env};
use std::{io::ErrorKind, net::SocketAddr, path::Path, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn all(env: &Env, scratch: &Path) {
    let tcp = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let unix = Address::Unix(scratch.join("socket"));
    for address in [&tcp, &unix] {
        echo(env, address).await;
        taken_and_free_again(env, address).await;
        ends(env, address).await;
        half_closed(env, address).await;
        unread(env, address).await;
        never_accepted(env, address).await;
        many_wait(env, address).await;
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

/// Both sides of a connection.
async fn pair(env: &Env, listener: &mut BoxListener) -> (BoxStream, BoxStream) {
    let near = env.network().connect(&listener.address()).await.unwrap();
    let (far, peer) = listener.accept().await.unwrap();
    let is_tcp = matches!(listener.address(), Address::Tcp(_));
    assert_eq!(peer.is_some_and(|peer| peer.ip().is_loopback()), is_tcp, "TCP says who comes");
    (near, far)
}

/// Who ends has sent what it wrote; then comes the end, and at last nothing can be written to it.
async fn ends(env: &Env, address: &Address) {
    let mut listener = env.network().listen(address).unwrap();
    let (mut near, mut far) = pair(env, &mut listener).await;
    far.write_all(b"half a").await.unwrap();
    drop(far);
    let mut received = Vec::new();
    near.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"half a");
    let fails = async {
        loop {
            match near.write(b"x").await {
                Ok(_) => env.sleep(Duration::from_millis(1)).await,
                Err(error) => return error.kind(),
            }
        }
    };
    let kind = env.timeout(PATIENCE, fails).await;
    assert!(matches!(kind, Ok(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)), "{address}: {kind:?}");
}

/// A direction that was closed takes nothing more, and the other one goes on.
async fn half_closed(env: &Env, address: &Address) {
    let mut listener = env.network().listen(address).unwrap();
    let (mut near, mut far) = pair(env, &mut listener).await;
    near.write_all(b"all").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(
        near.write(b"x").await.err().map(|error| error.kind()),
        Some(ErrorKind::BrokenPipe),
        "{address}"
    );
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"all");
    far.write_all(b"answer").await.unwrap();
    let mut bytes = [0; 6];
    near.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"answer");
}

/// Who ends with something unread resets the connection: what it had sent arrives, then the reset, once, and then the end.
async fn unread(env: &Env, address: &Address) {
    let mut listener = env.network().listen(address).unwrap();
    let (mut near, mut far) = pair(env, &mut listener).await;
    near.write_all(b"nobody reads this").await.unwrap();
    let mut first = [0; 1];
    far.read_exact(&mut first).await.unwrap();
    far.write_all(b"sent").await.unwrap();
    drop(far);
    let mut bytes = [0; 4];
    near.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"sent", "{address}");
    let kind = near.read(&mut bytes).await.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionReset), "{address}");
    assert_eq!(near.read(&mut bytes).await.unwrap(), 0, "{address}: it is told once");
    let kind = near.write(b"x").await.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::BrokenPipe), "{address}");
}

/// Who stops listening resets those that wait.
async fn never_accepted(env: &Env, address: &Address) {
    let listener = env.network().listen(address).unwrap();
    let mut near = env.network().connect(&listener.address()).await.unwrap();
    near.write_all(b"hello").await.unwrap();
    drop(listener);
    let read = env.timeout(PATIENCE, near.read(&mut [0; 1])).await.expect("it does not wait for ever");
    assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset), "{address}");
}

/// Many may wait to be accepted, and what they wrote is there then.
async fn many_wait(env: &Env, address: &Address) {
    let mut listener = env.network().listen(address).unwrap();
    let mut waiting = Vec::new();
    for number in 0..200_u8 {
        let mut near = env.network().connect(&listener.address()).await.unwrap();
        near.write_all(&[number]).await.unwrap();
        waiting.push(near);
    }
    for number in 0..200_u8 {
        let (mut far, _) = listener.accept().await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), number, "{address}: in the order in which they came");
    }
}

async fn refusals(env: &Env, scratch: &Path) {
    let kind = |address: Address| env.network().listen(&address).err().map(|error| error.kind());
    let long = scratch.join("x".repeat(120));
    assert_eq!(kind(Address::Unix(long)), Some(ErrorKind::InvalidInput), "a path too long for a socket");
    let foreign = Address::Tcp(SocketAddr::from(([192, 0, 2, 1], 80)));
    assert_eq!(kind(foreign), Some(ErrorKind::AddrNotAvailable));
    let listener = env.network().listen(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
    let nobody = listener.address();
    drop(listener);
    let refused = env.network().connect(&nobody).await.err().map(|error| error.kind());
    assert_eq!(refused, Some(ErrorKind::ConnectionRefused), "{nobody}");
    let missing = env.network().connect(&Address::Unix(scratch.join("no socket"))).await;
    assert!(matches!(
        missing.err().map(|error| error.kind()),
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused)
    ));
}
