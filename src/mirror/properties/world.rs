//! Two trees, the server between them, and what the index would tell the planner of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::disk::{Disk, Edit, Item, body, digest, edits};
use crate::{
    model::{Abilities, Digest, Entry, Fingerprint, Operation, PathSet, RelPath, Row, Window},
    plan::{Plan, Policy, Removals, Stage, plan},
    remote::memory::tree::{Manners, Node, Refusal, Tree},
};

pub(super) const ALLOWED: Policy = Policy { removals: Removals::Allowed, abilities: Abilities::UNKNOWN };

/// What was mirrored, what was done since, and a seed for everything else.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) before: Vec<Edit>,
    pub(super) after: Vec<Edit>,
    pub(super) fold: bool,
    /// What is done since may make names that differ in case only.
    pub(super) twins: bool,
    pub(super) seed: u64,
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    (edits(0..24), edits(0..12), any::<bool>(), any::<u64>()).prop_map(|(before, after, fold, seed)| Case {
        before,
        after,
        fold,
        twins: false,
        seed,
    })
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) disk: Disk,
    pub(super) server: Tree,
    pub(super) observed: BTreeMap<RelPath, Entry>,
    pub(super) recorded: BTreeMap<RelPath, Entry>,
    /// Files whose body was sent.
    pub(super) sent: usize,
}

impl World {
    pub(super) fn new(case: &Case, random: &mut fastrand::Rng) -> Self {
        let mut disk = Disk::new(case.fold);
        disk.edit(&case.before);
        let mut server = Tree::new(Manners { fold_case: case.fold, ..Manners::default() });
        let mut recorded = BTreeMap::new();
        for (path, item) in &disk.items {
            let entry = match item {
                Item::Dir { .. } => server.make_dir(path).map(|()| item.entry(false)),
                Item::File { print, content } => {
                    let known = random.u8(0..10);
                    // One in ten was found out by asking the server after a crash.
                    let print = if known == 0 { Fingerprint::unknown(print.size) } else { *print };
                    let entry = Entry::file(print, (known > 1).then(|| digest(*content)));
                    server.store(path, Bytes::from(body(*content))).map(|()| entry)
                }
            };
            recorded.insert(path.clone(), entry.expect("a tree in preorder"));
        }
        if case.twins {
            disk.allow_twins();
        }
        disk.edit(&case.after);
        let observed = disk.items.iter().map(|(path, item)| (path.clone(), item.entry(random.bool()))).collect();
        Self { disk, server, observed, recorded, sent: 0 }
    }

    /// The pending rows; those in `waiting` are not due.
    pub(super) fn rows(&self, waiting: &BTreeSet<RelPath>) -> Vec<Row> {
        let paths: BTreeSet<&RelPath> = self.observed.keys().chain(self.recorded.keys()).collect();
        let row = |path: &RelPath| Row {
            path: path.clone(),
            observed: self.observed.get(path).copied(),
            recorded: self.recorded.get(path).copied(),
            due: !waiting.contains(path),
        };
        let pending = |row: &Row| match (&row.observed, &row.recorded) {
            (Some(o), Some(r)) => !o.same(r),
            _ => true,
        };
        paths.into_iter().map(row).filter(pending).collect()
    }

    /// As the index's `window` and `sources` together.
    pub(super) fn window(&self, after: Option<&RelPath>, limit: usize, waiting: &BTreeSet<RelPath>) -> Window {
        let all = self.rows(waiting);
        let mut stretch: Vec<Row> = all.iter().filter(|row| after.is_none_or(|after| row.path > *after)).cloned().collect();
        let more = stretch.len() > limit;
        stretch.truncate(limit);
        let cut = stretch.last().filter(|_| more).map(|row| row.path.clone());
        let first = stretch.first().map(|row| row.path.clone());
        let belongs = |row: &Row| {
            let above = first.as_ref().is_some_and(|first| *first != row.path && first.is_at_or_below(&row.path));
            above || stretch.iter().any(|target| is_source(row, target))
        };
        let listed: BTreeSet<&RelPath> = stretch.iter().map(|row| &row.path).collect();
        let extra: Vec<Row> = all.iter().filter(|row| !listed.contains(&row.path) && belongs(row)).cloned().collect();
        stretch.extend(extra);
        stretch.sort_by(|a, b| a.path.cmp(&b.path));
        Window { rows: stretch, cut, ..Window::default() }
    }

    /// As the index's `removals`.
    pub(super) fn removals(&self, before: Option<&RelPath>, limit: usize, waiting: &BTreeSet<RelPath>) -> Window {
        let mut rows = self.rows(waiting);
        rows.retain(|row| row.observed.is_none() && before.is_none_or(|before| row.path < *before));
        let rest = rows.len().saturating_sub(limit);
        let rows = rows.split_off(rest);
        let cut = rows.first().filter(|_| rest > 0).map(|row| row.path.clone());
        Window { rows, cut, ..Window::default() }
    }

    pub(super) fn plan_all(&self, waiting: &BTreeSet<RelPath>, busy: &PathSet, policy: Policy) -> Plan {
        let rows = self.rows(waiting);
        // More than the index would give: all that is not pending.
        let known =
            self.recorded.iter().filter(|(path, _)| policy.abilities.folds() && rows.iter().all(|row| row.path != **path));
        let twin = |(path, entry): (&RelPath, &Entry)| Row {
            path: path.clone(),
            observed: Some(*entry),
            recorded: Some(*entry),
            due: true,
        };
        let twins = known.map(twin).collect();
        plan(&Window { rows, twins, ..Window::default() }, &Stage::All, policy, busy)
    }

    /// Plans the removals that are left, in stretches of `limit` from the end, and does them.
    pub(super) fn vacate(&mut self, limit: usize, waiting: &BTreeSet<RelPath>) -> Result<(), TestCaseError> {
        let mut before = None;
        loop {
            let window = self.removals(before.as_ref(), limit, waiting);
            let removals = plan(&window, &Stage::Vacate { before }, ALLOWED, &PathSet::default());
            prop_assert!(removals.steps.iter().all(|step| step.operation.removes()));
            self.carry_out(&removals)?;
            before = window.cut;
            if before.is_none() {
                return Ok(());
            }
        }
    }

    /// Does all of a plan in its order.
    pub(super) fn carry_out(&mut self, plan: &Plan) -> Result<(), TestCaseError> {
        self.record(plan);
        for step in &plan.steps {
            self.act(&step.operation).map_err(|error| self.refused(&step.operation, error, plan))?;
        }
        Ok(())
    }

    pub(super) fn record(&mut self, plan: &Plan) {
        self.recorded.extend(plan.records.iter().cloned());
    }

    pub(super) fn refused(&self, operation: &Operation, error: Refusal, plan: &Plan) -> TestCaseError {
        let (server, steps) = (&self.server, &plan.steps);
        TestCaseError::fail(format!("{operation:?}: {error}\n{server}\n{steps:#?}"))
    }

    /// Does one operation on the server and settles it.
    pub(super) fn act(&mut self, operation: &Operation) -> Result<(), Refusal> {
        match operation {
            Operation::MakeDir { path, inode, .. } => {
                self.server.make_dir(path)?;
                self.recorded.insert(path.clone(), Entry::dir(*inode));
            }
            Operation::Put { path, print, equal_to, .. } => {
                let content = self.content_of(print);
                if *equal_to == Some(digest(content)) {
                    assert_eq!(self.server_digest(path), *equal_to, "{path} was taken for what it is not");
                } else {
                    self.server.store(path, Bytes::from(body(content)))?;
                    self.sent += 1;
                }
                self.recorded.insert(path.clone(), Entry::file(*print, Some(digest(content))));
            }
            Operation::RemoveFile { path } => {
                self.server.remove_file(path)?;
                self.recorded.remove(path);
            }
            Operation::RemoveDir { path } => {
                self.server.remove_dir(path)?;
                self.recorded.remove(path);
            }
            Operation::Link { .. } | Operation::SetMode { .. } => unreachable!("no links and no permissions here"),
            Operation::Trash { .. }
            | Operation::Keep { .. }
            | Operation::Restore { .. }
            | Operation::Revert { .. }
            | Operation::Expire { .. } => {
                unreachable!("the planner knows no trash")
            }
            Operation::RenameDir { from, to, .. } => self.rename(from, to)?,
            Operation::Rotate { .. } => self.rotate(operation)?,
            Operation::Rename { from, to, print, digest, .. } => {
                self.server.rename(from, to)?;
                self.recorded.remove(from);
                self.recorded.insert(to.clone(), Entry::file(*print, *digest));
            }
        }
        Ok(())
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<(), Refusal> {
        self.server.rename(from, to)?;
        let inside: Vec<RelPath> = self.recorded.keys().filter(|path| path.is_at_or_below(from)).cloned().collect();
        for path in inside {
            let entry = self.recorded.remove(&path).expect("just seen");
            self.recorded.insert(path.moved(from, to).unwrap_or_else(|| to.clone()), entry);
        }
        Ok(())
    }

    fn rotate(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let temp = RelPath::new(".t").expect("a name");
        let mut to = temp.clone();
        for from in operation.touches().collect::<Vec<_>>().into_iter().rev() {
            assert!(self.server.get(&to).is_none(), "{to} is missing meanwhile");
            self.rename(from, &to)?;
            to.clone_from(from);
        }
        self.rename(&temp, &to)?;
        for name in operation.touches() {
            if let (Some(Entry::File { print: seen, .. }), Some(Entry::File { print, .. })) =
                (self.observed.get(name), self.recorded.get_mut(name))
            {
                *print = *seen;
            }
        }
        Ok(())
    }

    /// Nothing is pending, and the server is the disk.
    pub(super) fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.rows(&BTreeSet::new()), vec![]);
        let local: BTreeMap<RelPath, Option<Bytes>> = self
            .disk
            .items
            .iter()
            .map(|(path, item)| match item {
                Item::Dir { .. } => (path.clone(), None),
                Item::File { content, .. } => (path.clone(), Some(Bytes::from(body(*content)))),
            })
            .collect();
        let remote: BTreeMap<RelPath, Option<Bytes>> = self
            .server
            .entries()
            .into_iter()
            .map(|(path, node)| match node {
                Node::Dir | Node::Link { .. } => (path, None),
                Node::File { body, .. } => (path, Some(body)),
            })
            .collect();
        prop_assert_eq!(remote, local);
        Ok(())
    }

    /// Nothing is on the server that is not here like this, and what is not there is one with something that is, or in a
    /// directory that is.
    pub(super) fn check_twins(&self) -> Result<(), TestCaseError> {
        let server = self.server.entries();
        for (path, node) in &server {
            match (node, self.disk.items.get(path)) {
                (Node::Dir, Some(Item::Dir { .. })) => {}
                (Node::File { body: there, .. }, Some(Item::File { content, .. })) => {
                    prop_assert_eq!(&there[..], &body(*content)[..]);
                }
                (node, item) => prop_assert!(false, "{path}: {node:?} there, {item:?} here"),
            }
        }
        for path in self.disk.items.keys().filter(|path| !server.contains_key(*path)) {
            let lost = |path: &RelPath| server.keys().any(|other| other != path && other.folded() == path.folded());
            prop_assert!(lost(path) || path.ancestors().any(|dir| lost(&dir)), "{path} is missing");
        }
        Ok(())
    }

    fn content_of(&self, print: &Fingerprint) -> u8 {
        let found = self.disk.items.values().find_map(|item| match item {
            Item::File { print: p, content } if p == print => Some(*content),
            _ => None,
        });
        found.expect("a file that is put is on the disk")
    }

    fn server_digest(&self, path: &RelPath) -> Option<Digest> {
        match self.server.get(path) {
            Some(Node::File { body, .. }) => Some(digest(body.first().copied().unwrap_or(0))),
            _ => None,
        }
    }
}

fn is_source(row: &Row, target: &Row) -> bool {
    match (&row.observed, &row.recorded, &target.observed) {
        (None, Some(Entry::File { print: r, digest: s, .. }), Some(Entry::File { print: o, digest: d, .. })) => {
            o.moved_from(r) || (s.is_some() && s == d && r.size == o.size && r.size > 0)
        }
        _ => false,
    }
}
