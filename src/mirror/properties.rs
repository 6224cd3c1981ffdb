//! Random pairs of trees through the planner and the schedule against a tree that refuses what FTP refuses, also one that
//! folds case. `TOWLINE_CASES` sets how many.

mod disk;
mod moved;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use self::world::{ALLOWED, Case, World, cases};
use crate::{
    mirror::{release, schedule::Schedule},
    model::{Abilities, Entry, Fingerprint, Job, JobId, Kind, Operation, PathSet, RelPath, Row, Window},
    plan::{Policy, Removals, Stage, Step, Why, plan},
    remote::memory::tree::Node,
};

const HELD: Policy = Policy { removals: Removals::Held, abilities: Abilities::UNKNOWN };

fn config(default: u32) -> ProptestConfig {
    let cases = std::env::var("TOWLINE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Some of the pending paths.
fn some_of(world: &World, random: &mut fastrand::Rng, one_in: usize) -> BTreeSet<RelPath> {
    world.rows(&BTreeSet::new()).into_iter().map(|row| row.path).filter(|_| random.usize(0..one_in) == 0).collect()
}

proptest! {
    #![proptest_config(config(50_000))]

    #[test]
    fn every_operation_is_accepted_and_the_trees_are_equal(case in cases()) {
        let mut world = World::new(&case, &mut fastrand::Rng::with_seed(case.seed));
        let plan = world.plan_all(&BTreeSet::new(), &PathSet::default(), ALLOWED);
        prop_assert_eq!((plan.held, plan.deferred), (0, 0));
        let last = plan.steps.iter().skip_while(|step| step.why != Why::Vanished);
        prop_assert!(last.clone().all(|step| step.operation.removes()), "removals that nothing waits for come last");
        world.carry_out(&plan)?;
        world.check()?;
    }
}

proptest! {
    #![proptest_config(config(10_000))]

    #[test]
    fn every_allowed_order_works(case in cases(), workers in 1..6usize, fail in 0..3u8) {
        let mut random = fastrand::Rng::with_seed(case.seed);
        let mut world = World::new(&case, &mut random);
        for round in 0.. {
            let plan = world.plan_all(&BTreeSet::new(), &PathSet::default(), ALLOWED);
            world.record(&plan);
            if plan.steps.is_empty() {
                break;
            }
            let mut schedule = Schedule::default();
            for (id, step) in (0..).zip(&plan.steps) {
                schedule.push(Job { id: JobId(id), operation: step.operation.clone(), temp: None });
            }
            // Each job happens when it starts or when it ends, or fails without a trace.
            let mut running: Vec<(Job, bool)> = Vec::new();
            while !schedule.is_empty() {
                let next = if running.len() < workers && random.bool() { schedule.next() } else { None };
                if let Some(job) = next {
                    let at_once = random.bool();
                    if at_once {
                        world.act(&job.operation).map_err(|error| world.refused(&job.operation, error, &plan))?;
                    }
                    running.push((job, at_once));
                } else if !running.is_empty() {
                    let (job, happened) = running.swap_remove(random.usize(0..running.len()));
                    let fails = !happened && round < 5 && random.u8(0..10) < fail;
                    if !happened && !fails {
                        world.act(&job.operation).map_err(|error| world.refused(&job.operation, error, &plan))?;
                    }
                    schedule.finish(job.id, !fails);
                }
            }
        }
        world.check()?;
    }

    #[test]
    fn what_waits_is_left_alone_with_all_that_depends_on_it(case in cases(), one_in in 1..8usize) {
        let mut random = fastrand::Rng::with_seed(case.seed);
        let mut world = World::new(&case, &mut random);
        let waiting = some_of(&world, &mut random, one_in);
        let busy: PathSet = some_of(&world, &mut random, one_in * 2).into_iter().collect();
        let blocked = world.plan_all(&waiting, &busy, ALLOWED);
        for step in &blocked.steps {
            for path in step.operation.touches() {
                prop_assert!(!waiting.contains(path), "{path} is not due");
                prop_assert!(!busy.iter().any(|b| b.folded().overlaps(&path.folded())), "{path} is busy");
            }
        }
        prop_assert!(waiting.is_empty() || blocked.deferred > 0);
        world.carry_out(&blocked)?;
        let rest = world.plan_all(&BTreeSet::new(), &PathSet::default(), ALLOWED);
        world.carry_out(&rest)?;
        world.check()?;
    }

    /// What is done ahead needs nothing that is not, and the rest is accepted in the order of a release.
    #[test]
    fn a_release_is_accepted_in_its_order(case in cases()) {
        let mut world = World::new(&case, &mut fastrand::Rng::with_seed(case.seed));
        let plan = world.plan_all(&BTreeSet::new(), &PathSet::default(), ALLOWED);
        world.record(&plan);
        let before = world.server.entries();
        let release::Split { ahead, steps } = release::split(plan.steps.clone(), |_| false);
        for (operation, beside) in &ahead {
            match operation {
                Operation::MakeDir { .. } => world.act(operation).map_err(|error| world.refused(operation, error, &plan))?,
                Operation::Put { path, .. } => {
                    prop_assert!(path.is_at_or_below(beside));
                    let home = beside.parent().is_none_or(|dir| matches!(world.server.get(&dir), Some(Node::Dir)));
                    prop_assert!(home, "{beside} has no place for a temporary file: {plan:#?}");
                }
                other => prop_assert!(false, "{other:?} is visible"),
            }
        }
        let shown: BTreeMap<_, _> = world.server.entries().into_iter().filter(|(path, _)| before.contains_key(path)).collect();
        prop_assert_eq!(shown, before, "nothing changed that was there");
        let (vanished, replaced): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.why == Why::Vanished);
        let steps_in_order = release::order(steps.clone());
        prop_assert_eq!(steps_in_order.len(), steps.len());
        let at = |operation: &Operation| steps_in_order.iter().position(|other| other == operation);
        let last = replaced.iter().filter(|step| step.why == Why::Changed).map(|step| at(&step.operation)).max().flatten();
        let first = vanished.iter().filter(|step| !matches!(step.operation, Operation::RemoveDir { .. })).map(|step| at(&step.operation)).min().flatten();
        prop_assert!(first.is_none() || last < first, "removals come last: {steps_in_order:#?}");
        for operation in &steps_in_order {
            world.act(operation).map_err(|error| world.refused(operation, error, &plan))?;
        }
        world.check()?;
    }

    #[test]
    fn while_removals_are_held_everything_else_is_done(case in cases()) {
        let mut world = World::new(&case, &mut fastrand::Rng::with_seed(case.seed));
        let rows = world.rows(&BTreeSet::new());
        let plan = world.plan_all(&BTreeSet::new(), &PathSet::default(), HELD);
        let removing = |row: &Row| match (&row.observed, &row.recorded) {
            (o, Some(r)) => o.is_none_or(|o| o.kind() != r.kind()),
            _ => false,
        };
        prop_assert_eq!(plan.held, rows.iter().filter(|row| removing(row)).count());
        let needs_one = |row: &Row| rows.iter().any(|r| removing(r) && r.path.folded() == row.path.folded());
        let made = |row: &&Row| row.observed.is_some_and(|o| o.kind() == Kind::Dir) && row.recorded.is_none_or(|r| r.kind() == Kind::File);
        for row in rows.iter().filter(|row| row.observed.is_some()) {
            let recorded = plan.records.iter().any(|(path, _)| *path == row.path);
            let planned = plan.steps.iter().any(|step| step.operation.path() == &row.path);
            let waits = needs_one(row)
                || rows.iter().filter(made).any(|dir| row.path.is_at_or_below(&dir.path) && needs_one(dir));
            prop_assert!(recorded || planned != waits, "{}", &row.path);
        }
        let takes_off = |step: &Step| step.operation.removes() || matches!(step.operation, Operation::Rename { .. });
        prop_assert!(!plan.steps.iter().any(takes_off));
        world.carry_out(&plan)?;
        let rest = world.plan_all(&BTreeSet::new(), &PathSet::default(), ALLOWED);
        world.carry_out(&rest)?;
        world.check()?;
    }

    #[test]
    fn of_names_that_are_one_on_the_server_one_is_mirrored(case in cases()) {
        let folds = Policy { abilities: Abilities { folds_case: Some(true), ..Abilities::UNKNOWN }, ..ALLOWED };
        let mut world = World::new(&Case { fold: true, twins: true, ..case }, &mut fastrand::Rng::with_seed(case.seed));
        let first = world.plan_all(&BTreeSet::new(), &PathSet::default(), folds);
        world.carry_out(&first)?;
        world.check_twins()?;
        // What was parked stays so, and nothing else is left.
        let again = world.plan_all(&BTreeSet::new(), &PathSet::default(), folds);
        prop_assert!(again.steps.is_empty() && again.records.is_empty(), "{again:#?}");
        prop_assert_eq!(&again.parked, &first.parked);
    }

    #[test]
    fn windows_of_any_size_come_to_the_same(case in cases(), limit in 1..12usize, one_in in 2..12usize) {
        let mut random = fastrand::Rng::with_seed(case.seed);
        // Names that differ in case must meet in one window: see `Stage`.
        let mut world = World::new(&Case { fold: false, ..case }, &mut random);
        for pass in 0.. {
            prop_assert!(pass < 60, "no end in sight: {:#?}", world.rows(&BTreeSet::new()));
            let waiting = if pass < 3 { some_of(&world, &mut random, one_in) } else { BTreeSet::new() };
            let mut after = None;
            loop {
                let window = world.window(after.as_ref(), limit, &waiting);
                let fills = plan(&window, &Stage::Fill { after }, ALLOWED, &PathSet::default());
                world.carry_out(&fills)?;
                after = window.cut;
                if after.is_none() {
                    break;
                }
            }
            world.vacate(limit, &waiting)?;
            if world.rows(&BTreeSet::new()).is_empty() {
                break;
            }
        }
        world.check()?;
    }

    /// Files change places: each is renamed, those of a ring together.
    #[test]
    fn a_moved_file_is_never_sent(
        files in proptest::sample::subsequence((0..12usize).collect::<Vec<_>>(), 0..12),
        places in Just((0..16usize).collect::<Vec<_>>()).prop_shuffle(),
        gone in 0..4usize,
    ) {
        // Places 8 to 11 are in a directory that stays, 12 to 15 in a new one. File i was at place i.
        let at = |place: usize| RelPath::new(format!("{}f{place}", ["", "", "old/", "new/"][place / 4])).expect("a valid path");
        let print = |i: usize| Fingerprint { size: 10 + i as u64, mtime_ns: 1, ctime_ns: 1, inode: 100 + i as u64 };
        let file = |i: usize| Entry::file(print(i), None);
        let mut rows: BTreeMap<RelPath, (Option<Entry>, Option<Entry>)> = BTreeMap::new();
        rows.entry(RelPath::new("new").expect("a valid path")).or_default().0 = Some(Entry::dir(1));
        let mut goes: BTreeMap<usize, usize> = BTreeMap::new();
        for (n, &i) in files.iter().enumerate() {
            rows.entry(at(i)).or_default().1 = Some(file(i));
            if n >= gone {
                rows.entry(at(places[i])).or_default().0 = Some(file(i));
                goes.insert(i, places[i]);
            }
        }
        let moved = goes.iter().filter(|(from, to)| from != to).count();
        let rings: Vec<usize> = goes.keys().filter(|start| goes[start] != **start).filter_map(|start| {
            let path = std::iter::successors(goes.get(start), |at| goes.get(*at).filter(|_| *at != start));
            let path: Vec<&usize> = path.take(20).collect();
            // Counted at its lowest member.
            (path.last() == Some(&start) && path.iter().all(|at| *at >= start)).then_some(path.len())
        }).collect();
        let rows = rows.into_iter().map(|(path, (observed, recorded))| Row { path, observed, recorded, due: true }).collect();
        let plan = plan(&Window { rows, ..Window::default() }, &Stage::All, ALLOWED, &PathSet::default());
        let count = |what: fn(&Operation) -> bool| plan.steps.iter().filter(|step| what(&step.operation)).count();
        prop_assert_eq!(count(|o| matches!(o, Operation::Put { .. })), 0);
        prop_assert_eq!(count(|o| matches!(o, Operation::Rotate { .. })), rings.len());
        prop_assert_eq!(count(|o| matches!(o, Operation::Rename { .. })), moved - rings.iter().sum::<usize>());
    }
}
