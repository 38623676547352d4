//! What a path runs in a world: the real `slap`, as much of `/bin/sh` as wrappers use, and a handful of POSIX tools.

use super::{SLAP, files::MemoryFiles, foreign, processes::ProcessEnv, shell};
use slap_impl::env::{Command, Context, Env, Exit, FileKind, Files, LocalFuture};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A file that stands for `slap` begins so.
const SLAP_CONTENT: &[u8] = b"\x7fslap\n";
/// A file that stands for a tool of the world begins so; the tool's name follows.
const TOOL_CONTENT: &[u8] = b"\x7ftool ";
/// The tools that a world has in /bin.
const TOOLS: [&str; 8] = ["sh", "true", "false", "test", "sleep", "cat", "echo", "foreign"];

/// A program that was found.
pub(crate) enum Program {
    /// `slap` itself.
    Slap,
    /// A tool of that name.
    Tool(String),
    /// A script of the world's shell: its path and text.
    Script(PathBuf, String),
}

/// Puts the programs into a new world.
pub(crate) fn install(files: &MemoryFiles) {
    let ready = "a new world has an empty disk";
    for directory in ["/usr/bin", "/bin", "/tmp", "/root"] {
        files.create_directory(Path::new(directory), 0o755).expect(ready);
    }
    files.write(Path::new(SLAP), SLAP_CONTENT, 0o755).expect(ready);
    for tool in TOOLS {
        let content = [TOOL_CONTENT, tool.as_bytes()].concat();
        files.write(&Path::new("/bin").join(tool), &content, 0o755).expect(ready);
    }
}

/// Finds the program of a command.
pub(crate) fn find(files: &MemoryFiles, command: &Command) -> io::Result<Program> {
    if command.program.is_absolute() {
        return open(files, &command.program);
    }
    let path = command.variables.get("PATH").map_or("/usr/bin:/bin", String::as_str);
    for directory in path.split(':') {
        let candidate = Path::new(directory).join(&command.program);
        if files.is_file(&candidate) {
            return open(files, &candidate);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{}: no such program", command.program.display())))
}

fn open(files: &MemoryFiles, path: &Path) -> io::Result<Program> {
    let metadata = files.metadata(path)?;
    if metadata.kind != FileKind::File || metadata.mode & 0o100 == 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not executable", path.display()),
        ));
    }
    let content = files.read(path, 16 << 20)?;
    if content == SLAP_CONTENT {
        return Ok(Program::Slap);
    }
    if let Some(tool) = content.strip_prefix(TOOL_CONTENT) {
        return Ok(Program::Tool(String::from_utf8_lossy(tool).into_owned()));
    }
    let text = String::from_utf8_lossy(&content).into_owned();
    if text.starts_with("#!/bin/sh") {
        return Ok(Program::Script(path.to_owned(), text));
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{} is no program that this world can run", path.display()),
    ))
}

/// Runs a program as the process.
pub(crate) async fn run(process: ProcessEnv, program: Program, arguments: Vec<String>) -> Exit {
    let context = process.env().context().clone();
    run_in(process, context, program, arguments).await
}

/// Runs a program as the process, after it changed its variables.
pub(crate) fn run_in(
    process: ProcessEnv,
    context: Context,
    program: Program,
    arguments: Vec<String>,
) -> LocalFuture<'static, Exit> {
    let env = process.env_with(context);
    // Each in a box of its own: one for all would be as large as the largest for each of them.
    match program {
        Program::Slap => Box::pin(slap_impl::cli::run(env, arguments)),
        Program::Script(path, text) => {
            Box::pin(async move { shell::script(process, env, &path, &text, arguments).await })
        }
        Program::Tool(name) if name == "sh" => Box::pin(shell::command_line(process, env, arguments)),
        Program::Tool(name) if name == "foreign" => {
            Box::pin(async move { foreign::run(&env, process.trace(), process.begun(), &arguments).await })
        }
        Program::Tool(name) => Box::pin(async move { tool(&env, &name, &arguments).await }),
    }
}

/// Runs a tool other than the shell.
pub(crate) async fn tool(env: &Env, name: &str, arguments: &[String]) -> Exit {
    match name {
        "true" => Exit::DONE,
        "false" => Exit::FAILED,
        "echo" => {
            env.print(arguments.join(" "));
            Exit::DONE
        }
        "sleep" => match arguments.first().and_then(|seconds| seconds.parse::<f64>().ok()) {
            Some(seconds) if (0.0..1e9).contains(&seconds) => {
                env.sleep(Duration::from_secs_f64(seconds)).await;
                Exit::DONE
            }
            _ => usage(env, "sleep: expected seconds"),
        },
        "cat" => cat(env, arguments),
        "test" => test(env, arguments),
        other => usage(env, &format!("{other}: not a tool of this world")),
    }
}

fn usage(env: &Env, message: &str) -> Exit {
    env.tell(message);
    Exit::USAGE
}

fn cat(env: &Env, arguments: &[String]) -> Exit {
    for argument in arguments {
        match env.files().read_text(&env.context().absolute(argument), 16 << 20) {
            Ok(text) => env.print(text.trim_end_matches('\n')),
            Err(error) => {
                env.tell(format_args!("cat: {error}"));
                return Exit::FAILED;
            }
        }
    }
    Exit::DONE
}

/// test(1), as far as its POSIX forms of one or three arguments go.
fn test(env: &Env, arguments: &[String]) -> Exit {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let path = |name: &str| env.context().absolute(name);
    let verdict = match words.as_slice() {
        ["!", rest @ ..] => {
            let rest: Vec<String> = rest.iter().map(|word| (*word).to_owned()).collect();
            return match test(env, &rest) {
                Exit(0) => Exit::FAILED,
                Exit(1) => Exit::DONE,
                other => other,
            };
        }
        ["-e", name] => env.files().exists(&path(name)),
        ["-f", name] => env.files().is_file(&path(name)),
        ["-d", name] => env.files().is_directory(&path(name)),
        ["-s", name] => env.files().metadata(&path(name)).is_ok_and(|metadata| metadata.length > 0),
        ["-x", name] => env.files().metadata(&path(name)).is_ok_and(|metadata| metadata.mode & 0o100 != 0),
        ["-n", text] | [text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        [left, "=", right] => left == right,
        [left, "!=", right] => left != right,
        _ => return usage(env, &format!("test: not known in this world: {}", words.join(" "))),
    };
    if verdict { Exit::DONE } else { Exit::FAILED }
}
