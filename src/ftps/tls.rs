//! TLS for both connections; the only place that knows rustls. Session resumption follows one rule: a data connection
//! resumes the session of *its* control connection, so each control connection has a session store of its own.

mod error;
mod sessions;
mod verify;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, SupportedProtocolVersion,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use error::{CertificateProblem, TlsError, Untrusted};
use sessions::Sessions;
use verify::Verify;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("one of the features `aws-lc-rs` and `ring` is needed for TLS");

/// Whom to believe to be the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
}

impl Tls {
    pub(super) fn new(settings: &TlsSettings, host: &str) -> Result<Self, TlsError> {
        let name = settings.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))?;
        let provider = provider();
        let chain: Option<Arc<dyn ServerCertVerifier>> = match settings.trust {
            Trust::Pin if settings.pins.is_empty() => return Err(TlsError::NoPin),
            Trust::Pin => None,
            Trust::Chain => {
                let extra = settings.ca.as_deref().map(read_ca).transpose()?.unwrap_or_default();
                let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider.clone());
                Some(Arc::new(verifier.map_err(TlsError::Roots)?))
            }
        };
        // Sessions are only resumed under the very verifier they were made under: one for all.
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(Verify::new(chain, settings.pins.clone(), &provider));
        let config = |versions: &[&'static SupportedProtocolVersion]| -> Result<ClientConfig, TlsError> {
            Ok(ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(versions)
                .map_err(TlsError::Failed)?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone())
                .with_no_client_auth())
        };
        let (any, up_to_12) = match settings.min {
            TlsVersion::V12 => (config(&[&TLS13, &TLS12])?, Some(config(&[&TLS12])?)),
            TlsVersion::V13 => (config(&[&TLS13])?, None),
        };
        Ok(Self { any, up_to_12, name, key_share: Arc::default() })
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
        Context { connector: TlsConnector::from(Arc::new(config)), name: self.name.clone(), sessions, leaf: None }
    }
}

/// TLS for one control connection and its data connections.
pub(super) struct Context {
    connector: TlsConnector,
    name: ServerName<'static>,
    sessions: Arc<Sessions>,
    leaf: Option<CertificateDer<'static>>,
}

impl Context {
    /// Encrypts the control connection.
    pub(super) async fn control<S>(&mut self, stream: S) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.connector.connect(self.name.clone(), stream).await.map_err(TlsError::of)?;
        self.leaf = leaf(&stream).cloned();
        Ok(stream)
    }

    /// Encrypts a data connection: the same name, the same certificate, the same session where the server takes it.
    pub(super) async fn data<S>(&self, stream: S, stats: &Stats) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.connector.connect(self.name.clone(), stream).await.map_err(TlsError::of)?;
        Stats::count(if is_resumed(&stream) { &stats.data_resumed } else { &stats.data_full });
        if leaf(&stream) == self.leaf.as_ref() { Ok(stream) } else { Err(TlsError::OtherCertificate) }
    }

    /// TLS 1.3 tickets that came so far, on the control connection and the data connections together.
    pub(super) fn tickets_received(&self) -> u64 {
        self.sessions.tickets_received()
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

pub(super) fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}

fn read_ca(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Ca { path: path.to_owned(), source };
    if !path.is_dir() {
        let found = read_pem(path)?;
        return if found.is_empty() { Err(TlsError::EmptyCa(path.to_owned())) } else { Ok(found) };
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.is_file() {
            all.extend(read_pem(&file)?);
        }
    }
    if all.is_empty() { Err(TlsError::EmptyCa(path.to_owned())) } else { Ok(all) }
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = std::fs::read(path).map_err(|source| TlsError::Ca { path: path.to_owned(), source })?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_there_and_back() {
        let key = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate");
        let pin = Pin::of(key.cert.der()).expect("X.509");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        for bad in ["", "sha256/", "sha256/AAAA", "sha1/AAAA", "AAAA"] {
            assert_eq!(bad.parse::<Pin>(), Err(PinError), "{bad}");
        }
        assert_eq!(Pin::of(b"no certificate"), None);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let missing = TlsSettings { ca: Some("/does/not/exist.pem".into()), ..TlsSettings::default() };
        assert!(matches!(Tls::new(&missing, "localhost").err(), Some(TlsError::Ca { .. })));
        let no_pin = TlsSettings { trust: Trust::Pin, ..TlsSettings::default() };
        assert!(matches!(Tls::new(&no_pin, "localhost").err(), Some(TlsError::NoPin)));
        assert!(matches!(Tls::new(&TlsSettings::default(), "a b").err(), Some(TlsError::ServerName(_))));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(matches!(read_ca(file.path()), Err(TlsError::EmptyCa(_))));
    }
}
