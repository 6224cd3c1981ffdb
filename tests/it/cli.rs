//! The command line as its users meet it: exit codes, what is printed where, what is kept secret, what a vandal can do to it.

use std::{
    fs,
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, chown},
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    lost::full::fill,
    rig::{PATIENCE, Rig, names, tree},
    servers::{self, Kind, Tls},
    support::{trial, wait_until},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, test) in [
        ("help_of_every_verb_fits_a_screen_and_has_an_example", help as fn()),
        ("usage_errors_are_2", usage),
        ("completions_and_manual_pages_name_every_verb", pages),
        ("demo_leaves_nothing_behind_however_it_ends", demo),
    ] {
        trials.push(trial(format!("cli::{name}"), move || async move { test() }));
    }
    for (name, test) in [
        ("exit_codes", exit_codes as fn()),
        ("check_tells_what_is_wrong_on_this_machine", check),
        ("plan_has_reasons_and_leaves_the_state_as_it_was", plan),
        ("plan_goes_on_with_the_other_mirrors", plan_two),
        ("closed_pipe_is_no_panic_and_keeps_the_exit_code", closed_pipe),
        ("the_password_is_nowhere", canary),
        ("status_json_has_its_keys", status_json),
        ("the_socket_is_private_and_its_directory_is_made", socket),
        ("approve_works_without_a_daemon", approve),
        ("odd_names_are_mirrored_or_parked", odd_names),
        ("refused_by_the_server_is_parked", refused),
        ("damaged_state_is_named", damaged),
        ("state_in_the_source_is_not_mirrored", state_in_source),
        ("sync_tries_again_at_once_after_a_failure", sync_tries_again),
        ("sync_that_waits_for_a_password_can_be_interrupted", interrupted),
    ] {
        trials.push(servers::trial(Kind::ProFtpd, format!("cli::{name}"), move || async move { test() }));
    }
    // Needs a file system of its own, as vsftpd does.
    trials.push(servers::trial(Kind::Vsftpd, "cli::full_server_is_waited_for", || async { full() }));
    trials
}

fn bare(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    command.env_clear().env("HOME", "/nonexistent").args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts how a verb ended and what it said (on either stream).
#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in says {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

impl Rig {
    /// Rewrites the configuration.
    fn edit_config(&self, from: &str, to: &str) {
        let file = self.dir.path().join("towline.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    fn index(&self) -> std::path::PathBuf {
        self.state().join("mirrors/site.db")
    }
}

fn help() {
    let all = text(&bare(&["--help"]).stdout);
    let (_, list) = all.split_once("Commands:\n").unwrap();
    // What is further in goes on with what is said of the verb above.
    let verb = |line: &str| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).map(str::to_owned);
    let verbs = list.lines().take_while(|line| !line.is_empty()).filter_map(verb);
    let mut verbs: Vec<String> = verbs.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(verbs.len() > 25 && verbs.contains(&"reload".to_owned()), "{verbs:?}");
    verbs.retain(|verb| verb != "help");
    verbs.extend(["", "service install", "service uninstall", "service status"].map(str::to_owned));
    for verb in &verbs {
        let args: Vec<_> = verb.split(' ').chain(["--help"]).filter(|arg| !arg.is_empty()).collect();
        let output = bare(&args);
        ends(&output, 0, &["Usage:", "Example:"]);
        // The first has a line for each verb.
        let screen = if verb.is_empty() { 55 } else { 40 };
        assert!(output.stdout.iter().filter(|b| **b == b'\n').count() <= screen, "{verb}: more than a screen");
        assert!(output.stderr.is_empty());
    }
}

fn usage() {
    for args in [&[][..], &["frobnicate"], &["plan", "--nope"], &["approve"], &["--log", "loud", "run"], &["demo", "--for", "x"]]
    {
        let output = bare(args);
        ends(&output, 2, &[]);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

fn pages() {
    let verbs = ["check", "run", "service", "status", "undo", "trust"];
    let dir = crate::support::temp_dir();
    for shell in ["bash", "zsh", "fish"] {
        let output = bare(&["completions", shell]);
        ends(&output, 0, &verbs);
        fs::write(dir.path().join(shell), &output.stdout).unwrap();
    }
    let output = Command::new("bash").arg("-n").arg(dir.path().join("bash")).output().unwrap();
    ends(&output, 0, &[]);
    let pages = dir.path().join("man/man1");
    ends(&bare(&["man", "--out", pages.to_str().unwrap()]), 0, &[]);
    let first = fs::read_to_string(pages.join("towline.1")).unwrap();
    for verb in verbs {
        assert!(first.contains(verb) && pages.join(format!("towline-{verb}.1")).exists(), "{verb}\n{first}");
    }
}

fn demo() {
    let scratch = crate::support::temp_dir();
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
        command.env_clear().env("TMPDIR", scratch.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    };
    let output = command().args(["demo", "--for", "1s"]).output().unwrap();
    ends(&output, 0, &["= equal: 7 files on the server"]);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut child = command().arg("demo").spawn().unwrap();
        let mut first = [0; 1];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert!(child.wait().unwrap().success(), "{signal:?}");
    }
    assert_eq!(names(scratch.path()), Vec::<String>::new());
}

fn exit_codes() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    ends(&rig.towline(&["check"]), 0, &["configuration is right"]);
    ends(&rig.towline(&["check", "--online"]), 0, &["logged in over TLS 1.3"]);
    ends(&rig.towline(&["sync"]), 0, &["1 file sent", "in sync"]);
    ends(&rig.towline(&["plan"]), 0, &["site: nothing to do"]);
    ends(&rig.towline(&["sync", "nope"]), 2, &["there is no mirror called \"nope\"; there is: site"]);
    ends(&rig.towline(&["plan", "nope"]), 2, &["there is no mirror called"]);
    ends(&rig.towline(&["approve", "nope"]), 2, &["there is no mirror called"]);
    ends(&rig.towline(&["approve", "site"]), 1, &["nothing waits"]);
    ends(&rig.towline(&["status"]), 69, &["start one with `towline run`"]);
    // A path that cannot be read: the rest goes on.
    rig.write("bad\nname", "x");
    ends(&rig.towline(&["sync"]), 3, &["bad\\nname", "rename the file"]);
    fs::remove_file(rig.source.join("bad\nname")).unwrap();
    let missing = rig.dir.path().join("aside");
    fs::rename(&rig.source, &missing).unwrap();
    ends(&rig.towline(&["sync"]), 1, &["the source directory is missing"]);
    fs::rename(&missing, &rig.source).unwrap();

    let port = format!("port = {}", rig.server.port);
    for verb in [&["check", "--online"][..], &["sync"]] {
        rig.configure("");
        rig.write("file", format!("changed for {verb:?}"));
        rig.edit_config(&port, "port = 1");
        ends(&rig.towline(verb), 69, &["cannot connect to 127.0.0.1:1", "check host and port"]);
        rig.configure("");
        rig.edit_config("[remote.lab.tls]", "[remote.lab.tls]\nserver_name = \"other.example.com\"");
        ends(&rig.towline(verb), 76, &["it is not for other.example.com", "server_name"]);
        rig.configure("");
        let own = format!("ca = {:?}\n", rig.server.ca);
        rig.edit_config(&own, "");
        ends(&rig.towline(verb), 76, &["certificate is not trusted", "tls.ca"]);
        rig.configure("");
        fs::write(rig.dir.path().join("pass"), "hunter2\n").unwrap();
        ends(&rig.towline(verb), 77, &["530", "check user and password"]);
        rig.configure("");
        rig.edit_config("port =", "prt =");
        ends(&rig.towline(verb), 78, &["unknown key `prt`; did you mean `port`?", "towline.toml:"]);
    }
    rig.configure("");
    ends(&rig.towline(&["sync"]), 0, &["1 file sent"]);
}

fn check() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let pass = rig.dir.path().join("pass");
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o644)).unwrap();
    ends(&rig.towline(&["check"]), 78, &["others can read the password file", "chmod 600"]);
    fs::remove_file(&pass).unwrap();
    ends(&rig.towline(&["check"]), 78, &["cannot read the password file"]);
    rig.configure("");
    rig.edit_config("ca.pem", "none.pem");
    ends(&rig.towline(&["check"]), 78, &["cannot read certificates from", "none.pem"]);
    rig.configure("");
    rig.edit_config("source = \"source\"", "source = \"pass\"");
    ends(&rig.towline(&["check"]), 1, &["is not a directory", "correct `source`"]);
    rig.edit_config("source = \"pass\"", "source = \"missing\"");
    ends(&rig.towline(&["check"]), 1, &["does not exist"]);
    let text = fs::read_to_string(rig.dir.path().join("towline.toml")).unwrap();
    fs::write(rig.dir.path().join("towline.toml"), &text[..text.find("[[mirror]]").unwrap()]).unwrap();
    for verb in ["check", "plan", "sync", "run"] {
        ends(&rig.towline(&[verb]), 78, &["no mirror is configured", "[[mirror]]"]);
    }
    fs::remove_file(rig.dir.path().join("towline.toml")).unwrap();
    ends(&rig.towline(&["check"]), 78, &["no configuration file", "config/towline.example.toml"]);
}

fn plan() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("edited", "one");
    rig.write("moved", "the content of what moves");
    rig.write("gone", "gone soon");
    rig.write("touched", "the same");
    ends(&rig.towline(&["plan"]), 0, &["put edited (3 B): new"]);
    assert!(!rig.state().exists(), "a plan makes no state");
    ends(&rig.towline(&["sync"]), 0, &[]);
    rig.write("edited", "two, longer");
    rig.write("new/file", "n");
    rig.write("touched", "the same");
    fs::rename(rig.source.join("moved"), rig.source.join("new/place")).unwrap();
    fs::remove_file(rig.source.join("gone")).unwrap();
    let expected = [
        "site: would",
        "put edited (11 B):",
        "make directory new: new",
        "put new/file (1 B): new",
        "rename moved -> new/place: moved",
        "remove gone: gone here",
        "put touched (8 B): touched, same size",
    ];
    let before = fs::read(rig.index()).unwrap();
    let commands = rig.server.log();
    let output = rig.towline(&["plan"]);
    ends(&output, 0, &expected);
    assert!(output.stderr.is_empty());
    assert_eq!(fs::read(rig.index()).unwrap(), before, "a plan changes nothing");
    assert_eq!(rig.server.log(), commands, "a plan asks no server");
    // Beside a daemon, whose state it leaves alone.
    let _daemon = rig.run();
    rig.await_sync();
    ends(&rig.towline(&["plan", "site"]), 0, &["site: nothing to do"]);
    // Removals that wait.
    fs::remove_dir_all(&rig.source).unwrap();
    fs::create_dir(&rig.source).unwrap();
    let scratch = crate::support::temp_dir();
    let output = rig.command(&["plan"]).env("TMPDIR", scratch.path()).output().unwrap();
    ends(&output, 0, &["removals would wait: the source", "towline approve site"]);
    assert_eq!(names(scratch.path()), Vec::<String>::new(), "the copy of the state is left");
}

fn plan_two() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("[[mirror]]\nname = \"two\"\nsource = \"second\"\nremote = \"lab\"\npath = \"/two\"");
    rig.edit_config("source = \"source\"", "source = \"missing\"");
    fs::create_dir(rig.dir.path().join("second")).unwrap();
    fs::write(rig.dir.path().join("second/file"), "2").unwrap();
    let output = rig.towline(&["plan"]);
    ends(&output, 1, &["towline: site: ", "does not exist", "two: would", "put file (1 B): new"]);
    assert!(!text(&output.stdout).contains("exist"), "errors go to standard error");
}

fn closed_pipe() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    (0..3000).for_each(|i| rig.write(&format!("a-rather-long-name-for-a-file-{i}"), ""));
    // A pipe whose reader is gone before the first byte.
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let output = rig.command(&["plan"]).stdout(closed()).output().unwrap();
    ends(&output, 0, &[]);
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    // How a pass ended counts, whoever reads.
    rig.configure("ignore = [\"a-rather*\"]");
    rig.write("bad\rname", "x");
    ends(&rig.command(&["sync"]).stdout(closed()).output().unwrap(), 3, &[]);
    let output = rig.command(&["--log", "trace", "sync"]).stdout(Stdio::piped()).stderr(closed()).output().unwrap();
    ends(&output, 3, &["1 change is left to do"]);
    let _daemon = rig.run();
    rig.await_status("a status", |status| status["phase"] == "parked");
    for args in [&["status"][..], &["status", "--json"]] {
        ends(&rig.command(args).stdout(closed()).output().unwrap(), 0, &[]);
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    ends(&rig.command(&["status"]).stdout(full).output().unwrap(), 1, &["cannot write the output", "No space left"]);
}

/// The password must be in the password file and in the server's memory alone.
fn canary() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let secret = rig.server.password;
    // By a command, whose own arguments do not hold it.
    rig.edit_config("{ file = \"pass\" }", &format!("{{ command = [\"cat\", {:?}] }}", rig.dir.path().join("pass")));
    rig.write("file", vec![b'x'; 200_000]);
    let mut said = Vec::new();
    for args in [&["check", "--online"][..], &["sync"], &["plan"]] {
        let output = rig.towline(&[&["--log", "trace"], args].concat());
        ends(&output, 0, &[]);
        said.extend([output.stdout, output.stderr]);
    }
    let log = fs::File::create(rig.dir.path().join("log")).unwrap();
    let mut daemon =
        crate::rig::Daemon(rig.command(&["--log", "trace", "run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    rig.await_sync();
    rig.write("other", "y");
    rig.await_sync();
    let proc = Path::new("/proc").join(daemon.0.id().to_string());
    // Nobody but root may read the environment of what is not dumped.
    said.extend(["cmdline", "environ"].map(|file| fs::read(proc.join(file)).unwrap_or_default()));
    let output = rig.towline(&["--log", "trace", "status", "--json"]);
    said.extend([output.stdout, output.stderr]);
    said.extend(tree(&rig.state()).into_values().flatten());
    kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    assert!(daemon.0.wait().unwrap().success());
    // A refused login must not tell either.
    fs::write(rig.dir.path().join("pass"), format!("{secret}-not\n")).unwrap();
    let output = rig.towline(&["--log", "trace", "check", "--online"]);
    ends(&output, 77, &[]);
    said.extend([output.stdout, output.stderr, rig.log().into_bytes()]);
    assert!(said.len() > 12 && rig.log().contains("PASS ***"), "the trace shows the login: {}", rig.log());
    for bytes in said {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "the password is in: {}", text(&bytes));
    }
}

fn status_json() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    let daemon = rig.run();
    rig.await_sync();
    let output = rig.towline(&["status", "--json"]);
    ends(&output, 0, &[]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], daemon.0.id());
    let mirror = status["mirrors"][0].as_object().unwrap();
    for key in [
        "name",
        "phase",
        "at",
        "tally",
        "oldest_pending",
        "last_success",
        "last_full_scan",
        "in_flight",
        "paused",
        "errors",
        "logged",
        "halt",
        "link",
        "watch",
        "skipped",
        "problems",
        "warnings",
        "unseen",
        "counters",
        "stopped",
    ] {
        assert!(mirror.contains_key(key), "{key} is missing: {mirror:#?}");
    }
    ends(&rig.towline(&["status"]), 0, &["site: in sync; 1 file on the server (1 B)"]);
}

fn socket() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let daemon = rig.run();
    rig.await_sync();
    assert_eq!((mode(&rig.state()), mode(&rig.state().join("control.sock"))), (0o700, 0o600));
    // A killed daemon leaves its socket; the next one takes its place.
    drop(daemon);
    assert!(rig.state().join("control.sock").exists());
    ends(&rig.towline(&["status"]), 69, &["start one with `towline run`"]);
    let daemon = rig.run();
    rig.await_sync();
    drop(daemon);
    // $XDG_RUNTIME_DIR is there after a login, our directory in it is not.
    let runtime = rig.dir.path().join("runtime");
    fs::create_dir(&runtime).unwrap();
    let with = |args: &[&str]| {
        let mut command = rig.command(args);
        command.env("XDG_RUNTIME_DIR", &runtime).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut daemon = crate::rig::Daemon(with(&["run"]).spawn().unwrap());
    let socket = runtime.join("towline/control.sock");
    assert!(wait_until(PATIENCE, || socket.exists()), "no socket");
    assert_eq!((mode(&runtime.join("towline")), mode(&socket)), (0o700, 0o600));
    assert!(wait_until(PATIENCE, || with(&["status"]).output().unwrap().status.success()));
    kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    assert!(daemon.0.wait().unwrap().success());
    assert!(!socket.exists(), "the socket goes with the daemon");
}

fn approve() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    (0..5).for_each(|i| rig.write(&format!("{i}"), "x"));
    ends(&rig.towline(&["approve", "site"]), 1, &["nothing waits for an approval"]);
    ends(&rig.towline(&["sync"]), 0, &[]);
    fs::remove_dir_all(&rig.source).unwrap();
    fs::create_dir(&rig.source).unwrap();
    ends(&rig.towline(&["sync"]), 3, &["towline approve site"]);
    assert_eq!(names(&rig.mirrored()).len(), 5);
    ends(&rig.towline(&["approve", "site"]), 0, &["the removal of 5 files goes on with the next `towline sync`"]);
    ends(&rig.towline(&["sync"]), 0, &["5 removed"]);
    assert!(rig.is_equal());
}

fn odd_names() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let bytes = |name: &[u8]| rig.source.join(std::ffi::OsStr::from_bytes(name));
    let fine: [&[u8]; 11] = [
        b" lead",
        b"trail ",
        b"-dash",
        b"*?[]{}",
        b"quote\"'",
        b"back\\slash",
        b"tab\there",
        b"esc\x1b[31m",
        b"latin\xe9",
        b"%41",
        // Eaten by servers that speak telnet unless 0xFF is doubled: it once stopped the whole mirror.
        b"telnet\xff\xfecommand",
    ];
    for name in fine {
        fs::write(bytes(name), name).unwrap();
    }
    // FTP cannot carry these.
    for name in [b"line\nfeed".as_slice(), b"carriage\rreturn"] {
        fs::write(bytes(name), name).unwrap();
    }
    let output = rig.towline(&["sync"]);
    ends(&output, 3, &["parked     line\\nfeed:", "parked     carriage\\rreturn:", "11 files sent"]);
    assert!(!output.stderr.contains(&0x1b) && !output.stdout.contains(&0x1b), "names must not reach a terminal as they are");
    let held = tree(&rig.mirrored());
    assert_eq!(held.len(), fine.len(), "{held:?}");
    for name in fine {
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        assert_eq!(held.get(path).and_then(Option::as_deref), Some(name), "{path:?}");
    }
}

fn refused() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("locked/one", "1");
    rig.write("open/one", "1");
    ends(&rig.towline(&["sync"]), 0, &[]);
    let locked = rig.mirrored().join("locked");
    if rustix::process::geteuid().is_root() {
        chown(&locked, Some(0), Some(0)).unwrap();
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    rig.write("locked/two", "2");
    rig.write("open/two", "2");
    let output = rig.towline(&["sync"]);
    ends(&output, 3, &["parked     locked/two: refused by the server", "550", "check the permissions", "1 file sent"]);
    assert!(rig.mirrored().join("open/two").exists());
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o777)).unwrap();
    ends(&rig.towline(&["sync"]), 0, &["1 file sent"]);
    assert!(rig.is_equal());
}

fn damaged() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    ends(&rig.towline(&["sync"]), 0, &[]);
    let good = fs::read(rig.index()).unwrap();
    fs::write(rig.index(), b"no database at all, but long enough to be one".repeat(500)).unwrap();
    ends(&rig.towline(&["plan"]), 1, &["mirrors/site.db", "the state is damaged", "nothing is removed"]);
    let there = rig.mirrored().join("theirs");
    fs::write(&there, "what nobody here knows of").unwrap();
    ends(&rig.towline(&["sync"]), 0, &["in sync", "the state was damaged and is made anew", "site.db.damaged-"]);
    assert_eq!((rig.commands("DELE"), there.exists()), (0, true));
    fs::write(rig.index(), &good).unwrap();
    let db = rusqlite::Connection::open(rig.index()).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    for verb in ["plan", "sync", "run"] {
        ends(&rig.towline(&[verb]), 1, &["written by a newer towline", "install the newer towline"]);
    }
    fs::write(rig.index(), &good).unwrap();
    fs::write(rig.state().join("remotes.db"), b"neither is this one".repeat(500)).unwrap();
    ends(&rig.towline(&["sync"]), 0, &["remotes.db.damaged-", "learnt again"]);
    ends(&rig.towline(&["sync"]), 0, &["in sync"]);
}

/// Who mirrors a home directory has the state in it: it would be sent for ever, since sending changes it.
fn state_in_source() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write(".local/state/other", "x");
    let state = rig.source.join(".local/state/tow [line]");
    let run = |dir: &Path, verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
        command.env_clear().env("HOME", rig.dir.path()).env("STATE_DIRECTORY", dir).stdin(Stdio::null());
        command.arg("--config").arg(rig.dir.path().join("towline.toml")).arg(verb).output().unwrap()
    };
    ends(&run(&state, "sync"), 0, &["1 file sent", "in sync"]);
    ends(&run(&state, "plan"), 0, &["nothing to do"]);
    assert_eq!(names(&rig.mirrored()), [".local", ".local/state", ".local/state/other"]);
    for verb in ["check", "sync", "plan"] {
        ends(&run(&rig.source, verb), 78, &["holds Towline's own state", "--state-dir"]);
    }
}

fn sync_tries_again() {
    let mut rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("file", "x");
    rig.server.stop();
    ends(&rig.towline(&["sync"]), 69, &["cannot connect", "1 change is left to do"]);
    rig.server.start_again();
    ends(&rig.towline(&["sync"]), 0, &["1 file sent", "in sync"]);
}

fn interrupted() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let fifo = rig.dir.path().join("asked");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    rig.edit_config("{ file = \"pass\" }", &format!("{{ command = [\"sh\", \"-c\", \"echo > {}; sleep 90\"] }}", fifo.display()));
    let mut child = rig.command(&["sync"]).stderr(Stdio::piped()).spawn().unwrap();
    // The other end is opened when the command runs.
    assert_eq!(fs::read(&fifo).unwrap(), b"\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(wait_until(PATIENCE, || child.try_wait().unwrap().is_some()), "it waits for the password");
    ends(&child.wait_with_output().unwrap(), 1, &["interrupted"]);
}

/// The server's disk is full: the mirror waits, says why, and goes on when there is room.
fn full() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let mount = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).arg(&rig.server.root).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
    };
    mount("mount", &["-t", "tmpfs", "-o", "size=1m,uid=65534,gid=65534,mode=755", "towline-test"]);
    rig.write("0", vec![0; 400_000]);
    ends(&rig.towline(&["sync"]), 0, &[]);
    // To the last byte: of a write that half fits ProFTPD says "Input/output error".
    fill(&rig.server.root);
    (1..4).for_each(|i| rig.write(&format!("{i}"), vec![i; 400_000]));
    ends(&rig.towline(&["sync"]), 3, &["no space on the server", "free space on the server"]);
    let daemon = rig.run();
    let is_full = |status: &serde_json::Value| status["phase"] == "waiting" && status["link"]["class"] == "full";
    rig.await_status("the mirror waits", is_full);
    mount("mount", &["-o", "remount,size=3m"]);
    rig.await_sync();
    // Removals make room: once they waited behind the puts that needed it.
    fill(&rig.server.root);
    (4..8).for_each(|i| rig.write(&format!("{i}"), vec![i; 300_000]));
    rig.await_status("the mirror waits again", is_full);
    (0..4).for_each(|i| std::fs::remove_file(rig.source.join(format!("{i}"))).unwrap());
    rig.await_sync();
    drop(daemon);
    assert_eq!(rig.orphans(), Vec::<String>::new());
    assert!(wait_until(PATIENCE, || Command::new("umount").arg(&rig.server.root).output().is_ok_and(|o| o.status.success())));
}
