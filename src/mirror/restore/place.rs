//! [`Place`]: the directory that is restored to, held open. Everything is looked up from there, one component at a time and
//! through no symlink, so that nothing is ever written outside; a file gets its name when it is whole.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use rustix::{
    fs::{
        AtFlags, FileType, Mode as Bits, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, futimens, linkat, mkdirat, open,
        openat, renameat, statat, unlinkat,
    },
    io::Errno,
};
use tokio::sync::mpsc;

use crate::model::{Digest, Mode, RelPath};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
const NANOSECONDS: i64 = 1_000_000_000;

/// What is at the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Nothing,
    /// The very file that is to come.
    Same,
    Other,
}

/// A directory that is restored to.
#[derive(Debug)]
pub(super) struct Place {
    dir: OwnedFd,
    /// How many temporary names were used.
    names: AtomicU64,
}

/// A file that came whole, under a temporary name; dropped without [`Temp::publish`] it goes.
#[derive(Debug)]
pub(super) struct Temp {
    dir: OwnedFd,
    temp: CString,
    name: CString,
    file: File,
    digest: Digest,
}

impl Place {
    /// Opens the directory at `path`, which is made if it is missing. A symlink may lead to it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let dir = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Bits::empty())?;
        Ok(Self { dir, names: AtomicU64::new(0) })
    }

    /// Makes the directory `path` and those that it is in, as far as they are missing.
    pub(super) fn make_dir(&self, path: &RelPath) -> io::Result<()> {
        self.dir(Some(path), true).map(drop)
    }

    /// What is where the file `path` belongs. It is the same if it has this size, and this content; where that is not known,
    /// this time of modification.
    pub(super) fn look(&self, path: &RelPath, size: u64, digest: Option<Digest>, mtime_ns: Option<i64>) -> io::Result<Existing> {
        let dir = match self.dir(path.parent().as_ref(), false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Existing::Nothing),
            dir => dir?,
        };
        let name = CString::new(path.name())?;
        let stat = match statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Existing::Nothing),
            stat => stat?,
        };
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || u64::try_from(stat.st_size) != Ok(size) {
            return Ok(Existing::Other);
        }
        let same = match digest {
            Some(digest) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                content(File::from(openat(&dir, &name, flags, Bits::empty())?))? == digest
            }
            None => mtime_ns.is_some_and(|at| at.div_euclid(NANOSECONDS) == stat.st_mtime),
        };
        Ok(if same { Existing::Same } else { Existing::Other })
    }

    /// Writes what comes to a temporary file beside `path`. Whether it was all is for the sender to say.
    pub(super) fn receive(&self, path: &RelPath, mut pieces: mpsc::Receiver<Bytes>, each: impl Fn(usize)) -> io::Result<Temp> {
        let dir = self.dir(path.parent().as_ref(), true)?;
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let temp = CString::new(format!(".towline-restore-{:x}-{number:x}.part", std::process::id()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&dir, &temp, flags, Bits::from_raw_mode(0o666))?);
        let name = CString::new(path.name())?;
        let mut written = Temp { dir, temp, name, file, digest: Digest([0; 32]) };
        let mut hasher = blake3::Hasher::new();
        while let Some(piece) = pieces.blocking_recv() {
            hasher.update(&piece);
            written.file.write_all(&piece)?;
            each(piece.len());
        }
        written.digest = Digest(*hasher.finalize().as_bytes());
        Ok(written)
    }

    /// Opens a directory below this one, or this one; what is missing is made, or an error.
    fn dir(&self, path: Option<&RelPath>, make: bool) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = openat(&self.dir, c".", flags, Bits::empty())?;
        for name in path.iter().flat_map(|path| path.components()) {
            let name = CString::new(name)?;
            at = match openat(&at, &name, flags, Bits::empty()) {
                Err(Errno::NOENT) if make => {
                    match mkdirat(&at, &name, Bits::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    openat(&at, &name, flags, Bits::empty())?
                }
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let name = name.to_string_lossy();
                    return Err(io::Error::other(format!("{name:?} is no directory here; links are not followed")));
                }
                opened => opened?,
            };
        }
        Ok(at)
    }
}

impl Temp {
    /// Of what was written.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Gives it its time, its permissions, and then its name; `false` if something has that name and is not to be replaced.
    pub(super) fn publish(self, mtime_ns: Option<i64>, mode: Option<Mode>, replace: bool) -> io::Result<bool> {
        if let Some(mode) = mode {
            fchmod(&self.file, Bits::from_raw_mode(mode.bits().into()))?;
        }
        if let Some(at) = mtime_ns {
            let modified = Timespec { tv_sec: at.div_euclid(NANOSECONDS), tv_nsec: at.rem_euclid(NANOSECONDS) };
            let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
            futimens(&self.file, &Timestamps { last_access: omitted, last_modification: modified })?;
        }
        self.file.sync_all()?;
        let dir = self.dir.as_fd();
        if replace {
            renameat(dir, &self.temp, dir, &self.name)?;
            return Ok(true);
        }
        // A link takes no name that is taken, whoever is faster. Some file systems have none.
        match linkat(dir, &self.temp, dir, &self.name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {
                match statat(dir, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => {
                        renameat(dir, &self.temp, dir, &self.name)?;
                        Ok(true)
                    }
                    found => found.map(|_| false).map_err(io::Error::from),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // After a rename there is none.
        let _ = unlinkat(&self.dir, &self.temp, AtFlags::empty());
    }
}

fn content(mut file: File) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Digest(*hasher.finalize().as_bytes())),
            n => hasher.update(&chunk[..n]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn received(place: &Place, at: &str, body: &'static [u8]) -> io::Result<Temp> {
        let (into, pieces) = mpsc::channel(1);
        into.try_send(Bytes::from_static(body)).unwrap();
        drop(into);
        place.receive(&path(at), pieces, |_| ())
    }

    #[test]
    fn a_file_gets_its_name_last_and_replaces_nothing_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(&dir.path().join("new/place")).unwrap();
        let to = dir.path().join("new/place");
        let temp = received(&place, "a/f", b"one").unwrap();
        assert_eq!(std::fs::read_dir(to.join("a")).unwrap().count(), 1, "the temporary file");
        assert!(!to.join("a/f").exists());
        assert_eq!(temp.digest(), Digest(*blake3::hash(b"one").as_bytes()));
        assert!(temp.publish(Some(5_000_000_007), Some(Mode::of(0o640)), false).unwrap());
        let found = to.join("a/f").metadata().unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((found.mtime(), found.mtime_nsec(), found.mode() & 0o777), (5, 7, 0o640));
        assert!(!received(&place, "a/f", b"two").unwrap().publish(None, None, false).unwrap());
        assert_eq!(std::fs::read(to.join("a/f")).unwrap(), b"one");
        assert!(received(&place, "a/f", b"two").unwrap().publish(None, None, true).unwrap());
        assert_eq!(std::fs::read(to.join("a/f")).unwrap(), b"two");
        drop(received(&place, "a/g", b"dropped").unwrap());
        assert_eq!(std::fs::read_dir(to.join("a")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_there_is_told_by_its_content_or_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(dir.path()).unwrap();
        received(&place, "f", b"one").unwrap().publish(Some(9_500_000_000), None, false).unwrap();
        let digest = |body: &[u8]| Some(Digest(*blake3::hash(body).as_bytes()));
        let look = |size, digest, mtime| place.look(&path("f"), size, digest, mtime).unwrap();
        assert_eq!(look(3, digest(b"one"), None), Existing::Same);
        assert_eq!(look(3, digest(b"two"), Some(9_500_000_000)), Existing::Other);
        assert_eq!((look(4, None, None), look(3, None, None)), (Existing::Other, Existing::Other));
        assert_eq!(look(3, None, Some(9_000_000_000)), Existing::Same);
        assert_eq!(place.look(&path("no/f"), 1, None, None).unwrap(), Existing::Nothing);
    }

    #[test]
    fn no_link_leads_outside() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("f"), "secret").unwrap();
        let place = Place::open(&dir.path().join("to")).unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("to/d")).unwrap();
        std::os::unix::fs::symlink(outside.join("f"), dir.path().join("to/f")).unwrap();
        let refused = received(&place, "d/f", b"one").unwrap_err().to_string();
        assert_eq!(refused, "\"d\" is no directory here; links are not followed");
        place.make_dir(&path("d")).unwrap_err();
        place.look(&path("d/f"), 6, None, None).unwrap_err();
        assert_eq!(place.look(&path("f"), 6, None, None).unwrap(), Existing::Other, "the link itself");
        assert!(received(&place, "f", b"one").unwrap().publish(None, None, true).unwrap(), "the link is replaced");
        assert_eq!(std::fs::read(outside.join("f")).unwrap(), b"secret");
    }
}
