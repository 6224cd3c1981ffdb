//! What a large file holds, chunk by chunk: enough to tell which parts of it are other ones than before.

use std::{ops::RangeInclusive, sync::Arc};

/// Bytes of a chunk. Chunks lie at fixed places: FTP can write over bytes of a file (REST and STOR, RFC 3659 section 5), but not
/// move them, so that nothing would come of finding content that has moved within its file.
pub const CHUNK: u64 = 256 * 1024;

/// Files of this size are known by their chunks. A smaller one is sent sooner than it is patched; a larger one takes a server longer to
/// copy than any reply is waited for.
pub const CHUNKED: RangeInclusive<u64> = 4 << 20..=16 << 30;

/// Bytes that are kept of a chunk's digest.
const KEPT: usize = 16;

/// The digests of a file's chunks, in their order; the last chunk may be short. Each depends on where its chunk lies. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks(Arc<[[u8; KEPT]]>);

impl Chunks {
    /// Those with these digests.
    pub fn new<'d>(digests: impl IntoIterator<Item = &'d [u8; 32]>) -> Self {
        let kept = |digest: &[u8; 32]| {
            let mut kept = [0; KEPT];
            kept.copy_from_slice(&digest[..KEPT]);
            kept
        };
        Self(digests.into_iter().map(kept).collect())
    }

    /// As they were written down; `None` if these bytes were not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (digests, rest) = bytes.as_chunks();
        rest.is_empty().then(|| Self(digests.into()))
    }

    /// To be written down.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The numbers of those that are not the same in `former`, or not there.
    pub fn changed_since<'c>(&'c self, former: &'c Self) -> impl Iterator<Item = usize> + 'c {
        (0..self.0.len()).filter(|at| self.0.get(*at) != former.0.get(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_by_its_number() {
        let chunks = |digests: &[u8]| Chunks::new(&digests.iter().map(|n| [*n; 32]).collect::<Vec<_>>());
        let changed = |now: &[u8], former: &[u8]| chunks(now).changed_since(&chunks(former)).collect::<Vec<_>>();
        assert_eq!(changed(&[1, 2, 3], &[1, 2, 3]), [0; 0]);
        assert_eq!(changed(&[1, 9, 3], &[1, 2, 3]), [1]);
        assert_eq!(changed(&[1, 2, 3, 4], &[1, 2, 3]), [3], "it has grown");
        assert_eq!(changed(&[1, 2], &[1, 2, 3]), [0; 0], "it is shorter, and all of it was there");
        assert_eq!(changed(&[5], &[]), [0]);
    }

    #[test]
    fn they_are_read_as_they_were_written() {
        let chunks = Chunks::new(&[[7; 32], [8; 32]]);
        assert_eq!((chunks.count(), Chunks::from_bytes(&chunks.to_bytes())), (2, Some(chunks)));
        assert_eq!(Chunks::from_bytes(&[0; KEPT + 1]), None);
    }
}
