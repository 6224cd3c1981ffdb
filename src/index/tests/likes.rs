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
    fresh.sees(&[("n", read(BIG, 9, 1)), ("b", read(BIG, 2, 7))]);
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
