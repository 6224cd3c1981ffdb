//! Calls to addresses on the web: one request each, of whose answer only the status counts. What waits for a [`Caller`] goes out in its
//! order and holds nobody up; what does not go through is tried again a few times. No address is ever logged: it may be a secret.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{config::WebAddress, ftps::tls::public};

/// A call may take so long, from the name of the host to the status.
const PATIENCE: Duration = Duration::from_secs(10);

/// How somebody is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// What the log calls it.
    pub(super) name: &'static str,
    /// How many calls may wait; one more is dropped.
    pub(super) room: usize,
    /// How long is waited before each further attempt.
    pub(super) again: &'static [Duration],
}

/// Why a call did not go through. Holds nothing of the address but perhaps its host.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("no request can be made of it")]
    Request,
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the answer was {0}")]
    Status(StatusCode),
}

impl CallError {
    /// Whether it may be another way in a while. A redirection is not followed: whoever is told should be named.
    fn is_transient(&self) -> bool {
        match self {
            Self::Status(status) => {
                status.is_server_error() || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Request => false,
            _ => true,
        }
    }
}

/// Somebody on the web who is told; or nobody.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    waits: Option<mpsc::Sender<Bytes>>,
    name: &'static str,
}

impl Caller {
    /// Who calls `address`, and the work of it, which never ends.
    pub(super) fn new(address: Option<WebAddress>, manner: Manner) -> (Self, impl Future<Output = ()> + Send) {
        let (waits, mut waiting) = mpsc::channel(manner.room);
        let caller = Self { waits: address.as_ref().map(|_| waits), name: manner.name };
        let work = async move {
            if let Some(address) = address {
                while let Some(body) = waiting.recv().await {
                    deliver(&address, body, &manner).await;
                }
            }
            std::future::pending::<()>().await;
        };
        (caller, work)
    }

    /// Has it told, as soon as what was said before is: JSON by POST, nothing by GET. Does not wait for that; what there is no room for is
    /// dropped.
    pub(super) fn tell(&self, body: Bytes) {
        let Some(waits) = &self.waits else { return };
        if waits.try_send(body).is_err() {
            tracing::debug!(name = self.name, "too much waits to be told: this is not");
        }
    }
}

/// Calls until it goes through, or was tried often enough.
async fn deliver(address: &WebAddress, body: Bytes, manner: &Manner) {
    let name = manner.name;
    let mut again = manner.again.iter();
    for attempt in 1.. {
        let called = timeout(PATIENCE, call(address, body.clone())).await;
        let error = match called.unwrap_or(Err(CallError::Late(PATIENCE))) {
            Ok(()) if attempt > 1 => return tracing::info!(name, attempt, "went through"),
            Ok(()) => return tracing::debug!(name, "went through"),
            Err(error) => error,
        };
        match again.next().filter(|_| error.is_transient()) {
            Some(pause) => {
                // The first one and the last one say enough.
                if attempt == 1 {
                    tracing::warn!(name, %error, "did not go through, and is tried again");
                }
                sleep(*pause).await;
            }
            None => return tracing::warn!(name, attempt, %error, "did not go through, and is given up"),
        }
    }
}

async fn call(address: &WebAddress, body: Bytes) -> Result<(), CallError> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(CallError::Connect)?;
    if address.tls {
        let stream = public::encrypt(stream, &address.host).await.map_err(CallError::Tls)?;
        ask(stream, address, body).await
    } else {
        ask(stream, address, body).await
    }
}

async fn ask<S>(stream: S, address: &WebAddress, body: Bytes) -> Result<(), CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .uri(&address.target)
        .header(HOST, named(address))
        .header(USER_AGENT, concat!("towline/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    let request = match body.is_empty() {
        true => request.method(Method::GET),
        false => request.method(Method::POST).header(CONTENT_TYPE, "application/json"),
    };
    let request = request.body(Full::new(body)).map_err(|_| CallError::Request)?;
    let answer = sender.send_request(request);
    let moved = async {
        // How it ends is told to whoever waits for the answer.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = answer => answer?,
        () = moved => return Err(CallError::Request),
    };
    if answer.status().is_success() { Ok(()) } else { Err(CallError::Status(answer.status())) }
}

/// The host as a request names it.
fn named(address: &WebAddress) -> String {
    let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
    match (address.tls, address.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests;
