//! Links, permissions and times through the real binary on real servers. What memory can show is shown there.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use libtest_mimic::Trial;

use crate::{
    rig::{Rig, names},
    servers::{self, Kind, Options, Server, Tls},
    support::{temp_dir, wait_until},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in [Kind::ProFtpd, Kind::Vsftpd] {
        for (name, test) in [("followed_links", followed as fn(Kind)), ("kept_permissions", kept), ("fixed_permissions", fixed)] {
            trials.push(servers::trial(kind, format!("mirror::{}::{name}", kind.name()), move || async move { test(kind) }));
        }
    }
    for (kind, name, test) in [
        (Kind::ProFtpd, "links_are_made_where_the_server_can", linked as fn()),
        (Kind::Vsftpd, "links_are_parked_where_the_server_cannot", unlinked),
        (Kind::Vsftpd, "a_server_without_chmod_is_one_warning", no_chmod),
        (Kind::ProFtpd, "a_target_swapped_for_one_outside_is_never_sent", swapped),
        (Kind::ProFtpd, "a_move_found_by_its_content_gets_its_time", retimed),
    ] {
        trials.push(servers::trial(kind, format!("mirror::{name}"), move || async move { test() }));
    }
    trials
}

fn content(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).map_or(0, |found| found.mode() & 0o7777)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn await_that(rig: &Rig, what: &str, holds: impl Fn() -> bool) {
    let came = wait_until(crate::rig::PATIENCE, &holds);
    assert!(
        came,
        "{what} did not come: {:#}\nserver: {:?}\n{}",
        rig.status().unwrap_or_default(),
        names(&rig.mirrored()),
        rig.log()
    );
}

fn followed(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    rig.configure("symlinks = \"follow\"");
    rig.write("real/f", "one");
    rig.write("real/deep/g", "two");
    let outside = temp_dir();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    for (name, target) in
        [("file", "real/f"), ("dir", "real"), ("real/deep/up", "../f"), ("circle", "."), ("real/back", ".."), ("nothing", "no")]
    {
        symlink(target, rig.source.join(name)).unwrap();
    }
    symlink(outside.path(), rig.source.join("out")).unwrap();
    let _daemon = rig.run();
    let there = |name: &str| content(&rig.mirrored().join(name));
    let all = ["dir/deep/g", "dir/deep/up", "dir/f", "file", "real/deep/g", "real/deep/up", "real/f"];
    await_that(&rig, "a copy of everything", || all.iter().all(|name| there(name).is_some()) && rig.phase() == "in-sync");
    let files: Vec<_> = names(&rig.mirrored()).into_iter().filter(|name| rig.mirrored().join(name).is_file()).collect();
    assert_eq!(files, all);
    assert_eq!(["dir/f", "file", "real/deep/up"].map(|name| there(name).unwrap()), ["one"; 3]);
    let skipped = rig.status().unwrap()["skipped"].clone();
    // `real/back` leads to the root, also where it shows below `dir`.
    assert_eq!((&skipped["symlinks"], &skipped["outside"]), (&5.into(), &1.into()), "{skipped}");
    assert_eq!((&skipped["dangling"], &skipped["looping"]), (&1.into(), &3.into()), "{skipped}");
    let shown = String::from_utf8(rig.towline(&["status"]).stdout).unwrap();
    assert!(shown.contains("5 symlinks (leading 1 outside the directory, 1 to nothing, 3 in a circle, or too deep)"), "{shown}");

    // A change of what is led to shows at every link, though no event tells of it.
    rig.write("real/f", "one, changed");
    await_that(&rig, "the change", || all.iter().filter(|name| there(name).as_deref() == Some("one, changed")).count() == 5);
    rig.write("no", "something");
    await_that(&rig, "what was missing", || there("nothing").as_deref() == Some("something"));
    fs::remove_file(rig.source.join("file")).unwrap();
    symlink(outside.path().join("secret"), rig.source.join("file")).unwrap();
    await_that(&rig, "the end of one that leads out", || there("file").is_none() && rig.phase() == "in-sync");
    assert!(!names(&rig.mirrored()).iter().any(|name| there(name).is_some_and(|text| text.contains("secret"))));
}

fn kept(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    rig.write("a", "a");
    rig.write("d/run", "run");
    let at = |name: &str| rig.source.join(name);
    let there = |name: &str| rig.mirrored().join(name);
    for (name, bits) in [("a", 0o4640), ("d/run", 0o755), ("d", 0o2751)] {
        chmod(&at(name), bits);
    }
    let _daemon = rig.run();
    rig.await_sync();
    assert_ne!(mode(&there("a")), 0o640, "by default the server decides");
    drop(_daemon);
    rig.configure("permissions = \"keep\"");
    let _daemon = rig.run();
    rig.await_sync();
    let modes = |expected: [u32; 3]| ["a", "d", "d/run"].map(|name| mode(&there(name))) == expected;
    await_that(&rig, "the first permissions", || modes([0o640, 0o751, 0o755]));
    let stored = rig.commands("STOR");
    chmod(&at("a"), 0o600);
    chmod(&at("d"), 0o711);
    await_that(&rig, "other permissions", || modes([0o600, 0o711, 0o755]));
    fs::rename(at("d/run"), at("d/moved")).unwrap();
    chmod(&at("d/moved"), 0o700);
    await_that(&rig, "the moved one's", || mode(&there("d/moved")) == 0o700);
    rig.await_sync();
    assert_eq!(rig.commands("STOR"), stored, "nothing had to be sent");
    rig.write("new", "new");
    chmod(&at("new"), 0o444);
    fs::create_dir(at("e")).unwrap();
    chmod(&at("e"), 0o500);
    rig.write("e/f", "below");
    rig.await_sync();
    await_that(&rig, "those of new ones", || mode(&there("new")) == 0o444 && mode(&there("e")) == 0o700);
}

fn fixed(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    rig.configure("permissions = { files = \"0604\", directories = \"0705\" }");
    rig.write("d/f", "x");
    chmod(&rig.source.join("d/f"), 0o777);
    let output = rig.towline(&["sync"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!([mode(&rig.mirrored().join("d/f")), mode(&rig.mirrored().join("d"))], [0o604, 0o705]);
    let stored = rig.commands("STOR");
    rig.configure("permissions = { files = \"0644\" }");
    assert!(rig.towline(&["sync"]).status.success());
    assert_eq!([mode(&rig.mirrored().join("d/f")), mode(&rig.mirrored().join("d"))], [0o644, 0o705]);
    assert_eq!(rig.commands("STOR"), stored);
}

fn no_chmod() {
    let options = Options { extra: "chmod_enable=NO\n".into(), ..Options::default() };
    let rig = Rig::with(Server::start(Kind::Vsftpd, options));
    rig.configure("permissions = \"keep\"");
    (0..5).for_each(|n| rig.write(&format!("d/{n}"), "x"));
    let _daemon = rig.run();
    rig.await_sync();
    let status = rig.await_status("the warning", |status| status["warnings"].as_array().is_some_and(|all| all.len() == 1));
    assert_eq!((&status["phase"], status["problems"].as_array().map(Vec::len)), (&"in-sync".into(), Some(0)), "{status:#}");
    let shown = String::from_utf8(rig.towline(&["status"]).stdout).unwrap();
    assert!(shown.contains("SITE CHMOD"), "{shown}");
}

fn linked() {
    let options = Options { extra: "LoadModule mod_site_misc.c\n".into(), ..Options::default() };
    let rig = Rig::with(Server::start(Kind::ProFtpd, options));
    rig.configure("symlinks = \"link\"");
    rig.write("d/f", "one");
    rig.write("g", "two");
    for (name, target) in [("a", "d/f"), ("d/up", "../g"), ("dir", "d"), ("out", "../../etc"), ("absolute", "/etc/passwd")] {
        symlink(target, rig.source.join(name)).unwrap();
    }
    let _daemon = rig.run();
    // The server writes down what it resolved: absolute, as the account sees it.
    let held =
        |name: &str| fs::read_link(rig.mirrored().join(name)).ok().and_then(|target| target.into_os_string().into_string().ok());
    let home = rig.server.remote("mirror");
    let leads = |name: &str, to: &str| held(name).is_some_and(|held| held == format!("{home}/{to}"));
    await_that(&rig, "the links", || leads("a", "d/f") && leads("d/up", "g") && leads("dir", "d"));
    let status = rig.await_status("the others are parked", |status| status["tally"]["parked"] == 2);
    let parked: BTreeMap<_, _> = status["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["path"].as_str().unwrap().to_owned(), problem["why"].as_str().unwrap().to_owned()))
        .collect();
    assert!(parked["out"].contains("../../etc") && parked["absolute"].contains("/etc/passwd"), "{parked:?}");
    assert_eq!((held("out"), held("absolute")), (None, None));

    fs::remove_file(rig.source.join("a")).unwrap();
    symlink("g", rig.source.join("a")).unwrap();
    fs::remove_file(rig.source.join("dir")).unwrap();
    rig.write("dir", "a file now");
    fs::remove_file(rig.source.join("d/up")).unwrap();
    for name in ["out", "absolute"] {
        fs::remove_file(rig.source.join(name)).unwrap();
    }
    await_that(&rig, "the changes", || leads("a", "g") && held("dir").is_none() && held("d/up").is_none());
    await_that(&rig, "rest", || rig.phase() == "in-sync");
    assert_eq!(content(&rig.mirrored().join("dir")).as_deref(), Some("a file now"));
    assert_eq!(content(&rig.mirrored().join("g")).as_deref(), Some("two"), "what is led to was left alone");
    // Made before there is anything that it leads to, which this server refuses.
    symlink("later", rig.source.join("early")).unwrap();
    rig.await_status("it waits", |status| status["tally"]["waiting"] == 1);
    rig.write("later", "here");
    await_that(&rig, "the early one", || leads("early", "later"));
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn unlinked() {
    let rig = Rig::new(Kind::Vsftpd, Tls::Both);
    rig.configure("symlinks = \"link\"");
    rig.write("f", "one");
    symlink("f", rig.source.join("l")).unwrap();
    let _daemon = rig.run();
    let status = rig.await_status("it is said", |status| status["problems"].as_array().is_some_and(|all| all.len() == 1));
    assert!(status["problems"][0]["why"].as_str().unwrap().contains("symbolic links"), "{status:#}");
    assert_eq!(names(&rig.mirrored()), ["f"]);
}

/// While files are sent through a link, what it leads to is swapped for a directory outside, over and over.
fn swapped() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("symlinks = \"follow\"\ndelete_budget = { files = 100000, percent = 100 }");
    let outside = temp_dir();
    let secret = "secret".repeat(2_000);
    for n in 0..20 {
        rig.write(&format!("real/{n}"), "public".repeat(2_000));
        fs::write(outside.path().join(n.to_string()), &secret).unwrap();
    }
    symlink("real", rig.source.join("dir")).unwrap();
    let daemon = rig.run();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (place, aside) = (rig.source.join("real"), outside.path().join("aside"));
            while !stop.load(Ordering::Relaxed) {
                fs::rename(&place, &aside).unwrap();
                symlink(outside.path(), &place).unwrap();
                std::thread::sleep(Duration::from_millis(1));
                fs::remove_file(&place).unwrap();
                fs::rename(&aside, &place).unwrap();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        for round in 0..40 {
            for n in 0..20 {
                let _ = fs::write(rig.source.join("dir").join(n.to_string()), format!("public {round}").repeat(2_000));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
    });
    // What was written through the link while it led outside is ours; nothing that was there before may have come.
    rig.write("done", "done");
    await_that(&rig, "the end", || rig.mirrored().join("done").exists() && rig.phase() == "in-sync");
    let found: Vec<_> = names(&rig.mirrored())
        .into_iter()
        .filter(|name| content(&rig.mirrored().join(name)).is_some_and(|text| text.contains("secret")))
        .collect();
    assert_eq!(found, Vec::<String>::new());
    for n in 0..20 {
        let here = content(&rig.source.join(format!("real/{n}")));
        assert_eq!(content(&rig.mirrored().join(format!("dir/{n}"))), here, "{n}");
    }
    drop(daemon);
}

fn retimed() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("old", "the same content");
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let set = |name: &str, time| fs::File::options().write(true).open(rig.source.join(name)).unwrap().set_modified(time).unwrap();
    set("old", at(1_000_000_000));
    assert!(rig.towline(&["sync"]).status.success());
    let stored = rig.commands("STOR");
    fs::copy(rig.source.join("old"), rig.source.join("new")).unwrap();
    fs::remove_file(rig.source.join("old")).unwrap();
    set("new", at(1_200_000_000));
    assert!(rig.towline(&["sync"]).status.success());
    assert_eq!((names(&rig.mirrored()), rig.commands("STOR")), (vec!["new".to_owned()], stored));
    assert_eq!(fs::metadata(rig.mirrored().join("new")).unwrap().mtime(), 1_200_000_000);
}
