//! Nothing lost: a kill before every system call of one sync that writes, power cuts, and disks that are full, here and on the server.
//! The kills at random moments are in `daemon`.

pub(crate) mod full;
mod power;

use std::{fs, process::Stdio};

use libtest_mimic::Trial;

use crate::{
    daemon::integrity,
    rig::Rig,
    servers::{self, Kind, Tls},
    support::{Impossible, scaled, seed, trial_where},
    tools,
};

pub(crate) fn trials() -> Vec<Trial> {
    let possible = || {
        servers::possible(Kind::ProFtpd)?;
        tools::cutter().map(drop)
    };
    let mut trials = vec![
        trial_where("lost::kill_9_before_every_writing_system_call_of_a_first_sync", possible, || async { every(Sync::First) }),
        trial_where("lost::kill_9_before_every_writing_system_call_of_a_later_sync", possible, || async { every(Sync::Later) }),
    ];
    trials.extend(power::trials());
    trials.extend(full::trials());
    trials
}

/// Whether mounting is allowed here.
fn may_mount() -> Result<(), Impossible> {
    servers::possible(Kind::ProFtpd)?;
    if servers::is_root() { Ok(()) } else { Err(Impossible::NotAllowed("mounting needs root".to_owned())) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// No state, nothing on the server.
    First,
    /// After one that was complete.
    Later,
}

/// Each call in turn; a few of them, evenly spread, unless all are asked for.
fn every(sync: Sync) {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete_budget = { files = 100000, percent = 100 }");
    rig.write("anchor", "never removed: the root is never empty");
    prepare(&rig, sync, 0);
    let (calls, _) = cut(&rig, 0);
    assert!(calls > 50, "{calls} calls");
    converged(&rig, "uncut");
    let step = usize::try_from(scaled(calls / 8, 1)).unwrap();
    let first = usize::try_from(1 + seed("TOWLINE_SEED") % u64::try_from(step).unwrap()).unwrap();
    let (mut kills, mut in_doubt) = (0, 0);
    // Not every sync takes as many: the last ones are those that were not killed any more.
    for number in (first..).step_by(step) {
        prepare(&rig, sync, number);
        let (calls, killed) = cut(&rig, number);
        if !killed {
            break;
        }
        kills += 1;
        in_doubt += integrity(&rig);
        converged(&rig, &format!("killed before call {number} (system call {calls})"));
    }
    println!("{kills} kills, {in_doubt} jobs in doubt after them: converged each time, 0 orphans");
    assert!(kills > 3);
}

/// Makes something of everything to do for the next sync.
fn prepare(rig: &Rig, sync: Sync, round: usize) {
    if sync == Sync::First {
        let _ = fs::remove_dir_all(rig.state());
        let _ = fs::remove_dir_all(rig.mirrored());
    } else {
        (0..2).for_each(|i| rig.write(&format!("gone/{i}"), format!("to be removed, {i}, {round}")));
        (0..2).for_each(|i| rig.write(&format!("from/{i}"), format!("to be renamed, {i}, {round}")));
        assert!(rig.towline(&["sync"]).status.success());
        fs::remove_dir_all(rig.source.join("gone")).unwrap();
        let _ = fs::remove_dir_all(rig.source.join("to"));
        fs::rename(rig.source.join("from"), rig.source.join("to")).unwrap();
    }
    rig.write("a", format!("version {round}"));
    rig.write(&format!("new/{}/b", round % 3), vec![b'b'; 100_000 + round]);
    rig.write("c", vec![b'c'; round]);
}

/// One sync that is killed before call `number`; 0 is none. Says how many calls there were (or which was the last), and whether it was killed.
fn cut(rig: &Rig, number: usize) -> (u64, bool) {
    let report = rig.dir.path().join("report");
    let towline = rig.command(&["sync"]);
    let mut command = std::process::Command::new(tools::cutter().expect("asked by `possible`"));
    command.arg(number.to_string()).arg(&report).arg(towline.get_program()).args(towline.get_args());
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", rig.dir.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let killed = output.status.code() == Some(137);
    assert!(killed || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = fs::read_to_string(report).unwrap();
    let (calls, last) = report.trim().split_once(' ').unwrap();
    (if killed { last } else { calls }.parse().unwrap(), killed)
}

fn converged(rig: &Rig, said: &str) {
    let output = rig.towline(&["sync"]);
    assert!(output.status.success(), "{said}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(rig.is_equal(), "{said}: {:?} here, {:?} there", crate::rig::names(&rig.source), crate::rig::names(&rig.mirrored()));
    assert_eq!(rig.orphans(), Vec::<String>::new(), "{said}");
    assert_eq!(integrity(rig), 0, "{said}: jobs are left");
}
