//! The durable state of one mirror in SQLite: the two trees, the jobs between them, the retry columns. It decides nothing:
//! what is done about a difference is for the planner, and when it is tried again for the mirror.
//!
//! Every verb is one transaction: it has happened as a whole, or not at all. All methods block; call them off the
//! runtime's threads. Rows go through `held::Held`, a value with the rules, and `books::Books`, which keeps the totals.

mod aside;
mod books;
mod chunks;
mod connect;
mod dirs;
mod error;
mod fold;
mod held;
mod history;
mod jobs;
mod ledger;
mod likes;
mod lock;
mod moves;
mod notes;
mod observe;
mod pending;
mod profile;
mod proof;
mod reader;
mod rotation;
mod rows;
mod staging;
#[cfg(test)]
mod tests;
mod trash;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::{Serialize, de::DeserializeOwned};

pub use error::IndexError;
pub use held::FURTHEST_RETRY;
pub use history::Logged;
pub use ledger::{Ledger, Trouble};
pub use likes::{LARGEST as LARGEST_COPY, LARGEST_GROWN, LEAST as LEAST_COPY};
pub use lock::StateLock;
pub use moves::{Changes, Deletes};
pub use notes::Note;
pub use observe::Observed;
pub use pending::{PathProblem, Queued, Tally};
pub use profile::Profiles;
pub use proof::{Found, Proofs};
pub use reader::{Reader, Under};
pub use rotation::Witness;
pub use trash::{Kept, Trashed, Undo, Wanted};

use crate::model::{
    Digest, Entry, Fingerprint, Job, JobId, Kind, MovedDir, Observation, Operation, Problem, RelPath, Row, Settlement, Stat,
    UnixMillis, Window, is_trash,
};
use books::Books;

const SCHEMA: [&str; 12] = [
    include_str!("index/schema/0001.sql"),
    include_str!("index/schema/0002.sql"),
    include_str!("index/schema/0003.sql"),
    include_str!("index/schema/0004.sql"),
    include_str!("index/schema/0005.sql"),
    include_str!("index/schema/0006.sql"),
    include_str!("index/schema/0007.sql"),
    include_str!("index/schema/0008.sql"),
    include_str!("index/schema/0009.sql"),
    include_str!("index/schema/0010.sql"),
    include_str!("index/schema/0011.sql"),
    include_str!("index/schema/0012.sql"),
];

/// For the verbs that make no row pending: only the beginning of that has a time.
const NO_TIME: UnixMillis = UnixMillis(0);

/// Which commits wait for the disk.
const SYNCHRONOUS: &str = "synchronous";

/// None does; but those that do later take along what was committed before them, and nothing can damage the file.
const NORMAL: i64 = 1;

/// How far back from its last moment a machine that lost its power may not have written what was written to a file. Linux begins
/// after 30 s; laptop modes wait for minutes.
const UNWRITTEN_NS: i64 = 5 * 60 * 1_000_000_000;

/// The index of one mirror, and its one writer. Hold a [`StateLock`] while there is one.
#[derive(Debug)]
pub struct Index {
    db: Connection,
    file: PathBuf,
    instance: String,
    folds: bool,
}

impl Index {
    /// Opens `file` (made with mode 0600 if missing, in a directory with mode 0700), brings its schema up to date, notes
    /// `now` as its [`Note::Created`] if it is new, and puts every job that it finds in doubt: nobody knows what became
    /// of it.
    ///
    /// # Errors
    /// [`IndexError::Newer`] when a later version wrote it, with nothing touched; else when the file cannot be used.
    pub fn open(file: &Path, now: UnixMillis) -> Result<Self, IndexError> {
        let mut db = connect::read_write(file, &SCHEMA)?;
        fold::fill(&mut db)?;
        jobs::doubt_all(&db)?;
        chunks::sweep(&db)?;
        if notes::get::<UnixMillis>(&db, Note::Created)?.is_none() {
            notes::set(&db, Note::Created, Some(&now))?;
        }
        let instance = notes::get(&db, Note::Instance)?.ok_or_else(|| IndexError::corrupt("it has no instance"))?;
        Ok(Self { db, file: file.to_owned(), instance, folds: false })
    }

    /// As [`Self::open`]; but a damaged file, or one that was found `damaged` when it was used, is moved aside with its date
    /// and begun anew. Where to, if it was: nothing of it is used any more, and nothing is known to be on the server.
    ///
    /// # Errors
    /// As for [`Self::open`], but never [`IndexError::Corrupt`] for what a new file can mend.
    pub fn open_anew(file: &Path, now: UnixMillis, damaged: bool) -> Result<(Self, Option<PathBuf>), IndexError> {
        if !damaged {
            match Self::open(file, now) {
                Err(IndexError::Corrupt(_)) => {}
                opened => return opened.map(|index| (index, None)),
            }
        }
        let aside = aside::move_aside(file, now)?;
        Self::open(file, now).map(|index| (index, aside))
    }

    /// Eight hexadecimal digits, made with the index; they are in the name of every temporary file of its jobs.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Another connection to the same file, for reading alone.
    ///
    /// # Errors
    /// When the file cannot be opened once more.
    pub fn reader(&self) -> Result<Reader, IndexError> {
        Reader::open(&self.file)
    }

    /// Writes a consistent copy to `file`, which must not exist or be empty: a dry run uses one.
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub fn copy_to(&self, file: &Path) -> Result<(), IndexError> {
        reader::copy(&self.db, file)
    }
}

/// What scans found.
impl Index {
    /// Notes what a scan found. What is gone is so with all below it, and so is what lay below a directory that is a
    /// file now. What is ignored is forgotten on both sides, with all below it; jobs in flight do not bring it back.
    ///
    /// A change clears the retry columns. A digest that was known of an unchanged file is kept.
    ///
    /// Alone of all verbs it is not on the disk when this returns, but with the next one that is: after a power cut everything is
    /// looked at again anyway.
    ///
    /// # Errors
    /// When the file cannot be written; then none of it is noted.
    pub fn observe(&mut self, found: &[Observation], now: UnixMillis) -> Result<Observed, IndexError> {
        let usual: i64 = self.db.pragma_query_value(None, SYNCHRONOUS, |row| row.get(0))?;
        self.db.pragma_update(None, SYNCHRONOUS, usual.min(NORMAL))?;
        let observed = self.write(now, |books| observe::observe(books, found));
        self.db.pragma_update(None, SYNCHRONOUS, usual)?;
        observed
    }

    /// Notes what a file's content is, if it still has the fingerprint `print`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_digest(&mut self, path: &RelPath, print: &Fingerprint, digest: Digest) -> Result<(), IndexError> {
        self.write(NO_TIME, |books| observe::note_digest(books, path, print, digest))
    }

    /// Whether anything was observed and not gone since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn observed_any(&self) -> Result<bool, IndexError> {
        Ok(books::totals(&self.db)?.observed > 0)
    }
}

/// The queue: what is pending.
impl Index {
    /// The first `limit` (at least one) pending rows after `after` in preorder, preceded by the pending ancestors of the
    /// first of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn window(&self, after: Option<&RelPath>, limit: usize, now: UnixMillis) -> Result<Window, IndexError> {
        pending::window(&self.db, after, limit, now)
    }

    /// The last `limit` (at least one) rows before `before` of which nothing is there any more, in preorder. The cut is the
    /// first of them, when more precede it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn removals(&self, before: Option<&RelPath>, limit: usize, now: UnixMillis) -> Result<Window, IndexError> {
        pending::removals(&self.db, before, limit, now)
    }

    /// Where the server folds case: see [`Window::twins`]; none of them is in `rows`. Empty otherwise.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn twins(&self, rows: &[Row], now: UnixMillis) -> Result<Vec<Row>, IndexError> {
        if self.folds { fold::twins(&self.db, rows, now) } else { Ok(Vec::new()) }
    }

    /// Notes what keeps each of these pending paths from being tried at all. That is no attempt.
    ///
    /// # Errors
    /// When the file cannot be written; then none is noted.
    pub fn park(&mut self, found: &[(RelPath, Problem)]) -> Result<(), IndexError> {
        self.write(NO_TIME, |books| found.iter().try_for_each(|(path, problem)| books.change(path, |held| held.park(problem))))
    }

    /// Vanished files that are not in `rows`, in preorder, from which pending files in `rows` may have been moved: by
    /// [`Fingerprint::moved_from`] or an equal digest. Never more than twice as many as there are rows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn sources(&self, rows: &[Row], now: UnixMillis) -> Result<Vec<Row>, IndexError> {
        moves::sources(&self.db, rows, now)
    }

    /// The directories that seem to be on the server under another name, and that nothing keeps from being renamed there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn moved_dirs(&self) -> Result<Vec<MovedDir>, IndexError> {
        let totals = books::totals(&self.db)?;
        let mut moved = Vec::new();
        if totals.pending_dirs > 0 && totals.vanished_dirs > 0 {
            moved = dirs::moved(&self.db)?;
        }
        if totals.pending_dirs > 1 {
            moved.extend(dirs::turned(&self.db, &moved)?);
        }
        Ok(moved)
    }

    /// Of directories whose names go round: what tells whether they were renamed on the server. Of anything else nothing does.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn witnesses(&self, operation: &Operation) -> Result<Vec<Witness>, IndexError> {
        match operation {
            Operation::Rotate { path, others, kind: Kind::Dir, .. } => match others.last() {
                Some(last) => rotation::witnesses(&self.db, path, last),
                None => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// Of each of these directories, given with its inode, another name under which it was seen, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn elsewhere(&self, dirs: &[(RelPath, u64)]) -> Result<Vec<(RelPath, RelPath)>, IndexError> {
        dirs::elsewhere(&self.db, dirs)
    }

    /// The rows of these paths, where there are some.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(&self, paths: &[RelPath], now: UnixMillis) -> Result<Vec<Row>, IndexError> {
        let held = paths.iter().filter_map(|path| rows::get(&self.db, path).transpose());
        held.map(|held| Ok(held?.into_row(now))).collect()
    }

    /// Pending files, at most `limit`, that nobody has read, that have the size of a vanished file with a known digest
    /// and are no move of one by their fingerprint. Reading them may save sending them; those with a problem are left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn undigested(&self, limit: usize) -> Result<Vec<(RelPath, Fingerprint)>, IndexError> {
        moves::undigested(&self.db, limit)
    }

    /// How much would be deleted: vanished files, less those that turned up elsewhere. One file that turned up accounts for
    /// one that vanished.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn deletes(&self) -> Result<Deletes, IndexError> {
        moves::deletes(&self.db)
    }

    /// How much would be overwritten with another content, where that are more than `ordinary` files and more than half of
    /// all; else nothing is counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn changes(&self, ordinary: u64) -> Result<Changes, IndexError> {
        moves::changes(&self.db, ordinary)
    }

    /// The mirror in numbers; the time it takes does not grow with the tree, only with the rows that wait for a retry.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tally(&self, now: UnixMillis) -> Result<Tally, IndexError> {
        pending::tally(&self.db, now)
    }

    /// The first `limit` paths with a problem, in preorder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn problems(&self, limit: usize) -> Result<Vec<PathProblem>, IndexError> {
        pending::problems(&self.db, limit)
    }

    /// What is held of `path` (`None`: of the root) and of what lies below it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ledger(&self, path: Option<&RelPath>) -> Result<Ledger, IndexError> {
        ledger::ledger(&self.db, path)
    }

    /// The earliest time after `after` at which a pending row that failed may be tried again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_retry(&self, after: UnixMillis) -> Result<Option<UnixMillis>, IndexError> {
        pending::next_retry(&self.db, after)
    }

    /// How often what is pending at `path` was tried and failed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn attempts(&self, path: &RelPath) -> Result<u32, IndexError> {
        Ok(rows::get(&self.db, path)?.map_or(0, |held| held.attempts))
    }

    /// Forgets what is gone here and was put on the server, as if a rule ignored it: it stays there, and is nobody's to
    /// remove. What a pending file may have been moved from is forgotten too. How many files that were.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is forgotten.
    pub fn disown(&mut self, now: UnixMillis) -> Result<u64, IndexError> {
        self.write(now, observe::disown)
    }

    /// Makes all parked rows due again. How many there were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn release(&mut self) -> Result<usize, IndexError> {
        self.write(NO_TIME, |books| books.change_problems(held::Held::release))
    }

    /// Forgets every failure: parked rows and those that wait are due again, as if they had never been tried. How many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start_over(&mut self) -> Result<usize, IndexError> {
        self.write(NO_TIME, |books| books.change_problems(held::Held::start_over))
    }
}

/// What a start of the machine makes doubtful.
impl Index {
    /// The machine's present start is called `boot`. If the index was last opened in another one, that may have ended with a power
    /// cut, and a file that was overwritten shortly before may have its new times and its old content. So the content of what
    /// was recorded last is doubted: it is read again, and sent where it is not what was sent. How many files that are.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn booted(&mut self, boot: &str, now: UnixMillis) -> Result<usize, IndexError> {
        self.write(now, |books| {
            let last: Option<String> = notes::get(books.db(), Note::Boot)?;
            if last.as_deref() == Some(boot) {
                return Ok(0);
            }
            notes::set(books.db(), Note::Boot, Some(&boot))?;
            // No clock is needed: what is recorded last tells when the machine still ran.
            let newest: Option<i64> =
                books
                    .db()
                    .query_row(include_str!("index/sql/newest.sql"), [now.0.saturating_mul(1_000_000)], |row| row.get(0))?;
            match newest.filter(|_| last.is_some()) {
                Some(newest) => books.change_recent(newest.saturating_sub(UNWRITTEN_NS), held::Held::doubt_content),
                None => Ok(0),
            }
        })
    }
}

/// Promises and what became of them.
impl Index {
    /// Says whether the server takes names that differ in case only for one. From then on one of them at most is recorded:
    /// the last that something was done to. Where two are when this is said first, nobody knows what the server holds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn fold(&mut self, folds: bool) -> Result<(), IndexError> {
        if folds && !self.folds {
            self.write(NO_TIME, fold::merge)?;
        }
        self.folds = folds;
        Ok(())
    }

    /// The rows at `paths` that can be planned by themselves: pending files in directories that are there, whose names and
    /// contents have to do with no other row.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn edits(&self, paths: &[RelPath], now: UnixMillis) -> Result<Window, IndexError> {
        pending::edits(&self.db, paths, now)
    }

    /// Writes down what is about to be done; on the disk when this returns. The jobs are in the order of `operations`.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is promised.
    pub fn begin(&mut self, operations: &[Operation], now: UnixMillis) -> Result<Vec<Job>, IndexError> {
        let instance = self.instance.clone();
        self.write(now, |books| jobs::begin(books, operations, &instance, now))
    }

    /// Writes down what became of jobs. What was done is recorded and clears the retry columns; what failed sets them, if
    /// something is pending there still; a job in doubt stays. A result that does not belong to the job's operation
    /// (a put "as planned") proves nothing and puts it in doubt.
    ///
    /// # Errors
    /// [`IndexError::NoSuchJob`], or when the file cannot be written; then none of it is settled.
    pub fn settle(&mut self, settlements: &[Settlement], now: UnixMillis) -> Result<(), IndexError> {
        self.write(now, |books| jobs::settle(books, settlements))
    }

    /// Records entries of which nothing needs to be sent, and clears their retry columns.
    ///
    /// # Errors
    /// When the file cannot be written; then none is recorded.
    pub fn record(&mut self, entries: &[(RelPath, Entry)], now: UnixMillis) -> Result<(), IndexError> {
        self.write(now, |books| entries.iter().try_for_each(|(path, entry)| books.change(path, |held| held.record(Some(*entry)))))
    }

    /// The same of files whose digests are those that they were read to have here.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn record_read(&mut self, entries: &[(RelPath, Entry)], now: UnixMillis) -> Result<(), IndexError> {
        let note = |held: &mut held::Held, entry: &Entry| {
            held.record(Some(*entry));
            if let Entry::File { print, digest: Some(digest), .. } = entry {
                held.read(print, *digest);
            }
        };
        self.write(now, |books| entries.iter().try_for_each(|(path, entry)| books.change(path, |held| note(held, entry))))
    }

    /// Records what the server was found to hold, where that is not what was recorded; the retry columns stay. Where nothing is,
    /// nothing is below either. A path with a job is left alone: that records what it finds. How many rows changed.
    ///
    /// # Errors
    /// When the file cannot be written; then none is recorded.
    pub fn correct(&mut self, found: &[(RelPath, Option<Stat>)], now: UnixMillis) -> Result<usize, IndexError> {
        self.write(now, |books| observe::correct(books, found))
    }

    /// Forgets everything about the server, jobs included: it is another directory now, and nothing is known of it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start_elsewhere(&mut self, now: UnixMillis) -> Result<(), IndexError> {
        self.write(now, |books| {
            books.db().execute("DELETE FROM job", [])?;
            books.change_all(|held| {
                held.record(None);
                true
            })?;
            Ok(())
        })
    }

    /// What is recorded at each of `paths`, or else was left there; of a path in the trash, what lies there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recorded(&self, paths: &[RelPath]) -> Result<Vec<Option<Entry>>, IndexError> {
        let recorded = |path| match rows::get(&self.db, path)?.and_then(|held| held.recorded) {
            None if is_trash(path) => trash::held(&self.db, path),
            None => trash::left(&self.db, path),
            recorded => Ok(recorded),
        };
        paths.iter().map(recorded).collect()
    }

    /// Records what the server said is at `path`, which may be anything.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn told(&mut self, path: &RelPath, stat: Option<Stat>, now: UnixMillis) -> Result<(), IndexError> {
        self.write(now, |books| books.change(path, |held| held.told(stat.map(Stat::to_entry))))
    }

    /// What somebody else changed on the server, at and below `prefix` or anywhere, may be overwritten: from now on it is only
    /// known that something is there. How many paths are released by that.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn give_up_drift(&mut self, prefix: Option<&RelPath>, now: UnixMillis) -> Result<usize, IndexError> {
        self.write(now, |books| books.change_problems(|held| held.give_up_drift(prefix)))
    }

    /// The jobs of which nobody knows what became of them, in the order in which they were promised; without those of a
    /// release, see [`Self::staged`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn in_doubt(&self) -> Result<Vec<Job>, IndexError> {
        jobs::list(&self.db, true)
    }

    /// All jobs that are not settled, in the order in which they were promised.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn live(&self) -> Result<Vec<Job>, IndexError> {
        jobs::list(&self.db, false)
    }

    /// Records what the server said is at each path that `job` touches, and ends the job. Without an answer for each of
    /// them nothing happens: the job stays. The retry columns stay, where something is pending still.
    ///
    /// # Errors
    /// [`IndexError::NoSuchJob`], or when the file cannot be written.
    pub fn resolve(&mut self, job: JobId, answers: &[(RelPath, Option<Stat>)], now: UnixMillis) -> Result<(), IndexError> {
        self.write(now, |books| jobs::resolve(books, job, answers))
    }
}

/// Notes.
impl Index {
    /// A noted fact.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no `T` under this name.
    pub fn note<T: DeserializeOwned>(&self, note: Note) -> Result<Option<T>, IndexError> {
        notes::get(&self.db, note)
    }

    /// Notes a fact, or with `None` that there is none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_note<T: Serialize>(&mut self, note: Note, value: Option<&T>) -> Result<(), IndexError> {
        notes::set(&self.db, note, value)
    }
}

#[cfg(test)]
impl Index {
    /// From now on this connection finds no room for more than a few pages.
    pub(crate) fn without_room(&self) {
        let pages: i64 = self.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        self.db.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |_| Ok(())).unwrap();
    }
}

impl Index {
    fn write<T>(
        &mut self,
        now: UnixMillis,
        change: impl FnOnce(&mut Books<'_>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut books = Books::open(&mut self.db, now, self.folds)?;
        let answer = change(&mut books)?;
        books.close()?;
        Ok(answer)
    }
}
