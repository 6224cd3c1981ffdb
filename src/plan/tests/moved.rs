//! Directories that the server has under another name.

use super::*;
use crate::model::MovedDir;

fn moved(from: &str, to: &str, rest: &[&str]) -> MovedDir {
    MovedDir { from: path(from), to: path(to), rest: rest.iter().map(|at| path(at)).collect() }
}

fn with(mut window: Window, dirs: &[MovedDir]) -> Window {
    window.moved = dirs.to_vec();
    window
}

/// `old` is `new` now, with an edit; a file of it is gone, one has come in from elsewhere, and one went out.
fn a_move() -> Window {
    let window = rows(&[
        ("elsewhere", None, file(8)),
        ("new", dir(1), None),
        ("new/a", file(2), None),
        ("new/b", file(33), None),
        ("new/in", file(8), None),
        ("old", None, dir(1)),
        ("old/a", None, file(2)),
        ("old/b", None, file(3)),
        ("old/gone", None, file(4)),
        ("old/out", None, file(5)),
        ("out", file(5), None),
        ("unrelated", None, file(6)),
        ("z", file(9), None),
    ]);
    with(window, &[moved("old", "new", &["old/gone", "old/out"])])
}

#[test]
fn what_goes_first_goes_and_the_rest_comes_when_it_is_renamed() {
    let plan = all(&a_move());
    assert_eq!(show(&plan), ["mv old/out out", "rm old/gone", "mv old/ new/", "put z"]);
    assert_eq!((plan.unmoved, plan.held), (vec![], 0));
    assert!(plan.deferred > 0, "the edit, what came in, and what is gone elsewhere");
}

#[test]
fn nothing_is_renamed_where_removals_are_not_allowed() {
    for removals in [Removals::Held, Removals::HeldWithChanges, Removals::Kept] {
        let policy = Policy { removals, ..ALLOWED };
        let shown = show(&plan(&a_move(), &Stage::All, policy, &PathSet::default()));
        assert!(!shown.iter().any(|step| step.starts_with("mv")), "{shown:?}");
        assert!(shown.contains(&"put new/a".to_owned()), "{shown:?}");
    }
}

#[test]
fn while_somebody_works_in_it_all_of_it_waits() {
    for busy in ["old/b", "new/a", "old", "new"] {
        let busy: PathSet = [path(busy)].into_iter().collect();
        let plan = plan(&a_move(), &Stage::All, ALLOWED, &busy);
        let shown = show(&plan);
        assert!(!shown.iter().any(|step| step.contains("new") || step.contains("mv old/ ")), "{busy:?}: {shown:?}");
        assert!(!shown.contains(&"rm unrelated".to_owned()), "{shown:?}");
        assert_eq!(plan.unmoved, []);
    }
}

#[test]
fn what_cannot_be_renamed_is_planned_as_ever() {
    let mut parked = a_move();
    parked.rows.iter_mut().find(|row| row.path == path("old/gone")).expect("there").due = false;
    let plan = all(&parked);
    assert_eq!(plan.unmoved, [path("new")]);
    assert!(show(&plan).starts_with(&["mkdir new", "mv old/a new/a"].map(String::from)), "{:?}", show(&plan));
    // Not the directory that was moved.
    let mut other = a_move();
    other.rows[1].observed = dir(77);
    assert_eq!(all(&other).unmoved, [path("new")]);
}

#[test]
fn a_directory_may_be_renamed_into_one_that_is_made_and_out_of_one_that_goes() {
    let window = rows(&[
        ("a", None, dir(1)),
        ("a/d", None, dir(2)),
        ("a/d/f", None, file(3)),
        ("b", dir(4), None),
        ("b/e", dir(2), None),
        ("b/e/f", file(3), None),
    ]);
    assert_eq!(show(&all(&with(window, &[moved("a/d", "b/e", &[])]))), ["mkdir b", "mv a/d/ b/e/"]);
    // The one that held it takes its place in it.
    let window = rows(&[
        ("a", None, dir(1)),
        ("a/b", None, dir(2)),
        ("a/b/f", None, file(3)),
        ("a/g", None, file(5)),
        ("b", dir(2), None),
        ("b/a", dir(1), None),
        ("b/a/g", file(5), None),
        ("b/f", file(3), None),
    ]);
    let dirs = [moved("a/b", "b", &[])];
    assert_eq!(show(&all(&with(window, &dirs))), ["mv a/b/ b/"]);
}

/// `a` and `b` are called otherwise round; in `b`, which is `a` now, there is an edit, and a file of it is gone.
fn a_swap() -> Window {
    rows(&[
        ("a", dir(2), dir(1)),
        ("a/f", file(4), file(3)),
        ("b", dir(1), dir(2)),
        ("b/f", file(3), file(4)),
        ("b/g", file(77), None),
        ("a/g", None, file(5)),
        ("a/gone", None, file(6)),
        ("z", None, file(8)),
    ])
}

#[test]
fn directories_that_took_each_others_names_are_renamed_in_turn() {
    let window = with(a_swap(), &[moved("b", "a", &[]), moved("a", "b", &[])]);
    let plan_ = all(&window);
    assert_eq!((show(&plan_), plan_.unmoved.len()), (vec!["turn b/ a/ b/".to_owned()], 0));
    // In any stretch.
    let stage = Stage::Fill { after: Some(path("a/x")) };
    let stretch = plan(&window, &stage, ALLOWED, &PathSet::default());
    assert_eq!(show(&stretch), ["turn b/ a/ b/"]);
    assert!(plan_.deferred > 0, "what is in them, and what is gone elsewhere");
    for removals in [Removals::Held, Removals::Kept] {
        let shown = show(&plan(&window, &Stage::All, Policy { removals, ..ALLOWED }, &PathSet::default()));
        assert!(!shown.iter().any(|step| step.starts_with("turn")), "{shown:?}");
    }
    let busy: PathSet = [path("b/f")].into_iter().collect();
    assert_eq!(show(&plan(&window, &Stage::All, ALLOWED, &busy)), Vec::<String>::new());
    let ring = rows(&[
        ("a", dir(3), dir(1)),
        ("b", dir(1), dir(2)),
        ("c", dir(2), dir(3)),
        ("a/f", None, file(4)),
        ("b/f", file(4), None),
    ]);
    let ring = with(ring, &[moved("c", "a", &[]), moved("b", "c", &[]), moved("a", "b", &[])]);
    assert_eq!(show(&all(&ring)), ["turn c/ a/ b/ c/"]);
}

#[test]
fn those_that_cannot_be_renamed_in_turn_are_planned_as_ever() {
    let mut other = with(a_swap(), &[moved("b", "a", &[]), moved("a", "b", &[])]);
    other.rows[0].observed = dir(99);
    let plan = all(&other);
    assert_eq!(plan.unmoved.len(), 2);
    assert!(show(&plan).contains(&"turn a/f b/f a/f".to_owned()), "{:?}", show(&plan));
}

#[test]
fn of_a_stretch_without_its_new_name_nothing_is_removed() {
    let window = rows(&[("old", None, dir(1)), ("old/a", None, file(2)), ("p", file(3), None)]);
    let window = with(window, &[moved("old", "zz", &[])]);
    let plan = plan(&window, &Stage::Fill { after: None }, ALLOWED, &PathSet::default());
    assert_eq!((show(&plan), plan.unmoved), (vec!["put p".to_owned()], vec![]));
}
