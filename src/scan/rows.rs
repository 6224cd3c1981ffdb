//! The known side of a scan: a cursor over the rows in preorder that is never rewound.

use crate::model::{Entry, RelPath};

/// Rows that have not been compared yet.
pub(super) struct Rows<I, E> {
    rest: I,
    next: Option<Result<(RelPath, Entry), E>>,
}

impl<I: Iterator<Item = Result<(RelPath, Entry), E>>, E> Rows<I, E> {
    pub(super) fn new(mut rest: I) -> Self {
        let next = rest.next();
        Self { rest, next }
    }

    /// Takes the row of exactly this path; only rows before it may have been there, and are taken already.
    pub(super) fn take(&mut self, path: &RelPath) -> Result<Option<Entry>, E> {
        Ok(self.take_if(|next| next == path)?.map(|(_, entry)| entry))
    }

    /// What [`Self::take`] would take.
    pub(super) fn peek(&self, path: &RelPath) -> Option<Entry> {
        self.next.as_ref().and_then(|next| next.as_ref().ok()).filter(|(next, _)| next == path).map(|(_, entry)| *entry)
    }

    /// Takes the next row if it comes before `path`.
    pub(super) fn take_before(&mut self, path: &RelPath) -> Result<Option<(RelPath, Entry)>, E> {
        self.take_if(|next| next < path)
    }

    /// Takes the next row if it is at or below `path`; `None` is the root.
    pub(super) fn take_within(&mut self, path: Option<&RelPath>) -> Result<Option<(RelPath, Entry)>, E> {
        self.take_if(|next| path.is_none_or(|path| next.is_at_or_below(path)))
    }

    /// Takes all rows at and below `path`; whether there were any.
    pub(super) fn skip_within(&mut self, path: Option<&RelPath>) -> Result<bool, E> {
        let mut any = false;
        while self.take_within(path)?.is_some() {
            any = true;
        }
        Ok(any)
    }

    fn take_if(&mut self, wanted: impl FnOnce(&RelPath) -> bool) -> Result<Option<(RelPath, Entry)>, E> {
        match &self.next {
            Some(Ok((path, _))) if !wanted(path) => return Ok(None),
            _ => {}
        }
        let taken = self.next.take();
        if matches!(taken, Some(Ok(_))) {
            self.next = self.rest.next();
        }
        taken.transpose()
    }
}
