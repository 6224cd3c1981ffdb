//! Towline as a service of the machine's service manager: what its files say (pure: [`systemd`], [`launchd`]), and a thin shell
//! that writes them and tells the manager. It prints nothing, and never touches configuration or state.

pub mod launchd;
pub mod systemd;

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Whose service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The machine's: it runs from the start of the machine, as a user of its own.
    System,
    /// A person's: it runs as that person, while that person has a session (or lingers).
    User,
}

/// What differs from machine to machine in a service's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// The program, by an absolute path.
    pub program: PathBuf,
    /// The configuration, where it is not at the usual place.
    pub config: Option<PathBuf>,
    /// The state, where it is not at the usual place.
    pub state: Option<PathBuf>,
}

impl Values {
    /// As packages install it.
    pub fn packaged() -> Self {
        Self { program: PathBuf::from("/usr/bin/towline"), config: None, state: None }
    }
}

/// What became of an order to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It was not there.
    New,
    /// Its files were others; it was started anew.
    Changed,
    /// Its files were right, but it was not enabled, or did not run.
    Started,
    /// Nothing was to be done.
    Already,
}

/// What became of an order to uninstall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// There was nothing.
    Nothing,
    /// Stopped and disabled; its unit is gone.
    Unit,
    /// Stopped and disabled; its unit belongs to a package, and stays.
    Disabled,
}

/// What the service manager says of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// In the manager's own words.
    pub words: String,
    /// It runs.
    pub runs: bool,
}

/// Why a service could not be installed, removed or asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// No service manager answers.
    #[error("no service manager answers ({manager}: {why})")]
    NoManager {
        /// The command that was tried.
        manager: &'static str,
        /// What came of it.
        why: String,
    },
    /// Somebody changed a file that would be overwritten or removed.
    #[error("{} was changed by hand", .0.display())]
    ChangedByHand(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The service manager refused.
    #[error("`{command}` failed: {why}")]
    Refused {
        /// What it was told.
        command: String,
        /// What it said.
        why: String,
    },
}

impl ServiceError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoManager { .. } => {
                "let whatever supervises programs here run `towline run` and start it anew when it fails (not on exit codes 77 and 78); \
                 `towline service install --print` shows a unit for another machine; for --user, log in as that user, or \
                 `loginctl enable-linger` it"
            }
            Self::ChangedByHand(_) => {
                "keep your changes in a drop-in (`systemctl edit towline`) and use --force, or leave the file as it is"
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "use sudo for --system, or --user for a service of your own"
            }
            Self::File { .. } => "see that the directory is there and has room",
            Self::Refused { .. } => "`systemctl status towline` and `journalctl -u towline` (with --user for your own) tell more",
        }
    }
}

/// Puts a line behind `text` by which a later version knows that nobody changed it: `open`, a digest, `close`.
fn sealed(text: &str, open: &str, close: &str) -> String {
    let digest = blake3::hash(text.as_bytes()).to_hex();
    format!("{text}{open}written by `towline service install`; unchanged while this fits: {}{close}\n", &digest[..16])
}

/// Whether `text` is as it was [`sealed`].
fn is_sealed(text: &str, open: &str, close: &str) -> bool {
    text.rfind(open).is_some_and(|at| sealed(&text[..at], open, close) == text)
}

/// How a file is, compared with what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Missing,
    Same,
    /// Ours, but from other values or another version.
    Stale,
    ByHand,
}

fn look(path: &Path, wanted: &str, is_ours: impl Fn(&str) -> bool) -> Result<Found, ServiceError> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
        Err(source) => Err(ServiceError::File { path: path.to_owned(), source }),
        Ok(bytes) if bytes == wanted.as_bytes() => Ok(Found::Same),
        Ok(bytes) => Ok(if std::str::from_utf8(&bytes).is_ok_and(is_ours) { Found::Stale } else { Found::ByHand }),
    }
}

/// Writes a file whole, or not at all.
fn write(path: &Path, text: &str) -> Result<(), ServiceError> {
    let failed = |source| ServiceError::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let result =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        });
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(failed)
}

fn remove(path: &Path) -> Result<(), ServiceError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ServiceError::File { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}

/// Runs a command of the service manager to its end: its exit status, what it printed, what it complained of.
fn ask(program: &'static str, args: &[&str]) -> Result<(bool, String, String), ServiceError> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|e| ServiceError::NoManager { manager: program, why: e.to_string() })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

/// The same, where a failure of the command is one of the verb.
fn order(program: &'static str, args: &[&str]) -> Result<(), ServiceError> {
    match ask(program, args)? {
        (true, ..) => Ok(()),
        (false, _, why) => Err(ServiceError::Refused { command: format!("{program} {}", args.join(" ")), why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_tells_what_was_changed_by_hand() {
        let text = sealed("[Unit]\n# a comment\n", "# ", "");
        assert!(is_sealed(&text, "# ", ""), "{text}");
        for changed in [text.replace("Unit", "unit"), format!("{text}\n"), text.replacen("# a", "#  a", 1), "[Unit]\n".into()] {
            assert!(!is_sealed(&changed, "# ", ""), "{changed}");
        }
    }

    /// `TOWLINE_BLESS=1 cargo test --lib -- service::` writes them.
    #[test]
    fn what_packages_install_is_what_is_generated() {
        let values = Values::packaged();
        for (name, text) in [
            ("systemd/towline.service", systemd::unit(Scope::System, &values)),
            ("systemd/user/towline.service", systemd::unit(Scope::User, &values)),
            ("sysusers/towline.conf", systemd::sysusers()),
            ("launchd/daemon.plist", launchd::plist(Scope::System, &values)),
            ("launchd/agent.plist", launchd::plist(Scope::User, &values)),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
            if std::env::var_os("TOWLINE_BLESS").is_some() {
                write(&path, &text).unwrap();
            }
            assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
        }
    }

    #[test]
    fn a_file_is_compared_and_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("units/towline.service");
        let ours = |text: &str| is_sealed(text, "# ", "");
        let (one, two) = (sealed("one\n", "# ", ""), sealed("two\n", "# ", ""));
        assert_eq!(look(&path, &one, ours).unwrap(), Found::Missing);
        write(&path, &one).unwrap();
        assert_eq!(look(&path, &one, ours).unwrap(), Found::Same);
        assert_eq!(look(&path, &two, ours).unwrap(), Found::Stale);
        write(&path, "mine\n").unwrap();
        assert_eq!(look(&path, &two, ours).unwrap(), Found::ByHand);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
