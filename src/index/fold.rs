//! Paths that differ in case only, which some servers take for one: twins. Which of them is mirrored is for the planner to
//! say; here they are found, and where the server folds no two of them are recorded.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{IndexError, books::Books, held::Held, rows};
use crate::model::{Entry, Fingerprint, RelPath, Row, UnixMillis};

/// Keys read at a time.
const PAGE: usize = 1000;

/// Fills in the folded keys of rows that an older version wrote. After a crash it is done again.
pub(super) fn fill(db: &mut Connection) -> Result<(), IndexError> {
    let marked: Option<i64> = db.query_row("SELECT 1 FROM note WHERE name = 'unfolded'", [], |row| row.get(0)).optional()?;
    if marked.is_none() {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut after = Vec::new();
    loop {
        let page = keys(&tx, include_str!("sql/unfolded.sql"), &after)?;
        for key in &page {
            let path = RelPath::from_key(key).map_err(IndexError::corrupt)?;
            if let Some(fold) = rows::fold(&path) {
                tx.prepare_cached(include_str!("sql/fold.sql"))?.execute((key, fold))?;
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(last),
            _ => break,
        }
    }
    tx.execute("DELETE FROM note WHERE name = 'unfolded'", [])?;
    Ok(tx.commit()?)
}

/// The recorded rows that a server which folds case takes for `path`, itself left out.
pub(super) fn recorded(db: &Connection, path: &RelPath) -> Result<Vec<RelPath>, IndexError> {
    let found = family(db, &path.folded().to_key())?.into_iter();
    Ok(found.filter(|held| held.path != *path && held.recorded.is_some()).map(|held| held.path).collect())
}

/// The server was found to fold: of several twins that are recorded it holds one, and nobody knows in which state.
pub(super) fn merge(books: &mut Books<'_>) -> Result<(), IndexError> {
    let mut after = Vec::new();
    loop {
        let page = keys(books.db(), include_str!("sql/folds.sql"), &after)?;
        for key in &page {
            let mut twins = family(books.db(), key)?;
            twins.retain(|held| held.recorded.is_some());
            twins.sort_by(|a, b| a.path.cmp(&b.path));
            if twins.len() > 1 {
                for (n, held) in twins.iter().enumerate() {
                    let unknown = held.recorded.filter(|_| n == 0).map(|entry| match entry {
                        Entry::File { print, .. } => Entry::file(Fingerprint::unknown(print.size), None),
                        other => other.with_mode(None),
                    });
                    books.change(&held.path, |held| held.told(unknown))?;
                }
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(last),
            _ => return Ok(()),
        }
    }
}

/// See [`super::Index::twins`].
pub(super) fn twins(db: &Connection, window: &[Row], now: UnixMillis) -> Result<Vec<Row>, IndexError> {
    let known: BTreeSet<&RelPath> = window.iter().map(|row| &row.path).collect();
    let mut found = BTreeMap::<RelPath, Held>::new();
    let mut asked = BTreeSet::<Vec<u8>>::new();
    for row in window.iter().filter(|row| row.observed.is_some()) {
        let path = row.path.folded();
        for folded in std::iter::once(path.clone()).chain(path.ancestors()) {
            let key = folded.to_key();
            if asked.contains(&key) {
                // So were the directories above it.
                break;
            }
            let family = family(db, &key)?;
            if family.len() > 1 {
                found.extend(family.into_iter().filter(|held| !known.contains(&held.path)).map(|held| (held.path.clone(), held)));
            }
            asked.insert(key);
        }
    }
    Ok(found.into_values().map(|held| held.into_row(now)).collect())
}

/// Every row with this folded key.
fn family(db: &Connection, key: &[u8]) -> Result<Vec<Held>, IndexError> {
    rows::select(db, include_str!("sql/twins.sql"), [key])
}

fn keys(db: &Connection, sql: &str, after: &[u8]) -> Result<Vec<Vec<u8>>, IndexError> {
    let mut statement = db.prepare_cached(sql)?;
    let keys = statement.query_map((after, rows::limit(PAGE)), |row| row.get(0))?;
    Ok(keys.collect::<Result<_, _>>()?)
}
