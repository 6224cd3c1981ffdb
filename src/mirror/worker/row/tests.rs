//! A row against a server in memory: each job has its own end, whatever fails where.

use std::{fs, path::Path};

use bytes::Bytes;

use super::*;
use crate::{
    mirror::{
        drift::{Care, Drift},
        siblings::Digests,
    },
    model::{Abilities, Digest, Entry, Fingerprint, JobId, Mode, Reason, UnixMillis, Versions},
    remote::{
        Remote,
        memory::{Fault, Faults, MemoryRemote, Options, Primitive, tree::Node},
    },
    scan::{Place, View, read::open_file},
};

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

fn digest(text: &str) -> Digest {
    Digest(*blake3::hash(text.as_bytes()).as_bytes())
}

/// Sent earlier, with another time.
fn sent(text: &str) -> Fingerprint {
    Fingerprint { size: text.len() as u64, mtime_ns: 5_000_000_000, ctime_ns: 1, inode: 1 }
}

struct Scene {
    dir: tempfile::TempDir,
    remote: MemoryRemote,
}

impl Scene {
    /// On the server as recorded: files `f0` to `f9` and a directory that is full. Here: some of them, touched.
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().expect("a directory"), remote: MemoryRemote::new(Options::default()) };
        scene.remote.edit(|tree| tree.make_dir(&path("full"))).expect("made");
        for n in 0..10 {
            scene.put(&format!("f{n}"), "text");
        }
        scene.put("full/of", "text");
        for (name, text) in [("f0", "text"), ("f1", "else"), ("f2", "text")] {
            fs::write(scene.dir.path().join(name), text).expect("written");
        }
        scene
    }

    fn put(&self, name: &str, text: &'static str) {
        let stored = self.remote.edit(|tree| {
            tree.store(&path(name), Bytes::from_static(text.as_bytes()))?;
            tree.set_modified(&path(name), 5)
        });
        stored.expect("stored");
    }

    fn print(&self, name: &str) -> Fingerprint {
        let root = self.place().open().expect("a root");
        open_file(&root, &path(name)).expect("a file").fingerprint().expect("told")
    }

    fn place(&self) -> Place {
        Place { path: Path::to_owned(self.dir.path()), view: View::default() }
    }

    fn touched(&self, name: &str) -> Operation {
        Operation::Put {
            path: path(name),
            print: self.print(name),
            equal_to: Some(digest("text")),
            mode: Some(Mode::of(0o640)),
            like: None,
        }
    }

    fn loads(&self, operations: Vec<Operation>) -> Vec<Load> {
        let load = |(id, operation): (i64, Operation)| {
            let is_ours = |path: &&RelPath| path.name().starts_with(b"f") && !path.as_bytes().starts_with(b".");
            let entry = |path: &RelPath| Some(path).filter(is_ours).map(|_| Entry::file(sent("text"), Some(digest("text"))));
            let care = Care {
                place: self.place(),
                digests: Digests::default(),
                abilities: Abilities { times: Some(true), ..Abilities::UNKNOWN },
                drift: Drift::KeepRemote,
                recorded: operation.touches().map(entry).collect(),
                former: None,
                witnesses: Vec::new(),
                in_place: false,
                now: UnixMillis(0),
                versions: Versions::Never,
                goes_on: true,
                stages: false,
            };
            Load { job: Job { id: JobId(id), operation, temp: None }, care, sent: Default::default() }
        };
        (0..).zip(operations).map(load).collect()
    }

    /// One of each kind: two equal files, one that differs, directories, removals, renames.
    fn every_kind(&self) -> Vec<Load> {
        let trash = |name: &str| path(&format!(".towline-trash/2026-11-23/{name}"));
        let rename = |from: &str, to: &str| Operation::Rename {
            from: path(from),
            to: path(to),
            print: Fingerprint { mtime_ns: 9_000_000_000, ..sent("text") },
            digest: None,
            mode: None,
            retime: true,
        };
        self.loads(vec![
            self.touched("f0"),
            self.touched("f1"),
            Operation::MakeDir { path: path("new"), inode: 1, mode: Some(Mode::of(0o750)) },
            Operation::RemoveFile { path: path("f3") },
            Operation::RemoveDir { path: path("full") },
            rename("f4", "moved"),
            Operation::Trash { path: path("f5"), place: trash("5") },
            Operation::Trash { path: path("f6"), place: trash("6") },
            Operation::SetMode { path: path("f7"), mode: Mode::of(0o600) },
            Operation::Keep { path: path("f2"), place: trash("2"), print: sent("text"), unless: Some(digest("text")) },
            Operation::MakeDir { path: path("last"), inode: 1, mode: None },
        ])
    }

    /// What came of each, and whether the session lives.
    async fn run(&self, loads: Vec<Load>) -> (Vec<Report>, bool) {
        let mut session = self.remote.connect().await.expect("connected");
        let count = loads.len();
        let mut reports = Vec::new();
        let (last, lives) = run(&mut session, loads, |job, report| {
            assert_eq!(job.id, JobId(i64::try_from(reports.len()).expect("few")), "in their order");
            reports.push(report);
        })
        .await;
        reports.extend(last);
        assert_eq!(reports.len(), count);
        (reports, lives)
    }

    fn has(&self, name: &str) -> bool {
        self.remote.tree().get(&path(name)).is_some()
    }

    fn modified(&self, name: &str) -> Option<i64> {
        match self.remote.tree().get(&path(name)) {
            Some(Node::File { modified, .. }) => *modified,
            _ => None,
        }
    }
}

fn words(report: &Report) -> &'static str {
    match &report.outcome {
        Outcome::Done(Done::Holds { sent: 0, .. }) => "equal",
        Outcome::Done(Done::NotKept) => "not kept",
        Outcome::Done(_) => "done",
        Outcome::Untouched if report.differs => "differs",
        Outcome::Untouched => "untouched",
        Outcome::Failed(problem) if problem.reason == Reason::Drift => "drift",
        Outcome::Failed(problem) if problem.reason == Reason::NotEmpty => "not empty",
        Outcome::Failed(_) => "failed",
        Outcome::InDoubt(_) => "in doubt",
    }
}

#[tokio::test]
async fn each_has_its_own_end() {
    let scene = Scene::new();
    let (reports, lives) = scene.run(scene.every_kind()).await;
    let ends: Vec<&str> = reports.iter().map(words).collect();
    let expected = ["equal", "differs", "done", "done", "not empty", "done", "done", "done", "done", "not kept", "done"];
    assert_eq!((ends.as_slice(), lives), (expected.as_slice(), true));
    assert!(reports.iter().all(|report| report.trouble.is_none() && !report.mode_unset));
    let tree = scene.remote.tree();
    assert_eq!(scene.modified("f0"), Some(seconds(&scene.print("f0"))));
    assert_eq!((scene.modified("f1"), scene.modified("moved")), (Some(5), Some(9)));
    assert_eq!(tree.mode(&path("new")), Some(Mode::of(0o750)));
    assert_eq!(tree.mode(&path(".towline-trash")), Some(Mode::of(0o700)));
    assert_eq!(scene.remote.trash().len(), 2);
    let live: Vec<String> = scene.remote.live().keys().map(ToString::to_string).collect();
    assert_eq!(live, ["f0", "f1", "f2", "f7", "f8", "f9", "full", "full/of", "last", "moved", "new"]);
}

#[tokio::test]
async fn what_is_refused_without_company_is_asked_for_once() {
    let scene = Scene::new();
    let (reports, lives) = scene.run(scene.loads(vec![Operation::RemoveDir { path: path("full") }])).await;
    assert_eq!((words(&reports[0]), lives), ("not empty", true));
    assert_eq!(scene.remote.log().iter().filter(|call| call.primitive == Primitive::RemoveDir).count(), 1);
}

#[tokio::test]
async fn what_somebody_else_changed_is_left_to_a_job_alone() {
    let scene = Scene::new();
    for name in ["f0", "f3", "f4", "f5"] {
        scene.put(name, "theirs");
    }
    let (reports, lives) = scene.run(scene.every_kind()).await;
    let ends: Vec<&str> = reports.iter().map(words).collect();
    let expected = [
        // Sent as a put, which compares before it is published.
        "differs",
        "differs",
        "done",
        "drift",
        "not empty",
        "untouched",
        "drift",
        "done",
        "done",
        "not kept",
        "done",
    ];
    assert_eq!((ends.as_slice(), lives), (expected.as_slice(), true));
    assert!(reports[5].aside.is_some(), "what the rename takes its content from is parked");
    assert!(["f0", "f3", "f4", "f5"].iter().all(|name| scene.has(name)));
}

/// Whatever goes wrong at whichever of its calls, nobody is told what is not so.
#[tokio::test]
async fn a_fault_anywhere_in_it_is_the_end_of_its_own_job_or_leaves_doubt() {
    for fault in [Fault::Fail(Class::Refused), Fault::Fail(Class::Full), Fault::Cut, Fault::LostReply] {
        for at in 1.. {
            let scene = Scene::new();
            scene.remote.set_faults(Faults::at(at, fault));
            let (reports, lives) = scene.run(scene.every_kind()).await;
            if !scene.remote.log().iter().any(|call| call.fault != Fault::None) {
                assert!(at > 20, "{at} calls");
                break;
            }
            let what = format!("{fault:?} at {at}: {:?}", reports.iter().map(words).collect::<Vec<_>>());
            let fatal = |report: &Report| report.trouble.as_ref().is_some_and(|e| !e.session_survives());
            let (last, others) = reports.split_last().expect("some");
            assert!(!others.iter().any(fatal) && fatal(last) != lives, "{what}");
            assert_eq!(lives, matches!(fault, Fault::Fail(_)), "{what}");
            // What is told of the others is no word of the server that the link works.
            let unheard = |report: &Report| {
                matches!(report.outcome, Outcome::InDoubt(_) | Outcome::Untouched) && !report.differs && report.aside.is_none()
            };
            assert!(lives || others.iter().all(|report| report.unheard == unheard(report)), "{what}");
            let happened = [
                scene.modified("f0") != Some(5),
                false,
                scene.has("new"),
                !scene.has("f3"),
                false,
                scene.has("moved"),
                !scene.has("f5"),
                !scene.has("f6"),
                scene.remote.tree().mode(&path("f7")).is_some(),
                false,
                scene.has("last"),
            ];
            for (report, happened) in reports.iter().zip(happened) {
                match &report.outcome {
                    Outcome::Done(Done::NotKept) => {}
                    // The time and the permissions alone may lack.
                    Outcome::Done(Done::Holds { .. }) => {}
                    Outcome::Done(_) => assert!(happened || report.mode_unset, "{what}"),
                    Outcome::Untouched | Outcome::Failed(_) => assert!(!happened, "{what}"),
                    Outcome::InDoubt(_) => {}
                }
            }
        }
    }
}
