//! Panics of sealed threads. To show one may mean to read the program's own file, so the thread that waits does it.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    cell::RefCell,
    panic::{self, PanicHookInfo},
    sync::{
        Once,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

/// A panic that a sealed thread leaves to another one to show.
pub(super) struct Panic {
    head: String,
    /// Addresses: names are looked up when it is shown.
    backtrace: Backtrace,
    /// Dropped when it was shown.
    _shown: Sender<()>,
}

thread_local! {
    /// Where this thread's panics go, if it is sealed.
    static OTHER: RefCell<Option<Sender<Panic>>> = const { RefCell::new(None) };
    /// Place and words of the panics of this thread that nobody took yet.
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Place and words of this thread's panics since they were last taken, if it is sealed. Some of them nobody else hears of: a task's end
/// with it, and a write's are an error of the write.
pub(in crate::world) fn take() -> Vec<String> {
    SEEN.take()
}

/// From now on panics of this thread are shown by whoever has the receiver. It ends when this thread does.
pub(super) fn pass_on(sender: Sender<Panic>) {
    OTHER.with(|other| *other.borrow_mut() = Some(sender));
}

/// Puts a hook before the one that shows panics, once in this process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match receiver(info) {
            // The panic goes on when it was shown, so that nothing overtakes it.
            Some(shown) => drop(shown.recv()),
            None => before(info),
        }));
    });
}

/// Passes a panic on, if this thread is sealed.
fn receiver(info: &PanicHookInfo<'_>) -> Option<Receiver<()>> {
    let other = OTHER.try_with(|other| other.borrow().clone()).ok()??;
    let (sender, shown) = mpsc::channel();
    let what = info.payload_as_str().unwrap_or("a value that is no text");
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    SEEN.with(|seen| seen.borrow_mut().push(format!("{place}: {what}")));
    let name = thread::current().name().unwrap_or("world").to_owned();
    let head = format!("\nthread '{name}' (a world) panicked at {place}:\n{what}");
    other.send(Panic { head, backtrace: Backtrace::capture(), _shown: sender }).ok().map(|()| shown)
}

/// Shows it as std does.
#[allow(clippy::print_stderr, reason = "where std tells of panics, and tests keep them for failures")]
pub(super) fn show(panic: Panic) {
    eprintln!("{}", panic.head);
    match panic.backtrace.status() {
        BacktraceStatus::Captured => eprintln!("stack backtrace:\n{}", panic.backtrace),
        _ => eprintln!("note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"),
    }
}
