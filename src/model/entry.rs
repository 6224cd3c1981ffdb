//! What is at a path: a directory, a file with its fingerprint, a symbolic link. One type serves both sides, observed and
//! recorded.

use super::RelPath;

/// The kinds of entry that are mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link that is mirrored as one.
    Link,
}

/// Permission bits, 0 to 0o777: never setuid, setgid or sticky.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode(u16);

impl Mode {
    /// Of all the bits of an `st_mode` those that are permissions.
    pub fn of(bits: u32) -> Self {
        Self((bits & 0o777) as u16)
    }

    /// The bits.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// For a directory that is written to: its owner may do everything.
    #[must_use]
    pub fn open_to_owner(self) -> Self {
        Self(self.0 | 0o700)
    }
}

/// Three octal digits, as SITE CHMOD takes them.
impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0{self}")
    }
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

/// What is at a path. A mode is what is observed only where permissions are mirrored, and what is recorded only where one
/// was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A directory.
    Dir {
        /// The local inode number; 0 when it was never seen here.
        inode: u64,
        /// Its permissions.
        mode: Option<Mode>,
    },
    /// A regular file.
    File {
        /// The local file's state when it was seen (observed) or sent (recorded).
        print: Fingerprint,
        /// Its content, where somebody read it.
        digest: Option<Digest>,
        /// Its permissions.
        mode: Option<Mode>,
    },
    /// A symbolic link.
    Link {
        /// Of the bytes that it holds; all zero when they are not known.
        target: Digest,
    },
}

impl Entry {
    /// A directory, without permissions.
    pub fn dir(inode: u64) -> Self {
        Self::Dir { inode, mode: None }
    }

    /// A regular file, without permissions.
    pub fn file(print: Fingerprint, digest: Option<Digest>) -> Self {
        Self::File { print, digest, mode: None }
    }

    /// File, directory or link.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Dir { .. } => Kind::Dir,
            Self::File { .. } => Kind::File,
            Self::Link { .. } => Kind::Link,
        }
    }

    /// Its permissions, where they count.
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::Dir { mode, .. } | Self::File { mode, .. } => *mode,
            Self::Link { .. } => None,
        }
    }

    /// The same with other permissions; a link has none.
    #[must_use]
    pub fn with_mode(mut self, new: Option<Mode>) -> Self {
        match &mut self {
            Self::Dir { mode, .. } | Self::File { mode, .. } => *mode = new,
            Self::Link { .. } => {}
        }
        self
    }

    /// Whether both are one state of one thing: same kind, same inode, for files the same fingerprint, for links the same
    /// target, and the same permissions. Digests of files do not count.
    pub fn same(&self, other: &Self) -> bool {
        self.same_content(other) && self.mode() == other.mode()
    }

    /// As [`Self::same`], whatever the permissions.
    pub fn same_content(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dir { inode: a, .. }, Self::Dir { inode: b, .. }) => a == b,
            (Self::File { print: a, .. }, Self::File { print: b, .. }) => a == b,
            (Self::Link { target: a }, Self::Link { target: b }) => a == b,
            _ => false,
        }
    }

    /// Whether nothing is left to do about this where `recorded` is on the server: the comparison of the index's `pending`.
    pub fn is_met_by(&self, recorded: &Self) -> bool {
        self.same_content(recorded) && !self.needs_mode_of(recorded)
    }

    /// Whether other permissions than the recorded ones are asked for.
    pub fn needs_mode_of(&self, recorded: &Self) -> bool {
        self.mode().is_some() && self.mode() != recorded.mode()
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
    /// Where the server folds case: the rows, pending or not, whose paths differ from one that is to be filled, or from a
    /// directory above it, in case only. Those of which something is observed are there to be looked at alone.
    pub twins: Vec<Row>,
    /// The directories that the server seems to have under other names; where one takes the name of another, it comes behind that, and
    /// some take each other's names.
    /// Both of their rows are in `rows`, if the stretch has that of the new one.
    pub moved: Vec<MovedDir>,
    /// The last path of the contiguous stretch when more pending rows follow it; `None` when it reaches the end.
    pub cut: Option<RelPath>,
}

/// A directory that the server has under another name, and most of what is in it, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedDir {
    /// The name it has on the server.
    pub from: RelPath,
    /// The name it has here.
    pub to: RelPath,
    /// What is on the server below the old name and has no place below the new one, with all that is in it: it has to go first.
    pub rest: Vec<RelPath>,
}

/// Which directory a mirror's root is: a root that was swapped is noticed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RootIdentity {
    /// The device number (`st_dev`).
    pub device: u64,
    /// The inode number (`st_ino`).
    pub inode: u64,
    /// The file system's own number (`f_fsid`); 0 where it has none, or nobody asked for it.
    #[serde(default)]
    pub filesystem: u64,
}

impl RootIdentity {
    /// Whether nothing speaks against both being one directory. Every fresh file system of a kind has its root at the same
    /// inode, and device numbers are given anew with each mount, so that the file system's own number decides where it is known.
    pub fn is_like(&self, other: &Self) -> bool {
        let one_filesystem = match (self.filesystem, other.filesystem) {
            (0, _) | (_, 0) => self.device == other.device,
            (here, there) => here == there,
        };
        self.inode == other.inode && one_filesystem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_known_by_its_file_system_too() {
        let root = |device, inode, filesystem| RootIdentity { device, inode, filesystem };
        for (a, b, like) in [
            (root(1, 2, 3), root(1, 2, 3), true),
            (root(1, 2, 3), root(1, 2, 4), false),
            (root(1, 2, 0), root(1, 2, 4), true),
            (root(1, 2, 3), root(1, 2, 0), true),
            (root(1, 2, 3), root(2, 2, 3), true),
            (root(1, 2, 0), root(2, 2, 3), false),
            (root(1, 2, 0), root(1, 3, 0), false),
        ] {
            assert_eq!((a.is_like(&b), b.is_like(&a)), (like, like), "{a:?} {b:?}");
        }
        // As earlier versions noted it.
        assert_eq!(serde_json::from_str::<RootIdentity>(r#"{"device":1,"inode":2}"#).expect("plain data"), root(1, 2, 0));
    }
}
