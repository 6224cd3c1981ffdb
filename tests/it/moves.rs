//! What moved here moves there: the server's own log says how.

use std::{fs, os::unix::fs::PermissionsExt};

use libtest_mimic::Trial;
use towline::{
    clock,
    index::Index,
    mirror::index_file,
    model::{self, Operation, RelPath},
};

use crate::{
    rig::Rig,
    servers::{self, Kind, Tls},
};

/// Files in the directory that is renamed.
fn files() -> usize {
    if std::env::var_os("TOWLINE_FULL").is_some() { 2000 } else { 200 }
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in [Kind::ProFtpd, Kind::Vsftpd, Kind::PureFtpd] {
        let name = |what: &str| format!("moves::{}::{what}", kind.name());
        trials.push(servers::trial(kind, name("a_directory_is_renamed_once"), move || async move { renamed(kind) }));
        trials.push(servers::trial(kind, name("with_edits_in_it"), move || async move { edited(kind) }));
        trials.push(servers::trial(kind, name("directories_exchange_their_names"), move || async move { exchanged(kind) }));
        trials.push(servers::trial(kind, name("names_of_files_go_round"), move || async move { turned(kind) }));
        trials.push(servers::trial(kind, name("directories_whose_exchange_was_cut_off"), move || async move { cut_off(kind) }));
    }
    for kind in [Kind::ProFtpd, Kind::Vsftpd] {
        let name = format!("moves::{}::directories_exchange_their_names_and_kill_9", kind.name());
        trials.push(servers::trial(kind, name, move || async move { exchanged_and_killed(kind) }));
    }
    let kind = Kind::Vsftpd;
    trials.push(servers::trial(kind, "moves::vsftpd::while_nobody_looked", move || async move { unseen(kind) }));
    trials.push(servers::trial(kind, "moves::vsftpd::one_takes_the_name_of_the_next", move || async move { rotated(kind) }));
    trials.push(servers::trial(kind, "moves::vsftpd::the_new_name_is_taken", move || async move { taken(kind) }));
    trials
}

/// What the server was asked to do: bodies, renames, directories made, removals. Pure-FTPd does not say; what was done there is.
fn asked(rig: &Rig) -> [usize; 4] {
    if rig.server.kind == Kind::PureFtpd {
        let log = rig.log();
        return [" put ", " rename", " make directory ", " remove"].map(|verb| log.matches(&format!("INFO{verb}")).count());
    }
    let all = |verbs: &[&str]| verbs.iter().map(|verb| rig.commands(verb)).sum();
    [all(&["STOR", "APPE"]), all(&["RNFR"]), all(&["MKD"]), all(&["DELE", "RMD"])]
}

fn since(rig: &Rig, before: [usize; 4]) -> [usize; 4] {
    let now = asked(rig);
    std::array::from_fn(|at| now[at] - before[at])
}

fn fill(rig: &Rig, dir: &str) {
    for n in 0..files() {
        rig.write(&format!("{dir}/{}/{n}", n % 7), format!("{n} in {dir}"));
    }
}

fn renamed(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    rig.write("stays", "as it is");
    fill(&rig, "old");
    let _daemon = rig.run();
    rig.await_sync();
    let before = asked(&rig);
    fs::rename(rig.source.join("old"), rig.source.join("new")).unwrap();
    rig.await_sync();
    assert_eq!(since(&rig, before), [0, 1, 0, 0], "{}", rig.log());
    // Into another directory, which is new.
    fs::create_dir(rig.source.join("around")).unwrap();
    fs::rename(rig.source.join("new"), rig.source.join("around/it")).unwrap();
    rig.await_sync();
    assert_eq!(since(&rig, before), [0, 2, 1, 0], "{}", rig.log());
    assert!(rig.is_equal());
}

fn edited(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    fill(&rig, "old");
    rig.write("elsewhere", "goes in");
    let daemon = rig.run();
    rig.await_sync();
    // So that all of it is seen at once.
    drop(daemon);
    let before = asked(&rig);
    let source = |name: &str| rig.source.join(name);
    fs::rename(source("old/3/3"), source("out")).unwrap();
    fs::remove_file(source("old/4/4")).unwrap();
    fs::rename(source("old"), source("new")).unwrap();
    rig.write("new/5/5", "another content");
    rig.write("new/5/more", "a new file");
    fs::rename(source("new/6/6"), source("new/6/six")).unwrap();
    fs::rename(source("elsewhere"), source("new/in")).unwrap();
    let _daemon = rig.run();
    rig.await_sync();
    // Renamed: what went out, the directory, what has another name in it, what came in, and as commands two that were sent.
    let renamed = if kind == Kind::PureFtpd { 4 } else { 4 + 2 };
    assert_eq!(since(&rig, before), [2, renamed, 0, 1], "{}", rig.log());
    assert!(rig.is_equal());
}

fn unseen(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    fill(&rig, "old");
    assert!(rig.towline(&["sync"]).status.success());
    fs::create_dir(rig.source.join("a")).unwrap();
    fs::rename(rig.source.join("old"), rig.source.join("a/new")).unwrap();
    let plan = String::from_utf8(rig.towline(&["plan"]).stdout).unwrap();
    assert!(plan.contains("rename directory old -> a/new"), "{plan}");
    assert!(plan.lines().count() < 8, "{plan}");
    let before = asked(&rig);
    assert!(rig.towline(&["sync"]).status.success());
    assert_eq!(since(&rig, before), [0, 1, 1, 0], "{}", rig.log());
    assert!(rig.is_equal());
}

fn rotated(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    for dir in ["backup.0", "backup.1", "backup.2"] {
        fill(&rig, dir);
    }
    assert!(rig.towline(&["sync"]).status.success());
    for n in (0..3).rev() {
        fs::rename(rig.source.join(format!("backup.{n}")), rig.source.join(format!("backup.{}", n + 1))).unwrap();
    }
    let before = asked(&rig);
    assert!(rig.towline(&["sync"]).status.success());
    assert_eq!(since(&rig, before), [0, 3, 0, 0], "{}", rig.log());
    assert!(rig.is_equal());
}

/// `mv a t; mv b a; mv t b`, and a file that is gone from one of them.
fn exchanged(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    for dir in ["a", "b", "c"] {
        fill(&rig, dir);
        rig.write(&format!("{dir}/only in {dir}"), dir);
    }
    let daemon = rig.run();
    rig.await_sync();
    let before = asked(&rig);
    let rename = |from: &str, to: &str| fs::rename(rig.source.join(from), rig.source.join(to)).unwrap();
    for (from, to) in [("a", "t"), ("b", "a"), ("t", "b")] {
        rename(from, to);
    }
    rig.await_sync();
    assert_eq!(since(&rig, before)[0], 0, "{}", rig.log());
    assert!(rig.is_equal());
    drop(daemon);
    let before = asked(&rig);
    for (from, to) in [("a", "t"), ("b", "a"), ("c", "b"), ("t", "c")] {
        rename(from, to);
    }
    fs::remove_file(rig.source.join("b/only in c")).unwrap();
    let plan = String::from_utf8(rig.towline(&["plan"]).stdout).unwrap();
    assert!(plan.contains("rename in turn b -> a -> c -> b"), "{plan}");
    let _daemon = rig.run();
    rig.await_sync();
    // Three over a temporary name.
    let renamed = if kind == Kind::PureFtpd { 1 } else { 4 };
    let [sent, moved, ..] = since(&rig, before);
    assert_eq!((sent, moved), (0, renamed), "{}", rig.log());
    assert!(rig.is_equal());
}

/// Wherever it is killed: what has been renamed is known, and nothing of it is sent.
fn exchanged_and_killed(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    for dir in ["a", "b"] {
        fill(&rig, dir);
        rig.write(&format!("{dir}/only in {dir}"), dir);
    }
    assert!(rig.towline(&["sync"]).status.success());
    let before = asked(&rig);
    for _ in 0..6 {
        for (from, to) in [("a", "t"), ("b", "a"), ("t", "b")] {
            fs::rename(rig.source.join(from), rig.source.join(to)).unwrap();
        }
        let renames = rig.commands("RNFR");
        let daemon = rig.run();
        assert!(crate::support::wait_until(crate::rig::PATIENCE, || rig.commands("RNFR") > renames), "{}", rig.log());
        // It is killed.
        drop(daemon);
    }
    let _daemon = rig.run();
    rig.await_sync();
    assert_eq!(since(&rig, before)[0], 0, "{}", rig.log());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

/// However many of the renames were made when the process died: the rest follows, and nothing is sent.
fn cut_off(kind: Kind) {
    for made in 0..=3 {
        let rig = Rig::new(kind, Tls::Both);
        for dir in ["a", "b"] {
            rig.write(&format!("{dir}/f"), format!("in {dir}"));
            rig.write(&format!("{dir}/only in {dir}"), dir);
        }
        let sync = || {
            let synced = rig.towline(&["sync"]);
            assert!(synced.status.success(), "{made}: {}", String::from_utf8_lossy(&synced.stderr));
        };
        sync();
        for (from, to) in [("a", "t"), ("b", "a"), ("t", "b")] {
            fs::rename(rig.source.join(from), rig.source.join(to)).unwrap();
        }
        let name = |name: &str| RelPath::new(name).unwrap();
        let swap = Operation::Rotate { path: name("a"), others: vec![name("b")], kind: model::Kind::Dir, bytes: 0 };
        let job = {
            let mut index = Index::open(&index_file(&rig.state(), "site"), clock::now()).unwrap();
            index.begin(&[swap], clock::now()).unwrap().remove(0)
        };
        let temp = job.temp.unwrap().to_string();
        for (from, to) in [("b", &*temp), ("a", "b"), (&*temp, "a")].into_iter().take(made) {
            fs::rename(rig.mirrored().join(from), rig.mirrored().join(to)).unwrap();
        }
        let before = asked(&rig);
        sync();
        assert_eq!(since(&rig, before)[0], 0, "{made}: {}", rig.server.log());
        assert!(rig.is_equal(), "{made}");
        assert_eq!(rig.orphans(), Vec::<String>::new());
    }
}

fn turned(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    for name in ["a", "b", "c", "d/e", "f"] {
        rig.write(name, format!("{name} ").repeat(100));
    }
    assert!(rig.towline(&["sync"]).status.success());
    let rename = |from: &str, to: &str| fs::rename(rig.source.join(from), rig.source.join(to)).unwrap();
    for (from, to) in [("a", "t"), ("b", "a"), ("c", "b"), ("t", "c"), ("d/e", "t"), ("f", "d/e"), ("t", "f")] {
        rename(from, to);
    }
    let plan = String::from_utf8(rig.towline(&["plan"]).stdout).unwrap();
    assert!(plan.contains("rename in turn a -> c -> b -> a: moved") && plan.contains("swap d/e -> f -> d/e: moved"), "{plan}");
    let before = asked(&rig);
    assert!(rig.towline(&["sync"]).status.success());
    // Of `sync` there is no log.
    let renamed = if kind == Kind::PureFtpd { 0 } else { 4 + 3 };
    assert_eq!(since(&rig, before), [0, renamed, 0, 0], "{}", rig.log());
    assert!(rig.is_equal());
}

/// The server has something of that name that nobody here knows of: what is in it moves file by file, and nothing of it is lost.
fn taken(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    fill(&rig, "old");
    assert!(rig.towline(&["sync"]).status.success());
    fs::create_dir(rig.mirrored().join("new")).unwrap();
    fs::write(rig.mirrored().join("new/theirs"), "theirs").unwrap();
    fs::set_permissions(rig.mirrored().join("new"), fs::Permissions::from_mode(0o777)).unwrap();
    let before = asked(&rig);
    fs::rename(rig.source.join("old"), rig.source.join("new")).unwrap();
    assert!(rig.towline(&["sync"]).status.success());
    assert_eq!(since(&rig, before)[0], 0, "{}", rig.log());
    assert_eq!(fs::read_to_string(rig.mirrored().join("new/theirs")).unwrap(), "theirs");
    fs::remove_file(rig.mirrored().join("new/theirs")).unwrap();
    assert!(rig.is_equal());
}
