//! [`Walk`]: goes through the server's directories as expected paths come, in preorder, and says of each what is there. A
//! directory is listed once; what a listing does not have is asked for by its exact name before it counts as missing.

use std::collections::BTreeMap;

use super::{AuditError, Line};
use crate::{
    model::{Kind, RelPath},
    remote::{Listed, Remote, RemoteError, Session},
};

/// So many directories with a doubtful listing are named.
const MOST_DOUBTS: usize = 100;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// `None` is what is never mirrored.
    pub(super) kind: Option<Kind>,
    /// Bytes, for a file, where the server says so.
    pub(super) size: Option<u64>,
    /// When it was modified, where the listing says so.
    pub(super) modified: Option<i64>,
    /// Whether it was asked for by its name, and not only listed.
    pub(super) by_name: bool,
}

/// What the server says is at a path: nothing, this, or why it does not say.
pub(super) type Answer = Result<Option<Found>, String>;

/// A directory that is being gone through.
struct Level {
    dir: Option<RelPath>,
    /// What was listed, and not expected so far.
    names: BTreeMap<Vec<u8>, Listed>,
}

/// A walk through the directories of a server. Holds one listing for each directory above the current path.
pub(super) struct Walk<'r, R: Remote> {
    pub(super) line: Line<'r, R>,
    levels: Vec<Level>,
    /// A directory that is not there: nothing below it is, either.
    lost: Option<RelPath>,
    /// Directories whose listings may not be all, and why.
    pub(super) doubts: Vec<(Option<RelPath>, String)>,
    /// How many there were.
    pub(super) doubtful: u64,
    /// What was there and not expected, of the directories that are done.
    foreign: Vec<RelPath>,
}

impl<'r, R: Remote> Walk<'r, R> {
    /// Begins with the mirror's own directory.
    pub(super) async fn start(remote: &'r R) -> Result<Self, AuditError> {
        let line = Line::new(remote);
        let mut walk = Self { line, levels: Vec::new(), lost: None, doubts: Vec::new(), doubtful: 0, foreign: Vec::new() };
        walk.list(None).await?;
        Ok(walk)
    }

    /// What is at `path`, which comes after all that were asked for before.
    pub(super) async fn find(&mut self, path: &RelPath) -> Result<Answer, AuditError> {
        while self.levels.last().is_some_and(|level| !level.dir.as_ref().is_none_or(|dir| path.is_at_or_below(dir))) {
            self.leave();
        }
        if self.is_lost(path) {
            return Ok(Ok(None));
        }
        if let Some(level) = self.levels.last_mut().filter(|level| level.dir == path.parent())
            && let Some(Listed { kind, size, modified, .. }) = level.names.remove(path.name())
        {
            return Ok(Ok(Some(Found { kind, size, modified, by_name: false })));
        }
        let found = self.ask(path).await?;
        if matches!(found, Ok(Some(_))) && self.line.remote().abilities().folds() {
            // It is listed in another case.
            let folded = path.folded();
            if let Some(level) = self.levels.last_mut() {
                let same = |name: &[u8]| RelPath::new(name).is_ok_and(|name| name.folded().name() == folded.name());
                level.names.retain(|name, _| !same(name));
            }
        }
        Ok(found)
    }

    /// What is at `path`, asked for by its name.
    pub(super) async fn ask(&mut self, path: &RelPath) -> Result<Answer, AuditError> {
        Ok(match self.line.ask(async |session: &mut R::Session| session.stat(path).await).await {
            Ok(stat) => Ok(stat.map(|stat| Found { kind: Some(stat.kind), size: stat.size, modified: None, by_name: true })),
            Err(error) if is_of_path(&error) => Err(error.to_string()),
            Err(error) => return Err(error.into()),
        })
    }

    /// The size of the file at `path`, where the listing did not tell it.
    pub(super) async fn size(&mut self, path: &RelPath) -> Result<Option<u64>, AuditError> {
        match self.line.ask(async |session: &mut R::Session| session.size(path).await).await {
            Ok(size) => Ok(size),
            Err(error) if is_of_path(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// When the file at `path` was modified, where the listing did not tell it.
    pub(super) async fn modified(&mut self, path: &RelPath) -> Result<Option<i64>, AuditError> {
        match self.line.ask(async |session: &mut R::Session| session.examine(path).await).await {
            Ok(copy) => Ok(copy.and_then(|copy| copy.modified)),
            Err(error) if is_of_path(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes into the directory `path`, which is there.
    pub(super) async fn enter(&mut self, path: &RelPath) -> Result<(), AuditError> {
        self.list(Some(path)).await
    }

    /// The directory `path` is not there.
    pub(super) fn lose(&mut self, path: &RelPath) {
        self.lost = Some(path.clone());
    }

    /// Whether `path` lies in a directory that is not there.
    pub(super) fn is_lost(&self, path: &RelPath) -> bool {
        self.lost.as_ref().is_some_and(|lost| path.is_at_or_below(lost))
    }

    /// What was found and not expected since this was last asked. Directories stand for all that is in them.
    pub(super) fn take_foreign(&mut self) -> Vec<RelPath> {
        std::mem::take(&mut self.foreign)
    }

    /// Nothing more is expected.
    pub(super) fn finish(&mut self) {
        while !self.levels.is_empty() {
            self.leave();
        }
    }

    async fn list(&mut self, dir: Option<&RelPath>) -> Result<(), AuditError> {
        let listed = self.line.ask(async |session: &mut R::Session| session.list(dir).await).await;
        let (names, doubt) = match listed {
            Ok(listing) => {
                let names = listing.entries.into_iter().map(|listed| (listed.name.clone(), listed)).collect();
                (names, listing.doubt)
            }
            Err(error) if is_of_path(&error) => (BTreeMap::new(), Some(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        if let Some(why) = doubt {
            self.doubtful += 1;
            if self.doubts.len() < MOST_DOUBTS {
                self.doubts.push((dir.cloned(), why));
            }
        }
        self.levels.push(Level { dir: dir.cloned(), names });
        Ok(())
    }

    fn leave(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        let foreign = level.names.into_keys().filter(|name| !is_ours(name));
        self.foreign.extend(foreign.filter_map(|name| RelPath::child(level.dir.as_ref(), name).ok()));
    }
}

/// Whether a name on the server is one that Towline gives to what is its own: uploads under way, the trash, marks.
pub(in crate::mirror) fn is_ours(name: &[u8]) -> bool {
    name.starts_with(b".towline-")
}

/// Whether the server said no to what it was asked about, and would answer other questions.
pub(in crate::mirror) fn is_of_path(error: &RemoteError) -> bool {
    error.session_survives()
}
