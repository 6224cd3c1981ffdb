//! What goes wrong with a server in memory, in words.

use super::{Primitive, tree::Refusal};
use crate::model::RelPath;

/// What the errors of a [`super::MemoryRemote`] say.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemoryError {
    #[error("{primitive} {}: {refusal}", path.as_ref().map(ToString::to_string).unwrap_or_default())]
    Refused { primitive: Primitive, path: Option<RelPath>, refusal: Refusal },
    #[error("the session is dead")]
    Dead,
    #[error("the file has another size, or nobody wanted the rest")]
    OtherSize,
}
