//! Directories that are renamed as a whole, among everything else that people do.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    config, some_of,
    world::{ALLOWED, Case, World, cases},
};
use crate::{
    model::{Entry, MovedDir, Operation, PathSet, RelPath, Window},
    plan::{Stage, plan},
};

impl World {
    /// Some of the directories that look moved, as the index tells of them.
    fn moved(&self, random: &mut fastrand::Rng) -> Vec<MovedDir> {
        let mut moved: Vec<MovedDir> = Vec::new();
        for (to, entry) in &self.observed {
            let Entry::Dir { inode, .. } = entry else { continue };
            let is_it = |found: &Entry| matches!(found, Entry::Dir { inode: other, .. } if other == inode);
            let Some(from) = self.recorded.iter().find(|(_, entry)| is_it(entry)).map(|(path, _)| path) else { continue };
            let is_new = !self.recorded.contains_key(to) && !from.folded().overlaps(&to.folded());
            let is_inside = moved.iter().any(|outer| to.is_at_or_below(&outer.to));
            let Some(behind) = self.behind(from) else { continue };
            if is_new && !is_inside && random.u8(0..4) > 0 {
                moved.push(MovedDir { from: from.clone(), to: to.clone(), rest: self.rest(from, to) });
                moved.extend(behind);
            }
        }
        let turned = self.turned(&moved, random);
        moved.extend(turned);
        moved
    }

    /// Those that took each other's names.
    fn turned(&self, moved: &[MovedDir], random: &mut fastrand::Rng) -> Vec<MovedDir> {
        let mut turned: Vec<MovedDir> = Vec::new();
        let inode = |entry: Option<&Entry>| match entry {
            Some(Entry::Dir { inode, .. }) => Some(*inode),
            _ => None,
        };
        let former = |to: &RelPath| {
            let here =
                inode(self.observed.get(to)).filter(|here| inode(self.recorded.get(to)).is_some_and(|there| there != *here))?;
            self.recorded.iter().find(|(_, entry)| inode(Some(entry)) == Some(here)).map(|(path, _)| path.clone())
        };
        for first in self.observed.keys() {
            let mut ring: Vec<MovedDir> = Vec::new();
            let mut to = first.clone();
            while let Some(from) = former(&to).filter(|_| ring.len() < 8) {
                ring.push(MovedDir { rest: Vec::new(), from: from.clone(), to });
                to = from;
                if to == *first {
                    break;
                }
            }
            let is_free = |dir: &MovedDir| {
                let names = moved.iter().chain(&turned).flat_map(|dir| [&dir.from, &dir.to]);
                !names.into_iter().any(|name| name.overlaps(&dir.to))
            };
            let is_apart = ring
                .iter()
                .enumerate()
                .all(|(at, dir)| !ring[..at].iter().any(|other| other.to.folded().overlaps(&dir.to.folded())));
            if ring.len() > 1 && to == *first && is_apart && ring.iter().all(is_free) && random.u8(0..4) > 0 {
                turned.extend(ring);
            }
        }
        turned
    }

    fn behind(&self, from: &RelPath) -> Option<Vec<MovedDir>> {
        let mut behind: Vec<MovedDir> = Vec::new();
        while behind.len() < 16 {
            let to = behind.last().map_or(from, |last| &last.from).clone();
            match self.observed.get(&to) {
                None => return Some(behind),
                Some(Entry::Dir { inode, .. }) => {
                    let is_it = |found: &Entry| matches!(found, Entry::Dir { inode: other, .. } if other == inode);
                    let former = self.recorded.iter().find(|(path, entry)| !path.overlaps(&to) && is_it(entry))?;
                    behind.push(MovedDir { from: former.0.clone(), to, rest: Vec::new() });
                }
                Some(_) => return None,
            }
        }
        None
    }

    fn rest(&self, from: &RelPath, to: &RelPath) -> Vec<RelPath> {
        let has_place = |path: &RelPath, entry: &Entry| {
            path.moved(from, to).is_none_or(|place| self.observed.contains_key(&place))
                || self.observed.iter().any(|(other, here)| {
                    other != to
                        && other.is_at_or_below(to)
                        && match (here, entry) {
                            (Entry::Dir { inode: here, .. }, Entry::Dir { inode: there, .. }) => here == there,
                            (Entry::File { print: here, .. }, Entry::File { print: there, .. }) => here.moved_from(there),
                            _ => false,
                        }
                })
        };
        let (placed, mut rest): (Vec<_>, Vec<_>) = self
            .recorded
            .iter()
            .filter(|(path, _)| path.moved(from, to).is_some())
            .partition(|(path, entry)| has_place(path, entry));
        rest.retain(|(path, _)| !placed.iter().any(|(placed, _)| placed.is_at_or_below(path)));
        rest.into_iter().map(|(path, _)| path.clone()).collect()
    }
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn renamed_directories_come_to_the_same(case in cases(), one_in in 2..12usize) {
        let mut random = fastrand::Rng::with_seed(case.seed);
        let mut world = World::new(&case, &mut random);
        for pass in 0.. {
            prop_assert!(pass < 60, "no end in sight: {:#?}", world.rows(&BTreeSet::new()));
            let waiting = if pass < 3 { some_of(&world, &mut random, one_in) } else { BTreeSet::new() };
            let busy: PathSet =
                if pass < 3 { some_of(&world, &mut random, one_in).into_iter().collect() } else { PathSet::default() };
            let moved = world.moved(&mut random);
            let window = Window { rows: world.rows(&waiting), moved, ..Window::default() };
            if window.rows.is_empty() {
                break;
            }
            let plan = plan(&window, &Stage::All, ALLOWED, &busy);
            for step in &plan.steps {
                for path in step.operation.touches() {
                    prop_assert!(!busy.iter().any(|b| b.folded().overlaps(&path.folded())), "{path} is busy");
                }
                if let Operation::RenameDir { to, .. } = &step.operation {
                    prop_assert!(!plan.unmoved.contains(to));
                }
            }
            let idle = plan.steps.is_empty() && plan.records.is_empty();
            prop_assert!(!idle || !busy.is_empty() || !waiting.is_empty() || plan.deferred == 0, "nothing goes on: {plan:?}\n{window:#?}");
            world.carry_out(&plan)?;
        }
        world.check()?;
    }

    #[test]
    fn so_do_they_in_stretches_of_any_size(case in cases(), limit in 1..12usize) {
        let mut random = fastrand::Rng::with_seed(case.seed);
        // Names that differ in case must meet in one window: see `Stage`.
        let mut world = World::new(&Case { fold: false, ..case }, &mut random);
        for pass in 0.. {
            prop_assert!(pass < 60, "no end in sight: {:#?}", world.rows(&BTreeSet::new()));
            let mut moved = world.moved(&mut random);
            moved.retain(|dir| dir.rest.is_empty());
            let mut after = None;
            loop {
                let mut window = world.window(after.as_ref(), limit, &BTreeSet::new());
                let old = world.rows(&BTreeSet::new()).into_iter().filter(|row| moved.iter().any(|dir| dir.from == row.path));
                window.rows.extend(old);
                window.moved.clone_from(&moved);
                let fills = plan(&window, &Stage::Fill { after }, ALLOWED, &PathSet::default());
                moved.retain(|dir| !fills.unmoved.contains(&dir.to));
                world.carry_out(&fills)?;
                let done = |dir: &MovedDir| match (world.recorded.get(&dir.to), world.observed.get(&dir.to)) {
                    (Some(Entry::Dir { inode: there, .. }), Some(Entry::Dir { inode: here, .. })) => there == here,
                    _ => false,
                };
                moved.retain(|dir| !done(dir));
                after = window.cut;
                if after.is_none() {
                    break;
                }
            }
            if moved.is_empty() {
                world.vacate(limit, &BTreeSet::new())?;
            }
            if world.rows(&BTreeSet::new()).is_empty() {
                break;
            }
        }
        world.check()?;
    }
}
