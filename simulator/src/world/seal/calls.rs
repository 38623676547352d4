//! What a sealed thread may call, and what it hears when it calls something else.

use nix::libc;
use seccompiler::SeccompCmpArgLen::{self, Dword, Qword};

/// Memory, locks, the end of the thread and of the process. Two clocks are there for machines whose kernel does not let programs read
/// them without a call; nothing of a world depends on them.
pub(super) const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
];

/// Calls that are allowed when the argument of that number has one of these values only.
///
/// Standard input, output and error: `simulator debug` talks with a person, and tests print. A thread that ends blocks signals, and does
/// not ask which were blocked before, but libc does before it starts a process or a thread; as SIGSYS would then be blocked
/// too, the call itself could not be told any more. The allocator gives its memory a name, for those who look at a process's maps.
pub(super) const ALLOWED_WITH: &[(i64, u8, SeccompCmpArgLen, &[u64])] = &[
    (libc::SYS_read, 0, Dword, &[0]),
    (libc::SYS_write, 0, Dword, &[1, 2]),
    (libc::SYS_writev, 0, Dword, &[1, 2]),
    (libc::SYS_rt_sigprocmask, 2, Qword, &[0]),
    (libc::SYS_prctl, 0, Dword, &[libc::PR_SET_VMA as u64]),
];

const FILES: &str = "a world has files of its own: env.files()";
const SOCKETS: &str = "a world has a network of its own: env.network()";
const PROCESSES: &str = "a world has processes of its own, and one thread: env.processes(), env.spawn()";
const RANDOM: &str = "what is random comes from the seed: env.entropy()";
const TIME: &str = "time is the world's: env.clock()";
const NUMBERS: &str =
    "this number is another one in each run: env.context().identity (abort() asks for it, too)";
/// Of what is named nowhere here.
const OTHER: &str = "it is not among what a world may call (simulator/src/world/seal/calls.rs)";

/// The name of a system call, and what to use in its place.
pub(super) fn describe(number: i64) -> (&'static str, &'static str) {
    let found = NAMES.iter().chain(OLD_NAMES).find(|(known, ..)| *known == number);
    found.map_or(("a call without a name here", OTHER), |(_, name, hint)| (name, hint))
}

macro_rules! names {
    ($($call:ident $name:literal $hint:ident,)*) => { &[$((libc::$call, $name, $hint)),*] };
}

type Names = &'static [(i64, &'static str, &'static str)];

const NAMES: Names = names! {
    SYS_openat "openat" FILES,
    SYS_openat2 "openat2" FILES,
    SYS_read "read" FILES,
    SYS_write "write" FILES,
    SYS_statx "statx" FILES,
    SYS_newfstatat "newfstatat" FILES,
    SYS_getdents64 "getdents64" FILES,
    SYS_mkdirat "mkdirat" FILES,
    SYS_unlinkat "unlinkat" FILES,
    SYS_renameat2 "renameat2" FILES,
    SYS_readlinkat "readlinkat" FILES,
    SYS_faccessat "faccessat" FILES,
    SYS_faccessat2 "faccessat2" FILES,
    SYS_getcwd "getcwd" FILES,
    SYS_socket "socket" SOCKETS,
    SYS_socketpair "socketpair" SOCKETS,
    SYS_connect "connect" SOCKETS,
    SYS_bind "bind" SOCKETS,
    SYS_listen "listen" SOCKETS,
    SYS_accept4 "accept4" SOCKETS,
    SYS_sendto "sendto" SOCKETS,
    SYS_recvfrom "recvfrom" SOCKETS,
    SYS_epoll_create1 "epoll_create1" SOCKETS,
    SYS_eventfd2 "eventfd2" SOCKETS,
    SYS_execve "execve" PROCESSES,
    SYS_execveat "execveat" PROCESSES,
    SYS_clone "clone" PROCESSES,
    SYS_clone3 "clone3" PROCESSES,
    SYS_wait4 "wait4" PROCESSES,
    SYS_waitid "waitid" PROCESSES,
    SYS_kill "kill" PROCESSES,
    SYS_pipe2 "pipe2" PROCESSES,
    SYS_rt_sigaction "rt_sigaction" PROCESSES,
    SYS_rt_sigprocmask "rt_sigprocmask" PROCESSES,
    SYS_getrandom "getrandom" RANDOM,
    SYS_nanosleep "nanosleep" TIME,
    SYS_clock_nanosleep "clock_nanosleep" TIME,
    SYS_clock_settime "clock_settime" TIME,
    SYS_clock_adjtime "clock_adjtime" TIME,
    SYS_settimeofday "settimeofday" TIME,
    SYS_adjtimex "adjtimex" TIME,
    SYS_timerfd_create "timerfd_create" TIME,
    SYS_ppoll "ppoll" TIME,
    SYS_getpid "getpid" NUMBERS,
    SYS_getppid "getppid" NUMBERS,
    SYS_gettid "gettid" NUMBERS,
};

/// What newer architectures have not.
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: Names = &[];
#[cfg(target_arch = "x86_64")]
const OLD_NAMES: Names = names! {
    SYS_open "open" FILES,
    SYS_creat "creat" FILES,
    SYS_stat "stat" FILES,
    SYS_lstat "lstat" FILES,
    SYS_access "access" FILES,
    SYS_mkdir "mkdir" FILES,
    SYS_rmdir "rmdir" FILES,
    SYS_unlink "unlink" FILES,
    SYS_rename "rename" FILES,
    SYS_symlink "symlink" FILES,
    SYS_readlink "readlink" FILES,
    SYS_chmod "chmod" FILES,
    SYS_fork "fork" PROCESSES,
    SYS_vfork "vfork" PROCESSES,
    SYS_poll "poll" TIME,
};
