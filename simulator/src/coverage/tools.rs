//! `llvm-profdata` and `llvm-cov`: what they read changes with LLVM, so they must be of the compiler's version: newer ones
//! do not read what older compilers counted.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// How they come onto a machine.
const HINT: &str =
    "rustup component add llvm-tools, or name programs of that version in LLVM_PROFDATA and LLVM_COV";

/// The two programs, and what the compiler calls this machine.
pub(super) struct Tools {
    pub(super) profdata: PathBuf,
    pub(super) cov: PathBuf,
    pub(super) host: String,
}

impl Tools {
    /// Those that the environment names, those of rustup's `llvm-tools`, or those of the path.
    ///
    /// # Errors
    /// What is missing or of another version, and how to get it.
    pub(super) fn find() -> Result<Tools, String> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let about = ask(Command::new(&rustc).arg("-vV"))?;
        let line = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let host = line("host: ").ok_or("rustc -vV names no host")?;
        let wanted = line("LLVM version: ")
            .and_then(|text| major(&text))
            .ok_or("rustc -vV names no version of LLVM")?;
        let root = ask(Command::new(&rustc).args(["--print", "sysroot"]))?;
        let folder = Path::new(root.trim()).join("lib/rustlib").join(&host).join("bin");
        let find = |name: &str, variable: &str| {
            let path = choose(std::env::var_os(variable), &folder.join(name), name);
            let told = ask(Command::new(&path).arg("--version"))
                .map_err(|error| format!("{name} is missing or of no use: {error}\nhint: {HINT}"))?;
            judge(&path, &told, wanted).map(|()| path)
        };
        Ok(Tools {
            profdata: find("llvm-profdata", "LLVM_PROFDATA")?,
            cov: find("llvm-cov", "LLVM_COV")?,
            host,
        })
    }
}

fn choose(named: Option<OsString>, beside: &Path, name: &str) -> PathBuf {
    match named {
        Some(path) => path.into(),
        None if beside.exists() => beside.to_owned(),
        None => name.into(),
    }
}

/// Whether a program that says this of itself can read what a compiler with that version of LLVM writes.
fn judge(path: &Path, told: &str, wanted: u32) -> Result<(), String> {
    let text = told.split_once("LLVM version ").map(|(_, rest)| rest).unwrap_or_default();
    match major(text) {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(format!(
            "{}: it is of LLVM {found}, but the compiler's is LLVM {wanted}\nhint: {HINT}",
            path.display()
        )),
        None => {
            Err(format!("{}: expected a version of LLVM, it says {told:?}\nhint: {HINT}", path.display()))
        }
    }
}

fn major(text: &str) -> Option<u32> {
    let digits = text.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn ask(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !output.status.success() {
        return Err(super::said(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_llvm_than_the_compilers_is_refused_with_a_hint() {
        let ours = "LLVM (http://llvm.org/):\n  LLVM version 22.1.2-rust-1.95.0-stable\n  Optimized build.";
        let debian = "Debian LLVM version 14.0.6\n  \n  Optimized build.\n";
        let path = Path::new("/usr/bin/llvm-cov");
        assert_eq!(judge(path, ours, 22), Ok(()));
        assert!(judge(path, ours, 21).is_err());
        let refusal = judge(path, debian, 22).expect_err("it is another one");
        assert!(refusal.starts_with("/usr/bin/llvm-cov: it is of LLVM 14, but the compiler's is LLVM 22"));
        assert!(refusal.contains("rustup component add llvm-tools"), "{refusal}");
        assert!(judge(path, "hello", 22).is_err());
    }

    #[test]
    fn what_is_named_comes_before_what_is_there() {
        let there = Path::new("/bin/sh");
        assert_eq!(choose(Some("/opt/llvm-cov".into()), there, "llvm-cov"), Path::new("/opt/llvm-cov"));
        assert_eq!(choose(None, there, "llvm-cov"), there);
        // Nothing stands below a file.
        assert_eq!(choose(None, Path::new("/bin/sh/llvm-cov"), "llvm-cov"), Path::new("llvm-cov"));
    }
}
