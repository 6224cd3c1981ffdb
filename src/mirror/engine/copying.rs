//! Which puts need no body: the server has their content in the trash, from where it is renamed; or under another name, and can copy it. And
//! which may need only the end of one: the file has grown since it was sent.

use std::collections::HashMap;

use super::Mirror;
use crate::{
    index::{Index, IndexError, LARGEST_COPY, LARGEST_GROWN, LEAST_COPY},
    model::{Digest, Entry, Like, Operation, PathSet, RelPath, Row},
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
        self.find_grown(rows, steps).await
    }

    /// Of the puts that may have grown: that what is recorded of them may be the beginning.
    async fn find_grown(&mut self, rows: &[Row], steps: &mut [Step]) -> Result<(), IndexError> {
        if !self.can_copy() {
            return Ok(());
        }
        let former: HashMap<&RelPath, Digest> = rows.iter().filter_map(beginning).collect();
        let is_one = |step: &&mut Step| matches!(&step.operation, Operation::Put { path, equal_to: None, like: None, .. } if former.contains_key(path));
        let mut puts: Vec<&mut Step> = steps.iter_mut().filter(is_one).collect();
        if puts.is_empty() {
            return Ok(());
        }
        let paths: Vec<RelPath> = puts.iter().map(|step| step.operation.path().clone()).collect();
        let untried = self.books.with(move |index| index.untried(&paths)).await?;
        for (step, _) in puts.iter_mut().zip(untried).filter(|(_, untried)| *untried) {
            if let Operation::Put { path, like, .. } = &mut step.operation {
                *like = former.get(path).map(|digest| Like { path: path.clone(), digest: *digest });
            }
        }
        Ok(())
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

/// What was sent of a file that is larger now.
fn beginning(row: &Row) -> Option<(&RelPath, Digest)> {
    match (row.observed?, row.recorded?) {
        (Entry::File { print: now, .. }, Entry::File { print, digest: Some(digest), .. })
            if print.size < now.size && (LEAST_COPY..=LARGEST_GROWN).contains(&print.size) =>
        {
            Some((&row.path, digest))
        }
        _ => None,
    }
}
