//! That the servers are what the other tests take them for: the TLS versions, the account, the limits, stopping and freezing. By hand,
//! without Towline's own client.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ports::Ports;
use super::{Kind, Options, Server, Tls, trial};
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
            trials.push(trial(kind, name(&format!("{}::stores", tls.name())), move || stores(kind, tls)));
        }
        if kind != Kind::PureFtpd {
            trials.push(trial(kind, name("implicit"), move || implicit(kind)));
        }
        trials.push(trial(kind, name("login"), move || login(kind)));
        trials.push(trial(kind, name("limit"), move || limit(kind)));
        trials.push(trial(kind, name("stops_and_starts_again"), move || stops_and_starts_again(kind)));
        trials.push(trial(kind, name("freezes_and_thaws"), move || freezes_and_thaws(kind)));
    }
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

async fn stores(kind: Kind, tls: Tls) {
    let server = Server::start(kind, tls);
    let connector = connector(&server, &[&TLS13, &TLS12]);
    let mut session = starttls_with(&server, &connector).await.unwrap();
    session.login(server.user, server.password).await.unwrap();
    for command in ["PBSZ 0", "PROT P", "TYPE I"] {
        let reply = session.command(command).await.unwrap();
        assert!(reply.starts_with("200"), "{command}: {reply}");
    }
    let reply = session.command("EPSV").await.unwrap();
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    assert!(server.passive().contains(&port), "{reply}");
    session.send(&format!("STOR {}", server.remote("file"))).await.unwrap();
    let data = TcpStream::connect((server.host.parse::<Ipv4Addr>().unwrap(), port)).await.unwrap();
    let name = ServerName::try_from(server.host).unwrap();
    let (reply, data) = tokio::join!(session.reply(), connector.connect(name, data));
    let (reply, mut data) = (reply.unwrap(), data.unwrap());
    assert!(reply.starts_with("150"), "{reply}");
    if kind != Kind::PureFtpd {
        assert_eq!(data.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    }
    data.write_all(&[b'x'; 100_000]).await.unwrap();
    data.shutdown().await.unwrap();
    let _ = data.read_to_end(&mut Vec::new()).await;
    let reply = session.reply().await.unwrap();
    assert!(reply.starts_with("226"), "{reply}");
    assert_eq!(fs::read(server.root.join("file")).unwrap(), [b'x'; 100_000]);
    let log = if kind == Kind::ProFtpd { server.tls_log() } else { server.log() };
    assert!(!log.is_empty());
}

async fn implicit(kind: Kind) {
    let server = Server::start(kind, Options { implicit: true, ..Options::default() });
    let stream = connect(&server).await.unwrap();
    let mut session = handshake(&server, stream, &connector(&server, &[&TLS13, &TLS12])).await.unwrap();
    let greeting = session.reply().await.unwrap();
    assert!(greeting.starts_with("220"), "{greeting}");
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
    TcpStream::connect((server.host.parse::<Ipv4Addr>().unwrap(), server.port)).await
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
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&server.ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}
