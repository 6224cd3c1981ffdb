//! Where byte streams come from: TCP here, straight or through a proxy; pipes in tests. No TLS yet.

pub mod proxy;
mod race;

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use proxy::Proxy;

/// A peer that does not acknowledge bytes for this long is dead. With the time that telling takes, it is noticed within 30 s.
const DEAD_AFTER: Duration = Duration::from_secs(25);

/// Opens byte streams to one server.
pub trait Dial: Send + Sync + 'static {
    /// What it opens.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one.
    ///
    /// # Errors
    /// Of the network; [`io::ErrorKind::TimedOut`] when nobody answered. What went wrong with a proxy is inside, as a
    /// [`proxy::ProxyError`].
    fn dial(&self, to: Target) -> impl Future<Output = io::Result<Dialed<Self::Stream>>> + Send;

    /// Waits at `at` for streams that the server opens (active mode); port 0 is any.
    ///
    /// # Errors
    /// Of the network; [`io::ErrorKind::Unsupported`] where nobody can connect to us.
    fn listen(&self, at: SocketAddr) -> impl Future<Output = io::Result<Box<dyn Listen<Self::Stream>>>> + Send {
        let _ = at;
        async { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// Where to, for messages.
    fn name(&self) -> String;
}

/// Waits for streams; whoever knows the address can open one.
pub trait Listen<S>: Send {
    /// The port that was taken.
    fn port(&self) -> u16;

    /// The next stream, and who opened it.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(S, IpAddr)>>;
}

/// Which connection is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The control connection.
    Control,
    /// A data connection to the peer of a control connection.
    Data {
        /// That peer; what a server says of addresses is ignored. `None` where a proxy knows it: then the same name is dialed.
        peer: Option<IpAddr>,
        /// The port that the server named.
        port: u16,
    },
}

/// An open stream and whom it leads to.
#[derive(Debug)]
pub struct Dialed<S> {
    /// The stream.
    pub stream: S,
    /// The other end; `None` behind a proxy, which alone knows it.
    pub peer: Option<IpAddr>,
    /// This end; `None` where the server cannot connect to it.
    pub local: Option<IpAddr>,
}

/// Dials by TCP.
#[derive(Clone, Debug)]
pub struct TcpDial {
    host: String,
    port: u16,
    connect: Duration,
    proxy: Option<Proxy>,
}

impl TcpDial {
    /// To this host, with a limit for each of its addresses.
    pub fn new(host: impl Into<String>, port: u16, connect: Duration) -> Self {
        Self { host: host.into(), port, connect, proxy: None }
    }

    /// The same through a proxy, if there is one. It has the same limit once more for its answer.
    #[must_use]
    pub fn through(mut self, proxy: Option<Proxy>) -> Self {
        self.proxy = proxy;
        self
    }
}

impl Dial for TcpDial {
    type Stream = TcpStream;

    async fn dial(&self, to: Target) -> io::Result<Dialed<TcpStream>> {
        let (peer, port) = match to {
            Target::Control => (None, self.port),
            Target::Data { peer, port } => (peer, port),
        };
        if let Some(proxy) = &self.proxy {
            let stream = proxy.connect(&self.host, port, self.connect).await?;
            return Ok(Dialed { stream, peer: None, local: None });
        }
        let stream = match peer {
            Some(peer) => race::connect_one((peer, port).into(), self.connect).await?,
            None => race::connect(&self.host, port, self.connect).await?,
        };
        let (peer, local) = (stream.peer_addr()?.ip(), stream.local_addr()?.ip());
        Ok(Dialed { stream, peer: Some(peer.to_canonical()), local: Some(local.to_canonical()) })
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listen<TcpStream>>> {
        let listener = TcpListener::bind(at).await?;
        let port = listener.local_addr()?.port();
        Ok(Box::new(TcpListen { listener, port }))
    }

    fn name(&self) -> String {
        place(&self.host, self.port)
    }
}

struct TcpListen {
    listener: TcpListener,
    port: u16,
}

impl Listen<TcpStream> for TcpListen {
    fn port(&self) -> u16 {
        self.port
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, IpAddr)>> {
        let (stream, from) = ready!(self.listener.poll_accept(cx))?;
        watch_over(&stream);
        Poll::Ready(Ok((stream, from.ip().to_canonical())))
    }
}

/// `host:port`, with brackets around an IPv6 address.
fn place(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// No delays; keepalive, so that a connection that only waits notices a dead peer; and a limit for bytes that nobody
/// acknowledges. All this only makes failures show sooner; a system that lacks it still works.
fn watch_over(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let _ = sockopt::set_tcp_keepidle(stream, DEAD_AFTER / 2);
        let _ = sockopt::set_tcp_keepintvl(stream, DEAD_AFTER / 6);
        let _ = sockopt::set_tcp_keepcnt(stream, 3);
        let _ = sockopt::set_tcp_user_timeout(stream, u32::try_from(DEAD_AFTER.as_millis()).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::Ipv4Addr};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn places() {
        assert_eq!(place("ftp.test", 21), "ftp.test:21");
        assert_eq!(place("::1", 990), "[::1]:990");
    }

    #[tokio::test]
    async fn both_ends_are_known_and_can_listen() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = server.local_addr().expect("bound").port();
        let dial = TcpDial::new("127.0.0.1", port, Duration::from_secs(5));
        let dialed = dial.dial(Target::Control).await.expect("connected");
        let here = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!((dialed.peer, dialed.local), (Some(here), Some(here)));

        let mut listen = dial.listen((here, 0).into()).await.expect("a port");
        let mut calling = TcpStream::connect((here, listen.port())).await.expect("connected");
        let (mut called, from) = poll_fn(|cx| listen.poll_accept(cx)).await.expect("accepted");
        assert_eq!(from, here);
        calling.write_all(b"x").await.expect("written");
        assert_eq!(called.read_u8().await.expect("read"), b'x');
        let busy = dial.listen((here, listen.port()).into()).await.err().expect("taken");
        assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    }
}
