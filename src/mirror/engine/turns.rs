//! Who comes first: what was edited just now before all else, planned by itself, ahead of the pass that is under way, where it
//! can be; and what is short before what takes a session for long.

use std::sync::{Arc, atomic::Ordering};

use super::Mirror;
use crate::{
    index::IndexError,
    mirror::{
        crew::{Running, Task},
        drift::Care,
        schedule,
        worker::{put::Load, row},
    },
    model::{Entry, Job, Observation, Operation, RelPath},
    plan::{self, Removals, Stage},
    remote::Remote,
    watch::Watcher,
};

/// Jobs are promised when fewer than this wait to be started, so that rows of them are full,
pub(super) const AHEAD: usize = 64;
/// those aside that take long, of which there may be more.
const LONG_AHEAD: usize = 256;
/// More at once are no edits of somebody who waits for them: they come in their order.
const MOST: usize = 64;

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Something was looked at since it was heard of. A full scan finds what may be old.
    pub(super) fn note_edits(&mut self, seen: &[Observation]) {
        if self.looking_at_all || self.is_together() || seen.len() + self.edited.len() > MOST {
            return;
        }
        let file = |seen: &Observation| match seen {
            Observation::Is(path, Entry::File { .. }) => Some(path.clone()),
            _ => None,
        };
        self.edited.extend(seen.iter().filter_map(file));
    }

    /// Promises the puts of what was edited just now. What needs more than a put, or depends on something, is left to the pass.
    pub(super) async fn plan_edits(&mut self) -> Result<(), IndexError> {
        if self.edited.is_empty() {
            return Ok(());
        }
        let (edited, wall) = (std::mem::take(&mut self.edited), self.wall());
        let window = self.books.with(move |index| index.edits(&edited, wall)).await?;
        if window.rows.is_empty() {
            return Ok(());
        }
        self.guard().await?;
        let mut busy = self.busy();
        for path in self.backlog.iter().flat_map(Operation::touches) {
            busy.insert(path.clone());
        }
        let mut steps = plan::plan(&window, &Stage::Fill { after: None }, self.policy(), &busy).steps;
        // One of them may be a log that was rotated: what takes its name must not take its content away before that was renamed.
        if !steps.iter().all(|step| matches!(step.operation, Operation::Put { .. })) {
            return Ok(());
        }
        self.find_likes(&window.rows, &mut steps).await?;
        let keeps = self.keeping(&steps).await?;
        let operations = std::iter::zip(steps, keeps).flat_map(|(step, keep)| keep.into_iter().chain([step.operation]));
        let operations: Vec<(RelPath, Operation)> = operations.map(|operation| (operation.path().clone(), operation)).collect();
        let jobs = self.books.with(move |index| index.begin_beside(&operations, wall)).await?;
        self.untold = true;
        jobs.into_iter().for_each(|job| self.schedule.push_first(job));
        Ok(())
    }

    /// The next job to start. One session is kept for what is short, where there are more than one: an edit does not wait
    /// until large files are over.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        // Or is more than it was taken for.
        let is_long = |running: &Running| {
            let is_planned = running.task.job().is_some_and(|job| schedule::is_long(&job.operation));
            is_planned || running.sent.load(Ordering::Relaxed) >= schedule::LONG
        };
        let long = self.crew.running().filter(|running| is_long(running)).count();
        if long < self.crew.share().saturating_sub(1).max(1) { self.schedule.next() } else { self.schedule.next_short() }
    }

    /// Starts `job`, and with it others that can be in a row with it. While nobody knows whether the server can be used, it goes alone.
    pub(super) async fn start_with_row(&mut self, job: Job) -> Result<(), IndexError> {
        let mut jobs = vec![self.caught_up(job).await?];
        let mut bytes = row::reads(&jobs[0].operation);
        let most = if self.link.is_up() && row::joins(&jobs[0].operation) { row::MOST } else { 1 };
        while jobs.len() < most
            && bytes < row::MOST_BYTES
            && let Some(job) = self.schedule.next_that(row::joins)
        {
            bytes += row::reads(&job.operation);
            jobs.push(job);
        }
        let paths: Vec<RelPath> = jobs.iter().flat_map(|job| job.operation.regards()).cloned().collect();
        let mut recorded = self.books.with(move |index| index.recorded(&paths)).await?.into_iter();
        let mut recorded = |job: &Job| recorded.by_ref().take(job.operation.regards().count()).collect();
        let mut jobs = jobs.into_iter();
        let Some(first) = jobs.next() else { return Ok(()) };
        let former = self.former(&first).await?;
        let care = Care { former, in_place: self.grows_in_place(first.operation.path()), ..self.care(recorded(&first)) };
        let load = |job| {
            let care = self.care(recorded(&job));
            Load { job, care, sent: Arc::default() }
        };
        let row = jobs.map(load).collect();
        self.start_row(Task::Run(first), care, row);
        Ok(())
    }

    pub(super) fn start(&mut self, task: Task, recorded: Vec<Option<Entry>>) {
        let care = self.care(recorded);
        self.start_row(task, care, Vec::new());
    }

    /// Starts `task`, and with it those jobs that are in a row with it.
    pub(super) fn start_row(&mut self, task: Task, care: Care, row: Vec<Load>) {
        self.crew.start(task, care, row);
        self.link.started();
        self.untold = true;
    }

    pub(super) fn care(&self, recorded: Vec<Option<Entry>>) -> Care {
        let (abilities, drift, now) = (self.abilities, self.settings.drift, self.wall());
        let (place, versions) = (self.settings.place(), self.settings.retention.versions);
        let goes_on = self.removals != Removals::HeldWithChanges;
        Care {
            place,
            digests: self.digests.clone(),
            abilities,
            drift,
            recorded,
            former: None,
            witnesses: Vec::new(),
            in_place: false,
            now,
            versions,
            goes_on,
            stages: self.is_together(),
        }
    }

    /// Whether more should be planned. Jobs that take long count for little, so that what is short is found behind them.
    pub(super) fn needs_jobs(&self) -> bool {
        let (waiting, long) = (self.schedule.waiting(), self.schedule.waiting_long());
        waiting - long < AHEAD && waiting < LONG_AHEAD
    }
}
