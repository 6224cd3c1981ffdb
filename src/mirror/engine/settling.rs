//! The engine's books: what came of each job, the link's state that follows from it, and what is planned again.

use tokio::time::Instant;

use super::{Doubt, Mirror};
use crate::{
    index::{IndexError, Note},
    mirror::{
        Event,
        crew::{End, Task},
        drift::Aside,
        history,
        retry::{self, LinkNote, State},
        worker::{self, Answers, Report, row},
    },
    model::{
        Chunks, Digest, Done, Entry, How, Job, JobId, Operation, Outcome, PathSet, Problem, Reason, RelPath, Settlement, is_trash,
    },
    remote::{Class, Remote, RemoteError},
    watch::Watcher,
};

/// What one turn's ended tasks come to.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) settled: Vec<(Job, Outcome)>,
    answered: Vec<(JobId, Answers)>,
    /// The directory on the server is not what it was taken for.
    unbound: bool,
    /// What was found out of other paths.
    pub(super) aside: Vec<Aside>,
    /// What a run left staged.
    pub(super) restaged: Vec<JobId>,
    /// What was sent, chunk by chunk.
    sent: Vec<Sent>,
}

/// A large file that was sent.
struct Sent {
    digest: Digest,
    size: u64,
    chunks: Chunks,
    /// The content that it took the place of, if that is known.
    replaced: Option<Digest>,
}

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Settles a task that ended, and with it, in one transaction, all that have ended since.
    pub(super) async fn settle(&mut self, task: Task, end: End) -> Result<(), IndexError> {
        // Before anything is recorded: what the server answers for one name it may answer for its twin.
        self.tell_folding().await?;
        let mut turn = Turn::default();
        let down_before = self.is_down();
        self.take(task, end, &mut turn);
        while let Some((task, end)) = self.crew.try_next() {
            self.take(task, end, &mut turn);
        }
        self.untold = true;
        self.stale |= self.left_out && self.acting;
        let unbound = turn.unbound;
        self.write(turn).await?;
        self.note_marker().await?;
        if unbound {
            self.unbound().await?;
        }
        if self.is_down() && !down_before {
            self.link_down().await?;
        }
        if self.link_noted && self.link.attempts() == 0 {
            self.link_noted = false;
            self.books.with(|index| index.set_note(Note::Link, None::<&LinkNote>)).await?;
        }
        Ok(())
    }

    fn is_down(&self) -> bool {
        matches!(self.link.state(), State::Waiting { .. } | State::Stopped { .. })
    }

    /// The link went down: keep it, say it, and while it is down promise nothing.
    async fn link_down(&mut self) -> Result<(), IndexError> {
        if let State::Waiting { why, hint, .. } | State::Stopped { why, hint, .. } = self.link.state() {
            let (why, hint) = (why.clone(), hint.unwrap_or("it is tried again by itself"));
            tracing::warn!(mirror = %self.settings.name, attempts = self.link.attempts(), "the server cannot be used: {why}; {hint}");
            self.tell_observer(&Event::LinkDown(why));
            self.withdraw().await?;
        }
        let note = self.link.note(self.wall(), Instant::now());
        self.link_noted = note.is_some();
        self.books.with(move |index| index.set_note(Note::Link, note.as_ref())).await
    }

    fn take(&mut self, task: Task, end: End, turn: &mut Turn) {
        match (task, end) {
            (Task::Run(job), End::Ran(report)) => self.ran(job, *report, turn),
            // It went on where it was cut off.
            (Task::Resolve(job, _), End::Ran(report)) => {
                self.doubtless(&job);
                self.stale = true;
                self.ran(job, *report, turn);
            }
            (Task::Release(work), End::Told(told)) => self.take_told(&work, *told, turn),
            (Task::Release(work), end) => {
                match end {
                    End::NoSession(e) => self.link_failed(&e),
                    End::Unbound => {
                        turn.unbound = true;
                        self.link_works();
                    }
                    _ => {}
                }
                self.not_tried(work);
            }
            (Task::Warm(_), _) => {}
            (Task::Study, End::NoSession(e)) => self.link_failed(&e),
            (Task::Study, End::Unbound) => {
                turn.unbound = true;
                self.link_works();
            }
            (Task::Study, _) => self.link_works(),
            (Task::Run(job), End::NotBegun) => self.ended(job, Outcome::Untouched, turn),
            (Task::Run(job), End::NoSession(e)) => {
                self.link_failed(&e);
                self.ended(job, Outcome::Untouched, turn);
            }
            (Task::Run(job), End::Unbound) => {
                turn.unbound = true;
                self.link_works();
                self.ended(job, Outcome::Untouched, turn);
            }
            (Task::Resolve(job, asked), End::Unbound) => {
                turn.unbound = true;
                self.link_works();
                self.doubts.push_back(Doubt { job, asked, ask_at: Instant::now() });
            }
            (Task::Run(job), End::Died | End::Answered(_) | End::Unanswered(_) | End::Told(_) | End::Studied | End::Warmed) => {
                let problem = Problem::new(Reason::Connection, "the task that did it ended unexpectedly");
                self.ended(job, Outcome::InDoubt(problem), turn);
            }
            (Task::Resolve(job, _), End::Answered(answers)) => {
                self.link_works();
                self.doubtless(&job);
                self.trash.heard(&job.operation);
                self.stale = true;
                turn.answered.push((job.id, answers));
            }
            (Task::Resolve(job, asked), End::NoSession(e)) => {
                self.link_failed(&e);
                self.doubts.push_back(Doubt { job, asked, ask_at: Instant::now() });
            }
            (Task::Resolve(job, asked), End::Unanswered(e)) => {
                if e.session_survives() {
                    self.link_works();
                } else {
                    self.link_failed(&e);
                }
                let problem = worker::problem(&e);
                self.ask_later(job, asked, problem, turn);
            }
            (Task::Resolve(job, asked), End::Died | End::Told(_) | End::NotBegun | End::Studied | End::Warmed) => {
                let problem = Problem::new(Reason::Connection, "the question about it ended unexpectedly");
                self.ask_later(job, asked, problem, turn);
            }
        }
    }

    fn ran(&mut self, job: Job, report: Report, turn: &mut Turn) {
        match &report.trouble {
            Some(e) => self.link_failed(e),
            None if report.unheard => {}
            None => self.link_works(),
        }
        if report.differs {
            return self.schedule.again(Job { operation: row::unlike(job.operation), ..job });
        }
        if report.mode_unset && !std::mem::replace(&mut self.mode_unset, true) {
            tracing::warn!(mirror = %self.settings.name, "the server does not set permissions (SITE CHMOD)");
        }
        turn.aside.extend(report.aside);
        if report.look_again {
            self.look_again(job.operation.path().clone());
        }
        if let Outcome::Done(done) = &report.outcome {
            self.staged(&job, done);
            turn.sent.extend(self.sent(&job.operation, done, report.chunks));
        }
        self.ended(job, report.outcome, turn);
    }

    /// What is to be kept of the `chunks` of what was put, if a change of it can be told to this server chunk by chunk.
    fn sent(&self, operation: &Operation, done: &Done, chunks: Option<Chunks>) -> Option<Sent> {
        let chunks = chunks.filter(|_| self.can_patch())?;
        let (Done::Holds { print, digest, .. } | Done::Staged { print, digest, .. }) = done else { return None };
        let replaced = match operation {
            Operation::Put { path, like: Some(like), .. } if like.is_at(path) => Some(like.digest),
            Operation::Put { equal_to, .. } => *equal_to,
            _ => None,
        };
        Some(Sent { digest: *digest, size: print.size, chunks, replaced: replaced.filter(|replaced| replaced != digest) })
    }

    /// What is recorded at the paths that `job` regards.
    pub(super) async fn recorded(&mut self, job: &Job) -> Result<Vec<Option<Entry>>, IndexError> {
        let paths: Vec<RelPath> = job.operation.regards().cloned().collect();
        self.books.with(move |index| index.recorded(&paths)).await
    }

    /// The server did not say what became of a job: that is this path's problem, with a backoff of its own, and no other's.
    fn ask_later(&mut self, job: Job, asked: u32, problem: Problem, turn: &mut Turn) {
        let wait = retry::backoff(asked.saturating_add(1), fastrand::f64());
        self.doubts.push_back(Doubt { job: job.clone(), asked: asked.saturating_add(1), ask_at: Instant::now() + wait });
        turn.settled.push((job, Outcome::InDoubt(problem)));
    }

    /// A job ended: those that build on it are taken back if it failed.
    fn ended(&mut self, job: Job, outcome: Outcome, turn: &mut Turn) {
        let done = matches!(outcome, Outcome::Done(_));
        for dropped in self.schedule.finish(job.id, done) {
            turn.settled.push((dropped, Outcome::Untouched));
        }
        if let Outcome::InDoubt(_) = outcome {
            self.doubt(job.clone());
        }
        if !done {
            self.replan();
        }
        if let Outcome::Done(Done::NotKept) | Outcome::Failed(_) = &outcome {
            self.release.not_kept(&job.operation);
            self.trash.not_kept(&job.operation);
        }
        self.trash.heard(&job.operation);
        self.count(&job.operation, &outcome);
        turn.settled.push((job, outcome));
    }

    pub(super) fn count(&mut self, operation: &Operation, outcome: &Outcome) {
        let counters = &mut self.counters;
        counters.bytes_saved += history::saved(operation, outcome);
        if let Outcome::Failed(problem) | Outcome::InDoubt(problem) = outcome {
            *self.errors.paths.entry(problem.reason).or_default() += 1;
        }
        match outcome {
            // It counts when it is published.
            Outcome::Done(Done::Staged { .. }) => return,
            Outcome::Done(Done::Holds { sent: 0, print, .. }) if print.size > 0 => counters.unchanged += 1,
            Outcome::Done(Done::Holds { sent, .. }) => {
                counters.puts += 1;
                counters.bytes_sent += sent;
            }
            Outcome::Done(Done::NotKept) => {}
            Outcome::Done(Done::NotMoved) => counters.directories += 1,
            Outcome::Done(Done::AsPlanned) => match operation {
                Operation::MakeDir { .. } => counters.directories += 1,
                Operation::Rename { .. } | Operation::RenameDir { .. } => counters.renames += 1,
                Operation::Rotate { others, .. } => counters.renames += 1 + others.len() as u64,
                Operation::RemoveFile { .. } | Operation::Trash { .. } => {
                    counters.removals += 1;
                    if self.approval.is_some_and(|approval| approval.deletes > self.approved_done) {
                        self.approved_done += 1;
                    } else {
                        self.recent_deletes.push_back((Instant::now(), 1));
                    }
                }
                Operation::Link { .. } => counters.links += 1,
                Operation::SetMode { .. } => counters.modes += 1,
                Operation::RemoveDir { .. } | Operation::Put { .. } => counters.removals += 1,
                Operation::Keep { .. } => {}
                Operation::Restore { .. } | Operation::Revert { .. } => counters.restored += 1,
                Operation::Expire { .. } => counters.expired += 1,
            },
            Outcome::Failed(_) | Outcome::InDoubt(_) => counters.failures += 1,
            Outcome::Untouched => {}
        }
        if matches!(outcome, Outcome::Done(_)) {
            self.last_success = Some(self.wall());
        }
    }

    fn doubtless(&mut self, job: &Job) {
        for path in job.operation.touches() {
            self.doubtful.remove(path);
        }
        // Another job in doubt may touch the same path.
        let asking = self.crew.running().filter_map(|running| match &running.task {
            Task::Resolve(job, _) => Some(job),
            Task::Run(_) | Task::Release(_) | Task::Study | Task::Warm(_) => None,
        });
        let doubted = self.doubts.iter().map(|doubt| &doubt.job).chain(asking);
        let others: Vec<RelPath> = doubted.flat_map(|job| job.operation.touches().cloned()).collect();
        for path in others {
            self.doubtful.insert(path);
        }
    }

    pub(super) fn link_works(&mut self) {
        self.crew.worked();
        if self.link.works() {
            tracing::info!(mirror = %self.settings.name, "the server can be used again");
            self.tell_observer(&Event::LinkUp);
            self.stale = true;
        }
    }

    pub(super) fn link_failed(&mut self, error: &RemoteError) {
        *self.errors.link.entry(error.class).or_default() += 1;
        if error.class == Class::Busy && self.crew.turned_away() {
            self.link.turned_away();
        } else {
            self.link.failed(error.class, error.to_string(), error.hint, Instant::now(), fastrand::f64());
        }
    }

    async fn write(&mut self, turn: Turn) -> Result<(), IndexError> {
        let (mut told, mut done) = (Vec::new(), Vec::new());
        let wall = self.wall();
        for (job, outcome) in &turn.settled {
            done.extend(history::logged(&job.operation, outcome, wall));
            if *outcome != Outcome::Untouched {
                self.log(&job.operation, outcome);
                told.push(Event::Settled { operation: job.operation.clone(), outcome: outcome.clone() });
            }
        }
        let chances: Vec<f64> = turn.settled.iter().map(|_| fastrand::f64()).collect();
        self.books
            .with(move |index| {
                let mut settlements = Vec::with_capacity(turn.settled.len());
                for ((job, outcome), chance) in turn.settled.into_iter().zip(chances) {
                    let retry_at = match &outcome {
                        Outcome::Failed(problem) | Outcome::InDoubt(problem) if problem.is_transient() => {
                            let attempts = index.attempts(job.operation.path())?.saturating_add(1);
                            Some(wall.after(retry::backoff(attempts, chance)))
                        }
                        _ => None,
                    };
                    settlements.push(Settlement { job: job.id, outcome, retry_at });
                }
                if !settlements.is_empty() {
                    index.settle(&settlements, wall)?;
                }
                for Sent { digest, size, chunks, replaced } in turn.sent {
                    index.keep_chunks(digest, size, &chunks, replaced)?;
                }
                index.log(&done)?;
                for aside in turn.aside {
                    match aside {
                        Aside::Parked(path, problem) => index.park(&[(path, problem)])?,
                        Aside::Told(path, stat) => index.told(&path, stat, wall)?,
                    }
                }
                if !turn.restaged.is_empty() {
                    index.restage(&turn.restaged)?;
                }
                turn.answered.into_iter().try_for_each(|(job, answers)| index.resolve(job, &answers, wall))
            })
            .await?;
        told.iter().for_each(|event| self.tell_observer(event));
        Ok(())
    }

    fn log(&self, operation: &Operation, outcome: &Outcome) {
        let (mirror, verb, path) = (&self.settings.name, operation.verb(), operation.path());
        match outcome {
            Outcome::Done(Done::Staged { sent, .. }) => tracing::info!(%mirror, %path, bytes = sent, "staged"),
            Outcome::Done(Done::Holds { sent, print, how, .. }) => match (how, operation.like()) {
                (How::Sent, _) => tracing::info!(%mirror, %path, bytes = sent, "{verb}"),
                (How::Copied, Some(from)) => tracing::info!(%mirror, %path, %from, bytes = print.size, "copied on the server"),
                (How::Unchanged | How::Copied, _) => tracing::info!(%mirror, %path, "unchanged, nothing sent"),
                (How::Appended, _) => tracing::info!(%mirror, %path, bytes = sent, of = print.size, "appended"),
                (How::Patched { chunks, of }, _) => {
                    tracing::info!(%mirror, %path, bytes = sent, of = print.size, "patched {chunks} of {of} chunks");
                }
            },
            Outcome::Done(Done::NotKept) => tracing::debug!(%mirror, %path, "its old version is not kept"),
            Outcome::Done(Done::NotMoved) => {
                tracing::info!(%mirror, %path, "the server did not rename the directory; what is in it is moved by itself");
            }
            Outcome::Done(Done::AsPlanned) => match operation {
                Operation::Rename { from, .. } if is_trash(from) => {
                    tracing::info!(%mirror, %path, %from, "taken from the trash");
                }
                Operation::Rename { from, .. } | Operation::RenameDir { from, .. } => {
                    tracing::info!(%mirror, %path, %from, "{verb}");
                }
                Operation::Rotate { others, .. } => {
                    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
                    tracing::info!(%mirror, %path, with = others.join(", "), "{verb}");
                }
                Operation::Trash { place, .. } | Operation::Keep { place, .. } => {
                    tracing::info!(%mirror, %path, %place, "{verb}");
                }
                _ => tracing::info!(%mirror, %path, "{verb}"),
            },
            Outcome::Failed(problem) if !problem.is_transient() => {
                tracing::warn!(%mirror, %path, hint = problem.hint(), "parked: {problem}");
            }
            Outcome::Failed(problem) | Outcome::InDoubt(problem) => {
                tracing::info!(%mirror, %path, "{verb} is tried again: {problem}");
            }
            Outcome::Untouched => {}
        }
    }

    /// Takes back every job that was promised and not begun.
    pub(super) async fn withdraw(&mut self) -> Result<(), IndexError> {
        self.replan();
        let jobs = self.schedule.drain_waiting();
        self.take_back(jobs).await
    }

    /// Takes back what was planned or promised, and not begun, for paths that look different now.
    pub(super) async fn outdate(&mut self, changed: &PathSet) -> Result<(), IndexError> {
        let jobs = self.schedule.withdraw(changed);
        // What else was planned may build on what is taken back, as a file on its directory.
        if !jobs.is_empty() || self.backlog.iter().any(|operation| operation.touches().any(|path| changed.overlaps(path))) {
            self.replan();
        }
        self.take_back(jobs).await
    }

    async fn take_back(&mut self, jobs: Vec<Job>) -> Result<(), IndexError> {
        if jobs.is_empty() {
            return Ok(());
        }
        jobs.iter().for_each(|job| self.trash.heard(&job.operation));
        let settlements: Vec<_> =
            jobs.into_iter().map(|job| Settlement { job: job.id, outcome: Outcome::Untouched, retry_at: None }).collect();
        let wall = self.wall();
        self.books.with(move |index| index.settle(&settlements, wall)).await
    }
}
