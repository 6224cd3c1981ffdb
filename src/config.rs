//! What the user asked for: the validated configuration, and where its files and secrets are. Not the state of anything,
//! and not the rules of FTP; a [`Config`] that exists is right in itself, whether or not its server is.

mod defaults;
mod dirs;
pub mod draft;
mod edit;
mod error;
mod file;
mod layers;
mod load;
mod merge;
mod overrides;
mod secret;
mod suggest;
mod validate;
mod value;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    net::IpAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

pub use dirs::{DirError, socket_path, socket_to_ask, state_dir};
pub use draft::Draft;
pub use edit::{EditError, NewPin, write_pin};
pub use error::{ConfigError, Fault};
pub use secret::{PasswordSource, SecretError, Unfit, keep_in_keyring, password};

use crate::model::Timetable;

/// Looks up an environment variable: `&|name| std::env::var_os(name)`, or a table in a test.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Everything the user configured; every reference in it resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The servers, by name.
    pub remotes: BTreeMap<String, Remote>,
    /// The mirrors, in the order in which they were written; names are unique.
    pub mirrors: Vec<Mirror>,
    /// Who is told when the state of a mirror is another one.
    pub notify: Notify,
}

/// Who is told of states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Is run with the words as its last argument.
    pub command: Option<Program>,
    /// A state is told when it has lasted so long.
    pub after: Duration,
    /// Is called with each notice.
    pub webhook: Option<WebAddress>,
    /// Is run or called as long as all is well.
    pub ping: Option<Ping>,
    /// This often.
    pub ping_every: Duration,
}

/// A program and its arguments. What is in them is not shown: it may be an address that is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Program(pub Vec<String>);

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

/// What is done as long as all is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ping {
    /// A program is run.
    Program(Program),
    /// An address is called.
    Web(WebAddress),
}

/// An address on the web. It is not shown: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WebAddress {
    /// Whether over TLS; without it only this machine.
    pub tls: bool,
    /// A host name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path and the query; begins with a slash, and is ASCII without spaces.
    pub target: String,
}

impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebAddress")
    }
}

/// An account on a server and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The name it has in the configuration.
    pub name: String,
    /// A host name or an address, without brackets.
    pub host: String,
    /// The port of the control connection.
    pub port: u16,
    /// How TLS starts.
    pub mode: Mode,
    /// How data connections come about; not active where there is a proxy.
    pub data: DataMode,
    /// What is in between, for control and data connections.
    pub proxy: Option<Proxy>,
    /// The login name; holds no CR, LF or NUL.
    pub user: String,
    /// Where the password is.
    pub password: PasswordSource,
    /// How many connections may be open at once, 1 to 32.
    pub connections: u8,
    /// How many bytes of files a second its connections may carry together, in each direction, and when.
    pub bandwidth: Timetable,
    /// Whom to trust.
    pub tls: Tls,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How TLS starts. There is no mode without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By AUTH TLS (RFC 4217).
    #[default]
    Explicit,
    /// With the first byte.
    Implicit,
}

/// How data connections come about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DataMode {
    /// We connect: EPSV, or PASV where that fails.
    #[default]
    Passive,
    /// EPSV alone.
    Epsv,
    /// PASV alone.
    Pasv,
    /// The server connects.
    Active {
        /// To one of these ports, 1024 to 65535; `None` is any.
        ports: Option<RangeInclusive<u16>>,
        /// At this address, where it is not this end of the control connection.
        address: Option<IpAddr>,
    },
}

/// A proxy for control and data connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// A host name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The account on it: a name of 1 to 255 bytes, without a colon for [`ProxyKind::Http`], and where its password is.
    pub user: Option<(String, PasswordSource)>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS5 (RFC 1928).
    Socks5,
    /// HTTP CONNECT (RFC 9110 §9.3.6).
    Http,
}

/// Which server certificate to accept, from which version of TLS on, and who we are to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of roots beside the system's, or a directory of such files.
    pub ca: Option<PathBuf>,
    /// SHA-256 of accepted public keys (DER-encoded `SubjectPublicKeyInfo`, RFC 7469 §2.4).
    pub pins: Vec<[u8; 32]>,
    /// What has to hold.
    pub trust: Trust,
    /// The name the certificate has to bear, where it is not [`Remote::host`].
    pub server_name: Option<String>,
    /// The lowest version to accept.
    pub min: TlsVersion,
    /// What is shown to a server that asks for a certificate.
    pub client: Option<ClientCertificate>,
}

/// A certificate of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file: the certificate, and its intermediates behind it.
    pub cert: PathBuf,
    /// A PEM file with its key; the same one where the configuration names none.
    pub key: PathBuf,
    /// What an encrypted key is opened with.
    pub key_password: Option<PasswordSource>,
}

/// What makes a certificate acceptable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// A chain to a trusted root for the right name; and a pin, where there are any.
    #[default]
    Chain,
    /// A pin alone; there is at least one.
    Pin,
}

/// A version of TLS. Older ones are not spoken (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// The limits of waiting; each is between one second and ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a TCP connection and its TLS handshake.
    pub connect: Duration,
    /// For the server's answer to a command.
    pub reply: Duration,
    /// For a transfer that makes no progress.
    pub stall: Duration,
}

/// A directory here that is to be kept equal on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// 1 to 64 letters, digits, `.`, `_`, `-`; not starting with `.`.
    pub name: String,
    /// The directory here; absolute.
    pub source: PathBuf,
    /// The name of a remote in the same [`Config`].
    pub remote: String,
    /// The directory there: absolute, no `.` or `..` or empty component, no CR, LF or NUL, no slash behind unless it is `/`.
    pub path: String,
    /// What not to mirror, in gitignore syntax; each line is a valid pattern.
    pub ignore: Vec<String>,
    /// Files that only grow, in gitignore syntax; each line is a valid pattern.
    pub append: Vec<String>,
    /// How long a path has to hold still before it is looked at; 10 ms to 1 h.
    pub quiet: Duration,
    /// How often everything is looked at; 10 s to 30 days.
    pub full_scan: Duration,
    /// What becomes of the server's copy of something that is gone here.
    pub delete: Delete,
    /// How long what went to the trash stays there.
    pub trash: Trash,
    /// How much may be deleted without being asked.
    pub delete_budget: DeleteBudget,
    /// What becomes of copies on the server that somebody else changed.
    pub drift: Drift,
    /// When changes become visible on the server.
    pub publish: Publish,
    /// How much looking at the whole directory may be in the way of others on this machine.
    pub scan: Scan,
    /// How the copies on the server are proven again and again.
    pub verify: Verify,
    /// What becomes of symbolic links.
    pub symlinks: Symlinks,
    /// Which permissions the server's copies get.
    pub permissions: Permissions,
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// They are left out.
    #[default]
    Skip,
    /// One that leads to something in the directory is mirrored as that.
    Follow,
    /// They are mirrored as links.
    Link,
}

/// Which permissions the server's copies get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permissions {
    /// Those that the server gives them.
    #[default]
    Server,
    /// Those of the local files and directories.
    Keep,
    /// Always the same: bits from 0 to 0o777; `None` are those that the server gives.
    Fixed {
        /// Of files.
        files: Option<u16>,
        /// Of directories.
        directories: Option<u16>,
    },
}

/// What becomes of the server's copy of something that is gone here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delete {
    /// It goes to the mirror's trash on the server.
    #[default]
    Trash,
    /// It is removed.
    Remove,
    /// It stays; what must make way for something new goes to the trash, which is never emptied.
    Keep,
}

/// How long what went to the trash stays there: until either is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trash {
    /// So many days, 1 to 3650.
    pub days: u16,
    /// So many bytes in all.
    pub size: u64,
    /// Whether old versions go there as well.
    pub versions: Versions,
}

/// What becomes of the old version of a file that is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// It is copied to the trash where the server copies by itself.
    #[default]
    Copied,
    /// Where it does not, it is read back and sent there, if it is not larger than 16 MiB.
    Always,
    /// It is overwritten.
    Never,
}

/// How the copies on the server are proven again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verify {
    /// Each once within this time, 1 s to 3650 days; `None` is never.
    pub every: Option<Duration>,
    /// So many bytes a day are read back at most, where the server computes no checksums.
    pub read_back: u64,
}

/// What becomes of a copy on the server that somebody else changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// It stays, and the path is parked.
    #[default]
    KeepRemote,
    /// It is renamed to a visible name with a date.
    KeepBoth,
    /// It is overwritten.
    Overwrite,
}

/// When changes become visible on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// Each as soon as it is there.
    #[default]
    Each,
    /// All of a burst at once, when everything is there.
    Together,
}

/// How the whole directory is looked at while a mirror runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scan {
    /// With what processor and disk have left.
    #[default]
    Background,
    /// Like any other program.
    Normal,
}

/// How much may be deleted without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteBudget {
    /// So many entries.
    pub files: u32,
    /// So much of all entries, 0 to 100.
    pub percent: u8,
}

/// Where a piece of configuration was read: what relative paths and positions in errors refer to.
#[derive(Clone, Debug)]
pub struct Origin {
    file: PathBuf,
    home: Option<PathBuf>,
}

impl Config {
    /// The file to load: `explicit` (`--config`), else `$TOWLINE_CONFIG`, else the first that exists of
    /// `$XDG_CONFIG_HOME/towline/towline.toml` (`~/.config` if unset) and `/etc/towline/towline.toml`.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`], which lists where it looked.
    pub fn find(explicit: Option<&Path>, env: Env<'_>) -> Result<PathBuf, ConfigError> {
        load::find(explicit, env)
    }

    /// Reads `file` and the drop-ins `conf.d/*.toml` beside it, in the order of their names, and lays the variables
    /// `TOWLINE__REMOTE__NAME__KEY` and `TOWLINE__MIRROR__NAME__KEY` of the environment over them. Relative paths in a file are
    /// relative to that file.
    ///
    /// # Errors
    /// A file that cannot be read, or everything that is wrong in them with its position. Values are never repeated.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        load::load(file, std::env::home_dir().as_deref())
    }

    /// The files that [`Config::load`] reads for `file`, in their order.
    ///
    /// # Errors
    /// When the directory of the drop-ins cannot be read.
    pub fn files(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
        Ok(load::origins(file, None)?.into_iter().map(|origin| origin.file).collect())
    }

    /// The environment variables that [`Config::load`] lays over the files, by name.
    pub fn overrides() -> Vec<String> {
        overrides::variables(std::env::vars_os()).into_iter().map(|variable| variable.name).collect()
    }

    /// The configuration in `text`, which was read from `origin`.
    ///
    /// # Errors
    /// Everything that is wrong in it, with its position. Values are never repeated.
    pub fn parse(text: &str, origin: &Origin) -> Result<Self, ConfigError> {
        let mut layers = [layers::Layers::new(text)];
        let faults = defaults::lay(&mut layers, &[(text, origin)]);
        let mut part = validate::part(text, origin, &layers[0]);
        part.faults.extend(faults);
        merge::merge(vec![part]).map(|(config, _)| config)
    }
}

impl Origin {
    /// The file `file`; `home` is what `~` stands for.
    pub fn new(file: &Path, home: Option<&Path>) -> Self {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self { file, home: home.filter(|home| home.is_absolute()).map(Path::to_owned) }
    }
}

impl Remote {
    /// The port of explicit FTPS (RFC 4217 §4).
    pub const DEFAULT_PORT: u16 = 21;
    /// The port of implicit FTPS, as registered with IANA.
    pub const DEFAULT_IMPLICIT_PORT: u16 = 990;
    /// Connections, where the configuration names no ceiling.
    pub const DEFAULT_CONNECTIONS: u8 = 8;
}

impl Mirror {
    /// [`Mirror::quiet`], where the configuration does not say.
    pub const DEFAULT_QUIET: Duration = Duration::from_millis(200);
    /// [`Mirror::full_scan`], where the configuration does not say.
    pub const DEFAULT_FULL_SCAN: Duration = Duration::from_secs(60 * 60);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), reply: Duration::from_secs(25), stall: Duration::from_secs(25) }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self { command: None, webhook: None, after: Duration::from_secs(60), ping: None, ping_every: Duration::from_secs(300) }
    }
}

impl Default for Trash {
    fn default() -> Self {
        Self { days: 30, size: 1 << 30, versions: Versions::Copied }
    }
}

impl Default for Verify {
    fn default() -> Self {
        Self { every: Some(Duration::from_secs(30 * 86_400)), read_back: 0 }
    }
}

impl Default for DeleteBudget {
    fn default() -> Self {
        Self { files: 50, percent: 25 }
    }
}
