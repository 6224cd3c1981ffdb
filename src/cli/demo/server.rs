//! The demo's FTPS server: libunftp on an ephemeral port of loopback, TLS required, with a certificate made at start.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use libunftp::{
    ServerBuilder,
    options::{FtpsRequired, TlsFlags},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use unftp_core::auth::{AuthenticationError, Authenticator, Credentials, Principal};
use unftp_sbe_fs::Filesystem;

/// A running server.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    /// The certificate, which is its own authority.
    pub(super) ca: PathBuf,
    pub(super) stop: CancellationToken,
}

/// Lets in one user with one password.
#[derive(Debug)]
struct Doorkeeper {
    user: String,
    password: String,
}

#[async_trait]
impl Authenticator for Doorkeeper {
    async fn authenticate(&self, username: &str, credentials: &Credentials) -> Result<Principal, AuthenticationError> {
        if username == self.user && credentials.password.as_deref() == Some(&self.password) {
            Ok(Principal { username: username.to_owned() })
        } else {
            Err(AuthenticationError::BadPassword)
        }
    }
}

/// Serves `root`; certificate and key are put into `dir`.
pub(super) async fn start(dir: &Path, root: &Path) -> io::Result<Server> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
    let (ca, key) = (dir.join("server.pem"), dir.join("server.key"));
    std::fs::write(&ca, certified.cert.pem())?;
    std::fs::write(&key, certified.signing_key.serialize_pem())?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let (user, password) = ("demo".to_owned(), format!("{:016x}", fastrand::u64(..)));
    let stop = CancellationToken::new();
    let serving = Serving { root: root.to_owned(), cert: ca.clone(), key, user: user.clone(), password: password.clone() };
    tokio::spawn(serving.accept(listener, stop.clone()));
    Ok(Server { port, user, password, ca, stop })
}

struct Serving {
    root: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    user: String,
    password: String,
}

impl Serving {
    async fn accept(self, listener: TcpListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((stream, _)) = accepted else { continue };
            let root = self.root.clone();
            let doorkeeper = Doorkeeper { user: self.user.clone(), password: self.password.clone() };
            let server = Filesystem::new(root.clone()).map(|_| root).and_then(|root| {
                // The generator cannot fail: the directory was just opened, and is ours.
                let generator = Box::new(move || Filesystem::new(root.clone()).unwrap_or_else(|e| panic!("{e}")));
                ServerBuilder::with_authenticator(generator, std::sync::Arc::new(doorkeeper))
                    .ftps(&self.cert, &self.key)
                    .ftps_required(FtpsRequired::All, FtpsRequired::All)
                    .ftps_tls_flags(TlsFlags::V1_2 | TlsFlags::V1_3)
                    .passive_ports(32_768..=60_999)
                    .build()
                    .map_err(io::Error::other)
            });
            if let Ok(server) = server {
                tokio::spawn(async move {
                    if let Err(e) = server.service(stream).await {
                        tracing::debug!(error = %e, "the demo server ended a session");
                    }
                });
            }
        }
    }
}
