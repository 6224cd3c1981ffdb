//! Listings of real servers, hostile listings, and random bytes.

use proptest::prelude::*;

use super::*;
use crate::ftps::proto::Reply;

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
          drwx------ 1 owner 4096 Mar 31 23:59 .hidden\r\n\
          crw-rw---- 1 root tty 4, 64 Mar 31 23:59 tty\r\n\
          ?rw-r--r-- 1 a b 1 Jan 01 2020 odd\r\n\
          01-23-20  12:00PM       <DIR>          dos",
    );
    assert_eq!(
        listing.entries,
        [
            entry(" leading and  inner ", ListedKind::File, Some(300), None),
            entry("link", ListedKind::Link, None, None),
            entry(".hidden", ListedKind::Dir, None, None),
            entry("tty", ListedKind::Other, None, None),
        ]
    );
    assert_eq!(listing.rejected, 2);
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
    assert!(is_capped(&reply("Output truncated to 10000 matches")));
    assert!(!is_capped(&reply("9998 matches total")));
    assert!(!Listing { capped: true, ..Listing::default() }.is_complete());
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

#[test]
fn of_a_listing_without_end_a_few_names_are_kept() {
    for (names, capped) in [(2, false), (3, true)] {
        let mut parser = ListingParser::new(Format::Facts).keeping(2);
        parser.feed(&b"type=file; x\r\n".repeat(names)).expect("within bounds");
        let listing = parser.finish().expect("within bounds");
        assert_eq!((listing.entries.len(), listing.capped), (2, capped));
    }
}

proptest! {
    #[test]
    fn cuts_do_not_matter_and_nothing_panics(
        text in proptest::collection::vec(
            prop_oneof![
                Just(b"type=file;size=3;modify=20200101000000; name\r\n".to_vec()),
                Just(b"-rw-r--r-- 1 a b 5 Jan 01 2020 name\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..30),
                "[ =;/.a-d0-9\r\n-]{0,30}".prop_map(String::into_bytes),
            ],
            0..8,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = text.concat();
        let cut = cut.index(text.len() + 1);
        for format in [Format::Facts, Format::Unix] {
            let whole = parse(format, &text);
            let mut parser = ListingParser::new(format);
            parser.feed(&text[..cut]).expect("within bounds");
            parser.feed(&text[cut..]).expect("within bounds");
            prop_assert_eq!(&parser.finish().expect("within bounds"), &whole);
            prop_assert!(whole.entries.iter().all(|e| is_sane(&e.name)));
        }
    }
}
