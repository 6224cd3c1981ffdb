//! Brings a mirror back from the server into a local directory: what is recorded, each file proven by its digest; or, where
//! nothing is known (any more), what the server lists. Neither the server nor the index is changed.

mod place;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc};

use tokio::sync::mpsc;

use super::{
    Progress,
    audit::{Ledger, Line, is_of_path, is_ours},
};
use crate::{
    blocking,
    index::{IndexError, Kept, Reader},
    model::{Digest, Entry, Kind, Mode, PathSet, RelPath, UnixMillis},
    remote::{Class, Listed, Remote, RemoteError, Session},
};
use place::{Existing, Place, Temp};

/// Pieces between the network and the disk.
const AHEAD: usize = 4;
/// Directories inside each other that are listed; no file system is used like that.
const DEEPEST: usize = 512;

/// What to bring back, and where to.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The directory that everything goes to, under its path in the mirror; made if it is missing.
    pub to: PathBuf,
    /// Only this, and what is below it.
    pub only: Option<RelPath>,
    /// Files that are there are replaced.
    pub force: bool,
    /// As it was at this time, as far as the trash holds it: what was removed since comes from there. Of what was overwritten
    /// since there is only the present version.
    pub at: Option<UnixMillis>,
    /// Where it is counted how far this is. What there is in all is known where something is recorded.
    pub progress: Arc<Progress>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Restored {
    /// Files that were written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of those: the ones whose content is proven to be what was sent. Of the others the size is.
    pub by_digest: u64,
    /// Of all files: the ones that came from the trash.
    pub from_trash: u64,
    /// Files that were modified after the time that was asked for: this is their present version.
    pub newer: u64,
    /// Files that were there already, as they should be.
    pub same: u64,
    /// Directories.
    pub dirs: u64,
    /// What did not come back, each one told.
    pub left: u64,
    /// Nothing was known of the mirror: it is what the server lists.
    pub from_listings: bool,
    /// Directories whose listing may not be all, or could not be had, and why.
    pub doubts: Vec<(String, String)>,
}

/// Something that did not come back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Left {
    /// Which.
    pub path: RelPath,
    /// Why.
    #[serde(flatten)]
    pub why: Why,
}

/// Why something did not come back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Why {
    /// Something else is at its place here; nothing is replaced unless that is asked for.
    Exists,
    /// It is not on the server.
    Missing,
    /// On the server it has another size than what was sent.
    OtherSize {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// On the server it has another content than what was sent.
    OtherContent,
    /// Where a link leads to FTP does not tell.
    Link,
    /// It could not be read there, or written here.
    Failed {
        /// In the words of the server or the system.
        error: String,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exists => f.write_str("something else is there already; --force replaces files"),
            Self::Missing => f.write_str("missing on the server"),
            Self::OtherSize { expected, found } => {
                write!(f, "{found} bytes on the server, {expected} were sent; --as-is takes what is there")
            }
            Self::OtherContent => f.write_str("another content on the server than was sent; --as-is takes what is there"),
            Self::Link => f.write_str("a link; where it leads to FTP does not tell"),
            Self::Failed { error } => f.write_str(error),
        }
    }
}

/// Why a restore ended early.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The server cannot be asked.
    #[error("{0}")]
    Remote(#[from] RemoteError),
    /// The directory cannot be used.
    #[error("cannot restore to {}", to.display())]
    Local {
        /// Which.
        to: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing of that name.
    #[error("there is no {0} in this mirror")]
    Nothing(RelPath),
}

/// Brings back what `reader` has recorded, or without one what the server lists. `each` is told what does not come back.
///
/// # Errors
/// When the index cannot be read, the server not be asked, or the directory not be used.
pub async fn restore<R: Remote>(
    remote: &R,
    reader: Option<Reader>,
    how: &Restore,
    each: impl FnMut(&Left),
) -> Result<Restored, RestoreError> {
    let to = how.to.clone();
    let place = blocking::run(move || Place::open(&to)).await.unwrap_or_else(|e| Err(io::Error::other(e)));
    let place = place.map_err(|source| RestoreError::Local { to: how.to.clone(), source })?;
    let sum = Restored { from_listings: reader.is_none(), ..Restored::default() };
    let progress = Arc::clone(&how.progress);
    let mut run = Run { line: Line::new(remote), place: Arc::new(place), force: how.force, progress, each, sum };
    match reader {
        Some(reader) => run.recorded(reader, how.only.as_ref(), how.at).await?,
        None => run.listed(how.only.as_ref()).await?,
    }
    run.line.close().await;
    Ok(run.sum)
}

struct Run<'r, R: Remote, F> {
    line: Line<'r, R>,
    place: Arc<Place>,
    force: bool,
    progress: Arc<Progress>,
    each: F,
    sum: Restored,
}

/// A file that is to come back.
struct Wanted {
    path: RelPath,
    /// Where it lies on the server, if that is not its path.
    from: Option<RelPath>,
    size: u64,
    digest: Option<Digest>,
    /// When it was modified, in nanoseconds since the Unix epoch.
    mtime_ns: Option<i64>,
    mode: Option<Mode>,
}

impl<R: Remote, F: FnMut(&Left)> Run<'_, R, F> {
    async fn recorded(&mut self, reader: Reader, only: Option<&RelPath>, at: Option<UnixMillis>) -> Result<(), RestoreError> {
        let mut ledger = Ledger::below(reader, only.cloned());
        let then = match at {
            Some(at) => ledger.trashed_after(only.cloned(), at).await?,
            None => Vec::new(),
        };
        let known = match only {
            Some(path) => ledger.row(path).await?.and_then(|row| row.recorded.map(|entry| (row.path, entry))),
            None => None,
        };
        if let (Some(path), None, true) = (only, &known, then.is_empty()) {
            return Err(RestoreError::Nothing(path.clone()));
        }
        let mut all = ledger.recorded().await?;
        all.files += then.len() as u64;
        all.bytes += then.iter().map(|kept| kept.size).sum::<u64>();
        self.progress.expect(all);
        let mut removed = PathSet::default();
        for Kept { place, path, size, mtime_ns } in then {
            removed.insert(path.clone());
            let wanted = Wanted { path, from: Some(place), size, digest: None, mtime_ns, mode: None };
            self.if_there(wanted).await?;
            self.progress.passed(size);
        }
        // What was a file then is no directory.
        let instead = |path: &RelPath| removed.covers(path);
        let mut next = known;
        loop {
            if let Some((path, entry)) = next {
                if !instead(&path) {
                    self.entry(&path, entry, at).await?;
                }
                self.progress.passed_entry(&entry);
            }
            let Some(row) = ledger.next().await? else { return Ok(()) };
            next = row.recorded.map(|entry| (row.path, entry));
        }
    }

    async fn entry(&mut self, path: &RelPath, entry: Entry, at: Option<UnixMillis>) -> Result<(), RestoreError> {
        match entry {
            Entry::Dir { .. } => {
                self.dir(path).await;
            }
            Entry::Link { .. } => self.leave(path, Why::Link),
            Entry::File { print, digest, mode } => {
                let mtime_ns = (print.inode != 0).then_some(print.mtime_ns);
                let newer = mtime_ns.zip(at).is_some_and(|(modified, at)| modified.div_euclid(1_000_000) > at.0);
                self.sum.newer += u64::from(newer);
                let wanted = Wanted { path: path.clone(), from: None, size: print.size, digest, mtime_ns, mode };
                self.if_there(wanted).await?;
            }
        }
        Ok(())
    }

    /// Brings back what is on the server with the size that it should have.
    async fn if_there(&mut self, wanted: Wanted) -> Result<(), RestoreError> {
        let from = wanted.from.as_ref().unwrap_or(&wanted.path);
        match self.line.try_ask(async |session: &mut R::Session| session.size(from).await).await? {
            Ok(Some(found)) if found == wanted.size => return self.file(wanted).await,
            Ok(Some(found)) => self.leave(&wanted.path, Why::OtherSize { expected: wanted.size, found }),
            Ok(None) => self.leave(&wanted.path, Why::Missing),
            Err(error) => self.leave(&wanted.path, Why::Failed { error: error.to_string() }),
        }
        Ok(())
    }

    async fn listed(&mut self, only: Option<&RelPath>) -> Result<(), RestoreError> {
        let mut left: Vec<Option<RelPath>> = Vec::new();
        match only {
            None => left.push(None),
            Some(path) => {
                let stat = self.line.ask(async |session: &mut R::Session| session.stat(path).await).await?;
                let stat = stat.ok_or_else(|| RestoreError::Nothing(path.clone()))?;
                let listed = Listed { name: path.name().to_vec(), kind: Some(stat.kind), size: stat.size, modified: None };
                self.found(path.clone(), listed, &mut left).await?;
            }
        }
        while let Some(dir) = left.pop() {
            let dir = dir.as_ref();
            let name = || dir.map_or_else(|| ".".to_owned(), ToString::to_string);
            let listing = match self.line.ask(async |session: &mut R::Session| session.list(dir).await).await {
                Ok(listing) => listing,
                Err(error) if is_of_path(&error) => {
                    self.sum.doubts.push((name(), error.to_string()));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.sum.doubts.extend(listing.doubt.map(|why| (name(), why)));
            let mut entries = listing.entries;
            // Backwards, as they are pushed.
            entries.sort_by(|a, b| b.name.cmp(&a.name));
            for listed in entries {
                if !is_ours(&listed.name)
                    && let Ok(path) = RelPath::child(dir, &listed.name)
                {
                    self.found(path, listed, &mut left).await?;
                }
            }
        }
        Ok(())
    }

    /// One listed name; a directory is `left` to be listed.
    async fn found(&mut self, path: RelPath, listed: Listed, left: &mut Vec<Option<RelPath>>) -> Result<(), RestoreError> {
        match listed.kind {
            Some(Kind::Dir) if path.components().count() > DEEPEST => {
                self.leave(&path, Why::Failed { error: "too many directories inside each other".to_owned() });
            }
            Some(Kind::Dir) => left.extend(self.dir(&path).await.then_some(Some(path))),
            Some(Kind::File) => {
                let size = match listed.size {
                    Some(size) => Some(size),
                    None => self.line.ask(async |session: &mut R::Session| session.size(&path).await).await?,
                };
                let modified = match listed.modified {
                    Some(modified) => Some(modified),
                    None => {
                        let copy = self.line.ask(async |session: &mut R::Session| session.examine(&path).await).await?;
                        copy.and_then(|copy| copy.modified)
                    }
                };
                let mtime_ns = modified.and_then(|seconds| seconds.checked_mul(1_000_000_000));
                match size {
                    Some(size) => {
                        self.file(Wanted { path, from: None, size, digest: None, mtime_ns, mode: None }).await?;
                        self.progress.passed(size);
                    }
                    None => self.leave(&path, Why::Missing),
                }
            }
            Some(Kind::Link) => self.leave(&path, Why::Link),
            None => {}
        }
        Ok(())
    }

    /// Makes a directory; whether it is there.
    async fn dir(&mut self, path: &RelPath) -> bool {
        let (place, at) = (Arc::clone(&self.place), path.clone());
        match on_disk(move || place.make_dir(&at)).await {
            Ok(()) => {
                self.sum.dirs += 1;
                true
            }
            Err(error) => {
                self.leave(path, Why::Failed { error: error.to_string() });
                false
            }
        }
    }

    async fn file(&mut self, wanted: Wanted) -> Result<(), RestoreError> {
        let Wanted { path, from, size, digest, mtime_ns, mode } = wanted;
        let (place, at) = (Arc::clone(&self.place), path.clone());
        match on_disk(move || place.look(&at, size, digest, mtime_ns)).await {
            Ok(Existing::Same) => {
                self.sum.same += 1;
                return Ok(());
            }
            Ok(Existing::Other) if !self.force => {
                self.leave(&path, Why::Exists);
                return Ok(());
            }
            Ok(Existing::Other | Existing::Nothing) => {}
            Err(error) => {
                self.leave(&path, Why::Failed { error: error.to_string() });
                return Ok(());
            }
        }
        let temp = match self.fetch(from.as_ref().unwrap_or(&path), &path, size).await? {
            Ok(temp) => temp,
            Err(error) => {
                self.leave(&path, Why::Failed { error });
                return Ok(());
            }
        };
        if digest.is_some_and(|digest| digest != temp.digest()) {
            self.leave(&path, Why::OtherContent);
            return Ok(());
        }
        let force = self.force;
        match on_disk(move || temp.publish(mtime_ns, mode, force)).await {
            Ok(true) => {
                self.sum.files += 1;
                self.sum.bytes += size;
                self.sum.by_digest += u64::from(digest.is_some());
                self.sum.from_trash += u64::from(from.is_some());
            }
            Ok(false) => self.leave(&path, Why::Exists),
            Err(error) => self.leave(&path, Why::Failed { error: error.to_string() }),
        }
        Ok(())
    }

    /// The file `from` of the server under a temporary name beside `path` here, or why it is not.
    async fn fetch(&mut self, from: &RelPath, path: &RelPath, size: u64) -> Result<Result<Temp, String>, RemoteError> {
        let (place, progress) = (&self.place, &self.progress);
        let fetched = self.line.try_ask(async |session: &mut R::Session| {
            let (into, pieces) = mpsc::channel(AHEAD);
            let (place, at, progress) = (Arc::clone(place), path.clone(), Arc::clone(progress));
            progress.begin();
            let writing = tokio::task::spawn_blocking(move || place.receive(&at, pieces, |bytes| progress.came(bytes)));
            let fetched = session.fetch(from, size, into).await;
            match writing.await.unwrap_or_else(|e| Err(io::Error::other(e))) {
                Ok(temp) => fetched.map(|()| temp),
                // The download was broken off here: the session is no good, and another attempt no better.
                Err(error) => Err(RemoteError::new(Class::Protocol, error)),
            }
        });
        Ok(fetched.await?.map_err(|error| error.to_string()))
    }

    fn leave(&mut self, path: &RelPath, why: Why) {
        self.sum.left += 1;
        (self.each)(&Left { path: path.clone(), why });
    }
}

async fn on_disk<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    blocking::run(act).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}
