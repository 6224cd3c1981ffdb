//! Decides, never acts: from the pending rows to ordered operations.
