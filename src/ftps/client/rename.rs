//! Renaming, also over a file that is there where the server refuses that (IIS, Apache FtpServer): the old file is moved aside,
//! the new one takes its name, the old one goes. It is never removed first.
//!
//! The name aside is made from the target's alone, so that whoever comes next finds it. `to` is the live name, `from` the new
//! file, A the name aside. Where the connection or the process may die:
//!
//! | died | seen afterwards | who mends |
//! |---|---|---|
//! | before `to` went to A | `to` old, `from` new | nobody needs to |
//! | with `to` at A | nothing at `to`, A old, `from` new | [`Client::find`] of `to` puts A back; a rename to `to` succeeds, then removes A |
//! | with `from` at `to` | `to` new, A old | `find` of `to`, or its removal, removes A; a rename to `to` removes A before it needs the name |
//! | with A put back, `from` being refused | `to` old, `from` new | nobody needs to |
//!
//! If A cannot be put back, that is [`Error::Aside`], which leaves the job in doubt: `find` is asked, and tries again.
//! A rename that was begun (RNFR) and not ended does no harm: any other command ends it.
//! That a server refuses is noted in its profile before the first file is moved aside, so that after a crash somebody looks.

use tracing::{debug, warn};

use super::{Client, Found, find::split, positive, refusal};
use crate::ftps::{
    dial::Dial,
    error::Error,
    proto::{Command, ListedKind, Pathname, Reply},
};

/// What a name aside starts with. Hidden, and short enough for any file system whatever the name.
const PREFIX: &str = ".towline-aside-";
/// What all names of ours start with.
const OURS: &[u8] = b".towline-";

impl<D: Dial> Client<D> {
    /// Renames; a file that is called `to` is replaced. The second command is only sent after the server agreed to the first.
    ///
    /// # Errors
    /// When refused; both files are then as they were. [`Error::Aside`] if the one that was replaced could not be put back.
    pub async fn rename(&mut self, from: &Pathname, to: &Pathname) -> Result<(), Error> {
        let error = match self.rename_plainly(from, to).await {
            Ok(()) => {
                self.clear_aside(to).await?;
                return self.clear_aside(from).await;
            }
            Err(error) => error,
        };
        let may_be_in_the_way =
            matches!(&error, Error::Refused { verb: "RNTO", reply } if !matches!(reply.code, 421 | 452 | 530 | 552));
        let Some(aside) = aside_of(to)?.filter(|_| may_be_in_the_way) else { return Err(error) };
        let is_file = |found: Option<Found>| found.is_some_and(|found| found.kind == ListedKind::File);
        // Only a file that is surely there is moved away, and only for one that is there as well: some servers find out about
        // the source no earlier than at the RNTO.
        for path in [to, from] {
            match self.look(path).await {
                Ok(found) if is_file(found) => {}
                Err(lost) if !lost.leaves_connection_usable() => return Err(lost),
                _ => return Err(error),
            }
        }
        self.replace(from, to, &aside, error).await
    }

    /// Whether renames may go out in a flight: this server answers those in order, and replaces files.
    pub(super) fn renames_in_flights(&self) -> bool {
        self.answers_in_order() && self.endpoint.profile().rename_replaces != Some(false)
    }

    /// What is at `path`, after what a rename to it may have left half-way is mended.
    pub(super) async fn mend(&mut self, path: &Pathname, found: Option<Found>) -> Result<Option<Found>, Error> {
        if self.looks_only || self.endpoint.profile().rename_replaces != Some(false) {
            return Ok(found);
        }
        let Some(aside) = aside_of(path)? else { return Ok(found) };
        match found {
            Some(Found { kind: ListedKind::File, .. }) => {
                self.remove_aside(&aside).await?;
                Ok(found)
            }
            Some(_) => Ok(found),
            None => match self.look(&aside).await? {
                Some(old) if old.kind == ListedKind::File => {
                    warn!(target: "towline::ftps", "putting back {path:?}, which a rename had moved aside");
                    self.put_back(&aside, path).await?;
                    Ok(Some(old))
                }
                _ => Ok(None),
            },
        }
    }

    /// Removes what a rename to `path` may have left aside, while `path` is another file or gone for good.
    pub(super) async fn clear_aside(&mut self, path: &Pathname) -> Result<(), Error> {
        if self.endpoint.profile().rename_replaces != Some(false) {
            return Ok(());
        }
        match aside_of(path)? {
            Some(aside) => self.remove_aside(&aside).await,
            None => Ok(()),
        }
    }

    async fn rename_plainly(&mut self, from: &Pathname, to: &Pathname) -> Result<(), Error> {
        let reply = self.command(&Command::RenameFrom(from.clone())).await?;
        if !reply.is_intermediate() {
            return Err(refusal("RNFR", reply));
        }
        let reply = self.command(&Command::RenameTo(to.clone())).await?;
        positive("RNTO", reply)
    }

    async fn replace(&mut self, from: &Pathname, to: &Pathname, aside: &Pathname, refused: Error) -> Result<(), Error> {
        let known = self.endpoint.profile().rename_replaces;
        self.endpoint.learn(|profile| profile.rename_replaces = Some(false));
        // `to` is there: what is at this name is older still.
        self.remove_aside(aside).await?;
        match self.rename_plainly(to, aside).await {
            Ok(()) => {}
            // It may have been done all the same: what was noted stays.
            Err(lost) if !lost.leaves_connection_usable() => return Err(lost),
            Err(_) => {
                self.endpoint.learn(|profile| profile.rename_replaces = known);
                return Err(refused);
            }
        }
        match self.rename_plainly(from, to).await {
            Ok(()) => {
                debug!(target: "towline::ftps", "replaced {to:?} by moving the old file aside: {refused}");
                self.remove_aside(aside).await
            }
            Err(error) if !error.leaves_connection_usable() => Err(error),
            Err(error) => {
                // It was not in the way after all.
                self.put_back(aside, to).await?;
                self.endpoint.learn(|profile| profile.rename_replaces = known);
                Err(error)
            }
        }
    }

    async fn put_back(&mut self, aside: &Pathname, to: &Pathname) -> Result<(), Error> {
        match self.rename_plainly(aside, to).await {
            Err(Error::Refused { verb, reply }) if reply.code != 421 => {
                Err(Error::Aside { path: to.clone(), aside: aside.clone(), verb, reply })
            }
            result => result,
        }
    }

    /// Removes the old file; that it stays is no failure, only untidy, and mended at the next occasion.
    async fn remove_aside(&mut self, aside: &Pathname) -> Result<(), Error> {
        let reply = self.command(&Command::Delete(aside.clone())).await?;
        if reply.code == 421 { positive("DELE", reply) } else { Ok(()) }
    }
}

/// What the replies to one pair of a flight mean.
pub(super) fn renamed(first: &Reply, second: &Reply) -> Result<(), Error> {
    match (first.is_intermediate(), second) {
        _ if first.code == 421 => Err(refusal("RNFR", first.clone())),
        (_, second) if second.code == 421 => Err(refusal("RNTO", second.clone())),
        (true, second) => positive("RNTO", second.clone()),
        // Whatever it did, it was not this.
        (false, second) if second.is_positive() => Err(Error::Unexpected { verb: "RNTO", reply: second.clone() }),
        (false, _) => Err(refusal("RNFR", first.clone())),
    }
}

/// The name aside for what is at `path`: always the same, beside it. `None` for names of ours, which replace nothing.
fn aside_of(path: &Pathname) -> Result<Option<Pathname>, Error> {
    let Some((_, name)) = split(path)?.filter(|(_, name)| !name.starts_with(OURS)) else { return Ok(None) };
    let parent = &path.as_bytes()[..path.as_bytes().len() - name.len()];
    let digest = &blake3::hash(&name).to_hex()[..16];
    Ok(Some(Pathname::new([parent, PREFIX.as_bytes(), digest.as_bytes()].concat())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_aside_is_beside_it_short_and_its_own() {
        let aside = |path: &[u8]| aside_of(&Pathname::new(path).expect("sendable")).expect("sendable");
        let long = [b"/d/".to_vec(), vec![0xfe; 255]].concat();
        let name = aside(&long).expect("a name");
        assert!(name.as_bytes().starts_with(b"/d/.towline-aside-") && name.as_bytes().len() == 3 + 15 + 16, "{name:?}");
        assert_eq!(aside(&long), Some(name.clone()));
        assert_ne!(aside(b"/d/a"), Some(name));
        assert_ne!(aside(b"/d/a"), aside(b"/d/A"));
        assert_ne!(aside(b"/a"), aside(b"/d/a"));
        assert_eq!((aside(b"/d/.towline-1-2.part"), aside(b"/")), (None, None));
    }
}
