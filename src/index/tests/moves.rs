use super::*;

/// What vanished and what appeared, and which sources the appeared ones have.
#[test]
fn sources_are_found_by_inode_and_by_content() {
    for (case, vanished, appeared, sources) in [
        ("nothing vanished", vec![], vec![("n", read(5, 1, 1))], vec![]),
        ("renamed", vec![("a", read(5, 1, 1))], vec![("n", file(5, 1))], vec!["a"]),
        ("another size", vec![("a", read(5, 1, 1))], vec![("n", file(6, 1))], vec![]),
        ("no inode", vec![("a", read(5, 0, 1))], vec![("n", file(5, 0))], vec![]),
        ("copied and removed", vec![("a", read(5, 1, 1))], vec![("n", read(5, 2, 1))], vec!["a"]),
        ("another content", vec![("a", read(5, 1, 1))], vec![("n", read(5, 2, 2))], vec![]),
        ("not read yet", vec![("a", read(5, 1, 1))], vec![("n", file(5, 2))], vec![]),
        ("a directory", vec![("a", dir(1))], vec![("n", dir(1))], vec![]),
        (
            "no more sources than members",
            vec![("a", read(5, 1, 1)), ("b", read(5, 2, 1)), ("c", read(5, 3, 1))],
            vec![("m", read(5, 8, 1)), ("n", read(5, 9, 1))],
            vec!["a", "b"],
        ),
    ] {
        let mut fresh = Fresh::new();
        fresh.holds(&vanished);
        fresh.sees(&appeared);
        fresh.loses(&vanished.iter().map(|(path, _)| *path).collect::<Vec<_>>());
        let rows = fresh.index.window(None, 100, at(5)).unwrap().rows;
        let (appeared, all): (Vec<_>, Vec<_>) = (rows.iter().filter(|row| row.observed.is_some()).cloned().collect(), rows);
        assert_eq!(names(&fresh.index.sources(&appeared, at(5)).unwrap()), sources, "{case}");
        assert_eq!(fresh.index.sources(&all, at(5)).unwrap(), [], "{case}: they are there already");
    }
}

#[test]
fn reading_is_asked_for_where_it_may_save_sending() {
    for (case, vanished, appeared, asked) in [
        ("same size", vec![("a", read(5, 1, 1))], vec![("n", file(5, 2))], vec!["n"]),
        ("another size", vec![("a", read(5, 1, 1))], vec![("n", file(6, 2))], vec![]),
        ("read already", vec![("a", read(5, 1, 1))], vec![("n", read(5, 2, 2))], vec![]),
        ("the vanished one was never read", vec![("a", file(5, 1))], vec![("n", file(5, 2))], vec![]),
        ("empty", vec![("a", read(0, 1, 1))], vec![("n", file(0, 2))], vec![]),
        ("a plain rename", vec![("a", read(5, 1, 1))], vec![("n", file(5, 1))], vec![]),
        ("more vanished", vec![("a", read(5, 1, 1)), ("b", read(5, 3, 1))], vec![("n", file(5, 2))], vec!["n"]),
        ("more vanished, a rename", vec![("a", read(5, 1, 1)), ("b", read(5, 3, 1))], vec![("n", file(5, 3))], vec![]),
    ] {
        let mut fresh = Fresh::new();
        fresh.holds(&vanished);
        fresh.sees(&appeared);
        fresh.loses(&vanished.iter().map(|(path, _)| *path).collect::<Vec<_>>());
        let found = fresh.index.undigested(10).unwrap();
        assert_eq!(found.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), asked, "{case}");
        assert_eq!(fresh.index.undigested(0).unwrap(), [], "{case}");
    }
}

#[test]
fn a_move_is_no_delete_but_each_new_file_excuses_only_one() {
    let many: Vec<_> = (0..20).map(|n| (format!("d/{n}"), read(5, n + 100, 1))).collect();
    let many: Vec<_> = many.iter().map(|(path, entry)| (path.as_str(), *entry)).collect();
    for (case, vanished, appeared, files) in [
        ("nothing", vec![], vec![], 0),
        ("removed", vec![("a", read(5, 1, 1)), ("b", read(5, 2, 2))], vec![], 2),
        ("a directory counts for nothing", vec![("a", dir(1))], vec![], 0),
        ("renamed", vec![("a", file(5, 1)), ("b", file(5, 2))], vec![("n", file(5, 1))], 1),
        ("copied and removed", vec![("a", read(5, 1, 1))], vec![("n", read(5, 9, 1))], 0),
        ("by inode and by content", vec![("a", read(5, 1, 1)), ("b", read(5, 2, 1))], vec![("n", read(5, 1, 1))], 1),
        ("one copy of twenty", many, vec![("n", read(5, 9, 1))], 19),
    ] {
        let mut fresh = Fresh::new();
        fresh.holds(&[("stays", file(1, 99))]);
        fresh.holds(&vanished);
        fresh.sees(&appeared);
        fresh.loses(&vanished.iter().map(|(path, _)| *path).collect::<Vec<_>>());
        let recorded = 1 + vanished.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. })).count() as u64;
        assert_eq!(fresh.index.deletes().unwrap(), Deletes { files, recorded }, "{case}");
    }
}
