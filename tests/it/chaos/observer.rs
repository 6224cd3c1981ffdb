//! Contents that tell by themselves whether they are whole, and somebody who reads the live names on the server all the time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// A content for the file `name`: its name, a version, noise, and the digest of all of it.
pub fn content(name: &str, version: u64, noise: usize) -> Vec<u8> {
    let mut body = format!("{name} {version}\n").into_bytes();
    let mut rng = fastrand::Rng::with_seed(version);
    body.extend(std::iter::repeat_with(|| rng.u8(..)).take(noise));
    let digest = blake3::hash(&body);
    body.extend(digest.as_bytes());
    body
}

/// The name and the version of a content; nothing if it is not whole.
pub fn version(body: &[u8]) -> Option<(&str, u64)> {
    let (body, digest) = body.split_last_chunk::<32>()?;
    let head = body.split(|b| *b == b'\n').next().filter(|_| blake3::hash(body).as_bytes() == digest)?;
    let (name, version) = std::str::from_utf8(head).ok()?.rsplit_once(' ')?;
    Some((name, version.parse().ok()?))
}

/// What an observer saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Contents that were read.
    pub reads: u64,
    /// What must not be: torn contents, older ones, names that were gone for a moment.
    pub wrong: Vec<String>,
}

/// Reads live files until it is asked.
pub struct Observer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

impl Observer {
    /// Watches `dir`: what is in `kept` must never be missing once it was there, and never get older.
    pub fn start(dir: PathBuf, kept: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut last) = (Seen::default(), BTreeMap::new());
            // Once more when told to stop, so that the end is seen too.
            loop {
                let end = told.load(Ordering::Acquire);
                kept.iter().for_each(|name| look_at(&dir, name, &mut last, &mut seen));
                look_around(&dir, &mut seen);
                if end || seen.wrong.len() > 20 {
                    return seen;
                }
                std::thread::yield_now();
            }
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it. Nothing wrong may have been seen.
    pub fn finish(mut self) -> Seen {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().map(JoinHandle::join);
    }
}

fn look_at(dir: &Path, name: &str, last: &mut BTreeMap<String, u64>, seen: &mut Seen) {
    match fs::read(dir.join(name)) {
        Ok(body) => {
            seen.reads += 1;
            match version(&body) {
                Some((of, version)) if of == name => {
                    let before = last.insert(name.to_owned(), version).unwrap_or_default();
                    if version < before {
                        seen.wrong.push(format!("{name} went back from version {before} to {version}"));
                    }
                }
                Some((of, _)) => seen.wrong.push(format!("{name} is {of}")),
                None => seen.wrong.push(format!("{name} is torn: {} bytes", body.len())),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !last.contains_key(name) => {}
        Err(error) => seen.wrong.push(format!("{name}: {error}")),
    }
}

/// What is nobody's live name: a temporary file of ours, or the one that Pure-FTPd makes for a moment, empty, while it renames.
fn is_temporary(name: &str) -> bool {
    name.contains(".towline-") || name.starts_with(".pureftpd-rename.")
}

/// Whatever else is there under a live name: whole, or gone again.
fn look_around(dir: &Path, seen: &mut Seen) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_temporary(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if path.is_dir() {
            look_around(&path, seen);
            continue;
        }
        let Ok(body) = fs::read(&path) else { continue };
        seen.reads += 1;
        if version(&body).is_none() {
            seen.wrong.push(format!("{} is torn: {} bytes", path.display(), body.len()));
        }
    }
}
