//! Names that go round: all renames in one flight, over a temporary name; and what is left of that if it was cut off.
//!
//! Of `n` names the last one's holder goes to the temporary name `t`, each of the others to the next name, from the end, and what is at `t`
//! to the first. Somewhere in between the session may die, or the process:
//!
//! | at `t` | missing | what is done |
//! |---|---|---|
//! | nothing | none | nothing was renamed, or everything was: what is found tells which, or else all of it is taken for unknown |
//! | something | one | the rest is renamed; if the server refuses, what was renamed is renamed back |
//! | anything else | | somebody else was there, too: what is at each name is taken for unknown, and files are sent again |
//!
//! Whatever the size, a put is dearer than this: it takes more round trips, and its name is missing until it is there.

use super::{Care, Done, Kind, Operation, Outcome, Problem, Reason, RelPath, RemoteError, Report, Session, problem};
use crate::{
    mirror::drift,
    model::{Job, ServerCopy, Stat},
    remote::Change,
};

/// The renames of such a job, in their order.
fn renames(job: &Job) -> Vec<(&RelPath, &RelPath)> {
    let (Operation::Rotate { .. }, Some(temp)) = (&job.operation, &job.temp) else { return Vec::new() };
    let names: Vec<&RelPath> = job.operation.touches().collect();
    let mut to = temp;
    let mut renames: Vec<_> = names.iter().rev().map(|from| (*from, std::mem::replace(&mut to, from))).collect();
    renames.push((temp, to));
    renames
}

/// Renames all that go round in each of `jobs`. What came of each; fewer where the session died, which the last one tells of.
pub(super) async fn turn<S: Session>(session: &mut S, jobs: &[&Job]) -> Vec<Report> {
    let groups: Vec<Vec<Change<'_>>> =
        jobs.iter().map(|job| renames(job).into_iter().map(|(from, to)| Change::Rename(from, to)).collect()).collect();
    let results = session.change_in_turn(&groups).await;
    std::iter::zip(results, groups).map(|(results, group)| report(results, group.len())).collect()
}

/// What came of a job of `count` renames.
fn report(results: Vec<Result<bool, RemoteError>>, count: usize) -> Report {
    let went = count > 0 && results.len() == count;
    match results.into_iter().find_map(Result::err) {
        Some(e) if !e.session_survives() => Report::failed(e),
        None if went => Report::of(Outcome::Done(Done::AsPlanned)),
        // Not all of the renames went through: the server is asked which did.
        refusal => {
            let why = refusal.map_or_else(String::new, |e| format!(" ({e})"));
            let problem = Problem::new(Reason::Connection, format_args!("one of the renames was refused{why}"));
            Report::of(Outcome::InDoubt(problem))
        }
    }
}

/// Finds out how far a job in doubt came, and brings it to its end, or back to its beginning. `None`: what is at its names is to be
/// asked, and may be anything.
///
/// # Errors
/// When the questions were not answered.
pub(in crate::mirror) async fn resume<S: Session>(
    session: &mut S,
    job: &Job,
    care: &Care,
) -> Result<Option<Report>, RemoteError> {
    let (Operation::Rotate { path, kind, .. }, Some(temp)) = (&job.operation, &job.temp) else { return Ok(None) };
    let mut asked: Vec<RelPath> = job.operation.touches().cloned().collect();
    asked.push(temp.clone());
    let mut found = match look(session, &asked, *kind).await {
        Ok(found) => found,
        Err(e) if e.session_survives() => return Ok(None),
        Err(e) => return Err(e),
    };
    let at_temp = found.pop().flatten();
    let missing: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
    match (&at_temp, missing.as_slice()) {
        (None, []) => match verdict(session, &found, *kind, care).await? {
            Some(true) => return Ok(Some(Report::of(Outcome::Done(Done::AsPlanned)))),
            Some(false) => return Ok(Some(Report::of(Outcome::Untouched))),
            None => {}
        },
        (Some(there), [missing]) if there.kind == *kind => {
            // The last one is missing first.
            let begun = found.len() - missing;
            if let Some(report) = go_on(session, job, begun).await? {
                return Ok(Some(report));
            }
        }
        _ => {}
    }
    // A directory cannot be swept, and should not: it has everything in it.
    if at_temp.is_some_and(|there| there.kind == Kind::Dir) {
        let aside = drift::aside(path, care.now);
        match session.rename(temp, &aside).await {
            Ok(()) => tracing::warn!(%path, %aside, "what was half renamed is kept under another name"),
            Err(e) if e.session_survives() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// What is at each of `names`. To examine finds files: without MLST a directory may go for nothing.
async fn look<S: Session>(session: &mut S, names: &[RelPath], kind: Kind) -> Result<Vec<Option<ServerCopy>>, RemoteError> {
    if kind == Kind::File {
        return session.examine_all(names).await;
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let there = session.stat(name).await?;
        found.push(there.map(|Stat { kind, size }| ServerCopy { kind, size, modified: None }));
    }
    Ok(found)
}

/// Where something is at each of the names: whether everything was renamed, or nothing; `None` if nothing tells.
async fn verdict<S: Session>(
    session: &mut S,
    found: &[Option<ServerCopy>],
    kind: Kind,
    care: &Care,
) -> Result<Option<bool>, RemoteError> {
    let times = care.abilities.times == Some(true);
    let (before, after) = if kind == Kind::Dir {
        let paths: Vec<RelPath> = care.witnesses.iter().map(|witness| witness.path.clone()).collect();
        let found = match session.examine_all(&paths).await {
            Ok(found) => found,
            Err(e) if e.session_survives() => return Ok(None),
            Err(e) => return Err(e),
        };
        let all = |after: bool| {
            !care.witnesses.is_empty()
                && care.witnesses.iter().zip(&found).all(|(witness, found)| {
                    let entry = if after { &witness.after } else { &witness.before };
                    drift::is_as(entry.as_ref(), found.as_ref(), times)
                })
        };
        (all(false), all(true))
    } else {
        let recorded = |at: usize| care.recorded.get(at).and_then(Option::as_ref);
        let all = |shift: usize| {
            let is_as = |at: usize| drift::is_as(recorded((at + shift) % found.len()), found[at].as_ref(), times);
            (0..found.len()).all(is_as)
        };
        (all(0), all(found.len() - 1))
    };
    Ok((before != after).then_some(after))
}

/// Does what is left behind the first `begun` renames; if the server refuses one, takes back what was done. `None` if it refuses that, too.
async fn go_on<S: Session>(session: &mut S, job: &Job, begun: usize) -> Result<Option<Report>, RemoteError> {
    let renames = renames(job);
    let mut done = begun;
    let refusal = loop {
        let Some((from, to)) = renames.get(done) else {
            return Ok(Some(Report::of(Outcome::Done(Done::AsPlanned))));
        };
        match session.rename(from, to).await {
            Ok(()) => done += 1,
            Err(e) if e.session_survives() => break e,
            Err(e) => return Err(e),
        }
    };
    for (from, to) in renames[..done].iter().rev() {
        match session.rename(to, from).await {
            Ok(()) => {}
            Err(e) if e.session_survives() => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    let why = format_args!("the names could not be exchanged ({}); what is there is sent instead", problem(&refusal));
    Ok(Some(Report::of(Outcome::Failed(Problem::new(Reason::Connection, why)))))
}

#[cfg(test)]
mod tests;
