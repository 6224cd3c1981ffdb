//! Tables: one small tree each. The random ones are in `crate::mirror`, which may name the server in memory too.

use super::*;
use crate::model::{Digest, Fingerprint, Kind, Mode, Reason, Row};

mod moved;
mod server;

const ALLOWED: Policy = Policy { removals: Removals::Allowed, abilities: Abilities::UNKNOWN };
const HELD: Policy = Policy { removals: Removals::Held, abilities: Abilities::UNKNOWN };

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

/// A directory.
fn dir(inode: u64) -> Option<Entry> {
    Some(Entry::dir(inode))
}

/// A file whose inode, size and content are all told by `inode`; never read.
fn file(inode: u64) -> Option<Entry> {
    Some(Entry::file(Fingerprint { size: 100 + inode, mtime_ns: 1, ctime_ns: 1, inode }, None))
}

/// A file of 100 bytes that was read.
fn read(inode: u64, content: u8) -> Option<Entry> {
    let print = Fingerprint { size: 100, mtime_ns: inode.try_into().expect("small"), ctime_ns: 1, inode };
    Some(Entry::file(print, Some(Digest([content; 32]))))
}

/// The same, but nobody read it.
fn unread(inode: u64) -> Option<Entry> {
    match read(inode, 0) {
        Some(Entry::File { print, .. }) => Some(Entry::file(print, None)),
        other => other,
    }
}

/// Path, observed, recorded.
fn rows(rows: &[(&str, Option<Entry>, Option<Entry>)]) -> Window {
    let row =
        |(at, observed, recorded): &(&str, _, _)| Row { path: path(at), observed: *observed, recorded: *recorded, due: true };
    Window { rows: rows.iter().map(row).collect(), ..Window::default() }
}

fn show(plan: &Plan) -> Vec<String> {
    let show = |step: &Step| match &step.operation {
        Operation::MakeDir { path, .. } => format!("mkdir {path}"),
        Operation::Put { path, equal_to: None, .. } => format!("put {path}"),
        Operation::Put { path, equal_to: Some(digest), .. } => format!("put {path} unless {}", digest.0[0]),
        Operation::Link { path, .. } => format!("ln {path}"),
        Operation::SetMode { path, mode } => format!("chmod {mode} {path}"),
        Operation::RemoveFile { path } => format!("rm {path}"),
        Operation::RemoveDir { path } => format!("rmdir {path}"),
        Operation::Rename { from, to, .. } => format!("mv {from} {to}"),
        Operation::RenameDir { from, to, .. } => format!("mv {from}/ {to}/"),
        Operation::Rotate { path, others, kind, .. } => {
            let slash = if *kind == Kind::Dir { "/" } else { "" };
            others.iter().chain([path]).fold(format!("turn {path}{slash}"), |shown, name| format!("{shown} {name}{slash}"))
        }
        Operation::Trash { .. }
        | Operation::Keep { .. }
        | Operation::Restore { .. }
        | Operation::Revert { .. }
        | Operation::Expire { .. } => {
            unreachable!("the planner has no trash")
        }
    };
    plan.steps.iter().map(show).collect()
}

fn whys(plan: &Plan) -> Vec<Why> {
    plan.steps.iter().map(|step| step.why).collect()
}

fn all(window: &Window) -> Plan {
    plan(window, &Stage::All, ALLOWED, &PathSet::default())
}

#[test]
fn what_is_new_is_filled_and_what_is_gone_is_removed_last() {
    let plan = all(&rows(&[
        ("a", None, dir(1)),
        ("a/x", None, file(2)),
        ("b", file(3), None),
        ("c", dir(4), None),
        ("c/d", dir(5), None),
        ("c/d/e", file(6), None),
        ("f", file(7), file(8)),
    ]));
    assert_eq!(show(&plan), ["put b", "mkdir c", "mkdir c/d", "put c/d/e", "put f", "rm a/x", "rmdir a"]);
    use Why::{Changed, New, Vanished};
    assert_eq!(whys(&plan), [New, New, New, New, Changed, Vanished, Vanished]);
    assert_eq!((plan.held, plan.deferred, plan.records.len()), (0, 0, 0));
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let mut window = rows(&[("a", dir(1), None), ("a/b", file(2), None), ("c", None, file(3))]);
    let plan = all(&window);
    window.rows.reverse();
    assert_eq!(all(&window), plan);
}

#[test]
fn a_kind_change_vacates_first() {
    let plan = all(&rows(&[
        ("a", file(1), dir(2)),
        ("a/x", None, file(3)),
        ("a/y", None, dir(4)),
        ("b", dir(5), file(6)),
        ("b/z", file(7), None),
    ]));
    assert_eq!(show(&plan), ["rmdir a/y", "rm a/x", "rmdir a", "put a", "rm b", "mkdir b", "put b/z"]);
    use Why::{InTheWay, KindChanged, New};
    assert_eq!(whys(&plan), [InTheWay, InTheWay, KindChanged, KindChanged, KindChanged, KindChanged, New]);
}

#[test]
fn what_the_server_has_already_is_recorded() {
    let plan = all(&rows(&[("d", dir(2), dir(1)), ("f", read(3, 7), read(4, 7)), ("g", read(5, 8), read(6, 7))]));
    assert_eq!(plan.records, [(path("d"), Entry::dir(2)), (path("f"), read(3, 7).expect("a file"))]);
    assert_eq!(show(&plan), ["put g"]);
}

#[test]
fn a_file_of_the_same_size_is_compared_before_it_is_sent() {
    let plan = all(&rows(&[("a", unread(1), read(2, 7)), ("b", unread(3), unread(4)), ("c", file(5), read(6, 7))]));
    assert_eq!(show(&plan), ["put a unless 7", "put b", "put c"]);
    assert_eq!(whys(&plan), [Why::Touched, Why::Changed, Why::Changed]);
}

#[test]
fn a_moved_file_is_renamed() {
    for (what, window, steps) in [
        ("by inode", rows(&[("a", None, file(1)), ("b", file(1), None)]), &["mv a b"][..]),
        ("by digest", rows(&[("a", None, read(1, 7)), ("b", read(2, 7), None)]), &["mv a b"]),
        ("over another", rows(&[("a", None, file(1)), ("b", file(1), file(2))]), &["mv a b"]),
        (
            "over a directory",
            rows(&[("a", None, file(1)), ("b", file(1), dir(2)), ("b/x", None, file(3))]),
            &["rm b/x", "rmdir b", "mv a b"],
        ),
        (
            "into a new directory",
            rows(&[("a", None, file(1)), ("d", dir(2), None), ("d/a", file(1), None)]),
            &["mkdir d", "mv a d/a"],
        ),
        ("and replaced", rows(&[("a", file(2), file(1)), ("b", file(1), None)]), &["mv a b", "put a"]),
        ("and replaced by a directory", rows(&[("a", dir(2), file(1)), ("b", file(1), None)]), &["mv a b", "mkdir a"]),
        ("in a chain", rows(&[("a", None, file(1)), ("b", file(1), file(2)), ("c", file(2), None)]), &["mv b c", "mv a b"]),
        (
            "with its directory",
            rows(&[("d", None, dir(1)), ("d/a", None, file(2)), ("e", dir(1), None), ("e/a", file(2), None)]),
            &["mkdir e", "mv d/a e/a", "rmdir d"],
        ),
        ("once only", rows(&[("a", None, read(1, 7)), ("b", read(2, 7), None), ("c", read(3, 7), None)]), &["mv a b", "put c"]),
        ("digests differ", rows(&[("a", None, read(1, 7)), ("b", read(1, 8), None)]), &["put b", "rm a"]),
    ] {
        assert_eq!(show(&all(&window)), steps, "{what}");
    }
}

/// Copied, then edited: the old content stays under its name until the new one replaces it.
#[test]
fn a_file_that_was_changed_in_place_is_not_renamed_away() {
    assert_eq!(show(&all(&rows(&[("a", file(1), read(1, 7)), ("b", read(2, 7), None)]))), ["put a", "put b"]);
    assert_eq!(show(&all(&rows(&[("a", read(3, 8), read(1, 7)), ("b", read(2, 7), None)]))), ["mv a b", "put a"]);
}

#[test]
fn names_that_go_round_cost_no_put_but_other_cycles_cost_one() {
    // mv a t; mv b a; mv t b
    let swap = all(&rows(&[("a", file(2), file(1)), ("b", file(1), file(2))]));
    assert_eq!(show(&swap), ["turn a b a"]);
    let ring = all(&rows(&[("a", file(3), file(1)), ("b", file(1), file(2)), ("c", file(2), file(3))]));
    assert_eq!(show(&ring), ["turn a b c a"]);
    let down = all(&rows(&[("f", dir(2), file(1)), ("f/x", file(1), None)]));
    assert_eq!(show(&down), ["rm f", "mkdir f", "put f/x"]);
    let up = all(&rows(&[("f", file(1), dir(2)), ("f/x", None, file(1))]));
    assert_eq!(show(&up), ["rm f/x", "rmdir f", "put f"]);
}

#[test]
fn a_name_in_another_case_is_vacated_first() {
    let file_ = all(&rows(&[("README", None, file(1)), ("readme", file(1), None)]));
    assert_eq!(show(&file_), ["mv README readme"]);
    let other = all(&rows(&[("README", None, file(1)), ("readme", file(2), None)]));
    assert_eq!(show(&other), ["rm README", "put readme"]);
    assert_eq!(whys(&other), [Why::InTheWay, Why::New]);
    let directory =
        all(&rows(&[("Dir", None, dir(1)), ("Dir/f", None, file(2)), ("dir", dir(1), None), ("dir/f", file(2), None)]));
    assert_eq!(show(&directory), ["rm Dir/f", "rmdir Dir", "mkdir dir", "put dir/f"]);
    let moved_in = all(&rows(&[("Dir", None, file(1)), ("dir", dir(2), None), ("dir/f", file(1), None)]));
    assert_eq!(show(&moved_in), ["rm Dir", "mkdir dir", "put dir/f"]);
}

#[test]
fn what_a_live_job_touches_waits_and_so_does_what_depends_on_it() {
    let window = rows(&[
        ("a", dir(1), None),
        ("a/b", dir(2), None),
        ("a/b/c", file(3), None),
        ("d", None, dir(4)),
        ("d/e", None, file(5)),
        ("d/f", None, file(6)),
        ("g", file(7), None),
        ("H", None, file(8)),
        ("h", file(9), None),
    ]);
    let busy = |at: &[&str]| at.iter().map(|at| path(at)).collect::<PathSet>();
    for (at, steps, deferred) in [
        (&["a/b"][..], &["put g", "rm H", "put h", "rm d/f", "rm d/e", "rmdir d"][..], 3),
        (&["d/e"], &["mkdir a", "mkdir a/b", "put a/b/c", "put g", "rm H", "put h", "rm d/f"], 2),
        (&["G/x", "A", "d"], &["rm H", "put h"], 7),
        (&["H"], &["mkdir a", "mkdir a/b", "put a/b/c", "put g", "rm d/f", "rm d/e", "rmdir d"], 2),
    ] {
        let plan = plan(&window, &Stage::All, ALLOWED, &busy(at));
        assert_eq!((show(&plan), plan.deferred), (steps.iter().map(ToString::to_string).collect(), deferred), "{at:?}");
    }
}

#[test]
fn the_source_of_a_file_that_waits_is_kept_for_it() {
    let mut window = rows(&[("d", None, dir(1)), ("d/a", None, file(2)), ("d/b", None, file(3)), ("e", file(2), None)]);
    window.rows[3].due = false;
    let plan = all(&window);
    assert_eq!((show(&plan), plan.deferred), (vec!["rm d/b".to_owned()], 3));
    // But not if that keeps something else from its place.
    window.rows[0].observed = file(9);
    assert_eq!(show(&all(&window)), ["rm d/b", "rm d/a", "rmdir d", "put d"]);
}

#[test]
fn nothing_is_taken_off_while_removals_are_held() {
    let plan = plan(
        &rows(&[
            ("a", None, file(1)),
            ("b", file(1), None),
            ("c", file(2), dir(3)),
            ("c/x", None, file(4)),
            ("d", dir(5), file(6)),
            ("d/y", file(7), None),
            ("e", file(8), file(9)),
        ]),
        &Stage::All,
        HELD,
        &PathSet::default(),
    );
    assert_eq!((show(&plan), plan.held, plan.deferred), (vec!["put b".to_owned(), "put e".to_owned()], 4, 3));
}

#[test]
fn a_directory_that_became_a_file_and_is_not_wholly_in_the_window_is_emptied_first() {
    let mut window = rows(&[("a", file(1), dir(2)), ("a/x", None, dir(3)), ("a/x/y", None, file(4)), ("a/z", None, file(5))]);
    window.cut = Some(path("a/z"));
    let fill = |after: Option<&str>| Stage::Fill { after: after.map(path) };
    let free = PathSet::default();
    let cut = plan(&window, &fill(None), ALLOWED, &free);
    assert_eq!((show(&cut), cut.deferred), (["rm a/z", "rm a/x/y", "rmdir a/x"].map(String::from).to_vec(), 1));
    window.cut = Some(path("b"));
    assert_eq!(show(&plan(&window, &fill(None), ALLOWED, &free)), ["rm a/z", "rm a/x/y", "rmdir a/x", "rmdir a", "put a"]);
    assert_eq!(show(&plan(&window, &fill(Some("a")), ALLOWED, &free)).len(), 5, "nothing of it is before the window");
    assert_eq!(show(&plan(&window, &fill(Some("a/w")), ALLOWED, &free)), ["rm a/z", "rm a/x/y", "rmdir a/x"]);
}

#[test]
fn a_stage_does_its_own_part() {
    let window = rows(&[
        ("a", None, dir(1)),
        ("a/b", None, file(2)),
        ("c", file(2), None),
        ("d", None, file(3)),
        ("e", None, file(4)),
        ("E", file(5), None),
    ]);
    let free = PathSet::default();
    let fill = plan(&window, &Stage::Fill { after: None }, ALLOWED, &free);
    assert_eq!((show(&fill), fill.deferred), (["rm e", "put E", "mv a/b c"].map(String::from).to_vec(), 0));
    let held = plan(&window, &Stage::Fill { after: None }, HELD, &free);
    assert_eq!((show(&held), held.held, held.deferred), (vec!["put c".to_owned()], 1, 1), "only e is in the way");
    let vacate = |before: Option<&str>| plan(&window, &Stage::Vacate { before: before.map(path) }, ALLOWED, &free);
    assert_eq!(show(&vacate(None)), ["rm e", "rm d", "rm a/b", "rmdir a"]);
    assert_eq!(show(&vacate(Some("a/c"))), ["rm e", "rm d", "rm a/b"], "something may be left in a");
    assert_eq!(vacate(Some("a/c")).deferred, 1);
}

#[test]
fn rows_that_contradict_each_other_wait() {
    // A scan noted that `a` is a file, but not yet that what was below it is gone.
    let plan = all(&rows(&[("a", file(1), dir(2)), ("a/x", file(3), file(4)), ("b", None, None), ("c", file(5), file(5))]));
    assert_eq!((show(&plan), plan.deferred), (vec![], 2));
}

#[test]
fn depth_and_length_cost_no_stack() {
    let name = |i: usize| format!("f{i:06}");
    // f0 <- f1 <- ... <- f0: one ring of 50,000 moves.
    let count = 50_000u64;
    let ring: Vec<Row> = (0..count)
        .map(|i| Row { path: path(&name(i as usize)), observed: file((i + 1) % count + 1), recorded: file(i + 1), due: true })
        .collect();
    let plan = all(&Window { rows: ring, ..Window::default() });
    assert_eq!(plan.steps.len(), 50_000);
    assert_eq!(plan.steps.iter().filter(|step| matches!(step.operation, Operation::Put { .. })).count(), 1);

    let deep: Vec<Row> = (1..=1000)
        .map(|depth| Row { path: path(&vec!["d"; depth].join("/")), observed: dir(1), recorded: None, due: true })
        .chain((1..=1000).map(|depth| Row {
            path: path(&vec!["e"; depth].join("/")),
            observed: None,
            recorded: dir(1),
            due: true,
        }))
        .collect();
    assert_eq!(all(&Window { rows: deep, ..Window::default() }).steps.len(), 2000);
}

/// 3,000 names that differ in case only, half of them gone: each is looked at once, not once for each other.
#[test]
fn many_names_that_differ_in_case_are_planned() {
    let spell = |n: u32| -> String { (0..12).map(|bit| if n >> bit & 1 == 1 { 'A' } else { 'a' }).collect() };
    let rows: Vec<Row> = (0..3000)
        .map(|n| {
            let (observed, recorded) = if n % 2 == 0 { (file(1), None) } else { (None, file(2)) };
            Row { path: path(&spell(n)), observed, recorded, due: true }
        })
        .collect();
    let plan = all(&Window { rows, ..Window::default() });
    assert_eq!(plan.steps.len(), 3000);
    assert!(plan.steps[..1500].iter().all(|step| step.operation.removes()));
}

/// A directory renamed in case only: every file of it closes a cycle of its own.
#[test]
fn many_cycles_through_one_directory_are_broken() {
    let rows: Vec<Row> = ["Dir", "dir"]
        .into_iter()
        .flat_map(|name| {
            let side = move |entry| if name == "dir" { (entry, None) } else { (None, entry) };
            (0..20_000u64).map(move |i| {
                let at = if i == 0 { name.to_owned() } else { format!("{name}/{i}") };
                let (observed, recorded) = side(if i == 0 { dir(1) } else { file(i) });
                Row { path: path(&at), observed, recorded, due: true }
            })
        })
        .collect();
    let plan = all(&Window { rows, ..Window::default() });
    assert_eq!(plan.steps.len(), 40_000);
    assert!(!plan.steps.iter().any(|step| step.why == Why::Moved));
}
