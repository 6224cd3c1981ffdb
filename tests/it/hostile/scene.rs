//! What a scenario is made of: what the server does, what the client tries, and how that has to end. Running it is for
//! [`super::run`].

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use towline::{ftps, remote::Class};

use super::{
    guest::Guest,
    identity::{IDENTITIES, Identities, Identity},
};

/// Runs for each control connection.
pub(super) type Script = Arc<dyn Fn(Guest) -> Pin<Box<dyn Future<Output = Option<()>> + Send>> + Send + Sync>;

/// The waits of a client whose end does not lie in a wait: long enough for a busy machine.
const PATIENT: Duration = Duration::from_secs(8);
/// The waits of a client whose end does.
const IMPATIENT: Duration = Duration::from_secs(1);
/// What the issue allows.
const MOST_PUSHED: u64 = 2 << 20;

/// What the client tries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Sends a file, as a mirror does.
    Put,
    /// Removes a directory that the server does not want to remove, so that it is listed.
    RemoveDir,
}

/// By whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Engine,
    /// `towline sync`, with the exit code that it has to have.
    Binary(i32),
    Both(i32),
}

#[derive(Clone)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) script: Script,
    pub(super) act: Act,
    pub(super) by: By,
    /// `None`: it goes well in spite of all.
    pub(super) class: Option<Class>,
    /// What the message says.
    pub(super) words: &'static [&'static str],
    /// Whether the password may be heard, inside TLS.
    pub(super) logs_in: bool,
    /// Whether the body may be heard, inside TLS.
    pub(super) sends: bool,
    pub(super) is_large: bool,
    pub(super) wait: Duration,
    pub(super) pushed: u64,
    identity: fn(&Identities) -> &Identity,
    pin: Option<fn(&Identities) -> &Identity>,
}

/// A scenario in which the server does as `script` says.
pub(super) fn scene<F>(name: &'static str, script: impl Fn(Guest) -> F + Send + Sync + 'static) -> Scene
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    Scene {
        name,
        script: Arc::new(move |guest| Box::pin(script(guest))),
        act: Act::Put,
        by: By::Engine,
        class: None,
        words: &[],
        logs_in: false,
        sends: false,
        is_large: false,
        wait: PATIENT,
        pushed: MOST_PUSHED,
        identity: |all| &all.good,
        pin: None,
    }
}

/// A server as it should be.
pub(super) fn honest() -> Script {
    Arc::new(|mut guest| Box::pin(async move { guest.go_on().await }))
}

impl Scene {
    /// It ends with this class of error, in these words.
    pub(super) fn fails(mut self, class: Class, words: &'static [&'static str]) -> Self {
        (self.class, self.words) = (Some(class), words);
        self
    }

    /// The account is told, inside TLS.
    pub(super) fn logs_in(mut self) -> Self {
        self.logs_in = true;
        self
    }

    /// The account and the body are told, inside TLS.
    pub(super) fn sends(mut self) -> Self {
        (self.logs_in, self.sends) = (true, true);
        self
    }

    /// The real program meets it, too, and ends with this code.
    pub(super) fn and_binary(mut self, code: i32) -> Self {
        self.by = By::Both(code);
        self
    }

    /// Only the real program meets it.
    pub(super) fn by_binary(mut self, code: i32, words: &'static [&'static str]) -> Self {
        (self.by, self.words) = (By::Binary(code), words);
        self
    }

    /// The client lists a directory.
    pub(super) fn lists(mut self) -> Self {
        self.act = Act::RemoveDir;
        // By the binary, whose first run is honest.
        self.sends()
    }

    /// The body is too large for the buffers on the way.
    pub(super) fn large(mut self) -> Self {
        self.is_large = true;
        self
    }

    /// The end is one of waiting: the waits are short.
    pub(super) fn impatient(mut self) -> Self {
        self.wait = IMPATIENT;
        self
    }

    /// The server may get rid of so many bytes at most.
    pub(super) fn pushes(mut self, most: u64) -> Self {
        self.pushed = most;
        self
    }

    /// The server's certificate.
    pub(super) fn presents(mut self, identity: fn(&Identities) -> &Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Whose key the client expects.
    pub(super) fn pinned_to(mut self, identity: fn(&Identities) -> &Identity) -> Self {
        self.pin = Some(identity);
        self
    }

    pub(super) fn identity(&self) -> &'static Identity {
        (self.identity)(&IDENTITIES)
    }

    pub(super) fn pin(&self) -> Option<ftps::Pin> {
        self.pin.map(|of| of(&IDENTITIES).pin)
    }
}
