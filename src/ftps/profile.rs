//! What was learnt about a server by probing it: run-time data, kept over restarts. What a server merely claims (FEAT) is
//! not here.

mod found;

use serde::{Deserialize, Serialize};

pub use found::{Dotfiles, Hashes, Hashing, Lost, Names, Probed, Step, Tail, Verdict};

/// What was learnt about one server. The default knows nothing; each `None` is "not known". Small, and copied freely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Profile {
    /// How it resumes TLS 1.3 sessions on data connections.
    pub tls13: Tls13,
    /// How data connections are opened.
    pub passive: Passive,
    /// What sets a modification time; `None` until it was tried.
    #[serde(deserialize_with = "or_unknown")]
    pub set_time: Option<SetTime>,
    /// Whether the time that was set is told again to the second.
    pub set_time_exact: Option<bool>,
    /// How many logins of this account were up when another one was turned away (421, 530).
    pub limit: Option<u16>,
    /// When it was probed, and how that went.
    #[serde(deserialize_with = "or_unknown")]
    pub probed: Option<Probed>,
    /// Whether a rename onto an existing file replaces it.
    pub rename_replaces: Option<bool>,
    /// What REST and STOR leave of a longer file.
    #[serde(deserialize_with = "or_unknown")]
    pub rest_stor: Option<Tail>,
    /// Whether APPE adds to a file.
    pub appe: Option<bool>,
    /// Whether SIZE tells the size of a file.
    pub size: Option<bool>,
    /// Which digests it computes.
    pub hashes: Hashes,
    /// Whether it copies files by itself (SITE CPFR, SITE CPTO).
    pub server_copy: Option<bool>,
    /// Whether SITE CHMOD sets permissions.
    pub chmod: Option<bool>,
    /// Whether SITE SYMLINK makes symbolic links.
    pub symlink: Option<bool>,
    /// Which listings show names that begin with a dot.
    pub dotfiles: Dotfiles,
    /// Whether names that differ in case alone are the same file.
    pub folds_case: Option<bool>,
    /// Which names arrive byte for byte.
    pub names: Names,
    /// Whether four commands in one flight are answered in order.
    pub in_order: Option<bool>,
    /// Whether it bears uploads in a row: the data port asked for ahead, the command right behind a rename. Found out by use.
    pub rows: Option<bool>,
    /// Whether commands that come right behind the last byte of a short upload are answered after it.
    pub behind: Option<bool>,
    /// Steps of the probe that cost the connection; they are not tried again.
    pub lost: Lost,
    /// A number for the scratch directory that a probe may have left on the server.
    pub scratch_left: Option<u64>,
}

impl Profile {
    /// Whether a probe left something for later.
    pub fn is_begun(&self) -> bool {
        self.probed.is_some_and(|probed| probed.verdict == Verdict::Begun)
    }

    /// Whether bytes inside a file can be written over, and what came of it be proven; `None`: not found out.
    pub fn patches(&self) -> Option<bool> {
        let Hashes { hash, xsha256, xmd5, xcrc } = self.hashes;
        let computes = [hash, xsha256, xmd5, xcrc].iter().any(|found| matches!(found, Some(Hashing::Whole | Hashing::Ranges)));
        self.probed?;
        if computes { self.rest_stor.map(|tail| tail == Tail::Keeps) } else { Some(false) }
    }

    /// Forgets what a probe finds out, for a server that is another one now, or is to be asked anew. What is learnt by use
    /// (TLS, passive mode) stays.
    #[must_use]
    pub fn unprobed(self) -> Self {
        Self { tls13: self.tls13, passive: self.passive, scratch_left: self.scratch_left, ..Self::default() }
    }

    /// This, with what a probe found; what others learnt meanwhile by use stays.
    #[must_use]
    pub(super) fn with_probed(self, found: Self) -> Self {
        let (set_time, limit, scratch_left) = (found.set_time.or(self.set_time), self.limit, self.scratch_left);
        Self { tls13: self.tls13, passive: self.passive, set_time, limit, scratch_left, rows: self.rows, ..found }
    }

    /// This, with the findings of a later probe that another process has `kept`.
    #[must_use]
    pub fn or_later_probe(self, kept: Self) -> Self {
        let at = |profile: &Self| profile.probed.map(|probed| probed.at);
        if at(&kept) > at(&self) { self.with_probed(kept) } else { self }
    }

    /// Notes that another login was turned away while `up` were up.
    pub fn learn_limit(&mut self, up: usize) {
        let up = u16::try_from(up.max(1)).unwrap_or(u16::MAX);
        self.limit = Some(self.limit.map_or(up, |known| known.min(up)));
    }

    /// Notes that `up` are up at once: the limit, if there is one, is no lower.
    pub fn learn_up(&mut self, up: usize) {
        let up = u16::try_from(up).unwrap_or(u16::MAX);
        self.limit = self.limit.map(|known| known.max(up));
    }
}

/// TLS 1.3 and this server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls13 {
    /// Not known yet; 1.3 and 1.2 are offered.
    #[default]
    Untried,
    /// Each upload brings new tickets; 1.3 and 1.2 are offered.
    Works,
    /// An upload brings no new ticket (ProFTPD 1.3.8), so that tickets run out and data connections are refused: at most
    /// 1.2 is offered, whose sessions can be resumed for ever.
    UploadsDoNotResume,
    /// As before, but the server has no 1.2: a refused data connection is tried again, since the refused handshake itself
    /// brought tickets.
    Only,
}

/// How a data connection is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passive {
    /// EPSV (RFC 2428).
    #[default]
    Epsv,
    /// PASV: EPSV was refused, or its ports cannot be reached.
    Pasv,
}

/// How a modification time is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetTime {
    /// MFMT.
    Mfmt,
    /// MFF with the fact `modify`.
    Mff,
    /// MDTM with a time (vsftpd).
    MdtmSet,
    /// SITE UTIME.
    SiteUtime,
    /// Not at all.
    Never,
}

/// A value in words that this program does not know (written by a later one) is one that is not known.
fn or_unknown<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixMillis;

    #[test]
    fn there_and_back_and_unknown_is_default() {
        let mut profile = Profile { tls13: Tls13::UploadsDoNotResume, passive: Passive::Pasv, ..Profile::default() };
        profile.set_time = Some(SetTime::MdtmSet);
        profile.probed = Some(Probed { at: UnixMillis(5), fingerprint: 7, verdict: Verdict::Complete });
        profile.rest_stor = Some(Tail::Truncates);
        profile.hashes.xsha256 = Some(Hashing::Ranges);
        profile.dotfiles.stat_all = Some(true);
        profile.names.utf8 = Some(false);
        profile.lost.add(Step::Flight);
        let text = serde_json::to_string(&profile).expect("serializes");
        for part in [
            r#""tls13":"uploads-do-not-resume""#,
            r#""set-time":"mdtm-set""#,
            r#""probed":{"at":5,"fingerprint":7,"verdict":"complete"}"#,
            r#""rest-stor":"truncates""#,
            r#""xsha256":"ranges""#,
            r#""stat-all":true"#,
            r#""lost":["flight"]"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(serde_json::from_str::<Profile>(&text).expect("parses"), profile);
        assert_eq!(serde_json::from_str::<Profile>("{}").expect("parses"), Profile::default());
    }

    #[test]
    fn rows_of_older_and_later_programs_are_read() {
        let old = r#"{"tls13":"works","passive":"pasv","set-time":"mfmt"}"#;
        let read = serde_json::from_str::<Profile>(old).expect("parses");
        assert_eq!((read.tls13, read.passive, read.set_time), (Tls13::Works, Passive::Pasv, Some(SetTime::Mfmt)));
        let later = r#"{"tls13":"works","set-time":"by-magic","rest-stor":"shuffles","lost":["size","dance"],"new":1,
            "probed":{"at":1,"fingerprint":2,"verdict":"dubious"},"hashes":{"xsha256":"backwards","xmd5":"whole"}}"#;
        let read = serde_json::from_str::<Profile>(later).expect("parses");
        assert_eq!((read.tls13, read.set_time, read.rest_stor, read.probed), (Tls13::Works, None, None, None));
        assert_eq!((read.hashes.xsha256, read.hashes.xmd5), (None, Some(Hashing::Whole)));
        assert!(read.lost.has(Step::Size));
    }

    #[test]
    fn the_later_probe_counts() {
        let probed = |at| Some(Probed { at: UnixMillis(at), fingerprint: 1, verdict: Verdict::Complete });
        let ours = Profile { passive: Passive::Pasv, limit: Some(3), probed: probed(5), ..Profile::default() };
        let kept = |at| Profile { probed: probed(at), appe: Some(true), limit: Some(9), ..Profile::default() };
        assert_eq!(ours.or_later_probe(kept(5)), ours);
        let merged = ours.or_later_probe(kept(6));
        assert_eq!((merged.appe, merged.passive, merged.limit), (Some(true), Passive::Pasv, Some(3)));
        assert_eq!(Profile::default().or_later_probe(kept(0)).appe, Some(true));
    }

    #[test]
    fn the_limit_is_what_was_seen_last() {
        let mut profile = Profile::default();
        profile.learn_up(9);
        assert_eq!(profile.limit, None, "that many are up is no limit");
        for (up, known) in [(5, 5), (7, 5), (3, 3)] {
            profile.learn_limit(up);
            assert_eq!(profile.limit, Some(known));
        }
        profile.learn_up(4);
        assert_eq!(profile.limit, Some(4));
        assert_eq!(profile.unprobed().limit, None);
    }
}
