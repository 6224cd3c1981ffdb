//! Into the trash and out of it again, each by one rename.
//!
//! Where a session may die, and what the server then says of the two names (see `index::jobs`):
//!
//! | at the path | in the trash | what is recorded |
//! |---|---|---|
//! | old | nothing | nothing happened: it is planned again |
//! | nothing | old | it is in the trash |
//! | new | old | it is in the trash, and somebody else put something in its place |
//! | nothing | nothing | somebody else removed it |

use super::{Class, Done, Kind, Mode, Outcome, Problem, Reason, RelPath, Report, Session, Stat, problem};
use crate::model::TRASH_DIR;

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
fn failed(error: super::RemoteError, at: &RelPath) -> Report {
    let Problem { reason, detail } = problem(&error);
    let report = Report::failed(error);
    match report.outcome {
        Outcome::Failed(_) => {
            Report { outcome: Outcome::Failed(Problem { reason, detail: format!("{at}: {detail}") }), ..report }
        }
        _ => report,
    }
}
