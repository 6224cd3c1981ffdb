//! The invariants, from where the tests have them too.

#[path = "../../tests/it/invariants.rs"]
pub mod invariants;
