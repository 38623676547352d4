//! Pipes in memory. They hold any number of bytes, because a program in memory never waits in the middle of a line.

use slap_impl::env::{LocalFuture, Pipe};
use std::{cell::RefCell, collections::VecDeque, io, rc::Rc};
use tokio::sync::Notify;

/// A pipe: what was written and not taken yet.
#[derive(Default)]
pub(crate) struct MemoryPipe {
    bytes: RefCell<VecDeque<u8>>,
    written: Notify,
}

impl MemoryPipe {
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.bytes.borrow_mut().extend(bytes);
        self.written.notify_one();
    }
}

/// The reading end.
pub(crate) struct Reader(pub(crate) Rc<MemoryPipe>);

impl Pipe for Reader {
    fn readable(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async {
            while self.0.bytes.borrow().is_empty() {
                self.0.written.notified().await;
            }
            Ok(())
        })
    }

    fn take(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = self.0.bytes.borrow_mut();
        let length = limit.min(bytes.len());
        Ok(bytes.drain(..length).collect())
    }
}
