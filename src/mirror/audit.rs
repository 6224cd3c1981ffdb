//! Looks at what the server really holds: against the index (verify), or against the local tree (adopt). On the server nothing
//! is changed. What is found goes into the recorded lane, and the ordinary planner does the rest: there is no second road
//! that repairs.
//!
//! It runs beside a daemon or without one. Beside one, the state is read only, and what the daemon changes meanwhile is no
//! finding: each is asked for once more, and dropped where the index has moved on.

mod adopt;
pub(super) mod content;
mod judge;
mod ledger;
mod line;
mod prove;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

pub(super) use ledger::Ledger;
pub(super) use line::Line;
pub(super) use prove::{Prover, Shown, is_below};
pub(super) use walk::{is_of_path, is_ours};

pub use adopt::{Adopted, Adoption, adopt};
pub use verify::{Verified, Verify, verify};

use super::DryRunError;
use crate::{
    index::IndexError,
    model::{Kind, RelPath},
    remote::RemoteError,
};

/// How much is read back, whatever the sizes and the server's checksums say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Deep {
    /// Nothing.
    #[default]
    Nothing,
    /// Each file with this probability, from 0 to 1.
    Sample(f64),
    /// About so many files.
    Some(u64),
    /// Everything.
    Everything,
}

/// One path that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Which.
    pub path: RelPath,
    /// What is wrong.
    #[serde(flatten)]
    pub what: What,
}

/// What is wrong with a path.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// It is not there; of a directory, neither is what was in it.
    Missing,
    /// Something else is there.
    OtherKind {
        /// What, if it is anything that is mirrored.
        found: Option<Kind>,
    },
    /// A file of another size is there.
    OtherSize {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A file of the same size with another content is there.
    OtherContent,
    /// A file of the same size is there that was modified by somebody else; its content was not read.
    OtherTime,
    /// It is there, and not ours.
    Foreign,
    /// It could not be found out.
    Unproven {
        /// Why.
        why: String,
    },
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::OtherKind { found: Some(Kind::Dir) } => f.write_str("a directory is there instead"),
            Self::OtherKind { found: Some(Kind::File) } => f.write_str("a file is there instead"),
            Self::OtherKind { found: Some(Kind::Link) } => f.write_str("a link is there instead"),
            Self::OtherKind { found: None } => f.write_str("something is there that is neither file nor directory"),
            Self::OtherSize { expected, found } => write!(f, "other size: {found} bytes instead of {expected}"),
            Self::OtherContent => f.write_str("other content, same size"),
            Self::OtherTime => f.write_str("same size, modified by somebody else"),
            Self::Foreign => f.write_str("foreign: there, and not ours"),
            Self::Unproven { why } => write!(f, "could not be proven: {why}"),
        }
    }
}

/// Why an audit ended early.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The index cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The server cannot be asked.
    #[error("{0}")]
    Remote(#[from] RemoteError),
    /// The configuration names another directory than the one that is known.
    #[error("what is recorded is of {known}; nothing was sent to {target} yet")]
    Elsewhere {
        /// The one that is known.
        known: String,
        /// The one that is configured.
        target: String,
    },
    /// The local directory cannot be looked at.
    #[error(transparent)]
    Local(#[from] DryRunError),
}
