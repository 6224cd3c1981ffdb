//! `towline service`: what it writes and what it tells the service manager, which is played here; and what systemd's own tool
//! says of the units.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{Impossible, temp_dir, trial, trial_where};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, test) in [
        ("install_is_done_once_and_uninstall_keeps_the_rest", install as fn()),
        ("a_unit_that_was_changed_by_hand_is_not_overwritten", by_hand),
        ("without_a_service_manager_it_says_what_to_do", no_manager),
        ("print_changes_nothing", print),
        ("property_lists_can_be_read", plists),
        ("packages_hold_the_same", packages),
    ] {
        trials.push(trial(format!("service::{name}"), move || async move { test() }));
    }
    for (name, test) in [("units_are_sound", sound as fn()), ("the_system_unit_is_hardened", hardened)] {
        trials.push(trial_where(format!("service::{name}"), analyzer, move || async move { test() }));
    }
    trials
}

/// A person's home with a configuration, and a `systemctl` that keeps a log and knows one unit.
struct Home(TempDir);

const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> "$HOME/log"
[ ! -e "$HOME/no-bus" ] || { echo "Failed to connect to bus" >&2; exit 1; }
case "$*" in
    *"enable --now"*) touch "$HOME/runs" ;;
    *"disable --now"*) rm -f "$HOME/runs" ;;
    *LoadState*)
        if [ -e "$HOME/runs" ]; then
            printf 'LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nResult=success\n'
        else
            printf 'LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nResult=success\n'
        fi ;;
esac
"#;

impl Home {
    fn new() -> Self {
        let home = Self(temp_dir());
        fs::create_dir_all(home.path(".config/towline")).unwrap();
        fs::create_dir(home.path("bin")).unwrap();
        fs::write(home.path(".config/towline/towline.toml"), "").unwrap();
        fs::write(home.path("bin/systemctl"), SYSTEMCTL).unwrap();
        fs::set_permissions(home.path("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn unit(&self) -> PathBuf {
        self.path(".config/systemd/user/towline.service")
    }

    fn towline(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
        command.env_clear().env("HOME", self.0.path()).env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.arg("service").args(args).stdin(Stdio::null()).output().unwrap()
    }

    /// What systemctl was told since the last look, but for questions.
    fn told(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let _ = fs::remove_file(self.path("log"));
        let order = |line: &str| line.strip_prefix("--user --no-ask-password ").map(str::to_owned).expect("a user's");
        log.lines().map(order).filter(|line| !line.starts_with("show ")).collect()
    }
}

#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) {
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert_eq!(output.status.code(), Some(code), "{said}");
    says.iter().for_each(|words| assert!(said.contains(words), "{words:?} is missing in:\n{said}"));
}

fn install() {
    let home = Home::new();
    ends(&home.towline(&["status", "--user"]), 1, &["towline.service: not installed", "no towline daemon listens"]);
    ends(&home.towline(&["install", "--user"]), 0, &["installed as ", "enabled and started"]);
    assert_eq!(home.told(), ["daemon-reload", "enable --now towline.service"]);
    let unit = fs::read_to_string(home.unit()).unwrap();
    assert!(unit.contains(&format!("ExecStart={} --config", env!("CARGO_BIN_EXE_towline"))), "{unit}");
    ends(&home.towline(&["status", "--user"]), 0, &["towline.service: active (running), enabled"]);
    // Once more: nothing.
    ends(&home.towline(&["install", "--user"]), 0, &["nothing to do"]);
    assert_eq!(home.told(), Vec::<String>::new());
    // Other values, in a unit that nobody touched.
    ends(&home.towline(&["install", "--user", "--program", "/opt/towline"]), 0, &["was written anew"]);
    assert_eq!(home.told(), ["daemon-reload", "enable towline.service", "restart towline.service"]);
    ends(&home.towline(&["uninstall", "--user"]), 0, &["removed", "kept: the configuration (", ".local/state/towline)"]);
    assert_eq!(home.told(), ["disable --now towline.service", "daemon-reload"]);
    assert!(!home.unit().exists() && home.path(".config/towline/towline.toml").exists());
    ends(&home.towline(&["uninstall", "--user"]), 0, &["nothing to do"]);
    ends(&home.towline(&["uninstall", "--user", "--purge"]), 2, &["only the machine's service", "remove them yourself"]);
    // Nothing to run with.
    fs::remove_file(home.path(".config/towline/towline.toml")).unwrap();
    ends(&home.towline(&["install", "--user"]), 78, &["towline.toml", "write the configuration first"]);
    assert!(!home.unit().exists());
}

fn by_hand() {
    let home = Home::new();
    ends(&home.towline(&["install", "--user"]), 0, &[]);
    let changed = fs::read_to_string(home.unit()).unwrap().replace("WatchdogSec=180", "WatchdogSec=5");
    fs::write(home.unit(), &changed).unwrap();
    home.told();
    for args in [&["install", "--user"][..], &["uninstall", "--user"]] {
        ends(&home.towline(args), 1, &["was changed by hand", "systemctl edit towline", "--force"]);
        assert_eq!((fs::read_to_string(home.unit()).unwrap(), home.told().len()), (changed.clone(), 0));
    }
    ends(&home.towline(&["install", "--user", "--force"]), 0, &["was written anew"]);
    assert!(fs::read_to_string(home.unit()).unwrap().contains("WatchdogSec=180"));
}

fn no_manager() {
    let home = Home::new();
    fs::write(home.path("no-bus"), "").unwrap();
    for verb in ["install", "uninstall", "status"] {
        ends(&home.towline(&[verb, "--user"]), 1, &["no service manager answers", "connect to bus", "towline run"]);
    }
    fs::remove_file(home.path("bin/systemctl")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    command.env_clear().env("HOME", home.0.path()).env("PATH", home.path("bin")).args(["service", "install", "--user"]);
    ends(&command.output().unwrap(), 1, &["no service manager answers (systemctl: "]);
    assert!(!home.unit().exists());
}

fn print() {
    let home = Home::new();
    let output = home.towline(&["install", "--system", "--print", "--program", "/usr/bin/towline"]);
    ends(&output, 0, &[]);
    assert_eq!(output.stdout, fs::read(packaging("systemd/towline.service")).unwrap());
    let output = home.towline(&["install", "--user", "--print", "--program", "/usr/bin/towline"]);
    assert_eq!(output.stdout, fs::read(packaging("systemd/user/towline.service")).unwrap());
    assert_eq!((home.told().len(), home.unit().exists()), (0, false));
    ends(&home.towline(&["install", "--user", "--system"]), 2, &[]);
}

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn plists() {
    let script = "import plistlib, sys\n\
                  for name in sys.argv[1:]:\n    \
                      plist = plistlib.load(open(name, 'rb'))\n    \
                      assert plist['ProgramArguments'] == ['/usr/bin/towline', 'run'], plist\n    \
                      assert plist['KeepAlive'] == {'SuccessfulExit': False} and plist['Umask'] == 0o77, plist\n";
    let files = [packaging("launchd/daemon.plist"), packaging("launchd/agent.plist")];
    ends(&Command::new("python3").args(["-c", script]).args(files).output().unwrap(), 0, &[]);
}

/// What `Cargo.toml` says of packages: both hold the same files under the same names, all of which are there, and the version is one.
fn packages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let metadata = &manifest["package"]["metadata"];
    // A directory takes the name of its source.
    let placed = |source: &str, place: &str| {
        assert!(source.starts_with("target/package/stage/") || root.join(source).exists(), "{source} is not there");
        let name = if place.ends_with('/') { source.rsplit('/').next().unwrap() } else { "" };
        (source.to_owned(), format!("{}{name}", place.trim_start_matches('/')).replace("vendor-completions", "site-functions"))
    };
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let of = |kind: &str| metadata[kind]["assets"].as_array().unwrap().clone();
    let deb: BTreeSet<_> = of("deb").iter().map(|asset| placed(&text(&asset[0]), &text(&asset[1]))).collect();
    let rpm: BTreeSet<_> =
        of("generate-rpm").iter().map(|asset| placed(&text(&asset["source"]), &text(&asset["dest"]))).collect();
    let own: Vec<_> = deb.symmetric_difference(&rpm).map(|(_, place)| place.as_str()).collect();
    // Licences are in Debian's copyright.
    let expected = [
        "usr/share/licenses/towline/LICENSE-APACHE",
        "usr/share/licenses/towline/LICENSE-MIT",
        "usr/share/lintian/overrides/towline",
    ];
    assert_eq!(own, expected);
    let changelog = fs::read_to_string(packaging("debian/changelog")).unwrap();
    let version = concat!("towline (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(changelog.starts_with(version), "packaging/debian/changelog does not begin with {version:?}");
}

fn analyzer() -> Result<(), Impossible> {
    let tried = Command::new("systemd-analyze").arg("--version").output();
    tried.map(drop).map_err(|e| Impossible::Missing(format!("systemd-analyze (Debian: systemd): {e}")))
}

/// A unit as it is installed, but for the program, which must be there.
fn unit(dir: &TempDir, name: &str) -> PathBuf {
    let text = fs::read_to_string(packaging(name)).unwrap().replace("=/usr/bin/towline", "=/bin/true");
    let file = dir.path().join("towline.service");
    fs::write(&file, text).unwrap();
    file
}

fn sound() {
    let dir = temp_dir();
    for (name, scope) in [("systemd/towline.service", "--system"), ("systemd/user/towline.service", "--user")] {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", scope, "--man=no"]).arg(unit(&dir, name)).env("XDG_RUNTIME_DIR", dir.path());
        let output = command.output().unwrap();
        ends(&output, 0, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("towline.service:"), "{said}");
    }
}

fn hardened() {
    let dir = temp_dir();
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--no-pager", "--offline=true", "--threshold=15"]).arg(unit(&dir, "systemd/towline.service"));
    ends(&command.output().unwrap(), 0, &["Overall exposure level"]);
}
