//! Looking at a copy on the server with its time, in one round trip where the server has the commands for it; and making another
//! copy of it there. What a difference means is decided above.

use std::time::Duration;

use super::{
    Client, Dated, FLIGHT, Found, IN_FLIGHT,
    find::{parse_size, says_missing},
    positive, refusal, sum,
};
use crate::{
    ftps::{
        dial::Dial,
        error::Error,
        proto::{Command, Extra, ListedKind, Pathname, Reply, listing, time},
    },
    model::Checksum,
};

/// A server copies no fewer bytes a second.
const SLOWEST: u64 = 10 << 20;
/// A file of so many bytes is copied within the time that any reply may take.
const SHORT: u64 = 64 << 20;

impl<D: Dial> Client<D> {
    /// What is at `path`, with its time; as [`Self::find`], but a directory may go for nothing.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn examine(&mut self, path: &Pathname) -> Result<Option<Dated>, Error> {
        let replies = self.ask_together(&self.questions(path)).await?;
        self.answer(path, &replies).await
    }

    /// [`Self::examine`] of each of `paths`, many in one go where the server is known to answer a flight in order.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn examine_all(&mut self, paths: &[Pathname]) -> Result<Vec<Option<Dated>>, Error> {
        let mut found = Vec::with_capacity(paths.len());
        while let Some(rest) = paths.get(found.len()..).filter(|rest| !rest.is_empty()) {
            let (mut commands, mut bytes, mut counts) = (Vec::new(), 0, Vec::new());
            for path in rest {
                let questions = self.questions(path);
                bytes += self.bytes(&questions);
                if !counts.is_empty() && (bytes > FLIGHT || commands.len() + questions.len() > IN_FLIGHT) {
                    break;
                }
                counts.push(questions.len());
                commands.extend(questions);
            }
            let replies = self.ask_together(&commands).await?;
            let mut replies = replies.as_slice();
            for (path, count) in rest.iter().zip(counts) {
                let (own, others) = replies.split_at_checked(count).unwrap_or((replies, &[]));
                found.push(self.answer(path, own).await?);
                replies = others;
            }
        }
        Ok(found)
    }

    /// The size of the file `fresh`, and what is at `path` with its time, in one go.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn prove(&mut self, fresh: &Pathname, path: &Pathname) -> Result<(Option<u64>, Option<Dated>), Error> {
        let mut commands = vec![Command::Size(fresh.clone())];
        commands.extend(self.questions(path));
        let replies = self.ask_together(&commands).await?;
        let size = match replies.first() {
            Some(reply) if reply.code == 213 => {
                Some(parse_size(reply).ok_or_else(|| Error::Unexpected { verb: "SIZE", reply: reply.clone() })?)
            }
            _ => self.size(fresh).await?,
        };
        Ok((size, self.answer(path, replies.get(1..).unwrap_or_default()).await?))
    }

    pub(super) fn bytes(&self, commands: &[Command]) -> usize {
        commands.iter().map(|command| command.encode(self.encoding()).len()).sum()
    }

    /// Whether `next` may go out in one flight with these.
    pub(in crate::ftps) fn has_room(&self, flight: &[Command], next: &Command) -> bool {
        flight.len() < IN_FLIGHT && self.bytes(flight) + self.bytes(std::slice::from_ref(next)) <= FLIGHT
    }

    /// Copies the file `from`, of `bytes` bytes, to `to`, on the server (SITE CPFR, SITE CPTO, as ProFTPD's mod_copy has them). The second
    /// command is only sent after the server agreed to the first; any other command ends a copy that was begun and not ended. Its reply
    /// comes when the copy is made, and is waited for so much longer.
    ///
    /// # Errors
    /// When refused.
    pub async fn copy(&mut self, from: &Pathname, to: &Pathname, bytes: u64) -> Result<(), Error> {
        let reply = self.command(&Command::Extra(Extra::CopyFrom(from.clone()))).await?;
        if !reply.is_intermediate() {
            return Err(refusal("SITE CPFR", reply));
        }
        let copying = Duration::from_secs(bytes / SLOWEST);
        let reply = self.connection.control.command_within(&Command::Extra(Extra::CopyTo(to.clone())), copying).await?;
        positive("SITE CPTO", reply)
    }

    /// [`Self::copy`] in one go (unless it is long) with what there is to ask about the copy: its size, and its checksum if it is to be
    /// `summed` and the server tells it by a single command. What else was begun before cannot be taken for it: the first command begins
    /// anew, or is refused, and then so is the second.
    ///
    /// # Errors
    /// When refused.
    pub async fn duplicate(
        &mut self,
        from: &Pathname,
        to: &Pathname,
        bytes: u64,
        summed: bool,
    ) -> Result<(Option<u64>, Option<Checksum>), Error> {
        if bytes > SHORT {
            self.copy(from, to, bytes).await?;
            return Ok((self.size(to).await?, None));
        }
        let mut commands: Vec<_> = [Extra::CopyFrom(from.clone()), Extra::CopyTo(to.clone())].map(Command::Extra).into();
        commands.push(Command::Size(to.clone()));
        let sum = if summed { self.single_sum(to) } else { None };
        commands.extend(sum.as_ref().map(|(_, command)| command.clone()));
        match self.ask_together(&commands).await?.as_slice() {
            [_, copied, size, rest @ ..] => {
                positive("SITE CPTO", copied.clone())?;
                let size = if size.code == 213 { parse_size(size) } else { None };
                Ok((size, sum.zip(rest.first()).and_then(|((way, _), reply)| sum::told(way, reply))))
            }
            _ => Ok((None, None)),
        }
    }

    pub(super) fn questions(&self, path: &Pathname) -> Vec<Command> {
        if self.connection.features.mlst.is_some() {
            vec![Command::Mlst(path.clone())]
        } else {
            vec![Command::Size(path.clone()), Command::Extra(Extra::Modified(path.clone()))]
        }
    }

    /// What the replies to the questions mean; if they do not say, it is asked for in every other way.
    pub(super) async fn answer(&mut self, path: &Pathname, replies: &[Reply]) -> Result<Option<Dated>, Error> {
        let said = match replies {
            [mlst] if mlst.code == 250 => listing::mlst_dated(mlst).map(|(kind, size, modified)| {
                let size = size.filter(|_| kind == ListedKind::File);
                Dated { found: Found { kind, size }, modified }
            }),
            [size, modified] if size.code == 213 => parse_size(size).map(|size| {
                let found = Found { kind: ListedKind::File, size: Some(size) };
                let modified = Some(modified).filter(|reply| reply.code == 213);
                Dated { found, modified: modified.and_then(|reply| time::parse(reply.text().trim().as_bytes())) }
            }),
            _ => None,
        };
        match said {
            Some(Dated { found, modified }) => {
                let found = self.mend(path, Some(found)).await?;
                Ok(found.map(|found| Dated { found, modified }))
            }
            // RFC 3659 §7.2.1 and §4.1 have 550 for just this. A directory may be there where there is no MLST: not what is
            // looked for here, and nothing replaces it.
            None if !replies.is_empty() && replies.iter().all(says_missing) => {
                Ok(self.mend(path, None).await?.map(|found| Dated { found, modified: None }))
            }
            None => Ok(self.find(path).await?.map(|found| Dated { found, modified: None })),
        }
    }

    /// Asks all of `commands`: in one flight, where the server is known to answer one in order.
    pub(super) async fn ask_together(&mut self, commands: &[Command]) -> Result<Vec<Reply>, Error> {
        let replies = if self.answers_in_order() && self.bytes(commands) <= FLIGHT {
            self.connection.control.flight(commands).await?
        } else {
            let mut replies = Vec::with_capacity(commands.len());
            for command in commands {
                replies.push(self.command(command).await?);
            }
            replies
        };
        match replies.iter().zip(commands).find(|(reply, _)| reply.code == 421) {
            Some((reply, command)) => Err(refusal(command.verb(), reply.clone())),
            None => Ok(replies),
        }
    }
}
