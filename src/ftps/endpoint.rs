//! One server as all its connections share it: how to reach it, who we are, what was learnt; and the login.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;
use tracing::debug;

use super::{
    control::{Control, Timeouts},
    dial::{Dial, Target},
    error::{Error, Wait},
    policy,
    profile::{Profile, Tls13},
    proto::{
        Features,
        login::{Credentials, Login, Step},
    },
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
    credentials: Credentials,
    profile: Mutex<Profile>,
    on_learn: OnLearn,
    /// Held while `on_learn` runs, so that what it is told last is what is known last.
    learning: Mutex<()>,
    logins: Arc<Logins>,
}

/// The logins of one account in this process.
#[derive(Default)]
struct Logins {
    /// Up or under way.
    count: AtomicUsize,
    /// When the last one that had been let in ended.
    left: Mutex<Option<Instant>>,
}

/// A logged-in control connection.
pub(super) struct Connection<S> {
    pub(super) control: Control<TlsStream<S>>,
    pub(super) peer: std::net::IpAddr,
    pub(super) context: Context,
    pub(super) features: Features,
    pub(super) is_13: bool,
    pub(super) tickets_at_login: bool,
    pub(super) born: Instant,
    pub(super) transfers: u32,
    _up: Up,
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
            credentials,
            profile: Mutex::new(profile),
            on_learn,
            learning: Mutex::new(()),
            logins: Arc::default(),
        })
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

    /// Connects and logs in, with the TLS versions that are known to work.
    pub(super) async fn log_in(&self) -> Result<Connection<D::Stream>, Error> {
        let up_to_12 = policy::offers_up_to_12(self.profile().tls13);
        match self.log_in_with(up_to_12).await {
            Err(Error::Tls(TlsError::Version(_))) if up_to_12 && self.tls.allows_12() => {
                self.learn(|profile| profile.tls13 = Tls13::Only);
                self.log_in_with(false).await
            }
            result => result,
        }
    }

    async fn log_in_with(&self, up_to_12: bool) -> Result<Connection<D::Stream>, Error> {
        let mut up = Up::new(&self.logins);
        let mut login = Login::new(self.credentials.clone());
        let failed = |source| Error::Login { source, others: up.others() };
        let dialed = self.dial.dial(Target::Control).await;
        let dialed = dialed.map_err(|source| Error::Connect { to: self.dial.name(), source })?;

        let mut clear = Control::new(dialed.stream, self.timeouts);
        let mut reply = clear.greeting().await.map_err(|error| match error {
            Error::Closed { .. } if up.others() => Error::TurnedAway,
            error => error,
        })?;
        loop {
            reply = match login.on_reply(reply).map_err(failed)? {
                Step::Send(command) => clear.command(&command).await?,
                Step::Wait => clear.greeting().await?,
                Step::StartTls => break,
                Step::Ready(_) => return Err(Error::OutOfStep),
            };
        }

        let mut context = self.tls.context(up_to_12);
        let handshake = timeout(self.timeouts.reply, context.control(clear.into_tls()?));
        let stream = handshake.await.map_err(|_| Error::Timeout(Wait::Handshake))??;
        Stats::count(&self.stats.control);
        let is_13 = tls::is_13(&stream);

        let mut control = Control::new(stream, self.timeouts);
        let mut step = login.encrypted();
        let features = loop {
            let reply = match step {
                Step::Send(command) => control.command(&command).await?,
                Step::Wait => control.reply().await?,
                Step::Ready(features) => break features,
                Step::StartTls => return Err(Error::OutOfStep),
            };
            step = login.on_reply(reply).map_err(failed)?;
        };
        up.let_in = true;
        let tickets_at_login = context.tickets_received() > 0;
        let (peer, born) = (dialed.peer, Instant::now());
        Ok(Connection { control, peer, context, features, is_13, tickets_at_login, born, transfers: 0, _up: up })
    }
}

/// Counts a login while it is under way or up.
struct Up {
    logins: Arc<Logins>,
    let_in: bool,
}

impl Up {
    fn new(logins: &Arc<Logins>) -> Self {
        logins.count.fetch_add(1, Ordering::Relaxed);
        Self { logins: logins.clone(), let_in: false }
    }

    /// Whether there are others, or were a moment ago: then a refused login may be a limit on their number. (Where the
    /// password is wrong, the last of them finds itself alone and says so.)
    fn others(&self) -> bool {
        let left = *self.logins.left.lock().unwrap_or_else(PoisonError::into_inner);
        self.logins.count.load(Ordering::Relaxed) > 1 || left.is_some_and(|at| at.elapsed() < LINGER)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.logins.count.fetch_sub(1, Ordering::Relaxed);
        if self.let_in {
            *self.logins.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}
