//! What is at a path: a directory or a file with its fingerprint. One type serves both sides, observed and recorded.

use super::RelPath;

/// The two kinds of entry that are mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
}

/// What tells one state of a local file from another without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Last modification of the content, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Last change of the inode, nanoseconds since the Unix epoch; no program can set it back.
    pub ctime_ns: i64,
    /// The inode number; never 0 for a file that was seen.
    pub inode: u64,
}

impl Fingerprint {
    /// A file on the server of which only the size is known: equal to no file that was ever seen here.
    pub fn unknown(size: u64) -> Self {
        Self { size, ..Self::default() }
    }

    /// Whether `self` can be `former` after nothing but a rename: same inode, size and time of modification.
    pub fn moved_from(&self, former: &Self) -> bool {
        self.inode != 0 && (self.inode, self.size, self.mtime_ns) == (former.inode, former.size, former.mtime_ns)
    }
}

/// A blake3 digest of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..6].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A directory.
    Dir {
        /// The local inode number; 0 when it was never seen here.
        inode: u64,
    },
    /// A regular file.
    File {
        /// The local file's state when it was seen (observed) or sent (recorded).
        print: Fingerprint,
        /// Its content, where somebody read it.
        digest: Option<Digest>,
    },
}

impl Entry {
    /// File or directory.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Dir { .. } => Kind::Dir,
            Self::File { .. } => Kind::File,
        }
    }

    /// Whether nothing needs to be looked at: same kind, same inode and, for files, the same fingerprint. Digests do not
    /// count; this is the comparison of the index's `pending`.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dir { inode: a }, Self::Dir { inode: b }) => a == b,
            (Self::File { print: a, .. }, Self::File { print: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// What a scan found out about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// This is there now.
    Is(RelPath, Entry),
    /// Nothing (that is mirrored) is there any more; its directory was read completely.
    Gone(RelPath),
    /// It is ignored by a rule now: forget it, leave the server's copy alone.
    Ignored(RelPath),
}

/// One path where the two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where.
    pub path: RelPath,
    /// What a scan saw last.
    pub observed: Option<Entry>,
    /// What is on the server, as far as a settled job or the server itself told.
    pub recorded: Option<Entry>,
    /// Whether it may be tried now; `false` while it waits for its backoff or is parked.
    pub due: bool,
}

/// A stretch of the pending rows, in preorder, for the planner.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The rows, in preorder: a contiguous stretch, together with the pending ancestors of its first row and the
    /// possible sources of moves into it.
    pub rows: Vec<Row>,
    /// The last path of the contiguous stretch when more pending rows follow it; `None` when it reaches the end.
    pub cut: Option<RelPath>,
}

/// Which directory a mirror's root is: a root that was swapped is noticed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RootIdentity {
    /// The device number (`st_dev`).
    pub device: u64,
    /// The inode number (`st_ino`).
    pub inode: u64,
}
