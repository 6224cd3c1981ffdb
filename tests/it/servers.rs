//! Real FTPS servers on loopback, strict settings on: vsftpd, ProFTPD, Pure-FTPd and pyftpdlib as Debian ships them. Not a fake,
//! not a mock.
//!
//! `Server::start` writes a configuration into a temporary folder and starts the daemon in a process group; dropping the `Server` kills
//! the group. The programs come from `tests/servers/fetch.sh`, which is called when they are first needed.

mod cable;
pub mod pki;
mod ports;
mod process;
mod proftpd;
mod proxy;
mod pureftpd;
mod pyftpdlib;
mod trials;
mod vsftpd;

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::support::{self, Impossible, temp_dir, wait_until};
use process::read_lossy;

pub use cable::Cable;
pub use ports::Ports;
pub use process::Family;
pub use proxy::{Proxy, ProxyKind};
pub use trials::trials;

/// The account that serves files where we are root: Debian's `nobody` and `nogroup`.
pub(crate) const NOBODY: u32 = 65_534;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(20);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// vsftpd with local users in a chroot, as sites run it. Data connections must resume the control connection's TLS session.
    Vsftpd,
    /// ProFTPD; session reuse required, which is its default.
    ProFtpd,
    /// Pure-FTPd with virtual users; TLS required on both connections.
    PureFtpd,
    /// pyftpdlib with a virtual user and pyOpenSSL; any TLS session will do.
    Pyftpdlib,
    /// vsftpd without root: anonymous users who may write, no chroot, any password.
    VsftpdAnonymous,
}

impl Kind {
    /// The four servers, each as it is run in the field.
    pub const ALL: [Self; 4] = [Self::Vsftpd, Self::ProFtpd, Self::PureFtpd, Self::Pyftpdlib];

    /// As it stands in the names of trials.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vsftpd => "vsftpd",
            Self::ProFtpd => "proftpd",
            Self::PureFtpd => "pureftpd",
            Self::Pyftpdlib => "pyftpdlib",
            Self::VsftpdAnonymous => "vsftpd_anonymous",
        }
    }

    /// Whether it can speak TLS from the first byte. Pure-FTPd cannot.
    pub fn has_implicit(self) -> bool {
        self != Self::PureFtpd
    }

    /// Whether it can insist that data connections resume the control connection's TLS session.
    pub fn can_require_reuse(self) -> bool {
        matches!(self, Self::Vsftpd | Self::VsftpdAnonymous | Self::ProFtpd)
    }
}

/// Which TLS versions a server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    V12,
    V13,
    #[default]
    Both,
}

impl Tls {
    pub const ALL: [Self; 3] = [Self::V12, Self::V13, Self::Both];

    /// As it stands in the names of trials.
    pub fn name(self) -> &'static str {
        match self {
            Self::V12 => "tls12",
            Self::V13 => "tls13",
            Self::Both => "both",
        }
    }

    pub fn offers_12(self) -> bool {
        self != Self::V13
    }

    pub fn offers_13(self) -> bool {
        self != Self::V12
    }
}

/// How a server is to be set up; the default is what a careful operator would run.
#[derive(Clone, Debug)]
pub struct Options {
    pub tls: Tls,
    /// TLS from the first byte instead of `AUTH TLS`.
    pub implicit: bool,
    /// Data connections must resume the control connection's TLS session, where the server can insist on that.
    pub reuse: bool,
    /// Data connections may be opened by the server (PORT, EPRT).
    pub active: bool,
    /// Listens on `::1` instead of `127.0.0.1`.
    pub ipv6: bool,
    /// Wants a certificate of the client, issued by the same authority as its own. vsftpd and ProFTPD only.
    pub client_certificate: bool,
    /// Names that differ in case alone are the same. pyftpdlib only.
    pub fold_case: bool,
    /// Listens at the far end of this cable, and nowhere else.
    pub cable: Option<Arc<Cable>>,
    /// How many ports its data connections have to themselves; all of its block where it is not said.
    pub data_ports: Option<u16>,
    /// How many sessions the server allows at once. vsftpd refuses the next with a 421, ProFTPD with a 530 at PASS.
    pub max_clients: Option<u16>,
    /// Added at the end of the configuration: lines for vsftpd and ProFTPD, arguments separated by white space for the others.
    pub extra: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Tls::default(),
            implicit: false,
            reuse: true,
            active: false,
            ipv6: false,
            client_certificate: false,
            fold_case: false,
            cable: None,
            data_ports: None,
            max_clients: None,
            extra: String::new(),
        }
    }
}

impl From<Tls> for Options {
    fn from(tls: Tls) -> Self {
        Self { tls, ..Self::default() }
    }
}

/// A running server.
pub struct Server {
    pub kind: Kind,
    pub host: &'static str,
    pub port: u16,
    /// The folder that the server serves, on this machine.
    pub root: PathBuf,
    /// That folder's path on the server: `/` in a chroot; without root there is none, and it is the same as `root`.
    pub home: String,
    pub user: &'static str,
    pub password: &'static str,
    /// The certificate of the authority that issued the server's.
    pub ca: PathBuf,
    family: Option<Family>,
    site: Site,
    _dir: TempDir,
}

/// What a server's configuration is made from.
struct Site {
    /// What `fetch.sh` unpacked.
    programs: PathBuf,
    authority: pki::Authority,
    host: &'static str,
    /// Where configuration, certificates and logs are.
    dir: PathBuf,
    root: PathBuf,
    ports: Ports,
    options: Options,
    /// Whether we are root, and the server can take another account and a chroot.
    privileged: bool,
}

impl Server {
    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    /// Where it does not, with what it wrote.
    pub fn start(kind: Kind, options: impl Into<Options>) -> Self {
        let programs = programs().expect("the trial was to ask `possible` first");
        let temp = temp_dir();
        let dir = temp.path().canonicalize().unwrap();
        let root = dir.join("root");
        fs::create_dir(&root).unwrap();
        let authority = pki::write_server(&dir);
        let options = options.into();
        let host = match &options.cable {
            Some(_) => Cable::FAR,
            None if options.ipv6 => "::1",
            None => "127.0.0.1",
        };
        let mut ports = Ports::claim();
        if let Some(few) = options.data_ports {
            ports.passive = *ports.passive.start()..=ports.passive.start() + few - 1;
        }
        let site = Site { programs, authority, host, root, ports, options, privileged: is_root(), dir };
        site.give(&site.root);
        let (user, password) = match kind {
            Kind::VsftpdAnonymous => ("anonymous", "towline@localhost"),
            _ => (Site::USER, Site::PASSWORD),
        };
        let chroot = kind == Kind::Pyftpdlib || site.privileged && kind != Kind::VsftpdAnonymous;
        let mut server = Self {
            kind,
            host,
            port: site.ports.control,
            root: site.root.clone(),
            home: if chroot { "/".to_owned() } else { site.root.to_str().unwrap().to_owned() },
            user,
            password,
            ca: site.dir.join("ca.pem"),
            family: None,
            site,
            _dir: temp,
        };
        server.start_again();
        server
    }

    /// Starts a stopped server, on the port it had.
    pub fn start_again(&mut self) {
        assert!(self.family.is_none(), "it runs already");
        let mut command = match self.kind {
            Kind::Vsftpd => vsftpd::local(&self.site),
            Kind::VsftpdAnonymous => vsftpd::anonymous(&self.site),
            Kind::ProFtpd => proftpd::command(&self.site),
            Kind::PureFtpd => pureftpd::command(&self.site),
            Kind::Pyftpdlib => pyftpdlib::command(&self.site),
        };
        let cable = self.site.options.cable.as_deref();
        if let Some(cable) = cable {
            command = cable.at_far_end(&command);
        }
        let address = self.address();
        let tables = cable.map_or_else(|| "/proc/self".to_owned(), |cable| format!("/proc/{}", cable.far()));
        let family = self.family.insert(Family::spawn(command, &self.site.dir.join("output")).unwrap());
        let listening = wait_until(START, || is_listening(&tables, address, self.port) || !family.is_running());
        assert!(listening && family.is_running(), "{} did not start: {}", self.kind.name(), family.output());
    }

    /// Kills the server with all its sessions, as a crash would.
    pub fn stop(&mut self) {
        self.family = None;
    }

    /// Stops all its processes where they are: connections stay open, nobody answers.
    pub fn freeze(&self) {
        self.running().freeze();
    }

    /// Ends a freeze.
    pub fn thaw(&self) {
        self.running().thaw();
    }

    /// The commands and replies that the server wrote down, in its own format. Pure-FTPd knows of transfers only.
    pub fn log(&self) -> String {
        read_lossy(&self.site.log())
    }

    /// What the server wrote down of its TLS sessions; for vsftpd that is part of `log`, Pure-FTPd writes nothing.
    pub fn tls_log(&self) -> String {
        read_lossy(&self.site.dir.join("tls.log"))
    }

    /// Where it listens.
    pub fn address(&self) -> IpAddr {
        self.host.parse().unwrap()
    }

    /// A certificate for clients, its key, and that key encrypted with [`pki::CLIENT_KEY_PASSWORD`], all in PEM. Its authority is the
    /// server's own.
    pub fn client_files(&self) -> [PathBuf; 3] {
        pki::write_client(&self.site.dir, &self.site.authority)
    }

    /// Where its sessions came from, one address for each, as ProFTPD writes it down.
    pub fn sessions(&self) -> Vec<String> {
        let log = read_lossy(&self.site.dir.join("system.log"));
        let opened = log.lines().filter_map(|line| line.strip_suffix(": FTP session opened."));
        opened.filter_map(|line| Some(line.rsplit_once('[')?.1.split_once(']')?.0.to_owned())).collect()
    }

    /// The path on the server of a file that is at `relative` under `root`.
    pub fn remote(&self, relative: &str) -> String {
        format!("{}/{relative}", self.home.trim_end_matches('/'))
    }

    /// The ports of its data connections.
    pub fn passive(&self) -> std::ops::RangeInclusive<u16> {
        self.site.ports.passive.clone()
    }

    /// Gives a file or folder that the test made under `root` to the account that the server serves with.
    pub fn give(&self, path: &Path) {
        self.site.give(path);
    }

    fn running(&self) -> &Family {
        self.family.as_ref().expect("the server is stopped")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output = self.family.as_ref().map(Family::output).unwrap_or_default();
            eprintln!("--- {} ({:?}), output:\n{output}--- its log:\n{}---", self.kind.name(), self.site.options.tls, self.log());
        }
    }
}

impl Site {
    const USER: &'static str = "towline";
    const PASSWORD: &'static str = "towline-secret";
    /// `PASSWORD` for crypt(3), with the fewest rounds there are: logins are not what we test.
    const PASSWORD_HASH: &'static str =
        "$6$rounds=1000$towline$dlCy2esKQ7HegRuhqCf4oJv5ghvj7fHwGhoT1ffjxkXoq/KoBsk2xPL/lR6qOnD4XJXUj/LXSmKRv1VSdIxa11";

    fn log(&self) -> PathBuf {
        self.dir.join("commands.log")
    }

    /// A program from the packages, to be started with the libraries it was fetched with and the TLS versions it shall offer.
    fn program(&self, path: &str) -> Command {
        let mut command = Command::new(self.programs.join(path));
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        // vsftpd and Pure-FTPd cannot be told which versions to offer. OpenSSL's own configuration can; the limits, that is, for
        // Pure-FTPd clears the option bits that `Protocol = -TLSv1.2` would set.
        let (min, max) = match self.options.tls {
            Tls::V12 => ("TLSv1.2", "TLSv1.2"),
            Tls::V13 => ("TLSv1.3", "TLSv1.3"),
            Tls::Both => ("TLSv1.2", "TLSv1.3"),
        };
        let path = self.dir.join("openssl.cnf");
        let text = format!(
            "openssl_conf = top\n[top]\nssl_conf = ssl\n[ssl]\nsystem_default = versions\n\
             [versions]\nMinProtocol = {min}\nMaxProtocol = {max}\n"
        );
        fs::write(&path, text).unwrap();
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("OPENSSL_CONF", path);
        command.env("LD_LIBRARY_PATH", self.programs.join("libs")).current_dir(&self.dir);
    }

    /// The account to serve with: user and group by name, then by number. `nobody` for root, everybody else as they are.
    fn account(&self) -> (String, String, u32, u32) {
        if self.privileged {
            return ("nobody".to_owned(), "nogroup".to_owned(), NOBODY, NOBODY);
        }
        let name = |option| {
            let output = Command::new("id").arg(option).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        (name("-un"), name("-gn"), rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    fn give(&self, path: &Path) {
        if !self.privileged {
            return;
        }
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        if path.is_dir() && !path.is_symlink() {
            for entry in fs::read_dir(path).unwrap() {
                self.give(&entry.unwrap().path());
            }
        }
    }
}

/// A trial that needs this server. It is ignored where the server cannot run.
pub fn trial<F, R>(kind: Kind, name: impl Into<String>, test: F) -> Trial
where
    F: FnOnce() -> R + Send + 'static,
    R: Future<Output = ()>,
{
    support::trial_where(name, move || possible(kind), test)
}

/// Whether this server can run here. Fetches the servers when they are missing.
pub fn possible(kind: Kind) -> Result<(), Impossible> {
    match kind {
        Kind::Vsftpd | Kind::PureFtpd if !is_root() => Err(Impossible::NotAllowed(format!("{} needs root", kind.name()))),
        Kind::Vsftpd if mount_propagation().is_none() => {
            Err(Impossible::NotAllowed("vsftpd's local users need a mount namespace (unshare -m)".to_owned()))
        }
        Kind::Pyftpdlib if !Path::new(pyftpdlib::PYTHON).exists() => {
            Err(Impossible::Missing(format!("pyftpdlib needs {}", pyftpdlib::PYTHON)))
        }
        _ => programs().map(drop),
    }
}

/// Whether [`Server::client_files`] can be made here.
pub fn openssl_possible() -> Result<(), Impossible> {
    match Command::new("openssl").arg("version").stdout(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(error) => Err(Impossible::Missing(format!("the program openssl: {error}"))),
    }
}

/// Whether a server can listen on `::1` here.
pub fn ipv6_possible() -> Result<(), Impossible> {
    match std::net::TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Impossible::NotAllowed(format!("there is no ::1 here: {error}"))),
    }
}

/// Where the servers' programs are; fetched on the first call of all, once for all test runs.
fn programs() -> Result<PathBuf, Impossible> {
    static PROGRAMS: OnceLock<Result<PathBuf, Impossible>> = OnceLock::new();
    PROGRAMS
        .get_or_init(|| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/fetch.sh");
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("servers");
            let home = std::env::var_os("TOWLINE_SERVERS").map_or(target, PathBuf::from);
            let output =
                Command::new("bash").arg(script).arg("servers").env("TOWLINE_SERVERS", home).stdin(Stdio::null()).output();
            match output {
                Ok(output) if output.status.success() => Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())),
                Ok(output) => {
                    let told = String::from_utf8_lossy(&output.stderr);
                    eprintln!("{told}");
                    Err(Impossible::Missing(told.trim().lines().next_back().unwrap_or("fetch.sh failed").to_owned()))
                }
                Err(error) => Err(Impossible::Missing(format!("cannot start {script}: {error}"))),
            }
        })
        .clone()
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The propagation to give `unshare -m`, so that what is mounted there is seen by nobody else. None where that cannot be had.
pub(crate) fn mount_propagation() -> Option<&'static str> {
    // `private` fails in a plain chroot, whose `/` is no mount point. What is mounted there may be private as it is: try, and look.
    const PROBE: &str = "mount --bind /etc/pam.d /etc/pam.d && ! grep -q ' /etc/pam.d ' /proc/$0/mountinfo
        private=$?; umount /etc/pam.d; exit $private";
    static PROPAGATION: OnceLock<Option<&str>> = OnceLock::new();
    *PROPAGATION.get_or_init(|| {
        let works = |propagation, script| {
            let mut command = Command::new("unshare");
            command.args(["-m", "--propagation", propagation, "sh", "-c", script, &std::process::id().to_string()]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if works("private", "true") { Some("private") } else { works("unchanged", PROBE).then_some("unchanged") }
    })
}

/// Whether somebody listens there, as the tables below `/proc/PID` say. Looked up, not tried: a connection would count against
/// the server's limits.
fn is_listening(process: &str, address: IpAddr, port: u16) -> bool {
    // Words of four bytes, each as this machine reads it.
    let hex = |octets: &[u8]| -> String {
        octets.chunks_exact(4).map(|word| format!("{:08X}", u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))).collect()
    };
    let (table, address) = match address {
        IpAddr::V4(address) => ("tcp", hex(&address.octets())),
        IpAddr::V6(address) => ("tcp6", hex(&address.octets())),
    };
    let address = format!("{address}:{port:04X}");
    let table = fs::read_to_string(format!("{process}/net/{table}")).unwrap_or_default();
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next() == Some(&address) && fields.nth(1) == Some("0A")
    })
}
