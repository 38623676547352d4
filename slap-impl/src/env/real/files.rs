//! Files of the real file system.
//!
//! What the contract tests check, here and in the world in memory: modes do not depend on the umask; `replace` and `copy` leave
//! the old content when they fail, and nothing beside it; limits hold; `remove_tree` leaves what symbolic links
//! point to; `list` is sorted; a lock excludes a second one until it is dropped.

use super::{pipe, tree};
use crate::env::{FileKind, Files, Lock, Metadata, Pipe};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Files of the real file system.
pub(super) struct RealFiles;

/// An flock; the descriptor is closed on exec, so no child keeps it.
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
}

impl Lock for FileLock {
    fn is_in_place(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(own), Ok(found)) => (own.dev(), own.ino()) == (found.dev(), found.ino()),
            _ => false,
        }
    }
}

/// Takes the lock of `path`, without waiting for it.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<FileLock>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow())
        .open(path)?;
    locked(file, path)
}

/// Takes the lock of a file that is there, without changing it.
pub(super) fn try_lock_existing(path: &Path) -> io::Result<Option<FileLock>> {
    let file = OpenOptions::new().read(true).custom_flags(nonblock()).open(path)?;
    locked(file, path)
}

fn locked(file: File, path: &Path) -> io::Result<Option<FileLock>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(FileLock { file, path: path.to_owned() })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a file to append to it; a symbolic link at the end of the path is not followed.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(nofollow() | nonblock());
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, format!("{} is not a regular file", path.display())))
    }
}

impl Files for RealFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = open_to_read(path)?;
        let mut content = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            let message = format!("{} is longer than {limit} bytes", path.display());
            return Err(io::Error::new(ErrorKind::FileTooLarge, message));
        }
        Ok(content)
    }

    fn read_tail(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = open_to_read(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        open_or_create(path, OpenOptions::new().write(true), mode, true)?.write_all(content)
    }

    fn replace(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        put_in_place(path, mode, &mut |file| file.write_all(content))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        if !(metadata.is_file() || metadata.is_dir()) {
            return Ok(());
        }
        let flags = nofollow() | nonblock();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        match opened {
            // One that its owner may not read may be written by him.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && metadata.is_file() => {
                OpenOptions::new().write(true).custom_flags(flags).open(path)?.sync_all()
            }
            opened => opened?.sync_all(),
        }
    }

    fn append(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        open_or_create(path, OpenOptions::new().append(true), mode, false)?.write_all(content)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        // Logs are cut, and a partition may have put a link in a log's place.
        let flags = nofollow() | nonblock();
        OpenOptions::new().write(true).custom_flags(flags).open(path)?.set_len(length)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut source = open_to_read(from)?;
        let mode = source.metadata()?.mode() & 0o7777;
        put_in_place(to, mode, &mut |file| io::copy(&mut source, file).map(|_| ()))
    }

    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) else { return Err(error) };
                self.create_directory(parent, mode)?;
                self.create_directory(path, mode)
            }
            Err(error) => Err(error),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        tree::remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        symlink(target, link)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        fs::metadata(path).map(|metadata| convert(&metadata))
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        fs::symlink_metadata(path).map(|metadata| convert(&metadata))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is shown with replacement characters rather than failing the whole listing:
        // one partition could break the others' otherwise.
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    fn set_modified(&self, path: &Path, seconds: i64) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        Ok(utimensat(CWD, path, &times, AtFlags::empty())?)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn free_names(&self, path: &Path) -> io::Result<Option<u64>> {
        let space = rustix::fs::statvfs(path)?;
        // A file system that makes inodes as it needs them says that it has none at all.
        Ok((space.f_files > 0).then_some(space.f_favail))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Ok(try_lock(path)?.map(|lock| Box::new(lock) as Box<dyn Lock>))
    }

    fn open_pipe(&self, path: &Path) -> io::Result<Box<dyn Pipe>> {
        pipe::read_named(path)
    }

    fn spread(&self, directory: &Path) {
        // chattr(1), `T`. ext4 puts all below one directory into one block group otherwise, and looks there at each name
        // removed in the last minutes whenever it makes one: that took half of the time of labs that follow each other.
        let Ok(directory) = File::open(directory) else { return };
        if let Ok(flags) = rustix::fs::ioctl_getflags(&directory) {
            let _ = rustix::fs::ioctl_setflags(&directory, flags | rustix::fs::IFlags::TOPDIR);
        }
    }
}

pub(super) fn nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

fn nonblock() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

/// Opens without ever waiting: a partition can put a named pipe where a file is expected.
fn open_to_read(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(nonblock()).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, format!("{} is a directory", path.display())));
    }
    if kind.is_fifo() || kind.is_socket() {
        let message = format!("{} is a named pipe or socket, not a file", path.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(file)
}

/// Opens an existing file, or creates it with exactly `mode`.
fn open_or_create(path: &Path, options: &mut OpenOptions, mode: u32, truncate: bool) -> io::Result<File> {
    options.custom_flags(nonblock() | nofollow()).mode(mode);
    loop {
        match options.clone().create_new(true).open(path) {
            Ok(file) => {
                file.set_permissions(Permissions::from_mode(mode))?;
                return Ok(file);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match options.clone().truncate(truncate).open(path) {
            // Gone between the two calls, and not merely a link into nothing.
            Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {}
            other => return other,
        }
    }
}

/// Writes a temporary file beside `path`, makes it durable and renames it to `path`.
fn put_in_place(path: &Path, mode: u32, fill: &mut dyn FnMut(&mut File) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (mut file, temporary) = create_temporary(directory)?;
    let written = fill(&mut file)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match File::open(directory)?.sync_all() {
        // Some file systems do not know how to sync a directory; there is nothing more to do then.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

fn create_temporary(directory: &Path) -> io::Result<(File, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".slap-{}-{number}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            // Left by an earlier process of the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn convert(metadata: &fs::Metadata) -> Metadata {
    let kind = metadata.file_type();
    Metadata {
        kind: if kind.is_file() {
            FileKind::File
        } else if kind.is_dir() {
            FileKind::Directory
        } else if kind.is_symlink() {
            FileKind::Symlink
        } else if kind.is_char_device() || kind.is_block_device() {
            FileKind::Device
        } else {
            FileKind::Other
        },
        mode: metadata.mode() & 0o7777,
        length: metadata.len(),
        modified_seconds: metadata.mtime(),
        user: metadata.uid(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        RealFiles.symlink_metadata(path).unwrap().mode
    }

    #[test]
    fn a_device_is_no_file() {
        assert_eq!(RealFiles.metadata(Path::new("/dev/null")).unwrap().kind, FileKind::Device);
    }

    #[test]
    fn modes_do_not_depend_on_the_umask() {
        let place = tempfile::tempdir().unwrap();
        for wanted in [0o666, 0o600, 0o755, 0o444] {
            let directory = place.path().join(format!("{wanted:o}/sub"));
            RealFiles.create_directory(&directory, 0o777).unwrap();
            assert_eq!(mode(&directory), 0o777);
            assert_eq!(mode(directory.parent().unwrap()), 0o777);
            for name in ["written", "replaced", "appended"] {
                let path = directory.join(name);
                match name {
                    "written" => RealFiles.write(&path, b"x", wanted).unwrap(),
                    "replaced" => RealFiles.replace(&path, b"x", wanted).unwrap(),
                    _ => RealFiles.append(&path, b"x", wanted).unwrap(),
                }
                assert_eq!(mode(&path), wanted, "{name}");
            }
            assert_eq!(RealFiles.list(&directory).unwrap(), ["appended", "replaced", "written"]);
        }
    }

    #[test]
    fn write_keeps_the_mode_and_replace_sets_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        RealFiles.write(&path, b"long content", 0o640).unwrap();
        RealFiles.write(&path, b"short", 0o600).unwrap();
        assert_eq!((RealFiles.read(&path, 5).unwrap(), mode(&path)), (b"short".to_vec(), 0o640));
        RealFiles.replace(&path, b"new", 0o600).unwrap();
        assert_eq!((RealFiles.read(&path, 5).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
        let copy = place.path().join("copy");
        RealFiles.copy(&path, &copy).unwrap();
        assert_eq!((RealFiles.read(&copy, 5).unwrap(), mode(&copy)), (b"new".to_vec(), 0o600));
    }

    #[test]
    fn reading_is_bounded_and_never_waits() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        RealFiles.write(&path, b"0123456789", 0o600).unwrap();
        assert_eq!(RealFiles.read(&path, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(RealFiles.read(&path, 10).unwrap().len(), 10);
        assert_eq!(RealFiles.read_tail(&path, 3).unwrap(), b"789");
        assert_eq!(RealFiles.read_tail(&path, 30).unwrap(), b"0123456789");
        let pipe = place.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(RealFiles.read(&pipe, 10).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(RealFiles.write(&pipe, b"x", 0o600).is_err());
        assert_eq!(RealFiles.read(place.path(), 10).unwrap_err().kind(), ErrorKind::IsADirectory);
    }

    #[test]
    fn what_fails_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("directory");
        RealFiles.create_directory(&directory.join("full"), 0o700).unwrap();
        assert!(RealFiles.replace(&directory.join("full"), b"x", 0o600).is_err());
        assert_eq!(RealFiles.list(&directory).unwrap(), ["full"]);
        assert!(RealFiles.create_directory(&directory.join("full"), 0o700).is_ok());
    }

    #[test]
    fn a_lock_excludes_until_it_is_dropped() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let lock = RealFiles.lock(&path).unwrap();
        assert!(lock.is_some());
        assert!(RealFiles.lock(&path).unwrap().is_none());
        drop(lock);
        assert!(RealFiles.lock(&path).unwrap().is_some());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_directory_is_spread_where_that_means_something() {
        const EXT4_SUPER_MAGIC: i64 = 0xef53;
        let place = tempfile::tempdir().unwrap();
        RealFiles.spread(place.path());
        RealFiles.spread(&place.path().join("missing"));
        RealFiles.create_directory(&place.path().join("sub"), 0o700).unwrap();
        let flags = |path: &Path| rustix::fs::ioctl_getflags(File::open(path).unwrap());
        if rustix::fs::statfs(place.path()).unwrap().f_type as i64 == EXT4_SUPER_MAGIC {
            assert!(flags(place.path()).unwrap().contains(rustix::fs::IFlags::TOPDIR));
            assert!(!flags(&place.path().join("sub")).unwrap().contains(rustix::fs::IFlags::TOPDIR));
        }
    }

    #[test]
    fn times_are_set() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        RealFiles.write(&path, b"", 0o400).unwrap();
        RealFiles.set_modified(&path, 1_000_000_000).unwrap();
        assert_eq!(RealFiles.metadata(&path).unwrap().modified_seconds, 1_000_000_000);
    }
}
