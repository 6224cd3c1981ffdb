//! Where work that blocks is done: on a thread of tokio's, or, in a simulation, at once on the thread that asks for it. With
//! that, and with time and chance that are given, the engine does the same thing twice. Not a pool, and no limit.

use std::{cell::Cell, marker::PhantomData, num::NonZero};

use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::{JoinError, JoinHandle},
};

/// The nice value that comes after all others.
#[cfg(target_os = "linux")]
const LAST: i32 = 19;

/// More threads hardly make a disk faster.
const MOST_HELPERS: usize = 8;

/// So much may be on its way where nobody can wait for the one who takes it.
const UNBOUNDED: usize = usize::MAX >> 4;

thread_local! {
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

/// As long as it lives, what this thread asks for is done at once, on this thread.
#[derive(Debug)]
pub struct AtOnce {
    former: bool,
    /// It belongs to its thread.
    stays: PhantomData<*const ()>,
}

/// From now on, what this thread asks for is done at once. For simulations on one thread: everything waits for it.
pub fn at_once() -> AtOnce {
    AtOnce { former: AT_ONCE.replace(true), stays: PhantomData }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        AT_ONCE.set(self.former);
    }
}

/// Begins `work`, which may block; what it comes to can be waited for.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if AT_ONCE.get() {
        let done = work();
        return tokio::spawn(async { done });
    }
    tokio::task::spawn_blocking(work)
}

/// How much a piece of blocking work may be in the way of everything else on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// It gets what nobody else wants.
    #[default]
    Background,
    /// Like any other.
    Normal,
}

/// Begins `work`, which may block for long, with this priority; threads that it starts have it too. Where the system has no thread
/// to give, `work` is dropped.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn spawn_long(priority: Priority, work: impl FnOnce() + Send + 'static) {
    if priority == Priority::Normal || AT_ONCE.get() {
        drop(spawn(work));
        return;
    }
    // A thread of the pool waits for it: a clock that is paused stands still meanwhile, and the runtime's end waits.
    drop(spawn(move || {
        let own = std::thread::Builder::new().name("towline-scan".into());
        let begun = own.spawn(move || {
            step_back();
            work();
        });
        match begun {
            Ok(thread) => drop(thread.join()),
            Err(error) => tracing::warn!(%error, "no thread could be started"),
        }
    }));
}

/// This thread lets every other go first. It never gets its former place back, so it must not be one of a pool.
fn step_back() {
    // On Linux "this process" means this thread, and who has asked for no other gets the disk by the same measure: best effort, the
    // last of its levels (ioprio_set(2)). Elsewhere it would be the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, LAST) {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// Does `work`, which may block, and waits for what it comes to. It goes on if nobody waits any more.
///
/// # Errors
/// When it panicked, or the runtime ends before it began.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    spawn(work).await
}

/// So many threads of its own a piece of blocking work may have help from; none in a simulation.
pub fn helpers() -> usize {
    if AT_ONCE.get() { 0 } else { std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_HELPERS) }
}

/// What blocking work tells while it goes on.
#[derive(Debug)]
pub struct Outlet<T>(Sender<T>);

/// A way out of blocking work, on which it is at most `ahead` pieces before the one who takes them.
pub fn outlet<T>(ahead: usize) -> (Outlet<T>, Receiver<T>) {
    let (tx, rx) = mpsc::channel(if AT_ONCE.get() { UNBOUNDED } else { ahead });
    (Outlet(tx), rx)
}

impl<T> Outlet<T> {
    /// Hands `piece` out, once there is room; `false` if nobody takes it any more.
    pub fn send(&self, piece: T) -> bool {
        if AT_ONCE.get() { self.0.try_send(piece).is_ok() } else { self.0.blocking_send(piece).is_ok() }
    }

    /// Whether nobody takes anything any more.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the thread that does the work, and all that it tells.
    async fn told() -> (std::thread::ThreadId, Vec<u32>) {
        let (outlet, mut pieces) = outlet(1);
        let work = spawn(move || {
            assert!((0..100).all(|n| outlet.send(n)));
            std::thread::current().id()
        });
        let mut told = Vec::new();
        while let Some(piece) = pieces.recv().await {
            told.push(piece);
        }
        (work.await.unwrap(), told)
    }

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_waits_for_who_takes() {
        let (thread, told) = told().await;
        assert_ne!(thread, std::thread::current().id());
        assert!(told.into_iter().eq(0..100));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn long_work_steps_back_with_its_helpers_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        for (priority, expected) in [(Priority::Background, LAST), (Priority::Normal, before)] {
            let (tx, rx) = std::sync::mpsc::channel();
            spawn_long(priority, move || tx.send((nice(), std::thread::spawn(nice).join().unwrap())).unwrap());
            assert_eq!(rx.recv().unwrap(), (expected, expected));
        }
        assert_eq!(nice(), before);
    }

    #[tokio::test]
    async fn in_a_simulation_it_is_done_at_once_and_waits_for_nobody() {
        let simulated = at_once();
        let (thread, told) = told().await;
        assert_eq!(thread, std::thread::current().id());
        assert!(told.into_iter().eq(0..100));
        drop(simulated);
        assert_ne!(run(|| std::thread::current().id()).await.unwrap(), std::thread::current().id());
    }

    #[tokio::test]
    async fn who_takes_nothing_any_more_is_noticed() {
        let _simulated = at_once();
        let (outlet, pieces) = outlet(1);
        drop(pieces);
        assert!(outlet.is_closed() && !outlet.send(1));
    }
}
