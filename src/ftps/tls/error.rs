//! TLS failures in words that an operator understands.

use std::{fmt, io, path::PathBuf};

use rustls::{AlertDescription, CertificateError, Error};

use super::Pin;

/// A failure of TLS, or of its settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate is not trusted.
    #[error(transparent)]
    Certificate(CertificateProblem),
    /// No version, cipher or key exchange in common.
    #[error("client and server have no TLS version or cipher in common: {0}")]
    Version(Error),
    /// What came was no TLS.
    #[error("the server's answer is not TLS: {0}")]
    NotTls(Error),
    /// Anything else that rustls objects to.
    #[error("TLS failed: {0}")]
    Failed(Error),
    /// The connection broke during the handshake.
    #[error("the connection broke during the TLS handshake: {0}")]
    Io(#[source] io::Error),
    /// The data connection's certificate is not that of the control connection: another host answered.
    #[error("the data connection presented another certificate than the control connection")]
    OtherCertificate,
    /// A file of certificates cannot be read.
    #[error("cannot read certificates from {}: {source}", path.display())]
    Ca {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of certificates is no PEM.
    #[error("{} is not a PEM file of certificates: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// A file of certificates has none.
    #[error("there is no certificate in {}", .0.display())]
    EmptyCa(PathBuf),
    /// No roots to trust.
    #[error("cannot use the root certificates: {0}")]
    Roots(Error),
    /// The name is neither a host name nor an address.
    #[error("{0:?} is neither a host name nor an IP address")]
    ServerName(String),
    /// Trust by pin alone, without a pin.
    #[error("trust is by pin alone, but there is no pin")]
    NoPin,
}

/// A certificate that is not trusted, and its key.
#[derive(Clone, Debug)]
pub struct CertificateProblem {
    /// Why.
    pub untrusted: Untrusted,
    /// The public key it presented; `None` when it is no X.509.
    pub presented: Option<Pin>,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug)]
pub enum Untrusted {
    /// The chain, the name, or the dates.
    Chain(CertificateError),
    /// Its key is not pinned.
    Pin,
}

impl TlsError {
    /// What a failed handshake means.
    pub(super) fn of(error: io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return Self::Io(error) };
        match tls {
            Error::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref::<CertificateProblem>() {
                Some(problem) => Self::Certificate(problem.clone()),
                None => Self::Failed(tls.clone()),
            },
            Error::AlertReceived(
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
            )
            | Error::PeerIncompatible(_) => Self::Version(tls.clone()),
            Error::InvalidMessage(_) => Self::NotTls(tls.clone()),
            _ => Self::Failed(tls.clone()),
        }
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Certificate(problem) => return Some(problem.hint()),
            Self::Version(_) => "TLS 1.2 is the least that Towline speaks (RFC 8996); update the server, or see `tls.min`",
            Self::NotTls(_) => "check the port; and that the server expects explicit TLS (AUTH TLS) there",
            Self::OtherCertificate => {
                "a load balancer with several certificates, or somebody in between; all parts must present one certificate"
            }
            Self::Ca { .. } | Self::Pem { .. } | Self::EmptyCa(_) => "check `tls.ca`",
            Self::Roots(_) => "install the system's root certificates, or set `tls.ca` or trust by pin",
            Self::ServerName(_) => "check `host` and `tls.server_name`",
            Self::NoPin => "set `tls.pin`",
            Self::Failed(_) | Self::Io(_) => return None,
        })
    }
}

impl CertificateProblem {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        use CertificateError as E;
        match &self.untrusted {
            Untrusted::Pin => {
                "if the server's key was changed on purpose, set `tls.pin` to the presented one; if not, somebody is in between"
            }
            Untrusted::Chain(E::UnknownIssuer | E::BadSignature) => {
                "set `tls.ca` to the issuer's certificate, or trust the presented key by `tls.pin`"
            }
            Untrusted::Chain(E::NotValidForName | E::NotValidForNameContext { .. }) => {
                "set `tls.server_name` to a name in the certificate, if that is the server you mean"
            }
            Untrusted::Chain(E::Expired | E::ExpiredContext { .. }) => "renew the server's certificate; check the clock here",
            Untrusted::Chain(E::NotValidYet | E::NotValidYetContext { .. }) => "check the clock here and on the server",
            Untrusted::Chain(_) => {
                "mend the server's certificate, or trust the presented key by `tls.pin` with `trust = \"pin\"`"
            }
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateError as E;
        f.write_str("the server's certificate is not trusted: ")?;
        match &self.untrusted {
            Untrusted::Pin => f.write_str("its public key is not the pinned one")?,
            Untrusted::Chain(E::UnknownIssuer) => f.write_str("its issuer is unknown")?,
            Untrusted::Chain(E::BadSignature) => f.write_str("it is not signed by the issuer of that name that is known here")?,
            Untrusted::Chain(E::Expired | E::ExpiredContext { .. }) => f.write_str("it has expired")?,
            Untrusted::Chain(E::NotValidYet | E::NotValidYetContext { .. }) => f.write_str("it is not valid yet")?,
            Untrusted::Chain(E::NotValidForName) => f.write_str("it is for another name")?,
            Untrusted::Chain(E::NotValidForNameContext { expected, presented }) => {
                let names: Vec<_> = presented.iter().take(10).map(|name| name.escape_debug().to_string()).collect();
                write!(f, "it is not for {} but for {}", expected.to_str(), names.join(", "))?;
            }
            Untrusted::Chain(error) => write!(f, "{error}")?,
        }
        match &self.presented {
            Some(pin) => write!(f, " (its public key is {pin})"),
            None => f.write_str(" (it is no X.509 certificate)"),
        }
    }
}

impl std::error::Error for CertificateProblem {}
