//! What is known of the server: names that it alters or takes for one, links, permissions.

use super::*;

const FOLDS: Policy =
    Policy { removals: Removals::Allowed, abilities: Abilities { folds_case: Some(true), ..Abilities::UNKNOWN } };

fn mode(bits: u32) -> Option<Mode> {
    Some(Mode::of(bits))
}

fn link(target: u8) -> Option<Entry> {
    Some(Entry::Link { target: Digest([target; 32]) })
}

fn planned(window: &Window, policy: Policy) -> Plan {
    plan(window, &Stage::All, policy, &PathSet::default())
}

fn parked(plan: &Plan) -> Vec<String> {
    plan.parked.iter().map(|(path, problem)| format!("{path}: {}", problem.detail)).collect()
}

const ONE_WITH: &str = "on this server it is one with";

#[test]
fn of_two_names_that_are_one_the_first_is_mirrored_unless_the_other_is_there() {
    let new = rows(&[("README", file(1), None), ("readme", file(2), None), ("x", file(3), None)]);
    let plan = planned(&new, FOLDS);
    assert_eq!(
        (show(&plan), parked(&plan)),
        (["put README", "put x"].map(String::from).to_vec(), vec![format!("readme: {ONE_WITH} README")])
    );
    assert_eq!(plan.parked[0].1.reason, Reason::Twin);
    assert_eq!(plan.deferred, 0, "nothing that ends can change it");
    assert_eq!(show(&planned(&new, ALLOWED)).len(), 3, "while nobody knows");

    let there = rows(&[("README", file(1), None), ("readme", file(2), file(2))]);
    let plan = planned(&there, FOLDS);
    assert_eq!((show(&plan), parked(&plan)), (vec![], vec![format!("README: {ONE_WITH} readme")]));

    // Not pending, so it comes as a twin.
    let mut there = rows(&[("README", file(1), None), ("Readme", file(4), None)]);
    there.twins = rows(&[("readme", file(2), file(2))]).rows;
    let plan = planned(&there, FOLDS);
    assert_eq!((show(&plan), plan.parked.len()), (vec![], 2));
}

#[test]
fn a_name_is_free_when_its_twin_is_gone() {
    let mut window = rows(&[("readme", file(2), None)]);
    window.twins = rows(&[("README", None, file(1))]).rows;
    let plan = planned(&window, FOLDS);
    assert_eq!((show(&plan), parked(&plan)), (["rm README", "put readme"].map(String::from).to_vec(), vec![]));
    let stage = Stage::Fill { after: Some(path("b")) };
    assert_eq!(show(&super::plan(&window, &stage, FOLDS, &PathSet::default())), ["rm README", "put readme"]);
}

#[test]
fn a_twin_from_elsewhere_is_only_looked_at() {
    let mut window = rows(&[("README", file(1), None)]);
    window.twins = rows(&[("readme", file(2), None)]).rows;
    assert_eq!(show(&planned(&window, FOLDS)), ["put README"]);
    // Of a directory from elsewhere nobody knows whether all that is in it is in the window.
    let mut window = rows(&[("dir", dir(1), None), ("dir/f", file(2), None)]);
    window.twins = rows(&[("Dir", None, dir(3))]).rows;
    let stage = Stage::Fill { after: Some(path("c")) };
    let plan = super::plan(&window, &stage, FOLDS, &PathSet::default());
    assert_eq!((show(&plan), plan.deferred), (vec![], 2));
}

#[test]
fn below_a_directory_that_is_not_mirrored_nothing_is_and_nothing_has_a_claim() {
    let plan = planned(
        &rows(&[
            ("Dir", dir(1), None),
            ("Dir/only", file(2), None),
            ("Dir/z", file(3), None),
            ("dir", dir(4), dir(4)),
            ("dir/Z", file(5), None),
            ("dir/z", file(6), None),
        ]),
        FOLDS,
    );
    assert_eq!(show(&plan), ["put dir/Z"]);
    assert_eq!(parked(&plan), [format!("Dir: {ONE_WITH} dir"), format!("dir/z: {ONE_WITH} dir/Z")]);
}

#[test]
fn a_parked_name_keeps_nothing_else_from_its_place() {
    let plan = planned(&rows(&[("a", None, file(1)), ("README", file(2), file(2)), ("readme", file(1), None)]), FOLDS);
    assert_eq!(show(&plan), ["rm a"], "the source of a move that cannot be");
}

#[test]
fn a_name_that_this_server_alters_is_parked_with_all_below_it() {
    let abilities = Abilities { leading_spaces: Some(false), trailing_spaces: Some(false), ..Abilities::UNKNOWN };
    let window = rows(&[
        (" d", dir(1), None),
        (" d/f", file(2), None),
        ("e ", None, file(3)),
        ("g", file(4), None),
        ("g ", file(5), file(6)),
    ]);
    let plan = planned(&window, Policy { removals: Removals::Allowed, abilities });
    assert_eq!(show(&plan), ["put g", "rm e "]);
    let names: Vec<_> = plan.parked.iter().map(|(path, problem)| (path.to_string(), problem.reason)).collect();
    assert_eq!(names, [(" d".into(), Reason::Altered), ("g ".into(), Reason::Altered)]);
}

#[test]
fn links_are_made_last_and_not_where_they_cannot_be() {
    let window = rows(&[
        ("a", link(1), None),
        ("b", file(1), None),
        ("c", link(1), link(2)),
        ("d", link(1), file(2)),
        ("e", None, link(1)),
    ]);
    assert_eq!(show(&planned(&window, ALLOWED)), ["put b", "ln a", "ln c", "rm d", "ln d", "rm e"]);
    let abilities = Abilities { symlink: Some(false), ..Abilities::UNKNOWN };
    let plan = planned(&window, Policy { removals: Removals::Allowed, abilities });
    assert_eq!((show(&plan), plan.parked.len()), (["put b", "rm e"].map(String::from).to_vec(), 3));
    assert!(plan.parked.iter().all(|(_, problem)| problem.reason == Reason::NoLinks));
}

#[test]
fn permissions_alone_are_set_and_otherwise_go_along() {
    let with = |entry: Option<Entry>, bits| entry.map(|entry| entry.with_mode(mode(bits)));
    let window = rows(&[
        ("a", with(file(1), 0o600), with(file(1), 0o644)),
        ("b", with(dir(1), 0o700), dir(1)),
        ("c", with(dir(2), 0o700), dir(3)),
        ("d", with(read(1, 7), 0o600), with(read(2, 7), 0o600)),
        ("e", with(read(3, 7), 0o600), read(4, 7)),
        ("f", with(unread(1), 0o600), with(read(2, 7), 0o644)),
        ("g", file(1), with(file(1), 0o644)),
    ]);
    let plan = planned(&window, ALLOWED);
    assert_eq!(show(&plan), ["put f unless 7", "chmod 600 a", "chmod 700 b", "chmod 700 c", "chmod 600 e"]);
    let records: Vec<_> = plan.records.iter().map(|(path, entry)| (path.to_string(), entry.mode())).collect();
    assert_eq!(records, [("c".into(), None), ("d".into(), mode(0o600)), ("e".into(), None)]);

    let new = rows(&[
        ("d", with(dir(1), 0o711), None),
        ("f", with(file(2), 0o640), None),
        ("g", None, file(3)),
        ("h", with(file(3), 0o600), None),
    ]);
    let modes: Vec<_> = planned(&new, ALLOWED)
        .steps
        .iter()
        .map(|step| match step.operation {
            Operation::MakeDir { mode, .. } | Operation::Put { mode, .. } | Operation::Rename { mode, .. } => mode,
            _ => None,
        })
        .collect();
    assert_eq!(modes, [mode(0o711), mode(0o640), mode(0o600)]);
}

/// The copy once kept the old file's time after a move that was found by content.
#[test]
fn a_file_that_moved_by_its_content_gets_its_own_time() {
    let retimes = |window: &Window| match all(window).steps.as_slice() {
        [Step { operation: Operation::Rename { retime, .. }, .. }] => *retime,
        other => panic!("{other:?}"),
    };
    assert!(!retimes(&rows(&[("a", None, file(1)), ("b", file(1), None)])));
    assert!(retimes(&rows(&[("a", None, read(1, 7)), ("b", read(2, 7), None)])));
}
