//! The daemon as its users run it: the real binary, a real server, kills, roots that vanish, servers that go away.

use std::{fs, time::Duration};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    rig::{Daemon, PATIENCE, Rig},
    servers::{self, Kind, Options, Server, Tls},
    support::{scaled, seed, wait_until},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in [Kind::Vsftpd, Kind::ProFtpd, Kind::PureFtpd] {
        trials.push(servers::trial(kind, format!("daemon::{}::mirrors_edits", kind.name()), move || edits(kind)));
    }
    for (name, test) in [
        ("stops_on_sigterm_within_5_s", stops as fn()),
        ("emptied_root_deletes_nothing_until_approved", emptied),
        ("replaced_root_deletes_nothing_until_approved", replaced),
        ("missing_root_deletes_nothing_and_goes_on_when_it_is_back", missing),
        ("over_budget_deletes_nothing_until_approved_and_uploads_go_on", over_budget),
        ("server_that_goes_away_is_noticed_and_used_again", server_away),
        ("frozen_server_is_noticed_and_used_again", frozen),
        ("wrong_password_is_tried_once", wrong_password),
        ("a_name_with_a_line_break_is_parked_and_nothing_of_it_is_sent", line_break),
        ("connection_limit_is_learnt", connection_limit),
        ("a_moved_directory_is_not_sent_again", moved),
        ("special_files_are_skipped_and_counted", special_files),
        ("second_daemon_is_refused", second_daemon),
        ("an_approval_does_not_end_the_budget", waves),
        ("a_move_of_what_is_gone_on_the_server_is_sent", moved_but_gone),
        ("a_source_that_leads_elsewhere_is_noticed_and_watched", flipped),
        ("a_watch_limit_is_said_and_scans_find_the_rest", watch_limit),
        ("the_watchdog_is_fed_while_mirrors_turn", watchdog),
        ("kill_9_at_random_moments_converges", kill_9),
    ] {
        trials.push(servers::trial(Kind::ProFtpd, format!("daemon::{name}"), move || async move { test() }));
    }
    for kind in Kind::ALL {
        for (mirrors, limit) in [(2, 2), (3, 1)] {
            let name = format!("daemon::{}::{mirrors}_mirrors_share_a_server_with_room_for_{limit}", kind.name());
            trials.push(servers::trial(kind, name, move || async move { limited(kind, mirrors, limit) }));
        }
    }
    trials.push(servers::trial(Kind::Vsftpd, "daemon::unmounted_root_deletes_nothing", || async { unmounted() }));
    trials
}

async fn edits(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    rig.write("a/b/c.txt", "one");
    rig.write("empty", "");
    fs::create_dir(rig.source.join("empty dir")).unwrap();
    let _daemon = rig.run();
    rig.await_sync();
    rig.write("a/b/c.txt", "two, and longer");
    rig.write("new/deep/er/file", "x".repeat(100_000));
    rig.await_sync();
    fs::rename(rig.source.join("new"), rig.source.join("newer")).unwrap();
    rig.await_sync();
    fs::remove_file(rig.source.join("empty")).unwrap();
    fs::create_dir(rig.source.join("empty")).unwrap();
    rig.write("empty/now", "a directory");
    rig.await_sync();
    fs::remove_dir_all(rig.source.join("a")).unwrap();
    rig.write("a", "a file where a directory was");
    rig.await_sync();
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn stops() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("x", "x");
    let mut daemon = rig.run();
    rig.await_sync();
    rig.write("large", vec![7; 64 << 20]);
    kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    assert!(wait_until(Duration::from_secs(5), || daemon.0.try_wait().unwrap().is_some()), "it runs on\n{}", rig.log());
    assert!(daemon.0.wait().unwrap().success());
    let _daemon = rig.run();
    rig.await_sync();
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn watchdog() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("x", "x");
    let manager = rig.dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&manager).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    // All the time, as a service manager does: the socket's queue is short.
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(length) = socket.recv(&mut bytes) {
            if tell.send(String::from_utf8_lossy(&bytes[..length]).trim().to_owned()).is_err() {
                break;
            }
        }
    });
    let heard = || told.recv_timeout(PATIENCE).expect("something is told");
    let log = fs::File::create(rig.dir.path().join("log")).unwrap();
    let mut command = rig.command(&["run"]);
    command.env("NOTIFY_SOCKET", &manager).env("WATCHDOG_USEC", "100000").stderr(log);
    let mut daemon = Daemon(command.spawn().unwrap());
    let mut all: Vec<String> = Vec::new();
    while all.iter().filter(|words| *words == "WATCHDOG=1").count() < 5 {
        all.push(heard());
    }
    assert!(all.contains(&"READY=1".to_owned()), "{all:?}");
    rig.await_sync();
    kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    assert!(daemon.0.wait().unwrap().success());
    while heard() != "STOPPING=1" {}
}

/// A rig in sync with ten files, and its daemon.
fn ten_files() -> (Rig, Daemon) {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    (0..10).for_each(|i| rig.write(&format!("d/{i}"), format!("file {i}")));
    let daemon = rig.run();
    rig.await_sync();
    (rig, daemon)
}

fn assert_nothing_was_deleted(rig: &Rig, files: usize) {
    assert_eq!((rig.commands("DELE"), rig.commands("RMD")), (0, 0), "{}", rig.server.log());
    let held = crate::rig::tree(&rig.mirrored()).values().flatten().count();
    assert!(held >= files, "{held} files on the server");
}

fn halted(rig: &Rig, reason: &str) {
    rig.await_status(reason, |status| status["phase"] == "halted" && status["halt"]["reason"] == reason);
}

fn approve(rig: &Rig) {
    let output = rig.towline(&["approve", "site"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn emptied() {
    let (rig, daemon) = ten_files();
    fs::remove_dir_all(rig.source.join("d")).unwrap();
    halted(&rig, "root-emptied");
    assert_nothing_was_deleted(&rig, 10);
    // A restart does not forget it.
    drop(daemon);
    let _daemon = rig.run();
    halted(&rig, "root-emptied");
    assert_nothing_was_deleted(&rig, 10);
    approve(&rig);
    rig.await_sync();
    assert_eq!(crate::rig::names(&rig.mirrored()), Vec::<String>::new());
    assert_eq!((rig.commands("DELE"), rig.commands("RMD")), (10, 1), "the log shows what it was searched for");
}

fn replaced() {
    let (rig, _daemon) = ten_files();
    let aside = rig.dir.path().join("aside");
    fs::rename(&rig.source, &aside).unwrap();
    fs::create_dir(&rig.source).unwrap();
    rig.write("other", "another directory");
    halted(&rig, "root-replaced");
    assert!(wait_until(PATIENCE, || rig.mirrored().join("other").exists()), "uploads go on");
    assert_nothing_was_deleted(&rig, 10);
    approve(&rig);
    rig.await_sync();
    assert!(!rig.mirrored().join("d").exists());
}

fn missing() {
    let (rig, _daemon) = ten_files();
    let aside = rig.dir.path().join("aside");
    fs::rename(&rig.source, &aside).unwrap();
    halted(&rig, "root-missing");
    assert!(!rig.towline(&["approve", "site"]).status.success(), "a missing root cannot be approved");
    assert_nothing_was_deleted(&rig, 10);
    fs::rename(&aside, &rig.source).unwrap();
    rig.await_sync();
    rig.write("after", "it is watched again");
    rig.await_sync();
    assert_nothing_was_deleted(&rig, 11);
}

/// What an unmounted disk looks like: the mount point, another directory, empty.
fn unmounted() {
    let rig = Rig::new(Kind::Vsftpd, Tls::Both);
    let mount = |args: &[&str]| {
        let output = std::process::Command::new(args[0]).args(&args[1..]).arg(&rig.source).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    mount(&["mount", "-t", "tmpfs", "towline-test"]);
    (0..10).for_each(|i| rig.write(&format!("d/{i}"), format!("file {i}")));
    let daemon = rig.run();
    rig.await_sync();
    // The daemon holds watches, not open files: the unmount succeeds at once or after the scan that runs.
    assert!(wait_until(PATIENCE, || {
        std::process::Command::new("umount").arg(&rig.source).output().is_ok_and(|output| output.status.success())
    }));
    let status = rig.await_status("a halt", |status| status["phase"] == "halted");
    assert_eq!(status["halt"]["reason"], "root-replaced", "{status:#}");
    assert_nothing_was_deleted(&rig, 10);
    drop(daemon);
    let _daemon = rig.run();
    rig.await_status("a halt after a restart", |status| status["phase"] == "halted");
    assert_nothing_was_deleted(&rig, 10);
}

fn over_budget() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete_budget = { files = 3, percent = 25 }");
    (0..10).for_each(|i| rig.write(&format!("d/{i}"), format!("file {i}")));
    rig.write("kept", "k");
    let _daemon = rig.run();
    rig.await_sync();
    fs::remove_dir_all(rig.source.join("d")).unwrap();
    halted(&rig, "over-budget");
    rig.write("new", "goes up while removals wait");
    assert!(wait_until(PATIENCE, || rig.mirrored().join("new").exists()));
    assert_nothing_was_deleted(&rig, 12);
    approve(&rig);
    rig.await_sync();
}

/// An approval once turned the budget off for good: what it left over counted against nothing.
fn waves() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete_budget = { files = 5, percent = 25 }");
    (0..40).for_each(|i| rig.write(&format!("{i}"), format!("file {i}")));
    let _daemon = rig.run();
    rig.await_sync();
    let remove = |files: std::ops::Range<u32>| files.for_each(|i| fs::remove_file(rig.source.join(format!("{i}"))).unwrap());
    remove(0..20);
    halted(&rig, "over-budget");
    approve(&rig);
    rig.await_sync();
    remove(20..24);
    rig.await_sync();
    remove(24..28);
    halted(&rig, "over-budget");
    // Of the last wave, as much as was seen while the budget lasted may be gone.
    assert!((24..28).contains(&rig.commands("DELE")), "{}", rig.server.log());
}

/// Somebody removed the file on the server; a rename of it was once refused for ever.
fn moved_but_gone() {
    let (rig, _daemon) = ten_files();
    fs::remove_file(rig.mirrored().join("d/3")).unwrap();
    fs::rename(rig.source.join("d/3"), rig.source.join("d/three")).unwrap();
    rig.await_sync();
}

/// The usual way of a web deployment: `source` is a symlink, and is pointed elsewhere. No event tells of that.
fn flipped() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let (one, two) = (rig.dir.path().join("one"), rig.dir.path().join("two"));
    fs::rename(&rig.source, &one).unwrap();
    fs::create_dir(&two).unwrap();
    std::os::unix::fs::symlink(&one, &rig.source).unwrap();
    rig.write("index", "one");
    let _daemon = rig.run();
    rig.await_sync();
    fs::write(two.join("index"), "two").unwrap();
    fs::remove_file(&rig.source).unwrap();
    std::os::unix::fs::symlink(&two, &rig.source).unwrap();
    halted(&rig, "root-replaced");
    approve(&rig);
    rig.await_sync();
    rig.write("later", "the new directory is watched");
    rig.await_sync();
}

/// ProFTPD says 530 to a correct password when it has enough sessions; only who knows of the other mirrors' can tell.
fn limited(kind: Kind, mirrors: usize, limit: u16) {
    let server = Server::start(kind, Options { max_clients: Some(limit), ..Options::default() });
    let rig = Rig::with(server);
    let others: Vec<_> = (1..mirrors).map(|i| format!("other{i}")).collect();
    let tables = others.iter().map(|name| {
        let path = rig.server.remote(name);
        format!("[[mirror]]\nname = {name:?}\nsource = {name:?}\nremote = \"lab\"\npath = {path:?}\nquiet = \"50ms\"\n")
    });
    rig.configure(&tables.collect::<String>());
    for i in 0..30 {
        rig.write(&format!("{i}"), vec![b'x'; 20_000]);
        for other in &others {
            let dir = rig.dir.path().join(other);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(format!("{i}")), vec![b'y'; 20_000]).unwrap();
        }
    }
    let _daemon = rig.run();
    rig.await_sync();
    for other in &others {
        let arrived = || crate::rig::tree(&rig.dir.path().join(other)) == crate::rig::tree(&rig.server.root.join(other));
        assert!(wait_until(PATIENCE, arrived), "{}\n{}", rig.log(), rig.server.log());
    }
}

fn server_away() {
    let mut rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("before", "1");
    let _daemon = rig.run();
    rig.await_sync();
    rig.server.stop();
    rig.write("meanwhile", "2");
    rig.await_status("the link is down", |status| status["link"]["state"] == "waiting" && status["tally"]["pending_files"] == 1);
    rig.server.start_again();
    rig.await_sync();
}

/// Stopped processes: connections stay open, nobody answers.
fn frozen() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("before", "1");
    let _daemon = rig.run();
    rig.await_sync();
    rig.server.freeze();
    rig.write("meanwhile", "2");
    let status = rig.await_status("the link is down", |status| status["link"]["state"] == "waiting");
    assert!(status["link"]["why"].as_str().is_some_and(|why| why.contains("time") || why.contains("within")), "{status:#}");
    rig.server.thaw();
    rig.await_sync();
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn line_break() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("victim.txt", "stays");
    rig.write("a\nDELE victim.txt", "x");
    rig.write("fine", "y");
    let output = rig.towline(&["sync"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("a\\nDELE victim.txt") && said.contains("line break"), "{said}");
    assert_eq!(crate::rig::names(&rig.mirrored()), ["fine", "victim.txt"]);
    assert_eq!((rig.commands("DELE"), rig.commands("STOR")), (0, 2), "{}", rig.server.log());
}

fn wrong_password() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    fs::write(rig.dir.path().join("pass"), "not-it\n").unwrap();
    rig.write("x", "x");
    let output = rig.towline(&["sync"]);
    assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("530") && !said.contains("not-it"), "{said}");
    assert_eq!(rig.commands("PASS"), 1, "{}", rig.server.log());
}

fn connection_limit() {
    let server = Server::start(Kind::ProFtpd, Options { max_clients: Some(2), ..Options::default() });
    let rig = Rig::with(server);
    (0..60).for_each(|i| rig.write(&format!("{i}"), vec![b'x'; 20_000]));
    let output = rig.towline(&["sync"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(rig.is_equal());
}

fn moved() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    (0..20).for_each(|i| rig.write(&format!("photos/{i}"), vec![i; 10_000]));
    let daemon = rig.run();
    rig.await_sync();
    let stored = rig.commands("STOR");
    assert_eq!(stored, 20);
    fs::rename(rig.source.join("photos"), rig.source.join("pictures")).unwrap();
    rig.await_sync();
    assert_eq!(rig.commands("STOR"), stored, "nothing was sent again");
    // A copy that takes the place of the original: another inode, the same content. Seen in one look, since no daemon runs.
    drop(daemon);
    fs::copy(rig.source.join("pictures/7"), rig.source.join("seven")).unwrap();
    fs::remove_file(rig.source.join("pictures/7")).unwrap();
    let _daemon = rig.run();
    rig.await_sync();
    assert_eq!(rig.commands("STOR"), stored, "known content was sent again");
}

fn special_files() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    std::os::unix::fs::symlink("/etc/passwd", rig.source.join("link")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(rig.source.join("fifo")).status().unwrap();
    assert!(fifo.success());
    let socket = std::os::unix::net::UnixListener::bind(rig.source.join("socket")).unwrap();
    let output = rig.towline(&["sync"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(crate::rig::names(&rig.mirrored()), ["file"]);
    let _daemon = rig.run();
    rig.await_status("skips are counted", |status| {
        let skipped = &status["skipped"];
        skipped["symlinks"] == 1 && skipped["fifos"] == 1 && skipped["sockets"] == 1
    });
    drop(socket);
}

fn watch_limit() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("full_scan = \"10s\"");
    (0..20).for_each(|i| rig.write(&format!("{i}/file"), "1"));
    let _daemon = rig.run_with_watches(5);
    let status = rig.await_status("the limit is said", |status| {
        status["watch"]["why"].as_str().is_some_and(|why| why.contains("max_user_watches"))
    });
    assert_eq!(status["watch"]["complete"], false);
    let scanned = |status: &serde_json::Value| {
        assert_ne!(status["phase"], "in-sync", "nobody tells of every change");
        status["phase"] == "as-scanned" && rig.is_equal()
    };
    rig.await_status("in sync at the last scan", scanned);
    (0..20).for_each(|i| rig.write(&format!("{i}/file"), "changed"));
    rig.await_status("in sync at the next scan", scanned);
}

fn second_daemon() {
    let (rig, _daemon) = ten_files();
    let output = rig.towline(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another towline"), "{}", String::from_utf8_lossy(&output.stderr));
}

/// SIGKILL at random moments while files change; after each, the next start takes up what was left.
fn kill_9() {
    let mut rng = fastrand::Rng::with_seed(seed("TOWLINE_SEED"));
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete_budget = { files = 100000, percent = 100 }");
    rig.write("anchor", "never removed: the root is never empty");
    let (rounds, mut caught, mut in_doubt) = (scaled(12, 1000), 0, 0);
    for round in 0..rounds {
        let daemon = rig.run();
        let moment = Duration::from_millis(rng.u64(0..700));
        let end = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() + moment;
        while std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() < end {
            edit(&rig, &mut rng);
            std::thread::yield_now();
        }
        drop(daemon);
        let jobs = integrity(&rig);
        caught += u64::from(jobs > 0);
        in_doubt += jobs;
        if round % 4 == 3 {
            let _daemon = rig.run();
            rig.await_sync();
            assert_eq!(rig.orphans(), Vec::<String>::new(), "round {round}");
        }
    }
    println!("{caught} of {rounds} kills came while jobs were promised, {in_doubt} jobs in all");
    assert!(caught > 0, "no kill came at a moment that matters");
    let _daemon = rig.run();
    rig.await_sync();
    assert_eq!(rig.orphans(), Vec::<String>::new());
    integrity(&rig);
}

/// Checks the state as it lies on the disk, and counts its promised jobs.
pub(crate) fn integrity(rig: &Rig) -> u64 {
    let file = rig.state().join("mirrors/site.db");
    if !file.exists() {
        return 0;
    }
    let db = rusqlite::Connection::open(file).unwrap();
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    db.query_row("SELECT count(*) FROM job", [], |row| row.get::<_, i64>(0)).map_or(0, i64::unsigned_abs)
}

/// One random change in the source.
pub(crate) fn edit(rig: &Rig, rng: &mut fastrand::Rng) {
    let name = |rng: &mut fastrand::Rng| {
        let dirs = ["", "a/", "a/b/", "c/"];
        format!("{}{}", dirs[rng.usize(0..dirs.len())], rng.u8(0..12))
    };
    let (one, two) = (rig.source.join(name(rng)), rig.source.join(name(rng)));
    let _ = one.parent().map(fs::create_dir_all);
    let _ = match rng.u8(0..10) {
        0..5 => fs::write(&one, vec![rng.u8(..); rng.usize(0..60_000)]),
        5 => fs::rename(&one, &two),
        6 => fs::remove_file(&one),
        7 => fs::remove_dir_all(&one),
        8 => fs::create_dir(&one),
        _ => fs::rename(rig.source.join("a"), rig.source.join("z"))
            .and_then(|()| fs::rename(rig.source.join("z"), rig.source.join("c"))),
    };
}
