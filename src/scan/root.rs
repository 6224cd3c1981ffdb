//! The mirrored directory, held open: everything a scan or an upload reads is looked up from here.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, open, stat},
    io::Errno,
};

use super::dir::{self, Identity};
use crate::model::{RelPath, RootIdentity};

/// An open root directory.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    dir: OwnedFd,
    identity: Identity,
}

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It is not there (now): removed, or not mounted.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The root.
        path: PathBuf,
    },
    /// Something else has its name.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The root.
        path: PathBuf,
    },
    /// It may not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The root.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl RootError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "nothing is deleted on the server while it is missing; mount or restore it, or correct `source`"
            }
            Self::NotADirectory { .. } => "correct `source` in the configuration",
            Self::Unreadable { .. } => "let the user that runs towline read this directory",
        }
    }
}

impl Root {
    /// Opens the directory at `path`; a symlink at this place is followed, none below it ever is.
    ///
    /// # Errors
    /// When it is missing, no directory, or not readable.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(path, flags, Mode::empty()).map_err(io::Error::from).and_then(|dir| {
            let identity = dir::identity(dir.as_fd())?;
            Ok((dir, identity))
        });
        match opened {
            Ok((dir, identity)) => Ok(Self { path: path.to_owned(), dir, identity }),
            Err(source) => Err(match Errno::from_io_error(&source) {
                Some(Errno::NOENT) => RootError::Missing { path: path.to_owned() },
                Some(Errno::NOTDIR) => RootError::NotADirectory { path: path.to_owned() },
                _ => RootError::Unreadable { path: path.to_owned(), source },
            }),
        }
    }

    /// Which directory it is.
    pub fn identity(&self) -> RootIdentity {
        RootIdentity { device: self.identity.device, inode: self.identity.inode }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to this directory: it was not removed, moved, replaced, unmounted or mounted over.
    pub fn still_there(&self) -> bool {
        stat(&self.path).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::Directory && Identity::of(&stat) == self.identity
        })
    }

    /// Whether it holds no name at all.
    ///
    /// # Errors
    /// When it cannot be read, or was removed.
    pub fn is_empty(&self) -> io::Result<bool> {
        dir::is_empty(self.reopen()?.as_fd())
    }

    /// Opens it once more.
    pub(super) fn reopen(&self) -> io::Result<OwnedFd> {
        dir::reopen(self.dir.as_fd())
    }

    /// Opens a directory below it, or itself.
    pub(super) fn open_dir(&self, path: Option<&RelPath>) -> io::Result<OwnedFd> {
        let mut at = self.reopen()?;
        for name in path.iter().flat_map(|path| path.components()) {
            at = dir::open_dir(at.as_fd(), &c_name(name)?)?;
        }
        Ok(at)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// A path's component for a system call. No component holds a NUL, so this does not fail.
pub(super) fn c_name(name: &[u8]) -> io::Result<CString> {
    Ok(CString::new(name)?)
}

/// The name of the ignore files, for a system call.
pub(super) const IGNORE_NAME: &CStr = c".towlineignore";
