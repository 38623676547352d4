//! One side of a connection, as its process reads and writes it.

use super::connection::Connection;
use crate::world::clock::Alarm;
use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One side of a connection, for its process.
pub(crate) struct MemoryStream {
    connection: Rc<Connection>,
    side: usize,
    /// Nobody knows yet that it is there: who closes it resets it.
    is_waiting: bool,
    reading: Alarm,
    writing: Alarm,
}

impl MemoryStream {
    /// One side of a new connection. What is accepted is first `is_waiting`.
    pub(super) fn new(connection: Rc<Connection>, side: usize, is_waiting: bool) -> MemoryStream {
        MemoryStream { connection, side, is_waiting, reading: Alarm::default(), writing: Alarm::default() }
    }

    /// Somebody accepts it.
    pub(super) fn accept(mut self) -> MemoryStream {
        self.is_waiting = false;
        self
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let next = match this.connection.read(this.side, buffer, context.waker()) {
                Ok(result) => return Poll::Ready(result),
                Err(next) => next,
            };
            let Some(next) = next else { return Poll::Pending };
            ready!(this.reading.poll(context, next));
        }
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let next = match this.connection.write(this.side, bytes, context.waker()) {
                Ok(result) => return Poll::Ready(result),
                Err(next) => next,
            };
            let Some(next) = next else { return Poll::Pending };
            ready!(this.writing.poll(context, next));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.finish(self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.connection.close(self.side, self.is_waiting);
    }
}
