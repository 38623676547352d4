//! A process's output in memory: the last so many bytes of a pipe.

use std::{collections::VecDeque, fs::File, io, process::Stdio};
use tokio::{io::AsyncReadExt, net::unix::pipe};

/// Bytes that are still taken after the process has ended: more than a pipe holds, and bounded, because a grandchild may
/// write for ever.
const DRAINED_BYTES_MAX: usize = 2 << 20;

/// The reading end, and what was kept.
pub(super) struct Capture {
    receiver: pipe::Receiver,
    kept: VecDeque<u8>,
    bytes_max: usize,
}

impl Capture {
    /// A capture, and the standard output and standard error to give to the process.
    pub(super) fn new(bytes_max: usize) -> io::Result<(Capture, Stdio, Stdio)> {
        let (reader, writer) = io::pipe()?;
        let receiver = pipe::Receiver::from_owned_fd(reader.into())?;
        let second = writer.try_clone()?;
        Ok((Capture { receiver, kept: VecDeque::new(), bytes_max }, writer.into(), second.into()))
    }

    /// Reads until nobody can write any more. May be dropped and called again.
    pub(super) async fn read_to_end(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16384];
        loop {
            match self.receiver.read(&mut buffer).await? {
                0 => return Ok(()),
                length => self.keep(&buffer[..length]),
            }
        }
    }

    /// Takes what is in the pipe now, and gives all that was kept. What the process wrote before it ended is in the pipe;
    /// what a grandchild writes later is not waited for.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let mut buffer = [0; 16384];
        let mut drained = 0;
        while drained < DRAINED_BYTES_MAX {
            match self.receiver.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    self.keep(&buffer[..length]);
                    drained += length;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The readiness that the event loop knows may be older than the last bytes, so the pipe itself is asked.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.drain_directly(drained);
                    break;
                }
                Err(_) => break,
            }
        }
        self.kept.into()
    }

    fn drain_directly(&mut self, mut drained: usize) {
        use std::{io::Read, os::fd::AsFd};
        let Ok(descriptor) = self.receiver.as_fd().try_clone_to_owned() else { return };
        let mut file = File::from(descriptor);
        let mut buffer = [0; 16384];
        while drained < DRAINED_BYTES_MAX {
            match file.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    self.keep(&buffer[..length]);
                    drained += length;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.bytes_max)..];
        let excess = (self.kept.len() + bytes.len()).saturating_sub(self.bytes_max);
        self.kept.drain(..excess);
        self.kept.extend(bytes);
    }
}
