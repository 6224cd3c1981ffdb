//! What the mirrors of one directory have together: its scans ([`Company`]), and what is known of its files. What one of them has read to
//! know what it holds, another does not read again. Which directory that is, is known by the directory, not by its name. Nothing is read here but what nobody knows, and
//! nothing is decided.
//!
//! A digest is passed on for the very state in which the file was read, as its fingerprint has it; a file is read only when it is
//! in a state that no later write can leave as it is. So it is that of the file here, whoever has read it, and whenever. What was
//! concluded, as of a file that was renamed, is not passed on; nor is anything of another file system below the root, whose
//! numbers may come again.

mod desk;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use desk::{Claim, Desk, Key};

use super::body::{Content, Still, Unread};
use crate::{
    blocking,
    index::Reader,
    model::{RelPath, RootIdentity},
    scan::{Company, Place},
};

/// All mirrors of a process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Siblings(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By their indexes. What one knows that has ended is still true.
    members: Mutex<BTreeMap<PathBuf, Arc<Member>>>,
    desk: Mutex<Desk>,
    /// Somebody has ended reading.
    news: Condvar,
    /// Their scans.
    company: Company,
}

/// What others may know of a mirror.
#[derive(Debug, Default)]
struct Member {
    /// Which directory its index is about, as far as it was looked at.
    root: Mutex<Option<RootIdentity>>,
    /// Its index, as soon as anybody asks.
    reader: Mutex<Option<Reader>>,
    read: AtomicU64,
    shared: AtomicU64,
}

/// One mirror's way to the digests of its files. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests {
    siblings: Siblings,
    own: Arc<Member>,
    index: PathBuf,
}

impl Siblings {
    /// A mirror whose index is this file. It takes the place of one that had the same.
    pub(super) fn join(&self, index: PathBuf) -> Digests {
        let own = Arc::<Member>::default();
        locked(&self.0.members).insert(index.clone(), Arc::clone(&own));
        Digests { siblings: self.clone(), own, index }
    }
}

impl Digests {
    /// The index is about this directory, and it is there; or it is not known to be.
    pub(super) fn is_of(&self, root: Option<RootIdentity>) {
        *locked(&self.own.root) = root;
    }

    /// Those with whom to scan the directory.
    pub(super) fn company(&self) -> Company {
        self.siblings.0.company.clone()
    }

    /// How many files were read here only to know what they hold, and of how many somebody else knew.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.own.read.load(Ordering::Relaxed), self.own.shared.load(Ordering::Relaxed))
    }

    /// The digest of `path`, on a blocking thread.
    pub(super) async fn of(&self, place: Place, path: RelPath) -> Result<Content, Unread> {
        let own = self.clone();
        let found = blocking::run(move || own.find(&place, &path, |_| true, || true)).await;
        // All of it may be read: there is always something.
        found.unwrap_or(Ok(None)).and_then(|content| content.ok_or(Unread::Changing))
    }

    /// The digest of `path`; blocking. Where nobody knows it, it is read as long as it `is_wanted`, if `may_read` allows so many bytes;
    /// else there is none.
    pub(super) fn find(
        &self,
        place: &Place,
        path: &RelPath,
        may_read: impl FnOnce(u64) -> bool,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Option<Content>, Unread> {
        let still = Still::open(place, path)?;
        let read = |still: Still| {
            if !may_read(still.print().size) {
                return Ok(None);
            }
            self.own.read.fetch_add(1, Ordering::Relaxed);
            still.read(|_| is_wanted()).map(Some)
        };
        let Some(key) = self.key(&still, path) else { return read(still) };
        let turn = match self.claim(key) {
            Ok(turn) => turn,
            Err(content) => return Ok(Some(self.taken(content))),
        };
        let content = match self.known(&turn.key) {
            Some(content) => Some(self.taken(content)),
            None => read(still)?,
        };
        if let Some(content) = &content {
            turn.end(content);
        }
        Ok(content)
    }

    fn taken(&self, content: Content) -> Content {
        self.own.shared.fetch_add(1, Ordering::Relaxed);
        content
    }

    /// What others may know the file by, if there are any.
    fn key(&self, still: &Still, path: &RelPath) -> Option<Key> {
        let own = (*locked(&self.own.root))?;
        let root = still.root_on_its_device().filter(|root| *root == own)?;
        self.others(root).next()?;
        Some(Key { root, path: path.clone(), print: *still.print() })
    }

    /// The other mirrors of this directory, with their indexes.
    fn others(&self, root: RootIdentity) -> impl Iterator<Item = (PathBuf, Arc<Member>)> {
        let members = locked(&self.siblings.0.members);
        let others = members.iter().filter(|(index, member)| **index != self.index && *locked(&member.root) == Some(root));
        others.map(|(index, member)| (index.clone(), Arc::clone(member))).collect::<Vec<_>>().into_iter()
    }

    /// The right to find it out; or what somebody else found out meanwhile.
    fn claim(&self, key: Key) -> Result<Turn<'_>, Content> {
        let shared = &*self.siblings.0;
        let mut desk = locked(&shared.desk);
        loop {
            match desk.claim(&key) {
                Claim::Known(content) => return Err(content),
                Claim::Yours => return Ok(Turn { shared, key }),
                Claim::Begun => desk = shared.news.wait(desk).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// What the index of another mirror says.
    fn known(&self, key: &Key) -> Option<Content> {
        self.others(key.root).find_map(|(index, member)| {
            let mut reader = locked(&member.reader);
            let known = match &*reader {
                Some(reader) => reader.known_by_reading(&key.path, &key.print),
                None => Reader::open(&index).and_then(|opened| reader.insert(opened).known_by_reading(&key.path, &key.print)),
            };
            match known {
                Ok(known) => known.map(|(digest, chunks)| Content { print: key.print, digest, bytes: key.print.size, chunks }),
                Err(error) => {
                    tracing::debug!(index = %index.display(), %error, "what another mirror knows cannot be read");
                    *reader = None;
                    None
                }
            }
        })
    }
}

/// The right to find out what a file holds; others wait until it ends.
struct Turn<'s> {
    shared: &'s Shared,
    key: Key,
}

impl Turn<'_> {
    fn end(self, content: &Content) {
        locked(&self.shared.desk).note(&self.key, content);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        locked(&self.shared.desk).leave(&self.key);
        self.shared.news.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
