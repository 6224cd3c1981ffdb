//! Random histories against a plain map: the same rows, the same queue at every window size, the same numbers.

mod steps;

use std::collections::BTreeMap;

use proptest::prelude::*;

use self::steps::{Step, steps};
use super::*;
use crate::model::{Kind, Mode};

/// The longest backoff is shorter.
const FURTHEST: i64 = 6 * 60 * 1000;

#[derive(Clone, Debug, Default, PartialEq)]
struct Cell {
    observed: Option<Entry>,
    recorded: Option<Entry>,
    since: Option<UnixMillis>,
    attempts: u32,
    not_before: Option<UnixMillis>,
    problem: Option<Problem>,
}

impl Cell {
    fn pending(&self) -> bool {
        match (self.observed, self.recorded) {
            (Some(a), Some(b)) => !a.is_met_by(&b),
            (a, b) => a.is_some() || b.is_some(),
        }
    }

    fn forgive(&mut self) {
        (self.attempts, self.not_before, self.problem) = (0, None, None);
    }
}

#[derive(Clone, Debug)]
struct Promised {
    job: Job,
    begun: UnixMillis,
    doubt: bool,
    forgotten: bool,
}

/// What the index is to be, told in the most naive way.
#[derive(Debug, Default)]
struct Model {
    cells: BTreeMap<RelPath, Cell>,
    jobs: Vec<Promised>,
    now: i64,
}

impl Model {
    fn change(&mut self, path: &RelPath, change: impl FnOnce(&mut Cell)) {
        let cell = self.cells.entry(path.clone()).or_default();
        change(cell);
        if cell.pending() {
            cell.since.get_or_insert(at(self.now));
        } else {
            cell.since = None;
            cell.forgive();
        }
        if cell.observed.is_none() && cell.recorded.is_none() {
            self.cells.remove(path);
        }
    }

    fn at_or_below(&self, path: &RelPath) -> Vec<RelPath> {
        self.cells.keys().filter(|held| held.is_at_or_below(path)).cloned().collect()
    }

    fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::Is(path, entry) => {
                let old = self.cells.get(path).and_then(|cell| cell.observed);
                if let (Some(Entry::Dir { .. }), Entry::File { .. } | Entry::Link { .. }) = (old, entry) {
                    for below in self.at_or_below(path).iter().filter(|below| *below != path) {
                        self.observe(&Observation::Gone(below.clone()));
                    }
                }
                self.change(path, |cell| match (old, *entry) {
                    (Some(Entry::File { print: a, digest, mode: old }), Entry::File { print: b, digest: None, mode })
                        if a == b =>
                    {
                        cell.observed = Some(Entry::File { print: b, digest, mode });
                        if mode != old {
                            cell.forgive();
                        }
                    }
                    (Some(old), new) if old.same(&new) => cell.observed = Some(new),
                    (_, new) => {
                        cell.observed = Some(new);
                        cell.forgive();
                    }
                });
            }
            Observation::Gone(path) => {
                for path in self.at_or_below(path) {
                    self.change(&path, |cell| {
                        if cell.observed.take().is_some() {
                            cell.forgive();
                        }
                    });
                }
            }
            Observation::Ignored(path) => {
                for path in self.at_or_below(path) {
                    self.cells.remove(&path);
                }
                for Promised { job, forgotten, .. } in &mut self.jobs {
                    *forgotten |= job.operation.path().is_at_or_below(path)
                        || matches!(&job.operation, Operation::RenameDir { to, .. } if path.is_at_or_below(to))
                        || matches!(&job.operation, Operation::Rotate { .. })
                            && job.operation.touches().any(|name| name.overlaps(path));
                }
            }
        }
    }

    /// `done`: with the retry columns cleared, and pending no longer than since the job began.
    fn record(&mut self, path: &RelPath, entry: Option<Entry>, by: Option<&Promised>, done: bool) {
        if by.is_some_and(|by| by.forgotten) && !self.cells.contains_key(path) {
            return;
        }
        self.change(path, |cell| {
            cell.recorded = entry;
            if done {
                cell.forgive();
                if let (Some(by), Some(since)) = (by, cell.since) {
                    cell.since = Some(since.max(by.begun));
                }
            }
        });
    }

    /// The local file was read.
    fn read(&mut self, path: &RelPath, read: &Fingerprint, found: Digest) {
        if let Some(Cell { observed: Some(Entry::File { print, digest, .. }), .. }) = self.cells.get_mut(path)
            && print == read
        {
            *digest = Some(found);
        }
    }

    fn recorded(&self, path: &RelPath) -> Option<Entry> {
        self.cells.get(path).and_then(|cell| cell.recorded)
    }

    fn done(&mut self, by: &Promised) {
        match &by.job.operation {
            Operation::MakeDir { path, inode, mode } => self.record(path, Some(dir(*inode).with_mode(*mode)), Some(by), true),
            Operation::Link { path, target } => self.record(path, Some(Entry::Link { target: *target }), Some(by), true),
            Operation::SetMode { path, mode } => {
                if let Some(entry) = self.recorded(path) {
                    self.record(path, Some(entry.with_mode(Some(*mode))), Some(by), true);
                }
            }
            Operation::Keep { .. } => {}
            Operation::Put { .. } | Operation::Restore { .. } | Operation::Revert { .. } | Operation::Expire { .. } => {
                unreachable!()
            }
            Operation::RemoveFile { path } | Operation::RemoveDir { path } | Operation::Trash { path, .. } => {
                self.record(path, None, Some(by), true);
            }
            Operation::RenameDir { from, to, .. } => {
                let Some(dir) = self.recorded(from) else { return };
                self.record(to, Some(dir), Some(by), true);
                for path in self.at_or_below(from).into_iter().filter(|path| path != from) {
                    if let Some(entry) = self.recorded(&path) {
                        self.record(&path.moved(from, to).unwrap(), Some(entry), Some(by), true);
                        self.record(&path, None, Some(by), true);
                    }
                }
                self.record(from, None, Some(by), true);
            }
            Operation::Rotate { path, others, .. } => {
                let below = |model: &Self, name: &RelPath| -> Vec<(RelPath, Entry)> {
                    model.at_or_below(name).into_iter().filter_map(|path| Some((path.clone(), model.recorded(&path)?))).collect()
                };
                let held: Vec<_> = [path, &others[0]].map(|name| below(self, name)).into_iter().zip([&others[0], path]).collect();
                // What has no entry of its own is not there.
                let held: Vec<_> =
                    held.into_iter().zip([path, &others[0]]).filter(|((_, _), from)| self.recorded(from).is_some()).collect();
                for ((entries, _), _) in &held {
                    for (path, _) in entries {
                        self.record(path, None, Some(by), true);
                    }
                }
                for ((entries, to), from) in held {
                    for (path, entry) in entries {
                        let place = path.moved(from, to).unwrap_or_else(|| to.clone());
                        self.record(&place, Some(entry), Some(by), true);
                    }
                }
                for name in [path, &others[0]] {
                    let Some(cell) = self.cells.get(name) else { continue };
                    if let (Some(Entry::File { print: seen, .. }), Some(Entry::File { print, digest, mode })) =
                        (cell.observed, cell.recorded)
                        && seen.moved_from(&print)
                    {
                        self.record(name, Some(Entry::File { print: seen, digest, mode }), Some(by), true);
                    }
                }
            }
            Operation::Rename { from, to, print, digest, mode, .. } => {
                let carried = match self.recorded(from) {
                    Some(Entry::File { digest, .. }) => digest,
                    _ => None,
                };
                self.record(from, None, Some(by), true);
                let entry = Entry::file(*print, digest.or(carried)).with_mode(*mode);
                self.record(to, Some(entry), Some(by), true);
            }
        }
    }

    fn settle(&mut self, which: usize, outcome: &Outcome, retry_at: Option<UnixMillis>) {
        let by = self.jobs.remove(which);
        match outcome {
            Outcome::Done(Done::AsPlanned) => self.done(&by),
            Outcome::Done(Done::Staged { .. }) => unreachable!("see `staging`"),
            Outcome::Done(Done::Holds { print, digest, .. }) => {
                let Operation::Put { mode, .. } = by.job.operation else { unreachable!() };
                let entry = Entry::file(*print, Some(*digest)).with_mode(mode);
                self.record(by.job.operation.path(), Some(entry), Some(&by), true);
                self.read(by.job.operation.path(), print, *digest);
            }
            Outcome::Done(Done::NotMoved) => {
                let Operation::RenameDir { to, inode, .. } = &by.job.operation else { unreachable!() };
                self.record(to, Some(dir(*inode)), Some(&by), true);
            }
            Outcome::Done(Done::NotKept) | Outcome::Untouched => {}
            Outcome::Failed(problem) | Outcome::InDoubt(problem) => {
                self.change(by.job.operation.path(), |cell| {
                    if cell.pending() {
                        cell.attempts += 1;
                        (cell.not_before, cell.problem) = (retry_at, Some(problem.clone()));
                    }
                });
                if matches!(outcome, Outcome::InDoubt(_)) {
                    self.jobs.insert(which, Promised { doubt: true, ..by });
                }
            }
        }
    }

    fn resolve(&mut self, which: usize, told: [Option<Stat>; 2]) {
        let by = self.jobs.remove(which);
        let keeps = |model: &mut Self, path: &RelPath, stat: Option<Stat>| match (stat, model.recorded(path)) {
            (Some(stat), Some(entry)) if entry.kind() == stat.kind || entry.kind() == Kind::Link => {}
            (stat, _) => model.record(path, stat.map(Stat::to_entry), Some(&by), false),
        };
        match &by.job.operation {
            Operation::Put { path, .. } => self.record(path, told[0].map(Stat::to_entry), Some(&by), false),
            Operation::Link { path, .. } => {
                let entry = told[0].map(|_| Entry::Link { target: Digest([0; 32]) });
                self.record(path, entry, Some(&by), false);
            }
            Operation::MakeDir { path, inode, .. } => match told[0] {
                Some(Stat { kind: Kind::Dir | Kind::Link, .. }) => self.record(path, Some(dir(*inode)), Some(&by), true),
                other => self.record(path, other.map(Stat::to_entry), Some(&by), false),
            },
            Operation::Keep { .. } => {}
            Operation::Restore { .. } | Operation::Revert { .. } | Operation::Expire { .. } => unreachable!(),
            Operation::SetMode { path, .. }
            | Operation::RemoveFile { path }
            | Operation::RemoveDir { path }
            | Operation::Trash { path, .. } => {
                keeps(self, path, told[0]);
            }
            Operation::RenameDir { from, to, inode } => match told {
                [Some(Stat { kind: Kind::Dir, .. }), None] => self.done(&by),
                [at_to, at_from] => {
                    keeps(self, from, at_from);
                    if at_from.is_none() {
                        for path in self.at_or_below(from).into_iter().filter(|path| path != from) {
                            self.record(&path, None, None, false);
                        }
                    }
                    match at_to {
                        Some(Stat { kind: Kind::Dir | Kind::Link, .. }) => self.record(to, Some(dir(*inode)), Some(&by), true),
                        other => self.record(to, other.map(Stat::to_entry), Some(&by), false),
                    }
                }
            },
            Operation::Rotate { path, others, kind, .. } => {
                for (name, stat) in [path, &others[0]].into_iter().zip(told) {
                    self.record(name, stat.map(Stat::to_entry), Some(&by), false);
                    let below = self.at_or_below(name).into_iter().filter(|path| *kind == Kind::Dir && path != name);
                    for path in below.collect::<Vec<_>>() {
                        let entry = match self.recorded(&path) {
                            _ if stat.is_none() => None,
                            Some(Entry::File { print, .. }) => Some(Entry::file(Fingerprint::unknown(print.size), None)),
                            other => other,
                        };
                        self.record(&path, entry, None, false);
                    }
                }
            }
            Operation::Rename { from, to, print, retime, .. } => match told {
                [Some(Stat { kind: Kind::File, size }), None] if size.unwrap_or(print.size) == print.size => self.done(&by),
                [at_to, at_from] => {
                    if *retime {
                        self.record(from, at_from.map(Stat::to_entry), Some(&by), false);
                    } else {
                        keeps(self, from, at_from);
                    }
                    self.record(to, at_to.map(Stat::to_entry), Some(&by), false);
                }
            },
        }
    }

    fn pending(&self) -> Vec<Row> {
        let pending = self.cells.iter().filter(|(_, cell)| cell.pending());
        pending
            .map(|(path, cell)| Row { path: path.clone(), observed: cell.observed, recorded: cell.recorded, due: self.due(cell) })
            .collect()
    }

    fn due(&self, cell: &Cell) -> bool {
        match cell.not_before {
            None => cell.problem.is_none(),
            Some(UnixMillis(time)) => time <= self.now || time > self.now + FURTHEST,
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for cell in self.cells.values() {
            if let Some(Entry::File { print, .. }) = cell.recorded {
                tally.recorded_files += 1;
                tally.recorded_bytes = tally.recorded_bytes.wrapping_add(print.size);
            }
            tally.recorded_files += u64::from(matches!(cell.recorded, Some(Entry::Link { .. })));
            if !cell.pending() {
                continue;
            }
            match cell.observed {
                Some(Entry::File { print, .. }) => {
                    tally.pending_files += 1;
                    tally.pending_bytes = tally.pending_bytes.wrapping_add(print.size);
                }
                Some(Entry::Link { .. }) => tally.pending_files += 1,
                Some(Entry::Dir { .. }) => tally.pending_dirs += 1,
                None => tally.pending_removals += 1,
            }
            if !self.due(cell) {
                *(if cell.not_before.is_some() { &mut tally.waiting } else { &mut tally.parked }) += 1;
            }
            tally.oldest_pending = [tally.oldest_pending, cell.since].into_iter().flatten().min();
        }
        tally
    }
}

fn play(mut fresh: Fresh, model: &mut Model, step: Step) -> Fresh {
    model.now += 1000;
    let now = at(model.now);
    match step {
        Step::Observe(found) => {
            fresh.index.observe(&found, now).unwrap();
            found.iter().for_each(|found| model.observe(found));
        }
        Step::Begin(operations) => {
            let jobs = fresh.index.begin(&operations, now).unwrap();
            model.jobs.extend(jobs.into_iter().map(|job| Promised { job, begun: now, doubt: false, forgotten: false }));
        }
        Step::Settle(job, outcome, print, retry) if !model.jobs.is_empty() => {
            let which = job.index(model.jobs.len());
            let Promised { job, .. } = model.jobs[which].clone();
            let outcome = match (outcome, &job.operation) {
                (Outcome::Done(_), Operation::RenameDir { .. }) if print.size == 0 => Outcome::Done(Done::NotMoved),
                (Outcome::Done(_), Operation::Put { .. }) => {
                    Outcome::Done(Done::Holds { print, digest: Digest([1; 32]), sent: print.size, how: How::Sent })
                }
                (outcome, _) => outcome,
            };
            let retry_at = retry.map(|after| at(model.now + after));
            model.settle(which, &outcome, retry_at);
            fresh.index.settle(&[Settlement { job: job.id, outcome, retry_at }], now).unwrap();
        }
        Step::Resolve(job, told) if !model.jobs.is_empty() => {
            let which = job.index(model.jobs.len());
            let Promised { job, .. } = model.jobs[which].clone();
            let answers: Vec<_> = job.operation.touches().cloned().zip(told).collect();
            model.resolve(which, told);
            fresh.index.resolve(job.id, &answers, now).unwrap();
        }
        Step::Record(path, entry) => {
            model.record(&path, Some(entry), None, true);
            fresh.index.record(&[(path, entry)], now).unwrap();
        }
        Step::Digest(row, read) if !model.cells.is_empty() => {
            let which = row.index(model.cells.len());
            let (path, cell) = model.cells.iter_mut().nth(which).unwrap();
            if let Some(Entry::File { print, digest, .. }) = &mut cell.observed {
                *digest = Some(read);
                fresh.index.note_digest(path, print, read).unwrap();
            }
        }
        Step::Settle(..) | Step::Resolve(..) | Step::Digest(..) => {}
        Step::Release => {
            fresh.index.release().unwrap();
            for cell in model.cells.values_mut().filter(|cell| cell.not_before.is_none()) {
                cell.problem = None;
            }
        }
        Step::Reopen => {
            fresh = fresh.reopen();
            model.jobs.iter_mut().for_each(|promised| promised.doubt = true);
        }
    }
    fresh
}

/// Every window from the front, and every window of removals from the back, at every size.
fn compare_windows(index: &Index, pending: &[Row], now: UnixMillis) {
    let removals: Vec<Row> = pending.iter().filter(|row| row.observed.is_none()).cloned().collect();
    for limit in 1..=pending.len() + 1 {
        let (mut after, mut rows): (Option<RelPath>, Vec<Row>) = (None, Vec::new());
        loop {
            let window = index.window(after.as_ref(), limit, now).unwrap();
            let before = rows.last().map(|row: &Row| row.path.clone());
            let (above, stretch): (Vec<_>, Vec<_>) = window.rows.into_iter().partition(|row| Some(&row.path) <= before.as_ref());
            let first = stretch.first().map(|row| row.path.clone());
            let ancestors = rows.iter().filter(|row| first.as_ref().is_some_and(|first| first.is_at_or_below(&row.path)));
            assert_eq!(above, ancestors.cloned().collect::<Vec<_>>(), "the pending ancestors of {first:?}");
            assert!(stretch.len() <= limit);
            rows.extend(stretch);
            let Some(cut) = window.cut else { break };
            assert_eq!(Some(&cut), rows.last().map(|row| &row.path));
            after = Some(cut);
        }
        assert_eq!(rows, pending, "windows of {limit}");

        let (mut before, mut rows): (Option<RelPath>, Vec<Row>) = (None, Vec::new());
        loop {
            let window = index.removals(before.as_ref(), limit, now).unwrap();
            assert!(window.rows.len() <= limit);
            rows.splice(0..0, window.rows);
            let Some(cut) = window.cut else { break };
            assert_eq!(Some(&cut), rows.first().map(|row| &row.path));
            before = Some(cut);
        }
        assert_eq!(rows, removals, "removals by {limit}");
    }
}

/// What may be moved, against every pair.
fn compare_moves(index: &Index, model: &Model, pending: &[Row]) {
    let now = at(model.now);
    let gone: Vec<_> = pending.iter().filter(|row| row.observed.is_none()).filter_map(|row| as_file(row, row.recorded)).collect();
    let came: Vec<_> = pending.iter().filter_map(|row| as_file(row, row.observed)).collect();
    type File = (Row, Fingerprint, Option<Digest>);
    let moved = |to: &File, from: &File| to.1.moved_from(&from.1);
    let equal = |to: &File, from: &File| to.2.is_some() && to.2 == from.2 && to.1.size == from.1.size;
    // What lacks its mode alone has its content.
    let lacks = |row: &&File| !row.0.observed.is_some_and(|here| row.0.recorded.is_some_and(|there| there.same_content(&here)));
    for to in came.iter().filter(lacks) {
        let possible: Vec<_> = gone.iter().filter(|from| moved(to, from) || equal(to, from)).map(|from| &from.0).collect();
        let found = index.sources(std::slice::from_ref(&to.0), now).unwrap();
        assert!(found.iter().all(|row| possible.contains(&row)), "{found:?} of {possible:?}");
        assert_eq!(found.is_empty(), possible.is_empty(), "{possible:?}");
    }

    let mut unread: Vec<_> = came
        .iter()
        .filter(|to| to.2.is_none() && to.1.size > 0 && model.cells[&to.0.path].problem.is_none())
        .filter(|to| gone.iter().any(|from| from.2.is_some() && from.1.size == to.1.size))
        .filter(|to| !gone.iter().any(|from| moved(to, from)))
        .map(|to| (to.0.path.clone(), to.1))
        .collect();
    let mut asked = index.undigested(100).unwrap();
    unread.sort_by(|a, b| a.0.cmp(&b.0));
    asked.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(asked, unread);

    let deletes = index.deletes().unwrap();
    let (mut used, mut excused) = (vec![None; came.len()], 0);
    for from in 0..gone.len() {
        excused += u64::from(pair(from, &mut vec![false; came.len()], &mut used, &|from, to| {
            moved(&came[to], &gone[from]) || equal(&came[to], &gone[from])
        }));
    }
    // No link is moved.
    let links = pending.iter().filter(|row| row.observed.is_none() && matches!(row.recorded, Some(Entry::Link { .. }))).count();
    let all = (gone.len() + links) as u64;
    assert!((all - excused..=all).contains(&deletes.files), "{deletes:?}: at most {excused} of {all} can be moves");
}

fn as_file(row: &Row, entry: Option<Entry>) -> Option<(Row, Fingerprint, Option<Digest>)> {
    match entry {
        Some(Entry::File { print, digest, .. }) => Some((row.clone(), print, digest)),
        _ => None,
    }
}

/// One step of the largest matching of vanished to appeared files.
fn pair(from: usize, tried: &mut Vec<bool>, used: &mut Vec<Option<usize>>, fits: &dyn Fn(usize, usize) -> bool) -> bool {
    for to in 0..used.len() {
        let fresh = fits(from, to) && !std::mem::replace(&mut tried[to], true);
        if fresh && used[to].is_none_or(|other| pair(other, tried, used, fits)) {
            used[to] = Some(from);
            return true;
        }
    }
    false
}

fn compare(index: &Index, model: &Model) {
    let cells = rows::select(&index.db, "SELECT * FROM entry ORDER BY path", []).unwrap().into_iter().map(|held| {
        let held::Held { path, observed, recorded, since, attempts, not_before, problem } = held;
        (path, Cell { observed, recorded, since, attempts, not_before, problem })
    });
    assert_eq!(cells.collect::<BTreeMap<_, _>>(), model.cells);
    assert_eq!(index.tally(at(model.now)).unwrap(), model.tally());
    assert_eq!(index.observed_any().unwrap(), model.cells.values().any(|cell| cell.observed.is_some()));
    assert_eq!(index.next_retry(UnixMillis(0)).unwrap(), model.cells.values().filter_map(|cell| cell.not_before).min());
    let problems: Vec<_> = index.problems(100).unwrap().into_iter().map(|problem| problem.path).collect();
    let known: Vec<_> = model.cells.iter().filter(|(_, cell)| cell.problem.is_some()).map(|(path, _)| path.clone()).collect();
    assert_eq!(problems, known);
    assert_eq!(index.live().unwrap(), model.jobs.iter().map(|promised| promised.job.clone()).collect::<Vec<_>>());
    let doubtful = model.jobs.iter().filter(|promised| promised.doubt).map(|promised| promised.job.clone());
    assert_eq!(index.in_doubt().unwrap(), doubtful.collect::<Vec<_>>());
    let pending = model.pending();
    compare_windows(index, &pending, at(model.now));
    compare_moves(index, model, &pending);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_index_is_a_map_that_stays(steps in prop::collection::vec(steps(), 1..40)) {
        let (mut fresh, mut model) = (Fresh::new(), Model::default());
        for step in steps {
            fresh = play(fresh, &mut model, step);
            compare(&fresh.index, &model);
        }
        let damage: String = fresh.index.db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        prop_assert_eq!(damage, "ok");
    }
}
