//! What can be seen of a daemon and said to it while it runs: events, pauses, retries, the queue, the log, metrics. The real binary
//! against a real server.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
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
        ("states_are_told_and_silence_is_the_alarm", notices),
        ("the_web_page_is_for_whoever_has_the_token", page),
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
    says(&rig, &["pause", "site", "--for", "2h"], 0, &["site: paused until 20", "for 2 h 0 min; `towline resume site` ends it"]);
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
    says(&rig, &["sync"], 75, &["site: paused until `towline resume site`"]);
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

/// One request to the page's server, with these lines in its head; status, head and body of the answer.
fn http(port: u16, first: &str, head: &[&str], body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    write!(stream, "{first} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {first}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    (status, head.to_lowercase(), body.to_owned())
}

fn notices() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let (told, pinged) = (rig.dir.path().join("told"), rig.dir.path().join("pinged"));
    let file = rig.dir.path().join("towline.toml");
    let config = fs::read_to_string(&file).unwrap();
    let script = r#"echo \"$TOWLINE_WAS $TOWLINE_STATE $1\" >> told"#;
    let notify = format!(
        "[notify]\nafter = \"1s\"\nping_every = \"1s\"\ncommand = [\"sh\", \"-c\", \"cd {dir} && {script}\", \"sh\"]\n\
         ping = [\"sh\", \"-c\", \"echo . >> {dir}/pinged\"]\n",
        dir = rig.dir.path().display()
    );
    fs::write(&file, format!("{config}\n{notify}")).unwrap();
    (0..5).for_each(|i| rig.write(&format!("{i}"), "x"));
    let _daemon = rig.run();
    rig.await_sync();
    assert!(wait_until(PATIENCE, || pinged.exists()), "all is well, and that is said\n{}", rig.log());
    let lines = || fs::read_to_string(&told).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(), [""; 0], "that all is well from the start is no news");
    (0..5).for_each(|i| fs::remove_file(rig.source.join(i.to_string())).unwrap());
    assert!(wait_until(PATIENCE, || !lines().is_empty()), "nothing was told\n{}", rig.log());
    let first = lines()[0].clone();
    assert!(first.starts_with("fine held site: removals wait: ") && first.contains("towline approve site"), "{first}");
    let pings = || fs::metadata(&pinged).unwrap().len();
    let before = pings();
    says(&rig, &["approve", "site"], 0, &["the removal of 5 files goes on"]);
    assert!(wait_until(PATIENCE, || lines().len() == 2), "its end was not told\n{}", rig.log());
    assert_eq!(lines()[1], "held fine site: everything is on the server again");
    assert!(wait_until(PATIENCE, || pings() > before), "all is well again, and that is said");
    // Another teller is taken up without a restart.
    fs::write(&file, config).unwrap();
    says(&rig, &["reload"], 0, &["site: as it was"]);
}

fn page() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "x");
    says(&rig, &["web", "--no-open"], 69, &["start one with `towline run`"]);
    let daemon = rig.run();
    rig.await_sync();
    let web = Lines::of(&rig, &["web", "--no-open"]);
    let address = web.until("http://127.0.0.1:");
    let (port, token) = address.strip_prefix("http://127.0.0.1:").unwrap().trim_end_matches('/').split_once('/').unwrap();
    let (port, host) = (port.parse::<u16>().unwrap(), format!("host: 127.0.0.1:{port}"));
    let (here, own) = ([host.as_str()], format!("x-towline-token: {token}"));
    let get = |path: &str, head: &[&str]| http(port, &format!("GET {path}"), head, "");

    // For whoever has the token: the page, its files, and what the daemon says.
    for (file, kind, words) in [
        ("", "text/html", "<title>Towline</title>"),
        ("app.js", "text/javascript", "EventSource"),
        ("style.css", "text/css", "prefers-color-scheme"),
        ("v1/status", "application/json", "\"in-sync\""),
        ("v1/mirrors/site/log", "application/json", "\"published\""),
    ] {
        let (status, head, body) = get(&format!("/{token}/{file}"), &here);
        assert!(status == 200 && head.contains(kind) && body.contains(words), "{file}: {status}\n{head}\n{body}");
        for always in ["default-src 'none'", "nosniff", "no-referrer", "no-store", "frame-ancestors 'none'"] {
            assert!(head.contains(always), "{file}: {always} is missing\n{head}");
        }
        assert!(!head.contains("access-control") && !head.contains("set-cookie"), "{head}");
    }
    // For nobody else.
    let wrong = "0".repeat(32);
    for path in ["/", "/app.js", "/v1/status", &format!("/{wrong}/"), &format!("/{wrong}/v1/status"), &format!("/{token}")] {
        let (status, _, body) = get(path, &here);
        assert_eq!(status, 401, "{path}: {body}");
    }
    assert_eq!(get(&format!("/{token}/"), &["host: evil.example"]).0, 403, "a name that was made to point here");
    assert_eq!(get(&format!("/{token}/v1/status"), &[&host, "origin: http://evil.example"]).0, 403);
    assert_eq!(get(&format!("/{token}/v1/mirrors/site/account"), &here).0, 404, "no more of the API than the page needs");
    let pause = |head: &[&str], body: &str| http(port, &format!("POST /{token}/v1/mirrors/site/pause"), head, body);
    assert_eq!(pause(&here, "{}").0, 401, "what changes something brings the token in a header");
    assert_eq!(pause(&[&host, &own, "origin: http://evil.example"], "{}").0, 403);
    assert_eq!(pause(&[&host, &own], &" ".repeat(100_000)).0, 413);
    assert!(rig.status().unwrap()["paused"].is_null(), "nothing of that went through");

    let origin = format!("origin: http://127.0.0.1:{port}");
    let (status, _, body) = pause(&[&host, &own, &origin, "content-type: application/json"], "{\"seconds\":3600}");
    assert!(status == 200 && body.contains("\"until\":"), "{status}: {body}");
    rig.await_status("the pause", |status| status["phase"] == "paused");
    let (status, _, body) = http(port, &format!("POST /{token}/v1/mirrors/nobody/resume"), &[&host, &own], "");
    assert!(status == 404 && body.contains("there is no mirror called"), "{status}: {body}");

    // Events come as they are told.
    let mut events = TcpStream::connect(("127.0.0.1", port)).unwrap();
    events.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(events, "GET /{token}/v1/events HTTP/1.1\r\n{host}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(events).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("\"phase\":\"paused\"")));
    assert_eq!(http(port, &format!("POST /{token}/v1/mirrors/site/resume"), &[&host, &own], "").0, 200);
    assert!(lines.any(|line| line.contains("\"phase\":\"in-sync\"")));
    drop(daemon);
    let (status, _, body) = get(&format!("/{token}/v1/status"), &here);
    assert!(status == 502 && body.contains("start one with"), "{status}: {body}");
}
