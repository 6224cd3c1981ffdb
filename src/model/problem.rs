//! Why a path is not on the server yet: data, kept in the index and shown in `status`, never only a log line.

/// What keeps a path from being mirrored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// The class.
    pub reason: Reason,
    /// The particulars in the words of the server or the system; holds no secret.
    pub detail: String,
}

/// The classes of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The name holds a byte that FTP cannot carry (CR, LF).
    Name,
    /// This server stores the name as another one.
    Altered,
    /// This server takes the name for that of another file or directory, which differs from it in case only.
    Twin,
    /// A symbolic link that would not mean the same on the server.
    Link,
    /// The server did not make a symbolic link.
    Unlinked,
    /// The server has no way to make symbolic links.
    NoLinks,
    /// The server said no to this path (550, 553 and their kin).
    Refused,
    /// The directory on the server holds something that is not ours.
    NotEmpty,
    /// The local file changed while it was read.
    Changing,
    /// The local file could not be read.
    Unreadable,
    /// The server's copy is not what was sent (size or hash).
    Proof,
    /// The server is full, or the account is over its quota.
    Full,
    /// The server's copy is not what was recorded of it: somebody else changed it.
    Drift,
    /// An old version was put back on the server: the local file is another one.
    Undone,
    /// The connection was lost on the way.
    Connection,
}

impl Problem {
    /// A problem of this class.
    pub fn new(reason: Reason, detail: impl std::fmt::Display) -> Self {
        Self { reason, detail: detail.to_string() }
    }

    /// Whether trying again without any change can help; if not, the path is parked.
    pub fn is_transient(&self) -> bool {
        !matches!(self.reason, Reason::Name | Reason::Refused | Reason::NotEmpty | Reason::Link | Reason::Drift | Reason::Undone)
            && !self.is_judged()
    }

    /// Whether it was found by looking at names and at what the server can do, so that each plan finds out anew.
    pub fn is_judged(&self) -> bool {
        matches!(self.reason, Reason::Altered | Reason::Twin | Reason::NoLinks)
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self.reason {
            Reason::Name => "rename the file here, or add it to the ignore rules: no FTP server can take this name",
            Reason::Altered => {
                "rename the file here, or add it to the ignore rules: this server would keep it under another name"
            }
            Reason::Twin => {
                "rename one of the two here, or add one to the ignore rules: this server does not tell upper from lower case"
            }
            Reason::Link => {
                "give the link a relative target inside the mirrored directory, add it to the ignore rules, or use symlinks = \"follow\""
            }
            Reason::Unlinked => {
                "servers make a link only to what they have: it is tried again; if its target is never mirrored, ignore the link"
            }
            Reason::NoLinks => "use symlinks = \"follow\" or \"skip\", or add the link to the ignore rules",
            Reason::Refused => {
                "check the permissions and the name on the server; it is tried again when the file changes, at each full scan and at restart"
            }
            Reason::NotEmpty => {
                "the directory on the server holds files that Towline did not put there; move them away or remove them by hand"
            }
            Reason::Changing => "it is sent as soon as it holds still; a file that never does can be ignored",
            Reason::Unreadable => "give the user that runs towline read permission, or add the path to the ignore rules",
            Reason::Proof => "it is sent again; if this repeats, something on the server alters uploads",
            Reason::Full => "free space on the server or raise the quota; uploads go on by themselves then",
            Reason::Drift => {
                "look at the server's copy; `towline approve MIRROR PATH` overwrites it, `drift` in the configuration says what becomes of all such; it is looked at again at each full scan"
            }
            Reason::Undone => "it is sent when it changes here; `towline approve MIRROR PATH` sends it as it is",
            Reason::Connection => "it is tried again by itself",
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.reason {
            Reason::Name => "name cannot be carried by FTP",
            Reason::Altered => "name would be altered by the server",
            Reason::Twin => "name differs from another in case only",
            Reason::Link => "link cannot be mirrored",
            Reason::Unlinked => "link was not made by the server",
            Reason::NoLinks => "server cannot make symbolic links",
            Reason::Refused => "refused by the server",
            Reason::NotEmpty => "directory on the server is not empty",
            Reason::Changing => "changed while it was read",
            Reason::Unreadable => "cannot be read",
            Reason::Proof => "copy on the server could not be proven",
            Reason::Full => "no space on the server",
            Reason::Drift => "changed on the server by somebody else",
            Reason::Undone => "an old version was put back on the server",
            Reason::Connection => "connection lost",
        };
        if self.detail.is_empty() { f.write_str(what) } else { write!(f, "{what}: {}", self.detail) }
    }
}
