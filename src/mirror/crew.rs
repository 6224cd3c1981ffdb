//! The sessions of one mirror and the tasks that use them: one task a job, one session a task, idle sessions kept warm.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::{Id, JoinSet},
    time::{Instant, timeout},
};

use super::{
    drift::Care,
    marker::{Marking, Stand},
    release::Part,
    seats::{Member, Seat, Seats},
    worker::{
        self, Answers, Report,
        publish::{self, Told},
        put::Load,
        row,
    },
};
use crate::{
    model::{Job, JobId, Operation},
    remote::{Class, Remote, RemoteError, Session},
};

/// An idle session is closed after this, and the last one asked for a sign of life; every server measured waits at least five minutes.
const KEEP_IDLE: Duration = Duration::from_secs(60);
/// The last one is kept for so long, as far as the server bears it: the first edit after a pause does not pay for a login.
const KEEP_WARM: Duration = Duration::from_secs(15 * 60);
/// A session that was idle for longer is asked for a sign of life before a job is given to it.
const TRUST_IDLE: Duration = Duration::from_secs(5);
/// So many puts wait behind the one that a session does: one whose data port is asked for with it, and one that is there in time for that
/// to go on.
const BEHIND: usize = 2;
/// Saying good-bye may take this long.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// What a task is for.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Do the job.
    Run(Job),
    /// Ask what became of it, after so many questions in vain.
    Resolve(Job, u32),
    /// Bring a release forward.
    Release(Work),
    /// Find out what else the server can do.
    Study,
    /// Keep an idle session, which was last used at this time, from being closed.
    Warm(Instant),
}

/// What is done for a release; each of these with many jobs on one session.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Find out whether what was staged by an earlier process still is.
    Prove(Vec<Part>),
    /// Remove what is staged and not wanted any more.
    Discard(Vec<Part>),
    /// Look at everything once more.
    Review(Vec<Part>),
    /// Make it visible.
    Publish(Vec<Part>),
    /// Go on with what was cut off.
    Finish(Vec<Part>),
}

impl Task {
    /// The one job that it is about.
    pub(super) fn job(&self) -> Option<&Job> {
        match self {
            Self::Run(job) | Self::Resolve(job, _) => Some(job),
            Self::Release(_) | Self::Study | Self::Warm(_) => None,
        }
    }
}

/// How a task ended.
pub(super) enum End {
    /// The job ran.
    Ran(Box<Report>),
    /// The server answered what is at the job's paths.
    Answered(Answers),
    /// No session could be had: nothing was tried.
    NoSession(RemoteError),
    /// The session ended before it was the job's turn.
    NotBegun,
    /// The directory on the server is not what it was taken for: nothing was tried.
    Unbound,
    /// What came of work for a release.
    Told(Box<Told>),
    /// What else the server can do is known, as far as it can be.
    Studied,
    /// The session answered, or is not kept any more.
    Warmed,
    /// The question was not answered.
    Unanswered(RemoteError),
    /// The task panicked: nobody knows how far it came.
    Died,
}

/// What one session does now.
pub(super) struct Running {
    pub(super) task: Task,
    /// Bytes of body handed to the network; of a run of renames, how many are done.
    pub(super) sent: Arc<AtomicU64>,
    /// The jobs that come after it, oldest first.
    behind: VecDeque<(Job, Arc<AtomicU64>)>,
    /// Where another one is put.
    more: mpsc::Sender<Load>,
}

impl Running {
    /// The jobs in its hands, and how many bytes of each went out.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (&Job, &AtomicU64)> {
        let first = self.task.job().map(|job| (job, &*self.sent));
        first.into_iter().chain(self.behind.iter().map(|(job, sent)| (job, &**sent)))
    }

    /// Whether it can take another put.
    fn has_room(&self) -> bool {
        let puts = |job: &Job| matches!(job.operation, Operation::Put { .. }) && !row::joins(&job.operation);
        let follows = matches!(&self.task, Task::Run(job) if puts(job));
        follows && self.more.capacity() > 0 && !self.more.is_closed()
    }

    /// The first job is over: the one behind it is the first now.
    fn advance(&mut self) -> Option<Task> {
        let (job, sent) = self.behind.pop_front()?;
        self.sent = sent;
        Some(std::mem::replace(&mut self.task, Task::Run(job)))
    }
}

type Finished<S> = (End, Option<Placed<S>>);

/// A session that nobody uses.
struct Idle<S> {
    placed: Placed<S>,
    /// When it was used last.
    since: Instant,
    /// When the server answered last.
    heard: Instant,
}

impl<S> Idle<S> {
    fn new(placed: Placed<S>, since: Instant) -> Self {
        Self { placed, since, heard: Instant::now() }
    }
}

/// A session and its seat.
pub(super) struct Placed<S> {
    pub(super) session: S,
    seat: Seat,
}

impl<S: Session> Placed<S> {
    async fn close(self) {
        let _ = timeout(GOOD_BYE, self.session.close()).await;
        drop(self.seat);
    }
}

pub(super) struct Crew<R: Remote> {
    remote: Arc<R>,
    seats: Member,
    /// What was used last comes last.
    idle: Vec<Idle<R::Session>>,
    tasks: JoinSet<Finished<R::Session>>,
    running: HashMap<Id, Running>,
    ready: mpsc::UnboundedSender<()>,
    /// What came of jobs whose tasks go on with others.
    reports: mpsc::UnboundedReceiver<(JobId, Report)>,
    reporting: mpsc::UnboundedSender<(JobId, Report)>,
    /// What tasks did that ended with more than one job left.
    left: VecDeque<(Task, End)>,
    marking: Arc<Marking>,
}

impl<R: Remote> Crew<R> {
    /// A crew, and where it tells of each task that has its session, or room for another job.
    pub(super) fn new(remote: Arc<R>, seats: &Seats) -> (Self, mpsc::UnboundedReceiver<()>) {
        let (ready, readied) = mpsc::unbounded_channel();
        let (idle, tasks, running) = (Vec::new(), JoinSet::new(), HashMap::new());
        let marking = Arc::new(Marking::new(remote.target()));
        let ((reporting, reports), left) = (mpsc::unbounded_channel(), VecDeque::new());
        (Self { remote, seats: seats.join(), idle, tasks, running, ready, reports, reporting, left, marking }, readied)
    }

    /// Whose the directory on the server is.
    pub(super) fn marking(&self) -> &Marking {
        &self.marking
    }

    /// How many sessions this mirror may have now.
    pub(super) fn share(&self) -> usize {
        self.seats.share()
    }

    /// How many sessions the mirrors of this remote may have together.
    pub(super) fn limit(&self) -> usize {
        self.seats.limit()
    }

    /// A job went well.
    pub(super) fn worked(&self) {
        self.seats.worked();
    }

    /// The server turned a session away; whether that was because of the others that are up.
    pub(super) fn turned_away(&self) -> bool {
        self.seats.turned_away()
    }

    /// Jobs that run now.
    pub(super) fn running(&self) -> impl Iterator<Item = &Running> {
        self.running.values()
    }

    /// How many jobs run now.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Sessions that are open, being opened, or waited for.
    pub(super) fn sessions(&self) -> usize {
        self.running.len() + self.idle.len()
    }

    /// Starts `task` on a warm session if there is one, else on a new one, and with it a `row` of jobs, if it can be in one. The
    /// abilities in `care` are those of the moment.
    pub(super) fn start(&mut self, task: Task, mut care: Care, mut row: Vec<Load>) {
        let warm = self.idle.pop();
        let opened = self.ready.clone();
        let remote = Arc::clone(&self.remote);
        let marking = Arc::clone(&self.marking);
        let seat = self.seats.seat();
        let sent = Arc::new(AtomicU64::new(0));
        let (more, mut follow) = mpsc::channel(BEHIND);
        let behind = row.iter().map(|load| (load.job.clone(), Arc::clone(&load.sent))).collect();
        let running = Running { task: task.clone(), sent: Arc::clone(&sent), behind, more };
        let reporting = self.reporting.clone();
        let handle = self.tasks.spawn(async move {
            let (Placed { mut session, seat }, fresh) = match ready(&*remote, warm, seat).await {
                Ok(found) => found,
                Err(e) => return (End::NoSession(e), None),
            };
            if fresh || marking.stand() == Stand::Unknown {
                match marking.check(&mut session).await {
                    Ok(true) => {}
                    Ok(false) => return (End::Unbound, Some(Placed { session, seat })),
                    Err(e) => return (End::NoSession(e), None),
                }
            }
            let _ = opened.send(());
            let tell = |job: Job, report| drop(reporting.send((job.id, report)));
            match task {
                Task::Run(job) if row::joins(&job.operation) => {
                    row.insert(0, Load { job, care, sent });
                    row.iter_mut().for_each(|load| load.care.abilities = remote.abilities());
                    let (last, lives) = row::run(&mut session, row, tell).await;
                    let end = last.map_or(End::Died, |report| End::Ran(Box::new(report)));
                    (end, lives.then_some(Placed { session, seat }))
                }
                Task::Run(job) if matches!(job.operation, Operation::Put { .. }) => {
                    care.abilities = remote.abilities();
                    let first = Load { job, care, sent };
                    let room = || {
                        let _ = opened.send(());
                    };
                    let (last, lives) = worker::put::run(&mut session, first, &mut follow, room, tell).await;
                    let end = last.map_or(End::Died, |report| End::Ran(Box::new(report)));
                    (end, lives.then_some(Placed { session, seat }))
                }
                Task::Run(job) => {
                    care.abilities = remote.abilities();
                    let report = worker::run(&mut session, &job, &care, sent).await;
                    let dead = report.trouble.as_ref().is_some_and(|e| !e.session_survives());
                    (End::Ran(Box::new(report)), (!dead).then_some(Placed { session, seat }))
                }
                Task::Release(work) => {
                    care.abilities = remote.abilities();
                    let told = match work {
                        Work::Prove(parts) => publish::prove(&mut session, parts).await,
                        Work::Discard(parts) => publish::discard(&mut session, parts).await,
                        Work::Review(parts) => publish::review(&mut session, parts, &care).await,
                        Work::Publish(parts) => publish::publish(&mut session, parts, &care, &sent).await,
                        Work::Finish(parts) => publish::finish(&mut session, parts, &care, &sent).await,
                    };
                    let dead = told.is_cut();
                    (End::Told(Box::new(told)), (!dead).then_some(Placed { session, seat }))
                }
                // Nothing is opened for that: see `keep_warm`.
                Task::Warm(_) => (End::Warmed, Some(Placed { session, seat })),
                Task::Study => match session.study().await {
                    Ok(()) => (End::Studied, Some(Placed { session, seat })),
                    Err(e) => (End::NoSession(e), None),
                },
                Task::Resolve(job, _) => {
                    care.abilities = remote.abilities();
                    let resumed = match &job.operation {
                        Operation::Rotate { .. } => worker::rotation::resume(&mut session, &job, &care).await,
                        _ => worker::put::resume(&mut session, &job, &care, sent).await,
                    };
                    let end = match resumed {
                        Ok(Some(report)) => Ok(End::Ran(Box::new(report))),
                        Ok(None) => worker::resolve(&mut session, &job).await.map(End::Answered),
                        Err(e) => Err(e),
                    };
                    let end = end.unwrap_or_else(End::Unanswered);
                    let trouble = match &end {
                        End::Ran(report) => report.trouble.as_ref(),
                        End::Unanswered(e) => Some(e),
                        _ => None,
                    };
                    let lives = trouble.is_none_or(RemoteError::session_survives);
                    (end, lives.then_some(Placed { session, seat }))
                }
            }
        });
        self.running.insert(handle.id(), running);
        self.seats.busy_with(self.running.len());
    }

    /// Whether a task that puts has room for another put behind the one that it does, and nobody else waits for its session. If
    /// one is to `spare`, that is the one with fewest: it comes free soonest.
    pub(super) fn has_room(&self, spare: bool) -> bool {
        let open = self.running.values().filter(|running| running.has_room()).count();
        self.seats.waiting() == 0 && self.sessions() <= self.seats.share() && open > usize::from(spare)
    }

    /// Hands `load`, a put that follows others, to a task with room for it; back, if there is none any more.
    pub(super) fn hand(&mut self, load: Load, spare: bool) -> Result<(), Box<Load>> {
        // The one that has fewest, and has had none for longest.
        let mut open: Vec<_> = self.running.values_mut().filter(|running| running.has_room()).collect();
        open.sort_by_key(|running| (running.behind.len(), running.task.job().map(|job| job.id)));
        let Some(running) = open.into_iter().nth(usize::from(spare)) else { return Err(Box::new(load)) };
        let behind = (load.job.clone(), Arc::clone(&load.sent));
        running.more.try_send(load).map_err(|e| match e {
            TrySendError::Full(load) | TrySendError::Closed(load) => Box::new(load),
        })?;
        running.behind.push_back(behind);
        Ok(())
    }

    /// A session for something that is no job, and may be dropped at any time; `None` if the directory on the server is not what
    /// it was taken for.
    pub(super) fn loan(
        &mut self,
    ) -> impl Future<Output = Result<Option<Placed<R::Session>>, RemoteError>> + Send + 'static + use<R> {
        let warm = self.idle.pop();
        let (remote, marking) = (Arc::clone(&self.remote), Arc::clone(&self.marking));
        let seat = self.seats.seat();
        async move {
            let (mut placed, fresh) = ready(&*remote, warm, seat).await?;
            let looks = fresh || marking.stand() == Stand::Unknown;
            Ok(if looks && !marking.check(&mut placed.session).await? { None } else { Some(placed) })
        }
    }

    /// What was lent is here again.
    pub(super) fn give_back(&mut self, placed: Placed<R::Session>) {
        self.idle.push(Idle::new(placed, Instant::now()));
    }

    /// The next job or task that ends, or `None` when somebody begins to wait for a session. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(Task, End)> {
        loop {
            if let Some(left) = self.left.pop_front() {
                return Some(left);
            }
            let joined = tokio::select! {
                biased;
                Some((id, report)) = self.reports.recv() => match self.reported(id, report) {
                    Some(done) => return Some(done),
                    None => continue,
                },
                Some(joined) = self.tasks.join_next_with_id() => joined,
                () = self.seats.called() => return None,
            };
            self.ended(joined);
        }
    }

    /// A task that has ended already.
    pub(super) fn try_next(&mut self) -> Option<(Task, End)> {
        loop {
            if let Some(left) = self.left.pop_front() {
                return Some(left);
            }
            if let Ok((id, report)) = self.reports.try_recv() {
                if let Some(done) = self.reported(id, report) {
                    return Some(done);
                }
                continue;
            }
            let joined = self.tasks.try_join_next_with_id()?;
            self.ended(joined);
        }
    }

    /// What came of the first job of a task that goes on.
    fn reported(&mut self, id: JobId, report: Report) -> Option<(Task, End)> {
        let is_its = |running: &&mut Running| running.task.job().is_some_and(|job| job.id == id);
        let task = self.running.values_mut().find(is_its)?.advance()?;
        Some((task, End::Ran(Box::new(report))))
    }

    /// A task is over; what there is to tell of it is left.
    fn ended(&mut self, joined: Result<(Id, Finished<R::Session>), tokio::task::JoinError>) {
        // What it told before it ended comes first.
        while let Ok((id, report)) = self.reports.try_recv() {
            let done = self.reported(id, report);
            self.left.extend(done);
        }
        let (id, end, session) = match joined {
            Ok((id, (end, session))) => (id, end, session),
            Err(e) => (e.id(), End::Died, None),
        };
        let running = self.running.remove(&id);
        self.seats.busy_with(self.running.len());
        if let Some(session) = session {
            match running.as_ref().map(|running| &running.task) {
                // It is no fresher for that.
                Some(Task::Warm(since)) => self.idle.insert(0, Idle::new(session, *since)),
                _ => self.idle.push(Idle::new(session, Instant::now())),
            }
        }
        let Some(Running { task, behind, .. }) = running else { return };
        // Of a task that died nobody knows how far it came with the others either.
        let died = matches!(end, End::Died);
        self.left.push_back((task, end));
        self.left.extend(behind.into_iter().map(|(job, _)| (Task::Run(job), if died { End::Died } else { End::NotBegun })));
    }

    /// Closes idle sessions that were not used for long, those above this mirror's share, and those whose turn is over. The last one
    /// stays for longer.
    pub(super) fn trim(&mut self, now: Instant) {
        let spare = self.sessions().saturating_sub(self.seats.share());
        self.part_with(spare);
        let last = self.idle.len().saturating_sub(1);
        let (mut old, mut kept) = (Vec::new(), Vec::new());
        for (at, idle) in self.idle.drain(..).enumerate() {
            let keep = if at == last && self.running.is_empty() { KEEP_WARM } else { KEEP_IDLE };
            let is_old = now.saturating_duration_since(idle.since) >= keep || idle.placed.seat.is_due(now);
            if is_old { old.push(idle) } else { kept.push(idle) }
        }
        self.idle = kept;
        close(old);
    }

    /// Asks a session that was idle for long for a sign of life, so that the server does not close it. One that does not answer, or has
    /// become old, goes.
    pub(super) fn keep_warm(&mut self, now: Instant) {
        let is_cold = |idle: &Idle<_>| now.saturating_duration_since(idle.heard) >= KEEP_IDLE;
        let Some(at) = self.idle.iter().position(is_cold) else { return };
        let Idle { placed: Placed { mut session, seat }, since, .. } = self.idle.remove(at);
        let (more, _) = mpsc::channel(BEHIND);
        let handle = self.tasks.spawn(async move {
            let lives = !session.is_stale() && session.ping().await.is_ok();
            (End::Warmed, lives.then_some(Placed { session, seat }))
        });
        let running = Running { task: Task::Warm(since), sent: Arc::default(), behind: VecDeque::new(), more };
        self.running.insert(handle.id(), running);
        self.seats.busy_with(self.running.len());
    }

    /// Gives up idle sessions for those who wait; to be called when no job is left for them.
    pub(super) fn make_way(&mut self) {
        self.part_with(self.seats.waiting());
    }

    fn part_with(&mut self, count: usize) {
        close(self.idle.drain(..count.min(self.idle.len())).collect());
    }

    /// When the next idle session is due to be closed, or to be asked for a sign of life.
    pub(super) fn trims_at(&self) -> Option<Instant> {
        self.idle.iter().map(|idle| idle.heard + KEEP_IDLE).min()
    }

    /// Ends everything: running tasks are cut off (their jobs stay in doubt), idle sessions closed in order.
    pub(super) async fn dismiss(mut self) {
        self.tasks.shutdown().await;
        let mut farewells = JoinSet::new();
        for idle in self.idle.drain(..) {
            farewells.spawn(idle.placed.close());
        }
        while farewells.join_next().await.is_some() {}
    }
}

fn close<S: Session>(sessions: Vec<Idle<S>>) {
    for idle in sessions {
        tokio::spawn(idle.placed.close());
    }
}

/// A session that answers: the warm one if it still does, else a new one, for which a seat is waited; and whether it is new.
async fn ready<R: Remote>(
    remote: &R,
    warm: Option<Idle<R::Session>>,
    seat: impl Future<Output = Option<Seat>>,
) -> Result<(Placed<R::Session>, bool), RemoteError> {
    let seat = match warm {
        None => seat.await.ok_or_else(|| RemoteError::new(Class::Transient, "the mirrors of this remote have ended"))?,
        Some(Idle { placed: Placed { session, seat }, .. }) if session.is_stale() => {
            let _ = timeout(GOOD_BYE, session.close()).await;
            seat
        }
        Some(Idle { placed, heard, .. }) if heard.elapsed() < TRUST_IDLE => return Ok((placed, false)),
        Some(Idle { placed: Placed { mut session, seat }, .. }) => match session.ping().await {
            Ok(()) => return Ok((Placed { session, seat }, false)),
            Err(e) => {
                tracing::debug!(error = %e, "an idle session had ended");
                // It must not count as a login that is up.
                drop(session);
                seat
            }
        },
    };
    Ok((Placed { session: remote.connect().await?, seat }, true))
}

#[cfg(test)]
mod tests;
