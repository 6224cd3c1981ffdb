//! Into the trash and out of it again, each by one rename; and a copy of what is about to be replaced.
//!
//! Where a session may die, and what the server then says of the two names (see `index::jobs`):
//!
//! | at the path | in the trash | what is recorded |
//! |---|---|---|
//! | old | nothing | nothing happened: it is planned again |
//! | nothing | old | it is in the trash |
//! | new | old | it is in the trash, and somebody else put something in its place |
//! | nothing | nothing | somebody else removed it |
//!
//! A copy is made by a job of its own, before the one that replaces the file begins. Where its session may die:
//!
//! | at the path | in the trash | what is done, and recorded |
//! |---|---|---|
//! | old | nothing | nothing happened: both are planned again |
//! | old | a part | it is removed: both are planned again |
//! | old | as many bytes as were recorded | it is in the trash; replacing is planned again, and finds that the version is kept |
//!
//! An old version is put over the file at its path, of which a copy is in the trash then, by one rename. Where its session may die:
//!
//! | at the path | the version in the trash | what is recorded |
//! |---|---|---|
//! | new | there | nothing happened: it is wanted back still |
//! | old | gone | it is back, and the path waits for a change here |
//! | nothing | gone | somebody else removed both |

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    Care, Class, Digest, Done, Kind, Mode, Outcome, Problem, Reason, RelPath, RemoteError, Report, Session, Stat, adorned,
    problem,
};
use crate::{
    model::{Entry, Fingerprint, TRASH_DIR, Versions},
    remote::Source,
};

/// The largest version that is read back, in bytes: each connection may hold one in memory.
const READ_BACK: u64 = 16 << 20;
/// Pieces between the network and the memory.
const AHEAD: usize = 4;

/// Moves what is at `path` to `place`. The directories of the trash are made when the first rename finds that they are missing.
pub(super) async fn put_in<S: Session>(session: &mut S, path: &RelPath, place: &RelPath) -> Report {
    let refusal = match session.rename(path, place).await {
        Ok(()) => return Report::of(Outcome::Done(Done::AsPlanned)),
        Err(e) if e.class == Class::Refused => e,
        Err(e) => return Report::failed(e),
    };
    match session.stat(path).await {
        Ok(Some(_)) => {}
        // Somebody else took it away; the question what is where settles that.
        Ok(None) => {
            let problem = Problem::new(Reason::Connection, format_args!("{path} is gone on the server already"));
            return Report::of(Outcome::InDoubt(problem));
        }
        Err(lost) if lost.session_survives() => return Report::failed(refusal),
        Err(lost) => return Report::failed(lost),
    }
    renamed_after_making(session, path, place).await
}

/// What is to be kept.
pub(super) struct Version<'a> {
    /// The local file's state when it was sent.
    pub(super) print: &'a Fingerprint,
    /// Its content, if the local file may have the same still.
    pub(super) unless: Option<Digest>,
}

/// How a version gets into the trash.
enum Way<'p> {
    /// The server copies this, of so many bytes.
    Copy(&'p RelPath, u64),
    /// This was read from it, and is sent.
    Send(Body),
}

impl Way<'_> {
    async fn go<S: Session>(&mut self, session: &mut S, place: &RelPath) -> Result<(), RemoteError> {
        match self {
            Self::Copy(path, bytes) => session.copy(path, place, *bytes).await,
            Self::Send(body) => session.store(place, body).await.map(drop),
        }
    }
}

/// A file's bytes, whole.
struct Body(Vec<Bytes>);

impl Source for Body {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (into, pieces) = mpsc::channel(self.0.len().max(1));
        self.0.iter().for_each(|piece| drop(into.try_send(piece.clone())));
        pieces
    }
}

/// The file at `path` on the server, which has `size` bytes.
async fn read<S: Session>(session: &mut S, path: &RelPath, size: u64) -> Result<Body, RemoteError> {
    let (into, mut arriving) = mpsc::channel(AHEAD);
    let gather = async {
        let mut pieces = Vec::new();
        while let Some(piece) = arriving.recv().await {
            pieces.push(piece);
        }
        pieces
    };
    let (fetched, pieces) = tokio::join!(session.fetch(path, size, into), gather);
    fetched.map(|()| Body(pieces))
}

/// Copies this version of `path` to `place`. That there is none (any more), or that there is no way to, is no failure: what
/// replaces it goes on, having looked for drift by itself.
pub(super) async fn keep<S: Session>(
    session: &mut S,
    path: &RelPath,
    place: &RelPath,
    version: Version<'_>,
    care: &Care,
) -> Report {
    let not_kept = || Report::of(Outcome::Done(Done::NotKept));
    let mode = match care.recorded.first() {
        Some(Some(Entry::File { print, mode, .. })) if print == version.print => *mode,
        _ => return not_kept(),
    };
    let by_itself = care.abilities.copies == Some(true);
    if !by_itself && (care.versions != Versions::Always || version.print.size > READ_BACK) {
        return not_kept();
    }
    if let Some(digest) = version.unless
        && care.digests.of(care.place.clone(), path.clone()).await.is_ok_and(|content| content.digest == digest)
    {
        return not_kept();
    }
    let modified = match session.examine(path).await {
        Ok(Some(found)) if found.kind == Kind::File && care.objection(0, Some(&found), None).is_none() => found.modified,
        Ok(_) => return not_kept(),
        Err(e) if e.session_survives() => return not_kept(),
        Err(e) => return Report::failed(e),
    };
    let mut way = if by_itself {
        Way::Copy(path, version.print.size)
    } else {
        match read(session, path, version.print.size).await {
            Ok(body) => Way::Send(body),
            Err(e) if e.session_survives() => return not_kept(),
            Err(e) => return Report::failed(e),
        }
    };
    let copied = match way.go(session, place).await {
        Err(e) if e.class == Class::Refused => match make_above(session, place).await {
            Ok(()) => way.go(session, place).await,
            Err(report) if report.trouble.as_ref().is_some_and(|e| !e.session_survives()) => return *report,
            Err(_) => Err(e),
        },
        copied => copied,
    };
    match copied {
        Ok(()) => {}
        // A full server may have half of it.
        Err(e) if e.session_survives() => return half_swept(session, place, e.to_string()).await,
        Err(e) => return Report::failed(e),
    }
    match session.size(place).await {
        Ok(Some(size)) if size == version.print.size => {}
        Ok(size) => {
            let found = size.map_or_else(|| "no file".to_owned(), |n| format!("{n} bytes"));
            let why = format!("of {} bytes there are {found}", version.print.size);
            return half_swept(session, place, why).await;
        }
        Err(e) if e.session_survives() => return half_swept(session, place, e.to_string()).await,
        Err(e) => return Report::failed(e),
    }
    // It is found by its date, and compared by it when it was put back; and it is nobody's to read who might not read the file.
    let known = Some(version.print.mtime_ns).filter(|at| *at != 0);
    adorned(session, place, known.or_else(|| modified?.checked_mul(1_000_000_000)), mode).await
}

/// The copy at `place` is none; if what there is of it cannot be removed, the server is asked later.
async fn half_swept<S: Session>(session: &mut S, place: &RelPath, why: String) -> Report {
    tracing::info!(%place, "the old version could not be copied: {why}");
    match session.remove_file(place).await {
        Ok(()) => Report::of(Outcome::Done(Done::NotKept)),
        Err(e) if e.session_survives() => match session.stat(place).await {
            Ok(None) => Report::of(Outcome::Done(Done::NotKept)),
            Ok(Some(_)) => Report::of(Outcome::InDoubt(problem(&e))),
            Err(lost) if lost.session_survives() => Report::of(Outcome::InDoubt(problem(&e))),
            Err(lost) => Report::failed(lost),
        },
        Err(e) => Report::failed(e),
    }
}

/// Removes what is at `place` unless it has `size` bytes: a copy that was cut off is no version.
pub(super) async fn sweep_half<S: Session>(session: &mut S, place: &RelPath, size: u64) -> Result<(), RemoteError> {
    match session.size(place).await? {
        None => Ok(()),
        Some(found) if found == size => Ok(()),
        Some(_) => session.remove_file(place).await,
    }
}

/// Moves what is at `place` in the trash to `path`, if nothing is there.
pub(super) async fn put_back<S: Session>(session: &mut S, place: &RelPath, path: &RelPath) -> Report {
    match session.stat(path).await {
        Ok(None) => {}
        Ok(Some(_)) => {
            let problem = Problem::new(Reason::Refused, "it is not put back: something of this name is on the server");
            return Report::of(Outcome::Failed(problem));
        }
        Err(e) => return Report::failed(e),
    }
    match session.rename(place, path).await {
        Ok(()) => return Report::of(Outcome::Done(Done::AsPlanned)),
        Err(e) if e.class == Class::Refused => {}
        Err(e) => return Report::failed(e),
    }
    let report = renamed_after_making(session, place, path).await;
    match &report.outcome {
        // It may not be in the trash any more.
        Outcome::Failed(problem) if problem.reason == Reason::Refused => match session.stat(place).await {
            Ok(None) => Report { outcome: Outcome::InDoubt(problem.clone()), ..report },
            Ok(Some(_)) => report,
            Err(e) if e.session_survives() => report,
            Err(e) => Report { trouble: Some(e), ..report },
        },
        _ => report,
    }
}

/// Moves the version at `place` in the trash over the file at `path`, if that is what was recorded as `over`.
pub(super) async fn put_over<S: Session>(
    session: &mut S,
    place: &RelPath,
    path: &RelPath,
    over: &Fingerprint,
    care: &Care,
) -> Report {
    let refused =
        |why: &str| Report::of(Outcome::Failed(Problem::new(Reason::Refused, format_args!("it is not put back: {why}"))));
    if !matches!(care.recorded.first(), Some(Some(Entry::File { print, .. })) if print == over) {
        return refused("something else was sent meanwhile");
    }
    match session.stat(place).await {
        Ok(Some(_)) => {}
        Ok(None) => return refused("it is not in the trash any more"),
        Err(e) => return Report::failed(e),
    }
    match session.examine(path).await {
        // What is gone is in the trash: a copy of it was made.
        Ok(None) => {}
        Ok(Some(found)) if found.kind != Kind::File => return refused("what is there is no file"),
        Ok(Some(found)) => {
            if let Some(why) = care.objection(0, Some(&found), None) {
                return refused(&why);
            }
        }
        Err(e) => return Report::failed(e),
    }
    let refusal = match session.rename(place, path).await {
        Ok(()) => return Report::of(Outcome::Done(Done::AsPlanned)),
        Err(e) if e.class == Class::Refused => e,
        Err(e) => return Report::failed(e),
    };
    match session.stat(path).await {
        Ok(Some(_)) => Report::failed(refusal),
        Err(lost) if !lost.session_survives() => Report::failed(lost),
        // Where a server does not replace files, that takes several steps.
        _ => Report { outcome: Outcome::InDoubt(problem(&refusal)), ..Report::failed(refusal) },
    }
}

/// Makes the directories of the trash that `place` is to be in.
///
/// # Errors
/// What a job comes to that needs them.
pub(super) async fn make_above<S: Session>(session: &mut S, place: &RelPath) -> Result<(), Box<Report>> {
    let mut above: Vec<RelPath> = place.ancestors().collect();
    above.reverse();
    for dir in above {
        match session.make_dir(&dir).await {
            Ok(()) => {}
            Err(e) if e.class == Class::Refused => match session.stat(&dir).await {
                // Somebody else made it.
                Ok(Some(Stat { kind: Kind::Dir, .. })) => continue,
                Err(lost) if !lost.session_survives() => return Err(Box::new(Report::failed(lost))),
                _ => return Err(Box::new(failed(e, &dir))),
            },
            Err(e) => return Err(Box::new(failed(e, &dir))),
        }
        // Keeps visitors out of it where a web server runs as somebody else. That it cannot be done is no failure.
        if dir.as_bytes() == TRASH_DIR.as_bytes()
            && let Err(e) = session.set_mode(&dir, Mode::of(0o700)).await
            && !e.session_survives()
        {
            return Err(Box::new(Report::failed(e)));
        }
    }
    Ok(())
}

/// Renames with the directories made that `to` is to be in.
async fn renamed_after_making<S: Session>(session: &mut S, from: &RelPath, to: &RelPath) -> Report {
    if let Err(report) = make_above(session, to).await {
        return *report;
    }
    match session.rename(from, to).await {
        Ok(()) => Report::of(Outcome::Done(Done::AsPlanned)),
        Err(e) => failed(e, to),
    }
}

/// As [`Report::failed`], with the name that was refused.
fn failed(error: RemoteError, at: &RelPath) -> Report {
    let Problem { reason, detail } = problem(&error);
    let report = Report::failed(error);
    match report.outcome {
        Outcome::Failed(_) => {
            Report { outcome: Outcome::Failed(Problem { reason, detail: format!("{at}: {detail}") }), ..report }
        }
        _ => report,
    }
}
