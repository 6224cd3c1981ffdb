//! Setting a modification time: no server has the same way. Nothing else.

use tracing::debug;

use super::Client;
use crate::ftps::{
    dial::Dial,
    error::Error,
    profile::SetTime,
    proto::{Command, Extra, Pathname, time},
};

impl<D: Dial> Client<D> {
    /// Sets the modification time, in whole seconds since the Unix epoch; `false` when this server has no way to, or
    /// refused it here. The way is learnt at the first attempt.
    ///
    /// # Errors
    /// Only when the connection is lost.
    pub async fn set_modified(&mut self, path: &Pathname, seconds: i64) -> Result<bool, Error> {
        if time::format(seconds).is_none() {
            return Ok(false);
        }
        let known = self.endpoint.profile().set_time;
        let ways: &[SetTime] = match &known {
            Some(SetTime::Never) => return Ok(false),
            Some(way) => std::slice::from_ref(way),
            None if self.connection.features.mfmt => &[SetTime::Mfmt],
            None => &[SetTime::MdtmSet, SetTime::SiteUtime],
        };
        let mut for_good = true;
        for way in ways {
            let Some(command) = command(*way, seconds, path) else { continue };
            let reply = self.command(&command).await?;
            if reply.is_positive() {
                self.endpoint.learn(|profile| profile.set_time = Some(*way));
                return Ok(true);
            }
            debug!(target: "towline::ftps", "{} was refused: {reply}", command.verb());
            for_good &= reply.is_permanent();
        }
        // A way that FEAT names or that has worked before was refused for this path alone.
        if known.is_none() && !self.connection.features.mfmt && for_good {
            self.endpoint.learn(|profile| profile.set_time = Some(SetTime::Never));
        }
        Ok(false)
    }
}

/// What sets the time of `path` that `way`.
pub(in crate::ftps) fn command(way: SetTime, seconds: i64, path: &Pathname) -> Option<Command> {
    let path = path.clone();
    match way {
        SetTime::Mfmt => Some(Command::Mfmt(seconds, path)),
        SetTime::Mff => Some(Command::Extra(Extra::Mff(seconds, path))),
        SetTime::MdtmSet => Some(Command::MdtmSet(seconds, path)),
        SetTime::SiteUtime => Some(Command::SiteUtime(seconds, path)),
        SetTime::Never => None,
    }
}
