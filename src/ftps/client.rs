//! A conversation with one server in verbs: connect, store, rename, look. It keeps what was learnt and reconnects where the
//! choice of TLS versions demands it; what a failure means for the mirror is decided above.

mod changes;
mod copy;
mod ending;
mod fetch;
mod find;
mod list;
mod rename;
mod site;
mod sum;
pub(super) mod times;

pub use changes::Change;
pub use ending::{Concluded, Stored, Wanted};

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};
use tracing::debug;

use super::{
    data::{self, Beside},
    dial::Dial,
    endpoint::{Connection, Endpoint},
    error::Error,
    policy::{self, Next, Seen},
    profile::Tls13,
    proto::{Command, Encoding, Extra, ListedKind, Pathname, Reply, listing::Keep},
    tls::Stats,
};

/// A control connection is given up for a fresh one after this long; ProFTPD's TLS sessions last 15,840 s.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// ... or after this many transfers.
const MAX_TRANSFERS: u32 = 2_000;
/// More bytes than this in one flight stall some servers,
const FLIGHT: usize = 4096;
/// and no more commands than this go out in one.
const IN_FLIGHT: usize = 32;
/// How long a good-bye may take.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// A logged-in conversation.
pub struct Client<D: Dial> {
    pub(super) endpoint: Arc<Endpoint<D>>,
    /// Boxed: two TLS states would otherwise lie in every future that holds a client.
    pub(super) connection: Box<Connection<D::Stream>>,
    /// Ways to list that this server has refused.
    refused: list::Refused,
    /// What a rename left half-way is not mended: it may be somebody else's, and under way.
    looks_only: bool,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// A file, a directory, or something else.
    pub kind: ListedKind,
    /// Bytes, for a file.
    pub size: Option<u64>,
}

/// What is at a path, and when it was last modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// What.
    pub found: Found,
    /// Whole seconds since the Unix epoch, where the server says so.
    pub modified: Option<i64>,
}

impl<D: Dial> Client<D> {
    /// Connects, encrypts, verifies, logs in.
    ///
    /// # Errors
    /// Any of [`Error`]'s that can meet a login.
    pub async fn connect(endpoint: Arc<Endpoint<D>>) -> Result<Self, Error> {
        let connection = Box::new(endpoint.log_in().await?);
        Ok(Self { endpoint, connection, refused: list::Refused::default(), looks_only: false })
    }

    /// From now on nothing is mended on the way.
    pub fn look_only(&mut self) {
        self.looks_only = true;
    }

    /// What all conversations with this server share.
    pub fn endpoint(&self) -> &Arc<Endpoint<D>> {
        &self.endpoint
    }

    /// The TLS version of the control connection, in words.
    pub fn tls_version(&self) -> &'static str {
        if self.connection.is_13 { "TLS 1.3" } else { "TLS 1.2" }
    }

    /// What the server greeted with, in one line.
    pub fn greeting(&self) -> String {
        self.connection.greeting.text()
    }

    /// When the server's certificate expires, in seconds since the Unix epoch.
    pub fn certificate_expires(&self) -> Option<i64> {
        let (_, certificate) = x509_parser::parse_x509_certificate(self.connection.context.leaf()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    /// Whether this server is known to answer the commands of a flight in order.
    pub fn answers_in_order(&self) -> bool {
        self.endpoint.profile().in_order == Some(true)
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.connection.control.encoding()
    }

    /// Whether this conversation should be replaced by a fresh one at the next idle moment.
    pub fn is_stale(&self) -> bool {
        self.connection.born.elapsed() >= MAX_AGE || self.connection.transfers >= MAX_TRANSFERS
    }

    /// How paths become bytes from now on, in this conversation.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.connection.control.set_encoding(encoding);
    }

    /// Stores a body under `path`, which must be a temporary name: a refused data connection leaves an empty file there.
    /// `open` starts the body from its first byte; it is called again when the server refused a data connection.
    ///
    /// Gives the bytes sent. That the server holds as many is not proven by this.
    ///
    /// # Errors
    /// As the server says, or a wait ran out, or a connection broke.
    pub async fn store(
        &mut self,
        path: &Pathname,
        open: &mut (dyn FnMut() -> mpsc::Receiver<Bytes> + Send),
    ) -> Result<u64, Error> {
        self.store_by(&mut Beside::default(), None, &Command::Stor(path.clone()), open).await
    }

    /// Adds a body to the end of the file `path`; as [`Self::store`].
    ///
    /// # Errors
    /// As for [`Self::store`].
    pub async fn append(
        &mut self,
        path: &Pathname,
        open: &mut (dyn FnMut() -> mpsc::Receiver<Bytes> + Send),
    ) -> Result<u64, Error> {
        self.store_by(&mut Beside::default(), None, &Command::Extra(Extra::Append(path.clone())), open).await
    }

    /// Writes a body over the bytes of the file `path` from byte `at` on; as [`Self::store`]. Where it fails and the connection could be
    /// used on, it is ended all the same: the server may still have the REST in mind, and would leave a hole in what is stored next.
    ///
    /// # Errors
    /// As for [`Self::store`].
    pub async fn overwrite(
        &mut self,
        path: &Pathname,
        at: u64,
        open: &mut (dyn FnMut() -> mpsc::Receiver<Bytes> + Send),
    ) -> Result<u64, Error> {
        let (first, command) = (Command::Extra(Extra::Restart(at)), Command::Stor(path.clone()));
        match self.store_by(&mut Beside::default(), Some(&first), &command, open).await {
            Err(error) if error.leaves_connection_usable() => {
                debug!(target: "towline::ftps", %error, "bytes could not be written over");
                self.say_good_bye().await;
                Err(Error::Closed { idle: false, last: None })
            }
            result => result,
        }
    }

    /// Stores a body by `command`, with `first` (REST) right before it, and `beside` in one flight with it and behind its last byte.
    pub(super) async fn store_by(
        &mut self,
        beside: &mut Beside,
        first: Option<&Command>,
        command: &Command,
        open: &mut (dyn FnMut() -> mpsc::Receiver<Bytes> + Send),
    ) -> Result<u64, Error> {
        let mut refusals = 0;
        loop {
            self.choose_tls().await?;
            let before = self.connection.context.tickets_received();
            let mut body = open();
            // Boxed: it is large, and lies in every future that stores.
            let upload = data::upload(&self.endpoint, &mut self.connection, beside, first, command, &mut body);
            let uploaded = Box::pin(upload).await;
            beside.told_before.extend(self.connection.control.led());
            match uploaded {
                Ok(sent) => {
                    let seen = self.seen(before);
                    self.endpoint.learn(|profile| profile.tls13 = policy::after_upload(profile.tls13, seen));
                    return Ok(sent);
                }
                Err(error) => self.meet(error, before, &mut refusals)?,
            }
        }
    }

    /// Removes a file; one that is gone already is a success.
    ///
    /// # Errors
    /// When refused, and it is still there.
    pub async fn remove_file(&mut self, path: &Pathname) -> Result<(), Error> {
        let reply = self.command(&Command::Delete(path.clone())).await?;
        if let Err(error) = positive("DELE", reply) {
            self.unless(error, path, |found| found.is_none()).await?;
        }
        // What a rename left aside is an older version of this file.
        self.clear_aside(path).await
    }

    /// Removes an empty directory; one that is gone already is a success.
    ///
    /// # Errors
    /// [`Error::NotEmpty`]; or when refused, and it is still there.
    pub async fn remove_dir(&mut self, path: &Pathname) -> Result<(), Error> {
        let reply = self.command(&Command::RemoveDir(path.clone())).await?;
        let Err(error) = positive("RMD", reply.clone()) else { return Ok(()) };
        let error = match self.unless(error, path, |found| found.is_none()).await {
            Ok(()) => return Ok(()),
            Err(error) if error.leaves_connection_usable() => error,
            Err(error) => return Err(error),
        };
        // The codes are the same for a full directory and a forbidden one, so look. That no name shows proves nothing.
        match self.list_keeping(path, &Keep::First(1)).await {
            Ok(listing) if !listing.entries.is_empty() => Err(Error::NotEmpty(reply)),
            Err(lost) if !lost.leaves_connection_usable() => Err(lost),
            _ => Err(error),
        }
    }

    /// Makes a directory; one that is there already is a success.
    ///
    /// # Errors
    /// When refused, and it is not there.
    pub async fn make_dir(&mut self, path: &Pathname) -> Result<(), Error> {
        let reply = self.command(&Command::MakeDir(path.clone())).await?;
        let Err(error) = positive("MKD", reply) else { return Ok(()) };
        self.unless(error, path, |found| found.is_some_and(|found| found.kind == ListedKind::Dir)).await
    }

    /// Asks for a sign of life. Never during a transfer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn noop(&mut self) -> Result<(), Error> {
        let reply = self.command(&Command::Noop).await?;
        positive("NOOP", reply)
    }

    /// Says good-bye and does not wait long for the answer.
    pub async fn quit(mut self) {
        self.say_good_bye().await;
    }

    pub(super) async fn command(&mut self, command: &Command) -> Result<Reply, Error> {
        self.connection.control.command(command).await
    }

    /// After a refusal the state decides, not the code: nothing was wrong if what was wanted is so.
    async fn unless(&mut self, error: Error, path: &Pathname, is_so: impl FnOnce(Option<Found>) -> bool) -> Result<(), Error> {
        if !error.leaves_connection_usable() {
            return Err(error);
        }
        match self.look(path).await {
            Ok(found) if is_so(found) => Ok(()),
            Err(lost) if !lost.leaves_connection_usable() => Err(lost),
            _ => Err(error),
        }
    }

    fn seen(&self, tickets_before: u64) -> Seen {
        Seen {
            is_13: self.connection.is_13,
            allows_12: self.endpoint.tls.allows_12(),
            tickets_at_login: self.connection.tickets_at_login,
            new_tickets: self.connection.context.tickets_received() > tickets_before,
        }
    }

    /// Whether a failed transfer may be tried again: `Ok` if so.
    fn meet(&mut self, error: Error, tickets_before: u64, refusals: &mut u32) -> Result<(), Error> {
        if !error.is_data_refused() {
            return Err(error);
        }
        Stats::count(&self.endpoint.stats.data_refused);
        *refusals += 1;
        match policy::after_refusal(self.endpoint.profile().tls13, self.seen(tickets_before), *refusals) {
            Next::Again => Ok(()),
            Next::Use12 => {
                self.endpoint.learn(|profile| profile.tls13 = Tls13::UploadsDoNotResume);
                Ok(())
            }
            Next::GiveUp => Err(error),
        }
    }

    /// Reconnects if this connection speaks 1.3 and it is known by now that it should not.
    async fn choose_tls(&mut self) -> Result<(), Error> {
        let wants_12 = policy::offers_up_to_12(self.endpoint.profile().tls13) && self.endpoint.tls.allows_12();
        if !(wants_12 && self.connection.is_13) {
            return Ok(());
        }
        debug!(target: "towline::ftps", "uploads bring no TLS 1.3 tickets here; reconnecting with TLS 1.2");
        Stats::count(&self.endpoint.stats.reconnects);
        self.say_good_bye().await;
        *self.connection = self.endpoint.log_in().await?;
        Ok(())
    }

    pub(super) async fn say_good_bye(&mut self) {
        let _ = timeout(GOOD_BYE, self.command(&Command::Quit)).await;
    }
}

fn positive(verb: &'static str, reply: Reply) -> Result<(), Error> {
    if reply.is_positive() { Ok(()) } else { Err(refusal(verb, reply)) }
}

fn refusal(verb: &'static str, reply: Reply) -> Error {
    if reply.is_negative() { Error::Refused { verb, reply } } else { Error::Unexpected { verb, reply } }
}
