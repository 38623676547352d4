//! A child process with a deadline, in a clean environment. Nothing of it is left when it is over.

use super::log::PipedLog;
use crate::env::{Command, Context, Ended, Env, Identity, Output, Signal};
use std::{collections::BTreeMap, io, path::Path, time::Duration};

/// Variables that a build or a promise must not inherit (slapos.core: grid/utils.py, `getCleanEnvironment`).
const REMOVED: [&str; 31] = [
    "CONFIG_SITE",
    "ENV",
    "LANG",
    "LANGUAGE",
    "LC_ADDRESS",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_SOURCED",
    "LC_TELEPHONE",
    "LC_TIME",
    "LOGNAME",
    "PYTHONDEBUG",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONOPTIMIZE",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUNBUFFERED",
    "PYTHONVERBOSE",
    "PYTHONY2K",
    "TEMP",
    "TMP",
    "TMPDIR",
];

/// How long a killed process may take until it is gone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// A log is read by who may look into the partition.
const LOG_MODE: u32 = 0o640;

/// The variable by which a lab knows its processes; a node hands it on to whatever it starts.
pub const LAB_MARK: &str = "SLAP_LAB_PROCESS";

/// How a command was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How its process ended, with the output that was captured.
    pub ended: Ended,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
}

/// This process's variables without those that change what a build does, with HOME set to `home`.
pub fn clean_environment(context: &Context, home: &Path) -> BTreeMap<String, String> {
    let mut variables = context.variables.clone();
    variables.retain(|name, _| !REMOVED.contains(&name.as_str()));
    variables.insert("HOME".to_owned(), home.to_string_lossy().into_owned());
    variables.insert("PYTHONNOUSERSITE".to_owned(), "true".to_owned());
    variables
}

/// The few variables that a service starts with, because a supervisor has none to hand on (slapos.core: templates/
/// program_partition_supervisord.conf.in), a PATH, and the mark of a lab.
pub fn service_environment(context: &Context, user: &str, home: &Path) -> BTreeMap<String, String> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    [("USER", user), ("LOGNAME", user), ("HOME", &home.to_string_lossy()), ("PATH", path)]
        .into_iter()
        .chain(context.variable(LAB_MARK).map(|mark| (LAB_MARK, mark)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The login name of the user that this process runs as; its number, if it has no name.
pub fn user_name(env: &Env) -> String {
    let number = env.context().user;
    let passwd = env.files().read_text(Path::new("/etc/passwd"), 4 << 20).unwrap_or_default();
    name_of(&passwd, number)
        .or_else(|| env.context().variable("USER").map(str::to_owned))
        .unwrap_or_else(|| number.to_string())
}

fn name_of(passwd: &str, number: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse::<u32>().ok()? == number).then(|| name.to_owned())
    })
}

/// Where the output of a command goes, when it is not into memory.
pub struct Log<'a> {
    /// The file.
    pub path: &'a Path,
    /// Bytes of the file, and as many of `<path>.1`.
    pub bytes_max: u64,
}

/// Runs a command to its end, or kills all of it when `deadline` is over or the future is dropped.
///
/// # Errors
/// When the program cannot be started, or the log cannot be written to.
pub async fn run(
    env: &Env,
    command: &Command,
    deadline: Option<Duration>,
    log: Option<Log<'_>>,
) -> io::Result<Finished> {
    let output = if log.is_some() { Output::Stream } else { command.output.clone() };
    let command = &Command { session: true, ends_group: true, output, ..command.clone() };
    let mut spawned = env.processes().spawn(command)?;
    let mut guard = Guard { env: env.clone(), identity: Some(spawned.identity) };
    let log = match (log, spawned.output.take()) {
        (Some(log), Some(pipe)) => Some(PipedLog::new(env, pipe, log.path, log.bytes_max, LOG_MODE)?),
        _ => None,
    };
    let watch = async {
        if let Some(log) = &log {
            log.follow().await;
        }
        std::future::pending::<()>().await
    };
    let over = async {
        match deadline {
            Some(deadline) => env.sleep(deadline).await,
            None => std::future::pending().await,
        }
    };
    let first = {
        let end = crate::env::race(spawned.child.wait(), watch);
        match crate::env::race(end, over).await {
            crate::env::Either::First(crate::env::Either::First(ended)) => Some(ended?),
            _ => None,
        }
    };
    guard.kill();
    if let Some(log) = &log {
        log.drain();
    }
    if let Some(ended) = first {
        return Ok(Finished { ended, timed_out: false });
    }
    let ended = match env.timeout(KILL_PATIENCE, spawned.child.wait()).await {
        Ok(ended) => ended?,
        Err(_) => Ended { code: None, signal: Some(9), output: Vec::new() },
    };
    Ok(Finished { ended, timed_out: true })
}

/// Kills a command's group when it is dropped.
struct Guard {
    env: Env,
    identity: Option<Identity>,
}

impl Guard {
    fn kill(&mut self) {
        if let Some(identity) = self.identity.take() {
            self.env.processes().signal_group(identity, Signal::Kill).ok();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_a_build_is_clean() {
        let set =
            [("PATH", "/bin"), ("PYTHONPATH", "/x"), ("LC_ALL", "C"), ("TMPDIR", "/t"), ("HOME", "/root")];
        let context = Context {
            variables: set.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            directory: "/".into(),
            executable: "/slap".into(),
            identity: Identity { pid: 1, start_time: 1 },
            user: 7,
        };
        let clean = clean_environment(&context, Path::new("/srv/slappart0"));
        let expected =
            [("HOME", "/srv/slappart0"), ("LC_ALL", "C"), ("PATH", "/bin"), ("PYTHONNOUSERSITE", "true")];
        let clean: Vec<(&str, &str)> =
            clean.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(clean, expected);
    }

    #[test]
    fn users_are_found_in_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(name_of(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_of(passwd, 5), None);
    }
}
