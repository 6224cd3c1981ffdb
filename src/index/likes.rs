//! Which content the server has already under another name: what it can be asked to copy.

use super::{Index, IndexError, books, rows};
use crate::model::{Digest, Entry, Fingerprint, RelPath};

/// A smaller file costs as much to copy on the server as to send. Part of the queries and of an index.
pub const LEAST: u64 = 64 * 1024;
/// A larger one is not copied: the server's reply comes when the copy is made, and no reply may take for ever.
pub const LARGEST: u64 = 256 << 20;
/// While more than this is pending it is not looked for what is alike: the query looks at all of it.
const MANY: u64 = 100_000;

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

    /// Pending files, at most `limit`, that nobody has read and that may be equal to one on the server, or to each other.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undigested_alike(&self, limit: usize) -> Result<Vec<(RelPath, Fingerprint)>, IndexError> {
        let pending = books::totals(&self.db)?.pending_files;
        if pending == 0 || pending > MANY {
            return Ok(Vec::new());
        }
        let found =
            rows::select(&self.db, include_str!("sql/undigested_alike.sql"), (rows::limit(limit), LARGEST.cast_signed()))?;
        let files = found.into_iter().filter_map(|held| match held.observed {
            Some(Entry::File { print, .. }) => Some((held.path, print)),
            _ => None,
        });
        Ok(files.collect())
    }
}
