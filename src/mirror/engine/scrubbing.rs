//! The scrub: while there is nothing else to do, the server's copies are looked at slice by slice, and what is found is noted.
//! What is wrong becomes pending by that, and goes the ordinary way.

use std::time::Duration;

use tokio::{task::JoinHandle, time::Instant};

use super::{Mirror, Pass, Rooted};
use crate::{
    index::{Found, IndexError, Note},
    mirror::{
        audit::{Prover, Shown, What, is_below},
        crew::Placed,
        drift::{self, Drift},
        scrub::{Bucket, FURTHEST, Round, SLICE, Scrub, ScrubStatus},
    },
    model::{Entry, RelPath, Row},
    remote::{Class, Remote, RemoteError, Session},
    watch::Watcher,
};

/// After a failure, and after the start, it rests for so long.
const REST: Duration = Duration::from_secs(600);

/// How the scrub stands.
pub(super) struct Scrubbing<S> {
    /// The slice that is looked at.
    pub(super) running: Option<JoinHandle<Slice<S>>>,
    /// `None`: not read yet.
    round: Option<Round>,
    due: Instant,
    bucket: Bucket,
    filled: Instant,
    wrong: u64,
    unproven: u64,
}

/// What a slice came to.
pub(super) struct Slice<S> {
    shown: Vec<(Row, Shown)>,
    /// The next one waits until it may be read back.
    later: bool,
    read: u64,
    trouble: Option<RemoteError>,
    session: Option<Placed<S>>,
}

impl<S> Scrubbing<S> {
    /// One that begins in a while: a mirror that was just started has something else to do.
    pub(super) fn new(scrub: Scrub, now: Instant) -> Self {
        let (bucket, due) = (Bucket::new(scrub.read_back), now + scrub.every.unwrap_or(REST).min(REST));
        Self { running: None, round: None, due, bucket, filled: now, wrong: 0, unproven: 0 }
    }

    /// When the loop must turn for it. What is overdue waits for something else.
    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        Some(self.due).filter(|due| self.running.is_none() && *due > now)
    }

    /// Ends it where it is.
    pub(super) fn stop(&mut self, now: Instant) {
        if let Some(running) = self.running.take() {
            running.abort();
            // What it has read is not known.
            self.bucket = Bucket::new(self.bucket.a_day());
            self.filled = now;
        }
    }
}

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Begins with the next slice, if it is due and there is nothing else to do. A single pass has no scrub.
    pub(super) async fn tend_scrub(&mut self, now: Instant) -> Result<(), IndexError> {
        let Some(every) = self.settings.scrub.every.filter(|_| self.start_watch.is_some()) else { return Ok(()) };
        if self.scrub.running.is_some() || now < self.scrub.due || !self.has_rest() || self.allowance(now) == 0 {
            return Ok(());
        }
        let wall = self.wall();
        let mut round = match self.scrub.round.take() {
            Some(round) => round,
            None => self.books.with(|index| index.note(Note::Scrub)).await?.unwrap_or_else(|| Round::new(wall)),
        };
        if round.over {
            let wait = round.next_in(every, 0, wall);
            if wait > Duration::ZERO {
                self.scrub.due = now + wait;
                self.scrub.round = Some(round);
                return Ok(());
            }
            round = Round::new(wall);
        }
        let after = round.after();
        let rows = self.books.with(move |index| index.recorded_after(after.as_ref(), SLICE)).await?;
        if rows.is_empty() {
            round.over = true;
            self.scrub.due = now + round.next_in(every, 0, wall);
            self.scrub.round = Some(round.clone());
            return self.books.with(move |index| index.set_note(Note::Scrub, Some(&round))).await;
        }
        self.scrub.round = Some(round);
        self.scrub.bucket.fill(now.saturating_duration_since(self.scrub.filled));
        self.scrub.filled = now;
        let (budget, may_exceed) = self.scrub.bucket.allows();
        let times = self.remote.abilities().times == Some(true);
        let waits = self.settings.scrub.read_back > 0
            && self.scrub.round.as_ref().is_some_and(|round| round.can_wait(every, self.tally.recorded_files, wall));
        let prover = Prover { place: self.settings.place(), times, budget, may_exceed, waits, read: 0 };
        let session = self.crew.loan();
        self.scrub.running = Some(tokio::spawn(async move {
            match session.await {
                Ok(session) => look(prover, rows, session).await,
                Err(e) => Slice { shown: Vec::new(), later: false, read: 0, trouble: Some(e), session: None },
            }
        }));
        Ok(())
    }

    /// A slice ended; `None` if its task did so unexpectedly.
    pub(super) async fn scrubbed(&mut self, slice: Option<Slice<R::Session>>) -> Result<(), IndexError> {
        let (now, wall) = (Instant::now(), self.wall());
        self.scrub.due = now + REST;
        let Some(Slice { shown, later, read, trouble, session }) = slice else { return Ok(()) };
        if let Some(session) = session {
            self.crew.give_back(session);
        }
        self.scrub.bucket.take(read);
        let mut round = self.scrub.round.take().unwrap_or_else(|| Round::new(wall));
        if let Some((row, _)) = shown.last() {
            let files = shown.iter().filter(|(row, _)| matches!(row.recorded, Some(Entry::File { .. }))).count();
            round.go_on(&row.path, files as u64);
        }
        match &trouble {
            None if later => self.scrub.due = now + FURTHEST,
            None => {
                let every = self.settings.scrub.every.unwrap_or(REST);
                let files = self.tally.recorded_files;
                // The last slice ends the round without a wait.
                let last = shown.len() < SLICE;
                self.scrub.due = if last { now } else { now + round.next_in(every, files, wall) };
            }
            Some(e) => {
                tracing::info!(mirror = %self.settings.name, "what the server holds is looked at later: {e}");
                // A wrong password must not be tried again and again. For anything else a job finds out for itself.
                if e.class == Class::Auth {
                    self.link_failed(e);
                }
            }
        }
        let found: Vec<_> = shown.into_iter().filter_map(|(row, shown)| self.judge(row, shown)).collect();
        let note = round.clone();
        self.scrub.round = Some(round);
        let pending = self
            .books
            .with(move |index| {
                let pending = index.found(&found, wall)?;
                index.set_note(Note::Scrub, Some(&note))?;
                Ok(pending)
            })
            .await?;
        self.stale |= pending > 0;
        self.untold = true;
        self.note_marker().await
    }

    /// Whether somebody waits for the session that the scrub has.
    pub(super) fn yields_scrub(&mut self, now: Instant) -> bool {
        self.scrub.running.is_some() && !self.has_rest() && self.allowance(now) == 0
    }

    /// What is told of it; a single pass has none.
    pub(super) fn scrub_status(&self, proofs: crate::index::Proofs) -> Option<ScrubStatus> {
        let every = self.settings.scrub.every.filter(|_| self.start_watch.is_some())?;
        Some(ScrubStatus { every_seconds: every.as_secs(), proofs, wrong: self.scrub.wrong, unproven: self.scrub.unproven })
    }

    /// Whether there is nothing else to do.
    pub(super) fn has_rest(&self) -> bool {
        let here = matches!(self.root, Rooted::Here { .. });
        let looked = self.looked && self.looking.is_none() && self.settle.deadline().is_none();
        let planned = self.pass == Pass::Over && !self.stale && self.backlog.is_empty();
        here && looked && planned && self.schedule.is_empty() && self.doubts.is_empty() && self.crew.len() == 0
    }

    /// What is to be noted of a path.
    fn judge(&mut self, row: Row, shown: Shown) -> Option<(RelPath, Entry, Found)> {
        let Row { path, recorded, .. } = row;
        let recorded = recorded?;
        let what = match shown {
            Shown::Proven(way) => return Some((path, recorded, Found::AsRecorded(way))),
            Shown::There | Shown::Later => return None,
            Shown::Not(what) => what,
        };
        if let What::Unproven { why } = &what {
            self.scrub.unproven += 1;
            tracing::info!(mirror = %self.settings.name, %path, "the server's copy could not be proven: {why}");
            return None;
        }
        self.scrub.wrong += 1;
        tracing::warn!(mirror = %self.settings.name, %path, "the server's copy is not what was put there: {what}");
        let found = match (&what, recorded) {
            (What::Missing, _) => Found::Nothing,
            // What has a directory's name is somebody's, and nothing can be done about it.
            (_, Entry::Dir { .. } | Entry::Link { .. }) => return None,
            // Before it is overwritten, it is compared; but another content alone would not be noticed then.
            (_, Entry::File { .. }) => {
                let parks = match self.settings.drift {
                    Drift::KeepRemote => true,
                    Drift::KeepBoth => what == What::OtherContent,
                    Drift::Overwrite => false,
                };
                Found::Other(parks.then(|| drift::problem(&what.to_string())))
            }
        };
        Some((path, recorded, found))
    }
}

async fn look<S: Session>(mut prover: Prover, rows: Vec<Row>, session: Option<Placed<S>>) -> Slice<S> {
    let mut slice = Slice { shown: Vec::new(), later: false, read: 0, trouble: None, session };
    let Some(placed) = &mut slice.session else {
        slice.trouble = Some(RemoteError::new(Class::Refused, "the directory on the server is not what it was taken for"));
        return slice;
    };
    let mut lost: Option<RelPath> = None;
    for row in rows {
        let shown =
            if is_below(lost.as_ref(), &row.path) { Ok(Shown::There) } else { prover.look(&mut placed.session, &row).await };
        match shown {
            Ok(Shown::Later) => {
                slice.later = true;
                break;
            }
            Ok(shown) => {
                let gone = shown == Shown::Not(What::Missing);
                if gone && matches!(row.recorded, Some(Entry::Dir { .. })) {
                    lost = Some(row.path.clone());
                }
                slice.shown.push((row, shown));
            }
            Err(e) => {
                slice.trouble = Some(e);
                slice.session = None;
                break;
            }
        }
    }
    slice.read = prover.read;
    slice
}

#[cfg(test)]
mod tests;
