//! The login dialogue (RFC 4217 §4, RFC 959 §5.4) as a state machine: what to send after which reply. It does not talk.
//!
//! The order is fixed: encryption first, then protection of the data connections, then the account. A server that
//! refuses PROT P never sees the password. In implicit mode TLS comes before the greeting, and the rest is the same.

use super::{Argument, ArgumentError, Command, Features, Reply};

/// A login on its way.
#[derive(Debug)]
pub struct Login {
    state: State,
    mode: Mode,
    credentials: Option<Credentials>,
    features: Features,
    waited: bool,
    /// What was said to AUTH TLS, if not yes.
    refusal: Option<Reply>,
}

/// How a control connection comes to be encrypted. There is no other mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By AUTH TLS after the greeting (RFC 4217 §4); port 21 as a rule.
    #[default]
    Explicit,
    /// From the first byte on; port 990 as a rule (the drafts before RFC 4217).
    Implicit,
}

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// For USER.
    pub user: Argument,
    /// For PASS.
    pub password: Argument,
}

impl Credentials {
    /// Checks and takes both.
    ///
    /// # Errors
    /// When FTP cannot carry one of them.
    pub fn new(user: &str, password: &str) -> Result<Self, AccountError> {
        let user = Argument::new(user.as_bytes()).map_err(AccountError::User)?;
        let password = Argument::new(password.as_bytes()).map_err(AccountError::Password)?;
        Ok(Self { user, password })
    }
}

/// Why an account cannot be used as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The user's name.
    #[error("the user name cannot be sent: {0}")]
    User(ArgumentError),
    /// The password.
    #[error("the password cannot be sent: {0}")]
    Password(ArgumentError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    AuthTls,
    /// FEAT before the login, to see what AUTH takes; it may differ from FEAT after the login, which counts.
    FeatInClear,
    AuthSsl,
    Handshake,
    Pbsz,
    ProtP,
    User,
    Pass,
    Feat,
    OptsUtf8,
    TypeImage,
    Ready,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this and read the reply.
    Send(Command),
    /// Read another reply first (120: the server is not ready yet).
    Wait,
    /// Start TLS on the control connection, then call [`Login::encrypted`].
    StartTls,
    /// Logged in.
    Ready(Features),
}

/// Why a login ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// 421: the server closes the connection, as a rule because there are too many.
    #[error("the server turned the connection away: {0}")]
    Busy(Reply),
    /// The greeting was no 220.
    #[error("the server did not greet with 220: {0}")]
    Greeting(Reply),
    /// AUTH TLS was refused, and AUTH SSL is not offered or refused too: the server would not encrypt.
    #[error("the server refused AUTH TLS: {0}")]
    NoEncryption(Reply),
    /// PBSZ or PROT P was refused: files would travel in clear.
    #[error("the server refused {verb} (encrypted data connections): {reply}")]
    NoProtection {
        /// Which of the two.
        verb: &'static str,
        /// What it said.
        reply: Reply,
    },
    /// The server wants the password before it agrees to protect data connections.
    #[error("the server wants a login before {verb}; the password is not sent before data connections are protected: {reply}")]
    ProtectionAfterLogin {
        /// Which of PBSZ and PROT.
        verb: &'static str,
        /// What it said.
        reply: Reply,
    },
    /// User or password were refused.
    #[error("the server refused the login: {0}")]
    Refused(Reply),
    /// 332: an account is wanted besides user and password.
    #[error("the server asks for an account (ACCT), which is not supported: {0}")]
    Account(Reply),
    /// A reply that has no place in the dialogue.
    #[error("unexpected reply to {verb}: {reply}")]
    Unexpected {
        /// What it replied to.
        verb: &'static str,
        /// What it said.
        reply: Reply,
    },
}

impl Login {
    /// Before the greeting; in implicit mode TLS is up by then, and the certificate verified.
    pub fn new(credentials: Credentials, mode: Mode) -> Self {
        Self {
            state: State::Greeting,
            mode,
            credentials: Some(credentials),
            features: Features::default(),
            waited: false,
            refusal: None,
        }
    }

    /// TLS is up and the certificate verified, after [`Step::StartTls`].
    pub fn encrypted(&mut self) -> Step {
        debug_assert_eq!(self.state, State::Handshake);
        self.go(State::Pbsz, Command::Pbsz)
    }

    /// What is sent next if the reply to what was sent last is as it should be, and the replies to these are: they may go out with it
    /// where a server is known to answer one after the other. The password is never among them.
    pub fn ahead(&self) -> Vec<Command> {
        match (self.state, &self.credentials) {
            (State::Pbsz, Some(credentials)) => vec![Command::ProtP, Command::User(credentials.user.clone())],
            (State::OptsUtf8, _) => vec![Command::TypeImage],
            _ => Vec::new(),
        }
    }

    /// The error of a login whose last step got no reply; `None` where that says nothing more. A server that has refused AUTH
    /// TLS need not answer anything else.
    pub fn unanswered(&mut self) -> Option<LoginError> {
        self.refusal.take().filter(|_| self.state == State::FeatInClear).map(LoginError::NoEncryption)
    }

    /// Takes the reply to the last step.
    ///
    /// # Errors
    /// When the login ends here.
    pub fn on_reply(&mut self, reply: Reply) -> Result<Step, LoginError> {
        if reply.code == 421 {
            return Err(LoginError::Busy(reply));
        }
        match self.state {
            State::Greeting => match reply.code {
                220 => Ok(match self.mode {
                    Mode::Explicit => self.go(State::AuthTls, Command::AuthTls),
                    Mode::Implicit => self.go(State::Pbsz, Command::Pbsz),
                }),
                120 if !self.waited => {
                    self.waited = true;
                    Ok(Step::Wait)
                }
                _ => Err(LoginError::Greeting(reply)),
            },
            State::AuthTls if reply.code == 234 => {
                self.state = State::Handshake;
                Ok(Step::StartTls)
            }
            // Not known, or not by this name: TLS may go by the name of its predecessor.
            State::AuthTls if matches!(reply.code, 500 | 502 | 504 | 534) => {
                self.refusal = Some(reply);
                Ok(self.go(State::FeatInClear, Command::Feat))
            }
            State::AuthTls => Err(LoginError::NoEncryption(reply)),
            State::FeatInClear => {
                let offered = Features::of(&reply).auth;
                let offers = |name: &str| offered.iter().any(|what| what == name);
                if offers("SSL") && !offers("TLS") {
                    return Ok(self.go(State::AuthSsl, Command::AuthSsl));
                }
                Err(LoginError::NoEncryption(self.refusal.take().unwrap_or(reply)))
            }
            // 334 would ask for more (RFC 2228 §4); there is nothing more to AUTH SSL than its handshake.
            State::AuthSsl if matches!(reply.code, 234 | 334) => {
                self.state = State::Handshake;
                Ok(Step::StartTls)
            }
            State::AuthSsl => Err(LoginError::NoEncryption(reply)),
            State::Pbsz if reply.is_positive() => Ok(self.go(State::ProtP, Command::ProtP)),
            State::Pbsz => Err(no_protection("PBSZ 0", reply)),
            State::ProtP if reply.is_positive() => match &self.credentials {
                Some(credentials) => {
                    let user = credentials.user.clone();
                    Ok(self.go(State::User, Command::User(user)))
                }
                None => Err(LoginError::Unexpected { verb: "PROT P", reply }),
            },
            State::ProtP => Err(no_protection("PROT P", reply)),
            State::User => match (reply.code, self.credentials.take()) {
                (331, Some(credentials)) => Ok(self.go(State::Pass, Command::Pass(credentials.password))),
                (230 | 232, _) => Ok(self.go(State::Feat, Command::Feat)),
                _ => Err(refused("USER", reply)),
            },
            State::Pass => match reply.code {
                230 | 202 => Ok(self.go(State::Feat, Command::Feat)),
                _ => Err(refused("PASS", reply)),
            },
            State::Feat => {
                self.features = Features::of(&reply);
                if self.features.utf8 {
                    Ok(self.go(State::OptsUtf8, Command::OptsUtf8))
                } else {
                    Ok(self.go(State::TypeImage, Command::TypeImage))
                }
            }
            // Most servers have it on already and some refuse to hear of it; neither changes anything.
            State::OptsUtf8 => Ok(self.go(State::TypeImage, Command::TypeImage)),
            State::TypeImage if reply.is_positive() => {
                self.state = State::Ready;
                Ok(Step::Ready(std::mem::take(&mut self.features)))
            }
            State::TypeImage => Err(LoginError::Unexpected { verb: "TYPE I", reply }),
            State::Handshake | State::Ready => Err(LoginError::Unexpected { verb: "nothing", reply }),
        }
    }

    fn go(&mut self, state: State, command: Command) -> Step {
        self.state = state;
        Step::Send(command)
    }
}

fn no_protection(verb: &'static str, reply: Reply) -> LoginError {
    match reply.code {
        503 | 530 => LoginError::ProtectionAfterLogin { verb, reply },
        _ => LoginError::NoProtection { verb, reply },
    }
}

fn refused(verb: &'static str, reply: Reply) -> LoginError {
    match reply.code {
        332 => LoginError::Account(reply),
        _ if reply.is_negative() => LoginError::Refused(reply),
        _ => LoginError::Unexpected { verb, reply },
    }
}

#[cfg(test)]
mod tests;
