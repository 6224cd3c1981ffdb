//! Content that the server has under another name is copied there: the server's own log says that no body was sent.

use std::{fs, io::Write};

use libtest_mimic::Trial;

use crate::{
    flights::{LOGIN, turns},
    rig::Rig,
    servers::{self, Kind, Options, Server},
};

const MIB: usize = 1024 * 1024;

/// Copies of one file.
fn copies() -> usize {
    if std::env::var_os("TOWLINE_FULL").is_some() { 500 } else { 40 }
}

pub(crate) fn trials() -> Vec<Trial> {
    let kind = Kind::ProFtpd;
    let with_sums = "LoadModule mod_copy.c\nLoadModule mod_digest.c\n";
    vec![
        servers::trial(kind, "copies::proftpd::of_what_is_there", move || async move { of_what_is_there(with_sums) }),
        servers::trial(kind, "copies::proftpd::without_checksums", || async { of_what_is_there("LoadModule mod_copy.c\n") }),
        servers::trial(kind, "copies::proftpd::share_round_trips", move || async move { flights(with_sums) }),
        servers::trial(kind, "copies::proftpd::of_what_is_new", move || async move { of_what_is_new(with_sums) }),
        servers::trial(kind, "copies::proftpd::of_what_somebody_else_changed", move || async move { of_what_changed(with_sums) }),
        servers::trial(kind, "copies::proftpd::kill_9", move || async move { killed(with_sums) }),
        servers::trial(kind, "copies::proftpd::what_has_grown", move || async move { grown(with_sums) }),
        servers::trial(kind, "copies::proftpd::what_has_grown_without_checksums", || async { grown("LoadModule mod_copy.c\n") }),
        servers::trial(kind, "copies::proftpd::are_told_by_plan", move || async move { planned(with_sums) }),
        servers::trial(Kind::Vsftpd, "copies::vsftpd::are_sent", || async { sent() }),
        servers::trial(Kind::Vsftpd, "copies::vsftpd::what_was_removed_and_comes_back", || async { comes_back(Kind::Vsftpd) }),
        servers::trial(kind, "copies::proftpd::what_was_removed_and_comes_back", || async { comes_back(Kind::ProFtpd) }),
        servers::trial(kind, "copies::proftpd::what_was_replaced_and_comes_back", || async { swings() }),
        servers::trial(Kind::Vsftpd, "copies::vsftpd::what_is_gone_from_the_trash_is_sent", || async { gone() }),
    ]
}

fn rig(modules: &str) -> Rig {
    Rig::with(Server::start(Kind::ProFtpd, Options { extra: modules.to_owned(), ..Options::default() }))
}

/// Bytes that look like nothing else.
fn body(seed: u8) -> Vec<u8> {
    let mut body = vec![0; MIB];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut body);
    body
}

/// The daemon has come to know that the server copies, and the file `original` is there.
fn with_original(rig: &Rig) {
    rig.write("original", body(1));
    assert!(rig.towline(&["sync"]).status.success());
}

fn of_what_is_there(modules: &str) {
    let rig = rig(modules);
    with_original(&rig);
    let stored = rig.commands("STOR");
    let _daemon = rig.run();
    rig.await_sync();
    // All of them come at once, and none of them half.
    let aside = rig.dir.path().join("aside");
    fs::create_dir(&aside).unwrap();
    for n in 0..copies() {
        fs::copy(rig.source.join("original"), aside.join(format!("copy {n}"))).unwrap();
    }
    fs::rename(&aside, rig.source.join("copies")).unwrap();
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!((rig.commands("STOR") - stored, rig.commands("CPTO")), (0, copies()), "{}", rig.log());
    assert!(rig.log().contains("copied on the server"), "{}", rig.log());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

/// What there is to ask about a copy goes out with it.
fn flights(modules: &str) {
    const COPIES: usize = 30;
    let rig = rig(modules);
    rig.take_one_connection();
    with_original(&rig);
    for n in 0..COPIES {
        fs::copy(rig.source.join("original"), rig.source.join(format!("copy {n}"))).unwrap();
    }
    let turns = turns(&rig);
    assert!(rig.is_equal() && rig.commands("CPTO") == COPIES, "{}", rig.server.log());
    eprintln!("{COPIES} copies: {turns} round trips");
    assert!(turns < LOGIN + 5 * COPIES, "{turns} round trips");
}

/// All of them appear at once, and the server has none of it.
fn of_what_is_new(modules: &str) {
    let rig = rig(modules);
    rig.write("small", "while the server is asked what it can do");
    assert!(rig.towline(&["sync"]).status.success());
    let stored = rig.commands("STOR");
    for n in 0..copies() {
        rig.write(&format!("{}/{n}", n % 3), body(2));
    }
    rig.write("single", body(3));
    assert!(rig.towline(&["sync"]).status.success());
    assert!(rig.is_equal());
    assert_eq!((rig.commands("STOR") - stored, rig.commands("CPTO")), (2, copies() - 1), "{}", rig.server.log());
}

fn of_what_changed(modules: &str) {
    let rig = rig(modules);
    with_original(&rig);
    // As long as it was, and as old.
    let there = rig.mirrored().join("original");
    let time = fs::metadata(&there).unwrap().modified().unwrap();
    fs::write(&there, body(9)).unwrap();
    fs::File::options().append(true).open(&there).unwrap().set_modified(time).unwrap();
    fs::copy(rig.source.join("original"), rig.source.join("copy")).unwrap();
    assert!(rig.towline(&["sync"]).status.success());
    assert!(fs::read(rig.mirrored().join("copy")).unwrap() == body(1), "{}", rig.server.log());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn killed(modules: &str) {
    let rig = rig(modules);
    with_original(&rig);
    for n in 0..copies() {
        fs::copy(rig.source.join("original"), rig.source.join(format!("copy {n}"))).unwrap();
    }
    for n in 1..4 {
        let daemon = rig.run();
        let reached = crate::support::wait_until(crate::rig::PATIENCE, || rig.commands("CPTO") >= n * copies() / 5);
        assert!(reached, "{}", rig.log());
        // It is killed.
        drop(daemon);
    }
    let _daemon = rig.run();
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn planned(modules: &str) {
    let rig = rig(modules);
    rig.write("log", body(2));
    with_original(&rig);
    let (stored, copied) = (rig.commands("STOR"), rig.commands("CPTO"));
    fs::copy(rig.source.join("original"), rig.source.join("copy")).unwrap();
    fs::File::options().append(true).open(rig.source.join("log")).unwrap().write_all(b"more").unwrap();
    rig.write("new", body(3));
    let planned = rig.towline(&["plan"]);
    let told = String::from_utf8_lossy(&planned.stdout);
    assert!(told.contains("  copy original -> copy on the server (1.00 MiB)"), "{told}");
    assert!(told.contains("  put what is new of log (of 1.00 MiB)"), "{told}");
    assert!(told.contains("  put new (1.00 MiB)"), "{told}");
    assert_eq!((rig.commands("STOR"), rig.commands("CPTO")), (stored, copied), "nothing was done");
    assert!(rig.towline(&["sync"]).status.success());
    assert!(rig.is_equal());
    assert_eq!((rig.commands("STOR") - stored, rig.commands("CPTO") - copied), (1, 2), "only what is new");
}

fn sent() {
    let rig = Rig::new(Kind::Vsftpd, servers::Tls::Both);
    with_original(&rig);
    fs::copy(rig.source.join("original"), rig.source.join("copy")).unwrap();
    assert!(rig.towline(&["sync"]).status.success());
    assert!(rig.is_equal());
}

/// What a checkout of another branch takes away, and that of the first one brings back: with other inodes, and other times.
fn comes_back(kind: Kind) {
    let rig = Rig::new(kind, servers::Tls::Both);
    rig.configure("delete = \"trash\"\ndelete_budget = { files = 1000, percent = 100 }\n");
    let fill = |rig: &Rig| {
        for n in 0..60 {
            rig.write(&format!("src/{}/{n}.c", n % 5), format!("file {n}, {}", "x".repeat(n)));
        }
    };
    rig.write("README", "stays");
    fill(&rig);
    assert!(rig.towline(&["sync"]).status.success());
    fs::remove_dir_all(rig.source.join("src")).unwrap();
    rig.write("other", "branch");
    assert!(rig.towline(&["sync"]).status.success());
    let stored = rig.commands("STOR");
    fs::remove_file(rig.source.join("other")).unwrap();
    fill(&rig);
    assert!(rig.towline(&["sync"]).status.success());
    assert!(rig.is_equal());
    assert_eq!(rig.commands("STOR") - stored, 0, "{}", rig.server.log());
}

/// One content, then another one, then the first again: where the server copies, what is replaced is kept.
fn swings() {
    let rig = rig("LoadModule mod_copy.c\nLoadModule mod_digest.c\n");
    rig.configure("delete = \"trash\"\ndelete_budget = { files = 1000, percent = 100 }\n");
    rig.write("page", "small");
    assert!(rig.towline(&["sync"]).status.success());
    let contents = ["the first content", "a second one, longer"];
    rig.write("page", contents[0]);
    assert!(rig.towline(&["sync"]).status.success());
    rig.write("page", contents[1]);
    assert!(rig.towline(&["sync"]).status.success());
    let stored = rig.commands("STOR");
    for n in 0..4 {
        rig.write("page", contents[n % 2]);
        assert!(rig.towline(&["sync"]).status.success());
        assert!(rig.is_equal());
    }
    assert_eq!(rig.commands("STOR") - stored, 0, "{}", rig.server.log());
}

/// Somebody else emptied the trash on the server.
fn gone() {
    let rig = Rig::new(Kind::Vsftpd, servers::Tls::Both);
    rig.configure("delete = \"trash\"\ndelete_budget = { files = 1000, percent = 100 }\n");
    rig.write("a", "what was there");
    rig.write("b", "stays");
    assert!(rig.towline(&["sync"]).status.success());
    fs::remove_file(rig.source.join("a")).unwrap();
    assert!(rig.towline(&["sync"]).status.success());
    fs::remove_dir_all(rig.mirrored().join(".towline-trash")).unwrap();
    rig.write("c", "what was there");
    let _daemon = rig.run();
    rig.await_sync();
    assert!(rig.is_equal());
}

/// A log that grows, is changed in front, and is rotated.
fn grown(modules: &str) {
    let rig = rig(modules);
    let mut log: Vec<u8> = (0..8).flat_map(body).collect();
    rig.write("log", &log);
    assert!(rig.towline(&["sync"]).status.success());
    let _daemon = rig.run();
    rig.await_sync();
    let stored = rig.commands("STOR");
    // What was changed inside is written over where the server shows that it fits: in two stretches, and else it is sent.
    let inside = if modules.contains("mod_digest") { 2 } else { 1 };
    for n in 1..4 {
        let more = &body(100 + u8::try_from(n).unwrap())[..100_000];
        log.extend(more);
        fs::File::options().append(true).open(rig.source.join("log")).unwrap().write_all(more).unwrap();
        rig.await_sync();
        assert!(rig.is_equal());
        assert_eq!((rig.commands("STOR") - stored, rig.commands("APPE")), (0, n), "{}", rig.log());
    }
    assert!(rig.log().contains("appended mirror=site path=log bytes=100000"), "{}", rig.log());
    log[4_000_000] ^= 1;
    log.extend(b"and more");
    // Not half of it is seen.
    fs::write(rig.dir.path().join("aside"), &log).unwrap();
    fs::rename(rig.dir.path().join("aside"), rig.source.join("log")).unwrap();
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!((rig.commands("STOR") - stored, rig.commands("APPE")), (inside, 3), "{}", rig.log());
    fs::rename(rig.source.join("log"), rig.source.join("log.1")).unwrap();
    rig.write("log", "a new one");
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!((rig.commands("STOR") - stored, rig.commands("APPE")), (inside + 1, 3), "{}", rig.log());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}
