//! Listings of LIST; every format takes every input. The corpus makes the difference to `mlsd`.
#![no_main]

use towline_fuzz::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::listing(data));
