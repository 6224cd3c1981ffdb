//! The life of a daemon: named tasks that come and go, what ends it, the order of its end, and what the service manager is told.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
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

/// What the system says to a daemon: SIGTERM, SIGINT, SIGHUP.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on: to be made before anybody can find out that the daemon runs, since until then a signal ends the process.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn listen() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(|e| DaemonError { task: "listening for signals".into(), source: e.into() });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// Runs named tasks until a signal says stop or one of them ends that nobody told to.
#[derive(Debug, Default)]
pub struct Daemon {
    tasks: JoinSet<Result<(), TaskError>>,
    running: BTreeMap<String, Task>,
    /// Those that ended while another one was waited for.
    ended: VecDeque<Ended>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Task {
    handle: AbortHandle,
    stop: CancellationToken,
}

type Ended = (String, Result<(), TaskError>);

impl Daemon {
    /// Adds a task under a name that no other one has. It is given a token, and must end soon after that is cancelled.
    pub fn task<F>(&mut self, name: impl Into<String>, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let stop = self.stop.child_token();
        let handle = self.tasks.spawn(work(stop.clone()));
        self.running.insert(name.into(), Task { handle, stop });
    }

    /// Where the service manager watches (`$WATCHDOG_USEC`), adds a task that tells it of life. A beat is told only when `turn` has
    /// come to its end, which is for it to wait until everything has come round that must not hang: while something does, there
    /// is no beat, and the service manager starts the daemon anew.
    pub fn watchdog<F>(&mut self, turn: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(within) = sd_notify::watchdog_enabled() {
            self.task("the watchdog", |stop| async move {
                let beat = || notify(&[sd_notify::NotifyState::Watchdog]);
                // Twice as often as it must be, as sd_watchdog_enabled(3) has it.
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = beats(within / 2, turn, beat) => {}
                }
                Ok(())
            });
        }
    }

    /// Tells the tasks called `names` to stop, and waits until they did, for [`STOP_WITHIN`] at most.
    pub async fn end(&mut self, names: &[String]) {
        let mut left: Vec<&String> = names.iter().filter(|name| self.running.contains_key(*name)).collect();
        for name in &left {
            self.running[*name].stop.cancel();
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while !left.is_empty() {
            let Ok(Some((name, result))) = timeout_at(deadline, self.join()).await else { break };
            if let Some(at) = left.iter().position(|one| **one == name) {
                left.remove(at);
                if let Err(error) = result {
                    tracing::warn!(task = %name, %error, "failed while it was stopped");
                }
            } else {
                self.ended.push_back((name, result));
            }
        }
        for name in left {
            if let Some(task) = self.running.remove(name) {
                task.handle.abort();
            }
        }
    }

    /// Runs until SIGTERM, SIGINT or the end of a task, then stops the others. At a SIGHUP, and whenever somebody asks over
    /// `asked`, whom it answers, the daemon calls `reload`.
    ///
    /// # Errors
    /// That of the first task that failed.
    pub async fn run<A>(
        mut self,
        mut signals: Signals,
        mut asked: mpsc::Receiver<oneshot::Sender<A>>,
        mut reload: impl AsyncFnMut(&mut Self) -> A,
    ) -> Result<(), DaemonError> {
        notify(&[sd_notify::NotifyState::Ready]);
        let mut failure = None;
        loop {
            let answer = tokio::select! {
                _ = signals.terminate.recv() => {
                    tracing::info!("stopping: SIGTERM");
                    break;
                }
                _ = signals.interrupt.recv() => {
                    tracing::info!("stopping: SIGINT");
                    break;
                }
                ended = self.next() => {
                    failure = ended.and_then(failed);
                    break;
                }
                _ = signals.hangup.recv() => None,
                Some(answer) = asked.recv() => Some(answer),
            };
            match sd_notify::NotifyState::monotonic_usec_now() {
                Ok(now) => notify(&[sd_notify::NotifyState::Reloading, now]),
                Err(e) => tracing::debug!(error = %e, "the time is not known; the service manager was not told"),
            }
            let outcome = reload(&mut self).await;
            notify(&[sd_notify::NotifyState::Ready]);
            if let Some(answer) = answer {
                // Whoever asked may not wait any more.
                let _ = answer.send(outcome);
            }
        }
        notify(&[sd_notify::NotifyState::Stopping]);
        self.stop.cancel();
        let deadline = Instant::now() + STOP_WITHIN;
        while let Ok(Some(ended)) = timeout_at(deadline, self.next()).await {
            failure = failure.or_else(|| failed(ended));
        }
        self.tasks.abort_all();
        failure.map_or(Ok(()), Err)
    }

    /// The next task that ended. Nothing is lost when it is dropped.
    async fn next(&mut self) -> Option<Ended> {
        match self.ended.pop_front() {
            Some(ended) => Some(ended),
            None => self.join().await,
        }
    }

    /// The next one that ends, and was not given up.
    async fn join(&mut self) -> Option<Ended> {
        loop {
            let (id, result) = match self.tasks.join_next_with_id().await? {
                Ok(ended) => ended,
                Err(e) => (e.id(), Err(e.into())),
            };
            let name = self.running.iter().find(|(_, task)| task.handle.id() == id).map(|(name, _)| name.clone());
            if let Some(name) = name {
                self.running.remove(&name);
                return Some((name, result));
            }
        }
    }
}

/// A beat after each turn, and then a pause, for ever.
async fn beats<F: Future<Output = ()>>(pause: Duration, turn: impl Fn() -> F, beat: impl Fn()) {
    loop {
        turn().await;
        beat();
        sleep(pause).await;
    }
}

fn failed((task, result): Ended) -> Option<DaemonError> {
    result.err().map(|source| DaemonError { task, source })
}

/// Tells the service manager, if one listens.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::debug!(error = %e, "the service manager was not told");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beats_cease_while_something_hangs() {
        let told = AtomicU32::new(0);
        let (hang, hangs) = tokio::sync::watch::channel(false);
        let turn = || {
            let mut hangs = hangs.clone();
            async move { drop(hangs.wait_for(|hangs| !hangs).await) }
        };
        let beat = || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let mut running = Box::pin(beats(Duration::from_secs(1), turn, beat));
        let mut after = async |seconds| {
            let _ = tokio::time::timeout(Duration::from_secs(seconds), &mut running).await;
            told.swap(0, Ordering::Relaxed)
        };
        assert!(after(10).await >= 9);
        hang.send_replace(true);
        assert!(after(2).await <= 1);
        assert_eq!(after(3600).await, 0);
        hang.send_replace(false);
        assert!(after(10).await >= 9);
    }

    /// A daemon that answered on its socket already was ended by SIGTERM as if nobody had listened.
    #[tokio::test]
    async fn a_signal_that_comes_before_it_runs_is_heard() {
        let signals = Signals::listen().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
        let mut daemon = Daemon::default();
        daemon.task("works", |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        let (_asking, asked) = mpsc::channel::<oneshot::Sender<()>>(1);
        let reload = async |daemon: &mut Daemon| daemon.task("fails", |_| async { Err("it was reloaded".into()) });
        assert_eq!(daemon.run(signals, asked, reload).await.unwrap_err().source.to_string(), "it was reloaded");
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_are_ended_one_by_one() {
        let mut daemon = Daemon::default();
        for name in ["a", "b"] {
            daemon.task(name, |stop| async move {
                stop.cancelled().await;
                Ok(())
            });
        }
        daemon.task("deaf", |_| pending());
        daemon.task("short", |_| async { Err("its own error".into()) });
        daemon.end(&["a".to_owned(), "deaf".to_owned(), "no such".to_owned()]).await;
        assert_eq!(daemon.running.keys().collect::<Vec<_>>(), ["b"]);
        // One that ended meanwhile is told of all the same, and one that was given up is not.
        let (name, result) = daemon.next().await.unwrap();
        assert_eq!((name.as_str(), result.unwrap_err().to_string().as_str()), ("short", "its own error"));
        // The name is free again.
        daemon.task("a", |_| async { Ok(()) });
        assert_eq!(daemon.next().await.unwrap().0, "a");
        daemon.stop.cancel();
        assert_eq!(daemon.next().await.unwrap().0, "b");
        assert!(daemon.next().await.is_none());
    }
}
