//! Does one job on the server, and finds out what became of a job that is in doubt. Every step of a put is here, in order.

pub(super) mod publish;
pub(super) mod put;
pub(super) mod rotation;
pub(super) mod row;
mod trash;

use std::sync::{Arc, atomic::AtomicU64};

use super::{
    body,
    drift::{self, Aside, Care},
};
use crate::{
    model::{Chunks, Digest, Done, Job, Kind, Mode, Operation, Outcome, Problem, Reason, RelPath, Stat, is_trash},
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
    /// The session ended in its row, and another job tells of that: this one says nothing of the link to the server.
    pub(super) unheard: bool,
    /// What is here is not what the server has, as it might have been: nothing was done, and the job is done without that question.
    pub(super) differs: bool,
    /// What was found out of a path that is not the job's own.
    pub(super) aside: Option<Aside>,
    /// What was sent, chunk by chunk, where that is of use.
    pub(super) chunks: Option<Chunks>,
}

impl Report {
    pub(super) fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            trouble: None,
            look_again: false,
            mode_unset: false,
            unheard: false,
            differs: false,
            aside: None,
            chunks: None,
        }
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

    /// The same, but the server is asked what became of it.
    fn in_doubt(self) -> Self {
        match self.outcome {
            Outcome::Failed(problem) => Self { outcome: Outcome::InDoubt(problem), ..self },
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

/// Does `job`; `sent` counts the bytes that went out.
pub(super) async fn run<S: Session>(session: &mut S, job: &Job, care: &Care, sent: Arc<AtomicU64>) -> Report {
    if let Some(report) = unfit(job, care) {
        return report;
    }
    if let Some(report) = drift::before(session, job, care).await {
        return report;
    }
    act(session, job, care, sent).await
}

/// What speaks against a job before anything of it is done.
fn unfit(job: &Job, care: &Care) -> Option<Report> {
    // Found out before a body is sent: of a put only the last command names the path itself.
    if job.operation.touches().any(RelPath::breaks_lines) {
        return Some(Report::of(Outcome::Failed(Problem::new(Reason::Name, "it has a line break in it"))));
    }
    // The session that this job brought about may have shown it: the plan was made before.
    let why = job.operation.fills().and_then(|path| care.abilities.alters(path))?;
    Some(Report::of(Outcome::Failed(Problem::new(Reason::Altered, why))))
}

/// As [`run`], where everything that may speak against it was looked at before.
async fn act<S: Session>(session: &mut S, job: &Job, care: &Care, sent: Arc<AtomicU64>) -> Report {
    let place = &care.place;
    let done = match &job.operation {
        Operation::Put { .. } => return put::alone(session, job, care, sent).await,
        Operation::Link { path, target } => return link(session, job, path, target, place).await,
        Operation::Rename { from, to, .. } => return rename(session, job, from, to).await,
        Operation::RenameDir { from, to, .. } => return rename_dir(session, from, to).await,
        Operation::Rotate { .. } => {
            let report = rotation::turn(session, &[job]).await.pop();
            return report.unwrap_or_else(|| Report::of(Outcome::Untouched));
        }
        Operation::MakeDir { path, mode, .. } => match session.make_dir(path).await {
            Ok(()) => return adorned(session, path, None, *mode).await,
            Err(e) => Err(e),
        },
        Operation::SetMode { path, mode } => return adorned(session, path, None, Some(*mode)).await,
        Operation::Trash { path, place } => return trash::put_in(session, path, place).await,
        Operation::Keep { path, place, print, unless } => {
            return trash::keep(session, path, place, trash::Version { print, unless: *unless }, care).await;
        }
        Operation::Restore { place, path } => return trash::put_back(session, place, path).await,
        Operation::Revert { place, path, over } => return trash::put_over(session, place, path, over, care).await,
        Operation::RemoveFile { path } => session.remove_file(path).await,
        Operation::RemoveDir { path } | Operation::Expire { place: path, kind: Kind::Dir } => session.remove_dir(path).await,
        Operation::Expire { place, .. } => session.remove_file(place).await,
    };
    done.map_or_else(Report::failed, |()| Report::of(Outcome::Done(Done::AsPlanned)))
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
        Err(e) if e.class == Class::Refused && is_trash(from) => {
            let why = format_args!("{from} could not be taken from the trash ({e}); the content is sent instead");
            return Report::of(Outcome::InDoubt(Problem::new(Reason::Connection, why)));
        }
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

/// Where the server does not do it, for whatever reason, the directory is made, and its files move one by one.
async fn rename_dir<S: Session>(session: &mut S, from: &RelPath, to: &RelPath) -> Report {
    match session.rename(from, to).await {
        Ok(()) => Report::of(Outcome::Done(Done::AsPlanned)),
        Err(refusal) if matches!(refusal.class, Class::Refused | Class::NotEmpty) => match session.make_dir(to).await {
            Ok(()) => Report::of(Outcome::Done(Done::NotMoved)),
            Err(e) => Report::failed(e),
        },
        Err(e) => Report::failed(e),
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
    if let Operation::Keep { place, print, .. } = &job.operation {
        trash::sweep_half(session, place, print.size).await?;
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
