//! Everything that can befall a source, its configuration and the daemon's memory, at each moment at which it can: no case of it may
//! delete anything on the server, by the server's own log. What is asked for (a person's own removals within the budget, an approval)
//! is tried elsewhere.

mod ruin;
mod truncated;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    rig::{Daemon, PATIENCE, Rig, tree},
    servers::{self, Kind, NOBODY, Options, Server},
    support::{scaled, trial_where, wait_until},
};
use ruin::{RUINS, Ruin, Who};

/// When it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// While no daemon runs; the next one is started.
    Start,
    /// The same after a kill -9.
    Crash,
    /// While no daemon runs; then `towline sync`, twice.
    Once,
    /// While the daemon runs.
    Run,
    /// While the daemon runs; then it is killed and started again.
    Restart,
    /// While the daemon runs, which is told to read its configuration anew.
    Reload,
}

impl Moment {
    pub(crate) const ALL: [Self; 6] = [Self::Start, Self::Crash, Self::Once, Self::Run, Self::Restart, Self::Reload];
    pub(crate) const CONFIGURED: [Self; 4] = [Self::Start, Self::Crash, Self::Once, Self::Reload];
    pub(crate) const DOWN: [Self; 3] = [Self::Start, Self::Crash, Self::Once];
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (number, ruin) in RUINS.iter().enumerate() {
        // All moments when asked for; else one each, so that all are among them.
        let one = scaled(1, 0) == 1;
        let moments = ruin.moments.iter().enumerate().filter(|(i, _)| !one || *i == number % ruin.moments.len());
        for (_, &moment) in moments {
            let possible = move || {
                servers::possible(Kind::ProFtpd)?;
                (ruin.possible)()
            };
            let name = format!("deletes::{}::{}", ruin.name, format!("{moment:?}").to_lowercase());
            trials.push(trial_where(name, possible, move || async move { Cell::new(ruin).at(moment) }));
        }
    }
    trials.extend(truncated::trials());
    trials
}

/// One mirror to which one thing happens; what was mounted or forbidden for it is undone at its end.
pub(crate) struct Cell {
    pub(crate) rig: Rig,
    ruin: &'static Ruin,
    /// What was on the server before.
    held: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

impl Cell {
    fn new(ruin: &'static Ruin) -> Self {
        let rig = Rig::with(Server::start(Kind::ProFtpd, Options::default()));
        // Nothing tells of what is mounted over a directory but the next look.
        rig.configure("full_scan = \"10s\"\ndelete_budget = { files = 3, percent = 25 }");
        (ruin.before)(&rig);
        (0..6).for_each(|i| rig.write(&format!("d/{i}"), format!("file {i}")));
        (0..4).for_each(|i| rig.write(&format!("e/deep/{i}"), format!("deep file {i}")));
        rig.write("top", "a file at the top");
        if ruin.who == Who::Nobody {
            // Ours may lie where nobody else may go.
            fs::copy(env!("CARGO_BIN_EXE_towline"), rig.dir.path().join("towline")).unwrap();
            rig.server.give(rig.dir.path());
        }
        Self { rig, ruin, held: BTreeMap::new() }
    }

    fn at(mut self, moment: Moment) {
        let mut daemon = self.run();
        self.rig.await_sync();
        self.held = tree(&self.rig.mirrored());
        assert_eq!(self.held.len(), 14);
        if !matches!(moment, Moment::Run | Moment::Restart | Moment::Reload) {
            if moment != Moment::Crash {
                stop(&mut daemon);
            }
            drop(daemon);
            (self.ruin.happens)(&self.rig);
            if moment == Moment::Once {
                (0..2).for_each(|_| drop(self.command(&["sync"]).output().unwrap()));
                return self.nothing_deleted(moment);
            }
            daemon = self.run();
        } else {
            (self.ruin.happens)(&self.rig);
            if moment == Moment::Reload {
                let output = self.command(&["reload"]).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
        }
        self.settled(&mut daemon);
        if moment == Moment::Restart {
            drop(daemon);
            daemon = self.run();
            self.settled(&mut daemon);
        }
        stop(&mut daemon);
        self.nothing_deleted(moment);
    }

    /// Waits until the daemon has seen what happened, and has done what it does about it.
    fn settled(&self, daemon: &mut Daemon) {
        let mut last = serde_json::Value::Null;
        let came = wait_until(PATIENCE, || {
            if daemon.0.try_wait().unwrap().is_some() {
                return (self.ruin.ends)();
            }
            last = self.rig.status().unwrap_or_default();
            (self.ruin.shows)(&last)
        });
        assert!(came, "{}: not seen: {last:#}\n{}", self.ruin.name, self.rig.log());
    }

    fn nothing_deleted(self, moment: Moment) {
        let said = format!("{} at {moment:?}", self.ruin.name);
        assert_eq!((self.rig.commands("DELE"), self.rig.commands("RMD")), (0, 0), "{said}\n{}", self.rig.server.log());
        assert!(self.rig.commands("STOR") >= 11, "the log shows what it was searched for");
        let now = tree(&self.rig.mirrored());
        for (path, body) in &self.held {
            let there = now.get(path);
            assert!(there.is_some_and(|there| there.is_some() == body.is_some()), "{said}: {} is gone", path.display());
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let towline = self.rig.command(args);
        let mut command = (self.ruin.through)(&self.rig).unwrap_or_else(|| Command::new(towline.get_program()));
        if command.get_program() != towline.get_program() {
            command.arg(towline.get_program());
        }
        command
            .args(towline.get_args())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.rig.dir.path());
        if self.ruin.who == Who::Nobody && rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.stdin(Stdio::null());
        command
    }

    fn run(&self) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(self.rig.dir.path().join("log")).unwrap();
        Daemon(self.command(&["--log", "debug", "run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        (self.ruin.after)(&self.rig);
    }
}

fn stop(daemon: &mut Daemon) {
    // Once it is waited for, its number may be anybody's.
    if daemon.0.try_wait().unwrap().is_none() {
        kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    }
    assert!(wait_until(PATIENCE, || daemon.0.try_wait().unwrap().is_some()), "it does not end");
}
