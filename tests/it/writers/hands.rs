//! What one writer does to the directory, without a look at what the others do: most of it meets what they did.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

const DIRS: [&str; 3] = ["x", "y", "z"];
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e f", "x", "y", "z"];
/// What lies outside, to be moved in.
const PLACES: usize = 6;
/// More than one read of a file that is sent.
const LARGE: usize = 300 * 1024;
/// Many files have this size, so that nothing but a time tells of a change.
const SAME: usize = 64;

pub(super) struct Hand {
    root: PathBuf,
    outside: PathBuf,
    name: usize,
    random: fastrand::Rng,
    serial: u64,
}

/// Three writers that do `operations` in all, and count them in `done`.
pub(super) fn start(
    root: &Path,
    outside: &Path,
    random: &mut fastrand::Rng,
    operations: u64,
    done: &Arc<AtomicU64>,
) -> Vec<JoinHandle<()>> {
    let begin = |name: usize| {
        let mut hand = Hand { root: root.to_owned(), outside: outside.to_owned(), name, random: random.fork(), serial: 0 };
        let done = Arc::clone(done);
        std::thread::spawn(move || {
            while done.load(Ordering::Relaxed) < operations {
                // What the others leave no room for does not count.
                if hand.act().is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                    hand.rest();
                }
            }
        })
    };
    (0..3).map(begin).collect()
}

impl Hand {
    /// One operation.
    fn act(&mut self) -> io::Result<()> {
        let (path, other) = (self.path(), self.path());
        match self.random.u32(..100) {
            0..14 => self.create(&path),
            14..24 => self.overwrite(&path),
            24..36 => self.save(&path),
            36..44 => File::options().append(true).open(&path)?.write_all(&self.body()),
            44..48 => File::options().write(true).open(&path)?.set_len(self.random.u64(..SAME as u64)),
            48..56 => fs::remove_file(&path),
            56..58 => fs::remove_dir_all(&path),
            58..64 => fs::create_dir(&path),
            64..74 => fs::rename(&path, &other),
            74..77 => self.aside(&path),
            77..81 => renameat_with(CWD, &path, CWD, &other, RenameFlags::EXCHANGE).map_err(Into::into),
            81..85 => fs::rename(&path, self.place()),
            85..90 => fs::rename(self.place(), &path),
            90..95 => {
                let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.random.u64(..3));
                File::options().write(true).open(&path)?.set_modified(at)
            }
            95..97 => self.copy_with_times(&path, &other),
            _ => {
                // A directory stays one that can be looked into.
                let mode = if path.is_dir() { 0o755 } else { 0o640 };
                fs::set_permissions(&path, Permissions::from_mode(mode))
            }
        }
    }

    fn path(&mut self) -> PathBuf {
        let mut path = self.root.clone();
        for _ in 0..self.random.usize(..3) {
            path.push(DIRS[self.random.usize(..DIRS.len())]);
        }
        path.push(NAMES[self.random.usize(..NAMES.len())]);
        path
    }

    fn place(&mut self) -> PathBuf {
        self.outside.join(self.random.usize(..PLACES).to_string())
    }

    /// A content that no other write has.
    fn body(&mut self) -> Vec<u8> {
        self.serial += 1;
        let size = match self.random.u32(..20) {
            0 => 0,
            1 => self.random.usize(..LARGE),
            2..8 => self.random.usize(..4096),
            _ => SAME,
        };
        let stamp = format!("{} {} ", self.name, self.serial);
        stamp.bytes().cycle().take(size).collect()
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        if self.random.u32(..3) == 0 {
            fs::create_dir_all(path.parent().unwrap())?;
        }
        let body = self.body();
        fs::write(path, body)
    }

    /// In place, and often of the same size.
    fn overwrite(&mut self, path: &Path) -> io::Result<()> {
        let (file, body) = (File::options().write(true).open(path)?, self.body());
        let at = if self.random.bool() { 0 } else { self.random.u64(..SAME as u64) };
        let (first, second) = body.split_at(body.len() / 2);
        file.write_all_at(first, at)?;
        if self.random.u32(..4) == 0 {
            self.rest();
        }
        file.write_all_at(second, at + first.len() as u64)
    }

    /// As editors do.
    fn save(&mut self, path: &Path) -> io::Result<()> {
        let fresh = path.with_file_name(format!(".save-{}", self.name));
        let body = self.body();
        fs::write(&fresh, body)?;
        if self.random.u32(..4) == 0 {
            self.rest();
        }
        let saved = fs::rename(&fresh, path);
        if saved.is_err() {
            let _ = fs::remove_file(fresh);
        }
        saved
    }

    /// Out of the way, then a new one in its place.
    fn aside(&mut self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap().to_string_lossy();
        fs::rename(path, path.with_file_name(format!("{name}~")))?;
        let body = self.body();
        fs::write(path, body)
    }

    /// As `cp -p` does: another content with a time that was there before.
    fn copy_with_times(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (found, body) = (fs::metadata(from)?, self.body());
        let file = File::options().write(true).create(true).truncate(true).open(to)?;
        file.write_all_at(&body, 0)?;
        file.set_modified(found.modified()?)
    }

    fn rest(&mut self) {
        let millis = match self.random.u32(..20) {
            0 => self.random.u64(40..150),
            1..8 => self.random.u64(1..5),
            _ => return,
        };
        std::thread::sleep(Duration::from_millis(millis));
    }
}
