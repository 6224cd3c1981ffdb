//! The mirrored directory, held open: everything a scan or an upload reads is looked up from here.

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, fstatvfs, open, stat},
    io::Errno,
};

use super::{
    Symlinks, View,
    dir::{self, Identity},
    links::{self, End, Within},
};
use crate::model::{RelPath, RootIdentity};

/// An open root directory.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    dir: OwnedFd,
    identity: Identity,
    view: View,
    /// Its path without links, where links are followed.
    canonical: Option<PathBuf>,
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
    /// Opens the directory at `path`; a symlink at this place is followed, below it none is unless it is [`Self::seen_as`]
    /// following them.
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
            Ok((dir, identity)) => Ok(Self { path: path.to_owned(), dir, identity, view: View::default(), canonical: None }),
            Err(source) => Err(match Errno::from_io_error(&source) {
                Some(Errno::NOENT) => RootError::Missing { path: path.to_owned() },
                Some(Errno::NOTDIR) => RootError::NotADirectory { path: path.to_owned() },
                _ => RootError::Unreadable { path: path.to_owned(), source },
            }),
        }
    }

    /// The same, looked at like this.
    #[must_use]
    pub fn seen_as(mut self, view: View) -> Self {
        self.canonical = (view.symlinks == Symlinks::Follow).then(|| self.path.canonicalize().ok()).flatten();
        self.view = view;
        self
    }

    /// How it is looked at.
    pub(super) fn view(&self) -> View {
        self.view
    }

    /// Which directory it is.
    pub fn identity(&self) -> RootIdentity {
        let filesystem = fstatvfs(&self.dir).map_or(0, |found| found.f_fsid);
        RootIdentity { device: self.identity.device, inode: self.identity.inode, filesystem }
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
        match path {
            Some(path) if self.view.symlinks == Symlinks::Follow => match links::resolve(self, None, path.as_bytes())?.end {
                End::Dir { dir, .. } => Ok(dir),
                End::Missing => Err(Errno::NOENT.into()),
                End::Leaf { .. } => Err(Errno::NOTDIR.into()),
                End::Outside | End::Looping => Err(Errno::LOOP.into()),
            },
            path => self.open_real(path),
        }
    }

    /// Opens a directory below it, or itself, through no symlink.
    pub(super) fn open_real(&self, path: Option<&RelPath>) -> io::Result<OwnedFd> {
        let mut at = self.reopen()?;
        for name in path.iter().flat_map(|path| path.components()) {
            at = dir::open_dir(at.as_fd(), &c_name(name)?)?;
        }
        Ok(at)
    }
}

impl Root {
    /// What the target of a link is to this root. An absolute one may be spelled as in the configuration, or without links.
    pub(super) fn within<'t>(&self, target: &'t [u8]) -> Within<'t> {
        if !target.starts_with(b"/") {
            return Within::Relative;
        }
        let spellings = [Some(self.path.as_path()), self.canonical.as_deref()].into_iter().flatten();
        let below = |root: &Path| {
            let root = root.as_os_str().as_bytes();
            let rest = target.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
            (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
        };
        spellings.filter(|root| root.is_absolute()).find_map(below).map_or(Within::Outside, Within::Below)
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
