//! Other mirrors on the same server, by the same account: what their indexes say that the server holds, it can copy to here. They are read
//! alone; what they say is compared with what is there before anything is copied, and the copy is proven like any other.

use std::{path::PathBuf, sync::Mutex};

use crate::{
    index::{Index, IndexError, Reader},
    model::{Beside, Digest, Fingerprint, Like, RelPath},
};

/// Another mirror on the same server, by the same account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: PathBuf,
    /// Its directory on the server, absolute.
    pub base: Vec<u8>,
}

/// All of them, with their indexes as far as they could be opened.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Vec<(Neighbour, Mutex<Option<Reader>>)>);

impl Neighbours {
    pub(super) fn new(all: &[Neighbour]) -> Self {
        Self(all.iter().map(|neighbour| (neighbour.clone(), Mutex::default())).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pending files of `index`, at most `limit`, that nobody has read and that have the size of one that a neighbour has.
    ///
    /// # Errors
    /// When `index` cannot be read.
    pub(super) fn undigested(&self, index: &Index, limit: usize) -> Result<Vec<(RelPath, Fingerprint)>, IndexError> {
        if self.is_empty() { Ok(Vec::new()) } else { index.undigested_like(limit, |size| self.has_size(size)) }
    }

    fn has_size(&self, size: u64) -> bool {
        self.ask(|_, reader| reader.has_size(size).map(|has| has.then_some(()))).is_some()
    }

    /// Where one of them has this content.
    pub(super) fn find(&self, size: u64, digest: Digest) -> Option<Like> {
        self.ask(|neighbour, reader| {
            let Some((path, print)) = reader.holder(size, digest)? else { return Ok(None) };
            let beside = Beside { mirror: neighbour.name.clone(), base: neighbour.base.clone(), print };
            Ok(Some(Like { path, digest, beside: Some(Box::new(beside)) }))
        })
    }

    /// The first answer of one. Who cannot be asked has none: the file is sent then.
    fn ask<T>(&self, question: impl Fn(&Neighbour, &Reader) -> Result<Option<T>, IndexError>) -> Option<T> {
        self.0.iter().find_map(|(neighbour, reader)| {
            let mut reader = reader.lock().ok()?;
            if reader.is_none() {
                *reader = Reader::open(&neighbour.index).ok();
            }
            match question(neighbour, reader.as_ref()?) {
                Ok(answer) => answer,
                Err(e) => {
                    tracing::debug!(mirror = %neighbour.name, error = %e, "the state of another mirror could not be read");
                    *reader = None;
                    None
                }
            }
        })
    }
}
