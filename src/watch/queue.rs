//! The bounded queue between the kernel's thread and the listener. It forgets details when it is full, never that
//! something happened.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::Hint;
use crate::model::RelPath;

/// So many hints wait at most (the kernel's own queue holds as many by default); one more and all of them become one
/// [`Hint::Overflow`].
pub(super) const MOST: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Notify,
}

/// What waits. The three flags are delivered before any path, gravest first.
#[derive(Debug, Default)]
struct State {
    root_gone: bool,
    limited: bool,
    overflow: bool,
    paths: VecDeque<RelPath>,
}

impl Queue {
    /// Adds a hint; never waits.
    pub(super) fn push(&self, hint: Hint) {
        self.state().push(hint);
        self.ready.notify_one();
    }

    /// Takes the next hint, waiting for one. For one listener; cancel-safe.
    pub(super) async fn next(&self) -> Hint {
        loop {
            if let Some(hint) = self.pop() {
                return hint;
            }
            // A push in between has left a permit, so nothing is missed.
            self.ready.notified().await;
        }
    }

    /// Takes the next hint if there is one.
    pub(super) fn pop(&self) -> Option<Hint> {
        self.state().pop()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, hint: Hint) {
        match hint {
            Hint::RootGone => self.root_gone = true,
            Hint::Limited => self.limited = true,
            Hint::Overflow => self.overflow(),
            // The overflow is heard later than this happened, so it covers it.
            Hint::Path(_) if self.overflow => {}
            // Writes to one file come in long runs.
            Hint::Path(path) if self.paths.back() == Some(&path) => {}
            Hint::Path(_) if self.paths.len() == MOST => self.overflow(),
            Hint::Path(path) => self.paths.push_back(path),
        }
    }

    fn overflow(&mut self) {
        self.overflow = true;
        self.paths.clear();
    }

    fn pop(&mut self) -> Option<Hint> {
        if std::mem::take(&mut self.root_gone) {
            Some(Hint::RootGone)
        } else if std::mem::take(&mut self.limited) {
            Some(Hint::Limited)
        } else if std::mem::take(&mut self.overflow) {
            Some(Hint::Overflow)
        } else {
            self.paths.pop_front().map(Hint::Path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Hint {
        Hint::Path(RelPath::new(text).unwrap())
    }

    #[test]
    fn a_full_queue_becomes_one_overflow_and_works_on() {
        let queue = Queue::default();
        for n in 0..=MOST {
            queue.push(path(&format!("f{n}")));
        }
        queue.push(path("covered"));
        assert_eq!(queue.pop(), Some(Hint::Overflow));
        assert_eq!(queue.pop(), None);
        queue.push(path("later"));
        assert_eq!(queue.pop(), Some(path("later")));
    }

    #[test]
    fn the_gravest_comes_first_and_runs_of_one_path_are_one() {
        let queue = Queue::default();
        for hint in [path("a"), path("a"), path("b"), path("a"), Hint::Limited, Hint::RootGone] {
            queue.push(hint);
        }
        let heard: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(heard, [Hint::RootGone, Hint::Limited, path("a"), path("b"), path("a")]);
    }

    #[tokio::test]
    async fn a_push_from_another_thread_wakes_the_listener() {
        let queue = std::sync::Arc::new(Queue::default());
        let pusher = std::thread::spawn({
            let queue = queue.clone();
            move || (0..1_000).for_each(|n| queue.push(path(&format!("f{n}"))))
        });
        for n in 0..1_000 {
            assert_eq!(queue.next().await, path(&format!("f{n}")));
        }
        pusher.join().unwrap();
    }
}
