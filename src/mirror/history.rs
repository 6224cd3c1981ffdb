//! What is kept and counted of a job that was settled. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    index::Logged,
    model::{Done, How, Operation, Outcome, RelPath, UnixMillis},
};

/// One thing that was done, or tried, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its number in the mirror; later ones have higher ones.
    pub id: i64,
    /// When.
    pub at: UnixMillis,
    /// What became of it: `published`, `copied` (on the server), `appended` or `patched` (there, the rest was sent), `unchanged`, `made`,
    /// `linked`, `changed`, `moved`, `removed`, `trashed`, `kept`, `restored`, `expired`, `failed` or `unclear`.
    pub what: String,
    /// The path below the mirror's root.
    pub path: String,
    /// Where it was before, or where it is now, in the trash; what it was copied from, with the name of the mirror if that is another one.
    pub other: Option<String>,
    /// Bytes that were sent, of a file.
    pub bytes: Option<u64>,
    /// Bytes of the whole file, where those are a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Why it failed, or is unclear.
    pub why: Option<String>,
}

impl From<Logged> for LogEntry {
    fn from(Logged { id, at, what, path, other, bytes, size, why }: Logged) -> Self {
        Self { id, at, what, path: path.to_string(), other: other.map(|other| other.to_string()), bytes, size, why }
    }
}

/// What is kept of what came of `operation`; nothing where nothing came of it yet.
pub(super) fn logged(operation: &Operation, outcome: &Outcome, at: UnixMillis) -> Option<Logged> {
    let entry = |what: &str, other: Option<&RelPath>| Logged {
        id: 0,
        at,
        what: what.to_owned(),
        path: operation.path().clone(),
        other: other.cloned(),
        bytes: None,
        size: None,
        why: None,
    };
    let failed = |what: &str, problem: &crate::model::Problem| {
        let why = format!("{}: {problem}", operation.verb());
        Logged { why: Some(why), ..entry(what, None) }
    };
    match outcome {
        // It is told when it is published; and what was not kept is no news.
        Outcome::Untouched | Outcome::Done(Done::Staged { .. } | Done::NotKept) => None,
        Outcome::Failed(problem) => Some(failed("failed", problem)),
        Outcome::InDoubt(problem) => Some(failed("unclear", problem)),
        Outcome::Done(Done::NotMoved) => Some(entry("made", None)),
        Outcome::Done(Done::Holds { sent, print, how, .. }) => {
            let of = |what| Logged { bytes: Some(*sent), size: Some(print.size), ..entry(what, None) };
            Some(match how {
                How::Sent => Logged { bytes: Some(*sent), ..entry("published", None) },
                How::Unchanged => entry("unchanged", None),
                How::Copied => entry("copied", operation.like().and_then(|like| RelPath::new(like.to_string()).ok()).as_ref()),
                How::Appended => of("appended"),
                How::Patched { .. } => of("patched"),
            })
        }
        Outcome::Done(Done::AsPlanned) => Some(match operation {
            Operation::MakeDir { .. } => entry("made", None),
            // Its outcome is another; the same word as where that is.
            Operation::Put { .. } => entry("published", None),
            Operation::Link { .. } => entry("linked", None),
            Operation::SetMode { .. } => entry("changed", None),
            Operation::RemoveFile { .. } | Operation::RemoveDir { .. } => entry("removed", None),
            Operation::Rename { from, .. } | Operation::RenameDir { from, .. } => entry("moved", Some(from)),
            Operation::Rotate { others, .. } => entry("moved", others.last()),
            Operation::Trash { place, .. } => entry("trashed", Some(place)),
            Operation::Keep { place, .. } => entry("kept", Some(place)),
            Operation::Restore { place, .. } | Operation::Revert { place, .. } => entry("restored", Some(place)),
            Operation::Expire { .. } => entry("expired", None),
        }),
    }
}

/// How many bytes did not need to be sent, since the server had them. What lies in a directory that was renamed as a whole is not
/// counted: nobody looks at each file of it.
pub(super) fn saved(operation: &Operation, outcome: &Outcome) -> u64 {
    match (outcome, operation) {
        (Outcome::Done(Done::Holds { print, sent, .. }), _) => print.size.saturating_sub(*sent),
        (Outcome::Done(Done::AsPlanned), Operation::Rename { print, .. }) => print.size,
        (Outcome::Done(Done::AsPlanned), Operation::Rotate { bytes, .. }) => *bytes,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Fingerprint, Like, Problem, Reason};

    const AT: UnixMillis = UnixMillis(7);

    fn path(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    fn print(size: u64) -> Fingerprint {
        Fingerprint { size, ..Fingerprint::default() }
    }

    fn put(size: u64) -> Operation {
        Operation::Put { path: path("a"), print: print(size), equal_to: None, like: None, mode: None }
    }

    fn holds(size: u64, sent: u64, how: How) -> Outcome {
        Outcome::Done(Done::Holds { print: print(size), digest: Digest([0; 32]), sent, how })
    }

    /// Word, other path, bytes, reason.
    type Told = (String, Option<String>, Option<u64>, Option<String>);

    fn told(operation: &Operation, outcome: &Outcome) -> Option<Told> {
        let entry = LogEntry::from(logged(operation, outcome, AT)?);
        assert_eq!((entry.at, entry.path.as_str()), (AT, operation.path().to_string().as_str()));
        Some((entry.what, entry.other, entry.bytes, entry.why))
    }

    #[test]
    fn each_outcome_has_its_word() {
        let done = |what: &str| Some((what.to_owned(), None, None, None));
        assert_eq!(told(&put(5), &holds(5, 5, How::Sent)), Some(("published".to_owned(), None, Some(5), None)));
        assert_eq!(
            told(&put(0), &holds(0, 0, How::Sent)),
            Some(("published".to_owned(), None, Some(0), None)),
            "an empty file is sent"
        );
        assert_eq!(told(&put(5), &holds(5, 0, How::Unchanged)), done("unchanged"));
        let like = |from: &str| Operation::Put {
            path: path("a"),
            print: print(5),
            equal_to: None,
            like: Some(Like { path: path(from), digest: Digest([0; 32]), beside: None }),
            mode: None,
        };
        assert_eq!(told(&like("b"), &holds(5, 0, How::Copied)), Some(("copied".to_owned(), Some("b".to_owned()), None, None)));
        assert_eq!(told(&like("a"), &holds(5, 2, How::Appended)), Some(("appended".to_owned(), None, Some(2), None)));
        let patched = How::Patched { chunks: 1, of: 3 };
        assert_eq!(told(&like("a"), &holds(5, 2, patched)), Some(("patched".to_owned(), None, Some(2), None)));
        assert_eq!(logged(&like("a"), &holds(5, 2, patched), AT).and_then(|entry| entry.size), Some(5));
        let after_all = told(&like("a"), &holds(5, 5, How::Sent));
        assert_eq!(after_all, Some(("published".to_owned(), None, Some(5), None)), "it was sent after all");
        assert_eq!(told(&put(5), &Outcome::Untouched), None);
        assert_eq!(told(&put(5), &Outcome::Done(Done::Staged { print: print(5), digest: Digest([0; 32]), sent: 5 })), None);
        let problem = Problem::new(Reason::Refused, "550 no");
        let why = Some(format!("put: {problem}"));
        assert_eq!(told(&put(5), &Outcome::Failed(problem.clone())), Some(("failed".to_owned(), None, None, why.clone())));
        assert_eq!(told(&put(5), &Outcome::InDoubt(problem)), Some(("unclear".to_owned(), None, None, why)));
        let moved = Operation::RenameDir { from: path("old"), to: path("new"), inode: 1 };
        assert_eq!(told(&moved, &Outcome::Done(Done::AsPlanned)), Some(("moved".to_owned(), Some("old".to_owned()), None, None)));
        assert_eq!(told(&moved, &Outcome::Done(Done::NotMoved)), done("made"));
        let trash = Operation::Trash { path: path("a"), place: path(".towline-trash/a") };
        let place = Some(".towline-trash/a".to_owned());
        assert_eq!(told(&trash, &Outcome::Done(Done::AsPlanned)), Some(("trashed".to_owned(), place, None, None)));
        assert_eq!(told(&Operation::RemoveDir { path: path("d") }, &Outcome::Done(Done::AsPlanned)), done("removed"));
    }

    #[test]
    fn what_the_server_had_already_is_saved() {
        let rename =
            Operation::Rename { from: path("a"), to: path("b"), print: print(9), digest: None, mode: None, retime: false };
        assert_eq!(saved(&rename, &Outcome::Done(Done::AsPlanned)), 9);
        assert_eq!(saved(&rename, &Outcome::Untouched), 0);
        assert_eq!((saved(&put(5), &holds(5, 5, How::Sent)), saved(&put(5), &holds(5, 0, How::Copied))), (0, 5));
        assert_eq!(saved(&put(5), &holds(5, 2, How::Sent)), 3, "it went on where it was cut off");
    }
}
