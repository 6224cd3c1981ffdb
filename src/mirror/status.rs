//! What a mirror says of itself: one snapshot, made by the engine, read by the command line, the socket and the service
//! manager. It says `in-sync` only when it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{pause::Pause, scrub::ScrubStatus};
use crate::{
    index::Tally,
    model::{Operation, Reason, UnixMillis},
    plan::Halt,
    remote::Class,
    scan::Skipped,
};

/// What a mirror is doing, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not everything was looked at since the start.
    #[default]
    Starting,
    /// Looking at the local directory.
    Scanning,
    /// Changes are on their way to the server.
    Syncing,
    /// What is staged on the server becomes visible.
    Publishing,
    /// Everything that was seen is on the server, and nothing is left to look at.
    InSync,
    /// As of the last look everything is on the server, but the kernel does not tell of every change: what came since is
    /// found by the next look.
    AsScanned,
    /// Something is left to do; it waits for its next attempt.
    Waiting,
    /// Somebody said that no job is to start.
    Paused,
    /// Removals wait for `towline approve`; everything else is on the server or waits.
    Halted,
    /// What is to be published together is not, since something keeps it from being whole.
    Withheld,
    /// Some paths cannot be mirrored as they are; everything else is on the server.
    Parked,
    /// Nothing is tried any more until a restart: the account was refused, or the state cannot be used.
    Stopped,
}

impl Phase {
    /// The word that `status` shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Scanning => "scanning",
            Self::Syncing => "syncing",
            Self::Publishing => "publishing",
            Self::Withheld => "withheld",
            Self::InSync => "in sync",
            Self::AsScanned => "in sync at the last scan",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Parked => "parked",
            Self::Stopped => "stopped",
        }
    }
}

/// One mirror, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MirrorStatus {
    /// Its name.
    pub name: String,
    /// In one word.
    pub phase: Phase,
    /// When this was so.
    pub at: Option<UnixMillis>,
    /// What is left to do, and what is done.
    pub tally: Tally,
    /// When the oldest change that is not on the server yet was seen.
    pub oldest_pending: Option<UnixMillis>,
    /// When a job last succeeded.
    pub last_success: Option<UnixMillis>,
    /// When the whole directory was last looked at without an error.
    pub last_full_scan: Option<UnixMillis>,
    /// Transfers and other jobs that run now.
    pub in_flight: Vec<InFlight>,
    /// Until when no job starts, if somebody said so.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// Why removals wait, if they do.
    pub halt: Option<HaltStatus>,
    /// The link to the server.
    pub link: LinkStatus,
    /// What is to be published together; nothing where each change is published by itself.
    #[serde(default)]
    pub release: Option<ReleaseStatus>,
    /// How changes are noticed.
    pub watch: WatchStatus,
    /// Entries that are not mirrored because of their kind, at the last full scan.
    pub skipped: Skipped,
    /// Paths that wait or are parked, each with its reason; the first 100.
    pub problems: Vec<PathStatus>,
    /// Places that could not be looked at, each looked at again by itself: 100 of them, and one entry for all others.
    pub unseen: Vec<UnseenStatus>,
    /// What was done since the start.
    pub counters: Counters,
    /// What failed since the start, by its kind.
    #[serde(default)]
    pub errors: Errors,
    /// The number of what was done last, as the log has it.
    #[serde(default)]
    pub logged: i64,
    /// Why the mirror stopped, if it did.
    pub stopped: Option<String>,
    /// What needs attention though nothing waits for it: certificates that expire within 30 days, permissions that the server
    /// does not keep.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What is overwritten is to be kept in the trash, and the server cannot copy files.
    #[serde(default)]
    pub keeps_no_versions: bool,
    /// How much of what the server holds is proven, unless that is never done.
    #[serde(default)]
    pub scrub: Option<ScrubStatus>,
}

/// A job that runs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// What it does.
    pub verb: String,
    /// To which path.
    pub path: String,
    /// Bytes of body in all, for a put.
    pub size: Option<u64>,
    /// Bytes handed to the network so far.
    pub sent: u64,
}

impl InFlight {
    /// What runs as `operation`, of which so many bytes are `sent`.
    pub(super) fn of(operation: &Operation, sent: u64) -> Self {
        let size = match operation {
            Operation::Put { print, .. } => Some(print.size),
            _ => None,
        };
        Self { verb: operation.verb().to_owned(), path: operation.path().to_string(), size, sent }
    }
}

/// Why removals wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HaltStatus {
    /// The reason with its figures.
    #[serde(flatten)]
    pub halt: Halt,
    /// In words.
    pub why: String,
    /// What to do.
    pub hint: String,
    /// Since when.
    pub since: UnixMillis,
}

/// The link to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// `up`, `waiting`, `probing` or `stopped`.
    pub state: String,
    /// Sessions that are open.
    pub sessions: usize,
    /// How many the server is believed to allow to all mirrors of the remote together.
    pub limit: usize,
    /// Failures in a row.
    pub attempts: u32,
    /// The class of the last failure, while it lasts.
    pub class: Option<Class>,
    /// The last failure, while it lasts.
    pub why: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// When it is tried again.
    pub retry_at: Option<UnixMillis>,
}

/// Changes that become visible together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatus {
    /// Files on the server under temporary names, proven.
    pub staged_files: u64,
    /// Their bytes.
    pub staged_bytes: u64,
    /// Whether they become visible now.
    pub publishing: bool,
    /// How many changes of the run are.
    pub published: u64,
    /// Why nothing is published, if something keeps it.
    pub withheld: Option<Withheld>,
}

/// Why nothing is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// What keeps it, with the paths.
    pub why: String,
    /// What to do.
    pub hint: String,
    /// Whether it is tried again by itself, and nothing has to be done.
    pub waits: bool,
    /// Since when.
    pub since: UnixMillis,
}

/// How changes are noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchStatus {
    /// Whether the kernel tells of every change.
    pub complete: bool,
    /// If not, why, and what is done instead.
    pub why: Option<String>,
}

/// A path that is not on the server, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStatus {
    /// The path below the mirror's root.
    pub path: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried again; nothing if it is parked.
    pub retry_at: Option<UnixMillis>,
}

/// A place that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnseenStatus {
    /// The path below the mirror's root; empty for the root.
    pub path: String,
    /// Why.
    pub why: String,
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Files sent.
    pub puts: u64,
    /// Bytes of body sent.
    pub bytes_sent: u64,
    /// Bytes that did not need to be sent: of files that were renamed, found unchanged, or went on where they were cut off.
    #[serde(default)]
    pub bytes_saved: u64,
    /// Files that were touched and found unchanged: nothing was sent.
    pub unchanged: u64,
    /// Files that were read only to know what they hold.
    #[serde(default)]
    pub read: u64,
    /// Files of which another mirror of the same directory knew that, so that they were not read.
    #[serde(default)]
    pub shared: u64,
    /// Directories that were looked at by scans of everything.
    #[serde(default)]
    pub listed: u64,
    /// Of these: those that the scan of another mirror of the same directory has read at that moment.
    #[serde(default)]
    pub listed_by_others: u64,
    /// Files renamed on the server.
    pub renames: u64,
    /// Directories made.
    pub directories: u64,
    /// Symbolic links made.
    #[serde(default)]
    pub links: u64,
    /// Permissions set, where nothing else was to be done.
    #[serde(default)]
    pub modes: u64,
    /// Files and directories removed; what went to the trash, too.
    pub removals: u64,
    /// Files put back from the trash.
    #[serde(default)]
    pub restored: u64,
    /// Files and directories removed from the trash, since they were in it for long or it was too large.
    #[serde(default)]
    pub expired: u64,
    /// Files and directories that are gone here and were left on the server.
    #[serde(default)]
    pub left: u64,
    /// Jobs that failed or were left in doubt.
    pub failures: u64,
}

/// What failed since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// Attempts at single paths, by the kind of their problem.
    pub paths: BTreeMap<Reason, u64>,
    /// Attempts to use the server at all, by the class of their failure.
    pub link: BTreeMap<Class, u64>,
}

/// A note in the index: why removals were halted, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HaltNote {
    pub(super) halt: Halt,
    pub(super) since: UnixMillis,
}
