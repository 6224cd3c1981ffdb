//! The walk: a stack of open directories on one side, the known rows on the other, merged in preorder. Says only what
//! differs. Holds one directory's names per level, and a bounded number of open directories.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, OwnedFd},
    vec,
};

use super::{
    Found, Known, Out, Root, Rules, ScanError, Stopped, Trouble,
    dir::{self, Identity},
    root::IGNORE_NAME,
    rows::Rows,
    rules::Chain,
    sight::{self, Sight, Station},
};
use crate::model::{Entry, Kind, Observation, RelPath};

/// Directories inside each other; what lies deeper is a problem, not walked.
pub(super) const DEEPEST: usize = 2_048;

/// So many directories stay open; those further up are opened again on the way back.
const MOST_OPEN: usize = 64;

/// A directory whose names are being gone through.
pub(super) struct Frame {
    station: Station,
    /// `None` while it is closed to save a descriptor; never for the frame that is on top.
    dir: Option<OwnedFd>,
    identity: Identity,
    mode: u32,
    /// The names that are still to be looked at.
    names: vec::IntoIter<CString>,
    /// The rules for its names.
    rules: Chain,
    /// It could not be gone through to the end: what is left of its rows stays as it is.
    lost: bool,
}

impl Frame {
    /// A directory that was just opened, with all its names; `outer` are the rules of the directory that holds it. Also what
    /// is wrong with the lines of its ignore file.
    fn read(dir: OwnedFd, station: Station, outer: &Chain) -> Result<(Self, Vec<Trouble>), Trouble> {
        let names = dir::names(dir.as_fd())?;
        let (rules, troubles) = match names.binary_search_by(|name| name.as_c_str().cmp(IGNORE_NAME)) {
            Ok(_) => outer.enter(dir.as_fd(), station.path.as_ref()).map_err(Trouble::Rules)?,
            Err(_) => (outer.clone(), Vec::new()),
        };
        Ok((Self::of(dir, station, names, rules)?, troubles))
    }

    /// A directory of which only `name` is to be looked at; `rules` are its own.
    pub(super) fn one(dir: OwnedFd, station: Station, name: CString, rules: Chain) -> Result<Self, Trouble> {
        Self::of(dir, station, vec![name], rules)
    }

    fn of(dir: OwnedFd, station: Station, names: Vec<CString>, rules: Chain) -> Result<Self, Trouble> {
        let (identity, mode) = dir::identity_and_mode(dir.as_fd())?;
        Ok(Self { station, dir: Some(dir), identity, mode, names: names.into_iter(), rules, lost: false })
    }

    fn path(&self) -> Option<&RelPath> {
        self.station.path.as_ref()
    }
}

/// Walks the whole tree.
pub(super) fn everything<K: Known>(
    root: &Root,
    rules: &Rules,
    known: &mut K,
    out: &mut Out<'_>,
) -> Result<(), ScanError<K::Error>> {
    let read = root.reopen().map_err(Trouble::from).and_then(|dir| Frame::read(dir, Station::root(), &rules.chain()));
    match read {
        Err(trouble) => Ok(out.problem(None, trouble)?),
        Ok((frame, troubles)) => {
            out.summary.root_empty = frame.names.len() == 0;
            remark(None, troubles, out)?;
            from(root, frame, &[], known.under(None), out)
        }
    }
}

/// Walks what `frame` names, and compares it with `rows`: all that is known there, and nothing else. `above` are the
/// directories that hold it.
pub(super) fn from<E>(
    root: &Root,
    frame: Frame,
    above: &[Identity],
    rows: impl Iterator<Item = Result<(RelPath, Entry), E>>,
    out: &mut Out<'_>,
) -> Result<(), ScanError<E>> {
    let mut walk = Walk { root, above, rows: Rows::new(rows), out, stack: vec![frame] };
    while let Some(frame) = walk.stack.last_mut() {
        match frame.names.next() {
            Some(name) => walk.visit(&name)?,
            None => walk.leave()?,
        }
    }
    Ok(())
}

struct Walk<'w, 's, I, E> {
    root: &'w Root,
    above: &'w [Identity],
    rows: Rows<I, E>,
    out: &'w mut Out<'s>,
    stack: Vec<Frame>,
}

impl<I: Iterator<Item = Result<(RelPath, Entry), E>>, E> Walk<'_, '_, I, E> {
    /// Looks at one name of the topmost directory.
    fn visit(&mut self, name: &CStr) -> Result<(), ScanError<E>> {
        let Self { root, above, rows, out, stack } = self;
        let Some((frame, dir)) = stack.last().and_then(|frame| Some((frame, frame.dir.as_ref()?))) else { return Ok(()) };
        let path = match RelPath::child(frame.path(), name.to_bytes()) {
            Ok(path) => path,
            Err(error) => return Ok(out.problem(frame.path().cloned(), error.into())?),
        };
        while let Some(row) = rows.take_before(&path).map_err(ScanError::Known)? {
            vanished(frame, row, rows, out)?;
        }
        let holds = |identity| above.contains(&identity) || stack.iter().any(|frame| frame.identity == identity);
        let sight = match sight::look(root, dir, &frame.station, name, holds) {
            Ok((Some(sight), through)) => {
                if let Some(through) = through {
                    out.push(Found::Link { path: path.clone(), through })?;
                }
                sight
            }
            // Removed since the names were read; its row vanishes with the next one.
            Ok((None, _)) => return Ok(()),
            Err(error) => {
                rows.skip_within(Some(&path)).map_err(ScanError::Known)?;
                return Ok(out.problem(Some(path), error.into())?);
            }
        };
        let kind = if matches!(sight, Sight::Dir { .. }) { Kind::Dir } else { Kind::File };
        if frame.rules.ignored(&path, kind) {
            out.summary.skipped.ignored += 1;
            if rows.skip_within(Some(&path)).map_err(ScanError::Known)? {
                out.seen(Observation::Ignored(path))?;
            }
            return Ok(());
        }
        let modes = root.view().modes;
        match sight {
            Sight::Skipped(why) => out.skip(why),
            Sight::File { print, mode } => {
                out.summary.files += 1;
                out.summary.bytes = out.summary.bytes.saturating_add(print.size);
                here(&path, Entry::File { print, digest: None, mode: modes.of_file(mode) }, rows, out)?;
                nothing_below(&path, rows, out)?;
            }
            Sight::Link { target } => {
                out.summary.links += 1;
                here(&path, Entry::Link { target }, rows, out)?;
                nothing_below(&path, rows, out)?;
            }
            Sight::Dir { at, identity } => {
                let opened = if path.components().count() > DEEPEST {
                    Err(Trouble::TooDeep)
                } else {
                    let opened = sight::enter(dir, &frame.station, name, path.clone(), at).map_err(Trouble::from);
                    opened.and_then(|(opened, station)| Frame::read(opened, station, &frame.rules))
                };
                match opened {
                    Ok((child, troubles)) => {
                        out.summary.dirs += 1;
                        let entry = Entry::Dir { inode: child.identity.inode, mode: modes.of_dir(child.mode) };
                        here(&path, entry, rows, out)?;
                        remark(Some(&path), troubles, out)?;
                        self.enter(child);
                    }
                    // Removed in between.
                    Err(_) if matches!(dir::look(dir.as_fd(), name), Ok(None)) => {}
                    Err(trouble) => {
                        out.summary.dirs += 1;
                        // Its permissions are not known; those that were seen last count on.
                        let known = rows.peek(&path).and_then(|entry| entry.mode());
                        here(&path, Entry::Dir { inode: identity.inode, mode: known }, rows, out)?;
                        rows.skip_within(Some(&path)).map_err(ScanError::Known)?;
                        out.problem(Some(path), trouble)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes down; the bottom of the stack stays open whatever happens.
    fn enter(&mut self, child: Frame) {
        self.stack.push(child);
        if let Some(far) = self.stack.len().checked_sub(MOST_OPEN + 1).filter(|far| *far > 0) {
            self.stack[far].dir = None;
        }
    }

    /// Goes up: what is known in the topmost directory and was not met is not there.
    fn leave(&mut self) -> Result<(), ScanError<E>> {
        let Self { root, rows, out, stack, .. } = self;
        let Some(left) = stack.pop() else { return Ok(()) };
        if left.lost {
            rows.skip_within(left.path()).map_err(ScanError::Known)?;
        }
        while let Some(row) = rows.take_within(left.path()).map_err(ScanError::Known)? {
            vanished(&left, row, rows, out)?;
        }
        let Some(frame) = stack.last_mut().filter(|frame| frame.dir.is_none()) else { return Ok(()) };
        let same = |dir: &OwnedFd| dir::identity(dir.as_fd()).is_ok_and(|identity| identity == frame.identity);
        let up = left.dir.and_then(|dir| dir::open_dir(dir.as_fd(), c"..").ok()).filter(same);
        frame.dir = up.or_else(|| root.open_dir(frame.path()).ok().filter(same));
        if frame.dir.is_none() {
            frame.lost = true;
            frame.names = Vec::new().into_iter();
            // Told once, not for every directory above.
            if !left.lost {
                out.problem(frame.path().cloned(), Trouble::Moved)?;
            }
        }
        Ok(())
    }
}

/// What is at `path` is no directory (any more).
fn nothing_below<I: Iterator<Item = Result<(RelPath, Entry), E>>, E>(
    path: &RelPath,
    rows: &mut Rows<I, E>,
    out: &mut Out<'_>,
) -> Result<(), ScanError<E>> {
    while let Some((below, _)) = rows.take_within(Some(path)).map_err(ScanError::Known)? {
        rows.skip_within(Some(&below)).map_err(ScanError::Known)?;
        out.seen(Observation::Gone(below))?;
    }
    Ok(())
}

/// `entry` is at `path`.
fn here<I: Iterator<Item = Result<(RelPath, Entry), E>>, E>(
    path: &RelPath,
    entry: Entry,
    rows: &mut Rows<I, E>,
    out: &mut Out<'_>,
) -> Result<(), ScanError<E>> {
    let known = rows.take(path).map_err(ScanError::Known)?;
    if !known.is_some_and(|known| known.same(&entry)) {
        out.seen(Observation::Is(path.clone(), entry))?;
    }
    Ok(())
}

/// A row of something in or below the directory `frame` that was not met there. What counts is the topmost thing that is
/// missing, which the row's own path is unless the index lacks a directory.
fn vanished<I: Iterator<Item = Result<(RelPath, Entry), E>>, E>(
    frame: &Frame,
    (path, entry): (RelPath, Entry),
    rows: &mut Rows<I, E>,
    out: &mut Out<'_>,
) -> Result<(), ScanError<E>> {
    let start = frame.path().map_or(0, |dir| dir.as_bytes().len() + 1);
    let name = path.as_bytes()[start..].split(|b| *b == b'/').next().unwrap_or_default();
    let top = RelPath::child(frame.path(), name).unwrap_or_else(|_| path.clone());
    let kind = if top == path { entry.kind() } else { Kind::Dir };
    rows.skip_within(Some(&top)).map_err(ScanError::Known)?;
    out.seen(if frame.rules.ignored(&top, kind) { Observation::Ignored(top) } else { Observation::Gone(top) })?;
    Ok(())
}

/// Tells what is wrong with the lines of the ignore file in `dir`.
fn remark(dir: Option<&RelPath>, troubles: Vec<Trouble>, out: &mut Out<'_>) -> Result<(), Stopped> {
    let path = RelPath::child(dir, IGNORE_NAME.to_bytes()).ok();
    troubles.into_iter().try_for_each(|trouble| out.remark(path.clone(), trouble))
}
