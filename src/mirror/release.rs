//! Publishing together, as values: what of a plan is done ahead out of everybody's sight, in which order the rest becomes
//! visible, and what makes up one flight of renames. Neither plans nor acts.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    ops::Bound,
};

use crate::{
    model::{Digest, Entry, Fingerprint, Job, JobId, Kind, Operation, PathSet, RelPath, Staged},
    plan::{Step, Why},
};

/// When the changes of a mirror become visible on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// Each as soon as it is there.
    #[default]
    Each,
    /// All of a burst in one run of renames, when everything is there.
    Together,
}

/// A job of a release, begun or not yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// Without a number until the run begins, but for a put, which is staged.
    pub(super) job: Job,
    /// The content that is staged.
    pub(super) digest: Option<Digest>,
    /// What is recorded at each path that it touches.
    pub(super) recorded: Vec<Option<Entry>>,
    /// What is at its path moves aside first: somebody else changed it.
    pub(super) sets_aside: bool,
}

/// The number of a job that is not promised yet.
pub(super) const UNBEGUN: JobId = JobId(0);

impl Part {
    pub(super) fn new(operation: Operation) -> Self {
        let job = Job { id: UNBEGUN, operation, temp: None };
        Self { job, digest: None, recorded: Vec::new(), sets_aside: false }
    }

    /// Of a staged file: what was read.
    pub(super) fn print(&self) -> Option<&Fingerprint> {
        match &self.job.operation {
            Operation::Put { print, .. } => Some(print),
            _ => None,
        }
    }

    /// Whether what is staged is what `operation` wants to put.
    pub(super) fn answers(&self, operation: &Operation) -> bool {
        match (&self.job.operation, operation) {
            (Operation::Put { path, print, mode, .. }, Operation::Put { path: to, print: wanted, mode: bits, .. }) => {
                path == to && print == wanted && mode == bits
            }
            _ => false,
        }
    }

    /// The one rename that it is, if that is all.
    pub(super) fn rename(&self) -> Option<(RelPath, RelPath)> {
        match &self.job.operation {
            Operation::Put { path, .. } => Some((self.job.temp.clone()?, path.clone())),
            Operation::Trash { path, place } => Some((path.clone(), place.clone())),
            Operation::Rename { from, to, .. } if self.job.temp.is_none() => Some((from.clone(), to.clone())),
            _ => None,
        }
    }
}

impl From<Staged> for Part {
    fn from(staged: Staged) -> Self {
        Self { job: staged.job, digest: staged.digest, recorded: Vec::new(), sets_aside: false }
    }
}

/// A plan, divided.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// What nobody sees: directories with nothing in them yet, and puts that are not staged; each with the path that its
    /// temporary name is to be beside.
    pub(super) ahead: Vec<(Operation, RelPath)>,
    /// Everything else, in the order of the plan.
    pub(super) steps: Vec<Step>,
}

/// Divides the steps of a plan; `is_staged` says of a put that nothing needs to be sent for it any more.
pub(super) fn split(plan: Vec<Step>, is_staged: impl Fn(&Operation) -> bool) -> Split {
    let mut split = Split::default();
    // What is only done when everything is published, and which directories come no earlier.
    let (mut waits, mut unmade) = (PathSet::default(), PathSet::default());
    for step in plan {
        let path = step.operation.path();
        match &step.operation {
            Operation::Put { .. } => {
                let outermost = path.ancestors().filter(|dir| unmade.covers(dir)).last();
                if !is_staged(&step.operation) {
                    let beside = outermost.unwrap_or_else(|| path.clone());
                    split.ahead.push((step.operation.clone(), beside));
                }
                split.steps.push(step);
                continue;
            }
            Operation::MakeDir { .. } if !waits.overlaps(&path.folded()) => {
                split.ahead.push((step.operation.clone(), path.clone()));
                continue;
            }
            Operation::MakeDir { .. } => {
                unmade.insert(path.clone());
            }
            _ => {}
        }
        for path in step.operation.touches() {
            waits.insert(path.folded());
        }
        split.steps.push(step);
    }
    split
}

/// The order in which a release becomes visible: new files first, then moved ones, then replaced ones, removals last; but each step
/// behind all earlier ones of the plan that touch the same path, an ancestor or a descendant, and what comes to a name that is moved
/// away right behind that: it is missing meanwhile.
pub(super) fn order(plan: Vec<Step>) -> Vec<Operation> {
    let mut holds_up: Vec<Vec<usize>> = vec![Vec::new(); plan.len()];
    let mut waits_for: Vec<usize> = vec![0; plan.len()];
    let mut touching: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (i, step) in plan.iter().enumerate() {
        let keys: Vec<Vec<u8>> = step.operation.touches().map(|path| path.folded().to_key()).collect();
        let earlier: BTreeSet<usize> = keys.iter().flat_map(|key| overlapping(&touching, key)).collect();
        waits_for[i] = earlier.len();
        earlier.into_iter().for_each(|other| holds_up[other].push(i));
        keys.into_iter().for_each(|key| touching.entry(key).or_default().push(i));
    }
    let left: BTreeSet<&RelPath> = plan.iter().filter_map(|step| left_by(&step.operation)).collect();
    let rank = |step: &Step| match &step.operation {
        Operation::Put { path, .. } | Operation::Link { path, .. } if left.contains(path) => 0,
        _ => rank(step),
    };
    let turn = |i: usize| Reverse((rank(&plan[i]), i));
    let mut ready: BinaryHeap<_> = (0..plan.len()).filter(|i| waits_for[*i] == 0).map(turn).collect();
    let mut sorted = Vec::with_capacity(plan.len());
    while let Some(Reverse((_, i))) = ready.pop() {
        sorted.push(i);
        for &next in &holds_up[i] {
            waits_for[next] -= 1;
            if waits_for[next] == 0 {
                ready.push(turn(next));
            }
        }
    }
    let mut plan: Vec<Option<Operation>> = plan.into_iter().map(|step| Some(step.operation)).collect();
    sorted.into_iter().filter_map(|i| plan[i].take()).collect()
}

/// How many of the first `parts` are renames that have nothing to do with each other, so that they can be under way at once.
pub(super) fn flight<'p>(parts: impl Iterator<Item = &'p Part>) -> usize {
    let mut touched = PathSet::default();
    let free = |part: &&Part| {
        let Some((from, to)) = part.rename().filter(|_| !part.sets_aside) else { return false };
        let (from, to) = (from.folded(), to.folded());
        let is_free = !touched.overlaps(&from) && !touched.overlaps(&to);
        touched.insert(from);
        touched.insert(to);
        is_free
    };
    parts.take_while(free).count()
}

/// Whether a step has to do with one of `paths`, which are folded.
pub(super) fn concerns(part: &Part, paths: &PathSet) -> bool {
    part.job.operation.touches().any(|path| paths.overlaps(&path.folded()))
}

/// The name that a move leaves.
fn left_by(operation: &Operation) -> Option<&RelPath> {
    if let Operation::Rename { from, .. } = operation { Some(from) } else { None }
}

/// The lower the earlier.
fn rank(step: &Step) -> u8 {
    let is_new = !matches!(step.why, Why::Changed | Why::Touched);
    match &step.operation {
        Operation::MakeDir { .. } => 0,
        Operation::Put { .. } if is_new => 0,
        Operation::Rename { .. } => 1,
        Operation::Link { .. } if is_new => 1,
        operation if operation.removes() && step.why != Why::Vanished => 1,
        Operation::RemoveDir { .. } | Operation::Expire { kind: Kind::Dir, .. } => 4,
        operation if operation.removes() => 3,
        _ => 2,
    }
}

/// Those of `touching` at the path of `key`, above or below it.
fn overlapping(touching: &BTreeMap<Vec<u8>, Vec<usize>>, key: &[u8]) -> Vec<usize> {
    let above = (0..key.len()).filter(|end| key[*end] == 0).filter_map(|end| touching.get(&key[..end]));
    // NUL is the lowest byte: what lies below a path comes right behind it.
    let at_or_below = touching
        .range::<[u8], _>((Bound::Included(key), Bound::Unbounded))
        .take_while(|(other, _)| other.strip_prefix(key).is_some_and(|rest| rest.first().is_none_or(|b| *b == 0)))
        .map(|(_, steps)| steps);
    above.chain(at_or_below).flatten().copied().collect()
}

#[cfg(test)]
mod tests;
