use proptest::prelude::*;

use super::*;

const QUIET: Duration = Duration::from_millis(200);

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn at(text: &str) -> Hint {
    Hint::Path(path(text))
}

fn paths(texts: &[&str]) -> Option<Dirty> {
    Some(Dirty::Paths(texts.iter().map(|text| path(text)).collect()))
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Some moment; which one does not matter.
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_path_is_released_when_it_has_been_quiet() {
    let (mut settle, t) = (Settle::new(QUIET), start());
    assert_eq!((settle.deadline(), settle.take(t)), (None, None));
    settle.hear(at("a"), t);
    settle.hear(at("b"), t + ms(50));
    settle.hear(at("a"), t + ms(100));
    assert_eq!(settle.deadline(), Some(t + ms(250)));
    assert_eq!(settle.take(t + ms(249)), None);
    assert_eq!(settle.take(t + ms(250)), paths(&["b"]));
    assert_eq!(settle.take(t + ms(300)), paths(&["a"]));
    assert!(settle.is_empty());
}

#[test]
fn a_path_that_never_holds_still_is_released_after_ten_windows() {
    let (mut settle, t) = (Settle::new(QUIET), start());
    for n in 0..=40 {
        settle.hear(at("log"), t + ms(n * 50));
    }
    assert_eq!(settle.deadline(), Some(t + QUIET * 10));
    assert_eq!(settle.take(t + QUIET * 10), paths(&["log"]));
}

#[test]
fn what_a_released_directory_covers_is_not_named() {
    let (mut settle, t) = (Settle::new(QUIET), start());
    ["d/x", "d", "d.x", "d/y/z"].iter().for_each(|text| settle.hear(at(text), t));
    assert_eq!(settle.take(t + QUIET), paths(&["d", "d.x"]));
}

#[test]
fn an_overflow_covers_all_and_is_quiet_too() {
    for grave in [Hint::Overflow, Hint::RootGone, Hint::Limited] {
        let (mut settle, t) = (Settle::new(QUIET), start());
        settle.hear(at("a"), t);
        settle.hear(grave, t + ms(100));
        settle.hear(at("b"), t + ms(150));
        assert_eq!(settle.len(), 1);
        assert_eq!(settle.take(t + ms(349)), None);
        assert_eq!(settle.take(t + ms(350)), Some(Dirty::Everything));
        assert!(settle.is_empty());
    }
}

#[test]
fn many_paths_in_a_directory_become_the_directory() {
    let (mut settle, t) = (Settle::new(QUIET), start());
    settle.hear(at("other"), t);
    for n in 0..1_000 {
        settle.hear(at(&format!("d/e/{n}")), t);
    }
    assert_eq!(settle.len(), 1_001);
    settle.hear(at("d/e/one more"), t + ms(10));
    assert_eq!(settle.len(), 2);
    settle.hear(at("d/e/x/y"), t + ms(20));
    assert_eq!(settle.take(t + QUIET), paths(&["other"]));
    assert_eq!(settle.take(t + ms(220)), paths(&["d/e"]));
}

#[test]
fn many_paths_in_the_root_become_everything() {
    let (mut settle, t) = (Settle::new(QUIET), start());
    for n in 0..=1_000 {
        settle.hear(at(&n.to_string()), t);
    }
    assert_eq!(settle.take(t + QUIET), Some(Dirty::Everything));
}

#[test]
fn many_paths_everywhere_become_the_directories_that_hold_them() {
    let (mut settle, t) = (Settle::new(QUIET), start());
    settle.hear(at("a/few"), t);
    for n in 0..10_000 {
        settle.hear(at(&format!("a/{}/{}/{n}", n % 7, n % 900)), t);
    }
    assert!(settle.len() <= 5_000, "{}", settle.len());
    let Some(Dirty::Paths(taken)) = settle.take(t + QUIET) else { panic!("everything") };
    assert!(taken.contains(&path("a/few")), "what is not deep stays as it is");
    assert!(taken.iter().all(|p| p.is_at_or_below(&path("a")) && p != &path("a")));
}

#[test]
fn what_was_pushed_back_comes_again_after_quiet() {
    let (mut settle, t) = (Settle::new(QUIET), start());
    settle.push_back(paths(&["a", "b"]).unwrap(), t);
    assert_eq!(settle.take(t + ms(199)), None);
    assert_eq!(settle.take(t + QUIET), paths(&["a", "b"]));
    settle.push_back(Dirty::Everything, t);
    assert_eq!(settle.take(t + QUIET), Some(Dirty::Everything));
}

#[derive(Clone, Debug)]
enum Step {
    Hear(String),
    Overflow,
    Wait(u64),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => "[a-e](/[a-e]){0,4}".prop_map(Step::Hear),
        1 => Just(Step::Overflow),
        4 => (0..120u64).prop_map(Step::Wait),
        3 => Just(Step::Take),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]
    #[test]
    fn no_hint_is_lost_and_none_is_early_or_late(
        steps in proptest::collection::vec(step(), 1..120), in_directory in 1..6usize, in_all in 4..40usize,
    ) {
        let limits = Limits { in_directory, in_all };
        let mut settle = Settle::with_limits(QUIET, limits);
        let begin = start();
        let mut now = begin;
        // What was heard and not yet covered by anything taken: the first hint since. The root is `None`.
        let mut open: BTreeMap<Option<RelPath>, Instant> = BTreeMap::new();
        // All that was ever heard: the first and the last hint.
        let mut ever: BTreeMap<Option<RelPath>, (Instant, Instant)> = BTreeMap::new();
        for step in steps.into_iter().chain([Step::Wait(10_000), Step::Take]) {
            match step {
                Step::Wait(n) => now += ms(n),
                Step::Hear(text) => {
                    settle.hear(at(&text), now);
                    open.entry(Some(path(&text))).or_insert(now);
                    ever.entry(Some(path(&text))).or_insert((now, now)).1 = now;
                }
                Step::Overflow => {
                    settle.hear(Hint::Overflow, now);
                    open.entry(None).or_insert(now);
                    ever.entry(None).or_insert((now, now)).1 = now;
                }
                Step::Take => {
                    let deadline = settle.deadline();
                    let taken = settle.take(now);
                    prop_assert_eq!(taken.is_some(), deadline.is_some_and(|at| at <= now));
                    prop_assert!(settle.deadline().is_none_or(|at| at > now));
                    let covered = |key: &Option<RelPath>| match &taken {
                        None => false,
                        Some(Dirty::Everything) => true,
                        Some(Dirty::Paths(paths)) => paths.iter().any(|p| covers(&Some(p.clone()), key)),
                    };
                    if let Some(Dirty::Paths(paths)) = &taken {
                        prop_assert!(paths.is_sorted());
                        prop_assert!(paths.windows(2).all(|two| !two[0].overlaps(&two[1])));
                        for p in paths {
                            // Not early: it, or something that it stands for, was quiet, or had waited long enough.
                            let ripe = |(_, (first, last)): (&Option<RelPath>, &(Instant, Instant))| {
                                *last + QUIET <= now || *first + QUIET * PATIENCE <= now
                            };
                            prop_assert!(ever.iter().filter(|(key, _)| covers(&Some(p.clone()), key)).any(ripe));
                        }
                    }
                    open.retain(|key, _| !covered(key));
                    // Not late: the rest has not waited for ten windows.
                    prop_assert!(open.values().all(|first| *first + QUIET * PATIENCE > now));
                }
            }
            prop_assert!(settle.len() <= in_all);
            prop_assert_eq!(settle.due.len(), settle.waiting.len());
            prop_assert_eq!(settle.children.values().sum::<usize>(), settle.waiting.len());
            prop_assert_eq!(settle.wholes, settle.waiting.values().filter(|wait| wait.whole).count());
            prop_assert!(!settle.is_empty() || open.is_empty());
        }
        prop_assert!(open.is_empty() && settle.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_is_concerned_by_what_waits_at_it_above_it_and_below_it() {
    let mut settle = Settle::new(QUIET);
    assert!(!settle.concerns(&path("a")));
    settle.hear(at("a/b"), Instant::now());
    for (asked, concerned) in [("a", true), ("a/b", true), ("a/b/c", true), ("a/c", false), ("a/bb", false), ("b", false)] {
        assert_eq!(settle.concerns(&path(asked)), concerned, "{asked}");
    }
    settle.hear(Hint::Overflow, Instant::now());
    assert!(settle.concerns(&path("b")));
}

#[test]
fn two_places_to_look_at_are_one() {
    let all = |texts: &[&str]| paths(texts).unwrap();
    assert_eq!(all(&["b", "c/d"]).and(all(&["a", "b/x", "c"])), all(&["a", "b", "c"]));
    assert_eq!(all(&["b"]).and(Dirty::Everything), Dirty::Everything);
    assert_eq!(Dirty::Everything.and(all(&["b"])), Dirty::Everything);
}
