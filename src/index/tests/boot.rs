use super::*;

const SECOND: i64 = 1_000_000_000;

/// A file whose times are `ctime` seconds.
fn aged(ctime: i64, inode: u64) -> Entry {
    let print = Fingerprint { size: 7, mtime_ns: ctime * SECOND, ctime_ns: ctime * SECOND, inode };
    Entry::file(print, Some(Digest([1; 32])))
}

/// A power cut once left a file with its new times and its old content, and nobody looked.
#[test]
fn what_was_recorded_last_is_doubted_once_after_a_start_of_the_machine() {
    let mut fresh = Fresh::new();
    let now = at(20_000_000);
    // The clock was wrong once: a time that has not come yet says nothing of the machine's last moment.
    fresh.holds(&[
        ("d", dir(1)),
        ("future", aged(90_000, 5)),
        ("last", aged(10_000, 2)),
        ("late", aged(9_800, 3)),
        ("old", aged(9_000, 4)),
    ]);
    assert_eq!(fresh.index.booted("one", now).unwrap(), 0, "nothing is known of the time before");
    assert_eq!(fresh.index.booted("one", now).unwrap(), 0);
    assert_eq!(fresh.pending(), [""; 0]);
    assert_eq!(fresh.index.booted("two", now).unwrap(), 3);
    assert_eq!(fresh.pending(), ["future", "last", "late"]);
    assert_eq!(fresh.index.booted("two", now).unwrap(), 0);
    // What the server holds is still known, so that what turns out to be equal is not sent.
    let (observed, recorded) = fresh.both("last");
    assert!(matches!(observed, Some(Entry::File { digest: None, .. })));
    assert!(matches!(recorded, Some(Entry::File { digest: Some(Digest([1, ..])), .. })));
    // Seen again as it was, it stays in doubt until it was read.
    fresh.sees(&[("last", aged(10_000, 2))]);
    assert_eq!(fresh.pending(), ["future", "last", "late"]);
    assert_eq!(fresh.index.tally(at(9)).unwrap().pending_files, 3);
}

#[test]
fn an_empty_index_has_nothing_to_doubt() {
    let mut fresh = Fresh::new();
    assert_eq!(fresh.index.booted("one", at(0)).unwrap(), 0);
    assert_eq!(fresh.index.booted("two", at(0)).unwrap(), 0);
}
