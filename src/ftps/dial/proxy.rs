//! TCP through a proxy: SOCKS5 or HTTP CONNECT. It resolves the server's name itself, and sees nothing but TLS.
//!
//! Own code, of need: an FTP server speaks first, so that its greeting may come right behind the proxy's answer, and what is
//! read must end with that answer to the byte. (`hyper-util` 0.1.21 drops what is behind it; `tokio-socks` 0.5.3 does not, but
//! needs a second `thiserror`, and leaves the password in its buffer.)

mod http;
mod socks5;

use std::{fmt, io, time::Duration};

use secrecy::SecretString;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::{place, race};
use crate::ftps::error::Wait;

/// A proxy for control and data connections.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Host name or IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password, where it wants them. They reach it in clear.
    pub user: Option<(String, SecretString)>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS5 (RFC 1928), with a user and a password (RFC 1929) or without.
    Socks5,
    /// HTTP CONNECT (RFC 9110 §9.3.6), with Basic authentication (RFC 7617) or without.
    Http,
}

/// A proxy that is no help, and why.
#[derive(Debug)]
pub struct ProxyError {
    /// Which, as `socks5 HOST:PORT` or `http HOST:PORT`.
    pub proxy: String,
    /// Why.
    pub failure: ProxyFailure,
}

/// What can go wrong with a proxy.
#[derive(Debug)]
pub enum ProxyFailure {
    /// There is no connection to it.
    Unreachable(io::Error),
    /// It took too long to answer: [`Wait::Proxy`].
    Late,
    /// The connection broke before it had answered.
    Broken(io::Error),
    /// What it answered is not the protocol.
    OtherProtocol,
    /// It wants user and password, and none are configured.
    AuthNeeded,
    /// It does not take them.
    AuthRefused,
    /// They cannot be sent.
    Unsendable(&'static str),
    /// It would not or could not connect to the server; in its words.
    Refused(String),
}

impl Proxy {
    /// Connects to `port` of `host`. `limit` is for each address of the proxy, and then for its answer.
    pub(super) async fn connect(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, ProxyError> {
        let failed = |failure| ProxyError { proxy: self.to_string(), failure };
        let stream = race::connect(&self.host, self.port, limit).await;
        let mut stream = stream.map_err(|error| failed(ProxyFailure::Unreachable(error)))?;
        let answer = timeout(limit, self.ask(&mut stream, host, port)).await;
        answer.unwrap_or(Err(ProxyFailure::Late)).map_err(failed)?;
        Ok(stream)
    }

    /// Asks on a stream that leads to the proxy; what comes after its answer is left in the stream.
    async fn ask<S>(&self, stream: &mut S, host: &str, port: u16) -> Result<(), ProxyFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let user = self.user.as_ref().map(|(user, password)| (user.as_str(), password));
        match self.kind {
            ProxyKind::Socks5 => socks5::connect(stream, host, port, user).await,
            ProxyKind::Http => http::connect(stream, host, port, user).await,
        }
    }
}

impl ProxyError {
    /// What an operator can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.failure {
            ProxyFailure::Unreachable(_) | ProxyFailure::Late => "check host and port in `proxy`",
            ProxyFailure::OtherProtocol => "check `proxy`: `socks5` and `http` are two protocols, and neither is over TLS",
            ProxyFailure::AuthNeeded => "the proxy wants an account: set `user` and `password` in `proxy`",
            ProxyFailure::AuthRefused | ProxyFailure::Unsendable(_) => "check `user` and `password` in `proxy`",
            ProxyFailure::Refused(_) => {
                "let the proxy connect to the server's control port and to its data ports; many HTTP proxies allow 443 alone"
            }
            ProxyFailure::Broken(_) => return None,
        })
    }

    /// Whether the account on the proxy is the matter.
    pub fn is_auth(&self) -> bool {
        matches!(self.failure, ProxyFailure::AuthNeeded | ProxyFailure::AuthRefused | ProxyFailure::Unsendable(_))
    }
}

impl From<io::Error> for ProxyFailure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Through [`super::Dial`], whose errors are of the network.
impl From<ProxyError> for io::Error {
    fn from(error: ProxyError) -> Self {
        Self::other(error)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Http => "http",
        };
        write!(f, "{kind} {}", place(&self.host, self.port))
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = &self.proxy;
        match &self.failure {
            ProxyFailure::Unreachable(error) => write!(f, "cannot connect to the proxy ({proxy}): {error}"),
            ProxyFailure::Late => write!(f, "the proxy ({proxy}) did not answer in time: {}", Wait::Proxy),
            ProxyFailure::Broken(error) => write!(f, "the proxy ({proxy}) broke off: {error}"),
            ProxyFailure::OtherProtocol => write!(f, "the proxy ({proxy}) answered in another protocol"),
            ProxyFailure::AuthNeeded => write!(f, "the proxy ({proxy}) wants user and password"),
            ProxyFailure::AuthRefused => write!(f, "the proxy ({proxy}) refused user or password"),
            ProxyFailure::Unsendable(why) => write!(f, "user or password cannot be sent to the proxy ({proxy}): {why}"),
            ProxyFailure::Refused(words) => write!(f, "the proxy ({proxy}) did not connect to the server: {words}"),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.failure {
            ProxyFailure::Unreachable(error) | ProxyFailure::Broken(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
