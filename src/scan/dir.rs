//! The system calls of a scan: open a directory, read its names, look at one of them. Nothing follows a symlink, and
//! nothing but directories and regular files is opened.

use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, readlinkat, statat},
    io::Errno,
};

use crate::model::Fingerprint;

/// Bytes of names read in one system call.
const BUFFER: usize = 32 * 1024;

/// What is at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// With its mode bits, of all kinds.
    File {
        print: Fingerprint,
        mode: u32,
    },
    /// Likewise.
    Dir {
        identity: Identity,
        mode: u32,
    },
    Symlink,
    Socket,
    Fifo,
    Device,
}

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// What came of opening a file for reading.
#[derive(Debug)]
pub(super) enum Opened {
    File(File),
    /// Nothing is there.
    Nothing,
    /// Something is there that is no regular file.
    Other,
}

/// Opens the directory called `name`; `.` and `..` are allowed.
pub(super) fn open_dir(at: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    #[cfg(test)]
    fault::check(fault::Call::OpenDir, name)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry(|| openat(at, name, flags, Mode::empty()))?)
}

/// The same directory, opened once more: with a reading position of its own.
pub(super) fn reopen(dir: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    open_dir(dir, c".")
}

/// What the symbolic link called `name` holds.
pub(super) fn read_link(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Vec<u8>> {
    #[cfg(test)]
    fault::check(fault::Call::ReadLink, name)?;
    Ok(retry(|| readlinkat(at, name, Vec::new()))?.into_bytes())
}

/// Which directory this is, and its mode bits.
pub(super) fn identity_and_mode(file: BorrowedFd<'_>) -> io::Result<(Identity, u32)> {
    let stat = retry(|| fstat(file))?;
    Ok((Identity::of(&stat), mode(&stat)))
}

/// Which directory or file this is.
pub(super) fn identity(file: BorrowedFd<'_>) -> io::Result<Identity> {
    Ok(Identity::of(&retry(|| fstat(file))?))
}

/// Names, in the order of their bytes. One piece of memory for all, as there may be a million.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// With the NUL behind each.
    text: Vec<u8>,
    starts: Vec<usize>,
}

impl Names {
    /// This one alone.
    pub(super) fn one(name: &CStr) -> Self {
        Self { text: name.to_bytes_with_nul().to_vec(), starts: vec![0] }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Number `n`; the empty name, which nothing has, where there are fewer.
    pub(super) fn get(&self, n: usize) -> &CStr {
        self.starts.get(n).map_or(c"", |start| at(&self.text, *start))
    }

    pub(super) fn contains(&self, name: &CStr) -> bool {
        self.starts.binary_search_by(|start| at(&self.text, *start).cmp(name)).is_ok()
    }
}

fn at(text: &[u8], start: usize) -> &CStr {
    text.get(start..).and_then(|rest| CStr::from_bytes_until_nul(rest).ok()).unwrap_or_default()
}

/// All names in a directory that was just opened. A directory that is removed meanwhile is an error, not empty:
/// `rustix::fs::Dir` takes ENOENT for the end, so this reads by itself.
pub(super) fn names(dir: BorrowedFd<'_>) -> io::Result<Names> {
    let Names { mut text, mut starts } = Names::default();
    each_name(dir, |name| {
        starts.push(text.len());
        text.extend_from_slice(name.to_bytes_with_nul());
        true
    })?;
    // Whatever lies behind them: no two are the same, and the NUL comes before every other byte.
    starts.sort_unstable_by_key(|start| &text[*start..]);
    Ok(Names { text, starts })
}

/// Whether a directory that was just opened holds no names.
pub(super) fn is_empty(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let mut empty = true;
    each_name(dir, |_| {
        empty = false;
        false
    })?;
    Ok(empty)
}

fn each_name(dir: BorrowedFd<'_>, mut more: impl FnMut(&CStr) -> bool) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        match entry {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Ok(entry) => {
                if !more(entry.file_name()) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Whether `error` is what comes of taking a name for what it was a moment ago: of opening what is no directory any more, or of
/// reading what is no link.
pub(super) fn tells_of_change(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL))
}

/// What is at `name`; `None` if nothing is.
pub(super) fn look(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Look>> {
    #[cfg(test)]
    fault::check(fault::Call::Look, name)?;
    match retry(|| statat(at, name, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(stat) => Ok(Some(Look::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens the regular file called `name` for reading. It is looked at first, so that a device or FIFO is not even opened;
/// and if it was swapped in between, the opening does not block.
pub(super) fn open_file(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Opened> {
    match look(at, name)? {
        None => return Ok(Opened::Nothing),
        Some(Look::File { .. }) => {}
        Some(_) => return Ok(Opened::Other),
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match retry(|| openat(at, name, flags, Mode::empty())) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Opened::Nothing),
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Ok(Opened::Other),
        Err(error) => return Err(error.into()),
    };
    match fingerprint(file.as_fd())? {
        Some(_) => Ok(Opened::File(file.into())),
        None => Ok(Opened::Other),
    }
}

/// The state of an open file; `None` if it is no regular file.
pub(super) fn fingerprint(file: BorrowedFd<'_>) -> io::Result<Option<Fingerprint>> {
    match Look::of(&retry(|| fstat(file))?) {
        Look::File { print, .. } => Ok(Some(print)),
        _ => Ok(None),
    }
}

impl Look {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types differ from platform to platform")]
    fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File {
                print: Fingerprint {
                    size: stat.st_size as u64,
                    mtime_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
                    ctime_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
                    inode: stat.st_ino as u64,
                },
                mode: mode(stat),
            },
            FileType::Directory => Self::Dir { identity: Identity::of(stat), mode: mode(stat) },
            FileType::Symlink => Self::Symlink,
            FileType::Socket => Self::Socket,
            FileType::Fifo => Self::Fifo,
            _ => Self::Device,
        }
    }
}

impl Identity {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types differ from platform to platform")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

#[expect(clippy::useless_conversion, reason = "the field's type differs from platform to platform")]
fn mode(stat: &Stat) -> u32 {
    u32::from(stat.st_mode)
}

/// Nanoseconds since the epoch; a time that does not fit (before 1677, after 2262) becomes the nearest that does.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn retry<T>(call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(call)
}

/// Failures on demand: root may read anything, so a test cannot make an unreadable directory. And what others do at just that moment.
#[cfg(test)]
pub(super) mod fault {
    use std::{
        cell::RefCell,
        ffi::CStr,
        io,
        sync::{Arc, Mutex},
    };

    /// What befalls which call on which name.
    pub(in crate::scan) type Faults = Arc<Mutex<Vec<(Call, String, Fault)>>>;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::scan) enum Call {
        OpenDir,
        Look,
        ReadLink,
    }

    pub(in crate::scan) enum Fault {
        /// It fails with this number.
        Fails(i32),
        /// This is done right before it.
        Follows(Box<dyn FnMut() + Send>),
    }

    thread_local! {
        static FAULTS: RefCell<Faults> = RefCell::default();
    }

    /// From now on, on this thread and those that help it, `call` on anything called `name` fails with `errno`; for good until
    /// the next `clear`.
    pub(in crate::scan) fn inject(call: Call, name: &str, errno: rustix::io::Errno) {
        add(call, name, Fault::Fails(errno.raw_os_error()));
    }

    /// Likewise, `action` is done right before.
    pub(in crate::scan) fn before(call: Call, name: &str, action: impl FnMut() + Send + 'static) {
        add(call, name, Fault::Follows(Box::new(action)));
    }

    fn add(call: Call, name: &str, fault: Fault) {
        shared().lock().unwrap().push((call, name.to_owned(), fault));
    }

    pub(in crate::scan) fn clear() {
        shared().lock().unwrap().clear();
    }

    /// This thread's faults, for one that helps it.
    pub(in crate::scan) fn shared() -> Faults {
        FAULTS.with_borrow(Arc::clone)
    }

    /// This thread helps the one with these faults.
    pub(in crate::scan) fn share(faults: Faults) {
        FAULTS.replace(faults);
    }

    pub(super) fn check(call: Call, name: &CStr) -> io::Result<()> {
        let faults = shared();
        let mut faults = faults.lock().unwrap();
        for (_, _, fault) in faults.iter_mut().filter(|(c, n, _)| (*c, n.as_bytes()) == (call, name.to_bytes())) {
            match fault {
                Fault::Fails(errno) => return Err(io::Error::from_raw_os_error(*errno)),
                Fault::Follows(action) => action(),
            }
        }
        Ok(())
    }
}
