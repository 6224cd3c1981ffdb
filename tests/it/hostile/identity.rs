//! The certificates of a server that means ill, one for each thing that can be wrong with them. Not an authority for other tests:
//! that is `servers/pki.rs`.

use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
};
use towline::ftps::Pin;

/// What a server presents, and the pin of its key.
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    pub(super) pin: Pin,
}

/// All of them; the client trusts `ca`.
pub(super) struct Identities {
    /// In PEM.
    pub(super) ca: String,
    pub(super) good: Identity,
    /// As good, by the same authority, for the same names; but not the one of the control connection.
    pub(super) other: Identity,
    pub(super) expired: Identity,
    pub(super) not_yet_valid: Identity,
    pub(super) wrong_host: Identity,
    pub(super) unknown_issuer: Identity,
    /// The certificate of `good`, without its key.
    pub(super) wrong_key: Identity,
}

pub(super) static IDENTITIES: LazyLock<Identities> = LazyLock::new(Identities::new);

/// When a certificate is valid: from one year to another.
type Years = (i32, i32);
const VALID: Years = (2020, 2099);
const NAMES: &[&str] = &["127.0.0.1", "localhost"];

impl Identities {
    fn new() -> Self {
        let (ca, issuer) = authority("towline hostile CA");
        let (_, stranger) = authority("nobody's CA");
        let by = |issuer: &Issuer<'_, KeyPair>, names, years| {
            let (certificate, key) = issue(issuer, names, years);
            Identity::of(&certificate, &key)
        };
        let (certificate, key) = issue(&issuer, NAMES, VALID);
        Self {
            ca,
            good: Identity::of(&certificate, &key),
            other: by(&issuer, NAMES, VALID),
            expired: by(&issuer, NAMES, (2020, 2021)),
            not_yet_valid: by(&issuer, NAMES, (2098, 2099)),
            wrong_host: by(&issuer, &["ftp.example.net"], VALID),
            unknown_issuer: by(&stranger, NAMES, VALID),
            wrong_key: Identity::of(&certificate, &new_key()),
        }
    }
}

impl Identity {
    fn of(certificate: &CertificateDer<'static>, key: &KeyPair) -> Self {
        let provider = Arc::new(crate::servers::pki::provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // Not checked to be a pair: one of them is none.
        let pair = CertifiedKey::new(vec![certificate.clone()], provider.key_provider.load_private_key(key).unwrap());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        Self { config: Arc::new(config), pin: Pin::of(certificate).unwrap() }
    }
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = new_key();
    let certificate = params.self_signed(&key).unwrap().pem();
    (certificate, Issuer::new(params, key))
}

fn issue(issuer: &Issuer<'_, KeyPair>, names: &[&str], (from, to): Years) -> (CertificateDer<'static>, KeyPair) {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, names[0]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let key = new_key();
    (params.signed_by(&key, issuer).unwrap().der().clone(), key)
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}
