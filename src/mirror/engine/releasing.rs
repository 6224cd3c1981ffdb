//! Publishing together: what is staged, whether it is whole, and the run that makes all of it visible. What comes of each task of
//! it is in `releasing/told.rs`.

mod told;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::atomic::Ordering,
    time::Duration,
};

use tokio::time::Instant;

use super::{Mirror, Pass, Rooted};
use crate::{
    index::{Index, IndexError, Note, PathProblem},
    mirror::{
        crew::{Task, Work},
        release::{self, Part, Publish, Split},
        status::{ReleaseStatus, Withheld},
    },
    model::{Entry, Operation, PathSet, RelPath, Staged, Window},
    plan::{self, Stage, Step},
    remote::Remote,
    watch::Watcher,
};

/// So many staged files are looked after by one task.
const TOGETHER: usize = 32;
/// What the server did not say is asked for again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// At most so many paths are named that keep a release back.
const NAMED: usize = 3;
/// Paths with a problem that are looked through for that.
const PROBLEMS: usize = 1000;

/// A release between turns.
#[derive(Debug, Default)]
pub(super) struct Releasing {
    /// On the server under their temporary names, proven; by path.
    staged: BTreeMap<RelPath, Part>,
    bytes: u64,
    /// Staged by an earlier process: whether they still are is not known.
    unproven: VecDeque<Part>,
    /// Staged, not wanted any more.
    unwanted: VecDeque<Part>,
    /// What is left of a run that was cut off.
    cut: Vec<Part>,
    /// Everything was looked at: it can be published.
    reviewed: Option<Vec<Part>>,
    /// Whether it is whole was found out since the last plan.
    pub(super) assessed: bool,
    /// When that is to be found out again, if not for another reason.
    pub(super) again: Option<Instant>,
    /// Old versions that could not be kept: nothing waits for them.
    unkept: BTreeSet<RelPath>,
    /// Where a temporary name is not beside its own path.
    beside: HashMap<RelPath, RelPath>,
    pub(super) withheld: Option<Withheld>,
}

/// What a plan of everything comes to.
struct Whole {
    split: Split,
    /// Rows wait, removals are held, or names cannot be had on the server.
    lacks: bool,
}

impl Releasing {
    /// What an earlier process left.
    fn new(found: Vec<Staged>, withheld: Option<Withheld>) -> Self {
        let (run, staged): (Vec<Staged>, Vec<Staged>) = found.into_iter().partition(|staged| staged.step > 0);
        let (cut, unproven) = (run.into_iter().map(Part::from).collect(), staged.into_iter().map(Part::from).collect());
        Self { cut, unproven, withheld, ..Self::default() }
    }

    /// One arrived; what was staged for the path before goes.
    fn keep(&mut self, part: Part) {
        self.bytes += size(&part);
        if let Some(old) = self.staged.insert(part.job.operation.path().clone(), part) {
            self.bytes -= size(&old);
            self.unwanted.push_back(old);
        }
    }

    fn take(&mut self, path: &RelPath) -> Option<Part> {
        let part = self.staged.remove(path)?;
        self.bytes -= size(&part);
        Some(part)
    }

    /// A job ended without a copy of the version that it was to keep.
    pub(super) fn not_kept(&mut self, operation: &Operation) {
        if let Operation::Keep { path, .. } = operation {
            self.unkept.insert(path.clone());
        }
    }

    /// The path that the temporary name for a put to `path` is beside.
    pub(super) fn beside(&self, path: &RelPath) -> RelPath {
        self.beside.get(path).unwrap_or(path).clone()
    }

    /// Whether there is nothing left to find out about.
    pub(super) fn is_at_rest(&self) -> bool {
        self.assessed && self.cut.is_empty() && self.reviewed.is_none() && self.unproven.is_empty() && self.unwanted.is_empty()
    }

    /// Whether something at or below `path` is staged.
    pub(super) fn holds(&self, path: Option<&RelPath>) -> bool {
        let Some(path) = path else { return !self.staged.is_empty() };
        self.staged.range(path..).next().is_some_and(|(first, _)| first.is_at_or_below(path))
    }
}

fn size(part: &Part) -> u64 {
    part.print().map_or(0, |print| print.size)
}

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Whether all changes of a burst become visible at once.
    pub(super) fn is_together(&self) -> bool {
        self.settings.publish == Publish::Together
    }

    /// Takes up what an earlier process staged, or was publishing.
    pub(super) async fn recover_release(&mut self) -> Result<(), IndexError> {
        let together = self.is_together();
        let read = move |index: &mut Index| {
            if !together {
                index.unstage()?;
                index.set_note(Note::Withheld, None::<&Withheld>)?;
            }
            Ok((index.staged()?, index.note(Note::Withheld)?))
        };
        let (staged, withheld) = self.books.with(read).await?;
        self.release = Releasing::new(staged, withheld);
        Ok(())
    }

    /// Starts what a release needs; `true` while nothing else may be started.
    pub(super) async fn tend_release(&mut self, now: Instant) -> Result<bool, IndexError> {
        if self.publishing().is_some() {
            return Ok(true);
        }
        if !self.release.cut.is_empty() {
            if self.crew.len() == 0 && self.allowance(now) > 0 {
                let parts = std::mem::take(&mut self.release.cut);
                let parts = self.with_records(parts).await?;
                self.start(Task::Release(Work::Finish(parts)), Vec::new());
            }
            return Ok(true);
        }
        if let Some(parts) = self.release.reviewed.take() {
            if self.is_quiet() && self.crew.len() == 0 && self.allowance(now) > 0 {
                self.begin_run(parts).await?;
                return Ok(true);
            }
            self.release.assessed = false;
        }
        while self.allowance(now) > 0 && !self.release.unproven.is_empty() {
            let count = self.release.unproven.len().min(TOGETHER);
            let parts = self.release.unproven.drain(..count).collect();
            self.start(Task::Release(Work::Prove(parts)), Vec::new());
        }
        while self.allowance(now) > 0 && !self.release.unwanted.is_empty() {
            let count = self.release.unwanted.len().min(TOGETHER);
            let parts = self.release.unwanted.drain(..count).collect();
            self.start(Task::Release(Work::Discard(parts)), Vec::new());
        }
        Ok(false)
    }

    /// Plans what is done ahead: everything is planned as one whole, since in the end it is done as one.
    pub(super) async fn plan_release(&mut self) -> Result<(), IndexError> {
        while self.may_release() && self.needs_jobs() {
            if !self.backlog.is_empty() {
                self.promise().await?;
                continue;
            }
            if !std::mem::take(&mut self.stale) {
                return Ok(());
            }
            self.release.assessed = false;
            self.begin_pass().await?;
            if self.link.is_full() {
                self.take_out_the_trash().await?;
            }
            let busy = self.busy();
            let whole = self.plan_whole(&busy).await?;
            self.left_out |= whole.lacks;
            self.acting |= !busy.is_empty() || !whole.split.ahead.is_empty();
            self.go_ahead(whole.split.ahead);
        }
        Ok(())
    }

    /// Finds out whether everything is there, if that is not known; `true` if there is something else to start.
    pub(super) async fn assess(&mut self, now: Instant) -> Result<bool, IndexError> {
        if self.release.again.is_some_and(|at| at <= now) {
            self.release.assessed = false;
        }
        let idle = self.crew.len() == 0 && self.schedule.is_empty() && self.backlog.is_empty() && self.doubts.is_empty();
        let release = &self.release;
        if release.assessed || !idle || !self.may_release() || !self.is_quiet() || !release.unwanted.is_empty() {
            return Ok(false);
        }
        if !release.unproven.is_empty() || release.reviewed.is_some() || self.allowance(now) == 0 {
            return Ok(false);
        }
        self.release.assessed = true;
        self.release.again = None;
        self.guard().await?;
        if self.stale {
            return Ok(true);
        }
        let Whole { split, lacks } = self.plan_whole(&PathSet::default()).await?;
        if !split.ahead.is_empty() || !self.release.unwanted.is_empty() {
            self.go_ahead(split.ahead);
            self.release.assessed = false;
            return Ok(true);
        }
        if lacks || !self.unseen.is_empty() {
            let why = self.shortcoming().await?;
            self.withhold(Some(why)).await?;
        } else if split.steps.is_empty() {
            self.withhold(None).await?;
        } else {
            let put = |release: &Releasing, path: &RelPath| release.staged.get(path).cloned();
            let part = |operation: Operation| match &operation {
                Operation::Put { path, .. } => put(&self.release, path),
                _ => Some(Part::new(operation)),
            };
            let parts = release::order(split.steps).into_iter().filter_map(part).collect();
            let parts = self.with_records(parts).await?;
            self.start(Task::Release(Work::Review(parts)), Vec::new());
        }
        Ok(false)
    }

    /// What the status says of it; nothing where each change is published by itself.
    pub(super) fn release_status(&self) -> Option<ReleaseStatus> {
        let publishing = self.publishing();
        self.is_together().then(|| ReleaseStatus {
            staged_files: self.release.staged.len() as u64,
            staged_bytes: self.release.bytes,
            publishing: publishing.is_some_and(|(_, visible)| visible),
            published: publishing.map_or(0, |(done, _)| done),
            withheld: self.release.withheld.clone(),
        })
    }

    /// Whether a run of renames is under way, or about to be; how far it came, and whether it has begun.
    pub(super) fn publishing(&self) -> Option<(u64, bool)> {
        self.crew.running().find_map(|running| match &running.task {
            Task::Release(Work::Publish(_) | Work::Finish(_)) => Some((running.sent.load(Ordering::Relaxed), true)),
            Task::Release(Work::Review(_)) => Some((0, false)),
            _ => None,
        })
    }

    /// Whether the observed side is whole. Uploads do not start while the first scan runs: nothing is gained before its end.
    fn may_release(&self) -> bool {
        self.root != Rooted::Missing && self.looked && self.looking.is_none() && self.release.unproven.is_empty()
    }

    /// Whether nothing changed since everything was looked at and planned.
    fn is_quiet(&self) -> bool {
        !self.stale
            && self.pass == Pass::Over
            && self.looking.is_none()
            && self.settle.deadline().is_none()
            && self.unsure.is_empty()
            && self.reviewed.is_empty()
            && matches!(self.root, Rooted::Here { .. })
    }

    fn go_ahead(&mut self, ahead: Vec<(Operation, RelPath)>) {
        self.release.beside.clear();
        for (operation, beside) in ahead {
            if *operation.path() != beside {
                self.release.beside.insert(operation.path().clone(), beside);
            }
            self.backlog.push_back(operation);
        }
    }

    /// Plans all that is pending, but what is on one of the `busy` paths. What is staged and not wanted any more is noted.
    async fn plan_whole(&mut self, busy: &PathSet) -> Result<Whole, IndexError> {
        let wall = self.wall();
        let read = move |index: &mut Index| {
            let mut window = index.window(None, usize::MAX >> 1, wall)?;
            window.twins = index.twins(&window.rows, wall)?;
            Ok(window)
        };
        let window: Window = self.books.with(read).await?;
        let plan = plan::plan(&window, &Stage::All, self.policy(), busy);
        let lacks = plan.deferred > 0 || plan.held > 0 || !plan.parked.is_empty();
        if !plan.parked.is_empty() {
            self.books.with(move |index| index.park(&plan.parked)).await?;
            self.untold = true;
        }
        if !plan.records.is_empty() {
            self.books.with(move |index| index.record(&plan.records, wall)).await?;
            self.untold = true;
        }
        let steps = self.without_left(plan.steps).await?;
        self.drop_unwanted(&window, &steps);
        let staged = &self.release.staged;
        let is_staged = |put: &Operation| staged.get(put.path()).is_some_and(|part| part.answers(put));
        let mut split = release::split(steps, is_staged);
        // The old versions are copied ahead: nobody sees that either.
        let keeps = self.keeping(&split.steps).await?.into_iter().flatten();
        let keeps = keeps.filter(|keep| !self.release.unkept.contains(keep.path()));
        split.ahead.extend(keeps.map(|keep| (keep.clone(), keep.path().clone())));
        Ok(Whole { split, lacks })
    }

    /// Nobody needs what is staged for a path that is to get something else, or nothing.
    fn drop_unwanted(&mut self, window: &Window, steps: &[Step]) {
        if self.release.staged.is_empty() {
            return;
        }
        let planned: HashMap<&RelPath, &Operation> = steps.iter().map(|step| (step.operation.path(), &step.operation)).collect();
        let rows: HashMap<&RelPath, Option<Entry>> = window.rows.iter().map(|row| (&row.path, row.observed)).collect();
        let is_wanted = |path: &RelPath, part: &Part| match (planned.get(path), rows.get(path)) {
            (Some(operation), _) => part.answers(operation),
            // It waits for something.
            (None, Some(Some(Entry::File { print, .. }))) => part.print() == Some(print),
            _ => false,
        };
        let unwanted: Vec<RelPath> =
            self.release.staged.iter().filter(|(path, part)| !is_wanted(path, part)).map(|(path, _)| path.clone()).collect();
        for path in unwanted {
            let part = self.release.take(&path);
            self.release.unwanted.extend(part);
        }
    }

    /// Writes the run down, and begins it.
    async fn begin_run(&mut self, mut parts: Vec<Part>) -> Result<(), IndexError> {
        let wall = self.wall();
        let jobs = parts.iter().map(|part| part.job.clone()).collect();
        let begun = self.books.with(move |index| index.begin_run(jobs, |job| job.id != release::UNBEGUN, wall)).await?;
        for (part, job) in parts.iter_mut().zip(begun) {
            part.job = job;
            self.release.take(part.job.operation.path());
        }
        self.release.unkept.clear();
        tracing::info!(mirror = %self.settings.name, changes = parts.len(), "publishing");
        self.start(Task::Release(Work::Publish(parts)), Vec::new());
        Ok(())
    }

    async fn with_records(&mut self, mut parts: Vec<Part>) -> Result<Vec<Part>, IndexError> {
        let read = move |index: &mut Index| {
            for part in &mut parts {
                let paths: Vec<RelPath> = part.job.operation.touches().cloned().collect();
                part.recorded = index.recorded(&paths)?;
            }
            Ok(parts)
        };
        self.books.with(read).await
    }

    /// What keeps the release from being whole.
    async fn shortcoming(&mut self) -> Result<Withheld, IndexError> {
        let since = self.wall();
        if let Some(note) = &self.halt {
            let (why, hint) = (note.halt.to_string(), note.halt.hint(&self.settings.name));
            return Ok(Withheld { why, hint, waits: false, since });
        }
        if let Some(unseen) = self.unseen.shown().next() {
            let path = if unseen.path.is_empty() { "the root" } else { &unseen.path };
            let hint = "mend this, or add it to the ignore rules".to_owned();
            return Ok(Withheld { why: format!("{path} could not be looked at: {}", unseen.why), hint, waits: false, since });
        }
        let problems = self.books.with(|index| index.problems(PROBLEMS)).await?;
        Ok(of_problems(&problems).map_or_else(
            || Withheld { why: "something has to be done first".into(), hint: String::new(), waits: true, since },
            |(why, hint, waits)| Withheld { why, hint, waits, since },
        ))
    }

    /// Notes why nothing is published, or that nothing keeps it any more.
    pub(super) async fn withhold(&mut self, found: Option<Withheld>) -> Result<(), IndexError> {
        let known = self.release.withheld.as_ref();
        if found.as_ref().map(|found| (&found.why, &found.hint)) == known.map(|known| (&known.why, &known.hint)) {
            return Ok(());
        }
        let mirror = &self.settings.name;
        match &found {
            Some(Withheld { why, hint, .. }) => tracing::warn!(%mirror, "nothing is published: {why}; {hint}"),
            None => tracing::info!(%mirror, "nothing keeps the changes from being published any more"),
        }
        let since = known.map(|known| known.since);
        self.release.withheld = found.map(|found| Withheld { since: since.unwrap_or(found.since), ..found });
        self.untold = true;
        let note = self.release.withheld.clone();
        self.books.with(move |index| index.set_note(Note::Withheld, note.as_ref())).await
    }
}

/// Which paths keep a release back, what to do about the first that somebody must do something about, and whether there is
/// none but those that are tried again.
fn of_problems(problems: &[PathProblem]) -> Option<(String, String, bool)> {
    let parked = problems.iter().find(|problem| problem.retry_at.is_none());
    let first = parked.or(problems.first())?;
    let others = problems.iter().filter(|other| other.path != first.path);
    let named: Vec<String> = std::iter::once(first)
        .chain(others)
        .take(NAMED)
        .map(|problem| format!("{}: {}", problem.path, problem.problem))
        .collect();
    let more = problems.len() - named.len();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    Some((format!("{}{more}", named.join("; ")), first.problem.hint().to_owned(), parked.is_none()))
}
