//! TLS for both connections; the only place that knows rustls. Session resumption follows one rule: a data connection
//! resumes the session of *its* control connection, so each control connection has a session store of its own.

mod error;
mod identity;
mod presented;
mod roots;
mod sessions;
mod verify;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, SupportedProtocolVersion,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(super) use error::is_no_tls;
pub use error::{CertificateProblem, ClientRefusal, TlsError, Untrusted};
use identity::Identity;
pub use identity::{ClientAuth, ClientAuthError};
pub use presented::{Presented, Whose, expiry_warning};
use sessions::Sessions;
use verify::{Record, Verify};

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("one of the features `aws-lc-rs` and `ring` is needed for TLS");

/// Whom to believe to be the server, and who we are to it.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// A PEM file with certificates, or a directory of such files, beside the system's roots.
    pub ca: Option<PathBuf>,
    /// Public keys of which the server must present one; empty allows any.
    pub pins: Vec<Pin>,
    /// Whether a chain to a root is needed.
    pub trust: Trust,
    /// The name in the certificate; `None` is the host.
    pub server_name: Option<String>,
    /// The lowest version.
    pub min: TlsVersion,
    /// What is shown to a server that asks for a certificate.
    pub client: Option<ClientAuth>,
}

/// What makes a certificate good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// A chain to a root, the name, the dates; and a pin, where there is one.
    #[default]
    Chain,
    /// A pin alone.
    Pin,
}

/// Versions of TLS; RFC 8996 leaves no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2
    #[default]
    V12,
    /// 1.3
    V13,
}

/// The SHA-256 of a certificate's public key (SubjectPublicKeyInfo), written `sha256/BASE64`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// A text is no [`Pin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin is written sha256/BASE64 with 32 bytes in it")]
pub struct PinError;

impl From<[u8; 32]> for Pin {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl From<Pin> for [u8; 32] {
    fn from(pin: Pin) -> Self {
        pin.0
    }
}

impl Pin {
    /// The pin of a certificate; `None` when it is no X.509.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Some(Self(<sha2::Sha256 as sha2::Digest>::digest(parsed.public_key().raw).into()))
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let encoded = text.strip_prefix("sha256/").ok_or(PinError)?;
        let bytes = BASE64.decode(encoded).map_err(|_| PinError)?;
        Ok(Self(bytes.try_into().map_err(|_| PinError)?))
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256/{}", BASE64.encode(self.0))
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Handshakes and what became of them, counted since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Control connections, whose handshakes are always full.
    pub control: AtomicU64,
    /// Data connections with a full handshake.
    pub data_full: AtomicU64,
    /// Data connections that resumed their control connection's session.
    pub data_resumed: AtomicU64,
    /// Data connections that the server refused (425, 522).
    pub data_refused: AtomicU64,
    /// Connections of others that came where a server's data connection was awaited (active mode), and were dropped.
    pub data_foreign: AtomicU64,
    /// Control connections that were given up for another choice of TLS versions.
    pub reconnects: AtomicU64,
}

impl Stats {
    /// The numbers in one line, for logs and tests.
    pub fn summary(&self) -> String {
        let [control, full, resumed, refused, reconnects] =
            [&self.control, &self.data_full, &self.data_resumed, &self.data_refused, &self.reconnects]
                .map(|c| c.load(Ordering::Relaxed));
        format!("control {control}, data full {full}, data resumed {resumed}, data refused {refused}, reconnects {reconnects}")
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What all connections to one server share.
pub(super) struct Tls {
    any: ClientConfig,
    /// At most 1.2; `None` when 1.3 is demanded.
    up_to_12: Option<ClientConfig>,
    name: ServerName<'static>,
    key_share: Arc<Mutex<Option<NamedGroup>>>,
    identity: Arc<Identity>,
    trust: Trust,
    ca: Option<PathBuf>,
    /// Until when the certificate of the latest control connection is valid, in Unix seconds.
    server_expires: Arc<Mutex<Option<i64>>>,
}

impl Tls {
    pub(super) fn new(settings: &TlsSettings, host: &str) -> Result<Self, TlsError> {
        let name = settings.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))?;
        let provider = provider();
        seed(&provider);
        let chain = match settings.trust {
            Trust::Pin if settings.pins.is_empty() => return Err(TlsError::NoPin),
            Trust::Pin => None,
            Trust::Chain => Some(chain(settings.ca.as_deref(), &provider)?),
        };
        // Sessions are only resumed under the very verifier and resolver they were made under: one of each for all.
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(Verify::new(chain, settings.pins.clone(), &provider));
        let identity = Arc::new(Identity::read(settings.client.as_ref(), &provider)?);
        let config = |versions: &[&'static SupportedProtocolVersion]| -> Result<ClientConfig, TlsError> {
            Ok(ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(versions)
                .map_err(TlsError::Failed)?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone())
                .with_client_cert_resolver(identity.clone()))
        };
        let (any, up_to_12) = match settings.min {
            TlsVersion::V12 => (config(&[&TLS13, &TLS12])?, Some(config(&[&TLS12])?)),
            TlsVersion::V13 => (config(&[&TLS13])?, None),
        };
        let (trust, ca) = (settings.trust, settings.ca.clone());
        Ok(Self { any, up_to_12, name, key_share: Arc::default(), identity, trust, ca, server_expires: Arc::default() })
    }

    /// Whether TLS 1.2 may be used at all.
    pub(super) fn allows_12(&self) -> bool {
        self.up_to_12.is_some()
    }

    /// For a new control connection and its data connections; at most 1.2 if asked for and allowed.
    pub(super) fn context(&self, up_to_12: bool) -> Context {
        let base = self.up_to_12.as_ref().filter(|_| up_to_12).unwrap_or(&self.any);
        let sessions = Arc::new(Sessions::new(self.key_share.clone()));
        let mut config = base.clone();
        config.resumption = Resumption::store(sessions.clone());
        Context {
            connector: TlsConnector::from(Arc::new(config)),
            name: self.name.clone(),
            sessions,
            leaf: None,
            identity: self.identity.clone(),
            expires: self.server_expires.clone(),
        }
    }

    /// Certificates of which one is known, and until when it is valid in Unix seconds.
    pub(super) fn certificates(&self) -> impl Iterator<Item = (Whose, i64)> {
        let whose = match self.trust {
            Trust::Chain => Whose::Server,
            Trust::Pin => Whose::PinnedServer,
        };
        let server = *self.server_expires.lock().unwrap_or_else(PoisonError::into_inner);
        let server = server.map(|not_after| (whose, not_after));
        server.into_iter().chain(self.identity.not_after().map(|not_after| (Whose::Client, not_after)))
    }

    /// What the server presents, trusted or not. It is shown no certificate of ours, and nothing is sent.
    pub(super) async fn inspect<S>(&self, stream: S) -> Result<Presented, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let provider = provider();
        let chain = match chain(self.ca.as_deref(), &provider) {
            Ok(chain) => Some(chain),
            Err(TlsError::Roots(_)) => None,
            Err(error) => return Err(error),
        };
        let record = Arc::new(Record::new(chain, &provider));
        let mut config = self.any.clone();
        config.resumption = Resumption::disabled();
        config.client_auth_cert_resolver = Arc::new(Identity::read(None, &provider)?);
        config.dangerous().set_certificate_verifier(record.clone());
        let shaken = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), stream).await;
        // A server may refuse us afterwards, for want of a certificate of ours as a rule: what it is was seen by then.
        match (record.presented(), shaken) {
            (Some(presented), _) => presented.map_err(TlsError::Certificate),
            (None, Err(error)) => Err(TlsError::of_handshake(error, false, false)),
            (None, Ok(_)) => Err(TlsError::Failed(rustls::Error::NoCertificatesPresented)),
        }
    }
}

/// The verifier by a chain to the system's roots and those in `ca`.
fn chain(ca: Option<&std::path::Path>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let extra = ca.map(roots::read_ca).transpose()?.unwrap_or_default();
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider.clone());
    Ok(Arc::new(verifier.map_err(TlsError::Roots)?))
}

/// TLS for one control connection and its data connections.
pub(super) struct Context {
    connector: TlsConnector,
    name: ServerName<'static>,
    sessions: Arc<Sessions>,
    leaf: Option<CertificateDer<'static>>,
    identity: Arc<Identity>,
    expires: Arc<Mutex<Option<i64>>>,
}

impl Context {
    /// Encrypts the control connection.
    pub(super) async fn control<S>(&mut self, stream: S) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.connector.connect(self.name.clone(), stream).await.map_err(|error| self.explain(error))?;
        self.leaf = leaf(&stream).cloned();
        *self.expires.lock().unwrap_or_else(PoisonError::into_inner) = self.leaf.as_ref().and_then(presented::not_after);
        Ok(stream)
    }

    /// Encrypts a data connection: the same name, the same key, the same session where the server takes it.
    pub(super) async fn data<S>(&self, stream: S, stats: &Stats) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaken = self.connector.connect(self.name.clone(), stream).await;
        let stream = shaken.map_err(|error| match self.explain(error) {
            TlsError::Certificate(problem) => TlsError::DataCertificate(problem),
            error => error,
        })?;
        Stats::count(if is_resumed(&stream) { &stats.data_resumed } else { &stats.data_full });
        if has_key_of(leaf(&stream), self.leaf.as_ref()) { Ok(stream) } else { Err(TlsError::OtherCertificate) }
    }

    fn explain(&self, error: io::Error) -> TlsError {
        use rustls::client::ResolvesClientCert as _;
        TlsError::of_handshake(error, self.identity.was_asked(), self.identity.has_certs())
    }

    /// The server's certificate.
    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.leaf.as_ref()
    }

    /// TLS 1.3 tickets that came so far, on the control connection and the data connections together.
    pub(super) fn tickets_received(&self) -> u64 {
        self.sessions.tickets_received()
    }
}

/// Whether two certificates have one key: a renewed one is as good as the old, and a balanced server's parts may have several.
/// Of a resumed session it is the certificate of the handshake that it goes back to.
fn has_key_of(one: Option<&CertificateDer<'_>>, other: Option<&CertificateDer<'_>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other || Pin::of(one).is_some_and(|pin| Some(pin) == Pin::of(other)),
        _ => false,
    }
}

fn leaf<S>(stream: &TlsStream<S>) -> Option<&CertificateDer<'static>> {
    stream.get_ref().1.peer_certificates()?.first()
}

/// Whether the connection resumed a session.
pub(super) fn is_resumed<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Whether the connection speaks TLS 1.3.
pub(super) fn is_13<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3)
}

/// Has the random numbers seeded, once: that may take some 40 ms of computing, in which a name can be looked up and a connection be made.
fn seed(provider: &Arc<CryptoProvider>) {
    static ONCE: Once = Once::new();
    let provider = Arc::clone(provider);
    ONCE.call_once(|| drop(std::thread::spawn(move || provider.secure_random.fill(&mut [0]))));
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}
