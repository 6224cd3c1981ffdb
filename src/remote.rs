//! The far side as the mirror sees it: a tree of names below the mirror's directory, spoken of in verbs that every
//! server can do. [`ftps`] does them over FTPS; [`memory`] refuses what FTP refuses, for tests.

pub mod ftps;
pub mod memory;

use std::future::Future;

use bytes::Bytes;
use tokio::sync::mpsc;

pub use crate::model::Abilities;
use crate::model::{Checksum, Kind, Mode, RelPath, ServerCopy, Stat, UnixMillis};

/// A place to mirror to. Cheap to share; every worker gets a session of its own.
pub trait Remote: Send + Sync + 'static {
    /// A logged-in conversation.
    type Session: Session;

    /// Opens one: connected, encrypted, verified, logged in, and in the mirror's directory (which is made if missing).
    ///
    /// # Errors
    /// Classified, see [`Class`].
    fn connect(&self) -> impl Future<Output = Result<Self::Session, RemoteError>> + Send;

    /// What will need attention though everything works at `now`: certificates that expire, in words.
    fn warnings(&self, now: UnixMillis) -> Vec<String> {
        let _ = now;
        Vec::new()
    }

    /// Which directory of which account on which server, in words that stay the same while it does.
    fn target(&self) -> String {
        String::new()
    }

    /// What is known of the server by now; may grow with every session.
    fn abilities(&self) -> Abilities {
        Abilities::UNKNOWN
    }

    /// Whether there is more to find out about the server, by [`Session::study`], when there is time for it.
    fn is_to_be_studied(&self) -> bool {
        false
    }
}

/// A logged-in conversation with the server; one command at a time. Every path is relative to the mirror's directory.
///
/// After an error for which [`RemoteError::session_survives`] is false the session is dead and must be dropped.
/// Removing what is gone already and making a directory that exists already are successes.
pub trait Session: Send + 'static {
    /// Sends a body to the file `path` (always a temporary name), replacing what is there. Done means: body sent, TLS closed in
    /// order, and the server's final positive reply. The number of bytes sent is returned; that the server holds as many is
    /// for [`Self::size`] to prove.
    fn store(&mut self, path: &RelPath, body: &mut dyn Source) -> impl Future<Output = Result<u64, RemoteError>> + Send;

    /// Sends a body to the end of the file `path` (a temporary name, or one that was allowed to grow where it is), otherwise as
    /// [`Self::store`]; [`Class::Refused`] if this server is not known to have a way to, or will not: then nothing was taken.
    fn append(&mut self, path: &RelPath, body: &mut dyn Source) -> impl Future<Output = Result<u64, RemoteError>> + Send {
        let _ = (path, body);
        std::future::ready(Err(RemoteError::new(Class::Refused, "nothing can be added to files")))
    }

    /// Writes a body over the bytes of the file `path` (always a temporary name) from byte `at` on, otherwise as [`Self::store`]; what lies
    /// in front and behind stays as it is. [`Class::Refused`] unless [`Self::overwrites`].
    fn overwrite(
        &mut self,
        path: &RelPath,
        at: u64,
        body: &mut dyn Source,
    ) -> impl Future<Output = Result<u64, RemoteError>> + Send {
        let _ = (path, at, body);
        std::future::ready(Err(RemoteError::new(Class::Refused, "nothing can be written over inside files")))
    }

    /// Whether this server is known to do that.
    fn overwrites(&self) -> bool {
        false
    }

    /// The size of the file `path` in bytes, or `None` if there is no such file.
    fn size(&mut self, path: &RelPath) -> impl Future<Output = Result<Option<u64>, RemoteError>> + Send;

    /// Sets the modification time (whole seconds since the Unix epoch); `false` if this server has no way to.
    fn set_modified(&mut self, path: &RelPath, seconds: i64) -> impl Future<Output = Result<bool, RemoteError>> + Send;

    /// Sets the permissions of a file or directory; `false` if this server has no way to, or refused it here.
    fn set_mode(&mut self, path: &RelPath, mode: Mode) -> impl Future<Output = Result<bool, RemoteError>> + Send;

    /// Makes a symbolic link `path`, which is a temporary name, that holds `target`: relative to the directory of `path`, and
    /// inside the mirror's directory. Some servers write it down in another spelling.
    fn make_link(&mut self, path: &RelPath, target: &[u8]) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Renames a file or link; a file or link called `to` is replaced.
    fn rename(&mut self, from: &RelPath, to: &RelPath) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Makes one change, as the method that it is named after; whether it is made is `false` only where that one says so.
    fn change(&mut self, change: Change<'_>) -> impl Future<Output = Result<bool, RemoteError>> + Send {
        async move {
            match change {
                Change::Rename(from, to) => self.rename(from, to).await.map(|()| true),
                Change::RemoveFile(path) => self.remove_file(path).await.map(|()| true),
                Change::RemoveDir(path) => self.remove_dir(path).await.map(|()| true),
                Change::MakeDir(path) => self.make_dir(path).await.map(|()| true),
                Change::SetModified(path, seconds) => self.set_modified(path, seconds).await,
                Change::SetMode(path, mode) => self.set_mode(path, mode).await,
            }
        }
    }

    /// Makes many changes in their order, each whatever becomes of the others, with as few round trips as the server bears.
    ///
    /// What came of each, as of [`Self::change`]. After an error that ends the session nothing follows, and nobody knows which of
    /// the rest were made. One that was refused may be allowed when it is asked for alone.
    fn change_all(&mut self, changes: &[Change<'_>]) -> impl Future<Output = Vec<Result<bool, RemoteError>>> + Send {
        async move {
            let mut results = Vec::with_capacity(changes.len());
            for change in changes {
                results.push(self.change(*change).await);
                if results.last().is_some_and(|last| last.as_ref().is_err_and(|e| !e.session_survives())) {
                    break;
                }
            }
            results
        }
    }

    /// Copies a file of `bytes` bytes on the server to a name that is not taken; [`Class::Refused`] if this server has no way to. That the
    /// copy is whole is for [`Self::size`] to prove.
    fn copy(&mut self, from: &RelPath, to: &RelPath, bytes: u64) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// [`Self::copy`], and what there is to ask about the copy, in as few round trips as the server bears: its [`Self::size`], and its
    /// [`Self::checksum`] if it is to be `summed`. What is at `from` has to be looked at before: servers copy whole directories.
    fn duplicate(
        &mut self,
        from: &RelPath,
        to: &RelPath,
        bytes: u64,
        summed: bool,
    ) -> impl Future<Output = Result<Duplicate, RemoteError>> + Send {
        async move {
            self.copy(from, to, bytes).await?;
            let size = self.size(to).await?;
            Ok(Duplicate { size, sum: if summed { self.checksum(to, None).await? } else { None } })
        }
    }

    /// Removes a file or link.
    fn remove_file(&mut self, path: &RelPath) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Removes an empty directory; one that is not empty is [`Class::NotEmpty`].
    fn remove_dir(&mut self, path: &RelPath) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Makes a directory, whose parent exists.
    fn make_dir(&mut self, path: &RelPath) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// What is at `path`; `None` only if the server said by exact name that nothing is.
    fn stat(&mut self, path: &RelPath) -> impl Future<Output = Result<Option<Stat>, RemoteError>> + Send;

    /// The names in a directory (`None`: the mirror's own), which is known to be there.
    fn list(&mut self, dir: Option<&RelPath>) -> impl Future<Output = Result<Listing, RemoteError>> + Send;

    /// Reads the file `path`, which is said to have `size` bytes, into `into`. Done means: just as many came, TLS was closed in
    /// order, and the server said so. After an error what came is worth nothing; when nobody receives, that is one.
    fn fetch(
        &mut self,
        path: &RelPath,
        size: u64,
        into: mpsc::Sender<Bytes>,
    ) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// The checksum that the server computes of a file, or of its bytes from a first one up to and without a last one; `None`
    /// if it has no (such) way to, or refused it here.
    fn checksum(
        &mut self,
        path: &RelPath,
        part: Option<(u64, u64)>,
    ) -> impl Future<Output = Result<Option<Checksum>, RemoteError>> + Send;

    /// What is at `path`, with its time. `None` as for [`Self::stat`]; some servers tell nothing of directories here.
    fn examine(&mut self, path: &RelPath) -> impl Future<Output = Result<Option<ServerCopy>, RemoteError>> + Send;

    /// [`Self::examine`] of each of `paths`, with as few round trips as the server bears.
    fn examine_all(&mut self, paths: &[RelPath]) -> impl Future<Output = Result<Vec<Option<ServerCopy>>, RemoteError>> + Send {
        async move {
            let mut found = Vec::with_capacity(paths.len());
            for path in paths {
                found.push(self.examine(path).await?);
            }
            Ok(found)
        }
    }

    /// The size of the file `fresh`, and what is at `path` with its time: [`Self::size`] and [`Self::examine`], in one round
    /// trip where the server bears it.
    fn prove(
        &mut self,
        fresh: &RelPath,
        path: &RelPath,
    ) -> impl Future<Output = Result<(Option<u64>, Option<ServerCopy>), RemoteError>> + Send;

    /// All that a put asks of its new file, and of what that replaces, in one round trip where the server bears it:
    /// [`Self::prove`], and what can be set of [`Self::set_modified`] and [`Self::set_mode`].
    fn conclude(&mut self, wanted: Wanted<'_>) -> impl Future<Output = Result<Concluded, RemoteError>> + Send {
        async move {
            let (size, found) = self.prove(wanted.fresh, wanted.path).await?;
            let mut concluded = Concluded { size, found, mode_unset: false };
            // A server may be unable to set either, which is no failure.
            if let Some(seconds) = wanted.modified
                && let Err(e) = self.set_modified(wanted.fresh, seconds).await
                && !e.session_survives()
            {
                return Err(e);
            }
            if let Some(mode) = wanted.mode {
                concluded.mode_unset = match self.set_mode(wanted.fresh, mode).await {
                    Ok(set) => !set,
                    Err(e) if e.session_survives() => true,
                    Err(e) => return Err(e),
                };
            }
            Ok(concluded)
        }
    }

    /// [`Self::store`] under the temporary name of `wanted`, right behind the [`Self::rename`] of the one `before` it, and
    /// [`Self::conclude`], in as few round trips as the server bears. What came of each: the store is begun whatever came of the rename,
    /// unless that ended the session.
    fn store_next(
        &mut self,
        before: Option<(&RelPath, &RelPath)>,
        wanted: Wanted<'_>,
        body: &mut dyn Source,
    ) -> impl Future<Output = Both> + Send {
        async move {
            let renamed = match before {
                None => None,
                Some((from, to)) => Some(self.rename(from, to).await),
            };
            if let Some(Err(e)) = &renamed
                && !e.session_survives()
            {
                return (renamed, None);
            }
            let stored = self.store(wanted.fresh, body).await;
            (renamed, Some(stored.map(|bytes| Stored { bytes, concluded: None })))
        }
    }

    /// Finds out what no upload needed to know about the server, if that is to be done yet: whether a cut upload can go on, what
    /// listings show.
    fn study(&mut self) -> impl Future<Output = Result<(), RemoteError>> + Send {
        async { Ok(()) }
    }

    /// Asks for a sign of life (NOOP).
    fn ping(&mut self) -> impl Future<Output = Result<(), RemoteError>> + Send;

    /// Whether it should be closed and replaced by a fresh one at the next idle moment: servers forget TLS sessions.
    fn is_stale(&self) -> bool {
        false
    }

    /// Says good-bye, briefly.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// A change that needs no data connection, named after the method of [`Session`] that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'p> {
    /// From the first name to the second.
    Rename(&'p RelPath, &'p RelPath),
    /// A file or a link.
    RemoveFile(&'p RelPath),
    /// A directory that is empty.
    RemoveDir(&'p RelPath),
    /// A directory whose parent exists.
    MakeDir(&'p RelPath),
    /// To whole seconds since the Unix epoch.
    SetModified(&'p RelPath, i64),
    /// Of a file or a directory.
    SetMode(&'p RelPath, Mode),
}

/// What a put wants of its new file before that takes its name.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'p> {
    /// The new file, under a temporary name.
    pub fresh: &'p RelPath,
    /// What it is to replace.
    pub path: &'p RelPath,
    /// The modification time to set, in whole seconds since the Unix epoch.
    pub modified: Option<i64>,
    /// The permissions to set.
    pub mode: Option<Mode>,
    /// Another [`Session::store_next`] follows at once: it may be prepared.
    pub more: bool,
    /// How many bytes it is to have, as far as that is known before it is read.
    pub bytes: u64,
}

/// What came of a rename, if there was one, and of an upload behind it, if it was begun.
pub type Both = (Option<Result<(), RemoteError>>, Option<Result<Stored, RemoteError>>);

/// An upload that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// So many bytes were sent.
    pub bytes: u64,
    /// What came of what was wanted, where that was asked along with it; else it is to be asked.
    pub concluded: Option<Concluded>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concluded {
    /// The size of the new file in bytes; `None` if there is none.
    pub size: Option<u64>,
    /// What it is to replace, with its time.
    pub found: Option<ServerCopy>,
    /// The server did not set the permissions.
    pub mode_unset: bool,
}

/// A copy that was made on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its size in bytes; `None` if there is none.
    pub size: Option<u64>,
    /// Its checksum, where it was asked for with the rest and is known; else it may be asked for.
    pub sum: Option<Checksum>,
}

/// A body that can be read from its start more than once: a server may refuse a data connection after it took a part
/// of the body, and the same upload is then tried once more.
pub trait Source: Send {
    /// Starts reading at the first byte. The channel closes at the end of the body.
    fn open(&mut self) -> mpsc::Receiver<Bytes>;
}

/// A directory as the server tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names, in the server's order.
    pub entries: Vec<Listed>,
    /// Why names may be missing; `None` when what is not in it is not there.
    pub doubt: Option<String>,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// One component.
    pub name: Vec<u8>,
    /// What it is; `None` for what is never mirrored.
    pub kind: Option<Kind>,
    /// Bytes of a file, where the server says so.
    pub size: Option<u64>,
    /// When it was last modified, in seconds since the Unix epoch, where the server says so.
    pub modified: Option<i64>,
}

/// What a failure means for what comes next; found out once, where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The network, a time-out, a 4xx without a better meaning: try again later. The session is gone.
    Transient,
    /// Too many connections (421, or a 530 while another login of the account is up): use fewer.
    Busy,
    /// No space, or over quota (452, 552): the whole remote pauses and probes.
    Full,
    /// This path was refused (550, 553 and their kin).
    Refused,
    /// A directory could not be removed because something is in it.
    NotEmpty,
    /// FTP cannot carry the name.
    Name,
    /// The account or its password were refused (530): stop, say so.
    Auth,
    /// TLS failed: certificate, protocol version, or the server would not encrypt.
    Tls,
    /// The server does not speak FTP as the RFCs have it, or exceeded a limit.
    Protocol,
}

/// A failure of the remote, classified.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct RemoteError {
    /// What it means.
    pub class: Class,
    /// What it was, in the words of its origin; holds no secret.
    pub source: Box<dyn std::error::Error + Send + Sync>,
    /// What an operator can do, where there is something.
    pub hint: Option<&'static str>,
}

impl RemoteError {
    /// A failure of class `class`.
    pub fn new(class: Class, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { class, source: source.into(), hint: None }
    }

    /// With advice for the operator.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Whether the session that met it can go on.
    pub fn session_survives(&self) -> bool {
        matches!(self.class, Class::Refused | Class::NotEmpty | Class::Name | Class::Full)
    }
}
