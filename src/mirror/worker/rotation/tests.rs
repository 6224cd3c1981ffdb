//! Names that go round against a server in memory: a fault anywhere leaves what can be brought to its end, or back.

use bytes::Bytes;

use super::*;
use crate::{
    index::Witness,
    mirror::{drift::Drift, siblings::Digests},
    model::{Abilities, Done, Entry, Fingerprint, JobId, UnixMillis, Versions},
    remote::{
        Class, Remote,
        memory::{Fault, Faults, MemoryRemote, MemorySession, Options, Primitive, tree::Node},
    },
    scan::{Place, View},
};

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Three files, or directories with one file each; that of `a` has 1 byte, that of `b` 2.
struct Scene {
    remote: MemoryRemote,
    kind: Kind,
}

fn body(name: &str) -> Bytes {
    Bytes::from(name.repeat(1 + NAMES.iter().position(|other| *other == name).expect("one of them")))
}

fn entry(name: &str) -> Entry {
    Entry::file(Fingerprint { size: body(name).len() as u64, mtime_ns: 5_000_000_000, ctime_ns: 1, inode: 1 }, None)
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let remote = MemoryRemote::new(Options::default());
        for name in NAMES {
            let file = if kind == Kind::Dir { format!("{name}/f") } else { name.to_owned() };
            let made = remote.edit(|tree| {
                if kind == Kind::Dir {
                    tree.make_dir(&path(name))?;
                }
                tree.store(&path(&file), body(name))?;
                tree.set_modified(&path(&file), 5)
            });
            made.expect("made");
        }
        Self { remote, kind }
    }

    fn job(&self) -> Job {
        let operation = Operation::Rotate { path: path("a"), others: vec![path("b"), path("c")], kind: self.kind, bytes: 0 };
        Job { id: JobId(1), operation, temp: Some(path(".towline-x-1.part")) }
    }

    fn care(&self) -> Care {
        let witness = Witness { path: path("a/f"), before: Some(entry("a")), after: Some(entry("c")) };
        Care {
            place: Place { path: "/nowhere".into(), view: View::default() },
            abilities: Abilities { times: Some(true), ..Abilities::UNKNOWN },
            drift: Drift::KeepRemote,
            recorded: NAMES.iter().map(|name| Some(entry(name)).filter(|_| self.kind == Kind::File)).collect(),
            former: None,
            witnesses: Some(witness).filter(|_| self.kind == Kind::Dir).into_iter().collect(),
            in_place: false,
            now: UnixMillis(0),
            versions: Versions::Never,
            goes_on: true,
            stages: false,
            digests: Digests::default(),
        }
    }

    async fn session(&self) -> MemorySession {
        self.remote.connect().await.expect("connected")
    }

    /// Whose content is at each name.
    fn held(&self) -> Vec<String> {
        let tree = self.remote.tree();
        let held = |name: &&str| {
            let file = if self.kind == Kind::Dir { format!("{name}/f") } else { (*name).to_owned() };
            match tree.get(&path(&file)) {
                Some(Node::File { body, .. }) => String::from_utf8_lossy(&body[..1]).into_owned(),
                _ => "-".to_owned(),
            }
        };
        NAMES.iter().map(held).collect()
    }
}

#[tokio::test]
async fn each_gets_the_name_of_the_next() {
    for kind in [Kind::File, Kind::Dir] {
        let scene = Scene::new(kind);
        let reports = turn(&mut scene.session().await, &[&scene.job()]).await;
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].outcome, Outcome::Done(Done::AsPlanned));
        assert_eq!(scene.held(), ["c", "a", "b"]);
        let renames = scene.remote.log().iter().filter(|call| call.primitive == Primitive::Rename).count();
        assert_eq!(renames, 4);
    }
}

/// Wherever the session ends, also while the rest is done: what is told is so, and nothing is left.
#[tokio::test]
async fn a_fault_anywhere_is_brought_to_an_end() {
    for kind in [Kind::File, Kind::Dir] {
        for fault in [Fault::Cut, Fault::LostReply, Fault::Fail(Class::Refused)] {
            for (first, second) in (1..=4).flat_map(|first| (1..=12).map(move |second| (first, second))) {
                let scene = Scene::new(kind);
                let what = format!("{kind:?} {fault:?} {first} {second}");
                scene.remote.set_faults(Faults::at(first, fault));
                let report = turn(&mut scene.session().await, &[&scene.job()]).await.pop().expect("told");
                assert!(matches!(report.outcome, Outcome::InDoubt(_)), "{what}");
                // The server is asked, and another fault meets that.
                scene.remote.set_faults(Faults::at(second, fault));
                let mut resumed = resume(&mut scene.session().await, &scene.job(), &scene.care()).await;
                scene.remote.set_faults(Faults::none());
                if resumed.is_err() {
                    resumed = resume(&mut scene.session().await, &scene.job(), &scene.care()).await;
                }
                let temp = scene.remote.tree().get(&path(".towline-x-1.part")).is_some();
                match resumed.expect("answered").map(|report| report.outcome) {
                    Some(Outcome::Done(Done::AsPlanned)) => {
                        assert_eq!((scene.held(), temp), (["c", "a", "b"].map(String::from).to_vec(), false), "{what}");
                    }
                    Some(Outcome::Untouched | Outcome::Failed(_)) => {
                        assert_eq!((scene.held(), temp), (["a", "b", "c"].map(String::from).to_vec(), false), "{what}");
                    }
                    // What is at the names is asked; only a refusal upon a refusal comes to that.
                    None => assert!(matches!(fault, Fault::Fail(_)), "{what}"),
                    other => panic!("{what}: {other:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn where_nothing_tells_before_from_after_nothing_is_concluded() {
    for kind in [Kind::File, Kind::Dir] {
        let scene = Scene::new(kind);
        let mut care = scene.care();
        care.recorded.iter_mut().for_each(|entry| *entry = Some(super::tests::entry("a")));
        care.witnesses.clear();
        let resumed = resume(&mut scene.session().await, &scene.job(), &care).await.expect("answered");
        assert!(resumed.is_none());
        // Half of it, and somebody else there, too: a directory is not swept.
        let half = scene.remote.edit(|tree| {
            tree.rename(&path("c"), &path(".towline-x-1.part"))?;
            tree.rename(&path("b"), &path("elsewhere"))
        });
        half.expect("renamed");
        let resumed = resume(&mut scene.session().await, &scene.job(), &scene.care()).await.expect("answered");
        assert!(resumed.is_none());
        let names: Vec<String> = scene.remote.live().keys().map(ToString::to_string).collect();
        assert_eq!(names.iter().any(|name| name.starts_with("a.server-")), kind == Kind::Dir, "{names:?}");
    }
}
