//! A stream that gives up a peer that does not read, that does not lose its last answer, and that says why in those of hyper.

use super::{
    connections::{Awaited, Seat},
    reasons::with_reason,
};
use crate::env::{BoxStream, Env, LocalFuture};
use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a peer has to take within the patience, or all that there is: so drops do not keep an answer for ever.
const PROGRESS_BYTES: usize = 64 << 10;

/// How long, and how much, is read and dropped after the last answer. A socket that is closed with bytes unread resets the
/// connection, and then the answer may be lost that says why nobody reads them (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// A stream that gives up a peer that does not read: less than [`PROGRESS_BYTES`] within `patience` fails.
pub(super) struct Guarded {
    env: Env,
    stream: BoxStream,
    seat: Rc<Seat>,
    patience: Duration,
    /// From the moment when a write stood still.
    waiting: Option<LocalFuture<'static, ()>>,
    taken: usize,
    lingering: Option<LocalFuture<'static, ()>>,
    dropped: usize,
    /// What is left to write in place of what hyper writes.
    instead: Vec<u8>,
}

impl Guarded {
    pub(super) fn new(env: &Env, stream: BoxStream, seat: &Rc<Seat>) -> Guarded {
        Guarded {
            env: env.clone(),
            stream,
            seat: seat.clone(),
            patience: seat.connections.limits.write_timeout,
            waiting: None,
            taken: 0,
            lingering: None,
            dropped: 0,
            instead: Vec::new(),
        }
    }

    /// What became of a write of so many bytes.
    fn wrote(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match poll {
            Poll::Ready(Ok(bytes)) => {
                self.taken += bytes;
                if self.taken >= PROGRESS_BYTES {
                    self.took_enough();
                }
                poll
            }
            Poll::Ready(Err(_)) => poll,
            Poll::Pending => self.stands_still(context).map(Err),
        }
    }

    /// Writes the answer that hyper gives by itself with its reason; none when this is another one.
    fn write_reason(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_empty() {
            self.instead = with_reason(bytes, self.seat.connections.limits.header_bytes_max)?;
        }
        while !self.instead.is_empty() {
            let poll = Pin::new(&mut self.stream).poll_write(context, &self.instead);
            match self.wrote(context, poll) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(written)) => drop(self.instead.drain(..written)),
                unwritten => return Some(unwritten),
            }
        }
        Some(Poll::Ready(Ok(bytes.len())))
    }

    /// What became of the end of a write.
    fn ended(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if poll.is_pending() {
            return self.stands_still(context).map(Err);
        }
        self.took_enough();
        poll
    }

    fn took_enough(&mut self) {
        self.waiting = None;
        self.taken = 0;
    }

    /// Ends when it stood still for too long.
    fn stands_still(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.seat.stands_still();
        let waiting = self.waiting.get_or_insert_with(|| self.env.clock().sleep(self.patience));
        waiting.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }

    /// Reads and drops what still comes.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.lingering.is_none() {
            self.seat.awaits(Awaited::Head);
        }
        let lingering = self.lingering.get_or_insert_with(|| self.env.clock().sleep(LINGER));
        if self.seat.connections.is_stopping() {
            return Poll::Ready(());
        }
        if lingering.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let mut bytes = [0; 8 << 10];
        for _ in 0..16 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.dropped += buffer.filled().len(),
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
            if self.dropped > LINGER_BYTES {
                return Poll::Ready(());
            }
        }
        // Others have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if poll.is_pending() {
            self.seat.has_read_all();
        }
        poll
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(poll) = self.write_reason(context, bytes) {
            return poll;
        }
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        if let (Some(only), None) = (filled.next(), filled.next())
            && let Some(poll) = self.write_reason(context, only)
        {
            return poll;
        }
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(poll, Poll::Ready(Ok(()))) {
            self.seat.flushed();
        }
        self.ended(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let poll = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.ended(context, poll))?;
        }
        self.linger(context).map(Ok)
    }
}
