//! What is to be done on the server, the promise of it (a job), and what came of it.

use super::{Digest, Entry, Fingerprint, Kind, Mode, Problem, RelPath, UnixMillis};

/// One change of the server's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make a directory.
    MakeDir {
        /// Where.
        path: RelPath,
        /// The local directory's inode.
        inode: u64,
        /// The permissions it is to have.
        mode: Option<Mode>,
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
        /// The permissions it is to have.
        mode: Option<Mode>,
        /// Where the server has this content already, or the beginning of it: that need not be sent if the server can copy it.
        like: Option<Like>,
    },
    /// Make a symbolic link: under a temporary name, then rename over `path`.
    Link {
        /// Where.
        path: RelPath,
        /// Of the bytes that the local link holds.
        target: Digest,
    },
    /// Set the permissions of a file or directory that is on the server as it is here.
    SetMode {
        /// Where.
        path: RelPath,
        /// Which.
        mode: Mode,
    },
    /// Remove a file or a link.
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
        /// The name it has on the server; in the trash, where it was removed.
        from: RelPath,
        /// The name it shall have; a file of that name is replaced.
        to: RelPath,
        /// The local file at `to`.
        print: Fingerprint,
        /// Its content, where known; of what lies in the trash it is.
        digest: Option<Digest>,
        /// The permissions it is to have.
        mode: Option<Mode>,
        /// Whether the copy has another time of modification than the local file.
        retime: bool,
    },
    /// Rename a directory that the server has under another name, with all that is in it. Where that cannot be, it is made
    /// under the new name, and what is in it moves by itself.
    RenameDir {
        /// The name it has on the server.
        from: RelPath,
        /// The name it shall have, which nothing has.
        to: RelPath,
        /// The local directory's inode.
        inode: u64,
    },
    /// Rename files, or directories with all that is in them, whose names went round: what is at `path` gets the first of the
    /// `others`, each of these the next one, and the last one gets `path`, over the job's temporary name. No name is missing for
    /// longer than it takes the server to rename.
    Rotate {
        /// The first of the names.
        path: RelPath,
        /// The rest of them, in turn.
        others: Vec<RelPath>,
        /// What all of them are.
        kind: Kind,
        /// Bytes in the files, where these are files.
        bytes: u64,
    },
    /// Move a file or a link to the trash.
    Trash {
        /// Where it is.
        path: RelPath,
        /// Where it goes, in the trash.
        place: RelPath,
    },
    /// Copy the version of a file that is about to be replaced to the trash, where the server can: the file itself stays
    /// where it is.
    Keep {
        /// Where it is.
        path: RelPath,
        /// Where the copy goes, in the trash.
        place: RelPath,
        /// The local file's state when this version was sent.
        print: Fingerprint,
        /// Its content, if the local file may have the same still: then nothing is replaced.
        unless: Option<Digest>,
    },
    /// Put a file or a link back from the trash, if there is nothing in its place.
    Restore {
        /// Where it is, in the trash.
        place: RelPath,
        /// Where it goes.
        path: RelPath,
    },
    /// Put an old version back from the trash over the file at its path, of which a copy is in the trash as well: the name is
    /// never missing.
    Revert {
        /// Where the old version is, in the trash.
        place: RelPath,
        /// Where it goes.
        path: RelPath,
        /// The local file's state when the version was sent that it takes the place of.
        over: Fingerprint,
    },
    /// Remove something from the trash: a file or a link, or an empty directory of it.
    Expire {
        /// Where it is, in the trash.
        place: RelPath,
        /// A directory, or something else.
        kind: Kind,
    },
}

/// A file on the server with the content that another one is to have; or, where it is the file itself, with the beginning of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Like {
    /// Where it is.
    pub path: RelPath,
    /// What it holds.
    pub digest: Digest,
    /// The other mirror whose path that is; `None`: it is this one's.
    pub beside: Option<Box<Beside>>,
}

/// Another mirror on the same server, by the same account, as far as a file in it is to be found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its name.
    pub mirror: String,
    /// Its directory, absolute.
    pub base: Vec<u8>,
    /// What is recorded of the file there.
    pub print: Fingerprint,
}

impl Like {
    /// Whether it is `path` of this mirror.
    pub fn is_at(&self, path: &RelPath) -> bool {
        self.beside.is_none() && self.path == *path
    }
}

/// Where it is; in another mirror with the name of that.
impl std::fmt::Display for Like {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.beside {
            Some(beside) => write!(f, "{}:{}", beside.mirror, self.path),
            None => write!(f, "{}", self.path),
        }
    }
}

impl Operation {
    /// The path that the operation fills or vacates; for a rename the new name (of those that go round the first), and never the one in
    /// the trash if there is another.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::MakeDir { path, .. }
            | Self::Put { path, .. }
            | Self::Link { path, .. }
            | Self::SetMode { path, .. }
            | Self::RemoveFile { path }
            | Self::RemoveDir { path }
            | Self::Rotate { path, .. }
            | Self::Trash { path, .. }
            | Self::Keep { path, .. }
            | Self::Restore { path, .. }
            | Self::Revert { path, .. }
            | Self::Expire { place: path, .. } => path,
            Self::Rename { to, .. } | Self::RenameDir { to, .. } => to,
        }
    }

    /// Every path that the operation touches: one, or two where something is renamed or copied, or all that go round.
    pub fn touches(&self) -> impl Iterator<Item = &RelPath> {
        let others = if let Self::Rotate { others, .. } = self { others.as_slice() } else { &[] };
        let from = match self {
            Self::Rename { from, .. } | Self::RenameDir { from, .. } => Some(from),
            Self::Trash { place, .. } | Self::Keep { place, .. } | Self::Restore { place, .. } | Self::Revert { place, .. } => {
                Some(place)
            }
            _ => None,
        };
        std::iter::once(self.path()).chain(from).chain(others)
    }

    /// The path of this mirror that the operation reads on the server, and leaves as it is.
    pub fn reads(&self) -> Option<&RelPath> {
        match self {
            Self::Put { like: Some(Like { path, beside: None, .. }), .. } => Some(path),
            _ => None,
        }
    }

    /// Of a put what it may be copied from.
    pub fn like(&self) -> Option<&Like> {
        if let Self::Put { like, .. } = self { like.as_ref() } else { None }
    }

    /// Every path of which it matters what is recorded: what is touched, then what is read.
    pub fn regards(&self) -> impl Iterator<Item = &RelPath> {
        self.touches().chain(self.reads())
    }

    /// The path at which something is to be that was not there, or not like this.
    pub fn fills(&self) -> Option<&RelPath> {
        match self {
            Self::MakeDir { path, .. } | Self::Put { path, .. } | Self::Link { path, .. } => Some(path),
            Self::Rename { to, .. } | Self::RenameDir { to, .. } => Some(to),
            Self::Restore { path, .. } | Self::Revert { path, .. } => Some(path),
            // Something is at each of the names.
            Self::Rotate { .. }
            | Self::SetMode { .. }
            | Self::RemoveFile { .. }
            | Self::RemoveDir { .. }
            | Self::Trash { .. }
            | Self::Keep { .. }
            | Self::Expire { .. } => None,
        }
    }

    /// Whether it takes something off the server without putting it elsewhere (but in the trash).
    pub fn removes(&self) -> bool {
        matches!(self, Self::RemoveFile { .. } | Self::RemoveDir { .. } | Self::Trash { .. } | Self::Expire { .. })
    }

    /// A rename that changes nothing but the case of letters.
    pub fn is_change_of_case(&self) -> bool {
        matches!(self, Self::Rename { from, to, .. } if from.folded() == to.folded())
    }

    /// The verb, for logs and `plan`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::MakeDir { .. } => "make directory",
            Self::Put { .. } => "put",
            Self::Link { .. } => "link",
            Self::SetMode { .. } => "set permissions of",
            Self::RemoveFile { .. } => "remove",
            Self::RemoveDir { .. } => "remove directory",
            Self::Rename { .. } => "rename",
            Self::RenameDir { .. } => "rename directory",
            Self::Rotate { others, .. } if others.len() == 1 => "swap",
            Self::Rotate { .. } => "rename in turn",
            Self::Trash { .. } => "move to the trash",
            Self::Keep { .. } => "keep the old version of",
            Self::Restore { .. } => "put back",
            Self::Revert { .. } => "put back an old version of",
            Self::Expire { .. } => "remove from the trash",
        }
    }
}

/// So many names go round at most: their renames are one flight.
pub const MOST_ROTATED: usize = 15;

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
    /// The temporary name that a put or a link goes to, a change of case may go through, and one of those whose names go round does; in
    /// the directory of its path.
    pub temp: Option<RelPath>,
}

/// A job of a mirror that publishes together, as it is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The job; of a put, the file as it was when it was read.
    pub job: Job,
    /// The content under its temporary name.
    pub digest: Option<Digest>,
    /// Its place in the run of renames that has begun; 0: no run that it is in has.
    pub step: u32,
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
    /// Just as the operation says, which is no put.
    AsPlanned,
    /// A file's content is on the server under the job's temporary name, proven; the job stays until it is published.
    Staged {
        /// The local file as it was when it was read.
        print: Fingerprint,
        /// What was read.
        digest: Digest,
        /// Bytes of body that were sent.
        sent: u64,
    },
    /// Of a version that was to be kept: it is not, and whatever replaces it need not wait.
    NotKept,
    /// Of a directory that was to be renamed: it was made under its new name, and the old one has what is in it.
    NotMoved,
    /// A file is on the server with this content.
    Holds {
        /// The local file as it was when it was read.
        print: Fingerprint,
        /// What was read.
        digest: Digest,
        /// Bytes of body that were sent; 0 when the server had it already.
        sent: u64,
        /// How it came there.
        how: How,
    },
}

/// How a file came to be on the server as it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was sent; in a release, or after it was cut off, perhaps not all of it.
    Sent,
    /// It was there under its name.
    Unchanged,
    /// It was copied there, from another name.
    Copied,
    /// It was copied there, and what is new was added to the copy.
    Appended,
    /// It was copied there, and what had changed was written over in the copy.
    Patched {
        /// So many chunks of it were sent,
        chunks: u32,
        /// of so many.
        of: u32,
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
    /// File, directory or link.
    pub kind: Kind,
    /// Bytes, for a file.
    pub size: Option<u64>,
}

/// A copy on the server, as it is compared with what is recorded of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerCopy {
    /// File, directory or link.
    pub kind: Kind,
    /// Bytes, for a file.
    pub size: Option<u64>,
    /// Last modification in whole seconds since the Unix epoch, where the server says so.
    pub modified: Option<i64>,
}

impl Stat {
    /// As an entry of the recorded side: known to be there, not known to be equal to anything here.
    pub fn to_entry(self) -> Entry {
        match self.kind {
            Kind::Dir => Entry::dir(0),
            Kind::File => Entry::file(Fingerprint::unknown(self.size.unwrap_or(0)), None),
            Kind::Link => Entry::Link { target: Digest([0; 32]) },
        }
    }
}
