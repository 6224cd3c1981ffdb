//! Handshakes over a pipe with a server of rustls: chains, keys, resumption, client certificates, inspection.

use std::io::Write as _;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Purpose, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, server};

use super::*;

const BOTH: [TlsVersion; 2] = [TlsVersion::V12, TlsVersion::V13];

/// An authority; the root is in no system's list.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn root() -> Self {
        Self::new(None)
    }

    fn new(above: Option<&Self>) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        let name = if above.is_some() { "intermediate".to_owned() } else { format!("root {}", fastrand::u32(..)) };
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = match above {
            Some(above) => params.signed_by(&key, &above.issuer),
            None => params.self_signed(&key),
        };
        let certificate = certificate.expect("a certificate");
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    fn issue(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        leaf_params(change).signed_by(key, &self.issuer).expect("a certificate").der().clone()
    }
}

fn leaf_params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["ftp.test".to_owned()]).expect("a name");
    params.distinguished_name.push(rcgen::DnType::CommonName, "leaf");
    params.extended_key_usages = vec![Purpose::ServerAuth];
    change(&mut params);
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// A server with this chain and key, whether or not they belong together.
fn serving(chain: Vec<CertificateDer<'static>>, key: &KeyPair, version: TlsVersion) -> Arc<ServerConfig> {
    serving_to(None, chain, key, version)
}

/// The same, for clients with a certificate from `clients`.
fn serving_to(
    clients: Option<&Authority>,
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    version: TlsVersion,
) -> Arc<ServerConfig> {
    let signing = provider().key_provider.load_private_key(private(key)).expect("a key");
    let versions: &[_] = if version == TlsVersion::V13 { &[&TLS13] } else { &[&TLS12] };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    Arc::new(builder.with_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(chain, signing))))))
}

/// Presents what it has, unlike rustls' own, which looks whether it fits.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The far end of a pipe: shakes hands, then sends what it reads back.
fn far_end(config: &Arc<ServerConfig>) -> DuplexStream {
    let (here, there) = duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(config.clone());
    tokio::spawn(async move {
        let mut stream: server::TlsStream<DuplexStream> = acceptor.accept(there).await.ok()?;
        let mut chunk = [0; 64];
        while let Ok(n @ 1..) = stream.read(&mut chunk).await {
            stream.write_all(&chunk[..n]).await.ok()?;
            stream.flush().await.ok()?;
        }
        stream.shutdown().await.ok()
    });
    here
}

/// Sends a byte there and back, so that what comes behind the handshake arrives.
async fn echo(stream: &mut TlsStream<DuplexStream>) -> io::Result<()> {
    stream.write_all(b"x").await?;
    stream.flush().await?;
    stream.read_exact(&mut [0]).await.map(drop)
}

fn pem_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn tls(settings: &TlsSettings) -> Tls {
    Tls::new(settings, "ftp.test").expect("settings")
}

/// Trust in `root`.
fn by_root(root: &Authority) -> (Tls, tempfile::NamedTempFile) {
    let ca = pem_file(&root.pem);
    (tls(&TlsSettings { ca: Some(ca.path().to_owned()), ..TlsSettings::default() }), ca)
}

fn by_pin(certificate: &CertificateDer<'_>) -> Tls {
    let pins = vec![Pin::of(certificate).expect("X.509")];
    tls(&TlsSettings { trust: Trust::Pin, pins, ..TlsSettings::default() })
}

async fn control(tls: &Tls, config: &Arc<ServerConfig>) -> Result<Context, TlsError> {
    let mut context = tls.context(false);
    let mut stream = context.control(far_end(config)).await?;
    echo(&mut stream).await.map_err(|error| TlsError::late(error).unwrap_or_else(TlsError::Io))?;
    Ok(context)
}

async fn refusal(tls: &Tls, config: &Arc<ServerConfig>) -> TlsError {
    control(tls, config).await.err().expect("no handshake")
}

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
    let client = ClientAuth { cert: "/does/not/exist.pem".into(), key: "/does/not/exist.key".into(), key_password: None };
    let no_client = TlsSettings { client: Some(client), trust: Trust::Pin, pins: vec![[0; 32].into()], ..TlsSettings::default() };
    assert!(matches!(Tls::new(&no_client, "localhost").err(), Some(TlsError::Ca { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_chain_to_the_root() {
    let root = Authority::root();
    let middle = Authority::new(Some(&root));
    let key = new_key();
    let leaf = middle.issue(&key, |params| params.not_after = date_time_ymd(2090, 1, 1));
    let (trusting, _ca) = by_root(&root);
    for version in BOTH {
        let whole = serving(vec![leaf.clone(), middle.der.clone()], &key, version);
        control(&trusting, &whole).await.expect("trusted");
        assert_eq!(trusting.certificates().collect::<Vec<_>>(), [(Whose::Server, 3_786_912_000)]);
        let cut = serving(vec![leaf.clone()], &key, version);
        let error = refusal(&trusting, &cut).await;
        assert!(error.to_string().contains("its issuer is unknown (its public key is sha256/"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("tls.ca")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_certificate() {
    let root = Authority::root();
    let key = new_key();
    let (trusting, _ca) = by_root(&root);
    let self_signed = |change: fn(&mut CertificateParams)| leaf_params(change).self_signed(&key).expect("signed").der().clone();
    for (leaf, words, remedy) in [
        (root.issue(&key, |p| p.not_after = date_time_ymd(2020, 1, 1)), "has expired", "renew"),
        (root.issue(&key, |p| p.not_before = date_time_ymd(4000, 1, 1)), "not valid yet", "clock"),
        (root.issue(&key, |p| p.subject_alt_names.clear()), "it is not for ftp.test: it names no host", "server_name"),
        (root.issue(&key, |p| p.extended_key_usages = vec![Purpose::ClientAuth]), "not for servers", "mend"),
        (self_signed(|_| ()), "it is self-signed", "--pin"),
        (self_signed(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "the certificate of an authority", "--pin"),
    ] {
        for version in BOTH {
            let config = serving(vec![leaf.clone()], &key, version);
            let error = refusal(&trusting, &config).await;
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.to_string().ends_with("the password was not sent"), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains(remedy)), "{error}: {:?}", error.hint());
            // By its key alone, none of this matters.
            control(&by_pin(&leaf), &config).await.expect("pinned");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_right_certificate_with_a_wrong_key_is_no_server() {
    let root = Authority::root();
    let key = new_key();
    let leaf = root.issue(&key, |_| ());
    let (trusting, _ca) = by_root(&root);
    for version in BOTH {
        let stolen = serving(vec![leaf.clone()], &new_key(), version);
        for tls in [&trusting, &by_pin(&leaf)] {
            let error = refusal(tls, &stolen).await;
            assert!(matches!(error, TlsError::NotItsKey), "{error}");
            let error = tls.inspect(far_end(&stolen)).await.expect_err("nothing to show");
            assert!(matches!(error, TlsError::NotItsKey), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_data_connection_has_the_same_key() {
    let root = Authority::root();
    let (key, other) = (new_key(), new_key());
    let leaf = root.issue(&key, |_| ());
    let renewed = root.issue(&key, |p| p.not_after = date_time_ymd(2090, 1, 1));
    let (trusting, _ca) = by_root(&root);
    let pinned = by_pin(&leaf);
    for version in BOTH {
        let config = serving(vec![leaf.clone()], &key, version);
        // Servers with no session of ours: full handshakes.
        let renewed = serving(vec![renewed.clone()], &key, version);
        let changed = serving(vec![root.issue(&other, |_| ())], &other, version);
        let stats = Stats::default();
        let context = control(&trusting, &config).await.expect("trusted");
        context.data(far_end(&renewed), &stats).await.expect("the same key");
        let error = context.data(far_end(&changed), &stats).await.expect_err("another key");
        assert!(matches!(error, TlsError::OtherCertificate), "{error}");
        assert_eq!(stats.data_resumed.load(Ordering::Relaxed), 0);

        let context = control(&pinned, &config).await.expect("pinned");
        let error = context.data(far_end(&changed), &stats).await.expect_err("another key");
        assert!(matches!(error, TlsError::DataCertificate(_)), "{error}");
        assert!(!error.to_string().contains("password"), "it is gone by then: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumed_session_goes_back_to_the_first_certificate() {
    let root = Authority::root();
    let key = new_key();
    let leaf = root.issue(&key, |_| ());
    let (trusting, _ca) = by_root(&root);
    for version in BOTH {
        let config = serving(vec![leaf.clone()], &key, version);
        let stats = Stats::default();
        let context = control(&trusting, &config).await.expect("trusted");
        let stream = context.data(far_end(&config), &stats).await.expect("the same");
        assert!(is_resumed(&stream), "{version:?}");
        assert_eq!(stream.get_ref().1.peer_certificates().and_then(<[_]>::first), Some(&leaf));
        assert_eq!(stats.data_resumed.load(Ordering::Relaxed), 1);
    }
}

/// A client certificate from `root` in a file.
fn client_auth(root: &Authority) -> (ClientAuth, tempfile::NamedTempFile) {
    let key = new_key();
    let params = leaf_params(|p| {
        p.extended_key_usages = vec![Purpose::ClientAuth];
        p.not_after = date_time_ymd(2090, 1, 1);
    });
    let certificate = params.signed_by(&key, &root.issuer).expect("signed").pem();
    let file = pem_file(&format!("{certificate}{}", key.serialize_pem()));
    (ClientAuth { cert: file.path().to_owned(), key: file.path().to_owned(), key_password: None }, file)
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_where_it_is_required() {
    let root = Authority::root();
    let key = new_key();
    let leaf = root.issue(&key, |_| ());
    let pins = vec![Pin::of(&leaf).expect("X.509")];
    let (client, _file) = client_auth(&root);
    let with = |client| tls(&TlsSettings { trust: Trust::Pin, pins: pins.clone(), client, ..TlsSettings::default() });
    for version in BOTH {
        let config = serving_to(Some(&root), vec![leaf.clone()], &key, version);
        let known = with(Some(client.clone()));
        let context = control(&known, &config).await.expect("a certificate was shown");
        // One resolver for all connections, or nothing could be resumed.
        let stats = Stats::default();
        let mut data = context.data(far_end(&config), &stats).await.expect("data");
        echo(&mut data).await.expect("open");
        assert!(is_resumed(&data), "{version:?}");
        let expected = [Whose::PinnedServer, Whose::Client];
        assert_eq!(known.certificates().map(|(whose, _)| whose).collect::<Vec<_>>(), expected);

        let error = refusal(&with(None), &config).await;
        assert!(matches!(error, TlsError::ClientRefused(ClientRefusal::Missing)), "{version:?}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("tls.client_cert")));

        let (stranger, _file) = client_auth(&Authority::root());
        let error = refusal(&with(Some(stranger)), &config).await;
        assert!(matches!(error, TlsError::ClientRefused(ClientRefusal::UnknownIssuer)), "{version:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn inspection_trusts_nobody_and_shows_no_certificate_of_ours() {
    let root = Authority::root();
    let middle = Authority::new(Some(&root));
    let key = new_key();
    let leaf = middle.issue(&key, |_| ());
    let chain = vec![leaf.clone(), middle.der.clone()];
    let (trusting, _ca) = by_root(&root);
    let pinned = by_pin(&Authority::root().der);
    let (client, _file) = client_auth(&root);
    let known = tls(&TlsSettings { client: Some(client), ..TlsSettings::default() });
    for version in BOTH {
        let config = serving(chain.clone(), &key, version);
        let shown = trusting.inspect(far_end(&config)).await.expect("a certificate");
        assert!(shown.verification.is_ok());
        assert_eq!((shown.version, shown.chain_length, shown.names.as_slice()), (version, 2, &["ftp.test".to_owned()][..]));
        assert_eq!((shown.subject.as_str(), shown.issuer.as_str()), ("CN=leaf", "CN=intermediate"));
        assert_eq!(Some(shown.pin), Pin::of(&leaf));

        let shown = pinned.inspect(far_end(&config)).await.expect("a certificate");
        let problem = shown.verification.expect_err("nobody knows this root");
        assert_eq!(problem.why(), "its issuer is unknown");
        assert_eq!(problem.presented, Some(shown.pin));

        let private = serving_to(Some(&root), chain.clone(), &key, version);
        known.inspect(far_end(&private)).await.expect("seen before the refusal");
        assert!(!known.identity.was_asked(), "our certificate is not for strangers");
    }
    let (here, mut there) = duplex(1024);
    there.write_all(b"530 no TLS here\r\n").await.expect("written");
    assert!(matches!(trusting.inspect(here).await, Err(TlsError::NotTls(_))));
}
