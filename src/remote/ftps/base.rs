//! Directories on the server by their absolute names: the mirror's, and others beside it.

use super::{Class, RemoteError, SettingsError};
use crate::{
    ftps::{
        Client, Dial, Error,
        proto::{ArgumentError, ListedKind, Pathname},
    },
    model::RelPath,
};

/// What to do when the directory that is to be looked at is missing.
const NO_BASE_YET: &str = "correct `path`, or let `towline sync` make and fill it";

/// The mirror's directory: the components below the server's root, none for the root itself.
#[derive(Clone, Debug)]
pub(super) struct Base(Option<RelPath>);

impl Base {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, SettingsError> {
        let below = bytes.strip_prefix(b"/").ok_or(SettingsError::NotAbsolute)?;
        let below = below.strip_suffix(b"/").unwrap_or(below);
        if below.is_empty() {
            return Ok(Self(None));
        }
        let path = RelPath::new(below)?;
        absolute(&path)?;
        Ok(Self(Some(path)))
    }

    pub(super) fn join(&self, path: &RelPath) -> Result<Pathname, ArgumentError> {
        match &self.0 {
            None => absolute(path),
            Some(base) => Pathname::new([b"/", base.as_bytes(), b"/", path.as_bytes()].concat()),
        }
    }

    pub(super) fn itself(&self) -> Result<Pathname, ArgumentError> {
        self.0.as_ref().map_or_else(|| Pathname::new("/"), absolute)
    }

    pub(super) fn absolute(&self) -> Vec<u8> {
        let below: &[u8] = self.0.as_ref().map_or(b"", |base| base.as_bytes());
        [b"/", below].concat()
    }

    /// Finds out whether it is there.
    pub(super) async fn find<D: Dial>(&self, client: &mut Client<D>) -> Result<(), RemoteError> {
        let Some(base) = &self.0 else { return Ok(()) };
        match client.find(&absolute(base).map_err(Error::Name)?).await? {
            Some(found) if found.kind == ListedKind::Dir => Ok(()),
            _ => Err(RemoteError::new(Class::Refused, "the mirror's directory is not there").with_hint(NO_BASE_YET)),
        }
    }

    /// Makes the directory if it is missing, and those that it is in.
    pub(super) async fn ensure<D: Dial>(&self, client: &mut Client<D>) -> Result<(), Error> {
        let Some(base) = &self.0 else { return Ok(()) };
        match client.find(&absolute(base)?).await {
            Ok(Some(found)) if found.kind == ListedKind::Dir => return Ok(()),
            Err(error) if !error.leaves_connection_usable() => return Err(error),
            _ => {}
        }
        let mut outermost_first: Vec<RelPath> = base.ancestors().collect();
        outermost_first.reverse();
        for dir in outermost_first {
            // What counts is the last one: an outer directory may be there without being ours to see.
            match client.make_dir(&absolute(&dir)?).await {
                Err(error) if !error.leaves_connection_usable() => return Err(error),
                _ => {}
            }
        }
        client.make_dir(&absolute(base)?).await
    }
}

/// A path below another directory than the mirror's.
pub(super) fn beside(base: &[u8], path: &RelPath) -> Result<Pathname, RemoteError> {
    let base = Base::new(base).map_err(|_| RemoteError::new(Class::Refused, "no directory of a server is called like that"))?;
    base.join(path).map_err(|error| Error::Name(error).into())
}

fn absolute(path: &RelPath) -> Result<Pathname, ArgumentError> {
    Pathname::new([b"/", path.as_bytes()].concat())
}
