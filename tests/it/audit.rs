//! Verify, restore and adopt by the real binary with real servers, on whose disks somebody tampers.

use std::{fs, process::Output};

use libtest_mimic::Trial;

use crate::{
    pty::Pty,
    rig::{Rig, tree},
    servers::{self, Kind, Options, Server, Tls},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in Kind::ALL {
        for (name, test) in [
            ("tampering_is_found_and_repaired", tampered as fn(Kind)),
            ("everything_is_restored", restored),
            ("equal_files_are_adopted", adopted),
            ("beside_a_daemon", beside),
            ("what_is_left_is_known", left),
            ("everything_is_proven_again", scrubbed),
        ] {
            trials.push(servers::trial(kind, format!("audit::{}::{name}", kind.name()), move || async move { test(kind) }));
        }
    }
    for tls in Tls::ALL {
        let name = format!("audit::proftpd::many_downloads_{}", tls.name());
        trials.push(servers::trial(Kind::ProFtpd, name, move || async move { many(tls) }));
    }
    let name = "audit::proftpd::a_terminal_shows_how_far_it_is";
    trials.push(servers::trial(Kind::ProFtpd, name, || async { shown() }));
    trials
}

/// ProFTPD computes checksums, the others do not; and it takes the words of a name with spaces for a range.
fn rig(kind: Kind) -> Rig {
    let extra = if kind == Kind::ProFtpd { "LoadModule mod_digest.c\n".to_owned() } else { String::new() };
    let rig = Rig::with(Server::start(kind, Options { extra, ..Options::default() }));
    for (name, body) in [
        ("a/deep/f", &b"one"[..]),
        ("a/g", b"two"),
        ("a/sp ace \u{e4}", b"three"),
        ("empty", b""),
        (".dot", b"four"),
        ("big", &[b'x'; 700_000]),
    ] {
        rig.write(name, body);
    }
    rig
}

/// How a verb ended and what it said.
#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in says {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Onto the server's disk, as the server's user would.
fn tamper(rig: &Rig) {
    let at = rig.mirrored();
    fs::remove_file(at.join("a/deep/f")).unwrap();
    fs::File::options().write(true).open(at.join("big")).unwrap().set_len(500_000).unwrap();
    let before = fs::metadata(at.join("a/g")).unwrap().modified().unwrap();
    fs::write(at.join("a/g"), "TWO").unwrap();
    fs::File::options().write(true).open(at.join("a/g")).unwrap().set_modified(before).unwrap();
    fs::create_dir(at.join("theirs")).unwrap();
    fs::write(at.join("theirs/x"), "foreign").unwrap();
    fs::write(at.join("a/.hidden"), "foreign").unwrap();
}

fn tampered(kind: Kind) {
    let rig = rig(kind);
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    let way = if kind == Kind::ProFtpd { "5 by the server's checksum, 1 by size alone" } else { "6 by size alone" };
    ends(&rig.towline(&["verify", "site"]), 0, &["site: 6 files as recorded", way]);
    ends(&rig.towline(&["verify", "site", "--deep"]), 0, &["6 read back"]);
    tamper(&rig);
    let always =
        ["a/deep/f: missing", "big: other size: 500000 bytes instead of 700000", "theirs: foreign", "a/.hidden: foreign"];
    let said = ends(&rig.towline(&["verify", "site"]), 3, &always);
    // The same size and the same time: only a checksum tells, or reading.
    assert_eq!(said.contains("a/g: other content"), kind == Kind::ProFtpd, "{said}");
    let found = json(&rig.towline(&["verify", "site", "--deep=all", "--json"]));
    assert_eq!((&found["wrong"], &found["foreign"], &found["by-reading"]), (&3.into(), &2.into(), &3.into()), "{found:#}");
    assert_eq!(found["findings"].as_array().unwrap().len(), 5);
    ends(&rig.towline(&["verify", "site", "--deep", "--repair"]), 3, &["a/g: other content", "3 paths are noted"]);
    ends(&rig.towline(&["sync"]), 0, &["3 files sent"]);
    let said = ends(&rig.towline(&["verify", "site", "--deep"]), 3, &["6 files as recorded", "theirs: foreign"]);
    assert!(!said.contains("wrong"), "{said}");
    assert_eq!(fs::read(rig.mirrored().join("theirs/x")).unwrap(), b"foreign");
    fs::remove_dir_all(rig.mirrored().join("theirs")).unwrap();
    fs::remove_file(rig.mirrored().join("a/.hidden")).unwrap();
    assert!(rig.is_equal());
    assert_eq!(rig.orphans(), [""; 0]);
}

fn restored(kind: Kind) {
    let rig = rig(kind);
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    let to = rig.dir.path().join("back");
    let to_text = to.to_str().unwrap();
    ends(&rig.towline(&["restore", "site", "--to", to_text]), 0, &["6 files", "6 proven by digest"]);
    assert_eq!(tree(&to), tree(&rig.source));
    let time = |at: &std::path::Path| fs::metadata(at.join("a/g")).unwrap().modified().unwrap();
    assert_eq!(time(&to), time(&rig.source));
    // What is there stays, unless that is asked for.
    fs::write(to.join("a/g"), "mine").unwrap();
    ends(&rig.towline(&["restore", "site", "--to", to_text]), 3, &["a/g: something else is there", "5 there already"]);
    assert_eq!(fs::read(to.join("a/g")).unwrap(), b"mine");
    ends(&rig.towline(&["restore", "site", "a", "--to", to_text, "--force"]), 0, &["1 file ", "2 there already"]);
    assert_eq!(tree(&to), tree(&rig.source));
    // What was tampered with does not come back as if it were ours.
    tamper(&rig);
    let other = rig.dir.path().join("other");
    let said = ["a/deep/f: missing", "a/g: another content", "big: 500000 bytes on the server, 700000 were sent"];
    ends(&rig.towline(&["restore", "site", "--to", other.to_str().unwrap()]), 3, &said);
    assert!(!other.join("theirs").exists() && !other.join("a/g").exists());
    // The state is lost: what the server lists is all there is.
    fs::remove_dir_all(rig.state()).unwrap();
    let lost = rig.dir.path().join("lost");
    let output = rig.towline(&["restore", "site", "--to", lost.to_str().unwrap()]);
    let said = ends(&output, output.status.code().unwrap(), &["restoring what the server lists", "7 files"]);
    assert!(output.status.code() == Some(0) || said.contains("doubtful listing"), "{said}");
    assert_eq!(tree(&lost), tree(&rig.mirrored()));
}

fn adopted(kind: Kind) {
    let rig = rig(kind);
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    fs::remove_dir_all(rig.state()).unwrap();
    fs::write(rig.mirrored().join("a/g"), "TWO").unwrap();
    // Of the same size: within the second of ours it would not be seen by what `sync` compares.
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(rig.mirrored().join("a/g")).unwrap().set_modified(long_ago).unwrap();
    fs::write(rig.mirrored().join("foreign"), "theirs").unwrap();
    rig.write("new", "only here");
    let way = if kind == Kind::ProFtpd { "4 by the server's checksum; 1 read back" } else { "5 read back" };
    let says = ["5 files taken over", way, "a/g: other content", "foreign: foreign", "1 missing on the server"];
    ends(&rig.towline(&["adopt", "site"]), 0, &says);
    // What differs is somebody's until a person says otherwise.
    ends(&rig.towline(&["sync"]), 3, &["1 file sent", "a/g"]);
    assert_eq!(fs::read(rig.mirrored().join("a/g")).unwrap(), b"TWO");
    ends(&rig.towline(&["approve", "site", "a/g"]), 0, &[]);
    ends(&rig.towline(&["sync"]), 0, &["1 file sent"]);
    ends(&rig.towline(&["verify", "site", "--deep"]), 3, &["7 files as recorded", "1 foreign"]);
    fs::remove_file(rig.mirrored().join("foreign")).unwrap();
    assert!(rig.is_equal());
}

/// Verify and restore need nothing of a daemon; what writes says that it has to stop first.
fn beside(kind: Kind) {
    let rig = rig(kind);
    let daemon = rig.run();
    rig.await_sync();
    ends(&rig.towline(&["verify", "site"]), 0, &["6 files as recorded"]);
    let to = rig.dir.path().join("back");
    ends(&rig.towline(&["restore", "site", "--to", to.to_str().unwrap()]), 0, &["6 proven by digest"]);
    for verb in [&["verify", "site", "--repair"][..], &["adopt", "site"]] {
        ends(&rig.towline(verb), 1, &["another towline is running", "stop the daemon"]);
    }
    fs::remove_file(rig.mirrored().join("empty")).unwrap();
    ends(&rig.towline(&["verify", "site"]), 3, &["empty: missing", "--repair"]);
    drop(daemon);
    ends(&rig.towline(&["verify", "site", "--repair"]), 3, &["1 path is noted"]);
    let _daemon = rig.run();
    rig.await_sync();
}

/// What was left on the server, its marker and its trash are not foreign.
fn left(kind: Kind) {
    let rig = rig(kind);
    rig.configure("delete = \"trash\"");
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    fs::remove_file(rig.source.join("a/g")).unwrap();
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    ends(&rig.towline(&["verify", "site"]), 0, &["5 files as recorded"]);
    rig.configure("delete = \"keep\"");
    fs::remove_file(rig.source.join("big")).unwrap();
    fs::remove_dir_all(rig.source.join("a/deep")).unwrap();
    ends(&rig.towline(&["sync"]), 0, &[]);
    ends(&rig.towline(&["verify", "site"]), 0, &["3 files as recorded", "2 left there on purpose"]);
    fs::write(rig.mirrored().join("theirs"), "x").unwrap();
    ends(&rig.towline(&["verify", "site"]), 3, &["theirs: foreign", "; 1 foreign"]);
    for wrong in [&["verify", "nosuch"][..], &["adopt", "nosuch"], &["restore", "nosuch", "--to", "x"]] {
        ends(&rig.towline(wrong), 2, &["there is no mirror called \"nosuch\"; there is: site"]);
    }
}

/// In the background, and beside it `why` and `status` tell of it.
fn scrubbed(kind: Kind) {
    let rig = rig(kind);
    rig.configure("verify = { every = \"1s\" }");
    let _daemon = rig.run();
    rig.await_sync();
    let ways = if kind == Kind::ProFtpd { [5, 1, 0] } else { [0, 6, 0] };
    let proven = |status: &serde_json::Value| {
        ["by_checksum", "by_size", "by_reading"].map(|way| status["scrub"][way].as_u64().unwrap_or(9))
    };
    rig.await_status("every file proven", |status| proven(status) == ways);
    ends(&rig.towline(&["status"]), 0, &["proven     6 of 6 files since sent ("]);
    let why = rig.source.join("a/g");
    let says = if kind == Kind::ProFtpd { "by a checksum of the server's" } else { "by its size" };
    ends(&rig.towline(&["why", why.to_str().unwrap()]), 0, &["proven     ", says]);
    fs::remove_dir_all(rig.mirrored().join("a/deep")).unwrap();
    rig.await_status("another send", |status| status["counters"]["puts"] == 7);
    rig.await_sync();
    fs::write(rig.mirrored().join("big"), "theirs").unwrap();
    rig.await_status("a parked path", |status| status["phase"] == "parked");
    ends(&rig.towline(&["status"]), 0, &["parked     big: ", "towline approve"]);
    assert_eq!(fs::read(rig.mirrored().join("big")).unwrap(), b"theirs");
    ends(&rig.towline(&["approve", "site", "big"]), 0, &[]);
    rig.await_sync();
}

/// TLS sessions run out where a server gives no new ones: more downloads in a row than there are.
fn many(tls: Tls) {
    let rig = Rig::new(Kind::ProFtpd, tls);
    for n in 0..60 {
        rig.write(&format!("f{n}"), format!("{n}"));
    }
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    ends(&rig.towline(&["verify", "site", "--deep"]), 0, &["60 read back"]);
}

/// A bar with rate and time left, which goes when it is over; what is found stands by itself. Where there is no terminal: nothing.
fn shown() {
    let rig = rig(Kind::ProFtpd);
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    fs::remove_file(rig.mirrored().join("a/g")).unwrap();
    let to = rig.dir.path().join("back");
    let back = ["restore", "site", "--to", to.to_str().unwrap()];
    for (verb, unit, found) in [
        (&["verify", "site", "--deep"][..], "KiB/s", "  a/g: missing"),
        (&["verify", "site"], "0/6 files", "  a/g: missing"),
        (&back, "KiB/s", "  a/g: missing on the server"),
        (&[&back[..], &["--as-is", "--force"]].concat(), "B/s", "restored to"),
    ] {
        let _ = fs::remove_dir_all(&to);
        // The large file takes a while.
        let slow = |mut command: std::process::Command| {
            command.env("TERM", "xterm").env("TOWLINE__REMOTE__LAB__BANDWIDTH", "500KiB");
            command
        };
        let mut pty = Pty::spawn(&slow(rig.command(verb)));
        pty.expect(unit);
        let (_, said) = pty.end();
        let last = said.rsplit("\x1b[2K").next().unwrap();
        assert!(said.contains(found) && !last.contains(unit), "{verb:?}: {said:?}");
        if to.exists() {
            fs::remove_dir_all(&to).unwrap();
        }
        let output = slow(rig.command(verb)).output().unwrap();
        let aside = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(aside, "", "{verb:?}");
    }
}
