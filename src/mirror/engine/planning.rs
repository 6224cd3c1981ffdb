//! The pass: reads what is pending, stretch by stretch, has it planned, and promises the next jobs of that.

use super::{Mirror, PROMISES, Pass, WINDOW};
use crate::{
    index::{Index, IndexError},
    model::{MovedDir, Operation, RelPath, Window},
    plan::{self, Removals, Stage},
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Promises more where little waits to be started.
    pub(super) async fn plan_ahead(&mut self) -> Result<(), IndexError> {
        if self.may_plan() {
            self.plan_edits().await?;
        }
        while self.may_plan() && self.needs_jobs() {
            if !self.backlog.is_empty() {
                self.promise().await?;
                continue;
            }
            if self.pass == Pass::Over {
                if !std::mem::take(&mut self.stale) {
                    return Ok(());
                }
                self.begin_pass().await?;
                // A full server is helped by removals, and only every other pass tries whether a put fits again.
                self.make_room = self.link.is_full() && !self.make_room;
                self.stale |= self.make_room;
                if self.make_room {
                    self.take_out_the_trash().await?;
                }
                self.moved = self.moved_dirs().await?;
                self.pass = if self.make_room { Pass::Vacate { before: None } } else { Pass::Fill { after: None } };
            }
            let (window, stage, next) = self.next_window().await?;
            let busy = self.busy();
            let plan = plan::plan(&window, &stage, self.policy(), &busy);
            // While nothing is done, rows that wait do so for their time, or are parked.
            self.left_out |= plan.deferred > 0;
            self.acting |= !busy.is_empty() || !plan.steps.is_empty();
            if !plan.parked.is_empty() {
                self.books.with(move |index| index.park(&plan.parked)).await?;
                self.untold = true;
            }
            self.pass = next;
            self.moved.retain(|dir| !plan.unmoved.contains(&dir.to));
            let mut steps = self.without_left(plan.steps).await?;
            self.find_likes(&window.rows, &mut steps).await?;
            for (step, keep) in std::iter::zip(&steps, self.keeping(&steps).await?) {
                self.backlog.extend(keep);
                self.backlog.push_back(step.operation.clone());
            }
            if !plan.records.is_empty() {
                let wall = self.wall();
                self.books.with(move |index| index.record(&plan.records, wall)).await?;
                self.untold = true;
            }
        }
        Ok(())
    }

    /// Everything is planned anew: nothing is left out yet, and what keeps removals back is asked again.
    pub(super) async fn begin_pass(&mut self) -> Result<(), IndexError> {
        (self.left_out, self.acting) = (false, false);
        self.planned_at = self.wall();
        self.next_retry = None;
        self.untold = true;
        self.guard().await?;
        self.tell_folding().await
    }

    /// The directories that may be renamed as a whole. Not where room is made, nor where all of a burst becomes visible at once.
    async fn moved_dirs(&mut self) -> Result<Vec<MovedDir>, IndexError> {
        if self.make_room || self.is_together() || self.policy().removals != Removals::Allowed {
            return Ok(Vec::new());
        }
        self.books.with(|index| index.moved_dirs()).await
    }

    /// Reads the next stretch of pending rows: which, what for, and what comes after it.
    async fn next_window(&mut self) -> Result<(Window, Stage, Pass), IndexError> {
        let wall = self.wall();
        // Not always the same: a row that happens to lie on the edge of a stretch must not lie there each time.
        let limit = WINDOW + fastrand::usize(..64);
        match self.pass.clone() {
            Pass::Vacate { before } => {
                let bound = before.clone();
                let window = self.books.with(move |index| index.removals(bound.as_ref(), limit, wall)).await?;
                let next = window.cut.clone().map_or(Pass::Over, |cut| Pass::Vacate { before: Some(cut) });
                Ok((window, Stage::Vacate { before }, next))
            }
            Pass::Fill { after } => {
                let (bound, mut moved) = (after.clone(), self.moved.clone());
                let read = move |index: &mut Index| {
                    let mut window = index.window(bound.as_ref(), limit, wall)?;
                    window.twins = index.twins(&window.rows, wall)?;
                    window.rows.extend(index.sources(&window.rows, wall)?);
                    if bound.is_some() || window.cut.is_some() {
                        // What has to go first may be in another stretch.
                        moved.retain(|dir| dir.rest.is_empty());
                        let old: Vec<RelPath> = moved.iter().map(|dir| dir.from.clone()).collect();
                        window.rows.extend(index.rows(&old, wall)?);
                    }
                    window.moved = moved;
                    Ok(window)
                };
                let window = self.books.with(read).await?;
                self.moved.clone_from(&window.moved);
                Ok(match (after, window.cut.clone()) {
                    (None, None) => (window, Stage::All, Pass::Over),
                    (after, Some(cut)) => (window, Stage::Fill { after }, Pass::Fill { after: Some(cut) }),
                    // What is gone may have moved into a directory that is renamed first.
                    (after, None) if !self.moved.is_empty() => {
                        self.left_out = true;
                        (window, Stage::Fill { after }, Pass::Over)
                    }
                    (after, None) => (window, Stage::Fill { after }, Pass::Vacate { before: None }),
                })
            }
            Pass::Over => Ok((Window::default(), Stage::All, Pass::Over)),
        }
    }

    /// Writes down the next jobs of the plan.
    pub(super) async fn promise(&mut self) -> Result<(), IndexError> {
        let operations: Vec<_> = self.backlog.drain(..self.backlog.len().min(PROMISES)).collect();
        let beside = |operation: Operation| (self.release.beside(operation.path()), operation);
        let operations: Vec<(RelPath, Operation)> = operations.into_iter().map(beside).collect();
        let wall = self.wall();
        let jobs = self.books.with(move |index| index.begin_beside(&operations, wall)).await?;
        self.untold = true;
        jobs.into_iter().for_each(|job| self.schedule.push(job));
        Ok(())
    }

    /// Drops what was planned and not promised: it is planned anew.
    pub(super) fn replan(&mut self) {
        self.backlog.clear();
        self.pass = Pass::Over;
        self.stale = true;
    }
}
