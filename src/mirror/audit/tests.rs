//! Verify and adopt over a server in memory, with everything that can be wrong there.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Adoption, Deep, Finding, Verified, Verify, What, adopt, verify};
use crate::{
    clock,
    index::Index,
    mirror::{Drift, Priority, Publish, Scrub, Seats, Settings, Siblings},
    model::{Digest, Disposal, Entry, Fingerprint, Kind, RelPath, Retention},
    plan::Budget,
    remote::{
        Class,
        memory::{Fault, Faults, MemoryRemote, Options, Primitive, tree::Manners},
    },
    scan::View,
};

/// A local tree, a server that was filled with it, and an index that knows so.
struct Scene {
    dir: tempfile::TempDir,
    remote: MemoryRemote,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

impl Scene {
    fn new(manners: Manners) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("source")).unwrap();
        Self { dir, remote: MemoryRemote::new(Options { manners, ..Options::default() }) }
    }

    /// The usual tree, here and there.
    fn filled(manners: Manners) -> Self {
        let scene = Self::new(manners);
        for (name, text) in [(".dot", "zero"), ("a/deep/f", "one"), ("a/g", "two"), ("h", "three")] {
            scene.write(name, text);
            scene.put(name, text);
        }
        scene
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.source().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Onto the server, behind everybody's back.
    fn put(&self, name: &str, text: &'static str) {
        let path = path(name);
        self.remote.edit(|tree| {
            let mut above: Vec<_> = path.ancestors().collect();
            above.reverse();
            for dir in above {
                let _ = tree.make_dir(&dir);
            }
            tree.store(&path, body(text)).unwrap();
        });
    }

    fn settings(&self) -> Settings {
        Settings {
            name: "test".to_owned(),
            source: self.source(),
            view: View::default(),
            ignore: Vec::new(),
            append: Vec::new(),
            quiet: Duration::ZERO,
            full_scan: Duration::from_secs(3600),
            identity: "test".to_owned(),
            budget: Budget { files: 50, percent: 25 },
            disposal: Disposal::Trash,
            retention: Retention::default(),
            neighbours: Vec::new(),
            publish: Publish::default(),
            scan: Priority::default(),
            drift: Drift::default(),
            scrub: Scrub::default(),
            seats: Seats::new(1),
            siblings: Siblings::default(),
            clock: clock::now,
            observer: None,
        }
    }

    fn index(&self) -> Index {
        Index::open(&self.dir.path().join("state/index.db"), clock::now()).unwrap()
    }

    async fn adopt(&self, how: Adoption) -> (super::Adopted, Vec<Finding>) {
        let mut found = Vec::new();
        let adopted = adopt(&self.remote, &self.settings(), self.index(), how, |finding| found.push(finding.clone())).await;
        let adopted = adopted.unwrap();
        assert_eq!(adopted.unproven, 0, "{found:?}");
        (adopted, found)
    }

    async fn verify(&self, deep: Deep, repair: bool) -> (Verified, Vec<(String, What)>) {
        let (mut index, mut found) = (Some(self.index()), Vec::new());
        let reader = index.as_ref().unwrap().reader().unwrap();
        let index = if repair { index.take() } else { None };
        let how = Verify { place: self.settings().place(), deep, clock: clock::now, chance: || 0.5, progress: Arc::default() };
        let verified = verify(&self.remote, reader, index, &how, |f| found.push((f.path.to_string(), f.what.clone()))).await;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let verified = verified.unwrap();
        assert_eq!(how.progress.all(), Some(how.progress.so_far()), "everything was gone through, and counted once");
        (verified, found)
    }

    fn calls(&self, primitive: Primitive) -> usize {
        self.remote.log().iter().filter(|call| call.primitive == primitive).count()
    }

    /// What of the index is pending.
    fn pending(&self) -> Vec<String> {
        let window = self.index().window(None, 100, clock::now()).unwrap();
        window.rows.iter().map(|row| row.path.to_string()).collect()
    }
}

#[tokio::test]
async fn what_is_equal_is_adopted_and_then_verified() {
    for sums in [true, false] {
        let scene = Scene::filled(Manners { sums, ..Manners::default() });
        scene.write("new", "only here");
        scene.write("other", "here");
        scene.put("other", "diff");
        scene.write("longer", "here");
        scene.put("longer", "longer there");
        scene.put("theirs/x", "foreign");
        scene.put(".towline-12345678-1.part", "an upload under way");
        let before = scene.remote.tree().entries();
        let (adopted, mut found) = scene.adopt(Adoption::default()).await;
        assert_eq!((adopted.files, adopted.bytes, adopted.dirs, adopted.missing), (4, 15, 2, 1), "{adopted:?}");
        assert_eq!((adopted.by_checksum, adopted.by_reading), if sums { (4, 0) } else { (0, 4) });
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let expected =
            [("longer", What::OtherSize { expected: 4, found: 12 }), ("other", What::OtherContent), ("theirs", What::Foreign)];
        assert_eq!(found, expected.map(|(name, what)| Finding { path: path(name), what }));
        assert_eq!(scene.pending(), ["longer", "new", "other"]);
        assert_eq!(scene.remote.tree().entries(), before, "nothing is changed on the server");
        // Once more: everything is known, and nothing read.
        let reads = scene.calls(Primitive::Fetch);
        let (again, _) = scene.adopt(Adoption::default()).await;
        assert_eq!((again.files, again.known), (0, 6));
        assert_eq!(scene.calls(Primitive::Fetch), reads + if sums { 0 } else { 1 }, "`other` alone");

        let (verified, found) = scene.verify(Deep::Nothing, false).await;
        let foreign = ["longer", "other", "theirs"].map(|name| (name.to_owned(), What::Foreign));
        assert_eq!(found, foreign, "what was never sent is not ours");
        assert_eq!((verified.files, verified.others, verified.wrong), (4, 2, 0));
        assert_eq!((verified.by_checksum, verified.by_size), if sums { (4, 0) } else { (0, 4) });
    }
}

#[tokio::test]
async fn times_are_trusted_only_when_asked_for_and_equal() {
    let scene = Scene::filled(Manners::default());
    let mtime = std::fs::metadata(scene.source().join("h")).unwrap().modified().unwrap();
    let seconds = mtime.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    scene.put("h", "THREE");
    scene.remote.edit(|tree| tree.set_modified(&path("h"), seconds)).unwrap();
    scene.remote.edit(|tree| tree.set_modified(&path("a/g"), 1)).unwrap();
    let (adopted, found) = scene.adopt(Adoption { trust_times: true }).await;
    assert_eq!((adopted.by_time, adopted.by_reading, found.len()), (1, 3, 0), "{adopted:?}");
}

#[tokio::test]
async fn tampering_is_found_and_repaired_by_sending_again() {
    let scene = Scene::filled(Manners { sums: true, ..Manners::default() });
    scene.adopt(Adoption::default()).await;
    assert_eq!(scene.verify(Deep::Everything, false).await.0.by_reading, 4);
    scene.remote.edit(|tree| {
        tree.remove_file(&path("a/deep/f")).unwrap();
        tree.remove_dir(&path("a/deep")).unwrap();
        tree.store(&path("a/g"), body("tw")).unwrap();
        tree.store(&path("h"), body("THREE")).unwrap();
    });
    scene.put("theirs/x", "foreign");
    let expected = [
        ("a/deep", What::Missing),
        ("a/g", What::OtherSize { expected: 3, found: 2 }),
        ("h", What::OtherContent),
        ("theirs", What::Foreign),
    ]
    .map(|(name, what)| (name.to_owned(), what));
    for deep in [Deep::Nothing, Deep::Everything, Deep::Sample(0.4), Deep::Some(1)] {
        let (verified, found) = scene.verify(deep, false).await;
        assert_eq!(found, expected);
        assert_eq!((verified.wrong, verified.foreign, verified.below, verified.corrected), (3, 1, 1, 0));
        assert!(!verified.is_fine());
    }
    assert_eq!(scene.pending(), [""; 0], "nothing was noted");
    let before = scene.remote.tree().entries();
    let (verified, found) = scene.verify(Deep::Nothing, true).await;
    assert_eq!((found, verified.corrected), (expected.to_vec(), 4));
    assert_eq!(scene.pending(), ["a/deep", "a/deep/f", "a/g", "h"]);
    assert_eq!(scene.remote.tree().entries(), before, "repairing is the planner's");
}

/// A file in the place of a directory, or the other way round, is somebody's: noted as ours, the planner would remove it.
#[tokio::test]
async fn what_has_our_name_and_is_another_kind_is_told_and_left() {
    let scene = Scene::filled(Manners::default());
    scene.adopt(Adoption::default()).await;
    scene.remote.edit(|tree| {
        tree.remove_file(&path("h")).unwrap();
        tree.make_dir(&path("h")).unwrap();
        tree.remove_file(&path("a/deep/f")).unwrap();
        tree.remove_dir(&path("a/deep")).unwrap();
        tree.store(&path("a/deep"), body("a file")).unwrap();
    });
    let (verified, found) = scene.verify(Deep::Nothing, true).await;
    let other = |kind| What::OtherKind { found: Some(kind) };
    assert_eq!(found, [("a/deep".to_owned(), other(Kind::File)), ("h".to_owned(), other(Kind::Dir))]);
    assert_eq!((verified.corrected, verified.below), (0, 1));
    assert_eq!(scene.pending(), [""; 0]);
}

/// A checksum of the local file proves nothing when that has been changed since.
#[tokio::test]
async fn a_changed_local_file_is_no_measure_of_the_server() {
    let scene = Scene::filled(Manners { sums: true, ..Manners::default() });
    scene.adopt(Adoption::default()).await;
    scene.write("h", "THREE");
    let (verified, found) = scene.verify(Deep::Nothing, false).await;
    assert_eq!((found.len(), verified.by_checksum, verified.by_size), (0, 3, 1));
    scene.put("h", "THREE");
    let (_, found) = scene.verify(Deep::Everything, false).await;
    assert_eq!(found, [("h".to_owned(), What::OtherContent)]);
}

/// The same size, no checksums, but another time than was set: read back, though nobody asked for depth.
#[tokio::test]
async fn another_time_is_reason_enough_to_read() {
    let scene = Scene::filled(Manners::default());
    scene.adopt(Adoption::default()).await;
    scene.put("h", "THREE");
    scene.remote.edit(|tree| tree.set_modified(&path("h"), 1)).unwrap();
    scene.remote.edit(|tree| tree.set_modified(&path("a/g"), 1)).unwrap();
    let (verified, found) = scene.verify(Deep::Nothing, false).await;
    assert_eq!(found, [("h".to_owned(), What::OtherContent)]);
    assert_eq!((verified.by_reading, verified.by_size), (1, 2));
}

/// What a doubtful listing does not have is asked for by its exact name.
#[tokio::test]
async fn a_listing_that_hides_names_proves_no_absence() {
    let scene = Scene::filled(Manners { hides_dots: true, ..Manners::default() });
    let (adopted, _) = scene.adopt(Adoption::default()).await;
    assert_eq!(adopted.files, 4);
    let (verified, found) = scene.verify(Deep::Nothing, false).await;
    assert_eq!((found.len(), verified.files, verified.doubtful), (0, 4, 3), "{verified:?}");
    assert_eq!(verified.doubts[0].0, ".");
}

#[tokio::test]
async fn on_a_server_that_folds_case_another_case_is_not_foreign() {
    let scene = Scene::new(Manners { fold_case: true, ..Manners::default() });
    scene.write("A/File", "one");
    scene.put("a/file", "one");
    let (adopted, found) = scene.adopt(Adoption::default()).await;
    assert_eq!((adopted.files, adopted.dirs, found), (1, 1, vec![]));
    let (verified, found) = scene.verify(Deep::Everything, false).await;
    assert_eq!((verified.files, verified.foreign, found), (1, 0, vec![]));
}

/// Each question once lost, and asked again: no finding comes of it.
#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_no_finding() {
    let scene = Scene::filled(Manners { sums: true, ..Manners::default() });
    scene.adopt(Adoption::default()).await;
    for (fault, primitive) in [
        (Fault::Cut, Primitive::List),
        (Fault::LostReply, Primitive::Checksum),
        (Fault::Cut, Primitive::Fetch),
        (Fault::Fail(Class::Busy), Primitive::Connect),
    ] {
        let mut left = 2;
        scene.remote.set_faults(Faults::script(move |_, asked| {
            let fails = asked == primitive && left > 0;
            left -= u32::from(fails);
            if fails { fault } else { Fault::None }
        }));
        for deep in [Deep::Nothing, Deep::Everything] {
            let (verified, found) = scene.verify(deep, false).await;
            assert_eq!((found.len(), verified.files), (0, 4), "{primitive}");
        }
    }
    scene.remote.set_faults(Faults::script(|_, asked| if asked == Primitive::Fetch { Fault::Cut } else { Fault::None }));
    let (verified, found) = scene.verify(Deep::Everything, false).await;
    assert_eq!((verified.unproven, found.len()), (4, 4), "it answers, but not with these files");
    assert!(matches!(found[0].1, What::Unproven { .. }));
    scene.remote.set_faults(Faults::script(|_, _| Fault::Cut));
    let how = Verify {
        place: scene.settings().place(),
        deep: Deep::Nothing,
        clock: clock::now,
        chance: || 0.5,
        progress: Arc::default(),
    };
    let reader = scene.index().reader().unwrap();
    verify(&scene.remote, reader, None, &how, |_| panic!("nothing was found")).await.unwrap_err();
}

/// A daemon puts a file between the listing and the look at the index, or is about to.
#[tokio::test]
async fn what_moves_meanwhile_is_no_finding() {
    let scene = Scene::filled(Manners::default());
    scene.adopt(Adoption::default()).await;
    let mut index = scene.index();
    scene.put("h", "another size");
    let print = Fingerprint { size: 12, mtime_ns: 1, ctime_ns: 1, inode: 9 };
    index
        .begin(&[crate::model::Operation::Put { path: path("h"), print, equal_to: None, mode: None, like: None }], clock::now())
        .unwrap();
    let how = Verify {
        place: scene.settings().place(),
        deep: Deep::Nothing,
        clock: clock::now,
        chance: || 0.5,
        progress: Arc::default(),
    };
    let verified = verify(&scene.remote, index.reader().unwrap(), None, &how, |f| panic!("{f:?}")).await.unwrap();
    assert_eq!((verified.moved_on, verified.files), (1, 3));
    // And what has a job is not corrected.
    let corrected = index.correct(&[(path("h"), None), (path("a/g"), None)], clock::now()).unwrap();
    assert_eq!(corrected, 1);
    let recorded = |name: &str| index.reader().unwrap().row(&path(name)).unwrap().and_then(|row| row.recorded);
    assert_eq!(recorded("a/g"), None);
    let digest = Digest(*blake3::hash(b"three").as_bytes());
    assert!(matches!(recorded("h"), Some(Entry::File { digest: Some(known), .. }) if known == digest));
}
