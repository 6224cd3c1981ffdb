//! A remote that leads to a scripted server, and bodies to store there.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    ftps::{
        DataMode, Mode, Profile, Throttle, Timeouts, TlsSettings, Trust,
        testing::{Heard, Pipe, Server},
    },
    model::RelPath,
    remote::{
        Remote, RemoteError, Session, Source,
        ftps::{FtpsRemote, FtpsSession, FtpsSettings},
    },
};

/// A remote that trusts the server by its key.
pub(super) fn remote_to(server: Server) -> (FtpsRemote<Pipe>, Heard) {
    let settings = pinned(&server);
    remote_as(server, settings)
}

/// A remote that connects in these ways.
pub(super) fn remote_by(server: Server, mode: Mode, data: DataMode) -> (FtpsRemote<Pipe>, Heard) {
    let settings = FtpsSettings { mode, data, ..pinned(&server) };
    remote_as(server, settings)
}

/// A remote that carries no more than `throttle` lets through.
pub(super) fn remote_limited(server: Server, throttle: Option<Arc<Throttle>>) -> (FtpsRemote<Pipe>, Heard) {
    let settings = FtpsSettings { throttle, ..pinned(&server) };
    remote_as(server, settings)
}

/// A remote that trusts as `tls` says.
pub(super) fn remote_with(server: Server, tls: TlsSettings) -> (FtpsRemote<Pipe>, Heard) {
    remote_as(server, settings(tls))
}

/// A remote of whose server this is known.
pub(super) fn remote_knowing(server: Server, profile: Profile) -> (FtpsRemote<Pipe>, Heard) {
    let (heard, settings) = (server.heard(), pinned(&server));
    let remote = FtpsRemote::with_dial(Pipe(server), settings, profile, Arc::new(|_| {})).expect("settings");
    (remote, heard)
}

/// Trust in the server by its key.
fn pinned(server: &Server) -> FtpsSettings {
    settings(TlsSettings { trust: Trust::Pin, pins: vec![server.pin()], ..TlsSettings::default() })
}

/// Where a download goes, and how many bytes came when it is over.
pub(super) fn counted() -> (mpsc::Sender<Bytes>, JoinHandle<usize>) {
    let (into, mut pieces) = mpsc::channel::<Bytes>(2);
    let receiving = tokio::spawn(async move {
        let mut came = 0;
        while let Some(piece) = pieces.recv().await {
            came += piece.len();
        }
        came
    });
    (into, receiving)
}

pub(super) fn settings(tls: TlsSettings) -> FtpsSettings {
    FtpsSettings {
        host: "ftp.test".to_owned(),
        port: 21,
        mode: Mode::default(),
        data: DataMode::default(),
        proxy: None,
        user: "me".to_owned(),
        password: "secret".to_owned().into(),
        base: b"/".to_vec(),
        tls,
        timeouts: Timeouts::default(),
        throttle: None,
    }
}

fn remote_as(server: Server, settings: FtpsSettings) -> (FtpsRemote<Pipe>, Heard) {
    let heard = server.heard();
    let remote = FtpsRemote::with_dial(Pipe(server), settings, Profile::default(), Arc::new(|_| {})).expect("settings");
    (remote, heard)
}

/// A body in memory; counts how often it was started.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) opened: usize,
}

impl Body {
    pub(super) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), opened: 0 }
    }
}

impl Source for Body {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        self.opened += 1;
        let (sender, receiver) = mpsc::channel(2);
        let mut rest = Bytes::from(self.bytes.clone());
        tokio::spawn(async move {
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(8 * 1024));
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

/// Logs in.
pub(super) async fn connected(remote: &FtpsRemote<Pipe>) -> FtpsSession<Pipe> {
    remote.connect().await.expect("a login")
}

/// Tries to log in in vain.
pub(super) async fn refused(remote: &FtpsRemote<Pipe>) -> RemoteError {
    remote.connect().await.err().expect("no login")
}

/// Tries to store in vain.
pub(super) async fn store_fails(session: &mut FtpsSession<Pipe>, length: usize) -> RemoteError {
    let path = RelPath::new(".tmp").expect("valid");
    session.store(&path, &mut Body::new(vec![7; length])).await.expect_err("no upload")
}
