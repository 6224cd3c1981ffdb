//! Directories that were renamed: which of them the server has under another name, and what is recorded once it has renamed one.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::{IndexError, books::Books, held::Held, rows};
use crate::model::{Entry, Fingerprint, MovedDir, RelPath};

/// So many are looked at.
const MOST: usize = 1000;
/// So much is removed from one before it is renamed; where more has to go, it moves file by file.
const MOST_REST: usize = 1000;
/// Rows read at a time.
const PAGE: usize = 1000;
/// So long is a chain of directories of which each takes the name of the next.
const CHAIN: usize = 16;

/// The directories that seem to be on the server under another name: the inode says so, and so do most of the files in it. An
/// inode alone does not, as the next directory that is made may have that of one that was removed.
pub(super) fn moved(db: &Connection) -> Result<Vec<MovedDir>, IndexError> {
    let mut moved: Vec<MovedDir> = Vec::new();
    for (to, from) in pairs(db)? {
        // What is in one goes along.
        let is_inside = moved.iter().any(|outer| to.is_at_or_below(&outer.to)) || from.overlaps(&to);
        if is_inside || from.folded() == to.folded() {
            continue;
        }
        let Some(behind) = behind(db, &from)? else { continue };
        if let Some(rest) = rest(db, &from, &to)? {
            moved.push(MovedDir { from, to, rest });
            moved.extend(behind);
        }
    }
    Ok(moved)
}

/// Of each of these directories another name under which it was seen, if there is one: by what is noted, it has two.
pub(super) fn elsewhere(db: &Connection, dirs: &[(RelPath, u64)]) -> Result<Vec<(RelPath, RelPath)>, IndexError> {
    let mut seen = db.prepare_cached(include_str!("sql/seen_dir.sql"))?;
    let mut found = Vec::new();
    for (path, inode) in dirs {
        let mut rows = seen.query((inode.cast_signed(), path.to_key()))?;
        if let Some(row) = rows.next()? {
            found.push((path.clone(), rows::path(row, 0)?));
        }
    }
    Ok(found)
}

/// New name and old name.
fn pairs(db: &Connection) -> Result<Vec<(RelPath, RelPath)>, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/moved_dirs.sql"))?;
    let mut rows = statement.query([rows::limit(MOST)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((rows::path(row, 0)?, rows::path(row, 1)?));
    }
    Ok(found)
}

/// What takes the name `from` when it is free: nothing, or a directory whose own name is given up in the same way, and so on. `None`
/// where the name is not given up: it would be missing until what is there now was sent.
fn behind(db: &Connection, from: &RelPath) -> Result<Option<Vec<MovedDir>>, IndexError> {
    let mut behind: Vec<MovedDir> = Vec::new();
    while behind.len() < CHAIN {
        let to = behind.last().map_or(from, |last| &last.from).clone();
        match rows::get(db, &to)?.and_then(|held| held.observed) {
            None => return Ok(Some(behind)),
            Some(Entry::Dir { inode, .. }) if inode != 0 => {
                let former = rows::select(db, include_str!("sql/left_dir.sql"), [inode.cast_signed()])?.into_iter().next();
                let Some(former) = former.filter(|former| !former.path.overlaps(&to)) else { return Ok(None) };
                behind.push(MovedDir { from: former.path, to, rest: Vec::new() });
            }
            Some(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// What is recorded below `from` and has no place below `to`, if that is not too much; `None` also where most files are not those
/// that were sent: then it is another directory.
fn rest(db: &Connection, from: &RelPath, to: &RelPath) -> Result<Option<Vec<RelPath>>, IndexError> {
    let (mut after, end) = rows::range(Some(from));
    let (mut rest, mut files, mut same) = (BTreeSet::new(), 0_usize, 0_usize);
    loop {
        let (page, is_last) = page(db, &mut after, &end)?;
        for Held { path, recorded, .. } in page {
            let (Some(recorded), Some(place)) = (recorded, path.moved(from, to)) else { continue };
            let here = rows::get(db, &place)?.and_then(|held| held.observed);
            if let Entry::File { print, .. } = recorded {
                files += 1;
                same += usize::from(matches!(here, Some(Entry::File { print: here, .. }) if here.moved_from(&print)));
            }
            if here.is_none() && !is_below(db, &recorded, to)? {
                rest.insert(path);
            } else {
                // What holds it goes along with it.
                path.ancestors().take_while(|dir| dir != from).for_each(|dir| {
                    rest.remove(&dir);
                });
            }
            if rest.len() > MOST_REST {
                return Ok(None);
            }
        }
        if is_last {
            return Ok((same > 0 && 2 * same >= files).then(|| rest.into_iter().collect()));
        }
    }
}

/// The next rows between two keys, and whether they are the last; `after` becomes the key of the last of them.
fn page(db: &Connection, after: &mut Vec<u8>, end: &[u8]) -> Result<(Vec<Held>, bool), IndexError> {
    let page = rows::select(db, include_str!("sql/below.sql"), (&*after, end, rows::limit(PAGE)))?;
    let is_last = page.len() < PAGE;
    if let Some(last) = page.last() {
        *after = last.path.to_key();
    }
    Ok((page, is_last))
}

/// Whether what was recorded is under another name below `to`.
fn is_below(db: &Connection, recorded: &Entry, to: &RelPath) -> Result<bool, IndexError> {
    let (first, end) = rows::range(Some(to));
    match recorded {
        Entry::File { print: Fingerprint { inode, size, mtime_ns, .. }, .. } if *inode != 0 => {
            let mut below = db.prepare_cached(include_str!("sql/arrived_below.sql"))?;
            Ok(below.exists((inode.cast_signed(), size.cast_signed(), mtime_ns, first, end))?)
        }
        Entry::Dir { inode, .. } if *inode != 0 => {
            Ok(db.prepare_cached(include_str!("sql/arrived_dir_below.sql"))?.exists((inode.cast_signed(), first, end))?)
        }
        _ => Ok(false),
    }
}

/// What lies below `from` on the server lies below `to`: `record` is told of each, first what is at the new name.
pub(super) fn carry(
    books: &mut Books<'_>,
    from: &RelPath,
    to: &RelPath,
    mut record: impl FnMut(&mut Books<'_>, &RelPath, Option<Entry>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let (mut after, end) = rows::range(Some(from));
    let stays = rows::limit(after.len().saturating_add(1));
    for sql in [include_str!("sql/proof_move.sql"), include_str!("sql/left_move.sql")] {
        books.db().prepare_cached(sql)?.execute((&after, &end, to.to_key(), stays))?;
    }
    loop {
        let (page, is_last) = page(books.db(), &mut after, &end)?;
        for Held { path, recorded, .. } in page {
            if let (Some(_), Some(place)) = (recorded, path.moved(from, to)) {
                record(books, &place, recorded)?;
                record(books, &path, None)?;
            }
        }
        if is_last {
            return Ok(());
        }
    }
}
