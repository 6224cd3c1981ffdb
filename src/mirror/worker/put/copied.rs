//! Content that the server has is copied there instead of being sent: from another name, or, where a file was changed, from its own; then
//! what is new is added to the copy (`grown`) or written over in it (`patched.rs`). Either goes to the temporary name of the put, and ends
//! in the same proof as one; where any step of it fails, the file is sent.

use std::sync::{Arc, atomic::AtomicU64};

use super::{Made, patched};
use crate::{
    mirror::{
        audit::content::{PART, checksums_there, sums_here},
        body::{self, Content, FileBody},
        drift::Care,
    },
    model::{Checksum, Entry, Fingerprint, How, Kind, Like, RelPath},
    remote::{RemoteError, Session},
};

/// Copies the content of `like` to the temporary name of `to` (a path and its temporary name), if the server can, `like` is there as it
/// was recorded, and the local file is as it was planned. `None`: all of it is to be sent.
///
/// # Errors
/// When the session is lost.
pub(super) async fn copied<S: Session>(
    session: &mut S,
    like: &Like,
    (path, temp): (&RelPath, &RelPath),
    planned: &Fingerprint,
    care: &Care,
) -> Result<Option<Made>, RemoteError> {
    if recorded(like, care) != Some(planned.size) {
        return Ok(None);
    }
    let summed = planned.size <= PART;
    let Some(sum) = duplicated(session, like, temp, planned.size, care, summed).await? else { return Ok(None) };
    let there = match sum {
        Some(sum) => vec![sum],
        None => usable(checksums_there(session, temp, planned.size).await)?.flatten().unwrap_or_default(),
    };
    let content = match there.first().map(Checksum::algorithm) {
        Some(algorithm) => match sums_here(care.place.clone(), path.clone(), algorithm, u64::MAX).await {
            Ok((content, here)) if here == there => content,
            _ => return Ok(None),
        },
        None => match care.digests.of(care.place.clone(), path.clone()).await {
            Ok(content) => content,
            Err(_) => return Ok(None),
        },
    };
    let is_it = content.digest == like.digest && content.bytes == planned.size;
    Ok(is_it.then_some(Made { content, sent: 0, how: How::Copied }))
}

/// The same for a local file that has much in common with what the server has at its path, which is `like`; `sent` counts what is sent
/// of it.
///
/// # Errors
/// When the session is lost.
pub(super) async fn changed<S: Session>(
    session: &mut S,
    like: &Like,
    (path, temp): (&RelPath, &RelPath),
    planned: &Fingerprint,
    care: &Care,
    sent: Arc<AtomicU64>,
) -> Result<Option<Made>, RemoteError> {
    let Some(there) = recorded(like, care).filter(|there| *there <= planned.size) else { return Ok(None) };
    // It is only looked at for now: where too much is new, that costs a reading and no more.
    let read = body::digest_and_prefix(care.place.clone(), path.clone(), there).await;
    let Some((content, beginning)) = read.ok().filter(|(content, _)| content.print == *planned) else { return Ok(None) };
    if beginning == like.digest && there < planned.size {
        return Box::pin(grown(session, like, (path, temp), content, there, care, sent)).await;
    }
    match &care.former {
        Some(former) => Box::pin(patched::patched(session, like, (path, temp), content, former, there, care, sent)).await,
        None => Ok(None),
    }
}

/// Copies what is `there`, so many bytes, and adds what is behind them in the local file.
async fn grown<S: Session>(
    session: &mut S,
    like: &Like,
    (path, temp): (&RelPath, &RelPath),
    content: Content,
    there: u64,
    care: &Care,
    sent: Arc<AtomicU64>,
) -> Result<Option<Made>, RemoteError> {
    session.study().await?;
    if duplicated(session, like, temp, there, care, false).await?.is_none() {
        return Ok(None);
    }
    let mut body = FileBody::behind(care.place.clone(), path.clone(), sent, there);
    let Some(bytes) = usable(session.append(temp, &mut body).await)? else { return Ok(None) };
    let content = match body.finish().await {
        Some(Ok(again)) if again == content && again.bytes == there + bytes => again,
        _ => return Ok(None),
    };
    let is_it = is_equal(session, temp, path, &content, care).await?.unwrap_or(true);
    Ok(is_it.then_some(Made { content, sent: bytes, how: How::Appended }))
}

/// Whether the checksums of `temp` on the server are those of `path` here, which was read to hold `content` and still does; `None` where
/// the server computes none.
pub(super) async fn is_equal<S: Session>(
    session: &mut S,
    temp: &RelPath,
    path: &RelPath,
    content: &Content,
    care: &Care,
) -> Result<Option<bool>, RemoteError> {
    let there = usable(checksums_there(session, temp, content.bytes).await)?.flatten().unwrap_or_default();
    let Some(algorithm) = there.first().map(Checksum::algorithm) else { return Ok(None) };
    let here = sums_here(care.place.clone(), path.clone(), algorithm, u64::MAX).await;
    Ok(Some(here.is_ok_and(|(again, here)| again == *content && here == there)))
}

/// Copies `like`, of `size` bytes, to `temp`, if the server can. `None` unless it was there as it was recorded, and as many bytes are there
/// now; else the copy's checksum, if it was to be `summed` and the server told it at once.
pub(super) async fn duplicated<S: Session>(
    session: &mut S,
    like: &Like,
    temp: &RelPath,
    size: u64,
    care: &Care,
    summed: bool,
) -> Result<Option<Option<Checksum>>, RemoteError> {
    if care.abilities.copies != Some(true) {
        return Ok(None);
    }
    let Some(Some(found)) = usable(session.examine(&like.path).await)? else { return Ok(None) };
    if found.kind != Kind::File || care.objection(LIKE, Some(&found), None).is_some() {
        return Ok(None);
    }
    let made = usable(session.duplicate(&like.path, temp, size, summed).await)?;
    Ok(made.filter(|made| made.size == Some(size)).map(|made| made.sum))
}

/// The place of what is copied among what the put regards.
const LIKE: usize = 1;

/// How many bytes the server is recorded to hold of this content there; it may have been replaced since this was planned.
fn recorded(like: &Like, care: &Care) -> Option<u64> {
    match care.recorded.get(LIKE).copied().flatten()? {
        Entry::File { print, digest: Some(digest), .. } if digest == like.digest => Some(print.size),
        _ => None,
    }
}

/// `None` for what failed while the session can still be used.
pub(super) fn usable<T>(result: Result<T, RemoteError>) -> Result<Option<T>, RemoteError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.session_survives() => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
