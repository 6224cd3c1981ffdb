//! The digest of a stream, and with it the digests of its chunks, which are inner nodes of the same tree (blake3): each byte is
//! hashed once.

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use crate::model::{CHUNK, CHUNKED, Chunks, Digest};

/// A digest that is being computed.
pub(super) struct Digesting {
    /// Of all of it; or of the current chunk, where chunks are told apart.
    hasher: Hasher,
    /// Bytes in the current chunk, and the chunks before it.
    chunks: Option<(u64, Vec<ChainingValue>)>,
}

impl Digesting {
    /// Of a file that is said to have `size` bytes: chunks are told apart where that is of use.
    pub(super) fn of_size(size: u64) -> Self {
        Self { hasher: Hasher::new(), chunks: CHUNKED.contains(&size).then(|| (0, Vec::new())) }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let Some((filled, full)) = &mut self.chunks else {
            self.hasher.update(bytes);
            return;
        };
        while !bytes.is_empty() {
            // The last chunk may be the root, so a full one is not put away before there is more.
            if *filled == CHUNK {
                full.push(self.hasher.finalize_non_root());
                self.hasher = Hasher::new();
                self.hasher.set_input_offset(full.len() as u64 * CHUNK);
                *filled = 0;
            }
            let (now, rest) = bytes.split_at(usize::try_from(CHUNK - *filled).map_or(bytes.len(), |room| room.min(bytes.len())));
            self.hasher.update(now);
            *filled += now.len() as u64;
            bytes = rest;
        }
    }

    pub(super) fn finish(self) -> (Digest, Option<Chunks>) {
        let Some((_, mut nodes)) = self.chunks.filter(|(_, full)| !full.is_empty()) else {
            return (Digest(*self.hasher.finalize().as_bytes()), None);
        };
        nodes.push(self.hasher.finalize_non_root());
        let (left, right) = halves(&nodes);
        let root = merge_subtrees_root(&merged(left), &merged(right), Mode::Hash);
        (Digest(*root.as_bytes()), Some(Chunks::new(&nodes)))
    }
}

/// The node over these, of which there is at least one.
fn merged(nodes: &[ChainingValue]) -> ChainingValue {
    match nodes {
        [node] => *node,
        _ => {
            let (left, right) = halves(nodes);
            merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

/// The left one has the greatest power of two that leaves something to the right one.
fn halves(nodes: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    nodes.split_at(nodes.len().next_power_of_two() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digested(body: &[u8], piece: usize) -> (Digest, Option<Chunks>) {
        let mut digesting = Digesting { hasher: Hasher::new(), chunks: Some((0, Vec::new())) };
        body.chunks(piece).for_each(|piece| digesting.update(piece));
        digesting.finish()
    }

    #[test]
    fn it_is_the_digest_of_all_and_has_every_chunk() {
        let chunk = usize::try_from(CHUNK).unwrap();
        let body: Vec<u8> = (0..5 * chunk + 700).map(|n| (n % 251) as u8).collect();
        for size in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk - 5, 4 * chunk, 5 * chunk + 700] {
            for piece in [chunk / 3 + 1, chunk, 2 * chunk + 7] {
                let (digest, chunks) = digested(&body[..size], piece);
                assert_eq!(digest.0, *blake3::hash(&body[..size]).as_bytes(), "{size} bytes in pieces of {piece}");
                let count = if size > chunk { Some(size.div_ceil(chunk)) } else { None };
                assert_eq!(chunks.as_ref().map(Chunks::count), count, "{size}");
            }
        }
        let (_, before) = digested(&body, chunk);
        let mut other = body.clone();
        other[3 * chunk] ^= 1;
        other.push(9);
        let (before, now) = (before.unwrap(), digested(&other, chunk).1.unwrap());
        assert_eq!(now.changed_since(&before).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn small_and_huge_files_have_no_chunks() {
        for size in [CHUNKED.start() - 1, CHUNKED.end() + 1] {
            let mut digesting = Digesting::of_size(size);
            digesting.update(&[1; 3 << 18]);
            assert_eq!(digesting.finish(), (Digest(*blake3::hash(&[1; 3 << 18]).as_bytes()), None));
        }
    }
}
