//! Changes that need no data connection, many in one flight where the server is known to answer one in order. What is refused
//! there is not refused for good: alone it goes other ways, and the server is asked what is so already.
//!
//! In a flight the second command of a rename goes out before the server agreed to the first: without that it is out of
//! sequence (503) and does nothing, so that what is refused does not shift its neighbours.

use super::{Client, FLIGHT, IN_FLIGHT, positive, refusal, rename::renamed, site, times};
use crate::ftps::{
    dial::Dial,
    error::Error,
    profile::SetTime,
    proto::{Command, Pathname, Reply, time},
};

/// A change that needs no data connection.
#[derive(Clone, Debug)]
pub enum Change {
    /// [`Client::rename`].
    Rename(Pathname, Pathname),
    /// [`Client::remove_file`].
    RemoveFile(Pathname),
    /// [`Client::remove_dir`].
    RemoveDir(Pathname),
    /// [`Client::make_dir`].
    MakeDir(Pathname),
    /// [`Client::set_modified`].
    SetModified(Pathname, i64),
    /// [`Client::set_mode`].
    SetMode(Pathname, u16),
}

impl<D: Dial> Client<D> {
    /// Makes one change; `false` is for times and permissions that this server has no way to set, or did not set here.
    ///
    /// # Errors
    /// As of the method for it.
    pub async fn change(&mut self, change: &Change) -> Result<bool, Error> {
        match change {
            Change::Rename(from, to) => self.rename(from, to).await.map(|()| true),
            Change::RemoveFile(path) => self.remove_file(path).await.map(|()| true),
            Change::RemoveDir(path) => self.remove_dir(path).await.map(|()| true),
            Change::MakeDir(path) => self.make_dir(path).await.map(|()| true),
            Change::SetModified(path, seconds) => self.set_modified(path, *seconds).await,
            Change::SetMode(path, bits) => match self.set_mode(path, *bits).await {
                Err(Error::Lacking(_)) => Ok(false),
                set => set,
            },
        }
    }

    /// Makes `changes` in their order, each whatever becomes of the others, in flights of a few where this server answers those
    /// in order.
    ///
    /// What came of each; shorter than `changes` only behind an error that ends the connection. Refused in a flight is not
    /// refused by [`Self::change`] yet.
    pub async fn change_all(&mut self, changes: &[Change]) -> Vec<Result<bool, Error>> {
        let mut results = Vec::with_capacity(changes.len());
        while let Some(rest) = changes.get(results.len()..).filter(|rest| !rest.is_empty()) {
            let (counts, commands) = self.together(rest);
            if counts.len() < 2 {
                results.push(self.change(&rest[0]).await);
            } else {
                match self.connection.control.flight(&commands).await {
                    Ok(replies) => {
                        let mut replies = replies.as_slice();
                        for (change, count) in rest.iter().zip(counts) {
                            let (own, others) = replies.split_at_checked(count).unwrap_or((replies, &[]));
                            results.push(self.changed(change, own));
                            replies = others;
                        }
                    }
                    Err(error) => results.push(Err(error)),
                }
            }
            let end = results.iter().position(|result| result.as_ref().is_err_and(|e| !e.leaves_connection_usable()));
            if let Some(end) = end {
                results.truncate(end + 1);
                break;
            }
        }
        results
    }

    /// The first of `changes` that go out in one flight: how many commands each has, and all commands.
    fn together(&self, changes: &[Change]) -> (Vec<usize>, Vec<Command>) {
        let (mut counts, mut commands, mut bytes) = (Vec::new(), Vec::new(), 0);
        if !self.answers_in_order() {
            return (counts, commands);
        }
        for own in changes.iter().map_while(|change| self.commands(change)) {
            let lines: Result<Vec<_>, _> = own.iter().map(|command| command.line(self.encoding())).collect();
            // What cannot be sent is asked for alone, and says so.
            let Ok(lines) = lines else { break };
            bytes += lines.iter().map(|line| line.len()).sum::<usize>();
            if bytes > FLIGHT || commands.len() + own.len() > IN_FLIGHT {
                break;
            }
            counts.push(own.len());
            commands.extend(own);
        }
        (counts, commands)
    }

    /// What makes a change in a flight: nothing, where there is no way to; `None` if that is not known, or takes looking in between.
    fn commands(&self, change: &Change) -> Option<Vec<Command>> {
        let moves_aside = !self.renames_in_flights();
        Some(match change {
            // What a rename left aside may have to go, too.
            Change::Rename(..) | Change::RemoveFile(_) if moves_aside => return None,
            Change::Rename(from, to) => vec![Command::RenameFrom(from.clone()), Command::RenameTo(to.clone())],
            Change::RemoveFile(path) => vec![Command::Delete(path.clone())],
            Change::RemoveDir(path) => vec![Command::RemoveDir(path.clone())],
            Change::MakeDir(path) => vec![Command::MakeDir(path.clone())],
            Change::SetModified(_, seconds) if time::format(*seconds).is_none() => Vec::new(),
            Change::SetModified(path, seconds) => match self.known_way()? {
                SetTime::Never => Vec::new(),
                way => vec![times::command(way, *seconds, path)?],
            },
            Change::SetMode(path, bits) => site::chmod(path, *bits).into_iter().collect(),
        })
    }

    /// What the replies to a change's commands in a flight mean.
    fn changed(&self, change: &Change, replies: &[Reply]) -> Result<bool, Error> {
        let verb = match (change, replies) {
            (Change::Rename(..), [first, second]) => return renamed(first, second).map(|()| true),
            (Change::SetModified(..) | Change::SetMode(..), []) => return Ok(false),
            (Change::SetModified(..), [reply]) if reply.code != 421 => {
                if reply.is_positive() {
                    let way = self.known_way();
                    self.endpoint.learn(|profile| profile.set_time = way);
                }
                return Ok(reply.is_positive());
            }
            (Change::SetMode(..), [reply]) if reply.code != 421 => return Ok(reply.is_positive()),
            (Change::Rename(..), _) => "RNTO",
            (Change::RemoveFile(_), _) => "DELE",
            (Change::RemoveDir(_), _) => "RMD",
            (Change::MakeDir(_), _) => "MKD",
            (Change::SetModified(..), _) => "MFMT",
            (Change::SetMode(..), _) => "SITE CHMOD",
        };
        match replies {
            [reply] if reply.code == 421 => Err(refusal(verb, reply.clone())),
            [reply] => positive(verb, reply.clone()).map(|()| true),
            _ => Err(Error::OutOfStep),
        }
    }
}
