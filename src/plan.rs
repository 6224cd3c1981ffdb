//! Decides, never acts: from the pending rows to ordered operations, each with its reason, and to the entries that need
//! none. Sees one window of rows at a time; what needs the whole tree (the delete budget) comes in as numbers, see
//! [`guard`](guard()).
//!
//! Every row asks for at most two things: that its path be *filled* (a directory made, a file put) and that it be
//! *vacated* (removed). A rename is one step that is both, at two paths. What must precede what:
//!
//! 1. a path is vacated before it is filled, if its kind changes or its content is renamed away;
//! 2. a directory is made before anything in it is filled;
//! 3. everything in a directory is vacated before it is removed;
//! 4. a name that differs from a filled one in case only is vacated first: the server may take the two for one;
//! 5. a rename precedes and follows whatever either of its halves does.
//!
//! Only renames can close a cycle. Where it is one of nothing but renames (files, or directories, whose names went round), all of them are
//! one step, over a temporary name; any other is broken by sending one file instead of renaming it.
//!
//! A directory that the server has under another name is renamed as a whole, and what is in it is left for when that is done: what
//! differs then is planned like anything else. So are the removals that nothing waits for: of what is gone elsewhere, some may
//! have moved into that directory.

mod guard;
mod judge;
mod moved;
mod moves;
mod order;
mod survey;
#[cfg(test)]
mod tests;

use std::fmt;

pub use guard::{Approval, Budget, Changed, Facts, Halt, Root, guard};

use self::moved::Moved;
use crate::model::{Abilities, Entry, Operation, PathSet, Problem, RelPath, Window};

/// What the planner may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether names may be taken off the server.
    pub removals: Removals,
    /// What is known of the server.
    pub abilities: Abilities,
}

/// Whether names may be taken off the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removals {
    /// Yes.
    Allowed,
    /// Removed, not renamed away: the caller leaves it where it is, unless it must make way.
    Kept,
    /// No: neither removed nor renamed away. What depends on it waits.
    Held,
    /// No, and no file's content is replaced either.
    HeldWithChanges,
}

impl Removals {
    /// Whether names stay on the server until somebody agrees.
    pub fn are_held(self) -> bool {
        matches!(self, Self::Held | Self::HeldWithChanges)
    }
}

/// Which stretch of the work a window is for.
///
/// Where nobody knows that the server folds case, names that differ in case only are kept apart within one window alone: a
/// vanished `README` and a new `readme` that never meet in one can overwrite each other. So plan by stretches only what is
/// too much for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The window holds every pending row.
    All,
    /// A contiguous stretch of the pending rows: fills and what they need, no other removals.
    Fill {
        /// The stretch begins behind this path; `None` is the very start. The rows below a directory that lie before
        /// the stretch are unseen, so the directory cannot be removed.
        after: Option<RelPath>,
    },
    /// A stretch of the rows of which nothing is observed, from the end backwards: removals only.
    Vacate {
        /// The stretch ends before this path; `None` is the very end. Likewise for the rows behind it.
        before: Option<RelPath>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In an order in which each can be done when the ones before it are; removals that nothing waits for come last.
    pub steps: Vec<Step>,
    /// Entries that are on the server as observed already: to be recorded, nothing to be sent.
    pub records: Vec<(RelPath, Entry)>,
    /// Paths that this server cannot hold, or not beside another, and why: they are left alone, with all below them.
    pub parked: Vec<(RelPath, Problem)>,
    /// How many removals were left out because they are held.
    pub held: usize,
    /// How many rows must wait for something else: their backoff, a live job, a removal that is held, rows outside the window, the
    /// renaming of a directory.
    pub deferred: usize,
    /// Directories, by their new names, that looked moved and cannot be renamed now: they are planned as if they were not.
    pub unmoved: Vec<RelPath>,
}

/// An operation and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub operation: Operation,
    /// Why.
    pub why: Why,
}

/// The reason for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is not on the server.
    New,
    /// The server has another content.
    Changed,
    /// It may have changed, its size has not: it is read and compared before it is sent.
    Touched,
    /// The server has the content under another name.
    Moved,
    /// A file became a directory or a directory a file.
    KindChanged,
    /// The server has it, with other permissions.
    Mode,
    /// It is gone here.
    Vanished,
    /// It is gone here, and the server must lose it before something else can come.
    InTheWay,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Touched => "touched, same size: compared before it is sent",
            Self::Moved => "moved",
            Self::KindChanged => "a file became a directory or a directory a file",
            Self::Mode => "other permissions",
            Self::Vanished => "gone here",
            Self::InTheWay => "gone here, and in the way of something else",
        })
    }
}

/// Plans the rows of `window`. `busy` holds every path that a live job touches: rows that overlap one of them, or differ
/// from that only in case, wait. In time O(n log n).
///
/// The order of the rows does not matter; of two with the same path the first counts.
pub fn plan(window: &Window, stage: &Stage, policy: Policy, busy: &PathSet) -> Plan {
    let mut moved = Moved::new(window, policy);
    loop {
        let mut survey = survey::Survey::new(window, &moved, stage, policy, busy);
        if moved.settle(&mut survey, stage) {
            continue;
        }
        let moves = match policy.removals {
            Removals::Allowed => moves::Moves::find(&survey),
            Removals::Kept | Removals::Held | Removals::HeldWithChanges => moves::Moves::none(survey.sites.len()),
        };
        match order::order(survey, moves, stage, policy) {
            Ok(plan) => return Plan { unmoved: moved.given_up, ..plan },
            Err(cycle) => moved.give_up(&cycle),
        }
    }
}
