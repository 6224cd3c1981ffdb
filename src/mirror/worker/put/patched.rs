//! A large file that was changed inside: what the server has of it is copied there, and in the copy those chunks that are other ones
//! now are written over. The server's checksum of the whole is what proves it; where it computes none, the file is sent.

use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicU64},
};

use super::{
    Made,
    copied::{duplicated, is_equal, usable},
};
use crate::{
    mirror::{
        body::{Content, PartBody},
        drift::Care,
    },
    model::{CHUNK, Chunks, How, Like, RelPath},
    remote::{RemoteError, Session},
};

/// Chunks between two that changed are sent along with them if there are no more: another stretch costs some five round trips.
const GAP: usize = 2;
/// What one more stretch costs, in bytes of body, where it is asked whether sending all of it costs less: five round trips of 20 ms at
/// 80 Mbit/s.
const STRETCH: u64 = 1 << 20;

/// Copies what is `there`, so many bytes of these chunks, and writes over what is another one in `content`. `None`: all of it is to be
/// sent.
///
/// # Errors
/// When the session is lost.
#[expect(clippy::too_many_arguments, reason = "those of `changed`, and what that found out")]
pub(super) async fn patched<S: Session>(
    session: &mut S,
    like: &Like,
    (path, temp): (&RelPath, &RelPath),
    content: Content,
    former: &Chunks,
    there: u64,
    care: &Care,
    sent: Arc<AtomicU64>,
) -> Result<Option<Made>, RemoteError> {
    let Some(patch) = content.chunks.as_ref().and_then(|now| Patch::of(now, former, content.bytes)) else { return Ok(None) };
    session.study().await?;
    if !session.overwrites() || duplicated(session, like, temp, there, care, false).await?.is_none() {
        return Ok(None);
    }
    for part in &patch.stretches {
        let (place, path, sent) = (care.place.clone(), path.clone(), Arc::clone(&sent));
        let mut body = PartBody { place, path, print: content.print, part: part.clone(), sent };
        if usable(session.overwrite(temp, part.start, &mut body).await)? != Some(part.end - part.start) {
            return Ok(None);
        }
    }
    let is_it = is_equal(session, temp, path, &content, care).await? == Some(true);
    let how = How::Patched { chunks: patch.chunks, of: u32::try_from(former.count()).unwrap_or(u32::MAX) };
    Ok(is_it.then_some(Made { content, sent: patch.bytes(), how }))
}

/// What is written over.
#[derive(Debug, PartialEq, Eq)]
struct Patch {
    /// In bytes, in order; whole chunks, but for the end of the file.
    stretches: Vec<Range<u64>>,
    /// How many chunks that are.
    chunks: u32,
}

impl Patch {
    /// What makes `now`, of a file of `size` bytes, out of `former`; `None` if sending all of it costs less.
    fn of(now: &Chunks, former: &Chunks, size: u64) -> Option<Self> {
        let mut stretches: Vec<Range<usize>> = Vec::new();
        for at in now.changed_since(former) {
            match stretches.last_mut() {
                Some(last) if at - last.end <= GAP => last.end = at + 1,
                _ => stretches.push(at..at + 1),
            }
        }
        let chunks = u32::try_from(stretches.iter().map(ExactSizeIterator::len).sum::<usize>()).ok()?;
        let bytes = |stretch: Range<usize>| stretch.start as u64 * CHUNK..size.min(stretch.end as u64 * CHUNK);
        let patch = Self { stretches: stretches.into_iter().map(bytes).collect(), chunks };
        let cost = patch.bytes() + patch.stretches.len() as u64 * STRETCH;
        (!patch.stretches.is_empty() && cost <= size / 2).then_some(patch)
    }

    fn bytes(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.end - stretch.start).sum()
    }
}

#[cfg(test)]
mod tests;
