//! Where a symbolic link leads. It is found out component by component from the open root, each looked up by itself and none
//! followed by the kernel, so that a link that is swapped meanwhile leads nowhere else: what is opened lies below the root.
//! `openat2` with `RESOLVE_BENEATH` promises the same, but only Linux has it, it is barred in some containers, and it does
//! not say which names it went by, which the watcher's side needs.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, OwnedFd},
};

use super::{
    LOOKS, Root,
    dir::{self, Look},
    root::c_name,
};
use crate::model::RelPath;

/// Followed links inside each other; with more, a few directories full of links to each other would be walked for ever.
pub(super) const MOST_NESTED: u8 = 4;
/// Links on the way to one thing, as the kernel has it (ELOOP).
const MOST_HOPS: usize = 40;

/// What resolving came to.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) end: End,
    /// What it depends on: every link that was passed, and where it ended.
    pub(super) passed: Vec<RelPath>,
}

#[derive(Debug)]
pub(super) enum End {
    /// A directory; where it lies without any link, `None` is the root.
    Dir { dir: OwnedFd, real: Option<RelPath> },
    /// Something else, called `name` in `dir`.
    Leaf { dir: OwnedFd, name: CString, look: Look },
    /// Nothing is there.
    Missing,
    /// It leads out of the root.
    Outside,
    /// Too many links.
    Looping,
}

/// Where `path`, from the directory `from` (which is no link, nor below one), leads; a link at its end is followed.
pub(super) fn resolve(root: &Root, from: Option<&RelPath>, path: &[u8]) -> io::Result<Trail> {
    let mut passed = Vec::new();
    for _ in 0..LOOKS {
        passed.clear();
        match walk(root, from, path, &mut passed) {
            // Something was moved meanwhile: what had been a link is none any more, and so on.
            Err(error) if dir::tells_of_change(&error) => {}
            walked => return Ok(Trail { end: walked?, passed }),
        }
    }
    Ok(Trail { end: End::Missing, passed })
}

fn walk(root: &Root, from: Option<&RelPath>, path: &[u8], passed: &mut Vec<RelPath>) -> io::Result<End> {
    let mut todo: Vec<Vec<u8>> = Vec::new();
    let prepend = |todo: &mut Vec<Vec<u8>>, path: &[u8]| todo.extend(path.rsplit(|b| *b == b'/').map(<[u8]>::to_vec));
    prepend(&mut todo, path);
    let (mut at, mut dir) = (from.cloned(), root.open_real(from)?);
    let mut hops = 0;
    while let Some(name) = todo.pop() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                let Some(inner) = at.take() else { return Ok(End::Outside) };
                at = inner.parent();
                dir = root.open_real(at.as_ref())?;
                continue;
            }
            _ => {}
        }
        let path = RelPath::child(at.as_ref(), &name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let name = c_name(&name)?;
        match dir::look(dir.as_fd(), &name)? {
            None => {
                passed.push(path);
                return Ok(End::Missing);
            }
            Some(Look::Symlink) => {
                hops += 1;
                if hops > MOST_HOPS {
                    return Ok(End::Looping);
                }
                passed.push(path);
                let target = dir::read_link(dir.as_fd(), &name)?;
                match root.within(&target) {
                    Within::Relative => prepend(&mut todo, &target),
                    Within::Below(rest) => {
                        (at, dir) = (None, root.open_real(None)?);
                        prepend(&mut todo, rest);
                    }
                    Within::Outside => return Ok(End::Outside),
                }
            }
            Some(Look::Dir { .. }) => {
                let opened = dir::open_dir(dir.as_fd(), &name);
                if opened.is_err() {
                    passed.push(path.clone());
                }
                dir = opened?;
                at = Some(path);
            }
            Some(look) => {
                passed.push(path);
                let last = todo.iter().all(|name| matches!(name.as_slice(), b"" | b"."));
                return Ok(if last { End::Leaf { dir, name, look } } else { End::Missing });
            }
        }
    }
    passed.extend(at.clone());
    Ok(End::Dir { dir, real: at })
}

/// What the target of a link is to a root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Within<'t> {
    /// It says where to go from the link.
    Relative,
    /// It is absolute and names this below the root.
    Below(&'t [u8]),
    /// It is absolute and names something else.
    Outside,
}

/// Whether a link at `path` that holds `target` means the same in a copy of the tree that lies elsewhere: it is relative,
/// and does not lead out.
pub fn travels(path: &RelPath, target: &[u8]) -> bool {
    let mut depth = path.components().count() - 1;
    !target.is_empty()
        && !target.starts_with(b"/")
        && target.split(|b| *b == b'/').all(|name| match name {
            b"" | b"." => true,
            b".." => {
                let inside = depth > 0;
                depth = depth.saturating_sub(1);
                inside
            }
            _ => {
                depth += 1;
                true
            }
        })
}
