//! What is said of single paths, as its users meet it: `status PATH`, `wait`, `why`, `reject`, with a daemon and without. Each
//! claim is held against the server's own disk.

use std::{fs, process::Output};

use libtest_mimic::Trial;

use crate::{
    rig::{Rig, names},
    servers::{self, Kind, Tls},
    support::{scaled, temp_dir},
};

pub(crate) fn trials() -> Vec<Trial> {
    let tests = [
        ("what_was_waited_for_is_on_the_server", waited as fn()),
        ("why_names_the_rule_the_kind_and_the_problem", why),
        ("without_a_daemon_the_state_is_read_and_says_what_it_cannot_know", at_rest),
        ("waiting_ends_with_the_timeout", timeout),
        ("rejected_removals_stay_on_the_server", rejected),
    ];
    let trial =
        |(name, test): (&str, fn())| servers::trial(Kind::ProFtpd, format!("truth::{name}"), move || async move { test() });
    tests.into_iter().map(trial).collect()
}

#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in says {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
}

impl Rig {
    fn here(&self, name: &str) -> String {
        self.source.join(name).to_str().unwrap().to_owned()
    }
}

/// The moment `wait` ends well, the server has what was here when it began.
fn waited() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete_budget = { files = 100000, percent = 100 }");
    rig.write("d/file", "first");
    let _daemon = rig.run();
    rig.await_status("the daemon", |status| !status.is_null());
    for round in 0..scaled(20, 200) {
        let body = "x".repeat(usize::try_from(round).unwrap() * 1000);
        rig.write("d/file", &body);
        let (name, other) = (format!("d/{round}"), format!("new-{round}/deep/file"));
        rig.write(&name, "small");
        rig.write(&other, "small");
        match round % 4 {
            0 => {
                ends(&rig.towline(&["wait", &rig.here("d/file")]), 0, &["d/file: in sync"]);
                ends(&rig.towline(&["wait", "--mirror", "site", &other]), 0, &["in sync"]);
            }
            1 => ends(&rig.towline(&["wait", &rig.here("."), "--timeout", "60s"]), 0, &["everything: in sync"]),
            _ => ends(&rig.towline(&["wait"]), 0, &["site: everything: in sync"]),
        }
        assert_eq!(fs::read_to_string(rig.mirrored().join("d/file")).unwrap(), body, "round {round}");
        assert!(rig.mirrored().join(&other).exists(), "round {round}");
        if round % 4 != 0 {
            assert!(rig.is_equal(), "round {round}");
        }
        fs::remove_file(rig.source.join(&name)).unwrap();
        ends(&rig.towline(&["wait", &rig.here(&name)]), 0, &["neither here nor on the server"]);
        assert!(!rig.mirrored().join(&name).exists(), "round {round}");
    }
}

fn why() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("ignore = [\"*.tmp\"]");
    rig.write("a/fine", "fine");
    rig.write("a/x.tmp", "x");
    rig.write("a/.towlineignore", "# not these\nlogs/\n");
    rig.write("a/logs/deep", "x");
    rig.write("line\nbreak", "x");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        rig.source.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _daemon = rig.run();
    rig.await_status("all but one", |status| status["phase"] == "parked");
    let why = |name: &str, says: &[&str]| ends(&rig.towline(&["why", &rig.here(name)]), 0, says);
    why("a/fine", &["site: a/fine: in sync", "here       a file of 4 B", "server     a file of 4 B"]);
    why("a/x.tmp", &["a/x.tmp: ignored", "`*.tmp` (`ignore` in the configuration)"]);
    why("a/logs/deep", &["a/logs/deep: ignored", "a/logs is ignored by `logs/` (a/.towlineignore, line 2)"]);
    why("line\nbreak", &["parked"]);
    why("pipe", &["pipe: skipped", "a named pipe"]);
    why("no/such", &["neither here nor on the server"]);
    why("a", &["site: a: in sync"]);
    why(".", &["site: everything: p", "1 change not on the server yet"]);
    for (name, code) in [("a/x.tmp", 3), ("pipe", 3), ("line\nbreak", 3), ("a/fine", 0), (".", 3)] {
        ends(&rig.towline(&["wait", &rig.here(name), "--timeout", "60s"]), code, &[]);
    }
    let output = rig.towline(&["status", &rig.here("a/fine"), "--json"]);
    let account: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&account["state"], &account["looked"]), (&"in-sync".into(), &true.into()), "{account:#}");
    assert_eq!(account["there"]["size"], 4);
    let elsewhere = temp_dir();
    let elsewhere = elsewhere.path().to_str().unwrap();
    ends(&rig.towline(&["why", elsewhere]), 2, &["lies in no mirror"]);
    ends(&rig.towline(&["why", "--mirror", "no-such", "a"]), 2, &["there is no mirror called"]);
}

fn at_rest() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("d/a", "a");
    ends(&rig.towline(&["status", &rig.here("d/a")]), 1, &["has never run"]);
    ends(&rig.towline(&["sync"]), 0, &[]);
    let status = |name: &str, says: &[&str]| ends(&rig.towline(&["status", &rig.here(name)]), 0, says);
    status("d/a", &["d/a: in sync"]);
    status("d", &["not looked at yet", "no daemon runs"]);
    status(".", &["not looked at yet", "no daemon runs"]);
    rig.write("d/a", "changed");
    rig.write("d/b", "new");
    status("d/a", &["not looked at yet", "it changed since"]);
    status("d/b", &["not looked at yet", "it changed since"]);
    let before = fs::read(rig.state().join("mirrors/site.db")).unwrap();
    ends(&rig.towline(&["why", &rig.here("d/a")]), 0, &["server     a file of 1 B"]);
    assert_eq!(fs::read(rig.state().join("mirrors/site.db")).unwrap(), before);
    ends(&rig.towline(&["wait", &rig.here("d/a")]), 69, &["no towline daemon"]);
    ends(&rig.towline(&["wait"]), 69, &["no towline daemon"]);
}

fn timeout() {
    let mut rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "a");
    let _daemon = rig.run();
    rig.await_sync();
    rig.server.stop();
    rig.write("a", "changed");
    ends(&rig.towline(&["wait", &rig.here("a"), "--timeout", "3s"]), 1, &["a: "]);
    ends(&rig.towline(&["wait", "--timeout", "1s"]), 1, &["everything: "]);
    ends(&rig.towline(&["wait", "--timeout", "soon"]), 2, &["30s"]);
}

fn rejected() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete_budget = { files = 1, percent = 1 }");
    (0..5).for_each(|i| rig.write(&format!("d/{i}"), "x"));
    rig.write("kept", "k");
    let daemon = rig.run();
    rig.await_sync();
    ends(&rig.towline(&["reject", "site"]), 1, &["nothing waits for an approval"]);
    ends(&rig.towline(&["reject", "no-such"]), 2, &["there is no mirror called"]);
    fs::remove_dir_all(rig.source.join("d")).unwrap();
    rig.await_status("a halt", |status| status["phase"] == "halted");
    ends(&rig.towline(&["why", &rig.here("d/1")]), 0, &["held back", "towline approve site"]);
    ends(&rig.towline(&["status"]), 0, &["towline reject site"]);
    ends(&rig.towline(&["reject", "site"]), 0, &["the removal of 5 files is dropped"]);
    ends(&rig.towline(&["wait", "--timeout", "60s"]), 0, &["in sync"]);
    assert_eq!(names(&rig.mirrored()).len(), 7);
    ends(&rig.towline(&["why", &rig.here("d/1")]), 0, &["neither here nor on the server"]);

    // Without a daemon it is done in the state.
    drop(daemon);
    fs::remove_file(rig.source.join("kept")).unwrap();
    ends(&rig.towline(&["sync"]), 3, &["towline reject site"]);
    ends(&rig.towline(&["reject", "site"]), 0, &["the removal of 1 file is dropped"]);
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
    assert_eq!(names(&rig.mirrored()).len(), 7);
    assert_eq!((rig.commands("DELE"), rig.commands("RMD")), (0, 0), "{}", rig.server.log());
}
