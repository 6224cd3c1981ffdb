//! Which job may start when, by one rule: a job may start when no unfinished earlier job touches the same path, an ancestor
//! or a descendant of it; jobs that only read a path do not wait for each other. Pure; knows nothing of workers, and orders jobs that do not touch by their turn alone.
//!
//! Paths are compared folded, so that two names that a server may take for one are never worked on at once. What a job
//! waits for is counted when it is pushed, not looked up again when another ends.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use crate::model::{Job, JobId, Operation, PathSet, RelPath};

/// So many jobs are looked at when one of a kind is wanted.
const LOOKS: usize = 32;

/// A put of so many bytes takes its session for long: 16 MiB are more than a second at 100 Mbit/s.
pub const LONG: u64 = 16 << 20;

/// Whether a job takes its session for long.
pub fn is_long(operation: &Operation) -> bool {
    matches!(operation, Operation::Put { print, .. } if print.size >= LONG)
}

/// The unfinished jobs of one mirror.
#[derive(Debug, Default)]
pub struct Schedule {
    tasks: HashMap<JobId, Task>,
    /// The unfinished jobs that touch or read each path, by the folded path's key.
    uses: BTreeMap<Vec<u8>, Vec<Use>>,
    /// In their order.
    startable: BTreeSet<Turn>,
    /// Those of them that take long.
    startable_long: BTreeSet<Turn>,
    running: usize,
    /// Of those that were not started: how many take long.
    waiting_long: usize,
    busy: PathSet,
    /// How many jobs touch each path of `busy`.
    touching: HashMap<RelPath, usize>,
}

/// What a job does with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    job: JobId,
    /// It leaves it as it is.
    reads: bool,
}

/// When a job comes: those that go first before the others, the newest of those before all; of the others the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    First(Reverse<JobId>),
    InOrder(JobId),
}

impl Turn {
    fn id(self) -> JobId {
        match self {
            Self::First(Reverse(id)) | Self::InOrder(id) => id,
        }
    }
}

#[derive(Debug)]
struct Task {
    /// `None` while it runs.
    job: Option<Job>,
    turn: Turn,
    is_long: bool,
    /// What it touches.
    paths: Vec<RelPath>,
    /// What it reads.
    reads: Option<RelPath>,
    /// How many earlier jobs it waits for.
    waits_for: usize,
    /// The later jobs that wait for it; some may have been taken out since.
    holds_up: Vec<JobId>,
}

impl Schedule {
    /// Adds `job` behind all others. A job whose number is among the unfinished ones already is not added again.
    pub fn push(&mut self, job: Job) {
        let turn = Turn::InOrder(job.id);
        self.add(job, turn);
    }

    /// As [`Self::push`], but it starts before all that may start.
    pub fn push_first(&mut self, job: Job) {
        let turn = Turn::First(Reverse(job.id));
        self.add(job, turn);
    }

    fn add(&mut self, job: Job, turn: Turn) {
        let id = job.id;
        if self.tasks.contains_key(&id) {
            return;
        }
        let paths: Vec<RelPath> = job.operation.touches().cloned().collect();
        let reads = job.operation.reads().cloned();
        let touched = paths.iter().map(|path| (key(path), false));
        let keys: Vec<(Vec<u8>, bool)> = touched.chain(reads.iter().map(|path| (key(path), true))).collect();
        let earlier: BTreeSet<JobId> = keys.iter().flat_map(|(key, reads)| self.overlapping(key, *reads)).collect();
        for other in &earlier {
            if let Some(task) = self.tasks.get_mut(other) {
                task.holds_up.push(id);
            }
        }
        for (key, reads) in keys {
            self.uses.entry(key).or_default().push(Use { job: id, reads });
        }
        for path in &paths {
            self.busy.insert(path.clone());
            *self.touching.entry(path.clone()).or_default() += 1;
        }
        let is_long = is_long(&job.operation);
        self.waiting_long += usize::from(is_long);
        if earlier.is_empty() {
            self.startables(is_long).insert(turn);
        }
        let task = Task { job: Some(job), turn, is_long, paths, reads, waits_for: earlier.len(), holds_up: Vec::new() };
        self.tasks.insert(id, task);
    }

    /// Starts the next job that may start. It runs until it is told to [`Self::finish`].
    #[expect(clippy::should_implement_trait, reason = "no iterator: finishing one job makes others available")]
    pub fn next(&mut self) -> Option<Job> {
        let first = |turns: &BTreeSet<Turn>| turns.first().copied();
        let turn = first(&self.startable).into_iter().chain(first(&self.startable_long)).min()?;
        self.start(turn)
    }

    /// As [`Self::next`], of those that do not take long.
    pub fn next_short(&mut self) -> Option<Job> {
        let turn = *self.startable.first()?;
        self.start(turn)
    }

    /// As [`Self::next_short`], of jobs whose operation `fits`; some of the first are looked at.
    pub fn next_that(&mut self, fits: impl Fn(&Operation) -> bool) -> Option<Job> {
        let job = |turn: &Turn| self.tasks.get(&turn.id()).and_then(|task| task.job.as_ref());
        let turn = *self.startable.iter().take(LOOKS).find(|turn| job(turn).is_some_and(|job| fits(&job.operation)))?;
        self.start(turn)
    }

    /// Whether the operation of the job that is next, of those that do not take long, `fits`; `true` if there is none.
    pub fn next_fits(&self, fits: impl Fn(&Operation) -> bool) -> bool {
        let next = self.startable.first().and_then(|turn| self.tasks.get(&turn.id())?.job.as_ref());
        next.is_none_or(|job| fits(&job.operation))
    }

    /// `job` was started and was not done: it waits again, at its turn.
    pub fn again(&mut self, job: Job) {
        let Some(task) = self.tasks.get_mut(&job.id).filter(|task| task.job.is_none()) else { return };
        task.is_long = is_long(&job.operation);
        let (turn, is_long) = (task.turn, task.is_long);
        task.job = Some(job);
        self.running -= 1;
        self.waiting_long += usize::from(is_long);
        self.startables(is_long).insert(turn);
    }

    fn start(&mut self, turn: Turn) -> Option<Job> {
        let task = self.tasks.get_mut(&turn.id())?;
        let (job, is_long) = (task.job.take()?, task.is_long);
        self.startables(is_long).remove(&turn);
        self.waiting_long -= usize::from(is_long);
        self.running += 1;
        Some(job)
    }

    fn startables(&mut self, are_long: bool) -> &mut BTreeSet<Turn> {
        if are_long { &mut self.startable_long } else { &mut self.startable }
    }

    /// Takes out a job that ended. If it did not succeed, those that waited for it, directly or not, are taken out with it
    /// and returned, oldest first: nobody knows whether they still make sense, so they are to be planned again.
    pub fn finish(&mut self, id: JobId, succeeded: bool) -> Vec<Job> {
        let Some(task) = self.take_out(id) else { return Vec::new() };
        if succeeded {
            self.release(&task.holds_up);
            return Vec::new();
        }
        self.take_out_all(task.holds_up)
    }

    /// Takes out the jobs that have not started and touch a path of `changed` (the same, an ancestor, a descendant, or one that
    /// differs in case only), with those that waited for them; oldest first.
    pub fn withdraw(&mut self, changed: &PathSet) -> Vec<Job> {
        let changed: PathSet = changed.iter().map(RelPath::folded).collect();
        let touches = |task: &Task| task.job.is_some() && task.paths.iter().any(|path| changed.overlaps(&path.folded()));
        let ids = self.tasks.iter().filter(|(_, task)| touches(task)).map(|(id, _)| *id).collect();
        self.take_out_all(ids)
    }

    /// Takes out every job that has not started, oldest first.
    pub fn drain_waiting(&mut self) -> Vec<Job> {
        let waiting = self.tasks.iter().filter(|(_, task)| task.job.is_some()).map(|(id, _)| *id).collect();
        self.take_out_all(waiting)
    }

    /// Unfinished jobs.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether every job is finished.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Jobs that were started and are not finished.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Jobs that were not started.
    pub fn waiting(&self) -> usize {
        self.tasks.len() - self.running
    }

    /// Of those: the ones that take long.
    pub fn waiting_long(&self) -> usize {
        self.waiting_long
    }

    /// Every path that an unfinished job touches.
    pub fn busy(&self) -> &PathSet {
        &self.busy
    }

    /// The unfinished jobs that touch the path of `key`, an ancestor or a descendant; and, for a job that does more than `reads` it,
    /// those that read one of these.
    fn overlapping(&self, key: &[u8], reads: bool) -> Vec<JobId> {
        let above = (0..key.len()).filter(|end| key[*end] == 0).filter_map(|end| self.uses.get(&key[..end]));
        // NUL is the lowest byte: what lies below a path comes right behind it.
        let at_or_below = self
            .uses
            .range::<[u8], _>((Bound::Included(key), Bound::Unbounded))
            .take_while(|(other, _)| other.strip_prefix(key).is_some_and(|rest| rest.first().is_none_or(|b| *b == 0)))
            .map(|(_, uses)| uses);
        above.chain(at_or_below).flatten().filter(|other| !(reads && other.reads)).map(|other| other.job).collect()
    }

    fn take_out_all(&mut self, mut queue: Vec<JobId>) -> Vec<Job> {
        let mut out = Vec::new();
        while let Some(id) = queue.pop() {
            if let Some(task) = self.take_out(id) {
                queue.extend(task.holds_up);
                out.extend(task.job);
            }
        }
        out.sort_by_key(|job| job.id);
        out
    }

    fn take_out(&mut self, id: JobId) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        self.startables(task.is_long).remove(&task.turn);
        self.running -= usize::from(task.job.is_none());
        self.waiting_long -= usize::from(task.is_long && task.job.is_some());
        for path in task.paths.iter().chain(&task.reads) {
            let key = key(path);
            if let Some(uses) = self.uses.get_mut(&key) {
                uses.retain(|other| other.job != id);
                if uses.is_empty() {
                    self.uses.remove(&key);
                }
            }
        }
        for path in &task.paths {
            if let Some(jobs) = self.touching.get_mut(path) {
                *jobs -= 1;
                if *jobs == 0 {
                    self.touching.remove(path);
                    self.busy.remove(path);
                }
            }
        }
        Some(task)
    }

    fn release(&mut self, held_up: &[JobId]) {
        for id in held_up {
            if let Some(task) = self.tasks.get_mut(id) {
                task.waits_for -= 1;
                let (turn, is_long) = (task.turn, task.is_long);
                if task.waits_for == 0 {
                    self.startables(is_long).insert(turn);
                }
            }
        }
    }
}

fn key(path: &RelPath) -> Vec<u8> {
    path.folded().to_key()
}

#[cfg(test)]
mod tests;
