//! Files that change while they are sent: a rewriter, an appender, a truncater and a writer through a memory map, against an observer
//! who reads everything that is published. Each published content must have been the file's at one moment.
//!
//! The map's writer maps each page anew for a state, so that its store leaves a trace in the file's times. One to memory that is
//! dirty already leaves none, and nobody who looks at those can know of it; since Linux 6.18 one store makes a whole large folio so, on ext4
//! all of a file of a mebibyte.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use libtest_mimic::Trial;

use crate::{
    rig::Rig,
    servers::{self, Kind, Options, Server},
    support::{scaled, seed, wait_until},
};

/// A page, and how many words it has.
const PAGE: usize = 4096;
const WORDS: usize = PAGE / 8;
/// Pages of a whole file.
const PAGES: usize = 256;
/// What the server takes in KiB a second, so that there is a while to change a file in.
const RATE: u32 = 16 << 10;
/// How long the uploads may take in all.
const LONGEST: Duration = Duration::from_secs(3600);

pub(crate) fn trials() -> Vec<Trial> {
    let possible = || {
        servers::possible(Kind::ProFtpd)?;
        servers::possible(Kind::Pyftpdlib)
    };
    vec![crate::support::trial_where("mixed::every_published_content_existed", possible, || async { mixed() })]
}

/// Where each version of the truncater's file begins.
type Cuts = Arc<Mutex<BTreeMap<u64, usize>>>;

fn mixed() {
    let extra = format!("TransferRate STOR {RATE}");
    let rig = Rig::with(Server::start(Kind::ProFtpd, Options { extra, ..Options::default() }));
    let mut rng = fastrand::Rng::with_seed(seed("TOWLINE_SEED"));
    let (stop, cuts) = (Arc::new(AtomicBool::new(false)), Cuts::default());
    for name in ["rewritten", "mapped"] {
        rig.write(name, stamps(0).repeat(PAGES));
    }
    rig.write("appended", counted(0, 10));
    rig.write("truncated", stamps(0).repeat(PAGES));
    cuts.lock().unwrap().insert(0, 0);
    let _daemon = rig.run();
    rig.await_sync();
    let seen = observe(rig.mirrored(), Arc::clone(&stop), Arc::clone(&cuts));
    let at = |name: &str| rig.source.join(name);
    let writers = [
        writer(&stop, rng.fork(), rewriter(at("rewritten"))),
        writer(&stop, rng.fork(), appender(at("appended"))),
        writer(&stop, rng.fork(), truncater(at("truncated"), cuts)),
    ];
    let mapper = Mapper::start(&at("mapped"), rng.u32(..));
    let wanted = scaled(40, 1000);
    let puts = || rig.status().and_then(|status| status["counters"]["puts"].as_u64()).unwrap_or_default();
    let enough = wait_until(LONGEST, || puts() >= wanted || writers.iter().any(JoinHandle::is_finished) || seen.is_finished());
    drop(mapper);
    stop.store(true, Ordering::Release);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    rig.await_sync();
    let status = rig.status().unwrap();
    let published = seen.join().unwrap();
    println!(
        "{} uploads, {} refused since the file changed; {published:?} contents seen",
        status["counters"]["puts"], status["counters"]["failures"]
    );
    assert!(enough && published.values().all(|n| *n > 1), "{status:#}\n{}", rig.log());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

/// A page that says its version in every word.
fn stamps(version: u64) -> Vec<u8> {
    version.to_le_bytes().repeat(WORDS)
}

/// The words `from..to`, each its own number.
fn counted(from: u64, to: u64) -> Vec<u8> {
    (from..to).flat_map(u64::to_le_bytes).collect()
}

/// Runs `turn` with rests between, some of which are long enough for an upload.
fn writer(
    stop: &Arc<AtomicBool>,
    mut rng: fastrand::Rng,
    mut turn: impl FnMut(&mut fastrand::Rng) + Send + 'static,
) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            turn(&mut rng);
            rest(&mut rng, 400);
        }
    })
}

fn rest(rng: &mut fastrand::Rng, most: u64) {
    std::thread::sleep(Duration::from_millis(rng.u64(0..most)));
}

/// In place, an even version from the first page on, an odd one from the last: half of it is never the half of another.
fn rewriter(path: PathBuf) -> impl FnMut(&mut fastrand::Rng) {
    let mut version = 0;
    move |rng| {
        version += 1;
        let file = File::options().write(true).open(&path).unwrap();
        let page = stamps(version);
        let slow = rng.usize(0..PAGES);
        for i in 0..PAGES {
            let i = if version % 2 == 0 { i } else { PAGES - 1 - i };
            file.write_all_at(&page, u64::try_from(i * PAGE).unwrap()).unwrap();
            if i % 64 == slow % 64 {
                rest(rng, 40);
            }
        }
    }
}

fn appender(path: PathBuf) -> impl FnMut(&mut fastrand::Rng) {
    let mut words = 10;
    move |rng| {
        let mut file = File::options().append(true).open(&path).unwrap();
        for _ in 0..rng.u32(1..10) {
            let more = rng.u64(1..20_000);
            file.write_all(&counted(words, words + more)).unwrap();
            words += more;
            rest(rng, 20);
        }
    }
}

/// Cuts the file somewhere and writes a new version from there to the full length.
fn truncater(path: PathBuf, cuts: Cuts) -> impl FnMut(&mut fastrand::Rng) {
    let mut version = 0;
    move |rng| {
        version += 1;
        let cut = rng.usize(0..PAGES);
        cuts.lock().unwrap_or_else(PoisonError::into_inner).insert(version, cut * WORDS);
        let mut file = File::options().write(true).open(&path).unwrap();
        file.set_len(u64::try_from(cut * PAGE).unwrap()).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        for i in cut..PAGES {
            file.write_all(&stamps(version)).unwrap();
            if i % 50 == 0 {
                rest(rng, 40);
            }
        }
    }
}

/// Like the rewriter, through a memory map. It is a process of its own: this program has no unsafe code.
struct Mapper(std::process::Child);

impl Mapper {
    const SCRIPT: &str = "import mmap, os, random, select, struct, sys, time\n\
        path, pages = sys.argv[1], int(sys.argv[3])\n\
        rng = random.Random(int(sys.argv[2]))\n\
        version = 0\n\
        while not select.select([sys.stdin], [], [], rng.random() * 0.4)[0]:\n\
        \x20   version += 1\n\
        \x20   file = os.open(path, os.O_RDWR)\n\
        \x20   page = struct.pack('<Q', version) * 512\n\
        \x20   for i in range(pages) if version % 2 == 0 else reversed(range(pages)):\n\
        \x20       with mmap.mmap(file, 4096, offset=i * 4096) as area: area[:] = page\n\
        \x20       if rng.randrange(50) == 0: time.sleep(rng.random() * 0.04)\n\
        \x20   os.fsync(file); os.close(file)\n";

    fn start(path: &Path, seed: u32) -> Self {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", Self::SCRIPT]).arg(path).args([seed.to_string(), PAGES.to_string()]);
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }
}

/// Lets it finish its state.
impl Drop for Mapper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let status = self.0.wait().unwrap();
        assert!(status.success() || std::thread::panicking(), "the writer through a map failed: {status}");
    }
}

/// Reads every content that is published until it is told to stop, then once more. Returns how many there were under each name.
fn observe(dir: PathBuf, stop: Arc<AtomicBool>, cuts: Cuts) -> JoinHandle<BTreeMap<&'static str, u64>> {
    std::thread::spawn(move || {
        let mut last = BTreeMap::new();
        let mut published = BTreeMap::new();
        loop {
            let end = stop.load(Ordering::Acquire);
            for name in ["rewritten", "mapped", "appended", "truncated"] {
                // Opened once: whatever is renamed to this name meanwhile, this is one file.
                let mut file = File::open(dir.join(name)).unwrap();
                let meta = file.metadata().unwrap();
                let identity = (meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len());
                if last.insert(name, identity) == Some(identity) {
                    continue;
                }
                let mut body = Vec::new();
                file.read_to_end(&mut body).unwrap();
                *published.entry(name).or_default() += 1;
                let cuts = cuts.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Err(why) = existed(name, &body, &cuts) {
                    let copy = std::env::temp_dir().join(format!("towline-mixed-{name}"));
                    let _ = fs::write(&copy, &body);
                    panic!("{name} never was like this: {why}; kept as {}", copy.display());
                }
            }
            if end {
                return published;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

/// Whether the file called `name` ever had this content.
fn existed(name: &str, body: &[u8], cuts: &BTreeMap<u64, usize>) -> Result<(), String> {
    let words: Vec<u64> = body.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    if name == "appended" {
        // A write is copied page by page, so the last word may be half of one.
        let counted = words.iter().enumerate().find(|(i, word)| **word != *i as u64);
        return counted.map_or(Ok(()), |(i, word)| Err(format!("word {i} is {word}")));
    }
    // (version, first word) of each run.
    let mut runs: Vec<(u64, usize)> = Vec::new();
    for (i, &version) in words.iter().enumerate() {
        if runs.last().is_none_or(|run| run.0 != version) {
            runs.push((version, i));
        }
    }
    let right = if name == "truncated" {
        let Some(&(newest, _)) = runs.last() else { return Ok(()) };
        words.len() <= PAGES * WORDS && runs == expected(newest, words.len(), cuts)
    } else {
        words.len() == PAGES * WORDS
            && match runs[..] {
                [_] => true,
                [(first, _), (second, _)] => first.abs_diff(second) == 1 && (first > second) == (first.max(second) % 2 == 0),
                _ => false,
            }
    };
    if right { Ok(()) } else { Err(format!("{} words in runs of {runs:?}", words.len())) }
}

/// The runs of the truncater's file when it had version `newest` up to the word `end`.
fn expected(newest: u64, end: usize, cuts: &BTreeMap<u64, usize>) -> Vec<(u64, usize)> {
    let (mut runs, mut end) = (Vec::new(), end);
    for (&version, &cut) in cuts.range(..=newest).rev() {
        if cut < end {
            runs.push((version, cut));
            end = cut;
        }
    }
    runs.reverse();
    runs
}
