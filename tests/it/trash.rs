//! The trash through the real binary on real servers: away and back by rename, and copies of what is replaced. Faults and
//! retention are shown in memory.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use libtest_mimic::Trial;

use crate::{
    rig::{PATIENCE, Rig, tree},
    servers::{self, Kind, Options, Server, Tls},
    support::wait_until,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = Kind::ALL
        .into_iter()
        .map(|kind| {
            servers::trial(kind, format!("trash::{}::away_and_back", kind.name()), move || async move { away_and_back(kind) })
        })
        .collect();
    trials.push(servers::trial(Kind::ProFtpd, "trash::what_is_kept_stays", || async { kept() }));
    for (kind, name, keeps) in [
        (Kind::ProFtpd, "trash::proftpd::what_is_replaced_is_copied", Keeps::Copies),
        (Kind::Vsftpd, "trash::vsftpd::what_cannot_be_copied_is_replaced", Keeps::Nothing),
        (Kind::Vsftpd, "trash::vsftpd::what_is_replaced_is_read_back", Keeps::Everything),
        (Kind::PureFtpd, "trash::pureftpd::what_is_replaced_is_read_back", Keeps::Everything),
    ] {
        trials.push(servers::trial(kind, name, move || async move { replaced(kind, keeps) }));
    }
    trials
}

/// What is kept of what is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    Nothing,
    /// What the server copies; it has no words for some names.
    Copies,
    /// What is read back, under any name.
    Everything,
}

/// What lies in the trash: names without time and mark, and what is in them.
fn trash(rig: &Rig) -> Vec<(String, String)> {
    let held = tree(&rig.mirrored().join(".towline-trash"));
    let file = |(path, body): (PathBuf, Option<Vec<u8>>)| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name.splitn(3, '-').nth(2)?.to_owned(), String::from_utf8(body?).ok()?))
    };
    let mut files: Vec<_> = held.into_iter().filter_map(file).collect();
    files.sort();
    files
}

fn says(rig: &Rig, args: &[&str], expected: &[&str]) {
    let output = rig.towline(args);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && expected.iter().all(|words| text.contains(words)), "{args:?}: {text}");
}

/// The same of a command that need not end well.
fn tells(rig: &Rig, args: &[&str], expected: &[&str]) {
    let output = rig.towline(args);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(expected.iter().all(|words| text.contains(words)), "{args:?}: {text}");
}

fn holds(rig: &Rig, path: &str, body: &str) -> bool {
    fs::read_to_string(rig.mirrored().join(path)).is_ok_and(|found| found == body)
}

fn away_and_back(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    rig.configure("delete = \"trash\"");
    for (path, body) in [("a", "one"), ("d/b", "two"), ("d/e f/\u{fc}.txt", "three"), ("kind", "four"), ("stays", "five")] {
        rig.write(path, body);
    }
    let daemon = rig.run();
    rig.await_sync();
    fs::remove_file(rig.source.join("a")).unwrap();
    fs::remove_dir_all(rig.source.join("d")).unwrap();
    fs::remove_file(rig.source.join("kind")).unwrap();
    rig.write("kind/now", "a directory");
    rig.await_sync();
    let pair = |name: &str, body: &str| (name.to_owned(), body.to_owned());
    let all = [pair("a", "one"), pair("d%2Fb", "two"), pair("d%2Fe%20f%2F\u{fc}.txt", "three"), pair("kind", "four")];
    assert_eq!(trash(&rig), all);

    says(&rig, &["undo", "site", "--dry-run"], &["a (3 B), removed", "d/b (3 B)", "3 files (11 B) would be put back"]);
    assert_eq!(trash(&rig), all, "a dry run does nothing");
    says(&rig, &["undo", "site", "d"], &["2 files (8 B) put back on the server"]);
    let back = || holds(&rig, "d/b", "two") && holds(&rig, "d/e f/\u{fc}.txt", "three");
    assert!(wait_until(PATIENCE, back), "not back: {:?}\n{}", tree(&rig.mirrored()), rig.log());
    rig.write("later", "later");
    assert!(wait_until(PATIENCE, || holds(&rig, "later", "later") && rig.phase() == "in-sync"));
    assert!(back(), "it was removed once more");
    drop(daemon);

    // Without a daemon there is word left for the next pass.
    let source = rig.source.join("a");
    says(
        &rig,
        &["undo", "site", source.to_str().unwrap(), "--since", "1h"],
        &["1 file (3 B) put back", "with the next `towline sync`"],
    );
    says(&rig, &["sync"], &["in sync"]);
    assert!(holds(&rig, "a", "one") && back());
    assert_eq!(trash(&rig), [pair("kind", "four")]);
    says(&rig, &["undo", "site"], &["nothing of it in the trash"]);
    // A file of that name here takes its place.
    rig.write("a", "another");
    says(&rig, &["sync"], &["in sync"]);
    assert!(holds(&rig, "a", "another"));
}

fn kept() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete = \"keep\"");
    for (path, body) in [("a", "one"), ("d/b", "two"), ("move", "three"), ("stays", "four")] {
        rig.write(path, body);
    }
    says(&rig, &["sync"], &["in sync"]);
    fs::remove_file(rig.source.join("a")).unwrap();
    fs::remove_dir_all(rig.source.join("d")).unwrap();
    fs::rename(rig.source.join("move"), rig.source.join("moved")).unwrap();
    says(&rig, &["plan"], &["leave 4 names on the server", "put moved"]);
    says(&rig, &["sync"], &["in sync"]);
    for (path, body) in [("a", "one"), ("d/b", "two"), ("move", "three"), ("moved", "three"), ("stays", "four")] {
        assert!(holds(&rig, path, body), "{path}");
    }
    assert_eq!((rig.commands("DELE"), rig.commands("RMD")), (0, 0), "{}", rig.server.log());
    assert!(!rig.mirrored().join(".towline-trash").exists());
    says(&rig, &["sync"], &["in sync"]);
    assert!(holds(&rig, "a", "one"));
}

/// Replaces files, with somebody looking at one of them all the time.
fn replaced(kind: Kind, keeps: Keeps) {
    let copies = keeps == Keeps::Copies;
    let extra = if copies { "LoadModule mod_copy.c\n" } else { "" }.to_owned();
    let rig = Rig::with(Server::start(kind, Options { extra, ..Options::default() }));
    let versions = if keeps == Keeps::Everything { "always" } else { "copied" };
    rig.configure(&format!("delete = \"trash\"\ntrash = {{ versions = \"{versions}\" }}"));
    let mut odd = vec!["two  spaces", "d/quotes \"in\" it", "d/a back\\slash"];
    // Pure-FTPd takes no such name at all.
    odd.retain(|path| kind != Kind::PureFtpd || !path.contains('\\'));
    let kept = 3 + if copies { 0 } else { odd.len() };
    let write = |version: usize| {
        for path in ["page", "d/one space", "d/\u{fc}"].into_iter().chain(odd.iter().copied()) {
            rig.write(path, format!("{path} {version} {}", "x".repeat(100_000)));
        }
    };
    write(0);
    rig.write("moves", "to the page");
    // What the copy command would take for the one with two.
    rig.write("two spaces", "the neighbour");
    let daemon = rig.run();
    rig.await_sync();
    let (stop, page) = (Arc::new(AtomicBool::new(false)), rig.mirrored().join("page"));
    let told = Arc::clone(&stop);
    let observer = std::thread::spawn(move || {
        let mut looks = 0_u32;
        while !told.load(Ordering::Relaxed) {
            match fs::read(&page) {
                Ok(body) if body.len() > 100_000 || body == b"to the page" => looks += 1,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return Err(format!("after {looks} looks: {:?}", other.map(|body| body.len()))),
            }
        }
        Ok(looks)
    });
    for version in 1..6 {
        write(version);
        rig.await_sync();
    }
    fs::rename(rig.source.join("moves"), rig.source.join("page")).unwrap();
    rig.await_sync();
    let held = trash(&rig);
    if keeps != Keeps::Nothing {
        reverted(&rig, kept);
    }
    stop.store(true, Ordering::Relaxed);
    let looks = observer.join().unwrap();
    assert!(looks.as_ref().is_ok_and(|looks| *looks > 0), "{looks:?}");
    says(&rig, &["doctor", "lab"], &[if copies { "can be kept" } else { "are not kept" }]);

    let versions = |name: &str| -> Vec<String> {
        let bodies = held.iter().filter(|(held, _)| held == name).map(|(_, body)| body);
        bodies.map(|body| body.trim_end_matches('x').rsplit(' ').nth(1).unwrap_or_default().to_owned()).collect()
    };
    if keeps == Keeps::Nothing {
        assert_eq!((held.len(), rig.mirrored().join(".towline-trash").exists()), (0, false));
        assert_eq!(rig.status().unwrap()["phase"], "in-sync");
        tells(&rig, &["status"], &["old versions of what is overwritten are not kept"]);
        fs::remove_file(rig.source.join("page")).unwrap();
        rig.await_sync();
        rig.write("page", "once more");
        rig.await_sync();
        tells(&rig, &["undo", "site", "page"], &["this server cannot copy files"]);
        drop(daemon);
        tells(&rig, &["undo", "site", "page"], &["this server cannot copy files"]);
        says(&rig, &["sync"], &["in sync"]);
        assert!(holds(&rig, "page", "once more"));
        return;
    }
    assert_eq!(versions("page"), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!((versions("d%2Fone%20space").len(), versions("d%2F\u{fc}").len()), (5, 5));
    assert_eq!(held.len(), 5 * kept + 1, "a copy of something else: {:?}", held.iter().map(|(name, _)| name).collect::<Vec<_>>());
    says(&rig, &["undo", "site"], &["nothing of it in the trash"]);
    fs::remove_file(rig.source.join("d/one space")).unwrap();
    rig.await_sync();
    says(&rig, &["undo", "site", "d/one space"], &["put back on the server"]);
    let back = || fs::read(rig.mirrored().join("d/one space")).is_ok_and(|body| body.starts_with(b"d/one space 5 "));
    assert!(wait_until(PATIENCE, back), "the last version is not back\n{}", rig.log());
    // A version of what was renamed away comes back for who asks for its name.
    fs::rename(rig.source.join("d/\u{fc}"), rig.source.join("renamed")).unwrap();
    assert!(wait_until(PATIENCE, || rig.mirrored().join("renamed").exists() && rig.phase() == "in-sync"));
    says(&rig, &["undo", "site", "d/\u{fc}"], &["put back on the server"]);
    let back = || fs::read(rig.mirrored().join("d/\u{fc}")).is_ok_and(|body| body.starts_with("d/\u{fc} 4 ".as_bytes()));
    assert!(wait_until(PATIENCE, back), "the old version is not back\n{}", rig.log());
    drop(daemon);
}

/// An old version comes back over the file that is there, and stays until somebody approves or changes it.
fn reverted(rig: &Rig, kept: usize) {
    let page = rig.mirrored().join("page");
    let is = |start: &str| fs::read_to_string(&page).is_ok_and(|body| body.starts_with(start));
    let held = trash(rig);
    says(rig, &["undo", "site", "--since", "1h", "--dry-run"], &["page (", "replaced", &format!("{kept} files")]);
    says(rig, &["undo", "site", "page", "--dry-run"], &["page (", "replaced", "1 file ("]);
    assert!(is("to the page") && trash(rig) == held, "a dry run does nothing");
    says(rig, &["undo", "site", "page"], &["1 file (", "put back on the server"]);
    assert!(wait_until(PATIENCE, || is("page 5 ") && rig.phase() == "parked"), "{}\n{}", rig.phase(), rig.log());
    tells(rig, &["status"], &["an old version was put back", "towline approve MIRROR PATH"]);
    tells(rig, &["why", rig.source.join("page").to_str().unwrap()], &["an old version was put back"]);
    assert!(trash(rig).contains(&("page".to_owned(), "to the page".to_owned())));
    rig.write("later", "later");
    assert!(wait_until(PATIENCE, || holds(rig, "later", "later")) && is("page 5 "), "it was sent over it");
    says(rig, &["approve", "site", "page"], &["1 file"]);
    assert!(wait_until(PATIENCE, || is("to the page") && rig.phase() == "in-sync"), "{}\n{}", rig.phase(), rig.log());
    // The undo is undone, and then it changes here.
    says(rig, &["undo", "site", "page"], &["1 file (", "put back on the server"]);
    assert!(wait_until(PATIENCE, || is("page 5 ") && rig.phase() == "parked"), "{}\n{}", rig.phase(), rig.log());
    rig.write("page", format!("page 6 {}", "x".repeat(100_000)));
    assert!(wait_until(PATIENCE, || is("page 6 ") && rig.phase() == "in-sync"), "{}\n{}", rig.phase(), rig.log());
}
