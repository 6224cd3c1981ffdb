//! The queue: the rows where the two sides differ, in stretches, in numbers, and with what keeps them. Read-only.

use rusqlite::Connection;

use super::{
    Index, IndexError, NO_TIME, Reader, books, fold,
    held::{FURTHEST_RETRY, Held},
    moves, rows,
};
use crate::model::{Entry, Problem, RelPath, Row, UnixMillis, Window};

/// The mirror in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Files here that the server does not have, or not like this.
    pub pending_files: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Directories here that the server does not have.
    pub pending_dirs: u64,
    /// Files and directories on the server that are gone here.
    pub pending_removals: u64,
    /// Of all pending ones: those that failed and wait for their time.
    pub waiting: u64,
    /// Of all pending ones: those that failed and wait for a change.
    pub parked: u64,
    /// Files on the server.
    pub recorded_files: u64,
    /// Their bytes.
    pub recorded_bytes: u64,
    /// Since when the oldest pending one is pending.
    pub oldest_pending: Option<UnixMillis>,
}

/// A path that could not be mirrored, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PathProblem {
    /// Which.
    pub path: RelPath,
    /// Why.
    pub problem: Problem,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again; `None`: it is parked until it changes.
    pub retry_at: Option<UnixMillis>,
    /// Since when it is pending.
    pub since: Option<UnixMillis>,
}

/// A pending path that nothing keeps: it waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Which.
    pub path: RelPath,
    /// What is here.
    pub observed: Option<Entry>,
    /// What the server is known to hold.
    pub recorded: Option<Entry>,
    /// Since when it is pending.
    pub since: Option<UnixMillis>,
}

/// The queue, for those who ask what is in it, and for those who hurry it.
impl Index {
    /// The first `limit` pending paths that nothing keeps, in preorder, after `after`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn queued(&self, after: Option<&RelPath>, limit: usize) -> Result<Vec<Queued>, IndexError> {
        queued(&self.db, after, limit)
    }

    /// What failed at or below `prefix`, or anywhere, is due again as if it had never been tried, but for what was put back. How many
    /// paths.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn retry(&mut self, prefix: Option<&RelPath>) -> Result<usize, IndexError> {
        let is_meant = |held: &Held| prefix.is_none_or(|prefix| held.path.is_at_or_below(prefix));
        self.write(NO_TIME, |books| books.change_problems(|held| is_meant(held) && held.start_over()))
    }
}

impl Reader {
    /// As [`Index::queued`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn queued(&self, after: Option<&RelPath>, limit: usize) -> Result<Vec<Queued>, IndexError> {
        queued(self.db(), after, limit)
    }

    /// As [`Index::problems`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn problems(&self, limit: usize) -> Result<Vec<PathProblem>, IndexError> {
        problems(self.db(), limit)
    }

    /// As [`Index::tally`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tally(&self, now: UnixMillis) -> Result<Tally, IndexError> {
        tally(self.db(), now)
    }
}

fn queued(db: &Connection, after: Option<&RelPath>, limit: usize) -> Result<Vec<Queued>, IndexError> {
    let after = after.map(RelPath::to_key).unwrap_or_default();
    let found = rows::select(db, include_str!("sql/queue.sql"), (after, rows::limit(limit)))?;
    let shown = |Held { path, observed, recorded, since, .. }: Held| Queued { path, observed, recorded, since };
    Ok(found.into_iter().map(shown).collect())
}

pub(super) fn window(db: &Connection, after: Option<&RelPath>, limit: usize, now: UnixMillis) -> Result<Window, IndexError> {
    let limit = limit.max(1);
    let after = after.map(RelPath::to_key).unwrap_or_default();
    let mut stretch = rows::select(db, include_str!("sql/window.sql"), (&after, rows::limit(limit.saturating_add(1))))?;
    let cut = cut(&mut stretch, limit);
    let mut found = Vec::with_capacity(stretch.len());
    if let Some(first) = stretch.first() {
        for ancestor in first.path.ancestors() {
            found.extend(rows::get(db, &ancestor)?.filter(Held::pending));
        }
        found.reverse();
    }
    found.extend(stretch);
    Ok(Window { rows: found.into_iter().map(|held| held.into_row(now)).collect(), cut, ..Window::default() })
}

pub(super) fn edits(db: &Connection, paths: &[RelPath], now: UnixMillis) -> Result<Window, IndexError> {
    let mut rows: Vec<Row> = Vec::with_capacity(paths.len());
    for path in paths {
        let Some(held) = rows::get(db, path)?.filter(Held::pending) else { continue };
        let is_file = matches!(held.observed, Some(Entry::File { .. }));
        let may_be_replaced = matches!(held.recorded, None | Some(Entry::File { .. }));
        if !is_file || !may_be_replaced {
            continue;
        }
        if let Some(parent) = path.parent() {
            let is_there = |held: Held| !held.pending() && matches!(held.recorded, Some(Entry::Dir { .. }));
            if !rows::get(db, &parent)?.is_some_and(is_there) {
                continue;
            }
        }
        let row = [held.into_row(now)];
        if moves::sources(db, &row, now)?.is_empty() && fold::twins(db, &row, now)?.is_empty() {
            rows.extend(row);
        }
    }
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    rows.dedup_by(|a, b| a.path == b.path);
    Ok(Window { rows, ..Window::default() })
}

pub(super) fn removals(db: &Connection, before: Option<&RelPath>, limit: usize, now: UnixMillis) -> Result<Window, IndexError> {
    let limit = limit.max(1);
    let before = before.map_or_else(rows::after_all, RelPath::to_key);
    let mut stretch = rows::select(db, include_str!("sql/removals.sql"), (&before, rows::limit(limit.saturating_add(1))))?;
    let cut = cut(&mut stretch, limit);
    let rows = stretch.into_iter().rev().map(|held| held.into_row(now)).collect();
    Ok(Window { rows, cut, ..Window::default() })
}

pub(super) fn tally(db: &Connection, now: UnixMillis) -> Result<Tally, IndexError> {
    let totals = books::totals(db)?;
    let waiting: i64 =
        db.prepare_cached(include_str!("sql/waiting.sql"))?.query_row((now.0, now.after(FURTHEST_RETRY).0), |row| row.get(0))?;
    Ok(Tally {
        pending_files: totals.pending_files,
        pending_bytes: totals.pending_bytes,
        pending_dirs: totals.pending_dirs,
        pending_removals: totals.vanished_files.wrapping_add(totals.vanished_dirs),
        waiting: waiting.cast_unsigned(),
        parked: totals.parked,
        recorded_files: totals.recorded_files,
        recorded_bytes: totals.recorded_bytes,
        oldest_pending: oldest(db)?,
    })
}

pub(super) fn next_retry(db: &Connection, after: UnixMillis) -> Result<Option<UnixMillis>, IndexError> {
    let mut next = db.prepare_cached(include_str!("sql/next_retry.sql"))?;
    Ok(next.query_row([after.0], |row| row.get::<_, Option<i64>>(0))?.map(UnixMillis))
}

pub(super) fn problems(db: &Connection, limit: usize) -> Result<Vec<PathProblem>, IndexError> {
    let found = rows::select(db, include_str!("sql/problems.sql"), (Vec::new(), rows::limit(limit)))?;
    let list = found.into_iter().filter_map(|held| {
        let Held { path, since, attempts, not_before, problem, .. } = held;
        problem.map(|problem| PathProblem { path, problem, attempts, retry_at: not_before, since })
    });
    Ok(list.collect())
}

/// Takes away what is more than `limit`; then the last one that stays is the cut.
fn cut(stretch: &mut Vec<Held>, limit: usize) -> Option<RelPath> {
    let more = stretch.len() > limit;
    stretch.truncate(limit);
    stretch.last().filter(|_| more).map(|held| held.path.clone())
}

fn oldest(db: &Connection) -> Result<Option<UnixMillis>, IndexError> {
    let mut oldest = db.prepare_cached(include_str!("sql/oldest.sql"))?;
    Ok(oldest.query_row([], |row| row.get::<_, Option<i64>>(0))?.map(UnixMillis))
}
