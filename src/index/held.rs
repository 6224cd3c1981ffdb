//! What the index holds of one path, how each finding changes it, and what it counts for. Values only: no SQL here.

use std::time::Duration;

use crate::model::{Digest, Entry, Fingerprint, Problem, Reason, RelPath, Row, UnixMillis};

/// A time to try again that lies further ahead than this was set by a wall clock that has jumped since: no backoff is
/// that long.
pub const FURTHEST_RETRY: Duration = Duration::from_secs(360);

/// One row of the entry table. With neither side it stands for no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) path: RelPath,
    pub(super) observed: Option<Entry>,
    pub(super) recorded: Option<Entry>,
    pub(super) since: Option<UnixMillis>,
    pub(super) attempts: u32,
    pub(super) not_before: Option<UnixMillis>,
    pub(super) problem: Option<Problem>,
}

impl Held {
    /// Nothing on either side.
    pub(super) fn nothing(path: RelPath) -> Self {
        Self { path, observed: None, recorded: None, since: None, attempts: 0, not_before: None, problem: None }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.observed.is_none() && self.recorded.is_none()
    }

    pub(super) fn pending(&self) -> bool {
        match (&self.observed, &self.recorded) {
            (Some(observed), Some(recorded)) => !observed.is_met_by(recorded),
            (observed, recorded) => observed.is_some() || recorded.is_some(),
        }
    }

    pub(super) fn parked(&self) -> bool {
        self.problem.is_some() && self.not_before.is_none()
    }

    pub(super) fn due(&self, now: UnixMillis) -> bool {
        match self.not_before {
            // What was found by looking at names alone is found out again each time.
            None => self.problem.as_ref().is_none_or(Problem::is_judged),
            Some(at) => at <= now || at > now.after(FURTHEST_RETRY),
        }
    }

    pub(super) fn into_row(self, now: UnixMillis) -> Row {
        let due = self.due(now);
        Row { path: self.path, observed: self.observed, recorded: self.recorded, due }
    }

    /// A scan saw `found`. Whether that is a change; one clears the way for another attempt.
    pub(super) fn see(&mut self, mut found: Option<Entry>) -> bool {
        if let (Some(Entry::File { print, digest: digest @ None, .. }), Some(Entry::File { print: known, digest: read, .. })) =
            (&mut found, &self.observed)
            && print == known
        {
            *digest = *read;
        }
        let changed = !same(found.as_ref(), self.observed.as_ref());
        self.observed = found;
        if changed {
            self.clear();
        }
        changed
    }

    /// The server holds `entry` for certain: an attempt ended well, or there was nothing to do.
    pub(super) fn record(&mut self, entry: Option<Entry>) {
        self.told(entry);
        self.clear();
    }

    /// The server says that it holds `entry`; the retry columns stay.
    pub(super) fn told(&mut self, entry: Option<Entry>) {
        self.recorded = entry;
    }

    /// The local file was read as it was in the state `read`. Only what somebody read is observed: what a file that was renamed
    /// holds is recorded, but concluded.
    pub(super) fn read(&mut self, read: &Fingerprint, found: Digest) {
        if let Some(Entry::File { print, digest, .. }) = &mut self.observed
            && print == read
        {
            *digest = Some(found);
        }
    }

    /// What the local file `print` was read to hold, if somebody has, and that is what was sent. What was not sent may not be on the
    /// disk: a start of the machine doubts what was recorded last, and nothing else.
    pub(super) fn known_by_reading(&self, print: &Fingerprint) -> Option<Digest> {
        match (self.observed?, self.recorded?) {
            (Entry::File { print: seen, digest: Some(read), .. }, Entry::File { print: sent, digest: Some(recorded), .. })
                if seen == *print && sent == *print && read == recorded =>
            {
                Some(read)
            }
            _ => None,
        }
    }

    /// What is pending is on the server under a temporary name: nothing keeps it any more but what it waits for.
    pub(super) fn staged(&mut self) {
        self.clear();
    }

    /// An attempt failed. Where nothing is pending (any more) there is nothing to try again.
    pub(super) fn fail(&mut self, problem: &Problem, retry_at: Option<UnixMillis>) {
        if self.pending() {
            self.attempts = self.attempts.saturating_add(1);
            self.not_before = retry_at;
            self.problem = Some(problem.clone());
        }
    }

    /// It is not to be tried at all, for this reason.
    pub(super) fn park(&mut self, problem: &Problem) {
        if self.pending() {
            self.not_before = None;
            self.problem = Some(problem.clone());
        }
    }

    /// A parked row may be tried again; how often it failed is kept. What was put back waits for a change, or for somebody.
    pub(super) fn release(&mut self) -> bool {
        let parked = self.parked() && !self.is_undone();
        if parked {
            self.problem = None;
        }
        parked
    }

    fn is_undone(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.reason == Reason::Undone)
    }

    /// Where it is parked for drift at or below `prefix`: what is there may be anything, and may be replaced. Where an old
    /// version was put back, that may be replaced.
    pub(super) fn give_up_drift(&mut self, prefix: Option<&RelPath>) -> bool {
        let drift = self.problem.as_ref().is_some_and(|problem| problem.reason == Reason::Drift);
        let chosen = (drift || self.is_undone()) && prefix.is_none_or(|prefix| self.path.is_at_or_below(prefix));
        if chosen && !drift {
            self.clear();
        } else if chosen {
            let size = match self.recorded {
                Some(Entry::File { print, .. }) => print.size,
                _ => 0,
            };
            self.record(Some(Entry::file(Fingerprint::unknown(size), None)));
        }
        chosen
    }

    /// The server was found to hold something else than was sent.
    pub(super) fn mistrust(&mut self) {
        self.recorded = self.recorded.map(super::proof::mistrusted);
    }

    /// What failed is due again, and its attempts are forgotten. Whether there was something to forget.
    pub(super) fn start_over(&mut self) -> bool {
        let failed = (self.problem.is_some() || self.attempts > 0) && !self.is_undone();
        if failed {
            self.clear();
        }
        failed
    }

    /// The file may not be what it was when it was sent, whatever its times say. What the server holds is still known: it is
    /// read and compared with that, and sent if it is something else. Whether there is a file recorded.
    pub(super) fn doubt_content(&mut self) -> bool {
        if let Some(Entry::File { digest, .. }) = &mut self.observed {
            *digest = None;
        }
        let Some(Entry::File { print, .. }) = &mut self.recorded else { return false };
        // A time that no file has.
        print.ctime_ns = i64::MIN;
        true
    }

    /// A rule ignores the path now. Whether anything was known of it.
    pub(super) fn forget(&mut self) -> bool {
        let known = !self.is_nothing();
        *self = Self::nothing(self.path.clone());
        known
    }

    /// Makes the columns that only pending rows have agree with whether it is one.
    pub(super) fn tidy(&mut self, now: UnixMillis) {
        if self.pending() {
            self.since.get_or_insert(now);
        } else {
            self.since = None;
            self.clear();
        }
    }

    fn clear(&mut self) {
        (self.attempts, self.not_before, self.problem) = (0, None, None);
    }
}

fn same(a: Option<&Entry>, b: Option<&Entry>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// The sums over all rows, as the `total` table has them. They wrap, so that what was added can always be taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) observed: u64,
    pub(super) recorded_files: u64,
    pub(super) recorded_bytes: u64,
    pub(super) pending_files: u64,
    pub(super) pending_bytes: u64,
    pub(super) pending_dirs: u64,
    pub(super) vanished_files: u64,
    pub(super) vanished_dirs: u64,
    pub(super) parked: u64,
}

impl Totals {
    /// What one row counts for.
    pub(super) fn of(held: &Held) -> Self {
        let mut totals = Self { observed: held.observed.is_some().into(), parked: held.parked().into(), ..Self::default() };
        match held.recorded {
            Some(Entry::File { print, .. }) => (totals.recorded_files, totals.recorded_bytes) = (1, print.size),
            Some(Entry::Link { .. }) => totals.recorded_files = 1,
            Some(Entry::Dir { .. }) | None => {}
        }
        match (held.pending(), held.observed, held.recorded) {
            (true, Some(Entry::File { print, .. }), _) => (totals.pending_files, totals.pending_bytes) = (1, print.size),
            (true, Some(Entry::Link { .. }), _) => totals.pending_files = 1,
            (true, Some(Entry::Dir { .. }), _) => totals.pending_dirs = 1,
            (true, None, Some(Entry::File { .. } | Entry::Link { .. })) => totals.vanished_files = 1,
            (true, None, Some(Entry::Dir { .. })) => totals.vanished_dirs = 1,
            _ => {}
        }
        totals
    }

    /// One row was `old` and is `new`.
    pub(super) fn replace(&mut self, old: &Held, new: &Held) {
        let (old, new) = (Self::of(old).to_array(), Self::of(new).to_array());
        let mut sums = self.to_array();
        for (sum, (old, new)) in sums.iter_mut().zip(old.into_iter().zip(new)) {
            *sum = sum.wrapping_sub(old).wrapping_add(new);
        }
        *self = Self::from_array(sums);
    }

    /// One row is `new`.
    pub(super) fn add(&mut self, new: &Held) {
        self.replace(&Held::nothing(new.path.clone()), new);
    }

    /// In the order of the table's columns.
    pub(super) fn to_array(self) -> [u64; 9] {
        [
            self.observed,
            self.recorded_files,
            self.recorded_bytes,
            self.pending_files,
            self.pending_bytes,
            self.pending_dirs,
            self.vanished_files,
            self.vanished_dirs,
            self.parked,
        ]
    }

    /// Back from [`Self::to_array`].
    pub(super) fn from_array(sums: [u64; 9]) -> Self {
        let [
            observed,
            recorded_files,
            recorded_bytes,
            pending_files,
            pending_bytes,
            pending_dirs,
            vanished_files,
            vanished_dirs,
            parked,
        ] = sums;
        Self {
            observed,
            recorded_files,
            recorded_bytes,
            pending_files,
            pending_bytes,
            pending_dirs,
            vanished_files,
            vanished_dirs,
            parked,
        }
    }
}
