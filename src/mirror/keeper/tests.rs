use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use super::*;
use crate::{
    clock,
    mirror::{Account, Drift, PathState, Priority, Publish, Scrub, Seats, Siblings},
    model::{Disposal, RelPath, Retention, UnixMillis},
    plan::Budget,
    remote::memory::{Fault, Faults, MemoryRemote, Options, Primitive},
    scan::View,
    watch::{Hint, ScriptedWatcher, WatchError},
};

const PATIENCE: Duration = Duration::from_secs(60);

struct Kept {
    dir: TempDir,
    remote: MemoryRemote,
    handle: Handle,
    /// While this is set, the state is opened on a disk without room.
    full: Arc<AtomicBool>,
    /// To the watcher of the life that runs.
    hints: Arc<Mutex<Option<mpsc::Sender<Hint>>>>,
    stop: CancellationToken,
    task: JoinHandle<Result<Arc<MirrorStatus>, MirrorError>>,
}

fn start(clock: fn() -> UnixMillis, full: bool) -> Kept {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("source")).unwrap();
    fs::write(dir.path().join("source/a"), "a").unwrap();
    let settings = Settings {
        name: "site".into(),
        source: dir.path().join("source"),
        view: View::default(),
        ignore: Vec::new(),
        append: Vec::new(),
        quiet: Duration::from_millis(10),
        full_scan: Duration::from_secs(3600),
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
        clock,
        observer: None,
    };
    let (full, file) = (Arc::new(AtomicBool::new(full)), dir.path().join("site.db"));
    let open: OpenState = Arc::new({
        let full = Arc::clone(&full);
        move |damaged| {
            let opened = Index::open_anew(&file, clock(), damaged)?;
            if full.load(Ordering::Relaxed) {
                opened.0.without_room();
            }
            Ok(opened)
        }
    });
    let hints = Arc::new(Mutex::new(None));
    let start_watch: StartWatch<ScriptedWatcher> = Some(Arc::new({
        let hints = Arc::clone(&hints);
        move |_: PathBuf| -> Result<ScriptedWatcher, WatchError> {
            let (sender, watcher) = ScriptedWatcher::new();
            *hints.lock().unwrap() = Some(sender);
            Ok(watcher)
        }
    }));
    let remote = MemoryRemote::new(Options { strict: true, ..Options::default() });
    let first = open(false).unwrap();
    let (keeper, handle) = Keeper::new(settings, open, Arc::new(remote.clone()), start_watch);
    let stop = CancellationToken::new();
    let task = tokio::spawn(keeper.run(Ok(first), stop.clone()));
    Kept { dir, remote, handle, full, hints, stop, task }
}

impl Kept {
    fn write(&self, name: &str, body: &str) {
        fs::write(self.dir.path().join("source").join(name), body).unwrap();
        let hints = self.hints.lock().unwrap();
        // None is lost while no engine runs: the next one looks everywhere first.
        let _ = hints.as_ref().map(|hints| hints.try_send(Hint::Overflow));
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Arc<MirrorStatus>) -> bool) -> Arc<MirrorStatus> {
        let found = timeout(PATIENCE, self.handle.status.wait_for(holds)).await;
        found.unwrap_or_else(|_| panic!("{what} did not come")).unwrap().clone()
    }

    fn holds(&self, name: &str) -> bool {
        self.remote.live().contains_key(&RelPath::new(name).unwrap())
    }

    async fn ask(&self) -> Option<Account> {
        let (answer, account) = oneshot::channel();
        self.handle.commands.send(Command::Account { path: None, look: false, answer }).await.unwrap();
        account.await.ok()
    }

    async fn end(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
        assert_eq!(self.remote.deletes(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_claims_and_room_brings_them_back() {
    let mut kept = start(clock::now, true);
    kept.until("in sync", |status| status.phase == Phase::InSync).await;
    for n in 0..600 {
        kept.write(&format!("new-{n}"), "content");
    }
    let status = kept.until("no room", |status| status.stopped.as_ref().is_some_and(|why| why.contains("no space left"))).await;
    assert_eq!(status.phase, Phase::Stopped);
    kept.until("a second failure", |now| now.phase == Phase::Stopped && now.at > status.at).await;
    kept.full.store(false, Ordering::Relaxed);
    kept.until("in sync again", |status| status.phase == Phase::InSync && status.tally.recorded_files == 601).await;
    assert!(kept.holds("new-599"));
    assert_eq!(kept.ask().await.unwrap().state, PathState::InSync);
    kept.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_is_kept_and_made_anew_and_nothing_is_removed() {
    let mut kept = start(clock::now, false);
    kept.write("b", "b");
    kept.until("in sync", |status| status.phase == Phase::InSync && status.tally.recorded_files == 2).await;
    fs::remove_file(kept.dir.path().join("source/b")).unwrap();
    for file in ["site.db", "site.db-wal"] {
        let file = kept.dir.path().join(file);
        let length = fs::metadata(&file).unwrap().len() as usize;
        fs::write(&file, vec![b'x'; length.max(8192)]).unwrap();
    }
    kept.write("c", "c");
    let made_anew = |status: &Arc<MirrorStatus>| status.warnings.iter().any(|warning| warning.contains("is kept as"));
    kept.until("in sync again", |status| status.phase == Phase::InSync && made_anew(status)).await;
    assert!(kept.holds("a") && kept.holds("b") && kept.holds("c"));
    let aside = |name: &str| name.starts_with("site.db.damaged-2");
    let mut names = fs::read_dir(kept.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.any(|name| aside(&name)));
    kept.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_is_made_anew_and_nothing_is_removed() {
    let mut kept = start(clock::now, false);
    kept.write("b", "b");
    kept.until("in sync", |status| status.phase == Phase::InSync && status.tally.recorded_files == 2).await;
    for file in ["site.db", "site.db-wal", "site.db-shm"] {
        let _ = fs::remove_file(kept.dir.path().join(file));
    }
    fs::remove_file(kept.dir.path().join("source/b")).unwrap();
    kept.write("c", "c");
    kept.until("in sync again", |status| status.phase == Phase::InSync && status.tally.recorded_files == 2).await;
    assert!(kept.holds("a") && kept.holds("b"));
    timeout(PATIENCE, async {
        while !kept.holds("c") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    kept.end().await;
}

static JUMP: AtomicI64 = AtomicI64::new(0);

fn jumping() -> UnixMillis {
    UnixMillis(clock::now().0 + JUMP.load(Ordering::Relaxed))
}

/// What failed just before the clock was set back by an hour once waited for that hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_changes_nothing_but_what_is_shown() {
    let mut kept = start(jumping, false);
    kept.until("in sync", |status| status.phase == Phase::InSync).await;
    for (round, hours) in [-1, 5, -24, 24 * 365].into_iter().enumerate() {
        let name = format!("file-{round}");
        let mut cut = false;
        kept.remote.set_faults(Faults::script(move |_, primitive| {
            let first = primitive == Primitive::Store && !std::mem::replace(&mut cut, true);
            if first { Fault::Cut } else { Fault::None }
        }));
        kept.write(&name, "content");
        kept.until("a failure", |status| status.counters.failures > round as u64).await;
        JUMP.fetch_add(hours * 3_600_000, Ordering::Relaxed);
        kept.until("in sync again", |status| status.phase == Phase::InSync && status.tally.recorded_files == 2 + round as u64)
            .await;
    }
    kept.end().await;
}
