//! Pipes: named ones that a service writes to and a supervisor reads, and those of one process's output.
//!
//! A named pipe is opened for reading and writing at both ends (fifo(7)), so it outlives either: a writer is never told that
//! nobody reads, and a reader never that nobody writes. What the contract tests check, here and in the world in memory: bytes
//! come in order; what was written before the pipe was opened to read is there; `take` never waits.

use super::files;
use crate::env::{LocalFuture, Pipe};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, mknodat},
    io::{Errno, ioctl_fionread},
    pipe::fcntl_setpipe_size,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, PipeReader, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::Path,
};
use tokio::io::{Interest, unix::AsyncFd};

/// What a named pipe holds before its writer waits, where the user's pipes are not too many for that (pipe(7),
/// pipe-user-pages-soft); else it holds 64 KiB or less.
const PIPE_BYTES: usize = 256 << 10;
/// A pipe that is ready to be written to takes at least so many bytes (pipe(7), `PIPE_BUF`).
const PIPE_WRITE_BYTES: usize = 4096;

struct RealPipe {
    file: AsyncFd<File>,
}

/// Opens a named pipe for reading and writing, and makes it if it is missing.
pub(super) fn open_named(path: &Path) -> io::Result<File> {
    match mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let file = OpenOptions::new().read(true).write(true).custom_flags(files::nofollow()).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Ok(file);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("{} is not a named pipe", path.display())))
}

/// The reading end of a named pipe.
pub(super) fn read_named(path: &Path) -> io::Result<Box<dyn Pipe>> {
    let file = open_named(path)?;
    // A hint: the user may have too many already.
    let _ = fcntl_setpipe_size(&file, PIPE_BYTES);
    read(file)
}

/// The reading end of a process's output.
pub(super) fn read_stream(reader: PipeReader) -> io::Result<Box<dyn Pipe>> {
    read(File::from(OwnedFd::from(reader)))
}

fn read(file: File) -> io::Result<Box<dyn Pipe>> {
    fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::NONBLOCK)?;
    #[allow(deprecated, reason = "its successor is `unsafe`, because a descriptor may lie; a File does not")]
    let file = AsyncFd::with_interest(file, Interest::READABLE)?;
    Ok(Box::new(RealPipe { file }))
}

impl Pipe for RealPipe {
    fn readable(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async {
            loop {
                let mut ready = self.file.readable().await?;
                // The event loop may know of bytes that were taken meanwhile.
                if ioctl_fionread(self.file.get_ref())? > 0 {
                    return Ok(());
                }
                if is_at_end(self.file.get_ref()) {
                    // The event loop would say "ready" for ever.
                    std::future::pending::<()>().await;
                }
                ready.clear_ready();
            }
        })
    }

    fn take(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; limit];
        loop {
            match self.file.get_ref().read(&mut bytes) {
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether nobody can write to a pipe any more, and all was taken.
fn is_at_end(pipe: &File) -> bool {
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut asked = [PollFd::new(pipe, PollFlags::IN)];
    let _ = poll(&mut asked, Some(&now));
    asked[0].revents().contains(PollFlags::HUP) && !asked[0].revents().contains(PollFlags::IN)
}

/// Whether a descriptor is a pipe that is open for reading too, as [`open_named`] gives it.
pub(super) fn is_kept(descriptor: &impl AsFd) -> bool {
    let is_pipe = fstat(descriptor).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    is_pipe && fcntl_getfl(descriptor).is_ok_and(|flags| flags.contains(OFlags::RDWR))
}

/// Writes to a pipe as long as it takes something without waiting. Whether all was taken.
pub(super) fn write_what_fits(pipe: &mut (impl AsFd + Write), bytes: &[u8]) -> bool {
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    bytes.chunks(PIPE_WRITE_BYTES).all(|chunk| {
        let ready = poll(&mut [PollFd::new(pipe, PollFlags::OUT)], Some(&now)).is_ok_and(|ready| ready > 0);
        ready && pipe.write_all(chunk).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_pipe_that_nobody_reads_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("pipe");
        let mut pipe = open_named(&path).unwrap();
        assert!(is_kept(&pipe));
        let line = [b'x'; 1000];
        let fit = (0..10_000).take_while(|_| write_what_fits(&mut pipe, &line)).count();
        assert!((10..1000).contains(&fit), "{fit}");
        let (reader, writer) = io::pipe().unwrap();
        assert!(!is_kept(&reader) && !is_kept(&writer), "a shell's pipe is waited for");
        assert!(!is_kept(&File::open("/dev/null").unwrap()));
        std::fs::write(place.path().join("file"), "").unwrap();
        assert_eq!(open_named(&place.path().join("file")).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
