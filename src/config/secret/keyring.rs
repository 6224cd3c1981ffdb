//! The keyring of a user's session, through the program that the desktop brings: `secret-tool` (libsecret; freedesktop's Secret Service)
//! or, on macOS, `security`. The password goes through pipes, never through an argument.

use std::{io, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{COMMAND_LIMIT, SecretError, command};

/// Under which service a password is kept.
const SERVICE: &str = "towline";

#[cfg(not(target_os = "macos"))]
pub(super) const HINT: &str = "store it with `secret-tool store --label=Towline service towline remote NAME` in the session that runs \
                               towline, unlocked; secret-tool is in libsecret-tools. A service of the machine has no keyring";
#[cfg(target_os = "macos")]
pub(super) const HINT: &str =
    "store it with `security add-generic-password -s towline -a NAME -w` in the session that runs towline";

/// The password called `name`.
pub(super) fn look_up(name: &str, from: &dyn Fn() -> String, limit: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    command::output(&words(&asking(name)), b"", from, limit).map_err(in_keyring)
}

/// Keeps the password in the keyring under `name`, in place of what is there; blocks, for up to 30 seconds.
///
/// # Errors
/// When there is no keyring, or it is locked. No error holds any of the password.
pub fn keep(name: &str, password: &SecretString) -> Result<(), SecretError> {
    let from = || super::PasswordSource::Keyring(name.to_owned()).to_string();
    let (told, input) = keeping(name, password.expose_secret());
    command::output(&words(&told), input.as_bytes(), &from, COMMAND_LIMIT).map(drop).map_err(in_keyring)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(not(target_os = "macos"))]
fn asking(name: &str) -> [&str; 6] {
    ["secret-tool", "lookup", "service", SERVICE, "remote", name]
}

#[cfg(not(target_os = "macos"))]
fn keeping<'n>(name: &'n str, password: &str) -> ([&'n str; 7], Zeroizing<String>) {
    (["secret-tool", "store", "--label=Towline", "service", SERVICE, "remote", name], Zeroizing::new(password.to_owned()))
}

#[cfg(target_os = "macos")]
fn asking(name: &str) -> [&str; 7] {
    ["security", "find-generic-password", "-s", SERVICE, "-a", name, "-w"]
}

/// It takes commands from its standard input, and a password in hexadecimal digits.
#[cfg(target_os = "macos")]
fn keeping<'n>(name: &'n str, password: &str) -> ([&'n str; 2], Zeroizing<String>) {
    let mut line = Zeroizing::new(format!("add-generic-password -U -s {SERVICE} -a {name} -X "));
    password.bytes().for_each(|byte| line.push_str(&format!("{byte:02x}")));
    line.push('\n');
    (["security", "-i"], line)
}

/// What it says, as something about the keyring.
fn in_keyring(error: SecretError) -> SecretError {
    match error {
        SecretError::Failed { from, stderr, .. } if stderr.is_empty() => {
            SecretError::Keyring { from, why: "there is none under this name".to_owned() }
        }
        SecretError::Failed { from, stderr, .. } => SecretError::Keyring { from, why: stderr },
        SecretError::Run { from, source } if source.kind() == io::ErrorKind::NotFound => {
            SecretError::Keyring { from, why: format!("`{}` is not installed", asking("")[0]) }
        }
        error => error,
    }
}
