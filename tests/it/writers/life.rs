//! One seed: the writers, the engine in one life after another, and the judgement when all is quiet.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt::{self, Write as _},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use towline::{
    clock,
    index::Index,
    mirror::{
        Drift, Handle, Mirror, MirrorStatus, Phase, Priority, Publish, Scrub, Seats, Settings, Siblings, StartWatch, Until,
    },
    model::{Disposal, RelPath, Retention, UnixMillis},
    plan::Budget,
    remote::memory::{Call, Fault, Faults, MemoryRemote, Options, tree::Node},
    scan::View,
    watch::KernelWatcher,
};

use super::{
    Loss,
    ears::{Ears, Heard},
    hands,
};
use crate::{rig::tree, support::wait_until};

/// Within this both trees are equal once all is quiet, and the status says so.
const LIMIT: Duration = Duration::from_secs(30);
/// Of a thousand calls of the server so many go wrong while there are writers.
const FAULTS: u32 = 60;
/// How often everything is looked at where not everything is heard.
const OFTEN: Duration = Duration::from_secs(2);
/// A status is never older than this when there is something new to tell.
const LAG: Duration = Duration::from_secs(1);
/// So many calls of the server are told where something is wrong.
const STORY: usize = 200;
/// Longer than any trial.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What was seen, in numbers.
#[derive(Default)]
pub(super) struct Tale {
    operations: u64,
    lives: u64,
    calls: u64,
    faults: u64,
    in_sync: u64,
    longest: Duration,
}

impl Tale {
    pub(super) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.lives += other.lives;
        self.calls += other.calls;
        self.faults += other.faults;
        self.in_sync += other.in_sync;
        self.longest = self.longest.max(other.longest);
    }
}

impl fmt::Display for Tale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, lives, calls, faults, in_sync, longest } = self;
        write!(
            f,
            "{operations} operations, {lives} lives, {calls} calls of the server, {faults} faults; {in_sync} times in sync, 0 false; \
             equal {longest:.1?} after quiet at the latest"
        )
    }
}

/// Lives one seed, with so many operations of the writers. Panics where something is wrong.
pub(super) fn live(seed: u64, loss: Loss, operations: u64) -> Tale {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut house = House::new(seed, loss, &mut random);
    let done = Arc::new(AtomicU64::new(0));
    house.remote.set_faults(Faults::seeded(random.u64(..), FAULTS, u64::MAX));
    let mut kills: Vec<u64> = (0..random.usize(..4)).map(|_| random.u64(..operations)).collect();
    kills.sort_unstable();
    let writers = hands::start(&house.source, &house.outside, &mut random, operations, &done);
    for kill in kills {
        let life = house.begin(&mut random);
        house.wait("the writers", NEVER, &life, || done.load(Ordering::Relaxed) >= kill);
    }
    let life = house.begin(&mut random);
    house.wait("the writers", NEVER, &life, || writers.iter().all(JoinHandle::is_finished));
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let calls = house.remote.log();
    house.remote.set_faults(Faults::none());
    let longest = house.settle(&life);
    // Whatever happened before: from now on, too, every directory is heard.
    for (dir, body) in tree(&house.source) {
        if body.is_none() {
            fs::write(house.source.join(dir).join("still heard"), seed.to_string()).unwrap();
        }
    }
    house.settle(&life);
    drop(life);
    house.check_rest();
    let faults = calls.iter().filter(|call| call.fault != Fault::None).count() as u64;
    let calls = house.remote.log().len() as u64;
    Tale { operations: done.load(Ordering::Relaxed), lives: house.lives, calls, faults, in_sync: house.in_sync, longest }
}

/// A mirror: its directory, its state, its server.
struct House {
    dir: TempDir,
    source: PathBuf,
    outside: PathBuf,
    remote: MemoryRemote,
    loss: Loss,
    seed: u64,
    disposal: Disposal,
    connections: usize,
    heard: Heard,
    marks: u32,
    lives: u64,
    in_sync: u64,
}

/// A running engine; dropped, it ends as by kill -9.
struct Life {
    handle: Handle,
    engine: tokio::task::JoinHandle<()>,
    // Its drop waits for the threads that use the index.
    _runtime: Runtime,
}

impl House {
    fn new(seed: u64, loss: Loss, random: &mut fastrand::Rng) -> Self {
        let memory = Path::new("/dev/shm");
        let home = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("towline-").tempdir_in(home).unwrap();
        let (source, outside) = (dir.path().join("source"), dir.path().join("outside"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(source.join("anchor"), "never removed: the root is never empty").unwrap();
        Self {
            dir,
            source,
            outside,
            remote: MemoryRemote::new(Options { strict: true, ..Options::default() }),
            loss,
            seed,
            disposal: if random.bool() { Disposal::Trash } else { Disposal::Remove },
            connections: random.usize(1..5),
            heard: Heard::default(),
            marks: 0,
            lives: 0,
            in_sync: 0,
        }
    }

    fn index(&self) -> Index {
        Index::open(&self.dir.path().join("state/m.db"), clock::now()).unwrap()
    }

    fn begin(&mut self, random: &mut fastrand::Rng) -> Life {
        self.lives += 1;
        let (heard, overflows) = (self.heard.clone(), (self.loss == Loss::Overflow).then(|| random.fork()));
        let start: StartWatch<Ears> = Some(Arc::new(move |root| {
            KernelWatcher::start(&root).map(|inner| Ears { inner, overflows: overflows.clone(), heard: heard.clone() })
        }));
        let settings = Settings {
            name: "m".into(),
            source: self.source.clone(),
            view: View::default(),
            ignore: Vec::new(),
            append: Vec::new(),
            quiet: Duration::from_millis(10),
            full_scan: if self.loss == Loss::Limit { OFTEN } else { NEVER },
            identity: "mine".into(),
            budget: Budget { files: u64::MAX, percent: 100 },
            drift: Drift::default(),
            publish: Publish::default(),
            scan: Priority::default(),
            scrub: Scrub::default(),
            disposal: self.disposal,
            retention: Retention::default(),
            neighbours: Vec::new(),
            seats: Seats::new(self.connections),
            siblings: Siblings::default(),
            clock: clock::now,
            observer: None,
        };
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let (mirror, handle) = Mirror::new(settings, self.index(), Arc::new(self.remote.clone()), start).unwrap();
        // Where it ends by itself that shows; killed in the middle of something, it may end with an error.
        let engine = runtime.spawn(async { drop(mirror.run(Until::Stopped, CancellationToken::new()).await) });
        Life { handle, engine, _runtime: runtime }
    }

    fn wait(&self, what: &str, limit: Duration, life: &Life, mut holds: impl FnMut() -> bool) {
        let came = wait_until(limit, || holds() || life.engine.is_finished());
        assert!(
            came && !life.engine.is_finished(),
            "{:?}, TOWLINE_SEED={}: not within {limit:?}: {what}\n{:#?}\n{}\n{}",
            self.loss,
            self.seed,
            life.status(),
            self.differences().unwrap_or_default(),
            self.story()
        );
    }

    /// Waits for equal trees and a status that says so; judges every status in between that says so. How long it was to equal trees.
    fn settle(&mut self, life: &Life) -> Duration {
        let quiet = (Instant::now(), clock::now());
        let mut knows = Knows::Unheard;
        let (mut equal, mut mark) = (None, None);
        let (mut said, mut fault) = (false, None);
        let mut marks = self.marks;
        let holds = || {
            let status = life.status();
            knows = match std::mem::replace(&mut knows, Knows::Unheard) {
                Knows::Unheard if self.loss == Loss::Limit => Knows::Scanned(0, quiet.1),
                Knows::Unheard if self.all_heard(&mut mark, &mut marks) => Knows::Heard(Instant::now(), Arc::clone(&status)),
                // The second look that ended since then began since then.
                Knows::Scanned(looks, last) if status.last_full_scan.is_some_and(|at| at > last) => {
                    Knows::Scanned(looks + 1, status.last_full_scan.unwrap())
                }
                knows => knows,
            };
            let informed = match &knows {
                Knows::Unheard => false,
                Knows::Heard(at, then) => at.elapsed() > LAG || !Arc::ptr_eq(then, &status),
                Knows::Scanned(looks, _) => *looks >= 2,
            };
            let differences = self.differences();
            if differences.is_none() {
                equal.get_or_insert_with(|| quiet.0.elapsed());
            }
            let word = if self.loss == Loss::Limit { Phase::AsScanned } else { Phase::InSync };
            said = informed && status.phase == word;
            fault = differences.filter(|_| said).map(|differences| format!("{differences}\n{status:#?}"));
            fault.is_some() || (said && equal.is_some())
        };
        self.wait("equal trees and a status that says so", LIMIT, life, holds);
        self.marks = marks;
        if let Some(fault) = fault {
            panic!("{:?}, TOWLINE_SEED={}: the status says that all is in sync, but {fault}", self.loss, self.seed);
        }
        assert_eq!(life.status().watch.complete, self.loss != Loss::Limit, "the limit was met, or none was");
        self.in_sync += 1;
        equal.unwrap_or_default()
    }

    /// Whether the engine has heard of all that happened before the first call. A directory is hinted at twice, the second time by the
    /// thread that is behind all that appeared before; a file that is heard before that time shows that the two were not taken for one.
    fn all_heard(&self, mark: &mut Option<(Instant, u32)>, marks: &mut u32) -> bool {
        if let Some((at, n)) = *mark {
            if self.heard.times(&Heard::mark(n, "dir")) >= 2 {
                return true;
            }
            if at.elapsed() < LAG / 5 {
                return false;
            }
        }
        *marks += 1;
        fs::create_dir(self.source.join(Heard::mark(*marks, "dir"))).unwrap();
        fs::write(self.source.join(Heard::mark(*marks, "file")), "").unwrap();
        *mark = Some((Instant::now(), *marks));
        false
    }

    /// What is not the same on both sides, if anything.
    fn differences(&self) -> Option<String> {
        let show = |item: Option<&Option<Vec<u8>>>| match item {
            None => "nothing".to_owned(),
            Some(None) => "a directory".to_owned(),
            Some(Some(body)) => {
                format!("{} bytes ({})", body.len(), String::from_utf8_lossy(&body[..body.len().min(24)]))
            }
        };
        let here = tree(&self.source);
        let there: BTreeMap<PathBuf, Option<Vec<u8>>> = self
            .remote
            .live()
            .into_iter()
            .map(|(path, node)| {
                let body = match node {
                    Node::Dir => None,
                    Node::File { body, .. } => Some(body.to_vec()),
                    Node::Link { .. } => unreachable!("nobody makes links"),
                };
                (PathBuf::from(OsStr::from_bytes(path.as_bytes())), body)
            })
            .collect();
        let paths = here.keys().chain(there.keys().filter(|path| !here.contains_key(*path)));
        let differences: Vec<String> = paths
            .filter(|path| here.get(*path) != there.get(*path))
            .map(|path| format!("  {}: {} here, {} there", path.display(), show(here.get(path)), show(there.get(path))))
            .collect();
        (!differences.is_empty()).then(|| format!("the trees differ:\n{}", differences.join("\n")))
    }

    /// What was asked of the server last, for people.
    fn story(&self) -> String {
        let log = self.remote.log();
        let show = |path: &Option<RelPath>| path.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut story = String::new();
        for call in &log[log.len().saturating_sub(STORY)..] {
            let Call { number, primitive, path, to, fault, done } = call;
            let _ = writeln!(story, "  {number} {primitive} {} {} {fault:?} done={done}", show(path), show(to));
        }
        story
    }

    /// Nothing is left over: on the server, in the index.
    fn check_rest(&self) {
        let said = format!("{:?}, TOWLINE_SEED={}", self.loss, self.seed);
        assert_eq!(self.remote.temporaries(), [], "{said}");
        let mut violations = self.remote.violations();
        // Sweeping a temporary file that never came to be is no mistake.
        violations.retain(|v| !(v.contains(".towline-") && v.contains("DELE") && v.ends_with("no such file or directory")));
        assert_eq!(violations, Vec::<String>::new(), "{said}: the server refused");
        let index = self.index();
        assert_eq!(index.live().unwrap(), [], "{said}: jobs are left");
        let tally = index.tally(clock::now()).unwrap();
        let open = [tally.pending_files, tally.pending_dirs, tally.pending_removals, tally.waiting, tally.parked];
        assert_eq!(open, [0; 5], "{said}: {tally:?}");
    }
}

impl Life {
    fn status(&self) -> Arc<MirrorStatus> {
        self.handle.status.borrow().clone()
    }
}

/// Since when the engine knows of everything.
enum Knows {
    /// It does not, as far as anybody knows.
    Unheard,
    /// It was told by then, when this was its status, which may be older.
    Heard(Instant, Arc<MirrorStatus>),
    /// So many looks at everything ended since all was quiet, the last one then.
    Scanned(u32, UnixMillis),
}
