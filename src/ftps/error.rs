//! What can go wrong with an FTPS server, by its origin. What it means for the mirror is decided in `remote`.

use std::{fmt, io};

use super::{
    dial::proxy::{ProxyError, ProxyFailure},
    proto::{ArgumentError, Pathname, Reply, ReplyError, listing::ListingError, login::LoginError, transfer::Failure},
    tls::TlsError,
};

/// A failure of the FTPS engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No TCP connection came about.
    #[error("cannot connect to {to}: {source}")]
    Connect {
        /// Where to.
        to: String,
        /// Why not.
        source: io::Error,
    },
    /// The proxy was no help.
    #[error(transparent)]
    Proxy(ProxyError),
    /// A wait that has a name took too long.
    #[error("the server did not answer in time: {0}")]
    Timeout(Wait),
    /// The control connection broke.
    #[error("the control connection broke: {0}")]
    Control(#[source] io::Error),
    /// The server closed the control connection, with its last words if it had any.
    #[error("the server closed the control connection {}{}", if *idle { "while it was idle" } else { "without an answer" }, Words(.last))]
    Closed {
        /// Whether nothing was asked of it.
        idle: bool,
        /// Its last reply (421, as a rule).
        last: Option<Reply>,
    },
    /// A reply came that no command had asked for: what it is about cannot be known.
    #[error("the server sent a reply that no command had asked for: {0}")]
    Unasked(Reply),
    /// A command was given while the reply to an earlier one was never read; a bug, or an operation that was dropped.
    #[error("the conversation was left in the middle of a command")]
    OutOfStep,
    /// Bytes that are no FTP, or too many.
    #[error(transparent)]
    Protocol(#[from] ReplyError),
    /// Bytes were waiting behind the reply to AUTH TLS, before encryption started: somebody injects commands.
    #[error("unencrypted bytes were waiting behind the reply to AUTH TLS; somebody may be tampering with the connection")]
    Injected,
    /// The login failed.
    #[error("{source}")]
    Login {
        /// How.
        source: LoginError,
        /// Whether another login of the same account was up or under way: then a refusal may be a limit.
        others: bool,
    },
    /// The server closed the connection instead of a greeting, while another login of the same account was up: a limit.
    #[error("the server closes further connections without a greeting")]
    TurnedAway,
    /// The server closed the connection instead of a greeting.
    #[error("the server closed the connection without a greeting")]
    NoGreeting,
    /// In implicit mode: the server greets in clear.
    #[error("the server does not speak TLS at once on this port, but greets in clear: {0}")]
    ClearGreeting(Reply),
    /// The server left TLS and said this in clear, which anybody could have done: vsftpd's last words.
    #[error("the server fell out of TLS, and in clear came: {0}")]
    OutOfTls(Reply),
    /// TLS failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A command was refused.
    #[error("{verb} was refused: {reply}")]
    Refused {
        /// The command.
        verb: &'static str,
        /// What the server said.
        reply: Reply,
    },
    /// A command got a reply that it cannot have.
    #[error("unexpected reply to {verb}: {reply}")]
    Unexpected {
        /// The command.
        verb: &'static str,
        /// What the server said.
        reply: Reply,
    },
    /// The directory has something in it.
    #[error("the directory is not empty: {0}")]
    NotEmpty(Reply),
    /// A transfer failed, and the server said how.
    #[error("{verb} failed: {reply}")]
    Transfer {
        /// The command.
        verb: &'static str,
        /// The meaning of the reply.
        failure: Failure,
        /// What the server said.
        reply: Reply,
    },
    /// In active mode: the server could not connect to us.
    #[error("the server did not get through to us with its data connection: {0}")]
    NotReached(Reply),
    /// In active mode: no port to listen on.
    #[error("cannot listen for the server's data connection: {0}")]
    Listen(#[source] io::Error),
    /// PASV alone is allowed, and knows IPv4 alone.
    #[error("the control connection is over IPv6, for which there is no PASV")]
    PasvOverIpv6,
    /// The data connection broke.
    #[error("the data connection broke: {0}")]
    Data(#[source] io::Error),
    /// The server said that an upload is complete, but it cannot be.
    #[error("the server reported success before the upload was complete: {0}")]
    Early(Reply),
    /// A file arrived in order, but not with the size that it was said to have.
    #[error("{came} bytes came of a file that is said to have {promised}")]
    OtherSize {
        /// What the server had said.
        promised: u64,
        /// What came; where that is more, the rest was not waited for.
        came: u64,
    },
    /// Whoever wanted a download does not want the rest of it.
    #[error("the download was broken off here")]
    Abandoned,
    /// A listing is too long.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// Whether something is at a path cannot be found out.
    #[error("the server does not say whether it is there: {0}")]
    Undecided(Reply),
    /// A file that was moved aside for another could not be moved back: nothing is at its name now.
    #[error("the old file at {path:?} was moved aside to {aside:?} and cannot be moved back: {verb} was refused: {reply}")]
    Aside {
        /// Its name.
        path: Pathname,
        /// Where it is.
        aside: Pathname,
        /// The command that was refused.
        verb: &'static str,
        /// What the server said.
        reply: Reply,
    },
    /// FTP cannot carry the name.
    #[error("the name cannot be sent: {0}")]
    Name(#[from] ArgumentError),
    /// The server lacks something that cannot be done without.
    #[error("the server has no way to {0}")]
    Lacking(&'static str),
}

struct Words<'a>(&'a Option<Reply>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(reply) => write!(f, ": {reply}"),
            None => Ok(()),
        }
    }
}

/// The waits on the network. Each has its limit; an error names the one that ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// For the TCP connection.
    Connect,
    /// For the answer of a proxy, which connects to the server meanwhile.
    Proxy,
    /// For the greeting.
    Greeting,
    /// For TLS on the control connection.
    Handshake,
    /// For the server to take a command.
    Send,
    /// For the first byte of a reply.
    Reply,
    /// For the rest of a reply that has begun.
    WholeReply,
    /// In active mode, for the server to connect.
    Accept,
    /// For TLS on a data connection.
    DataHandshake,
    /// For progress of a transfer.
    Stall,
    /// For the local side to give the next piece of an upload.
    Source,
    /// For the local side to take the next piece of a download.
    Sink,
    /// For the last reply to a transfer.
    FinalReply,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "TCP connect",
            Self::Proxy => "answer of the proxy",
            Self::Greeting => "greeting",
            Self::Handshake => "TLS handshake",
            Self::Send => "sending a command",
            Self::Reply => "reply",
            Self::WholeReply => "end of a reply that had begun",
            Self::Accept => "data connection from the server (active mode)",
            Self::DataHandshake => "TLS handshake of the data connection",
            Self::Stall => "transfer stalled",
            Self::Source => "the local file was not read on",
            Self::Sink => "the local file was not written on",
            Self::FinalReply => "final reply to a transfer",
        })
    }
}

/// For an operator whose server does not get through to us.
const NOT_REACHED: &str = "let the server through to the ports of `active` here; where NAT is in between set `active.address`; \
                           or use `data = \"passive\"`";
/// For an operator whose server is silent where a greeting should be.
const NO_GREETING: &str =
    "if the server speaks TLS at once on this port, as on 990, set `mode = \"implicit\"`; else check host and port";

impl Error {
    /// No stream came about; `to` says where to.
    pub(super) fn of_dial(to: String, source: io::Error) -> Self {
        match source.downcast::<ProxyError>() {
            Ok(error) => Self::Proxy(error),
            Err(source) => Self::Connect { to, source },
        }
    }

    /// Whether a host that answers elsewhere, or a proxy that does, leads nowhere here: a matter of firewalls.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Proxy(ProxyError { failure: ProxyFailure::Refused(_), .. }))
    }

    /// The control connection broke; where TLS says why, that is why.
    pub(super) fn control(error: io::Error) -> Self {
        TlsError::late(error).map_or_else(Self::Control, Self::Tls)
    }

    /// A data connection broke, likewise.
    pub(super) fn data(error: io::Error) -> Self {
        TlsError::late(error).map_or_else(Self::Data, Self::Tls)
    }

    /// Whether the control connection is still in step after this: the server has answered and waits for a command.
    pub fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Refused { reply, .. } | Self::NotEmpty(reply) | Self::Undecided(reply) => reply.code != 421,
            Self::Transfer { failure, .. } => *failure != Failure::Closing && *failure != Failure::Unexpected,
            Self::NotReached(reply) => reply.code != 421,
            Self::OtherSize { promised, came } => came < promised,
            Self::Name(_) | Self::Lacking(_) | Self::Listen(_) | Self::PasvOverIpv6 => true,
            _ => false,
        }
    }

    /// Whether no connection, or no login, came about: not a matter of anything that was asked of the server after that.
    pub(super) fn is_of_login(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Proxy(_) | Self::NoGreeting)
            || self.is_turned_away()
            || matches!(self, Self::Login { .. })
    }

    /// Whether the server has as many logins of this account as it takes.
    pub(super) fn is_turned_away(&self) -> bool {
        match self {
            Self::TurnedAway | Self::Login { source: LoginError::Busy(_), .. } => true,
            Self::Login { source: LoginError::Refused(reply), others } => reply.code == 530 && *others,
            _ => false,
        }
    }

    /// Whether the server refused a data connection (425, 522), which another attempt or TLS 1.2 may mend.
    pub fn is_data_refused(&self) -> bool {
        matches!(self, Self::Transfer { failure: Failure::DataRefused, .. })
    }

    /// Whether it is a refusal that the server calls transient (4yz).
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { reply, .. } | Self::Transfer { reply, .. } => reply.is_transient(),
            _ => false,
        }
    }

    /// What an operator can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Tls(error) => error.hint(),
            Self::Proxy(error) => error.hint(),
            Self::Timeout(Wait::Greeting) | Self::NoGreeting => Some(NO_GREETING),
            Self::ClearGreeting(_) => Some("set `mode = \"explicit\"`"),
            Self::Timeout(Wait::Accept) | Self::NotReached(_) => Some(NOT_REACHED),
            Self::Listen(_) => Some("check that `active.ports` are free, and no fewer than `connections`"),
            Self::PasvOverIpv6 => Some("set `data = \"passive\"`, or an IPv4 address as `host`"),
            Self::Refused { verb: "PORT" | "EPRT", .. } => Some(
                "the server does not take active mode, or not this address: use `data = \"passive\"`, or check `active.address`",
            ),
            Self::Connect { .. } => Some("check host and port, and whether a firewall is in between"),
            Self::Injected => Some("do not trust this network; if the server itself does this, it is broken"),
            Self::Login { source, others } => match source {
                LoginError::NoEncryption(_) => Some(
                    "the server has no explicit TLS on this port; a password is never sent in clear. Ask for the port where it \
                     speaks TLS, and set `mode = \"implicit\"` if that is at once, as on 990",
                ),
                LoginError::NoProtection { .. } => Some("enable encrypted data connections on the server (PROT P)"),
                LoginError::ProtectionAfterLogin { .. } => {
                    Some("let the server accept PBSZ and PROT before the login (RFC 4217 section 9)")
                }
                LoginError::Refused(_) if !others => Some("check user and password"),
                LoginError::Busy(_) | LoginError::Refused(_) => Some("lower `connections`, or raise the server's limit"),
                _ => None,
            },
            Self::Transfer { failure: Failure::DataRefused, .. } => {
                Some("the server did not accept the TLS session of the data connection; its log may say why")
            }
            Self::Undecided(_) => Some("check the permissions on the server: the account must be able to list the directory"),
            Self::Aside { .. } => Some("rename it back by hand if that does not happen by itself"),
            Self::OutOfTls(_) => {
                Some("the server's own log may say more; vsftpd ends so where it cannot work with the account's directory")
            }
            Self::TurnedAway => Some("lower `connections`, or raise the server's limit"),
            _ => None,
        }
    }
}
