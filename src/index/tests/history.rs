//! What was done: kept over a restart, bounded, and read from where somebody has read to.

use super::*;

fn done(path: &str, n: i64) -> Logged {
    let other = (n % 2 == 0).then(|| p("b/old"));
    Logged { id: 0, at: at(n), what: "published".to_owned(), path: p(path), other, bytes: Some(7), size: None, why: None }
}

#[test]
fn what_was_done_is_kept_in_order_and_read_from_where_one_was() {
    let mut fresh = Fresh::new();
    assert_eq!((fresh.index.last_logged().unwrap(), fresh.index.logged(0, 10).unwrap()), (0, Vec::new()));
    fresh.index.log(&[]).unwrap();
    fresh.index.log(&[done("a", 1), done("b/c", 2)]).unwrap();
    fresh.index.log(&[Logged { why: Some("550 no".to_owned()), bytes: None, ..done("d", 3) }]).unwrap();
    let fresh = fresh.reopen();
    let all = fresh.index.logged(0, 10).unwrap();
    let shown: Vec<_> = all.iter().map(|one| (one.path.to_string(), one.at.0, one.other.is_some(), one.why.is_some())).collect();
    assert_eq!(shown, [("a".to_owned(), 1, false, false), ("b/c".to_owned(), 2, true, false), ("d".to_owned(), 3, false, true)]);
    assert!(all.is_sorted_by(|a, b| a.id < b.id) && all[2].id == fresh.index.last_logged().unwrap());
    assert_eq!(fresh.index.logged(all[0].id, 1).unwrap(), all[2..], "the newest, where there are more");
    assert_eq!(fresh.index.logged(all[1].id, 10).unwrap(), all[2..]);
    assert_eq!(fresh.index.reader().unwrap().logged(0, 2).unwrap(), all[1..]);
}

#[test]
fn the_oldest_give_way() {
    let mut fresh = Fresh::new();
    for stretch in 0..21 {
        let many: Vec<_> = (0..500).map(|n| done("a", stretch * 500 + n)).collect();
        fresh.index.log(&many).unwrap();
    }
    let all = fresh.index.logged(0, 20_000).unwrap();
    assert_eq!((all.len(), all[0].at, all[9_999].at), (10_000, at(500), at(10_499)));
}
