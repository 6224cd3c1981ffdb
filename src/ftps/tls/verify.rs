//! Whether a certificate is the server's: chain, pins, or both. Signatures of the handshake are checked in any case.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{Pin, error::CertificateProblem, error::Untrusted};

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
        let presented = Pin::of(end_entity);
        // Errors travel through rustls as this type, so that the presented key gets into the message.
        let problem = |untrusted| {
            let problem = CertificateProblem { untrusted, presented };
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem))))
        };
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map_err(
                |error| match error {
                    Error::InvalidCertificate(error) => problem(Untrusted::Chain(error)),
                    error => error,
                },
            )?;
        }
        let pinned = match self.pins[..] {
            [] => self.chain.is_some(),
            _ => presented.is_some_and(|pin| self.pins.contains(&pin)),
        };
        if pinned { Ok(ServerCertVerified::assertion()) } else { Err(problem(Untrusted::Pin)) }
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
