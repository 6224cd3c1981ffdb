//! A copy on a server in memory, and everything that makes it a put after all.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::{
    clock,
    mirror::{Drift, siblings::Digests, worker},
    model::{Abilities, Digest, Done, Job, JobId, Operation, Outcome, Versions},
    remote::{
        Remote,
        memory::{
            MemoryRemote, Options,
            tree::{Manners, Node},
        },
    },
    scan::{Place, View},
};

const BODY: &[u8] = b"the content";

/// What there is when a put of `new`, which is like `old`, begins.
struct Case {
    why: &'static str,
    manners: Manners,
    /// What the server has at `old`.
    there: Option<&'static [u8]>,
    /// What is recorded of that.
    recorded: Option<Entry>,
    /// What the local file was when that was planned.
    read: &'static [u8],
    /// Whether it need not be sent.
    copied: bool,
}

fn digest(content: &[u8]) -> Digest {
    Digest(*blake3::hash(content).as_bytes())
}

fn print(content: &[u8]) -> Fingerprint {
    Fingerprint { size: content.len() as u64, mtime_ns: 1, ctime_ns: 1, inode: 1 }
}

#[tokio::test]
async fn a_copy_is_made_where_all_is_as_planned_and_else_the_file_is_sent() {
    let good = Manners { copies: true, sums: true, ..Manners::default() };
    let held = |content: &[u8]| Some(Entry::file(print(content), Some(digest(content))));
    let usual = || Case { why: "", manners: good, there: Some(BODY), recorded: held(BODY), read: BODY, copied: true };
    let cases = [
        Case { why: "all is well", ..usual() },
        Case { why: "no checksums", manners: Manners { sums: false, ..good }, ..usual() },
        Case { why: "no copies", manners: Manners { copies: false, ..good }, copied: false, ..usual() },
        Case { why: "gone there", there: None, copied: false, ..usual() },
        Case { why: "another size there", there: Some(b"short"), copied: false, ..usual() },
        Case { why: "another content there", there: Some(b"THE CONTENT"), copied: false, ..usual() },
        Case { why: "replaced meanwhile", recorded: held(b"another one"), copied: false, ..usual() },
        Case { why: "not recorded any more", recorded: None, copied: false, ..usual() },
        Case { why: "never read", recorded: Some(Entry::file(print(BODY), None)), copied: false, ..usual() },
        Case {
            why: "the local file is another one",
            read: b"formerly so",
            recorded: held(b"formerly so"),
            copied: false,
            ..usual()
        },
    ];
    for case in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("new"), BODY).unwrap();
        let remote = MemoryRemote::new(Options { manners: case.manners, ..Options::default() });
        let (old, new) = (RelPath::new("old").unwrap(), RelPath::new("new").unwrap());
        if let Some(body) = case.there {
            remote.edit(|tree| tree.store(&old, Bytes::from_static(body))).unwrap();
        }
        let like = Some(Like { path: old.clone(), digest: digest(case.read), beside: None });
        let operation = Operation::Put { path: new.clone(), print: print(BODY), equal_to: None, mode: None, like };
        let job = Job { id: JobId(1), operation, temp: Some(RelPath::new(".towline-x-1.part").unwrap()) };
        let care = Care {
            place: Place { path: dir.path().to_owned(), view: View::default() },
            digests: Digests::default(),
            abilities: Abilities { copies: Some(case.manners.copies), ..Abilities::UNKNOWN },
            drift: Drift::KeepRemote,
            recorded: vec![None, case.recorded],
            former: None,
            witnesses: Vec::new(),
            in_place: false,
            now: clock::now(),
            versions: Versions::default(),
            goes_on: true,
            stages: false,
        };
        let (mut session, before) = (remote.connect().await.unwrap(), remote.stored());
        let report = worker::run(&mut session, &job, &care, Arc::default()).await;
        let Outcome::Done(Done::Holds { digest: held, sent, .. }) = report.outcome else {
            panic!("{}: {:?}", case.why, report.outcome)
        };
        assert_eq!((held, sent == 0), (digest(BODY), case.copied), "{}", case.why);
        assert_eq!(remote.stored() == before, case.copied, "{}", case.why);
        let live = remote.live();
        assert!(matches!(&live[&new], Node::File { body, .. } if **body == *BODY), "{}: {live:?}", case.why);
        assert_eq!(live.contains_key(&old), case.there.is_some(), "{}", case.why);
        assert_eq!(remote.temporaries(), [], "{}", case.why);
    }
}

#[tokio::test]
async fn what_has_only_grown_is_added_to_and_all_else_is_sent() {
    const OLD: &[u8] = b"line 1\nline 2\n";
    let good = Manners { copies: true, sums: true, ..Manners::default() };
    for (why, manners, there, recorded, now, sent) in [
        ("it has grown", good, OLD, OLD, &b"line 1\nline 2\nline 3\n"[..], 7),
        ("no checksums", Manners { sums: false, ..good }, OLD, OLD, b"line 1\nline 2\nline 3\n", 7),
        ("no copies", Manners { copies: false, ..good }, OLD, OLD, b"line 1\nline 2\nline 3\n", 21),
        ("changed in front", good, OLD, OLD, b"LINE 1\nline 2\nline 3\n", 21),
        ("shorter", good, OLD, OLD, b"line 1\n", 7),
        ("another one there, told by its size", good, b"x", OLD, b"line 1\nline 2\nline 3\n", 21),
        ("another one there, told by its checksum", good, b"LINE 1\nline 2\n", OLD, b"line 1\nline 2\nline 3\n", 21),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log"), now).unwrap();
        let remote = MemoryRemote::new(Options { manners, ..Options::default() });
        let path = RelPath::new("log").unwrap();
        remote.edit(|tree| tree.store(&path, Bytes::from_static(there))).unwrap();
        let care = Care {
            place: Place { path: dir.path().to_owned(), view: View::default() },
            digests: Digests::default(),
            abilities: Abilities { copies: Some(manners.copies), ..Abilities::UNKNOWN },
            drift: Drift::Overwrite,
            recorded: vec![Some(Entry::file(print(recorded), Some(digest(recorded)))); 2],
            former: None,
            witnesses: Vec::new(),
            in_place: false,
            now: clock::now(),
            versions: Versions::default(),
            goes_on: true,
            stages: false,
        };
        let planned = body::digest(care.place.clone(), path.clone()).await.unwrap().print;
        let like = Some(Like { path: path.clone(), digest: digest(recorded), beside: None });
        let operation = Operation::Put { path: path.clone(), print: planned, equal_to: None, mode: None, like };
        let job = Job { id: JobId(1), operation, temp: Some(RelPath::new(".towline-x-1.part").unwrap()) };
        let mut session = remote.connect().await.unwrap();
        let report = worker::run(&mut session, &job, &care, Arc::default()).await;
        let Outcome::Done(Done::Holds { digest: held, sent: bytes, .. }) = report.outcome else {
            panic!("{why}: {:?}", report.outcome)
        };
        assert_eq!((held, bytes), (digest(now), sent), "{why}");
        assert!(matches!(&remote.live()[&path], Node::File { body, .. } if **body == *now), "{why}");
        assert_eq!(remote.temporaries(), [], "{why}");
    }
}
