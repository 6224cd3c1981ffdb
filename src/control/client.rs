//! The asking end of the control API.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
    header::{CONTENT_TYPE, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, task::AbortHandle, time::timeout};

use super::{
    Approved, Overwritten, PauseRequest, Question, Refusal, Rejected, Reloaded, Resumed, Retried, RetryRequest, Status,
    UndoRequest, Undone, escape,
};
use crate::{
    mirror::{Account, LogEntry, Pause, Queue},
    model::RelPath,
};

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
    /// It is not ours to ask.
    #[error("the daemon's socket {socket} is another user's ({source}); ask as that user, or with sudo")]
    NotAllowed {
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

    /// Has the mirror `name` start no job for `span`, or until [`Self::resume`].
    ///
    /// # Errors
    /// When no daemon answers, or there is no such mirror.
    pub async fn pause(&self, name: &str, span: Option<Duration>) -> Result<Pause, ClientError> {
        self.tell(name, "pause", &PauseRequest { seconds: span.map(|span| span.as_secs()) }).await
    }

    /// Has the mirror `name` go on.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn resume(&self, name: &str) -> Result<Resumed, ClientError> {
        self.ask(Method::POST, &format!("/v1/mirrors/{}/resume", escape(name.as_bytes())), Bytes::new(), PATIENCE).await
    }

    /// Has the mirror `name` try again at once what failed at or below `path`, or anywhere.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn retry(&self, name: &str, path: Option<&RelPath>) -> Result<Retried, ClientError> {
        let path = path.map(|path| path.as_bytes().to_vec());
        self.tell(name, "retry", &RetryRequest { path, name: None }).await
    }

    /// What the mirror `name` has to do; each list with `limit` entries at most.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn queue(&self, name: &str, limit: usize) -> Result<Queue, ClientError> {
        let path = format!("/v1/mirrors/{}/queue?limit={limit}", escape(name.as_bytes()));
        self.ask(Method::GET, &path, Bytes::new(), PATIENCE).await
    }

    /// The newest `limit` things that the mirror `name` did with a number above `after`, oldest first.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn log(&self, name: &str, after: i64, limit: usize) -> Result<Vec<LogEntry>, ClientError> {
        let path = format!("/v1/mirrors/{}/log?after={after}&limit={limit}", escape(name.as_bytes()));
        self.ask(Method::GET, &path, Bytes::new(), PATIENCE).await
    }

    /// How everything is, as Prometheus reads it.
    ///
    /// # Errors
    /// When no daemon answers.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let asked = async {
            let (response, driver) = send(self.connect().await?, Method::GET, "/v1/metrics", Bytes::new()).await?;
            let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(ClientError::Broken)?.to_bytes();
            drop(driver);
            String::from_utf8(body.into()).map_err(broken)
        };
        timeout(PATIENCE, asked).await.map_err(|_| ClientError::Timeout(PATIENCE))?
    }

    async fn tell<T: DeserializeOwned>(&self, name: &str, verb: &str, body: &impl serde::Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        self.ask(Method::POST, &format!("/v1/mirrors/{}/{verb}", escape(name.as_bytes())), body.into(), PATIENCE).await
    }

    /// How everything is, and then each time that it is another way.
    ///
    /// # Errors
    /// When no daemon answers.
    pub async fn events(&self) -> Result<Events, ClientError> {
        let stream = self.connect().await?;
        let asked = send(stream, Method::GET, "/v1/events", Bytes::new());
        let (response, driver) = timeout(PATIENCE, asked).await.map_err(|_| ClientError::Timeout(PATIENCE))??;
        Ok(Events { body: response.into_body(), heard: Vec::new(), _driver: driver })
    }

    /// Passes a request on; the answer's body comes as the daemon writes it, with what kind it is.
    pub(super) async fn forward(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<
        (StatusCode, Option<HeaderValue>, impl Body<Data = Bytes, Error = hyper::Error> + Send + 'static + use<>),
        ClientError,
    > {
        let asked = send(self.connect().await?, method, path, body);
        let (response, driver) = timeout(PATIENCE, asked).await.map_err(|_| ClientError::Timeout(PATIENCE))??;
        let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
        // The connection lives as long as its body.
        let body = response.into_body().map_frame(move |frame| {
            let _ = &driver;
            frame
        });
        Ok((status, kind, body))
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        let socket = || self.socket.clone();
        UnixStream::connect(&self.socket).await.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket: socket(), source },
            _ => ClientError::NotRunning { socket: socket(), source },
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let stream = self.connect().await?;
        timeout(patience, exchange(stream, method, path, body)).await.map_err(|_| ClientError::Timeout(patience))?
    }
}

/// What the daemon tells, as long as it runs.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    heard: Vec<u8>,
    _driver: Driver,
}

/// The asking end of a connection, and the task that moves its bytes; they end with this.
#[derive(Debug)]
struct Driver(
    AbortHandle,
    #[expect(dead_code, reason = "without it the connection would end early")] http1::SendRequest<Full<Bytes>>,
);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Events {
    /// The next event; nothing when the daemon has ended. Cancel-safe.
    ///
    /// # Errors
    /// When what is said is no status.
    pub async fn next(&mut self) -> Result<Option<Status>, ClientError> {
        loop {
            if let Some(data) = take_event(&mut self.heard) {
                return serde_json::from_slice(&data).map(Some).map_err(broken);
            }
            if self.heard.len() > LARGEST {
                return Err(broken(io::Error::other("an event without an end")));
            }
            match self.body.frame().await {
                // However it ends.
                None | Some(Err(_)) => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.heard.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// Takes the data of the first event that is there as a whole; comments are left out. As this program's own daemon writes them: lines
/// end with LF, and an event ends with an empty one.
fn take_event(heard: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        let end = heard.windows(2).position(|two| two == b"\n\n")?;
        let event: Vec<u8> = heard.drain(..end + 2).collect();
        let lines = event.split(|b| *b == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
        let data: Vec<&[u8]> = lines.map(|line| line.strip_prefix(b" ").unwrap_or(line)).collect();
        if !data.is_empty() {
            return Some(data.join(&b'\n'));
        }
    }
}

/// Sends a request; the answer's body is moved as long as the driver is there.
async fn send(stream: UnixStream, method: Method, path: &str, body: Bytes) -> Result<(Response<Incoming>, Driver), ClientError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection).abort_handle();
    let request = Request::builder().method(method).uri(path).header("host", "towline");
    let request = if body.is_empty() { request } else { request.header("content-type", "application/json") };
    let request = request.body(Full::new(body)).map_err(broken)?;
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, Driver(driver, sender)))
}

async fn exchange<T: DeserializeOwned>(stream: UnixStream, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
    let (response, driver) = send(stream, method, path, body).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(ClientError::Broken)?.to_bytes();
    drop(driver);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_and_in_order() {
        let mut heard = b"event: status\ndata: {\"a\":1}\n\n:\n\ndata:x\ndata: y\n\nda".to_vec();
        assert_eq!(take_event(&mut heard).as_deref(), Some(&br#"{"a":1}"#[..]));
        assert_eq!(take_event(&mut heard).as_deref(), Some(&b"x\ny"[..]));
        assert_eq!(take_event(&mut heard), None);
        assert_eq!(heard, b"da");
        heard.extend_from_slice(b"ta: z\n\n");
        assert_eq!(take_event(&mut heard).as_deref(), Some(&b"z"[..]));
        assert!(heard.is_empty());
    }
}
