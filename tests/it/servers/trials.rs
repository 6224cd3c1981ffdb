//! That the servers are what the other tests take them for: the TLS versions, the account, the limits, stopping and freezing. By hand,
//! without Towline's own client.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use libtest_mimic::Trial;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Cable, Kind, Options, Ports, Proxy, ProxyKind, Server, Tls, trial};
use crate::support::{self, eventually};

type Versions<'a> = &'a [&'static SupportedProtocolVersion];

const PATIENCE: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![support::trial("servers::ports_are_claimed_once", ports_are_claimed_once)];
    for kind in Kind::ALL.into_iter().chain([Kind::VsftpdAnonymous]) {
        let name = |test: &str| format!("servers::{}::{test}", kind.name());
        for tls in Tls::ALL {
            trials.push(trial(kind, name(&format!("{}::greets", tls.name())), move || greets(kind, tls)));
            trials.push(trial(kind, name(&format!("{}::offers_just_that", tls.name())), move || offers_just_that(kind, tls)));
            trials.push(trial(kind, name(&format!("{}::stores", tls.name())), move || stores(kind, tls.into(), Data::Epsv)));
        }
        for data in [Data::Epsv, Data::Pasv, Data::Active] {
            for ipv6 in [false, true] {
                let name = name(&format!("{}::stores_by_{}", if ipv6 { "ipv6" } else { "ipv4" }, data.name()));
                let options = Options { ipv6, active: true, ..Options::default() };
                let possible = move || super::possible(kind).and_then(|()| if ipv6 { super::ipv6_possible() } else { Ok(()) });
                // PASV cannot name an IPv6 address.
                if data != Data::Pasv || !ipv6 {
                    trials.push(support::trial_where(name, possible, move || stores(kind, options, data)));
                }
            }
        }
        if kind.has_implicit() {
            let options = Options { implicit: true, ..Options::default() };
            trials.push(trial(kind, name("implicit::stores"), move || stores(kind, options, Data::Epsv)));
        }
        if kind.can_require_reuse() {
            trials.push(trial(kind, name("insists_on_reuse_or_not"), move || insists_on_reuse(kind)));
        }
        trials.push(trial(kind, name("login"), move || login(kind)));
        trials.push(trial(kind, name("limit"), move || limit(kind)));
        trials.push(trial(kind, name("stops_and_starts_again"), move || stops_and_starts_again(kind)));
        trials.push(trial(kind, name("freezes_and_thaws"), move || freezes_and_thaws(kind)));
    }
    for kind in [Kind::Vsftpd, Kind::ProFtpd] {
        let name = format!("servers::{}::wants_a_client_certificate", kind.name());
        let possible = move || super::possible(kind).and_then(|()| super::openssl_possible());
        trials.push(support::trial_where(name, possible, move || wants_a_client_certificate(kind)));
    }
    trials.push(trial(Kind::Pyftpdlib, "servers::pyftpdlib::folds_case", folds_case));
    for kind in ProxyKind::ALL {
        let name = format!("servers::proxy::{}::leads_to_the_server_for_who_knows_the_password", kind.name());
        trials.push(trial(Kind::ProFtpd, name, move || leads_to_the_server(kind)));
    }
    let cable = || super::possible(Kind::ProFtpd).and_then(|()| Cable::possible());
    trials.push(support::trial_where("servers::cable::can_be_cut_and_mended", cable, cut_and_mended));
    trials
}

async fn ports_are_claimed_once() {
    let claims: Vec<Ports> = (0..3).map(|_| Ports::claim()).collect();
    for (n, one) in claims.iter().enumerate() {
        assert!(!one.passive.contains(&one.control));
        for other in &claims[n + 1..] {
            assert!(!one.passive.contains(&other.control) && !other.passive.contains(one.passive.start()));
        }
    }
}

async fn greets(kind: Kind, tls: Tls) {
    let server = Server::start(kind, tls);
    let greeting = Session::new(connect(&server).await.unwrap()).reply().await.unwrap();
    assert!(greeting.starts_with("220"), "{greeting}");
}

async fn offers_just_that(kind: Kind, tls: Tls) {
    let server = Server::start(kind, tls);
    for (version, offered) in [(&TLS12, tls.offers_12()), (&TLS13, tls.offers_13())] {
        match starttls(&server, &[version]).await {
            Ok(session) => {
                assert!(offered, "it speaks {:?}", version.version);
                assert_eq!(session.version(), Some(version.version));
            }
            Err(error) => assert!(!offered, "it refuses {:?}: {error}", version.version),
        }
    }
    let session = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
    let best = if tls.offers_13() { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 };
    assert_eq!(session.version(), Some(best));
}

/// How a data connection is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    Epsv,
    Pasv,
    Active,
}

impl Data {
    fn name(self) -> &'static str {
        match self {
            Self::Epsv => "epsv",
            Self::Pasv => "pasv",
            Self::Active => "active",
        }
    }
}

async fn stores(kind: Kind, options: Options, data: Data) {
    let reuse = options.reuse && kind.can_require_reuse();
    let server = Server::start(kind, options);
    let connector = connector(&server, &[&TLS13, &TLS12]);
    let resumed = store(&server, &connector, data).await.unwrap();
    assert!(resumed || !reuse);
    let log = if kind == Kind::ProFtpd { server.tls_log() } else { server.log() };
    assert!(!log.is_empty());
}

/// Whether a data connection has to resume the control connection's session: here it does not even try.
async fn insists_on_reuse(kind: Kind) {
    for reuse in [true, false] {
        // The ends of TLS 1.3 handshakes cross: who is refused may see a mere reset.
        let server = Server::start(kind, Options { tls: Tls::V12, reuse, ..Options::default() });
        let mut config = client_config(&server, &[&TLS12], None);
        config.resumption = Resumption::disabled();
        let stored = store(&server, &TlsConnector::from(Arc::new(config)), Data::Epsv).await;
        assert_eq!(stored.is_err(), reuse, "{stored:?}");
    }
}

/// Logs in and stores a file. Says whether the data connection resumed a session, or with which reply the server refused it.
async fn store(server: &Server, connector: &TlsConnector, data: Data) -> Result<bool, String> {
    let mut session = open(server, connector).await.unwrap();
    session.login(server.user, server.password).await.unwrap();
    for command in ["PBSZ 0", "PROT P", "TYPE I"] {
        let reply = session.command(command).await.unwrap();
        assert!(reply.starts_with("200"), "{command}: {reply}");
    }
    let here = TcpListener::bind((server.address(), 0)).await.unwrap();
    let (family, port) = (if server.address().is_ipv4() { 1 } else { 2 }, here.local_addr().unwrap().port());
    let ask = match data {
        Data::Epsv => "EPSV".to_owned(),
        Data::Pasv => "PASV".to_owned(),
        Data::Active => format!("EPRT |{family}|{}|{port}|", server.host),
    };
    let reply = session.command(&ask).await.unwrap();
    assert!(reply.starts_with('2'), "{reply}");
    session.send(&format!("STOR {}", server.remote("file"))).await.unwrap();
    let stream = match passive_port(data, &reply) {
        None => timeout(PATIENCE, here.accept()).await.unwrap().unwrap().0,
        Some(port) => {
            assert!(server.passive().contains(&port), "{reply}");
            TcpStream::connect((server.address(), port)).await.unwrap()
        }
    };
    let (reply, stream) = tokio::join!(session.reply(), connector.connect(ServerName::try_from(server.host).unwrap(), stream));
    let reply = reply.unwrap();
    if !["150", "125"].contains(&&reply[..3]) {
        return Err(reply);
    }
    let Ok(mut stream) = stream else { return Err(session.reply().await.unwrap()) };
    let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    let _ = stream.write_all(&[b'x'; 100_000]).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let reply = session.reply().await.unwrap();
    if !reply.starts_with("226") {
        return Err(reply);
    }
    assert_eq!(fs::read(server.root.join("file")).unwrap(), [b'x'; 100_000]);
    Ok(resumed)
}

/// The port in the reply to EPSV or PASV.
fn passive_port(data: Data, reply: &str) -> Option<u16> {
    match data {
        Data::Epsv => reply.split('|').nth(3)?.parse().ok(),
        Data::Pasv => {
            let mut numbers = reply.rsplit(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u8>().ok());
            let low = numbers.next()?;
            Some(u16::from_be_bytes([numbers.next()?, low]))
        }
        Data::Active => None,
    }
}

async fn wants_a_client_certificate(kind: Kind) {
    let server = Server::start(kind, Options { client_certificate: true, ..Options::default() });
    for versions in [&[&TLS12], &[&TLS13]] {
        let [cert, key, encrypted] = server.client_files();
        assert!(fs::read_to_string(encrypted).unwrap().contains("ENCRYPTED PRIVATE KEY"));
        let config = client_config(&server, versions, Some((&cert, &key)));
        store(&server, &TlsConnector::from(Arc::new(config)), Data::Epsv).await.unwrap();
        // In TLS 1.3 the refusal comes after the handshake.
        if let Ok(mut session) = starttls(&server, versions).await {
            let reply = session.command("USER towline").await;
            assert!(reply.is_err(), "{reply:?}");
        }
    }
}

async fn folds_case() {
    for fold_case in [true, false] {
        let server = Server::start(Kind::Pyftpdlib, Options { fold_case, ..Options::default() });
        let mut session = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
        session.login(server.user, server.password).await.unwrap();
        fs::create_dir(server.root.join("Folder")).unwrap();
        fs::write(server.root.join("Folder/File"), "four").unwrap();
        session.command("TYPE I").await.unwrap();
        let size = session.command("SIZE /folder/FILE").await.unwrap();
        assert_eq!(size == "213 4", fold_case, "{size}");
    }
}

/// By hand: a greeting through the proxy, with the right password and with a wrong one.
async fn leads_to_the_server(kind: ProxyKind) {
    let server = Server::start(Kind::ProFtpd, Options::default());
    let proxy = Proxy::start(kind, server.port, server.passive());
    for (password, right) in [(proxy.password, true), ("wrong", false)] {
        let mut stream = TcpStream::connect((Proxy::HOST, proxy.port)).await.unwrap();
        let through = match kind {
            ProxyKind::Socks5 => by_socks5(&mut stream, proxy.user, password, server.port).await,
            ProxyKind::Http => by_connect(&mut stream, proxy.user, password, server.port).await,
        };
        assert_eq!(through.unwrap_or(false), right, "{password}");
        if right {
            let greeting = Session::new(stream).reply().await.unwrap();
            assert!(greeting.starts_with("220"), "{greeting}");
        }
    }
    assert_eq!(server.sessions(), [Proxy::FROM]);
}

/// RFC 1928 and 1929, to 127.0.0.1.
async fn by_socks5(stream: &mut TcpStream, user: &str, password: &str, port: u16) -> std::io::Result<bool> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    stream.write_all(&[5, 1, 2]).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, [5, 2]);
    let account = [&[1, length(user)], user.as_bytes(), &[length(password)], password.as_bytes()].concat();
    stream.write_all(&account).await?;
    stream.read_exact(&mut answer).await?;
    if answer[1] != 0 {
        return Ok(false);
    }
    stream.write_all(&[&[5, 1, 0, 1, 127, 0, 0, 1], &port.to_be_bytes()[..]].concat()).await?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await?;
    Ok(answer[1] == 0)
}

/// RFC 9110 §9.3.6, to 127.0.0.1.
async fn by_connect(stream: &mut TcpStream, user: &str, password: &str, port: u16) -> std::io::Result<bool> {
    let account = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let request = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\nProxy-Authorization: Basic {account}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&answer).split(' ').nth(1) == Some("200"))
}

/// What is sent while it is cut is late, not lost.
async fn cut_and_mended() {
    let cable = Arc::new(Cable::lay().unwrap());
    let server = Server::start(Kind::ProFtpd, Options { cable: Some(Arc::clone(&cable)), ..Options::default() });
    let script = "import socket, sys\n\
                  s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n\
                  print(s.recv(3), flush=True)\n\
                  sys.stdin.readline()\n\
                  s.send(b'NOOP\\r\\n'); s.recv(1000); s.settimeout(1)\n\
                  try: print(s.recv(3), flush=True)\n\
                  except TimeoutError: print('late', flush=True)\n\
                  sys.stdin.readline(); s.settimeout(20); print(s.recv(3), flush=True)\n";
    let mut command = std::process::Command::new(super::pyftpdlib::PYTHON);
    command.args(["-c", script, server.host, &server.port.to_string()]);
    let mut command = tokio::process::Command::from(cable.at_near_end(&command));
    let piped = std::process::Stdio::piped;
    let mut client = command.stdin(piped()).stdout(piped()).kill_on_drop(true).spawn().unwrap();
    let (mut go_on, mut said) = (client.stdin.take().unwrap(), BufReader::new(client.stdout.take().unwrap()).lines());
    assert_eq!(said.next_line().await.unwrap().as_deref(), Some("b'220'"));
    cable.cut();
    go_on.write_all(b"\n").await.unwrap();
    assert_eq!(said.next_line().await.unwrap().as_deref(), Some("late"));
    cable.mend();
    go_on.write_all(b"\n").await.unwrap();
    assert!(said.next_line().await.unwrap().is_some_and(|line| line.len() == 6), "no answer after all");
}

async fn login(kind: Kind) {
    let server = Server::start(kind, Options::default());
    let mut session = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
    session.login(server.user, server.password).await.expect("230");

    // What the server calls `home` is what we call `root`, and it may write there.
    fs::write(server.root.join("ours"), "ours").unwrap();
    server.give(&server.root);
    let size = session.command(&format!("SIZE {}", server.remote("ours"))).await.unwrap();
    let size = if size.starts_with("550") {
        // vsftpd and ProFTPD do not tell the size of a file in ASCII mode.
        session.command("TYPE I").await.unwrap();
        session.command(&format!("SIZE {}", server.remote("ours"))).await.unwrap()
    } else {
        size
    };
    assert_eq!(size, "213 4");
    let made = session.command(&format!("MKD {}", server.remote("theirs"))).await.unwrap();
    assert!(made.starts_with("257"), "{made}");
    assert!(server.root.join("theirs").is_dir());
    if kind != Kind::PureFtpd {
        eventually("MKD in the server's log", PATIENCE, || server.log().contains("MKD")).await;
        let log = server.log();
        assert!(!log.contains(server.password) || kind == Kind::VsftpdAnonymous, "{log}");
    }

    if kind != Kind::VsftpdAnonymous {
        let mut session = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
        let refusal = session.login(server.user, "wrong").await.expect_err("a wrong password");
        assert!(refusal.starts_with("530"), "{refusal}");
    }
}

async fn limit(kind: Kind) {
    let server = Server::start(kind, Options { max_clients: Some(1), ..Options::default() });
    let mut first = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
    first.login(server.user, server.password).await.unwrap();
    if kind == Kind::ProFtpd {
        let mut second = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
        let refusal = second.login(server.user, server.password).await.expect_err("the second login");
        assert!(refusal.starts_with("530"), "{refusal}");
    } else {
        let refusal = Session::new(connect(&server).await.unwrap()).reply().await.unwrap_or_default();
        assert!(refusal.starts_with("421") || refusal.is_empty(), "{refusal}");
    }
}

async fn stops_and_starts_again(kind: Kind) {
    let mut server = Server::start(kind, Options::default());
    let mut session = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
    server.stop();
    assert!(session.reply().await.is_err(), "a session outlived its server");
    assert!(connect(&server).await.is_err(), "somebody still listens");
    server.start_again();
    let mut session = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
    session.login(server.user, server.password).await.unwrap();
}

async fn freezes_and_thaws(kind: Kind) {
    let server = Server::start(kind, Options::default());
    let mut session = starttls(&server, &[&TLS13, &TLS12]).await.unwrap();
    server.freeze();
    session.send("NOOP").await.unwrap();
    assert!(timeout(Duration::from_millis(100), session.reply()).await.is_err(), "a frozen server answers");
    server.thaw();
    let reply = session.reply().await.unwrap();
    assert!(reply.as_bytes()[0].is_ascii_digit(), "{reply}");
}

/// A control connection, line by line.
struct Session<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    async fn send(&mut self, command: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await
    }

    /// The last line of the next reply.
    async fn reply(&mut self) -> std::io::Result<String> {
        loop {
            let mut line = String::new();
            let read =
                timeout(PATIENCE, self.stream.read_line(&mut line)).await.unwrap_or(Err(std::io::ErrorKind::TimedOut.into()));
            if read? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.len() > 3 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit) && line.as_bytes()[3] == b' ' {
                return Ok(line.trim_end().to_owned());
            }
        }
    }

    async fn command(&mut self, command: &str) -> std::io::Result<String> {
        self.send(command).await?;
        self.reply().await
    }

    /// Gives the refusal back.
    async fn login(&mut self, user: &str, password: &str) -> Result<(), String> {
        self.command(&format!("USER {user}")).await.unwrap();
        let reply = self.command(&format!("PASS {password}")).await.unwrap();
        if reply.starts_with("230") { Ok(()) } else { Err(reply) }
    }
}

impl Session<TlsStream<TcpStream>> {
    fn version(&self) -> Option<ProtocolVersion> {
        self.stream.get_ref().get_ref().1.protocol_version()
    }
}

async fn connect(server: &Server) -> std::io::Result<TcpStream> {
    TcpStream::connect((server.address(), server.port)).await
}

async fn starttls(server: &Server, versions: Versions<'_>) -> std::io::Result<Session<TlsStream<TcpStream>>> {
    starttls_with(server, &connector(server, versions)).await
}

async fn starttls_with(server: &Server, connector: &TlsConnector) -> std::io::Result<Session<TlsStream<TcpStream>>> {
    let mut plain = Session::new(connect(server).await?);
    plain.reply().await?;
    let answer = plain.command("AUTH TLS").await?;
    assert!(answer.starts_with("234"), "{answer}");
    handshake(server, plain.stream.into_inner(), connector).await
}

/// Connects and encrypts, in the mode of the server.
async fn open(server: &Server, connector: &TlsConnector) -> std::io::Result<Session<TlsStream<TcpStream>>> {
    if !server.site.options.implicit {
        return starttls_with(server, connector).await;
    }
    let mut session = handshake(server, connect(server).await?, connector).await?;
    let greeting = session.reply().await?;
    assert!(greeting.starts_with("220"), "{greeting}");
    Ok(session)
}

async fn handshake(
    server: &Server,
    stream: TcpStream,
    connector: &TlsConnector,
) -> std::io::Result<Session<TlsStream<TcpStream>>> {
    let name = ServerName::try_from(server.host).unwrap();
    Ok(Session::new(timeout(PATIENCE, connector.connect(name, stream)).await??))
}

/// With a session store of its own, as each control connection must have one.
fn connector(server: &Server, versions: Versions<'_>) -> TlsConnector {
    TlsConnector::from(Arc::new(client_config(server, versions, None)))
}

/// `own` is the client's certificate and its key, for a server that wants one.
fn client_config(server: &Server, versions: Versions<'_>, own: Option<(&Path, &Path)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&server.ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    }
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}
