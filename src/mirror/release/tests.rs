use super::*;
use crate::model::UnixMillis;

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a path")
}

fn put(name: &str, why: Why) -> Step {
    let print = Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1, inode: 1 };
    Step { operation: Operation::Put { path: path(name), print, equal_to: None, mode: None, like: None }, why }
}

fn make(name: &str, why: Why) -> Step {
    Step { operation: Operation::MakeDir { path: path(name), inode: 1, mode: None }, why }
}

fn remove(name: &str, why: Why) -> Step {
    Step { operation: Operation::RemoveFile { path: path(name) }, why }
}

fn rename(from: &str, to: &str) -> Step {
    let print = Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1, inode: 1 };
    let operation = Operation::Rename { from: path(from), to: path(to), print, digest: None, mode: None, retime: false };
    Step { operation, why: Why::Moved }
}

fn shown(operations: &[Operation]) -> Vec<String> {
    operations.iter().map(|operation| format!("{} {}", operation.verb(), operation.path())).collect()
}

#[test]
fn ahead_is_what_nobody_sees() {
    let plan = vec![
        make("new", Why::New),
        put("new/a", Why::New),
        remove("kind", Why::KindChanged),
        make("kind", Why::KindChanged),
        make("kind/d", Why::New),
        put("kind/d/x", Why::New),
        put("changed", Why::Changed),
        put("staged", Why::Changed),
        rename("old", "moved"),
        remove("gone", Why::Vanished),
    ];
    let Split { ahead, steps } = split(plan, |put| put.path() == &path("staged"));
    let ahead: Vec<String> =
        ahead.iter().map(|(operation, beside)| format!("{} {} {beside}", operation.verb(), operation.path())).collect();
    assert_eq!(ahead, ["make directory new new", "put new/a new/a", "put kind/d/x kind", "put changed changed"]);
    assert_eq!(steps.len(), 9, "all but the new directory");
}

#[test]
fn new_ones_come_first_and_removals_last_but_nothing_before_what_it_needs() {
    let plan = vec![
        put("changed", Why::Changed),
        remove("kind", Why::KindChanged),
        make("kind", Why::KindChanged),
        put("kind/x", Why::New),
        rename("old", "moved"),
        rename("other", "elsewhere"),
        put("old", Why::Changed),
        put("new", Why::New),
        remove("d/gone", Why::Vanished),
        Step { operation: Operation::RemoveDir { path: path("d") }, why: Why::Vanished },
        remove("gone", Why::Vanished),
    ];
    assert_eq!(
        shown(&order(plan)),
        [
            "put new",
            "remove kind",
            "make directory kind",
            "put kind/x",
            "rename moved",
            "put old",
            "rename elsewhere",
            "put changed",
            "remove d/gone",
            "remove gone",
            "remove directory d"
        ]
    );
}

#[test]
fn one_flight_holds_what_has_nothing_to_do_with_each_other() {
    let part = |step: Step, temp: Option<&str>| {
        let mut part = Part::new(step.operation);
        part.job.temp = temp.map(path);
        part
    };
    let place = crate::model::place(&path("gone"), UnixMillis(0), 1).expect("a place");
    let parts = [
        part(put("a", Why::New), Some(".towline-1-1.part")),
        part(rename("b", "c"), None),
        part(Step { operation: Operation::Trash { path: path("gone"), place }, why: Why::Vanished }, None),
        part(put("b", Why::New), Some(".towline-1-2.part")),
    ];
    assert_eq!(flight(parts.iter()), 3, "what comes to a name that was moved away waits for that");
    assert_eq!(flight(parts[3..].iter()), 1);
    let aside = Part { sets_aside: true, ..parts[0].clone() };
    assert_eq!(flight([&aside].into_iter()), 0);
    assert_eq!(flight([&part(make("d", Why::New), None)].into_iter()), 0);
    let failed: PathSet = [path("B")].iter().map(RelPath::folded).collect();
    assert!(concerns(&parts[1], &failed) && concerns(&parts[3], &failed) && !concerns(&parts[0], &failed));
}
