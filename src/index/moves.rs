//! What needs a view of all rows at once: where appeared files may come from, and how much is really to be deleted.
//! Read-only; whether a file is renamed is for the planner to decide.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use super::{IndexError, books, held::Held, rows};
use crate::model::{Entry, Fingerprint, RelPath, Row, UnixMillis};

/// How much would be deleted from the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Deletes {
    /// Files that are gone here and did not turn up elsewhere.
    pub files: u64,
    /// All files on the server.
    pub recorded: u64,
}

/// Files of which the server has another content under the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many.
    pub files: u64,
    /// How many of them are empty now, and were not.
    pub emptied: u64,
    /// Some of the others.
    pub sample: Vec<RelPath>,
}

/// Files in [`Changes::sample`].
const SAMPLE: usize = 64;

pub(super) fn changes(db: &Connection, ordinary: u64) -> Result<Changes, IndexError> {
    let totals = books::totals(db)?;
    // Few changes need no counting.
    if totals.pending_files <= ordinary || totals.pending_files.saturating_mul(2) <= totals.recorded_files {
        return Ok(Changes::default());
    }
    let (files, emptied): (i64, i64) =
        db.prepare_cached(include_str!("sql/changes.sql"))?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sample = rows::select(db, include_str!("sql/changed.sql"), [rows::limit(SAMPLE)])?;
    let sample = sample.into_iter().map(|held| held.path).collect();
    Ok(Changes { files: files.cast_unsigned(), emptied: emptied.cast_unsigned(), sample })
}

pub(super) fn sources(db: &Connection, window: &[Row], now: UnixMillis) -> Result<Vec<Row>, IndexError> {
    if books::totals(db)?.vanished_files == 0 {
        return Ok(Vec::new());
    }
    // Each group of equal files is asked for once, and needs no more sources than it has members.
    let (mut by_inode, mut by_content) = (HashMap::<_, usize>::new(), HashMap::<_, usize>::new());
    for row in window {
        let Some(Entry::File { print, digest, .. }) = row.observed else { continue };
        if row.recorded.is_some_and(|recorded| recorded.same_content(&Entry::file(print, digest))) {
            continue;
        }
        if print.inode != 0 {
            *by_inode.entry((print.inode.cast_signed(), print.size.cast_signed(), print.mtime_ns)).or_default() += 1;
        }
        if let Some(digest) = digest {
            *by_content.entry((print.size.cast_signed(), digest.0)).or_default() += 1;
        }
    }
    let known: HashSet<&RelPath> = window.iter().map(|row| &row.path).collect();
    let mut found = BTreeMap::<RelPath, Held>::new();
    let mut keep = |candidates: Vec<Held>| {
        found.extend(candidates.into_iter().filter(|held| !known.contains(&held.path)).map(|held| (held.path.clone(), held)));
    };
    for ((inode, size, mtime), members) in by_inode {
        keep(rows::select(db, include_str!("sql/sources_by_inode.sql"), (inode, size, mtime, rows::limit(members)))?);
    }
    for ((size, digest), members) in by_content {
        keep(rows::select(db, include_str!("sql/sources_by_content.sql"), (size, digest, rows::limit(members)))?);
    }
    Ok(found.into_values().map(|held| held.into_row(now)).collect())
}

pub(super) fn undigested(db: &Connection, limit: usize) -> Result<Vec<(RelPath, Fingerprint)>, IndexError> {
    let totals = books::totals(db)?;
    if totals.vanished_files == 0 || totals.pending_files == 0 {
        return Ok(Vec::new());
    }
    let sql = if totals.pending_files < totals.vanished_files {
        include_str!("sql/undigested_few.sql")
    } else {
        include_str!("sql/undigested.sql")
    };
    let found = rows::select(db, sql, [rows::limit(limit)])?;
    let files = found.into_iter().filter_map(|held| match held.observed {
        Some(Entry::File { print, .. }) => Some((held.path, print)),
        _ => None,
    });
    Ok(files.collect())
}

pub(super) fn deletes(db: &Connection) -> Result<Deletes, IndexError> {
    let totals = books::totals(db)?;
    let mut moved = 0;
    if totals.vanished_files > 0 && totals.pending_files > 0 {
        // From the smaller side: emptying a directory of a million files must not be slow to count.
        let by_inode = if totals.vanished_files <= totals.pending_files {
            include_str!("sql/moved_by_inode.sql")
        } else {
            include_str!("sql/moved_by_inode_few.sql")
        };
        for sql in [by_inode, include_str!("sql/moved_by_content.sql")] {
            moved += db.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0))?.cast_unsigned();
        }
    }
    Ok(Deletes { files: totals.vanished_files.saturating_sub(moved), recorded: totals.recorded_files })
}
