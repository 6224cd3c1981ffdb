//! Pauses, retries, the queue and the log of a whole engine over a real directory and a server in memory.

use std::time::Duration;

use tokio::sync::oneshot;

use super::super::truth::{Life, path};
use crate::{
    mirror::{Command, LogEntry, PathState, Pause, Phase, Queue},
    remote::{
        Class,
        memory::{Fault, Faults, Options, Primitive},
    },
};

/// A mirror in sync with one file `a`.
async fn begin() -> Life {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("source")).unwrap();
    std::fs::write(dir.path().join("source/a"), "a").unwrap();
    let server = Options { strict: true, ..Options::default() };
    let mut life = Life::start_as(dir, Duration::from_millis(20), None, server, |_| {});
    life.until(|status| status.phase == Phase::InSync).await;
    life
}

async fn order<T>(life: &Life, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> T {
    let (answer, answered) = oneshot::channel();
    life.tell(command(answer)).await;
    tokio::time::timeout(Duration::from_secs(60), answered).await.expect("an answer in time").expect("an answer")
}

async fn log(life: &Life, after: i64) -> Vec<LogEntry> {
    order(life, |answer| Command::Log { after, limit: 100, answer }).await
}

fn words(entries: &[LogEntry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{} {}", entry.what, entry.path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_mirror_notes_and_sends_nothing_until_it_goes_on() {
    let mut life = begin().await;
    assert_eq!(words(&log(&life, 0).await), ["published a"]);
    let pause = order(&life, |answer| Command::Pause(None, answer)).await;
    let status = life.until(|status| status.phase == Phase::Paused).await;
    assert_eq!(status.paused, Some(pause));
    let calls = life.remote.log().len();
    life.write("b", "new");
    life.hint("b").await;
    let status = life.until(|status| status.tally.pending_files == 1).await;
    assert_eq!(status.phase, Phase::Paused);
    let account = life.ask(Some("b"), true).await;
    assert_eq!((account.state, account.hint.as_deref()), (PathState::Held, Some("`towline resume site` ends that")));
    assert_eq!(life.ask(Some("a"), true).await.state, PathState::InSync, "what is there is there");
    let queue: Queue = order(&life, |answer| Command::Queue(10, answer)).await;
    assert_eq!((queue.pending.len(), queue.pending[0].verb.as_str(), queue.pending[0].path.as_str()), (1, "put", "b"));
    assert_eq!(order(&life, |answer| Command::Retry(None, answer)).await, 0, "nor does a retry end it");
    order(&life, Command::Turn).await;
    assert_eq!((life.on_server("b"), life.remote.log().len()), (None, calls));

    assert!(order(&life, Command::Resume).await);
    let status = life.until(|status| status.phase == Phase::InSync && status.counters.puts == 2).await;
    assert_eq!((status.paused, life.on_server("b")), (None, Some(b"new".to_vec())));
    let first = log(&life, 0).await;
    assert_eq!(words(&first), ["published a", "published b"]);
    assert_eq!((words(&log(&life, first[0].id).await), first[1].id), (vec!["published b".to_owned()], status.logged));
    assert!(!order(&life, Command::Resume).await);
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_with_an_end_ends_by_itself() {
    let mut life = begin().await;
    let long = order(&life, |answer| Command::Pause(None, answer)).await;
    let pause: Pause = order(&life, |answer| Command::Pause(Some(Duration::from_millis(500)), answer)).await;
    assert_eq!((pause.since, long.until), (long.since, None), "the second one is said of the same pause");
    life.write("b", "new");
    life.hint("b").await;
    let status = life.until(|status| status.phase == Phase::InSync && status.counters.puts == 2).await;
    assert!(status.paused.is_none() && status.at >= pause.until);
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_tried_again_when_somebody_says_so() {
    let mut life = begin().await;
    let refuse = |_, asked| if asked == Primitive::Rename { Fault::Fail(Class::Refused) } else { Fault::None };
    life.remote.set_faults(Faults::script(refuse));
    life.write("b", "new");
    life.hint("b").await;
    let status = life.until(|status| status.phase == Phase::Parked).await;
    assert_eq!(status.errors.paths.values().sum::<u64>(), 1, "{:?}", status.errors);
    let queue: Queue = order(&life, |answer| Command::Queue(10, answer)).await;
    assert_eq!((queue.pending.len(), queue.problems[0].path.as_str(), queue.problems[0].retry_at), (0, "b", None));
    life.remote.set_faults(Faults::none());
    assert_eq!(order(&life, |answer| Command::Retry(Some(path("c")), answer)).await, 0);
    assert_eq!(order(&life, |answer| Command::Retry(Some(path("b")), answer)).await, 1);
    life.until(|status| status.phase == Phase::InSync && status.counters.puts == 2).await;
    let entries = log(&life, 0).await;
    assert_eq!(words(&entries), ["published a", "failed b", "published b"]);
    assert!(entries[1].why.as_ref().is_some_and(|why| why.starts_with("put: ")), "{entries:?}");
    life.end().await;
}
