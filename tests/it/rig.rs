//! The real binary against a real server: a configuration, a source, a state directory, and verbs to drive them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    servers::{Kind, Server, Tls},
    support::{temp_dir, wait_until},
};

/// How long anything may take that ends by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) source: PathBuf,
    pub(crate) dir: TempDir,
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon(pub(crate) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Rig {
    pub(crate) fn new(kind: Kind, tls: Tls) -> Self {
        Self::with(Server::start(kind, tls))
    }

    pub(crate) fn with(server: Server) -> Self {
        let dir = temp_dir();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        let rig = Self { server, source, dir };
        rig.configure("");
        rig
    }

    /// From now on everything goes over one connection.
    pub(crate) fn take_one_connection(&self) {
        let config = self.dir.path().join("towline.toml");
        fs::write(&config, fs::read_to_string(&config).unwrap().replace("connections = 4", "connections = 1")).unwrap();
    }

    /// Writes the configuration, with `more` keys for the mirror. What is gone here is removed for good, if they say nothing else.
    pub(crate) fn configure(&self, more: &str) {
        let delete = if more.contains("delete = ") { "" } else { "delete = \"remove\"\n" };
        let quiet = if more.contains("quiet = ") { "" } else { "quiet = \"50ms\"\n" };
        let password = self.dir.path().join("pass");
        fs::write(&password, format!("{}\n", self.server.password)).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "[remote.lab]\nhost = {:?}\nport = {}\nuser = {:?}\npassword = {{ file = \"pass\" }}\nconnections = 4\n\
             [remote.lab.tls]\nca = {:?}\n\
             [remote.lab.timeouts]\nconnect = \"5s\"\nreply = \"10s\"\nstall = \"10s\"\n\
             [[mirror]]\nname = \"site\"\nsource = \"source\"\nremote = \"lab\"\npath = {:?}\n{quiet}{delete}{more}\n",
            self.server.host,
            self.server.port,
            self.server.user,
            self.server.ca,
            self.server.remote("mirror"),
        );
        fs::write(self.dir.path().join("towline.toml"), text).unwrap();
    }

    /// The program with this rig's configuration and state, and nothing of the caller's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_with(&self.state(), args)
    }

    /// The same with another state.
    pub(crate) fn command_with(&self, state: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.dir.path());
        command.arg("--config").arg(self.dir.path().join("towline.toml"));
        command.arg("--state-dir").arg(state).args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Runs a verb to its end.
    pub(crate) fn towline(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts the daemon; what it logs is in the file `log`.
    pub(crate) fn run(&self) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        Daemon(self.command(&["--log", "debug", "run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Starts the daemon in a user namespace of its own that may watch no more than `watches` directories.
    pub(crate) fn run_with_watches(&self, watches: u32) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let towline = self.command(&["run"]);
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            "echo \"$0\" > /proc/sys/user/max_inotify_watches && exec \"$@\"",
        ]);
        command.arg(watches.to_string()).arg(towline.get_program()).args(towline.get_args());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.dir.path());
        Daemon(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The only mirror's status; nothing while no daemon answers.
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        let output = self.towline(&["status", "--json"]);
        let mut status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(status["mirrors"][0].take())
    }

    pub(crate) fn phase(&self) -> String {
        self.status().and_then(|s| Some(s["phase"].as_str()?.to_owned())).unwrap_or_default()
    }

    /// Waits for a status for which `holds`.
    pub(crate) fn await_status(&self, what: &str, holds: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let mut last = serde_json::Value::Null;
        let came = wait_until(PATIENCE, || {
            last = self.status().unwrap_or_default();
            holds(&last)
        });
        assert!(came, "{what} did not come; status: {last:#}\nlog:\n{}", self.log());
        last
    }

    /// Waits until the daemon says that it is in sync and both trees are equal.
    pub(crate) fn await_sync(&self) {
        let equal = wait_until(PATIENCE, || self.phase() == "in-sync" && self.is_equal());
        assert!(
            equal,
            "not in sync: {:#}\nhere:   {:?}\nserver: {:?}\nlog:\n{}",
            self.status().unwrap_or_default(),
            names(&self.source),
            names(&self.mirrored()),
            self.log()
        );
    }

    /// The mirror's directory as the server has it.
    pub(crate) fn mirrored(&self) -> PathBuf {
        self.server.root.join("mirror")
    }

    pub(crate) fn is_equal(&self) -> bool {
        tree(&self.source) == tree(&self.mirrored())
    }

    pub(crate) fn write(&self, name: &str, body: impl AsRef<[u8]>) {
        let path = self.source.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }

    /// How often the server's own log names the command `verb`, but for the probe's and those of the marker.
    pub(crate) fn commands(&self, verb: &str) -> usize {
        let log: String = self
            .server
            .log()
            .lines()
            .filter(|line| !line.contains(".towline-probe") && !line.contains(".towline-mirror"))
            .map(|line| format!("{line}\n"))
            .collect();
        log.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| *word == verb).count()
    }

    /// The names of temporary files that were left on the server.
    pub(crate) fn orphans(&self) -> Vec<String> {
        names(&self.mirrored()).into_iter().filter(|name| name.contains(".towline-")).collect()
    }
}

/// Everything below `dir` but the marker and the trash: files with their bytes, directories without. A directory that is not there is
/// empty.
pub(crate) fn tree(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(dir).unwrap().to_owned();
            if [".towline-mirror", ".towline-trash"].iter().any(|ours| name == Path::new(ours)) {
                continue;
            }
            if path.is_dir() {
                found.insert(name, None);
                left.push(path);
            } else if let Ok(body) = fs::read(&path) {
                found.insert(name, Some(body));
            }
        }
    }
    found
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    tree(dir).keys().map(|path| path.to_string_lossy().into_owned()).collect()
}
