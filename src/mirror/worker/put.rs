//! Puts, one or many on a session. Each is sent under a temporary name, proven there, and renamed last; the rename of one goes
//! out with the begin of the next, and what came of it is told then. Every step of a put is here, in order.

mod copied;
mod in_place;
mod patched;
mod resume;
#[cfg(test)]
mod tests;

use std::sync::{Arc, atomic::AtomicU64};

use tokio::sync::mpsc;

pub(in crate::mirror) use resume::resume;

use super::{Report, adorned, problem, swept, unfit, unread};
use crate::{
    mirror::{
        body::{self, Content, FileBody},
        drift::{Care, Drift},
    },
    model::{Digest, Done, Fingerprint, How, Job, Mode, Operation, Outcome, Problem, Reason, RelPath},
    remote::{Concluded, RemoteError, Session, Stored, Wanted},
};

/// A larger file is not sent before its copy on the server was compared: a round trip is little beside it.
const LARGE: u64 = 256 * 1024;

/// What is sent in a row is smaller: its session is not needed for something else for long.
pub(super) const MOST_IN_ROW: u64 = 4 * 1024 * 1024;

/// A job and what it is done with.
pub(in crate::mirror) struct Load {
    pub(in crate::mirror) job: Job,
    pub(in crate::mirror) care: Care,
    /// Counts the bytes that went out.
    pub(in crate::mirror) sent: Arc<AtomicU64>,
}

/// Whether a put may follow another one on the same session: it is new, and over soon.
pub(in crate::mirror) fn follows(operation: &Operation) -> bool {
    matches!(operation, Operation::Put { print, equal_to: None, like: None, .. } if print.size < MOST_IN_ROW)
}

/// A put that is there, whole and proven, under its temporary name: its rename is left.
struct Ready {
    job: Job,
    temp: RelPath,
    path: RelPath,
    /// What it comes to when it is renamed.
    report: Report,
}

/// Does one put and nothing else.
pub(super) async fn alone<S: Session>(session: &mut S, job: &Job, care: &Care, sent: Arc<AtomicU64>) -> Report {
    let load = Load { job: job.clone(), care: care.clone(), sent };
    match send(session, load, &mut None, |_, _| {}, &mut || false).await {
        Sent::Ended(_, report) => report,
        Sent::Ready(ready) => renamed_alone(session, ready).await.1,
    }
}

/// Does `first`, and then whatever comes along in `more` until nothing does; `room` is told when one of those was taken, `tell`
/// what came of each but the last, in their order. What came of that, which is for when the session is free again, and whether
/// it can be used again.
pub(in crate::mirror) async fn run<S: Session>(
    session: &mut S,
    first: Load,
    more: &mut mpsc::Receiver<Load>,
    room: impl Fn(),
    mut tell: impl FnMut(Job, Report),
) -> (Option<Report>, bool) {
    let (mut next, mut ready, mut last): (_, _, Option<(Job, Report)>) = (Some(first), None, None);
    loop {
        if let Some((job, report)) = last.take_if(|_| next.is_some() || ready.is_some()) {
            tell(job, report);
        }
        if let Some(load) = next.take() {
            if let Some(report) = unfit(&load.job, &load.care) {
                // What came of the one before it is told before.
                if let Some(ready) = ready.take() {
                    let (job, report) = renamed_alone(session, ready).await;
                    let dead = is_dead(&report);
                    tell(job, report);
                    if dead {
                        return (Some(Report::of(Outcome::Untouched)), false);
                    }
                }
                last = Some((load.job, report));
                continue;
            }
            let mut dead = false;
            let told = |job: Job, report: Report| {
                dead |= is_dead(&report);
                tell(job, report);
            };
            let mut follows = || {
                if next.is_none() {
                    next = more.try_recv().ok();
                    next.is_some().then(&room);
                }
                next.is_some()
            };
            match send(session, load, &mut ready, told, &mut follows).await {
                Sent::Ready(done) => {
                    // What came only now has no port yet, but goes out with the rename.
                    follows();
                    ready = Some(done);
                }
                Sent::Ended(job, report) => {
                    dead |= is_dead(&report);
                    // It ended before the one before it was renamed.
                    if let Some(ready) = ready.take() {
                        let (before, renamed) = if dead { unheard(ready) } else { renamed_alone(session, ready).await };
                        dead |= is_dead(&renamed);
                        tell(before, renamed);
                    }
                    last = Some((job, report));
                }
            }
            if dead {
                return (last.map(|(_, report)| report), false);
            }
            continue;
        }
        // Nothing follows now: what is left is published, and while that goes on something may have come.
        if let Some(ready) = ready.take() {
            let (job, report) = renamed_alone(session, ready).await;
            if is_dead(&report) {
                return (Some(report), false);
            }
            last = Some((job, report));
        }
        if session.is_stale() {
            more.close();
            return (last.map(|(_, report)| report), true);
        }
        next = more.try_recv().ok();
        if next.is_none() {
            more.close();
            next = more.try_recv().ok();
        }
        if next.is_none() {
            return (last.map(|(_, report)| report), true);
        }
        room();
    }
}

/// How far a put came before its rename.
enum Sent {
    /// It is there.
    Ready(Ready),
    /// It ended, well or not.
    Ended(Job, Report),
}

/// Sends a put and proves it, after the rename of the one `before` it; `follows` says whether there is another one behind it.
async fn send<S: Session>(
    session: &mut S,
    load: Load,
    before: &mut Option<Ready>,
    mut tell: impl FnMut(Job, Report),
    follows: &mut impl FnMut() -> bool,
) -> Sent {
    let Load { job, care, sent } = load;
    let (Operation::Put { path, print: planned, equal_to, mode, like }, Some(temp)) = (&job.operation, &job.temp) else {
        let problem = Problem::new(Reason::Connection, "a put without a temporary name");
        return Sent::Ended(job, Report::of(Outcome::Failed(problem)));
    };
    let (path, planned, mode, temp) = (path.clone(), *planned, *mode, temp.clone());
    // A copy costs no more than to compare, and is compared anyway.
    let copies = equal_to.is_none() && like.as_ref().is_some_and(|like| like.path != path);
    if !copies && let Some(report) = compared(session, &path, &job, *equal_to, &care).await {
        return Sent::Ended(job, report);
    }
    if let Some(like) = like {
        if let Some(ready) = before.take() {
            let (job_before, report) = renamed_alone(session, ready).await;
            let dead = is_dead(&report);
            tell(job_before, report);
            if dead {
                return Sent::Ended(job, Report::of(Outcome::Untouched));
            }
        }
        if like.is_at(&path) && care.in_place {
            let appended = Box::pin(in_place::appended(session, &path, like, mode, &care, sent.clone())).await;
            if let Some(report) = appended {
                return Sent::Ended(job, report);
            }
        }
        // Boxed: they are large, and few puts go this way.
        let made = if like.is_at(&path) {
            Box::pin(copied::changed(session, like, (&path, &temp), &planned, &care, sent.clone())).await
        } else {
            Box::pin(copied::copied(session, like, (&path, &temp), &planned, &care)).await
        };
        match made {
            Ok(Some(made)) => match proven(session, job, &care, made, None, follows).await {
                Proven::Is(sent) => return sent,
                // As many bytes were there when they were compared.
                Proven::Lacks(job, report) => return ended(session, job, &temp, report).await,
            },
            // It is sent like any other.
            Ok(None) => {
                if copies && let Some(report) = compared(session, &path, &job, None, &care).await {
                    return ended(session, job, &temp, report).await;
                }
            }
            Err(e) => return Sent::Ended(job, Report::failed(e)),
        }
    }
    let mut body = FileBody::new(care.place.clone(), path.clone(), sent);
    let wanted =
        Wanted { fresh: &temp, path: &path, modified: Some(seconds(&planned)), mode, more: follows(), bytes: planned.size };
    let ready = before.take();
    let names = ready.as_ref().map(|ready| (&ready.temp, &ready.path));
    let (renamed, stored) = session.store_next(names, wanted, &mut body).await;
    let stored = match ready.zip(renamed) {
        None => stored,
        Some((ready, renamed)) => {
            let usable = |e: &RemoteError| e.session_survives();
            let lives = renamed.as_ref().err().is_none_or(usable)
                && stored.as_ref().is_some_and(|stored| stored.as_ref().err().is_none_or(usable));
            let (job_before, report) = published(session, ready, renamed, lives).await;
            let dead = is_dead(&report);
            tell(job_before, report);
            // What it began cannot be gone on with.
            if dead && matches!(stored, Some(Ok(_))) {
                let problem = Problem::new(Reason::Connection, "the session ended");
                return Sent::Ended(job, Report::of(Outcome::InDoubt(problem)));
            }
            stored
        }
    };
    // It was not begun.
    let Some(stored) = stored else { return Sent::Ended(job, Report::of(Outcome::Untouched)) };
    // Only after a good end is the reader waited for: it may hang on a disk that does not answer.
    let Stored { bytes, concluded } = match stored {
        Ok(stored) => stored,
        // What is there of it may be gone on with.
        Err(e) if resume::is_worth_it(&e, planned.size) => {
            return Sent::Ended(job, Report::failed(e).in_doubt());
        }
        Err(e) => return ended(session, job, &temp, Report::failed(e)).await,
    };
    let content = match body.finish().await {
        Some(Ok(content)) if content.bytes == bytes => content,
        Some(Ok(_)) | None => return ended(session, job, &temp, unread(&body::Unread::Changing)).await,
        Some(Err(e)) => return ended(session, job, &temp, unread(&e)).await,
    };
    // What was asked along with it is all, if it fits, and the file still has the time that was planned with.
    let concluded = concluded.filter(|found| found.size == Some(bytes) && seconds(&content.print) == seconds(&planned));
    match proven(session, job, &care, Made { content, sent: bytes, how: How::Sent }, concluded, follows).await {
        Proven::Is(sent) => sent,
        // A connection that is cut may look to the server like the end of the file.
        Proven::Lacks(job, report) if resume::is_large(planned.size) => Sent::Ended(job, report.in_doubt()),
        Proven::Lacks(job, report) => ended(session, job, &temp, report).await,
    }
}

/// Whether what was sent is there.
enum Proven {
    /// It is, or something else came of it.
    Is(Sent),
    /// There is less, or none.
    Lacks(Job, Report),
}

/// What is to be on the server under a temporary name.
struct Made {
    /// What the local file was read to hold.
    content: Content,
    /// Bytes that went out now.
    sent: u64,
    how: How,
}

/// Proves what was `made` under the temporary name of `job`. What was `concluded` already need not be asked for.
async fn proven<S: Session>(
    session: &mut S,
    job: Job,
    care: &Care,
    Made { content, sent, how }: Made,
    concluded: Option<Concluded>,
    follows: &mut impl FnMut() -> bool,
) -> Proven {
    let (Operation::Put { path, print: planned, mode, .. }, Some(temp)) = (&job.operation, &job.temp) else {
        return Proven::Is(Sent::Ended(job, Report::of(Outcome::Untouched)));
    };
    let (path, planned, mode, temp, bytes) = (path.clone(), *planned, *mode, temp.clone(), content.bytes);
    let concluded = match concluded {
        Some(concluded) => concluded,
        None => {
            let modified = Some(seconds(&content.print));
            let wanted = Wanted { fresh: &temp, path: &path, modified, mode, more: follows(), bytes };
            match session.conclude(wanted).await {
                Ok(concluded) => concluded,
                Err(e) => return Proven::Is(ended(session, job, &temp, Report::failed(e)).await),
            }
        }
    };
    if concluded.size != Some(bytes) {
        let found = concluded.size.map_or_else(|| "no file".to_owned(), |n| format!("{n} bytes"));
        let problem = Problem::new(Reason::Proof, format_args!("{bytes} bytes were sent, the server holds {found}"));
        return Proven::Lacks(job, Report::of(Outcome::Failed(problem)));
    }
    let (print, digest) = (content.print, content.digest);
    let report = |done| Report {
        look_again: print != planned,
        mode_unset: concluded.mode_unset,
        chunks: content.chunks,
        ..Report::of(Outcome::Done(done))
    };
    if care.stages {
        // What is at the path is compared when everything is there.
        return Proven::Is(Sent::Ended(job, report(Done::Staged { print, digest, sent })));
    }
    if let Some(why) = care.objection(0, concluded.found.as_ref(), Some(&print)) {
        match care.drift {
            Drift::KeepRemote => return Proven::Is(ended(session, job, &temp, Report::drifted(&why)).await),
            // For a moment there is nothing at the path: theirs may not be lost, and ours may not come before it is away.
            Drift::KeepBoth => {
                if let Err(e) = care.set_aside(session, &path).await {
                    return Proven::Is(ended(session, job, &temp, Report::failed(e)).await);
                }
                let ready = Ready { job, temp, path, report: report(Done::Holds { print, digest, sent, how }) };
                let (job, report) = renamed_alone(session, ready).await;
                return Proven::Is(Sent::Ended(job, report));
            }
            Drift::Overwrite => {}
        }
    }
    Proven::Is(Sent::Ready(Ready { job, temp, path, report: report(Done::Holds { print, digest, sent, how }) }))
}

/// A time of modification in whole seconds since the Unix epoch.
pub(super) fn seconds(print: &Fingerprint) -> i64 {
    print.mtime_ns.div_euclid(1_000_000_000)
}

/// Compares what is at `path` before a body is sent that is large, or may be there already; a report ends the job.
async fn compared<S: Session>(
    session: &mut S,
    path: &RelPath,
    job: &Job,
    equal_to: Option<Digest>,
    care: &Care,
) -> Option<Report> {
    let Operation::Put { print: planned, mode, .. } = &job.operation else { return None };
    // Before a release that may be what leaves the name first, where case is folded; all is compared before it is published.
    let is_its_own = !care.stages || care.abilities.folds_case == Some(false);
    if equal_to.is_none() && (planned.size < LARGE || !is_its_own) {
        return None;
    }
    let found = match session.examine(path).await {
        Ok(found) => found,
        Err(e) => return Some(Report::failed(e)),
    };
    if is_its_own && let (Some(why), Drift::KeepRemote) = (care.objection(0, found.as_ref(), Some(planned)), care.drift) {
        return Some(Report::drifted(&why));
    }
    // What is gone, or not as it was recorded, is not equal to anything.
    let held = equal_to.filter(|_| found.is_some() && care.objection(0, found.as_ref(), None).is_none())?;
    match care.digests.of(care.place.clone(), path.clone()).await {
        // The server holds this content already.
        Ok(content) if content.digest == held => Some(holds(session, path, &content, *mode, *planned).await),
        Ok(_) => None,
        Err(e) => Some(unread(&e)),
    }
}

async fn holds<S: Session>(
    session: &mut S,
    path: &RelPath,
    content: &body::Content,
    mode: Option<Mode>,
    planned: Fingerprint,
) -> Report {
    let report = adorned(session, path, Some(content.print.mtime_ns), mode).await;
    let done = Done::Holds { print: content.print, digest: content.digest, sent: 0, how: How::Unchanged };
    Report { look_again: content.print != planned, ..report.but(done) }
}

/// A put that is not to be published: its temporary file goes, if the session can still be used.
async fn ended<S: Session>(session: &mut S, job: Job, temp: &RelPath, report: Report) -> Sent {
    let report = if is_dead(&report) { report } else { swept(session, temp, report).await };
    Sent::Ended(job, report)
}

async fn renamed_alone<S: Session>(session: &mut S, ready: Ready) -> (Job, Report) {
    let renamed = session.rename(&ready.temp, &ready.path).await;
    let lives = renamed.as_ref().err().is_none_or(RemoteError::session_survives);
    published(session, ready, renamed, lives).await
}

/// The session ended before its rename was asked for: it is swept when the server is asked.
fn unheard(ready: Ready) -> (Job, Report) {
    let problem = Problem::new(Reason::Connection, "the session ended before it was renamed");
    (ready.job, Report::of(Outcome::InDoubt(problem)))
}

/// What a put came to whose rename came to this; whether the session `lives`.
async fn published<S: Session>(session: &mut S, ready: Ready, renamed: Result<(), RemoteError>, lives: bool) -> (Job, Report) {
    let Ready { job, temp, report, .. } = ready;
    let report = match renamed {
        Ok(()) => report,
        Err(e) if !e.session_survives() => Report::failed(e),
        Err(e) if lives => swept(session, &temp, Report::failed(e)).await,
        // It is refused, and nobody can sweep: let the server be asked.
        Err(e) => Report::of(Outcome::InDoubt(problem(&e))),
    };
    (job, report)
}

/// Whether what came of a job ended the session.
fn is_dead(report: &Report) -> bool {
    report.trouble.as_ref().is_some_and(|e| !e.session_survives())
}
