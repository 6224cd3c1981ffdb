//! What is at a name, as the mirror takes it: a symbolic link is followed, taken as it is or left out. Reads no directory.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, OwnedFd},
};

use super::{
    Root, Symlinks,
    dir::{self, Identity, Look},
    links::{self, End, MOST_NESTED},
};
use crate::model::{Digest, Fingerprint, RelPath};

/// A directory on the way down: where it lies and what is above it.
#[derive(Clone, Debug)]
pub(super) struct Station {
    /// Where it is mirrored; `None` is the root.
    pub(super) path: Option<RelPath>,
    /// Where it lies without any link; the same, unless a link was followed.
    pub(super) real: Option<RelPath>,
    /// How many links were followed to it.
    pub(super) links: u8,
}

impl Station {
    pub(super) fn root() -> Self {
        Self { path: None, real: None, links: 0 }
    }

    /// The directory called `name` in this one, which is mirrored at `path`.
    pub(super) fn below(&self, name: &CStr, path: RelPath) -> Self {
        // Only where a link was followed are the two paths different.
        let real = match (&self.real, self.links) {
            (_, 0) => Some(path.clone()),
            (real, _) => RelPath::child(real.as_ref(), name.to_bytes()).ok(),
        };
        Self { path: Some(path), real, links: self.links }
    }
}

/// What is at a name.
#[derive(Debug)]
pub(super) enum Sight {
    File { print: Fingerprint, mode: u32 },
    Dir { at: Door, identity: Identity },
    Link { target: Digest },
    Skipped(Skip),
}

/// Where a directory is to be opened.
#[derive(Debug)]
pub(super) enum Door {
    /// By its own name.
    Here,
    /// A link led there; it lies at this path.
    There(OwnedFd, Option<RelPath>),
}

/// Why something is not mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Symlink,
    Outside,
    Dangling,
    Looping,
    Socket,
    Fifo,
    Device,
}

/// What a look came to, and what a followed link led through.
type Seen<S> = io::Result<(S, Option<Vec<RelPath>>)>;

/// Looks at `name` in the directory `dir`, which is at `station`. `above` says whether a directory is `station` or one that
/// holds it.
pub(super) fn look(
    root: &Root,
    dir: &OwnedFd,
    station: &Station,
    name: &CStr,
    above: impl Fn(Identity) -> bool,
) -> Seen<Option<Sight>> {
    let Some(look) = dir::look(dir.as_fd(), name)? else { return Ok((None, None)) };
    let (sight, through) = take(root, dir, station, name, look, above)?;
    Ok((Some(sight), through))
}

/// What to take `look`, which is at `name`, for; else as [`look`]. An error may tell of a change since.
pub(super) fn take(
    root: &Root,
    dir: &OwnedFd,
    station: &Station,
    name: &CStr,
    look: Look,
    above: impl Fn(Identity) -> bool,
) -> Seen<Sight> {
    match (look, root.view().symlinks) {
        (Look::Symlink, Symlinks::Link) => {
            let target = dir::read_link(dir.as_fd(), name)?;
            Ok((Sight::Link { target: Digest(*blake3::hash(&target).as_bytes()) }, None))
        }
        (Look::Symlink, Symlinks::Follow) => {
            let trail = links::resolve(root, station.real.as_ref(), name.to_bytes())?;
            let sight = match trail.end {
                End::Missing => Sight::Skipped(Skip::Dangling),
                End::Outside => Sight::Skipped(Skip::Outside),
                End::Looping => Sight::Skipped(Skip::Looping),
                End::Leaf { look, .. } => plain(look),
                End::Dir { dir, real } => {
                    let identity = dir::identity(dir.as_fd())?;
                    if above(identity) || station.links >= MOST_NESTED {
                        Sight::Skipped(Skip::Looping)
                    } else {
                        Sight::Dir { at: Door::There(dir, real), identity }
                    }
                }
            };
            Ok((sight, Some(trail.passed)))
        }
        (look, _) => Ok((plain(look), None)),
    }
}

/// Opens a directory that was seen as `name`, and tells where it is.
pub(super) fn enter(dir: &OwnedFd, station: &Station, name: &CStr, path: RelPath, at: Door) -> io::Result<(OwnedFd, Station)> {
    match at {
        Door::Here => Ok((dir::open_dir(dir.as_fd(), name)?, station.below(name, path))),
        Door::There(opened, real) => {
            let links = station.links.saturating_add(1);
            Ok((dir::reopen(opened.as_fd())?, Station { path: Some(path), real, links }))
        }
    }
}

fn plain(look: Look) -> Sight {
    match look {
        Look::File { print, mode } => Sight::File { print, mode },
        Look::Dir { identity, .. } => Sight::Dir { at: Door::Here, identity },
        Look::Symlink => Sight::Skipped(Skip::Symlink),
        Look::Socket => Sight::Skipped(Skip::Socket),
        Look::Fifo => Sight::Skipped(Skip::Fifo),
        Look::Device => Sight::Skipped(Skip::Device),
    }
}
