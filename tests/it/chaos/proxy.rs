//! A TCP proxy that does harm when told to: one fault, at one byte. It knows nothing of FTP or TLS and rewrites nothing: it listens on
//! the server's own ports at another address, so that a passive port is the same on both sides.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// What passes at once on a slow connection, and how long the next waits.
const TRICKLE: (usize, Duration) = (512, Duration::from_millis(10));
/// How long what comes behind a cut is still read, so that it ends as a FIN and not as a reset.
const DRAIN: Duration = Duration::from_secs(2);

/// What is done to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It ends, in both directions, as if each side had closed it.
    Cut,
    /// It is reset.
    Reset,
    /// One direction holds still until the proxy is healed; then what waited goes on.
    Stall,
    /// One direction gets slow until the proxy is healed.
    Slow,
    /// One bit of the byte is another one.
    Flip,
}

impl Harm {
    pub const ALL: [Self; 5] = [Self::Cut, Self::Reset, Self::Stall, Self::Slow, Self::Flip];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Control,
    Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// To Towline.
    Down,
}

/// One fault: at the `at`th byte that passes this way on these connections after it was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub harm: Harm,
    pub lane: Lane,
    pub way: Way,
    pub at: u64,
}

/// A running proxy; it ends with all its connections when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    listeners: Vec<AbortHandle>,
}

struct Shared {
    state: Mutex<State>,
    /// How often it was healed.
    healed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    armed: Option<Fault>,
    /// Bytes that passed the armed fault's way since.
    passed: u64,
    fired: bool,
}

impl Proxy {
    /// Where it listens.
    pub const HOST: &str = "127.0.0.2";

    /// Starts one before the server that has these ports on 127.0.0.1.
    pub async fn start(control: u16, passive: RangeInclusive<u16>) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), healed: watch::Sender::new(0) });
        let mut listeners = Vec::new();
        for (lane, port) in passive.map(|port| (Lane::Data, port)).chain([(Lane::Control, control)]) {
            let listener = TcpListener::bind((Self::HOST, port)).await.unwrap();
            listeners.push(tokio::spawn(listen(Arc::clone(&shared), lane, listener, port)).abort_handle());
        }
        Self { shared, listeners }
    }

    /// From now on bytes are counted towards this fault.
    pub fn arm(&self, fault: Fault) {
        *self.shared.state() = State { armed: Some(fault), ..State::default() };
    }

    /// Whether the armed fault happened.
    pub fn has_fired(&self) -> bool {
        self.shared.state().fired
    }

    /// How many bytes passed the armed fault's way.
    pub fn passed(&self) -> u64 {
        self.shared.state().passed
    }

    /// No more harm: what stalls or is slow goes on.
    pub fn heal(&self) {
        self.shared.state().armed = None;
        self.shared.healed.send_modify(|n| *n += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listeners.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `n` bytes; where the armed fault is among them, says what and how many come before it.
    fn harms(&self, lane: Lane, way: Way, n: usize) -> Option<(Harm, usize)> {
        let mut state = self.state();
        let fault = state.armed.filter(|fault| (fault.lane, fault.way) == (lane, way))?;
        let before = state.passed;
        state.passed += n as u64;
        if state.fired || state.passed <= fault.at {
            return None;
        }
        state.fired = true;
        Some((fault.harm, usize::try_from(fault.at - before).unwrap()))
    }
}

/// How a connection ends other than by itself.
enum End {
    Cut,
    Reset,
}

async fn listen(shared: Arc<Shared>, lane: Lane, listener: TcpListener, port: u16) {
    // The connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let server = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
            match server {
                Ok(server) => carry(&shared, lane, client, server).await,
                Err(_) => drop(set_socket_linger(&client, Some(Duration::ZERO))),
            }
        });
    }
}

async fn carry(shared: &Shared, lane: Lane, mut client: TcpStream, mut server: TcpStream) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let up = pump(shared, lane, Way::Up, from_client, to_server);
        let down = pump(shared, lane, Way::Down, from_server, to_client);
        tokio::try_join!(up, down)
    };
    match ended {
        Ok(_) => {}
        Err(End::Reset) => {
            for stream in [&client, &server] {
                let _ = set_socket_linger(stream, Some(Duration::ZERO));
            }
        }
        Err(End::Cut) => {
            let _ = (client.shutdown().await, server.shutdown().await);
            let mut sinks = (tokio::io::sink(), tokio::io::sink());
            let drained =
                async { tokio::join!(tokio::io::copy(&mut client, &mut sinks.0), tokio::io::copy(&mut server, &mut sinks.1)) };
            let _ = tokio::time::timeout(DRAIN, drained).await;
        }
    }
}

async fn pump(shared: &Shared, lane: Lane, way: Way, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), End> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let n = from.read(&mut buffer).await.map_err(|_| End::Reset)?;
        if n == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        let mut chunk = &mut buffer[..n];
        if let Some((harm, before)) = shared.harms(lane, way, n) {
            let mut healed = shared.healed.subscribe();
            match harm {
                Harm::Flip => chunk[before] ^= 1 << (before % 8),
                Harm::Cut | Harm::Reset | Harm::Stall => {
                    let (first, rest) = chunk.split_at_mut(before);
                    to.write_all(first).await.map_err(|_| End::Reset)?;
                    chunk = rest;
                    match harm {
                        Harm::Cut => return Err(End::Cut),
                        Harm::Reset => return Err(End::Reset),
                        _ => drop(healed.changed().await),
                    }
                }
                Harm::Slow => {
                    to.write_all(chunk).await.map_err(|_| End::Reset)?;
                    trickle(&mut from, &mut to, &mut healed).await?;
                    continue;
                }
            }
        }
        to.write_all(chunk).await.map_err(|_| End::Reset)?;
    }
}

/// Passes a little at a time until the proxy is healed or the connection ends.
async fn trickle(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, healed: &mut watch::Receiver<u64>) -> Result<(), End> {
    let mut few = vec![0; TRICKLE.0];
    while !healed.has_changed().unwrap_or(true) {
        let n = tokio::select! {
            read = from.read(&mut few) => read.map_err(|_| End::Reset)?,
            _ = healed.changed() => return Ok(()),
        };
        if n == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        to.write_all(&few[..n]).await.map_err(|_| End::Reset)?;
        tokio::time::sleep(TRICKLE.1).await;
    }
    Ok(())
}
