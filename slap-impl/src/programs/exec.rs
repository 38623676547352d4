//! `slap exec [--hold] [--session] [--umask=027] [--die-with-parent=PID] -- PROGRAM [ARGUMENT]...`
//!
//! The shim through which the door's processes start: it sets what a process can only set for itself, and becomes the
//! program by exec, so that number and start time stay. It runs before anything else of `slap` does: no event loop, no thread.
//! When the program is the very file that runs already (most are: agents, supervisors, engines), it goes on as that without
//! an exec: loading a program a second time is the dearest part of a start.
//!
//! With `--hold` it waits for one byte on its standard input; end of file means that whoever started it died or
//! changed its mind, and it exits with [`EXIT_NOT_RELEASED`] without having run the program.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    reason = "part of the door: there is no Env before exec, and nothing here is simulated"
)]

use crate::env::Exit;
use rustix::process::{Pid, Signal};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

/// It was never released (EX_TEMPFAIL of sysexits.h).
pub const EXIT_NOT_RELEASED: Exit = Exit(75);
/// The program is there and cannot be executed, as shells say it.
const EXIT_NOT_EXECUTABLE: Exit = Exit(126);
/// There is no such program, as shells say it.
const EXIT_NOT_FOUND: Exit = Exit(127);

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    hold: bool,
    session: bool,
    umask: Option<u32>,
    parent: Option<i32>,
    command: Vec<OsString>,
}

/// Becomes the program if the arguments (with the program's own name first) ask for it. Gives the arguments to go on with: those
/// given, or what stood behind `--` when that is this program itself.
///
/// # Errors
/// The exit code, when it could not or must not become the program.
pub fn begin(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, Exit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_none_or(|word| word != "exec") {
        return Ok(arguments);
    }
    match parse(arguments.into_iter().skip(2)) {
        Ok(options) => run(options).and_then(begin),
        Err(message) => {
            eprintln!("slap exec: {message}");
            Err(Exit::USAGE)
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = arguments;
    for argument in arguments.by_ref() {
        let text = argument.to_str().unwrap_or_default();
        match text.split_once('=').unwrap_or((text, "")) {
            ("--", "") => break,
            ("--hold", "") => options.hold = true,
            ("--session", "") => options.session = true,
            ("--umask", value) => {
                let umask = u32::from_str_radix(value, 8).ok().filter(|umask| *umask <= 0o777);
                options.umask =
                    Some(umask.ok_or_else(|| format!("--umask={value}: expected 000 to 777, octal"))?);
            }
            ("--die-with-parent", value) => {
                let parent = value.parse().ok().filter(|parent| *parent > 0);
                options.parent = Some(
                    parent
                        .ok_or_else(|| format!("--die-with-parent={value}: expected the parent's number"))?,
                );
            }
            _ => return Err(format!("{argument:?} is no option of it; `--` stands before the program")),
        }
    }
    options.command = arguments.collect();
    if options.command.is_empty() {
        return Err("a program is expected after `--`".to_owned());
    }
    Ok(options)
}

fn run(options: Options) -> Result<Vec<OsString>, Exit> {
    if let Some(parent) = options.parent {
        if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
            return Err(fail("cannot be tied to its parent", &error.into()));
        }
        // It may have died before it was told to take this process along.
        if rustix::process::getppid() != Pid::from_raw(parent) {
            return Err(EXIT_NOT_RELEASED);
        }
    }
    if options.session
        && let Err(error) = rustix::process::setsid()
    {
        return Err(fail("cannot begin a session", &error.into()));
    }
    if let Some(umask) = options.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
    }
    if let Err(error) = close_inherited() {
        return Err(fail("cannot close what it inherited", &error));
    }
    if options.hold && !released() {
        return Err(EXIT_NOT_RELEASED);
    }
    let (program, arguments) = options.command.split_first().expect("parse refuses an empty command");
    // Its standard input is empty from here on, and signals are as a program expects them.
    if is_this_program(Path::new(program)) {
        return match empty_input() {
            Ok(()) => Ok(options.command),
            Err(error) => Err(fail("cannot empty its standard input", &error)),
        };
    }
    let error = Command::new(program).args(arguments).stdin(Stdio::null()).exec();
    Err(describe(program, &error))
}

/// Whether a program, given by its path, is the very file that this process runs. A newer one that took its place is another.
fn is_this_program(program: &Path) -> bool {
    let file =
        |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino(), metadata.mode()));
    match (file(program), file(Path::new("/proc/self/exe"))) {
        // Without a slash it is looked up in PATH. What may not be executed any more is refused by exec.
        (Ok(wanted), Ok(own)) => program.is_absolute() && wanted == own && wanted.2 & 0o111 != 0,
        _ => false,
    }
}

/// Puts nothing in the place of the pipe that held this process.
fn empty_input() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(File::open("/dev/null")?)?)
}

fn describe(program: &OsStr, error: &io::Error) -> Exit {
    eprintln!("slap exec: {}: {error}", program.display());
    match error.kind() {
        io::ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_NOT_EXECUTABLE,
    }
}

fn released() -> bool {
    let mut byte = [0];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut byte) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(length) => return length == 1,
            Err(_) => return false,
        }
    }
}

/// Closes all descriptors but the standard ones: the program gets nothing that it was not given.
fn close_inherited() -> io::Result<()> {
    let mut descriptors = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        descriptors.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for descriptor in descriptors.into_iter().filter(|descriptor| *descriptor > 2) {
        // The listing's own is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

fn fail(what: &str, error: &io::Error) -> Exit {
    eprintln!("slap exec: it {what}: {error}");
    EXIT_NOT_EXECUTABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_at_two_dashes() {
        let check = |line: &str, expected: Result<Options, &str>| {
            let parsed = parse(line.split(' ').map(OsString::from));
            match (parsed, expected) {
                (Ok(parsed), Ok(expected)) => assert_eq!(parsed, expected, "{line}"),
                (Err(message), Err(part)) => assert!(message.contains(part), "{line}: {message}"),
                (parsed, _) => panic!("{line}: {parsed:?}"),
            }
        };
        let command = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        check("-- a --hold", Ok(Options { command: command(&["a", "--hold"]), ..Options::default() }));
        check(
            "--hold --session --umask=027 --die-with-parent=7 -- a -- b",
            Ok(Options {
                hold: true,
                session: true,
                umask: Some(0o027),
                parent: Some(7),
                command: command(&["a", "--", "b"]),
            }),
        );
        check("--hold --", Err("a program is expected"));
        check("--hold a", Err("is no option"));
        check("--umask=888 -- a", Err("octal"));
        check("--umask=1777 -- a", Err("octal"));
        check("--die-with-parent=-1 -- a", Err("parent's number"));
    }

    #[test]
    fn only_the_very_same_file_is_this_program() {
        let own = fs::read_link("/proc/self/exe").unwrap();
        let place = tempfile::tempdir().unwrap();
        let (link, copy) = (place.path().join("link"), place.path().join("copy"));
        std::os::unix::fs::symlink(&own, &link).unwrap();
        fs::write(&copy, "").unwrap();
        let check = |path: &Path, expected: bool| assert_eq!(is_this_program(path), expected, "{path:?}");
        check(&own, true);
        check(&link, true);
        check(&copy, false);
        check(&place.path().join("missing"), false);
        check(Path::new(own.file_name().unwrap()), false);
    }

    #[test]
    fn other_commands_are_not_its() {
        for line in ["slap", "slap node run", "slap execute"] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(begin(arguments.clone()), Ok(arguments), "{line}");
        }
    }
}
