//! When deletes must wait for a person: pure, from numbers that the caller counted. Says nothing of which deletes.

use std::fmt;

use crate::model::RootIdentity;

/// How many deletes are ordinary. Exceeded when both limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Budget {
    /// Files.
    pub files: u64,
    /// Hundredths of the files that were on the server.
    pub percent: u8,
}

impl Default for Budget {
    fn default() -> Self {
        Self { files: 50, percent: 25 }
    }
}

impl Budget {
    /// Whether `deletes` of `recorded` files are more than ordinary.
    pub fn is_exceeded(&self, deletes: u64, recorded: u64) -> bool {
        deletes > self.files && u128::from(deletes) * 100 > u128::from(self.percent) * u128::from(recorded)
    }
}

/// What became of the mirror's local root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// It is the directory that it always was.
    Same,
    /// There is no directory of that name.
    Missing,
    /// Another directory has its name.
    Replaced {
        /// The one that was mirrored.
        recorded: RootIdentity,
        /// The one that is there now.
        found: RootIdentity,
    },
}

/// Files whose content would be replaced on the server, where those are many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// How many.
    pub files: u64,
    /// So many of them are empty now, or begin with a block of NULs; an estimate.
    pub spoilt: u64,
}

impl Changed {
    /// No more than so many changes are ordinary, whatever became of the files.
    pub const ORDINARY: u64 = 50;

    /// Whether most files lost their content, and that are most of all: no program does that, a crash does.
    pub fn is_loss(&self, recorded: u64) -> bool {
        self.files > Self::ORDINARY && self.files.saturating_mul(2) > recorded && self.spoilt.saturating_mul(2) > self.files
    }
}

/// A person's consent to the deletes that waited when it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Approval {
    /// How many files may still be deleted.
    pub deletes: u64,
    /// The root that was found when it was given, if that was another than the one mirrored until then.
    pub root: Option<RootIdentity>,
    /// How many files may be replaced by such as lost their content.
    #[serde(default)]
    pub changes: u64,
}

impl Approval {
    /// What is left of it after `done` deletes, when `waiting` are still to come and `changed` files to be replaced; `None` when it is used up. A delete that
    /// is not wanted any more (the file is back) does not leave room for another.
    #[must_use]
    pub fn after(self, done: u64, waiting: u64, changed: u64) -> Option<Self> {
        let changes = self.changes.min(changed);
        let deletes = self.deletes.saturating_sub(done).min(waiting);
        (deletes > 0 || self.root.is_some() || changes > 0).then_some(Self { deletes, changes, ..self })
    }
}

/// What [`guard`] decides by. Files are counted, not directories, and moved files are no deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The local root.
    pub root: Root,
    /// Whether nothing at all is observed in it.
    pub root_empty: bool,
    /// Files on the server that are gone here.
    pub waiting: u64,
    /// Files that are recorded to be on the server.
    pub recorded: u64,
    /// Files deleted in the last ten minutes without an approval: many small deletes are one large one.
    pub recent: u64,
    /// Files whose content would be replaced.
    pub changed: Changed,
    /// What a person consented to.
    pub approved: Option<Approval>,
}

/// Why deletes wait.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Halt {
    /// There is no local root.
    RootMissing,
    /// The local root is empty while files are on the server.
    RootEmptied {
        /// How many.
        files: u64,
    },
    /// The local root is another directory than the one that was mirrored.
    RootReplaced {
        /// The one that was mirrored.
        recorded: RootIdentity,
        /// The one that is there now.
        found: RootIdentity,
    },
    /// The directory on the server is another state's, by its marker: nothing at all is done.
    MarkerForeign {
        /// What its marker says, in words.
        found: String,
    },
    /// The marker that was in the directory on the server is not there any more.
    MarkerMissing,
    /// Most files have lost their content here.
    ContentLost {
        /// How many differ from the server's.
        changed: u64,
        /// How many of those are empty or begin with NULs.
        spoilt: u64,
        /// Files on the server.
        recorded: u64,
    },
    /// More deletes than the budget.
    OverBudget {
        /// Files deleted lately and files to be deleted.
        deletes: u64,
        /// Files on the server, and those deleted lately.
        recorded: u64,
        /// The budget's number of files.
        files: u64,
        /// The budget's percentage.
        percent: u8,
    },
}

impl Halt {
    /// Whether the marker on the server is the reason, and not the deletes that wait.
    pub fn is_of_marker(&self) -> bool {
        matches!(self, Self::MarkerForeign { .. } | Self::MarkerMissing)
    }

    /// Whether it is removals that wait, which can be dropped.
    pub fn can_be_rejected(&self) -> bool {
        match self {
            Self::RootEmptied { .. } | Self::RootReplaced { .. } | Self::OverBudget { .. } => true,
            Self::RootMissing | Self::MarkerForeign { .. } | Self::MarkerMissing | Self::ContentLost { .. } => false,
        }
    }

    /// What an operator can do about it; `mirror` is the mirror's name.
    pub fn hint(&self, mirror: &str) -> String {
        match self {
            Self::RootMissing => {
                "mount or restore the directory, or correct `source` in the configuration; nothing is deleted until it is back"
                    .into()
            }
            Self::RootEmptied { .. } => {
                format!(
                    "if the files are to be deleted on the server too, run `towline approve {mirror}`; if not, restore or mount them"
                )
            }
            Self::RootReplaced { .. } => {
                format!(
                    "if this is the directory to mirror from now on, run `towline approve {mirror}`; if not, restore or mount the other"
                )
            }
            Self::MarkerForeign { .. } => {
                format!(
                    "stop whatever else mirrors to it, or correct `path` and `remote`; if this mirror is to take it over, run `towline approve {mirror}`"
                )
            }
            Self::MarkerMissing => {
                format!(
                    "if the directory was moved, emptied or restored on the server, mend that or correct `path`; if only the file .towline-mirror is gone, run `towline approve {mirror}`"
                )
            }
            Self::ContentLost { .. } => {
                format!(
                    "if this is meant, run `towline approve {mirror}`; if not, restore the files here; the server has them as they were"
                )
            }
            Self::OverBudget { .. } => {
                format!(
                    "if these deletes are meant, run `towline approve {mirror}`; if not, restore the files here; uploads go on meanwhile"
                )
            }
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RootMissing => f.write_str("the source directory is missing: deletes wait"),
            Self::RootEmptied { files } => {
                write!(f, "the source directory is empty, the server has {files} of its files: deletes wait")
            }
            Self::RootReplaced { .. } => {
                f.write_str("the source is another directory than the one mirrored so far: deletes wait")
            }
            Self::MarkerForeign { found } => {
                write!(
                    f,
                    "the directory on the server has another marker than this mirror's, {found}: nothing is sent or deleted"
                )
            }
            Self::MarkerMissing => {
                f.write_str("the directory on the server has lost this mirror's marker and may be another one: deletes wait")
            }
            Self::ContentLost { changed, spoilt, recorded } => write!(
                f,
                "{changed} of {recorded} files changed, and about {spoilt} of them are empty or filled with NULs: they are not sent, deletes wait"
            ),
            Self::OverBudget { deletes, recorded, files, percent } => write!(
                f,
                "{deletes} of {recorded} files would be deleted, which is more than {files} files and more than {percent} %: deletes wait"
            ),
        }
    }
}

/// Whether deletes must wait, and why. Everything else may go on.
///
/// An approval covers no more deletes than waited when it was given, and no root but the one found then. A missing root is
/// covered by none.
pub fn guard(facts: &Facts, budget: Budget) -> Option<Halt> {
    match facts.root {
        Root::Missing => return Some(Halt::RootMissing),
        Root::Replaced { recorded, found } if facts.approved.and_then(|a| a.root) != Some(found) => {
            return Some(Halt::RootReplaced { recorded, found });
        }
        Root::Replaced { .. } | Root::Same => {}
    }
    if facts.changed.is_loss(facts.recorded) && facts.approved.is_none_or(|a| a.changes < facts.changed.files) {
        let Changed { files: changed, spoilt } = facts.changed;
        return Some(Halt::ContentLost { changed, spoilt, recorded: facts.recorded });
    }
    if facts.approved.is_some_and(|a| a.deletes > 0 && a.deletes >= facts.waiting) {
        return None;
    }
    if facts.root_empty && facts.recorded > 0 {
        return Some(Halt::RootEmptied { files: facts.recorded });
    }
    let (deletes, recorded) = (facts.waiting.saturating_add(facts.recent), facts.recorded.saturating_add(facts.recent));
    (facts.waiting > 0 && budget.is_exceeded(deletes, recorded)).then_some(Halt::OverBudget {
        deletes,
        recorded,
        files: budget.files,
        percent: budget.percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: RootIdentity = RootIdentity { device: 1, inode: 2, filesystem: 0 };
    const NEW: RootIdentity = RootIdentity { device: 1, inode: 3, filesystem: 0 };
    const REPLACED: Root = Root::Replaced { recorded: OLD, found: NEW };
    const BUDGET: Budget = Budget { files: 50, percent: 25 };

    fn facts() -> Facts {
        Facts {
            root: Root::Same,
            root_empty: false,
            waiting: 0,
            recorded: 1000,
            recent: 0,
            changed: Changed::default(),
            approved: None,
        }
    }

    fn approved(deletes: u64, root: Option<RootIdentity>) -> Option<Approval> {
        Some(Approval { deletes, root, changes: 0 })
    }

    fn over(deletes: u64, recorded: u64) -> Option<Halt> {
        Some(Halt::OverBudget { deletes, recorded, files: 50, percent: 25 })
    }

    #[test]
    fn deletes_halt_when_both_limits_are_exceeded() {
        let emptied = Some(Halt::RootEmptied { files: 1000 });
        let replaced = Some(Halt::RootReplaced { recorded: OLD, found: NEW });
        for (what, facts, halt) in [
            ("nothing", facts(), None),
            ("few of few", Facts { waiting: 50, recorded: 60, ..facts() }, None),
            ("many of many", Facts { waiting: 250, ..facts() }, None),
            ("both limits", Facts { waiting: 251, ..facts() }, over(251, 1000)),
            ("all of 51", Facts { waiting: 51, recorded: 51, ..facts() }, over(51, 51)),
            ("in two bites", Facts { waiting: 151, recorded: 900, recent: 100, ..facts() }, over(251, 1000)),
            ("a large bite is over", Facts { recorded: 100, recent: 900, ..facts() }, None),
            ("approved", Facts { waiting: 251, approved: approved(251, None), ..facts() }, None),
            ("approved, then more", Facts { waiting: 252, approved: approved(251, None), ..facts() }, over(252, 1000)),
            ("no overflow", Facts { waiting: u64::MAX, recent: 9, ..facts() }, over(u64::MAX, 1009)),
            ("missing", Facts { root: Root::Missing, ..facts() }, Some(Halt::RootMissing)),
            (
                "missing is never approved",
                Facts { root: Root::Missing, waiting: 1, approved: approved(1, Some(NEW)), ..facts() },
                Some(Halt::RootMissing),
            ),
            ("emptied", Facts { root_empty: true, waiting: 1000, ..facts() }, emptied.clone()),
            (
                "emptied of one file",
                Facts { root_empty: true, waiting: 1, recorded: 1, ..facts() },
                Some(Halt::RootEmptied { files: 1 }),
            ),
            ("emptied, not noted yet", Facts { root_empty: true, ..facts() }, emptied.clone()),
            ("emptied, nothing there", Facts { root_empty: true, recorded: 0, ..facts() }, None),
            ("emptied, approved", Facts { root_empty: true, waiting: 1000, approved: approved(1000, None), ..facts() }, None),
            (
                "emptied, approved for less",
                Facts { root_empty: true, waiting: 1000, approved: approved(9, None), ..facts() },
                emptied,
            ),
            ("replaced", Facts { root: REPLACED, ..facts() }, replaced.clone()),
            (
                "replaced, deletes approved",
                Facts { root: REPLACED, waiting: 3, approved: approved(3, None), ..facts() },
                replaced.clone(),
            ),
            ("replaced, another approved", Facts { root: REPLACED, approved: approved(0, Some(OLD)), ..facts() }, replaced),
            ("replaced, approved", Facts { root: REPLACED, approved: approved(0, Some(NEW)), ..facts() }, None),
            (
                "replaced, approved, more deletes",
                Facts { root: REPLACED, waiting: 300, approved: approved(0, Some(NEW)), ..facts() },
                over(300, 1000),
            ),
        ] {
            assert_eq!(guard(&facts, BUDGET), halt, "{what}");
        }
    }

    #[test]
    fn lost_content_halts_until_it_is_approved() {
        let changed = |files, spoilt| Changed { files, spoilt };
        let lost = |changed, spoilt| Some(Halt::ContentLost { changed, spoilt, recorded: 1000 });
        let consent = |changes| Some(Approval { deletes: 0, root: None, changes });
        for (what, changed, approved, halt) in [
            ("nearly all changed", changed(900, 0), None, None),
            ("most are empty", changed(900, 451), None, lost(900, 451)),
            ("as many are", changed(900, 450), None, None),
            ("half of the mirror", changed(500, 500), None, None),
            ("more than half", changed(501, 501), None, lost(501, 501)),
            ("approved", changed(501, 501), consent(501), None),
            ("approved, then more", changed(502, 502), consent(501), lost(502, 502)),
        ] {
            assert_eq!(guard(&Facts { changed, approved, ..facts() }, BUDGET), halt, "{what}");
        }
        assert_eq!(guard(&Facts { recorded: 50, changed: changed(50, 50), ..facts() }, BUDGET), None, "a small mirror");
        let one = Approval { deletes: 0, root: None, changes: 5 };
        assert_eq!((one.after(0, 0, 3), one.after(0, 0, 0)), (Some(Approval { changes: 3, ..one }), None));
    }

    #[test]
    fn an_approval_is_used_up() {
        let approval = Approval { deletes: 100, root: None, changes: 0 };
        assert_eq!(approval.after(60, 40, 0), approved(40, None));
        assert_eq!(approval.after(60, 90, 0), approved(40, None), "new deletes are not covered");
        assert_eq!(approval.after(0, 30, 0), approved(30, None), "files that came back leave no room");
        assert_eq!(approval.after(100, 0, 0), None);
        assert_eq!(Approval { deletes: 1, root: Some(NEW), changes: 0 }.after(1, 0, 0), approved(0, Some(NEW)));
    }

    #[test]
    fn a_halt_is_told_in_words_and_kept_as_data() {
        let halt = Halt::OverBudget { deletes: 251, recorded: 1000, files: 50, percent: 25 };
        assert_eq!(
            halt.to_string(),
            "251 of 1000 files would be deleted, which is more than 50 files and more than 25 %: deletes wait"
        );
        assert!(halt.hint("site").contains("`towline approve site`"));
        let json = serde_json::to_string(&halt).expect("plain data");
        assert_eq!(json, r#"{"reason":"over-budget","deletes":251,"recorded":1000,"files":50,"percent":25}"#);
        assert_eq!(serde_json::from_str::<Halt>(&json).expect("the same"), halt);
    }
}
