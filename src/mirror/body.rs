//! The local file on its way out: read once, digested while it is read, and shown to have held still.

mod digesting;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use digesting::Digesting;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    blocking::{self, Outlet},
    clock,
    model::{Chunks, Digest, Fingerprint, Problem, Reason, RelPath, RootIdentity},
    remote::Source,
    scan::{
        Place, Root,
        read::{self, OpenedFile, ReadError, open_file, racy_for},
    },
};

/// Bytes read at once: large enough that a system call is nothing, small enough for eight transfers in 64 MiB.
const PIECE: usize = 256 * 1024;
/// Pieces between the reading thread and the network.
const AHEAD: usize = 4;

/// What reading a file to its end gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) print: Fingerprint,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    /// The digests of its chunks, where that is of use.
    pub(super) chunks: Option<Chunks>,
}

/// Why a file could not be read as one state of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("it is gone")]
    Gone,
    #[error("it changed while it was read")]
    Changing,
    #[error("it is no regular file any more")]
    NotAFile,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Unread {
    pub(super) fn to_problem(&self) -> Problem {
        match self {
            Self::Gone | Self::Changing | Self::NotAFile => Problem::new(Reason::Changing, self),
            Self::Io(e) => Problem::new(Reason::Unreadable, e),
        }
    }
}

impl From<ReadError> for Unread {
    fn from(e: ReadError) -> Self {
        match e {
            ReadError::Gone => Self::Gone,
            ReadError::NotAFile | ReadError::NotALink => Self::NotAFile,
            other => Self::Io(std::io::Error::other(other)),
        }
    }
}

/// A local file that is open, in a state that no later write can leave as it is.
pub(super) struct Still {
    root: Root,
    file: OpenedFile,
    print: Fingerprint,
}

impl Still {
    /// Opens `path` in `place`, and waits until it is in such a state; blocking.
    pub(super) fn open(place: &Place, path: &RelPath) -> Result<Self, Unread> {
        let root = place.open().map_err(|_| Unread::Gone)?;
        let file = open_file(&root, path)?;
        let mut print = file.fingerprint()?;
        // A file written to within the clock tick of its ctime could change again and look the same: let the tick pass.
        for _ in 0..3 {
            let wait = racy_for(&print, clock::now());
            if wait == Duration::ZERO {
                break;
            }
            std::thread::sleep(wait);
            print = file.fingerprint()?;
        }
        if racy_for(&print, clock::now()) > Duration::ZERO {
            return Err(Unread::Changing);
        }
        Ok(Self { root, file, print })
    }

    /// The state that it was in.
    pub(super) fn print(&self) -> &Fingerprint {
        &self.print
    }

    /// Which directory the root is, if the file is on its device.
    pub(super) fn root_on_its_device(&self) -> Option<RootIdentity> {
        let root = self.root.identity();
        self.file.device().is_ok_and(|device| device == root.device).then_some(root)
    }

    /// Reads it to its end, handing out pieces; blocking. What is returned was the file's content at one moment: its fingerprint was
    /// the same before and after.
    pub(super) fn read(self, mut piece: impl FnMut(Bytes) -> bool) -> Result<Content, Unread> {
        let Self { mut file, print, .. } = self;
        let mut digesting = Digesting::of_size(print.size);
        let most = PIECE.min(usize::try_from(print.size).unwrap_or(PIECE).max(1) + 1);
        let mut bytes = 0;
        loop {
            let read = Bytes::from(file.read(most)?);
            if read.is_empty() {
                break;
            }
            bytes += read.len() as u64;
            // A file that grows as fast as it is read must end somewhere; it is Changing anyway.
            if bytes > print.size {
                return Err(Unread::Changing);
            }
            digesting.update(&read);
            if !piece(read) {
                break;
            }
        }
        if file.fingerprint()? != print || bytes != print.size {
            return Err(Unread::Changing);
        }
        let (digest, chunks) = digesting.finish();
        Ok(Content { print, digest, bytes, chunks })
    }
}

/// Reads `path` in `place` to its end, handing out pieces; blocking. As [`Still`] does.
pub(super) fn read(place: &Place, path: &RelPath, piece: impl FnMut(Bytes) -> bool) -> Result<Content, Unread> {
    Still::open(place, path)?.read(piece)
}

/// The digest of `path`, read on a blocking thread whoever knows it: for who proves something by it. Else ask
/// [`super::siblings::Digests`].
pub(super) async fn digest(place: Place, path: RelPath) -> Result<Content, Unread> {
    blocking::run(move || read(&place, &path, |_| true)).await.unwrap_or(Err(Unread::Changing))
}

/// The digest of `path`, and that of its first `bytes` bytes, read on a blocking thread.
pub(super) async fn digest_and_prefix(place: Place, path: RelPath, bytes: u64) -> Result<(Content, Digest), Unread> {
    let read = move || {
        let (mut prefix, mut left) = (blake3::Hasher::new(), bytes);
        let content = read(&place, &path, |chunk| {
            let chunk = &chunk[..usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()))];
            left -= chunk.len() as u64;
            prefix.update(chunk);
            true
        })?;
        Ok((content, Digest(*prefix.finalize().as_bytes())))
    };
    blocking::run(read).await.unwrap_or(Err(Unread::Changing))
}

/// Reads these bytes of `path`, handing out pieces, while it is the file of this fingerprint; blocking.
fn read_part(
    place: &Place,
    path: &RelPath,
    print: &Fingerprint,
    part: Range<u64>,
    piece: impl FnMut(Bytes) -> bool,
) -> Result<(), Unread> {
    let file = open_file(&place.open().map_err(|_| Unread::Gone)?, path)?;
    if file.fingerprint()? != *print {
        return Err(Unread::Changing);
    }
    read_at(&file, part, piece)
}

/// Reads these bytes of `file`, all of them; blocking.
fn read_at(file: &OpenedFile, part: Range<u64>, mut piece: impl FnMut(Bytes) -> bool) -> Result<(), Unread> {
    let mut at = part.start;
    while at < part.end {
        let most = usize::try_from(part.end - at).map_or(PIECE, |left| left.min(PIECE));
        let read = Bytes::from(file.read_at(most, at)?);
        at += read.len() as u64;
        if read.is_empty() || !piece(read) {
            return Err(Unread::Changing);
        }
    }
    Ok(())
}

/// The first bytes of a file that may be growing.
#[derive(Clone)]
pub(super) struct Prefix {
    bytes: u64,
    /// The file, when they were read.
    print: Fingerprint,
    hasher: blake3::Hasher,
}

impl Prefix {
    pub(super) fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

/// The first `bytes` bytes of `path`, whatever is being added behind them, read on a blocking thread.
pub(super) async fn prefix(place: Place, path: RelPath, bytes: u64) -> Result<Prefix, Unread> {
    let read = move || {
        let file = open_file(&place.open().map_err(|_| Unread::Gone)?, &path)?;
        let (print, mut hasher) = (file.fingerprint()?, blake3::Hasher::new());
        read_at(&file, 0..bytes, |piece| {
            hasher.update(&piece);
            true
        })?;
        Ok(Prefix { bytes, print, hasher })
    };
    blocking::run(read).await.unwrap_or(Err(Unread::Changing))
}

/// What the symbolic link `path` holds, read on a blocking thread.
pub(super) async fn target(place: Place, path: RelPath) -> Result<Vec<u8>, Unread> {
    let read = move || Ok(read::read_link(&place.open().map_err(|_| Unread::Gone)?, &path)?);
    blocking::run(read).await.unwrap_or(Err(Unread::Changing))
}

/// Hands `piece` to the network, and counts it; `false` if nobody takes it.
fn hand_out(outlet: &Outlet<Bytes>, piece: Bytes, sent: &AtomicU64) -> bool {
    let bytes = piece.len() as u64;
    let taken = outlet.send(piece);
    if taken {
        sent.fetch_add(bytes, Ordering::Relaxed);
    }
    taken
}

/// A local file as the body of an upload.
pub(super) struct FileBody {
    place: Place,
    path: RelPath,
    /// So many bytes at its start are not sent.
    behind: u64,
    /// Bytes that are there or were handed to the network so far, for `status`.
    sent: Arc<AtomicU64>,
    reader: Option<JoinHandle<Result<Content, Unread>>>,
}

impl FileBody {
    pub(super) fn new(place: Place, path: RelPath, sent: Arc<AtomicU64>) -> Self {
        Self::behind(place, path, sent, 0)
    }

    /// What is behind the first `behind` bytes of it; all of it is read.
    pub(super) fn behind(place: Place, path: RelPath, sent: Arc<AtomicU64>, behind: u64) -> Self {
        Self { place, path, behind, sent, reader: None }
    }

    /// What the last reading came to; `None` if the body was never opened.
    pub(super) async fn finish(self) -> Option<Result<Content, Unread>> {
        Some(self.reader?.await.unwrap_or(Err(Unread::Changing)))
    }
}

impl Source for FileBody {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (outlet, rx) = blocking::outlet(AHEAD);
        let (place, path, sent) = (self.place.clone(), self.path.clone(), Arc::clone(&self.sent));
        let mut behind = self.behind;
        sent.store(behind, Ordering::Relaxed);
        self.reader = Some(blocking::spawn(move || {
            read(&place, &path, |mut piece| {
                let skipped = piece.split_to(usize::try_from(behind).map_or(piece.len(), |behind| behind.min(piece.len())));
                behind -= skipped.len() as u64;
                piece.is_empty() || hand_out(&outlet, piece, &sent)
            })
        }));
        rx
    }
}

/// A part of a local file as a body: to be written over the same part of what the server has. That it was all read shows in how many
/// bytes were sent; that the file held still is for another reading to show.
pub(super) struct PartBody {
    pub(super) place: Place,
    pub(super) path: RelPath,
    pub(super) print: Fingerprint,
    pub(super) part: Range<u64>,
    /// Counts the bytes that were handed to the network, of this part and those before it.
    pub(super) sent: Arc<AtomicU64>,
}

impl Source for PartBody {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (outlet, rx) = blocking::outlet(AHEAD);
        let (place, path, print, part) = (self.place.clone(), self.path.clone(), self.print, self.part.clone());
        let sent = Arc::clone(&self.sent);
        drop(blocking::spawn(move || read_part(&place, &path, &print, part, |piece| hand_out(&outlet, piece, &sent))));
        rx
    }
}

/// What is behind the first bytes of a file that only grows, up to where it ended when those were read.
pub(super) struct TailBody {
    place: Place,
    path: RelPath,
    sent: Arc<AtomicU64>,
    prefix: Prefix,
    reader: Option<JoinHandle<Result<Content, Unread>>>,
}

impl TailBody {
    pub(super) fn new(place: Place, path: RelPath, sent: Arc<AtomicU64>, prefix: Prefix) -> Self {
        Self { place, path, sent, prefix, reader: None }
    }

    /// What the file is then, as far as it was sent; `None` if the body was never opened.
    pub(super) async fn finish(self) -> Option<Result<Content, Unread>> {
        Some(self.reader?.await.unwrap_or(Err(Unread::Changing)))
    }
}

impl Source for TailBody {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (outlet, rx) = blocking::outlet(AHEAD);
        let (place, path, sent) = (self.place.clone(), self.path.clone(), Arc::clone(&self.sent));
        let Prefix { bytes: behind, print, mut hasher } = self.prefix.clone();
        sent.store(behind, Ordering::Relaxed);
        self.reader = Some(blocking::spawn(move || {
            let file = open_file(&place.open().map_err(|_| Unread::Gone)?, &path)?;
            let only_grew = |now: Fingerprint| now.inode == print.inode && now.size >= print.size;
            if !only_grew(file.fingerprint()?) {
                return Err(Unread::Changing);
            }
            read_at(&file, behind..print.size, |piece| {
                hasher.update(&piece);
                hand_out(&outlet, piece, &sent)
            })?;
            if !only_grew(file.fingerprint()?) {
                return Err(Unread::Changing);
            }
            Ok(Content { print, digest: Digest(*hasher.finalize().as_bytes()), bytes: print.size, chunks: None })
        }));
        rx
    }
}
