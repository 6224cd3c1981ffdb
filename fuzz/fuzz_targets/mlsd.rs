//! Listings in facts, and replies to MLST; every format takes every input.
#![no_main]

use towline_fuzz::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::listing(data));
