//! What the answers of each step mean.

use super::{
    super::scratch::{BODY, DOT, DOUBLED, FILE, PART, SHORT},
    Answer,
    asks::{DIGESTS, KEPT, WAYS, odd_names},
};
use crate::ftps::{
    profile::{Hashing, Profile, SetTime, Tail},
    proto::{
        Listing, Reply,
        extra::Digest,
        listing::{Format, ListingParser},
        time,
    },
};

const WHOLE: u64 = BODY.len() as u64;
const PIECE: u64 = SHORT.len() as u64;

fn reply(answers: &[Answer], at: usize) -> Option<&Reply> {
    match answers.get(at) {
        Some(Answer::Reply(reply)) => Some(reply),
        _ => None,
    }
}

fn is_positive(answers: &[Answer], at: usize) -> bool {
    reply(answers, at).is_some_and(Reply::is_positive)
}

/// A no for good.
fn is_no(answers: &[Answer], at: usize) -> bool {
    matches!(answers.get(at), Some(Answer::Refused)) || reply(answers, at).is_some_and(Reply::is_permanent)
}

/// The size that was told: the outer `None` is "not told", the inner one "no such file".
fn told_size(answers: &[Answer], at: usize) -> Option<Option<u64>> {
    match answers.get(at) {
        Some(Answer::Size(size)) => Some(*size),
        Some(Answer::Reply(reply)) if reply.code == 213 => reply.text().trim().parse().ok().map(Some),
        _ => None,
    }
}

fn is_stored(answers: &[Answer], at: usize) -> bool {
    answers.get(at) == Some(&Answer::Stored)
}

pub(super) fn size(answers: &[Answer], found: &mut Profile) {
    let text = reply(answers, 0).filter(|reply| reply.code == 213).map(Reply::text);
    found.size = match text {
        Some(text) => Some(text.trim() == WHOLE.to_string()),
        None if is_no(answers, 0) => Some(false),
        None => None,
    };
}

pub(super) fn times(answers: &[Answer], found: &mut Profile) {
    let mut best: Option<(SetTime, Option<bool>)> = None;
    let mut all_refused = true;
    for (i, (way, at)) in WAYS.iter().enumerate() {
        all_refused &= is_no(answers, 2 * i);
        if !is_positive(answers, 2 * i) {
            continue;
        }
        let told = reply(answers, 2 * i + 1).filter(|reply| reply.code == 213);
        let exact = told.and_then(|reply| time::parse(reply.text().trim().as_bytes())).map(|told| told == *at);
        // Proven goes before accepted, and accepted before disproven.
        let rank = |exact: Option<bool>| exact.map_or(1, |exact| if exact { 2 } else { 0 });
        if best.is_none_or(|(_, other)| rank(exact) > rank(other)) {
            best = Some((*way, exact));
        }
    }
    match best {
        Some((way, exact)) => (found.set_time, found.set_time_exact) = (Some(way), exact),
        None if all_refused => found.set_time = Some(SetTime::Never),
        None => {}
    }
}

pub(super) fn rename(answers: &[Answer], found: &mut Profile) {
    let size = told_size(answers, 3).flatten();
    let asked = is_stored(answers, 0) && reply(answers, 1).is_some_and(Reply::is_intermediate);
    found.rename_replaces = match (asked, reply(answers, 2), size) {
        (true, Some(reply), Some(WHOLE)) if reply.is_positive() => Some(true),
        (true, Some(reply), Some(PIECE)) if reply.is_negative() => Some(false),
        _ => None,
    };
}

pub(super) fn append(answers: &[Answer], found: &mut Profile) {
    found.appe = match (is_stored(answers, 0), told_size(answers, 2).flatten()) {
        (true, Some(size)) if size == WHOLE + PIECE && is_stored(answers, 1) => Some(true),
        (true, Some(_)) if is_stored(answers, 1) || is_no(answers, 1) => Some(false),
        _ => None,
    };
}

pub(super) fn restart(answers: &[Answer], found: &mut Profile) {
    let size = told_size(answers, 2).flatten();
    found.rest_stor = match (is_stored(answers, 0), is_stored(answers, 1), size) {
        (true, true, Some(WHOLE)) => Some(Tail::Keeps),
        (true, true, Some(size)) if size == KEPT + PIECE => Some(Tail::Truncates),
        // Stored somewhere else: not to be used either.
        (true, true, Some(_)) => Some(Tail::Refused),
        (true, false, _) if is_no(answers, 1) => Some(Tail::Refused),
        _ => None,
    };
}

pub(super) fn chmod(answers: &[Answer], found: &mut Profile) {
    let facts = reply(answers, 1).filter(|reply| reply.is_positive()).map(|reply| reply.text().to_ascii_lowercase());
    let mode = facts.as_deref().and_then(|facts| facts.split(';').find_map(|fact| fact.trim().rsplit_once("unix.mode=")));
    found.chmod = match (is_positive(answers, 0), mode) {
        (true, Some((_, mode))) => Some(mode.trim_start_matches('0') == "640"),
        (true, None) => Some(true),
        (false, _) if is_no(answers, 0) => Some(false),
        _ => None,
    };
}

pub(super) fn symlink(answers: &[Answer], found: &mut Profile) {
    found.symlink = match (is_positive(answers, 0), told_size(answers, 1)) {
        (true, Some(Some(WHOLE))) => Some(true),
        (false, _) if is_no(answers, 0) => Some(false),
        _ => None,
    };
}

pub(super) fn copy(answers: &[Answer], found: &mut Profile) {
    found.server_copy = match (is_positive(answers, 1), told_size(answers, 2)) {
        (true, Some(Some(WHOLE))) => Some(true),
        (false, _) if is_no(answers, 0) || is_no(answers, 1) => Some(false),
        _ => None,
    };
}

pub(super) fn case(answers: &[Answer], found: &mut Profile) {
    let folds = match answers.get(1) {
        Some(Answer::Found(folds)) => Some(*folds),
        // RFC 3659 section 7.2.1: 550 is for what is not there.
        Some(Answer::Reply(reply)) if reply.code == 250 => Some(true),
        Some(Answer::Reply(reply)) if reply.code == 550 => Some(false),
        _ => None,
    };
    found.folds_case = folds.filter(|_| is_positive(answers, 0));
}

fn shows(listing: &Listing, name: &[u8]) -> bool {
    listing.entries.iter().any(|entry| entry.name == name)
}

pub(super) fn names(answers: &[Answer], found: &mut Profile) {
    let odd = odd_names();
    let Some(Answer::Listed(listing)) = answers.get(odd.len() + 1) else { return };
    // That the file shows proves that it is this directory; only a complete listing proves that a name is not there.
    let told = shows(listing, FILE) && listing.is_complete();
    let fate = |at: usize, name: &[u8]| match shows(listing, name) {
        true => Some(true),
        false if is_no(answers, at) || told => Some(false),
        false => None,
    };
    for (at, (name, field)) in odd.iter().enumerate() {
        let (fate, noted) = (fate(at, name), field(&mut found.names));
        // Several names of one kind: all must survive.
        *noted = match (*noted, fate) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, fate) => fate,
            (noted, fate) => noted.and(fate),
        };
    }
    found.names.ff_doubled = fate(odd.len(), DOUBLED);
}

pub(super) fn dotfiles(answers: &[Answer], found: &mut Profile) {
    if !is_positive(answers, 0) {
        return;
    }
    let listed = |at: usize| match answers.get(at) {
        Some(Answer::Listed(listing)) if shows(listing, FILE) => Some(shows(listing, DOT)),
        Some(Answer::Refused) => Some(false),
        _ => None,
    };
    let stat = reply(answers, 3).and_then(|reply| match stat_listing(reply) {
        Some(listing) if shows(&listing, FILE) => Some(shows(&listing, DOT)),
        _ if reply.is_permanent() => Some(false),
        _ => None,
    });
    let dotfiles = &mut found.dotfiles;
    (dotfiles.list, dotfiles.list_all, dotfiles.stat_all, dotfiles.mlsd) = (listed(1), listed(2), stat, listed(4));
}

/// The lines of a reply to `STAT -a`.
fn stat_listing(reply: &Reply) -> Option<Listing> {
    if !reply.is_positive() {
        return None;
    }
    let mut parser = ListingParser::new(Format::Unix);
    for line in &reply.lines {
        let line = line.strip_prefix(b" ").unwrap_or(line);
        parser.feed(&[line, b"\r\n"].concat()).ok()?;
    }
    parser.finish().ok()
}

/// The digests of [`BODY`] and of its first [`PART`] bytes.
fn digest(of: Digest, whole: bool) -> &'static str {
    match (of, whole) {
        (Digest::Sha256, true) => "cb799a74c874a384a25e6b2f3609f3dc45561ac4f8ad89dd3ef7e60b98ce31fd",
        (Digest::Sha256, false) => "603935d0a2b9435faf0a2e658b63e81f596d5697b578ba04eb2673106e9eb2b6",
        (Digest::Md5, true) => "be82d7c7ec35ddea225e843727f232e3",
        (Digest::Md5, false) => "a6575136650246970a01cb873d3a16a7",
        (Digest::Crc, true) => "371d88e8",
        (Digest::Crc, false) => "5da03ab3",
    }
}

/// Whether the reply names the digest.
fn is_digest(answers: &[Answer], at: usize, of: Digest, whole: bool) -> Option<bool> {
    let reply = reply(answers, at)?;
    let says = |reply: &Reply| reply.text().split_whitespace().any(|word| word.eq_ignore_ascii_case(digest(of, whole)));
    match reply {
        _ if reply.is_positive() => Some(says(reply)),
        _ if reply.is_permanent() => Some(false),
        _ => None,
    }
}

pub(super) fn hashes(answers: &[Answer], found: &mut Profile) {
    let hashing = |right: bool| if right { Hashing::Whole } else { Hashing::Never };
    for (at, of) in DIGESTS.into_iter().enumerate() {
        *found.hashes.of_mut(of) = is_digest(answers, at, of, true).map(hashing);
    }
    let hash = DIGESTS.len() + 1;
    found.hashes.hash = match answers.get(hash) {
        None => Some(Hashing::Never),
        Some(_) => is_digest(answers, hash, Digest::Sha256, true).map(hashing),
    };
}

pub(super) fn ranges(answers: &[Answer], found: &mut Profile) {
    const { assert!(PART < WHOLE) };
    let had_hash = found.hashes.hash == Some(Hashing::Whole);
    // Without HASH and its two RANGs, what is left are the digests, of which there may be none.
    let digests = answers.len() - if had_hash { 3.min(answers.len()) } else { 0 };
    let able: Vec<_> = DIGESTS.into_iter().filter(|of| *found.hashes.of(*of) == Some(Hashing::Whole)).collect();
    for (at, of) in able.into_iter().enumerate().take(digests) {
        if is_digest(answers, at, of, false) == Some(true) {
            *found.hashes.of_mut(of) = Some(Hashing::Ranges);
        }
    }
    if had_hash && is_digest(answers, digests + 1, Digest::Sha256, false) == Some(true) {
        found.hashes.hash = Some(Hashing::Ranges);
    }
}

pub(super) fn flight(answers: &[Answer], found: &mut Profile) {
    let Some((Answer::Replies(flight), alone)) = answers.split_last() else { return };
    let alone: Vec<_> = (0..alone.len()).filter_map(|at| reply(alone, at)).collect();
    let mut codes: Vec<_> = alone.iter().map(|reply| reply.code).collect();
    codes.sort_unstable();
    codes.dedup();
    // Replies that look alike cannot be told apart.
    if codes.len() >= 3 && alone.len() == flight.len() {
        found.in_order = Some(alone.into_iter().eq(flight));
    }
}

pub(super) fn behind(answers: &[Answer], found: &mut Profile) {
    let whole = |reply: &Reply| reply.code == 213 && reply.text().trim() == WHOLE.to_string();
    let in_order = |answer: &Answer| match answer {
        Answer::Replies(replies) => Some(replies.first().is_some_and(whole)),
        // Stored, and the answers came before that.
        Answer::Stored => Some(false),
        _ => None,
    };
    let all: Option<Vec<bool>> = answers.iter().map(in_order).collect();
    let some = answers.iter().any(|answer| in_order(answer) == Some(false));
    found.behind = match all {
        _ if some => Some(false),
        Some(all) if !all.is_empty() => Some(true),
        _ => None,
    };
}
