use std::time::Duration;

use super::*;
use crate::model::{Kind, Retention, Versions};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn place(name: &str) -> RelPath {
    p(&format!(".towline-trash/day/{name}"))
}

fn stat(size: u64) -> Option<Stat> {
    Some(Stat { kind: Kind::File, size: Some(size) })
}

impl Fresh {
    /// `path` was here and on the server, and is in the trash since `when`.
    fn trashes(&mut self, path: &str, size: u64, name: &str, when: i64) {
        self.holds(&[(path, file(size, 7))]);
        self.loses(&[path]);
        let job = self.begin(Operation::Trash { path: p(path), place: place(name) });
        let done = Settlement { job: job.id, outcome: Outcome::Done(Done::AsPlanned), retry_at: None };
        self.index.settle(&[done], at(when)).unwrap();
    }

    fn undoable(&self, path: Option<&str>, since: Option<i64>) -> Vec<(String, u64)> {
        let undo = Undo { path: path.map(p), since: since.map(at), versions: false };
        self.index.undoable(&undo).unwrap().into_iter().map(|trashed| (trashed.path.to_string(), trashed.size)).collect()
    }

    fn expired(&self, days: i64, bytes: u64, now: i64) -> Vec<String> {
        let age = Duration::from_millis((days * DAY).cast_unsigned());
        let found = self.index.expired(&Retention { age, bytes, versions: Versions::Copied }, 100, at(now)).unwrap();
        found.iter().map(|operation| String::from_utf8_lossy(operation.path().name()).into_owned()).collect()
    }

    fn wanted(&self, now: i64) -> usize {
        self.index.wanted(100, at(now)).unwrap().len()
    }
}

fn own(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect()
}

#[test]
fn of_each_path_the_newest_can_be_put_back_unless_something_is_there() {
    let mut fresh = Fresh::new();
    for (path, size, name, when) in [("d/a", 1, "1", 10), ("d/a", 2, "2", 20), ("d/b", 3, "3", 15), ("d!", 4, "4", 30)] {
        fresh.trashes(path, size, name, when);
    }
    assert_eq!(fresh.pending(), Vec::<String>::new());
    assert_eq!(fresh.undoable(None, None), own(&[("d/a", 2), ("d/b", 3), ("d!", 4)]));
    assert_eq!(fresh.undoable(Some("d"), None), own(&[("d/a", 2), ("d/b", 3)]));
    assert_eq!(fresh.undoable(None, Some(20)), own(&[("d/a", 2), ("d!", 4)]));
    fresh.sees(&[("d/a", file(9, 9))]);
    assert_eq!(fresh.undoable(Some("d"), None), own(&[("d/b", 3)]), "there is a file of this name again");
}

#[test]
fn what_is_put_back_is_on_the_server_and_left_there() {
    let mut fresh = Fresh::new();
    fresh.trashes("d/a", 1, "1", 10);
    assert_eq!(fresh.index.undo(&Undo::default()).unwrap().len(), 1);
    assert_eq!((fresh.wanted(50), fresh.expired(0, 0, 2 * HOUR).len()), (1, 0), "what is wanted does not expire");
    let mut fresh = fresh.reopen();
    assert_eq!(fresh.wanted(50), 1, "a wish survives");
    fresh.sees(&[("d/a", file(9, 9))]);
    assert_eq!((fresh.wanted(50), fresh.expired(0, 0, 2 * HOUR).len()), (0, 1), "what came in its place would overwrite it");
    for doubtful in [false, true] {
        let mut fresh = Fresh::new();
        fresh.trashes("d/a", 1, "1", 10);
        fresh.index.undo(&Undo::default()).unwrap();
        let job = fresh.begin(Operation::Restore { place: place("1"), path: p("d/a") });
        if doubtful {
            fresh.index.resolve(job.id, &[(p("d/a"), stat(1)), (place("1"), None)], at(60)).unwrap();
        } else {
            fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
        }
        assert_eq!(fresh.pending(), Vec::<String>::new(), "it is not removed again");
        assert_eq!(fresh.index.left_there(None, 10).unwrap(), [p("d/a")]);
        assert_eq!((fresh.wanted(70), fresh.index.places().unwrap()), (0, vec![]));
        fresh.holds(&[("d/a", file(5, 5))]);
        assert_eq!(fresh.index.left_there(None, 10).unwrap(), Vec::<RelPath>::new(), "a new file takes its place");
    }
}

#[test]
fn a_removal_in_doubt_is_what_the_server_says() {
    for (at_path, at_place, pending, places) in
        [(stat(1), None, 1, 0), (None, stat(1), 0, 1), (stat(1), stat(1), 1, 1), (None, None, 0, 0)]
    {
        let mut fresh = Fresh::new();
        fresh.holds(&[("a", file(1, 7))]);
        fresh.loses(&["a"]);
        let job = fresh.begin(Operation::Trash { path: p("a"), place: place("1") });
        let mut fresh = fresh.reopen();
        assert_eq!(fresh.index.in_doubt().unwrap(), std::slice::from_ref(&job));
        fresh.index.resolve(job.id, &[(p("a"), at_path)], at(5)).unwrap();
        assert_eq!(fresh.index.live().unwrap().len(), 1, "half an answer is none");
        fresh.index.resolve(job.id, &[(p("a"), at_path), (place("1"), at_place)], at(5)).unwrap();
        let found = (fresh.pending().len(), fresh.index.places().unwrap().len());
        assert_eq!(found, (pending, places), "{at_path:?} {at_place:?}");
    }
}

#[test]
fn a_way_back_in_doubt_is_tried_again_or_forgotten() {
    for (at_path, at_place, wanted) in [(None, stat(1), 1), (stat(1), stat(1), 1), (None, None, 0)] {
        let mut fresh = Fresh::new();
        fresh.trashes("a", 1, "1", 10);
        fresh.index.undo(&Undo::default()).unwrap();
        let job = fresh.begin(Operation::Restore { place: place("1"), path: p("a") });
        fresh.index.resolve(job.id, &[(p("a"), at_path), (place("1"), at_place)], at(60)).unwrap();
        assert_eq!(fresh.wanted(70), wanted, "{at_path:?} {at_place:?}");
        assert_eq!(fresh.index.left_there(None, 10).unwrap(), Vec::<RelPath>::new());
    }
}

#[test]
fn what_cannot_be_put_back_stays_in_the_trash() {
    let mut fresh = Fresh::new();
    fresh.trashes("a", 1, "1", 10);
    fresh.index.undo(&Undo::default()).unwrap();
    let job = fresh.begin(Operation::Restore { place: place("1"), path: p("a") });
    fresh.settle(&job, Outcome::Failed(refused()), Some(at(1000)));
    assert_eq!((fresh.wanted(999), fresh.wanted(1000)), (0, 1), "it is tried again in time");
    let job = fresh.begin(Operation::Restore { place: place("1"), path: p("a") });
    fresh.settle(&job, Outcome::Failed(refused()), None);
    assert_eq!(fresh.wanted(DAY * 3), 0);
    assert_eq!(fresh.undoable(None, None), own(&[("a", 1)]));
}

#[test]
fn what_is_old_goes_first_then_what_is_too_much_then_the_directory() {
    let mut fresh = Fresh::new();
    for (name, size, when) in [("1", 10, 0), ("2", 20, DAY), ("3", 30, 2 * DAY)] {
        fresh.trashes(name, size, name, when);
    }
    let now = 2 * DAY + 2 * HOUR;
    assert_eq!(fresh.expired(3, 60, now), Vec::<String>::new());
    assert_eq!(fresh.expired(1, 60, now), ["1", "2"]);
    assert_eq!(fresh.expired(3, 59, now), ["1"]);
    assert_eq!(fresh.expired(3, 49, now), ["1", "2"]);
    assert_eq!(fresh.expired(3, 0, now), ["1", "2", "3"]);
    assert_eq!(fresh.expired(3, 0, now - 2 * HOUR), ["1", "2"], "nothing goes in its first hour because of its size");
    assert_eq!(fresh.index.dispensable(2, at(now)).unwrap().len(), 2);

    for (name, outcome) in [("1", Outcome::Failed(refused())), ("2", Outcome::Done(Done::AsPlanned))] {
        let job = fresh.begin(Operation::Expire { place: place(name), kind: Kind::File });
        fresh.index.settle(&[Settlement { job: job.id, outcome, retry_at: None }], at(now)).unwrap();
    }
    assert_eq!(fresh.expired(0, 60, now), ["3"], "what cannot be removed does not hold up the rest");
    let job = fresh.begin(Operation::Expire { place: place("3"), kind: Kind::File });
    fresh.index.resolve(job.id, &[(place("3"), stat(30))], at(now)).unwrap();
    assert_eq!(fresh.expired(0, 60, now), ["3"]);
    let job = fresh.begin(Operation::Expire { place: place("3"), kind: Kind::File });
    fresh.index.resolve(job.id, &[(place("3"), None)], at(now)).unwrap();
    assert_eq!(fresh.expired(0, 60, now + DAY), ["1"], "it is tried again after a day");
    let job = fresh.begin(Operation::Expire { place: place("1"), kind: Kind::File });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.expired(0, 60, now + DAY), ["day"]);
    let job = fresh.begin(Operation::Expire { place: p(".towline-trash/day"), kind: Kind::Dir });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.expired(0, 60, now + DAY), Vec::<String>::new());
}

#[test]
fn what_is_left_is_nothing_of_ours() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("d", dir(1)), ("d/f", file(1, 2))]);
    fresh.loses(&["d"]);
    assert_eq!(fresh.pending(), ["d", "d/f"]);
    fresh.index.leave(&[p("d"), p("d/f")], at(5)).unwrap();
    assert_eq!(fresh.pending(), Vec::<String>::new());
    assert_eq!(fresh.index.left_there(None, 10).unwrap(), [p("d"), p("d/f")]);
    assert_eq!(fresh.index.left_there(Some(&p("d")), 10).unwrap(), [p("d/f")]);
    assert_eq!(fresh.index.tally(at(6)).unwrap().recorded_files, 0);
}

impl Fresh {
    /// What is worth a copy, of these paths.
    fn replaceable(&self, paths: &[&str], bytes: u64) -> Vec<bool> {
        let paths: Vec<RelPath> = paths.iter().map(|path| p(path)).collect();
        let retention = Retention { bytes, ..Retention::default() };
        self.index.replaceable(&paths, &retention).unwrap().iter().map(Option::is_some).collect()
    }

    /// Promises to keep the version of `path` that is recorded.
    fn keeps(&mut self, path: &str, name: &str) -> Job {
        let print = self.index.replaceable(&[p(path)], &Retention::default()).unwrap()[0].unwrap();
        self.begin(Operation::Keep { path: p(path), place: place(name), print, unless: None })
    }
}

#[test]
fn a_version_is_kept_once_if_it_is_known_and_not_too_large() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", file(10, 7)), ("b", file(100, 7)), ("d", dir(5))]);
    assert_eq!(fresh.replaceable(&["a", "b", "d", "none"], 100), [true, true, false, false]);
    assert_eq!(fresh.replaceable(&["a", "b"], 99), [true, false], "larger than the trash may be");
    let job = fresh.keeps("a", "1");
    let mut fresh = fresh.reopen();
    assert_eq!(fresh.index.in_doubt().unwrap(), std::slice::from_ref(&job), "it is in its row as it was promised");
    fresh.index.resolve(job.id, &[(p("a"), stat(10)), (place("1"), stat(10))], at(5)).unwrap();
    assert_eq!(fresh.replaceable(&["a", "b"], 200), [false, true]);
    assert_eq!(fresh.replaceable(&["b"], 50), [false]);
    fresh.holds(&[("a", file(11, 8))]);
    assert_eq!(fresh.replaceable(&["a"], 200), [true], "another one by now");
    assert_eq!(fresh.replaceable(&["a", "b"], 11), [true, false]);
    fresh.index.told(&p("a"), stat(10), at(6)).unwrap();
    assert_eq!(fresh.replaceable(&["a"], 200), [true], "a crash left it in doubt");
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", file(10, 7))]);
    for left in [true, true, false] {
        fresh.sees(&[("a", file(11, 8))]);
        let job = fresh.begin(Operation::RemoveFile { path: p("a") });
        fresh.settle(&job, Outcome::Failed(refused()), Some(at(9)));
        assert_eq!(fresh.replaceable(&["a"], 200), [left], "what fails again and again is done without");
    }
}

#[test]
fn a_version_comes_back_for_who_asks_for_its_path_and_goes_first() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("d/a", file(10, 7)), ("d/b", file(10, 7))]);
    for (path, name, outcome) in [("d/a", "1", Done::AsPlanned), ("d/b", "2", Done::NotKept)] {
        let job = fresh.keeps(path, name);
        let done = Settlement { job: job.id, outcome: Outcome::Done(outcome), retry_at: None };
        fresh.index.settle(&[done], at(10)).unwrap();
    }
    assert_eq!(fresh.index.places().unwrap(), [place("1")]);
    assert_eq!(fresh.undoable(None, None), own(&[]), "something is there");
    fresh.loses(&["d/a"]);
    let job = fresh.begin(Operation::RemoveFile { path: p("d/a") });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(
        (fresh.undoable(None, None), fresh.undoable(Some("d"), None)),
        (own(&[]), own(&[])),
        "it was not removed from there"
    );
    assert_eq!(fresh.undoable(Some("d/a"), None), own(&[("d/a", 10)]));
    fresh.trashes("d/c", 5, "3", 20);
    assert_eq!(fresh.expired(1, 14, 30), ["1"], "a removal has its hour");
    assert_eq!(fresh.expired(1, 15, 30), Vec::<String>::new());
    assert_eq!(fresh.expired(0, u64::MAX, 30), ["1", "3"], "both are too old");
}

#[test]
fn an_old_version_comes_back_over_what_is_there_and_is_held() {
    let mut fresh = Fresh::new();
    let done = |job: &Job, when| (Settlement { job: job.id, outcome: Outcome::Done(Done::AsPlanned), retry_at: None }, at(when));
    fresh.holds(&[("d/a", file(10, 7)), ("d/b", file(5, 7))]);
    let job = fresh.keeps("d/a", "1");
    let (settlement, when) = done(&job, 10);
    fresh.index.settle(&[settlement], when).unwrap();
    let undo = |path: Option<&str>, since: Option<i64>, versions| Undo { path: path.map(p), since: since.map(at), versions };
    assert_eq!(fresh.index.undoable(&undo(Some("d/a"), None, false)).unwrap(), [], "it is what is there");
    fresh.holds(&[("d/a", file(11, 8))]);
    for (path, since, versions, found) in [
        (Some("d/a"), None, false, 1),
        (Some("d"), None, false, 0),
        (None, Some(10), false, 0),
        (None, Some(10), true, 1),
        (Some("d"), Some(10), true, 1),
        (None, Some(11), true, 0),
    ] {
        let listed = fresh.index.undoable(&undo(path, since, versions)).unwrap();
        assert_eq!(listed.iter().filter(|trashed| trashed.replaces).count(), found, "{path:?} {since:?} {versions}: {listed:?}");
    }
    fresh.index.undo(&undo(Some("d/a"), None, false)).unwrap();
    assert_eq!((fresh.wanted(20), fresh.expired(0, 0, DAY)), (0, Vec::new()), "what is wanted back stays");
    let wanted =
        |fresh: &Fresh| fresh.index.wanted_over(10, at(20)).unwrap().into_iter().map(|wanted| wanted.kept).collect::<Vec<_>>();
    assert_eq!(wanted(&fresh), [false]);
    let job = fresh.keeps("d/a", "2");
    let not_kept = Settlement { job: job.id, outcome: Outcome::Done(Done::NotKept), retry_at: None };
    fresh.index.settle(&[not_kept], at(21)).unwrap();
    assert_eq!(wanted(&fresh), Vec::<bool>::new(), "it cannot be kept");

    for in_doubt in [false, true] {
        let mut fresh = Fresh::new();
        fresh.holds(&[("a", file(10, 7))]);
        for (path, name, next) in [("a", "1", 11), ("a", "2", 11)] {
            let job = fresh.keeps(path, name);
            let (settlement, when) = done(&job, next);
            fresh.index.settle(&[settlement], when).unwrap();
            fresh.holds(&[("a", file(11, 8))]);
            fresh.index.undo(&undo(Some("a"), None, false)).unwrap();
        }
        let Wanted { place: old, path, over, kept } = fresh.index.wanted_over(10, at(20)).unwrap().remove(0);
        assert_eq!((&old, kept), (&place("1"), true));
        let job = fresh.begin(Operation::Revert { place: old.clone(), path: path.clone(), over });
        if in_doubt {
            fresh = fresh.reopen();
            assert_eq!(fresh.index.in_doubt().unwrap(), std::slice::from_ref(&job), "it is in its row as it was promised");
            fresh.index.resolve(job.id, &[(path.clone(), stat(11)), (old.clone(), stat(10))], at(30)).unwrap();
            assert_eq!((fresh.pending(), wanted(&fresh)), (Vec::new(), vec![true]), "nothing happened yet");
            let job = fresh.begin(Operation::Revert { place: old.clone(), path: path.clone(), over });
            fresh.index.resolve(job.id, &[(path, stat(10)), (old, None)], at(30)).unwrap();
        } else {
            let (settlement, when) = done(&job, 30);
            fresh.index.settle(&[settlement], when).unwrap();
        }
        let held = |fresh: &Fresh| {
            let problems = fresh.index.problems(10).unwrap();
            problems.iter().filter(|found| found.problem.reason == Reason::Undone && found.retry_at.is_none()).count()
        };
        assert_eq!((held(&fresh), wanted(&fresh)), (1, Vec::new()));
        assert_eq!(
            (fresh.index.release().unwrap(), fresh.index.start_over().unwrap()),
            (0, 0),
            "a restart or a scan is no change"
        );
        assert_eq!(held(&fresh), 1);
        assert_eq!(fresh.undoable(Some("a"), None), own(&[("a", 11)]), "the undo can be undone");
        if in_doubt {
            fresh.sees(&[("a", file(12, 9))]);
            assert_eq!(held(&fresh), 0, "it changed here");
        } else {
            assert_eq!(fresh.index.give_up_drift(Some(&p("a")), at(40)).unwrap(), 1);
            assert_eq!((held(&fresh), fresh.pending()), (0, vec!["a".to_owned()]));
        }
    }
}
