//! The engine: one loop per mirror that listens, looks, notes, decides, promises, acts and settles. It is the only
//! writer of its index. Nothing here speaks FTP or knows a kernel's events.

mod account;
mod audit;
mod body;
mod books;
mod crew;
mod drift;
mod engine;
mod history;
mod keeper;
mod likes;
mod look;
pub mod marker;
mod neighbours;
pub mod pause;
mod progress;
#[cfg(test)]
mod properties;
mod queue;
mod rehearsal;
mod release;
mod restore;
pub mod retry;
pub mod schedule;
mod scrub;
pub mod seats;
mod siblings;
pub mod status;
mod unseen;
mod worker;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

pub use crate::blocking::Priority;
pub use account::{Account, PathState, Side};
pub use audit::{Adopted, Adoption, AuditError, Deep, Finding, Verified, Verify, What, adopt, verify};
pub use drift::Drift;
pub use engine::{DryRun, DryRunError, Mirror, StartWatch, account_at_rest, dry_run, reject};
pub use history::LogEntry;
pub use keeper::{Keeper, OpenState, Opened};
pub use neighbours::Neighbour;
pub use pause::Pause;
pub use progress::{Amount, Progress};
pub use queue::{Queue, Waits, queue_at_rest};
pub use rehearsal::{Act, RehearsalError, rehearse};
pub use release::Publish;
pub use restore::{Left, Restore, RestoreError, Restored, Why, restore};
pub use scrub::{Scrub, ScrubStatus};
pub use seats::Seats;
pub use siblings::Siblings;
pub use status::{MirrorStatus, Phase};

use crate::{
    index::{IndexError, Trashed, Undo},
    model::{Disposal, Operation, Outcome, RelPath, Retention, UnixMillis},
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
    /// Patterns of files that only grow, in gitignore syntax: where the server cannot copy them, what is new is added under their own
    /// names.
    pub append: Vec<String>,
    /// A path is looked at when nothing was heard of it for so long.
    pub quiet: Duration,
    /// The whole directory is looked at again after so long.
    pub full_scan: Duration,
    /// Whose the directory on the server is marked to be, as [`marker::identity`] makes it: the same again when the state was lost.
    pub identity: String,
    /// More deletes than this wait for an approval.
    pub budget: Budget,
    /// How the server's copies are proven again and again.
    pub scrub: Scrub,
    /// What becomes of copies on the server that somebody else changed.
    pub drift: Drift,
    /// When changes become visible on the server.
    pub publish: Publish,
    /// How much looking at the whole directory may be in the way of others on this machine. A single pass is never held back.
    pub scan: Priority,
    /// What becomes of the server's copy of what is gone here.
    pub disposal: Disposal,
    /// How long it stays in the trash.
    pub retention: Retention,
    /// The sessions of its remote, which it may share with other mirrors.
    pub seats: Seats,
    /// Other mirrors on the same server, by the same account: what they have there is copied.
    pub neighbours: Vec<Neighbour>,
    /// The mirrors of this process, of which some may be of the same directory.
    pub siblings: Siblings,
    /// The wall clock: [`crate::clock::now`], or a simulated one.
    pub clock: fn() -> UnixMillis,
    /// Is told of everything that was done.
    pub observer: Option<Observer>,
}

impl Settings {
    /// The patterns of what is not mirrored, the marker among it.
    pub(crate) fn patterns(&self) -> Vec<String> {
        let own = std::iter::once(marker::PATTERN.to_owned());
        self.ignore.iter().cloned().chain(own).collect()
    }

    /// The local directory by name, as it is noted in the index.
    pub fn source_name(&self) -> String {
        source_name(&self.source)
    }

    /// The local directory, and how it is looked at.
    pub fn place(&self) -> Place {
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
    /// Overwrite what was changed on the server, at and below this path or anywhere: paths that are parked for it are
    /// released. Answered with how many.
    Overwrite(Option<RelPath>, oneshot::Sender<u64>),
    /// Drop the removals that wait: the files stay on the server, and are not ours any more. Answered with how many.
    Reject(oneshot::Sender<Result<u64, ApproveError>>),
    /// Say what is known of a path.
    Account {
        /// Which; `None` is the root.
        path: Option<RelPath>,
        /// Whether to look at it first: then everything that was so before this was sent is in the answer.
        look: bool,
        /// The answer; dropped when the mirror ends before it knows.
        answer: oneshot::Sender<Account>,
    },
    /// Put back what was removed, from the trash. Answered with what that is.
    Undo {
        /// What.
        undo: Undo,
        /// Only say what that would be.
        dry_run: bool,
        /// Where to answer.
        answer: oneshot::Sender<Result<Vec<Trashed>, UndoError>>,
    },
    /// Start no job for so long, or until [`Command::Resume`]. Answered with what that comes to.
    Pause(Option<Duration>, oneshot::Sender<Pause>),
    /// Go on. Answered with whether it was paused.
    Resume(oneshot::Sender<bool>),
    /// Try again at once what failed at or below this path, or anywhere. Answered with how many paths that are.
    Retry(Option<RelPath>, oneshot::Sender<u64>),
    /// Say what is to be done; so much at most of each kind.
    Queue(usize, oneshot::Sender<Queue>),
    /// Say what was done.
    Log {
        /// Only what has a higher number.
        after: i64,
        /// The newest so many.
        limit: usize,
        /// The answer, oldest first.
        answer: oneshot::Sender<Vec<LogEntry>>,
    },
    /// Say that the loop comes round.
    Turn(oneshot::Sender<()>),
}

/// Why nothing is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// An old version would take the place of a file that cannot be kept.
    #[error(
        "this server cannot copy files: what is there now could not be kept; nothing is changed (trash = {{ versions = \"always\" }} reads it back)"
    )]
    CannotCopy,
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
    /// It is not removals that wait.
    #[error("no removals wait that could be rejected: see what `towline status` says of the mirror")]
    NoRemovals,
}

/// A handle on a running mirror.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What it says of itself.
    pub status: watch::Receiver<Arc<MirrorStatus>>,
    /// What it can be told.
    pub commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Waits until the mirror's loop has come round once more. One that waits to open its state again comes round too, and one
    /// that has ended has no loop that could hang.
    pub async fn turn(&self) {
        let (answer, turned) = oneshot::channel();
        if self.commands.send(Command::Turn(answer)).await.is_ok() {
            let _ = turned.await;
        }
    }
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

/// A local directory by name, as it is noted in an index.
pub fn source_name(source: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    source.as_os_str().as_bytes().escape_ascii().to_string()
}

/// Where a mirror keeps its index below the state directory.
pub fn index_file(state_dir: &std::path::Path, mirror: &str) -> PathBuf {
    state_dir.join("mirrors").join(format!("{mirror}.db"))
}
