//! One mirror under test: the real engine over a real index and a real directory, a server in memory, simulated time.
//! Runs it life after life and judges what it says of itself.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    runtime::Builder,
    sync::oneshot,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use towline::{
    blocking,
    index::Index,
    mirror::{
        Command, Drift, Handle, Mirror, MirrorStatus, Phase, Priority, Publish, Scrub, Seats, Settings, Siblings, StartWatch,
        Until,
    },
    model::{Disposal, RelPath, Retention, UnixMillis},
    plan::Budget,
    remote::memory::{
        Faults, MemoryRemote, Options,
        tree::{Manners, Node},
    },
    scan::View,
    watch::ScriptedWatcher,
};

use super::{
    ground::{Ears, Ground, link},
    history::Fold,
};

/// What is wrong, in words.
pub type Wrong = String;

/// Long enough for everything that waits: backoffs are at most five minutes, parked paths wait an hour for a full scan.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// So often is the engine polled in an hour at most: it waits for something, it does not spin.
const POLLS: u32 = 100_000;
/// A status is never older than this when there is something new to tell: the engine makes one twice a second at least.
const LAG: Duration = Duration::from_secs(1);
/// What the wall clock shows when a simulation begins, in milliseconds.
const START: i64 = 1_800_000_000_000;
/// No call of the server ends the life.
const NEVER: u64 = u64::MAX;

thread_local! {
    /// The wall clock of this thread's simulation: what it showed, and when.
    static CLOCK: Cell<(i64, Option<Instant>)> = const { Cell::new((START, None)) };
}

fn wall() -> UnixMillis {
    let (base, since) = CLOCK.get();
    UnixMillis(base).after(since.map_or(Duration::ZERO, |since| since.elapsed()))
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As by kill -9.
    Killed,
    /// In order.
    Stopped,
}

/// Where the mirror lives.
pub struct Stage {
    dir: TempDir,
    ground: Arc<Mutex<Ground>>,
    /// The server.
    pub remote: MemoryRemote,
    /// The call of the server that ends the life once it was answered; shared with scripts.
    pub doom: Doom,
    connections: usize,
    fold: Fold,
    view: View,
    /// When changes become visible.
    pub publish: Publish,
    /// What becomes of what is gone.
    pub disposal: Disposal,
    /// How long it stays in the trash.
    pub retention: Retention,
    /// The whole engine on one thread.
    pub simulated: bool,
    lives: Cell<u64>,
    times_in_sync: Cell<u64>,
}

/// What a stage has seen, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tale {
    /// Lives of the engine.
    pub lives: u64,
    /// Things done to the directory.
    pub edits: u64,
    /// Calls of the server.
    pub calls: u64,
    /// How often the status said that all was in sync, and it was.
    pub in_sync: u64,
}

/// Ends a life at a call of the server: what came of the call is never heard.
#[derive(Clone, Debug)]
pub struct Doom(Arc<AtomicU64>);

impl Doom {
    /// The life ends when the call `number` is over.
    pub fn at(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a life's director sees of the engine.
pub struct Scene<'s> {
    stage: &'s Stage,
    /// The engine's handle.
    pub handle: Handle,
    heard: Option<Heard>,
}

/// The engine has heard of everything; what it says from then on it must know.
struct Heard {
    /// So many edits had been made.
    edits: u64,
    /// When that was found.
    at: Instant,
    /// The status of that moment, which may be older.
    status: Arc<MirrorStatus>,
}

impl Stage {
    /// An empty mirror; `seed` is for the edits.
    pub fn new(seed: u64, fold: Fold, ears: Ears, connections: usize) -> Self {
        let manners = Manners { fold_case: fold != Fold::No, ..Manners::default() };
        Self::with(seed, fold, ears, connections, View::default(), Options { manners, strict: true, unknown: false })
    }

    /// An empty mirror that looks at its directory like this, and a server of this kind.
    pub fn with(seed: u64, fold: Fold, ears: Ears, connections: usize, view: View, options: Options) -> Self {
        CLOCK.set((START, None));
        let shm = std::path::Path::new("/dev/shm");
        let home = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("towline-").tempdir_in(home).unwrap();
        let ground = Ground::new(dir.path(), seed, fold == Fold::Apart, ears);
        Self {
            dir,
            ground: Arc::new(Mutex::new(ground)),
            remote: MemoryRemote::new(options),
            doom: Doom(Arc::new(AtomicU64::new(NEVER))),
            connections,
            fold,
            view,
            publish: Publish::default(),
            disposal: Disposal::Trash,
            retention: Retention::default(),
            simulated: false,
            lives: Cell::new(0),
            times_in_sync: Cell::new(0),
        }
    }

    /// What it has seen so far.
    pub fn tale(&self) -> Tale {
        let calls = self.remote.log().len() as u64;
        Tale { lives: self.lives.get(), edits: self.ground().edits, calls, in_sync: self.times_in_sync.get() }
    }

    /// The local side.
    pub fn ground(&self) -> MutexGuard<'_, Ground> {
        self.ground.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The local side, for a script.
    pub fn shared_ground(&self) -> Arc<Mutex<Ground>> {
        Arc::clone(&self.ground)
    }

    /// Runs the engine from its start until `direct` says that it ends, or a call of the server ends it. When this returns,
    /// nothing of it runs any more.
    pub fn live(&self, direct: impl AsyncFnOnce(&mut Scene<'_>) -> Result<End, Wrong>) -> Result<End, Wrong> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _simulated = self.simulated.then(blocking::at_once);
        self.doom.at(NEVER);
        self.lives.set(self.lives.get() + 1);
        let ended = runtime.block_on(async {
            CLOCK.set((CLOCK.get().0, Some(Instant::now())));
            let ended = self.act(direct).await;
            CLOCK.set((wall().0, None));
            ended
        });
        // Waits for the blocking threads: a process that is killed has none left either.
        drop(runtime);
        self.ground().unheard();
        ended
    }

    async fn act(&self, direct: impl AsyncFnOnce(&mut Scene<'_>) -> Result<End, Wrong>) -> Result<End, Wrong> {
        let (hints, watcher) = ScriptedWatcher::new();
        self.ground().heard_by(hints);
        let watcher = Mutex::new(Some(watcher));
        let start: StartWatch<ScriptedWatcher> = Some(Arc::new(move |_| {
            let taken = watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(taken.expect("the watcher is started once"))
        }));
        let settings = Settings {
            name: "m".into(),
            source: self.dir.path().join("source"),
            view: self.view,
            ignore: Vec::new(),
            append: Vec::new(),
            quiet: Duration::from_millis(5),
            full_scan: Duration::from_secs(3600),
            identity: "mine".into(),
            budget: Budget { files: u64::MAX, percent: 100 },
            drift: Drift::default(),
            publish: self.publish,
            scan: Priority::default(),
            scrub: Scrub::default(),
            disposal: self.disposal,
            retention: self.retention,
            neighbours: Vec::new(),
            seats: Seats::new(self.connections),
            siblings: Siblings::default(),
            clock: wall,
            observer: None,
        };
        let (mirror, handle) = Mirror::new(settings, self.index()?, Arc::new(self.remote.clone()), start).map_err(wrong)?;
        let (stop, calls) = (CancellationToken::new(), self.remote.log().len());
        let mut engine = Box::pin(mirror.run(Until::Stopped, stop.clone()));
        let mut scene = Scene { stage: self, handle, heard: None };
        let end = {
            let status = scene.handle.status.clone();
            let mut directed = Box::pin(direct(&mut scene));
            let (mut polls, mut since) = (0, Instant::now());
            poll_fn(|cx| {
                polls += 1;
                if since.elapsed() > Duration::from_secs(3600) {
                    (polls, since) = (0, Instant::now());
                }
                if polls > POLLS {
                    return Poll::Ready(Err(format!("the engine spins: {:#?}", status.borrow())));
                }
                if self.is_doomed(calls) {
                    return Poll::Ready(Ok(End::Killed));
                }
                if let Poll::Ready(ended) = engine.as_mut().poll(cx) {
                    return Poll::Ready(Err(format!("the engine ended by itself: {ended:?}")));
                }
                directed.as_mut().poll(cx)
            })
            .await?
        };
        if end == End::Stopped {
            stop.cancel();
            let status = pin!(engine).await.map_err(wrong)?;
            scene.judge(&status)?;
        }
        Ok(end)
    }

    fn is_doomed(&self, calls: usize) -> bool {
        let number = self.doom.number();
        number != NEVER && self.remote.log()[calls..].iter().any(|call| call.number == number)
    }

    /// The index, between two lives.
    pub fn index(&self) -> Result<Index, Wrong> {
        Index::open(&self.dir.path().join("state/m.db"), wall()).map_err(wrong)
    }

    /// A life without faults while there are names that the server takes for one: one of them is there, all else is equal.
    pub fn rest_with_twins(&self) -> Result<(), Wrong> {
        if self.fold != Fold::Twins {
            return Ok(());
        }
        self.live(async |scene| {
            scene.reach_rest().await?;
            Ok(End::Stopped)
        })?;
        self.compare_twins()
    }

    /// A last life without faults, in which the mirror must come to rest; then both sides must be equal in every respect.
    pub fn conclude(&self) -> Result<(), Wrong> {
        self.live(async |scene| {
            scene.reach_sync().await?;
            Ok(End::Stopped)
        })?;
        self.check_rest()
    }

    /// Nothing is left over: on the server, in the index.
    pub fn check_rest(&self) -> Result<(), Wrong> {
        self.compare()?;
        let temporaries = self.remote.temporaries();
        if !temporaries.is_empty() {
            return Err(format!("temporary files are left: {temporaries:?}"));
        }
        // Sweeping a temporary file that never came to be is no mistake.
        let mut violations = self.remote.violations();
        violations.retain(|v| !(v.contains(".towline-") && v.contains("DELE") && v.ends_with("no such file or directory")));
        if !violations.is_empty() {
            return Err(format!("the server refused: {violations:#?}"));
        }
        let index = self.index()?;
        let (tally, live) = (index.tally(wall()).map_err(wrong)?, index.live().map_err(wrong)?);
        if !live.is_empty() {
            return Err(format!("jobs are left: {live:?}"));
        }
        let open = [tally.pending_files, tally.pending_dirs, tally.pending_removals, tally.waiting, tally.parked];
        if open != [0; 5] {
            return Err(format!("something is pending: {tally:?}"));
        }
        self.check_trash(&index)
    }

    /// Whether the index knows what is in the trash.
    fn check_trash(&self, index: &Index) -> Result<(), Wrong> {
        let known: BTreeSet<RelPath> = index.places().map_err(wrong)?.into_iter().collect();
        let there: BTreeSet<RelPath> = self.remote.trash().into_keys().collect();
        if known == there { Ok(()) } else { Err(format!("the trash holds {there:?}, known is {known:?}")) }
    }

    /// Whether the server has exactly what is here, of names that it takes for one one alone, and of directories that it
    /// does not have nothing.
    pub fn compare_twins(&self) -> Result<(), Wrong> {
        let local = self.ground().items();
        let remote = self.remote.live();
        for (path, node) in &remote {
            let same = match (node, local.get(path)) {
                (Node::Dir, Some(None)) => true,
                (Node::File { body, .. }, Some(Some(content))) => body[..] == content[..],
                _ => false,
            };
            if !same {
                return Err(format!("{path} is on the server, and not here, or not like this"));
            }
        }
        for path in local.keys().filter(|path| !remote.contains_key(*path)) {
            let lost = |path: &RelPath| {
                let twin = |other: &RelPath| other != path && other.folded() == path.folded();
                local.keys().any(|other| twin(other) && remote.contains_key(other))
            };
            if !lost(path) && !path.ancestors().any(|dir| lost(&dir)) {
                return Err(format!("{path} is not on the server, nor a twin of it"));
            }
        }
        Ok(())
    }

    /// Whether the server has exactly what is here.
    pub fn compare(&self) -> Result<(), Wrong> {
        let local = self.ground().items();
        let remote: BTreeMap<RelPath, Node> = self.remote.live();
        let mut differences = String::new();
        for path in local.keys().chain(remote.keys().filter(|path| !local.contains_key(*path))) {
            let here = local.get(path).map(Option::as_deref);
            let there = remote.get(path).map(|node| match node {
                Node::Dir => None,
                Node::File { body, .. } => Some(body.to_vec()),
                Node::Link { target } => Some(link(target)),
            });
            let there = there.as_ref().map(Option::as_deref);
            if here != there {
                let _ = writeln!(differences, "  {path}: {} here, {} there", show(here), show(there));
            }
        }
        if differences.is_empty() { Ok(()) } else { Err(format!("the trees differ:\n{differences}")) }
    }

    /// Whether every file that visitors see has a content that some file here once had.
    pub fn check_visible(&self) -> Result<(), Wrong> {
        let ground = self.ground();
        for (path, node) in self.remote.live() {
            if let Node::File { body, .. } = node
                && !ground.knows(&body)
            {
                return Err(format!("{path} has a content that never was: {}", show(Some(Some(&body)))));
            }
        }
        Ok(())
    }

    /// All that happened: what was done here and what was asked of the server, in their order, and what came of it; without
    /// what is the index's own, and never the same.
    pub fn trace(&self) -> Result<Vec<String>, Wrong> {
        let index = self.index()?;
        let mut trace = self.ground().log.clone();
        trace.extend(self.remote.log().iter().map(|call| format!("{call:?}")));
        trace.extend(self.remote.live().into_iter().map(|(path, node)| format!("{path}: {node:?}")));
        Ok(trace.into_iter().map(|step| step.replace(index.instance(), "INSTANCE")).collect())
    }

    /// What happened last, for people.
    pub fn story(&self) -> String {
        let mut story = String::from("edits:\n");
        for line in &self.ground().log {
            let _ = writeln!(story, "  {line}");
        }
        story += "calls:\n";
        let log = self.remote.log();
        for call in &log[log.len().saturating_sub(60)..] {
            let show = |path: &Option<RelPath>| path.as_ref().map(ToString::to_string).unwrap_or_default();
            let (path, to) = (show(&call.path), show(&call.to));
            let _ = writeln!(story, "  {} {} {path} {to} {:?} done={}", call.number, call.primitive, call.fault, call.done);
        }
        story
    }
}

impl Scene<'_> {
    /// Faults are over: in four hours, with as many full scans, all that can be done is done.
    pub async fn reach_rest(&mut self) -> Result<(), Wrong> {
        self.stage.remote.set_faults(Faults::none());
        self.watch(LONG / 6, false).await.map(drop)
    }

    /// Faults are over, and so are names that cannot be beside each other: the mirror must come to rest.
    pub async fn reach_sync(&mut self) -> Result<(), Wrong> {
        self.stage.remote.set_faults(Faults::none());
        if self.stage.fold != Fold::No {
            self.stage.ground().part();
        }
        if self.stage.ground().deaf {
            self.stage.ground().overflow();
        }
        if self.watch(LONG, true).await? {
            return Ok(());
        }
        let status = self.handle.status.borrow().clone();
        Err(format!("not in sync after a day: {status:#?}"))
    }

    /// Looks on until all is in sync, for at most a day.
    pub async fn watch_until_sync(&mut self) -> Result<bool, Wrong> {
        self.watch(LONG, true).await
    }

    /// Looks on for `span`, or until the engine says that all is in sync (whether it did is returned).
    pub async fn watch(&mut self, span: Duration, until_in_sync: bool) -> Result<bool, Wrong> {
        let end = Instant::now() + span;
        let mut patience = Duration::from_millis(200);
        loop {
            let status = self.handle.status.borrow_and_update().clone();
            if self.judge(&status)? && until_in_sync {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            if let Ok(Err(_)) = timeout(patience.min(left), self.handle.status.changed()).await {
                return Err("the engine is gone".into());
            }
            patience = (patience * 2).min(Duration::from_secs(600));
        }
    }

    /// Whether the status says that all is in sync, and it can know. Then it must be true.
    fn judge(&mut self, status: &Arc<MirrorStatus>) -> Result<bool, Wrong> {
        if status.phase == Phase::Halted {
            let _ = self.handle.commands.try_send(Command::Approve(oneshot::channel().0));
        }
        self.stage.check_visible()?;
        let (edits, all_heard, deaf) = {
            let ground = self.stage.ground();
            (ground.edits, ground.all_heard(), ground.deaf)
        };
        if !all_heard {
            self.heard = None;
            return Ok(false);
        }
        let heard = self.heard.take().filter(|heard| heard.edits == edits);
        let heard = heard.unwrap_or_else(|| Heard { edits, at: Instant::now(), status: Arc::clone(status) });
        let informed = !Arc::ptr_eq(&heard.status, status) || heard.at.elapsed() > LAG;
        self.heard = Some(heard);
        let as_scanned = deaf && status.phase == Phase::AsScanned;
        if !informed || !(status.phase == Phase::InSync || as_scanned) {
            return Ok(false);
        }
        if !deaf {
            self.stage.compare().map_err(|e| format!("the status says that all is in sync, but {e}\n{status:#?}"))?;
            self.stage.times_in_sync.set(self.stage.times_in_sync.get() + 1);
        }
        Ok(true)
    }
}

fn show(item: Option<Option<&[u8]>>) -> String {
    match item {
        None => "nothing".into(),
        Some(None) => "a directory".into(),
        Some(Some(content)) => {
            let start = String::from_utf8_lossy(&content[..content.len().min(24)]);
            format!("a file of {} bytes ({start})", content.len())
        }
    }
}

fn wrong(e: impl std::error::Error) -> Wrong {
    format!("{e} ({e:?})")
}
