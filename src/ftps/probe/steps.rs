//! The steps of a probe as values: what to ask, and what the answers mean. They do not talk. Each step brings what it needs and
//! stands for itself; an answer that says neither yes nor no leaves "not known".

mod asks;
mod reads;

use super::scratch::Scratch;
use crate::ftps::{
    profile::{Profile, Step},
    proto::{ArgumentError, Command, Encoding, Features, Listing, Pathname, Reply},
};

/// One thing to do on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Say this, hear a reply.
    Say(Command),
    /// As before, with paths encoded in this way.
    SayAs(Encoding, Command),
    /// Say all of these, then hear the replies.
    Flight(Vec<Command>),
    /// Store this.
    Put(How, Pathname, &'static [u8]),
    /// Store this, and say all of these right behind its last byte.
    PutAsking(Pathname, &'static [u8], Vec<Command>),
    /// Find out the size of a file.
    Size(Pathname),
    /// Find out whether there is anything of this name.
    Find(Pathname),
    /// List the scratch directory.
    List(Form),
}

/// How a body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// STOR.
    Store,
    /// APPE.
    Append,
    /// REST with this many bytes, then STOR.
    Behind(u64),
}

/// How a directory is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The way the mirror does it.
    Best,
    Mlsd,
    List,
    ListAll,
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Reply(Reply),
    Replies(Vec<Reply>),
    /// Everything was stored.
    Stored,
    /// The size; `None` where there is no such file.
    Size(Option<u64>),
    Found(bool),
    Listed(Listing),
    /// The server said no.
    Refused,
    /// It said something that means nothing here.
    Odd,
}

/// What a step may look at when it asks.
pub(super) struct Known<'a> {
    pub(super) scratch: &'a Scratch,
    pub(super) features: &'a Features,
    /// What the steps before found.
    pub(super) found: &'a Profile,
}

/// One step.
pub(super) struct Entry {
    pub(super) step: Step,
    /// Whether, on a server with these features, no upload needs to know, so that there is time until there is nothing to upload.
    pub(super) waits: fn(&Features) -> bool,
    /// What it asks; nothing where it makes no sense.
    pub(super) asks: fn(&Known<'_>) -> Result<Vec<Act>, ArgumentError>,
    /// What the answers mean; there is one for each act.
    pub(super) reads: fn(&[Answer], &mut Profile),
}

/// All steps, in the order of [`Step::ALL`].
pub(super) const TABLE: [Entry; 15] = [
    Entry { step: Step::Size, waits: at_once, asks: asks::size, reads: reads::size },
    Entry { step: Step::Flight, waits: at_once, asks: asks::flight, reads: reads::flight },
    Entry { step: Step::Times, waits: at_once, asks: asks::times, reads: reads::times },
    Entry { step: Step::Append, waits, asks: asks::append, reads: reads::append },
    Entry { step: Step::Restart, waits, asks: asks::restart, reads: reads::restart },
    Entry { step: Step::Chmod, waits: at_once, asks: asks::chmod, reads: reads::chmod },
    Entry { step: Step::Symlink, waits: at_once, asks: asks::symlink, reads: reads::symlink },
    Entry { step: Step::Copy, waits: at_once, asks: asks::copy, reads: reads::copy },
    Entry { step: Step::Case, waits: at_once, asks: asks::case, reads: reads::case },
    Entry { step: Step::Names, waits: at_once, asks: asks::names, reads: reads::names },
    Entry { step: Step::Dotfiles, waits: where_facts_are_listed, asks: asks::dotfiles, reads: reads::dotfiles },
    Entry { step: Step::Hashes, waits: at_once, asks: asks::hashes, reads: reads::hashes },
    Entry { step: Step::Ranges, waits, asks: asks::ranges, reads: reads::ranges },
    Entry { step: Step::Behind, waits: at_once, asks: asks::behind, reads: reads::behind },
    Entry { step: Step::Rename, waits: at_once, asks: asks::rename, reads: reads::rename },
];

fn at_once(_: &Features) -> bool {
    false
}

fn waits(_: &Features) -> bool {
    true
}

/// The other listings are of no use there.
fn where_facts_are_listed(features: &Features) -> bool {
    features.mlst.is_some()
}

impl Act {
    /// What it says, and how paths are encoded in that, if it is a command and nothing else.
    pub(super) fn said(&self, plain: Encoding) -> Option<(Encoding, &Command)> {
        match self {
            Self::Say(command) => Some((plain, command)),
            Self::SayAs(encoding, command) => Some((*encoding, command)),
            _ => None,
        }
    }
}

#[cfg(test)]
impl Act {
    /// The most commands that it can take: what bounds a probe.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Say(_) | Self::SayAs(..) => 1,
            Self::Flight(commands) => commands.len(),
            Self::PutAsking(_, _, commands) => 2 + commands.len(),
            Self::Put(How::Behind(_), ..) | Self::List(_) => 3,
            Self::Put(..) | Self::Size(_) | Self::Find(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests;
