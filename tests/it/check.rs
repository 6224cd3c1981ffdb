//! `towline check`, and what a configuration is read from: the file, its drop-ins, variables of the environment.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    rig::{Rig, tree},
    servers::{self, Kind, Tls},
    support::{temp_dir, trial},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, test) in [
        ("names_the_files_that_it_read", files as fn()),
        ("tells_a_program_what_is_wrong_and_where", json),
        ("variables_lie_over_the_files", variables),
    ] {
        trials.push(trial(format!("check::{name}"), move || async move { test() }));
    }
    for (name, test) in [("asks_the_servers", online as fn()), ("a_reload_reads_drop_ins_and_variables", reload)] {
        trials.push(servers::trial(Kind::ProFtpd, format!("check::{name}"), move || async move { test() }));
    }
    trials
}

const REMOTE: &str = "[remote.web]\nhost = \"h\"\nuser = \"u\"\npassword = { file = \"pass\" }\n";

fn mirror(name: &str, source: &Path) -> String {
    format!("[[mirror]]\nname = {name:?}\nsource = {source:?}\nremote = \"web\"\npath = \"/{name}\"\n")
}

/// A configuration in two files, which is right.
fn house() -> TempDir {
    let dir = temp_dir();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(dir.path().join("towline.toml"), format!("{REMOTE}{}", mirror("one", &source))).unwrap();
    fs::write(dir.path().join("conf.d/two.toml"), mirror("two", &source)).unwrap();
    servers::pki::write_secret(&dir.path().join("pass"), "secret\n");
    dir
}

fn check(dir: &TempDir, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    command.env_clear().env("HOME", dir.path()).envs(variables.iter().copied());
    command.arg("--config").arg(dir.path().join("towline.toml")).arg("check").args(args).stdin(Stdio::null()).output().unwrap()
}

/// What it tells a program; and that the exit code is in it.
fn told(output: &Output) -> Value {
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(output)));
    assert_eq!(told["exit"], json!(output.status.code()), "{told:#}");
    assert!(output.stderr.is_empty(), "{}", text(output));
    told
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    says.iter().for_each(|words| assert!(said.contains(words), "{words:?} is missing in:\n{said}"));
}

fn files() {
    let dir = house();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let read = [format!("read {}\n", path("towline.toml")), format!("read {}\n", path("conf.d/two.toml"))].concat();
    ends(&check(&dir, &[], &[]), 0, &[&read, "one: ", "two: ", "configuration is right"]);
    // The error is of the right file, and of both where both have it.
    fs::write(dir.path().join("conf.d/three.toml"), REMOTE).unwrap();
    // Defaults of a drop-in count in the file, and are set once.
    let limit = |file: &str, n: u8| fs::write(dir.path().join(file), format!("[defaults.remote]\nport = {n}\n")).unwrap();
    limit("conf.d/three.toml", 99);
    ends(&check(&dir, &[], &[]), 0, &["ftps://u@h:99/one"]);
    limit("conf.d/four.toml", 98);
    let both = format!(
        "{}:2:1: `port` of [defaults.remote] is set already, at {}:2:1",
        path("conf.d/three.toml"),
        path("conf.d/four.toml")
    );
    ends(&check(&dir, &[], &[]), 78, &[&both]);
    fs::remove_file(dir.path().join("conf.d/four.toml")).unwrap();
    fs::write(dir.path().join("conf.d/three.toml"), REMOTE).unwrap();
    let twice = format!("{}:1:9: remote `web` exists already, at {}:1:9", path("conf.d/three.toml"), path("towline.toml"));
    ends(&check(&dir, &[], &[]), 78, &[&twice]);
}

fn json() {
    let dir = house();
    let all = told(&check(&dir, &["--json"], &[]));
    assert_eq!(
        (&all["exit"], &all["faults"], &all["error"], &all["variables"]),
        (&json!(0), &json!([]), &Value::Null, &json!([]))
    );
    assert_eq!(all["files"].as_array().unwrap().len(), 2);
    let first = &all["mirrors"][0];
    for key in ["mirror", "source", "server", "path", "tls", "problems", "warnings"] {
        assert!(first.get(key).is_some(), "{key} is missing: {first:#}");
    }
    assert_eq!(all["mirrors"][1]["mirror"], "two");
    // Of each mirror what is wrong here.
    fs::remove_dir(dir.path().join("source")).unwrap();
    let missing = told(&check(&dir, &["--json"], &[]));
    assert_eq!(missing["exit"], 1);
    assert!(missing["mirrors"][0]["problems"][0]["what"].as_str().unwrap().contains("does not exist"), "{missing:#}");
    assert_eq!(missing["mirrors"][1]["problems"][0]["exit"], 1);
    // What is written wrong, and where.
    fs::write(dir.path().join("conf.d/two.toml"), "[[mirror]]\nnam = \"x\"\n").unwrap();
    let wrong = told(&check(&dir, &["--json"], &[]));
    let fault = &wrong["faults"][0];
    assert_eq!((&wrong["exit"], &fault["line"], &fault["column"]), (&json!(78), &json!(2), &json!(1)), "{wrong:#}");
    assert!(fault["file"].as_str().unwrap().ends_with("/conf.d/two.toml"));
    assert!(fault["message"].as_str().unwrap().contains("did you mean `name`?"));
    fs::remove_file(dir.path().join("towline.toml")).unwrap();
    let none = told(&check(&dir, &["--json"], &[]));
    assert_eq!(none["exit"], 78);
    assert!(none["error"]["what"].as_str().unwrap().starts_with("no configuration file"), "{none:#}");
}

fn variables() {
    let dir = house();
    let host = ("TOWLINE__REMOTE__WEB__HOST", "ftp.example.com");
    ends(&check(&dir, &[], &[host]), 0, &["read $TOWLINE__REMOTE__WEB__HOST", "ftps://u@ftp.example.com:21/one"]);
    let port = ("TOWLINE__REMOTE__WEB__PORT", "0");
    ends(&check(&dir, &[], &[host, port]), 78, &["$TOWLINE__REMOTE__WEB__PORT: port: expected a number from 1 to 65535"]);
    let wrong = told(&check(&dir, &["--json"], &[host, port]));
    assert_eq!((&wrong["faults"][0]["file"], &wrong["faults"][0]["line"]), (&json!("$TOWLINE__REMOTE__WEB__PORT"), &json!(0)));
    assert_eq!(wrong["variables"].as_array().unwrap().len(), 2);
    // A drop-in's, and one that nothing has.
    ends(&check(&dir, &[], &[("TOWLINE__MIRROR__TWO__PATH", "/elsewhere")]), 0, &["21/elsewhere"]);
    ends(&check(&dir, &[], &[("TOWLINE__MIRROR__THREE__PATH", "/x")]), 78, &["there is `TOWLINE__REMOTE__WEB__`"]);
    let secret = check(&dir, &[], &[("TOWLINE__REMOTE__WEB__PASSWORD", "hunter2")]);
    ends(&secret, 78, &["the password itself does not belong"]);
    assert!(!text(&secret).contains("hunter2"));
}

fn online() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let all = told(&rig.towline(&["check", "--online", "--json"]));
    assert_eq!((&all["exit"], &all["mirrors"][0]["tls"]), (&json!(0), &json!("TLS 1.3")), "{all:#}");
    fs::write(rig.dir.path().join("pass"), "wrong\n").unwrap();
    let refused = told(&rig.towline(&["check", "--online", "--json"]));
    let problem = &refused["mirrors"][0]["problems"][0];
    assert_eq!((&refused["exit"], &problem["exit"]), (&json!(77), &json!(77)), "{refused:#}");
    assert!(problem["what"].as_str().unwrap().contains("530"));
}

fn reload() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("one", "1");
    // A variable that the daemon was started with holds for what it reads later.
    let path = rig.server.remote("mirror/../elsewhere").replace("mirror/../", "");
    let mut command = rig.command(&["run"]);
    command.env("TOWLINE__MIRROR__SITE__PATH", &path).stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = crate::rig::Daemon(command.spawn().unwrap());
    rig.await_status("in sync", |status| status["phase"] == "in-sync");
    assert_eq!(tree(&rig.source), tree(&rig.server.root.join("elsewhere")));
    let second = rig.dir.path().join("second");
    fs::create_dir(&second).unwrap();
    fs::create_dir(rig.dir.path().join("conf.d")).unwrap();
    let two =
        mirror("two", &second).replace("\"web\"", "\"lab\"").replace("\"/two\"", &format!("{:?}", rig.server.remote("two")));
    fs::write(rig.dir.path().join("conf.d/two.toml"), &two).unwrap();
    ends(&rig.towline(&["reload"]), 0, &["two: started", "site: as it was"]);
    // Twice is once too often, and changes nothing.
    fs::write(rig.dir.path().join("conf.d/zwei.toml"), &two).unwrap();
    ends(&rig.towline(&["reload"]), 78, &["conf.d/zwei.toml:2:8: mirror `two` exists already, at ", "conf.d/two.toml:2:8"]);
    fs::remove_file(rig.dir.path().join("conf.d/zwei.toml")).unwrap();
    fs::remove_file(rig.dir.path().join("conf.d/two.toml")).unwrap();
    ends(&rig.towline(&["reload"]), 0, &["two: stopped", "site: as it was"]);
}
