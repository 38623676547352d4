//! A Python with the real SlapOS, in a virtual environment under `target`, for all that compare with it.
//!
//! The environment is kept between runs under a name that says which packages and which Python it has, is complete only when it says
//! so, and is made by one process while others wait. Nothing in it is compiled: `netifaces`, for which there are no wheels, is
//! needed only to be there, and is an empty module. `slapos.cookbook` is installed last, because `slapos.recipe.build` has a file of
//! the same name (eggs, which SlapOS uses, stand side by side). `python/fork.py` says what it adds to zc.buildout, where it is asked to.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what compares with Python stands outside the door: it makes an environment and starts programs in it"
)]

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// The packages, one a line.
const REQUIREMENTS: &str = include_str!("../python/requirements.txt");
const FORK: &str = include_str!("../python/fork.py");
/// In the name of the environment: counts up when it is made otherwise.
const REVISION: u32 = 3;
/// The release of slapos.core that everything is compared with.
pub const CORE: &str = "1.24.1";

/// The interpreter of an environment with this release of slapos.core, which is made below `directory` if it is not there.
///
/// # Errors
/// Where there is no python3 (or what `SLAP_TEST_PYTHON` names), or its packages cannot be had.
pub fn environment(directory: &Path, core: &str) -> Result<PathBuf, String> {
    let base = std::env::var("SLAP_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let version = output(Command::new(&base).args(["-c", "import sys; print(sys.version)"]))?;
    let requirements = requirements(core);
    let mut hasher = DefaultHasher::new();
    (REVISION, &base, &version, &requirements, FORK).hash(&mut hasher);
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    let directory = fs::canonicalize(directory).map_err(failed)?;
    let made = directory.join(format!("python-{core}-{:016x}", hasher.finish()));
    let lock = File::create(made.with_added_extension("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let complete = made.join("complete");
    if !complete.exists() {
        make(&base, &made, &requirements)?;
        File::create(&complete).map_err(failed)?;
    }
    Ok(made.join("bin/python"))
}

/// Whether a continuous integration runs this, where what cannot run is a failure.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}

/// Says something at once: libtest keeps what the print macros write to itself when a test passes.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The packages with another release of slapos.core, which asks for the same others.
fn requirements(core: &str) -> String {
    REQUIREMENTS.replace(&format!("slapos.core=={CORE}"), &format!("slapos.core=={core}"))
}

fn make(base: &str, directory: &Path, requirements: &str) -> Result<(), String> {
    say(&format!("making a Python environment with SlapOS in {}", directory.display()));
    output(Command::new(base).args(["-m", "venv", "--clear"]).arg(directory))?;
    let python = directory.join("bin/python");
    let file = directory.join("requirements.txt");
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::write(&file, requirements).map_err(failed)?;
    let install = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.current_dir(directory).env_remove("PYTHONPATH").args(["-m", "pip", "install", "--quiet"]);
        command.args(["--no-input", "--no-deps", "--disable-pip-version-check", "--no-build-isolation"]);
        output(command.args(arguments))
    };
    // First what builds packages that come as sources: without isolation it must be there.
    let is_builder = |line: &&str| line.starts_with("setuptools==") || line.starts_with("wheel==");
    install(&requirements.lines().filter(is_builder).collect::<Vec<_>>())?;
    install(&["--requirement", "requirements.txt"])?;
    let last = requirements.lines().find(|line| line.starts_with("slapos.cookbook=="));
    install(&["--force-reinstall", last.ok_or("slapos.cookbook is not pinned")?])?;
    let packages = output(
        Command::new(&python).args(["-c", "import sysconfig; print(sysconfig.get_paths()['platlib'])"]),
    )?;
    complete(Path::new(&packages)).map_err(failed)
}

/// Adds what pip does not bring.
fn complete(packages: &Path) -> std::io::Result<()> {
    let information = packages.join("netifaces-0.11.0.dist-info");
    fs::create_dir_all(&information)?;
    let metadata = "Metadata-Version: 2.1\nName: netifaces\nVersion: 0.11.0\n";
    fs::write(information.join("METADATA"), metadata)?;
    fs::write(packages.join("netifaces.py"), "")?;
    fs::write(packages.join("slap_fork.py"), FORK)?;
    let mut engine = File::options().append(true).open(packages.join("zc/buildout/buildout.py"))?;
    engine.write_all(b"\nimport slap_fork\n")
}

/// What a command prints, or why it failed.
fn output(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !done.status.success() {
        let errors = String::from_utf8_lossy(&done.stderr);
        let lines: Vec<&str> = errors.lines().collect();
        return Err(format!("{command:?} failed:\n{}", lines[lines.len().saturating_sub(8)..].join("\n")));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_release_changes_one_line() {
        assert_eq!(requirements(CORE), REQUIREMENTS);
        let other = requirements("1.26.1");
        let changed: Vec<(&str, &str)> =
            REQUIREMENTS.lines().zip(other.lines()).filter(|(one, other)| one != other).collect();
        assert_eq!(changed, [("slapos.core==1.24.1", "slapos.core==1.26.1")]);
    }
}
