//! Whether a certificate is the server's: chain, pins, or both. Signatures of the handshake are checked in any case.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    Pin, Presented, TlsVersion,
    error::{CertificateProblem, Untrusted},
    presented,
};

/// The verifier of one endpoint.
#[derive(Debug)]
pub(super) struct Verify {
    /// `None` trusts by pin alone.
    chain: Option<Arc<dyn ServerCertVerifier>>,
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verify {
    pub(super) fn new(chain: Option<Arc<dyn ServerCertVerifier>>, pins: Vec<Pin>, provider: &CryptoProvider) -> Self {
        Self { chain, pins, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Verify {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Errors travel through rustls as this type, so that the presented key gets into the message.
        let wrap = |problem| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem))));
        if let Some(chain) = &self.chain {
            by_chain(chain.as_ref(), end_entity, intermediates, server_name, ocsp_response, now)?.map_err(wrap)?;
        }
        let presented = Pin::of(end_entity);
        let pinned = match self.pins[..] {
            [] => self.chain.is_some(),
            _ => presented.is_some_and(|pin| self.pins.contains(&pin)),
        };
        if pinned {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(wrap(CertificateProblem { untrusted: Untrusted::Pin, presented }))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What a chain to a root is worth.
///
/// # Errors
/// When this could not be found out.
fn by_chain(
    chain: &dyn ServerCertVerifier,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    server_name: &ServerName<'_>,
    ocsp_response: &[u8],
    now: UnixTime,
) -> Result<Result<(), CertificateProblem>, Error> {
    let untrusted = match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
        Ok(_) => return Ok(Ok(())),
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) if presented::is_self_issued(end_entity) => {
            Untrusted::SelfSigned
        }
        // Errors of the verifier's own, which are not ours to name.
        Err(Error::InvalidCertificate(CertificateError::Other(_))) if presented::is_authority(end_entity) => Untrusted::Authority,
        Err(Error::InvalidCertificate(CertificateError::Other(_))) if !presented::is_for_servers(end_entity) => {
            Untrusted::Chain(CertificateError::InvalidPurpose)
        }
        Err(Error::InvalidCertificate(error)) => Untrusted::Chain(error),
        Err(error) => return Err(error),
    };
    Ok(Err(CertificateProblem { untrusted, presented: Pin::of(end_entity) }))
}

/// Takes any certificate and remembers it: to look at, never to log in with.
#[derive(Debug)]
pub(super) struct Record {
    /// `None` where there are no roots at all.
    chain: Option<Arc<dyn ServerCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    chain: Vec<CertificateDer<'static>>,
    verification: Option<Result<(), CertificateProblem>>,
    /// The version of the handshake that the certificate's key has signed.
    signed: Option<TlsVersion>,
}

impl Record {
    pub(super) fn new(chain: Option<Arc<dyn ServerCertVerifier>>, provider: &CryptoProvider) -> Self {
        Self { chain, algorithms: provider.signature_verification_algorithms, seen: Mutex::default() }
    }

    /// What was presented; `None` unless the server has shown that it holds the key.
    pub(super) fn presented(&self) -> Option<Result<Presented, CertificateProblem>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Some(presented::describe(&seen.chain, seen.signed?, seen.verification.clone()?))
    }

    fn signed(&self, version: TlsVersion) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).signed = Some(version);
    }
}

impl ServerCertVerifier for Record {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verification = match &self.chain {
            Some(chain) => by_chain(chain.as_ref(), end_entity, intermediates, server_name, ocsp_response, now)?,
            None => Err(CertificateProblem {
                untrusted: Untrusted::Chain(CertificateError::UnknownIssuer),
                presented: Pin::of(end_entity),
            }),
        };
        let chain = std::iter::once(end_entity).chain(intermediates).map(|one| one.clone().into_owned()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Seen { chain, verification: Some(verification), signed: None };
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls12_signature(message, cert, dss, &self.algorithms)?;
        self.signed(TlsVersion::V12);
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls13_signature(message, cert, dss, &self.algorithms)?;
        self.signed(TlsVersion::V13);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
