//! Content that the server has under another name is copied there, on the server, instead of being sent. It goes to the temporary name
//! of the put, and ends in the same proof as one; where any step of it fails, the file is sent.

use crate::{
    mirror::{
        audit::content::{checksums_there, sums_here},
        body::{self, Content},
        drift::Care,
    },
    model::{Checksum, Entry, Fingerprint, Kind, Like, RelPath},
    remote::{RemoteError, Session},
};

/// Copies the content of `like` to the temporary name of `to` (a path and its temporary name), if the server can, `like` is there as it
/// was recorded, and the local file is as it was planned. What the local file was read to hold; `None`: it is to be sent.
///
/// # Errors
/// When the session is lost.
pub(super) async fn copied<S: Session>(
    session: &mut S,
    like: &Like,
    (path, temp): (&RelPath, &RelPath),
    planned: &Fingerprint,
    care: &Care,
) -> Result<Option<Content>, RemoteError> {
    if care.abilities.copies != Some(true) || !is_recorded(like, planned, care) {
        return Ok(None);
    }
    let Some(Some(found)) = usable(session.examine(&like.path).await)? else { return Ok(None) };
    if found.kind != Kind::File || care.objection(LIKE, Some(&found), None).is_some() {
        return Ok(None);
    }
    if usable(session.copy(&like.path, temp).await)?.is_none() {
        return Ok(None);
    }
    let size = usable(session.size(temp).await)?.flatten();
    if size != Some(planned.size) {
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
    Ok((content.digest == like.digest && content.bytes == planned.size).then_some(content))
}

/// The place of what is copied among what the put regards.
const LIKE: usize = 1;

/// Whether it is still recorded that the server holds this content there: it may have been replaced since this was planned.
fn is_recorded(like: &Like, planned: &Fingerprint, care: &Care) -> bool {
    let recorded = care.recorded.get(LIKE).copied().flatten();
    matches!(recorded, Some(Entry::File { print, digest: Some(digest), .. }) if digest == like.digest && print.size == planned.size)
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
