//! The kernel's events, through the notify crate: the only file that names it. Translates, and repeats a hint where the
//! kernel's watches lag behind; no waiting for quiet, no looking at files.

use std::{
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use ::notify::{
    Config, ErrorKind, Event, EventHandler, EventKindMask, INotifyWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode},
};

use super::{Hint, WatchError, Watcher, fan::Fan, queue::Queue};
use crate::model::RelPath;

/// So many new directories wait at most for their watches before everything is looked at instead.
const MOST_FRESH: usize = 4_096;

/// What is heard of. The end of writing is among it since writes to a mapped file make no other event.
const WATCHED: EventKindMask = EventKindMask::CORE.union(EventKindMask::ACCESS_CLOSE);

/// Watches a directory and everything below it with inotify.
///
/// A directory that appears is hinted at twice: when the kernel tells of it, and again once it and all directories in it
/// are watched. What happens inside it before its watch exists makes no event (1,763 of 2,000 nested creates, 2,000 of
/// 2,000 in moved-in directories), so a look that ended before that moment would miss it.
///
/// When the kernel's queue overflows, nobody knows which directories appeared: all watches are made anew before the overflow is
/// hinted at.
#[derive(Debug)]
pub struct KernelWatcher {
    watching: Arc<Watching>,
    queue: Arc<Queue>,
}

/// A set of the kernel's watches. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watching(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    fan: Fan,
    fresh: Mutex<Fresh>,
    wake: Condvar,
}

/// What the helper thread has to do.
#[derive(Debug, Default, PartialEq)]
struct Fresh {
    /// Things that appeared and may be directories.
    paths: Vec<RelPath>,
    /// There were too many of them.
    everything: bool,
    /// The kernel's queue overflowed: what appeared meanwhile is not watched, and nothing will tell of it.
    overflowed: bool,
    /// The watcher was dropped.
    closed: bool,
}

impl KernelWatcher {
    /// Watches `root`; a symlink is followed. Blocks until every directory below it is watched, so call it where blocking
    /// is allowed. Too few watches are no error, but a [`Hint::Limited`].
    ///
    /// # Errors
    /// When `root` is missing or no directory, or the system refuses to watch it.
    pub fn start(root: &Path) -> Result<Self, WatchError> {
        let system = |source: io::Error| WatchError::from_io(root, source);
        // Events name paths as the watch was made, so one spelling has to be fixed first.
        let canonical = root.canonicalize().map_err(system)?;
        if !canonical.metadata().map_err(system)?.is_dir() {
            return Err(WatchError::NotADirectory { path: root.into() });
        }
        let shared = Arc::new(Shared::default());
        // Before the first thing can be heard.
        let queue = shared.fan.join().unwrap_or_default();
        let handler = Handler { root: canonical.clone(), shared: shared.clone() };
        let config = Config::default().with_event_kinds(WATCHED).with_follow_symlinks(false);
        let watcher = INotifyWatcher::new(handler, config).and_then(|mut watcher| {
            match watcher.watch(&canonical, RecursiveMode::Recursive) {
                // What could be watched is watched.
                Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => shared.limited(),
                result => result?,
            }
            Ok(watcher)
        });
        let watcher = watcher.map_err(|error| WatchError::from_notify(root, error))?;
        std::thread::Builder::new()
            .name("towline-watch".to_owned())
            .spawn({
                let shared = shared.clone();
                move || shared.repeat_when_watched(watcher, &canonical)
            })
            .map_err(system)?;
        Ok(Self { watching: Arc::new(Watching(shared)), queue })
    }

    /// One more who listens to the same watches, from now on; `None` if they hear nothing any more.
    pub(super) fn beside(watching: Arc<Watching>) -> Option<Self> {
        let queue = watching.0.fan.join()?;
        Some(Self { watching, queue })
    }

    pub(super) fn watching(&self) -> &Arc<Watching> {
        &self.watching
    }
}

impl Watcher for KernelWatcher {
    async fn next(&mut self) -> Hint {
        self.queue.next().await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.fresh().closed = true;
        self.0.wake.notify_one();
    }
}

impl Shared {
    fn limited(&self) {
        self.fan.push(&Hint::Limited);
        self.fan.push(&Hint::Overflow);
    }

    fn appeared(&self, path: RelPath) {
        {
            let mut fresh = self.fresh();
            if fresh.paths.len() < MOST_FRESH {
                fresh.paths.push(path);
            } else {
                fresh.paths.clear();
                fresh.everything = true;
            }
        }
        self.wake.notify_one();
    }

    fn overflowed(&self) {
        self.fresh().overflowed = true;
        self.wake.notify_one();
    }

    /// The helper thread's life: owns the watcher until it is to end.
    fn repeat_when_watched(&self, mut watcher: INotifyWatcher, root: &Path) {
        while let Some(Fresh { paths, everything, overflowed, .. }) = self.wait_for_fresh() {
            if overflowed {
                self.watch_anew(&mut watcher, root);
            }
            // Notify's thread answers only after it has added the watches for every event it had read before.
            let alive = watcher.watched_paths().is_ok();
            paths.into_iter().for_each(|path| self.fan.push(&Hint::Path(path)));
            if everything || overflowed || !alive {
                self.fan.push(&Hint::Overflow);
            }
        }
        if watcher.watched_paths().is_err() {
            // Its thread is dead, and its `drop` would panic over that.
            std::mem::forget(watcher);
        }
    }

    /// Watches the root and everything below it as if for the first time. To watch it once more would do nothing.
    fn watch_anew(&self, watcher: &mut INotifyWatcher, root: &Path) {
        // It fails where the root is not watched any more; then so does the other one, or the root is back.
        let _ = watcher.unwatch(root);
        match watcher.watch(root, RecursiveMode::Recursive) {
            Ok(()) => {}
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => self.limited(),
            Err(error) => {
                tracing::debug!(%error, "the directory cannot be watched anew");
                self.fan.push(&Hint::RootGone);
            }
        }
    }

    fn wait_for_fresh(&self) -> Option<Fresh> {
        let idle = |fresh: &mut Fresh| !fresh.closed && !fresh.everything && !fresh.overflowed && fresh.paths.is_empty();
        let mut fresh = self.wake.wait_while(self.fresh(), idle).unwrap_or_else(PoisonError::into_inner);
        if fresh.closed {
            return None;
        }
        Some(std::mem::take(&mut *fresh))
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What runs on notify's thread; never waits.
struct Handler {
    root: PathBuf,
    shared: Arc<Shared>,
}

impl EventHandler for Handler {
    fn handle_event(&mut self, event: ::notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.shared.overflowed(),
            Ok(event) => translate(&self.root, &event, |hint, appeared| {
                if let (Hint::Path(path), true) = (&hint, appeared) {
                    self.shared.appeared(path.clone());
                }
                self.shared.fan.push(&hint);
            }),
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => self.shared.limited(),
            Err(error) => {
                tracing::debug!(%error, "the watcher failed, looking everywhere");
                self.shared.fan.push(&Hint::Overflow);
            }
        }
    }
}

impl Drop for Handler {
    /// Notify's thread has ended. If nobody asked it to, nothing is watched any more.
    fn drop(&mut self) {
        self.shared.fan.end();
        if !self.shared.fresh().closed {
            self.shared.limited();
        }
    }
}

/// Calls `hear` with every hint of `event`, and whether something appeared there that may be a directory.
fn translate(root: &Path, event: &Event, mut hear: impl FnMut(Hint, bool)) {
    use RenameMode::{Any, Both, From, Other, To};
    let (vanished, appeared) = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => (false, false),
        EventKind::Access(_) => return,
        EventKind::Create(kind) => (false, kind != CreateKind::File),
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(From)) => (true, false),
        EventKind::Modify(ModifyKind::Name(To | Both | Any | Other)) | EventKind::Any | EventKind::Other => (false, true),
        EventKind::Modify(_) => (false, false),
    };
    if event.paths.is_empty() {
        return hear(Hint::Overflow, false);
    }
    for path in &event.paths {
        let hint = match path.strip_prefix(root) {
            Ok(below) if below.as_os_str().is_empty() && vanished => Hint::RootGone,
            Ok(below) => below
                .ancestors()
                .find_map(|path| RelPath::new(path.as_os_str().as_bytes()).ok())
                .map_or(Hint::Overflow, Hint::Path),
            Err(_) => Hint::Overflow,
        };
        hear(hint, appeared);
    }
}

impl WatchError {
    pub(super) fn from_io(root: &Path, source: io::Error) -> Self {
        let path = root.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            _ if source.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => Self::Instances { path },
            _ => Self::System { path, source },
        }
    }

    fn from_notify(root: &Path, error: ::notify::Error) -> Self {
        match error.kind {
            ErrorKind::Io(source) => Self::from_io(root, source),
            ErrorKind::PathNotFound => Self::Missing { path: root.to_owned() },
            _ => Self::System { path: root.to_owned(), source: io::Error::other(error) },
        }
    }
}

#[cfg(test)]
mod tests;
