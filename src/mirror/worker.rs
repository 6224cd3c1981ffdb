//! Does one job on the server, and finds out what became of a job that is in doubt. Every step of a put is here, in order.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use super::body::{self, FileBody};
use crate::{
    model::{Done, Job, Operation, Outcome, Problem, Reason, RelPath, Stat},
    remote::{Class, RemoteError, Session},
};

/// What a job came to, and whether the session can be used again.
pub(super) struct Report {
    pub(super) outcome: Outcome,
    /// The failure that ended the session, or that concerns the remote as a whole (full).
    pub(super) trouble: Option<RemoteError>,
    /// The local file is not what was observed: look again.
    pub(super) look_again: bool,
}

impl Report {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, trouble: None, look_again: false }
    }

    /// A failure on the way: dead sessions leave doubt, refusals are clear.
    fn failed(error: RemoteError) -> Self {
        let problem = problem(&error);
        if !error.session_survives() {
            return Self { outcome: Outcome::InDoubt(problem), trouble: Some(error), look_again: false };
        }
        let trouble = (error.class == Class::Full).then_some(error);
        Self { outcome: Outcome::Failed(problem), trouble, look_again: false }
    }
}

/// The path's problem that a failure of the remote amounts to.
pub(super) fn problem(error: &RemoteError) -> Problem {
    let reason = match error.class {
        Class::Refused => Reason::Refused,
        Class::NotEmpty => Reason::NotEmpty,
        Class::Name => Reason::Name,
        Class::Full => Reason::Full,
        Class::Transient | Class::Busy | Class::Auth | Class::Tls | Class::Protocol => Reason::Connection,
    };
    Problem::new(reason, error)
}

/// Does `job`. `root` is the local directory; `sent` counts the bytes that went out.
pub(super) async fn run<S: Session>(session: &mut S, job: &Job, root: &Path, sent: Arc<AtomicU64>) -> Report {
    // Found out before a body is sent: of a put only the last command names the path itself.
    if job.operation.touches().any(RelPath::breaks_lines) {
        return Report::of(Outcome::Failed(Problem::new(Reason::Name, "it has a line break in it")));
    }
    let done = match &job.operation {
        Operation::Put { path, .. } => return put(session, job, path, root, sent).await,
        Operation::MakeDir { path, .. } => session.make_dir(path).await,
        Operation::RemoveFile { path } => session.remove_file(path).await,
        Operation::RemoveDir { path } => session.remove_dir(path).await,
        Operation::Rename { from, to, .. } => session.rename(from, to).await,
    };
    match (done, &job.operation) {
        (Ok(()), _) => Report::of(Outcome::Done(Done::AsPlanned)),
        (Err(e), Operation::Rename { from, .. }) if e.class == Class::Refused => match session.stat(from).await {
            // Somebody else took it away: let that be recorded, so that the content is sent instead.
            Ok(None) => {
                let problem =
                    Problem::new(Reason::Connection, format_args!("{from} is gone on the server; the content is sent instead"));
                Report::of(Outcome::InDoubt(problem))
            }
            Ok(Some(_)) => Report::failed(e),
            Err(lost) if lost.session_survives() => Report::failed(e),
            Err(lost) => Report::failed(lost),
        },
        (Err(e), _) => Report::failed(e),
    }
}

async fn put<S: Session>(session: &mut S, job: &Job, path: &RelPath, root: &Path, sent: Arc<AtomicU64>) -> Report {
    let (Operation::Put { print: planned, equal_to, .. }, Some(temp)) = (&job.operation, &job.temp) else {
        return Report::of(Outcome::Failed(Problem::new(Reason::Connection, "a put without a temporary name")));
    };
    if let Some(digest) = equal_to {
        match body::digest(root.to_owned(), path.clone()).await {
            Ok(content) if content.digest == *digest => {
                let report = touched(session, path, content).await;
                return Report { look_again: content.print != *planned, ..report };
            }
            Ok(_) => {}
            Err(e) => return unread(&e),
        }
    }
    let mut body = FileBody::new(root.to_owned(), path.clone(), sent);
    // Only after a good end is the reader waited for: it may hang on a disk that does not answer.
    let bytes = match session.store(temp, &mut body).await {
        Ok(bytes) => bytes,
        Err(e) if e.session_survives() => return swept(session, temp, Report::failed(e)).await,
        Err(e) => return Report::failed(e),
    };
    let content = match body.finish().await {
        Some(Ok(content)) if content.bytes == bytes => content,
        Some(Ok(_)) | None => return swept(session, temp, unread(&body::Unread::Changing)).await,
        Some(Err(e)) => return swept(session, temp, unread(&e)).await,
    };
    match session.size(temp).await {
        Ok(Some(size)) if size == bytes => {}
        Ok(size) => {
            let found = size.map_or_else(|| "no file".to_owned(), |n| format!("{n} bytes"));
            let problem = Problem::new(Reason::Proof, format_args!("sent {bytes} bytes, the server holds {found}"));
            return swept(session, temp, Report::of(Outcome::Failed(problem))).await;
        }
        Err(e) if e.session_survives() => return swept(session, temp, Report::failed(e)).await,
        Err(e) => return Report::failed(e),
    }
    if let Err(e) = session.set_modified(temp, seconds(content.print.mtime_ns)).await
        && !e.session_survives()
    {
        return Report::failed(e);
    }
    match session.rename(temp, path).await {
        Ok(()) => {}
        Err(e) if e.session_survives() => return swept(session, temp, Report::failed(e)).await,
        Err(e) => return Report::failed(e),
    }
    let done = Done::Holds { print: content.print, digest: content.digest, sent: bytes };
    Report { look_again: content.print != *planned, ..Report::of(Outcome::Done(done)) }
}

/// The server holds this content already: only the time is set.
async fn touched<S: Session>(session: &mut S, path: &RelPath, content: body::Content) -> Report {
    if let Err(e) = session.set_modified(path, seconds(content.print.mtime_ns)).await
        && !e.session_survives()
    {
        return Report::failed(e);
    }
    Report::of(Outcome::Done(Done::Holds { print: content.print, digest: content.digest, sent: 0 }))
}

fn unread(why: &body::Unread) -> Report {
    Report { look_again: true, ..Report::of(Outcome::Failed(why.to_problem())) }
}

/// Removes the temporary file of a put that is not to be published. If that fails, the job stays in doubt, so that the
/// file is swept later: its name is in the job row.
async fn swept<S: Session>(session: &mut S, temp: &RelPath, report: Report) -> Report {
    match session.remove_file(temp).await {
        Ok(()) => report,
        Err(e) => {
            let outcome = match report.outcome {
                Outcome::Failed(problem) => Outcome::InDoubt(problem),
                other => other,
            };
            let trouble = if e.session_survives() { report.trouble } else { Some(e) };
            Report { outcome, trouble, look_again: report.look_again }
        }
    }
}

/// What the server says is at each path that a job touches.
pub(super) type Answers = Vec<(RelPath, Option<Stat>)>;

/// Asks the server what is at the paths that a job in doubt touched, after sweeping its temporary file.
pub(super) async fn resolve<S: Session>(session: &mut S, job: &Job) -> Result<Answers, RemoteError> {
    let mut answers = Vec::with_capacity(2);
    if let Some(temp) = &job.temp {
        match session.remove_file(temp).await {
            // A refusal does not say whether anything is there.
            Err(e) if !e.session_survives() || there(session, temp).await?.is_some() => return Err(e),
            _ => {}
        }
    }
    for path in job.operation.touches() {
        answers.push((path.clone(), there(session, path).await?));
    }
    Ok(answers)
}

/// What is at `path` on the server. A name that cannot be sent is on none.
async fn there<S: Session>(session: &mut S, path: &RelPath) -> Result<Option<Stat>, RemoteError> {
    match session.stat(path).await {
        Err(e) if e.class == Class::Name => Ok(None),
        result => result,
    }
}

fn seconds(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000_000)
}
