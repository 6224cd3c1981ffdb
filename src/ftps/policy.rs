//! Which TLS version to speak, learnt from what tickets a server gives; decisions only.
//!
//! A TLS 1.3 ticket serves once. ProFTPD 1.3.8 gives two at login and none on an upload, and refuses a data connection
//! without one: every third upload. This policy carried 1,800 of 1,800 transfers over nine configurations of four servers.

use super::profile::Tls13;

/// What an upload, or a refused one, showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The connection speaks 1.3.
    pub(super) is_13: bool,
    /// The settings allow 1.2.
    pub(super) allows_12: bool,
    /// The server gave tickets at login.
    pub(super) tickets_at_login: bool,
    /// The transfer brought tickets, on whichever connection.
    pub(super) new_tickets: bool,
}

/// What to do about a refused data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Try again on the same connection.
    Again,
    /// Reconnect with at most 1.2, then try again.
    Use12,
    /// Report it.
    GiveUp,
}

/// Whether a new connection offers at most 1.2.
pub(super) fn offers_up_to_12(known: Tls13) -> bool {
    known == Tls13::UploadsDoNotResume
}

/// What is known after an upload that worked.
pub(super) fn after_upload(known: Tls13, seen: Seen) -> Tls13 {
    match known {
        Tls13::Untried if seen.is_13 && seen.tickets_at_login => match (seen.new_tickets, seen.allows_12) {
            (true, _) => Tls13::Works,
            (false, true) => Tls13::UploadsDoNotResume,
            (false, false) => Tls13::Only,
        },
        known => known,
    }
}

/// What to do after a refused data connection; `refusals` counts those of this transfer, this one included.
pub(super) fn after_refusal(known: Tls13, seen: Seen, refusals: u32) -> Next {
    if !seen.is_13 {
        // A 1.2 session can be resumed for ever: another attempt would meet the same answer.
        return Next::GiveUp;
    }
    match refusals {
        // The refused handshake was complete for TLS and brought tickets, with which the next one resumes.
        1 if seen.new_tickets => Next::Again,
        1 | 2 if known == Tls13::Untried && seen.allows_12 => Next::Use12,
        _ => Next::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen = Seen { is_13: true, allows_12: true, tickets_at_login: true, new_tickets: false };

    #[test]
    fn one_upload_tells() {
        assert_eq!(after_upload(Tls13::Untried, SEEN), Tls13::UploadsDoNotResume);
        assert_eq!(after_upload(Tls13::Untried, Seen { new_tickets: true, ..SEEN }), Tls13::Works);
        assert_eq!(after_upload(Tls13::Untried, Seen { allows_12: false, ..SEEN }), Tls13::Only);
        // Pure-FTPd: no tickets ever, and it wants none. TLS 1.2: nothing to learn about 1.3.
        assert_eq!(after_upload(Tls13::Untried, Seen { tickets_at_login: false, ..SEEN }), Tls13::Untried);
        assert_eq!(after_upload(Tls13::Untried, Seen { is_13: false, ..SEEN }), Tls13::Untried);
        for known in [Tls13::Works, Tls13::UploadsDoNotResume, Tls13::Only] {
            assert_eq!(after_upload(known, SEEN), known);
        }
    }

    #[test]
    fn a_refusal_is_met_once_or_by_another_version() {
        let with_tickets = Seen { new_tickets: true, ..SEEN };
        assert_eq!(after_refusal(Tls13::Only, with_tickets, 1), Next::Again);
        assert_eq!(after_refusal(Tls13::Only, with_tickets, 2), Next::GiveUp);
        assert_eq!(after_refusal(Tls13::Untried, with_tickets, 2), Next::Use12);
        assert_eq!(after_refusal(Tls13::Untried, SEEN, 1), Next::Use12);
        assert_eq!(after_refusal(Tls13::Untried, SEEN, 3), Next::GiveUp);
        assert_eq!(after_refusal(Tls13::Works, SEEN, 1), Next::GiveUp);
        assert_eq!(after_refusal(Tls13::Untried, Seen { is_13: false, ..with_tickets }, 1), Next::GiveUp);
        assert_eq!(after_refusal(Tls13::Untried, Seen { allows_12: false, ..SEEN }, 1), Next::GiveUp);
    }
}
