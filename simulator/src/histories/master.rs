//! The master: a process of its own, with real sockets and a database on disk, that can be killed and started again.

use slap_impl::{
    env::{Command, Env, Output, Signal, Spawned},
    wire::http::client::Url,
};
use std::{path::PathBuf, time::Duration};
use tokio::sync::watch;

/// How long a start may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a log that are read: of its beginning, which says where the master listens, or of its end.
const LOG_BYTES_MAX: u64 = 1 << 16;

/// A running master. It is killed when this is dropped.
pub(super) struct Master {
    env: Env,
    directory: PathBuf,
    process: Spawned,
    starts: u32,
    door: watch::Sender<Option<Door>>,
}

/// Where a master is reached.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// How many masters were there before.
    pub(super) start: u32,
    /// Its URL.
    pub(super) url: Url,
}

impl Master {
    /// Starts one whose database is in `directory`, which is there and may be empty.
    pub(super) async fn start(env: &Env, directory: PathBuf) -> Result<Master, String> {
        let settings = b"[slapos]\ncomputer_id = c0\n[slapproxy]\nhost = 127.0.0.1\nport = 0\n";
        let path = directory.join("slapos.cfg");
        env.files().write(&path, settings, 0o600).map_err(|error| format!("{}: {error}", path.display()))?;
        let process = spawn(env, &directory, 0)?;
        let master =
            Master { env: env.clone(), directory, process, starts: 1, door: watch::Sender::new(None) };
        master.open_door().await?;
        Ok(master)
    }

    /// Where it is; none while it is not there.
    pub(super) fn door(&self) -> watch::Receiver<Option<Door>> {
        self.door.subscribe()
    }

    /// Whether it was killed, and the next is not there yet.
    pub(super) fn is_away(&self) -> bool {
        self.door.borrow().is_none()
    }

    /// Kills it with signal 9 and starts another on the same database.
    pub(super) async fn kill_and_start(&mut self) -> Result<(), String> {
        self.door.send_replace(None);
        self.end().await?;
        self.process = spawn(&self.env, &self.directory, self.starts)?;
        self.starts += 1;
        self.open_door().await
    }

    /// Kills it, and gives back its end.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        let killed = self.env.processes().signal(self.process.identity, Signal::Kill);
        killed.map_err(|error| format!("the master could not be killed: {error}"))?;
        self.process.child.wait().await.map(drop).map_err(|error| error.to_string())
    }

    /// Ends when the master ends by itself, which it must not.
    pub(super) async fn broken(&mut self) -> String {
        let ended = self.process.child.wait().await;
        let how = ended.map_or_else(|error| error.to_string(), |ended| ended.describe());
        format!("the master {how} by itself\n{}", self.log_end())
    }

    /// Waits until it listens. Its first lines say where.
    async fn open_door(&self) -> Result<(), String> {
        let address = async {
            loop {
                let log = self.log();
                let line =
                    log.lines().find_map(|line| line.split_once("listening on ")?.1.parse::<Url>().ok());
                if let Some(url) = line.filter(|_| log.ends_with('\n')) {
                    return Ok(url);
                }
                if self.env.processes().find(self.process.identity).is_none() {
                    return Err(format!("the master did not start\n{}", self.log_end()));
                }
                self.env.sleep(Duration::from_millis(5)).await;
            }
        };
        let url = self.env.timeout(PATIENCE, address).await.map_err(|_| "the master does not listen")??;
        self.door.send_replace(Some(Door { start: self.starts - 1, url }));
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join(format!("master-{}.log", self.starts - 1))
    }

    /// The whole log of a master that has just started. It is made when the master says something, so it may be missing.
    fn log(&self) -> String {
        self.env.files().read_text(&self.log_path(), LOG_BYTES_MAX).unwrap_or_default()
    }

    /// The last lines of its log.
    fn log_end(&self) -> String {
        let end = self.env.files().read_tail(&self.log_path(), LOG_BYTES_MAX).unwrap_or_default();
        let log = String::from_utf8_lossy(&end);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // One that is gone already is no error, and nothing else can be done here.
        let _ = self.env.processes().signal(self.process.identity, Signal::Kill);
    }
}

fn spawn(env: &Env, directory: &std::path::Path, starts: u32) -> Result<Spawned, String> {
    let at = |name: &str| directory.join(name).display().to_string();
    let mut command = Command::new(&env.context().executable).arguments(["slap", "proxy", "start", "--cfg"]);
    command = command.arguments([at("slapos.cfg"), "--database-uri".to_owned(), at("master.db")]);
    command.output = Output::Append(directory.join(format!("master-{starts}.log")));
    command.dies_with_parent = true;
    env.processes().spawn(&command).map_err(|error| format!("the master could not be started: {error}"))
}
