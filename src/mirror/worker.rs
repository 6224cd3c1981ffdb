//! Does one job on the server, and finds out what became of a job that is in doubt. Every step of a put is here, in order.

pub(super) mod publish;
mod trash;

use std::sync::{Arc, atomic::AtomicU64};

use super::{
    body::{self, FileBody},
    drift::{self, Aside, Care, Drift},
};
use crate::{
    model::{Digest, Done, Job, Kind, Mode, Operation, Outcome, Problem, Reason, RelPath, Stat},
    remote::{Class, RemoteError, Session},
    scan::{Place, travels},
};

/// What a job came to, and whether the session can be used again.
pub(super) struct Report {
    pub(super) outcome: Outcome,
    /// The failure that ended the session, or that concerns the remote as a whole (full).
    pub(super) trouble: Option<RemoteError>,
    /// The local file is not what was observed: look again.
    pub(super) look_again: bool,
    /// The server did not set the permissions.
    pub(super) mode_unset: bool,
    /// What was found out of a path that is not the job's own.
    pub(super) aside: Option<Aside>,
}

impl Report {
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { outcome, trouble: None, look_again: false, mode_unset: false, aside: None }
    }

    /// The server's copy is not what was recorded, and stays.
    pub(super) fn drifted(why: &str) -> Self {
        Self::of(Outcome::Failed(drift::problem(why)))
    }

    /// The same, where it went well, with this for a result.
    fn but(self, done: Done) -> Self {
        match self.outcome {
            Outcome::Done(_) => Self { outcome: Outcome::Done(done), ..self },
            _ => self,
        }
    }

    /// A failure on the way: dead sessions leave doubt, refusals are clear.
    pub(super) fn failed(error: RemoteError) -> Self {
        let problem = problem(&error);
        if !error.session_survives() {
            return Self { trouble: Some(error), ..Self::of(Outcome::InDoubt(problem)) };
        }
        let trouble = (error.class == Class::Full).then_some(error);
        Self { trouble, ..Self::of(Outcome::Failed(problem)) }
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

/// A larger file is not sent before its copy on the server was compared: a round trip is little beside it.
const LARGE: u64 = 256 * 1024;

/// Does `job`; `sent` counts the bytes that went out.
pub(super) async fn run<S: Session>(session: &mut S, job: &Job, care: &Care, sent: Arc<AtomicU64>) -> Report {
    // Found out before a body is sent: of a put only the last command names the path itself.
    if job.operation.touches().any(RelPath::breaks_lines) {
        return Report::of(Outcome::Failed(Problem::new(Reason::Name, "it has a line break in it")));
    }
    // The session that this job brought about may have shown it: the plan was made before.
    if let Some(why) = job.operation.fills().and_then(|path| care.abilities.alters(path)) {
        return Report::of(Outcome::Failed(Problem::new(Reason::Altered, why)));
    }
    if let Some(report) = drift::before(session, job, care).await {
        return report;
    }
    act(session, job, care, sent).await
}

/// As [`run`], where everything that may speak against it was looked at before.
async fn act<S: Session>(session: &mut S, job: &Job, care: &Care, sent: Arc<AtomicU64>) -> Report {
    let place = &care.place;
    let done = match &job.operation {
        Operation::Put { path, .. } => return put(session, job, path, care, sent).await,
        Operation::Link { path, target } => return link(session, job, path, target, place).await,
        Operation::Rename { from, to, .. } => return rename(session, job, from, to).await,
        Operation::MakeDir { path, mode, .. } => match session.make_dir(path).await {
            Ok(()) => return adorned(session, path, None, *mode).await,
            Err(e) => Err(e),
        },
        Operation::SetMode { path, mode } => return adorned(session, path, None, Some(*mode)).await,
        Operation::Trash { path, place } => return trash::put_in(session, path, place).await,
        Operation::Restore { place, path } => return trash::put_back(session, place, path).await,
        Operation::RemoveFile { path } => session.remove_file(path).await,
        Operation::RemoveDir { path } | Operation::Expire { place: path, kind: Kind::Dir } => session.remove_dir(path).await,
        Operation::Expire { place, .. } => session.remove_file(place).await,
    };
    done.map_or_else(Report::failed, |()| Report::of(Outcome::Done(Done::AsPlanned)))
}

async fn put<S: Session>(session: &mut S, job: &Job, path: &RelPath, care: &Care, sent: Arc<AtomicU64>) -> Report {
    let place = &care.place;
    let (Operation::Put { print: planned, equal_to, mode, .. }, Some(temp)) = (&job.operation, &job.temp) else {
        return Report::of(Outcome::Failed(Problem::new(Reason::Connection, "a put without a temporary name")));
    };
    let mut held = None;
    if equal_to.is_some() || planned.size >= LARGE {
        let found = match session.examine(path).await {
            Ok(found) => found,
            Err(e) => return Report::failed(e),
        };
        // Before a release that may be what leaves the name first, where case is folded; all is compared before it is published.
        let is_its_own = !care.stages || care.abilities.folds_case == Some(false);
        if is_its_own && let (Some(why), Drift::KeepRemote) = (care.objection(0, found.as_ref(), Some(planned)), care.drift) {
            return Report::drifted(&why);
        }
        // What is gone, or not as it was recorded, is not equal to anything.
        held = equal_to.filter(|_| found.is_some() && care.objection(0, found.as_ref(), None).is_none());
    }
    if let Some(digest) = held {
        match body::digest(place.clone(), path.clone()).await {
            Ok(content) if content.digest == digest => {
                // The server holds this content already.
                let report = adorned(session, path, Some(content.print.mtime_ns), *mode).await;
                let done = Done::Holds { print: content.print, digest: content.digest, sent: 0 };
                return Report { look_again: content.print != *planned, ..report.but(done) };
            }
            Ok(_) => {}
            Err(e) => return unread(&e),
        }
    }
    let mut body = FileBody::new(place.clone(), path.clone(), sent);
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
    let found = match session.prove(temp, path).await {
        Ok((Some(size), found)) if size == bytes => found,
        Ok((size, _)) => {
            let found = size.map_or_else(|| "no file".to_owned(), |n| format!("{n} bytes"));
            let problem = Problem::new(Reason::Proof, format_args!("sent {bytes} bytes, the server holds {found}"));
            return swept(session, temp, Report::of(Outcome::Failed(problem))).await;
        }
        Err(e) if e.session_survives() => return swept(session, temp, Report::failed(e)).await,
        Err(e) => return Report::failed(e),
    };
    let report = adorned(session, temp, Some(content.print.mtime_ns), *mode).await;
    if report.trouble.is_some() {
        return report;
    }
    if care.stages {
        // What is at the path is compared when everything is there.
        let done = Done::Staged { print: content.print, digest: content.digest, sent: bytes };
        return Report { look_again: content.print != *planned, ..report.but(done) };
    }
    if let Some(why) = care.objection(0, found.as_ref(), Some(&content.print)) {
        match care.drift {
            Drift::KeepRemote => return swept(session, temp, Report::drifted(&why)).await,
            // For a moment there is nothing at the path: theirs may not be lost, and ours may not come before it is away.
            Drift::KeepBoth => match care.set_aside(session, path).await {
                Ok(()) => {}
                Err(e) if e.session_survives() => return swept(session, temp, Report::failed(e)).await,
                Err(e) => return Report::failed(e),
            },
            Drift::Overwrite => {}
        }
    }
    match session.rename(temp, path).await {
        Ok(()) => {}
        Err(e) if e.session_survives() => return swept(session, temp, Report::failed(e)).await,
        Err(e) => return Report::failed(e),
    }
    let done = Done::Holds { print: content.print, digest: content.digest, sent: bytes };
    Report { look_again: content.print != *planned, ..report.but(done) }
}

/// Sets what a server may be unable to set, which is no failure: the time (nanoseconds since the epoch) and the permissions.
async fn adorned<S: Session>(session: &mut S, path: &RelPath, mtime_ns: Option<i64>, mode: Option<Mode>) -> Report {
    let mut report = Report::of(Outcome::Done(Done::AsPlanned));
    if let Some(nanos) = mtime_ns
        && let Err(e) = session.set_modified(path, nanos.div_euclid(1_000_000_000)).await
        && !e.session_survives()
    {
        return Report::failed(e);
    }
    if let Some(mode) = mode {
        match session.set_mode(path, mode).await {
            Ok(set) => report.mode_unset = !set,
            Err(e) if e.session_survives() => report.mode_unset = true,
            Err(e) => return Report::failed(e),
        }
    }
    report
}

async fn link<S: Session>(session: &mut S, job: &Job, path: &RelPath, planned: &Digest, place: &Place) -> Report {
    let Some(temp) = &job.temp else {
        return Report::of(Outcome::Failed(Problem::new(Reason::Connection, "a link without a temporary name")));
    };
    let target = match body::target(place.clone(), path.clone()).await {
        Ok(target) if Digest(*blake3::hash(&target).as_bytes()) == *planned => target,
        Ok(_) => return unread(&body::Unread::Changing),
        Err(e) => return unread(&e),
    };
    if !travels(path, &target) {
        let target = target.escape_ascii();
        let problem = Problem::new(Reason::Link, format_args!("{target} would mean something else on the server"));
        return Report::of(Outcome::Failed(problem));
    }
    if let Err(e) = session.make_link(temp, &target).await {
        return match e.class {
            Class::Refused => {
                let refused = Report::of(Outcome::Failed(Problem::new(Reason::Unlinked, &e)));
                swept(session, temp, refused).await
            }
            _ if e.session_survives() => swept(session, temp, Report::failed(e)).await,
            _ => Report::failed(e),
        };
    }
    let Err(refusal) = session.rename(temp, path).await else { return Report::of(Outcome::Done(Done::AsPlanned)) };
    if refusal.class != Class::Refused {
        let lost = !refusal.session_survives();
        let report = Report::failed(refusal);
        return if lost { report } else { swept(session, temp, report).await };
    }
    // Not every server replaces a link. What is at the path now is one, or nothing.
    let replaced = match session.remove_file(path).await {
        Ok(()) => session.rename(temp, path).await,
        Err(e) => Err(e),
    };
    match replaced {
        Ok(()) => Report::of(Outcome::Done(Done::AsPlanned)),
        // The old one may be gone: let the server be asked.
        Err(e) => Report { outcome: Outcome::InDoubt(problem(&e)), ..Report::failed(e) },
    }
}

async fn rename<S: Session>(session: &mut S, job: &Job, from: &RelPath, to: &RelPath) -> Report {
    let Operation::Rename { print, mode, retime, .. } = &job.operation else {
        return Report::of(Outcome::Untouched);
    };
    // First, as with a put: under its new name it is complete.
    let report = adorned(session, from, retime.then_some(print.mtime_ns), *mode).await;
    if report.trouble.is_some() {
        return report;
    }
    let refusal = match session.rename(from, to).await {
        Ok(()) => return report,
        // It has another time by now than is recorded: let the server be asked.
        Err(e) if e.class == Class::Refused && *retime => {
            return Report { outcome: Outcome::InDoubt(problem(&e)), ..Report::failed(e) };
        }
        Err(e) if e.class == Class::Refused => e,
        Err(e) => return Report::failed(e),
    };
    match session.stat(from).await {
        // Somebody else took it away: let that be recorded, so that the content is sent instead.
        Ok(None) => {
            let problem =
                Problem::new(Reason::Connection, format_args!("{from} is gone on the server; the content is sent instead"));
            Report::of(Outcome::InDoubt(problem))
        }
        Ok(Some(_)) => match &job.temp {
            Some(temp) => renamed_through(session, from, temp, to, Report::failed(refusal)).await,
            None => Report::failed(refusal),
        },
        Err(lost) if lost.session_survives() => Report::failed(refusal),
        Err(lost) => Report::failed(lost),
    }
}

/// Some servers that fold case take the new name for taken. `refused` is what came of the plain rename.
async fn renamed_through<S: Session>(session: &mut S, from: &RelPath, temp: &RelPath, to: &RelPath, refused: Report) -> Report {
    match session.rename(from, temp).await {
        Ok(()) => {}
        Err(e) if e.session_survives() => return refused,
        Err(e) => return Report::failed(e),
    }
    let second = match session.rename(temp, to).await {
        Ok(()) => return Report::of(Outcome::Done(Done::AsPlanned)),
        Err(e) if e.session_survives() => e,
        Err(e) => return Report::failed(e),
    };
    match session.rename(temp, from).await {
        Ok(()) => refused,
        // The file is swept under its temporary name, and sent again.
        Err(e) if e.session_survives() => Report { outcome: Outcome::InDoubt(problem(&second)), ..refused },
        Err(e) => Report::failed(e),
    }
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
            Report { outcome, trouble, ..report }
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
