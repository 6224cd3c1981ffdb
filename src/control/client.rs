//! The asking end of the control API.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time::timeout};

use super::{Approved, Refusal, Status, UndoRequest, Undone};

/// The whole exchange may take this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const LARGEST: usize = 16 << 20;

/// Asks the daemon behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no towline daemon listens on {socket} ({source}); start one with `towline run`")]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon has no mirror of this name.
    #[error("{0}")]
    NoSuchMirror(String),
    /// The daemon said no, and why.
    #[error("{0}")]
    Refused(String),
    /// The daemon took too long: it hangs, or is stopped.
    #[error("the daemon did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The conversation broke off.
    #[error("the daemon did not answer: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Client {
    /// A client of the daemon behind `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// What every mirror does.
    ///
    /// # Errors
    /// When no daemon answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/v1/status", Bytes::new()).await
    }

    /// Releases the removals that wait in the mirror `name`.
    ///
    /// # Errors
    /// When no daemon answers, there is no such mirror, or nothing waits.
    pub async fn approve(&self, name: &str) -> Result<Approved, ClientError> {
        self.ask(Method::POST, &format!("/v1/mirrors/{}/approve", escape(name)), Bytes::new()).await
    }

    /// Puts back what was removed from the mirror `name`, or tells what would be.
    ///
    /// # Errors
    /// When no daemon answers, or there is no such mirror.
    pub async fn undo(&self, name: &str, asked: &UndoRequest) -> Result<Undone, ClientError> {
        let body = serde_json::to_vec(asked).map_err(broken)?;
        self.ask(Method::POST, &format!("/v1/mirrors/{}/undo", escape(name)), body.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::NotRunning { socket: self.socket.clone(), source })?;
        timeout(PATIENCE, exchange(stream, method, path, body)).await.map_err(|_| ClientError::Timeout(PATIENCE))?
    }
}

async fn exchange<T: DeserializeOwned>(stream: UnixStream, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "towline");
    let request = if body.is_empty() { request } else { request.header("content-type", "application/json") };
    let request = request.body(Full::new(body)).map_err(broken)?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(ClientError::Broken)?.to_bytes();
    driver.abort();
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(broken);
    }
    let refusal: Refusal = serde_json::from_slice(&body).map_err(broken)?;
    let refused = if status == StatusCode::NOT_FOUND { ClientError::NoSuchMirror } else { ClientError::Refused };
    Err(refused(refusal.error))
}

fn broken(e: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Broken(Box::new(e))
}

/// Percent-encodes what may not stand in a path segment (RFC 3986, section 3.3).
fn escape(segment: &str) -> String {
    segment
        .bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}
