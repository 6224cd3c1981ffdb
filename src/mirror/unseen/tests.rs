use std::io;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn paths(texts: &[&str]) -> Dirty {
    Dirty::Paths(texts.iter().map(|text| path(text)).collect())
}

fn at(text: &str) -> Option<RelPath> {
    Some(path(text))
}

fn trouble() -> Trouble {
    Trouble::Unreadable(io::ErrorKind::PermissionDenied.into())
}

fn shown(unseen: &Unseen) -> Vec<String> {
    unseen.shown().map(|unseen| unseen.path).collect()
}

/// A look at what is `dirty` that meets trouble in these places. How many of them are new, and what is none any more.
fn look(unseen: &mut Unseen, dirty: &Dirty, met: &[&str], now: Instant) -> (usize, Vec<Option<RelPath>>) {
    unseen.begin(dirty);
    let new = met.iter().filter(|name| unseen.meet(at(name), &trouble(), HOUR, now)).count();
    (new, unseen.end())
}

#[test]
fn a_place_is_looked_at_again_after_a_second_then_after_twice_as_long_each_time() {
    let (mut unseen, mut now) = (Unseen::default(), Instant::now());
    assert_eq!((unseen.wakes_at(), unseen.due(now)), (None, None));
    assert_eq!(look(&mut unseen, &Dirty::Everything, &["d", "e"], now), (2, vec![]));
    let mut waits = Vec::new();
    for _ in 0..15 {
        let next = unseen.wakes_at().unwrap();
        waits.push((next - now).as_secs());
        assert_eq!(unseen.due(next - Duration::from_millis(1)), None);
        assert_eq!(unseen.due(next), Some(paths(&["d", "e"])));
        now = next;
        assert_eq!(look(&mut unseen, &paths(&["d", "e"]), &["d", "e"], now), (0, vec![]));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600]);
    assert_eq!(look(&mut unseen, &paths(&["d", "e"]), &["e"], now), (0, vec![at("d")]));
    assert_eq!(shown(&unseen), ["e"]);
}

#[test]
fn what_is_looked_at_before_its_time_waits_no_longer_for_it() {
    let (mut unseen, now) = (Unseen::default(), Instant::now());
    look(&mut unseen, &Dirty::Everything, &["d"], now);
    let due = unseen.wakes_at();
    for n in 1..20 {
        look(&mut unseen, &paths(&["d"]), &["d"], now + Duration::from_millis(n));
    }
    assert_eq!(unseen.wakes_at(), due);
}

#[test]
fn a_place_is_kept_until_a_look_at_it_has_come_to_its_end() {
    let (mut unseen, now) = (Unseen::default(), Instant::now());
    look(&mut unseen, &Dirty::Everything, &["d/e", "f"], now);
    // Elsewhere; and inside it.
    assert_eq!(look(&mut unseen, &paths(&["a", "d/e/x"]), &[], now), (0, vec![]));
    unseen.begin(&paths(&["d"]));
    assert_eq!(shown(&unseen), ["d/e", "f"]);
    assert_eq!(unseen.end(), [at("d/e")]);
    assert_eq!(look(&mut unseen, &Dirty::Everything, &[], now), (0, vec![at("f")]));
    assert!(unseen.is_empty());
}

#[test]
fn what_leaves_nothing_out_waits_for_a_change() {
    let (mut unseen, now) = (Unseen::default(), Instant::now());
    let source = ignore::Error::InvalidDefinition;
    let pattern = Trouble::Pattern { line: 1, source };
    unseen.begin(&Dirty::Everything);
    assert!(unseen.meet(at("d"), &pattern, HOUR, now));
    assert_eq!((unseen.end(), unseen.wakes_at(), unseen.is_empty()), (vec![], None, false));
    // Unless something else is wrong there, too.
    assert!(!unseen.meet(at("d"), &trouble(), HOUR, now));
    assert!(unseen.wakes_at().is_some());
}

#[test]
fn too_many_places_are_everything() {
    let (mut unseen, now) = (Unseen::default(), Instant::now());
    unseen.begin(&Dirty::Everything);
    let new = (0..MOST * 2).filter(|n| unseen.meet(at(&n.to_string()), &trouble(), HOUR, now)).count();
    assert_eq!((new, unseen.shown().count()), (MOST + 1, MOST + 1));
    unseen.end();
    assert_eq!(unseen.due(unseen.wakes_at().unwrap()), Some(Dirty::Everything));
    // Nobody knows which the others are.
    assert!(unseen.at(Some(&path("somewhere"))).unwrap().starts_with("more than"));
    look(&mut unseen, &Dirty::Everything, &["1"], now);
    assert_eq!((shown(&unseen), unseen.at(Some(&path("somewhere")))), (vec!["1".to_owned()], None));
}

#[test]
fn what_concerns_a_path() {
    let (mut unseen, now) = (Unseen::default(), Instant::now());
    look(&mut unseen, &Dirty::Everything, &["d/e", "z"], now);
    for (name, place) in [("d", Some("d/e: ")), ("d/e", Some("d/e: ")), ("d/e/f", Some("d/e: ")), ("d/eh", None), ("y", None)] {
        let found = unseen.at(Some(&path(name)));
        assert_eq!(found.is_some(), place.is_some(), "{name}");
        assert!(found.is_none_or(|found| found.starts_with(place.unwrap())), "{name}");
    }
    assert!(unseen.at(None).is_some());
}

#[test]
fn where_nothing_could_be_looked_at_everything_is_unseen_until_that_begins_anew() {
    let (mut unseen, now) = (Unseen::default(), Instant::now());
    look(&mut unseen, &Dirty::Everything, &["d"], now);
    unseen.fail("missing".into());
    assert_eq!((shown(&unseen), unseen.wakes_at()), (vec![String::new()], None));
    unseen.begin(&paths(&["a"]));
    assert!(unseen.end().is_empty());
    assert_eq!(unseen.at(Some(&path("a"))).unwrap(), "missing");
    unseen.begin(&Dirty::Everything);
    assert!(unseen.is_empty());
}
