//! What is kept of large files' chunks, and how long.

use super::*;
use crate::model::Chunks;

const SIZE: u64 = 5 << 20;

#[test]
fn chunks_are_known_while_a_file_on_the_server_has_them() {
    let mut fresh = Fresh::new();
    let chunks = |n: u8| Chunks::new(&[[n; 32], [n + 1; 32]]);
    let digest = |n: u8| Digest([n; 32]);
    fresh.holds(&[("a", read(SIZE, 1, 1))]);
    fresh.index.keep_chunks(digest(1), SIZE, &chunks(1), None).unwrap();
    assert_eq!(fresh.index.chunks(digest(1)).unwrap(), Some(chunks(1)));
    assert_eq!(fresh.index.chunks(digest(2)).unwrap(), None);
    // Another file has the same: what one of them is replaced by takes nothing away.
    fresh.holds(&[("b", read(SIZE, 2, 1)), ("a", read(SIZE, 1, 2))]);
    fresh.index.keep_chunks(digest(2), SIZE, &chunks(2), Some(digest(1))).unwrap();
    assert_eq!(fresh.index.chunks(digest(1)).unwrap(), Some(chunks(1)));
    fresh.holds(&[("b", read(SIZE, 2, 3))]);
    fresh.index.keep_chunks(digest(3), SIZE, &chunks(3), Some(digest(1))).unwrap();
    assert_eq!(fresh.index.chunks(digest(1)).unwrap(), None);
    // What went otherwise is forgotten when it is opened again.
    fresh.holds(&[("b", read(SIZE, 2, 4))]);
    let fresh = fresh.reopen();
    assert_eq!([2, 3].map(|n| fresh.index.chunks(digest(n)).unwrap()), [Some(chunks(2)), None]);
}
