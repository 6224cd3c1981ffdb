//! The mirror's hold on its index: every call runs on a blocking thread, one at a time.

use crate::{
    blocking,
    index::{Index, IndexError},
};

/// Owns the index between calls.
#[derive(Debug)]
pub(super) struct Books(Option<Index>);

impl Books {
    pub(super) fn new(index: Index) -> Self {
        Self(Some(index))
    }

    /// Runs `verb` on the index. Not cancel-safe: never inside a `select!` arm's future.
    ///
    /// # Errors
    /// Those of the verb; [`IndexError::Lost`] after a call that was cancelled or panicked.
    pub(super) async fn with<T, F>(&mut self, verb: F) -> Result<T, IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Index) -> Result<T, IndexError> + Send + 'static,
    {
        let mut index = self.0.take().ok_or(IndexError::Lost)?;
        let (index, result) = blocking::run(move || {
            let result = verb(&mut index);
            (index, result)
        })
        .await
        .map_err(|_| IndexError::Lost)?;
        self.0 = Some(index);
        result
    }
}
