//! A master as a process, and what is sent to it.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Ten times the ten seconds that a stranger has.
pub(crate) const BOUND: Duration = Duration::from_secs(100);

/// The database's file.
pub(crate) const DATABASE: &str = "proxy.db";

/// A master that runs.
pub(crate) struct Master {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) said: Arc<Mutex<String>>,
    /// Sockets that it has without any connection.
    quiet: usize,
    /// `None` only after its end.
    place: Option<TempDir>,
}

impl Master {
    /// Starts one with these limits (options of the shell's `ulimit`) and these further settings.
    pub(crate) fn start(ulimit: &str, settings: &str) -> Master {
        Master::start_in(tempfile::tempdir().unwrap(), &format!("ulimit {ulimit}"), settings)
            .unwrap_or_else(|(said, _)| panic!("{said}"))
    }

    /// Starts one on what is in a directory, after these words of the shell, in which the directory is `$PLACE`; or gives back what it
    /// said instead, and the directory.
    pub(crate) fn start_in(place: TempDir, words: &str, settings: &str) -> Result<Master, (String, TempDir)> {
        let cfg = place.path().join("slapos.cfg");
        if !cfg.exists() {
            let database = place.path().join(DATABASE);
            let text = format!("[slapproxy]\nport = 0\ndatabase_uri = {}\n{settings}", database.display());
            fs::write(&cfg, text).unwrap();
        }
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("{words}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_slap")])
            .args(["proxy", "start", "--cfg"])
            .arg(&cfg)
            .env("PLACE", place.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut before = String::new();
        let url = lines.find_map(|line| {
            before += &format!("{line}\n");
            line.strip_prefix("listening on http://").map(str::to_owned)
        });
        let Some(url) = url else {
            let ended = child.wait().unwrap();
            return Err((format!("{before}({ended})"), place));
        };
        let said = Arc::new(Mutex::new(before));
        let heard = said.clone();
        std::thread::spawn(move || lines.for_each(|line| heard.lock().unwrap().push_str(&(line + "\n"))));
        let address = url.trim_end_matches('/').parse().unwrap();
        let mut master = Master { child, address, said, quiet: 0, place: Some(place) };
        master.quiet = master.sockets();
        Ok(master)
    }

    /// Kills it, and gives back its directory.
    pub(crate) fn kill(mut self) -> TempDir {
        self.end();
        self.place.take().unwrap()
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn terminate(&mut self) {
        self.ask_to_end();
        self.ends();
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits until it has ended well.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A file beside its settings.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.as_ref().unwrap().path().join(name)
    }

    /// A new connection, with [`BOUND`] for each read and write.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        stream
    }

    /// A connection on which so much was sent.
    pub(crate) fn sent(&self, text: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// All that is answered until the end.
    pub(crate) fn exchange(&self, text: &str) -> String {
        rest(self.sent(text))
    }

    /// Others are served: a new one is.
    pub(crate) fn serves(&self) {
        self.serves_within(BOUND);
    }

    /// A new one is served so soon.
    #[track_caller]
    pub(crate) fn serves_within(&self, bound: Duration) {
        let stream = self.sent("GET /getRunId HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.set_read_timeout(Some(bound)).unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Makes a change, which those learn of who wait.
    pub(crate) fn change(&self, computer: &str) {
        self.format(computer, 0);
        let form = format!("url=/r&computer_id={computer}&state=available");
        let answer = self.post("supplySupply", &form);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Registers a computer.
    pub(crate) fn format(&self, computer: &str, partitions: u32) {
        let text = |text: &str| format!("<string>{text}</string>");
        let partitions: String = (0..partitions)
            .map(|number| {
                let (key, name) = (text("reference"), text(&format!("slappart{number}")));
                format!("<dictionary>{key}{name}{}<list/></dictionary>", text("address_list"))
            })
            .collect();
        let document = format!(
            "xml=<marshal><dictionary>{}{}{}<none/>{}<none/>{}<list>{partitions}</list></dictionary></marshal>",
            text("reference"),
            text(computer),
            text("address"),
            text("netmask"),
            text("partition_list"),
        );
        let answer = self.post("loadComputerConfigurationFromXML", &document);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The answer to a form.
    pub(crate) fn post(&self, endpoint: &str, form: &str) -> String {
        let length = form.len();
        self.exchange(&format!(
            "POST /{endpoint} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{form}"
        ))
    }

    /// The answer to a question.
    pub(crate) fn get(&self, path: &str) -> String {
        self.exchange(&format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    /// How many connections it has open.
    pub(crate) fn connections(&self) -> usize {
        self.sockets().saturating_sub(self.quiet)
    }

    /// How many sockets it has open.
    pub(crate) fn sockets(&self) -> usize {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// A number of `/proc/PID/status`, such as VmHWM in KiB.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn limit_open_files(&self, files: u64) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        prlimit(pid, Resource::Nofile, Rlimit { current: Some(files), maximum: Some(4096) }).unwrap();
    }

    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.end();
    }
}

/// What comes until the end, for which there is as much time as for a read; a reset is an end.
#[track_caller]
pub(crate) fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let bound = stream.read_timeout().unwrap().unwrap();
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "it is not closed within {bound:?}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether a connection stands, with nothing to read.
pub(crate) fn stands(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
