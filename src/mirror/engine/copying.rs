//! Which puts need no body: the server has their content under another name, and can copy it.

use std::collections::HashMap;

use super::Mirror;
use crate::{
    index::{IndexError, LARGEST_COPY, LEAST_COPY},
    model::{Digest, Entry, Like, Operation, RelPath, Row},
    plan::Step,
    remote::Remote,
    watch::Watcher,
};

impl<R: Remote, W: Watcher> Mirror<R, W> {
    /// Whether it is worth knowing what is alike.
    pub(super) fn can_copy(&self) -> bool {
        self.remote.abilities().copies == Some(true)
    }

    /// Says of the puts in `steps`, which were planned of `rows`, where the server has their content; of equal ones that it has not, all
    /// but the first are copied from that.
    pub(super) async fn find_likes(&mut self, rows: &[Row], steps: &mut [Step]) -> Result<(), IndexError> {
        if !self.can_copy() {
            return Ok(());
        }
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
        let asked = files.clone();
        let found = self.books.with(move |index| index.likes(&asked)).await?;
        let mut first: HashMap<(u64, Digest), RelPath> = HashMap::new();
        for (at, ((path, size, digest), found)) in puts.into_iter().zip(files.into_iter().zip(found)) {
            let other = found.or_else(|| first.get(&(size, digest)).cloned());
            if other.is_none() {
                first.insert((size, digest), path);
            }
            if let Operation::Put { like, .. } = &mut steps[at].operation {
                *like = other.map(|path| Like { path, digest });
            }
        }
        Ok(())
    }
}

/// What was read of a file that is worth copying.
fn content(row: &Row) -> Option<(&RelPath, (u64, Digest))> {
    match row.observed? {
        Entry::File { print, digest: Some(digest), .. } if (LEAST_COPY..=LARGEST_COPY).contains(&print.size) => {
            Some((&row.path, (print.size, digest)))
        }
        _ => None,
    }
}
