//! SIGSYS: says what a sealed thread called, and ends the process, but for two calls that are answered. With the file system for SQLite (`world/sqlite/vfs.rs`) all unsafe code
//! of this workspace: a handler is given raw pointers, and may do only what is safe between any two instructions.
#![allow(
    unsafe_code,
    reason = "a signal handler reads what the kernel says of the call, and the registers that it came with"
)]

use super::{EXIT, KEY_BYTES, calls};
use nix::{
    libc::{self, c_int, c_uint, c_void},
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};
use std::{
    cell::Cell,
    ffi::{CStr, c_char},
    io, ptr,
};

/// What `siginfo_t` holds for SIGSYS on 64 bits (Linux, include/uapi/asm-generic/siginfo.h): libc's names no such field.
#[repr(C)]
struct Trapped {
    signal: c_int,
    error: c_int,
    code: c_int,
    gap: c_int,
    address: *mut c_void,
    call: c_int,
    architecture: c_uint,
}

/// glibc's allocator looks here, once in a process, whether it should give memory back in another way. It is told that there is no such file.
const OVERCOMMIT: &CStr = c"/proc/sys/vm/overcommit_memory";

thread_local! {
    /// What `getrandom` is answered, for the moment in which std takes its hash keys. It has no destructor: a handler may read it.
    static ANSWER: Cell<Option<[u8; KEY_BYTES]>> = const { Cell::new(None) };
}

/// Catches SIGSYS in this process.
///
/// # Errors
/// What the system says.
pub(super) fn install() -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigAction(trapped), SaFlags::SA_SIGINFO, SigSet::all());
    // SAFETY: the handler only reads what it is given, sets registers, writes to a descriptor and ends the process; nobody else
    // catches this signal.
    unsafe { sigaction(Signal::SIGSYS, &action) }?;
    Ok(())
}

/// While `work` runs on this thread, `getrandom` is answered with these bytes.
pub(super) fn while_answering(bytes: [u8; KEY_BYTES], work: impl FnOnce()) {
    ANSWER.set(Some(bytes));
    work();
    ANSWER.set(None);
}

extern "C" fn trapped(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel hands over a siginfo_t, whose form for SIGSYS is `Trapped`, and the thread's context.
    let (call, registers) = unsafe { (i64::from((*info.cast::<Trapped>()).call), registers(context.cast())) };
    if call == libc::SYS_getrandom
        && let Some(bytes) = ANSWER.get()
    {
        let length = registers.second.min(KEY_BYTES);
        // SAFETY: these are the arguments of getrandom: a buffer, which is its caller's alone until the call returns, and its length.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), registers.first as *mut u8, length) };
        *registers.result = length as _;
        return;
    }
    // SAFETY: the second argument of openat is a C string.
    if call == libc::SYS_openat && unsafe { CStr::from_ptr(registers.second as *const c_char) } == OVERCOMMIT
    {
        *registers.result = -libc::ENOENT as _;
        return;
    }
    let (name, hint) = calls::describe(call);
    let mut digits = [0; 20];
    let number = decimal(call.unsigned_abs(), &mut digits);
    for text in [
        "\nsimulator: a world called the real system: ",
        name,
        " (number ",
        number,
        "): ",
        hint,
        ".\nThis process ends. docs/world.md, section 2, \"The seal\", says how to see where that was.\n",
    ] {
        // Nothing can be done if nobody reads it.
        let _ = nix::unistd::write(io::stderr(), text.as_bytes());
    }
    // SAFETY: it is safe within a handler, and does not return.
    unsafe { libc::_exit(c_int::from(EXIT)) }
}

/// Of a thread that called the system: two of the call's arguments, and what it will be told.
struct Registers<'a> {
    first: usize,
    second: usize,
    result: &'a mut Register,
}

#[cfg(target_arch = "x86_64")]
type Register = libc::greg_t;
#[cfg(target_arch = "aarch64")]
type Register = libc::c_ulonglong;

/// # Safety
/// The context must be one that a signal handler was given, and not used otherwise as long as the answer is.
unsafe fn registers<'a>(context: *mut libc::ucontext_t) -> Registers<'a> {
    // SAFETY: the caller promises it.
    #[cfg(target_arch = "x86_64")]
    {
        let registers = unsafe { &mut (*context).uc_mcontext.gregs };
        let (first, second) = (registers[libc::REG_RDI as usize], registers[libc::REG_RSI as usize]);
        Registers {
            first: first as usize,
            second: second as usize,
            result: &mut registers[libc::REG_RAX as usize],
        }
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    {
        let registers = unsafe { &mut (*context).uc_mcontext.regs };
        Registers { first: registers[0] as usize, second: registers[1] as usize, result: &mut registers[0] }
    }
}

/// Writes a number without taking memory.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return std::str::from_utf8(&digits[at..]).unwrap_or("?");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written() {
        for number in [0, 7, 10, 257, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string());
        }
    }
}
