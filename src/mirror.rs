//! The engine: one loop per mirror that listens, looks, notes, decides, promises, acts and settles. It is the only
//! writer of its index. Nothing here speaks FTP or knows a kernel's events.

mod body;
mod books;
mod crew;
mod engine;
mod look;
#[cfg(test)]
mod properties;
pub mod retry;
pub mod schedule;
pub mod seats;
pub mod status;
mod worker;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

pub use engine::{DryRun, DryRunError, Mirror, StartWatch, dry_run};
pub use seats::Seats;
pub use status::{MirrorStatus, Phase};

use crate::{
    index::{IndexError, Trashed, Undo},
    model::{Disposal, Operation, Outcome, Retention, UnixMillis},
    plan::{Budget, Halt},
    scan::{Place, RulesError, View},
};

/// What a mirror is told.
#[derive(Clone)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// The local directory.
    pub source: PathBuf,
    /// What links and permissions mean.
    pub view: View,
    /// Patterns of what is not mirrored, in gitignore syntax.
    pub ignore: Vec<String>,
    /// A path is looked at when nothing was heard of it for so long.
    pub quiet: Duration,
    /// The whole directory is looked at again after so long.
    pub full_scan: Duration,
    /// More deletes than this wait for an approval.
    pub budget: Budget,
    /// What becomes of the server's copy of what is gone here.
    pub disposal: Disposal,
    /// How long it stays in the trash.
    pub retention: Retention,
    /// The sessions of its remote, which it may share with other mirrors.
    pub seats: Seats,
    /// The wall clock: [`crate::clock::now`], or a simulated one.
    pub clock: fn() -> UnixMillis,
    /// Is told of everything that was done.
    pub observer: Option<Observer>,
}

impl Settings {
    /// The local directory, and how it is looked at.
    pub(crate) fn place(&self) -> Place {
        Place { path: self.source.clone(), view: self.view }
    }
}

/// Is called with every [`Event`], on the engine's own task: it must be quick.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A job was settled.
    Settled {
        /// What was to be done.
        operation: Operation,
        /// What came of it.
        outcome: Outcome,
    },
    /// Removals wait for an approval.
    Halted(Halt),
    /// The link to the server failed; it is tried again by itself.
    LinkDown(String),
    /// The link works again.
    LinkUp,
}

/// How long a mirror runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it is stopped.
    Stopped,
    /// One pass: until nothing is left that can be done now.
    Settled,
}

/// What a running mirror can be told.
#[derive(Debug)]
pub enum Command {
    /// Release the removals that wait. Answered with how many.
    Approve(oneshot::Sender<Result<u64, ApproveError>>),
    /// Put back what was removed, from the trash. Answered with what that is.
    Undo {
        /// What.
        undo: Undo,
        /// Only say what that would be.
        dry_run: bool,
        /// Where to answer.
        answer: oneshot::Sender<Vec<Trashed>>,
    },
}

/// Why nothing was approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    /// No removals wait.
    #[error("nothing waits for an approval")]
    NothingHalted,
    /// The directory is not there.
    #[error(
        "the local directory is missing: nothing can be approved until it is back (removals start only when it was looked at)"
    )]
    RootMissing,
}

/// A handle on a running mirror.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What it says of itself.
    pub status: watch::Receiver<Arc<MirrorStatus>>,
    /// What it can be told.
    pub commands: mpsc::Sender<Command>,
}

/// What ends a mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The index cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An ignore pattern is wrong.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Where a mirror keeps its index below the state directory.
pub fn index_file(state_dir: &std::path::Path, mirror: &str) -> PathBuf {
    state_dir.join("mirrors").join(format!("{mirror}.db"))
}
