//! Listing a directory: the ways to do it, best first, and which of them a server has. How far to believe what comes is
//! decided in `proto::listing`.

use tracing::debug;

use super::{Client, positive};
use crate::ftps::{
    data,
    dial::Dial,
    error::Error,
    proto::{
        Command, Listing, Pathname,
        listing::{self, Circumstances, Completeness, Doubt, Format, Keep, ListingParser, Way},
        transfer::Failure,
    },
};

/// Ways that a server has refused in a directory that is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refused([bool; 4]);

impl<D: Dial> Client<D> {
    /// The names in a directory, and whether they are all. A directory that is missing is refused, never empty.
    ///
    /// # Errors
    /// As [`Self::store`]; when refused; or when the listing has no end.
    pub async fn list(&mut self, path: &Pathname) -> Result<Listing, Error> {
        self.list_keeping(path, &Keep::All).await
    }

    /// As [`Self::list`], but only some of the names are kept.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_keeping(&mut self, path: &Pathname, keep: &Keep) -> Result<Listing, Error> {
        let mut doubtful = None;
        let mut no = None;
        let mut refused = self.refused;
        for way in Way::ALL {
            if self.refused.0[way as usize] || (way == Way::Facts && self.connection.features.mlst.is_none()) {
                continue;
            }
            match self.attempt(way, path, keep).await {
                // Nothing in it, and nothing that proves anything: another way may show more.
                Ok(listing) if is_worth_another(&listing) => {
                    doubtful.get_or_insert(listing);
                }
                Ok(listing) => {
                    // Where another way works, it was not the directory that the server would not list.
                    self.refused = refused;
                    return Ok(listing);
                }
                Err(Attempt::Way(error)) => {
                    // The other ways have asked for the directory before.
                    if way == Way::Facts
                        && let Err(missing) = self.enter(path).await
                    {
                        return Err(if missing.leaves_connection_usable() { error } else { missing });
                    }
                    debug!(target: "towline::ftps", "another way to list is tried: {error}");
                    refused.0[way as usize] = !error.is_transient();
                    no = Some(error);
                }
                Err(Attempt::Over(error)) => return Err(error),
            }
        }
        match (doubtful, no) {
            (Some(listing), _) => Ok(listing),
            (None, Some(no)) => Err(no),
            (None, None) => Err(Error::Lacking("list a directory")),
        }
    }

    /// Lists by this command alone, in `inside` if that is given: for a probe, which asks what the command shows.
    pub(in crate::ftps) async fn shown_by(
        &mut self,
        command: &Command,
        format: Format,
        inside: Option<&Pathname>,
    ) -> Result<Listing, Error> {
        match self.receive(command, format, inside, &Keep::All).await {
            // The names in it are known: what is hidden is what is asked.
            Ok(received) => Ok(judged(received, true, Some(true))),
            Err(Attempt::Way(error) | Attempt::Over(error)) => Err(error),
        }
    }

    /// As [`Self::list_keeping`], by one way; of a server that has no other, or to compare them.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_by(&mut self, way: Way, path: &Pathname, keep: &Keep) -> Result<Listing, Error> {
        self.attempt(way, path, keep).await.map_err(|(Attempt::Way(error) | Attempt::Over(error))| error)
    }

    async fn attempt(&mut self, way: Way, path: &Pathname, keep: &Keep) -> Result<Listing, Attempt> {
        match way {
            Way::Facts => self.facts(path, keep).await,
            Way::ListAll | Way::StatAll | Way::List => self.inside(way, path, keep).await,
        }
    }

    async fn facts(&mut self, path: &Pathname, keep: &Keep) -> Result<Listing, Attempt> {
        let received = self.receive(&Command::Mlsd(path.clone()), Format::Facts, None, keep).await?;
        // What is listed as empty may not be there at all.
        let proven = received.listing.names_itself || received.listing.seen > 0;
        if !proven {
            self.enter(path).await.map_err(Attempt::Over)?;
        }
        Ok(judged(received, true, self.shows_dotfiles(Way::Facts)))
    }

    /// LIST of a missing directory is empty on some servers, and a path with a space confuses others: so the directory is
    /// entered first.
    async fn inside(&mut self, way: Way, path: &Pathname, keep: &Keep) -> Result<Listing, Attempt> {
        if way != Way::StatAll {
            let command = Command::List(way == Way::ListAll);
            let received = self.receive(&command, Format::Any, Some(path), keep).await?;
            return Ok(judged(received, way == Way::List, self.shows_dotfiles(way)));
        }
        self.enter(path).await.map_err(Attempt::Over)?;
        let here = Pathname::new(b".".as_slice()).map_err(|error| Attempt::Over(error.into()))?;
        let command = Command::StatAll(here);
        let reply = self.connection.control.listing(&command).await.map_err(Attempt::Over)?;
        if !reply.is_positive() {
            return Err(Attempt::of(super::refusal(command.verb(), reply)));
        }
        match listing::status(&reply, keep.clone()).map_err(|error| Attempt::Over(error.into()))? {
            // The status of the server, say.
            Some(listing) if listing.seen == 0 && !listing.names_itself && listing.rejected > 0 => {
                Err(Attempt::Way(Error::Unexpected { verb: command.verb(), reply }))
            }
            Some(listing) => Ok(judged(data::Received { listing, reply, closed: true }, false, self.shows_dotfiles(way))),
            None => Err(Attempt::Way(Error::Unexpected { verb: command.verb(), reply })),
        }
    }

    fn shows_dotfiles(&self, way: Way) -> Option<bool> {
        self.endpoint.profile().dotfiles.by(way)
    }

    async fn enter(&mut self, dir: &Pathname) -> Result<(), Error> {
        let reply = self.command(&Command::ChangeDir(dir.clone())).await?;
        positive("CWD", reply)
    }

    async fn receive(
        &mut self,
        command: &Command,
        format: Format,
        inside: Option<&Pathname>,
        keep: &Keep,
    ) -> Result<data::Received, Attempt> {
        let mut refusals = 0;
        loop {
            self.choose_tls().await.map_err(Attempt::Over)?;
            if let Some(dir) = inside {
                self.enter(dir).await.map_err(Attempt::Over)?;
            }
            let before = self.connection.context.tickets_received();
            let parser = ListingParser::new(format).keeping(keep.clone());
            match data::list(&self.endpoint, &mut self.connection, command, parser).await {
                Ok(received) => return Ok(received),
                Err(error) => self.meet(error, before, &mut refusals).map_err(Attempt::of)?,
            }
        }
    }
}

/// Why an attempt came to nothing.
enum Attempt {
    /// The server refused this way, or what the way was about.
    Way(Error),
    /// Another way would be no better.
    Over(Error),
}

impl Attempt {
    fn of(error: Error) -> Self {
        match error {
            Error::Transfer { failure: Failure::Refused | Failure::Aborted, .. } => Self::Way(error),
            Error::Refused { verb: "STAT -a", ref reply } if reply.code != 421 => Self::Way(error),
            error => Self::Over(error),
        }
    }
}

fn judged(received: data::Received, proven: bool, dotfiles: Option<bool>) -> Listing {
    let data::Received { listing, reply, closed } = received;
    listing.judged(Circumstances { reply: &reply, closed, proven, dotfiles })
}

fn is_worth_another(listing: &Listing) -> bool {
    listing.seen == 0 && matches!(listing.completeness, Completeness::Unknown(Doubt::EmptyUnproven))
}
