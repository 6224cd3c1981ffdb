//! Which puts need no body: the server has their content in the trash, from where it is renamed; or under another name, be it in another
//! mirror's directory, and can copy it. And which may need only a part of one: the file has grown since it was sent, or was changed inside. Pure, but for the questions to the
//! index.

use std::collections::HashMap;

use super::neighbours::Neighbours;
use crate::{
    index::{Index, IndexError, LARGEST_COPY, LARGEST_GROWN, LEAST_COPY},
    model::{CHUNKED, Digest, Entry, Like, Operation, RelPath, Row},
    plan::{Step, Why},
};

/// What can be done instead of sending all of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    /// It is copied on the server.
    pub(super) copies: bool,
    /// Large ones are changed in such a copy.
    pub(super) patches: bool,
    /// It is taken from the trash.
    pub(super) takes: bool,
}

/// Puts of a plan of which something may be there, by their places in it.
pub(super) struct Search {
    ways: Ways,
    /// Files that were read.
    equal: Vec<(usize, (RelPath, u64, Digest))>,
    /// Files that were sent before, and whether what is new of one may be added to it under its own name.
    changed: Vec<(usize, RelPath, Former, bool)>,
}

/// What the index knows of these.
pub(super) struct Known {
    trashed: Vec<Option<RelPath>>,
    likes: Vec<Option<RelPath>>,
    /// What other mirrors have.
    beside: Vec<Option<Like>>,
    worth: Vec<bool>,
}

impl Search {
    /// For the puts in `steps`, which were planned of `rows`.
    pub(super) fn of(rows: &[Row], steps: &[Step], ways: Ways, grows_in_place: impl Fn(&RelPath) -> bool) -> Self {
        let contents: HashMap<&RelPath, (u64, Digest)> = rows.iter().filter_map(content).collect();
        let formers: HashMap<&RelPath, Former> = rows.iter().filter_map(Former::of).collect();
        let (mut equal, mut changed) = (Vec::new(), Vec::new());
        for (at, step) in steps.iter().enumerate() {
            let Operation::Put { path, equal_to, like: None, .. } = &step.operation else { continue };
            if let (None, Some((size, digest))) = (equal_to, contents.get(path)) {
                equal.push((at, (path.clone(), *size, *digest)));
            }
            if let Some(former) = formers.get(path) {
                let in_place = grows_in_place(path);
                if in_place || ways.copies {
                    changed.push((at, path.clone(), *former, in_place));
                }
            }
        }
        Self { ways, equal, changed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.equal.is_empty() && self.changed.is_empty()
    }

    /// Asks the index, and the `neighbours`; of the trash only what is `free`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn ask(
        &self,
        index: &Index,
        neighbours: &Neighbours,
        free: impl Fn(&RelPath) -> bool,
    ) -> Result<Known, IndexError> {
        let nothing = || vec![None; self.equal.len()];
        let files: Vec<_> = self.equal.iter().map(|(_, file)| file.clone()).collect();
        let paths: Vec<_> = self.changed.iter().map(|(_, path, ..)| path.clone()).collect();
        let worth = index.untried(&paths)?.into_iter().zip(&self.changed).map(|(untried, (_, _, former, in_place))| {
            let Ways { copies, patches, .. } = self.ways;
            let may_grow = former.has_grown && (*in_place || copies && former.is_copied);
            Ok(untried && (may_grow || patches && former.is_chunked && index.chunks(former.digest)?.is_some()))
        });
        let untried = index.untried(&files.iter().map(|(path, ..)| path.clone()).collect::<Vec<_>>())?;
        let beside = files.iter().zip(untried).map(|((_, size, digest), untried)| {
            let is_copied = self.ways.copies && untried && (LEAST_COPY..=LARGEST_COPY).contains(size);
            is_copied.then(|| neighbours.find(*size, *digest)).flatten()
        });
        Ok(Known {
            beside: beside.collect(),
            worth: worth.collect::<Result<_, IndexError>>()?,
            trashed: if self.ways.takes { index.trashed(&files, free)? } else { nothing() },
            likes: if self.ways.copies { index.likes(&files)? } else { nothing() },
        })
    }

    /// Says of the puts in `steps` where the server has their content, or much of it. Of equal files that it has nowhere, all but the first
    /// are copied from that.
    pub(super) fn tell(self, known: Known, steps: &mut [Step]) {
        let mut first: HashMap<(u64, Digest), RelPath> = HashMap::new();
        let places = known.trashed.into_iter().zip(known.likes).zip(known.beside);
        for ((at, (path, size, digest)), ((place, like), beside)) in self.equal.into_iter().zip(places) {
            let Some(Step { operation, why, .. }) = steps.get_mut(at) else { continue };
            let Operation::Put { print, mode, like: wanted, .. } = operation else { continue };
            if let Some(from) = place {
                *operation = Operation::Rename { from, to: path, print: *print, digest: Some(digest), mode: *mode, retime: true };
                *why = Why::Moved;
            } else if self.ways.copies && (LEAST_COPY..=LARGEST_COPY).contains(&size) {
                let own = like.or_else(|| first.get(&(size, digest)).cloned().filter(|_| beside.is_none()));
                match (own, beside) {
                    (Some(path), _) => *wanted = Some(Like { path, digest, beside: None }),
                    (None, Some(beside)) => *wanted = Some(beside),
                    (None, None) => drop(first.insert((size, digest), path)),
                }
            }
        }
        for ((at, path, former, _), _) in self.changed.into_iter().zip(known.worth).filter(|(_, worth)| *worth) {
            if let Some(Step { operation: Operation::Put { like: like @ None, .. }, .. }) = steps.get_mut(at) {
                *like = Some(Like { path, digest: former.digest, beside: None });
            }
        }
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
