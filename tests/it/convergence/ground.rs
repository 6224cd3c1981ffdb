//! The local side: a real directory and what people do to it, each edit with the hints a watcher gives for it. Small names,
//! so that things meet. Knows every content that any file ever had.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::sync::mpsc;
use towline::{model::RelPath, watch::Hint};

const NAMES: [&str; 8] = ["a", "b", "A", "dir", "Dir", "\u{e9} x", "f.txt", "c-"];
/// Entries below the root; what would make more is a removal instead.
const MOST: usize = 40;
const DEEPEST: usize = 4;
/// Bytes in a file that is worth copying on the server.
const ALIKE: usize = 64 * 1024;
/// More than one read of a file that is sent.
const LARGE: usize = 300 * 1024;
/// Bytes in a file that is known by its chunks: where the server copies and computes checksums, only those that changed are sent.
const CHUNKED: usize = 4 << 20;

/// What was written before it is not taken for something that may still change without a trace.
const TICK: Duration = Duration::from_millis(25);

/// Where time is simulated, so much passes between two edits: some are made within a second.
const EDIT: Duration = Duration::from_millis(300);

/// How a watcher fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ears {
    /// So many of a hundred edits are told as an overflow.
    pub overflow: u32,
    /// So many of a hundred hints are lost without a word.
    pub deaf: u32,
}

/// A file's content; `None` is a directory.
pub type Item = Option<Vec<u8>>;

/// A link that holds `target`, told as a content that no file has.
pub fn link(target: &[u8]) -> Vec<u8> {
    [b"-> ", target].concat()
}

/// The directory that is mirrored.
pub struct Ground {
    root: PathBuf,
    /// Beside it, not mirrored: what is moved in and out.
    outside: PathBuf,
    random: fastrand::Rng,
    /// There are never two names that differ in case only.
    apart: bool,
    ears: Ears,
    hints: Option<mpsc::Sender<Hint>>,
    contents: HashSet<Vec<u8>>,
    serial: u64,
    /// Edits so far.
    pub edits: u64,
    /// The times of files are simulated, and the disk's clock, which is not, ticks before anybody looks.
    pub ticks: bool,
    /// A hint was lost since the last look at everything.
    pub deaf: bool,
    /// What was done, for people.
    pub log: Vec<String>,
}

impl Ground {
    /// An empty directory `source` in `dir`.
    pub fn new(dir: &Path, seed: u64, apart: bool, ears: Ears) -> Self {
        let (root, outside) = (dir.join("source"), dir.join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        Self {
            root,
            outside,
            random: fastrand::Rng::with_seed(seed),
            apart,
            ears,
            hints: None,
            // What is rewritten in place is empty for a moment.
            contents: HashSet::from([Vec::new()]),
            serial: 0,
            edits: 0,
            ticks: false,
            deaf: false,
            log: Vec::new(),
        }
    }

    /// From now on somebody listens.
    pub fn heard_by(&mut self, hints: mpsc::Sender<Hint>) {
        self.hints = Some(hints);
        self.deaf = false;
    }

    /// From now on nobody does.
    pub fn unheard(&mut self) {
        self.hints = None;
    }

    /// Whether the listener took everything that was told.
    pub fn all_heard(&self) -> bool {
        self.hints.as_ref().is_none_or(|hints| hints.capacity() == hints.max_capacity())
    }

    /// Says that nobody knows what happened.
    pub fn overflow(&mut self) {
        self.log.push("overflow".into());
        self.deaf = false;
        self.send(Hint::Overflow);
    }

    /// Whether a file ever had this content.
    pub fn knows(&self, content: &[u8]) -> bool {
        self.contents.contains(content)
    }

    /// Everything below the root.
    pub fn items(&self) -> BTreeMap<RelPath, Item> {
        let mut items = BTreeMap::new();
        self.collect(None, &mut items);
        items
    }

    /// Somebody does something.
    pub fn edit(&mut self) {
        if let Err(e) = self.try_edit() {
            self.log.push(format!("  {e}"));
        }
        if self.ticks {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_200_000_000) + EDIT * u32::try_from(self.edits).unwrap();
            retime(&self.root, time).and_then(|()| retime(&self.outside, time)).unwrap();
            std::thread::sleep(TICK);
        }
    }

    /// Of names that differ in case only one stays.
    pub fn part(&mut self) {
        let mut seen = HashSet::new();
        for path in self.items().into_keys() {
            if self.at(&path).symlink_metadata().is_ok() && !seen.insert(path.folded()) {
                self.edits += 1;
                self.log.push(format!("remove {path}, a twin"));
                if self.clear(&path).is_ok() {
                    self.tell(&[path]);
                }
            }
        }
    }

    /// Writes a file, whose directory exists, in place; for scripted edits, which nobody hears.
    pub fn put(&mut self, path: &str, content: &[u8]) {
        self.contents.insert(content.to_vec());
        fs::write(self.root.join(path), content).unwrap();
    }

    /// Removes a file; only if `told` somebody hears of it.
    pub fn take(&mut self, path: &str, told: bool) {
        fs::remove_file(self.root.join(path)).unwrap();
        self.deaf |= !told;
        if told {
            self.send(Hint::Path(RelPath::new(path).unwrap()));
        }
    }

    /// The mirrored directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn try_edit(&mut self) -> io::Result<()> {
        self.edits += 1;
        let paths: Vec<RelPath> = self.items().into_keys().collect();
        if paths.len() > MOST {
            return self.remove(&paths);
        }
        match self.random.u32(0..100) {
            0..=29 => self.write(&paths),
            30..=37 => self.append(&paths),
            38..=44 => self.touch(&paths),
            45..=64 => self.rename(&paths),
            65..=69 => self.swap(&paths),
            70..=79 => self.make_dir(&paths),
            80..=89 => self.remove(&paths),
            90..=92 => self.copy(&paths),
            93..=95 => self.rename_case(&paths),
            96..=98 => self.move_out_or_in(&paths),
            _ => self.remove_all(),
        }
    }

    fn write(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let path = self.somewhere(paths);
        let at = self.clear_for_file(&path)?;
        let former = fs::read(&at).ok();
        let content = self.content(former.as_deref());
        let replace = self.random.bool();
        self.log.push(format!("write {path}: {} bytes, replace={replace}", content.len()));
        if replace {
            let aside = self.aside();
            fs::write(&aside, &content)?;
            fs::rename(&aside, &at)?;
        } else {
            fs::write(&at, &content)?;
        }
        self.tell(&[path]);
        Ok(())
    }

    fn append(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let Some(path) = self.existing(paths) else { return Ok(()) };
        let at = self.at(&path);
        if !at.is_file() {
            return Ok(());
        }
        let mut content = fs::read(&at)?;
        self.serial += 1;
        let more = format!("+{}", self.serial);
        content.extend_from_slice(more.as_bytes());
        self.contents.insert(content);
        self.log.push(format!("append {path}"));
        io::Write::write_all(&mut fs::OpenOptions::new().append(true).open(&at)?, more.as_bytes())?;
        self.tell(&[path]);
        Ok(())
    }

    /// A new time; the content may change with it, the size does not.
    fn touch(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let Some(path) = self.existing(paths) else { return Ok(()) };
        let at = self.at(&path);
        if !at.is_file() {
            return Ok(());
        }
        self.serial += 1;
        self.log.push(format!("touch {path}"));
        // No time comes twice: a file that is rewritten, set back to its old time and renamed looks like one that was renamed.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + self.serial);
        fs::File::options().write(true).open(&at)?.set_modified(time)?;
        self.tell(&[path]);
        Ok(())
    }

    fn rename(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let Some(from) = self.existing(paths) else { return Ok(()) };
        let to = self.somewhere(paths);
        if from.overlaps(&to) || !self.may_hold(&from, &to, paths) {
            return Ok(());
        }
        self.log.push(format!("rename {from} to {to}"));
        let place = if self.at(&from).is_dir() { self.clear(&to)? } else { self.clear_for_file(&to)? };
        fs::rename(self.at(&from), place)?;
        self.tell(&[from, to]);
        Ok(())
    }

    /// Two names, or three, go round.
    fn swap(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let count = self.random.usize(2..4);
        let Some(ring) = (0..count).map(|_| self.existing(paths)).collect::<Option<Vec<RelPath>>>() else { return Ok(()) };
        let goes = |at: usize| (&ring[at], &ring[(at + 1) % count]);
        let meet = (0..count).any(|at| ring[..at].iter().any(|other| other.overlaps(&ring[at])));
        if meet || !(0..count).all(|at| self.may_hold(goes(at).0, goes(at).1, paths)) {
            return Ok(());
        }
        self.log.push(format!("each of {ring:?} to the next"));
        let aside = self.aside();
        fs::rename(self.at(&ring[count - 1]), &aside)?;
        for at in (0..count - 1).rev() {
            fs::rename(self.at(goes(at).0), self.at(goes(at).1))?;
        }
        fs::rename(&aside, self.at(&ring[0]))?;
        self.tell(&ring);
        Ok(())
    }

    fn make_dir(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let path = self.somewhere(paths);
        if self.at(&path).is_dir() || path.components().count() > DEEPEST {
            return Ok(());
        }
        self.log.push(format!("mkdir {path}"));
        let at = self.clear(&path)?;
        fs::create_dir(&at)?;
        if self.random.bool() {
            let content = self.content(None);
            fs::write(at.join("new"), content)?;
        }
        self.tell(&[path]);
        Ok(())
    }

    fn remove(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let Some(path) = self.existing(paths) else { return Ok(()) };
        self.log.push(format!("remove {path}"));
        self.clear(&path)?;
        self.tell(&[path]);
        Ok(())
    }

    fn remove_all(&mut self) -> io::Result<()> {
        self.log.push("remove everything".into());
        let mut gone = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            gone.extend(RelPath::new(entry?.file_name().into_encoded_bytes()));
        }
        for path in &gone {
            self.clear(path)?;
        }
        self.tell(&gone);
        Ok(())
    }

    fn copy(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let Some(from) = self.existing(paths) else { return Ok(()) };
        let to = self.somewhere(paths);
        if from.overlaps(&to) || !self.at(&from).is_file() {
            return Ok(());
        }
        self.log.push(format!("copy {from} to {to}"));
        let content = fs::read(self.at(&from))?;
        let at = self.clear_for_file(&to)?;
        fs::write(at, content)?;
        self.tell(&[to]);
        Ok(())
    }

    fn rename_case(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let Some(from) = self.existing(paths) else { return Ok(()) };
        let name: Vec<u8> = from.name().iter().map(|b| b ^ if b.is_ascii_alphabetic() { 0x20 } else { 0 }).collect();
        let Ok(to) = RelPath::child(from.parent().as_ref(), name) else { return Ok(()) };
        if to == from || self.at(&to).symlink_metadata().is_ok() {
            return Ok(());
        }
        self.log.push(format!("rename {from} to {to}"));
        fs::rename(self.at(&from), self.at(&to))?;
        self.tell(&[from, to]);
        Ok(())
    }

    /// Out of the mirror, and perhaps later back in, with all that is below.
    fn move_out_or_in(&mut self, paths: &[RelPath]) -> io::Result<()> {
        let stored = self.outside.join("stored");
        if stored.symlink_metadata().is_err() {
            let Some(path) = self.existing(paths) else { return Ok(()) };
            self.log.push(format!("move {path} out"));
            fs::rename(self.at(&path), &stored)?;
            self.tell(&[path]);
            return Ok(());
        }
        let path = self.somewhere(paths);
        if path.components().count() > 2 {
            return Ok(());
        }
        self.log.push(format!("move {path} in"));
        let at = if stored.is_dir() { self.clear(&path)? } else { self.clear_for_file(&path)? };
        fs::rename(&stored, at)?;
        self.tell(&[path]);
        Ok(())
    }

    /// Makes `path` free; where it is.
    fn clear(&self, path: &RelPath) -> io::Result<PathBuf> {
        let at = self.at(path);
        match at.symlink_metadata() {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&at)?,
            Ok(_) => fs::remove_file(&at)?,
            Err(_) => {}
        }
        Ok(at)
    }

    /// Makes `path` free, but for a file that can be written over.
    fn clear_for_file(&self, path: &RelPath) -> io::Result<PathBuf> {
        let at = self.at(path);
        if at.is_dir() { self.clear(path) } else { Ok(at) }
    }

    /// A content: new, one of another file, or one as long as the former.
    fn content(&mut self, former: Option<&[u8]>) -> Vec<u8> {
        self.serial += 1;
        let mut content = format!("{:06}", self.serial).into_bytes();
        match (self.random.u32(0..60), former) {
            (0..=2, _) => content.clear(),
            (3..=8, _) => content = b"the same everywhere".to_vec(),
            (9..=28, Some(former)) if former.len() >= content.len() => content.resize(former.len(), b'.'),
            // Where the server copies, it is sent once.
            (57..=58, _) => content = vec![b'A'; ALIKE],
            (59, _) => content.resize(if self.random.u8(0..4) == 0 { CHUNKED } else { LARGE }, b'.'),
            _ => content.resize(6 + self.random.usize(0..60), b'-'),
        }
        self.contents.insert(content.clone());
        content
    }

    fn existing(&mut self, paths: &[RelPath]) -> Option<RelPath> {
        (!paths.is_empty()).then(|| paths[self.random.usize(..paths.len())].clone())
    }

    /// An existing path, or a name in an existing directory.
    fn somewhere(&mut self, paths: &[RelPath]) -> RelPath {
        let existing = self.existing(paths).filter(|_| self.random.u8(..4) > 0);
        if let Some(path) = &existing
            && self.random.u8(..3) == 0
        {
            return path.clone();
        }
        let dir = existing.and_then(|path| if self.at(&path).is_dir() { Some(path) } else { path.parent() });
        let dir = dir.filter(|dir| dir.components().count() < DEEPEST);
        let name = NAMES[self.random.usize(..NAMES.len())];
        let path = RelPath::child(dir.as_ref(), name).unwrap();
        if self.apart {
            let twin = paths.iter().find(|other| other.folded() == path.folded());
            return twin.cloned().unwrap_or(path);
        }
        path
    }

    /// Whether the directories of what is at `from` stay within the depth at `to`.
    fn may_hold(&self, from: &RelPath, to: &RelPath, paths: &[RelPath]) -> bool {
        let depth = |path: &RelPath| path.components().count();
        let deepest = paths.iter().filter(|path| path.is_at_or_below(from)).map(depth).max().unwrap_or(0);
        deepest - depth(from) + depth(to) <= DEEPEST + 1
    }

    fn tell(&mut self, paths: &[RelPath]) {
        if self.random.u32(..100) < self.ears.overflow {
            self.log.push("  told as an overflow".into());
            self.send(Hint::Overflow);
            return;
        }
        for path in paths {
            if self.random.u32(..100) < self.ears.deaf {
                self.log.push(format!("  {path} is not told"));
                self.deaf = true;
            } else {
                self.send(Hint::Path(path.clone()));
            }
        }
    }

    fn send(&self, hint: Hint) {
        if let Some(hints) = &self.hints {
            hints.try_send(hint).expect("the listener keeps up");
        }
    }

    fn aside(&mut self) -> PathBuf {
        self.serial += 1;
        self.outside.join(format!("aside-{}", self.serial))
    }

    fn at(&self, path: &RelPath) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
    }

    fn collect(&self, dir: Option<&RelPath>, items: &mut BTreeMap<RelPath, Item>) {
        let at = dir.map_or_else(|| self.root.clone(), |dir| self.at(dir));
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let path = RelPath::child(dir, entry.file_name().into_encoded_bytes()).unwrap();
            if entry.file_type().unwrap().is_dir() {
                self.collect(Some(&path), items);
                items.insert(path, None);
            } else if entry.file_type().unwrap().is_symlink() {
                items.insert(path, Some(link(fs::read_link(entry.path()).unwrap().as_os_str().as_bytes())));
            } else {
                items.insert(path, Some(fs::read(entry.path()).unwrap()));
            }
        }
    }
}

/// Gives `time` to all files below `dir` that have the time of a real clock.
fn retime(dir: &Path, time: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_dir() {
            retime(&entry.path(), time)?;
        } else if found.is_file() && found.modified()? > SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000) {
            fs::File::options().write(true).open(entry.path())?.set_modified(time)?;
        }
    }
    Ok(())
}
