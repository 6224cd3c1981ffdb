//! What a profile means, in plain words: one row for each thing that a probe finds out, with what follows from it and what can be
//! done. It asks nobody and prints nothing.

use serde::Serialize;

use super::profile::{Hashing, Passive, Profile, SetTime, Tail, Tls13};

/// One thing about a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// A name that stays the same.
    pub key: &'static str,
    /// What it is about, in words.
    pub what: &'static str,
    /// What was found, in words.
    pub found: String,
    /// How it is to be judged.
    pub grade: Grade,
    /// What follows from it for a mirror; only for a weakness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consequence: Option<&'static str>,
    /// What can be done about it; only for a weakness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
}

/// How a row is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be; or the server lacks something that nothing depends on.
    Fine,
    /// It has a consequence.
    Weak,
    /// Not found out.
    Unknown,
}

/// What a profile means, in a fixed order.
pub fn rows(profile: &Profile) -> Vec<Row> {
    let mut rows = vec![resumption(profile), passive(profile), limit(profile)];
    rows.extend(files(profile));
    rows.push(times(profile));
    rows.push(digests(profile));
    rows.extend(extras(profile));
    rows.push(dotfiles(profile));
    rows.push(Subject("case", "names in capitals and in small letters").if_not(
        profile.folds_case.map(|folds| !folds),
        "are kept apart",
        "are the same",
        "of names that differ in case alone only one can be mirrored",
        "rename one of them",
    ));
    rows.extend(names(profile));
    rows.push(Subject("pipelining", "several commands in one flight").if_not(
        profile.in_order,
        "answered in order",
        "answered out of order",
        "commands are sent one at a time; small files take longer",
        "none is needed",
    ));
    rows.push(Subject("pipelining-behind", "commands right behind the last byte of a short upload").if_not(
        profile.behind,
        "answered when it is there",
        "answered too soon, or not",
        "small files take one round trip more",
        "none is needed",
    ));
    if profile.lost.steps().next().is_some() {
        let steps: Vec<_> = profile.lost.steps().map(|step| format!("{step:?}").to_lowercase()).collect();
        rows.push(Subject("lost", "closes the connection when asked about").weak(
            steps.join(", "),
            "this is not known, and not asked again",
            "look into the server's log, and update the server",
        ));
    }
    rows
}

/// What a row is about: its key, and words.
#[derive(Clone, Copy)]
struct Subject(&'static str, &'static str);

impl Subject {
    fn row(self, found: String, grade: Grade, consequence: Option<&'static str>, remedy: Option<&'static str>) -> Row {
        Row { key: self.0, what: self.1, found, grade, consequence, remedy }
    }

    fn fine(self, found: impl Into<String>) -> Row {
        self.row(found.into(), Grade::Fine, None, None)
    }

    fn unknown(self) -> Row {
        self.row("not known".to_owned(), Grade::Unknown, None, None)
    }

    fn weak(self, found: impl Into<String>, consequence: &'static str, remedy: &'static str) -> Row {
        self.row(found.into(), Grade::Weak, Some(consequence), Some(remedy))
    }

    /// A weakness if it is not so.
    fn if_not(self, is: Option<bool>, yes: &str, no: &str, consequence: &'static str, remedy: &'static str) -> Row {
        match is {
            Some(true) => self.fine(yes),
            Some(false) => self.weak(no, consequence, remedy),
            None => self.unknown(),
        }
    }

    /// Fine either way.
    fn either(self, is: Option<bool>, yes: &str, no: &str) -> Row {
        is.map_or_else(|| self.unknown(), |is| self.fine(if is { yes } else { no }))
    }
}

fn resumption(profile: &Profile) -> Row {
    let subject = Subject("session-reuse", "TLS 1.3 sessions on data connections");
    match profile.tls13 {
        Tls13::Works => subject.fine("are resumed"),
        Tls13::Untried => subject.fine("nothing stands in the way"),
        Tls13::UploadsDoNotResume => subject.weak(
            "cannot be resumed after uploads",
            "TLS 1.2 is spoken, whose sessions can be resumed for ever",
            "none is needed; a newer version of the server may do better",
        ),
        Tls13::Only => subject.weak(
            "cannot be resumed after uploads, and there is no TLS 1.2",
            "every third upload is begun twice",
            "allow TLS 1.2 beside 1.3 on the server, or update it",
        ),
    }
}

fn passive(profile: &Profile) -> Row {
    Subject("passive", "data connections").fine(match profile.passive {
        Passive::Epsv => "by EPSV",
        Passive::Pasv => "by PASV; EPSV does not work",
    })
}

fn limit(profile: &Profile) -> Row {
    let subject = Subject("connections", "connections at once");
    match profile.limit {
        None => subject.fine("no limit was met"),
        Some(limit) => subject.weak(
            format!("turned away beyond {limit}"),
            "fewer connections are used than the configuration allows",
            "raise the server's limit, or lower `connections`",
        ),
    }
}

fn files(profile: &Profile) -> Vec<Row> {
    let resume = Subject("resume", "writing on behind a part of a file (REST, STOR)");
    vec![
        Subject("rename", "renaming onto an existing file").if_not(
            profile.rename_replaces,
            "replaces it",
            "refused",
            "a new version is published by moving the old one aside first; for a moment the name is missing",
            "allow overwriting on the server, where it can be allowed",
        ),
        Subject("size", "the size of a file (SIZE)").either(profile.size, "is told", "is not told"),
        match profile.rest_stor {
            Some(Tail::Keeps) => resume.fine("keeps what lies behind"),
            Some(Tail::Truncates) => resume.fine("cuts off what lies behind"),
            Some(Tail::Refused) => resume.weak(
                "refused",
                "an upload that breaks off begins again at its first byte",
                "allow restarts on the server (ProFTPD: AllowStoreRestart on)",
            ),
            None => resume.unknown(),
        },
        Subject("append", "adding to a file (APPE)").either(profile.appe, "works", "does not work"),
    ]
}

fn times(profile: &Profile) -> Row {
    let subject = Subject("times", "modification times");
    let way = match profile.set_time {
        None => return subject.unknown(),
        Some(SetTime::Never) => {
            return subject.weak(
                "cannot be set",
                "files on the server bear the time of their upload",
                "none on this side; a server with MFMT can",
            );
        }
        Some(SetTime::Mfmt) => "MFMT",
        Some(SetTime::Mff) => "MFF",
        Some(SetTime::SiteUtime) => "SITE UTIME",
        Some(SetTime::MdtmSet) => "MDTM",
    };
    match profile.set_time_exact {
        Some(true) => subject.fine(format!("set by {way}, to the second")),
        None => subject.fine(format!("set by {way}")),
        Some(false) => subject.weak(
            format!("set by {way}, but told differently"),
            "times on the server may differ from those here",
            "let the server tell times in UTC (vsftpd: use_localtime=NO)",
        ),
    }
}

fn digests(profile: &Profile) -> Row {
    let subject = Subject("digests", "digests that the server computes");
    let all = profile.hashes.by_name();
    let able: Vec<_> = all
        .iter()
        .filter_map(|(name, hashing)| match hashing {
            Some(Hashing::Ranges) => Some(format!("{name} (also of parts)")),
            Some(Hashing::Whole) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    match able.is_empty() {
        false => subject.fine(able.join(", ")),
        true if all.iter().all(|(_, hashing)| hashing.is_none()) => subject.unknown(),
        true => subject.weak(
            "none",
            "that a file arrived is proven by its size alone",
            "enable digests on the server, where it has them (ProFTPD: mod_digest)",
        ),
    }
}

fn extras(profile: &Profile) -> [Row; 4] {
    [
        Subject("copy", "copying on the server (SITE CPFR)").either(
            profile.server_copy,
            "works: copies, and what a file had before, are not sent again; old versions of what is overwritten can be kept",
            "does not work: old versions of what is overwritten are not kept",
        ),
        Subject("patch", "sending what changed inside a large file alone").either(
            profile.patches(),
            "works",
            "does not work: it takes copying on the server, checksums, and writing on that keeps what lies behind",
        ),
        Subject("chmod", "setting permissions (SITE CHMOD)").either(profile.chmod, "works", "does not work"),
        Subject("symlink", "making symbolic links (SITE SYMLINK)").either(profile.symlink, "works", "does not work"),
    ]
}

fn dotfiles(profile: &Profile) -> Row {
    let subject = Subject("dotfiles", "names that begin with a dot");
    let shown = &profile.dotfiles;
    let ways = [("MLSD", shown.mlsd), ("LIST", shown.list), ("LIST -a", shown.list_all), ("STAT -a", shown.stat_all)];
    let by: Vec<_> = ways.iter().filter(|(_, shown)| *shown == Some(true)).map(|(name, _)| *name).collect();
    if !by.is_empty() {
        subject.fine(format!("shown by {}", by.join(", ")))
    } else if ways.iter().all(|(_, shown)| shown.is_none()) {
        subject.unknown()
    } else {
        subject.weak(
            "shown by no listing",
            "whether such a name is there is asked for each by itself",
            "let listings show them (vsftpd: force_dot_files=YES, Pure-FTPd: -D)",
        )
    }
}

fn names(profile: &Profile) -> [Row; 7] {
    const RENAME: &str = "rename such files; what is sent under another name would not be found again";
    const PARKED: &str = "such names are not mirrored, and shown as parked";
    let names = &profile.names;
    // 0xFF arrives if there is one way to send it.
    let ff = match (names.ff_raw, names.ff_doubled) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    let row = |key, what, is: Option<bool>| {
        Subject(key, what).if_not(is, "arrive as they are", "refused, or stored as other names", PARKED, RENAME)
    };
    [
        row("names-utf8", "names in UTF-8", names.utf8),
        row("names-bytes", "names that are not UTF-8", names.bytes),
        row("names-spaces", "names with a space in front or at the end", names.spaces()),
        row("names-controls", "names with control characters", names.controls),
        row("names-backslash", "names with a backslash", names.backslash),
        row("names-long", "names of 255 bytes", names.long),
        row("names-ff", "names with the byte 0xFF", ff),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftps::profile::{Lost, Step};

    #[test]
    fn every_weakness_has_a_consequence_and_a_remedy_and_nothing_else_has() {
        let mut worst = Profile {
            tls13: Tls13::Only,
            limit: Some(2),
            rename_replaces: Some(false),
            rest_stor: Some(Tail::Refused),
            set_time: Some(SetTime::Never),
            folds_case: Some(true),
            in_order: Some(false),
            ..Profile::default()
        };
        worst.lost.add(Step::Dotfiles);
        worst.names.utf8 = Some(false);
        worst.hashes.xmd5 = Some(Hashing::Never);
        worst.dotfiles.list = Some(false);
        let keys = |rows: &[Row]| rows.iter().map(|row| row.key).collect::<Vec<_>>();
        for profile in [Profile::default(), worst] {
            let rows = rows(&profile);
            for row in &rows {
                let is_weak = row.grade == Grade::Weak;
                assert_eq!((row.consequence.is_some(), row.remedy.is_some()), (is_weak, is_weak), "{row:?}");
            }
            let mut unique = keys(&rows);
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), rows.len());
        }
        let weak: Vec<_> = rows(&worst).into_iter().filter(|row| row.grade == Grade::Weak).collect();
        let expected = [
            "session-reuse",
            "connections",
            "rename",
            "resume",
            "times",
            "digests",
            "dotfiles",
            "case",
            "names-utf8",
            "pipelining",
            "lost",
        ];
        assert_eq!(keys(&weak), expected);
        assert_eq!(weak[10].found, "dotfiles");
        assert!(rows(&Profile::default()).iter().all(|row| row.grade != Grade::Weak), "what is not known is no weakness");
        assert_eq!(Profile { lost: Lost::default(), ..worst }.lost.steps().count(), 0);
    }
}
