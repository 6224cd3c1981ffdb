//! What was learnt about a server by probing it: run-time data, kept over restarts. What a server merely claims (FEAT) is
//! not here.

use serde::{Deserialize, Serialize};

/// What was learnt about one server. The default knows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Profile {
    /// How it resumes TLS 1.3 sessions on data connections.
    pub tls13: Tls13,
    /// How data connections are opened.
    pub passive: Passive,
    /// What sets a modification time; `None` until it was tried.
    pub set_time: Option<SetTime>,
    /// Whether a rename onto an existing file replaces it.
    pub rename_replaces: Option<bool>,
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
    /// MDTM with a time (vsftpd).
    MdtmSet,
    /// SITE UTIME.
    SiteUtime,
    /// Not at all.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_and_unknown_is_default() {
        let profile = Profile {
            tls13: Tls13::UploadsDoNotResume,
            passive: Passive::Pasv,
            set_time: Some(SetTime::MdtmSet),
            rename_replaces: None,
        };
        let text = serde_json::to_string(&profile).expect("serializes");
        assert_eq!(text, r#"{"tls13":"uploads-do-not-resume","passive":"pasv","set-time":"mdtm-set","rename-replaces":null}"#);
        assert_eq!(serde_json::from_str::<Profile>(&text).expect("parses"), profile);
        assert_eq!(serde_json::from_str::<Profile>("{}").expect("parses"), Profile::default());
    }
}
