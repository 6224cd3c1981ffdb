//! How far a listing can be believed, from how it was asked for and how it ended; decisions only.

use std::fmt;

use super::{Format, Listing, is_suspicious};
use crate::ftps::proto::Reply;

/// The ways to list a directory, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// MLSD (RFC 3659 §7).
    Facts,
    /// `LIST -a`.
    ListAll,
    /// `STAT -a`, without a data connection.
    StatAll,
    /// `LIST`, which may hide names with a dot in front.
    List,
}

impl Way {
    /// All, best first.
    pub const ALL: [Self; 4] = [Self::Facts, Self::ListAll, Self::StatAll, Self::List];
}

/// Whether a listing is all that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// Every name is in it: what is not in it is not there.
    #[default]
    Complete,
    /// The server said that it left names out.
    Capped,
    /// Names may be missing.
    Unknown(Doubt),
}

/// Why names may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The data connection ended without TLS close_notify: anybody can have cut it.
    Unclosed,
    /// So many lines were not understood.
    Unparsed(usize),
    /// So many names were such that no directory can hold them.
    RejectedNames(usize),
    /// There are just as many names as some server lists at most.
    SuspiciousCount(usize),
    /// It is empty, and that it is about this directory is not proven: some servers list a missing directory as an empty one,
    /// and some take `-a` for a name.
    EmptyUnproven,
    /// Names that start with a dot may have been left out.
    DotfilesHidden,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed => f.write_str("the data connection ended without TLS close_notify"),
            Self::Unparsed(lines) => write!(f, "{lines} lines were not understood"),
            Self::RejectedNames(names) => write!(f, "{names} names are such that no directory can hold them"),
            Self::SuspiciousCount(names) => write!(f, "it has {names} names, at which some servers stop"),
            Self::EmptyUnproven => f.write_str("it is empty, as a missing directory's may be"),
            Self::DotfilesHidden => f.write_str("names that start with a dot may have been left out"),
        }
    }
}

/// How a listing came about.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The last reply.
    pub reply: &'a Reply,
    /// The data connection ended as it should; true where there was none.
    pub closed: bool,
    /// The directory is known to be there, and to be the one that was listed.
    pub proven: bool,
    /// Whether this way of listing shows names with a dot in front; `None` if that is not known.
    pub dotfiles: Option<bool>,
}

impl Listing {
    /// As it is to be believed under these circumstances; of several doubts the gravest.
    #[must_use]
    pub fn judged(mut self, circumstances: Circumstances<'_>) -> Self {
        self.completeness = self.judge(circumstances);
        self
    }

    fn judge(&self, Circumstances { reply, closed, proven, dotfiles }: Circumstances<'_>) -> Completeness {
        let may_hide_dots = match dotfiles {
            Some(shown) => !shown,
            // Only `ls` hides them. Lines of no format at all may be anybody's.
            None => matches!(self.format, None | Some(Format::Unix)) && !self.shows_dots,
        };
        if is_capped(reply) {
            return Completeness::Capped;
        }
        if !closed {
            return Completeness::Unknown(Doubt::Unclosed);
        }
        if !matches!(self.completeness, Completeness::Complete) {
            return self.completeness;
        }
        if is_suspicious(self.seen) {
            return Completeness::Unknown(Doubt::SuspiciousCount(self.seen));
        }
        if self.seen == 0 && !self.names_itself && !proven {
            return Completeness::Unknown(Doubt::EmptyUnproven);
        }
        if may_hide_dots { Completeness::Unknown(Doubt::DotfilesHidden) } else { Completeness::Complete }
    }
}

/// Whether the last reply to a listing says that names were left out. Pure-FTPd: `226-Output truncated to 10000 matches`.
pub fn is_capped(reply: &Reply) -> bool {
    const WORDS: [&[u8]; 7] =
        [b"truncat", b"incomplete", b"only first", b"only the first", b"limited to", b"limit reached", b"limit exceeded"];
    reply.lines.iter().any(|line| {
        let line = line.to_ascii_lowercase();
        WORDS.iter().any(|words| line.windows(words.len()).any(|window| window == *words))
    })
}
