//! How one put ends and the next begins, in two flights: everything that is asked of the new file goes out together, with the
//! question for the next data port; then its rename, with the command of the next upload right behind it. Where the server is
//! not known to answer a flight in order, the same one command at a time. What the answers mean is decided above.
//!
//! Of a short file the first flight goes out right behind its last byte, where the probe has found that the server takes it up when
//! it has the file. What it answers sooner is not believed, and asked again.
//!
//! A refused rename shifts nothing: its second command is out of sequence then (503) and does nothing, and every reply is
//! counted off for its own command.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Client, Dated, FLIGHT, find::parse_size, rename::renamed, site, times};
use crate::ftps::{
    data::{self, Beside},
    dial::Dial,
    error::Error,
    profile::SetTime,
    proto::{Command, Pathname, Reply},
};

/// A longer body does not arrive as a whole with the first flight of a new TCP connection (10 segments, RFC 6928), so that what is asked
/// behind it would come too soon.
const SHORT: u64 = 12 * 1024;
/// So often what was asked behind a body was answered too soon before it is left.
const TOO_SOON: u32 = 4;

/// What a put wants of its new file before that takes its name.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'p> {
    /// The new file.
    pub fresh: &'p Pathname,
    /// What it is to replace.
    pub path: &'p Pathname,
    /// How many bytes it is to have.
    pub bytes: u64,
    /// The time to set, in whole seconds since the Unix epoch.
    pub modified: Option<i64>,
    /// The permissions to set.
    pub mode: Option<u16>,
    /// Another upload follows at once.
    pub more: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Concluded {
    /// The size of the new file; `None` if there is none.
    pub size: Option<u64>,
    /// What it is to replace.
    pub found: Option<Dated>,
    /// The server does not set permissions, or did not here.
    pub mode_unset: bool,
}

/// An upload that was taken.
#[derive(Debug)]
pub struct Stored {
    /// So many bytes were sent.
    pub bytes: u64,
    /// What came of what was asked behind it; `None` if it has to be asked (again).
    pub concluded: Option<Concluded>,
}

/// Everything that is asked of a new file, as one flight.
struct Asking {
    commands: Vec<Command>,
    /// The first of them are about sizes; each that follows only if there is one.
    questions: usize,
    time: Option<Command>,
    mode: Option<Command>,
    ahead: Option<Command>,
}

impl<D: Dial> Client<D> {
    /// Asks for all that is `wanted`.
    ///
    /// # Errors
    /// When the server does not say how large the new file is, or what is at the path; or the connection is lost.
    pub async fn conclude(&mut self, wanted: Wanted<'_>) -> Result<Concluded, Error> {
        let Some(asking) = self.asking(&wanted) else { return self.conclude_one_by_one(wanted).await };
        let replies = self.ask_together(&asking.commands).await?;
        self.concluded(&wanted, &asking, &replies).await
    }

    /// The flight that asks for all that is `wanted`, where the server bears one.
    fn asking(&self, wanted: &Wanted<'_>) -> Option<Asking> {
        let time = wanted.modified.and_then(|seconds| times::command(self.known_way()?, seconds, wanted.fresh));
        let mode = wanted.mode.and_then(|bits| site::chmod(wanted.fresh, bits));
        let ahead = wanted.more.then(|| data::ahead(&self.endpoint, &self.connection)).flatten();
        let mut commands = vec![Command::Size(wanted.fresh.clone())];
        commands.extend(self.questions(wanted.path));
        let questions = commands.len();
        commands.extend([&time, &mode, &ahead].into_iter().flatten().cloned());
        let bears = self.answers_in_order() && self.bytes(&commands) <= FLIGHT;
        bears.then_some(Asking { commands, questions, time, mode, ahead })
    }

    /// What the replies to a flight come to.
    async fn concluded(&mut self, wanted: &Wanted<'_>, asking: &Asking, replies: &[Reply]) -> Result<Concluded, Error> {
        let (asked, mut rest) = replies.split_at(asking.questions);
        let mut next = |command: &Option<Command>| {
            command.is_some().then(|| rest.split_first()).flatten().map(|(reply, others)| {
                rest = others;
                reply
            })
        };
        let (timed, moded, port) = (next(&asking.time), next(&asking.mode), next(&asking.ahead));
        if let Some(port) = port {
            data::port_ahead(&self.endpoint, &mut self.connection, port);
        }
        if timed.is_some_and(Reply::is_positive) {
            let way = self.known_way();
            self.endpoint.learn(|profile| profile.set_time = way);
        }
        let mode_unset = wanted.mode.is_some() && !moded.is_some_and(Reply::is_positive);
        let size = match &asked[0] {
            reply if reply.code == 213 => {
                Some(parse_size(reply).ok_or_else(|| Error::Unexpected { verb: "SIZE", reply: reply.clone() })?)
            }
            _ => self.size(wanted.fresh).await?,
        };
        let found = self.answer(wanted.path, &asked[1..]).await?;
        if let (Some(seconds), None) = (wanted.modified, &asking.time) {
            self.set_modified(wanted.fresh, seconds).await?;
        }
        Ok(Concluded { size, found, mode_unset })
    }

    async fn conclude_one_by_one(&mut self, wanted: Wanted<'_>) -> Result<Concluded, Error> {
        let (size, found) = self.prove(wanted.fresh, wanted.path).await?;
        if let Some(seconds) = wanted.modified {
            self.set_modified(wanted.fresh, seconds).await?;
        }
        let mode_unset = match wanted.mode {
            None => false,
            Some(bits) => match self.set_mode(wanted.fresh, bits).await {
                Ok(set) => !set,
                Err(Error::Lacking(_)) => true,
                Err(error) => return Err(error),
            },
        };
        Ok(Concluded { size, found, mode_unset })
    }

    /// Stores a body under the temporary name of `wanted`, after the rename of the one `before` it; with what is wanted asked behind its
    /// last byte, where the server bears that. The store begins whatever came of the rename, but an end of the connection: then there is
    /// no second result.
    pub async fn store_next(
        &mut self,
        before: Option<(&Pathname, &Pathname)>,
        wanted: Wanted<'_>,
        open: &mut (dyn FnMut() -> mpsc::Receiver<Bytes> + Send),
    ) -> (Option<Result<(), Error>>, Option<Result<Stored, Error>>) {
        let command = Command::Stor(wanted.fresh.clone());
        // No body is sent for a name that cannot be.
        if let Err(unsendable) = Command::RenameTo(wanted.path.clone()).line(self.encoding()) {
            let renamed = match before {
                Some((from, to)) => Some(self.rename(from, to).await),
                None => None,
            };
            return (renamed, Some(Err(unsendable.into())));
        }
        let Some((from, to)) = before else {
            return (None, Some(self.store_asking(&mut Beside::default(), &command, &wanted, open).await));
        };
        let pair = [Command::RenameFrom(from.clone()), Command::RenameTo(to.clone())];
        let bears = self.renames_in_flights() && self.endpoint.profile().rows != Some(false);
        let together = bears && self.bytes(&pair) + self.bytes(std::slice::from_ref(&command)) <= FLIGHT;
        if !together {
            return match self.rename(from, to).await {
                Err(error) if !error.leaves_connection_usable() => (Some(Err(error)), None),
                renamed => (Some(renamed), Some(self.store_asking(&mut Beside::default(), &command, &wanted, open).await)),
            };
        }
        let mut beside = Beside { before: pair.to_vec(), ..Beside::default() };
        let stored = self.store_asking(&mut beside, &command, &wanted, open).await;
        let usable = stored.as_ref().err().is_none_or(Error::leaves_connection_usable);
        let renamed = match beside.told_before.as_slice() {
            [first, second] => renamed(first, second),
            // The upload was refused before anything of it went out.
            _ if usable => return (Some(self.rename(from, to).await), Some(stored)),
            // Nobody knows.
            _ => Err(Error::Closed { idle: false, last: None }),
        };
        match renamed {
            // Refused in a flight is not refused yet.
            Err(error) if usable && error.leaves_connection_usable() => (Some(self.rename(from, to).await), Some(stored)),
            renamed => (Some(renamed), Some(stored)),
        }
    }

    async fn store_asking(
        &mut self,
        beside: &mut Beside,
        command: &Command,
        wanted: &Wanted<'_>,
        open: &mut (dyn FnMut() -> mpsc::Receiver<Bytes> + Send),
    ) -> Result<Stored, Error> {
        let bears = self.endpoint.profile().behind == Some(true) && wanted.bytes <= SHORT;
        let asking = if bears { self.asking(wanted) } else { None };
        beside.behind = asking.as_ref().map(|asking| asking.commands.clone()).unwrap_or_default();
        let bytes = self.store_by(beside, None, command, open).await?;
        let Some(asking) = asking else { return Ok(Stored { bytes, concluded: None }) };
        let concluded = match beside.told_behind.take() {
            Some(replies) => match self.concluded(wanted, &asking, &replies).await {
                Err(error) if !error.leaves_connection_usable() => return Err(error),
                concluded => concluded.ok(),
            },
            None => {
                self.connection.too_soon += 1;
                if self.connection.too_soon == TOO_SOON {
                    self.endpoint.learn(|profile| profile.behind = Some(false));
                }
                None
            }
        };
        Ok(Stored { bytes, concluded })
    }

    /// How this server sets times, as far as that is known without trying.
    pub(super) fn known_way(&self) -> Option<SetTime> {
        let known = self.endpoint.profile().set_time;
        known.or_else(|| self.connection.features.mfmt.then_some(SetTime::Mfmt))
    }
}
