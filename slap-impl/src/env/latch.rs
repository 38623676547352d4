//! Something that happens once, and that many wait for.

use std::{cell::Cell, rc::Rc};
use tokio::sync::Notify;

/// Set once. Who waits is woken in the order in which he began to wait: a watch channel of tokio wakes in an order that is drawn anew in each
/// run, and a run could not be repeated.
#[derive(Clone, Debug, Default)]
pub struct Latch(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_set: Cell<bool>,
    changed: Notify,
}

impl Latch {
    /// It has happened: all who wait are woken.
    pub fn set(&self) {
        self.0.is_set.set(true);
        self.0.changed.notify_waiters();
    }

    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        self.0.is_set.get()
    }

    /// Ends when it has happened.
    pub async fn wait(&self) {
        while !self.is_set() {
            self.0.changed.notified().await;
        }
    }
}
