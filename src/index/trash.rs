//! What lies in the mirror's trash on the server, and what was left on the server. Written by settled jobs, as the recorded
//! side is; what goes when is asked for here, and done by jobs.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::{Index, IndexError, NO_TIME, Reader, books::Books, held::FURTHEST_RETRY, likes::LARGEST, rows};
use crate::model::{Digest, Entry, Fingerprint, Kind, Operation, RelPath, Retention, UnixMillis};

/// So many things are put back at most by one undo.
const MOST_UNDONE: usize = 100_000;
/// What was removed is not removed for good before this, even if the trash is too large: one has to notice first.
const GRACE: std::time::Duration = std::time::Duration::from_secs(60 * 60);
/// A directory of the trash gets no more after this: it is one day's, and nothing waits in promise for so long.
const DAY_IS_OVER: std::time::Duration = std::time::Duration::from_secs(2 * 86_400);
/// What could not be removed from the trash is tried again after this.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(86_400);
/// What could not be done to a path so often is tried without keeping the old version first: a server may not come to an end
/// with the copy.
const GIVES_WAY: u32 = 3;

/// What is to be put back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undo {
    /// What was at or below this path; `None` is everywhere.
    pub path: Option<RelPath>,
    /// What was removed no earlier than this; `None` is ever.
    pub since: Option<UnixMillis>,
    /// Old versions of what is there still, too, wherever they were; else one only at the very path that is asked for.
    pub versions: bool,
}

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trashed<P = RelPath> {
    /// Where it was.
    pub path: P,
    /// Bytes.
    pub size: u64,
    /// When it was removed, or replaced.
    pub at: UnixMillis,
    /// Whether it is an old version, and takes the place of what is there now.
    #[serde(default)]
    pub replaces: bool,
}

/// An old version that is wanted back over what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it lies.
    pub place: RelPath,
    /// Where it was.
    pub path: RelPath,
    /// What is recorded there now.
    pub over: Fingerprint,
    /// Whether a copy of that is in the trash.
    pub kept: bool,
}

/// A file in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub place: RelPath,
    /// Where it was.
    pub path: RelPath,
    /// Bytes.
    pub size: u64,
    /// When it was last modified, in nanoseconds since the Unix epoch, where that is known.
    pub mtime_ns: Option<i64>,
}

/// The trash.
impl Index {
    /// What `undo` would put back, in preorder: of each path what was removed last, unless something is there now; and old versions,
    /// over the file that is there now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undoable(&self, undo: &Undo) -> Result<Vec<Trashed>, IndexError> {
        Ok(candidates(&self.db, undo)?.into_iter().map(|(_, trashed)| trashed).collect())
    }

    /// Notes that it is to be put back; [`Self::wanted`] has the operations. The same as [`Self::undoable`] said of it.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is noted.
    pub fn undo(&mut self, undo: &Undo) -> Result<Vec<Trashed>, IndexError> {
        self.write(NO_TIME, |books| {
            let found = candidates(books.db(), undo)?;
            for (place, _) in &found {
                books.db().prepare_cached(include_str!("sql/trash_want.sql"))?.execute([place.to_key()])?;
            }
            Ok(found.into_iter().map(|(_, trashed)| trashed).collect())
        })
    }

    /// At most `limit` operations that put back what is wanted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn wanted(&self, limit: usize, now: UnixMillis) -> Result<Vec<Operation>, IndexError> {
        let mut wanted = self.db.prepare_cached(include_str!("sql/trash_wanted.sql"))?;
        let mut rows = wanted.query((now.0, now.after(FURTHEST_RETRY).0, rows::limit(limit)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Operation::Restore { place: rows::path(row, 0)?, path: rows::path(row, 1)? });
        }
        Ok(found)
    }

    /// At most `limit` old versions that are wanted back over a file that is here and there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn wanted_over(&self, limit: usize, now: UnixMillis) -> Result<Vec<Wanted>, IndexError> {
        let mut wanted = self.db.prepare_cached(include_str!("sql/trash_wanted_over.sql"))?;
        let mut rows = wanted.query((now.0, now.after(FURTHEST_RETRY).0, rows::limit(limit)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (place, path) = (rows::path(row, 0)?, rows::path(row, 1)?);
            let recorded = rows::get(&self.db, &path)?.and_then(|held| held.recorded);
            let Some(Entry::File { print: over, .. }) = recorded else { continue };
            let kept = is_kept(&self.db, &path, &over)?;
            found.push(Wanted { place, path, over, kept });
        }
        Ok(found)
    }

    /// Nothing is wanted back over a file any more: the server cannot keep what is there. Which paths that is about.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn unwant_versions(&mut self) -> Result<Vec<RelPath>, IndexError> {
        let wanted = self.wanted_over(MOST_UNDONE, UnixMillis(i64::MAX))?;
        self.write(NO_TIME, |books| wanted.iter().try_for_each(|wanted| unwant(books, &wanted.path)))?;
        Ok(wanted.into_iter().map(|wanted| wanted.path).collect())
    }

    /// At most `limit` operations that remove what has been in the trash for too long, oldest first, then what is too much, then
    /// its empty directories.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn expired(&self, retention: &Retention, limit: usize, now: UnixMillis) -> Result<Vec<Operation>, IndexError> {
        let mut found = oldest(&self.db, Due { before: before(now, retention.age), versions: false }, limit, u64::MAX, now)?;
        if found.is_empty() {
            let over = size(&self.db)?.saturating_sub(retention.bytes);
            found = oldest(&self.db, Due { before: before(now, GRACE), versions: true }, limit, over, now)?;
        }
        if found.is_empty() {
            found = empty_dirs(&self.db, limit, now)?;
        }
        Ok(found)
    }

    /// At most `limit` operations that remove what has been in the trash for longest: the server is full.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn dispensable(&self, limit: usize, now: UnixMillis) -> Result<Vec<Operation>, IndexError> {
        oldest(&self.db, Due::EVERYTHING, limit, u64::MAX, now)
    }

    /// The versions at `paths` that are worth a copy before they are replaced: recorded as files, not in the trash
    /// yet, and small enough for it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn replaceable(&self, paths: &[RelPath], retention: &Retention) -> Result<Vec<Option<Fingerprint>>, IndexError> {
        let mut room = retention.bytes.saturating_mul(2).saturating_sub(size(&self.db)?);
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            let held = rows::get(&self.db, path)?.filter(|held| held.attempts < GIVES_WAY);
            // What a crash left in doubt counts: it may be the old version.
            let mut print = match held.and_then(|held| held.recorded) {
                Some(Entry::File { print, .. }) => Some(print),
                _ => None,
            };
            print = print.filter(|print| print.size <= retention.bytes.min(LARGEST) && print.size <= room);
            if let Some(version) = print {
                if is_kept(&self.db, path, &version)? {
                    print = None;
                } else {
                    room -= version.size;
                }
            }
            found.push(print);
        }
        Ok(found)
    }

    /// Leaves what is recorded at these paths on the server: from now on nothing is known to be there.
    ///
    /// # Errors
    /// When the file cannot be written; then none of it is left.
    pub fn leave(&mut self, paths: &[RelPath], now: UnixMillis) -> Result<(), IndexError> {
        self.write(now, |books| {
            for path in paths {
                let recorded = books.change(path, |held| {
                    let recorded = held.recorded;
                    held.record(None);
                    recorded
                })?;
                let (kind, size, mtime) = recorded.map_or(("file", 0, None), known);
                let mut insert = books.db().prepare_cached(include_str!("sql/left_put.sql"))?;
                insert.execute(params![path.to_key(), kind, size.cast_signed(), mtime, now.0])?;
            }
            Ok(())
        })
    }

    /// Where files and links lie in the trash.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn places(&self) -> Result<Vec<RelPath>, IndexError> {
        let all = oldest(&self.db, Due::EVERYTHING, usize::MAX, u64::MAX, UnixMillis(i64::MAX))?;
        let wanted = self.wanted(usize::MAX, UnixMillis(i64::MAX))?;
        let place = |operation: Operation| match operation {
            Operation::Restore { place, .. } | Operation::Expire { place, .. } => Some(place),
            _ => None,
        };
        let over = self.wanted_over(usize::MAX, UnixMillis(i64::MAX))?.into_iter().map(|wanted| wanted.place);
        Ok(all.into_iter().chain(wanted).filter_map(place).chain(over).collect())
    }

    /// The first `limit` paths behind `after` that were left on the server, in preorder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn left_there(&self, after: Option<&RelPath>, limit: usize) -> Result<Vec<RelPath>, IndexError> {
        let mut left = self.db.prepare_cached(include_str!("sql/left_there.sql"))?;
        let mut rows = left.query((after.map(RelPath::to_key).unwrap_or_default(), rows::limit(limit)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(rows::path(row, 0)?);
        }
        Ok(found)
    }
}

impl Reader {
    /// As [`Index::undoable`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undoable(&self, undo: &Undo) -> Result<Vec<Trashed>, IndexError> {
        Ok(candidates(self.db(), undo)?.into_iter().map(|(_, trashed)| trashed).collect())
    }

    /// The files at and below `path` that were there at the time `at` and were removed since, as far as they lie in the trash;
    /// of each path the one that was there first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trashed_after(&self, path: Option<&RelPath>, at: UnixMillis) -> Result<Vec<Kept>, IndexError> {
        let (first, end) = rows::range(path);
        let mut then = self.db().prepare_cached(include_str!("sql/trash_then.sql"))?;
        let mut rows = then.query((first, end, at.0, rows::limit(MOST_UNDONE)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let size = row.get::<_, i64>(2)?.cast_unsigned();
            found.push(Kept { place: rows::path(row, 0)?, path: rows::path(row, 1)?, size, mtime_ns: row.get(3)? });
        }
        Ok(found)
    }

    /// Whether `path`, or something below it, was left on the server.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_left(&self, path: &RelPath) -> Result<bool, IndexError> {
        let mut left = self.db().prepare_cached(include_str!("sql/left_at.sql"))?;
        Ok(left.query_row(rows::range(Some(path)), |row| row.get(0))?)
    }
}

/// `recorded` was at `path` and is at `place` now.
pub(super) fn put(books: &Books<'_>, place: &RelPath, path: &RelPath, recorded: Option<Entry>) -> Result<(), IndexError> {
    let (kind, size, mtime) = match recorded {
        Some(Entry::Dir { .. }) | None => ("file", 0, None),
        Some(entry) => known(entry),
    };
    let digest = match recorded {
        Some(Entry::File { digest, .. }) => digest,
        _ => None,
    };
    let mut insert = books.db().prepare_cached(include_str!("sql/trash_put.sql"))?;
    let digest = digest.map(|digest| digest.0);
    insert.execute(params![place.to_key(), path.to_key(), kind, size.cast_signed(), mtime, books.now().0, digest])?;
    put_dir(books, place)
}

/// A copy of this version of `path` is at `place`.
pub(super) fn keep(books: &Books<'_>, place: &RelPath, path: &RelPath, version: Fingerprint) -> Result<(), IndexError> {
    let digest = match rows::get(books.db(), path)?.and_then(|held| held.recorded) {
        Some(Entry::File { print, digest, .. }) if print == version => digest,
        _ => None,
    };
    put(books, place, path, Some(Entry::file(version, digest)))?;
    books.db().prepare_cached(include_str!("sql/trash_version.sql"))?.execute([place.to_key()])?;
    Ok(())
}

/// Whether this version of `path` is in the trash.
fn is_kept(db: &Connection, path: &RelPath, version: &Fingerprint) -> Result<bool, IndexError> {
    let mut kept = db.prepare_cached(include_str!("sql/trash_kept.sql"))?;
    Ok(kept.exists((path.to_key(), version.size.cast_signed(), Some(version.mtime_ns).filter(|at| *at != 0)))?)
}

/// What is known of the file at `place`.
pub(super) fn version(db: &Connection, place: &RelPath) -> Result<Fingerprint, IndexError> {
    let mut get = db.prepare_cached(include_str!("sql/trash_get.sql"))?;
    let mut rows = get.query([place.to_key()])?;
    let Some(row) = rows.next()? else { return Ok(Fingerprint::unknown(0)) };
    let (size, mtime) = (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Option<i64>>(1)?);
    Ok(Fingerprint { mtime_ns: mtime.unwrap_or(0), ..Fingerprint::unknown(size) })
}

/// The file that is in the trash at `place`.
pub(super) fn held(db: &Connection, place: &RelPath) -> Result<Option<Entry>, IndexError> {
    let mut held = db.prepare_cached(include_str!("sql/trash_held.sql"))?;
    let mut rows = held.query([place.to_key()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (size, mtime) = (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Option<i64>>(1)?);
    let print = Fingerprint { mtime_ns: mtime.unwrap_or(0), ..Fingerprint::unknown(size) };
    Ok(Some(Entry::file(print, rows::digest(row, 2)?)))
}

/// No old version of `path` is wanted back over it any more.
pub(super) fn unwant(books: &Books<'_>, path: &RelPath) -> Result<(), IndexError> {
    books.db().prepare_cached(include_str!("sql/trash_unwant.sql"))?.execute([path.to_key()])?;
    Ok(())
}

/// The directory of the trash that `place` is in is there.
fn put_dir(books: &Books<'_>, place: &RelPath) -> Result<(), IndexError> {
    let mut insert = books.db().prepare_cached(include_str!("sql/trash_put.sql"))?;
    if let Some(dir) = place.parent() {
        insert.execute(params![dir.to_key(), None::<Vec<u8>>, "dir", 0, None::<i64>, books.now().0, None::<Vec<u8>>])?;
    }
    Ok(())
}

/// Nothing is at `place` any more.
pub(super) fn delete(books: &Books<'_>, place: &RelPath) -> Result<(), IndexError> {
    books.db().prepare_cached(include_str!("sql/trash_delete.sql"))?.execute([place.to_key()])?;
    Ok(())
}

/// Something could not be put back or removed. What has no time to be tried again is not wanted back any more, as it cannot be
/// had; its removal is tried again some day.
pub(super) fn failed(books: &Books<'_>, place: &RelPath, retry_at: Option<UnixMillis>) -> Result<(), IndexError> {
    let not_before = retry_at.unwrap_or(books.now().after(AGAIN));
    let mut update = books.db().prepare_cached(include_str!("sql/trash_failed.sql"))?;
    update.execute((place.to_key(), retry_at.is_some(), not_before.0))?;
    Ok(())
}

/// What was in the trash at `place` is at its path again, and is not recorded there.
pub(super) fn restored(books: &Books<'_>, place: &RelPath) -> Result<(), IndexError> {
    books.db().prepare_cached(include_str!("sql/left_restored.sql"))?.execute((place.to_key(), books.now().0))?;
    delete(books, place)
}

/// Everything of which nothing is here any more stays on the server, and is not recorded there.
pub(super) fn leave_vanished(books: &Books<'_>) -> Result<(), IndexError> {
    books.db().prepare_cached(include_str!("sql/left_vanished.sql"))?.execute([books.now().0])?;
    Ok(())
}

/// What was left at `path`.
pub(super) fn left(db: &Connection, path: &RelPath) -> Result<Option<Entry>, IndexError> {
    let mut left = db.prepare_cached(include_str!("sql/left_get.sql"))?;
    let mut rows = left.query([path.to_key()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let kind: String = row.get(0)?;
    let (size, mtime) = (row.get::<_, i64>(1)?.cast_unsigned(), row.get::<_, Option<i64>>(2)?);
    Ok(Some(match kind.as_str() {
        "dir" => Entry::dir(0),
        "link" => Entry::Link { target: Digest([0; 32]) },
        _ => Entry::file(Fingerprint { mtime_ns: mtime.unwrap_or(0), ..Fingerprint::unknown(size) }, None),
    }))
}

/// Kind, bytes and time of modification, where that is known.
fn known(entry: Entry) -> (&'static str, u64, Option<i64>) {
    match entry {
        Entry::File { print, .. } => ("file", print.size, Some(print.mtime_ns).filter(|at| *at != 0)),
        Entry::Link { .. } => ("link", 0, None),
        Entry::Dir { .. } => ("dir", 0, None),
    }
}

/// Bytes of all that is in the trash.
fn size(db: &Connection) -> Result<u64, IndexError> {
    let size: i64 = db.prepare_cached(include_str!("sql/trash_size.sql"))?.query_row([], |row| row.get(0))?;
    Ok(size.cast_unsigned())
}

fn candidates(db: &Connection, undo: &Undo) -> Result<Vec<(RelPath, Trashed)>, IndexError> {
    let (first, end) = rows::range(undo.path.as_ref());
    let since = undo.since.map_or(i64::MIN, |at| at.0);
    let mut candidates = db.prepare_cached(include_str!("sql/trash_undo.sql"))?;
    let mut rows = candidates.query((first, end, since, rows::limit(MOST_UNDONE), undo.versions, LARGEST.cast_signed()))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let size = row.get::<_, i64>(2)?.cast_unsigned();
        let trashed = Trashed { path: rows::path(row, 1)?, size, at: UnixMillis(row.get(3)?), replaces: row.get(4)? };
        found.push((rows::path(row, 0)?, trashed));
    }
    Ok(found)
}

/// What may go from the trash.
#[derive(Clone, Copy)]
struct Due {
    /// What came before this time,
    before: i64,
    /// and all versions, whenever they came.
    versions: bool,
}

impl Due {
    const EVERYTHING: Self = Self { before: i64::MAX, versions: true };
}

/// What is due, oldest first, until it has `bytes`.
fn oldest(db: &Connection, due: Due, limit: usize, bytes: u64, now: UnixMillis) -> Result<Vec<Operation>, IndexError> {
    let mut oldest = db.prepare_cached(include_str!("sql/trash_oldest.sql"))?;
    let mut rows = oldest.query((due.before, now.0, now.after(AGAIN).0, rows::limit(limit), due.versions))?;
    let (mut found, mut sum) = (Vec::new(), 0_u64);
    while let Some(row) = rows.next()? {
        if sum >= bytes {
            break;
        }
        sum = sum.saturating_add(row.get::<_, i64>(1)?.cast_unsigned());
        found.push(Operation::Expire { place: rows::path(row, 0)?, kind: Kind::File });
    }
    Ok(found)
}

fn empty_dirs(db: &Connection, limit: usize, now: UnixMillis) -> Result<Vec<Operation>, IndexError> {
    let mut empty = db.prepare_cached(include_str!("sql/trash_empty_dirs.sql"))?;
    let mut rows = empty.query((before(now, DAY_IS_OVER), now.0, now.after(AGAIN).0, rows::limit(limit)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Operation::Expire { place: rows::path(row, 0)?, kind: Kind::Dir });
    }
    Ok(found)
}

fn before(now: UnixMillis, age: std::time::Duration) -> i64 {
    now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
