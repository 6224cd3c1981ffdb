//! One API for everything that asks or tells a running daemon: HTTP with JSON over a unix socket that only its owner can
//! open. Here are the routes; [`client`] is the other end.

mod calls;
pub mod client;
mod events;
pub mod metrics;
pub mod notices;
mod orders;
mod paths;
pub mod web;

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io,
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Json, Router,
    extract::{Path as Param, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    index::{Trashed, Undo},
    mirror::{ApproveError, Command, Handle, MirrorStatus, Phase},
    model::{RelPath, UnixMillis},
};
pub use events::APART;
pub use orders::{MOST, PauseRequest, Resumed, Retried, RetryRequest};
use paths::escape;
pub use paths::{Question, WITHIN};

/// So many paths are listed of an undo.
const LISTED: usize = 1000;

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The daemon's process number.
    pub pid: u32,
    /// Every mirror, by name.
    pub mirrors: Vec<MirrorStatus>,
}

/// The answer to `POST /v1/mirrors/NAME/approve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// So many removals of files were released.
    pub deletes: u64,
}

/// The answer to `POST /v1/mirrors/NAME/overwrite/PATH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwritten {
    /// So many paths, which were changed on the server, are released.
    pub paths: u64,
}

/// The answer to `POST /v1/mirrors/NAME/reject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// So many files stay on the server, and are not the mirror's any more.
    pub files: u64,
}

/// The body of `POST /v1/mirrors/NAME/undo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRequest {
    /// At or below this path, relative to the mirror's root; else everywhere. Paths are bytes.
    #[serde(default)]
    pub path: Option<Vec<u8>>,
    /// What was removed no earlier than this; else ever.
    #[serde(default)]
    pub since: Option<UnixMillis>,
    /// Old versions of what is there still, too; else one only at the very path.
    #[serde(default)]
    pub versions: bool,
    /// Only tell what would be put back.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to `POST /v1/mirrors/NAME/undo`: what is put back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first 1,000 of them.
    pub list: Vec<Trashed<String>>,
}

impl From<Vec<Trashed>> for Undone {
    fn from(found: Vec<Trashed>) -> Self {
        let (files, bytes) = (found.len() as u64, found.iter().map(|trashed| trashed.size).sum());
        let shown = |Trashed { path, size, at, replaces }: Trashed| Trashed { path: path.to_string(), size, at, replaces };
        Self { files, bytes, list: found.into_iter().take(LISTED).map(shown).collect() }
    }
}

/// The answer to `POST /v1/reload`: what became of the mirrors, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Those that are new.
    pub started: Vec<String>,
    /// Those that were stopped and started again: something about them or their server is another, or they did not run any more.
    pub restarted: Vec<String>,
    /// Those that are in the configuration no more. What they have put on the server stays there.
    pub stopped: Vec<String>,
    /// Those that nothing happened to.
    pub untouched: Vec<String>,
}

/// The body of every answer that is not 200.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub error: String,
}

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error("another towline listens on {0}; stop it first")]
    InUse(PathBuf),
    /// The system refused.
    #[error("cannot listen on {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens the socket at `path` with mode 0600, taking the place of one that a dead daemon left. The socket has its mode
/// before it has its name. Its directory is made (mode 0700) if it is missing: `$XDG_RUNTIME_DIR` is empty after a login.
///
/// # Errors
/// When another daemon listens there, or the system refuses.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    if UnixStream::connect(path).is_ok() {
        return Err(BindError::InUse(path.to_owned()));
    }
    // No longer than the path itself, whose length has a limit.
    let fresh = path.with_extension("new");
    let open = || {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let _ = std::fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&fresh, path)?;
        Ok(listener)
    };
    open().map_err(|source| BindError::Io { path: path.to_owned(), source })
}

/// Somebody who waits for what comes of a reload: what changed, or why nothing did.
pub type ReloadOrder = oneshot::Sender<Result<Reloaded, String>>;

/// The mirrors that can be asked, which come and go with the configuration; and who reads that anew.
#[derive(Clone, Debug)]
pub struct Registry {
    mirrors: Arc<RwLock<BTreeMap<String, Handle>>>,
    reloads: mpsc::Sender<ReloadOrder>,
    /// How often mirrors came or went.
    changes: Arc<watch::Sender<u64>>,
}

impl Registry {
    /// With these mirrors; whoever wants a reload is sent over `reloads`.
    pub fn new(mirrors: BTreeMap<String, Handle>, reloads: mpsc::Sender<ReloadOrder>) -> Self {
        Self { mirrors: Arc::new(RwLock::new(mirrors)), reloads, changes: Arc::new(watch::Sender::new(0)) }
    }

    /// Adds a mirror, or takes the place of one of this name.
    pub fn add(&self, name: String, handle: Handle) {
        self.mirrors.write().unwrap_or_else(PoisonError::into_inner).insert(name, handle);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Forgets a mirror.
    pub fn remove(&self, name: &str) {
        self.mirrors.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Changes whenever a mirror comes or goes.
    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The mirror of this name.
    pub fn get(&self, name: &str) -> Option<Handle> {
        self.mirrors.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All, by name.
    pub fn all(&self) -> BTreeMap<String, Handle> {
        self.mirrors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers on `listener` until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: UnixListener, mirrors: Registry, stop: CancellationToken) -> io::Result<()> {
    let routes = routes(mirrors);
    tokio::select! {
        result = axum::serve(listener, routes) => result,
        () = stop.cancelled() => Ok(()),
    }
}

/// What is answered to which request.
pub fn routes(mirrors: Registry) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(events::events))
        .route("/v1/reload", post(reload))
        .route("/v1/metrics", get(metrics::metrics))
        .route("/v1/mirrors/{name}/approve", post(approve))
        .route("/v1/mirrors/{name}/overwrite", post(overwrite_all))
        .route("/v1/mirrors/{name}/overwrite/{*path}", post(overwrite))
        .route("/v1/mirrors/{name}/reject", post(reject))
        .route("/v1/mirrors/{name}/account", get(paths::account))
        .route("/v1/mirrors/{name}/undo", post(undo))
        .route("/v1/mirrors/{name}/pause", post(orders::pause))
        .route("/v1/mirrors/{name}/resume", post(orders::resume))
        .route("/v1/mirrors/{name}/retry", post(orders::retry))
        .route("/v1/mirrors/{name}/queue", get(orders::queue))
        .route("/v1/mirrors/{name}/log", get(orders::log))
        .with_state(mirrors)
}

async fn status(State(mirrors): State<Registry>) -> Json<Status> {
    Json(told_all(&mirrors))
}

/// What all of them say of themselves.
fn told_all(mirrors: &Registry) -> Status {
    let mirrors = mirrors.all().values().map(told).collect();
    Status { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id(), mirrors }
}

async fn reload(State(mirrors): State<Registry>) -> Response {
    let (answer, answered) = oneshot::channel();
    let sent = mirrors.reloads.send(answer).await.is_ok();
    match answered.await {
        Ok(Ok(reloaded)) if sent => Json(reloaded).into_response(),
        Ok(Err(why)) => refuse(StatusCode::CONFLICT, why),
        _ => refuse(StatusCode::SERVICE_UNAVAILABLE, "the daemon does not read its configuration any more: it ends".to_owned()),
    }
}

/// What a mirror says of itself. One that ended says nothing any more, and what it said last is not so for ever.
fn told(handle: &Handle) -> MirrorStatus {
    let mut status = MirrorStatus::clone(&handle.status.borrow());
    if handle.commands.is_closed() && status.phase != Phase::Stopped {
        status.phase = Phase::Stopped;
        status.stopped = Some("the mirror does not run any more; see the log".to_owned());
    }
    status
}

async fn approve(State(mirrors): State<Registry>, Param(name): Param<String>) -> Response {
    decide(&mirrors, &name, Command::Approve, |deletes| Json(Approved { deletes }).into_response()).await
}

async fn reject(State(mirrors): State<Registry>, Param(name): Param<String>) -> Response {
    decide(&mirrors, &name, Command::Reject, |files| Json(Rejected { files }).into_response()).await
}

async fn decide(
    mirrors: &Registry,
    name: &str,
    command: fn(oneshot::Sender<Result<u64, ApproveError>>) -> Command,
    done: fn(u64) -> Response,
) -> Response {
    let Some(handle) = mirrors.get(name) else { return unknown(mirrors, name) };
    match ask(&handle, command).await {
        Some(Ok(files)) => done(files),
        Some(Err(e)) => refuse(StatusCode::CONFLICT, e.to_string()),
        None => gone(name),
    }
}

fn unknown(mirrors: &Registry, name: &str) -> Response {
    let known = mirrors.all().into_keys().collect::<Vec<_>>().join(", ");
    refuse(StatusCode::NOT_FOUND, format!("there is no mirror called {name:?}; there is: {known}"))
}

/// Tells the mirror and waits for its answer; nothing when it does not run.
async fn ask<T>(handle: &Handle, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
    let (tx, rx) = oneshot::channel();
    // What could not be sent holds `tx`: kept, the answer would be waited for for ever.
    let sent = handle.commands.send(command(tx)).await.map_err(drop);
    rx.await.ok().filter(|_| sent.is_ok())
}

fn gone(name: &str) -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, format!("the mirror {name:?} is not running"))
}

async fn overwrite_all(mirrors: State<Registry>, Param(name): Param<String>) -> Response {
    overwriting(mirrors, name, None).await
}

async fn overwrite(mirrors: State<Registry>, Param((name, path)): Param<(String, String)>) -> Response {
    match RelPath::new(&path) {
        Ok(path) => overwriting(mirrors, name, Some(path)).await,
        Err(e) => refuse(StatusCode::BAD_REQUEST, format!("{path:?} is no path in a mirror: {e}")),
    }
}

async fn overwriting(State(mirrors): State<Registry>, name: String, path: Option<RelPath>) -> Response {
    let Some(handle) = mirrors.get(&name) else { return unknown(&mirrors, &name) };
    match ask(&handle, |answer| Command::Overwrite(path, answer)).await {
        Some(paths) => Json(Overwritten { paths }).into_response(),
        None => gone(&name),
    }
}

async fn undo(State(mirrors): State<Registry>, Param(name): Param<String>, Json(asked): Json<UndoRequest>) -> Response {
    let Some(handle) = mirrors.get(&name) else { return unknown(&mirrors, &name) };
    let path = match asked.path.map(RelPath::new).transpose() {
        Ok(path) => path,
        Err(e) => return refuse(StatusCode::BAD_REQUEST, e.to_string()),
    };
    let undo = Undo { path, since: asked.since, versions: asked.versions };
    match ask(&handle, |answer| Command::Undo { undo, dry_run: asked.dry_run, answer }).await {
        Some(Ok(found)) => Json(Undone::from(found)).into_response(),
        Some(Err(e)) => refuse(StatusCode::CONFLICT, e.to_string()),
        None => gone(&name),
    }
}

fn refuse(code: StatusCode, error: String) -> Response {
    (code, Json(Refusal { error })).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        index::Tally,
        mirror::{Pause, Queue},
    };

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_replaces_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(bind(&path).unwrap());
        let listener = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind(&path), Err(BindError::InUse(_))));
        drop(listener);
    }

    #[tokio::test]
    async fn a_missing_directory_is_made_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("run/towline");
        drop(bind(&runtime.join("control.sock")).unwrap());
        assert_eq!(std::fs::metadata(&runtime).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[tokio::test]
    async fn the_longest_path_that_is_allowed_works() {
        let dir = tempfile::tempdir().unwrap();
        let longest = if cfg!(target_os = "macos") { 103 } else { 107 };
        let fill = longest - dir.path().as_os_str().len() - "//control.sock".len();
        let path = dir.path().join("x".repeat(fill)).join("control.sock");
        assert_eq!(path.as_os_str().len(), longest);
        drop(bind(&path).unwrap());
    }

    #[tokio::test]
    async fn status_and_refusals_come_over_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (_status, rx) =
            tokio::sync::watch::channel(Arc::new(MirrorStatus { name: "site".into(), ..MirrorStatus::default() }));
        let (commands, mut inbox) = tokio::sync::mpsc::channel(1);
        let stop = CancellationToken::new();
        let handles = BTreeMap::from([("site".to_owned(), Handle { status: rx, commands })]);
        let (reloads, mut reloading) = mpsc::channel::<ReloadOrder>(1);
        let server = tokio::spawn(serve(bind(&path).unwrap(), Registry::new(handles, reloads), stop.clone()));
        let mirror = tokio::spawn(async move {
            while let Some(command) = inbox.recv().await {
                match command {
                    Command::Approve(answer) => drop(answer.send(Err(ApproveError::NothingHalted))),
                    Command::Reject(answer) => drop(answer.send(Ok(7))),
                    Command::Account { answer, .. } => drop(answer),
                    Command::Turn(answer) => drop(answer),
                    Command::Overwrite(_, answer) => drop(answer.send(0)),
                    Command::Pause(span, answer) => drop(answer.send(Pause::new(UnixMillis(5), span))),
                    Command::Resume(answer) => drop(answer.send(true)),
                    Command::Retry(path, answer) => drop(answer.send(if path.is_none() { 4 } else { 1 })),
                    Command::Queue(limit, answer) => {
                        let tally = Tally { pending_files: limit as u64, ..Tally::default() };
                        let _ = answer.send(Queue { mirror: "site".to_owned(), tally, ..Queue::default() });
                    }
                    Command::Log { answer, .. } => drop(answer.send(Vec::new())),
                    Command::Undo { undo, dry_run, answer } => {
                        let trashed = undo.path.map(|path| Trashed { path, size: 7, at: UnixMillis(5), replaces: true });
                        let _ = answer.send(Ok(trashed.into_iter().filter(|_| dry_run).collect()));
                    }
                }
            }
        });
        let client = client::Client::new(&path);
        assert_eq!(client.status().await.unwrap().mirrors[0].name, "site");
        let refused = client.approve("site").await.unwrap_err().to_string();
        assert_eq!(refused, "nothing waits for an approval");
        assert_eq!(client.reject("site").await.unwrap().files, 7);
        let unknown = client.approve("no such").await.unwrap_err().to_string();
        assert_eq!(unknown, "there is no mirror called \"no such\"; there is: site");
        let mut asked = UndoRequest { path: Some(b"a\xff".to_vec()), dry_run: true, ..UndoRequest::default() };
        let list = vec![Trashed { path: "a\\xff".to_owned(), size: 7, at: UnixMillis(5), replaces: true }];
        assert_eq!(client.undo("site", &asked).await.unwrap(), Undone { files: 1, bytes: 7, list });
        let pause = client.pause("site", Some(Duration::from_secs(2))).await.unwrap();
        assert_eq!(pause, Pause { since: UnixMillis(5), until: Some(UnixMillis(2_005)) });
        assert_eq!(client.pause("site", None).await.unwrap().until, None);
        assert!(client.resume("site").await.unwrap().was_paused);
        assert_eq!(client.retry("site", None).await.unwrap().paths, 4);
        assert_eq!(client.retry("site", RelPath::new(b"a\xff").ok().as_ref()).await.unwrap().paths, 1);
        assert_eq!(client.queue("site", 7).await.unwrap().tally.pending_files, 7);
        assert_eq!(client.log("site", 3, 9).await.unwrap(), []);
        assert!(matches!(client.log("no such", 3, 9).await, Err(client::ClientError::NoSuchMirror(_))));
        asked.path = Some(b"../a".to_vec());
        assert_eq!(client.undo("site", &asked).await.unwrap_err().to_string(), "a path component is `.` or `..`");
        assert!(matches!(client.undo("no such", &asked).await, Err(client::ClientError::NoSuchMirror(_))));
        for said in [Ok(Reloaded { started: vec!["new".to_owned()], ..Reloaded::default() }), Err("a wrong line".to_owned())] {
            let told = said.clone();
            let daemon = async { reloading.recv().await.unwrap().send(told).unwrap() };
            let (answer, ()) = tokio::join!(client.reload(), daemon);
            assert_eq!(answer.map_err(|e| e.to_string()), said);
        }
        drop(reloading);
        assert!(client.reload().await.unwrap_err().to_string().contains("it ends"));
        stop.cancel();
        server.await.unwrap().unwrap();
        mirror.abort();
    }

    #[tokio::test]
    async fn each_change_is_an_event_and_so_is_a_mirror_that_comes_or_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let says = |phase| Arc::new(MirrorStatus { name: "site".into(), phase, ..MirrorStatus::default() });
        let (status, rx) = tokio::sync::watch::channel(says(Phase::Starting));
        let (commands, inbox) = tokio::sync::mpsc::channel(1);
        let site = Handle { status: rx, commands };
        let registry = Registry::new(BTreeMap::from([("site".to_owned(), site.clone())]), mpsc::channel(1).0);
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(bind(&path).unwrap(), registry.clone(), stop.clone()));
        let mut events = client::Client::new(&path).events().await.unwrap();
        let mut next = async || {
            let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await.expect("an event").unwrap().unwrap();
            event.mirrors.iter().map(|mirror| mirror.phase).collect::<Vec<_>>()
        };
        assert_eq!(next().await, [Phase::Starting], "how it is comes at once");
        status.send_replace(says(Phase::Scanning));
        assert_eq!(next().await, [Phase::Scanning]);
        // Of what happens between two events the last is told.
        let begun = tokio::time::Instant::now();
        for _ in 0..50 {
            status.send_replace(says(Phase::Syncing));
        }
        status.send_replace(says(Phase::InSync));
        while next().await != [Phase::InSync] {}
        assert!(begun.elapsed() >= APART, "events are apart");
        registry.add("zweite".to_owned(), site.clone());
        assert_eq!(next().await, [Phase::InSync, Phase::InSync]);
        registry.remove("site");
        assert_eq!(next().await, [Phase::InSync]);
        drop(inbox);
        assert_eq!(next().await, [Phase::Stopped], "one that ended says nothing by itself");
        stop.cancel();
        server.await.unwrap().unwrap();
    }

    /// Found by fuzzing: the command that could not be sent was kept, and with it the way for an answer.
    #[tokio::test]
    async fn a_mirror_that_is_gone_is_told_and_not_waited_for() {
        let (_status, status) = tokio::sync::watch::channel(Arc::new(MirrorStatus::default()));
        let (commands, _) = tokio::sync::mpsc::channel(1);
        let mirrors = Registry::new(BTreeMap::from([("gone".to_owned(), Handle { status, commands })]), mpsc::channel(1).0);
        let answer = tokio::time::timeout(Duration::from_secs(60), approve(State(mirrors), Param("gone".to_owned())));
        assert_eq!(answer.await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_mirror_that_ended_is_not_in_sync_for_ever() {
        let last = MirrorStatus { phase: Phase::InSync, ..MirrorStatus::default() };
        let (_status, status) = tokio::sync::watch::channel(Arc::new(last));
        let (commands, inbox) = tokio::sync::mpsc::channel(1);
        let handle = Handle { status, commands };
        assert_eq!(told(&handle).phase, Phase::InSync);
        drop(inbox);
        assert_eq!(told(&handle).phase, Phase::Stopped);
        assert!(told(&handle).stopped.is_some());
    }
}
