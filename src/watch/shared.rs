//! [`SharedWatches`]: one set of the kernel's watches for each directory, however many listen to it. The kernel counts a watch for
//! every directory in a tree, and has a limit for all of a user's.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{KernelWatcher, WatchError, notify::Watching};

/// What is watched now. Cheap to clone: clones are one.
#[derive(Clone, Debug, Default)]
pub struct SharedWatches(Arc<Mutex<BTreeMap<Key, Arc<Slot>>>>);

/// Which directory: another one at the same path has watches of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Held while the watches are made; who comes meanwhile waits, and listens to the same.
type Slot = Mutex<Weak<Watching>>;

impl SharedWatches {
    /// Listens to `root` as [`KernelWatcher::start`] does; blocks like it, unless it is watched already. The watches end with the last
    /// who listens. Once they hear nothing any more, whoever comes next makes new ones.
    ///
    /// # Errors
    /// As for [`KernelWatcher::start`].
    pub fn listen(&self, root: &Path) -> Result<KernelWatcher, WatchError> {
        let key = Key::of(root).map_err(|error| WatchError::from_io(root, error))?;
        let slot = {
            let mut slots = locked(&self.0);
            // One that is locked, or was just taken, is somebody's.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || locked(slot).strong_count() > 0);
            Arc::clone(slots.entry(key.clone()).or_default())
        };
        let mut slot = locked(&slot);
        if let Some(watcher) = slot.upgrade().and_then(KernelWatcher::beside) {
            return Ok(watcher);
        }
        let watcher = KernelWatcher::start(root)?;
        // If it was swapped meanwhile, nobody knows which one is watched.
        if Key::of(root).is_ok_and(|now| now == key) {
            *slot = Arc::downgrade(watcher.watching());
        }
        Ok(watcher)
    }
}

impl Key {
    fn of(root: &Path) -> io::Result<Self> {
        let path = root.canonicalize()?;
        let found = path.metadata()?;
        Ok(Self { path, device: found.dev(), inode: found.ino() })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{
        model::RelPath,
        watch::{Hint, Watcher},
    };

    fn at(text: &str) -> Hint {
        Hint::Path(RelPath::new(text).unwrap())
    }

    async fn hear(watcher: &mut KernelWatcher, wanted: Hint) {
        let one = async { while watcher.next().await != wanted {} };
        tokio::time::timeout(Duration::from_secs(30), one).await.expect("the hint comes");
    }

    #[tokio::test]
    async fn all_who_listen_have_one_set_of_watches_and_hear_the_same() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().with_extension("link")).unwrap();
        let shared = SharedWatches::default();
        let mut one = shared.listen(dir.path()).unwrap();
        let mut other = shared.listen(&dir.path().with_extension("link")).unwrap();
        fs::remove_file(dir.path().with_extension("link")).unwrap();
        assert!(Arc::ptr_eq(one.watching(), other.watching()));
        fs::write(dir.path().join("a"), "").unwrap();
        hear(&mut one, at("a")).await;
        hear(&mut other, at("a")).await;
        // One goes, the other hears on.
        drop(one);
        fs::write(dir.path().join("b"), "").unwrap();
        hear(&mut other, at("b")).await;
        let third = shared.listen(dir.path()).unwrap();
        assert!(Arc::ptr_eq(third.watching(), other.watching()));
        let ended = Arc::downgrade(third.watching());
        drop((third, other));
        assert!(ended.upgrade().is_none(), "the last one has ended them");
        assert!(shared.listen(dir.path()).is_ok());
    }

    /// Threads that start at once: none of them visits the tree a second time.
    #[test]
    fn who_comes_while_the_watches_are_made_waits_for_them() {
        let dir = tempfile::tempdir().unwrap();
        (0..200).for_each(|n| fs::create_dir(dir.path().join(format!("{n}"))).unwrap());
        let shared = SharedWatches::default();
        let all: Vec<KernelWatcher> = std::thread::scope(|scope| {
            let begun: Vec<_> = (0..8).map(|_| scope.spawn(|| shared.listen(dir.path()).unwrap())).collect();
            begun.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|watcher| Arc::ptr_eq(watcher.watching(), all[0].watching())));
    }

    #[tokio::test]
    async fn the_end_of_the_root_reaches_all_and_the_next_is_watched_anew() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let shared = SharedWatches::default();
        let (mut one, mut other) = (shared.listen(&root).unwrap(), shared.listen(&root).unwrap());
        fs::rename(&root, dir.path().join("aside")).unwrap();
        hear(&mut one, Hint::RootGone).await;
        assert!(matches!(shared.listen(&root), Err(WatchError::Missing { .. })));
        // The very same directory is back before the other one has noticed.
        fs::rename(dir.path().join("aside"), &root).unwrap();
        let mut again = shared.listen(&root).unwrap();
        assert!(!Arc::ptr_eq(again.watching(), other.watching()));
        fs::write(root.join("f"), "").unwrap();
        hear(&mut again, at("f")).await;
        hear(&mut other, Hint::RootGone).await;
    }

    #[test]
    fn another_directory_at_the_same_path_has_watches_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, link) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("link"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        let shared = SharedWatches::default();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let first = shared.listen(&link).unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&two, &link).unwrap();
        let second = shared.listen(&link).unwrap();
        assert!(!Arc::ptr_eq(first.watching(), second.watching()));
    }
}
