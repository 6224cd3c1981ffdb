//! A password in the keyring of the session: a real Secret Service, on a session bus of its own.

use std::{fs, path::Path, process::Command};

use libtest_mimic::Trial;

use super::{Scene, ends};
use crate::{
    rig::tree,
    servers::{self, Kind},
    support::{self, Impossible},
};

/// What it takes, and where Debian has it.
const TOOLS: [(&str, &str); 3] =
    [("dbus-run-session", "dbus-daemon"), ("gnome-keyring-daemon", "gnome-keyring"), ("secret-tool", "libsecret-tools")];

/// Brings up a keyring that is unlocked, and runs its arguments beside it.
const SESSION: &str = "printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null && \"$@\"";

pub(super) fn trials() -> Vec<Trial> {
    vec![support::trial_where("init::the_password_is_in_the_keyring", possible, || async { kept() })]
}

/// Whether there can be a keyring here.
fn possible() -> Result<(), Impossible> {
    servers::possible(Kind::ProFtpd)?;
    let is_there = |tool: &str| ["/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(tool).exists());
    match TOOLS.iter().find(|(tool, _)| !is_there(tool)) {
        Some((tool, package)) => Err(Impossible::Missing(format!("{tool}: apt-get install {package}"))),
        None => Ok(()),
    }
}

/// What runs `command` in such a session, whose keyring is in the home directory of `scene`.
fn in_session(scene: &Scene, command: &Command) -> Command {
    let mut session = Command::new("dbus-run-session");
    session.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", scene.dir.path());
    session.env("XDG_RUNTIME_DIR", scene.path("run")).env("LANG", "C.UTF-8");
    session.args(["--", "sh", "-c", SESSION, "sh"]).arg(command.get_program()).args(command.get_args());
    session
}

fn kept() {
    let scene = Scene::new(Kind::ProFtpd);
    fs::create_dir(scene.path("run")).unwrap();
    let ca = scene.server.ca.to_str().unwrap().to_owned();
    let flags = scene.flags(&["--ca", &ca, "--password-env", "SECRET", "--password-store", "keyring"]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let password = scene.server.password;
    // There is no keyring: nothing is written.
    ends(&scene.command(&flags).env("SECRET", password).output().unwrap(), 78, &["keyring", "secret-tool store"]);
    assert!(!scene.path("conf").exists());
    let made = in_session(&scene, &scene.command(&flags)).env("SECRET", password).output().unwrap();
    ends(&made, 0, &["the password is in your keyring, under server"]);
    let written = fs::read_to_string(scene.config()).unwrap();
    assert!(written.contains("{ keyring = \"server\" }") && !written.contains(password), "{written}");
    assert!(!scene.path("conf/server.pass").exists());
    // Another session finds it there.
    ends(&in_session(&scene, &scene.command(&["sync"])).output().unwrap(), 0, &["in sync"]);
    assert_eq!(tree(&scene.path("site")), tree(&scene.server.root.join("mirror")));
    // Nobody stored that one.
    fs::write(scene.config(), written.replace("keyring = \"server\"", "keyring = \"another\"")).unwrap();
    let said = ends(
        &in_session(&scene, &scene.command(&["sync"])).output().unwrap(),
        78,
        &["`another`", "there is none under this name"],
    );
    assert!(!said.contains(password), "{said}");
}
