//! Looking ahead of the walk: helpers read the directories that come next, and look at what is named in them. The walk takes what
//! they found in its own order, and does itself what nobody has begun when it gets there: without helpers it is the same walk, one
//! thing after another. Decides nothing. What is held is bounded by what is asked for, and by [`MOST_NAMES`].

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, Scope},
};

use super::{
    company::Walker,
    dir::{self, Identity, Look, Names},
};

/// So many names are looked at in one go; of a directory with more the rest is looked at piece by piece, as the walk goes on.
pub(super) const PIECE: usize = 256;

/// With so many names read and not gone through, helpers begin with no other directory.
const MOST_NAMES: usize = 100_000;

/// So much may wait for a helper; what is asked for beyond that is left to the walk.
const MOST_WAITING: usize = 512;

/// A scan that asks for less is not worth a thread.
const WORTHWHILE: usize = 8;

/// What is at names, in their order.
pub(super) type Looks = Vec<io::Result<Option<Look>>>;

/// A directory that was read.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) identity: Identity,
    pub(super) mode: u32,
    pub(super) names: Arc<Names>,
    /// Of the first of them.
    pub(super) looks: Looks,
    /// Until the walk goes through it.
    counted: Option<Counted>,
}

/// Reads a directory that was just opened, and looks at its first names; unless another scan does.
pub(super) fn list(dir: OwnedFd, walker: &Walker) -> io::Result<Listing> {
    let (identity, mode) = dir::identity_and_mode(dir.as_fd())?;
    let (names, looks) = walker.list(identity, || {
        let names = Arc::new(dir::names(dir.as_fd())?);
        let looks = look(&dir, &names, 0);
        Ok((names, looks))
    })?;
    Ok(Listing { dir: Arc::new(dir), identity, mode, names, looks, counted: None })
}

/// Looks at the piece of `names` that begins with number `first`.
pub(super) fn look(dir: &OwnedFd, names: &Names, first: usize) -> Looks {
    (first..names.len().min(first + PIECE)).map(|n| dir::look(dir.as_fd(), names.get(n))).collect()
}

/// Something that a helper may do before it is needed.
pub(super) struct Errand<T>(Arc<Inner<T>>);

struct Inner<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

enum State<T> {
    Asked(Box<dyn FnOnce() -> T + Send>),
    Begun,
    Done(T),
    /// It was taken; or it panicked.
    Over,
}

impl<T> Errand<T> {
    /// What it comes to. Does it if nobody has begun, waits for it if somebody has.
    ///
    /// # Panics
    /// When the helper that did it has.
    pub(super) fn take(self) -> T {
        let mut state = locked(&self.0.state);
        loop {
            match std::mem::replace(&mut *state, State::Over) {
                State::Asked(work) => return work(),
                State::Done(found) => return found,
                State::Begun => {
                    *state = State::Begun;
                    state = self.0.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                State::Over => panic!("a thread that helps with a scan has panicked"),
            }
        }
    }
}

/// One who is not wanted any more is not begun.
impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        if matches!(*state, State::Asked(_)) {
            *state = State::Over;
        }
    }
}

trait Chore: Send + Sync {
    fn run(&self);
}

impl<T: Send> Chore for Inner<T> {
    fn run(&self) {
        let work = {
            let mut state = locked(&self.state);
            match std::mem::replace(&mut *state, State::Begun) {
                State::Asked(work) => work,
                // Somebody was faster.
                other => {
                    *state = other;
                    return;
                }
            }
        };
        /// Whatever happens, nobody waits for ever.
        struct Ended<'i, T>(&'i Inner<T>, Option<T>);
        impl<T> Drop for Ended<'_, T> {
            fn drop(&mut self) {
                *locked(&self.0.state) = self.1.take().map_or(State::Over, State::Done);
                self.0.done.notify_all();
            }
        }
        let mut ended = Ended(self, None);
        ended.1 = Some(work());
    }
}

/// What there is for helpers to do.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    chores: VecDeque<Arc<dyn Chore>>,
    /// Names that helpers read and the walk has not gone through.
    names: usize,
    over: bool,
}

impl Queue {
    fn help(&self) {
        let mut waiting = locked(&self.waiting);
        while !waiting.over {
            let chore = if waiting.names < MOST_NAMES { waiting.chores.pop_front() } else { None };
            waiting = match chore {
                Some(chore) => {
                    drop(waiting);
                    chore.run();
                    locked(&self.waiting)
                }
                None => self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Names that are among [`Waiting::names`] as long as this lives.
#[derive(Debug)]
struct Counted(Arc<Queue>, usize);

impl Counted {
    fn new(queue: Arc<Queue>, names: usize) -> Self {
        locked(&queue.waiting).names += names;
        Self(queue, names)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut waiting = locked(&self.0.waiting);
        let full = waiting.names >= MOST_NAMES;
        waiting.names -= self.1;
        drop(waiting);
        if full {
            self.0.news.notify_all();
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

/// The helpers of one scan. They end with it.
pub(super) struct Helpers<'s, 'e> {
    scope: &'s Scope<'s, 'e>,
    walker: Arc<Walker>,
    queue: Arc<Queue>,
    most: usize,
    asked: usize,
}

impl<'s, 'e> Helpers<'s, 'e> {
    /// At most so many; none begins before there is enough to do. They are those of this `walker`.
    pub(super) fn at_most(scope: &'s Scope<'s, 'e>, most: usize, walker: Arc<Walker>) -> Self {
        Self { scope, walker, queue: Arc::default(), most, asked: 0 }
    }

    /// The scan among others.
    pub(super) fn walker(&self) -> &Arc<Walker> {
        &self.walker
    }

    /// Whether anybody helps.
    pub(super) fn any(&self) -> bool {
        self.most > 0
    }

    /// Asks for the directory whose name is number `n` in `parent`.
    pub(super) fn ask_directory(&mut self, parent: &Arc<OwnedFd>, names: &Arc<Names>, n: usize) -> Errand<io::Result<Listing>> {
        let (parent, names, queue) = (Arc::clone(parent), Arc::clone(names), Arc::clone(&self.queue));
        let walker = Arc::clone(&self.walker);
        self.ask(move || {
            let mut listing = list(dir::open_dir(parent.as_fd(), names.get(n))?, &walker)?;
            listing.counted = Some(Counted::new(queue, listing.names.len()));
            Ok(listing)
        })
    }

    /// Asks what is at the piece of `names` in `dir`, which is this directory, that begins with number `first`.
    pub(super) fn ask_looks(
        &mut self,
        dir: &Arc<OwnedFd>,
        identity: Identity,
        names: &Arc<Names>,
        first: usize,
    ) -> Errand<Looks> {
        let (dir, names, walker) = (Arc::clone(dir), Arc::clone(names), Arc::clone(&self.walker));
        self.ask(move || walker.looks(identity, &names, first, || look(&dir, &names, first)))
    }

    /// Asks for `work`.
    pub(super) fn ask<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Errand<T> {
        let inner = Arc::new(Inner { state: Mutex::new(State::Asked(Box::new(work))), done: Condvar::new() });
        self.asked += 1;
        if self.most > 0 {
            if self.asked == WORTHWHILE {
                self.begin();
            }
            let mut waiting = locked(&self.queue.waiting);
            // Helpers that may not begin take out nothing either.
            if waiting.chores.len() < MOST_WAITING {
                waiting.chores.push_back(Arc::clone(&inner) as Arc<dyn Chore>);
            }
            drop(waiting);
            self.queue.news.notify_one();
        }
        Errand(inner)
    }

    fn begin(&mut self) {
        let mut begun = 0;
        for _ in 0..self.most {
            let queue = Arc::clone(&self.queue);
            #[cfg(test)]
            let faults = dir::fault::shared();
            let thread = Builder::new().name("towline-scan".into()).spawn_scoped(self.scope, move || {
                #[cfg(test)]
                dir::fault::share(faults);
                queue.help();
            });
            begun += usize::from(thread.is_ok());
        }
        // The system has no thread to give: the walk goes on alone.
        if begun == 0 {
            self.most = 0;
            locked(&self.queue.waiting).chores.clear();
        }
    }
}

impl Drop for Helpers<'_, '_> {
    fn drop(&mut self) {
        let mut waiting = locked(&self.queue.waiting);
        waiting.over = true;
        waiting.chores.clear();
        drop(waiting);
        self.queue.news.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
