//! Three writers at once on a real directory, the kernel's own events, a server in memory with faults, and kills in between: within
//! 30 s of quiet both trees are equal, and no `in sync` is said that is not so. What one history alone shows is in `convergence`.
//!
//! `TOWLINE_SEED=n` lives exactly seed n of each variant. Threads decide the order, so a repetition is like the first run, not the same.

mod ears;
mod hands;
mod life;

use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use crate::support::{Impossible, scaled, seed, trial_where};
use life::Tale;

/// What the writers do in all, as a rule and in full.
const OPERATIONS: (u64, u64) = (400, 2000);
/// Seeds of each variant: 51 in full.
const SEEDS: (u64, u64) = (1, 17);
/// So many directories are watched where the kernel's limit is low.
const WATCHES: u32 = 4;
/// Set in the process that has the low limit.
const LIMITED: &str = "TOWLINE_WRITERS_LIMITED";

/// What keeps the engine from hearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    Nothing,
    /// The queue of events overflows now and then.
    Overflow,
    /// Most directories are not watched.
    Limit,
}

pub(crate) fn trials() -> Vec<Trial> {
    let every = |name, loss| trial_where(name, || Ok(()), move || async move { blocking(name, loss).await });
    vec![
        every("writers::converge", Loss::Nothing),
        every("writers::converge_with_overflows", Loss::Overflow),
        trial_where("writers::converge_at_the_watch_limit", namespaces, || async {
            limited("writers::converge_at_the_watch_limit").await;
        }),
    ]
}

/// The engine has runtimes of its own, one a life.
async fn blocking(name: &'static str, loss: Loss) {
    tokio::task::spawn_blocking(move || seeds(name, loss)).await.unwrap();
}

fn seeds(name: &str, loss: Loss) {
    let count = if std::env::var_os("TOWLINE_SEED").is_some() { 1 } else { scaled(SEEDS.0, SEEDS.1) };
    let first = seed("TOWLINE_SEED");
    let mut sum = Tale::default();
    for number in first..first + count {
        sum.add(&life::live(number, loss, scaled(OPERATIONS.0, OPERATIONS.1)));
    }
    println!("{name}: {count} seeds from {first}, {sum}");
}

/// Runs this trial once more, in a user namespace that may watch few directories.
async fn limited(name: &'static str) {
    if std::env::var_os(LIMITED).is_some() {
        return blocking(name, Loss::Limit).await;
    }
    let mut command = namespace(WATCHES);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]).env(LIMITED, "1");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let sum = said.lines().find(|line| line.starts_with(name));
    println!("{}", sum.expect("it ran"));
}

/// Starts a program where no more than `watches` directories can be watched.
fn namespace(watches: u32) -> Command {
    let mut command = Command::new("unshare");
    let script = "echo \"$0\" > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(watches.to_string()).stdin(Stdio::null());
    command
}

fn namespaces() -> Result<(), Impossible> {
    let made = namespace(WATCHES).arg("true").output();
    if made.is_ok_and(|output| output.status.success()) {
        Ok(())
    } else {
        Err(Impossible::NotAllowed("a limit of watches of its own needs a user namespace (unshare --user)".to_owned()))
    }
}
