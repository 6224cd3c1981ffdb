//! What uploads need is found out about a server before the first one; the rest while there is nothing to upload.

use std::time::Duration;

use tokio::time::Instant;

use super::Mirror;
use crate::{mirror::crew::Task, remote::Remote, watch::Watcher};

/// It is not tried again before.
const AGAIN: Duration = Duration::from_secs(600);

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Finds out what else the server can do, if that is to be known yet and there is nothing else to do. A single pass ends
    /// instead.
    pub(super) fn tend_study(&mut self, now: Instant) {
        let may = self.start_watch.is_some() && now >= self.study_at && self.has_rest() && self.allowance(now) > 0;
        if may && self.remote.is_to_be_studied() {
            self.study_at = now + AGAIN;
            self.start(Task::Study, Vec::new());
        }
    }
}
