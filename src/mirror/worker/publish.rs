//! A release on one session: everything is looked at, then everything is renamed in one run. And what is left of one that was
//! cut off, and of what is staged.
//!
//! Where a run may be cut off, and what is then done about each of its jobs:
//!
//! | job | seen afterwards | what is done |
//! |---|---|---|
//! | put | its temporary file, whole | it is renamed, unless the live file is not what was recorded |
//! | put | no temporary file, at the path a file like it | it was published |
//! | put | anything else | the server is asked as for any job in doubt, and it is sent again |
//! | move | the file at its old name alone | it is renamed |
//! | move, removal | the name that it left is free, or has what was to come there | it was done |
//! | directory | nothing | it is made |
//! | directory | one that nothing came into, where one had to make way that differs in case | the server is asked |
//! | anything else | | the server is asked |
//!
//! What is left to do after that, or depends on it, is planned and published again.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Report, act, adorned, body, problem, rename, trash};
use crate::{
    blocking,
    mirror::{
        drift::{self, Aside, Care, Drift},
        release::{Part, concerns, flight},
    },
    model::{
        Digest, Done, Fingerprint, How, Job, Kind, Operation, Outcome, PathSet, Problem, Reason, RelPath, ServerCopy, Stat,
        is_trash,
    },
    remote::{Change, RemoteError, Session},
    scan::{Place, read::open_file, travels},
};

/// So many paths are looked at between two that are told of.
const LOOKS: usize = 64;
/// So many renames are asked for at once; how many of them are under way at a time is for the session.
const FLIGHT: usize = 256;

/// What came of a part of a release.
#[derive(Debug, Default)]
pub(in crate::mirror) struct Told {
    /// Jobs that ended.
    pub(in crate::mirror) settled: Vec<(Job, Outcome)>,
    /// What is staged as it was.
    pub(in crate::mirror) kept: Vec<Part>,
    /// What was not got to, or of which nobody knows what became.
    pub(in crate::mirror) left: Vec<Part>,
    /// What was found out of paths.
    pub(in crate::mirror) aside: Vec<Aside>,
    /// Local files that are not what was staged.
    pub(in crate::mirror) look_again: Vec<RelPath>,
    /// The failure that ended the session, or that concerns the remote as a whole.
    pub(in crate::mirror) trouble: Option<RemoteError>,
    /// The server did not set permissions.
    pub(in crate::mirror) mode_unset: bool,
    /// It goes on with what was cut off.
    resumes: bool,
}

impl Told {
    /// The rest was not got to.
    fn lost(mut self, error: RemoteError, rest: impl IntoIterator<Item = Part>) -> Self {
        self.left.extend(rest);
        self.trouble = Some(error);
        self
    }

    /// Whether something speaks against what was looked at.
    pub(in crate::mirror) fn objects(&self) -> bool {
        !self.aside.is_empty() || !self.look_again.is_empty() || self.trouble.is_some()
    }
}

/// Whether what an earlier process staged is still there: kept if so, else ended.
pub(in crate::mirror) async fn prove<S: Session>(session: &mut S, parts: Vec<Part>) -> Told {
    let mut told = Told::default();
    let mut parts = parts.into_iter();
    while let Some(part) = parts.next() {
        let Some(temp) = part.job.temp.clone() else { continue };
        let found = match session.size(&temp).await {
            Ok(found) => found,
            Err(e) if e.session_survives() => None,
            Err(e) => return told.lost(e, std::iter::once(part).chain(parts)),
        };
        match (found, part.print()) {
            (Some(size), Some(print)) if size == print.size => told.kept.push(part),
            _ => match session.remove_file(&temp).await {
                Ok(()) => told.settled.push((part.job, Outcome::Untouched)),
                Err(e) if e.session_survives() => told.settled.push((part.job, Outcome::InDoubt(problem(&e)))),
                Err(e) => return told.lost(e, std::iter::once(part).chain(parts)),
            },
        }
    }
    told
}

/// Removes what is staged and not wanted any more.
pub(in crate::mirror) async fn discard<S: Session>(session: &mut S, parts: Vec<Part>) -> Told {
    let mut told = Told::default();
    let mut parts = parts.into_iter();
    while let Some(part) = parts.next() {
        let Some(temp) = &part.job.temp else { continue };
        match session.remove_file(temp).await {
            Ok(()) => told.settled.push((part.job, Outcome::Untouched)),
            Err(e) if e.session_survives() => told.settled.push((part.job, Outcome::InDoubt(problem(&e)))),
            Err(e) => return told.lost(e, std::iter::once(part).chain(parts)),
        }
    }
    told
}

/// Looks at everything once more before anything is renamed: the server's copies of what is replaced or taken away, then the
/// local files. Nothing visible is changed but for what somebody else changed under a name that is moved from. `Told::left`
/// is the release, if nothing speaks against it.
pub(in crate::mirror) async fn review<S: Session>(session: &mut S, mut parts: Vec<Part>, care: &Care) -> Told {
    let mut told = Told::default();
    let left = left(&parts);
    let mut above = None;
    for chunk in 0..parts.len().div_ceil(LOOKS) {
        let range = chunk * LOOKS..parts.len().min((chunk + 1) * LOOKS);
        let compared = |part: &Part| match &part.job.operation {
            Operation::MakeDir { .. } | Operation::RemoveDir { .. } | Operation::SetMode { .. } => 0,
            Operation::Rename { .. } => 2,
            Operation::Rotate { others, .. } => 1 + others.len(),
            _ => 1,
        };
        let paths: Vec<RelPath> =
            parts[range.clone()].iter().flat_map(|part| part.job.operation.touches().take(compared(part))).cloned().collect();
        let mut found = match session.examine_all(&paths).await {
            Ok(found) => found.into_iter(),
            Err(e) => return told.lost(e, Vec::new()),
        };
        for part in &mut parts[range] {
            let mut own: Vec<Option<ServerCopy>> = found.by_ref().take(compared(part)).collect();
            let path = part.job.operation.path();
            // Where case is folded, that is what leaves the name before; it is compared under its own.
            if care.abilities.folds_case != Some(false) && left.get(&path.folded()).is_some_and(|twin| twin != path) {
                own.iter_mut().take(1).for_each(|found| *found = None);
            }
            let care = Care { recorded: part.recorded.clone(), ..care.clone() };
            match objection(session, part, &own, &care).await {
                Ok(None) => {}
                Ok(Some(aside)) => told.aside.push(aside),
                Err(e) => return told.lost(e, Vec::new()),
            }
            if let Operation::Trash { place, .. } = &part.job.operation
                && above != place.parent()
            {
                above = place.parent();
                // A refusal is for the job that needs it.
                if let Err(report) = trash::make_above(session, place).await
                    && let Some(e) = report.trouble
                {
                    return told.lost(e, Vec::new());
                }
            }
        }
    }
    let (place, looked) = (care.place.clone(), parts.clone());
    match blocking::run(move || changed(&place, &looked)).await {
        Ok(changed) => told.look_again = changed,
        Err(_) => told.look_again = parts.iter().map(|part| part.job.operation.path().clone()).collect(),
    }
    told.left = parts;
    told
}

/// The names that something leaves, by what they are where case is folded.
fn left(parts: &[Part]) -> HashMap<RelPath, RelPath> {
    let names = parts.iter().filter_map(|part| match &part.job.operation {
        Operation::RemoveFile { path }
        | Operation::RemoveDir { path }
        | Operation::Trash { path, .. }
        | Operation::Rename { from: path, .. } => Some(path),
        _ => None,
    });
    names.map(|path| (path.folded(), path.clone())).collect()
}

/// What speaks against doing `part` where this was `found`.
async fn objection<S: Session>(
    session: &mut S,
    part: &mut Part,
    found: &[Option<ServerCopy>],
    care: &Care,
) -> Result<Option<Aside>, RemoteError> {
    let operation = &part.job.operation;
    let parked = |problem| Ok(Some(Aside::Parked(operation.path().clone(), problem)));
    if operation.touches().any(RelPath::breaks_lines) {
        return parked(Problem::new(Reason::Name, "it has a line break in it"));
    }
    if let Some(why) = operation.fills().and_then(|path| care.abilities.alters(path)) {
        return parked(Problem::new(Reason::Altered, why));
    }
    match operation {
        Operation::Link { path, target } => {
            let held = body::target(care.place.clone(), path.clone()).await;
            match held {
                Ok(held) if Digest(*blake3::hash(&held).as_bytes()) == *target => {
                    if !travels(path, &held) {
                        let held = held.escape_ascii();
                        return parked(Problem::new(
                            Reason::Link,
                            format_args!("{held} would mean something else on the server"),
                        ));
                    }
                }
                Ok(_) => return parked(body::Unread::Changing.to_problem()),
                Err(e) => return parked(e.to_problem()),
            }
        }
        // The content is sent instead.
        Operation::Rename { from, .. } if found.get(1) == Some(&None) => return Ok(Some(Aside::Told(from.clone(), None))),
        Operation::Rotate { .. } if found.contains(&None) => {
            let gone = operation.touches().zip(found).find_map(|(path, found)| found.is_none().then(|| path.clone()));
            return Ok(gone.map(|path| Aside::Told(path, None)));
        }
        _ => {}
    }
    match drift::review(&part.job, found, care) {
        Ok(sets_aside) => {
            part.sets_aside = sets_aside;
            Ok(None)
        }
        Err((0, why)) if !matches!(operation, Operation::Rotate { .. }) => parked(drift::problem(&why)),
        Err((at, why)) => {
            let Some(from) = operation.touches().nth(at) else { return Ok(None) };
            Ok(Some(match care.drift {
                Drift::KeepRemote => Aside::Parked(from.clone(), drift::problem(&why)),
                Drift::KeepBoth => {
                    care.set_aside(session, from).await?;
                    Aside::Told(from.clone(), None)
                }
                Drift::Overwrite => {
                    let copy = found.get(at).copied().flatten();
                    Aside::Told(from.clone(), copy.map(|copy| Stat { kind: copy.kind, size: copy.size }))
                }
            }))
        }
    }
}

/// The files of `parts` that are not here as they were when they were staged, or seen.
fn changed(place: &Place, parts: &[Part]) -> Vec<RelPath> {
    let files = parts.iter().filter_map(|part| match &part.job.operation {
        Operation::Put { path, print, .. } | Operation::Rename { to: path, print, .. } => Some((path, print)),
        _ => None,
    });
    let Ok(root) = place.open() else { return files.map(|(path, _)| path.clone()).collect() };
    let is_same = |path: &RelPath, print: &Fingerprint| {
        open_file(&root, path).ok().and_then(|file| file.fingerprint().ok()).is_some_and(|found| found == *print)
    };
    files.filter(|(path, print)| !is_same(path, print)).map(|(path, _)| path.clone()).collect()
}

/// Does all of `parts` in their order: what is a mere rename in flights, the rest one by one. What is refused stays behind alone,
/// with what depends on it. `Told::left` is what nobody knows of when the session was lost.
pub(in crate::mirror) async fn publish<S: Session>(
    session: &mut S,
    parts: Vec<Part>,
    care: &Care,
    progress: &Arc<AtomicU64>,
) -> Told {
    run(session, parts, care, progress, Told::default()).await
}

async fn run<S: Session>(session: &mut S, parts: Vec<Part>, care: &Care, progress: &Arc<AtomicU64>, mut told: Told) -> Told {
    // Before the first one is renamed: under its old name nobody looks at its time any more.
    for part in &parts {
        if let Operation::Rename { from, print, mode, retime, .. } = &part.job.operation {
            let report = adorned(session, from, retime.then_some(print.mtime_ns), *mode).await;
            told.mode_unset |= report.mode_unset;
            if let Some(e) = report.trouble {
                return told.lost(e, parts);
            }
        }
    }
    let mut parts = VecDeque::from(parts);
    let mut failed = PathSet::default();
    while let Some(part) = parts.pop_front() {
        progress.fetch_add(1, Ordering::Relaxed);
        // What builds on a failure is left as it is.
        if concerns(&part, &failed) {
            note(&mut failed, &part);
            told.spared(part);
            continue;
        }
        parts.push_front(part);
        let many = flight(parts.make_contiguous().iter().take(FLIGHT).take_while(|part| !concerns(part, &failed)));
        let together: Vec<Part> = parts.drain(..many.max(1)).collect();
        let results = if many > 1 {
            let pairs: Vec<(RelPath, RelPath)> = together.iter().filter_map(Part::rename).collect();
            progress.fetch_add(pairs.len() as u64 - 1, Ordering::Relaxed);
            let renames: Vec<Change<'_>> = pairs.iter().map(|(from, to)| Change::Rename(from, to)).collect();
            session.change_all(&renames).await
        } else {
            Vec::new()
        };
        let is_dead = results.last().is_some_and(|last| last.as_ref().is_err_and(|e| !e.session_survives()));
        let mut results = results.into_iter();
        for part in together {
            let report = match results.next() {
                Some(Ok(_)) => {
                    told.done(part);
                    continue;
                }
                Some(Err(e)) if !e.session_survives() => Err(e),
                // Refused among others it may be allowed alone.
                _ if !is_dead && !told.is_cut() => alone(session, &part, care).await,
                _ => {
                    told.left.push(part);
                    continue;
                }
            };
            match report {
                Ok(report) => told.ended(part, report, &mut failed),
                Err(e) => {
                    told.left.push(part);
                    told.trouble = Some(e);
                }
            }
        }
        if told.is_cut() {
            told.left.extend(parts);
            return told;
        }
    }
    told
}

fn note(failed: &mut PathSet, part: &Part) {
    part.job.operation.touches().for_each(|path| {
        failed.insert(path.folded());
    });
}

/// Does one part by itself. An error is the session's end, and nobody knows what became of the part.
async fn alone<S: Session>(session: &mut S, part: &Part, care: &Care) -> Result<Report, RemoteError> {
    let path = part.job.operation.path();
    if part.sets_aside {
        match care.set_aside(session, path).await {
            Ok(()) => {}
            Err(e) if e.session_survives() => return Ok(Report::failed(e)),
            Err(e) => return Err(e),
        }
    }
    let done = Report::of(Outcome::Done(Done::AsPlanned));
    let report = match (&part.job.operation, &part.job.temp) {
        (Operation::Put { .. }, Some(temp)) => session.rename(temp, path).await.map_or_else(Report::failed, |()| done),
        // It was moved aside, and is gone with that.
        (Operation::RemoveFile { .. } | Operation::Trash { .. }, _) if part.sets_aside => {
            Report { aside: Some(Aside::Told(path.clone(), None)), ..Report::of(Outcome::Untouched) }
        }
        (Operation::Rename { from, to, .. }, _) => rename(session, &part.job, from, to).await,
        _ => act(session, &part.job, care, Arc::default()).await,
    };
    match report.trouble {
        Some(e) if !e.session_survives() => Err(e),
        trouble => Ok(Report { trouble, ..report }),
    }
}

impl Told {
    /// Whether the session was lost.
    pub(in crate::mirror) fn is_cut(&self) -> bool {
        self.trouble.as_ref().is_some_and(|e| !e.session_survives())
    }

    /// It is published.
    fn done(&mut self, part: Part) {
        let done = match (&part.job.operation, part.digest) {
            (Operation::Put { print, .. }, Some(digest)) => {
                Done::Holds { print: *print, digest, sent: print.size, how: How::Sent }
            }
            _ => Done::AsPlanned,
        };
        self.settled.push((part.job, Outcome::Done(done)));
    }

    /// It was not tried.
    fn spared(&mut self, part: Part) {
        match &part.job.operation {
            Operation::Put { .. } => self.kept.push(part),
            // It has another time by now than is recorded: let the server be asked.
            Operation::Rename { retime: true, .. } => self.settled.push((part.job, Outcome::InDoubt(cut_off()))),
            _ => self.settled.push((part.job, Outcome::Untouched)),
        }
    }

    /// What came of one that was done by itself.
    fn ended(&mut self, part: Part, report: Report, failed: &mut PathSet) {
        self.mode_unset |= report.mode_unset;
        self.aside.extend(report.aside);
        if let Some(e) = report.trouble {
            self.trouble.get_or_insert(e);
        }
        match report.outcome {
            Outcome::Done(_) => return self.done(part),
            Outcome::Untouched => return self.settled.push((part.job, Outcome::Untouched)),
            Outcome::Failed(_) | Outcome::InDoubt(_) => {}
        }
        note(failed, &part);
        match (report.outcome, &part.job.operation) {
            // It stays where it is: under its temporary name, proven.
            (Outcome::Failed(problem), Operation::Put { path, .. }) => {
                if !self.resumes {
                    self.aside.push(Aside::Parked(path.clone(), problem));
                }
                self.kept.push(part);
            }
            // What it needed may have been left to the plan that follows.
            (Outcome::Failed(_), _) if self.resumes => self.settled.push((part.job, Outcome::InDoubt(cut_off()))),
            (outcome, _) => self.settled.push((part.job, outcome)),
        }
    }
}

/// Goes on with a run that was cut off.
pub(in crate::mirror) async fn finish<S: Session>(
    session: &mut S,
    parts: Vec<Part>,
    care: &Care,
    progress: &Arc<AtomicU64>,
) -> Told {
    let mut told = Told { resumes: true, ..Told::default() };
    let mut fates = Vec::with_capacity(parts.len());
    for part in &parts {
        let care = Care { recorded: part.recorded.clone(), ..care.clone() };
        match fate(session, part, &care).await {
            Ok(fate) => fates.push(fate),
            Err(e) => return told.lost(e, parts),
        }
    }
    settle_taken(&parts, &mut fates, care.abilities.folds());
    let (mut rest, mut failed) = (Vec::new(), PathSet::default());
    for (part, fate) in parts.into_iter().zip(fates) {
        match fate {
            Fate::Done => told.done(part),
            Fate::Due { .. } | Fate::Drifted(_) if concerns(&part, &failed) => {
                note(&mut failed, &part);
                told.spared(part);
            }
            Fate::Due { sets_aside } => rest.push(Part { sets_aside, ..part }),
            Fate::Drifted(problem) => {
                note(&mut failed, &part);
                told.aside.push(Aside::Parked(part.job.operation.path().clone(), problem));
                told.kept.push(part);
            }
            Fate::Taken | Fate::Doubtful => {
                if !matches!(part.job.operation, Operation::SetMode { .. }) {
                    note(&mut failed, &part);
                }
                told.settled.push((part.job, Outcome::InDoubt(cut_off())));
            }
        }
    }
    run(session, rest, care, progress, told).await
}

/// A name that was left and has something else now was left, if what was to come there came. Where case is folded, that may have come
/// under a name that differs in case only; and a directory that is there may be the one that was to make way, still, unless
/// something came into it.
fn settle_taken(parts: &[Part], fates: &mut [Fate], folds: bool) {
    let key = |path: &RelPath| if folds { path.folded() } else { path.clone() };
    let left_names = if folds { left(parts) } else { HashMap::new() };
    let (mut filled, mut entered) = (BTreeSet::new(), BTreeSet::new());
    for (part, fate) in parts.iter().zip(fates).rev() {
        let operation = &part.job.operation;
        let left = match operation {
            Operation::Rename { from, .. } => from,
            other => other.path(),
        };
        if matches!(fate, Fate::Taken) && filled.contains(&key(left)) {
            *fate = Fate::Done;
        }
        if let (Operation::MakeDir { path, .. }, Fate::Done) = (operation, &*fate)
            && left_names.get(&key(path)).is_some_and(|twin| twin != path)
            && !entered.contains(&key(path))
        {
            *fate = Fate::Doubtful;
        }
        if let (Some(path), Fate::Done) = (operation.fills(), &*fate) {
            entered.extend(path.ancestors().map(|dir| key(&dir)));
            filled.insert(key(path));
        }
    }
}

fn cut_off() -> Problem {
    Problem::new(Reason::Connection, "it was broken off while everything was published")
}

/// What became of a part of a run that was cut off.
enum Fate {
    /// It was done, unless what is at the name that it left is still the old thing.
    Taken,
    Due {
        sets_aside: bool,
    },
    Done,
    Drifted(Problem),
    /// The server has to be asked in the ordinary way.
    Doubtful,
}

async fn fate<S: Session>(session: &mut S, part: &Part, care: &Care) -> Result<Fate, RemoteError> {
    let seen = |size: Option<u64>, wanted: u64| size.is_none_or(|size| size == wanted);
    let fate = match (&part.job.operation, &part.job.temp) {
        (Operation::Put { path, print, .. }, Some(temp)) => match session.prove(temp, path).await {
            Ok((Some(size), found)) if size == print.size => match drift::review(&part.job, &[found], care) {
                Ok(sets_aside) => Fate::Due { sets_aside },
                Err((_, why)) => Fate::Drifted(drift::problem(&why)),
            },
            // Nobody else knows the temporary name: it went where it was to go.
            Ok((None, Some(found))) if found.kind == Kind::File && seen(found.size, print.size) => Fate::Done,
            Ok(_) => Fate::Doubtful,
            Err(e) if e.session_survives() => Fate::Doubtful,
            Err(e) => return Err(e),
        },
        (Operation::MakeDir { path, .. }, _) => match session.stat(path).await {
            Ok(Some(Stat { kind: Kind::Dir, .. })) => Fate::Done,
            Ok(None) => Fate::Due { sets_aside: false },
            Err(e) if !e.session_survives() => return Err(e),
            _ => Fate::Doubtful,
        },
        (Operation::Rename { from, to, print, .. }, None) if !is_trash(from) => {
            let Some(at_from) = told(session, from).await? else { return Ok(Fate::Doubtful) };
            let Some(at_to) = told(session, to).await? else { return Ok(Fate::Doubtful) };
            match (at_from, at_to) {
                (None, Some(Stat { kind: Kind::File, size })) if seen(size, print.size) => Fate::Done,
                (Some(_), Some(Stat { kind: Kind::File, size })) if seen(size, print.size) => Fate::Taken,
                (Some(Stat { kind: Kind::File, size }), None) if seen(size, print.size) => Fate::Due { sets_aside: false },
                _ => Fate::Doubtful,
            }
        }
        // Nothing else has a name like that.
        (Operation::Trash { place: path, .. }, _) => match session.stat(path).await {
            Ok(Some(_)) => Fate::Done,
            Err(e) if !e.session_survives() => return Err(e),
            _ => Fate::Doubtful,
        },
        (Operation::RemoveFile { path } | Operation::RemoveDir { path }, _) => match session.stat(path).await {
            Ok(None) => Fate::Done,
            Ok(Some(_)) => Fate::Taken,
            Err(e) if !e.session_survives() => return Err(e),
            Err(_) => Fate::Doubtful,
        },
        _ => Fate::Doubtful,
    };
    Ok(fate)
}

/// What is at `path`; `None` if the server does not say.
async fn told<S: Session>(session: &mut S, path: &RelPath) -> Result<Option<Option<Stat>>, RemoteError> {
    match session.stat(path).await {
        Ok(stat) => Ok(Some(stat)),
        Err(e) if e.session_survives() => Ok(None),
        Err(e) => Err(e),
    }
}
