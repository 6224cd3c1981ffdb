//! Data connections: opened, filled or emptied, and closed so that no byte is lost. Everything here was measured; where
//! it looks over-careful, a server in use today loses data without it.

mod active;
mod passive;
mod pump;

use std::{
    net::IpAddr,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::client::TlsStream;

use super::{
    dial::{Dial, Listen},
    endpoint::{Connection, Endpoint},
    error::{Error, Wait},
    mode::DataMode,
    proto::{
        Command, Listing, Reply,
        listing::ListingParser,
        transfer::{Failure, Transfer, Verdict, apart},
    },
    throttle::Pace,
    tls::TlsError,
};
pub(super) use passive::{ahead, port_ahead};
use pump::End;

/// How long tickets on a data connection that is over anyway are waited for.
const GRACE: Duration = Duration::from_secs(2);
/// What is said behind a body waits for this part of a round trip.
const LAG: u32 = 8;
/// A listing that brings fewer bytes than this stands still, however steadily they drip.
const PROGRESS: usize = 1024;

/// Commands that travel with an upload.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// In one flight with its command, right before it: those that have not gone out.
    pub(super) before: Vec<Command>,
    /// What came of those that have; fewer if the connection ended.
    pub(super) told_before: Vec<Reply>,
    /// Behind its last byte, before the server has said that it has it.
    pub(super) behind: Vec<Command>,
    /// What came of those, if the server answered them when it had the upload, and not before.
    pub(super) told_behind: Option<Vec<Reply>>,
}

/// How the data connection will come about.
enum Way<S> {
    /// It is there already.
    Connected(S),
    /// By dialing this port, while the command is on its way.
    Port(u16),
    /// The same, where the port was asked for before the last transfer was over with.
    Ahead(u16),
    /// By the server, which is at this address, once it has the command.
    Awaited(Box<dyn Listen<S>>, IpAddr),
}

struct Opened<S> {
    data: TlsStream<S>,
    /// How long the connection took: about a round trip.
    took: Duration,
    transfer: Transfer,
    /// The last reply, if it overtook the data connection.
    complete: Option<Reply>,
}

/// What ended the body of an upload.
enum Stop {
    /// All was sent, or it broke.
    Pumped(u64, End),
    /// The server would not wait for the end of it.
    Failed(Failure, Reply),
}

/// Sends a body with `command`; gives its length. The bytes are in the server's hands when this returns, and it said so.
/// `first` (REST) goes before the command, which is not sent if that is refused; `beside` goes out in one flight with it, and behind
/// its last byte.
pub(super) async fn upload<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
    beside: &mut Beside,
    first: Option<&Command>,
    command: &Command,
    body: &mut mpsc::Receiver<Bytes>,
) -> Result<u64, Error> {
    let verb = command.verb();
    let leading = std::mem::take(&mut beside.before);
    let opened = open(endpoint, connection, &leading, first, command).await;
    let Opened { mut data, took, mut transfer, complete } = opened?;
    if let Some(reply) = complete {
        return Err(Error::Early(reply));
    }
    let control = &mut connection.control;
    let stall = endpoint.timeouts.stall;

    let stop = {
        let pace = Pace::sending(endpoint.throttle.as_deref());
        let mut pump = pin!(pump::send(&mut data, body, pace, stall));
        loop {
            tokio::select! {
                (sent, end) = &mut pump => break Stop::Pumped(sent, end),
                reply = control.any_reply() => match transfer.on_reply(reply?) {
                    Verdict::Opened => {}
                    Verdict::Complete(reply) => return Err(Error::Early(reply)),
                    Verdict::Failed(failure, reply) => break Stop::Failed(failure, reply),
                },
            }
        }
    };
    let (sent, end) = match stop {
        Stop::Pumped(sent, end) => (sent, end),
        Stop::Failed(failure, reply) => {
            if failure == Failure::DataRefused {
                collect_tickets(&mut data).await;
            }
            return Err(Error::Transfer { verb, failure, reply });
        }
    };
    // close_notify and FIN; then read to the end before the socket goes: an unread ticket would turn the close into a reset,
    // and the server would lose the tail of what it has not read yet (vsftpd 18 of 20; read to the end, 0 of 20).
    let end = match end {
        End::Done => pump::close(&mut data, stall).await,
        end => end,
    };
    if let End::Late(wait) = end {
        return Err(Error::Timeout(wait));
    }
    let behind: &[Command] = if matches!(end, End::Done) { &beside.behind } else { &[] };
    if !behind.is_empty() {
        // It goes another way than the body, and is not to overtake it.
        sleep(took / LAG).await;
        control.send_on(behind).await?;
    }
    let mut rest = pin!(pump::drain(&mut data));
    let mut drained = false;
    let mut told = Vec::new();
    let verdict = loop {
        tokio::select! {
            () = &mut rest, if !drained => drained = true,
            reply = control.final_reply() => match reply {
                Ok(reply) if reply.is_preliminary() => match transfer.on_reply(reply) {
                    Verdict::Opened => {}
                    other => break Ok(other),
                },
                // A server that says good-bye means everything.
                Ok(reply) if reply.code == 421 => break Ok(transfer.on_reply(reply)),
                Ok(reply) => {
                    told.push(reply);
                    if behind.is_empty() {
                        break Ok(transfer.on_reply(told.remove(0)));
                    }
                    if told.len() > behind.len() {
                        break match apart(told) {
                            Ok((ending, replies)) => {
                                beside.told_behind = replies;
                                Ok(transfer.on_reply(ending))
                            }
                            Err(first) => Err(first.map_or(Error::OutOfStep, |reply| Error::Unexpected { verb, reply })),
                        };
                    }
                }
                Err(error) => break Err(error),
            },
        }
    };
    if !drained {
        let _ = timeout(GRACE, rest).await;
    }
    match (verdict, end) {
        (Ok(Verdict::Failed(failure, reply)), _) => Err(Error::Transfer { verb, failure, reply }),
        (_, End::Broken(error)) => Err(Error::data(error)),
        (Err(error), _) => Err(error),
        (Ok(_), _) => Ok(sent),
    }
}

/// Reads a file of `size` bytes into `into`; `came` counts them. Done means: all of them, close_notify, and the server said
/// so. Nothing beyond `size` is handed on.
pub(super) async fn download<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
    command: &Command,
    size: u64,
    into: &mpsc::Sender<Bytes>,
    came: &mut u64,
) -> Result<(), Error> {
    let mut sink = Sink::File { size, into, came: &mut *came };
    let (_, closed) = receive(endpoint, connection, command, &mut sink).await?;
    if !closed {
        // Anybody can have cut it, whatever the server says and however much came.
        return Err(Error::data(std::io::ErrorKind::UnexpectedEof.into()));
    }
    if *came < size { Err(Error::OtherSize { promised: size, came: *came }) } else { Ok(()) }
}

/// A listing, as it came.
pub(super) struct Received {
    pub(super) listing: Listing,
    /// The last reply.
    pub(super) reply: Reply,
    /// The data connection ended as it should: without close_notify anybody can have cut it.
    pub(super) closed: bool,
}

/// Reads a listing into `parser`.
pub(super) async fn list<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
    command: &Command,
    mut parser: ListingParser,
) -> Result<Received, Error> {
    let (reply, closed) = receive(endpoint, connection, command, &mut Sink::Listing(&mut parser)).await?;
    let listing = if closed { parser.finish()? } else { parser.cut() };
    Ok(Received { listing, reply, closed })
}

/// Where the bytes of a data connection go.
enum Sink<'s> {
    Listing(&'s mut ListingParser),
    /// Of a file of `size` bytes, of which so many came.
    File {
        size: u64,
        into: &'s mpsc::Sender<Bytes>,
        came: &'s mut u64,
    },
}

impl Sink<'_> {
    /// Takes these bytes, within `patience`.
    async fn take(&mut self, bytes: &[u8], patience: Duration) -> Result<(), Error> {
        match self {
            Self::Listing(parser) => Ok(parser.feed(bytes)?),
            Self::File { size, into, came } => {
                **came += bytes.len() as u64;
                if **came > *size {
                    return Err(Error::OtherSize { promised: *size, came: **came });
                }
                let taken = timeout(patience, into.send(Bytes::copy_from_slice(bytes))).await;
                taken.map_err(|_| Error::Timeout(Wait::Sink))?.map_err(|_| Error::Abandoned)
            }
        }
    }

    /// Whether the bandwidth is limited for it.
    fn counts(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Bytes that are read at once.
    fn chunk(&self) -> usize {
        match self {
            Self::Listing(_) => 16 * 1024,
            Self::File { .. } => 64 * 1024,
        }
    }
}

/// Takes in what the server sends; gives its last reply, and whether the data connection ended as it should.
async fn receive<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
    command: &Command,
    sink: &mut Sink<'_>,
) -> Result<(Reply, bool), Error> {
    let verb = command.verb();
    let Opened { mut data, mut transfer, mut complete, .. } = open(endpoint, connection, &[], None, command).await?;
    let control = &mut connection.control;
    let stall = endpoint.timeouts.stall;

    let mut pace = Pace::receiving(endpoint.throttle.as_deref().filter(|_| sink.counts()));
    let mut chunk = vec![0; sink.chunk()];
    let (mut stalls_at, mut progress) = (Instant::now() + stall, 0);
    let broken = loop {
        tokio::select! {
            read = timeout_at(stalls_at, data.read(&mut chunk)) => match read {
                Err(_) => return Err(Error::Timeout(Wait::Stall)),
                Ok(Ok(0)) => break None,
                Ok(Ok(read)) => {
                    sink.take(&chunk[..read], stall).await?;
                    progress += read;
                    // Waiting for leave is no stall: the server waits for us.
                    if pace.made_up_for(read).await || progress >= PROGRESS {
                        (stalls_at, progress) = (Instant::now() + stall, 0);
                    }
                }
                Ok(Err(error)) => break Some(error),
            },
            reply = control.any_reply(), if !transfer.has_ended() => match transfer.on_reply(reply?) {
                Verdict::Opened => {}
                Verdict::Complete(reply) => complete = Some(reply),
                Verdict::Failed(failure, reply) => return Err(Error::Transfer { verb, failure, reply }),
            },
        }
    };
    // vsftpd and ProFTPD keep their last reply until this side is closed, too.
    let _ = timeout(stall, data.shutdown()).await;
    drop(data);
    let reply = loop {
        if let Some(reply) = complete {
            break reply;
        }
        match transfer.on_reply(control.final_reply().await?) {
            Verdict::Opened => {}
            Verdict::Complete(reply) => complete = Some(reply),
            Verdict::Failed(failure, reply) => return Err(Error::Transfer { verb, failure, reply }),
        }
    };
    match broken {
        Some(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok((reply, false)),
        Some(error) => Err(Error::data(error)),
        None => Ok((reply, true)),
    }
}

/// Asks for a port, sends the command, connects and encrypts meanwhile: a server may wait with its 150 for the connection,
/// so that waiting for the 150 first would wait for ever. Whoever connects, we are the TLS client (RFC 4217 §7).
async fn open<D: Dial>(
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
    leading: &[Command],
    first: Option<&Command>,
    command: &Command,
) -> Result<Opened<D::Stream>, Error> {
    let way = match &endpoint.data {
        DataMode::Active(active) => {
            let (listener, peer) = active::offer(endpoint, connection, active).await?;
            Way::Awaited(listener, peer)
        }
        _ => passive::find(endpoint, connection).await?,
    };
    let in_a_row = matches!(way, Way::Ahead(_)) || !leading.is_empty();
    let opened = open_by(way, endpoint, connection, leading, first, command).await;
    if in_a_row {
        passive::judge_row(endpoint, opened.as_ref().err());
    }
    opened
}

async fn open_by<D: Dial>(
    way: Way<D::Stream>,
    endpoint: &Endpoint<D>,
    connection: &mut Connection<D::Stream>,
    leading: &[Command],
    first: Option<&Command>,
    command: &Command,
) -> Result<Opened<D::Stream>, Error> {
    let verb = command.verb();
    let Connection { control, context, peer, .. } = connection;
    if let Some(first) = first {
        let reply = control.command(first).await?;
        if !reply.is_intermediate() {
            return Err(Error::Refused { verb: first.verb(), reply });
        }
    }
    control.send_behind(leading, command).await?;
    connection.transfers += 1;
    // A server that cannot connect says 425 as well as one that refuses the TLS session.
    let connected = &AtomicBool::new(!matches!(way, Way::Awaited(..)));
    let failed = |failure, reply| match failure {
        Failure::DataRefused if !connected.load(Ordering::Relaxed) => Error::NotReached(reply),
        failure => Error::Transfer { verb, failure, reply },
    };
    let opening = async {
        let begun = Instant::now();
        let tcp = match way {
            Way::Connected(stream) => stream,
            Way::Port(port) | Way::Ahead(port) => passive::dial(endpoint, *peer, port).await?,
            Way::Awaited(listener, peer) => active::accept(endpoint, listener, peer).await?,
        };
        connected.store(true, Ordering::Relaxed);
        let took = begun.elapsed();
        let handshake = timeout(endpoint.timeouts.reply, context.data(tcp, &endpoint.stats));
        Ok((handshake.await.map_err(|_| Error::Timeout(Wait::DataHandshake))??, took))
    };
    let mut opening = pin!(opening);
    let mut transfer = Transfer::new();
    let mut complete = None;
    let opened: Result<(TlsStream<D::Stream>, Duration), Error> = loop {
        tokio::select! {
            opened = &mut opening => break opened,
            reply = control.any_reply(), if !transfer.has_ended() => match transfer.on_reply(reply?) {
                Verdict::Opened => {}
                Verdict::Complete(reply) => complete = Some(reply),
                Verdict::Failed(failure, reply) => {
                    let error = failed(failure, reply);
                    if error.is_data_refused()
                        && let Ok(Ok((mut data, _))) = timeout(GRACE, &mut opening).await
                    {
                        collect_tickets(&mut data).await;
                    }
                    return Err(error);
                }
            },
        }
    };
    let error = match opened {
        Ok((data, took)) => return Ok(Opened { data, took, transfer, complete }),
        Err(error) => error,
    };
    // If it was the server that broke it off, it has a reply that says more: ProFTPD closes the port right behind its 550,
    // and the connect may meet the one before the other is read.
    let patience = match error {
        Error::Tls(TlsError::Io(_) | TlsError::Failed(_) | TlsError::Version(_) | TlsError::ClientRefused(_)) => {
            endpoint.timeouts.reply
        }
        // A port that a firewall blocks, there or here: one side waits for the other in vain, and the server says nothing
        // for long.
        Error::Connect { .. } | Error::Proxy(_) | Error::Timeout(Wait::Accept) => GRACE,
        _ => return Err(error),
    };
    let last_word = async {
        while !transfer.has_ended() {
            if let Verdict::Failed(failure, reply) = transfer.on_reply(control.final_reply().await?) {
                return Err(failed(failure, reply));
            }
        }
        Ok(())
    };
    if let Ok(Err(refused @ (Error::Transfer { .. } | Error::NotReached(_)))) = timeout(patience, last_word).await {
        return Err(refused);
    }
    Err(error)
}

/// Reads a refused data connection to its end: the tickets of its handshake let the next one resume.
async fn collect_tickets<S>(data: &mut TlsStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let _ = timeout(GRACE, pump::drain(data)).await;
}
