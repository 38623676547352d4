//! The limits: hyper with nothing behind it, on one thread as the master's; and the master's decisions on a database of their own, without wire and queue.

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use slap_impl::{
    env::Verdict,
    master::decisions::{Command, decide},
    store::migrate,
};
use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Stdio},
};

/// The argument that makes this program the bare server.
pub(super) const BARE: &str = "--bare-server";

/// Serves a file's bytes at every path, until it is killed.
pub(super) fn serve(file: &str) {
    let body = Bytes::from(std::fs::read(file).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let body = body.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let body = body.clone();
                    async move {
                        use http_body_util::BodyExt as _;
                        let _ = request.into_body().collect().await;
                        Ok::<_, Infallible>(hyper::Response::new(Full::new(body)))
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}

/// The bare server as a process; killed when dropped.
pub(super) struct BareServer {
    child: Child,
    pub(super) address: SocketAddr,
}

impl BareServer {
    pub(super) fn start(file: &Path) -> BareServer {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg(BARE)
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        BareServer { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A database as the master has it.
pub(super) struct BareLoop(Connection);

impl BareLoop {
    pub(super) fn open(path: &Path) -> BareLoop {
        let connection = Connection::open(path).unwrap();
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection.set_prepared_statement_cache_capacity(256);
        connection.execute_batch("BEGIN").unwrap();
        migrate(&connection, "0").unwrap();
        connection.execute_batch("COMMIT").unwrap();
        BareLoop(connection)
    }

    /// Decides on each of these in a durable transaction of its own.
    pub(super) fn run(&self, now: i64, commands: &[Command]) {
        for command in commands {
            self.0.execute_batch("BEGIN IMMEDIATE").unwrap();
            let written = decide(&self.0, now, None, command).unwrap();
            assert!(written.verdict == Verdict::Keep && written.answer.answer.is_ok(), "{command:?}");
            self.0.execute_batch("COMMIT").unwrap();
        }
    }
}
