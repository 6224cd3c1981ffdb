use super::*;
use crate::model::Kind;

impl Fresh {
    fn ledger(&self, path: &str) -> Ledger {
        self.index.ledger(Some(&p(path))).unwrap()
    }
}

#[test]
fn a_path_is_told_with_what_lies_below_and_what_keeps_it() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("d", dir(1)), ("d/same", file(1, 2)), ("dd", file(1, 3))]);
    assert_eq!(fresh.ledger("no/such"), Ledger::default());
    let same = fresh.ledger("d/same");
    assert_eq!((same.observed, same.recorded, same.pending), (Some(file(1, 2)), Some(file(1, 2)), false));
    fresh.sees(&[("d/e", dir(4)), ("d/e/new", file(1, 5)), ("dd", file(2, 3))]);
    assert_eq!(fresh.ledger("d").pending_below, 2, "a name that begins alike lies elsewhere");
    assert!(!fresh.ledger("d").pending && fresh.ledger("d/e").pending && fresh.ledger("dd").pending);
    assert_eq!(fresh.index.ledger(None).unwrap().pending_below, 3);
    assert_eq!(fresh.ledger("dd").since, Some(at(1)));

    // Of several kept ones the first that is tried again by itself is told, and of a path the nearest above it.
    let job = fresh.begin(put("d/e/new", 1, 5));
    assert!(fresh.ledger("d").promised && fresh.ledger("d/e/new").promised && !fresh.ledger("dd").promised);
    fresh.index.park(&[(p("d/e"), refused())]).unwrap();
    assert_eq!(fresh.ledger("d/e/new").trouble.unwrap().path, p("d/e"));
    fresh.settle(&job, Outcome::Failed(refused()), Some(at(9)));
    let own = fresh.ledger("d/e/new").trouble.unwrap();
    assert_eq!((own.path, own.attempts, own.retry_at), (p("d/e/new"), 1, Some(at(9))));
    assert_eq!(fresh.ledger("d").trouble_below.unwrap().path, p("d/e/new"));
    assert_eq!(fresh.index.reader().unwrap().ledger(Some(&p("d"))).unwrap(), fresh.ledger("d"));
    assert!(!fresh.ledger("d").promised);
}

#[test]
fn what_is_disowned_stays_on_the_server_whatever_is_told_of_it() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("d", dir(1)), ("d/a", file(1, 2)), ("b", file(1, 3)), ("kept", file(1, 4))]);
    fresh.sees(&[("new", file(1, 5))]);
    fresh.loses(&["d", "b"]);
    let job = fresh.begin(Operation::RemoveFile { path: p("b") });
    fresh.settle(&job, Outcome::InDoubt(refused()), None);
    assert_eq!(fresh.index.disown(at(4)).unwrap(), 2);
    assert_eq!(fresh.pending(), ["new"]);
    assert_eq!(fresh.index.left_there(None, 9).unwrap(), [p("b"), p("d"), p("d/a")]);
    let found = fresh.index.recorded(&[p("d/a")]).unwrap();
    let [Some(Entry::File { print: left, .. })] = found[..] else { panic!("{found:?}") };
    let Entry::File { print, .. } = file(1, 2) else { unreachable!() };
    assert_eq!((left.size, left.mtime_ns), (print.size, print.mtime_ns));
    assert_eq!(fresh.index.deletes().unwrap().files, 0);
    fresh.index.resolve(job.id, &[(p("b"), Some(Stat { kind: Kind::File, size: Some(1) }))], at(5)).unwrap();
    assert_eq!(fresh.pending(), ["new"], "it is not ours any more, and so it is not ours to remove");
    assert_eq!(fresh.both("kept"), (Some(file(1, 4)), Some(file(1, 4))));
    assert_eq!(fresh.index.disown(at(4)).unwrap(), 0);
    let reader = fresh.index.reader().unwrap();
    let left = ["b", "d", "d/a", "kept", "new"].map(|path| reader.is_left(&p(path)).unwrap());
    assert_eq!(left, [true, true, true, false, false], "and it is known why it is there");
}
