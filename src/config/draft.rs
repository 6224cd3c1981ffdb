//! A remote and a mirror that are to be added to a configuration, written as a person would write them. Two tables come behind what
//! is there, which stays as it is to the byte; a file that is not there is begun. Asks nobody; what single answers may be, it knows.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use toml_edit::Value;

use super::{
    Config, EditError, Mode, PasswordSource, Remote, Trust,
    edit::replace,
    load,
    value::{self, Expected},
};

/// What is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The remote's name.
    pub remote: String,
    /// Its host, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS starts there.
    pub mode: Mode,
    /// The login name.
    pub user: String,
    /// Where the password is, or will be.
    pub password: PasswordSource,
    /// Roots beside the system's.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the key that is to be trusted.
    pub pin: Option<[u8; 32]>,
    /// Whether it alone is to count.
    pub trust: Trust,
    /// The mirror's name.
    pub mirror: String,
    /// The directory here; absolute.
    pub source: PathBuf,
    /// The directory there.
    pub path: String,
}

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The name of a remote or a mirror.
    Name,
    /// A host name or an address.
    Host,
    /// A login name.
    User,
    /// A directory on the server.
    Path,
    /// The name of an environment variable.
    Variable,
}

impl Question {
    /// The answer as it is taken.
    ///
    /// # Errors
    /// What was expected: the end of a sentence that does not repeat what was given.
    pub fn fit(self, answer: &str) -> Result<String, String> {
        let answer = answer.to_owned();
        let fit = match self {
            Self::Name => value::name(answer),
            Self::Host => value::host(answer),
            Self::User => value::user(answer),
            Self::Path => value::remote_path(answer),
            Self::Variable => value::variable(answer),
        };
        fit.map_err(|Expected(words)| words.into_owned())
    }
}

/// A pin as it is written: `sha256/BASE64`.
///
/// # Errors
/// What was expected.
pub fn pin(text: &str) -> Result<[u8; 32], String> {
    value::pin(text).map_err(|Expected(words)| words.into_owned())
}

/// What a new file begins with.
const HEAD: &str = "# What Towline mirrors. `towline check` tells what is wrong with it, `towline reload` has a running daemon take it up.\n\
                    # Every key with its default: config/towline.example.toml, docs/configuration.md.\n\n";

impl Draft {
    /// The whole configuration of the file `main` as it would be with this.
    ///
    /// # Errors
    /// When it would not load: a name is taken, the directory on the server overlaps with another mirror's, or something is wrong
    /// already.
    pub fn config(&self, main: &Path) -> Result<Config, EditError> {
        self.planned(main).map(|planned| planned.config)
    }

    /// Adds this to the file `main`, or begins it.
    ///
    /// # Errors
    /// As [`Self::config`], or when it cannot be written; nothing is changed then.
    pub fn write(&self, main: &Path) -> Result<(), EditError> {
        let Planned { before, after, .. } = self.planned(main)?;
        match before {
            Some(before) => replace(main, &before, &after),
            None => begin(main, after.as_bytes(), 0o644).map_err(|source| EditError::Write { file: main.to_owned(), source }),
        }
    }

    fn planned(&self, main: &Path) -> Result<Planned, EditError> {
        let main = &std::path::absolute(main).unwrap_or_else(|_| main.to_owned());
        let before = match load::read(main) {
            Ok(bytes) => Some(bytes),
            Err(super::ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e.into()),
        };
        let layout = || EditError::Layout(main.clone());
        let tables = self.tables(main.parent().unwrap_or(Path::new("/"))).ok_or_else(layout)?;
        let after = match &before {
            None => format!("{HEAD}{tables}"),
            Some(bytes) => behind(str::from_utf8(bytes).map_err(|_| layout())?, &tables),
        };
        let home = std::env::home_dir();
        let config = load::load_as_if(main, home.as_deref(), Some((main, &after)))
            .map_err(|source| EditError::WouldNotLoad { file: main.clone(), source })?;
        Ok(Planned { before, after, config })
    }

    /// The two tables, for a file in `dir`; nothing where a path is no text. Pure.
    fn tables(&self, dir: &Path) -> Option<String> {
        let Self { remote, mirror, .. } = self;
        let mut text = format!("[remote.{}]\nhost = {}\n", key(remote), quoted(&self.host));
        let usual = if self.mode == Mode::Implicit { Remote::DEFAULT_IMPLICIT_PORT } else { Remote::DEFAULT_PORT };
        if self.mode == Mode::Implicit {
            text += "# TLS with the first byte, not by AUTH TLS.\nmode = \"implicit\"\n";
        }
        if self.port != usual {
            text += &format!("port = {}\n", self.port);
        }
        text += &format!("user = {}\n", quoted(&self.user));
        let (source, why) = match &self.password {
            PasswordSource::File(file) => {
                (format!("file = {}", quoted(beside(file, dir)?)), "its only line; nobody else may read it")
            }
            PasswordSource::Env(name) => (format!("env = {}", quoted(name)), "an environment variable of the daemon"),
            PasswordSource::Credential(name) => (format!("credential = {}", quoted(name)), "systemd hands it to the service"),
            PasswordSource::Keyring(name) => (format!("keyring = {}", quoted(name)), "the keyring of your session"),
            PasswordSource::Command(words) => {
                (format!("command = {}", Value::from_iter(words.iter().map(String::as_str))), "what it prints")
            }
        };
        text += &format!("password = {{ {source} }} # {why}\n");
        if self.ca.is_some() || self.pin.is_some() {
            text += &format!("\n[remote.{}.tls]\n", key(remote));
        }
        if let Some(ca) = &self.ca {
            text += &format!("# Beside the system's roots.\nca = {}\n", quoted(beside(ca, dir)?));
        }
        if let Some(pin) = self.pin {
            let pin = base64::engine::general_purpose::STANDARD.encode(pin);
            text += &format!(
                "# The key that the server had to show. Was it changed on purpose: `towline trust {remote} --pin --replace`.\npin = [\"sha256/{pin}\"]\n"
            );
            if self.trust == Trust::Pin {
                text += "trust = \"pin\"\n";
            }
        }
        text += &format!(
            "\n[[mirror]]\nname = {}\nsource = {}\nremote = {}\npath = {}\n",
            quoted(mirror),
            quoted(self.source.to_str()?),
            quoted(remote),
            quoted(&self.path)
        );
        text += "# What is not sent, in gitignore syntax; files named .towlineignore hold more of it.\n#ignore = [\"*.tmp\", \".git/\"]\n";
        text += "# What is gone here goes to .towline-trash there for 30 days (`towline undo` puts it back); or \"remove\", \"keep\".\n\
                 #delete = \"trash\"\n";
        Some(text)
    }
}

/// A change of a file that was tried in memory.
struct Planned {
    /// What is in it; nothing where it is not there.
    before: Option<Vec<u8>>,
    after: String,
    config: Config,
}

/// Writes a password into a file that is not there yet and that only its owner can read.
///
/// # Errors
/// When there is such a file, or it cannot be written; nothing is left then.
pub fn write_password(file: &Path, password: &SecretString) -> io::Result<()> {
    let line = zeroize::Zeroizing::new(format!("{}\n", password.expose_secret()));
    begin(file, line.as_bytes(), 0o600)
}

/// Makes a file, which must not be there; of one that cannot be written whole nothing is left.
fn begin(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    let written = new.write_all(bytes).and_then(|()| new.sync_all());
    written.inspect_err(|_| drop(std::fs::remove_file(file)))
}

/// `tables` behind `text`, with an empty line between them, and with its line breaks.
fn behind(text: &str, tables: &str) -> String {
    let crlf = text.contains('\n') && text.matches('\n').count() == text.matches("\r\n").count();
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let added = format!("{gap}{tables}");
    format!("{text}{}", if crlf { added.replace('\n', "\r\n") } else { added })
}

/// A name of the configuration as a key; most need no quotes.
fn key(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A path as it is written in a file of `dir`: short, where it lies there.
fn beside<'a>(path: &'a Path, dir: &Path) -> Option<&'a str> {
    let short = path.strip_prefix(dir).ok().filter(|short| !short.starts_with("~") && !short.as_os_str().is_empty());
    let short = short.and_then(Path::to_str).filter(|short| !short.starts_with('~'));
    short.or_else(|| path.to_str())
}

#[cfg(test)]
mod tests;
