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

use super::{Approved, Overwritten, Question, Refusal, Rejected, Reloaded, Status, UndoRequest, Undone, escape};
use crate::mirror::Account;

/// The whole exchange may take this long, and as much longer as a question allows for a look.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a reload, which may wait for commands that print passwords.
const RELOAD_PATIENCE: Duration = Duration::from_secs(120);
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
        self.ask(Method::GET, "/v1/status", Bytes::new(), PATIENCE).await
    }

    /// Has the daemon read its configuration anew. Mirrors may have to end first, and passwords to be fetched.
    ///
    /// # Errors
    /// When no daemon answers, or the configuration cannot be used; then nothing changed.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.ask(Method::POST, "/v1/reload", Bytes::new(), RELOAD_PATIENCE).await
    }

    /// Releases the removals that wait in the mirror `name`.
    ///
    /// # Errors
    /// When no daemon answers, there is no such mirror, or nothing waits.
    pub async fn approve(&self, name: &str) -> Result<Approved, ClientError> {
        self.ask(Method::POST, &format!("/v1/mirrors/{}/approve", escape(name.as_bytes())), Bytes::new(), PATIENCE).await
    }

    /// Lets the mirror `name` overwrite what was changed on the server, at and below `path` or anywhere.
    ///
    /// # Errors
    /// When no daemon answers, there is no such mirror, or the path is none.
    pub async fn overwrite(&self, name: &str, path: Option<&str>) -> Result<Overwritten, ClientError> {
        let parts = path.into_iter().flat_map(|path| path.split('/'));
        let below: String = parts.map(|part| format!("/{}", escape(part.as_bytes()))).collect();
        let path = format!("/v1/mirrors/{}/overwrite{below}", escape(name.as_bytes()));
        self.ask(Method::POST, &path, Bytes::new(), PATIENCE).await
    }

    /// Drops the removals that wait in the mirror `name`.
    ///
    /// # Errors
    /// As [`Self::approve`].
    pub async fn reject(&self, name: &str) -> Result<Rejected, ClientError> {
        self.ask(Method::POST, &format!("/v1/mirrors/{}/reject", escape(name.as_bytes())), Bytes::new(), PATIENCE).await
    }

    /// What the mirror `name` knows of a path. The answer may take as long as the question allows.
    ///
    /// # Errors
    /// When no daemon answers, or there is no such mirror.
    pub async fn account(&self, name: &str, question: &Question) -> Result<Account, ClientError> {
        let path = format!("/v1/mirrors/{}/account?{question}", escape(name.as_bytes()));
        self.ask(Method::GET, &path, Bytes::new(), PATIENCE + question.within).await
    }

    /// Puts back what was removed from the mirror `name`, or tells what would be.
    ///
    /// # Errors
    /// When no daemon answers, or there is no such mirror.
    pub async fn undo(&self, name: &str, asked: &UndoRequest) -> Result<Undone, ClientError> {
        let body = serde_json::to_vec(asked).map_err(broken)?;
        self.ask(Method::POST, &format!("/v1/mirrors/{}/undo", escape(name.as_bytes())), body.into(), PATIENCE).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::NotRunning { socket: self.socket.clone(), source })?;
        timeout(patience, exchange(stream, method, path, body)).await.map_err(|_| ClientError::Timeout(patience))?
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
