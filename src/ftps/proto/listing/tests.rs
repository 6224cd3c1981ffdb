//! Listings of real servers, hostile listings, and random bytes.

use proptest::prelude::*;

use super::*;
use crate::ftps::proto::{Reply, time};

fn parse(format: Format, text: &[u8]) -> Listing {
    let mut parser = ListingParser::new(format);
    parser.feed(text).expect("within bounds");
    parser.finish().expect("within bounds")
}

fn entry(name: &str, kind: ListedKind, size: Option<u64>, modified: Option<i64>) -> Listed {
    Listed { name: name.into(), kind, size, modified }
}

#[test]
fn facts_of_proftpd_and_pureftpd() {
    let listing = parse(
        Format::Facts,
        b"modify=20261122181400;perm=flcdmpe;type=cdir;unique=1; .\r\n\
          type=pdir;modify=20261122181400; ..\r\n\
          type=file;size=5;modify=19700101000001;UNIX.mode=0644; a b \r\n\
          Type=dir;sizd=4096;modify=19700101000002; sub\r\n\
          type=OS.unix=slink:/x;size=3; link\r\n",
    );
    assert_eq!(
        listing.entries,
        [
            entry("a b ", ListedKind::File, Some(5), Some(1)),
            entry("sub", ListedKind::Dir, None, Some(2)),
            entry("link", ListedKind::Link, None, None),
        ]
    );
    assert_eq!(listing.rejected, 0);
}

#[test]
fn names_that_leave_the_directory_are_counted_only() {
    let listing = parse(
        Format::Facts,
        b"type=file; ../x\r\ntype=dir; ..\r\ntype=file; a\0b\r\ntype=file; \r\ntype=file; a\rb\r\nnonsense\r\ntype=file; ok\r\n",
    );
    assert_eq!(listing.entries, [entry("ok", ListedKind::File, None, None)]);
    assert_eq!(listing.rejected, 6);
    let listing = parse(Format::Unix, b"-rw-r--r-- 1 a b 5 Jan 01 2020 /etc/passwd\n-rw-r--r-- 1 a b 5 Jan 01 2020 x/../y\n");
    assert_eq!((listing.entries.len(), listing.rejected), (0, 2));
}

#[test]
fn unix_lines() {
    let listing = parse(
        Format::Unix,
        b"total 12\r\n\
          drwxr-xr-x    2 1000     1000         4096 Nov 22 18:14 .\r\n\
          drwxr-xr-x    2 1000     1000         4096 Nov 22 18:14 ..\r\n\
          -rw-r--r--   1 may Dec       300 Jan  1  2020  leading and  inner \r\n\
          lrwxrwxrwx 1 a b 3 Feb 29 00:00 link -> x/y\r\n\
          lrwxrwxrwx 1 a b 6 Feb 29 00:00 a -> b -> c -> d\r\n\
          drwx------ 1 owner 4096 Mar 31 23:59 .hidden\r\n\
          crw-rw---- 1 root tty 4, 64 Mar 31 23:59 tty\r\n\
          brw-rw---- 1 root disk 8,0 Mar 31 23:59 sda\r\n\
          -rw-r--r--+ 1 Domain Admins Domain Users 7 Jan 05 2020 acl\r\n\
          -rwsr-xr-t. 1 0 0 7 Jan 05 9:05 label\r\n\
          d [R----F--] supervisor            512       Jan 16 18:53    login\r\n\
          -rw-r--r-- 1 1 Jan 5 2020 of nobody\r\n\
          -rw-r--r-- 1 Jan 5 2020 without a size\r\n\
          -rw-r--r-- 1 o g 5 Jan 5 2020 Jan 5 2020 x",
    );
    assert_eq!(
        listing.entries,
        [
            entry(" leading and  inner ", ListedKind::File, Some(300), None),
            entry("link", ListedKind::Link, None, None),
            entry("a -> b", ListedKind::Link, None, None),
            entry(".hidden", ListedKind::Dir, None, None),
            entry("tty", ListedKind::Other, None, None),
            entry("sda", ListedKind::Other, None, None),
            entry("acl", ListedKind::File, Some(7), None),
            entry("label", ListedKind::File, Some(7), None),
            entry("   login", ListedKind::Dir, None, None),
            entry("of nobody", ListedKind::File, Some(1), None),
            entry("Jan 5 2020 x", ListedKind::File, Some(5), None),
        ]
    );
    assert_eq!((listing.rejected, listing.seen), (1, 11));
    assert!(listing.names_itself && listing.shows_dots);
}

#[test]
fn what_is_not_understood_is_doubted() {
    for line in [
        "-rw-r--r-- 1 a b 5 M\u{e4}r 01 2020 localized",
        "-rw-r--r-- 1 a b 5 janv. 01 2020 localized",
        "-rw-r--r-- 1 a b 5 2020-01-01 00:00 long-iso",
        "?rw-r--r-- 1 a b 1 Jan 01 2020 odd",
        "-rw-r--r- 1 a b 1 Jan 01 2020 short",
        "-rw-r--r--? 1 a b 1 Jan 01 2020 mark",
        "-rw-r--r-- 1 a b 1 Jan 01 20200 year",
        "-rw-r--r-- 1 a b 1 Jan 32 2020 day",
        "-rw-r--r-- 1 a b 1 Jan 01 2020",
        "lrwxrwxrwx 1 a b 9 Jan 01 2020 a -> b -> c",
        "ls: cannot open directory: Permission denied",
        "total usage 5",
        "01-23-20  12:00PM       <DIR>          dos",
    ] {
        let listing = parse(Format::Unix, line.as_bytes());
        assert_eq!((listing.entries.len(), listing.rejected), (0, 1), "{line}");
        assert_eq!(listing.completeness, Completeness::Unknown(Doubt::Unparsed(1)), "{line}");
        assert_eq!(listing.lookup(b"x"), Lookup::Unknown);
    }
}

#[test]
fn dos_lines() {
    let listing = parse(
        Format::Dos,
        b"02-29-20  12:34PM       <DIR>          two words\r\n\
          02-29-2020  12:34PM       <DIR>            two in front\r\n\
          02-29-20  01:05AM                  689 iisstart.htm\r\n\
          02-29-20  01:05AM              184,946  welcome.png\r\n\
          29.02.2020  13:05       <JUNCTION>     there\r\n\
          2020-02-29  13:05       <SYMLINKD>     elsewhere\r\n\
          02/29/20 01:05 PM <DIR> narrow\r\n\
          02-29-20  01:05AM       <DIR>          ..\r\n",
    );
    assert_eq!(
        listing.entries,
        [
            entry("two words", ListedKind::Dir, None, None),
            entry("  two in front", ListedKind::Dir, None, None),
            entry("iisstart.htm", ListedKind::File, Some(689), None),
            entry(" welcome.png", ListedKind::File, Some(184_946), None),
            entry("there", ListedKind::Link, None, None),
            entry("elsewhere", ListedKind::Link, None, None),
            entry("narrow", ListedKind::Dir, None, None),
        ]
    );
    assert_eq!(listing.rejected, 0);
    for line in [
        "02-29-20  12:34PM       <WHAT>         x",
        "02-29-20  12:34PM       <DIR>",
        "02-29-20  12:34PM       <DIR>          ",
        "02-29-20  12:34PM       <SYMLINKD>     a [C:\\b]",
        "02-29-20  12:34PM                  1,23 a",
        "02-29-20  12:34PM                  123 a\\b",
        "02-29-20  12:34PM                  123 ../b",
        "02-29-20  12:34XM                  123 a",
        "2-29-20  12:34PM                  123 a",
        "-rw-r--r-- 1 a b 5 Jan 01 2020 name",
    ] {
        let listing = parse(Format::Dos, line.as_bytes());
        assert_eq!((listing.entries.len(), listing.rejected), (0, 1), "{line}");
    }
}

#[test]
fn the_first_line_that_tells_decides_and_formats_are_not_mixed() {
    let unix = "-rw-r--r-- 1 a b 5 Jan 01 2020 unix\r\n";
    let dos = "02-29-20  01:05AM                  689 dos\r\n";
    for (text, format, name) in [(["\r\n", unix, dos], Format::Unix, "unix"), (["what\r\n", dos, unix], Format::Dos, "dos")] {
        let listing = parse(Format::Any, text.concat().as_bytes());
        assert_eq!((listing.format, listing.entries.len()), (Some(format), 1));
        assert_eq!(listing.entries[0].name, name.as_bytes());
        assert_eq!(listing.rejected, if format == Format::Unix { 1 } else { 2 });
    }
    assert_eq!(parse(Format::Any, b"total 0\r\n").format, None);
}

#[test]
fn mlst_replies() {
    let reply = |lines: &[&str]| Reply { code: 250, lines: lines.iter().map(|l| l.as_bytes().to_vec()).collect() };
    assert_eq!(
        mlst(&reply(&["Start of list for /a b", " modify=20261122181400;size=7;type=file; /a b", "End"])),
        Some((ListedKind::File, Some(7)))
    );
    assert_eq!(mlst(&reply(&["x", "type=cdir;size=7; /", "End"])), Some((ListedKind::Dir, Some(7))));
    assert_eq!(mlst(&reply(&["size=7; /"])), None);
    assert_eq!(mlst(&reply(&["ok"])), None);
}

#[test]
fn a_capped_listing_says_so() {
    let reply = |text: &str| Reply { code: 226, lines: vec![b"Options: -a -l".to_vec(), text.as_bytes().to_vec()] };
    for text in ["Output truncated to 10000 matches", "Only the first 500 files were listed", "Listing INCOMPLETE"] {
        assert!(is_capped(&reply(text)), "{text}");
    }
    for text in ["9998 matches total", "Directory send OK.", "Transfer complete. Unlimited quota."] {
        assert!(!is_capped(&reply(text)), "{text}");
    }
}

/// Each doubt by itself, then that the graver one is told.
#[test]
fn doubts() {
    const FINE: Circumstances<'_> =
        Circumstances { reply: &Reply { code: 226, lines: Vec::new() }, closed: true, proven: true, dotfiles: None };
    let capped = Reply { code: 226, lines: vec![b"truncated".to_vec()] };
    let of =
        |text: &str, circumstances: Circumstances<'_>| parse(Format::Any, text.as_bytes()).judged(circumstances).completeness;
    let (plain, dot) = ("-rw-r--r-- 1 a b 5 Jan 01 2020 a\n", "-rw-r--r-- 1 a b 5 Jan 01 2020 .a\n");
    let (itself, bad) = ("drwxr-xr-x 1 a b 5 Jan 01 2020 .\n", "-rw-r--r-- 1 a b 5 Jan 01 2020 a/b\n");
    let dos = "02-29-20  01:05AM                  689 a\n";
    let unproven = Circumstances { proven: false, ..FINE };
    let shown = Circumstances { dotfiles: Some(true), ..FINE };
    let hidden = Circumstances { dotfiles: Some(false), ..FINE };
    let cut = Circumstances { closed: false, ..FINE };
    let thousand = plain.repeat(1_000) + dot;
    for (text, circumstances, expected) in [
        (dot, FINE, Completeness::Complete),
        (itself, unproven, Completeness::Complete),
        (dos, FINE, Completeness::Complete),
        (plain, shown, Completeness::Complete),
        (plain, FINE, Completeness::Unknown(Doubt::DotfilesHidden)),
        (dot, hidden, Completeness::Unknown(Doubt::DotfilesHidden)),
        ("", FINE, Completeness::Unknown(Doubt::DotfilesHidden)),
        ("", shown, Completeness::Complete),
        ("", Circumstances { proven: false, ..shown }, Completeness::Unknown(Doubt::EmptyUnproven)),
        ("", unproven, Completeness::Unknown(Doubt::EmptyUnproven)),
        (bad, FINE, Completeness::Unknown(Doubt::RejectedNames(1))),
        ("what\n", FINE, Completeness::Unknown(Doubt::Unparsed(1))),
        (&thousand, FINE, Completeness::Complete),
        (&thousand[..thousand.len() - dot.len()], shown, Completeness::Unknown(Doubt::SuspiciousCount(1_000))),
        (dot, cut, Completeness::Unknown(Doubt::Unclosed)),
        (bad, cut, Completeness::Unknown(Doubt::Unclosed)),
        (bad, Circumstances { reply: &capped, ..cut }, Completeness::Capped),
    ] {
        let start: String = text.chars().take(60).collect();
        assert_eq!(of(text, circumstances), expected, "{start:?}, {circumstances:?}");
    }
    assert_eq!(of(&(bad.to_owned() + "what\n"), FINE), Completeness::Unknown(Doubt::Unparsed(1)));
}

#[test]
fn counts_at_which_servers_stop() {
    for count in [1_000, 1_998, 1_999, 2_000, 9_998, 9_999, 10_000] {
        assert!(is_suspicious(count), "{count}");
    }
    for count in [0, 1, 998, 999, 1_001, 1_997, 2_001, 9_997, 10_001] {
        assert!(!is_suspicious(count), "{count}");
    }
}

#[test]
fn only_a_complete_listing_proves_absence() {
    let text = b"type=cdir; .\ntype=file; a\ntype=file; b\n";
    let kept = |keep| {
        let mut parser = ListingParser::new(Format::Facts).keeping(keep);
        parser.feed(text).expect("within bounds");
        parser.finish().expect("within bounds")
    };
    let all = kept(Keep::All);
    assert!(matches!(all.lookup(b"b"), Lookup::There(listed) if listed.name == b"b"));
    assert_eq!(all.lookup(b"c"), Lookup::Absent);
    let named = kept(Keep::Named(b"b".to_vec()));
    assert_eq!((named.entries.len(), named.seen), (1, 2));
    assert!(matches!(named.lookup(b"b"), Lookup::There(_)));
    assert_eq!(named.lookup(b"a"), Lookup::Unknown, "it was not kept");
    assert_eq!(kept(Keep::Named(b"c".to_vec())).lookup(b"c"), Lookup::Absent);
    let first = kept(Keep::First(1));
    assert!(matches!(first.lookup(b"a"), Lookup::There(_)));
    assert_eq!((first.lookup(b"b"), first.lookup(b"c")), (Lookup::Unknown, Lookup::Unknown));
    for completeness in [Completeness::Capped, Completeness::Unknown(Doubt::DotfilesHidden)] {
        let doubtful = Listing { completeness, ..all.clone() };
        assert!(matches!(doubtful.lookup(b"b"), Lookup::There(_)));
        assert_eq!(doubtful.lookup(b"c"), Lookup::Unknown);
    }
}

#[test]
fn a_cut_listing_does_not_give_half_a_name() {
    let mut parser = ListingParser::new(Format::Facts);
    parser.feed(b"type=file; whole\r\ntype=file; hal").expect("within bounds");
    let listing = parser.cut();
    assert_eq!(listing.entries, [entry("whole", ListedKind::File, None, None)]);
}

#[test]
fn listings_on_the_control_connection() {
    let reply = |lines: &[&str]| Reply { code: 213, lines: lines.iter().map(|l| l.as_bytes().to_vec()).collect() };
    let listing = |lines: &[&str]| status(&reply(lines), Keep::All).expect("within bounds");
    for space in ["", " "] {
        let itself = format!("{space}drwxr-xr-x   3 ann      65534        4096 Feb 29  2020 .");
        let file = format!("{space}-rw-r--r--   1 ann      65534          14 Feb 29  2020  leading");
        let listing = listing(&["Status of /dir:", &itself, &file, "End"]).expect("a listing");
        assert_eq!(listing.entries, [entry(" leading", ListedKind::File, Some(14), None)]);
        assert!(listing.names_itself && listing.rejected == 0);
    }
    // FileZilla Server 1: a line with nothing but a space.
    assert_eq!(listing(&["Status of /Empty:", " ", "End"]), Some(Listing::default()));
    assert_eq!(listing(&["FTP server status:", " Connected to here", "End"]).map(|l| (l.seen, l.rejected)), Some((0, 1)));
    assert_eq!((listing(&["fine"]), listing(&[]), listing(&["a", "b"])), (None, None, Some(Listing::default())));
}

#[test]
fn bounds() {
    let mut parser = ListingParser::new(Format::Facts);
    assert_eq!(parser.feed(&vec![b'x'; MAX_LINE + 1]), Err(ListingError::LineTooLong));
    let mut parser = ListingParser::new(Format::Unix);
    let lines = b"\n".repeat(MAX_LINES);
    assert_eq!(parser.feed(&lines), Ok(()));
    assert_eq!(parser.feed(b"\n"), Err(ListingError::TooLong));
}

/// Any name that a server of this format can write so that it is read again.
fn sendable(dos: bool) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![8 => Just(b'a'), 2 => Just(b' '), 1 => Just(b'>'), 1 => Just(b'-'), 4 => any::<u8>()];
    proptest::collection::vec(bytes, 1..12)
        .prop_filter("a name", move |name| is_sane(name) && !(dos && name.contains(&b'\\')) && !name.ends_with(b"\r"))
}

proptest! {
    #[test]
    fn unix_listings_are_read_as_they_were_written(
        names in proptest::collection::vec(sendable(false), 0..6),
        size in any::<u64>(),
        kind in 0..4usize,
        owner in "[a-z0-9]{1,8}( [a-z]{1,5})?",
        padding in 1..9usize,
        clock in prop_oneof![Just("18:14"), Just(" 2020"), Just("2020"), Just("9:05")],
        mark in prop_oneof![Just(""), Just("+"), Just(".")],
    ) {
        let (letter, kind) = [('-', ListedKind::File), ('d', ListedKind::Dir), ('l', ListedKind::Link), ('p', ListedKind::Other)][kind];
        let mut text = Vec::new();
        for name in &names {
            let size = if kind == ListedKind::Link { 5 } else { size };
            text.extend(format!("{letter}rw-r-xr--{mark}{:padding$}1 {owner} group {size:>8} Nov  2 {clock} ", "").into_bytes());
            text.extend(name);
            text.extend(if kind == ListedKind::Link { b" -> there".as_slice() } else { b"" });
            text.extend(b"\r\n");
        }
        let listing = parse(Format::Any, &text);
        prop_assert_eq!(listing.rejected, 0);
        prop_assert_eq!(listing.entries.iter().map(|entry| &entry.name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        prop_assert!(listing.entries.iter().all(|e| e.kind == kind && e.size == (kind == ListedKind::File).then_some(size)));
    }

    #[test]
    fn dos_listings_are_read_as_they_were_written(
        names in proptest::collection::vec(sendable(true), 0..6),
        size in any::<u64>(),
        is_dir in any::<bool>(),
        date in prop_oneof![Just("11-22-26"), Just("11-22-2026"), Just("2026-11-22")],
    ) {
        let mut text = Vec::new();
        for name in &names {
            let column = if is_dir { "      <DIR>         ".to_owned() } else { format!("{size:>20}") };
            text.extend(format!("{date}  06:14PM {column} ").into_bytes());
            text.extend(name);
            text.extend(b"\r\n");
        }
        let listing = parse(Format::Any, &text);
        prop_assert_eq!(listing.rejected, 0);
        prop_assert_eq!(listing.entries.iter().map(|entry| &entry.name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        prop_assert!(listing.entries.iter().all(|e| e.size == (!is_dir).then_some(size)));
    }

    #[test]
    fn facts_are_read_as_they_were_written(
        names in proptest::collection::vec(sendable(false), 0..6), size in any::<u64>(), modified in 0..4_000_000_000i64,
    ) {
        let mut text = Vec::new();
        for name in &names {
            let time = time::format(modified).expect("a time value");
            text.extend(format!("Type=file;Size={size};perm=r;Modify={time}; ").into_bytes());
            text.extend(name);
            text.extend(b"\r\n");
        }
        let expected: Vec<_> = names
            .into_iter()
            .map(|name| Listed { name, kind: ListedKind::File, size: Some(size), modified: Some(modified) })
            .collect();
        prop_assert_eq!(parse(Format::Facts, &text).entries, expected);
    }

    #[test]
    fn cuts_do_not_matter_and_nothing_panics(
        text in proptest::collection::vec(
            prop_oneof![
                Just(b"type=file;size=3;modify=20200101000000; name\r\n".to_vec()),
                Just(b"-rw-r--r-- 1 a b 5 Jan 01 2020 name\r\n".to_vec()),
                Just(b"02-29-20  01:05AM       <DIR>          name\r\n".to_vec()),
                Just(b"drwxr-xr-x 1 a b 5 Jan 01 2020 .\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..30),
                "[ =;/.a-d0-9\r\n-]{0,30}".prop_map(String::into_bytes),
                "[dl-]rwxr-xr-x 1 [a-c ]{0,9}[0-9, ]{1,4} (Jan|Feb) [0-9: ]{0,8} [a>. -]{0,12}\r\n".prop_map(String::into_bytes),
                "[0-9./-]{8} [0-9:APM ]{5,8} (<DIR>|<SYMLINK>|[0-9,]{1,5}) [ab.\\\\ ]{0,14}\r\n".prop_map(String::into_bytes),
            ],
            0..8,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = text.concat();
        let cut = cut.index(text.len() + 1);
        for format in [Format::Facts, Format::Unix, Format::Dos, Format::Any] {
            let whole = parse(format, &text);
            let mut parser = ListingParser::new(format);
            parser.feed(&text[..cut]).expect("within bounds");
            parser.feed(&text[cut..]).expect("within bounds");
            prop_assert_eq!(&parser.finish().expect("within bounds"), &whole);
            prop_assert!(whole.entries.iter().all(|e| is_sane(&e.name)));
            prop_assert_eq!(whole.is_complete(), whole.rejected == 0);
        }
        let _ = status(&Reply { code: 213, lines: text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect() }, Keep::All);
    }
}
