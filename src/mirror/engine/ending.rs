//! The end: when a single pass has nothing left to do, and how a mirror that is stopped puts its things in order.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::{Mirror, PASS_ATTEMPTS, Pass, Rooted, WIND_DOWN};
use crate::{
    index::IndexError,
    mirror::{MirrorError, MirrorStatus, marker::Stand, retry::State},
    remote::{Class, Remote},
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Whether a single pass has nothing left that it can do.
    pub(super) async fn pass_is_over(&mut self) -> Result<bool, IndexError> {
        if self.root == Rooted::Missing {
            return Ok(true);
        }
        if matches!(self.crew.marking().stand(), Stand::Foreign(_)) && self.looking.is_none() {
            return Ok(self.crew.len() == 0);
        }
        match self.link.state() {
            State::Stopped { .. } => return Ok(self.crew.len() == 0),
            State::Waiting { class, .. } if self.crew.len() == 0 => {
                let hopeless = matches!(class, Class::Tls | Class::Protocol | Class::Full);
                return Ok(hopeless || self.link.attempts() >= PASS_ATTEMPTS);
            }
            _ => {}
        }
        let idle = self.looked && self.looking.is_none() && self.settle.deadline().is_none() && self.crew.len() == 0;
        let answered = self.doubts.iter().all(|doubt| doubt.asked >= PASS_ATTEMPTS);
        if !idle || !self.schedule.is_empty() || !self.backlog.is_empty() || !answered || self.stale || self.pass != Pass::Over {
            return Ok(false);
        }
        if self.is_together() && !self.release.is_at_rest() && self.doubts.is_empty() {
            return Ok(false);
        }
        let waiting = self.books.with(|index| index.problems(1000)).await?;
        Ok(!waiting.iter().any(|p| p.retry_at.is_some() && p.attempts < PASS_ATTEMPTS))
    }

    /// Lets running jobs finish for a moment, takes back what was promised but not begun, says good-bye.
    pub(super) async fn wind_down(mut self) -> Result<Arc<MirrorStatus>, MirrorError> {
        let stale = self.stale;
        self.scrub.stop(Instant::now());
        self.withdraw().await?;
        self.stale = stale;
        let deadline = Instant::now() + WIND_DOWN;
        while self.crew.len() > 0 {
            tokio::select! {
                biased;
                Some((task, end)) = self.crew.next() => self.settle(task, end).await?,
                () = sleep_until(deadline) => break,
            }
        }
        self.tell_now().await?;
        let last = self.status.borrow().clone();
        self.crew.dismiss().await;
        Ok(last)
    }
}
