//! What is proven of the server's copies, and for how long that holds.

use super::*;
use crate::model::{Proof, ProofWay};

fn proves(fresh: &mut Fresh, path: &str, way: ProofWay, when: i64) {
    let recorded = fresh.both(path).1.unwrap();
    assert_eq!(fresh.index.found(&[(p(path), recorded, Found::AsRecorded(way))], at(when)).unwrap(), 0);
}

fn proof(fresh: &Fresh, path: &str) -> Option<Proof> {
    fresh.index.ledger(Some(&p(path))).unwrap().proof
}

#[test]
fn a_proof_holds_until_something_else_is_recorded() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", file(1, 1)), ("b", file(1, 2)), ("c", file(1, 3)), ("d", dir(4))]);
    assert_eq!(fresh.index.proofs().unwrap(), Proofs::default());
    proves(&mut fresh, "a", ProofWay::Size, 20);
    proves(&mut fresh, "b", ProofWay::Checksum, 30);
    proves(&mut fresh, "c", ProofWay::Reading, 40);
    proves(&mut fresh, "a", ProofWay::Checksum, 50);
    assert_eq!(fresh.index.proofs().unwrap(), Proofs { by_size: 0, by_checksum: 2, by_reading: 1, oldest: Some(at(30)) });
    assert_eq!(proof(&fresh, "a"), Some(Proof { at: at(50), way: ProofWay::Checksum }));
    fresh.sees(&[("b", file(2, 5))]);
    assert!(proof(&fresh, "b").is_some(), "a change here changes nothing there");
    fresh.holds(&[("b", file(2, 5))]);
    fresh.index.record(&[(p("c"), file(1, 3))], at(60)).unwrap();
    assert_eq!((proof(&fresh, "b"), proof(&fresh, "c").is_some()), (None, true));
    fresh.loses(&["a"]);
    let job = fresh.begin(Operation::RemoveFile { path: p("a") });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    let fresh = fresh.reopen();
    assert_eq!(fresh.index.proofs().unwrap(), Proofs { by_size: 0, by_checksum: 0, by_reading: 1, oldest: Some(at(40)) });
}

#[test]
fn what_was_found_counts_only_for_what_was_looked_at() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", file(1, 1)), ("b", file(1, 2)), ("d", dir(3)), ("d/e", file(1, 4))]);
    let rows = fresh.index.recorded_after(Some(&p("a")), 2).unwrap();
    assert_eq!(names(&rows), ["b", "d"]);
    let looked_at = |path: &str, entry: Entry, found: Found| (p(path), entry, found);
    fresh.holds(&[("a", file(2, 9))]);
    let job = fresh.begin(Operation::RemoveFile { path: p("b") });
    let late = [looked_at("a", file(1, 1), Found::Nothing), looked_at("b", file(1, 2), Found::Other(None))];
    assert_eq!(fresh.index.found(&late, at(7)).unwrap(), 0, "it was sent anew, or is about to be");
    fresh.settle(&job, Outcome::Untouched, None);
    assert_eq!(fresh.pending(), [""; 0]);
    assert_eq!(fresh.index.found(&[looked_at("d", dir(3), Found::Nothing)], at(7)).unwrap(), 2, "with all that was in it");
    assert_eq!(fresh.pending(), ["d", "d/e"]);
}

#[test]
fn another_copy_is_pending_and_known_as_drift() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", file(1, 1)), ("b", file(1, 2))]);
    let problem = Problem::new(Reason::Drift, "other content");
    let found = [(p("a"), file(1, 1), Found::Other(None)), (p("b"), file(1, 2), Found::Other(Some(problem)))];
    assert_eq!(fresh.index.found(&found, at(7)).unwrap(), 2);
    assert_eq!(fresh.pending(), ["a", "b"]);
    let (Some(Entry::File { print: here, .. }), Some(Entry::File { print: there, digest: None, .. })) = fresh.both("a") else {
        panic!("a file on both sides")
    };
    assert_eq!((here.size, here.mtime_ns, 0), (there.size, there.mtime_ns, there.inode), "what was sent is compared with");
    assert_eq!(fresh.index.tally(at(8)).unwrap().parked, 1);
    assert_eq!(fresh.index.give_up_drift(None, at(9)).unwrap(), 1);
    assert_eq!(fresh.index.tally(at(10)).unwrap().parked, 0);
}
