//! How one put ends and the next begins, in two flights: everything that is asked of the new file goes out together, with the
//! question for the next data port; then its rename, with the command of the next upload right behind it. Where the server is
//! not known to answer a flight in order, the same one command at a time. What the answers mean is decided above.
//!
//! A refused rename shifts nothing: its second command is out of sequence then (503) and does nothing, and every reply is
//! counted off for its own command.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Client, Dated, FLIGHT, Lead, find::parse_size, rename::renamed, site, times};
use crate::ftps::{
    data,
    dial::Dial,
    error::Error,
    profile::SetTime,
    proto::{Command, Pathname, Reply},
};

/// What a put wants of its new file before that takes its name.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'p> {
    /// The new file.
    pub fresh: &'p Pathname,
    /// What it is to replace.
    pub path: &'p Pathname,
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

impl<D: Dial> Client<D> {
    /// Asks for all that is `wanted`.
    ///
    /// # Errors
    /// When the server does not say how large the new file is, or what is at the path; or the connection is lost.
    pub async fn conclude(&mut self, wanted: Wanted<'_>) -> Result<Concluded, Error> {
        let time = wanted.modified.and_then(|seconds| times::command(self.known_way()?, seconds, wanted.fresh));
        let mode = wanted.mode.and_then(|bits| site::chmod(wanted.fresh, bits));
        let ahead = wanted.more.then(|| data::ahead(&self.endpoint, &self.connection)).flatten();
        let mut commands = vec![Command::Size(wanted.fresh.clone())];
        commands.extend(self.questions(wanted.path));
        let questions = commands.len();
        commands.extend([&time, &mode, &ahead].into_iter().flatten().cloned());
        if !(self.answers_in_order() && self.bytes(&commands) <= FLIGHT) {
            return self.conclude_one_by_one(wanted).await;
        }
        let replies = self.ask_together(&commands).await?;
        let (asked, mut rest) = replies.split_at(questions);
        let mut next = |command: &Option<Command>| {
            command.is_some().then(|| rest.split_first()).flatten().map(|(reply, others)| {
                rest = others;
                reply
            })
        };
        let (timed, moded, port) = (next(&time), next(&mode), next(&ahead));
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
        if let (Some(seconds), None) = (wanted.modified, time) {
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

    /// [`Self::rename`], and [`Self::store`] right behind it, which begins whatever came of the rename but an end of the
    /// connection: then there is no second result.
    pub async fn store_behind(
        &mut self,
        from: &Pathname,
        to: &Pathname,
        path: &Pathname,
        open: &mut (dyn FnMut() -> mpsc::Receiver<Bytes> + Send),
    ) -> (Result<(), Error>, Option<Result<u64, Error>>) {
        let pair = [Command::RenameFrom(from.clone()), Command::RenameTo(to.clone())];
        let command = Command::Stor(path.clone());
        let bears = self.renames_in_flights() && self.endpoint.profile().rows != Some(false);
        let together = bears && self.bytes(&pair) + self.bytes(std::slice::from_ref(&command)) <= FLIGHT;
        if !together {
            return match self.rename(from, to).await {
                Err(error) if !error.leaves_connection_usable() => (Err(error), None),
                renamed => (renamed, Some(self.store(path, open).await)),
            };
        }
        let mut lead = Lead { commands: pair.to_vec(), replies: Vec::new() };
        let stored = self.store_by(&mut lead, None, &command, open).await;
        let usable = stored.as_ref().err().is_none_or(Error::leaves_connection_usable);
        let renamed = match lead.replies.as_slice() {
            [first, second] => renamed(first, second),
            // The upload was refused before anything of it went out.
            _ if usable => return (self.rename(from, to).await, Some(stored)),
            // Nobody knows.
            _ => Err(Error::Closed { idle: false, last: None }),
        };
        match renamed {
            // Refused in a flight is not refused yet.
            Err(error) if usable && error.leaves_connection_usable() => (self.rename(from, to).await, Some(stored)),
            renamed => (renamed, Some(stored)),
        }
    }

    /// How this server sets times, as far as that is known without trying.
    fn known_way(&self) -> Option<SetTime> {
        let known = self.endpoint.profile().set_time;
        known.or_else(|| self.connection.features.mfmt.then_some(SetTime::Mfmt))
    }
}
