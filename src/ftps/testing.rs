//! A scripted FTPS server at the other end of a pipe: it logs what it hears and says what a test tells it to. No FTP server:
//! it keeps no files and checks nothing. For the tests of this room and of `remote`.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use rustls::{
    HandshakeKind, ProtocolVersion, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, duplex},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    dial::{Dial, Dialed, Listen, Target},
    tls::{Pin as KeyPin, TlsVersion, provider},
};

/// Where the server seems to be.
pub(crate) const PEER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
/// Where we seem to be.
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 3));

type Script = Arc<dyn Fn(Peer) -> Pin<Box<dyn Future<Output = Option<()>> + Send>> + Send + Sync>;

/// The server, as its scripts and the test share it.
pub(crate) struct Server {
    script: Script,
    log: Arc<Mutex<Vec<String>>>,
    targets: Arc<Mutex<Vec<Target>>>,
    tls: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    data: Mutex<Option<mpsc::UnboundedSender<DuplexStream>>>,
    /// Data ports that nobody can connect to.
    pub(crate) blocked: Vec<u16>,
    /// Where it seems to be, and where we do.
    pub(crate) between: (Option<IpAddr>, IpAddr),
    /// Ports here that somebody else listens on.
    pub(crate) busy: Vec<u16>,
    listening: Listening,
}

/// Who listens on which port here.
type Listening = Arc<Mutex<BTreeMap<u16, mpsc::UnboundedSender<(DuplexStream, IpAddr)>>>>;

/// One client at the server.
pub(crate) struct Peer {
    stream: BufReader<Box<dyn Stream>>,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) tls: Arc<ServerConfig>,
    data: mpsc::UnboundedReceiver<DuplexStream>,
    listening: Listening,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A certificate for `name`, and a server that has it.
pub(crate) fn identity(name: &str, versions: &[TlsVersion]) -> (Arc<ServerConfig>, CertificateDer<'static>) {
    let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let certificate = key.cert.der().clone();
    let versions: Vec<_> = versions
        .iter()
        .map(|version| match version {
            TlsVersion::V12 => &TLS12,
            TlsVersion::V13 => &TLS13,
        })
        .collect();
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .expect("an identity");
    (Arc::new(config), certificate)
}

impl Server {
    /// A server that runs `script` for each control connection.
    pub(crate) fn new<F>(script: impl Fn(Peer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        Self::with_versions(&[TlsVersion::V13, TlsVersion::V12], script)
    }

    pub(crate) fn with_versions<F>(versions: &[TlsVersion], script: impl Fn(Peer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let (tls, certificate) = identity("ftp.test", versions);
        Self {
            script: Arc::new(move |peer| Box::pin(script(peer))),
            log: Arc::default(),
            targets: Arc::default(),
            tls,
            certificate,
            data: Mutex::default(),
            blocked: Vec::new(),
            between: (PEER, HERE),
            busy: Vec::new(),
            listening: Arc::default(),
        }
    }

    /// The server's certificate, in DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The pin of the server's key.
    pub(crate) fn pin(&self) -> KeyPin {
        KeyPin::of(&self.certificate).expect("X.509")
    }

    /// Encrypts with `tls` instead; `certificate` stays what [`Self::pin`] is of.
    pub(crate) fn encrypting_with(mut self, tls: impl FnOnce(&ServerConfig) -> ServerConfig) -> Self {
        self.tls = Arc::new(tls(&self.tls));
        self
    }

    /// Puts a listener at the server.
    pub(crate) fn heard(&self) -> Heard {
        Heard { log: self.log.clone(), targets: self.targets.clone() }
    }
}

/// What the server heard.
pub(crate) struct Heard {
    log: Arc<Mutex<Vec<String>>>,
    targets: Arc<Mutex<Vec<Target>>>,
}

impl Heard {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lock().expect("unpoisoned").clone()
    }

    /// Whether any byte of the account was heard.
    pub(crate) fn account(&self) -> bool {
        self.lines().iter().any(|line| line.contains("USER") || line.contains("PASS") || line.contains("secret"))
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        self.targets.lock().expect("unpoisoned").clone()
    }
}

/// Leads to a [`Server`].
pub(crate) struct Pipe(pub(crate) Server);

impl Dial for Pipe {
    type Stream = DuplexStream;

    async fn dial(&self, to: Target) -> io::Result<Dialed<DuplexStream>> {
        let server = &self.0;
        server.targets.lock().expect("unpoisoned").push(to);
        let (here, there) = duplex(16 * 1024);
        match to {
            Target::Control => {
                let (sender, data) = mpsc::unbounded_channel();
                *server.data.lock().expect("unpoisoned") = Some(sender);
                let stream = BufReader::new(Box::new(there) as Box<dyn Stream>);
                let (log, tls, listening) = (server.log.clone(), server.tls.clone(), server.listening.clone());
                tokio::spawn((server.script)(Peer { stream, log, tls, data, listening }));
            }
            Target::Data { port, .. } if server.blocked.contains(&port) => return Err(io::ErrorKind::ConnectionRefused.into()),
            Target::Data { .. } => {
                let sender = server.data.lock().expect("unpoisoned").clone();
                sender.expect("a control connection").send(there).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            }
        }
        let (peer, local) = server.between;
        Ok(Dialed { stream: here, peer, local: Some(local) })
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listen<DuplexStream>>> {
        let mut listening = self.0.listening.lock().expect("unpoisoned");
        let port = if at.port() == 0 { 50_000 } else { at.port() };
        let taken = listening.get(&port).is_some_and(|sender| !sender.is_closed());
        if taken || self.0.busy.contains(&port) || at.ip() != self.0.between.1 {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, callers) = mpsc::unbounded_channel();
        listening.insert(port, sender);
        Ok(Box::new(PipeListen { port, callers }))
    }

    fn name(&self) -> String {
        "ftp.test:21".to_owned()
    }
}

struct PipeListen {
    port: u16,
    callers: mpsc::UnboundedReceiver<(DuplexStream, IpAddr)>,
}

impl Listen<DuplexStream> for PipeListen {
    fn port(&self) -> u16 {
        self.port
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(DuplexStream, IpAddr)>> {
        self.callers.poll_recv(cx).map(|called| called.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

/// Scripts end with `None` when the client has gone.
impl Peer {
    /// Says a line.
    pub(crate) async fn say(&mut self, line: &str) -> Option<()> {
        self.stream.write_all(line.as_bytes()).await.ok()?;
        self.stream.write_all(b"\r\n").await.ok()?;
        self.stream.flush().await.ok()
    }

    /// Hears a line, and logs it.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.ok()?;
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r\n")?).into_owned();
        self.log.lock().expect("unpoisoned").push(line.clone());
        Some(line)
    }

    /// Hears a line and says another.
    pub(crate) async fn answer(&mut self, line: &str) -> Option<()> {
        self.hear().await?;
        self.say(line).await
    }

    /// Hears whatever comes and says nothing, for ever.
    pub(crate) async fn fall_silent(mut self) -> Option<()> {
        let mut chunk = [0; 512];
        while let Ok(heard @ 1..) = self.stream.read(&mut chunk).await {
            let heard = String::from_utf8_lossy(&chunk[..heard]).trim_end().to_owned();
            self.log.lock().expect("unpoisoned").push(heard);
        }
        None
    }

    /// Greets, and agrees to TLS.
    pub(crate) async fn encrypt(mut self) -> Option<Self> {
        self.say("220 hello").await?;
        self.answer("234 go on").await?;
        self.start_tls().await
    }

    /// TLS from the next byte on.
    pub(crate) async fn start_tls(self) -> Option<Self> {
        let stream = TlsAcceptor::from(self.tls.clone()).accept(self.stream.into_inner()).await.ok()?;
        Some(Self { stream: BufReader::new(Box::new(stream)), ..self })
    }

    /// Lets the client log in.
    pub(crate) async fn log_in(self) -> Option<Self> {
        self.encrypt().await?.welcome().await
    }

    /// Lets the client log in once TLS is up.
    pub(crate) async fn welcome(self) -> Option<Self> {
        let mut peer = self;
        for line in ["200 pbsz", "200 prot", "331 password", "230 welcome", "211-Features:\r\n UTF8\r\n SIZE\r\n MFMT\r\n211 End"]
        {
            peer.answer(line).await?;
        }
        peer.answer("200 utf8").await?;
        peer.answer("200 type").await?;
        Some(peer)
    }

    /// Hears EPSV, gives a port.
    pub(crate) async fn passive(&mut self) -> Option<()> {
        self.answer("229 go to (|||40000|)").await
    }

    /// Takes the next data connection, in clear.
    pub(crate) async fn take_data(&mut self) -> Option<DuplexStream> {
        self.data.recv().await
    }

    /// Takes the next data connection, encrypted.
    pub(crate) async fn accept_data(&mut self) -> Option<TlsStream<DuplexStream>> {
        let tls = self.tls.clone();
        self.accept_data_with(tls).await
    }

    pub(crate) async fn accept_data_with(&mut self, tls: Arc<ServerConfig>) -> Option<TlsStream<DuplexStream>> {
        let data = self.take_data().await?;
        TlsAcceptor::from(tls).accept(data).await.ok()
    }

    /// Connects to the port that the last PORT or EPRT named, as `from`.
    pub(crate) fn call(&self, from: IpAddr) -> Option<DuplexStream> {
        let log = self.log.lock().expect("unpoisoned");
        let line = log.iter().rev().find(|line| line.starts_with("PORT ") || line.starts_with("EPRT "))?;
        let numbers: Vec<u16> = line.split([',', '|', ' ']).filter_map(|part| part.parse().ok()).collect();
        let port = match (line.starts_with("PORT"), &numbers[..]) {
            (true, [.., high, low]) => high * 256 + low,
            (_, [.., port]) => *port,
            _ => return None,
        };
        let (here, there) = duplex(16 * 1024);
        self.listening.lock().expect("unpoisoned").get(&port)?.send((there, from)).ok()?;
        Some(here)
    }

    /// Takes an upload over a data connection that is there; gives its body.
    pub(crate) async fn take_body(&mut self, data: DuplexStream) -> Option<Vec<u8>> {
        let mut data = TlsAcceptor::from(self.tls.clone()).accept(data).await.ok()?;
        let mut body = Vec::new();
        // An end without close_notify is an error here.
        data.read_to_end(&mut body).await.ok()?;
        data.shutdown().await.ok()?;
        self.say("226 got it").await?;
        Some(body)
    }

    /// Takes a whole upload in order; gives its body.
    pub(crate) async fn take_upload(&mut self) -> Option<Vec<u8>> {
        self.passive().await?;
        self.hear().await?;
        self.say("150 send").await?;
        let data = self.take_data().await?;
        self.take_body(data).await
    }

    /// Positive answers for good.
    pub(crate) async fn agree(mut self) -> Option<()> {
        loop {
            self.answer("200 ok").await?;
        }
    }
}

/// TLS as `tls`, in one version, but for clients with a certificate that nobody has.
pub(crate) fn for_strangers(tls: &ServerConfig, version: TlsVersion) -> ServerConfig {
    let authority = rcgen::generate_simple_self_signed(vec!["nobody".to_owned()]).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.cert.der().clone()).expect("a root");
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[if version == TlsVersion::V13 { &TLS13 } else { &TLS12 }])
        .expect("a version")
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_cert_resolver(tls.cert_resolver.clone())
}

/// TLS as `tls`, but without tickets.
pub(crate) fn without_tickets(tls: &Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut without = ServerConfig::clone(tls);
    without.send_tls13_tickets = 0;
    Arc::new(without)
}

/// Whether the client resumed a session, and whether it speaks 1.3.
pub(crate) fn resumed_and_13(data: &TlsStream<DuplexStream>) -> (bool, bool) {
    let connection = data.get_ref().1;
    let is_13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    (connection.handshake_kind() == Some(HandshakeKind::Resumed), is_13)
}
