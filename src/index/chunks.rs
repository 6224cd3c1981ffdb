//! What large files on the server hold, chunk by chunk: of what content it is known, so that of a changed file only the chunks that are
//! new need to be sent.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Index, IndexError};
use crate::model::{Chunks, Digest};

impl Index {
    /// Notes the chunks of a content of `size` bytes, and forgets those of the one that it `replaced`, if no file has that any more.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_chunks(
        &mut self,
        digest: Digest,
        size: u64,
        chunks: &Chunks,
        replaced: Option<Digest>,
    ) -> Result<(), IndexError> {
        let tx = self.db.transaction()?;
        let written = params![digest.0, size.cast_signed(), chunks.to_bytes()];
        tx.prepare_cached(include_str!("sql/chunks_put.sql"))?.execute(written)?;
        if let Some(replaced) = replaced {
            tx.prepare_cached(include_str!("sql/chunks_sweep.sql"))?.execute([Some(replaced.0)])?;
        }
        Ok(tx.commit()?)
    }

    /// The chunks of a content, if they are known.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn chunks(&self, digest: Digest) -> Result<Option<Chunks>, IndexError> {
        get(&self.db, digest)
    }
}

/// The chunks of a content, if they are known.
pub(super) fn get(db: &Connection, digest: Digest) -> Result<Option<Chunks>, IndexError> {
    let mut get = db.prepare_cached(include_str!("sql/chunks_get.sql"))?;
    let bytes: Option<Vec<u8>> = get.query_row([digest.0], |row| row.get(0)).optional()?;
    Ok(bytes.and_then(|bytes| Chunks::from_bytes(&bytes)))
}

/// Forgets the chunks of what no file on the server has.
pub(super) fn sweep(db: &Connection) -> Result<(), IndexError> {
    db.execute(include_str!("sql/chunks_sweep.sql"), [None::<[u8; 32]>])?;
    Ok(())
}
