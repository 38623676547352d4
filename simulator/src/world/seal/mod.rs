//! The seal: what a world's thread may ask of the real system, which is next to nothing.
//!
//! A world runs on a thread of its own, which ends with it. Before the world begins, a seccomp filter is laid on that thread: it may
//! have memory, wake and wait for other threads, print, read standard input and end. Whatever else it calls ends the process with
//! [`EXIT`] and the call's name. A filter cannot be taken off, so results leave by the thread's end, and other threads write files.
//!
//! * `calls.rs`: what may be called, and what the others are called; `filter.rs`: the filter
//! * `trap.rs`: says which call it was, in a signal handler. Unsafe code
//! * `panics.rs`: panics are shown by the thread that waits, because a backtrace reads files
//!
//! The hash keys of std, which each thread takes from the system at its first HashMap, are drawn from the seed.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod filter;
pub(super) mod panics;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod trap;
/// Other systems have no such filter.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod filter {
    pub(super) fn close(_keys: [u8; super::KEY_BYTES]) -> Result<(), String> {
        Err("only Linux on x86_64 and aarch64 has a filter".to_owned())
    }
}

use super::random::Random;
use slap_impl::env::Entropy;
use std::{
    panic::resume_unwind,
    sync::{Once, mpsc},
    thread,
};

/// With what the process ends when a world calls what it may not: sysexits' EX_SOFTWARE, which no program of ours ends with.
pub const EXIT: u8 = 70;

/// As much as a main thread has: clouds are large, and tests are not optimized.
const STACK_BYTES: usize = 8 << 20;
/// More than std or libc ask for at once.
const KEY_BYTES: usize = 64;

/// Does the work on a sealed thread of its own, and waits for it.
///
/// # Panics
/// When the work does, with the same payload; or when the thread cannot be sealed and the environment says `CI`.
pub(super) fn run<T: Send + 'static>(seed: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    panics::install();
    let (sender, panics) = mpsc::channel();
    let mut keys = [0; KEY_BYTES];
    Random::new(seed).child("hash keys").fill(&mut keys);
    let name = thread::current().name().unwrap_or("world").to_owned();
    let builder = thread::Builder::new().name(name).stack_size(STACK_BYTES);
    let sealed = builder.spawn(move || {
        panics::pass_on(sender);
        filter::close(keys).unwrap_or_else(|why| stand_open(&why));
        work()
    });
    let sealed = sealed.expect("the system has room for one more thread");
    panics.into_iter().for_each(panics::show);
    sealed.join().unwrap_or_else(|payload| resume_unwind(payload))
}

/// Goes on without a seal, but not where nobody would read that.
#[allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "it is about this process, not about a world"
)]
fn stand_open(why: &str) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        eprintln!(
            "WARNING: worlds are NOT SEALED: {why}. Nothing ends a world that opens real files, sockets or processes (docs/world.md, \"The seal\")"
        );
    });
    let is_ci = std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
    assert!(!is_ci, "worlds are not sealed: {why}; where CI is set that is a failure");
}
