//! The login dialogue (RFC 4217 §4, RFC 959 §5.4) as a state machine: what to send after which reply. It does not talk.
//!
//! The order is fixed: encryption first, then protection of the data connections, then the account. A server that
//! refuses PROT P never sees the password.

use super::{Argument, ArgumentError, Command, Features, Reply};

/// A login on its way.
#[derive(Debug)]
pub struct Login {
    state: State,
    credentials: Option<Credentials>,
    features: Features,
    waited: bool,
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
    /// AUTH TLS was refused: the server would not encrypt.
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
    /// Before the greeting.
    pub fn new(credentials: Credentials) -> Self {
        Self { state: State::Greeting, credentials: Some(credentials), features: Features::default(), waited: false }
    }

    /// TLS is up and the certificate verified.
    pub fn encrypted(&mut self) -> Step {
        debug_assert_eq!(self.state, State::Handshake);
        self.go(State::Pbsz, Command::Pbsz)
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
                220 => Ok(self.go(State::AuthTls, Command::AuthTls)),
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
            State::AuthTls => Err(LoginError::NoEncryption(reply)),
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn login() -> Login {
        Login::new(Credentials::new("me", "secret").expect("sendable"))
    }

    fn reply(code: u16) -> Reply {
        Reply { code, lines: vec![b"x".to_vec()] }
    }

    /// Feeds the codes; gives the verbs that were sent and how it ended.
    fn run(codes: &[u16]) -> (Vec<&'static str>, Option<LoginError>) {
        let mut login = login();
        let mut sent = Vec::new();
        for code in codes {
            let mut step = match login.on_reply(reply(*code)) {
                Ok(step) => step,
                Err(error) => return (sent, Some(error)),
            };
            if let Step::StartTls = step {
                sent.push("(tls)");
                step = login.encrypted();
            }
            if let Step::Send(command) = step {
                sent.push(command.verb());
            }
        }
        (sent, None)
    }

    const ORDER: [&str; 8] = ["AUTH TLS", "(tls)", "PBSZ 0", "PROT P", "USER", "PASS", "FEAT", "TYPE I"];

    #[test]
    fn the_order_is_fixed() {
        assert_eq!(run(&[120, 220, 234, 200, 200, 331, 230, 500, 200]), (ORDER.to_vec(), None));
        assert_eq!(run(&[220, 234, 200, 200, 230, 211]).0[4..], ["USER", "FEAT", "TYPE I"]);
    }

    #[test]
    fn utf8_is_switched_on_only_where_it_is_listed() {
        let mut login = login();
        for code in [220, 234] {
            login.on_reply(reply(code)).expect("goes on");
        }
        login.encrypted();
        for code in [200, 200, 331, 230] {
            login.on_reply(reply(code)).expect("goes on");
        }
        let feat = Reply { code: 211, lines: [&b"Features"[..], b" UTF8", b"End"].map(<[u8]>::to_vec).to_vec() };
        assert!(matches!(login.on_reply(feat), Ok(Step::Send(Command::OptsUtf8))));
        assert!(matches!(login.on_reply(reply(501)), Ok(Step::Send(Command::TypeImage))));
        assert!(matches!(login.on_reply(reply(200)), Ok(Step::Ready(features)) if features.utf8));
    }

    #[test]
    fn each_refusal_has_its_name() {
        use LoginError as E;
        assert!(matches!(run(&[421]).1, Some(E::Busy(_))));
        assert!(matches!(run(&[500]).1, Some(E::Greeting(_))));
        assert!(matches!(run(&[120, 120]).1, Some(E::Greeting(_))));
        assert!(matches!(run(&[220, 500]).1, Some(E::NoEncryption(_))));
        assert!(matches!(run(&[220, 200]).1, Some(E::NoEncryption(_))));
        assert!(matches!(run(&[220, 234, 500]).1, Some(E::NoProtection { .. })));
        assert!(matches!(run(&[220, 234, 200, 536]).1, Some(E::NoProtection { verb: "PROT P", .. })));
        assert!(matches!(run(&[220, 234, 200, 503]).1, Some(E::ProtectionAfterLogin { verb: "PROT P", .. })));
        assert!(matches!(run(&[220, 234, 200, 200, 530]).1, Some(E::Refused(_))));
        assert!(matches!(run(&[220, 234, 200, 200, 331, 530]).1, Some(E::Refused(_))));
        assert!(matches!(run(&[220, 234, 200, 200, 331, 332]).1, Some(E::Account(_))));
        assert!(matches!(run(&[220, 234, 200, 200, 331, 150]).1, Some(E::Unexpected { verb: "PASS", .. })));
        assert!(matches!(run(&[220, 234, 200, 200, 331, 230, 500, 504]).1, Some(E::Unexpected { verb: "TYPE I", .. })));
        assert!(matches!(run(&[220, 234, 200, 200, 421]).1, Some(E::Busy(_))));
    }

    proptest! {
        #[test]
        fn the_password_only_ever_follows_protection(codes in proptest::collection::vec(
            prop_oneof![Just(220), Just(234), Just(200), Just(331), Just(230), 100u16..600], 0..12)) {
            let (sent, _) = run(&codes);
            // Whatever the replies are, what is sent is a prefix of the one order (PASS may be left out).
            let order: Vec<_> = if sent.get(5) == Some(&"FEAT") {
                ORDER.iter().copied().filter(|verb| *verb != "PASS").collect()
            } else {
                ORDER.to_vec()
            };
            prop_assert_eq!(&sent[..], &order[..sent.len()]);
        }
    }
}
