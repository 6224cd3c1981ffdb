//! Restores from a server in memory.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;

use super::{Restore, Restored, Why, restore};
use crate::{
    clock,
    index::Index,
    model::{Digest, Done, Entry, Fingerprint, Mode, Operation, Outcome, RelPath, Settlement, UnixMillis},
    remote::memory::{Fault, Faults, MemoryRemote, Options, Primitive},
};

struct Scene {
    dir: tempfile::TempDir,
    remote: MemoryRemote,
    index: Index,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

impl Scene {
    /// Two directories and three files, recorded as sent.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(&dir.path().join("state/index.db"), clock::now()).unwrap();
        let mut scene = Self { dir, remote: MemoryRemote::new(Options::default()), index };
        for name in ["a", "a/deep"] {
            scene.remote.edit(|tree| tree.make_dir(&path(name))).unwrap();
            scene.index.record(&[(path(name), Entry::dir(1))], clock::now()).unwrap();
        }
        for (name, text) in [("a/deep/f", "one"), ("a/g", "two"), ("h", "three")] {
            scene.put(name, text);
            let print = Fingerprint { size: text.len() as u64, mtime_ns: 7_000_000_009, ctime_ns: 1, inode: 1 };
            let digest = Some(Digest(*blake3::hash(text.as_bytes()).as_bytes()));
            let entry = Entry::file(print, digest).with_mode(Some(Mode::of(0o600)));
            scene.index.record(&[(path(name), entry)], clock::now()).unwrap();
        }
        scene
    }

    fn put(&self, name: &str, text: &'static str) {
        self.remote.edit(|tree| tree.store(&path(name), Bytes::from_static(text.as_bytes()))).unwrap();
    }

    async fn restore(&self, state: bool, only: Option<&str>, force: bool) -> (Restored, Vec<(String, Why)>) {
        let reader = state.then(|| self.index.reader().unwrap());
        let how = Restore { to: self.dir.path().join("to"), only: only.map(path), force, at: None, progress: Arc::default() };
        let mut left = Vec::new();
        let restored = restore(&self.remote, reader, &how, |l| left.push((l.path.to_string(), l.why.clone()))).await;
        let restored = restored.unwrap();
        let so_far = how.progress.so_far();
        assert_eq!(how.progress.all(), state.then_some(so_far), "everything was gone through, and counted once");
        (restored, left)
    }

    /// The files that are there, by name.
    fn files(&self) -> BTreeMap<String, String> {
        fn collect(root: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
            for entry in std::fs::read_dir(at).unwrap() {
                let entry = entry.unwrap().path();
                match entry.is_dir() {
                    true => collect(root, &entry, found),
                    false => {
                        let name = entry.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                        found.insert(name, std::fs::read_to_string(&entry).unwrap());
                    }
                }
            }
        }
        let (root, mut found) = (self.dir.path().join("to"), BTreeMap::new());
        collect(&root, &root, &mut found);
        found
    }
}

fn all() -> BTreeMap<String, String> {
    [("a/deep/f", "one"), ("a/g", "two"), ("h", "three")].map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

#[tokio::test]
async fn everything_comes_back_with_its_time_and_permissions() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new();
    scene.put("foreign", "not ours");
    let (restored, left) = scene.restore(true, None, false).await;
    assert_eq!((left, scene.files()), (vec![], all()));
    assert_eq!((restored.files, restored.by_digest, restored.dirs, restored.bytes), (3, 3, 2, 11));
    let found = std::fs::metadata(scene.dir.path().join("to/a/g")).unwrap();
    assert_eq!((found.mtime(), found.mtime_nsec(), found.mode() & 0o777), (7, 9, 0o600));
    // Once more: nothing is fetched again.
    let fetches = |scene: &Scene| scene.remote.log().iter().filter(|call| call.primitive == Primitive::Fetch).count();
    let before = fetches(&scene);
    assert_eq!(scene.restore(true, None, false).await.0.same, 3);
    assert_eq!(fetches(&scene), before);
}

#[tokio::test]
async fn a_part_of_it_comes_back() {
    let scene = Scene::new();
    let (restored, _) = scene.restore(true, Some("a/deep"), false).await;
    assert_eq!((restored.files, scene.files().into_keys().collect::<Vec<_>>()), (1, vec!["a/deep/f".to_owned()]));
    let (restored, _) = scene.restore(false, Some("h"), false).await;
    assert_eq!((restored.files, restored.from_listings), (1, true));
    let how =
        Restore { to: scene.dir.path().join("to"), only: Some(path("no")), force: false, at: None, progress: Arc::default() };
    for reader in [None, Some(scene.index.reader().unwrap())] {
        let error = restore(&scene.remote, reader, &how, |_| {}).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no no in this mirror");
    }
}

#[tokio::test]
async fn what_is_there_is_replaced_only_when_that_is_asked_for() {
    let scene = Scene::new();
    std::fs::create_dir(scene.dir.path().join("to")).unwrap();
    std::fs::write(scene.dir.path().join("to/h"), "mine!").unwrap();
    for state in [true, false] {
        let (_, left) = scene.restore(state, None, false).await;
        assert!(left.contains(&("h".to_owned(), Why::Exists)), "{left:?}");
        assert_eq!(scene.files()["h"], "mine!");
    }
    let (restored, left) = scene.restore(true, None, true).await;
    assert_eq!((restored.files, restored.same, left, scene.files()), (1, 2, vec![], all()));
}

#[tokio::test]
async fn what_was_tampered_with_does_not_come_back_as_if_it_were_ours() {
    let scene = Scene::new();
    scene.put("h", "THREE");
    scene.put("a/g", "longer");
    scene.remote.edit(|tree| tree.remove_file(&path("a/deep/f"))).unwrap();
    let (restored, left) = scene.restore(true, None, false).await;
    let expected = [("a/deep/f", Why::Missing), ("a/g", Why::OtherSize { expected: 3, found: 6 }), ("h", Why::OtherContent)];
    assert_eq!(left, expected.map(|(name, why)| (name.to_owned(), why)));
    assert_eq!((restored.files, scene.files().len()), (0, 0), "no temporary file either");
    let (restored, left) = scene.restore(false, None, false).await;
    assert_eq!((restored.files, restored.by_digest, left), (2, 0, vec![]), "as it is");
    assert_eq!(scene.files()["h"], "THREE");
}

#[tokio::test]
async fn without_a_state_the_listings_tell() {
    let scene = Scene::new();
    scene.put("a/.towline-12345678-1.part", "an upload under way");
    scene.put("foreign", "not ours");
    scene.remote.edit(|tree| tree.make_link(&path("link"), b"h")).unwrap();
    let (restored, left) = scene.restore(false, None, false).await;
    assert_eq!((restored.files, restored.dirs, restored.from_listings), (4, 2, true));
    assert_eq!(left, [("link".to_owned(), Why::Link)]);
    assert_eq!(scene.files().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_download_that_breaks_is_tried_again_and_leaves_nothing_half() {
    let scene = Scene::new();
    let cut_first = |times: u32| {
        let mut left = times;
        Faults::script(move |_, asked| {
            let fails = asked == Primitive::Fetch && left > 0;
            left -= u32::from(fails);
            if fails { Fault::Cut } else { Fault::None }
        })
    };
    scene.remote.set_faults(cut_first(2));
    let (restored, left) = scene.restore(true, None, false).await;
    assert_eq!((restored.files, left, scene.files()), (3, vec![], all()));
    std::fs::remove_dir_all(scene.dir.path().join("to")).unwrap();
    scene.remote.set_faults(cut_first(u32::MAX));
    let (restored, left) = scene.restore(true, None, false).await;
    assert_eq!((restored.files, left.len(), scene.files().len()), (0, 3, 0));
    assert!(matches!(left[0].1, Why::Failed { .. }));
}

/// One file here that is in the way of a directory costs what is in that directory, and nothing else.
#[tokio::test]
async fn what_cannot_be_written_is_told_and_the_rest_comes() {
    let scene = Scene::new();
    std::fs::create_dir(scene.dir.path().join("to")).unwrap();
    std::fs::write(scene.dir.path().join("to/a"), "in the way").unwrap();
    let (restored, left) = scene.restore(true, None, true).await;
    assert_eq!((restored.files, left.len()), (1, 4));
    let named: Vec<_> = left.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ["a", "a/deep", "a/deep/f", "a/g"]);
    assert_eq!(scene.files()["a"], "in the way");
}

/// What was removed since comes from the trash, the first one of each path; what is there now makes way for it.
#[tokio::test]
async fn a_mirror_as_it_was_comes_from_its_trash() {
    let mut scene = Scene::new();
    let at = |seconds: i64| UnixMillis(seconds * 1000);
    let print = |text: &str| Fingerprint { size: text.len() as u64, mtime_ns: 5_000_000_000, ctime_ns: 1, inode: 2 };
    let mut lies = |path_then: &str, name: &str, text: &'static str, removed: i64| {
        let place = path(&format!(".towline-trash/2026-11-20/{name}"));
        scene.remote.edit(|tree| {
            for dir in [".towline-trash", ".towline-trash/2026-11-20"] {
                let _ = tree.make_dir(&path(dir));
            }
            tree.store(&place, Bytes::from_static(text.as_bytes())).unwrap();
        });
        let index = &mut scene.index;
        let gone = path(path_then);
        let before = index.recorded(std::slice::from_ref(&gone)).unwrap()[0];
        index.record(&[(gone.clone(), Entry::file(print(text), None))], at(removed)).unwrap();
        let job = index.begin(&[Operation::Trash { path: gone.clone(), place }], at(removed)).unwrap().remove(0);
        let settled = Settlement { job: job.id, outcome: Outcome::Done(Done::AsPlanned), retry_at: None };
        index.settle(&[settled], at(removed)).unwrap();
        if let Some(before) = before {
            index.record(&[(gone, before)], at(removed)).unwrap();
        }
    };
    lies("h", "1-h", "before", 100);
    lies("old/x", "2-x", "first", 200);
    lies("old/x", "3-x", "second", 300);
    lies("gone", "4-gone", "long ago", 50);
    let how = |only: Option<&str>, at| Restore {
        to: scene.dir.path().join("to"),
        only: only.map(path),
        force: true,
        at: Some(at),
        progress: Arc::default(),
    };
    let reader = || Some(scene.index.reader().unwrap());
    let sum = restore(&scene.remote, reader(), &how(None, at(60)), |left| panic!("{left:?}")).await.unwrap();
    assert_eq!((sum.files, sum.from_trash, sum.newer), (4, 2, 0));
    let files = scene.files();
    let then = [("a/deep/f", "one"), ("a/g", "two"), ("h", "before"), ("old/x", "first")];
    assert_eq!(files, then.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    restore(&scene.remote, reader(), &how(Some("old"), at(250)), |left| panic!("{left:?}")).await.unwrap();
    assert_eq!(scene.files()["old/x"], "second");
    let sum = restore(&scene.remote, reader(), &how(Some("h"), at(3)), |left| panic!("{left:?}")).await.unwrap();
    assert_eq!((sum.files, sum.newer), (0, 0), "there already");
    restore(&scene.remote, reader(), &how(Some("old"), at(400)), |_| {}).await.unwrap_err();
}
