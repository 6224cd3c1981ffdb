//! What `tests/bench/scan` measures, one verb a process so that each has its own peak of memory: making a tree, walking it with
//! nothing but getdents and statx, scanning it into an index as the engine does. Without a verb it does nothing.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    ops::ControlFlow,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::{Mutex, mpsc},
    thread,
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, statat};
use towline::{
    clock,
    index::{Index, IndexError, Reader},
    model::{Entry, RelPath},
    scan::{self, Found, Known, Place, Rules, View},
    watch::Dirty,
};

/// Batches between the two threads, as in the engine.
const BATCHES: usize = 4;
/// Files in a directory.
const FILES: usize = 100;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = match arguments[..] {
        [] => return Ok(()),
        ["make", dir, files] => make(Path::new(dir), files.parse()?)?,
        ["walk", dir, threads] => walk(Path::new(dir), threads.parse()?)?,
        ["scan", dir, state] => scan(Path::new(dir), Path::new(state))?,
        ["remember", state] => remember(Path::new(state))?,
        _ => return Err("make DIR FILES | walk DIR THREADS | scan DIR STATE | remember STATE".into()),
    };
    Ok(writeln!(io::stdout(), "{said}")?)
}

/// Directories of 100 files each, a hundred of them in one above.
fn make(dir: &Path, files: usize) -> Outcome<String> {
    let dirs = files.div_ceil(FILES);
    let next = Mutex::new(0..dirs);
    let work = || -> io::Result<()> {
        while let Some(n) = next.lock().map_err(|_| io::ErrorKind::Other)?.next() {
            let at = dir.join(format!("part-{:03}", n / 100)).join(format!("directory-{n:05}"));
            fs::create_dir_all(&at)?;
            for file in (n * FILES..files).take(FILES) {
                fs::File::create(at.join(format!("file-{file:07}.html")))?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
    })?;
    Ok(format!("{files} files in {dirs} directories"))
}

/// Directories are taken from one stack by all threads; every name is looked at.
fn walk(dir: &Path, threads: usize) -> Outcome<String> {
    let (todo, done) = crossing(dir);
    let seen: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| walker(&todo, &done))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0))).sum::<io::Result<usize>>()
    })?;
    Ok(format!("{seen} names"))
}

/// Directories to read, and how many are not done yet.
fn crossing(dir: &Path) -> (Mutex<Vec<PathBuf>>, std::sync::atomic::AtomicUsize) {
    (Mutex::new(vec![dir.to_owned()]), 1.into())
}

fn walker(todo: &Mutex<Vec<PathBuf>>, left: &std::sync::atomic::AtomicUsize) -> io::Result<usize> {
    use std::sync::atomic::Ordering::SeqCst;
    let mut seen = 0;
    let mut buffer: Vec<u8> = Vec::with_capacity(32 * 1024);
    while left.load(SeqCst) > 0 {
        let Some(dir) = todo.lock().map_err(|_| io::ErrorKind::Other)?.pop() else {
            thread::yield_now();
            continue;
        };
        let opened: OwnedFd = openat(CWD, &dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut names = RawDir::new(opened.as_fd(), buffer.spare_capacity_mut());
        let mut below = Vec::new();
        while let Some(name) = names.next() {
            let name = name?;
            if matches!(name.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            seen += 1;
            let stat = statat(opened.as_fd(), name.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                below.push(dir.join(OsStr::from_bytes(name.file_name().to_bytes())));
            }
        }
        left.fetch_add(below.len(), SeqCst);
        todo.lock().map_err(|_| io::ErrorKind::Other)?.extend(below);
        left.fetch_sub(1, SeqCst);
    }
    Ok(seen)
}

struct InIndex(Reader);

impl Known for InIndex {
    type Error = IndexError;

    fn under(&mut self, prefix: Option<&RelPath>) -> impl Iterator<Item = Result<(RelPath, Entry), IndexError>> {
        self.0.under(prefix)
    }
}

/// As the engine does it: one thread scans, one writes.
fn scan(dir: &Path, state: &Path) -> Outcome<String> {
    let mut index = Index::open(&state.join("index.db"), clock::now())?;
    let mut known = InIndex(index.reader()?);
    let (tx, rx) = mpsc::sync_channel(BATCHES);
    let (root, rules) = (Place { path: dir.to_owned(), view: View::default() }.open()?, Rules::new(dir, &[])?);
    let scanning = thread::spawn(move || {
        scan::scan(&root, &rules, &Dirty::Everything, &mut known, &mut |batch| match tx.send(batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    });
    let mut changed = 0;
    for batch in rx {
        let seen: Vec<_> =
            batch.into_iter().filter_map(|found| if let Found::Seen(seen) = found { Some(seen) } else { None }).collect();
        changed += index.observe(&seen, clock::now())?.changed;
    }
    let summary = scanning.join().map_err(|_| "the scan panicked")??;
    Ok(format!("{} files, {} directories, {changed} changed", summary.files, summary.dirs))
}

/// Takes everything observed for recorded, so that nothing is pending: a mirror in sync.
fn remember(state: &Path) -> Outcome<String> {
    let mut index = Index::open(&state.join("index.db"), clock::now())?;
    let mut reader = index.reader()?;
    let (mut rows, mut count) = (Vec::new(), 0);
    for row in reader.under(None) {
        rows.push(row?);
        count += 1;
        if rows.len() == 10_000 {
            index.record(&rows, clock::now())?;
            rows.clear();
        }
    }
    index.record(&rows, clock::now())?;
    Ok(format!("{count} recorded"))
}
