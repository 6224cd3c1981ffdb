//! One directory mirrored to two servers by one daemon: it is watched once, read once, and neither mirror is disturbed by what becomes
//! of the other.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    rig::{Daemon, PATIENCE, Rig, tree},
    servers::{self, Kind, Server, Tls},
    support::{trial_where, wait_until},
};

/// Directories, and files in each.
const DIRS: usize = 20;
const FILES: usize = 3;

pub(crate) fn trials() -> Vec<Trial> {
    let possible = || {
        servers::possible(Kind::ProFtpd)?;
        servers::possible(Kind::Vsftpd)
    };
    [
        ("is_watched_once_and_read_once", once as fn()),
        ("one_is_paused", paused),
        ("one_goes_and_comes_back", reloaded),
        ("what_was_read_before_a_kill_9_is_known_after_it", killed),
        ("a_remote_that_is_added_later_reads_nothing_that_is_known", added),
        ("the_root_goes_and_comes_back", rootless),
        ("has_enough_watches_for_one", limited),
        ("is_scanned_again_by_all", rescanned),
    ]
    .into_iter()
    .map(|(name, test)| {
        trial_where(format!("fleet::one_directory_to_two_servers::{name}"), possible, move || async move { test() })
    })
    .collect()
}

/// The mirror `site` to one server, and `far` to another one.
struct Fleet {
    rig: Rig,
    far: Server,
}

impl Fleet {
    fn new() -> Self {
        let fleet = Self { rig: Rig::new(Kind::ProFtpd, Tls::Both), far: Server::start(Kind::Vsftpd, Tls::Both) };
        let password = fleet.rig.dir.path().join("far");
        fs::write(&password, format!("{}\n", fleet.far.password)).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        fleet.alter(|text| text + &fleet.table());
        for dir in 0..DIRS {
            for file in 0..FILES {
                fleet.rig.write(&format!("{dir}/{file}"), format!("{file} in {dir}"));
            }
        }
        fleet
    }

    /// What the configuration says of the second mirror.
    fn table(&self) -> String {
        let Server { host, port, user, ca, .. } = &self.far;
        format!(
            "[remote.far]\nhost = {host:?}\nport = {port}\nuser = {user:?}\npassword = {{ file = \"far\" }}\nconnections = 4\n\
             [remote.far.tls]\nca = {ca:?}\n\
             [[mirror]]\nname = \"far\"\nsource = \"source/.\"\nremote = \"far\"\npath = {:?}\nquiet = \"50ms\"\ndelete = \"remove\"\n",
            self.far.remote("mirror"),
        )
    }

    fn alter(&self, with: impl FnOnce(String) -> String) {
        let file = self.rig.dir.path().join("towline.toml");
        fs::write(&file, with(fs::read_to_string(&file).unwrap())).unwrap();
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.rig.towline(args);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{args:?}: {said}");
        said
    }

    fn status(&self, mirror: &str) -> Value {
        let output = self.rig.towline(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["mirrors"].as_array().into_iter().flatten().find(|one| one["name"] == mirror).cloned().unwrap_or_default()
    }

    fn count(&self, mirror: &str, counter: &str) -> u64 {
        self.status(mirror)["counters"][counter].as_u64().unwrap_or_default()
    }

    fn there(&self, mirror: &str) -> PathBuf {
        if mirror == "far" { self.far.root.join("mirror") } else { self.rig.mirrored() }
    }

    #[track_caller]
    fn wait(&self, what: &str, holds: impl FnMut() -> bool) {
        let came = wait_until(PATIENCE, holds);
        assert!(came, "{what} did not come:\n{:#}\n{:#}\n{}", self.status("site"), self.status("far"), self.rig.log());
    }

    /// Waits until these are in sync.
    #[track_caller]
    fn sync(&self, mirrors: &[&str]) {
        self.wait("sync", || {
            let here = tree(&self.rig.source);
            mirrors.iter().all(|mirror| self.status(mirror)["phase"] == "in-sync" && tree(&self.there(mirror)) == here)
        });
    }

    /// All files get another time.
    fn touch(&self) {
        for file in tree(&self.rig.source).into_iter().filter_map(|(path, body)| body.map(|_| self.rig.source.join(path))) {
            let time = fs::metadata(&file).unwrap().modified().unwrap() + std::time::Duration::from_secs(3);
            fs::File::options().append(true).open(&file).unwrap().set_modified(time).unwrap();
        }
    }
}

/// How many directories the process watches, in how many sets.
fn watches(daemon: &Daemon) -> (usize, usize) {
    let dir = PathBuf::from(format!("/proc/{}", daemon.0.id()));
    let sets = fs::read_dir(dir.join("fd"))
        .unwrap()
        .flatten()
        .filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == Path::new("anon_inode:inotify")));
    let counts: Vec<usize> = sets
        .map(|fd| fs::read_to_string(dir.join("fdinfo").join(fd.file_name())).unwrap_or_default())
        .map(|info| info.lines().filter(|line| line.starts_with("inotify wd:")).count())
        .collect();
    (counts.iter().sum(), counts.len())
}

const ALL: u64 = (DIRS * FILES) as u64;
const BOTH: [&str; 2] = ["site", "far"];

fn once() {
    let fleet = Fleet::new();
    let daemon = fleet.rig.run();
    fleet.sync(&BOTH);
    assert_eq!(watches(&daemon), (DIRS + 1, 1));
    // What each hears of is all that happens.
    fs::create_dir(fleet.rig.source.join("new")).unwrap();
    fleet.rig.write("new/deep/f", "in a new directory");
    fs::rename(fleet.rig.source.join("3"), fleet.rig.source.join("moved")).unwrap();
    fs::remove_file(fleet.rig.source.join("4/0")).unwrap();
    fleet.rig.write("5/1", "edited");
    fleet.sync(&BOTH);
    assert_eq!(watches(&daemon), (DIRS + 3, 1));
    let read = || BOTH.map(|mirror| (fleet.count(mirror, "read"), fleet.count(mirror, "shared")));
    let before = read();
    fleet.touch();
    fleet.wait("that nothing was sent", || BOTH.iter().all(|mirror| fleet.count(mirror, "unchanged") == ALL));
    fleet.sync(&BOTH);
    let now = read();
    let total = |at: fn((u64, u64)) -> u64| now.into_iter().map(at).sum::<u64>() - before.into_iter().map(at).sum::<u64>();
    assert_eq!((total(|(read, _)| read), total(|(_, shared)| shared)), (ALL, ALL), "{before:?} {now:?}");
    let metrics = fleet.says(&["metrics"]);
    for (mirror, (read, shared)) in BOTH.into_iter().zip(now) {
        assert!(metrics.contains(&format!("towline_files_read_total{{mirror=\"{mirror}\"}} {read}\n")), "{metrics}");
        assert!(metrics.contains(&format!("towline_files_shared_total{{mirror=\"{mirror}\"}} {shared}\n")), "{metrics}");
    }
}

fn paused() {
    let fleet = Fleet::new();
    let _daemon = fleet.rig.run();
    fleet.sync(&BOTH);
    fleet.says(&["pause", "far"]);
    let before = tree(&fleet.there("far"));
    fleet.touch();
    fleet.rig.write("1/1", "edited while one was paused");
    fleet.rig.write("new", "new");
    fleet.sync(&["site"]);
    assert!(tree(&fleet.there("far")) == before, "it is paused");
    assert_eq!(fleet.status("far")["phase"], "paused");
    let (read, shared) = (fleet.count("far", "read"), fleet.count("far", "shared"));
    fleet.says(&["resume", "far"]);
    fleet.sync(&BOTH);
    assert_eq!(fleet.count("far", "read"), read, "all of that the other one has read, or sent");
    assert!(fleet.count("far", "shared") >= shared + ALL - 1, "{:#}", fleet.status("far"));
    assert_eq!(fleet.count("far", "unchanged"), ALL - 1);
}

fn reloaded() {
    let fleet = Fleet::new();
    let daemon = fleet.rig.run();
    fleet.sync(&BOTH);
    let with_both = fs::read_to_string(fleet.rig.dir.path().join("towline.toml")).unwrap();
    for round in 0..2 {
        fleet.alter(|text| text.replace(&fleet.table(), ""));
        assert!(fleet.says(&["reload"]).contains("site: as it was"));
        fleet.rig.write("only here", format!("round {round}"));
        fleet.sync(&["site"]);
        assert_eq!(watches(&daemon), (DIRS + 1, 1));
        assert!(!tree(&fleet.there("far")).contains_key(Path::new("only here")));
        fleet.alter(|_| with_both.clone());
        assert!(fleet.says(&["reload"]).contains("site: as it was"));
        fleet.sync(&BOTH);
        assert_eq!(watches(&daemon), (DIRS + 1, 1));
        fleet.rig.write("everywhere", format!("round {round}"));
        fleet.sync(&BOTH);
        fs::remove_file(fleet.rig.source.join("only here")).unwrap();
        fleet.sync(&BOTH);
    }
    // The one that was there first goes: what it has made stays for the other.
    fleet.alter(|text| text.replacen("quiet = \"50ms\"", "quiet = \"60ms\"", 1));
    assert!(fleet.says(&["reload"]).contains("far: as it was"));
    fleet.rig.write("last", "both hear of it");
    fleet.sync(&BOTH);
    assert_eq!(watches(&daemon), (DIRS + 1, 1));
}

fn killed() {
    let fleet = Fleet::new();
    let mut daemon = fleet.rig.run();
    fleet.sync(&BOTH);
    fleet.says(&["pause", "far"]);
    fleet.touch();
    fleet.wait("that one has read all", || fleet.count("site", "unchanged") == ALL);
    fleet.sync(&["site"]);
    daemon.0.kill().unwrap();
    daemon.0.wait().unwrap();
    let daemon = fleet.rig.run();
    fleet.wait("the daemon", || fleet.status("far")["phase"] == "paused");
    fleet.says(&["resume", "far"]);
    fleet.sync(&BOTH);
    let counts = |mirror| (fleet.count(mirror, "read"), fleet.count(mirror, "shared"), fleet.count(mirror, "unchanged"));
    assert_eq!((counts("site"), counts("far")), ((0, 0, 0), (0, ALL, ALL)));
    // And at any moment, while both are at it.
    drop(daemon);
    for round in 0..4_usize {
        let daemon = fleet.rig.run();
        for n in 0..60 {
            fleet.rig.write(&format!("round {round}/{n}"), vec![b'x'; 2_000 * (n + round)]);
        }
        fleet.touch();
        let arrived = |mirror: &str| tree(&fleet.there(mirror).join(format!("round {round}"))).len();
        fleet.wait("some of it", || BOTH.iter().map(|mirror| arrived(mirror)).sum::<usize>() > 10 * round);
        drop(daemon);
    }
    let _daemon = fleet.rig.run();
    fleet.sync(&BOTH);
    for mirror in BOTH {
        let left: Vec<_> =
            tree(&fleet.there(mirror)).into_keys().filter(|name| name.to_string_lossy().contains(".towline-")).collect();
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}

/// What a remote that is added later lacks is sent: of equal files it has to be known that they are equal.
fn added() {
    let fleet = Fleet::new();
    let with_both = fs::read_to_string(fleet.rig.dir.path().join("towline.toml")).unwrap();
    fleet.alter(|text| text.replace(&fleet.table(), ""));
    for n in 0..4 {
        fleet.rig.write(&format!("equal/{n}"), vec![b'e'; 100_000]);
    }
    let daemon = fleet.rig.run();
    fleet.sync(&["site"]);
    fleet.alter(|_| with_both);
    fleet.says(&["reload"]);
    fleet.sync(&BOTH);
    let read = fleet.count("far", "read");
    fleet.touch();
    fleet.sync(&BOTH);
    fleet.wait("that nothing is sent", || BOTH.iter().all(|mirror| fleet.count(mirror, "unchanged") == ALL + 4));
    assert_eq!(read, 0, "{:#}", fleet.status("far"));
    assert_eq!(watches(&daemon), (DIRS + 2, 1));
}

fn rootless() {
    let fleet = Fleet::new();
    let daemon = fleet.rig.run();
    fleet.sync(&BOTH);
    let aside = fleet.rig.dir.path().join("aside");
    for round in 0..2 {
        fs::rename(&fleet.rig.source, &aside).unwrap();
        fleet.wait("halts", || BOTH.iter().all(|mirror| fleet.status(mirror)["halt"]["reason"] == "root-missing"));
        fs::write(aside.join("meanwhile"), format!("round {round}")).unwrap();
        fs::rename(&aside, &fleet.rig.source).unwrap();
        fleet.sync(&BOTH);
        fleet.wait("one set of watches", || watches(&daemon) == (DIRS + 1, 1));
        fleet.rig.write("afterwards", format!("round {round}"));
        fleet.sync(&BOTH);
    }
}

fn limited() {
    let fleet = Fleet::new();
    let _daemon = fleet.rig.run_with_watches(u32::try_from(DIRS + 1).unwrap());
    fleet.sync(&BOTH);
    for mirror in BOTH {
        assert_eq!(fleet.status(mirror)["watch"]["complete"], true, "{}", fleet.rig.log());
    }
    // Another one is too many, and both say so.
    fs::create_dir(fleet.rig.source.join("more")).unwrap();
    fleet.wait("the limit", || BOTH.iter().all(|mirror| fleet.status(mirror)["watch"]["complete"] == false));
}

/// With rules of their own.
fn rescanned() {
    let fleet = Fleet::new();
    fleet.alter(|text| {
        let own = |text: String, name: &str| {
            let line = format!("name = \"{name}\"\n");
            text.replace(&line, &format!("{line}full_scan = \"10s\"\nignore = [\"*.{name}\"]\n"))
        };
        own(own(text, "site"), "far")
    });
    for n in 0..DIRS {
        fleet.rig.write(&format!("{n}/a.site"), "for the far one alone");
        fleet.rig.write(&format!("{n}/a.far"), "for the near one alone");
    }
    // So many that a scan takes a while.
    (0..2000).for_each(|n| fs::create_dir_all(fleet.rig.source.join(format!("many/{}/{n}", n % 20))).unwrap());
    let daemon = fleet.rig.run();
    let are_equal = || {
        let here = tree(&fleet.rig.source);
        BOTH.iter().all(|mirror| {
            let own = here.iter().filter(|(path, _)| path.extension().is_none_or(|extension| extension != *mirror));
            own.eq(&tree(&fleet.there(mirror)))
        })
    };
    let scans = || BOTH.map(|mirror| fleet.status(mirror)["last_full_scan"].as_i64().unwrap_or_default());
    fleet.wait("what each is to have", are_equal);
    drop(daemon);
    // What was changed while nobody looked is found by the scans at the start, and what nobody tells of by those later on.
    fleet.rig.write("3/new", "by the scans at the start");
    let before = scans();
    let _daemon = fleet.rig.run();
    let goes_on = |before: [i64; 2]| scans().into_iter().zip(before).all(|(now, before)| now > before);
    fleet.wait("a scan of both", || goes_on(before) && are_equal());
    let before = scans();
    fleet.wait("another scan of both", || goes_on(before) && are_equal());
    let shared = || BOTH.map(|mirror| fleet.count(mirror, "listed_by_others")).iter().sum::<u64>();
    fleet.wait("directories that were read for both", || shared() > 1000);
    assert!(shared() <= BOTH.map(|mirror| fleet.count(mirror, "listed")).iter().sum::<u64>() / 2);
}
