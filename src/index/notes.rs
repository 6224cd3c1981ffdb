//! [`Note`]: single facts about a mirror as a whole, by name. Values are JSON, so that the mirror's types can grow.

use rusqlite::{Connection, OptionalExtension};
use serde::{Serialize, de::DeserializeOwned};

use super::IndexError;

/// What there is to note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Eight hexadecimal digits that mark this index's temporary files on the server; made with the index.
    Instance,
    /// When the index was made.
    Created,
    /// Which directory the root was when it was last scanned: a [`crate::model::RootIdentity`].
    Root,
    /// By which path the root was configured when it was last scanned or approved: a string.
    Source,
    /// Why deletes are held back, and since when.
    Hold,
    /// Which deletes an operator has approved.
    Approval,
    /// How the link to the server is: attempts, and when to try again.
    Link,
    /// What binds this state to a directory on the server: whose marker is in it.
    Marker,
    /// When the two trees were last known to be equal.
    LastSuccess,
    /// When the whole tree was last scanned without an error.
    LastFullScan,
    /// How far a round of proving what the server holds has come.
    Scrub,
    /// Which start of the machine it was when the index was last opened, as the system names it.
    Boot,
    /// Why what is staged is not published, and since when.
    Withheld,
    /// Until when no job starts.
    Pause,
}

impl Note {
    /// The name in the table; never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Created => "created",
            Self::Root => "root",
            Self::Source => "source",
            Self::Hold => "hold",
            Self::Approval => "approval",
            Self::Link => "link",
            Self::Marker => "marker",
            Self::LastSuccess => "last-success",
            Self::LastFullScan => "last-full-scan",
            Self::Scrub => "scrub",
            Self::Boot => "boot",
            Self::Withheld => "withheld",
            Self::Pause => "pause",
        }
    }
}

pub(super) fn get<T: DeserializeOwned>(db: &Connection, note: Note) -> Result<Option<T>, IndexError> {
    let json: Option<String> =
        db.prepare_cached(include_str!("sql/note_get.sql"))?.query_row([note.as_str()], |row| row.get(0)).optional()?;
    json.map(|json| serde_json::from_str(&json)).transpose().map_err(IndexError::corrupt)
}

pub(super) fn set<T: Serialize>(db: &Connection, note: Note, value: Option<&T>) -> Result<(), IndexError> {
    match value {
        None => db.prepare_cached(include_str!("sql/note_delete.sql"))?.execute([note.as_str()])?,
        Some(value) => {
            let json = serde_json::to_string(value).map_err(IndexError::Unwritable)?;
            db.prepare_cached(include_str!("sql/note_set.sql"))?.execute([note.as_str(), &json])?
        }
    };
    Ok(())
}
