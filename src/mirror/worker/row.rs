//! Many small jobs on one session: what has to be asked of the server beforehand goes out for all of them together, then what they
//! change does. None of them has a path in common with another, so that each has its own end. What does not go through like
//! that is done by itself, as if it had never been in a row.
//!
//! Where the session dies while everything is asked, nothing has happened; while something is changed, nobody knows of any of
//! the row how far it came.

use std::collections::BTreeMap;

use super::{Report, act, problem, rotation, run as run_alone, trash, unfit, unread};
use crate::{
    mirror::{
        drift,
        worker::put::{Load, MOST_IN_ROW, seconds},
    },
    model::{Done, How, Job, Kind, Operation, Outcome, RelPath, ServerCopy},
    remote::{Change, Class, RemoteError, Session},
};

/// So many jobs are done in a row: as many commands as go out in a flight.
pub(in crate::mirror) const MOST: usize = 32;
/// The local files that are read for a row have no more bytes together: its session is not kept from something else for long.
pub(in crate::mirror) const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Whether a job can be done in a row with others: it takes a few commands and no data connection, or probably does.
pub(in crate::mirror) fn joins(operation: &Operation) -> bool {
    match operation {
        Operation::Put { equal_to: Some(_), print, .. } | Operation::Keep { unless: Some(_), print, .. } => {
            print.size < MOST_IN_ROW
        }
        Operation::MakeDir { .. }
        | Operation::SetMode { .. }
        | Operation::RemoveFile { .. }
        | Operation::RemoveDir { .. }
        | Operation::Trash { .. }
        | Operation::RenameDir { .. }
        | Operation::Rotate { .. }
        | Operation::Expire { .. } => true,
        // It may have to go through a third name.
        Operation::Rename { .. } => !operation.is_change_of_case(),
        Operation::Put { .. }
        | Operation::Keep { .. }
        | Operation::Link { .. }
        | Operation::Restore { .. }
        | Operation::Revert { .. } => false,
    }
}

/// How many bytes of local files are read for a job in a row.
pub(in crate::mirror) fn reads(operation: &Operation) -> u64 {
    match operation {
        Operation::Put { print, .. } | Operation::Keep { print, .. } => print.size,
        _ => 0,
    }
}

/// The operation of a job that a row gave back: what is here is not what the server has.
pub(in crate::mirror) fn unlike(mut operation: Operation) -> Operation {
    if let Operation::Put { equal_to: same, .. } | Operation::Keep { unless: same, .. } = &mut operation {
        *same = None;
    }
    operation
}

/// A job of a row.
struct Member {
    load: Load,
    /// What it comes to if its changes are made; `None` until nothing speaks against them.
    goes: Option<Report>,
    /// It is a directory that is made and lacks its permissions.
    stands: bool,
    /// What came of it.
    report: Option<Report>,
}

/// Does all of `loads`; `tell` is told what came of each but the last, in their order. What came of that, which is for when the
/// session is free again, and whether it can be used again.
pub(in crate::mirror) async fn run<S: Session>(
    session: &mut S,
    loads: Vec<Load>,
    mut tell: impl FnMut(Job, Report),
) -> (Option<Report>, bool) {
    let member = |load: Load| Member { report: unfit(&load.job, &load.care), goes: None, stands: false, load };
    let mut row: Vec<Member> = loads.into_iter().map(member).collect();
    let died = finish(session, &mut row).await.err();
    let ended = |member: Member| {
        let outcome = match &died {
            Some(e) if member.goes.is_some() => Outcome::InDoubt(problem(e)),
            _ => Outcome::Untouched,
        };
        (member.load.job, member.report.unwrap_or_else(|| Report { unheard: died.is_some(), ..Report::of(outcome) }))
    };
    let mut ended: Vec<(Job, Report)> = row.into_iter().map(ended).collect();
    let last = ended.pop().map(|(_, report)| report);
    ended.into_iter().for_each(|(job, report)| tell(job, report));
    let lives = died.is_none();
    (last.map(|report| Report { trouble: died.or(report.trouble), ..report }), lives)
}

/// Brings each of `row` to its end. An error is that of the session.
async fn finish<S: Session>(session: &mut S, row: &mut [Member]) -> Result<(), RemoteError> {
    // One that nobody is with need not be told twice that it is refused.
    if row.len() > 1 || row.iter().any(|member| reads(&member.load.job.operation) > 0) {
        look(session, row).await?;
        change(session, row).await?;
    }
    for member in row.iter_mut().filter(|member| member.report.is_none()) {
        let Load { job, care, sent } = &member.load;
        let mut report = match member.goes {
            // It was looked at just now, and what it renames may have another time already than is recorded.
            Some(_) => act(session, job, care, sent.clone()).await,
            None => run_alone(session, job, care, sent.clone()).await,
        };
        let death = report.trouble.take_if(|e| !e.session_survives());
        member.report = Some(Report { unheard: death.is_some(), ..report });
        if let Some(e) = death {
            return Err(e);
        }
    }
    Ok(())
}

/// Looks at all that has to be looked at before something is changed, and says which of `row` go together.
async fn look<S: Session>(session: &mut S, row: &mut [Member]) -> Result<(), RemoteError> {
    let counts: Vec<usize> = row.iter().map(|member| if member.report.is_some() { 0 } else { asks(&member.load.job) }).collect();
    let of = |(member, count): (&Member, &usize)| member.load.job.operation.touches().take(*count).cloned().collect::<Vec<_>>();
    let paths: Vec<RelPath> = row.iter().zip(&counts).flat_map(of).collect();
    let mut found = match session.examine_all(&paths).await {
        Ok(found) => found.into_iter(),
        // Of one of them the server does not say: each is asked about by itself.
        Err(e) if e.session_survives() => return Ok(()),
        Err(e) => return Err(e),
    };
    for (member, count) in row.iter_mut().zip(counts) {
        let found: Vec<Option<ServerCopy>> = found.by_ref().take(count).collect();
        if member.report.is_none() {
            judge(member, &found).await;
        }
    }
    Ok(())
}

/// How many of the paths that a job touches are looked at.
fn asks(job: &Job) -> usize {
    match &job.operation {
        Operation::Rename { .. } => 2,
        Operation::Rotate { others, kind: Kind::File, .. } => 1 + others.len(),
        Operation::Put { .. } | Operation::RemoveFile { .. } | Operation::Trash { .. } => 1,
        _ => 0,
    }
}

/// Whether `member` goes with the others where this was `found`, or has come to its end.
async fn judge(member: &mut Member, found: &[Option<ServerCopy>]) {
    let Load { job, care, .. } = &member.load;
    let unlike = || Some(Report { differs: true, ..Report::of(Outcome::Untouched) });
    match &job.operation {
        Operation::Put { path, equal_to: Some(held), print: planned, .. } => {
            let copy = found.first().and_then(Option::as_ref);
            if copy.is_none() || care.objection(0, copy, None).is_some() {
                member.report = unlike();
                return;
            }
            match care.digests.of(care.place.clone(), path.clone()).await {
                Ok(content) if content.digest == *held => {
                    let done = Done::Holds { print: content.print, digest: content.digest, sent: 0, how: How::Unchanged };
                    let look_again = content.print != *planned;
                    member.goes = Some(Report { look_again, ..Report::of(Outcome::Done(done)) });
                }
                Ok(_) => member.report = unlike(),
                Err(e) => member.report = Some(unread(&e)),
            }
        }
        Operation::Keep { path, unless: Some(held), .. } => {
            let content = care.digests.of(care.place.clone(), path.clone()).await;
            let same = content.is_ok_and(|content| content.digest == *held);
            member.report = if same { Some(Report::of(Outcome::Done(Done::NotKept))) } else { unlike() };
        }
        // What changed there is for a job alone.
        _ if drift::review(job, found, care) == Ok(false) => member.goes = Some(Report::of(Outcome::Done(Done::AsPlanned))),
        _ => {}
    }
}

/// Makes the changes of those of `row` that go together.
async fn change<S: Session>(session: &mut S, row: &mut [Member]) -> Result<(), RemoteError> {
    let going = |row: &[Member]| -> Vec<usize> {
        (0..row.len()).filter(|at| row[*at].report.is_none() && row[*at].goes.is_some()).collect()
    };
    let (turning, others): (Vec<usize>, Vec<usize>) =
        going(row).into_iter().partition(|at| matches!(row[*at].load.job.operation, Operation::Rotate { .. }));
    make(session, row, others).await?;
    turn(session, row, &turning).await?;
    // Only a directory that is surely there, and one, gets permissions.
    let standing: Vec<usize> = going(row).into_iter().filter(|at| row[*at].stands).collect();
    make(session, row, standing).await?;
    // The directories of the trash are made when it is found that they are missing.
    let is_trash = |at: &usize| matches!(row[*at].load.job.operation, Operation::Trash { .. });
    let barred: Vec<usize> = going(row).into_iter().filter(is_trash).collect();
    let place = |at: &usize| row[*at].load.job.operation.touches().nth(1);
    // One for all of a day.
    let days: BTreeMap<Option<RelPath>, &RelPath> =
        barred.iter().filter_map(place).map(|place| (place.parent(), place)).collect();
    for place in days.into_values() {
        // A refusal is for the job that needs it.
        if let Err(report) = trash::make_above(session, place).await
            && let Some(e) = report.trouble.filter(|e| !e.session_survives())
        {
            return Err(e);
        }
    }
    make(session, row, barred).await
}

/// Renames all that go round in `some` of `row`. None of them is done again alone: some of its renames may have been made.
async fn turn<S: Session>(session: &mut S, row: &mut [Member], some: &[usize]) -> Result<(), RemoteError> {
    if some.is_empty() {
        return Ok(());
    }
    let jobs: Vec<&Job> = some.iter().map(|at| &row[*at].load.job).collect();
    let reports = rotation::turn(session, &jobs).await;
    let told = reports.len();
    for (at, mut report) in some.iter().zip(reports) {
        if let Some(e) = report.trouble.take_if(|e| !e.session_survives()) {
            return Err(e);
        }
        row[*at].report = Some(report);
    }
    if told < some.len() { Err(RemoteError::new(Class::Transient, "the session ended")) } else { Ok(()) }
}

/// Makes the changes of `some` of `row`, and says what came of those of which all went through.
async fn make<S: Session>(session: &mut S, row: &mut [Member], some: Vec<usize>) -> Result<(), RemoteError> {
    let all: Vec<(usize, Change<'_>)> =
        some.iter().flat_map(|at| changes(&row[*at]).into_iter().map(|change| (*at, change))).collect();
    let mut made = session.change_all(&all.iter().map(|(_, change)| *change).collect::<Vec<_>>()).await.into_iter();
    let (mut refused, mut mode_unset) = (Vec::new(), Vec::new());
    for (at, change) in all {
        match (change, made.next()) {
            (_, Some(Err(e))) if !e.session_survives() => return Err(e),
            (_, None) => return Err(RemoteError::new(Class::Transient, "the session ended")),
            // A server may be unable to set either, which is no failure.
            (Change::SetModified(..), _) | (_, Some(Ok(true))) => {}
            (Change::SetMode(..), _) => mode_unset.push(at),
            (_, Some(_)) => refused.push(at),
        }
    }
    for at in some.into_iter().filter(|at| !refused.contains(at)) {
        let member = &mut row[at];
        let is_moded = matches!(member.load.job.operation, Operation::MakeDir { mode: Some(_), .. });
        if is_moded && !std::mem::replace(&mut member.stands, true) {
            continue;
        }
        let mode_unset = mode_unset.contains(&at);
        member.report = member.goes.take().map(|report| Report { mode_unset, ..report });
    }
    Ok(())
}

/// What a job of a row changes.
fn changes(member: &Member) -> Vec<Change<'_>> {
    let adorned = |path, seconds: Option<i64>, mode: &Option<_>| {
        let time = seconds.map(|seconds| Change::SetModified(path, seconds));
        time.into_iter().chain(mode.map(|mode| Change::SetMode(path, mode))).collect::<Vec<_>>()
    };
    match (&member.load.job.operation, &member.goes) {
        (Operation::Put { path, mode, .. }, Some(Report { outcome: Outcome::Done(Done::Holds { print, .. }), .. })) => {
            adorned(path, Some(seconds(print)), mode)
        }
        // Under its new name it is complete.
        (Operation::Rename { from, to, print, mode, retime, .. }, _) => {
            let mut changes = adorned(from, retime.then(|| seconds(print)), mode);
            changes.push(Change::Rename(from, to));
            changes
        }
        (Operation::MakeDir { path, mode: Some(mode), .. }, _) if member.stands => vec![Change::SetMode(path, *mode)],
        (Operation::MakeDir { path, .. }, _) => vec![Change::MakeDir(path)],
        (Operation::SetMode { path, mode }, _) => vec![Change::SetMode(path, *mode)],
        (Operation::RemoveFile { path }, _) => vec![Change::RemoveFile(path)],
        (Operation::RemoveDir { path } | Operation::Expire { place: path, kind: Kind::Dir }, _) => vec![Change::RemoveDir(path)],
        (Operation::Expire { place, .. }, _) => vec![Change::RemoveFile(place)],
        (Operation::RenameDir { from: path, to: place, .. } | Operation::Trash { path, place }, _) => {
            vec![Change::Rename(path, place)]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
