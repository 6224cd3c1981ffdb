//! One server as all its connections share it: how to reach it, who we are, what was learnt; and the login.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;
use tracing::debug;

use super::{
    control::{Control, Timeouts},
    dial::{Dial, Dialed, Target},
    error::{Error, Wait},
    heard::{Heard, Overheard},
    mode::DataMode,
    policy,
    profile::{Profile, Tls13},
    proto::{
        Encoding, Features, Reply,
        login::{Credentials, Login, LoginError, Mode, Step},
    },
    throttle::Throttle,
    tls::{self, Context, Stats, Tls, TlsError, TlsSettings},
};

/// Is told each time something was learnt about the server.
pub type OnLearn = Arc<dyn Fn(&Profile) + Send + Sync>;

/// A server may count a session that has ended for so long: ProFTPD said 530 to the next one right behind the last good-bye.
const LINGER: Duration = Duration::from_secs(5);

/// A server and an account on it.
pub struct Endpoint<D> {
    pub(super) dial: D,
    pub(super) tls: Tls,
    pub(super) timeouts: Timeouts,
    pub(super) stats: Stats,
    /// Whether a data connection came about with the passive mode in the profile, in this process.
    pub(super) passive_works: AtomicBool,
    /// Data connections of uploads in a row, since one was lost.
    pub(super) borne_in_rows: AtomicU32,
    /// Whether PORT was refused and EPRT was not, in this process.
    pub(super) port_refused: AtomicBool,
    /// How data connections come about.
    pub(super) data: DataMode,
    /// What they may carry; `None` is as much as they can.
    pub(super) throttle: Option<Arc<Throttle>>,
    mode: Mode,
    credentials: Credentials,
    profile: Mutex<Profile>,
    on_learn: OnLearn,
    /// Held while `on_learn` runs, so that what it is told last is what is known last.
    learning: Mutex<()>,
    /// Held by whoever probes the server.
    pub(super) probing: tokio::sync::Mutex<()>,
    logins: Arc<Logins>,
}

/// The logins of one account in this process.
#[derive(Default)]
struct Logins {
    /// Up or under way.
    all: AtomicUsize,
    /// All that ever began.
    begun: AtomicUsize,
    /// Up.
    up: AtomicUsize,
    /// When the last one that had been let in ended.
    left: Mutex<Option<Instant>>,
}

/// A control connection with TLS, and what came last below it.
type Encrypted<S> = (TlsStream<Overheard<S>>, Heard);

/// A logged-in control connection.
pub(super) struct Connection<S> {
    pub(super) control: Control<TlsStream<Overheard<S>>>,
    /// The server; `None` behind a proxy.
    pub(super) peer: Option<IpAddr>,
    /// This end of the connection; `None` where the server cannot connect to it.
    pub(super) local: Option<IpAddr>,
    pub(super) context: Context,
    /// The first that the server said.
    pub(super) greeting: Reply,
    pub(super) features: Features,
    pub(super) is_13: bool,
    pub(super) tickets_at_login: bool,
    pub(super) born: Instant,
    pub(super) transfers: u32,
    /// So often what was asked behind a body was answered before that was over.
    pub(super) too_soon: u32,
    /// The data port of the next transfer, if it was asked for already.
    pub(super) ahead: Option<Ahead>,
    _up: Up,
}

/// A data port that was asked for before it was needed.
pub(super) struct Ahead {
    pub(super) port: u16,
    pub(super) asked: Instant,
}

impl<D: Dial> Endpoint<D> {
    /// A server that `dial` leads to; `host` is the name that its certificate must have, unless the settings say another.
    ///
    /// # Errors
    /// When the TLS settings cannot work.
    pub fn new(
        dial: D,
        host: &str,
        credentials: Credentials,
        tls: &TlsSettings,
        timeouts: Timeouts,
        profile: Profile,
        on_learn: OnLearn,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            tls: Tls::new(tls, host)?,
            dial,
            timeouts,
            stats: Stats::default(),
            passive_works: AtomicBool::new(false),
            borne_in_rows: AtomicU32::new(0),
            port_refused: AtomicBool::new(false),
            data: DataMode::default(),
            throttle: None,
            mode: Mode::default(),
            credentials,
            profile: Mutex::new(profile),
            on_learn,
            learning: Mutex::new(()),
            probing: tokio::sync::Mutex::default(),
            logins: Arc::default(),
        })
    }

    /// The same with other ways to connect than the usual ones.
    #[must_use]
    pub fn connecting(self, mode: Mode, data: DataMode) -> Self {
        Self { mode, data, ..self }
    }

    /// The same with a limit to what all its data connections carry together.
    #[must_use]
    pub fn throttled(self, throttle: Option<Arc<Throttle>>) -> Self {
        Self { throttle, ..self }
    }

    /// What was learnt so far.
    pub fn profile(&self) -> Profile {
        *self.profile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handshakes so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(super) fn learn(&self, change: impl FnOnce(&mut Profile)) {
        let _in_order = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        let now = {
            let mut profile = self.profile.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *profile;
            change(&mut profile);
            if *profile == before {
                return;
            }
            *profile
        };
        debug!(target: "towline::ftps", server = self.dial.name(), ?now, "learnt about the server");
        (self.on_learn)(&now);
    }

    /// How paths become bytes for this server.
    pub(super) fn encoding(&self) -> Encoding {
        Encoding { telnet_doubled: self.profile().names.ff_doubled == Some(true) }
    }

    /// How TLS starts.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Counts a login from now on.
    pub(super) fn up(&self) -> Up {
        Up::new(&self.logins)
    }

    /// Learns the limit on logins, if this was one: where none is up, it was not.
    fn turned_away(&self) {
        match self.logins.up.load(Ordering::Relaxed) {
            0 => {}
            up => self.learn(|profile| profile.learn_limit(up)),
        }
    }

    /// Connects and logs in, with the TLS versions that are known to work.
    pub(super) async fn log_in(&self) -> Result<Connection<D::Stream>, Error> {
        let Profile { tls13, in_order, .. } = self.profile();
        let (up_to_12, goes_ahead) = (policy::offers_up_to_12(tls13), in_order == Some(true));
        // Boxed: a login is large, and lies in all that may need another one.
        let login = |up_to_12, goes_ahead| Box::pin(self.log_in_with(up_to_12, goes_ahead));
        let result = match login(up_to_12, goes_ahead).await {
            Err(Error::Tls(TlsError::Version(_))) if up_to_12 && self.tls.allows_12() => {
                self.learn(|profile| profile.tls13 = Tls13::Only);
                login(false, goes_ahead).await
            }
            // It may be another server by now, or another version of it.
            Err(error) if goes_ahead && may_be_confused(&error) => {
                let result = login(up_to_12, false).await;
                // One that just goes may have been restarted.
                if result.is_ok() && matches!(error, Error::Login { .. }) {
                    self.learn(|profile| profile.in_order = Some(false));
                }
                result
            }
            result => result,
        };
        match &result {
            Err(Error::TurnedAway) => self.turned_away(),
            Err(Error::Login { source: LoginError::Busy(reply) | LoginError::Refused(reply), .. })
                if matches!(reply.code, 421 | 530) =>
            {
                self.turned_away();
            }
            _ => {}
        }
        result
    }

    /// Logs in once. Where it `goes_ahead`, what must follow is sent along with what it follows.
    async fn log_in_with(&self, up_to_12: bool, goes_ahead: bool) -> Result<Connection<D::Stream>, Error> {
        let mut up = self.up();
        let mut login = Login::new(self.credentials.clone(), self.mode);
        let dialed = self.dial.dial(Target::Control).await;
        let Dialed { stream, peer, local } = dialed.map_err(|source| Error::of_dial(self.dial.name(), source))?;

        let mut context = self.tls.context(up_to_12);
        let (stream, heard, mut first, mut step) = match self.mode {
            Mode::Explicit => {
                let (stream, first) = self.ask_for_tls(stream, &mut login, &up).await?;
                let (stream, heard) = Overheard::new(stream);
                (self.handshake(&mut context, stream).await?, heard, Some(first), login.encrypted())
            }
            Mode::Implicit => {
                let (stream, heard) = self.tls_at_once(&mut context, stream, &up).await?;
                (stream, heard, None, Step::Wait)
            }
        };
        Stats::count(&self.stats.control);
        let is_13 = tls::is_13(&stream);

        let mut control = Control::new(stream, self.timeouts).hearing(heard);
        let mut ahead = 0;
        let features = loop {
            let reply = match step {
                // It is out already.
                Step::Send(_) if ahead > 0 => {
                    ahead -= 1;
                    control.reply().await?
                }
                Step::Send(command) => {
                    control.send(&command).await?;
                    if goes_ahead {
                        let commands = login.ahead();
                        control.send_on(&commands).await?;
                        ahead = commands.len();
                    }
                    control.reply().await?
                }
                Step::Wait => greeting(&mut control, &up).await?,
                Step::Ready(features) => break features,
                Step::StartTls => return Err(Error::OutOfStep),
            };
            if first.is_none() {
                first = Some(reply.clone());
            }
            step = login.on_reply(reply).map_err(|source| Error::Login { source, others: up.others() })?;
        };
        let tickets_at_login = context.tickets_received() > 0;
        let born = Instant::now();
        up.is_in();
        self.learn(|profile| profile.learn_up(self.logins.up.load(Ordering::Relaxed)));
        control.set_encoding(self.encoding());
        Ok(Connection {
            control,
            peer,
            local,
            context,
            greeting: first.ok_or(Error::OutOfStep)?,
            features,
            is_13,
            tickets_at_login,
            born,
            transfers: 0,
            too_soon: 0,
            ahead: None,
            _up: up,
        })
    }

    /// What is said in clear in explicit mode, up to the server's consent to TLS; and the first that it said.
    pub(super) async fn ask_for_tls(&self, stream: D::Stream, login: &mut Login, up: &Up) -> Result<(D::Stream, Reply), Error> {
        let mut clear = Control::new(stream, self.timeouts);
        let mut reply = greeting(&mut clear, up).await?;
        let first = reply.clone();
        loop {
            let step = login.on_reply(reply).map_err(|source| Error::Login { source, others: up.others() })?;
            reply = match step {
                Step::Send(command) => clear.command(&command).await.map_err(|error| match login.unanswered() {
                    Some(source) => Error::Login { source, others: up.others() },
                    None => error,
                })?,
                Step::Wait => greeting(&mut clear, up).await?,
                Step::StartTls => return Ok((clear.into_tls()?, first)),
                Step::Ready(_) => return Err(Error::OutOfStep),
            };
        }
    }

    /// TLS before the greeting. A server that turns connections away says so in clear (vsftpd), or just goes.
    async fn tls_at_once(&self, context: &mut Context, stream: D::Stream, up: &Up) -> Result<Encrypted<D::Stream>, Error> {
        let (stream, heard) = Overheard::new(stream);
        let error = match self.handshake(context, stream).await {
            Err(error) => error,
            Ok(stream) => return Ok((stream, heard)),
        };
        let others = up.others();
        Err(match heard.greeting() {
            Some(reply) if reply.code == 421 => Error::Login { source: LoginError::Busy(reply), others },
            Some(reply) if reply.is_negative() => Error::Login { source: LoginError::Greeting(reply), others },
            Some(reply) => Error::ClearGreeting(reply),
            None if others && is_gone(&error) => Error::TurnedAway,
            None => error,
        })
    }

    async fn handshake<S>(&self, context: &mut Context, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = timeout(self.timeouts.reply, context.control(stream));
        Ok(handshake.await.map_err(|_| Error::Timeout(Wait::Handshake))??)
    }
}

/// Whether a server that heard several commands at once may have meant this.
fn may_be_confused(error: &Error) -> bool {
    let odd = |source: &LoginError| {
        matches!(
            source,
            LoginError::NoProtection { .. } | LoginError::ProtectionAfterLogin { .. } | LoginError::Unexpected { .. }
        )
    };
    match error {
        Error::Login { source, .. } => odd(source),
        Error::Closed { .. } | Error::Unasked(_) => true,
        _ => false,
    }
}

/// Waits for the greeting. A server that just goes while another login is up has enough of them.
async fn greeting<S>(control: &mut Control<S>, up: &Up) -> Result<Reply, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    control.greeting().await.map_err(|error| match error {
        Error::Closed { .. } if up.others() => Error::TurnedAway,
        Error::Closed { last: None, .. } => Error::NoGreeting,
        error => error,
    })
}

/// Whether a handshake failed because the server has gone. Our first bytes, which it never read, may have reset the
/// connection.
fn is_gone(error: &Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error {
        Error::Tls(TlsError::Io(error)) => matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof),
        _ => false,
    }
}

/// Counts a login while it is under way or up.
pub(super) struct Up {
    logins: Arc<Logins>,
    /// How many had begun with this one.
    number: usize,
    /// Others were up or under way when it began.
    met: bool,
    is_in: bool,
}

impl Up {
    fn new(logins: &Arc<Logins>) -> Self {
        let met = logins.all.fetch_add(1, Ordering::Relaxed) > 0;
        let number = logins.begun.fetch_add(1, Ordering::Relaxed) + 1;
        Self { logins: logins.clone(), number, met, is_in: false }
    }

    /// The server let it in.
    fn is_in(&mut self) {
        self.is_in = true;
        self.logins.up.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there were others at any moment of it, or had been one a moment before: then a refusal may be a limit on
    /// their number. (Where the password is wrong, they are tried again at different times, and the first that finds itself
    /// alone says so.)
    fn others(&self) -> bool {
        let left = *self.logins.left.lock().unwrap_or_else(PoisonError::into_inner);
        let others_began = self.logins.begun.load(Ordering::Relaxed) > self.number;
        self.met || others_began || left.is_some_and(|at| at.elapsed() < LINGER)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.logins.all.fetch_sub(1, Ordering::Relaxed);
        if self.is_in {
            self.logins.up.fetch_sub(1, Ordering::Relaxed);
            *self.logins.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}
