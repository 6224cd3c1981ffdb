//! The walk: a stack of open directories on one side, the known rows on the other, merged in preorder. Says only what
//! differs. Holds one directory's names per level, a bounded number of open directories, and a bounded number that helpers read
//! ahead.

use std::{
    collections::VecDeque,
    ffi::CStr,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    vec,
};

use super::{
    Found, Known, LOOKS, Out, Root, Rules, ScanError, Stopped, Trouble,
    ahead::{self, Errand, Helpers, Listing, Looks},
    company::Walker,
    dir::{self, Identity, Look, Names},
    root::IGNORE_NAME,
    rows::Rows,
    rules::Chain,
    sight::{self, Door, Sight, Station},
};
use crate::model::{Entry, Kind, Observation, RelPath};

/// Directories inside each other; what lies deeper is a problem, not walked.
pub(super) const DEEPEST: usize = 2_048;

/// So many directories stay open; those further up are opened again on the way back.
const MOST_OPEN: usize = 64;

/// So many of the innermost directories have those below them read ahead.
const NEAR: usize = 8;

/// So many directories of each are read ahead, and so many pieces of its names looked at.
const AHEAD: usize = 8;

/// A directory whose names are being gone through.
pub(super) struct Frame {
    station: Station,
    /// `None` while it is closed to save a descriptor; never for the frame that is on top.
    dir: Option<Arc<OwnedFd>>,
    identity: Identity,
    mode: u32,
    names: Arc<Names>,
    /// The number of the name that is to be visited next.
    next: usize,
    /// What is there and at the names behind it, as far as they were looked at.
    looks: vec::IntoIter<io::Result<Option<Look>>>,
    /// The pieces after these.
    pieces: VecDeque<Errand<Looks>>,
    /// The directories among the names that were looked at, by number. Some of the first are asked for already.
    coming: VecDeque<(usize, Option<Errand<io::Result<Listing>>>)>,
    /// The rules for its names.
    rules: Chain,
    /// It could not be gone through to the end: what is left of its rows stays as it is.
    lost: bool,
}

/// A name, and what was found there.
struct Named {
    number: usize,
    look: io::Result<Option<Look>>,
    /// Where it is a directory that was asked for.
    errand: Option<Errand<io::Result<Listing>>>,
}

impl Frame {
    /// A directory that was read; `outer` are the rules of the directory that holds it. Also what is wrong with the lines of its
    /// ignore file.
    fn read(listing: Listing, station: Station, outer: &Chain) -> Result<(Self, Vec<Trouble>), Trouble> {
        let Listing { dir, identity, mode, names, looks, .. } = listing;
        let (rules, troubles) = if names.contains(IGNORE_NAME) {
            outer.enter(dir.as_fd(), station.path.as_ref()).map_err(Trouble::Rules)?
        } else {
            (outer.clone(), Vec::new())
        };
        let mut frame = Self::of(dir, station, names, rules, (identity, mode));
        frame.looked(looks);
        Ok((frame, troubles))
    }

    /// A directory of which only `name` is to be looked at; `rules` are its own.
    pub(super) fn one(dir: OwnedFd, station: Station, name: &CStr, rules: Chain) -> Result<Self, Trouble> {
        let found = dir::identity_and_mode(dir.as_fd())?;
        Ok(Self::of(Arc::new(dir), station, Arc::new(Names::one(name)), rules, found))
    }

    fn of(dir: Arc<OwnedFd>, station: Station, names: Arc<Names>, rules: Chain, (identity, mode): (Identity, u32)) -> Self {
        let (looks, pieces, coming) = (Vec::new().into_iter(), VecDeque::new(), VecDeque::new());
        Self { station, dir: Some(dir), identity, mode, names, next: 0, looks, pieces, coming, rules, lost: false }
    }

    fn path(&self) -> Option<&RelPath> {
        self.station.path.as_ref()
    }

    /// The next name.
    fn advance(&mut self) -> Option<Named> {
        if self.next == self.names.len() {
            return None;
        }
        if self.looks.len() == 0 {
            let looks = match self.pieces.pop_front() {
                Some(piece) => piece.take(),
                None => ahead::look(self.dir.as_deref()?, &self.names, self.next),
            };
            self.looked(looks);
        }
        let (number, look) = (self.next, self.looks.next()?);
        self.next += 1;
        let coming = self.coming.pop_front_if(|(coming, _)| *coming == number);
        Some(Named { number, look, errand: coming.and_then(|(_, errand)| errand) })
    }

    /// What is at the next names.
    fn looked(&mut self, looks: Looks) {
        for (number, look) in (self.next..).zip(&looks) {
            if matches!(look, Ok(Some(Look::Dir { .. })))
                && RelPath::child(self.path(), self.names.get(number).to_bytes())
                    .is_ok_and(|path| !self.rules.ignored(&path, Kind::Dir))
            {
                self.coming.push_back((number, None));
            }
        }
        self.looks = looks.into_iter();
    }

    /// Has some of what comes next looked at already.
    fn look_ahead(&mut self, helpers: &mut Helpers<'_, '_>) {
        let Some(dir) = &self.dir else { return };
        while self.pieces.len() < AHEAD {
            let first = self.next + self.looks.len() + self.pieces.len() * ahead::PIECE;
            if first >= self.names.len() {
                break;
            }
            self.pieces.push_back(helpers.ask_looks(dir, self.identity, &self.names, first));
        }
        for (number, errand) in self.coming.iter_mut().take(AHEAD) {
            errand.get_or_insert_with(|| helpers.ask_directory(dir, &self.names, *number));
        }
    }

    /// Gives back what was read of the directories below it: it is far.
    fn forget(&mut self) {
        self.coming.iter_mut().take(AHEAD).for_each(|(_, errand)| *errand = None);
    }
}

/// Walks the whole tree.
pub(super) fn everything<K: Known>(
    root: &Root,
    rules: &Rules,
    known: &mut K,
    helpers: &mut Helpers<'_, '_>,
    out: &mut Out<'_>,
) -> Result<(), ScanError<K::Error>> {
    let listing = root.reopen().and_then(|dir| ahead::list(dir, helpers.walker())).map_err(Trouble::from);
    let read = listing.and_then(|listing| Frame::read(listing, Station::root(), &rules.chain()));
    match read {
        Err(trouble) => Ok(out.problem(None, trouble)?),
        Ok((frame, troubles)) => {
            out.summary.root_empty = frame.names.len() == 0;
            remark(None, troubles, out)?;
            from(root, frame, &[], known.under(None), helpers, out)
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
    helpers: &mut Helpers<'_, '_>,
    out: &mut Out<'_>,
) -> Result<(), ScanError<E>> {
    let walker = Arc::clone(helpers.walker());
    let mut walk = Walk { root, above, rows: Rows::new(rows), out, walker, stack: vec![frame] };
    walk.look_ahead(helpers);
    while let Some(frame) = walk.stack.last_mut() {
        match frame.advance() {
            Some(named) => {
                let news = walk.visit(named)?;
                if news || walk.stack.last().is_some_and(|frame| frame.looks.len() == 0) {
                    walk.look_ahead(helpers);
                }
            }
            None => walk.leave()?,
        }
    }
    Ok(())
}

/// What came of a name.
enum Taken {
    /// All that is to be said of it was said; it may have been gone into.
    Over { entered: bool },
    /// It could not be looked at; or into, if it is this directory.
    Barred(Trouble, Option<Identity>),
}

impl Taken {
    const OVER: Self = Self::Over { entered: false };
}

struct Walk<'w, 's, I, E> {
    root: &'w Root,
    above: &'w [Identity],
    rows: Rows<I, E>,
    out: &'w mut Out<'s>,
    walker: Arc<Walker>,
    stack: Vec<Frame>,
}

impl<I: Iterator<Item = Result<(RelPath, Entry), E>>, E> Walk<'_, '_, I, E> {
    /// Has the helpers look ahead.
    fn look_ahead(&mut self, helpers: &mut Helpers<'_, '_>) {
        if helpers.any() {
            self.stack.iter_mut().rev().take(NEAR).for_each(|frame| frame.look_ahead(helpers));
        }
    }

    /// Takes one name of the topmost directory. Whether it is a directory that was gone into.
    fn visit(&mut self, named: Named) -> Result<bool, ScanError<E>> {
        let Named { number, look, mut errand } = named;
        let Self { rows, out, stack, .. } = self;
        let Some((frame, dir)) = stack.last().and_then(|frame| Some((frame, frame.dir.clone()?))) else { return Ok(false) };
        let path = match RelPath::child(frame.path(), frame.names.get(number).to_bytes()) {
            Ok(path) => path,
            Err(error) => {
                out.problem(frame.path().cloned(), error.into())?;
                return Ok(false);
            }
        };
        while let Some(row) = rows.take_before(&path).map_err(ScanError::Known)? {
            vanished(frame, row, rows, out)?;
        }
        let names = Arc::clone(&frame.names);
        let mut look = match look {
            Ok(Some(look)) => look,
            // Removed since the names were read; its row vanishes with the next one.
            Ok(None) => return Ok(false),
            Err(error) => return self.barred(path, None, error.into()),
        };
        let mut looks = 1;
        loop {
            let (trouble, identity) = match self.take(&dir, names.get(number), &path, look, errand.take())? {
                Taken::Over { entered } => return Ok(entered),
                Taken::Barred(trouble, identity) => (trouble, identity),
            };
            match dir::look(dir.as_fd(), names.get(number)) {
                // Removed in between.
                Ok(None) => return Ok(false),
                Ok(Some(now)) if now != look || trouble.tells_of_change() => {
                    if looks == LOOKS {
                        return self.barred(path, None, Trouble::Restless(trouble.into()));
                    }
                    looks += 1;
                    look = now;
                }
                _ => return self.barred(path, identity, trouble),
            }
        }
    }

    /// Takes `name` in the topmost directory, `dir`, for what was seen there. Nothing is told if that does not work.
    fn take(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        path: &RelPath,
        look: Look,
        errand: Option<Errand<io::Result<Listing>>>,
    ) -> Result<Taken, ScanError<E>> {
        let Self { root, above, rows, out, walker, stack } = self;
        let Some(frame) = stack.last() else { return Ok(Taken::OVER) };
        let holds = |identity| above.contains(&identity) || stack.iter().any(|frame| frame.identity == identity);
        let (sight, through) = match sight::take(root, dir, &frame.station, name, look, holds) {
            Ok(taken) => taken,
            Err(error) => return Ok(Taken::Barred(error.into(), None)),
        };
        if let Some(through) = through {
            out.push(Found::Link { path: path.clone(), through })?;
        }
        let kind = if matches!(sight, Sight::Dir { .. }) { Kind::Dir } else { Kind::File };
        if frame.rules.ignored(path, kind) {
            out.summary.skipped.ignored += 1;
            if rows.skip_within(Some(path)).map_err(ScanError::Known)? {
                out.seen(Observation::Ignored(path.clone()))?;
            }
            return Ok(Taken::OVER);
        }
        let modes = root.view().modes;
        match sight {
            Sight::Skipped(why) => out.skip(why),
            Sight::File { print, mode } => {
                out.summary.files += 1;
                out.summary.bytes = out.summary.bytes.saturating_add(print.size);
                here(path, Entry::File { print, digest: None, mode: modes.of_file(mode) }, rows, out)?;
                nothing_below(path, rows, out)?;
            }
            Sight::Link { target } => {
                out.summary.links += 1;
                here(path, Entry::Link { target }, rows, out)?;
                nothing_below(path, rows, out)?;
            }
            Sight::Dir { identity, .. } if path.components().count() > DEEPEST => {
                return Ok(Taken::Barred(Trouble::TooDeep, Some(identity)));
            }
            Sight::Dir { at, identity } => {
                let listing = match (errand, at) {
                    (Some(errand), Door::Here) => errand.take().map(|listing| (listing, frame.station.below(name, path.clone()))),
                    (_, at) => sight::enter(dir, &frame.station, name, path.clone(), at)
                        .and_then(|(opened, station)| Ok((ahead::list(opened, walker)?, station))),
                };
                let read = listing.map_err(Trouble::from).and_then(|(listing, at)| Frame::read(listing, at, &frame.rules));
                let (child, troubles) = match read {
                    Ok(read) => read,
                    Err(trouble) => return Ok(Taken::Barred(trouble, Some(identity))),
                };
                out.summary.dirs += 1;
                let entry = Entry::Dir { inode: child.identity.inode, mode: modes.of_dir(child.mode) };
                here(path, entry, rows, out)?;
                remark(Some(path), troubles, out)?;
                self.enter(child);
                return Ok(Taken::Over { entered: true });
            }
        }
        Ok(Taken::OVER)
    }

    /// What is at `path` could not be looked at, or into, if it is a directory: what is known there stays as it is. Never gone into.
    fn barred(&mut self, path: RelPath, directory: Option<Identity>, trouble: Trouble) -> Result<bool, ScanError<E>> {
        let Self { rows, out, .. } = self;
        if let Some(identity) = directory {
            out.summary.dirs += 1;
            // Its permissions are not known; those that were seen last count on.
            let known = rows.peek(&path).and_then(|entry| entry.mode());
            here(&path, Entry::Dir { inode: identity.inode, mode: known }, rows, out)?;
        }
        rows.skip_within(Some(&path)).map_err(ScanError::Known)?;
        out.problem(Some(path), trouble)?;
        Ok(false)
    }

    /// Goes down; the bottom of the stack stays open whatever happens.
    fn enter(&mut self, child: Frame) {
        self.stack.push(child);
        if let Some(far) = self.stack.len().checked_sub(MOST_OPEN + 1).filter(|far| *far > 0) {
            self.stack[far].dir = None;
        }
        if let Some(far) = self.stack.len().checked_sub(NEAR + 1) {
            self.stack[far].forget();
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
        frame.dir = up.or_else(|| root.open_dir(frame.path()).ok().filter(same)).map(Arc::new);
        if frame.dir.is_none() {
            frame.lost = true;
            (frame.next, frame.looks) = (frame.names.len(), Vec::new().into_iter());
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
