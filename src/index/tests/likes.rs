use super::*;

const BIG: u64 = LEAST_COPY;

/// What is held, what appeared, and what is asked for.
#[test]
fn reading_is_asked_for_where_it_may_save_sending() {
    for (case, held, appeared, asked) in [
        ("as large as one on the server", vec![("a", read(BIG, 1, 1))], vec![("n", file(BIG, 2))], vec!["n"]),
        (
            "as large as each other",
            vec![],
            vec![("m", file(BIG, 2)), ("n", file(BIG, 3)), ("o", file(BIG + 1, 4))],
            vec!["m", "n"],
        ),
        ("as large as nothing", vec![("a", read(BIG, 1, 1))], vec![("n", file(BIG + 1, 2))], vec![]),
        ("as large as what nobody read", vec![("a", file(BIG, 1))], vec![("n", file(BIG, 2))], vec![]),
        ("small", vec![("a", read(BIG - 1, 1, 1))], vec![("n", file(BIG - 1, 2)), ("o", file(BIG - 1, 3))], vec![]),
        ("very large", vec![("a", read(LARGEST_COPY + 1, 1, 1))], vec![("n", file(LARGEST_COPY + 1, 2))], vec![]),
        ("read already", vec![("a", read(BIG, 1, 1))], vec![("n", read(BIG, 2, 1))], vec![]),
        ("its own old version", vec![("a", read(BIG, 1, 1))], vec![("a", file(BIG, 2))], vec![]),
    ] {
        let mut fresh = Fresh::new();
        fresh.holds(&held);
        fresh.sees(&appeared);
        let found = fresh.index.undigested_alike(10).unwrap();
        assert_eq!(found.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), asked, "{case}");
        assert_eq!(fresh.index.undigested_alike(0).unwrap(), [], "{case}");
    }
}

#[test]
fn alike_is_what_the_server_holds_and_keeps() {
    let mut fresh = Fresh::new();
    let held = [("a", read(BIG, 1, 1)), ("b", read(BIG, 2, 2)), ("c", read(BIG, 3, 3)), ("s", read(5, 4, 5))];
    fresh.holds(&held);
    fresh.sees(&[("n", read(BIG, 9, 1)), ("b", read(BIG, 22, 7))]);
    fresh.loses(&["c"]);
    let like = |path: &str, size, content| {
        let found = fresh.index.likes(&[(p(path), size, Digest([content; 32]))]).unwrap().remove(0);
        found.map(|path| path.to_string())
    };
    assert_eq!(like("n", BIG, 1), Some("a".into()));
    assert_eq!(like("n", BIG, 4), None, "nobody has it");
    assert_eq!(like("n", BIG + 1, 1), None);
    assert_eq!(like("n", 5, 5), None, "small");
    assert_eq!(like("n", BIG, 2), None, "it is about to be another");
    assert_eq!(like("n", BIG, 3), None, "it is about to go");
    assert_eq!(like("a", BIG, 1), None, "itself");
    assert_eq!(like("nowhere", BIG, 1), None, "not pending any more");
    let job = fresh.begin(put("n", BIG, 9));
    fresh.settle(&job, Outcome::Failed(refused()), Some(at(9)));
    assert_eq!(fresh.index.likes(&[(p("n"), BIG, Digest([1; 32]))]).unwrap(), [None], "that did not work before");
}

/// Puts `path` with this content in the trash, by the job that does so.
fn trashes(fresh: &mut Fresh, path: &str, place: &RelPath) {
    let job = fresh.begin(Operation::Trash { path: p(path), place: place.clone() });
    fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
}

fn place(path: &str) -> RelPath {
    crate::model::place(&p(path), at(0), 1).unwrap()
}

#[test]
fn what_lies_in_the_trash_is_known_by_its_content_and_taken_once() {
    let mut fresh = Fresh::new();
    fresh.holds(&[("a", read(5, 1, 1)), ("b", read(5, 2, 1)), ("c", read(5, 3, 2)), ("d", file(5, 4))]);
    fresh.loses(&["a", "b", "c", "d"]);
    for path in ["a", "b", "c", "d"] {
        trashes(&mut fresh, path, &place(path));
    }
    fresh.sees(&[("x", file(5, 11)), ("y", file(5, 12)), ("z", file(6, 13))]);
    let asked: Vec<_> = fresh.index.undigested_trashed(10).unwrap().into_iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(asked, ["x", "y"]);
    let files = |names: &[&str]| names.iter().map(|name| (p(name), 5, Digest([1; 32]))).collect::<Vec<_>>();
    fresh.sees(&[("w", file(5, 10))]);
    let found = fresh.index.trashed(&files(&["w", "x", "y"]), |_| true).unwrap();
    assert_eq!(found, [Some(place("a")), Some(place("b")), None]);
    let found = fresh.index.trashed(&files(&["x"]), |free| *free != place("a")).unwrap();
    assert_eq!(found, [Some(place("b"))]);
    assert_eq!(fresh.index.trashed(&[(p("x"), 5, Digest([9; 32]))], |_| true).unwrap(), [None]);
    assert_eq!(
        fresh.index.recorded(&[place("a")]).unwrap(),
        [Some(Entry::file(Fingerprint { mtime_ns: 10, ..Fingerprint::unknown(5) }, Some(Digest([1; 32]))))]
    );
}

/// What the server says after a cut, and what is in the trash and recorded then.
#[test]
fn what_was_taken_from_the_trash_is_there_no_more() {
    let there = |size| Some(Stat { kind: Kind::File, size: Some(size) });
    for (case, in_trash, at_path, left, recorded) in [
        ("settled", None, None, false, Some(Entry::file(print(5, 11), Some(Digest([1; 32]))))),
        ("it went", Some(None), there(5), false, Some(Entry::file(print(5, 11), Some(Digest([1; 32]))))),
        ("it did not", Some(there(5)), None, true, None),
        ("somebody removed both", Some(None), None, false, None),
        ("something else is there", Some(None), there(7), false, there(7).map(Stat::to_entry)),
    ] {
        let mut fresh = Fresh::new();
        fresh.holds(&[("a", read(5, 1, 1))]);
        fresh.loses(&["a"]);
        trashes(&mut fresh, "a", &place("a"));
        fresh.sees(&[("x", file(5, 11))]);
        let operation = Operation::Rename {
            from: place("a"),
            to: p("x"),
            print: print(5, 11),
            digest: Some(Digest([1; 32])),
            mode: None,
            retime: true,
        };
        let job = fresh.begin(operation.clone());
        assert_eq!(fresh.index.live().unwrap()[0].operation, operation, "{case}");
        match in_trash {
            None => fresh.settle(&job, Outcome::Done(Done::AsPlanned), None),
            Some(told) => fresh.index.resolve(job.id, &[(p("x"), at_path), (place("a"), told)], at(5)).unwrap(),
        }
        assert_eq!(fresh.both("x").1, recorded, "{case}");
        assert_eq!(fresh.index.places().unwrap().contains(&place("a")), left, "{case}");
        assert_eq!(fresh.both(&place("a").to_string()), (None, None), "{case}");
    }
}

/// What another mirror asks.
#[test]
fn a_holder_is_first_what_stays_and_last_what_is_in_the_trash() {
    let mut fresh = Fresh::new();
    let size = LEAST_COPY;
    fresh.holds(&[("a", read(size, 1, 7)), ("b", read(size, 2, 7)), ("small", read(5, 3, 8)), ("unread", file(size + 1, 4))]);
    let reader = fresh.index.reader().unwrap();
    let holder =
        |content| reader.holder(size, Digest([content; 32])).unwrap().map(|(path, print)| (path.to_string(), print.mtime_ns));
    assert_eq!(
        (reader.has_size(size).unwrap(), reader.has_size(5).unwrap(), reader.has_size(size + 1).unwrap()),
        (true, false, false)
    );
    fresh.loses(&["a"]);
    assert_eq!(holder(7), Some(("b".to_owned(), 10)));
    fresh.loses(&["b"]);
    assert!(holder(7).is_some(), "it is there until it is removed");
    for name in ["a", "b"] {
        let place = crate::model::place(&p(name), at(0), 1).unwrap();
        let job = fresh.begin(Operation::Trash { path: p(name), place });
        fresh.settle(&job, Outcome::Done(Done::AsPlanned), None);
    }
    assert!(holder(7).is_some_and(|(path, _)| path.starts_with(".towline-trash/")));
    assert_eq!(holder(8), None);
    fresh.sees(&[("new", file(size, 9)), ("other", file(size + 1, 10)), ("tiny", file(3, 11))]);
    let asked = fresh.index.undigested_like(10, |asked| asked == size).unwrap();
    assert_eq!(asked.into_iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["new"]);
}
