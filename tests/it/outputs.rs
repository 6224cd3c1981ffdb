//! What each verb prints, for people and for programs, held to a file: `outputs.txt`. Figures, times and places are left out, and of JSON
//! the values: it is words and keys that others rely on. `TOWLINE_BLESS=1` writes the file.

use std::fmt::Write as _;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    rig::Rig,
    servers::{self, Kind, Tls},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/outputs.txt");

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        servers::trial(Kind::ProFtpd, "outputs::every_verb_says_what_it_said", || async { everything() }),
        crate::support::trial("outputs::what_differs_is_left_out", || async { lasting_words() }),
    ]
}

/// Text without what is another one each time.
fn lasting(text: &str, rig_dir: &str) -> String {
    let mut made = String::new();
    for line in text.replace(rig_dir, "DIR").lines() {
        // Of a fingerprint nothing lasts, nor of a name in the trash.
        let cut = line.find("sha256/").or_else(|| line.find(".towline-trash/")).or(line.strip_prefix("  sha256 ").map(|_| 9));
        let line = match cut {
            Some(at) => format!("{}#", &line[..at]),
            None => line.to_owned(),
        };
        let mut digits = false;
        for c in line.chars() {
            if !c.is_ascii_digit() {
                made.push(c);
            } else if !digits {
                made.push('#');
            }
            digits = c.is_ascii_digit();
        }
        made.push('\n');
    }
    // One, and some.
    made.replace("#.# ", "# ").replace("# KiB", "# B").replace("# MiB", "# B").replace("# min # s ago", "# s ago")
}

/// The keys of JSON, and of what kind their values are; of a list its first entry.
fn shape(value: &Value, depth: usize, into: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = writeln!(into, "{indent}{key}: {}", kind(value));
                shape(value, depth + 1, into);
            }
        }
        Value::Array(list) => list.first().into_iter().for_each(|first| shape(first, depth, into)),
        _ => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "yes or no",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(list) => match list.first() {
            None => "empty list",
            Some(Value::Object(_)) => "list of",
            Some(_) => "list",
        },
        Value::Object(_) => "object",
    }
}

struct Script<'r> {
    rig: &'r Rig,
    text: String,
}

impl Script<'_> {
    fn say(&mut self, args: &[&str]) {
        let output = self.rig.towline(args);
        let dir = self.rig.dir.path().to_str().unwrap();
        let shown = args.join(" ").replace(dir, "DIR");
        let _ = writeln!(self.text, "$ towline {shown}    ({})", output.status.code().unwrap());
        match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(value) if args.contains(&"--json") => shape(&value, 1, &mut self.text),
            _ => self.text += &lasting(&String::from_utf8_lossy(&output.stdout), dir),
        }
        let aside = lasting(&String::from_utf8_lossy(&output.stderr), dir);
        aside.lines().for_each(|line| self.text += &format!("! {line}\n"));
        self.text.push('\n');
    }
}

fn everything() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("delete = \"trash\"\nverify = { every = \"never\" }");
    rig.write("a/one", "one");
    rig.write("two", "two");
    let mut script = Script { rig: &rig, text: String::new() };
    for args in [&["status"][..], &["check"], &["check", "--online"], &["check", "--json"], &["plan"], &["sync"], &["sync"]] {
        script.say(args);
    }
    let to = rig.dir.path().join("back");
    let to = to.to_str().unwrap();
    for args in [
        &["verify", "site"][..],
        &["verify", "site", "--deep", "--json"],
        &["restore", "site", "--to", to],
        &["restore", "site", "--to", to, "--json"],
        &["trust", "lab"],
        &["trust", "lab", "--json"],
        &["doctor", "lab", "--json"],
        &["approve", "site"],
        &["adopt", "site"],
        &["adopt", "site", "--json"],
    ] {
        script.say(args);
    }
    let _daemon = rig.run();
    rig.await_sync();
    std::fs::remove_file(rig.source.join("two")).unwrap();
    rig.await_sync();
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["queue"],
        &["queue", "--json"],
        &["log", "-n", "1"],
        &["log", "-n", "1", "--json"],
        &["why", "a/one"],
        &["why", "a/one", "--json"],
        &["why", "two"],
        &["status", "nowhere"],
        &["wait", "--timeout", "30s"],
        &["wait", "a/one", "--timeout", "30s", "--json"],
        &["retry", "--all"],
        &["reload"],
        &["approve", "site"],
        &["reject", "site"],
        &["undo", "site", "--dry-run"],
        &["undo", "site", "two"],
        &["adopt", "site"],
        &["pause"],
        &["resume"],
        &["resume"],
        &["top"],
        &["plan", "nobody"],
    ] {
        script.say(args);
    }
    if std::env::var_os("TOWLINE_BLESS").is_some() {
        std::fs::write(FILE, &script.text).unwrap();
    }
    let known = std::fs::read_to_string(FILE).unwrap_or_default();
    let differs = known.lines().zip(script.text.lines()).enumerate().find(|(_, (known, now))| known != now);
    if let Some((number, (known, now))) = differs {
        panic!("line {} of outputs.txt has\n  {known}\nand this is said now:\n  {now}\nAll of it:\n{}", number + 1, script.text);
    }
    assert_eq!(known.lines().count(), script.text.lines().count(), "{}", script.text);
}

fn lasting_words() {
    assert_eq!(
        lasting("site: 12 files (3.40 KiB) in /tmp/x/y, 2026-11-24 10:00:00\n", "/tmp/x"),
        "site: # files (# B) in DIR/y, #-#-# #:#:#\n"
    );
    assert_eq!(lasting("  pin        sha256/AbC4=\n  sha256     AB:CD", "/x"), "  pin        #\n  sha# #\n");
    let mut shown = String::new();
    shape(&serde_json::json!({ "a": [{ "b": 1 }, {}], "c": null, "d": ["x"] }), 0, &mut shown);
    assert_eq!(shown, "a: list of\n  b: number\nc: null\nd: list\n");
}
