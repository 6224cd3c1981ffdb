use super::*;

const HOUR: i64 = 60 * 60 * 1000;

#[test]
fn what_was_seen_is_pending_until_it_is_recorded() {
    let mut fresh = Fresh::new();
    assert!(!fresh.index.observed_any().unwrap());
    assert_eq!(fresh.sees(&[("d", dir(1)), ("d/f", file(3, 2)), ("d", dir(1))]), 2);
    assert!(fresh.index.observed_any().unwrap());
    assert_eq!(fresh.pending(), ["d", "d/f"]);
    let tally = fresh.index.tally(at(9)).unwrap();
    let told = Tally { pending_files: 1, pending_bytes: 3, pending_dirs: 1, oldest_pending: Some(at(1)), ..Tally::default() };
    assert_eq!(tally, told);

    fresh.index.record(&[(p("d"), dir(1)), (p("d/f"), file(3, 2))], at(2)).unwrap();
    assert_eq!(fresh.pending(), [""; 0]);
    assert_eq!(fresh.index.tally(at(9)).unwrap(), Tally { recorded_files: 1, recorded_bytes: 3, ..Tally::default() });

    assert_eq!(fresh.loses(&["d"]), 2);
    assert_eq!(fresh.pending(), ["d", "d/f"]);
    assert!(!fresh.index.observed_any().unwrap());
    assert_eq!(fresh.index.tally(at(9)).unwrap().pending_removals, 2);
}

#[test]
fn each_part_of_the_fingerprint_makes_a_difference_and_a_digest_makes_none() {
    let base = print(3, 2);
    let changed = |change: fn(&mut Fingerprint)| {
        let mut print = base;
        change(&mut print);
        Entry::file(print, None)
    };
    let mut fresh = Fresh::new();
    for (entry, pending) in [
        (read(3, 2, 9), false),
        (changed(|print| print.size = u64::MAX), true),
        (changed(|print| print.mtime_ns = -1), true),
        (changed(|print| print.ctime_ns += 1), true),
        (changed(|print| print.inode = u64::MAX), true),
        (dir(2), true),
    ] {
        fresh.holds(&[("f", file(3, 2))]);
        fresh.sees(&[("f", entry)]);
        assert_eq!(!fresh.pending().is_empty(), pending, "{entry:?}");
        assert_eq!(fresh.both("f").0, Some(entry));
    }
}

#[test]
fn a_directory_that_became_a_file_takes_its_content_along() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("d", dir(1)), ("d/a", file(1, 2)), ("d-", file(1, 3))]);
    assert_eq!(fresh.sees(&[("d", file(1, 4))]), 2);
    assert_eq!(fresh.both("d/a"), (None, Some(file(1, 2))));
    assert_eq!(fresh.pending(), ["d", "d/a"]);
}

#[test]
fn what_was_never_sent_leaves_no_row() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("d", dir(1)), ("d/a", file(1, 2))]);
    fresh.loses(&["d"]);
    let rows: i64 = fresh.index.db.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn what_is_ignored_now_is_not_removed_from_the_server() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("d", dir(1)), ("d/a", file(1, 2)), ("d.b", file(1, 3))]);
    let changed = fresh.index.observe(&[Observation::Ignored(p("d"))], at(2)).unwrap().changed;
    assert_eq!((changed, fresh.pending()), (2, vec![]));
    assert_eq!(fresh.both("d/a"), (None, None));
    assert_eq!(fresh.index.tally(at(9)).unwrap().recorded_files, 1);
}

#[test]
fn a_digest_stays_with_an_unchanged_file_and_goes_with_a_change() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("f", file(3, 2))]);
    fresh.index.note_digest(&p("f"), &print(3, 9), Digest([1; 32])).unwrap();
    assert_eq!(fresh.both("f").0, Some(file(3, 2)), "of another state of the file");
    fresh.index.note_digest(&p("f"), &print(3, 2), Digest([1; 32])).unwrap();
    assert_eq!(fresh.sees(&[("f", file(3, 2))]), 0);
    assert_eq!(fresh.both("f").0, Some(read(3, 2, 1)));
    assert_eq!(fresh.sees(&[("f", file(4, 2))]), 1);
    assert_eq!(fresh.both("f").0, Some(file(4, 2)));
    fresh.index.note_digest(&p("missing"), &print(3, 2), Digest([1; 32])).unwrap();
    assert_eq!(fresh.both("missing"), (None, None));
}

#[test]
fn windows_follow_each_other_and_bring_the_ancestors_along() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("a", dir(1)), ("a/b", dir(2)), ("a/b/c", file(1, 3)), ("a/b/d", file(1, 4)), ("b", file(1, 5))]);
    let window = |after: Option<&str>| {
        let window = fresh.index.window(after.map(p).as_ref(), 2, at(5)).unwrap();
        (names(&window.rows), window.cut.map(|cut| cut.to_string()))
    };
    let told = |rows: &[&str], cut: Option<&str>| (rows.iter().map(|row| (*row).to_owned()).collect(), cut.map(str::to_owned));
    assert_eq!(window(None), told(&["a", "a/b"], Some("a/b")));
    assert_eq!(window(Some("a/b")), told(&["a", "a/b", "a/b/c", "a/b/d"], Some("a/b/d")));
    assert_eq!(window(Some("a/b/d")), told(&["b"], None));
    assert_eq!(window(Some("b")), told(&[], None));
    assert_eq!(fresh.index.window(None, 0, at(5)).unwrap().rows.len(), 1);
}

#[test]
fn removals_come_from_the_end() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", dir(1)), ("a/b", file(1, 2)), ("a/c", file(1, 3)), ("b", file(1, 4)), ("c", file(1, 5))]);
    fresh.sees(&[("c", file(2, 5))]);
    fresh.loses(&["a", "b"]);
    let removals = |before: Option<&str>| {
        let window = fresh.index.removals(before.map(p).as_ref(), 2, at(5)).unwrap();
        (names(&window.rows), window.cut.map(|cut| cut.to_string()))
    };
    assert_eq!(removals(None), (vec!["a/c".to_owned(), "b".to_owned()], Some("a/c".to_owned())));
    assert_eq!(removals(Some("a/c")), (vec!["a".to_owned(), "a/b".to_owned()], None));
}

#[test]
fn a_failure_waits_for_its_time_or_for_a_change() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("parked", file(1, 1)), ("later", file(1, 2)), ("other", file(1, 3))]);
    for (name, inode, retry_at) in [("parked", 1, None), ("later", 2, Some(at(1000)))] {
        let job = fresh.begin(put(name, 1, inode));
        fresh.settle(&job, Outcome::Failed(refused()), retry_at);
    }
    assert_eq!(fresh.index.live().unwrap(), []);
    let due = |now| {
        let rows = fresh.index.window(None, 10, at(now)).unwrap().rows;
        names(&rows.into_iter().filter(|row| row.due).collect::<Vec<_>>())
    };
    assert_eq!(due(999), ["other"]);
    assert_eq!(due(1000), ["later", "other"]);
    assert_eq!(due(999 - 3 * HOUR), ["later", "other"], "the clock was set back; nothing waits for hours");
    let numbers = |now| fresh.index.tally(at(now)).map(|tally| (tally.waiting, tally.parked)).unwrap();
    assert_eq!((numbers(999), numbers(1000), numbers(999 - 3 * HOUR)), ((1, 1), (0, 1), (0, 1)));
    assert_eq!(fresh.index.next_retry(at(0)).unwrap(), Some(at(1000)));
    let problem = |path, retry_at| PathProblem { path: p(path), problem: refused(), attempts: 1, retry_at, since: Some(at(1)) };
    assert_eq!(fresh.index.problems(10).unwrap(), [problem("later", Some(at(1000))), problem("parked", None)]);
    assert_eq!(fresh.index.problems(1).unwrap().len(), 1);

    assert_eq!(fresh.index.release().unwrap(), 1);
    assert_eq!(names(&fresh.index.window(None, 10, at(0)).unwrap().rows), ["later", "other", "parked"]);
    assert_eq!(fresh.index.tally(at(0)).unwrap().parked, 0);
    assert_eq!(fresh.index.attempts(&p("parked")).unwrap(), 1);

    fresh.sees(&[("later", file(2, 2)), ("parked", file(1, 1))]);
    assert_eq!((fresh.index.next_retry(at(0)).unwrap(), fresh.index.attempts(&p("later")).unwrap()), (None, 0));
    assert_eq!(fresh.index.attempts(&p("parked")).unwrap(), 1, "it has not changed");
    assert_eq!(fresh.index.attempts(&p("missing")).unwrap(), 0);
}

#[test]
fn starting_over_forgets_every_failure() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("parked", file(1, 1)), ("later", file(1, 2))]);
    for (name, inode, retry_at) in [("parked", 1, None), ("later", 2, Some(at(1000)))] {
        let job = fresh.begin(put(name, 1, inode));
        fresh.settle(&job, Outcome::Failed(refused()), retry_at);
    }
    assert_eq!(fresh.index.start_over().unwrap(), 2);
    assert!(fresh.index.window(None, 10, at(2)).unwrap().rows.iter().all(|row| row.due));
    let tally = fresh.index.tally(at(2)).unwrap();
    assert_eq!((tally.waiting, tally.parked, fresh.index.attempts(&p("later")).unwrap()), (0, 0, 0));
}

#[test]
fn what_somebody_hurries_is_due_and_nothing_else() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("d", dir(9)), ("d/a", file(1, 1)), ("d/b", file(1, 2)), ("d-", file(1, 3)), ("free", file(4, 4))]);
    for (name, inode, retry_at) in [("d/a", 1, None), ("d/b", 2, Some(at(1000))), ("d-", 3, None)] {
        let job = fresh.begin(put(name, 1, inode));
        fresh.settle(&job, Outcome::Failed(refused()), retry_at);
    }
    let queued = |fresh: &Fresh, after: Option<&str>, limit| {
        let found = fresh.index.queued(after.map(p).as_ref(), limit).unwrap();
        found.into_iter().map(|one| one.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(queued(&fresh, None, 9), ["d", "free"]);
    assert_eq!(fresh.index.retry(Some(&p("none"))).unwrap(), 0);
    assert_eq!(fresh.index.retry(Some(&p("d"))).unwrap(), 2, "what lies below, and no sibling");
    assert_eq!(queued(&fresh, None, 9), ["d", "d/a", "d/b", "free"]);
    assert_eq!((queued(&fresh, Some("d/a"), 1), fresh.index.attempts(&p("d/b")).unwrap()), (vec!["d/b".to_owned()], 0));
    let free = Queued { path: p("free"), observed: Some(file(4, 4)), recorded: None, since: Some(at(1)) };
    assert_eq!(fresh.index.reader().unwrap().queued(Some(&p("d/b")), 9).unwrap(), [free]);
    assert_eq!((fresh.index.retry(None).unwrap(), fresh.index.tally(at(2)).unwrap().parked), (1, 0));
}

#[test]
fn a_row_is_pending_since_it_first_differed() {
    let mut fresh = Fresh::new();
    let oldest = |fresh: &Fresh| fresh.index.tally(at(9)).unwrap().oldest_pending;
    fresh.sees(&[("f", file(1, 1))]);
    fresh.index.observe(&[Observation::Is(p("f"), file(2, 1))], at(7)).unwrap();
    assert_eq!(oldest(&fresh), Some(at(1)));
    let job = fresh.begin(put("f", 1, 1));
    fresh.settle(&job, sent(1, 1, 1), None);
    assert_eq!(oldest(&fresh), Some(at(3)), "what differs still changed after the put began");
    fresh.index.record(&[(p("f"), file(2, 1))], at(8)).unwrap();
    assert_eq!(oldest(&fresh), None);
}
