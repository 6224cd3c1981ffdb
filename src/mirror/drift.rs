//! Compare before you overwrite: whether the copy on the server is what was recorded of it, and what is done if it is not. The
//! comparison is pure; the steps before a job are a thin shell around it.
//!
//! What counts: kind, size, and the time of modification to the second where the server is known to keep one that was set. The
//! recorded digest is blake3, which no server computes. Not drift is
//!
//! * a copy that is gone: nothing would be lost;
//! * a copy like the one that is about to come (size and time): what an earlier state of the index sent, or an equal file that
//!   was there before the first sync. It is sent all the same: size and time prove nothing;
//! * whatever lies where the index only knows that *something* does: a job of our own left it in doubt, or somebody approved.
//!
//! Everything else is, a file that was there before the first sync and differs among it.

use crate::{
    index::Witness,
    model::{
        Abilities, Chunks, Entry, Fingerprint, Job, Kind, Operation, Outcome, Problem, Reason, RelPath, ServerCopy, Stat,
        UnixMillis, Versions, is_trash,
    },
    remote::{RemoteError, Session},
    scan::Place,
};

use super::{siblings::Digests, worker::Report};

/// What becomes of a copy on the server that somebody else changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// It stays, and the path is parked.
    #[default]
    KeepRemote,
    /// It is renamed to a visible name with a date, and ours takes its place.
    KeepBoth,
    /// It goes.
    Overwrite,
}

/// What a job is done with besides its session.
#[derive(Clone)]
pub(super) struct Care {
    /// The local directory.
    pub(super) place: Place,
    /// Where the digests of its files are known.
    pub(super) digests: Digests,
    /// What is known of the server.
    pub(super) abilities: Abilities,
    /// What becomes of drift.
    pub(super) drift: Drift,
    /// What is recorded at each path that the job regards, in their order.
    pub(super) recorded: Vec<Option<Entry>>,
    /// What the server has of the job's path, chunk by chunk, where that is known and of use.
    pub(super) former: Option<Chunks>,
    /// Of a job in doubt that renames directories in turn: what tells whether they were.
    pub(super) witnesses: Vec<Witness>,
    /// What is new of a file may be added to it under its own name.
    pub(super) in_place: bool,
    /// For names with a date.
    pub(super) now: UnixMillis,
    /// What is kept of what is overwritten.
    pub(super) versions: Versions,
    /// An upload that was cut off may be gone on with.
    pub(super) goes_on: bool,
    /// What is put stays under its temporary name, to be published with everything else.
    pub(super) stages: bool,
}

/// What the index is to be told of a path that is not the job's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// It is parked.
    Parked(RelPath, Problem),
    /// This is there, and may be anything.
    Told(RelPath, Option<Stat>),
}

impl Care {
    /// What speaks against doing something to `found`, the copy at `path`, of which the job's path number `at` has a record;
    /// `coming` is what would replace it.
    pub(super) fn objection(&self, at: usize, found: Option<&ServerCopy>, coming: Option<&Fingerprint>) -> Option<String> {
        let recorded = self.recorded.get(at).and_then(Option::as_ref);
        objection(recorded, found?, coming, self.abilities.times == Some(true))
    }

    /// Moves what is at `path` out of the way, to a name that shows it.
    pub(super) async fn set_aside<S: Session>(&self, session: &mut S, path: &RelPath) -> Result<(), RemoteError> {
        let aside = aside(path, self.now);
        tracing::warn!(%path, %aside, "the server's copy was changed by somebody else; it is kept under another name");
        session.rename(path, &aside).await
    }
}

/// That the copy at a path is not what was recorded.
pub(super) fn problem(why: &str) -> Problem {
    Problem::new(Reason::Drift, why)
}

/// Compares what `job` is about to take away or replace, as far as that is not for later (a put looks again when its body is
/// there). A report ends the job.
pub(super) async fn before<S: Session>(session: &mut S, job: &Job, care: &Care) -> Option<Report> {
    let done = match &job.operation {
        Operation::RemoveFile { path } | Operation::Trash { path, .. } => removal(session, path, care).await,
        Operation::Link { path, .. } => replacement(session, path, 0, None, care).await,
        Operation::Rename { from, to, print, .. } => {
            let first = source(session, from, care).await;
            match first {
                Ok(None) if !job.operation.is_change_of_case() => replacement(session, to, 0, Some(print), care).await,
                other => other,
            }
        }
        // What is in the trash is nobody else's, and nothing is put back over anything.
        Operation::Restore { .. } | Operation::Expire { .. } => Ok(None),
        // They look by themselves: for what replaces the file drift is no end, but for a copy it is.
        Operation::Keep { .. } | Operation::Revert { .. } => Ok(None),
        // What was changed in a directory goes along with it, and is compared when something else is to take its place.
        Operation::RenameDir { .. } | Operation::Rotate { kind: Kind::Dir | Kind::Link, .. } => Ok(None),
        Operation::Rotate { kind: Kind::File, .. } => sources(session, job, care).await,
        Operation::Put { .. } | Operation::MakeDir { .. } | Operation::SetMode { .. } | Operation::RemoveDir { .. } => Ok(None),
    };
    done.unwrap_or_else(|e| Some(Report::failed(e)))
}

async fn removal<S: Session>(session: &mut S, path: &RelPath, care: &Care) -> Result<Option<Report>, RemoteError> {
    let found = session.examine(path).await?;
    let Some(why) = care.objection(0, found.as_ref(), None) else { return Ok(None) };
    match care.drift {
        Drift::KeepRemote => Ok(Some(Report::drifted(&why))),
        Drift::KeepBoth => {
            care.set_aside(session, path).await?;
            Ok(Some(Report { aside: Some(Aside::Told(path.clone(), None)), ..Report::of(Outcome::Untouched) }))
        }
        Drift::Overwrite => Ok(None),
    }
}

async fn replacement<S: Session>(
    session: &mut S,
    path: &RelPath,
    at: usize,
    coming: Option<&Fingerprint>,
    care: &Care,
) -> Result<Option<Report>, RemoteError> {
    let found = session.examine(path).await?;
    let Some(why) = care.objection(at, found.as_ref(), coming) else { return Ok(None) };
    match care.drift {
        Drift::KeepRemote => return Ok(Some(Report::drifted(&why))),
        Drift::KeepBoth => care.set_aside(session, path).await?,
        Drift::Overwrite => {}
    }
    Ok(None)
}

/// Compares `found`, what is at each path that `job` touches, before a release begins. Where it goes on, whether what is at the
/// job's path moves aside first; where it does not, which of its paths is in the way (by number), and why.
pub(super) fn review(job: &Job, found: &[Option<ServerCopy>], care: &Care) -> Result<bool, (usize, String)> {
    let at = |n: usize| found.get(n).and_then(Option::as_ref);
    let (coming, compares) = match &job.operation {
        Operation::Put { print, .. } | Operation::Rename { print, .. } => (Some(print), !job.operation.is_change_of_case()),
        Operation::Link { .. } | Operation::RemoveFile { .. } | Operation::Trash { .. } => (None, true),
        _ => (None, false),
    };
    if let Operation::Rotate { kind: Kind::File, .. } = &job.operation {
        let objection = |n| match at(n) {
            None => Some("it is gone".to_owned()),
            found => care.objection(n, found, None),
        };
        let first = (0..job.operation.touches().count()).find_map(|n| objection(n).map(|why| (n, why)));
        return first.map_or(Ok(false), Err);
    }
    if let (Operation::Rename { .. }, Some(why)) = (&job.operation, care.objection(1, at(1), None)) {
        // Changed, it is not what is to be at the new name, whatever the policy says.
        return Err((1, why));
    }
    match (compares.then(|| care.objection(0, at(0), coming)).flatten(), care.drift) {
        (Some(why), Drift::KeepRemote) => Err((0, why)),
        (why, drift) => Ok(why.is_some() && drift == Drift::KeepBoth),
    }
}

/// What a rename takes its content from: changed, it is not what is to be at the new name, whatever the policy says.
async fn source<S: Session>(session: &mut S, from: &RelPath, care: &Care) -> Result<Option<Report>, RemoteError> {
    let found = session.examine(from).await?;
    let Some(why) = care.objection(1, found.as_ref(), None) else { return Ok(None) };
    if is_trash(from) {
        // It is sent instead.
        let problem = Problem::new(Reason::Connection, format_args!("what lies in the trash is another one: {why}"));
        return Ok(Some(Report::of(Outcome::Failed(problem))));
    }
    changed(session, from, found, &why, care).await.map(Some)
}

/// The same of all whose names go round. One that is gone is recorded as that.
async fn sources<S: Session>(session: &mut S, job: &Job, care: &Care) -> Result<Option<Report>, RemoteError> {
    let names: Vec<RelPath> = job.operation.touches().cloned().collect();
    let found = session.examine_all(&names).await?;
    for (at, (name, found)) in names.iter().zip(found).enumerate() {
        if found.is_none() {
            let aside = Some(Aside::Told(name.clone(), None));
            return Ok(Some(Report { aside, ..Report::of(Outcome::Untouched) }));
        }
        if let Some(why) = care.objection(at, found.as_ref(), None) {
            return changed(session, name, found, &why, care).await.map(Some);
        }
    }
    Ok(None)
}

/// What is to be renamed was changed by somebody else.
async fn changed<S: Session>(
    session: &mut S,
    from: &RelPath,
    found: Option<ServerCopy>,
    why: &str,
    care: &Care,
) -> Result<Report, RemoteError> {
    let aside = match care.drift {
        Drift::KeepRemote => Aside::Parked(from.clone(), problem(why)),
        Drift::KeepBoth => {
            care.set_aside(session, from).await?;
            Aside::Told(from.clone(), None)
        }
        Drift::Overwrite => Aside::Told(from.clone(), found.map(|copy| Stat { kind: copy.kind, size: copy.size })),
    };
    Ok(Report { aside: Some(aside), ..Report::of(Outcome::Untouched) })
}

/// Why `found` is not what was `recorded`, if it is not; `times` says whether the server keeps times that were set.
fn objection(recorded: Option<&Entry>, found: &ServerCopy, coming: Option<&Fingerprint>, times: bool) -> Option<String> {
    if coming.is_some_and(|coming| found.kind == Kind::File && differs(coming, found, times).is_none()) {
        return None;
    }
    match (recorded, found.kind) {
        // A removal of what was never recorded does not exist.
        (None, Kind::File) => Some(format!("{} is there that this mirror did not put there", words(found))),
        (None, kind) => Some(format!("a {} is there that this mirror did not make", name(kind))),
        (Some(Entry::File { print, .. }), _) if *print == Fingerprint::unknown(print.size) => None,
        (Some(Entry::File { print, .. }), Kind::File) => differs(print, found, times),
        (Some(Entry::File { .. }), kind) => Some(format!("a {} is there where a file was put", name(kind))),
        // Some servers tell what a link leads to.
        (Some(Entry::Link { .. } | Entry::Dir { .. }), _) => None,
    }
}

/// Whether `found` is what `entry` says is there; `times` as above.
pub(super) fn is_as(entry: Option<&Entry>, found: Option<&ServerCopy>, times: bool) -> bool {
    match (entry, found) {
        (None, None) => true,
        (Some(Entry::File { print, .. }), Some(found)) => {
            found.kind == Kind::File && print.inode != 0 && differs(print, found, times).is_none()
        }
        _ => false,
    }
}

/// Whether `found` is the file that is recorded with this fingerprint, in a mirror or its trash; `times` as above.
pub(super) fn is_recorded(print: &Fingerprint, found: &ServerCopy, times: bool) -> bool {
    found.kind == Kind::File && found.size == Some(print.size) && differs(print, found, times).is_none()
}

/// How `found` differs from a file with this fingerprint.
fn differs(print: &Fingerprint, found: &ServerCopy, times: bool) -> Option<String> {
    if found.size.is_some_and(|size| size != print.size) {
        return Some(format!("{} is there where one of {} bytes was put", words(found), print.size));
    }
    let (put, modified) = (print.mtime_ns.div_euclid(1_000_000_000), found.modified?);
    // Outside of this there are servers that cannot hold it.
    let exact = times && (1..=i64::from(i32::MAX)).contains(&put);
    (exact && put != modified).then(|| format!("{} is there where one of {} was put", words(found), date(put)))
}

fn words(found: &ServerCopy) -> String {
    let size = found.size.map_or_else(String::new, |size| format!(" of {size} bytes"));
    let time = found.modified.map_or_else(String::new, |at| format!(", modified {}", date(at)));
    format!("a file{size}{time}")
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Link => "symbolic link",
    }
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// A visible name beside `path` with the date `now`, before its extension: `a.server-20261123T014500Z.txt`.
pub(super) fn aside(path: &RelPath, now: UnixMillis) -> RelPath {
    const LONGEST: usize = 255;
    let stamp = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = path.name();
    let dot = name.iter().rposition(|b| *b == b'.').filter(|at| *at > 0 && name.len() - at <= 16).unwrap_or(name.len());
    let (stem, extension) = name.split_at(dot);
    let insert = format!(".server-{stamp}");
    let mut room = LONGEST.saturating_sub(insert.len() + extension.len()).min(stem.len());
    // Not through the middle of a character.
    while room > 1 && room < stem.len() && stem[room] & 0xc0 == 0x80 {
        room -= 1;
    }
    let name = [&stem[..room], insert.as_bytes(), extension].concat();
    RelPath::child(path.parent().as_ref(), name).unwrap_or_else(|_| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRINT: Fingerprint = Fingerprint { size: 10, mtime_ns: 1_700_000_000_999_999_999, ctime_ns: 1, inode: 1 };

    fn file(size: u64, modified: i64) -> ServerCopy {
        ServerCopy { kind: Kind::File, size: Some(size), modified: Some(modified) }
    }

    #[test]
    fn what_is_drift() {
        let ours = Entry::file(PRINT, None);
        let doubt = Entry::file(Fingerprint::unknown(3), None);
        let link = Entry::Link { target: crate::model::Digest([1; 32]) };
        let old = Entry::file(Fingerprint { mtime_ns: -5_000_000_000, ..PRINT }, None);
        let dir = ServerCopy { kind: Kind::Dir, size: None, modified: Some(5) };
        let next = Fingerprint { size: 20, mtime_ns: 1_800_000_000_000_000_000, ..PRINT };
        let same = file(10, 1_700_000_000);
        for (what, recorded, found, coming, times, drift) in [
            ("as recorded", Some(ours), same, None, true, false),
            ("another size", Some(ours), file(11, 1_700_000_000), None, true, true),
            ("another time", Some(ours), file(10, 1_700_000_001), None, true, true),
            ("another time, which the server does not keep", Some(ours), file(10, 7), None, false, false),
            ("no time", Some(ours), ServerCopy { modified: None, ..same }, None, true, false),
            ("a time that not every server holds", Some(old), file(10, 7), None, true, false),
            ("as it is to become", Some(ours), file(20, 1_800_000_000), Some(next), true, false),
            ("nearly", Some(ours), file(20, 1_800_000_001), Some(next), true, true),
            ("a directory instead", Some(ours), dir, None, true, true),
            ("left in doubt", Some(doubt), file(99, 9), Some(next), true, false),
            ("a link, told as what it leads to", Some(link), file(99, 9), None, true, false),
            ("a stranger", None, file(99, 9), Some(next), true, true),
            ("a stranger of the same size", None, file(20, 9), Some(next), true, true),
            ("one that looks the same", None, file(20, 1_800_000_000), Some(next), true, false),
            ("one of the same size, times unknown", None, file(20, 9), Some(next), false, false),
            ("a strange directory", None, dir, Some(next), true, true),
        ] {
            let found = objection(recorded.as_ref(), &found, coming.as_ref(), times);
            assert_eq!(found.is_some(), drift, "{what}: {found:?}");
        }
        let why = objection(Some(&ours), &file(11, 1_700_000_000), None, true).expect("drift");
        assert_eq!(why, "a file of 11 bytes, modified 2023-11-14T22:13:20Z is there where one of 10 bytes was put");
    }

    #[test]
    fn the_name_aside_is_visible_has_a_date_and_keeps_the_extension() {
        let aside = |path: &str| aside(&RelPath::new(path).expect("a path"), UnixMillis(1_700_000_000_999)).to_string();
        assert_eq!(aside("d/a.txt"), "d/a.server-20231114T221320Z.txt");
        assert_eq!(aside("README"), "README.server-20231114T221320Z");
        assert_eq!(aside(".profile"), ".profile.server-20231114T221320Z");
    }

    proptest! {
        #[test]
        fn the_name_aside_is_one_and_never_too_long(name in "[a\u{e9}.]{1,120}", now in any::<i64>()) {
            if let Ok(path) = RelPath::new(&name) {
                let aside = aside(&path, UnixMillis(now));
                prop_assert!(aside != path && aside.name().len() <= 255 && std::str::from_utf8(aside.name()).is_ok());
            }
        }
    }
}
