//! Finding out what a file on the server holds: by checksums that the server computes and that are computed here of a file that
//! is known to be equal, or by reading it back.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Line;
use crate::{
    blocking,
    mirror::{
        Progress,
        body::{self, Content, Unread},
    },
    model::{Algorithm, Checksum, Digest, RelPath, Summing},
    remote::{Remote, RemoteError, Session},
    scan::Place,
};

/// Bytes of which a server is asked for a checksum at once: it has to answer in time.
pub(in crate::mirror) const PART: u64 = 256 * 1024 * 1024;
/// Pieces between the network and the digest.
const AHEAD: usize = 4;

/// The digest of the file `path`, which has `size` bytes, read back. What comes of it is counted as `progress`.
pub(super) async fn read_back<R: Remote>(
    line: &mut Line<'_, R>,
    path: &RelPath,
    size: u64,
    progress: &Progress,
) -> Result<Result<Digest, RemoteError>, RemoteError> {
    line.try_ask(async |session: &mut R::Session| digest_there(session, path, size, progress).await).await
}

/// The same over a session.
pub(super) async fn digest_there<S: Session>(
    session: &mut S,
    path: &RelPath,
    size: u64,
    progress: &Progress,
) -> Result<Digest, RemoteError> {
    progress.begin();
    let (into, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
    let digesting = async {
        let mut hasher = blake3::Hasher::new();
        while let Some(piece) = pieces.recv().await {
            hasher.update(&piece);
            progress.came(piece.len());
        }
        Digest(*hasher.finalize().as_bytes())
    };
    let (fetched, digest) = tokio::join!(session.fetch(path, size, into), digesting);
    fetched.map(|()| digest)
}

/// The checksums that the server computes of a file of `size` bytes, part by part; `None` where it does not.
pub(super) async fn sums_there<R: Remote>(
    line: &mut Line<'_, R>,
    path: &RelPath,
    size: u64,
) -> Result<Option<Vec<Checksum>>, RemoteError> {
    let sums = line.try_ask(async |session: &mut R::Session| checksums_there(session, path, size).await).await?;
    Ok(sums.unwrap_or(None))
}

/// The same over a session.
pub(in crate::mirror) async fn checksums_there<S: Session>(
    session: &mut S,
    path: &RelPath,
    size: u64,
) -> Result<Option<Vec<Checksum>>, RemoteError> {
    let mut sums = Vec::new();
    for part in parts(size) {
        match session.checksum(path, (size > PART).then_some(part)).await? {
            Some(sum) => sums.push(sum),
            None => return Ok(None),
        }
    }
    Ok(Some(sums))
}

/// The same of the first `bytes` of the local file, and what all of it was when it was read.
pub(in crate::mirror) async fn sums_here(
    place: Place,
    path: RelPath,
    algorithm: Algorithm,
    bytes: u64,
) -> Result<(Content, Vec<Checksum>), Unread> {
    let read = move || {
        let (mut parts, mut left) = (Parts::new(algorithm, PART), bytes);
        let content = body::read(&place, &path, |piece| {
            let piece = &piece[..usize::try_from(left).unwrap_or(usize::MAX).min(piece.len())];
            left -= piece.len() as u64;
            parts.update(piece);
            true
        })?;
        Ok((content, parts.finish()))
    };
    blocking::run(read).await.unwrap_or(Err(Unread::Changing))
}

/// First bytes and those behind the last ones; one part at least.
fn parts(size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(PART).max(1)).map(move |n| (n * PART, size.min((n + 1) * PART)))
}

/// Checksums of stretches of a stream.
struct Parts {
    algorithm: Algorithm,
    length: u64,
    left: u64,
    current: Summing,
    done: Vec<Checksum>,
}

impl Parts {
    fn new(algorithm: Algorithm, length: u64) -> Self {
        Self { algorithm, length, left: length, current: Summing::new(algorithm), done: Vec::new() }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let full = std::mem::replace(&mut self.current, Summing::new(self.algorithm));
                self.done.push(full.finish());
                self.left = self.length;
            }
            let (now, rest) = bytes.split_at(usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len())));
            self.current.update(now);
            self.left -= now.len() as u64;
            bytes = rest;
        }
    }

    fn finish(mut self) -> Vec<Checksum> {
        self.done.push(self.current.finish());
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_stream_are_those_that_are_asked_for() {
        assert_eq!(parts(0).collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(parts(PART).collect::<Vec<_>>(), [(0, PART)]);
        assert_eq!(parts(PART + 1).collect::<Vec<_>>(), [(0, PART), (PART, PART + 1)]);
        let sum = |bytes: &[u8]| Checksum::of(Algorithm::Crc32, bytes);
        for (text, expected) in [
            (&b""[..], vec![sum(b"")]),
            (b"abcd", vec![sum(b"abcd")]),
            (b"abcde", vec![sum(b"abcd"), sum(b"e")]),
            (b"abcdefgh", vec![sum(b"abcd"), sum(b"efgh")]),
        ] {
            for piece in 1..6 {
                let mut parts = Parts::new(Algorithm::Crc32, 4);
                text.chunks(piece).for_each(|bytes| parts.update(bytes));
                assert_eq!(parts.finish(), expected, "{text:?} in pieces of {piece}");
            }
        }
    }
}
