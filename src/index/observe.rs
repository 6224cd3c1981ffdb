//! What was found by looking: by scans, into the observed side; by an audit of the server, into the recorded side.

use super::{IndexError, books::Books, held::Held, rotation, rows, trash};
use crate::model::{Digest, Entry, Fingerprint, Observation, RelPath, Stat};

/// What a batch of observations came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Rows whose observed side is another now; what lay below a vanished directory counts too.
    pub changed: usize,
}

pub(super) fn observe(books: &mut Books<'_>, found: &[Observation]) -> Result<Observed, IndexError> {
    let mut changed = 0;
    // A directory that is new has everything in it in one run.
    let mut runs = found.chunk_by(|a, b| matches!((a, b), (Observation::Is(..), Observation::Is(..))));
    runs.try_for_each(|run| {
        let new = run.iter().map(|found| match found {
            Observation::Is(path, entry) => Some((path, entry)),
            Observation::Gone(_) | Observation::Ignored(_) => None,
        });
        let new: Option<Vec<_>> = new.collect();
        match new {
            Some(new) if books.add(&new)? => changed += new.len(),
            _ => changed += each(books, run)?,
        }
        Ok::<_, IndexError>(())
    })?;
    Ok(Observed { changed })
}

/// Notes one after another. How many rows are others now.
pub(super) fn each(books: &mut Books<'_>, found: &[Observation]) -> Result<usize, IndexError> {
    let mut changed = 0;
    for observation in found {
        changed += match observation {
            Observation::Is(path, entry) => {
                let (seen, emptied) = books.change(path, |held| {
                    let was_dir = matches!(held.observed, Some(Entry::Dir { .. }));
                    (held.see(Some(*entry)), was_dir && !matches!(entry, Entry::Dir { .. }))
                })?;
                // Nothing lies below a file.
                usize::from(seen) + if emptied { books.change_below(path, |held| held.see(None))? } else { 0 }
            }
            Observation::Gone(path) => {
                usize::from(books.change(path, |held| held.see(None))?) + books.change_below(path, |held| held.see(None))?
            }
            Observation::Ignored(path) => {
                books.db().prepare_cached(include_str!("sql/job_forget.sql"))?.execute(rows::range(Some(path)))?;
                books.db().prepare_cached(include_str!("sql/job_forget_above.sql"))?.execute([path.to_key()])?;
                rotation::forget(books.db(), path)?;
                usize::from(books.change(path, Held::forget)?) + books.change_below(path, Held::forget)?
            }
        };
    }
    Ok(changed)
}

/// Forgets every vanished row; a removal that is on its way does not bring one back.
pub(super) fn disown(books: &mut Books<'_>) -> Result<u64, IndexError> {
    let files = books.vanished_files();
    books.db().prepare_cached(include_str!("sql/job_disown.sql"))?.execute([])?;
    trash::leave_vanished(books)?;
    books.change_vanished(Held::forget)?;
    Ok(files)
}

pub(super) fn note_digest(books: &mut Books<'_>, path: &RelPath, read: &Fingerprint, found: Digest) -> Result<(), IndexError> {
    books.change(path, |held| held.read(read, found))
}

pub(super) fn correct(books: &mut Books<'_>, found: &[(RelPath, Option<Stat>)]) -> Result<usize, IndexError> {
    let mut changed = 0;
    for (path, stat) in found {
        if is_busy(books, path)? {
            continue;
        }
        let tell = |held: &mut Held| {
            let before = held.recorded;
            held.told(stat.map(Stat::to_entry));
            before != held.recorded
        };
        changed += usize::from(books.change(path, tell)?);
        if stat.is_none() {
            changed += books.change_below(path, tell)?;
        }
    }
    Ok(changed)
}

/// Whether anything is promised for `path`.
pub(super) fn is_busy(books: &Books<'_>, path: &RelPath) -> Result<bool, IndexError> {
    let at =
        books.db().prepare_cached(include_str!("sql/job_at.sql"))?.query_row([path.to_key()], |row| row.get::<_, bool>(0))?;
    Ok(at || rotation::is_busy(books.db(), path, false)?)
}
