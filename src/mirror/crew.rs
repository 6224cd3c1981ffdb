//! The sessions of one mirror and the tasks that use them: one task a job, one session a task, idle sessions kept warm.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{Instant, timeout},
};

use super::worker::{self, Answers, Report};
use crate::{
    model::Job,
    remote::{Remote, RemoteError, Session},
};

/// An idle session is closed after this; every server measured waits at least five minutes.
const KEEP_IDLE: Duration = Duration::from_secs(60);
/// A session that was idle for longer is asked for a sign of life before a job is given to it.
const TRUST_IDLE: Duration = Duration::from_secs(5);
/// Saying good-bye may take this long.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// What a task is for.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Do the job.
    Run(Job),
    /// Ask what became of it, after so many questions in vain.
    Resolve(Job, u32),
}

impl Task {
    pub(super) fn job(&self) -> &Job {
        match self {
            Self::Run(job) | Self::Resolve(job, _) => job,
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
    /// The question was not answered.
    Unanswered(RemoteError),
    /// The task panicked: nobody knows how far it came.
    Died,
}

/// A job that runs now.
pub(super) struct Running {
    pub(super) task: Task,
    /// Bytes of body handed to the network.
    pub(super) sent: Arc<AtomicU64>,
}

type Finished<S> = (End, Option<S>);

pub(super) struct Crew<R: Remote> {
    remote: Arc<R>,
    root: PathBuf,
    idle: Vec<(R::Session, Instant)>,
    tasks: JoinSet<Finished<R::Session>>,
    running: HashMap<Id, Running>,
    ready: mpsc::UnboundedSender<()>,
}

impl<R: Remote> Crew<R> {
    /// A crew, and where it tells of each task that has its session.
    pub(super) fn new(remote: Arc<R>, root: PathBuf) -> (Self, mpsc::UnboundedReceiver<()>) {
        let (ready, readied) = mpsc::unbounded_channel();
        (Self { remote, root, idle: Vec::new(), tasks: JoinSet::new(), running: HashMap::new(), ready }, readied)
    }

    /// Jobs that run now.
    pub(super) fn running(&self) -> impl Iterator<Item = &Running> {
        self.running.values()
    }

    /// How many jobs run now.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Sessions that are open or being opened.
    pub(super) fn sessions(&self) -> usize {
        self.running.len() + self.idle.len()
    }

    /// Starts `task` on a warm session if there is one, else on a new one.
    pub(super) fn start(&mut self, task: Task) {
        let warm = self.idle.pop();
        let opened = self.ready.clone();
        let (remote, root) = (Arc::clone(&self.remote), self.root.clone());
        let sent = Arc::new(AtomicU64::new(0));
        let running = Running { task: task.clone(), sent: Arc::clone(&sent) };
        let handle = self.tasks.spawn(async move {
            let mut session = match ready(&*remote, warm).await {
                Ok(session) => session,
                Err(e) => return (End::NoSession(e), None),
            };
            let _ = opened.send(());
            match task {
                Task::Run(job) => {
                    let report = worker::run(&mut session, &job, &root, sent).await;
                    let dead = report.trouble.as_ref().is_some_and(|e| !e.session_survives());
                    (End::Ran(Box::new(report)), (!dead).then_some(session))
                }
                Task::Resolve(job, _) => match worker::resolve(&mut session, &job).await {
                    Ok(answers) => (End::Answered(answers), Some(session)),
                    Err(e) => {
                        let survives = e.session_survives();
                        (End::Unanswered(e), survives.then_some(session))
                    }
                },
            }
        });
        self.running.insert(handle.id(), running);
    }

    /// The next task that ends; never, while none runs. Cancel-safe.
    pub(super) async fn next(&mut self) -> (Task, End) {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(joined) => {
                    if let Some(done) = self.ended(joined) {
                        return done;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// A task that has ended already.
    pub(super) fn try_next(&mut self) -> Option<(Task, End)> {
        let joined = self.tasks.try_join_next_with_id()?;
        self.ended(joined)
    }

    fn ended(&mut self, joined: Result<(Id, Finished<R::Session>), tokio::task::JoinError>) -> Option<(Task, End)> {
        let (id, end, session) = match joined {
            Ok((id, (end, session))) => (id, end, session),
            Err(e) => (e.id(), End::Died, None),
        };
        if let Some(session) = session {
            self.idle.push((session, Instant::now()));
        }
        self.running.remove(&id).map(|running| (running.task, end))
    }

    /// Closes idle sessions that were not used for long, and those above `limit`.
    pub(super) fn trim(&mut self, limit: usize, now: Instant) {
        let spare = self.sessions().saturating_sub(limit.max(1));
        let mut kept = Vec::new();
        for (i, (session, since)) in self.idle.drain(..).enumerate() {
            if i < spare || now.saturating_duration_since(since) >= KEEP_IDLE {
                tokio::spawn(timeout(GOOD_BYE, session.close()));
            } else {
                kept.push((session, since));
            }
        }
        self.idle = kept;
    }

    /// When the next idle session is due to be closed.
    pub(super) fn trims_at(&self) -> Option<Instant> {
        self.idle.iter().map(|(_, since)| *since + KEEP_IDLE).min()
    }

    /// Ends everything: running tasks are cut off (their jobs stay in doubt), idle sessions closed in order.
    pub(super) async fn dismiss(mut self) {
        self.tasks.shutdown().await;
        let mut farewells = JoinSet::new();
        for (session, _) in self.idle.drain(..) {
            farewells.spawn(timeout(GOOD_BYE, session.close()));
        }
        while farewells.join_next().await.is_some() {}
    }
}

/// A session that answers: the warm one if it still does, else a new one.
async fn ready<R: Remote>(remote: &R, warm: Option<(R::Session, Instant)>) -> Result<R::Session, RemoteError> {
    let Some((mut session, since)) = warm else {
        return remote.connect().await;
    };
    if session.is_stale() {
        let _ = timeout(GOOD_BYE, session.close()).await;
        return remote.connect().await;
    }
    if since.elapsed() < TRUST_IDLE {
        return Ok(session);
    }
    match session.ping().await {
        Ok(()) => Ok(session),
        Err(e) => {
            tracing::debug!(error = %e, "an idle session had ended");
            // It must not count as a login that is up.
            drop(session);
            remote.connect().await
        }
    }
}
