//! The configuration read anew while the daemon runs, against real servers: what is as it was goes on, and what is wrong changes
//! nothing.

use std::fs;

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    rig::{PATIENCE, Rig, tree},
    servers::{self, Kind, Tls},
    support::wait_until,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        servers::trial(Kind::ProFtpd, "reload::mirrors_come_and_go", || async { come_and_go() }),
        servers::trial(Kind::ProFtpd, "reload::what_is_wrong_changes_nothing", || async { wrong() }),
        servers::trial(Kind::ProFtpd, "reload::another_bandwidth_is_taken_up", || async { bandwidth() }),
    ];
    for kind in [Kind::Vsftpd, Kind::ProFtpd, Kind::PureFtpd] {
        let name = format!("reload::{}::another_password_is_taken_up", kind.name());
        trials.push(servers::trial(kind, name, move || async move { password(kind) }));
    }
    trials
}

fn file(rig: &Rig) -> std::path::PathBuf {
    rig.dir.path().join("towline.toml")
}

/// The configuration, altered.
fn alter(rig: &Rig, with: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(file(rig)).unwrap();
    fs::write(file(rig), with(text)).unwrap();
}

/// Exit code and words of `towline reload`.
fn reload(rig: &Rig) -> (Option<i32>, String) {
    let output = rig.towline(&["reload"]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn started(rig: &Rig, name: &str) -> usize {
    rig.log().lines().filter(|line| line.contains("INFO started ") && line.contains(&format!("mirror={name}"))).count()
}

/// The mirrors and their phases.
fn phases(rig: &Rig) -> Vec<(String, String)> {
    let output = rig.towline(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    status["mirrors"].as_array().into_iter().flatten().map(|one| (word(&one["name"]), word(&one["phase"]))).collect()
}

fn come_and_go() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let other = rig.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("o"), "other").unwrap();
    rig.write("a", "one");
    let daemon = rig.run();
    rig.await_sync();
    let (there, path) = (rig.server.root.join("elsewhere"), rig.server.remote("elsewhere"));
    let second =
        format!("[[mirror]]\nname = \"other\"\nsource = \"other\"\nremote = \"lab\"\npath = {path:?}\nquiet = \"50ms\"\n");
    alter(&rig, |text| text + &second);
    assert_eq!(reload(&rig), (Some(0), "other: started\nsite: as it was\n".to_owned()));
    let in_sync = |names: &[&str]| {
        let wanted: Vec<_> = names.iter().map(|name| ((*name).to_owned(), "in-sync".to_owned())).collect();
        wait_until(PATIENCE, || phases(&rig) == wanted)
    };
    assert!(in_sync(&["other", "site"]) && tree(&other) == tree(&there), "{}", rig.log());
    assert_eq!(reload(&rig), (Some(0), "site: as it was\nother: as it was\n".to_owned()));

    // One is another now, by a signal: the neighbour goes on.
    let quiet = |quiet: &str| format!("path = {path:?}\nquiet = \"{quiet}\"");
    alter(&rig, |text| text.replace(&quiet("50ms"), &quiet("60ms")));
    kill_process(Pid::from_child(&daemon.0), Signal::HUP).unwrap();
    assert!(wait_until(PATIENCE, || started(&rig, "other") == 2), "{}", rig.log());
    fs::write(other.join("p"), "new").unwrap();
    rig.write("b", "two");
    assert!(
        wait_until(PATIENCE, || tree(&other) == tree(&there) && rig.is_equal()) && in_sync(&["other", "site"]),
        "{}",
        rig.log()
    );
    assert_eq!(started(&rig, "site"), 1);

    // One is gone: what it has put on the server stays.
    alter(&rig, |text| text[..text.rfind("[[mirror]]").unwrap()].to_owned());
    assert_eq!(
        reload(&rig),
        (Some(0), "other: stopped; what it has put on the server stays there\nsite: as it was\n".to_owned())
    );
    assert!(in_sync(&["site"]));
    fs::remove_file(other.join("p")).unwrap();
    rig.write("c", "three");
    rig.await_sync();
    assert_eq!(tree(&there).len(), 2);
    assert_eq!((rig.commands("DELE"), started(&rig, "site")), (0, 1));
    drop(daemon);
}

fn wrong() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "one");
    let mut daemon = rig.run();
    rig.await_sync();
    let right = fs::read_to_string(file(&rig)).unwrap();
    for (from, to, said) in [
        ("quiet = \"50ms\"", "quiet = \"soon\"", "quiet"),
        ("[[mirror]]", "[[mirror]", "towline.toml"),
        ("file = \"pass\"", "file = \"no such\"", "no such"),
        ("name = \"site\"", "name = \"other\"\nremotes = 3", "remotes"),
    ] {
        alter(&rig, |_| right.replace(from, to));
        let (code, words) = reload(&rig);
        assert!(code == Some(78) && words.contains(said) && words.contains("nothing was changed"), "{to}: {code:?} {words}");
        let told = || rig.log().matches("the old one stays").count();
        let before = told();
        kill_process(Pid::from_child(&daemon.0), Signal::HUP).unwrap();
        assert!(wait_until(PATIENCE, || told() > before), "{}", rig.log());
        rig.write("a", to);
        rig.await_sync();
    }
    fs::remove_file(file(&rig)).unwrap();
    assert_eq!(reload(&rig).0, Some(78));
    fs::write(file(&rig), &right).unwrap();
    assert_eq!(reload(&rig), (Some(0), "site: as it was\n".to_owned()));
    assert_eq!((started(&rig, "site"), daemon.0.try_wait().unwrap()), (1, None));
    drop(daemon);
    let (code, words) = reload(&rig);
    assert!(code == Some(69) && words.contains("no towline daemon listens"), "{code:?} {words}");
}

/// At the limit that it begins with, the file would take more than half an hour.
fn bandwidth() {
    const SIZE: usize = 2 << 20;
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    alter(&rig, |text| text.replace("connections = 4", "connections = 4\nbandwidth = \"1KiB\""));
    rig.write("a", "x".repeat(SIZE));
    let daemon = rig.run();
    let there = rig.server.root.join("mirror");
    let sizes = || fs::read_dir(&there).into_iter().flatten().flatten().filter_map(|entry| Some(entry.metadata().ok()?.len()));
    // What had gathered went at once; then a KiB comes each second, and nobody gives up.
    assert!(wait_until(PATIENCE, || sizes().any(|size| (8 << 10..1 << 20).contains(&size))), "{}", rig.log());
    assert!(!rig.is_equal());
    alter(&rig, |text| text.replace("bandwidth = \"1KiB\"", "bandwidth = { limit = \"unlimited\" }"));
    assert_eq!(reload(&rig), (Some(0), "site: started anew\n".to_owned()));
    rig.await_sync();
    assert!(rig.is_equal());
    drop(daemon);
}

fn password(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    rig.write("a", "one");
    let secret = rig.dir.path().join("pass");
    let right = fs::read_to_string(&secret).unwrap();
    fs::write(&secret, "not this one\n").unwrap();
    let daemon = rig.run();
    rig.await_status("the refusal", |status| status["phase"] == "stopped");
    assert_eq!(reload(&rig), (Some(0), "site: started anew\n".to_owned()));
    rig.await_status("the second refusal", |status| status["phase"] == "stopped");
    fs::write(&secret, right).unwrap();
    assert_eq!(reload(&rig), (Some(0), "site: started anew\n".to_owned()));
    rig.await_sync();
    drop(daemon);
}
