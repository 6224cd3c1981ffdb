//! The one place that reads the wall clock. Elapsed time is `tokio::time::Instant`, so that tests can pause it.

use crate::model::UnixMillis;

/// Now, by the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is its one home")]
pub fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
