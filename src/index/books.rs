//! [`Books`]: one transaction over the entry table that keeps the totals. The only way that rows of it change.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    IndexError,
    held::{Held, Totals},
    proof, rows,
};
use crate::model::{Entry, RelPath, UnixMillis};

/// Rows read ahead at a time when a whole subtree changes.
const PAGE: usize = 1000;

/// An open transaction; dropped without [`Books::close`] it changes nothing.
pub(super) struct Books<'c> {
    tx: Transaction<'c>,
    before: Totals,
    totals: Totals,
    now: UnixMillis,
    folds: bool,
}

impl<'c> Books<'c> {
    /// Begins a transaction at the time `now`; whether the server `folds` case.
    pub(super) fn open(db: &'c mut Connection, now: UnixMillis, folds: bool) -> Result<Self, IndexError> {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = totals(&tx)?;
        Ok(Self { tx, before, totals: before, now, folds })
    }

    /// For what is not the entry table.
    pub(super) fn db(&self) -> &Connection {
        &self.tx
    }

    /// The time that this transaction goes by.
    pub(super) fn now(&self) -> UnixMillis {
        self.now
    }

    /// Whether names that differ in case only are one on the server.
    pub(super) fn folds(&self) -> bool {
        self.folds
    }

    /// Applies `change` to the row of `path`, which holds nothing if there is none.
    pub(super) fn change<T>(&mut self, path: &RelPath, change: impl FnOnce(&mut Held) -> T) -> Result<T, IndexError> {
        let old = rows::get(&self.tx, path)?.unwrap_or_else(|| Held::nothing(path.clone()));
        self.apply(&old, change)
    }

    /// Notes what was observed, of paths in their order, if none has a row, nor any between them. Whether it did.
    pub(super) fn add(&mut self, observed: &[(&RelPath, &Entry)]) -> Result<bool, IndexError> {
        let ((Some((first, _)), Some((last, _))), true) =
            ((observed.first(), observed.last()), observed.is_sorted_by(|(a, _), (b, _)| a < b))
        else {
            return Ok(false);
        };
        if rows::any(&self.tx, first, last)? {
            return Ok(false);
        }
        let new = observed.iter().map(|(path, entry)| {
            let mut held = Held { observed: Some(**entry), ..Held::nothing((*path).clone()) };
            held.tidy(self.now);
            held
        });
        let new: Vec<Held> = new.collect();
        rows::add(&self.tx, &new)?;
        new.iter().for_each(|held| self.totals.add(held));
        Ok(true)
    }

    /// Applies `change` to every row below `path` (not to its own). How many times that was `true`.
    pub(super) fn change_below(&mut self, path: &RelPath, change: impl FnMut(&mut Held) -> bool) -> Result<usize, IndexError> {
        let (first, end) = rows::range(Some(path));
        self.change_pages(first, change, |db, after| {
            rows::select(db, include_str!("sql/below.sql"), (after, &end, rows::limit(PAGE)))
        })
    }

    /// Applies `change` to every row. How many times that was `true`.
    pub(super) fn change_all(&mut self, change: impl FnMut(&mut Held) -> bool) -> Result<usize, IndexError> {
        let (first, end) = rows::range(None);
        self.change_pages(first, change, |db, after| {
            rows::select(db, include_str!("sql/below.sql"), (after, &end, rows::limit(PAGE)))
        })
    }

    /// Applies `change` to every row with a problem. How many times that was `true`.
    pub(super) fn change_problems(&mut self, change: impl FnMut(&mut Held) -> bool) -> Result<usize, IndexError> {
        self.change_pages(Vec::new(), change, |db, after| {
            rows::select(db, include_str!("sql/problems.sql"), (after, rows::limit(PAGE)))
        })
    }

    /// Applies `change` to every row of a file that was recorded with a ctime behind this one. How many times that was `true`.
    pub(super) fn change_recent(&mut self, ctime_ns: i64, change: impl FnMut(&mut Held) -> bool) -> Result<usize, IndexError> {
        self.change_pages(Vec::new(), change, |db, after| {
            rows::select(db, include_str!("sql/recent.sql"), (after, ctime_ns, rows::limit(PAGE)))
        })
    }

    /// How many files are gone here and not on the server.
    pub(super) fn vanished_files(&self) -> u64 {
        self.totals.vanished_files
    }

    /// Applies `change` to every row of which nothing is here any more. How many times that was `true`.
    pub(super) fn change_vanished(&mut self, change: impl FnMut(&mut Held) -> bool) -> Result<usize, IndexError> {
        self.change_pages(Vec::new(), change, |db, after| {
            rows::select(db, include_str!("sql/vanished.sql"), (after, rows::limit(PAGE)))
        })
    }

    /// Commits.
    pub(super) fn close(self) -> Result<(), IndexError> {
        if self.totals != self.before {
            let sums = self.totals.to_array().map(u64::cast_signed);
            self.tx.prepare_cached(include_str!("sql/set_total.sql"))?.execute(rusqlite::params_from_iter(sums))?;
        }
        Ok(self.tx.commit()?)
    }

    fn change_pages(
        &mut self,
        mut after: Vec<u8>,
        mut change: impl FnMut(&mut Held) -> bool,
        page: impl Fn(&Connection, &[u8]) -> Result<Vec<Held>, IndexError>,
    ) -> Result<usize, IndexError> {
        let mut count = 0;
        loop {
            let rows = page(&self.tx, &after)?;
            let last = rows.len() < PAGE;
            if let Some(row) = rows.last() {
                after = row.path.to_key();
            }
            for row in rows {
                count += usize::from(self.apply(&row, &mut change)?);
            }
            if last {
                return Ok(count);
            }
        }
    }

    fn apply<T>(&mut self, old: &Held, change: impl FnOnce(&mut Held) -> T) -> Result<T, IndexError> {
        let mut new = old.clone();
        let answer = change(&mut new);
        new.tidy(self.now);
        if new != *old {
            rows::put(&self.tx, &new)?;
            if old.recorded.is_none() && new.recorded.is_some() {
                self.tx.prepare_cached(include_str!("sql/left_delete.sql"))?.execute([new.path.to_key()])?;
            }
            if matches!(old.recorded, Some(Entry::File { .. })) && old.recorded != new.recorded {
                proof::void(&self.tx, &new.path)?;
            }
            self.totals.replace(old, &new);
        }
        Ok(answer)
    }
}

/// The totals as they are.
pub(super) fn totals(db: &Connection) -> Result<Totals, IndexError> {
    let sums = db.prepare_cached(include_str!("sql/total.sql"))?.query_row([], |row| {
        let mut sums = [0; 9];
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = row.get::<_, i64>(at)?.cast_unsigned();
        }
        Ok(sums)
    })?;
    Ok(Totals::from_array(sums))
}
