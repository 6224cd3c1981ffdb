//! What a server that means ill knows and hears: its files, and every byte that reaches it on any of its ports, before TLS and inside.
//! The talking is done by [`super::guest::Guest`].

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use super::{
    guest::Guest,
    identity::Identity,
    scene::{Scene, honest},
};

/// The account's password: must not be heard before TLS.
pub(super) const PASSWORD: &str = "open-sesame-4711-canary";
/// The beginning of each body: must not be heard outside TLS.
pub(super) const MARK: &[u8] = b"MARK-of-a-body-0815-";
/// What is heard of one kind is kept up to here: the rest is more of the same.
const MOST_KEPT: usize = 4 << 20;
/// Small, so that what a server managed to send is what the client took.
const SEND_BUFFER: usize = 64 * 1024;

pub(super) struct House {
    pub(super) port: u16,
    pub(super) third_port: u16,
    pub(super) identity: &'static Identity,
    /// Whether guests meet an honest server for now.
    pub(super) is_honest: AtomicBool,
    /// Paths; `None` is a directory.
    pub(super) files: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
    /// Bytes as they came from the network, of all connections.
    wire: Mutex<Vec<u8>>,
    /// What was inside TLS on control connections.
    inside: Mutex<Vec<u8>>,
    /// What was inside TLS on data connections.
    bodies: Mutex<Vec<u8>>,
    /// Connections to the third host.
    third: AtomicUsize,
    /// Bytes that floods got rid of.
    pub(super) pushed: AtomicU64,
    /// Guests that are still there.
    guests: AtomicUsize,
}

/// Where a tap writes to.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    Wire,
    Inside,
    Bodies,
}

impl House {
    /// Opens the house for `scene`, on ports of its own.
    pub(super) async fn open(scene: &Scene) -> Arc<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let third = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
        let files = ["/mirror", "/mirror/d"].map(|dir| (dir.to_owned(), None));
        let house = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            third_port: third.local_addr().unwrap().port(),
            identity: scene.identity(),
            is_honest: AtomicBool::new(false),
            files: Mutex::new(files.into()),
            wire: Mutex::default(),
            inside: Mutex::default(),
            bodies: Mutex::default(),
            third: AtomicUsize::new(0),
            pushed: AtomicU64::new(0),
            guests: AtomicUsize::new(0),
        });
        let (at_door, script) = (house.clone(), scene.script.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inside = Inside::new(&at_door);
                let script = if at_door.is_honest.load(Ordering::SeqCst) { honest() } else { script.clone() };
                let guest = Guest::new(&at_door, stream);
                tokio::spawn(async move {
                    script(guest).await;
                    drop(inside);
                });
            }
        });
        let at_third = house.clone();
        tokio::spawn(async move {
            while let Ok(reached) = third.accept().await {
                at_third.third.fetch_add(1, Ordering::SeqCst);
                drop(reached);
            }
        });
        house
    }

    pub(super) fn is_empty(&self) -> bool {
        self.guests.load(Ordering::SeqCst) == 0
    }

    pub(super) fn third(&self) -> usize {
        self.third.load(Ordering::SeqCst)
    }

    pub(super) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::SeqCst)
    }

    /// Whether `bytes` were heard of that kind.
    pub(super) fn heard(&self, kind: Kept, bytes: &[u8]) -> bool {
        self.kept(kind).windows(bytes.len()).any(|window| window == bytes)
    }

    /// What was said inside TLS on control connections, for messages.
    pub(super) fn commands(&self) -> String {
        String::from_utf8_lossy(&self.kept(Kept::Inside)).replace(PASSWORD, "(the password)")
    }

    fn kept(&self, kind: Kept) -> MutexGuard<'_, Vec<u8>> {
        let kept = match kind {
            Kept::Wire => &self.wire,
            Kept::Inside => &self.inside,
            Kept::Bodies => &self.bodies,
        };
        kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a guest while it is there.
struct Inside(Arc<House>);

impl Inside {
    fn new(house: &Arc<House>) -> Self {
        house.guests.fetch_add(1, Ordering::SeqCst);
        Self(house.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream whose incoming bytes are kept.
pub(super) struct Tap<S> {
    stream: S,
    house: Arc<House>,
    kind: Kept,
}

impl Tap<TcpStream> {
    /// Right at the network.
    pub(super) fn wire(house: &Arc<House>, stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER).unwrap();
        Self { stream, house: house.clone(), kind: Kept::Wire }
    }

    /// Ends the connection by a reset.
    pub(super) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(std::time::Duration::ZERO)).unwrap();
    }
}

impl<S> Tap<S> {
    /// Around `stream`.
    pub(super) fn new(house: &Arc<House>, stream: S, kind: Kept) -> Self {
        Self { stream, house: house.clone(), kind }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let mut kept = self.house.kept(self.kind);
        if kept.len() < MOST_KEPT {
            kept.extend_from_slice(&buffer.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
