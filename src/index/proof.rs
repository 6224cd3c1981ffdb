//! What is proven of the server's copies, and what becomes of a record that was found to be wrong.

use rusqlite::{Connection, OptionalExtension};

use super::{Index, IndexError, books::Books, observe, rows};
use crate::model::{Entry, Fingerprint, Problem, Proof, ProofWay, RelPath, Row, UnixMillis};

/// What a look at the server's copy came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is as recorded.
    AsRecorded(ProofWay),
    /// Nothing is there.
    Nothing,
    /// Something else is there: it is to be sent again, by the way that drift goes. With a problem it is parked for that.
    Other(Option<Problem>),
}

/// How much is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proofs {
    /// Files that were proven since they were sent: by size and time alone,
    pub by_size: u64,
    /// by a checksum of the server's,
    pub by_checksum: u64,
    /// by being read back.
    pub by_reading: u64,
    /// When the oldest of these proofs was made.
    pub oldest: Option<UnixMillis>,
}

impl Proofs {
    /// Files that were proven since they were sent.
    pub fn files(&self) -> u64 {
        self.by_size + self.by_checksum + self.by_reading
    }
}

/// Proofs.
impl Index {
    /// The first `limit` rows of which something is recorded that come after `after`, in preorder. Whether they are due is not
    /// told.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recorded_after(&self, after: Option<&RelPath>, limit: usize) -> Result<Vec<Row>, IndexError> {
        let after = after.map(RelPath::to_key).unwrap_or_default();
        let found = rows::select(&self.db, include_str!("sql/recorded.sql"), (after, rows::limit(limit)))?;
        Ok(found.into_iter().map(|held| Row { due: false, ..held.into_row(UnixMillis(0)) }).collect())
    }

    /// Notes what was found at paths of which these entries were recorded; where something else is recorded by now, or a job
    /// is promised, it is void. How many paths are pending by that.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is noted.
    pub fn found(&mut self, found: &[(RelPath, Entry, Found)], now: UnixMillis) -> Result<usize, IndexError> {
        self.write(now, |books| {
            let mut pending = 0;
            for (path, entry, found) in found {
                let recorded = rows::get(books.db(), path)?.and_then(|held| held.recorded);
                if recorded == Some(*entry) && !observe::is_busy(books, path)? {
                    pending += note(books, path, found)?;
                }
            }
            Ok(pending)
        })
    }

    /// How much is proven.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn proofs(&self) -> Result<Proofs, IndexError> {
        let mut sums = self.db.prepare_cached(include_str!("sql/proof_sums.sql"))?;
        let mut rows = sums.query([])?;
        let mut proofs = Proofs::default();
        while let Some(row) = rows.next()? {
            *match way(&row.get::<_, String>(0)?)? {
                ProofWay::Size => &mut proofs.by_size,
                ProofWay::Checksum => &mut proofs.by_checksum,
                ProofWay::Reading => &mut proofs.by_reading,
            } = row.get::<_, i64>(1)?.unsigned_abs();
        }
        let oldest = self.db.prepare_cached(include_str!("sql/proof_oldest.sql"))?.query_row([], |row| row.get(0))?;
        Ok(Proofs { oldest: Option::<i64>::map(oldest, UnixMillis), ..proofs })
    }
}

fn note(books: &mut Books<'_>, path: &RelPath, found: &Found) -> Result<usize, IndexError> {
    match found {
        Found::AsRecorded(way) => {
            let mut put = books.db().prepare_cached(include_str!("sql/proof_put.sql"))?;
            put.execute((path.to_key(), books.now().0, way.as_str()))?;
            Ok(0)
        }
        Found::Nothing => observe::correct(books, &[(path.clone(), None)]),
        Found::Other(problem) => {
            books.change(path, |held| {
                held.mistrust();
                if let Some(problem) = problem {
                    held.park(problem);
                }
            })?;
            Ok(1)
        }
    }
}

/// The last proof of the file at `path`.
pub(super) fn get(db: &Connection, path: &RelPath) -> Result<Option<Proof>, IndexError> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = db.prepare_cached(include_str!("sql/proof_get.sql"))?.query_row([path.to_key()], read).optional()?;
    found.map(|(at, word)| Ok(Proof { at: UnixMillis(at), way: way(&word)? })).transpose()
}

/// What was proven of `path` is not any more.
pub(super) fn void(db: &Connection, path: &RelPath) -> Result<(), IndexError> {
    db.prepare_cached(include_str!("sql/proof_delete.sql"))?.execute([path.to_key()])?;
    Ok(())
}

/// What is recorded of a file of which the server has something else: what was sent, so that this is known as drift, but
/// no state of a file here, so that it is sent again.
pub(super) fn mistrusted(entry: Entry) -> Entry {
    match entry {
        Entry::File { print, mode, .. } => {
            Entry::File { print: Fingerprint { ctime_ns: 0, inode: 0, ..print }, digest: None, mode }
        }
        other => other,
    }
}

fn way(word: &str) -> Result<ProofWay, IndexError> {
    ProofWay::parse(word).ok_or_else(|| IndexError::corrupt("a proof of an unknown kind"))
}
