//! The TLS sessions of one control connection, for its data connections. A store that several control connections share
//! does not work: ProFTPD wants *that* connection's session, and took 40 of 240 from a shared store, 240 of 240 from one
//! store each.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};

/// Tickets that are kept; servers give one or two per connection, and one is used per connection.
const MAX_TICKETS: usize = 16;

/// The store. It ignores the server name, since there is only one server.
pub(super) struct Sessions {
    /// Shared by all connections to the endpoint: without the hint each full handshake with a server that only speaks
    /// P-256 (vsftpd, Pure-FTPd) costs another round trip.
    key_share: Arc<Mutex<Option<NamedGroup>>>,
    /// Served for ever: TLS 1.2 sessions may be resumed any number of times.
    tls12: Mutex<Option<Tls12ClientSessionValue>>,
    /// Served once each, the newest first.
    tls13: Mutex<VecDeque<Tls13ClientSessionValue>>,
    received: AtomicU64,
}

impl Sessions {
    pub(super) fn new(key_share: Arc<Mutex<Option<NamedGroup>>>) -> Self {
        Self { key_share, tls12: Mutex::default(), tls13: Mutex::default(), received: AtomicU64::new(0) }
    }

    /// TLS 1.3 tickets that ever came.
    pub(super) fn tickets_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        *lock(&self.key_share) = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        *lock(&self.key_share)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *lock(&self.tls12) = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        lock(&self.tls12).clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        *lock(&self.tls12) = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.received.fetch_add(1, Ordering::Relaxed);
        let mut tickets = lock(&self.tls13);
        if tickets.len() == MAX_TICKETS {
            tickets.pop_front();
        }
        tickets.push_back(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        lock(&self.tls13).pop_back()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({} tickets)", lock(&self.tls13).len())
    }
}
