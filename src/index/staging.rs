//! The jobs of a mirror that publishes together: staged under their temporary names, then a run of renames that is written
//! down as a whole before it begins. What is staged when is for the mirror.

use super::{Index, IndexError, NO_TIME, books::Books, jobs};
use crate::model::{Digest, Fingerprint, Job, JobId, Operation, RelPath, Staged, UnixMillis};

/// A release.
impl Index {
    /// As [`Self::begin`]; each temporary name lies beside the path that is named with the operation, which may be an outer
    /// directory that is not there yet.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is promised.
    pub fn begin_beside(&mut self, operations: &[(RelPath, Operation)], now: UnixMillis) -> Result<Vec<Job>, IndexError> {
        let instance = self.instance.clone();
        self.write(now, |books| {
            operations.iter().map(|(beside, operation)| jobs::begin_one(books, operation, beside, &instance, now)).collect()
        })
    }

    /// The jobs of a release: those that are staged, then those of a run that has begun, in its order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn staged(&self) -> Result<Vec<Staged>, IndexError> {
        jobs::staged(&self.db)
    }

    /// Writes down a run of renames before it begins: the jobs in their order, those among them that are `staged` already, and
    /// those that are begun by this and get a number and perhaps a temporary name.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing of it is.
    pub fn begin_run(&mut self, run: Vec<Job>, staged: impl Fn(&Job) -> bool, now: UnixMillis) -> Result<Vec<Job>, IndexError> {
        let instance = self.instance.clone();
        self.write(now, |books| {
            let begin = |job: Job| {
                if staged(&job) { Ok(job) } else { jobs::begin_one(books, &job.operation, job.operation.path(), &instance, now) }
            };
            let run = run.into_iter().map(begin).collect::<Result<Vec<Job>, IndexError>>()?;
            (1_u32..).zip(&run).try_for_each(|(step, job)| set_step(books, job.id, step))?;
            Ok(run)
        })
    }

    /// These are staged, as they were before a run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn restage(&mut self, jobs: &[JobId]) -> Result<(), IndexError> {
        self.write(NO_TIME, |books| jobs.iter().try_for_each(|id| set_step(books, *id, 0)))
    }

    /// Nothing is staged any more: what a release left is in doubt.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn unstage(&mut self) -> Result<(), IndexError> {
        self.write(NO_TIME, |books| {
            books.db().execute(include_str!("sql/job_unstage.sql"), [])?;
            Ok(())
        })
    }
}

/// A put arrived under its temporary name: its job stays.
pub(super) fn stage(books: &mut Books<'_>, job: &Job, print: &Fingerprint, digest: &Digest) -> Result<(), IndexError> {
    books.db().prepare_cached(include_str!("sql/job_stage.sql"))?.execute((
        job.id.0,
        print.size.cast_signed(),
        print.mtime_ns,
        print.ctime_ns,
        print.inode.cast_signed(),
        digest.0,
    ))?;
    books.change(job.operation.path(), super::held::Held::staged)
}

fn set_step(books: &Books<'_>, id: JobId, step: u32) -> Result<(), IndexError> {
    books.db().prepare_cached(include_str!("sql/job_step.sql"))?.execute((id.0, step))?;
    Ok(())
}
