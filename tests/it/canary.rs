//! The password of the account, looked for everywhere that somebody may look: what each verb says at the highest log level, what is on the
//! disk, in the process list, on the socket and the page, in what others are told, in a core file. `init` has a trial of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::{
        fs::PermissionsExt,
        net::UnixStream,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    rig::{Daemon, PATIENCE, Rig, tree},
    servers::{self, Kind, Tls},
    support::{Impossible, temp_dir, trial_where, wait_until},
};

pub(crate) fn trials() -> Vec<Trial> {
    let everyone = || servers::possible(Kind::ProFtpd);
    let with = |name: &str, possible: fn() -> Result<(), Impossible>, test: fn()| {
        let possible = move || everyone().and_then(|()| possible());
        trial_where(format!("canary::{name}"), possible, move || async move { test() })
    };
    vec![
        with("the_password_is_in_nothing_that_is_said", || Ok(()), said),
        with("the_password_is_in_no_core_file", dumps, core),
        with("nobody_else_gets_through_to_the_socket", root, socket),
    ]
}

fn root() -> Result<(), Impossible> {
    if servers::is_root() { Ok(()) } else { Err(Impossible::NotAllowed("being somebody else needs root".to_owned())) }
}

/// Whether core files are written here at all.
fn dumps() -> Result<(), Impossible> {
    let dir = temp_dir();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).current_dir(dir.path()).stderr(Stdio::null());
    let ended = shell.status().map_err(|e| Impossible::Missing(format!("sh: {e}")))?;
    if ended.core_dumped() { Ok(()) } else { Err(Impossible::NotAllowed("no core file is written on this machine".to_owned())) }
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|part| part == secret.as_bytes())
}

/// What was heard, and where.
#[derive(Default)]
struct Heard(Vec<(String, Vec<u8>)>);

impl Heard {
    fn verb(&mut self, rig: &Rig, args: &[&str]) {
        let output = rig.towline(&[&["--log", "trace"], args].concat());
        self.0.push((format!("{args:?}"), [output.stdout, output.stderr].concat()));
    }

    /// All that the processes show that have to do with `dir`.
    fn processes(&mut self, dir: &Path) {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                let shown = fs::read(process.path().join(file)).unwrap_or_default();
                if holds(&shown, dir.to_str().unwrap()) {
                    self.0.push((format!("{}/{file}", process.path().display()), shown));
                }
            }
        }
    }
}

/// An answer to a GET over some stream, as far as it comes within a moment: one of them never ends.
fn get(mut stream: impl Read + Write, path: &str, host: &str) -> Vec<u8> {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut some) {
        all.extend_from_slice(&some[..n]);
        if all.windows(7).any(|part| part == b"\ndata: ") {
            break;
        }
    }
    all
}

fn said() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let secret = rig.server.password;
    let (file, dir) = (rig.dir.path().join("towline.toml"), rig.dir.path().to_owned());
    let config = fs::read_to_string(&file).unwrap();
    let script = r#"env > told; echo \"$@\" >> told"#;
    let notify = format!("[notify]\nafter = \"1s\"\ncommand = [\"sh\", \"-c\", \"cd {} && {script}\", \"sh\"]\n", dir.display());
    fs::write(&file, config.replace("delete = \"remove\"", "delete = \"trash\"") + &notify).unwrap();
    (0..5).for_each(|i| rig.write(&format!("f{i}"), vec![b'x'; 30_000]));
    let log = fs::File::create(dir.join("log")).unwrap();
    let mut daemon = Daemon(rig.command(&["--log", "trace", "run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    rig.await_sync();
    let mut heard = Heard::default();
    heard.processes(&dir);
    let to = dir.join("back");
    let to = to.to_str().unwrap();
    for args in [
        &["status", "--json"][..],
        &["status"],
        &["check", "--online", "--json"],
        &["doctor", "lab", "--json"],
        &["trust", "lab", "--json"],
        &["plan"],
        &["queue", "--json"],
        &["log", "--json"],
        &["metrics"],
        &["why", "f1", "--json"],
        &["wait", "--timeout", "30s"],
        &["verify", "site", "--deep", "--json"],
        &["restore", "site", "--to", to, "--json"],
        &["pause", "--for", "1s"],
        &["resume"],
        &["retry", "--all"],
        &["reload"],
        &["undo", "site", "--dry-run"],
        &["service", "install", "--print"],
        &["top"],
        &["adopt", "site"],
    ] {
        heard.verb(&rig, args);
    }
    // The API, and the page with its own way to it.
    let mut child =
        rig.command(&["--log", "trace", "web", "--no-open"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let page = Daemon(child);
    let host = address.trim().strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let token = address.trim().trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    for path in ["", "app.js", "v1/status", "v1/events", "v1/mirrors/site/log", "v1/mirrors/site/queue"] {
        let stream = TcpStream::connect(&host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        heard.0.push((format!("the page's {path}"), get(stream, &format!("/{token}/{path}"), &host)));
    }
    for path in ["/v1/status", "/v1/events", "/v1/metrics", "/v1/mirrors/site/log", "/v1/nothing"] {
        let stream = UnixStream::connect(rig.state().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        heard.0.push((format!("the socket's {path}"), get(stream, path, "towline")));
    }
    heard.processes(&dir);
    drop(page);
    // Somebody is told of a state, by the refusal of the very password.
    let lab = |pass: &str| fs::write(dir.join("pass"), format!("{pass}\n")).unwrap();
    lab(&format!("{secret}-not"));
    kill_process(Pid::from_child(&daemon.0), Signal::TERM).unwrap();
    assert!(daemon.0.wait().unwrap().success());
    rig.write("new", "y");
    let log = fs::File::options().append(true).open(dir.join("log")).unwrap();
    let daemon = Daemon(rig.command(&["--log", "trace", "run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    assert!(wait_until(PATIENCE, || dir.join("told").exists()), "nobody was told\n{}", rig.log());
    heard.verb(&rig, &["status"]);
    drop(daemon);
    heard.verb(&rig, &["sync"]);
    // All that lies on the disk, but the file that is for it.
    for (path, body) in tree(&dir).into_iter().filter(|(path, _)| path != Path::new("pass")) {
        heard.0.push((path.display().to_string(), body.unwrap_or_default()));
    }
    assert!(heard.0.len() > 50 && rig.log().contains("PASS ***"), "the trace shows the login: {}", rig.log());
    for what in ["app.js", "v1/events", "cmdline", "told", "site.db"] {
        assert!(heard.0.iter().any(|(name, bytes)| name.contains(what) && !bytes.is_empty()), "{what} was not looked at");
    }
    for (what, bytes) in heard.0 {
        assert!(!holds(&bytes, secret), "the password is in {what}: {}", String::from_utf8_lossy(&bytes));
    }
}

/// Starts a program of which the limits allow any core file.
fn dumped(command: &Command, dir: &Path) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().unwrap()
}

/// Ends a program as a bug would.
fn abort(child: &mut Child) -> ExitStatus {
    kill_process(Pid::from_child(child), Signal::ABORT).unwrap();
    child.wait().unwrap()
}

/// The daemon is not dumped, whatever the limits say.
fn core() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.write("a", "x");
    let mut daemon = Daemon(dumped(&rig.command(&["run"]), rig.dir.path()));
    rig.await_sync();
    let ended = abort(&mut daemon.0);
    assert!(ended.signal() == Some(Signal::ABORT.as_raw()) && !ended.core_dumped(), "{ended}");
}

/// Even where the way to it is open.
fn socket() {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    let _daemon = rig.run();
    rig.await_sync();
    for dir in [rig.dir.path().to_owned(), rig.state()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ask = |uid: u32| {
        let words = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", words]).arg(rig.state().join("control.sock")).uid(uid).gid(uid);
        command.output().unwrap()
    };
    let refused = ask(65_534);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("PermissionError"), "{why}");
    assert!(ask(0).status.success());
}
