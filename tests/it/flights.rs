//! Round trips of many small jobs, through the real binary on real servers: how often the program speaks after a server has.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use libtest_mimic::Trial;

use crate::{
    rig::{Rig, names},
    servers::{self, Kind, Tls},
};

/// Files, in directories of ten.
const FILES: usize = 120;
/// More turns than a login and the looks at the marker take.
pub(crate) const LOGIN: usize = 24;

pub(crate) fn trials() -> Vec<Trial> {
    let kinds = [(Kind::ProFtpd, "proftpd"), (Kind::PureFtpd, "pureftpd"), (Kind::Vsftpd, "vsftpd")];
    let trial = |(kind, name): (Kind, &str)| {
        servers::trial(kind, format!("flights::{name}::many_small_jobs_share_round_trips"), move || async move { small(kind) })
    };
    kinds.into_iter().map(trial).collect()
}

/// One pass on one connection: how often it spoke after the server had.
pub(crate) fn turns(rig: &Rig) -> usize {
    let output = rig.towline(&["--log", "trace", "sync"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let said = |line: &str| {
        let (_, said) = line.split_once("TRACE ")?;
        let said = said.rsplit_once("}: ").map_or(said, |(_, said)| said).trim_start();
        said.starts_with("> ").then_some(true).or_else(|| said.starts_with("< ").then_some(false))
    };
    let spoken: Vec<bool> = told.lines().filter_map(said).collect();
    assert!(spoken.len() > 20, "{told}");
    spoken.windows(2).filter(|two| *two == [false, true]).count()
}

fn small(kind: Kind) {
    let rig = Rig::new(kind, Tls::default());
    rig.configure("delete = \"trash\"\ndelete_budget = { files = 1000, percent = 100 }");
    rig.take_one_connection();
    let file = |n: usize| format!("d{:02}/f{n:03}", n / 10);
    (0..FILES).for_each(|n| rig.write(&file(n), format!("text {n}")));
    turns(&rig);
    assert_eq!(names(&rig.mirrored()).iter().filter(|name| name.contains("/f")).count(), FILES);

    // Another time and nothing else: each is compared, and its time is set.
    let earlier = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for n in 0..FILES {
        fs::File::options().write(true).open(rig.source.join(file(n))).unwrap().set_modified(earlier).unwrap();
    }
    let touched = turns(&rig);
    let is_set = |n: usize| {
        let at = fs::metadata(rig.mirrored().join(file(n))).unwrap().modified().unwrap();
        at.duration_since(earlier).unwrap_or_default() < Duration::from_secs(2) && at <= earlier
    };
    assert!((0..FILES).all(is_set), "the times");

    (0..FILES).for_each(|n| fs::rename(rig.source.join(file(n)), rig.source.join(format!("{}-new", file(n)))).unwrap());
    let renamed = turns(&rig);
    (0..60).for_each(|n| fs::create_dir(rig.source.join(format!("new{n:02}"))).unwrap());
    let made = turns(&rig);
    (0..FILES / 10).for_each(|n| fs::remove_dir_all(rig.source.join(format!("d{n:02}"))).unwrap());
    let removed = turns(&rig);
    assert!(rig.is_equal());

    let counted = format!("touched {touched}, renamed {renamed}, made {made}, removed {removed}");
    eprintln!("{kind:?}: {counted}");
    let bound = |turns: usize, jobs: usize| assert!(turns < LOGIN + jobs / 5, "{counted}");
    bound(touched, FILES);
    bound(renamed, FILES);
    bound(made, 60);
    bound(removed, FILES + FILES / 10);
}
