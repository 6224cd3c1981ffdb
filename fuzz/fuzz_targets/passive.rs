//! Replies to EPSV and PASV.
#![no_main]

use towline_fuzz::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::passive(data));
