//! What somebody asks of the engine who attends to it: that it pauses and goes on, that something is tried again at once, what is to be
//! done and what was done.

use tokio::time::Instant;

use super::Mirror;
use crate::{
    index::{Index, IndexError, Logged, Note},
    mirror::{
        Command, Pause,
        queue::{self, Held, Queue},
    },
    model::RelPath,
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Does what is asked; others know the other commands.
    pub(super) async fn attend(&mut self, command: Command) -> Result<(), IndexError> {
        // Whoever asked may not wait any more.
        match command {
            Command::Pause(span, answer) => drop(answer.send(self.begin_pause(Pause::new(self.wall(), span)).await?)),
            Command::Resume(answer) => drop(answer.send(self.end_pause("resumed").await?)),
            Command::Retry(prefix, answer) => drop(answer.send(self.retry(prefix).await?)),
            Command::Queue(limit, answer) => drop(answer.send(self.queue(limit).await?)),
            Command::Log { after, limit, answer } => {
                let entries: Vec<Logged> = self.books.with(move |index| index.logged(after, limit)).await?;
                drop(answer.send(entries.into_iter().map(Into::into).collect()));
            }
            _ => {}
        }
        Ok(())
    }

    /// From here on no job starts. Those that run come to their end.
    async fn begin_pause(&mut self, pause: Pause) -> Result<Pause, IndexError> {
        let pause = pause.instead_of(self.pause);
        // Before anything is taken back: a process that dies now is paused.
        self.books.with(move |index| index.set_note(Note::Pause, Some(&pause))).await?;
        self.pause = Some(pause);
        self.scrub.stop(Instant::now());
        self.withdraw().await?;
        self.untold = true;
        tracing::info!(mirror = %self.settings.name, until = ?pause.until.map(|until| until.0), "paused");
        Ok(pause)
    }

    /// Goes on. Whether it was paused.
    async fn end_pause(&mut self, why: &str) -> Result<bool, IndexError> {
        if self.pause.take().is_none() {
            return Ok(false);
        }
        self.books.with(|index| index.set_note(Note::Pause, None::<&Pause>)).await?;
        self.stale = true;
        self.untold = true;
        tracing::info!(mirror = %self.settings.name, "{why}");
        Ok(true)
    }

    /// Whether no job may start. Ends a pause whose time is over.
    pub(super) async fn is_paused(&mut self) -> Result<bool, IndexError> {
        if self.pause.is_some_and(|pause| !pause.holds(self.wall())) {
            self.end_pause("the pause is over").await?;
        }
        Ok(self.pause.is_some())
    }

    /// When the loop must turn since a pause is over.
    pub(super) fn pause_ends(&self, now: Instant) -> Option<Instant> {
        Some(now + self.pause?.until?.since(self.wall()))
    }

    /// What failed at and below `prefix` is due at once, and the server is tried at once if it waits. How many paths.
    async fn retry(&mut self, prefix: Option<RelPath>) -> Result<u64, IndexError> {
        let now = Instant::now();
        let meant = |path: &RelPath| prefix.as_ref().is_none_or(|prefix| path.is_at_or_below(prefix));
        for doubt in &mut self.doubts {
            if doubt.job.operation.touches().any(meant) {
                doubt.ask_at = doubt.ask_at.min(now);
            }
        }
        self.link.hurry(now);
        self.stale = true;
        self.untold = true;
        let retried = self.books.with(move |index| index.retry(prefix.as_ref())).await?;
        tracing::info!(mirror = %self.settings.name, paths = retried, "what failed is tried again, since somebody asked for it");
        Ok(retried as u64)
    }

    async fn queue(&mut self, limit: usize) -> Result<Queue, IndexError> {
        let wall = self.wall();
        let read = move |index: &mut Index| {
            let jobs = index.live()?;
            // Rows that have jobs are pending as well.
            let queued = index.queued(None, limit.saturating_add(jobs.len()))?;
            Ok(Held { jobs, queued, problems: index.problems(limit)?, tally: index.tally(wall)? })
        };
        let held = self.books.with(read).await?;
        Ok(queue::queue(self.settings.name.clone(), self.in_flight(), held, limit))
    }
}

#[cfg(test)]
mod tests;
