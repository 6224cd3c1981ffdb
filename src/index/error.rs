//! [`IndexError`]: what can go wrong with the state on this machine, by what an operator can do about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::model::JobId;

/// A failure of the state directory. The index is as it was before the call: every verb is one transaction.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A file or directory of the state could not be made or opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A later version of Towline has written it; nothing was touched.
    #[error("the state was written by a newer towline (schema {found}, this one knows up to {known})")]
    Newer {
        /// The schema in the file.
        found: i64,
        /// The latest schema that this program knows.
        known: i64,
    },
    /// It is still as an earlier version left it, and was to be read without a change.
    #[error("the state was written by an older towline (schema {found}, this one reads {known})")]
    Older {
        /// The schema in the file.
        found: i64,
        /// The schema that this program reads.
        known: i64,
    },
    /// Another process holds the state directory.
    #[error("another towline is running on the state directory {}", state_dir.display())]
    AlreadyRunning {
        /// Which directory.
        state_dir: PathBuf,
    },
    /// The disk that holds the state is full.
    #[error("no space left for the state")]
    Full(#[source] rusqlite::Error),
    /// The disk that holds the state cannot be read or written.
    #[error("the state cannot be read or written")]
    Io(#[source] rusqlite::Error),
    /// The file is no index, or is damaged.
    #[error("the state is damaged")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A job was settled or resolved that is not promised (any more): an error of the caller.
    #[error("there is no job {}", .0.0)]
    NoSuchJob(JobId),
    /// A value could not be written as JSON: an error of the caller.
    #[error("a note cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    /// An earlier call on this index was cut off: it must be opened anew.
    #[error("the state was lost hold of")]
    Lost,
    /// Anything else that SQLite says.
    #[error("the state could not be used")]
    Sqlite(#[source] rusqlite::Error),
}

impl IndexError {
    /// What an operator can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open { .. } => {
                Some("the state directory must belong to the user that runs towline; name another one with --state-dir")
            }
            Self::Newer { .. } => Some("install the newer towline again, or start over with another --state-dir"),
            Self::Older { .. } => Some("restart the daemon with this version: it brings the state up to date"),
            Self::AlreadyRunning { .. } => Some("stop the other one, or give this one a --state-dir of its own"),
            Self::Full(_) => Some("free space on the disk that holds the state directory"),
            Self::Io(_) => Some("check the disk that holds the state directory, and its permissions"),
            Self::Corrupt(_) => Some(
                "`towline run` and `towline sync` keep it aside and begin a new one: everything is then sent again, and nothing is removed",
            ),
            Self::Lost | Self::NoSuchJob(_) | Self::Unwritable(_) | Self::Sqlite(_) => None,
        }
    }

    /// A row that no version of this program has written.
    pub(super) fn corrupt(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Corrupt(source.into())
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Io(error)
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::corrupt(error),
            _ if matches!(error, E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..)) => {
                Self::corrupt(error)
            }
            _ => Self::Sqlite(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_and_a_broken_disk_are_told_apart() {
        let sqlite = |code| IndexError::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        assert!(matches!(sqlite(rusqlite::ffi::SQLITE_FULL), IndexError::Full(_)));
        assert!(matches!(sqlite(rusqlite::ffi::SQLITE_IOERR_FSYNC), IndexError::Io(_)));
        assert!(matches!(sqlite(rusqlite::ffi::SQLITE_CORRUPT), IndexError::Corrupt(_)));
        assert!(matches!(sqlite(rusqlite::ffi::SQLITE_NOTADB), IndexError::Corrupt(_)));
        assert!(matches!(sqlite(rusqlite::ffi::SQLITE_BUSY), IndexError::Sqlite(_)));
    }
}
