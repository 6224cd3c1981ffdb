//! Directories that are renamed as a whole: which of those that look moved can be, and which rows wait until they are.

use std::collections::{HashMap, HashSet};

use super::{
    Policy, Removals, Stage,
    survey::{Site, Survey},
};
use crate::model::{Entry, Kind, MOST_ROTATED, MovedDir, PathSet, RelPath, Window};

/// The directories of a window that look moved.
pub(super) struct Moved<'a> {
    dirs: Vec<&'a MovedDir>,
    /// Their old and new names.
    ends: PathSet,
    /// Of all of them, what has to go first.
    rest: HashSet<&'a RelPath>,
    /// Both names of those that wait.
    waiting: PathSet,
    /// Those that took each other's names, in turn: each one's old name is the new one of the one before it.
    rings: Vec<Vec<&'a MovedDir>>,
    /// Those that are planned as if they had not moved, by their new names.
    pub(super) given_up: Vec<RelPath>,
}

/// What becomes of one of them.
enum Fate {
    /// It is renamed: its sites, the old one and the new one.
    Ready(usize, usize),
    /// Somebody works on it still, or another stretch has it.
    Waits,
    /// It cannot be renamed.
    Unfit,
}

impl<'a> Moved<'a> {
    pub(super) fn new(window: &'a Window, policy: Policy) -> Self {
        let (ends, waiting) = (PathSet::default(), PathSet::default());
        let mut moved = Self { dirs: Vec::new(), ends, rest: HashSet::new(), waiting, rings: Vec::new(), given_up: Vec::new() };
        if policy.removals == Removals::Allowed {
            moved.take(window.moved.iter().collect());
        }
        moved
    }

    /// Whether there is one: then what is gone elsewhere is kept, for it may have moved into one.
    pub(super) fn any(&self) -> bool {
        !self.dirs.is_empty()
    }

    /// Whether the row at `path` waits until the directory that it is in was renamed.
    pub(super) fn hides(&self, path: &RelPath) -> bool {
        path.parent().is_some_and(|dir| self.ends.covers(&dir)) && !(self.rest.contains(path) && self.is_rest(path))
    }

    /// Whether `path` is the old name of one.
    pub(super) fn leaves(&self, path: &RelPath) -> bool {
        self.dirs.iter().any(|dir| dir.from == *path)
    }

    /// Whether `path` is the name of one that took that of another, which took its name, or that of a third one, and so on.
    pub(super) fn turns(&self, path: &RelPath) -> bool {
        self.rings.iter().flatten().any(|dir| dir.from == *path)
    }

    /// Whether `path` is one of the names of one that is not renamed yet.
    pub(super) fn waits(&self, path: &RelPath) -> bool {
        self.waiting.contains(path)
    }

    /// Finds which can be renamed, and tells the survey. `true` if some cannot, now or at all: survey once more.
    pub(super) fn settle(&mut self, survey: &mut Survey<'_>, stage: &Stage) -> bool {
        let (mut unfit, waited) = (Vec::new(), self.waiting.len());
        for ring in &self.rings {
            let names = || ring.iter().map(|dir| dir.from.clone());
            match turn(ring, survey, stage) {
                _ if names().any(|name| self.waits(&name)) => {}
                Turn::Ready(sites) => survey.turned.push(sites),
                Turn::Waits => self.waiting.extend(names()),
                Turn::Unfit => unfit.extend(names()),
            }
        }
        for dir in &self.dirs {
            match fate(dir, survey, stage) {
                _ if self.waits(&dir.from) || self.turns(&dir.from) => {}
                // Its new name is that of another one still.
                _ if self.leaves(&dir.to) => self.waiting.extend([dir.from.clone()]),
                Fate::Ready(from, to) => survey.renamed.push((from, to)),
                Fate::Waits => self.waiting.extend([dir.from.clone(), dir.to.clone()]),
                Fate::Unfit => unfit.push(dir.to.clone()),
            }
        }
        self.give_up(&unfit);
        !unfit.is_empty() || self.waiting.len() > waited
    }

    /// Plans these as if they had not moved.
    pub(super) fn give_up(&mut self, unfit: &[RelPath]) {
        if unfit.is_empty() {
            return;
        }
        let dirs = std::mem::take(&mut self.dirs);
        let (given_up, kept): (Vec<_>, Vec<_>) = dirs.into_iter().partition(|dir| unfit.contains(&dir.to));
        self.take(kept);
        self.given_up.extend_from_slice(unfit);
        // What would have taken their names does not wait for that.
        let behind: Vec<RelPath> =
            self.dirs.iter().map(|dir| &dir.to).filter(|to| given_up.iter().any(|dir| dir.from == **to)).cloned().collect();
        self.waiting.retain(|path| !given_up.iter().any(|dir| dir.from == *path || dir.to == *path));
        self.give_up(&behind);
    }

    fn take(&mut self, dirs: Vec<&'a MovedDir>) {
        self.ends = dirs.iter().flat_map(|dir| [dir.from.clone(), dir.to.clone()]).collect();
        self.rest = dirs.iter().flat_map(|dir| &dir.rest).collect();
        self.rings = rings(&dirs);
        self.dirs = dirs;
    }

    /// Whether `path` is to go before the innermost moved directory that it is in.
    fn is_rest(&self, path: &RelPath) -> bool {
        let innermost =
            self.dirs.iter().filter(|dir| path.moved(&dir.from, &dir.to).is_some()).max_by_key(|dir| dir.from.as_bytes().len());
        innermost.is_some_and(|dir| dir.rest.contains(path))
    }
}

/// What becomes of those that took each other's names.
enum Turn {
    /// They are renamed: their sites, each in front of that which its directory goes to.
    Ready(Vec<usize>),
    /// Somebody works on one still.
    Waits,
    /// They cannot be renamed.
    Unfit,
}

/// The rings among `dirs`, each in the order in which one gets the name of the next.
fn rings<'a>(dirs: &[&'a MovedDir]) -> Vec<Vec<&'a MovedDir>> {
    let from: HashMap<&RelPath, &'a MovedDir> = dirs.iter().map(|dir| (&dir.from, *dir)).collect();
    let (mut rings, mut known) = (Vec::new(), HashSet::new());
    for &first in dirs {
        let mut ring = vec![first];
        while let Some(next) = ring.last().and_then(|last| from.get(&last.to).copied())
            && ring.len() <= MOST_ROTATED
            && !known.contains(&next.from)
        {
            if next.from == first.from {
                known.extend(ring.iter().map(|dir| &dir.from));
                rings.push(ring);
                break;
            }
            ring.push(next);
        }
    }
    rings
}

fn turn(ring: &[&MovedDir], survey: &Survey<'_>, stage: &Stage) -> Turn {
    let Some(sites) = ring.iter().map(|dir| find(survey, &dir.from)).collect::<Option<Vec<usize>>>() else {
        return if *stage == Stage::All { Turn::Unfit } else { Turn::Waits };
    };
    let inode = |entry: &Option<Entry>| match entry {
        Some(Entry::Dir { inode, .. }) => Some(*inode).filter(|inode| *inode != 0),
        _ => None,
    };
    for (at, site) in sites.iter().enumerate() {
        let (old, new) = (&survey.sites[*site], &survey.sites[sites[(at + 1) % sites.len()]]);
        let goes = inode(&old.row.recorded);
        let is_apart = !ring[..at].iter().any(|dir| dir.from.folded().overlaps(&ring[at].from.folded()));
        if goes.is_none() || goes != inode(&new.row.observed) || !is_apart || old.is_parked() || old.maker.is_some() {
            return Turn::Unfit;
        }
    }
    if sites.iter().any(|site| survey.sites[*site].blocked) {
        return Turn::Waits;
    }
    if sites.iter().any(|site| survey.sites[*site].fill_stuck || survey.sites[*site].twins.is_some()) {
        return Turn::Unfit;
    }
    Turn::Ready(sites)
}

fn fate(dir: &MovedDir, survey: &Survey<'_>, stage: &Stage) -> Fate {
    let (from, to) = match (find(survey, &dir.from), find(survey, &dir.to)) {
        (Some(from), Some(to)) => (from, to),
        // Both rows are in the stretch that has the new name.
        (_, None) if *stage != Stage::All => return Fate::Waits,
        _ => return Fate::Unfit,
    };
    let (old, new): (&Site<'_>, &Site<'_>) = (&survey.sites[from], &survey.sites[to]);
    let inode = match (&old.row.recorded, &new.row.observed) {
        (Some(Entry::Dir { inode: old, .. }), Some(Entry::Dir { inode: new, .. })) => *old == *new && *new != 0,
        _ => false,
    };
    let is_new = new.fills == Some(Kind::Dir) && new.row.recorded.is_none();
    let apart = !dir.from.folded().overlaps(&dir.to.folded());
    if !inode || !is_new || !apart || new.is_parked() {
        return Fate::Unfit;
    }
    match (old.blocked || new.blocked, old.vacate_stuck || new.fill_stuck) {
        (true, _) => Fate::Waits,
        (false, true) => Fate::Unfit,
        (false, false) => Fate::Ready(from, to),
    }
}

fn find(survey: &Survey<'_>, path: &RelPath) -> Option<usize> {
    survey.sites.binary_search_by(|site| site.row.path.cmp(path)).ok()
}
