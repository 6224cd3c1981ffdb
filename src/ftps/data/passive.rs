//! Asking the server for a data port. EPSV first; PASV where EPSV is refused, or where its ports cannot be reached.

use std::{net::IpAddr, sync::atomic::Ordering};

use crate::ftps::{
    dial::{Dial, Target},
    endpoint::{Connection, Endpoint},
    error::Error,
    profile::Passive,
    proto::{Command, address},
};

/// How the data connection will come about.
pub(super) enum Way<S> {
    /// It is there already.
    Connected(S),
    /// By dialing this port, while the command is on its way.
    Port(u16),
}

/// Asks for a port. Until a way is known to work, it is also dialed before the command is sent: a command whose data
/// connection fails leaves the server waiting, a mere EPSV does not.
pub(super) async fn find<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
) -> Result<Way<D::Stream>, Error> {
    let passive = endpoint.profile().passive;
    let asked = ask(connection, passive).await;
    if endpoint.passive_works.load(Ordering::Relaxed) {
        return asked.map(Way::Port);
    }
    let peer = connection.peer;
    let first = match asked {
        Ok(port) => dial(endpoint, peer, port).await,
        Err(error) => Err(error),
    };
    let stream = match first {
        Ok(stream) => stream,
        // An address that answers TCP on one port and not on another is a matter of firewalls: PASV ports may be open.
        Err(error)
            if passive == Passive::Epsv && (error.leaves_connection_usable() || matches!(error, Error::Connect { .. })) =>
        {
            let port = ask(connection, Passive::Pasv).await?;
            let stream = dial(endpoint, peer, port).await?;
            endpoint.learn(|profile| profile.passive = Passive::Pasv);
            stream
        }
        Err(error) => return Err(error),
    };
    endpoint.passive_works.store(true, Ordering::Relaxed);
    Ok(Way::Connected(stream))
}

/// Connects to a data port of the control connection's peer.
pub(super) async fn dial<D: Dial>(endpoint: &Endpoint<D>, peer: IpAddr, port: u16) -> Result<D::Stream, Error> {
    match endpoint.dial.dial(Target::Data { peer, port }).await {
        Ok(dialed) => Ok(dialed.stream),
        Err(source) => {
            endpoint.passive_works.store(false, Ordering::Relaxed);
            Err(Error::Connect { to: format!("data port {port}"), source })
        }
    }
}

async fn ask<S>(connection: &mut Connection<S>, passive: Passive) -> Result<u16, Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let (command, code) = match passive {
        Passive::Epsv => (Command::Epsv, 229),
        Passive::Pasv => (Command::Pasv, 227),
    };
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
