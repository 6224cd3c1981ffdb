//! Directories that were renamed: which of them the server has under another name, and what is recorded once it has renamed one.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::{IndexError, books::Books, held::Held, rows};
use crate::model::{Entry, Fingerprint, MOST_ROTATED, MovedDir, RelPath};

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
        if let Some(rest) = match inside(db, &from, &to)? {
            Some(Inside { rest, files, same }) if same > 0 && 2 * same >= files => Some(rest),
            _ => None,
        } {
            moved.push(MovedDir { from, to, rest });
            moved.extend(behind);
        }
    }
    Ok(moved)
}

/// The directories that seem to have taken each other's names, apart from what is `moved` anyway. What is on the server in one and has no
/// place in it any more goes afterwards: what came in its place would be missing meanwhile.
pub(super) fn turned(db: &Connection, moved: &[MovedDir]) -> Result<Vec<MovedDir>, IndexError> {
    let mut former: BTreeMap<RelPath, RelPath> = BTreeMap::new();
    let mut statement = db.prepare_cached(include_str!("sql/turned_dirs.sql"))?;
    let mut found = statement.query([rows::limit(MOST)])?;
    while let Some(row) = found.next()? {
        former.entry(rows::path(row, 0)?).or_insert(rows::path(row, 1)?);
    }
    let mut taken: Vec<RelPath> = moved.iter().flat_map(|dir| [dir.from.clone(), dir.to.clone()]).collect();
    let mut turned = Vec::new();
    for first in former.keys() {
        let Some(ring) = ring(&former, first) else { continue };
        let is_free = |dir: &MovedDir| !taken.iter().any(|name| name.overlaps(&dir.to));
        let names: Vec<RelPath> = ring.iter().map(|dir| dir.to.folded()).collect();
        let is_apart = names.iter().enumerate().all(|(at, name)| !names[..at].iter().any(|other| other.overlaps(name)));
        if is_apart && ring.iter().all(is_free) && are_same(db, &ring)? {
            taken.extend(ring.iter().map(|dir| dir.to.clone()));
            turned.extend(ring);
        }
    }
    Ok(turned)
}

/// The directories that gave up their names to each other, if the one that is at `first` now is one.
fn ring(former: &BTreeMap<RelPath, RelPath>, first: &RelPath) -> Option<Vec<MovedDir>> {
    let mut ring: Vec<MovedDir> = Vec::new();
    let mut to = first;
    while ring.len() < MOST_ROTATED {
        let from = former.get(to)?;
        ring.push(MovedDir { from: from.clone(), to: to.clone(), rest: Vec::new() });
        if from == first {
            return (ring.len() > 1).then_some(ring);
        }
        to = from;
    }
    None
}

/// Whether most of what each had is in it unchanged.
fn are_same(db: &Connection, ring: &[MovedDir]) -> Result<bool, IndexError> {
    let mut known = 0;
    for MovedDir { from, to, .. } in ring {
        match inside(db, from, to)? {
            Some(Inside { files, same, .. }) if 2 * same >= files => known += same,
            _ => return Ok(false),
        }
    }
    Ok(known > 0)
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

/// What is recorded below a directory that seems to be below another name now.
struct Inside {
    /// What has no place there.
    rest: Vec<RelPath>,
    /// How many files there are, and how many of them are those that were sent: if these are few, it is another directory.
    files: usize,
    same: usize,
}

/// What is recorded below `from`, and whether it has its place below `to`; `None` if too much has not.
fn inside(db: &Connection, from: &RelPath, to: &RelPath) -> Result<Option<Inside>, IndexError> {
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
            return Ok(Some(Inside { rest: rest.into_iter().collect(), files, same }));
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
