//! The probe and `towline doctor` against real servers: what is found of each, and that nothing is left behind.

use std::{fs, os::unix::ffi::OsStrExt, time::Duration};

use libtest_mimic::Trial;
use towline::{
    ftps::{
        Profile, SetTime, Verdict,
        profile::{Hashing, Tail},
    },
    model::UnixMillis,
    remote::{Remote, Session, ftps::FtpsRemote},
};

use crate::{
    ftps::remote,
    rig::{PATIENCE, Rig},
    servers::{self, Kind, Options, Server, Tls},
    support::wait_until,
};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const DAY: i64 = 24 * 60 * 60 * 1000;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in [Kind::Vsftpd, Kind::ProFtpd, Kind::PureFtpd] {
        let name = |what: &str| format!("doctor::{}::{what}", kind.name());
        trials.push(servers::trial(kind, name("profile"), move || profile(kind)));
        trials.push(servers::trial(kind, name("probed_once"), move || once(kind)));
        trials.push(servers::trial(kind, name("killed_midway_is_cleared"), move || killed(kind)));
        trials.push(servers::trial(kind, name("read_only_account"), move || read_only(kind)));
    }
    trials.push(servers::trial(Kind::ProFtpd, "doctor::proftpd::profile_with_modules", with_modules));
    trials.push(servers::trial(Kind::ProFtpd, "doctor::limit_is_learnt", limit));
    trials.push(servers::trial(Kind::ProFtpd, "doctor::text_and_json", || async { binary() }));
    trials.push(servers::trial(Kind::ProFtpd, "doctor::beside_a_daemon", || async { beside() }));
    for kind in Kind::ALL {
        let name = format!("doctor::{}::no_upload_waits_for_what_it_does_not_need", kind.name());
        trials.push(servers::trial(kind, name, move || async move { at_rest(kind) }));
    }
    trials
}

/// What is in the mirror's directory on the server.
fn left(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.root.join("mirror")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().as_bytes().escape_ascii().to_string()).collect()
}

async fn examined(server: &Server) -> Profile {
    let remote = remote(server, Profile::default());
    let examined = remote.examine(true, NOW).await.unwrap();
    println!("{}: {:#?}\n{}", server.kind.name(), examined, remote.stats().summary());
    assert_eq!(left(server), Vec::<String>::new(), "{}", server.log());
    assert!(!examined.greeting.is_empty() && examined.certificate_expires.is_some_and(|at| at > 1_700_000_000));
    let profile = examined.profile;
    assert_eq!(profile.probed.unwrap().verdict, Verdict::Complete);
    assert_eq!(profile.lost.steps().count(), 0);
    profile
}

/// The table of what the servers do, as it was measured.
async fn profile(kind: Kind) {
    let server = Server::start(kind, Tls::Both);
    let found = examined(&server).await;
    assert_eq!((found.rename_replaces, found.appe, found.size), (Some(true), Some(true), Some(true)));
    let tail = if kind == Kind::PureFtpd { Tail::Truncates } else { Tail::Keeps };
    assert_eq!(found.rest_stor, Some(tail));
    let set_time = if kind == Kind::Vsftpd { SetTime::MdtmSet } else { SetTime::Mfmt };
    assert_eq!((found.set_time, found.set_time_exact), (Some(set_time), Some(true)));
    assert_eq!((found.chmod, found.server_copy, found.folds_case), (Some(true), Some(false), Some(false)));
    assert!(found.hashes.by_name().iter().all(|(_, hashing)| *hashing == Some(Hashing::Never)), "{:?}", found.hashes);
    assert_eq!(found.in_order, Some(true));
    let dotfiles = found.dotfiles;
    assert_eq!((dotfiles.list, dotfiles.list_all, dotfiles.stat_all), (Some(false), Some(true), Some(true)));
    assert_eq!(dotfiles.mlsd, (kind != Kind::Vsftpd).then_some(true));
    let names = found.names;
    assert_eq!((names.utf8, names.bytes, names.long), (Some(true), Some(true), Some(true)));
    let odd = Some(kind != Kind::PureFtpd);
    // Pure-FTPd sees a space in front only where the whole argument begins with it, which an absolute path does not.
    assert_eq!((names.leading_space, names.trailing_space), (Some(true), odd));
    assert_eq!((names.controls, names.backslash), (odd, odd));
    assert_eq!((names.ff_raw, names.ff_doubled), (Some(true), Some(kind == Kind::ProFtpd)));
}

/// ProFTPD with everything that Debian ships for it.
async fn with_modules() {
    let extra = "LoadModule mod_copy.c\nLoadModule mod_digest.c\nLoadModule mod_site_misc.c\n".to_owned();
    let server = Server::start(Kind::ProFtpd, Options { extra, ..Options::default() });
    let found = examined(&server).await;
    assert_eq!((found.server_copy, found.symlink, found.chmod), (Some(true), Some(true), Some(true)));
    let hashes = found.hashes;
    assert_eq!((hashes.xsha256, hashes.xmd5, hashes.xcrc), (Some(Hashing::Ranges), Some(Hashing::Ranges), Some(Hashing::Ranges)));
    assert_eq!(hashes.hash, Some(Hashing::Whole), "its RANG is ignored");
    // In a directory whose name is several words there is no telling a link from what it leads to; with quotes in it, little else.
    for (dir, works) in [("a b", Some(true)), ("a \"b\"", None)] {
        let remote = remote(&server, Profile::default()).beside(server.remote(dir).as_bytes()).unwrap();
        let found = remote.examine(true, NOW).await.unwrap().profile;
        assert_eq!((found.server_copy, found.symlink, found.chmod), (works, None, works), "{dir}");
        assert_eq!(found.hashes.xsha256, works.map(|_| Hashing::Ranges), "{dir}");
        assert_eq!(fs::read_dir(server.root.join(dir)).unwrap().count(), 0);
    }
}

/// Logs in as the daemon does.
async fn connect(remote: &FtpsRemote) {
    let mut session = remote.connect().await.unwrap();
    session.ping().await.unwrap();
    session.close().await;
}

async fn once(kind: Kind) {
    let server = Server::start(kind, Tls::Both);
    let first = remote(&server, Profile::default()).with_probe(|| NOW);
    connect(&first).await;
    let known = first.profile();
    assert_eq!(known.probed.unwrap().at, NOW);
    let later = || UnixMillis(NOW.0 + 400 * DAY);
    connect(&first).await;
    // Another process, another year: the greeting may tell the time, but the server is the same.
    let second = remote(&server, known).with_probe(later);
    connect(&second).await;
    assert_eq!(second.profile(), known);
    // Another greeting, or other features.
    let mut other = known;
    other.probed.as_mut().unwrap().fingerprint ^= 1;
    let third = remote(&server, other).with_probe(later);
    connect(&third).await;
    assert_eq!(third.profile().probed.unwrap().at, later());
    assert_eq!(third.profile().probed.unwrap().fingerprint, known.probed.unwrap().fingerprint);
    assert_eq!(left(&server), Vec::<String>::new());
    // Whoever was not told to does not.
    connect(&remote(&server, Profile::default())).await;
    assert_eq!(left(&server), Vec::<String>::new());
}

async fn killed(kind: Kind) {
    let server = Server::start(kind, Tls::Both);
    for millis in [20, 60, 120, 200, 300] {
        let remote = remote(&server, Profile::default());
        let _ = tokio::time::timeout(Duration::from_millis(millis), remote.examine(true, NOW)).await;
        println!("after {millis} ms: {:?}", left(&server));
    }
    // And by hand, what a probe that died could have left at worst.
    let dir = server.root.join("mirror/.towline-probe");
    let mut names = vec![&b".tl-probe-dot"[..], b"tl-probe-\xe9t"];
    match kind {
        // What it was sent doubled it has once.
        Kind::ProFtpd => names.push(b"tl-probe-d\xffd"),
        _ => names.push(b"tl-probe-d\xff\xffd"),
    }
    if kind != Kind::PureFtpd {
        names.extend([&b" tl-probe-lead"[..], b"tl-probe-trail ", b"tl-probe-e\x1be", b"tl-probe-t\tt"]);
    }
    for name in names {
        fs::create_dir_all(dir.join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    server.give(&server.root);
    let remote = remote(&server, Profile::default());
    remote.examine(true, NOW).await.unwrap();
    let rest: Vec<_> = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left(&server), Vec::<String>::new(), "{rest:?}");
}

async fn read_only(kind: Kind) {
    let server = Server::start(kind, Tls::Both);
    // Root's, where the server serves as another account.
    fs::create_dir(server.root.join("mirror")).unwrap();
    let remote = remote(&server, Profile::default()).with_probe(|| NOW);
    connect(&remote).await;
    let probed = remote.profile().probed.unwrap();
    assert_eq!((probed.verdict, probed.at), (Verdict::NoDirectory, NOW));
    assert_eq!(left(&server), Vec::<String>::new());
    let examined = remote.examine(false, UnixMillis(NOW.0 + DAY)).await.unwrap();
    assert_eq!(examined.profile.probed.unwrap().at.0, NOW.0 + DAY, "the next day");
}

async fn limit() {
    let server = Server::start(Kind::ProFtpd, Options { max_clients: Some(2), ..Options::default() });
    let remote = remote(&server, Profile::default());
    let (one, two) = (remote.connect().await.unwrap(), remote.connect().await.unwrap());
    assert!(remote.connect().await.is_err());
    assert_eq!(remote.profile().limit, Some(2));
    one.close().await;
    two.close().await;
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn binary() {
    let mut rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let output = rig.towline(&["doctor", "lab"]);
    let said = text(&output.stdout);
    println!("{said}{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
    for part in [
        "TLS 1.",
        "valid until ",
        "probed       ",
        " s ago",
        "renaming onto an existing file",
        "replaces it",
        "set by MFMT, to the second",
    ] {
        assert!(said.contains(part), "{part}");
    }
    assert_eq!(left(&rig.server), Vec::<String>::new());
    let made = || rig.server.log().lines().filter(|line| line.contains("MKD") && line.ends_with(".towline-probe 257")).count();
    assert_eq!(made(), 1, "{}", rig.server.log());
    let json = |args: &[&str]| -> serde_json::Value {
        let output = rig.towline(args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let kept = json(&["doctor", "lab", "--json"]);
    assert_eq!(made(), 1, "the kept findings are told");
    for key in ["remote", "server", "path", "tls", "certificate-expires", "greeting", "probed", "rows", "profile"] {
        assert!(!kept[key].is_null(), "{key} in {kept:#}");
    }
    assert_eq!((kept["remote"].as_str(), kept["probed"]["verdict"].as_str()), (Some("lab"), Some("complete")));
    let row = kept["rows"].as_array().unwrap().iter().find(|row| row["key"] == "rename").unwrap();
    assert_eq!((row["found"].as_str(), row["grade"].as_str()), (Some("replaces it"), Some("fine")));
    let fresh = json(&["doctor", "lab", "--json", "--fresh", "--path", &rig.server.remote("elsewhere")]);
    assert_eq!((made(), fresh["path"].as_str()), (2, Some(rig.server.remote("elsewhere").as_str())));
    let ends = |rig: &Rig, args: &[&str], code: i32, says: &str| {
        let output = rig.towline(args);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(says), "{:?}: {said}", output.status);
    };
    ends(&rig, &["doctor", "nope"], 2, "there is no remote called \"nope\"; there is: lab");
    ends(&rig, &["doctor", "lab", "--path", "relative"], 78, "absolute");
    fs::write(rig.dir.path().join("pass"), "wrong\n").unwrap();
    ends(&rig, &["doctor", "lab"], 77, "refused the login");
    rig.server.stop();
    ends(&rig, &["doctor", "lab"], 69, "cannot connect");
}

fn beside() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    let daemon = rig.run();
    rig.await_sync();
    assert_eq!(rig.log().matches("probed the server").count(), 1, "{}", rig.log());
    for _ in 0..3 {
        let output = rig.towline(&["doctor", "lab", "--json", "--fresh"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        rig.write("another", "y");
        rig.await_sync();
    }
    drop(daemon);
    // The daemon's next start knows, and asks nothing.
    let _daemon = rig.run();
    rig.write("third", "z");
    rig.await_sync();
    assert_eq!(rig.log().matches("probed the server").count(), 1, "{}", rig.log());
}

/// A single pass does not find it out at all, a daemon does when there is nothing else to do.
fn at_rest(kind: Kind) {
    const FOUND: &str = "found out what else the server can do";
    let rig = Rig::new(kind, Tls::Both);
    rig.write("file", "x");
    assert_eq!(rig.towline(&["sync"]).status.code(), Some(0));
    assert!(!rig.server.log().contains("tl-probe-append"), "{}", rig.server.log());
    let _daemon = rig.run();
    rig.await_sync();
    assert!(wait_until(PATIENCE, || rig.log().contains(FOUND)), "{}", rig.log());
    rig.write("another", "y");
    rig.await_sync();
    assert!(!rig.log().contains("probed the server"), "{}", rig.log());
    assert!(rig.server.log().contains("tl-probe-append"), "{}", rig.server.log());
    assert_eq!(rig.log().matches(FOUND).count(), 1, "{}", rig.log());
    assert!(!rig.mirrored().join(".towline-probe").exists());
}
