use super::*;
use crate::{
    index::Tally,
    mirror::status::{LinkStatus, UnseenStatus},
};

const AFTER: Duration = Duration::from_secs(60);

fn status(phase: Phase) -> MirrorStatus {
    MirrorStatus { name: "site".to_owned(), phase, ..MirrorStatus::default() }
}

fn away() -> MirrorStatus {
    let link = LinkStatus { why: Some("connection refused".to_owned()), ..LinkStatus::default() };
    MirrorStatus { link, ..status(Phase::Waiting) }
}

fn parked() -> MirrorStatus {
    MirrorStatus { tally: Tally { parked: 1, ..Tally::default() }, ..status(Phase::Parked) }
}

struct Scene {
    notices: Notices,
    start: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { notices: Notices::new(AFTER), start: Instant::now() }
    }

    fn hear(&mut self, at: u64, status: &MirrorStatus) -> Vec<(&'static str, &'static str)> {
        let told = self.notices.hear(std::slice::from_ref(status), self.start + Duration::from_secs(at));
        told.iter().map(|notice| (notice.was.as_str(), notice.now.as_str())).collect()
    }

    fn wakes(&self) -> Option<u64> {
        self.notices.wakes_at().map(|at| (at - self.start).as_secs())
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_is_told_once_and_so_is_its_end() {
    let mut scene = Scene::new();
    assert_eq!(scene.hear(0, &status(Phase::InSync)), []);
    assert_eq!(scene.hear(100, &status(Phase::InSync)), [], "that all is well from the start is no news");
    assert_eq!((scene.hear(100, &away()), scene.wakes()), (vec![], Some(160)));
    assert_eq!(scene.hear(159, &away()), []);
    assert_eq!((scene.hear(160, &away()), scene.wakes()), (vec![("fine", "away")], None));
    assert_eq!(scene.hear(1_000, &away()), []);
    // While it is tried nobody knows; that is not told.
    assert_eq!(scene.hear(1_001, &status(Phase::Syncing)), []);
    assert_eq!(scene.hear(1_002, &parked()), []);
    assert_eq!(scene.hear(1_062, &parked()), [("away", "parked")]);
    assert_eq!(scene.hear(1_063, &status(Phase::InSync)), []);
    assert_eq!(scene.hear(1_123, &status(Phase::InSync)), [("parked", "fine")]);
}

#[tokio::test(start_paused = true)]
async fn what_mends_itself_in_time_is_not_told() {
    let mut scene = Scene::new();
    scene.hear(0, &status(Phase::InSync));
    for at in (0..1_000).step_by(50) {
        assert_eq!(scene.hear(at, &away()), []);
        assert!(!scene.notices.all_is_well());
        assert_eq!(scene.hear(at + 20, &status(Phase::Syncing)), []);
        assert_eq!(scene.hear(at + 30, &status(Phase::InSync)), []);
        assert!(scene.notices.all_is_well());
    }
    assert_eq!(scene.wakes(), None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_back_is_not_away_however_long_it_takes_to_be_in_sync() {
    let mut scene = Scene::new();
    scene.hear(0, &away());
    let mut busy = status(Phase::Syncing);
    assert_eq!((scene.hear(10, &busy), scene.wakes()), (vec![], Some(60)), "it is tried");
    busy.link.state = "up".to_owned();
    assert_eq!((scene.hear(20, &busy), scene.wakes()), (vec![], None));
    assert_eq!(scene.hear(9_999, &busy), []);
    assert!(scene.notices.all_is_well());
}

#[tokio::test(start_paused = true)]
async fn the_worst_is_told() {
    let mut both = away();
    both.tally.parked = 3;
    both.unseen.push(UnseenStatus { path: "d".to_owned(), why: "permission denied".to_owned() });
    let of = |status: &MirrorStatus| Condition::of(status).map(|(condition, words)| (condition.as_str(), words));
    assert_eq!(of(&both), Some(("away", "site: the server cannot be used: connection refused".to_owned())));
    both.phase = Phase::Stopped;
    assert_eq!(of(&both), Some(("stopped", "site: stopped: connection refused".to_owned())));
    both = parked();
    assert_eq!(of(&both).unwrap().1, "site: 1 path cannot be mirrored as they are; see `towline status`");
    assert_eq!(of(&status(Phase::Scanning)), None);
    assert_eq!(of(&status(Phase::Paused)), None, "whoever paused it knows");
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_is_gone_is_forgotten_and_without_one_nothing_is_well() {
    let mut scene = Scene::new();
    assert!(!scene.notices.all_is_well());
    scene.hear(0, &away());
    assert_eq!(scene.notices.hear(&[], scene.start), []);
    assert_eq!((scene.wakes(), scene.notices.all_is_well()), (None, false));
}

#[test]
fn what_the_web_is_told() {
    let words = "site: removals wait: too many; approve".to_owned();
    let (mirror, lasted) = ("site".to_owned(), Duration::from_secs(60));
    let notice = Notice { mirror, now: Condition::Held, was: Condition::Fine, lasted, words };
    let told: serde_json::Value = serde_json::from_slice(&notice.json(UnixMillis(100_000))).unwrap();
    let expected = serde_json::json!({
        "text": "site: removals wait: too many; approve", "mirror": "site", "from": "fine", "to": "held", "since": 40_000,
        "reason": "removals wait: too many; approve",
    });
    assert_eq!(told, expected);
}
