//! Active mode: we listen, tell the server where (PORT, RFC 959 §4.1.2; EPRT, RFC 2428 §2), and take its connection, and nobody
//! else's. Which port and address is decided in `mode`.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::Ordering,
};

use tokio::time::timeout;
use tracing::warn;

use crate::ftps::{
    dial::{Dial, Listen},
    endpoint::{Connection, Endpoint},
    error::{Error, Wait},
    mode::Active,
    proto::Command,
    tls::Stats,
};

/// Listens, and tells the server where.
pub(super) async fn offer<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
    active: &Active,
) -> Result<(Box<dyn Listen<D::Stream>>, IpAddr), Error> {
    let (Some(local), Some(peer)) = (connection.local, connection.peer) else {
        return Err(Error::Lacking("open data connections to us: a proxy is in between"));
    };
    let listener = listen(&endpoint.dial, local, active, fastrand::u16(..)).await.map_err(Error::Listen)?;
    let at = SocketAddr::new(active.announced(local), listener.port());
    let mut refused = None;
    for command in commands(at, endpoint.port_refused.load(Ordering::Relaxed)) {
        let verb = command.verb();
        let reply = connection.control.command(&command).await?;
        if reply.is_positive() {
            if refused.is_some() {
                endpoint.port_refused.store(true, Ordering::Relaxed);
            }
            return Ok((listener, peer));
        }
        if !reply.is_negative() {
            return Err(Error::Unexpected { verb, reply });
        }
        let permanent = reply.is_permanent();
        // What is said of PORT is the reason; EPRT, which comes second, is unknown to many.
        let error = refused.unwrap_or(Error::Refused { verb, reply });
        if !permanent {
            return Err(error);
        }
        refused = Some(error);
    }
    Err(refused.unwrap_or(Error::Lacking("open data connections to us")))
}

/// Takes the server's connection. Others, who may be faster, are dropped.
pub(super) async fn accept<D: Dial>(
    endpoint: &Endpoint<D>,
    mut listener: Box<dyn Listen<D::Stream>>,
    peer: IpAddr,
) -> Result<D::Stream, Error> {
    let servers_own = async {
        let mut warned = false;
        loop {
            match poll_fn(|cx| listener.poll_accept(cx)).await {
                Ok((stream, from)) if from == peer => return Ok(stream),
                Ok((_, from)) => {
                    Stats::count(&endpoint.stats.data_foreign);
                    if !std::mem::replace(&mut warned, true) {
                        warn!(
                            target: "towline::ftps",
                            server = endpoint.dial.name(),
                            %from,
                            "somebody else connected where the server's data connection was awaited, and was turned away"
                        );
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(Error::Listen(error)),
            }
        }
    };
    timeout(endpoint.timeouts.connect, servers_own).await.map_err(|_| Error::Timeout(Wait::Accept))?
}

/// Listens on the first port that is free.
async fn listen<D: Dial>(dial: &D, local: IpAddr, active: &Active, random: u16) -> io::Result<Box<dyn Listen<D::Stream>>> {
    let mut last = io::Error::new(io::ErrorKind::AddrInUse, "there is no port to listen on");
    for port in active.candidates(random) {
        match dial.listen(SocketAddr::new(local, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            result => return result,
        }
    }
    Err(last)
}

/// What to tell the server, in order: every server knows PORT, which knows IPv4 alone.
fn commands(at: SocketAddr, port_refused: bool) -> Vec<Command> {
    let port = match at {
        SocketAddr::V4(at) if !port_refused => Some(Command::Port(at)),
        _ => None,
    };
    port.into_iter().chain([Command::Eprt(at)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_for_ipv4_and_comes_first() {
        let told = |at: &str, port_refused| {
            let commands = commands(at.parse().expect("an address"), port_refused);
            commands.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told("192.0.2.1:50001", false), ["PORT 192,0,2,1,195,81", "EPRT |1|192.0.2.1|50001|"]);
        assert_eq!(told("192.0.2.1:50001", true), ["EPRT |1|192.0.2.1|50001|"]);
        assert_eq!(told("[2001:db8::1]:50001", false), ["EPRT |2|2001:db8::1|50001|"]);
    }
}
