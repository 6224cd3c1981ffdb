//! What each error of the FTPS engine means for what comes next: the one place where that is decided.

use crate::{
    ftps::{
        Error, ProxyError, ProxyFailure, TlsError,
        proto::{Reply, login::LoginError, transfer::Failure},
    },
    remote::{Class, RemoteError},
};

impl From<Error> for RemoteError {
    fn from(error: Error) -> Self {
        let (class, hint) = (class(&error), error.hint());
        let remote = Self::new(class, error);
        match hint {
            Some(hint) => remote.with_hint(hint),
            None => remote,
        }
    }
}

fn class(error: &Error) -> Class {
    match error {
        Error::Proxy(error) if error.is_auth() => Class::Auth,
        Error::Proxy(ProxyError { failure: ProxyFailure::OtherProtocol, .. }) => Class::Protocol,
        Error::Proxy(_)
        | Error::NoGreeting
        | Error::NotReached(_)
        | Error::Listen(_)
        | Error::Connect { .. }
        | Error::Timeout(_)
        | Error::Control(_)
        | Error::Closed { .. }
        | Error::OutOfTls(_)
        | Error::Unasked(_)
        | Error::OutOfStep
        | Error::Data(_)
        | Error::OtherSize { .. }
        | Error::Abandoned
        // The session ends, so that the job is in doubt: asking what is at the path is what puts the file back.
        | Error::Aside { .. } => Class::Transient,
        Error::TurnedAway => Class::Busy,
        Error::Protocol(_)
        | Error::Unexpected { .. }
        | Error::Early(_)
        | Error::Listing(_)
        | Error::Lacking(_)
        | Error::PasvOverIpv6 => Class::Protocol,
        Error::Injected | Error::ClearGreeting(_) => Class::Tls,
        Error::Tls(TlsError::Io(_)) => Class::Transient,
        Error::Tls(_) => Class::Tls,
        Error::Login { source, others } => of_login(source, *others),
        Error::Refused { verb, reply } => of_refusal(verb, reply),
        Error::Undecided(reply) if reply.is_transient() => Class::Transient,
        Error::Undecided(_) => Class::Refused,
        Error::NotEmpty(_) => Class::NotEmpty,
        Error::Transfer { failure, .. } => match failure {
            Failure::DataRefused | Failure::Aborted | Failure::Closing => Class::Transient,
            Failure::Full => Class::Full,
            Failure::Refused => Class::Refused,
            Failure::Unexpected => Class::Protocol,
        },
        Error::Name(_) => Class::Name,
    }
}

fn of_login(error: &LoginError, others: bool) -> Class {
    match error {
        LoginError::Busy(_) => Class::Busy,
        // ProFTPD says 530 to a correct password when the account has too many connections.
        LoginError::Refused(reply) if reply.code == 530 && others => Class::Busy,
        LoginError::Refused(reply) if reply.is_transient() => Class::Transient,
        LoginError::Refused(_) | LoginError::Account(_) => Class::Auth,
        LoginError::NoEncryption(_) | LoginError::NoProtection { .. } | LoginError::ProtectionAfterLogin { .. } => Class::Tls,
        // Servers greet with 4yz and 5yz when they are overloaded, being shut down, or dislike the address.
        LoginError::Greeting(reply) if reply.is_negative() => Class::Transient,
        LoginError::Greeting(_) | LoginError::Unexpected { .. } => Class::Protocol,
    }
}

fn of_refusal(verb: &str, reply: &Reply) -> Class {
    match reply.code {
        452 | 552 => Class::Full,
        // Pure-FTPd says 451 to renames that can never work.
        451 if matches!(verb, "RNFR" | "RNTO") => Class::Refused,
        // No path was refused, but a way to connect.
        _ if matches!(verb, "EPSV" | "PASV" | "PORT" | "EPRT") => Class::Transient,
        // In the middle of a session 421 means that the server closes it: a shutdown, an idle time, or a limit on sessions that
        // it finds late. A new login tells which; if it is a limit, that login is turned away, and then it is `Busy`. Taking it
        // for a limit here would lower the number of connections at each restart of a server.
        421 => Class::Transient,
        // The server forgot the login.
        530 => Class::Transient,
        _ if reply.is_transient() => Class::Transient,
        _ => Class::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ftps::Wait;

    fn reply(code: u16) -> Reply {
        Reply { code, lines: vec![b"x".to_vec()] }
    }

    #[test]
    fn consequences() {
        let refused = |verb, code| Error::Refused { verb, reply: reply(code) };
        let login = |source, others| Error::Login { source, others };
        for (error, expected) in [
            (Error::Timeout(Wait::Greeting), Class::Transient),
            (login(LoginError::Busy(reply(421)), false), Class::Busy),
            (login(LoginError::Refused(reply(530)), true), Class::Busy),
            (login(LoginError::Refused(reply(530)), false), Class::Auth),
            (login(LoginError::NoEncryption(reply(500)), false), Class::Tls),
            (login(LoginError::NoProtection { verb: "PROT P", reply: reply(536) }, false), Class::Tls),
            (refused("MKD", 550), Class::Refused),
            (refused("MKD", 552), Class::Full),
            (refused("RNTO", 451), Class::Refused),
            (refused("DELE", 451), Class::Transient),
            (refused("DELE", 421), Class::Transient),
            (Error::Transfer { verb: "STOR", failure: Failure::Full, reply: reply(452) }, Class::Full),
            (Error::Transfer { verb: "STOR", failure: Failure::Refused, reply: reply(553) }, Class::Refused),
            (Error::Transfer { verb: "STOR", failure: Failure::Aborted, reply: reply(426) }, Class::Transient),
            (Error::OtherSize { promised: 2, came: 1 }, Class::Transient),
            (Error::Injected, Class::Tls),
        ] {
            let usable = error.leaves_connection_usable();
            let text = error.to_string();
            let remote = RemoteError::from(error);
            assert_eq!(remote.class, expected, "{text}");
            assert!(usable || !remote.session_survives(), "{text}: a dead session must not survive");
        }
    }
}
