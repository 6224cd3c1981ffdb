//! A Debian that is really booted: systemd as process 1, in a container, on a root that forgets everything when it ends. Knows nothing of
//! Towline.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    servers::{self, Family},
    support::{Impossible, temp_dir, wait_until},
};

/// How long a machine may take until it is up.
const BOOT: Duration = Duration::from_secs(60);

/// A machine that is up. Dropping it kills it.
pub(super) struct Machine {
    name: String,
    family: Family,
    /// The number that its process 1 has here.
    leader: u32,
    dir: TempDir,
}

/// What a command said, on both channels.
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

impl Machine {
    /// Whether one can be booted here. Makes the root where it is missing.
    pub(super) fn possible() -> Result<(), Impossible> {
        if !servers::is_root() {
            return Err(Impossible::NotAllowed("a machine can only be booted by root".to_owned()));
        }
        static POSSIBLE: OnceLock<Result<(), String>> = OnceLock::new();
        POSSIBLE.get_or_init(|| Self::try_boot().map(drop)).clone().map_err(Impossible::Missing)
    }

    pub(super) fn boot() -> Self {
        Self::try_boot().expect("the trial was to ask `possible` first")
    }

    fn try_boot() -> Result<Self, String> {
        let root = root()?;
        let propagation = servers::mount_propagation().ok_or("mount namespaces (unshare -m) cannot be had")?;
        Command::new("systemd-nspawn")
            .arg("--version")
            .output()
            .map_err(|e| format!("systemd-nspawn (Debian: systemd-container): {e}"))?;
        let dir = temp_dir();
        let at = dir.path().join("machine");
        fs::create_dir(&at).unwrap();
        let name = dir.path().file_name().unwrap().to_str().unwrap().to_lowercase().replace('.', "");
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", propagation, "--pid", "--fork", "--kill-child", "sh"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/boot.sh")).arg(root).arg(&name).arg(&at);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let family = Family::spawn(command, &dir.path().join("console")).unwrap();
        let mut machine = Self { name, family, leader: 0, dir };
        let is_up = wait_until(BOOT, || !machine.family.is_running() || machine.is_up());
        let lives = machine.family.is_running();
        if is_up && lives { Ok(machine) } else { Err(format!("a machine cannot be booted here: {}", machine.console())) }
    }

    /// Runs a line of shell as root.
    pub(super) fn sh(&self, script: &str) -> Said {
        self.piped(script, "")
    }

    /// The same with something on standard input.
    pub(super) fn piped(&self, script: &str, input: &str) -> Said {
        let file = self.dir.path().join("input");
        fs::write(&file, input).unwrap();
        Said::of(&self.command(script).stdin(fs::File::open(file).unwrap()).output().unwrap())
    }

    /// The same, where it has to succeed. Gives what it said.
    #[track_caller]
    pub(super) fn must(&self, script: &str) -> String {
        self.sh(script).ends(0, &[], self)
    }

    /// A file of the machine, as it is found from here. It must not lead through a symbolic link.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.leader.to_string()).join("root").join(name.trim_start_matches('/'))
    }

    /// Waits for a line of shell to succeed.
    #[track_caller]
    pub(super) fn eventually(&self, what: &str, script: &str) {
        let mut last = Said { code: None, text: String::new() };
        let holds = wait_until(crate::rig::PATIENCE, || {
            last = self.sh(script);
            last.code == Some(0)
        });
        assert!(holds, "{what}: {script}: {:?} {}\n{}", last.code, last.text, self.journal());
    }

    /// What systemd knows of a unit.
    pub(super) fn property(&self, unit: &str, name: &str) -> String {
        self.must(&format!("systemctl show --value --property={name} {unit}")).trim().to_owned()
    }

    /// Every file with its owner, its mode and what it says (a digest), but for what the system itself writes while it runs.
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        // dpkg's and apt's books, logs, caches, what runs; the backups of passwd(5) and group(5).
        let but = ["var/lib/dpkg", "var/lib/apt", "var/log", "var/cache", "var/lib/systemd/random-seed", "var/tmp"];
        let but: String = but.iter().map(|dir| format!("-path ./{dir} -o ")).collect();
        let backups = "-path './etc/*-' -o -path ./etc/.pwd.lock";
        let script = format!(
            "cd / && find . -xdev \\( {but} {backups} \\) -prune -o \\( -type f -printf '%p|%M %u %g %s\\n' -o -printf '%p|%M %u %g %l\\n' \\) && \
             sha256sum /etc/passwd /etc/group /etc/shadow /etc/gshadow | sed 's/\\(.*\\)  \\(.*\\)/digest of \\2|\\1/'"
        );
        let text = self.must(&script);
        text.lines().filter_map(|line| line.split_once('|')).map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    }

    /// The last it wrote down.
    pub(super) fn journal(&self) -> String {
        self.sh("journalctl --no-pager --quiet --boot --lines=60").text
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.leader.to_string(), "--", "/bin/sh", "-c", script]);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command.stdin(Stdio::null());
        command
    }

    fn is_up(&mut self) -> bool {
        if self.leader == 0 {
            self.leader = first_process(self.family.id()).unwrap_or_default();
        }
        // Degraded, too: not every service of a system is at home in a container.
        self.leader != 0 && matches!(self.sh("systemctl is-system-running").text.trim(), "running" | "degraded")
    }

    fn console(&self) -> String {
        self.family.output()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the machine's console:\n{}---", self.console());
        }
        self.family.kill();
        // Nothing is left of it but the control groups that boot.sh made.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for group in mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4)) {
            remove_groups(&Path::new(group).join(&self.name));
        }
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        Self { code: output.status.code(), text }
    }

    /// It has to end like this, and say this. Gives what it said.
    #[track_caller]
    pub(super) fn ends(self, code: i32, says: &[&str], machine: &Machine) -> String {
        assert_eq!(self.code, Some(code), "{}\n--- journal:\n{}", self.text, machine.journal());
        says.iter().for_each(|words| assert!(self.text.contains(words), "{words:?} is missing in:\n{}", self.text));
        self.text
    }
}

/// The root that machines are booted from; made on the first call of all, once for all test runs.
fn root() -> Result<PathBuf, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/root.sh");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("systemd");
    let home = std::env::var_os("TOWLINE_SYSTEMD").map_or(target, PathBuf::from);
    let output = Command::new("bash").arg(script).env("TOWLINE_SYSTEMD", home).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("cannot start {script}: {e}"))?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let told = String::from_utf8_lossy(&output.stderr);
    eprintln!("{told}");
    Err(told.trim().lines().next_back().unwrap_or("root.sh failed").to_owned())
}

/// The descendant of this process that is process 1 of the machine: first in a space of processes, which lies in that of boot.sh.
fn first_process(ancestor: u32) -> Option<u32> {
    let of = |pid: u32, key: &str| -> Vec<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let words = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        words.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let parent = |pid: &u32| of(*pid, "PPid:").first().copied().filter(|parent| *parent != 0);
    let ours = of(std::process::id(), "NSpid:").len();
    let entries = fs::read_dir("/proc").ok()?.flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid| {
        let numbers = of(*pid, "NSpid:");
        numbers.len() == ours + 2
            && numbers.last() == Some(&1)
            && std::iter::successors(Some(*pid), parent).any(|pid| pid == ancestor)
    })
}

fn remove_groups(group: &Path) {
    let inner = fs::read_dir(group).into_iter().flatten().flatten();
    inner.filter(|entry| entry.path().is_dir()).for_each(|entry| remove_groups(&entry.path()));
    // The last process leaves it a moment after its end.
    wait_until(Duration::from_secs(5), || fs::remove_dir(group).is_ok() || !group.exists());
}
