//! What is to be done on the server, the promise of it (a job), and what came of it.

use super::{Digest, Entry, Fingerprint, Kind, Problem, RelPath, UnixMillis};

/// One change of the server's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make a directory.
    MakeDir {
        /// Where.
        path: RelPath,
        /// The local directory's inode.
        inode: u64,
    },
    /// Send a file's content: temporary name, proof, rename over `path`.
    Put {
        /// Where.
        path: RelPath,
        /// The file as it was seen when this was planned.
        print: Fingerprint,
        /// The content that the server holds under this name, when it has the same size: if the local file still has it,
        /// nothing is sent.
        equal_to: Option<Digest>,
    },
    /// Remove a file.
    RemoveFile {
        /// Where.
        path: RelPath,
    },
    /// Remove an empty directory.
    RemoveDir {
        /// Where.
        path: RelPath,
    },
    /// Rename a file whose content is on the server already.
    Rename {
        /// The name it has on the server.
        from: RelPath,
        /// The name it shall have; a file of that name is replaced.
        to: RelPath,
        /// The local file at `to`.
        print: Fingerprint,
        /// Its content, where known.
        digest: Option<Digest>,
    },
}

impl Operation {
    /// The path that the operation fills or vacates; for a rename the new name.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::MakeDir { path, .. } | Self::Put { path, .. } | Self::RemoveFile { path } | Self::RemoveDir { path } => path,
            Self::Rename { to, .. } => to,
        }
    }

    /// Every path that the operation touches: one, or two for a rename.
    pub fn touches(&self) -> impl Iterator<Item = &RelPath> {
        let from = match self {
            Self::Rename { from, .. } => Some(from),
            _ => None,
        };
        std::iter::once(self.path()).chain(from)
    }

    /// Whether it takes something off the server without putting it elsewhere.
    pub fn removes(&self) -> bool {
        matches!(self, Self::RemoveFile { .. } | Self::RemoveDir { .. })
    }

    /// The verb, for logs and `plan`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::MakeDir { .. } => "make directory",
            Self::Put { .. } => "put",
            Self::RemoveFile { .. } => "remove",
            Self::RemoveDir { .. } => "remove directory",
            Self::Rename { .. } => "rename",
        }
    }
}

/// The number of a job, unique within one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct JobId(pub i64);

/// An operation that is promised: its row is committed before the first byte of it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number; later jobs have higher ones.
    pub id: JobId,
    /// What is to be done.
    pub operation: Operation,
    /// The temporary name a put goes to, in the directory of its path.
    pub temp: Option<RelPath>,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Proven on the server.
    Done(Done),
    /// It never reached the server, nor is anything wrong with the path: plan it again.
    Untouched,
    /// It did not work; the server is as it was before, no temporary file is left.
    Failed(Problem),
    /// Nobody knows: the connection was lost on the way. The job stays until the server has been asked.
    InDoubt(Problem),
}

/// What to record of a job that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// A directory was made, or something removed or renamed, just as the operation says.
    AsPlanned,
    /// A file is on the server with this content.
    Holds {
        /// The local file as it was when it was read.
        print: Fingerprint,
        /// What was read.
        digest: Digest,
        /// Bytes of body that were sent; 0 when the server had it already.
        sent: u64,
    },
}

/// The result of a job on its way into the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which job.
    pub job: JobId,
    /// What came of it.
    pub outcome: Outcome,
    /// For `Failed` and `InDoubt`: when the path may be tried again; `None` parks it until it changes.
    pub retry_at: Option<UnixMillis>,
}

/// What the server says is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// File or directory.
    pub kind: Kind,
    /// Bytes, for a file.
    pub size: Option<u64>,
}

impl Stat {
    /// As an entry of the recorded side: known to be there, not known to be equal to anything here.
    pub fn to_entry(self) -> Entry {
        match self.kind {
            Kind::Dir => Entry::Dir { inode: 0 },
            Kind::File => Entry::File { print: Fingerprint::unknown(self.size.unwrap_or(0)), digest: None },
        }
    }
}
