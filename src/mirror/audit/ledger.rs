//! [`Ledger`]: the index as an audit reads it, page by page on blocking threads, perhaps beside a daemon that writes it.

use std::collections::VecDeque;

use crate::{
    blocking,
    index::{IndexError, Kept, Reader},
    mirror::Amount,
    model::{Entry, RelPath, Row, UnixMillis},
};

/// Rows read at a time.
const PAGE: usize = 1000;

/// The rows below a directory, in preorder.
pub(in crate::mirror) struct Ledger {
    reader: Option<Reader>,
    dir: Option<RelPath>,
    after: Option<RelPath>,
    page: VecDeque<Row>,
    last: bool,
}

impl Ledger {
    /// Those below `dir`; `None` is everything.
    pub(in crate::mirror) fn below(reader: Reader, dir: Option<RelPath>) -> Self {
        Self { reader: Some(reader), dir, after: None, page: VecDeque::new(), last: false }
    }

    /// The next one.
    pub(in crate::mirror) async fn next(&mut self) -> Result<Option<Row>, IndexError> {
        if self.page.is_empty() && !self.last {
            let (dir, after) = (self.dir.clone(), self.after.clone());
            let page = self.with(move |reader| reader.rows(dir.as_ref(), after.as_ref(), PAGE)).await?;
            self.last = page.len() < PAGE;
            self.after = page.last().map(|row| row.path.clone());
            self.page = page.into();
        }
        Ok(self.page.pop_front())
    }

    /// What is known of `path` now.
    pub(in crate::mirror) async fn row(&mut self, path: &RelPath) -> Result<Option<Row>, IndexError> {
        let path = path.clone();
        self.with(move |reader| reader.row(&path)).await
    }

    /// Whether `recorded` is what is recorded of `path` still, and nothing is about to change that.
    pub(super) async fn still_has(&mut self, path: &RelPath, recorded: Option<Entry>) -> Result<bool, IndexError> {
        let path = path.clone();
        self.with(move |reader| {
            let now = reader.row(&path)?.and_then(|row| row.recorded);
            Ok(now == recorded && !reader.is_busy(&path)?)
        })
        .await
    }

    /// As [`Reader::trashed_after`].
    pub(in crate::mirror) async fn trashed_after(
        &mut self,
        path: Option<RelPath>,
        at: UnixMillis,
    ) -> Result<Vec<Kept>, IndexError> {
        self.with(move |reader| reader.trashed_after(path.as_ref(), at)).await
    }

    /// Whether `path`, or something below it, was left on the server on purpose.
    pub(super) async fn is_left(&mut self, path: &RelPath) -> Result<bool, IndexError> {
        let path = path.clone();
        self.with(move |reader| reader.is_left(&path)).await
    }

    /// How many files and links are recorded of what is read, and their bytes.
    pub(in crate::mirror) async fn recorded(&mut self) -> Result<Amount, IndexError> {
        let dir = self.dir.clone();
        let (files, bytes) = self.with(move |reader| reader.recorded(dir.as_ref())).await?;
        Ok(Amount { files, bytes })
    }

    async fn with<T: Send + 'static>(
        &mut self,
        verb: impl FnOnce(&Reader) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let reader = self.reader.take().ok_or(IndexError::Lost)?;
        let (reader, result) = blocking::run(move || {
            let result = verb(&reader);
            (reader, result)
        })
        .await
        .map_err(|_| IndexError::Lost)?;
        self.reader = Some(reader);
        result
    }
}
