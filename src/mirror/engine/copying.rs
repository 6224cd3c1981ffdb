//! What need not be sent, or not all of it, since the server has it already: asked of the index when puts are planned.

use std::sync::Arc;

use super::Mirror;
use crate::{
    index::{Index, IndexError},
    mirror::likes::{Search, Ways},
    model::{Chunks, Job, Operation, PathSet, RelPath, Row},
    plan::Step,
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Whether it is worth knowing what is alike.
    pub(super) fn can_copy(&self) -> bool {
        self.remote.abilities().copies == Some(true)
    }

    /// Whether a large file that was changed can be changed on the server, as far as is known.
    pub(super) fn can_patch(&self) -> bool {
        self.can_copy() && self.remote.abilities().patches != Some(false)
    }

    /// Whether what is new of this file is added to it under its own name: where that was allowed, and the server cannot copy it.
    pub(super) fn grows_in_place(&self, path: &RelPath) -> bool {
        !self.can_copy() && !self.is_together() && self.growing.has(path)
    }

    /// Says of the puts in `steps`, which were planned of `rows`, where the server has their content, or a part of it.
    pub(super) async fn find_likes(&mut self, rows: &[Row], steps: &mut [Step]) -> Result<(), IndexError> {
        let ways = Ways { copies: self.can_copy(), patches: self.can_patch(), takes: !self.is_together() };
        let search = Search::of(rows, steps, ways, |path| self.grows_in_place(path));
        if search.is_empty() {
            return Ok(());
        }
        let busy: PathSet = self.busy();
        let neighbours = Arc::clone(&self.neighbours);
        let ask = move |index: &mut Index| {
            let known = search.ask(index, &neighbours, |place| !busy.overlaps(place))?;
            Ok((search, known))
        };
        let (search, known) = self.books.with(ask).await?;
        search.tell(known, steps);
        Ok(())
    }

    /// `job` about to start: what it copies from another mirror may have come elsewhere since that was planned, as into the trash.
    pub(super) async fn caught_up(&mut self, mut job: Job) -> Result<Job, IndexError> {
        if let Operation::Put { like: Some(like), .. } = &mut job.operation
            && let Some(beside) = &like.beside
        {
            let (neighbours, size, digest) = (Arc::clone(&self.neighbours), beside.print.size, like.digest);
            let found = self.books.with(move |_| Ok(neighbours.find(size, digest))).await?;
            found.into_iter().for_each(|found| *like = found);
        }
        Ok(job)
    }

    /// What the server has of the path that `job` puts, chunk by chunk, if something may come of that.
    pub(super) async fn former(&mut self, job: &Job) -> Result<Option<Chunks>, IndexError> {
        match &job.operation {
            Operation::Put { path, like: Some(like), .. } if like.is_at(path) && self.can_patch() => {
                let digest = like.digest;
                self.books.with(move |index| index.chunks(digest)).await
            }
            _ => Ok(None),
        }
    }
}
