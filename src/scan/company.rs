//! [`Company`]: scans of one directory at the same time. What one of them reads of it, the others take: the tree is read once, and each
//! has its own rules and its own index, and goes at its own pace.
//!
//! A scan is of what is there after it has begun: it takes nothing that somebody began to read before. It waits for nobody but one who
//! is reading the very directory that is next; and what is read and not taken is bounded, so that one who falls far behind, or begins
//! late, reads by itself.

mod shelf;

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use shelf::{Claim, Key, Page, Shelf};

use super::{
    ahead::Looks,
    dir::{Identity, Names},
};
use crate::model::RootIdentity;

/// All scans of a process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Company(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    shelf: Mutex<Shelf>,
    /// Somebody has ended reading.
    news: Condvar,
}

/// One scan among the others; it leaves them when this is dropped.
#[derive(Debug)]
pub(super) struct Walker {
    shared: Arc<Shared>,
    number: u64,
    taken: AtomicU64,
}

impl Company {
    /// One more scan of this directory, which begins now.
    pub(super) fn join(&self, root: RootIdentity) -> Walker {
        let number = locked(&self.0.shelf).join(root);
        Walker { shared: Arc::clone(&self.0), number, taken: AtomicU64::new(0) }
    }
}

impl Walker {
    /// How many directories somebody else has read for it.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// The names in `dir`, and what is at the first of them, which `read` finds out if nobody else does.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn list(
        &self,
        dir: Identity,
        read: impl FnOnce() -> io::Result<(Arc<Names>, Looks)>,
    ) -> io::Result<(Arc<Names>, Looks)> {
        match self.claim(Key::names(dir)) {
            Ok(turn) => {
                let (names, looks) = read()?;
                turn.end(&names, &looks);
                Ok((names, looks))
            }
            Err(page) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                Ok((Arc::clone(&page.names), page.looks()))
            }
        }
    }

    /// What is at some of the `names` in `dir`, from number `first` on, which `read` finds out if nobody else does.
    pub(super) fn looks(&self, dir: Identity, names: &Arc<Names>, first: usize, read: impl FnOnce() -> Looks) -> Looks {
        match self.claim(Key::looks(dir, names, first)) {
            Ok(turn) => {
                let looks = read();
                turn.end(names, &looks);
                looks
            }
            Err(page) => page.looks(),
        }
    }

    /// The right to read it; or what somebody else has read meanwhile.
    fn claim(&self, key: Key) -> Result<Turn<'_>, Page> {
        let mut shelf = locked(&self.shared.shelf);
        loop {
            match shelf.claim(self.number, &key) {
                Claim::Taken(page) => return Err(page),
                Claim::Yours(reading) => return Ok(Turn { shared: &self.shared, reading }),
                Claim::Begun => shelf = self.shared.news.wait(shelf).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Walker {
    fn drop(&mut self) {
        locked(&self.shared.shelf).leave(self.number);
    }
}

/// The right to read something, for which others may wait.
struct Turn<'w> {
    shared: &'w Shared,
    /// Which reading it is, if there are others.
    reading: Option<u64>,
}

impl Turn<'_> {
    /// What was found is for the others, too, if all of it could be looked at.
    fn end(mut self, names: &Arc<Names>, looks: &Looks) {
        if let Some(reading) = self.reading.take() {
            self.shared.ended(reading, Page::of(names, looks));
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(reading) = self.reading {
            self.shared.ended(reading, None);
        }
    }
}

impl Shared {
    fn ended(&self, reading: u64, found: Option<Page>) {
        locked(&self.shelf).end(reading, found);
        self.news.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
