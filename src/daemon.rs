//! The life of a daemon: named tasks, what ends it, the order of its end, and what the service manager is told.

use std::{future::Future, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// A stop takes at most this long; what is not done by then is in doubt and is asked for at the next start.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What a task fails with.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// Why a daemon ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("{task} failed: {source}")]
pub struct DaemonError {
    /// The task's name.
    pub task: String,
    /// What it failed with.
    pub source: TaskError,
}

/// Runs named tasks until a signal says stop or one of them ends.
#[derive(Debug, Default)]
pub struct Daemon {
    tasks: JoinSet<Named>,
    stop: CancellationToken,
}

impl Daemon {
    /// The token that is cancelled when everything shall stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Adds a task. It must end soon after the token is cancelled.
    pub fn task(&mut self, name: impl Into<String>, work: impl Future<Output = Result<(), TaskError>> + Send + 'static) {
        let name = name.into();
        self.tasks.spawn(async move { (name, work.await) });
    }

    /// Runs until SIGTERM, SIGINT or the end of a task, then stops the others.
    ///
    /// # Errors
    /// That of the first task that failed.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        let listen = |kind| signal(kind).map_err(|e| DaemonError { task: "listening for signals".into(), source: e.into() });
        let mut term = listen(SignalKind::terminate())?;
        let mut int = listen(SignalKind::interrupt())?;
        notify(&[sd_notify::NotifyState::Ready]);
        let mut failure = None;
        tokio::select! {
            _ = term.recv() => tracing::info!("stopping: SIGTERM"),
            _ = int.recv() => tracing::info!("stopping: SIGINT"),
            ended = self.tasks.join_next() => failure = ended.and_then(failed),
        }
        notify(&[sd_notify::NotifyState::Stopping]);
        self.stop.cancel();
        let deadline = Instant::now() + STOP_WITHIN;
        while let Ok(Some(ended)) = timeout_at(deadline, self.tasks.join_next()).await {
            failure = failure.or_else(|| failed(ended));
        }
        self.tasks.abort_all();
        failure.map_or(Ok(()), Err)
    }
}

type Named = (String, Result<(), TaskError>);

fn failed(ended: Result<Named, tokio::task::JoinError>) -> Option<DaemonError> {
    match ended {
        Ok((_, Ok(()))) => None,
        Ok((task, Err(source))) => Some(DaemonError { task, source }),
        Err(e) => Some(DaemonError { task: "a task".into(), source: e.into() }),
    }
}

/// Tells the service manager, if one listens.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::debug!(error = %e, "the service manager was not told");
    }
}
