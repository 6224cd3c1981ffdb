//! Where a password is, and reading it from there. Not a store: nothing is kept, and what is read has no `Debug`.

mod command;
mod keyring;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read},
    os::unix::{
        ffi::OsStringExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use secrecy::SecretString;
use zeroize::Zeroizing;

pub use keyring::keep as keep_in_keyring;

use super::{Env, dirs};

/// The longest password, in bytes.
const MAX: usize = 4096;
/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// Where a password is.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// In a file that nobody else can read; absolute.
    File(PathBuf),
    /// On the standard output of a program: its name and its arguments. At least the name is there.
    Command(Vec<String>),
    /// In an environment variable.
    Env(String),
    /// In a systemd credential (`LoadCredential=`, `SetCredentialEncrypted=`).
    Credential(String),
    /// In the keyring of the user's session under this name: by `secret-tool` (freedesktop's Secret Service), on macOS by `security`.
    Keyring(String),
}

/// Why there is no password. Holds nothing of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file is not there or cannot be read.
    #[error("cannot read {from}: {source}")]
    Read {
        /// What was to be read.
        from: String,
        /// Why not.
        source: io::Error,
    },
    /// The file is a directory, a FIFO or a device.
    #[error("{from} is not a regular file")]
    NotAFile {
        /// What was to be read.
        from: String,
    },
    /// Somebody else can read the file.
    #[error("others can read {from}: its mode is {mode:04o}")]
    Exposed {
        /// What was to be read.
        from: String,
        /// The permission bits.
        mode: u32,
    },
    /// The file belongs to somebody who is neither us nor root.
    #[error("{from} belongs to another user (uid {uid})")]
    Foreign {
        /// What was to be read.
        from: String,
        /// Whose it is.
        uid: u32,
    },
    /// The variable is not set.
    #[error("{from} is not set")]
    Unset {
        /// What was to be read.
        from: String,
    },
    /// The service manager passed no credentials.
    #[error("cannot read {from}: $CREDENTIALS_DIRECTORY is not set")]
    NoCredentials {
        /// What was to be read.
        from: String,
    },
    /// The keyring has none under this name, or cannot be had.
    #[error("{from} cannot be had: {why}")]
    Keyring {
        /// What was to be read.
        from: String,
        /// Why not, in the words of the program that was asked.
        why: String,
    },
    /// The program could not be run.
    #[error("cannot run {from}: {source}")]
    Run {
        /// What was to be read.
        from: String,
        /// Why not.
        source: io::Error,
    },
    /// The program failed.
    #[error("{from} failed ({status}){}{stderr}", if stderr.is_empty() { "" } else { ": " })]
    Failed {
        /// What was to be read.
        from: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said on its standard error, shortened.
        stderr: String,
    },
    /// The program took too long and was killed.
    #[error("{from} took longer than {limit:?}")]
    Timeout {
        /// What was to be read.
        from: String,
        /// What it was given.
        limit: Duration,
    },
    /// There is something, but it cannot be a password.
    #[error("{from} holds no password: {why}")]
    Unfit {
        /// What was read.
        from: String,
        /// What is wrong with it.
        why: Unfit,
    },
}

/// Why some bytes cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nothing, or a line break alone.
    #[error("it is empty")]
    Empty,
    /// More than a password.
    #[error("it is longer than 4096 bytes")]
    TooLong,
    /// CR, LF or NUL, which FTP cannot carry; more than one line as a rule.
    #[error("it holds more than one line, or a NUL byte")]
    Lines,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
}

impl PasswordSource {
    /// Reads the password; blocks, for up to 30 seconds where it is a command. One line break behind it is taken off.
    ///
    /// # Errors
    /// Why there is none. No error holds any of it.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        self.read_with(&|name| std::env::var_os(name), COMMAND_LIMIT)
    }

    fn read_with(&self, env: Env<'_>, limit: Duration) -> Result<SecretString, SecretError> {
        let from = || self.to_string();
        let bytes = match self {
            Self::File(path) => read_file(path, &from, true)?,
            Self::Command(words) => command::output(words, b"", &from, limit)?,
            Self::Keyring(name) => keyring::look_up(name, &from, limit)?,
            Self::Env(name) => {
                Zeroizing::new(dirs::variable(env, name).ok_or_else(|| SecretError::Unset { from: from() })?.into_vec())
            }
            Self::Credential(name) => {
                let dir =
                    dirs::variable(env, "CREDENTIALS_DIRECTORY").ok_or_else(|| SecretError::NoCredentials { from: from() })?;
                // The service manager guards the directory; with `User=` it grants by ACL, which shows as group bits.
                read_file(&Path::new(&dir).join(name), &from, false)?
            }
        };
        password(&bytes).map_err(|why| SecretError::Unfit { from: from(), why })
    }
}

impl SecretError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } | Self::NotAFile { .. } => {
                "put the password, and nothing else, into a file that only towline's user can read"
            }
            Self::Exposed { .. } => "chmod 600 the file, and change the password if others may have read it",
            Self::Foreign { .. } => "chown the file to the user that runs towline",
            Self::Unset { .. } => "set it where towline is started, for a service with EnvironmentFile= or, better, a credential",
            Self::NoCredentials { .. } => {
                "add LoadCredential= to the unit; outside of systemd use { file = ... } or { command = ... }"
            }
            Self::Keyring { .. } => keyring::HINT,
            Self::Run { .. } | Self::Failed { .. } | Self::Timeout { .. } => {
                "run the command as the user that runs towline, without a terminal: it must print the password and exit with 0"
            }
            Self::Unfit { .. } => "it has to be the password alone, on one line",
        }
    }
}

/// The source, never the secret. Of a command only the program: an argument may be one.
impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the password file {}", path.display()),
            Self::Command(words) => write!(f, "the password command `{}`", words.first().map_or("", String::as_str)),
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::Credential(name) => write!(f, "the credential `{name}`"),
            Self::Keyring(name) => write!(f, "the keyring's password `{name}`"),
        }
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is in the file, at most one byte more than can be right. `guarded`: only if nobody else can read it.
fn read_file(path: &Path, from: &dyn Fn() -> String, guarded: bool) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let unreadable = |source| SecretError::Read { from: from(), source };
    // A FIFO must not block us. What is checked is what was opened.
    let no_block = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(no_block).open(path).map_err(unreadable)?;
    let status = file.metadata().map_err(unreadable)?;
    if !status.is_file() {
        return Err(SecretError::NotAFile { from: from() });
    }
    if guarded {
        check_guard(status.mode(), status.uid(), rustix::process::geteuid().as_raw(), from)?;
    }
    read_some(&mut file).map_err(unreadable)
}

fn check_guard(mode: u32, owner: u32, us: u32, from: &dyn Fn() -> String) -> Result<(), SecretError> {
    if owner != us && owner != 0 {
        return Err(SecretError::Foreign { from: from(), uid: owner });
    }
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { from: from(), mode: mode & 0o7777 });
    }
    Ok(())
}

/// Reads as much as is needed to tell whether it fits, into one buffer that never moves (and so leaves no copy behind).
fn read_some(from: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; MAX + "\r\n".len() + 1]);
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// The password in `bytes`: one line, whose break is taken off. Pure.
///
/// # Errors
/// Why it is none.
pub fn password(bytes: &[u8]) -> Result<SecretString, Unfit> {
    let line = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
    if line.is_empty() {
        return Err(Unfit::Empty);
    }
    if line.len() > MAX {
        return Err(Unfit::TooLong);
    }
    if line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return Err(Unfit::Lines);
    }
    let text = str::from_utf8(line).map_err(|_| Unfit::NotUtf8)?;
    // A box of exactly this size: growing or shrinking would leave a copy behind.
    Ok(SecretString::from(Box::<str>::from(text)))
}
