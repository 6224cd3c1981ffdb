//! Which puts need no body: the server has their content in the trash, from where it is renamed; or under another name, and can copy it. And
//! which may need only a part of one: the file has grown since it was sent, or was changed inside.

use std::collections::HashMap;

use super::Mirror;
use crate::{
    index::{Index, IndexError, LARGEST_COPY, LARGEST_GROWN, LEAST_COPY},
    model::{CHUNKED, Chunks, Digest, Entry, Job, Like, Operation, PathSet, RelPath, Row},
    plan::{Step, Why},
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Whether it is worth knowing what is alike.
    pub(super) fn can_copy(&self) -> bool {
        self.remote.abilities().copies == Some(true)
    }

    /// Says of the puts in `steps`, which were planned of `rows`, where the server has their content, or the beginning of it.
    pub(super) async fn find_likes(&mut self, rows: &[Row], steps: &mut [Step]) -> Result<(), IndexError> {
        self.find_equal(rows, steps).await?;
        self.find_changed(rows, steps).await
    }

    /// Of the puts of what has changed: that what is recorded of them may have most of it.
    async fn find_changed(&mut self, rows: &[Row], steps: &mut [Step]) -> Result<(), IndexError> {
        if !self.can_copy() && self.settings.append.is_empty() {
            return Ok(());
        }
        let former: HashMap<&RelPath, Former> = rows.iter().filter_map(Former::of).collect();
        let is_one = |step: &Step| match &step.operation {
            Operation::Put { path, like: None, .. } => former.get(path).copied(),
            _ => None,
        };
        let mut puts: Vec<(&mut Step, Former)> =
            steps.iter_mut().filter_map(|step| is_one(step).map(|former| (step, former))).collect();
        if puts.is_empty() {
            return Ok(());
        }
        let (copies, patches) = (self.can_copy(), self.can_patch());
        let paths: Vec<RelPath> = puts.iter().map(|(step, _)| step.operation.path().clone()).collect();
        let asked: Vec<(Former, bool)> =
            puts.iter().zip(&paths).map(|((_, former), path)| (*former, self.grows_in_place(path))).collect();
        let look = move |index: &mut Index| {
            let worth = index.untried(&paths)?.into_iter().zip(asked).map(|(untried, (former, in_place))| {
                let may_grow = former.has_grown && (in_place || copies && former.is_copied);
                Ok(untried && (may_grow || patches && former.is_chunked && index.chunks(former.digest)?.is_some()))
            });
            worth.collect::<Result<Vec<bool>, IndexError>>()
        };
        let worth = self.books.with(look).await?;
        for ((step, former), _) in puts.iter_mut().zip(worth).filter(|(_, worth)| *worth) {
            if let Operation::Put { path, like, .. } = &mut step.operation {
                *like = Some(Like { path: path.clone(), digest: former.digest });
            }
        }
        Ok(())
    }

    /// Whether a large file that was changed can be changed on the server, as far as is known.
    pub(super) fn can_patch(&self) -> bool {
        self.can_copy() && self.remote.abilities().patches != Some(false)
    }

    /// Whether what is new of this file is added to it under its own name: where that was allowed, and the server cannot copy it.
    pub(super) fn grows_in_place(&self, path: &RelPath) -> bool {
        !self.can_copy() && !self.is_together() && self.growing.has(path)
    }

    /// What the server has of the path that `job` puts, chunk by chunk, if something may come of that.
    pub(super) async fn former(&mut self, job: &Job) -> Result<Option<Chunks>, IndexError> {
        match &job.operation {
            Operation::Put { path, like: Some(like), .. } if like.path == *path && self.can_patch() => {
                let digest = like.digest;
                self.books.with(move |index| index.chunks(digest)).await
            }
            _ => Ok(None),
        }
    }

    /// Of equal files that the server has nowhere, all but the first are copied from that.
    async fn find_equal(&mut self, rows: &[Row], steps: &mut [Step]) -> Result<(), IndexError> {
        let contents: HashMap<&RelPath, (u64, Digest)> = rows.iter().filter_map(content).collect();
        let file = |step: &Step| match &step.operation {
            Operation::Put { path, equal_to: None, .. } => {
                contents.get(path).map(|(size, digest)| (path.clone(), *size, *digest))
            }
            _ => None,
        };
        let (puts, files): (Vec<usize>, Vec<_>) =
            steps.iter().enumerate().filter_map(|(at, step)| Some((at, file(step)?))).unzip();
        if files.is_empty() {
            return Ok(());
        }
        let (copies, takes) = (self.can_copy(), !self.is_together());
        let (asked, busy): (_, PathSet) = (files.clone(), self.busy());
        let look = move |index: &mut Index| {
            let nothing = || Ok(vec![None; asked.len()]);
            let trashed = if takes { index.trashed(&asked, |place| !busy.overlaps(place)) } else { nothing() };
            Ok((trashed?, if copies { index.likes(&asked) } else { nothing() }?))
        };
        let (trashed, likes) = self.books.with(look).await?;
        let mut first: HashMap<(u64, Digest), RelPath> = HashMap::new();
        for ((at, (path, size, digest)), (place, like)) in puts.into_iter().zip(files).zip(trashed.into_iter().zip(likes)) {
            let operation = &mut steps[at].operation;
            let Operation::Put { print, mode, like: wanted, .. } = operation else { continue };
            if let Some(from) = place {
                *operation = Operation::Rename { from, to: path, print: *print, digest: Some(digest), mode: *mode, retime: true };
                steps[at].why = Why::Moved;
            } else if copies && (LEAST_COPY..=LARGEST_COPY).contains(&size) {
                match like.or_else(|| first.get(&(size, digest)).cloned()) {
                    Some(path) => *wanted = Some(Like { path, digest }),
                    None => drop(first.insert((size, digest), path)),
                }
            }
        }
        Ok(())
    }
}

/// What was read of a file.
fn content(row: &Row) -> Option<(&RelPath, (u64, Digest))> {
    match row.observed? {
        Entry::File { print, digest: Some(digest), .. } if print.size > 0 => Some((&row.path, (print.size, digest))),
        _ => None,
    }
}

/// What was sent of a file that has changed.
#[derive(Clone, Copy)]
struct Former {
    digest: Digest,
    /// It may be the beginning of what is there now.
    has_grown: bool,
    /// It is worth to be copied, and not too large.
    is_copied: bool,
    /// It is large enough to be known by its chunks, and so is what is there now.
    is_chunked: bool,
}

impl Former {
    /// Of what is shorter now nothing comes: FTP cannot cut off the end of a file.
    fn of(row: &Row) -> Option<(&RelPath, Self)> {
        let (Entry::File { print: now, .. }, Entry::File { print, digest: Some(digest), .. }) = (row.observed?, row.recorded?)
        else {
            return None;
        };
        let has_grown = print.size > 0 && print.size < now.size;
        let is_copied = (LEAST_COPY..=LARGEST_GROWN).contains(&print.size);
        let is_chunked = print.size <= now.size && CHUNKED.contains(&print.size) && CHUNKED.contains(&now.size);
        (has_grown || is_chunked).then_some((&row.path, Self { digest, has_grown, is_copied, is_chunked }))
    }
}
