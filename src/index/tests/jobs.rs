use super::*;
use crate::model::{Kind, Mode};

fn rename(from: &str, to: &str, size: u64, inode: u64) -> Operation {
    Operation::Rename { from: p(from), to: p(to), print: print(size, inode), digest: None, mode: None, retime: false }
}

fn stat(size: u64) -> Option<Stat> {
    Some(Stat { kind: Kind::File, size: Some(size) })
}

const A_DIR: Option<Stat> = Some(Stat { kind: Kind::Dir, size: None });

/// What is recorded of a file that is on the server but not known.
fn unknown(size: u64) -> Option<Entry> {
    Some(Entry::file(Fingerprint::unknown(size), None))
}

#[test]
fn a_promise_is_kept_as_it_was_made() {
    let mut fresh = Fresh::new();
    let digest = Some(Digest([7; 32]));
    let operations = [
        Operation::MakeDir { path: p("d"), inode: u64::MAX, mode: Some(Mode::of(0o755)) },
        Operation::Put { path: p("d/f"), print: print(u64::MAX, 3), equal_to: digest, mode: Some(Mode::of(0o640)), like: None },
        put("g", 1, 2),
        Operation::RemoveFile { path: p("x") },
        Operation::RemoveDir { path: p("y") },
        Operation::Rename { from: p("old"), to: p("d/new"), print: print(4, 5), digest, mode: Some(Mode::of(0)), retime: true },
        rename("a", "b", 1, 1),
        Operation::Link { path: p("d/l"), target: Digest([8; 32]) },
        Operation::SetMode { path: p("m"), mode: Mode::of(0o4711) },
        rename("d/Case", "d/case", 1, 1),
        Operation::Trash { path: p("d/t"), place: p(".towline-trash/day/t") },
        Operation::Keep { path: p("d/k"), place: p(".towline-trash/day/k"), print: print(6, 7), unless: digest },
        Operation::Restore { place: p(".towline-trash/day/t"), path: p("d/t") },
        Operation::Revert { place: p(".towline-trash/day/v"), path: p("d/v"), over: print(8, 9) },
        Operation::Expire { place: p(".towline-trash/day/t"), kind: Kind::File },
        Operation::Expire { place: p(".towline-trash/day"), kind: Kind::Dir },
    ];
    let jobs = fresh.index.begin(&operations, at(3)).unwrap();
    assert_eq!(jobs.iter().map(|job| &job.operation).collect::<Vec<_>>(), operations.iter().collect::<Vec<_>>());
    let temps: Vec<_> = jobs.iter().map(|job| job.temp.as_ref().map(ToString::to_string)).collect();
    let instance = fresh.index.instance();
    let temp = |dir: &str, id: i64| Some(format!("{dir}.towline-{instance}-{id:x}.part"));
    let none = || None;
    assert_eq!(
        temps,
        [none(), temp("d/", 2), temp("", 3), none(), none(), none(), none(), temp("d/", 8), none(), temp("d/", 10)]
            .into_iter()
            .chain([none(), none(), none(), none(), none(), none()])
            .collect::<Vec<_>>()
    );
    assert_eq!((fresh.index.live().unwrap(), fresh.index.in_doubt().unwrap()), (jobs.clone(), vec![]));

    let mut fresh = fresh.reopen();
    assert_eq!(fresh.index.in_doubt().unwrap(), jobs);
    fresh.settle(&jobs[6], Outcome::Untouched, None);
    assert!(fresh.begin(put("h", 1, 1)).id > jobs[6].id, "a number is never used again");
}

#[test]
fn what_is_done_is_recorded() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("d", dir(1)), ("d/f", file(3, 2))]);
    let job = fresh.begin(Operation::MakeDir { path: p("d"), inode: 1, mode: None });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    let job = fresh.begin(put("d/f", 3, 2));
    fresh.settle(&job, sent(3, 2, 5), None);
    assert_eq!(fresh.pending(), [""; 0]);
    assert_eq!(fresh.both("d/f"), (Some(read(3, 2, 5)), Some(read(3, 2, 5))), "the digest is known on both sides");

    fresh.sees(&[("d/g", file(3, 2))]);
    fresh.loses(&["d/f"]);
    let job = fresh.begin(rename("d/f", "d/g", 3, 2));
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.both("d/f"), (None, None));
    assert_eq!(fresh.both("d/g"), (Some(file(3, 2)), Some(read(3, 2, 5))), "the content went along; nobody has read the file");

    fresh.loses(&["d"]);
    for operation in [Operation::RemoveFile { path: p("d/g") }, Operation::RemoveDir { path: p("d") }] {
        let job = fresh.begin(operation);
        fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    }
    assert_eq!((fresh.pending(), fresh.index.live().unwrap()), (vec![], vec![]));
    assert_eq!(fresh.index.tally(at(9)).unwrap(), Tally::default());
}

#[test]
fn what_changed_while_it_was_sent_stays_pending() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("f", file(3, 2))]);
    let job = fresh.begin(put("f", 3, 2));
    fresh.sees(&[("f", file(4, 2))]);
    fresh.settle(&job, sent(3, 2, 5), None);
    assert_eq!(fresh.both("f"), (Some(file(4, 2)), Some(read(3, 2, 5))));
    let job = fresh.begin(put("f", 4, 2));
    fresh.loses(&["f"]);
    fresh.settle(&job, sent(4, 2, 6), None);
    assert_eq!(fresh.both("f"), (None, Some(read(4, 2, 6))));
}

#[test]
fn a_file_gone_before_its_first_put_ended_is_to_be_removed() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("f", file(3, 2))]);
    let job = fresh.begin(put("f", 3, 2));
    fresh.loses(&["f"]);
    fresh.settle(&job, sent(3, 2, 5), None);
    assert_eq!(fresh.both("f"), (None, Some(read(3, 2, 5))));
    assert_eq!(fresh.index.tally(at(9)).unwrap().pending_removals, 1);
}

#[test]
fn a_file_ignored_before_its_put_ended_is_not_removed() {
    let mut fresh = Fresh::new();
    for (outcome, stat) in [(Some(sent(3, 2, 5)), None), (None, stat(3))] {
        fresh.sees(&[("d", dir(1)), ("d/f", file(3, 2)), ("d.f", file(3, 3))]);
        let (job, other) = (fresh.begin(put("d/f", 3, 2)), fresh.begin(put("d.f", 3, 3)));
        fresh.index.observe(&[Observation::Ignored(p("d"))], at(3)).unwrap();
        match outcome {
            Some(outcome) => fresh.settle(&job, outcome, None),
            None => fresh.index.resolve(job.id, &[(p("d/f"), stat)], at(4)).unwrap(),
        }
        assert_eq!(fresh.both("d/f"), (None, None));
        fresh.settle(&other, sent(3, 3, 5), None);
        assert_eq!(fresh.pending(), [""; 0]);
    }
}

#[test]
fn a_failure_is_noted_where_something_is_pending_still() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("f", file(3, 2))]);
    for attempts in 1..=3 {
        let job = fresh.begin(put("f", 3, 2));
        fresh.settle(&job, Outcome::Failed(refused()), Some(at(50)));
        assert_eq!(fresh.index.attempts(&p("f")).unwrap(), attempts);
    }
    let job = fresh.begin(put("f", 3, 2));
    fresh.settle(&job, Outcome::Untouched, None);
    assert_eq!(fresh.index.attempts(&p("f")).unwrap(), 3);
    let job = fresh.begin(put("f", 3, 2));
    fresh.settle(&job, sent(3, 2, 1), None);
    assert_eq!((fresh.index.attempts(&p("f")).unwrap(), fresh.index.problems(9).unwrap()), (0, vec![]));

    for operation in [put("f", 3, 2), put("nowhere", 1, 1)] {
        let job = fresh.begin(operation);
        fresh.settle(&job, Outcome::Failed(refused()), None);
        assert_eq!((fresh.index.problems(9).unwrap(), fresh.index.live().unwrap()), (vec![], vec![]));
    }
}

#[test]
fn a_job_in_doubt_stays_and_backs_off() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("f", file(3, 2))]);
    let job = fresh.begin(put("f", 3, 2));
    fresh.settle(&job, Outcome::InDoubt(Problem::new(Reason::Connection, "")), Some(at(50)));
    assert_eq!(fresh.index.in_doubt().unwrap(), std::slice::from_ref(&job));
    assert_eq!(fresh.index.attempts(&p("f")).unwrap(), 1);
    fresh.index.resolve(job.id, &[(p("other"), None)], at(5)).unwrap();
    assert_eq!(fresh.index.in_doubt().unwrap(), std::slice::from_ref(&job), "nobody asked for this path");
    fresh.index.resolve(job.id, &[(p("f"), None)], at(5)).unwrap();
    assert_eq!((fresh.index.in_doubt().unwrap(), fresh.pending()), (vec![], vec!["f".to_owned()]));
    assert_eq!(fresh.index.next_retry(at(0)).unwrap(), Some(at(50)), "a lost connection is no reason to hurry");
}

#[test]
fn a_result_of_another_kind_proves_nothing() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("f", file(3, 2))]);
    let job = fresh.begin(put("f", 3, 2));
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!((fresh.index.in_doubt().unwrap(), fresh.both("f").1), (vec![job], None));
}

#[test]
fn a_batch_with_an_unknown_job_is_not_settled() {
    let mut fresh = Fresh::new();
    let job = fresh.begin(put("f", 3, 2));
    let settle = |job| Settlement { job, outcome: Outcome::Untouched, retry_at: None };
    let refused = fresh.index.settle(&[settle(job.id), settle(JobId(99))], at(4)).unwrap_err();
    assert!(matches!(refused, IndexError::NoSuchJob(JobId(99))), "{refused}");
    assert_eq!(fresh.index.live().unwrap(), [job]);
    assert!(matches!(fresh.index.resolve(JobId(99), &[], at(4)), Err(IndexError::NoSuchJob(JobId(99)))));
}

/// (operation; what was recorded at `a` and `b`; what the server says is there; what is recorded then)
#[test]
fn the_server_is_believed_about_what_was_in_doubt() {
    let old = Some(read(3, 2, 5));
    let make = || Operation::MakeDir { path: p("a"), inode: 4, mode: None };
    let remove = || Operation::RemoveFile { path: p("a") };
    let remove_dir = || Operation::RemoveDir { path: p("a") };
    let moved = || rename("a", "b", 3, 8);
    let done = Some(read(3, 8, 5));
    type Case = (&'static str, Operation, [Option<Entry>; 2], [Option<Stat>; 2], [Option<Entry>; 2]);
    let cases: [Case; 18] = [
        ("put, nothing there", put("a", 3, 2), [old, None], [None, None], [None, None]),
        ("put, something there", put("a", 3, 2), [old, None], [stat(3), None], [unknown(3), None]),
        (
            "put, size not told",
            put("a", 3, 2),
            [None, None],
            [Some(Stat { kind: Kind::File, size: None }), None],
            [unknown(0), None],
        ),
        ("put, a directory there", put("a", 3, 2), [None, None], [A_DIR, None], [Some(dir(0)), None]),
        ("made", make(), [None, None], [A_DIR, None], [Some(dir(4)), None]),
        ("not made", make(), [None, None], [None, None], [None, None]),
        ("a file instead", make(), [None, None], [stat(1), None], [unknown(1), None]),
        ("removed", remove(), [old, None], [None, None], [None, None]),
        ("not removed", remove(), [old, None], [stat(3), None], [old, None]),
        ("not removed, not known", remove(), [None, None], [stat(3), None], [unknown(3), None]),
        ("directory not removed", remove_dir(), [Some(dir(7)), None], [A_DIR, None], [Some(dir(7)), None]),
        ("a directory where a file was", remove(), [old, None], [A_DIR, None], [Some(dir(0)), None]),
        ("renamed", moved(), [old, None], [None, stat(3)], [None, done]),
        ("renamed, size not told", moved(), [old, old], [None, Some(Stat { kind: Kind::File, size: None })], [None, done]),
        ("something else came", moved(), [old, None], [None, stat(4)], [None, unknown(4)]),
        ("not renamed", moved(), [old, None], [stat(3), None], [old, None]),
        ("both there", moved(), [old, None], [stat(3), stat(3)], [old, unknown(3)]),
        ("both gone", moved(), [old, old], [None, None], [None, None]),
    ];
    for (case, operation, recorded, told, then) in cases {
        let mut fresh = Fresh::new();
        for (path, entry) in ["a", "b"].into_iter().zip(recorded) {
            fresh.index.record(&entry.map(|entry| (p(path), entry)).into_iter().collect::<Vec<_>>(), at(1)).unwrap();
        }
        let job = fresh.begin(operation);
        let mut fresh = fresh.reopen();
        fresh.index.resolve(job.id, &[(p("a"), told[0]), (p("b"), told[1])], at(5)).unwrap();
        assert_eq!([fresh.both("a").1, fresh.both("b").1], then, "{case}");
        assert_eq!(fresh.index.live().unwrap(), [], "{case}");
    }
}
