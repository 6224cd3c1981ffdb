//! Who we are to a server that asks for a certificate: reading it and its key, and presenting it. Not whether the server
//! likes it.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::{
    Error, InconsistentKeys, SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{TlsError, presented, roots};

/// The largest key file, in bytes; it may hold the chain as well.
const MAX_FILE: usize = 1 << 20;
const BEGIN_ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END_ENCRYPTED: &str = "-----END ENCRYPTED PRIVATE KEY-----";
/// The header of RFC 1421 §4.6.1.1, as OpenSSL's old key files have it.
const LEGACY: &str = "Proc-Type: 4,ENCRYPTED";

/// A client certificate and where its key is.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    /// A PEM file: our certificate first, then those that lead to the root, if any.
    pub cert: PathBuf,
    /// A PEM file with the key: PKCS#8 (encrypted or not), PKCS#1 or SEC1. May be the same file.
    pub key: PathBuf,
    /// What an encrypted key is opened with.
    pub key_password: Option<SecretString>,
}

/// Why a client certificate cannot be used. Holds nothing of the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientAuthError {
    /// The key file is not there or cannot be read.
    #[error("cannot read the client key {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else can read a key that is not encrypted.
    #[error("others can read the client key {}: its mode is {mode:04o}", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// The file of a key that is not encrypted belongs to somebody who is neither us nor root.
    #[error("the client key {} belongs to another user (uid {uid})", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// There is no key in the file, or none that can be read.
    #[error("there is no private key in {}: {why}", path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
        /// What there is instead.
        why: String,
    },
    /// The key is encrypted as OpenSSL did before PKCS#8: with one round of MD5.
    #[error("the client key {} is encrypted in OpenSSL's old way (Proc-Type: 4,ENCRYPTED)", .0.display())]
    Legacy(PathBuf),
    /// The key is encrypted, and there is no password.
    #[error("the client key {} is encrypted, and there is no password for it", .0.display())]
    NeedsPassword(PathBuf),
    /// The password does not open the key.
    #[error("the password does not open the client key {}", .0.display())]
    WrongPassword(PathBuf),
    /// The key is encrypted with something else than PBES2.
    #[error("the client key {} is encrypted in a way that is not supported: {why}", path.display())]
    Unsupported {
        /// Which.
        path: PathBuf,
        /// What is not.
        why: String,
    },
    /// The key is of no kind that TLS uses here.
    #[error("the client key {} cannot be used: {source}", path.display())]
    BadKey {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
    /// There is no certificate in the file.
    #[error("there is no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// What is in the file is no X.509.
    #[error("the client certificate in {} cannot be read: {source}", path.display())]
    BadCertificate {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
    /// The key is another certificate's.
    #[error("the client key in {} does not belong to the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// Where the certificate is.
        cert: PathBuf,
        /// Where the key is.
        key: PathBuf,
    },
}

impl ClientAuthError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "check `tls.client_key`, and that the user that runs towline may read it",
            Self::Exposed { .. } => "chmod 600 the file, and get a new certificate if others may have read it",
            Self::Foreign { .. } => "chown the file to the user that runs towline",
            Self::NoKey { .. } => "set `tls.client_key` to a PEM file with the certificate's private key",
            Self::Legacy(_) | Self::Unsupported { .. } => {
                "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.key -out NEW.key"
            }
            Self::NeedsPassword(_) => "set `tls.client_key_password`",
            Self::WrongPassword(_) => "check `tls.client_key_password`; `openssl pkey -in FILE -noout` tries one",
            Self::BadKey { .. } => "use an RSA key of at least 2048 bits, or one on P-256, P-384 or Ed25519",
            Self::NoCertificate(_) | Self::BadCertificate { .. } => {
                "set `tls.client_cert` to a PEM file with the certificate, and its intermediates behind it"
            }
            Self::Mismatch { .. } => {
                "the first certificate in `tls.client_cert` must be the key's; `openssl x509 -noout -pubkey` and `openssl pkey -pubout` \
                 must print the same"
            }
        }
    }
}

/// Answers a server that asks who we are; one for all connections of an endpoint, since a session is only resumed under
/// the very resolver it was made under.
pub(super) struct Identity {
    key: Option<Arc<CertifiedKey>>,
    not_after: Option<i64>,
    asked: AtomicBool,
}

impl Identity {
    /// Reads what the settings name; nobody where they name nothing.
    pub(super) fn read(settings: Option<&ClientAuth>, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let Some(ClientAuth { cert, key, key_password }) = settings else {
            return Ok(Self { key: None, not_after: None, asked: AtomicBool::new(false) });
        };
        let chain = roots::read_pem(cert)?;
        let first = chain.first().ok_or_else(|| ClientAuthError::NoCertificate(cert.clone()))?;
        let not_after = presented::not_after(first);
        let der = read_key(key, key_password.as_ref())?;
        let signing = provider
            .key_provider
            .load_private_key(der)
            .map_err(|source| ClientAuthError::BadKey { path: key.clone(), source })?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            // Where the key cannot tell, the server will.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(ClientAuthError::Mismatch { cert: cert.clone(), key: key.clone() }.into());
            }
            Err(source) => return Err(ClientAuthError::BadCertificate { path: cert.clone(), source }.into()),
        }
        Ok(Self { key: Some(Arc::new(certified)), not_after, asked: AtomicBool::new(false) })
    }

    /// Until when our certificate is valid, in Unix seconds.
    pub(super) fn not_after(&self) -> Option<i64> {
        self.not_after
    }

    /// Whether the server ever asked who we are.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Identity {
    /// There is one certificate or none: which issuers the server names is for it to enforce.
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.key.is_some() { "Identity(a certificate)" } else { "Identity(nobody)" })
    }
}

fn read_key(path: &Path, password: Option<&SecretString>) -> Result<PrivateKeyDer<'static>, ClientAuthError> {
    let (text, mode, owner) = read_file(path).map_err(|source| ClientAuthError::Read { path: path.to_owned(), source })?;
    let text_of = |text: &[u8]| Zeroizing::new(String::from_utf8_lossy(text).into_owned());
    let lossy = text_of(&text);
    if lossy.contains(LEGACY) {
        return Err(ClientAuthError::Legacy(path.to_owned()));
    }
    if let Some(encrypted) = section(&lossy) {
        return decrypt(path, encrypted, password);
    }
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let why = match error {
            rustls::pki_types::pem::Error::NoItemsFound => "it has none in PEM".to_owned(),
            error => error.to_string(),
        };
        ClientAuthError::NoKey { path: path.to_owned(), why }
    })?;
    check_guard(path, mode, owner, rustix::process::geteuid().as_raw())?;
    Ok(key)
}

/// What is between the lines that enclose an encrypted key.
fn section(text: &str) -> Option<&str> {
    let (_, behind) = text.split_once(BEGIN_ENCRYPTED)?;
    behind.split_once(END_ENCRYPTED).map(|(body, _)| body)
}

fn decrypt(path: &Path, body: &str, password: Option<&SecretString>) -> Result<PrivateKeyDer<'static>, ClientAuthError> {
    let path = || path.to_owned();
    let compact: String = body.split_ascii_whitespace().collect();
    let der = BASE64.decode(compact).map_err(|error| ClientAuthError::NoKey { path: path(), why: error.to_string() })?;
    let unsupported = |error: &dyn fmt::Display| ClientAuthError::Unsupported { path: path(), why: error.to_string() };
    let info = EncryptedPrivateKeyInfoRef::try_from(&der[..]).map_err(|error| unsupported(&error))?;
    let password = password.ok_or_else(|| ClientAuthError::NeedsPassword(path()))?;
    let clear = info.decrypt(password.expose_secret()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_) => {
            ClientAuthError::WrongPassword(path())
        }
        error => unsupported(&error),
    })?;
    Ok(PrivatePkcs8KeyDer::from(clear.as_bytes().to_vec()).into())
}

/// The same rule as for a password in a file.
fn check_guard(path: &Path, mode: u32, owner: u32, us: u32) -> Result<(), ClientAuthError> {
    if owner != us && owner != 0 {
        return Err(ClientAuthError::Foreign { path: path.to_owned(), uid: owner });
    }
    if mode & 0o077 != 0 {
        return Err(ClientAuthError::Exposed { path: path.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

/// What is in the file, its mode and its owner. What is checked is what was opened, and a FIFO does not block.
fn read_file(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, u32, u32)> {
    let no_block = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_block).open(path)?;
    let status = file.metadata()?;
    if !status.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let size = usize::try_from(status.len()).unwrap_or(usize::MAX);
    if size > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(size as u64 + 1).read_to_end(&mut text)?;
    Ok((text, status.mode(), status.uid()))
}

#[cfg(test)]
mod tests;
