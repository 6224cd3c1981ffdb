//! What goes wrong when: a script that is asked before each primitive. Decides nothing else.

use std::fmt;

use crate::remote::{Class, RemoteError};

/// What a session does with the server; one reply each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    /// Opening a session.
    Connect,
    /// STOR.
    Store,
    /// SIZE.
    Size,
    /// MFMT.
    SetModified,
    /// SITE CHMOD.
    SetMode,
    /// SITE SYMLINK.
    MakeLink,
    /// RNFR and RNTO.
    Rename,
    /// SITE CPFR and SITE CPTO.
    Copy,
    /// DELE.
    RemoveFile,
    /// RMD.
    RemoveDir,
    /// MKD.
    MakeDir,
    /// MLST.
    Stat,
    /// MLSD.
    List,
    /// RETR.
    Fetch,
    /// XSHA256.
    Checksum,
    /// NOOP.
    Ping,
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Store => "STOR",
            Self::Size => "SIZE",
            Self::SetModified => "MFMT",
            Self::SetMode => "SITE CHMOD",
            Self::MakeLink => "SITE SYMLINK",
            Self::Rename => "RNTO",
            Self::Copy => "SITE CPTO",
            Self::RemoveFile => "DELE",
            Self::RemoveDir => "RMD",
            Self::MakeDir => "MKD",
            Self::Stat => "MLST",
            Self::List => "MLSD",
            Self::Fetch => "RETR",
            Self::Checksum => "XSHA256",
            Self::Ping => "NOOP",
        })
    }
}

/// What goes wrong with one primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Nothing happens on the server, the caller gets an error of this class; the session lives on if such an error lets it.
    Fail(Class),
    /// It happens, but the reply is lost and the session with it. Connecting merely fails.
    LostReply,
    /// The connection is lost before it happens; of a store or a fetch, half of the body has arrived, and of a copy half is there.
    Cut,
}

impl Fault {
    /// What the caller is told.
    pub(super) fn error(self) -> RemoteError {
        let class = if let Self::Fail(class) = self { class } else { Class::Transient };
        RemoteError::new(class, ScriptedError)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a scripted fault")]
struct ScriptedError;

/// A script of faults.
pub struct Faults {
    script: Box<dyn FnMut(u64, Primitive) -> Fault + Send>,
    number: u64,
}

impl Faults {
    /// No fault ever.
    pub fn none() -> Self {
        Self::script(|_, _| Fault::None)
    }

    /// What `script` says of each primitive and its running number, which starts at 0.
    pub fn script(script: impl FnMut(u64, Primitive) -> Fault + Send + 'static) -> Self {
        Self { script: Box::new(script), number: 0 }
    }

    /// `fault` at primitive number `at` and never else.
    pub fn at(at: u64, fault: Fault) -> Self {
        Self::script(move |number, _| if number == at { fault } else { Fault::None })
    }

    /// Of a thousand primitives among the first `until`, `per_mille` fail in ways that `seed` chooses; behind those,
    /// none.
    pub fn seeded(seed: u64, per_mille: u32, until: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self::script(move |number, primitive| {
            if number >= until || random.u32(0..1000) >= per_mille {
                return Fault::None;
            }
            match (random.u8(0..6), primitive) {
                (0, _) => Fault::Fail(Class::Transient),
                (1, Primitive::Connect) => Fault::Fail(Class::Busy),
                (1, Primitive::Store) => Fault::Fail(Class::Full),
                (2 | 3, _) => Fault::LostReply,
                _ => Fault::Cut,
            }
        })
    }

    pub(super) fn next(&mut self, primitive: Primitive) -> (u64, Fault) {
        let number = self.number;
        self.number += 1;
        (number, (self.script)(number, primitive))
    }
}
