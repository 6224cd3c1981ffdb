//! What is added in place, and what speaks against it.

use bytes::Bytes;

use super::*;
use crate::{
    clock,
    mirror::{Drift, siblings::Digests, worker},
    model::{Abilities, Digest, Fingerprint, Job, JobId, Operation, Versions},
    remote::{
        Remote,
        memory::{MemoryRemote, Options, tree::Node},
    },
    scan::{Place, View},
};

fn digest(content: &[u8]) -> Digest {
    Digest(*blake3::hash(content).as_bytes())
}

#[tokio::test]
async fn what_is_new_is_added_where_all_is_as_recorded_and_else_the_file_is_sent() {
    const OLD: &[u8] = b"line 1\nline 2\n";
    const NEW: &[u8] = b"line 1\nline 2\nline 3\n";
    for (why, there, now, sent) in [
        ("it has grown", OLD, NEW, 7),
        ("changed in front", OLD, &b"LINE 1\nline 2\nline 3\n"[..], 21),
        ("shorter", OLD, b"line 1\n", 7),
        ("another size there", b"line 1\n", NEW, 21),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log"), now).unwrap();
        let remote = MemoryRemote::new(Options::default());
        let path = RelPath::new("log").unwrap();
        remote.edit(|tree| tree.store(&path, Bytes::from_static(there))).unwrap();
        let print = Fingerprint { size: OLD.len() as u64, mtime_ns: 1, ctime_ns: 1, inode: 1 };
        let care = Care {
            place: Place { path: dir.path().to_owned(), view: View::default() },
            digests: Digests::default(),
            abilities: Abilities::UNKNOWN,
            drift: Drift::Overwrite,
            recorded: vec![Some(Entry::file(print, Some(digest(OLD)))); 2],
            former: None,
            witnesses: Vec::new(),
            in_place: true,
            now: clock::now(),
            versions: Versions::default(),
            goes_on: true,
            stages: false,
        };
        let planned = body::digest(care.place.clone(), path.clone()).await.unwrap().print;
        let like = Some(Like { path: path.clone(), digest: digest(OLD), beside: None });
        let operation = Operation::Put { path: path.clone(), print: planned, equal_to: None, mode: None, like };
        let job = Job { id: JobId(1), operation, temp: Some(RelPath::new(".towline-x-1.part").unwrap()) };
        let mut session = remote.connect().await.unwrap();
        let report = worker::run(&mut session, &job, &care, Arc::default()).await;
        let Outcome::Done(Done::Holds { digest: held, sent: bytes, how, .. }) = report.outcome else {
            panic!("{why}: {:?}", report.outcome)
        };
        let expected = if sent < now.len() as u64 { How::Appended } else { How::Sent };
        assert_eq!((held, bytes, how), (digest(now), sent, expected), "{why}");
        assert!(matches!(&remote.live()[&path], Node::File { body, .. } if **body == *now), "{why}");
        assert_eq!(remote.temporaries(), [], "{why}");
    }
}
