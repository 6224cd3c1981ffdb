//! TLS failures in words that an operator understands.

use std::{fmt, io, path::PathBuf};

use rustls::{AlertDescription, CertificateError, Error};

use super::{ClientAuthError, Pin};

/// A failure of TLS, or of its settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate of the control connection is not trusted.
    #[error("{0}; the password was not sent")]
    Certificate(CertificateProblem),
    /// The certificate of a data connection is not trusted.
    #[error("on the data connection, {0}")]
    DataCertificate(CertificateProblem),
    /// The server does not take our certificate, or wants one.
    #[error(transparent)]
    ClientRefused(#[from] ClientRefusal),
    /// Our own certificate cannot be used.
    #[error(transparent)]
    Client(#[from] ClientAuthError),
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
    /// The handshake is not signed with the key of the certificate.
    #[error("the server does not hold the key of the certificate that it presented")]
    NotItsKey,
    /// The data connection's key is not that of the control connection: another host answered.
    #[error("the data connection presented another key in its certificate than the control connection")]
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
#[non_exhaustive]
pub enum Untrusted {
    /// The chain, the name, or the dates.
    Chain(CertificateError),
    /// It is its own issuer, and not among the roots.
    SelfSigned,
    /// It is an authority's, which no server may present (RFC 5280 §4.2.1.9): `openssl req -x509` makes such.
    Authority,
    /// Its key is not pinned.
    Pin,
}

/// What a server says of our certificate, or of there being none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientRefusal {
    /// It wants one, and there is none.
    #[error("the server requires a client certificate")]
    Missing,
    /// It has expired.
    #[error("the server says that the client certificate has expired")]
    Expired,
    /// It was revoked.
    #[error("the server says that the client certificate was revoked")]
    Revoked,
    /// It does not know who signed it.
    #[error("the server does not know the issuer of the client certificate")]
    UnknownIssuer,
    /// Something else.
    #[error("the server did not accept the client certificate, or wants one (TLS alert {0:?})")]
    Refused(AlertDescription),
}

impl ClientRefusal {
    /// What an alert says of our certificate, when the server `asked` for one and we `had` one; `None` if nothing.
    fn of(alert: AlertDescription, asked: bool, had: bool) -> Option<Self> {
        use AlertDescription as A;
        match alert {
            A::CertificateRequired => Some(if had { Self::Refused(alert) } else { Self::Missing }),
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::DecryptError
            | A::HandshakeFailure
                if !asked =>
            {
                None
            }
            // What servers say before TLS 1.3 to an empty certificate: OpenSSL `handshake_failure`, others `bad_certificate`.
            A::BadCertificate | A::CertificateUnknown | A::UnknownCA | A::AccessDenied | A::HandshakeFailure if !had => {
                Some(Self::Missing)
            }
            A::CertificateExpired => Some(Self::Expired),
            A::CertificateRevoked => Some(Self::Revoked),
            A::UnknownCA => Some(Self::UnknownIssuer),
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateUnknown
            | A::AccessDenied
            | A::DecryptError
            | A::HandshakeFailure => Some(Self::Refused(alert)),
            _ => None,
        }
    }

    /// What an operator can do about it.
    fn hint(self) -> &'static str {
        match self {
            Self::Missing => "set `tls.client_cert` and `tls.client_key` to a certificate that the server accepts, and its key",
            Self::Expired => "renew the certificate in `tls.client_cert`; check the server's clock",
            Self::Revoked => "get a new certificate for `tls.client_cert`",
            Self::UnknownIssuer => {
                "let the server trust the issuer of `tls.client_cert`; put intermediate certificates behind it in the file"
            }
            Self::Refused(_) => "check `tls.client_cert`: issuer, dates, and that it is for clients; the server's log says why",
        }
    }
}

/// Whether what came was no TLS.
pub(in crate::ftps) fn is_no_tls(error: &io::Error) -> bool {
    matches!(inner(error), Some(Error::InvalidMessage(_)))
}

/// The error of rustls in an error of a stream.
fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

impl TlsError {
    /// What a failed handshake means, when the server `asked` for our certificate and we `had` one.
    pub(super) fn of_handshake(error: io::Error, asked: bool, had: bool) -> Self {
        match inner(&error) {
            Some(Error::AlertReceived(alert)) => match ClientRefusal::of(*alert, asked, had) {
                Some(refusal) => Self::ClientRefused(refusal),
                None => Self::of(error),
            },
            _ => Self::of(error),
        }
    }

    /// What the end of an established connection has to do with TLS, if anything: in TLS 1.3 a server judges our certificate
    /// when our handshake is over already (RFC 8446 §4.4.2.4).
    ///
    /// # Errors
    /// The error itself, when it is an ordinary one.
    pub(in crate::ftps) fn late(error: io::Error) -> Result<Self, io::Error> {
        let alert = match inner(&error) {
            Some(Error::AlertReceived(alert)) => *alert,
            _ => return Err(error),
        };
        // Whether we had one is not known here; `certificate_required` answers an empty one alone.
        let had = alert != AlertDescription::CertificateRequired;
        match ClientRefusal::of(alert, true, had) {
            Some(refusal) => Ok(Self::ClientRefused(refusal)),
            None => Err(error),
        }
    }

    /// What a failed handshake means.
    fn of(error: io::Error) -> Self {
        let Some(tls) = inner(&error) else { return Self::Io(error) };
        match tls {
            Error::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref::<CertificateProblem>() {
                Some(problem) => Self::Certificate(problem.clone()),
                None => Self::Failed(tls.clone()),
            },
            // What is wrong with the certificate itself comes as above.
            Error::InvalidCertificate(CertificateError::BadSignature) => Self::NotItsKey,
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
            Self::Certificate(problem) | Self::DataCertificate(problem) => return Some(problem.hint()),
            Self::ClientRefused(refusal) => refusal.hint(),
            Self::Client(error) => error.hint(),
            Self::Version(_) => "TLS 1.2 is the least that Towline speaks (RFC 8996); update the server, or see `tls.min`",
            Self::NotTls(_) => "check the port; and that the server expects explicit TLS (AUTH TLS) there",
            Self::NotItsKey => "somebody may be in between; on the server, key file and certificate must belong together",
            Self::OtherCertificate => {
                "a load balancer whose parts have several keys, or somebody in between; all parts must present one key"
            }
            Self::Ca { .. } | Self::Pem { .. } | Self::EmptyCa(_) => "check `tls.ca`",
            Self::Roots(_) => "install the system's root certificates, or set `tls.ca` or trust by pin",
            Self::ServerName(_) => "check `host` and `tls.server_name`",
            Self::NoPin => "set `tls.pin`; `towline trust REMOTE` shows it",
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
                "if the server's key was changed on purpose, `towline trust REMOTE` shows it and `--pin` writes it into the \
                 configuration; if not, somebody is in between"
            }
            Untrusted::SelfSigned => {
                "trust the presented key (`towline trust REMOTE` shows it, `--pin` writes it), or set `tls.ca` to the certificate itself"
            }
            Untrusted::Authority => "trust the presented key: `towline trust REMOTE` shows it, `--pin` writes it",
            Untrusted::Chain(E::UnknownIssuer | E::BadSignature) => {
                "set `tls.ca` to the issuer's certificate, or trust the presented key: `towline trust REMOTE` shows it, `--pin` writes it"
            }
            Untrusted::Chain(E::NotValidForName | E::NotValidForNameContext { .. }) => {
                "set `tls.server_name` to a name in the certificate, if that is the server you mean"
            }
            Untrusted::Chain(E::Expired | E::ExpiredContext { .. }) => "renew the server's certificate; check the clock here",
            Untrusted::Chain(E::NotValidYet | E::NotValidYetContext { .. }) => "check the clock here and on the server",
            Untrusted::Chain(E::Revoked) => "the server needs a new key and certificate; until then trust it in no way",
            Untrusted::Chain(_) => {
                "mend the server's certificate, or trust the presented key: `towline trust REMOTE` shows it, `--pin` writes it"
            }
        }
    }

    /// Why it is not trusted, without its key.
    pub fn why(&self) -> String {
        use CertificateError as E;
        match &self.untrusted {
            Untrusted::Pin => "its public key is not the pinned one".to_owned(),
            Untrusted::SelfSigned => "it is self-signed: its issuer is unknown".to_owned(),
            Untrusted::Authority => "it is the certificate of an authority, which no server may present".to_owned(),
            Untrusted::Chain(E::UnknownIssuer) => "its issuer is unknown".to_owned(),
            Untrusted::Chain(E::BadSignature) => "it is not signed by the issuer of that name that is known here".to_owned(),
            Untrusted::Chain(E::Expired | E::ExpiredContext { .. }) => "it has expired".to_owned(),
            Untrusted::Chain(E::NotValidYet | E::NotValidYetContext { .. }) => "it is not valid yet".to_owned(),
            Untrusted::Chain(E::Revoked) => "it was revoked".to_owned(),
            Untrusted::Chain(E::InvalidPurpose | E::InvalidPurposeContext { .. }) => {
                "it is not for servers (extended key usage)".to_owned()
            }
            Untrusted::Chain(E::BadEncoding) => "it cannot be read".to_owned(),
            Untrusted::Chain(E::NotValidForName) => "it is for another name".to_owned(),
            Untrusted::Chain(E::NotValidForNameContext { expected, presented }) if presented.is_empty() => {
                format!("it is not for {}: it names no host at all", expected.to_str())
            }
            Untrusted::Chain(E::NotValidForNameContext { expected, presented }) => {
                let names: Vec<_> = presented.iter().take(10).map(|name| name.escape_debug().to_string()).collect();
                format!("it is not for {} but for {}", expected.to_str(), names.join(", "))
            }
            Untrusted::Chain(error) => error.to_string(),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's certificate is not trusted: {}", self.why())?;
        match &self.presented {
            Some(pin) => write!(f, " (its public key is {pin})"),
            None => f.write_str(" (it is no X.509 certificate)"),
        }
    }
}

impl std::error::Error for CertificateProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_alert_says_of_our_certificate() {
        use AlertDescription as A;
        use ClientRefusal as R;
        for (alert, asked, had, expected) in [
            (A::CertificateRequired, true, false, Some(R::Missing)),
            (A::HandshakeFailure, true, false, Some(R::Missing)),
            (A::BadCertificate, true, false, Some(R::Missing)),
            // Nothing in common, as ever.
            (A::HandshakeFailure, false, false, None),
            (A::HandshakeFailure, false, true, None),
            (A::CertificateExpired, true, true, Some(R::Expired)),
            (A::CertificateRevoked, true, true, Some(R::Revoked)),
            (A::UnknownCA, true, true, Some(R::UnknownIssuer)),
            (A::HandshakeFailure, true, true, Some(R::Refused(A::HandshakeFailure))),
            (A::DecodeError, true, true, None),
            (A::ProtocolVersion, true, false, None),
        ] {
            assert_eq!(R::of(alert, asked, had), expected, "{alert:?} {asked} {had}");
        }
    }

    #[test]
    fn ordinary_ends_stay_what_they_are() {
        let late = |error: Error| TlsError::late(io::Error::new(io::ErrorKind::InvalidData, error));
        assert!(late(Error::AlertReceived(AlertDescription::InternalError)).is_err());
        assert!(TlsError::late(io::ErrorKind::ConnectionReset.into()).is_err());
        let missing = late(Error::AlertReceived(AlertDescription::CertificateRequired));
        assert!(matches!(missing, Ok(TlsError::ClientRefused(ClientRefusal::Missing))));
    }

    #[test]
    fn each_problem_has_a_cause_and_a_remedy() {
        use CertificateError as E;
        for (untrusted, why, remedy) in [
            (Untrusted::Pin, "not the pinned one", "towline trust"),
            (Untrusted::SelfSigned, "self-signed", "tls.ca"),
            (Untrusted::Authority, "of an authority", "--pin"),
            (Untrusted::Chain(E::UnknownIssuer), "issuer is unknown", "tls.ca"),
            (Untrusted::Chain(E::Expired), "has expired", "renew"),
            (Untrusted::Chain(E::NotValidYet), "not valid yet", "clock"),
            (Untrusted::Chain(E::NotValidForName), "another name", "tls.server_name"),
            (Untrusted::Chain(E::Revoked), "revoked", "new key"),
            (Untrusted::Chain(E::InvalidPurpose), "not for servers", "mend"),
        ] {
            let problem = CertificateProblem { untrusted, presented: Some(Pin::from([0; 32])) };
            let (text, hint) = (problem.to_string(), problem.hint());
            assert!(text.contains(why) && text.contains("sha256/AAAA"), "{text}");
            assert!(hint.contains(remedy), "{hint}");
            assert!(TlsError::Certificate(problem).to_string().ends_with("the password was not sent"));
        }
    }
}
