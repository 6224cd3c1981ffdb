//! What each answer means, and that a probe is no longer than it may be.

use super::{
    super::scratch::{BODY, DOT, FILE, Scratch},
    *,
};
use crate::ftps::{
    profile::{Hashing, SetTime, Tail},
    proto::listing::{Completeness, Format, ListingParser},
};

fn said(code: u16, text: &str) -> Answer {
    Answer::Reply(Reply { code, lines: text.split('\n').map(|line| line.as_bytes().to_vec()).collect() })
}

fn read(step: Step, answers: &[Answer]) -> Profile {
    read_with(step, answers, Profile::default())
}

fn read_with(step: Step, answers: &[Answer], mut found: Profile) -> Profile {
    let entry = TABLE.iter().find(|entry| entry.step == step).expect("in the table");
    (entry.reads)(answers, &mut found);
    found
}

fn listed(names: &[&[u8]]) -> Listing {
    let mut parser = ListingParser::new(Format::Facts);
    for name in names {
        parser.feed(&[b"type=dir; ", *name, b"\r\n"].concat()).expect("within bounds");
    }
    parser.finish().expect("within bounds")
}

#[test]
fn the_table_has_all_steps_and_is_no_longer_than_it_may_be() {
    assert_eq!(TABLE.iter().map(|entry| entry.step).collect::<Vec<_>>(), Step::ALL);
    let scratch = Scratch::below(b"/").expect("sendable");
    let features = Features { mlst: Some(Vec::new()), hash: vec!["SHA-256".to_owned()], ..Features::default() };
    let mut found = Profile { in_order: Some(true), ..Profile::default() };
    found.hashes.hash = Some(Hashing::Whole);
    for digest in asks::DIGESTS {
        *found.hashes.of_mut(digest) = Some(Hashing::Whole);
    }
    let known = Known { scratch: &scratch, features: &features, found: &found };
    let acts = TABLE.iter().flat_map(|entry| (entry.asks)(&known).expect("sendable"));
    // Removing all of it is one command for each name beside the odd ones.
    let commands: usize = acts.map(|act| act.cost()).sum();
    assert!(commands + 25 <= 150, "{commands}");
}

#[test]
fn nothing_and_nonsense_leave_everything_unknown() {
    for entry in &TABLE {
        for answers in [vec![], vec![Answer::Odd; 30], vec![said(450, "later"); 30], vec![Answer::Listed(Listing::default()); 30]]
        {
            let mut found = Profile::default();
            (entry.reads)(&answers, &mut found);
            // HASH that was not asked, since FEAT has none, is none.
            found.hashes.hash = None;
            assert_eq!(found, Profile::default(), "{:?} {answers:?}", entry.step);
        }
    }
}

#[test]
fn renames() {
    let answers = |code, size| [Answer::Stored, said(350, ""), said(code, ""), Answer::Size(Some(size))];
    for (code, size, found) in
        [(250, 16, Some(true)), (553, 4, Some(false)), (250, 4, None), (451, 16, None), (451, 4, Some(false))]
    {
        assert_eq!(read(Step::Rename, &answers(code, size)).rename_replaces, found, "{code} {size}");
    }
}

#[test]
fn appends_and_restarts() {
    let answers = |second: &Answer, size| [Answer::Stored, second.clone(), Answer::Size(Some(size))];
    for (second, size, found) in
        [(Answer::Stored, 20, Some(true)), (Answer::Stored, 4, Some(false)), (Answer::Refused, 16, Some(false))]
    {
        assert_eq!(read(Step::Append, &answers(&second, size)).appe, found);
    }
    for (second, size, found) in [
        (Answer::Stored, 16, Some(Tail::Keeps)),
        (Answer::Stored, 8, Some(Tail::Truncates)),
        (Answer::Stored, 20, Some(Tail::Refused)),
        (Answer::Stored, 4, Some(Tail::Refused)),
        (Answer::Refused, 16, Some(Tail::Refused)),
        (Answer::Odd, 16, None),
    ] {
        assert_eq!(read(Step::Restart, &answers(&second, size)).rest_stor, found, "{second:?} {size}");
    }
}

#[test]
fn the_best_way_to_set_a_time() {
    let no = || said(500, "what?");
    let told = |at: i64| said(213, &crate::ftps::proto::time::format(at).expect("a time"));
    let [mfmt, _, utime, mdtm] = asks::WAYS.map(|(_, at)| at);
    let found = |answers: &[Answer]| {
        let found = read(Step::Times, answers);
        (found.set_time, found.set_time_exact)
    };
    let good = [said(213, "set"), told(mfmt), no(), told(mfmt), said(200, "set"), told(utime), no(), told(utime)];
    assert_eq!(found(&good), (Some(SetTime::Mfmt), Some(true)));
    // vsftpd
    let only_mdtm = [no(), told(5), no(), told(5), no(), told(5), said(213, "set"), told(mdtm)];
    assert_eq!(found(&only_mdtm), (Some(SetTime::MdtmSet), Some(true)));
    // Accepted without effect goes behind what works.
    let liar = [said(213, "set"), told(5), no(), told(5), said(200, "set"), told(utime), no(), told(utime)];
    assert_eq!(found(&liar), (Some(SetTime::SiteUtime), Some(true)));
    let blind = [said(213, "set"), no(), no(), no(), no(), no(), no(), no()];
    assert_eq!(found(&blind), (Some(SetTime::Mfmt), None));
    assert_eq!(found(&[no(), no(), no(), no(), no(), no(), no(), no()]), (Some(SetTime::Never), None));
    assert_eq!(found(&[no(), no(), no(), no(), no(), no(), said(451, "later"), no()]), (None, None));
}

#[test]
fn digests_are_compared() {
    let right = "cb799a74c874a384a25e6b2f3609f3dc45561ac4f8ad89dd3ef7e60b98ce31fd";
    let answers = [
        said(250, &right.to_uppercase()),
        said(250, right),
        said(500, ""),
        said(200, ""),
        said(213, &format!("SHA-256 0-16 {right} f")),
    ];
    let hashes = read(Step::Hashes, &answers).hashes;
    assert_eq!(
        hashes.by_name().map(|(_, hashing)| hashing),
        [Some(Hashing::Whole), Some(Hashing::Whole), Some(Hashing::Never), Some(Hashing::Never)]
    );
    // Its range is ignored by HASH, but not by XSHA256: so says ProFTPD 1.3.8.
    let found = read(Step::Hashes, &answers);
    let part = "603935d0a2b9435faf0a2e658b63e81f596d5697b578ba04eb2673106e9eb2b6";
    let parts = [said(250, part), said(350, ""), said(213, right), said(350, "")];
    let hashes = read_with(Step::Ranges, &parts, found).hashes;
    assert_eq!((hashes.xsha256, hashes.hash), (Some(Hashing::Ranges), Some(Hashing::Whole)));
}

/// The digests in the table are those of the body.
#[test]
fn digests_are_right() {
    use sha2::Digest as _;
    let body = super::super::scratch::BODY;
    for (bytes, whole) in [(body, true), (&body[..8], false)] {
        let digest = sha2::Sha256::digest(bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let hashes = if whole {
            read(Step::Hashes, &[said(250, &hex)]).hashes
        } else {
            let mut found = Profile::default();
            found.hashes.xsha256 = Some(Hashing::Whole);
            read_with(Step::Ranges, &[said(250, &hex)], found).hashes
        };
        assert_eq!(hashes.xsha256, Some(if whole { Hashing::Whole } else { Hashing::Ranges }));
    }
}

#[test]
fn names_that_show_survived() {
    let odd = asks::odd_names();
    let mut answers = vec![said(257, ""); odd.len() + 1];
    let shown: Vec<&[u8]> = odd.iter().map(|(name, _)| name.as_slice()).chain([FILE]).collect();
    answers.push(Answer::Listed(listed(&shown)));
    let names = read(Step::Names, &answers).names;
    assert_eq!((names.utf8, names.spaces(), names.controls, names.long), (Some(true), Some(true), Some(true), Some(true)));
    assert_eq!((names.ff_raw, names.ff_doubled), (Some(true), Some(false)));

    // Pure-FTPd: a space in front becomes `_`, and so does an escape, though not a tab.
    let changed: Vec<&[u8]> = shown
        .iter()
        .filter(|name| !name.starts_with(b" ") && !name.contains(&0x1b))
        .copied()
        .chain([&b"_tl-probe-lead"[..]])
        .collect();
    *answers.last_mut().expect("the listing") = Answer::Listed(listed(&changed));
    let names = read(Step::Names, &answers).names;
    assert_eq!(
        (names.leading_space, names.trailing_space, names.spaces(), names.controls),
        (Some(false), Some(true), Some(false), Some(false))
    );

    // Where a line was not understood, a name that does not show may be there; one that was refused is not.
    answers[0] = said(553, "no");
    let mut doubtful = listed(&[FILE]);
    doubtful.completeness = Completeness::Capped;
    *answers.last_mut().expect("the listing") = Answer::Listed(doubtful);
    let names = read(Step::Names, &answers).names;
    assert_eq!((names.utf8, names.bytes, names.spaces()), (Some(false), None, None));
}

#[test]
fn dotfiles_in_listings() {
    let (plain, all) = (Answer::Listed(listed(&[FILE])), Answer::Listed(listed(&[FILE, DOT])));
    let stat = "Status\n drwxr-xr-x 1 o g 0 Nov 22 18:14 .tl-probe-dot\n-rw-r--r-- 1 o g 16 Nov 22 18:14 tl-probe-file\nEnd";
    let found = read(Step::Dotfiles, &[said(257, ""), plain.clone(), all.clone(), said(213, stat), all.clone()]).dotfiles;
    assert_eq!((found.list, found.list_all, found.stat_all, found.mlsd), (Some(false), Some(true), Some(true), Some(true)));
    // pyftpdlib refuses `-a`; an empty listing with a 226 says nothing.
    let empty = Answer::Listed(Listing::default());
    let found = read(Step::Dotfiles, &[said(257, ""), empty, Answer::Refused, said(550, "no")]).dotfiles;
    assert_eq!((found.list, found.list_all, found.stat_all, found.mlsd), (None, Some(false), Some(false), None));
}

#[test]
fn the_rest() {
    assert_eq!(read(Step::Size, &[said(213, "16")]).size, Some(true));
    assert_eq!(read(Step::Size, &[said(502, "")]).size, Some(false));
    assert_eq!(read(Step::Chmod, &[said(200, "")]).chmod, Some(true));
    let facts = |mode: &str| said(250, &format!("Start\n type=file;UNIX.mode={mode};size=16; /f\nEnd"));
    assert_eq!(read(Step::Chmod, &[said(200, ""), facts("0640")]).chmod, Some(true));
    assert_eq!(read(Step::Chmod, &[said(200, ""), facts("0644")]).chmod, Some(false), "agreed, and did nothing");
    assert_eq!(read(Step::Symlink, &[said(200, ""), Answer::Size(Some(16))]).symlink, Some(true));
    assert_eq!(read(Step::Symlink, &[said(200, ""), Answer::Size(None)]).symlink, None, "leads nowhere");
    assert_eq!(read(Step::Copy, &[said(350, ""), said(250, ""), Answer::Size(Some(16))]).server_copy, Some(true));
    assert_eq!(read(Step::Copy, &[said(500, ""), said(500, ""), Answer::Size(None)]).server_copy, Some(false));
    assert_eq!(read(Step::Case, &[said(257, ""), Answer::Found(true)]).folds_case, Some(true));
    assert_eq!(read(Step::Case, &[said(550, ""), Answer::Found(true)]).folds_case, None);
}

#[test]
fn flights() {
    let reply = |code, text: &str| Reply { code, lines: vec![text.as_bytes().to_vec()] };
    let alone = [reply(213, "16"), reply(200, "ok"), reply(550, "no"), reply(257, "/")];
    let asked = |flight: Vec<Reply>| {
        let answers: Vec<_> = alone.iter().cloned().map(Answer::Reply).chain([Answer::Replies(flight)]).collect();
        read(Step::Flight, &answers).in_order
    };
    assert_eq!(asked(alone.to_vec()), Some(true));
    let mut mixed = alone.to_vec();
    mixed.swap(0, 1);
    assert_eq!(asked(mixed), Some(false));
    assert_eq!(asked(alone[..3].to_vec()), None);
}

#[test]
fn commands_behind_an_upload() {
    let reply = |code, text: &str| Reply { code, lines: vec![text.as_bytes().to_vec()] };
    let told = |size: &str, port: u16| Answer::Replies(vec![reply(213, size), reply(port, "")]);
    let whole = BODY.len().to_string();
    let behind = |answers: &[Answer]| read(Step::Behind, answers).behind;
    let good = told(&whole, 229);
    assert_eq!(behind(&[good.clone(), good.clone(), told(&whole, 500)]), Some(true), "a port may be refused at any time");
    // Once too soon, or before all of it was there.
    assert_eq!(behind(&[good.clone(), Answer::Stored, good.clone()]), Some(false));
    assert_eq!(behind(&[good.clone(), good.clone(), told("0", 229)]), Some(false));
    // A transfer that fails for itself says nothing.
    assert_eq!(behind(&[good.clone(), Answer::Odd, good]), None);
}
