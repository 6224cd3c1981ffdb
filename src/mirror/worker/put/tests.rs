//! Puts in a row on a server in memory: each is told of in its turn.

use std::{path::Path, sync::Arc};

use tokio::sync::mpsc;

use super::{LARGE, Load, run};
use crate::{
    clock,
    mirror::{Drift, drift::Care, siblings::Digests},
    model::{Abilities, Entry, Fingerprint, Job, JobId, Operation, Outcome, RelPath, Versions},
    remote::{
        Remote,
        memory::{MemoryRemote, Options},
    },
    scan::{Place, View},
};

fn load(root: &Path, id: i64, name: &str, size: usize, recorded: Option<Entry>) -> Load {
    std::fs::write(root.join(name), vec![7; size]).unwrap();
    let path = RelPath::new(name).unwrap();
    let print = Fingerprint { size: size as u64, mtime_ns: 1, ctime_ns: 1, inode: 1 };
    let operation = Operation::Put { path, print, equal_to: None, mode: None, like: None };
    let temp = Some(RelPath::new(format!(".{id}")).unwrap());
    let care = Care {
        place: Place { path: root.to_owned(), view: View::default() },
        digests: Digests::default(),
        abilities: Abilities::UNKNOWN,
        drift: Drift::KeepRemote,
        recorded: vec![recorded],
        former: None,
        witnesses: Vec::new(),
        in_place: false,
        now: clock::now(),
        versions: Versions::default(),
        goes_on: true,
        stages: false,
    };
    Load { job: Job { id: JobId(id), operation, temp }, care, sent: Arc::default() }
}

/// What came of each job, in the order in which it was told; that of the last is told by the task's end.
async fn told(loads: Vec<Load>, remote: &MemoryRemote) -> Vec<(i64, bool)> {
    let mut session = remote.connect().await.unwrap();
    let last = loads.last().unwrap().job.id;
    let (behind, mut more) = mpsc::channel(8);
    let mut loads = loads.into_iter();
    let first = loads.next().unwrap();
    for load in loads {
        behind.try_send(load).map_err(drop).unwrap();
    }
    let mut told = Vec::new();
    let done = |outcome: &Outcome| matches!(outcome, Outcome::Done(_));
    let (end, lives) =
        run(&mut session, first, &mut more, || {}, |job, report| told.push((job.id.0, done(&report.outcome)))).await;
    assert!(lives);
    told.push((last.0, done(&end.unwrap().outcome)));
    told
}

/// What came of one was taken for what came of its neighbour.
#[tokio::test]
async fn each_is_told_of_in_its_turn_though_one_is_over_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let remote = MemoryRemote::new(Options::default());
    let put = |id, name: &str| load(dir.path(), id, name, 5, None);
    for (loads, expected) in [
        (vec![put(1, "a"), put(2, "b\nb"), put(3, "c")], vec![(1, true), (2, false), (3, true)]),
        (vec![put(4, "d"), put(5, "e\ne")], vec![(4, true), (5, false)]),
        (vec![put(6, "f\nf"), put(7, "g\ng"), put(8, "h")], vec![(6, false), (7, false), (8, true)]),
    ] {
        assert_eq!(told(loads, &remote).await, expected);
    }
    let live: Vec<String> = remote.live().keys().map(ToString::to_string).collect();
    assert_eq!(live, ["a", "c", "d", "h"]);
}

/// Somebody else's file is at the path of a large one, which is compared before anything is sent.
#[tokio::test]
async fn each_is_told_of_in_its_turn_though_one_is_compared_first() {
    let dir = tempfile::tempdir().unwrap();
    let remote = MemoryRemote::new(Options::default());
    let path = RelPath::new("theirs").unwrap();
    remote.edit(|tree| tree.store(&path, bytes::Bytes::from_static(b"theirs"))).unwrap();
    let large = usize::try_from(LARGE).unwrap() + 1;
    let loads =
        vec![load(dir.path(), 1, "a", 5, None), load(dir.path(), 2, "theirs", large, None), load(dir.path(), 3, "c", 5, None)];
    assert_eq!(told(loads, &remote).await, [(1, true), (2, false), (3, true)]);
    assert_eq!(remote.temporaries(), []);
}
