//! Disks that are full: the server's, and the one with the daemon's memory. Nothing is lost, and it goes on by itself.

use std::{fs, io::Write as _, path::Path, process::Command};

use libtest_mimic::Trial;

use super::may_mount;
use crate::{
    daemon::integrity,
    rig::{PATIENCE, Rig},
    servers::{Kind, Tls},
    support::{trial_where, wait_until},
};

pub(crate) fn trials() -> Vec<Trial> {
    // vsftpd's local users are in a mount namespace that does not see the small disk; its anonymous ones are not.
    let mut trials: Vec<_> = [Kind::VsftpdAnonymous, Kind::ProFtpd, Kind::PureFtpd, Kind::Pyftpdlib]
        .into_iter()
        .map(|kind| {
            let possible = move || {
                may_mount()?;
                crate::servers::possible(kind)
            };
            let name = format!("lost::{}::a_full_server_is_said_and_used_again", kind.name());
            trial_where(name, possible, move || async move { server(kind) })
        })
        .collect();
    trials.push(trial_where("lost::a_full_disk_with_the_state_loses_nothing", may_mount, || async { state() }));
    trials
}

/// A small file system; gone when dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path, size: &str) -> Self {
        let options = format!("size={size},mode=0755");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "towline-test"]).arg(at).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(at)
    }

    fn fill(&self) {
        fill(self.0);
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

/// Takes all the room that is left where `dir` is, for a file in it.
pub(crate) fn fill(dir: &Path) {
    let mut file = fs::File::options().create(true).append(true).open(dir.join("filler")).unwrap();
    for size in [64 << 10, 4096, 1] {
        while file.write_all(&vec![b'f'; size]).is_ok() {}
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

fn server(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    let disk = Small::mount(&rig.server.root, "4m");
    rig.server.give(&rig.server.root);
    rig.write("before", "1");
    rig.write("changes", "the old version");
    let daemon = rig.run();
    rig.await_sync();
    disk.fill();
    rig.write("changes", vec![b'x'; 300_000]);
    rig.write("new", vec![b'y'; 1_000_000]);
    let status = rig.await_status("it waits", |status| {
        status["phase"] == "waiting" && status["tally"]["pending_files"] == 2 && status["counters"]["failures"].as_u64() > Some(0)
    });
    println!("{}: {} {}", kind.name(), status["link"], status["problems"]);
    assert_eq!(fs::read(rig.mirrored().join("changes")).unwrap(), b"the old version");
    assert_ne!(rig.phase(), "in-sync");
    disk.free();
    rig.await_sync();
    assert_eq!(rig.orphans(), Vec::<String>::new());
    drop(daemon);
    drop(disk);
}

fn state() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let state = rig.state();
    fs::create_dir(&state).unwrap();
    // More than the write-ahead log may grow to.
    let disk = Small::mount(&state, "64m");
    rig.write("before", "1");
    let mut daemon = rig.run();
    rig.await_sync();
    disk.fill();
    (0..300).for_each(|i| rig.write(&format!("new {i}"), format!("file {i}")));
    // Whatever it says, it is not `in sync`; it may end, with a word.
    let said = wait_until(PATIENCE, || {
        let status = rig.status().unwrap_or_default();
        assert!(status["phase"] != "in-sync" || rig.is_equal(), "{status:#}");
        let ended = daemon.0.try_wait().unwrap().is_some();
        ended || rig.log().contains("full")
    });
    assert!(said, "nobody said that the disk is full\n{}", rig.log());
    disk.free();
    if daemon.0.try_wait().unwrap().is_some() {
        println!("the daemon ended; its service manager starts it again");
        daemon = rig.run();
    }
    rig.await_sync();
    integrity(&rig);
    assert_eq!(rig.orphans(), Vec::<String>::new());
    drop(daemon);
    drop(disk);
}
