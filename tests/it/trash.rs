//! The trash through the real binary on real servers: away and back by rename. Faults and retention are shown in memory.

use std::{fs, path::PathBuf};

use libtest_mimic::Trial;

use crate::{
    rig::{PATIENCE, Rig, tree},
    servers::{self, Kind, Tls},
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
    trials
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
