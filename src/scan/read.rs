//! Opens a file to be sent: below the root, through a symlink only where they are followed, never blocking. What is done with the bytes is not
//! known here.

use std::{fs::File, io, os::fd::AsFd, time::Duration};

use rustix::{
    buffer::spare_capacity,
    io::{Errno, retry_on_intr},
};

use super::{
    Root, Symlinks,
    dir::{self, Opened},
    links::{self, End},
    root::c_name,
};
use crate::model::{Fingerprint, RelPath, UnixMillis};

/// What a file's change time is good for: the kernel takes it from a clock that ticks every 1 to 10 ms; with a reserve.
const TICK: Duration = Duration::from_millis(20);

/// The same where times have whole seconds, or two, as on FAT.
const COARSE_TICK: Duration = Duration::from_secs(2);

const NANOSECONDS: i128 = 1_000_000_000;
const MILLISECOND: i128 = 1_000_000;

/// A regular file, open for reading.
#[derive(Debug)]
pub struct OpenedFile(File);

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing is there any more.
    #[error("the file is gone")]
    Gone,
    /// Something else is there: a directory, a symlink, a pipe.
    #[error("this is no regular file any more")]
    NotAFile,
    /// Something else is there than a symlink.
    #[error("this is no symbolic link any more")]
    NotALink,
    /// The user that runs this may not read it.
    #[error("{0}")]
    Denied(#[source] io::Error),
    /// The system could not.
    #[error("{0}")]
    Io(#[source] io::Error),
}

/// Opens the regular file at `path`.
///
/// # Errors
/// When it is not there, not a regular file, or not readable; a symlink anywhere on the way that is not followed, or leads
/// out of the root, counts as not there.
pub fn open_file(root: &Root, path: &RelPath) -> Result<OpenedFile, ReadError> {
    let opened = if root.view().symlinks == Symlinks::Follow {
        links::resolve(root, None, path.as_bytes()).and_then(|trail| match trail.end {
            End::Leaf { dir, name, .. } => dir::open_file(dir.as_fd(), &name),
            End::Dir { .. } => Ok(Opened::Other),
            End::Missing | End::Outside | End::Looping => Ok(Opened::Nothing),
        })
    } else {
        root.open_dir(path.parent().as_ref()).and_then(|dir| dir::open_file(dir.as_fd(), &c_name(path.name())?))
    };
    match opened.map_err(ReadError::from_io)? {
        Opened::File(file) => Ok(OpenedFile(file)),
        Opened::Nothing => Err(ReadError::Gone),
        Opened::Other => Err(ReadError::NotAFile),
    }
}

/// What the symbolic link at `path` holds.
///
/// # Errors
/// When there is none, or it cannot be read; one on the way to it counts as not there.
pub fn read_link(root: &Root, path: &RelPath) -> Result<Vec<u8>, ReadError> {
    let read = root.open_real(path.parent().as_ref()).and_then(|dir| dir::read_link(dir.as_fd(), &c_name(path.name())?));
    read.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::INVAL) => ReadError::NotALink,
        _ => ReadError::from_io(error),
    })
}

impl OpenedFile {
    /// The file's state at this moment, whatever its name may lead to by now.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn fingerprint(&self) -> io::Result<Fingerprint> {
        dir::fingerprint(self.0.as_fd())?.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// The device that it lies on.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn device(&self) -> io::Result<u64> {
        Ok(dir::identity(self.0.as_fd())?.device)
    }

    /// Reads on, `most` bytes at once; nothing is the end.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(most);
        retry_on_intr(|| rustix::io::read(&self.0, spare_capacity(&mut bytes)))?;
        Ok(bytes)
    }

    /// Reads at this place, `most` bytes at once; nothing is the end.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn read_at(&self, most: usize, at: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(most);
        retry_on_intr(|| rustix::io::pread(&self.0, spare_capacity(&mut bytes), at))?;
        Ok(bytes)
    }
}

impl ReadError {
    fn from_io(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            // On the way to the file only directories are opened, and none is a symlink.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Self::Gone,
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied(error),
            _ => Self::Io(error),
        }
    }
}

/// How long, from `now`, until a further write to the file is sure to give it another fingerprint; zero if it is already.
/// A file that was read within this time has to be looked at again after it.
///
/// A change time in the future belongs to another clock, or to one that was set back: zero, as no wait would help.
pub fn racy_for(print: &Fingerprint, now: UnixMillis) -> Duration {
    let changed = i128::from(print.ctime_ns);
    let tick = if changed % NANOSECONDS == 0 { COARSE_TICK } else { TICK };
    let since = i128::from(now.0) * MILLISECOND - changed;
    // Rounded up: `now` has whole milliseconds, and after a wait of less may still show the same.
    let left = -(since - tick.as_nanos() as i128).div_euclid(MILLISECOND);
    match u64::try_from(left) {
        Ok(left) if since > -(tick.as_nanos() as i128) => Duration::from_millis(left),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
