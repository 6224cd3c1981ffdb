//! Names that went round: how such a job is kept, and what may tell, after a crash, whether its directories were renamed.

use rusqlite::Connection;

use super::{IndexError, rows};
use crate::model::{Entry, Fingerprint, RelPath};

/// Between two keys; no key has this in it.
const BETWEEN: [u8; 2] = [0, 0];
/// So many rows below a name are looked at for what differs from another.
const LOOKS: usize = 1000;
/// So many of these are enough.
const WITNESSES: usize = 4;

/// A path below the first of the names of directories that go round, at which something else is to be found before than after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Where.
    pub path: RelPath,
    /// What is there while nothing was renamed.
    pub before: Option<Entry>,
    /// What is there when everything was.
    pub after: Option<Entry>,
}

pub(super) fn pack(others: &[RelPath]) -> Vec<u8> {
    others.iter().map(RelPath::to_key).collect::<Vec<_>>().join(&BETWEEN[..])
}

pub(super) fn unpack(mut packed: &[u8]) -> Result<Vec<RelPath>, IndexError> {
    let mut others = Vec::new();
    loop {
        let end = packed.windows(BETWEEN.len()).position(|pair| pair == BETWEEN);
        others.push(RelPath::from_key(&packed[..end.unwrap_or(packed.len())]).map_err(IndexError::corrupt)?);
        match end {
            Some(end) => packed = &packed[end + BETWEEN.len()..],
            None => return Ok(others),
        }
    }
}

/// Whether such a job touches `path` itself, or what is below it as well.
pub(super) fn is_busy(db: &Connection, path: &RelPath, below: bool) -> Result<bool, IndexError> {
    let touches = |name: &RelPath| if below { name.is_at_or_below(path) } else { name == path };
    Ok(all(db)?.iter().any(|(_, names)| names.iter().any(touches)))
}

/// A rule ignores `path`: what becomes of such a job must not bring a row back there.
pub(super) fn forget(db: &Connection, path: &RelPath) -> Result<(), IndexError> {
    for (id, names) in all(db)? {
        if names.iter().any(|name| name.overlaps(path)) {
            db.prepare_cached(include_str!("sql/job_forget_one.sql"))?.execute([id])?;
        }
    }
    Ok(())
}

/// What tells whether the directories `first` and `last` were renamed, of which the last gets the name of the first.
pub(super) fn witnesses(db: &Connection, first: &RelPath, last: &RelPath) -> Result<Vec<Witness>, IndexError> {
    let mut found = Vec::new();
    let recorded = |path: &RelPath| Ok::<_, IndexError>(rows::get(db, path)?.and_then(|held| held.recorded));
    for (own, is_first) in [(first, true), (last, false)] {
        let (after, end) = rows::range(Some(own));
        for held in rows::select(db, include_str!("sql/below.sql"), (&after, &end, rows::limit(LOOKS)))? {
            let (Some(path), Some(other)) = (renamed(&held.path, own, first), renamed(&held.path, own, last)) else { continue };
            let (before, after) = if is_first { (held.recorded, recorded(&other)?) } else { (recorded(&path)?, held.recorded) };
            if found.len() < WITNESSES && tells(before.as_ref(), after.as_ref()) {
                found.push(Witness { path, before, after });
            }
        }
    }
    found.dedup();
    Ok(found)
}

fn renamed(path: &RelPath, from: &RelPath, to: &RelPath) -> Option<RelPath> {
    if from == to { Some(path.clone()) } else { path.moved(from, to) }
}

/// Whether a server can tell one from the other.
fn tells(before: Option<&Entry>, after: Option<&Entry>) -> bool {
    let seconds = |print: &Fingerprint| (print.size, print.mtime_ns.div_euclid(1_000_000_000));
    match (before, after) {
        (Some(Entry::File { print: a, .. }), Some(Entry::File { print: b, .. })) => {
            a.inode != 0 && b.inode != 0 && seconds(a) != seconds(b)
        }
        (Some(Entry::File { print, .. }), None) | (None, Some(Entry::File { print, .. })) => print.inode != 0,
        _ => false,
    }
}

/// Each of them with all its names.
fn all(db: &Connection) -> Result<Vec<(i64, Vec<RelPath>)>, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/job_rings.sql"))?;
    let mut found = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let mut names = unpack(row.get_ref(2)?.as_blob().map_err(IndexError::corrupt)?)?;
        names.insert(0, rows::path(row, 1)?);
        all.push((row.get(0)?, names));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_they_are() {
        let names = ["a", "b/c/d", "e f"].map(|name| RelPath::new(name).expect("a path"));
        for count in 1..=names.len() {
            assert_eq!(unpack(&pack(&names[..count])).expect("packed"), &names[..count]);
        }
        assert!(unpack(b"").is_err());
    }
}
