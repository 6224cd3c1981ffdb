//! The scrub: every file on the server proven again within a set time. Here is its arithmetic, pure: when the next slice of a
//! round is due, and how much may be read back. `engine/scrubbing.rs` does it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    index::Proofs,
    model::{RelPath, UnixMillis},
};

/// Paths that are looked at in one go.
pub(super) const SLICE: usize = 32;
/// The slices of a round lie no further apart.
pub(super) const FURTHEST: Duration = Duration::from_secs(3600);
/// ... and no closer.
const CLOSEST: Duration = Duration::from_secs(1);
const DAY: u128 = 86_400_000;

/// How the server's copies are proven again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrub {
    /// Every file once within this time; `None` is never.
    pub every: Option<Duration>,
    /// So many bytes a day are read back at most, of files of which the server computes no checksum.
    pub read_back: u64,
}

/// How far a round has come; kept in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Round {
    /// When it began.
    since: UnixMillis,
    /// The bytes of the last path that was looked at; none at the beginning.
    after: Vec<u8>,
    /// So many files were.
    files: u64,
    /// Everything was.
    pub(super) over: bool,
}

/// What `status` tells of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// Every file once within so many seconds.
    pub every_seconds: u64,
    /// What is proven.
    #[serde(flatten)]
    pub proofs: Proofs,
    /// Copies that were found missing or changed since the start.
    pub wrong: u64,
    /// Looks since the start that came to nothing.
    pub unproven: u64,
}

impl Round {
    /// One that begins `now`.
    pub(super) fn new(now: UnixMillis) -> Self {
        Self { since: now, after: Vec::new(), files: 0, over: false }
    }

    /// The last path that was looked at.
    pub(super) fn after(&self) -> Option<RelPath> {
        RelPath::new(&self.after).ok()
    }

    /// These were looked at, `files` of them being such.
    pub(super) fn go_on(&mut self, last: &RelPath, files: u64) {
        self.after = last.as_bytes().to_vec();
        self.files += files;
    }

    /// How long after `now` the next slice is due, where a round is to take place every `every` and there are `paths` to look
    /// at. A round takes four fifths of its time, so that a busy day does not make it late.
    pub(super) fn next_in(&self, every: Duration, paths: u64, now: UnixMillis) -> Duration {
        if self.over {
            // The wall clock may have been set back.
            return if self.since > now { Duration::ZERO } else { every.saturating_sub(now.since(self.since)) };
        }
        let slices = u32::try_from(paths.div_ceil(SLICE as u64).max(1)).unwrap_or(u32::MAX);
        (every / 5 * 4 / slices).clamp(CLOSEST.min(every), FURTHEST)
    }

    /// Whether it is so far ahead of its time that a file of `files` can wait until it may be read back.
    pub(super) fn can_wait(&self, every: Duration, files: u64, now: UnixMillis) -> bool {
        let due = now.since(self.since).as_millis().saturating_mul(files.into());
        u128::from(self.files).saturating_mul((every / 5 * 4).as_millis()) >= due && self.since <= now
    }
}

/// How many bytes may be read back: fills up to a day's with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    a_day: u64,
    /// Below nothing after a file that was larger than a day's.
    level: i128,
}

impl Bucket {
    /// An empty one: however often it is started anew, no more is read.
    pub(super) fn new(a_day: u64) -> Self {
        Self { a_day, level: 0 }
    }

    /// What a day brings.
    pub(super) fn a_day(&self) -> u64 {
        self.a_day
    }

    /// `elapsed` has gone by.
    pub(super) fn fill(&mut self, elapsed: Duration) {
        let more = u128::from(self.a_day).saturating_mul(elapsed.as_millis()) / DAY;
        let more = i128::try_from(more).unwrap_or(i128::MAX);
        self.level = self.level.saturating_add(more).min(i128::from(self.a_day));
    }

    /// What may be read now, and whether a file may be larger than that: it is full.
    pub(super) fn allows(&self) -> (u64, bool) {
        let level = u64::try_from(self.level).unwrap_or(0);
        (level, self.a_day > 0 && level == self.a_day)
    }

    /// So much was read.
    pub(super) fn take(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(i128::from(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MONTH: Duration = Duration::from_secs(30 * 86_400);

    #[test]
    fn a_round_is_spread_over_its_time() {
        let now = UnixMillis(10_000_000_000);
        let round = Round::new(now);
        for (paths, gap) in [(0, HOUR), (32, HOUR), (1_000_000, Duration::from_millis(66_355)), (u64::MAX, CLOSEST)] {
            let found = round.next_in(MONTH, paths, now);
            assert!(found.abs_diff(gap) < Duration::from_secs(1), "{paths}: {found:?}");
        }
        assert_eq!(round.next_in(Duration::from_millis(5), 1000, now), Duration::from_millis(5));
        let half = Round { files: 50, ..round.clone() };
        assert!(half.can_wait(HOUR, 100, now.after(HOUR / 5)) && !half.can_wait(HOUR, 100, now.after(HOUR / 2)));
        assert!(!half.can_wait(HOUR, 100, UnixMillis(0)));
        let over = Round { over: true, ..round };
        assert_eq!(over.next_in(MONTH, 9, now), MONTH);
        assert_eq!(over.next_in(MONTH, 9, now.after(MONTH - HOUR)), HOUR);
        assert_eq!(over.next_in(MONTH, 9, now.after(MONTH * 3)), Duration::ZERO);
        assert_eq!(over.next_in(MONTH, 9, UnixMillis(0)), Duration::ZERO, "the clock was set back");
    }

    #[test]
    fn no_more_is_read_than_a_days_bytes_a_day() {
        let mut bucket = Bucket::new(1000);
        assert_eq!(bucket.allows(), (0, false));
        bucket.fill(HOUR * 12);
        assert_eq!(bucket.allows(), (500, false));
        bucket.take(200);
        bucket.fill(HOUR * 100);
        assert_eq!(bucket.allows(), (1000, true), "a larger file has its turn");
        bucket.take(3000);
        bucket.fill(HOUR * 36);
        assert_eq!(bucket.allows(), (0, false), "and is paid off");
        bucket.fill(HOUR * 24);
        assert_eq!(bucket.allows(), (500, false));
        let mut none = Bucket::new(0);
        none.fill(MONTH);
        assert_eq!(none.allows(), (0, false));
    }
}
