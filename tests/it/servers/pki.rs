//! A certificate authority for one test: P-256 keys, valid at any time. Not for use outside tests.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

/// An authority that issues certificates and is trusted by nobody yet.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, both as PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// What a certificate is for.
#[derive(Clone, Copy)]
pub enum Usage {
    Server,
    Client,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = new_key();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// The authority's own certificate as PEM: what a client has to trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for these DNS names and addresses.
    pub fn issue(&self, names: &[&str], usage: Usage) -> Issued {
        self.issue_until(names, usage, None)
    }

    /// One that expires in so many seconds.
    pub fn issue_for(&self, names: &[&str], usage: Usage, seconds: u64) -> Issued {
        let now = u64::try_from(towline::clock::now().0 / 1000).unwrap();
        self.issue_until(names, usage, Some(std::time::Duration::from_secs(now + seconds)))
    }

    fn issue_until(&self, names: &[&str], usage: Usage, until: Option<std::time::Duration>) -> Issued {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        if let Some(until) = until {
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + until;
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = new_key();
        Issued { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}

/// What the key in the third file of `write_client` is encrypted with.
pub const CLIENT_KEY_PASSWORD: &str = "towline-key";

/// Writes what a server on this machine needs: `ca.pem`, `server.pem`, `server.key`, and `both.pem` with the last two. Gives their
/// authority.
pub fn write_server(dir: &Path) -> Authority {
    let authority = Authority::new("towline test CA");
    let server = authority.issue(&["localhost", "127.0.0.1", "::1", super::Cable::FAR], Usage::Server);
    fs::write(dir.join("ca.pem"), authority.certificate()).unwrap();
    fs::write(dir.join("server.pem"), &server.certificate).unwrap();
    write_secret(&dir.join("server.key"), &server.key);
    write_secret(&dir.join("both.pem"), &(server.key + &server.certificate));
    authority
}

/// Writes a client's certificate, its key, and the same key encrypted (PKCS #8, PBES2), which takes the program `openssl`.
pub fn write_client(dir: &Path, authority: &Authority) -> [PathBuf; 3] {
    let client = authority.issue(&["towline-client"], Usage::Client);
    let files = ["client.pem", "client.key", "client-encrypted.key"].map(|name| dir.join(name));
    let [certificate, key, encrypted] = &files;
    fs::write(certificate, &client.certificate).unwrap();
    write_secret(key, &client.key);
    write_secret(encrypted, "");
    let mut command = Command::new("openssl");
    command.args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", &format!("pass:{CLIENT_KEY_PASSWORD}")]);
    let output = command.arg("-in").arg(key).arg("-out").arg(encrypted).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    files
}

/// Writes a file that only its owner can read.
pub fn write_secret(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The cryptography of a server in this program.
pub fn provider() -> rustls::crypto::CryptoProvider {
    #[cfg(feature = "aws-lc-rs")]
    return rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    rustls::crypto::ring::default_provider()
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}
