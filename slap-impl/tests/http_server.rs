//! `slap http-server` as a process.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test looks at the real system"
)]

use slap_impl::env::{Address, Command, Output, Signal, real};
use std::{fs, path::Path, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SLAP: &str = env!("CARGO_BIN_EXE_slap");

#[test]
fn it_serves_until_it_is_asked_to_end() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("www")).unwrap();
    fs::write(place.path().join("www/index.html"), "hello").unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (socket, log) = (path("socket"), path("log"));
    real::block_on_env(real::env_with_executable(Path::new(SLAP)), async |env| {
        let arguments = ["http-server", "--socket-path", &socket, "--directory", &path("www"), "--log", &log];
        let mut server = env.processes().spawn(&Command::new(SLAP).arguments(arguments)).unwrap();
        let answer = async {
            let mut stream = loop {
                match env.network().connect(&Address::Unix(socket.clone().into())).await {
                    Ok(stream) => break stream,
                    Err(_) => env.sleep(Duration::from_millis(2)).await,
                }
            };
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = env.timeout(Duration::from_secs(30), answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
        assert!(fs::read_to_string(&log).unwrap().contains("\"GET /\" 200"));

        let second = Command { output: Output::Capture(1000), ..Command::new(SLAP).arguments(arguments) };
        let ended = env.processes().spawn(&second).unwrap().child.wait().await.unwrap();
        let told = String::from_utf8(ended.output).unwrap();
        assert!(ended.code == Some(1) && told.contains(&socket) && told.contains("listens there"), "{told}");

        env.processes().signal(server.identity, Signal::Terminate).unwrap();
        assert_eq!(server.child.wait().await.unwrap().code, Some(0));
        assert!(!Path::new(&socket).exists());
    });
}
