//! Logs of other programs' output, bounded whatever they write: bytes come through a pipe, so nothing grows unseen.
//!
//! A log of N bytes is at most N bytes in its file and as many in `<file>.1`; what is older is gone.

use crate::env::{Env, FileKind, Files, Pipe};
use std::{
    cell::Cell,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes that are taken from a pipe at once.
const CHUNK_BYTES: usize = 64 << 10;
/// After so many bytes in a row the others get their turn.
const TURN_BYTES: usize = 1 << 20;
/// How long the others have theirs: a program that writes without end is slowed down to 200 MB/s at most.
const TURN_PAUSE: Duration = Duration::from_millis(5);
/// Bytes that are taken after the program has ended: more than a pipe holds; something that it left may write for ever.
const DRAINED_BYTES_MAX: usize = 2 << 20;
/// A log of less is not worth its lines.
const BYTES_MIN: u64 = 4096;

/// A bounded log, and the pipe whose bytes it gets.
pub(super) struct PipedLog {
    env: Env,
    pipe: Box<dyn Pipe>,
    path: PathBuf,
    bytes_max: u64,
    mode: u32,
    /// An error is told once, not for each line.
    is_broken: Cell<bool>,
}

impl PipedLog {
    /// A log of at most `bytes_max` bytes, and as many in `<path>.1`. The file is made if it is missing.
    ///
    /// # Errors
    /// When the log cannot be written to.
    pub(super) fn new(
        env: &Env,
        pipe: Box<dyn Pipe>,
        path: &Path,
        bytes_max: u64,
        mode: u32,
    ) -> io::Result<PipedLog> {
        let log = PipedLog {
            env: env.clone(),
            pipe,
            path: path.to_owned(),
            bytes_max: bytes_max.max(BYTES_MIN),
            mode,
            is_broken: Cell::new(false),
        };
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        length(env.files(), path).and_then(|_| env.files().append(path, b"", mode)).map_err(named)?;
        Ok(log)
    }

    /// Writes down what comes, until it is dropped.
    pub(super) async fn follow(&self) {
        let mut taken = 0;
        loop {
            if let Err(error) = self.pipe.readable().await {
                return self.complain(&error);
            }
            taken += self.take();
            if taken >= TURN_BYTES {
                taken = 0;
                self.env.sleep(TURN_PAUSE).await;
            }
        }
    }

    /// Writes down what is there already.
    pub(super) fn drain(&self) {
        let mut taken = 0;
        while taken < DRAINED_BYTES_MAX {
            match self.take() {
                0 => return,
                length => taken += length,
            }
        }
    }

    fn take(&self) -> usize {
        let bytes = match self.pipe.take(CHUNK_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.complain(&error);
                return 0;
            }
        };
        // What cannot be written down is lost: a full disk must not stop the program too.
        match append(self.env.files(), &self.path, &bytes, self.bytes_max, self.mode) {
            Ok(()) => self.is_broken.set(false),
            Err(error) => self.complain(&error),
        }
        bytes.len()
    }

    fn complain(&self, error: &io::Error) {
        if !self.is_broken.replace(true) {
            self.env.log(format_args!("{} cannot be written: {error}; output is lost", self.path.display()));
        }
    }
}

/// Adds bytes to a log. Where they would make it too long it becomes `<path>.1`, at a line's end if there is one, and a new one
/// begins.
fn append(files: &dyn Files, path: &Path, bytes: &[u8], bytes_max: u64, mode: u32) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = length(files, path)?;
        let room = usize::try_from(bytes_max.saturating_sub(length)).unwrap_or(usize::MAX);
        let fits = &rest[..room.min(rest.len())];
        let end = match fits.iter().rposition(|byte| *byte == b'\n') {
            _ if fits.len() == rest.len() => rest.len(),
            Some(last) => last + 1,
            // A line that fits into no log is cut.
            None if length == 0 => room,
            None => 0,
        };
        if end == 0 {
            rotate(files, path)?;
        } else {
            files.append(path, &rest[..end], mode)?;
            rest = &rest[end..];
        }
    }
    Ok(())
}

/// The log's length. A program may have put anything in its log's place: what is no regular file is removed. Only root can have put
/// a device there, such as /dev/null, on purpose: it is written to, and never grows.
fn length(files: &dyn Files, path: &Path) -> io::Result<u64> {
    match files.symlink_metadata(path) {
        Ok(metadata) if metadata.kind == FileKind::File => Ok(metadata.length),
        Ok(metadata) if metadata.kind == FileKind::Device => Ok(0),
        Ok(_) => files.remove_any(path).map(|()| 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn rotate(files: &dyn Files, path: &Path) -> io::Result<()> {
    let mut older = path.as_os_str().to_owned();
    older.push(".1");
    let older = Path::new(&older);
    if files.symlink_metadata(older).is_ok_and(|metadata| metadata.kind == FileKind::Directory) {
        files.remove_tree(older)?;
    }
    files.rename(path, older)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at the real files")]
mod tests {
    use super::*;
    use crate::env::real;
    use std::fs;

    #[test]
    fn a_log_never_exceeds_its_bound() {
        let env = real::env();
        let place = tempfile::tempdir().unwrap();
        let (log, older) = (place.path().join("log"), place.path().join("log.1"));
        let check = |bytes: &[u8], expected: &str, expected_older: Option<&str>| {
            append(env.files(), &log, bytes, 10, 0o600).unwrap();
            assert_eq!(fs::read_to_string(&log).unwrap(), expected);
            assert_eq!(fs::read_to_string(&older).ok().as_deref(), expected_older);
        };
        check(b"one\ntwo\n", "one\ntwo\n", None);
        check(b"3\n", "one\ntwo\n3\n", None);
        check(b"four\n", "four\n", Some("one\ntwo\n3\n"));
        check(b"5\nsix\nseven\n", "six\nseven\n", Some("four\n5\n"));
        // A line that fits into no log is cut.
        check(b"0123456789ABCDEF", "ABCDEF", Some("0123456789"));
        check(b"", "ABCDEF", Some("0123456789"));
        // What stands in the way is none of ours.
        fs::remove_file(&log).unwrap();
        std::os::unix::fs::symlink(place.path().join("elsewhere"), &log).unwrap();
        check(b"new\n", "new\n", Some("0123456789"));
        fs::remove_file(&older).unwrap();
        fs::create_dir_all(older.join("full")).unwrap();
        check(b"eight899\n", "eight899\n", Some("new\n"));
        assert!(!place.path().join("elsewhere").exists());
    }
}
