//! What /proc says of processes (proc(5)).

use crate::env::Identity;
use std::{fs, io::Read, os::unix::fs::MetadataExt, time::Duration};

/// The fields of `/proc/PID/stat` that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// `Z` and `X` stand for a process that has ended.
    pub(super) state: char,
    /// The parent's number.
    pub(super) parent: u32,
    /// Session number.
    pub(super) session: u32,
    /// Ticks after boot (field 22).
    pub(super) start_time: u64,
    /// It is between its old program and its new one: its environment cannot be read yet (fields 23 and 51).
    pub(super) in_exec: bool,
}

impl Stat {
    /// Whether it still runs.
    pub(super) fn runs(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// The stat of a process, if there is one of that number.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    // It is made whole at the first read, and is shorter than this.
    let mut text = [0; 4096];
    let length = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut text).ok()?;
    parse_stat(&String::from_utf8_lossy(&text[..length]))
}

/// Whether that very process still runs; a zombie does not.
pub(super) fn runs(identity: Identity) -> bool {
    stat(identity.pid).is_some_and(|stat| stat.start_time == identity.start_time && stat.runs())
}

/// The number of a process's real user. The owner of its directory in /proc is root when it hides its memory.
pub(super) fn real_user(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().next()?.parse().ok()
}

/// The numbers of all processes of this user, for root those of all users, sorted.
pub(super) fn own_processes() -> Vec<u32> {
    let user = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (user == 0 || entry.metadata().ok()?.uid() == user).then_some(pid)
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether the environment that a process started with has `variable` set to a value that is `wanted`.
pub(super) fn is_marked(pid: u32, variable: &str, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
    // The kernel limits an environment by a quarter of the stack's limit; what is longer than this has no mark of ours.
    const ENVIRONMENT_BYTES_MAX: u64 = 8 << 20;
    const EXEC_TRIES_MAX: u32 = 1000;
    let mut environment = Vec::with_capacity(4096);
    let mut tries = 0;
    loop {
        let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) else { return false };
        if file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment).is_err() {
            return false;
        }
        // A process in the midst of exec shows no environment for a moment. It must not be overlooked: its service would be
        // started twice, or thought to have stopped.
        if !environment.is_empty() || tries == EXEC_TRIES_MAX || !stat(pid).is_some_and(|stat| stat.in_exec) {
            break;
        }
        tries += 1;
        std::thread::sleep(Duration::from_micros(100));
    }
    environment.split(|byte| *byte == 0).any(|entry| {
        let value = entry.strip_prefix(variable.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(wanted)
    })
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The program's name, between parentheses, may itself hold blanks and parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
        // A kernel thread and a zombie have no memory at all.
        in_exec: fields.get(20).is_some_and(|size| *size != "0") && fields.get(48) == Some(&"0"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_whatever_the_program_is_called() {
        let check = |name: &str| {
            let text = format!("42 ({name}) S 1 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9");
            let expected = Stat { state: 'S', parent: 1, session: 39, start_time: 123_456, in_exec: false };
            assert_eq!(parse_stat(&text), Some(expected), "{name}");
        };
        check("sleep");
        check("a) Z 1 2 3 (b");
        check("");
        assert_eq!(parse_stat("42 (x) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_runs() {
        let pid = std::process::id();
        let start_time = stat(pid).unwrap().start_time;
        assert!(runs(Identity { pid, start_time }));
        assert!(!runs(Identity { pid, start_time: start_time + 1 }));
        assert!(own_processes().contains(&pid));
        assert_eq!(real_user(pid), Some(rustix::process::getuid().as_raw()));
    }
}
