//! The engine: one loop per mirror that listens, looks, notes, decides, promises, acts and settles.

#[cfg(test)]
mod properties;
pub mod schedule;
