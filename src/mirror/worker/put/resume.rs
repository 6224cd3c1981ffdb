//! Goes on with an upload that was cut off, behind the bytes that the server is shown to have.

use std::sync::{Arc, atomic::AtomicU64};

use super::{LARGE, Made, Proven, Sent, compared, is_dead, proven, renamed_alone};
use crate::{
    mirror::{
        audit::content::{checksums_there, sums_here},
        body::FileBody,
        drift::Care,
        worker::Report,
    },
    model::{Checksum, How, Job, Operation},
    remote::{Class, RemoteError, Session},
};

/// Less than this on the server is not worth its questions.
const WORTH: u64 = 64 * 1024;

/// Whether an upload of `size` bytes is gone on with.
pub(super) fn is_large(size: u64) -> bool {
    size >= LARGE
}

/// Whether something may be left of an upload of `size` bytes that ended with this, though the session did not end.
pub(super) fn is_worth_it(error: &RemoteError, size: u64) -> bool {
    error.class == Class::Transient && error.session_survives() && is_large(size)
}

/// Goes on with `job`, a put in doubt, if the server has the beginning of it under its temporary name, computes a checksum of that,
/// and the local file is as it was planned. `None`: it is to be asked what became of it, and to be sent from its start.
///
/// # Errors
/// When the questions were not answered.
pub(in crate::mirror) async fn resume<S: Session>(
    session: &mut S,
    job: &Job,
    care: &Care,
    sent: Arc<AtomicU64>,
) -> Result<Option<Report>, RemoteError> {
    let (Operation::Put { path, print: planned, .. }, Some(temp)) = (&job.operation, &job.temp) else { return Ok(None) };
    if !care.goes_on || !is_large(planned.size) {
        return Ok(None);
    }
    let Some(there) = session.size(temp).await?.filter(|there| (WORTH..=planned.size).contains(there)) else { return Ok(None) };
    session.study().await?;
    if let Some(report) = compared(session, path, job, None, care).await {
        return Ok(is_dead(&report).then_some(report));
    }
    let sums = match checksums_there(session, temp, there).await {
        Ok(sums) => sums.unwrap_or_default(),
        Err(e) if e.session_survives() => return Ok(None),
        Err(e) => return Err(e),
    };
    let Some(algorithm) = sums.first().map(Checksum::algorithm) else { return Ok(None) };
    let here = sums_here(care.place.clone(), path.clone(), algorithm, there).await;
    // If it was changed meanwhile nothing is mixed: it begins anew.
    if !here.is_ok_and(|(content, here)| content.print == *planned && here == sums) {
        return Ok(None);
    }
    tracing::info!(%path, there, size = planned.size, "going on with an upload that was cut off");
    let mut body = FileBody::behind(care.place.clone(), path.clone(), sent, there);
    let bytes = match session.append(temp, &mut body).await {
        Ok(bytes) => bytes,
        // Not every server adds to files; and what fails here as well begins anew, later.
        Err(e) if e.session_survives() => return Ok(None),
        Err(e) => return Ok(Some(Report::failed(e))),
    };
    let content = match body.finish().await {
        Some(Ok(content)) if content.print == *planned && content.bytes == there + bytes => content,
        _ => return Ok(None),
    };
    let report =
        match proven(session, job.clone(), care, Made { content, sent: bytes, how: How::Sent }, None, &mut || false).await {
            Proven::Is(Sent::Ready(ready)) => renamed_alone(session, ready).await.1,
            Proven::Is(Sent::Ended(_, report)) => report,
            Proven::Lacks(..) => return Ok(None),
        };
    Ok(Some(report))
}
