use crate::{
    index::Index,
    model::{
        Digest, Done, Entry, Fingerprint, How, Observation, Operation, Outcome, Problem, Reason, RelPath, Settlement, Staged,
        UnixMillis,
    },
};

const NOW: UnixMillis = UnixMillis(1_000_000);
const PRINT: Fingerprint = Fingerprint { size: 7, mtime_ns: 5, ctime_ns: 6, inode: 8 };
const READ: Fingerprint = Fingerprint { size: 9, ..PRINT };
const DIGEST: Digest = Digest([3; 32]);

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn put(name: &str) -> Operation {
    Operation::Put { path: path(name), print: PRINT, equal_to: None, mode: None, like: None }
}

fn done(job: crate::model::JobId, done: Done) -> Settlement {
    Settlement { job, outcome: Outcome::Done(done), retry_at: None }
}

/// Three files are here; `d/a` and `b` are staged, and `c` failed.
fn staged(dir: &tempfile::TempDir) -> Index {
    let mut index = Index::open(&dir.path().join("m.db"), NOW).unwrap();
    let seen = ["b", "c", "d/a"].map(|name| Observation::Is(path(name), Entry::file(READ, None)));
    index.observe(&seen, NOW).unwrap();
    let operations = [(path("d"), put("d/a")), (path("b"), put("b")), (path("c"), put("c"))];
    let jobs = index.begin_beside(&operations, NOW).unwrap();
    assert_eq!(jobs[0].temp.as_ref().unwrap().parent(), None, "beside the directory that is not there yet");
    let problem = Problem::new(Reason::Refused, "no");
    let failed = Outcome::Failed(problem.clone());
    index.settle(&[Settlement { job: jobs[1].id, outcome: Outcome::InDoubt(problem), retry_at: Some(NOW) }], NOW).unwrap();
    let arrived = Done::Staged { print: READ, digest: DIGEST, sent: 9 };
    index
        .settle(
            &[
                done(jobs[0].id, arrived),
                done(jobs[1].id, arrived),
                Settlement { job: jobs[2].id, outcome: failed, retry_at: None },
            ],
            NOW,
        )
        .unwrap();
    index
}

#[test]
fn what_is_staged_is_kept_as_what_was_read_and_is_in_no_doubt() {
    let dir = tempfile::tempdir().unwrap();
    drop(staged(&dir));
    let index = Index::open(&dir.path().join("m.db"), NOW).unwrap();
    assert_eq!(index.in_doubt().unwrap(), vec![]);
    let found = index.staged().unwrap();
    assert_eq!(found.iter().map(|s| s.job.operation.path().to_string()).collect::<Vec<_>>(), ["d/a", "b"]);
    for Staged { job, digest, step } in found {
        let Operation::Put { print, .. } = job.operation else { panic!("{job:?}") };
        assert_eq!((print, digest, step), (READ, Some(DIGEST), 0));
    }
    let tally = index.tally(NOW).unwrap();
    assert_eq!(
        (tally.pending_files, tally.recorded_files, tally.parked, tally.waiting),
        (3, 0, 1, 0),
        "it failed before, and did not"
    );
    assert!(!index.ledger(Some(&path("b"))).unwrap().promised, "nobody is about to do something");
}

#[test]
fn a_run_is_kept_in_its_order_until_each_of_it_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = staged(&dir);
    let mut run: Vec<_> = index.staged().unwrap().into_iter().map(|s| s.job).collect();
    let old =
        crate::model::Job { id: crate::model::JobId(0), operation: Operation::RemoveFile { path: path("old") }, temp: None };
    run.insert(1, old);
    let run = index.begin_run(run, |job| job.id.0 != 0, NOW).unwrap();
    drop(index);
    let mut index = Index::open(&dir.path().join("m.db"), NOW).unwrap();
    let found = index.staged().unwrap();
    assert_eq!(
        found.iter().map(|s| (s.job.clone(), s.step)).collect::<Vec<_>>(),
        run.iter().cloned().zip(1..).collect::<Vec<_>>()
    );
    index.settle(&[done(run[0].id, Done::Holds { print: READ, digest: DIGEST, sent: 9, how: How::Sent })], NOW).unwrap();
    assert_eq!(index.recorded(&[path("d/a")]).unwrap(), [Some(Entry::file(READ, Some(DIGEST)))]);
    let lost = Outcome::InDoubt(Problem::new(Reason::Connection, ""));
    index.settle(&[Settlement { job: run[1].id, outcome: lost, retry_at: Some(NOW) }], NOW).unwrap();
    assert_eq!(index.in_doubt().unwrap(), [run[1].clone()], "the ordinary way from here on");
    index.restage(&[run[2].id]).unwrap();
    assert_eq!(index.staged().unwrap().iter().map(|s| (s.job.id, s.step)).collect::<Vec<_>>(), [(run[2].id, 0)]);
}

#[test]
fn where_nothing_is_staged_any_more_all_of_it_is_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = staged(&dir);
    index.unstage().unwrap();
    assert_eq!((index.staged().unwrap().len(), index.in_doubt().unwrap().len()), (0, 2));
}
