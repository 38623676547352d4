//! A client's network: the real one, whose connections can be cut after the request was sent.

use slap_impl::env::{Address, BoxListener, BoxStream, Env, LocalFuture, Network, real};
use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client's connections, one after the other.
#[derive(Clone, Default)]
pub(super) struct Line {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    cut: Cell<Option<Duration>>,
    sent: Cell<bool>,
}

impl Line {
    /// An environment like `env`, with this line as its network.
    pub(super) fn environment(&self, env: &Env) -> Env {
        let parts = real::parts(env.context().clone());
        let network = Rc::new(Cut { line: self.clone(), network: parts.network.clone(), env: env.clone() });
        Env::new(slap_impl::env::EnvParts { network, ..parts })
    }

    /// The next connection is cut so long after the first byte was sent; none: never.
    pub(super) fn arm(&self, cut: Option<Duration>) {
        self.state.cut.set(cut);
        self.state.sent.set(false);
    }

    /// Whether anything was sent since it was armed.
    pub(super) fn has_sent(&self) -> bool {
        self.state.sent.get()
    }
}

struct Cut {
    line: Line,
    network: Rc<dyn Network>,
    env: Env,
}

impl Network for Cut {
    fn listen(&self, address: &Address) -> io::Result<BoxListener> {
        self.network.listen(address)
    }

    fn connect(&self, address: &Address) -> LocalFuture<'static, io::Result<BoxStream>> {
        let connecting = self.network.connect(address);
        let (line, env) = (self.line.clone(), self.env.clone());
        Box::pin(async move {
            let stream = connecting.await?;
            Ok(Box::new(CutStream { stream, line, env, end: None }) as BoxStream)
        })
    }
}

struct CutStream {
    stream: BoxStream,
    line: Line,
    env: Env,
    end: Option<LocalFuture<'static, ()>>,
}

impl AsyncRead for CutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the client cut it")));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // What may have left counts as sent.
        self.line.state.sent.set(true);
        if let Some(cut) = self.line.state.cut.take() {
            let env = self.env.clone();
            self.end = Some(Box::pin(async move { env.sleep(cut).await }));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
