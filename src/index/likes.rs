//! Which content the server has already under another name, or in the trash: what it can be asked to copy, or to rename.

use std::collections::BTreeSet;

use rusqlite::Params;

use super::{Index, IndexError, books, rows};
use crate::model::{Digest, Entry, Fingerprint, RelPath};

/// A smaller file costs as much to copy on the server as to send. Part of the queries and of an index.
pub const LEAST: u64 = 64 * 1024;
/// A larger one is not read to find out whether the server has it.
pub const LARGEST: u64 = 1 << 30;
/// A larger file that has grown is not copied to add to it: the server's reply comes when the copy is made, and no reply may take for ever.
pub const LARGEST_GROWN: u64 = 16 << 30;
/// While more than this is pending it is not looked for what is alike: the query looks at all of it.
const MANY: u64 = 100_000;
/// So many places in the trash are looked at beyond those that are taken.
const PLACES: usize = 8;

impl Index {
    /// For each of these files (with its size and content) a path where the server is recorded to hold the same, if there is one: not
    /// for a file that could not be brought there before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn likes(&self, files: &[(RelPath, u64, Digest)]) -> Result<Vec<Option<RelPath>>, IndexError> {
        let mut like = self.db.prepare_cached(include_str!("sql/like.sql"))?;
        let mut find = |(path, size, digest): &(RelPath, u64, Digest)| {
            if rows::get(&self.db, path)?.is_none_or(|held| held.attempts > 0) {
                return Ok(None);
            }
            let mut found = like.query((size.cast_signed(), digest.0, path.to_key()))?;
            found.next()?.map(|row| rows::path(row, 0)).transpose()
        };
        files.iter().map(&mut find).collect()
    }

    /// Of each of these pending paths whether nothing has failed there yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn untried(&self, paths: &[RelPath]) -> Result<Vec<bool>, IndexError> {
        paths.iter().map(|path| Ok(rows::get(&self.db, path)?.is_some_and(|held| held.attempts == 0))).collect()
    }

    /// For each of these files (with its size and content) a place in the trash where the same lies, if there is one; no place twice, and
    /// none that is not `free`. Not for a file that could not be brought there before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trashed(
        &self,
        files: &[(RelPath, u64, Digest)],
        free: impl Fn(&RelPath) -> bool,
    ) -> Result<Vec<Option<RelPath>>, IndexError> {
        let mut alike = self.db.prepare_cached(include_str!("sql/trash_alike.sql"))?;
        let mut taken = BTreeSet::new();
        let mut places = Vec::with_capacity(files.len());
        for (path, size, digest) in files {
            let mut place = None;
            if rows::get(&self.db, path)?.is_some_and(|held| held.attempts == 0) {
                let mut found = alike.query((size.cast_signed(), digest.0, rows::limit(taken.len() + PLACES)))?;
                while let (None, Some(row)) = (&place, found.next()?) {
                    place = Some(rows::path(row, 0)?).filter(|place| free(place) && !taken.contains(place));
                }
            }
            taken.extend(place.clone());
            places.push(place);
        }
        Ok(places)
    }

    /// Pending files, at most `limit`, that nobody has read and that may be equal to one on the server, or to each other.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undigested_alike(&self, limit: usize) -> Result<Vec<(RelPath, Fingerprint)>, IndexError> {
        self.undigested_by(include_str!("sql/undigested_alike.sql"), (rows::limit(limit), LARGEST.cast_signed()))
    }

    /// Pending files, at most `limit`, that nobody has read and that may be equal to one in the trash.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undigested_trashed(&self, limit: usize) -> Result<Vec<(RelPath, Fingerprint)>, IndexError> {
        self.undigested_by(include_str!("sql/undigested_trashed.sql"), [rows::limit(limit)])
    }

    fn undigested_by(&self, sql: &str, parameters: impl Params) -> Result<Vec<(RelPath, Fingerprint)>, IndexError> {
        let pending = books::totals(&self.db)?.pending_files;
        if pending == 0 || pending > MANY {
            return Ok(Vec::new());
        }
        let files = rows::select(&self.db, sql, parameters)?.into_iter().filter_map(|held| match held.observed {
            Some(Entry::File { print, .. }) => Some((held.path, print)),
            _ => None,
        });
        Ok(files.collect())
    }
}
