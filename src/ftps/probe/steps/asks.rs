//! What each step asks.

use super::{
    super::scratch::{
        APPENDED, BEHIND, BODY, COPY, DOT, DOUBLED, FILE, LINK, LOWER, MISSING, PART, RESTARTED, SHORT, TO, UPPER, long,
    },
    Act, Form, How, Known,
};
use crate::ftps::{
    client::times,
    profile::{Hashing, Names, SetTime},
    proto::{ArgumentError, Command, Encoding, Extra, Pathname, extra::Digest},
};

type Acts = Result<Vec<Act>, ArgumentError>;

/// SITE commands and those for digests read quotes as their own (ProFTPD): below such a path they would fail, and prove nothing.
const QUOTE: &[u8] = b"\"";

/// The ways to set a time, the best first, each with the time that it is tried with.
pub(super) const WAYS: [(SetTime, i64); 4] = [
    (SetTime::Mfmt, 1_600_000_001),
    (SetTime::Mff, 1_610_000_003),
    (SetTime::SiteUtime, 1_620_000_007),
    (SetTime::MdtmSet, 1_630_000_009),
];

/// The digests that are tried.
pub(super) const DIGESTS: [Digest; 3] = [Digest::Sha256, Digest::Md5, Digest::Crc];

/// How many bytes are left in front of what is written behind them.
pub(super) const KEPT: u64 = 4;

/// Odd names, each one kind of oddity, and where it is noted.
pub(super) fn odd_names() -> [(Vec<u8>, NameField); 9] {
    [
        ("tl-probe-\u{fc}\u{4e2d}".as_bytes().to_vec(), |names| &mut names.utf8),
        (b"tl-probe-\xe9t".to_vec(), |names| &mut names.bytes),
        (b" tl-probe-lead".to_vec(), |names| &mut names.leading_space),
        (b"tl-probe-trail ".to_vec(), |names| &mut names.trailing_space),
        (b"tl-probe-t\tt".to_vec(), |names| &mut names.controls),
        (b"tl-probe-e\x1be".to_vec(), |names| &mut names.controls),
        (b"tl-probe-b\\s".to_vec(), |names| &mut names.backslash),
        (long(), |names| &mut names.long),
        (b"tl-probe-r\xffr".to_vec(), |names| &mut names.ff_raw),
    ]
}

/// Where the fate of a name is noted.
pub(super) type NameField = fn(&mut Names) -> &mut Option<bool>;

pub(super) const RAW: Encoding = Encoding { telnet_doubled: false };
pub(super) const TELNET: Encoding = Encoding { telnet_doubled: true };

fn extra(extra: Extra) -> Act {
    Act::Say(Command::Extra(extra))
}

pub(super) fn size(known: &Known<'_>) -> Acts {
    Ok(vec![Act::Say(Command::Size(known.scratch.at(FILE)?))])
}

pub(super) fn times(known: &Known<'_>) -> Acts {
    let file = known.scratch.at(FILE)?;
    let ways = WAYS.iter().filter_map(|(way, at)| times::command(*way, *at, &file));
    Ok(ways.flat_map(|set| [Act::Say(set), extra(Extra::Modified(file.clone()))]).collect())
}

pub(super) fn rename(known: &Known<'_>) -> Acts {
    let (from, to) = (known.scratch.at(FILE)?, known.scratch.at(TO)?);
    Ok(vec![
        Act::Put(How::Store, to.clone(), SHORT),
        Act::Say(Command::RenameFrom(from)),
        Act::Say(Command::RenameTo(to.clone())),
        told_size(known, to),
    ])
}

/// Asks for the size of a file that is there, as far as nothing failed: along with other commands, where SIZE is known to tell it.
fn told_size(known: &Known<'_>, file: Pathname) -> Act {
    if known.found.size == Some(true) { Act::Say(Command::Size(file)) } else { Act::Size(file) }
}

pub(super) fn append(known: &Known<'_>) -> Acts {
    let file = known.scratch.at(APPENDED)?;
    Ok(vec![Act::Put(How::Store, file.clone(), BODY), Act::Put(How::Append, file.clone(), SHORT), Act::Size(file)])
}

pub(super) fn restart(known: &Known<'_>) -> Acts {
    let file = known.scratch.at(RESTARTED)?;
    Ok(vec![Act::Put(How::Store, file.clone(), BODY), Act::Put(How::Behind(KEPT), file.clone(), SHORT), Act::Size(file)])
}

pub(super) fn chmod(known: &Known<'_>) -> Acts {
    if known.scratch.has(QUOTE) {
        return Ok(Vec::new());
    }
    let file = known.scratch.at(FILE)?;
    let mut acts = vec![extra(Extra::Chmod(0o640, file.clone()))];
    if known.features.mlst.is_some() {
        acts.push(Act::Say(Command::Mlst(file)));
    }
    Ok(acts)
}

pub(super) fn symlink(known: &Known<'_>) -> Acts {
    if known.scratch.has(b" \"") {
        return Ok(Vec::new());
    }
    let link = known.scratch.at(LINK)?;
    Ok(vec![extra(Extra::Symlink(known.scratch.at(FILE)?, link.clone())), told_size(known, link)])
}

pub(super) fn copy(known: &Known<'_>) -> Acts {
    if known.scratch.has(QUOTE) {
        return Ok(Vec::new());
    }
    let copy = known.scratch.at(COPY)?;
    Ok(vec![extra(Extra::CopyFrom(known.scratch.at(FILE)?)), extra(Extra::CopyTo(copy.clone())), told_size(known, copy)])
}

pub(super) fn case(known: &Known<'_>) -> Acts {
    let lower = known.scratch.at(LOWER)?;
    let find = if known.features.mlst.is_some() { Act::Say(Command::Mlst(lower)) } else { Act::Find(lower) };
    Ok(vec![Act::Say(Command::MakeDir(known.scratch.at(UPPER)?)), find])
}

/// Directories, since they cost one command each. They are removed as they were made: a server that changes names does so again.
pub(super) fn names(known: &Known<'_>) -> Acts {
    let mut paths = Vec::new();
    for (name, _) in odd_names() {
        paths.push((RAW, known.scratch.at(&name)?));
    }
    paths.push((TELNET, known.scratch.at(DOUBLED)?));
    let make = paths.iter().map(|(encoding, path)| Act::SayAs(*encoding, Command::MakeDir(path.clone())));
    let remove = paths.iter().map(|(encoding, path)| Act::SayAs(*encoding, Command::RemoveDir(path.clone())));
    Ok(make.chain([Act::List(Form::Best)]).chain(remove).collect())
}

pub(super) fn dotfiles(known: &Known<'_>) -> Acts {
    let dir = known.scratch.dir();
    let mut acts = vec![
        Act::Say(Command::MakeDir(known.scratch.at(DOT)?)),
        Act::List(Form::List),
        Act::List(Form::ListAll),
        Act::Say(Command::StatAll(dir.clone())),
    ];
    if known.features.mlst.is_some() {
        acts.push(Act::List(Form::Mlsd));
    }
    Ok(acts)
}

/// HASH only where FEAT has it: libunftp closes the connection after an OPTS that it does not know.
pub(super) fn hashes(known: &Known<'_>) -> Acts {
    if known.scratch.has(QUOTE) {
        return Ok(Vec::new());
    }
    let file = known.scratch.at(FILE)?;
    let mut acts: Vec<_> = DIGESTS.iter().map(|digest| extra(Extra::Digest(*digest, file.clone(), None))).collect();
    if !known.features.hash.is_empty() {
        acts.extend([extra(Extra::ChooseSha256), extra(Extra::Hash(file))]);
    }
    Ok(acts)
}

/// Parts of those that the server computes.
pub(super) fn ranges(known: &Known<'_>) -> Acts {
    let (file, hashes) = (known.scratch.at(FILE)?, known.found.hashes);
    let able = DIGESTS.iter().filter(|digest| *hashes.of(**digest) == Some(Hashing::Whole));
    let mut acts: Vec<_> = able.map(|digest| extra(Extra::Digest(*digest, file.clone(), Some((0, PART))))).collect();
    if hashes.hash == Some(Hashing::Whole) {
        acts.extend([extra(Extra::Range(Some((0, PART - 1)))), extra(Extra::Hash(file)), extra(Extra::Range(None))]);
    }
    Ok(acts)
}

/// Quick and slow ones in turn: first one by one, then all at once.
pub(super) fn flight(known: &Known<'_>) -> Acts {
    let commands = vec![
        Command::Size(known.scratch.at(FILE)?),
        Command::Noop,
        Command::Size(known.scratch.at(MISSING)?),
        Command::Extra(Extra::PrintDir),
    ];
    Ok(commands.iter().cloned().map(Act::Say).chain([Act::Flight(commands.clone())]).collect())
}

/// Twice: a server that takes up commands while a transfer runs meets them at one moment or another. Uploads go on watching.
pub(super) fn behind(known: &Known<'_>) -> Acts {
    if known.found.in_order != Some(true) {
        return Ok(Vec::new());
    }
    let put = |name: &[u8]| {
        let file = known.scratch.at(name)?;
        Ok(Act::PutAsking(file.clone(), BODY, vec![Command::Size(file), Command::Epsv]))
    };
    BEHIND.into_iter().map(put).collect()
}
