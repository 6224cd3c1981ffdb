//! Where byte streams come from: TCP here, pipes in tests. No TLS yet.

use std::{future::Future, io, net::IpAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// At most this many addresses of a host are tried.
const MAX_ADDRESSES: usize = 8;
/// A peer that does not acknowledge bytes for this long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// Opens byte streams to one server.
pub trait Dial: Send + Sync + 'static {
    /// What it opens.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one.
    ///
    /// # Errors
    /// Of the network; [`io::ErrorKind::TimedOut`] when nobody answered.
    fn dial(&self, to: Target) -> impl Future<Output = io::Result<Dialed<Self::Stream>>> + Send;

    /// Where to, for messages.
    fn name(&self) -> String;
}

/// Which connection is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The control connection.
    Control,
    /// A data connection to the peer of a control connection.
    Data {
        /// That peer; what a server says of addresses is ignored.
        peer: IpAddr,
        /// The port that the server named.
        port: u16,
    },
}

/// An open stream and whom it leads to.
#[derive(Debug)]
pub struct Dialed<S> {
    /// The stream.
    pub stream: S,
    /// The other end.
    pub peer: IpAddr,
}

/// Dials by TCP.
#[derive(Clone, Debug)]
pub struct TcpDial {
    host: String,
    port: u16,
    connect: Duration,
}

impl TcpDial {
    /// To this host, with a limit for each of its addresses.
    pub fn new(host: impl Into<String>, port: u16, connect: Duration) -> Self {
        Self { host: host.into(), port, connect }
    }

    async fn try_one(&self, address: std::net::SocketAddr) -> io::Result<Dialed<TcpStream>> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {address} within {:?}", self.connect));
        let stream = timeout(self.connect, TcpStream::connect(address)).await.map_err(|_| late())??;
        // What follows only makes failures show sooner; a system that lacks it still works.
        let _ = stream.set_nodelay(true);
        watch_over(&stream);
        Ok(Dialed { stream, peer: address.ip() })
    }
}

impl Dial for TcpDial {
    type Stream = TcpStream;

    async fn dial(&self, to: Target) -> io::Result<Dialed<TcpStream>> {
        let port = match to {
            Target::Data { peer, port } => return self.try_one((peer, port).into()).await,
            Target::Control => self.port,
        };
        let late =
            || io::Error::new(io::ErrorKind::TimedOut, format!("no answer from the name service within {:?}", self.connect));
        let addresses = timeout(self.connect, lookup_host((self.host.as_str(), port))).await.map_err(|_| late())??;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses.take(MAX_ADDRESSES) {
            match self.try_one(address).await {
                Ok(dialed) => return Ok(dialed),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Keepalive, so that a connection that only waits notices a dead peer; and a limit for bytes that nobody acknowledges.
fn watch_over(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = sockopt::set_socket_keepalive(stream, true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let _ = sockopt::set_tcp_keepidle(stream, DEAD_AFTER / 2);
        let _ = sockopt::set_tcp_keepintvl(stream, DEAD_AFTER / 6);
        let _ = sockopt::set_tcp_keepcnt(stream, 3);
        let _ = sockopt::set_tcp_user_timeout(stream, u32::try_from(DEAD_AFTER.as_millis()).unwrap_or(u32::MAX));
    }
}
