//! What can be seen of a daemon and said to it while it runs: events, pauses, retries, the queue, the log, metrics. The real binary
//! against a real server.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use libtest_mimic::Trial;

use crate::{
    rig::{PATIENCE, Rig},
    servers::{self, Kind, Tls},
    support::wait_until,
};

pub(crate) fn trials() -> Vec<Trial> {
    [
        ("a_pause_outlives_the_daemon_and_ends_by_itself", pauses as fn()),
        ("pause_and_resume_work_without_a_daemon", at_rest),
        ("what_the_server_refused_is_tried_again_when_told", retries),
        ("status_watch_and_log_follow_tell_of_changes", follows),
        ("metrics_are_what_the_daemon_says", metrics),
    ]
    .into_iter()
    .map(|(name, test)| servers::trial(Kind::ProFtpd, format!("seen::{name}"), move || async move { test() }))
    .collect()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn says(rig: &Rig, args: &[&str], code: i32, words: &[&str]) -> String {
    let output = rig.towline(args);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for words in words {
        assert!(said.contains(words), "{words:?} is missing in what {args:?} says:\n{said}");
    }
    said
}

fn json(rig: &Rig, args: &[&str]) -> serde_json::Value {
    let output = rig.towline(args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&output)))
}

/// The lines that a verb prints, as they come; it ends with the receiver's guard.
struct Lines(Receiver<String>, crate::rig::Daemon);

impl Lines {
    fn of(rig: &Rig, args: &[&str]) -> Self {
        let mut child = rig.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let (out, (tx, rx)) = (child.stdout.take().unwrap(), channel());
        thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| tx.send(line)));
        Self(rx, crate::rig::Daemon(child))
    }

    /// Waits for a line with these words.
    #[track_caller]
    fn until(&self, words: &str) -> String {
        let mut heard = Vec::new();
        loop {
            match self.0.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => heard.push(line),
                Err(e) => panic!("{words:?} did not come ({e}):\n{}", heard.join("\n")),
            }
        }
    }
}

fn pauses() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "x");
    let daemon = rig.run();
    rig.await_sync();
    says(&rig, &["pause", "nobody"], 2, &["there is no mirror called"]);
    says(&rig, &["pause", "site", "--for", "2h"], 0, &["site: paused until 20", "for 1 h 59 min; `towline resume site` ends it"]);
    rig.await_status("a pause", |status| status["phase"] == "paused");
    rig.write("b", "y");
    rig.await_status("what was noted", |status| status["tally"]["pending_files"] == 1 && status["phase"] == "paused");
    says(&rig, &["status"], 0, &["site: paused", "paused     until 20"]);
    says(&rig, &["why", "b"], 0, &["the mirror is paused"]);
    says(&rig, &["queue"], 0, &["site: 1 change to do (1 B to send at most)", "then       put b (1 B), seen"]);
    drop(daemon);
    let daemon = rig.run();
    rig.await_status("the pause after a restart", |status| status["phase"] == "paused" && status["paused"]["until"].is_i64());
    assert!(!rig.mirrored().join("b").exists());
    // The last word counts, and this one ends by itself.
    says(&rig, &["pause", "--for", "1s"], 0, &["site: paused until"]);
    rig.await_sync();
    assert!(rig.status().unwrap()["paused"].is_null());
    says(&rig, &["pause"], 0, &["site: paused until `towline resume site`"]);
    rig.write("c", "z");
    rig.await_status("what was noted", |status| status["tally"]["pending_files"] == 1 && status["phase"] == "paused");
    says(&rig, &["wait", "c", "--timeout", "30s"], 3, &["held back", "`towline resume site` ends that"]);
    says(&rig, &["resume"], 0, &["site: goes on"]);
    rig.await_sync();
    says(&rig, &["resume", "site"], 0, &["site: was not paused"]);
    says(&rig, &["queue", "--json"], 0, &["\"pending\": []"]);
    drop(daemon);
}

fn at_rest() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "x");
    says(&rig, &["log", "--follow"], 69, &["start one with `towline run`"]);
    says(&rig, &["pause", "--for", "1ms"], 2, &["a second at least"]);
    says(&rig, &["pause"], 0, &["site: paused until `towline resume site`"]);
    says(&rig, &["sync"], 1, &["site: paused until `towline resume site`"]);
    assert!(!rig.mirrored().join("a").exists());
    let daemon = rig.run();
    rig.await_status("the pause", |status| status["phase"] == "paused" && status["tally"]["pending_files"] == 1);
    drop(daemon);
    says(&rig, &["queue"], 0, &["then       put a (1 B)"]);
    says(&rig, &["resume"], 0, &["site: goes on"]);
    says(&rig, &["sync"], 0, &["1 file sent"]);
    says(&rig, &["queue"], 0, &["site: nothing is left to do"]);
    says(&rig, &["log"], 0, &["site: published a (1 B)"]);
}

fn retries() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "x");
    let daemon = rig.run();
    rig.await_sync();
    // A directory of somebody else's, with something in it, where a file is to be.
    fs::create_dir_all(rig.mirrored().join("b/deep")).unwrap();
    rig.write("b", "y");
    rig.await_status("a problem", |status| status["problems"][0]["path"] == "b");
    let queue = json(&rig, &["queue", "site", "--json"]);
    assert_eq!(queue[0]["problems"][0]["path"], "b", "{queue:#}");
    says(&rig, &["retry"], 2, &["Usage"]);
    says(&rig, &["retry", "a"], 0, &["site: nothing there failed"]);
    fs::remove_dir_all(rig.mirrored().join("b")).unwrap();
    says(&rig, &["retry", "b"], 0, &["site: 1 path is tried again at once"]);
    rig.await_sync();
    let log = says(&rig, &["log", "-n", "100"], 0, &["site: published b (1 B)"]);
    assert!(log.contains(": failed ") || log.contains(": unclear "), "{log}");
    drop(daemon);
    says(&rig, &["retry", "--all"], 0, &["site: nothing there failed"]);
}

fn follows() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "x");
    says(&rig, &["status", "--watch"], 69, &["start one with `towline run`"]);
    let daemon = rig.run();
    rig.await_sync();
    let (watch, log) =
        (Lines::of(&rig, &["status", "--watch", "--json"]), Lines::of(&rig, &["log", "--follow", "--json", "-n", "0"]));
    let first: serde_json::Value = serde_json::from_str(&watch.until("in-sync")).unwrap();
    assert_eq!(first["mirrors"][0]["counters"]["puts"], 1);
    // Until it hears, nothing can be said of what it misses: the first line of the log shows that it does.
    let heard = wait_until(PATIENCE, || {
        rig.write("b", fastrand::u64(..).to_string());
        let line = log.0.recv_timeout(std::time::Duration::from_secs(1)).ok();
        line.is_some_and(|line| line.contains("\"path\":\"b\"") && line.contains("\"what\":\"published\""))
    });
    assert!(heard, "nothing was heard of what was done");
    rig.write("c", "z");
    let line: serde_json::Value = serde_json::from_str(&log.until("\"path\":\"c\"")).unwrap();
    assert_eq!((&line["mirror"], &line["what"], &line["bytes"]), (&"site".into(), &"published".into(), &1.into()));
    watch.until("\"recorded_files\":3");
    drop(daemon);
    for mut verb in [watch, log] {
        assert_eq!(verb.1.0.wait().unwrap().code(), Some(69), "it ends with the daemon");
    }
}

fn metrics() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "four");
    says(&rig, &["metrics"], 69, &["start one with `towline run`"]);
    let _daemon = rig.run();
    rig.await_sync();
    says(
        &rig,
        &["metrics"],
        0,
        &[
            "towline_in_sync{mirror=\"site\"} 1\n",
            "towline_files_sent_total{mirror=\"site\"} 1\n",
            "towline_bytes_sent_total{mirror=\"site\"} 4\n",
            "towline_server_files{mirror=\"site\"} 1\n",
            "towline_oldest_pending_seconds{mirror=\"site\"} 0\n",
        ],
    );
    fs::rename(rig.source.join("a"), rig.source.join("b")).unwrap();
    rig.await_sync();
    says(
        &rig,
        &["metrics"],
        0,
        &["towline_renames_total{mirror=\"site\"} 1\n", "towline_bytes_saved_total{mirror=\"site\"} 4\n"],
    );
}
