//! Names that differ in case only, what is parked by its name, and files that an older version wrote.

use super::*;
use crate::model::Kind;

const STAT: Option<Stat> = Some(Stat { kind: Kind::File, size: Some(3) });

fn folding() -> Fresh {
    let mut fresh = Fresh::new();
    fresh.index.fold(true).unwrap();
    fresh
}

fn twins(fresh: &Fresh, paths: &[&str]) -> Vec<String> {
    let rows = fresh.index.window(None, 100, at(5)).unwrap().rows;
    let rows: Vec<Row> = rows.into_iter().filter(|row| paths.contains(&&*row.path.to_string())).collect();
    assert_eq!(rows.len(), paths.len());
    names(&fresh.index.twins(&rows, at(5)).unwrap())
}

#[test]
fn twins_are_found_at_every_level() {
    let mut fresh = folding();
    fresh.holds(&[("Dir", dir(1)), ("Dir/f", file(1, 2)), ("dir.x", file(1, 9))]);
    fresh.sees(&[("dir", dir(3)), ("dir/F", file(1, 4)), ("dir/g", file(1, 5)), ("\u{c9}", file(1, 6)), ("\u{e9}", file(1, 7))]);
    assert_eq!(twins(&fresh, &["dir/F"]), ["Dir", "Dir/f", "dir"]);
    assert_eq!(twins(&fresh, &["dir", "dir/F", "dir/g"]), ["Dir", "Dir/f"]);
    assert_eq!(twins(&fresh, &["\u{c9}"]), ["\u{e9}"]);
    fresh.loses(&["Dir"]);
    assert_eq!(twins(&fresh, &["Dir/f"]), [""; 0], "of what is gone nobody asks");
    fresh.index.fold(false).unwrap();
    assert_eq!(twins(&fresh, &["dir/F"]), [""; 0]);
}

#[test]
fn a_name_is_taken_from_its_twin() {
    let mut fresh = folding();
    fresh.holds(&[("README", file(3, 1))]);
    fresh.sees(&[("readme", file(3, 2))]);
    let job = fresh.begin(put("readme", 3, 2));
    fresh.settle(&job, sent(3, 2, 5), None);
    assert_eq!((fresh.both("README").1, fresh.both("readme").1), (None, Some(read(3, 2, 5))));
}

/// What the server said of a name in doubt was once recorded of both of two that it takes for one.
#[test]
fn a_doubt_is_not_answered_by_the_twin() {
    let of = |path: &str| Operation::Rename {
        from: p("README"),
        to: p(path),
        print: print(3, 1),
        digest: None,
        mode: None,
        retime: false,
    };
    for operation in [put("readme", 3, 2), of("readme"), Operation::MakeDir { path: p("readme"), inode: 4, mode: None }] {
        let mut fresh = folding();
        fresh.holds(&[("README", read(3, 1, 5))]);
        let job = fresh.begin(operation);
        let mut fresh = fresh.reopen();
        fresh.index.fold(true).unwrap();
        fresh.index.resolve(job.id, &[(p("README"), STAT), (p("readme"), STAT)], at(5)).unwrap();
        assert_eq!((fresh.both("README").1, fresh.both("readme").1), (Some(read(3, 1, 5)), None));
    }
    let mut fresh = folding();
    let job = fresh.begin(put("readme", 3, 2));
    fresh.index.resolve(job.id, &[(p("readme"), STAT)], at(5)).unwrap();
    assert!(fresh.both("readme").1.is_some(), "there is no twin");
}

#[test]
fn of_twins_that_were_recorded_before_it_was_known_one_stays() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("A", dir(1)), ("A/F", read(3, 2, 1)), ("a", dir(3)), ("a/f", read(3, 4, 2)), ("a/g", read(3, 5, 3))]);
    fresh.index.fold(true).unwrap();
    let recorded = ["A", "A/F", "a", "a/f", "a/g"].map(|path| fresh.both(path).1);
    let unknown = Some(Entry::file(Fingerprint::unknown(3), None));
    assert_eq!(recorded, [Some(dir(1)), unknown, None, None, Some(read(3, 5, 3))]);
}

#[test]
fn what_is_parked_by_its_name_is_judged_anew_each_time() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("a", file(1, 1)), ("b", file(1, 2))]);
    let twin = Problem::new(Reason::Twin, "x");
    fresh.index.park(&[(p("a"), twin.clone()), (p("none"), twin.clone())]).unwrap();
    let problems = fresh.index.problems(9).unwrap();
    assert_eq!(problems, [PathProblem { path: p("a"), problem: twin, attempts: 0, retry_at: None, since: Some(at(1)) }]);
    assert!(fresh.index.window(None, 9, at(2)).unwrap().rows.iter().all(|row| row.due));
    assert_eq!(fresh.index.tally(at(2)).unwrap().parked, 1);
    fresh.index.record(&[(p("a"), file(1, 1))], at(3)).unwrap();
    assert_eq!(fresh.index.tally(at(2)).unwrap().parked, 0);
}

#[test]
fn a_file_of_the_first_version_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("index.db");
    let db = connect::read_write(&file, &SCHEMA[..1]).unwrap();
    db.execute_batch(
        "INSERT INTO entry (path, o_kind, o_size, o_mtime, o_ctime, o_inode, r_kind, r_size, r_mtime, r_ctime, r_inode, r_digest, since,
             attempts, not_before, problem)
         VALUES (X'41', 'dir', 0, 0, 0, 7, NULL, NULL, NULL, NULL, NULL, NULL, 5, 2, 90, '{\"reason\":\"refused\",\"detail\":\"x\"}'),
             (X'4100C3A9', 'file', 3, 1, 2, 8, 'file', 3, 1, 2, 8, zeroblob(32), NULL, 0, NULL, NULL);
         UPDATE total SET observed = 2, recorded_files = 1, recorded_bytes = 3, pending_dirs = 1;
         INSERT INTO job (id, verb, path, begun) VALUES (40, 'remove-file', X'62', 3), (41, 'remove-file', X'63', 3);
         DELETE FROM job WHERE id = 41;",
    )
    .unwrap();
    let before: String = notes::get(&db, Note::Instance).unwrap().unwrap();
    drop(db);
    for _ in 0..2 {
        let mut index = Index::open(&file, at(9)).unwrap();
        assert_eq!(index.instance(), before);
        let rows = index.window(None, 9, at(50)).unwrap().rows;
        assert_eq!(rows, [Row { path: p("A"), observed: Some(Entry::dir(7)), recorded: None, due: false }]);
        let print = Fingerprint { size: 3, mtime_ns: 1, ctime_ns: 2, inode: 8 };
        let recorded = rows::get(&index.db, &p("A/\u{e9}")).unwrap().unwrap().recorded;
        assert_eq!(recorded, Some(Entry::file(print, Some(Digest([0; 32])))));
        assert_eq!(index.live().unwrap().iter().map(|job| job.id).collect::<Vec<_>>(), [JobId(40)]);
        index.fold(true).unwrap();
        index.observe(&[Observation::Is(p("a"), Entry::dir(9))], at(9)).unwrap();
        let rows = index.window(None, 9, at(50)).unwrap().rows;
        assert_eq!(names(&index.twins(&rows[1..], at(50)).unwrap()), ["A"], "its folded key was filled in");
        index.observe(&[Observation::Gone(p("a"))], at(9)).unwrap();
        let job = index.begin(&[put("x", 1, 1)], at(9)).unwrap().remove(0);
        assert!(job.id > JobId(41), "a number is never used again");
        index.settle(&[Settlement { job: job.id, outcome: Outcome::Untouched, retry_at: None }], at(9)).unwrap();
    }
}
