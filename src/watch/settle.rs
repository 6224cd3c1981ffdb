//! Waits for quiet: hints and the time become what to look at, and when. Pure; no clock, no disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    time::Duration,
};

use tokio::time::Instant;

use super::Hint;
use crate::model::RelPath;

const LIMITS: Limits = Limits { in_directory: 1_000, in_all: 10_000 };
/// How many quiet windows a path that never holds still waits at most.
const PATIENCE: u32 = 10;
/// Directories below this depth are looked at together when there are too many paths.
const DEEPEST: usize = 32;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dirty {
    /// At these paths and below them; in preorder, none covered by another.
    Paths(Vec<RelPath>),
    /// At the whole tree.
    Everything,
}

impl Dirty {
    /// This and that.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (Self::Paths(mut paths), Self::Paths(others)) = (self, other) else { return Self::Everything };
        paths.extend(others);
        paths.sort_unstable();
        paths.dedup_by(|path, before| path.is_at_or_below(before));
        Self::Paths(paths)
    }
}

/// Hints that wait until their path has held still for the quiet window, or at the latest ten windows after the first
/// hint. Bounded: paths in great numbers are replaced by the directory that holds them, never dropped.
#[derive(Clone, Debug)]
pub struct Settle {
    quiet: Duration,
    limits: Limits,
    /// Where; `None` is the root, and then it is the only one. No key lies below one that is `whole`.
    waiting: BTreeMap<Option<RelPath>, Wait>,
    /// The same, by the moment of release.
    due: BTreeSet<(Instant, Option<RelPath>)>,
    /// How many of `waiting` each directory holds.
    children: HashMap<Option<RelPath>, usize>,
    /// How many of `waiting` are `whole`.
    wholes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    /// More paths than this in one directory, and the directory is looked at as a whole.
    in_directory: usize,
    /// More paths than this, and whole directories are looked at instead.
    in_all: usize,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    first: Instant,
    last: Instant,
    /// It stands for paths below it, and takes in further ones.
    whole: bool,
}

impl Settle {
    /// With this quiet window.
    pub fn new(quiet: Duration) -> Self {
        Self::with_limits(quiet, LIMITS)
    }

    fn with_limits(quiet: Duration, limits: Limits) -> Self {
        let (waiting, due, children) = (BTreeMap::new(), BTreeSet::new(), HashMap::new());
        Self { quiet, limits, waiting, due, children, wholes: 0 }
    }

    /// Notes a hint that was heard at `now`. Everything but [`Hint::Path`] makes the whole tree dirty.
    pub fn hear(&mut self, hint: Hint, now: Instant) {
        let wait = Wait { first: now, last: now, whole: false };
        match hint {
            Hint::Path(path) => self.add(Some(path), wait),
            Hint::Overflow | Hint::RootGone | Hint::Limited => self.take_in(None, wait),
        }
    }

    /// Notes again what could not be looked at; it is due one quiet window after `now`.
    pub fn push_back(&mut self, dirty: Dirty, now: Instant) {
        match dirty {
            Dirty::Everything => self.hear(Hint::Overflow, now),
            Dirty::Paths(paths) => paths.into_iter().for_each(|path| self.hear(Hint::Path(path), now)),
        }
    }

    /// When [`Self::take`] will have something; `None` if nothing waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether something waits at `path`, above it or below it.
    pub fn concerns(&self, path: &RelPath) -> bool {
        let key = Some(path.clone());
        let mut above = path.ancestors().map(Some).chain([None]);
        let from = (Bound::Included(key.clone()), Bound::Unbounded);
        self.waiting.range(from).next().is_some_and(|(first, _)| covers(&key, first))
            || above.any(|dir| self.waiting.contains_key(&dir))
    }

    /// How many paths wait (a directory that stands for many counts as one).
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes what is due at `now`; `None` if nothing is.
    pub fn take(&mut self, now: Instant) -> Option<Dirty> {
        let mut released = BTreeSet::new();
        while let Some((due, _)) = self.due.first() {
            if *due > now {
                break;
            }
            let Some((_, key)) = self.due.pop_first() else { break };
            self.forget(&key);
            released.insert(key);
        }
        let mut paths: Vec<RelPath> = Vec::new();
        for key in released {
            match key {
                None => return Some(Dirty::Everything),
                // Preorder: what covers it comes before it.
                Some(path) if paths.last().is_some_and(|last| path.is_at_or_below(last)) => {}
                Some(path) => paths.push(path),
            }
        }
        if paths.is_empty() { None } else { Some(Dirty::Paths(paths)) }
    }

    /// Adds `key`, or renews it, or whatever whole directory covers it; keeps the bounds.
    fn add(&mut self, key: Option<RelPath>, wait: Wait) {
        let key = self.covering(&key).unwrap_or(key);
        let parent = parent(&key);
        self.put(key, wait);
        if self.children.get(&parent).is_some_and(|n| *n > self.limits.in_directory) {
            self.take_in(parent, wait);
        }
        if self.waiting.len() > self.limits.in_all {
            self.condense();
        }
    }

    /// Adds or renews exactly `key`.
    fn put(&mut self, key: Option<RelPath>, mut wait: Wait) {
        if let Some(known) = self.waiting.get(&key).copied() {
            self.due.remove(&(self.due_of(known), key.clone()));
            self.wholes -= usize::from(known.whole);
            wait = known.and(wait);
        } else {
            *self.children.entry(parent(&key)).or_default() += 1;
        }
        self.wholes += usize::from(wait.whole);
        self.due.insert((self.due_of(wait), key.clone()));
        self.waiting.insert(key, wait);
    }

    /// Replaces everything at or below `dir` by `dir` as a whole.
    fn take_in(&mut self, dir: Option<RelPath>, mut wait: Wait) {
        let range = (Bound::Included(dir.clone()), Bound::Unbounded);
        let covered: Vec<_> =
            self.waiting.range(range).map(|(key, _)| key).take_while(|key| covers(&dir, key)).cloned().collect();
        for key in covered {
            if let Some(known) = self.waiting.get(&key).copied() {
                self.due.remove(&(self.due_of(known), key.clone()));
                self.forget(&key);
                wait = wait.and(known);
            }
        }
        self.add(dir, Wait { whole: true, ..wait });
    }

    /// Too many paths in all: cuts the deepest off until half of the bound is left, in the end at the root.
    fn condense(&mut self) {
        let deepest = self.waiting.keys().map(depth).max().unwrap_or(0);
        for most in (0..deepest.min(DEEPEST)).rev() {
            let mut fewer: BTreeMap<Option<RelPath>, Wait> = BTreeMap::new();
            for (key, wait) in &self.waiting {
                let (key, wait) = match cut(key, most) {
                    Some(dir) => (dir, Wait { whole: true, ..*wait }),
                    None => (key.clone(), *wait),
                };
                fewer.entry(key).and_modify(|known| *known = known.and(wait)).or_insert(wait);
            }
            if fewer.len() <= self.limits.in_all / 2 {
                *self = Self::with_limits(self.quiet, self.limits);
                fewer.into_iter().for_each(|(key, wait)| self.add(key, wait));
                return;
            }
        }
    }

    /// The whole directory that covers `key`.
    fn covering(&self, key: &Option<RelPath>) -> Option<Option<RelPath>> {
        if self.wholes == 0 {
            return None;
        }
        let is_whole = |dir: &Option<RelPath>| self.waiting.get(dir).is_some_and(|wait| wait.whole);
        let dirs = key.iter().flat_map(RelPath::ancestors).map(Some).chain([None]);
        dirs.into_iter().find(is_whole)
    }

    /// Takes `key` out of all but `due`.
    fn forget(&mut self, key: &Option<RelPath>) {
        if let Some(wait) = self.waiting.remove(key) {
            self.wholes -= usize::from(wait.whole);
        }
        let parent = parent(key);
        if let Some(n) = self.children.get_mut(&parent) {
            *n -= 1;
            if *n == 0 {
                self.children.remove(&parent);
            }
        }
    }

    fn due_of(&self, wait: Wait) -> Instant {
        (wait.last + self.quiet).min(wait.first + self.quiet * PATIENCE)
    }
}

impl Wait {
    fn and(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last), whole: self.whole || other.whole }
    }
}

/// The directory of `key`; the root's is the root.
fn parent(key: &Option<RelPath>) -> Option<RelPath> {
    key.as_ref().and_then(RelPath::parent)
}

fn covers(dir: &Option<RelPath>, key: &Option<RelPath>) -> bool {
    match (dir, key) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(dir), Some(key)) => key.is_at_or_below(dir),
    }
}

fn depth(key: &Option<RelPath>) -> usize {
    key.as_ref().map_or(0, |path| path.components().count())
}

/// The directory `most` components deep that holds `key`, if `key` lies deeper.
fn cut(key: &Option<RelPath>, most: usize) -> Option<Option<RelPath>> {
    let path = key.as_ref()?;
    let slashes = path.as_bytes().iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    match most.checked_sub(1) {
        None => Some(None),
        Some(nth) => slashes.skip(nth).map(|at| RelPath::new(&path.as_bytes()[..at]).ok()).next(),
    }
}

#[cfg(test)]
mod tests;
