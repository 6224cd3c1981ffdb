//! TLS to a server on the web: verified by the system's roots, and by nothing else. For what is not FTP; nothing is pinned here, and no
//! session is resumed.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{chain, provider};

/// Encrypts `stream`, whose other end has to be `host`.
///
/// # Errors
/// When it is not, or does not speak TLS 1.2 or 1.3.
pub async fn encrypt<S>(stream: S, host: &str) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let name = ServerName::try_from(host.to_owned()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let provider = provider();
    let verifier = chain(None, &provider).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
