//! [`Reader`]: a connection of its own that only reads, for scans beside the writer and for other processes.

use std::path::Path;

use rusqlite::Connection;
use serde::de::DeserializeOwned;

use super::{IndexError, Ledger, Note, SCHEMA, books, chunks, connect, ledger, lock::private_file, notes, rotation, rows};
use crate::model::{Chunks, Digest, Entry, Fingerprint, RelPath, Row, UnixMillis};

/// Rows read at a time. Between two pages no transaction is open, so that the log can be checkpointed.
const PAGE: usize = 1000;

/// Reads an index that somebody else may be writing.
#[derive(Debug)]
pub struct Reader {
    db: Connection,
}

impl Reader {
    /// Opens the index `file`, which must exist. Unlike [`super::Index::open`] this changes nothing, so it is right
    /// beside a running daemon.
    ///
    /// # Errors
    /// When the file cannot be opened, or its schema is another one.
    pub fn open(file: &Path) -> Result<Self, IndexError> {
        Ok(Self { db: connect::read_only(file, &SCHEMA)? })
    }

    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    /// What was observed at and below `prefix` (`None`: everywhere), in preorder. Pages are read as they are needed;
    /// what is written meanwhile may be in later pages.
    pub fn under(&mut self, prefix: Option<&RelPath>) -> Under<'_> {
        let (next, end) = rows::range(prefix);
        Under { db: &self.db, next, end, page: Vec::new().into_iter(), last: false }
    }

    /// The first `limit` rows below `dir` (`None`: everywhere) that come after `after`, in preorder, whatever is known of them.
    /// Whether they are due is not told.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(&self, dir: Option<&RelPath>, after: Option<&RelPath>, limit: usize) -> Result<Vec<Row>, IndexError> {
        let (first, end) = rows::range(dir);
        let after = after.map_or(first, RelPath::to_key);
        let found = rows::select(&self.db, include_str!("sql/below.sql"), (after, end, rows::limit(limit)))?;
        Ok(found.into_iter().map(|held| Row { due: false, ..held.into_row(UnixMillis(0)) }).collect())
    }

    /// The row of `path`, likewise.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn row(&self, path: &RelPath) -> Result<Option<Row>, IndexError> {
        Ok(rows::get(&self.db, path)?.map(|held| Row { due: false, ..held.into_row(UnixMillis(0)) }))
    }

    /// What the local file at `path` was read to hold when it was in the state `print`, and its chunks, where they are known. `None` also
    /// of what is not on the server like that, or was concluded: this may be told to others.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known_by_reading(&self, path: &RelPath, print: &Fingerprint) -> Result<Option<(Digest, Option<Chunks>)>, IndexError> {
        let Some(digest) = rows::get(&self.db, path)?.and_then(|held| held.known_by_reading(print)) else { return Ok(None) };
        Ok(Some((digest, chunks::get(&self.db, digest)?)))
    }

    /// Whether an operation is promised that touches `path` itself, under its own name or a temporary one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_busy(&self, path: &RelPath) -> Result<bool, IndexError> {
        let at =
            self.db.prepare_cached(include_str!("sql/job_at.sql"))?.query_row([path.to_key()], |row| row.get::<_, bool>(0))?;
        Ok(at || rotation::is_busy(&self.db, path, false)?)
    }

    /// Whether the server is recorded to hold a file of this size, worth to be copied, under its name or in the trash.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_size(&self, size: u64) -> Result<bool, IndexError> {
        Ok(self.db.prepare_cached(include_str!("sql/has_size.sql"))?.query_row([size.cast_signed()], |row| row.get(0))?)
    }

    /// Where the server is recorded to hold a file with this content, worth to be copied: under its name, or in the trash; and what is
    /// recorded of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn holder(&self, size: u64, digest: Digest) -> Result<Option<(RelPath, Fingerprint)>, IndexError> {
        let mut holder = self.db.prepare_cached(include_str!("sql/holder.sql"))?;
        let mut found = holder.query((size.cast_signed(), digest.0))?;
        let place = |row: &rusqlite::Row<'_>| {
            let mtime_ns = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
            Ok((rows::path(row, 0)?, Fingerprint { mtime_ns, ..Fingerprint::unknown(size) }))
        };
        found.next()?.map(place).transpose()
    }

    /// How many files and links are recorded at and below `path` (`None`: everywhere), and their bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recorded(&self, path: Option<&RelPath>) -> Result<(u64, u64), IndexError> {
        let Some(path) = path else {
            let totals = books::totals(&self.db)?;
            return Ok((totals.recorded_files, totals.recorded_bytes));
        };
        let counted = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (files, bytes) =
            self.db.prepare_cached(include_str!("sql/weight.sql"))?.query_row(rows::range(Some(path)), counted)?;
        Ok((files.cast_unsigned(), bytes.cast_unsigned()))
    }

    /// As [`super::Index::ledger`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ledger(&self, path: Option<&RelPath>) -> Result<Ledger, IndexError> {
        ledger::ledger(&self.db, path)
    }

    /// A noted fact.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no `T` under this name.
    pub fn note<T: DeserializeOwned>(&self, note: Note) -> Result<Option<T>, IndexError> {
        notes::get(&self.db, note)
    }

    /// Writes a consistent copy to `file`, which must not exist or be empty.
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub fn copy_to(&self, file: &Path) -> Result<(), IndexError> {
        copy(&self.db, file)
    }
}

/// An iterator over observed entries; see [`Reader::under`]. It ends after its first error.
#[derive(Debug)]
pub struct Under<'r> {
    db: &'r Connection,
    next: Vec<u8>,
    end: Vec<u8>,
    page: std::vec::IntoIter<(RelPath, Entry)>,
    last: bool,
}

impl Under<'_> {
    fn turn(&mut self) -> Result<(), IndexError> {
        let found = rows::observed(self.db, (&self.next, &self.end, rows::limit(PAGE)))?;
        self.last = found.len() < PAGE;
        if let Some((path, _)) = found.last() {
            // The smallest key after this one.
            self.next = path.to_key();
            self.next.push(0);
        }
        self.page = found.into_iter();
        Ok(())
    }
}

impl Iterator for Under<'_> {
    type Item = Result<(RelPath, Entry), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && !self.last
            && let Err(error) = self.turn()
        {
            self.last = true;
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}

pub(super) fn copy(db: &Connection, file: &Path) -> Result<(), IndexError> {
    use std::os::unix::ffi::OsStrExt;
    drop(private_file(file)?);
    // A path as a blob would not do: VACUUM INTO wants text.
    let name = std::str::from_utf8(file.as_os_str().as_bytes()).map_err(|_| IndexError::Open {
        path: file.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is not UTF-8"),
    })?;
    db.execute("VACUUM INTO ?1", [name])?;
    Ok(())
}
