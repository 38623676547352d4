//! The table of C functions by which SQLite reaches a [`Session`], and its random numbers.
//!
//! What SQLite promises is in its documentation of `sqlite3_vfs` and `sqlite3_io_methods`: pointers that it gives are valid for the
//! call; a file is not used after it was closed; a connection does not outlive its file system (that promise is [`FileSystem`]'s own
//! user's). No function here unwinds into C: a panic aborts.
#![allow(
    unsafe_code,
    reason = "SQLite's file system is a table of C functions; each block says why it is sound"
)]

use super::{Code, Handle, Session, share::REGION_BYTES};
use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};
use slap_impl::env::Entropy;
use std::{
    cell::Cell,
    ffi::{CStr, CString, OsStr, c_char, c_int, c_void},
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr,
    rc::Rc,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes of a path, with the zero at its end.
const PATH_BYTES: usize = 512;
/// What SQLite's own file system for Linux says: a sector of a disk, and that a write damages nothing beside itself, and that a part of
/// a page can be read.
const SECTOR: c_int = 4096;
const CHARACTERISTICS: c_int = ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | 0x8000;

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// A file system that SQLite knows by name, for the connections of one session. They must be closed before it is dropped.
pub(crate) struct FileSystem {
    table: *mut sqlite3_vfs,
    name: CString,
    session: *mut Rc<Session>,
}

/// What SQLite has of an open file: `sqlite3_file`, and what follows it is ours.
#[repr(C)]
struct File {
    base: sqlite3_file,
    handle: *mut Handle,
}

impl FileSystem {
    /// Makes one known to SQLite under a name that no other has.
    pub(crate) fn new(session: Rc<Session>) -> FileSystem {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("slap-world-{number}")).expect("it has no zero byte");
        let session = Box::into_raw(Box::new(session));
        let table = Box::into_raw(Box::new(sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: PATH_BYTES as c_int,
            pNext: ptr::null_mut(),
            zName: name.as_ptr(),
            pAppData: session.cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: None,
            xGetLastError: Some(get_last_error),
            xCurrentTimeInt64: Some(current_time),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the table, its name and its session live until `drop` takes it back from SQLite.
        let code = unsafe { ffi::sqlite3_vfs_register(table, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes one more file system");
        FileSystem { table, name, session }
    }

    /// The name by which connections ask for it.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // SAFETY: both came from `Box::into_raw` in `new` and were given back to nobody since; no connection uses them any more.
        unsafe {
            ffi::sqlite3_vfs_unregister(self.table);
            drop(Box::from_raw(self.table));
            drop(Box::from_raw(self.session));
        }
    }
}

/// Runs what calls SQLite, with its random numbers (it puts some into write-ahead logs) taken from a seed. They are one stream for the
/// whole process, so other threads wait.
pub(crate) fn with_seed<T>(seed: u64, body: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    thread_local!(static IS_INSIDE: Cell<bool> = const { Cell::new(false) });
    struct Ended;
    impl Drop for Ended {
        fn drop(&mut self) {
            IS_INSIDE.set(false);
            set_seed(0);
        }
    }
    if IS_INSIDE.replace(true) {
        // A query that asks the store again.
        return body();
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _ended = Ended;
    // 0 stands for none.
    set_seed((seed as u32).max(1));
    body()
}

/// Seeds SQLite's random numbers; 0: from the system again.
fn set_seed(seed: u32) {
    // SAFETY: this control takes an integer and a connection, which may be null; `sqlite3_randomness` with nothing to fill resets the stream.
    unsafe {
        ffi::sqlite3_test_control(
            ffi::SQLITE_TESTCTRL_PRNG_SEED,
            seed.cast_signed(),
            ptr::null_mut::<ffi::sqlite3>(),
        );
        ffi::sqlite3_randomness(0, ptr::null_mut());
    }
}

/// # Safety
/// `vfs` is a table of a [`FileSystem`] that was not dropped.
unsafe fn session<'a>(vfs: *mut sqlite3_vfs) -> &'a Rc<Session> {
    // SAFETY: `new` put it there, and nothing changes it.
    unsafe { &*(*vfs).pAppData.cast::<Rc<Session>>() }
}

/// # Safety
/// `file` was opened by [`open`], and not closed.
unsafe fn handle<'a>(file: *mut sqlite3_file) -> &'a Handle {
    // SAFETY: `open` put it there, and only `close` takes it away. All its methods take it shared.
    unsafe { &*(*file.cast::<File>()).handle }
}

/// # Safety
/// `name` is null or a C string that lives as long as the answer is used.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller promises it.
    let name = unsafe { CStr::from_ptr(name) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

fn code(result: Result<(), Code>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

fn length(bytes: i64) -> usize {
    usize::try_from(bytes).expect("SQLite asks for no negative place")
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room of szOsFile bytes, a name or null, and a place for flags or null.
    unsafe {
        (*file).pMethods = ptr::null();
        match session(vfs).open(path(name), flags) {
            Ok(handle) => {
                (*file.cast::<File>()).handle = Box::into_raw(Box::new(handle));
                (*file).pMethods = &METHODS;
                if !out_flags.is_null() {
                    *out_flags = flags;
                }
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: it was opened, so the handle came from `Box::into_raw`; SQLite does not use the file any more.
    unsafe { drop(Box::from_raw((*file.cast::<File>()).handle)) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives `amount` bytes to fill, which may hold nothing yet.
    let (handle, into) = unsafe {
        let into = std::slice::from_raw_parts_mut(into.cast::<MaybeUninit<u8>>(), length(amount.into()));
        (handle(file), into)
    };
    match handle.read(into, length(at)) {
        Ok(found) if found == into.len() => ffi::SQLITE_OK,
        Ok(_) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(code) => code,
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives `amount` bytes to write.
    let (handle, from) =
        unsafe { (handle(file), std::slice::from_raw_parts(from.cast::<u8>(), length(amount.into()))) };
    code(handle.write(from, length(at)))
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite gives an open file.
    code(unsafe { handle(file) }.truncate(length(size)))
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite gives an open file.
    code(unsafe { handle(file) }.sync())
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: SQLite gives an open file.
    match unsafe { handle(file) }.length() {
        Ok(length) => {
            // SAFETY: SQLite gives a place for the answer.
            unsafe { *out = length as i64 };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite gives an open file.
    code(unsafe { handle(file) }.lock(level))
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite gives an open file.
    unsafe { handle(file) }.unlock(level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite gives an open file and a place for the answer.
    unsafe { *out = handle(file).share.is_reserved().into() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_file: *mut sqlite3_file, _what: c_int, _argument: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut sqlite3_file) -> c_int {
    SECTOR
}

unsafe extern "C" fn device_characteristics(_file: *mut sqlite3_file) -> c_int {
    CHARACTERISTICS
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    index: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    assert_eq!(length(size.into()), REGION_BYTES, "the size of a region is fixed in SQLite");
    // SAFETY: SQLite gives an open file.
    match unsafe { handle(file) }.region(length(index.into()), extend != 0) {
        Ok(region) => {
            // SAFETY: SQLite gives a place for the answer. The region lives until the file is closed.
            unsafe { *out = region.map_or(ptr::null_mut(), |region| region.place()) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: SQLite gives an open file.
    code(unsafe { handle(file) }.lock_slots(first, count, flags))
}

/// All connections of a session stand on one thread.
unsafe extern "C" fn shm_barrier(_file: *mut sqlite3_file) {}

/// The memory goes when the file is closed, which comes next.
unsafe extern "C" fn shm_unmap(_file: *mut sqlite3_file, _delete: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite gives a name.
    let (session, path) = unsafe { (session(vfs), path(name)) };
    code(path.map_or(Ok(()), |path| session.delete(path, sync != 0)))
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a name and a place for the answer.
    unsafe { *out = path(name).is_some_and(|path| session(vfs).has_content(path)).into() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite gives a name.
    let full = unsafe { session(vfs).full_path(path(name).unwrap_or(Path::new("/"))) };
    let bytes = full.as_os_str().as_bytes();
    if bytes.len() >= length(room.into()) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: SQLite gives `room` bytes, and the name with its zero needs no more.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
        *out.add(bytes.len()) = 0;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(vfs: *mut sqlite3_vfs, amount: c_int, out: *mut c_char) -> c_int {
    let mut bytes = vec![0; length(amount.into())];
    // SAFETY: SQLite gives `amount` bytes to fill.
    unsafe {
        session(vfs).random.fill(&mut bytes);
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    amount
}

/// Whoever waits for a lock waits for another connection of the same thread, which does nothing meanwhile.
unsafe extern "C" fn sleep(_vfs: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn get_last_error(_vfs: *mut sqlite3_vfs, _room: c_int, _out: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn current_time(vfs: *mut sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: SQLite gives a place for the answer.
    unsafe { *out = session(vfs).now_milliseconds() };
    ffi::SQLITE_OK
}
