use super::*;

/// A directory with two files and another directory, on the server and here alike.
fn tree(fresh: &mut Fresh) {
    fresh.holds(&[("old", dir(1)), ("old/a", read(5, 2, 1)), ("old/d", dir(3)), ("old/d/b", read(6, 4, 2))]);
}

fn moved(fresh: &Fresh) -> Vec<(String, String, Vec<String>)> {
    let show =
        |dir: MovedDir| (dir.from.to_string(), dir.to.to_string(), dir.rest.iter().map(ToString::to_string).collect::<Vec<_>>());
    fresh.index.moved_dirs().unwrap().into_iter().map(show).collect()
}

#[test]
fn a_renamed_directory_is_known_by_its_inode_and_by_what_is_in_it() {
    for (case, seen, expected) in [
        ("as it was", vec![("new", dir(1)), ("new/a", file(5, 2)), ("new/d", dir(3)), ("new/d/b", file(6, 4))], Some(vec![])),
        (
            "with an edit and a new file",
            vec![("new", dir(1)), ("new/a", file(9, 2)), ("new/d", dir(3)), ("new/d/b", file(6, 4)), ("new/z", file(1, 9))],
            Some(vec![]),
        ),
        ("with one gone", vec![("new", dir(1)), ("new/a", file(5, 2))], Some(vec!["old/d", "old/d/b"])),
        (
            "with one under another name in it",
            vec![("new", dir(1)), ("new/a", file(5, 2)), ("new/d", dir(3)), ("new/c", file(6, 4))],
            Some(vec![]),
        ),
        (
            "with one out of a directory that is gone",
            vec![("new", dir(1)), ("new/a", file(5, 2)), ("new/b", file(6, 4))],
            Some(vec![]),
        ),
        ("the number alone, used again", vec![("new", dir(1)), ("new/a", file(5, 7)), ("new/x", file(6, 8))], None),
        ("the number alone, empty", vec![("new", dir(1))], None),
        ("another directory", vec![("new", dir(8)), ("new/a", file(5, 2)), ("new/b", file(6, 4))], None),
    ] {
        let mut fresh = Fresh::new();
        tree(&mut fresh);
        fresh.sees(&seen);
        assert_eq!(moved(&fresh), [], "{case}: both names are there");
        fresh.loses(&["old"]);
        let expected = expected
            .map(|rest: Vec<&str>| ("old".to_owned(), "new".to_owned(), rest.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(moved(&fresh), expected.into_iter().collect::<Vec<_>>(), "{case}");
    }
}

#[test]
fn a_name_that_something_else_has_is_not_taken_from_it() {
    let mut fresh = Fresh::new();
    tree(&mut fresh);
    fresh.sees(&[("new", dir(1)), ("new/a", file(5, 2)), ("new/d", dir(3)), ("new/d/b", file(6, 4))]);
    // Somebody moved the site away and copies another one there.
    fresh.sees(&[("old", dir(9)), ("old/a", file(5, 10))]);
    fresh.loses(&["old/d"]);
    assert_eq!(moved(&fresh), [("old/d".to_owned(), "new/d".to_owned(), vec![])], "one in it may be");
    // But where a directory takes the name whose own is free, one follows the other.
    let mut fresh = Fresh::new();
    fresh.holds(&[("0", dir(1)), ("0/f", read(5, 2, 1)), ("1", dir(3)), ("1/f", read(5, 4, 2))]);
    fresh.sees(&[("1", dir(1)), ("1/f", file(5, 2)), ("2", dir(3)), ("2/f", file(5, 4))]);
    fresh.loses(&["0"]);
    let link = |from: &str, to: &str| (from.to_owned(), to.to_owned(), vec![]);
    assert_eq!(moved(&fresh), [link("1", "2"), link("0", "1")]);
    let job = fresh.begin(Operation::RenameDir { from: p("1"), to: p("2"), inode: 3 });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(moved(&fresh), [link("0", "1")]);
    let job = fresh.begin(Operation::RenameDir { from: p("0"), to: p("1"), inode: 1 });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.pending(), Vec::<String>::new());
}

#[test]
fn what_is_in_a_renamed_directory_is_recorded_where_it_is() {
    let seen = [("new", dir(1)), ("new/a", file(5, 2)), ("new/d", dir(3)), ("new/d/b", file(7, 4))];
    let rename = || Operation::RenameDir { from: p("old"), to: p("new"), inode: 1 };
    let at_new = Stat { kind: Kind::Dir, size: None };
    // Done; not done by the server; told after a crash that it is done, and that it is not.
    for (case, end) in [("done", 0), ("made", 1), ("told done", 2), ("told not done", 3)] {
        let mut fresh = Fresh::new();
        tree(&mut fresh);
        fresh.sees(&seen);
        fresh.loses(&["old"]);
        fresh.index.found(&[(p("old/a"), read(5, 2, 1), Found::AsRecorded(ProofWay::Checksum))], at(3)).unwrap();
        let job = fresh.begin(rename());
        assert_eq!(fresh.index.live().unwrap()[0].operation, rename(), "{case}");
        match end {
            0 => fresh.settle(&job, Outcome::Done(Done::AsPlanned), None),
            1 => fresh.settle(&job, Outcome::Done(Done::NotMoved), None),
            2 => fresh.index.resolve(job.id, &[(p("new"), Some(at_new)), (p("old"), None)], at(4)).unwrap(),
            _ => fresh.index.resolve(job.id, &[(p("new"), None), (p("old"), Some(at_new))], at(4)).unwrap(),
        }
        let pending: &[&str] = match end {
            // Changed on the way.
            0 | 2 => &["new/d/b"],
            1 => &["new/a", "new/d", "new/d/b", "old", "old/a", "old/d", "old/d/b"],
            _ => &["new", "new/a", "new/d", "new/d/b", "old", "old/a", "old/d", "old/d/b"],
        };
        assert_eq!(fresh.pending(), pending, "{case}");
        if end == 0 {
            assert_eq!(fresh.both("new/d/b"), (Some(file(7, 4)), Some(read(6, 4, 2))));
            assert_eq!(fresh.both("old/d/b"), (None, None));
            assert_eq!(fresh.index.proofs().unwrap().by_checksum, 1, "what was proven is so under its new name");
            fresh.sees(&[("new/a", file(8, 2))]);
            assert_eq!(fresh.index.tally(at(9)).unwrap().recorded_files, 2);
        }
        if end == 1 {
            assert_eq!(moved(&fresh), [], "it goes file by file now");
        }
    }
}

/// Two directories, on the server as they were, here each under the name of the other.
fn swapped(fresh: &mut Fresh) {
    fresh.holds(&[("a", dir(1)), ("a/d", dir(2)), ("a/d/f", read(5, 3, 1)), ("a/x", read(9, 8, 4))]);
    fresh.holds(&[("b", dir(4)), ("b/d", dir(5)), ("b/d/f", read(6, 6, 2)), ("b/g", read(7, 7, 3))]);
    fresh.sees(&[("a", dir(4)), ("a/d", dir(5)), ("a/d/f", file(6, 6)), ("a/g", file(7, 7))]);
    fresh.sees(&[("b", dir(1)), ("b/d", dir(2)), ("b/d/f", file(5, 3)), ("b/x", file(9, 8))]);
    fresh.loses(&["a/x", "b/g"]);
}

fn swap(kind: Kind) -> Operation {
    Operation::Rotate { path: p("a"), others: vec![p("b")], kind, bytes: 0 }
}

#[test]
fn directories_that_took_each_others_names_are_known_by_what_is_in_them() {
    let link = |from: &str, to: &str, rest: &[&str]| {
        (from.to_owned(), to.to_owned(), rest.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>())
    };
    let mut fresh = Fresh::new();
    swapped(&mut fresh);
    assert_eq!(moved(&fresh), [link("b", "a", &[]), link("a", "b", &[])]);
    // What is gone goes afterwards.
    fresh.loses(&["b/x"]);
    assert_eq!(moved(&fresh), [link("b", "a", &[]), link("a", "b", &[])]);
    // Inodes that were given anew.
    fresh.sees(&[("b/d/f", file(50, 3)), ("b/x", file(90, 8))]);
    assert_eq!(moved(&fresh), []);
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", dir(1)), ("b", dir(2)), ("c", dir(3)), ("a/f", read(5, 4, 1)), ("c/h", read(6, 6, 2))]);
    fresh.sees(&[("a", dir(3)), ("b", dir(1)), ("c", dir(2)), ("a/h", file(6, 6)), ("b/f", file(5, 4))]);
    fresh.loses(&["a/f", "c/h"]);
    assert_eq!(moved(&fresh), [link("c", "a", &[]), link("b", "c", &[]), link("a", "b", &[])], "an empty one is among them");
    for left in [3, 3, 0] {
        let job = fresh.begin(Operation::Rotate { path: p("a"), others: vec![p("b"), p("c")], kind: Kind::Dir, bytes: 0 });
        fresh.settle(&job, Outcome::Failed(Problem::new(Reason::Connection, "no")), Some(at(9)));
        assert_eq!(moved(&fresh).len(), left, "at last it goes file by file");
    }
}

#[test]
fn what_is_in_directories_that_took_each_others_names_is_recorded_where_it_is() {
    let mut fresh = Fresh::new();
    swapped(&mut fresh);
    let job = fresh.begin(swap(Kind::Dir));
    assert!(job.temp.is_some());
    let witnesses = fresh.index.witnesses(&job.operation).unwrap();
    let told = |path: &str, before, after| Witness { path: p(path), before, after };
    assert!(witnesses.contains(&told("a/d/f", Some(read(5, 3, 1)), Some(read(6, 6, 2)))), "{witnesses:?}");
    assert!(witnesses.contains(&told("a/g", None, Some(read(7, 7, 3)))), "{witnesses:?}");
    let fresh = &mut fresh.reopen();
    assert_eq!(fresh.index.in_doubt().unwrap(), std::slice::from_ref(&job), "kept as it is");
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.pending(), Vec::<String>::new());
    assert_eq!(fresh.both("b/x"), (Some(file(9, 8)), Some(read(9, 8, 4))));
    assert_eq!(fresh.both("a/x"), (None, None));
}

#[test]
fn of_directories_that_were_half_renamed_nothing_is_taken_for_known() {
    let mut fresh = Fresh::new();
    swapped(&mut fresh);
    let job = fresh.begin(swap(Kind::Dir));
    let dir_there = Some(Stat { kind: Kind::Dir, size: None });
    fresh.index.resolve(job.id, &[(p("a"), dir_there), (p("b"), None)], at(4)).unwrap();
    assert_eq!(fresh.both("a/d/f").1, Some(Entry::file(Fingerprint::unknown(5), None)));
    assert_eq!((fresh.both("b/d/f").1, fresh.both("b/g")), (None, (None, None)));
    assert_eq!(fresh.index.in_doubt().unwrap(), []);
}

#[test]
fn files_that_took_each_others_names_are_recorded_as_they_are_now() {
    let mut fresh = Fresh::new();
    let later = |size, inode| Entry::file(Fingerprint { ctime_ns: 99, ..print(size, inode) }, None);
    fresh.holds(&[("a", read(5, 1, 1)), ("b", read(6, 2, 2))]);
    fresh.sees(&[("a", later(6, 2)), ("b", later(5, 1))]);
    let job = fresh.begin(swap(Kind::File));
    assert!(fresh.index.reader().unwrap().is_busy(&p("b")).unwrap());
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.pending(), Vec::<String>::new());
    // Edited meanwhile, and ignored meanwhile.
    fresh.sees(&[("a", file(5, 1)), ("b", file(8, 2))]);
    let job = fresh.begin(swap(Kind::File));
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.pending(), ["b"]);
    let job = fresh.begin(swap(Kind::File));
    fresh.index.observe(&[Observation::Ignored(p("b"))], at(4)).unwrap();
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.both("b"), (None, None));
}

#[test]
fn a_directory_whose_renaming_was_cut_off_is_renamed_as_a_whole_all_the_same() {
    let mut fresh = Fresh::new();
    tree(&mut fresh);
    fresh.sees(&[("new", dir(1)), ("new/a", file(5, 2)), ("new/d", dir(3)), ("new/d/b", file(6, 4))]);
    fresh.loses(&["old"]);
    let there = Some(Stat { kind: Kind::Dir, size: None });
    for whole in [true, true, false] {
        let job = fresh.begin(Operation::RenameDir { from: p("old"), to: p("new"), inode: 1 });
        fresh.settle(&job, Outcome::InDoubt(Problem::new(Reason::Connection, "cut")), Some(at(9)));
        fresh.index.resolve(job.id, &[(p("new"), None), (p("old"), there)], at(4)).unwrap();
        assert_eq!(moved(&fresh).iter().any(|(from, ..)| from == "old"), whole, "at last it goes piece by piece");
    }
}

#[test]
fn what_is_ignored_when_its_directory_was_renamed_stays_on_the_server() {
    let mut fresh = Fresh::new();
    tree(&mut fresh);
    fresh.sees(&[("new", dir(1)), ("new/a", file(5, 2)), ("new/d", dir(3)), ("new/d/b", file(6, 4))]);
    fresh.loses(&["old"]);
    let job = fresh.begin(Operation::RenameDir { from: p("old"), to: p("new"), inode: 1 });
    fresh.index.observe(&[Observation::Ignored(p("new/d/b"))], at(4)).unwrap();
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    assert_eq!(fresh.both("new/d/b"), (None, None));
    assert_eq!(fresh.pending(), Vec::<String>::new());
}
