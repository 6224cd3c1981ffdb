//! Every server in every way to reach it: explicit and implicit, each TLS version, session reuse demanded or not, each kind of data
//! connection, both address families; and with a client certificate. Through the engine's own client; what the mirror makes of it
//! is not here.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use libtest_mimic::Trial;
use tokio::sync::mpsc;
use towline::{
    ftps::{
        Active, Client, ClientAuth, DataMode, Mode, Profile, Timeouts, TlsSettings,
        proto::{ListedKind, Pathname},
    },
    remote::{
        Class, Remote, RemoteError,
        ftps::{FtpsRemote, FtpsSettings},
    },
};

use crate::{
    servers::{self, Kind, Options, Ports, Server, Tls, pki},
    support::{scaled, trial_where},
};

/// The time that every file gets.
const MODIFIED: i64 = 1_700_000_000;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for cell in cells() {
        let possible = move || {
            servers::possible(cell.kind)?;
            if cell.ipv6 { servers::ipv6_possible() } else { Ok(()) }
        };
        trials.push(trial_where(cell.name(), possible, move || cell.run()));
    }
    for kind in [Kind::ProFtpd, Kind::Vsftpd] {
        for tls in [Tls::V12, Tls::V13] {
            for (what, shown) in [
                ("is_shown", Shown::Certificate),
                ("with_an_encrypted_key", Shown::CertificateWithEncryptedKey),
                ("is_missed", Shown::Nothing),
                ("of_another_authority", Shown::CertificateOfAnotherAuthority),
            ] {
                let name = format!("matrix::{}::{}::client_certificate::{what}", kind.name(), tls.name());
                let possible = move || servers::possible(kind).and_then(|()| servers::openssl_possible());
                trials.push(trial_where(name, possible, move || client_certificate(kind, tls, shown)));
            }
        }
    }
    trials
}

/// How to reach `server` with nothing special; only what the engine's client needs is set.
pub(crate) fn settings(server: &Server) -> FtpsSettings {
    FtpsSettings {
        host: server.host.to_owned(),
        port: server.port,
        user: server.user.to_owned(),
        password: server.password.to_owned().into(),
        base: server.remote("").into_bytes(),
        tls: TlsSettings { ca: Some(server.ca.clone()), ..TlsSettings::default() },
        timeouts: Timeouts::default(),
        throttle: None,
        mode: Mode::Explicit,
        data: DataMode::Passive,
        proxy: None,
    }
}

/// A server that knows nothing of what was learnt before.
pub(crate) fn remote(settings: FtpsSettings) -> FtpsRemote {
    FtpsRemote::new(settings, Profile::default(), Arc::new(|_: &Profile| {})).unwrap()
}

/// Puts, lists, renames, removes and sets times in the directory `name`, and looks on the disk what became of it.
pub(crate) async fn exercise(server: &Server, remote: &FtpsRemote, name: &str, files: u64) {
    let mut client = Client::connect(remote.endpoint().clone()).await.unwrap();
    let local = server.root.join(name);
    let at = |file: &str| Pathname::new(server.remote(&format!("{name}/{file}")).into_bytes()).unwrap();
    let dir = Pathname::new(server.remote(name).into_bytes()).unwrap();
    client.make_dir(&dir).await.unwrap();

    let mut wanted: BTreeMap<String, Bytes> = (0..files).map(|i| (format!("file {i}"), body(i))).collect();
    for (file, body) in &wanted {
        let temp = at(".part");
        let sent = client.store(&temp, &mut || stream(body)).await.unwrap();
        assert_eq!(sent, body.len() as u64);
        assert_eq!(client.size(&temp).await.unwrap(), Some(sent), "{file}");
        assert!(client.set_modified(&temp, MODIFIED).await.unwrap(), "the time of {file}");
        client.rename(&temp, &at(file)).await.unwrap();
    }
    assert_holds(&local, &wanted);
    assert_lists(&mut client, &dir, &wanted).await;

    for i in 0..files {
        let file = format!("file {i}");
        let body = wanted.remove(&file).unwrap();
        if i % 2 == 0 {
            client.remove_file(&at(&file)).await.unwrap();
        } else {
            let new = format!("renamed {i}");
            client.rename(&at(&file), &at(&new)).await.unwrap();
            wanted.insert(new, body);
        }
    }
    assert_holds(&local, &wanted);
    assert_lists(&mut client, &dir, &wanted).await;
    client.quit().await;
}

/// From nothing to 80 KiB, so that some bodies take several TLS records and some are empty.
fn body(seed: u64) -> Bytes {
    let len = usize::try_from(seed * seed * 211 % 80_000).unwrap();
    let mut body = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut body);
    body.into()
}

fn stream(body: &Bytes) -> mpsc::Receiver<Bytes> {
    let (tx, rx) = mpsc::channel(1);
    if !body.is_empty() {
        tx.try_send(body.clone()).unwrap();
    }
    rx
}

/// That these files are in `dir`, byte for byte, with their times, and nothing else.
fn assert_holds(dir: &Path, wanted: &BTreeMap<String, Bytes>) {
    let mut found: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert!(found.iter().eq(wanted.keys()), "there is {found:?}");
    for (name, body) in wanted {
        let file = dir.join(name);
        assert!(fs::read(&file).unwrap() == *body, "{} differs", file.display());
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(MODIFIED.unsigned_abs()), "{}", file.display());
    }
}

async fn assert_lists(client: &mut Client<towline::ftps::TcpDial>, dir: &Pathname, wanted: &BTreeMap<String, Bytes>) {
    let listing = client.list(dir).await.unwrap();
    let mut listed: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| {
            assert_eq!(entry.kind, ListedKind::File);
            (String::from_utf8(entry.name.clone()).unwrap(), entry.size)
        })
        .collect();
    listed.sort();
    let wanted: Vec<_> = wanted.iter().map(|(name, body)| (name.clone(), Some(body.len() as u64))).collect();
    assert_eq!(listed, wanted);
}

/// One server in one way.
#[derive(Clone, Copy)]
struct Cell {
    kind: Kind,
    implicit: bool,
    tls: Tls,
    reuse: bool,
    ipv6: bool,
}

/// The ways that exist. What a server cannot do is left out, not ignored.
fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in Kind::ALL {
        for implicit in [false, true] {
            for tls in [Tls::V12, Tls::V13] {
                for reuse in [true, false] {
                    for ipv6 in [false, true] {
                        if (kind.has_implicit() || !implicit) && (kind.can_require_reuse() || !reuse) {
                            cells.push(Cell { kind, implicit, tls, reuse, ipv6 });
                        }
                    }
                }
            }
        }
    }
    cells
}

impl Cell {
    fn name(self) -> String {
        let mode = if self.implicit { "implicit" } else { "explicit" };
        let reuse = if self.reuse { "reuse" } else { "no_reuse" };
        let family = if self.ipv6 { "ipv6" } else { "ipv4" };
        format!("matrix::{}::{mode}::{}::{reuse}::{family}", self.kind.name(), self.tls.name())
    }

    /// Every kind of data connection, on one server.
    async fn run(self) {
        let Self { kind, implicit, tls, reuse, ipv6 } = self;
        let server = Server::start(kind, Options { tls, implicit, reuse, ipv6, active: true, ..Options::default() });
        let here = Ports::claim();
        let active = DataMode::Active(Active { ports: here.passive.clone(), address: None });
        // PASV cannot name an IPv6 address.
        let ways: &[_] = match ipv6 {
            false => &[
                ("epsv", DataMode::Epsv, &["EPSV"][..]),
                ("pasv", DataMode::Pasv, &["PASV"]),
                ("active", active, &["PORT", "EPRT"]),
            ],
            true => &[("epsv", DataMode::Epsv, &["EPSV"][..]), ("active", active, &["EPRT"])],
        };
        for (name, data, verbs) in ways {
            let mode = if implicit { Mode::Implicit } else { Mode::Explicit };
            let remote = remote(FtpsSettings { mode, data: data.clone(), ..settings(&server) });
            let before = server.log().len();
            exercise(&server, &remote, name, scaled(20, 200)).await;
            // Pure-FTPd writes down transfers only.
            if kind != Kind::PureFtpd {
                let log = commands(&server.log()[before..]);
                let asked: Vec<_> = ["EPSV", "PASV", "EPRT", "PORT"].into_iter().filter(|verb| has_word(&log, verb)).collect();
                assert!(!asked.is_empty() && asked.iter().all(|verb| verbs.contains(verb)), "{name}: {asked:?} was asked for");
            }
        }
    }
}

/// The lines of a log that are not about replies: those name commands too.
fn commands(log: &str) -> String {
    let is_reply = |line: &str| line.contains("FTP response: ") || line.starts_with("S: ");
    log.lines().filter(|line| !is_reply(line)).map(|line| format!("{line}\n")).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphabetic()).any(|found| found == word)
}

/// What a client shows of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Certificate,
    CertificateWithEncryptedKey,
    CertificateOfAnotherAuthority,
    Nothing,
}

/// A server that wants a certificate of its clients.
async fn client_certificate(kind: Kind, tls: Tls, shown: Shown) {
    let server = Server::start(kind, Options { tls, client_certificate: true, ..Options::default() });
    let auth = |[cert, key, _]: [PathBuf; 3]| Some(ClientAuth { cert, key, key_password: None });
    let mut stranger = None;
    let client = match shown {
        Shown::Certificate => auth(server.client_files()),
        Shown::CertificateWithEncryptedKey => {
            let [cert, _, key] = server.client_files();
            Some(ClientAuth { cert, key, key_password: Some(pki::CLIENT_KEY_PASSWORD.to_owned().into()) })
        }
        Shown::CertificateOfAnotherAuthority => auth(stranger.insert(Server::start(kind, tls)).client_files()),
        Shown::Nothing => None,
    };
    let mut settings = settings(&server);
    settings.tls.client = client;
    let remote = remote(settings);
    match shown {
        Shown::Certificate | Shown::CertificateWithEncryptedKey => exercise(&server, &remote, "files", scaled(20, 200)).await,
        Shown::CertificateOfAnotherAuthority | Shown::Nothing => {
            // In TLS 1.3 the refusal comes when the client takes itself for connected.
            let refused: RemoteError = remote.connect().await.err().expect("no login");
            println!("{} {}: {refused}", kind.name(), tls.name());
            assert_eq!(refused.class, Class::Tls, "{refused}");
            assert!(!has_word(&commands(&server.log()), "PASS"), "the password was sent");
        }
    }
}
