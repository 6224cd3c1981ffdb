//! Asking the server for a data port, by EPSV or PASV; where one fails, by the other. Which may be asked for is decided in
//! `mode`.

use std::{net::IpAddr, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::Way;
use crate::ftps::{
    dial::{Dial, Target},
    endpoint::{Ahead, Connection, Endpoint},
    error::{Error, Wait},
    profile::Passive,
    proto::{Command, Reply, address},
};

/// A port that was asked for ahead is used within this time; servers close one that nobody comes to.
const FRESH: Duration = Duration::from_secs(5);
/// So many data connections of uploads in a row, and none lost, show that a server bears them.
const MANY: u32 = 100;

/// Asks for a port. Until a way is known to work, it is also dialed before the command is sent: a command whose data
/// connection fails leaves the server waiting, a mere EPSV does not.
pub(super) async fn find<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
) -> Result<Way<D::Stream>, Error> {
    if let Some(ahead) = connection.ahead.take()
        && ahead.asked.elapsed() < FRESH
        && endpoint.passive_works.load(Ordering::Relaxed)
    {
        return Ok(Way::Ahead(ahead.port));
    }
    let peer = connection.peer;
    let over_ipv6 = peer.is_some_and(|peer| peer.is_ipv6());
    let ways = endpoint.data.passive(endpoint.profile().passive, over_ipv6);
    let mut failed: Option<Error> = None;
    for way in ways {
        let error = match ask(connection, *way).await {
            // The first way is the one that is known to work.
            Ok(port) if failed.is_none() && endpoint.passive_works.load(Ordering::Relaxed) => return Ok(Way::Port(port)),
            Ok(port) => match dial(endpoint, peer, port).await {
                Ok(stream) => {
                    if failed.as_ref().is_some_and(is_for_good) {
                        endpoint.learn(|profile| profile.passive = *way);
                    }
                    endpoint.passive_works.store(true, Ordering::Relaxed);
                    return Ok(Way::Connected(stream));
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        // An address that answers TCP on one port and not on another is a matter of firewalls: the ports of the other way
        // may be open.
        if !(error.leaves_connection_usable() || error.is_unreachable()) {
            return Err(error);
        }
        failed = Some(match failed {
            // That the other way is not known here either says less.
            Some(first) if first.is_unreachable() && !error.is_unreachable() => first,
            _ => error,
        });
    }
    Err(failed.unwrap_or(Error::PasvOverIpv6))
}

/// What asks for the port of the transfer after this one; `None` while no way is known to work, or this server did not bear it.
pub(in crate::ftps) fn ahead<D: Dial>(endpoint: &Endpoint<D>, connection: &Connection<D::Stream>) -> Option<Command> {
    if !endpoint.passive_works.load(Ordering::Relaxed) || endpoint.profile().rows == Some(false) {
        return None;
    }
    let over_ipv6 = connection.peer.is_some_and(|peer| peer.is_ipv6());
    endpoint.data.passive(endpoint.profile().passive, over_ipv6).first().map(|way| command(*way).0)
}

/// Keeps the port that the server named in its reply to what [`ahead`] asked. A refusal is not met again.
pub(in crate::ftps) fn port_ahead<D: Dial>(endpoint: &Endpoint<D>, connection: &mut Connection<D::Stream>, reply: &Reply) {
    let port = match reply.code {
        229 => address::epsv_port(reply),
        227 => address::pasv_port(reply),
        _ => return endpoint.learn(|profile| profile.rows = Some(false)),
    };
    connection.ahead = port.ok().map(|port| Ahead { port, asked: Instant::now() });
}

/// Learns from what became of a data connection in a row of uploads, whose port was asked for ahead, or whose command came right
/// behind others: pyftpdlib 1.5.7 loses some of them. One that is lost among many may have other causes.
pub(super) fn judge_row<D: Dial>(endpoint: &Endpoint<D>, error: Option<&Error>) {
    let Some(error) = error else {
        if endpoint.borne_in_rows.fetch_add(1, Ordering::Relaxed) + 1 == MANY {
            endpoint.learn(|profile| profile.rows = Some(true));
        }
        return;
    };
    let is_lost = matches!(error, Error::Connect { .. } | Error::Tls(_) | Error::Timeout(Wait::DataHandshake));
    if (is_lost || error.is_data_refused()) && endpoint.borne_in_rows.swap(0, Ordering::Relaxed) < MANY {
        endpoint.learn(|profile| profile.rows = Some(false));
    }
}

fn command(passive: Passive) -> (Command, u16) {
    match passive {
        Passive::Epsv => (Command::Epsv, 229),
        Passive::Pasv => (Command::Pasv, 227),
    }
}

/// Whether a way has failed in a manner that is worth remembering.
fn is_for_good(error: &Error) -> bool {
    match error {
        Error::Refused { reply, .. } => !reply.is_transient(),
        error => error.is_unreachable(),
    }
}

/// Connects to a data port of the control connection's peer.
pub(super) async fn dial<D: Dial>(endpoint: &Endpoint<D>, peer: Option<IpAddr>, port: u16) -> Result<D::Stream, Error> {
    match endpoint.dial.dial(Target::Data { peer, port }).await {
        Ok(dialed) => Ok(dialed.stream),
        Err(source) => {
            endpoint.passive_works.store(false, Ordering::Relaxed);
            Err(Error::of_dial(format!("data port {port}"), source))
        }
    }
}

async fn ask<S>(connection: &mut Connection<S>, passive: Passive) -> Result<u16, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (command, code) = command(passive);
    let verb = command.verb();
    let reply = connection.control.command(&command).await?;
    if reply.code != code {
        return Err(if reply.is_negative() { Error::Refused { verb, reply } } else { Error::Unexpected { verb, reply } });
    }
    let port = match passive {
        Passive::Epsv => address::epsv_port(&reply),
        Passive::Pasv => address::pasv_port(&reply),
    };
    // A reply without a port is as good as a refusal.
    port.map_err(|_| Error::Refused { verb, reply })
}
