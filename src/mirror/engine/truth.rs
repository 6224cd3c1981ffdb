//! Ways in which the status could lie, one test for each: the engine over a real directory, a scripted watcher and a server
//! in memory.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Mirror, StartWatch};
use crate::{
    clock,
    index::Index,
    mirror::{
        Account, Command, Drift, Handle, MirrorError, MirrorStatus, PathState, Phase, Priority, Publish, Scrub, Seats, Settings,
        Siblings, Until,
    },
    model::{Disposal, RelPath, Retention},
    plan::Budget,
    remote::memory::{MemoryRemote, Options, tree::Node},
    scan::View,
    watch::{Hint, ScriptedWatcher, WatchError},
};

/// How long anything may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_millis(20);
/// A window that no test waits for.
const NEVER: Duration = Duration::from_secs(3600);

pub(super) struct Life {
    pub(super) dir: TempDir,
    pub(super) remote: MemoryRemote,
    handle: Handle,
    hints: mpsc::Sender<Hint>,
    stop: CancellationToken,
    task: JoinHandle<Result<Arc<MirrorStatus>, MirrorError>>,
}

pub(super) fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

impl Life {
    /// A mirror that is in sync with one file `a`.
    async fn begin(quiet: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("source")).unwrap();
        fs::write(dir.path().join("source/a"), "a").unwrap();
        let mut life = Self::start(dir, quiet, None);
        life.until(|status| status.phase == Phase::InSync).await;
        life
    }

    /// The watcher is there when the `gate` is opened.
    fn start(dir: TempDir, quiet: Duration, gate: Option<std::sync::mpsc::Receiver<()>>) -> Self {
        Self::start_as(dir, quiet, gate, Options { strict: true, ..Options::default() }, |_| {})
    }

    /// The same with a server and settings of its own.
    pub(super) fn start_as(
        dir: TempDir,
        quiet: Duration,
        gate: Option<std::sync::mpsc::Receiver<()>>,
        server: Options,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let (hints, watcher) = ScriptedWatcher::new();
        // Later ones cannot be started.
        let watcher = std::sync::Mutex::new(Some((watcher, gate)));
        let start: StartWatch<ScriptedWatcher> = Some(Arc::new(move |path: PathBuf| -> Result<ScriptedWatcher, WatchError> {
            let (watcher, gate) = watcher.lock().unwrap().take().ok_or(WatchError::Missing { path })?;
            gate.iter().for_each(|gate| gate.recv().unwrap());
            Ok(watcher)
        }));
        let mut settings = Settings {
            name: "site".into(),
            source: dir.path().join("source"),
            view: View::default(),
            ignore: vec!["*.tmp".into()],
            append: Vec::new(),
            quiet,
            full_scan: NEVER,
            identity: "mine".into(),
            budget: Budget { files: 0, percent: 0 },
            drift: Drift::default(),
            publish: Publish::default(),
            scan: Priority::default(),
            scrub: Scrub::default(),
            disposal: Disposal::Trash,
            retention: Retention::default(),
            neighbours: Vec::new(),
            seats: Seats::new(2),
            siblings: Siblings::default(),
            clock: clock::now,
            observer: None,
        };
        let index = Index::open(&dir.path().join("site.db"), clock::now()).unwrap();
        change(&mut settings);
        let remote = MemoryRemote::new(server);
        let (mirror, handle) = Mirror::new(settings, index, Arc::new(remote.clone()), start).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(mirror.run(Until::Stopped, stop.clone()));
        Self { dir, remote, handle, hints, stop, task }
    }

    pub(super) fn write(&self, name: &str, body: &str) {
        fs::write(self.dir.path().join("source").join(name), body).unwrap();
    }

    pub(super) async fn hint(&self, name: &str) {
        self.hints.send(Hint::Path(path(name))).await.unwrap();
    }

    pub(super) async fn until(&mut self, holds: impl FnMut(&Arc<MirrorStatus>) -> bool) -> Arc<MirrorStatus> {
        let found = timeout(PATIENCE, self.handle.status.wait_for(holds)).await;
        found.unwrap_or_else(|_| panic!("it did not come")).unwrap().clone()
    }

    pub(super) async fn tell(&self, command: Command) {
        self.handle.commands.send(command).await.unwrap();
    }

    pub(super) async fn ask(&self, name: Option<&str>, look: bool) -> Account {
        let (answer, account) = oneshot::channel();
        self.handle.commands.send(Command::Account { path: name.map(path), look, answer }).await.unwrap();
        timeout(PATIENCE, account).await.expect("an answer in time").expect("an answer")
    }

    /// As `towline wait` does it.
    async fn wait(&self, name: Option<&str>) -> Account {
        let mut account = self.ask(name, true).await;
        assert!(account.looked);
        while !account.state.is_settled() && !account.state.is_stuck() {
            tokio::time::sleep(QUIET).await;
            account = self.ask(name, false).await;
        }
        account
    }

    pub(super) fn on_server(&self, name: &str) -> Option<Vec<u8>> {
        match self.remote.live().remove(&path(name)) {
            Some(Node::File { body, .. }) => Some(body.to_vec()),
            _ => None,
        }
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
        assert_eq!(self.remote.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_sync_while_a_hint_waits_for_quiet() {
    let mut life = Life::begin(NEVER).await;
    life.write("a", "changed");
    life.hint("a").await;
    let status = life.until(|status| status.phase != Phase::InSync).await;
    assert_eq!(status.phase, Phase::Scanning);
    assert_eq!(life.ask(Some("a"), false).await.state, PathState::Unlooked);
    assert_eq!(life.ask(None, false).await.state, PathState::Unlooked);
    assert_eq!(life.ask(Some("b"), false).await.state, PathState::Absent, "what does not concern it does not count");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nothing_was_heard_of_is_seen_when_somebody_asks() {
    let life = Life::begin(QUIET).await;
    life.write("a", "changed");
    let account = life.ask(Some("a"), false).await;
    assert_eq!((account.state, account.looked), (PathState::Unlooked, false));
    let account = life.wait(Some("a")).await;
    assert_eq!(account.state, PathState::InSync);
    assert_eq!(life.on_server("a").unwrap(), b"changed");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_everything_looks_everywhere_first() {
    let life = Life::begin(QUIET).await;
    for round in ["1", "2", "3"] {
        life.write("a", round);
        life.write(round, "new");
        let account = life.wait(None).await;
        assert_eq!(account.state, PathState::InSync);
        assert_eq!(life.on_server("a").unwrap(), round.as_bytes());
        assert!(life.on_server(round).is_some());
    }
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ignored_or_gone_is_not_waited_for() {
    let life = Life::begin(QUIET).await;
    life.write("x.tmp", "x");
    let account = life.wait(Some("x.tmp")).await;
    assert_eq!(account.state, PathState::Ignored);
    assert!(account.why.unwrap().contains("`*.tmp`"));
    assert_eq!(life.wait(Some("no/such")).await.state, PathState::Absent);
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_sync_while_the_kernel_does_not_tell_of_everything() {
    let mut life = Life::begin(QUIET).await;
    life.hints.send(Hint::Limited).await.unwrap();
    let status = life.until(|status| !status.watch.complete && status.phase != Phase::Scanning).await;
    assert_ne!(status.phase, Phase::InSync);
    life.until(|status| status.phase == Phase::AsScanned).await;
    // What was looked at because somebody asked is known all the same.
    life.write("a", "changed");
    assert_eq!(life.wait(None).await.state, PathState::InSync);
    assert_eq!(life.on_server("a").unwrap(), b"changed");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_sync_while_the_watcher_cannot_be_started_again() {
    let mut life = Life::begin(QUIET).await;
    life.hints.send(Hint::RootGone).await.unwrap();
    let status = life.until(|status| status.phase == Phase::AsScanned).await;
    assert!(!status.watch.complete);
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_sync_before_the_first_look() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("source")).unwrap();
    let (open, gate) = std::sync::mpsc::channel();
    let mut life = Life::start(dir, QUIET, Some(gate));
    assert_eq!(life.ask(None, false).await.state, PathState::Unlooked);
    assert_eq!(life.handle.status.borrow().phase, Phase::Starting);
    open.send(()).unwrap();
    let status = life.until(|status| status.phase == Phase::InSync).await;
    assert!(status.last_full_scan.is_some());
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_sync_while_a_place_could_not_be_looked_at() {
    let mut life = Life::begin(QUIET).await;
    fs::create_dir(life.dir.path().join("source/d")).unwrap();
    life.write("d/f", "f");
    // An ignore file beyond the bound: nobody knows what in its directory is to be mirrored.
    fs::write(life.dir.path().join("source/d/.towlineignore"), vec![b'#'; (1 << 20) + 1]).unwrap();
    life.hint("d").await;
    life.until(|status| !status.unseen.is_empty() && status.phase != Phase::Scanning && status.phase != Phase::Syncing).await;
    assert_ne!(life.handle.status.borrow().phase, Phase::InSync);
    assert_eq!(life.ask(Some("d/f"), true).await.state, PathState::Unseen);
    assert_eq!(life.ask(None, false).await.state, PathState::Unseen);
    assert_eq!(life.wait(Some("a")).await.state, PathState::InSync, "another place is not concerned");
    life.end().await;
}

/// Full scans are an hour apart here.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_could_not_be_looked_at_is_looked_at_again_though_nothing_was_heard_of_it() {
    let mut life = Life::begin(QUIET).await;
    for name in ["d", "e"] {
        fs::create_dir(life.dir.path().join("source").join(name)).unwrap();
        life.write(&format!("{name}/f"), "f");
        fs::write(life.dir.path().join("source").join(name).join(".towlineignore"), vec![b'#'; (1 << 20) + 1]).unwrap();
        life.hint(name).await;
    }
    life.until(|status| status.unseen.len() == 2).await;
    life.write("d/.towlineignore", "*.no");
    let status = life.until(|status| status.unseen.len() == 1 && status.phase != Phase::Scanning).await;
    assert_eq!(status.unseen[0].path, "e");
    assert_ne!(status.phase, Phase::InSync);
    fs::remove_file(life.dir.path().join("source/e/.towlineignore")).unwrap();
    life.until(|status| status.unseen.is_empty() && status.phase == Phase::InSync).await;
    for name in ["d/f", "e/f"] {
        assert_eq!(life.on_server(name).unwrap(), b"f");
    }
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_sync_while_the_root_is_missing() {
    let mut life = Life::begin(QUIET).await;
    let source = life.dir.path().join("source");
    fs::rename(&source, life.dir.path().join("away")).unwrap();
    // Noticed by the glance alone.
    life.until(|status| status.phase == Phase::Halted).await;
    assert_eq!(life.ask(Some("a"), false).await.state, PathState::Unseen);
    assert_eq!(life.ask(None, true).await.state, PathState::Unseen);
    fs::rename(life.dir.path().join("away"), &source).unwrap();
    life.until(|status| status.phase == Phase::AsScanned).await;
    assert!(life.on_server("a").is_some());
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_removals_stay_on_the_server_until_the_name_is_used_again() {
    let mut life = Life::begin(QUIET).await;
    let reject = async |life: &Life| {
        let (answer, rejected) = oneshot::channel();
        life.handle.commands.send(Command::Reject(answer)).await.unwrap();
        rejected.await.unwrap()
    };
    assert!(reject(&life).await.is_err(), "nothing is halted");
    life.write("b", "b");
    life.hint("b").await;
    assert_eq!(life.wait(None).await.state, PathState::InSync);
    fs::remove_file(life.dir.path().join("source/a")).unwrap();
    life.hint("a").await;
    life.until(|status| status.phase == Phase::Halted).await;
    let account = life.wait(Some("a")).await;
    assert_eq!(account.state, PathState::Held);
    assert_eq!(life.wait(None).await.state, PathState::Held);
    assert_eq!(reject(&life).await, Ok(1));
    life.until(|status| status.phase == Phase::InSync && status.halt.is_none()).await;
    assert_eq!(life.on_server("a").unwrap(), b"a");
    assert_eq!(life.wait(Some("a")).await.state, PathState::Absent, "it is not the mirror's any more");
    // Back here it is mirrored again, and with that its removal waits again.
    life.write("a", "back");
    assert_eq!(life.wait(Some("a")).await.state, PathState::InSync);
    assert_eq!(life.on_server("a").unwrap(), b"back");
    fs::remove_file(life.dir.path().join("source/a")).unwrap();
    life.hint("a").await;
    life.until(|status| status.phase == Phase::Halted).await;
    assert_eq!(life.remote.deletes(), 0);
    life.end().await;
}

/// What the watchdog goes by.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_is_stuck_does_not_turn() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("source")).unwrap();
    fs::write(dir.path().join("source/a"), "a").unwrap();
    let (stuck, is_stuck) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new((stuck, released));
    let life = Life::start_as(dir, QUIET, None, Options { strict: true, ..Options::default() }, |settings| {
        settings.observer = Some(Arc::new(move |_| {
            let gate = gate.lock().unwrap();
            // Both fail when the test does not care any more.
            let _ = gate.0.send(());
            let _ = gate.1.recv();
        }));
    });
    // Its first job is settled, and the loop hangs in it.
    tokio::task::spawn_blocking(move || is_stuck.recv().unwrap()).await.unwrap();
    let handle = life.handle.clone();
    let mut turn = Box::pin(handle.turn());
    assert!(timeout(Duration::from_millis(50), &mut turn).await.is_err(), "it hangs");
    drop(release);
    timeout(PATIENCE, turn).await.expect("a turn");
    timeout(PATIENCE, life.handle.turn()).await.expect("another one");
    life.stop.cancel();
    timeout(PATIENCE, life.task).await.unwrap().unwrap().unwrap();
    timeout(PATIENCE, handle.turn()).await.expect("one that has ended holds nothing up");
}

/// It was sent again, and its old name was to be removed, if the new one was looked at first.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_seen_under_its_new_name_first_is_not_sent_again() {
    let mut life = Life::begin(QUIET).await;
    let source = life.dir.path().join("source");
    fs::create_dir(source.join("old")).unwrap();
    life.write("old/f", "sent once");
    life.hint("old").await;
    life.until(|status| status.phase == Phase::InSync && status.counters.puts == 2).await;
    let stored = life.remote.stored();
    fs::rename(source.join("old"), source.join("new")).unwrap();
    life.hint("new").await;
    life.until(|status| status.phase == Phase::InSync && status.counters.renames == 1).await;
    let live: Vec<String> = life.remote.live().keys().map(ToString::to_string).collect();
    assert_eq!(live, ["a", "new", "new/f"]);
    assert_eq!(life.remote.stored(), stored);
    life.end().await;
}
