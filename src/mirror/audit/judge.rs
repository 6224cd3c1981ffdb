//! What a path on the server amounts to, from what is recorded and what was found. Values only.

use super::{What, walk::Found};
use crate::model::{Digest, Entry, Kind, Stat};

/// The nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// What is to be thought of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is as recorded, as far as there is anything to compare.
    Fine,
    /// Kind and size are as recorded. Of the content this is known; where the time is not what was set, it may be another.
    SameSize { size: u64, digest: Option<Digest>, suspect: bool },
    /// The server did not tell its size.
    Unsized,
    /// It is not.
    Wrong(What),
}

/// What is to be thought of a path of which `recorded` is recorded, and this was `found`; `times` says whether the server keeps
/// times that were set.
pub(super) fn judge(recorded: &Entry, found: Option<&Found>, times: bool) -> Judgement {
    let Some(found) = found else { return Judgement::Wrong(What::Missing) };
    match (recorded, found.kind) {
        // A link that leads to a directory is as good as one; and some servers tell what a link leads to.
        (Entry::Dir { .. }, Some(Kind::Dir | Kind::Link)) | (Entry::Link { .. }, _) => Judgement::Fine,
        (Entry::File { print, digest, .. }, Some(Kind::File)) => match found.size {
            None => Judgement::Unsized,
            Some(size) if size != print.size => Judgement::Wrong(What::OtherSize { expected: print.size, found: size }),
            Some(size) => {
                let set = (print.inode != 0).then(|| print.mtime_ns.div_euclid(SECOND));
                let told = found.modified.filter(|_| times);
                let suspect = set.zip(told).is_some_and(|(set, told)| set != told);
                Judgement::SameSize { size, digest: *digest, suspect }
            }
        },
        (Entry::Dir { .. } | Entry::File { .. }, kind) => Judgement::Wrong(What::OtherKind { found: kind }),
    }
}

/// What is to be recorded of a path with which this is wrong; `None` leaves what is recorded. Where something else has our
/// name, it is not ours to touch, and as long as it is there nothing can be done about what was.
pub(super) fn correction(what: &What, size: u64) -> Option<Option<Stat>> {
    match what {
        What::Missing => Some(None),
        What::OtherSize { found, .. } => Some(Some(Stat { kind: Kind::File, size: Some(*found) })),
        What::OtherContent | What::OtherTime => Some(Some(Stat { kind: Kind::File, size: Some(size) })),
        What::OtherKind { .. } | What::Foreign | What::Unproven { .. } => None,
    }
}

/// Whether a file that was last modified at `mtime_ns` is told as `modified` where times are whole seconds.
pub(super) fn same_time(mtime_ns: i64, modified: i64) -> bool {
    mtime_ns.div_euclid(SECOND) == modified
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fingerprint;

    fn found(kind: Option<Kind>, size: Option<u64>) -> Found {
        Found { kind, size, modified: None, by_name: false }
    }

    #[test]
    fn what_is_found_is_judged_by_kind_size_and_time() {
        let print = Fingerprint { size: 5, mtime_ns: 7_900_000_000, ctime_ns: 1, inode: 1 };
        let file = Entry::file(print, None);
        let wrong = |what| Judgement::Wrong(what);
        assert_eq!(judge(&file, None, true), wrong(What::Missing));
        assert_eq!(judge(&file, Some(&found(Some(Kind::Dir), None)), true), wrong(What::OtherKind { found: Some(Kind::Dir) }));
        assert_eq!(judge(&file, Some(&found(None, None)), true), wrong(What::OtherKind { found: None }));
        assert_eq!(judge(&file, Some(&found(Some(Kind::File), None)), true), Judgement::Unsized);
        let other = What::OtherSize { expected: 5, found: 4 };
        assert_eq!(judge(&file, Some(&found(Some(Kind::File), Some(4))), true), wrong(other));
        for (modified, times, suspect) in
            [(None, true, false), (Some(7), true, false), (Some(8), true, true), (Some(8), false, false)]
        {
            let found = Found { modified, ..found(Some(Kind::File), Some(5)) };
            assert_eq!(judge(&file, Some(&found), times), Judgement::SameSize { size: 5, digest: None, suspect }, "{modified:?}");
        }
        assert_eq!(judge(&Entry::dir(1), Some(&found(Some(Kind::Dir), None)), true), Judgement::Fine);
        let file_there = found(Some(Kind::File), Some(1));
        assert_eq!(judge(&Entry::dir(1), Some(&file_there), true), wrong(What::OtherKind { found: Some(Kind::File) }));
        assert_eq!(judge(&Entry::Link { target: Digest([1; 32]) }, Some(&file_there), true), Judgement::Fine);
    }

    #[test]
    fn what_is_not_ours_is_never_recorded() {
        for what in [What::Foreign, What::OtherKind { found: None }, What::Unproven { why: String::new() }] {
            assert_eq!(correction(&what, 1), None);
        }
        assert_eq!(correction(&What::Missing, 1), Some(None));
    }
}
