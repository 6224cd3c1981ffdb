//! [`Keeper`]: keeps a mirror alive when its state fails. A full disk, an I/O error or a failed fsync ends the engine, which
//! knows nothing for certain any more; the keeper says so in the status, waits, opens the state anew and starts another one,
//! to which every job is in doubt. A damaged state is moved aside and begun anew. It knows nothing of files and servers.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Command, Handle, Mirror, MirrorError, MirrorStatus, Phase, Settings, StartWatch, Until, retry};
use crate::{
    blocking,
    index::{Index, IndexError},
    remote::Remote,
    watch::Watcher,
};

/// After so long without a failure the backoff begins anew.
const SOUND: Duration = Duration::from_secs(60);
/// A state that fails is opened again at the latest after this: a person has made room, and waits.
const LONGEST: Duration = Duration::from_secs(30);

/// An index, and where the damaged one was moved whose place it took.
pub type Opened = (Index, Option<PathBuf>);

/// Opens the state; told whether it turned out damaged when it was used. Called on a blocking thread.
pub type OpenState = Arc<dyn Fn(bool) -> Result<Opened, IndexError> + Send + Sync>;

/// A mirror that outlives failures of its state.
pub struct Keeper<R: Remote, W> {
    settings: Settings,
    remote: Arc<R>,
    start_watch: StartWatch<W>,
    open: OpenState,
    status: watch::Sender<Arc<MirrorStatus>>,
    commands: mpsc::Receiver<Command>,
    /// What the operator is told as long as this process lives.
    warnings: Vec<String>,
    /// Failures in a row.
    failures: u32,
}

impl<R: Remote, W: Watcher> Keeper<R, W> {
    /// A keeper of a mirror, and the handle on it.
    pub fn new(settings: Settings, open: OpenState, remote: Arc<R>, start_watch: StartWatch<W>) -> (Self, Handle) {
        let (status, told) = watch::channel(Arc::new(MirrorStatus { name: settings.name.clone(), ..MirrorStatus::default() }));
        let (orders, commands) = mpsc::channel(8);
        let keeper = Self { settings, remote, start_watch, open, status, commands, warnings: Vec::new(), failures: 0 };
        (keeper, Handle { status: told, commands: orders })
    }

    /// Runs the mirror over the state as it was `opened` first, until `stop`. The last status is returned.
    ///
    /// # Errors
    /// What no waiting mends: a state of a newer version, patterns that are none.
    pub async fn run(
        mut self,
        mut opened: Result<Opened, IndexError>,
        stop: CancellationToken,
    ) -> Result<Arc<MirrorStatus>, MirrorError> {
        loop {
            let since = Instant::now();
            let failed = match opened {
                Ok((index, aside)) => {
                    self.moved_aside(aside);
                    match self.live(index, &stop).await {
                        Err(MirrorError::Index(e)) => e,
                        ended => return ended,
                    }
                }
                Err(e) => e,
            };
            if matches!(failed, IndexError::Newer { .. } | IndexError::Older { .. } | IndexError::AlreadyRunning { .. }) {
                return Err(failed.into());
            }
            if since.elapsed() > SOUND {
                self.failures = 0;
            }
            self.failures = self.failures.saturating_add(1);
            let damaged = matches!(failed, IndexError::Corrupt(_));
            self.tell_failure(&failed);
            if !damaged || self.failures > 1 {
                self.wait(&stop).await;
            }
            if stop.is_cancelled() {
                return Ok(self.status.borrow().clone());
            }
            let open = Arc::clone(&self.open);
            opened = blocking::run(move || open(damaged)).await.unwrap_or(Err(IndexError::Lost));
        }
    }

    /// One life of the engine: its status is passed on, and to it what it is told.
    async fn live(&mut self, index: Index, stop: &CancellationToken) -> Result<Arc<MirrorStatus>, MirrorError> {
        let (settings, remote) = (self.settings.clone(), Arc::clone(&self.remote));
        let (mirror, mut handle) = Mirror::new(settings, index, remote, self.start_watch.clone())?;
        let mut running = Box::pin(mirror.run(Until::Stopped, stop.clone()));
        loop {
            let commands = &mut self.commands;
            let inner = &handle.commands;
            let order = async move {
                // In this order: what was taken has a place.
                let place = inner.reserve().await;
                (place, commands.recv().await)
            };
            tokio::select! {
                ended = &mut running => {
                    if let Ok(last) = &ended {
                        self.pass_on(last);
                    }
                    return ended;
                }
                Ok(()) = handle.status.changed() => {
                    let now = handle.status.borrow_and_update().clone();
                    self.pass_on(&now);
                }
                (Ok(place), Some(command)) = order => place.send(command),
            }
        }
    }

    fn pass_on(&self, status: &Arc<MirrorStatus>) {
        let mut status = Arc::clone(status);
        if !self.warnings.is_empty() {
            Arc::make_mut(&mut status).warnings.extend(self.warnings.iter().cloned());
        }
        self.status.send_replace(status);
    }

    fn moved_aside(&mut self, aside: Option<PathBuf>) {
        let Some(aside) = aside else { return };
        let warning = format!(
            "the state was damaged and is made anew; the damaged one is kept as {}. Everything is sent again, and what is on the \
             server but not here stays there",
            aside.display()
        );
        tracing::warn!(mirror = %self.settings.name, "{warning}");
        self.warnings.push(warning);
    }

    /// Nothing is claimed any more but what was done.
    fn tell_failure(&self, failed: &IndexError) {
        let mut why = format!("the state cannot be used: {failed}");
        let mut source = std::error::Error::source(failed);
        while let Some(error) = source {
            why = format!("{why}: {error}");
            source = error.source();
        }
        let hint = failed.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        tracing::warn!(mirror = %self.settings.name, failures = self.failures, "{why}{hint}");
        let mut status = MirrorStatus::clone(&self.status.borrow());
        status.phase = Phase::Stopped;
        status.at = Some((self.settings.clock)());
        status.in_flight.clear();
        status.stopped = Some(format!("{why}{hint}; it is tried again by itself"));
        self.status.send_replace(Arc::new(status));
    }

    /// Waits for the next attempt. Whoever tells the mirror something meanwhile hears that it does not run.
    async fn wait(&mut self, stop: &CancellationToken) {
        let until = Instant::now() + retry::backoff(self.failures, fastrand::f64()).min(LONGEST);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(until) => return,
                Some(command) = self.commands.recv() => drop(command),
            }
        }
    }
}

#[cfg(test)]
mod tests;
