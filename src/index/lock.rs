//! [`StateLock`]: one daemon at a time on a state directory. Not a lock on rows; SQLite has its own.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use super::IndexError;

/// Holds a state directory for this process, as long as the value lives; the kernel lets go when the process dies.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes `state_dir`, which is made (for its user alone, mode 0700) if missing.
    ///
    /// # Errors
    /// [`IndexError::AlreadyRunning`] when another process holds it, [`IndexError::Open`] when it cannot be made.
    pub fn acquire(state_dir: &Path) -> Result<Self, IndexError> {
        make_dir(state_dir)?;
        let path = state_dir.join("lock");
        let file = private_file(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(IndexError::AlreadyRunning { state_dir: state_dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(IndexError::Open { path, source }),
        }
    }
}

/// Makes a directory for this user alone, and what leads to it; one that exists is left as it is.
pub(super) fn make_dir(path: &Path) -> Result<(), IndexError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| IndexError::Open { path: path.to_owned(), source })
}

/// Opens a file that only this user may read, and makes it if missing.
pub(super) fn private_file(path: &Path) -> Result<File, IndexError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| IndexError::Open { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_daemon_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let first = StateLock::acquire(&state).unwrap();
        assert_eq!(state.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let second = StateLock::acquire(&state).unwrap_err();
        assert!(second.to_string().contains(state.to_str().unwrap()), "{second}");
        drop(first);
        StateLock::acquire(&state).unwrap();
    }
}
