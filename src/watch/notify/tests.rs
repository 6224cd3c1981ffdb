use std::{fs, time::Duration};

use ::notify::event::{AccessKind, AccessMode, DataChange, Flag, MetadataKind, RemoveKind};
use tempfile::TempDir;

use super::*;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn at(text: &str) -> Hint {
    Hint::Path(path(text))
}

fn start() -> (TempDir, KernelWatcher) {
    let dir = tempfile::tempdir().unwrap();
    let watcher = KernelWatcher::start(dir.path()).unwrap();
    (dir, watcher)
}

/// Listens until all of `wanted` were heard; everything that was heard.
async fn hear(watcher: &mut KernelWatcher, wanted: &[Hint]) -> Vec<Hint> {
    let mut heard = Vec::new();
    let all = async {
        while !wanted.iter().all(|hint| heard.contains(hint)) {
            heard.push(watcher.next().await);
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), all).await.is_ok();
    assert!(in_time, "wanted {wanted:?}, heard {heard:?}");
    heard
}

#[tokio::test]
async fn every_change_of_a_file_is_heard() {
    let (dir, mut watcher) = start();
    let file = dir.path().join("a");
    fs::write(&file, "1").unwrap();
    hear(&mut watcher, &[at("a")]).await;
    fs::write(&file, "2").unwrap();
    hear(&mut watcher, &[at("a")]).await;
    fs::rename(&file, dir.path().join("b")).unwrap();
    hear(&mut watcher, &[at("a"), at("b")]).await;
    fs::remove_file(dir.path().join("b")).unwrap();
    hear(&mut watcher, &[at("b")]).await;
}

#[tokio::test]
async fn looking_makes_no_hint() {
    let (dir, mut watcher) = start();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/f"), "content").unwrap();
    fs::write(dir.path().join("settled"), "").unwrap();
    hear(&mut watcher, &[at("d"), at("settled")]).await;
    // The second hint of `d` may still be under way; the marks before and after the reading fence it off.
    fs::write(dir.path().join("before"), "").unwrap();
    hear(&mut watcher, &[at("before")]).await;
    assert_eq!(fs::read(dir.path().join("d/f")).unwrap(), b"content");
    assert_eq!(fs::read_dir(dir.path().join("d")).unwrap().count(), 1);
    fs::write(dir.path().join("after"), "").unwrap();
    let heard = hear(&mut watcher, &[at("after")]).await;
    assert!(!heard.contains(&at("d/f")), "{heard:?}");
}

/// Changes `file`, in a directory that has just been hinted at as `dir`: either the change itself is heard, or `dir` again.
async fn change_in_new(watcher: &mut KernelWatcher, root: &Path, dir: &str, file: &str) {
    fs::write(root.join(file), "changed").unwrap();
    let one = async { while ![at(dir), at(file)].contains(&watcher.next().await) {} };
    tokio::time::timeout(Duration::from_secs(30), one).await.expect("the change is covered by a hint");
}

#[tokio::test]
async fn no_change_in_a_new_directory_is_missed() {
    let (dir, mut watcher) = start();
    let (root, outside) = (dir.path(), tempfile::tempdir().unwrap());
    for n in 0..50 {
        fs::create_dir_all(outside.path().join("tree/x/y")).unwrap();
        let (moved_in, renamed) = (format!("in{n}"), format!("re{n}"));
        fs::rename(outside.path().join("tree"), root.join(&moved_in)).unwrap();
        hear(&mut watcher, &[at(&moved_in)]).await;
        change_in_new(&mut watcher, root, &moved_in, &format!("{moved_in}/x/y/f")).await;
        fs::rename(root.join(&moved_in), root.join(&renamed)).unwrap();
        hear(&mut watcher, &[at(&moved_in), at(&renamed)]).await;
        change_in_new(&mut watcher, root, &renamed, &format!("{renamed}/x/y/f")).await;
        fs::remove_dir_all(root.join(&renamed)).unwrap();
        hear(&mut watcher, &[at(&renamed)]).await;
    }
}

#[tokio::test]
async fn what_appeared_is_hinted_at_again_when_it_is_watched() {
    let (_dir, mut watcher) = start();
    watcher.watching.0.appeared(path("d"));
    hear(&mut watcher, &[at("d")]).await;
    watcher.watching.0.fresh().everything = true;
    watcher.watching.0.wake.notify_one();
    hear(&mut watcher, &[Hint::Overflow]).await;
}

#[tokio::test]
async fn names_that_are_not_utf8_are_heard() {
    let (dir, mut watcher) = start();
    let name = b"caf\xe9\n";
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
    hear(&mut watcher, &[Hint::Path(RelPath::new(name).unwrap())]).await;
}

#[tokio::test]
async fn the_end_of_the_root_is_heard() {
    for remove in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut watcher = KernelWatcher::start(&root).unwrap();
        if remove {
            fs::remove_dir(&root).unwrap();
        } else {
            fs::rename(&root, dir.path().join("elsewhere")).unwrap();
            fs::create_dir(&root).unwrap();
        }
        hear(&mut watcher, &[Hint::RootGone]).await;
    }
}

#[tokio::test]
async fn a_root_behind_a_symlink_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
    let mut watcher = KernelWatcher::start(&dir.path().join("link")).unwrap();
    fs::write(dir.path().join("real/f"), "").unwrap();
    hear(&mut watcher, &[at("f")]).await;
}

#[test]
fn what_cannot_be_watched_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(KernelWatcher::start(&dir.path().join("no")), Err(WatchError::Missing { .. })));
    assert!(matches!(KernelWatcher::start(&dir.path().join("file")), Err(WatchError::NotADirectory { .. })));
    assert!(matches!(KernelWatcher::start(&dir.path().join("file/x")), Err(WatchError::NotADirectory { .. })));
}

#[tokio::test]
async fn a_watcher_that_is_dropped_ends_its_threads_silently() {
    let (_dir, watcher) = start();
    let (shared, queue) = (watcher.watching.0.clone(), watcher.queue.clone());
    drop(watcher);
    let ended = async {
        // The handler and the helper each hold one.
        while Arc::strong_count(&shared) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the threads end");
    assert_eq!(queue.pop(), None);
}

#[tokio::test]
async fn too_many_new_directories_become_an_overflow() {
    let shared = Shared::default();
    for n in 0..=MOST_FRESH {
        shared.appeared(path(&format!("d{n}")));
    }
    assert_eq!(shared.wait_for_fresh(), Some(Fresh { everything: true, ..Fresh::default() }));
}

/// While the watcher's thread is held up, the kernel's queue overflows (16,384 events unless somebody raised that), and a directory
/// appears of which nothing tells.
#[tokio::test]
async fn what_appeared_during_an_overflow_of_the_kernels_queue_is_watched() {
    let (dir, mut watcher) = start();
    fs::create_dir(dir.path().join("d")).unwrap();
    hear(&mut watcher, &[at("d")]).await;
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse::<u32>().unwrap();
    let shared = watcher.watching.0.clone();
    let held = shared.fresh();
    // It has to tell of this one first, and cannot.
    fs::create_dir(dir.path().join("held")).unwrap();
    // The kernel takes equal events in a row for one.
    let files = ["a", "b"].map(|name| fs::File::create(dir.path().join(name)).unwrap());
    // Some more: what was read with that one waits in the buffer of the thread.
    for n in 0..=most + 1024 {
        files[(n % 2) as usize].set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    fs::create_dir_all(dir.path().join("new/deep")).unwrap();
    fs::rename(dir.path().join("d"), dir.path().join("moved")).unwrap();
    drop(held);
    // The watcher's own queue may overflow as well, and before.
    for file in ["new/f", "new/deep/f", "moved/f", "new/g", "new/deep/g", "moved/g"] {
        fs::write(dir.path().join(file), "").unwrap();
        let (mut others, mut last) = (0, None);
        let one = async {
            loop {
                match watcher.next().await {
                    hint if [at(file), Hint::Overflow].contains(&hint) => break,
                    hint => (others, last) = (others + 1, Some(hint)),
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(30), one).await;
        assert!(heard.is_ok(), "{file} is not heard, but {others} others, the last of them {last:?}");
    }
}

#[test]
fn events_become_hints() {
    use EventKind::{Access, Any, Create, Modify, Remove};
    let root = Path::new("/r");
    let event = |kind, paths: &[&str]| {
        let mut event = Event::new(kind);
        event.paths = paths.iter().map(PathBuf::from).collect();
        event
    };
    let name = |mode| Modify(ModifyKind::Name(mode));
    let meta = Modify(ModifyKind::Metadata(MetadataKind::Any));
    let data = Modify(ModifyKind::Data(DataChange::Any));
    for (event, wanted) in [
        (event(Create(CreateKind::File), &["/r/a"]), vec![(at("a"), false)]),
        (event(Create(CreateKind::Folder), &["/r/a/d"]), vec![(at("a/d"), true)]),
        (event(data, &["/r/a"]), vec![(at("a"), false)]),
        (event(Remove(RemoveKind::File), &["/r/a"]), vec![(at("a"), false)]),
        (event(name(RenameMode::To), &["/r/a"]), vec![(at("a"), true)]),
        (event(name(RenameMode::Both), &["/r/a", "/r/b"]), vec![(at("a"), true), (at("b"), true)]),
        (event(name(RenameMode::From), &["/r"]), vec![(Hint::RootGone, false)]),
        (event(Remove(RemoveKind::Other), &["/r"]), vec![(Hint::RootGone, false)]),
        (event(Remove(RemoveKind::Other), &["/r/mount"]), vec![(at("mount"), false)]),
        (event(meta, &["/r"]), vec![(Hint::Overflow, false)]),
        (event(meta, &["/elsewhere"]), vec![(Hint::Overflow, false)]),
        (event(data, &[]), vec![(Hint::Overflow, false)]),
        (event(data, &["/r/a/../b"]), vec![(at("a"), false)]),
        (event(Any, &["/r/a"]), vec![(at("a"), true)]),
        (event(Access(AccessKind::Open(AccessMode::Any)), &["/r/a"]), vec![]),
        (event(Access(AccessKind::Close(AccessMode::Read)), &["/r/a"]), vec![]),
        (event(Access(AccessKind::Close(AccessMode::Write)), &["/r/a"]), vec![(at("a"), false)]),
    ] {
        let mut heard = Vec::new();
        translate(root, &event, |hint, appeared| heard.push((hint, appeared)));
        assert_eq!(heard, wanted, "{event:?}");
    }
}

#[test]
fn failures_of_the_watcher_are_heard() {
    let shared = Arc::new(Shared::default());
    let mut handler = Handler { root: "/r".into(), shared: shared.clone() };
    let queue = shared.fan.join().unwrap();
    let heard = || std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>();
    handler.handle_event(Err(::notify::Error::new(ErrorKind::MaxFilesWatch)));
    assert_eq!(heard(), [Hint::Limited, Hint::Overflow]);
    handler.handle_event(Err(::notify::Error::io(io::ErrorKind::PermissionDenied.into())));
    assert_eq!(heard(), [Hint::Overflow]);
    handler.handle_event(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
    assert_eq!(shared.wait_for_fresh(), Some(Fresh { overflowed: true, ..Fresh::default() }));
    // Notify's thread died.
    drop(handler);
    assert_eq!(heard(), [Hint::Limited, Hint::Overflow]);
    assert!(shared.fan.join().is_none());
}
