//! What is written over, and everything that makes it a put after all.

use bytes::Bytes;

use super::*;
use crate::{
    clock,
    mirror::{Drift, body, siblings::Digests, worker},
    model::{Abilities, Digest, Done, Entry, Fingerprint, Job, JobId, Operation, Outcome, Versions},
    remote::{
        Remote,
        memory::{
            MemoryRemote, Options,
            tree::{Manners, Node},
        },
    },
    scan::{Place, View},
};

fn chunks(digests: &[u8]) -> Chunks {
    Chunks::new(&digests.iter().map(|n| [*n; 32]).collect::<Vec<_>>())
}

#[test]
fn what_changed_is_written_over_in_as_few_stretches_as_pay() {
    const N: usize = 100;
    let former = chunks(&[0; N]);
    let patch = |changed: &[usize], size: u64| {
        let mut now = [0; N];
        changed.iter().for_each(|at| now[*at] = 1);
        Patch::of(&chunks(&now), &former, size)
    };
    let stretches = |stretches: &[(u64, u64)], chunks| {
        let bytes = |(start, end): &(u64, u64)| start * CHUNK..end * CHUNK;
        Some(Patch { stretches: stretches.iter().map(bytes).collect(), chunks })
    };
    let size = N as u64 * CHUNK;
    assert_eq!(patch(&[], size), None, "nothing changed");
    assert_eq!(patch(&[7], size), stretches(&[(7, 8)], 1));
    assert_eq!(patch(&[7, 8, 11], size), stretches(&[(7, 12)], 5), "what lies between goes along");
    assert_eq!(patch(&[7, 11], size), stretches(&[(7, 8), (11, 12)], 2));
    let short = patch(&[99], size - 5).unwrap();
    assert_eq!((short.stretches.first(), short.chunks), (Some(&(99 * CHUNK..size - 5)), 1), "the last one is short");
    assert_eq!(patch(&(0..47).collect::<Vec<_>>(), size).map(|patch| patch.chunks), None, "half of it is sent as soon as all");
    assert_eq!(patch(&(0..46).collect::<Vec<_>>(), size).map(|patch| patch.chunks), Some(46));
    assert_eq!(patch(&(0..10).map(|n| n * 10).collect::<Vec<_>>(), size).map(|patch| patch.chunks), Some(10));
    assert_eq!(patch(&(0..11).map(|n| n * 9).collect::<Vec<_>>(), size), None, "too many stretches");
}

/// What a file of eight chunks was.
fn old() -> Vec<u8> {
    (0..8 * CHUNK).flat_map(|n| u8::try_from(n % 239)).collect()
}

fn digest(content: &[u8]) -> Digest {
    Digest(*blake3::hash(content).as_bytes())
}

#[tokio::test]
async fn what_was_changed_inside_is_written_over_and_all_else_is_sent() {
    const EIGHT: u64 = 8 * CHUNK;
    // Of a file of two chunks and more nothing is known by chunks; of this one it is.
    let size = usize::try_from(EIGHT).unwrap() * 4;
    let old: Vec<u8> = old().into_iter().cycle().take(size).collect();
    let inside = |at: usize| {
        let mut now = old.clone();
        now[at..at + 100].fill(b'!');
        now
    };
    let grown = [&inside(3_000_000)[..], b"and more"].concat();
    let good = Manners { copies: true, sums: true, ..Manners::default() };
    let all = size as u64;
    for (why, manners, there, now, sent) in [
        ("changed inside", good, &old, inside(3_000_000), CHUNK),
        ("changed at its start", good, &old, inside(0), CHUNK),
        ("over an edge", good, &old, inside(usize::try_from(CHUNK).unwrap() - 50), 2 * CHUNK),
        ("changed inside, and grown", good, &old, grown, CHUNK + 8),
        ("shorter", good, &old, inside(5)[..size - 1].to_vec(), all - 1),
        ("no checksums", Manners { sums: false, ..good }, &old, inside(0), all),
        ("no copies", Manners { copies: false, ..good }, &old, inside(0), all),
        ("another one there, told by its checksum", good, &inside(5_000_000), inside(0), all),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let remote = MemoryRemote::new(Options { manners, ..Options::default() });
        let path = RelPath::new("image").unwrap();
        remote.edit(|tree| tree.store(&path, Bytes::from(there.clone()))).unwrap();
        let place = Place { path: dir.path().to_owned(), view: View::default() };
        std::fs::write(dir.path().join("image"), &old).unwrap();
        let former = body::digest(place.clone(), path.clone()).await.unwrap();
        std::fs::write(dir.path().join("image"), &now).unwrap();
        let care = Care {
            digests: Digests::default(),
            abilities: Abilities { copies: Some(manners.copies), ..Abilities::UNKNOWN },
            place: place.clone(),
            drift: Drift::Overwrite,
            recorded: vec![Some(Entry::file(Fingerprint { size: all, ..former.print }, Some(digest(&old)))); 2],
            former: former.chunks,
            witnesses: Vec::new(),
            in_place: false,
            now: clock::now(),
            versions: Versions::default(),
            goes_on: true,
            stages: false,
        };
        let planned = body::digest(place, path.clone()).await.unwrap().print;
        let like = Some(Like { path: path.clone(), digest: digest(&old), beside: None });
        let operation = Operation::Put { path: path.clone(), print: planned, equal_to: None, mode: None, like };
        let job = Job { id: JobId(1), operation, temp: Some(RelPath::new(".towline-x-1.part").unwrap()) };
        let mut session = remote.connect().await.unwrap();
        let report = worker::run(&mut session, &job, &care, Arc::default()).await;
        let Outcome::Done(Done::Holds { digest: held, sent: bytes, how, .. }) = report.outcome else {
            panic!("{why}: {:?}", report.outcome)
        };
        let is_patched = matches!(how, How::Patched { of: 32, .. });
        assert_eq!((held, bytes, is_patched), (digest(&now), sent, sent < all - 1), "{why}");
        assert!(matches!(&remote.live()[&path], Node::File { body, .. } if **body == *now), "{why}");
        assert_eq!(remote.temporaries(), [], "{why}");
        assert!(report.chunks.is_some(), "{why}: for the next time");
    }
}
