//! How the local tree is to be looked at: what a symbolic link means, and whether permissions count.

use std::path::PathBuf;

use super::{Root, RootError};
use crate::model::Mode;

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// They are left out.
    #[default]
    Skip,
    /// One that leads to something below the root is taken for that.
    Follow,
    /// They are mirrored as links.
    Link,
}

/// Which permissions the server's copies are to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modes {
    /// Those that the server gives them.
    #[default]
    Ignore,
    /// Those of the local files and directories.
    Keep,
    /// Always these.
    Fixed {
        /// Of files; `None`: those that the server gives.
        files: Option<Mode>,
        /// Of directories; likewise.
        dirs: Option<Mode>,
    },
}

/// How the local tree is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Symbolic links.
    pub symlinks: Symlinks,
    /// Permissions.
    pub modes: Modes,
}

/// A directory that is mirrored, and how it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub path: PathBuf,
    /// How.
    pub view: View,
}

impl Place {
    /// Opens it.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub fn open(&self) -> Result<Root, RootError> {
        Root::open(&self.path).map(|root| root.seen_as(self.view))
    }
}

impl Modes {
    /// Of a file with these bits.
    pub(super) fn of_file(self, bits: u32) -> Option<Mode> {
        match self {
            Self::Ignore => None,
            Self::Keep => Some(Mode::of(bits)),
            Self::Fixed { files, .. } => files,
        }
    }

    /// Of a directory with these bits. Its owner keeps every right: what could not be written to could not be mirrored.
    pub(super) fn of_dir(self, bits: u32) -> Option<Mode> {
        match self {
            Self::Ignore => None,
            Self::Keep => Some(Mode::of(bits).open_to_owner()),
            Self::Fixed { dirs, .. } => dirs.map(Mode::open_to_owner),
        }
    }
}
