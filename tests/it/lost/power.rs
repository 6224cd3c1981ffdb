//! Power cuts: source, state and configuration on an ext4 file system that stops from one moment to the next and forgets what was not
//! yet on the disk. The server's disk lives on.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::may_mount;
use crate::{
    daemon::{edit, integrity},
    rig::{PATIENCE, Rig},
    servers::{Kind, Tls},
    support::{Impossible, scaled, seed, temp_dir, trial_where, wait_until},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial_where("lost::power_cuts_converge", possible, || async { power() })]
}

fn possible() -> Result<(), Impossible> {
    may_mount()?;
    let dir = temp_dir();
    let at = dir.path().join("at");
    fs::create_dir(&at).unwrap();
    Disk::new(dir.path().join("image"), &at)
        .map(drop)
        .map_err(|why| Impossible::NotAllowed(format!("no ext4 on a loop device: {why}")))
}

/// An ext4 file system in a file.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: what is only in memory is gone.
    const CUT: &str = "import fcntl, os, struct, sys\n\
                       fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))\n";

    fn new(image: PathBuf, at: &Path) -> Result<Self, String> {
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let disk = Self { image, at: at.to_owned() };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.at))
    }

    fn cut(&self) {
        run(Command::new("/usr/bin/python3").args(["-c", Self::CUT]).arg(&self.at)).unwrap();
    }

    /// Mounts what is on the disk: the journal is replayed. It is a copy, since another process may hold the old one in a mount
    /// namespace of its own, and then the image would still be the disk that was cut.
    fn restart(&mut self) {
        let gone = wait_until(PATIENCE, || run(Command::new("umount").arg(&self.at)).is_ok());
        assert!(gone, "somebody uses the disk");
        let copy = self.image.with_extension(format!("{:x}", fastrand::u64(..)));
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(&copy)).unwrap();
        fs::remove_file(std::mem::replace(&mut self.image, copy)).unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.at));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

fn power() {
    let mut rng = fastrand::Rng::with_seed(seed("TOWLINE_SEED"));
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let images = temp_dir();
    let mut disk = Disk::new(images.path().join("disk"), rig.dir.path()).unwrap();
    fs::create_dir(&rig.source).unwrap();
    rig.configure("delete_budget = { files = 100000, percent = 100 }");
    rig.write("anchor", "never removed: the root is never empty");
    run(Command::new("sync").arg("-f").arg(rig.dir.path())).unwrap();
    let (rounds, mut caught, mut in_doubt) = (scaled(4, 200), 0, 0);
    for round in 0..rounds {
        let daemon = rig.run();
        let end = Instant::now() + Duration::from_millis(rng.u64(0..1500));
        while Instant::now() < end {
            edit(&rig, &mut rng);
            overwrite(&rig, &mut rng);
            if rng.u8(0..4) == 0 {
                std::thread::sleep(Duration::from_millis(rng.u64(0..50)));
            }
        }
        // Nothing acts any more when the power is gone: an fsync that the cut met would be told that it went well.
        kill_process(Pid::from_child(&daemon.0), Signal::STOP).unwrap();
        disk.cut();
        drop(daemon);
        disk.restart();
        let jobs = integrity(&rig);
        started_anew(&rig, round);
        caught += u64::from(jobs > 0);
        in_doubt += jobs;
        let daemon = rig.run();
        rig.await_sync();
        assert_eq!(rig.orphans(), Vec::<String>::new(), "round {round}");
        drop(daemon);
    }
    println!("{rounds} power cuts, {caught} while jobs were promised, {in_doubt} jobs in all: converged each time, 0 orphans");
}

/// In place, without a change of size: after a cut it may have its new times and its old content.
fn overwrite(rig: &Rig, rng: &mut fastrand::Rng) {
    let path = rig.source.join(format!("fixed {}", rng.u8(0..4)));
    let mut file = fs::File::options().create(true).truncate(false).write(true).open(path).unwrap();
    file.write_all(&[rng.u8(..); 8192]).unwrap();
}

/// A power cut is the end of a start of the machine, but this one runs on: so the index is told that it was opened in another.
fn started_anew(rig: &Rig, round: u64) {
    let file = rig.state().join("mirrors/site.db");
    if file.exists() {
        let db = rusqlite::Connection::open(file).unwrap();
        let boot = format!("\"the start before, {round}\"");
        // There is no table yet if the first open was cut.
        let _ = db.execute("UPDATE note SET value = ?1 WHERE name = 'boot'", [boot]);
    }
}
