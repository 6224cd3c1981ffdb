//! Making the status: from the engine's state to one snapshot, at a limited rate.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::Mirror;
use crate::{
    index::{Index, IndexError, Note},
    mirror::{
        crew::Running,
        retry::State,
        status::{Counters, HaltStatus, InFlight, LinkStatus, MirrorStatus, PathStatus, Phase},
    },
    model::UnixMillis,
    remote::Remote,
    scan::Modes,
    watch::Watcher,
};

/// A snapshot is made at most this often while jobs are running.
const AT_MOST: Duration = Duration::from_millis(100);
/// At most so many paths are shown with their problems.
const PROBLEMS: usize = 100;

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// When a snapshot that was put off is due.
    pub(super) fn told_again(&self) -> Option<Instant> {
        let every = match self.status.borrow().phase {
            // What is not true any more is taken back at once.
            Phase::InSync | Phase::AsScanned => Duration::ZERO,
            _ if self.crew.len() > 0 => AT_MOST * 5,
            _ => AT_MOST,
        };
        (self.untold || self.crew.len() > 0).then(|| self.told + every)
    }

    /// Makes a snapshot if something changed since the last one.
    pub(super) async fn tell(&mut self) -> Result<(), IndexError> {
        if self.told_again().is_some_and(|due| due <= Instant::now()) { self.tell_now().await } else { Ok(()) }
    }

    /// Makes a snapshot.
    pub(super) async fn tell_now(&mut self) -> Result<(), IndexError> {
        let now = Instant::now();
        let wall = self.wall();
        let success = self.last_success.filter(|_| self.last_success != self.status.borrow().last_success);
        let planned_at = self.planned_at;
        let read = move |index: &mut Index| {
            if success.is_some() {
                // Kept here and not with each job: one more transaction for every one would double what they cost.
                index.set_note(Note::LastSuccess, success.as_ref())?;
            }
            let (tally, problems, logged) = (index.tally(wall)?, index.problems(PROBLEMS)?, index.last_logged()?);
            Ok((tally, problems, index.next_retry(planned_at)?, index.proofs()?, logged))
        };
        let (tally, problems, next_retry, proofs, logged) = self.books.with(read).await?;
        self.tally = tally;
        self.next_retry = next_retry;
        self.untold = false;
        self.told = now;
        let problems = problems.into_iter().map(PathStatus::from).collect();
        let status = MirrorStatus { scrub: self.scrub_status(proofs), logged, ..self.snapshot(problems, wall, now) };
        self.status.send_replace(Arc::new(status));
        Ok(())
    }

    fn snapshot(&self, problems: Vec<PathStatus>, wall: UnixMillis, now: Instant) -> MirrorStatus {
        let halt = self.halt.as_ref().map(|note| HaltStatus {
            why: note.halt.to_string(),
            hint: note.halt.hint(&self.settings.name),
            halt: note.halt.clone(),
            since: note.since,
        });
        let (read, shared) = self.digests.counts();
        MirrorStatus {
            name: self.settings.name.clone(),
            phase: self.phase(),
            at: Some(wall),
            tally: self.tally,
            oldest_pending: self.tally.oldest_pending,
            last_success: self.last_success,
            last_full_scan: self.last_full_scan,
            in_flight: self.in_flight(),
            paused: self.pause,
            halt,
            link: self.link_status(wall, now),
            watch: self.watch.clone(),
            release: self.release_status(),
            skipped: self.skipped,
            problems,
            unseen: self.unseen.shown().collect(),
            counters: Counters { read, shared, ..self.counters },
            errors: self.errors.clone(),
            logged: 0,
            stopped: match self.link.state() {
                State::Stopped { why, .. } => Some(why.clone()),
                _ => None,
            },
            warnings: self.warnings(wall),
            keeps_no_versions: self.wants_versions() && !self.can_keep(),
            scrub: None,
        }
    }

    fn warnings(&self, wall: UnixMillis) -> Vec<String> {
        let mut warnings = self.remote.warnings(wall);
        let modes = self.settings.view.modes != Modes::Ignore;
        if modes && (self.mode_unset || self.remote.abilities().chmod == Some(false)) {
            warnings.push("permissions are not kept: the server has no SITE CHMOD, or refused it".into());
        }
        warnings
    }

    /// The phase: the first of these that holds, from what stops everything to what is merely left to do.
    fn phase(&self) -> Phase {
        let pending = self.tally.pending_files + self.tally.pending_dirs + self.tally.pending_removals;
        if matches!(self.link.state(), State::Stopped { .. }) {
            Phase::Stopped
        } else if self.pause.is_some() && self.crew.len() == 0 {
            Phase::Paused
        } else if self.halt.is_some() && self.crew.len() == 0 && self.looking.is_none() {
            Phase::Halted
        } else if !self.looked {
            if self.looking.is_some() { Phase::Scanning } else { Phase::Starting }
        } else if matches!(self.link.state(), State::Waiting { .. }) && (pending > 0 || !self.doubts.is_empty()) {
            Phase::Waiting
        } else if self.publishing().is_some_and(|(_, begun)| begun) {
            Phase::Publishing
        } else if self.crew.len() > 0 || !self.schedule.is_empty() || !self.backlog.is_empty() || self.stale {
            Phase::Syncing
        } else if self.looking.is_some() || self.settle.deadline().is_some() {
            Phase::Scanning
        } else if pending == 0 && self.doubts.is_empty() && self.unseen.is_empty() {
            if self.is_deaf() { Phase::AsScanned } else { Phase::InSync }
        } else if self.release.withheld.is_some() {
            Phase::Withheld
        } else if self.tally.waiting > 0 || !self.doubts.is_empty() || pending > self.tally.parked {
            Phase::Waiting
        } else {
            Phase::Parked
        }
    }

    pub(super) fn in_flight(&self) -> Vec<InFlight> {
        let mut jobs: Vec<_> = self.crew.running().flat_map(Running::jobs).collect();
        jobs.sort_by_key(|(job, _)| job.id);
        jobs.into_iter().map(|(job, sent)| InFlight::of(&job.operation, sent.load(Ordering::Relaxed))).collect()
    }

    fn link_status(&self, wall: UnixMillis, now: Instant) -> LinkStatus {
        let (state, failure, until) = match self.link.state() {
            State::Up => ("up", None, None),
            State::Probing => ("probing", None, None),
            State::Waiting { until, class, why, hint } => ("waiting", Some((*class, why, *hint)), Some(*until)),
            State::Stopped { class, why, hint } => ("stopped", Some((*class, why, *hint)), None),
        };
        LinkStatus {
            state: state.to_owned(),
            sessions: self.crew.sessions(),
            limit: self.crew.limit(),
            attempts: self.link.attempts(),
            class: failure.map(|(class, ..)| class),
            why: failure.map(|(_, why, _)| why.clone()),
            hint: failure.and_then(|(.., hint)| hint).map(str::to_owned),
            retry_at: until.map(|until| wall.after(until.saturating_duration_since(now))),
        }
    }
}
