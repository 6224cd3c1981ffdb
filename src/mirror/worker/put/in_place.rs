//! A file that only grows, by the word of whoever configured it, on a server that copies nothing: what is new is added to the file there,
//! under its own name. It is short of what every other put has: visitors may see a part of it, and a cut may leave one. That is then in
//! doubt, and all of the file is sent, as any other.

use std::sync::{Arc, atomic::AtomicU64};

use super::adorned;
use crate::{
    mirror::{
        body::{self, TailBody},
        drift::Care,
        worker::Report,
    },
    model::{Done, Entry, How, Kind, Like, Mode, Outcome, Problem, Reason, RelPath},
    remote::{Class, RemoteError, Session},
};

/// Adds what is new of `path`, of which `like` is what was sent, to what the server has, if that is as it was recorded and the local file
/// begins with it; `sent` counts it. `None`: nothing was done, all of it is to be sent.
pub(super) async fn appended<S: Session>(
    session: &mut S,
    path: &RelPath,
    like: &Like,
    mode: Option<Mode>,
    care: &Care,
    sent: Arc<AtomicU64>,
) -> Option<Report> {
    let recorded = care.recorded.first().copied().flatten();
    let Some(Entry::File { print: former, digest: Some(digest), .. }) = recorded else { return None };
    if digest != like.digest {
        return None;
    }
    // It may go on growing meanwhile.
    let prefix =
        body::prefix(care.place.clone(), path.clone(), former.size).await.ok().filter(|prefix| prefix.digest() == digest)?;
    let is_as_recorded = async {
        session.study().await?;
        let found = session.examine(path).await?;
        let is_it = found.is_some_and(|found| found.kind == Kind::File && found.size == Some(former.size));
        Ok(is_it && care.objection(0, found.as_ref(), None).is_none())
    };
    match is_as_recorded.await {
        Ok(true) => {}
        Ok(false) => return None,
        Err(e) => return unless_usable(e),
    }
    let mut body = TailBody::new(care.place.clone(), path.clone(), sent, prefix);
    let bytes = match session.append(path, &mut body).await {
        Ok(bytes) => bytes,
        // Nothing was taken.
        Err(e) if e.class == Class::Refused => return None,
        Err(e) => return Some(Report::failed(e).in_doubt()),
    };
    let unclear = |why: &str| Report::of(Outcome::InDoubt(Problem::new(Reason::Proof, why)));
    let content = match body.finish().await {
        Some(Ok(content)) if content.bytes == former.size + bytes => content,
        _ => return Some(unclear("it did not only grow while what is new was added to it")),
    };
    match session.size(path).await {
        Ok(Some(size)) if size == content.bytes => {}
        Ok(_) => return Some(unclear("the server holds more or less than what was there and what was added")),
        Err(e) => return Some(Report::failed(e).in_doubt()),
    }
    let done = Done::Holds { print: content.print, digest: content.digest, sent: bytes, how: How::Appended };
    let report = adorned(session, path, Some(content.print.mtime_ns), mode).await;
    Some(Report { look_again: true, ..report.but(done) })
}

/// A failure before anything was done.
fn unless_usable(error: RemoteError) -> Option<Report> {
    (!error.session_survives()).then(|| Report::failed(error))
}

#[cfg(test)]
mod tests;
