//! Hears of changes: kernel events become hints where to look. Nothing here looks, and a hint proves nothing: losing
//! one must widen the next look, so whatever cannot be passed on becomes [`Hint::Overflow`], never nothing.

mod fan;
mod notify;
mod queue;
pub mod settle;
mod shared;

use std::{future::Future, io, path::PathBuf};

use tokio::sync::mpsc;

use crate::model::RelPath;

pub use self::{
    notify::KernelWatcher,
    settle::{Dirty, Settle},
    shared::SharedWatches,
};

/// Where something may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// At this path, or anywhere below it.
    Path(RelPath),
    /// Nobody knows where: look everywhere.
    Overflow,
    /// The watched directory itself was removed, moved away or unmounted. This watcher hears nothing any more: it is to be
    /// dropped, and a new one started once the directory is back.
    RootGone,
    /// The kernel's limit of watches was hit: some directories are not watched, only full scans see what happens in them.
    Limited,
}

/// A source of hints.
pub trait Watcher: Send + 'static {
    /// The next hint; never ends, waits as long as nothing happens. Cancel-safe: a hint is taken only when it is returned.
    fn next(&mut self) -> impl Future<Output = Hint> + Send;
}

/// Why a directory cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no such directory (now; a caller may try again).
    #[error("{} does not exist", path.display())]
    Missing {
        /// The directory, as it was given.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path, as it was given.
        path: PathBuf,
    },
    /// The user has too many inotify instances (EMFILE).
    #[error("{} cannot be watched: too many inotify instances", path.display())]
    Instances {
        /// The directory, as it was given.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be watched: {source}", path.display())]
    System {
        /// The directory, as it was given.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

impl WatchError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "it is tried again by itself; if the path is wrong, correct `source` in the configuration",
            Self::NotADirectory { .. } => "correct `source` in the configuration",
            Self::Instances { .. } => "raise fs.inotify.max_user_instances (sysctl), or stop other programs that watch files",
            Self::System { .. } => "check that the user that runs towline may read the directory",
        }
    }
}

/// Hints from a channel, for tests of what listens.
#[derive(Debug)]
pub struct ScriptedWatcher(mpsc::Receiver<Hint>);

impl ScriptedWatcher {
    /// A watcher, and where to put what it shall hear. Dropping the sender makes it silent, not ended.
    pub fn new() -> (mpsc::Sender<Hint>, Self) {
        let (hints, heard) = mpsc::channel(queue::MOST);
        (hints, Self(heard))
    }
}

impl Watcher for ScriptedWatcher {
    async fn next(&mut self) -> Hint {
        match self.0.recv().await {
            Some(hint) => hint,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_script_is_heard_in_order_and_then_there_is_silence() {
        let (hints, mut watcher) = ScriptedWatcher::new();
        hints.send(Hint::Overflow).await.unwrap();
        hints.send(Hint::RootGone).await.unwrap();
        drop(hints);
        assert_eq!(watcher.next().await, Hint::Overflow);
        assert_eq!(watcher.next().await, Hint::RootGone);
        tokio::select! {
            biased;
            hint = watcher.next() => panic!("heard {hint:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
}
