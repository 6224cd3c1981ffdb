//! Where the state and the control socket are. Decides by flags and environment alone; makes no directory.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::Env;

/// The longest path that a unix socket can have, in bytes (`sun_path` less its NUL).
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// Why there is no place for state or socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirError {
    /// Nothing says where the state should be.
    #[error("no directory for the state: neither $STATE_DIRECTORY nor $XDG_STATE_HOME nor $HOME is set to an absolute path")]
    NoState,
    /// The path is too long for a unix socket.
    #[error("the path of the control socket is {} bytes long, and a unix socket takes {MAX_SOCKET_PATH}: {}", path.as_os_str().len(), path.display())]
    SocketTooLong {
        /// The path.
        path: PathBuf,
    },
}

impl DirError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoState => "name one with --state-dir DIR",
            Self::SocketTooLong { .. } => "choose a shorter --state-dir, or set XDG_RUNTIME_DIR",
        }
    }
}

/// The directory of the state: `flag` (`--state-dir`), `$STATE_DIRECTORY`, `$XDG_STATE_HOME/towline`,
/// `~/.local/state/towline`. A relative `flag` stays relative.
///
/// # Errors
/// [`DirError::NoState`] when none of them is there.
pub fn state_dir(flag: Option<&Path>, env: Env<'_>) -> Result<PathBuf, DirError> {
    flag.map(Path::to_owned)
        .or_else(|| service_dir(env, "STATE_DIRECTORY"))
        .or_else(|| xdg(env, "XDG_STATE_HOME", ".local/state").map(|dir| dir.join("towline")))
        .ok_or(DirError::NoState)
}

/// The control socket: `control.sock` in `$RUNTIME_DIRECTORY`, `$XDG_RUNTIME_DIR/towline`, or the state directory.
///
/// # Errors
/// [`DirError::SocketTooLong`] when the path is longer than a unix socket can have.
pub fn socket_path(state_dir: &Path, env: Env<'_>) -> Result<PathBuf, DirError> {
    let path = service_dir(env, "RUNTIME_DIRECTORY")
        .or_else(|| absolute(env, "XDG_RUNTIME_DIR").map(|dir| dir.join("towline")))
        .unwrap_or_else(|| state_dir.to_owned())
        .join("control.sock");
    if path.as_os_str().len() > MAX_SOCKET_PATH { Err(DirError::SocketTooLong { path }) } else { Ok(path) }
}

/// The socket at which a daemon is asked: `own`, which is [`socket_path`]; but where nobody has made that, and neither a flag
/// (`named`) nor a service manager says where it is, the one of the `machine`'s service, if `is_there` knows of that.
pub fn socket_to_ask(own: PathBuf, named: bool, machine: &Path, env: Env<'_>, is_there: impl Fn(&Path) -> bool) -> PathBuf {
    let said = named || ["RUNTIME_DIRECTORY", "STATE_DIRECTORY"].iter().any(|name| service_dir(env, name).is_some());
    if !said && !is_there(&own) && is_there(machine) { machine.to_owned() } else { own }
}

/// A variable that is set and not empty.
pub(super) fn variable(env: Env<'_>, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

/// A directory of the XDG base directory specification: the variable if it is absolute, else `fallback` below `$HOME`.
pub(super) fn xdg(env: Env<'_>, name: &str, fallback: &str) -> Option<PathBuf> {
    absolute(env, name).or_else(|| absolute(env, "HOME").map(|home| home.join(fallback)))
}

/// A directory that systemd made for the service: the first, where there are several (`systemd.exec(5)`).
fn service_dir(env: Env<'_>, name: &str) -> Option<PathBuf> {
    let list = variable(env, name)?;
    let first = list.as_bytes().split(|b| *b == b':').next()?;
    Some(PathBuf::from(OsString::from_vec(first.to_vec()))).filter(|path| path.is_absolute())
}

fn absolute(env: Env<'_>, name: &str) -> Option<PathBuf> {
    variable(env, name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(table: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| table.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn the_state_directory() {
        let all = [("STATE_DIRECTORY", "/var/lib/towline:/var/lib/other"), ("XDG_STATE_HOME", "/x"), ("HOME", "/home/ann")];
        let state = |flag: Option<&str>, table: &[(&str, &str)]| state_dir(flag.map(Path::new), &env(table)).ok();
        assert_eq!(state(Some("here"), &all), Some("here".into()));
        assert_eq!(state(None, &all), Some("/var/lib/towline".into()));
        assert_eq!(state(None, &all[1..]), Some("/x/towline".into()));
        assert_eq!(state(None, &all[2..]), Some("/home/ann/.local/state/towline".into()));
        assert_eq!(
            state(None, &[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "rel"), ("HOME", "/h")]),
            Some("/h/.local/state/towline".into())
        );
        assert!(matches!(state_dir(None, &env(&[("HOME", "")])), Err(DirError::NoState)));
    }

    #[test]
    fn the_socket() {
        let all = [("RUNTIME_DIRECTORY", "/run/towline"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let socket = |table: &[(&str, &str)]| socket_path(Path::new("/s"), &env(table)).ok();
        assert_eq!(socket(&all), Some("/run/towline/control.sock".into()));
        assert_eq!(socket(&all[1..]), Some("/run/user/7/towline/control.sock".into()));
        assert_eq!(socket(&[]), Some("/s/control.sock".into()));
    }

    #[test]
    fn the_machines_socket_is_asked_where_there_is_no_other() {
        let (own, machine) = (Path::new("/own"), Path::new("/run/towline/control.sock"));
        let asked = |named, table: &[(&str, &str)], there: &[&Path]| {
            socket_to_ask(own.to_owned(), named, machine, &env(table), |path| there.contains(&path))
        };
        let root = [("HOME", "/root"), ("XDG_RUNTIME_DIR", "/run/user/0")];
        assert_eq!(asked(false, &root, &[machine]), machine, "`sudo towline status`");
        assert_eq!(asked(false, &root, &[own, machine]), own, "one's own daemon first");
        assert_eq!(asked(false, &root, &[]), own, "what is said of a daemon that does not run names one's own");
        assert_eq!(asked(true, &root, &[machine]), own, "--state-dir says which");
        assert_eq!(asked(false, &[("STATE_DIRECTORY", "/var/lib/other")], &[machine]), own);
        assert_eq!(asked(false, &[("RUNTIME_DIRECTORY", "/run/other")], &[machine]), own);
    }

    #[test]
    fn a_socket_path_has_a_limit() {
        let dir = |length: usize| PathBuf::from(format!("/{}", "s".repeat(length - 1)));
        let fits = MAX_SOCKET_PATH - "/control.sock".len();
        assert!(socket_path(&dir(fits), &env(&[])).is_ok());
        let error = socket_path(&dir(fits + 1), &env(&[])).unwrap_err();
        assert!(error.to_string().starts_with(&format!("the path of the control socket is {} bytes long", MAX_SOCKET_PATH + 1)));
        assert!(error.hint().contains("--state-dir"));
    }
}
