//! The nouns that every room shares: paths, what is at them, what is to be done, what came of it. No behaviour
//! that touches a disk, a clock or a network lives here.

mod abilities;
mod checksum;
mod chunks;
mod entry;
mod job;
mod path;
mod problem;
mod proof;
mod timetable;
mod trash;

pub use abilities::Abilities;
pub use checksum::{Algorithm, Checksum, Summing};
pub use chunks::{CHUNK, CHUNKED, Chunks};
pub use entry::{Digest, Entry, Fingerprint, Kind, Mode, MovedDir, Observation, RootIdentity, Row, Window};
pub use job::{Beside, Done, How, Job, JobId, Like, MOST_ROTATED, Operation, Outcome, ServerCopy, Settlement, Staged, Stat};
pub use path::{PathError, PathSet, RelPath};
pub use problem::{Problem, Reason};
pub use proof::{Proof, ProofWay};
pub use timetable::{DayMinute, Days, Hours, LocalTime, Rate, Timetable, Weekday};
pub use trash::{Disposal, Retention, TRASH_DIR, Versions, is_trash, place};

/// Milliseconds since the Unix epoch, as read from the wall clock. Only shown, compared with itself, and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This moment plus `by`, at most the end of time.
    pub fn after(self, by: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies in the future (the wall clock may jump).
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}
