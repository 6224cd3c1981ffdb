use std::{fs, os::unix::fs::symlink};

use proptest::prelude::*;

use super::*;
use crate::scan::tests::{mkfifo, path};

#[test]
fn a_file_is_read_as_it_is_even_when_its_name_is_taken_by_another() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/f"), "content").unwrap();
    let root = Root::open(dir.path()).unwrap();
    let mut file = open_file(&root, &path("d/f")).unwrap();
    let print = file.fingerprint().unwrap();
    assert_eq!(print.size, 7);
    fs::write(dir.path().join("d/g"), "other").unwrap();
    fs::rename(dir.path().join("d/g"), dir.path().join("d/f")).unwrap();
    assert_eq!(file.read(64).unwrap(), b"content");
    assert_eq!(file.read(64).unwrap(), b"");
    assert_eq!((file.read_at(4, 3).unwrap(), file.read_at(4, 7).unwrap()), (b"tent".to_vec(), vec![]));
    assert_eq!(file.fingerprint().unwrap().inode, print.inode);
    assert_ne!(open_file(&root, &path("d/f")).unwrap().fingerprint().unwrap().inode, print.inode);
}

#[test]
fn what_is_no_file_is_refused_and_nothing_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "").unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("link")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    mkfifo(&dir.path().join("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let root = Root::open(dir.path()).unwrap();
    for (name, gone) in [
        ("no", true),
        ("no/f", true),
        ("f/below", true),
        ("out/secret", true),
        ("loop/x", true),
        ("d", false),
        ("link", false),
        ("loop", false),
        ("fifo", false),
        ("socket", false),
    ] {
        match open_file(&root, &path(name)) {
            Err(ReadError::Gone) => assert!(gone, "{name}"),
            Err(ReadError::NotAFile) => assert!(!gone, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_root_that_was_swapped_is_still_the_one_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("root"), dir.path().join("moved"));
    fs::create_dir(&here).unwrap();
    fs::write(here.join("f"), "old").unwrap();
    let root = Root::open(&here).unwrap();
    assert!(root.still_there());
    fs::rename(&here, &there).unwrap();
    assert!(!root.still_there());
    fs::create_dir(&here).unwrap();
    fs::write(here.join("f"), "another").unwrap();
    assert!(!root.still_there());
    assert_eq!(open_file(&root, &path("f")).unwrap().fingerprint().unwrap().size, 3);
    fs::remove_dir_all(&here).unwrap();
    symlink(&there, &here).unwrap();
    assert!(root.still_there(), "the same directory by another way");
}

#[test]
fn a_fingerprint_is_racy_until_the_clock_has_ticked() {
    let second = 1_700_000_000_000_i64;
    let ms = Duration::from_millis;
    for (ctime_ms, now_ms, left) in [
        (second + 5, second + 5, ms(20)),
        (second + 5, second + 10, ms(15)),
        (second + 5, second + 25, ms(0)),
        (second + 5, second + 9_000, ms(0)),
        (second, second, ms(2_000)),
        (second, second + 500, ms(1_500)),
        (second, second + 2_000, ms(0)),
        // The clock shown is a little behind the file system's.
        (second + 5, second + 4, ms(21)),
        // A clock that was set back, or a server's that is ahead.
        (second + 5_005, second, ms(0)),
        (-5, -5, ms(20)),
        (i64::MIN / 1_000_000, i64::MAX, ms(0)),
        (i64::MAX / 1_000_000, i64::MIN, ms(0)),
    ] {
        let print = Fingerprint { ctime_ns: ctime_ms * 1_000_000, ..Fingerprint::unknown(1) };
        assert_eq!(racy_for(&print, UnixMillis(now_ms)), left, "{ctime_ms} {now_ms}");
    }
}

proptest! {
    /// The clock shows whole milliseconds: what it hides must not make the reader wait again and again.
    #[test]
    fn one_wait_is_enough(ctime_ns in 1_700_000_000_000_000_000_i64..1_700_000_001_000_000_000, later_ns in 0_i64..50_000_000) {
        let print = Fingerprint { ctime_ns, ..Fingerprint::unknown(1) };
        let shown = |ns: i64| UnixMillis(ns.div_euclid(1_000_000));
        let begun = ctime_ns + later_ns;
        let wait = racy_for(&print, shown(begun));
        let left = racy_for(&print, shown(begun + i64::try_from(wait.as_nanos()).unwrap()));
        prop_assert_eq!(left, Duration::ZERO, "after {:?}", wait);
    }
}
