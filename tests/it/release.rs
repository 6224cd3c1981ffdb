//! Publishing together through the real binary on real servers: a checkout of another branch becomes visible in one run of renames, by
//! the server's own log and to somebody who looks all the time; killed while it is staged, and while it is published. Faults at every
//! call are in `convergence::release`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use libtest_mimic::Trial;
use tokio::time::Instant;

use crate::{
    rig::{PATIENCE, Rig, tree},
    servers::{self, Kind, Tls},
    support::{scaled, seed, wait_until},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in Kind::ALL {
        let name = kind.name();
        trials.push(servers::trial(
            kind,
            format!("release::{name}::a_checkout_in_one_run"),
            move || async move { checkout(kind) },
        ));
        trials.push(servers::trial(kind, format!("release::{name}::killed_at_any_moment"), move || async move { killed(kind) }));
    }
    trials.push(servers::trial(Kind::ProFtpd, "release::what_cannot_go_keeps_everything_back", || async { withheld() }));
    trials
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let is_ours = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".towline-"));
    tree(dir).into_iter().filter_map(|(path, body)| Some((path, body?))).filter(|(path, _)| !is_ours(path)).collect()
}

/// Somebody who reads the live tree all the time, between an old one and a new one.
struct Visitor {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Visit>,
}

#[derive(Debug, Default)]
struct Visit {
    looks: u64,
    /// From the first look at something new to the first at all of it.
    mixed: Option<Duration>,
    wrong: Vec<String>,
}

impl Visitor {
    fn start(dir: PathBuf, old: Files, new: Files) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut visit, mut switched, mut began) = (Visit::default(), BTreeSet::new(), None);
            let paths: BTreeSet<&PathBuf> =
                old.keys().chain(new.keys()).filter(|path| old.get(*path) != new.get(*path)).collect();
            loop {
                let end = told.load(Ordering::Acquire);
                visit.looks += 1;
                for path in &paths {
                    let seen = fs::read(dir.join(path)).ok();
                    if seen.as_ref() == new.get(*path) {
                        switched.insert((*path).clone());
                    } else if seen.as_ref() != old.get(*path) || switched.contains(*path) {
                        visit.wrong.push(format!("{}: neither, or old again", path.display()));
                    }
                }
                if !switched.is_empty() {
                    let since = *began.get_or_insert_with(Instant::now);
                    if switched.len() == paths.len() {
                        visit.mixed.get_or_insert(since.elapsed());
                    }
                }
                if end || visit.wrong.len() > 20 {
                    return visit;
                }
            }
        });
        Self { stop, thread }
    }

    fn end(self) -> Visit {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

fn git(rig: &Rig, args: &[&str]) {
    let mut command = Command::new("git");
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", rig.dir.path());
    command.env("GIT_CONFIG_NOSYSTEM", "1").args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "gc.auto=0"]);
    command.arg("--git-dir").arg(rig.dir.path().join("repo")).arg("--work-tree").arg(&rig.source).args(args);
    let output = command.current_dir(&rig.source).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A site of two branches: pages that differ, new ones, moved ones, others gone.
fn branches(rig: &Rig) {
    git(rig, &["init", "-q", "-b", "old"]);
    for n in 0..20 {
        rig.write(&format!("page{n}.html"), format!("<link href=old/{n}.css> page {n}"));
        rig.write(&format!("old/{n}.css"), format!("old style {n}").repeat(1 + n * 20));
        rig.write(&format!("img/{n}.bin"), vec![u8::try_from(n).unwrap(); 2000 + n]);
    }
    git(rig, &["add", "-A"]);
    git(rig, &["commit", "-qm", "old"]);
    git(rig, &["checkout", "-q", "-b", "new"]);
    fs::remove_dir_all(rig.source.join("old")).unwrap();
    fs::rename(rig.source.join("img"), rig.source.join("pictures")).unwrap();
    for n in 0..20 {
        rig.write(&format!("page{n}.html"), format!("<link href=new/{n}.css> page {n}, made anew"));
        rig.write(&format!("new/{n}.css"), format!("new style {n}").repeat(1 + n * 30));
    }
    git(rig, &["add", "-A"]);
    git(rig, &["commit", "-qm", "new"]);
}

fn rig(kind: Kind) -> Rig {
    let rig = Rig::new(kind, Tls::Both);
    rig.configure("quiet = \"1s\"\ndelete = \"trash\"\npublish = \"together\"\ndelete_budget = { files = 1000, percent = 100 }");
    rig
}

/// What the log of the server says since it had so many bytes, of what is not Towline's own: the verbs that matter, with their lines.
fn verbs(rig: &Rig, from: usize) -> Vec<(&'static str, String)> {
    let log = rig.server.log();
    let ours = |line: &&str| !line.contains(".towline-mirror") && !line.contains(".towline-probe");
    let verb = |line: &str| {
        ["STOR", "RNTO", "DELE", "RMD"]
            .into_iter()
            .find(|verb| line.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == *verb))
    };
    log.get(from..).unwrap_or_default().lines().filter(ours).filter_map(|line| Some((verb(line)?, line.to_owned()))).collect()
}

/// The server's log has everything that became visible behind the last body; whether it tells of renames at all.
fn is_one_run(rig: &Rig, from: usize) -> bool {
    let verbs = verbs(rig, from);
    let last_body = verbs.iter().rposition(|(verb, _)| *verb == "STOR");
    let first_shown = verbs.iter().position(|(verb, line)| *verb == "RNTO" && !line.contains(".part"));
    assert!(first_shown.is_none() || last_body < first_shown, "{verbs:#?}");
    first_shown.is_some()
}

fn checkout(kind: Kind) {
    let rig = rig(kind);
    branches(&rig);
    git(&rig, &["checkout", "-q", "old"]);
    let daemon = rig.run();
    rig.await_sync();
    let mut here = files(&rig.source);
    for branch in ["new", "old"] {
        let from = rig.server.log().len();
        let old = here;
        // What it is to be, found out beside the mirror.
        let next = rig.dir.path().join(format!("next-{branch}"));
        fs::create_dir(&next).unwrap();
        let mut archive = Command::new("sh");
        archive.arg("-c").arg(format!("git --git-dir repo archive {branch} | tar -x -C {}", next.display()));
        assert!(archive.current_dir(rig.dir.path()).status().unwrap().success());
        here = files(&next);
        let visitor = Visitor::start(rig.mirrored(), old, here.clone());
        git(&rig, &["checkout", "-q", branch]);
        rig.await_sync();
        let visit = visitor.end();
        assert_eq!(files(&rig.source), here);
        assert!(visit.wrong.is_empty(), "{visit:#?}\n{}", rig.log());
        assert!(visit.mixed.is_some(), "{visit:?}");
        eprintln!("{} {branch}: {} looks, mixed for {:?}", kind.name(), visit.looks, visit.mixed);
        let told = is_one_run(&rig, from);
        assert!(told || !matches!(kind, Kind::Vsftpd | Kind::ProFtpd), "{}", rig.server.log());
        if told {
            let renames: Vec<String> = verbs(&rig, from)
                .into_iter()
                .filter(|(verb, line)| *verb == "RNTO" && !line.contains(".part"))
                .map(|(_, line)| line)
                .collect();
            let of = |part: &str| {
                (renames.iter().position(|line| line.contains(part)), renames.iter().rposition(|line| line.contains(part)))
            };
            let (new, replaced, gone) = (of(&format!("/{branch}/")), of("page"), of("towline-trash"));
            assert!(new.1 < replaced.0 && replaced.1 < gone.0 && gone.0.is_some() && new.0.is_some(), "{renames:#?}");
        }
        assert_eq!(rig.orphans(), Vec::<String>::new());
    }
    drop(daemon);
}

fn killed(kind: Kind) {
    let rig = rig(kind);
    branches(&rig);
    git(&rig, &["checkout", "-q", "old"]);
    let daemon = rig.run();
    rig.await_sync();
    drop(daemon);
    let first = seed("TOWLINE_SEED");
    let mut cut = (0, 0);
    for round in 0..scaled(6, 60) {
        let mut random = fastrand::Rng::with_seed(first + round);
        let branch = if round.is_multiple_of(2) { "new" } else { "old" };
        let (from, old) = (rig.server.log().len(), files(&rig.source));
        git(&rig, &["checkout", "-q", branch]);
        let new = files(&rig.source);
        let visitor = Visitor::start(rig.mirrored(), old.clone(), new.clone());
        for _ in 0..2 {
            let daemon = rig.run();
            // Half of them when the run of renames is about to begin, or has begun.
            let wanted = random.bool();
            let begun = || files(&rig.mirrored()) != old || rig.log().matches("publishing").count() > cut.1;
            if wanted {
                wait_until(Duration::from_secs(5), begun);
                std::thread::sleep(Duration::from_micros(random.u64(0..20_000)));
            } else {
                std::thread::sleep(Duration::from_millis(random.u64(0..1500)));
            }
            // kill -9
            drop(daemon);
            cut.0 += usize::from(files(&rig.mirrored()) != old && files(&rig.mirrored()) != new);
        }
        let daemon = rig.run();
        rig.await_sync();
        drop(daemon);
        cut.1 = rig.log().matches("publishing").count();
        let visit = visitor.end();
        let case = format!("{} TOWLINE_SEED={}", kind.name(), first + round);
        assert!(visit.wrong.is_empty(), "{case}: {visit:#?}\n{}", rig.log());
        is_one_run(&rig, from);
        assert_eq!(rig.orphans(), Vec::<String>::new(), "{case}");
    }
    eprintln!("{}: {} kills with a mixed tree on the server", kind.name(), cut.0);
}

fn withheld() {
    let rig = rig(Kind::ProFtpd);
    rig.write("a", "old");
    let daemon = rig.run();
    rig.await_sync();
    // No FTP server takes such a name.
    rig.write("line\nbreak", "x");
    rig.write("a", "new");
    rig.write("b", "new");
    let status = rig.await_status("withheld", |status| status["phase"] == "withheld");
    let withheld = &status["release"]["withheld"];
    assert!(withheld["why"].as_str().unwrap().contains("line"), "{status:#}");
    assert!(withheld["hint"].as_str().unwrap().contains("ignore rules"), "{status:#}");
    assert_eq!(status["release"]["staged_files"], 2, "{status:#}");
    let why = rig.towline(&["why", rig.source.join("b").to_str().unwrap()]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(text.contains("published together") && text.contains("line"), "{text}");
    assert_eq!(fs::read(rig.mirrored().join("a")).unwrap(), b"old");
    assert!(!rig.mirrored().join("b").exists());
    fs::remove_file(rig.source.join("line\nbreak")).unwrap();
    rig.await_sync();
    assert!(wait_until(PATIENCE, || rig.status().is_some_and(|status| status["release"]["withheld"].is_null())));
    drop(daemon);
    // Once more as a single pass, which says that it is not done.
    rig.write("line\nbreak", "x");
    rig.write("c", "new");
    let sync = rig.towline(&["sync"]);
    assert_eq!(sync.status.code(), Some(3), "{}", String::from_utf8_lossy(&sync.stdout));
    assert!(!rig.mirrored().join("c").exists());
    fs::remove_file(rig.source.join("line\nbreak")).unwrap();
    assert_eq!(rig.towline(&["sync"]).status.code(), Some(0));
    assert!(rig.is_equal());
}
