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

#[test]
fn of_a_stretch_without_its_new_name_nothing_is_removed() {
    let window = rows(&[("old", None, dir(1)), ("old/a", None, file(2)), ("p", file(3), None)]);
    let window = with(window, &[moved("old", "zz", &[])]);
    let plan = plan(&window, &Stage::Fill { after: None }, ALLOWED, &PathSet::default());
    assert_eq!((show(&plan), plan.unmoved), (vec!["put p".to_owned()], vec![]));
}
