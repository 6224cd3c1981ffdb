//! Content that the server has under another name is copied there, on the server, instead of being sent; and a file that has only grown is
//! copied, and what is new is added to the copy. Either goes to the temporary name of the put, and ends in the same proof as one; where
//! any step of it fails, the file is sent.

use std::sync::{Arc, atomic::AtomicU64};

use crate::{
    mirror::{
        audit::content::{checksums_there, sums_here},
        body::{self, Content, FileBody},
        drift::Care,
    },
    model::{Checksum, Entry, Fingerprint, Kind, Like, RelPath},
    remote::{RemoteError, Session},
};

/// Copies the content of `like` to the temporary name of `to` (a path and its temporary name), if the server can, `like` is there as it
/// was recorded, and the local file is as it was planned. What the local file was read to hold, and how many bytes were sent; `None`: all
/// of it is to be sent.
///
/// # Errors
/// When the session is lost.
pub(super) async fn copied<S: Session>(
    session: &mut S,
    like: &Like,
    (path, temp): (&RelPath, &RelPath),
    planned: &Fingerprint,
    care: &Care,
) -> Result<Option<(Content, u64)>, RemoteError> {
    if recorded(like, care) != Some(planned.size) || !duplicated(session, like, temp, planned.size, care).await? {
        return Ok(None);
    }
    let there = usable(checksums_there(session, temp, planned.size).await)?.flatten().unwrap_or_default();
    let content = match there.first().map(Checksum::algorithm) {
        Some(algorithm) => match sums_here(care.place.clone(), path.clone(), algorithm, u64::MAX).await {
            Ok((content, here)) if here == there => content,
            _ => return Ok(None),
        },
        None => match body::digest(care.place.clone(), path.clone()).await {
            Ok(content) => content,
            Err(_) => return Ok(None),
        },
    };
    Ok((content.digest == like.digest && content.bytes == planned.size).then_some((content, 0)))
}

/// The same for a local file that begins with what the server has at its path, which is `like`: that is copied, and what is behind it is
/// sent (`sent` counts it).
///
/// # Errors
/// When the session is lost.
pub(super) async fn grown<S: Session>(
    session: &mut S,
    like: &Like,
    (path, temp): (&RelPath, &RelPath),
    planned: &Fingerprint,
    care: &Care,
    sent: Arc<AtomicU64>,
) -> Result<Option<(Content, u64)>, RemoteError> {
    let Some(there) = recorded(like, care).filter(|there| *there < planned.size) else { return Ok(None) };
    // Where nothing else is new it is only looked at: whoever changes one byte in front pays for a reading, no more.
    let read = body::digest_and_prefix(care.place.clone(), path.clone(), there).await;
    let Some(content) = read.ok().filter(|(content, prefix)| *prefix == like.digest && content.print == *planned) else {
        return Ok(None);
    };
    session.study().await?;
    if !duplicated(session, like, temp, there, care).await? {
        return Ok(None);
    }
    let mut body = FileBody::behind(care.place.clone(), path.clone(), sent, there);
    let Some(bytes) = usable(session.append(temp, &mut body).await)? else { return Ok(None) };
    let content = match body.finish().await {
        Some(Ok(again)) if again == content.0 && again.bytes == there + bytes => again,
        _ => return Ok(None),
    };
    let sums = usable(checksums_there(session, temp, planned.size).await)?.flatten().unwrap_or_default();
    if let Some(algorithm) = sums.first().map(Checksum::algorithm) {
        let here = sums_here(care.place.clone(), path.clone(), algorithm, u64::MAX).await;
        if !here.is_ok_and(|(again, here)| again == content && here == sums) {
            return Ok(None);
        }
    }
    Ok(Some((content, bytes)))
}

/// Copies `like`, of `size` bytes, to `temp`, if the server can and it is there as it was recorded. Whether as many bytes are there now.
async fn duplicated<S: Session>(
    session: &mut S,
    like: &Like,
    temp: &RelPath,
    size: u64,
    care: &Care,
) -> Result<bool, RemoteError> {
    if care.abilities.copies != Some(true) {
        return Ok(false);
    }
    let Some(Some(found)) = usable(session.examine(&like.path).await)? else { return Ok(false) };
    if found.kind != Kind::File || care.objection(LIKE, Some(&found), None).is_some() {
        return Ok(false);
    }
    Ok(usable(session.copy(&like.path, temp).await)?.is_some() && usable(session.size(temp).await)?.flatten() == Some(size))
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
fn usable<T>(result: Result<T, RemoteError>) -> Result<Option<T>, RemoteError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.session_survives() => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
