use proptest::prelude::*;

use super::*;
use crate::model::{Digest, Fingerprint, Like, Operation};

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

fn remove(id: i64, at: &str) -> Job {
    Job { id: JobId(id), operation: Operation::RemoveFile { path: path(at) }, temp: None }
}

fn rename(id: i64, from: &str, to: &str) -> Job {
    let operation = Operation::Rename {
        from: path(from),
        to: path(to),
        print: Fingerprint::default(),
        digest: None,
        mode: None,
        retime: false,
    };
    Job { id: JobId(id), operation, temp: None }
}

fn ids(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|job| job.id.0).collect()
}

fn start_all(schedule: &mut Schedule) -> Vec<i64> {
    std::iter::from_fn(|| schedule.next()).map(|job| job.id.0).collect()
}

#[test]
fn only_jobs_that_touch_wait_for_each_other() {
    let mut schedule = Schedule::default();
    for job in [remove(1, "a/x"), remove(2, "a/y"), remove(3, "a"), remove(4, "b"), rename(5, "c", "a/z"), remove(6, "C")] {
        schedule.push(job);
    }
    assert_eq!((schedule.len(), schedule.running(), schedule.waiting()), (6, 0, 6));
    assert_eq!(start_all(&mut schedule), [1, 2, 4]);
    assert_eq!((schedule.len(), schedule.running(), schedule.waiting()), (6, 3, 3));
    schedule.finish(JobId(1), true);
    assert_eq!(start_all(&mut schedule), [0; 0], "2 still runs");
    schedule.finish(JobId(2), true);
    assert_eq!(start_all(&mut schedule), [3]);
    schedule.finish(JobId(3), true);
    assert_eq!(start_all(&mut schedule), [5], "6 is c in another case");
    schedule.finish(JobId(5), true);
    assert_eq!(start_all(&mut schedule), [6]);
}

fn put(id: i64, at: &str, size: u64) -> Job {
    let print = Fingerprint { size, ..Fingerprint::default() };
    let operation = Operation::Put { path: path(at), print, equal_to: None, mode: None, like: None };
    Job { id: JobId(id), operation, temp: None }
}

#[test]
fn what_goes_first_starts_before_all_others_the_newest_before_the_older() {
    let mut schedule = Schedule::default();
    schedule.push(put(1, "a", 1));
    schedule.push(put(2, "b", LONG));
    schedule.push_first(remove(3, "c/x"));
    schedule.push_first(put(4, "c", LONG));
    schedule.push_first(put(5, "d", 1));
    assert_eq!(start_all(&mut schedule), [5, 3, 1, 2], "4 waits for 3");
    schedule.finish(JobId(3), true);
    assert_eq!(start_all(&mut schedule), [4]);
}

#[test]
fn what_takes_long_does_not_start_as_something_short() {
    let mut schedule = Schedule::default();
    for job in [put(1, "a", LONG), put(2, "b", LONG - 1), put(3, "c", LONG), put(4, "a", 1)] {
        schedule.push(job);
    }
    assert_eq!((schedule.waiting(), schedule.waiting_long()), (4, 2));
    assert_eq!(schedule.next_short().map(|job| job.id.0), Some(2));
    assert!(schedule.next_short().is_none(), "4 waits for 1");
    assert!(schedule.next_that(|_| true).is_none());
    assert_eq!(schedule.next().map(|job| job.id.0), Some(1));
    assert_eq!((schedule.waiting(), schedule.waiting_long()), (2, 1));
    assert_eq!(ids(&schedule.drain_waiting()), [3, 4]);
    assert_eq!((schedule.waiting(), schedule.waiting_long()), (0, 0));
}

#[test]
fn a_failure_takes_out_what_waited_for_it() {
    let mut schedule = Schedule::default();
    for job in [remove(1, "a/x"), remove(2, "a"), rename(3, "b", "a"), remove(4, "b"), remove(5, "c")] {
        schedule.push(job);
    }
    assert_eq!(start_all(&mut schedule), [1, 5]);
    assert_eq!(ids(&schedule.finish(JobId(1), false)), [2, 3, 4]);
    assert_eq!(schedule.len(), 1);
    assert_eq!(schedule.busy().iter().collect::<Vec<_>>(), [&path("c")]);
    assert!(schedule.finish(JobId(5), false).is_empty());
    assert!(schedule.is_empty() && schedule.busy().is_empty());
}

#[test]
fn a_path_is_busy_until_its_last_job_ends() {
    let mut schedule = Schedule::default();
    schedule.push(remove(1, "a"));
    schedule.push(remove(2, "a"));
    schedule.push(remove(2, "never"));
    assert_eq!(start_all(&mut schedule), [1]);
    schedule.finish(JobId(1), true);
    assert!(schedule.busy().overlaps(&path("a")));
    assert_eq!(ids(&schedule.drain_waiting()), [2]);
    assert!(schedule.busy().is_empty() && schedule.next().is_none());
}

#[test]
fn what_runs_is_not_drained() {
    let mut schedule = Schedule::default();
    for job in [remove(1, "a"), remove(2, "a"), remove(3, "b")] {
        schedule.push(job);
    }
    assert_eq!(schedule.next().map(|job| job.id), Some(JobId(1)));
    assert_eq!(ids(&schedule.drain_waiting()), [2, 3]);
    schedule.push(remove(4, "a/b"));
    assert_eq!(start_all(&mut schedule), [0; 0]);
    schedule.finish(JobId(1), true);
    assert_eq!(start_all(&mut schedule), [4]);
}

#[test]
fn what_waits_again_comes_at_its_turn_and_is_what_it_was_made() {
    let mut schedule = Schedule::default();
    for job in [remove(1, "a"), remove(2, "a"), remove(3, "b"), remove(4, "c")] {
        schedule.push(job);
    }
    assert_eq!(start_all(&mut schedule), [1, 3, 4]);
    schedule.again(remove(3, "b"));
    schedule.again(Job { operation: Operation::RemoveDir { path: path("a") }, ..remove(1, "a") });
    schedule.again(remove(2, "a"));
    assert_eq!((schedule.running(), schedule.waiting()), (1, 3));
    let again = schedule.next().expect("one that may start");
    assert!(matches!(again, Job { id: JobId(1), operation: Operation::RemoveDir { .. }, .. }));
    assert_eq!(start_all(&mut schedule), [3]);
    schedule.finish(JobId(1), true);
    assert_eq!(start_all(&mut schedule), [2]);
}

/// 10,000 jobs in one directory and its removal, and a chain of 1,000 directories; quadratic work would be felt here.
#[test]
fn many_jobs_and_deep_ones_are_scheduled() {
    let mut schedule = Schedule::default();
    for i in 0..10_000 {
        schedule.push(remove(i, &format!("dir/{i}")));
    }
    schedule.push(remove(10_000, "dir"));
    let deep = vec!["d"; 1000].join("/");
    for i in 0..1000 {
        schedule.push(remove(20_000 + i, &deep[..=2 * usize::try_from(i).expect("small")]));
    }
    let mut done = 0;
    while let Some(job) = schedule.next() {
        assert!(schedule.finish(job.id, true).is_empty());
        done += 1;
    }
    assert_eq!(done, 11_001);
    assert!(schedule.is_empty());
}

/// A put whose content is that of `like`.
fn copy(id: i64, at: &str, like: &str) -> Job {
    let like = Some(Like { path: path(like), digest: Digest([0; 32]), beside: None });
    let operation = Operation::Put { path: path(at), print: Fingerprint::default(), equal_to: None, mode: None, like };
    Job { id: JobId(id), operation, temp: None }
}

#[test]
fn what_is_only_read_holds_up_nobody_who_reads_it_too() {
    let mut schedule = Schedule::default();
    for job in [put(1, "a", 1), copy(2, "b", "a"), copy(3, "c", "a"), remove(4, "a"), copy(5, "d", "a"), copy(6, "e", "b")] {
        schedule.push(job);
    }
    assert_eq!(start_all(&mut schedule), [1]);
    schedule.finish(JobId(1), true);
    assert_eq!(start_all(&mut schedule), [2, 3]);
    assert!(!schedule.busy().contains(&path("x")) && schedule.busy().contains(&path("b")));
    schedule.finish(JobId(2), true);
    assert_eq!(start_all(&mut schedule), [6], "3 still reads what 4 removes");
    schedule.finish(JobId(3), true);
    assert_eq!(start_all(&mut schedule), [4]);
    assert_eq!(ids(&schedule.finish(JobId(4), false)), [5]);
    assert!(schedule.finish(JobId(6), true).is_empty());
    assert!(schedule.is_empty() && schedule.busy().is_empty() && schedule.uses.is_empty());
}

fn meet(a: &Job, b: &Job) -> bool {
    let overlaps = |p: &RelPath, q: &RelPath| p.folded().overlaps(&q.folded());
    let changes = |a: &Job, b: &Job| a.operation.touches().any(|p| b.operation.regards().any(|q| overlaps(p, q)));
    changes(a, b) || changes(b, a)
}

/// The rule as it is written, and nothing else.
fn naive_startable(unfinished: &[(Job, bool)]) -> Option<i64> {
    let may_start = |i: usize| !unfinished[i].1 && !unfinished[..i].iter().any(|(earlier, _)| meet(earlier, &unfinished[i].0));
    (0..unfinished.len()).find(|i| may_start(*i)).map(|i| unfinished[i].0.id.0)
}

#[derive(Clone, Debug)]
enum Event {
    Push(String, Option<String>, bool),
    Start,
    Finish(usize, bool),
    Drain,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let path = || "[aAb](/[abB]){0,3}";
    let event = prop_oneof![
        6 => (path(), proptest::option::of(path()), any::<bool>()).prop_map(|(to, from, reads)| Event::Push(to, from, reads)),
        4 => Just(Event::Start),
        3 => (any::<usize>(), proptest::bool::weighted(0.8)).prop_map(|(which, ok)| Event::Finish(which, ok)),
        1 => Just(Event::Drain),
    ];
    proptest::collection::vec(event, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_schedule_follows_the_rule(events in events()) {
        let mut schedule = Schedule::default();
        let mut model: Vec<(Job, bool)> = Vec::new();
        for (id, event) in (0i64..).zip(events) {
            match event {
                Event::Push(to, from, reads) => {
                    let job = match from {
                        None => remove(id, &to),
                        Some(from) if reads => copy(id, &to, &from),
                        Some(from) => rename(id, &from, &to),
                    };
                    model.push((job.clone(), false));
                    schedule.push(job);
                }
                Event::Start => {
                    let expected = naive_startable(&model);
                    prop_assert_eq!(schedule.next().map(|job| job.id.0), expected);
                    model.iter_mut().filter(|(job, _)| Some(job.id.0) == expected).for_each(|(_, runs)| *runs = true);
                }
                Event::Finish(which, ok) => {
                    let running: Vec<usize> = (0..model.len()).filter(|i| model[*i].1).collect();
                    if running.is_empty() {
                        continue;
                    }
                    let at = running[which % running.len()];
                    let id = model[at].0.id;
                    let mut out = vec![model.remove(at).0];
                    if !ok {
                        // Whatever overlaps, at or behind it, something that is out already.
                        let mut i = 0;
                        while i < model.len() {
                            let (job, runs) = &model[i];
                            let held_up = job.id > id && !runs && out.iter().any(|gone| gone.id < job.id && meet(gone, job));
                            if held_up { out.push(model.remove(i).0) } else { i += 1 }
                        }
                    }
                    prop_assert_eq!(ids(&schedule.finish(id, ok)), ids(&out[1..]));
                }
                Event::Drain => {
                    let (waiting, running): (Vec<_>, Vec<_>) = model.drain(..).partition(|(_, runs)| !runs);
                    model = running;
                    prop_assert_eq!(ids(&schedule.drain_waiting()), waiting.iter().map(|(job, _)| job.id.0).collect::<Vec<_>>());
                }
            }
            let mut busy: Vec<RelPath> = model.iter().flat_map(|(job, _)| job.operation.touches().cloned()).collect();
            busy.sort();
            busy.dedup();
            prop_assert_eq!(schedule.busy().iter().cloned().collect::<Vec<_>>(), busy);
            let running = model.iter().filter(|(_, runs)| *runs).count();
            prop_assert_eq!((schedule.len(), schedule.running()), (model.len(), running));
        }
    }
}
