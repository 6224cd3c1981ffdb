//! [`Ledger`]: what the index holds of one path and of what lies below it, for somebody who asks. Read-only.

use rusqlite::Connection;

use super::{IndexError, held::Held, proof, rotation, rows};
use crate::model::{Entry, Problem, Proof, RelPath, UnixMillis};

/// More than this many pending rows are not counted one by one.
const COUNTED: usize = 100_000;

/// What the index holds of one path. For the root there are no sides, only what lies below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What a scan last saw there.
    pub observed: Option<Entry>,
    /// What the server is known to hold.
    pub recorded: Option<Entry>,
    /// Whether the two differ.
    pub pending: bool,
    /// Since when.
    pub since: Option<UnixMillis>,
    /// What keeps it, or else the nearest directory above it that something keeps.
    pub trouble: Option<Trouble>,
    /// How much is pending below it; 100,000 stands for that and more.
    pub pending_below: u64,
    /// The first of what is kept below it.
    pub trouble_below: Option<Trouble>,
    /// Whether a job that is not settled touches it or something below it.
    pub promised: bool,
    /// When the server's copy was last proven, since it was sent.
    pub proof: Option<Proof>,
}

/// What keeps a path from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which path.
    pub path: RelPath,
    /// Why.
    pub problem: Problem,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again; `None`: it is parked until it changes.
    pub retry_at: Option<UnixMillis>,
}

pub(super) fn ledger(db: &Connection, path: Option<&RelPath>) -> Result<Ledger, IndexError> {
    let mut ledger = Ledger::default();
    let (first, end) = rows::range(path);
    if let Some(path) = path {
        let mut kept = None;
        if let Some(held) = rows::get(db, path)? {
            ledger.pending = held.pending();
            (ledger.observed, ledger.recorded, ledger.since) = (held.observed, held.recorded, held.since);
            kept = trouble(held);
        }
        for above in path.ancestors() {
            if kept.is_none() {
                kept = rows::get(db, &above)?.and_then(trouble);
            }
        }
        ledger.trouble = kept;
        ledger.proof = proof::get(db, path)?;
    }
    let below = |sql: &str| -> Result<i64, IndexError> {
        Ok(db.prepare_cached(sql)?.query_row((&first, &end, rows::limit(COUNTED)), |row| row.get(0))?)
    };
    ledger.pending_below = below(include_str!("sql/pending_below.sql"))?.unsigned_abs();
    let kept = rows::select(db, include_str!("sql/problem_below.sql"), (&first, &end))?;
    ledger.trouble_below = kept.into_iter().next().and_then(trouble);
    ledger.promised =
        db.prepare_cached(include_str!("sql/job_within.sql"))?.query_row((&first, &end), |row| row.get::<_, bool>(0))?;
    if let Some(path) = path {
        ledger.promised |= rotation::is_busy(db, path, true)?;
    }
    Ok(ledger)
}

fn trouble(held: Held) -> Option<Trouble> {
    let Held { path, attempts, not_before, problem, .. } = held;
    problem.map(|problem| Trouble { path, problem, attempts, retry_at: not_before })
}
