//! Looks at the local tree and says what differs from what was seen last.
