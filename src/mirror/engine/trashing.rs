//! What becomes of what is gone here: moved to the trash, removed, or left; which versions are kept before they are replaced;
//! and the trash itself: what is wanted back, what has been in it for long.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{Mirror, PROMISES, Pass, turns::AHEAD};
use crate::{
    index::{Index, IndexError, Trashed, Undo, Wanted},
    mirror::UndoError,
    model::{Digest, Disposal, Operation, RelPath, UnixMillis, Versions, place},
    plan::{Removals, Step, Why},
    remote::Remote,
    watch::Watcher,
};

/// So much is removed from the trash at once, and by a single pass,
const EXPIRING: usize = 16;
/// and so long later the next: the trash is never in a hurry.
const PACE: Duration = Duration::from_secs(10);
/// While nothing is due, the trash is looked through this often.
const LOOK: Duration = Duration::from_secs(600);

/// When the trash is to be looked after.
#[derive(Debug)]
pub(super) struct Trash {
    /// Something in it may be wanted back.
    wanted: bool,
    /// When something is to be removed from it.
    due: Instant,
    /// An old version is to come back to these once what is there is kept.
    reverting: BTreeSet<RelPath>,
}

impl Trash {
    /// One that is to be looked through at once: an earlier process may have left work.
    pub(super) fn new(now: Instant) -> Self {
        Self { wanted: true, due: now, reverting: BTreeSet::new() }
    }

    /// When the loop must turn for it. What is overdue waits for something else.
    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        Some(self.due).filter(|due| *due > now)
    }

    /// A job ended without a copy of what was to be kept.
    pub(super) fn not_kept(&self, operation: &Operation) {
        if let Operation::Keep { path, .. } = operation
            && self.reverting.contains(path)
        {
            tracing::warn!(%path, "its old version is not put back: what is there now could not be kept");
        }
    }

    /// An operation ended.
    pub(super) fn heard(&mut self, operation: &Operation) {
        // There may be more than was taken up at once.
        self.wanted |= match operation {
            Operation::Restore { .. } | Operation::Revert { .. } => true,
            Operation::Keep { path, .. } => self.reverting.remove(path),
            _ => false,
        };
    }
}

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// What was planned, with removals in the way that the mirror does them. What is to be left is so at once.
    pub(super) async fn without_left(&mut self, steps: Vec<Step>) -> Result<Vec<Step>, IndexError> {
        let (disposal, wall) = (self.settings.disposal, self.wall());
        let (left, steps): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| is_left(disposal, step));
        let steps = steps.into_iter().map(|step| disposed(disposal, step, wall)).collect();
        if left.is_empty() {
            return Ok(steps);
        }
        let left: Vec<RelPath> = left.into_iter().map(|step| step.operation.path().clone()).collect();
        left.iter().for_each(|path| tracing::info!(mirror = %self.settings.name, %path, "gone here, left on the server"));
        self.counters.left += left.len() as u64;
        self.untold = true;
        self.books.with(move |index| index.leave(&left, wall)).await?;
        Ok(steps)
    }

    /// Whether what is overwritten is to be kept where that can be done.
    pub(super) fn wants_versions(&self) -> bool {
        self.settings.disposal == Disposal::Trash && self.settings.retention.versions != Versions::Never
    }

    /// Whether there is a way to.
    pub(super) fn can_keep(&self) -> bool {
        self.settings.retention.can_keep(self.remote.abilities().copies)
    }

    /// Of each step, what keeps the version that it replaces, if that is to be kept: done before it.
    pub(super) async fn keeping(&mut self, steps: &[Step]) -> Result<Vec<Option<Operation>>, IndexError> {
        let (retention, wall) = (self.settings.retention, self.wall());
        // Where nobody knows yet, the session that does it may find out.
        if !self.wants_versions() || !self.can_keep() {
            return Ok(vec![None; steps.len()]);
        }
        let replaced: Vec<_> = steps.iter().map(|step| replaced(&step.operation)).collect();
        let paths: Vec<RelPath> = replaced.iter().flatten().map(|(path, _)| (*path).clone()).collect();
        let mut versions = self.books.with(move |index| index.replaceable(&paths, &retention)).await?.into_iter();
        let mut keep = |(path, unless): (&RelPath, Option<Digest>)| {
            let print = versions.next().flatten()?;
            let place = place(path, wall, fastrand::u32(..)).ok()?;
            Some(Operation::Keep { path: path.clone(), place, print, unless })
        };
        Ok(replaced.into_iter().map(|replaced| replaced.and_then(&mut keep)).collect())
    }

    /// Promises what is wanted back; and, if there is nothing else to do, what is to be removed from the trash.
    pub(super) async fn tend_trash(&mut self, now: Instant) -> Result<(), IndexError> {
        if self.trash.wanted && self.schedule.waiting() < AHEAD {
            self.trash.wanted = false;
            let wall = self.wall();
            let mut wanted = self.books.with(move |index| index.wanted(PROMISES, wall)).await?;
            wanted.extend(self.reverts().await?);
            self.promise_trash(wanted).await?;
        }
        let idle = self.looked && self.looking.is_none() && self.pass == Pass::Over && !self.stale;
        if now < self.trash.due || !idle || !self.schedule.is_empty() || self.crew.len() > 0 {
            return Ok(());
        }
        self.trash.wanted = true;
        if self.settings.disposal == Disposal::Keep {
            self.trash.due = now + LOOK;
            return Ok(());
        }
        let (retention, wall) = (self.settings.retention, self.wall());
        let expired = self.books.with(move |index| index.expired(&retention, EXPIRING, wall)).await?;
        self.trash.due = now + if expired.is_empty() { LOOK } else { PACE };
        self.promise_trash(expired).await
    }

    /// What brings old versions back that are wanted: what is there now is kept first.
    async fn reverts(&mut self) -> Result<Vec<Operation>, IndexError> {
        let wall = self.wall();
        if !self.can_keep() {
            for path in self.books.with(Index::unwant_versions).await? {
                tracing::warn!(mirror = %self.settings.name, %path, "its old version is not put back: {}", UndoError::CannotCopy);
            }
            return Ok(Vec::new());
        }
        if !self.looked {
            // What changed here goes first.
            self.trash.wanted = true;
            return Ok(Vec::new());
        }
        let wanted = self.books.with(move |index| index.wanted_over(PROMISES, wall)).await?;
        let mut operations = Vec::with_capacity(wanted.len());
        for Wanted { place: old, path, over, kept } in wanted {
            if self.is_busy(&path) {
                self.trash.wanted = true;
            } else if kept {
                operations.push(Operation::Revert { place: old, path, over });
            } else if let Ok(place) = place(&path, wall, fastrand::u32(..)) {
                self.trash.reverting.insert(path.clone());
                operations.push(Operation::Keep { path, place, print: over, unless: None });
            }
        }
        Ok(operations)
    }

    fn is_busy(&self, path: &RelPath) -> bool {
        self.schedule.busy().overlaps(path) || self.doubtful.overlaps(path)
    }

    /// The server is full: what is in the trash makes room first, however short a time it has been there.
    pub(super) async fn take_out_the_trash(&mut self) -> Result<(), IndexError> {
        if self.settings.disposal == Disposal::Keep {
            return Ok(());
        }
        let wall = self.wall();
        let oldest = self.books.with(move |index| index.dispensable(AHEAD, wall)).await?;
        self.promise_trash(oldest).await
    }

    /// Notes that something is wanted back, unless this is about what that would be.
    pub(super) async fn undo(&mut self, undo: Undo, dry_run: bool) -> Result<Result<Vec<Trashed>, UndoError>, IndexError> {
        let asked = undo.clone();
        let found = self.books.with(move |index| index.undoable(&asked)).await?;
        if found.iter().any(|trashed| trashed.replaces) && !self.can_keep() {
            return Ok(Err(UndoError::CannotCopy));
        }
        if dry_run {
            return Ok(Ok(found));
        }
        let found = self.books.with(move |index| index.undo(&undo)).await?;
        tracing::info!(mirror = %self.settings.name, files = found.len(), "is put back from the trash");
        self.trash.wanted = true;
        self.untold = true;
        Ok(Ok(found))
    }

    /// Writes down jobs on the trash, but none on what another one is about.
    async fn promise_trash(&mut self, mut operations: Vec<Operation>) -> Result<(), IndexError> {
        operations.retain(|operation| !operation.touches().any(|path| self.is_busy(path)));
        if operations.is_empty() {
            return Ok(());
        }
        let wall = self.wall();
        let jobs = self.books.with(move |index| index.begin(&operations, wall)).await?;
        self.untold = true;
        jobs.into_iter().for_each(|job| self.schedule.push(job));
        Ok(())
    }
}

/// The path at which `operation` may replace a file; and what it would hold if it does not.
fn replaced(operation: &Operation) -> Option<(&RelPath, Option<Digest>)> {
    match operation {
        Operation::Put { path, equal_to, .. } => Some((path, *equal_to)),
        Operation::Rename { to, .. } if !operation.is_change_of_case() => Some((to, None)),
        _ => None,
    }
}

/// What the planner may do where removals are `allowed` or held: a rename takes a name off the server, too.
pub(super) fn as_planned(disposal: Disposal, allowed: Removals) -> Removals {
    match (disposal, allowed) {
        (Disposal::Keep, Removals::Allowed) => Removals::Kept,
        (_, allowed) => allowed,
    }
}

/// Whether nothing is done about what `step` would remove.
pub(super) fn is_left(disposal: Disposal, step: &Step) -> bool {
    disposal == Disposal::Keep && step.why == Why::Vanished && step.operation.removes()
}

/// `step` in the way that is configured. A directory is removed, being empty then.
pub(super) fn disposed(disposal: Disposal, step: Step, now: UnixMillis) -> Step {
    match step.operation {
        Operation::RemoveFile { path } if disposal != Disposal::Remove => {
            let operation = match place(&path, now, fastrand::u32(..)) {
                Ok(place) => Operation::Trash { path, place },
                Err(_) => Operation::RemoveFile { path },
            };
            Step { operation, ..step }
        }
        operation => Step { operation, ..step },
    }
}
