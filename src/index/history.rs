//! What was done: a bounded table that nothing is decided by. What is added is on the disk with the next promise, not before:
//! no job waits for it.

use rusqlite::{Connection, params};

use super::{Index, IndexError, NORMAL, Reader, SYNCHRONOUS, rows};
use crate::model::{RelPath, UnixMillis};

/// So many rows are kept.
const KEPT: i64 = 10_000;

/// One thing that was done, or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its number; later ones have higher ones. Given by the index.
    pub id: i64,
    /// When it was settled.
    pub at: UnixMillis,
    /// What became of it, in one word.
    pub what: String,
    /// Where.
    pub path: RelPath,
    /// Where it was before, or where it went.
    pub other: Option<RelPath>,
    /// Bytes of body that were sent.
    pub bytes: Option<u64>,
    /// How large the file is, where those are a part of it.
    pub size: Option<u64>,
    /// Why it failed.
    pub why: Option<String>,
}

impl Index {
    /// Notes what was done, in this order; the ids given are not used. The oldest give way.
    ///
    /// # Errors
    /// When the file cannot be written; then none is noted.
    pub fn log(&mut self, done: &[Logged]) -> Result<(), IndexError> {
        if done.is_empty() {
            return Ok(());
        }
        let usual: i64 = self.db.pragma_query_value(None, SYNCHRONOUS, |row| row.get(0))?;
        self.db.pragma_update(None, SYNCHRONOUS, usual.min(NORMAL))?;
        let added = add(&mut self.db, done);
        self.db.pragma_update(None, SYNCHRONOUS, usual)?;
        added
    }

    /// The newest `limit` with an id above `after`, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn logged(&self, after: i64, limit: usize) -> Result<Vec<Logged>, IndexError> {
        logged(&self.db, after, limit)
    }

    /// The highest id; 0 before there was one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_logged(&self) -> Result<i64, IndexError> {
        let mut newest = self.db.prepare_cached(include_str!("sql/history_newest.sql"))?;
        Ok(newest.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0))
    }
}

impl Reader {
    /// As [`Index::logged`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn logged(&self, after: i64, limit: usize) -> Result<Vec<Logged>, IndexError> {
        logged(self.db(), after, limit)
    }
}

fn add(db: &mut Connection, done: &[Logged]) -> Result<(), IndexError> {
    let tx = db.transaction()?;
    for Logged { at, what, path, other, bytes, size, why, .. } in done {
        tx.prepare_cached(include_str!("sql/history_add.sql"))?.execute(params![
            at.0,
            what,
            path.to_key(),
            other.as_ref().map(RelPath::to_key),
            bytes.map(u64::cast_signed),
            size.map(u64::cast_signed),
            why,
        ])?;
    }
    tx.prepare_cached(include_str!("sql/history_trim.sql"))?.execute([KEPT])?;
    Ok(tx.commit()?)
}

fn logged(db: &Connection, after: i64, limit: usize) -> Result<Vec<Logged>, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/history_after.sql"))?;
    let mut found = Vec::new();
    let mut rows = statement.query((after, rows::limit(limit)))?;
    while let Some(row) = rows.next()? {
        found.push(Logged {
            id: row.get(0)?,
            at: UnixMillis(row.get(1)?),
            what: row.get(2)?,
            path: rows::path(row, 3)?,
            other: if row.get_ref(4)?.as_blob_or_null().map_err(IndexError::corrupt)?.is_some() {
                Some(rows::path(row, 4)?)
            } else {
                None
            },
            bytes: row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned),
            size: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
            why: row.get(7)?,
        });
    }
    found.reverse();
    Ok(found)
}
