//! Promises: written down before the server hears of them, settled or resolved afterwards. What they prove goes into the
//! recorded side, which nothing else writes but [`super::Index::record`].

use rusqlite::{Connection, Row, params, types::ValueRef};

use super::{IndexError, books::Books, dirs, fold, rotation, rows, staging, trash};
use crate::model::{
    Digest, Done, Entry, Fingerprint, How, Job, JobId, Kind, Mode, Operation, Outcome, Problem, Reason, RelPath, Settlement,
    Staged, Stat, UnixMillis, is_trash,
};

pub(super) fn begin(
    books: &Books<'_>,
    operations: &[Operation],
    instance: &str,
    now: UnixMillis,
) -> Result<Vec<Job>, IndexError> {
    operations.iter().map(|operation| begin_one(books, operation, operation.path(), instance, now)).collect()
}

/// Promises one operation, whose temporary name lies beside the path `beside`.
pub(super) fn begin_one(
    books: &Books<'_>,
    operation: &Operation,
    beside: &RelPath,
    instance: &str,
    now: UnixMillis,
) -> Result<Job, IndexError> {
    let id = insert(books.db(), operation, now)?;
    let temp = match operation {
        Operation::Put { .. } | Operation::Link { .. } | Operation::Rotate { .. } => Some(temp_name(beside, instance, id)?),
        Operation::Rename { .. } if operation.is_change_of_case() => Some(temp_name(beside, instance, id)?),
        _ => None,
    };
    if let Some(temp) = &temp {
        books.db().prepare_cached(include_str!("sql/job_temp.sql"))?.execute((id.0, temp.to_key()))?;
    }
    Ok(Job { id, operation: operation.clone(), temp })
}

pub(super) fn settle(books: &mut Books<'_>, settlements: &[Settlement]) -> Result<(), IndexError> {
    for Settlement { job, outcome, retry_at } in settlements {
        let promise = get(books.db(), *job)?;
        if let (Outcome::Done(Done::Staged { print, digest, .. }), Operation::Put { .. }) = (outcome, &promise.job.operation) {
            staging::stage(books, &promise.job, print, digest)?;
            continue;
        }
        let known = match outcome {
            Outcome::Done(done) => promise.fulfil(books, done)?,
            Outcome::Untouched => true,
            Outcome::Failed(problem) | Outcome::InDoubt(problem) => {
                // That an old version did not come back is no problem of the present one.
                if !matches!(promise.job.operation, Operation::Revert { .. }) {
                    books.change(promise.job.operation.path(), |held| held.fail(problem, *retry_at))?;
                }
                match (outcome, &promise.job.operation) {
                    (
                        Outcome::Failed(_),
                        Operation::Restore { place, .. } | Operation::Revert { place, .. } | Operation::Expire { place, .. },
                    ) => trash::failed(books, place, *retry_at)?,
                    (Outcome::Failed(_), Operation::Keep { path, .. }) => trash::unwant(books, path)?,
                    _ => {}
                }
                matches!(outcome, Outcome::Failed(_))
            }
        };
        let sql = if known { include_str!("sql/job_delete.sql") } else { include_str!("sql/job_doubt.sql") };
        books.db().prepare_cached(sql)?.execute([job.0])?;
    }
    Ok(())
}

pub(super) fn resolve(books: &mut Books<'_>, job: JobId, answers: &[(RelPath, Option<Stat>)]) -> Result<(), IndexError> {
    let promise = get(books.db(), job)?;
    if promise.job.operation.touches().all(|path| answers.iter().any(|(answered, _)| answered == path)) {
        // One that folds case answers for a twin, too: while one is recorded, nothing was done to this name yet, since that
        // waits until the twin is out of the way.
        let twin = match promise.job.operation.fills() {
            Some(path) if books.folds() && !fold::recorded(books.db(), path)?.is_empty() => Some(path),
            _ => None,
        };
        let told = |path: &RelPath| {
            answers.iter().find(|(answered, _)| answered == path && twin != Some(path)).and_then(|(_, stat)| *stat)
        };
        promise.correct(books, told)?;
        books.db().prepare_cached(include_str!("sql/job_delete.sql"))?.execute([job.0])?;
    }
    Ok(())
}

/// Every job, or those in doubt alone, in the order in which they were promised.
pub(super) fn list(db: &Connection, in_doubt_alone: bool) -> Result<Vec<Job>, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/job_list.sql"))?;
    let mut rows = statement.query([in_doubt_alone])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Promise::read(row)?.job);
    }
    Ok(found)
}

/// The jobs of a release, those that are staged first, then the run in its order.
pub(super) fn staged(db: &Connection) -> Result<Vec<Staged>, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/job_staged.sql"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let Promise { job, digest, step, .. } = Promise::read(row)?;
        found.push(Staged { job, digest, step: step.unwrap_or(0) });
    }
    Ok(found)
}

/// Nobody knows what became of the jobs of a process that is gone.
pub(super) fn doubt_all(db: &Connection) -> Result<(), IndexError> {
    db.execute(include_str!("sql/job_doubt_all.sql"), [])?;
    Ok(())
}

/// A job with what the index alone knows of it.
#[derive(Clone)]
struct Promise {
    job: Job,
    begun: UnixMillis,
    forgotten: bool,
    digest: Option<Digest>,
    step: Option<u32>,
}

impl Promise {
    /// Records what a finished job proves. `false` when the result cannot be one of this operation: then nothing is
    /// proven, and the server has to be asked.
    fn fulfil(&self, books: &mut Books<'_>, done: &Done) -> Result<bool, IndexError> {
        match (&self.job.operation, done) {
            (Operation::Put { path, mode, .. }, Done::Holds { print, digest, how, .. }) => {
                self.record(books, path, Some(Entry::File { print: *print, digest: Some(*digest), mode: *mode }))?;
                // A file that goes on growing was read in parts, at several moments.
                if *how != How::Appended {
                    books.change(path, |held| held.read(print, *digest))?;
                }
            }
            (Operation::MakeDir { path, inode, mode }, Done::AsPlanned) => {
                self.record(books, path, Some(Entry::Dir { inode: *inode, mode: *mode }))?;
            }
            (Operation::Link { path, target }, Done::AsPlanned) => {
                self.record(books, path, Some(Entry::Link { target: *target }))?;
            }
            (Operation::SetMode { path, mode }, Done::AsPlanned) => {
                let recorded = rows::get(books.db(), path)?.and_then(|held| held.recorded);
                if let Some(entry) = recorded {
                    self.record(books, path, Some(entry.with_mode(Some(*mode))))?;
                }
            }
            (Operation::RemoveFile { path } | Operation::RemoveDir { path }, Done::AsPlanned) => {
                self.record(books, path, None)?;
            }
            (Operation::Rename { from, to, print, digest, mode, .. }, Done::AsPlanned) => {
                let carried = match rows::get(books.db(), from)?.and_then(|held| held.recorded) {
                    Some(Entry::File { digest, .. }) => digest,
                    _ => None,
                };
                if is_trash(from) {
                    trash::delete(books, from)?;
                } else {
                    self.record(books, from, None)?;
                }
                self.record(books, to, Some(Entry::File { print: *print, digest: digest.or(carried), mode: *mode }))?;
            }
            (Operation::RenameDir { from, to, .. }, Done::AsPlanned) => self.moved(books, from, to)?,
            (Operation::RenameDir { to, inode, .. }, Done::NotMoved) => self.record(books, to, Some(Entry::dir(*inode)))?,
            (Operation::Rotate { .. }, Done::AsPlanned) => self.rotated(books)?,
            (Operation::Trash { path, place }, Done::AsPlanned) => {
                let recorded = rows::get(books.db(), path)?.and_then(|held| held.recorded);
                trash::put(books, place, path, recorded)?;
                self.record(books, path, None)?;
            }
            (Operation::Keep { path, place, print, .. }, Done::AsPlanned) => trash::keep(books, place, path, *print)?,
            // Nothing comes back over what is not kept.
            (Operation::Keep { path, .. }, Done::NotKept) => trash::unwant(books, path)?,
            (Operation::Revert { place, path, .. }, Done::AsPlanned) => self.reverted(books, place, path, None)?,
            (Operation::Restore { place, path }, Done::AsPlanned) => Self::left(books, place, path)?,
            (Operation::Expire { place, .. }, Done::AsPlanned) => trash::delete(books, place)?,
            (Operation::Put { .. }, Done::AsPlanned)
            | (_, Done::Holds { .. } | Done::Staged { .. } | Done::NotKept | Done::NotMoved) => {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the recorded side what the server said is there; `None` is a definite "nothing".
    fn correct(&self, books: &mut Books<'_>, told: impl Fn(&RelPath) -> Option<Stat>) -> Result<(), IndexError> {
        match &self.job.operation {
            Operation::Put { path, .. } => self.told(books, path, told(path)),
            // Some servers tell what a link leads to.
            Operation::Link { path, .. } => self.told(books, path, told(path).map(|stat| Stat { kind: Kind::Link, ..stat })),
            // Whether its permissions were set nobody knows. A link in its place is taken for the directory that it leads to:
            // Towline made none there.
            Operation::MakeDir { path, inode, .. } => match told(path) {
                Some(Stat { kind: Kind::Dir | Kind::Link, .. }) => self.record(books, path, Some(Entry::dir(*inode))),
                other => self.told(books, path, other),
            },
            Operation::SetMode { path, .. } | Operation::RemoveFile { path } | Operation::RemoveDir { path } => {
                self.kept(books, path, told(path))
            }
            Operation::Rename { from, to, print, retime, .. } => match (told(from), told(to)) {
                (None, Some(Stat { kind: Kind::File, size })) if size.is_none_or(|size| size == print.size) => {
                    self.fulfil(books, &Done::AsPlanned).map(|_| ())
                }
                (at_from, at_to) if is_trash(from) => {
                    if at_from.is_none() {
                        trash::delete(books, from)?;
                    }
                    self.told(books, to, at_to)
                }
                (at_from, at_to) => {
                    // It may have got another time already.
                    if *retime {
                        self.told(books, from, at_from)?;
                    } else {
                        self.kept(books, from, at_from)?;
                    }
                    self.told(books, to, at_to)
                }
            },
            Operation::RenameDir { from, to, inode } => match (told(from), told(to)) {
                (None, Some(Stat { kind: Kind::Dir, .. })) => self.moved(books, from, to),
                (at_from, at_to) => {
                    self.kept(books, from, at_from)?;
                    if at_from.is_none() {
                        books.change_below(from, |held| {
                            held.told(None);
                            true
                        })?;
                    }
                    match at_to {
                        Some(Stat { kind: Kind::Dir | Kind::Link, .. }) => self.record(books, to, Some(Entry::dir(*inode))),
                        other => self.told(books, to, other),
                    }
                }
            },
            // How far it came is beyond telling: what is there may be anything.
            Operation::Rotate { kind, .. } => {
                for path in self.job.operation.touches() {
                    let stat = told(path);
                    self.told(books, path, stat)?;
                    if *kind == Kind::Dir {
                        books.change_below(path, |held| {
                            let size = |print: &Fingerprint| Stat { kind: Kind::File, size: Some(print.size) }.to_entry();
                            held.told(match &held.recorded {
                                _ if stat.is_none() => None,
                                Some(Entry::File { print, .. }) => Some(size(print)),
                                other => *other,
                            });
                            true
                        })?;
                    }
                }
                Ok(())
            }
            Operation::Trash { path, place } => {
                if let Some(stat) = told(place) {
                    let recorded = rows::get(books.db(), path)?.and_then(|held| held.recorded);
                    trash::put(books, place, path, recorded.or(Some(stat.to_entry())))?;
                }
                self.kept(books, path, told(path))
            }
            // What is there is whole: half a copy was removed before this was answered.
            Operation::Keep { path, place, print, .. } => match told(place) {
                Some(_) => trash::keep(books, place, path, *print),
                None => Ok(()),
            },
            Operation::Restore { place, path } => match (told(place), told(path)) {
                (Some(_), _) => Ok(()),
                (None, Some(_)) => Self::left(books, place, path),
                (None, None) => trash::delete(books, place),
            },
            Operation::Revert { place, path, .. } => match (told(place), told(path)) {
                (Some(_), stat) => self.kept(books, path, stat),
                (None, Some(stat)) => self.reverted(books, place, path, Some(stat)),
                (None, None) => {
                    trash::delete(books, place)?;
                    self.told(books, path, None)
                }
            },
            Operation::Expire { place, .. } => match told(place) {
                Some(_) => Ok(()),
                None => trash::delete(books, place),
            },
        }
    }

    /// The directory `from`, with all that is in it, is called `to`.
    fn moved(&self, books: &mut Books<'_>, from: &RelPath, to: &RelPath) -> Result<(), IndexError> {
        let Some(dir) = rows::get(books.db(), from)?.and_then(|held| held.recorded) else { return Ok(()) };
        self.record(books, to, Some(dir))?;
        dirs::carry(books, from, to, |books, path, entry| self.record(books, path, entry))?;
        self.record(books, from, None)
    }

    /// Each of the names that went round has what the one before it had.
    fn rotated(&self, books: &mut Books<'_>) -> Result<(), IndexError> {
        let temp = self.job.temp.as_ref().ok_or_else(|| IndexError::corrupt("names go round without a temporary one"))?;
        let names: Vec<&RelPath> = self.job.operation.touches().collect();
        // Nothing is known of the temporary name, and nobody forgot it.
        let aside = Self { forgotten: false, ..self.clone() };
        let mut to = temp;
        for &name in names.iter().rev() {
            if to == temp {
                aside.moved(books, name, to)?;
            } else {
                self.moved(books, name, to)?;
            }
            to = name;
        }
        self.moved(books, temp, to)?;
        for name in names {
            let Some(held) = rows::get(books.db(), name)? else { continue };
            // The rename itself has changed it, no more.
            if let (Some(Entry::File { print, .. }), Some(Entry::File { print: sent, digest, mode })) =
                (held.observed, held.recorded)
                && print.moved_from(&sent)
            {
                self.record(books, name, Some(Entry::File { print, digest, mode }))?;
            }
        }
        Ok(())
    }

    /// What was in the trash is at `path` again, and Towline's no more.
    fn left(books: &mut Books<'_>, place: &RelPath, path: &RelPath) -> Result<(), IndexError> {
        // It took the name from nothing: a record of something there was wrong.
        let unknown = Stat { kind: Kind::File, size: None }.to_entry();
        books.change(path, |held| {
            if held.recorded.is_some() {
                held.told(Some(unknown));
            }
        })?;
        trash::restored(books, place)
    }

    /// The old version is at `path`, or what was `told` of it: not to be replaced until the file changes here.
    fn reverted(&self, books: &mut Books<'_>, place: &RelPath, path: &RelPath, told: Option<Stat>) -> Result<(), IndexError> {
        if rows::get(books.db(), path)?.is_none_or(|held| held.observed.is_none()) {
            return Self::left(books, place, path);
        }
        let version = trash::version(books.db(), place)?;
        let is_it = told.is_none_or(|stat| stat.kind == Kind::File && stat.size.is_none_or(|size| size == version.size));
        let entry = told.filter(|_| !is_it).map_or(Entry::file(version, None), Stat::to_entry);
        trash::delete(books, place)?;
        self.record(books, path, Some(entry))?;
        books.change(path, |held| held.park(&Problem::new(Reason::Undone, "")))
    }

    /// A settled result. What is pending there still became so after this was begun.
    fn record(&self, books: &mut Books<'_>, path: &RelPath, entry: Option<Entry>) -> Result<(), IndexError> {
        if entry.is_some() && books.folds() {
            // The name is taken from its twins.
            for twin in fold::recorded(books.db(), path)? {
                books.change(&twin, |held| held.told(None))?;
            }
        }
        books.change(path, |held| {
            if !(held.is_nothing() && self.forgotten) {
                held.record(entry);
                held.since = held.since.map(|since| since.max(self.begun));
            }
        })
    }

    /// Something is there that may be anything.
    fn told(&self, books: &mut Books<'_>, path: &RelPath, stat: Option<Stat>) -> Result<(), IndexError> {
        books.change(path, |held| {
            if !(held.is_nothing() && self.forgotten) {
                held.told(stat.map(Stat::to_entry));
            }
        })
    }

    /// What is there still is what was there before. Some servers tell what a link leads to.
    fn kept(&self, books: &mut Books<'_>, path: &RelPath, stat: Option<Stat>) -> Result<(), IndexError> {
        let kind = rows::get(books.db(), path)?.and_then(|held| held.recorded).map(|entry| entry.kind());
        match stat {
            Some(stat) if kind == Some(stat.kind) || kind == Some(Kind::Link) => Ok(()),
            stat => self.told(books, path, stat),
        }
    }

    /// A row with all columns, in the order of the schema.
    fn read(row: &Row<'_>) -> Result<Self, IndexError> {
        let path = rows::path(row, 2)?;
        let verb: String = row.get(1)?;
        let mode = rows::mode(row, 14)?;
        let operation = match verb.as_str() {
            "make-dir" => Operation::MakeDir { path, inode: row.get::<_, i64>(8)?.cast_unsigned(), mode },
            "put" if row.get_ref(3)? != ValueRef::Null => {
                Operation::Keep { path, place: rows::path(row, 3)?, print: rows::print(row, 5)?, unless: rows::digest(row, 10)? }
            }
            "put" => Operation::Put { path, print: rows::print(row, 5)?, equal_to: rows::digest(row, 10)?, mode, like: None },
            "link" => Operation::Link {
                path,
                target: rows::digest(row, 9)?.ok_or_else(|| IndexError::corrupt("a link without a target"))?,
            },
            "set-mode" => Operation::SetMode { path, mode: mode.ok_or_else(|| IndexError::corrupt("permissions without any"))? },
            "remove-file" | "remove-dir" if is_trash(&path) => {
                Operation::Expire { place: path, kind: if verb == "remove-dir" { Kind::Dir } else { Kind::File } }
            }
            "remove-file" => match optional(row, 3)? {
                Some(place) => Operation::Trash { path, place },
                None => Operation::RemoveFile { path },
            },
            "remove-dir" => Operation::RemoveDir { path },
            "rename" if row.get_ref(17)? != ValueRef::Null => Operation::Rotate {
                path,
                others: rotation::unpack(row.get_ref(17)?.as_blob().map_err(IndexError::corrupt)?)?,
                kind: if row.get_ref(5)? == ValueRef::Null { Kind::Dir } else { Kind::File },
                bytes: row.get::<_, Option<i64>>(5)?.unwrap_or(0).cast_unsigned(),
            },
            _ if is_trash(&rows::path(row, 3)?) && row.get_ref(5)? == ValueRef::Null => {
                Operation::Restore { place: rows::path(row, 3)?, path }
            }
            // What is taken from the trash for its content has a digest.
            _ if is_trash(&rows::path(row, 3)?) && row.get_ref(9)? == ValueRef::Null => {
                Operation::Revert { place: rows::path(row, 3)?, path, over: rows::print(row, 5)? }
            }
            _ if row.get_ref(5)? == ValueRef::Null => {
                Operation::RenameDir { from: rows::path(row, 3)?, to: path, inode: row.get::<_, i64>(8)?.cast_unsigned() }
            }
            _ => Operation::Rename {
                from: rows::path(row, 3)?,
                to: path,
                print: rows::print(row, 5)?,
                digest: rows::digest(row, 9)?,
                mode,
                retime: row.get(15)?,
            },
        };
        let temp = optional(row, 4)?;
        Ok(Self {
            job: Job { id: JobId(row.get(0)?), operation, temp },
            begun: UnixMillis(row.get(11)?),
            forgotten: row.get(13)?,
            digest: rows::digest(row, 9)?,
            step: row.get(16)?,
        })
    }
}

/// The path in column `at`, if there is one.
fn optional(row: &Row<'_>, at: usize) -> Result<Option<RelPath>, IndexError> {
    match row.get_ref(at)?.as_blob_or_null().map_err(IndexError::corrupt)? {
        None => Ok(None),
        Some(_) => rows::path(row, at).map(Some),
    }
}

fn get(db: &Connection, id: JobId) -> Result<Promise, IndexError> {
    let mut statement = db.prepare_cached(include_str!("sql/job_get.sql"))?;
    let mut rows = statement.query([id.0])?;
    rows.next()?.map_or(Err(IndexError::NoSuchJob(id)), Promise::read)
}

fn insert(db: &Connection, operation: &Operation, now: UnixMillis) -> Result<JobId, IndexError> {
    let (mut inode, mut retimes) = (None, false);
    let (verb, source, print, digest, equal_to, mode) = match operation {
        Operation::MakeDir { inode: made, mode, .. } => {
            inode = Some(*made);
            ("make-dir", None, None, None, None, *mode)
        }
        Operation::Put { print, equal_to, mode, .. } => ("put", None, Some(print), None, *equal_to, *mode),
        Operation::Link { target, .. } => ("link", None, None, Some(*target), None, None),
        Operation::SetMode { mode, .. } => ("set-mode", None, None, None, None, Some(*mode)),
        Operation::RemoveFile { .. } => ("remove-file", None, None, None, None, None),
        Operation::RemoveDir { .. } => ("remove-dir", None, None, None, None, None),
        Operation::Trash { place, .. } => ("remove-file", Some(place), None, None, None, None),
        Operation::Keep { place, print, unless, .. } => ("put", Some(place), Some(print), None, *unless, None),
        Operation::Restore { place, .. } => ("rename", Some(place), None, None, None, None),
        Operation::Revert { place, over, .. } => ("rename", Some(place), Some(over), None, None, None),
        Operation::Expire { kind: Kind::Dir, .. } => ("remove-dir", None, None, None, None, None),
        Operation::Expire { .. } => ("remove-file", None, None, None, None, None),
        Operation::RenameDir { from, inode: moved, .. } => {
            inode = Some(*moved);
            ("rename", Some(from), None, None, None, None)
        }
        Operation::Rotate { .. } => ("rename", None, None, None, None, None),
        Operation::Rename { from, print, digest, mode, retime, .. } => {
            retimes = *retime;
            ("rename", Some(from), Some(print), *digest, None, *mode)
        }
    };
    let rotated = match operation {
        Operation::Rotate { kind: Kind::File, bytes, .. } => Some(*bytes),
        _ => None,
    };
    let id = db.prepare_cached(include_str!("sql/job_begin.sql"))?.insert(params![
        verb,
        operation.path().to_key(),
        source.map(RelPath::to_key),
        print.map(|print: &Fingerprint| print.size).or(rotated).map(u64::cast_signed),
        print.map(|print| print.mtime_ns),
        print.map(|print| print.ctime_ns),
        print.map(|print| print.inode).or(inode).map(u64::cast_signed),
        digest.map(|digest| digest.0),
        equal_to.map(|digest| digest.0),
        now.0,
        mode.map(Mode::bits),
        retimes,
    ])?;
    if let Operation::Rotate { others, .. } = operation {
        db.prepare_cached(include_str!("sql/job_ring.sql"))?.execute((id, rotation::pack(others)))?;
    }
    Ok(JobId(id))
}

/// The name that a put goes to first: beside its path, and ours without a doubt.
fn temp_name(path: &RelPath, instance: &str, id: JobId) -> Result<RelPath, IndexError> {
    let name = format!(".towline-{instance}-{:x}.part", id.0);
    RelPath::child(path.parent().as_ref(), name).map_err(IndexError::corrupt)
}
